/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/cls_trie.h"

#include <arpa/inet.h>

#include "base/util.h"

#define NONE 0u
#define NODES_FIRST 8u
#define INSERT_NODES_MAX 5u /* of 128 bits, and one that is cut */

struct cls_trie_node {
    uint32_t bits; /* left-aligned, zero beyond n_bits */
    uint32_t n_bits : 6, n_rules : 26;
    uint32_t edges[2]; /* indices; of a free node the first is the next free one */
};

/* --- room --- */

/* For one insertion, so that no node moves while it is under way. */
static void reserve(struct cls_trie *t)
{
    uint32_t room = t->room ? t->room * 2 : NODES_FIRST;

    if (t->room < t->n + INSERT_NODES_MAX) {
        t->nodes = xrealloc(t->nodes, room * sizeof *t->nodes);
        t->room = room;
        t->n = MAX(t->n, 1u); /* NONE */
    }
}

static uint32_t node_new(struct cls_trie *t)
{
    uint32_t i = t->free ? t->free : t->n++;

    t->free = t->free ? t->nodes[i].edges[0] : NONE;
    t->nodes[i] = (struct cls_trie_node){0};
    return i;
}

static void node_free(struct cls_trie *t, uint32_t i)
{
    t->nodes[i].edges[0] = t->free;
    t->free = i;
}

/* --- bits --- */

/* N (up to 32) bits from bit OFS of KEY, left-aligned. Never reads past the word that the last of them is in. */
static uint32_t key_bits_at(const __be32 *key, unsigned int ofs, unsigned int n)
{
    unsigned int shift = ofs % 32;
    uint32_t v;

    if (!n) {
        return 0;
    }
    v = ntohl(key[ofs / 32]) << shift;
    if (shift && shift + n > 32) {
        v |= ntohl(key[ofs / 32 + 1]) >> (32 - shift);
    }
    return v & (UINT32_MAX << (32 - n));
}

static unsigned int key_bit(const __be32 *key, unsigned int ofs)
{
    return ntohl(key[ofs / 32]) >> (31 - ofs % 32) & 1;
}

/* How many bits of NODE agree with KEY from OFS on, when KEY has LEN bits. */
static unsigned int equal_bits(const struct cls_trie_node *node, const __be32 *key, unsigned int ofs, unsigned int len)
{
    unsigned int n = MIN((unsigned int)node->n_bits, len - ofs);
    uint32_t diff = n ? (node->bits ^ key_bits_at(key, ofs, n)) & (UINT32_MAX << (32 - n)) : 0;

    return diff ? (unsigned int)__builtin_clz(diff) : n;
}

/* --- changes --- */

/* A chain of nodes for KEY's bits from OFS to LEN, the last of them with a rule. */
static uint32_t branch_new(struct cls_trie *t, const __be32 *key, unsigned int ofs, unsigned int len)
{
    uint32_t i = node_new(t);
    struct cls_trie_node *node = &t->nodes[i];
    unsigned int n = MIN(len - ofs, 32u);

    node->n_bits = n;
    node->bits = key_bits_at(key, ofs, n);
    if (ofs + n == len) {
        node->n_rules = 1;
    } else {
        node->edges[key_bit(key, ofs + n)] = branch_new(t, key, ofs + n, len);
    }
    return i;
}

/* Cuts *AT after N of its bits: a new node holds those, the old one hangs below. */
static struct cls_trie_node *split(struct cls_trie *t, uint32_t *at, unsigned int n)
{
    uint32_t old = *at, new = node_new(t);
    struct cls_trie_node *below = &t->nodes[old], *node = &t->nodes[new];

    node->n_bits = n;
    node->bits = n ? below->bits & (UINT32_MAX << (32 - n)) : 0;
    below->bits = n < 32 ? below->bits << n : 0;
    below->n_bits -= n;
    node->edges[below->bits >> 31] = old;
    *at = new;
    return node;
}

void cls_trie_insert(struct cls_trie *t, const __be32 *key, unsigned int len)
{
    uint32_t *at = &t->root;
    unsigned int ofs = 0;

    reserve(t);
    while (*at) {
        struct cls_trie_node *node = &t->nodes[*at];
        unsigned int n = equal_bits(node, key, ofs, len);

        if (n < node->n_bits) {
            node = split(t, at, n);
        }
        ofs += n;
        if (ofs == len) {
            node->n_rules++;
            return;
        }
        at = &node->edges[key_bit(key, ofs)];
    }
    *at = branch_new(t, key, ofs, len);
}

/* Drops *AT when nothing needs it any more, or joins it with its only child. */
static void prune(struct cls_trie *t, uint32_t *at)
{
    struct cls_trie_node *node = &t->nodes[*at], *child;
    uint32_t old = *at, below;

    if (node->n_rules || (node->edges[0] && node->edges[1])) {
        return;
    }
    below = node->edges[0] ? node->edges[0] : node->edges[1];
    child = &t->nodes[below];
    if (!below) {
        *at = NONE;
        node_free(t, old);
    } else if (child->n_bits + node->n_bits <= 32) {
        child->bits = node->bits | (node->n_bits < 32 ? child->bits >> node->n_bits : 0);
        child->n_bits += node->n_bits;
        *at = below;
        node_free(t, old);
    }
}

static void remove_below(struct cls_trie *t, uint32_t *at, const __be32 *key, unsigned int ofs, unsigned int len)
{
    struct cls_trie_node *node = &t->nodes[*at];

    ofs += node->n_bits;
    if (ofs == len) {
        node->n_rules--;
    } else {
        remove_below(t, &node->edges[key_bit(key, ofs)], key, ofs, len);
    }
    prune(t, at);
}

void cls_trie_remove(struct cls_trie *t, const __be32 *key, unsigned int len)
{
    remove_below(t, &t->root, key, 0, len);
    if (!t->root) {
        cls_trie_done(t);
    }
}

void cls_trie_done(struct cls_trie *t)
{
    free(t->nodes);
    *t = (struct cls_trie){0};
}

/* --- lookup --- */

void cls_trie_lookup(const struct cls_trie *t, const __be32 *key, unsigned int key_bits, struct cls_trie_result *ret)
{
    const struct cls_trie_node *node = NULL, *prev = NULL;
    unsigned int ofs = 0;
    uint32_t i = t->root;

    *ret = (struct cls_trie_result){0};
    for (; i; i = node->edges[key_bit(key, ofs)]) {
        node = &t->nodes[i];
        unsigned int n = equal_bits(node, key, ofs, key_bits);

        ofs += n;
        if (n < node->n_bits) {
            ret->n_bits = MIN(ofs + 1, key_bits); /* with the bit that differs */
            return;
        }
        if (node->n_rules) {
            ret->lens[(ofs - 1) / 64] |= UINT64_C(1) << (ofs - 1) % 64;
        }
        if (ofs == key_bits) {
            break;
        }
        prev = node;
    }
    /* No such branch: that the other one was not taken is known by one more bit. */
    ret->n_bits = i || !prev || (!prev->edges[0] && !prev->edges[1]) ? ofs : ofs + 1;
}
