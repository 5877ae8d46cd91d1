/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/compile.h"

#include <endian.h>

#include "base/util.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/tunnel.h"
#include "packet/tunnel_opts.h"

#define CLONE_DEPTH_MAX 4

struct compiler {
    const struct ebpf_compile_ops *ops;
    const struct flow_key *key, *mask;
    const struct flow_tunnel *tunnel;
    uint32_t trunc;
    struct ebpf_program p;
    size_t room;
    bool impossible; /* the fast path cannot do it */
    bool copy;       /* this is a clone that is not the last action, */
    bool aside;      /* whose changes cannot be taken back */
    bool dropped;
    bool metered; /* no step may be left out: meters count */
};

static struct ebpf_step *step_add(struct compiler *c, enum ebpf_op op)
{
    struct ebpf_step *s;

    if (c->p.n >= c->room) {
        c->room = MAX(8, c->room * 2);
        c->p.steps = xrealloc(c->p.steps, c->room * sizeof(*s));
    }
    s = &c->p.steps[c->p.n++];
    *s = (struct ebpf_step){.op = op};
    return s;
}

/* --- outputs --- */

static void put_options(struct compiler *c, struct ebpf_tunnel *t)
{
    size_t len;
    const uint8_t *opts = tunnel_opts_get(c->tunnel->opts_id, &len);

    for (size_t at = 0; at < len; at += EBPF_OPTS_STEP) {
        struct ebpf_step *s = step_add(c, EBPF_OP_OPTS);

        s->arg = (uint32_t)at;
        memcpy(s->u.opts, opts + at, MIN(len - at, (size_t)EBPF_OPTS_STEP));
    }
    t->opts_len = (uint8_t)len;
    t->critical = opts && tunnel_opts_critical(opts, len);
}

/* What all IPv4 headers of a tunnel have in common of their checksum (RFC 1071; its byte order is the memory's). */
static uint16_t ip_sum(const struct ebpf_tunnel *t)
{
    struct ipv4_hdr ip = {.ver_ihl = 0x45,
                          .tos = t->tos,
                          .frag_off = t->flags & FLOW_TNL_DF ? htobe16(IPV4_DF) : 0,
                          .ttl = t->ttl,
                          .proto = t->kind == EBPF_GRE ? IP_PROTO_GRE : IP_PROTO_UDP,
                          .src = t->src.be32[3],
                          .dst = t->dst.be32[3]};

    return t->ipv6 ? 0 : (WR_FORCE uint16_t)csum_fold(csum_bytes(0, &ip, sizeof(ip)));
}

static struct ebpf_step *output_tunnel(struct compiler *c, uint32_t port, struct ebpf_tunnel *t)
{
    struct ebpf_step *s;

    if (ip_addr_is_zero(&t->src) || (t->kind == EBPF_GRE && c->tunnel->flags & FLOW_TNL_CSUM)) {
        c->impossible = true;
        return NULL;
    }
    if (t->kind == EBPF_GENEVE) {
        put_options(c, t);
    }
    t->ip_sum = ip_sum(t);
    s = step_add(c, EBPF_OP_TUNNEL);
    s->port = port;
    s->u.tunnel = *t;
    return s;
}

static void output(struct compiler *c, uint32_t port)
{
    static const struct flow_tunnel none;
    struct ebpf_tunnel t = {0};
    struct ebpf_step *s;

    if (c->ops->userspace && c->ops->userspace(c->ops->aux, port)) {
        c->impossible = true;
        return;
    }
    if (c->ops->tunnel(c->ops->aux, port, c->tunnel ? c->tunnel : &none, &t)) {
        if (!c->tunnel || ip_addr_is_zero(&c->tunnel->dst)) {
            c->impossible = true; /* nobody said where to: the slow path counts it */
            return;
        }
        t.dst = c->tunnel->dst;
        t.id = c->tunnel->id;
        t.flags = c->tunnel->flags;
        t.tos = c->tunnel->tos;
        t.ttl = c->tunnel->ttl ? c->tunnel->ttl : 64;
        s = output_tunnel(c, port, &t);
    } else {
        s = step_add(c, EBPF_OP_OUTPUT);
        s->port = port;
    }
    if (s && c->trunc) {
        s->flags = s->op == EBPF_OP_TUNNEL ? EBPF_STEP_TUNNEL : 0;
        s->op = EBPF_OP_TRUNC;
        s->trunc = (uint16_t)c->trunc;
        c->impossible |= c->trunc > UINT16_MAX;
    }
    c->trunc = 0;
}

/* --- set-field --- */

static bool any(const void *p, size_t n)
{
    const uint8_t *b = p;

    while (n--) {
        if (*b++) {
            return true;
        }
    }
    return false;
}

static void set_eth(struct compiler *c, const struct dp_action_set *a)
{
    step_add(c, EBPF_OP_SET_ETH)->u.eth = (struct ebpf_set_eth){
        .dst = a->key.eth_dst, .src = a->key.eth_src, .m_dst = a->mask.eth_dst, .m_src = a->mask.eth_src};
}

static void set_ipv4(struct compiler *c, const struct dp_action_set *a)
{
    step_add(c, EBPF_OP_SET_IPV4)->u.ipv4 = (struct ebpf_set_ipv4){
        .src = a->key.ip_src.be32[3],
        .dst = a->key.ip_dst.be32[3],
        .m_src = a->mask.ip_src.be32[3],
        .m_dst = a->mask.ip_dst.be32[3],
        .tos = a->key.ip_tos,
        .ttl = a->key.ip_ttl,
        .m_tos = a->mask.ip_tos,
        .m_ttl = a->mask.ip_ttl,
    };
}

static void set_ipv6(struct compiler *c, const struct dp_action_set *a)
{
    if (any(&a->mask.ip_src, sizeof(a->mask.ip_src))) {
        step_add(c, EBPF_OP_SET_IPV6_SRC)->u.addr6 = (struct ebpf_set_addr6){a->key.ip_src, a->mask.ip_src};
    }
    if (any(&a->mask.ip_dst, sizeof(a->mask.ip_dst))) {
        step_add(c, EBPF_OP_SET_IPV6_DST)->u.addr6 = (struct ebpf_set_addr6){a->key.ip_dst, a->mask.ip_dst};
    }
    if (a->mask.ip_tos || a->mask.ip_ttl || a->mask.ipv6_label) {
        step_add(c, EBPF_OP_SET_IPV6)->u.ipv6 = (struct ebpf_set_ipv6){
            .word = htobe32((uint32_t)a->key.ip_tos << 20) | a->key.ipv6_label,
            .m_word = htobe32((uint32_t)a->mask.ip_tos << 20) | a->mask.ipv6_label,
            .ttl = a->key.ip_ttl,
            .m_ttl = a->mask.ip_ttl,
        };
    }
}

static void set_tp(struct compiler *c, const struct dp_action_set *a)
{
    step_add(c, EBPF_OP_SET_TP)->u.tp = (struct ebpf_set_tp){
        .src = a->key.tp_src, .dst = a->key.tp_dst, .m_src = a->mask.tp_src, .m_dst = a->mask.tp_dst};
}

static void set_arp(struct compiler *c, const struct dp_action_set *a)
{
    if (a->mask.ip_proto && a->mask.ip_proto != 0xff) {
        c->impossible = true;
        return;
    }
    step_add(c, EBPF_OP_SET_ARP)->u.arp = (struct ebpf_set_arp){
        .spa = a->key.ip_src.be32[3],
        .tpa = a->key.ip_dst.be32[3],
        .m_spa = a->mask.ip_src.be32[3],
        .m_tpa = a->mask.ip_dst.be32[3],
        .sha = a->key.arp_sha,
        .tha = a->key.arp_tha,
        .m_sha = a->mask.arp_sha,
        .m_tha = a->mask.arp_tha,
        .op = a->key.ip_proto,
        .m_op = a->mask.ip_proto,
    };
}

static void set_nd(struct compiler *c, const struct dp_action_set *a)
{
    c->aside |= c->copy; /* its options may lie farther back than what can be taken back */
    step_add(c, EBPF_OP_SET_ND)->u.nd = (struct ebpf_set_nd){
        .target = a->key.nd_target,
        .m_target = a->mask.nd_target,
        .sll = a->key.arp_sha,
        .tll = a->key.arp_tha,
        .m_sll = a->mask.arp_sha,
        .m_tll = a->mask.arp_tha,
    };
}

static void set_u32(struct compiler *c, enum ebpf_op op, uint32_t v, uint32_t m)
{
    step_add(c, op)->u.u32 = (struct ebpf_set_u32){v & m, m};
}

static void mpls(struct compiler *c, enum ebpf_op op, __be32 lse, __be32 mask, __be16 eth_type)
{
    step_add(c, op)->u.mpls = (struct ebpf_mpls){.lse = lse, .mask = mask, .eth_type = eth_type};
    c->p.flags |= EBPF_FLOW_MPLS;
    c->aside |= c->copy;
}

static void set_fields(struct compiler *c, const struct dp_action_set *a)
{
    uint32_t what = a->h.arg;

    if (what & DP_SET_ETH) {
        set_eth(c, a);
    }
    if (what & DP_SET_IPV4) {
        set_ipv4(c, a);
    }
    if (what & DP_SET_IPV6) {
        set_ipv6(c, a);
    }
    if (what & DP_SET_TP) {
        set_tp(c, a);
    }
    if (what & DP_SET_ARP) {
        set_arp(c, a);
    }
    if (what & DP_SET_ND) {
        set_nd(c, a);
    }
    if (what & DP_SET_MPLS) {
        mpls(c, EBPF_OP_SET_MPLS, a->key.mpls_lse[0], a->mask.mpls_lse[0], 0);
    }
    if (what & DP_SET_MARK) {
        set_u32(c, EBPF_OP_SET_MARK, a->key.pkt_mark, a->mask.pkt_mark);
    }
    if (what & DP_SET_VLAN) {
        set_u32(c, EBPF_OP_SET_VLAN, be16toh(a->key.vlan[0].tci), be16toh(a->mask.vlan[0].tci) & ~FLOW_VLAN_PRESENT);
    }
}

/* --- lists --- */

static void compile(struct compiler *c, const struct dp_action *actions, size_t len, unsigned int depth);

/* A clone after which there is more to do: its changes are taken back, and what ends it does not end the list. */
static void copy(struct compiler *c, const struct dp_action *actions, size_t len, unsigned int depth)
{
    const struct flow_tunnel *tunnel = c->tunnel;
    uint32_t trunc = c->trunc;
    size_t from = c->p.n;

    if (c->copy) {
        c->impossible = true; /* there is one place to save to */
        return;
    }
    c->copy = true;
    c->aside = false;
    step_add(c, EBPF_OP_SAVE);
    compile(c, actions, len, depth);
    step_add(c, c->aside ? EBPF_OP_ASIDE_END : EBPF_OP_RESTORE);
    if (c->aside) {
        c->p.steps[from].op = EBPF_OP_ASIDE;
        c->p.steps[from].arg = (uint32_t)(c->p.n - 1 - from);
    }
    for (size_t i = from + 1; i < c->p.n - 1; i++) {
        struct ebpf_step *s = &c->p.steps[i];

        if (!ebpf_step_is_output(s)) {
            s->skip = (uint16_t)(c->p.n - 1 - i);
        }
    }
    c->p.flags |= c->aside ? EBPF_FLOW_ASIDE : EBPF_FLOW_SAVE;
    c->copy = c->dropped = false;
    c->tunnel = tunnel;
    c->trunc = trunc;
}

/* A clone that ends the list needs no copy. */
static void clone(struct compiler *c, const struct dp_action *a, bool last, unsigned int depth)
{
    if (depth >= CLONE_DEPTH_MAX) {
        c->impossible = true;
    } else if (last) {
        compile(c, a + 1, a->len - sizeof(*a), depth + 1);
    } else {
        copy(c, a + 1, a->len - sizeof(*a), depth + 1);
    }
}

static bool has_only_meters(const struct compiler *c)
{
    for (size_t i = 0; i < c->p.n; i++) {
        if (c->p.steps[i].op != EBPF_OP_METER) {
            return false;
        }
    }
    return true;
}

static void compile_one(struct compiler *c, const struct dp_action *a, bool last, unsigned int depth)
{
    switch ((enum dp_action_type)a->type) {
    case DP_ACTION_OUTPUT:
        output(c, a->arg);
        break;
    case DP_ACTION_SET_TUNNEL:
        c->tunnel = &((const struct dp_action_tunnel *)(const void *)a)->tunnel;
        break;
    case DP_ACTION_PUSH_VLAN:
        step_add(c, EBPF_OP_PUSH_VLAN)->u.vlan = ((const struct dp_action_vlan *)(const void *)a)->vlan;
        c->p.steps[c->p.n - 1].u.vlan.tci &= ~htobe16(FLOW_VLAN_PRESENT);
        break;
    case DP_ACTION_POP_VLAN:
        step_add(c, EBPF_OP_POP_VLAN);
        break;
    case DP_ACTION_SET:
        set_fields(c, (const struct dp_action_set *)(const void *)a);
        break;
    case DP_ACTION_TRUNC:
        c->trunc = a->arg;
        break;
    case DP_ACTION_SLOW:
        c->impossible |= !has_only_meters(c) || !last || depth;
        step_add(c, EBPF_OP_SLOW)->arg = a->arg;
        break;
    case DP_ACTION_CLONE:
        clone(c, a, last, depth);
        break;
    case DP_ACTION_DROP:
        step_add(c, EBPF_OP_DROP)->arg = a->arg;
        c->dropped = true;
        break;
    case DP_ACTION_METER:
        step_add(c, EBPF_OP_METER)->arg = a->arg;
        c->metered = true;
        break;
    case DP_ACTION_SET_PRIORITY:
        step_add(c, EBPF_OP_PRIORITY)->arg = a->arg;
        break;
    case DP_ACTION_PUSH_MPLS: {
        const struct dp_action_mpls *m = (const struct dp_action_mpls *)(const void *)a;

        mpls(c, EBPF_OP_PUSH_MPLS, m->lse, 0, m->eth_type);
        break;
    }
    case DP_ACTION_POP_MPLS:
        mpls(c, EBPF_OP_POP_MPLS, 0, 0, ((const struct dp_action_mpls *)(const void *)a)->eth_type);
        break;
    default: /* what will be added */
        c->impossible = true;
        break;
    }
}

static void compile(struct compiler *c, const struct dp_action *actions, size_t len, unsigned int depth)
{
    DP_ACTION_FOR_EACH(a, actions, len) {
        if (c->impossible || c->dropped) {
            return;
        }
        compile_one(c, a, (const char *)a + a->len >= (const char *)actions + len, depth);
    }
}

/* Local outputs first; tunnels by the form of their headers; truncated ones last, since only the last of all may cut;
 * otherwise as they were. */
static unsigned int rank(const struct ebpf_step *s)
{
    const struct ebpf_tunnel *t = &s->u.tunnel;

    if (s->op == EBPF_OP_TRUNC) {
        return 64;
    }
    return s->op == EBPF_OP_OUTPUT ? 0 : 1u + t->kind + (t->ipv6 ? 8u : 0u) + (t->flags & FLOW_TNL_KEY ? 16u : 0u);
}

/* Stable, and lists are short or already in order. */
static void sort_run(struct ebpf_step *s, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct ebpf_step x = s[i];
        size_t j = i;

        for (; j > 0 && rank(&s[j - 1]) > rank(&x); j--) {
            s[j] = s[j - 1];
        }
        s[j] = x;
    }
}

/* Before the last step. */
static bool outputs_before(const struct compiler *c)
{
    for (size_t i = 0; i + 1 < c->p.n; i++) {
        if (ebpf_step_is_output(&c->p.steps[i])) {
            return true;
        }
    }
    return false;
}

/* What it does to a packet is told by the bytes that the exact-match cache knows of it. */
static bool is_exact_edit(const struct ebpf_step *s)
{
    switch (s->op) {
    case EBPF_OP_SET_ETH:
    case EBPF_OP_PUSH_VLAN:
    case EBPF_OP_POP_VLAN:
    case EBPF_OP_SET_VLAN:
        return true;
    case EBPF_OP_SET_IPV4:
        return !s->u.ipv4.m_src && !s->u.ipv4.m_dst;
    case EBPF_OP_SET_IPV6:
        return !(s->u.ipv6.m_word & htobe32(0xfffff));
    default:
        return false;
    }
}

/* A few edits, and one output that takes the packet. */
static bool is_exact(const struct compiler *c)
{
    const struct ebpf_step *last = &c->p.steps[c->p.n - 1];

    if (c->p.n > EBPF_STEPS_INLINE || (last->op != EBPF_OP_OUTPUT && last->op != EBPF_OP_TUNNEL)) {
        return false;
    }
    for (const struct ebpf_step *s = c->p.steps; s < last; s++) {
        if (!is_exact_edit(s)) {
            return false;
        }
    }
    return true;
}

/* Orders outputs, forgets edits that nobody sees, and lets the last output take the packet. */
static void finish(struct compiler *c)
{
    struct ebpf_step *s = c->p.steps;
    size_t from = 0;

    while (c->p.n && !c->dropped && !c->metered && !ebpf_step_is_output(&s[c->p.n - 1]) &&
           s[c->p.n - 1].op != EBPF_OP_SLOW && s[c->p.n - 1].op != EBPF_OP_DROP) {
        c->p.n--;
    }
    for (size_t i = 0; i <= c->p.n; i++) {
        if (i == c->p.n || !ebpf_step_is_output(&s[i])) {
            sort_run(s + from, i - from);
            from = i + 1;
        }
    }
    if (c->p.n && ebpf_step_is_output(&s[c->p.n - 1])) {
        s[c->p.n - 1].flags |= EBPF_STEP_LAST;
        if (s[c->p.n - 1].op == EBPF_OP_OUTPUT && !outputs_before(c)) {
            c->p.flags |= EBPF_FLOW_ONE_OUTPUT;
        }
        c->p.flags |= is_exact(c) ? EBPF_FLOW_EXACT : 0;
    }
}

void ebpf_compile(const struct ebpf_compile_ops *ops, const struct flow_key *key, const struct flow_key *mask,
                  const struct dp_action *actions, size_t len, struct ebpf_program *ret_program)
{
    struct compiler c = {.ops = ops, .key = key, .mask = mask};

    compile(&c, actions, len, 0);
    if (!c.impossible) {
        finish(&c);
    }
    if (c.impossible || c.p.n > EBPF_STEPS_MAX) {
        c.p.n = 0;
        c.p.flags = 0;
        step_add(&c, EBPF_OP_PUNT);
    }
    *ret_program = c.p;
}
