/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_QUEUE_H
#define WARREN_OPENFLOW_MSG_QUEUE_H
/*
 * Queues: counters (multipart 5) and configuration, which is a message of its own up to OpenFlow 1.3 and multipart 15
 * from 1.4 on.
 */
#include "openflow/msg_multipart.h"

#define OFMP_QUEUE_DESC 15
#define OF_QUEUE_NO_RATE 0xffff

struct of_queue_request {
    ofp_port_t port; /* OFPP_ANY: all */
    uint32_t queue;  /* OF_QUEUE_ALL */
};
/* QUEUE statistics, and QUEUE_DESC: the same body. OFERR_BAD_LEN, or QUEUE_BAD_PORT for a port that cannot be. */
int of_queue_request_decode(struct reader *body, uint8_t version, struct of_queue_request *ret);
void of_queue_request_encode(struct writer *w, uint8_t version, enum of_multipart_type type,
                             const struct of_queue_request *qr, uint32_t xid);

struct of_queue_stats {
    ofp_port_t port;
    uint32_t queue;
    uint64_t tx_bytes, tx_packets, tx_errors; /* UINT64_MAX: not counted */
    uint32_t duration_sec, duration_nsec;     /* UINT32_MAX: not known */
};
void of_queue_stats_put(struct writer *w, uint8_t version, const struct of_queue_stats *qs);
int of_queue_stats_decode(struct reader *r, uint8_t version, struct of_queue_stats *ret);

/* QUEUE_GET_CONFIG_REQUEST up to 1.3. In 1.0 and 1.1 the port must be one; OFPP_ANY is for newer ones. */
int of_queue_config_request_decode(struct reader *body, uint8_t version, ofp_port_t *ret);
void of_queue_config_request_encode(struct writer *w, uint8_t version, ofp_port_t port, uint32_t xid);
struct of_queue_config {
    ofp_port_t port;
    uint32_t queue;
    uint16_t min_rate, max_rate; /* in 1/1000 of the link's; OF_QUEUE_NO_RATE: none */
};
/* Begins the reply about PORT; of_queue_config_put() each queue; of_end(). */
size_t of_queue_config_begin(struct writer *w, uint8_t version, ofp_port_t port, uint32_t xid);
/* One queue, in that reply or (1.4 and newer) in a QUEUE_DESC multipart. */
void of_queue_config_put(struct writer *w, uint8_t version, const struct of_queue_config *qc);
/* The port that a reply up to 1.3 begins with; its queues follow. */
int of_queue_config_reply_decode(struct reader *body, uint8_t version, ofp_port_t *ret);
/* The next queue. Up to 1.0 the port is not in it: RET->port is left alone there. */
int of_queue_config_decode(struct reader *r, uint8_t version, struct of_queue_config *ret);

#endif
