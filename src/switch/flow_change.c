/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of flow tables: each is carried out at once and written to an undo log, which is then rolled back or made
 * final. */
#include <assert.h>

#include "base/coverage.h"
#include "switch/flow_save.h"
#include "switch/flow_table_private.h"
#include "switch/megaflow.h"
#include "switch/translate.h"

#define REAP_LATER_STEPS 256 /* longer logs are freed by flow_reap.c */

COVERAGE(flow_mod_add);
COVERAGE(flow_mod_modify);
COVERAGE(flow_mod_delete);

/* ---- undo log ---- */

static struct undo *undo_put(struct undo_log *log, enum undo_type type, struct rule *rule)
{
    struct undo *u;

    if (log->n == log->allocated) {
        log->allocated = MAX(log->allocated * 2, (size_t)16);
        log->steps = xrealloc(log->steps, log->allocated * sizeof *log->steps);
    }
    u = &log->steps[log->n++];
    *u = (struct undo){.type = type, .reason = FLOW_REMOVED_DELETE, .rule = rule_ref(rule)};
    return u;
}

static void undo_put_changed(struct undo_log *log, struct rule *rule)
{
    struct undo *u = undo_put(log, UNDO_CHANGED, rule);

    u->actions = rule_actions_ref(rule->actions);
    u->cookie = rule->cookie;
    u->idle_timeout = rule->idle_timeout;
    u->hard_timeout = rule->hard_timeout;
    u->flags = rule->flags;
    u->shortened = rule->shortened;
    u->importance = rule->importance;
    u->created_ms = rule->created_ms;
    u->modified_ms = rule->modified_ms;
    u->used_ms = rule->used_ms;
    u->packets = rule->packets;
    u->bytes = rule->bytes;
    u->n_resets = rule->n_resets;
}

static void undo_changed(const struct undo *u)
{
    struct rule *rule = u->rule;

    rule_set_actions(rule, rule_actions_ref(u->actions));
    rule->cookie = u->cookie;
    rule->idle_timeout = u->idle_timeout;
    rule->hard_timeout = u->hard_timeout;
    rule->flags = u->flags;
    rule->shortened = u->shortened;
    rule->importance = u->importance;
    rule->created_ms = u->created_ms;
    rule->modified_ms = u->modified_ms;
    rule->used_ms = u->used_ms;
    rule->packets = u->packets;
    rule->bytes = u->bytes;
    rule->n_resets = u->n_resets;
    rule_update_timers(rule);
}

/* Back to where the log had N steps; the others stay in it. */
static void undo_log_rollback(struct undo_log *log, size_t n)
{
    for (size_t i = log->n; i-- > n;) {
        struct undo *u = &log->steps[i];

        switch (u->type) {
        case UNDO_ADDED:
            rule_remove(u->rule);
            rule_unref(u->rule); /* the table's */
            break;
        case UNDO_REMOVED:
            rule_insert(rule_ref(u->rule));
            break;
        case UNDO_CHANGED:
            undo_changed(u);
            break;
        }
    }
}

void undo_release(struct undo *u)
{
    rule_unref(u->rule);
    rule_actions_unref(u->actions);
}

void undo_log_done(struct switch_ *sw, struct undo_log *log)
{
    if (log->n > REAP_LATER_STEPS) {
        flow_reap_later(sw, log);
        return;
    }
    for (size_t i = 0; i < log->n; i++) {
        undo_release(&log->steps[i]);
    }
    free(log->steps);
}

/* ---- changes ---- */

struct change_run {
    struct bridge *br;
    const struct flow_change *change;
    int64_t now;
    struct undo_log *log;
    size_t n_selected;
};

void undo_log_remove_rule(struct undo_log *log, struct rule *rule, enum flow_removed_reason reason)
{
    undo_put(log, UNDO_REMOVED, rule)->reason = reason;
    rule_remove(rule);
    rule_unref(rule);
    log->visible[rule->table] = log->any_visible = true;
}

static void set_actions(struct undo_log *log, struct rule *rule, const void *actions, size_t len)
{
    if (!ofpacts_equal(rule->actions->data, rule->actions->len, actions, len)) {
        rule_set_actions(rule, rule_actions_new(actions, len));
        log->visible[rule->table] = log->any_visible = true;
    }
}

static void set_timeouts(struct rule *rule, const struct flow_change *c)
{
    rule->idle_timeout = c->idle_timeout;
    rule->hard_timeout = c->hard_timeout;
    rule->importance = c->importance;
    rule->flags = c->flags;
    rule->shortened = false;
    rule_update_timers(rule);
}

/* Megaflows that pass the rule are translated again, and what they count until then is the past's (as with Open
 * vSwitch). */
static void reset_counts(struct undo_log *log, struct rule *rule)
{
    rule->packets = rule->bytes = 0;
    rule->n_resets++;
    if (rule->refs > 2) { /* the table's and LOG's */
        log->visible[rule->table] = log->any_visible = true;
    }
}

/* At time NOW it came, or (as far as C knows) before. */
static void set_history(struct rule *rule, const struct flow_change *c, int64_t now)
{
    const struct rule_history *h = c->history;

    rule->created_ms = h ? h->created_ms : now;
    rule->modified_ms = h ? h->modified_ms : now;
    rule->used_ms = now;
    if (h) {
        rule->packets = h->packets;
        rule->bytes = h->bytes;
    }
}

/* ADD onto a rule of the same match and priority: takes its place, which in effect changes it. */
static void replace_rule(struct change_run *run, struct rule *rule)
{
    const struct flow_change *c = run->change;

    undo_put_changed(run->log, rule);
    run->log->steps[run->log->n - 1].replaced = true;
    set_actions(run->log, rule, c->actions, c->actions_len);
    rule->cookie = c->cookie;
    set_timeouts(rule, c);
    set_history(rule, c, run->now);
    if (c->flags & RULE_RESET_COUNTS) {
        reset_counts(run->log, rule);
    }
}

/* A full table evicts when it was told to, and when some rule may go; else there is no room. */
static int make_room(struct change_run *run, struct flow_table *t)
{
    while (t->max_flows && t->cls.n_rules >= t->max_flows) {
        struct rule *victim = t->eviction ? flow_table_pick_victim(t) : NULL;

        if (!victim) {
            return OFERR_FLOW_MOD_TABLE_FULL;
        }
        undo_log_remove_rule(run->log, victim, FLOW_REMOVED_EVICTION);
    }
    return 0;
}

static int change_add(struct change_run *run, __be64 cookie)
{
    const struct flow_change *c = run->change;
    bool check_overlap = c->flags & RULE_CHECK_OVERLAP && !c->history; /* it stood among what may have come later */
    struct flow_table *t;
    struct cls_rule *same;
    struct rule *rule;
    int error;

    table_id_t table = c->table == TABLE_ID_ALL ? 0 : c->table; /* the first, when OpenFlow 1.0 leaves it to us */
    if (table >= N_TABLES) {
        return OFERR_FLOW_MOD_BAD_TABLE_ID;
    }
    t = &run->br->tables[table];
    same = classifier_find_exact(&t->cls, &c->match, c->priority);
    if (same) { /* by OpenFlow's words it overlaps itself; but clients tell a flow again, and nobody refuses that */
        replace_rule(run, CONTAINER_OF(same, struct rule, cls));
        return 0;
    }
    if (check_overlap && classifier_overlaps(&t->cls, &c->match, c->priority)) {
        return OFERR_FLOW_MOD_OVERLAP;
    }
    error = make_room(run, t);
    if (error) {
        return error;
    }
    rule = xcalloc(1, sizeof *rule);
    rule->refs = 1;
    rule->bridge = run->br;
    rule->table = table;
    rule->cookie = cookie;
    set_history(rule, c, run->now);
    cls_rule_init(&rule->cls, &c->match, c->priority);
    rule_set_actions(rule, rule_actions_new(c->actions, c->actions_len));
    set_timeouts(rule, c);
    rule_insert(rule);
    undo_put(run->log, UNDO_ADDED, rule);
    run->log->visible[rule->table] = run->log->any_visible = true;
    return 0;
}

static int modify_one(void *aux, struct cls_rule *cr)
{
    struct change_run *run = aux;
    const struct flow_change *c = run->change;
    struct rule *rule = CONTAINER_OF(cr, struct rule, cls);

    if (!rule_selected_by_cookie(rule, c->cookie, c->cookie_mask) ||
        (rule_hidden(rule) && c->command == FLOW_MOD_MODIFY)) {
        return 0;
    }
    run->n_selected++;
    undo_put_changed(run->log, rule);
    set_actions(run->log, rule, c->actions, c->actions_len);
    rule->modified_ms = MAX(rule->modified_ms, run->now);
    if (c->modify_cookie) {
        rule->cookie = c->new_cookie;
    }
    if (!c->keep_timeouts) {
        set_timeouts(rule, c);
    }
    if (c->flags & RULE_RESET_COUNTS) {
        reset_counts(run->log, rule);
    }
    return 0;
}

static int delete_one(void *aux, struct cls_rule *cr)
{
    struct change_run *run = aux;
    const struct flow_change *c = run->change;
    struct rule *rule = CONTAINER_OF(cr, struct rule, cls);

    if (rule_selected_by_cookie(rule, c->cookie, c->cookie_mask) && rule_outputs_to(rule, c->out_port) &&
        rule_uses_group(rule, c->by_group, c->out_group) && !(rule_hidden(rule) && c->command == FLOW_MOD_DELETE)) {
        run->n_selected++;
        undo_log_remove_rule(run->log, rule, FLOW_REMOVED_DELETE);
    }
    return 0;
}

/* Runs FN on the rules that the change's table, match and, when strict, priority select. */
static int select_rules(struct change_run *run, bool strict, int (*fn)(void *aux, struct cls_rule *r))
{
    const struct flow_change *c = run->change;
    unsigned int first = c->table == TABLE_ID_ALL ? 0 : c->table;
    unsigned int last = c->table == TABLE_ID_ALL ? N_TABLES - 1 : c->table;

    if (last >= N_TABLES) {
        return c->command == FLOW_MOD_DELETE_STRICT ? 0 : OFERR_FLOW_MOD_BAD_TABLE_ID; /* such a flow there is not */
    }
    for (unsigned int i = first; i <= last; i++) {
        struct classifier *cls = &run->br->tables[i].cls;

        if (strict) {
            struct cls_rule *r = classifier_find_exact(cls, &c->match, c->priority);

            if (r) {
                fn(run, r);
            }
        } else {
            classifier_for_each(cls, &c->match, fn, run);
        }
    }
    return 0;
}

static int apply_one(struct change_run *run)
{
    const struct flow_change *c = run->change;
    bool deletes = c->command == FLOW_MOD_DELETE || c->command == FLOW_MOD_DELETE_STRICT;
    int error = deletes ? 0 : xlate_supports(c->actions, c->actions_len);

    error = error || deletes ? error : actions_check_refs(run->br, c->actions, c->actions_len);
    if (error) {
        return error;
    }
    switch (c->command) {
    case FLOW_MOD_ADD:
        return change_add(run, c->cookie);
    case FLOW_MOD_MODIFY:
    case FLOW_MOD_MODIFY_STRICT:
        error = select_rules(run, c->command == FLOW_MOD_MODIFY_STRICT, modify_one);
        if (!error && !run->n_selected && c->modify_adds && !c->cookie_mask) {
            error = change_add(run, c->modify_cookie ? c->new_cookie : c->cookie);
        }
        return error;
    case FLOW_MOD_DELETE:
    case FLOW_MOD_DELETE_STRICT:
        return select_rules(run, c->command == FLOW_MOD_DELETE_STRICT, delete_one);
    default:
        return OFERR_FLOW_MOD_BAD_COMMAND;
    }
}

/* A modify that found everything as it says: nothing to tell those who watch. */
static bool is_as_it_was(const struct undo *u)
{
    return u->type == UNDO_CHANGED && !u->replaced && u->actions == u->rule->actions && u->cookie == u->rule->cookie;
}

static void tell_event(struct bridge *br, const struct undo *u)
{
    static const enum flow_event events[] = {
        [UNDO_ADDED] = FLOW_EVENT_ADDED, [UNDO_REMOVED] = FLOW_EVENT_DELETED, [UNDO_CHANGED] = FLOW_EVENT_MODIFIED};

    if (br->hooks.flow_event && !rule_hidden(u->rule) && !is_as_it_was(u)) {
        br->hooks.flow_event(br->hooks.aux, br, u->rule, u->replaced ? FLOW_EVENT_ADDED : events[u->type], u->reason,
                             u->actions, u->asked ? &u->xid : NULL);
    }
}

static void tell_removed(struct bridge *br, struct rule *rule, enum flow_removed_reason reason)
{
    if (rule->flags & RULE_SEND_FLOW_REM && !rule_hidden(rule) && br->hooks.flow_removed) {
        br->hooks.flow_removed(br->hooks.aux, br, rule, reason);
    }
}

/* ---- flows that go with the flow that learned them (delete_learned) ---- */

static bool same_learned(void *aux, const struct ofpact_learn *other)
{
    const struct ofpact_learn *const *learn = aux;

    return other->table == (*learn)->table && other->cookie == (*learn)->cookie;
}

static int still_learns(void *aux, struct cls_rule *cr)
{
    const struct rule *rule = CONTAINER_OF(cr, struct rule, cls);

    return rule->deletes_learned && actions_deleting_learns(rule->actions->data, rule->actions->len, same_learned, aux);
}

static bool delete_learned_by(void *aux, const struct ofpact_learn *learn)
{
    struct bridge *br = aux;
    const struct flow_change change = {.command = FLOW_MOD_DELETE,
                                       .table = learn->table,
                                       .cookie = learn->cookie,
                                       .cookie_mask = UINT64_MAX,
                                       .out_port = OFPP_ANY};

    for (unsigned int i = 0; i < N_TABLES; i++) {
        if (classifier_for_each(&br->tables[i].cls, NULL, still_learns, &learn)) {
            return false; /* another flow learns the same */
        }
    }
    flow_table_apply(br, &change, time_mono_ms());
    return false;
}

/* ACTIONS stand in the table no more: what they learned goes, when they say so. */
static void delete_learned(struct bridge *br, const struct rule_actions *actions)
{
    actions_deleting_learns(actions->data, actions->len, delete_learned_by, br);
}

/* What stood at the start and is gone at the end is announced, with final counters. */
void undo_log_commit(struct bridge *br, struct undo_log *log)
{
    bool announce = false, cached = false;

    flow_saver_note_flows(br->saver, log);
    for (size_t i = 0; i < log->n; i++) {
        const struct undo *u = &log->steps[i];

        if (u->type == UNDO_REMOVED && u->rule->flags & RULE_SEND_FLOW_REM) {
            announce = true;
            cached |= u->rule->refs > 1; /* besides this log's: some megaflow's */
        }
    }
    if (cached) {
        megaflow_sync_removed(br->sw);
    }
    if (log->any_visible) {
        switch_tables_changed(br, log->visible);
    }
    /* An event may change tables in turn, never this log. */
    for (size_t i = 0; (announce || br->hooks.flow_event) && i < log->n; i++) {
        tell_event(br, &log->steps[i]);
        if (log->steps[i].type == UNDO_REMOVED) {
            tell_removed(br, log->steps[i].rule, log->steps[i].reason);
        }
    }
    for (size_t i = 0; log->any_visible && i < log->n; i++) {
        const struct undo *u = &log->steps[i];

        if (u->type == UNDO_REMOVED && u->rule->deletes_learned) {
            delete_learned(br, u->rule->actions);
        } else if (u->type == UNDO_CHANGED && u->actions != u->rule->actions) {
            delete_learned(br, u->actions);
        }
    }
    for (unsigned int i = 0; log->any_visible && i < N_TABLES; i++) {
        if (br->tables[i].cls.n_leaving && log->n <= REAP_LATER_STEPS) {
            classifier_settle(&br->tables[i].cls, SIZE_MAX);
        }
    }
}

struct flow_txn *flow_txn_begin(struct bridge *br, int64_t now)
{
    struct flow_txn *txn = xcalloc(1, sizeof *txn);

    *txn = (struct flow_txn){.br = br, .now = now};
    assert(!br->txn);
    br->txn = txn;
    if (!br->sw->txn) {
        br->sw->txn = txn;
    }
    return txn;
}

int flow_txn_apply(struct flow_txn *txn, const struct flow_change *change)
{
    struct change_run run = {.br = txn->br, .change = change, .now = txn->now, .log = &txn->log};
    size_t before = txn->log.n;

    coverage_add(flow_mod_add, change->command == FLOW_MOD_ADD);
    coverage_add(flow_mod_modify, change->command == FLOW_MOD_MODIFY || change->command == FLOW_MOD_MODIFY_STRICT);
    coverage_add(flow_mod_delete, change->command == FLOW_MOD_DELETE || change->command == FLOW_MOD_DELETE_STRICT);
    int error = apply_one(&run);
    if (error) { /* some may have been evicted, and yet there is no room */
        undo_log_rollback(&txn->log, before);
        while (txn->log.n > before) {
            undo_release(&txn->log.steps[--txn->log.n]);
        }
    }
    for (size_t i = before; change->asked && i < txn->log.n; i++) {
        txn->log.steps[i].asked = true;
        txn->log.steps[i].xid = change->xid;
    }
    return error;
}

struct referring {
    struct flow_txn *txn;
    enum ref_kind kind;
    uint32_t id;
    enum flow_removed_reason reason;
};

static int delete_if_referring(void *aux, struct cls_rule *cr)
{
    const struct referring *r = aux;
    struct rule *rule = CONTAINER_OF(cr, struct rule, cls);

    if (rule->actions->has_refs && actions_refer_to(rule->actions->data, rule->actions->len, r->kind, r->id)) {
        undo_log_remove_rule(&r->txn->log, rule, r->reason);
    }
    return 0;
}

void flow_txn_delete_referring(struct flow_txn *txn, enum ref_kind kind, uint32_t id, enum flow_removed_reason reason)
{
    struct referring r = {txn, kind, id, reason};

    if (id != REF_ANY && !action_refs_get(txn->br, REF_FROM_FLOW, kind, id)) {
        return;
    }
    for (unsigned int i = 0; i < N_TABLES; i++) {
        classifier_for_each(&txn->br->tables[i].cls, NULL, delete_if_referring, &r);
    }
}

/* From here on, changes (events bring some) are not of TXN any more. */
static void txn_close(struct flow_txn *txn)
{
    if (txn->br->sw->txn == txn) {
        txn->br->sw->txn = NULL;
    }
    for (; txn; txn = txn->elsewhere) {
        txn->br->txn = NULL;
    }
}

/* Returns the next one. */
static struct flow_txn *txn_free(struct flow_txn *txn)
{
    struct flow_txn *next = txn->elsewhere;

    undo_log_done(txn->br->sw, &txn->log);
    group_log_done(&txn->groups);
    free(txn);
    return next;
}

void flow_txn_commit(struct flow_txn *txn)
{
    txn_close(txn);
    while (txn) {
        group_log_commit(txn->br, &txn->groups);
        undo_log_commit(txn->br, &txn->log);
        txn = txn_free(txn);
    }
}

void flow_txn_abort(struct flow_txn *txn)
{
    txn_close(txn);
    while (txn) {
        group_log_rollback(txn->br, &txn->groups);
        undo_log_rollback(&txn->log, 0);
        txn = txn_free(txn);
    }
}

int flow_table_apply_all(struct bridge *br, const struct flow_change *changes, size_t n, int64_t now, size_t *ret_bad)
{
    struct flow_txn *txn = flow_txn_begin(br, now);
    int error = 0;

    for (size_t i = 0; i < n && !error; i++) {
        error = flow_txn_apply(txn, &changes[i]);
        if (error && ret_bad) {
            *ret_bad = i;
        }
    }
    if (error) {
        flow_txn_abort(txn);
    } else {
        flow_txn_commit(txn);
    }
    return error;
}

int flow_table_apply(struct bridge *br, const struct flow_change *change, int64_t now)
{
    struct flow_txn *open = br->sw->txn;

    if (open && !br->txn) { /* a packet_out within it learns behind a patch port */
        struct flow_txn *txn = flow_txn_begin(br, now);

        txn->elsewhere = open->elsewhere;
        open->elsewhere = txn;
    }
    return br->txn ? flow_txn_apply(br->txn, change) : flow_table_apply_all(br, change, 1, now, NULL);
}

/* ---- removal at large ---- */

static int flush_one(void *aux, struct cls_rule *cr)
{
    undo_log_remove_rule(aux, CONTAINER_OF(cr, struct rule, cls), FLOW_REMOVED_DELETE);
    return 0;
}

void flow_table_flush(struct bridge *br, bool quiet)
{
    struct undo_log log = {0};

    for (unsigned int i = 0; i < N_TABLES; i++) {
        classifier_for_each(&br->tables[i].cls, NULL, flush_one, &log);
    }
    if (!quiet) {
        undo_log_commit(br, &log);
    } else if (log.any_visible) {
        flow_saver_note_flows(br->saver, &log);
        switch_tables_changed(br, log.visible);
    }
    undo_log_done(br->sw, &log);
}
