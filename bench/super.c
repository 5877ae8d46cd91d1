/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of TCP super-packets with virtio headers, as a VM's device writes and reads them: from port to port, each of
 * which is a tap or the far end of a veth.
 *
 *   bench_super pair=tap|veth,TX_NS,TX_IF,RX_NS,RX_IF,SMAC,DMAC... [mss=1410] [segments=46] [window=16] [turns=20]
 *               [turn_ms=100] [settle_ms=30] [tx_cpu=N] [rx_cpu=N]
 *
 * tap: the namespaces and names are those of the taps themselves, which must be there; veth: those of the VMs' ends, on
 * which packet sockets with virtio headers (PACKET_VNET_HDR) do the same work: one system call and one copy for each
 * super-packet. There is no TCP behind it; at most `window` super-packets are on the way, so that none is lost to a
 * queue. Pairs have turns as bench_streams' have. Prints Gbit/s of TCP payload.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common.h"
#include "turns.h"

#define HEADERS (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr))
#define BUFFER (80 * 1024)
#define PORT 5003
#define LOST_AFTER 0.01 /* seconds in which nothing arrived: what is on the way will not come */

struct packet {
    struct virtio_net_hdr vnet;
    uint8_t frame[BUFFER];
} __attribute__((packed));

struct pair {
    int tx, rx;
    struct packet *packet;
    uint32_t seq;
    uint64_t sent;          /* bytes of payload; lost ones are taken off again */
    atomic_ullong received; /* the same */
    double last;            /* when `received` was seen to grow */
    uint64_t seen;
};

static struct pair pairs[TURNS_MAX_PAIRS];
static uint64_t mss, payload, window;
static unsigned int rx_cpu;

static uint32_t sum16(const void *data, size_t n)
{
    const uint8_t *b = data;
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < n; i += 2) {
        sum += (uint32_t)b[i] << 8 | b[i + 1];
    }
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* With N bytes behind its headers. */
static struct packet *make_packet(const char *smac, const char *dmac, uint64_t n)
{
    struct packet *p = calloc(1, sizeof *p);
    struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .frag_off = htons(0x4000)};
    struct tcphdr tcp = {.source = htons(PORT), .dest = htons(PORT), .doff = 5, .ack = 1, .window = htons(0xffff)};
    uint16_t type = htons(ETHERTYPE_IP);

    p->vnet = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                      .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                      .hdr_len = HEADERS,
                                      .gso_size = (uint16_t)mss,
                                      .csum_start = ETH_HLEN + sizeof ip,
                                      .csum_offset = offsetof(struct tcphdr, check)};
    parse_mac(dmac, p->frame);
    parse_mac(smac, p->frame + ETH_ALEN);
    memcpy(p->frame + 2 * ETH_ALEN, &type, 2);
    ip.tot_len = htons((uint16_t)(sizeof ip + sizeof tcp + n));
    ip.saddr = htonl(0x0a000001);
    ip.daddr = htonl(0x0a000002);
    ip.check = htons((uint16_t)~fold(sum16(&ip, sizeof ip)));
    tcp.check = htons(fold(sum16(&ip.saddr, 8) + IPPROTO_TCP + (uint32_t)(sizeof tcp + n)));
    memcpy(p->frame + ETH_HLEN, &ip, sizeof ip);
    memcpy(p->frame + ETH_HLEN + sizeof ip, &tcp, sizeof tcp);
    return p;
}

static int open_tap(const char *ns, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int size = sizeof(struct virtio_net_hdr), fd;

    enter_netns(ns);
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) || ioctl(fd, TUNSETVNETHDRSZ, &size) ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)) {
        err(1, "%s: tap %s", ns, name);
    }
    return fd;
}

static int open_veth(const char *ns, const char *name, bool receive)
{
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(receive ? ETH_P_IP : 0)};
    int one = 1, size = 64 << 20, fd;

    enter_netns(ns);
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, receive ? htons(ETH_P_IP) : 0);
    ll.sll_ifindex = (int)if_nametoindex(name);
    if (fd < 0 || !ll.sll_ifindex || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&ll, sizeof ll)) {
        err(1, "%s: %s", ns, name);
    }
    setsockopt(fd, SOL_SOCKET, receive ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &size, sizeof size);
    if (!receive) {
        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    }
    return fd;
}

/* An empty segment the other way, from which the switches learn where the receiver is: unknown addresses are flooded.
 */
static void announce(const struct pair *p, const char *smac, const char *dmac)
{
    struct packet *empty = make_packet(dmac, smac, 0);
    size_t n = sizeof empty->vnet + HEADERS;

    memset(&empty->vnet, 0, sizeof empty->vnet);
    if (write(p->rx, empty, n) != (ssize_t)n) {
        err(1, "write");
    }
    free(empty);
}

static bool is_ours(const struct packet *p, ssize_t n)
{
    size_t least = sizeof p->vnet + HEADERS;
    struct tcphdr tcp;

    if (n <= (ssize_t)least || p->frame[ETH_HLEN + 9] != IPPROTO_TCP) {
        return false;
    }
    memcpy(&tcp, p->frame + ETH_HLEN + sizeof(struct iphdr), sizeof tcp);
    return tcp.dest == htons(PORT);
}

static void *receive(void *aux)
{
    struct pair *p = aux;
    struct packet *packet = malloc(sizeof *packet);

    run_on_cpu(rx_cpu);
    for (;;) {
        ssize_t n = read(p->rx, packet, sizeof *packet);

        if (n < 0 && errno != EINTR) {
            err(1, "read");
        }
        if (is_ours(packet, n)) {
            atomic_fetch_add(&p->received, (uint64_t)n - sizeof packet->vnet - HEADERS);
        }
    }
    return NULL;
}

/* There is room for one more on the way. */
static bool has_room(struct pair *p)
{
    uint64_t got = atomic_load(&p->received);

    if (got != p->seen || p->sent <= got) {
        p->seen = got;
        p->last = now();
    } else if (now() - p->last > LOST_AFTER) {
        p->sent = got;
    }
    return p->sent < got + window * payload;
}

static void send_for(struct pair *p, unsigned int us)
{
    size_t n = sizeof p->packet->vnet + HEADERS + payload;
    double end = now() + us / 1e6;

    while (now() < end) {
        uint32_t seq = htonl(p->seq);

        if (!has_room(p)) {
            continue;
        }
        memcpy(p->packet->frame + ETH_HLEN + sizeof(struct iphdr) + offsetof(struct tcphdr, seq), &seq, 4);
        if (write(p->tx, p->packet, n) == (ssize_t)n) {
            p->seq += (uint32_t)payload;
            p->sent += payload;
        } else if (errno != ENOBUFS && errno != EAGAIN) {
            err(1, "write");
        }
    }
}

static double take_turn(unsigned int i, unsigned int settle_us, unsigned int turn_us)
{
    struct pair *p = &pairs[i];
    double start, seconds;
    uint64_t first, got;

    send_for(p, settle_us);
    first = atomic_load(&p->received);
    start = now();
    send_for(p, turn_us);
    got = atomic_load(&p->received) - first;
    seconds = now() - start;
    usleep(5000); /* the rest of the window arrives */
    return (double)got * 8 / 1e9 / seconds;
}

static void start_pair(struct pair *p, char *text)
{
    const char *kind = next_word(&text), *tx_ns = next_word(&text), *tx_if = next_word(&text),
               *rx_ns = next_word(&text), *rx_if = next_word(&text), *smac = next_word(&text), *dmac = next_word(&text);
    pthread_t thread;

    if (!strcmp(kind, "tap")) {
        p->rx = open_tap(rx_ns, rx_if);
        p->tx = open_tap(tx_ns, tx_if);
    } else if (!strcmp(kind, "veth")) {
        p->rx = open_veth(rx_ns, rx_if, true);
        p->tx = open_veth(tx_ns, tx_if, false);
    } else {
        errx(2, "a pair is tap or veth, not %s", kind);
    }
    p->packet = make_packet(smac, dmac, payload);
    announce(p, smac, dmac);
    if (pthread_create(&thread, NULL, receive, p)) {
        err(1, "thread");
    }
}

int main(int argc, char **argv)
{
    unsigned int n = 0;

    mss = arg_number(argc, argv, "mss", 1410);
    payload = mss * arg_number(argc, argv, "segments", 46);
    window = arg_number(argc, argv, "window", 16);
    if (HEADERS + payload > 65535 || !payload || !window) {
        errx(2, "mss=%u: too much or nothing for a super-packet", (unsigned int)mss);
    }
    rx_cpu = (unsigned int)arg_number(argc, argv, "rx_cpu", NO_CPU);
    for (char *text; (text = pair_text(argc, argv, n)); n++) {
        start_pair(&pairs[n], text);
    }
    run_on_cpu((unsigned int)arg_number(argc, argv, "tx_cpu", NO_CPU));
    take_turns(argc, argv, n, take_turn);
    fflush(stdout);
    _exit(0); /* with the threads */
}
