/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BENCH_FRAME_H
#define WARREN_BENCH_FRAME_H
/* Numbered UDP frames: how they are made and known again, and the packet sockets that they go through. */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "common.h"

#define BATCH 64
#define MAGIC 0x77617272
#define FRAME_MAX 2048

/* Frame number i has source address i mod smacs, destination address (i / smacs) mod dmacs, UDP source port i mod
 * sports and IPv4 destination i mod dips, counted up from the first. */
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

static inline void put_mac(uint8_t *at, const uint8_t *first, uint64_t n)
{
    uint32_t low = ((uint32_t)first[3] << 16 | (uint32_t)first[4] << 8 | first[5]) + (uint32_t)n;

    memcpy(at, first, 3);
    at[3] = (uint8_t)(low >> 16);
    at[4] = (uint8_t)(low >> 8);
    at[5] = (uint8_t)low;
}

static inline uint16_t checksum(const void *data, size_t n)
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

static inline void make_frame(const struct plan *plan, uint8_t *f, uint64_t i)
{
    struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
    struct udphdr udp = {.dest = htons(7)};
    struct payload payload = {MAGIC, (uint32_t)i};
    uint16_t type = htons(ETHERTYPE_IP), tag[2] = {htons(ETHERTYPE_VLAN), htons(plan->vlan)};

    put_mac(f, plan->dmac, i / plan->smacs % plan->dmacs);
    put_mac(f + 6, plan->smac, i % plan->smacs);
    if (plan->vlan) {
        memcpy(f + 12, tag, 4);
    }
    memcpy(f + plan->l3 - 2, &type, 2);
    ip.tot_len = htons((uint16_t)(plan->size - plan->l3));
    ip.saddr = htonl(0x0a000001);
    ip.daddr = htonl(0x0a800000 + (uint32_t)(i % plan->dips));
    ip.check = checksum(&ip, sizeof ip);
    udp.source = htons((uint16_t)(1024 + i % plan->sports));
    udp.len = htons((uint16_t)(plan->size - plan->l3 - sizeof ip));
    memcpy(f + plan->l3, &ip, sizeof ip);
    memcpy(f + plan->l3 + sizeof ip, &udp, sizeof udp);
    memcpy(f + plan->l3 + sizeof ip + sizeof udp, &payload, sizeof payload);
}

static inline int open_packet(const char *ns, const char *name, bool receive)
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

/* The number of one of our frames, or -1. */
static inline int64_t frame_index(const uint8_t *f, size_t len)
{
    size_t ofs = 14 + sizeof(struct iphdr) + sizeof(struct udphdr);
    struct payload p = {0, 0};

    if (len >= ofs + sizeof p) {
        memcpy(&p, f + ofs, sizeof p);
    }
    if (p.magic != MAGIC && len >= ofs + 4 + sizeof p) { /* tagged */
        memcpy(&p, f + ofs + 4, sizeof p);
    }
    return p.magic == MAGIC ? (int64_t)p.index : -1;
}

/* Sends N frames from number FIRST on with one system call; returns how many went. */
static inline unsigned int put_frames(const struct plan *plan, int tx, uint64_t first, unsigned int n)
{
    static _Thread_local uint8_t buf[BATCH][FRAME_MAX];
    struct mmsghdr msgs[BATCH] = {0};
    struct iovec iov[BATCH];
    int sent;

    for (unsigned int i = 0; i < n; i++) {
        make_frame(plan, buf[i], first + i);
        iov[i] = (struct iovec){buf[i], plan->size};
        msgs[i].msg_hdr.msg_iov = &iov[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
    sent = sendmmsg(tx, msgs, n, 0);
    return sent < 0 ? 0 : (unsigned int)sent;
}

/* The plan that the arguments describe. */
static inline struct plan parse_plan(int argc, char **argv)
{
    struct plan plan = {.size = arg_number(argc, argv, "size", 60),
                        .vlan = (uint16_t)arg_number(argc, argv, "vlan", 0)};

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
    return plan;
}

#endif
