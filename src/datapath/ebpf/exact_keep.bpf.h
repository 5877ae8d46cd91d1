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

/* The packet goes to the one port that its flow SLOT outputs it to. */
static __attribute__((noinline)) void exact_keep_output(struct __sk_buff *skb, struct scratch *s,
                                                        const struct ebpf_slot *slot)
{
    const struct ebpf_step *step = &slot->steps[0];
    const struct flow_tunnel *t = &s->key.tunnel;
    const __be32 addrs[2] = {t->src.be32[3], t->dst.be32[3]};
    struct ebpf_config *c = config_get();
    bool ipv6 = s->outer_l3 == 0x86dd;
    __u32 number = step->port;
    __u64 tunnel_header = 0;
    const struct ebpf_tunnel_port *tunnel;
    struct ebpf_port *port = bpf_map_lookup_elem(&ports, &number);
    struct exact *e;

    if (!c || !port || !port->ifindex ||
        (s->base && (s->bare || t->opts_id || !(t->flags & FLOW_TNL_KEY) || skb->ifindex == detour_device()))) {
        return;
    }
    if (s->base && bpf_skb_load_bytes(skb, s->base - sizeof(tunnel_header), &tunnel_header, sizeof(tunnel_header))) {
        return;
    }
    e = exact_begin(skb, s, slot, step,
                    s->base ? exact_path_in(skb, tunnel_header, s->key.ip_tos)
                            : exact_path_out(skb, s->key.ip_tos, s->key.dp_hash));
    if (!e) {
        return;
    }
    e->to = port->ifindex;
    e->mac = port->mac;
    e->flags = (port->flags & EBPF_PORT_PEER ? EXACT_PEER : 0) | (port->flags & EBPF_PORT_VETH ? EXACT_VETH : 0);
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
    const struct ebpf_step *step = &slot->steps[0];
    const struct ebpf_tunnel *t = &step->u.tunnel;
    struct ebpf_nexthop *nh = nexthop_entry(s, t);
    struct w_udp *udp = (struct w_udp *)(void *)(s->buf + ETH_HLEN + (t->ipv6 ? 40 : 20));
    __u32 first = bpf_htonl(0x60000000u | (__u32)s->key.ip_tos << 20) | s->key.ipv6_label; /* IPv6 */
    struct exact *e;

    if (!nh || s->hop.fresh || !hop_has_neighbour(&s->hop) || s->outer_l3 || s->again || s->sum_mode == SUM_ALL ||
        t->opts_len || (t->kind == EBPF_GRE && !(t->flags & FLOW_TNL_KEY))) {
        return;
    }
    e = exact_begin(skb, s, slot, step, exact_path_out(skb, s->key.ip_tos, s->key.dp_hash));
    if (!e) {
        return;
    }
    e->expires_ns = nh->expires_ns;
    e->tunnels = true;
    e->flags = (t->ipv6 ? EXACT_IPV6 : 0) | (t->kind == EBPF_GRE ? EXACT_GRE : 0) |
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
