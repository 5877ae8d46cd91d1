/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_USERSPACE_MEGAFLOWS_H
#define WARREN_DATAPATH_USERSPACE_MEGAFLOWS_H
/*
 * The megaflow table of the userspace datapath.
 *
 * Problem: find, among flows with different masks, one that a key matches. Idea: tuple-space search. Flows with one
 * mask share a subtable, a hash table over the masked key; a lookup asks the subtables one after the other and stops at
 * the first hit, as flows that overlap have the same actions. Costs: a lookup is one hash a subtable over only the
 * words that its mask has bits in; subtables that hit more move to the front, so that busy traffic asks one or two.
 * Where there are more subtables than that, a cache in front remembers by the hash of some words of the whole key
 * which flow was hit last; the flow's own masked comparison judges.
 *
 * Invariants: an entry's key is masked; ids are unique; a subtable is never empty. An entry's actions are a counted
 * reference, so that who runs them may lose the flow meanwhile (an upcall that deletes it).
 */
#include "base/hash_index.h"
#include "datapath/datapath.h"

struct action_list {
    unsigned int refs;
    size_t len;
    uint64_t data[]; /* struct dp_action */
};

struct action_list *action_list_new(const struct dp_action *actions, size_t len);
void action_list_unref(struct action_list *list);
static inline struct action_list *action_list_ref(struct action_list *list)
{
    list->refs++;
    return list;
}
static inline const struct dp_action *action_list_actions(const struct action_list *list)
{
    return (const struct dp_action *)(const void *)list->data;
}

struct megaflow {
    struct subtable *subtable; /* NULL: removed, but the cache still points here */
    uint32_t hash;
    uint32_t n_cached; /* cache entries that point here */
    struct flow_key key;
    struct action_list *actions;
    struct dp_flow_stats stats;
    dp_flow_id id;
    struct megaflow *next_id;     /* in its bucket by id */
    struct megaflow *prev, *next; /* all flows */
};

struct subtable {
    struct flow_key mask;
    uint32_t mask_hash;
    uint8_t words[FLOW_KEY_U64S]; /* where the mask is not zero */
    unsigned int n_words;
    struct hash_index flows;
    uint64_t hits;
};

#define MEGAFLOWS_CACHE 8192

struct megaflows {
    struct subtable **subtables;
    struct hash_index by_mask; /* the same */
    size_t n_subtables;
    struct megaflow *list;   /* utlist */
    struct megaflow **by_id; /* ids are handed out one after the other: the low bits are a perfect hash */
    size_t n, n_by_id;       /* a power of 2 */
    struct megaflow **cache; /* MEGAFLOWS_CACHE of them, NULL until there are many subtables */
    unsigned int lookups;    /* since the subtables were last put in order */
};

void megaflows_done(struct megaflows *t);
/* NULL if none matches. */
struct megaflow *megaflows_lookup(struct megaflows *t, const struct flow_key *key);
struct megaflow *megaflows_find(struct megaflows *t, dp_flow_id id);
/* As dp_flow_put(). -EINVAL: the key has bits outside the mask, or the flow's id is there with another key. */
int megaflows_put(struct megaflows *t, const struct dp_flow *flow);
void megaflows_remove(struct megaflows *t, struct megaflow *f);

#endif
