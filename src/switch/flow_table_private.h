/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_FLOW_TABLE_PRIVATE_H
#define WARREN_SWITCH_FLOW_TABLE_PRIVATE_H
/*
 * What the files behind flow_table.h share: flow_table.c (rules, reading, configuration), flow_change.c (changes with
 * their undo log, and the telling), flow_expire.c (timeouts, eviction), flow_reap.c (freeing).
 */
#include "switch/action_refs.h"
#include "switch/flow_table.h"

/* The flows of a table that may be evicted and have the same values in the table's evict_fields. */
struct evict_group {
    struct heap_node by_size; /* in flow_table.evict_groups; fewest last: the key is the complement of the size */
    struct heap rules;        /* rule.evict, by importance, then by expiry */
    UT_hash_handle hh;
    size_t n; /* values */
    union field_value values[];
};

static inline bool rule_hidden(const struct rule *rule)
{
    return rule->cls.priority > UINT16_MAX;
}

/* Takes over the reference to ACTIONS, and what they make of the rule: a clause of conjunctions, one that deletes what
 * it learned. */
void rule_set_actions(struct rule *rule, struct rule_actions *actions);
/* FN for each learn with delete_learned in the list, nested ones too, until one returns true, which is then returned.
 */
bool actions_deleting_learns(const void *actions, size_t len, bool (*fn)(void *aux, const struct ofpact_learn *learn),
                             void *aux);
struct rule_actions *rule_actions_new(const void *data, size_t len);
/* Into and out of the rule's table, its timers along. The table's reference is the caller's matter. */
void rule_insert(struct rule *rule);
void rule_remove(struct rule *rule);
bool rule_selected_by_cookie(const struct rule *rule, __be64 cookie, __be64 mask);
/* OFPP_ANY: always. */
bool rule_outputs_to(const struct rule *rule, ofp_port_t port);
bool rule_uses_group(const struct rule *rule, bool by_group, uint32_t group);

/* ---- flow_change.c ---- */

enum undo_type { UNDO_ADDED, UNDO_REMOVED, UNDO_CHANGED };

/* One step that was taken, with a reference to its rule and what CHANGED overwrote. */
struct undo {
    enum undo_type type;
    enum flow_removed_reason reason; /* REMOVED */
    struct rule *rule;
    struct rule_actions *actions;
    __be64 cookie;
    uint16_t idle_timeout, hard_timeout, flags, importance;
    bool shortened;
    bool replaced; /* CHANGED, by an ADD: to those who watch, another flow came */
    bool asked;    /* by the flow_mod XID itself */
    uint32_t xid;
    int64_t created_ms, modified_ms, used_ms;
    uint64_t packets, bytes;
    uint32_t n_resets;
};

struct undo_log {
    struct undo *steps;
    size_t n, allocated;
    bool any_visible;       /* some step alters what packets get: */
    bool visible[N_TABLES]; /* in these tables */
};

/* Changes of groups that belong to a transaction: what was in the place of each group's number, and what came there;
 * NULL: nothing. Both by reference. */
struct group_undo {
    uint32_t id;
    struct group *before, *after;
};
struct group_log {
    struct group_undo *steps;
    size_t n, allocated;
};

struct flow_txn {
    struct bridge *br;
    int64_t now;
    struct undo_log log;
    struct group_log groups;
    bool restores;              /* of a process before us: it took the groups, and their meters may have gone since */
    struct flow_txn *elsewhere; /* list: of other bridges, as parts of this one */
};

/* Takes RULE out of its table and drops the table's reference. */
void undo_log_remove_rule(struct undo_log *log, struct rule *rule, enum flow_removed_reason reason);
/* Makes what the log says final: translations are told, then hooks, and learned flows go with their flows. The final
 * counters that flow_removed carries are read from the datapath first. */
void undo_log_commit(struct bridge *br, struct undo_log *log);
/* Frees the log, a long one bit by bit later. */
void undo_log_done(struct switch_ *sw, struct undo_log *log);
/* Drops what one step holds. */
void undo_release(struct undo *u);

/* ---- flow_reap.c ---- */

/* Takes LOG, which becomes empty. */
void flow_reap_later(struct switch_ *sw, struct undo_log *log);

/* Every flow that names the group or meter ID (REF_ANY: any) goes. */
void flow_txn_delete_referring(struct flow_txn *txn, enum ref_kind kind, uint32_t id, enum flow_removed_reason reason);

/* ---- group_table.c ---- */

void group_log_rollback(struct bridge *br, struct group_log *log);
void group_log_commit(struct bridge *br, struct group_log *log);
void group_log_done(struct group_log *log);

/* ---- flow_expire.c ---- */

/* The rule's timeouts or importance changed, or it came into its table (or went: then it is in no heap). */
void rule_update_timers(struct rule *rule);
/* The rule of T that has to go first, or NULL when none may. */
struct rule *flow_table_pick_victim(struct flow_table *t);
/* By OpenFlow, whatever the database says. */
void flow_table_set_openflow_eviction(struct bridge *br, table_id_t table, bool on);
void flow_table_evict_done(struct flow_table *t);

#endif
