/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_EXACT_RUN_BPF_H
#define WARREN_DATAPATH_EBPF_EXACT_RUN_BPF_H
/*
 * A packet's way by the exact-match cache (exact.bpf.h), from its first byte to the redirect. Nothing of the scratch is
 * touched, and every check that the whole way makes of a single packet is made here as well: lengths, the outer IPv4
 * checksum, the path's MTU, what a super-packet's port can take, TCP flags that are new to the flow. EXACT_NONE may be
 * the answer only as long as the packet is as it came and not counted.
 */
#include "datapath/ebpf/actions.bpf.h"
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/decap.bpf.h"
#include "datapath/ebpf/encap.bpf.h"
#include "datapath/ebpf/exact.bpf.h"
#include "datapath/ebpf/lookup.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

#define TCP_FIN 1
#define TCP_RST 4
#define EXACT_SEEN (EXACT_L4 + sizeof(struct w_udp)) /* of each frame; TCP's header is longer */

INLINE __u16 load16(const void *p)
{
    __u16 v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

INLINE __u32 load32(const void *p)
{
    __u32 v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

INLINE __u64 load64(const void *p)
{
    __u64 v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

INLINE bool exact_is_of(const struct exact *e, const void *frame)
{
    const struct w_ip4 *ip = frame + EXACT_L3;

    return !((load64(frame) ^ e->eth0) | (load32(frame + 8) ^ e->eth1) | (load64(&ip->src) ^ e->addrs) |
             (load32(frame + EXACT_L4) ^ e->ports) | (load16(frame + 12) ^ T_IPV4) | (load16(ip) ^ e->first) |
             (ip->frag_off & bpf_htons(0x3fff)) | (ip->ttl ^ e->ttl) | (ip->proto ^ e->proto));
}

/* The entry of the connection that the frame at FRAME is of, and its place. 0 or EXACT_*. */
INLINE int exact_find(const void *frame, struct exact_place *ret_place, struct exact **ret_entry)
{
    if (!exact_place_of(load64(frame + EXACT_L3 + 12), load32(frame + EXACT_L4), ret_place)) {
        return EXACT_NONE;
    }
    if (!exact_is_own(ret_place)) {
        return exact_is_busy(ret_place) ? EXACT_BUSY : EXACT_NONE;
    }
    *ret_entry = exact_at(ret_place);
    return *ret_entry && exact_is_of(*ret_entry, frame) ? 0 : EXACT_NONE;
}

/* The flow of the entry, if it is still there and the packet, whose frame is LEN bytes from BASE on, may go its way
 * now, or NULL. The frame's first EXACT_SEEN bytes are linear, and the entry's. */
INLINE struct ebpf_slot *exact_flow(struct __sk_buff *skb, const struct exact_place *place, const struct exact *e,
                                    const struct ebpf_config *c, __u32 base, __u32 len, __u64 now)
{
    const struct w_ip4 *ip = at(skb, base + EXACT_L3, sizeof(*ip));
    __u32 n = e->slot;
    struct ebpf_slot *slot;

    if (e->expires_ns < now || e->generation != c->generation || e->ifindex != skb->ifindex || e->mark != skb->mark ||
        e->base != base || !ip || bpf_ntohs(ip->tot_len) != len - EXACT_L3) {
        return NULL;
    }
    slot = bpf_map_lookup_elem(&slots, &n);
    if (!slot || !slot->live || slot->id != e->id) {
        return NULL;
    }
    if (e->proto == IP_PROTO_TCP) {
        const struct w_tcp *tcp = at(skb, base + EXACT_L4, sizeof(*tcp));

        if (!tcp || (bpf_ntohs(tcp->off_flags) & 0xfff & ~slot->tcp_flags)) {
            return NULL;
        }
        if (tcp->off_flags & bpf_htons(TCP_FIN | TCP_RST)) {
            *exact_tag(place) &= ~EXACT_HELD; /* for the few packets that are left */
        }
    }
    return slot;
}

/* Counts the packet as received, as a hit and for its flow. */
INLINE void exact_count(const struct exact_place *place, const struct exact *e, struct ebpf_slot *slot, __u32 len,
                        __u64 now)
{
    place->stats->hits++;
    place->stats->exact_hits++;
    count_rx(e->in_port, len);
    slot_count_bytes(slot, len, now);
}

/* The outer headers in front of a packet, where room for them is. */
INLINE long exact_write(struct __sk_buff *skb, struct exact *e)
{
    __u32 ip_len = skb->len - ETH_HLEN, l4 = ETH_HLEN + (e->flags & EXACT_IPV6 ? 40 : 20);
    __u64 head_len = e->head_len;

    if (e->flags & EXACT_IPV6) {
        ((struct w_ip6 *)(void *)(e->head + ETH_HLEN))->plen = bpf_htons(ip_len - 40);
    } else {
        write_ipv4_rest((struct w_ip4 *)(void *)(e->head + ETH_HLEN), ip_len, e->flags & EXACT_DF, e->ip_sum);
    }
    if (!(e->flags & EXACT_GRE)) {
        struct w_udp *udp = (struct w_udp *)(void *)(e->head + l4);

        udp->len = bpf_htons(ip_len + ETH_HLEN - l4);
        if (e->flags & EXACT_SUM) {
            /* It counts twice, and once the other way in the inner packet's own sum. */
            udp->csum = not16((__u64)e->sum + udp->len);
            udp->csum = udp->csum ? udp->csum : 0xffff;
        }
    }
    /* 56 to 84, in a form that shows the verifier its bounds */
    head_len = (head_len - EXACT_HEAD_MIN) & 31;
    barrier_var(head_len);
    return bpf_skb_store_bytes(skb, 0, e->head, head_len + EXACT_HEAD_MIN, 0);
}

/* The outer IP packet would be too long for the path. */
INLINE bool exact_is_too_long(struct __sk_buff *skb, const struct exact *e, __u32 len)
{
    __u32 outer = e->head_len - 2 * ETH_HLEN;

    if (skb->gso_size) {
        len = EXACT_L4 + super_l4_len(skb, e->proto, EXACT_L4, 60) + skb->gso_size;
    }
    return e->mtu && len + outer > e->mtu;
}

/* The tunnel's outer checksum is that of the entry's kind of packet. */
INLINE bool exact_sums(struct __sk_buff *skb, const struct exact *e)
{
    const struct w_udp *udp = at(skb, EXACT_L4, sizeof(*udp));

    if (skb->gso_size) {
        return !(e->flags & EXACT_SUM);
    }
    if (e->flags & EXACT_SUM) {
        return e->proto == IP_PROTO_TCP || (udp && udp->csum);
    }
    return !(e->flags & EXACT_NO_SUM);
}

/* To the entry's port, the frame as it is now. */
INLINE int exact_hand_over(struct __sk_buff *skb, const struct exact *e)
{
    count_tx(e->port, skb->len);
    return hand_over(skb, e->to, e->flags & EXACT_PEER, &e->mac);
}

/* --- by ports --- */

/* A packet that came by a port: its TC action, or EXACT_*. */
GLOBAL int exact_port(struct __sk_buff *skb)
{
    const void *frame = at(skb, 0, EXACT_SEEN);
    struct ebpf_config *c = config_get();
    __u64 now = bpf_ktime_get_coarse_ns();
    struct ebpf_slot *slot;
    struct exact_place place;
    struct exact *e;
    int result;
    __u32 len;

    if (!frame || !c || skb->vlan_present || skb->protocol != T_IPV4) {
        return EXACT_NONE;
    }
    result = exact_find(frame, &place, &e);
    if (result) {
        return result;
    }
    len = skb->len;
    slot = exact_flow(skb, &place, e, c, 0, len, now);
    if (!slot) {
        return EXACT_NONE;
    }
    if (!e->tunnels) {
        exact_count(&place, e, slot, len, now);
        return exact_hand_over(skb, e);
    }
    if (exact_is_too_long(skb, e, len) || !exact_sums(skb, e) || (e->flags & EXACT_FOLLOWS && has_risen(e->hash)) ||
        bpf_skb_adjust_room(skb, e->head_len - ETH_HLEN, BPF_ADJ_ROOM_MAC,
                            encap_flags(ETH_HLEN, e->flags & EXACT_IPV6, e->flags & EXACT_GRE))) {
        return EXACT_NONE;
    }
    exact_count(&place, e, slot, len, now);
    if (exact_write(skb, e)) {
        count_tx_drop(e->port, DROP_TUNNEL_TX);
        return TC_ACT_SHOT;
    }
    count_tx(e->port, len);
    return bpf_redirect(e->to, 0);
}

/* --- out of tunnels --- */

/* The outer IP header is the entry's, and right, and what is behind it belongs to it. */
INLINE bool exact_outer_ip(struct __sk_buff *skb, const struct exact *e)
{
    if (e->flags & EXACT_IPV6) {
        const struct w_ip6 *ip = at(skb, ETH_HLEN, sizeof(*ip));

        return ip && skb->protocol == T_IPV6 &&
               !((load64(&ip->src) ^ e->outer[0]) | (load64((void *)&ip->src + 8) ^ e->outer[1]) |
                 (load64(&ip->dst) ^ e->outer[2]) | (load64((void *)&ip->dst + 8) ^ e->outer[3]) |
                 ((load32(ip) & bpf_htonl(0xfff00000)) ^ e->outer_first) | (ip->hop_limit ^ e->outer_ttl)) &&
               length_is_right(skb, ETH_HLEN + sizeof(*ip), ip->plen);
    } else {
        const struct w_ip4 *ip = at(skb, ETH_HLEN, sizeof(*ip));

        return ip && skb->protocol == T_IPV4 &&
               !((load64(&ip->src) ^ e->outer[0]) | (load16(ip) ^ e->outer_first) | (ip->ttl ^ e->outer_ttl) |
                 (ip->frag_off & bpf_htons(0x3fff))) &&
               length_is_right(skb, ETH_HLEN, ip->tot_len) && ip4_sum_is_right(ip);
    }
}

/* So are the headers behind it, from L4 on. */
INLINE bool exact_outer_l4(struct __sk_buff *skb, const struct exact *e, __u32 l4)
{
    const void *tunnel_header = at(skb, l4 + (e->flags & EXACT_GRE ? 0 : sizeof(struct w_udp)), 8);

    if (!tunnel_header || load64(tunnel_header) != e->tunnel_header) {
        return false;
    }
    if (!(e->flags & EXACT_GRE)) {
        const struct w_udp *udp = at(skb, l4, sizeof(*udp));

        return udp && udp->dst == e->udp_dst && length_is_right(skb, l4, udp->len) &&
               (e->flags & EXACT_SUM ? udp->csum && !skb->gso_size : !udp->csum);
    }
    return true;
}

/* Where the frame in a tunnel packet would begin, or 0. */
INLINE __u32 exact_base(struct __sk_buff *skb, __u32 *ret_l4)
{
    __u8 proto;

    if (skb->protocol == T_IPV4) {
        const struct w_ip4 *ip = at(skb, ETH_HLEN, sizeof(*ip));

        proto = ip ? ip->proto : 0;
        *ret_l4 = ETH_HLEN + sizeof(*ip);
    } else if (skb->protocol == T_IPV6) {
        const struct w_ip6 *ip = at(skb, ETH_HLEN, sizeof(*ip));

        proto = ip ? ip->next : 0;
        *ret_l4 = ETH_HLEN + sizeof(*ip);
    } else {
        return 0;
    }
    return proto == IP_PROTO_UDP ? *ret_l4 + 16 : proto == IP_PROTO_GRE ? *ret_l4 + 8 : 0;
}

/* The super-packet's mark, which its tunnel leaves on it, is no matter to the port. */
INLINE bool exact_port_takes(struct __sk_buff *skb, const struct exact *e)
{
    return !skb->gso_size || (e->flags & EXACT_VETH && (e->proto == IP_PROTO_TCP || e->flags & EXACT_GRE));
}

/* A packet that came by an uplink: its TC action, or EXACT_*. */
GLOBAL int exact_uplink(struct __sk_buff *skb)
{
    __u32 l4 = 0, base = exact_base(skb, &l4), len;
    struct ebpf_config *c = config_get();
    __u64 now = bpf_ktime_get_coarse_ns();
    struct exact_place place;
    const void *frame;
    struct ebpf_slot *slot;
    struct exact *e;
    struct w_eth eth;
    int result;

    frame = base ? at(skb, base, EXACT_SEEN) : NULL;
    if (!frame || !c || skb->vlan_present || skb->pkt_type != PT_HOST || c->guarded_in ||
        c->bare >> (skb->ifindex & 63) & 1) {
        return EXACT_NONE;
    }
    result = exact_find(frame, &place, &e);
    if (result) {
        return result;
    }
    if (!exact_outer_ip(skb, e) || !exact_outer_l4(skb, e, l4)) {
        return EXACT_NONE;
    }
    __builtin_memcpy(&eth, frame, sizeof(eth));
    len = skb->len - base;
    slot = exact_flow(skb, &place, e, c, base, len, now);
    if (!slot || !exact_port_takes(skb, e)) {
        return EXACT_NONE;
    }
    exact_count(&place, e, slot, len, now);
    if (take_off(skb, c, &eth, base, e->flags & EXACT_IPV6 ? 0x0800 : 0) ||
        (e->flags & EXACT_IPV6 && skb->protocol != T_IPV4 && tell_protocol(skb))) {
        return drop(DROP_TUNNEL_BAD_HEADER);
    }
    return exact_hand_over(skb, e);
}

#endif
