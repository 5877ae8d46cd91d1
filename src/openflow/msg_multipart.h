/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_MULTIPART_H
#define WARREN_OPENFLOW_MSG_MULTIPART_H
/*
 * Multipart messages (statistics): requests, replies that split themselves at 64 KiB, and the entries of each kind.
 */
#include "openflow/msg.h"

enum of_multipart_type {
    OFMP_DESC = 0,
    OFMP_FLOW = 1,
    OFMP_AGGREGATE = 2,
    OFMP_TABLE = 3,
    OFMP_PORT_STATS = 4,
    OFMP_QUEUE = 5,
    OFMP_GROUP = 6,
    OFMP_GROUP_DESC = 7,
    OFMP_GROUP_FEATURES = 8,
    OFMP_METER = 9,
    OFMP_METER_CONFIG = 10,
    OFMP_METER_FEATURES = 11,
    OFMP_TABLE_FEATURES = 12,
    OFMP_PORT_DESC = 13,
    OFMP_TABLE_DESC = 14,
    OFMP_QUEUE_DESC = 15,
    OFMP_FLOW_MONITOR = 16,
    OFMP_FLOW_STATS = 17, /* 1.5 */
    OFMP_EXPERIMENTER = 0xffff,
};
#define OFMP_F_MORE 1

/* What a multipart message is about: a type, or a subtype of an experimenter's. */
struct of_mp_kind {
    uint16_t type;         /* enum of_multipart_type */
    uint32_t experimenter; /* with OFMP_EXPERIMENTER */
    uint32_t subtype;
};
struct of_mp_header {
    struct of_mp_kind kind;
    uint16_t flags;
};
/* Reads what stands between a message's header and the body of its kind (in 1.0: stats). OFERR_BAD_LEN. */
int of_mp_header_decode(struct reader *body, uint8_t version, struct of_mp_header *ret);

/* A reply under way: entries are appended to `w` between of_mp_entry() and of_mp_entry_done(); when one would make the
 * message too long, a new one with the same xid begins there and the one before it gets the MORE flag. */
struct of_mp {
    struct writer *w;
    uint8_t version;
    struct of_mp_kind kind;
    uint32_t xid;
    size_t start, body, entry;
};
void of_mp_begin(struct of_mp *mp, struct writer *w, uint8_t version, enum of_multipart_type type, uint32_t xid);
void of_mp_begin_kind(struct of_mp *mp, struct writer *w, uint8_t version, const struct of_mp_kind *kind, uint32_t xid);
void of_mp_entry(struct of_mp *mp);
void of_mp_entry_done(struct of_mp *mp);
/* Moves the messages that are full already to RET_DONE (the caller's then), which leaves the one under way. The writer
 * must hold nothing else. */
void of_mp_take_done(struct of_mp *mp, struct writer *ret_done);
void of_mp_end(struct of_mp *mp);

/* Appends a request: header, and the BODY that a kind may need. */
void of_mp_request_encode(struct writer *w, uint8_t version, enum of_multipart_type type, const void *body,
                          size_t body_len, uint32_t xid);

/* FLOW and AGGREGATE requests. */
struct of_flow_request {
    table_id_t table;
    ofp_port_t out_port;
    uint32_t out_group;
    __be64 cookie, cookie_mask;
    struct match match;
};
int of_flow_request_decode(struct reader *body, const struct of_flow_format *format, struct of_flow_request *ret);
void of_flow_request_encode(struct writer *w, uint8_t version, const struct of_flow_request *fr, uint32_t xid);

struct of_flow_stats {
    table_id_t table;
    uint32_t duration_sec, duration_nsec;
    uint16_t priority, idle_timeout, hard_timeout, flags;
    uint16_t importance;         /* 1.4 */
    uint32_t idle_age, hard_age; /* seconds; Nicira's form carries them */
    __be64 cookie;
    uint64_t packets, bytes;
    struct match match;
    const void *acts; /* when encoding */
    size_t acts_len;
    struct ofpacts decoded; /* when decoding: the caller's */
    /* When decoding: why the match, or the actions, cannot be read (then that is empty); 0: it was. */
    int match_error, actions_error;
};
/* PACKETS and BYTES that are UINT64_MAX are not counted. */
void of_flow_stats_encode(struct writer *w, const struct of_flow_format *format, const struct of_flow_stats *fs);
/* An entry of FLOW_STATS: OpenFlow 1.5's statistics of flows without their descriptions (7.3.5.3). */
void of_flow_stats_brief_encode(struct writer *w, uint8_t version, const struct of_flow_stats *fs);
/* The next entry of R. What a flow says that we have no word for is told by match_error and actions_error, so that one
 * such flow keeps nobody from reading the others; an error is returned for an entry whose form is wrong. */
int of_flow_stats_decode(struct reader *r, uint8_t version, struct of_flow_stats *ret);

/* VERSION 1 for Nicira's form. */
void of_aggregate_encode(struct writer *w, uint8_t version, uint64_t packets, uint64_t bytes, uint32_t flows);
struct of_desc {
    const char *manufacturer, *hardware, *software, *serial, *datapath;
};
void of_desc_encode(struct writer *w, const struct of_desc *desc);
struct of_port_stats {
    ofp_port_t port_no;
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, rx_errors, tx_errors;
    uint64_t rx_frame_err, rx_over_err, rx_crc_err, collisions;
    uint32_t duration_sec, duration_nsec;
};
void of_port_stats_encode(struct writer *w, uint8_t version, const struct of_port_stats *ps);
/* Which port's statistics, or descriptions (1.5), are wanted; OFPP_ANY: all. */
int of_port_request_decode(struct reader *body, uint8_t version, ofp_port_t *ret);

struct of_queue_stats {
    ofp_port_t port_no;
    uint32_t queue_id;
    uint64_t tx_bytes, tx_packets, tx_errors;
    uint32_t duration_sec, duration_nsec;
};
void of_queue_stats_encode(struct writer *w, uint8_t version, const struct of_queue_stats *qs);
/* OFMP_QUEUE and OFMP_QUEUE_DESC: of which port (OFPP_ANY: all) and queue (OF_QUEUE_ALL). */
int of_queue_request_decode(struct reader *body, uint8_t version, ofp_port_t *ret_port, uint32_t *ret_queue);

/* The configuration of a queue: rates in 1/1000 of the port's speed, or OF_QUEUE_RATE_NONE. */
#define OF_QUEUE_RATE_NONE 0xffffu
struct of_queue_config {
    ofp_port_t port_no;
    uint32_t queue_id;
    uint16_t min_rate, max_rate;
};
/* In QUEUE_GET_CONFIG_REPLY up to 1.3, in QUEUE_DESC from 1.4 on. */
void of_queue_config_encode(struct writer *w, uint8_t version, const struct of_queue_config *qc);

#endif
