/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_EBPF_H
#define WARREN_DATAPATH_EBPF_EBPF_H
/*
 * The datapath class "ebpf": the kernel forwards by what is in BPF maps, and a userspace datapath inside this one is
 * both its slow path and its memory.
 *
 * Problem: the fast path cannot do everything, and what it does not do must not be lost. Idea: an inner userspace
 * datapath has every port and every megaflow; its ports send by AF_PACKET and raw sockets but receive only what the
 * fast path left to the host (tunnel packets in fragments, with options, …). What goes in here goes into both. A packet
 * that comes up is looked up in the inner megaflows first (another packet may have brought its flow meanwhile) and run
 * there, or handed to the switch as a miss. Counters are sums of both.
 *
 * Files: *.bpf.h, ebpf.bpf.c (the programs), shared.h (maps and steps), loader.c (load, pin, adopt), compile.c (actions
 * to steps), flows.c (slots), remotes.c (where tunnels lead), ports.c and net.c (netdevs), addresses.c (the host's
 * addresses), detour.c (super-packets out of tunnels) on netns.c, upcall.c (the ring), ebpf.c (the class), ebpf_ports.c
 * (its ports), ebpf_meters.c (meters and policing).
 */
#include "datapath/datapath.h"

extern const struct dp_class dp_ebpf_class;

/* Where the run directory is, whose name the pins carry; before dp_open(). Without it nothing is pinned. */
void dp_ebpf_set_rundir(const char *rundir);
/* Did a process before us leave one for RUNDIR, which forwards? */
bool dp_ebpf_is_left(const char *rundir);
/* Removes every trace that a datapath of RUNDIR left: programs, clsact filters, veth pairs, pins. */
int dp_ebpf_detach(const char *rundir);

#endif
