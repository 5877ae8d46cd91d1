/* SPDX-License-Identifier: Apache-2.0 */
/* Which port takes a received tunnel packet, and what is sent. */
#include "env.h"

#include <stdio.h>

#include "packet/tunnel_opts.h"

static int setup(void **state)
{
    env_setup(state, 0);
    return 0;
}

static struct port_config tunnel(const char *name, unsigned int n, const char *remote, const char *local, int in_key)
{
    struct port_config c = {.name = name,
                            .ofp_port = ofp_port(n),
                            .kind = PORT_TUNNEL,
                            .vlan = {.mode = VLAN_TRUNK, .all_trunks = true},
                            .tunnel = {.type = TUNNEL_VXLAN, .out_key = TUNNEL_FLOW}};

    c.tunnel.remote = remote ? TUNNEL_FIXED : TUNNEL_FLOW;
    if (remote) {
        c.tunnel.remote_ip = env_ip(remote);
    }
    if (local) {
        c.tunnel.local = TUNNEL_FIXED;
        c.tunnel.local_ip = env_ip(local);
    }
    c.tunnel.in_key = in_key < 0 ? TUNNEL_FLOW : TUNNEL_FIXED;
    c.tunnel.in_key_value = in_key < 0 ? 0 : (uint32_t)in_key;
    return c;
}

static void test_demux(void **state)
{
    struct env *e = *state;
    struct port_config c;
    uint64_t drops[DROP_MAX];

    c = tunnel("v1", 1, "192.0.2.1", NULL, -1);
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    c = tunnel("v2", 2, "192.0.2.1", "198.51.100.1", -1);
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    c = tunnel("v3", 3, "192.0.2.1", NULL, 77);
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    c = tunnel("v4", 4, "192.0.2.4", NULL, 5);
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    c = tunnel("v5", 5, "192.0.2.1", NULL, -1);
    assert_int_equal(bridge_port_add(e->br, &c, NULL), -EEXIST);
    assert_int_equal(fake_port_count(e->sw), 1);
    env_port(e->br, "p", 10); /* datapath port 2 */
    for (unsigned int i = 1; i <= 4; i++) {
        char flow[100];

        snprintf(flow, sizeof flow, "in_port=%u,actions=set_field:02:00:00:00:00:%02x->eth_dst,output:10", i, i);
        env_flow(e->br, flow);
    }
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.1", "198.51.100.9", 1, env_udp(9, 8, 0)),
                        "set(eth(dst=02:00:00:00:00:01)),2");
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.1", "198.51.100.1", 1, env_udp(9, 8, 0)),
                        "set(eth(dst=02:00:00:00:00:02)),2");
    /* A fixed key is more specific than a local address. */
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.1", "198.51.100.1", 77, env_udp(9, 8, 0)),
                        "set(eth(dst=02:00:00:00:00:03)),2");
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.4", "198.51.100.1", 5, env_udp(9, 8, 0)),
                        "set(eth(dst=02:00:00:00:00:04)),2");
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.4", "198.51.100.1", 6, env_udp(9, 8, 0)),
                        "drop(tunnel_unknown_key)");
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.9", "198.51.100.1", 5, env_udp(9, 8, 0)),
                        "drop(tunnel_unknown_remote)");
    /* local_ip=flow is another port than one without local_ip, which comes first. */
    c = tunnel("v6", 6, NULL, NULL, -1);
    c.tunnel.local = TUNNEL_FLOW;
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_flow(e->br, "in_port=6,actions=set_field:02:00:00:00:00:06->eth_dst,output:10");
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.11", "198.51.100.1", 5, env_udp(9, 8, 0)),
                        "set(eth(dst=02:00:00:00:00:06)),2");
    c = tunnel("v7", 7, NULL, NULL, -1);
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_flow(e->br, "in_port=7,actions=set_field:02:00:00:00:00:07->eth_dst,output:10");
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.10", "198.51.100.1", 5, env_udp(9, 8, 0)),
                        "set(eth(dst=02:00:00:00:00:07)),2");
    switch_drops(e->sw, drops);
    assert_int_equal(drops[DROP_TUNNEL_UNKNOWN_KEY], 1);
    assert_int_equal(drops[DROP_TUNNEL_UNKNOWN_REMOTE], 1);
    /* The unknown one is told as soon as it becomes known. */
    c = tunnel("v9", 9, "192.0.2.9", NULL, -1);
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_flow(e->br, "in_port=9,actions=output:10");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.9", "198.51.100.1", 5, env_udp(9, 8, 0)), "2");
    while (e->br->ports_by_ofp) {
        bridge_port_del(e->br->ports_by_ofp);
    }
    assert_int_equal(fake_port_count(e->sw), 0);
}

static void test_flow_remote(void **state)
{
    struct env *e = *state;
    struct port_config c = tunnel("v", 1, NULL, NULL, -1);

    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_port(e->br, "p", 10);
    env_flow(e->br, "in_port=10,actions=set_field:5->tun_id,set_field:192.0.2.7->tun_dst,output:1");
    env_flow(e->br, "in_port=1,tun_src=192.0.2.7,tun_id=6,actions=output:10");
    assert_string_equal(env_in(e, 2, env_udp(9, 8, 0)), "set(tunnel(tun_id=0x5,dst=192.0.2.7,ttl=64,flags(key))),1");
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.7", "198.51.100.1", 6, env_udp(9, 8, 0)), "2");
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.8", "198.51.100.1", 6, env_udp(9, 8, 0)), "drop(table_miss)");
}

static void test_inherit(void **state)
{
    struct env *e = *state;
    struct port_config c = tunnel("v", 1, "192.0.2.1", "198.51.100.1", -1);
    struct packet *p = env_udp(9, 8, 0);

    c.tunnel.tos_inherit = c.tunnel.ttl_inherit = true;
    c.tunnel.out_key = TUNNEL_FIXED;
    c.tunnel.out_key_value = 9;
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_port(e->br, "p", 10);
    env_flow(e->br, "in_port=10,actions=output:1");
    p->data[15] = 0xb9;
    assert_string_equal(env_in(e, 2, p),
                        "set(tunnel(tun_id=0x9,src=198.51.100.1,dst=192.0.2.1,tos=0xb9,ttl=64,flags(key))),1");
}

/* RFC 6040, 4.2: what becomes of the inner packet's ECN bits for each of the outer one's. */
static void test_ecn(void **state)
{
    static const char *const want[4][4] = {
        /* outer:    Not-ECT  ECT(1)        ECT(0)  CE */
        [0] = {"2", "2", "2", "drop(tunnel_ecn)"},
        [1] = {"2", "2", "2", "set(ipv4(tos=0x3/0x3)),2"},
        [2] = {"2", "set(ipv4(tos=0x1/0x3)),2", "2", "set(ipv4(tos=0x3/0x3)),2"},
        [3] = {"2", "2", "2", "2"},
    };
    struct env *e = *state;
    struct port_config c = tunnel("v", 1, "192.0.2.1", NULL, -1);
    struct packet *p;
    uint64_t drops[DROP_MAX];

    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_port(e->br, "p", 10);
    env_flow(e->br, "in_port=1,actions=output:10");
    for (uint8_t i = 0; i < 16; i++) {
        p = env_udp(9, 8, 0);
        p->data[15] = (uint8_t)(0x28 | i / 4);
        p->tunnel.tos = (uint8_t)(0x50 | i % 4);
        assert_string_equal(env_in_tunnel(e, 1, "192.0.2.1", "198.51.100.1", 1, p), want[i / 4][i % 4]);
    }
    switch_drops(e->sw, drops);
    assert_int_equal(drops[DROP_TUNNEL_ECN], 1);
    p = env_arp(8, 9, 0);
    p->tunnel.tos = 3;
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.1", "198.51.100.1", 1, p), "2");
}

/* The mark is the outer packet's only: what leaves afterwards has the packet's own again. */
static void test_egress_mark_and_queues(void **state)
{
    struct env *e = *state;
    struct port_config c = tunnel("v1", 1, "192.0.2.1", NULL, -1);

    c.tunnel.egress_pkt_mark = 7;
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_port(e->br, "p", 2); /* datapath port 2 */
    env_port(e->br, "q", 3);
    env_port(e->br, "r", 4);
    env_flow(e->br, "in_port=2,actions=output:1,output:3");
    assert_string_equal(env_in(e, 2, env_udp(9, 8, 0)),
                        "set(skb_mark(0x7/0xffffffff)),set(tunnel(tun_id=0,dst=192.0.2.1,ttl=64,flags(key))),1,"
                        "set(skb_mark(0/0xffffffff)),3");
    env_flow(e->br, "in_port=4,actions=set_queue:5,output:3,pop_queue,output:1,set_queue:5,output:1,set_queue:65534,"
                    "output:3");
    assert_string_equal(env_in(e, 4, env_udp(9, 8, 0)),
                        "set(skb_priority(0x10006)),3,set(skb_mark(0x7/0xffffffff)),set(skb_priority(0x0)),"
                        "set(tunnel(tun_id=0,dst=192.0.2.1,ttl=64,flags(key))),1,set(skb_priority(0x10006)),1,"
                        "set(skb_mark(0/0xffffffff)),set(skb_priority(0x0)),3");
}

static void test_types_apart(void **state)
{
    struct env *e = *state;
    struct port_config c = tunnel("v", 1, "192.0.2.1", NULL, -1);

    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    c.name = "g";
    c.ofp_port = ofp_port(2);
    c.tunnel.type = TUNNEL_GENEVE;
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    c.name = "v2";
    c.ofp_port = ofp_port(3);
    c.tunnel.type = TUNNEL_VXLAN;
    c.tunnel.dst_port = 8472;
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    assert_int_equal(fake_port_count(e->sw), 3);
    c.name = "bad";
    c.ofp_port = ofp_port(4);
    c.tunnel.in_key = TUNNEL_FIXED;
    c.tunnel.in_key_value = 1 << 24;
    assert_int_equal(bridge_port_add(e->br, &c, NULL), -EINVAL);
}

/* A megaflow looks at the options when the flows do. */
static void test_options_are_looked_at(void **state)
{
    static const struct tlv_mapping mapping = {.opt_class = 0x102, .opt_type = 1, .opt_len = 4, .index = 0};
    struct env *e = *state;
    struct port_config c = tunnel("g", 1, "192.0.2.1", NULL, -1);
    struct packet *p = env_udp(9, 8, 0);

    c.tunnel.type = TUNNEL_GENEVE;
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_port(e->br, "p", 10);
    assert_int_equal(tlv_map_add(&e->br->tlv_map, &mapping, 1), 0);
    env_flow(e->br, "in_port=1,tun_metadata0=7,actions=output:10");
    assert_int_equal(tunnel_opts_intern("\1\2\1\1\0\0\0\7", 8, &p->tunnel.opts_id), 0);
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.1", "198.51.100.9", 1, p), "2");
    _cleanup_free_ char *flow = env_megaflow(e);
    assert_non_null(strstr(flow, "geneve({class=0x102,type=0x1,len=4,0x00000007})"));
    p = env_udp(9, 8, 0);
    assert_int_equal(tunnel_opts_intern("\1\2\1\1\0\0\0\x8", 8, &p->tunnel.opts_id), 0);
    assert_string_equal(env_in_tunnel(e, 1, "192.0.2.1", "198.51.100.9", 1, p), "drop(table_miss)");
    env_del(e->br, "");
    tlv_map_clear(&e->br->tlv_map);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
    const struct CMUnitTest tests[] = {
        T(test_demux),       T(test_flow_remote),          T(test_inherit), T(test_ecn), T(test_egress_mark_and_queues),
        T(test_types_apart), T(test_options_are_looked_at)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
