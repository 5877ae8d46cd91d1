/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/classifier_private.h"

#include <arpa/inet.h>

static int32_t tuple_max(const struct cls_tuple *t)
{
    return t->priorities[0].priority;
}

/* ---- rules ---- */

void cls_rule_init(struct cls_rule *r, const struct match *m, int32_t priority)
{
    uint64_t values[FLOW_U64S];

    *r = (struct cls_rule){.priority = priority, .mask = cls_mask_get(&m->mask)};
    r->hash = cls_mask_pick(r->mask, &m->value, values);
    r->values = r->mask->n ? xmemdup(values, r->mask->n * sizeof *values) : NULL;
}

void cls_rule_done(struct cls_rule *r)
{
    cls_mask_unref(r->mask);
    free(r->values);
    free(r->conj);
    r->mask = NULL;
    r->values = NULL;
    r->conj = NULL;
}

void cls_rule_set_conj(struct classifier *cls, struct cls_rule *r, const struct cls_conj *items, size_t n)
{
    struct cls_conj_set *set = NULL;

    if (n) {
        set = xmalloc(sizeof *set + n * sizeof *items);
        set->n = n;
        memcpy(set->items, items, n * sizeof *items);
    }
    if (cls) {
        cls->n_conj += set != NULL;
        cls->n_conj -= r->conj != NULL;
    }
    free(r->conj);
    r->conj = set;
}

void cls_rule_match(const struct cls_rule *r, struct match *ret)
{
    cls_mask_expand(r->mask, NULL, &ret->mask);
    cls_mask_expand(r->mask, r->values, &ret->value);
}

bool cls_rule_matches_all(const struct cls_rule *r)
{
    return !r->mask->n;
}

/* ---- stage sets ---- */

static struct cls_stage_hash *set_slot(struct cls_stage_set *s, uint32_t hash)
{
    size_t i = hash & (s->n_slots - 1);

    while (s->slots[i].count && s->slots[i].hash != hash) {
        i = (i + 1) & (s->n_slots - 1);
    }
    return &s->slots[i];
}

static void set_grow(struct cls_stage_set *s)
{
    struct cls_stage_set bigger = {.n_slots = MAX(s->n_slots * 2, (size_t)4), .n = s->n};

    bigger.slots = xcalloc(bigger.n_slots, sizeof *bigger.slots);
    for (size_t i = 0; i < s->n_slots; i++) {
        if (s->slots[i].count) {
            *set_slot(&bigger, s->slots[i].hash) = s->slots[i];
        }
    }
    free(s->slots);
    *s = bigger;
}

static void set_add(struct cls_stage_set *s, uint32_t hash)
{
    struct cls_stage_hash *slot;

    if ((s->n + 1) * 4 > s->n_slots * 3) {
        set_grow(s);
    }
    slot = set_slot(s, hash);
    s->n += !slot->count;
    slot->hash = hash;
    slot->count++;
}

/* Empties the slot and moves up what only stood further on because of it. */
static void set_remove(struct cls_stage_set *s, uint32_t hash)
{
    struct cls_stage_hash *slot = set_slot(s, hash);
    size_t hole = (size_t)(slot - s->slots);

    if (--slot->count) {
        return;
    }
    s->n--;
    for (size_t i = (hole + 1) & (s->n_slots - 1); s->slots[i].count; i = (i + 1) & (s->n_slots - 1)) {
        size_t home = s->slots[i].hash & (s->n_slots - 1);

        if (((i - home) & (s->n_slots - 1)) >= ((i - hole) & (s->n_slots - 1))) {
            s->slots[hole] = s->slots[i];
            s->slots[i].count = 0;
            hole = i;
        }
    }
}

/* Counts the match VALUES in the tuple's stage sets, in or out. */
static void tuple_count_stages(struct cls_tuple *t, const uint64_t *values, bool in)
{
    const struct cls_mask *mask = t->mask;
    uint64_t h = mask->n;
    unsigned int i = 0;

    for (unsigned int stage = 0; stage < CLS_N_STAGES - 1; stage++) {
        for (; i < mask->ends[stage]; i++) {
            h = cls_hash_add(h, values[i]);
        }
        if (cls_stage_used(mask, stage)) {
            (in ? set_add : set_remove)(&t->stages[stage], cls_hash_finish(h));
        }
    }
}

/* ---- tries ---- */

const __be32 *cls_trie_key(enum cls_trie_id trie, const struct flow_key *key, __be32 *buf, unsigned int *ret_bits)
{
    *ret_bits = 32;
    switch (trie) {
    case CLS_TRIE_IPV4_SRC:
        return &key->ip_src.be32[3];
    case CLS_TRIE_IPV4_DST:
        return &key->ip_dst.be32[3];
    case CLS_TRIE_IPV6_SRC:
        *ret_bits = 128;
        return key->ip_src.be32;
    case CLS_TRIE_IPV6_DST:
        *ret_bits = 128;
        return key->ip_dst.be32;
    case CLS_TRIE_ICMP_TYPE:
        *ret_bits = 8;
        *buf = htonl((uint32_t)ntohs(key->tp_src) << 24);
        return buf;
    case CLS_TRIE_TP_SRC:
    case CLS_TRIE_TP_DST:
    case CLS_N_TRIES:
        break;
    }
    *ret_bits = 16;
    *buf = htonl((uint32_t)ntohs(trie == CLS_TRIE_TP_SRC ? key->tp_src : key->tp_dst) << 16);
    return buf;
}

struct cls_prefix {
    __be32 key[4];
    uint8_t trie, len;
};

static void leave_later(struct classifier *cls, unsigned int trie, const __be32 *key, unsigned int len)
{
    struct cls_prefix *p;

    if (cls->n_leaving == cls->leaving_allocated) {
        cls->leaving_allocated = MAX(cls->leaving_allocated * 2, (size_t)64);
        cls->leaving = xrealloc(cls->leaving, cls->leaving_allocated * sizeof *cls->leaving);
    }
    p = &cls->leaving[cls->n_leaving++];
    *p = (struct cls_prefix){.trie = (uint8_t)trie, .len = (uint8_t)len};
    memcpy(p->key, key, (len + 31) / 32 * sizeof *key);
}

bool classifier_settle(struct classifier *cls, size_t n)
{
    while (cls->n_leaving && n--) {
        const struct cls_prefix *p = &cls->leaving[--cls->n_leaving];

        cls_trie_remove(&cls->tries[p->trie], p->key, p->len);
    }
    if (cls->n_leaving) {
        return true;
    }
    free(cls->leaving);
    cls->leaving = NULL;
    cls->leaving_allocated = 0;
    return false;
}

/* No rule is left, so no prefix is: faster than one by one. */
static void forget_prefixes(struct classifier *cls)
{
    for (size_t i = 0; i < CLS_N_TRIES; i++) {
        cls_trie_done(&cls->tries[i]);
    }
    cls->n_leaving = 0;
    classifier_settle(cls, 0);
}

/* Puts the match's prefixes into the tries, or on the list of those that leave. */
static void count_prefixes(struct classifier *cls, const struct cls_rule *r, bool in)
{
    struct flow value;
    bool expanded = false;

    for (unsigned int i = 0; i < CLS_N_TRIES; i++) {
        unsigned int n_bits;
        const __be32 *key;
        __be32 buf;

        if (!r->mask->plens[i]) {
            continue;
        }
        if (!expanded) {
            cls_mask_expand(r->mask, r->values, &value);
            expanded = true;
        }
        key = cls_trie_key(i, &value.key, &buf, &n_bits);
        if (in) {
            cls_trie_insert(&cls->tries[i], key, r->mask->plens[i]);
        } else {
            leave_later(cls, i, key, r->mask->plens[i]);
        }
    }
}

/* ---- tuples ---- */

/* Where the first tuple of a maximum below MAX stands. */
static size_t order_below(const struct classifier *cls, int32_t max)
{
    size_t lo = 0, hi = cls->n_tuples;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (cls->order[mid].max >= max) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void tuple_link(struct classifier *cls, struct cls_tuple *t)
{
    size_t i = order_below(cls, tuple_max(t));

    if (cls->n_tuples == cls->allocated) {
        cls->allocated = MAX(cls->allocated * 2, (size_t)4);
        cls->order = xrealloc(cls->order, cls->allocated * sizeof *cls->order);
    }
    memmove(&cls->order[i + 1], &cls->order[i], (cls->n_tuples - i) * sizeof *cls->order);
    cls->order[i] = (struct cls_order){tuple_max(t), t};
    cls->n_tuples++;
}

/* MAX: the one that it is linked by. */
static void tuple_unlink(struct classifier *cls, struct cls_tuple *t, int32_t max)
{
    size_t i = order_below(cls, max) - 1;

    while (cls->order[i].tuple != t) {
        i--;
    }
    cls->n_tuples--;
    memmove(&cls->order[i], &cls->order[i + 1], (cls->n_tuples - i) * sizeof *cls->order);
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

static struct cls_tuple *find_tuple(const struct classifier *cls, const struct cls_mask *mask)
{
    struct cls_tuple *t = NULL;

    if (mask) {
        HASH_FIND_PTR(cls->by_mask, &mask, t);
    }
    return t;
}

static void tuple_free(struct classifier *cls, struct cls_tuple *t)
{
    HASH_DELETE(hh, cls->by_mask, t);
    cls_mask_unref(t->mask);
    for (size_t i = 0; i < ARRAY_SIZE(t->stages); i++) {
        free(t->stages[i].slots);
    }
    hash_index_done(&t->heads);
    free(t->priorities);
    free(t);
}

void classifier_done(struct classifier *cls)
{
    for (size_t i = 0; i < cls->n_tuples; i++) {
        tuple_free(cls, cls->order[i].tuple);
    }
    forget_prefixes(cls);
    free(cls->order);
    *cls = (struct classifier){0};
}

static struct cls_tuple *tuple_new(struct classifier *cls, struct cls_mask *mask)
{
    struct cls_tuple *t = xcalloc(1, sizeof *t);

    t->mask = cls_mask_ref(mask);
    for (unsigned int i = 0; i < CLS_N_STAGES - 1; i++) {
        if (cls_stage_used(mask, i)) {
            set_grow(&t->stages[i]);
        }
    }
    HASH_ADD_PTR(cls->by_mask, mask, t);
    return t;
}

void classifier_insert(struct classifier *cls, struct cls_rule *r)
{
    struct cls_tuple *t = find_tuple(cls, r->mask);
    bool is_new = !t;
    int32_t old_max = is_new ? 0 : tuple_max(t);
    struct cls_rule *head;

    if (is_new) {
        t = tuple_new(cls, r->mask);
    }
    head = cls_tuple_find(t, r->hash, r->values);
    r->tuple = t;
    r->lower = NULL;
    if (!head) {
        hash_index_insert(&t->heads, r->hash, r);
        tuple_count_stages(t, r->values, true);
        count_prefixes(cls, r, true);
    } else if (head->priority < r->priority) {
        r->lower = head;
        hash_index_replace(&t->heads, r->hash, head, r);
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
        tuple_unlink(cls, t, old_max);
        tuple_link(cls, t);
    }
    cls->n_rules++;
    cls->n_conj += r->conj != NULL;
}

void classifier_remove(struct classifier *cls, struct cls_rule *r)
{
    struct cls_tuple *t = r->tuple;
    struct cls_rule *head = cls_tuple_find(t, r->hash, r->values);
    int32_t old_max = tuple_max(t);

    if (head != r) {
        while (head->lower != r) {
            head = head->lower;
        }
        head->lower = r->lower;
    } else if (r->lower) {
        hash_index_replace(&t->heads, r->hash, r, r->lower);
    } else {
        hash_index_remove(&t->heads, r->hash, r);
        tuple_count_stages(t, r->values, false);
        count_prefixes(cls, r, false);
    }
    r->tuple = NULL;
    r->lower = NULL;
    cls->n_rules--;
    cls->n_conj -= r->conj != NULL;
    tuple_count(t, r->priority, -1);
    if (!t->n_priorities) {
        tuple_unlink(cls, t, old_max);
        tuple_free(cls, t);
    } else if (tuple_max(t) != old_max) {
        tuple_unlink(cls, t, old_max);
        tuple_link(cls, t);
    }
    if (!cls->n_rules) {
        forget_prefixes(cls);
    }
}

struct cls_rule *classifier_find_exact(const struct classifier *cls, const struct match *m, int32_t priority)
{
    struct cls_tuple *t = find_tuple(cls, cls_mask_find(&m->mask));
    uint64_t values[FLOW_U64S];
    struct cls_rule *r;
    uint32_t hash;

    if (!t) {
        return NULL;
    }
    hash = cls_mask_pick(t->mask, &m->value, values);
    for (r = cls_tuple_find(t, hash, values); r && r->priority > priority; r = r->lower) {
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

    for (size_t j = 0; j < cls->n_tuples && cls->order[j].max >= priority; j++) {
        const struct cls_tuple *t = cls->order[j].tuple;

        if (!tuple_has_priority(t, priority)) {
            continue;
        }
        for (size_t i = 0; i < t->heads.n_slots; i++) {
            for (const struct cls_rule *r = t->heads.slots[i].p; r && r->priority >= priority; r = r->lower) {
                if (r->priority == priority && r != same && rule_overlaps(r, m)) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* Does every bit of M's mask stand in the tuple's too? Only then can M cover a rule of it. */
static bool tuple_refines(const struct cls_tuple *t, const struct match *m)
{
    const uint64_t *tm, *mm = (const uint64_t *)(const void *)&m->mask;
    struct flow full;

    cls_mask_expand(t->mask, NULL, &full);
    tm = (const uint64_t *)(const void *)&full;
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

/* Rules are all over the memory, and most of what telling of many takes is to wait for it. The rule goes on behind its
 * cls_rule: some lines of it. */
static void fetch_ahead(void *const *heads, size_t i, size_t n)
{
    if (i + 8 < n) {
        for (size_t line = 0; line < 3; line++) {
            __builtin_prefetch((const char *)heads[i + 8] + 64 * line);
        }
    }
    if (i + 4 < n) {
        __builtin_prefetch(((const struct cls_rule *)heads[i + 4])->values);
    }
}

/* SAME: M has the very mask of the tuple. */
static int visit_tuple(struct cls_tuple *t, const struct match *m, bool same, int (*fn)(void *aux, struct cls_rule *r),
                       void *aux)
{
    size_t n = t->heads.n;
    _cleanup_free_ void **heads = NULL;
    uint64_t values[FLOW_U64S];
    int error = 0;

    if (m && same) {
        struct cls_rule *head = cls_tuple_find(t, cls_mask_pick(t->mask, &m->value, values), values);

        return head ? visit_head(head, fn, aux) : 0;
    }
    /* FN may remove rules, which moves others about, and with the last one the tuple. */
    heads = hash_index_list(&t->heads);
    for (size_t i = 0; i < n && !error; i++) {
        fetch_ahead(heads, i, n);
        if (!m || rule_overlaps(heads[i], m)) {
            error = visit_head(heads[i], fn, aux);
        }
    }
    return error;
}

static bool is_any(const struct flow *mask)
{
    const uint64_t *w = (const uint64_t *)(const void *)mask;
    uint64_t any = 0;

    for (size_t i = 0; i < FLOW_U64S; i++) {
        any |= w[i];
    }
    return !any;
}

int classifier_for_each(struct classifier *cls, const struct match *m, int (*fn)(void *aux, struct cls_rule *r),
                        void *aux)
{
    const struct cls_mask *mask = m ? cls_mask_find(&m->mask) : NULL;
    size_t n = cls->n_tuples;
    bool all_match = !m || is_any(&m->mask);
    _cleanup_free_ struct cls_order *all = n ? xmemdup(cls->order, n * sizeof *all) : NULL;
    int error = 0;

    /* Removing rules moves tuples about in the order, so walk a copy of it. */
    for (size_t i = 0; i < n && !error; i++) {
        if (all_match || tuple_refines(all[i].tuple, m)) {
            error = visit_tuple(all[i].tuple, all_match ? NULL : m, all[i].tuple->mask == mask, fn, aux);
        }
    }
    return error;
}

size_t classifier_n_masks(const struct classifier *cls)
{
    return cls->n_tuples;
}
