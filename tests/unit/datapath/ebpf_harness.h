/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_EBPF_HARNESS_H
#define WARREN_TESTS_EBPF_HARNESS_H
/*
 * The fast path's programs under BPF test-run, in a network namespace of the test's own: loading, flows from datapath
 * actions, a packet in and the packet out, what goes up; random frames; an underlay for tunnels. One test program
 * includes this once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <endian.h>
#include <linux/pkt_cls.h>
#include <unistd.h>

#include "datapath/ebpf/compile.h"
#include "datapath/ebpf/flows.h"
#include "datapath/ebpf/ports.h"
#include "datapath/ebpf/upcall.h"
#include "ebpf_enter.h"
#include "packet/checksum.h"
#include "packet/edit.h"
#include "packet/headers.h"
#include "packet/segment.h"
#include "packet/tunnel.h"
#include "random_frames.h"

#define PORT_IN 1
#define PORT_OUT 2
#define PORT_TUNNEL 3

/* How long the tests wait for what must come: other work may keep the processor. */
#define PATIENCE_MS 20000

static struct ebpf_maps maps;
static struct ebpf_flows *flows;
static struct event_base *base;
static struct ebpf_upcalls *upcalls;
static uint64_t waited[DROP_MAX]; /* upcalls that nobody heard in time */
static struct ebpf_upcall last_upcall;
static uint8_t last_upcall_frame[2048];
static size_t last_upcall_len;

static void on_upcall(void *aux WR_UNUSED, const struct ebpf_upcall *u, struct packet *p)
{
    last_upcall = *u;
    last_upcall_len = MIN(p->len, sizeof(last_upcall_frame));
    memcpy(last_upcall_frame, p->data, last_upcall_len);
}

/* A meter of the fast path, or a policer's, with its buckets full. */
static WR_UNUSED void put_meter(uint32_t id, const struct dp_meter_config *config)
{
    struct ebpf_meter m = {0};

    dp_meter_configure(&m.meter, config, (uint64_t)time_mono_ms());
    assert_int_equal(bpf_map_update_elem(maps.meters_fd, &id, &m, BPF_ANY), 0);
}

/* Until something is in last_upcall. */
static WR_UNUSED void await_upcall(void)
{
    for (int64_t since = time_mono_ms(); !last_upcall.kind && time_mono_ms() - since < PATIENCE_MS;) {
        struct timeval tv = {.tv_usec = 1000};

        event_base_loopexit(base, &tv);
        event_base_loop(base, 0);
    }
}

static int setup(void **state WR_UNUSED)
{
    static const struct ebpf_listener listener = {.fn = on_upcall, .drops = waited, .old_ms = 60000};
    uint32_t lo = 1, number = PORT_IN;

    if (!ebpf_enter(&maps)) {
        return 0;
    }
    base = event_base_new();
    flows = ebpf_flows_new(&maps, NULL);
    assert_int_equal(bpf_map_update_elem(maps.ifindexes_fd, &lo, &number, BPF_ANY), 0);
    maps.ports[PORT_IN].ifindex = 1;
    maps.ports[PORT_OUT].ifindex = 1;
    return ebpf_upcalls_new(base, maps.ring_fd, &listener, &upcalls);
}

static int teardown(void **state WR_UNUSED)
{
    if (permitted) {
        ebpf_upcalls_free(upcalls);
        ebpf_flows_free(flows);
        ebpf_unload(&maps);
        event_base_free(base);
    }
    return 0;
}

/* Runs PROG on the frame; the TC action, and the frame afterwards in OUT. */
static int run_prog(int prog, const void *frame, size_t len, void *out, size_t *out_len)
{
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len, .data_out = out,
                        .data_size_out = (uint32_t)*out_len, .repeat = 1);

    assert_int_equal(bpf_prog_test_run_opts(prog, &opts), 0);
    *out_len = opts.data_size_out;
    return (int)opts.retval;
}

#define TEST_SUMMED 4 /* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, absent from Debian's header */

/* PROG leaves right what a device has summed the frame up to (CHECKSUM_COMPLETE), as far as this kernel tells. */
static WR_UNUSED bool keeps_sum(int prog, const void *frame, size_t len)
{
    uint8_t out[1024];
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len, .data_out = out,
                        .data_size_out = sizeof(out), .repeat = 1, .flags = TEST_SUMMED);
    int error = bpf_prog_test_run_opts(prog, &opts);

    assert_true(!error || error == -EBADMSG || error == -EINVAL);
    return error != -EBADMSG;
}

/* By EBPF_VXLAN etc. */
static WR_UNUSED const enum tunnel_type tunnel_types[] = {[EBPF_VXLAN] = TUNNEL_VXLAN, TUNNEL_GRE, TUNNEL_GENEVE};

static WR_UNUSED uint16_t tunnel_udp_dst(uint8_t kind)
{
    return kind == EBPF_GENEVE ? 6081 : 4789;
}

/* tunnel_parse() of the LEN bytes from the outer Ethernet header on. */
static WR_UNUSED enum drop_reason parse_outer(uint8_t kind, const uint8_t *frame, size_t len,
                                              struct flow_tunnel *ret_tunnel, size_t *ret_hdr_len)
{
    return tunnel_parse(tunnel_types[kind], frame + 14, len - 14, tunnel_udp_dst(kind), ret_tunnel, ret_hdr_len);
}

static bool no_tunnel(void *aux WR_UNUSED, uint32_t port, const struct flow_tunnel *tunnel, struct ebpf_tunnel *t)
{
    if (port < PORT_TUNNEL || port > PORT_TUNNEL + EBPF_GENEVE) {
        return false;
    }
    *t = (struct ebpf_tunnel){.kind = (uint8_t)(port - PORT_TUNNEL), .src = tunnel->src};
    t->udp_dst = htobe16(tunnel_udp_dst(t->kind));
    t->ipv6 = !ip_addr_is_v4mapped(&tunnel->dst);
    t->nexthop = t->ipv6 ? EBPF_NEXTHOP_WAYS : 0;
    return true;
}

static const struct ebpf_compile_ops ops = {.tunnel = no_tunnel};

static void put_flow(dp_flow_id id, const struct flow_key *key, const struct flow_key *mask, const void *actions,
                     size_t len, uint8_t want_op)
{
    struct ebpf_program program;

    ebpf_compile(&ops, key, mask, actions, len, &program);
    if (want_op) {
        assert_int_equal(program.steps[0].op, want_op);
    }
    assert_int_equal(ebpf_flows_put(flows, id, key, mask, &program, 0, 0), 0);
    free(program.steps);
}

/* Where the flow is now. */
static WR_UNUSED uint32_t slot_of(dp_flow_id id)
{
    uint32_t slot = 0;

    while (slot < EBPF_SLOTS_MAX && !(maps.slots[slot].live && maps.slots[slot].id == id)) {
        slot++;
    }
    return slot;
}

#define SENDS 1 /* an id for the flow of each test */

/* Without the time for which a dead slot waits, so that nothing may remember it. */
static WR_UNUSED void forget(dp_flow_id id)
{
    ebpf_flows_del(flows, id, NULL, 0);
    ebpf_flows_tick(flows, INT64_MAX);
    ebpf_maps_changed(&maps);
}

/* Runs FRAME by the flow of ACTIONS. What came up is in last_upcall. */
static WR_UNUSED int run_actions(const void *actions, size_t actions_len, const void *frame, size_t len, void *out,
                                 size_t *out_len)
{
    struct flow_key mask, key, masked;
    struct packet *p = packet_new(frame, len);
    int action;

    p->in_port = dp_port(PORT_IN);
    flow_key_extract(p, &key);
    packet_free(p);
    memset(&mask, 0xff, sizeof(mask));
    flow_key_and(&masked, &key, &mask);
    put_flow(SENDS, &masked, &mask, actions, actions_len, 0);
    last_upcall.kind = 0;
    action = run_prog(maps.port_prog_fd, frame, len, out, out_len);
    event_base_loop(base, EVLOOP_NONBLOCK);
    forget(SENDS);
    return action;
}

/* A UDP packet whose ports tell which of many flows, each under another mask, is meant. */
static WR_UNUSED size_t udp_frame(uint8_t *b, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport)
{
    struct eth_hdr *eth = (struct eth_hdr *)(void *)b;
    struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)(b + 14);
    struct udp_hdr *udp = (struct udp_hdr *)(void *)(b + 34);

    memset(b, 0, 60);
    *eth = (struct eth_hdr){.dst = {{0}}, .src = {{2, 0, 0, 0, 0, 1}}, .type = htobe16(ETH_TYPE_IPV4)};
    *ip = (struct ipv4_hdr){.ver_ihl = 0x45,
                            .tot_len = htobe16(46),
                            .ttl = 64,
                            .proto = IP_PROTO_UDP,
                            .src = htobe32(src),
                            .dst = htobe32(dst)};
    ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
    *udp = (struct udp_hdr){.src = htobe16(sport), .dst = htobe16(dport), .len = htobe16(26)};
    udp->csum = csum_finish(csum_bytes(csum_pseudo4(ip->src, ip->dst, IP_PROTO_UDP, 26), udp, 26));
    return 60;
}

static struct ip_addr address(bool v6, uint8_t host)
{
    struct ip_addr a = {.b = {0xfd, 0, [15] = host}};

    return v6 ? a : ip_addr_from_v4(htobe32(0x0a090000u | host));
}

/* An underlay with a neighbour that needs no resolving, and the device for route lookups. */
static void underlay_up(void)
{
    static bool up;
    int fib;

    if (up) {
        return;
    }
    up = true;
    RUN("ip link add und0 address 02:00:00:00:00:01 type veth peer name und1 address 02:00:00:00:00:02 && ip link set "
        "und0 up && ip link set und1 up && "
        "ip addr add 10.9.0.1/24 dev und0 && ip addr add fd00::1/64 dev und0 nodad && "
        "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev und0 && "
        "ip neigh add fd00::2 lladdr 02:00:00:00:00:02 dev und0");
    assert_int_equal(ebpf_fib_device_create(&fib), 0);
    maps.config->fib_ifindex = (uint32_t)fib;
}

/* What a SET does, by the functions of user space. */
static WR_UNUSED void set_in_user_space(struct packet *p, const struct dp_action_set *set)
{
    static int (*const setters[])(struct packet *, const struct flow_key *, const struct flow_key *) = {
        packet_set_eth, packet_set_ipv4, packet_set_ipv6, packet_set_tp, packet_set_arp, packet_set_nd};

    for (size_t i = 0; i < ARRAY_SIZE(setters); i++) {
        if (set->h.arg & 1u << i) {
            assert_int_equal(setters[i](p, &set->key, &set->mask), 0);
        }
    }
}

#endif
