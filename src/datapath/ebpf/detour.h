/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_DETOUR_H
#define WARREN_DATAPATH_EBPF_DETOUR_H
/*
 * The way on which super-packets out of tunnels lose the kernel's mark (detour.bpf.h says why):
 *
 *        our namespace             │   a namespace of the detour's own
 *                                  │
 *    uplink_ingress ─ redirect_peer ──► in ─► route: seg6local End.DX2 (takes the IPv6 header off)
 *                                  │                   │
 *    port ◄─ detour_egress ◄─ wr-detour ◄──── out ◄────┘
 *
 * wr-detour and in are a veth pair, out is a macvlan of wr-detour. A packet goes through all of it in one call, no
 * queue is between. No address, route or rule of the host is touched, and none of its firewalls is passed.
 *
 * The namespace lives as long as its file descriptor, so nothing of it outlives the process; the programs see that the
 * device is gone (the detours map) and do without.
 */
#include "datapath/ebpf/loader.h"

#define EBPF_DETOUR_DEVICE "wr-detour"

struct ebpf_detour;

/* What is left of a process before us is removed first. */
int ebpf_detour_open(const struct ebpf_maps *maps, struct ebpf_detour **ret_detour);
void ebpf_detour_close(struct ebpf_detour *detour);

#endif
