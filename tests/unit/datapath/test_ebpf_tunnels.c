/* SPDX-License-Identifier: Apache-2.0 */
/* Tunnels of the fast path: tags and super-packets in them, several for one packet, one into another, Geneve options.
 */
#include "datapath/ebpf/detour.h"
#include "ebpf_devices.h"

#include "datapath/ebpf/opts.h"
#include "packet/tunnel_opts.h"

/* A tag that the tunnel output before put into the frame is taken out again. */
static void test_tunnel_then_untag(void **state WR_UNUSED)
{
    struct {
        struct trunc_to first;
        struct dp_action pop, out;
    } a = {.first = trunc_to(0, PORT_TUNNEL, false),
           .pop = {DP_ACTION_POP_VLAN, sizeof(a.pop), 0},
           .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    uint8_t plain[64], tagged[68], out[256];
    size_t out_len = sizeof(out);

    NEEDS_BPF;
    underlay_up();
    udp_frame(plain, 1, 2, 3, 4);
    tag_frame(tagged, plain);
    assert_int_equal(run_actions(&a, sizeof(a), tagged, 64, out, &out_len), TC_ACT_REDIRECT);
    assert_int_equal(last_upcall.kind, 0);
    assert_int_equal(out_len, 60);
    assert_memory_equal(out, plain, 60);
}

/* A tag that lies beside the frame is in it inside a tunnel, and counts for the outer checksum. */
static void test_tag_into_tunnel(void **state WR_UNUSED)
{
    struct {
        struct dp_action_vlan push;
        struct trunc_to tunnel;
    } a = {.push = {.h = {DP_ACTION_PUSH_VLAN, sizeof(a.push), 0}, .vlan = VLAN_7}};
    uint8_t plain[64], tagged[68], out[256];
    struct flow_tunnel got;
    size_t hdr_len;

    NEEDS_BPF;
    underlay_up();
    udp_frame(plain, 1, 2, 3, 4);
    tag_frame(tagged, plain);
    for (unsigned int i = 0; i < 6; i++) {
        size_t out_len = sizeof(out);

        a.tunnel = trunc_to(0, PORT_TUNNEL + i % 3, i / 3);
        assert_int_equal(run_actions(&a, sizeof(a), plain, 60, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        assert_int_equal(parse_outer(i % 3, out, out_len, &got, &hdr_len), DROP_NONE);
        assert_int_equal(out_len, 14 + hdr_len + 64);
        assert_memory_equal(out + 14 + hdr_len, tagged, 64);
    }
}

/* So does a SNAP header, behind which the inner IP packet's sum is known by its headers. */
static void test_snap_into_tunnel(void **state WR_UNUSED)
{
    struct trunc_to a = trunc_to(0, PORT_TUNNEL, true);
    uint8_t plain[64], snap[72], out[256];
    size_t out_len = sizeof(out), hdr_len;
    struct flow_tunnel got;

    NEEDS_BPF;
    underlay_up();
    udp_frame(plain, 1, 2, 3, 4);
    memcpy(snap, plain, 12);
    memcpy(snap + 12, "\x00\x36\xaa\xaa\x03\x00\x00\x00", 8);
    memcpy(snap + 20, plain + 12, 48);
    assert_int_equal(run_actions(&a, sizeof(a), snap, 68, out, &out_len), TC_ACT_REDIRECT);
    assert_int_equal(last_upcall.kind, 0);
    assert_int_equal(parse_outer(EBPF_VXLAN, out, out_len, &got, &hdr_len), DROP_NONE);
    assert_int_equal(got.flags & FLOW_TNL_CSUM, FLOW_TNL_CSUM);
    assert_memory_equal(out + 14 + hdr_len, snap, 68);
}

/* What lies behind a UDP datagram in its IP packet (RFC 9868) is not in the datagram's checksum, but in the outer one.
 */
static void test_behind_udp_into_tunnel(void **state WR_UNUSED)
{
    struct trunc_to a = trunc_to(0, PORT_TUNNEL, true);
    uint8_t frame[64], out[256];
    struct udp_hdr *udp = (struct udp_hdr *)(void *)(frame + 34);
    struct flow_tunnel got;
    size_t hdr_len;

    NEEDS_BPF;
    underlay_up();
    for (uint16_t len = 8; len <= 26; len++) {
        size_t out_len = sizeof(out);

        udp_frame(frame, 1, 2, 3, 4);
        memcpy(frame + 42, "What is behind the end", 18);
        udp->len = htobe16(len);
        udp->csum = 0;
        udp->csum = csum_finish(csum_bytes(csum_pseudo4(htobe32(1), htobe32(2), IP_PROTO_UDP, len), udp, len));
        assert_int_equal(run_actions(&a, sizeof(a), frame, 60, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        assert_int_equal(parse_outer(EBPF_VXLAN, out, out_len, &got, &hdr_len), DROP_NONE);
        assert_int_equal(got.flags & FLOW_TNL_CSUM, FLOW_TNL_CSUM);
        assert_memory_equal(out + 14 + hdr_len, frame, 60);
    }
}

/* Nor does it see that a clone went through a tunnel, tagged or not. */
static void test_copy_tunnel(void **state WR_UNUSED)
{
    struct {
        struct dp_action clone;
        struct dp_action_set set;
        struct trunc_to tunnel;
        struct dp_action rest;
    } a = {.clone = {DP_ACTION_CLONE, offsetof(typeof(a), rest), 0},
           .set = set_ones(DP_SET_ETH),
           .rest = {DP_ACTION_OUTPUT, sizeof(a.rest), PORT_OUT}};
    uint8_t frames[2][68], out[256];

    NEEDS_BPF;
    underlay_up();
    udp_frame(frames[0], 1, 2, 3, 4);
    tag_frame(frames[1], frames[0]);
    for (unsigned int i = 0; i < 6; i++) {
        size_t out_len = sizeof(out);

        a.tunnel = trunc_to(0, PORT_TUNNEL + i % 3, false);
        assert_int_equal(run_actions(&a, sizeof(a), frames[i / 3], i / 3 ? 64 : 60, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        assert_int_equal(out_len, 60); /* test-run does not show that the tag is beside the frame now */
        assert_memory_equal(out, frames[0], 60);
    }
}

/* The next packet that leaves by the underlay must be INNER in a tunnel of KIND over IPv4 or IPv6. */
static void expect_tunnelled(const struct devices *underlay, uint8_t kind, bool v6, const uint8_t *inner, size_t len)
{
    uint8_t got[256];
    struct flow_tunnel tunnel;
    size_t n, hdr_len;

    do { /* the host itself sends multicast */
        n = emerged(underlay, got, sizeof(got));
        assert_in_range(n, 14, sizeof(got));
    } while (got[0] & 1);
    assert_int_equal(got[14] >> 4, v6 ? 6 : 4);
    assert_int_equal(parse_outer(kind, got, n, &tunnel, &hdr_len), DROP_NONE);
    assert_int_equal(n, 14 + hdr_len + len);
    assert_memory_equal(got + 14 + hdr_len, inner, len);
}

/* One packet through tunnels of several forms, an edit between them, and to a port, with a tag and without. */
static void test_several_tunnels(void **state WR_UNUSED)
{
    struct {
        struct dp_action_vlan push;
        struct trunc_to vxlan, gre, vxlan6;
        struct dp_action_set set;
        struct trunc_to geneve;
        struct dp_action_set mark; /* what is between outputs stays between them */
        struct dp_action out;
    } a = {.push = {.h = {DP_ACTION_PUSH_VLAN, sizeof(a.push), 0}, .vlan = VLAN_7},
           .vxlan = trunc_to(0, PORT_TUNNEL + EBPF_VXLAN, false),
           .gre = trunc_to(0, PORT_TUNNEL + EBPF_GRE, false),
           .vxlan6 = trunc_to(0, PORT_TUNNEL + EBPF_VXLAN, true),
           .set = set_ones(DP_SET_ETH),
           .geneve = trunc_to(0, PORT_TUNNEL + EBPF_GENEVE, false),
           .mark = set_ones(DP_SET_MARK),
           .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    struct devices underlay;
    uint8_t frames[2][68], out[256];

    NEEDS_BPF;
    underlay_up();
    underlay.receive = raw_socket("und1");
    for (unsigned int tagged = 0; tagged < 2; tagged++) {
        size_t out_len = sizeof(out), len = tagged ? 64 : 60;
        uint8_t *frame = frames[tagged];

        udp_frame(frames[0], 1, 2, 3, 4);
        tag_frame(frames[1], frames[0]);
        assert_int_equal(tagged ? run_actions(&a, sizeof(a), frames[0], 60, out, &out_len)
                                : run_actions(&a.vxlan, sizeof(a) - sizeof(a.push), frames[0], 60, out, &out_len),
                         TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        expect_tunnelled(&underlay, EBPF_VXLAN, false, frame, len);
        expect_tunnelled(&underlay, EBPF_GRE, false, frame, len);
        expect_tunnelled(&underlay, EBPF_VXLAN, true, frame, len);
        memset(frame, 0xff, 12);
        expect_tunnelled(&underlay, EBPF_GENEVE, false, frame, len);
        assert_int_equal(out_len, 60); /* test-run shows no tag beside the frame */
        assert_memory_equal(out, frame, 12);
        assert_memory_equal(out + 12, frames[0] + 12, 48);
    }
    close(underlay.receive);
}

/* The host asks for 10.9.0.2 on the underlay. */
static void expect_arp_request(const struct devices *underlay)
{
    uint8_t got[256];
    size_t n;

    do {
        n = emerged(underlay, got, sizeof(got));
        assert_in_range(n, 14, sizeof(got));
    } while (got[12] != 0x08 || got[13] != 0x06);
    assert_int_equal(got[21], 1);
    assert_memory_equal(got + 38, "\x0a\x09\x00\x02", 4);
}

/* A copy whose next hop nobody knows has the kernel ask, and waits for the answer: no user space is needed. Before it
 * and behind it are others of which the frame may bear the headers still. */
static void test_copies_ask(void **state WR_UNUSED)
{
    struct {
        struct dp_action_vlan push;
        struct trunc_to before, vxlan, behind;
        struct dp_action_set mark; /* what is between outputs stays between them */
        struct dp_action out;
    } a = {.push = {.h = {DP_ACTION_PUSH_VLAN, sizeof(a.push), 0}, .vlan = VLAN_7},
           .before = trunc_to(0, PORT_TUNNEL + EBPF_VXLAN, true),
           .vxlan = trunc_to(0, PORT_TUNNEL + EBPF_VXLAN, false),
           .behind = trunc_to(0, PORT_TUNNEL + EBPF_GRE, true),
           .mark = set_ones(DP_SET_MARK),
           .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    struct ebpf_detour *detour = NULL;
    struct devices underlay, arp;
    uint8_t frames[2][68], out[256];

    NEEDS_BPF;
    underlay_up();
    assert_int_equal(ebpf_detour_open(&maps, NULL, &detour), 0);
    for (unsigned int tagged = 0; tagged < 2; tagged++) {
        size_t out_len = sizeof(out), len = tagged ? 64 : 60;

        RUN("ip neigh del 10.9.0.2 dev und0");
        maps.config->generation++;
        underlay.receive = raw_socket("und1");
        arp.receive = raw_socket("und1");
        udp_frame(frames[0], 1, 2, 3, 4);
        tag_frame(frames[1], frames[0]);
        assert_int_equal(tagged ? run_actions(&a, sizeof(a), frames[0], 60, out, &out_len)
                                : run_actions(&a.before, sizeof(a) - sizeof(a.push), frames[0], 60, out, &out_len),
                         TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        assert_memory_equal(out, frames[0], 60);
        expect_tunnelled(&underlay, EBPF_VXLAN, true, frames[tagged], len);
        expect_arp_request(&arp);
        expect_tunnelled(&underlay, EBPF_GRE, true, frames[tagged], len);
        RUN("ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev und0 nud permanent");
        expect_tunnelled(&underlay, EBPF_VXLAN, false, frames[tagged], len);
        close(underlay.receive);
        close(arp.receive);
    }
    ebpf_detour_close(detour, false);
}

/* Super-packets cross tunnels whole, whatever the IP versions inside and outside, and with a tag that they get before
 * and lose behind. Each turn also as on a kernel that cannot be told the inner version (before Linux 6.3; decap_l3
 * plays it): taken for the outer one, they would be dropped. */
static void test_super_through_tunnel(void **state WR_UNUSED)
{
    struct {
        struct dp_action_vlan push;
        struct dp_action_tunnel set;
        struct dp_action out;
    } enter = {.push = {.h = {DP_ACTION_PUSH_VLAN, sizeof(enter.push), 0}, .vlan = VLAN_7},
               .set.h = {DP_ACTION_SET_TUNNEL, sizeof(enter.set), 0},
               .out = {DP_ACTION_OUTPUT, sizeof(enter.out), 0}};
    struct dp_action leave[] = {{DP_ACTION_POP_VLAN, sizeof(*leave), 0}, {DP_ACTION_OUTPUT, sizeof(*leave), PORT_OUT}};
    static uint8_t out[70000];
    struct devices d;
    uint32_t had;

    NEEDS_BPF;
    d = devices_up();
    uplink_up("und1", 2); /* what was put into a tunnel comes out of it again */
    had = maps.config->decap_l3;
    for (unsigned int i = 0; i < 96; i++) {
        uint8_t kind = (uint8_t)(i % 3);
        bool inner6 = i / 3 & 1, outer6 = i / 6 & 1, old = i / 12 & 1, udp = i / 24 & 1, tagged = i / 48;
        struct flow_key mask = {.in_port = DP_PORT_NONE}, in = {.in_port = dp_port(PORT_IN)},
                        tunnelled = {.in_port = dp_port((uint32_t)PORT_TUNNEL + kind)};
        struct virtio_net_hdr h;
        struct packet *p;

        if ((outer6 && kind != EBPF_GRE) || (!old && !had) || (udp && (kind != EBPF_GRE || !kernel_at_least(6, 2)))) {
            continue; /* owes a checksum; this kernel is old; goes up, or the test's sockets do not know it */
        }
        maps.config->decap_l3 = !old;
        enter.set.tunnel = (struct flow_tunnel){.id = htobe64(7),
                                                .src = address(outer6, 1),
                                                .dst = address(outer6, 2),
                                                .flags = FLOW_TNL_KEY | FLOW_TNL_DF,
                                                .ttl = 64};
        enter.out.arg = (uint32_t)PORT_TUNNEL + kind;
        if (tagged) {
            put_flow(SENDS, &in, &mask, &enter, sizeof(enter), EBPF_OP_PUSH_VLAN);
            put_flow(SENDS + 1, &tunnelled, &mask, leave, sizeof(leave), EBPF_OP_POP_VLAN);
        } else {
            put_flow(SENDS, &in, &mask, &enter.set, sizeof(enter) - sizeof(enter.push), EBPF_OP_TUNNEL);
            put_flow(SENDS + 1, &tunnelled, &mask, &leave[1], sizeof(leave[1]), EBPF_OP_OUTPUT);
        }
        p = unfinished(udp ? IP_PROTO_UDP : IP_PROTO_TCP, inner6, 30054, &h);
        h.gso_type = udp ? 5 : inner6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        h.gso_size = 1000;
        h.hdr_len = (uint16_t)(h.csum_start + (udp ? 8 : 20));
        last_upcall.kind = 0;
        transmit(&d, &h, p->data, p->len);
        assert_int_equal(emerged(&d, out, sizeof(out)), p->len);
        event_base_loop(base, EVLOOP_NONBLOCK);
        assert_int_equal(last_upcall.kind, 0);
        assert_int_equal(packet_complete_csum(p), 0);
        assert_memory_equal(out, p->data, p->len);
        packet_free(p);
        forget(SENDS);
        forget(SENDS + 1);
    }
    maps.config->decap_l3 = had;
    maps.config->n_tunnels = 0;
    maps.config->generation++;
}

/* What is noted as encapsulated cannot be padded: a frame that is smaller than IPv6's header comes out as it is, but
 * for the smallest, which user space takes out. */
static void test_small_through_tunnel(void **state WR_UNUSED)
{
    struct flow_key mask = {.in_port = DP_PORT_NONE}, in = {.in_port = dp_port(PORT_IN)};
    struct dp_action leave = {DP_ACTION_OUTPUT, sizeof(leave), PORT_OUT};
    uint8_t frame[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, out[256];
    struct virtio_net_hdr h = {0};
    struct devices d;

    NEEDS_BPF;
    d = devices_up();
    uplink_up("und1", 2);
    for (unsigned int i = 0; i < 12; i++) {
        struct trunc_to enter = trunc_to(0, PORT_TUNNEL + i % 3, i / 3 & 1);
        struct flow_key tunnelled = {.in_port = dp_port(PORT_TUNNEL + i % 3)};
        size_t len = i / 6 ? 30 : sizeof(frame);

        put_flow(SENDS, &in, &mask, &enter, sizeof(enter), EBPF_OP_TUNNEL);
        put_flow(SENDS + 1, &tunnelled, &mask, &leave, sizeof(leave), EBPF_OP_OUTPUT);
        last_upcall.kind = 0;
        transmit(&d, &h, frame, len);
        if (i / 6) {
            await_upcall();
            assert_int_equal(last_upcall.kind, EBPF_UPCALL_PUNT);
            assert_memory_equal(last_upcall_frame, frame, len);
        } else {
            assert_int_equal(emerged(&d, out, sizeof(out)), len);
            assert_memory_equal(out, frame, len);
            event_base_loop(base, EVLOOP_NONBLOCK);
            assert_int_equal(last_upcall.kind, 0);
        }
        forget(SENDS);
        forget(SENDS + 1);
        expect_nothing(&d);
    }
    maps.config->n_tunnels = 0;
    maps.config->generation++;
}

/* A frame of LEN bytes for the device to finish; SUPER: and to cut. */
static struct packet *unfinished_or_super(uint8_t proto, bool v6, bool super, struct virtio_net_hdr *h)
{
    struct packet *p = unfinished(proto, v6, super ? 5000 : 200, h);

    if (super) {
        h->gso_type = proto == IP_PROTO_UDP ? 5 : v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        h->gso_size = 1000;
        h->hdr_len = (uint16_t)(h->csum_start + (proto == IP_PROTO_UDP ? 8 : 20));
    }
    return p;
}

/* What came out of a tunnel goes into another, super-packets by the detour. */
static void tunnel_to_tunnel(const struct devices *d, unsigned int first, unsigned int second, const struct packet *p,
                             const struct virtio_net_hdr *h, bool arrives)
{
    struct flow_key mask = {.in_port = DP_PORT_NONE}, in = {.in_port = dp_port(PORT_IN)};
    struct flow_key from_first = {.in_port = dp_port(first)}, from_second = {.in_port = dp_port(second)};
    struct trunc_to enter = trunc_to(0, first, false), on = trunc_to(0, second, false);
    struct dp_action leave = {DP_ACTION_OUTPUT, sizeof(leave), PORT_OUT};
    _cleanup_(packet_freep) struct packet *want = packet_clone(p);
    static uint8_t out[70000];

    put_flow(SENDS, &in, &mask, &enter, sizeof(enter), EBPF_OP_TUNNEL);
    put_flow(SENDS + 1, &from_first, &mask, &on, sizeof(on), EBPF_OP_TUNNEL);
    put_flow(SENDS + 2, &from_second, &mask, &leave, sizeof(leave), EBPF_OP_OUTPUT);
    last_upcall.kind = 0;
    transmit(d, h, p->data, p->len);
    if (arrives) {
        assert_int_equal(emerged(d, out, sizeof(out)), p->len);
        event_base_loop(base, EVLOOP_NONBLOCK);
        assert_int_equal(last_upcall.kind, 0);
        assert_int_equal(packet_complete_csum(want), 0);
        assert_memory_equal(out, want->data, p->len);
    } else {
        await_upcall();
        assert_int_not_equal(last_upcall.kind, 0);
        assert_memory_equal(last_upcall_frame, p->data, 60);
    }
    for (uint64_t flow = SENDS; flow < SENDS + 3; flow++) {
        forget(flow);
    }
    expect_nothing(d);
}

static void test_tunnel_to_tunnel(void **state WR_UNUSED)
{
    struct ebpf_detour *detour = NULL;
    struct devices d;

    NEEDS_BPF;
    d = devices_up();
    uplink_up("und1", 2); /* what was put into a tunnel comes out of it again */
    for (unsigned int i = 0; i < 48; i++) {
        bool super = i / 6 & 1, v6 = i / 3 & 1, with = i >= 24;
        uint8_t proto = i / 12 & 1 ? IP_PROTO_TCP : IP_PROTO_UDP;
        _cleanup_(packet_freep) struct packet *p = NULL;
        struct virtio_net_hdr h;

        if (super && proto == IP_PROTO_UDP && !kernel_at_least(6, 2)) {
            continue; /* the test's sockets do not know it */
        }
        if (with && !detour && ebpf_detour_open(&maps, NULL, &detour)) {
            print_message("no detour on this kernel\n");
            break;
        }
        p = unfinished_or_super(proto, v6, super, &h);
        tunnel_to_tunnel(&d, PORT_TUNNEL + i % 3, PORT_TUNNEL + (i + 1) % 3, p, &h, !super || with);
    }
    ebpf_detour_close(detour, false);
    maps.config->n_tunnels = 0;
    maps.config->generation++;
}

/* --- Geneve options --- */

/* Options of LEN bytes in all, one of them critical if CRITICAL. */
static uint32_t random_options(size_t len, bool critical)
{
    uint8_t opts[EBPF_OPTS_LEN];
    uint32_t id;

    for (size_t at = 0; at < len;) {
        size_t words = MIN((len - at) / 4 - 1, (size_t)31);

        for (size_t i = at; i < at + 4 + words * 4; i++) {
            opts[i] = (uint8_t)rnd(256);
        }
        opts[at + 2] = critical ? 0x80 : 0;
        opts[at + 3] = (uint8_t)words;
        at += 4 + words * 4;
    }
    assert_int_equal(tunnel_opts_intern(opts, len, &id), 0);
    return id;
}

static void test_options_out(void **state WR_UNUSED)
{
    static const size_t lengths[] = {4, 8, 52, 56, 60, 112, 116, 248, 252};
    uint8_t frame[64], out[512];

    NEEDS_BPF;
    underlay_up();
    udp_frame(frame, 1, 2, 3, 4);
    for (size_t i = 0; i < ARRAY_SIZE(lengths) * 4; i++) {
        struct trunc_to a = trunc_to(0, PORT_TUNNEL + EBPF_GENEVE, i & 1);
        size_t out_len = sizeof(out), hdr_len;
        struct flow_tunnel got;

        a.set.tunnel.opts_id = random_options(lengths[i / 4], i & 2);
        assert_int_equal(run_actions(&a, sizeof(a), frame, 60, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(last_upcall.kind, 0);
        assert_int_equal(tunnel_parse(TUNNEL_GENEVE, out + 14, out_len - 14, 6081, &got, &hdr_len), DROP_NONE);
        assert_int_equal(got.opts_id, a.set.tunnel.opts_id);
        assert_int_equal(got.flags & FLOW_TNL_CRIT, i & 2 ? FLOW_TNL_CRIT : 0);
        assert_int_equal(out_len, 14 + hdr_len + 60);
        assert_memory_equal(out + 14 + hdr_len, frame, 60);
    }
}

/* Two outputs with options of their own, and what user space reads back of them. */
static void test_options_of_steps(void **state WR_UNUSED)
{
    struct trunc_to a[3] = {trunc_to(0, PORT_TUNNEL + EBPF_GENEVE, false), trunc_to(0, PORT_TUNNEL + EBPF_VXLAN, false),
                            trunc_to(0, PORT_TUNNEL + EBPF_GENEVE, false)};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct ebpf_step step;
    uint32_t id, n = 0;

    NEEDS_BPF;
    a[0].set.tunnel.opts_id = random_options(200, false);
    a[1].set.tunnel.opts_id = random_options(8, false); /* VXLAN has none */
    a[2].set.tunnel.opts_id = random_options(60, true);
    put_flow(SENDS, &key, &mask, a, sizeof(a), EBPF_OP_OPTS);
    for (uint32_t i = 0; !ebpf_flows_step(flows, SENDS, i, &step); i++) {
        if (step.op == EBPF_OP_TUNNEL) {
            assert_int_equal(ebpf_flows_options(flows, SENDS, slot_of(SENDS), i, &id), 0);
            assert_int_equal(id, step.u.tunnel.kind == EBPF_VXLAN ? 0 : a[n].set.tunnel.opts_id);
            n += step.u.tunnel.kind == EBPF_VXLAN ? 0 : 2;
        }
    }
    assert_int_equal(n, 4);
    assert_int_equal(ebpf_flows_options(flows, SENDS, slot_of(SENDS), 99, &id), -ENOENT);
    forget(SENDS);
}

/* A Geneve packet that comes in with the options ID. */
static int run_geneve(const uint8_t *inner, uint32_t id, uint8_t *out, size_t *out_len)
{
    struct flow_tunnel t = {.id = htobe64(9),
                            .src = address(false, 2),
                            .dst = address(false, 1),
                            .flags = FLOW_TNL_KEY,
                            .ttl = 60,
                            .opts_id = id};
    struct packet *p = packet_new(inner, 60);
    struct eth_hdr *eth;
    int action;

    tunnel_push(p, TUNNEL_GENEVE, &t, 40000, 6081, true);
    eth = packet_push(p, sizeof(*eth));
    *eth = (struct eth_hdr){.src = {{2}}, .type = htobe16(ETH_TYPE_IPV4)};
    last_upcall.kind = 0;
    action = run_prog(maps.uplink_prog_fd, p->data, p->len, out, out_len);
    event_base_loop(base, EVLOOP_NONBLOCK);
    packet_free(p);
    return action;
}

static void test_options_in(void **state WR_UNUSED)
{
    struct dp_action a = {DP_ACTION_OUTPUT, sizeof(a), PORT_OUT};
    struct ip_addr here = address(false, 1);
    struct ebpf_opts_table *table;
    uint8_t inner[64], out[512];
    uint32_t one = 1;

    NEEDS_BPF;
    udp_frame(inner, 1, 2, 3, 4);
    table = ebpf_opts_new(&maps);
    maps.config->tunnels[0] =
        (struct ebpf_tunnel_port){.port = PORT_TUNNEL, .kind = EBPF_GENEVE, .udp_dst = htobe16(6081)};
    maps.config->n_tunnels = 1;
    assert_int_equal(bpf_map_update_elem(maps.local_addrs_fd, &here, &one, BPF_ANY), 0);
    for (size_t len = 4; len <= EBPF_OPTS_LEN; len += 4) {
        struct flow_key mask = {.in_port = DP_PORT_NONE, .tunnel.opts_id = UINT32_MAX, .tunnel.flags = FLOW_TNL_CRIT},
                        key = {.in_port = dp_port(PORT_TUNNEL)};
        uint32_t id = random_options(len, len & 4), other = random_options(len, len & 4);
        size_t out_len = sizeof(out);

        key.tunnel.opts_id = id;
        key.tunnel.flags = len & 4 ? FLOW_TNL_CRIT : 0;
        put_flow(SENDS, &key, &mask, &a, sizeof(a), EBPF_OP_OUTPUT);
        /* Never seen: to the host's stack, which has a socket for it. */
        assert_int_equal(run_geneve(inner, id, out, &out_len), TC_ACT_UNSPEC);
        ebpf_opts_add(table, id);
        ebpf_opts_add(table, other);
        out_len = sizeof(out);
        assert_int_equal(run_geneve(inner, id, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(out_len, 60);
        assert_memory_equal(out, inner, 60);
        /* Other options are another flow's. */
        out_len = sizeof(out);
        assert_int_equal(run_geneve(inner, other, out, &out_len), TC_ACT_SHOT);
        assert_int_equal(last_upcall.kind, EBPF_UPCALL_MISS);
        assert_int_equal(last_upcall.key.tunnel.opts_id, other);
        forget(SENDS);
    }
    ebpf_opts_free(table);
    maps.config->n_tunnels = 0;
    bpf_map_delete_elem(maps.local_addrs_fd, &here);
    maps.config->generation++;
}

/* The oldest makes way for the newest; what is in a map keeps its number. */
static void test_options_table(void **state WR_UNUSED)
{
    struct ebpf_opts_table *table;
    uint32_t ids[EBPF_OPTS_MAX + 10];

    NEEDS_BPF;
    table = ebpf_opts_new(&maps);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        ids[i] = random_options(20, false);
        ebpf_opts_add(table, ids[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_int_equal(ebpf_opts_has(table, ids[i]), i >= 10);
    }
    ebpf_opts_free(table);
    table = ebpf_opts_new(&maps);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_int_equal(ebpf_opts_has(table, ids[i]), i >= 10);
    }
    ebpf_opts_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tunnel_then_untag),
        cmocka_unit_test(test_tag_into_tunnel),
        cmocka_unit_test(test_copy_tunnel),
        cmocka_unit_test(test_several_tunnels),
        cmocka_unit_test(test_copies_ask),
        cmocka_unit_test(test_super_through_tunnel),
        cmocka_unit_test(test_small_through_tunnel),
        cmocka_unit_test(test_tunnel_to_tunnel),
        cmocka_unit_test(test_options_out),
        cmocka_unit_test(test_options_of_steps),
        cmocka_unit_test(test_options_in),
        cmocka_unit_test(test_snap_into_tunnel),
        cmocka_unit_test(test_behind_udp_into_tunnel),
        cmocka_unit_test(test_options_table),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
