/* SPDX-License-Identifier: Apache-2.0 */
/* Mirrors: what is selected, where copies go, each destination once, counters, and changes under running traffic. */
#include "env.h"
#include "switch/mirror.h"

/* Ports 1 a1 and 2 a2 (access 10), 3 b1 (access 20), 4 t (trunk), 5 m (trunk, for mirrors). */
static int setup(void **state)
{
    struct env *e = env_setup(state, 0);

    env_access(e->br, "a1", 1, 10);
    env_access(e->br, "a2", 2, 10);
    env_access(e->br, "b1", 3, 20);
    env_port(e->br, "t", 4);
    env_port(e->br, "m", 5);
    env_flow(e->br, "priority=0,actions=normal");
    return 0;
}

static void set(struct env *e, const struct mirror_config *configs, size_t n)
{
    assert_int_equal(bridge_set_mirrors(e->br, configs, n), 0);
    megaflow_revalidate_all(e->sw);
}

static struct mirror_config source(const char *name, const char *port, const char *to)
{
    static const char *ports[8];
    static size_t n;
    const char **p = &ports[n++ % 8];

    *p = port;
    return (struct mirror_config){.name = name, .src_ports = p, .n_src_ports = 1, .output_port = to};
}

static struct mirror_config destination(const char *name, const char *port, const char *to)
{
    struct mirror_config c = source(name, port, to);

    c.dst_ports = c.src_ports;
    c.n_dst_ports = 1;
    c.n_src_ports = 0;
    return c;
}

static void test_source(void **state)
{
    struct env *e = *state;
    struct mirror_config c = source("s", "a1", "m");

    set(e, &c, 1);
    /* On the way in the copy is first, as the packet came, in the VLAN's form for the mirror's port; then the flood,
     * without m. */
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)),
                        "push_vlan(vid=10,pcp=0),5,pop_vlan,2,push_vlan(vid=10,pcp=0),4");
    /* Towards a1 is not selected. */
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
    megaflow_sync_stats(e->sw);
    assert_int_equal(bridge_mirror_find(e->br, "s")->tx_packets, 1);
    assert_int_equal(bridge_mirror_find(e->br, "s")->tx_bytes, 60);
}

static void test_destination(void **state)
{
    struct env *e = *state;
    struct mirror_config c = destination("d", "a1", "m");

    env_in(e, 1, env_udp(0xff, 1, 0));
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
    set(e, &c, 1);
    /* The same megaflow, in place. */
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1,push_vlan(vid=10,pcp=0),5");
    set(e, NULL, 0);
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
}

static void test_all_once(void **state)
{
    struct env *e = *state;
    const struct mirror_config c = {.name = "all", .select_all = true, .output_port = "m"};

    env_in(e, 2, env_udp(0xff, 2, 0));
    set(e, &c, 1);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "push_vlan(vid=10,pcp=0),5,pop_vlan,2");
}

static void test_one_destination_of_two_mirrors(void **state)
{
    struct env *e = *state;
    const struct mirror_config c[] = {source("s", "a1", "m"), destination("d", "a2", "m"), source("t", "a1", "t")};

    env_in(e, 2, env_udp(0xff, 2, 0));
    set(e, c, 3);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "push_vlan(vid=10,pcp=0),5,4,pop_vlan,2");
    megaflow_sync_stats(e->sw);
    assert_int_equal(bridge_mirror_find(e->br, "s")->tx_packets, 1);
    assert_int_equal(bridge_mirror_find(e->br, "d")->tx_packets, 0);
    assert_int_equal(bridge_mirror_find(e->br, "t")->tx_packets, 1);
}

static void test_vlans(void **state)
{
    struct env *e = *state;
    uint8_t vlans[VLAN_TRUNKS_BYTES] = {[20 / 8] = 1 << 20 % 8};
    const struct mirror_config c = {.name = "v", .select_all = true, .vlans = vlans, .output_port = "m"};

    set(e, &c, 1);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "2,push_vlan(vid=10,pcp=0),4");
    assert_string_equal(env_in(e, 3, env_udp(0xff, 3, 0)), "push_vlan(vid=20,pcp=0),5,4");
    assert_string_equal(env_in(e, 4, env_udp(0xff, 4, 20)), "5,pop_vlan,3");
    /* Not even allowed in by a1: in no VLAN. */
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 20)), "drop(vlan_ingress)");
}

static void test_output_vlan(void **state)
{
    struct env *e = *state;
    struct mirror_config c = source("r", "a1", NULL);

    c.output_vlan = 20;
    set(e, &c, 1);
    /* RSPAN: to the trunks with VLAN 20's tag, to its access port without, and to a2 in its own VLAN. */
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)),
                        "3,push_vlan(vid=20,pcp=0),4,5,pop_vlan,2,push_vlan(vid=10,pcp=0),4,5");
    /* Reserved addresses are not mirrored to a VLAN. */
    struct packet *p = env_udp(1, 1, 0);

    memcpy(p->data, (const uint8_t[]){0x01, 0x80, 0xc2, 0, 0, 0}, 6);
    assert_string_equal(env_in(e, 1, p), "drop(reserved_dst)");
}

static void test_output_port_is_reserved(void **state)
{
    struct env *e = *state;
    const struct mirror_config c = source("s", "b1", "m");

    assert_string_equal(env_in(e, 5, env_udp(0xff, 5, 10)), "pop_vlan,1,2,push_vlan(vid=10,pcp=0),4");
    set(e, &c, 1);
    assert_string_equal(env_in(e, 5, env_udp(0xff, 5, 10)), "drop(mirror)");
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "2,push_vlan(vid=10,pcp=0),4");
}

static void test_snaplen(void **state)
{
    struct env *e = *state;
    struct mirror_config c = source("s", "a1", "m");

    c.snaplen = 40;
    set(e, &c, 1);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)),
                        "push_vlan(vid=10,pcp=0),trunc(40),5,pop_vlan,2,push_vlan(vid=10,pcp=0),4");
    megaflow_sync_stats(e->sw);
    assert_int_equal(bridge_mirror_find(e->br, "s")->tx_bytes, 40);
    c.snaplen = UINT16_MAX; /* as good as none */
    set(e, &c, 1);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)),
                        "push_vlan(vid=10,pcp=0),5,pop_vlan,2,push_vlan(vid=10,pcp=0),4");
}

/* Mirrors that select the same packet each copy it whole, not each other's copies. */
static void test_two_snaplens(void **state)
{
    struct env *e = *state;
    struct mirror_config c[] = {{.name = "x", .select_all = true, .output_vlan = 20, .snaplen = 20},
                                {.name = "y", .select_all = true, .output_port = "m", .snaplen = 30}};

    set(e, c, 2);
    bridge_port_del(bridge_port_by_name(e->br, "t"));
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)),
                        "trunc(20),3,push_vlan(vid=10,pcp=0),trunc(30),5,pop_vlan,2");
}

/* An egress copy shows what the flow table made of the packet; one on ingress does not. */
static void test_changed_packets(void **state)
{
    struct env *e = *state;
    const struct mirror_config c[] = {source("s", "a1", "m"), destination("d", "t", "b1")};

    env_flow(e->br, "priority=9,in_port=1,actions=mod_dl_dst:02:00:00:00:00:99,output:4");
    set(e, c, 2);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)),
                        "push_vlan(vid=10,pcp=0),5,set(eth(dst=02:00:00:00:00:99)),pop_vlan,4,3");
}

/* What flows drop is mirrored all the same, and counts as what the mirror sent. */
static void test_dropped_packets(void **state)
{
    struct env *e = *state;
    const struct mirror_config c = source("s", "a1", "m");

    env_flow(e->br, "priority=9,in_port=1,actions=drop");
    set(e, &c, 1);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "push_vlan(vid=10,pcp=0),5");
}

static void test_patch_ports(void **state)
{
    struct env *e = *state;
    struct bridge *br1;
    const struct mirror_config c = destination("d", "p0", "m"), c1 = source("s", "p1", "m1");

    assert_int_equal(bridge_create(e->sw, "br1", &br1), 0);
    env_patch(e->br, "p0", 10, "p1");
    env_patch(br1, "p1", 1, "p0");
    env_port(br1, "m1", 2);
    env_port(br1, "x", 3);
    env_flow(br1, "priority=0,actions=normal");
    env_flow(e->br, "priority=9,in_port=1,actions=output:10");
    set(e, &c, 1);
    assert_int_equal(bridge_set_mirrors(br1, &c1, 1), 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "6,7,5");
}

/* To a tunnel: sent like any packet there. */
static void test_to_a_tunnel(void **state)
{
    struct env *e = *state;
    const struct mirror_config c = source("s", "a1", "vx");

    env_vxlan(e->br, "vx", 9, "10.9.9.9");
    env_flow(e->br, "priority=9,in_port=1,actions=output:2");
    set(e, &c, 1);
    const char *out = env_in(e, 1, env_udp(0xff, 1, 0));
    assert_memory_equal(out, "push_vlan(vid=10,pcp=0),set(tunnel(", 35);
    assert_non_null(strstr(out, "dst=10.9.9.9"));
    assert_string_equal(strrchr(out, ')'), "),6,pop_vlan,2");
}

static void test_ports_come_and_go(void **state)
{
    struct env *e = *state;
    const struct mirror_config c = source("s", "late", "m2");

    set(e, &c, 1);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "2,push_vlan(vid=10,pcp=0),4,5");
    env_access(e->br, "late", 6, 10);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 6, env_udp(0xff, 6, 0)), "1,2,push_vlan(vid=10,pcp=0),4,5");
    env_access(e->br, "m2", 7, 99);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 6, env_udp(0xff, 6, 0)), "7,1,2,push_vlan(vid=10,pcp=0),4,5");
    bridge_port_del(bridge_port_by_name(e->br, "m2"));
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 6, env_udp(0xff, 6, 0)), "1,2,push_vlan(vid=10,pcp=0),4,5");
}

static void test_refused(void **state)
{
    struct env *e = *state;
    struct mirror_config c = source("s", "a1", "m"), two[2] = {c, c};

    set(e, &c, 1);
    assert_int_equal(bridge_set_mirrors(e->br, two, 2), -EEXIST);
    c.output_vlan = 5;
    assert_int_equal(bridge_set_mirrors(e->br, &c, 1), -EINVAL);
    c.output_port = NULL;
    c.output_vlan = 0;
    assert_int_equal(bridge_set_mirrors(e->br, &c, 1), -EINVAL);
    assert_string_equal(bridge_mirror_find(e->br, "s")->output_port, "m");
}

/* Counters survive a change of the mirror's settings, and megaflows that still name a mirror that went. */
static void test_counters_stay(void **state)
{
    struct env *e = *state;
    struct mirror_config c = source("s", "a1", "m");

    set(e, &c, 1);
    env_in(e, 1, env_udp(0xff, 1, 0));
    megaflow_sync_stats(e->sw);
    c.snaplen = 50;
    set(e, &c, 1);
    env_in(e, 1, env_udp(0xff, 1, 0));
    megaflow_sync_stats(e->sw);
    assert_int_equal(bridge_mirror_find(e->br, "s")->tx_packets, 2);
    env_in(e, 1, env_udp(0xff, 1, 0));
    assert_int_equal(bridge_set_mirrors(e->br, NULL, 0), 0);
    megaflow_sync_stats(e->sw);
    assert_null(bridge_mirror_find(e->br, "s"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
    const struct CMUnitTest tests[] = {
        T(test_source),
        T(test_destination),
        T(test_all_once),
        T(test_one_destination_of_two_mirrors),
        T(test_vlans),
        T(test_output_vlan),
        T(test_output_port_is_reserved),
        T(test_snaplen),
        T(test_two_snaplens),
        T(test_changed_packets),
        T(test_dropped_packets),
        T(test_patch_ports),
        T(test_to_a_tunnel),
        T(test_ports_come_and_go),
        T(test_refused),
        T(test_counters_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
