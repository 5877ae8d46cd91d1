/* SPDX-License-Identifier: Apache-2.0 */
/* Packets and lists at which a datapath once differed from the twin, one by one. */
#include "model_run.h"

static struct round r;

/* The frame HEX comes in by the port. LEFT: its L4 checksum, CSUM_OFS behind its header at L4, is left to the device
 * and holds the pseudo-header's sum already. */
static void frame_in(const char *hex, size_t l4, size_t csum_ofs)
{
    size_t len = strlen(hex) / 2;
    struct flow_key key;

    memset(&r, 0, sizeof(r));
    r.in.p = packet_new(NULL, len);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &r.in.p->data[i]), 1);
    }
    if (l4) {
        r.in.h = (struct virtio_net_hdr){
            .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = (uint16_t)l4, .csum_offset = (uint16_t)csum_ofs};
        r.in.p->offload = (struct packet_offload){
            .flags = r.in.h.flags, .csum_start = r.in.h.csum_start, .csum_offset = r.in.h.csum_offset};
    }
    r.in.sums_are_right = true;
    r.in.p->in_port = dp_port(PORT_IN);
    flow_key_extract(r.in.p, &key);
    random_meters(r.meters);
}

/* The same as a super-packet of SIZE a segment. */
static void super_in(const char *hex, size_t l4, size_t csum_ofs, uint8_t type, uint16_t size, size_t len)
{
    struct packet *p;

    frame_in(hex, l4, csum_ofs);
    p = packet_new(NULL, len);
    memset(p->data, 0x55, len);
    memcpy(p->data, r.in.p->data, r.in.p->len);
    p->offload = r.in.p->offload;
    p->in_port = r.in.p->in_port;
    r.in.h.gso_type = p->offload.gso_type = type;
    r.in.h.gso_size = p->offload.gso_size = size;
    r.in.h.hdr_len = p->offload.hdr_len = (uint16_t)(l4 + (type == VIRTIO_NET_HDR_GSO_UDP_L4 ? 8 : 20));
    packet_free(r.in.p);
    r.in.p = p;
}

static void add_out(uint32_t port)
{
    list_add_u32(&r.list, DP_ACTION_OUTPUT, port);
}

static void add_tunnel(enum tunnel_type kind, bool v6)
{
    struct dp_action_tunnel *set = list_add(&r.list, DP_ACTION_SET_TUNNEL, sizeof(*set), 0);

    set->tunnel = (struct flow_tunnel){
        .id = htobe64(3), .src = model_address(v6, 1), .dst = model_address(v6, 2), .flags = FLOW_TNL_KEY, .ttl = 64};
    add_out(PORT_TUNNEL + kind);
}

static struct dp_action_set *add_set(uint32_t what)
{
    struct dp_action_set *set = list_add(&r.list, DP_ACTION_SET, sizeof(*set), what);

    set->mask.eth_dst.a[1] = set->mask.ip_tos = 0xff;
    set->mask.ip_src.be32[3] = htobe32(0xffffffff);
    set->key.ip_src.be32[3] = htobe32(0x01020304);
    set->key.eth_dst.a[1] = 0x77;
    set->mask.tp_src = set->mask.tp_dst = htobe16(0xffff);
    set->key.tp_src = htobe16(7);
    return set;
}

static void add_mpls(enum dp_action_type type, uint16_t eth_type)
{
    struct dp_action_mpls *a = list_add(&r.list, type, sizeof(*a), 0);

    a->lse = htobe32(0x12345140);
    a->eth_type = htobe16(eth_type);
    r.list.mpls = true;
}

/* The packet is N packets in one. */
static void check_many(unsigned int n)
{
    bool fast;

    flow_key_extract(r.in.p, &r.key);
    memset(&r.mask, 0xff, sizeof(r.mask));
    r.mask.tunnel.flags &= (uint16_t)~FLOW_TNL_CSUM;
    flow_key_and(&r.key, &r.key, &r.mask);
    twin_round(&r);
    r.merged = n;
    while (--n) {
        outputs_add(&want, want.o[0].port, packet_clone(want.o[0].p), false);
    }
    for (size_t k = 0; k < WORLDS; k++) {
        enum verdict v = run_in(&worlds[k], &r, &r.list, &fast);

        if (v == DIFFERENT) {
            tell(&worlds[k], &r);
        }
        assert_int_equal(v, SAME);
    }
    packet_free(r.in.p);
    packet_free(r.outer);
}

static void check(void)
{
    check_many(1);
}

/* 10.0.0.1:1000 to 10.0.0.2:2000 */
#define MACS "0200000000020200000000ab"
#define IPV4_UDP "4500002000004000401126cb0a0000010a000002" UDP
#define UDP "03e807d0000c"

/* The other outputs' flow label and source port are what the flow's are, also of one that goes up behind edits. */
static void test_hash_behind_edits(void **state WR_UNUSED)
{
    NEEDS_BPF;
    frame_in(MACS "0800" IPV4_UDP "0000"
                  "01020304",
             0, 0);
    add_set(DP_SET_ETH | DP_SET_IPV4 | DP_SET_TP);
    list_add_u32(&r.list, DP_ACTION_TRUNC, 30);
    add_tunnel(TUNNEL_VXLAN, true);
    add_tunnel(TUNNEL_VXLAN, false);
    add_out(PORT_OUT);
    check();
}

/* Bit 12 of a tag of a packet that goes up. */
static void test_cfi_goes_up(void **state WR_UNUSED)
{
    NEEDS_BPF;
    frame_in(MACS "8100b064"
                  "0800" IPV4_UDP "0000"
                  "01020304",
             0, 0);
    list_add_u32(&r.list, DP_ACTION_TRUNC, 30);
    add_out(PORT_OUT);
    list_add_u32(&r.list, DP_ACTION_TRUNC, 30);
    add_out(PORT_OUT2);
    check();
}

/* A checksum that is left to the device below labels, in a packet that goes up. */
static void test_unfinished_below_labels(void **state WR_UNUSED)
{
    NEEDS_BPF;
    for (unsigned int i = 0; i < 2; i++) {
        frame_in(i ? MACS "8847"
                          "00010040"
                          "00011140" IPV4_UDP "1420"
                          "01020304"
                   : MACS "8847"
                          "00010140" IPV4_UDP "1420"
                          "01020304",
                 i ? 42 : 38, 6);
        add_mpls(i ? DP_ACTION_POP_MPLS : DP_ACTION_PUSH_MPLS, ETH_TYPE_MPLS);
        add_out(PORT_OUT);
        check();
    }
}

/* The outer checksum where the inner one is left to the device and its headers do not tell the sum: padding, an
 * extension header, a label. */
static void test_outer_sum_of_unfinished(void **state WR_UNUSED)
{
    static const struct {
        const char *frame;
        size_t l4;
    } cases[] = {
        {MACS "0800" IPV4_UDP "1420"
              "01020304"
              "000000000000",
         34},
        {MACS "86dd"
              "60000000001400"
              "40"
              "fd000000000000000000000000000a01fd000000000000000000000000000a02"
              "1100010400000000" UDP "0e22"
              "01020304",
         62},
        {MACS "8847"
              "00010140" IPV4_UDP "1420"
              "01020304",
         38},
    };

    NEEDS_BPF;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        frame_in(cases[i].frame, cases[i].l4, 6);
        add_tunnel(TUNNEL_GENEVE, true);
        check();
    }
}

/* The last output cuts the packet after another has gone up: what is cut does not follow, for nobody there could tell
 * its checksum. */
static void test_cut_behind_what_goes_up(void **state WR_UNUSED)
{
    NEEDS_BPF;
    frame_in(MACS "0800" IPV4_UDP "1420"
                  "01020304"
                  "112233445566778899aabbccddeeff00",
             34, 6);
    list_add_u32(&r.list, DP_ACTION_TRUNC, 56);
    add_tunnel(TUNNEL_GRE, false);
    add_tunnel(TUNNEL_GENEVE, true);
    check();
}

/* A label is put on a small frame that was encapsulated before. */
static void test_label_behind_tunnel(void **state WR_UNUSED)
{
    NEEDS_BPF;
    for (unsigned int i = 0; i < 2; i++) {
        frame_in(i ? MACS "88b5"
                          "0102030405060708090a0b0c0d0e0f10111213"
                   : MACS "0800" IPV4_UDP "0000"
                          "01020304",
                 0, 0);
        add_tunnel(TUNNEL_GRE, false);
        add_mpls(DP_ACTION_PUSH_MPLS, ETH_TYPE_MPLS);
        add_out(PORT_OUT);
        check();
    }
}

/* Labels behind LLC/SNAP and two tags; or behind three tags, of which two are known. */
static void test_labels_far_back(void **state WR_UNUSED)
{
    NEEDS_BPF;
    frame_in(MACS "81000005"
                  "81000006"
                  "0032"
                  "aaaa03000000"
                  "8847"
                  "00010140" IPV4_UDP "0000"
                  "01020304",
             0, 0);
    add_mpls(DP_ACTION_POP_MPLS, ETH_TYPE_IPV4);
    add_out(PORT_OUT);
    check();
    frame_in(MACS "81000005"
                  "81000006"
                  "81000007"
                  "0800" IPV4_UDP "0000"
                  "01020304"
                  "0000000000000000",
             0, 0);
    list_add_u32(&r.list, DP_ACTION_POP_VLAN, 0);
    add_mpls(DP_ACTION_PUSH_MPLS, ETH_TYPE_MPLS);
    add_out(PORT_OUT);
    check();
}

/* The kernel takes a small frame out of an IPv6 tunnel for IPv6, of which a label could not be taken. */
static void test_label_of_small_out_of_tunnel(void **state WR_UNUSED)
{
    NEEDS_BPF;
    frame_in(MACS "8847"
                  "00010140" IPV4_UDP "0000"
                  "01020304"
                  "000000000000",
             0, 0);
    r.outer = wrapped(r.in.p, TUNNEL_GRE, true);
    add_mpls(DP_ACTION_POP_MPLS, ETH_TYPE_IPV4);
    add_out(PORT_OUT);
    check();
}

/* A small tagged frame out of an IPv6 tunnel: its headers are where they are looked for. */
static void test_small_tagged_out_of_tunnel(void **state WR_UNUSED)
{
    NEEDS_BPF;
    frame_in(MACS "81000005"
                  "0800" IPV4_UDP "0000"
                  "01020304",
             0, 0);
    r.outer = wrapped(r.in.p, TUNNEL_GRE, true);
    add_set(DP_SET_ETH | DP_SET_IPV4 | DP_SET_TP | DP_SET_VLAN);
    add_out(PORT_OUT);
    check();
}

/* Meters count the frames of a super-packet and its own bytes: not by the kernel's hint, how much of it lay in one
 * piece, and not with the tunnel's headers that it still has. */
static void test_what_meters_count(void **state WR_UNUSED)
{
    NEEDS_BPF;
    for (uint32_t burst = 4; burst < 7; burst++) {
        super_in(MACS "0800"
                      "450007ec0000400040061f0a0a0000010a000002"
                      "03e807d0"
                      "0000000100000001"
                      "50100064"
                      "1be10000",
                 34, 16, VIRTIO_NET_HDR_GSO_TCPV4, 400, 14 + 2028);
        r.meters[0] = (struct dp_meter_config){.pktps = 1, .n_bands = 1, .bands = {{.rate = 1, .burst = 5 + burst}}};
        twin_meters[0] = (struct twin_meter){.packets = true, .burst = 5 + burst, .tokens = 5 + burst};
        list_add_u32(&r.list, DP_ACTION_METER, 1);
        list_add_u32(&r.list, DP_ACTION_METER, 1);
        add_out(PORT_OUT);
        check();
    }
    frame_in(MACS "0800" IPV4_UDP "0000"
                  "01020304",
             0, 0); /* 46 bytes: 368 bits */
    r.meters[0] = (struct dp_meter_config){.n_bands = 1, .bands = {{.rate = 1, .burst = 1}}};
    twin_meters[0] = (struct twin_meter){.burst = 1000, .tokens = 1000};
    add_tunnel(TUNNEL_VXLAN, false);
    list_add_u32(&r.list, DP_ACTION_METER, 1);
    list_add_u32(&r.list, DP_ACTION_METER, 1);
    add_out(PORT_OUT);
    check();
}

/* An action that does not fit the packet ends the clone that it is in, and nothing more: what is behind the clone has
 * the packet as it was. */
static void test_misfit_in_a_clone(void **state WR_UNUSED)
{
    static const uint32_t misfits[] = {DP_SET_IPV6, DP_SET_ARP, DP_SET_ND, DP_SET_MPLS, DP_SET_VLAN, 0, 1};

    NEEDS_BPF;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(misfits); i++) {
        uint32_t misfit = misfits[i / 2];
        size_t at;

        frame_in(MACS "0800" IPV4_UDP "0000"
                      "01020304",
                 0, 0);
        at = r.list.len;
        list_add_u32(&r.list, DP_ACTION_CLONE, 0);
        add_set(DP_SET_ETH | DP_SET_IPV4);
        if (i & 1) {
            add_out(PORT_OUT2);
        }
        if (misfit > 1) {
            add_set(misfit);
        } else if (misfit) {
            add_mpls(DP_ACTION_POP_MPLS, ETH_TYPE_IPV4);
        } else {
            list_add_u32(&r.list, DP_ACTION_POP_VLAN, 0);
        }
        add_out(PORT_OUT2);
        ((struct dp_action *)(void *)(r.list.b + at))->len = (uint16_t)(r.list.len - at);
        add_set(DP_SET_TP);
        add_out(PORT_OUT);
        check();
    }
}

/* The packet comes N times by a tunnel of KIND, in datagrams that the kernel made one super-packet of. */
static void wrapped_in_one(unsigned int n, enum tunnel_type kind, bool v6)
{
    size_t l4 = v6 ? 54 : 34, len, size;
    struct udp_hdr *udp;
    __be16 field;

    r.outer = wrapped(r.in.p, kind, v6);
    size = r.outer->len - l4 - sizeof(*udp);
    len = sizeof(*udp) + n * size;
    {
        _cleanup_(packet_freep) struct packet *one = r.outer;

        r.outer = packet_new(NULL, l4 + len);
        memcpy(r.outer->data, one->data, one->len);
        for (unsigned int i = 1; i < n; i++) {
            memcpy(r.outer->data + one->len + (i - 1) * size, one->data + l4 + sizeof(*udp), size);
        }
    }
    field = htobe16((uint16_t)(v6 ? len : 20 + len));
    memcpy(r.outer->data + (v6 ? 18 : 16), &field, 2);
    if (!v6) {
        memset(r.outer->data + 24, 0, 2);
        field = csum_finish(csum_bytes(0, r.outer->data + 14, 20));
        memcpy(r.outer->data + 24, &field, 2);
    }
    udp = (struct udp_hdr *)(void *)(r.outer->data + l4);
    udp->len = htobe16((uint16_t)len);
    udp->csum =
        csum_fold(csum_bytes((uint64_t)htobe16(IP_PROTO_UDP) + udp->len, r.outer->data + (v6 ? 22 : 26), v6 ? 32 : 8));
    r.outer_h = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                        .csum_start = (uint16_t)l4,
                                        .csum_offset = 6,
                                        .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
                                        .gso_size = (uint16_t)size,
                                        .hdr_len = (uint16_t)(l4 + sizeof(*udp))};
}

/* Tunnel packets that the kernel has merged (rx-udp-gro-forwarding), short ones and long ones: each is one. */
static void test_merged_tunnel_packets(void **state WR_UNUSED)
{
    NEEDS_BPF;
    if (!kernel_at_least(6, 2)) {
        skip(); /* packet sockets know no super-packets of UDP */
    }
    for (unsigned int i = 0; i < 16; i++) {
        frame_in(i & 1 ? MACS "810000070800" IPV4_UDP "0000"
                              "01020304"
                       : MACS "86dd"
                              "60000000000c"
                              "1140"
                              "fd000000000000000000000000000a01fd000000000000000000000000000a02" UDP "e1a2"
                              "01020304",
                 0, 0);
        if (i & 2) {
            struct packet *longer = packet_new(NULL, 700);

            memset(longer->data, 0x55, longer->len);
            memcpy(longer->data, r.in.p->data, r.in.p->len);
            longer->data[i & 1 ? 20 : 18] = 2;
            longer->data[i & 1 ? 21 : 19] = (uint8_t)(700 - (i & 1 ? 18 : 54));
            packet_free(r.in.p);
            r.in.p = longer;
        }
        wrapped_in_one(5, i & 4 ? TUNNEL_VXLAN : TUNNEL_GENEVE, i & 8);
        add_out(PORT_OUT);
        check_many(5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_behind_edits),
        cmocka_unit_test(test_cfi_goes_up),
        cmocka_unit_test(test_unfinished_below_labels),
        cmocka_unit_test(test_outer_sum_of_unfinished),
        cmocka_unit_test(test_cut_behind_what_goes_up),
        cmocka_unit_test(test_label_behind_tunnel),
        cmocka_unit_test(test_labels_far_back),
        cmocka_unit_test(test_label_of_small_out_of_tunnel),
        cmocka_unit_test(test_small_tagged_out_of_tunnel),
        cmocka_unit_test(test_what_meters_count),
        cmocka_unit_test(test_misfit_in_a_clone),
        cmocka_unit_test(test_merged_tunnel_packets),
    };

    return cmocka_run_group_tests(tests, worlds_setup, worlds_teardown);
}
