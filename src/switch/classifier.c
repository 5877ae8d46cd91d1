/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/classifier.h"

#include <uthash.h>

/* A mask in compact form: which words of struct flow it looks at, and those words. */
struct cls_mask {
    unsigned int refs;
    unsigned int n;
    struct flow full;
    uint8_t at[FLOW_U64S]; /* n of them: where in struct flow the words below stand */
    uint64_t words[];      /* n of them, none zero */
};

_Static_assert(FLOW_U64S <= 128, "cls_mask.at, and arrays of FLOW_U64S words on the stack");

struct cls_priority {
    int32_t priority;
    uint32_t count;
};

struct cls_tuple {
    struct cls_mask *mask;
    struct cls_rule **buckets;
    size_t n_buckets, n_heads;       /* power of 2; distinct matches */
    struct cls_priority *priorities; /* descending: how many rules of each */
    size_t n_priorities;
    struct cls_tuple *prev, *next;
    UT_hash_handle hh; /* by mask->full */
};

static int32_t tuple_max(const struct cls_tuple *t)
{
    return t->priorities[0].priority;
}

static struct cls_mask *mask_new(const struct flow *full)
{
    const uint64_t *w = (const uint64_t *)(const void *)full;
    struct cls_mask *m = xcalloc(1, sizeof *m + FLOW_U64S * sizeof(uint64_t));

    m->refs = 1;
    m->full = *full;
    for (unsigned int i = 0; i < FLOW_U64S; i++) {
        if (w[i]) {
            m->at[m->n] = (uint8_t)i;
            m->words[m->n++] = w[i];
        }
    }
    return m;
}

static void mask_unref(struct cls_mask *m)
{
    if (m && --m->refs == 0) {
        free(m);
    }
}

static inline uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static inline uint32_t hash_finish(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h ^ (h >> 32));
}

/* Picks FLOW's words under MASK into OUT and hashes them. */
static uint32_t pick(const struct cls_mask *mask, const struct flow *flow, uint64_t *out)
{
    const uint64_t *w = (const uint64_t *)(const void *)flow;
    uint64_t h = mask->n;

    for (unsigned int i = 0; i < mask->n; i++) {
        out[i] = w[mask->at[i]] & mask->words[i];
        h = mix(h, out[i]);
    }
    return hash_finish(h);
}

static void mask_expand(const struct cls_mask *mask, const uint64_t *values, struct flow *ret)
{
    uint64_t *w = (uint64_t *)(void *)ret;

    memset(ret, 0, sizeof *ret);
    for (unsigned int i = 0; i < mask->n; i++) {
        w[mask->at[i]] = values[i];
    }
}

void cls_rule_init(struct cls_rule *r, const struct match *m, int32_t priority)
{
    uint64_t values[FLOW_U64S];

    *r = (struct cls_rule){.priority = priority, .mask = mask_new(&m->mask)};
    r->hash = pick(r->mask, &m->value, values);
    r->values = r->mask->n ? xmemdup(values, r->mask->n * sizeof *values) : NULL;
}

void cls_rule_done(struct cls_rule *r)
{
    mask_unref(r->mask);
    free(r->values);
    r->mask = NULL;
    r->values = NULL;
}

void cls_rule_match(const struct cls_rule *r, struct match *ret)
{
    ret->mask = r->mask->full;
    mask_expand(r->mask, r->values, &ret->value);
}

bool cls_rule_matches_all(const struct cls_rule *r)
{
    return !r->mask->n;
}

static bool same_values(const struct cls_rule *r, const struct cls_mask *mask, uint32_t hash, const uint64_t *values)
{
    return r->hash == hash && (!mask->n || !memcmp(r->values, values, mask->n * sizeof *values));
}

/* The head of the match VALUES: its best rule. */
static struct cls_rule *tuple_find(const struct cls_tuple *t, uint32_t hash, const uint64_t *values)
{
    for (struct cls_rule *r = t->buckets[hash & (t->n_buckets - 1)]; r; r = r->next) {
        if (same_values(r, t->mask, hash, values)) {
            return r;
        }
    }
    return NULL;
}

static void tuple_resize(struct cls_tuple *t, size_t n)
{
    struct cls_rule **buckets = xcalloc(n, sizeof *buckets), *next;

    for (size_t i = 0; i < t->n_buckets; i++) {
        for (struct cls_rule *r = t->buckets[i]; r; r = next) {
            next = r->next;
            r->next = buckets[r->hash & (n - 1)];
            buckets[r->hash & (n - 1)] = r;
        }
    }
    free(t->buckets);
    t->buckets = buckets;
    t->n_buckets = n;
}

static void tuple_link(struct classifier *cls, struct cls_tuple *t)
{
    struct cls_tuple **p = &cls->tuples, *prev = NULL;

    while (*p && tuple_max(*p) >= tuple_max(t)) {
        prev = *p;
        p = &(*p)->next;
    }
    t->prev = prev;
    t->next = *p;
    if (*p) {
        (*p)->prev = t;
    }
    *p = t;
}

static void tuple_unlink(struct classifier *cls, struct cls_tuple *t)
{
    *(t->prev ? &t->prev->next : &cls->tuples) = t->next;
    if (t->next) {
        t->next->prev = t->prev;
    }
}

/* Counts a rule of PRIORITY in (+1) or out (-1). */
static void tuple_count(struct cls_tuple *t, int32_t priority, int delta)
{
    size_t i = 0, hi = t->n_priorities;

    while (i < hi) {
        size_t mid = (i + hi) / 2;

        if (t->priorities[mid].priority > priority) {
            i = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (i == t->n_priorities || t->priorities[i].priority != priority) {
        t->priorities = xrealloc(t->priorities, (t->n_priorities + 1) * sizeof *t->priorities);
        memmove(&t->priorities[i + 1], &t->priorities[i], (t->n_priorities - i) * sizeof *t->priorities);
        t->priorities[i] = (struct cls_priority){priority, 0};
        t->n_priorities++;
    }
    t->priorities[i].count += (uint32_t)delta;
    if (!t->priorities[i].count) {
        t->n_priorities--;
        memmove(&t->priorities[i], &t->priorities[i + 1], (t->n_priorities - i) * sizeof *t->priorities);
    }
}

static struct cls_tuple *find_tuple(const struct classifier *cls, const struct flow *mask)
{
    struct cls_tuple *t;

    HASH_FIND(hh, cls->by_mask, mask, sizeof *mask, t);
    return t;
}

static void tuple_free(struct classifier *cls, struct cls_tuple *t)
{
    HASH_DELETE(hh, cls->by_mask, t);
    mask_unref(t->mask);
    free(t->buckets);
    free(t->priorities);
    free(t);
}

void classifier_done(struct classifier *cls)
{
    struct cls_tuple *t, *next;

    for (t = cls->tuples; t; t = next) {
        next = t->next;
        tuple_free(cls, t);
    }
    *cls = (struct classifier){0};
}

/* The tuple for R's mask, whose mask object R then shares. */
static struct cls_tuple *tuple_for(struct classifier *cls, struct cls_rule *r, bool *ret_new)
{
    struct cls_tuple *t = find_tuple(cls, &r->mask->full);

    *ret_new = !t;
    if (!t) {
        t = xcalloc(1, sizeof *t);
        t->mask = r->mask;
        t->mask->refs++;
        tuple_resize(t, 4);
        HASH_ADD_KEYPTR(hh, cls->by_mask, &t->mask->full, sizeof t->mask->full, t);
    } else if (t->mask != r->mask) {
        mask_unref(r->mask);
        r->mask = t->mask;
        r->mask->refs++;
    }
    return t;
}

void classifier_insert(struct classifier *cls, struct cls_rule *r)
{
    bool is_new;
    struct cls_tuple *t = tuple_for(cls, r, &is_new);
    struct cls_rule **bucket, *head;
    int32_t old_max = is_new ? 0 : tuple_max(t);

    bucket = &t->buckets[r->hash & (t->n_buckets - 1)];
    while (*bucket && !same_values(*bucket, t->mask, r->hash, r->values)) {
        bucket = &(*bucket)->next;
    }
    head = *bucket;
    r->tuple = t;
    r->next = r->lower = NULL;
    if (!head) {
        *bucket = r;
        t->n_heads++;
    } else if (head->priority < r->priority) {
        r->lower = head;
        r->next = head->next;
        head->next = NULL;
        *bucket = r;
    } else {
        while (head->lower && head->lower->priority > r->priority) {
            head = head->lower;
        }
        r->lower = head->lower;
        head->lower = r;
    }
    tuple_count(t, r->priority, 1);
    if (is_new) {
        tuple_link(cls, t);
    } else if (tuple_max(t) != old_max) {
        tuple_unlink(cls, t);
        tuple_link(cls, t);
    }
    if (t->n_heads > t->n_buckets) {
        tuple_resize(t, t->n_buckets * 2);
    }
    cls->n_rules++;
}

void classifier_remove(struct classifier *cls, struct cls_rule *r)
{
    struct cls_tuple *t = r->tuple;
    struct cls_rule **p = &t->buckets[r->hash & (t->n_buckets - 1)];
    int32_t old_max = tuple_max(t);

    while (!same_values(*p, t->mask, r->hash, r->values)) {
        p = &(*p)->next;
    }
    if (*p != r) {
        struct cls_rule *above = *p;

        while (above->lower != r) {
            above = above->lower;
        }
        above->lower = r->lower;
    } else if (r->lower) {
        r->lower->next = r->next;
        *p = r->lower;
    } else {
        *p = r->next;
        t->n_heads--;
    }
    r->tuple = NULL;
    r->next = r->lower = NULL;
    cls->n_rules--;
    tuple_count(t, r->priority, -1);
    if (!t->n_priorities) {
        tuple_unlink(cls, t);
        tuple_free(cls, t);
    } else if (tuple_max(t) != old_max) {
        tuple_unlink(cls, t);
        tuple_link(cls, t);
    }
}

static void mask_or(struct flow *dst, const struct cls_mask *mask)
{
    uint64_t *d = (uint64_t *)(void *)dst;

    for (unsigned int i = 0; i < mask->n; i++) {
        d[mask->at[i]] |= mask->words[i];
    }
}

struct cls_rule *classifier_lookup(const struct classifier *cls, const struct flow *flow, struct flow *mask)
{
    struct cls_rule *best = NULL, *r;
    uint64_t values[FLOW_U64S];

    for (const struct cls_tuple *t = cls->tuples; t && (!best || tuple_max(t) > best->priority); t = t->next) {
        uint32_t hash = pick(t->mask, flow, values);

        if (mask) {
            mask_or(mask, t->mask);
        }
        r = tuple_find(t, hash, values);
        if (r && (!best || r->priority > best->priority)) {
            best = r;
        }
    }
    return best;
}

struct cls_rule *classifier_find_exact(const struct classifier *cls, const struct match *m, int32_t priority)
{
    struct cls_tuple *t = find_tuple(cls, &m->mask);
    uint64_t values[FLOW_U64S];
    struct cls_rule *r;
    uint32_t hash;

    if (!t) {
        return NULL;
    }
    hash = pick(t->mask, &m->value, values);
    for (r = tuple_find(t, hash, values); r && r->priority > priority; r = r->lower) {
    }
    return r && r->priority == priority ? r : NULL;
}

/* Do the values agree in the bits that both masks look at? */
static bool rule_overlaps(const struct cls_rule *r, const struct match *m)
{
    const uint64_t *v = (const uint64_t *)(const void *)&m->value, *mm = (const uint64_t *)(const void *)&m->mask;

    for (unsigned int i = 0; i < r->mask->n; i++) {
        unsigned int at = r->mask->at[i];

        if ((r->values[i] ^ v[at]) & r->mask->words[i] & mm[at]) {
            return false;
        }
    }
    return true;
}

static bool tuple_has_priority(const struct cls_tuple *t, int32_t priority)
{
    for (size_t i = 0; i < t->n_priorities && t->priorities[i].priority >= priority; i++) {
        if (t->priorities[i].priority == priority) {
            return true;
        }
    }
    return false;
}

bool classifier_overlaps(const struct classifier *cls, const struct match *m, int32_t priority)
{
    const struct cls_rule *same = classifier_find_exact(cls, m, priority);

    for (const struct cls_tuple *t = cls->tuples; t && tuple_max(t) >= priority; t = t->next) {
        if (!tuple_has_priority(t, priority)) {
            continue;
        }
        for (size_t i = 0; i < t->n_buckets; i++) {
            for (const struct cls_rule *head = t->buckets[i]; head; head = head->next) {
                for (const struct cls_rule *r = head; r && r->priority >= priority; r = r->lower) {
                    if (r->priority == priority && r != same && rule_overlaps(r, m)) {
                        return true;
                    }
                }
            }
        }
    }
    return false;
}

/* Does every bit of M's mask stand in the tuple's too? Only then can M cover a rule of it. */
static bool tuple_refines(const struct cls_tuple *t, const struct match *m)
{
    const uint64_t *tm = (const uint64_t *)(const void *)&t->mask->full, *mm = (const uint64_t *)(const void *)&m->mask;

    for (size_t i = 0; i < FLOW_U64S; i++) {
        if (mm[i] & ~tm[i]) {
            return false;
        }
    }
    return true;
}

/* All priorities of one match. The next one is read first: FN may remove. */
static int visit_head(struct cls_rule *head, int (*fn)(void *aux, struct cls_rule *r), void *aux)
{
    struct cls_rule *lower;
    int error = 0;

    for (struct cls_rule *r = head; r && !error; r = lower) {
        lower = r->lower;
        error = fn(aux, r);
    }
    return error;
}

static int visit_tuple(struct cls_tuple *t, const struct match *m, int (*fn)(void *aux, struct cls_rule *r), void *aux)
{
    size_t n_heads = t->n_heads, seen = 0, n_buckets = t->n_buckets;
    struct cls_rule *next;
    uint64_t values[FLOW_U64S];
    int error = 0;

    if (m && !memcmp(&m->mask, &t->mask->full, sizeof m->mask)) {
        struct cls_rule *head = tuple_find(t, pick(t->mask, &m->value, values), values);

        return head ? visit_head(head, fn, aux) : 0;
    }
    /* FN may remove the tuple's last rule and the tuple with it: count, so that it is not touched after that. */
    for (size_t i = 0; i < n_buckets && seen < n_heads && !error; i++) {
        for (struct cls_rule *head = t->buckets[i]; head && !error; head = next) {
            next = head->next;
            seen++;
            if (!m || rule_overlaps(head, m)) {
                error = visit_head(head, fn, aux);
            }
        }
    }
    return error;
}

int classifier_for_each(struct classifier *cls, const struct match *m, int (*fn)(void *aux, struct cls_rule *r),
                        void *aux)
{
    size_t n = HASH_COUNT(cls->by_mask), i = 0;
    _cleanup_free_ struct cls_tuple **all = n ? xmalloc(n * sizeof *all) : NULL;
    int error = 0;

    /* Removing rules moves tuples about in the list, so walk a copy of it. */
    for (struct cls_tuple *t = cls->tuples; t; t = t->next) {
        all[i++] = t;
    }
    for (i = 0; i < n && !error; i++) {
        if (!m || tuple_refines(all[i], m)) {
            error = visit_tuple(all[i], m, fn, aux);
        }
    }
    return error;
}

size_t classifier_n_masks(const struct classifier *cls)
{
    return HASH_COUNT(cls->by_mask);
}
