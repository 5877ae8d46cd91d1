/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/flows.h"

#include <bpf/bpf.h>
#include <uthash.h>

#include "base/log.h"
#include "datapath/ebpf/slots.h"
#include "packet/tunnel_opts.h"

LOG_MODULE("ebpf_flows");

#define NO_SLOT UINT32_MAX
#define ORPHAN_ID (1ull << 63) /* an orphan's id: this and its slot, as what it was called may be called so anew */

struct flow {
    dp_flow_id id;
    uint32_t slot; /* NO_SLOT: there is no room for it any more, but for what it counted */
    uint32_t mask;
    uint64_t hash;
    struct dp_flow_stats before; /* what former slots counted */
    UT_hash_handle hh;
};

/* A flow of a process before us, which nobody has taken over yet. */
struct orphan {
    uint64_t hash;
    uint32_t slot;
    uint64_t used_ns; /* when they were put in order */
    UT_hash_handle hh;
};

struct ebpf_flows {
    struct ebpf_maps *maps;
    struct ebpf_slots *slots;
    const struct ebpf_opts_table *opts; /* may be NULL */
    struct flow *by_id;
    struct orphan *orphans;         /* by hash */
    struct orphan *orphan;          /* the one at hand */
    bool of_orphan[EBPF_SLOTS_MAX]; /* there is an orphan, or was, and nothing else since then */
};

static void stats_add(struct dp_flow_stats *to, const struct dp_flow_stats *s)
{
    to->packets += s->packets;
    to->bytes += s->bytes;
    to->used_ms = MAX(to->used_ms, s->used_ms);
    to->tcp_flags |= s->tcp_flags;
}

static void slot_is_free(void *f_, uint32_t index, dp_flow_id id, const struct dp_flow_stats *late)
{
    struct ebpf_flows *f = f_;
    struct flow *flow;

    HASH_FIND(hh, f->by_id, &id, sizeof(id), flow);
    if (flow) {
        stats_add(&flow->before, late);
    }
    f->of_orphan[index] = false;
}

void ebpf_flows_tick(struct ebpf_flows *f, int64_t now_ms)
{
    ebpf_slots_tick(f->slots, now_ms, slot_is_free, f);
}

/* --- flows --- */

/* By its id, if it is in the maps. */
static struct flow *flow_find(const struct ebpf_flows *f, dp_flow_id id)
{
    struct flow *flow;

    HASH_FIND(hh, f->by_id, &id, sizeof(id), flow);
    return flow && flow->slot != NO_SLOT ? flow : NULL;
}

/* Takes the slot, which the index does not name any more, from the flow. What it counts until it is found dead by all
 * programs is added by the tick. */
static void flow_leave_slot(struct ebpf_flows *f, struct flow *flow, int64_t now_ms)
{
    const struct dp_flow_stats seen = ebpf_slots_bury(f->slots, flow->slot, flow->id, now_ms);

    stats_add(&flow->before, &seen);
    flow->slot = NO_SLOT;
}

/* The flow is user space's. What it counted stays, or its counters would be heard to go back. */
static void flow_evict(struct ebpf_flows *f, struct flow *flow, int64_t now_ms)
{
    bpf_map_delete_elem(f->maps->flow_index_fd, &flow->hash);
    flow_leave_slot(f, flow, now_ms);
}

static int index_set(struct ebpf_flows *f, uint64_t hash, uint32_t slot)
{
    int error = bpf_map_update_elem(f->maps->flow_index_fd, &hash, &slot, BPF_ANY);

    return error < 0 ? error : 0;
}

static int change(struct ebpf_flows *f, struct flow *flow, const struct flow_key *key,
                  const struct ebpf_program *program, int64_t now_ms)
{
    uint32_t slot, old = flow->slot;
    int error;

    if (ebpf_slots_does(f->slots, &f->maps->slots[old], program)) {
        return 0;
    }
    if (!ebpf_slots_make(f->slots, flow->id, key, flow->mask, program, f->maps->slots[old].used_ns, &slot)) {
        flow_evict(f, flow, now_ms);
        return -ENOSPC;
    }
    ebpf_slots_hold_mask(f->slots, flow->mask);
    error = index_set(f, flow->hash, slot);
    if (error) {
        ebpf_slots_bury(f->slots, slot, 0, now_ms);
        flow_evict(f, flow, now_ms);
        return error;
    }
    flow_leave_slot(f, flow, now_ms);
    flow->slot = slot;
    return 0;
}

/* --- orphans --- */

static void orphan_free(struct ebpf_flows *f, struct orphan *o)
{
    if (f->orphan == o) {
        f->orphan = o->hh.next;
    }
    HASH_DEL(f->orphans, o);
    free(o);
}

static void orphan_bury(struct ebpf_flows *f, struct orphan *o, int64_t now_ms)
{
    bpf_map_delete_elem(f->maps->flow_index_fd, &o->hash);
    ebpf_slots_bury(f->slots, o->slot, 0, now_ms);
    orphan_free(f, o);
}

/* FLOW, which is new, goes on where an orphan of the same key and mask was. What it counted until now was another
 * process's. */
static void take_over(struct ebpf_flows *f, struct flow *flow)
{
    struct ebpf_slot *s;
    struct orphan *o;

    HASH_FIND(hh, f->orphans, &flow->hash, sizeof(flow->hash), o);
    if (!o) {
        return;
    }
    s = &f->maps->slots[o->slot];
    flow->slot = o->slot;
    flow->before = (struct dp_flow_stats){.packets = -s->packets, .bytes = -s->bytes};
    s->id = flow->id;
    orphan_free(f, o);
}

static int by_use(const struct orphan *a, const struct orphan *b)
{
    return a->used_ns < b->used_ns ? -1 : a->used_ns > b->used_ns;
}

void ebpf_flows_first_orphan(struct ebpf_flows *f)
{
    for (struct orphan *o = f->orphans; o; o = o->hh.next) {
        o->used_ns = f->maps->slots[o->slot].used_ns;
    }
    HASH_SRT(hh, f->orphans, by_use);
    f->orphan = f->orphans;
}

bool ebpf_flows_orphan(const struct ebpf_flows *f, struct ebpf_orphan *ret)
{
    const struct ebpf_slot *s;

    if (!f->orphan) {
        return false;
    }
    s = &f->maps->slots[f->orphan->slot];
    *ret = (struct ebpf_orphan){.key = s->key,
                                .mask = f->maps->masks[s->mask].mask,
                                .used_ms = (int64_t)(s->used_ns / 1000000),
                                .at = f->orphan->slot};
    return true;
}

void ebpf_flows_next_orphan(struct ebpf_flows *f, uint32_t at, bool drop, int64_t now_ms)
{
    if (!f->orphan || f->orphan->slot != at) {
        return; /* it was taken over */
    }
    if (drop) {
        orphan_bury(f, f->orphan, now_ms);
    } else {
        f->orphan = f->orphan->hh.next;
    }
}

/* It comes from the port NUMBER, or leads there, and ALONE: nowhere else. */
static bool orphan_is_of(const struct ebpf_flows *f, const struct orphan *o, uint32_t number, bool alone)
{
    const struct ebpf_slot *s = &f->maps->slots[o->slot];
    bool there = false, elsewhere = false;

    if (dp_port_u32(s->key.in_port) == number) {
        return true;
    }
    for (uint32_t i = 0; i < s->n_steps; i++) {
        const struct ebpf_step *step = ebpf_slots_step(f->slots, s, i);

        there |= ebpf_step_is_output(step) && step->port == number;
        elsewhere |= ebpf_step_is_output(step) && step->port != number;
    }
    return there && !(alone && elsewhere);
}

void ebpf_flows_drop_orphans_of(struct ebpf_flows *f, uint32_t number, bool alone, int64_t now_ms)
{
    struct orphan *o, *next;

    HASH_ITER(hh, f->orphans, o, next) {
        if (orphan_is_of(f, o, number, alone)) {
            orphan_bury(f, o, now_ms);
        }
    }
}

static struct flow *flow_get(struct ebpf_flows *f, dp_flow_id id)
{
    struct flow *flow;

    HASH_FIND(hh, f->by_id, &id, sizeof(id), flow);
    if (!flow) {
        flow = xcalloc(1, sizeof(*flow));
        flow->id = id;
        flow->slot = NO_SLOT;
        HASH_ADD(hh, f->by_id, id, sizeof(flow->id), flow);
    }
    return flow;
}

static void flow_free(struct ebpf_flows *f, struct flow *flow)
{
    HASH_DEL(f->by_id, flow);
    free(flow);
}

static bool has_counted(const struct flow *flow)
{
    return flow->before.packets || flow->before.bytes;
}

/* Gives the flow, which has no slot but its mask, a slot. On failure the mask is given back. */
static int enter(struct ebpf_flows *f, struct flow *flow, const struct flow_key *key,
                 const struct ebpf_program *program, uint64_t used_ns, int64_t now_ms)
{
    uint32_t slot;
    int error;

    if (!ebpf_slots_make(f->slots, flow->id, key, flow->mask, program, used_ns, &slot)) {
        ebpf_slots_put_mask(f->slots, flow->mask);
        return -ENOSPC;
    }
    error = index_set(f, flow->hash, slot);
    if (error) {
        ebpf_slots_bury(f->slots, slot, 0, now_ms);
        return error;
    }
    flow->slot = slot;
    return 0;
}

int ebpf_flows_put(struct ebpf_flows *f, dp_flow_id id, const struct flow_key *key, const struct flow_key *mask,
                   const struct ebpf_program *program, int64_t used_ms, int64_t now_ms)
{
    struct flow *flow = flow_find(f, id);
    int error;

    if (flow) {
        return change(f, flow, key, program, now_ms);
    }
    flow = flow_get(f, id);
    if (!ebpf_slots_get_mask(f->slots, mask, &flow->mask)) {
        log_limited(LOG_LEVEL_INFO, "%d masks are the limit: more flows go the slow way", EBPF_MASKS_MAX);
        error = -ENOSPC;
    } else {
        flow->hash = ebpf_hash(key, mask, f->maps->config->seed, flow->mask);
        take_over(f, flow);
        if (flow->slot != NO_SLOT) {
            ebpf_slots_put_mask(f->slots, flow->mask); /* the slot has its own already */
            return change(f, flow, key, program, now_ms);
        }
        error = enter(f, flow, key, program, (uint64_t)used_ms * 1000000, now_ms);
    }
    if (error && !has_counted(flow)) {
        flow_free(f, flow);
    }
    return error;
}

bool ebpf_flows_has(const struct ebpf_flows *f, dp_flow_id id)
{
    return flow_find(f, id);
}

bool ebpf_flows_have_room(const struct ebpf_flows *f)
{
    return ebpf_slots_have_room(f->slots);
}

uint32_t ebpf_flows_leading_to(const struct ebpf_flows *f, uint32_t nexthop)
{
    return ebpf_slots_leading_to(f->slots, nexthop);
}

int ebpf_flows_get_stats(const struct ebpf_flows *f, dp_flow_id id, struct dp_flow_stats *ret_stats)
{
    struct dp_flow_stats s = {0};
    struct flow *flow;

    HASH_FIND(hh, f->by_id, &id, sizeof(id), flow);
    if (!flow) {
        return -ENOENT;
    }
    if (flow->slot != NO_SLOT) {
        s = ebpf_slot_stats(&f->maps->slots[flow->slot]);
    }
    stats_add(&s, &flow->before);
    *ret_stats = s;
    return 0;
}

int ebpf_flows_step(const struct ebpf_flows *f, dp_flow_id id, uint32_t i, struct ebpf_step *ret_step)
{
    const struct flow *flow = flow_find(f, id);
    const struct ebpf_slot *s = flow ? &f->maps->slots[flow->slot] : NULL;

    if (!s || i >= s->n_steps) {
        return -ENOENT;
    }
    *ret_step = *ebpf_slots_step(f->slots, s, i);
    return 0;
}

/* What the flow ID was when it was in SLOT, while it is not forgotten. */
static const struct ebpf_slot *slot_met(const struct ebpf_flows *f, dp_flow_id id, uint32_t slot)
{
    if (id & ORPHAN_ID) { /* it may have been taken over */
        slot = id % EBPF_SLOTS_MAX;
        return f->of_orphan[slot] ? &f->maps->slots[slot] : NULL;
    }
    return slot < EBPF_SLOTS_MAX && f->maps->slots[slot].id == id ? &f->maps->slots[slot] : NULL;
}

/* What the flow that was in S is now: S itself, if it is an orphan still. NULL: it is gone. */
static const struct ebpf_slot *slot_now(const struct ebpf_flows *f, const struct ebpf_slot *s)
{
    const struct flow *flow = flow_find(f, s->id);

    if (s->id & ORPHAN_ID) {
        return s->live ? s : NULL;
    }
    return flow ? &f->maps->slots[flow->slot] : NULL;
}

/* But for whether it is the last one. */
static bool outputs_are_same(const struct ebpf_step *a, const struct ebpf_step *b)
{
    struct ebpf_step x = *a, y = *b;

    x.flags |= EBPF_STEP_LAST;
    y.flags |= EBPF_STEP_LAST;
    return !memcmp(&x, &y, sizeof(x));
}

/* The list of NOW outputs what step I of WAS does, after the same changes. */
static bool still_outputs(const struct ebpf_flows *f, const struct ebpf_slot *was, uint32_t i,
                          const struct ebpf_slot *now)
{
    const struct ebpf_step *output = ebpf_slots_step(f->slots, was, i);
    uint32_t k = 0; /* all changes before were made */

    for (uint32_t j = 0; j < now->n_steps; j++) {
        const struct ebpf_step *step = ebpf_slots_step(f->slots, now, j);

        while (k < i && ebpf_step_is_output(ebpf_slots_step(f->slots, was, k))) {
            k++;
        }
        if (!ebpf_step_is_output(step)) {
            if (k == i || memcmp(step, ebpf_slots_step(f->slots, was, k++), sizeof(*step)) != 0) {
                return false;
            }
        } else if (k == i && outputs_are_same(step, output)) {
            return true;
        }
    }
    return false;
}

int ebpf_flows_output(const struct ebpf_flows *f, dp_flow_id id, uint32_t slot, uint32_t i, struct ebpf_step *ret_step)
{
    const struct ebpf_slot *was = slot_met(f, id, slot), *now = was ? slot_now(f, was) : NULL;

    if (!now || i >= was->n_steps || !ebpf_step_is_output(ebpf_slots_step(f->slots, was, i)) ||
        (now != was && !still_outputs(f, was, i, now))) {
        return -ENOENT;
    }
    *ret_step = *ebpf_slots_step(f->slots, was, i);
    return 0;
}

int ebpf_flows_options(const struct ebpf_flows *f, dp_flow_id id, uint32_t slot, uint32_t i, uint32_t *ret_opts_id)
{
    const struct ebpf_slot *s = slot_met(f, id, slot);
    uint8_t opts[EBPF_OPTS_STEPS * EBPF_OPTS_STEP];
    size_t len, got = 0;

    if (!s || i >= s->n_steps) {
        return -ENOENT;
    }
    len = ebpf_slots_step(f->slots, s, i)->u.tunnel.opts_len;
    /* The steps with its options are the last ones before it; other outputs may stand between. */
    while (got < len && i-- > 0) {
        const struct ebpf_step *step = ebpf_slots_step(f->slots, s, i);

        if (step->op == EBPF_OP_OPTS && step->arg <= sizeof(opts) - EBPF_OPTS_STEP) {
            memcpy(opts + step->arg, step->u.opts, EBPF_OPTS_STEP);
            got += EBPF_OPTS_STEP;
        }
    }
    return got < len ? -ENOENT : tunnel_opts_intern(opts, len, ret_opts_id);
}

int ebpf_flows_verify(const struct ebpf_flows *f, dp_flow_id id, const struct flow_key *key,
                      const struct flow_key *mask, const struct ebpf_program *program, bool *ret_same)
{
    const struct flow *flow = flow_find(f, id);
    const struct ebpf_slot *s;

    if (!flow) {
        return -ENOENT;
    }
    s = &f->maps->slots[flow->slot];
    *ret_same = s->live && s->mask == flow->mask && !memcmp(&s->key, key, sizeof(*key)) &&
                !memcmp(&f->maps->masks[flow->mask].mask, mask, sizeof(*mask)) && ebpf_slots_does(f->slots, s, program);
    return 0;
}

int ebpf_flows_del(struct ebpf_flows *f, dp_flow_id id, struct dp_flow_stats *ret_stats, int64_t now_ms)
{
    struct flow *flow;

    HASH_FIND(hh, f->by_id, &id, sizeof(id), flow);
    if (!flow) {
        return -ENOENT;
    }
    if (flow->slot != NO_SLOT) {
        __atomic_store_n(&f->maps->slots[flow->slot].live, 0, __ATOMIC_SEQ_CST);
    }
    if (ret_stats) {
        ebpf_flows_get_stats(f, id, ret_stats);
    }
    if (flow->slot != NO_SLOT) {
        flow_evict(f, flow, now_ms);
    }
    flow_free(f, flow);
    return 0;
}

/* What lives in the maps, and is found there, goes on as an orphan. */
static bool adopt_slot(void *f_, uint32_t index)
{
    struct ebpf_flows *f = f_;
    struct ebpf_maps *m = f->maps;
    struct ebpf_slot *s = &m->slots[index];
    struct orphan *o;
    uint32_t found;
    uint64_t hash;

    /* Options that fell out of the map have a number that may come to mean others. */
    if (f->opts && s->key.tunnel.opts_id && !ebpf_opts_has(f->opts, s->key.tunnel.opts_id)) {
        return false;
    }
    hash = ebpf_hash(&s->key, &m->masks[s->mask].mask, m->config->seed, s->mask);
    if (bpf_map_lookup_elem(m->flow_index_fd, &hash, &found) || found != index) {
        return false;
    }
    o = xcalloc(1, sizeof(*o));
    o->hash = hash;
    o->slot = index;
    HASH_ADD(hh, f->orphans, hash, sizeof(o->hash), o);
    s->id = ORPHAN_ID | index;
    f->of_orphan[index] = true;
    return true;
}

static void adopt(struct ebpf_flows *f)
{
    struct ebpf_maps *m = f->maps;

    ebpf_slots_adopt(f->slots, adopt_slot, f);
    /* What the index says of slots that are dead is overwritten or never matches; it is tidied here. */
    for (uint64_t key, next, *at = NULL; !bpf_map_get_next_key(m->flow_index_fd, at, &next); at = &key) {
        struct orphan *o;

        key = next;
        HASH_FIND(hh, f->orphans, &key, sizeof(key), o);
        if (!o) {
            bpf_map_delete_elem(m->flow_index_fd, &key);
            at = NULL;
        }
    }
    if (f->orphans) {
        log_info("%u flows of a switch before go on", HASH_COUNT(f->orphans));
    }
}

struct ebpf_flows *ebpf_flows_new(struct ebpf_maps *maps, const struct ebpf_opts_table *opts)
{
    struct ebpf_flows *f = xcalloc(1, sizeof(*f));

    f->maps = maps;
    f->opts = opts;
    f->slots = ebpf_slots_new(maps);
    if (maps->adopted) {
        adopt(f);
    }
    return f;
}

void ebpf_flows_for_each_orphan_step(const struct ebpf_flows *f, void (*fn)(void *aux, const struct ebpf_step *step),
                                     void *aux)
{
    struct orphan *o, *next;

    HASH_ITER(hh, f->orphans, o, next) {
        const struct ebpf_slot *s = &f->maps->slots[o->slot];

        for (uint32_t i = 0; i < s->n_steps; i++) {
            fn(aux, ebpf_slots_step(f->slots, s, i));
        }
    }
}

void ebpf_flows_free(struct ebpf_flows *f)
{
    struct flow *flow, *next;
    struct orphan *o, *next_o;

    if (!f) {
        return;
    }
    HASH_ITER(hh, f->orphans, o, next_o) {
        orphan_free(f, o);
    }
    HASH_ITER(hh, f->by_id, flow, next) {
        HASH_DEL(f->by_id, flow);
        free(flow);
    }
    ebpf_slots_free(f->slots);
    free(f);
}
