/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_ACTION_H
#define WARREN_OPENFLOW_ACTION_H
/*
 * OpenFlow actions and instructions, decoded: one compact list form for every OpenFlow version, which translate walks
 * and the codecs and the text syntax produce. A list is a run of structs that each begin with `struct ofpact`; `len`
 * counts the struct and is a multiple of 8. Instructions stand in the list in their order of execution (meter, apply's
 * actions, clear, write, metadata, goto_table last).
 *
 * Later kinds (groups, meters, conntrack, ...) are added to the enum with a struct of their own; what is recognised but
 * not yet supported is refused at decoding with the OpenFlow error that the standard names.
 */
#include "base/cursor.h"
#include "openflow/field.h"
#include "openflow/match.h"

enum ofpact_type {
    OFPACT_OUTPUT = 1, /* ofpact_output */
    OFPACT_OUTPUT_REG, /* ofpact_output_reg: to the port whose number a field holds */
    OFPACT_CONTROLLER, /* ofpact_controller */
    OFPACT_SET_FIELD,  /* ofpact_set_field: set_field, and the legacy mod_* / set_tunnel / load wide enough to be one */
    OFPACT_LOAD,       /* ofpact_load: NXAST_REG_LOAD, kept as such so that dumps show what was sent */
    OFPACT_MOVE,       /* ofpact_move */
    OFPACT_PUSH_VLAN,  /* ofpact_u16: EtherType */
    OFPACT_POP_VLAN,   /* no body (strip_vlan) */
    OFPACT_SET_VLAN_VID, /* ofpact_u16: OpenFlow 1.0's, pushes a tag if there is none (mod_vlan_vid) */
    OFPACT_SET_VLAN_PCP, /* ofpact_u16: likewise */
    OFPACT_PUSH_MPLS,
    OFPACT_POP_MPLS,   /* ofpact_u16: EtherType */
    OFPACT_SET_TUNNEL, /* ofpact_u64 */
    OFPACT_SET_QUEUE,
    OFPACT_POP_QUEUE,        /* ofpact_u32; none */
    OFPACT_DEC_TTL,          /* no body */
    OFPACT_RESUBMIT,         /* ofpact_resubmit */
    OFPACT_LEARN,            /* ofpact_learn */
    OFPACT_NOTE,             /* ofpact_note */
    OFPACT_EXIT,             /* no body */
    OFPACT_CLONE,            /* ofpact_nest */
    OFPACT_METER,            /* ofpact_u32 (instruction up to OpenFlow 1.4, action from 1.5 on) */
    OFPACT_CLEAR_ACTIONS,    /* no body (instruction) */
    OFPACT_WRITE_ACTIONS,    /* ofpact_nest (instruction) */
    OFPACT_WRITE_METADATA,   /* ofpact_metadata (instruction) */
    OFPACT_GOTO_TABLE,       /* ofpact_u16: table (instruction) */
    OFPACT_FIN_TIMEOUT,      /* ofpact_fin_timeout */
    OFPACT_GROUP,            /* ofpact_u32: group id */
    OFPACT_ENQUEUE,          /* ofpact_enqueue: OpenFlow 1.0's output by a queue */
    OFPACT_OUTPUT_TRUNC,     /* ofpact_output_trunc */
    OFPACT_STRIP_VLAN,       /* no body: pop_vlan under its OpenFlow 1.0 name, lax about there being a tag */
    OFPACT_SET_L4_SRC,       /* ofpact_u16: OpenFlow 1.0's, whatever the protocol (mod_tp_src) */
    OFPACT_SET_L4_DST,       /* ofpact_u16 */
    OFPACT_SET_NW_TTL,       /* ofpact_u16 (mod_nw_ttl) */
    OFPACT_DEC_TTL_IDS,      /* ofpact_cnt_ids: which controllers hear of it when the TTL runs out */
    OFPACT_SET_MPLS_LABEL,   /* ofpact_u32 */
    OFPACT_SET_MPLS_TC,      /* ofpact_u16 */
    OFPACT_SET_MPLS_TTL,     /* ofpact_u16 */
    OFPACT_DEC_MPLS_TTL,     /* no body */
    OFPACT_STACK_PUSH,       /* ofpact_stack */
    OFPACT_STACK_POP,        /* ofpact_stack */
    OFPACT_MULTIPATH,        /* ofpact_multipath */
    OFPACT_BUNDLE,           /* ofpact_bundle: bundle, and bundle_load when dst.field is not NULL */
    OFPACT_CONJUNCTION,      /* ofpact_conjunction: stands alone but for others and notes */
    OFPACT_CHECK_PKT_LARGER, /* ofpact_check_pkt_larger */
    OFPACT_DELETE_FIELD,     /* ofpact_field: a tun_metadata field goes */
};

struct ofpact {
    uint16_t type;
    uint16_t len;
};

struct ofpact_output {
    struct ofpact h;
    ofp_port_t port;
    uint16_t max_len;
};
struct ofpact_output_reg {
    struct ofpact h;
    uint16_t max_len;
    struct subfield src;
};
struct ofpact_enqueue {
    struct ofpact h;
    ofp_port_t port;
    uint32_t queue;
};
struct ofpact_output_trunc {
    struct ofpact h;
    ofp_port_t port;
    uint32_t max_len; /* of the packet, link header included; at least 14 */
};
/* meter_id 0: the bridge's controller meter. */
struct ofpact_controller {
    struct ofpact h;
    uint16_t max_len, controller_id;
    uint8_t reason;
    uint32_t meter_id;
    uint16_t userdata_len;
    uint8_t userdata[];
};
/* legacy: one of OpenFlow 1.0's set_dl_src and the like, which need not be sure that the packet has the field. */
struct ofpact_set_field {
    struct ofpact h;
    bool legacy;
    const struct field *field;
    union field_value value, mask;
};
struct ofpact_load {
    struct ofpact h;
    struct subfield dst;
    uint64_t value;
};
/* onf: came as the standard's copy_field, which in OpenFlow 1.3 is ONF's. */
struct ofpact_move {
    struct ofpact h;
    bool onf;
    struct subfield src, dst;
};
/* has_vlan: for SET_VLAN_*; the packet surely has a tag here, so that OpenFlow 1.3, which lacks these, needs no
 * push_vlan. ip_proto: for SET_L4_*; the packet's, 0: unknown. */
struct ofpact_u16 {
    struct ofpact h;
    uint16_t v;
    bool has_vlan;
    uint8_t ip_proto;
};
struct ofpact_u32 {
    struct ofpact h;
    uint32_t v;
};
struct ofpact_u64 {
    struct ofpact h;
    bool wide;
    uint64_t v;
}; /* wide: came as set_tunnel64 */
/* in_port OFPP_IN_PORT: keep. table 255: the current one. */
struct ofpact_resubmit {
    struct ofpact h;
    ofp_port_t in_port;
    table_id_t table;
};
struct ofpact_note {
    struct ofpact h;
    uint16_t n;
    uint8_t data[];
};
struct ofpact_nest {
    struct ofpact h;
    uint32_t pad; /* nested actions follow, to h.len */
};
struct ofpact_metadata {
    struct ofpact h;
    __be64 value, mask;
};
struct ofpact_fin_timeout {
    struct ofpact h;
    uint16_t idle, hard;
};

struct ofpact_cnt_ids {
    struct ofpact h;
    uint16_t n, ids[];
};
struct ofpact_stack {
    struct ofpact h;
    struct subfield sf;
};

enum multipath_algorithm { MULTIPATH_MODULO_N, MULTIPATH_HASH_THRESHOLD, MULTIPATH_HRW, MULTIPATH_ITER_HASH };
enum bundle_algorithm { BUNDLE_ACTIVE_BACKUP, BUNDLE_HRW };
/* What of a packet is hashed. */
enum nx_hash_fields {
    NX_HASH_ETH_SRC,
    NX_HASH_SYMMETRIC_L4,
    NX_HASH_SYMMETRIC_L3L4,
    NX_HASH_SYMMETRIC_L3L4_UDP,
    NX_HASH_NW_SRC,
    NX_HASH_NW_DST,
    NX_HASH_SYMMETRIC_L3,
};
struct ofpact_multipath {
    struct ofpact h;
    uint16_t fields, basis, algorithm, max_link; /* max_link: number of links - 1 */
    uint32_t arg;
    struct subfield dst;
};
struct ofpact_bundle {
    struct ofpact h;
    uint16_t fields, basis, algorithm, n_members;
    struct subfield dst;
    ofp_port_t members[];
};
/* The rule is clause CLAUSE (from 0) of N_CLAUSES of conjunction ID. */
struct ofpact_conjunction {
    struct ofpact h;
    uint8_t clause, n_clauses;
    uint32_t id;
};
struct ofpact_field {
    struct ofpact h;
    const struct field *field;
};
struct ofpact_check_pkt_larger {
    struct ofpact h;
    uint16_t pkt_len;
    struct subfield dst; /* one bit */
};

enum learn_src { LEARN_SRC_FIELD, LEARN_SRC_IMMEDIATE };
enum learn_dst { LEARN_DST_MATCH, LEARN_DST_LOAD, LEARN_DST_OUTPUT };
struct learn_spec {
    uint8_t src_type, dst_type;
    uint16_t n_bits;
    struct subfield src;   /* LEARN_SRC_FIELD */
    union field_value imm; /* LEARN_SRC_IMMEDIATE, right-aligned in 16 bytes */
    struct subfield dst;   /* not for LEARN_DST_OUTPUT */
};
#define LEARN_F_SEND_FLOW_REM 1
#define LEARN_F_DELETE_LEARNED 2
#define LEARN_F_WRITE_RESULT 4
struct ofpact_learn {
    struct ofpact h;
    uint16_t idle_timeout, hard_timeout, priority, fin_idle_timeout, fin_hard_timeout, flags;
    table_id_t table;
    uint16_t n_specs;
    __be64 cookie;
    uint32_t limit;         /* of flows with this cookie in the table; 0: none */
    struct subfield result; /* LEARN_F_WRITE_RESULT: the bit that tells whether the flow is there */
    struct learn_spec specs[];
};

/* A growing list. Zero-initialised is empty; ofpbuf-like: free with ofpacts_done(). */
struct ofpacts {
    uint8_t *data;
    size_t len, allocated;
};
void ofpacts_done(struct ofpacts *a);
/* Appends a zeroed struct of SIZE bytes (rounded up to 8) of type TYPE; the pointer is good until the next append. */
void *ofpact_put(struct ofpacts *a, enum ofpact_type type, size_t size);
/* Opens a nest (clone, write_actions) and closes it with everything that was put since; OFS is what open returned.
 * False, and the nest is gone, if it is too long for `len`. */
size_t ofpact_nest_open(struct ofpacts *a, enum ofpact_type type);
bool ofpact_nest_close(struct ofpacts *a, size_t ofs);

#define OFPACT_FOR_EACH(A, ACTS, LEN)                                                                                  \
    for (const struct ofpact *A = (const struct ofpact *)(const void *)(ACTS);                                         \
         (const uint8_t *)A < (const uint8_t *)(ACTS) + (LEN);                                                         \
         A = (const struct ofpact *)(const void *)((const uint8_t *)A + A->len))
#define OFPACT_NESTED(N) ((const struct ofpact *)(const void *)((const struct ofpact_nest *)(N) + 1))
#define OFPACT_NESTED_LEN(N) (((const struct ofpact *)(N))->len - sizeof(struct ofpact_nest))

/* VERSION is the wire's: 1 (1.0), 4 (1.3), 5 (1.4), 6 (1.5). All return 0 or OFERR(). Decoding checks each action on
 * its own; ofpacts_check() checks it against the match (prerequisites) and the table (goto forwards only). */
int ofpacts_decode_actions(struct reader *r, uint8_t version, struct ofpacts *acts);
/* Decoded actions up to here surely fit a message, in every version, with what replies put around them. The longest on
 * the wire, for its decoded length of 48 bytes, is a set_field whose mask is every other bit: 64 reg_loads of 24. */
#define OFPACTS_SURELY_FIT 1536
int ofpacts_decode_instructions(struct reader *r, uint8_t version, struct ofpacts *acts);
void ofpacts_encode_actions(const void *acts, size_t len, uint8_t version, struct writer *w);
void ofpacts_encode_instructions(const void *acts, size_t len, uint8_t version, struct writer *w);
int ofpacts_check(const void *acts, size_t len, const struct match *match, table_id_t table);
/* As OpenFlow 1.0 has it: there an action that the packet turns out to have no use for does nothing, so the match need
 * not ensure that it has. Nicira's loads and moves are as strict as ever. */
int ofpacts_check_of10(const void *acts, size_t len, const struct match *match, table_id_t table);
/* Tells the SET_VLAN_* and SET_L4_* actions what MATCH says of the packet (see ofpact_u16). */
void ofpacts_note_vlan(struct ofpacts *acts, const struct match *match);
/* Does A write the bit of vlan_tci that says whether there is a tag? Then *RET_TAGGED: there is one. */
bool ofpact_loads_tag(const struct ofpact *a, bool *ret_tagged);
/* Do both lists look the same on the wire of OpenFlow 1.3? So set_tunnel equals set_field of tun_id, and what was sent
 * to a switch equals what it dumps. */
bool ofpacts_equal(const void *a, size_t a_len, const void *b, size_t b_len);
/* Does the list output to PORT (for out_port filters)? */
bool ofpacts_output_to(const void *acts, size_t len, ofp_port_t port);
/* Does the list use GROUP (for out_group filters, and for deleting groups)? */
bool ofpacts_use_group(const void *acts, size_t len, uint32_t group);
/* As ovs-ofctl prints them ("drop" when empty). */
void ofpacts_format(const void *acts, size_t len, const struct name_map *names, struct strbuf *b);
/* "output:1,resubmit(,20)". On failure *RET_ERROR is a message that names the culprit, the caller's to free. */
int ofpacts_parse(const char *text, const struct name_map *names, struct ofpacts *acts, char **ret_error);

#endif
