/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of the fast path that are not each packet's business, in and out, as the userspace datapath does them.
 */
#include "ebpf_devices.h"

#include "datapath/ebpf/detour.h"
#include "datapath/ebpf/ebpf_private.h"

/* --- truncated outputs --- */

static void test_trunc(void **state WR_UNUSED)
{
    /* The kernel cuts nothing before the network header. */
    static const uint32_t lengths[] = {14, 15, 33, 41, 42, 59, 60, 61, 1000};
    uint8_t frame[64], out[256];

    NEEDS_BPF;
    udp_frame(frame, 1, 2, 3, 4);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct trunc_to a = trunc_to(lengths[i], PORT_OUT, false);
        size_t out_len = sizeof(out);

        assert_int_equal(run_actions(&a, sizeof(a), frame, 60, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        assert_int_equal(out_len, MIN(60, lengths[i]));
        assert_memory_equal(out, frame, out_len);
    }
}

static void test_trunc_tunnel(void **state WR_UNUSED)
{
    uint8_t frame[64], out[256];

    NEEDS_BPF;
    underlay_up();
    udp_frame(frame, 1, 2, 3, 4);
    for (unsigned int i = 0; i < 6; i++) {
        struct trunc_to a = trunc_to(47, PORT_TUNNEL + i % 3, i / 3);
        size_t out_len = sizeof(out), hdr_len;
        struct flow_tunnel got;

        assert_int_equal(run_actions(&a, sizeof(a), frame, 60, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(parse_outer(i % 3, out, out_len, &got, &hdr_len), DROP_NONE);
        assert_int_equal(out_len, 14 + hdr_len + 47);
        assert_memory_equal(out + 14 + hdr_len, frame, 47);
    }
}

/* One that may not cut, because the frame is needed afterwards, goes up; the rest stays. */
static void test_trunc_before(void **state WR_UNUSED)
{
    struct {
        struct trunc_to first;
        struct dp_action_set set;
        struct dp_action out;
    } a = {.first = trunc_to(20, PORT_OUT, false),
           .set = {.h = {DP_ACTION_SET, sizeof(a.set), DP_SET_ETH}, .key.eth_src = {{6, 6, 6, 6, 6, 6}}},
           .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    uint8_t frame[64], out[256];
    size_t out_len = sizeof(out);

    NEEDS_BPF;
    memset(&a.set.mask.eth_src, 0xff, 6);
    udp_frame(frame, 1, 2, 3, 4);
    assert_int_equal(run_actions(&a, sizeof(a), frame, 60, out, &out_len), TC_ACT_REDIRECT);
    assert_int_equal(last_upcall.kind, EBPF_UPCALL_OUTPUT);
    assert_int_equal(last_upcall.arg, 0);
    assert_int_equal(last_upcall_len, 60);
    assert_memory_equal(last_upcall_frame, frame, 60);
    assert_int_equal(out_len, 60);
    assert_memory_equal(out + 6, &a.set.key.eth_src, 6);
    /* Nothing to cut: nothing goes up. */
    a.first.trunc.arg = 60;
    out_len = sizeof(out);
    assert_int_equal(run_actions(&a, sizeof(a), frame, 60, out, &out_len), TC_ACT_REDIRECT);
    assert_int_equal(last_upcall.kind, 0);
}

/* A truncated output comes last of those that follow each other, and then it cuts the frame itself. */
static void test_trunc_order(void **state WR_UNUSED)
{
    struct {
        struct trunc_to first;
        struct dp_action out;
    } a = {.first = trunc_to(20, PORT_OUT, false), .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    uint8_t frame[64], out[256];
    size_t out_len = sizeof(out);

    NEEDS_BPF;
    udp_frame(frame, 1, 2, 3, 4);
    assert_int_equal(run_actions(&a, sizeof(a), frame, 60, out, &out_len), TC_ACT_REDIRECT);
    assert_int_equal(last_upcall.kind, 0);
    assert_int_equal(out_len, 20);
}

/* --- checksums that are left to the device, on devices --- */

/* Sends P through the flow that cuts at MAX; what comes out must be the frame with its checksum completed, cut. */
static void expect_cut(const struct virtio_net_hdr *h, struct packet *p, uint32_t max)
{
    struct devices d = devices_up();
    struct trunc_to a = trunc_to(max, PORT_OUT, false);
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    static uint8_t out[70000];
    size_t n;

    put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_TRUNC);
    last_upcall.kind = 0;
    transmit(&d, h, p->data, p->len);
    n = emerged(&d, out, sizeof(out));
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(last_upcall.kind, 0);
    forget(SENDS);
    assert_int_equal(packet_complete_csum(p), 0);
    assert_int_equal(n, MIN(p->len, max));
    assert_memory_equal(out, p->data, n);
}

static void test_trunc_unfinished(void **state WR_UNUSED)
{
    static const size_t lengths[] = {90, 91, 600, 1514};

    NEEDS_BPF;
    for (size_t i = 0; i < ARRAY_SIZE(lengths) * 4; i++) {
        for (uint32_t max = 73; max < lengths[i / 4] + 3; max += 1 + max / 3) {
            struct virtio_net_hdr h;
            struct packet *p = unfinished(i & 1 ? IP_PROTO_TCP : IP_PROTO_UDP, i & 2, lengths[i / 4], &h);

            expect_cut(&h, p, max);
            packet_free(p);
        }
    }
}

/* A super-packet that is cut is one frame, whose checksum is what the super-packet's would be. */
static void test_trunc_super(void **state WR_UNUSED)
{
    NEEDS_BPF;
    for (uint32_t max = 80; max < 16384; max = max * 3 + 1) {
        struct virtio_net_hdr h;
        struct packet *p = unfinished(IP_PROTO_TCP, false, 30054, &h);

        h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        h.gso_size = 1000;
        h.hdr_len = 54;
        expect_cut(&h, p, max);
        packet_free(p);
    }
}

/* FRAME of LEN bytes comes up whole. */
static void expect_upcall(const struct devices *d, const struct virtio_net_hdr *h, const void *frame, uint32_t len,
                          enum ebpf_upcall_kind kind)
{
    last_upcall.kind = 0;
    transmit(d, h, frame, len);
    await_upcall();
    assert_int_equal(last_upcall.kind, kind);
    assert_int_equal(last_upcall_len, len);
    assert_memory_equal(last_upcall_frame, frame, len);
}

/* Where the checksum is not what we think, user space must look. */
static void test_trunc_unknown_csum(void **state WR_UNUSED)
{
    struct trunc_to a = trunc_to(80, PORT_OUT, false);
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct virtio_net_hdr h;
    struct devices d;
    struct packet *p;

    NEEDS_BPF;
    d = devices_up();
    p = unfinished(IP_PROTO_UDP, false, 300, &h);
    p->data[40]++;              /* not the pseudo-header's sum */
    h.csum_start = 34 + 8 + 50; /* of something inside */
    put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_TRUNC);
    expect_upcall(&d, &h, p->data, 300, EBPF_UPCALL_OUTPUT);
    packet_free(p);
    forget(SENDS);
}

/* --- clones --- */

struct copy_actions {
    struct dp_action clone;
    struct dp_action_vlan push;
    struct dp_action_set set;
    struct dp_action out, pop, out_plain;
    struct dp_action rest; /* behind the clone */
};

/* Whatever happens to the packet in a clone, what comes behind has it as it was. */
static void copies_of(const struct devices *d, bool tcp, bool v6, size_t len)
{
    struct copy_actions a = {
        .clone = {DP_ACTION_CLONE, offsetof(struct copy_actions, rest), 0},
        .push = {{DP_ACTION_PUSH_VLAN, sizeof(a.push), 0}, {htobe16(ETH_TYPE_VLAN), htobe16(7 | FLOW_VLAN_PRESENT)}},
        .set = set_ones(DP_SET_ETH | DP_SET_TP | DP_SET_MARK | (v6 ? DP_SET_IPV6 : DP_SET_IPV4)),
        .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT},
        .pop = {DP_ACTION_POP_VLAN, sizeof(a.pop), 0},
        .out_plain = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT},
        .rest = {DP_ACTION_OUTPUT, sizeof(a.rest), PORT_OUT},
    };
    struct flow_key mask = {.in_port = DP_PORT_NONE, .eth_type = 0xffff, .ip_proto = 0xff},
                    key = {.in_port = dp_port(PORT_IN),
                           .eth_type = htobe16(v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4),
                           .ip_proto = tcp ? IP_PROTO_TCP : IP_PROTO_UDP};
    struct virtio_net_hdr h;
    struct packet *p = unfinished(key.ip_proto, v6, len, &h), *edited;
    uint8_t out[2048];

    a.set.key.ipv6_label = a.set.mask.ipv6_label = htobe32(0xfffff);
    edited = packet_new(p->data, p->len);
    edited->offload = p->offload;
    assert_int_equal(packet_complete_csum(edited), 0);
    flow_key_extract(edited, &key);
    packet_set_eth(edited, &a.set.key, &a.set.mask);
    (v6 ? packet_set_ipv6 : packet_set_ipv4)(edited, &a.set.key, &a.set.mask);
    packet_set_tp(edited, &a.set.key, &a.set.mask);

    key = (struct flow_key){.in_port = dp_port(PORT_IN), .eth_type = key.eth_type, .ip_proto = key.ip_proto};
    put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_SAVE);
    transmit(d, &h, p->data, p->len);
    assert_int_equal(packet_complete_csum(p), 0);
    assert_int_equal(emerged(d, out, sizeof(out)), len); /* with a tag that the socket keeps apart */
    assert_memory_equal(out, edited->data, len);
    assert_int_equal(emerged(d, out, sizeof(out)), len);
    assert_memory_equal(out, edited->data, len);
    assert_int_equal(emerged(d, out, sizeof(out)), len);
    assert_memory_equal(out, p->data, len);
    forget(SENDS);
    packet_free(edited);
    packet_free(p);
}

static void test_copies(void **state WR_UNUSED)
{
    struct devices d;

    NEEDS_BPF;
    d = devices_up();
    for (unsigned int i = 0; i < 12; i++) {
        copies_of(&d, i & 1, i & 2, 90 + i / 4 * 60);
    }
}

/* A clone may end early, by itself. */
static void test_copy_ends(void **state WR_UNUSED)
{
    struct {
        struct dp_action clone, meter;
        struct dp_action_set set;
        struct dp_action out, second, drop, rest;
    } a = {
        .clone = {DP_ACTION_CLONE, offsetof(typeof(a), second), 0},
        .meter = {DP_ACTION_METER, sizeof(a.meter), 9},
        .set = set_ones(DP_SET_ETH),
        .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT},
        .second = {DP_ACTION_CLONE, 2 * sizeof(struct dp_action), 0},
        .drop = {DP_ACTION_DROP, sizeof(a.drop), DROP_METER},
        .rest = {DP_ACTION_OUTPUT, sizeof(a.rest), PORT_OUT},
    };
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    uint8_t frame[64], out[256];
    uint32_t id = 9, passed = 0;
    struct devices d;
    size_t n;

    NEEDS_BPF;
    d = devices_up();
    put_meter(id, &(struct dp_meter_config){.n_bands = 1, .bands = {{.rate = 1, .burst = 2}}, .pktps = 1});
    udp_frame(frame, 1, 2, 3, 4);
    put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_SAVE);
    for (unsigned int i = 0; i < 5; i++) {
        struct virtio_net_hdr h = {0};

        transmit(&d, &h, frame, 60);
        n = emerged(&d, out, sizeof(out));
        if (n == 60 && out[0] == 0xff) {
            passed++;
            n = emerged(&d, out, sizeof(out));
        }
        assert_int_equal(n, 60);
        assert_memory_equal(out, frame, 60);
    }
    forget(SENDS);
    bpf_map_delete_elem(maps.meters_fd, &id);
    assert_in_range(passed, 1, 4); /* the meter let some pass, and the list went on in any case */
}

/* A part whose changes cannot be taken back is done by a copy, at the detour's device; user space has all of it where
 * there is none. It may end early, too. */
static void test_copy_aside(void **state WR_UNUSED)
{
    struct {
        struct dp_action clone;
        struct dp_action_mpls push;
        struct dp_action out, drop, rest;
    } a = {.clone = {DP_ACTION_CLONE, offsetof(typeof(a), rest), 0},
           .push = {{DP_ACTION_PUSH_MPLS, sizeof(a.push), 0}, htobe32(7 << 12 | 0x140), htobe16(ETH_TYPE_MPLS), 0},
           .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT},
           .drop = {DP_ACTION_DROP, sizeof(a.drop), DROP_METER},
           .rest = {DP_ACTION_OUTPUT, sizeof(a.rest), PORT_OUT}};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct virtio_net_hdr h = {0};
    struct ebpf_detour *detour;
    uint8_t frame[64], out[256];
    struct devices d;

    NEEDS_BPF;
    d = devices_up();
    udp_frame(frame, 1, 2, 3, 4);
    put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_ASIDE);
    expect_upcall(&d, &h, frame, 60, EBPF_UPCALL_PUNT);
    if (!ebpf_detour_open(&maps, NULL, &detour)) {
        last_upcall.kind = 0;
        transmit(&d, &h, frame, 60);
        assert_int_equal(emerged(&d, out, sizeof(out)), 64);
        assert_memory_equal(out, frame, 12);
        assert_memory_equal(out + 12, ((uint8_t[]){0x88, 0x47, 0, 0, 0x71, 0x40}), 6);
        assert_memory_equal(out + 18, frame + 14, 46);
        assert_int_equal(emerged(&d, out, sizeof(out)), 60);
        assert_memory_equal(out, frame, 60);
        event_base_loop(base, EVLOOP_NONBLOCK);
        assert_int_equal(last_upcall.kind, 0);
        ebpf_detour_close(detour, false);
    }
    forget(SENDS);
}

/* --- SCTP ports, neighbour discovery --- */

/* An SCTP packet over IPv4 of LEN bytes from the L4 header on, its CRC right, with padding behind it. */
static size_t sctp_frame(uint8_t *f, size_t len)
{
    struct ipv4_hdr *ip = (void *)(f + 14);
    __le32 crc;

    for (size_t i = 0; i < 34 + len + 9; i++) {
        f[i] = (uint8_t)rnd(256);
    }
    memcpy(f + 12, "\x08\x00", 2);
    *ip = (struct ipv4_hdr){.ver_ihl = 0x45,
                            .tot_len = htobe16((uint16_t)(20 + len)),
                            .ttl = 64,
                            .proto = IP_PROTO_SCTP,
                            .src = htobe32(0x0a000001),
                            .dst = htobe32(0x0a000002)};
    ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
    memset(f + 34 + 8, 0, 4);
    crc = csum_crc32c(f + 34, len);
    memcpy(f + 34 + 8, &crc, 4);
    return 34 + len + 9;
}

static void test_sctp_ports(void **state WR_UNUSED)
{
    static uint8_t frame[10000], out[10000];
    struct {
        struct dp_action_set set;
        struct dp_action out;
    } a = {.set = set_ones(DP_SET_TP), .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};

    NEEDS_BPF;
    for (size_t len = 12; len < 3500; len += 1 + len / 5) {
        size_t n = sctp_frame(frame, len), out_len = sizeof(out);
        __le32 have, want;

        assert_int_equal(run_actions(&a, sizeof(a), frame, n, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        assert_int_equal(out_len, n);
        assert_memory_equal(out + 34, "\xff\xff\xff\xff", 4);
        assert_memory_equal(out + 46, frame + 46, n - 46);
        memcpy(&have, out + 42, 4);
        memset(out + 42, 0, 4);
        want = csum_crc32c(out + 34, len);
        assert_int_equal(have, want);
        /* A wrong CRC stays wrong. */
        frame[43] ^= 0x10;
        out_len = sizeof(out);
        assert_int_equal(run_actions(&a, sizeof(a), frame, n, out, &out_len), TC_ACT_REDIRECT);
        memcpy(&have, out + 42, 4);
        assert_int_equal(have ^ want, htole32(0x1000));
    }
}

/* What the device is to make the CRC of is left to it. */
static void test_sctp_unfinished(void **state WR_UNUSED)
{
    struct {
        struct dp_action_set set;
        struct dp_action out;
    } a = {.set = set_ones(DP_SET_TP), .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    struct flow_key mask = {.in_port = DP_PORT_NONE, .ip_proto = 0xff},
                    key = {.in_port = dp_port(PORT_IN), .ip_proto = IP_PROTO_SCTP};
    struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 8};
    uint8_t frame[256], out[256];
    struct devices d;
    __be16 csum;
    size_t n;

    NEEDS_BPF;
    d = devices_up();
    n = sctp_frame(frame, 100);
    memset(frame + 42, 0, 4);
    put_flow(SENDS, &key, &mask, &a, sizeof(a), 0);
    transmit(&d, &h, frame, n);
    assert_int_equal(emerged(&d, out, sizeof(out)), n);
    forget(SENDS);
    memcpy(frame + 34, "\xff\xff\xff\xff", 4);
    csum = csum_finish(csum_bytes(0, frame + 34, n - 34)); /* the device that we play knows of no CRC */
    memcpy(frame + 42, &csum, 2);
    assert_memory_equal(out, frame, n);
}

/* A flow that sets what is in a neighbour advertisement whose checksum is right. */
static void test_nd(void **state WR_UNUSED)
{
    uint8_t frame[14 + 40 + 24 + 8 * 3], out[256];
    struct {
        struct dp_action_set set;
        struct dp_action out;
    } a = {.set = set_ones(DP_SET_ND), .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    size_t out_len = sizeof(out);
    struct packet *p;
    struct flow_key key;
    __be16 csum;

    NEEDS_BPF;
    for (size_t i = 0; i < sizeof(frame); i++) {
        frame[i] = (uint8_t)rnd(256);
    }
    memcpy(frame + 12, (uint8_t[]){0x86, 0xdd, 0x60, 0, 0, 0, 0, 24 + 8 * 3, IP_PROTO_ICMPV6, 255}, 10);
    memcpy(frame + 54, (uint8_t[]){ND_ADVERT, 0, 0, 0}, 4);
    memcpy(frame + 78, (uint8_t[]){ND_OPT_TLL, 1}, 2);
    memcpy(frame + 86, (uint8_t[]){77, 1}, 2);
    memcpy(frame + 94, (uint8_t[]){ND_OPT_SLL, 1}, 2);
    p = packet_new(frame, sizeof(frame));
    flow_key_extract(p, &key);
    packet_free(p);
    csum = csum_finish(csum_bytes(csum_pseudo6(&key.ip_src, &key.ip_dst, IP_PROTO_ICMPV6, 48), frame + 54, 48));
    memcpy(frame + 56, &csum, 2);
    assert_int_equal(run_actions(&a, sizeof(a), frame, sizeof(frame), out, &out_len), TC_ACT_REDIRECT);
    assert_int_equal(last_upcall.kind, 0);
    assert_int_equal(out_len, sizeof(frame));
    assert_int_equal(csum_finish(csum_bytes(csum_pseudo6(&key.ip_src, &key.ip_dst, IP_PROTO_ICMPV6, 48), out + 54, 48)),
                     0);
    p = packet_new(out, out_len);
    flow_key_extract(p, &key);
    packet_free(p);
    assert_memory_equal(&key.nd_target, &a.set.key.nd_target, 16);
    assert_memory_equal(&key.arp_sha, &a.set.key.arp_sha, 6);
    assert_memory_equal(&key.arp_tha, &a.set.key.arp_tha, 6);
    assert_memory_equal(out + 86, frame + 86, 8);
}

/* --- meters --- */

/* The fast path and user space draw from one bucket, and count together. */
static void test_meter_shared(void **state WR_UNUSED)
{
    struct {
        struct dp_action meter, out;
    } a = {{DP_ACTION_METER, sizeof(a.meter), 7}, {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    struct dp_meter_config config = {.pktps = 1, .n_bands = 1, .bands = {{.rate = 1, .burst = 20}}};
    struct ebpf_datapath dp = {.maps = maps};
    struct ebpf_meter m = {0};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    uint32_t id = 7, passed = 0;
    uint8_t frame[64], out[256];
    size_t out_len;

    NEEDS_BPF;
    udp_frame(frame, 1, 2, 3, 4);
    put_meter(id, &config);
    put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_METER);
    for (unsigned int i = 0; i < 15; i++) {
        out_len = sizeof(out);
        passed += run_prog(maps.port_prog_fd, frame, 60, out, &out_len) == TC_ACT_REDIRECT;
        passed += ebpf_meter_admits(&dp, 7, 1000, 1);
    }
    assert_in_range(passed, 20, 21);
    assert_int_equal(bpf_map_lookup_elem_flags(maps.meters_fd, &id, &m, BPF_F_LOCK), 0);
    assert_int_equal(m.meter.stats.in.packets, 30);
    assert_int_equal(m.meter.stats.in.bytes, 15 * 1060);
    assert_int_equal(m.meter.stats.bands[0].packets, 30 - passed);
    assert_true(ebpf_meter_admits(&dp, 8, 1000, 1)); /* there is none */
    bpf_map_delete_elem(maps.meters_fd, &id);
    forget(SENDS);
}

/* What a meter gives is there each millisecond, also where the kernel's ticks are rarer: between them a small burst
 * would be full, and the rest lost. */
static void test_meter_refills_each_ms(void **state WR_UNUSED)
{
    struct dp_meter_config config = {.pktps = 1, .n_bands = 1, .bands = {{.rate = 1000, .burst = 1}}};
    struct ebpf_datapath dp = {.maps = maps};
    uint32_t id = 8;
    int64_t start, now, last = 0;
    unsigned int asked_in = 0, passed = 0;

    NEEDS_BPF;
    put_meter(id, &config);
    start = time_mono_ms();
    while (asked_in < 100) {
        now = time_mono_ms();
        asked_in += now != last;
        last = now;
        passed += ebpf_meter_admits(&dp, id, 100, 1);
    }
    bpf_map_delete_elem(maps.meters_fd, &id);
    assert_in_range(passed, 70, time_mono_ms() - start + 2); /* a busy machine does not ask in each of them */
}

/* What a meter stands before that is user space's does not come up beyond its rate. */
static void test_meter_before_user_space(void **state WR_UNUSED)
{
    struct {
        struct dp_action meter, slow;
    } a = {{DP_ACTION_METER, sizeof(a.meter), 7}, {DP_ACTION_SLOW, sizeof(a.slow), DP_SLOW_CONTROLLER}};
    struct dp_meter_config config = {.pktps = 1, .n_bands = 1, .bands = {{.rate = 1, .burst = 3}}};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    uint64_t before = permitted ? drops_of(&maps, DROP_METER) : 0;
    uint32_t id = 7, came = 0;
    uint8_t frame[64], out[256];
    struct dp_flow_stats stats;

    NEEDS_BPF;
    udp_frame(frame, 1, 2, 3, 4);
    put_meter(id, &config);
    put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_METER);
    for (unsigned int i = 0; i < 20; i++) {
        size_t out_len = sizeof(out);

        last_upcall.kind = 0;
        assert_int_equal(run_prog(maps.port_prog_fd, frame, 60, out, &out_len), TC_ACT_SHOT);
        event_base_loop(base, EVLOOP_NONBLOCK);
        if (last_upcall.kind) {
            assert_int_equal(last_upcall.kind, EBPF_UPCALL_SLOW);
            assert_int_equal(last_upcall.arg, DP_SLOW_CONTROLLER);
            assert_memory_equal(last_upcall_frame, frame, 60);
            came++;
        }
    }
    assert_in_range(came, 3, 5);
    assert_int_equal(drops_of(&maps, DROP_METER) - before, 20 - came);
    assert_int_equal(ebpf_flows_get_stats(flows, SENDS, &stats), 0);
    assert_int_equal(stats.packets, 20);
    bpf_map_delete_elem(maps.meters_fd, &id);
    forget(SENDS);
}

/* --- MPLS --- */

/* The frame of udp_frame() behind N_TAGS tags and N_LABELS labels. */
static size_t labelled_frame(uint8_t *f, unsigned int n_tags, unsigned int n_labels)
{
    uint8_t plain[64];
    size_t at = 12;

    udp_frame(plain, 0x0a000001, 0x0a000002, 3, 4);
    memcpy(f, plain, 12);
    for (unsigned int i = 0; i < n_tags; i++, at += 4) {
        memcpy(f + at, (uint8_t[]){0x81, 0, 0, (uint8_t)(5 + i)}, 4);
    }
    if (!n_labels) {
        memcpy(f + at, plain + 12, 48);
        return at + 48;
    }
    memcpy(f + at, "\x88\x47", 2);
    at += 2;
    for (unsigned int i = 0; i < n_labels; i++, at += 4) {
        memcpy(f + at, (uint8_t[]){0, (uint8_t)(i + 1), i + 1 == n_labels, 64}, 4);
    }
    memcpy(f + at, plain + 14, 46);
    return at + 46;
}

enum { PUSH = 1, POP, POP_TO_LABEL, SET, SET_TTL, TAG };

/* One after the other, in both datapaths. */
static const struct {
    unsigned int labels;
    int edits[4];
} label_edits[] = {
    {0, {PUSH}},
    {0, {PUSH, PUSH, SET}},
    {0, {PUSH, POP, SET_TTL}},
    {0, {PUSH, TAG}},
    {0, {PUSH, TAG, SET}},
    {1, {POP}},
    {1, {POP, SET_TTL}},
    {1, {SET}},
    {1, {POP, PUSH, SET}},
    {2, {POP_TO_LABEL, POP, SET_TTL}},
    {2, {POP_TO_LABEL, SET}},
    {3, {PUSH, SET}},
    {3, {POP_TO_LABEL}},
};

static size_t put_action(uint8_t *at, const void *action, size_t len)
{
    memcpy(at, action, len);
    return len;
}

/* Makes the action of EDIT, does it to P as the userspace datapath does, and returns the action's length. */
static size_t edit_both(struct packet *p, int edit, uint8_t *action)
{
    struct dp_action_mpls label = {.h = {DP_ACTION_PUSH_MPLS, sizeof(label), 0},
                                   .lse = htobe32(0x12345678),
                                   .eth_type = htobe16(edit == PUSH  ? ETH_TYPE_MPLS_MCAST
                                                       : edit == POP ? ETH_TYPE_IPV4
                                                                     : ETH_TYPE_MPLS)};
    struct dp_action_vlan vlan = {.h = {DP_ACTION_PUSH_VLAN, sizeof(vlan), 0},
                                  .vlan = {htobe16(ETH_TYPE_VLAN), htobe16(FLOW_VLAN_PRESENT | 9)}};
    struct dp_action_set set = {.h = {DP_ACTION_SET, sizeof(set), DP_SET_MPLS},
                                .key.mpls_lse = {htobe32(0xabcde000)},
                                .mask.mpls_lse = {htobe32(0xfffff000)}};
    struct flow_key key;

    switch (edit) {
    case PUSH:
        assert_int_equal(packet_push_mpls(p, label.lse, label.eth_type), 0);
        return put_action(action, &label, sizeof(label));
    case POP:
    case POP_TO_LABEL:
        assert_int_equal(packet_pop_mpls(p, label.eth_type), 0);
        flow_key_extract(p, &key);
        label.h.type = DP_ACTION_POP_MPLS;
        return put_action(action, &label, sizeof(label));
    case TAG:
        assert_int_equal(packet_push_vlan(p, vlan.vlan), 0);
        return put_action(action, &vlan, sizeof(vlan));
    case SET:
        assert_int_equal(packet_set_mpls(p, &set.key, &set.mask), 0);
        return put_action(action, &set, sizeof(set));
    default:
        set = (struct dp_action_set){
            .h = {DP_ACTION_SET, sizeof(set), DP_SET_IPV4}, .key.ip_ttl = 33, .mask.ip_ttl = 0xff};
        assert_int_equal(packet_set_ipv4(p, &set.key, &set.mask), 0);
        return put_action(action, &set, sizeof(set));
    }
}

static void test_mpls(void **state WR_UNUSED)
{
    NEEDS_BPF;
    for (size_t i = 0; i < ARRAY_SIZE(label_edits) * 3; i++) {
        struct dp_action output = {DP_ACTION_OUTPUT, sizeof(output), PORT_OUT};
        uint8_t actions[2048] __attribute__((aligned(8))), frame[128], out[256];
        size_t len = labelled_frame(frame, (unsigned int)i % 3, label_edits[i / 3].labels), n = 0;
        size_t out_len = sizeof(out);
        struct packet *p = packet_new(frame, len);
        struct flow_key key;

        flow_key_extract(p, &key);
        for (size_t k = 0; k < 4 && label_edits[i / 3].edits[k]; k++) {
            n += edit_both(p, label_edits[i / 3].edits[k], actions + n);
        }
        n += put_action(actions + n, &output, sizeof(output));
        assert_int_equal(run_actions(actions, n, frame, len, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        if (out_len + 4 ==
            p->len) { /* the tag that was pushed last is beside the frame, where test-run does not show it */
            memmove(p->data + 4, p->data, 12);
            packet_pull(p, 4);
        }
        assert_int_equal(out_len, p->len);
        assert_memory_equal(out, p->data, p->len);
        packet_free(p);
    }
}

/* A label on a packet whose checksum is left to the device: nobody below would find it. */
static void test_mpls_unfinished(void **state WR_UNUSED)
{
    struct {
        struct dp_action_mpls push;
        struct dp_action out;
    } a = {.push = {.h = {DP_ACTION_PUSH_MPLS, sizeof(a.push), 0}, .eth_type = htobe16(ETH_TYPE_MPLS)},
           .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct virtio_net_hdr h;
    struct devices d;
    struct packet *p;

    NEEDS_BPF;
    d = devices_up();
    p = unfinished(IP_PROTO_UDP, false, 100, &h);
    put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_PUSH_MPLS);
    expect_upcall(&d, &h, p->data, 100, EBPF_UPCALL_PUNT);
    packet_free(p);
    forget(SENDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trunc),
        cmocka_unit_test(test_trunc_tunnel),
        cmocka_unit_test(test_trunc_before),
        cmocka_unit_test(test_trunc_order),
        cmocka_unit_test(test_trunc_unfinished),
        cmocka_unit_test(test_trunc_super),
        cmocka_unit_test(test_trunc_unknown_csum),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_copy_ends),
        cmocka_unit_test(test_copy_aside),
        cmocka_unit_test(test_sctp_ports),
        cmocka_unit_test(test_sctp_unfinished),
        cmocka_unit_test(test_nd),
        cmocka_unit_test(test_meter_shared),
        cmocka_unit_test(test_meter_refills_each_ms),
        cmocka_unit_test(test_meter_before_user_space),
        cmocka_unit_test(test_mpls),
        cmocka_unit_test(test_mpls_unfinished),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
