/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_USERSPACE_POLICER_H
#define WARREN_DATAPATH_USERSPACE_POLICER_H
/*
 * Ingress policing: two token buckets, one of bits and one of packets, that every received frame must find full enough.
 * Refilled by the time that went by, up to the burst; a frame that is larger than the whole burst passes when the burst
 * is there (else a 64 KB super-packet would never pass a small burst) and leaves the bucket in debt; while it does not
 * pass, the bucket fills up to what it needs, or its rate would depend on when it comes. Takes the time, reads no
 * clock.
 */
#include "datapath/datapath.h"

struct policer {
    struct dp_policing config;
    int64_t bits, packets; /* tokens: bits and thousandths of packets */
    int64_t refilled_ms;
};

static inline bool policer_is_on(const struct policer *p)
{
    return p->config.rate_kbps || p->config.rate_kpps;
}

void policer_set(struct policer *p, const struct dp_policing *config, int64_t now_ms);
/* May a frame of LEN bytes, which counts as PACKETS of them (super-packets), pass at NOW_MS? Takes its tokens if so. */
bool policer_admit(struct policer *p, size_t len, uint32_t packets, int64_t now_ms);

#endif
