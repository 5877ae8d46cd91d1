/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_LINKS_H
#define WARREN_SWITCH_LINKS_H
/*
 * The kernel's network devices as rtnetlink tells of them: a replica of our namespace's links that stays true by
 * itself, and the few changes that the configurator makes to them.
 *
 * The callback says that something differs from before (a link came, went, changed its name, state, address or MTU);
 * several changes in one turn of the loop make one call. After an overrun of the socket the replica is read anew.
 * Requests are made on a second, blocking socket: the kernel answers them within its system call.
 */
#include <net/if.h>
#include <uthash.h>

#include "base/strbuf.h"

struct event_base;
struct links;

/* What only the kernel counts (rtnl_link_stats64). */
struct link_stats {
    uint64_t rx_errors, tx_errors, rx_dropped, tx_dropped, multicast, collisions;
    uint64_t rx_over_errors, rx_crc_errors, rx_frame_errors, rx_missed_errors;
};

struct link {
    int ifindex;
    char name[IFNAMSIZ];
    struct eth_addr mac;
    uint32_t mtu;
    bool admin_up, carrier;  /* IFF_UP; carrier and operationally up */
    uint32_t resets;         /* carrier changes that we saw */
    uint64_t serial;         /* of the newest change to it; no two links ever have the same, and none has 0 */
    struct link_stats stats; /* as of the last links_read_stats() */
    bool stale;              /* inside links.c: not heard of yet while all links are read anew */
    UT_hash_handle hh, hh_name;
};

/* CHANGED comes from the event loop only. 0 or a negative errno; the present links are known on return. */
int links_create(struct event_base *base, void (*changed)(void *aux), void *aux, struct links **ret);
void links_destroy(struct links *l); /* NULL is fine */
DEFINE_CLEANUP(struct links *, links_destroy)

/* Takes in the events that wait already; true if something differs (CHANGED is not called for those). */
bool links_refresh(struct links *l);

/* NULL: no such link now. */
const struct link *links_find(const struct links *l, const char *name);
const struct link *links_find_index(const struct links *l, int ifindex);

/* Reads the counters of all links, by one request. */
int links_read_stats(struct links *l);

/* 0 or a negative errno: the kernel's, or -ENODEV. */
int links_set_mtu(struct links *l, const char *name, uint32_t mtu);
int links_set_mac(struct links *l, const char *name, struct eth_addr mac);
int links_set_up(struct links *l, const char *name, bool up);
/* Interface index of the route to DST (mapped IPv4 or IPv6). */
int links_route(struct links *l, const struct ip_addr *dst, int *ret_ifindex);

/* Changes whenever some route, address or rule of the kernel's did: links_route() may answer otherwise then. */
uint64_t links_routes_serial(const struct links *l);

struct link_details {
    char driver[32], version[32], firmware[32];
    int64_t speed_mbps; /* 0: unknown */
    int duplex;         /* 1 full, 0 half, -1 unknown */
};
/* By ethtool. What the device does not say is empty. */
void link_details_get(const char *name, struct link_details *ret);

#endif
