/* SPDX-License-Identifier: Apache-2.0 */
/* flow_mod semantics: strict and loose, cookies, filters, overlap, timeouts, and lists that apply as one. */
#include "env.h"

struct removed {
    unsigned int n;
    enum flow_removed_reason reason;
    uint64_t packets;
};

static struct removed removed;

static void on_removed(void *aux WR_UNUSED, struct bridge *br WR_UNUSED, const struct rule *rule,
                       enum flow_removed_reason reason)
{
    removed.n++;
    removed.reason = reason;
    removed.packets = rule->packets;
}

static int setup(void **state)
{
    static const struct bridge_hooks hooks = {.flow_removed = on_removed};
    struct env *e = env_setup(state, 2);

    bridge_set_hooks(e->br, &hooks);
    removed = (struct removed){0};
    return 0;
}

static int count_one(void *aux, const struct rule *rule WR_UNUSED)
{
    ++*(unsigned int *)aux;
    return 0;
}

static unsigned int count(struct env *e)
{
    const struct flow_filter all = {.table = TABLE_ID_ALL, .out_port = OFPP_ANY};
    unsigned int n = 0;

    flow_table_for_each(e->br, &all, count_one, &n);
    return n;
}

static void test_add_replaces(void **state)
{
    struct env *e = *state;
    const struct rule *r;

    env_flow(e->br, "in_port=1,cookie=1,actions=output:2");
    env_flow(e->br, "in_port=1,cookie=2,actions=drop");
    env_flow(e->br, "in_port=1,priority=7,actions=drop");
    assert_int_equal(count(e), 2);
    r = env_rule(e->br, "in_port=1,actions=drop");
    assert_int_equal(__builtin_bswap64(r->cookie), 2);
    assert_int_equal(r->actions->len, 0);
    assert_int_equal(removed.n, 0);
}

static void test_modify(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "in_port=1,priority=1,actions=drop");
    env_flow(e->br, "in_port=1,priority=2,actions=drop");
    env_flow(e->br, "in_port=2,priority=2,actions=drop");
    assert_int_equal(env_apply(e->br, "in_port=1,priority=2,actions=output:2", FLOW_MOD_MODIFY_STRICT), 0);
    assert_int_equal(env_rule(e->br, "in_port=1,priority=1,actions=drop")->actions->len, 0);
    assert_int_not_equal(env_rule(e->br, "in_port=1,priority=2,actions=drop")->actions->len, 0);
    assert_int_equal(env_apply(e->br, "in_port=1,actions=output:2", FLOW_MOD_MODIFY), 0);
    assert_int_not_equal(env_rule(e->br, "in_port=1,priority=1,actions=drop")->actions->len, 0);
    assert_int_equal(env_rule(e->br, "in_port=2,priority=2,actions=drop")->actions->len, 0);
    assert_int_equal(env_apply(e->br, "in_port=9,actions=output:2", FLOW_MOD_MODIFY), 0);
    assert_int_equal(count(e), 3);
}

static void test_delete(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "in_port=1,cookie=0x11,actions=output:1");
    env_flow(e->br, "in_port=1,tcp,cookie=0x12,actions=output:2");
    env_flow(e->br, "table=5,in_port=1,cookie=0x21,actions=output:2");
    env_flow(e->br, "table=5,in_port=2,cookie=0x22,actions=output:2");
    env_del(e->br, "table=0,in_port=1,out_port=7");
    assert_int_equal(count(e), 4);
    env_del(e->br, "cookie=0x20/0xf0,in_port=1");
    assert_int_equal(count(e), 3);
    assert_int_equal(env_apply(e->br, "table=0,in_port=1,priority=5", FLOW_MOD_DELETE_STRICT), 0);
    assert_int_equal(count(e), 3);
    env_del(e->br, "out_port=2,in_port=1");
    assert_int_equal(count(e), 2);
    env_del(e->br, "");
    assert_int_equal(count(e), 0);
    assert_int_equal(removed.n, 0);
}

static void test_overlap(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "in_port=1,priority=5,actions=drop");
    assert_int_equal(env_apply(e->br, "check_overlap,dl_type=0x0800,priority=5,actions=drop", FLOW_MOD_ADD),
                     OFERR_FLOW_MOD_OVERLAP);
    assert_int_equal(env_apply(e->br, "check_overlap,dl_type=0x0800,priority=6,actions=drop", FLOW_MOD_ADD), 0);
    assert_int_equal(count(e), 2);
    /* What is in its own place is replaced, whatever else overlaps: as often as it is told. */
    env_flow(e->br, "in_port=2,priority=6,actions=drop");
    assert_int_equal(env_apply(e->br, "check_overlap,dl_type=0x0800,priority=6,actions=output:1", FLOW_MOD_ADD), 0);
    assert_int_equal(count(e), 3);
    assert_true(env_rule(e->br, "dl_type=0x0800,priority=6,actions=drop")->actions->len > 0);
}

static void test_bundle(void **state)
{
    struct env *e = *state;
    struct flow_spec specs[4];
    struct flow_change changes[4];
    struct table_stats stats;
    size_t bad = 99;

    env_flow(e->br, "in_port=1,priority=5,cookie=7,actions=drop");
    env_flow(e->br, "in_port=2,priority=5,idle_timeout=9,actions=output:1");
    changes[0] = env_change("in_port=1,priority=5,cookie=8,actions=output:2", FLOW_MOD_ADD, &specs[0]);
    changes[1] = env_change("in_port=2", FLOW_MOD_DELETE, &specs[1]);
    changes[2] = env_change("in_port=3,actions=drop", FLOW_MOD_ADD, &specs[2]);
    changes[3] = env_change("dl_type=0x0800,check_overlap,priority=5,actions=drop", FLOW_MOD_ADD, &specs[3]);
    assert_int_equal(flow_table_apply_all(e->br, changes, 4, time_mono_ms(), &bad), OFERR_FLOW_MOD_OVERLAP);
    assert_int_equal(bad, 3);
    assert_int_equal(count(e), 2);
    assert_int_equal(__builtin_bswap64(env_rule(e->br, "in_port=1,priority=5,actions=drop")->cookie), 7);
    assert_int_equal(env_rule(e->br, "in_port=1,priority=5,actions=drop")->actions->len, 0);
    assert_true(heap_has(&env_rule(e->br, "in_port=2,priority=5,actions=drop")->due));
    assert_int_equal(flow_table_apply_all(e->br, changes, 3, time_mono_ms(), NULL), 0);
    assert_int_equal(count(e), 2);
    assert_int_equal(__builtin_bswap64(env_rule(e->br, "in_port=1,priority=5,actions=drop")->cookie), 8);
    flow_table_get_stats(e->br, 0, &stats);
    assert_int_equal(stats.active, 2);
    for (size_t i = 0; i < 4; i++) {
        flow_spec_done(&specs[i]);
    }
}

static void test_timeouts(void **state)
{
    struct env *e = *state;
    int64_t t;

    megaflow_set_limits(e->sw, 1000, 1000000);
    env_flow(e->br, "in_port=1,idle_timeout=10,send_flow_rem,actions=output:2");
    env_flow(e->br, "in_port=2,hard_timeout=30,send_flow_rem,actions=output:1");
    t = time_mono_ms();
    env_in(e, 1, env_udp(2, 1, 0));
    fake_set_now(e->sw, t + 8000);
    env_in(e, 1, env_udp(2, 1, 0));
    switch_tick(e->sw, t + 15000);
    assert_int_equal(count(e), 2);
    switch_tick(e->sw, t + 18001);
    assert_int_equal(count(e), 1);
    assert_int_equal(removed.n, 1);
    assert_int_equal(removed.reason, FLOW_REMOVED_IDLE);
    assert_int_equal(removed.packets, 2);
    switch_tick(e->sw, t + 29000);
    assert_int_equal(count(e), 1);
    switch_tick(e->sw, t + 30001);
    assert_int_equal(count(e), 0);
    assert_int_equal(removed.reason, FLOW_REMOVED_HARD);
}

static void test_final_counters(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "in_port=1,send_flow_rem,actions=output:2");
    for (int i = 0; i < 5; i++) {
        env_in(e, 1, env_udp(2, 1, 0));
    }
    env_del(e->br, "in_port=1");
    assert_int_equal(removed.n, 1);
    assert_int_equal(removed.reason, FLOW_REMOVED_DELETE);
    assert_int_equal(removed.packets, 5);
}

static void test_delete_learned(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "in_port=1,actions=learn(table=3,cookie=0x5,delete_learned,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])");
    env_flow(e->br, "in_port=2,actions=learn(table=3,cookie=0x5,delete_learned,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])");
    env_flow(e->br, "table=3,cookie=0x6,actions=drop");
    env_in(e, 1, env_udp(2, 1, 0));
    assert_int_equal(count(e), 4);
    env_del(e->br, "table=0,in_port=1");
    assert_int_equal(count(e), 3); /* another flow learns it too */
    env_del(e->br, "table=0,in_port=2");
    assert_int_equal(count(e), 1);
}

static int add_clause(struct env *e, const char *match, enum flow_mod_command command, unsigned int n,
                      const uint32_t *ids, uint8_t clause)
{
    struct ofpacts acts = {0};
    struct flow_spec spec;
    struct flow_change c = env_change(match, command, &spec);
    int error;

    for (unsigned int i = 0; i < n; i++) {
        struct ofpact_conjunction *conj = ofpact_put(&acts, OFPACT_CONJUNCTION, sizeof *conj);

        conj->id = ids[i];
        conj->clause = clause;
        conj->n_clauses = 2;
    }
    c.actions = acts.data;
    c.actions_len = acts.len;
    error = flow_table_apply(e->br, &c, time_mono_ms());
    ofpacts_done(&acts);
    flow_spec_done(&spec);
    return error;
}

/* Clauses are no answers; their conjunction is; a modify makes a clause an ordinary flow, and back, also when it is
 * rolled back. */
static void test_conjunction(void **state)
{
    static const uint32_t ids[] = {5, 6};
    struct env *e = *state;
    struct flow_spec specs[2];
    struct flow_change changes[2];

    megaflow_set_limits(e->sw, 1, 1000000);
    assert_int_equal(add_clause(e, "ip,nw_src=10.0.0.1,priority=9,actions=drop", FLOW_MOD_ADD, 2, ids, 0), 0);
    assert_int_equal(add_clause(e, "ip,nw_dst=10.0.0.2,priority=9,actions=drop", FLOW_MOD_ADD, 1, &ids[1], 1), 0);
    env_flow(e->br, "conj_id=6,ip,priority=1,actions=output:2");
    env_flow(e->br, "priority=0,actions=drop");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_string_equal(env_in(e, 1, env_udp(3, 1, 0)), "drop(action)");
    assert_string_equal(env_in(e, 1, env_udp(2, 4, 0)), "drop(action)");
    assert_int_equal(env_rule(e->br, "conj_id=6,ip,priority=1,actions=drop")->packets, 1);
    assert_int_equal(env_rule(e->br, "ip,nw_src=10.0.0.1,priority=9,actions=drop")->packets, 0);
    changes[0] = env_change("ip,nw_src=10.0.0.1,priority=9,actions=output:1", FLOW_MOD_MODIFY_STRICT, &specs[0]);
    changes[1] = env_change("ip,check_overlap,priority=9,actions=drop", FLOW_MOD_ADD, &specs[1]);
    assert_int_equal(flow_table_apply_all(e->br, changes, 2, time_mono_ms(), NULL), OFERR_FLOW_MOD_OVERLAP);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_int_equal(flow_table_apply_all(e->br, changes, 1, time_mono_ms(), NULL), 0);
    assert_string_equal(env_in(e, 2, env_udp(2, 1, 0)), "1");
    flow_spec_done(&specs[0]);
    flow_spec_done(&specs[1]);
}

/* A large deletion is freed by the loop, bit by bit; tables say at once that it is gone. */
static void test_large_deletion(void **state)
{
    struct env *e = *state;

    for (unsigned int i = 0; i < 2000; i++) {
        _cleanup_free_ char *text =
            xasprintf("ip,nw_dst=10.1.%u.%u,cookie=%u,actions=output:1", i >> 8, i & 255, i % 2);

        env_flow(e->br, text);
    }
    env_flow(e->br, "ip,nw_dst=10.0.0.0/24,priority=1,actions=output:2");
    env_del(e->br, "cookie=1/-1");
    assert_int_equal(count(e), 1001);
    assert_true(e->br->tables[0].cls.n_leaving > 0);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    while (e->br->tables[0].cls.n_leaving) {
        event_base_loop(e->base, EVLOOP_ONCE);
    }
    env_del(e->br, "cookie=0/-1,ip,nw_dst=10.1.0.0/16");
    assert_int_equal(count(e), 1);
}

static void test_unsupported(void **state)
{
    struct env *e = *state;

    assert_int_equal(
        env_apply(e->br, "ip,actions=push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,output:1",
                  FLOW_MOD_ADD),
        OFERR_ACTION_BAD_TAG);
    assert_int_equal(env_apply(e->br, "actions=meter:1,output:1", FLOW_MOD_ADD), OFERR_METER_MOD_INVALID_METER);
    assert_int_equal(count(e), 0);
}

/* What a packet_out in a bundle learns goes with the bundle, also where the bundle's own changes are about the same
 * flows. */
static void test_learned_while_a_txn_is_open(void **state)
{
    static const char *const learned[] = {"table=1,priority=7,in_port=3,actions=output:9",
                                          "table=1,priority=7,in_port=4,actions=output:9",
                                          "table=1,priority=7,in_port=5,actions=output:9"};
    struct env *e = *state;

    for (unsigned int commit = 0; commit < 2; commit++) {
        struct flow_spec specs[3];
        struct flow_change changes[3];
        struct flow_txn *txn;

        char *before, *after, *direct;

        env_del(e->br, "");
        for (size_t i = 0; i < 3; i++) {
            env_flow(e->br, learned[i]);
        }
        direct = env_dump(e->br);
        env_del(e->br, "");
        env_flow(e->br, "table=1,priority=7,in_port=4,actions=output:1");
        env_flow(e->br, "table=1,priority=7,in_port=5,actions=output:1");
        before = env_dump(e->br);
        txn = flow_txn_begin(e->br, 1000);
        changes[0] = env_change("table=1,priority=7,in_port=3,actions=output:2", FLOW_MOD_ADD, &specs[0]);
        changes[1] = env_change("table=1,priority=7,in_port=4,actions=output:2", FLOW_MOD_MODIFY_STRICT, &specs[1]);
        changes[2] = env_change("table=1,priority=7,in_port=5", FLOW_MOD_DELETE_STRICT, &specs[2]);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(flow_txn_apply(txn, &changes[i]), 0);
            flow_spec_done(&specs[i]);
        }
        for (size_t i = 0; i < 3; i++) {
            env_flow(e->br, learned[i]);
        }
        if (commit) {
            flow_txn_commit(txn);
        } else {
            flow_txn_abort(txn);
        }
        after = env_dump(e->br);
        assert_string_equal(after, commit ? direct : before);
        free(before);
        free(after);
        free(direct);
    }
}

/* A flow on another bridge, behind a patch port, that such a packet_out learns goes with the bundle, too. */
static void test_learned_elsewhere_while_a_txn_is_open(void **state)
{
    static const char flow[] = "table=1,priority=7,in_port=5,actions=output:9";
    struct env *e = *state;
    struct bridge *other;

    assert_int_equal(bridge_create(e->sw, "br1", &other), 0);
    for (unsigned int commit = 0; commit < 2; commit++) {
        struct flow_txn *txn = flow_txn_begin(e->br, 1000);

        env_flow(e->br, flow);
        env_flow(other, flow);
        env_flow(other, "table=2,actions=drop");
        if (commit) {
            flow_txn_commit(txn);
        } else {
            flow_txn_abort(txn);
        }
        assert_int_equal(flow_table_count(other), commit ? 2 : 0);
        assert_int_equal(flow_table_count(e->br), commit);
        env_flow(other, "table=3,actions=drop"); /* of no transaction any more */
        env_del(other, "table=3");
    }
}

/* A flow that finds no room although some others would go leaves them: also in a transaction that goes on, because it
 * was a packet_out that asked to learn it. */
static void test_refused_in_a_txn(void **state)
{
    const struct table_config evict = {.evict = true};
    struct env *e = *state;
    struct flow_spec spec;
    struct flow_change change;
    struct flow_txn *txn;

    env_flow(e->br, "in_port=1,actions=drop");
    env_flow(e->br, "in_port=2,actions=drop");
    env_flow(e->br, "in_port=3,idle_timeout=9,actions=drop");
    flow_table_set_limit(e->br, 0, 1, false, NULL, 0);
    flow_table_set_config(e->br, 0, &evict);
    txn = flow_txn_begin(e->br, 1000);
    change = env_change("in_port=4,actions=drop", FLOW_MOD_ADD, &spec);
    assert_int_equal(flow_txn_apply(txn, &change), OFERR_FLOW_MOD_TABLE_FULL);
    flow_spec_done(&spec);
    flow_txn_commit(txn);
    assert_int_equal(count(e), 3);
}

/* Learning inside of a clone is learning. */
static void test_delete_learned_in_clone(void **state)
{
    struct env *e = *state;

    env_flow(e->br,
             "in_port=1,actions=clone(learn(table=3,cookie=0x5,delete_learned,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]))");
    env_flow(e->br, "in_port=2,actions=learn(table=3,cookie=0x5,delete_learned,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])");
    env_in(e, 1, env_udp(2, 1, 0));
    assert_int_equal(count(e), 3);
    env_del(e->br, "table=0,in_port=2");
    assert_int_equal(count(e), 2); /* the clone learns the same */
    env_del(e->br, "table=0,in_port=1");
    assert_int_equal(count(e), 0);
}

/* What went by before counters were reset is not counted behind it, though nobody had read it yet. */
static void test_reset_counts(void **state)
{
    static const char flow[] = "in_port=1,actions=output:2", again[] = "reset_counts,in_port=1,actions=output:2";
    struct env *e = *state;

    env_flow(e->br, flow);
    for (unsigned int i = 0; i < 3; i++) {
        env_in(e, 1, env_udp(2, 1, 0));
    }
    env_flow(e->br, again);
    megaflow_sync_stats(e->sw);
    assert_int_equal(env_rule(e->br, flow)->packets, 0);
    megaflow_revalidate_all(e->sw);
    env_in(e, 1, env_udp(2, 1, 0));
    megaflow_sync_stats(e->sw);
    assert_int_equal(env_rule(e->br, flow)->packets, 1);
    assert_int_equal(env_apply(e->br, again, FLOW_MOD_MODIFY), 0);
    assert_int_equal(env_rule(e->br, flow)->packets, 0);
    env_flow(e->br, "in_port=1,actions=output:1"); /* replaced without: they go on */
    megaflow_revalidate_all(e->sw);
    env_in(e, 1, env_udp(2, 1, 0));
    megaflow_sync_stats(e->sw);
    assert_int_equal(env_rule(e->br, flow)->packets, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
    const struct CMUnitTest tests[] = {T(test_learned_while_a_txn_is_open),
                                       T(test_learned_elsewhere_while_a_txn_is_open),
                                       T(test_refused_in_a_txn),
                                       T(test_reset_counts),
                                       T(test_delete_learned_in_clone),
                                       T(test_add_replaces),
                                       T(test_modify),
                                       T(test_delete),
                                       T(test_overlap),
                                       T(test_bundle),
                                       T(test_timeouts),
                                       T(test_final_counters),
                                       T(test_delete_learned),
                                       T(test_unsupported),
                                       T(test_conjunction),
                                       T(test_large_deletion)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
