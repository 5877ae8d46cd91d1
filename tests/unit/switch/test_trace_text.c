/* SPDX-License-Identifier: Apache-2.0 */
/* What ofproto/trace reads: flows → packets that are those flows again, datapath flows, packets in hex. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "datapath/format.h"
#include "openflow/text.h"
#include "packet/checksum.h"
#include "packet/compose.h"
#include "switch/trace_ctl.h"

static const char *const flows[] = {
    "eth_type=0x05ff,dl_src=02:00:00:00:00:01",
    "eth_type=0x88cc,dl_dst=01:80:c2:00:00:0e",
    "arp,dl_vlan=5,dl_vlan_pcp=3,arp_op=2,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=02:00:00:00:00:01",
    "rarp,arp_op=3",
    "ip,nw_proto=99,nw_src=10.0.0.1,nw_tos=0xb8,nw_ttl=3",
    "icmp,nw_src=10.0.0.1,nw_dst=10.0.0.2,icmp_type=8,icmp_code=1",
    "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tcp_src=1,tcp_dst=80,tcp_flags=0x012,nw_ecn=1",
    "udp,dl_vlan=5,nw_src=10.0.0.1,udp_dst=53",
    "dl_vlan=5,dl_vlan_pcp=7,eth_type=0x88cc",
    "sctp,nw_src=10.0.0.1,sctp_dst=53",
    "tcp,nw_frag=first,tcp_dst=80",
    "udp,nw_frag=later",
    "ipv6,nw_proto=99,ipv6_src=fd00::1,ipv6_label=0x12345,nw_tos=0xfc",
    "tcp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,tcp_dst=80,tcp_flags=2",
    "ipv6,nw_proto=44,ipv6_src=fd00::1,nw_frag=later",
    "udp6,ipv6_src=fd00::1,nw_frag=first,udp_src=9",
    "icmp6,ipv6_src=fd00::1,icmp_type=128,icmp_code=0",
    "icmp6,icmp_type=135,icmp_code=0,nd_target=fd00::9,nd_sll=02:00:00:00:00:07",
    "icmp6,icmp_type=136,icmp_code=0,nd_target=fd00::9,nd_tll=02:00:00:00:00:07",
    "icmp6,icmp_type=135,icmp_code=0,nd_target=fd00::9",
    "mpls,mpls_label=77,mpls_tc=3,mpls_bos=1",
};

static void test_compose(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        struct match m;
        struct flow_key key;
        struct packet *p;

        print_message("%s\n", flows[i]);
        assert_int_equal(match_parse(flows[i], NULL, &m, NULL), 0);
        m.value.key.in_port = dp_port(7);
        m.value.key.tunnel.id = 5;
        if (m.value.key.vlan[0].tci) {
            m.value.key.vlan[0].tpid = __builtin_bswap16(0x8100);
        }
        m.value.key.dp_hash = flow_key_hash5(&m.value.key);
        p = packet_compose(&m.value.key);
        flow_key_extract(p, &key);
        assert_memory_equal(&key, &m.value.key, sizeof key);
        if (key.eth_type == __builtin_bswap16(0x0800)) {
            assert_int_equal(csum_finish(csum_bytes(0, p->data + p->l3_ofs, 20)), 0);
        }
        packet_free(p);
    }
}

/* From what dp_key_format() prints back to the key. */
static void test_dp_flow(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        _cleanup_strbuf_ struct strbuf b = {0};
        struct flow_key mask;
        struct match m;
        struct flow flow;
        char *error = NULL;

        assert_int_equal(match_parse(flows[i], NULL, &m, NULL), 0);
        m.value.key.in_port = dp_port(7);
        m.value.key.tunnel = (struct flow_tunnel){.id = __builtin_bswap64(5), .ttl = 3, .flags = FLOW_TNL_KEY};
        m.value.key.tunnel.dst.be16[5] = 0xffff;
        m.value.key.tunnel.dst.be32[3] = 0x01020304;
        memset(&mask, 0xff, sizeof mask);
        memset(&mask.tunnel.src, 0, sizeof mask.tunnel.src);
        dp_key_format(&m.value.key, &mask, &b);
        print_message("%s\n", strbuf_str(&b));
        if (dp_flow_parse(strbuf_str(&b), &flow, &error)) {
            fail_msg("%s", error);
        }
        m.value.key.vlan[0].tpid = flow.key.vlan[0].tpid;
        flow.key.nd_target = m.value.key.nd_target;
        assert_memory_equal(&flow.key, &m.value.key, sizeof flow.key);
    }
}

static void test_options(void **state WR_UNUSED)
{
    static const char text[] =
        "recirc_id(0),tunnel(tun_id=0x5,dst=1.2.3.4,tos=0,ttl=3,geneve({class=0x102,type=0x80,len=4,"
        "0x0000000a}{class=0xffff,type=0x1,len=0}{class=0x1,type=0x2,len=20,"
        "0x00000000000000000000000000000000000000ff}),flags(key)),in_port(7)";
    _cleanup_strbuf_ struct strbuf b = {0};
    struct flow_key mask = {.in_port = dp_port(UINT32_MAX)};
    struct flow flow;

    memset(&mask.tunnel, 0xff, sizeof mask.tunnel);
    memset(&mask.tunnel.src, 0, sizeof mask.tunnel.src);
    assert_int_equal(dp_flow_parse(text, &flow, NULL), 0);
    dp_key_format(&flow.key, &mask, &b);
    assert_string_equal(strbuf_str(&b), text);
}

static void test_two_tags(void **state WR_UNUSED)
{
    static const char text[] = "recirc_id(0),in_port(1),eth_type(0x88a8),vlan(vid=5,pcp=1),encap(eth_type(0x8100),"
                               "vlan(vid=7,pcp=0),encap(eth_type(0x88cc)))";
    _cleanup_strbuf_ struct strbuf b = {0};
    struct flow_key mask, key;
    struct packet *p;
    struct flow flow;

    memset(&mask, 0, sizeof mask);
    mask.in_port = dp_port(UINT32_MAX);
    mask.eth_type = 0xffff;
    memset(mask.vlan, 0xff, sizeof mask.vlan);
    assert_int_equal(dp_flow_parse(text, &flow, NULL), 0);
    dp_key_format(&flow.key, &mask, &b);
    assert_string_equal(strbuf_str(&b), text);
    p = packet_compose(&flow.key);
    flow_key_extract(p, &key);
    assert_memory_equal(&key, &flow.key, sizeof key);
    packet_free(p);
    /* The hash is the connection's, unless it is given, as dumps have it. */
    assert_int_equal(flow.key.dp_hash, flow_key_hash5(&flow.key));
    assert_int_equal(dp_flow_parse("dp_hash(0x39d/0x3ff),in_port(1),eth_type(0x0800)", &flow, NULL), 0);
    assert_int_equal(flow.key.dp_hash, 0x39d);
    assert_int_equal(dp_flow_parse("dp_hash(no/0x3ff)", &flow, NULL), -EINVAL);
}

static const struct {
    const char *text, *error;
} bad[] = {
    {"vlan(vid=4096)", "vid=4096"},
    {"vlan(vid=1),vlan(vid=2),vlan(vid=3)", "more than two"},
    {"tunnel(geneve({class=0x10000,type=1,len=4}))", "geneve"},
    {"tunnel(geneve({class=1,type=1,len=3}))", "geneve"},
    {"tunnel(geneve({class=1,type=1,len=4,0x123456789}))", "geneve"},
    {"tunnel(geneve({class=1,type=1,len=4,0x1))", "geneve"},
    {"in_port(x)", "in_port(x)"},
    {"eth(foo=1)", "eth(foo)"},
    {"nosuch(1)", "nosuch"},
    {"ct_state(0x21)", "ct_state(0x21): not supported"},
    {"ipv4(src=10.0.0.1)", "nw_src"},
    {"eth(src=02:00:00:00:00:01", "parenthesis"},
};

static void test_bad(void **state WR_UNUSED)
{
    struct packet *p = NULL;
    struct flow flow;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *error = NULL;

        assert_int_equal(dp_flow_parse(bad[i].text, &flow, &error), -EINVAL);
        if (!error || !strstr(error, bad[i].error)) {
            fail_msg("%s: %s", bad[i].text, error ? error : "no text");
        }
        free(error);
    }
    assert_int_equal(packet_parse("0", &p), -EINVAL);
    assert_int_equal(packet_parse("", &p), -EINVAL);
    assert_int_equal(packet_parse("0x", &p), -EINVAL);
    assert_null(p);
    assert_int_equal(packet_parse("00 aB\nff", &p), 0);
    assert_int_equal(p->len, 3);
    assert_int_equal(p->data[1], 0xab);
    packet_free(p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compose),  cmocka_unit_test(test_dp_flow), cmocka_unit_test(test_options),
        cmocka_unit_test(test_two_tags), cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
