/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_refusals)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
