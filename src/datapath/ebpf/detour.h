/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_DETOUR_H
#define WARREN_DATAPATH_EBPF_DETOUR_H
/*
 * The way on which super-packets out of tunnels lose the kernel's mark (detour.bpf.h says why):
 *
 *             our namespace             │   a namespace of the detour's own
 *                                       │
 *    uplink_ingress ── redirect_peer ───┼───────► in ─► route: seg6local End.DX2 (takes the IPv6 header off)
 *                                       │                   │
 *    ports, tunnels ◄─ uplink_ingress ◄─┼─ wr-detour0 ◄─── out
 *                             ▲         │
 *    copies for tunnels ──────┘         │
 *
 * wr-detour0 and in are a veth pair, out is a macvlan of wr-detour0. No queue is on the way. No address, route or rule
 * of the host is touched, and none of its firewalls is passed: of the kernel's ways to take the mark off each ends a
 * tunnel over IP, so in a namespace that is not for this alone (a VRF, too) it would meet the host's routes and
 * netfilter hooks.
 *
 * It outlives its process, as the programs do that use it. The devices hold each other, the detours map, which the
 * programs hold, has the entry, but a namespace must be held by somebody: a file in /run/netns does (netns.h), so that
 * there is no process which could be killed with ours. The next process looks at all of it, and goes on with it if it
 * is as it would make it itself and was for the same maps. Otherwise it makes one with another number beside it, which
 * its programs use from the beginning; the old one goes with the programs that use it.
 */
#include "datapath/ebpf/loader.h"

#define EBPF_DETOUR_PREFIX "wr-detour" /* of devices' and namespaces' names; a number follows */

struct ebpf_detour;

/* What a process before us left for RUNDIR (NULL: nothing outlives us, for tests) is adopted, or stays beside ours. */
int ebpf_detour_open(const struct ebpf_maps *maps, const char *rundir, struct ebpf_detour **ret_detour);
/* Its device is there, up and has our program: nobody has touched it. */
bool ebpf_detour_is_whole(const struct ebpf_detour *detour);
/* KEEP: only this process ends, the detour goes on. */
void ebpf_detour_close(struct ebpf_detour *detour, bool keep);
/* Removes every detour in this network namespace, and all that is left of RUNDIR's (NULL: it has none), but BUT (may be
 * NULL). */
void ebpf_detour_remove(const char *rundir, const struct ebpf_detour *but);

#endif
