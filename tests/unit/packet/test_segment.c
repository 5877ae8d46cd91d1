/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"
#include "packet/tunnel.h"

static void check(bool v6, bool tcp, size_t n, uint16_t mss)
{
    struct packet *p = frame_l4(v6, tcp ? IP_PROTO_TCP : IP_PROTO_UDP, n, true), seg = {0};
    size_t l3 = 14, l4 = l3 + (v6 ? 40 : 20), hdr = l4 + (tcp ? 20 : 8), at = 0, count = 0;
    struct segmenter s;

    p->offload.gso_type = tcp ? (v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4) | VIRTIO_NET_HDR_GSO_ECN : 5;
    p->offload.gso_size = mss;
    p->pkt_mark = 7;
    p->priority = 9;
    assert_int_equal(segmenter_init(&s, p), 0);
    while (segmenter_next(&s, &seg)) {
        const struct tcp_hdr *th = (const struct tcp_hdr *)(const void *)(seg.data + l4);
        const struct tcp_hdr *first = (const struct tcp_hdr *)(const void *)(p->data + l4);
        size_t payload = seg.len - hdr;
        bool last = at + payload == n;

        assert_true(payload <= mss && (payload == mss || last));
        assert_memory_equal(seg.data + hdr, p->data + hdr + at, payload);
        assert_csums(&seg);
        assert_int_equal(seg.offload.gso_type | seg.offload.flags, 0);
        assert_int_equal(seg.pkt_mark, 7);
        assert_int_equal(seg.priority, 9);
        if (tcp) {
            assert_int_equal(be32toh(th->seq), be32toh(first->seq) + (uint32_t)at);
            assert_int_equal(be16toh(th->off_flags) & 0xff, 0x10 | (last ? TCP_FIN | TCP_PSH : 0) | (at ? 0 : TCP_CWR));
        } else {
            assert_int_equal(be16toh(((const struct udp_hdr *)(const void *)th)->len), payload + 8);
        }
        if (!v6) {
            assert_int_equal(be16toh(((const struct ipv4_hdr *)(const void *)(seg.data + l3))->id),
                             (uint16_t)(0xfffe + count));
        }
        at += payload;
        count++;
    }
    assert_int_equal(at, n);
    assert_int_equal(count, DIV_ROUND_UP(n, mss));
    packet_done(&seg);
    packet_free(p);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {1, 99, 100, 101, 1000, 64000};

    (void)state;
    for (unsigned int v = 0; v < 4; v++) {
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
            check(v & 1, v & 2, sizes[i], 100);
            check(v & 1, v & 2, sizes[i], 1447);
        }
    }
}

/* Takes a segment of P out of its tunnel, whose headers must be right, and all that was in front of it equal to P's.
 * Returns the inner frame. */
static struct packet *unwrap(const struct packet *p, const struct packet *seg, enum tunnel_type kind, size_t index)
{
    bool v6 = p->data[14] >> 4 == 6;
    size_t hdr_len, len = v6 ? 40 : 20;
    struct flow_tunnel t;
    struct packet *inner;

    assert_int_equal(tunnel_parse(kind, seg->data + 14, seg->len - 14, 4789, &t, &hdr_len), DROP_NONE);
    if (v6) {
        assert_int_equal(be16toh(((const struct ipv6_hdr *)(const void *)(seg->data + 14))->plen), seg->len - 54);
    } else {
        const struct ipv4_hdr *ip = (const struct ipv4_hdr *)(const void *)(seg->data + 14);

        assert_int_equal(be16toh(ip->tot_len), seg->len - 14);
        assert_int_equal(be16toh(ip->id), index);
    }
    if (kind != TUNNEL_GRE) {
        assert_int_equal(be16toh(((const struct udp_hdr *)(const void *)(seg->data + 14 + len))->len),
                         seg->len - 14 - len);
    }
    assert_memory_equal(seg->data, p->data, 14);
    assert_memory_equal(seg->data + 22 + len, p->data + 22 + len, hdr_len - 8 - len);
    inner = packet_new(seg->data + 14 + hdr_len, seg->len - 14 - hdr_len);
    assert_csums(inner);
    return inner;
}

/* A super-packet in a tunnel of its sender's own: every header of each segment is right. */
static void test_tunnelled(void **state)
{
    static const uint8_t outer_eth[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};

    (void)state;
    for (unsigned int v = 0; v < 3 * 16; v++) {
        bool v6 = v & 1, tcp = v & 2, outer6 = v & 4, csum = v & 8;
        enum tunnel_type kind = (enum tunnel_type)(v / 16);
        struct packet *p = frame_l4(v6, tcp ? IP_PROTO_TCP : IP_PROTO_UDP, 3500, true), seg = {0}, *inner;
        struct flow_tunnel t = {.id = htobe64(5),
                                .src = outer6 ? (struct ip_addr){.b = {0xfd, [15] = 1}} : ip_addr_from_v4(htobe32(1)),
                                .dst = outer6 ? (struct ip_addr){.b = {0xfd, [15] = 2}} : ip_addr_from_v4(htobe32(2)),
                                .flags = (uint16_t)(FLOW_TNL_KEY | (csum ? FLOW_TNL_CSUM : 0)),
                                .ttl = 64};
        size_t l4 = v6 ? 54 : 34, hdr_len = l4 + (tcp ? 20 : 8), at = 0, count = 0, all;
        struct packet *whole = packet_clone(p);
        struct segmenter s;
        struct flow_key key;
        uint8_t *eth;

        p->offload.gso_type = !tcp ? 5 : v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        p->offload.gso_size = 1000;
        all = p->len;
        tunnel_push(p, kind, &t, 40000, 4789, true);
        eth = packet_push(p, 14);
        memcpy(eth, outer_eth, sizeof(outer_eth));
        eth[12] = outer6 ? 0x86 : 8;
        eth[13] = outer6 ? 0xdd : 0;
        flow_key_extract(p, &key);
        assert_true(packet_gso_is_tunnelled(p));
        assert_int_equal(packet_gso_hdr_len(p), p->len - all + hdr_len);
        assert_int_equal(segmenter_init(&s, p), 0);
        while (segmenter_next(&s, &seg)) {
            inner = unwrap(p, &seg, kind, count);
            assert_memory_equal(inner->data + hdr_len, whole->data + hdr_len + at, inner->len - hdr_len);
            assert_int_equal(inner->len - hdr_len, MIN((size_t)1000, 3500 - at));
            at += inner->len - hdr_len;
            count++;
            packet_free(inner);
        }
        assert_int_equal(at, 3500);
        p->data[p->offload.csum_start - (v6 ? 40 : 20)] ^= 0xf0; /* no IP header where one must be */
        assert_int_equal(segmenter_init(&s, p), -EINVAL);
        packet_done(&seg);
        packet_free(p);
        packet_free(whole);
    }
}

static void test_refusals(void **state)
{
    struct packet *p = frame_l4(false, IP_PROTO_TCP, 100, true);
    struct segmenter s;

    (void)state;
    p->offload.gso_size = 10;
    p->offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV6; /* but it is IPv4 */
    assert_int_equal(segmenter_init(&s, p), -EINVAL);
    p->offload.gso_type = VIRTIO_NET_HDR_GSO_UDP; /* UFO */
    assert_int_equal(segmenter_init(&s, p), -EINVAL);
    p->offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    p->offload.gso_size = 0;
    assert_int_equal(segmenter_init(&s, p), -EINVAL);
    p->offload.gso_size = 10;
    p->data[34 + 12] = 0xf0; /* a TCP header of 60 bytes */
    assert_int_equal(segmenter_init(&s, p), 0);
    p->len = 90;
    assert_int_equal(segmenter_init(&s, p), -EINVAL);
    p->data[34 + 12] = 0x10;
    assert_int_equal(segmenter_init(&s, p), -EINVAL);
    p->offload.csum_start = 89;
    assert_int_equal(packet_complete_csum(p), -EINVAL);
    packet_free(p);
}

/* Who may send through a virtio-net header may not have thousands of frames made of one packet; what a kernel sends at
 * the smallest MSS that it takes (48, of which timestamps have 12) is cut. */
static void test_too_many(void **state WR_UNUSED)
{
    for (unsigned int tcp = 0; tcp < 2; tcp++) {
        struct packet *p = frame_l4(false, tcp ? IP_PROTO_TCP : IP_PROTO_UDP, 65000, true);
        struct segmenter s;

        p->offload.gso_type = tcp ? VIRTIO_NET_HDR_GSO_TCPV4 : 5;
        p->offload.gso_size = 36;
        assert_int_equal(segmenter_init(&s, p), 0);
        p->offload.gso_size = 31; /* 2097 pieces */
        assert_int_equal(segmenter_init(&s, p), -E2BIG);
        p->offload.gso_size = 1;
        assert_int_equal(segmenter_init(&s, p), -E2BIG);
        p->len = 34 + (tcp ? 20 : 8) + SEGMENTS_MAX;
        assert_int_equal(segmenter_init(&s, p), 0);
        p->len++;
        assert_int_equal(segmenter_init(&s, p), -E2BIG);
        packet_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_tunnelled),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_too_many)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
