/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_MODEL_TWIN_H
#define WARREN_TESTS_MODEL_TWIN_H
/*
 * The naive twin of a datapath: what must leave for a packet and an action list, and which drops must be counted.
 * It moves bytes, reads the packet anew after each action, and shares only field edits and the tunnels' codec with the
 * userspace datapath. Outputs are compared as frames on a wire: super-packets cut, checksums completed, and of tunnel
 * packets' outer headers everything but what a frame's own length and the kernel decide (see canonical()).
 */
#include "base/strbuf.h"
#include "datapath/action.h"
#include "model_world.h"
#include "packet/edit.h"
#include "packet/segment.h"
#include "packet/zero_label.h"

#define OUTPUTS_MAX 512
#define N_METERS 2u /* numbers from 1 on */

enum outer_sum { SUM_NONE, SUM_RIGHT, SUM_WRONG };

struct output {
    uint32_t port;
    bool taken; /* for one that was wanted */
    bool cut;   /* of a super-packet */
    struct packet *p;
    size_t outer_len; /* tunnels: what is in front of `p`, from the outer Ethernet header on */
    enum outer_sum sum;
    uint8_t outer[14 + 40 + 16 + 252];
};

struct outputs {
    size_t n;
    struct output o[OUTPUTS_MAX];
};

static struct outputs want, have;
static uint64_t want_drops[DROP_MAX];

struct twin_meter {
    bool packets;
    int64_t burst, tokens; /* bits or packets */
};
static struct twin_meter twin_meters[N_METERS];
static bool twin_unsure; /* a meter had just about enough, or the like */

static void outputs_clear(struct outputs *all)
{
    for (size_t i = 0; i < all->n; i++) {
        packet_free(all->o[i].p);
    }
    all->n = 0;
}

/* FRAME is taken over. */
static struct output *outputs_add(struct outputs *all, uint32_t port, struct packet *frame, bool cut)
{
    struct output *o = &all->o[all->n++];

    assert_in_range(all->n, 1, OUTPUTS_MAX - 1);
    o->port = port;
    o->p = frame;
    o->cut = cut;
    o->taken = false;
    o->outer_len = 0;
    o->sum = SUM_NONE;
    return o;
}

/* Zeroes what need not be the same in the outer headers from IP on: lengths and checksums, which are looked at when
 * they are parsed, and IPv4's identification. */
static void canonical(uint8_t *ip, size_t len, enum tunnel_type kind)
{
    bool v6 = ip[0] >> 4 == 6;
    uint8_t *l4 = ip + (v6 ? 40 : 20);

    assert_in_range(l4 - ip + 4, 1, len);
    if (v6) {
        memset(ip + 4, 0, 2);
    } else {
        memset(ip + 2, 0, 4);
        memset(ip + 10, 0, 2);
    }
    if (kind != TUNNEL_GRE) {
        memset(l4 + 4, 0, 4);
    } else if (l4[0] & 0x80) {
        memset(l4 + 4, 0, 2);
    }
}

/* --- lists --- */

struct twin {
    struct packet *p;
    const struct flow_tunnel *tunnel;
    uint32_t hash; /* of the flow */
    uint32_t trunc;
    bool cut; /* P is a segment */
};

static void twin_tunnelled(const struct twin *t, struct output *o)
{
    enum tunnel_type kind = (enum tunnel_type)(o->port - PORT_TUNNEL);
    struct flow_tunnel tunnel = *t->tunnel;
    bool v4 = ip_addr_is_v4mapped(&tunnel.dst);
    _cleanup_(packet_freep) struct packet *whole = packet_clone(o->p);

    tunnel.src = ip_addr_is_zero(&tunnel.src) ? model_address(!v4, 1) : tunnel.src;
    tunnel.ttl = tunnel.ttl ? tunnel.ttl : 64;
    tunnel_push(whole, kind, &tunnel, tunnel_sport(t->hash), model_udp_dst[kind], true);
    o->outer_len = 14 + tunnel_hdr_len(kind, &tunnel, true);
    memcpy(o->outer, (uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, v4 ? 8 : 0x86, v4 ? 0 : 0xdd}, 14);
    memcpy(o->outer + 14, whole->data, o->outer_len - 14);
    if (!v4) {
        __be32 word = htobe32(0x60000000u | (uint32_t)tunnel.tos << 20 | ZERO_LABEL_OF(t->hash));

        memcpy(o->outer + 14, &word, 4);
    }
    o->sum = kind != TUNNEL_GRE && (!v4 || tunnel.flags & FLOW_TNL_CSUM) ? SUM_RIGHT : SUM_NONE;
    canonical(o->outer + 14, o->outer_len - 14, kind);
}

/* Where the L2 header ends: behind two tags at most. */
static size_t twin_l2(const struct packet *p)
{
    size_t at = 14;

    for (int i = 0; i < 2 && at + 4 <= p->len; i++) {
        uint16_t type = (uint16_t)(p->data[at - 2] << 8 | p->data[at - 1]);

        if (type != ETH_TYPE_VLAN && type != ETH_TYPE_SVLAN) {
            break;
        }
        at += 4;
    }
    return at;
}

static void twin_sent(const struct twin *t, uint32_t port, struct packet *frame, bool cut)
{
    struct output *o = outputs_add(&want, port, frame, cut);

    if (port < PORT_TUNNEL && frame->len < 20 && twin_l2(frame) > 14) {
        twin_unsure = true; /* the kernel at the other end drops it: there is too little behind the tag */
    }
    if (port >= PORT_TUNNEL && port < PORT_TUNNEL + N_TUNNEL_TYPES) {
        twin_tunnelled(t, o);
    }
}

/* The frames that a wire sees of P, one after another. */
static void each_frame(const struct packet *p, void (*fn)(void *aux, struct packet *frame), void *aux)
{
    struct packet *frame;
    struct segmenter s;

    if (!packet_is_gso(p)) {
        frame = packet_clone(p);
        assert_int_equal(packet_complete_csum(frame), 0);
        frame->offload = (struct packet_offload){0};
        fn(aux, frame);
        return;
    }
    assert_int_equal(segmenter_init(&s, p), 0);
    for (;;) {
        frame = packet_new(NULL, 0);
        if (!segmenter_next(&s, frame)) {
            packet_free(frame);
            return;
        }
        fn(aux, frame);
    }
}

struct twin_sending {
    const struct twin *t;
    uint32_t port;
    bool cut;
};

static void twin_send_frame(void *s_, struct packet *frame)
{
    struct twin_sending *s = s_;

    twin_sent(s->t, s->port, frame, s->cut || s->t->cut);
}

static void twin_output(const struct twin *t, uint32_t port)
{
    struct twin_sending s = {t, port, packet_is_gso(t->p)};
    struct packet *sent;

    if (port == PORT_NONE) {
        want_drops[DROP_NO_PORT]++;
        return;
    }
    if (port >= PORT_TUNNEL && port < PORT_TUNNEL + N_TUNNEL_TYPES && !t->tunnel) {
        want_drops[DROP_BAD_ACTION]++;
        return;
    }
    if (t->trunc && t->trunc < t->p->len) { /* a super-packet is one packet to who cuts it */
        sent = packet_clone(t->p);
        assert_int_equal(packet_complete_csum(sent), 0);
        sent->offload = (struct packet_offload){0};
        sent->len = t->trunc;
        twin_sent(t, port, sent, t->cut);
        return;
    }
    each_frame(t->p, twin_send_frame, &s);
}

static void twin_reread(struct packet *p)
{
    struct flow_key key;

    flow_key_extract(p, &key);
}

/* Puts 4 bytes at OFS. */
static void twin_insert(struct packet *p, size_t ofs, const void *bytes)
{
    uint8_t *f = packet_push(p, 4);

    memmove(f, f + 4, ofs);
    memcpy(f + ofs, bytes, 4);
}

static void twin_remove(struct packet *p, size_t ofs)
{
    memmove(p->data + 4, p->data, ofs);
    packet_pull(p, 4);
}

/* False: the packet is not one for this action. */
static bool twin_edit(struct packet *p, const struct dp_action *a)
{
    static int (*const setters[])(struct packet *, const struct flow_key *, const struct flow_key *) = {
        packet_set_eth, packet_set_ipv4, packet_set_ipv6, packet_set_tp, packet_set_arp, packet_set_nd,
        NULL,           packet_set_mpls, packet_set_vlan};
    const struct dp_action_mpls *mpls = (const struct dp_action_mpls *)(const void *)a;
    const struct dp_action_set *set = (const struct dp_action_set *)(const void *)a;
    struct flow_vlan vlan;
    size_t l2 = twin_l2(p);
    bool done = true;

    switch ((enum dp_action_type)a->type) {
    case DP_ACTION_PUSH_VLAN:
        vlan = ((const struct dp_action_vlan *)(const void *)a)->vlan;
        vlan.tci &= htobe16((uint16_t)~FLOW_VLAN_PRESENT);
        twin_insert(p, 12, &vlan);
        break;
    case DP_ACTION_POP_VLAN:
        done = l2 > 14;
        if (done) {
            twin_remove(p, 12);
        }
        break;
    case DP_ACTION_PUSH_MPLS:
        assert_int_equal(packet_complete_csum(p), 0);
        twin_insert(p, l2, &mpls->lse);
        memcpy(p->data + l2 - 2, &mpls->eth_type, 2);
        p->l2_5_ofs = (uint16_t)l2;
        p->l3_ofs = p->l4_ofs = 0; /* below a label nobody knows what it is */
        break;
    case DP_ACTION_POP_MPLS:
        done = p->l2_5_ofs && p->len >= p->l2_5_ofs + 4u;
        if (done) {
            twin_remove(p, p->l2_5_ofs);
            memcpy(p->data + p->l2_5_ofs + 2, &mpls->eth_type, 2);
            twin_reread(p);
        }
        break;
    case DP_ACTION_SET:
        for (size_t i = 0; i < ARRAY_SIZE(setters) && done; i++) {
            done = !(a->arg & 1u << i && setters[i]) || !setters[i](p, &set->key, &set->mask);
        }
        break;
    default:
        fail();
    }
    return done;
}

static bool twin_admits(const struct packet *p, uint32_t id)
{
    struct twin_meter *m = &twin_meters[id - 1];
    int64_t need = (int64_t)p->len * 8;

    if (m->packets) {
        need = packet_is_gso(p) ? (int64_t)DIV_ROUND_UP(p->len - p->offload.hdr_len, p->offload.gso_size) : 1;
    }
    need = need > 0 ? need : 1;
    twin_unsure |= !m->packets && m->tokens < MIN(need, m->burst) && m->tokens > MIN(need, m->burst) - 1000;
    if (m->tokens < MIN(need, m->burst)) {
        want_drops[DROP_METER]++;
        return false;
    }
    m->tokens -= need;
    return true;
}

static void twin_run(struct twin *t, const void *actions, size_t len);

struct twin_rest {
    const struct twin *t;
    const void *actions;
    size_t len;
};

static void twin_run_on_frame(void *rest_, struct packet *frame)
{
    struct twin_rest *rest = rest_;
    struct twin t = *rest->t;

    t.p = frame;
    t.cut = true;
    twin_reread(frame);
    twin_run(&t, rest->actions, rest->len);
    packet_free(frame);
}

static void twin_run(struct twin *t, const void *actions, size_t len)
{
    DP_ACTION_FOR_EACH(a, actions, len) {
        size_t left = len - (size_t)((const char *)a - (const char *)actions);

        switch ((enum dp_action_type)a->type) {
        case DP_ACTION_OUTPUT:
            twin_output(t, a->arg);
            t->trunc = 0;
            break;
        case DP_ACTION_SLOW: {
            struct twin slow = *t;

            slow.trunc = 0;
            twin_output(&slow, PORT_SLOW);
            break;
        }
        case DP_ACTION_SET_TUNNEL:
            t->tunnel = &((const struct dp_action_tunnel *)(const void *)a)->tunnel;
            break;
        case DP_ACTION_TRUNC:
            t->trunc = a->arg;
            break;
        case DP_ACTION_SET_PRIORITY:
            break;
        case DP_ACTION_METER:
            if (!twin_admits(t->p, a->arg)) {
                return;
            }
            break;
        case DP_ACTION_DROP:
            want_drops[a->arg]++;
            return;
        case DP_ACTION_CLONE: {
            _cleanup_(packet_freep) struct packet *copy = packet_clone(t->p);
            struct twin inner = *t;

            inner.p = copy;
            twin_run(&inner, a + 1, a->len - sizeof(*a));
            break;
        }
        default:
            if (a->type == DP_ACTION_PUSH_MPLS && packet_is_gso(t->p)) { /* nothing below a label is left to a device */
                each_frame(t->p, twin_run_on_frame, &(struct twin_rest){t, a, left});
                return;
            }
            if (!twin_edit(t->p, a)) {
                want_drops[DROP_BAD_ACTION]++;
                return;
            }
            break;
        }
    }
}

/* --- what left --- */

struct reading {
    uint32_t port;
    struct output outer;
    bool cut;
};

static void read_one(void *r_, struct packet *frame)
{
    struct reading *r = r_;
    struct output *o = outputs_add(&have, r->port, frame, r->cut);

    o->outer_len = r->outer.outer_len;
    o->sum = r->outer.sum;
    memcpy(o->outer, r->outer.outer, o->outer_len);
}

/* P left by PORT. */
static void read_packet(struct reading *r, struct packet *p)
{
    twin_reread(p);
    r->cut = packet_is_gso(p);
    each_frame(p, read_one, r);
}

static void world_slow(struct world *w WR_UNUSED, struct packet *p)
{
    struct reading r = {.port = PORT_SLOW};

    read_packet(&r, p);
}

static bool is_hosts_own(const struct packet *p)
{
    bool v6 = p->data[12] == 0x86;
    uint8_t proto = p->data[v6 ? 20 : 23];

    return p->data[0] & 1 || (p->data[12] != 8 && !v6) || p->len < 42 ||
           (proto != IP_PROTO_UDP && proto != IP_PROTO_GRE);
}

/* The tunnel packet P, from its Ethernet header on, without what is outside. */
static void read_tunnelled(struct packet *p)
{
    static struct reading r;
    struct output *o = &r.outer;
    bool v6 = p->data[12] == 0x86;
    uint8_t *l4 = p->data + (v6 ? 54 : 34);
    enum tunnel_type kind = p->data[v6 ? 20 : 23] == IP_PROTO_GRE ? TUNNEL_GRE
                            : l4[2] == 4789 >> 8                  ? TUNNEL_VXLAN
                                                                  : TUNNEL_GENEVE;
    struct flow_tunnel t;
    enum drop_reason why;
    size_t hdr_len = 0;

    if (!packet_is_gso(p)) {
        assert_int_equal(packet_complete_csum(p), 0);
    }
    l4 = p->data + (v6 ? 54 : 34);
    o->sum = kind != TUNNEL_GRE && (l4[6] || l4[7]) ? SUM_RIGHT : SUM_NONE;
    why = tunnel_parse(kind, p->data + 14, p->len - 14, model_udp_dst[kind], &t, &hdr_len);
    if (why == DROP_TUNNEL_BAD_CHECKSUM && o->sum == SUM_RIGHT) {
        o->sum = SUM_WRONG;
        l4[6] = l4[7] = 0;
        why = tunnel_parse(kind, p->data + 14, p->len - 14, model_udp_dst[kind], &t, &hdr_len);
    }
    if (why) {
        print_message("a tunnel packet that is none: %s\n", drop_reason_name(why));
        hdr_len = MIN(p->len - 14, (size_t)44);
    }
    o->outer_len = 14 + hdr_len;
    assert_in_range(o->outer_len, 14, sizeof(o->outer));
    memcpy(o->outer, p->data, o->outer_len);
    canonical(o->outer + 14, hdr_len, kind);
    packet_pull(p, o->outer_len);
    r.port = PORT_TUNNEL + kind;
    read_packet(&r, p);
}

/* All that left by W until now. */
static void world_read(const struct world *w)
{
    struct reading r = {.port = PORT_OUT};
    struct packet *p;

    while ((p = next_frame(w->out))) {
        read_packet(&r, p);
        packet_free(p);
    }
    r.port = PORT_OUT2;
    while ((p = next_frame(w->out2))) {
        read_packet(&r, p);
        packet_free(p);
    }
    while ((p = next_frame(w->underlay))) {
        if (!is_hosts_own(p)) {
            read_tunnelled(p);
        }
        packet_free(p);
    }
}

/* --- the comparison --- */

/* What the datapath may do: an outer checksum that is made of the inner one is wrong with that (LAX); over IPv6 that of
 * a super-packet may be zero; frames that labels are put on may be padded to what a wire carries (LAX_END). */
static bool same_output(const struct output *w, const struct output *h, bool lax, bool lax_end)
{
    size_t len = w->p->len, padded = h->p->len;
    bool same_sum = w->sum == h->sum || (lax && w->sum == SUM_RIGHT && h->sum == SUM_WRONG) ||
                    (w->sum == SUM_RIGHT && h->sum == SUM_NONE && w->outer[12] == 0x86 && h->cut);

    if (w->port != h->port || !same_sum || w->outer_len != h->outer_len || memcmp(w->outer, h->outer, w->outer_len)) {
        return false;
    }
    if (padded < len || memcmp(w->p->data, h->p->data, len)) {
        return false;
    }
    for (size_t i = len; i < padded; i++) {
        if (!lax_end || padded > 72 || h->p->data[i]) {
            return false;
        }
    }
    return true;
}

/* The same frames, whatever their order. */
static bool same_outputs(bool lax, bool lax_end)
{
    if (want.n != have.n) {
        return false;
    }
    for (size_t i = 0; i < want.n; i++) {
        struct output *found = NULL;

        for (size_t k = 0; k < have.n && !found; k++) {
            if (!have.o[k].taken && same_output(&want.o[i], &have.o[k], lax, lax_end)) {
                found = &have.o[k];
            }
        }
        if (!found) {
            return false;
        }
        found->taken = true;
    }
    return true;
}

static bool same_drops(struct world *w)
{
    const uint64_t *now = dp_drops(w->dp);

    for (size_t i = 0; i < DROP_MAX; i++) {
        if (now[i] - w->drops[i] != want_drops[i]) {
            return false;
        }
    }
    return true;
}

static void tell_bytes(const uint8_t *b, size_t len)
{
    _cleanup_strbuf_ struct strbuf s = {0};

    for (size_t k = 0; k < MIN(len, (size_t)110); k++) {
        strbuf_addf(&s, "%02x", b[k]);
    }
    print_message(" %s", strbuf_str(&s));
}

static void tell_outputs(const char *who, const struct outputs *all)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct output *o = &all->o[i];

        print_message("  %s: port %u, sum %d, %zu bytes:", who, o->port, (int)o->sum, o->p->len);
        tell_bytes(o->outer, o->outer_len);
        tell_bytes(o->p->data, o->p->len);
        print_message("\n");
    }
}

static void tell_drops(struct world *w)
{
    const uint64_t *now = dp_drops(w->dp);

    for (size_t i = 0; i < DROP_MAX; i++) {
        if (now[i] - w->drops[i] || want_drops[i]) {
            print_message("  %s: %u drops, want %u\n", drop_reason_name((enum drop_reason)i),
                          (unsigned int)(now[i] - w->drops[i]), (unsigned int)want_drops[i]);
        }
    }
}

#endif
