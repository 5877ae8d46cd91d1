/* SPDX-License-Identifier: Apache-2.0 */
/* Edits, judged by checksums that are computed from scratch and by what the extraction then sees. */
#include "frames.h"

#include "packet/edit.h"

static const uint8_t protos[] = {IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_SCTP, IP_PROTO_ICMP, IP_PROTO_ICMPV6};

/* Runs FN on frames of each protocol that fits, with complete and partial checksums, bare, tagged and with odd lengths.
 */
static void for_frames(void (*fn)(struct packet *p, bool v6, uint8_t proto))
{
    for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
        for (unsigned int variant = 0; variant < 16; variant++) {
            bool v6 = variant & 1, partial = variant & 2;
            struct packet *p;
            struct flow_key key;

            if ((protos[i] == IP_PROTO_ICMP && v6) || (protos[i] == IP_PROTO_ICMPV6 && !v6)) {
                continue;
            }
            p = frame_l4(v6, protos[i], 32 + (variant >> 2 & 1), partial);
            if (variant & 8) {
                assert_int_equal(packet_push_vlan(p, (struct flow_vlan){htobe16(ETH_TYPE_VLAN), htobe16(0x1007)}), 0);
            }
            flow_key_extract(p, &key);
            assert_csums(p);
            fn(p, v6, protos[i]);
            assert_csums(p);
            packet_free(p);
        }
    }
}

static void edit_addresses(struct packet *p, bool v6, uint8_t proto)
{
    struct flow_key key = {0}, mask = {0}, seen;

    (void)proto;
    if (v6) {
        inet_pton(AF_INET6, "fe80::dead:beef", &key.ip_src);
        memset(&mask.ip_src, 0xff, 16);
        key.ip_dst.b[15] = 0x77; /* only the last byte */
        mask.ip_dst.b[15] = 0xff;
        key.ip_tos = 0xb8, mask.ip_tos = 0xfc;
        key.ip_ttl = 9, mask.ip_ttl = 0xff;
        key.ipv6_label = htobe32(0xabcde), mask.ipv6_label = htobe32(0xfffff);
        assert_int_equal(packet_set_ipv4(p, &key, &mask), -EINVAL);
        assert_int_equal(packet_set_ipv6(p, &key, &mask), 0);
    } else {
        key.ip_src.be32[3] = htobe32(0xc0a80101), mask.ip_src.be32[3] = 0xffffffff;
        key.ip_dst.be32[3] = htobe32(0x00000077), mask.ip_dst.be32[3] = htobe32(0xff);
        key.ip_tos = 0xb8, mask.ip_tos = 0xfc;
        key.ip_ttl = 9, mask.ip_ttl = 0xff;
        assert_int_equal(packet_set_ipv6(p, &key, &mask), -EINVAL);
        assert_int_equal(packet_set_ipv4(p, &key, &mask), 0);
    }
    flow_key_extract(p, &seen);
    assert_memory_equal(&seen.ip_src, &key.ip_src, 16);
    assert_int_equal(seen.ip_dst.b[15], 0x77);
    assert_int_equal(seen.ip_dst.b[12], v6 ? 0 : 10);
    assert_int_equal(seen.ip_tos, 0xb8);
    assert_int_equal(seen.ip_ttl, 9);
    assert_int_equal(seen.ipv6_label, key.ipv6_label);
}

static void edit_ports(struct packet *p, bool v6, uint8_t proto)
{
    struct flow_key key = {.tp_src = htobe16(40), .tp_dst = htobe16(3)}, mask = {.tp_src = 0xffff, .tp_dst = 0xffff},
                    seen;

    (void)v6;
    (void)proto;
    assert_int_equal(packet_set_tp(p, &key, &mask), 0);
    flow_key_extract(p, &seen);
    assert_int_equal(seen.tp_src, htobe16(40));
    assert_int_equal(seen.tp_dst, htobe16(3));
}

static void test_addresses(void **state)
{
    (void)state;
    for_frames(edit_addresses);
}

static void test_ports(void **state)
{
    (void)state;
    for_frames(edit_ports);
}

/* A UDP packet without a checksum keeps having none; one that comes out as zero is sent as 0xffff. */
static void test_udp_zero(void **state)
{
    struct packet *p = frame_l4(false, IP_PROTO_UDP, 10, false);
    struct flow_key key = {0}, mask = {.tp_src = 0xffff, .ip_dst.be32[3] = 0xffffffff};
    uint8_t *csum = p->data + 34 + 6;

    (void)state;
    csum[0] = csum[1] = 0;
    assert_int_equal(packet_set_ipv4(p, &key, &mask), 0);
    assert_int_equal(packet_set_tp(p, &key, &mask), 0);
    assert_int_equal(csum[0] | csum[1], 0);
    packet_free(p);
    p = frame_l4(false, IP_PROTO_UDP, 10, false);
    csum = p->data + 34 + 6;
    for (unsigned int port = 0; port < 65536; port++) {
        key.tp_src = htobe16((uint16_t)port);
        assert_int_equal(packet_set_tp(p, &key, &mask), 0);
        assert_true(csum[0] | csum[1]);
    }
    assert_csums(p);
    packet_free(p);
}

static void test_vlan_and_mpls(void **state)
{
    struct packet *p = frame_l4(true, IP_PROTO_TCP, 3, true), *before = packet_clone(p);
    struct flow_key key, set = {.vlan[0].tci = htobe16(0x2123)}, mask = {.vlan[0].tci = htobe16(0x0fff)};
    struct flow_key lse = {.mpls_lse[0] = htobe32(0x99)}, lse_mask = {.mpls_lse[0] = htobe32(0xff)};

    (void)state;
    assert_int_equal(packet_pop_vlan(p), -EINVAL);
    assert_int_equal(packet_set_vlan(p, &set, &mask), -EINVAL);
    assert_int_equal(packet_push_vlan(p, (struct flow_vlan){htobe16(ETH_TYPE_VLAN), htobe16(0x7005)}), 0);
    assert_int_equal(packet_push_vlan(p, (struct flow_vlan){htobe16(ETH_TYPE_SVLAN), htobe16(6)}), 0);
    assert_int_equal(p->offload.csum_start, before->offload.csum_start + 8);
    assert_int_equal(packet_set_vlan(p, &set, &mask), 0);
    flow_key_extract(p, &key);
    assert_int_equal(key.vlan[0].tpid, htobe16(ETH_TYPE_SVLAN));
    assert_int_equal(key.vlan[0].tci, htobe16(0x1123));
    assert_int_equal(key.vlan[1].tci, htobe16(0x7005)); /* the CFI bit was not written, but the key says present */
    assert_int_equal(key.eth_type, htobe16(ETH_TYPE_IPV6));
    assert_int_equal(packet_push_mpls(p, htobe32(0x12345140), htobe16(ETH_TYPE_MPLS)), 0);
    assert_int_equal(packet_push_mpls(p, htobe32(0x54321040), htobe16(ETH_TYPE_MPLS)), 0);
    assert_int_equal(packet_set_ipv6(p, &set, &mask), -EINVAL);
    assert_int_equal(packet_set_mpls(p, &lse, &lse_mask), 0);
    flow_key_extract(p, &key);
    assert_int_equal(key.eth_type, htobe16(ETH_TYPE_MPLS));
    assert_int_equal(key.mpls_lse[0], htobe32(0x54321099));
    assert_int_equal(key.mpls_lse[1], htobe32(0x12345140));
    assert_int_equal(packet_pop_mpls(p, htobe16(ETH_TYPE_MPLS)), 0);
    assert_int_equal(packet_pop_mpls(p, htobe16(ETH_TYPE_IPV6)), 0);
    assert_int_equal(packet_pop_mpls(p, htobe16(ETH_TYPE_IPV6)), -EINVAL);
    assert_int_equal(packet_pop_vlan(p), 0);
    assert_int_equal(packet_pop_vlan(p), 0);
    assert_int_equal(p->len, before->len);
    assert_memory_equal(p->data, before->data, p->len);
    assert_memory_equal(&p->offload, &before->offload, sizeof(p->offload));
    packet_free(p);
    packet_free(before);
}

static void test_arp(void **state)
{
    struct packet *p = frame_from_hex(
        "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002");
    struct flow_key key, set = {.ip_proto = 2, .arp_sha = {{2, 0, 0, 0, 0, 9}}, .arp_tha = {{2, 0, 0, 0, 0, 1}}},
                         mask = {.ip_proto = 0xff};

    (void)state;
    set.ip_src.be32[3] = htobe32(0x0a000002), mask.ip_src.be32[3] = 0xffffffff;
    set.ip_dst.be32[3] = htobe32(0x0a000001), mask.ip_dst.be32[3] = 0xffffffff;
    memset(&mask.arp_sha, 0xff, 6);
    memset(&mask.arp_tha, 0xff, 6);
    flow_key_extract(p, &key);
    assert_int_equal(packet_set_arp(p, &set, &mask), 0);
    flow_key_extract(p, &key);
    assert_int_equal(key.ip_proto, 2);
    assert_memory_equal(&key.arp_sha, &set.arp_sha, 6);
    assert_memory_equal(&key.arp_tha, &set.arp_tha, 6);
    assert_memory_equal(&key.ip_src, &set.ip_src, 16);
    assert_memory_equal(&key.ip_dst, &set.ip_dst, 16);
    assert_int_equal(packet_set_tp(p, &set, &mask), -EINVAL);
    packet_free(p);
}

static void test_nd(void **state)
{
    struct packet *p = frame_l4(true, IP_PROTO_ICMPV6, 24, true);
    struct flow_key key, set = {.arp_sha = {{2, 1, 1, 1, 1, 1}}}, mask = {0};
    uint8_t *icmp = p->data + 54;

    (void)state;
    icmp[0] = ND_SOLICIT;
    icmp[24] = ND_OPT_SLL;
    icmp[25] = 1;
    assert_int_equal(packet_complete_csum(p), 0);
    flow_key_extract(p, &key);
    assert_memory_equal(&key.arp_sha, icmp + 26, 6);
    assert_memory_equal(&key.nd_target, icmp + 8, 16);
    inet_pton(AF_INET6, "fe80::5", &set.nd_target);
    memset(&mask.nd_target, 0xff, 16);
    memset(&mask.arp_sha, 0xff, 6);
    assert_int_equal(packet_set_nd(p, &set, &mask), 0);
    assert_csums(p);
    flow_key_extract(p, &key);
    assert_memory_equal(&key.nd_target, &set.nd_target, 16);
    assert_memory_equal(&key.arp_sha, &set.arp_sha, 6);
    packet_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),     cmocka_unit_test(test_ports), cmocka_unit_test(test_udp_zero),
        cmocka_unit_test(test_vlan_and_mpls), cmocka_unit_test(test_arp),   cmocka_unit_test(test_nd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
