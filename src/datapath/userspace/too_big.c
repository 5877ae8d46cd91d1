/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path MTU discovery through tunnels: what a router would tell the sender of a packet that does not fit (RFC 1191, RFC
 * 8201), said by the switch in the name of the packet's destination, because in the sender's network there is no
 * router. The sender knows nothing of what the flow has made of its packet (other addresses, tags, ports), so the
 * answer goes to whom the packet came from, and quotes it, as the key says that it was.
 */
#include <endian.h>

#include "datapath/userspace/userspace.h"
#include "packet/checksum.h"
#include "packet/edit.h"
#include "packet/headers.h"

#define ICMP_UNREACHABLE 3
#define ICMP_FRAG_NEEDED 4
#define ICMPV6_TOO_BIG 2
#define ICMPV4_MAX 576  /* RFC 1812, 4.3.2.3 */
#define ICMPV6_MAX 1280 /* RFC 4443, 2.4 (c) */
#define IPV4_MTU_MIN 68 /* RFC 791 */

struct icmp_too_big {
    struct icmp_hdr icmp;
    __be32 mtu; /* IPv4: the low 16 bits */
} WR_PACKED;

/* What no single host has or sends from: "this host", loopback, multicast, reserved, broadcast (RFC 1122, 3.2.1.3). */
static bool is_no_host4(__be32 addr)
{
    uint32_t first = be32toh(addr) >> 24;

    return !first || first == 127 || first >= 224;
}

static bool is_no_host6(const struct ip_addr *addr)
{
    static const struct ip_addr unspecified, loopback = {.b = {[15] = 1}};

    return addr->b[0] == 0xff || !memcmp(addr, &unspecified, sizeof(*addr)) || !memcmp(addr, &loopback, sizeof(*addr));
}

/* Errors beget no errors, and nobody hears of one who is not a host, or of what was for more than one (RFC 1122, 3.2.2;
 * RFC 4443, 2.4 (e)): the answer comes from whom the packet was for. */
static bool may_answer(const struct packet *p, const struct flow_key *key)
{
    const struct ipv4_hdr *ip = (const struct ipv4_hdr *)(const void *)(p->data + p->l3_ofs);
    uint16_t type = be16toh(key->tp_src);

    if (!p->l3_ofs || key->ip_frag & FLOW_FRAG_LATER || key->eth_dst.a[0] & 1 || key->eth_src.a[0] & 1) {
        return false;
    }
    if (key->eth_type == htobe16(ETH_TYPE_IPV4)) {
        bool is_error =
            key->ip_proto == IP_PROTO_ICMP && (type == 3 || type == 4 || type == 5 || type == 11 || type == 12);

        return ip->frag_off & htobe16(IPV4_DF) && !is_no_host4(key->ip_src.be32[3]) &&
               !is_no_host4(key->ip_dst.be32[3]) && !is_error;
    }
    return key->eth_type == htobe16(ETH_TYPE_IPV6) && !is_no_host6(&key->ip_src) && !is_no_host6(&key->ip_dst) &&
           !(key->ip_proto == IP_PROTO_ICMPV6 && type < 128);
}

static void write_ipv4(uint8_t *to, const struct packet *p, size_t n, unsigned int mtu)
{
    const struct ipv4_hdr *was = (const struct ipv4_hdr *)(const void *)(p->data + p->l3_ofs);
    struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)to;
    struct icmp_too_big *icmp = (struct icmp_too_big *)(void *)(ip + 1);
    size_t icmp_len = sizeof(*icmp) + n;

    *ip = (struct ipv4_hdr){.ver_ihl = 0x45,
                            .tos = 0xc0,
                            .tot_len = htobe16((uint16_t)(sizeof(*ip) + icmp_len)),
                            .ttl = 64,
                            .proto = IP_PROTO_ICMP,
                            .src = was->dst,
                            .dst = was->src};
    ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
    *icmp = (struct icmp_too_big){.icmp = {.type = ICMP_UNREACHABLE, .code = ICMP_FRAG_NEEDED}, .mtu = htobe32(mtu)};
    memcpy(icmp + 1, was, n);
    icmp->icmp.csum = csum_finish(csum_bytes(0, icmp, icmp_len));
}

static void write_ipv6(uint8_t *to, const struct packet *p, size_t n, unsigned int mtu)
{
    const struct ipv6_hdr *was = (const struct ipv6_hdr *)(const void *)(p->data + p->l3_ofs);
    struct ipv6_hdr *ip = (struct ipv6_hdr *)(void *)to;
    struct icmp_too_big *icmp = (struct icmp_too_big *)(void *)(ip + 1);
    size_t icmp_len = sizeof(*icmp) + n;
    struct ip_addr src = was->dst, dst = was->src;

    *ip = (struct ipv6_hdr){.ver_tc_flow = htobe32(0x60000000),
                            .plen = htobe16((uint16_t)icmp_len),
                            .next = IP_PROTO_ICMPV6,
                            .hop_limit = 64,
                            .src = src,
                            .dst = dst};
    *icmp = (struct icmp_too_big){.icmp = {.type = ICMPV6_TOO_BIG}, .mtu = htobe32(mtu)};
    memcpy(icmp + 1, was, n);
    icmp->icmp.csum =
        csum_finish(csum_bytes(csum_pseudo6(&src, &dst, IP_PROTO_ICMPV6, (uint32_t)icmp_len), icmp, icmp_len));
}

/* A copy of P with the L3 and L4 header that it came in with. */
static struct packet *as_it_came(const struct packet *p, const struct flow_key *key)
{
    struct packet *was = packet_clone(p);
    struct flow_key all;

    memset(&all, 0xff, sizeof(all));
    all.ipv6_label = htobe32(0xfffff);
    if (key->eth_type == htobe16(ETH_TYPE_IPV6)) {
        packet_set_ipv6(was, key, &all);
    } else {
        packet_set_ipv4(was, key, &all);
    }
    packet_set_tp(was, key, &all);
    return was;
}

/* Who floods a tunnel with what does not fit is told a thousand times a second (RFC 4443, 2.4 (f); RFC 1812, 4.3.2.8).
 */
static bool is_told_enough(struct us_port *port)
{
    static const struct dp_policing limit = {.rate_kpps = 1, .burst_kpkts = 1};

    policer_set(&port->told, &limit, port->dp->now_ms); /* once */
    return !policer_admit(&port->told, 0, 1, port->dp->now_ms);
}

void us_too_big(struct us_datapath *dp, const struct packet *p, const struct flow_key *key, unsigned int mtu)
{
    struct us_port *port = us_port_find(dp, key->in_port);
    bool v6 = key->eth_type == htobe16(ETH_TYPE_IPV6);
    size_t headers = (v6 ? sizeof(struct ipv6_hdr) : sizeof(struct ipv4_hdr)) + sizeof(struct icmp_too_big), n;
    struct packet *answer, *was;
    struct eth_hdr *eth;

    if (!port || port->gone || port->ops == &us_tunnel_ops || !may_answer(p, key) || (!v6 && mtu < IPV4_MTU_MIN) ||
        is_told_enough(port)) {
        return;
    }
    mtu = v6 ? MAX(mtu, IPV6_MTU_MIN) : mtu; /* what is no bigger than that goes in fragments of the outer packet */
    n = MIN(p->len - p->l3_ofs, (v6 ? ICMPV6_MAX : ICMPV4_MAX) - headers);
    answer = packet_new(NULL, sizeof(*eth) + headers + n);
    eth = (struct eth_hdr *)(void *)answer->data;
    *eth = (struct eth_hdr){.dst = key->eth_src, .src = key->eth_dst, .type = key->eth_type};
    was = as_it_came(p, key);
    if (v6) {
        write_ipv6((uint8_t *)(eth + 1), was, n, mtu);
    } else {
        write_ipv4((uint8_t *)(eth + 1), was, n, mtu);
    }
    for (size_t i = ARRAY_SIZE(key->vlan); i-- > 0;) {
        if (key->vlan[i].tci) {
            packet_push_vlan(answer, key->vlan[i]);
        }
    }
    port->ops->send(port, answer, key, NULL);
    packet_free(answer);
    packet_free(was);
}
