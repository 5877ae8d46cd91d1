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
    OFMP_EXPERIMENTER = 0xffff,
};
#define OFMP_F_MORE 1

/* A reply under way: entries are appended to `w` between of_mp_entry() and of_mp_entry_done(); when one would make the
 * message too long, a new one with the same xid begins there and the one before it gets the MORE flag. */
struct of_mp {
    struct writer *w;
    uint8_t version;
    enum of_multipart_type type;
    uint32_t xid;
    size_t start, entry;
};
void of_mp_begin(struct of_mp *mp, struct writer *w, uint8_t version, enum of_multipart_type type, uint32_t xid);
void of_mp_entry(struct of_mp *mp);
void of_mp_entry_done(struct of_mp *mp);
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
int of_flow_request_decode(struct reader *body, struct of_flow_request *ret);
void of_flow_request_encode(struct writer *w, uint8_t version, const struct of_flow_request *fr, uint32_t xid);

struct of_flow_stats {
    table_id_t table;
    uint32_t duration_sec, duration_nsec;
    uint16_t priority, idle_timeout, hard_timeout, flags;
    __be64 cookie;
    uint64_t packets, bytes;
    struct match match;
    const void *acts; /* when encoding */
    size_t acts_len;
    struct ofpacts decoded; /* when decoding: the caller's */
};
void of_flow_stats_encode(struct writer *w, uint8_t version, const struct of_flow_stats *fs);
/* The next entry of R. */
int of_flow_stats_decode(struct reader *r, uint8_t version, struct of_flow_stats *ret);

void of_aggregate_encode(struct writer *w, uint64_t packets, uint64_t bytes, uint32_t flows);
struct of_desc {
    const char *manufacturer, *hardware, *software, *serial, *datapath;
};
void of_desc_encode(struct writer *w, const struct of_desc *desc);
void of_table_stats_encode(struct writer *w, table_id_t table, uint32_t active, uint64_t lookup, uint64_t matched);
/* One table of TABLE_FEATURES with the required properties. What a table can do is the same in all: NEXT is what goto
 * may name. */
void of_table_features_encode(struct writer *w, table_id_t table, uint32_t max_entries);

struct of_port_stats {
    ofp_port_t port_no;
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, rx_errors, tx_errors;
    uint64_t rx_frame_err, rx_over_err, rx_crc_err, collisions;
    uint32_t duration_sec, duration_nsec;
};
void of_port_stats_encode(struct writer *w, const struct of_port_stats *ps);

#endif
