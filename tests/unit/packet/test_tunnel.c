/* SPDX-License-Identifier: Apache-2.0 */
/* Build → parse of each tunnel, every truncation, and headers that must be refused. */
#include "frames.h"

#include "packet/tunnel.h"
#include "packet/tunnel_opts.h"

static struct flow_tunnel tunnel_of(bool v6, uint16_t flags, uint32_t id)
{
    struct flow_tunnel t = {.id = htobe64(id), .flags = flags, .tos = 0x88, .ttl = 17};

    t.src = ip_addr_from_v4(htobe32(0xc0000201));
    t.dst = ip_addr_from_v4(htobe32(0xc0000202));
    if (v6) {
        inet_pton(AF_INET6, "2001:db8:1::1", &t.src);
        inet_pton(AF_INET6, "2001:db8:1::2", &t.dst);
    }
    return t;
}

static uint16_t port_of(enum tunnel_type kind)
{
    return kind == TUNNEL_VXLAN ? 4789 : 6081;
}

/* What a parser sees on a buffer of just LEN bytes. */
static enum drop_reason parse(enum tunnel_type kind, const uint8_t *data, size_t len, struct flow_tunnel *t,
                              size_t *hdr_len)
{
    uint8_t *buf = malloc(len ? len : 1);
    enum drop_reason reason;

    memcpy(buf, data, len);
    reason = tunnel_parse(kind, buf, len, port_of(kind), t, hdr_len);
    free(buf);
    return reason;
}

static void round_trip(enum tunnel_type kind, bool v6, uint16_t flags)
{
    struct flow_tunnel t = tunnel_of(v6, flags, kind == TUNNEL_GRE ? 0xfedcba98 : 0xabcdef), got;
    struct packet *inner = frame_l4(false, IP_PROTO_TCP, 33, false), *p = packet_clone(inner);
    size_t hdr_len = 0;

    if (!(flags & FLOW_TNL_KEY)) {
        t.id = 0;
    }
    tunnel_push(p, kind, &t, tunnel_sport(0x80000000), port_of(kind), true);
    assert_int_equal(p->len, inner->len + tunnel_hdr_len(kind, &t, true));
    assert_int_equal(p->l4_ofs, inner->l4_ofs + p->len - inner->len);
    assert_int_equal(parse(kind, p->data, p->len, &got, &hdr_len), DROP_NONE);
    assert_int_equal(hdr_len, p->len - inner->len);
    assert_memory_equal(p->data + hdr_len, inner->data, inner->len);
    if (v6) {
        t.flags = (uint16_t)((t.flags & ~FLOW_TNL_DF) | (kind == TUNNEL_GRE ? 0 : FLOW_TNL_CSUM));
    }
    assert_memory_equal(&got, &t, sizeof(t));
    for (size_t len = 0; len < p->len; len++) {
        assert_int_equal(parse(kind, p->data, len, &got, &hdr_len), DROP_TUNNEL_TRUNCATED);
    }
    if (t.flags & FLOW_TNL_CSUM) {
        p->data[p->len - 1] ^= 1;
        assert_int_equal(parse(kind, p->data, p->len, &got, &hdr_len), DROP_TUNNEL_BAD_CHECKSUM);
        p->data[p->len - 1] ^= 1;
    }
    if (!v6) {
        p->data[8]++;
        assert_int_equal(parse(kind, p->data, p->len, &got, &hdr_len), DROP_TUNNEL_BAD_CHECKSUM);
        p->data[8]--;
    }
    for (size_t at = 0; at < hdr_len; at++) { /* whatever the bytes say, only what is there is read */
        uint8_t was = p->data[at];

        for (unsigned int v = 0; v < 256; v++) {
            p->data[at] = (uint8_t)v;
            parse(kind, p->data, p->len, &got, &hdr_len);
        }
        p->data[at] = was;
        hdr_len = p->len - inner->len;
    }
    packet_free(p);
    packet_free(inner);
}

static void test_round_trips(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        for (uint16_t flags = 0; flags < 8; flags++) {
            round_trip(TUNNEL_GRE, v6, flags);
            if (flags & FLOW_TNL_KEY) {
                round_trip(TUNNEL_VXLAN, v6, flags);
                round_trip(TUNNEL_GENEVE, v6, flags);
                round_trip(TUNNEL_GENEVE, v6, flags | FLOW_TNL_OAM);
            }
        }
    }
}

static const struct {
    enum tunnel_type kind;
    const char *name, *hex; /* of the tunnel header; a frame follows */
    enum drop_reason reason;
    uint32_t id;
    size_t hdr_len;
} headers[] = {
    {TUNNEL_VXLAN, "plain", "08000000 00002a00", DROP_NONE, 42, 8},
    {TUNNEL_VXLAN, "reserved bits are ignored", "f8ffffff 00002aff", DROP_NONE, 42, 8},
    {TUNNEL_VXLAN, "without I", "00000000 00002a00", DROP_TUNNEL_BAD_HEADER, 0, 0},
    {TUNNEL_GENEVE, "plain", "00006558 00002a00", DROP_NONE, 42, 8},
    {TUNNEL_GENEVE, "an option", "02006558 00002a00 01040101 00000000", DROP_NONE, 42, 16},
    {TUNNEL_GENEVE, "a critical option", "02006558 00002a00 01048101 00000000", DROP_NONE, 42, 16},
    {TUNNEL_GENEVE, "option longer than all", "02006558 00002a00 01040102 00000000", DROP_TUNNEL_BAD_HEADER, 0, 0},
    {TUNNEL_GENEVE, "C flag", "00406558 00002a00", DROP_TUNNEL_BAD_HEADER, 0, 0},
    {TUNNEL_GENEVE, "version 1", "40006558 00002a00", DROP_TUNNEL_BAD_HEADER, 0, 0},
    {TUNNEL_GENEVE, "not Ethernet", "00000800 00002a00", DROP_TUNNEL_BAD_HEADER, 0, 0},
    {TUNNEL_GENEVE, "options beyond the end", "3f006558 00002a00", DROP_TUNNEL_TRUNCATED, 0, 0},
    {TUNNEL_GRE, "no key", "00006558", DROP_NONE, 0, 4},
    {TUNNEL_GRE, "key", "20006558 0000002a", DROP_NONE, 42, 8},
    {TUNNEL_GRE, "key and sequence number", "30006558 0000002a 00000001", DROP_NONE, 42, 12},
    {TUNNEL_GRE, "not Ethernet", "20000800 0000002a", DROP_TUNNEL_BAD_HEADER, 0, 0},
    {TUNNEL_GRE, "version 1", "20016558 0000002a", DROP_TUNNEL_BAD_HEADER, 0, 0},
    {TUNNEL_GRE, "routing", "60006558 0000002a", DROP_TUNNEL_BAD_HEADER, 0, 0},
    {TUNNEL_GRE, "bad checksum", "80006558 12340000", DROP_TUNNEL_BAD_CHECKSUM, 0, 0},
};

/* Options go with the packet under their number, both ways. */
static void test_options(void **state)
{
    static const uint8_t opts[] = {1, 2, 3, 2, 0xde, 0xad, 0xbe, 0xef, 9, 8, 7, 6, 0xff, 0xff, 0x80, 0};
    struct flow_tunnel t = tunnel_of(false, FLOW_TNL_KEY, 42), got;
    struct packet *p = frame_l4(false, IP_PROTO_TCP, 33, false);
    size_t len = p->len, hdr_len = 0;

    (void)state;
    assert_int_equal(tunnel_opts_intern(opts, sizeof opts, &t.opts_id), 0);
    tunnel_push(p, TUNNEL_GENEVE, &t, 40000, 6081, true);
    assert_int_equal(p->len, len + 20 + 8 + 8 + sizeof opts);
    assert_int_equal(p->data[28], sizeof opts / 4);
    assert_int_equal(p->data[29], 0x40); /* the second is critical */
    assert_memory_equal(p->data + 36, opts, sizeof opts);
    assert_int_equal(tunnel_parse(TUNNEL_GENEVE, p->data, p->len, 6081, &got, &hdr_len), DROP_NONE);
    assert_int_equal(hdr_len, p->len - len);
    assert_int_equal(got.opts_id, t.opts_id);
    assert_int_equal(got.flags, FLOW_TNL_KEY | FLOW_TNL_CRIT);
    packet_free(p);
}

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        struct packet *p = frame_from_hex(headers[i].hex);
        uint8_t buf[128] = {0};
        struct flow_tunnel t = {.ttl = 3};
        size_t hdr_len = 0;

        print_message("%s\n", headers[i].name);
        memcpy(buf, p->data, p->len);
        assert_int_equal(tunnel_parse_payload(headers[i].kind, buf, p->len + 60, &t, &hdr_len), headers[i].reason);
        assert_int_equal(be64toh(t.id), headers[i].id);
        assert_int_equal(t.ttl, 3);
        assert_int_equal(hdr_len, headers[i].hdr_len);
        packet_free(p);
    }
}

static void test_outer(void **state)
{
    struct packet *p = frame_l4(true, IP_PROTO_TCP, 0, false);
    struct flow_tunnel t = tunnel_of(false, FLOW_TNL_KEY, 1), got;
    struct ipv4_hdr *ip;
    size_t hdr_len;

    (void)state;
    tunnel_push(p, TUNNEL_VXLAN, &t, 40000, 4789, true);
    assert_int_equal(tunnel_parse(TUNNEL_VXLAN, p->data, p->len, 4790, &got, &hdr_len), DROP_TUNNEL_BAD_HEADER);
    assert_int_equal(tunnel_parse(TUNNEL_GRE, p->data, p->len, 0, &got, &hdr_len), DROP_TUNNEL_BAD_HEADER);
    ip = (struct ipv4_hdr *)(void *)p->data;
    ip->frag_off = htobe16(IPV4_MF);
    assert_int_equal(tunnel_parse(TUNNEL_VXLAN, p->data, p->len, 4789, &got, &hdr_len), DROP_TUNNEL_BAD_HEADER);
    assert_int_equal(tunnel_sport(0), TUNNEL_SPORT_MIN);
    assert_int_equal(tunnel_sport(0xffffffff), TUNNEL_SPORT_MAX);
    packet_free(p);
}

static void test_names(void **state WR_UNUSED)
{
    for (unsigned int t = 0; t < N_TUNNEL_TYPES; t++) {
        assert_int_equal(tunnel_type_parse(tunnel_type_name((enum tunnel_type)t)), t);
    }
    assert_string_equal(tunnel_type_name(TUNNEL_GENEVE), "geneve");
    assert_int_equal(tunnel_type_parse("stt"), N_TUNNEL_TYPES);
    assert_int_equal(tunnel_type_parse(NULL), N_TUNNEL_TYPES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trips), cmocka_unit_test(test_options),
                                       cmocka_unit_test(test_headers), cmocka_unit_test(test_outer),
                                       cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
