/* SPDX-License-Identifier: Apache-2.0 */
/* NORMAL: every VLAN mode, learning and forgetting, flooding per VLAN, protected ports, reserved addresses, no
 * reflection. */
#include "env.h"

/* Datapath ports: 1 a1 (access 10), 2 a2 (access 10), 3 b1 (access 20), 4 t (trunk), 5 nt (native-tagged 10), 6 nu
 * (native-untagged 10, trunks 20 only). */
static int setup(void **state)
{
    struct env *e = env_setup(state, 0);
    struct port_config c = {.name = "nt",
                            .ofp_port = ofp_port(5),
                            .kind = PORT_SYSTEM,
                            .vlan = {.mode = VLAN_NATIVE_TAGGED, .tag = 10, .all_trunks = true}};

    env_access(e->br, "a1", 1, 10);
    env_access(e->br, "a2", 2, 10);
    env_access(e->br, "b1", 3, 20);
    env_port(e->br, "t", 4);
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    c.name = "nu";
    c.ofp_port = ofp_port(6);
    c.vlan = (struct vlan_config){.mode = VLAN_NATIVE_UNTAGGED, .tag = 10};
    c.vlan.trunks[20 / 8] |= 1 << 20 % 8;
    assert_int_equal(bridge_port_add(e->br, &c, NULL), 0);
    env_flow(e->br, "priority=0,actions=normal");
    return 0;
}

static void test_flood_from_access(void **state)
{
    /* Untagged to the other access port and the native-untagged one, tagged once for both others. */
    assert_string_equal(env_in(*state, 1, env_udp(0xff, 1, 0)), "2,push_vlan(vid=10,pcp=0),4,5,pop_vlan,6");
}

static void test_flood_other_vlan(void **state)
{
    assert_string_equal(env_in(*state, 3, env_udp(0xff, 3, 0)), "push_vlan(vid=20,pcp=0),4,5,6");
}

static void test_flood_from_trunk(void **state)
{
    struct env *e = *state;

    assert_string_equal(env_in(e, 4, env_udp(0xff, 4, 10)), "pop_vlan,1,2,push_vlan(vid=10,pcp=0),5,pop_vlan,6");
    assert_string_equal(env_in(e, 4, env_udp(0xff, 4, 30)), "5");
    /* Untagged on a trunk: VLAN 0, which no access port is in, and no native port can show. */
    assert_string_equal(env_in(e, 4, env_udp(0xff, 4, 0)), "drop(action)");
}

static void test_native(void **state)
{
    struct env *e = *state;

    assert_string_equal(env_in(e, 6, env_udp(0xff, 6, 0)), "1,2,push_vlan(vid=10,pcp=0),4,5");
    assert_string_equal(env_in(e, 6, env_udp(0xff, 6, 30)), "drop(vlan_ingress)");
    assert_string_equal(env_in(e, 5, env_udp(0xff, 5, 0)), "1,2,push_vlan(vid=10,pcp=0),4,pop_vlan,6");
}

static void test_tagged_on_access(void **state)
{
    assert_string_equal(env_in(*state, 1, env_udp(0xff, 1, 10)), "drop(vlan_ingress)");
}

static void test_learning(void **state)
{
    struct env *e = *state;

    env_in(e, 1, env_udp(0xff, 1, 0));
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    /* The same address in another VLAN is another host. */
    assert_string_equal(env_in(e, 3, env_udp(1, 3, 0)), "push_vlan(vid=20,pcp=0),4,5,6");
    assert_string_equal(env_in(e, 4, env_udp(1, 4, 10)), "pop_vlan,1");
    /* To itself: not back. */
    assert_string_equal(env_in(e, 1, env_udp(1, 9, 0)), "drop(normal_self)");
}

/* The host moves: what was sent to the old port goes to the new one after its first packet. */
static void test_move(void **state)
{
    struct env *e = *state;

    env_in(e, 1, env_udp(0xff, 1, 0));
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
    env_in(e, 4, env_udp(0xff, 1, 10));
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "push_vlan(vid=10,pcp=0),4");
}

static void test_port_removal_forgets(void **state)
{
    struct env *e = *state;

    env_in(e, 1, env_udp(0xff, 1, 0));
    bridge_port_del(bridge_port_by_name(e->br, "a1"));
    assert_int_equal(mac_table_count(&e->br->macs), 0);
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "push_vlan(vid=10,pcp=0),4,5,pop_vlan,6");
}

/* The other bridge knew the host behind its patch port: it looks for it again as well. */
static void test_port_removal_forgets_in_other_bridges(void **state)
{
    struct env *e = *state;
    const struct eth_addr mac = {{2, 0, 0, 0, 0, 1}};
    struct bridge *br1;

    assert_int_equal(bridge_create(e->sw, "br1", &br1), 0);
    env_flow(br1, "priority=0,actions=normal");
    env_patch(e->br, "p0", 20, "p1");
    env_patch(br1, "p1", 1, "p0");
    env_port(br1, "x", 2);
    env_in(e, 4, env_udp(0xff, 1, 10));
    assert_non_null(mac_table_lookup(&br1->macs, 10, mac, time_mono_ms()));
    bridge_port_del(bridge_port_by_name(e->br, "t"));
    assert_null(mac_table_lookup(&br1->macs, 10, mac, time_mono_ms()));
}

static void test_reserved_multicast(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(1, 1, 0);

    memcpy(p->data, (const uint8_t[]){0x01, 0x80, 0xc2, 0, 0, 0x0e}, 6);
    assert_string_equal(env_in(e, 1, p), "drop(reserved_dst)");
    e->br->forward_bpdu = true;
    switch_changed(e->sw);
    megaflow_revalidate_all(e->sw);
    p = env_udp(1, 1, 0);
    memcpy(p->data, (const uint8_t[]){0x01, 0x80, 0xc2, 0, 0, 0x0e}, 6);
    assert_string_equal(env_in(e, 1, p), "2,push_vlan(vid=10,pcp=0),4,5,pop_vlan,6");
}

static void test_no_flood(void **state)
{
    struct env *e = *state;

    bridge_port_set_config(bridge_port_by_name(e->br, "t"), PORT_CONFIG_NO_FLOOD, PORT_CONFIG_NO_FLOOD);
    assert_string_equal(env_in(e, 3, env_udp(0xff, 3, 0)), "push_vlan(vid=20,pcp=0),5,6");
}

/* Traffic keeps an address alive through its megaflow's counters; silence lets it age. */
static void test_ageing_by_traffic(void **state)
{
    struct env *e = *state;
    int64_t t = time_mono_ms();

    megaflow_set_limits(e->sw, 1000, 1000000);
    env_in(e, 1, env_udp(0xff, 1, 0));
    fake_set_now(e->sw, t + 200 * 1000);
    env_in(e, 1, env_udp(0xff, 1, 0));
    switch_tick(e->sw, t + 400 * 1000);
    assert_int_equal(mac_table_count(&e->br->macs), 1);
    switch_tick(e->sw, t + 501 * 1000);
    assert_int_equal(mac_table_count(&e->br->macs), 0);
}

/* ---- VLAN modes that need a bridge of their own ---- */

/* Ports on datapath ports 1.. of a bridge that floods everything: what each shows. */
static struct port *add(struct env *e, const char *name, unsigned int n, struct vlan_config vlan)
{
    struct port *port;

    assert_int_equal(
        bridge_port_add(e->br,
                        &(struct port_config){.name = name, .ofp_port = ofp_port(n), .kind = PORT_SYSTEM, .vlan = vlan},
                        &port),
        0);
    return port;
}

static int setup_empty(void **state)
{
    struct env *e = env_setup(state, 0);

    env_flow(e->br, "priority=0,actions=normal");
    return 0;
}

/* A frame with N tags, outermost first. */
static struct packet *tagged(unsigned int dst, unsigned int src, size_t n, const uint16_t (*tags)[2])
{
    struct packet *p = env_udp(dst, src, 0);

    for (size_t i = n; i-- > 0;) {
        uint8_t *b = packet_push(p, 4);

        memmove(b, b + 4, 12);
        b[12] = (uint8_t)(tags[i][0] >> 8);
        b[13] = (uint8_t)tags[i][0];
        b[14] = (uint8_t)(tags[i][1] >> 8);
        b[15] = (uint8_t)tags[i][1];
    }
    return p;
}

/* Customer ports 1 (all customer VLANs) and 2 (VLANs 5 and none) of service VLAN 100, trunk 3, access 4 in VLAN 100. */
static void dot1q_ports(struct env *e, uint16_t ethtype)
{
    struct vlan_config some = {.mode = VLAN_DOT1Q_TUNNEL, .tag = 100, .qinq_ethtype = ethtype};

    some.cvlans[0] |= 1 | 1 << 5;
    add(e, "q1", 1,
        (struct vlan_config){.mode = VLAN_DOT1Q_TUNNEL, .tag = 100, .all_cvlans = true, .qinq_ethtype = ethtype});
    add(e, "q2", 2, some);
    env_port(e->br, "t", 3);
    env_access(e->br, "a", 4, 100);
}

static void test_dot1q_tunnel(void **state)
{
    struct env *e = *state;

    switch_set_vlan_limit(e->sw, 2);
    dot1q_ports(e, 0);
    /* Customer VLAN 5 goes into the service VLAN, with the service tag outside on the trunk and no access port. */
    assert_string_equal(env_in(e, 1, tagged(0xff, 1, 1, (const uint16_t[][2]){{0x8100, 5}})),
                        "2,push_vlan(tpid=0x88a8,vid=100,pcp=0),3");
    assert_string_equal(env_in(e, 1, tagged(0xff, 1, 1, (const uint16_t[][2]){{0x8100, 6}})),
                        "push_vlan(tpid=0x88a8,vid=100,pcp=0),3");
    assert_string_equal(env_in(e, 2, tagged(0xff, 2, 1, (const uint16_t[][2]){{0x8100, 6}})), "drop(vlan_ingress)");
    /* Without a customer tag it is like an access port. */
    assert_string_equal(env_in(e, 2, env_udp(0xff, 2, 0)), "1,push_vlan(tpid=0x88a8,vid=100,pcp=0),3,pop_vlan,4");
    /* Back from the trunk: the service tag goes, the customer's comes to light. */
    assert_string_equal(env_in(e, 3, tagged(0xff, 3, 2, (const uint16_t[][2]){{0x88a8, 100}, {0x8100, 5}})),
                        "pop_vlan,1,2");
    assert_string_equal(env_in(e, 3, tagged(0xff, 3, 2, (const uint16_t[][2]){{0x88a8, 100}, {0x8100, 6}})),
                        "pop_vlan,1");
}

static void test_qinq_ethtype(void **state)
{
    struct env *e = *state;

    switch_set_vlan_limit(e->sw, 2);
    dot1q_ports(e, 0x8100);
    assert_string_equal(env_in(e, 1, tagged(0xff, 1, 1, (const uint16_t[][2]){{0x8100, 6}})),
                        "push_vlan(vid=100,pcp=0),3");
}

/* With one tag in sight, the customer's tag is payload to all ports but the one that it comes in by. */
static void test_vlan_limit(void **state)
{
    struct env *e = *state;

    dot1q_ports(e, 0);
    assert_string_equal(env_in(e, 3, tagged(0xff, 3, 2, (const uint16_t[][2]){{0x88a8, 100}, {0x8100, 6}})),
                        "pop_vlan,1,2,4");
    env_flow(e->br, "priority=5,dl_vlan=100,dl_type=0x8100,actions=output:4");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 3, tagged(0xff, 3, 2, (const uint16_t[][2]){{0x88a8, 100}, {0x8100, 6}})), "4");
    /* The inner tag's VLAN is not looked at. */
    assert_string_equal(env_in(e, 3, tagged(0xff, 3, 2, (const uint16_t[][2]){{0x88a8, 100}, {0x8100, 7}})), "4");
    assert_int_equal(fake_n_flows(e->sw), 1);
    switch_set_vlan_limit(e->sw, 2);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 3, tagged(0xff, 3, 2, (const uint16_t[][2]){{0x88a8, 100}, {0x8100, 6}})),
                        "pop_vlan,1");
}

/* VLAN 0 with a priority, and none, out by ports of each kind. */
static void test_priority_tags(void **state)
{
    struct env *e = *state;

    env_port(e->br, "in", 1);
    add(e, "never", 2, (struct vlan_config){.mode = VLAN_TRUNK, .all_trunks = true});
    add(e, "nonzero", 3,
        (struct vlan_config){.mode = VLAN_TRUNK, .all_trunks = true, .priority_tags = PRIORITY_TAGS_IF_NONZERO});
    add(e, "always", 4,
        (struct vlan_config){.mode = VLAN_TRUNK, .all_trunks = true, .priority_tags = PRIORITY_TAGS_ALWAYS});
    assert_string_equal(env_in(e, 1, tagged(0xff, 1, 1, (const uint16_t[][2]){{0x8100, 0xa000}})),
                        "pop_vlan,2,push_vlan(vid=0,pcp=5),3,4");
    assert_string_equal(env_in(e, 1, tagged(0xff, 1, 1, (const uint16_t[][2]){{0x8100, 0}})),
                        "pop_vlan,2,3,push_vlan(vid=0,pcp=0),4");
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "2,3,4");
}

/* A priority tag is no VLAN: access and native ports take it, and the priority survives into a real tag. */
static void test_priority_tagged_in(void **state)
{
    struct env *e = *state;

    env_access(e->br, "a1", 1, 10);
    env_access(e->br, "a2", 2, 10);
    env_port(e->br, "t", 3);
    add(e, "p", 4, (struct vlan_config){.mode = VLAN_ACCESS, .tag = 10, .priority_tags = PRIORITY_TAGS_IF_NONZERO});
    assert_string_equal(env_in(e, 1, tagged(0xff, 1, 1, (const uint16_t[][2]){{0x8100, 0x6000}})),
                        "pop_vlan,2,push_vlan(vid=10,pcp=3),3,set(vlan(vid=0,pcp=3)),4");
}

static void set_protected(struct env *e, const char *name, unsigned int n)
{
    struct port_config c = {.name = name,
                            .ofp_port = ofp_port(n),
                            .kind = PORT_SYSTEM,
                            .is_protected = true,
                            .vlan = {.mode = VLAN_TRUNK, .all_trunks = true}};

    assert_int_equal(bridge_port_set(bridge_port_by_name(e->br, name), &c), 0);
}

static void test_protected(void **state)
{
    struct env *e = *state;

    env_port(e->br, "p1", 1);
    env_port(e->br, "p2", 2);
    env_port(e->br, "p3", 3);
    env_in(e, 2, env_udp(0xff, 2, 0));
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    set_protected(e, "p1", 1);
    set_protected(e, "p2", 2);
    megaflow_revalidate_all(e->sw);
    /* What flowed before does not any more. */
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(protected)");
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "3");
    assert_string_equal(env_in(e, 3, env_udp(2, 3, 0)), "2");
    assert_string_equal(env_in(e, 3, env_udp(0xff, 3, 0)), "1,2");
}

static void test_flood_vlans(void **state)
{
    struct env *e = *state;
    uint8_t vlans[VLAN_TRUNKS_BYTES] = {[10 / 8] = 1 << 10 % 8};

    env_access(e->br, "a1", 1, 10);
    env_access(e->br, "a2", 2, 10);
    env_access(e->br, "a3", 3, 10);
    env_in(e, 1, env_udp(0xff, 1, 0));
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
    /* A packet whose counter comes only after the change does not bring the address back. */
    env_in(e, 1, env_udp(0xff, 1, 0));
    bridge_set_flood_vlans(e->br, vlans);
    megaflow_revalidate_all(e->sw);
    assert_int_equal(mac_table_count(&e->br->macs), 0);
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1,3");
    assert_int_equal(mac_table_count(&e->br->macs), 0);
    bridge_set_flood_vlans(e->br, NULL);
    megaflow_revalidate_all(e->sw);
    env_in(e, 1, env_udp(0xff, 1, 0));
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
}

static void test_static_macs(void **state)
{
    struct env *e = *state;
    const struct eth_addr mac = {{2, 0, 0, 0, 0, 7}};

    env_port(e->br, "p1", 1);
    env_port(e->br, "p2", 2);
    env_port(e->br, "p3", 3);
    assert_string_equal(env_in(e, 1, env_udp(7, 1, 0)), "2,3");
    assert_int_equal(bridge_add_static_mac(e->br, 0, mac, ofp_port(9)), -ENODEV);
    assert_int_equal(bridge_add_static_mac(e->br, 0, (struct eth_addr){{1}}, ofp_port(3)), -EINVAL);
    assert_int_equal(bridge_add_static_mac(e->br, 0, mac, ofp_port(3)), 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(7, 1, 0)), "3");
    env_in(e, 2, env_udp(0xff, 7, 0)); /* does not move it */
    bridge_flush_macs(e->br);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(7, 1, 0)), "3");
    assert_int_equal(bridge_del_mac(e->br, 0, mac), 0);
    assert_int_equal(bridge_del_mac(e->br, 0, mac), -ENOENT);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(7, 1, 0)), "2,3");
}

/* A dead link's hosts are looked for elsewhere at once; so are those of a port that changes its VLAN. */
static void test_forgets(void **state)
{
    struct env *e = *state;
    struct port *p1 = env_port(e->br, "p1", 1);

    env_port(e->br, "p2", 2);
    env_port(e->br, "p3", 3);
    env_in(e, 1, env_udp(0xff, 1, 0));
    env_in(e, 2, env_udp(0xff, 2, 0));
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 3, env_udp(1, 3, 0)), "1");
    bridge_port_set_link(p1, p1->mac, false, true, 0, 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 3, env_udp(1, 3, 0)), "1,2");
    assert_non_null(mac_table_lookup(&e->br->macs, 0, (struct eth_addr){{2, 0, 0, 0, 0, 2}}, time_mono_ms()));
    assert_int_equal(bridge_port_set(bridge_port_by_name(e->br, "p2"),
                                     &(struct port_config){.name = "p2",
                                                           .ofp_port = ofp_port(2),
                                                           .kind = PORT_SYSTEM,
                                                           .vlan = {.mode = VLAN_ACCESS, .tag = 9}}),
                     0);
    megaflow_revalidate_all(e->sw);
    assert_null(mac_table_lookup(&e->br->macs, 0, (struct eth_addr){{2, 0, 0, 0, 0, 2}}, time_mono_ms()));
    assert_string_equal(env_in(e, 3, env_udp(2, 3, 0)), "1");
}

/* Nor does a packet bring an address back whose counter comes only after the change: it would be led into a VLAN that
 * its port is no longer in, or to nowhere. */
static void test_forgets_for_good(void **state)
{
    struct env *e = *state;
    struct port *p1 = env_access(e->br, "a1", 1, 10);

    env_access(e->br, "a2", 2, 10);
    env_access(e->br, "a3", 3, 10);
    for (int i = 0; i < 2; i++) { /* the first one is no megaflow's */
        env_in(e, 1, env_udp(0xff, 1, 0));
        env_in(e, 2, env_udp(0xff, 2, 0));
    }
    bridge_port_set_link(p1, p1->mac, false, true, 0, 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 3, env_udp(1, 3, 0)), "1,2");
    assert_int_equal(bridge_port_set(bridge_port_by_name(e->br, "a2"),
                                     &(struct port_config){.name = "a2",
                                                           .ofp_port = ofp_port(2),
                                                           .kind = PORT_SYSTEM,
                                                           .vlan = {.mode = VLAN_ACCESS, .tag = 9}}),
                     0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 3, env_udp(2, 3, 0)), "1");
    /* Back again, they are found where they speak. */
    bridge_port_set_link(p1, p1->mac, false, false, 0, 0);
    megaflow_revalidate_all(e->sw);
    env_in(e, 1, env_udp(0xff, 1, 0));
    megaflow_revalidate_all(e->sw);
    assert_non_null(mac_table_lookup(&e->br->macs, 10, (struct eth_addr){{2, 0, 0, 0, 0, 1}}, time_mono_ms()));
}

static void test_reserved_addresses(void **state)
{
    struct env *e = *state;
    static const uint8_t reserved[][6] = {
        {0x01, 0x80, 0xc2, 0, 0, 0x00},    {0x01, 0x80, 0xc2, 0, 0, 0x0f},    {0x00, 0xe0, 0x2b, 0, 0, 0},
        {0x00, 0xe0, 0x2b, 0, 0, 4},       {0x00, 0xe0, 0x2b, 0, 0, 6},       {0x01, 0, 0x0c, 0xcc, 0xcc, 0xcc},
        {0x01, 0, 0x0c, 0xcc, 0xcc, 0xc1}, {0x01, 0, 0x0c, 0xcd, 0xcd, 0xcd}, {0x01, 0, 0x0c, 0, 0, 0},
    };
    static const uint8_t others[][6] = {
        {0x01, 0x80, 0xc2, 0, 0, 0x10}, {0x00, 0xe0, 0x2b, 0, 0, 5}, {0x01, 0, 0x0c, 0xcc, 0xcc, 0xd0}};

    env_port(e->br, "p1", 1);
    env_port(e->br, "p2", 2);
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        struct packet *p = env_udp(1, 1, 0);

        memcpy(p->data, reserved[i], 6);
        assert_string_equal(env_in(e, 1, p), "drop(reserved_dst)");
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct packet *p = env_udp(1, 1, 0);

        memcpy(p->data, others[i], 6);
        assert_string_equal(env_in(e, 1, p), "2");
    }
}

/* OpenFlow output knows no VLAN settings. */
static void test_output_is_raw(void **state)
{
    struct env *e = *state;

    env_access(e->br, "a1", 1, 10);
    env_access(e->br, "a2", 2, 20);
    env_flow(e->br, "priority=5,actions=output:2");
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "2");
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 30)), "2");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
#define E(f) cmocka_unit_test_setup_teardown(f, setup_empty, env_teardown)
    const struct CMUnitTest tests[] = {
        T(test_flood_from_access),
        T(test_flood_other_vlan),
        T(test_flood_from_trunk),
        T(test_native),
        T(test_tagged_on_access),
        T(test_learning),
        T(test_move),
        T(test_port_removal_forgets),
        T(test_port_removal_forgets_in_other_bridges),
        T(test_reserved_multicast),
        T(test_no_flood),
        T(test_ageing_by_traffic),
        E(test_dot1q_tunnel),
        E(test_qinq_ethtype),
        E(test_vlan_limit),
        E(test_priority_tags),
        E(test_priority_tagged_in),
        E(test_protected),
        E(test_flood_vlans),
        E(test_static_macs),
        E(test_forgets),
        E(test_forgets_for_good),
        E(test_reserved_addresses),
        E(test_output_is_raw),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
