/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows that go by themselves: timeouts, and eviction from full tables.
 *
 * Problem: 100,000 flows with timeouts, of which a packet puts off the idle ones all the time. Idea: a heap by when a
 * rule is due, and one for each eviction group by what goes first; keys are lower bounds (heap.h), made true only when
 * a rule comes to the top. A rule is expired as idle only when the datapath's counters were read after it fell due, so
 * that traffic not yet reported does not count as silence.
 *
 * Eviction (ovs-vswitchd.conf.db(5), Flow_Table): of the largest group, the flow of the lowest importance, among those
 * the one that expires soonest. Flows without a timeout are never evicted.
 */
#include "switch/flow_save.h"
#include "switch/flow_table_private.h"
#include "switch/megaflow.h"

#define NEVER INT64_MAX

static int64_t hard_due(const struct rule *rule)
{
    return rule->hard_timeout ? rule->modified_ms + (int64_t)rule->hard_timeout * 1000 : NEVER;
}

static int64_t idle_due(const struct rule *rule)
{
    return rule->idle_timeout ? rule->used_ms + (int64_t)rule->idle_timeout * 1000 : NEVER;
}

static int64_t rule_due(const struct rule *rule)
{
    return MIN(hard_due(rule), idle_due(rule));
}

/* Importance in the upper 16 bits, milliseconds below. */
static uint64_t evict_key(const struct rule *rule)
{
    return (uint64_t)rule->importance << 48 | ((uint64_t)rule_due(rule) & ((UINT64_C(1) << 48) - 1));
}

/* ---- eviction groups ---- */

static struct evict_group *group_for(struct flow_table *t, const struct rule *rule)
{
    size_t n = t->n_evict_fields, size = n * sizeof(union field_value);
    struct evict_group *g, *found;
    struct match m;

    g = xcalloc(1, sizeof *g + size);
    g->n = n;
    if (n) {
        rule_get_match(rule, &m);
    }
    for (size_t i = 0; i < n; i++) {
        subfield_read(&t->evict_fields[i], &m.value, &g->values[i]);
    }
    HASH_FIND(hh, t->evict_by_value, g->values, size, found);
    if (found) {
        free(g);
        return found;
    }
    HASH_ADD_KEYPTR(hh, t->evict_by_value, g->values, size, g);
    heap_insert(&t->evict_groups, &g->by_size, UINT64_MAX);
    return g;
}

static void group_join(struct flow_table *t, struct rule *rule)
{
    struct evict_group *g = rule->evict_group = group_for(t, rule);

    heap_insert(&g->rules, &rule->evict, evict_key(rule));
    heap_change(&t->evict_groups, &g->by_size, ~(uint64_t)g->rules.n);
}

static void group_leave(struct flow_table *t, struct rule *rule)
{
    struct evict_group *g = TAKE_PTR(rule->evict_group);

    heap_remove(&g->rules, &rule->evict);
    if (g->rules.n) {
        heap_change(&t->evict_groups, &g->by_size, ~(uint64_t)g->rules.n);
        return;
    }
    heap_remove(&t->evict_groups, &g->by_size);
    HASH_DELETE(hh, t->evict_by_value, g);
    heap_done(&g->rules);
    free(g);
}

struct rule *flow_table_pick_victim(struct flow_table *t)
{
    struct heap_node *top = heap_top(&t->evict_groups);
    struct evict_group *g = top ? CONTAINER_OF(top, struct evict_group, by_size) : NULL;

    while (g) {
        struct rule *rule = CONTAINER_OF(heap_top(&g->rules), struct rule, evict);
        uint64_t key = evict_key(rule);

        if (key <= rule->evict.key) {
            return rule;
        }
        heap_change(&g->rules, &rule->evict, key);
    }
    return NULL;
}

void flow_table_evict_done(struct flow_table *t)
{
    heap_done(&t->evict_groups);
    free(t->evict_fields);
    t->evict_fields = NULL;
    t->n_evict_fields = 0;
}

/* ---- timers ---- */

void rule_update_timers(struct rule *rule)
{
    bool want = rule->in_table && (rule->idle_timeout || rule->hard_timeout);
    struct flow_table *t = &rule->bridge->tables[rule->table];
    struct heap *due = &rule->bridge->rules_due;

    if (heap_has(&rule->due)) {
        heap_remove(due, &rule->due);
    }
    if (rule->evict_group) {
        group_leave(t, rule);
    }
    if (want) {
        heap_insert(due, &rule->due, (uint64_t)rule_due(rule));
    }
    if (want && t->eviction) {
        group_join(t, rule);
    }
}

/* No timeout is an infinite one. */
static bool shorten(uint16_t *timeout, uint16_t to)
{
    bool shorter = to && (!*timeout || *timeout > to);

    if (shorter) {
        *timeout = to;
    }
    return shorter;
}

void rule_shorten_timeouts(struct rule *rule, uint16_t idle, uint16_t hard)
{
    bool shorter = shorten(&rule->idle_timeout, idle);

    shorter |= shorten(&rule->hard_timeout, hard);
    if (shorter) {
        rule->shortened = true;
        rule_update_timers(rule);
        flow_saver_note_rule(rule->bridge->saver, rule);
    }
}

void flow_table_expire(struct bridge *br, int64_t now)
{
    int64_t counters = megaflow_stats_time(br->sw, now);
    struct undo_log log = {0};
    struct heap_node *top;

    while ((top = heap_top(&br->rules_due)) && top->key <= (uint64_t)now) {
        struct rule *rule = CONTAINER_OF(top, struct rule, due);
        bool hard = hard_due(rule) <= now, idle = idle_due(rule) <= now;

        if (hard || (idle && idle_due(rule) <= counters)) {
            undo_log_remove_rule(&log, rule, hard ? FLOW_REMOVED_HARD : FLOW_REMOVED_IDLE);
        } else {
            /* Used meanwhile; or maybe used: asked again when the counters are in. */
            heap_change(&br->rules_due, top, (uint64_t)(idle ? now + 1 : rule_due(rule)));
        }
    }
    undo_log_commit(br, &log);
    undo_log_done(br->sw, &log);
}

/* ---- configuration ---- */

static int regroup_one(void *aux, struct cls_rule *cr)
{
    struct rule *rule = CONTAINER_OF(cr, struct rule, cls);
    struct flow_table *t = aux;

    if (rule->evict_group) {
        group_leave(t, rule);
    }
    return 0;
}

static int regroup_join(void *aux, struct cls_rule *cr)
{
    struct rule *rule = CONTAINER_OF(cr, struct rule, cls);

    (void)aux;
    rule_update_timers(rule);
    return 0;
}

static void set_eviction(struct flow_table *t, unsigned int eviction, const struct subfield *fields, size_t n)
{
    struct subfield *copy = n ? xmemdup(fields, n * sizeof *fields) : NULL;

    classifier_for_each(&t->cls, NULL, regroup_one, t);
    free(t->evict_fields);
    t->evict_fields = copy;
    t->n_evict_fields = n;
    t->eviction = eviction;
    classifier_for_each(&t->cls, NULL, regroup_join, NULL);
}

void flow_table_set_openflow_eviction(struct bridge *br, table_id_t table, bool on)
{
    struct flow_table *t = &br->tables[table];
    unsigned int eviction = (t->eviction & ~TABLE_EVICT_OPENFLOW) | (on ? TABLE_EVICT_OPENFLOW : 0);

    if (eviction != t->eviction) {
        set_eviction(t, eviction, t->evict_fields, t->n_evict_fields);
    }
}

void flow_table_set_limit(struct bridge *br, table_id_t table, uint32_t max_flows, bool evict,
                          const struct subfield *fields, size_t n)
{
    struct flow_table *t = &br->tables[table];
    unsigned int eviction = (t->eviction & ~TABLE_EVICT_DATABASE) | (evict ? TABLE_EVICT_DATABASE : 0);
    struct undo_log log = {0};
    struct rule *victim;

    if (eviction != t->eviction || n != t->n_evict_fields ||
        (n && memcmp(fields, t->evict_fields, n * sizeof *fields))) {
        set_eviction(t, eviction, fields, n);
    }
    t->max_flows = max_flows;
    while (t->max_flows && t->cls.n_rules > t->max_flows && t->eviction && (victim = flow_table_pick_victim(t))) {
        undo_log_remove_rule(&log, victim, FLOW_REMOVED_EVICTION);
    }
    undo_log_commit(br, &log);
    undo_log_done(br->sw, &log);
}
