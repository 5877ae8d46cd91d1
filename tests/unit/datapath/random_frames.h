/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_RANDOM_FRAMES_H
#define WARREN_TESTS_RANDOM_FRAMES_H
/* Random numbers that are the same in every run, and frames of all kinds, whole and broken, that are made of them. One
 * test program includes this once. */
#include <endian.h>

#include "packet/checksum.h"
#include "packet/headers.h"

static uint64_t seed = 1;

static WR_UNUSED uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 20) % n;
}

struct builder {
    uint8_t b[512];
    size_t n;
};

/* Fills N bytes at P; returns P. */
static void *random_bytes(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rnd(256);
    }
    return p;
}

static void *put(struct builder *f, size_t n)
{
    f->n += n;
    return random_bytes(f->b + f->n - n, n);
}

static void put_be16(struct builder *f, uint16_t v)
{
    uint8_t *p = put(f, 2);

    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put_nd(struct builder *f)
{
    put(f, 20);
    for (uint32_t n = rnd(6); n; n--) {
        uint8_t *opt = put(f, 8);

        opt[0] = (uint8_t)(1 + rnd(3));
        opt[1] = (uint8_t)(rnd(8) ? 1 : rnd(3));
    }
}

static void put_l4(struct builder *f, uint8_t proto)
{
    uint8_t *p;

    switch (proto) {
    case IP_PROTO_TCP:
        p = put(f, 20);
        p[12] = 0x50;
        break;
    case IP_PROTO_UDP:
        put(f, 8);
        break;
    case IP_PROTO_SCTP:
        put(f, 12);
        break;
    case IP_PROTO_ICMPV6:
        p = put(f, 4);
        p[0] = (uint8_t)(134 + rnd(4));
        p[1] = (uint8_t)(rnd(4) == 0);
        put_nd(f);
        break;
    default:
        put(f, rnd(20));
        break;
    }
    put(f, rnd(30));
}

static uint8_t random_proto(bool v6)
{
    static const uint8_t protos[] = {IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_SCTP, IP_PROTO_ICMP, IP_PROTO_ICMPV6, 89};
    uint8_t proto = protos[rnd(ARRAY_SIZE(protos))];

    return v6 && proto == IP_PROTO_ICMP ? IP_PROTO_ICMPV6 : proto;
}

static void put_ipv4(struct builder *f)
{
    size_t at = f->n, options = rnd(8) ? 0 : rnd(11) * 4;
    struct ipv4_hdr *ip = put(f, sizeof(*ip));

    ip->ver_ihl = (uint8_t)(0x45 + options / 4);
    ip->proto = random_proto(false);
    ip->frag_off = htobe16((uint16_t)(rnd(8) ? (rnd(2) ? IPV4_DF : 0) : rnd(0x4000)));
    put(f, options);
    put_l4(f, ip->proto);
    ip->tot_len = htobe16((uint16_t)(f->n - at));
    ip->csum = 0;
    ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip) + options));
    if (!rnd(10)) {
        ip->tot_len = htobe16((uint16_t)rnd(400));
    }
    if (!rnd(30)) {
        ip->ver_ihl = (uint8_t)rnd(256);
    }
    if (!rnd(4)) {
        put(f, rnd(60)); /* padding */
    }
}

static void put_ipv6(struct builder *f)
{
    static const uint8_t exts[] = {0, 43, 44, 51, 60, 135};
    size_t at = f->n;
    struct ipv6_hdr *ip = put(f, sizeof(*ip));
    uint8_t *next = &ip->next, *e;

    ip->ver_tc_flow = htobe32(0x60000000u | rnd(0x10000000));
    for (uint32_t n = rnd(3) ? 0 : rnd(5); n; n--) {
        *next = exts[rnd(ARRAY_SIZE(exts))];
        e = put(f, 8);
        next = e;
        e[1] = 0;
        if (rnd(2)) {
            e[2] = e[3] = 0; /* an atomic fragment, should it be one */
        }
    }
    *next = random_proto(true);
    put_l4(f, *next);
    ip->plen = htobe16((uint16_t)(f->n - at - sizeof(*ip)));
    if (!rnd(10)) {
        ip->plen = htobe16((uint16_t)rnd(300));
    }
}

static WR_UNUSED void random_frame(struct builder *f)
{
    f->n = 0;
    put(f, 12);
    for (uint32_t n = rnd(3) ? 0 : rnd(4); n; n--) {
        put_be16(f, rnd(2) ? ETH_TYPE_VLAN : ETH_TYPE_SVLAN);
        put(f, 2);
    }
    switch (rnd(10)) {
    case 0:
        put_be16(f, rnd(5) ? ETH_TYPE_ARP : ETH_TYPE_RARP);
        {
            uint8_t *arp = put(f, 28);

            memcpy(arp, "\0\1\10\0\6\4\0", 7);
        }
        break;
    case 1:
        put_be16(f, (uint16_t)rnd(0x700));
        memcpy(put(f, 8), "\xaa\xaa\3\0\0\0\x08", 7);
        put(f, rnd(50));
        break;
    case 2:
        put_be16(f, (uint16_t)rnd(65536));
        put(f, rnd(60));
        break;
    case 9:
        put_be16(f, rnd(2) ? ETH_TYPE_MPLS : ETH_TYPE_MPLS_MCAST);
        put(f, rnd(24)); /* the bottom-of-stack bits fall as they may */
        break;
    case 3:
    case 4:
    case 5:
        put_be16(f, ETH_TYPE_IPV4);
        put_ipv4(f);
        break;
    default:
        put_be16(f, ETH_TYPE_IPV6);
        put_ipv6(f);
        break;
    }
    if (f->n < 16) {
        put(f, 2);
    }
    if (!rnd(6)) {
        f->n = 15 + rnd((uint32_t)f->n - 14); /* the kernel tests no bare Ethernet header */
    }
    if (!rnd(8)) {
        f->b[rnd((uint32_t)f->n)] = (uint8_t)rnd(256);
    }
}

/* Newer kernels do not run tests on frames that end inside the IP header. */
static WR_UNUSED bool kernel_refuses(const struct builder *f)
{
    uint16_t type = (uint16_t)(f->b[12] << 8 | f->b[13]);

    return (type == ETH_TYPE_IPV4 && f->n < 14 + sizeof(struct ipv4_hdr)) ||
           (type == ETH_TYPE_IPV6 && f->n < 14 + sizeof(struct ipv6_hdr));
}

#endif
