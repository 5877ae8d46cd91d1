/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cli/switch_state.h"

static void expect(const char *state, const char *text)
{
    json_error_t error;
    json_t *json = json_loads(state, 0, &error);
    _cleanup_strbuf_ struct strbuf b = {0};

    if (!json) {
        fail_msg("the test's JSON: %s", error.text);
    }
    switch_state_format(json, &b);
    json_decref(json);
    assert_string_equal(strbuf_str(&b), text);
}

static void empty(void **state WR_UNUSED)
{
    expect("{\"bridges\": []}", "");
}

static void bridge_without_ports(void **state WR_UNUSED)
{
    expect("{\"bridges\": [{\"name\": \"br0\", \"datapath_id\": \"00\", \"fail_mode\": null, \"controllers\": ["
           "  {\"target\": \"tcp:1.1.1.1\", \"is_connected\": true}, {\"target\": \"ptcp:\", \"is_connected\": "
           "false}], \"ports\": []}]}",
           "Bridges\n"
           "BRIDGE  DATAPATH ID  FAIL MODE  PORTS  CONTROLLERS\n"
           "br0     00                      0      tcp:1.1.1.1 (connected), ptcp: (not connected)\n");
}

/* Access, trunk and native VLANs; a bond; a tunnel goes into its own table. */
static void ports_and_tunnels(void **state WR_UNUSED)
{
    expect(
        "{\"bridges\": [{\"name\": \"b\", \"ports\": ["
        "{\"name\": \"p1\", \"tag\": 5, \"trunks\": [], \"interfaces\": [{\"name\": \"p1\", \"ofport\": 1, \"type\": "
        "\"\","
        "  \"link_state\": \"up\", \"mtu\": 1500, \"statistics\": {\"rx_packets\": 7, \"tx_packets\": 8},"
        "  \"external_ids\": {\"iface-id\": \"x\"}, \"options\": {}}]},"
        "{\"name\": \"bond\", \"tag\": null, \"trunks\": [1, 2], \"interfaces\": [{\"name\": \"e0\", \"ofport\": 2, "
        "\"type\": \"\"},"
        "  {\"name\": \"e1\", \"ofport\": -1, \"type\": \"\", \"error\": \"no device\"}]},"
        "{\"name\": \"n\", \"tag\": 3, \"trunks\": [4], \"interfaces\": [{\"name\": \"n\", \"ofport\": 3, \"type\": "
        "\"patch\"}]},"
        "{\"name\": \"t\", \"interfaces\": [{\"name\": \"t\", \"ofport\": 4, \"type\": \"gre\", \"link_state\": \"up\","
        "  \"options\": {\"remote_ip\": \"10.0.0.2\", \"out_key\": \"flow\"}}]}]}]}",
        "Bridges\n"
        "BRIDGE  DATAPATH ID  FAIL MODE  PORTS  CONTROLLERS\n"
        "b                               4\n"
        "\n"
        "Ports\n"
        "BRIDGE  PORT     OFPORT  TYPE    VLAN        LINK  MTU   RX  TX  IFACE-ID  ERROR\n"
        "b       p1       1       system  5           up    1500  7   8   x\n"
        "b       bond/e0  2       system  trunk 1, 2\n"
        "b       bond/e1  -1      system  trunk 1, 2                                no device\n"
        "b       n        3       patch   3 + 4\n"
        "\n"
        "Tunnels\n"
        "BRIDGE  PORT  OFPORT  TYPE  LOCAL  REMOTE    KEY   LINK  RX  TX  ERROR\n"
        "b       t     4       gre          10.0.0.2  flow  up\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),
        cmocka_unit_test(bridge_without_ports),
        cmocka_unit_test(ports_and_tunnels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
