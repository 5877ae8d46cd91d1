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

size_t packet_gso_hdr_len(const struct packet *p)
{
    uint8_t type = p->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    const struct tcp_hdr *tcp = (const struct tcp_hdr *)(const void *)(p->data + p->l4_ofs);
    size_t l4_len = sizeof(struct udp_hdr);

    if (!p->l4_ofs) {
        return 0;
    }
    if (type != VIRTIO_NET_HDR_GSO_UDP_L4) {
        l4_len = p->l4_ofs + sizeof(*tcp) <= p->len ? (be16toh(tcp->off_flags) >> 12) * 4u : 0;
        if (l4_len < sizeof(*tcp)) {
            return 0;
        }
    }
    return p->l4_ofs + l4_len;
}

int segmenter_init(struct segmenter *s, const struct packet *p)
{
    uint8_t type = p->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    struct segmenter t = {.p = p};
    __be16 l3_type;

    if (!p->l3_ofs || !p->l4_ofs || p->l4_ofs <= p->l3_ofs || !p->offload.gso_size) {
        return -EINVAL;
    }
    memcpy(&l3_type, p->data + p->l3_ofs - 2, 2);
    t.ipv6 = l3_type == htobe16(ETH_TYPE_IPV6);
    t.tcp = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
    if ((!t.tcp && type != VIRTIO_NET_HDR_GSO_UDP_L4) || (type == VIRTIO_NET_HDR_GSO_TCPV4 && t.ipv6) ||
        (type == VIRTIO_NET_HDR_GSO_TCPV6 && !t.ipv6)) {
        return -EINVAL;
    }
    t.hdr_len = t.ofs = packet_gso_hdr_len(p);
    if (!t.hdr_len || t.hdr_len >= p->len) {
        return -EINVAL;
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
    tcp->csum = 0;
}

/* The lengths, IPv4's id and the checksums of one segment. */
static void finish_segment(const struct segmenter *s, struct packet *seg)
{
    size_t l4_len = seg->len - s->p->l4_ofs;
    uint8_t proto = s->tcp ? IP_PROTO_TCP : IP_PROTO_UDP;
    uint8_t *l3 = seg->data + s->p->l3_ofs, *l4 = seg->data + s->p->l4_ofs;
    uint64_t sum;
    __be16 csum;

    if (s->ipv6) {
        struct ipv6_hdr *ip = (struct ipv6_hdr *)(void *)l3;
        struct ip_addr src = ip->src, dst = ip->dst;

        ip->plen = htobe16((uint16_t)(seg->len - s->p->l3_ofs - sizeof(*ip)));
        sum = csum_pseudo6(&src, &dst, proto, (uint32_t)l4_len);
    } else {
        struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)l3;

        ip->tot_len = htobe16((uint16_t)(seg->len - s->p->l3_ofs));
        ip->id = htobe16((uint16_t)(be16toh(ip->id) + s->index));
        ip->csum = 0;
        ip->csum = csum_finish(csum_bytes(0, l3, (ip->ver_ihl & 15u) * 4u));
        sum = csum_pseudo4(ip->src, ip->dst, proto, (uint16_t)l4_len);
    }
    if (!s->tcp) {
        struct udp_hdr *udp = (struct udp_hdr *)(void *)l4;

        udp->len = htobe16((uint16_t)l4_len);
        udp->csum = 0;
    }
    csum = csum_finish(csum_bytes(sum, l4, l4_len));
    if (s->tcp) {
        ((struct tcp_hdr *)(void *)l4)->csum = csum;
    } else {
        ((struct udp_hdr *)(void *)l4)->csum = csum ? csum : (__be16)0xffff;
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
        fix_tcp(s, (struct tcp_hdr *)(void *)(seg->data + p->l4_ofs), !s->index, s->ofs + n == p->len);
    }
    finish_segment(s, seg);
    s->ofs += n;
    s->index++;
    return true;
}
