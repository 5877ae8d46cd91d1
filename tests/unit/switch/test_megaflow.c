/* SPDX-License-Identifier: Apache-2.0 */
/* Megaflows: counters add up whatever happens to flows and tables in between; limits; idleness. */
#include "env.h"

#include <unistd.h>

#include "switch/translate.h"

static int setup(void **state)
{
    env_setup(state, 3);
    return 0;
}

static uint64_t packets(struct env *e, const char *flow)
{
    megaflow_sync_stats(e->sw);
    return env_rule(e->br, flow)->packets;
}

static void test_every_rule_counts(void **state)
{
    struct env *e = *state;
    struct table_stats stats;

    env_flow(e->br, "in_port=1,actions=resubmit(,1)");
    env_flow(e->br, "table=1,dl_dst=02:00:00:00:00:02,actions=output:2");
    for (unsigned int i = 0; i < 10; i++) {
        env_in(e, 1, env_udp(2 + i % 2, 1, 0));
    }
    assert_int_equal(megaflow_count(e->sw), 2);
    assert_int_equal(packets(e, "in_port=1,actions=drop"), 10);
    assert_int_equal(packets(e, "table=1,dl_dst=02:00:00:00:00:02,actions=drop"), 5);
    assert_int_equal(env_rule(e->br, "in_port=1,actions=drop")->bytes, 10 * 60);
    flow_table_get_stats(e->br, 1, &stats);
    assert_int_equal(stats.lookup, 10);
    assert_int_equal(stats.matched, 5);
    megaflow_sync_stats(e->sw);
    assert_int_equal(packets(e, "in_port=1,actions=drop"), 10);
}

/* Nor do the counters of packets before a learn action went bring back what it had taught and somebody deleted. */
static void test_learned_flows_stay_deleted(void **state)
{
    struct env *e = *state;

    env_flow(e->br,
             "in_port=1,actions=learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),output:2");
    env_in(e, 1, env_udp(2, 1, 0));
    env_in(e, 1, env_udp(2, 1, 0));
    assert_non_null(env_rule(e->br, "table=1,dl_dst=02:00:00:00:00:01,actions=drop"));
    env_del(e->br, "");
    megaflow_revalidate_all(e->sw);
    assert_null(env_rule(e->br, "table=1,dl_dst=02:00:00:00:00:01,actions=drop"));
}

/* Tables change under traffic: the packets before count for the old rule, those after for the new one. */
static void test_counters_over_changes(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "priority=1,actions=output:2");
    for (int i = 0; i < 4; i++) {
        env_in(e, 1, env_udp(2, 1, 0));
    }
    env_flow(e->br, "priority=2,actions=output:3");
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_count(e->sw), 1); /* mended in place */
    for (int i = 0; i < 3; i++) {
        assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "3");
    }
    /* Now the mask is too wide: the megaflow goes, its last counters stay. */
    env_flow(e->br, "priority=3,dl_dst=02:00:00:00:00:02,actions=output:2");
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_count(e->sw), 0);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_int_equal(packets(e, "priority=1,actions=drop"), 4);
    assert_int_equal(packets(e, "priority=2,actions=drop"), 3);
    assert_int_equal(packets(e, "priority=3,dl_dst=02:00:00:00:00:02,actions=drop"), 1);
}

/* Who is about to say that a change is made has no turn of the loop to wait for. */
static void test_catch_up(void **state)
{
    struct env *e = *state;

    megaflow_catch_up(e->sw); /* nothing is there */
    env_flow(e->br, "priority=1,actions=output:2");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    env_flow(e->br, "priority=2,actions=output:3");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    megaflow_catch_up(e->sw);
    assert_int_equal(megaflow_count(e->sw), 1);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "3");
    assert_int_equal(megaflow_n_revalidated(e->sw), 1);
    megaflow_catch_up(e->sw); /* nothing is due */
    assert_int_equal(megaflow_n_revalidated(e->sw), 1);
}

/* The contents decide, which no megaflow matches: each packet counts where its own way led. */
static void test_counters_by_contents(void **state)
{
    static const char small[] = "table=1,reg0=0,actions=drop", large[] = "table=1,reg0=1,actions=drop";
    struct env *e = *state;
    struct table_stats stats;

    env_flow(e->br, "actions=check_pkt_larger(100)->reg0[0],resubmit(,1)");
    env_flow(e->br, "table=1,reg0=0,actions=output:2");
    env_flow(e->br, "table=1,idle_timeout=10,reg0=1,actions=output:3");
    for (unsigned int i = 0; i < 10; i++) {
        struct packet *p = env_udp(2, 1, 0);
        uint8_t padded[150] = {0};
        bool pad = i % 5 > 1;

        if (pad) {
            memcpy(padded, p->data, p->len);
            packet_free(p);
            p = packet_new(padded, sizeof padded);
        }
        assert_string_equal(env_in(e, 1, p), pad ? "3" : "2");
        megaflow_revalidate_all(e->sw);
    }
    assert_int_equal(megaflow_count(e->sw), 1);
    assert_int_equal(packets(e, small), 4);
    assert_int_equal(packets(e, large), 6);
    assert_int_equal(env_rule(e->br, small)->bytes, 4 * 60);
    assert_int_equal(env_rule(e->br, large)->bytes, 6 * 150);
    assert_int_equal(packets(e, "actions=drop"), 10);
    flow_table_get_stats(e->br, 1, &stats);
    assert_int_equal(stats.matched, 10);
}

/* Which of two prefixes tells that a rule does not match: the same one when the megaflow is translated again. */
static void test_prefixes_again(void **state)
{
    struct env *e = *state;
    char *before, *after;

    env_flow(e->br, "priority=2,ip,nw_src=12.0.0.0/16,nw_dst=10.0.0.0/24,actions=drop");
    env_flow(e->br, "priority=1,actions=resubmit(,1)");
    env_flow(e->br, "table=1,priority=2,ip,nw_src=10.0.0.0/20,nw_dst=12.0.0.0/20,actions=drop");
    env_flow(e->br, "table=1,priority=1,actions=output:2");
    env_in(e, 1, env_udp(2, 1, 0));
    before = env_megaflow(e);
    env_flow(e->br, "priority=3,arp,actions=drop");
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_count(e->sw), 1);
    after = env_megaflow(e);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_idle(void **state)
{
    struct env *e = *state;
    int64_t t = time_mono_ms();

    env_flow(e->br, "actions=output:2");
    env_in(e, 1, env_udp(2, 1, 0));
    fake_set_now(e->sw, t + 5000);
    env_in(e, 1, env_udp(2, 1, 0));
    switch_tick(e->sw, t + 11000);
    assert_int_equal(fake_n_flows(e->sw), 1);
    switch_tick(e->sw, t + 15001);
    assert_int_equal(fake_n_flows(e->sw), 0);
    assert_int_equal(megaflow_count(e->sw), 0);
    assert_int_equal(env_rule(e->br, "actions=drop")->packets, 2);
}

static void test_limit(void **state)
{
    struct env *e = *state;

    megaflow_set_limits(e->sw, 3, 10000);
    env_flow(e->br, "dl_dst=02:00:00:00:00:fe,actions=drop");
    env_flow(e->br, "priority=1,actions=output:2");
    for (unsigned int i = 0; i < 8; i++) {
        assert_string_equal(env_in(e, 1, env_udp(i, 1, 0)), "2");
    }
    assert_int_equal(megaflow_count(e->sw), 3);
    assert_int_equal(packets(e, "priority=1,actions=drop"), 8);
}

/* The event loop alone brings changes down. */
static void test_revalidation_by_the_loop(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "priority=1,actions=output:2");
    env_in(e, 1, env_udp(2, 1, 0));
    env_flow(e->br, "priority=2,actions=output:3");
    event_base_loop(e->base, EVLOOP_NONBLOCK);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "3");
}

static void test_port_removal(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "actions=output:2,output:3");
    env_in(e, 1, env_udp(2, 1, 0));
    bridge_port_del(bridge_port_by_name(e->br, "p3"));
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    bridge_port_del(bridge_port_by_name(e->br, "p1"));
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_count(e->sw), 0);
    assert_int_equal(packets(e, "actions=drop"), 2);
}

/* What leads through a bridge goes with it, by whatever way; others' megaflows are not touched. */
static void test_bridge_removal(void **state)
{
    struct env *e = *state;
    struct bridge *br1, *br2;

    bridge_create(e->sw, "br1", &br1);
    bridge_create(e->sw, "br2", &br2);
    env_patch(e->br, "to1", 10, "to0");
    env_patch(br1, "to0", 20, "to1");
    env_port(br1, "q", 21);
    env_port(br2, "r", 31);
    env_port(br2, "s", 32);
    env_flow(e->br, "in_port=1,actions=output:2");
    env_flow(e->br, "in_port=2,actions=output:10");
    env_flow(br1, "in_port=20,actions=output:21");
    env_flow(br2, "in_port=31,actions=output:32");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_string_equal(env_in(e, 2, env_udp(2, 1, 0)), "4");
    assert_string_equal(env_in(e, 4, env_udp(2, 1, 0)), "drop(table_miss)");
    assert_string_equal(env_in(e, 5, env_udp(2, 1, 0)), "6");
    assert_int_equal(megaflow_count(e->sw), 4);
    bridge_destroy(br1);
    assert_int_equal(fake_n_flows(e->sw), 2);
    megaflow_revalidate_all(e->sw);
    assert_int_equal(fake_n_flows(e->sw), 2);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_string_equal(env_in(e, 2, env_udp(2, 1, 0)), "drop(patch_no_peer)");
    assert_int_equal(packets(e, "in_port=1,actions=drop"), 2);
    assert_int_equal(packets(e, "in_port=2,actions=drop"), 2);
    bridge_destroy(br2);
    assert_int_equal(fake_n_flows(e->sw), 2);
}

/* As of a port that the process before us had: it drops that packet, and keeps nothing in mind. */
static void test_unknown_port(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);
    uint64_t drops[DROP_MAX] = {0};
    struct flow_key key;

    env_flow(e->br, "actions=output:2");
    p->in_port = dp_port(99);
    flow_key_extract(p, &key);
    megaflow_upcall(e->sw, &(struct dp_upcall){.reason = DP_UPCALL_MISS, .packet = p, .key = &key});
    assert_int_equal(megaflow_count(e->sw), 0);
    switch_drops(e->sw, drops);
    assert_int_equal(drops[DROP_NO_PORT], 1);
    packet_free(p);
}

static void test_missing_netdev(void **state)
{
    struct env *e = *state;
    const struct port_config c = {.name = "missing", .ofp_port = ofp_port(7), .vlan = {.all_trunks = true}};

    assert_int_equal(bridge_port_add(e->br, &c, NULL), -ENODEV);
    assert_null(bridge_port_by_ofp(e->br, ofp_port(7)));
}

/* Only what looked at the table, or at the address, that changed is translated again. */
static void test_fine_revalidation(void **state)
{
    struct env *e = *state;
    uint64_t n;

    env_flow(e->br, "table=0,in_port=1,actions=resubmit(,1)");
    env_flow(e->br, "table=0,in_port=2,actions=normal");
    env_flow(e->br, "table=1,actions=output:3");
    env_in(e, 1, env_udp(2, 1, 0));
    env_in(e, 2, env_udp(7, 8, 0));
    megaflow_revalidate_all(e->sw);
    n = megaflow_n_revalidated(e->sw);
    env_flow(e->br, "table=2,actions=output:3");
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_n_revalidated(e->sw), n);
    env_flow(e->br, "table=1,actions=output:2");
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_n_revalidated(e->sw), n + 1);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    mac_table_learn(&e->br->macs, 0, (struct eth_addr){{2, 0, 0, 0, 0, 9}}, ofp_port(3), time_mono_ms());
    switch_macs_changed(e->br);
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_n_revalidated(e->sw), n + 1);
    mac_table_learn(&e->br->macs, 0, (struct eth_addr){{2, 0, 0, 0, 0, 7}}, ofp_port(3), time_mono_ms());
    switch_macs_changed(e->br);
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_n_revalidated(e->sw), n + 2);
    assert_string_equal(env_in(e, 2, env_udp(7, 8, 0)), "3");
    switch_changed(e->sw);
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_n_revalidated(e->sw), n + 4);
}

/* What a datapath did is translated again: a megaflow that does something else goes, one that is right stays. */
static void test_sample(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);
    struct flow_key key, mask, masked;
    struct dp_flow flow = {.key = &masked, .mask = &mask};
    struct xlate_out out;

    env_flow(e->br, "in_port=1,dl_dst=02:00:00:00:00:02,actions=output:2");
    p->in_port = dp_port(1);
    flow_key_extract(p, &key);
    packet_free(p);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    translate(&(struct xlate_in){.sw = e->sw, .key = &key}, &out);
    mask = out.mask;
    flow_key_and(&masked, &key, &mask);
    flow.actions = (const struct dp_action *)(const void *)out.actions;
    flow.actions_len = out.actions_len;
    megaflow_sample(e->sw, &key, &flow, true);
    assert_int_equal(megaflow_count(e->sw), 1);
    megaflow_sample(e->sw, &key, &flow, false); /* the datapath says that it did not do that */
    assert_int_equal(megaflow_count(e->sw), 0);
    assert_int_equal(fake_n_flows(e->sw), 0);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_int_equal(megaflow_count(e->sw), 1);
    /* A packet that this megaflow should not have been used for: its translation is a drop. */
    key.eth_dst.a[5] = 3;
    megaflow_sample(e->sw, &key, &flow, true);
    assert_int_equal(megaflow_count(e->sw), 0);
    assert_int_equal(packets(e, "in_port=1,dl_dst=02:00:00:00:00:02,actions=drop"), 2); /* what it counted stays */
    xlate_out_done(&out);
}

/* An address that is too old by now, but has not been removed yet, accuses no megaflow that leads to it. */
static void test_sample_of_an_old_address(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);
    struct flow_key key, mask, masked;
    struct dp_flow flow = {.key = &masked, .mask = &mask};
    struct xlate_out out;

    p->in_port = dp_port(1);
    flow_key_extract(p, &key);
    packet_free(p);
    env_flow(e->br, "actions=NORMAL");
    bridge_set_mac_limits(e->br, 100, 100);
    switch_tick(e->sw, time_mono_ms());
    env_in(e, 2, env_udp(1, 2, 0));
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    megaflow_revalidate_all(e->sw);
    translate(&(struct xlate_in){.sw = e->sw, .key = &key, .now = time_mono_ms()}, &out);
    mask = out.mask;
    flow_key_and(&masked, &key, &mask);
    flow.actions = (const struct dp_action *)(const void *)out.actions;
    flow.actions_len = out.actions_len;
    usleep(150000);
    assert_int_equal(megaflow_count(e->sw), 2);
    megaflow_sample(e->sw, &key, &flow, true);
    assert_int_equal(megaflow_count(e->sw), 2);
    /* With the next tick it is gone, and so is what led there. */
    switch_tick(e->sw, time_mono_ms());
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2,3");
    xlate_out_done(&out);
}

/* ---- flows of a process before us ---- */

struct left {
    struct flow_key key, mask;
    struct dp_flow flow;
};

/* As that process's megaflow for packets like P from port IN was, last used AGE_MS ago. */
static void left_by(struct left *l, struct env *e, unsigned int in, struct packet *p, int64_t age_ms)
{
    struct xlate_out out;
    struct flow_key key;

    p->in_port = dp_port(in);
    flow_key_extract(p, &key);
    packet_free(p);
    translate(&(struct xlate_in){.sw = e->sw, .key = &key, .now = time_mono_ms()}, &out);
    l->mask = out.mask;
    flow_key_and(&l->key, &key, &out.mask);
    l->flow = (struct dp_flow){.key = &l->key, .mask = &l->mask, .stats.used_ms = time_mono_ms() - age_ms};
    xlate_out_done(&out);
}

static bool learn(struct env *e, struct left *l, size_t n)
{
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        any |= megaflow_learn(e->sw, &l[i].flow);
    }
    return any;
}

static void adopt(struct env *e, struct left *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        megaflow_adopt(e->sw, &l[i].flow);
    }
}

static unsigned int place(struct env *e, uint8_t station)
{
    const struct mac_entry *m =
        mac_table_lookup(&e->br->macs, 0, (struct eth_addr){{2, 0, 0, 0, 0, station}}, time_mono_ms());

    return m ? ofp_port_u32(m->port) : 0;
}

/* Each needs the address that the other teaches: both come out right at once, and nothing is left to mend. */
static void test_adopted_addresses(void **state)
{
    struct env *e = *state;
    struct left l[2];
    uint64_t n;

    env_flow(e->br, "actions=normal");
    left_by(&l[0], e, 1, env_udp(2, 1, 0), 50000);
    left_by(&l[1], e, 2, env_udp(1, 2, 0), 40000);
    assert_true(learn(e, l, 2));
    assert_false(learn(e, l, 2));
    assert_int_equal(megaflow_count(e->sw), 0);
    adopt(e, l, 2);
    assert_int_equal(megaflow_count(e->sw), 2);
    n = megaflow_n_revalidated(e->sw);
    megaflow_revalidate_all(e->sw);
    assert_int_equal(megaflow_n_revalidated(e->sw), n);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
    assert_int_equal(packets(e, "actions=drop"), 2); /* none is counted but ours */
}

/* Who moved is where it was last, whichever flow is looked at first; what a packet has taught us meanwhile stands. */
static void test_adopted_addresses_that_moved(void **state)
{
    struct env *e = *state;
    struct left l[4];

    env_flow(e->br, "actions=normal");
    left_by(&l[0], e, 2, env_udp(1, 2, 0), 20000);
    left_by(&l[1], e, 3, env_udp(1, 2, 0), 30000);
    left_by(&l[2], e, 1, env_udp(2, 1, 0), 100);
    left_by(&l[3], e, 3, env_udp(2, 4, 0), 400000); /* beyond the age of addresses */
    env_in(e, 3, env_udp(2, 1, 0));
    learn(e, l, 4);
    assert_int_equal(place(e, 2), 2);
    assert_int_equal(place(e, 1), 3);
    l[3].flow.stats.used_ms = 0; /* foreseen, and never used */
    assert_false(learn(e, &l[3], 1));
    adopt(e, &l[3], 1);
    assert_int_equal(megaflow_count(e->sw), 2);
    assert_int_equal(mac_table_count(&e->br->macs), 2);
    l[1].flow.stats.used_ms = time_mono_ms();
    learn(e, l, 4);
    assert_int_equal(place(e, 2), 3);
}

/* A flow that does not tell the address, as it was made by other tables. */
static void test_adopted_from_other_tables(void **state)
{
    struct env *e = *state;
    struct left l;

    env_flow(e->br, "in_port=1,actions=output:2");
    left_by(&l, e, 1, env_udp(2, 1, 0), 10);
    env_flow(e->br, "in_port=1,actions=normal");
    assert_false(learn(e, &l, 1));
    adopt(e, &l, 1);
    assert_int_equal(mac_table_count(&e->br->macs), 0);
    assert_int_equal(megaflow_count(e->sw), 0);
}

#define LEARNED(n) "table=1,priority=32768,dl_dst=02:00:00:00:00:0" #n ",actions=drop"

/* A learned flow as old as the packet, not made if it would be over, and not changed by what is older than it. */
static void test_adopted_learn_actions(void **state)
{
    struct env *e = *state;
    struct left l[3];
    int64_t now = time_mono_ms();

    env_flow(e->br, "actions=learn(table=1,idle_timeout=30,hard_timeout=300,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
                    "output:NXM_OF_IN_PORT[]),resubmit(,1)");
    env_flow(e->br, "table=1,priority=0,actions=flood");
    env_in(e, 1, env_udp(2, 1, 0));
    left_by(&l[0], e, 1, env_udp(2, 1, 0), 100000);
    left_by(&l[1], e, 2, env_udp(1, 2, 0), 60000);
    left_by(&l[2], e, 3, env_udp(1, 4, 0), 301000);
    megaflow_flush(e->sw);
    env_del(e->br, "table=1,dl_dst=02:00:00:00:00:01");
    learn(e, l, 3);
    adopt(e, l, 3);
    assert_in_range(env_rule(e->br, LEARNED(2))->modified_ms, now - 60000, now - 59000);
    switch_tick(e->sw, now + 29000); /* nobody knows how long it has been idle */
    assert_non_null(env_rule(e->br, LEARNED(2)));
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_string_equal(env_in(e, 2, env_udp(1, 2, 0)), "1");
    assert_null(env_rule(e->br, LEARNED(4)));
    left_by(&l[2], e, 3, env_udp(1, 2, 0), 70000);
    learn(e, l, 3);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    l[2].flow.stats.used_ms = time_mono_ms();
    learn(e, l, 3);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "3");
}

/* A bridge that has its flows again: those that were learned and deleted come back only by what came since then. */
static void test_adopted_in_a_restored_bridge(void **state)
{
    struct env *e = *state;
    struct left l;

    env_flow(e->br, "actions=learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])");
    left_by(&l, e, 2, env_udp(1, 2, 0), 1000);
    e->br->restored_ms = time_mono_ms() - 500;
    learn(e, &l, 1);
    assert_null(env_rule(e->br, LEARNED(2)));
    l.flow.stats.used_ms += 600;
    learn(e, &l, 1);
    assert_non_null(env_rule(e->br, LEARNED(2)));
}

/* ---- */

static bool settle(struct datapath *dp WR_UNUSED, enum dp_stage stage WR_UNUSED)
{
    return false;
}

/* A datapath that outlives us has megaflows for what stations will ask each other before they do. */
static void test_neighbours(void **state)
{
    struct env *e = *state;
    struct dp_class outliving = fake_dp_class;
    char *text;

    env_flow(e->br, "ip,actions=output:2");
    env_flow(e->br, "arp,dl_dst=ff:ff:ff:ff:ff:ff,actions=output:2,output:3");
    env_flow(e->br, "arp,dl_dst=02:00:00:00:00:02,arp_spa=10.0.0.1,actions=output:2");
    env_in(e, 1, env_udp(2, 1, 0));
    assert_int_equal(megaflow_count(e->sw), 1);
    megaflow_flush(e->sw);
    outliving.settle = settle;
    e->sw->dp->class = &outliving;
    env_in(e, 1, env_udp(2, 1, 0));
    assert_int_equal(megaflow_count(e->sw), 3);
    assert_string_equal(env_in(e, 1, env_arp(1, 2, 0)), "2,3");
    assert_int_equal(megaflow_count(e->sw), 3);
    assert_int_equal(packets(e, "arp,dl_dst=ff:ff:ff:ff:ff:ff,actions=drop"), 1);
    assert_int_equal(packets(e, "arp,dl_dst=02:00:00:00:00:02,arp_spa=10.0.0.1,actions=drop"), 0);
    /* Gone with the others they are foreseen again. */
    megaflow_flush(e->sw);
    env_in(e, 1, env_udp(2, 1, 0));
    assert_int_equal(megaflow_count(e->sw), 3);
    /* What would be dropped is left to a packet that comes. */
    env_in(e, 3, env_udp(3, 4, 0));
    assert_int_equal(megaflow_count(e->sw), 5);
    /* The receiver's answer to the sender, which in_port 2 alone may give. */
    env_flow(e->br, "priority=40000,arp,in_port=2,dl_dst=02:00:00:00:00:05,arp_spa=10.0.0.6,actions=output:1");
    megaflow_flush(e->sw);
    env_in(e, 1, env_udp(6, 5, 0));
    text = env_megaflow(e);
    assert_non_null(strstr(text, "in_port(2),eth(dst=02:00:00:00:00:05)"));
    free(text);
    e->sw->dp->class = &fake_dp_class;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
    const struct CMUnitTest tests[] = {T(test_every_rule_counts),
                                       T(test_learned_flows_stay_deleted),
                                       T(test_counters_over_changes),
                                       T(test_catch_up),
                                       T(test_counters_by_contents),
                                       T(test_prefixes_again),
                                       T(test_idle),
                                       T(test_limit),
                                       T(test_revalidation_by_the_loop),
                                       T(test_port_removal),
                                       T(test_bridge_removal),
                                       T(test_unknown_port),
                                       T(test_missing_netdev),
                                       T(test_fine_revalidation),
                                       T(test_sample),
                                       T(test_sample_of_an_old_address),
                                       T(test_neighbours),
                                       T(test_adopted_addresses),
                                       T(test_adopted_addresses_that_moved),
                                       T(test_adopted_from_other_tables),
                                       T(test_adopted_learn_actions),
                                       T(test_adopted_in_a_restored_bridge)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
