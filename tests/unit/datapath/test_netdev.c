/* SPDX-License-Identifier: Apache-2.0 */
/* Ports on real devices in a network namespace of the test's own: veth ⇄ datapath ⇄ veth or TAP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../packet/frames.h"
#include "datapath/datapath.h"
#include "datapath/userspace/userspace.h"
#include "netns.h"
#include "packet/headers.h"

#define GSO_UDP_L4 5 /* VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2's header */

struct fixture {
    struct event_base *base;
    struct datapath *dp;
    unsigned int misses, slow, gone;
    dp_port_t gone_port;
    struct flow_key key;
    dp_port_t out; /* where the miss handler sends */
    bool install;
};

static void on_upcall(void *aux, const struct dp_upcall *u)
{
    struct fixture *f = aux;
    struct dp_action out = {.type = DP_ACTION_OUTPUT, .len = 8, .arg = dp_port_u32(f->out)};

    f->key = *u->key;
    if (u->reason == DP_UPCALL_SLOW) {
        f->slow++;
        return;
    }
    f->misses++;
    if (f->install) {
        struct flow_key mask = {.in_port = dp_port(0xffffffff)}, masked;
        struct dp_flow flow = {
            .id = f->misses, .key = &masked, .mask = &mask, .actions = &out, .actions_len = sizeof(out)};

        flow_key_and(&masked, u->key, &mask);
        assert_int_equal(dp_flow_put(f->dp, &flow), 0);
    }
    assert_int_equal(dp_execute(f->dp, u->packet, &out, sizeof(out)), 0);
}

static void on_gone(void *aux, dp_port_t port)
{
    struct fixture *f = aux;

    f->gone++;
    f->gone_port = port;
}

static void fixture_open(struct fixture *f)
{
    struct dp_callbacks cb = {.upcall = on_upcall, .port_gone = on_gone, .aux = f};

    *f = (struct fixture){.base = event_base_new()};
    assert_int_equal(dp_open("userspace", f->base, &cb, &f->dp), 0);
}

static void fixture_close(struct fixture *f)
{
    dp_close(f->dp);
    event_base_free(f->base);
}

static void turn_loop(struct fixture *f, int ms)
{
    struct timeval tv = {.tv_usec = ms * 1000};

    event_base_loopexit(f->base, &tv);
    event_base_dispatch(f->base);
}

static dp_port_t add_port(struct fixture *f, enum dp_port_kind kind, const char *name)
{
    struct dp_port_spec spec = {.kind = kind, .name = name};
    dp_port_t port;

    assert_int_equal(dp_port_add(f->dp, &spec, &port), 0);
    return port;
}

static int raw_socket(const char *dev)
{
    struct sockaddr_ll ll = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(dev)};
    struct timeval tv = {.tv_usec = 500000};
    int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;

    assert_true(fd >= 0);
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
    return fd;
}

/* A tagged frame of a made-up type. */
static const uint8_t frame[64] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0x60, 5, 0x88, 0xb5, 'h', 'i'};

/* A datapath with two ports, pka and pkb, which are veths with pka1 and pkb1 behind them. */
static void two_ports_open(struct fixture *f, dp_port_t *ret_a, dp_port_t *ret_b)
{
    RUN("ip link add pka type veth peer name pka1 && ip link add pkb type veth peer name pkb1");
    RUN("for d in pka pka1 pkb pkb1; do ip link set $d up; sysctl -qw net.ipv6.conf.$d.disable_ipv6=1; done");
    fixture_open(f);
    *ret_a = add_port(f, DP_PORT_SYSTEM, "pka");
    *ret_b = add_port(f, DP_PORT_SYSTEM, "pkb");
}

static void two_ports_close(struct fixture *f)
{
    fixture_close(f);
    RUN("ip link del pka && ip link del pkb");
}

/* A device that is not there, and is asked for again and again, uses up no numbers: they are not used again soon. */
static void test_numbers(void **state)
{
    const struct dp_port_spec missing = {.kind = DP_PORT_SYSTEM, .name = "none"};
    struct fixture f;
    dp_port_t a, b, none;

    (void)state;
    two_ports_open(&f, &a, &b);
    assert_int_equal(dp_port_del(f.dp, b), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(dp_port_add(f.dp, &missing, &none), -ENODEV);
    }
    assert_int_equal(dp_port_u32(add_port(&f, DP_PORT_SYSTEM, "pkb")), dp_port_u32(b) + 1);
    two_ports_close(&f);
}

static void test_forward(void **state)
{
    struct fixture f;
    dp_port_t a, b;
    struct dp_port_stats stats;
    struct dp_flow_stats flow_stats;
    uint8_t buf[2048];
    int in, out;

    (void)state;
    two_ports_open(&f, &a, &b);
    assert_int_equal(dp_port_add(f.dp, &(struct dp_port_spec){.kind = DP_PORT_SYSTEM, .name = "pka"}, &a), -EEXIST);
    assert_int_equal(dp_port_add(f.dp, &(struct dp_port_spec){.kind = DP_PORT_SYSTEM, .name = "none"}, &a), -ENODEV);
    in = raw_socket("pka1");
    out = raw_socket("pkb1");
    turn_loop(&f, 100);
    f.out = b;
    f.install = true;
    f.misses = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(in, frame, sizeof(frame), 0), sizeof(frame));
        turn_loop(&f, 20);
        assert_int_equal(recv(out, buf, sizeof(buf), 0), sizeof(frame) - 4); /* the tag is in the socket's auxdata */
    }
    assert_int_equal(f.misses, 1);
    assert_int_equal(f.key.vlan[0].tci, htons(0x7005)); /* PCP 3, VID 5, with the bit that says present */
    assert_int_equal(f.key.eth_type, htons(0x88b5));
    assert_int_equal(dp_flow_get_stats(f.dp, 1, &flow_stats), 0);
    assert_int_equal(flow_stats.packets, 2);
    assert_int_equal(flow_stats.bytes, 2 * sizeof(frame));
    assert_int_equal(dp_port_get_stats(f.dp, b, &stats), 0);
    assert_int_equal(stats.tx_packets, 3);
    RUN("ip link del pkb");
    turn_loop(&f, 100);
    assert_int_equal(f.gone, 1);
    assert_int_equal(dp_port_u32(f.gone_port), dp_port_u32(b));
    assert_int_equal(dp_port_del(f.dp, b), 0);
    assert_int_equal(dp_port_del(f.dp, b), -ENOENT);
    send(in, frame, sizeof(frame), 0);
    turn_loop(&f, 20);
    assert_int_equal(dp_drops(f.dp)[DROP_NO_PORT], 1);
    close(in);
    close(out);
    fixture_close(&f);
    RUN("ip link del pka");
}

static void forward(struct fixture *f, dp_flow_id id, dp_port_t from, const struct dp_action *actions, size_t len)
{
    struct flow_key key = {.in_port = from}, mask = {.in_port = dp_port(0xffffffff)};
    struct dp_flow flow = {.id = id, .key = &key, .mask = &mask, .actions = actions, .actions_len = len};

    assert_int_equal(dp_flow_put(f->dp, &flow), 0);
}

/* 8 MB of TCP from the TAP "pktap", which is moved to another namespace for it, to DEV here. */
static void run_tcp(struct fixture *f, const char *dev)
{
    char dir[] = "/tmp/warren-packet-XXXXXX", cmd[1500];

    assert_non_null(mkdtemp(dir));
    RUN("ip addr add 10.9.0.1/24 dev %s && ip link set %s up", dev, dev);
    snprintf(
        cmd, sizeof(cmd),
        "(unshare -n sh -c 'echo $$ > %s/pid; exec sleep 8' & while ! [ -s %s/pid ]; do sleep .05; done; P=$(cat "
        "%s/pid);"
        "ip link set pktap netns $P; N=\"nsenter -t $P -n\"; $N ip link set pktap up; $N ip addr add 10.9.0.2/24 dev "
        "pktap;"
        "timeout 6 $N /usr/bin/python3 -c \"import socket; s=socket.socket(); s.settimeout(5); "
        "s.connect(('10.9.0.1',7777));"
        "s.sendall(bytes(8000000)); s.shutdown(1); open('%s/reply','wb').write(s.recv(10))\"; kill $P) > %s/log 2>&1 &",
        dir, dir, dir, dir, dir);
    RUN("timeout 8 /usr/bin/python3 -c \"import socket; l=socket.create_server(('10.9.0.1',7777)); l.settimeout(6)\n"
        "c=l.accept()[0]; n=0\nwhile True:\n d=c.recv(1<<20)\n if not d: break\n "
        "n+=len(d)\nc.sendall(str(n).encode())\" > /dev/null 2>&1 &");
    RUN("for i in $(seq 200); do ss -Hltn | grep -q :7777 && break; sleep .05; done"); /* the server's start takes its
                                                                                          time */
    RUN("%s", cmd);
    for (int i = 0; i < 60; i++) {
        turn_loop(f, 100);
        snprintf(cmd, sizeof(cmd), "grep -q 8000000 %s/reply 2>/dev/null", dir);
        if (!system(cmd)) {
            break;
        }
    }
    RUN("cat %s/log; grep -q 8000000 %s/reply && rm -r %s", dir, dir, dir);
    assert_int_equal(dp_drops(f->dp)[DROP_PORT_TX], 0);
}

/* Super-packets must go whole: far fewer packets than 8 MB have segments. */
static void assert_super(struct fixture *f, dp_port_t port)
{
    struct dp_port_stats stats;

    assert_int_equal(dp_port_get_stats(f->dp, port, &stats), 0);
    assert_true(stats.rx_bytes > 8000000);
    assert_true(stats.rx_bytes / stats.rx_packets > 4000);
}

static void test_internal_moves(void **state)
{
    struct fixture f;
    struct dp_action out = {.type = DP_ACTION_OUTPUT, .len = 8};
    dp_port_t a, t, other;

    (void)state;
    RUN("ip link add pka type veth peer name pka1 && ip link set pka up");
    fixture_open(&f);
    a = add_port(&f, DP_PORT_SYSTEM, "pka");
    t = add_port(&f, DP_PORT_INTERNAL, "pktap");
    assert_int_equal(dp_port_add(f.dp, &(struct dp_port_spec){.kind = DP_PORT_INTERNAL, .name = "pka1"}, &other),
                     -EEXIST);
    out.arg = dp_port_u32(t);
    forward(&f, 1, a, &out, 8);
    out.arg = dp_port_u32(a);
    forward(&f, 2, t, &out, 8);
    run_tcp(&f, "pka1");
    assert_super(&f, t);
    fixture_close(&f);
    RUN("ip link del pka");
}

/* TAP → tag pushed → veth ⇒ veth → tag popped → TAP, all of it super-packets. */
static void test_tagged_super(void **state)
{
    struct fixture f;
    struct push {
        struct dp_action_vlan push;
        struct dp_action out;
    } push = {.push = {.h = {.type = DP_ACTION_PUSH_VLAN, .len = 16}, .vlan = {htons(0x8100), htons(9)}},
              .out = {.type = DP_ACTION_OUTPUT, .len = 8}};
    struct dp_action pop[2] = {{.type = DP_ACTION_POP_VLAN, .len = 8}, {.type = DP_ACTION_OUTPUT, .len = 8}};
    dp_port_t a, b, t, u;

    (void)state;
    RUN("ip link add pka type veth peer name pkb && ip link set pka up && ip link set pkb up");
    RUN("for d in pka pkb; do sysctl -qw net.ipv6.conf.$d.disable_ipv6=1; done");
    fixture_open(&f);
    a = add_port(&f, DP_PORT_SYSTEM, "pka");
    b = add_port(&f, DP_PORT_SYSTEM, "pkb");
    t = add_port(&f, DP_PORT_INTERNAL, "pktap");
    u = add_port(&f, DP_PORT_INTERNAL, "pktap2");
    push.out.arg = dp_port_u32(a);
    forward(&f, 1, t, &push.push.h, sizeof(push));
    push.out.arg = dp_port_u32(b);
    forward(&f, 2, u, &push.push.h, sizeof(push));
    pop[1].arg = dp_port_u32(t);
    forward(&f, 3, a, pop, sizeof(pop));
    pop[1].arg = dp_port_u32(u);
    forward(&f, 4, b, pop, sizeof(pop));
    run_tcp(&f, "pktap2");
    assert_super(&f, t);
    assert_super(&f, b);
    fixture_close(&f);
    RUN("ip link del pka");
}

/* Frames that were read together, of which each leaves twice, changed in between; the long ones do not wait. All come
 * out, as they were at their output and in their order. When the device is down, none counts as sent. */
static void test_batch(void **state)
{
    struct fixture f;
    struct {
        struct dp_action first;
        struct dp_action_set set;
        struct dp_action second;
    } twice = {.first = {.type = DP_ACTION_OUTPUT, .len = 8},
               .set = {.h = {.type = DP_ACTION_SET, .len = sizeof(struct dp_action_set), .arg = DP_SET_ETH}},
               .second = {.type = DP_ACTION_OUTPUT, .len = 8}};
    uint8_t big[4000] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}, buf[8192];
    struct dp_port_stats stats;
    dp_port_t a, b;
    int in, out;

    (void)state;
    RUN("ip link add pka mtu 5000 type veth peer name pka1 mtu 5000");
    RUN("ip link add pkb mtu 5000 type veth peer name pkb1 mtu 5000");
    RUN("for d in pka pka1 pkb pkb1; do ip link set $d up; sysctl -qw net.ipv6.conf.$d.disable_ipv6=1; done");
    fixture_open(&f);
    a = add_port(&f, DP_PORT_SYSTEM, "pka");
    b = add_port(&f, DP_PORT_SYSTEM, "pkb");
    in = raw_socket("pka1");
    out = raw_socket("pkb1");
    turn_loop(&f, 100);
    twice.first.arg = twice.second.arg = dp_port_u32(b);
    twice.set.mask.eth_dst.a[5] = 0xff;
    twice.set.key.eth_dst.a[5] = 7;
    forward(&f, 1, a, &twice.first, sizeof(twice));
    for (unsigned int i = 0; i < 40; i++) {
        big[14] = (uint8_t)i;
        assert_true(send(in, big, i % 5 == 3 ? sizeof(big) : 100, 0) > 0);
    }
    turn_loop(&f, 50);
    for (unsigned int i = 0; i < 80; i++) {
        assert_int_equal(recv(out, buf, sizeof(buf), 0), i / 2 % 5 == 3 ? sizeof(big) : 100);
        assert_int_equal(buf[14], i / 2);
        assert_int_equal(buf[5], i % 2 ? 7 : 2);
    }
    assert_int_equal(dp_port_get_stats(f.dp, b, &stats), 0);
    assert_int_equal(stats.tx_packets, 80);
    assert_int_equal(stats.tx_dropped, 0);
    RUN("ip link set pkb down");
    assert_int_equal(send(in, big, 100, 0), 100);
    turn_loop(&f, 50);
    assert_int_equal(dp_port_get_stats(f.dp, b, &stats), 0);
    assert_int_equal(stats.tx_packets, 80);
    assert_int_equal(stats.tx_dropped, 2);
    assert_int_equal(dp_drops(f.dp)[DROP_PORT_DOWN], 2);
    close(in);
    close(out);
    two_ports_close(&f);
}

/* A UDP super-packet of SUPER bytes in segments of SUPER_MSS. */
#define SUPER 2500
#define SUPER_MSS 1000

static struct packet *udp_super(bool v6, uint8_t gso_type)
{
    struct packet *p = frame_l4(v6, IP_PROTO_UDP, SUPER, true);

    p->offload.gso_type = gso_type;
    p->offload.gso_size = SUPER_MSS;
    p->offload.hdr_len = (uint16_t)(p->l4_ofs + 8u);
    return p;
}

/* What FD receives next is PAYLOAD bytes of the super-packet P, from AT on; WHOLE: its checksums are complete. */
static void assert_udp(int fd, const struct packet *p, size_t at, size_t payload, bool whole)
{
    struct packet *got = packet_new(NULL, 8192);
    size_t headers = p->l4_ofs + 8u;
    ssize_t n = recv(fd, got->data, 8192, 0);

    assert_int_equal(n, headers + payload);
    got->len = (size_t)n;
    assert_memory_equal(got->data + headers, p->data + headers + at, payload);
    if (whole) {
        assert_csums(got);
    }
    packet_free(got);
}

static void assert_nothing(int fd)
{
    uint8_t b;

    assert_int_equal(recv(fd, &b, 1, MSG_DONTWAIT), -1);
}

/* UDP's super-packets leave whole by a kernel that knows them; by one that does not (the second turn pretends that this
 * one is old) in segments, each with its own lengths and checksums, and counted. */
static void test_udp_super(void **state)
{
    struct fixture f;
    struct dp_action out = {.type = DP_ACTION_OUTPUT, .len = 8};
    struct dp_port_stats before, stats;
    dp_port_t ports[2];
    int fds[2];

    (void)state;
    RUN("ip link add pka mtu 5000 type veth peer name pka1 mtu 5000");
    RUN("for d in pka pka1; do ip link set $d up; sysctl -qw net.ipv6.conf.$d.disable_ipv6=1; done");
    fixture_open(&f);
    ports[0] = add_port(&f, DP_PORT_SYSTEM, "pka");
    ports[1] = add_port(&f, DP_PORT_INTERNAL, "pktap");
    RUN("sysctl -qw net.ipv6.conf.pktap.disable_ipv6=1 && ip link set pktap up");
    fds[0] = raw_socket("pka1");
    fds[1] = raw_socket("pktap");
    turn_loop(&f, 50);
    for (unsigned int i = 0; i < 8; i++) {
        bool v6 = i & 1, tap = i & 2, old = i & 4 || !kernel_at_least(6, 2);
        struct packet *p = udp_super(v6, GSO_UDP_L4);

        us_datapath_of(f.dp)->udp_super = !old;
        assert_int_equal(dp_port_get_stats(f.dp, ports[tap], &before), 0);
        out.arg = dp_port_u32(ports[tap]);
        assert_int_equal(dp_execute(f.dp, p, &out, sizeof(out)), 0);
        for (size_t at = 0; old && at < SUPER; at += SUPER_MSS) {
            assert_udp(fds[tap], p, at, MIN(SUPER - at, SUPER_MSS), true);
        }
        if (!old) {
            assert_udp(fds[tap], p, 0, SUPER, false);
        }
        assert_nothing(fds[tap]);
        assert_int_equal(dp_port_get_stats(f.dp, ports[tap], &stats), 0);
        assert_int_equal(stats.tx_packets - before.tx_packets, old ? 3 : 1);
        assert_int_equal(stats.tx_bytes - before.tx_bytes, SUPER + (old ? 3 : 1) * (p->l4_ofs + 8u));
        assert_int_equal(stats.tx_dropped, 0);
        packet_free(p);
    }
    close(fds[0]);
    close(fds[1]);
    fixture_close(&f);
    RUN("ip link del pka");
}

static void send_super(int fd, const struct packet *p)
{
    struct virtio_net_hdr vnet = {p->offload.flags,    p->offload.gso_type,   p->offload.hdr_len,
                                  p->offload.gso_size, p->offload.csum_start, p->offload.csum_offset};
    struct iovec iov[2] = {{&vnet, sizeof(vnet)}, {p->data, p->len}};

    assert_int_equal(writev(fd, iov, 2), sizeof(vnet) + p->len);
}

/* A super-packet is read from a device, and its segments wait for the end of that read: none counts as sent that was
 * not, and what is no super-packet of UDP is not touched. */
static void test_udp_super_batch(void **state)
{
    struct fixture f;
    struct dp_action out = {.type = DP_ACTION_OUTPUT, .len = 8};
    struct packet *p = udp_super(false, GSO_UDP_L4), *broken = udp_super(false, GSO_UDP_L4);
    struct dp_port_stats stats;
    dp_port_t a, b;
    int in, receiver, one = 1;

    (void)state;
    if (!kernel_at_least(6, 2)) {
        packet_free(p);
        packet_free(broken);
        return; /* nobody can send one to the device: the datapath itself is tested in tests/vm */
    }
    two_ports_open(&f, &a, &b);
    us_datapath_of(f.dp)->udp_super = false;
    in = raw_socket("pka1");
    assert_int_equal(setsockopt(in, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
    receiver = raw_socket("pkb1");
    turn_loop(&f, 50);
    out.arg = dp_port_u32(b);
    forward(&f, 1, a, &out, sizeof(out));
    send_super(in, p);
    turn_loop(&f, 50);
    for (size_t at = 0; at < SUPER; at += SUPER_MSS) {
        assert_udp(receiver, p, at, MIN(SUPER - at, SUPER_MSS), true);
    }
    RUN("ip link set pkb down");
    send_super(in, p);
    turn_loop(&f, 50);
    assert_int_equal(dp_port_get_stats(f.dp, b, &stats), 0);
    assert_int_equal(stats.tx_packets, 3);
    assert_int_equal(stats.tx_bytes, SUPER + 3 * 42);
    assert_int_equal(stats.tx_dropped, 3);
    assert_int_equal(dp_drops(f.dp)[DROP_PORT_DOWN], 3);
    broken->offload.gso_size = 0;
    assert_int_equal(dp_execute(f.dp, broken, &out, sizeof(out)), 0);
    assert_int_equal(dp_drops(f.dp)[DROP_SEGMENT], 1);
    assert_int_equal(dp_port_get_stats(f.dp, b, &stats), 0);
    assert_int_equal(stats.tx_dropped, 4);
    packet_free(p);
    packet_free(broken);
    close(in);
    close(receiver);
    two_ports_close(&f);
}

/* A super-packet of a kind that the kernel cannot tell its readers (UFO stands for UDP's before Linux 6.2) is counted,
 * and the frames around it arrive. */
static void test_untold_super(void **state)
{
    struct fixture f;
    struct packet *p = udp_super(false, VIRTIO_NET_HDR_GSO_UDP);
    struct dp_action out = {.type = DP_ACTION_OUTPUT, .len = 8};
    struct dp_port_stats stats;
    dp_port_t a, b;
    int in, plain, receiver, one = 1;
    uint8_t buf[2048];

    (void)state;
    two_ports_open(&f, &a, &b);
    /* Past the device, which would cut it. */
    RUN("tc qdisc add dev pka1 clsact && tc filter add dev pka1 egress protocol all u32 match u32 0 0 action mirred "
        "ingress redirect dev pka");
    plain = raw_socket("pka1");
    in = raw_socket("pka1");
    assert_int_equal(setsockopt(in, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
    receiver = raw_socket("pkb1");
    turn_loop(&f, 50);
    out.arg = dp_port_u32(b);
    forward(&f, 1, a, &out, sizeof(out));
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(send(plain, frame, sizeof(frame), 0), sizeof(frame));
        send_super(in, p);
    }
    assert_int_equal(send(plain, frame, sizeof(frame), 0), sizeof(frame));
    turn_loop(&f, 50);
    for (unsigned int i = 0; i < 4; i++) {
        assert_int_equal(recv(receiver, buf, sizeof(buf), 0), sizeof(frame) - 4);
    }
    assert_nothing(receiver);
    assert_int_equal(dp_drops(f.dp)[DROP_RX_OFFLOAD], 3);
    assert_int_equal(dp_port_get_stats(f.dp, a, &stats), 0);
    assert_int_equal(stats.rx_packets, 4);
    assert_int_equal(stats.rx_errors, 3);
    packet_free(p);
    close(in);
    close(plain);
    close(receiver);
    two_ports_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_forward),
        cmocka_unit_test(test_internal_moves),  cmocka_unit_test(test_tagged_super),
        cmocka_unit_test(test_batch),           cmocka_unit_test(test_udp_super),
        cmocka_unit_test(test_udp_super_batch), cmocka_unit_test(test_untold_super),
    };

    if (!netns_enter()) {
        printf("needs the privilege to make a network namespace\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
