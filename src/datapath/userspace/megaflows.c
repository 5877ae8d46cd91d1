/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/userspace/megaflows.h"

#include <utlist.h>

#define SORT_EVERY 4096 /* lookups */
#define CACHE_FROM 3    /* subtables */

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
    struct megaflow *f;

    HASH_INDEX_FOR_EACH_WITH(f, &s->flows, hash)
    {
        if (equal_masked(s, f, key)) {
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

/* ---- the cache ---- */

/* The cache entry for KEY: by what tells connections apart. */
static struct megaflow **cache_at(const struct megaflows *t, const struct flow_key *key)
{
    const uint64_t *w = words_of(key);
    static const uint8_t words[] = {
        offsetof(struct flow_key, in_port) / 8,        offsetof(struct flow_key, tunnel.id) / 8,
        offsetof(struct flow_key, eth_dst) / 8,        offsetof(struct flow_key, eth_src) / 8 + 1,
        offsetof(struct flow_key, vlan) / 8,           offsetof(struct flow_key, ip_src.be32[2]) / 8,
        offsetof(struct flow_key, ip_dst.be32[2]) / 8, offsetof(struct flow_key, tp_src) / 8,
    };
    uint64_t h = 0;

    for (unsigned int i = 0; i < sizeof words; i++) {
        h = (h ^ w[words[i]]) * 0x9ddfea08eb382d69ull;
        h ^= h >> 32;
    }
    return &t->cache[(h ^ h >> 17) & (MEGAFLOWS_CACHE - 1)];
}

static void cache_put(struct megaflow **at, struct megaflow *f)
{
    struct megaflow *old = *at;

    if (old && !--old->n_cached && !old->subtable) {
        free(old);
    }
    *at = f;
    if (f) {
        f->n_cached++;
    }
}

static struct megaflow *search(struct megaflows *t, const struct flow_key *key)
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

struct megaflow *megaflows_lookup(struct megaflows *t, const struct flow_key *key)
{
    struct megaflow **at, *f;

    if (t->n_subtables < CACHE_FROM) {
        return search(t, key);
    }
    if (!t->cache) {
        t->cache = xcalloc(MEGAFLOWS_CACHE, sizeof(t->cache[0]));
    }
    at = cache_at(t, key);
    if (*at && (*at)->subtable && equal_masked((*at)->subtable, *at, words_of(key))) {
        return *at;
    }
    f = search(t, key);
    if (f) {
        cache_put(at, f);
    }
    return f;
}

/* ---- by id ---- */

static struct megaflow **id_bucket(const struct megaflows *t, dp_flow_id id)
{
    return &t->by_id[id & (t->n_by_id - 1)];
}

struct megaflow *megaflows_find(struct megaflows *t, dp_flow_id id)
{
    struct megaflow *f = t->n ? *id_bucket(t, id) : NULL;

    while (f && f->id != id) {
        f = f->next_id;
    }
    return f;
}

static void put_id(struct megaflows *t, struct megaflow *f)
{
    struct megaflow **bucket = id_bucket(t, f->id);

    f->next_id = *bucket;
    *bucket = f;
}

static void list_flow(struct megaflows *t, struct megaflow *f)
{
    struct megaflow *other;

    if (t->n >= t->n_by_id) {
        free(t->by_id);
        t->n_by_id = MAX(t->n_by_id * 2, (size_t)64);
        t->by_id = xcalloc(t->n_by_id, sizeof(t->by_id[0]));
        DL_FOREACH(t->list, other) {
            put_id(t, other);
        }
    }
    put_id(t, f);
    DL_APPEND(t->list, f);
    t->n++;
}

static void unlist_flow(struct megaflows *t, struct megaflow *f)
{
    struct megaflow **at = id_bucket(t, f->id);

    while (*at != f) {
        at = &(*at)->next_id;
    }
    *at = f->next_id;
    DL_DELETE(t->list, f);
    t->n--;
}

/* ---- adding and removing ---- */

static uint32_t hash_mask(const struct flow_key *mask)
{
    uint64_t h = 0;

    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        h = (h ^ words_of(mask)[i]) * 0x9ddfea08eb382d69ull;
        h ^= h >> 32;
    }
    return (uint32_t)(h ^ h >> 17);
}

static struct subtable *subtable_get(struct megaflows *t, const struct flow_key *mask)
{
    uint32_t hash = hash_mask(mask);
    struct subtable *s;

    HASH_INDEX_FOR_EACH_WITH(s, &t->by_mask, hash)
    {
        if (!memcmp(&s->mask, mask, sizeof(*mask))) {
            return s;
        }
    }
    s = xcalloc(1, sizeof(*s));
    s->mask = *mask;
    s->mask_hash = hash;
    hash_index_insert(&t->by_mask, hash, s);
    for (uint8_t i = 0; i < FLOW_KEY_U64S; i++) {
        if (words_of(mask)[i]) {
            s->words[s->n_words++] = i;
        }
    }
    t->subtables = xrealloc(t->subtables, (t->n_subtables + 1) * sizeof(t->subtables[0]));
    t->subtables[t->n_subtables++] = s;
    return s;
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
    hash_index_remove(&t->by_mask, s->mask_hash, s);
    hash_index_done(&s->flows);
    free(s);
}

int megaflows_put(struct megaflows *t, const struct dp_flow *flow)
{
    struct megaflow *f = megaflows_find(t, flow->id);
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
    f = xcalloc(1, sizeof(*f));
    f->id = flow->id;
    f->key = *flow->key;
    f->stats = flow->stats;
    f->subtable = s;
    f->hash = hash_masked(s, words_of(&f->key));
    f->actions = action_list_new(flow->actions, flow->actions_len);
    hash_index_insert(&s->flows, f->hash, f);
    list_flow(t, f);
    return 0;
}

void megaflows_remove(struct megaflows *t, struct megaflow *f)
{
    struct subtable *s = f->subtable;

    hash_index_remove(&s->flows, f->hash, f);
    unlist_flow(t, f);
    action_list_unref(f->actions);
    f->actions = NULL;
    f->subtable = NULL;
    if (!f->n_cached) {
        free(f);
    }
    if (!s->flows.n) {
        subtable_free(t, s);
    }
}

void megaflows_done(struct megaflows *t)
{
    while (t->list) {
        megaflows_remove(t, t->list);
    }
    for (size_t i = 0; t->cache && i < MEGAFLOWS_CACHE; i++) {
        cache_put(&t->cache[i], NULL);
    }
    free(t->cache);
    free(t->by_id);
    free(t->subtables);
    hash_index_done(&t->by_mask);
    *t = (struct megaflows){0};
}
