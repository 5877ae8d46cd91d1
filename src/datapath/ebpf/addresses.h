/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_ADDRESSES_H
#define WARREN_DATAPATH_EBPF_ADDRESSES_H
/*
 * This host's addresses, as rtnetlink tells them (net.c), and the map local_addrs, by which the programs know tunnel
 * packets that are for this host.
 *
 * The map may be too small. Then tunnel packets to the addresses for which there is no room go on to the host's stack,
 * and come to user space by its sockets; the first room that there is again is theirs.
 */
#include "datapath/ebpf/loader.h"

/* IPv4 has an address on a device several times, under masks or with other ends that differ: when somebody changes the
 * mask, the new one comes before the old one goes. No padding: it is a hash key. */
struct ebpf_address_id {
    struct ip_addr addr, other_end; /* IPv6: zero */
    int ifindex;
    uint32_t prefix_len; /* IPv6: zero */
};

struct ebpf_addresses;

struct ebpf_addresses *ebpf_addresses_new(struct ebpf_maps *maps);
void ebpf_addresses_free(struct ebpf_addresses *as); /* the map keeps what is in it */
/* Both may be told twice. */
void ebpf_addresses_add(struct ebpf_addresses *as, const struct ebpf_address_id *id);
void ebpf_addresses_del(struct ebpf_addresses *as, const struct ebpf_address_id *id);
/* All are going to be told anew. */
void ebpf_addresses_begin(struct ebpf_addresses *as);
/* They were. WHOLE: what was not told is gone, and with it what else is in the map; or else it may be there still. */
void ebpf_addresses_end(struct ebpf_addresses *as, bool whole);
/* Gives room in the map to those that have none; after each batch of changes. */
void ebpf_addresses_settle(struct ebpf_addresses *as);
/* There is one with these first BITS (of 128). */
bool ebpf_addresses_have(const struct ebpf_addresses *as, const struct ip_addr *addr, unsigned int bits);
/* The device has one. */
bool ebpf_addresses_are_on(const struct ebpf_addresses *as, int ifindex);

#endif
