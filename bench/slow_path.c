/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the slow path is by itself: no I/O, a datapath that only keeps megaflows. Prints one rate a line. Not a
 * test: nothing is judged here.
 *
 * The pipeline is the Neutron agent's: br-int with N_VMS ports under anti-spoofing rules, br-tun with N_HOSTS tunnels
 * and N_REMOTE unicast flows and ARP responders.
 */
#include <arpa/inet.h>
#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "base/strbuf.h"
#include "datapath/userspace/megaflows.h"
#include "openflow/text.h"
#include "switch/flow_table.h"
#include "switch/megaflow.h"
#include "switch/switch_private.h"
#include "switch/translate.h"

#define N_VMS 50
#define N_HOSTS 20
#define N_REMOTE 1000
#define N_RULES 100000

/* ---- a datapath that keeps megaflows and does nothing else ---- */

struct null_dp {
    struct datapath dp;
    struct megaflows flows;
    uint32_t n_ports;
    uint64_t drops[DROP_MAX];
};

static struct null_dp *null_of(struct datapath *dp)
{
    return CONTAINER_OF(dp, struct null_dp, dp);
}

static const struct dp_class null_class;

static int null_open(struct event_base *base WR_UNUSED, const struct dp_callbacks *callbacks WR_UNUSED,
                     struct datapath **ret_dp)
{
    struct null_dp *n = xcalloc(1, sizeof *n);

    n->dp.class = &null_class;
    *ret_dp = &n->dp;
    return 0;
}

static void null_close(struct datapath *dp)
{
    megaflows_done(&null_of(dp)->flows);
    free(null_of(dp));
}

static int null_port_add(struct datapath *dp, const struct dp_port_spec *spec WR_UNUSED, dp_port_t *ret_port)
{
    *ret_port = dp_port(++null_of(dp)->n_ports);
    return 0;
}

static int null_port_del(struct datapath *dp WR_UNUSED, dp_port_t port WR_UNUSED)
{
    return 0;
}

static int null_port_get_stats(struct datapath *dp WR_UNUSED, dp_port_t port WR_UNUSED, struct dp_port_stats *ret)
{
    *ret = (struct dp_port_stats){0};
    return 0;
}

static int null_flow_put(struct datapath *dp, const struct dp_flow *flow)
{
    return megaflows_put(&null_of(dp)->flows, flow);
}

static int null_flow_del(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret)
{
    struct megaflow *f = megaflows_find(&null_of(dp)->flows, id);

    if (!f) {
        return -ENOENT;
    }
    if (ret) {
        *ret = f->stats;
    }
    megaflows_remove(&null_of(dp)->flows, f);
    return 0;
}

static int null_flow_get_stats(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret)
{
    struct megaflow *f = megaflows_find(&null_of(dp)->flows, id);

    if (!f) {
        return -ENOENT;
    }
    *ret = f->stats;
    return 0;
}

static int null_flow_for_each(struct datapath *dp WR_UNUSED, int (*fn)(void *aux, const struct dp_flow *flow) WR_UNUSED,
                              void *aux WR_UNUSED)
{
    return 0;
}

static int null_execute(struct datapath *dp WR_UNUSED, struct packet *p WR_UNUSED, const struct dp_action *a WR_UNUSED,
                        size_t len WR_UNUSED)
{
    return 0;
}

static const uint64_t *null_drops(struct datapath *dp)
{
    return null_of(dp)->drops;
}

static void null_lookup_stats(struct datapath *dp WR_UNUSED, uint64_t *ret_hits, uint64_t *ret_misses)
{
    *ret_hits = *ret_misses = 0;
}

static const struct dp_class null_class = {
    .name = "null",
    .open = null_open,
    .close = null_close,
    .port_add = null_port_add,
    .port_del = null_port_del,
    .port_get_stats = null_port_get_stats,
    .flow_put = null_flow_put,
    .flow_del = null_flow_del,
    .flow_get_stats = null_flow_get_stats,
    .flow_for_each = null_flow_for_each,
    .execute = null_execute,
    .drops = null_drops,
    .lookup_stats = null_lookup_stats,
};

/* ---- helpers ---- */

/* Of processor time: the machine may have other things to do. */
static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void report(const char *what, double n, double since)
{
    double took = seconds() - since;

    printf("%-52s %12.0f /s  (%.2f us)\n", what, n / took, took / n * 1e6);
}

static void die(const char *what)
{
    fprintf(stderr, "slow_path: %s\n", what);
    exit(1);
}

static void apply(struct bridge *br, const char *text, enum flow_mod_command command)
{
    struct flow_spec s = {0};
    char *error = NULL;
    struct flow_change c;

    if (flow_parse(text, NULL, &s, &error)) {
        die(error);
    }
    c = (struct flow_change){.command = command,
                             .table = s.table == TABLE_ID_ALL && command == FLOW_MOD_ADD ? 0 : s.table,
                             .match = s.match,
                             .priority = s.priority,
                             .cookie = s.cookie,
                             .cookie_mask = s.cookie_mask,
                             .idle_timeout = s.idle_timeout,
                             .hard_timeout = s.hard_timeout,
                             .out_port = s.out_port,
                             .actions = s.acts.data,
                             .actions_len = s.acts.len,
                             .keep_timeouts = true};
    if (flow_table_apply(br, &c, time_mono_ms())) {
        die(text);
    }
    flow_spec_done(&s);
}

static void WR_PRINTF(2, 3) flow(struct bridge *br, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    apply(br, text, FLOW_MOD_ADD);
}

static void add_port(struct bridge *br, const struct port_config *c)
{
    struct port *port;

    if (bridge_port_add(br, c, &port)) {
        die(c->name);
    }
}

/* ---- the Neutron pipeline ---- */

struct cloud {
    struct event_base *base;
    struct switch_ *sw;
    struct bridge *in, *tun;
    unsigned int vm_dp_port; /* of the first one */
};

static void cloud_ports(struct cloud *c)
{
    for (unsigned int i = 0; i < N_VMS; i++) {
        _cleanup_free_ char *name = xasprintf("tap%u", i);

        add_port(c->in, &(struct port_config){.name = name,
                                              .ofp_port = ofp_port(i + 10),
                                              .kind = PORT_SYSTEM,
                                              .vlan = {.mode = VLAN_ACCESS, .tag = 1}});
    }
    c->vm_dp_port = 1;
    add_port(c->in, &(struct port_config){.name = "patch-tun",
                                          .ofp_port = ofp_port(1),
                                          .kind = PORT_PATCH,
                                          .patch_peer = "patch-int",
                                          .vlan = {.all_trunks = true}});
    add_port(c->tun, &(struct port_config){.name = "patch-int",
                                           .ofp_port = ofp_port(1),
                                           .kind = PORT_PATCH,
                                           .patch_peer = "patch-tun",
                                           .vlan = {.all_trunks = true}});
    for (unsigned int i = 0; i < N_HOSTS; i++) {
        _cleanup_free_ char *name = xasprintf("vxlan%u", i);
        struct ip_addr remote = {.b = {[10] = 0xff, [11] = 0xff, 192, 0, 2, (uint8_t)(i + 1)}};

        add_port(c->tun, &(struct port_config){.name = name,
                                               .ofp_port = ofp_port(i + 2),
                                               .kind = PORT_TUNNEL,
                                               .vlan = {.all_trunks = true},
                                               .tunnel = {.type = TUNNEL_VXLAN,
                                                          .remote = TUNNEL_FIXED,
                                                          .remote_ip = remote,
                                                          .in_key = TUNNEL_FLOW,
                                                          .out_key = TUNNEL_FLOW,
                                                          .df = true}});
    }
}

static void cloud_int_flows(struct bridge *br)
{
    flow(br, "table=0,priority=65535,dl_vlan=4095,actions=drop");
    flow(br, "table=0,priority=0,actions=goto_table:59");
    flow(br, "table=23,priority=0,actions=drop");
    flow(br, "table=24,priority=0,actions=drop");
    flow(br, "table=30,priority=0,actions=goto_table:59");
    flow(br, "table=31,priority=0,actions=goto_table:59");
    flow(br, "table=59,priority=0,actions=goto_table:60");
    flow(br, "table=60,priority=3,actions=normal");
    for (unsigned int i = 0; i < N_VMS; i++) {
        unsigned int p = i + 10;

        flow(br, "table=0,priority=10,icmp6,in_port=%u,icmp_type=136,actions=goto_table:24", p);
        flow(br, "table=0,priority=10,arp,in_port=%u,actions=goto_table:24", p);
        flow(br, "table=0,priority=9,in_port=%u,actions=goto_table:25", p);
        flow(br, "table=24,priority=2,icmp6,in_port=%u,icmp_type=136,nd_target=fe80::%x,actions=goto_table:59", p, p);
        flow(br, "table=24,priority=2,arp,in_port=%u,arp_spa=10.0.0.%u,actions=goto_table:25", p, p);
        flow(br, "table=25,priority=2,in_port=%u,dl_src=fa:16:3e:00:00:%02x,actions=goto_table:30", p, i);
    }
}

static void cloud_tun_flows(struct bridge *br)
{
    struct strbuf flood = {0};

    flow(br, "table=0,priority=1,in_port=1,actions=goto_table:2");
    flow(br, "table=0,priority=0,actions=drop");
    flow(br, "table=2,priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff,actions=goto_table:21");
    flow(br, "table=2,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=goto_table:20");
    flow(br, "table=2,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=goto_table:22");
    flow(br, "table=4,priority=1,tun_id=0x64,actions=push_vlan:0x8100,set_field:4097->vlan_vid,goto_table:10");
    flow(br, "table=4,priority=0,actions=drop");
    flow(br, "table=10,priority=1,actions=learn(table=20,hard_timeout=300,priority=1,cookie=0x5,NXM_OF_VLAN_TCI[0..11],"
             "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],"
             "output:OXM_OF_IN_PORT[]),output:1");
    flow(br, "table=20,priority=0,actions=goto_table:22");
    flow(br, "table=21,priority=0,actions=goto_table:22");
    flow(br, "table=22,priority=0,actions=drop");
    for (unsigned int i = 0; i < N_HOSTS; i++) {
        flow(br, "table=0,priority=1,in_port=%u,actions=goto_table:4", i + 2);
        strbuf_addf(&flood, ",output:%u", i + 2);
    }
    flow(br, "table=22,priority=1,dl_vlan=1,actions=pop_vlan,set_field:0x64->tun_id%s", strbuf_str(&flood));
    strbuf_done(&flood);
    for (unsigned int i = 0; i < N_REMOTE; i++) {
        flow(br,
             "table=20,priority=2,dl_vlan=1,dl_dst=fa:16:3e:01:%02x:%02x,actions=pop_vlan,set_field:0x64->tun_id,"
             "output:%u",
             i >> 8, i & 255, i % N_HOSTS + 2);
        flow(br,
             "table=21,priority=1,arp,dl_vlan=1,arp_tpa=10.0.%u.%u,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
             "mod_dl_src:fa:16:3e:01:%02x:%02x,load:0x2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],"
             "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0xfa163e01%04x->NXM_NX_ARP_SHA[],"
             "load:0x0a00%04x->NXM_OF_ARP_SPA[],in_port",
             1 + (i >> 8), i & 255, i >> 8, i & 255, i, 0x100 + i);
    }
}

static void cloud_init(struct cloud *c)
{
    c->base = event_base_new();
    if (switch_create_class(c->base, &null_class, &c->sw) || bridge_create(c->sw, "br-int", &c->in) ||
        bridge_create(c->sw, "br-tun", &c->tun)) {
        die("no switch");
    }
    cloud_ports(c);
    cloud_int_flows(c->in);
    cloud_tun_flows(c->tun);
    megaflow_set_limits(c->sw, 1000000, 1000000000);
}

/* VM to REMOTE, TCP. */
static void cloud_key(const struct cloud *c, unsigned int vm, unsigned int remote, struct flow_key *ret)
{
    *ret = (struct flow_key){.in_port = dp_port(c->vm_dp_port + vm), .eth_type = htons(0x0800)};
    ret->eth_dst = (struct eth_addr){{0xfa, 0x16, 0x3e, 1, (uint8_t)(remote >> 8), (uint8_t)remote}};
    ret->eth_src = (struct eth_addr){{0xfa, 0x16, 0x3e, 0, 0, (uint8_t)vm}};
    ret->ip_src.be32[3] = htonl(0x0a00000a + vm);
    ret->ip_dst.be32[3] = htonl(0x0a000100 + remote);
    ret->ip_proto = 6;
    ret->ip_ttl = 64;
    ret->tp_src = htons((uint16_t)(32768 + remote));
    ret->tp_dst = htons(80);
    ret->tcp_flags = htons(2);
}

static void bench_translate(const struct cloud *c, const char *what, unsigned int n)
{
    double t = seconds();

    for (unsigned int i = 0; i < n; i++) {
        struct xlate_out out;
        struct flow_key key;

        cloud_key(c, i % N_VMS, i * 7 % N_REMOTE, &key);
        translate(&(struct xlate_in){.sw = c->sw, .key = &key, .now = time_mono_ms()}, &out);
        xlate_out_done(&out);
    }
    report(what, n, t);
}

/* What the first packet of every VM does, and the answers from the other hosts. */
static void cloud_learn(struct cloud *c, unsigned int n_remote)
{
    for (unsigned int i = 0; i < n_remote; i++) {
        mac_table_learn(&c->in->macs, 1, (struct eth_addr){{0xfa, 0x16, 0x3e, 1, (uint8_t)(i >> 8), (uint8_t)i}},
                        ofp_port(1), time_mono_ms());
    }
    for (unsigned int i = 0; i < N_VMS; i++) {
        mac_table_learn(&c->in->macs, 1, (struct eth_addr){{0xfa, 0x16, 0x3e, 0, 0, (uint8_t)i}}, ofp_port(10 + i),
                        time_mono_ms());
    }
    switch_changed(c->sw);
}

static void bench_neutron(void)
{
    struct cloud c = {0};
    struct flow_key key;
    uint8_t frame[64] = {0};
    struct packet p = {.data = frame, .len = sizeof frame};
    struct dp_upcall upcall = {.reason = DP_UPCALL_MISS, .packet = &p, .key = &key};
    double t;

    cloud_init(&c);
    bench_translate(&c, "translate, unknown in br-int (51 outputs)", 50000);
    cloud_learn(&c, N_REMOTE);
    bench_translate(&c, "translate, Neutron unicast", 400000);
    t = seconds();
    for (unsigned int i = 0; i < N_VMS * N_REMOTE; i++) {
        cloud_key(&c, i % N_VMS, i / N_VMS, &key);
        megaflow_upcall(c.sw, &upcall);
    }
    report("new megaflows (upcall, translate, install)", N_VMS * N_REMOTE, t);
    printf("%-52s %12zu\n", "  megaflows", megaflow_count(c.sw));
    switch_changed(c.sw);
    t = seconds();
    megaflow_revalidate_all(c.sw);
    report("revalidation after a change of everything", (double)megaflow_count(c.sw), t);
    flow(c.tun, "table=7,priority=2,dl_vlan=77,actions=drop");
    t = seconds();
    megaflow_revalidate_all(c.sw);
    report("revalidation after a change of another table", (double)megaflow_count(c.sw), t);
    t = seconds();
    megaflow_revalidate_all(c.sw);
    report("counters read, nothing changed", (double)megaflow_count(c.sw), t);
    t = seconds();
    for (unsigned int i = 0; i < 1000000; i++) {
        cloud_key(&c, i % N_VMS, i / N_VMS % N_REMOTE, &key);
        if (!megaflows_lookup(&null_of(c.sw->dp)->flows, &key)) {
            die("a packet misses its megaflow");
        }
    }
    report("userspace megaflow lookup, all flows in turn", 1000000, t);
    t = seconds();
    for (unsigned int i = 0; i < 4000000; i++) {
        cloud_key(&c, i % 4, 5, &key);
        if (!megaflows_lookup(&null_of(c.sw->dp)->flows, &key)) {
            die("a packet misses its megaflow");
        }
    }
    report("userspace megaflow lookup, 4 busy flows", 4000000, t);
    switch_destroy(c.sw);
    event_base_free(c.base);
}

/* 200,000 megaflows and a change of everything: how long do turns of the event loop get, and when is it done? */
static void bench_sweep(void)
{
    enum { N_FAR = 4000 };
    struct cloud c = {0};
    struct flow_key key;
    uint8_t frame[64] = {0};
    struct packet p = {.data = frame, .len = sizeof frame};
    struct dp_upcall upcall = {.reason = DP_UPCALL_MISS, .packet = &p, .key = &key};
    double t, turn, longest = 0;
    uint64_t before;
    size_t memory = mallinfo2().uordblks;

    cloud_init(&c);
    cloud_learn(&c, N_FAR);
    for (unsigned int i = 0; i < N_VMS * N_FAR; i++) {
        cloud_key(&c, i % N_VMS, i / N_VMS, &key);
        megaflow_upcall(c.sw, &upcall);
    }
    printf("%-52s %12zu\n", "  megaflows", megaflow_count(c.sw));
    printf("%-52s %12zu\n", "  bytes a megaflow, both sides",
           (mallinfo2().uordblks - memory) / MAX(megaflow_count(c.sw), (size_t)1));
    megaflow_revalidate_all(c.sw);
    switch_changed(c.sw);
    before = megaflow_n_revalidated(c.sw);
    t = seconds();
    while (megaflow_n_revalidated(c.sw) - before < megaflow_count(c.sw)) {
        turn = seconds();
        event_base_loop(c.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        longest = MAX(longest, seconds() - turn);
    }
    report("sweep in slices of the loop", (double)megaflow_count(c.sw), t);
    printf("%-52s %12.2f ms\n", "  longest turn of the loop", longest * 1e3);
    switch_destroy(c.sw);
    event_base_free(c.base);
}

/* ---- one table ---- */

/* N rules in 64 masks: in_port, VLAN, addresses and ports with prefixes of different lengths. */
static void make_rule(unsigned int i, struct match *m)
{
    unsigned int shape = i % 64, n = i / 64;

    match_init(m);
    m->mask.key.eth_type = htons(0xffff);
    m->value.key.eth_type = htons(0x0800);
    m->mask.key.ip_dst.be32[3] = htonl(UINT32_MAX << (shape % 8));
    m->value.key.ip_dst.be32[3] = htonl(0x0a000000u + (n << 8) + 128) & m->mask.key.ip_dst.be32[3];
    if (shape & 8) {
        m->mask.in_port = ofp_port(UINT32_MAX);
        m->value.in_port = ofp_port(1 + n % 4);
    }
    if (shape & 16) {
        m->mask.key.ip_proto = 0xff;
        m->value.key.ip_proto = 6;
        m->mask.key.tp_dst = htons(0xffff);
        m->value.key.tp_dst = htons((uint16_t)(n % 1000));
    }
    if (shape & 32) {
        m->mask.key.vlan[0].tci = htons(0x1fff);
        m->value.key.vlan[0].tci = htons((uint16_t)(0x1000 | n % 100));
    }
}

static void bench_lookup(unsigned int n_rules)
{
    struct cls_rule *rules = xcalloc(n_rules, sizeof *rules);
    struct classifier cls = {0};
    _cleanup_free_ char *what = xasprintf("classifier lookup, %u rules in 64 masks", n_rules);
    struct match m;
    double t;

    for (unsigned int i = 0; i < n_rules; i++) {
        make_rule(i, &m);
        cls_rule_init(&rules[i], &m, (int32_t)(i % 64));
        if (classifier_find_exact(&cls, &m, rules[i].priority)) {
            die("two rules alike");
        }
        classifier_insert(&cls, &rules[i]);
    }
    t = seconds();
    for (unsigned int i = 0; i < 400000; i++) {
        struct flow f, mask = {0};

        make_rule(i * 31 % n_rules, &m);
        f = m.value;
        f.key.ip_proto = 6;
        f.in_port = ofp_port(1 + i % 4);
        classifier_lookup(&cls, &f, &mask);
    }
    report(what, 400000, t);
    for (unsigned int i = 0; i < n_rules; i++) {
        classifier_remove(&cls, &rules[i]);
        cls_rule_done(&rules[i]);
    }
    classifier_done(&cls);
    free(rules);
}

static void bench_lookups(void)
{
    bench_lookup(100);
    bench_lookup(N_RULES);
}

static int count_one(void *aux, const struct rule *rule)
{
    struct match m;

    rule_get_match(rule, &m);
    *(size_t *)aux += m.mask.in_port != 0;
    return 0;
}

static void bench_flow_mods(void)
{
    const struct ofpact_output out = {.h = {OFPACT_OUTPUT, sizeof out}, .port = ofp_port(1)};
    const struct flow_filter all = {.table = TABLE_ID_ALL, .out_port = OFPP_ANY};
    struct flow_change c = {.command = FLOW_MOD_ADD, .out_port = OFPP_ANY, .actions = &out, .actions_len = sizeof out};
    struct cloud cl = {0};
    size_t before, n = 0;
    double t;

    cl.base = event_base_new();
    if (switch_create_class(cl.base, &null_class, &cl.sw) || bridge_create(cl.sw, "br0", &cl.in)) {
        die("no switch");
    }
    before = mallinfo2().uordblks;
    t = seconds();
    for (unsigned int i = 0; i < N_RULES; i++) {
        make_rule(i, &c.match);
        c.priority = (int32_t)(i % 64);
        c.cookie = i % 10;
        if (flow_table_apply(cl.in, &c, time_mono_ms())) {
            die("flow_mod");
        }
    }
    report("flow_mod add", N_RULES, t);
    printf("%-52s %12zu\n", "  bytes a flow", (mallinfo2().uordblks - before) / N_RULES);
    t = seconds();
    flow_table_for_each(cl.in, &all, count_one, &n);
    report("flows read (match expanded)", N_RULES, t);
    c = (struct flow_change){.command = FLOW_MOD_DELETE,
                             .table = TABLE_ID_ALL,
                             .out_port = OFPP_ANY,
                             .cookie = 3,
                             .cookie_mask = UINT64_MAX};
    t = seconds();
    flow_table_apply(cl.in, &c, time_mono_ms());
    report("flows searched by cookie, a tenth deleted", N_RULES, t);
    c.cookie_mask = 0;
    t = seconds();
    flow_table_apply(cl.in, &c, time_mono_ms());
    report("delete of the rest", N_RULES * 9 / 10, t);
    switch_destroy(cl.sw);
    event_base_free(cl.base);
}

/* Names of sections as arguments; none: all. */
int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } sections[] = {
        {"lookup", bench_lookups}, {"mods", bench_flow_mods}, {"neutron", bench_neutron}, {"sweep", bench_sweep}};

    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        bool want = argc == 1;

        for (int j = 1; j < argc; j++) {
            want |= !strcmp(argv[j], sections[i].name);
        }
        if (want) {
            sections[i].run();
        }
    }
    return 0;
}
