/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash_index.h"

static void put(struct hash_index *x, uint32_t hash, void *p)
{
    size_t i = hash & (x->n_slots - 1);

    while (x->slots[i].p) {
        i = (i + 1) & (x->n_slots - 1);
    }
    x->slots[i] = (struct hash_slot){p, hash};
}

void hash_index_insert(struct hash_index *x, uint32_t hash, void *p)
{
    if ((x->n + 1) * 4 > x->n_slots * 3) {
        struct hash_index bigger = {.n_slots = MAX(x->n_slots * 2, (size_t)4), .n = x->n};

        bigger.slots = xcalloc(bigger.n_slots, sizeof *bigger.slots);
        for (size_t i = 0; i < x->n_slots; i++) {
            if (x->slots[i].p) {
                put(&bigger, x->slots[i].hash, x->slots[i].p);
            }
        }
        free(x->slots);
        *x = bigger;
    }
    put(x, hash, p);
    x->n++;
}

static size_t slot_of(const struct hash_index *x, uint32_t hash, const void *p)
{
    size_t i = hash & (x->n_slots - 1);

    while (x->slots[i].p != p) {
        i = (i + 1) & (x->n_slots - 1);
    }
    return i;
}

void hash_index_remove(struct hash_index *x, uint32_t hash, const void *p)
{
    size_t mask = x->n_slots - 1, hole = slot_of(x, hash, p);

    x->n--;
    x->slots[hole].p = NULL;
    for (size_t i = (hole + 1) & mask; x->slots[i].p; i = (i + 1) & mask) {
        size_t home = x->slots[i].hash & mask;

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            x->slots[hole] = x->slots[i];
            x->slots[i].p = NULL;
            hole = i;
        }
    }
}

void hash_index_replace(struct hash_index *x, uint32_t hash, const void *old, void *new)
{
    x->slots[slot_of(x, hash, old)].p = new;
}

void **hash_index_list(const struct hash_index *x)
{
    void **list = x->n ? xmalloc(x->n * sizeof *list) : NULL;
    size_t n = 0;

    for (size_t i = 0; i < x->n_slots; i++) {
        if (x->slots[i].p) {
            list[n++] = x->slots[i].p;
        }
    }
    return list;
}

void hash_index_done(struct hash_index *x)
{
    free(x->slots);
    *x = (struct hash_index){0};
}
