/* SPDX-License-Identifier: Apache-2.0 */
#include "packet/compose.h"

#include <endian.h>

#include "packet/checksum.h"
#include "packet/headers.h"

#define FRAME_MAX 256
#define ETH_FRAME_MIN 60

/* A frame that grows at its end. */
struct frame {
    uint8_t data[FRAME_MAX];
    size_t len;
};

static void *put(struct frame *f, size_t n)
{
    void *at = f->data + f->len;

    f->len += n;
    return at;
}

static void put_eth(struct frame *f, const struct flow_key *key)
{
    struct eth_addr *addrs = put(f, 2 * sizeof(*addrs));
    bool is_802_3 = be16toh(key->eth_type) < ETH_TYPE_MIN;

    addrs[0] = key->eth_dst;
    addrs[1] = key->eth_src;
    for (size_t i = 0; i < ARRAY_SIZE(key->vlan) && key->vlan[i].tci & htobe16(FLOW_VLAN_PRESENT); i++) {
        __be16 *tag = put(f, 2 * sizeof(*tag));

        tag[0] = key->vlan[i].tpid ? key->vlan[i].tpid : htobe16(ETH_TYPE_VLAN);
        tag[1] = key->vlan[i].tci & htobe16((uint16_t)~FLOW_VLAN_PRESENT);
    }
    *(__be16 *)put(f, sizeof(__be16)) = is_802_3 ? 0 : key->eth_type; /* 0: a length */
}

static void put_mpls(struct frame *f, const struct flow_key *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(key->mpls_lse); i++) {
        struct mpls_hdr *mpls = put(f, sizeof(*mpls));

        mpls->lse = key->mpls_lse[i];
        if (mpls->lse & htobe32(MPLS_BOS)) {
            return;
        }
    }
}

static void put_arp(struct frame *f, const struct flow_key *key)
{
    struct arp_hdr *arp = put(f, sizeof(*arp));

    *arp = (struct arp_hdr){.hrd = htobe16(1),
                            .pro = htobe16(ETH_TYPE_IPV4),
                            .hln = 6,
                            .pln = 4,
                            .op = htobe16(key->ip_proto),
                            .sha = key->arp_sha,
                            .spa = key->ip_src.be32[3],
                            .tha = key->arp_tha,
                            .tpa = key->ip_dst.be32[3]};
}

static void put_nd(struct frame *f, const struct flow_key *key)
{
    struct nd_hdr *nd = put(f, sizeof(*nd));
    bool solicit = key->tp_src == htobe16(ND_SOLICIT);
    const struct eth_addr *addr = solicit ? &key->arp_sha : &key->arp_tha;
    static const struct eth_addr zero;

    nd->icmp = (struct icmp_hdr){.type = (uint8_t)be16toh(key->tp_src)};
    nd->flags = 0;
    nd->target = key->nd_target;
    if (memcmp(addr, &zero, sizeof(zero))) {
        struct nd_opt *opt = put(f, sizeof(*opt));

        *opt = (struct nd_opt){.type = solicit ? ND_OPT_SLL : ND_OPT_TLL, .len = 1, .addr = *addr};
    }
}

static void put_l4(struct frame *f, const struct flow_key *key, bool v6)
{
    switch (key->ip_proto) {
    case IP_PROTO_TCP:
        *(struct tcp_hdr *)put(f, sizeof(struct tcp_hdr)) = (struct tcp_hdr){
            .src = key->tp_src, .dst = key->tp_dst, .off_flags = htobe16(5 << 12) | (key->tcp_flags & htobe16(0xfff))};
        break;
    case IP_PROTO_UDP:
        *(struct udp_hdr *)put(f, sizeof(struct udp_hdr)) =
            (struct udp_hdr){.src = key->tp_src, .dst = key->tp_dst, .len = htobe16(sizeof(struct udp_hdr))};
        break;
    case IP_PROTO_SCTP:
        *(struct sctp_hdr *)put(f, sizeof(struct sctp_hdr)) = (struct sctp_hdr){.src = key->tp_src, .dst = key->tp_dst};
        break;
    case IP_PROTO_ICMP:
    case IP_PROTO_ICMPV6:
        if ((key->ip_proto == IP_PROTO_ICMPV6) != v6) {
            break;
        }
        if (v6 && !key->tp_dst && (key->tp_src == htobe16(ND_SOLICIT) || key->tp_src == htobe16(ND_ADVERT))) {
            put_nd(f, key);
            break;
        }
        *(struct icmp_hdr *)put(f, sizeof(struct icmp_hdr)) =
            (struct icmp_hdr){.type = (uint8_t)be16toh(key->tp_src), .code = (uint8_t)be16toh(key->tp_dst)};
        put(f, 4); /* the rest of the header: identifier and so on */
        break;
    default:
        break;
    }
}

/* The checksum of what was put from START on. */
static void finish_l4(struct frame *f, const struct flow_key *key, bool v6, size_t start)
{
    uint8_t *l4 = f->data + start;
    size_t len = f->len - start;
    uint64_t pseudo = v6 ? csum_pseudo6(&key->ip_src, &key->ip_dst, key->ip_proto, (uint32_t)len)
                         : csum_pseudo4(key->ip_src.be32[3], key->ip_dst.be32[3], key->ip_proto, (uint16_t)len);
    __be16 csum = csum_finish(csum_bytes(key->ip_proto == IP_PROTO_ICMP ? 0 : pseudo, l4, len));
    __le32 crc;

    if (!len) {
        return;
    }
    switch (key->ip_proto) {
    case IP_PROTO_TCP:
        ((struct tcp_hdr *)(void *)l4)->csum = csum;
        break;
    case IP_PROTO_UDP:
        ((struct udp_hdr *)(void *)l4)->csum = csum ? csum : (__be16)0xffff;
        break;
    case IP_PROTO_SCTP:
        crc = csum_crc32c(l4, len);
        ((struct sctp_hdr *)(void *)l4)->csum = crc;
        break;
    default: /* ICMP, ICMPv6 */
        ((struct icmp_hdr *)(void *)l4)->csum = csum;
    }
}

static void put_ipv4(struct frame *f, const struct flow_key *key)
{
    size_t at = f->len;
    struct ipv4_hdr *ip = put(f, sizeof(*ip));

    *ip = (struct ipv4_hdr){.ver_ihl = 0x45,
                            .tos = key->ip_tos,
                            .ttl = key->ip_ttl,
                            .proto = key->ip_proto,
                            .src = key->ip_src.be32[3],
                            .dst = key->ip_dst.be32[3]};
    if (key->ip_frag & FLOW_FRAG_LATER) {
        ip->frag_off = htobe16(1);
    } else {
        ip->frag_off = htobe16(key->ip_frag & FLOW_FRAG_ANY ? IPV4_MF : 0);
        put_l4(f, key, false);
        finish_l4(f, key, false, at + sizeof(*ip));
    }
    ip->tot_len = htobe16((uint16_t)(f->len - at));
    ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
}

static void put_ipv6(struct frame *f, const struct flow_key *key)
{
    size_t at = f->len, l4;
    struct ipv6_hdr *ip = put(f, sizeof(*ip));

    *ip = (struct ipv6_hdr){.ver_tc_flow = htobe32(6u << 28 | (uint32_t)key->ip_tos << 20) | key->ipv6_label,
                            .next = key->ip_proto,
                            .hop_limit = key->ip_ttl,
                            .src = key->ip_src,
                            .dst = key->ip_dst};
    if (key->ip_frag) {
        struct ipv6_frag_hdr *frag = put(f, sizeof(*frag));

        *frag =
            (struct ipv6_frag_hdr){.next = key->ip_proto, .off = htobe16(key->ip_frag & FLOW_FRAG_LATER ? 1 << 3 : 1)};
        ip->next = IP_PROTO_FRAGMENT;
    }
    l4 = f->len;
    if (!(key->ip_frag & FLOW_FRAG_LATER)) {
        put_l4(f, key, true);
        finish_l4(f, key, true, l4);
    }
    ip->plen = htobe16((uint16_t)(f->len - at - sizeof(*ip)));
}

struct packet *packet_compose(const struct flow_key *key)
{
    struct frame f = {.len = 0};
    struct packet *p;

    put_eth(&f, key);
    switch (be16toh(key->eth_type)) {
    case ETH_TYPE_MPLS:
    case ETH_TYPE_MPLS_MCAST:
        put_mpls(&f, key);
        break;
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
        put_arp(&f, key);
        break;
    case ETH_TYPE_IPV4:
        put_ipv4(&f, key);
        break;
    case ETH_TYPE_IPV6:
        put_ipv6(&f, key);
        break;
    default:
        break;
    }
    p = packet_new(f.data, MAX(f.len, (size_t)ETH_FRAME_MIN));
    p->in_port = key->in_port;
    p->pkt_mark = key->pkt_mark;
    p->tunnel = key->tunnel;
    return p;
}
