/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_CLS_TRIE_H
#define WARREN_SWITCH_CLS_TRIE_H
/*
 * A trie of the prefixes that a classifier's rules have on one field.
 *
 * Problem: rules for 10.1.0.0/16 and 10.2.3.0/24 make every packet's megaflow match 24 address bits, though for
 * 192.168.0.1 the first bit already says that neither hits. Idea: walk the address down a path-compressed binary trie;
 * that tells which prefix lengths hit, and how many bits it took to know. A node stands for up to 32 bits.
 *
 * Costs: an insertion makes at most one node a 32-bit word, and one more; a lookup visits as many nodes as prefixes
 * branch. Nodes have 16 bytes and lie in one array, for walks through those of 100,000 rules would otherwise miss the
 * processor's caches of memory and of pages at each step.
 */
#include "base/util.h"

struct cls_trie {
    struct cls_trie_node *nodes; /* all of them, in use or free */
    uint32_t root, n, room, free;
};

struct cls_trie_result {
    uint64_t lens[2];    /* bit (n - 1): some prefix of n bits hits */
    unsigned int n_bits; /* so many bits were looked at */
};

/* KEY in network order, left-aligned, LEN 1..128 bits of it. One prefix may be put in many times. */
void cls_trie_insert(struct cls_trie *t, const __be32 *key, unsigned int len);
/* It must be there. */
void cls_trie_remove(struct cls_trie *t, const __be32 *key, unsigned int len);
/* KEY has KEY_BITS bits. */
void cls_trie_lookup(const struct cls_trie *t, const __be32 *key, unsigned int key_bits, struct cls_trie_result *ret);
void cls_trie_done(struct cls_trie *t);

static inline bool cls_trie_hits(const struct cls_trie_result *r, unsigned int len)
{
    return r->lens[(len - 1) / 64] >> (len - 1) % 64 & 1;
}

#endif
