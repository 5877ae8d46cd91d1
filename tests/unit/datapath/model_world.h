/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_MODEL_WORLD_H
#define WARREN_TESTS_MODEL_WORLD_H
/*
 * Worlds for model tests: each is a network namespace with a datapath of one class, whole, as the switch opens it; so
 * what the fast path leaves to user space is run there. All have the same ports under the same numbers, and an underlay
 * with one neighbour:
 *
 *   in1 ── in0 (PORT_IN) ┐                       ┌ (PORT_OUT) out0 ── out1
 *                        ├── datapath, tunnels ──┼ (PORT_OUT2) out2 ── out3
 *              und1 ── und0 (10.9.0.1, fd00::1) ─┘
 *
 * Everything that runs a datapath must be between world_enter() and the next. One test program includes this once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "datapath/datapath.h"
#include "datapath/ebpf/ebpf_private.h"
#include "netns.h"
#include "packet/tunnel.h"
#include "random_frames.h"

#define PORT_IN 1u
#define PORT_OUT 2u
#define PORT_OUT2 3u
#define PORT_TUNNEL 4u /* and the next: by enum tunnel_type */
#define PORT_NONE 77u  /* there is no such port */
#define PORT_SLOW 99u  /* not a port: what an upcall hands up */

/* The next one, as the switch numbers its flows: what comes late of a flow that is gone is no other's. */
static dp_flow_id next_flow_id = 1;

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct world {
    const char *class;
    int netns;
    struct event_base *base;
    struct datapath *dp;
    bool is_fast;
    int send;      /* into in1 */
    int out, out2; /* from out1, out3 */
    int underlay;  /* both ways, at und1 */
    /* What came up since somebody last set these to zero. */
    unsigned int n_misses, n_slow, n_samples, n_unfaithful;
    struct flow_key missed;
    uint64_t drops[DROP_MAX]; /* when drops_note() was called */
};

/* By packet/tunnel.h's types. */
static const uint16_t model_udp_dst[] = {[TUNNEL_VXLAN] = 4789, [TUNNEL_GRE] = 0, [TUNNEL_GENEVE] = 6081};

static struct ip_addr model_address(bool v6, uint8_t host)
{
    struct ip_addr a = {.b = {0xfd, 0, [15] = host}};

    return v6 ? a : ip_addr_from_v4(htobe32(0x0a090000u | host));
}

/* Takes what a flow hands up: the test's. */
static void world_slow(struct world *w, struct packet *p);

static void on_upcall(void *w_, const struct dp_upcall *u)
{
    struct world *w = w_;

    if (u->reason == DP_UPCALL_MISS) {
        w->n_misses++;
        w->missed = *u->key;
    } else {
        w->n_slow++;
        world_slow(w, u->packet);
    }
}

static void on_sample(void *w_, const struct flow_key *key WR_UNUSED, const struct dp_flow *flow WR_UNUSED,
                      bool faithful)
{
    struct world *w = w_;

    w->n_samples++;
    w->n_unfaithful += !faithful;
}

static void world_enter(const struct world *w)
{
    assert_int_equal(setns(w->netns, CLONE_NEWNET), 0);
}

/* A raw socket on DEVICE that gives and takes offload state and tells tags. */
static int model_socket(const char *device)
{
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(device)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), on = 1, size = 8 << 20; /* hears nothing until bound */

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void port_add(struct world *w, uint32_t want, const struct dp_port_spec *spec)
{
    dp_port_t number;

    assert_int_equal(dp_port_add(w->dp, spec, &number), 0);
    assert_int_equal(dp_port_u32(number), want);
}

static void world_devices(void)
{
    RUN("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 && ip link set lo up && ip link add in0 type "
        "veth peer name in1 && ip link add out0 type veth peer name out1 && "
        "ip link add out2 type veth peer name out3 && "
        "ip link add und0 address 02:00:00:00:00:01 type veth peer name und1 address 02:00:00:00:00:02 && "
        "for d in in0 in1 out0 out1 out2 out3 und1; do sysctl -qw net.ipv6.conf.$d.disable_ipv6=1; done; "
        "for d in in0 in1 out0 out1 out2 out3; do ip link set $d mtu 40000 up; done; "
        "ip link set und0 mtu 9000 up && ip link set und1 mtu 9000 up && "
        "ip addr add 10.9.0.1/24 dev und0 && ip addr add fd00::1/64 dev und0 nodad && "
        "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev und0 && "
        "ip neigh add fd00::2 lladdr 02:00:00:00:00:02 dev und0");
}

/* 0, or why its datapath cannot be opened. */
static int world_new(struct world *w, const char *class)
{
    struct dp_callbacks callbacks = {.upcall = on_upcall, .sample = on_sample, .aux = w};
    int error;

    assert_true(netns_enter());
    w->class = class;
    w->netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_true(w->netns >= 0);
    world_devices();
    w->base = event_base_new();
    error = dp_open(class, w->base, &callbacks, &w->dp);
    if (error) {
        return error;
    }
    w->is_fast = dp_has_fast_path(w->dp);
    port_add(w, PORT_IN, &(struct dp_port_spec){.kind = DP_PORT_SYSTEM, .name = "in0"});
    port_add(w, PORT_OUT, &(struct dp_port_spec){.kind = DP_PORT_SYSTEM, .name = "out0"});
    port_add(w, PORT_OUT2, &(struct dp_port_spec){.kind = DP_PORT_SYSTEM, .name = "out2"});
    port_add(w, PORT_TUNNEL + TUNNEL_VXLAN,
             &(struct dp_port_spec){.kind = DP_PORT_VXLAN, .name = "vxlan", .udp_dst_port = 4789});
    port_add(w, PORT_TUNNEL + TUNNEL_GRE, &(struct dp_port_spec){.kind = DP_PORT_GRE, .name = "gre"});
    port_add(w, PORT_TUNNEL + TUNNEL_GENEVE,
             &(struct dp_port_spec){.kind = DP_PORT_GENEVE, .name = "geneve", .udp_dst_port = 6081});
    w->send = model_socket("in1");
    w->out = model_socket("out1");
    w->out2 = model_socket("out3");
    w->underlay = model_socket("und1");
    return 0;
}

static void world_free(struct world *w)
{
    if (!w->base) {
        return;
    }
    world_enter(w);
    dp_close(w->dp);
    event_base_free(w->base);
    if (w->send) {
        close(w->send);
        close(w->out);
        close(w->out2);
        close(w->underlay);
    }
    close(w->netns);
}

/* --- packets in --- */

/* False: the kernel takes no such frame from a socket. */
static bool world_transmit(const struct world *w, bool underlay, const struct virtio_net_hdr *h, const void *frame,
                           size_t len)
{
    struct iovec iov[] = {{(void *)(uintptr_t)h, sizeof(*h)}, {(void *)(uintptr_t)frame, len}};
    ssize_t n = writev(underlay ? w->underlay : w->send, iov, 2);

    if (n < 0) {
        assert_true(errno == EINVAL || errno == ENOMEM); /* ENOMEM: a super-packet that it cannot cut */
        return false;
    }
    assert_int_equal(n, sizeof(*h) + len);
    return true;
}

static void world_turn(const struct world *w)
{
    event_base_loop(w->base, EVLOOP_NONBLOCK);
}

/* How long a world waits for what should come: long, for other work may keep the processor; short where faults are
 * planted. */
static int64_t patience_ms = 20000;

/* The N-th time that something is not there yet. False: it does not come. */
static bool world_wait(unsigned int n, int64_t since_ms)
{
    if (n > 3) {
        usleep(100); /* for the kernel's own thread, which may have the packets */
    }
    return time_mono_ms() - since_ms < patience_ms;
}

static void drops_note(struct world *w)
{
    memcpy(w->drops, dp_drops(w->dp), sizeof(w->drops));
}

/* --- frames out --- */

/* The next frame of SOCKET as its sender meant it: with its tag, and with what is left to the device. NULL: none. */
static struct packet *next_frame(int socket)
{
    static uint8_t frame[70000];
    union {
        struct cmsghdr align;
        char b[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    } control;
    struct virtio_net_hdr h;
    struct iovec iov[] = {{&h, sizeof(h)}, {frame, sizeof(frame)}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)};
    const struct tpacket_auxdata *aux;
    ssize_t n = recvmsg(socket, &msg, 0);
    struct packet *p;

    if (n < 0) {
        assert_int_equal(errno, EAGAIN);
        return NULL;
    }
    assert_true(n > (ssize_t)sizeof(h));
    p = packet_new(frame, (size_t)n - sizeof(h));
    p->offload = (struct packet_offload){.gso_type = h.gso_type, .gso_size = h.gso_size, .hdr_len = h.hdr_len};
    if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        p->offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        p->offload.csum_start = h.csum_start;
        p->offload.csum_offset = h.csum_offset;
    }
    assert_non_null(CMSG_FIRSTHDR(&msg));
    aux = (const struct tpacket_auxdata *)(const void *)CMSG_DATA(CMSG_FIRSTHDR(&msg));
    if (aux->tp_status & TP_STATUS_VLAN_VALID) {
        __be16 tag[] = {htobe16(aux->tp_vlan_tpid), htobe16(aux->tp_vlan_tci)};
        uint8_t *f = packet_push(p, 4);

        memmove(f, f + 4, 12);
        memcpy(f + 12, tag, 4);
    }
    return p;
}

#endif
