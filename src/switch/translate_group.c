/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups and meters in a walk.
 *
 * A bucket is an action set that runs on a copy of the packet (OpenFlow 1.3, 5.6.1). Which bucket a select group takes
 * is decided here, for all packets of a megaflow: the hash is over what the group's method names, and only that is
 * looked at. The bucket is the one with the best draw among the live ones (rendezvous hashing): each draws a number
 * that its weight scales so that it wins in proportion, and when a bucket goes, only its own connections move.
 *
 * By default (and with dp_hash) connections are what is spread, and of their hash, which the key has (dp_hash), no more
 * bits are looked at than the weights need: so there are 1,024 megaflows for any number of connections, and a new one
 * seldom meets user space. The price is that a bucket's share is that of so many draws: with HASH_SHARE_MIN of them for
 * the least weight it is 9 % off (one standard deviation); two equal buckets are 3 % off. A group with the method hash
 * and no fields looks at all bits: its shares are exact, and each connection has a megaflow.
 *
 * A meter may drop the packet in the datapath, which must then end no more than the copy that it was met in: from the
 * first meter on, the rest of a copy (a bucket, a clone, what another bridge does behind a patch port) goes into a
 * DP_ACTION_CLONE. The header changes inside of it are not there any more behind it.
 */
#include "switch/group_table.h"
#include "switch/meter_table.h"
#include "switch/translate_private.h"

#define HASH_VALUES_MIN 1024
#define HASH_VALUES_MAX 65536
#define HASH_SHARE_MIN 128 /* of the values, for the least weight */

/* ---- copies ---- */

void xlate_copy_begin(struct xlate_ctx *x, struct xlate_copy *c)
{
    *c = (struct xlate_copy){.outer = x->copy};
    x->copy = c;
}

void xlate_copy_end(struct xlate_ctx *x, struct xlate_copy *c)
{
    x->copy = c->outer;
    if (!c->open) {
        return;
    }
    struct dp_action *clone = (struct dp_action *)(void *)(x->out->actions + c->at);
    size_t len = x->out->actions_len - c->at;

    if (len > UINT16_MAX) {
        x->out->actions_len = c->at; /* no datapath can be told that much */
        xlate_note_drop(x, DROP_BAD_ACTION);
    } else {
        clone->len = (uint16_t)len;
    }
    x->emitted = c->before;
}

/* From here on, the present copy's actions are nested. */
void xlate_copy_open(struct xlate_ctx *x)
{
    struct xlate_copy *c = x->copy;

    if (!c || c->open) {
        return;
    }
    c->open = true;
    c->at = x->out->actions_len;
    c->before = x->emitted;
    xlate_put_action(x->out, DP_ACTION_CLONE, sizeof(struct dp_action));
}

/* ---- meters ---- */

void xlate_meter(struct xlate_ctx *x, uint32_t id)
{
    const struct meter *m = meter_find(x->s.br, id);
    struct xlate_out *out = x->out;

    xlate_depend(x, &x->s.br->meters->changed);
    if (!m) {
        xlate_trace(x, "no such meter");
        xlate_note_drop(x, DROP_METER);
        x->stop = true;
        return;
    }
    if (!x->copy && !out->slow && out->n_slow_meters < XLATE_SLOW_METERS) {
        out->slow_meters[out->n_slow_meters++] = m->dp_id;
        if (x->in->metered) {
            return; /* the packet came up through it */
        }
    }
    xlate_copy_open(x);
    ((struct dp_action *)xlate_put_action(out, DP_ACTION_METER, sizeof(struct dp_action)))->arg = m->dp_id;
    x->metered = true;
}

/* ---- choosing ---- */

/* The finalizer of splitmix64: every bit of the result depends on every bit of V. */
static uint64_t mix(uint64_t v)
{
    v += 0x9e3779b97f4a7c15u;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

static uint64_t hash_field(struct xlate_ctx *x, uint64_t hash, const struct field *f, const union field_value *mask)
{
    static const union field_value none;
    struct flow bits = {0};
    union field_value v = {0};

    /* Whether the packet has the field counts too. */
    field_unwildcard(f, &bits, &none);
    xlate_look(x, &bits);
    if (!field_prereq_ok(f, &x->s.flow)) {
        return hash;
    }
    field_unwildcard(f, &bits, mask);
    xlate_look(x, &bits);
    field_read(f, &x->s.flow, &v);
    for (size_t i = 0; i < ARRAY_SIZE(v.u64); i++) {
        hash = mix(hash ^ (v.u64[i] & mask->u64[i]));
    }
    return mix(hash ^ (uint64_t)f->id);
}

/* May a select group choose B now? */
static bool is_candidate(const struct xlate_ctx *x, const struct group_bucket *b)
{
    return b->config.weight && group_bucket_is_live(x->s.br, b);
}

/* The bits of a connection's hash that are looked at. */
static uint32_t hash_mask(const struct xlate_ctx *x, const struct group *g)
{
    uint32_t least = UINT16_MAX, sum = 0;
    uint32_t values = HASH_VALUES_MIN;

    for (size_t i = 0; i < g->n_buckets; i++) {
        const struct group_bucket *b = g->buckets[i];

        if (is_candidate(x, b)) {
            least = MIN(least, b->config.weight);
            sum += b->config.weight;
        }
    }
    while (values < HASH_VALUES_MAX && (uint64_t)least * values < (uint64_t)sum * HASH_SHARE_MIN) {
        values *= 2;
    }
    return values - 1;
}

/* Of the packet as it came in, whatever was written since. */
static uint64_t hash_connection(struct xlate_ctx *x, uint64_t hash, uint32_t mask)
{
    const struct flow look = {.key.dp_hash = mask};

    xlate_look(x, &look);
    return mix(hash ^ (x->s.flow.key.dp_hash & mask));
}

static uint64_t hash_packet(struct xlate_ctx *x, const struct group *g)
{
    const struct of_group *c = &g->config;
    uint64_t hash = mix(c->method_param);

    if (c->method != OF_SELECT_HASH) {
        return hash_connection(x, hash, hash_mask(x, g));
    }
    if (!c->n_fields) {
        return hash_connection(x, hash, UINT32_MAX);
    }
    for (size_t i = 0; i < c->n_fields; i++) {
        hash = hash_field(x, hash, c->fields[i].field, &c->fields[i].mask);
    }
    return hash;
}

#define LOG_BITS 20

/* -log2(V / 2^64) in 1 / 2^LOG_BITS; V is not 0. */
static uint64_t minus_log2(uint64_t v)
{
    unsigned int zeros = (unsigned int)__builtin_clzll(v);
    uint64_t mantissa = v << zeros >> 32; /* 1 to 2, in 1 / 2^31 */
    uint64_t log = 0;

    for (unsigned int i = 0; i < LOG_BITS; i++) {
        mantissa = mantissa * mantissa >> 31;
        log <<= 1;
        if (mantissa >> 32) {
            mantissa >>= 1;
            log |= 1;
        }
    }
    return ((uint64_t)(zeros + 1) << LOG_BITS) - log;
}

/* The draw is -log(u) / weight of a uniform u, exponential with the weight as its rate: the least of several is that of
 * a bucket with a probability in proportion to its weight. Two draws are compared crosswise. */
static const struct group_bucket *select_bucket(struct xlate_ctx *x, const struct group *g)
{
    const struct group_bucket *best = NULL;
    uint64_t hash = 0, best_draw = 0;
    bool hashed = false;

    for (size_t i = 0; i < g->n_buckets; i++) {
        const struct group_bucket *b = g->buckets[i];

        if (!is_candidate(x, b)) {
            continue;
        }
        if (!hashed) {
            hash = hash_packet(x, g);
            hashed = true;
        }
        uint64_t draw = minus_log2(mix(hash ^ mix(b->config.id)) | 1);
        if (!best || draw * best->config.weight < best_draw * b->config.weight) {
            best = b;
            best_draw = draw;
        }
    }
    return best;
}

static const struct group_bucket *first_live(const struct xlate_ctx *x, const struct group *g)
{
    for (size_t i = 0; i < g->n_buckets; i++) {
        if (group_bucket_is_live(x->s.br, g->buckets[i])) {
            return g->buckets[i];
        }
    }
    return NULL;
}

/* ---- running ---- */

static void run_bucket(struct xlate_ctx *x, struct group_bucket *b)
{
    struct xlate_state saved = x->s;
    enum packet_in_reason why = x->why;
    struct xlate_copy copy;
    bool stop = x->stop;

    xlate_trace(x, "bucket %u", b->config.id);
    xlate_effect_put(x, XLATE_EFFECT_BUCKET)->group_bucket = group_bucket_ref(b);
    xlate_copy_begin(x, &copy);
    x->trace_depth++;
    x->why = why == PACKET_IN_PACKET_OUT ? why : PACKET_IN_GROUP;
    xlate_run_as_set(x, b->config.acts.data, b->config.acts.len);
    x->why = why;
    x->trace_depth--;
    xlate_copy_end(x, &copy);
    saved.action_set = x->s.action_set; /* the packet's own: tables that the bucket led to may have written to it */
    saved.flow.actset_output = x->s.flow.actset_output;
    x->s = saved;
    x->stop = stop;
}

static void run_group(struct xlate_ctx *x, const struct group *g)
{
    const struct group_bucket *b;

    switch (g->config.type) {
    case OF_GROUP_TYPE_ALL:
    case OF_GROUP_TYPE_INDIRECT:
        for (size_t i = 0; i < g->n_buckets && !x->stop; i++) {
            run_bucket(x, g->buckets[i]);
        }
        return;
    case OF_GROUP_TYPE_SELECT:
        b = select_bucket(x, g);
        break;
    case OF_GROUP_TYPE_FAILOVER:
    default:
        b = first_live(x, g);
        break;
    }
    if (b) {
        run_bucket(x, (struct group_bucket *)b);
    } else {
        xlate_trace(x, "no live bucket");
        xlate_note_drop(x, DROP_GROUP);
    }
}

void xlate_group(struct xlate_ctx *x, uint32_t id)
{
    struct group *g = group_find(x->s.br, id);

    xlate_reveal(x);
    xlate_depend(x, &x->s.br->groups->changed);
    if (!g) {
        xlate_note_drop(x, DROP_GROUP);
        return;
    }
    if (x->depth >= XLATE_MAX_DEPTH || x->resubmits >= XLATE_MAX_RESUBMITS) {
        x->stop = true;
        xlate_fail(x, DROP_RESUBMIT_DEPTH);
        return;
    }
    if (!g->n_buckets) {
        xlate_note_drop(x, DROP_GROUP);
    }
    /* It holds the group while it runs: a controller or a learned flow may change it. */
    xlate_effect_put(x, XLATE_EFFECT_GROUP)->group = group_ref(g);
    x->resubmits++;
    x->depth++;
    run_group(x, g);
    x->depth--;
}
