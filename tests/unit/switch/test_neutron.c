/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline that the Neutron agent programs: br-int and br-tun joined by patch ports, learned unicast flows, ARP
 * responder. */
#include "env.h"

struct cloud {
    struct env e;
    struct bridge *tun;
};

/* Datapath ports: 1 tap of VM 1 on br-int, tag 1; 2 all VXLAN. OpenFlow ports on br-tun: 1 patch-int, 2 and 3 two
 * peers. */
static int setup(void **state)
{
    static const char *const int_flows[] = {
        "table=23,priority=0,actions=drop",
        "table=0,priority=0,actions=resubmit(,59)",
        "table=59,priority=0,actions=resubmit(,60)",
        "table=60,priority=3,actions=normal",
        "table=0,priority=65535,vlan_tci=0x0fff/0x1fff,actions=drop",
    };
    static const char *const tun_flows[] = {
        "table=0,priority=1,in_port=1,actions=resubmit(,2)",
        "table=0,priority=0,actions=drop",
        "table=2,priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff,actions=resubmit(,21)",
        "table=2,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,20)",
        "table=2,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,22)",
        "table=4,priority=0,actions=drop",
        "table=0,priority=1,in_port=2,actions=resubmit(,4)",
        "table=0,priority=1,in_port=3,actions=resubmit(,4)",
        "table=4,priority=1,tun_id=0x64,actions=push_vlan:0x8100,set_field:4097->vlan_vid,resubmit(,10)",
        "table=10,priority=1,cookie=0xabc,actions=learn(table=20,hard_timeout=300,priority=1,cookie=0xabc,NXM_OF_VLAN_"
        "TCI[0..11],"
        "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],"
        "output:OXM_OF_IN_PORT[]),output:1",
        "table=20,priority=0,actions=resubmit(,22)",
        "table=21,priority=0,actions=resubmit(,22)",
        "table=21,priority=1,arp,dl_vlan=1,arp_tpa=10.0.0.9,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
        "mod_dl_src:02:00:00:00:00:09,load:0x2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],"
        "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0x020000000009->NXM_NX_ARP_SHA[],load:0x0a000009->NXM_OF_ARP_SPA["
        "],in_port",
        "table=22,priority=1,dl_vlan=1,actions=strip_vlan,set_tunnel:0x64,output:2,output:3",
        "table=22,priority=0,actions=drop",
    };
    struct cloud *c = xcalloc(1, sizeof *c);

    env_init(&c->e);
    assert_int_equal(bridge_create(c->e.sw, "br-tun", &c->tun), 0);
    env_access(c->e.br, "tap1", 1, 1);
    env_patch(c->e.br, "patch-tun", 2, "patch-int");
    env_patch(c->tun, "patch-int", 1, "patch-tun");
    env_vxlan(c->tun, "vxlan-c0000202", 2, "192.0.2.2");
    env_vxlan(c->tun, "vxlan-c0000203", 3, "192.0.2.3");
    for (size_t i = 0; i < ARRAY_SIZE(int_flows); i++) {
        env_flow(c->e.br, int_flows[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(tun_flows); i++) {
        env_flow(c->tun, tun_flows[i]);
    }
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct cloud *c = *state;

    env_done(&c->e);
    free(c);
    return 0;
}

#define TO(peer) "set(tunnel(tun_id=0x64,dst=192.0.2." peer ",ttl=64,flags(key|df))),2"

static void test_flood_learn_unicast(void **state)
{
    struct cloud *c = *state;
    const struct rule *learned;

    /* VM 1 calls an unknown address: to every peer, the local VLAN's tag never leaves. */
    assert_string_equal(env_in(&c->e, 1, env_udp(2, 1, 0)), TO("2") "," TO("3"));
    /* The answer comes from 192.0.2.3 and teaches table 20. */
    assert_string_equal(env_in_tunnel(&c->e, 2, "192.0.2.3", "192.0.2.1", 100, env_udp(1, 2, 0)), "1");
    learned = env_rule(c->tun, "table=20,priority=1,vlan_tci=0x0001/0x0fff,dl_dst=02:00:00:00:00:02,actions=drop");
    assert_non_null(learned);
    assert_int_equal(learned->hard_timeout, 300);
    assert_int_equal(__builtin_bswap64(learned->cookie), 0xabc);
    megaflow_revalidate_all(c->e.sw);
    assert_string_equal(env_in(&c->e, 1, env_udp(2, 1, 0)), TO("3"));
    megaflow_sync_stats(c->e.sw);
    assert_int_equal(learned->packets, 1);
}

/* Traffic renews the learned flow, silence lets it go, traffic after that brings it back. */
static void test_learned_timeout(void **state)
{
    struct cloud *c = *state;
    const char *flow = "table=20,priority=1,vlan_tci=0x0001/0x0fff,dl_dst=02:00:00:00:00:02,actions=drop";
    int64_t t = time_mono_ms();

    megaflow_set_limits(c->e.sw, 1000, 10000000);
    env_in_tunnel(&c->e, 2, "192.0.2.3", "192.0.2.1", 100, env_udp(1, 2, 0));
    fake_set_now(c->e.sw, t + 200 * 1000);
    env_in_tunnel(&c->e, 2, "192.0.2.3", "192.0.2.1", 100, env_udp(1, 2, 0));
    switch_tick(c->e.sw, t + 201 * 1000);
    switch_tick(c->e.sw, t + 400 * 1000);
    assert_non_null(env_rule(c->tun, flow));
    switch_tick(c->e.sw, t + 501 * 1000);
    assert_null(env_rule(c->tun, flow));
    fake_set_now(c->e.sw, t + 600 * 1000);
    env_in_tunnel(&c->e, 2, "192.0.2.3", "192.0.2.1", 100, env_udp(1, 2, 0));
    switch_tick(c->e.sw, t + 601 * 1000);
    assert_non_null(env_rule(c->tun, flow));
}

static void test_isolation(void **state)
{
    struct cloud *c = *state;

    assert_string_equal(env_in_tunnel(&c->e, 2, "192.0.2.3", "192.0.2.1", 101, env_udp(1, 2, 0)), "drop(action)");
    assert_string_equal(env_in_tunnel(&c->e, 2, "192.0.2.9", "192.0.2.1", 100, env_udp(1, 2, 0)),
                        "drop(tunnel_unknown_remote)");
}

static void test_arp_responder(void **state)
{
    struct cloud *c = *state;

    env_in(&c->e, 1, env_arp(1, 9, 0));
    megaflow_revalidate_all(c->e.sw);
    assert_string_equal(env_in(&c->e, 1, env_arp(1, 9, 0)),
                        "set(eth(src=02:00:00:00:00:09,dst=02:00:00:00:00:01),arp(sip=10.0.0.9,tip=10.0.0.1,op=2,"
                        "sha=02:00:00:00:00:09,tha=02:00:00:00:00:01)),1");
    assert_string_equal(env_in(&c->e, 1, env_arp(1, 8, 0)), TO("2") "," TO("3"));
}

/* A dead port: tag 4095, trunk of 4095 only. */
static void test_dead_vlan(void **state)
{
    struct cloud *c = *state;
    struct port_config pc = {
        .name = "tap1", .ofp_port = ofp_port(1), .kind = PORT_SYSTEM, .vlan = {.mode = VLAN_TRUNK, .tag = 4095}};

    pc.vlan.trunks[4095 / 8] |= 1 << 4095 % 8;
    assert_int_equal(bridge_port_set(bridge_port_by_name(c->e.br, "tap1"), &pc), 0);
    assert_string_equal(env_in(&c->e, 1, env_udp(2, 1, 0)), "drop(vlan_ingress)");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_flood_learn_unicast), T(test_learned_timeout), T(test_isolation),
                                       T(test_arp_responder), T(test_dead_vlan)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
