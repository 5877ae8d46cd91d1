/* SPDX-License-Identifier: Apache-2.0 */
/* State → flows, by tables: what must be in the text and what must not, for each tunnel type, with l2-population and
 * the responder on and off; local VLANs; tunnel names; and every flow must parse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/desired.h"
#include "agent/reconcile.h"

/* Two networks; red1 and red2 here, red3 at hv2 and red4 at hv3; blue1 here, blue3 at hv3. */
struct world {
    struct state s;
    struct state_network networks[2];
    struct state_port ports[6];
    struct state_endpoint endpoints[2];
    const char *ips[6][1];
    uint32_t dead[1], plain[1];
};

static void world_init(struct world *w, enum tunnel_type type, bool l2pop, bool arp)
{
    static const struct {
        const char *mac, *ip;
        size_t network, endpoint;
        uint32_t ofport;
    } ports[] = {
        {"fa:16:3e:00:00:01", "10.0.0.1", 0, SIZE_MAX, 11}, {"fa:16:3e:00:00:02", "10.0.0.2", 0, SIZE_MAX, 12},
        {"fa:16:3e:00:00:03", "10.0.0.3", 0, 0, 0},         {"fa:16:3e:00:00:04", "10.0.0.4", 0, 1, 0},
        {"fa:16:3e:00:00:05", "fd00::5", 1, SIZE_MAX, 13},  {"fa:16:3e:00:00:06", "10.0.0.3", 1, 1, 0},
    };

    memset(w, 0, sizeof *w);
    w->networks[0] = (struct state_network){"red", type, 100, 1};
    w->networks[1] = (struct state_network){"blue", type, 200, 2};
    for (size_t e = 0; e < 2; e++) {
        w->endpoints[e].host = e ? "hv3" : "hv2";
        w->endpoints[e].ip = e ? "192.0.2.3" : "192.0.2.2";
        for (int t = 0; t < N_TUNNEL_TYPES; t++) {
            w->endpoints[e].types[t] = true;
        }
        w->endpoints[e].ofports[type] = 21 + (uint32_t)e;
    }
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        w->ips[i][0] = ports[i].ip;
        w->ports[i] = (struct state_port){
            .id = ports[i].mac,
            .network = ports[i].network,
            .mac = ports[i].mac,
            .ips = w->ips[i],
            .n_ips = 1,
            .local = ports[i].ofport != 0,
            .admin_up = true,
            .tagged = ports[i].ofport != 0,
            .port_security = true,
            .ofport = ports[i].ofport,
            .endpoint = ports[i].endpoint,
        };
    }
    w->dead[0] = 99;
    w->plain[0] = 1;
    w->s = (struct state){
        .options = {.host = "hv1",
                    .local_ip = "192.0.2.1",
                    .l2_population = l2pop,
                    .arp_responder = arp,
                    .types = {true, true, true}},
        .networks = w->networks,
        .n_networks = 2,
        .ports = w->ports,
        .n_ports = 6,
        .endpoints = w->endpoints,
        .n_endpoints = 2,
        .patch_tun = 1,
        .patch_int = 1,
        .dead = w->dead,
        .n_dead = 1,
        .plain = w->plain,
        .n_plain = 1,
    };
}

#define IN(TEXT, LINE) assert_non_null(strstr(TEXT, LINE))
#define OUT(TEXT, LINE) assert_null(strstr(TEXT, LINE))

static void assert_parses(const char *text)
{
    struct flow_set *set = flow_set_new();
    char *error = NULL;
    size_t lines = 0;

    if (flow_set_add_text(set, text, &error)) {
        fail_msg("%s", error);
    }
    for (const char *p = text; (p = strchr(p, '\n')); p++) {
        lines++;
    }
    assert_int_equal(flow_set_size(set), lines); /* no two flows with one identity */
    flow_set_free(set);
}

static void br_tun_of_each_type(void **state WR_UNUSED)
{
    static const int tables[] = {[TUNNEL_VXLAN] = 4, [TUNNEL_GRE] = 3, [TUNNEL_GENEVE] = 6};

    for (int type = 0; type < N_TUNNEL_TYPES; type++) {
        struct strbuf b = {0}, line = {0};
        struct world w;

        world_init(&w, (enum tunnel_type)type, true, true);
        desired_br_tun(&w.s, &b);
        assert_parses(strbuf_str(&b));
        strbuf_addf(&line,
                    "table=%d,priority=1,tun_id=0x64,actions=push_vlan:0x8100,set_field:4097->vlan_vid,goto_table:10\n",
                    tables[type]);
        IN(strbuf_str(&b), strbuf_str(&line));
        line.len = 0;
        strbuf_addf(&line, "table=0,priority=1,in_port=22,actions=goto_table:%d\n", tables[type]);
        IN(strbuf_str(&b), strbuf_str(&line));
        strbuf_done(&line);
        strbuf_done(&b);
    }
}

static void br_tun_with_l2_population(void **state WR_UNUSED)
{
    struct strbuf b = {0};
    struct world w;

    world_init(&w, TUNNEL_VXLAN, true, true);
    desired_br_tun(&w.s, &b);
    IN(strbuf_str(&b),
       "table=20,priority=2,dl_vlan=1,dl_dst=fa:16:3e:00:00:04,actions=pop_vlan,set_field:0x64->tun_id,output:22\n");
    IN(strbuf_str(&b), "table=21,priority=1,arp,dl_vlan=1,arp_tpa=10.0.0.4,");
    IN(strbuf_str(&b), "table=2,priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff,actions=goto_table:21\n");
    /* red is on both other hosts, blue on hv3 only */
    IN(strbuf_str(&b), "table=22,priority=1,dl_vlan=1,actions=pop_vlan,set_field:0x64->tun_id,output:21,output:22\n");
    IN(strbuf_str(&b), "table=22,priority=1,dl_vlan=2,actions=pop_vlan,set_field:0xc8->tun_id,output:22\n");
    OUT(strbuf_str(&b), "dl_dst=fa:16:3e:00:00:01"); /* a local port's MAC is NORMAL's business */
    strbuf_done(&b);
}

static void br_tun_without_the_responder(void **state WR_UNUSED)
{
    struct strbuf b = {0};
    struct world w;

    world_init(&w, TUNNEL_VXLAN, true, false);
    desired_br_tun(&w.s, &b);
    assert_parses(strbuf_str(&b));
    IN(strbuf_str(&b), "table=20,priority=2,");
    OUT(strbuf_str(&b), "table=21,");
    OUT(strbuf_str(&b), "goto_table:21");
    strbuf_done(&b);
}

static void br_tun_without_l2_population(void **state WR_UNUSED)
{
    struct strbuf b = {0};
    struct world w;

    world_init(&w, TUNNEL_VXLAN, false, true);
    desired_br_tun(&w.s, &b);
    assert_parses(strbuf_str(&b));
    OUT(strbuf_str(&b), "table=20,priority=2,");
    OUT(strbuf_str(&b), "table=21,");
    IN(strbuf_str(&b), "table=10,priority=1,actions=learn(table=20,");
    IN(strbuf_str(&b), "table=22,priority=1,dl_vlan=2,actions=pop_vlan,set_field:0xc8->tun_id,output:21,output:22\n");
    strbuf_done(&b);
}

static void br_int_guards_ports(void **state WR_UNUSED)
{
    struct strbuf b = {0};
    struct world w;

    world_init(&w, TUNNEL_VXLAN, true, true);
    w.ports[1].admin_up = false;
    w.ports[4].port_security = true;
    desired_br_int(&w.s, &b);
    assert_parses(strbuf_str(&b));
    IN(strbuf_str(&b), "table=24,priority=2,arp,in_port=11,arp_spa=10.0.0.1,actions=goto_table:25\n");
    IN(strbuf_str(&b), "table=25,priority=2,in_port=11,dl_src=fa:16:3e:00:00:01,actions=goto_table:60\n");
    IN(strbuf_str(&b), "icmp_type=136,nd_target=fd00::5,actions=goto_table:25\n");
    IN(strbuf_str(&b), "nd_target=fe80::f816:3eff:fe00:5,");
    IN(strbuf_str(&b), "table=0,priority=20,in_port=12,actions=drop\n"); /* administratively down */
    OUT(strbuf_str(&b), "dl_src=fa:16:3e:00:00:02");
    strbuf_done(&b);
    w.ports[1].admin_up = true;
    w.ports[1].tagged = false; /* not yet in its VLAN */
    desired_br_int(&w.s, &b);
    IN(strbuf_str(&b), "table=0,priority=20,in_port=12,actions=drop\n");
    OUT(strbuf_str(&b), "dl_src=fa:16:3e:00:00:02");
    IN(strbuf_str(&b), "table=0,priority=20,in_port=99,actions=drop\n"); /* nobody's */
    strbuf_done(&b);

    w.ports[0].port_security = false;
    desired_br_int(&w.s, &b);
    IN(strbuf_str(&b), "table=0,priority=9,in_port=11,actions=goto_table:60\n");
    OUT(strbuf_str(&b), "dl_src=fa:16:3e:00:00:01");
    IN(strbuf_str(&b), "table=0,priority=1,in_port=1,actions=goto_table:60\n"); /* the patch port: no iface-id */
    strbuf_done(&b);

    w.s.patch_tun = OFPORT_NONE;
    desired_br_int(&w.s, &b);
    assert_int_equal(b.len, 0);
    strbuf_done(&b);
}

static void br_int_with_address_pairs(void **state WR_UNUSED)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"fa:16:3e:00:00:01,10.0.0.1", 0}, /* what the port has anyway */
        {"fa:16:3e:00:00:01,10.9.0.0/16", 0},
        {"fa:16:3e:00:00:01,10.1.2.3/8", 0}, /* host bits: a hand-made row */
        {"00:00:5e:00:01:07,0.0.0.0/0", 0},
        {"00:00:5E:00:01:07,fd01::/64", 0}, /* the same MAC */
        {"00:00:5e:00:01:08,fd01::/64", 0}, /* the same prefix */
        {"01:00:5e:00:00:01,10.0.0.1", -EINVAL},
        {"fa:16:3e:00:00:01", -EINVAL},
        {"fa:16:3e:00:00:01,", -EINVAL},
        {"fa:16:3e:00:00:01,10.0.0.1/", -EINVAL},
        {"fa:16:3e:00:00:01,10.0.0.1/33", -EINVAL},
        {"fa:16:3e:00:00:01,10.0.0.1/+1", -EINVAL},
        {"fa:16:3e:00:00:01,10.0.0.0/08", -EINVAL},  /* in flows' texts the number is octal: none, */
        {"fa:16:3e:00:00:01,10.0.0.0/010", -EINVAL}, /* … another one */
        {"fa:16:3e:00:00:01,fd00::/129", -EINVAL},
        {"fa:16:3e:00:00:01,10.0.0.1,actions=drop", -EINVAL},
        {"fa:16:3e:00:00:01,10.0.0.1/8,actions=drop", -EINVAL},
    };
    struct state_pair pairs[ARRAY_SIZE(cases)];
    struct strbuf b = {0};
    struct world w;

    world_init(&w, TUNNEL_VXLAN, true, true);
    w.ports[0].pairs = pairs;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int error = state_pair_parse(cases[i].text, &pairs[w.ports[0].n_pairs]);

        assert_int_equal(error, cases[i].error);
        w.ports[0].n_pairs += !error;
    }
    desired_br_int(&w.s, &b);
    assert_parses(strbuf_str(&b));
    IN(strbuf_str(&b), "table=24,priority=2,arp,in_port=11,arp_spa=10.9.0.0/16,actions=goto_table:25\n");
    IN(strbuf_str(&b), "table=24,priority=2,arp,in_port=11,arp_spa=0.0.0.0/0,actions=goto_table:25\n");
    IN(strbuf_str(&b), "in_port=11,icmp_type=136,nd_target=fd01::/64,actions=goto_table:25\n");
    IN(strbuf_str(&b), "in_port=11,icmp_type=136,nd_target=fe80::200:5eff:fe00:107,actions=goto_table:25\n");
    IN(strbuf_str(&b), "table=25,priority=2,in_port=11,dl_src=00:00:5e:00:01:07,actions=goto_table:60\n");
    IN(strbuf_str(&b), "table=25,priority=2,in_port=11,dl_src=00:00:5e:00:01:08,actions=goto_table:60\n");
    OUT(strbuf_str(&b), "in_port=12,dl_src=00:00:5e");
    strbuf_done(&b);
}

static void which_tunnels(void **state WR_UNUSED)
{
    struct world w;

    world_init(&w, TUNNEL_GENEVE, true, true);
    assert_true(desired_tunnel(&w.s, 0, TUNNEL_VXLAN));  /* this host's first type: the mesh */
    assert_true(desired_tunnel(&w.s, 0, TUNNEL_GENEVE)); /* a network uses it */
    assert_false(desired_tunnel(&w.s, 0, TUNNEL_GRE));
    w.endpoints[0].types[TUNNEL_GENEVE] = false;
    assert_false(desired_tunnel(&w.s, 0, TUNNEL_GENEVE));
    w.endpoints[1].ip = "fd00::3"; /* another family cannot be reached */
    assert_false(desired_tunnel(&w.s, 1, TUNNEL_GENEVE));
}

static void texts_from_rows(void **state WR_UNUSED)
{
    static const struct {
        const char *text;
        bool mac, ip;
    } cases[] = {
        {"fa:16:3e:00:00:01", true, false},
        {"FA:16:3E:00:00:01", true, false},
        {"01:00:5e:00:00:01", false, false},
        {"00:00:00:00:00:00", false, false},
        {"fa:16:3e:00:00:0", false, false},
        {"fa:16:3e:00:00:01,actions=drop", false, false},
        {"", false, false},
        {"10.0.0.1", false, true},
        {"fd00::1", false, true},
        {"10.0.0.999", false, false},
        {"10.0.0.1 ", false, false},
        {"10.0.0.1\n", false, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(state_is_mac(cases[i].text), cases[i].mac);
        assert_int_equal(state_is_ip(cases[i].text), cases[i].ip);
    }
}

static void tunnel_names(void **state WR_UNUSED)
{
    struct state_endpoint endpoints[] = {
        {.ip = "192.0.2.255"},      {.ip = "fd00::1"},        {.ip = "fd00:201:87::2f9"},
        {.ip = "fd00:201:cb::746"}, {.ip = "139.196.12.203"},
    };
    struct state s = {.endpoints = endpoints, .n_endpoints = ARRAY_SIZE(endpoints)};
    char name[16];

    desired_tunnel_ids(&s);
    desired_tunnel_name(TUNNEL_GENEVE, endpoints[0].id, name);
    assert_string_equal(name, "geneve-c00002ff");
    assert_int_equal(strlen(endpoints[1].id), 8);
    assert_string_equal(endpoints[2].id, "8bc40cca");
    assert_string_equal(endpoints[3].id, "8bc40ccb"); /* the same hash */
    assert_string_equal(endpoints[4].id, "8bc40ccc"); /* that was its number */
}

static void local_vlans(void **state WR_UNUSED)
{
    struct state_network n[] = {{"a", 0, 1, 0}, {"b", 0, 2, 0}, {"c", 0, 3, 0}, {"d", 0, 4, 0}};
    struct state s = {.networks = n, .n_networks = 4};
    static const struct vlan_entry existing[] = {
        {"c", 1},    {"a", 7}, {"a", 9}, /* a second VLAN of one network: the first counts */
        {"b", 7},                        /* taken by a */
        {"gone", 2},                     /* not here any more, but its port is in it yet */
        {"d", 4095},                     /* dead is no VLAN */
    };

    assert_int_equal(state_assign_vlans(&s, existing, ARRAY_SIZE(existing)), 0);
    assert_int_equal(n[0].vlan, 7);
    assert_int_equal(n[2].vlan, 1);
    assert_int_equal(n[1].vlan, 3);
    assert_int_equal(n[3].vlan, 4);
}

static void local_vlans_run_out(void **state WR_UNUSED)
{
    static struct state_network n[VLAN_MAX + 1];
    struct state s = {.networks = n, .n_networks = ARRAY_SIZE(n)};

    for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
        n[i].id = "x";
    }
    assert_int_equal(state_assign_vlans(&s, NULL, 0), -ENOSPC);
    assert_int_equal(n[VLAN_MAX - 1].vlan, VLAN_MAX);
    assert_int_equal(n[VLAN_MAX].vlan, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(br_tun_of_each_type),
        cmocka_unit_test(br_tun_with_l2_population),
        cmocka_unit_test(br_tun_without_the_responder),
        cmocka_unit_test(br_tun_without_l2_population),
        cmocka_unit_test(br_int_guards_ports),
        cmocka_unit_test(br_int_with_address_pairs),
        cmocka_unit_test(which_tunnels),
        cmocka_unit_test(texts_from_rows),
        cmocka_unit_test(tunnel_names),
        cmocka_unit_test(local_vlans),
        cmocka_unit_test(local_vlans_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
