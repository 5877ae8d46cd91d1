/* SPDX-License-Identifier: Apache-2.0 */
/* Tunnel ports over the loopback device of a namespace of the test's own: what is sent must come in again as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in6.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datapath/datapath.h"
#include "datapath/userspace/userspace.h"
#include "netns.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/segment.h"
#include "packet/tunnel.h"
#include "packet/zero_label.h"

struct received {
    struct flow_key key;
    size_t len;
    uint8_t data[4096];
};

struct fixture {
    struct event_base *base;
    struct datapath *dp;
    struct received got[64];
    unsigned int n;
};

static void on_upcall(void *aux, const struct dp_upcall *u)
{
    struct fixture *f = aux;
    struct received *r = &f->got[f->n];

    assert_true(f->n < ARRAY_SIZE(f->got));
    assert_true(u->packet->len <= sizeof(r->data));
    r->key = *u->key;
    r->len = u->packet->len;
    memcpy(r->data, u->packet->data, r->len);
    f->n++;
}

static void turn_loop(struct fixture *f, int ms)
{
    struct timeval tv = {.tv_usec = ms * 1000};

    event_base_loopexit(f->base, &tv);
    event_base_dispatch(f->base);
}

static struct ip_addr addr(const char *s)
{
    struct ip_addr a = {{{0}}};
    uint32_t v4;

    if (strchr(s, ':')) {
        assert_int_equal(inet_pton(AF_INET6, s, &a), 1);
        return a;
    }
    assert_int_equal(inet_pton(AF_INET, s, &v4), 1);
    return ip_addr_from_v4(v4);
}

/* A TCP frame over IPv4 with N bytes of payload, its TCP checksum left to the device when PARTIAL. */
static struct packet *tcp_frame(size_t n, bool partial)
{
    struct packet *p = packet_new(NULL, 54 + n);
    struct eth_hdr eth = {.dst = {{2, 0, 0, 0, 0, 2}}, .src = {{2, 0, 0, 0, 0, 1}}, .type = htobe16(ETH_TYPE_IPV4)};
    struct ipv4_hdr ip = {.ver_ihl = 0x45,
                          .tot_len = htobe16((uint16_t)(40 + n)),
                          .ttl = 64,
                          .proto = IP_PROTO_TCP,
                          .id = htobe16(7),
                          .src = htobe32(0x0a000001),
                          .dst = htobe32(0x0a000002)};
    struct tcp_hdr tcp = {.src = htobe16(1234), .dst = htobe16(80), .seq = htobe32(100), .off_flags = htobe16(0x5018)};

    ip.csum = csum_finish(csum_bytes(0, &ip, sizeof(ip)));
    memcpy(p->data, &eth, 14);
    memcpy(p->data + 14, &ip, 20);
    memcpy(p->data + 34, &tcp, 20);
    for (size_t i = 0; i < n; i++) {
        p->data[54 + i] = (uint8_t)(i * 7);
    }
    tcp.csum = csum_fold(csum_pseudo4(ip.src, ip.dst, IP_PROTO_TCP, (uint16_t)(20 + n)));
    if (!partial) {
        memcpy(p->data + 34, &tcp, 20);
        tcp.csum = csum_finish(csum_bytes(0, p->data + 34, 20 + n));
    } else {
        p->offload = (struct packet_offload){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
    }
    memcpy(p->data + 34, &tcp, 20);
    return p;
}

static bool tcp_csum_ok(const uint8_t *frame, size_t len)
{
    const struct ipv4_hdr *ip = (const struct ipv4_hdr *)(const void *)(frame + 14);
    uint64_t pseudo = csum_pseudo4(ip->src, ip->dst, IP_PROTO_TCP, (uint16_t)(len - 34));

    return be16toh(ip->tot_len) == len - 14 && !csum_finish(csum_bytes(0, ip, 20)) &&
           !csum_finish(csum_bytes(pseudo, frame + 34, len - 34));
}

struct actions {
    struct dp_action_tunnel tunnel;
    struct dp_action out;
};

static void send_through(struct fixture *f, dp_port_t port, const struct flow_tunnel *tunnel, struct packet *p)
{
    struct actions a = {
        .tunnel = {.h = {.type = DP_ACTION_SET_TUNNEL, .len = sizeof(a.tunnel)}, .tunnel = *tunnel},
        .out = {.type = DP_ACTION_OUTPUT, .len = sizeof(a.out), .arg = dp_port_u32(port)},
    };

    f->n = 0;
    assert_int_equal(dp_execute(f->dp, p, &a.tunnel.h, sizeof(a)), 0);
    turn_loop(f, 30);
}

static void check_round_trip(struct fixture *f, dp_port_t port, const struct flow_tunnel *tunnel, size_t n)
{
    struct packet *p = tcp_frame(n, true), *whole = tcp_frame(n, false);
    const struct received *r = &f->got[0];

    send_through(f, port, tunnel, p);
    assert_int_equal(f->n, 1);
    assert_int_equal(r->len, whole->len);
    assert_memory_equal(r->data, whole->data, whole->len);
    assert_int_equal(dp_port_u32(r->key.in_port), dp_port_u32(port));
    assert_int_equal(r->key.tunnel.id, tunnel->id);
    assert_memory_equal(&r->key.tunnel.dst, &tunnel->dst, 16);
    if (!ip_addr_is_zero(&tunnel->src)) {
        assert_memory_equal(&r->key.tunnel.src, &tunnel->src, 16);
    }
    assert_int_equal(r->key.tunnel.tos, tunnel->tos);
    assert_int_equal(r->key.tunnel.ttl, tunnel->ttl);
    packet_free(p);
    packet_free(whole);
}

static void check_super(struct fixture *f, dp_port_t port, const struct flow_tunnel *tunnel)
{
    struct packet *p = tcp_frame(50000, true);
    size_t total = 0;

    p->offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    p->offload.gso_size = 1400;
    p->offload.hdr_len = 54;
    send_through(f, port, tunnel, p);
    assert_int_equal(f->n, 36);
    for (unsigned int i = 0; i < f->n; i++) {
        assert_true(tcp_csum_ok(f->got[i].data, f->got[i].len));
        total += f->got[i].len - 54;
    }
    assert_int_equal(total, 50000);
    packet_free(p);
}

static void test_kinds(void **state)
{
    static const struct dp_port_spec specs[] = {
        {.kind = DP_PORT_VXLAN, .name = "vxlan_4789", .udp_dst_port = 4789},
        {.kind = DP_PORT_GRE, .name = "gre"},
        {.kind = DP_PORT_GENEVE, .name = "geneve_6081", .udp_dst_port = 6081},
    };
    static const char *const ends[][2] = {{"127.0.0.2", "127.0.0.3"}, {"::1", "::1"}};
    struct fixture *f = *state;

    for (size_t k = 0; k < ARRAY_SIZE(specs); k++) {
        dp_port_t port, other;

        assert_int_equal(dp_port_add(f->dp, &specs[k], &port), 0);
        assert_int_equal(dp_port_add(f->dp, &specs[k], &other), -EEXIST);
        for (size_t v6 = 0; v6 < 2; v6++) {
            for (unsigned int flags = 0; flags < 4; flags++) {
                struct flow_tunnel t = {
                    .id = htobe64(0x123456), .dst = addr(ends[v6][1]), .tos = 0x28, .ttl = 33, .flags = FLOW_TNL_KEY};

                t.flags |= flags & 1 ? FLOW_TNL_CSUM : 0;
                t.flags |= flags & 2 ? FLOW_TNL_DF : 0;
                check_round_trip(f, port, &t, 100 + flags); /* the route's source, even and odd lengths */
                t.src = addr(ends[v6][0]);
                check_round_trip(f, port, &t, 100 + flags);
                check_super(f, port, &t);
            }
        }
        assert_int_equal(dp_port_del(f->dp, port), 0);
    }
}

/* Over IPv6, the flow label says that zero checksums are taken, and spreads by the flow. */
static void test_label(void **state)
{
    static const struct dp_port_spec specs[] = {
        {.kind = DP_PORT_VXLAN, .name = "vxlan_4789", .udp_dst_port = 4789},
        {.kind = DP_PORT_GRE, .name = "gre"},
    };
    struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_IPV6), .sll_ifindex = 1};
    struct flow_tunnel t = {.id = htobe64(7), .dst = addr("::1"), .ttl = 64, .tos = 0x28, .flags = FLOW_TNL_KEY};
    struct fixture *f = *state;

    for (size_t k = 0; k < ARRAY_SIZE(specs); k++) {
        struct packet *p = tcp_frame(100, false);
        struct ipv6_hdr ip;
        dp_port_t port;
        int fd = socket(AF_PACKET, SOCK_DGRAM, htobe16(ETH_P_IPV6));

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&lo, sizeof(lo)), 0);
        assert_int_equal(dp_port_add(f->dp, &specs[k], &port), 0);
        send_through(f, port, &t, p);
        assert_int_equal(f->n, 1);
        assert_int_equal(recv(fd, &ip, sizeof(ip), MSG_DONTWAIT | MSG_TRUNC) >= (ssize_t)sizeof(ip), 1);
        assert_int_equal(be32toh(ip.ver_tc_flow) & (0xfff00000 | ZERO_LABEL_MASK), 0x62800000 | ZERO_LABEL);
        assert_int_equal(dp_port_del(f->dp, port), 0);
        packet_free(p);
        close(fd);
    }
}

/* Whether the next IPv6 packet on FD bears the label. */
static bool is_labelled(int fd)
{
    struct ipv6_hdr ip;

    assert_true(recv(fd, &ip, sizeof(ip), MSG_DONTWAIT | MSG_TRUNC) >= (ssize_t)sizeof(ip));
    return (be32toh(ip.ver_tc_flow) & ZERO_LABEL_MASK) == ZERO_LABEL;
}

/* A source address that is not there (yet) is no reason to send without labels from then on; labels that somebody holds
 * are, and not even the first packet is lost. */
static void test_refused_label(void **state)
{
    struct dp_port_spec spec = {.kind = DP_PORT_VXLAN, .name = "vxlan_4789", .udp_dst_port = 4789};
    struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_IPV6), .sll_ifindex = 1};
    struct flow_tunnel t = {.id = htobe64(7), .dst = addr("::1"), .ttl = 64, .flags = FLOW_TNL_KEY};
    int fd = socket(AF_PACKET, SOCK_DGRAM, htobe16(ETH_P_IPV6)), holder;
    struct in6_flowlabel_req hold = {.flr_label = htobe32(ZERO_LABEL),
                                     .flr_action = IPV6_FL_A_GET,
                                     .flr_share = IPV6_FL_S_EXCL,
                                     .flr_flags = IPV6_FL_F_CREATE | IPV6_FL_F_EXCL};
    struct fixture *f = *state;
    struct packet *p = tcp_frame(100, false);
    dp_port_t port;

    assert_int_equal(bind(fd, (struct sockaddr *)&lo, sizeof(lo)), 0);
    assert_int_equal(dp_port_add(f->dp, &spec, &port), 0);
    t.src = addr("fd00::77");
    send_through(f, port, &t, p);
    assert_int_equal(f->n, 0);
    RUN("ip addr add fd00::77/128 dev lo nodad");
    send_through(f, port, &t, p);
    assert_int_equal(f->n, 1);
    assert_true(is_labelled(fd));

    holder = socket(AF_INET6, SOCK_DGRAM, 0);
    hold.flr_dst = in6addr_loopback;
    assert_int_equal(setsockopt(holder, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, &hold, sizeof(hold)), 0);
    for (int i = 0; i < 2; i++) {
        send_through(f, port, &t, p);
        assert_int_equal(f->n, 1);
        assert_false(is_labelled(fd));
    }
    close(holder);
    close(fd);
    packet_free(p);
    RUN("ip addr del fd00::77/128 dev lo");
}

static void dont_fragment(struct packet *p)
{
    struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)(p->data + 14);

    ip->frag_off |= htobe16(IPV4_DF);
    ip->csum = 0;
    ip->csum = csum_finish(csum_bytes(0, ip, sizeof(*ip)));
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct dp_port_spec spec = {.kind = DP_PORT_VXLAN, .name = "vxlan_4789", .udp_dst_port = 4789};
    struct flow_tunnel t = {.id = htobe64(5), .dst = addr("127.0.0.3"), .ttl = 64, .flags = FLOW_TNL_KEY | FLOW_TNL_DF};
    const uint64_t *drops = dp_drops(f->dp);
    struct dp_port_stats stats;
    struct packet *p;
    dp_port_t port;

    RUN("ip link set lo mtu 1400");
    assert_int_equal(dp_port_add(f->dp, &spec, &port), 0);
    turn_loop(f, 1010); /* what was known of routes is forgotten */
    for (int v6 = 0; v6 < 2; v6++) {
        uint64_t before = drops[DROP_TUNNEL_TOO_BIG];

        t.dst = addr(v6 ? "::1" : "127.0.0.3");
        t.flags |= FLOW_TNL_DF;
        check_round_trip(f, port, &t, 3000); /* a packet that may be cut gets through in outer fragments */
        p = tcp_frame(3000, true);
        dont_fragment(p);
        send_through(f, port, &t, p);
        assert_int_equal(f->n, 0);
        assert_int_equal(drops[DROP_TUNNEL_TOO_BIG], before + 1);
        t.flags &= (uint16_t)~FLOW_TNL_DF;
        check_round_trip(f, port, &t, 3000);
        packet_free(p);
    }
    t.dst = addr("192.0.2.1");
    p = tcp_frame(10, true);
    send_through(f, port, &t, p);
    assert_int_equal(drops[DROP_TUNNEL_NO_ROUTE], 1);
    t.dst = addr("2001:db8::1");
    send_through(f, port, &t, p);
    assert_int_equal(drops[DROP_TUNNEL_NO_ROUTE], 2);
    packet_free(p);
    assert_int_equal(dp_port_get_stats(f->dp, port, &stats), 0);
    assert_int_equal(stats.tx_dropped, 4);
    /* Rubbish on the port. */
    RUN("/usr/bin/python3 -c \"import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "a=('127.0.0.3', 4789); s.sendto(b'abc', a); s.sendto(bytes(60), a)\"");
    turn_loop(f, 50);
    assert_int_equal(drops[DROP_TUNNEL_TRUNCATED], 1);
    assert_int_equal(drops[DROP_TUNNEL_BAD_HEADER], 1);
    RUN("ip link set lo mtu 65536");
}

/* The host behind DEVICE, whose FD it is, is sent an ICMP error. */
static bool is_told(struct fixture *f, int fd)
{
    uint8_t frame[2048];
    bool told = false;
    ssize_t n;

    turn_loop(f, 50);
    while ((n = recv(fd, frame, sizeof(frame), MSG_DONTWAIT)) > 0) {
        told |= n > 34 && frame[12] == 8 && frame[13] == 0 && frame[23] == IP_PROTO_ICMP;
    }
    return told;
}

/* Who sends what does not fit is told so; not who sends what somebody wants a cut copy of: its own packet may fit. */
static void test_who_is_told(void **state)
{
    struct dp_port_spec spec = {.kind = DP_PORT_VXLAN, .name = "vxlan_4789", .udp_dst_port = 4789};
    struct dp_port_spec vm = {.kind = DP_PORT_SYSTEM, .name = "pkv"};
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL)};
    struct {
        struct dp_action trunc;
        struct actions a;
    } list = {.trunc = {DP_ACTION_TRUNC, sizeof(list.trunc), 2000},
              .a.tunnel = {.h = {DP_ACTION_SET_TUNNEL, sizeof(list.a.tunnel), 0},
                           .tunnel = {.id = htobe64(5), .ttl = 64, .flags = FLOW_TNL_KEY | FLOW_TNL_DF}},
              .a.out = {DP_ACTION_OUTPUT, sizeof(list.a.out), 0}};
    struct fixture *f = *state;
    const uint64_t *drops = dp_drops(f->dp);
    dp_port_t port, from;
    int fd = socket(AF_PACKET, SOCK_RAW, 0);

    RUN("ip link set lo mtu 1400 && ip link add pkv type veth peer name pkw && ip link set pkv up && ip link set pkw "
        "up");
    ll.sll_ifindex = (int)if_nametoindex("pkw");
    assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
    assert_int_equal(dp_port_add(f->dp, &spec, &port), 0);
    assert_int_equal(dp_port_add(f->dp, &vm, &from), 0);
    turn_loop(f, 1010); /* what was known of routes is forgotten */
    list.a.tunnel.tunnel.dst = addr("127.0.0.3");
    list.a.out.arg = dp_port_u32(port);
    for (int cut = 0; cut < 2; cut++) {
        uint64_t before = drops[DROP_TUNNEL_TOO_BIG];
        struct packet *p = tcp_frame(3000, false);

        dont_fragment(p);
        p->in_port = from;
        assert_int_equal(
            dp_execute(f->dp, p, cut ? &list.trunc : &list.a.tunnel.h, cut ? sizeof(list) : sizeof(list.a)), 0);
        assert_int_equal(drops[DROP_TUNNEL_TOO_BIG], before + 1);
        assert_int_equal(is_told(f, fd), !cut);
        packet_free(p);
    }
    close(fd);
    RUN("ip link set lo mtu 65536 && ip link del pkv");
}

/* Against the kernel's own vxlan device. */
static void test_kernel_vxlan(void **state)
{
    struct fixture *f = *state;
    struct dp_port_spec spec = {.kind = DP_PORT_VXLAN, .name = "vxlan_4789b", .udp_dst_port = 4790};
    struct dp_port_spec tap = {.kind = DP_PORT_INTERNAL, .name = "pktap"};
    struct flow_key key = {0}, mask = {.in_port = dp_port(0xffffffff)};
    struct actions a = {0};
    struct dp_flow flow = {.key = &key, .mask = &mask};
    dp_port_t port, t;
    char dir[] = "/tmp/warren-packet-XXXXXX";
    bool done = false;

    assert_non_null(mkdtemp(dir));
    assert_int_equal(dp_port_add(f->dp, &spec, &port), 0);
    assert_int_equal(dp_port_add(f->dp, &tap, &t), 0);
    a.tunnel = (struct dp_action_tunnel){
        .h = {.type = DP_ACTION_SET_TUNNEL, .len = sizeof(a.tunnel)},
        .tunnel = {.id = htobe64(42), .dst = addr("10.8.0.2"), .ttl = 64, .flags = FLOW_TNL_KEY | FLOW_TNL_DF}};
    a.out = (struct dp_action){.type = DP_ACTION_OUTPUT, .len = 8, .arg = dp_port_u32(port)};
    flow.id = 1, flow.actions = &a.tunnel.h, flow.actions_len = sizeof(a), key.in_port = t;
    assert_int_equal(dp_flow_put(f->dp, &flow), 0);
    a.out.arg = dp_port_u32(t);
    flow.id = 2, flow.actions = &a.out, flow.actions_len = 8, key.in_port = port;
    assert_int_equal(dp_flow_put(f->dp, &flow), 0);
    RUN("cd %s && cat > go <<'X'\n"
        "unshare -n sh -c 'echo $$ > pid; exec sleep 90' &\n"
        "while ! [ -s pid ]; do sleep .05; done; P=$(cat pid); N=\"nsenter -t $P -n\"\n"
        "ip link add pku type veth peer name pku1 netns $P; ip addr add 10.8.0.1/24 dev pku; ip link set pku up\n"
        "$N ip link set pku1 up; $N ip addr add 10.8.0.2/24 dev pku1\n"
        "$N ip link add vx type vxlan id 42 dstport 4790 local 10.8.0.2 remote 10.8.0.1\n"
        "$N ip link set vx up; $N ip addr add 10.9.0.2/24 dev vx\n"
        "ip link set pktap mtu 1450 up; ip addr add 10.9.0.1/24 dev pktap\n"
        "$N timeout 80 /usr/bin/python3 -c \"import socket; l=socket.socket(); l.bind(('10.9.0.2',7777)); l.listen()\n"
        "c=l.accept()[0]; n=0\nwhile True:\n d=c.recv(1<<20)\n if not d: break\n "
        "n+=len(d)\nc.sendall(bytes(n))\nc.close()\" &\n"
        "timeout 70 /usr/bin/python3 -c \"import socket, time\n"
        "while True:\n try: s=socket.create_connection(('10.9.0.2',7777),60); break\n except OSError: time.sleep(.05)\n"
        "s.sendall(bytes(8000000)); s.shutdown(1); n=0\nwhile True:\n d=s.recv(1<<20)\n if not d: break\n n+=len(d)\n"
        "open('reply','w').write(str(n))\"\n"
        "kill $P\n"
        "X\nsh go > log 2>&1 &",
        dir);
    for (int i = 0; i < 800 && !done; i++) {
        char cmd[256];

        turn_loop(f, 100);
        snprintf(cmd, sizeof(cmd), "grep -q 8000000 %s/reply 2>/dev/null", dir);
        done = !system(cmd);
    }
    RUN("cat %s/log", dir);
    assert_true(done);
    RUN("rm -r %s", dir);
}

/* A UDP packet that carries, behind 8 bytes, a frame whose own checksum is left to a device. */
static struct packet *carrying_udp(void)
{
    struct packet *p = tcp_frame(100, true);
    size_t udp_len = sizeof(struct udp_hdr) + 8 + p->len;
    struct ipv4_hdr ip = {.ver_ihl = 0x45,
                          .tot_len = htobe16((uint16_t)(sizeof(ip) + udp_len)),
                          .ttl = 64,
                          .proto = IP_PROTO_UDP,
                          .src = htobe32(0x0a000003),
                          .dst = htobe32(0x0a000004)};
    struct udp_hdr udp = {.src = htobe16(5000), .dst = htobe16(37008), .len = htobe16((uint16_t)udp_len)};
    struct eth_hdr eth = {.dst = {{2, 0, 0, 0, 0, 4}}, .src = {{2, 0, 0, 0, 0, 3}}, .type = htobe16(ETH_TYPE_IPV4)};

    p->offload = (struct packet_offload){0};
    ip.csum = csum_finish(csum_bytes(0, &ip, sizeof(ip)));
    memset(packet_push(p, 8), 0, 8);
    memcpy(packet_push(p, sizeof(udp)), &udp, sizeof(udp));
    memcpy(packet_push(p, sizeof(ip)), &ip, sizeof(ip));
    memcpy(packet_push(p, sizeof(eth)), &eth, sizeof(eth));
    return p;
}

/* Sets the checksum of P, a carrying_udp(), to what it is of P as it is, or as COMPLETED. */
static void sum_udp(struct packet *p, const struct packet *completed)
{
    uint64_t pseudo = csum_pseudo4(htobe32(0x0a000003), htobe32(0x0a000004), IP_PROTO_UDP, (uint16_t)(p->len - 34));
    __be16 csum = csum_finish(csum_bytes(pseudo, completed->data + 34, p->len - 34));

    memcpy(p->data + 40, &csum, 2);
}

/* What is in a tunnel of its sender's own is completed; what its checksum covers as it is, is cargo: a captured packet
 * that is sent on as it was captured. */
static void test_carried(void **state WR_UNUSED)
{
    enum { NO_SUM, OF_COMPLETED, OF_CARGO, N };

    for (int sum = 0; sum < N; sum++) {
        struct packet *p = carrying_udp(), *completed = packet_clone(p);
        struct flow_key key;

        completed->offload = (struct packet_offload){
            .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34 + 16 + 34, .csum_offset = 16};
        assert_int_equal(packet_complete_csum(completed), 0);
        if (sum != NO_SUM) {
            sum_udp(p, sum == OF_CARGO ? p : completed);
        }
        flow_key_extract(p, &key);
        assert_int_equal(us_restore_csum(p, &key, false), sum != OF_CARGO);
        if (sum != OF_CARGO) {
            assert_int_equal(p->offload.csum_start, 34 + 16 + 34);
            assert_int_equal(p->offload.csum_offset, 16);
        } else {
            assert_int_equal(p->offload.flags, 0);
        }
        packet_free(p);
        packet_free(completed);
    }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct dp_callbacks cb = {.upcall = on_upcall, .aux = f};

    f->base = event_base_new();
    *state = f;
    return dp_open("userspace", f->base, &cb, &f->dp);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    dp_close(f->dp);
    event_base_free(f->base);
    free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_label, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_label, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_told, setup, teardown),
        cmocka_unit_test(test_carried),
        cmocka_unit_test_setup_teardown(test_kernel_vxlan, setup, teardown),
    };

    if (!netns_enter()) {
        printf("needs the privilege to make a network namespace\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
