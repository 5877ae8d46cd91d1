/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_EXACT_KEEP_BPF_H
#define WARREN_DATAPATH_EBPF_EXACT_KEEP_BPF_H
/*
 * What the whole way leaves in the exact-match cache (exact.bpf.h) of a packet that is one for it: before an output to
 * a port, while the packet is as it came, or behind an output into a tunnel, whose headers are still in the scratch.
 * Both are called at the end of the chain of calls, not from within a step: of the stack that a chain has (512 bytes)
 * the steps need all.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/csum.bpf.h"
#include "datapath/ebpf/decap.bpf.h"
#include "datapath/ebpf/encap.bpf.h"
#include "datapath/ebpf/exact.bpf.h"

/* The last of the slot's steps (EBPF_FLOW_EXACT). */
INLINE const struct ebpf_step *exact_output(const struct ebpf_slot *slot)
{
    return &slot->steps[(slot->n_steps - 1) & (EBPF_STEPS_INLINE - 1)];
}

/* STEP, an edit, on what F says of the frame. False: it does not fit the packet, or the frame has two tags then. */
INLINE bool exact_edit(struct exact_frame *f, const struct ebpf_step *step, __be16 type)
{
    const struct ebpf_set_u32 *u32 = &step->u.u32;
    const struct ebpf_set_ipv4 *ip4 = &step->u.ipv4;
    const struct ebpf_set_ipv6 *ip6 = &step->u.ipv6;

    switch (step->op) {
    case EBPF_OP_SET_ETH: {
        const __u16 *v = (const __u16 *)(const void *)&step->u.eth, *m = v + sizeof(f->macs) / 2;

#pragma unroll
        for (int i = 0; i < (int)sizeof(f->macs) / 2; i++) {
            f->macs[i] = (f->macs[i] & ~m[i]) | (v[i] & m[i]);
        }
        return true;
    }
    case EBPF_OP_SET_IPV4:
        f->tos = (f->tos & ~ip4->m_tos) | (ip4->tos & ip4->m_tos);
        f->ttl = (f->ttl & ~ip4->m_ttl) | (ip4->ttl & ip4->m_ttl);
        return type == T_IPV4;
    case EBPF_OP_SET_IPV6: {
        __u8 m_tos = bpf_ntohl(ip6->m_word) >> 20;

        f->tos = (f->tos & ~m_tos) | (bpf_ntohl(ip6->word) >> 20 & m_tos);
        f->ttl = (f->ttl & ~ip6->m_ttl) | (ip6->ttl & ip6->m_ttl);
        return type == T_IPV6;
    }
    case EBPF_OP_PUSH_VLAN: {
        bool had = f->vlan;

        f->vlan = exact_vlan(step->u.vlan.tpid, bpf_ntohs(step->u.vlan.tci));
        return !had;
    }
    case EBPF_OP_POP_VLAN:
    case EBPF_OP_SET_VLAN:
        if (!f->vlan) {
            return false;
        }
        f->vlan = step->op == EBPF_OP_POP_VLAN ? 0 : (f->vlan & ~u32->m) | (u32->v & u32->m);
        return true;
    default:
        return false;
    }
}

/* How a frame of KEY leaves behind the slot's edits. False: see exact_edit(). */
INLINE bool exact_edits(const struct flow_key *key, const struct ebpf_slot *slot, struct exact_frame *ret)
{
    *ret = (struct exact_frame){.vlan = exact_key_vlan(key), .tos = key->ip_tos, .ttl = key->ip_ttl};
    __builtin_memcpy(ret->macs, &key->eth_dst, sizeof(ret->macs));
#pragma unroll
    for (__u32 i = 0; i < EBPF_STEPS_INLINE - 1; i++) {
        if (i + 1 < slot->n_steps && !exact_edit(ret, &slot->steps[i], key->eth_type)) {
            return false;
        }
    }
    return true;
}

/* The packet goes to the one port that its flow SLOT outputs it to. */
static __attribute__((noinline)) void exact_keep_output(struct __sk_buff *skb, struct scratch *s,
                                                        const struct ebpf_slot *slot)
{
    const struct ebpf_step *step = exact_output(slot);
    const struct flow_tunnel *t = &s->key.tunnel;
    const __be32 addrs[2] = {t->src.be32[3], t->dst.be32[3]};
    struct ebpf_config *c = config_get();
    bool ipv6 = s->outer_l3 == 0x86dd;
    __u32 number = step->port;
    struct exact_frame leaves;
    __u64 tunnel_header = 0;
    const struct ebpf_tunnel_port *tunnel;
    struct ebpf_port *port = bpf_map_lookup_elem(&ports, &number);
    struct exact *e;

    if (!c || !port || !port->ifindex ||
        (s->base && (s->bare || t->opts_id || !(t->flags & FLOW_TNL_KEY) || skb->ifindex == detour_device())) ||
        !exact_edits(&s->key, slot, &leaves)) {
        return;
    }
    if (s->base && bpf_skb_load_bytes(skb, s->base - sizeof(tunnel_header), &tunnel_header, sizeof(tunnel_header))) {
        return;
    }
    e = exact_begin(skb, s, slot, &leaves,
                    s->base ? exact_path_in(skb, tunnel_header, s->key.ip_tos)
                            : exact_path_out(skb, exact_key_vlan(&s->key), s->key.ip_tos, s->key.dp_hash));
    if (!e) {
        return;
    }
    e->port = step->port;
    e->to = port->ifindex;
    e->mac = port->mac;
    e->flags |= (port->flags & EBPF_PORT_PEER ? EXACT_PEER : 0) | (port->flags & EBPF_PORT_VETH ? EXACT_VETH : 0);
    if (!s->base) {
        return;
    }
    tunnel = &c->tunnels[s->tunnel & (EBPF_TUNNELS_MAX - 1)];
    e->udp_dst = tunnel->udp_dst;
    e->flags |= (ipv6 ? EXACT_IPV6 : 0) | (tunnel->kind == EBPF_GRE ? EXACT_GRE : 0) |
                (t->flags & FLOW_TNL_CSUM ? EXACT_SUM : 0);
    if (ipv6) {
        e->outer_addrs[0] = t->src.u64[0];
        e->outer_addrs[1] = t->src.u64[1];
        e->outer_addrs[2] = t->dst.u64[0];
        e->outer_addrs[3] = t->dst.u64[1];
    } else {
        __builtin_memcpy(&e->outer_addrs[0], addrs, sizeof(e->outer_addrs[0]));
    }
    e->tunnel_header = tunnel_header;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &e->outer_head, sizeof(e->outer_head) + sizeof(e->outer_ttl))) {
        e->id = 0;
    }
    e->outer_head &= ipv6 ? EXACT_OUTER_IP6 : EXACT_OUTER_IP4;
}

/* The packet has gone into the one tunnel that its flow SLOT outputs it to. Nothing is kept of one that had to ask for
 * its next hop, or whose payload had to be summed up. */
static __attribute__((noinline)) void exact_keep_tunnel(struct __sk_buff *skb, struct scratch *s,
                                                        const struct ebpf_slot *slot)
{
    const struct ebpf_step *step = exact_output(slot);
    const struct ebpf_tunnel *t = &step->u.tunnel;
    struct ebpf_nexthop *nh = nexthop_entry(s, t);
    struct w_udp *udp = (struct w_udp *)(void *)(s->buf + ETH_HLEN + (t->ipv6 ? 40 : 20));
    __u32 first = bpf_htonl(0x60000000u | (__u32)s->key.ip_tos << 20) | s->key.ipv6_label; /* IPv6 */
    struct exact_frame leaves;
    struct exact *e;

    if (!nh || s->hop.fresh || !hop_has_neighbour(&s->hop) || s->outer_l3 || s->again || s->sum_mode == SUM_ALL ||
        t->opts_len || (t->kind == EBPF_GRE && !(t->flags & FLOW_TNL_KEY)) || !exact_edits(&s->key, slot, &leaves) ||
        leaves.vlan) {
        return;
    }
    e = exact_begin(skb, s, slot, &leaves, exact_path_out(skb, exact_key_vlan(&s->key), s->key.ip_tos, s->key.dp_hash));
    if (!e) {
        return;
    }
    e->expires_ns = nh->expires_ns;
    e->port = step->port;
    e->flags |= EXACT_TUNNELS | (t->ipv6 ? EXACT_IPV6 : 0) | (t->kind == EBPF_GRE ? EXACT_GRE : 0) |
                (t->flags & FLOW_TNL_DF ? EXACT_DF : 0) | (may_follow(s, step) ? EXACT_FOLLOWS : 0);
    if (s->sum_mode == SUM_HEADERS) {
        e->flags |= EXACT_SUM;
        e->sum = (~udp->csum & 0xffff) + not16(exact_sum_rest(udp, s->key.eth_type == T_IPV6, first));
    } else if (has_outer_csum(t)) {
        e->flags |= EXACT_NO_SUM;
    }
    e->to = s->hop.ifindex;
    e->mtu = s->hop.mtu;
    e->ip_sum = t->ip_sum;
    e->head_len = s->encap + ETH_HLEN;
    e->room = encap_flags(ETH_HLEN, t->ipv6, t->kind == EBPF_GRE);
    __builtin_memcpy(e->outer, s->buf, sizeof(e->outer));
}

#endif
