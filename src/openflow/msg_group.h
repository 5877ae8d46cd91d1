/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_GROUP_H
#define WARREN_OPENFLOW_MSG_GROUP_H
/*
 * Groups: group_mod and the statistics, descriptions and features of groups, in every version. The structs are those of
 * OpenFlow 1.5 (bucket ids, properties), which Nicira's messages carry to 1.0-1.4 too (group_mod 31, statistics 7 to
 * 9). The standard's bodies of 1.1 to 1.4 know no ids: buckets read from them are numbered from 0.
 */
#include "openflow/msg_multipart.h"

#define OF_GROUP_MAX 0xffffff00u /* highest number of a group */
#define OF_GROUP_ALL 0xfffffffcu /* every group, when deleting or asking */

#define OF_BUCKET_MAX 0xffffff00u
#define OF_BUCKET_FIRST 0xfffffffdu
#define OF_BUCKET_LAST 0xfffffffeu
#define OF_BUCKET_ALL 0xffffffffu

enum of_group_type { OF_GROUP_TYPE_ALL, OF_GROUP_TYPE_SELECT, OF_GROUP_TYPE_INDIRECT, OF_GROUP_TYPE_FAILOVER };
enum of_group_command {
    OF_GROUP_ADD = 0,
    OF_GROUP_MODIFY = 1,
    OF_GROUP_DELETE = 2,
    OF_GROUP_INSERT_BUCKET = 3,      /* 1.5 and Nicira's */
    OF_GROUP_REMOVE_BUCKET = 5,      /* likewise */
    OF_GROUP_ADD_OR_MODIFY = 0x8000, /* Open vSwitch's */
};

/* How a select group chooses. DEFAULT: as the switch likes. DP_HASH: by the datapath's hash of the connection. HASH: by
 * the fields that are named. */
enum of_selection_method { OF_SELECT_DEFAULT, OF_SELECT_DP_HASH, OF_SELECT_HASH };
#define OF_SELECTION_FIELDS_MAX 64
struct of_selection_field {
    const struct field *field;
    union field_value mask; /* the bits that count */
};

struct of_bucket {
    uint32_t id;
    uint16_t weight;
    ofp_port_t watch_port; /* OFPP_ANY: none */
    uint32_t watch_group;  /* OF_GROUP_ANY: none */
    struct ofpacts acts;
};

struct of_group {
    uint32_t id;
    enum of_group_type type;
    struct of_bucket *buckets;
    size_t n_buckets;
    enum of_selection_method method;
    uint64_t method_param;             /* basis of the hash */
    struct of_selection_field *fields; /* HASH */
    size_t n_fields;
};
void of_group_done(struct of_group *g);

struct of_group_mod {
    enum of_group_command command;
    uint32_t command_bucket; /* INSERT_BUCKET, REMOVE_BUCKET */
    struct of_group group;   /* DELETE: only its id */
};
void of_group_mod_done(struct of_group_mod *gm);
/* GROUP_MOD's body, or (NX) that of Nicira's, which is 1.5's with actions as in VERSION. OFERR_GROUP_*,
 * OFERR_ACTION_*, or OFERR_PROPERTY_*. *RET is the caller's to free. */
int of_group_mod_decode(struct reader *body, uint8_t version, bool nx, struct of_group_mod *ret);
void of_group_mod_encode(struct writer *w, uint8_t version, bool nx, const struct of_group_mod *gm, uint32_t xid);

/* GROUP (statistics) and GROUP_DESC requests. GROUP_DESC has no body before 1.5 (not so in Nicira's): OF_GROUP_ALL. */
int of_group_request_decode(struct reader *body, uint8_t version, bool nx, enum of_multipart_type type, uint32_t *ret);

/* One group of a GROUP_DESC reply. */
void of_group_desc_put(struct writer *w, uint8_t version, bool nx, const struct of_group *g);
int of_group_desc_decode(struct reader *r, uint8_t version, bool nx, struct of_group *ret);

struct of_group_stats {
    uint32_t id, ref_count;
    uint64_t packets, bytes;
    uint32_t duration_sec, duration_nsec;
    const uint64_t *bucket_counts; /* packets and bytes of each */
    size_t n_buckets;
    uint64_t *decoded; /* when decoding: what bucket_counts is, the caller's to free() */
};
/* The same in 1.3 and newer, and in Nicira's. */
void of_group_stats_put(struct writer *w, const struct of_group_stats *gs);
int of_group_stats_decode(struct reader *r, struct of_group_stats *ret);

/* Bits of `types`: 1 << of_group_type; of `actions`: 1 << ofp_action_type. */
#define OF_GROUP_CAP_SELECT_WEIGHT 1u
#define OF_GROUP_CAP_SELECT_LIVENESS 2u
#define OF_GROUP_CAP_CHAINING 4u
#define OF_GROUP_CAP_CHAINING_CHECKS 8u
struct of_group_features {
    uint32_t types, capabilities, max_groups[4], actions[4];
};
void of_group_features_put(struct writer *w, const struct of_group_features *gf);
int of_group_features_decode(struct reader *r, struct of_group_features *ret);

#endif
