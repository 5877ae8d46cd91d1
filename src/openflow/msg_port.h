/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_PORT_H
#define WARREN_OPENFLOW_MSG_PORT_H
/*
 * What OpenFlow says of the switch as a whole and of its ports: features, port descriptions, counters, changes. The
 * structs hold OpenFlow 1.1+'s numbers (features, state) and the union of all versions' config bits; a version's
 * encoder leaves out what it has no bit for. struct of_port itself, and reading one, is in msg.h.
 */
#include "openflow/msg_multipart.h"

/* Capabilities, as in 1.4 and newer (7.3.1); STP and ARP_MATCH_IP are 1.0's own. */
#define OF_CAP_FLOW_STATS (1u << 0)
#define OF_CAP_TABLE_STATS (1u << 1)
#define OF_CAP_PORT_STATS (1u << 2)
#define OF_CAP_GROUP_STATS (1u << 3)
#define OF_CAP_STP (1u << 3)
#define OF_CAP_IP_REASM (1u << 5)
#define OF_CAP_QUEUE_STATS (1u << 6)
#define OF_CAP_ARP_MATCH_IP (1u << 7)
#define OF_CAP_PORT_BLOCKED (1u << 8)
#define OF_CAP_BUNDLES (1u << 9)
#define OF_CAP_FLOW_MONITORING (1u << 10)

struct of_features {
    uint64_t datapath_id;
    uint32_t n_buffers;
    uint8_t n_tables, auxiliary_id;
    uint32_t capabilities; /* when encoding: of 1.4+; what VERSION has no bit for is left out */
    uint32_t actions;      /* 1.0: bit 1 << ofp_action_type; 0 when encoding means all of the standard's */
};
/* Begins a reply; in 1.0 follow as many of_port_encode() as fit. Then of_end(). */
size_t of_features_begin(struct writer *w, uint8_t version, const struct of_features *f, uint32_t xid);
/* Leaves BODY at the ports in 1.0, at its end in newer versions. */
int of_features_decode(struct reader *body, uint8_t version, struct of_features *ret);

int of_port_status_decode(struct reader *body, uint8_t version, uint8_t *ret_reason, struct of_port *ret);
/* PM->advertise 0: as it is. */
void of_port_mod_encode(struct writer *w, uint8_t version, const struct of_port_mod *pm, uint32_t xid);

/* PORT_DESC and PORT_STATS requests. In PORT_DESC before 1.5 there is no body: all. */
int of_port_request_decode(struct reader *body, uint8_t version, enum of_multipart_type type, ofp_port_t *ret);
void of_port_request_encode(struct writer *w, uint8_t version, enum of_multipart_type type, ofp_port_t port,
                            uint32_t xid);
/* One entry of PORT_STATS; UINT64_MAX is "not counted". */
void of_port_stats_put(struct writer *w, uint8_t version, const struct of_port_stats *ps);
int of_port_stats_decode(struct reader *r, uint8_t version, struct of_port_stats *ret);

#endif
