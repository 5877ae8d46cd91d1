/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_SET_BPF_H
#define WARREN_DATAPATH_EBPF_SET_BPF_H
/*
 * Changes of header fields, with every checksum they touch: by the kernel's helpers, which know the state that the
 * checksum is in (whole, left to the device, summed by the receiving device). All return 0, or non-zero when the packet
 * has no such header.
 *
 * Bytes are written by bpf_skb_store_bytes(), never through packet pointers: a program that writes through pointers
 * makes the kernel copy the headers of every cloned packet before it starts, and TCP's are clones.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/csum.bpf.h"
#include "datapath/ebpf/parse.bpf.h"
#include "packet/crc32c.h"

#define L4_EDITED 18 /* bytes of an L4 header that edits can reach, but for ND's */

INLINE long set_eth(struct __sk_buff *skb, const struct ebpf_set_eth *set)
{
    __u8 have[12];
    const __u8 *v = set->dst.a, *m = set->m_dst.a;

    if (bpf_skb_load_bytes(skb, 0, have, sizeof(have))) {
        return -1;
    }
#pragma unroll
    for (int i = 0; i < 12; i++) {
        have[i] = (have[i] & ~m[i]) | (v[i] & m[i]);
    }
    return bpf_skb_store_bytes(skb, 0, have, sizeof(have), 0);
}

/* Where the L4 checksum is and how the helper is to treat it; 0: there is none that depends on addresses and ports. */
INLINE __u32 l4_csum(const struct scratch *s, __u64 *flags)
{
    *flags = 0;
    if (!s->l4) {
        return 0;
    }
    switch (s->key.ip_proto) {
    case IP_PROTO_TCP:
        return s->l4 + 16;
    case IP_PROTO_UDP:
        *flags = BPF_F_MARK_MANGLED_0;
        return s->l4 + 6;
    case IP_PROTO_ICMPV6:
        return s->l4 + 2;
    default:
        return 0;
    }
}

/* Where the IP packet ends, behind which there may be padding. */
INLINE long l3_end(struct __sk_buff *skb, const struct scratch *s, __u32 *end)
{
    bool v4 = s->key.eth_type == T_IPV4;
    __be16 len;

    if (bpf_skb_load_bytes(skb, s->l3 + (v4 ? 2 : 4), &len, sizeof(len))) {
        return -1;
    }
    *end = s->l3 + bpf_ntohs(len) + (v4 ? 0 : 40);
    *end = len && *end < skb->len ? *end : skb->len;
    return 0;
}

INLINE long set_ipv4_addr(struct __sk_buff *skb, struct scratch *s, __u32 ofs, __be32 v, __be32 m)
{
    __be32 old, new;
    __u64 flags;
    __u32 csum = l4_csum(s, &flags);

    if (!m) {
        return 0;
    }
    if (bpf_skb_load_bytes(skb, s->l3 + ofs, &old, 4)) {
        return -1;
    }
    new = (old & ~m) | (v & m);
    if (csum && bpf_l4_csum_replace(skb, csum, old, new, flags | BPF_F_PSEUDO_HDR | 4)) {
        return -1;
    }
    if (bpf_l3_csum_replace(skb, s->l3 + 10, old, new, 4)) {
        return -1;
    }
    return bpf_skb_store_bytes(skb, s->l3 + ofs, &new, 4, 0);
}

INLINE long set_ipv4_word(struct __sk_buff *skb, struct scratch *s, __u32 ofs, __u32 index, __u8 v, __u8 m)
{
    union {
        __u8 b[2];
        __be16 w;
    } old, new;

    if (!m) {
        return 0;
    }
    if (bpf_skb_load_bytes(skb, s->l3 + ofs, &old, 2)) {
        return -1;
    }
    new = old;
    new.b[index] = (old.b[index] & ~m) | (v & m);
    if (bpf_l3_csum_replace(skb, s->l3 + 10, old.w, new.w, 2)) {
        return -1;
    }
    return bpf_skb_store_bytes(skb, s->l3 + ofs, &new, 2, 0);
}

INLINE long set_ipv4(struct __sk_buff *skb, struct scratch *s, const struct ebpf_set_ipv4 *set)
{
    if (!s->l3 || s->key.eth_type != T_IPV4) {
        return -1;
    }
    return set_ipv4_addr(skb, s, 12, set->src, set->m_src) || set_ipv4_addr(skb, s, 16, set->dst, set->m_dst) ||
           set_ipv4_word(skb, s, 0, 1, set->tos, set->m_tos) || set_ipv4_word(skb, s, 8, 0, set->ttl, set->m_ttl);
}

INLINE long set_ipv6_addr(struct __sk_buff *skb, struct scratch *s, __u32 ofs, const struct ebpf_set_addr6 *set)
{
    struct ip_addr old, new;
    __u64 flags;
    __u32 csum = l4_csum(s, &flags);
    __s64 diff;

    if (!s->l3 || s->key.eth_type != T_IPV6 || bpf_skb_load_bytes(skb, s->l3 + ofs, &old, sizeof(old))) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        new.u64[i] = (old.u64[i] & ~set->m.u64[i]) | (set->v.u64[i] & set->m.u64[i]);
    }
    if (csum) {
        diff = bpf_csum_diff(old.be32, sizeof(old), new.be32, sizeof(new), 0);
        if (bpf_l4_csum_replace(skb, csum, 0, diff, flags | BPF_F_PSEUDO_HDR)) {
            return -1;
        }
    }
    return bpf_skb_store_bytes(skb, s->l3 + ofs, &new, sizeof(new), BPF_F_RECOMPUTE_CSUM);
}

INLINE long set_ipv6(struct __sk_buff *skb, struct scratch *s, const struct ebpf_set_ipv6 *set)
{
    __be32 word;
    __u8 ttl;

    if (!s->l3 || s->key.eth_type != T_IPV6 || bpf_skb_load_bytes(skb, s->l3, &word, 4) ||
        bpf_skb_load_bytes(skb, s->l3 + 7, &ttl, 1)) {
        return -1;
    }
    word = (word & ~set->m_word) | (set->word & set->m_word);
    ttl = (ttl & ~set->m_ttl) | (set->ttl & set->m_ttl);
    return bpf_skb_store_bytes(skb, s->l3, &word, 4, BPF_F_RECOMPUTE_CSUM) ||
           bpf_skb_store_bytes(skb, s->l3 + 7, &ttl, 1, BPF_F_RECOMPUTE_CSUM);
}

INLINE long set_port(struct __sk_buff *skb, struct scratch *s, __u32 ofs, __be16 v, __be16 m)
{
    __be16 old, new;
    __u64 flags;
    __u32 csum = l4_csum(s, &flags);

    if (!m) {
        return 0;
    }
    if (bpf_skb_load_bytes(skb, s->l4 + ofs, &old, 2)) {
        return -1;
    }
    new = (old & ~m) | (v & m);
    if (csum && bpf_l4_csum_replace(skb, csum, old, new, flags | 2)) {
        return -1;
    }
    return bpf_skb_store_bytes(skb, s->l4 + ofs, &new, 2, 0);
}

/* ICMP: type and code are the two bytes that the checksum follows. */
INLINE long set_icmp(struct __sk_buff *skb, struct scratch *s, const struct ebpf_set_tp *set)
{
    union {
        __u8 b[2];
        __be16 w;
    } old, new;

    if (bpf_skb_load_bytes(skb, s->l4, &old, 2)) {
        return -1;
    }
    new.b[0] = (old.b[0] & ~bpf_ntohs(set->m_src)) | bpf_ntohs(set->src & set->m_src);
    new.b[1] = (old.b[1] & ~bpf_ntohs(set->m_dst)) | bpf_ntohs(set->dst & set->m_dst);
    return bpf_l4_csum_replace(skb, s->l4 + 2, old.w, new.w, 2) || bpf_skb_store_bytes(skb, s->l4, &new, 2, 0);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LE32(x) ((__u32)(x))
#else
#define LE32(x) __builtin_bswap32(x)
#endif

/* What crc32c_flipped() does, for the verifier to look at once. */
GLOBAL int sctp_crc_flip(__u32 flipped, __u32 n)
{
    return crc32c_flipped(flipped, n);
}

/* SCTP's ports with its CRC, which is left alone where the device makes it, and of a fragment, whose length does not
 * tell what flips of the whole's. */
static __attribute__((noinline)) long set_sctp(struct __sk_buff *skb, struct scratch *s, const struct ebpf_set_tp *set)
{
    __u16 old[2], new[2];
    __u32 crc, end, before, after;
    int partial = is_partial(skb);

    if (partial < 0 || (skb->gso_size && !partial) || bpf_skb_load_bytes(skb, s->l4, old, sizeof(old)) ||
        bpf_skb_load_bytes(skb, s->l4 + 8, &crc, sizeof(crc)) || l3_end(skb, s, &end)) {
        return -1;
    }
    new[0] = (old[0] & ~set->m_src) | (set->src & set->m_src);
    new[1] = (old[1] & ~set->m_dst) | (set->dst & set->m_dst);
    if (!partial && !s->key.ip_frag) {
        __builtin_memcpy(&before, old, sizeof(before));
        __builtin_memcpy(&after, new, sizeof(after));
        crc ^= LE32(sctp_crc_flip(LE32(before ^ after), end - s->l4));
    }
    return bpf_skb_store_bytes(skb, s->l4, new, sizeof(new), BPF_F_RECOMPUTE_CSUM) ||
           bpf_skb_store_bytes(skb, s->l4 + 8, &crc, sizeof(crc), BPF_F_RECOMPUTE_CSUM);
}

INLINE long set_tp(struct __sk_buff *skb, struct scratch *s, const struct ebpf_set_tp *set)
{
    if (!s->l4) {
        return -1;
    }
    if (s->key.ip_proto == IP_PROTO_ICMP || s->key.ip_proto == IP_PROTO_ICMPV6) {
        return set_icmp(skb, s, set);
    }
    if (s->key.ip_proto == IP_PROTO_SCTP) {
        return set_sctp(skb, s, set);
    }
    return set_port(skb, s, 0, set->src, set->m_src) || set_port(skb, s, 2, set->dst, set->m_dst);
}

INLINE long set_arp(struct __sk_buff *skb, struct scratch *s, const struct ebpf_set_arp *set)
{
    struct w_arp arp;

    if (!s->l3 || (s->key.eth_type != T_ARP && s->key.eth_type != T_RARP) ||
        bpf_skb_load_bytes(skb, s->l3, &arp, sizeof(arp))) {
        return -1;
    }
    if (set->m_op) {
        arp.op = bpf_htons(set->op);
    }
    arp.spa = (arp.spa & ~set->m_spa) | (set->spa & set->m_spa);
    arp.tpa = (arp.tpa & ~set->m_tpa) | (set->tpa & set->m_tpa);
#pragma unroll
    for (int i = 0; i < 6; i++) {
        arp.sha.a[i] = (arp.sha.a[i] & ~set->m_sha.a[i]) | (set->sha.a[i] & set->m_sha.a[i]);
        arp.tha.a[i] = (arp.tha.a[i] & ~set->m_tha.a[i]) | (set->tha.a[i] & set->m_tha.a[i]);
    }
    return bpf_skb_store_bytes(skb, s->l3, &arp, sizeof(arp), BPF_F_RECOMPUTE_CSUM);
}

/* --- neighbour discovery --- */

#define ND_OPTS_WALKED 64

/* Changes N bytes (of OLD, a multiple of 4) at OFS to NEW, and the ICMPv6 checksum with them. */
INLINE long set_in_icmp(struct __sk_buff *skb, struct scratch *s, __u32 ofs, void *old, void *new, __u32 n)
{
    __s64 diff = bpf_csum_diff(old, n, new, n, 0);

    return bpf_l4_csum_replace(skb, s->l4 + 2, 0, diff, 0) || bpf_skb_store_bytes(skb, ofs, new, n, 0);
}

struct nd_walk {
    struct __sk_buff *skb;
    struct scratch *s;
    const struct ebpf_set_nd *set;
    __u32 ofs, end;
    long error;
};

static long set_nd_opt(__u32 i, void *walk_)
{
    struct nd_walk *w = walk_;
    struct w_nd_opt old, new;
    const struct eth_addr *v, *m;

    if (w->ofs + sizeof(old) > w->end || bpf_skb_load_bytes(w->skb, w->ofs, &old, sizeof(old)) || !old.len ||
        w->ofs + old.len * 8u > w->end) {
        return 1;
    }
    if (old.len == 1 && (old.type == 1 || old.type == 2)) {
        new = old;
        v = old.type == 1 ? &w->set->sll : &w->set->tll;
        m = old.type == 1 ? &w->set->m_sll : &w->set->m_tll;
#pragma unroll
        for (int j = 0; j < 6; j++) {
            new.addr.a[j] = (old.addr.a[j] & ~m->a[j]) | (v->a[j] & m->a[j]);
        }
        w->error = set_in_icmp(w->skb, w->s, w->ofs, &old, &new, sizeof(old));
    }
    w->ofs += old.len * 8u;
    return w->error != 0;
}

INLINE long set_nd(struct __sk_buff *skb, struct scratch *s, const struct ebpf_set_nd *set)
{
    struct nd_walk w = {.skb = skb, .s = s, .set = set, .ofs = s->l4 + 24};
    struct ip_addr old, new;
    __u8 type;

    if (!s->l4 || s->key.ip_proto != IP_PROTO_ICMPV6 || bpf_skb_load_bytes(skb, s->l4, &type, 1) ||
        (type != 135 && type != 136) || l3_end(skb, s, &w.end) || w.ofs > w.end ||
        bpf_skb_load_bytes(skb, s->l4 + 8, &old, sizeof(old))) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        new.u64[i] = (old.u64[i] & ~set->m_target.u64[i]) | (set->target.u64[i] & set->m_target.u64[i]);
    }
    if (set_in_icmp(skb, s, s->l4 + 8, &old, &new, sizeof(old))) {
        return -1;
    }
    bpf_loop(ND_OPTS_WALKED, set_nd_opt, &w, 0);
    return w.error;
}

/* --- VLAN --- */

/* The tag that is beside the frame. */
INLINE struct flow_vlan tag_of(struct __sk_buff *skb)
{
    return (struct flow_vlan){.tpid = (__be16)skb->vlan_proto, .tci = bpf_htons(skb->vlan_tci)};
}

/* The outermost tag is beside the frame. Where dress_as_ip() left it inside, the kernel does not see it, and is told.
 */
INLINE long tag_beside(struct __sk_buff *skb, struct scratch *s)
{
    if (skb->vlan_present) {
        return 0;
    }
    if (!s->tags || tell_protocol(skb)) {
        return -1;
    }
    untagged(s);
    return 0;
}

INLINE long push_vlan(struct __sk_buff *skb, struct scratch *s, struct flow_vlan vlan)
{
    if (s->tags && tag_beside(skb, s)) {
        return -1;
    }
    /* What the kernel kept apart goes into the frame. */
    if (skb->vlan_present) {
        tagged(s);
    }
    return bpf_skb_vlan_push(skb, vlan.tpid, bpf_ntohs(vlan.tci));
}

INLINE long pop_vlan(struct __sk_buff *skb, struct scratch *s)
{
    if (tag_beside(skb, s)) {
        return -1;
    }
    untagged(s); /* the next tag, which the kernel takes out of the frame now */
    return bpf_skb_vlan_pop(skb);
}

INLINE long set_vlan(struct __sk_buff *skb, struct scratch *s, const struct ebpf_set_u32 *set)
{
    struct flow_vlan vlan;

    if (tag_beside(skb, s)) {
        return -1;
    }
    vlan = (struct flow_vlan){.tpid = (__be16)skb->vlan_proto, .tci = bpf_htons((skb->vlan_tci & ~set->m) | set->v)};
    return pop_vlan(skb, s) || push_vlan(skb, s, vlan);
}

#endif
