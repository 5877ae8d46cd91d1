/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>

#include "datapath/format.h"
#include "packet/drop.h"

static void test_key(void **state WR_UNUSED)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    struct flow_key k = {.in_port = dp_port(2), .eth_type = htons(ETH_P_IP)},
                    m = {.in_port = dp_port(UINT32_MAX), .eth_type = 0xffff};
    dp_key_format(&k, &m, &b);
    assert_string_equal(strbuf_str(&b), "recirc_id(0),in_port(2),eth_type(0x0800)");
    strbuf_done(&b);

    k.eth_dst = (struct eth_addr){{2, 0, 0, 0, 0, 1}};
    memset(&m.eth_dst, 0xff, sizeof m.eth_dst);
    k.vlan[0] = (struct flow_vlan){htons(ETH_P_8021Q), htons(FLOW_VLAN_PRESENT | 5)};
    m.vlan[0] = (struct flow_vlan){0xffff, htons(0x1fff)};
    k.ip_dst.be32[3] = htonl(0x0a000000);
    m.ip_dst.be32[3] = htonl(0xff000000);
    k.ip_proto = 6;
    m.ip_proto = 0xff;
    k.tp_dst = htons(80);
    m.tp_dst = 0xffff;
    m.ip_frag = 0xff;
    k.tunnel.id = htobe64(5);
    m.tunnel.id = htobe64(UINT64_MAX);
    k.tunnel.dst.be16[5] = 0xffff;
    k.tunnel.dst.be32[3] = htonl(0x0a000001);
    memset(&m.tunnel.dst, 0xff, sizeof m.tunnel.dst);
    k.tunnel.flags = FLOW_TNL_KEY | FLOW_TNL_DF;
    m.tunnel.flags = 0xffff;
    dp_key_format(&k, &m, &b);
    assert_string_equal(
        strbuf_str(&b),
        "recirc_id(0),tunnel(tun_id=0x5,dst=10.0.0.1,flags(key|df)),in_port(2),eth(dst=02:00:00:00:00:01),"
        "eth_type(0x8100),vlan(vid=5),encap(eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0,proto=6,frag=no),"
        "tcp(dst=80))");
}

static void test_actions(void **state WR_UNUSED)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    struct {
        struct dp_action_tunnel tunnel;
        struct dp_action_vlan vlan;
        struct dp_action_set set, set6;
        struct dp_action out, drop;
    } a = {
        .tunnel = {.h = {DP_ACTION_SET_TUNNEL, sizeof a.tunnel, 0},
                   .tunnel = {.flags = FLOW_TNL_KEY, .ttl = 64, .id = htobe64(7)}},
        .vlan = {.h = {DP_ACTION_PUSH_VLAN, sizeof a.vlan, 0}, .vlan = {htons(ETH_P_8021Q), htons(9)}},
        .set = {.h = {DP_ACTION_SET, sizeof a.set, DP_SET_IPV4}},
        .set6 = {.h = {DP_ACTION_SET, sizeof a.set6, DP_SET_IPV6}},
        .out = {DP_ACTION_OUTPUT, sizeof a.out, 3},
        .drop = {DP_ACTION_DROP, sizeof a.drop, DROP_TTL},
    };
    a.tunnel.tunnel.dst.b[15] = 1;
    a.set.key.ip_ttl = 63;
    a.set.mask.ip_ttl = 0xff;
    a.set6.key.ipv6_label = htonl(0x12345);
    a.set6.key.ip_ttl = 5;
    a.set6.mask.ipv6_label = htonl(0xfffff);
    a.set6.mask.ip_ttl = 0xff;
    dp_actions_format(&a, sizeof a, &b);
    assert_string_equal(strbuf_str(&b), "set(tunnel(tun_id=0x7,dst=::1,ttl=64,flags(key))),push_vlan(vid=9,pcp=0),"
                                        "set(ipv4(ttl=63)),set(ipv6(label=0x12345,hlimit=5)),3,drop(ttl)");
    strbuf_done(&b);
    dp_actions_format(NULL, 0, &b);
    assert_string_equal(strbuf_str(&b), "drop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_key), cmocka_unit_test(test_actions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
