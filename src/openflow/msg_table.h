/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_TABLE_H
#define WARREN_OPENFLOW_MSG_TABLE_H
/*
 * Tables as a whole: counters, features, configuration (eviction and vacancy from OpenFlow 1.4 on).
 */
#include "openflow/msg_multipart.h"

#define OF_TABLE_NAME_LEN 32

struct of_table_stats {
    table_id_t table;
    char name[OF_TABLE_NAME_LEN]; /* 1.0; NUL-terminated */
    uint32_t max_entries;         /* 1.0 */
    uint32_t active;
    uint64_t lookup, matched;
};
void of_table_stats_put(struct writer *w, uint8_t version, const struct of_table_stats *ts);
int of_table_stats_decode(struct reader *r, uint8_t version, struct of_table_stats *ret);

/* TABLE_FEATURES. The properties are the same for hits and misses in this form. Bits of actions: the version's own
 * action types, experimenters' left out; of instructions likewise. */
enum of_table_features_command { OF_TF_REPLACE, OF_TF_MODIFY, OF_TF_ENABLE, OF_TF_DISABLE };
struct of_table_features {
    table_id_t table;
    enum of_table_features_command command; /* 1.5 */
    char name[OF_TABLE_NAME_LEN];
    uint64_t metadata_match, metadata_write;
    uint32_t capabilities; /* 1.3: config */
    uint32_t max_entries;
    bool have_properties;
    uint32_t instructions, write_actions, apply_actions;
    uint64_t next_tables[4]; /* bit N % 64 of word N / 64 */
    uint64_t match[(FIELD_MAX + 63) / 64];
};
#define OF_TABLE_CAP_EVICTION 4u
#define OF_TABLE_CAP_VACANCY_EVENTS 8u
/* One table of a reply, with the same properties for each: what goto, actions and fields can do is not the table's
 * choice. NAME may be NULL. 1.4 and newer: says that tables can evict, and tell of their vacancy. */
void of_table_features_put(struct writer *w, uint8_t version, table_id_t table, const char *name, uint32_t max_entries);
/* One table of a request's body or a reply. OFERR_TABLE_FEATURES_* or OFERR_PROPERTY_* by the standard. */
int of_table_features_decode(struct reader *r, uint8_t version, struct of_table_features *ret);

/* Eviction by 1.4's numbers: which qualities of a flow the switch looks at. */
#define OF_EVICT_OTHER 1u
#define OF_EVICT_IMPORTANCE 2u
#define OF_EVICT_LIFETIME 4u
enum of_tristate { OF_KEEP = -1, OF_OFF = 0, OF_ON = 1 };
struct of_table_config {
    table_id_t table; /* OFPTT_ALL (255) in a table_mod */
    enum of_tristate eviction, vacancy;
    uint32_t eviction_flags;          /* OF_EVICT_*; UINT32_MAX: not told */
    uint8_t vacancy_down, vacancy_up; /* per cent; valid when vacancy is on */
    uint8_t vacancy_now;              /* TABLE_DESC, TABLE_STATUS */
    uint32_t miss;                    /* 1.1 to 1.3: the deprecated bits 0..1 */
};
/* The body of a TABLE_MOD. OFERR_TABLE_MOD_BAD_CONFIG for bits that the version has not, OFERR_PROPERTY_* for
 * properties. */
int of_table_mod_decode(struct reader *body, uint8_t version, struct of_table_config *ret);
void of_table_mod_encode(struct writer *w, uint8_t version, const struct of_table_config *tc, uint32_t xid);
/* One table of a TABLE_DESC reply (1.4 and newer). */
void of_table_desc_put(struct writer *w, const struct of_table_config *tc);
int of_table_desc_decode(struct reader *r, struct of_table_config *ret);
/* TABLE_STATUS: a vacancy threshold was passed. */
enum of_table_reason { OF_TABLE_VACANCY_DOWN = 3, OF_TABLE_VACANCY_UP = 4 };
void of_table_status_encode(struct writer *w, uint8_t version, enum of_table_reason reason,
                            const struct of_table_config *tc);
int of_table_status_decode(struct reader *body, enum of_table_reason *ret_reason, struct of_table_config *ret);

#endif
