/* SPDX-License-Identifier: Apache-2.0 */
/* Flows that go by themselves: eviction by group, importance and expiry; table limits; timeouts in virtual time against
 * a linear scan. */
#include "env.h"

#define MAX_REMOVED 64

struct removed {
    unsigned int n;
    struct {
        unsigned int cookie;
        uint64_t packets;
        enum flow_removed_reason reason;
    } at[MAX_REMOVED];
};

static struct removed removed;

static void on_removed(void *aux WR_UNUSED, struct bridge *br WR_UNUSED, const struct rule *rule,
                       enum flow_removed_reason reason)
{
    assert_true(removed.n < MAX_REMOVED);
    removed.at[removed.n].cookie = (unsigned int)__builtin_bswap64(rule->cookie);
    removed.at[removed.n].packets = rule->packets;
    removed.at[removed.n++].reason = reason;
}

static int setup(void **state)
{
    static const struct bridge_hooks hooks = {.flow_removed = on_removed};
    struct env *e = env_setup(state, 2);

    bridge_set_hooks(e->br, &hooks);
    removed = (struct removed){0};
    return 0;
}

static size_t n_flows(struct env *e, table_id_t table)
{
    return e->br->tables[table].cls.n_rules;
}

static void test_refuse(void **state)
{
    struct env *e = *state;

    flow_table_set_limit(e->br, 0, 2, false, NULL, 0);
    env_flow(e->br, "in_port=1,idle_timeout=5,actions=drop");
    env_flow(e->br, "in_port=2,actions=drop");
    assert_int_equal(env_apply(e->br, "in_port=3,actions=drop", FLOW_MOD_ADD), OFERR_FLOW_MOD_TABLE_FULL);
    env_flow(e->br, "in_port=2,actions=output:1");     /* in its own place */
    env_flow(e->br, "table=1,in_port=3,actions=drop"); /* the limit is table 0's */
    assert_int_equal(n_flows(e, 0), 2);
    assert_int_equal(removed.n, 0);
}

/* Groups by in_port: the largest loses first, of it what expires soonest, and never what has no timeout. */
static void test_evict_groups(void **state)
{
    struct env *e = *state;
    const struct subfield by_port = {field_get(FIELD_IN_PORT), 0, 16};

    flow_table_set_limit(e->br, 0, 4, true, &by_port, 1);
    env_flow(e->br, "in_port=1,udp,tp_dst=1,cookie=1,send_flow_rem,idle_timeout=50,actions=drop");
    env_flow(e->br, "in_port=1,udp,tp_dst=2,cookie=2,send_flow_rem,hard_timeout=40,actions=drop");
    env_flow(e->br, "in_port=1,udp,tp_dst=3,cookie=3,actions=drop");
    env_flow(e->br, "in_port=2,cookie=4,send_flow_rem,idle_timeout=5,actions=drop");
    env_flow(e->br, "in_port=3,cookie=5,send_flow_rem,idle_timeout=500,actions=drop");
    assert_int_equal(removed.n, 1);
    assert_int_equal(removed.at[0].cookie, 2);
    assert_int_equal(removed.at[0].reason, FLOW_REMOVED_EVICTION);
    assert_int_equal(n_flows(e, 0), 4);
    /* A smaller limit, one group: 4 (5 s), then 1, then 5 go; 3 may not. */
    flow_table_set_limit(e->br, 0, 1, true, NULL, 0);
    assert_int_equal(removed.n, 4);
    assert_int_equal(removed.at[1].cookie, 4);
    assert_int_equal(removed.at[2].cookie, 1);
    assert_int_equal(removed.at[3].cookie, 5);
    assert_int_equal(env_apply(e->br, "in_port=3,actions=drop", FLOW_MOD_ADD), OFERR_FLOW_MOD_TABLE_FULL);
    assert_int_equal(n_flows(e, 0), 1);
}

static void add_important(struct env *e, const char *text, uint16_t importance)
{
    struct flow_spec spec;
    struct flow_change c = env_change(text, FLOW_MOD_ADD, &spec);

    c.importance = importance;
    assert_int_equal(flow_table_apply(e->br, &c, time_mono_ms()), 0);
    flow_spec_done(&spec);
}

static void test_evict_importance(void **state)
{
    struct env *e = *state;

    flow_table_set_limit(e->br, 0, 3, false, NULL, 0);
    flow_table_set_config(e->br, 0, &(struct table_config){.evict = true});
    add_important(e, "in_port=1,cookie=1,send_flow_rem,idle_timeout=5,actions=drop", 9);
    add_important(e, "in_port=2,cookie=2,send_flow_rem,idle_timeout=500,actions=drop", 3);
    add_important(e, "in_port=3,cookie=3,send_flow_rem,idle_timeout=400,actions=drop", 3);
    add_important(e, "in_port=4,cookie=4,send_flow_rem,idle_timeout=5,actions=drop", 8);
    assert_int_equal(removed.at[0].cookie, 3);
    add_important(e, "in_port=5,cookie=5,send_flow_rem,idle_timeout=5,actions=drop", 1);
    assert_int_equal(removed.at[1].cookie, 2);
    flow_table_set_config(e->br, 0, &(struct table_config){0});
    assert_int_equal(env_apply(e->br, "in_port=6,actions=drop", FLOW_MOD_ADD), OFERR_FLOW_MOD_TABLE_FULL);
    assert_int_equal(removed.n, 2);
}

/* A bundle that evicts and then fails puts the evicted flow back. */
static void test_evict_rolled_back(void **state)
{
    struct env *e = *state;
    struct flow_spec specs[2];
    struct flow_change changes[2];

    flow_table_set_limit(e->br, 0, 2, true, NULL, 0);
    env_flow(e->br, "in_port=1,priority=5,idle_timeout=5,cookie=1,send_flow_rem,actions=drop");
    env_flow(e->br, "in_port=2,priority=5,cookie=2,actions=drop");
    changes[0] = env_change("in_port=3,actions=drop", FLOW_MOD_ADD, &specs[0]);
    changes[1] = env_change("ip,check_overlap,priority=5,actions=drop", FLOW_MOD_ADD, &specs[1]);
    assert_int_equal(flow_table_apply_all(e->br, changes, 2, time_mono_ms(), NULL), OFERR_FLOW_MOD_OVERLAP);
    assert_int_equal(removed.n, 0);
    assert_non_null(env_rule(e->br, "in_port=1,priority=5,actions=drop")->evict_group);
    assert_null(env_rule(e->br, "in_port=3,actions=drop"));
    assert_int_equal(flow_table_apply_all(e->br, changes, 1, time_mono_ms(), NULL), 0);
    assert_int_equal(removed.n, 1);
    flow_spec_done(&specs[0]);
    flow_spec_done(&specs[1]);
}

static uint32_t rng_state = 99;

static uint32_t rng(uint32_t n)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (rng_state >> 8) % n;
}

#define N_TIMED 200

/* Random timeouts, refreshes, changes and cuts; at each step of the clock exactly those are gone that a scan of the
 * model says. */
static void test_timeouts_model(void **state)
{
    struct env *e = *state;
    struct {
        bool in;
        int64_t idle_at, hard_at;
        unsigned int idle, hard;
    } model[N_TIMED] = {0};
    int64_t now = time_mono_ms();

    for (unsigned int round = 0; round < 3000; round++) {
        unsigned int i = rng(N_TIMED);
        _cleanup_free_ char *key = xasprintf("in_port=%u,actions=drop", i + 1);
        struct rule *rule = (struct rule *)env_rule(e->br, key);

        assert_int_equal(rule != NULL, model[i].in);
        if (!model[i].in) {
            unsigned int idle = rng(3) ? rng(60) : 0, hard = rng(3) ? rng(90) : 0;
            _cleanup_free_ char *text =
                xasprintf("in_port=%u,idle_timeout=%u,hard_timeout=%u,actions=drop", i + 1, idle, hard);
            struct flow_spec spec;
            struct flow_change c = env_change(text, FLOW_MOD_ADD, &spec);

            assert_int_equal(flow_table_apply(e->br, &c, now), 0);
            flow_spec_done(&spec);
            model[i].in = true;
            model[i].idle = idle;
            model[i].hard = hard;
            model[i].idle_at = model[i].hard_at = now;
        } else if (rng(2)) {
            rule_credit(rule, rule->n_resets, 1, 60, now);
            model[i].idle_at = now;
        } else if (rng(4) == 0) {
            rule_shorten_timeouts(rule, 10, 0);
            model[i].idle = model[i].idle ? MIN(model[i].idle, 10u) : 10;
        }
        if (rng(3) == 0) {
            now += rng(1500);
            flow_table_expire(e->br, now);
            for (unsigned int j = 0; j < N_TIMED; j++) {
                model[j].in &= !(model[j].idle && now - model[j].idle_at >= model[j].idle * 1000) &&
                               !(model[j].hard && now - model[j].hard_at >= model[j].hard * 1000);
            }
        }
    }
    assert_int_equal(e->br->rules_due.n > 0, true);
}

/* The heap is a heap: comes out in order whatever went in, was changed or taken out. */
static void test_heap(void **state WR_UNUSED)
{
    static struct heap_node nodes[500];
    struct heap h = {0};
    uint64_t last = 0;
    size_t n = 0;

    for (unsigned int round = 0; round < 20000; round++) {
        struct heap_node *node = &nodes[rng(ARRAY_SIZE(nodes))];

        if (!heap_has(node)) {
            heap_insert(&h, node, rng(1000));
        } else if (rng(2)) {
            heap_change(&h, node, rng(1000));
        } else {
            heap_remove(&h, node);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        n += heap_has(&nodes[i]);
    }
    assert_int_equal(h.n, n);
    while (h.n) {
        struct heap_node *top = heap_top(&h);

        assert_true(top->key >= last);
        last = top->key;
        heap_remove(&h, top);
    }
    heap_done(&h);
}

/* The last packets are told with the flow that a hard timeout takes, also when the counters have not been read since.
 */
static void test_hard_counts(void **state)
{
    struct env *e = *state;
    int64_t t = time_mono_ms();

    env_flow(e->br, "hard_timeout=5,send_flow_rem,actions=output:2");
    env_in(e, 1, env_udp(2, 1, 0));
    megaflow_sync_stats(e->sw);
    env_in(e, 1, env_udp(2, 1, 0));
    env_in(e, 1, env_udp(2, 1, 0));
    flow_table_expire(e->br, t + 6000);
    assert_int_equal(removed.n, 1);
    assert_int_equal(removed.at[0].reason, FLOW_REMOVED_HARD);
    assert_int_equal(removed.at[0].packets, 3);
}

static void in_tcp(struct env *e, unsigned int dst, unsigned int src, uint8_t flags)
{
    struct packet *p = env_udp(dst, src, 0);

    p->data[23] = 6;
    p->data[46] = 0x50;
    p->data[47] = flags;
    env_in(e, src, p);
    megaflow_sync_stats(e->sw);
}

/* What a connection teaches lives shorter from its FIN on, also when packets follow that teach it; a new megaflow's
 * first packet teaches it anew. */
static void test_fin_timeout_of_learned(void **state)
{
    static const char learned[] = "table=1,dl_dst=02:00:00:00:00:01,actions=drop";
    struct env *e = *state;

    env_flow(e->br, "tcp,in_port=1,actions=learn(table=1,idle_timeout=60,fin_idle_timeout=5,NXM_OF_ETH_DST[]="
                    "NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),output:2");
    env_flow(e->br, "tcp,in_port=2,actions=resubmit(,1)");
    in_tcp(e, 2, 1, 2);
    in_tcp(e, 2, 1, 0x10);
    assert_int_equal(env_rule(e->br, learned)->idle_timeout, 60);
    in_tcp(e, 1, 2, 0x10);
    in_tcp(e, 1, 2, 0x11);
    assert_int_equal(env_rule(e->br, learned)->idle_timeout, 5);
    in_tcp(e, 2, 1, 0x10);
    assert_int_equal(env_rule(e->br, learned)->idle_timeout, 5);
    megaflow_flush(e->sw);
    in_tcp(e, 2, 1, 2);
    assert_int_equal(env_rule(e->br, learned)->idle_timeout, 60);
}

/* One without timeouts gets those of fin_timeout: no timeout is an infinite one. */
static void test_fin_timeout_without_timeouts(void **state)
{
    static const char flow[] = "tcp,in_port=1,actions=fin_timeout(idle_timeout=5,hard_timeout=6),output:2";
    struct env *e = *state;

    env_flow(e->br, flow);
    in_tcp(e, 2, 1, 2);
    assert_int_equal(env_rule(e->br, flow)->idle_timeout, 0);
    in_tcp(e, 2, 1, 0x11);
    assert_int_equal(env_rule(e->br, flow)->idle_timeout, 5);
    assert_int_equal(env_rule(e->br, flow)->hard_timeout, 6);
}

/* A packet_out's flags count as well as a packet's. */
static void test_fin_timeout_by_packet_out(void **state)
{
    static const char flow[] = "tcp,in_port=1,actions=fin_timeout(idle_timeout=5),output:2";
    const struct ofpact_output to_table = {{OFPACT_OUTPUT, sizeof to_table}, .port = OFPP_TABLE};
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);

    p->data[23] = 6;
    p->data[46] = 0x50;
    p->data[47] = 0x11;
    env_flow(e->br, flow);
    assert_int_equal(bridge_packet_out(e->br, p, ofp_port(1), NULL, &to_table, sizeof to_table), 0);
    packet_free(p);
    assert_int_equal(env_rule(e->br, flow)->idle_timeout, 5);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
    const struct CMUnitTest tests[] = {T(test_refuse),
                                       T(test_evict_groups),
                                       T(test_evict_importance),
                                       T(test_evict_rolled_back),
                                       T(test_timeouts_model),
                                       cmocka_unit_test(test_heap),
                                       T(test_fin_timeout_of_learned),
                                       T(test_hard_counts),
                                       T(test_fin_timeout_without_timeouts),
                                       T(test_fin_timeout_by_packet_out)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
