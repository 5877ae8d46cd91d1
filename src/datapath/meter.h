/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_METER_H
#define WARREN_DATAPATH_METER_H
/*
 * Meters: token buckets that DP_ACTION_METER asks, one set of bands a meter. Shared with BPF: only <linux/types.h> is
 * included, and the state below is what a datapath keeps for each meter.
 *
 * Every band is a bucket of its own that all packets draw from, refilled by the time that went by, up to its burst. A
 * packet that does not find enough in a band exceeds it; the band with the highest rate among those counts it, and it
 * is dropped (bands only drop). A packet larger than a band's whole burst passes when the burst is there and leaves the
 * bucket in debt, else a super-packet would never pass a small burst; while it does not pass, the bucket fills up to
 * what it needs, or its rate would depend on when it comes. Takes the time, reads no clock.
 */
#include <linux/types.h>

#define DP_METER_BANDS_MAX 8
#define DP_METER_NONE (-1)

struct dp_meter_band {
    __u64 rate;  /* kbit/s, or packets/s of a meter that counts packets; not 0 */
    __u64 burst; /* kbit, or packets; 0: what the rate gives in a second */
};

struct dp_meter_config {
    __u32 pktps; /* 1: packets, 0: bits */
    __u32 n_bands;
    struct dp_meter_band bands[DP_METER_BANDS_MAX];
};

struct dp_meter_count {
    __u64 packets, bytes;
};

struct dp_meter_stats {
    struct dp_meter_count in; /* all that asked */
    struct dp_meter_count bands[DP_METER_BANDS_MAX];
};

struct dp_meter {
    struct dp_meter_config config;    /* with bursts filled in */
    __s64 tokens[DP_METER_BANDS_MAX]; /* bits, or thousandths of packets */
    __u64 refilled_ms;
    struct dp_meter_stats stats;
};

/* Sets METER up from CONFIG, its buckets full. As OpenFlow 1.3, 5.7 (meter modification) says, `stats.in` goes on and
 * the bands count from zero. */
static inline __attribute__((always_inline)) void dp_meter_configure(struct dp_meter *meter,
                                                                     const struct dp_meter_config *config, __u64 now_ms)
{
    meter->config = *config;
    meter->refilled_ms = now_ms;
    for (int i = 0; i < DP_METER_BANDS_MAX; i++) {
        struct dp_meter_band *b = &meter->config.bands[i];

        b->burst = b->burst ? b->burst : b->rate;
        meter->tokens[i] = (__s64)(b->burst * 1000);
        meter->stats.bands[i] = (struct dp_meter_count){0, 0};
    }
}

/* A frame of LEN bytes that the wire sees as PACKETS of them asks METER at NOW_MS. DP_METER_NONE: it passes; else the
 * index of the band that drops it. In BPF the caller holds the meter's lock. */
static inline __attribute__((always_inline)) int dp_meter_admit(struct dp_meter *meter, __u32 len, __u32 packets,
                                                                __u64 now_ms)
{
    __u64 elapsed = now_ms > meter->refilled_ms ? now_ms - meter->refilled_ms : 0;
    __s64 need = meter->config.pktps ? (__s64)packets * 1000 : (__s64)len * 8;
    __u64 exceeded_rate = 0;
    int exceeded = DP_METER_NONE;

    elapsed = elapsed > 0x7fffffff ? 0x7fffffff : elapsed; /* rates have 32 bits: no product overflows */
    meter->refilled_ms = now_ms > meter->refilled_ms ? now_ms : meter->refilled_ms;
    meter->stats.in.packets += packets;
    meter->stats.in.bytes += len;
    for (int i = 0; i < DP_METER_BANDS_MAX; i++) {
        const struct dp_meter_band *b = &meter->config.bands[i];
        __s64 full = (__s64)(b->burst * 1000);
        __s64 most = need > full ? need : full;
        __s64 more = (__s64)(elapsed * b->rate); /* kbit/s: bits per ms; packets/s: thousandths per ms */

        if ((__u32)i >= meter->config.n_bands) {
            break;
        }
        meter->tokens[i] = more >= most - meter->tokens[i] ? most : meter->tokens[i] + more;
        if (meter->tokens[i] >= (need < full ? need : full)) {
            meter->tokens[i] -= need;
        } else if (b->rate >= exceeded_rate) {
            exceeded_rate = b->rate;
            exceeded = i;
        }
    }
    if (exceeded >= 0 && exceeded < DP_METER_BANDS_MAX) {
        meter->stats.bands[exceeded].packets += packets;
        meter->stats.bands[exceeded].bytes += len;
    }
    return exceeded;
}

#endif
