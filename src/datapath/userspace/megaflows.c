/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/userspace/megaflows.h"

#define SORT_EVERY 4096 /* lookups */

struct action_list *action_list_new(const struct dp_action *actions, size_t len)
{
    struct action_list *list = xmalloc(sizeof(*list) + len);

    list->refs = 1;
    list->len = len;
    if (len) {
        memcpy(list->data, actions, len);
    }
    return list;
}

void action_list_unref(struct action_list *list)
{
    if (list && !--list->refs) {
        free(list);
    }
}

static const uint64_t *words_of(const struct flow_key *key)
{
    return (const uint64_t *)(const void *)key;
}

static uint32_t hash_masked(const struct subtable *s, const uint64_t *key)
{
    const uint64_t *mask = words_of(&s->mask);
    uint64_t h = 0;

    for (unsigned int i = 0; i < s->n_words; i++) {
        h = (h ^ (key[s->words[i]] & mask[s->words[i]])) * 0x9ddfea08eb382d69ull;
        h ^= h >> 32;
    }
    return (uint32_t)h ^ (uint32_t)(h >> 17);
}

static bool equal_masked(const struct subtable *s, const struct megaflow *f, const uint64_t *key)
{
    const uint64_t *mask = words_of(&s->mask), *have = words_of(&f->key);

    for (unsigned int i = 0; i < s->n_words; i++) {
        if ((key[s->words[i]] & mask[s->words[i]]) != have[s->words[i]]) {
            return false;
        }
    }
    return true;
}

static struct megaflow *subtable_lookup(const struct subtable *s, const uint64_t *key)
{
    uint32_t hash = hash_masked(s, key);

    for (struct megaflow *f = s->buckets[hash & (s->n_buckets - 1)]; f; f = f->next) {
        if (f->hash == hash && equal_masked(s, f, key)) {
            return f;
        }
    }
    return NULL;
}

static int by_hits(const void *a_, const void *b_)
{
    const struct subtable *const *a = a_, *const *b = b_;

    return (*a)->hits < (*b)->hits ? 1 : (*a)->hits > (*b)->hits ? -1 : 0;
}

/* Busy subtables first; halving makes what was long ago count less. */
static void sort_subtables(struct megaflows *t)
{
    qsort(t->subtables, t->n_subtables, sizeof(t->subtables[0]), by_hits);
    for (size_t i = 0; i < t->n_subtables; i++) {
        t->subtables[i]->hits /= 2;
    }
    t->lookups = 0;
}

struct megaflow *megaflows_lookup(struct megaflows *t, const struct flow_key *key)
{
    if (t->n_subtables > 1 && ++t->lookups >= SORT_EVERY) {
        sort_subtables(t);
    }
    for (size_t i = 0; i < t->n_subtables; i++) {
        struct megaflow *f = subtable_lookup(t->subtables[i], words_of(key));

        if (f) {
            t->subtables[i]->hits++;
            return f;
        }
    }
    return NULL;
}

struct megaflow *megaflows_find(struct megaflows *t, dp_flow_id id)
{
    struct megaflow *f;

    HASH_FIND(hh, t->by_id, &id, sizeof(id), f);
    return f;
}

static struct subtable *subtable_get(struct megaflows *t, const struct flow_key *mask)
{
    struct subtable *s;

    for (size_t i = 0; i < t->n_subtables; i++) {
        if (!memcmp(&t->subtables[i]->mask, mask, sizeof(*mask))) {
            return t->subtables[i];
        }
    }
    s = xcalloc(1, sizeof(*s));
    s->mask = *mask;
    for (uint8_t i = 0; i < FLOW_KEY_U64S; i++) {
        if (words_of(mask)[i]) {
            s->words[s->n_words++] = i;
        }
    }
    s->n_buckets = 16;
    s->buckets = xcalloc(s->n_buckets, sizeof(s->buckets[0]));
    t->subtables = xrealloc(t->subtables, (t->n_subtables + 1) * sizeof(t->subtables[0]));
    t->subtables[t->n_subtables++] = s;
    return s;
}

static void subtable_grow(struct subtable *s)
{
    size_t n = s->n_buckets * 2;
    struct megaflow **buckets = xcalloc(n, sizeof(buckets[0]));

    for (size_t i = 0; i < s->n_buckets; i++) {
        for (struct megaflow *f = s->buckets[i], *next; f; f = next) {
            next = f->next;
            f->next = buckets[f->hash & (n - 1)];
            buckets[f->hash & (n - 1)] = f;
        }
    }
    free(s->buckets);
    s->buckets = buckets;
    s->n_buckets = n;
}

static void subtable_free(struct megaflows *t, struct subtable *s)
{
    for (size_t i = 0; i < t->n_subtables; i++) {
        if (t->subtables[i] == s) {
            memmove(&t->subtables[i], &t->subtables[i + 1], (t->n_subtables - i - 1) * sizeof(t->subtables[0]));
            t->n_subtables--;
            break;
        }
    }
    free(s->buckets);
    free(s);
}

int megaflows_put(struct megaflows *t, const struct dp_flow *flow)
{
    struct megaflow *f = megaflows_find(t, flow->id), **bucket;
    struct flow_key masked;
    struct subtable *s;

    flow_key_and(&masked, flow->key, flow->mask);
    if (memcmp(&masked, flow->key, sizeof(masked))) {
        return -EINVAL;
    }
    if (f) {
        if (memcmp(&f->key, flow->key, sizeof(f->key)) || memcmp(&f->subtable->mask, flow->mask, sizeof(*flow->mask))) {
            return -EINVAL;
        }
        action_list_unref(f->actions);
        f->actions = action_list_new(flow->actions, flow->actions_len);
        return 0;
    }
    s = subtable_get(t, flow->mask);
    if (subtable_lookup(s, words_of(flow->key))) {
        return -EEXIST;
    }
    if (s->n >= s->n_buckets) {
        subtable_grow(s);
    }
    f = xcalloc(1, sizeof(*f));
    f->id = flow->id;
    f->key = *flow->key;
    f->stats = flow->stats;
    f->subtable = s;
    f->hash = hash_masked(s, words_of(&f->key));
    f->actions = action_list_new(flow->actions, flow->actions_len);
    bucket = &s->buckets[f->hash & (s->n_buckets - 1)];
    f->next = *bucket;
    *bucket = f;
    s->n++;
    HASH_ADD(hh, t->by_id, id, sizeof(f->id), f);
    return 0;
}

void megaflows_remove(struct megaflows *t, struct megaflow *f)
{
    struct subtable *s = f->subtable;
    struct megaflow **at = &s->buckets[f->hash & (s->n_buckets - 1)];

    while (*at != f) {
        at = &(*at)->next;
    }
    *at = f->next;
    HASH_DEL(t->by_id, f);
    action_list_unref(f->actions);
    free(f);
    if (!--s->n) {
        subtable_free(t, s);
    }
}

void megaflows_done(struct megaflows *t)
{
    struct megaflow *f, *next;

    HASH_ITER(hh, t->by_id, f, next) {
        megaflows_remove(t, f);
    }
    free(t->subtables);
    *t = (struct megaflows){0};
}
