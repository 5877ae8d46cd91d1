/* SPDX-License-Identifier: Apache-2.0 */
/* A table of frames and the keys they give; then every cut of every frame, and every byte changed, must be survived. */
#include "frames.h"

#define ETH "020000000002 020000000001 "
#define V4 "0a000001 0a000002 "
#define V6 "20010db8000000000000000000000001 20010db8000000000000000000000002 "

struct expect {
    uint16_t eth_type, vlan0, vlan1, tp_src, tp_dst, tcp_flags;
    uint8_t proto, tos, ttl, frag;
    uint32_t src, dst; /* last words of ip_src, ip_dst */
    uint32_t label, lse[2];
    uint16_t l2_5, l3, l4; /* offsets */
};

static const struct {
    const char *name, *hex;
    struct expect e;
} frames[] = {
    {"unknown type", ETH "88b5 0102", {.eth_type = 0x88b5}},
    {"802.3 with LLC", ETH "0003 424203", {.eth_type = FLOW_ETH_TYPE_NONE}},
    {"802.3 with SNAP",
     ETH "0024 aaaa03 000000 0806 0001 0800 0604 0001 020000000001 0a000001 000000000000 0a000002",
     {.eth_type = 0x0806, .proto = 1, .src = 0x0a000001, .dst = 0x0a000002, .l3 = 22}},
    {"ARP reply",
     ETH "0806 0001 0800 0604 0002 020000000001 0a000001 020000000002 0a000002",
     {.eth_type = 0x0806, .proto = 2, .src = 0x0a000001, .dst = 0x0a000002, .l3 = 14}},
    {"ARP of another hardware",
     ETH "0806 0006 0800 0604 0002 020000000001 0a000001 020000000002 0a000002",
     {.eth_type = 0x0806, .l3 = 14}},
    {"UDP",
     ETH "0800 45b8 001c 0001 0000 4011 0000" V4 "04d2 0050 0008 0000",
     {.eth_type = 0x0800,
      .proto = 17,
      .tos = 0xb8,
      .ttl = 64,
      .src = 0x0a000001,
      .dst = 0x0a000002,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 14,
      .l4 = 34}},
    {"UDP with IP options",
     ETH "0800 4600 0020 0001 0000 4011 0000" V4 "01010100 04d2 0050 0008 0000",
     {.eth_type = 0x0800,
      .proto = 17,
      .ttl = 64,
      .src = 0x0a000001,
      .dst = 0x0a000002,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 14,
      .l4 = 38}},
    {"TCP with padding behind",
     ETH "0800 4500 0028 0001 4000 4006 0000" V4 "04d2 0050 00000001 00000002 5112 ffff 0000 0000 000000000000",
     {.eth_type = 0x0800,
      .proto = 6,
      .ttl = 64,
      .src = 0x0a000001,
      .dst = 0x0a000002,
      .tp_src = 1234,
      .tp_dst = 80,
      .tcp_flags = 0x112,
      .l3 = 14,
      .l4 = 34}},
    {"first fragment",
     ETH "0800 4500 001c 0001 2000 4011 0000" V4 "04d2 0050 0008 0000",
     {.eth_type = 0x0800,
      .proto = 17,
      .ttl = 64,
      .frag = 1,
      .src = 0x0a000001,
      .dst = 0x0a000002,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 14,
      .l4 = 34}},
    {"later fragment",
     ETH "0800 4500 001c 0001 0010 4011 0000" V4 "04d2 0050 0008 0000",
     {.eth_type = 0x0800, .proto = 17, .ttl = 64, .frag = 3, .src = 0x0a000001, .dst = 0x0a000002, .l3 = 14}},
    {"ICMP",
     ETH "0800 4500 001c 0001 0000 4001 0000" V4 "0301 0000 00000000",
     {.eth_type = 0x0800,
      .proto = 1,
      .ttl = 64,
      .src = 0x0a000001,
      .dst = 0x0a000002,
      .tp_src = 3,
      .tp_dst = 1,
      .l3 = 14,
      .l4 = 34}},
    {"SCTP",
     ETH "0800 4500 0020 0001 0000 4084 0000" V4 "04d2 0050 00000000 00000000",
     {.eth_type = 0x0800,
      .proto = 132,
      .ttl = 64,
      .src = 0x0a000001,
      .dst = 0x0a000002,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 14,
      .l4 = 34}},
    {"IPv4, tot_len beyond the frame",
     ETH "0800 4500 001d 0001 0000 4011 0000" V4 "04d2 0050 0008 0000",
     {.eth_type = 0x0800}},
    {"IPv4, header too short", ETH "0800 4400 001c 0001 0000 4011 0000" V4 "04d2 0050 0008 0000", {.eth_type = 0x0800}},
    {"IPv4 of version 5", ETH "0800 5500 001c 0001 0000 4011 0000" V4 "04d2 0050 0008 0000", {.eth_type = 0x0800}},
    {"UDP cut",
     ETH "0800 4500 001b 0001 0000 4011 0000" V4 "04d2 0050 0008 00",
     {.eth_type = 0x0800, .proto = 17, .ttl = 64, .src = 0x0a000001, .dst = 0x0a000002, .l3 = 14}},
    {"VLAN", ETH "8100 2064 88b5", {.eth_type = 0x88b5, .vlan0 = 0x3064}},
    {"QinQ",
     ETH "88a8 0002 8100 0003 0800 4500 001c 0001 0000 4011 0000" V4 "04d2 0050 0008 0000",
     {.eth_type = 0x0800,
      .vlan0 = 0x1002,
      .vlan1 = 0x1003,
      .proto = 17,
      .ttl = 64,
      .src = 0x0a000001,
      .dst = 0x0a000002,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 22,
      .l4 = 42}},
    {"three tags", ETH "8100 0001 8100 0002 8100 0003 0800", {.eth_type = 0x8100, .vlan0 = 0x1001, .vlan1 = 0x1002}},
    {"MPLS", ETH "8847 00064040 00065140 4500", {.eth_type = 0x8847, .lse = {0x64040, 0x65140}, .l2_5 = 14}},
    {"TCP over IPv6",
     ETH "86dd 6ab12345 0014 06 3f" V6 "04d2 0050 00000001 00000002 5002 ffff 0000 0000",
     {.eth_type = 0x86dd,
      .proto = 6,
      .tos = 0xab,
      .ttl = 63,
      .label = 0x12345,
      .src = 1,
      .dst = 2,
      .tp_src = 1234,
      .tp_dst = 80,
      .tcp_flags = 2,
      .l3 = 14,
      .l4 = 54}},
    {"extension headers",
     ETH "86dd 60000000 0028 00 40" V6 "3c00 010400000000 3301 01020304050600000000000000ff"
         "1104 000000000000"
         "04d2 0050 0008 0000",
     {.eth_type = 0x86dd, .ttl = 64, .src = 1, .dst = 2, .l3 = 14}}, /* the AH says it is longer than the packet */
    {"hop-by-hop and UDP",
     ETH "86dd 60000000 0010 00 40" V6 "1100 010400000000 04d2 0050 0008 0000",
     {.eth_type = 0x86dd,
      .proto = 17,
      .ttl = 64,
      .src = 1,
      .dst = 2,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 14,
      .l4 = 62}},
    {"AH and UDP",
     ETH "86dd 60000000 0014 33 40" V6 "1101 0000 00000000 00000000 04d2 0050 0008 0000",
     {.eth_type = 0x86dd,
      .proto = 17,
      .ttl = 64,
      .src = 1,
      .dst = 2,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 14,
      .l4 = 66}},
    {"first IPv6 fragment",
     ETH "86dd 60000000 0010 2c 40" V6 "1100 0001 00000001 04d2 0050 0008 0000",
     {.eth_type = 0x86dd,
      .proto = 17,
      .ttl = 64,
      .frag = 1,
      .src = 1,
      .dst = 2,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 14,
      .l4 = 62}},
    {"later IPv6 fragment",
     ETH "86dd 60000000 0010 2c 40" V6 "1100 0008 00000001 04d2 0050 0008 0000",
     {.eth_type = 0x86dd, .proto = 44, .ttl = 64, .frag = 3, .src = 1, .dst = 2, .l3 = 14}},
    {"atomic fragment",
     ETH "86dd 60000000 0010 2c 40" V6 "1100 0000 00000001 04d2 0050 0008 0000",
     {.eth_type = 0x86dd,
      .proto = 17,
      .ttl = 64,
      .src = 1,
      .dst = 2,
      .tp_src = 1234,
      .tp_dst = 80,
      .l3 = 14,
      .l4 = 62}},
    {"ICMPv6",
     ETH "86dd 60000000 0008 3a 40" V6 "8000 0000 00000000",
     {.eth_type = 0x86dd, .proto = 58, .ttl = 64, .src = 1, .dst = 2, .tp_src = 128, .l3 = 14, .l4 = 54}},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        struct packet *p = frame_from_hex(frames[i].hex);
        const struct expect *e = &frames[i].e;
        struct flow_key key;

        p->in_port = dp_port(7);
        print_message("%s\n", frames[i].name);
        flow_key_extract(p, &key);
        assert_int_equal(dp_port_u32(key.in_port), 7);
        assert_memory_equal(&key.eth_dst, p->data, 12);
        assert_int_equal(be16toh(key.eth_type), e->eth_type);
        assert_int_equal(be16toh(key.vlan[0].tci), e->vlan0);
        assert_int_equal(be16toh(key.vlan[1].tci), e->vlan1);
        assert_int_equal(key.ip_proto, e->proto);
        assert_int_equal(key.ip_tos, e->tos);
        assert_int_equal(key.ip_ttl, e->ttl);
        assert_int_equal(key.ip_frag, e->frag);
        assert_int_equal(be32toh(key.ip_src.be32[3]), e->src);
        assert_int_equal(be32toh(key.ip_dst.be32[3]), e->dst);
        assert_int_equal(be32toh(key.ipv6_label), e->label);
        assert_int_equal(be32toh(key.mpls_lse[0]), e->lse[0]);
        assert_int_equal(be32toh(key.mpls_lse[1]), e->lse[1]);
        assert_int_equal(be16toh(key.tp_src), e->tp_src);
        assert_int_equal(be16toh(key.tp_dst), e->tp_dst);
        assert_int_equal(be16toh(key.tcp_flags), e->tcp_flags);
        assert_int_equal(p->l2_5_ofs, e->l2_5);
        assert_int_equal(p->l3_ofs, e->l3);
        assert_int_equal(p->l4_ofs, e->l4);
        packet_free(p);
    }
}

/* The bytes lie at the end of an allocation of just their size, so that a sanitizer sees a read beyond them. */
static void extract_at_end(const uint8_t *data, size_t len)
{
    uint8_t *buf = malloc(len ? len : 1);
    struct packet p;
    struct flow_key key;

    memcpy(buf, data, len);
    packet_init(&p, buf, len, 0);
    p.len = len;
    flow_key_extract(&p, &key);
    assert_true(p.l3_ofs <= len && p.l4_ofs <= len && p.l2_5_ofs <= len);
    flow_key_hash5(&key);
    free(buf);
}

/* Whatever connections differ in, their hashes spread over 64 source ports as chance would have it; fragments and ICMP
 * have one for all. */
static void test_hash(void **state)
{
    static const struct {
        uint8_t eth_type; /* 4, 6; 0: no IP */
        uint8_t proto, frag;
        char field; /* that differs */
        bool spreads;
    } table[] = {
        {4, 6, 0, 's', true},
        {4, 6, 0, 'd', true},
        {4, 17, 0, 'S', true},
        {4, 17, 0, 'D', true},
        {6, 6, 0, 's', true},
        {6, 17, 0, 'd', true},
        {6, 132, 0, 'S', true},
        {0, 0, 0, 'e', true},
        {4, 1, 0, 'S', false},
        {6, 58, 0, 'D', false},
        {4, 17, FLOW_FRAG_ANY, 'S', false},
        {6, 17, FLOW_FRAG_ANY, 'f', false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        unsigned int seen[64] = {0}, most = 0;

        for (uint32_t n = 0; n < 64 * 64; n++) {
            struct flow_key key = {.ip_proto = table[i].proto, .ip_frag = table[i].frag};
            struct ip_addr *a = table[i].field == 's' ? &key.ip_src : &key.ip_dst;

            key.eth_type = htobe16(table[i].eth_type == 4   ? ETH_TYPE_IPV4
                                   : table[i].eth_type == 6 ? ETH_TYPE_IPV6
                                                            : ETH_TYPE_ARP);
            key.ip_src.be32[3] = htobe32(0x0a000001);
            key.ip_dst.be32[3] = htobe32(0x0a000002);
            switch (table[i].field) {
            case 'S':
                key.tp_src = htobe16((uint16_t)n);
                break;
            case 'D':
                key.tp_dst = htobe16((uint16_t)n);
                break;
            case 'f': /* first and later fragments */
                key.ip_frag |= n & 1 ? FLOW_FRAG_LATER : 0;
                key.ip_proto = n & 1 ? IP_PROTO_FRAGMENT : key.ip_proto;
                break;
            case 'e':
                key.eth_src.a[4] = (uint8_t)(n >> 8);
                key.eth_src.a[5] = (uint8_t)n;
                break;
            default:
                a->be32[3] = htobe32(0x0a000000 + n);
                break;
            }
            seen[flow_key_hash5(&key) >> 26]++;
        }
        for (size_t bucket = 0; bucket < ARRAY_SIZE(seen); bucket++) {
            most = MAX(most, seen[bucket]);
        }
        assert_true(table[i].spreads ? most < 128 : most == 64 * 64);
    }
}

static void test_any_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        struct packet *p = frame_from_hex(frames[i].hex);

        for (size_t len = 0; len <= p->len; len++) {
            extract_at_end(p->data, len);
        }
        for (size_t at = 12; at < p->len; at++) {
            uint8_t was = p->data[at];

            for (unsigned int v = 0; v < 256; v++) {
                p->data[at] = (uint8_t)v;
                extract_at_end(p->data, p->len);
            }
            p->data[at] = was;
        }
        packet_free(p);
    }
}

static void test_nd_options(void **state)
{
    struct packet *p = frame_from_hex(ETH "86dd 60000000 0020 3a ff" V6 "8800 0000 00000000"
                                          "fe800000000000000000000000000005 0201 020000000009");
    struct flow_key key;

    (void)state;
    flow_key_extract(p, &key);
    assert_int_equal(key.nd_target.b[15], 5);
    assert_int_equal(key.arp_tha.a[5], 9);
    p->data[p->len - 7] = 0; /* an option of no length spoils it all */
    flow_key_extract(p, &key);
    assert_int_equal(key.nd_target.b[15], 0);
    assert_int_equal(key.tp_src, htobe16(136));
    packet_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_hash),
                                       cmocka_unit_test(test_any_bytes), cmocka_unit_test(test_nd_options)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
