/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends small frames into one interface and counts what comes out of another, both in network namespaces.
 *
 *   bench_frames tx_ns=A tx_if=eth0 rx_ns=B rx_if=eth0 [count=N window=W | seconds=S] [size=60] [vlan=0]
 *                [smac=02:..] [smacs=1] [dmac=02:..] [dmacs=1] [sports=1] [dips=1]
 *
 * With `window` there are never more than W frames on the way (a switch that needs time for each new flow loses none);
 * without, it sends as fast as the kernel takes them for S seconds. Frame number i has source address i mod smacs,
 * destination address (i / smacs) mod dmacs, UDP source port i mod sports and IPv4 destination i mod dips, counted up
 * from the first. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "common.h"

#define BATCH 64
#define MAGIC 0x77617272
#define FRAME_MAX 2048
#define LOST_AFTER 0.25 /* seconds without a frame: what is on the way will not come */

struct plan {
    size_t size, l3;
    uint64_t smacs, dmacs, sports, dips;
    uint8_t smac[6], dmac[6];
    uint16_t vlan;
};

struct payload {
    uint32_t magic;
    uint32_t index;
};

static struct plan plan;
static int tx, rx;
static atomic_bool stop;
static atomic_ullong received;

static void parse_mac(const char *text, uint8_t *mac)
{
    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6) {
        errx(2, "%s is not an Ethernet address", text);
    }
}

static void put_mac(uint8_t *at, const uint8_t *first, uint64_t n)
{
    uint32_t low = ((uint32_t)first[3] << 16 | (uint32_t)first[4] << 8 | first[5]) + (uint32_t)n;

    memcpy(at, first, 3);
    at[3] = (uint8_t)(low >> 16);
    at[4] = (uint8_t)(low >> 8);
    at[5] = (uint8_t)low;
}

static uint16_t checksum(const void *data, size_t n)
{
    const uint8_t *b = data;
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < n; i += 2) {
        sum += (uint32_t)b[i] << 8 | b[i + 1];
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons((uint16_t)~sum);
}

static void make_frame(uint8_t *f, uint64_t i)
{
    struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
    struct udphdr udp = {.dest = htons(7)};
    struct payload payload = {MAGIC, (uint32_t)i};
    uint16_t type = htons(ETHERTYPE_IP), tag[2] = {htons(ETHERTYPE_VLAN), htons(plan.vlan)};

    put_mac(f, plan.dmac, i / plan.smacs % plan.dmacs);
    put_mac(f + 6, plan.smac, i % plan.smacs);
    if (plan.vlan) {
        memcpy(f + 12, tag, 4);
    }
    memcpy(f + plan.l3 - 2, &type, 2);
    ip.tot_len = htons((uint16_t)(plan.size - plan.l3));
    ip.saddr = htonl(0x0a000001);
    ip.daddr = htonl(0x0a800000 + (uint32_t)(i % plan.dips));
    ip.check = checksum(&ip, sizeof ip);
    udp.source = htons((uint16_t)(1024 + i % plan.sports));
    udp.len = htons((uint16_t)(plan.size - plan.l3 - sizeof ip));
    memcpy(f + plan.l3, &ip, sizeof ip);
    memcpy(f + plan.l3 + sizeof ip, &udp, sizeof udp);
    memcpy(f + plan.l3 + sizeof ip + sizeof udp, &payload, sizeof payload);
}

static int open_packet(const char *ns, const char *name, bool receive)
{
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int size = 64 << 20, fd;

    enter_netns(ns);
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, receive ? htons(ETH_P_ALL) : 0);
    ll.sll_ifindex = (int)if_nametoindex(name);
    if (!ll.sll_ifindex) {
        errx(1, "%s: no interface %s", ns, name);
    }
    if (fd < 0 || bind(fd, (struct sockaddr *)&ll, sizeof ll)) {
        err(1, "%s", name);
    }
    setsockopt(fd, SOL_SOCKET, receive ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &size, sizeof size);
    if (receive) {
        int one = 1;

        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    } else {
        int one = 1;

        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    }
    return fd;
}

static bool is_ours(const uint8_t *f, size_t len)
{
    size_t ofs = 14 + sizeof(struct iphdr) + sizeof(struct udphdr);
    uint32_t magic = 0;

    if (len >= ofs + 4) {
        memcpy(&magic, f + ofs, 4);
    }
    if (magic != MAGIC && len >= ofs + 8) { /* tagged */
        memcpy(&magic, f + ofs + 4, 4);
    }
    return magic == MAGIC;
}

/* Returns how many of our frames came. Waits at most WAIT_MS for the first. */
static unsigned int take(int wait_ms)
{
    static uint8_t buf[BATCH][FRAME_MAX];
    struct mmsghdr msgs[BATCH] = {0};
    struct iovec iov[BATCH];
    struct pollfd p = {rx, POLLIN, 0};
    unsigned int ours = 0;
    int n;

    if (wait_ms && poll(&p, 1, wait_ms) <= 0) {
        return 0;
    }
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){buf[i], FRAME_MAX};
        msgs[i].msg_hdr.msg_iov = &iov[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
    n = recvmmsg(rx, msgs, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        ours += is_ours(buf[i], msgs[i].msg_len);
    }
    return ours;
}

static unsigned int put(uint64_t first, unsigned int n)
{
    static uint8_t buf[BATCH][FRAME_MAX];
    struct mmsghdr msgs[BATCH] = {0};
    struct iovec iov[BATCH];
    int sent;

    for (unsigned int i = 0; i < n; i++) {
        make_frame(buf[i], first + i);
        iov[i] = (struct iovec){buf[i], plan.size};
        msgs[i].msg_hdr.msg_iov = &iov[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
    sent = sendmmsg(tx, msgs, n, 0);
    return sent < 0 ? 0 : (unsigned int)sent;
}

static void run_window(uint64_t count, uint64_t window)
{
    uint64_t sent = 0, got = 0, lost = 0;
    double start = now(), last = start;

    while (got + lost < count) {
        uint64_t room = window - (sent - got - lost), left = count - sent;
        unsigned int n = (unsigned int)(room < left ? room : left);

        if (n) {
            sent += put(sent, n < BATCH ? n : BATCH);
        }
        n = take(room && left ? 0 : 20);
        got += n;
        if (n) {
            last = now();
        } else if (now() - last > LOST_AFTER && sent - got - lost) {
            lost = sent - got;
            last = now();
        }
    }
    printf("{\"sent\": %llu, \"received\": %llu, \"seconds\": %.6f, \"rate\": %.1f}\n", (unsigned long long)sent,
           (unsigned long long)got, last - start, (double)got / (last - start));
}

static void *count_received(void *aux)
{
    while (!atomic_load(&stop)) {
        atomic_fetch_add(&received, take(20));
    }
    return aux;
}

static void run_blast(double seconds)
{
    uint64_t sent = 0, first, got;
    double start, begin;
    pthread_t thread;

    pthread_create(&thread, NULL, count_received, NULL);
    begin = now();
    while (now() - begin < seconds / 4) { /* warm up: megaflows, caches */
        sent += put(sent, BATCH);
    }
    first = atomic_load(&received);
    start = now();
    while (now() - start < seconds) {
        sent += put(sent, BATCH);
    }
    got = atomic_load(&received) - first;
    printf("{\"sent\": %llu, \"received\": %llu, \"seconds\": %.6f, \"rate\": %.1f}\n", (unsigned long long)sent,
           (unsigned long long)got, now() - start, (double)got / (now() - start));
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    uint64_t window = arg_number(argc, argv, "window", 0);

    plan.size = arg_number(argc, argv, "size", 60);
    plan.vlan = (uint16_t)arg_number(argc, argv, "vlan", 0);
    plan.l3 = plan.vlan ? 18 : 14;
    plan.smacs = arg_number(argc, argv, "smacs", 1);
    plan.dmacs = arg_number(argc, argv, "dmacs", 1);
    plan.sports = arg_number(argc, argv, "sports", 1);
    plan.dips = arg_number(argc, argv, "dips", 1);
    parse_mac(arg_text(argc, argv, "smac", "02:00:00:01:00:00"), plan.smac);
    parse_mac(arg_text(argc, argv, "dmac", "02:00:00:02:00:00"), plan.dmac);
    if (plan.size < plan.l3 + 36 || plan.size > FRAME_MAX) {
        errx(2, "size must be %zu to %d", plan.l3 + 36, FRAME_MAX);
    }
    rx = open_packet(arg_text(argc, argv, "rx_ns", NULL), arg_text(argc, argv, "rx_if", NULL), true);
    tx = open_packet(arg_text(argc, argv, "tx_ns", NULL), arg_text(argc, argv, "tx_if", NULL), false);
    if (window) {
        run_window(arg_number(argc, argv, "count", 10000), window);
    } else {
        run_blast((double)arg_number(argc, argv, "seconds", 2));
    }
    return 0;
}
