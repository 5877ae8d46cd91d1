/* SPDX-License-Identifier: Apache-2.0 */
/* The exact-match cache: whatever is in it, what comes out is what the whole way would give. */
#include "ebpf_harness.h"

#include <sched.h>

#include "ebpf_lookups.h"
#include "packet/checksum.h"

#define HEADERS_MAX (14 + 40 + 16 + 14 + 40 + 20)
#define PAYLOAD_MAX 200
#define ROUNDS 500 /* of each way */

/* How the connection goes: out of a port or into one, through which tunnel. */
struct way {
    bool in, v6, inner_v6, tcp, alone; /* ALONE: from port to port, without a tunnel */
    bool routed;                       /* its Ethernet addresses, TTL and TOS are changed on the way */
    uint8_t kind;
    enum { NO_PORTS, DST_PORT, SOME_PORTS, PORTS } looks; /* its flow at them */
};

/* SOME_PORTS: at these bits. */
#define SOME_SRC 0x8000
#define SOME_DST 0xfff0

static const struct flow_key wildcards = {.tcp_flags = 0xffff, .dp_hash = 0xffffffff, .ipv6_label = 0xffffffff};

struct frame {
    uint8_t b[HEADERS_MAX + PAYLOAD_MAX + 64];
    size_t len;
    uint32_t mark, gso_size;
};

static struct flow_tunnel tunnel_of(const struct way *w)
{
    return (struct flow_tunnel){.id = htobe64(0x1234),
                                .src = address(w->v6, w->in ? 2 : 1),
                                .dst = address(w->v6, w->in ? 1 : 2),
                                .flags = FLOW_TNL_KEY | (w->in ? 0 : FLOW_TNL_DF),
                                .ttl = 60};
}

/* The inner packet's IP header, in front of LEN bytes of L4; the sum of its pseudo-header. */
static uint64_t make_ip(const struct way *w, uint8_t *b, uint16_t len)
{
    uint8_t proto = w->tcp ? IP_PROTO_TCP : IP_PROTO_UDP;

    if (w->inner_v6) {
        struct ipv6_hdr *ip = (struct ipv6_hdr *)(void *)b;
        struct ip_addr src = address(true, 11), dst = address(true, 12);

        *ip = (struct ipv6_hdr){.ver_tc_flow = htobe32(0x60000000 | rnd(0x100000)),
                                .plen = htobe16(len),
                                .next = proto,
                                .hop_limit = 64,
                                .src = src,
                                .dst = dst};
        return csum_pseudo6(&src, &dst, proto, len);
    } else {
        struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)b;

        *ip = (struct ipv4_hdr){.ver_ihl = 0x45,
                                .tot_len = htobe16((uint16_t)(20 + len)),
                                .id = htobe16((uint16_t)rnd(65536)),
                                .ttl = 64,
                                .proto = proto,
                                .src = htobe32(0x0a000001),
                                .dst = htobe32(0x0a000002)};
        ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
        return csum_pseudo4(ip->src, ip->dst, proto, len);
    }
}

static size_t inner_l4(const struct way *w)
{
    return 14 + (w->inner_v6 ? sizeof(struct ipv6_hdr) : sizeof(struct ipv4_hdr));
}

/* A packet of the connection from SPORT, whose payload is LEN bytes. */
static void make(const struct way *w, struct frame *f, uint16_t sport, uint8_t tcp_flags, size_t len)
{
    size_t l4 = inner_l4(w), l4_len = w->tcp ? sizeof(struct tcp_hdr) : sizeof(struct udp_hdr);
    struct flow_tunnel t = tunnel_of(w);
    uint8_t b[14 + 40 + 20 + PAYLOAD_MAX] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1};
    uint64_t pseudo = make_ip(w, b + 14, (uint16_t)(l4_len + len));
    struct packet *p;

    ((struct eth_hdr *)(void *)b)->type = htobe16(w->inner_v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
    for (size_t i = 0; i < len; i++) {
        b[l4 + l4_len + i] = (uint8_t)rnd(256);
    }
    if (w->tcp) {
        struct tcp_hdr *tcp = (struct tcp_hdr *)(void *)(b + l4);

        *tcp = (struct tcp_hdr){.src = htobe16(sport), .dst = htobe16(80), .seq = htobe32(rnd(1u << 31))};
        tcp->off_flags = htobe16((uint16_t)(5 << 12 | tcp_flags));
        tcp->csum = csum_finish(csum_bytes(pseudo, tcp, l4_len + len));
    } else {
        struct udp_hdr *udp = (struct udp_hdr *)(void *)(b + l4);

        *udp = (struct udp_hdr){.src = htobe16(sport), .dst = htobe16(80), .len = htobe16((uint16_t)(8 + len))};
        udp->csum = csum_finish(csum_bytes(pseudo, udp, l4_len + len));
    }
    p = packet_new(b, l4 + l4_len + len);
    if (w->in) {
        struct eth_hdr *eth;

        tunnel_push(p, tunnel_types[w->kind], &t, 40000, tunnel_udp_dst(w->kind), true);
        eth = packet_push(p, sizeof(*eth));
        *eth = (struct eth_hdr){.src = {{2}}, .type = htobe16(w->v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4)};
    }
    *f = (struct frame){.len = p->len};
    memcpy(f->b, p->data, p->len);
    packet_free(p);
}

static int run_frame(const struct way *w, const struct frame *f, void *out, size_t *out_len)
{
    struct __sk_buff ctx = {.mark = f->mark, .gso_size = f->gso_size};
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = (uint32_t)f->len, .data_out = out,
                        .data_size_out = 1024, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
    int error = bpf_prog_test_run_opts(w->in ? maps.uplink_prog_fd : maps.port_prog_fd, &opts);

    event_base_loop(base, EVLOOP_NONBLOCK);
    *out_len = error ? 0 : opts.data_size_out;
    return error ? error : (int)opts.retval;
}

/* A flow for the packet F, whatever its TCP flags and label, and the ports that W does not look at. */
static void flow_for(const struct way *w, const struct frame *f, dp_flow_id id)
{
    static const struct eth_addr all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    bool enters = !w->in && !w->alone;
    struct {
        struct dp_action_set edit;
        struct dp_action_tunnel set;
        struct dp_action out;
    } list = {.edit = {.h = {DP_ACTION_SET, sizeof(list.edit), DP_SET_ETH | (w->inner_v6 ? DP_SET_IPV6 : DP_SET_IPV4)},
                       .key = {.eth_src = {{2, 7}}, .eth_dst = {{2, 8}}, .ip_ttl = 63, .ip_tos = 0x28},
                       .mask = {.eth_src = all, .eth_dst = all, .ip_ttl = 0xff, .ip_tos = 0xfc}},
              .set = {.h = {DP_ACTION_SET_TUNNEL, sizeof(list.set), 0}, .tunnel = tunnel_of(w)},
              .out = {DP_ACTION_OUTPUT, sizeof(list.out), enters ? PORT_TUNNEL + w->kind : PORT_OUT}};
    size_t from = w->routed ? 0 : offsetof(typeof(list), set);
    struct flow_key key, mask, masked;
    struct packet *p = packet_new(f->b, f->len);
    size_t hdr_len;

    p->in_port = dp_port(w->in ? (uint32_t)PORT_TUNNEL + w->kind : PORT_IN);
    if (w->in) {
        assert_int_equal(parse_outer(w->kind, f->b, f->len, &p->tunnel, &hdr_len), DROP_NONE);
        packet_pull(p, 14 + hdr_len);
    }
    flow_key_extract(p, &key);
    packet_free(p);
    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        ((uint64_t *)(void *)&mask)[i] = ~((const uint64_t *)(const void *)&wildcards)[i];
    }
    mask.tp_src &= htobe16(w->looks == PORTS ? 0xffff : w->looks == SOME_PORTS ? SOME_SRC : 0);
    mask.tp_dst &= htobe16(w->looks == NO_PORTS ? 0 : w->looks == SOME_PORTS ? SOME_DST : 0xffff);
    flow_key_and(&masked, &key, &mask);
    put_flow(id, &masked, &mask, (char *)&list + from, sizeof(list) - from,
             w->routed ? EBPF_OP_SET_ETH
             : enters  ? EBPF_OP_TUNNEL
                       : EBPF_OP_OUTPUT);
}

/* What a frame gives, and whether that was by the cache. */
static int given(const struct way *w, const struct frame *f, bool *ret_exact)
{
    uint64_t before = exact_hits(&maps);
    uint8_t out[1024];
    size_t n;
    int action = run_frame(w, f, out, &n);

    *ret_exact = exact_hits(&maps) != before;
    return action;
}

/* F has an entry, or comes to have one within N packets (*RET_N: so many): the first asks for the next hop, the second
 * is remembered, one of 16 asks for a place that somebody left, and on a busy machine an entry may expire meanwhile. */
static bool has_place(const struct way *w, const struct frame *f, unsigned int n, unsigned int *ret_n)
{
    bool exact = false;
    unsigned int i = 0;

    while (i < n && !exact) {
        assert_int_equal(given(w, f, &exact), TC_ACT_REDIRECT);
        i++;
    }
    if (ret_n) {
        *ret_n = i;
    }
    return exact;
}

static void warm(const struct way *w, const struct frame *f)
{
    assert_true(has_place(w, f, 200, NULL));
}

/* The configuration that all ways have in common. */
static void ways_up(void)
{
    uint32_t one = 1;
    cpu_set_t cpu;

    CPU_ZERO(&cpu); /* each has a cache of its own */
    CPU_SET(0, &cpu);
    assert_int_equal(sched_setaffinity(0, sizeof(cpu), &cpu), 0);
    underlay_up();
    for (uint8_t i = 0; i < 3; i++) {
        maps.config->tunnels[i] =
            (struct ebpf_tunnel_port){.port = PORT_TUNNEL + i, .kind = i, .udp_dst = htobe16(tunnel_udp_dst(i))};
    }
    maps.config->n_tunnels = 3;
    for (unsigned int v6 = 0; v6 < 2; v6++) {
        struct ip_addr here = address(v6, 1);

        assert_int_equal(bpf_map_update_elem(maps.local_addrs_fd, &here, &one, BPF_ANY), 0);
    }
    ebpf_maps_changed(&maps);
}

/* Changes a byte of the outer IPv4 header, whose checksum is right afterwards. */
static void change_outer(struct frame *f)
{
    struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)(f->b + 14);

    f->b[14 + rnd(20)] = (uint8_t)rnd(256);
    ip->csum = 0;
    ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
}

/* By which of a remote's ways to its next hop a packet from SPORT leaves. */
static uint32_t hop_way(const struct way *w, uint16_t sport)
{
    struct packet *p;
    struct frame f;
    struct flow_key key;

    make(w, &f, sport, 0x10, 0);
    p = packet_new(f.b, f.len);
    flow_key_extract(p, &key);
    packet_free(p);
    return key.dp_hash & (EBPF_NEXTHOP_WAYS - 1);
}

/* The source port of a packet that has the entry of those from port 1000. */
static uint16_t another_port(const struct way *w)
{
    uint16_t sport = w->looks > DST_PORT ? 1000 : (uint16_t)rnd(65536);

    while (!w->in && hop_way(w, sport) != hop_way(w, 1000)) {
        sport = (uint16_t)rnd(65536);
    }
    return sport;
}

/* Spoils F, or makes it another packet of the connection, which it still is then (true). */
static bool change(const struct way *w, struct frame *f)
{
    uint32_t headers = (uint32_t)(f->len < HEADERS_MAX ? f->len : HEADERS_MAX);
    struct udp_hdr *inner = (struct udp_hdr *)(void *)(f->b + f->len - 58); /* of the first packet, without TCP */

    switch (rnd(11)) {
    case 0:
    case 1:
        make(w, f, another_port(w), 0x10, rnd(PAYLOAD_MAX));
        return true;
    case 2:
        f->len -= rnd((uint32_t)f->len - 14);
        break;
    case 3:
        memset(f->b + f->len, (int)rnd(2), 60);
        f->len += 1 + rnd(60);
        break;
    case 4:
        f->mark = rnd(2);
        break;
    case 5:
        f->gso_size = 1 + rnd(2000);
        break;
    case 6:
        f->b[rnd(headers)] = (uint8_t)rnd(256);
        f->b[rnd(headers)] = (uint8_t)rnd(256);
        break;
    case 7:
        if (w->in && !w->v6) {
            change_outer(f);
        }
        break;
    case 8:
        if (!w->tcp) {
            inner->csum = 0;
        }
        break;
    default:
        f->b[rnd(headers)] ^= (uint8_t)(1u << rnd(8));
        break;
    }
    return false;
}

static void compare(const struct way *w, dp_flow_id id)
{
    struct frame first, f;
    uint8_t got[1024], want[1024];
    size_t got_len, want_len;
    static const char *const looks[] = {"", ", by the destination port", ", by bits of ports", ", by ports"};
    unsigned int n_its = 0;
    int64_t since;
    uint64_t before;
    int action;

    make(w, &first, 1000, 0x10, 50);
    flow_for(w, &first, id);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        bool is_its;

        since = time_mono_ms();
        if (!(i & 1)) { /* else what the round before left in the cache */
            warm(w, &first);
        }
        f = first;
        is_its = change(w, &f);
        before = exact_hits(&maps);
        action = run_frame(w, &f, got, &got_len);
        if (is_its && !(i & 1) && time_mono_ms() - since < 50) { /* or it may have expired */
            assert_true(exact_hits(&maps) > before);
            n_its++;
        }
        ebpf_maps_changed(&maps);
        before = exact_hits(&maps);
        if (action != run_frame(w, &f, want, &want_len) || got_len != want_len || memcmp(got, want, got_len) ||
            exact_hits(&maps) != before) {
            for (size_t k = 0; k < f.len; k++) {
                print_message("%s%02x%s", k % 16 ? " " : "\n", f.b[k], f.b[k] == first.b[k] ? "" : "*");
            }
            fail_msg("\nround %u of %s, %s in IPv%d, kind %u, IPv%d%s%s: action %d, %zu bytes (first: %zu, sent %zu, "
                     "mark %u, gso %u); "
                     "%zu bytes wanted",
                     i, w->in ? "in" : "out", w->tcp ? "TCP" : "UDP", w->inner_v6 ? 6 : 4, w->kind, w->v6 ? 6 : 4,
                     looks[w->looks], w->routed ? ", routed" : "", action, got_len, first.len, f.len, f.mark,
                     f.gso_size, want_len);
        }
    }
    assert_true(n_its);
    forget(id);
}

static void test_whatever_comes(void **state WR_UNUSED)
{
    dp_flow_id id = 100;

    NEEDS_BPF;
    ways_up();
    for (unsigned int i = 0; i < 192; i++) {
        struct way w = {.in = i & 1, .v6 = i & 2, .tcp = i & 4, .inner_v6 = i & 8, .looks = i / 16 % 4, .kind = i / 64};

        compare(&w, id++);
    }
    for (unsigned int i = 0; i < 16; i++) {
        struct way w = {.alone = true, .tcp = i & 1, .inner_v6 = i & 2, .looks = i / 4};

        compare(&w, id++);
    }
    for (unsigned int i = 0; i < 48; i++) {
        struct way w = {.routed = true, .in = i & 1, .v6 = i & 2, .tcp = i & 4, .inner_v6 = i & 8, .kind = i / 16};

        compare(&w, id++);
    }
    for (unsigned int i = 0; i < 4; i++) {
        struct way w = {.routed = true, .alone = true, .tcp = i & 1, .inner_v6 = i & 2};

        compare(&w, id++);
    }
}

/* An entry goes with what it stands for. */
static void test_ends(void **state WR_UNUSED)
{
    struct dp_action drop = {DP_ACTION_DROP, sizeof(drop), DROP_ACTION};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    dp_flow_id id = 300;

    NEEDS_BPF;
    ways_up();
    for (unsigned int i = 0; i < 2; i++) {
        struct way w = {.in = i, .tcp = true};
        struct frame f;
        bool exact;

        make(&w, &f, 1000, 0x10, 50);
        /* with its flow, */
        flow_for(&w, &f, ++id);
        warm(&w, &f);
        ebpf_flows_del(flows, id, NULL, 0);
        assert_int_equal(given(&w, &f, &exact), TC_ACT_SHOT);
        assert_false(exact);
        /* a moment after it was made, */
        flow_for(&w, &f, ++id);
        warm(&w, &f);
        usleep(150000);
        assert_int_equal(given(&w, &f, &exact), TC_ACT_REDIRECT);
        assert_false(exact);
        /* and is not asked for a sample. */
        warm(&w, &f);
        maps.config->sample = 1;
        assert_int_equal(given(&w, &f, &exact), TC_ACT_REDIRECT);
        assert_false(exact);
        maps.config->sample = 0;
        /* A flow that does something else is another one. */
        if (!w.in) {
            put_flow(++id, &key, &mask, &drop, sizeof(drop), EBPF_OP_DROP);
            ebpf_flows_del(flows, id - 1, NULL, 0);
            assert_int_equal(given(&w, &f, &exact), TC_ACT_SHOT);
            assert_false(exact);
        }
        forget(id);
    }
}

/* What is counted is what the whole way counts; flags that are new to the flow are told to it. */
static void test_counts(void **state WR_UNUSED)
{
    struct way w = {.tcp = true};
    struct dp_flow_stats s;
    unsigned int n, m;
    struct frame f;
    bool exact;

    NEEDS_BPF;
    ways_up();
    make(&w, &f, 1000, 0x10, 50);
    flow_for(&w, &f, 400);
    assert_true(has_place(&w, &f, 200, &n));
    make(&w, &f, 1000, 0x18, 60);
    assert_int_equal(given(&w, &f, &exact), TC_ACT_REDIRECT);
    assert_false(exact); /* PSH is new */
    assert_true(has_place(&w, &f, 200, &m));
    assert_int_equal(ebpf_flows_get_stats(flows, 400, &s), 0);
    assert_int_equal(s.packets, n + 1 + m);
    assert_int_equal(s.bytes, n * (54 + 50) + (1 + m) * (54 + 60));
    assert_int_equal(s.tcp_flags, 0x18);
    forget(400);
}

static struct ebpf_port_stats counted_for(uint32_t port)
{
    _cleanup_free_ struct ebpf_port_stats *s = xcalloc((size_t)maps.n_cpus, sizeof(*s));

    assert_int_equal(bpf_map_lookup_elem(maps.port_stats_fd, &port, s), 0);
    return s[0]; /* ways_up() */
}

/* The port of the meter ID may receive BURST more, PACKETS or kbits. */
static void police(uint32_t id, bool packets, uint64_t burst)
{
    struct dp_meter_config config = {.pktps = packets, .n_bands = 1, .bands = {{.rate = 1, .burst = burst}}};

    put_meter(id, &config);
}

/* A policed port's packets draw from its buckets, what is over goes no way, and is counted as such. */
static void test_policed(void **state WR_UNUSED)
{
    static const struct {
        uint32_t id;
        bool packets, alone;
        uint64_t burst; /* packets, or kbits; a packet has 1200 bits */
        uint32_t gso_size, n;
    } ways[] = {
        {EBPF_METER_POLICE_PACKETS, true, false, 100, 0, 100}, {EBPF_METER_POLICE_PACKETS, true, true, 100, 0, 100},
        {EBPF_METER_POLICE_PACKETS, true, true, 100, 60, 50}, /* of two segments each */
        {EBPF_METER_POLICE_BITS, false, false, 120, 0, 100},   {EBPF_METER_POLICE_BITS, false, true, 120, 60, 100},
    };

    NEEDS_BPF;
    ways_up();
    for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
        struct way w = {.tcp = true, .alone = ways[i].alone};
        uint32_t id = ways[i].id + PORT_IN, other = id ^ EBPF_METER_POLICE_BITS ^ EBPF_METER_POLICE_PACKETS;
        struct ebpf_port_stats before = counted_for(PORT_IN), after;
        uint64_t drops = drops_of(&maps, DROP_POLICING);
        unsigned int n_exact = 0, n_passed = 0;
        struct dp_flow_stats stats;
        struct frame f;

        make(&w, &f, 1000, 0x10, 96); /* 150 bytes */
        f.gso_size = ways[i].gso_size;
        flow_for(&w, &f, 1000 + i);
        police(other, !ways[i].packets, 1000000);
        police(id, ways[i].packets, ways[i].burst);
        maps.ports[PORT_IN].flags |= EBPF_PORT_POLICED;
        ebpf_maps_changed(&maps);
        for (unsigned int k = 0; k < 150; k++) {
            bool exact;
            int action = given(&w, &f, &exact);

            assert_true(action == TC_ACT_REDIRECT || action == TC_ACT_SHOT);
            n_passed += action == TC_ACT_REDIRECT;
            n_exact += exact;
        }
        assert_in_range(n_passed, ways[i].n, ways[i].n + 2);
        assert_in_range(n_exact, n_passed / 2, n_passed);
        after = counted_for(PORT_IN);
        assert_int_equal(drops_of(&maps, DROP_POLICING) - drops, 150 - n_passed);
        assert_int_equal(after.rx_dropped - before.rx_dropped, 150 - n_passed);
        assert_int_equal(after.rx_packets - before.rx_packets, 150);
        assert_int_equal(after.rx_bytes - before.rx_bytes, 150 * 150);
        assert_int_equal(ebpf_flows_get_stats(flows, 1000 + i, &stats), 0);
        assert_int_equal(stats.packets, n_passed);
        maps.ports[PORT_IN].flags &= ~EBPF_PORT_POLICED;
        bpf_map_delete_elem(maps.meters_fd, &id);
        bpf_map_delete_elem(maps.meters_fd, &other);
        forget(1000 + i);
    }
}

/* The path's MTU holds for each packet, to the byte. */
static void test_path_mtu(void **state WR_UNUSED)
{
    struct way w = {.tcp = true};
    struct frame f;
    bool exact;

    NEEDS_BPF;
    ways_up();
    make(&w, &f, 1000, 0x10, 50);
    flow_for(&w, &f, 700);
    RUN("ip link set und0 mtu 200");
    ebpf_maps_changed(&maps);
    warm(&w, &f);
    for (unsigned int over = 0; over < 2; over++) {
        size_t most = 200 - 36 - 54; /* outer headers; inner ones */

        make(&w, &f, 1000, 0x10, most + over);
        if (over) {
            last_upcall.kind = 0;
            assert_int_equal(given(&w, &f, &exact), TC_ACT_SHOT);
            assert_int_equal(last_upcall.kind, EBPF_UPCALL_OUTPUT);
        } else {
            warm(&w, &f);
        }
    }
    RUN("ip link set und0 mtu 1500");
    forget(700);
}

/* A place is its connection's until that ends, and another's at once then. */
static void test_places(void **state WR_UNUSED)
{
    struct flow_key mask = {.in_port = DP_PORT_NONE, .tp_src = htobe16(0x8000), .tp_dst = 0xffff};
    struct flow_key key = {.in_port = dp_port(PORT_IN), .tp_dst = htobe16(80)};
    struct dp_action out = {DP_ACTION_OUTPUT, sizeof(out), PORT_OUT};
    struct way w = {.alone = true, .tcp = true, .looks = PORTS};
    struct frame first, other, fin;
    uint32_t port = 2000;

    NEEDS_BPF;
    ways_up();
    put_flow(500, &key, &mask, &out, sizeof(out), EBPF_OP_OUTPUT);
    make(&w, &first, 1000, 0x10, 0);
    make(&w, &fin, 1000, 0x11, 0);
    assert_true(has_place(&w, &fin, 200, NULL)); /* FIN is no news to the flow from here on */
    for (; port < 30000; port++) {               /* of so many one meets the first */
        make(&w, &other, (uint16_t)port, 0x10, 0);
        assert_true(has_place(&w, &first, 200, NULL));
        if (!has_place(&w, &other, 3, NULL)) {
            break;
        }
        make(&w, &other, (uint16_t)port, 0x11, 0); /* its place is free for the next one */
        assert_true(has_place(&w, &other, 200, NULL));
    }
    assert_true(port < 30000);
    assert_true(has_place(&w, &fin, 200, NULL));
    assert_true(has_place(&w, &other, 200, NULL));
    forget(500);
}

/* Where the flow does not look at ports, a new connection finds what the others have left, and leaves by a source port
 * of its own. */
static void test_pair(void **state WR_UNUSED)
{
    NEEDS_BPF;
    ways_up();
    for (unsigned int i = 0; i < 16; i++) {
        struct way w = {.in = i & 1, .inner_v6 = i & 2, .tcp = i & 4, .kind = EBPF_GENEVE, .looks = i / 8};
        struct frame f;
        unsigned int n = 0;
        uint16_t outer[3];

        make(&w, &f, 1000, 0x10, 50);
        flow_for(&w, &f, 800 + i);
        for (uint16_t sport = 1; sport < 200; sport++) {
            make(&w, &f, sport, 0x10, 50);
            has_place(&w, &f, 20, NULL); /* all ways to the next hop; two of them may meet */
        }
        for (uint16_t k = 0; k < 300; k++) {
            uint8_t out[1024];
            uint64_t before = exact_hits(&maps);
            size_t len;

            make(&w, &f, 2000 + k, 0x11, 20); /* FIN ends a connection, not the entry */
            assert_int_equal(run_frame(&w, &f, out, &len), TC_ACT_REDIRECT);
            n += exact_hits(&maps) != before;
            outer[k % 3] = (uint16_t)(out[34] << 8 | out[35]);
            assert_true(w.in || k < 3 || outer[0] != outer[1] || outer[1] != outer[2]);
        }
        assert_in_range(n, 100, 300); /* some may have expired */
        forget(800 + i);
    }
}

/* Flows of two hosts that look at different ports do not take each other's entries. */
static void test_ports_of_several(void **state WR_UNUSED)
{
    struct flow_key by_dst = {.in_port = DP_PORT_NONE, .tp_dst = 0xffff};
    struct flow_key by_both = {.in_port = DP_PORT_NONE, .tp_src = 0xffff, .tp_dst = 0xffff};
    struct flow_key to_80 = {.in_port = dp_port(PORT_IN), .tp_dst = htobe16(80)};
    struct flow_key to_81 = {.in_port = dp_port(PORT_IN), .tp_src = htobe16(1000), .tp_dst = htobe16(81)};
    struct dp_action out = {DP_ACTION_OUTPUT, sizeof(out), PORT_OUT};
    struct way w = {.alone = true, .tcp = true};
    struct frame f[2];
    bool exact[2] = {false, false};

    NEEDS_BPF;
    ways_up();
    put_flow(900, &to_80, &by_dst, &out, sizeof(out), EBPF_OP_OUTPUT);
    put_flow(901, &to_81, &by_both, &out, sizeof(out), EBPF_OP_OUTPUT);
    make(&w, &f[0], 1000, 0x10, 10);
    make(&w, &f[1], 1000, 0x10, 10);
    f[1].b[inner_l4(&w) + 3] = 81;
    for (unsigned int i = 0; i < 200 && !(exact[0] && exact[1]); i++) { /* one may expire before the other is there */
        assert_int_equal(given(&w, &f[0], &exact[0]), TC_ACT_REDIRECT);
        assert_int_equal(given(&w, &f[1], &exact[1]), TC_ACT_REDIRECT);
    }
    assert_true(exact[0] && exact[1]);
    for (unsigned int i = 0; i < 2; i++) {
        struct dp_flow_stats stats;

        assert_int_equal(ebpf_flows_get_stats(flows, 900 + i, &stats), 0);
        assert_true(stats.packets > 1);
        forget(900 + i);
    }
}

/* Pairs and connections that differ in one thing only, as those of a protocol with the same port at both ends, do not
 * meet at a few places. */
static void test_spread(void **state WR_UNUSED)
{
    static const size_t differ_at[] = {28, 29, 32, 33,
                                       34, 35, 36, 37}; /* octets of the addresses, bytes of the ports */
    struct dp_action out = {DP_ACTION_OUTPUT, sizeof(out), PORT_OUT};

    NEEDS_BPF;
    ways_up();
    for (unsigned int by_ports = 0; by_ports < 2; by_ports++) {
        struct flow_key mask = {.in_port = DP_PORT_NONE, .tp_src = htobe16(by_ports << 15)};
        struct flow_key key = {.in_port = dp_port(PORT_IN)};
        struct way w = {.alone = true};

        put_flow(600 + by_ports, &key, &mask, &out, sizeof(out), EBPF_OP_OUTPUT);
        for (size_t i = 0; i < (by_ports ? ARRAY_SIZE(differ_at) : 4); i++) {
            unsigned int n = 0;
            struct frame f;

            make(&w, &f, 1000, 0, 20);
            for (unsigned int k = 0; k < 64; k++) {
                f.b[differ_at[i]]++;
                n += has_place(&w, &f, 100, NULL); /* one of 16 asks for what somebody left */
            }
            assert_in_range(n, 48, 64);
            usleep(150000); /* what these have expires */
        }
        forget(600 + by_ports);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_comes), cmocka_unit_test(test_ends),     cmocka_unit_test(test_counts),
        cmocka_unit_test(test_places),         cmocka_unit_test(test_pair),     cmocka_unit_test(test_ports_of_several),
        cmocka_unit_test(test_spread),         cmocka_unit_test(test_path_mtu), cmocka_unit_test(test_policed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
