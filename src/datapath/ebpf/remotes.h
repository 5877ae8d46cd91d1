/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_REMOTES_H
#define WARREN_DATAPATH_EBPF_REMOTES_H
/*
 * Where tunnels lead. Each remote end has entries of its own in the programs' next-hop cache, and two things of the
 * route to it are user space's to ask: its MTU, which the programs' lookups do not tell (ip-route(8)) unless it is
 * locked, and the source address of flows that leave it to the route, which is compiled into them.
 *
 * A remote to which no flow has led for a while gives its entries back.
 */
#include "datapath/ebpf/flows.h"
#include "datapath/userspace/userspace.h"

struct ebpf_remotes;

struct ebpf_remotes *ebpf_remotes_new(struct ebpf_maps *maps, struct us_datapath *us, const struct ebpf_flows *flows);
void ebpf_remotes_free(struct ebpf_remotes *rs);
/* A flow of a process before us has STEP. */
void ebpf_remotes_adopt(void *remotes, const struct ebpf_step *step);
/* Fills in where a flow with TUNNEL leads: nexthop and src. A src of zero: no route tells one yet, or there are too
 * many remotes; once that is over, ebpf_remotes_follow() or _tick() say so. A flow that was compiled with what this
 * gives must be put before the next _tick(). */
void ebpf_remotes_fill(struct ebpf_remotes *rs, const struct flow_tunnel *tunnel, struct ebpf_tunnel *t);
/* Routes, policies or addresses have changed, maybe. True: flows must be compiled again. */
bool ebpf_remotes_follow(struct ebpf_remotes *rs);
/* Once a second. True as above. */
bool ebpf_remotes_tick(struct ebpf_remotes *rs);

#endif
