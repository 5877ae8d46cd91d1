/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_SLOTS_H
#define WARREN_DATAPATH_EBPF_SLOTS_H
/*
 * Room in the maps: slots with their steps, and the masks that they name. A program may be running on any of them at
 * any time, so a slot is filled while it is dead, and what is given back rests for EBPF_QUARANTINE_MS before it is
 * given out again. Which flow is in a slot, and the index by which programs find it, are flows.h's.
 */
#include "datapath/ebpf/compile.h"
#include "datapath/ebpf/loader.h"

struct ebpf_slots;

/* All is free, unless the maps were adopted: then ebpf_slots_adopt() must follow. */
struct ebpf_slots *ebpf_slots_new(struct ebpf_maps *maps);
void ebpf_slots_free(struct ebpf_slots *slots); /* the maps' contents stay */
/* Frees all slots and masks but those slots that are whole and of which KEEP says so. */
void ebpf_slots_adopt(struct ebpf_slots *slots, bool (*keep)(void *aux, uint32_t index), void *aux);

/* The index of MASK, which has one user more then. False: there is no room. */
bool ebpf_slots_get_mask(struct ebpf_slots *slots, const struct flow_key *mask, uint32_t *ret_index);
void ebpf_slots_hold_mask(struct ebpf_slots *slots, uint32_t index); /* one user more */
void ebpf_slots_put_mask(struct ebpf_slots *slots, uint32_t index);  /* one less */

/* Fills a free slot and brings it to life, as of a packet at USED_NS. It has the caller's use of MASK from here on.
 * False: there is no room. */
bool ebpf_slots_make(struct ebpf_slots *slots, dp_flow_id id, const struct flow_key *key, uint32_t mask,
                     const struct ebpf_program *program, uint64_t used_ns, uint32_t *ret_index);
/* The slot matches nothing any more; a program may still be running on it. What it has counted until now. */
struct dp_flow_stats ebpf_slots_bury(struct ebpf_slots *slots, uint32_t index, dp_flow_id id, int64_t now_ms);
/* Ends quarantines. FREED hears of each slot, with the id by which it was buried and what it has counted since. */
typedef void (*ebpf_slot_freed)(void *aux, uint32_t index, dp_flow_id id, const struct dp_flow_stats *late);
void ebpf_slots_tick(struct ebpf_slots *slots, int64_t now_ms, ebpf_slot_freed freed, void *aux);

/* Step I of SLOT, which has so many. */
const struct ebpf_step *ebpf_slots_step(const struct ebpf_slots *slots, const struct ebpf_slot *slot, uint32_t i);
/* SLOT does just that. */
bool ebpf_slots_does(const struct ebpf_slots *slots, const struct ebpf_slot *slot, const struct ebpf_program *program);
struct dp_flow_stats ebpf_slot_stats(const struct ebpf_slot *slot);
/* There is some room of each kind, and not just for one. */
bool ebpf_slots_have_room(const struct ebpf_slots *slots);
/* How many steps, those in quarantine too, use the next-hop cache entries from NEXTHOP on. */
uint32_t ebpf_slots_leading_to(const struct ebpf_slots *slots, uint32_t nexthop);

#endif
