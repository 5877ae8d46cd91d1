/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random tables and random packets, three ways: a translation of each packet's full key, run by the executor; megaflows
 * in the userspace datapath; the same megaflows in the eBPF programs under BPF test-run. What leaves by which port, and
 * how long, must be the same, and so must the last frame. Skips where BPF is not permitted.
 */
#include "env.h"

#include <bpf/bpf.h>
#include <endian.h>
#include <inttypes.h>
#include <linux/pkt_cls.h>
#include <net/if.h>

#include "../datapath/ebpf_enter.h"
#include "datapath/ebpf/flows.h"
#include "datapath/ebpf/upcall.h"
#include "datapath/format.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "recorder.h"
#include "switch/translate.h"

#define N_PORTS 4
#define N_SETS 120 /* of rules */
#define N_RULES 14
#define N_PACKETS 60 /* a set */

/* What left: by port, and the last frame. */
struct sent {
    uint64_t packets[N_PORTS + 1], bytes[N_PORTS + 1];
    uint8_t last[256];
    size_t last_len;
};

static struct env env;
static struct ebpf_maps maps;
static struct ebpf_flows *flows;
static struct ebpf_upcalls *upcalls;
static struct ebpf_upcall last_upcall;
static uint64_t drops[DROP_MAX]; /* upcalls that nobody heard in time */
static struct datapath *us;
static struct sent *sink;
static dp_flow_id next_id = 1, first_id = 1;

static uint32_t rnd(uint32_t n)
{
    static uint64_t seed = 88172645463325252u;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 20) % n;
}

static void record(unsigned int port, const struct packet *p)
{
    sink->packets[port]++;
    sink->bytes[port] += p->len;
    sink->last_len = MIN(p->len, sizeof(sink->last));
    memcpy(sink->last, p->data, sink->last_len);
}

static bool no_tunnel(void *aux WR_UNUSED, uint32_t port WR_UNUSED, const struct flow_tunnel *tunnel WR_UNUSED,
                      struct ebpf_tunnel *t WR_UNUSED)
{
    return false;
}

/* A miss of the userspace datapath: the megaflow comes into both. */
static void on_miss(void *aux WR_UNUSED, const struct dp_upcall *u)
{
    const struct ebpf_compile_ops ops = {.tunnel = no_tunnel};
    const struct dp_action *actions;
    struct ebpf_program program;
    struct flow_key masked;
    struct xlate_out out;

    translate(&(struct xlate_in){.sw = env.sw, .key = u->key}, &out);
    assert_false(out.slow);
    actions = (const struct dp_action *)(const void *)out.actions;
    flow_key_and(&masked, u->key, &out.mask);
    ebpf_compile(&ops, &masked, &out.mask, actions, out.actions_len, &program);
    assert_int_equal(ebpf_flows_put(flows, next_id, &masked, &out.mask, &program, 0, 0), 0);
    free(program.steps);
    assert_int_equal(dp_flow_put(us, &(struct dp_flow){.id = next_id,
                                                       .key = &masked,
                                                       .mask = &out.mask,
                                                       .actions = actions,
                                                       .actions_len = out.actions_len}),
                     0);
    next_id++;
    assert_int_equal(dp_execute(us, u->packet, actions, out.actions_len), 0);
    xlate_out_done(&out);
}

static void on_upcall(void *aux WR_UNUSED, const struct ebpf_upcall *u, struct packet *p WR_UNUSED)
{
    last_upcall = *u;
}

static int setup(void **state WR_UNUSED)
{
    static const struct dp_callbacks callbacks = {.upcall = on_miss};
    static const struct ebpf_listener listener = {.fn = on_upcall, .drops = drops, .old_ms = 60000};

    if (!ebpf_enter(&maps)) {
        return 0;
    }
    RUN("ip link add out type veth peer name out1 && ip link set out up");
    env_init(&env);
    assert_int_equal(recorder_open(env.base, &callbacks, N_PORTS, record, &us), 0);
    for (unsigned int i = 1; i <= N_PORTS; i++) {
        char name[8];

        snprintf(name, sizeof(name), "p%u", i);
        env_port(env.br, name, i);
    }
    flows = ebpf_flows_new(&maps, NULL);
    return ebpf_upcalls_new(env.base, maps.ring_fd, &listener, &upcalls);
}

static int teardown(void **state WR_UNUSED)
{
    if (permitted) {
        recorder_close(us);
        ebpf_upcalls_free(upcalls);
        ebpf_flows_free(flows);
        ebpf_unload(&maps);
        env_done(&env);
    }
    return 0;
}

/* --- random rules and packets --- */

/* True: all packets that match have a tag. */
static bool random_match(struct strbuf *b)
{
    bool tagged = !rnd(4);

    static const char *const l4[] = {"udp", "tcp", "udp6", "tcp6"};

    if (!rnd(3)) {
        strbuf_addf(b, ",in_port=%u", 1 + rnd(N_PORTS));
    }
    if (!rnd(3)) {
        strbuf_addf(b, rnd(2) ? ",dl_dst=02:00:00:00:00:%02x" : ",dl_dst=00:00:00:00:00:%02x/00:00:00:00:00:0%x",
                    1 + rnd(4), 1 + rnd(3));
    }
    if (tagged) {
        strbuf_addf(b, ",dl_vlan=%u", 1 + rnd(2));
    }
    switch (rnd(6)) {
    case 0:
        strbuf_addf(b, ",ip,nw_dst=10.0.%u.%u/%u", rnd(2), rnd(4), 22 + rnd(11));
        break;
    case 1:
        strbuf_addf(b, ",%s,tp_dst=%u/0x%x", l4[rnd(4)], rnd(4), 1 + rnd(3));
        break;
    case 2:
        strbuf_addf(b, ",%s,tp_src=%u", l4[rnd(4)], rnd(4));
        break;
    case 3:
        strbuf_addf(b, ",arp,arp_tpa=10.0.0.%u", rnd(4));
        break;
    default:
        break;
    }
    return tagged;
}

static void random_actions(struct strbuf *b, bool first, bool tagged)
{
    if (tagged && rnd(2)) {
        strbuf_add(b, "strip_vlan,");
    }
    for (uint32_t n = 1 + rnd(4); n; n--) {
        switch (rnd(9)) {
        case 0:
            strbuf_addf(b, "mod_dl_src:02:00:00:00:01:%02x,", rnd(4));
            break;
        case 1:
            strbuf_addf(b, "mod_dl_dst:02:00:00:00:00:%02x,", 1 + rnd(4));
            break;
        case 2:
            strbuf_addf(b, "mod_vlan_vid:%u,", 1 + rnd(2));
            break;
        case 3:
            strbuf_addf(b, "clone(mod_dl_src:02:00:00:00:01:%02x,output:%u%s),", rnd(4), 1 + rnd(N_PORTS),
                        rnd(2) ? ",mod_dl_dst:02:00:00:00:00:09,output:1" : "");
            break;
        default:
            strbuf_addf(b, "output:%u,", 1 + rnd(N_PORTS));
            break;
        }
    }
    if (first && rnd(2)) {
        strbuf_add(b, "resubmit(,1)");
    } else if (rnd(4)) {
        strbuf_addf(b, "output:%u", 1 + rnd(N_PORTS));
    } else {
        strbuf_addf(b, "output(port=%u,max_len=%u)", 1 + rnd(N_PORTS), 14 + rnd(80));
    }
}

static void random_tables(void)
{
    env_del(env.br, "");
    for (unsigned int i = 0; i < N_RULES; i++) {
        _cleanup_strbuf_ struct strbuf b = {0};
        bool first = i % 2, tagged = false;

        strbuf_addf(&b, "table=%u,priority=%u", !first, 1 + i); /* of equal ones either may win */
        if (i > 1) {
            tagged = random_match(&b);
        }
        strbuf_add(&b, ",actions=");
        if (i > 1 && !rnd(8)) {
            strbuf_add(&b, "drop");
        } else {
            random_actions(&b, first, tagged);
        }
        env_flow(env.br, strbuf_str(&b));
    }
}

static size_t random_l3(uint8_t *p, uint16_t *ret_type)
{
    uint8_t proto = rnd(2) ? IP_PROTO_UDP : IP_PROTO_TCP;
    struct ipv4_hdr *ip = (void *)p;
    size_t n;

    switch (rnd(6)) {
    case 0:
        *ret_type = ETH_TYPE_ARP;
        memcpy(p, "\0\1\10\0\6\4\0\1", 8);
        memcpy(p + 24, (uint8_t[]){10, 0, 0, (uint8_t)rnd(4)}, 4);
        return 46;
    case 1:
        *ret_type = ETH_TYPE_IPV6;
        memcpy(p, (uint8_t[]){0x60, 0, 0, 0, 0, 40, proto, 64}, 8);
        n = 40;
        break;
    default:
        *ret_type = ETH_TYPE_IPV4;
        *ip = (struct ipv4_hdr){.ver_ihl = 0x45,
                                .tot_len = htobe16(60),
                                .ttl = 64,
                                .proto = proto,
                                .src = htobe32(0x0a000001 + rnd(4)),
                                .dst = htobe32(0x0a000000 | rnd(2) << 8 | rnd(4))};
        ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
        n = sizeof(*ip);
        break;
    }
    p[n + 1] = (uint8_t)rnd(4);
    p[n + 3] = (uint8_t)rnd(4);
    p[n + 5] = 40; /* UDP's length */
    if (proto == IP_PROTO_TCP) {
        p[n + 12] = 0x50;
    }
    return n + 40;
}

static size_t random_frame(uint8_t *b)
{
    size_t n = 12;
    uint16_t type;
    size_t len;

    memset(b, 0, 128);
    memcpy(b, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(1 + rnd(4)), 2, 0, 0, 0, 0, (uint8_t)(1 + rnd(4))}, 12);
    if (!rnd(3)) {
        memcpy(b + n, (uint8_t[]){0x81, 0, 0, (uint8_t)(1 + rnd(2))}, 4);
        n += 4;
    }
    len = random_l3(b + n + 2, &type);
    b[n] = (uint8_t)(type >> 8);
    b[n + 1] = (uint8_t)type;
    return n + 2 + len;
}

/* --- the three ways --- */

static struct packet *received(const uint8_t *frame, size_t len, unsigned int port, struct flow_key *ret_key)
{
    struct packet *p = packet_new(frame, len);

    p->in_port = dp_port(port);
    flow_key_extract(p, ret_key);
    return p;
}

static bool changes_tags(const struct ebpf_program *program)
{
    for (size_t i = 0; i < program->n; i++) {
        enum ebpf_op op = program->steps[i].op;

        if (op == EBPF_OP_PUSH_VLAN || op == EBPF_OP_POP_VLAN || op == EBPF_OP_SET_VLAN) {
            return true;
        }
    }
    return false;
}

/* True: test-run can show what the programs do. It cannot where they change a tag that came with the frame, which a
 * device would have given them beside it and test-run leaves inside. */
static bool by_translation(const uint8_t *frame, size_t len, unsigned int port, struct sent *sent)
{
    const struct ebpf_compile_ops ops = {.tunnel = no_tunnel};
    const struct dp_action *actions;
    struct ebpf_program program;
    struct flow_key key;
    struct packet *p = received(frame, len, port, &key);
    struct xlate_out out;
    bool shown;

    sink = sent;
    translate(&(struct xlate_in){.sw = env.sw, .key = &key}, &out);
    actions = (const struct dp_action *)(const void *)out.actions;
    ebpf_compile(&ops, &key, &out.mask, actions, out.actions_len, &program);
    shown = !key.vlan[0].tci || !changes_tags(&program);
    free(program.steps);
    assert_int_equal(dp_execute(us, p, actions, out.actions_len), 0);
    xlate_out_done(&out);
    packet_free(p);
    return shown;
}

static void by_userspace(const uint8_t *frame, size_t len, unsigned int port, struct sent *sent)
{
    struct flow_key key;
    struct packet *p = received(frame, len, port, &key);

    sink = sent;
    recorder_process(us, p, &key);
    packet_free(p);
}

/* False: the fast path left the packet to user space. */
static bool by_ebpf(const uint8_t *frame, size_t len, unsigned int port, struct sent *sent)
{
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len,
                        .data_out = sent->last, .data_size_out = sizeof(sent->last), .repeat = 1);
    _cleanup_free_ struct ebpf_port_stats *stats = xcalloc((size_t)maps.n_cpus, sizeof(*stats));
    uint32_t lo = 1, out = if_nametoindex("out");
    static unsigned int before;

    /* Test runs come in by lo, which is PORT's this time. */
    assert_int_equal(bpf_map_update_elem(maps.ifindexes_fd, &lo, &port, BPF_ANY), 0);
    for (unsigned int i = 1; i <= N_PORTS; i++) {
        maps.ports[i].ifindex = i == port ? lo : out;
    }
    if (port != before) {
        ebpf_maps_changed(&maps);
    }
    before = port;
    for (uint32_t i = 1; i <= N_PORTS; i++) {
        memset(stats, 0, (size_t)maps.n_cpus * sizeof(*stats));
        assert_int_equal(bpf_map_update_elem(maps.port_stats_fd, &i, stats, BPF_ANY), 0);
    }
    last_upcall.kind = 0;
    assert_int_equal(bpf_prog_test_run_opts(maps.port_prog_fd, &opts), 0);
    event_base_loop(env.base, EVLOOP_NONBLOCK);
    if (last_upcall.kind) {
        assert_int_not_equal(last_upcall.kind, EBPF_UPCALL_MISS);
        return false;
    }
    for (uint32_t i = 1; i <= N_PORTS; i++) {
        assert_int_equal(bpf_map_lookup_elem(maps.port_stats_fd, &i, stats), 0);
        for (int cpu = 0; cpu < maps.n_cpus; cpu++) {
            sent->packets[i] += stats[cpu].tx_packets;
            sent->bytes[i] += stats[cpu].tx_bytes;
        }
    }
    sent->last_len = opts.retval == TC_ACT_REDIRECT ? opts.data_size_out : 0;
    return true;
}

static bool same_last(const struct sent *a, const struct sent *fast)
{
    if (a->last_len == fast->last_len) {
        return !memcmp(a->last, fast->last, a->last_len);
    }
    /* The programs leave a tag beside the frame, where test-run does not show it. */
    return a->last_len == fast->last_len + 4 && !memcmp(a->last, fast->last, 12) &&
           !memcmp(a->last + 16, fast->last + 12, fast->last_len - 12);
}

static bool agree(const struct sent *a, const struct sent *b, bool fast)
{
    return !memcmp(a->packets, b->packets, sizeof(a->packets)) && !memcmp(a->bytes, b->bytes, sizeof(a->bytes)) &&
           (fast ? same_last(a, b) : a->last_len == b->last_len && !memcmp(a->last, b->last, a->last_len));
}

/* What came of a packet of KEY both ways, for whoever reads the failure. */
static void tell(const char *who, const struct flow_key *key, const struct sent *want, const struct sent *have)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    struct flow_key mask;
    struct xlate_out out;

    memset(&mask, 0xff, sizeof(mask));
    dp_key_format(key, &mask, &b);
    translate(&(struct xlate_in){.sw = env.sw, .key = key}, &out);
    strbuf_add(&b, "\n  actions: ");
    dp_actions_format((const struct dp_action *)(const void *)out.actions, out.actions_len, &b);
    xlate_out_done(&out);
    print_message("%s differs: %s\n", who, strbuf_str(&b));
    for (unsigned int i = 1; i <= N_PORTS; i++) {
        print_message("  port %u: %" PRIu64 " packets, %" PRIu64 " bytes; %" PRIu64 ", %" PRIu64 "\n", i,
                      want->packets[i], want->bytes[i], have->packets[i], have->bytes[i]);
    }
    print_message("  last: %zu bytes; %zu\n", want->last_len, have->last_len);
}

/* Disagreements on one packet; RET_FAST counts those that the fast path did. */
static unsigned int compare(unsigned int *ret_fast)
{
    struct sent want = {.last_len = 0}, slow = {.last_len = 0}, fast = {.last_len = 0};
    unsigned int port = 1 + rnd(N_PORTS), wrong = 0;
    struct flow_key key;
    uint8_t frame[128];
    bool shown;
    size_t len = random_frame(frame);

    packet_free(received(frame, len, port, &key));
    shown = by_translation(frame, len, port, &want);
    by_userspace(frame, len, port, &slow);
    if (!agree(&want, &slow, false)) {
        tell("the userspace datapath", &key, &want, &slow);
        wrong++;
    }
    if (by_ebpf(frame, len, port, &fast) && shown) {
        ++*ret_fast;
        if (!agree(&want, &fast, true)) {
            tell("eBPF", &key, &want, &fast);
            wrong++;
        }
    }
    return wrong;
}

static void forget_flows(void)
{
    for (; first_id < next_id; first_id++) {
        assert_int_equal(dp_flow_del(us, first_id, NULL), 0);
        assert_int_equal(ebpf_flows_del(flows, first_id, NULL, 0), 0);
    }
    ebpf_flows_tick(flows, INT64_MAX);
}

static void test_agree(void **state WR_UNUSED)
{
    unsigned int n_fast = 0;

    NEEDS_BPF;
    for (unsigned int i = 0; i < N_SETS; i++) {
        random_tables();
        for (unsigned int k = 0; k < N_PACKETS; k++) {
            assert_int_equal(compare(&n_fast), 0);
        }
        forget_flows();
    }
    assert_in_range(n_fast, N_SETS * N_PACKETS / 2, N_SETS * N_PACKETS);
}

/* A port that is changed in the maps, behind everybody's back, is noticed. */
static void test_planted(void **state WR_UNUSED)
{
    unsigned int n_fast = 0, wrong = 0;

    NEEDS_BPF;
    env_del(env.br, "");
    env_flow(env.br, "actions=output:2");
    while (n_fast < 20) {
        assert_int_equal(compare(&n_fast), 0);
    }
    for (uint32_t i = 0; i < EBPF_SLOTS_MAX; i++) {
        if (maps.slots[i].live && maps.slots[i].steps[0].op == EBPF_OP_OUTPUT) {
            maps.slots[i].steps[0].port = 3;
        }
    }
    for (unsigned int i = 0; i < 20; i++) {
        wrong += compare(&n_fast);
    }
    assert_in_range(wrong, 1, 20);
    forget_flows();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agree),
        cmocka_unit_test(test_planted),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
