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
#include "datapath/ebpf/meter.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

#define TCP_FIN 1
#define TCP_RST 4

/* Wherever P is: all architectures that the verifier lets read unaligned bytes of a packet do that in one go, where
 * memcpy() would be a load and a shift for each byte, and it is how much code there is that costs. */
INLINE __u16 load16(const void *p)
{
    return *(const __u16 *)p;
}

INLINE __u32 load32(const void *p)
{
    return *(const __u32 *)p;
}

INLINE __u64 load64(const void *p)
{
    return *(const __u64 *)p;
}

/* What a packet's own bytes led to. */
struct exact_found {
    struct exact *e;
    __u32 hash;  /* of its connection (flow_key_hash5()), if it came by a port */
    __u32 first; /* the first word of its IP header */
};

/* The frame is LEN bytes long, and its first bytes are the entry's. */
INLINE bool exact_is_of(const struct exact *e, const void *frame, bool ipv6, __u32 ports, __u32 len)
{
    __u64 word = load64(frame + 16), differs;

    differs = (load64(frame) ^ e->head[0]) | ((ports ^ e->ports) & e->ports_mask);
    if (ipv6) {
        const struct w_ip6 *ip = frame + EXACT_L3;

        differs |= ((load64(frame + 8) & EXACT_SECOND_IP6) ^ e->head[1]) | ((word & EXACT_THIRD_IP6) ^ e->head[2]) |
                   (load64(&ip->src) ^ e->addrs) | (load64((void *)&ip->src + 8) ^ e->addrs6[0]) |
                   (load64(&ip->dst) ^ e->addrs6[1]) | (load64((void *)&ip->dst + 8) ^ e->addrs6[2]) |
                   (bpf_ntohs(ip->plen) ^ (len - EXACT_L3 - sizeof(*ip)));
    } else {
        const struct w_ip4 *ip = frame + EXACT_L3;

        differs |= (load64(frame + 8) ^ e->head[1]) | ((word & EXACT_THIRD_IP4) ^ e->head[2]) |
                   (load64(&ip->src) ^ e->addrs) | (bpf_ntohs(ip->tot_len) ^ (len - EXACT_L3));
    }
    return !differs;
}

/* The entry for the packet whose frame begins at BASE, with the tag VLAN beside it, or EXACT_*. 0: it is the frame's,
 * and its bytes up to the ports are linear. */
INLINE int exact_find(struct __sk_buff *skb, __u32 base, bool ipv6, __u32 vlan, struct exact_found *ret)
{
    __u32 before = base ? 8 : 0, l4 = EXACT_L3 + (ipv6 ? 40 : 20), ports;
    const void *p = at(skb, base - before, before + l4 + sizeof(struct w_udp)), *frame;
    const struct w_ip4 *ip4;
    const struct w_ip6 *ip6;
    struct ip_addr src = {}, dst = {};
    struct exact_place place;
    const struct exact *e;
    __u64 hosts, path;
    __u8 tos;

    if (!p) {
        return EXACT_NONE;
    }
    frame = p + before;
    ip4 = frame + EXACT_L3;
    ip6 = frame + EXACT_L3;
    ports = load32(frame + l4);
    ret->first = load32(ip4);
    if (ipv6) {
        tos = bpf_ntohl(ret->first) >> 20;
        src = ip6->src;
        dst = ip6->dst;
    } else {
        tos = ip4->tos;
        src.be32[3] = ip4->src;
        dst.be32[3] = ip4->dst;
    }
    hosts = flow_hash_hosts(src.u64, dst.u64, ipv6 ? ip6->next : ip4->proto);
    if (base) {
        path = exact_path_in(skb, load64(p), tos);
    } else {
        ret->hash = flow_hash_finish(hosts + flow_hash_ports(load16(frame + l4), load16(frame + l4 + 2)));
        path = exact_path_out(skb, vlan, tos, ret->hash);
    }
    if (!exact_pair_place(hosts, path, &place)) {
        return EXACT_NONE;
    }
    if (unlikely(exact_is_own(&place) && !place.e->id) && !exact_place_behind(ports, &place)) {
        return EXACT_NONE;
    }
    e = ret->e = place.e;
    if (unlikely(!exact_is_own(&place))) {
        /* One packet in 16 asks whether it is still in use. */
        return e->flags & EXACT_HELD && bpf_get_prandom_u32() & 15 ? EXACT_BUSY : EXACT_NONE;
    }
    return exact_is_of(e, frame, ipv6, ports, skb->len - base) ? 0 : EXACT_NONE;
}

/* The flow of the entry, if it is still there and the packet may go its way now, or NULL. */
INLINE struct ebpf_slot *exact_flow(struct __sk_buff *skb, const struct exact_found *f, const struct ebpf_config *c,
                                    __u32 base, __u32 vlan, __u64 now)
{
    struct exact *e = f->e;
    __u32 n = e->slot;
    struct ebpf_slot *slot;

    if (e->expires_ns < now || (e->generation ^ c->generation) | (e->ifindex ^ skb->ifindex) | (e->mark ^ skb->mark) |
                                   (e->base ^ base) | (e->vlan ^ vlan)) {
        return NULL;
    }
    slot = bpf_map_lookup_elem(&slots, &n);
    if (!slot || !slot->live || slot->id != e->id) {
        return NULL;
    }
    if (e->proto == IP_PROTO_TCP) {
        const struct w_tcp *tcp = at(skb, base + e->l4, sizeof(*tcp));

        if (!tcp || (bpf_ntohs(tcp->off_flags) & 0xfff & ~slot->tcp_flags)) {
            return NULL;
        }
        if (unlikely(e->ports_mask == ~0u && tcp->off_flags & bpf_htons(TCP_FIN | TCP_RST))) {
            e->flags &= ~EXACT_HELD; /* for the few packets that are left */
        }
    }
    return slot;
}

/* Counts the packet as received, as a hit and for its flow. */
INLINE void exact_count(const struct exact *e, struct ebpf_slot *slot, __u32 len, __u64 now)
{
    struct ebpf_lookup_stats *stats = lookup_stats();

    if (stats) {
        stats->hits++;
        stats->exact_hits++;
    }
    count_rx(e->in_port, len);
    slot_count_bytes(slot, len, now);
}

/* Whether a policed port may receive a packet of LEN bytes, PACKETS on the wire. One that it may not is counted. */
static __attribute__((noinline)) bool exact_police(__u32 port, __u32 len, __u32 packets)
{
    if (police_admits(port, len, packets)) {
        return true;
    }
    count_rx(port, len);
    count_rx_drop(port);
    count_drop(DROP_POLICING);
    return false;
}

/* The outer headers in front of a packet, where room for them is. */
INLINE long exact_write(struct __sk_buff *skb, const struct exact_found *f)
{
    struct exact *e = f->e;
    __u32 ip_len = skb->len - ETH_HLEN, l4 = ETH_HLEN + (e->flags & EXACT_IPV6 ? 40 : 20);
    __u64 head_len = e->head_len;

    if (e->flags & EXACT_IPV6) {
        struct w_ip6 *ip = (struct w_ip6 *)(void *)(e->outer + ETH_HLEN);

        ip->ver_tc_flow = (ip->ver_tc_flow & bpf_htonl(0xfff00000)) | bpf_htonl(ZERO_LABEL_OF(f->hash));
        ip->plen = bpf_htons(ip_len - sizeof(*ip));
    } else {
        write_ipv4_rest((struct w_ip4 *)(void *)(e->outer + ETH_HLEN), ip_len, e->flags & EXACT_DF, e->ip_sum);
    }
    if (!(e->flags & EXACT_GRE)) {
        struct w_udp *udp = (struct w_udp *)(void *)(e->outer + l4);

        udp->src = bpf_htons(source_port(f->hash));
        udp->len = bpf_htons(ip_len + ETH_HLEN - l4);
        if (e->flags & EXACT_SUM) {
            udp->csum = not16(e->sum + exact_sum_rest(udp, e->type == T_IPV6, f->first));
            udp->csum = udp->csum ? udp->csum : 0xffff;
        }
    }
    /* 56 to 84, in a form that shows the verifier its bounds */
    head_len = (head_len - EXACT_HEAD_MIN) & 31;
    barrier_var(head_len);
    return bpf_skb_store_bytes(skb, 0, e->outer, head_len + EXACT_HEAD_MIN, 0);
}

/* The outer IP packet would be too long for the path. */
INLINE bool exact_is_too_long(struct __sk_buff *skb, const struct exact *e)
{
    __u32 outer = e->head_len - 2 * ETH_HLEN, len = skb->len;

    if (skb->gso_size) {
        len = e->l4 + super_l4_len(skb, e->proto, e->l4, 60) + skb->gso_size;
    }
    return e->mtu && len + outer > e->mtu;
}

/* The tunnel's outer checksum is that of the entry's kind of packet. */
INLINE bool exact_sums(struct __sk_buff *skb, const struct exact *e)
{
    const struct w_udp *udp = at(skb, e->l4, sizeof(*udp));

    if (skb->gso_size) {
        return !(e->flags & EXACT_SUM);
    }
    if (e->flags & EXACT_SUM) {
        return e->proto == IP_PROTO_TCP || udp_sum_tells(udp, skb->len - e->l4); /* as headers_tell() */
    }
    return !(e->flags & EXACT_NO_SUM);
}

/* The edits of the IP header at OFS. */
static __attribute__((noinline)) long exact_set_ip(struct __sk_buff *skb, const struct exact *e, __u32 ofs)
{
    __u16 w[6]; /* the first half of it */
    __u8 *b = (__u8 *)w;
    __u32 sum;

    if (bpf_skb_load_bytes(skb, ofs, w, sizeof(w))) {
        return -1;
    }
    if (e->type == T_IPV6) {
        b[0] = 0x60 | e->leaves.tos >> 4;
        b[1] = e->leaves.tos << 4 | (b[1] & 15);
        b[7] = e->leaves.ttl;
        return bpf_skb_store_bytes(skb, ofs, w, 8, BPF_F_RECOMPUTE_CSUM);
    }
    sum = (~w[5] & 0xffff) + (~w[0] & 0xffff) + (~w[4] & 0xffff); /* RFC 1624, 3 */
    b[1] = e->leaves.tos;
    b[8] = e->leaves.ttl;
    w[5] = not16((__u64)sum + w[0] + w[4]);
    return bpf_skb_store_bytes(skb, ofs, w, sizeof(w), 0);
}

/* VLAN: exact_vlan() */
INLINE long exact_push_vlan(struct __sk_buff *skb, __u32 vlan)
{
    return vlan ? bpf_skb_vlan_push(skb, (__be16)(vlan >> 16), (__u16)vlan) : 0;
}

INLINE long exact_set_vlan(struct __sk_buff *skb, const struct exact *e)
{
    return (e->vlan && bpf_skb_vlan_pop(skb)) || exact_push_vlan(skb, e->leaves.vlan) ? -1 : 0;
}

/* The edits of a frame that goes to a port. IN: its Ethernet header is written already. */
INLINE long exact_set(struct __sk_buff *skb, const struct exact *e, bool in)
{
    return (!in && e->flags & EXACT_SET_ETH &&
            bpf_skb_store_bytes(skb, 0, e->leaves.macs, sizeof(e->leaves.macs), 0)) ||
                   (e->flags & EXACT_SET_IP && exact_set_ip(skb, e, EXACT_L3)) ||
                   (e->flags & EXACT_SET_VLAN && exact_set_vlan(skb, e))
               ? -1
               : 0;
}

/* To the entry's port, the frame as it is now. */
INLINE int exact_hand_over(struct __sk_buff *skb, const struct exact *e)
{
    count_tx(e->port, skb->len + (skb->vlan_present ? TAG_LEN : 0));
    return hand_over(skb, e->to, e->flags & EXACT_PEER, &e->mac);
}

/* --- by ports --- */

/* A packet that came by a port: its TC action, or EXACT_*. */
GLOBAL int exact_port(struct __sk_buff *skb)
{
    struct ebpf_config *c = config_get();
    __u64 now = bpf_ktime_get_coarse_ns();
    struct exact_found f;
    struct ebpf_slot *slot;
    const struct exact *e;
    __u32 len = skb->len, vlan = 0, packets;
    int result = EXACT_NONE;

    if (!c) {
        return EXACT_NONE;
    }
    if (unlikely(skb->vlan_present)) {
        vlan = skb->vlan_proto << 16 | skb->vlan_tci;
        len += TAG_LEN;
    }
    if (likely(skb->protocol == T_IPV4)) {
        result = exact_find(skb, 0, false, vlan, &f);
    } else if (skb->protocol == T_IPV6) {
        result = exact_find(skb, 0, true, vlan, &f);
    }
    if (result) {
        return result;
    }
    e = f.e;
    slot = exact_flow(skb, &f, c, 0, vlan, now);
    if (!slot) {
        return EXACT_NONE;
    }
    packets = unlikely(e->flags & EXACT_POLICED) ? segments(skb, e->proto, e->l4) : 0; /* adjust_room() forgets them */
    if (unlikely(!(e->flags & EXACT_TUNNELS))) {
        if (unlikely(packets) && !exact_police(e->in_port, len, packets)) {
            return TC_ACT_SHOT;
        }
        exact_count(e, slot, len, now);
        return exact_set(skb, e, false) ? drop(DROP_BAD_ACTION) : exact_hand_over(skb, e);
    }
    if (exact_is_too_long(skb, e) || !exact_sums(skb, e) || (e->flags & EXACT_FOLLOWS && has_risen(f.hash)) ||
        (unlikely(vlan) && bpf_skb_vlan_pop(skb))) {
        return EXACT_NONE;
    }
    if (bpf_skb_adjust_room(skb, e->head_len - ETH_HLEN, BPF_ADJ_ROOM_MAC, e->room)) {
        return exact_push_vlan(skb, vlan) ? drop(DROP_BAD_ACTION) : EXACT_NONE;
    }
    if (unlikely(packets) && !exact_police(e->in_port, len, packets)) {
        return TC_ACT_SHOT;
    }
    exact_count(e, slot, len, now);
    if (exact_write(skb, &f) || (unlikely(e->flags & EXACT_SET_IP) && exact_set_ip(skb, e, e->head_len))) {
        count_tx_drop(e->port, DROP_TUNNEL_TX);
        return TC_ACT_SHOT;
    }
    count_tx(e->port, skb->len - (e->head_len - ETH_HLEN));
    return bpf_redirect(e->to, 0);
}

/* --- out of tunnels --- */

/* The outer IP header is the entry's, and right, and what is behind it belongs to it. */
INLINE bool exact_outer_ip(struct __sk_buff *skb, const struct exact *e)
{
    if (unlikely(e->flags & EXACT_IPV6)) {
        const struct w_ip6 *ip = at(skb, ETH_HLEN, sizeof(*ip));

        return ip && skb->protocol == T_IPV6 &&
               !(((load64(ip) & EXACT_OUTER_IP6) ^ e->outer_head) | (load64(&ip->src) ^ e->outer_addrs[0]) |
                 (load64((void *)&ip->src + 8) ^ e->outer_addrs[1]) | (load64(&ip->dst) ^ e->outer_addrs[2]) |
                 (load64((void *)&ip->dst + 8) ^ e->outer_addrs[3])) &&
               length_is_right(skb, ETH_HLEN + sizeof(*ip), ip->plen);
    } else {
        const struct w_ip4 *ip = at(skb, ETH_HLEN, sizeof(*ip));

        return ip && skb->protocol == T_IPV4 &&
               !(((load64(ip) & EXACT_OUTER_IP4) ^ e->outer_head) | (load64(&ip->src) ^ e->outer_addrs[0]) |
                 (load16((void *)ip + 8) ^ e->outer_ttl)) &&
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
    __be16 outer = skb->protocol;
    int result = EXACT_NONE;
    struct ebpf_slot *slot;
    struct exact_found f;
    const struct exact *e;
    struct w_eth eth;
    const struct w_eth *frame = base ? at(skb, base, sizeof(*frame)) : NULL;

    if (!frame || !c || skb->vlan_present || skb->pkt_type != PT_HOST || c->guarded_in ||
        c->bare >> (skb->ifindex & 63) & 1) {
        return EXACT_NONE;
    }
    eth = *frame;
    if (likely(eth.type == T_IPV4)) {
        result = exact_find(skb, base, false, 0, &f);
    } else if (eth.type == T_IPV6) {
        result = exact_find(skb, base, true, 0, &f);
    }
    if (result) {
        return result;
    }
    e = f.e;
    if (!exact_outer_ip(skb, e) || !exact_outer_l4(skb, e, l4)) {
        return EXACT_NONE;
    }
    len = skb->len - base;
    slot = exact_flow(skb, &f, c, base, 0, now);
    if (!slot || !exact_port_takes(skb, e)) {
        return EXACT_NONE;
    }
    exact_count(e, slot, len, now);
    if (unlikely(e->flags & EXACT_SET_ETH)) {
        __builtin_memcpy(&eth, e->leaves.macs, sizeof(e->leaves.macs));
    }
    if (take_off(skb, c, &eth, base, eth.type != outer ? bpf_ntohs(eth.type) : 0) ||
        (eth.type != outer && skb->protocol != eth.type && tell_protocol(skb))) {
        return drop(DROP_TUNNEL_BAD_HEADER);
    }
    return exact_set(skb, e, true) ? drop(DROP_BAD_ACTION) : exact_hand_over(skb, e);
}

#endif
