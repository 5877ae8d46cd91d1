/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_NX_H
#define WARREN_OPENFLOW_MSG_NX_H
/*
 * What Nicira's extension adds to the messages (the numbers are those of the headers of Open vSwitch's protocol
 * documentation): matches without a header of their own, switches of a connection, packet_in in two more forms, flow
 * monitors, and the table of Geneve options. They are the same in every version of OpenFlow.
 */
#include "openflow/msg.h"

enum nxt_subtype {
    NXT_ROLE_REQUEST = 10,
    NXT_ROLE_REPLY = 11,
    NXT_SET_FLOW_FORMAT = 12,
    NXT_FLOW_MOD = 13,
    NXT_FLOW_REMOVED = 14,
    NXT_FLOW_MOD_TABLE_ID = 15,
    NXT_SET_PACKET_IN_FORMAT = 16,
    NXT_PACKET_IN = 17,
    NXT_FLOW_AGE = 18,
    NXT_SET_ASYNC_CONFIG = 19,
    NXT_SET_CONTROLLER_ID = 20,
    NXT_FLOW_MONITOR_CANCEL = 21,
    NXT_FLOW_MONITOR_PAUSED = 22,
    NXT_FLOW_MONITOR_RESUMED = 23,
    NXT_TLV_TABLE_MOD = 24,
    NXT_TLV_TABLE_REQUEST = 25,
    NXT_TLV_TABLE_REPLY = 26,
    NXT_SET_ASYNC_CONFIG2 = 27,
    NXT_RESUME = 28,
    NXT_CT_FLUSH_ZONE = 29,
    NXT_PACKET_IN2 = 30,
    NXT_GROUP_MOD = 31,
    NXT_CT_FLUSH = 32,
    NXT_REQUESTFORWARD = 132,
};
enum nxst_subtype {
    NXST_FLOW = 0,
    NXST_AGGREGATE = 1,
    NXST_FLOW_MONITOR = 2,
    NXST_GROUP = 7,
    NXST_GROUP_DESC = 8,
    NXST_GROUP_FEATURES = 9,
};
/* ONF's EXT-187, flow monitors for 1.3. */
#define ONFST_FLOW_MONITOR 1870

/* LEN bytes of TLVs, then padding to 8. COOKIE and its mask (may be NULL) take the pseudo-field. */
int nx_match_decode(struct reader *r, size_t len, struct match *ret, __be64 *ret_cookie, __be64 *ret_cookie_mask);
/* Appends MATCH, the cookie as a pseudo-field if COOKIE_MASK is not zero, and padding; the length goes to LEN_AT. */
void nx_match_encode(struct writer *w, size_t len_at, const struct match *match, __be64 cookie, __be64 cookie_mask);

/* ---- geneve options ---- */

enum nx_tlv_command { NX_TLV_ADD, NX_TLV_DELETE, NX_TLV_CLEAR };
struct nx_tlv_map {
    uint16_t opt_class;
    uint8_t opt_type, opt_len;
    uint16_t index;
};
/* *RET_MAPS has *RET_N entries and is the caller's to free. */
int nx_tlv_mod_decode(struct reader *body, enum nx_tlv_command *ret_command, struct nx_tlv_map **ret_maps,
                      size_t *ret_n);
void nx_tlv_reply_encode(struct writer *w, uint8_t version, uint32_t max_space, uint16_t max_fields,
                         const struct nx_tlv_map *maps, size_t n, uint32_t xid);

#endif
