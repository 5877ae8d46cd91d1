/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_FLOW_TABLE_H
#define WARREN_SWITCH_FLOW_TABLE_H
/*
 * Flow tables of a bridge: adding, modifying and deleting rules as flow_mod messages ask (strict and loose, cookies
 * with masks, out_port filter, overlap check), timeouts, counters, statistics, and lists of changes that apply as one
 * (bundles).
 *
 * A list applies in order with an undo log: since no packet is translated in between, a list that fails half-way is
 * rolled back as if it had never been; flow_removed events go out only when all of it stood. Rules are reference
 * counted: megaflows that passed a rule hold it until their last counters are pushed. The actions are shared and
 * counted likewise.
 */
#include "switch/bridge.h"
#include "switch/classifier.h"
#include "switch/heap.h"

/* Flow flags: as OpenFlow 1.3's OFPFF_*. RULE_NO_READONLY etc. do not exist. */
#define RULE_SEND_FLOW_REM 1u
#define RULE_CHECK_OVERLAP 2u
#define RULE_RESET_COUNTS 4u
#define RULE_NO_PKT_COUNTS 8u
#define RULE_NO_BYT_COUNTS 16u

struct flow_spec;

struct rule_actions {
    unsigned int refs;
    bool has_refs; /* names groups or meters (action_refs.h) */
    size_t len;
    uint64_t data[]; /* ofpacts */
};

struct rule {
    struct cls_rule cls;
    struct bridge *bridge;
    unsigned int refs;
    table_id_t table;
    bool in_table, deletes_learned;
    bool shortened;                      /* its timeouts, by fin_timeout */
    uint16_t flags;                      /* RULE_* */
    uint16_t importance;                 /* OpenFlow 1.4: lower ones are evicted first */
    uint16_t idle_timeout, hard_timeout; /* seconds, 0: none */
    __be64 cookie;
    struct rule_actions *actions;
    int64_t created_ms, modified_ms, used_ms; /* time_mono_ms(); idle counts from used_ms, hard from modified_ms */
    uint64_t packets, bytes;
    uint32_t n_resets;    /* of the counters: what passed before the last one counts no more, whenever it is read */
    struct heap_node due; /* bridge->rules_due: rules with a timeout */
    struct heap_node evict;
    struct evict_group *evict_group; /* NULL: cannot be evicted */
};

/* What a packet without a match in a table gets. DEFAULT: bridge->miss_to_controller decides (OpenFlow 1.0: packet-in,
 * else drop); the others are table_mod's of OpenFlow 1.1 and 1.2, which Open vSwitch takes in every version. */
enum table_miss { TABLE_MISS_DEFAULT, TABLE_MISS_CONTROLLER, TABLE_MISS_CONTINUE, TABLE_MISS_DROP };

/* Who asked a full table to evict: the database (overflow_policy=evict), OpenFlow 1.4 (table_mod). Either suffices. */
#define TABLE_EVICT_DATABASE 1u
#define TABLE_EVICT_OPENFLOW 2u

struct flow_table {
    struct classifier cls;
    uint64_t n_lookup, n_matched; /* packets */
    uint64_t changed;             /* the generation of the last change that packets may notice */
    uint32_t max_flows;           /* 0: no limit */
    enum table_miss miss;
    unsigned int eviction; /* TABLE_EVICT_*; 0: a full table refuses. Set by the functions below only */
    struct subfield *evict_fields;
    size_t n_evict_fields;
    struct heap evict_groups;
    struct evict_group *evict_by_value; /* uthash */
    bool vacancy_events;                /* OpenFlow 1.4: tell table_status at these percentages of free room */
    uint8_t vacancy_down, vacancy_up;
    bool vacancy_low;         /* UP is told next, else DOWN */
    char *name, *config_name; /* OpenFlow's own, and the database's, which overrides it; NULL: none */
};
/* "" when the table has none. */
const char *flow_table_name(const struct bridge *br, table_id_t table);
/* From the Flow_Table row; NULL: none. Cut to the 31 bytes that OpenFlow carries. */
void flow_table_set_config_name(struct bridge *br, table_id_t table, const char *name);
/* From the Flow_Table row: at most MAX_FLOWS (0: no limit); a full table evicts rather than refuses; flows with equal
 * values in the FIELDS (copied) form the groups that eviction looks at. Evicts at once what is too much. */
void flow_table_set_limit(struct bridge *br, table_id_t table, uint32_t max_flows, bool evict,
                          const struct subfield *fields, size_t n_fields);
/* What OpenFlow sets of a table (1.4's table_mod, table features). */
struct table_config {
    bool evict;
    bool vacancy_events, vacancy_low; /* low: UP is told next, else DOWN */
    uint8_t vacancy_down, vacancy_up; /* per cent of free room; 0 without events */
    const char *name;                 /* NULL: none */
};
void flow_table_get_config(const struct bridge *br, table_id_t table, struct table_config *ret);
/* The name is cut like the database's, and not taken when that has named the table. */
void flow_table_set_config(struct bridge *br, table_id_t table, const struct table_config *config);
/* Rules that there is room for. */
uint32_t flow_table_capacity(const struct flow_table *t);
/* How much of that is free, per cent. */
uint8_t flow_table_vacancy(const struct flow_table *t);

enum flow_mod_command {
    FLOW_MOD_ADD = 0,
    FLOW_MOD_MODIFY = 1,
    FLOW_MOD_MODIFY_STRICT = 2,
    FLOW_MOD_DELETE = 3,
    FLOW_MOD_DELETE_STRICT = 4,
};

/* Of a flow that stood before a restart. Its idle timeout begins anew: nobody knows what used it meanwhile. */
struct rule_history {
    int64_t created_ms, modified_ms;
    uint64_t packets, bytes;
};

/* Of a group or meter likewise. */
struct count_history {
    int64_t created_ms;
    uint64_t packets, bytes;
    const uint64_t *parts; /* packets and bytes of each bucket or band */
    size_t n_parts;
};

/* One flow_mod in the form that tables take. Nothing is owned; ACTIONS is copied. */
struct flow_change {
    enum flow_mod_command command;
    table_id_t table; /* TABLE_ID_ALL: every table; what is added goes to the first */
    struct match match;
    int32_t priority;           /* ignored by loose commands */
    __be64 cookie, cookie_mask; /* mask 0: any. MODIFY/DELETE select with both; ADD stores cookie */
    bool modify_cookie;         /* MODIFY: store `new_cookie` */
    __be64 new_cookie;
    bool modify_adds; /* MODIFY that selects nothing adds (OpenFlow 1.0, learn) */
    uint16_t idle_timeout, hard_timeout;
    uint16_t flags;      /* RULE_* */
    uint16_t importance; /* ADD, and MODIFY that adds or sets timeouts */
    ofp_port_t out_port; /* OFPP_ANY: no filter. DELETE only */
    bool by_group;       /* likewise: only flows that name out_group */
    uint32_t out_group;
    bool keep_timeouts;  /* MODIFY leaves timeouts, importance and flags of the rule (OpenFlow's); learn: false */
    const void *actions; /* ofpacts, already checked (ofpacts_check) */
    size_t actions_len;
    const struct rule_history *history; /* ADD; NULL: it is new */
    bool asked;                         /* by a flow_mod, of this xid, as it stands: its sender knows what it does */
    uint32_t xid;
};

/* Applies the change at time NOW (time_mono_ms()). 0 or OFERR_FLOW_MOD_*; nothing has changed on failure. While a
 * transaction is open, on BR or another bridge of the switch (then it is a flow that a packet_out within it learns), it
 * goes with that. */
int flow_table_apply(struct bridge *br, const struct flow_change *change, int64_t now);
/* Applies N changes in order, or none. On failure *RET_BAD (may be NULL) is the index of the one that was refused. */
int flow_table_apply_all(struct bridge *br, const struct flow_change *changes, size_t n, int64_t now, size_t *ret_bad);
/* The same, for lists that are made one change at a time: each takes effect on the tables at once, but nobody is told
 * (translations, hooks) before the commit, and nothing else may touch the bridge between begin and end, but
 * flow_table_apply(). What was
 * refused has changed nothing; the caller then aborts. Both ends free TXN. */
struct flow_txn *flow_txn_begin(struct bridge *br, int64_t now);
int flow_txn_apply(struct flow_txn *txn, const struct flow_change *change);
void flow_txn_commit(struct flow_txn *txn);
void flow_txn_abort(struct flow_txn *txn);
/* Rules of all tables, hidden ones too. */
size_t flow_table_count(const struct bridge *br);
/* Every rule goes, without flow_removed when QUIET. */
void flow_table_flush(struct bridge *br, bool quiet);

/* Which rules statistics ask for. A zeroed one with table = TABLE_ID_ALL and out_port = OFPP_ANY means all. */
struct flow_filter {
    table_id_t table;
    ofp_port_t out_port;
    bool by_group; /* only flows that name out_group */
    uint32_t out_group;
    struct match match; /* loose */
    __be64 cookie, cookie_mask;
    bool hidden; /* also rules that OpenFlow never sees (priority over 65535) */
};
/* Calls FN for each selected rule, tables in order, until it returns non-zero, which is then returned. FN must not
 * change tables. Counters are those at the last megaflow statistics run; call megaflow_sync_stats() first for fresh
 * ones. */
int flow_table_for_each(struct bridge *br, const struct flow_filter *filter,
                        int (*fn)(void *aux, const struct rule *rule), void *aux);
void rule_get_match(const struct rule *rule, struct match *ret);
/* As text formats it (openflow/text.h). The actions are borrowed from RULE. */
void rule_describe(const struct rule *rule, struct flow_spec *ret);
/* The table-miss flow of OpenFlow 1.3 (5.4): priority 0, and matching everything. */
bool rule_is_table_miss(const struct rule *rule);

struct table_stats {
    uint32_t active;
    uint64_t lookup, matched;
};
void flow_table_get_stats(const struct bridge *br, table_id_t table, struct table_stats *ret);

/* ---- for translate and megaflow ---- */

/* Rule or NULL (miss). MASK gets what was looked at. Counts nothing. */
struct rule *flow_table_lookup(const struct bridge *br, table_id_t table, const struct flow *flow, struct flow *mask);
/* Adds traffic that passed when the rule had N_RESETS, but to counters that the rule's flags turn off; USED 0: leave.
 */
void rule_credit(struct rule *rule, uint32_t n_resets, uint64_t packets, uint64_t bytes, int64_t used_ms);
/* For fin_timeout: longer timeouts, and none, become these; 0: leave. */
void rule_shorten_timeouts(struct rule *rule, uint16_t idle, uint16_t hard);
struct rule *rule_ref(struct rule *rule);
void rule_unref(struct rule *rule);
struct rule_actions *rule_actions_ref(struct rule_actions *a);
void rule_actions_unref(struct rule_actions *a);
/* Removes rules whose time has come. */
void flow_table_expire(struct bridge *br, int64_t now);
/* Frees what still waits for it; NULL is fine. */
void flow_reaper_destroy(struct flow_reaper *reaper);
int flow_tables_init(struct bridge *br);
void flow_tables_done(struct bridge *br);

#endif
