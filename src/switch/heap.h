/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_HEAP_H
#define WARREN_SWITCH_HEAP_H
/*
 * A binary heap of nodes that are embedded in the caller's structs: the smallest key is on top. Every operation is
 * O(log n). It owns only the array of pointers. Used for what comes due (timeouts) and what goes first (eviction).
 *
 * Keys that only ever grow need not be kept current: who takes the top node computes its true key, and if that is
 * larger, puts it back with heap_change(). So a packet that makes a flow live longer costs nothing.
 */
#include "base/util.h"

struct heap_node {
    uint64_t key;
    size_t at; /* where in the array, counted from 1; 0: in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t n, allocated;
};

static inline struct heap_node *heap_top(const struct heap *h)
{
    return h->n ? h->nodes[0] : NULL;
}
static inline bool heap_has(const struct heap_node *node)
{
    return node->at;
}
/* NODE must be in no heap. */
void heap_insert(struct heap *h, struct heap_node *node, uint64_t key);
/* NODE must be in H. */
void heap_remove(struct heap *h, struct heap_node *node);
void heap_change(struct heap *h, struct heap_node *node, uint64_t key);
/* Nodes left inside are forgotten. */
void heap_done(struct heap *h);

#endif
