/* SPDX-License-Identifier: Apache-2.0 */
/* NORMAL: access, trunk and native ports, learning, flooding per VLAN, no reflection. */
#include "env.h"

/* Datapath ports: 1 a1 (access 10), 2 a2 (access 10), 3 b1 (access 20), 4 t (trunk), 5 nt (native-tagged 10), 6 nu
 * (native-untagged 10, trunks 20 only). */
static int setup(void **state)
{
    struct env *e = xcalloc(1, sizeof *e);
    struct port_config c = {.name = "nt",
                            .ofp_port = ofp_port(5),
                            .kind = PORT_SYSTEM,
                            .vlan = {.mode = VLAN_NATIVE_TAGGED, .tag = 10, .all_trunks = true}};

    env_init(e);
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
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    env_done(*state);
    free(*state);
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
    /* Untagged on a trunk: VLAN 0, which no access port is in. */
    assert_string_equal(env_in(e, 4, env_udp(0xff, 4, 0)), "5");
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_flood_from_access),
        T(test_flood_other_vlan),
        T(test_flood_from_trunk),
        T(test_native),
        T(test_tagged_on_access),
        T(test_learning),
        T(test_move),
        T(test_port_removal_forgets),
        T(test_reserved_multicast),
        T(test_no_flood),
        T(test_ageing_by_traffic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
