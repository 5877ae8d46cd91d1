/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_ASYNC_H
#define WARREN_OPENFLOW_MSG_ASYNC_H
/*
 * Roles of controllers, and which asynchronous messages each role is sent: OpenFlow 1.3's six masks and 1.4's
 * properties, and Nicira's messages 10/11 (role), 19 (masks) and 27 (properties) for the versions before.
 */
#include "openflow/msg.h"

#define OF_NX_ROLE_REQUEST 10
#define OF_NX_ROLE_REPLY 11
#define OF_NX_SET_ASYNC_CONFIG 19
#define OF_NX_SET_ASYNC_CONFIG2 27
#define OF_NX_REQUESTFORWARD 132
#define OF_ONF_ROLE_STATUS 1911    /* EXT-191 of 1.3 */
#define OF_ONF_REQUESTFORWARD 2350 /* EXT-350 of 1.3 */

/* enum ofp_controller_role. */
enum of_role { OF_ROLE_NOCHANGE, OF_ROLE_EQUAL, OF_ROLE_MASTER, OF_ROLE_SLAVE };
/* Why a role changed (1.4). */
enum of_role_reason { OF_ROLE_MASTER_REQUEST, OF_ROLE_CONFIG, OF_ROLE_EXPERIMENTER };

struct of_role_request {
    enum of_role role;
    bool have_generation; /* not in Nicira's, nor when a reply knows none */
    uint64_t generation;
};
/* BODY of ROLE_REQUEST or ROLE_REPLY: the same. OFERR_ROLE_BAD_ROLE for a role that is none. */
int of_role_decode(struct reader *body, struct of_role_request *ret);
void of_role_encode(struct writer *w, uint8_t version, enum of_type type, const struct of_role_request *rr,
                    uint32_t xid);
/* Nicira's: behind vendor and subtype. They have no NOCHANGE, and never a generation. */
int of_nx_role_decode(struct reader *body, struct of_role_request *ret);
void of_nx_role_encode(struct writer *w, uint8_t version, bool reply, enum of_role role, uint32_t xid);
/* ROLE_STATUS: unsolicited, 1.3 (as ONF's extension) and newer. BODY of the latter is behind vendor and type there. */
void of_role_status_encode(struct writer *w, uint8_t version, const struct of_role_request *rr,
                           enum of_role_reason reason);
int of_role_status_decode(struct reader *body, struct of_role_request *ret, enum of_role_reason *ret_reason);

/* In the order of 1.4's properties. */
enum of_async_kind {
    OF_ASYNC_PACKET_IN,
    OF_ASYNC_PORT_STATUS,
    OF_ASYNC_FLOW_REMOVED,
    OF_ASYNC_ROLE_STATUS,
    OF_ASYNC_TABLE_STATUS,
    OF_ASYNC_REQUESTFORWARD,
    OF_N_ASYNC,
};
/* Bits 1 << reason. [0]: for master and equal, [1]: for slaves. */
struct of_async {
    uint32_t masks[2][OF_N_ASYNC];
};
/* Reasons that the kinds have in any version. */
uint32_t of_async_known(enum of_async_kind kind);
/* SET_ASYNC's body, GET_ASYNC_REPLY's, and Nicira's 19 (MASKS true, whatever the version) and 27 (false). What the
 * message does not mention stays as it is in *ASYNC. Bits without a meaning: 1.4's properties refuse them
 * (OFERR_ASYNC_INVALID) if STRICT, and 1.3's masks ignore them. */
int of_async_decode(struct reader *body, bool masks, bool strict, struct of_async *async);
/* GET_ASYNC_REPLY and SET_ASYNC. */
void of_async_encode(struct writer *w, uint8_t version, enum of_type type, const struct of_async *async, uint32_t xid);
/* Nicira's 19 (MASKS) or 27. */
void of_nx_async_encode(struct writer *w, uint8_t version, bool masks, const struct of_async *async, uint32_t xid);

/* Tells other controllers of a group_mod or meter_mod: REQUEST of LEN bytes, header included, in VERSION (in 1.0 that
 * is Nicira's group_mod). */
void of_requestforward_encode(struct writer *w, uint8_t version, const void *request, size_t len);
/* The message inside; BODY is behind vendor and subtype in Nicira's form. */
int of_requestforward_decode(struct reader *body, struct of_header *ret, const uint8_t **ret_request);

#endif
