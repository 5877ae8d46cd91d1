/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_ERROR_H
#define WARREN_OPENFLOW_ERROR_H
/*
 * OpenFlow errors as return values. A decoder or a table operation that refuses a message returns OFERR(type, code): a
 * negative int that is no errno; the connection turns it into an error message with the request's first bytes. Numbers
 * are OpenFlow 1.3's (7.4.4) except the Nicira ones.
 */
#include "base/util.h"

#define OFERR_BASE 0x10000000
#define OFERR(type, code) (-(OFERR_BASE | ((int)(type) << 12) | (int)(code)))
static inline bool oferr_is(int e)
{
    return e <= -OFERR_BASE;
}
static inline uint16_t oferr_type(int e)
{
    return (uint16_t)((-e & 0xffff000) >> 12);
}
static inline uint16_t oferr_code(int e)
{
    return (uint16_t)(-e & 0xfff);
}

#define OFERR_HELLO_INCOMPATIBLE OFERR(0, 0)
#define OFERR_BAD_VERSION OFERR(1, 0)
#define OFERR_BAD_TYPE OFERR(1, 1)
#define OFERR_BAD_MULTIPART OFERR(1, 2)
#define OFERR_BAD_EXPERIMENTER OFERR(1, 3)
#define OFERR_BAD_EXP_TYPE OFERR(1, 4)
#define OFERR_EPERM OFERR(1, 5)
#define OFERR_BAD_LEN OFERR(1, 6)
#define OFERR_BUFFER_EMPTY OFERR(1, 7)
#define OFERR_BUFFER_UNKNOWN OFERR(1, 8)
#define OFERR_BAD_TABLE_ID OFERR(1, 9)
#define OFERR_IS_SLAVE OFERR(1, 10)
#define OFERR_BAD_PORT OFERR(1, 11)
#define OFERR_BAD_PACKET OFERR(1, 12)
#define OFERR_MULTIPART_OVERFLOW OFERR(1, 13)
#define OFERR_ACTION_BAD_TYPE OFERR(2, 0)
#define OFERR_ACTION_BAD_LEN OFERR(2, 1)
#define OFERR_ACTION_BAD_EXPERIMENTER OFERR(2, 2)
#define OFERR_ACTION_BAD_EXP_TYPE OFERR(2, 3)
#define OFERR_ACTION_BAD_OUT_PORT OFERR(2, 4)
#define OFERR_ACTION_BAD_ARGUMENT OFERR(2, 5)
#define OFERR_ACTION_TOO_MANY OFERR(2, 7)
#define OFERR_ACTION_BAD_QUEUE OFERR(2, 8)
#define OFERR_ACTION_BAD_OUT_GROUP OFERR(2, 9)
#define OFERR_ACTION_MATCH_INCONSISTENT OFERR(2, 10)
#define OFERR_ACTION_UNSUPPORTED_ORDER OFERR(2, 11)
#define OFERR_ACTION_BAD_TAG OFERR(2, 12)
#define OFERR_ACTION_BAD_SET_TYPE OFERR(2, 13)
#define OFERR_ACTION_BAD_SET_LEN OFERR(2, 14)
#define OFERR_ACTION_BAD_SET_ARGUMENT OFERR(2, 15)
#define OFERR_INST_UNKNOWN OFERR(3, 0)
#define OFERR_INST_UNSUPPORTED OFERR(3, 1)
#define OFERR_INST_BAD_TABLE_ID OFERR(3, 2)
#define OFERR_INST_UNSUP_METADATA OFERR(3, 3)
#define OFERR_INST_UNSUP_METADATA_MASK OFERR(3, 4)
#define OFERR_INST_BAD_EXPERIMENTER OFERR(3, 5)
#define OFERR_INST_BAD_EXP_TYPE OFERR(3, 6)
#define OFERR_INST_BAD_LEN OFERR(3, 7)
#define OFERR_INST_DUP OFERR(3, 9) /* OpenFlow 1.4; BAD_LEN's neighbour EPERM is 8 */
#define OFERR_MATCH_BAD_TYPE OFERR(4, 0)
#define OFERR_MATCH_BAD_LEN OFERR(4, 1)
#define OFERR_MATCH_BAD_TAG OFERR(4, 2)
#define OFERR_MATCH_BAD_DL_ADDR_MASK OFERR(4, 3)
#define OFERR_MATCH_BAD_NW_ADDR_MASK OFERR(4, 4)
#define OFERR_MATCH_BAD_WILDCARDS OFERR(4, 5)
#define OFERR_MATCH_BAD_FIELD OFERR(4, 6)
#define OFERR_MATCH_BAD_VALUE OFERR(4, 7)
#define OFERR_MATCH_BAD_MASK OFERR(4, 8)
#define OFERR_MATCH_BAD_PREREQ OFERR(4, 9)
#define OFERR_MATCH_DUP_FIELD OFERR(4, 10)
#define OFERR_FLOW_MOD_UNKNOWN OFERR(5, 0)
#define OFERR_FLOW_MOD_TABLE_FULL OFERR(5, 1)
#define OFERR_FLOW_MOD_BAD_TABLE_ID OFERR(5, 2)
#define OFERR_FLOW_MOD_OVERLAP OFERR(5, 3)
#define OFERR_FLOW_MOD_EPERM OFERR(5, 4)
#define OFERR_FLOW_MOD_BAD_TIMEOUT OFERR(5, 5)
#define OFERR_FLOW_MOD_BAD_COMMAND OFERR(5, 6)
#define OFERR_FLOW_MOD_BAD_FLAGS OFERR(5, 7)
/* Nicira's, by their numbers under OpenFlow 1.2 and newer. */
#define OFERR_NX 0xb0c2
#define OFERR_TLV_BAD_COMMAND OFERR(OFERR_NX, 16)
#define OFERR_TLV_BAD_OPT_LEN OFERR(OFERR_NX, 17)
#define OFERR_TLV_BAD_FIELD_IDX OFERR(OFERR_NX, 18)
#define OFERR_TLV_TABLE_FULL OFERR(OFERR_NX, 19)
#define OFERR_TLV_ALREADY_MAPPED OFERR(OFERR_NX, 20)
#define OFERR_TLV_DUP_ENTRY OFERR(OFERR_NX, 21)
#define OFERR_TLV_INVALID_FIELD OFERR(OFERR_NX, 37)
#define OFERR_TLV_INVALID_DEL OFERR(OFERR_NX, 38)
#define OFERR_METER_MOD_INVALID_METER OFERR(12, 2)

const char *oferr_name(int e); /* "OFPBMC_BAD_PREREQ"; a text for an errno too */

#endif
