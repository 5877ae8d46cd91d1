/* SPDX-License-Identifier: Apache-2.0 */
#include "packet/edit.h"

#include <endian.h>
#include <linux/virtio_net.h>

#include "packet/checksum.h"
#include "packet/crc32c.h"
#include "packet/headers.h"

/* dst = (dst & ~mask) | (key & mask) on N bytes. */
static void set_masked(void *dst, const void *key, const void *mask, size_t n)
{
    uint8_t *d = dst;
    const uint8_t *k = key, *m = mask;

    for (size_t i = 0; i < n; i++) {
        d[i] = (uint8_t)((d[i] & ~m[i]) | (k[i] & m[i]));
    }
}

static __be16 l2_type(const struct packet *p, uint16_t ofs)
{
    __be16 type;

    memcpy(&type, p->data + ofs - 2, 2);
    return type;
}

static bool is_l3(const struct packet *p, uint16_t type)
{
    return p->l3_ofs && (l2_type(p, p->l3_ofs) == htobe16(type));
}

/* The device completes this L4 checksum: the field holds the pseudo-header's sum. */
static bool is_partial(const struct packet *p)
{
    return p->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && p->offload.csum_start == p->l4_ofs;
}

/* The L4 protocol at l4_ofs, or -1. *RET_FRAGMENT: it is the first of a packet's fragments. */
static int l4_find(const struct packet *p, bool *ret_fragment)
{
    const uint8_t *l3 = p->data + p->l3_ofs;
    size_t ofs = sizeof(struct ipv6_hdr);
    uint8_t next;

    *ret_fragment = false;
    if (!p->l4_ofs) {
        return -1;
    }
    if (is_l3(p, ETH_TYPE_IPV4)) {
        const struct ipv4_hdr *ip = (const struct ipv4_hdr *)(const void *)l3;

        *ret_fragment = ip->frag_off & htobe16(IPV4_MF);
        return ip->proto;
    }
    if (!is_l3(p, ETH_TYPE_IPV6)) {
        return -1;
    }
    /* The extraction walked these headers already and found them whole. */
    next = ((const struct ipv6_hdr *)(const void *)l3)->next;
    while (p->l3_ofs + ofs < p->l4_ofs) {
        const struct ipv6_ext_hdr *ext = (const struct ipv6_ext_hdr *)(const void *)(l3 + ofs);

        ofs += next == IP_PROTO_FRAGMENT ? 8u : next == IP_PROTO_AH ? ext->len * 4u + 8u : ext->len * 8u + 8u;
        *ret_fragment |= next == IP_PROTO_FRAGMENT &&
                         ((const struct ipv6_frag_hdr *)(const void *)ext)->off & htobe16(IPV6_FRAG_MORE);
        next = ext->next;
    }
    return next;
}

static int l4_proto(const struct packet *p)
{
    bool fragment;

    return l4_find(p, &fragment);
}

static bool is_fragment(const struct packet *p)
{
    bool fragment;

    l4_find(p, &fragment);
    return fragment;
}

/* Where the IP packet ends, behind which there may be padding. A super-packet beyond 64 KiB has a length of zero and
 * ends with the frame, as the extraction takes it. */
static size_t l3_end(const struct packet *p)
{
    const void *l3 = p->data + p->l3_ofs;
    bool v4 = is_l3(p, ETH_TYPE_IPV4);
    size_t len = v4 ? be16toh(((const struct ipv4_hdr *)l3)->tot_len) : be16toh(((const struct ipv6_hdr *)l3)->plen);

    return len ? MIN(p->len, p->l3_ofs + len + (v4 ? 0 : sizeof(struct ipv6_hdr))) : p->len;
}

static uint8_t *csum_field(const struct packet *p, int proto)
{
    switch (proto) {
    case IP_PROTO_TCP:
        return p->data + p->l4_ofs + offsetof(struct tcp_hdr, csum);
    case IP_PROTO_UDP:
        return p->data + p->l4_ofs + offsetof(struct udp_hdr, csum);
    case IP_PROTO_ICMP:
    case IP_PROTO_ICMPV6:
        return p->data + p->l4_ofs + offsetof(struct icmp_hdr, csum);
    default:
        return NULL;
    }
}

/* Mends the L4 checksum after N bytes that it covers changed. PSEUDO: they belong to the pseudo-header. A partial
 * checksum covers only that yet. UDP's zero means no checksum, and must not come out by chance. */
static void mend_l4(struct packet *p, int proto, const void *old, const void *new, size_t n, bool pseudo)
{
    uint8_t *field = csum_field(p, proto);
    bool partial = is_partial(p);
    __be16 csum;

    if (!field || (partial && !pseudo) || (pseudo && proto == IP_PROTO_ICMP)) {
        return;
    }
    memcpy(&csum, field, 2);
    if (proto == IP_PROTO_UDP && !csum && !partial) {
        return;
    }
    csum = csum_update(csum, old, new, n, partial);
    if (proto == IP_PROTO_UDP && !csum && !partial) {
        csum = (__be16)0xffff;
    }
    memcpy(field, &csum, 2);
}

int packet_set_eth(struct packet *p, const struct flow_key *key, const struct flow_key *mask)
{
    if (p->len < sizeof(struct eth_hdr)) {
        return -EINVAL;
    }
    set_masked(p->data, &key->eth_dst, &mask->eth_dst, 6);
    set_masked(p->data + 6, &key->eth_src, &mask->eth_src, 6);
    return 0;
}

static bool has_vlan(const struct packet *p)
{
    __be16 type;

    if (p->len < sizeof(struct eth_hdr) + sizeof(struct vlan_hdr)) {
        return false;
    }
    type = l2_type(p, sizeof(struct eth_hdr));
    return type == htobe16(ETH_TYPE_VLAN) || type == htobe16(ETH_TYPE_SVLAN);
}

int packet_set_vlan(struct packet *p, const struct flow_key *key, const struct flow_key *mask)
{
    /* The key's bit 12 says that there is a tag; on the wire it is the CFI, which stays as it is. */
    __be16 tci_mask = mask->vlan[0].tci & htobe16((uint16_t)~FLOW_VLAN_PRESENT);

    if (!has_vlan(p)) {
        return -EINVAL;
    }
    set_masked(p->data + 14, &key->vlan[0].tci, &tci_mask, 2);
    return 0;
}

int packet_set_mpls(struct packet *p, const struct flow_key *key, const struct flow_key *mask)
{
    if (!p->l2_5_ofs || p->len < p->l2_5_ofs + sizeof(struct mpls_hdr)) {
        return -EINVAL;
    }
    set_masked(p->data + p->l2_5_ofs, &key->mpls_lse[0], &mask->mpls_lse[0], 4);
    return 0;
}

int packet_set_ipv4(struct packet *p, const struct flow_key *key, const struct flow_key *mask)
{
    struct ipv4_hdr *ip, old;

    if (!is_l3(p, ETH_TYPE_IPV4)) {
        return -EINVAL;
    }
    ip = (struct ipv4_hdr *)(void *)(p->data + p->l3_ofs);
    old = *ip;
    set_masked(p->data + p->l3_ofs + offsetof(struct ipv4_hdr, src), &key->ip_src.be32[3], &mask->ip_src.be32[3], 4);
    set_masked(p->data + p->l3_ofs + offsetof(struct ipv4_hdr, dst), &key->ip_dst.be32[3], &mask->ip_dst.be32[3], 4);
    set_masked(&ip->tos, &key->ip_tos, &mask->ip_tos, 1);
    set_masked(&ip->ttl, &key->ip_ttl, &mask->ip_ttl, 1);
    if (!memcmp(&old, ip, sizeof(old))) {
        return 0;
    }
    /* The field itself is equal in OLD and *ip yet, so it falls out of the difference. */
    ip->csum = csum_update(old.csum, &old, ip, sizeof(old), false);
    mend_l4(p, l4_proto(p), (uint8_t *)&old + offsetof(struct ipv4_hdr, src),
            p->data + p->l3_ofs + offsetof(struct ipv4_hdr, src), 8, true);
    return 0;
}

int packet_set_ipv6(struct packet *p, const struct flow_key *key, const struct flow_key *mask)
{
    struct ipv6_hdr *ip;
    struct ip_addr old[2];
    uint8_t *addrs;
    __be32 word, word_mask;

    if (!is_l3(p, ETH_TYPE_IPV6)) {
        return -EINVAL;
    }
    ip = (struct ipv6_hdr *)(void *)(p->data + p->l3_ofs);
    word = htobe32((uint32_t)key->ip_tos << 20) | key->ipv6_label;
    word_mask = htobe32((uint32_t)mask->ip_tos << 20) | (mask->ipv6_label & htobe32(0xfffff));
    set_masked(ip, &word, &word_mask, 4);
    set_masked(&ip->hop_limit, &key->ip_ttl, &mask->ip_ttl, 1);
    addrs = p->data + p->l3_ofs + offsetof(struct ipv6_hdr, src);
    memcpy(old, addrs, sizeof(old));
    set_masked(addrs, &key->ip_src, &mask->ip_src, 16);
    set_masked(addrs + 16, &key->ip_dst, &mask->ip_dst, 16);
    if (memcmp(old, addrs, sizeof(old))) {
        mend_l4(p, l4_proto(p), old, addrs, sizeof(old), true);
    }
    return 0;
}

static int set_icmp(struct packet *p, int proto, const struct flow_key *key, const struct flow_key *mask)
{
    uint8_t *icmp = p->data + p->l4_ofs, old[2];
    uint8_t value[2] = {(uint8_t)be16toh(key->tp_src), (uint8_t)be16toh(key->tp_dst)};
    uint8_t bits[2] = {(uint8_t)be16toh(mask->tp_src), (uint8_t)be16toh(mask->tp_dst)};

    memcpy(old, icmp, 2);
    set_masked(icmp, value, bits, 2);
    mend_l4(p, proto, old, icmp, 2, false);
    return 0;
}

/* Mends SCTP's CRC after its ports, which were OLD, changed. What a fragment flips of the whole's CRC its length does
 * not tell: the receiver then drops what it cannot check. */
static void mend_sctp(struct packet *p, const uint8_t old[4])
{
    struct sctp_hdr *sctp = (struct sctp_hdr *)(void *)(p->data + p->l4_ofs);
    uint32_t before, after;

    if (is_partial(p) || is_fragment(p)) {
        return;
    }
    memcpy(&before, old, 4);
    memcpy(&after, sctp, 4);
    sctp->csum ^= htole32(crc32c_flipped(le32toh(before ^ after), (uint32_t)(l3_end(p) - p->l4_ofs)));
}

int packet_set_tp(struct packet *p, const struct flow_key *key, const struct flow_key *mask)
{
    uint8_t *l4 = p->data + p->l4_ofs, old[4];
    int proto = l4_proto(p);

    if (proto == IP_PROTO_ICMP || proto == IP_PROTO_ICMPV6) {
        return set_icmp(p, proto, key, mask);
    }
    if (proto != IP_PROTO_TCP && proto != IP_PROTO_UDP && proto != IP_PROTO_SCTP) {
        return -EINVAL;
    }
    memcpy(old, l4, 4);
    set_masked(l4, &key->tp_src, &mask->tp_src, 2);
    set_masked(l4 + 2, &key->tp_dst, &mask->tp_dst, 2);
    if (!memcmp(old, l4, 4)) {
        return 0;
    }
    if (proto == IP_PROTO_SCTP) {
        mend_sctp(p, old);
        return 0;
    }
    mend_l4(p, proto, old, l4, 4, false);
    return 0;
}

int packet_set_arp(struct packet *p, const struct flow_key *key, const struct flow_key *mask)
{
    struct arp_hdr *arp;
    uint8_t *base;

    if (!is_l3(p, ETH_TYPE_ARP) && !is_l3(p, ETH_TYPE_RARP)) {
        return -EINVAL;
    }
    base = p->data + p->l3_ofs;
    arp = (struct arp_hdr *)(void *)base;
    if (mask->ip_proto) {
        arp->op = htobe16((be16toh(arp->op) & ~(unsigned int)mask->ip_proto & 0xff) | (key->ip_proto & mask->ip_proto));
    }
    set_masked(base + offsetof(struct arp_hdr, sha), &key->arp_sha, &mask->arp_sha, 6);
    set_masked(base + offsetof(struct arp_hdr, tha), &key->arp_tha, &mask->arp_tha, 6);
    set_masked(base + offsetof(struct arp_hdr, spa), &key->ip_src.be32[3], &mask->ip_src.be32[3], 4);
    set_masked(base + offsetof(struct arp_hdr, tpa), &key->ip_dst.be32[3], &mask->ip_dst.be32[3], 4);
    return 0;
}

/* Changes N (even) bytes at FIELD that an ICMPv6 checksum covers. */
static void set_nd_field(struct packet *p, uint8_t *field, const void *key, const void *mask, size_t n)
{
    uint8_t old[16];

    memcpy(old, field, n);
    set_masked(field, key, mask, n);
    mend_l4(p, IP_PROTO_ICMPV6, old, field, n, false);
}

int packet_set_nd(struct packet *p, const struct flow_key *key, const struct flow_key *mask)
{
    const struct icmp_hdr *icmp = (const struct icmp_hdr *)(const void *)(p->data + p->l4_ofs);
    size_t end, ofs;

    if (l4_proto(p) != IP_PROTO_ICMPV6 || (icmp->type != ND_SOLICIT && icmp->type != ND_ADVERT)) {
        return -EINVAL;
    }
    end = l3_end(p);
    ofs = p->l4_ofs + sizeof(struct nd_hdr);
    if (ofs > end) {
        return -EINVAL;
    }
    set_nd_field(p, p->data + p->l4_ofs + offsetof(struct nd_hdr, target), &key->nd_target, &mask->nd_target, 16);
    while (ofs + sizeof(struct nd_opt) <= end) {
        uint8_t *opt = p->data + ofs;

        if (!opt[1] || ofs + opt[1] * 8u > end) {
            break;
        }
        if (opt[1] == 1 && opt[0] == ND_OPT_SLL) {
            set_nd_field(p, opt + 2, &key->arp_sha, &mask->arp_sha, 6);
        } else if (opt[1] == 1 && opt[0] == ND_OPT_TLL) {
            set_nd_field(p, opt + 2, &key->arp_tha, &mask->arp_tha, 6);
        }
        ofs += opt[1] * 8u;
    }
    return 0;
}

int packet_push_vlan(struct packet *p, struct flow_vlan vlan)
{
    __be16 tci = vlan.tci & htobe16((uint16_t)~FLOW_VLAN_PRESENT);
    uint8_t *data;

    if (p->len < sizeof(struct eth_hdr)) {
        return -EINVAL;
    }
    data = packet_push(p, sizeof(struct vlan_hdr));
    memmove(data, data + sizeof(struct vlan_hdr), 12);
    memcpy(data + 12, &vlan.tpid, 2);
    memcpy(data + 14, &tci, 2);
    return 0;
}

int packet_pop_vlan(struct packet *p)
{
    if (!has_vlan(p)) {
        return -EINVAL;
    }
    memmove(p->data + sizeof(struct vlan_hdr), p->data, 12);
    packet_pull(p, sizeof(struct vlan_hdr));
    return 0;
}

/* Where the L2 header ends: behind the VLAN tags. */
static size_t l2_len(const struct packet *p)
{
    size_t ofs = sizeof(struct eth_hdr);

    for (int i = 0; i < 2 && ofs + sizeof(struct vlan_hdr) <= p->len; i++) {
        __be16 type = l2_type(p, (uint16_t)ofs);

        if (type != htobe16(ETH_TYPE_VLAN) && type != htobe16(ETH_TYPE_SVLAN)) {
            break;
        }
        ofs += sizeof(struct vlan_hdr);
    }
    return ofs;
}

int packet_push_mpls(struct packet *p, __be32 lse, __be16 eth_type)
{
    size_t ofs;
    uint8_t *data;

    if (p->len < sizeof(struct eth_hdr)) {
        return -EINVAL;
    }
    ofs = l2_len(p);
    data = packet_push(p, sizeof(lse));
    memmove(data, data + sizeof(lse), ofs);
    memcpy(data + ofs - 2, &eth_type, 2);
    memcpy(data + ofs, &lse, sizeof(lse));
    p->l2_5_ofs = (uint16_t)ofs;
    p->l3_ofs = p->l4_ofs = 0; /* below a label nobody says what it is */
    return 0;
}

int packet_pop_mpls(struct packet *p, __be16 eth_type)
{
    size_t ofs = p->l2_5_ofs;

    if (!ofs || p->len < ofs + sizeof(struct mpls_hdr)) {
        return -EINVAL;
    }
    memmove(p->data + sizeof(struct mpls_hdr), p->data, ofs);
    packet_pull(p, sizeof(struct mpls_hdr));
    memcpy(p->data + ofs - 2, &eth_type, 2);
    if (eth_type == htobe16(ETH_TYPE_MPLS) || eth_type == htobe16(ETH_TYPE_MPLS_MCAST)) {
        p->l2_5_ofs = (uint16_t)ofs; /* the next label moved up to where this one was */
    } else {
        p->l2_5_ofs = 0;
    }
    return 0;
}
