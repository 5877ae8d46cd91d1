/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_CSUM_BPF_H
#define WARREN_DATAPATH_EBPF_CSUM_BPF_H
/*
 * The outer UDP checksum, where one is wanted: over IPv6 (RFC 8200, 8.1), and with FLOW_TNL_CSUM.
 *
 * Problem: summing up payloads costs what the offloads saved, and a super-packet's outer checksum cannot be left to the
 * device from BPF at all. Idea: a TCP, UDP or ICMP packet whose own checksum is right, or will be made right by a
 * device, sums up to what its headers alone tell (the kernel calls that local checksum offload), so only headers are
 * read. Other small frames (ARP, fragments) are summed up whole. For super-packets RFC 6935 lets tunnels over IPv6 send
 * zero to receivers that take it; Warren's do, and say so (packet/zero_label.h). To others, super-packets go by the
 * slow path, which cuts them.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/parse.bpf.h"
#include "packet/zero_label.h"

#define SUM_NONE 0 /* the checksum is zero */
#define SUM_HEADERS 1
#define SUM_ALL 2
#define SUM_SLOW 3 /* only user space can */

#define CHUNK 256
#define SUM_ALL_MAX (CHUNK * 40)
#define SUM_TAIL_MAX (CHUNK * 1024) /* super-packets */

/* Remotes over IPv6 that take zero checksums. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, EBPF_NEXTHOPS_MAX);
    __type(key, struct ip_addr);
    __type(value, __u32);
} zero_takers SEC(".maps");

/* What the label of a received packet says of its sender. Called for the first packets of flows only. */
INLINE void learn_zero_taker(struct scratch *s)
{
    bool takes = (s->outer_label & ZERO_LABEL_MASK) == ZERO_LABEL;
    struct ip_addr src = s->key.tunnel.src; /* keys must be on the stack before Linux 6.2 */
    __u32 *known, one = 1;

    if (s->outer_l3 != 0x86dd) {
        return;
    }
    known = bpf_map_lookup_elem(&zero_takers, &src);
    if (takes && !known) {
        bpf_map_update_elem(&zero_takers, &src, &one, BPF_ANY);
    } else if (!takes && known) {
        bpf_map_delete_elem(&zero_takers, &src);
    }
}

/* The datagram, of LEN bytes with its header and what may be behind it, has a checksum, which covers all of it. */
INLINE bool udp_sum_tells(const struct w_udp *udp, __u32 len)
{
    return udp && udp->csum && bpf_ntohs(udp->len) == len;
}

/* The inner packet is one whose sum its headers tell. */
INLINE bool headers_tell(struct __sk_buff *skb, struct scratch *s)
{
    __u32 l4 = s->encap + s->l4, l3 = s->encap + s->l3, end;
    __u8 proto = s->key.ip_proto;

    if (!s->l4 || s->key.ip_frag || s->tags) {
        return false;
    }
    if (s->key.eth_type == T_IPV4) {
        struct w_ip4 *ip = at(skb, l3, sizeof(*ip));

        end = ip ? l3 + bpf_ntohs(ip->tot_len) : 0;
    } else {
        struct w_ip6 *ip = at(skb, l3, sizeof(*ip));

        end = ip && s->l4 == s->l3 + sizeof(*ip) ? l4 + bpf_ntohs(ip->plen) : 0;
    }
    if (end != skb->len) {
        return false; /* padding would have to be summed up */
    }
    if (proto == IP_PROTO_UDP) {
        return udp_sum_tells(at(skb, l4, sizeof(struct w_udp)), end - l4);
    }
    return proto == IP_PROTO_TCP || proto == IP_PROTO_ICMP || proto == IP_PROTO_ICMPV6;
}

INLINE bool has_outer_csum(const struct ebpf_tunnel *t)
{
    return t->kind != EBPF_GRE && (t->ipv6 || t->flags & FLOW_TNL_CSUM);
}

INLINE bool takes_zero(const struct ebpf_tunnel *t)
{
    struct ip_addr dst = t->dst;

    return bpf_map_lookup_elem(&zero_takers, &dst);
}

/* Is the packet's checksum left to the device (CHECKSUM_PARTIAL)? Nothing tells directly; but then, and only then,
 * bpf_l4_csum_replace() without BPF_F_PSEUDO_HDR leaves the field alone. It is asked to change the first two bytes,
 * which are put back. Negative: cannot be told. */
GLOBAL int is_partial(struct __sk_buff *skb)
{
    __u16 before, after;

    if (bpf_skb_load_bytes(skb, 0, &before, 2) || bpf_l4_csum_replace(skb, 0, 0, 1, 2) ||
        bpf_skb_load_bytes(skb, 0, &after, 2)) {
        return -1;
    }
    if (before == after) {
        return 1;
    }
    return bpf_skb_store_bytes(skb, 0, &before, 2, 0) ? -1 : 0;
}

/* SUM_*. */
GLOBAL int sum_mode(struct __sk_buff *skb, struct scratch *s, const struct ebpf_tunnel *t)
{
    if (!s || !t) {
        return SUM_SLOW;
    }
    if (!has_outer_csum(t)) {
        return SUM_NONE;
    }
    if (skb->gso_size) {
        return t->ipv6 && !(t->flags & FLOW_TNL_CSUM) && takes_zero(t) ? SUM_NONE : SUM_SLOW;
    }
    if (skb->vlan_present && !has_plain_tag(skb, s)) {
        return SUM_SLOW;
    }
    if (headers_tell(skb, s)) {
        return SUM_HEADERS;
    }
    /* No sum of bytes tells what one is that is left to the device. */
    return s->tags || skb->len > SUM_ALL_MAX || is_partial(skb) ? SUM_SLOW : SUM_ALL;
}

INLINE __u64 sum_words(const void *p, int n)
{
    const __u16 *w = p;
    __u64 sum = 0;

#pragma unroll
    for (int i = 0; i < n; i++) {
        sum += w[i];
    }
    return sum;
}

INLINE __u64 not16(__u64 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

/* To 16 bits; zero, which is 0xffff too, as 0xffff. */
INLINE __u64 fold(__u64 sum)
{
    sum = not16((sum & 0xffffffff) + (sum >> 32));
    return sum == 0xffff ? 0xffff : ~sum & 0xffff;
}

/* The sum of the inner packet from its L3 header at L3 on, by its headers. */
INLINE __u64 sum_by_headers(struct __sk_buff *skb, struct scratch *s, __u32 l3)
{
    if (s->key.eth_type == T_IPV4) {
        struct w_ip4 *ip = (struct w_ip4 *)(void *)s->chunk;
        __u64 pseudo;

        if (bpf_skb_load_bytes(skb, l3, ip, sizeof(*ip)) || s->key.ip_proto == IP_PROTO_ICMP) {
            return 0; /* an IPv4 header sums up to zero, and ICMP behind it, too */
        }
        pseudo = sum_words(&ip->src, 4) + bpf_htons(ip->proto) +
                 bpf_htons((__u16)(bpf_ntohs(ip->tot_len) - (ip->ver_ihl & 15) * 4));
        return not16(pseudo);
    } else {
        struct w_ip6 *ip = (struct w_ip6 *)(void *)s->chunk;

        if (bpf_skb_load_bytes(skb, l3, ip, sizeof(*ip))) {
            return 0;
        }
        /* The addresses are in the header and, complemented, in the pseudo-header's part: they cancel out. */
        return sum_words(ip, 4) + not16((__u64)bpf_htons(ip->next) + ip->plen);
    }
}

/* The sum of the SNAP header that may be between the inner Ethernet header and the L3 header. */
INLINE __u64 sum_of_snap(struct __sk_buff *skb, struct scratch *s)
{
    struct w_snap snap;

    return s->l3 == ETH_HLEN || bpf_skb_load_bytes(skb, s->encap + ETH_HLEN, &snap, sizeof(snap))
               ? 0
               : sum_words(&snap, sizeof(snap) / 2);
}

struct sum_loop {
    struct __sk_buff *skb;
    struct scratch *s;
    __u32 ofs;
    __s64 sum;
};

static long sum_chunk(__u32 i, void *loop_)
{
    struct sum_loop *l = loop_;
    __u32 left = l->skb->len - l->ofs, n = left < CHUNK ? left : CHUNK;

    if (!left || left > SUM_TAIL_MAX) {
        return 1;
    }
    if (n < CHUNK) {
        __builtin_memset(l->s->chunk, 0, CHUNK);
    }
    n = (n - 1) & (CHUNK - 1); /* the verifier sees 1 to CHUNK */
    if (bpf_skb_load_bytes(l->skb, l->ofs, l->s->chunk, n + 1)) {
        return 1;
    }
    l->sum = bpf_csum_diff(NULL, 0, (__be32 *)(void *)l->s->chunk, CHUNK, l->sum);
    l->ofs += CHUNK;
    return 0;
}

/* The UDP checksum of the tunnel packet whose outer headers, up to and with the inner Ethernet header (N bytes), are in
 * s->buf with a zero checksum, but for the options. */
INLINE __u16 outer_csum(struct __sk_buff *skb, struct scratch *s, const struct ebpf_tunnel *t, __u32 mode)
{
    struct sum_loop loop = {.skb = skb, .s = s, .ofs = s->encap + ETH_HLEN};
    __u32 opts_len = t->opts_len;
    bool ip6 = t->ipv6;
    __u64 sum;

    if (ip6) {
        sum = sum_words(s->buf + ETH_HLEN + 8, 16) + sum_words(s->buf + ETH_HLEN + 40, 15);
    } else {
        sum = sum_words(s->buf + ETH_HLEN + 12, 4) + sum_words(s->buf + ETH_HLEN + 20, 15);
    }
    if (s->tag.tpid) {
        sum += sum_words(s->buf + ETH_HLEN + (ip6 ? 40 : 20) + 30, 2);
    }
    if (opts_len) {
        sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)(void *)s->opts, opts_bounded(opts_len), 0);
    }
    sum += bpf_htons(IP_PROTO_UDP) + bpf_htons((__u16)(skb->len - ETH_HLEN - (ip6 ? 40 : 20)));
    if (mode == SUM_HEADERS) {
        sum += sum_of_snap(skb, s) + sum_by_headers(skb, s, s->encap + s->l3);
    } else {
        bpf_loop(SUM_ALL_MAX / CHUNK, sum_chunk, &loop, 0);
        sum += (__u32)loop.sum;
    }
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = not16((sum & 0xffff) + (sum >> 16));
    return sum ? sum : 0xffff;
}

#endif
