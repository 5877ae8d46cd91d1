/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_ENCAP_BPF_H
#define WARREN_DATAPATH_EBPF_ENCAP_BPF_H
/*
 * Tunnel packets on their way out.
 *
 * The kernel makes room behind the Ethernet header and is told what comes there (bpf_skb_adjust_room() with ENCAP_L3,
 * L4 and L2_ETH), so that a super-packet stays one: whoever segments it knows where the inner packet begins. It does so
 * only for what it takes for IP; other frames are dressed up as IP first (dress_as_ip()), which is no lie to anybody:
 * nobody looks at skb->protocol of a tunnel packet for its payload.
 *
 * Next hops: the kernel's routes and neighbours are asked once in EBPF_NEXTHOP_NS for each remote (and way of ECMP),
 * and at once after user space has heard of a change (net.c raises the config's generation). The packet that asked goes
 * by the kernel's own neighbour output (bpf_redirect_neigh()), which resolves, confirms and keeps the entry; all others
 * have their Ethernet header from the cache and cost no route lookup. A copy (bpf_clone_redirect()) always needs its
 * header from us, so one that would ask is encapsulated by itself (send_aside()), and goes the kernel's way, too. Where
 * there is no detour to do so, and the neighbour is not known, user space does this one step, and also where a packet
 * is too big for the path.
 *
 * A copy of a super-packet is always encapsulated by itself, so that the kernel's note of that is on the copy alone:
 * the packet goes into tunnels of other forms, and to ports, as if it had never been near a tunnel.
 *
 * A connection whose super-packets go up, because of their outer checksum (csum.bpf.h) or because they are in a tunnel
 * of the VM's own already, which the kernel has noted, has small packets, too, which must not overtake them: TCP would
 * take that for losses. So they follow while the ring is not empty (has_risen()).
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/csum.bpf.h"
#include "datapath/ebpf/parse.bpf.h"
#include "datapath/ebpf/set.bpf.h"
#include "datapath/ebpf/upcall.bpf.h"

#define AF_INET_ 2
#define AF_INET6_ 10
#define EALREADY_ 114
#define SPORT_MIN 32768u /* as packet/tunnel.h */
#define SPORT_MAX 60999u
#define TAG_LEN 4
#define HEAD_MIN (ETH_HLEN + 20 + 4)  /* GRE without a key */
#define HEAD_MAX (ETH_HLEN + 40 + 16) /* without options */

INLINE __u16 source_port(__u32 hash)
{
    return SPORT_MIN + ((__u64)hash * (SPORT_MAX - SPORT_MIN + 1) >> 32);
}

INLINE __u32 outer_len(const struct ebpf_tunnel *t)
{
    return (t->ipv6 ? 40 : 20) + (t->kind != EBPF_GRE ? 16 + t->opts_len : t->flags & FLOW_TNL_KEY ? 8 : 4);
}

/* --- next hops --- */

/* The answer of the kernel's routes in s->fib; what bpf_fib_lookup() returned. All flows of a WAY are to get the same
 * answer, whichever of them asks, or they would hop from one path to another. */
INLINE long route(struct __sk_buff *skb, struct scratch *s, struct ebpf_config *c, const struct ebpf_tunnel *t,
                  __u32 way)
{
    struct bpf_fib_lookup *p = &s->fib;

    __builtin_memset(p, 0, sizeof(*p));
    p->family = t->ipv6 ? AF_INET6_ : AF_INET_;
    p->l4_protocol = t->kind == EBPF_GRE ? IP_PROTO_GRE : IP_PROTO_UDP;
    if (t->kind != EBPF_GRE) {
        p->sport = bpf_htons(source_port(way * 0x9e3779b1u + 0x5bd1e995u));
        p->dport = t->udp_dst;
    }
    p->tot_len = 1; /* asks for the path's MTU */
    p->ifindex = c->fib_ifindex;
    if (t->ipv6) {
        __builtin_memcpy(p->ipv6_src, &t->src, 16);
        __builtin_memcpy(p->ipv6_dst, &t->dst, 16);
    } else {
        p->ipv4_src = t->src.be32[3];
        p->ipv4_dst = t->dst.be32[3];
    }
    return bpf_fib_lookup(skb, p, sizeof(*p), 0);
}

/* A word of struct ebpf_nexthop: an address with the tag behind it. */
union hop_word {
    __u64 word;
    struct {
        struct eth_addr addr;
        __u16 tag;
    };
};

/* The kernel's routes know a way, but not one for us: to this host itself, or into an encapsulation of the route's own.
 * Or they cannot be asked now: the device for it does not forward, or is gone, until user space sees to it. */
INLINE bool is_for_user_space(const struct ebpf_tunnel *t, long result)
{
    struct ip_addr dst = t->dst; /* on the stack, as keys must be before Linux 6.2 */

    return result < 0 || result == BPF_FIB_LKUP_RET_FWD_DISABLED || result == BPF_FIB_LKUP_RET_UNSUPP_LWT ||
           (result == BPF_FIB_LKUP_RET_NOT_FWDED && bpf_map_lookup_elem(&local_addrs, &dst));
}

/* Asks the kernel, and keeps a whole answer. On devices with a link header that is not Ethernet's each packet asks. */
INLINE void nexthop_refresh(struct __sk_buff *skb, struct scratch *s, struct ebpf_config *c,
                            const struct ebpf_tunnel *t, struct ebpf_nexthop *nh)
{
    __u32 generation = c->generation, tag = bpf_get_prandom_u32() & 0xffff;
    long r = route(skb, s, c, t, s->key.dp_hash & (EBPF_NEXTHOP_WAYS - 1));
    struct hop *hop = &s->hop;
    __u32 mtu, link;

    hop->fresh = true;
    hop->up = is_for_user_space(t, r);
    hop->ifindex = r == BPF_FIB_LKUP_RET_SUCCESS || r == BPF_FIB_LKUP_RET_NO_NEIGH ? s->fib.ifindex : 0;
    hop->mtu = 0;
    __builtin_memset(&hop->dst, 0, sizeof(hop->dst));
    if (r == BPF_FIB_LKUP_RET_SUCCESS) {
        hop->mtu = s->fib.mtu_result;
    } else if (hop->ifindex) { /* without a neighbour the kernel tells no path's MTU */
        bpf_check_mtu(skb, hop->ifindex, &hop->mtu, 0, 0);
    }
    /* Nor that of the route, unless it is locked. */
    mtu = nh->route_mtu && nh->route_mtu < hop->mtu ? nh->route_mtu : hop->mtu;
    hop->mtu = mtu < 0xffff ? mtu : 0xffff;
    link = link_of(hop->ifindex);
    hop->up |= link & EBPF_LINK_UP || nh->route_mtu == EBPF_ROUTE_UP;
    if (hop->up || r != BPF_FIB_LKUP_RET_SUCCESS || (link && !(link & EBPF_LINK_DIRECT))) {
        nh->expires_ns = 0;
        return;
    }
    if (link) { /* bpf_redirect() takes the header off again */
        hop->dst = hop->src = (struct eth_addr){{2}};
    } else {
        __builtin_memcpy(&hop->dst, s->fib.dmac, 6);
        __builtin_memcpy(&hop->src, s->fib.smac, 6);
    }
    nh->dst = (union hop_word){.addr = hop->dst, .tag = tag}.word;
    nh->src = (union hop_word){.addr = hop->src, .tag = tag}.word;
    nh->via = (__u64)hop->ifindex << 32 | hop->mtu << 16 | tag;
    nh->generation = generation;
    nh->expires_ns = bpf_ktime_get_coarse_ns() + EBPF_NEXTHOP_NS;
}

INLINE bool nexthop_is_old(const struct ebpf_nexthop *nh, const struct ebpf_config *c)
{
    return nh->expires_ns < bpf_ktime_get_coarse_ns() || nh->generation != c->generation;
}

/* What is remembered of where T leads this flow; NULL: the remote has no place in the cache. */
INLINE struct ebpf_nexthop *nexthop_entry(const struct scratch *s, const struct ebpf_tunnel *t)
{
    __u32 index = t->nexthop + (s->key.dp_hash & (EBPF_NEXTHOP_WAYS - 1));

    return bpf_map_lookup_elem(&nexthops, &index);
}

/* Whoever sends to where T leads must ask for it first. */
INLINE bool must_ask(const struct scratch *s, const struct ebpf_config *c, const struct ebpf_tunnel *t)
{
    struct ebpf_nexthop *nh = nexthop_entry(s, t);

    return nh && nexthop_is_old(nh, c);
}

/* Where T leads, in s->hop. False: the remote has no place in the cache. */
INLINE bool nexthop(struct __sk_buff *skb, struct scratch *s, struct ebpf_config *c, const struct ebpf_tunnel *t)
{
    struct ebpf_nexthop *nh = nexthop_entry(s, t);
    union hop_word dst, src;
    struct hop *hop = &s->hop;
    __u64 via;

    if (!nh) {
        return false;
    }
    dst.word = nh->dst;
    src.word = nh->src;
    via = nh->via;
    if (nexthop_is_old(nh, c) || dst.tag != src.tag || dst.tag != (via & 0xffff)) {
        nexthop_refresh(skb, s, c, t, nh);
        return true;
    }
    hop->fresh = hop->up = false;
    hop->ifindex = via >> 32;
    hop->mtu = via >> 16 & 0xffff;
    hop->dst = dst.addr;
    hop->src = src.addr;
    return true;
}

INLINE bool hop_has_neighbour(const struct hop *hop)
{
    const __u16 *w = (const __u16 *)(const void *)&hop->dst;

    return w[0] | w[1] | w[2];
}

/* --- size --- */

/* Of the inner frame's header that is written again when it is encapsulated: with the tags that were taken off. */
INLINE __u32 inner_len(const struct scratch *s)
{
    return s->tag.tpid ? (s->tag2.tpid ? ETH_HLEN + 2 * TAG_LEN : ETH_HLEN + TAG_LEN) : ETH_HLEN;
}

/* The outer IP packet's length, or the largest one's that a super-packet will become. Of a frame that is encapsulated
 * already, in headers that will be replaced: a super-packet is that only where there is no detour, and passes. */
INLINE __u32 outer_ip_len(struct __sk_buff *skb, struct scratch *s, __u32 outer)
{
    __u32 tag = skb->vlan_present ? TAG_LEN : 0, headers = s->l4 + tag, gso_size = skb->gso_size;

    if (gso_size) {
        return s->encap ? 0 : headers + super_l4_len(skb, s->key.ip_proto, s->l4, 60) + gso_size + outer;
    }
    return s->encap ? skb->len + outer - s->encap + inner_len(s) - ETH_HLEN : skb->len + outer + tag;
}

/* --- the headers --- */

struct w_outer_l4 {
    union {
        struct {
            struct w_udp udp;
            __be32 flags, vni;
        };
        struct {
            __be16 gre_flags, gre_proto;
            __be32 gre_key;
        };
    };
};

/* PLEN: bytes from this header to the packet's end. */
INLINE void write_l4(struct scratch *s, const struct ebpf_tunnel *t, struct w_outer_l4 *l4, __u32 plen)
{
    if (t->kind == EBPF_GRE) {
        l4->gre_flags = t->flags & FLOW_TNL_KEY ? bpf_htons(0x2000) : 0;
        l4->gre_proto = bpf_htons(0x6558);
        l4->gre_key = bpf_htonl((__u32)bpf_be64_to_cpu(t->id));
        return;
    }
    l4->udp.src = bpf_htons(source_port(s->key.dp_hash));
    l4->udp.dst = t->udp_dst;
    l4->udp.len = bpf_htons(plen);
    l4->udp.csum = 0;
    l4->vni = bpf_htonl((__u32)bpf_be64_to_cpu(t->id) << 8);
    l4->flags = t->kind == EBPF_VXLAN ? bpf_htonl(0x08000000)
                                      : bpf_htonl((__u32)t->opts_len << 22 | (t->flags & FLOW_TNL_OAM ? 0x800000 : 0) |
                                                  (t->critical ? 0x400000 : 0) | 0x6558);
}

/* What differs from packet to packet. IP_SUM: as in struct ebpf_tunnel. */
INLINE void write_ipv4_rest(struct w_ip4 *ip, __u32 len, bool df, __u16 ip_sum)
{
    __be16 tot_len = bpf_htons(len), id = df ? 0 : bpf_get_prandom_u32();
    __u32 sum = ip_sum + tot_len + id;

    ip->tot_len = tot_len;
    ip->id = id;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip->csum = ~sum;
}

INLINE void write_ipv4(const struct ebpf_tunnel *t, struct w_ip4 *ip, __u32 len)
{
    ip->ver_ihl = 0x45;
    ip->tos = t->tos;
    ip->frag_off = t->flags & FLOW_TNL_DF ? bpf_htons(0x4000) : 0;
    ip->ttl = t->ttl;
    ip->proto = t->kind == EBPF_GRE ? IP_PROTO_GRE : IP_PROTO_UDP;
    ip->src = t->src.be32[3];
    ip->dst = t->dst.be32[3];
    write_ipv4_rest(ip, len, t->flags & FLOW_TNL_DF, t->ip_sum);
}

INLINE void write_ipv6(struct scratch *s, const struct ebpf_tunnel *t, struct w_ip6 *ip, __u32 len)
{
    ip->ver_tc_flow = bpf_htonl(0x60000000u | (__u32)t->tos << 20 | ZERO_LABEL_OF(s->key.dp_hash));
    ip->plen = bpf_htons(len - sizeof(*ip));
    ip->next = t->kind == EBPF_GRE ? IP_PROTO_GRE : IP_PROTO_UDP;
    ip->hop_limit = t->ttl;
    ip->src = t->src;
    ip->dst = t->dst;
}

/* The length of the outer headers without options, in a form that shows the verifier its bounds (compared, it is not
 * bounded for Linux 6.1, whatever the order). */
INLINE __u64 head_bounded(__u64 len)
{
    _Static_assert(HEAD_MAX - HEAD_MIN < 64, "mask");
    _Static_assert(HEAD_MIN + 63 + ETH_HLEN + 2 * TAG_LEN <= sizeof(((struct scratch *)0)->buf), "fits");
    len = (len - HEAD_MIN) & 63;
    barrier_var(len);
    return len + HEAD_MIN;
}

/* The outer headers, HEAD bytes in s->buf, and the inner Ethernet header behind them, with T's options between them. */
INLINE long store_headers(struct __sk_buff *skb, struct scratch *s, const struct ebpf_tunnel *t, __u64 head)
{
    __u32 opts_len = t->opts_len;
    __u64 inner = inner_len(s);

    if (!opts_len) {
        return bpf_skb_store_bytes(skb, 0, s->buf, head + inner, 0);
    }
    return bpf_skb_store_bytes(skb, 0, s->buf, head, 0) ||
           bpf_skb_store_bytes(skb, head, s->opts, opts_bounded(opts_len), 0) ||
           bpf_skb_store_bytes(skb, head + opts_len, s->buf + head, inner, 0);
}

/* Writes the outer headers and the inner Ethernet header. */
INLINE long write_headers(struct __sk_buff *skb, struct scratch *s, const struct ebpf_tunnel *t, __u32 outer,
                          __u32 mode)
{
    __u32 ip_len = skb->len - ETH_HLEN;
    struct w_eth *eth = (struct w_eth *)(void *)s->buf, *inner;
    __u64 head = head_bounded(ETH_HLEN + outer - t->opts_len);

    if (hop_has_neighbour(&s->hop)) {
        eth->dst = s->hop.dst;
        eth->src = s->hop.src;
    } else {
        /* The neighbour's comes; until then any that is not multicast. */
        __builtin_memset(eth, 0, sizeof(*eth));
        eth->dst.a[0] = eth->src.a[0] = 2;
    }
    if (t->ipv6) {
        eth->type = T_IPV6;
        write_ipv6(s, t, (struct w_ip6 *)(void *)(s->buf + ETH_HLEN), ip_len);
        write_l4(s, t, (struct w_outer_l4 *)(void *)(s->buf + ETH_HLEN + 40), ip_len - 40);
    } else {
        eth->type = T_IPV4;
        write_ipv4(t, (struct w_ip4 *)(void *)(s->buf + ETH_HLEN), ip_len);
        write_l4(s, t, (struct w_outer_l4 *)(void *)(s->buf + ETH_HLEN + 20), ip_len - 20);
    }
    inner = (struct w_eth *)(void *)(s->buf + head);
    inner->dst = s->dst;
    inner->src = s->src;
    if (s->tag.tpid) {
        struct w_vlan *vlan = (struct w_vlan *)(void *)(inner + 1);

        inner->type = s->tag.tpid;
        vlan->tci = s->tag.tci;
        vlan->type = s->tag2.tpid ? s->tag2.tpid : s->eth_type;
        vlan[1] = (struct w_vlan){s->tag2.tci, s->eth_type}; /* or what nobody reads */
    } else {
        inner->type = s->eth_type;
    }
    if (mode != SUM_NONE) {
        __u16 csum = outer_csum(skb, s, t, mode);
        struct w_outer_l4 *l4 = (struct w_outer_l4 *)(void *)(s->buf + ETH_HLEN + (t->ipv6 ? 40 : 20));

        l4->udp.csum = csum;
    }
    return store_headers(skb, s, t, head);
}

/* --- making room --- */

/* Makes the kernel take the frame for IPv4, whatever it is, and puts a tag that the kernel keeps apart into the frame,
 * where it belongs in a tunnel. Taking off a tag that lies in the frame sets skb->protocol from the two bytes behind
 * it: so two tags are pushed (one of them lands in the frame), the bytes forged and put right again. */
INLINE long dress_as_ip(struct __sk_buff *skb, struct scratch *s)
{
    __be16 type = skb->vlan_present ? (__be16)skb->vlan_proto : s->eth_type, ip = T_IPV4;
    __u32 beside = skb->vlan_present;
    long r;

    r = bpf_skb_vlan_push(skb, T_VLAN, 1);
    r = r ? r : bpf_skb_vlan_push(skb, T_VLAN, 1);
    r = r ? r : bpf_skb_store_bytes(skb, ETH_HLEN + 2, &ip, 2, 0);
    r = r ? r : bpf_skb_vlan_pop(skb);
    r = r ? r : bpf_skb_store_bytes(skb, ETH_HLEN - 2, &type, 2, 0);
    r = r ? r : bpf_skb_vlan_pop(skb);
    if (!r && beside) {
        s->eth_type = type;
        tagged(s);
    }
    return r;
}

/* Tags in the frame, behind the Ethernet header. Linux 6.1 (not 6.12) may count those that dress_as_ip() put
 * there as a part of that header, and move them with it when it makes room or takes it: so they are written again. */
INLINE long load_frame_tags(struct __sk_buff *skb, struct scratch *s)
{
    s->n_frame_tags = s->tags > 1 && skb->len < ETH_HLEN + 2 * TAG_LEN ? 1 : s->tags; /* the other one was cut */
    if (!s->n_frame_tags) {
        return 0;
    }
    return s->n_frame_tags > 1 ? bpf_skb_load_bytes(skb, ETH_HLEN, s->frame_tags, 2 * TAG_LEN)
                               : bpf_skb_load_bytes(skb, ETH_HLEN, s->frame_tags, TAG_LEN);
}

/* OFS: of the Ethernet header. */
INLINE long store_frame_tags(struct __sk_buff *skb, struct scratch *s, __u32 ofs)
{
    if (!s->n_frame_tags) {
        return 0;
    }
    return s->n_frame_tags > 1 ? bpf_skb_store_bytes(skb, ofs + ETH_HLEN, s->frame_tags, 2 * TAG_LEN, 0)
                               : bpf_skb_store_bytes(skb, ofs + ETH_HLEN, s->frame_tags, TAG_LEN, 0);
}

/* Takes a plain tag off, or a super-packet's two (has_plain_tags()). */
INLINE long take_plain_tags(struct __sk_buff *skb, struct scratch *s)
{
    s->tag = tag_of(skb);
    if (s->tags) {
        if (pop_vlan(skb, s)) {
            return -1;
        }
        s->tag2 = tag_of(skb); /* which the kernel has taken out of the frame */
        s->eth_type = s->key.eth_type;
    }
    return bpf_skb_vlan_pop(skb);
}

static __attribute__((noinline)) long put_tags_back(struct __sk_buff *skb, struct scratch *s)
{
    struct flow_vlan tag = s->tag, tag2 = s->tag2;

    s->tag.tpid = s->tag2.tpid = 0;
    if (tag2.tpid && push_vlan(skb, s, tag2)) {
        return -1;
    }
    return tag.tpid ? push_vlan(skb, s, tag) : 0;
}

/* As has_plain_tag(); or it is a super-packet, with two tags of which one is in the frame. */
INLINE bool has_plain_tags(struct __sk_buff *skb, const struct scratch *s)
{
    return has_plain_tag(skb, s) || (skb->gso_size && skb->vlan_present && s->tags == 1);
}

/* Takes the outer headers off again that make_room() had put on. The kernel took the packet for the outer IP version,
 * which would lead astray who cuts a super-packet. */
INLINE long undo_encap(struct __sk_buff *skb, struct scratch *s)
{
    struct w_eth eth = {.dst = s->dst, .src = s->src, .type = s->eth_type};
    long r = shrink(skb, s->encap, skb->len - s->encap - ETH_HLEN, 0);

    s->encap = s->base = 0;
    r = r ? r : bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0);
    r = r ? r : store_frame_tags(skb, s, 0);
    if (!r && skb->gso_size && skb->protocol != eth.type) {
        r = tell_protocol(skb);
    }
    return r ? r : put_tags_back(skb, s);
}

INLINE __u64 encap_flags(__u32 inner_len, bool ipv6, bool gre)
{
    return BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2((__u64)inner_len) |
           (ipv6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4) |
           (gre ? BPF_F_ADJ_ROOM_ENCAP_L4_GRE : BPF_F_ADJ_ROOM_ENCAP_L4_UDP);
}

/* Room for OUTER bytes and the inner Ethernet header, unless it is there already. RUN_UP: it cannot be had. The kernel
 * takes note that a packet is encapsulated, refuses to do it twice (EALREADY), and nothing takes the note away: neither
 * undo_encap() nor decap(), if the note was there when the packet came in. A second time the bytes alone must do, which
 * is enough for everything but super-packets. */
INLINE long make_room(struct __sk_buff *skb, struct scratch *s, const struct ebpf_tunnel *t, __u32 outer)
{
    __u32 shape = t->kind | (__u32)t->ipv6 << 8 | outer << 16, room;
    long r = 0;

    if (s->encap && s->shape == shape) {
        return 0;
    }
    if (s->encap) {
        r = undo_encap(skb, s);
    } else {
        s->tag.tpid = s->tag2.tpid = 0;
    }
    if (!r && has_plain_tags(skb, s)) {
        r = take_plain_tags(skb, s);
    } else if (!r && (skb->vlan_present || !is_taken_for_ip(skb))) {
        r = dress_as_ip(skb, s);
    }
    r = r ? r : load_frame_tags(skb, s);
    if (r) {
        return r;
    }
    room = outer + inner_len(s);
    s->again = false;
    r = bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, encap_flags(inner_len(s), t->ipv6, t->kind == EBPF_GRE));
    if (r == -EALREADY_) {
        if (skb->gso_size) {
            return put_tags_back(skb, s) ? -1 : RUN_UP;
        }
        s->again = true;
        r = bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
    }
    r = r ? r : store_frame_tags(skb, s, room);
    if (r) {
        return r;
    }
    s->encap = room;
    s->shape = shape;
    if (skb->gso_size) {
        s->gso_mark = mark_by(s, t->kind != EBPF_GRE);
    }
    return 0;
}

/* Has a copy of the packet do the step NUMBER, a tunnel's, by the program at the detour's device, which runs meanwhile,
 * in this same scratch. */
INLINE void send_aside(struct __sk_buff *skb, struct scratch *s, __u32 number, __u32 device)
{
    __u32 l3 = s->l3, l4 = s->l4, mpls = s->mpls, tags = s->tags, shape = s->shape, mark = s->gso_mark;

    s->aside = number + 1;
    bpf_clone_redirect(skb, device, 0);
    s->l3 = l3;
    s->l4 = l4;
    s->mpls = mpls;
    s->tags = tags;
    s->shape = shape;
    s->gso_mark = mark;
    s->aside = s->base = s->encap = 0;
}

#define RISEN_MAX 1024 /* a power of 2 */
#define FOLLOW_NS (64ull << 20)

/* By the flow's hash: when a packet of its went up, in units of 2^20 ns, and the hash in the upper half. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, RISEN_MAX);
    __type(key, __u32);
    __type(value, __u64);
} risen SEC(".maps");

INLINE __u64 *risen_of(__u32 hash)
{
    __u32 index = hash & (RISEN_MAX - 1);

    return bpf_map_lookup_elem(&risen, &index);
}

/* RUN_UP; what comes of this flow soon must not overtake the packet. */
INLINE int rise(const struct scratch *s)
{
    __u64 *when = risen_of(s->key.dp_hash);

    if (when) {
        *when = (__u64)s->key.dp_hash << 32 | (__u32)(bpf_ktime_get_coarse_ns() >> 20);
    }
    return RUN_UP;
}

/* A packet of this flow may be on its way through user space. Not believed for long: nobody may be there to empty the
 * ring. */
INLINE bool has_risen(__u32 hash)
{
    __u64 *when = risen_of(hash), then = when ? *when : 0;

    return then >> 32 == hash && (__u32)(bpf_ktime_get_coarse_ns() >> 20) - (__u32)then < FOLLOW_NS >> 20 &&
           bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
}

/* Packets of this flow may rise. What was cut stays here, for its checksum is half done (trunc.bpf.h). */
INLINE bool may_follow(const struct scratch *s, const struct ebpf_step *step)
{
    return has_outer_csum(&step->u.tunnel) || (s->key.ip_proto != IP_PROTO_TCP && step->op == EBPF_OP_TUNNEL);
}

/* Sends the frame, or a copy of it, through the tunnel of STEP, which is the list's step NUMBER. RUN_UP: user space
 * must do that. Otherwise, LAST: a TC action that ends the program; if not, the frame may be left encapsulated
 * (s->encap), and what is returned means nothing. */
GLOBAL int tunnel_output(struct __sk_buff *skb, struct scratch *s, const struct ebpf_step *step, __u32 number,
                         bool last)
{
    struct ebpf_config *c = config_get();
    __u32 outer, port, mode, device;
    const struct ebpf_tunnel *t;
    struct w_eth *eth;
    long r;

    if (!s || !step || !c) {
        return TC_ACT_SHOT;
    }
    t = &step->u.tunnel;
    device = last ? 0 : detour_device();
    if (device && (skb->gso_size ? !s->encap : must_ask(s, c, t))) {
        if (s->encap && undo_encap(skb, s)) {
            return drop(DROP_TUNNEL_TX);
        }
        send_aside(skb, s, number, device);
        return RUN_ON;
    }
    outer = outer_len(t);
    port = step->port;
    if (s->encap) {
        s->base = s->encap - (inner_len(s) - ETH_HLEN);
    }
    if (c->rules_by_origin || (skb->mark && c->rules_by_mark)) {
        return RUN_UP;
    }
    if (!nexthop(skb, s, c, t) || (!s->hop.ifindex && !s->hop.up)) {
        count_tx_drop(port, DROP_TUNNEL_NO_ROUTE);
        return TC_ACT_SHOT;
    }
    if (s->hop.up || (s->hop.mtu && outer_ip_len(skb, s, outer) > s->hop.mtu)) {
        return RUN_UP;
    }
    /* Two tags are not for copies, which are taken out again, where there is no detour. */
    if (skb->gso_size && !s->encap &&
        (!s->l4 || (s->tags && !last) || ((s->tags || skb->vlan_present) && !has_plain_tags(skb, s)))) {
        return rise(s);
    }
    mode = sum_mode(skb, s, t);
    if (mode == SUM_SLOW) {
        return rise(s);
    }
    if (s->tags + skb->vlan_present > 2 || (may_follow(s, step) && has_risen(s->key.dp_hash))) {
        return RUN_UP;
    }
    if (!last && (!hop_has_neighbour(&s->hop) || (!s->encap && skb->len < ETH_HLEN + s->tags * TAG_LEN + L3_MIN))) {
        return RUN_UP; /* a copy has no other way to its neighbour; a frame that small could not be had back */
    }
    s->base = 0;
    if (!s->encap) {
        eth = at(skb, 0, sizeof(*eth));
        if (!eth) {
            return drop(DROP_TUNNEL_TX);
        }
        s->dst = eth->dst;
        s->src = eth->src;
        s->eth_type = eth->type;
    }
    r = make_room(skb, s, t, outer);
    if (r == RUN_UP) {
        return rise(s);
    }
    if (r || write_headers(skb, s, t, outer, mode) ||
        (s->again && skb->protocol != (t->ipv6 ? T_IPV6 : T_IPV4) && tell_protocol(skb))) {
        count_tx_drop(port, DROP_TUNNEL_TX);
        return TC_ACT_SHOT;
    }
    count_tx(port, skb->len - outer - ETH_HLEN); /* the frame as its flow has left it */
    if (!last) {
        return bpf_clone_redirect(skb, s->hop.ifindex, 0);
    }
    s->sum_mode = mode;
    /* Now and then by the kernel's own way, which keeps the neighbour entry in use, and so alive. */
    return s->hop.fresh || !hop_has_neighbour(&s->hop) ? bpf_redirect_neigh(s->hop.ifindex, NULL, 0, 0)
                                                       : bpf_redirect(s->hop.ifindex, 0);
}

#endif
