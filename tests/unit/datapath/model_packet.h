/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_MODEL_PACKET_H
#define WARREN_TESTS_MODEL_PACKET_H
/*
 * Random packets for model tests: Ethernet with tags, LLC/SNAP and MPLS labels; IPv4 with options, IPv6 with extension
 * headers, fragments; TCP, UDP, SCTP, ICMP, neighbour discovery; checksums that are right, wrong, or left to the
 * device; super-packets of TCP and UDP; shorter than the headers say, and longer (padding). One in four is one of
 * random_frames.h, which are broken in more ways.
 */
#include <linux/virtio_net.h>

#include "base/util.h"
#include "packet/packet.h"
#include "random_frames.h"

#define MODEL_FRAME_MAX 9000

struct model_packet {
    struct packet *p; /* with offload state and offsets */
    struct virtio_net_hdr h;
    bool sums_are_right; /* or will be, when the device is done */
};

struct making {
    uint8_t b[MODEL_FRAME_MAX];
    size_t n, l3, l4, l4_end, csum; /* offsets */
    bool v6, fragment, later;
    uint8_t proto;
};

static void *make_room(struct making *m, size_t n)
{
    m->n += n;
    assert_in_range(m->n, 1, sizeof(m->b));
    return random_bytes(m->b + m->n - n, n);
}

static void make_be16(struct making *m, uint16_t v)
{
    __be16 be = htobe16(v);

    memcpy(make_room(m, 2), &be, 2);
}

static void make_ipv4(struct making *m)
{
    size_t options = rnd(4) ? 0 : rnd(11) * 4;
    struct ipv4_hdr *ip = make_room(m, sizeof(*ip));
    uint16_t frag = rnd(6) ? (uint16_t)(rnd(2) * IPV4_DF) : (uint16_t)(rnd(2) ? IPV4_MF : rnd(0x3fff));

    ip->ver_ihl = (uint8_t)(0x45 + options / 4);
    ip->frag_off = htobe16(frag);
    ip->proto = m->proto;
    ip->csum = 0;
    memset(make_room(m, options), 1, options); /* "no operation" */
    m->fragment = frag & (IPV4_MF | IPV4_OFFSET);
    m->later = frag & IPV4_OFFSET;
}

static void make_ipv6(struct making *m, bool super)
{
    static const uint8_t exts[] = {IP_PROTO_HOPOPTS, IP_PROTO_ROUTING, IP_PROTO_FRAGMENT,
                                   IP_PROTO_AH,      IP_PROTO_DSTOPTS, IP_PROTO_MOBILITY};
    struct ipv6_hdr *ip = make_room(m, sizeof(*ip));
    uint8_t *next = &ip->next;

    ip->ver_tc_flow = htobe32(0x60000000u | rnd(0x10000000));
    for (uint32_t n = super || rnd(4) ? 0 : 1 + rnd(3); n && !m->later; n--) { /* no device cuts behind these */
        uint8_t type = exts[rnd(ARRAY_SIZE(exts))], words = (uint8_t)(type == IP_PROTO_FRAGMENT ? 0 : rnd(3));
        uint8_t *e = make_room(m, 8 + (size_t)words * (type == IP_PROTO_AH ? 4 : 8));

        *next = type;
        next = e;
        e[1] = words;
        if (type == IP_PROTO_FRAGMENT) {
            e[2] = e[3] = 0;
            e[3] = (uint8_t)(rnd(3) ? 0 : rnd(2) ? IPV6_FRAG_MORE : 8);
            m->fragment |= e[3];
            m->later = e[3] & 8;
        }
    }
    *next = m->proto;
}

static void make_l4(struct making *m)
{
    uint8_t *l4 = m->b + m->n;

    m->l4 = m->n;
    switch (m->proto) {
    case IP_PROTO_TCP: {
        uint32_t words = rnd(3) ? 5 : 5 + rnd(11);

        make_room(m, words * 4);
        memset(l4 + 20, 1, words * 4 - 20);
        l4[12] = (uint8_t)(words << 4);
        m->csum = m->l4 + 16;
        break;
    }
    case IP_PROTO_UDP:
        make_room(m, 8);
        m->csum = m->l4 + 6;
        break;
    case IP_PROTO_SCTP:
        make_room(m, 12);
        m->csum = m->l4 + 8;
        break;
    case IP_PROTO_ICMPV6: {
        uint8_t *opt;

        make_room(m, 24);
        l4[0] = (uint8_t)(133 + rnd(5));
        l4[1] = (uint8_t)!rnd(4);
        for (uint32_t n = rnd(4); n; n--) {
            opt = make_room(m, 8);
            opt[0] = (uint8_t)(1 + rnd(3));
            opt[1] = 1;
        }
        m->csum = m->l4 + 2;
        break;
    }
    case IP_PROTO_ICMP:
        make_room(m, 8);
        m->csum = m->l4 + 2;
        break;
    default:
        m->csum = 0;
        break;
    }
}

/* What the sum of the pseudo-header is; zero for who has none. */
static uint64_t making_pseudo(const struct making *m)
{
    struct ip_addr src, dst;
    size_t len = m->l4_end - m->l4;

    if (m->v6) {
        memcpy(&src, m->b + m->l3 + 8, 16);
        memcpy(&dst, m->b + m->l3 + 24, 16);
        return csum_pseudo6(&src, &dst, m->proto, (uint32_t)len);
    }
    memcpy(&src, m->b + m->l3 + 12, 4);
    memcpy(&dst, m->b + m->l3 + 16, 4);
    return m->proto == IP_PROTO_ICMP ? 0 : csum_pseudo4(src.be32[0], dst.be32[0], m->proto, (uint16_t)len);
}

static void make_udp_len(struct making *m)
{
    __be16 len = htobe16((uint16_t)(m->l4_end - m->l4));

    memcpy(m->b + m->l4 + 4, &len, 2);
}

/* Lengths and the IPv4 header's checksum. */
static void make_lengths(struct making *m)
{
    m->l4_end = m->n;
    if (m->proto == IP_PROTO_UDP) {
        make_udp_len(m);
    }
    if (m->v6) {
        struct ipv6_hdr *ip = (struct ipv6_hdr *)(void *)(m->b + m->l3);

        ip->plen = htobe16((uint16_t)(m->n - m->l3 - sizeof(*ip)));
    } else {
        struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)(m->b + m->l3);

        ip->tot_len = htobe16((uint16_t)(m->n - m->l3));
        ip->csum = csum_finish(csum_bytes(0, ip, (ip->ver_ihl & 15u) * 4u));
    }
}

/* PARTIAL: as who leaves the rest to the device. */
static void make_csum(struct making *m, bool partial)
{
    __be16 csum = 0;

    if (m->proto == IP_PROTO_SCTP) {
        __le32 crc = 0;

        memcpy(m->b + m->csum, &crc, 4);
        crc = csum_crc32c(m->b + m->l4, m->l4_end - m->l4);
        memcpy(m->b + m->csum, &crc, 4);
        return;
    }
    memcpy(m->b + m->csum, &csum, 2);
    if (partial) {
        csum = csum_fold(making_pseudo(m));
    } else if (m->proto != IP_PROTO_UDP || rnd(8)) {
        csum = csum_finish(csum_bytes(making_pseudo(m), m->b + m->l4, m->l4_end - m->l4));
        csum = m->proto == IP_PROTO_UDP && !csum ? (__be16)0xffff : csum;
    }
    memcpy(m->b + m->csum, &csum, 2);
}

static void make_l2(struct making *m, bool super)
{
    uint8_t *eth = make_room(m, 12);

    eth[0] &= 0xfe;
    for (uint32_t n = rnd(2) ? 0 : rnd(super ? 2 : 3); n; n--) {
        make_be16(m, rnd(4) ? ETH_TYPE_VLAN : ETH_TYPE_SVLAN);
        make_be16(m, (uint16_t)(rnd(2) ? rnd(256) : rnd(65536)));
    }
}

/* What is between the tags and L3; *RET_LEN: where an 802.3 length is to be written. */
static void make_type(struct making *m, uint16_t type, bool super, size_t *ret_len)
{
    uint32_t labels = super || rnd(5) ? 0 : 1 + rnd(3);

    *ret_len = 0;
    if (!super && !rnd(8)) {
        *ret_len = m->n;
        make_be16(m, 0);
        memcpy(make_room(m, 6), "\xaa\xaa\3\0\0\0", 6);
    }
    make_be16(m, labels ? (rnd(4) ? ETH_TYPE_MPLS : ETH_TYPE_MPLS_MCAST) : type);
    for (; labels; labels--) {
        uint8_t *lse = make_room(m, 4);

        lse[2] = (uint8_t)((lse[2] & 0xfe) | (labels == 1));
    }
}

/* The kernel is told what is left to the device. */
static void leave(struct making *m, struct model_packet *ret, uint16_t gso_size)
{
    size_t hdr_len = m->l4 + (m->proto == IP_PROTO_TCP ? (m->b[m->l4 + 12] >> 4) * 4u : 8u);

    make_csum(m, true);
    ret->h = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                     .csum_start = (uint16_t)m->l4,
                                     .csum_offset = (uint16_t)(m->csum - m->l4)};
    if (gso_size) {
        ret->h.gso_type = m->proto == IP_PROTO_UDP ? VIRTIO_NET_HDR_GSO_UDP_L4
                          : m->v6                  ? VIRTIO_NET_HDR_GSO_TCPV6
                                                   : VIRTIO_NET_HDR_GSO_TCPV4;
        ret->h.gso_size = gso_size;
        ret->h.hdr_len = (uint16_t)hdr_len;
    }
}

/* Padding, or bytes that are missing: then what the headers say is not there. */
static void change_end(struct making *m, struct model_packet *ret)
{
    uint32_t by = 1 + rnd(60);

    if (rnd(3)) {
        uint8_t *pad = make_room(m, by);

        if (rnd(4)) {
            memset(pad, 0, by);
        }
        /* A device sums up what is there, to the last byte; the sum of padding that is not zero is no packet's. */
        ret->sums_are_right &= !ret->h.flags;
    } else if (m->n >= m->l3 + 4 + by && !ret->h.flags) {
        m->n -= by;
        ret->sums_are_right = false;
    }
}

static void make_packet(struct making *m, struct model_packet *ret, bool supers)
{
    static const uint8_t protos4[] = {
        IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_SCTP, IP_PROTO_ICMP, 89};
    static const uint8_t protos6[] = {
        IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_SCTP, IP_PROTO_ICMPV6, 89};
    bool super = supers && !rnd(5);
    uint16_t gso_size = super ? (uint16_t)(400 + rnd(400)) : 0;
    size_t len_at;

    m->v6 = rnd(2);
    m->proto = (m->v6 ? protos6 : protos4)[rnd(super ? 4 : ARRAY_SIZE(protos4))];
    if (super && !kernel_at_least(6, 2)) {
        m->proto = IP_PROTO_TCP; /* its packet sockets know no super-packets of UDP */
    }
    make_l2(m, super);
    make_type(m, m->v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4, super, &len_at);
    m->l3 = m->n;
    if (m->v6) {
        make_ipv6(m, super);
    } else {
        make_ipv4(m);
    }
    if (m->later) {
        m->proto = 255; /* nobody may look behind it */
    }
    make_l4(m);
    make_room(m, super ? 1 + gso_size + rnd(4 * gso_size) : rnd(6) ? rnd(100) : rnd(1400));
    make_lengths(m);
    ret->sums_are_right = true;
    if ((super || rnd(2)) && (m->proto == IP_PROTO_TCP || m->proto == IP_PROTO_UDP) && !m->fragment) {
        leave(m, ret, gso_size);
    } else if (m->csum) {
        if (m->proto == IP_PROTO_UDP && !rnd(4)) { /* what is behind it belongs to the IP packet alone */
            m->l4_end -= rnd((uint32_t)(m->n - m->l4 - 8) + 1);
            make_udp_len(m);
        }
        make_csum(m, false);
        if (!rnd(8)) {
            m->b[m->csum] ^= 1;
            ret->sums_are_right = false;
        }
    }
    if (!ret->h.gso_type && !rnd(5)) {
        change_end(m, ret);
    }
    if (len_at) {
        __be16 len = htobe16((uint16_t)(m->n - len_at - 2));

        memcpy(m->b + len_at, &len, 2);
    }
}

/* The kernel drops a frame from which it cannot take a tag, and two bytes behind it. */
static bool ends_in_tag(const struct builder *b)
{
    size_t at = 12;

    while (at + 2 <= b->n && (!memcmp(b->b + at, "\x81\x00", 2) || !memcmp(b->b + at, "\x88\xa8", 2))) {
        at += 4;
    }
    return at + 4 > b->n || b->n < 18;
}

/* SUPERS: super-packets, and checksums that are left to the device, may be among them. */
static WR_UNUSED void random_packet(struct model_packet *ret, bool offloads)
{
    static struct making m;
    struct builder b;
    struct flow_key key;

    *ret = (struct model_packet){0};
    if (rnd(4)) {
        do {
            m.n = m.l3 = m.l4 = m.csum = 0;
            m.fragment = m.later = false;
            *ret = (struct model_packet){0};
            make_packet(&m, ret, offloads);
        } while (ret->h.flags && !offloads);
        ret->p = packet_new(m.b, m.n);
    } else {
        do {
            random_frame(&b);
        } while (ends_in_tag(&b));
        ret->p = packet_new(b.b, b.n);
    }
    ret->p->offload = (struct packet_offload){.flags = ret->h.flags,
                                              .gso_type = ret->h.gso_type,
                                              .hdr_len = ret->h.hdr_len,
                                              .gso_size = ret->h.gso_size,
                                              .csum_start = ret->h.csum_start,
                                              .csum_offset = ret->h.csum_offset};
    flow_key_extract(ret->p, &key);
}

#endif
