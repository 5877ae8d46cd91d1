/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_FLOWS_H
#define WARREN_DATAPATH_EBPF_FLOWS_H
/*
 * Megaflows in the maps: who is in which slot (slots.h), the index by which programs find it, counters.
 *
 * A flow whose actions change gets a new slot; its counters are carried over when the old one has come out of
 * quarantine and nobody can count in it any more. Flows that a process before left in adopted maps go on as orphans;
 * one that is put again with the same key and mask is taken over in place.
 */
#include "datapath/ebpf/compile.h"
#include "datapath/ebpf/loader.h"
#include "datapath/ebpf/opts.h"

struct ebpf_flows;

/* OPTS (may be NULL) says which Geneve options of adopted flows still mean what they did. */
struct ebpf_flows *ebpf_flows_new(struct ebpf_maps *maps, const struct ebpf_opts_table *opts);
void ebpf_flows_free(struct ebpf_flows *flows); /* the maps' contents stay */
/* Makes the flow ID, as of a packet at USED_MS (0: none yet), or changes what it does. -ENOSPC: no room for it (nothing
 * is changed, but that a former version of the flow goes out of the maps; what it counted is still told). */
int ebpf_flows_put(struct ebpf_flows *flows, dp_flow_id id, const struct flow_key *key, const struct flow_key *mask,
                   const struct ebpf_program *program, int64_t used_ms, int64_t now_ms);
/* It is in the maps. */
bool ebpf_flows_has(const struct ebpf_flows *flows, dp_flow_id id);
/* Some have gone since there was no room, and a new one would be likely to find some. */
bool ebpf_flows_have_room(const struct ebpf_flows *flows);
/* -ENOENT. */
int ebpf_flows_del(struct ebpf_flows *flows, dp_flow_id id, struct dp_flow_stats *ret_stats, int64_t now_ms);
int ebpf_flows_get_stats(const struct ebpf_flows *flows, dp_flow_id id, struct dp_flow_stats *ret_stats);
/* Whether what is in the maps for the flow is PROGRAM under that key and mask. -ENOENT: it is not there. */
int ebpf_flows_verify(const struct ebpf_flows *flows, dp_flow_id id, const struct flow_key *key,
                      const struct flow_key *mask, const struct ebpf_program *program, bool *ret_same);
/* The I-th step of the flow, as it is now. */
int ebpf_flows_step(const struct ebpf_flows *flows, dp_flow_id id, uint32_t i, struct ebpf_step *ret_step);
/* The output that was the I-th step of the flow when a packet met it in SLOT. -ENOENT: it is none, or the flow is gone
 * since then, or would not send this packet there any more, as what the steps before have made of it. */
int ebpf_flows_output(const struct ebpf_flows *flows, dp_flow_id id, uint32_t slot, uint32_t i,
                      struct ebpf_step *ret_step);
/* The Geneve options, by number, of that output, a tunnel's; 0: none. -ENOENT; errors as tunnel_opts_intern()'s. */
int ebpf_flows_options(const struct ebpf_flows *flows, dp_flow_id id, uint32_t slot, uint32_t i, uint32_t *ret_opts_id);
/* Orphans one after the other, in the order of their last use as it was at the first one. `at` says which one it is. */
struct ebpf_orphan {
    struct flow_key key, mask;
    int64_t used_ms; /* 0: never */
    uint32_t at;
};
void ebpf_flows_first_orphan(struct ebpf_flows *flows);
/* The one at hand; false when there is none (left). */
bool ebpf_flows_orphan(const struct ebpf_flows *flows, struct ebpf_orphan *ret);
/* On to the next, if the one at hand is still AT; DROP: that one is removed. */
void ebpf_flows_next_orphan(struct ebpf_flows *flows, uint32_t at, bool drop, int64_t now_ms);
/* Removes the orphans that come from or lead to the port NUMBER, with ALONE those that lead nowhere else. */
void ebpf_flows_drop_orphans_of(struct ebpf_flows *flows, uint32_t number, bool alone, int64_t now_ms);
void ebpf_flows_for_each_orphan_step(const struct ebpf_flows *flows,
                                     void (*fn)(void *aux, const struct ebpf_step *step), void *aux);
/* How many steps, orphans' and those in quarantine too, use the next-hop cache entries from NEXTHOP on. */
uint32_t ebpf_flows_leading_to(const struct ebpf_flows *flows, uint32_t nexthop);
/* Ends quarantines; call it about once a second. */
void ebpf_flows_tick(struct ebpf_flows *flows, int64_t now_ms);

#endif
