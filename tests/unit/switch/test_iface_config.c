/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "switch/iface_config.h"
#include "switch/ofport_alloc.h"

#define MAX_OPTIONS 8

/* "type key=value key=value" → 0 or an error, with the message. */
static int parse(const char *text, struct port_config *config, struct strbuf *message)
{
    _cleanup_free_ char *copy = xstrdup(text);
    struct iface_option options[MAX_OPTIONS];
    struct iface_row row = {.name = "p0", .type = "", .options = options};
    char *save = NULL;
    char *word = strtok_r(copy, " ", &save);
    if (word && !strchr(word, '=')) {
        row.type = word;
        word = strtok_r(NULL, " ", &save);
    }
    for (; word; word = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(word, '=');
        *eq = '\0';
        options[row.n_options++] = (struct iface_option){word, eq + 1};
    }
    int error = iface_config_parse(&row, config, message);
    config->name = config->patch_peer = NULL; /* they point into what goes now */
    return error;
}

static void assert_refused(const char *text, const char *culprit)
{
    _cleanup_strbuf_ struct strbuf message = {0};
    struct port_config config = {.kind = PORT_PATCH, .ofp_port = ofp_port(77)};
    if (parse(text, &config, &message) != -EINVAL || !strstr(strbuf_str(&message), culprit)) {
        fail_msg("%s: \"%s\" does not name \"%s\"", text, strbuf_str(&message), culprit);
    }
    assert_true(config.kind == PORT_PATCH && config.ofp_port == ofp_port(77)); /* untouched */
}

static struct tunnel_config assert_tunnel(const char *text, const char *warning)
{
    _cleanup_strbuf_ struct strbuf message = {0};
    struct port_config config = {0};
    if (parse(text, &config, &message)) {
        fail_msg("%s: %s", text, strbuf_str(&message));
    }
    assert_string_equal(strbuf_str(&message), warning);
    assert_int_equal(config.kind, PORT_TUNNEL);
    return config.tunnel;
}

static void test_refused(void **state WR_UNUSED)
{
    static const char *const cases[][2] = {
        {"vxlam remote_ip=1.1.1.1", "unknown interface type \"vxlam\""},
        {"patch", "needs the option peer"},
        {"patch peer=p0", "its own peer"},
        {"patch peer=p1 key=3", "no option but peer: key"},
        {"vxlan", "remote_ip"},
        {"vxlan remote_ip=1.1.1", "remote_ip=1.1.1"},
        {"vxlan remote_ip=224.0.0.1", "unicast"},
        {"vxlan remote_ip=ff02::1", "unicast"},
        {"vxlan remote_ip=0.0.0.0", "unicast"},
        {"vxlan remote_ip=host", "remote_ip=host"},
        {"vxlan remote_ip=1.1.1.1 local_ip=fc00::1", "different families"},
        {"vxlan remote_ip=1.1.1.1 local_ip=1.1.1.1", "the same"},
        {"vxlan remote_ip=1.1.1.1 local_ip=flow", "local_ip=flow needs remote_ip=flow"},
        {"vxlan remote_ip=1.1.1.1 key=16777216", "24 bits"},
        {"geneve remote_ip=1.1.1.1 in_key=0x1000000", "24 bits"},
        {"gre remote_ip=1.1.1.1 key=4294967296", "32 bits"},
        {"vxlan remote_ip=1.1.1.1 key=-1", "key=-1"},
        {"vxlan remote_ip=1.1.1.1 out_key=ten", "out_key=ten"},
        {"vxlan remote_ip=1.1.1.1 dst_port=0", "dst_port=0"},
        {"vxlan remote_ip=1.1.1.1 dst_port=65536", "dst_port=65536"},
        {"vxlan remote_ip=1.1.1.1 tos=3", "tos=3"},
        {"vxlan remote_ip=1.1.1.1 tos=256", "tos=256"},
        {"vxlan remote_ip=1.1.1.1 ttl=0", "ttl=0"},
        {"vxlan remote_ip=1.1.1.1 ttl=256", "ttl=256"},
        {"vxlan remote_ip=1.1.1.1 df_default=yes", "df_default=yes"},
        {"vxlan remote_ip=1.1.1.1 csum=1", "csum=1"},
        {"vxlan remote_ip=1.1.1.1 egress_pkt_mark=x", "egress_pkt_mark=x"},
        {"vxlan remote_ip=1.1.1.1 exts=gbp", "exts=gbp"},
        {"gre remote_ip=1.1.1.1 packet_type=legacy_l3", "packet_type=legacy_l3"},
        {"ip6gre remote_ip=1.1.1.1", "IPv6"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_refused(cases[i][0], cases[i][1]);
    }
}

static void test_every_culprit_is_named(void **state WR_UNUSED)
{
    assert_refused("vxlan remote_ip=1.1.1.1 ttl=900 tos=901 foo=1", "ttl=900");
    assert_refused("vxlan remote_ip=1.1.1.1 ttl=900 tos=901 foo=1", "tos=901");
    assert_refused("vxlan remote_ip=1.1.1.1 ttl=900 tos=901 foo=1", "\"foo\"");
}

static void test_tunnels(void **state WR_UNUSED)
{
    struct tunnel_config t = assert_tunnel("vxlan remote_ip=10.0.0.1", "");
    assert_int_equal(t.type, TUNNEL_VXLAN);
    assert_int_equal(t.dst_port, 4789);
    assert_int_equal(t.ttl, 64);
    assert_true(t.df && !t.csum && t.in_key == TUNNEL_NONE);
    assert_memory_equal(t.remote_ip.b, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16);

    t = assert_tunnel(
        "geneve remote_ip=fc00::2 local_ip=fc00::1 in_key=flow out_key=flow egress_pkt_mark=0 df_default=false "
        "csum=true tos=inherit",
        "");
    assert_int_equal(t.dst_port, 6081);
    assert_true(t.in_key == TUNNEL_FLOW && t.out_key == TUNNEL_FLOW && !t.df && t.csum && t.tos_inherit);
    assert_int_equal(t.egress_pkt_mark, 0);
    t = assert_tunnel("gre remote_ip=10.0.0.1 egress_pkt_mark=0xffffffff", "");
    assert_int_equal(t.egress_pkt_mark, 0xffffffff);

    t = assert_tunnel("gre remote_ip=10.0.0.1 key=7 out_key=0xffffffff", "");
    assert_int_equal(t.dst_port, 0);
    assert_int_equal(t.in_key_value, 7);
    assert_int_equal(t.out_key_value, 0xffffffff);

    t = assert_tunnel("vxlan remote_ip=flow local_ip=flow key=flow", "");
    assert_true(t.remote == TUNNEL_FLOW && t.local == TUNNEL_FLOW);
    assert_tunnel("ip6gre remote_ip=fc00::1 packet_type=legacy_l2", "");
    assert_tunnel("gre remote_ip=1.1.1.1 dst_port=4789", "unknown gre option \"dst_port\" is ignored");
    assert_tunnel("vxlan remote_ip=1.1.1.1 colour=red", "unknown vxlan option \"colour\" is ignored");
}

static void test_conflict(void **state WR_UNUSED)
{
    struct tunnel_config a = assert_tunnel("vxlan remote_ip=10.0.0.1 key=flow", "");
    static const char *const others[] = {
        "vxlan remote_ip=10.0.0.2 key=flow",
        "vxlan remote_ip=10.0.0.1 key=5",
        "vxlan remote_ip=10.0.0.1 key=flow dst_port=8472",
        "vxlan remote_ip=10.0.0.1 key=flow local_ip=10.0.0.9",
        "geneve remote_ip=10.0.0.1 key=flow",
    };
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct tunnel_config b = assert_tunnel(others[i], "");
        assert_false(tunnel_config_conflict(&a, &b));
        assert_true(tunnel_config_conflict(&b, &b));
    }
    struct tunnel_config c = assert_tunnel("vxlan remote_ip=10.0.0.1 in_key=flow out_key=9 ttl=3", "");
    assert_true(tunnel_config_conflict(&a, &c));
}

static void test_system_and_patch(void **state WR_UNUSED)
{
    _cleanup_strbuf_ struct strbuf message = {0};
    struct port_config config = {0};
    assert_int_equal(parse("", &config, &message), 0);
    assert_int_equal(config.kind, PORT_SYSTEM);
    assert_int_equal(parse("tap", &config, &message), 0);
    assert_int_equal(config.kind, PORT_INTERNAL);
    assert_int_equal(parse("patch peer=q", &config, &message), 0);
    assert_int_equal(config.kind, PORT_PATCH);
    assert_int_equal(message.len, 0);
    struct iface_row local = {.name = "br0", .type = "vxlan", .is_local = true};
    struct port_config c2 = {0};
    assert_int_equal(iface_config_parse(&local, &c2, &message), 0);
    assert_int_equal(c2.kind, PORT_INTERNAL);
}

static void test_vlans(void **state WR_UNUSED)
{
    _cleanup_strbuf_ struct strbuf message = {0};
    struct vlan_config c;
    const int64_t dead[] = {4095}, outside[] = {4096};
    assert_int_equal(vlan_config_parse(&(struct vlan_row){.tag = -1}, &c, &message), 0);
    assert_true(c.mode == VLAN_TRUNK && c.all_trunks);
    assert_int_equal(vlan_config_parse(&(struct vlan_row){.tag = 5}, &c, &message), 0);
    assert_true(c.mode == VLAN_ACCESS && c.tag == 5);
    assert_int_equal(vlan_config_parse(&(struct vlan_row){"trunk", 4095, dead, 1}, &c, &message), 0);
    assert_true(c.mode == VLAN_TRUNK && !c.all_trunks && vlan_config_carries(&c, 4095) && !vlan_config_carries(&c, 1));
    assert_int_equal(vlan_config_parse(&(struct vlan_row){"native-untagged", 3, dead, 1}, &c, &message), 0);
    assert_true(c.mode == VLAN_NATIVE_UNTAGGED && c.tag == 3 && vlan_config_carries(&c, 3) &&
                !vlan_config_carries(&c, 4));
    assert_int_equal(message.len, 0);
    assert_int_equal(vlan_config_parse(&(struct vlan_row){.tag = 4096}, &c, &message), -EINVAL);
    assert_non_null(strstr(strbuf_str(&message), "4096"));
    assert_int_equal(vlan_config_parse(&(struct vlan_row){"trunk", -1, outside, 1}, &c, &message), -EINVAL);
    assert_int_equal(vlan_config_parse(&(struct vlan_row){"private", 1, NULL, 0}, &c, &message), -EINVAL);
    assert_non_null(strstr(strbuf_str(&message), "private"));
}

static void test_vlan_options(void **state WR_UNUSED)
{
    _cleanup_strbuf_ struct strbuf message = {0};
    struct vlan_config c;
    const int64_t cvlans[] = {0, 7}, outside[] = {-1};
    struct vlan_row row = {.mode = "dot1q-tunnel", .tag = 9, .cvlans = cvlans, .n_cvlans = 2};
    assert_int_equal(vlan_config_parse(&row, &c, &message), 0);
    assert_true(c.mode == VLAN_DOT1Q_TUNNEL && c.tag == 9 && !c.all_cvlans && c.cvlans[0] == 0x81 && !c.qinq_ethtype);
    row.qinq_ethtype = "802.1q";
    row.n_cvlans = 0;
    assert_int_equal(vlan_config_parse(&row, &c, &message), 0);
    assert_true(c.all_cvlans && c.qinq_ethtype == 0x8100);
    static const struct {
        const char *text;
        enum priority_tags tags;
    } words[] = {{"never", PRIORITY_TAGS_NEVER},
                 {"false", PRIORITY_TAGS_NEVER},
                 {"if-nonzero", PRIORITY_TAGS_IF_NONZERO},
                 {"true", PRIORITY_TAGS_IF_NONZERO},
                 {"always", PRIORITY_TAGS_ALWAYS}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        row.priority_tags = words[i].text;
        assert_int_equal(vlan_config_parse(&row, &c, &message), 0);
        assert_int_equal(c.priority_tags, words[i].tags);
    }
    assert_int_equal(message.len, 0);
    /* Told, and the port works. */
    row.priority_tags = "sometimes";
    row.qinq_ethtype = "0x9100";
    assert_int_equal(vlan_config_parse(&row, &c, &message), 0);
    assert_true(!c.priority_tags && !c.qinq_ethtype);
    assert_non_null(strstr(message.s, "sometimes"));
    assert_non_null(strstr(message.s, "0x9100"));
    row.cvlans = outside;
    row.n_cvlans = 1;
    assert_int_equal(vlan_config_parse(&row, &c, &message), -EINVAL);
}

static void test_ofports(void **state WR_UNUSED)
{
    struct ofport_pool pool = {0};
    struct ofport_want w[] = {{0}, {.previous = 9}, {.request = 2}, {.previous = 9}};
    ofport_assign(&pool, w, 4, 0);
    assert_int_equal(w[0].ofport, 1);
    assert_int_equal(w[1].ofport, 9); /* survives a restart */
    assert_int_equal(w[2].ofport, 2);
    assert_int_equal(w[3].ofport, 3); /* 9 is taken, 2 is taken */

    /* A request moves the squatter, and the holder who asked keeps. */
    struct ofport_want x[] = {{.current = 1}, {.request = 1}, {.request = 2, .current = 2}, {.request = 2}};
    ofport_assign(&pool, x, 4, 1000);
    assert_int_equal(x[1].ofport, 1);
    assert_int_equal(x[2].ofport, 2);
    assert_int_equal(x[0].ofport, 4);
    assert_int_equal(x[3].ofport, 5);

    /* 3 and 9 were freed at 1000: not given away within the hour, but its old owner gets it back. */
    struct ofport_want y[12] = {{.previous = 3}};
    ofport_assign(&pool, y, 12, 2000);
    assert_int_equal(y[0].ofport, 3);
    for (int i = 1; i < 12; i++) {
        assert_true(y[i].ofport >= 6 && y[i].ofport != 9);
    }
    ofport_pool_done(&pool);
}

static void test_ofports_wrap(void **state WR_UNUSED)
{
    struct ofport_pool pool = {0};
    struct ofport_want *w = xcalloc(OFPORT_AUTO_MAX + 1, sizeof *w);
    ofport_assign(&pool, w, OFPORT_AUTO_MAX + 1, 0);
    assert_int_equal(w[OFPORT_AUTO_MAX - 1].ofport, OFPORT_AUTO_MAX);
    assert_int_equal(w[OFPORT_AUTO_MAX].ofport, 0); /* all taken */
    for (int i = 0; i < OFPORT_AUTO_MAX; i++) {
        w[i].current = w[i].ofport;
    }
    ofport_assign(&pool, w + 1, OFPORT_AUTO_MAX, 10); /* without the first: its number is the only one left */
    assert_int_equal(w[OFPORT_AUTO_MAX].ofport, 1);
    free(w);
    ofport_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_every_culprit_is_named),
        cmocka_unit_test(test_tunnels),          cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_system_and_patch), cmocka_unit_test(test_vlans),
        cmocka_unit_test(test_vlan_options),     cmocka_unit_test(test_ofports),
        cmocka_unit_test(test_ofports_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
