/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_PACKET_FRAMES_H
#define WARREN_TESTS_PACKET_FRAMES_H
/* Frames for tests: bytes from a hex string, L4 frames with right checksums, and a judge of checksums that works from
 * scratch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <endian.h>
#include <linux/virtio_net.h>

#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/packet.h"
#include "packet/segment.h"

/* Spaces in HEX are passed over. */
static inline struct packet *frame_from_hex(const char *hex)
{
    uint8_t buf[1024];
    size_t n = 0;
    int high = -1;

    for (; *hex; hex++) {
        int digit = *hex >= '0' && *hex <= '9' ? *hex - '0' : *hex >= 'a' && *hex <= 'f' ? *hex - 'a' + 10 : -1;

        if (digit < 0) {
            continue;
        }
        if (high < 0) {
            high = digit;
        } else {
            buf[n++] = (uint8_t)(high << 4 | digit);
            high = -1;
        }
    }
    return packet_new(buf, n);
}

/* Ethernet, IPv4 or IPv6, and an L4 header of PROTO with N bytes of payload. PARTIAL: the checksum is left to the
 * device. */
static inline struct packet *frame_l4(bool v6, uint8_t proto, size_t n, bool partial)
{
    size_t l4_hdr = proto == IP_PROTO_TCP ? 20 : proto == IP_PROTO_SCTP ? 12 : 8, l3 = v6 ? 40 : 20, len = l4_hdr + n;
    struct packet *p = packet_new(NULL, 14 + l3 + len);
    struct eth_hdr eth = {{{2, 0, 0, 0, 0, 2}}, {{2, 0, 0, 0, 0, 1}}, htobe16(v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4)};
    uint8_t *l4 = p->data + 14 + l3;
    struct flow_key key;
    uint64_t pseudo;
    size_t at;

    memcpy(p->data, &eth, 14);
    for (size_t i = 0; i < len; i++) {
        l4[i] = (uint8_t)(i * 31 + 5);
    }
    if (v6) {
        struct ipv6_hdr ip = {htobe32(6u << 28 | 0x12345), htobe16((uint16_t)len), proto, 64, {{{0}}}, {{{0}}}};

        struct ip_addr src, dst;

        inet_pton(AF_INET6, "2001:db8::1", &src);
        inet_pton(AF_INET6, "2001:db8::2", &dst);
        ip.src = src;
        ip.dst = dst;
        memcpy(p->data + 14, &ip, 40);
        pseudo = csum_pseudo6(&src, &dst, proto, (uint32_t)len);
    } else {
        struct ipv4_hdr ip = {.ver_ihl = 0x45,
                              .tot_len = htobe16((uint16_t)(20 + len)),
                              .id = htobe16(0xfffe),
                              .ttl = 64,
                              .proto = proto,
                              .src = htobe32(0x0a000001),
                              .dst = htobe32(0x0a000002)};

        ip.csum = csum_finish(csum_bytes(0, &ip, 20));
        memcpy(p->data + 14, &ip, 20);
        pseudo = proto == IP_PROTO_ICMP ? 0 : csum_pseudo4(ip.src, ip.dst, proto, (uint16_t)len);
    }
    if (proto == IP_PROTO_TCP) {
        l4[12] = 0x50;
        l4[13] = 0x99; /* CWR, ACK, PSH, FIN */
    } else if (proto == IP_PROTO_UDP) {
        __be16 udp_len = htobe16((uint16_t)len);

        memcpy(l4 + 4, &udp_len, 2);
    } else if (proto != IP_PROTO_SCTP) {
        l4[0] = v6 ? 128 : 8;
        l4[1] = 0;
    }
    at = proto == IP_PROTO_TCP ? 16 : proto == IP_PROTO_UDP ? 6 : proto == IP_PROTO_SCTP ? 8 : 2;
    memset(l4 + at, 0, proto == IP_PROTO_SCTP ? 4 : 2);
    p->offload = (struct packet_offload){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = (uint16_t)(14 + l3), .csum_offset = (uint16_t)at};
    if (proto != IP_PROTO_SCTP) {
        __be16 sum = csum_fold(pseudo);

        memcpy(l4 + at, &sum, 2);
    }
    if (!partial) {
        assert_int_equal(packet_complete_csum(p), 0);
    }
    flow_key_extract(p, &key);
    return p;
}

/* Verifies every checksum of P from scratch; a partial one as the device would make it. */
static inline void assert_csums(const struct packet *p)
{
    struct packet *q = packet_clone(p);
    struct flow_key key;
    bool v4;
    size_t len;
    uint64_t pseudo;

    assert_int_equal(packet_complete_csum(q), 0);
    flow_key_extract(q, &key);
    v4 = key.eth_type == htobe16(ETH_TYPE_IPV4);
    if (v4) {
        assert_int_equal(csum_finish(csum_bytes(0, q->data + q->l3_ofs, (q->data[q->l3_ofs] & 15u) * 4u)), 0);
        len = be16toh(((const struct ipv4_hdr *)(const void *)(q->data + q->l3_ofs))->tot_len) + q->l3_ofs - q->l4_ofs;
    } else {
        len =
            be16toh(((const struct ipv6_hdr *)(const void *)(q->data + q->l3_ofs))->plen) + q->l3_ofs + 40u - q->l4_ofs;
    }
    if (q->l4_ofs && key.ip_proto == IP_PROTO_SCTP) {
        struct sctp_hdr *sctp = (struct sctp_hdr *)(void *)(q->data + q->l4_ofs);
        __le32 have = sctp->csum;

        sctp->csum = 0;
        assert_int_equal(have, csum_crc32c(sctp, len));
    } else if (q->l4_ofs) {
        pseudo = v4 ? csum_pseudo4(key.ip_src.be32[3], key.ip_dst.be32[3], key.ip_proto, (uint16_t)len)
                    : csum_pseudo6(&key.ip_src, &key.ip_dst, key.ip_proto, (uint32_t)len);
        pseudo = v4 && key.ip_proto == IP_PROTO_ICMP ? 0 : pseudo;
        assert_int_equal(csum_finish(csum_bytes(pseudo, q->data + q->l4_ofs, len)), 0);
    }
    packet_free(q);
}

#endif
