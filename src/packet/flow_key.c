/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_key_extract(): one walk down the headers of a frame. Each parser fills its part of the key only when its header
 * is whole and sane, and the walk ends at the first that is not; so any bytes give some key, and never more is read
 * than there is.
 */
#include <endian.h>

#include "base/cursor.h"
#include "packet/headers.h"
#include "packet/packet.h"

#define IPV4_PADDING_MAX 255 /* more bytes behind tot_len than this and the length is not believed */

static uint16_t offset_of(const struct packet *p, const struct reader *r)
{
    return (uint16_t)(r->data - p->data);
}

static void parse_arp(struct reader *r, struct flow_key *key)
{
    const struct arp_hdr *arp = reader_take(r, sizeof(*arp));

    if (!arp || arp->hrd != htobe16(1) || arp->pro != htobe16(ETH_TYPE_IPV4) || arp->hln != 6 || arp->pln != 4) {
        return;
    }
    if (be16toh(arp->op) <= 0xff) {
        key->ip_proto = (uint8_t)be16toh(arp->op);
    }
    key->ip_src.be32[3] = arp->spa;
    key->ip_dst.be32[3] = arp->tpa;
    key->arp_sha = arp->sha;
    key->arp_tha = arp->tha;
}

/* Neighbour Discovery behind the ICMPv6 header (RFC 4861, 4.3 and 4.4). A bad option spoils all of it. */
static void parse_nd(struct reader *r, struct flow_key *key)
{
    const struct ip_addr *target;
    struct eth_addr sll = {{0}}, tll = {{0}};

    reader_skip(r, 4);
    target = reader_take(r, sizeof(*target));
    if (!target) {
        return;
    }
    while (r->left >= sizeof(struct nd_opt)) {
        const struct nd_opt *opt = (const struct nd_opt *)(const void *)r->data;

        if (!opt->len || opt->len * 8u > r->left) {
            return;
        }
        if (opt->len == 1 && opt->type == ND_OPT_SLL) {
            sll = opt->addr;
        } else if (opt->len == 1 && opt->type == ND_OPT_TLL) {
            tll = opt->addr;
        }
        reader_skip(r, opt->len * 8u);
    }
    memcpy(&key->nd_target, target, sizeof(key->nd_target));
    key->arp_sha = sll;
    key->arp_tha = tll;
}

static void parse_l4(struct packet *p, struct reader *r, struct flow_key *key)
{
    uint16_t ofs = offset_of(p, r);

    if (key->ip_proto == IP_PROTO_TCP) {
        const struct tcp_hdr *tcp = reader_take(r, sizeof(*tcp));

        if (tcp) {
            key->tp_src = tcp->src;
            key->tp_dst = tcp->dst;
            key->tcp_flags = tcp->off_flags & htobe16(0x0fff);
            p->l4_ofs = ofs;
        }
    } else if (key->ip_proto == IP_PROTO_UDP || key->ip_proto == IP_PROTO_SCTP) {
        const struct udp_hdr *udp =
            reader_take(r, key->ip_proto == IP_PROTO_UDP ? sizeof(struct udp_hdr) : sizeof(struct sctp_hdr));

        if (udp) {
            key->tp_src = udp->src;
            key->tp_dst = udp->dst;
            p->l4_ofs = ofs;
        }
    } else if ((key->ip_proto == IP_PROTO_ICMP && key->eth_type == htobe16(ETH_TYPE_IPV4)) ||
               (key->ip_proto == IP_PROTO_ICMPV6 && key->eth_type == htobe16(ETH_TYPE_IPV6))) {
        const struct icmp_hdr *icmp = reader_take(r, sizeof(*icmp));

        if (icmp) {
            key->tp_src = htobe16(icmp->type);
            key->tp_dst = htobe16(icmp->code);
            p->l4_ofs = ofs;
            if (key->ip_proto == IP_PROTO_ICMPV6 && (icmp->type == ND_SOLICIT || icmp->type == ND_ADVERT) &&
                !icmp->code) {
                parse_nd(r, key);
            }
        }
    }
}

static void parse_ipv4(struct packet *p, struct reader *r, struct flow_key *key)
{
    uint16_t ofs = offset_of(p, r), frag;
    size_t left = r->left, ihl, tot_len;
    const struct ipv4_hdr *ip = reader_take(r, sizeof(*ip));

    if (!ip || ip->ver_ihl >> 4 != 4) {
        return;
    }
    ihl = (ip->ver_ihl & 15u) * 4u;
    tot_len = be16toh(ip->tot_len);
    if (!tot_len && p->offload.gso_type) {
        tot_len = left; /* a super-packet beyond 64 KiB */
    }
    if (ihl < sizeof(*ip) || tot_len < ihl || tot_len > left || left - tot_len > IPV4_PADDING_MAX) {
        return;
    }
    *r = reader_of((const uint8_t *)ip + ihl, tot_len - ihl);
    p->l3_ofs = ofs;
    key->ip_src.be32[3] = ip->src;
    key->ip_dst.be32[3] = ip->dst;
    key->ip_proto = ip->proto;
    key->ip_tos = ip->tos;
    key->ip_ttl = ip->ttl;
    frag = be16toh(ip->frag_off);
    if (frag & (IPV4_MF | IPV4_OFFSET)) {
        key->ip_frag = FLOW_FRAG_ANY | (frag & IPV4_OFFSET ? FLOW_FRAG_LATER : 0);
    }
    if (!(key->ip_frag & FLOW_FRAG_LATER)) {
        parse_l4(p, r, key);
    }
}

/* Passes over extension headers; *NEXT becomes the first header that is none, or IP_PROTO_FRAGMENT where what follows
 * is no header (flow_key.h). False when one is cut short. */
static bool skip_ipv6_ext(struct reader *r, uint8_t *next, uint8_t *ret_frag)
{
    for (;;) {
        const struct ipv6_ext_hdr *ext;
        const struct ipv6_frag_hdr *frag;

        switch (*next) {
        case IP_PROTO_HOPOPTS:
        case IP_PROTO_ROUTING:
        case IP_PROTO_DSTOPTS:
        case IP_PROTO_MOBILITY:
        case IP_PROTO_AH:
            ext = reader_take(r, sizeof(*ext));
            if (!ext) {
                return false;
            }
            reader_skip(r, (*next == IP_PROTO_AH ? ext->len * 4u + 8u : ext->len * 8u + 8u) - sizeof(*ext));
            if (r->error) {
                return false;
            }
            *next = ext->next;
            break;
        case IP_PROTO_FRAGMENT:
            frag = reader_take(r, sizeof(*frag));
            if (!frag) {
                return false;
            }
            if (be16toh(frag->off) & 0xfff9) { /* all zero: an atomic fragment (RFC 6946) */
                *ret_frag = FLOW_FRAG_ANY | (be16toh(frag->off) & 0xfff8 ? FLOW_FRAG_LATER : 0);
            }
            if (*ret_frag & FLOW_FRAG_LATER) {
                return true;
            }
            *next = frag->next;
            break;
        default:
            return true;
        }
    }
}

static void parse_ipv6(struct packet *p, struct reader *r, struct flow_key *key)
{
    uint16_t ofs = offset_of(p, r);
    const struct ipv6_hdr *ip = reader_take(r, sizeof(*ip));
    uint32_t word;
    size_t plen;
    uint8_t next, frag = 0;

    if (!ip) {
        return;
    }
    word = be32toh(ip->ver_tc_flow);
    plen = be16toh(ip->plen);
    if (!plen && p->offload.gso_type) {
        plen = r->left; /* a super-packet beyond 64 KiB */
    }
    if (word >> 28 != 6 || plen > r->left) {
        return;
    }
    r->left = plen;
    p->l3_ofs = ofs;
    key->ip_src = ip->src;
    key->ip_dst = ip->dst;
    key->ipv6_label = htobe32(word & 0xfffff);
    key->ip_tos = (uint8_t)(word >> 20);
    key->ip_ttl = ip->hop_limit;
    next = ip->next;
    if (!skip_ipv6_ext(r, &next, &frag)) {
        return;
    }
    key->ip_proto = next;
    key->ip_frag = frag;
    if (!(frag & FLOW_FRAG_LATER)) {
        parse_l4(p, r, key);
    }
}

static void parse_mpls(struct packet *p, struct reader *r, struct flow_key *key)
{
    p->l2_5_ofs = offset_of(p, r);
    for (size_t i = 0; i < ARRAY_SIZE(key->mpls_lse); i++) {
        const struct mpls_hdr *mpls = reader_take(r, sizeof(*mpls));

        if (!mpls) {
            return;
        }
        key->mpls_lse[i] = mpls->lse;
        if (mpls->lse & htobe32(MPLS_BOS)) {
            return;
        }
    }
}

/* Returns the type of the payload, in network order, behind the VLAN tags and LLC/SNAP. */
static __be16 parse_eth_type(struct reader *r, struct flow_key *key)
{
    __be16 type = reader_be16(r);

    for (size_t i = 0; i < ARRAY_SIZE(key->vlan); i++) {
        if ((type != htobe16(ETH_TYPE_VLAN) && type != htobe16(ETH_TYPE_SVLAN)) || r->left < sizeof(struct vlan_hdr)) {
            break;
        }
        key->vlan[i].tpid = type;
        key->vlan[i].tci = reader_be16(r) | htobe16(FLOW_VLAN_PRESENT);
        type = reader_be16(r);
    }
    if (be16toh(type) < ETH_TYPE_MIN) {
        const struct llc_snap_hdr *snap = (const struct llc_snap_hdr *)(const void *)r->data;

        type = htobe16(FLOW_ETH_TYPE_NONE);
        if (r->left >= sizeof(*snap) && snap->dsap == 0xaa && snap->ssap == 0xaa && snap->cntl == 3 && !snap->oui[0] &&
            !snap->oui[1] && !snap->oui[2] && be16toh(snap->type) >= ETH_TYPE_MIN) {
            type = snap->type;
            reader_skip(r, sizeof(*snap));
        }
    }
    return type;
}

static void parse_frame(struct packet *p, struct flow_key *key)
{
    struct reader r = reader_of(p->data, p->len);

    if (p->len < sizeof(struct eth_hdr)) {
        return;
    }
    reader_copy(&r, &key->eth_dst, sizeof(key->eth_dst));
    reader_copy(&r, &key->eth_src, sizeof(key->eth_src));
    key->eth_type = parse_eth_type(&r, key);
    switch (be16toh(key->eth_type)) {
    case ETH_TYPE_IPV4:
        parse_ipv4(p, &r, key);
        break;
    case ETH_TYPE_IPV6:
        parse_ipv6(p, &r, key);
        break;
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
        if (r.left >= sizeof(struct arp_hdr)) {
            p->l3_ofs = offset_of(p, &r);
        }
        parse_arp(&r, key);
        break;
    case ETH_TYPE_MPLS:
    case ETH_TYPE_MPLS_MCAST:
        parse_mpls(p, &r, key);
        break;
    default:
        break;
    }
}

void flow_key_extract(struct packet *p, struct flow_key *key)
{
    memset(key, 0, sizeof(*key));
    p->l2_5_ofs = p->l3_ofs = p->l4_ofs = 0;
    key->in_port = p->in_port;
    key->pkt_mark = p->pkt_mark;
    key->tunnel = p->tunnel;
    parse_frame(p, key);
    key->dp_hash = flow_key_hash5(key);
}
