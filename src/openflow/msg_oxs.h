/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_OXS_H
#define WARREN_OPENFLOW_MSG_OXS_H
/*
 * The statistics of flows in OpenFlow 1.5 (7.2.4): a struct ofp_stats, which is a list of OXS TLVs, where older
 * versions have fixed fields. Unknown ones are passed over. For the files of the message codecs.
 */
#include "base/cursor.h"

enum oxs_field {
    OXS_DURATION = 0,  /* seconds in the upper 32 bits, nanoseconds in the lower */
    OXS_IDLE_TIME = 1, /* likewise */
    OXS_FLOW_COUNT = 3,
    OXS_PACKET_COUNT = 4,
    OXS_BYTE_COUNT = 5,
};
#define OXS_N_FIELDS 6

struct oxs {
    uint64_t values[OXS_N_FIELDS];
    unsigned int present; /* bit 1 << enum oxs_field */
};

void oxs_set(struct oxs *o, enum oxs_field field, uint64_t value);
/* SEC, NSEC of DURATION or IDLE_TIME. */
void oxs_set_time(struct oxs *o, enum oxs_field field, uint32_t sec, uint32_t nsec);
/* With padding to 8 bytes. */
void oxs_encode(struct writer *w, const struct oxs *o);
/* 0, or OFERR_BAD_LEN. */
int oxs_decode(struct reader *r, struct oxs *ret);

#endif
