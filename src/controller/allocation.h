/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CONTROLLER_ALLOCATION_H
#define WARREN_CONTROLLER_ALLOCATION_H
/*
 * Numbers that networks and ports are given: VNIs from the ranges of a tunnel type, MACs, IP addresses from the pools
 * of a subnet; and the arithmetic of addresses and prefixes that this needs. Pure: what is taken is asked by a
 * callback, randomness too.
 *
 * Choices are random, not the lowest free: several controllers allocate at the same time from one database without
 * talking to each other. The database's indexes refuse a second use of a number, and the loser asks again; with random
 * choices that is rare.
 */
#include <arpa/inet.h>

#include "base/eth_addr.h"
#include "base/util.h"

__extension__ typedef unsigned __int128 ip_number_t;

struct ip {
    int version; /* 4 or 6 */
    ip_number_t n;
};

struct prefix {
    struct ip first; /* host bits zero */
    unsigned int len;
};

struct ip_range {
    struct ip first, last; /* both included, same version */
};

#define PREFIX_STR_LEN (INET6_ADDRSTRLEN + 4)

int ip_parse(const char *s, struct ip *ret);
/* Returns BUF: the canonical text (RFC 5952 for IPv6). */
const char *ip_format(const struct ip *ip, char buf[INET6_ADDRSTRLEN]);
#define IP_STR(ip) ip_format((ip), (char[INET6_ADDRSTRLEN]){0})
static inline bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->version == b->version && a->n == b->n;
}

/* ADDRESS/LENGTH; host bits are cleared. */
int prefix_parse(const char *s, struct prefix *ret);
const char *prefix_format(const struct prefix *p, char buf[PREFIX_STR_LEN]);
#define PREFIX_STR(p) prefix_format((p), (char[PREFIX_STR_LEN]){0})
struct ip prefix_last(const struct prefix *p);
bool prefix_contains(const struct prefix *p, const struct ip *ip);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
/* An address that a host cannot have: the network's own, and for IPv4 the broadcast address (but /31 and /32 have
 * neither). */
bool prefix_is_reserved(const struct prefix *p, const struct ip *ip);
/* The address that an interface with MAC gives itself in a /64 (RFC 4291, appendix A). */
struct ip prefix_eui64(const struct prefix *p, const struct eth_addr *mac);

/* "FIRST-LAST" */
int ip_range_parse(const char *s, struct ip_range *ret);
/* All host addresses of P but GATEWAY (NULL for none): up to two ranges in RET; how many. */
size_t default_pools(const struct prefix *p, const struct ip *gateway, struct ip_range ret[2]);

/* Where a choice is still open. */
struct chooser {
    uint64_t (*random)(void *arg);
    bool (*taken)(void *arg, ip_number_t number);
    size_t n_taken; /* how many may be taken: a search need look no further than this */
    void *arg;
};

uint64_t system_random(void *arg);

/* A free address in one of the pools. -ENOSPC when there is none. */
int choose_ip(const struct ip_range *pools, size_t n_pools, const struct chooser *c, struct ip *ret);

enum network_type { NETWORK_VXLAN, NETWORK_GRE, NETWORK_GENEVE, N_NETWORK_TYPES, NETWORK_TYPE_INVALID = -1 };
extern const char *const network_type_names[N_NETWORK_TYPES];
enum network_type network_type_parse(const char *s);
/* The largest identifier that the type's header holds. */
uint32_t network_type_max_vni(enum network_type t);
/* Bytes that the tunnel adds to a frame's payload in front of the underlay's MTU: outer IP, tunnel headers and the
 * inner Ethernet. */
unsigned int network_type_overhead(enum network_type t, int overlay_ip_version);

struct vni_range {
    uint32_t first, last;
};

#define MAX_VNI_RANGES 16
struct vni_ranges {
    struct vni_range ranges[N_NETWORK_TYPES][MAX_VNI_RANGES];
    size_t n[N_NETWORK_TYPES];
    enum network_type first_type; /* the type of networks that name none */
};

/* "vxlan:1-1000,vxlan:5000-6000,gre:1-100". On failure *RET_ERROR says what is wrong; the caller frees it. */
int vni_ranges_parse(const char *s, struct vni_ranges *ret, char **ret_error);
/* A free VNI for a network of type T. -ENOSPC when there is none, -ENOENT when the type has no range. */
int choose_vni(const struct vni_ranges *r, enum network_type t, const struct chooser *c, uint32_t *ret);

/* A random MAC in OpenStack's usual range fa:16:3e:…. */
void choose_mac(const struct chooser *c, struct eth_addr *ret);

#endif
