/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_MONITOR_H
#define WARREN_OPENFLOW_MSG_MONITOR_H
/*
 * Flow monitors: the requests, and the updates that are sent until they are cancelled. Three wire forms of one thing:
 * the Nicira extension (vendor statistics 2, any version), the ONF's for 1.3 (experimenter multipart 1870, updates in
 * the Nicira layout but with an ofp_match and instructions), and multipart 16 of OpenFlow 1.4 (7.3.5.18).
 */
#include "openflow/msg_multipart.h"

#define OF_ONF_MONITOR_PAUSED 1871
#define OF_ONF_MONITOR_RESUMED 1872

/* In which form a monitor was asked for, and is answered. */
enum of_monitor_form { OF_MONITOR_NX, OF_MONITOR_ONF, OF_MONITOR_14 };

/* Flags, whatever the form. OWN: changes that this connection made are told in full rather than by their xid. (1.4's
 * ONLY_OWN is sent by Open vSwitch's clients in that sense, and so it is taken.) */
#define OF_MONITOR_INITIAL 1u
#define OF_MONITOR_ADD 2u
#define OF_MONITOR_DELETE 4u
#define OF_MONITOR_MODIFY 8u
#define OF_MONITOR_ACTIONS 16u
#define OF_MONITOR_OWN 32u

enum of_monitor_command { OF_MONITOR_CMD_ADD = 0, OF_MONITOR_CMD_MODIFY = 1, OF_MONITOR_CMD_DELETE = 2 };

struct of_monitor_request {
    uint32_t id;
    enum of_monitor_command command; /* ADD in the forms before 1.4 */
    unsigned int flags;              /* OF_MONITOR_* */
    table_id_t table;
    ofp_port_t out_port;
    uint32_t out_group;
    struct match match;
};
/* The next request of R; a message of the forms before 1.4 may hold several. 0 or OFERR_*. */
int of_monitor_request_decode(struct reader *r, enum of_monitor_form form, struct of_monitor_request *ret);

enum of_update_event {
    OF_UPDATE_INITIAL, /* ADDED in the forms before 1.4 */
    OF_UPDATE_ADDED,
    OF_UPDATE_REMOVED,
    OF_UPDATE_MODIFIED,
    OF_UPDATE_ABBREV, /* one of the peer's own changes: only `xid` counts */
    OF_UPDATE_PAUSED, /* 1.4; messages of their own in the other forms */
    OF_UPDATE_RESUMED,
};

struct of_flow_update {
    enum of_update_event event;
    uint8_t reason; /* of REMOVED: enum ofp_flow_removed_reason */
    table_id_t table;
    uint16_t priority, idle_timeout, hard_timeout;
    __be64 cookie;
    struct match match;
    const void *acts; /* NULL: not told */
    size_t acts_len;
    uint32_t xid;
};

/* Begins a reply that of_mp_entry(), of_flow_update_encode() and of_mp_end() go on with. */
void of_monitor_reply_begin(struct of_mp *mp, struct writer *w, uint8_t version, enum of_monitor_form form,
                            uint32_t xid);
void of_flow_update_encode(struct writer *w, uint8_t version, enum of_monitor_form form,
                           const struct of_flow_update *fu);
/* A message that says PAUSED or RESUMED. */
void of_monitor_state_encode(struct writer *w, uint8_t version, enum of_monitor_form form, bool paused);

#endif
