/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/ofport_alloc.h"

#include <uthash.h>

/* A number that is in use, or was less than an hour ago. */
struct ofport_slot {
    uint16_t ofport;
    bool used, was_used;
    int64_t freed_ms;
    UT_hash_handle hh;
};

void ofport_pool_done(struct ofport_pool *pool)
{
    struct ofport_slot *s, *tmp;
    HASH_ITER(hh, pool->slots, s, tmp) {
        HASH_DEL(pool->slots, s);
        free(s);
    }
    pool->last = 0;
}

static struct ofport_slot *slot_find(const struct ofport_pool *pool, uint16_t ofport)
{
    struct ofport_slot *s;
    HASH_FIND(hh, pool->slots, &ofport, sizeof ofport, s);
    return s;
}

static bool claim(struct ofport_pool *pool, struct ofport_want *want, uint16_t ofport)
{
    if (want->ofport || !ofport || ofport > OFPORT_MAX) {
        return false;
    }
    struct ofport_slot *s = slot_find(pool, ofport);
    if (s && s->used) {
        return false;
    }
    if (!s) {
        s = xcalloc(1, sizeof *s);
        s->ofport = ofport;
        HASH_ADD(hh, pool->slots, ofport, sizeof s->ofport, s);
    }
    s->used = true;
    want->ofport = ofport;
    return true;
}

/* The next number nobody used for an hour, else the one that has been free for longest. */
static void claim_any(struct ofport_pool *pool, struct ofport_want *want)
{
    struct ofport_slot *oldest = NULL;
    for (unsigned int i = 0; i < OFPORT_AUTO_MAX; i++) {
        pool->last = pool->last >= OFPORT_AUTO_MAX ? 1 : pool->last + 1;
        struct ofport_slot *s = slot_find(pool, pool->last);
        if (!s) {
            claim(pool, want, pool->last);
            return;
        }
        if (!s->used && (!oldest || s->freed_ms < oldest->freed_ms)) {
            oldest = s;
        }
    }
    if (oldest) {
        claim(pool, want, oldest->ofport);
    }
}

void ofport_assign(struct ofport_pool *pool, struct ofport_want *wants, size_t n, int64_t now_ms)
{
    struct ofport_slot *s, *tmp;
    HASH_ITER(hh, pool->slots, s, tmp) {
        s->was_used = s->used;
        s->used = false;
        if (!s->was_used && now_ms - s->freed_ms >= OFPORT_REUSE_MS) {
            HASH_DEL(pool->slots, s);
            free(s);
        }
    }
    for (size_t i = 0; i < n; i++) {
        wants[i].ofport = 0;
        if (wants[i].request && wants[i].request == wants[i].current) {
            claim(pool, &wants[i], wants[i].request);
        }
    }
    for (size_t i = 0; i < n; i++) {
        claim(pool, &wants[i], wants[i].request);
    }
    for (size_t i = 0; i < n; i++) {
        claim(pool, &wants[i], wants[i].current);
    }
    for (size_t i = 0; i < n; i++) {
        claim(pool, &wants[i], wants[i].previous);
    }
    /* Fresh numbers come last, and not from numbers that this very call set free. */
    HASH_ITER(hh, pool->slots, s, tmp) {
        if (s->was_used && !s->used) {
            s->freed_ms = now_ms;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!wants[i].ofport) {
            claim_any(pool, &wants[i]);
        }
    }
}
