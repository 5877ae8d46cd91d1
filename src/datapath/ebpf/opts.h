/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_OPTS_H
#define WARREN_DATAPATH_EBPF_OPTS_H
/*
 * The Geneve options that the fast path knows when they come in. A packet with others goes through the host's stack to
 * the inner datapath's socket, which gives them a number and says so here; from then on the fast path gives it by
 * itself. Each set that it knows is referenced, so its number stays; the oldest of EBPF_OPTS_MAX makes way, and comes
 * again when it is still in use. What is sent needs none of this: a flow's steps hold the bytes.
 *
 * Flows of a process before us name options by its numbers, so what is in an adopted map keeps them.
 */
#include "datapath/ebpf/loader.h"

struct ebpf_opts_table;

/* MAPS is kept. */
struct ebpf_opts_table *ebpf_opts_new(struct ebpf_maps *maps);
void ebpf_opts_free(struct ebpf_opts_table *o);
/* The options ID came in: lets the fast path know them. */
void ebpf_opts_add(struct ebpf_opts_table *o, uint32_t id);
bool ebpf_opts_has(const struct ebpf_opts_table *o, uint32_t id);

#endif
