/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_CLASSIFIER_PRIVATE_H
#define WARREN_SWITCH_CLASSIFIER_PRIVATE_H
/* What the classifier's files share: classifier.c (tuples, insertion, iteration), classifier_lookup.c (lookup with
 * stages, tries and conjunctions). */
#include <uthash.h>

#include "base/hash_index.h"
#include "switch/classifier.h"

/* Hashes of the tuple's matches up to one stage, each with the number of matches it stands for. Open addressing. */
struct cls_stage_set {
    struct cls_stage_hash {
        uint32_t hash;
        uint32_t count; /* 0: empty */
    } * slots;
    size_t n_slots, n; /* a power of 2 */
};

struct cls_priority {
    int32_t priority;
    uint32_t count;
};

struct cls_tuple {
    struct cls_mask *mask;
    struct hash_index heads; /* the best rule of each match */
    struct cls_stage_set stages[CLS_N_STAGES - 1];
    struct cls_priority *priorities; /* descending: how many rules of each */
    size_t n_priorities;
    UT_hash_handle hh; /* by mask */
};

/* Does the mask look at something in STAGE, and at something after it? Then the tuple has a set of hashes for it. */
static inline bool cls_stage_used(const struct cls_mask *mask, unsigned int stage)
{
    return mask->ends[stage] > (stage ? mask->ends[stage - 1] : 0) && mask->ends[stage] < mask->n;
}

static inline bool cls_stage_set_has(const struct cls_stage_set *s, uint32_t hash)
{
    for (size_t i = hash & (s->n_slots - 1); s->slots[i].count; i = (i + 1) & (s->n_slots - 1)) {
        if (s->slots[i].hash == hash) {
            return true;
        }
    }
    return false;
}

/* The head of the match VALUES: its best rule. */
static inline struct cls_rule *cls_tuple_find(const struct cls_tuple *t, uint32_t hash, const uint64_t *values)
{
    struct cls_rule *r;

    HASH_INDEX_FOR_EACH_WITH(r, &t->heads, hash)
    {
        if (!t->mask->n || !memcmp(r->values, values, t->mask->n * sizeof *values)) {
            return r;
        }
    }
    return NULL;
}

/* The trie's key in FLOW, left-aligned; *RET_BITS: how long. BUF serves where it must be put together. */
const __be32 *cls_trie_key(enum cls_trie_id trie, const struct flow_key *key, __be32 *buf, unsigned int *ret_bits);

#endif
