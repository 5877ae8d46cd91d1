/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/userspace/policer.h"

#define DEFAULT_BURST_KBITS 8000 /* ovs-vswitchd.conf.db(5), ingress_policing_burst and _kpkts_burst */
#define DEFAULT_BURST_KPKTS 16

static int64_t burst_bits(const struct policer *p)
{
    return (int64_t)(p->config.burst_kbits ? p->config.burst_kbits : DEFAULT_BURST_KBITS) * 1000;
}

static int64_t burst_packets(const struct policer *p)
{
    return (int64_t)(p->config.burst_kpkts ? p->config.burst_kpkts : DEFAULT_BURST_KPKTS) * 1000000;
}

void policer_set(struct policer *p, const struct dp_policing *config, int64_t now_ms)
{
    if (!memcmp(&p->config, config, sizeof(*config))) {
        return;
    }
    p->config = *config;
    p->bits = burst_bits(p);
    p->packets = burst_packets(p);
    p->refilled_ms = now_ms;
}

/* TOKENS after ELAPSED ms at RATE tokens a ms, at MOST. */
static int64_t add(int64_t tokens, int64_t elapsed, int64_t rate, int64_t most)
{
    int64_t more;

    return __builtin_mul_overflow(elapsed, rate, &more) || more >= most - tokens ? most : tokens + more;
}

/* For a frame that needs so many BITS and THOUSANDTHS of packets. */
static void refill(struct policer *p, int64_t bits, int64_t thousandths, int64_t now_ms)
{
    int64_t elapsed = MAX(now_ms - p->refilled_ms, 0);

    /* kbit/s is bits per ms; thousands of packets a second are, in thousandths of packets, 1000 per ms. */
    p->bits = add(p->bits, elapsed, p->config.rate_kbps, MAX(bits, burst_bits(p)));
    p->packets = add(p->packets, elapsed, (int64_t)p->config.rate_kpps * 1000, MAX(thousandths, burst_packets(p)));
    p->refilled_ms = now_ms;
}

static bool covers(int64_t tokens, int64_t need, int64_t burst)
{
    return tokens >= MIN(need, burst);
}

bool policer_admit(struct policer *p, size_t len, uint32_t packets, int64_t now_ms)
{
    int64_t bits = (int64_t)len * 8, thousandths = (int64_t)packets * 1000;

    refill(p, bits, thousandths, now_ms);
    if ((p->config.rate_kbps && !covers(p->bits, bits, burst_bits(p))) ||
        (p->config.rate_kpps && !covers(p->packets, thousandths, burst_packets(p)))) {
        return false;
    }
    p->bits -= p->config.rate_kbps ? bits : 0;
    p->packets -= p->config.rate_kpps ? thousandths : 0;
    return true;
}
