/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_LINKS_H
#define WARREN_DATAPATH_EBPF_LINKS_H
/*
 * Devices that are no Ethernet devices, as the programs must know them: whether packets come in without a link header
 * (WireGuard, TUN, PPP, the kernel's IP tunnels), and whether they may be handed to the device so. And what a device's
 * queueing discipline means to them. net.c says what devices there are.
 */
#include "datapath/ebpf/loader.h"

struct ifinfomsg;
struct nlattr;

/* EBPF_LINK_*, 0: an Ethernet device, or one that no packets of tunnels go through. */
uint32_t ebpf_link_kind(const struct ifinfomsg *ifi);
/* Does a device with this root queueing discipline, whose NAME the kernel tells (or NULL), hold up or drop what it is
 * given to send? */
bool ebpf_link_queues(const struct nlattr *name);
/* KIND 0: it is gone. */
void ebpf_link_set(struct ebpf_maps *maps, int ifindex, uint32_t kind);
/* Forgets what a process before us said, but for that of devices of which IS_KNOWN. */
void ebpf_links_forget(struct ebpf_maps *maps, bool (*is_known)(void *aux, int ifindex), void *aux);

#endif
