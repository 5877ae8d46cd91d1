/* SPDX-License-Identifier: Apache-2.0 */
/* Bonds: the decisions in virtual time, at random against their invariants, and what NORMAL makes of them. */
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "env.h"
#include "switch/bundle.h"
#include "switch/mirror.h"

static struct eth_addr mac(unsigned int n)
{
    return (struct eth_addr){{2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}};
}

static const char *active(const struct bond *b)
{
    return b->active ? b->active->name : "none";
}

static struct bond *two(const struct bond_settings *s, bool up)
{
    struct bond *b = bond_create("b", s, 0);

    bond_add(b, "m1", ofp_port(1), mac(1), up, 0);
    bond_add(b, "m2", ofp_port(2), mac(2), up, 0);
    return b;
}

/* ---- decisions ---- */

static void test_first_link_is_taken_at_once(void **state WR_UNUSED)
{
    struct bond *b = two(&(struct bond_settings){.updelay_ms = 1000, .downdelay_ms = 500}, false);

    assert_string_equal(active(b), "none");
    assert_int_equal(bond_next_ms(b), INT64_MAX);
    assert_int_equal(bond_set_link(b, ofp_port(2), mac(2), true, 10), BOND_CHANGED | BOND_ANNOUNCE);
    assert_string_equal(active(b), "m2");
    /* The second one has to wait. */
    assert_int_equal(bond_set_link(b, ofp_port(1), mac(1), true, 20), 0);
    assert_int_equal(bond_next_ms(b), 1020);
    assert_int_equal(bond_run(b, 1019), 0);
    assert_false(bond_member_find(b, ofp_port(1))->enabled);
    assert_int_equal(bond_run(b, 1020), BOND_CHANGED);
    assert_true(bond_member_find(b, ofp_port(1))->enabled);
    assert_string_equal(active(b), "m2");
    bond_destroy(b);
}

static void test_delays(void **state WR_UNUSED)
{
    struct bond *b = two(&(struct bond_settings){.updelay_ms = 1000, .downdelay_ms = 500}, true);

    bond_run(b, 1000);
    assert_string_equal(active(b), "m1");
    /* Down for less than the delay: nothing happens. */
    assert_int_equal(bond_set_link(b, ofp_port(1), mac(1), false, 2000), 0);
    assert_int_equal(bond_set_link(b, ofp_port(1), mac(1), true, 2499), 0);
    assert_int_equal(bond_next_ms(b), INT64_MAX);
    assert_int_equal(bond_run(b, 9000), 0);
    /* Down for all of it: the other one. */
    assert_int_equal(bond_set_link(b, ofp_port(1), mac(1), false, 9000), 0);
    assert_int_equal(bond_run(b, 9499), 0);
    assert_int_equal(bond_run(b, 9500), BOND_CHANGED | BOND_ANNOUNCE);
    assert_string_equal(active(b), "m2");
    /* Back: enabled after the up delay, and the active one stays. */
    assert_int_equal(bond_set_link(b, ofp_port(1), mac(1), true, 10000), 0);
    assert_int_equal(bond_run(b, 11000), BOND_CHANGED);
    assert_string_equal(active(b), "m2");
    /* An up delay that is under way ends when nobody else is left. */
    bond_set_link(b, ofp_port(1), mac(1), false, 12000);
    bond_run(b, 12500);
    bond_set_link(b, ofp_port(1), mac(1), true, 13000);
    bond_set_link(b, ofp_port(2), mac(2), false, 13000);
    assert_int_equal(bond_run(b, 13500) & BOND_ANNOUNCE, BOND_ANNOUNCE);
    assert_string_equal(active(b), "m1");
    bond_destroy(b);
}

static void test_primary(void **state WR_UNUSED)
{
    struct bond_settings s = {.primary = "m2"};
    struct bond *b = two(&s, true);
    unsigned int flags;

    assert_string_equal(active(b), "m2");
    bond_set_link(b, ofp_port(2), mac(2), false, 10);
    assert_string_equal(active(b), "m1");
    bond_set_link(b, ofp_port(2), mac(2), true, 20);
    assert_string_equal(active(b), "m2");
    /* By hand away from it, until it comes anew. */
    assert_int_equal(bond_set_active(b, "m1", &flags), 0);
    assert_int_equal(flags, BOND_CHANGED | BOND_ANNOUNCE);
    bond_run(b, 30);
    assert_string_equal(active(b), "m1");
    strcpy(s.primary, "m1");
    bond_set(b, &s, 40);
    strcpy(s.primary, "m2");
    bond_set(b, &s, 50);
    assert_string_equal(active(b), "m2");
    assert_int_equal(bond_set_active(b, "m3", &flags), -ENOENT);
    bond_set_link(b, ofp_port(1), mac(1), false, 60);
    assert_int_equal(bond_set_active(b, "m1", &flags), -ENETDOWN);
    bond_destroy(b);
}

/* After a restart, the member that was active before is so again, when it comes first of all or soon after. */
static void test_last_active(void **state WR_UNUSED)
{
    struct bond *b = bond_create("b", &(struct bond_settings){.updelay_ms = 100}, 0);

    bond_prefer(b, mac(2));
    bond_add(b, "m1", ofp_port(1), mac(0), false, 0);
    bond_add(b, "m2", ofp_port(2), mac(0), false, 0);
    bond_set_link(b, ofp_port(1), mac(1), true, 0);
    assert_string_equal(active(b), "m1");
    bond_set_link(b, ofp_port(2), mac(2), true, 0);
    assert_string_equal(active(b), "m1");
    assert_int_equal(bond_run(b, 100), BOND_CHANGED | BOND_ANNOUNCE);
    assert_string_equal(active(b), "m2");
    /* Once. */
    bond_set_link(b, ofp_port(2), mac(2), false, 200);
    bond_set_link(b, ofp_port(2), mac(2), true, 300);
    bond_run(b, 400);
    assert_string_equal(active(b), "m1");
    bond_destroy(b);
    /* What was decided meanwhile counts more. */
    b = two(&(struct bond_settings){0}, true);
    bond_prefer(b, mac(3));
    bond_set_link(b, ofp_port(1), mac(1), false, 10);
    bond_add(b, "m3", ofp_port(3), mac(3), true, 20);
    assert_string_equal(active(b), "m2");
    bond_destroy(b);
}

static void test_members_come_and_go(void **state WR_UNUSED)
{
    struct bond *b = two(&(struct bond_settings){0}, true);

    bond_add(b, "m3", ofp_port(3), mac(3), true, 0);
    assert_int_equal(bond_del(b, ofp_port(1), 10), BOND_CHANGED | BOND_ANNOUNCE);
    assert_string_equal(active(b), "m2");
    bond_del(b, ofp_port(2), 20);
    bond_del(b, ofp_port(3), 30);
    assert_string_equal(active(b), "none");
    assert_int_equal(bond_del(b, ofp_port(3), 30), 0);
    bond_destroy(b);
}

static void test_by_hand(void **state WR_UNUSED)
{
    struct bond *b = two(&(struct bond_settings){0}, true);
    unsigned int flags;

    assert_int_equal(bond_set_enabled(b, "m1", false, &flags), 0);
    assert_string_equal(active(b), "m2");
    assert_int_equal(bond_set_enabled(b, "m9", false, &flags), -ENOENT);
    assert_int_equal(bond_migrate(b, 3, "m2", &flags), -EINVAL);
    bond_destroy(b);
}

/* ---- balancing ---- */

static const struct bond_settings slb = {.mode = BOND_BALANCE_SLB, .rebalance_ms = 10000};

static void test_hash_is_steady_and_spread(void **state WR_UNUSED)
{
    struct bond *b = two(&slb, true);
    unsigned int per_member[3] = {0};
    int bucket, again;

    for (unsigned int i = 0; i < 1000; i++) {
        struct bond_member *m = bond_member_for(b, mac(i), 7, &bucket);

        assert_ptr_equal(bond_member_for(b, mac(i), 7, &again), m);
        assert_int_equal(bucket, again);
        per_member[ofp_port_u32(m->port)]++;
    }
    assert_in_range(per_member[1], 400, 600);
    /* One host in many VLANs is many hosts. */
    per_member[1] = per_member[2] = 0;
    for (uint16_t vlan = 0; vlan < 1000; vlan++) {
        per_member[ofp_port_u32(bond_member_for(b, mac(1), vlan, &bucket)->port)]++;
    }
    assert_in_range(per_member[1], 400, 600);
    bond_destroy(b);
}

static void test_failed_members_buckets_move(void **state WR_UNUSED)
{
    struct bond *b = two(&slb, true);
    int bucket;

    for (unsigned int i = 0; i < 100; i++) {
        bond_member_for(b, mac(i), 0, &bucket);
    }
    assert_int_equal(bond_set_link(b, ofp_port(1), mac(1), false, 10), BOND_CHANGED | BOND_ANNOUNCE);
    for (unsigned int i = 0; i < 100; i++) {
        assert_int_equal(ofp_port_u32(bond_member_for(b, mac(i), 0, &bucket)->port), 2);
    }
    bond_set_link(b, ofp_port(2), mac(2), false, 20);
    assert_null(bond_member_for(b, mac(1), 0, &bucket));
    bond_destroy(b);
}

static uint64_t load_of(struct bond *b, unsigned int port, const uint64_t *bytes, unsigned int n)
{
    uint64_t sum = 0;
    int bucket;

    for (unsigned int i = 0; i < n; i++) {
        sum += ofp_port_u32(bond_member_for(b, mac(i), 0, &bucket)->port) == port ? bytes[i] : 0;
    }
    return sum;
}

static void send_all(struct bond *b, const uint64_t *bytes, unsigned int n)
{
    int bucket;

    for (unsigned int i = 0; i < n; i++) {
        bond_member_for(b, mac(i), 0, &bucket);
        bond_count(b, bucket, bytes[i]);
    }
}

static void test_rebalancing(void **state WR_UNUSED)
{
    struct bond *b = two(&slb, true);
    uint64_t bytes[50], one, two_;
    int bucket;
    unsigned int flags;

    for (unsigned int i = 0; i < 50; i++) {
        bytes[i] = 1000000 + i * 10000;
        bond_member_for(b, mac(i), 0, &bucket);
        assert_int_equal(bond_migrate(b, (unsigned int)bucket, "m1", &flags), 0);
    }
    send_all(b, bytes, 50);
    assert_int_equal(bond_next_ms(b), 10000);
    assert_int_equal(bond_run(b, 9999), 0);
    assert_int_equal(bond_run(b, 10000), BOND_CHANGED);
    one = load_of(b, 1, bytes, 50);
    two_ = load_of(b, 2, bytes, 50);
    assert_true(one > two_ * 8 / 10 && one < two_ * 12 / 10);
    /* Even now: nothing moves any more. */
    for (int64_t t = 20000; t < 100000; t += 10000) {
        send_all(b, bytes, 50);
        bond_run(b, t);
    }
    send_all(b, bytes, 50);
    assert_int_equal(bond_run(b, 100000), 0);
    /* One busy host cannot be split, so it stays where it is. */
    for (size_t i = 0; i < BOND_BUCKETS; i++) {
        b->buckets[i].tx_bytes = 0;
    }
    bond_member_for(b, mac(3), 0, &bucket);
    bond_count(b, bucket, 1u << 30);
    assert_int_equal(bond_run(b, 110000), 0);
    bond_destroy(b);
}

static void test_no_rebalancing(void **state WR_UNUSED)
{
    struct bond_settings s = slb;
    struct bond *b;

    s.rebalance_ms = 0;
    b = two(&s, true);
    assert_int_equal(bond_next_ms(b), INT64_MAX);
    s.rebalance_ms = 1; /* a second is the least */
    bond_set(b, &s, 50);
    assert_int_equal(bond_next_ms(b), 1050);
    bond_destroy(b);
}

/* Whatever happens: an active member is enabled, nobody is disabled whose link is up when none is enabled, and frames
 * leave by enabled members. */
static void test_invariants_at_random(void **state WR_UNUSED)
{
    for (unsigned int seed = 1; seed < 60; seed++) {
        struct bond_settings s = {.mode = seed % 2 ? BOND_BALANCE_SLB : BOND_ACTIVE_BACKUP,
                                  .updelay_ms = seed % 3 * 700,
                                  .downdelay_ms = seed % 5 * 300,
                                  .rebalance_ms = 3000};
        struct bond *b = bond_create("b", &s, 0);
        int64_t now = 0;

        srand(seed);
        for (unsigned int i = 0; i < 400; i++) {
            unsigned int k = (unsigned int)rand() % 5 + 1;
            struct bond_member *m = bond_member_find(b, ofp_port(k));
            size_t up = 0, enabled = 0;
            int bucket;

            now += rand() % 400;
            if (!m) {
                bond_add(b, "x", ofp_port(k), mac(k), rand() & 1, now);
            } else if (rand() % 10) {
                bond_set_link(b, ofp_port(k), mac(k), rand() & 1, now);
            } else {
                bond_del(b, ofp_port(k), now);
            }
            bond_run(b, now);
            DL_FOREACH(b->members, m) {
                up += m->link;
                enabled += m->enabled;
                assert_true(m->enabled == m->link || m->change_ms > now);
            }
            assert_true(!up || enabled);
            assert_int_equal(b->active != NULL, enabled > 0);
            assert_true(!b->active || b->active->enabled);
            m = bond_member_for(b, mac((unsigned int)rand()), 0, &bucket);
            assert_int_equal(m != NULL, enabled > 0);
            assert_true(!m || m->enabled);
            bond_count(b, bucket, (uint64_t)rand());
            assert_true(bond_next_ms(b) > now);
        }
        bond_destroy(b);
    }
}

/* ---- with ports and NORMAL ---- */

static struct port *member(struct env *e, const char *name, unsigned int n, const struct vlan_config *vlan)
{
    struct port *port;

    assert_int_equal(
        bridge_port_add(e->br,
                        &(struct port_config){
                            .name = name, .ofp_port = ofp_port(n), .kind = PORT_SYSTEM, .bond = "bond0", .vlan = *vlan},
                        &port),
        0);
    bridge_port_set_link(port, mac(0x100 + n), false, false, 0, 0);
    return port;
}

/* Ports 1 a and 2 b (trunks); 3 m1 and 4 m2 are bond0. Datapath ports have the same numbers. */
static struct env *bonded(enum bond_mode mode, const struct vlan_config *vlan)
{
    struct env *e = xcalloc(1, sizeof *e);
    struct bond_settings s;

    memset(&s, 0, sizeof s);
    s.mode = mode;
    env_init(e);
    env_port(e->br, "a", 1);
    env_port(e->br, "b", 2);
    env_flow(e->br, "priority=0,actions=normal");
    assert_int_equal(bridge_bond_set(e->br, "bond0", &s), 0);
    member(e, "m1", 3, vlan);
    member(e, "m2", 4, vlan);
    megaflow_revalidate_all(e->sw);
    fake_take_executed(e->sw);
    return e;
}

static const struct vlan_config trunk = {.mode = VLAN_TRUNK, .all_trunks = true};

static void done(struct env *e)
{
    env_done(e);
    free(e);
}

static void fail_link(struct env *e, const char *name)
{
    struct port *p = bridge_port_by_name(e->br, name);

    bridge_port_set_link(p, p->mac, false, true, 0, 0);
    megaflow_revalidate_all(e->sw);
}

static void test_active_backup_traffic(void **state WR_UNUSED)
{
    struct env *e = bonded(BOND_ACTIVE_BACKUP, &trunk);

    /* A flood leaves by the active member only, and what comes back by the other is dropped. */
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "2,3");
    assert_string_equal(env_in(e, 4, env_udp(0xff, 1, 0)), "drop(bond_inactive)");
    assert_string_equal(env_in(e, 3, env_udp(1, 9, 0)), "1");
    /* Nothing from one member to another. */
    assert_string_equal(env_in(e, 3, env_udp(0xff, 9, 0)), "1,2");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(9, 1, 0)), "3");
    /* Failover: 1's and 9's flows move; 1 is announced by the new member. */
    fail_link(e, "m1");
    assert_string_equal(fake_take_executed(e->sw), "4");
    assert_string_equal(env_in(e, 1, env_udp(9, 1, 0)), "4");
    assert_string_equal(env_in(e, 4, env_udp(1, 9, 0)), "1");
    assert_string_equal(env_in(e, 3, env_udp(1, 9, 0)), "drop(bond_inactive)");
    assert_int_equal(bridge_bond_find(e->br, "bond0")->n_announced, 1);
    fail_link(e, "m2");
    assert_string_equal(env_in(e, 1, env_udp(9, 1, 0)), "2"); /* its addresses are forgotten: a flood */
    done(e);
}

static void test_announcements_are_rarps(void **state WR_UNUSED)
{
    const struct vlan_config native = {.mode = VLAN_NATIVE_UNTAGGED, .tag = 5, .all_trunks = true};
    struct env *e = bonded(BOND_ACTIVE_BACKUP, &native);

    env_in(e, 1, env_udp(0xff, 1, 5));
    env_in(e, 1, env_udp(0xff, 7, 6));
    env_in(e, 3, env_udp(0xff, 9, 0)); /* lives behind the bond: not told */
    fake_take_executed(e->sw);
    assert_int_equal(bundle_set_active(bridge_bond_find(e->br, "bond0"), "m2"), 0);
    assert_string_equal(fake_take_executed(e->sw), "4; 4");
    done(e);
}

static void test_slb_traffic(void **state WR_UNUSED)
{
    struct env *e = bonded(BOND_BALANCE_SLB, &trunk);
    struct bundle_bond *bb = bridge_bond_find(e->br, "bond0");
    unsigned int first;
    char out[8];
    int bucket;

    first = ofp_port_u32(bond_member_for(bb->bond, mac(1), 0, &bucket)->port);
    snprintf(out, sizeof out, "2,%u", first);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), out);
    megaflow_sync_stats(e->sw);
    assert_int_equal(bb->bond->buckets[bucket].tx_bytes, 60);
    /* What the switch upstream floods back: by the other member multicast never comes in, and what was ours is not
     * taken for a move. */
    assert_string_equal(env_in(e, 4, env_udp(0xff, 50, 0)), "drop(bond_inactive)");
    assert_string_equal(env_in(e, 3, env_udp(0xff, 1, 0)), "drop(bond_moved)");
    assert_string_equal(env_in(e, 4, env_udp(2, 1, 0)), "drop(bond_moved)");
    assert_int_equal(ofp_port_u32(mac_table_lookup(&e->br->macs, 0, mac(1), time_mono_ms())->port), 1);
    /* Unicast of others comes in by either. */
    assert_string_equal(env_in(e, 4, env_udp(1, 60, 0)), "1");
    /* A bucket that moves takes its flows along. */
    assert_int_equal(bundle_migrate(bb, (unsigned int)bucket, first == 3 ? "m2" : "m1"), 0);
    megaflow_revalidate_all(e->sw);
    snprintf(out, sizeof out, "2,%u", 7 - first);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), out);
    done(e);
}

/* A broadcast ARP request of SRC for its own address. */
static struct packet *garp(unsigned int src)
{
    return env_arp(src, src, 0);
}

static void test_gratuitous_arp(void **state WR_UNUSED)
{
    struct env *e = bonded(BOND_BALANCE_SLB, &trunk);
    int64_t t = time_mono_ms();

    env_in(e, 1, env_udp(0xff, 1, 0));
    /* The host moves behind the bond and says so. */
    assert_string_equal(env_in(e, 3, garp(1)), "1,2");
    megaflow_revalidate_all(e->sw);
    assert_int_equal(ofp_port_u32(mac_table_lookup(&e->br->macs, 0, mac(1), t)->port), 3);
    /* It moves back with a gratuitous ARP, whose reflection does not fool us for 5 s. */
    env_in(e, 1, garp(1));
    megaflow_revalidate_all(e->sw);
    assert_int_equal(ofp_port_u32(mac_table_lookup(&e->br->macs, 0, mac(1), t)->port), 1);
    assert_string_equal(env_in(e, 3, garp(1)), "drop(bond_moved)");
    /* Any other ARP is none of this. */
    assert_string_equal(env_in(e, 3, env_arp(1, 2, 0)), "drop(bond_moved)");
    done(e);
}

static void test_bond_takes_mirrors_and_names(void **state WR_UNUSED)
{
    struct env *e = bonded(BOND_ACTIVE_BACKUP, &trunk);
    const char *const src[] = {"bond0"};
    const struct mirror_config in = {.name = "m", .src_ports = src, .n_src_ports = 1, .output_port = "b"};
    const struct mirror_config out = {.name = "m", .select_all = true, .output_port = "bond0"};

    assert_int_equal(bridge_set_mirrors(e->br, &in, 1), 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 3, env_udp(0xff, 9, 0)), "2,1");
    /* By OpenFlow, a member is a port like any other. */
    env_flow(e->br, "priority=5,in_port=1,actions=output:4");
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "4");
    env_del(e->br, "in_port=1");
    assert_int_equal(bridge_set_mirrors(e->br, &out, 1), 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "3,2");
    assert_string_equal(env_in(e, 4, env_udp(0xff, 1, 0)), "drop(mirror)");
    done(e);
}

static void test_refused(void **state WR_UNUSED)
{
    struct env *e = bonded(BOND_ACTIVE_BACKUP, &trunk);
    const struct bond_settings s = {0};

    assert_int_equal(bridge_bond_set(e->br, "a", &s), -EEXIST);
    assert_int_equal(
        bridge_port_add(e->br,
                        &(struct port_config){
                            .name = "x", .ofp_port = ofp_port(9), .kind = PORT_SYSTEM, .bond = "bond9", .vlan = trunk},
                        NULL),
        -ENOENT);
    assert_int_equal(bridge_port_add(e->br,
                                     &(struct port_config){.name = "x",
                                                           .ofp_port = ofp_port(9),
                                                           .kind = PORT_PATCH,
                                                           .patch_peer = "y",
                                                           .bond = "bond0",
                                                           .vlan = trunk},
                                     NULL),
                     -EINVAL);
    /* A bond that goes leaves ports of their own. */
    bridge_bond_del(e->br, "bond0");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(0xff, 1, 0)), "2,3,4");
    done(e);
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
    const struct CMUnitTest tests[] = {
        T(test_first_link_is_taken_at_once),
        T(test_delays),
        T(test_primary),
        T(test_last_active),
        T(test_members_come_and_go),
        T(test_by_hand),
        T(test_hash_is_steady_and_spread),
        T(test_failed_members_buckets_move),
        T(test_rebalancing),
        T(test_no_rebalancing),
        T(test_invariants_at_random),
        T(test_active_backup_traffic),
        T(test_announcements_are_rarps),
        T(test_slb_traffic),
        T(test_gratuitous_arp),
        T(test_bond_takes_mirrors_and_names),
        T(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
