/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "controller/api.h"
#include "controller/subnet_plan.h"

#define UUID "11111111-2222-3333-4444-555555555555"

struct check_case {
    const struct resource *resource;
    enum attribute_use use;
    const char *body;
    const char *error;  /* what the message holds; NULL: accepted */
    const char *result; /* members that the checked object must have; NULL: any */
};

static void check(const struct check_case *t)
{
    _cleanup_strbuf_ struct strbuf why = {0};
    json_t *body = json_loads(t->body, 0, NULL), *want = t->result ? json_loads(t->result, 0, NULL) : NULL, *value;
    json_t *got = attributes_check(t->resource->attributes, t->resource->n_attributes, t->use, body, &why);
    const char *name;

    if (!t->error != !!got || (t->error && !strstr(strbuf_str(&why), t->error))) {
        fail_msg("%s: %s", t->body, strbuf_str(&why));
    }
    json_object_foreach(want, name, value) {
        if (!json_equal(json_object_get(got, name), value)) {
            fail_msg("%s: %s differs", t->body, name);
        }
    }
    json_decref(body);
    json_decref(want);
    json_decref(got);
}

static void test_networks(void **state WR_UNUSED)
{
    static const struct check_case cases[] = {
        {&resource_networks, ATTRIBUTES_POST, "{}", NULL,
         "{\"name\": \"\", \"admin_state_up\": true, \"shared\": false, \"mtu\": 0}"},
        {&resource_networks, ATTRIBUTES_POST, "{\"mtu\": \"1400\", \"shared\": \"True\"}", NULL,
         "{\"mtu\": 1400, \"shared\": true}"},
        {&resource_networks, ATTRIBUTES_POST, "{\"provider:segmentation_id\": \"77\"}", NULL,
         "{\"provider:segmentation_id\": 77}"},
        {&resource_networks, ATTRIBUTES_POST, "{\"provider:segmentation_id\": null}", NULL, NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"tenant_id\": \"p\"}", NULL, "{\"project_id\": \"p\"}"},
        {&resource_networks, ATTRIBUTES_POST, "{\"nmae\": \"x\"}", "Unrecognized attribute(s) 'nmae'", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"id\": \"" UUID "\"}", "Attribute 'id' not allowed in POST", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"name\": 5}", "Invalid input for name.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"name\": null}", "Invalid input for name.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"mtu\": 70000}", "Invalid input for mtu. Reason: 70000", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"mtu\": -1}", "Invalid input for mtu.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"mtu\": 14.5}", "Invalid input for mtu.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"mtu\": \"1400x\"}", "Invalid input for mtu.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"mtu\": \" 1400\"}", "Invalid input for mtu.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"mtu\": \"\"}", "Invalid input for mtu.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"mtu\": \"99999999999999999999999\"}", "Invalid input for mtu.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"admin_state_up\": \"maybe\"}", "Invalid input for admin_state_up.",
         NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"admin_state_up\": 2}", "Invalid input for admin_state_up.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"admin_state_up\": []}", "Invalid input for admin_state_up.", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"provider:network_type\": \"vlan\"}",
         "'vlan' is not in vxlan|gre|geneve", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"provider:network_type\": \"\"}",
         "Invalid input for provider:network_type", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"provider:network_type\": \"vxlan|gre\"}",
         "Invalid input for provider:network_type", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"provider:physical_network\": \"p\"}",
         "Invalid input for provider:physical_network", NULL},
        {&resource_networks, ATTRIBUTES_POST, "{\"provider:segmentation_id\": 0}",
         "Invalid input for provider:segmentation_id", NULL},
        {&resource_networks, ATTRIBUTES_PUT, "{\"provider:network_type\": \"gre\"}",
         "Cannot update read-only attribute", NULL},
        {&resource_networks, ATTRIBUTES_PUT, "{}", NULL, "{}"},
        {&resource_networks, ATTRIBUTES_PUT, "{\"name\": \"x\"}", NULL, "{\"name\": \"x\"}"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        check(&cases[i]);
    }
}

#define SUBNET "\"network_id\": \"" UUID "\", \"cidr\": \"10.0.0.0/24\", \"ip_version\": 4"

static void test_subnets(void **state WR_UNUSED)
{
    static const struct check_case cases[] = {
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET "}", NULL, "{\"enable_dhcp\": true, \"dns_nameservers\": []}"},
        {&resource_subnets, ATTRIBUTES_POST, "{}", "Required attribute 'network_id' not specified", NULL},
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET ", \"gateway_ip\": null}", NULL, "{\"gateway_ip\": null}"},
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET ", \"gateway_ip\": \"x\"}", "Invalid input for gateway_ip",
         NULL},
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET ", \"dns_nameservers\": [\"1.1.1.1\", \"1.1.1.1\"]}",
         "Duplicate", NULL},
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET ", \"dns_nameservers\": [\"dns\"]}",
         "Invalid input for dns_nameservers", NULL},
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET ", \"dns_nameservers\": \"1.1.1.1\"}", "is not a list", NULL},
        {&resource_subnets, ATTRIBUTES_POST,
         "{" SUBNET ", \"allocation_pools\": [{\"start\": \"10.0.0.2\", \"end\": \"10.0.0.9\"}]}", NULL,
         "{\"allocation_pools\": [\"10.0.0.2-10.0.0.9\"]}"},
        {&resource_subnets, ATTRIBUTES_POST,
         "{" SUBNET ", \"allocation_pools\": [{\"start\": \"10.0.0.9\", \"end\": \"10.0.0.2\"}]}",
         "Invalid input for allocation_pools", NULL},
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET ", \"allocation_pools\": [{\"start\": \"10.0.0.9\"}]}",
         "Invalid input for allocation_pools", NULL},
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET ", \"allocation_pools\": [5]}",
         "Invalid input for allocation_pools", NULL},
        {&resource_subnets, ATTRIBUTES_POST,
         "{" SUBNET ", \"host_routes\": [{\"destination\": \"10.9.0.0/16\", \"nexthop\": \"10.0.0.3\"}]}", NULL,
         "{\"host_routes\": {\"10.9.0.0/16\": \"10.0.0.3\"}}"},
        {&resource_subnets, ATTRIBUTES_POST,
         "{" SUBNET ", \"host_routes\": [{\"destination\": \"10.9.0.0/16\", \"nexthop\": \"fd00::1\"}]}",
         "Invalid input for host_routes", NULL},
        {&resource_subnets, ATTRIBUTES_POST, "{" SUBNET ", \"ipv6_ra_mode\": \"sLaac\"}",
         "Invalid input for ipv6_ra_mode", NULL},
        {&resource_subnets, ATTRIBUTES_PUT, "{\"cidr\": \"10.0.0.0/24\"}", "Cannot update read-only attribute cidr",
         NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        check(&cases[i]);
    }
}

#define PORT "\"network_id\": \"" UUID "\""

static void test_ports(void **state WR_UNUSED)
{
    static const struct check_case cases[] = {
        {&resource_ports, ATTRIBUTES_POST, "{" PORT "}", NULL,
         "{\"binding:host_id\": \"\", \"device_id\": \"\", \"binding:profile\": {}}"},
        {&resource_ports, ATTRIBUTES_POST, "{\"network_id\": \"x\"}", "'x' is not a valid UUID", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"binding:host_id\": null}", NULL,
         "{\"binding:host_id\": \"\"}"},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"mac_address\": \"FA:16:3E:00:00:01\"}", NULL,
         "{\"mac_address\": \"fa:16:3e:00:00:01\"}"},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"mac_address\": \"01:00:5e:00:00:01\"}",
         "Invalid input for mac_address", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"mac_address\": \"00:00:00:00:00:00\"}",
         "Invalid input for mac_address", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"mac_address\": \"zz\"}", "Invalid input for mac_address",
         NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"fixed_ips\": [{\"ip_address\": \"FD00:0::1\"}]}", NULL,
         "{\"fixed_ips\": [{\"ip_address\": \"fd00::1\"}]}"},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"fixed_ips\": []}", NULL, "{\"fixed_ips\": []}"},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"fixed_ips\": [{}]}", "Invalid input for fixed_ips", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"fixed_ips\": [{\"ip\": \"10.0.0.1\"}]}",
         "Invalid input for fixed_ips", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"fixed_ips\": [{\"ip_address\": \"10.0.0.300\"}]}",
         "Invalid input for fixed_ips", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"fixed_ips\": [{\"subnet_id\": 7}]}",
         "Invalid input for fixed_ips", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"fixed_ips\": {}}", "Invalid input for fixed_ips", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"fixed_ips\": null}", NULL, NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"binding:profile\": []}", "Invalid input for binding:profile",
         NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"binding:vnic_type\": \"direct\"}",
         "Invalid input for binding:vnic_type", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"allowed_address_pairs\": [{\"ip_address\": \"10.0.0.0/24\"}]}",
         NULL, "{\"allowed_address_pairs\": [{\"ip_address\": \"10.0.0.0/24\"}]}"},
        {&resource_ports, ATTRIBUTES_POST,
         "{" PORT ", \"allowed_address_pairs\": [{\"mac_address\": \"fa:16:3e:00:00:01\"}]}",
         "Invalid input for allowed_address_pairs", NULL},
        {&resource_ports, ATTRIBUTES_POST, "{" PORT ", \"security_groups\": [\"x\"]}",
         "Invalid input for security_groups", NULL},
        {&resource_ports, ATTRIBUTES_PUT, "{" PORT "}", "Cannot update read-only attribute network_id", NULL},
        {&resource_ports, ATTRIBUTES_PUT, "{\"status\": \"ACTIVE\"}", "Cannot update read-only attribute status", NULL},
        {&resource_agents, ATTRIBUTES_PUT, "{\"admin_state_up\": \"false\"}", NULL, "{\"admin_state_up\": false}"},
        {&resource_agents, ATTRIBUTES_PUT, "{\"host\": \"x\"}", "Cannot update read-only attribute host", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        check(&cases[i]);
    }
}

static void test_long_name(void **state WR_UNUSED)
{
    char body[400] = "{\"name\": \"";

    memset(body + strlen(body), 'x', 256);
    strcat(body, "\"}");
    check(&(struct check_case){&resource_networks, ATTRIBUTES_POST, body, "exceeds maximum length of 255", NULL});
}

/* ---- what goes together in a subnet ---- */

static void test_subnet_plan(void **state WR_UNUSED)
{
    static const struct {
        const char *item, *type; /* NULL: accepted */
        int status;
        const char *gateway, *pool;
    } cases[] = {
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4}", NULL, 0, "10.0.0.1", "10.0.0.2"},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'gateway_ip': null}", NULL, 0, NULL, "10.0.0.1"},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'gateway_ip': '192.0.2.1'}", NULL, 0, "192.0.2.1", "10.0.0.1"},
        {"{'cidr': 'fd00::/64', 'ip_version': 6}", NULL, 0, "fd00::", "fd00::1"},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'allocation_pools': ['10.0.0.50-10.0.0.60']}", NULL, 0, "10.0.0.1",
         "10.0.0.50"},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 6}", "InvalidInput", 400, NULL, NULL},
        {"{'cidr': '0.0.0.0/0', 'ip_version': 4}", "InvalidInput", 400, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'gateway_ip': '10.0.0.255'}", "InvalidInput", 400, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'gateway_ip': '10.0.0.0'}", "InvalidInput", 400, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'gateway_ip': 'fd00::1'}", "InvalidInput", 400, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'allocation_pools': ['10.0.0.1-10.0.0.60']}",
         "GatewayConflictWithAllocationPools", 409, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'allocation_pools': ['10.0.0.5-10.0.1.60']}",
         "OutOfBoundsAllocationPool", 400, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'allocation_pools': ['fd00::5-fd00::6']}",
         "OutOfBoundsAllocationPool", 400, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'allocation_pools': ['10.0.0.5-10.0.0.255']}",
         "OutOfBoundsAllocationPool", 400, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'allocation_pools': ['10.0.0.5-10.0.0.9', '10.0.0.9-10.0.0.20']}",
         "OverlappingAllocationPools", 409, NULL, NULL},
        {"{'cidr': '10.0.0.0/24', 'ip_version': 4, 'enable_dhcp': true, 'ipv6_ra_mode': 'slaac'}", "InvalidInput", 400,
         NULL, NULL},
        {"{'cidr': 'fd00::/64', 'ip_version': 6, 'enable_dhcp': true, 'ipv6_ra_mode': 'slaac', 'ipv6_address_mode': "
         "'slaac'}",
         NULL, 0, "fd00::", "fd00::1"},
        {"{'cidr': 'fd00::/96', 'ip_version': 6, 'enable_dhcp': true, 'ipv6_address_mode': 'slaac'}", "InvalidInput",
         400, NULL, NULL},
        {"{'cidr': 'fd00::/64', 'ip_version': 6, 'enable_dhcp': false, 'ipv6_address_mode': 'slaac'}", "InvalidInput",
         400, NULL, NULL},
        {"{'cidr': 'fd00::/64', 'ip_version': 6, 'enable_dhcp': true, 'ipv6_ra_mode': 'slaac', 'ipv6_address_mode': "
         "'dhcpv6-stateful'}",
         "InvalidInput", 400, NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *text = strdup(cases[i].item);
        for (char *p = text; *p; p++) {
            *p = *p == '\'' ? '"' : *p;
        }
        json_t *item = json_loads(text, 0, NULL);
        struct subnet_plan plan = {0};
        struct subnet_error error = {0};
        int got = subnet_plan_new(item, &plan, &error);

        if (got != (cases[i].type ? -EINVAL : 0)) {
            fail_msg("%s: %s", text, error.text);
        }
        if (cases[i].type) {
            assert_string_equal(error.type, cases[i].type);
            assert_int_equal(error.status, cases[i].status);
        } else {
            assert_int_equal(plan.has_gateway, cases[i].gateway != NULL);
            if (cases[i].gateway) {
                assert_string_equal(IP_STR(&plan.gateway), cases[i].gateway);
            }
            assert_string_equal(IP_STR(&plan.pools[0].first), cases[i].pool);
            subnet_plan_done(&plan);
        }
        json_decref(item);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),  cmocka_unit_test(test_subnets),     cmocka_unit_test(test_ports),
        cmocka_unit_test(test_long_name), cmocka_unit_test(test_subnet_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
