/* SPDX-License-Identifier: Apache-2.0 */
#include "packet/segment.h"

#include <endian.h>
#include <linux/virtio_net.h>

#include "packet/checksum.h"
#include "packet/headers.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

int packet_complete_csum(struct packet *p)
{
    struct packet_offload *o = &p->offload;
    size_t at = (size_t)o->csum_start + o->csum_offset;
    __be16 csum;

    if (!(o->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
        return 0;
    }
    if (at + 2 > p->len || o->csum_start > p->len) {
        return -EINVAL;
    }
    if (o->csum_offset == offsetof(struct sctp_hdr, csum)) { /* only SCTP has its checksum there */
        struct sctp_hdr *sctp = (struct sctp_hdr *)(void *)(p->data + o->csum_start);

        if (o->csum_start + sizeof(*sctp) > p->len) {
            return -EINVAL;
        }
        sctp->csum = 0;
        sctp->csum = csum_crc32c(sctp, p->len - o->csum_start);
    } else {
        csum = csum_finish(csum_bytes(0, p->data + o->csum_start, p->len - o->csum_start));
        if (!csum) {
            csum = (__be16)0xffff; /* UDP: zero is none; to others the two are equal */
        }
        memcpy(p->data + at, &csum, 2);
    }
    o->flags = (uint8_t)(o->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM);
    o->csum_start = o->csum_offset = 0;
    return 0;
}

bool packet_gso_is_tunnelled(const struct packet *p)
{
    const struct packet_offload *o = &p->offload;

    return packet_is_gso(p) && o->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && p->l3_ofs && o->csum_start > p->l3_ofs &&
           o->csum_start < p->len && o->csum_start != p->l4_ofs;
}

static size_t gso_l4(const struct packet *p)
{
    return packet_gso_is_tunnelled(p) ? p->offload.csum_start : p->l4_ofs;
}

size_t packet_gso_hdr_len(const struct packet *p)
{
    uint8_t type = p->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    size_t l4 = gso_l4(p), l4_len = sizeof(struct udp_hdr);
    const struct tcp_hdr *tcp = (const struct tcp_hdr *)(const void *)(p->data + l4);

    if (!l4) {
        return 0;
    }
    if (type != VIRTIO_NET_HDR_GSO_UDP_L4) {
        l4_len = l4 + sizeof(*tcp) <= p->len ? (be16toh(tcp->off_flags) >> 12) * 4u : 0;
        if (l4_len < sizeof(*tcp)) {
            return 0;
        }
    }
    return l4 + l4_len;
}

/* Where P's own L3 header ends, and UDP's behind it. */
static size_t own_end(const struct packet *p)
{
    const uint8_t *ip = p->data + p->l3_ofs;

    return p->l4_ofs       ? p->l4_ofs + sizeof(struct udp_hdr)
           : *ip >> 4 == 6 ? p->l3_ofs + sizeof(struct ipv6_hdr)
                           : p->l3_ofs + (*ip & 15u) * 4u;
}

/* Where the IP header begins that ends at L4 and whose packet ends with the frame; 0: there is none. */
static size_t ip_before(const struct packet *p, size_t l4)
{
    size_t least = own_end(p);

    for (size_t len = sizeof(struct ipv4_hdr); len <= 60 && least + len <= l4; len += 4) {
        const struct ipv4_hdr *ip = (const struct ipv4_hdr *)(const void *)(p->data + l4 - len);

        if (ip->ver_ihl == (0x40 | len / 4) && be16toh(ip->tot_len) == p->len - l4 + len) {
            return l4 - len;
        }
    }
    if (least + sizeof(struct ipv6_hdr) <= l4) {
        const struct ipv6_hdr *ip = (const struct ipv6_hdr *)(const void *)(p->data + l4 - sizeof(*ip));

        if (be32toh(ip->ver_tc_flow) >> 28 == 6 && be16toh(ip->plen) == p->len - l4) {
            return l4 - sizeof(*ip);
        }
    }
    return 0;
}

/* Of the IP packet that is to be cut; 0: there is none. */
static size_t gso_l3(const struct packet *p)
{
    return packet_gso_is_tunnelled(p) ? ip_before(p, p->offload.csum_start) : p->l3_ofs;
}

void packet_make_gso(struct packet *p, uint16_t gso_size)
{
    struct packet_offload *o = &p->offload;
    size_t l3;

    o->gso_type = VIRTIO_NET_HDR_GSO_UDP; /* which the segmenter does not cut */
    o->gso_size = gso_size;
    l3 = gso_l3(p);
    if (l3 && o->csum_offset == offsetof(struct tcp_hdr, csum)) {
        o->gso_type = p->data[l3] >> 4 == 6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
    } else if (l3 && o->csum_offset == offsetof(struct udp_hdr, csum)) {
        o->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
    }
    o->hdr_len = (uint16_t)packet_gso_hdr_len(p);
}

int segmenter_init(struct segmenter *s, const struct packet *p)
{
    uint8_t type = p->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    struct segmenter t = {.p = p, .l3 = gso_l3(p), .l4 = gso_l4(p)};
    bool ipv6;

    if (!t.l3 || t.l4 <= t.l3 || !p->offload.gso_size) {
        return -EINVAL;
    }
    ipv6 = p->data[t.l3] >> 4 == 6;
    t.tcp = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
    if ((!t.tcp && type != VIRTIO_NET_HDR_GSO_UDP_L4) || (type == VIRTIO_NET_HDR_GSO_TCPV4 && ipv6) ||
        (type == VIRTIO_NET_HDR_GSO_TCPV6 && !ipv6)) {
        return -EINVAL;
    }
    t.hdr_len = t.ofs = packet_gso_hdr_len(p);
    if (!t.hdr_len || t.hdr_len >= p->len) {
        return -EINVAL;
    }
    if (DIV_ROUND_UP(p->len - t.hdr_len, p->offload.gso_size) > SEGMENTS_MAX) {
        return -E2BIG;
    }
    *s = t;
    return 0;
}

static void fix_tcp(const struct segmenter *s, struct tcp_hdr *tcp, bool first, bool last)
{
    uint16_t flags = be16toh(tcp->off_flags);

    tcp->seq = htobe32(be32toh(tcp->seq) + (uint32_t)(s->ofs - s->hdr_len));
    if (!last) {
        flags = (uint16_t)(flags & ~(TCP_FIN | TCP_PSH));
    }
    if (!first) {
        flags = (uint16_t)(flags & ~TCP_CWR);
    }
    tcp->off_flags = htobe16(flags);
}

/* The length of the IP packet at L3, its id and its header's checksum. */
static void finish_ip(const struct segmenter *s, struct packet *seg, size_t l3)
{
    uint8_t *at = seg->data + l3;

    if (*at >> 4 == 6) {
        struct ipv6_hdr *ip = (struct ipv6_hdr *)(void *)at;

        ip->plen = htobe16((uint16_t)(seg->len - l3 - sizeof(*ip)));
    } else {
        struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)at;

        ip->tot_len = htobe16((uint16_t)(seg->len - l3));
        ip->id = htobe16((uint16_t)(be16toh(ip->id) + s->index));
        ip->csum = 0;
        ip->csum = csum_finish(csum_bytes(0, at, (ip->ver_ihl & 15u) * 4u));
    }
}

/* The sum of the pseudo-header of what is behind the IP header at L3, LEN bytes of PROTO. */
static uint64_t pseudo_sum(const struct packet *seg, size_t l3, uint8_t proto, size_t len)
{
    const uint8_t *at = seg->data + l3;

    if (*at >> 4 == 6) {
        struct ip_addr src = ((const struct ipv6_hdr *)(const void *)at)->src,
                       dst = ((const struct ipv6_hdr *)(const void *)at)->dst;

        return csum_pseudo6(&src, &dst, proto, (uint32_t)len);
    }
    return csum_pseudo4(((const struct ipv4_hdr *)(const void *)at)->src,
                        ((const struct ipv4_hdr *)(const void *)at)->dst, proto, (uint16_t)len);
}

static void finish_udp(struct packet *seg, size_t l3, size_t l4, bool summed)
{
    struct udp_hdr *udp = (struct udp_hdr *)(void *)(seg->data + l4);
    size_t len = seg->len - l4;
    __be16 csum;

    udp->len = htobe16((uint16_t)len);
    udp->csum = 0;
    if (summed) {
        csum = csum_finish(csum_bytes(pseudo_sum(seg, l3, IP_PROTO_UDP, len), udp, len));
        udp->csum = csum ? csum : (__be16)0xffff;
    }
}

/* The headers of the sender's own tunnel: UDP, GRE or nothing behind IP. */
static void finish_tunnel(const struct segmenter *s, struct packet *seg)
{
    size_t l3 = s->p->l3_ofs, l4 = s->p->l4_ofs;
    const uint8_t *ip = seg->data + l3;
    bool v6 = *ip >> 4 == 6;
    __be16 csum;

    finish_ip(s, seg, l3);
    if (l4) {
        finish_udp(seg, l3, l4, ((const struct udp_hdr *)(const void *)(seg->data + l4))->csum);
        return;
    }
    l4 = own_end(s->p);
    if (ip[v6 ? 6 : 9] == IP_PROTO_GRE && l4 + 8 <= s->l3 && seg->data[l4] & GRE_C >> 8) {
        memset(seg->data + l4 + sizeof(struct gre_hdr), 0, 2);
        csum = csum_finish(csum_bytes(0, seg->data + l4, seg->len - l4));
        memcpy(seg->data + l4 + sizeof(struct gre_hdr), &csum, 2);
    }
}

/* The lengths, IPv4's ids and the checksums of one segment. */
static void finish_segment(const struct segmenter *s, struct packet *seg)
{
    size_t len = seg->len - s->l4;
    struct tcp_hdr *tcp = (struct tcp_hdr *)(void *)(seg->data + s->l4);

    finish_ip(s, seg, s->l3);
    if (s->tcp) {
        tcp->csum = 0;
        tcp->csum = csum_finish(csum_bytes(pseudo_sum(seg, s->l3, IP_PROTO_TCP, len), tcp, len));
    } else {
        finish_udp(seg, s->l3, s->l4, true);
    }
    if (s->l3 != s->p->l3_ofs) {
        finish_tunnel(s, seg);
    }
}

bool segmenter_next(struct segmenter *s, struct packet *seg)
{
    const struct packet *p = s->p;
    size_t n;

    if (s->ofs >= p->len) {
        return false;
    }
    n = MIN(p->len - s->ofs, p->offload.gso_size);
    packet_resize(seg, PACKET_HEADROOM, s->hdr_len + n);
    memcpy(seg->data, p->data, s->hdr_len);
    memcpy(seg->data + s->hdr_len, p->data + s->ofs, n);
    seg->in_port = p->in_port;
    seg->pkt_mark = p->pkt_mark;
    seg->priority = p->priority;
    seg->tunnel = p->tunnel;
    seg->offload = (struct packet_offload){0};
    seg->l2_5_ofs = p->l2_5_ofs;
    seg->l3_ofs = p->l3_ofs;
    seg->l4_ofs = p->l4_ofs;
    if (s->tcp) {
        fix_tcp(s, (struct tcp_hdr *)(void *)(seg->data + s->l4), !s->index, s->ofs + n == p->len);
    }
    finish_segment(s, seg);
    s->ofs += n;
    s->index++;
    return true;
}
