/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_EBPF_DEVICES_H
#define WARREN_TESTS_EBPF_DEVICES_H
/* The fast path's programs on devices: what test-run cannot show, such as tags beside the frame, checksums that are
 * left to the device, super-packets, copies, and what leaves by the underlay. Also actions that many tests use. */
#include "ebpf_harness.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct trunc_to {
    struct dp_action trunc;
    struct dp_action_tunnel set;
    struct dp_action out;
};

static WR_UNUSED struct trunc_to trunc_to(uint32_t max, uint32_t port, bool v6)
{
    return (struct trunc_to){.trunc = {DP_ACTION_TRUNC, sizeof(struct dp_action), max},
                             .set.h = {DP_ACTION_SET_TUNNEL, sizeof(struct dp_action_tunnel), 0},
                             .set.tunnel = {.id = htobe64(7),
                                            .src = address(v6, 1),
                                            .dst = address(v6, 2),
                                            .flags = FLOW_TNL_KEY,
                                            .ttl = 64},
                             .out = {DP_ACTION_OUTPUT, sizeof(struct dp_action), port}};
}

#define VLAN_7 ((struct flow_vlan){htobe16(ETH_TYPE_VLAN), htobe16(FLOW_VLAN_PRESENT | 7)})

/* The 60 bytes of PLAIN with the tag of VLAN_7. */
static WR_UNUSED void tag_frame(uint8_t *tagged, const uint8_t *plain)
{
    memcpy(tagged, plain, 12);
    memcpy(tagged + 12, "\x81\x00\x00\x07", 4);
    memcpy(tagged + 16, plain + 12, 48);
}

/* A raw socket on DEVICE that gives and takes offload state. */
static WR_UNUSED int raw_socket(const char *device)
{
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(device)};
    int fd = socket(AF_PACKET, SOCK_RAW, htobe16(ETH_P_ALL)), on = 1;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Two ports: what is sent into in1 comes into the datapath by in0, what it sends to out0 comes out of out1. */
struct devices {
    int send, receive;
};

static WR_UNUSED struct devices devices_up(void)
{
    static struct devices d;
    uint32_t number = PORT_IN;
    int in0;

    if (d.send) {
        return d;
    }
    RUN("ip link add in0 type veth peer name in1 && ip link add out0 type veth peer name out1 && "
        "for d in in0 in1 out0 out1; do sysctl -qw net.ipv6.conf.$d.disable_ipv6=1; ip link set $d mtu 40000 up; done");
    in0 = (int)if_nametoindex("in0");
    assert_int_equal(bpf_map_update_elem(maps.ifindexes_fd, &in0, &number, BPF_ANY), 0);
    assert_int_equal(ebpf_attach(in0, maps.port_prog_fd), 0);
    maps.ports[PORT_OUT].ifindex = if_nametoindex("out0");
    d = (struct devices){raw_socket("in1"), raw_socket("out1")};
    return d;
}

/* A UDP or TCP frame of LEN bytes whose L4 checksum is left to the device. */
static WR_UNUSED struct packet *unfinished(uint8_t proto, bool v6, size_t len, struct virtio_net_hdr *h)
{
    size_t l4 = v6 ? 54 : 34, csum = proto == IP_PROTO_TCP ? 16 : 6;
    struct packet *p = packet_new(NULL, len);
    uint8_t *f = p->data;
    struct flow_key key;
    __be16 pseudo;

    for (size_t i = 0; i < len; i++) {
        f[i] = (uint8_t)rnd(256);
    }
    memcpy(f, (uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, v6 ? 0x86 : 8, v6 ? 0xdd : 0}, 14);
    if (v6) {
        memcpy(f + 14, (uint8_t[]){0x60, 0, 0, 0, (uint8_t)((len - 54) >> 8), (uint8_t)(len - 54), proto, 64}, 8);
    } else {
        struct ipv4_hdr *ip = (void *)(f + 14);

        *ip = (struct ipv4_hdr){.ver_ihl = 0x45,
                                .tot_len = htobe16((uint16_t)(len - 14)),
                                .ttl = 64,
                                .proto = proto,
                                .src = htobe32(0x0a000001),
                                .dst = htobe32(0x0a000002)};
        ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
    }
    if (proto == IP_PROTO_TCP) {
        memcpy(f + l4 + 12, "\x50\x10", 2);
    } else {
        memcpy(f + l4 + 4, (uint8_t[]){(uint8_t)((len - l4) >> 8), (uint8_t)(len - l4)}, 2);
    }
    flow_key_extract(p, &key);
    pseudo = csum_fold(v6 ? csum_pseudo6(&key.ip_src, &key.ip_dst, proto, (uint32_t)(len - l4))
                          : csum_pseudo4(key.ip_src.be32[3], key.ip_dst.be32[3], proto, (uint16_t)(len - l4)));
    memcpy(f + l4 + csum, &pseudo, 2);
    p->offload = (struct packet_offload){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = (uint16_t)l4, .csum_offset = (uint16_t)csum};
    *h = (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = (uint16_t)l4, .csum_offset = (uint16_t)csum};
    return p;
}

static WR_UNUSED void transmit(const struct devices *d, const struct virtio_net_hdr *h, const void *frame, size_t len)
{
    struct iovec iov[] = {{(void *)(uintptr_t)h, sizeof(*h)}, {(void *)(uintptr_t)frame, len}};

    assert_int_equal(writev(d->send, iov, 2), sizeof(*h) + len);
}

/* Completes what H leaves to the device in FRAME's first LEN bytes, zero as 0xffff, as devices do. */
static WR_UNUSED void finish_checksum(const struct virtio_net_hdr *h, uint8_t *frame, size_t len)
{
    __be16 csum;

    if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        csum = csum_finish(csum_bytes(0, frame + h->csum_start, len - h->csum_start));
        csum = csum ? csum : 0xffff;
        memcpy(frame + h->csum_start + h->csum_offset, &csum, 2);
    }
}

/* The next frame that comes out, its checksum completed as its device would. 0: none came in all that time. */
static WR_UNUSED size_t emerged(const struct devices *d, uint8_t *frame, size_t size)
{
    struct pollfd p = {.fd = d->receive, .events = POLLIN};
    struct virtio_net_hdr h;
    struct iovec iov[] = {{&h, sizeof(h)}, {frame, size}};
    ssize_t n;

    if (!poll(&p, 1, PATIENCE_MS)) {
        return 0;
    }
    n = readv(d->receive, iov, 2);
    assert_true(n > (ssize_t)sizeof(h));
    n -= (ssize_t)sizeof(h);
    finish_checksum(&h, frame, (size_t)n);
    return (size_t)n;
}

/* Nothing comes out of what was sent: what is sent now comes next. For when the programs are through with that,
 * and the flow that it took is forgotten. */
static WR_UNUSED void expect_nothing(const struct devices *d)
{
    static const uint8_t last[60] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, 'l', 'a', 's', 't'};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct dp_action out = {DP_ACTION_OUTPUT, sizeof(out), PORT_OUT};
    struct virtio_net_hdr h = {0};
    static uint8_t got[70000];

    put_flow(SENDS, &key, &mask, &out, sizeof(out), EBPF_OP_OUTPUT);
    transmit(d, &h, last, sizeof(last));
    assert_int_equal(emerged(d, got, sizeof(got)), sizeof(last));
    assert_memory_equal(got, last, sizeof(last));
    forget(SENDS);
}

/* The flow changes just what an action of WHAT says, to ones. */
static WR_UNUSED struct dp_action_set set_ones(uint32_t what)
{
    struct dp_action_set a = {.h = {DP_ACTION_SET, sizeof(a), what}};

    memset(&a.key, 0xff, sizeof(a.key));
    memset(&a.mask, 0xff, sizeof(a.mask));
    return a;
}

/* DEVICE, an end of the underlay, is an uplink, with the addresses of HOST. */
static WR_UNUSED void uplink_up(const char *device, uint8_t host)
{
    struct ip_addr here[] = {address(false, host), address(true, host)};
    uint32_t one = 1;

    underlay_up();
    assert_int_equal(ebpf_attach((int)if_nametoindex(device), maps.uplink_prog_fd), 0);
    for (uint8_t i = 0; i < ARRAY_SIZE(tunnel_types); i++) {
        maps.config->tunnels[i] =
            (struct ebpf_tunnel_port){.port = PORT_TUNNEL + i, .kind = i, .udp_dst = htobe16(tunnel_udp_dst(i))};
        assert_int_equal(bpf_map_update_elem(maps.local_addrs_fd, &here[i & 1], &one, BPF_ANY), 0);
    }
    maps.config->n_tunnels = ARRAY_SIZE(tunnel_types);
    maps.config->generation++;
}

#endif
