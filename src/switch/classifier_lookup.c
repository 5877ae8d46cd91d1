/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/classifier_private.h"

#include <arpa/inet.h>

struct lookup {
    const struct classifier *cls;
    const struct flow *flow;
    struct flow *mask;       /* or NULL */
    unsigned int tries_done; /* a bit a trie: its result is in */
    struct cls_trie_result tries[CLS_N_TRIES];
};

/* Clauses that hit. */
struct hits {
    const struct cls_rule **rules;
    size_t n, allocated;
};

/* ---- tuples ---- */

static void mask_prefix(struct ip_addr *mask, unsigned int n)
{
    for (unsigned int i = 0; i < 4 && n; i++) {
        unsigned int here = MIN(n, 32u);

        mask->be32[i] |= htonl(UINT32_MAX << (32 - here));
        n -= here;
    }
}

/* The first N bits of the trie's field have been looked at. */
static void mask_trie(struct flow_key *mask, enum cls_trie_id trie, unsigned int n)
{
    uint32_t word = n ? UINT32_MAX << (32 - MIN(n, 32u)) : 0;

    switch (trie) {
    case CLS_TRIE_IPV4_SRC:
        mask->ip_src.be32[3] |= htonl(word);
        break;
    case CLS_TRIE_IPV4_DST:
        mask->ip_dst.be32[3] |= htonl(word);
        break;
    case CLS_TRIE_IPV6_SRC:
        mask_prefix(&mask->ip_src, n);
        break;
    case CLS_TRIE_IPV6_DST:
        mask_prefix(&mask->ip_dst, n);
        break;
    case CLS_TRIE_TP_SRC:
        mask->tp_src |= htons((uint16_t)(word >> 16));
        break;
    case CLS_TRIE_TP_DST:
        mask->tp_dst |= htons((uint16_t)(word >> 16));
        break;
    case CLS_TRIE_ICMP_TYPE:
        mask->tp_src |= htons((uint16_t)(word >> 24));
        break;
    case CLS_N_TRIES:
        break;
    }
}

/* Does some prefix of that length, in whichever rule, hit? */
static bool trie_admits(struct lookup *l, enum cls_trie_id trie, unsigned int len)
{
    struct cls_trie_result *r = &l->tries[trie];

    if (!(l->tries_done >> trie & 1)) {
        unsigned int n_bits;
        __be32 buf;
        const __be32 *key = cls_trie_key(trie, &l->flow->key, &buf, &n_bits);

        cls_trie_lookup(&l->cls->tries[trie], key, n_bits, r);
        l->tries_done |= 1u << trie;
    }
    if (cls_trie_hits(r, len)) {
        return true;
    }
    if (l->mask) {
        mask_trie(&l->mask->key, trie, MIN(r->n_bits, len));
    }
    return false;
}

/* Do the tries of this stage's fields let the tuple's prefixes be? */
static bool tries_admit(struct lookup *l, const struct cls_mask *mask, unsigned int stage)
{
    unsigned int first = stage == CLS_STAGE_L4 ? CLS_N_L3_TRIES : 0;
    unsigned int end = stage == CLS_STAGE_L4 ? CLS_N_TRIES : CLS_N_L3_TRIES;

    for (unsigned int i = first; i < end; i++) {
        if (mask->plens[i] && !trie_admits(l, i, mask->plens[i])) {
            return false;
        }
    }
    return true;
}

static struct cls_rule *probe(struct lookup *l, const struct cls_tuple *t)
{
    const uint64_t *w = (const uint64_t *)(const void *)l->flow;
    const struct cls_mask *mask = t->mask;
    uint64_t values[FLOW_U64S], h = mask->n;
    struct cls_rule *r = NULL;
    unsigned int i = 0;

    for (unsigned int stage = 0; stage < CLS_N_STAGES; stage++) {
        if (i == mask->ends[stage]) {
            continue;
        }
        if (stage >= CLS_STAGE_L3 && !tries_admit(l, mask, stage)) {
            goto out;
        }
        for (; i < mask->ends[stage]; i++) {
            values[i] = w[mask->at[i]] & mask->words[i];
            h = cls_hash_add(h, values[i]);
        }
        if (i < mask->n && !cls_stage_set_has(&t->stages[stage], cls_hash_finish(h))) {
            goto out;
        }
    }
    r = cls_tuple_find(t, cls_hash_finish(h), values);
out:
    if (l->mask) {
        cls_mask_or(l->mask, mask, i);
    }
    return r;
}

/* ---- conjunctions ---- */

static void hits_put(struct hits *hits, const struct cls_rule *r)
{
    if (hits->n == hits->allocated) {
        hits->allocated = MAX(hits->allocated * 2, (size_t)16);
        hits->rules = xrealloc(hits->rules, hits->allocated * sizeof *hits->rules);
    }
    hits->rules[hits->n++] = r;
}

/* The best plain rule of one match; clauses above it go to HITS (NULL: nobody asks). */
static struct cls_rule *best_plain(struct cls_rule *head, int32_t above, struct hits *hits)
{
    for (struct cls_rule *r = head; r && r->priority > above; r = r->lower) {
        if (!r->conj) {
            return r;
        }
        if (hits) {
            hits_put(hits, r);
        }
    }
    return NULL;
}

/* Priorities may be any 32-bit number, so "none yet" needs 64. */
static struct cls_rule *lookup_plain(struct lookup *l, struct hits *hits)
{
    const struct classifier *cls = l->cls;
    struct cls_rule *best = NULL, *r;

    for (size_t i = 0; i < cls->n_tuples && (!best || cls->order[i].max > best->priority); i++) {
        r = probe(l, cls->order[i].tuple);
        if (r) {
            r = best_plain(r, best ? best->priority : INT32_MIN, hits);
        }
        if (r) {
            best = r;
        }
    }
    return best;
}

static int by_priority(const void *a_, const void *b_)
{
    const struct cls_rule *const *a = a_, *const *b = b_;

    return (*a)->priority < (*b)->priority ? 1 : (*a)->priority > (*b)->priority ? -1 : 0;
}

static int by_id(const void *a_, const void *b_)
{
    const struct cls_conj *a = a_, *b = b_;

    return a->id != b->id                 ? (a->id < b->id ? -1 : 1)
           : a->n_clauses != b->n_clauses ? (a->n_clauses < b->n_clauses ? -1 : 1)
                                          : 0;
}

static struct cls_rule *lookup_conj_id(struct lookup *l, uint32_t id)
{
    struct flow flow = *l->flow;
    struct lookup again = *l;

    flow.conj_id = id;
    again.flow = &flow;
    return lookup_plain(&again, NULL);
}

/* What the first conjunction that the N clauses complete leads to, lowest id first. */
static struct cls_rule *resolve(struct lookup *l, const struct cls_rule **rules, size_t n)
{
    _cleanup_free_ struct cls_conj *items = NULL;
    size_t n_items = 0, end;

    for (size_t i = 0; i < n; i++) {
        n_items += rules[i]->conj->n;
    }
    items = xmalloc(n_items * sizeof *items);
    for (size_t i = 0, at = 0; i < n; at += rules[i]->conj->n, i++) {
        memcpy(&items[at], rules[i]->conj->items, rules[i]->conj->n * sizeof *items);
    }
    qsort(items, n_items, sizeof *items, by_id);
    for (size_t i = 0; i < n_items; i = end) {
        uint64_t clauses = 0, all = items[i].n_clauses < 64 ? (UINT64_C(1) << items[i].n_clauses) - 1 : UINT64_MAX;

        for (end = i; end < n_items && !by_id(&items[i], &items[end]); end++) {
            clauses |= UINT64_C(1) << items[end].clause;
        }
        if (clauses == all) {
            struct cls_rule *r = lookup_conj_id(l, items[i].id);

            if (r) {
                return r;
            }
        }
    }
    return NULL;
}

static struct cls_rule *lookup_conj(struct lookup *l)
{
    struct hits hits = {0};
    struct cls_rule *plain = lookup_plain(l, &hits), *found = NULL;
    size_t end;

    if (hits.n) {
        qsort(hits.rules, hits.n, sizeof *hits.rules, by_priority);
    }
    for (size_t i = 0; i < hits.n && !found; i = end) {
        int32_t priority = hits.rules[i]->priority;

        if (plain && plain->priority >= priority) {
            break;
        }
        for (end = i; end < hits.n && hits.rules[end]->priority == priority; end++) {
        }
        found = resolve(l, &hits.rules[i], end - i);
    }
    free(hits.rules);
    return found ? found : plain;
}

struct cls_rule *classifier_lookup(const struct classifier *cls, const struct flow *flow, struct flow *mask)
{
    struct lookup l;

    l.cls = cls;
    l.flow = flow;
    l.mask = mask;
    l.tries_done = 0;
    return cls->n_conj ? lookup_conj(&l) : lookup_plain(&l, NULL);
}
