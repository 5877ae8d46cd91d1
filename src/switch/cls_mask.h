/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_CLS_MASK_H
#define WARREN_SWITCH_CLS_MASK_H
/*
 * Masks of classifier rules in compact form. There is one object for each distinct mask in the process, counted by
 * references, so that a rule costs a pointer and masks compare as pointers.
 *
 * The words that a mask looks at are put in the order of stages: what says where a packet is (ports, tunnel, registers,
 * metadata), then L2, L3, L4. A lookup hashes them in this order and can stop after any stage.
 */
#include "openflow/flow.h"

enum cls_stage { CLS_STAGE_META, CLS_STAGE_L2, CLS_STAGE_L3, CLS_STAGE_L4, CLS_N_STAGES };

/* Fields with a prefix trie, in the order that they are asked. Both address families share storage, so a mask of only
 * the last 32 bits is IPv4's; ICMP types are the low byte of tp_src. */
enum cls_trie_id {
    CLS_TRIE_IPV4_DST,
    CLS_TRIE_IPV4_SRC,
    CLS_TRIE_IPV6_DST,
    CLS_TRIE_IPV6_SRC,
    CLS_TRIE_TP_DST,
    CLS_TRIE_TP_SRC,
    CLS_TRIE_ICMP_TYPE,
    CLS_N_TRIES,
    CLS_N_L3_TRIES = CLS_TRIE_TP_DST, /* the rest are L4's */
};

struct cls_mask {
    unsigned int refs;
    uint32_t hash;
    struct cls_mask *next; /* in its bucket of the process's table */
    uint8_t n;
    uint8_t ends[CLS_N_STAGES]; /* words of the stages up to this one: [0, ends) */
    uint8_t plens[CLS_N_TRIES]; /* prefix length; 0: not looked at, or not by a prefix */
    uint8_t at[FLOW_U64S];      /* where in struct flow the words stand */
    uint64_t words[];           /* n of them, none zero */
};

_Static_assert(FLOW_U64S <= 128, "cls_mask.n and .at; arrays of FLOW_U64S words on the stack");

/* A reference. */
struct cls_mask *cls_mask_get(const struct flow *full);
struct cls_mask *cls_mask_ref(struct cls_mask *mask);
void cls_mask_unref(struct cls_mask *mask);
/* No reference; NULL: no rule anywhere has this mask. */
const struct cls_mask *cls_mask_find(const struct flow *full);
/* VALUES NULL: the mask itself. */
void cls_mask_expand(const struct cls_mask *mask, const uint64_t *values, struct flow *ret);

static inline uint64_t cls_hash_add(uint64_t h, uint64_t v)
{
    h ^= v;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static inline uint32_t cls_hash_finish(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h ^ (h >> 32));
}

/* Of a whole key, as it is. */
static inline uint32_t cls_hash_key(const struct flow_key *key)
{
    const uint64_t *w = (const uint64_t *)(const void *)key;
    uint64_t h = 0;

    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        h = cls_hash_add(h, w[i]);
    }
    return cls_hash_finish(h);
}

/* Picks FLOW's words under MASK into OUT (n of them) and hashes them. */
static inline uint32_t cls_mask_pick(const struct cls_mask *mask, const struct flow *flow, uint64_t *out)
{
    const uint64_t *w = (const uint64_t *)(const void *)flow;
    uint64_t h = mask->n;

    for (unsigned int i = 0; i < mask->n; i++) {
        out[i] = w[mask->at[i]] & mask->words[i];
        h = cls_hash_add(h, out[i]);
    }
    return cls_hash_finish(h);
}

/* ORs the first N words into DST. */
static inline void cls_mask_or(struct flow *dst, const struct cls_mask *mask, unsigned int n)
{
    uint64_t *d = (uint64_t *)(void *)dst;

    for (unsigned int i = 0; i < n; i++) {
        d[mask->at[i]] |= mask->words[i];
    }
}

#endif
