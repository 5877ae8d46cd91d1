/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_PARSE_BPF_H
#define WARREN_DATAPATH_EBPF_PARSE_BPF_H
/*
 * The flow key of a packet: what flow_key_extract() (packet/flow_key.c) does, in BPF. Both give the same key for every
 * packet (tests/unit/datapath/test_ebpf_parse.c); where that would cost the fast path too much (many IPv6 extension
 * headers or ND options), parse() says PARSE_UNKNOWN and user space looks the packet up.
 */
#include "datapath/ebpf/common.bpf.h"

#define PARSE_OK 0
#define PARSE_UNKNOWN 1
#define PARSE_SHORT 2 /* no Ethernet header */

#define PARSE_MIN 54       /* bytes behind `base` that are always made linear: up to an IP header and ARP */
#define PARSE_PULL 256     /* more that are, when bytes must be pulled anyway */
#define PARSE_OFS_MAX 1024 /* tells the verifier a bound */
#define EXT_HEADERS_MAX 6
#define ND_OPTS_MAX 4

/* Wire formats, as packet/headers.h has them for user space; but not packed, which would have clang read them byte by
 * byte. They lie at even addresses at best: the kernels that we run on access what is not aligned as they access all
 * else. */
struct w_eth {
    struct eth_addr dst, src;
    __be16 type;
};
struct w_vlan {
    __be16 tci, type;
};
struct w_snap {
    __u8 dsap, ssap, cntl, oui[3];
    __be16 type;
};
struct w_arp {
    __be16 hrd, pro;
    __u8 hln, pln;
    __be16 op;
    struct eth_addr sha;
    __be32 spa;
    struct eth_addr tha;
    __be32 tpa;
} __attribute__((packed, aligned(2)));
struct w_ip4 {
    __u8 ver_ihl, tos;
    __be16 tot_len, id, frag_off;
    __u8 ttl, proto;
    __be16 csum;
    __be32 src, dst;
};
struct w_ip6 {
    __be32 ver_tc_flow;
    __be16 plen;
    __u8 next, hop_limit;
    struct ip_addr src, dst;
};
struct w_ext {
    __u8 next, len;
    __be16 frag_off;
};
struct w_tcp {
    __be16 src, dst;
    __be32 seq, ack;
    __be16 off_flags, window, csum, urgent;
};
struct w_udp {
    __be16 src, dst, len, csum;
};
struct w_icmp {
    __u8 type, code;
    __be16 csum;
};
struct w_nd_opt {
    __u8 type, len;
    struct eth_addr addr;
};

#define IP_PROTO_ICMP 1
#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17
#define IP_PROTO_GRE 47
#define IP_PROTO_ICMPV6 58
#define IP_PROTO_SCTP 132
#define T_IPV4 bpf_htons(0x0800)
#define T_IPV6 bpf_htons(0x86dd)
#define T_ARP bpf_htons(0x0806)
#define T_RARP bpf_htons(0x8035)
#define T_VLAN bpf_htons(0x8100)
#define T_SVLAN bpf_htons(0x88a8)
#define T_MPLS bpf_htons(0x8847)
#define T_MPLS_MCAST bpf_htons(0x8848)

/* Loads in one instruction with a constant offset, the only form that the verifier takes for these fields; clang
 * likes to compute the field's address first. */
INLINE void *data_of(struct __sk_buff *skb)
{
    void *p;

    __asm__ volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(p) : "r"(skb), "i"(offsetof(struct __sk_buff, data)));
    return p;
}

INLINE void *data_end_of(struct __sk_buff *skb)
{
    void *p;

    __asm__ volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(p) : "r"(skb), "i"(offsetof(struct __sk_buff, data_end)));
    return p;
}

/* A pointer to SIZE linear bytes at OFS of the packet, or NULL. */
INLINE void *at(struct __sk_buff *skb, __u32 ofs, __u32 size)
{
    void *p;

    if (ofs > PARSE_OFS_MAX) {
        return NULL;
    }
    p = data_of(skb) + ofs;
    barrier_var(p); /* the end is computed from P itself, or the verifier would not see that they belong together */
    return p + size > data_end_of(skb) ? NULL : p;
}

/* EBPF_LINK_*, 0: an Ethernet device. */
INLINE __u32 link_of(__u32 ifindex)
{
    __u32 *link = bpf_map_lookup_elem(&links, &ifindex);

    return link ? *link : 0;
}

/* The length of a super-packet's L4 header at OFS: UDP's, or TCP's, which is TCP_OTHERWISE if it cannot be looked at.
 */
INLINE __u32 super_l4_len(struct __sk_buff *skb, __u8 proto, __u32 ofs, __u32 tcp_otherwise)
{
    struct w_tcp *tcp;

    if (proto != IP_PROTO_TCP) {
        return sizeof(struct w_udp);
    }
    tcp = at(skb, ofs, sizeof(*tcp));
    return tcp ? (bpf_ntohs(tcp->off_flags) >> 12) * 4 : tcp_otherwise;
}

/* The first WANT bytes (of those that there are) are linear. */
INLINE bool is_linear(struct __sk_buff *skb, __u32 want)
{
    if (want > skb->len) {
        want = skb->len;
    }
    return data_of(skb) + want <= data_end_of(skb);
}

/* Pulling bytes out of fragments costs more than parsing them, so it is done only where the headers ask for it: TCP's
 * lie in the linear part, and nothing else does. */
INLINE void make_linear(struct __sk_buff *skb, __u32 want)
{
    if (!is_linear(skb, want)) {
        bpf_skb_pull_data(skb, want + PARSE_PULL < skb->len ? want + PARSE_PULL : skb->len);
    }
}

/* The mark of the super-packet without its tunnel, which was a UDP_TUNNEL or GRE. Who cuts UDP's out of a UDP tunnel
 * looks for the tunnel, finds none, and drops it; TCP is cut without that look. */
INLINE __u32 mark_by(const struct scratch *s, bool udp_tunnel)
{
    return udp_tunnel && s->key.ip_proto == IP_PROTO_UDP ? MARK_STUCK : MARK_TUNNELLED;
}

INLINE bool is_vlan(__be16 type)
{
    return type == T_VLAN || type == T_SVLAN;
}

/* There is one tag more in the frame. */
INLINE void tagged(struct scratch *s)
{
    s->tags++;
    s->l3 += s->l3 ? 4 : 0;
    s->l4 += s->l4 ? 4 : 0;
    s->mpls += s->mpls ? 4 : 0;
}

/* One less. */
INLINE void untagged(struct scratch *s)
{
    if (s->tags) {
        s->tags--;
        s->l3 -= s->l3 ? 4 : 0;
        s->l4 -= s->l4 ? 4 : 0;
        s->mpls -= s->mpls ? 4 : 0;
    }
}

INLINE bool is_taken_for_ip(struct __sk_buff *skb)
{
    return skb->protocol == T_IPV4 || skb->protocol == T_IPV6;
}

/* The frame's only tag, beside it, which encapsulation can put into it by itself. All others go there by dress_as_ip(),
 * behind which the kernel has wrong ideas of where a super-packet's headers are. */
INLINE bool has_plain_tag(struct __sk_buff *skb, const struct scratch *s)
{
    return skb->vlan_present && !s->tags && is_taken_for_ip(skb);
}

/* Sets skb->protocol from the frame. Of two tags that are pushed the first lands in the frame; when it is taken out
 * again, the kernel looks at what is behind it, and takes a tag that is there out of the frame. */
INLINE long tell_protocol(struct __sk_buff *skb)
{
    long r = bpf_skb_vlan_push(skb, T_VLAN, 1);

    r = r ? r : bpf_skb_vlan_push(skb, T_VLAN, 1);
    r = r ? r : bpf_skb_vlan_pop(skb);
    return r ? r : bpf_skb_vlan_pop(skb);
}

/* Takes BY bytes out behind the Ethernet header, which is rubbish then, so that L3_LEN bytes are left behind it. The
 * kernel refuses to leave less than what skb->protocol says is there, but takes the frame for IPv4 if it looks so.
 * Fewer than L3_MIN bytes cannot be done: padding would be refused for what is noted as encapsulated (make_room()).
 * Linux 6.1 does not count tags in the frame among them (load_frame_tags()). */
#define L3_MIN 20
#define L3_MIN_IPV6 (40 + 2 * 4)
INLINE long shrink(struct __sk_buff *skb, __u32 by, __u32 l3_len, __u64 flags)
{
    __be16 ip = T_IPV4;

    if (l3_len < L3_MIN_IPV6 && skb->protocol == T_IPV6 &&
        (bpf_skb_store_bytes(skb, 12, &ip, 2, 0) || tell_protocol(skb))) {
        return -1;
    }
    return bpf_skb_adjust_room(skb, -(__s32)by, BPF_ADJ_ROOM_MAC, flags | BPF_F_ADJ_ROOM_FIXED_GSO);
}

/* END: offset behind the last byte that belongs to the packet's L3 payload. */
INLINE int parse_nd(struct __sk_buff *skb, struct scratch *s, __u32 ofs, __u32 end)
{
    struct flow_key *key = &s->key;
    struct ip_addr *target = at(skb, ofs + 8, sizeof(*target));
    __u32 sll = 0, tll = 0;
    struct w_nd_opt *opt;

    if (ofs + 8 + sizeof(*target) > end) {
        return PARSE_OK;
    }
    if (!target) {
        return PARSE_UNKNOWN;
    }
    ofs += 8 + sizeof(*target);
    for (int i = 0; i < ND_OPTS_MAX && ofs + sizeof(*opt) <= end; i++) {
        opt = at(skb, ofs, sizeof(*opt));
        if (!opt) {
            return PARSE_UNKNOWN;
        }
        if (!opt->len || ofs + opt->len * 8u > end) {
            return PARSE_OK; /* a bad option spoils all of it */
        }
        if (opt->len == 1 && opt->type == 1) {
            sll = ofs;
        } else if (opt->len == 1 && opt->type == 2) {
            tll = ofs;
        }
        ofs += opt->len * 8u;
    }
    if (ofs + sizeof(*opt) <= end) {
        return PARSE_UNKNOWN;
    }
    key->nd_target = *target;
    opt = sll ? at(skb, sll, sizeof(*opt)) : NULL;
    if (opt) {
        key->arp_sha = opt->addr;
    }
    opt = tll ? at(skb, tll, sizeof(*opt)) : NULL;
    if (opt) {
        key->arp_tha = opt->addr;
    }
    return PARSE_OK;
}

/* A function of its own, as parse_ipv6(), for the verifier's sake: inlined behind each way there may be through tags
 * and extension headers they would be looked at too often for Linux 6.1's limit. */
GLOBAL int parse_l4(struct __sk_buff *skb, struct scratch *s, __u32 ofs, __u32 end)
{
    struct flow_key *key;
    __u8 proto;

    if (!s) {
        return PARSE_UNKNOWN;
    }
    key = &s->key;
    proto = key->ip_proto;
    if (proto == IP_PROTO_TCP) {
        struct w_tcp *tcp = at(skb, ofs, sizeof(*tcp));

        if (ofs + sizeof(*tcp) > end) {
            return PARSE_OK;
        }
        if (!tcp) {
            return PARSE_UNKNOWN;
        }
        key->tp_src = tcp->src;
        key->tp_dst = tcp->dst;
        key->tcp_flags = tcp->off_flags & bpf_htons(0x0fff);
        s->l4 = ofs;
    } else if (proto == IP_PROTO_UDP || proto == IP_PROTO_SCTP) {
        struct w_udp *udp = at(skb, ofs, sizeof(*udp));

        if (ofs + (proto == IP_PROTO_UDP ? 8 : 12) > end) {
            return PARSE_OK;
        }
        if (!udp) {
            return PARSE_UNKNOWN;
        }
        key->tp_src = udp->src;
        key->tp_dst = udp->dst;
        s->l4 = ofs;
    } else if ((proto == IP_PROTO_ICMP && key->eth_type == T_IPV4) ||
               (proto == IP_PROTO_ICMPV6 && key->eth_type == T_IPV6)) {
        struct w_icmp *icmp = at(skb, ofs, sizeof(*icmp));

        if (ofs + sizeof(*icmp) > end) {
            return PARSE_OK;
        }
        if (!icmp) {
            return PARSE_UNKNOWN;
        }
        key->tp_src = bpf_htons(icmp->type);
        key->tp_dst = bpf_htons(icmp->code);
        s->l4 = ofs;
        if (proto == IP_PROTO_ICMPV6 && (icmp->type == 135 || icmp->type == 136) && !icmp->code) {
            return parse_nd(skb, s, ofs, end);
        }
    }
    return PARSE_OK;
}

INLINE int parse_ipv4(struct __sk_buff *skb, struct scratch *s, __u32 ofs)
{
    struct flow_key *key = &s->key;
    struct w_ip4 *ip = at(skb, ofs, sizeof(*ip));
    __u32 left = skb->len - ofs, tot_len, ihl, frag;

    if (!ip) {
        return left < sizeof(*ip) ? PARSE_OK : PARSE_UNKNOWN;
    }
    ihl = (ip->ver_ihl & 15u) * 4;
    tot_len = bpf_ntohs(ip->tot_len);
    if (!tot_len && skb->gso_size) {
        tot_len = left;
    }
    if (ip->ver_ihl >> 4 != 4 || ihl < sizeof(*ip) || tot_len < ihl || tot_len > left || left - tot_len > 255) {
        return PARSE_OK;
    }
    s->l3 = ofs;
    key->ip_src.be32[3] = ip->src;
    key->ip_dst.be32[3] = ip->dst;
    key->ip_proto = ip->proto;
    key->ip_tos = ip->tos;
    key->ip_ttl = ip->ttl;
    frag = bpf_ntohs(ip->frag_off);
    if (frag & 0x3fff) {
        key->ip_frag = FLOW_FRAG_ANY | (frag & 0x1fff ? FLOW_FRAG_LATER : 0);
    }
    return frag & 0x1fff ? PARSE_OK : parse_l4(skb, s, ofs + ihl, ofs + tot_len);
}

GLOBAL int parse_ipv6(struct __sk_buff *skb, struct scratch *s, __u32 ofs)
{
    struct w_ip6 *ip = at(skb, ofs, sizeof(*ip));
    __u32 left, plen, word, end;
    struct flow_key *key;
    __u8 next, frag = 0;
    int i;

    if (!s) {
        return PARSE_UNKNOWN;
    }
    key = &s->key;
    if (!ip) {
        return skb->len - ofs < sizeof(*ip) ? PARSE_OK : PARSE_UNKNOWN;
    }
    left = skb->len - ofs - sizeof(*ip);
    word = bpf_ntohl(ip->ver_tc_flow);
    plen = bpf_ntohs(ip->plen);
    if (!plen && skb->gso_size) {
        plen = left;
    }
    if (word >> 28 != 6 || plen > left) {
        return PARSE_OK;
    }
    s->l3 = ofs;
    key->ip_src = ip->src;
    key->ip_dst = ip->dst;
    key->ipv6_label = bpf_htonl(word & 0xfffff);
    key->ip_tos = word >> 20;
    key->ip_ttl = ip->hop_limit;
    next = ip->next;
    ofs += sizeof(*ip);
    end = ofs + plen;
    for (i = 0; i < EXT_HEADERS_MAX; i++) {
        struct w_ext *ext;
        __u32 len;

        if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60 && next != 135) {
            break;
        }
        ext = at(skb, ofs, sizeof(*ext));
        if (ofs + (next == 44 ? 8 : 2) > end) {
            return PARSE_OK;
        }
        if (!ext) {
            return PARSE_UNKNOWN;
        }
        len = next == 44 ? 8 : next == 51 ? ext->len * 4u + 8 : ext->len * 8u + 8;
        if (ofs + len > end) {
            return PARSE_OK;
        }
        if (next == 44) {
            __u32 off = bpf_ntohs(ext->frag_off);

            if (off & 0xfff9) {
                frag = FLOW_FRAG_ANY | (off & 0xfff8 ? FLOW_FRAG_LATER : 0);
            }
        }
        if (frag & FLOW_FRAG_LATER) {
            break; /* NEXT is what the key shall say */
        }
        next = ext->next;
        ofs += len;
    }
    if (i == EXT_HEADERS_MAX) {
        return PARSE_UNKNOWN;
    }
    key->ip_proto = next;
    key->ip_frag = frag;
    return frag & FLOW_FRAG_LATER ? PARSE_OK : parse_l4(skb, s, ofs, end);
}

INLINE void parse_arp(struct __sk_buff *skb, struct scratch *s, __u32 ofs)
{
    struct flow_key *key = &s->key;
    struct w_arp *arp = at(skb, ofs, sizeof(*arp));

    if (!arp) {
        return;
    }
    s->l3 = ofs;
    if (arp->hrd != bpf_htons(1) || arp->pro != T_IPV4 || arp->hln != 6 || arp->pln != 4) {
        return;
    }
    if (bpf_ntohs(arp->op) <= 0xff) {
        key->ip_proto = bpf_ntohs(arp->op);
    }
    key->ip_src.be32[3] = arp->spa;
    key->ip_dst.be32[3] = arp->tpa;
    key->arp_sha = arp->sha;
    key->arp_tha = arp->tha;
}

/* Two labels at most are within what is linear. */
INLINE void parse_mpls(struct __sk_buff *skb, struct scratch *s, __u32 ofs)
{
    s->mpls = ofs;
    for (int i = 0; i < 2; i++, ofs += 4) {
        __be32 *lse = at(skb, ofs, sizeof(*lse));

        if (!lse) {
            return;
        }
        s->key.mpls_lse[i] = *lse;
        if (*lse & bpf_htonl(0x100)) {
            return;
        }
    }
}

/* Fills s->key but for in_port, pkt_mark and tunnel, which are the caller's, from the frame at BASE, and the offsets.
 * The rest of the key must be zero. */
GLOBAL int parse(struct __sk_buff *skb, struct scratch *s, __u32 base)
{
    struct flow_key *key;
    __u32 ofs = base + ETH_HLEN, n = 0;
    struct w_eth *eth;
    __be16 type;

    if (!s || base > PARSE_OFS_MAX) {
        return PARSE_SHORT;
    }
    key = &s->key;
    make_linear(skb, base + PARSE_MIN);
    s->base = base;
    s->l3 = s->l4 = s->tags = s->encap = s->mpls = 0;
    s->len = skb->len - base;
    eth = at(skb, base, sizeof(*eth));
    if (!eth) {
        return PARSE_SHORT;
    }
    key->eth_dst = s->dst = eth->dst;
    key->eth_src = s->src = eth->src;
    s->eth_type = type = eth->type;
    if (!base && skb->vlan_present) {
        key->vlan[0].tpid = (__be16)skb->vlan_proto;
        key->vlan[0].tci = bpf_htons(skb->vlan_tci | FLOW_VLAN_PRESENT);
        s->len += 4;
        n = 1;
    }
    for (int i = 0; i < 2; i++) {
        struct w_vlan *vlan;

        if (n >= 2 || !is_vlan(type)) {
            break;
        }
        vlan = at(skb, ofs, sizeof(*vlan));
        if (!vlan) {
            break;
        }
        key->vlan[n & 1].tpid = type;
        key->vlan[n & 1].tci = vlan->tci | bpf_htons(FLOW_VLAN_PRESENT);
        type = vlan->type;
        ofs += sizeof(*vlan);
        s->tags++;
        n++;
    }
    if (bpf_ntohs(type) < 0x0600) {
        struct w_snap *snap = at(skb, ofs, sizeof(*snap));

        type = bpf_htons(FLOW_ETH_TYPE_NONE);
        if (snap && snap->dsap == 0xaa && snap->ssap == 0xaa && snap->cntl == 3 && !snap->oui[0] && !snap->oui[1] &&
            !snap->oui[2] && bpf_ntohs(snap->type) >= 0x0600) {
            type = snap->type;
            ofs += sizeof(*snap);
        }
    }
    key->eth_type = type;
    switch (type) {
    case T_IPV4:
        return parse_ipv4(skb, s, ofs);
    case T_IPV6:
        return parse_ipv6(skb, s, ofs);
    case T_ARP:
    case T_RARP:
        parse_arp(skb, s, ofs);
        return PARSE_OK;
    case T_MPLS:
    case T_MPLS_MCAST:
        parse_mpls(skb, s, ofs);
        return PARSE_OK;
    default:
        return PARSE_OK;
    }
}

#endif
