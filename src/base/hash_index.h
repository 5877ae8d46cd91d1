/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_HASH_INDEX_H
#define WARREN_BASE_HASH_INDEX_H
/*
 * A hash table of pointers by 32-bit hashes, for tables that are looked up for each packet or miss.
 *
 * Problem: chained tables touch one object after the other to find that none is the right one, and each touch is a
 * cache miss. Idea: open addressing with linear probing; a slot holds the hash beside the pointer, so that nearly
 * always only the object sought is touched. The caller hashes well, compares, and owns the objects. At most three
 * quarters of the slots are used; removal moves up what only stood further on because of it, so there are no
 * tombstones.
 */
#include "base/util.h"

struct hash_slot {
    void *p; /* NULL: empty */
    uint32_t hash;
};

struct hash_index {
    struct hash_slot *slots;
    size_t n_slots, n; /* a power of 2, or 0 */
};

/* Each object P of HASH in turn. Nothing may be inserted or removed meanwhile. */
#define HASH_INDEX_FOR_EACH_WITH(P, INDEX, HASH)                                                                       \
    for (size_t P##_at = hash_index_next(INDEX, HASH, (HASH));                                                         \
         P##_at != SIZE_MAX && ((P) = (INDEX)->slots[P##_at].p, true);                                                 \
         P##_at = hash_index_next(INDEX, HASH, P##_at + 1))

/* The first slot of HASH at or after AT (any number: it wraps), SIZE_MAX: none. */
static inline size_t hash_index_next(const struct hash_index *x, uint32_t hash, size_t at)
{
    if (!x->n) {
        return SIZE_MAX;
    }
    for (at &= x->n_slots - 1; x->slots[at].p; at = (at + 1) & (x->n_slots - 1)) {
        if (x->slots[at].hash == hash) {
            return at;
        }
    }
    return SIZE_MAX;
}

/* P must not be in it. */
void hash_index_insert(struct hash_index *x, uint32_t hash, void *p);
/* P must be in it. */
void hash_index_remove(struct hash_index *x, uint32_t hash, const void *p);
/* NEW of the same hash takes OLD's slot. */
void hash_index_replace(struct hash_index *x, uint32_t hash, const void *old, void *new);
/* All objects, N of them, the caller's to free; NULL: none. */
void **hash_index_list(const struct hash_index *x);
void hash_index_done(struct hash_index *x);

#endif
