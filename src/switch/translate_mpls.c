/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MPLS labels (OpenFlow 1.3, 5.9).
 *
 * Problem: what is below the last label is in no key of the packet, nor are labels below the second. Idea: a push hides
 * what was known of the packet's inside, a pop leaves it hidden, and the first question about it reveals it: the packet
 * itself, with everything done to it so far, is looked at again. That needs each packet, so the megaflow takes them all
 * up; a pop whose packets are then only output stays in the datapath.
 *
 * Labels are pushed and popped at once, not by what an output lacks like other headers: what is underneath could not be
 * put back. So a copy (a clone, a bucket, another bridge) in which that happens becomes one in the datapath, too.
 *
 * A third label is remembered for when it comes into sight again; more than three are refused (DROP_MPLS).
 */
#include <arpa/inet.h>

#include "switch/translate_private.h"

#define LSE_BOS htonl(0x100)
#define LSE_TTL htonl(0xff)
#define INSIDE offsetof(struct flow_key, ip_src) /* from here on: what is below the labels */

static bool is_mpls(__be16 eth_type)
{
    return eth_type == htons(0x8847) || eth_type == htons(0x8848);
}

/* How many labels are known. *RET_MORE: there are some below. All that are in sight count as looked at, also because
 * they will move. */
static unsigned int count_labels(struct xlate_ctx *x, bool *ret_more)
{
    struct flow bits = {0};
    const __be32 lse[XLATE_N_LABELS] = {x->s.flow.key.mpls_lse[0], x->s.flow.key.mpls_lse[1], x->s.third_label};
    unsigned int n = 0;

    *ret_more = false;
    if (!is_mpls(x->s.flow.key.eth_type)) {
        return 0;
    }
    memset(bits.key.mpls_lse, 0xff, sizeof bits.key.mpls_lse);
    xlate_look(x, &bits);
    while (n < XLATE_N_LABELS && lse[n]) {
        if (lse[n++] & LSE_BOS) {
            return n;
        }
    }
    *ret_more = true;
    return n;
}

/* The labels are no more where the packet had them. */
static void move_labels(struct xlate_ctx *x)
{
    memset(x->s.written.mpls_lse, 0xff, sizeof x->s.written.mpls_lse);
    memset(&x->s.written.eth_type, 0xff, sizeof x->s.written.eth_type);
}

/* The labels are as the datapath's packet has them. */
static void sync_base(struct xlate_ctx *x)
{
    struct flow_key *k = &x->s.flow.key;

    x->emitted.key.eth_type = k->eth_type;
    memcpy(x->emitted.key.mpls_lse, k->mpls_lse, sizeof x->emitted.key.mpls_lse);
    memset(x->emitted.written.mpls_lse, 0xff, sizeof x->emitted.written.mpls_lse);
    memset(&x->emitted.written.eth_type, 0xff, sizeof x->emitted.written.eth_type);
}

void xlate_reveal(struct xlate_ctx *x)
{
    struct flow_key *k = &x->s.flow.key, old = *k;
    struct packet *p;

    if (!x->s.hidden) {
        return;
    }
    x->s.hidden = false;
    xlate_copy_open(x); /* a clone that asks: behind it the inside is hidden as before */
    xlate_commit(x);
    xlate_slow_action(x);
    xlate_trace(x, "the packet is looked at again");
    /* Only this packet is concerned: none of its bits says anything about others. */
    memset(&x->s.written, 0xff, sizeof x->s.written);
    memset(&x->emitted.written, 0xff, sizeof x->emitted.written);
    p = xlate_present_packet(x);
    if (!p) {
        return; /* nobody will use what this walk finds, or it is a trace of no packet */
    }
    flow_key_extract(p, k);
    packet_free(p);
    k->in_port = old.in_port;
    k->tunnel = old.tunnel;
    k->pkt_mark = old.pkt_mark;
    x->s.third_label = 0;
    memcpy(x->s.vlans, k->vlan, sizeof k->vlan);
    memcpy(x->emitted.vlans, k->vlan, sizeof k->vlan);
    x->emitted.key = *k;
}

static void put_mpls(struct xlate_ctx *x, enum dp_action_type type, __be32 lse, __be16 eth_type)
{
    struct dp_action_mpls *a = xlate_put_action(x->out, type, sizeof *a);

    a->lse = lse;
    a->eth_type = eth_type;
}

/* The first label begins with the traffic class and the TTL of an IP packet, and with the label that says that there is
 * one below (explicit null, RFC 3032, 2.1). */
static __be32 first_label(struct xlate_ctx *x)
{
    const struct flow_key *k = &x->s.flow.key;
    bool v6 = k->eth_type == htons(0x86dd), ip = v6 || k->eth_type == htons(0x0800);
    struct flow look = {.key.ip_tos = 0xfc, .key.ip_ttl = 0xff};
    uint32_t tc = 0, ttl = 64;

    if (ip) {
        xlate_look(x, &look);
        tc = k->ip_tos >> 2 & 7;
        ttl = k->ip_ttl ? k->ip_ttl : ttl;
    }
    return htonl((v6 ? 2u : 0u) << 12 | tc << 9 | ttl) | LSE_BOS;
}

static void hide_inside(struct xlate_ctx *x)
{
    const size_t n = sizeof(struct flow_key) - INSIDE;

    memset((uint8_t *)&x->s.flow.key + INSIDE, 0, n);
    memset((uint8_t *)&x->emitted.key + INSIDE, 0, n);
    memset((uint8_t *)&x->s.written + INSIDE, 0xff, n);
    memset((uint8_t *)&x->emitted.written + INSIDE, 0xff, n);
}

void xlate_push_mpls(struct xlate_ctx *x, __be16 eth_type)
{
    struct flow_key *k = &x->s.flow.key;
    unsigned int n;
    __be32 lse;
    bool more;

    xlate_reveal(x);
    n = count_labels(x, &more);
    if (n + more >= XLATE_N_LABELS) {
        xlate_fail(x, DROP_MPLS);
        return;
    }
    xlate_copy_open(x);
    xlate_commit(x);
    lse = n ? k->mpls_lse[0] & ~LSE_BOS : first_label(x);
    move_labels(x);
    put_mpls(x, DP_ACTION_PUSH_MPLS, lse, eth_type);
    if (!n) {
        hide_inside(x);
    }
    x->s.third_label = k->mpls_lse[1];
    k->mpls_lse[1] = k->mpls_lse[0];
    k->mpls_lse[0] = lse;
    k->eth_type = eth_type;
    sync_base(x);
}

void xlate_pop_mpls(struct xlate_ctx *x, __be16 eth_type)
{
    struct flow_key *k = &x->s.flow.key;
    unsigned int n;
    bool more;

    xlate_reveal(x);
    n = count_labels(x, &more);
    if (!n) {
        return;
    }
    xlate_copy_open(x);
    k->mpls_lse[0] = x->emitted.key.mpls_lse[0]; /* what was set in it goes with it */
    x->s.written.mpls_lse[0] = x->emitted.written.mpls_lse[0];
    xlate_commit(x);
    move_labels(x);
    put_mpls(x, DP_ACTION_POP_MPLS, 0, eth_type);
    k->mpls_lse[0] = k->mpls_lse[1];
    k->mpls_lse[1] = x->s.third_label;
    x->s.third_label = 0;
    k->eth_type = eth_type;
    if (!is_mpls(eth_type)) {
        memset(k->mpls_lse, 0, sizeof k->mpls_lse);
    }
    x->s.hidden = !is_mpls(eth_type) || n == 1;
    sync_base(x);
}

bool xlate_dec_mpls_ttl(struct xlate_ctx *x)
{
    const struct field *f = field_get(FIELD_MPLS_TTL);
    const struct subfield ttl = {.field = f, .n_bits = 8};
    const struct ofpact_controller c = {.max_len = UINT16_MAX};
    union field_value v;
    uint8_t now;

    if (!xlate_can_use(x, f)) {
        return true;
    }
    xlate_look_field(x, f);
    now = (uint8_t)ntohl(x->s.flow.key.mpls_lse[0] & LSE_TTL);
    if (now <= 1) {
        xlate_controller(x, &c, PACKET_IN_INVALID_TTL);
        xlate_note_drop(x, DROP_TTL);
        return false;
    }
    v = field_value_from_u64(now - 1u);
    xlate_write_subfield(x, &ttl, &v);
    return true;
}
