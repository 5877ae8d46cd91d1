/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/cls_trie.h"

#include <arpa/inet.h>

#include "base/util.h"

struct cls_trie_node {
    uint32_t bits; /* left-aligned, zero beyond n_bits */
    uint32_t n_bits : 6, n_rules : 26;
    struct cls_trie_node *edges[2];
};

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

/* A chain of nodes for KEY's bits from OFS to LEN, the last of them with a rule. */
static struct cls_trie_node *branch_new(const __be32 *key, unsigned int ofs, unsigned int len)
{
    struct cls_trie_node *node = xcalloc(1, sizeof *node);
    unsigned int n = MIN(len - ofs, 32u);

    node->n_bits = n;
    node->bits = key_bits_at(key, ofs, n);
    if (ofs + n == len) {
        node->n_rules = 1;
    } else {
        node->edges[key_bit(key, ofs + n)] = branch_new(key, ofs + n, len);
    }
    return node;
}

/* Cuts *AT after N of its bits: a new node holds those, the old one hangs below. */
static struct cls_trie_node *split(struct cls_trie_node **at, unsigned int n)
{
    struct cls_trie_node *below = *at, *node = xcalloc(1, sizeof *node);

    node->n_bits = n;
    node->bits = n ? below->bits & (UINT32_MAX << (32 - n)) : 0;
    below->bits = n < 32 ? below->bits << n : 0;
    below->n_bits -= n;
    node->edges[below->bits >> 31] = below;
    *at = node;
    return node;
}

void cls_trie_insert(struct cls_trie *t, const __be32 *key, unsigned int len)
{
    struct cls_trie_node **at = &t->root;
    unsigned int ofs = 0;

    while (*at) {
        struct cls_trie_node *node = *at;
        unsigned int n = equal_bits(node, key, ofs, len);

        if (n < node->n_bits) {
            node = split(at, n);
        }
        ofs += n;
        if (ofs == len) {
            node->n_rules++;
            return;
        }
        at = &node->edges[key_bit(key, ofs)];
    }
    *at = branch_new(key, ofs, len);
}

/* Drops *AT when nothing needs it any more, or joins it with its only child. */
static void prune(struct cls_trie_node **at)
{
    struct cls_trie_node *node = *at, *child;

    if (node->n_rules || (node->edges[0] && node->edges[1])) {
        return;
    }
    child = node->edges[0] ? node->edges[0] : node->edges[1];
    if (!child) {
        *at = NULL;
        free(node);
    } else if (child->n_bits + node->n_bits <= 32) {
        child->bits = node->bits | (node->n_bits < 32 ? child->bits >> node->n_bits : 0);
        child->n_bits += node->n_bits;
        *at = child;
        free(node);
    }
}

static void remove_below(struct cls_trie_node **at, const __be32 *key, unsigned int ofs, unsigned int len)
{
    struct cls_trie_node *node = *at;

    ofs += node->n_bits;
    if (ofs == len) {
        node->n_rules--;
    } else {
        remove_below(&node->edges[key_bit(key, ofs)], key, ofs, len);
    }
    prune(at);
}

void cls_trie_remove(struct cls_trie *t, const __be32 *key, unsigned int len)
{
    remove_below(&t->root, key, 0, len);
}

void cls_trie_lookup(const struct cls_trie *t, const __be32 *key, unsigned int key_bits, struct cls_trie_result *ret)
{
    const struct cls_trie_node *node = t->root, *prev = NULL;
    unsigned int ofs = 0;

    *ret = (struct cls_trie_result){0};
    while (node) {
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
        node = node->edges[key_bit(key, ofs)];
    }
    /* No such branch: that the other one was not taken is known by one more bit. */
    ret->n_bits = node || !prev || (!prev->edges[0] && !prev->edges[1]) ? ofs : ofs + 1;
}

static void free_below(struct cls_trie_node *node)
{
    if (node) {
        free_below(node->edges[0]);
        free_below(node->edges[1]);
        free(node);
    }
}

void cls_trie_done(struct cls_trie *t)
{
    free_below(t->root);
    t->root = NULL;
}
