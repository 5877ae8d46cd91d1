/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/slots.h"

#include <utlist.h>

#include "base/util.h"

/* A slot, or a run of steps, in quarantine. */
struct dead {
    struct dead *prev, *next;
    uint32_t slot;
    uint32_t steps, n_steps;
    dp_flow_id id; /* whose late counts these are */
    struct dp_flow_stats seen;
    int64_t free_ms;
};

struct ebpf_slots {
    struct ebpf_maps *maps;
    struct dead *dead; /* in the order of their ends */
    uint32_t *free_slots;
    size_t n_free;
    uint32_t mask_users[EBPF_MASKS_MAX]; /* slots, in quarantine too */
    uint64_t *steps_used;                /* a bit for each of the pool */
    uint32_t steps_next, n_steps_used;
    uint32_t nexthop_users[EBPF_NEXTHOPS_MAX]; /* steps of slots, in quarantine too */
};

/* --- the pool of steps --- */

static bool step_used(const struct ebpf_slots *slots, uint32_t i)
{
    return slots->steps_used[i / 64] >> i % 64 & 1;
}

static void steps_mark(struct ebpf_slots *slots, uint32_t at, uint32_t n, bool used)
{
    for (uint32_t i = at; i < at + n; i++) {
        uint64_t bit = 1ull << i % 64;

        slots->steps_used[i / 64] = used ? slots->steps_used[i / 64] | bit : slots->steps_used[i / 64] & ~bit;
    }
    slots->n_steps_used += used ? n : -n;
}

/* Next fit. */
static bool steps_take(struct ebpf_slots *slots, uint32_t n, uint32_t *ret_at)
{
    uint32_t run = 0, at = slots->steps_next;

    for (uint32_t tries = 0; tries < EBPF_STEPS_POOL + n; tries++) {
        if (at == EBPF_STEPS_POOL) {
            at = run = 0;
        }
        run = step_used(slots, at++) ? 0 : run + 1;
        if (run == n) {
            steps_mark(slots, at - n, n, true);
            slots->steps_next = at % EBPF_STEPS_POOL;
            *ret_at = at - n;
            return true;
        }
    }
    return false;
}

/* --- masks --- */

bool ebpf_slots_get_mask(struct ebpf_slots *slots, const struct flow_key *mask, uint32_t *ret_index)
{
    struct ebpf_maps *m = slots->maps;
    uint32_t free_index = EBPF_MASKS_MAX;

    for (uint32_t i = 0; i < EBPF_MASKS_MAX; i++) {
        if (slots->mask_users[i] && !memcmp(&m->masks[i].mask, mask, sizeof(*mask))) {
            slots->mask_users[i]++;
            *ret_index = i;
            return true;
        }
        if (!slots->mask_users[i] && free_index == EBPF_MASKS_MAX) {
            free_index = i;
        }
    }
    if (free_index == EBPF_MASKS_MAX) {
        return false;
    }
    /* No slot that a program may have in hand names a mask without users, so nobody compares by it meanwhile. */
    m->masks[free_index].mask = *mask;
    __atomic_store_n(&m->masks[free_index].live, 1, __ATOMIC_RELEASE);
    if (m->config->n_masks <= free_index) {
        __atomic_store_n(&m->config->n_masks, free_index + 1, __ATOMIC_RELEASE);
    }
    slots->mask_users[free_index] = 1;
    *ret_index = free_index;
    return true;
}

void ebpf_slots_put_mask(struct ebpf_slots *slots, uint32_t index)
{
    struct ebpf_maps *m = slots->maps;

    if (--slots->mask_users[index]) {
        return;
    }
    __atomic_store_n(&m->masks[index].live, 0, __ATOMIC_RELEASE);
    while (m->config->n_masks && !slots->mask_users[m->config->n_masks - 1]) {
        m->config->n_masks--;
    }
}

void ebpf_slots_hold_mask(struct ebpf_slots *slots, uint32_t index)
{
    slots->mask_users[index]++;
}

/* --- slots --- */

struct dp_flow_stats ebpf_slot_stats(const struct ebpf_slot *slot)
{
    uint64_t packets = __atomic_load_n(&slot->packets, __ATOMIC_RELAXED);

    return (struct dp_flow_stats){
        .packets = packets,
        .bytes = __atomic_load_n(&slot->bytes, __ATOMIC_RELAXED),
        .used_ms = packets ? (int64_t)(__atomic_load_n(&slot->used_ns, __ATOMIC_RELAXED) / 1000000) : 0,
        .tcp_flags = (uint16_t)__atomic_load_n(&slot->tcp_flags, __ATOMIC_RELAXED),
    };
}

const struct ebpf_step *ebpf_slots_step(const struct ebpf_slots *slots, const struct ebpf_slot *slot, uint32_t i)
{
    return i < EBPF_STEPS_INLINE ? &slot->steps[i] : &slots->maps->steps[slot->more + i - EBPF_STEPS_INLINE];
}

/* Of those in the pool. */
static uint32_t more_steps(const struct ebpf_slot *slot)
{
    return slot->n_steps > EBPF_STEPS_INLINE ? slot->n_steps - EBPF_STEPS_INLINE : 0;
}

bool ebpf_slots_does(const struct ebpf_slots *slots, const struct ebpf_slot *slot, const struct ebpf_program *p)
{
    size_t inline_n = MIN(p->n, (size_t)EBPF_STEPS_INLINE);

    return slot->n_steps == p->n && slot->flags == p->flags &&
           (!p->n || !memcmp(slot->steps, p->steps, inline_n * sizeof(slot->steps[0]))) &&
           (p->n == inline_n ||
            !memcmp(slots->maps->steps + slot->more, p->steps + inline_n, (p->n - inline_n) * sizeof(slot->steps[0])));
}

/* The slot is filled, or is going to be given out again. */
static void count_nexthops(struct ebpf_slots *slots, const struct ebpf_slot *s, bool used)
{
    for (uint32_t i = 0; i < s->n_steps; i++) {
        const struct ebpf_step *step = ebpf_slots_step(slots, s, i);
        uint32_t place = step->u.tunnel.nexthop / EBPF_NEXTHOP_WAYS;

        if (ebpf_step_is_tunnel(step) && place < EBPF_NEXTHOPS_MAX) {
            slots->nexthop_users[place] += used ? 1 : -1u;
        }
    }
}

uint32_t ebpf_slots_leading_to(const struct ebpf_slots *slots, uint32_t nexthop)
{
    return slots->nexthop_users[nexthop / EBPF_NEXTHOP_WAYS];
}

bool ebpf_slots_make(struct ebpf_slots *slots, dp_flow_id id, const struct flow_key *key, uint32_t mask,
                     const struct ebpf_program *p, uint64_t used_ns, uint32_t *ret_index)
{
    uint32_t inline_n = (uint32_t)MIN(p->n, (size_t)EBPF_STEPS_INLINE), more_n = (uint32_t)p->n - inline_n, more = 0;
    struct ebpf_slot *s;
    uint32_t index;

    if (!slots->n_free || (more_n && !steps_take(slots, more_n, &more))) {
        return false;
    }
    index = slots->free_slots[--slots->n_free];
    s = &slots->maps->slots[index];
    s->live = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    s->key = *key;
    s->mask = mask;
    s->id = id;
    s->n_steps = (uint32_t)p->n;
    s->more = more;
    s->packets = s->bytes = s->tcp_flags = 0;
    s->used_ns = used_ns;
    s->flags = p->flags;
    memset(s->steps, 0, sizeof(s->steps));
    if (p->n) {
        memcpy(s->steps, p->steps, inline_n * sizeof(s->steps[0]));
    }
    if (more_n) {
        memcpy(slots->maps->steps + more, p->steps + inline_n, more_n * sizeof(s->steps[0]));
    }
    __atomic_store_n(&s->live, 1, __ATOMIC_RELEASE);
    count_nexthops(slots, s, true);
    *ret_index = index;
    return true;
}

struct dp_flow_stats ebpf_slots_bury(struct ebpf_slots *slots, uint32_t index, dp_flow_id id, int64_t now_ms)
{
    struct ebpf_slot *slot = &slots->maps->slots[index];
    struct dead *d = xcalloc(1, sizeof(*d));

    __atomic_store_n(&slot->live, 0, __ATOMIC_SEQ_CST);
    d->slot = index;
    d->steps = slot->more;
    d->n_steps = more_steps(slot);
    d->id = id;
    d->seen = ebpf_slot_stats(slot);
    d->free_ms = now_ms + EBPF_QUARANTINE_MS;
    DL_APPEND(slots->dead, d);
    return d->seen;
}

void ebpf_slots_tick(struct ebpf_slots *slots, int64_t now_ms, ebpf_slot_freed freed, void *aux)
{
    while (slots->dead && slots->dead->free_ms <= now_ms) {
        struct dead *d = slots->dead;
        struct ebpf_slot *slot = &slots->maps->slots[d->slot];
        struct dp_flow_stats late = ebpf_slot_stats(slot);

        late.packets -= d->seen.packets;
        late.bytes -= d->seen.bytes;
        freed(aux, d->slot, d->id, &late);
        count_nexthops(slots, slot, false);
        steps_mark(slots, d->steps, d->n_steps, false);
        ebpf_slots_put_mask(slots, slot->mask);
        slot->id = 0; /* what a packet met there is forgotten */
        slots->free_slots[slots->n_free++] = d->slot;
        DL_DELETE(slots->dead, d);
        free(d);
    }
}

bool ebpf_slots_have_room(const struct ebpf_slots *slots)
{
    uint32_t free_masks = 0;

    for (uint32_t i = 0; i < EBPF_MASKS_MAX; i++) {
        free_masks += !slots->mask_users[i];
    }
    return free_masks && slots->n_free > EBPF_SLOTS_MAX / 16 && slots->n_steps_used < EBPF_STEPS_POOL / 16 * 15;
}

/* --- all of them --- */

/* It lives, and names nothing that there is not. */
static bool is_whole(const struct ebpf_slots *slots, const struct ebpf_slot *slot)
{
    uint32_t more_n = more_steps(slot);

    return slot->live && slot->mask < EBPF_MASKS_MAX && slots->maps->masks[slot->mask].live &&
           slot->n_steps <= EBPF_STEPS_MAX &&
           (!more_n || (slot->more < EBPF_STEPS_POOL && more_n <= EBPF_STEPS_POOL - slot->more));
}

void ebpf_slots_adopt(struct ebpf_slots *slots, bool (*keep)(void *aux, uint32_t index), void *aux)
{
    struct ebpf_maps *m = slots->maps;

    for (uint32_t i = EBPF_SLOTS_MAX; i-- > 0;) {
        struct ebpf_slot *slot = &m->slots[i];

        if (is_whole(slots, slot) && keep(aux, i)) {
            slots->mask_users[slot->mask]++;
            steps_mark(slots, slot->more, more_steps(slot), true);
            count_nexthops(slots, slot, true);
            continue;
        }
        if (slot->live) { /* pages that are never used are never touched */
            slot->live = 0;
        }
        slots->free_slots[slots->n_free++] = i;
    }
    for (uint32_t i = 0; i < EBPF_MASKS_MAX; i++) {
        if (!slots->mask_users[i] && m->masks[i].live) {
            m->masks[i].live = 0;
        }
    }
}

struct ebpf_slots *ebpf_slots_new(struct ebpf_maps *maps)
{
    struct ebpf_slots *slots = xcalloc(1, sizeof(*slots));

    slots->maps = maps;
    slots->free_slots = xcalloc(EBPF_SLOTS_MAX, sizeof(slots->free_slots[0]));
    slots->steps_used = xcalloc(EBPF_STEPS_POOL / 64, sizeof(slots->steps_used[0]));
    /* The lowest first: pages that are never used are never touched. */
    for (uint32_t i = EBPF_SLOTS_MAX; i-- > 0 && !maps->adopted;) {
        slots->free_slots[slots->n_free++] = i;
    }
    return slots;
}

void ebpf_slots_free(struct ebpf_slots *slots)
{
    struct dead *d, *next;

    if (!slots) {
        return;
    }
    DL_FOREACH_SAFE(slots->dead, d, next) {
        free(d);
    }
    free(slots->free_slots);
    free(slots->steps_used);
    free(slots);
}
