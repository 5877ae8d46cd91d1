/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/text.h"
#include "switch/flow_save.h"
#include "switch/flow_table_private.h"

#define MAX_FLOWS_UNLIMITED 1000000u
#define NAME_FORMAT "%.31s" /* what OpenFlow carries */

/* ---- rules ---- */

struct rule_actions *rule_actions_new(const void *data, size_t len)
{
    struct rule_actions *a = xcalloc(1, sizeof *a + len);

    a->refs = 1;
    a->len = len;
    if (len) {
        memcpy(a->data, data, len);
        a->has_refs = actions_have_refs(data, len);
    }
    return a;
}

struct rule_actions *rule_actions_ref(struct rule_actions *a)
{
    a->refs++;
    return a;
}

void rule_actions_unref(struct rule_actions *a)
{
    if (a && --a->refs == 0) {
        free(a);
    }
}

bool actions_deleting_learns(const void *actions, size_t len, bool (*fn)(void *aux, const struct ofpact_learn *learn),
                             void *aux)
{
    bool found = false;

    OFPACT_FOR_EACH(a, actions, len) {
        const struct ofpact_learn *learn = (const struct ofpact_learn *)a;

        if (a->type == OFPACT_CLONE || a->type == OFPACT_WRITE_ACTIONS) {
            found = actions_deleting_learns(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), fn, aux);
        } else if (a->type == OFPACT_LEARN && learn->flags & LEARN_F_DELETE_LEARNED) {
            found = fn(aux, learn);
        }
        if (found) {
            break;
        }
    }
    return found;
}

static bool any_learn(void *aux WR_UNUSED, const struct ofpact_learn *learn WR_UNUSED)
{
    return true;
}

static void count_refs(struct rule *rule, int delta)
{
    if (rule->actions->has_refs) {
        action_refs_count(rule->bridge, REF_FROM_FLOW, rule->actions->data, rule->actions->len, delta);
    }
}

void rule_set_actions(struct rule *rule, struct rule_actions *actions)
{
    struct cls_conj *conj = NULL;
    size_t n = 0;

    OFPACT_FOR_EACH(a, actions->data, actions->len) {
        if (a->type == OFPACT_CONJUNCTION) {
            const struct ofpact_conjunction *c = (const struct ofpact_conjunction *)a;

            conj = xrealloc(conj, (n + 1) * sizeof *conj);
            conj[n++] = (struct cls_conj){c->id, c->clause, c->n_clauses};
        }
    }
    if (n || rule->cls.conj) {
        cls_rule_set_conj(rule->in_table ? &rule->bridge->tables[rule->table].cls : NULL, &rule->cls, conj, n);
    }
    free(conj);
    rule->deletes_learned = actions_deleting_learns(actions->data, actions->len, any_learn, NULL);
    if (rule->in_table) {
        count_refs(rule, -1);
    }
    rule_actions_unref(rule->actions);
    rule->actions = actions;
    if (rule->in_table) {
        count_refs(rule, 1);
    }
}

struct rule *rule_ref(struct rule *rule)
{
    rule->refs++;
    return rule;
}

void rule_unref(struct rule *rule)
{
    if (rule && --rule->refs == 0) {
        cls_rule_done(&rule->cls);
        rule_actions_unref(rule->actions);
        free(rule);
    }
}

void rule_get_match(const struct rule *rule, struct match *ret)
{
    cls_rule_match(&rule->cls, ret);
}

void rule_describe(const struct rule *rule, struct flow_spec *ret)
{
    *ret = (struct flow_spec){
        .table = rule->table,
        .priority = (uint16_t)rule->cls.priority,
        .idle_timeout = rule->idle_timeout,
        .hard_timeout = rule->hard_timeout,
        .flags = rule->flags,
        .importance = rule->importance,
        .cookie = rule->cookie,
        .out_port = OFPP_ANY,
        .has_actions = true,
        .acts = {.data = (void *)rule->actions->data, .len = rule->actions->len},
    };
    rule_get_match(rule, &ret->match);
}

bool rule_is_table_miss(const struct rule *rule)
{
    return rule->cls.priority == 0 && cls_rule_matches_all(&rule->cls);
}

void rule_credit(struct rule *rule, uint32_t n_resets, uint64_t packets, uint64_t bytes, int64_t used_ms)
{
    if (n_resets == rule->n_resets) {
        rule->packets += rule->flags & RULE_NO_PKT_COUNTS ? 0 : packets;
        rule->bytes += rule->flags & RULE_NO_BYT_COUNTS ? 0 : bytes;
    }
    rule->used_ms = MAX(rule->used_ms, used_ms);
}

void rule_insert(struct rule *rule)
{
    classifier_insert(&rule->bridge->tables[rule->table].cls, &rule->cls);
    rule->in_table = true;
    count_refs(rule, 1);
    rule_update_timers(rule);
}

void rule_remove(struct rule *rule)
{
    classifier_remove(&rule->bridge->tables[rule->table].cls, &rule->cls);
    rule->in_table = false;
    count_refs(rule, -1);
    rule_update_timers(rule);
}

bool rule_selected_by_cookie(const struct rule *rule, __be64 cookie, __be64 mask)
{
    return !((rule->cookie ^ cookie) & mask);
}

bool rule_uses_group(const struct rule *rule, bool by_group, uint32_t group)
{
    return !by_group ||
           (rule->actions->has_refs && actions_refer_to(rule->actions->data, rule->actions->len, REF_GROUP, group));
}

bool rule_outputs_to(const struct rule *rule, ofp_port_t port)
{
    return port == OFPP_ANY || ofpacts_output_to(rule->actions->data, rule->actions->len, port);
}

/* ---- reading ---- */

struct filter_run {
    const struct flow_filter *filter;
    int (*fn)(void *aux, const struct rule *rule);
    void *aux;
};

static int filter_one(void *aux, struct cls_rule *cr)
{
    struct filter_run *run = aux;
    const struct flow_filter *f = run->filter;
    const struct rule *rule = CONTAINER_OF(cr, struct rule, cls);

    if (!rule_selected_by_cookie(rule, f->cookie, f->cookie_mask) || !rule_outputs_to(rule, f->out_port) ||
        !rule_uses_group(rule, f->by_group, f->out_group) || (rule_hidden(rule) && !f->hidden)) {
        return 0;
    }
    return run->fn(run->aux, rule);
}

int flow_table_for_each(struct bridge *br, const struct flow_filter *filter,
                        int (*fn)(void *aux, const struct rule *rule), void *aux)
{
    struct filter_run run = {filter, fn, aux};
    int error = 0;

    for (unsigned int i = 0; i < N_TABLES && !error; i++) {
        if (filter->table == TABLE_ID_ALL || filter->table == i) {
            error = classifier_for_each(&br->tables[i].cls, &filter->match, filter_one, &run);
        }
    }
    return error;
}

size_t flow_table_count(const struct bridge *br)
{
    size_t n = 0;

    for (size_t i = 0; i < N_TABLES; i++) {
        n += br->tables[i].cls.n_rules;
    }
    return n;
}

void flow_table_get_stats(const struct bridge *br, table_id_t table, struct table_stats *ret)
{
    const struct flow_table *t = &br->tables[table];

    *ret = (struct table_stats){.active = (uint32_t)t->cls.n_rules, .lookup = t->n_lookup, .matched = t->n_matched};
}

struct rule *flow_table_lookup(const struct bridge *br, table_id_t table, const struct flow *flow, struct flow *mask)
{
    struct cls_rule *r = table < N_TABLES ? classifier_lookup(&br->tables[table].cls, flow, mask) : NULL;

    return r ? CONTAINER_OF(r, struct rule, cls) : NULL;
}

/* ---- configuration ---- */

const char *flow_table_name(const struct bridge *br, table_id_t table)
{
    const struct flow_table *t = &br->tables[table];

    return t->config_name ? t->config_name : t->name ? t->name : "";
}

void flow_table_set_config_name(struct bridge *br, table_id_t table, const char *name)
{
    struct flow_table *t = &br->tables[table];

    free(t->config_name);
    t->config_name = name && *name ? xasprintf(NAME_FORMAT, name) : NULL;
    if (t->config_name && t->name) {
        free(t->name);
        t->name = NULL;
        flow_saver_note_table(br->saver, table);
    }
}

void flow_table_get_config(const struct bridge *br, table_id_t table, struct table_config *ret)
{
    const struct flow_table *t = &br->tables[table];

    *ret = (struct table_config){
        .evict = t->eviction & TABLE_EVICT_OPENFLOW,
        .vacancy_events = t->vacancy_events,
        .vacancy_low = t->vacancy_low,
        .vacancy_down = t->vacancy_down,
        .vacancy_up = t->vacancy_up,
        .name = t->name,
    };
}

static bool same_config(const struct table_config *a, const struct table_config *b)
{
    return a->evict == b->evict && a->vacancy_events == b->vacancy_events && a->vacancy_low == b->vacancy_low &&
           a->vacancy_down == b->vacancy_down && a->vacancy_up == b->vacancy_up &&
           !strcmp(a->name ? a->name : "", b->name ? b->name : "");
}

void flow_table_set_config(struct bridge *br, table_id_t table, const struct table_config *config)
{
    struct flow_table *t = &br->tables[table];
    char *old_name = t->name;
    struct table_config old;

    flow_table_get_config(br, table, &old);
    flow_table_set_openflow_eviction(br, table, config->evict);
    br->n_vacancy_tables += (size_t)config->vacancy_events - (size_t)t->vacancy_events;
    t->vacancy_events = config->vacancy_events;
    t->vacancy_low = config->vacancy_low;
    t->vacancy_down = config->vacancy_down;
    t->vacancy_up = config->vacancy_up;
    t->name = config->name && *config->name && !t->config_name ? xasprintf(NAME_FORMAT, config->name) : NULL;
    if (!same_config(&old, config)) {
        flow_saver_note_table(br->saver, table);
    }
    free(old_name); /* which CONFIG may have named */
}

uint32_t flow_table_capacity(const struct flow_table *t)
{
    return t->max_flows ? t->max_flows : MAX_FLOWS_UNLIMITED;
}

uint8_t flow_table_vacancy(const struct flow_table *t)
{
    size_t max = flow_table_capacity(t), n = MIN(t->cls.n_rules, max);

    return (uint8_t)((max - n) * 100 / max);
}

int flow_tables_init(struct bridge *br)
{
    br->tables = xcalloc(N_TABLES, sizeof *br->tables);
    return 0;
}

void flow_tables_done(struct bridge *br)
{
    if (br->tables) {
        flow_table_flush(br, true);
        for (unsigned int i = 0; i < N_TABLES; i++) {
            classifier_done(&br->tables[i].cls);
            flow_table_evict_done(&br->tables[i]);
            free(br->tables[i].name);
            free(br->tables[i].config_name);
        }
        free(br->tables);
        br->tables = NULL;
        heap_done(&br->rules_due);
    }
}
