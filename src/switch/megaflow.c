/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/megaflow_private.h"

#include <utlist.h>

#include "base/coverage.h"
#include "base/log.h"
#include "switch/cls_mask.h"
#include "switch/meter_table.h"

LOG_MODULE("megaflow");
COVERAGE(upcall_miss);
COVERAGE(upcall_slow);
COVERAGE(megaflow_add);
COVERAGE(megaflow_not_admitted);
COVERAGE(megaflow_remove);

#define SYNC_MAX_FLOWS 20000 /* whose counters are read in one go */

/* Megaflows share masks: there are few of them. */
struct megaflow_mask {
    struct flow_key key;
    size_t n_flows;
    uint32_t hash;
    uint8_t n_words, words[FLOW_KEY_U64S]; /* where the mask is not zero */
};

bool megaflows_outlive_us(const struct megaflows *m)
{
    return m->sw->dp->class->settle;
}

/* ---- the table of them ---- */

static struct megaflow_mask *find_mask(const struct megaflows *m, const struct flow_key *key, uint32_t hash)
{
    struct megaflow_mask *mask;

    HASH_INDEX_FOR_EACH_WITH(mask, &m->masks, hash)
    {
        if (!memcmp(&mask->key, key, sizeof *key)) {
            return mask;
        }
    }
    return NULL;
}

/* The mask KEY, with one more flow that has it. */
static struct megaflow_mask *get_mask(struct megaflows *m, const struct flow_key *key)
{
    const uint64_t *w = (const uint64_t *)(const void *)key;
    uint32_t hash = cls_hash_key(key);
    struct megaflow_mask *mask = find_mask(m, key, hash);

    if (!mask) {
        mask = xcalloc(1, sizeof *mask);
        mask->key = *key;
        mask->hash = hash;
        for (uint8_t i = 0; i < FLOW_KEY_U64S; i++) {
            if (w[i]) {
                mask->words[mask->n_words++] = i;
            }
        }
        hash_index_insert(&m->masks, hash, mask);
    }
    mask->n_flows++;
    return mask;
}

static uint32_t hash_key(const struct megaflow_mask *mask, const struct flow_key *key)
{
    const uint64_t *w = (const uint64_t *)(const void *)key;
    uint64_t h = mask->hash;

    for (unsigned int i = 0; i < mask->n_words; i++) {
        h = cls_hash_add(h, w[mask->words[i]]);
    }
    return cls_hash_finish(h);
}

/* KEY is masked, HASH is hash_key() of it. */
static struct megaflow *find(const struct megaflows *m, const struct flow_key *key, const struct megaflow_mask *mask,
                             uint32_t hash)
{
    struct megaflow *f;

    HASH_INDEX_FOR_EACH_WITH(f, &m->by_key, hash)
    {
        if (f->mask == mask && !memcmp(&f->key, key, sizeof *key)) {
            return f;
        }
    }
    return NULL;
}

struct megaflow *megaflow_find(const struct megaflows *m, const struct flow_key *key, const struct flow_key *mask_key)
{
    const struct megaflow_mask *mask = find_mask(m, mask_key, cls_hash_key(mask_key));

    return mask ? find(m, key, mask, hash_key(mask, key)) : NULL;
}

bool megaflow_covers(const struct megaflows *m, const struct flow_key *key)
{
    _cleanup_free_ void **masks = hash_index_list(&m->masks);
    bool found = false;

    for (size_t i = 0; masks && i < m->masks.n && !found; i++) {
        const struct megaflow_mask *mask = masks[i];
        struct flow_key masked;

        flow_key_and(&masked, key, &mask->key);
        found = find(m, &masked, mask, hash_key(mask, &masked));
    }
    return found;
}

/* Its hash is known. */
static void add(struct megaflows *m, struct megaflow *f)
{
    hash_index_insert(&m->by_key, f->hash, f);
    DL_APPEND(m->list, f);
}

static void put_mask(struct megaflows *m, struct megaflow_mask *mask)
{
    if (!--mask->n_flows) {
        hash_index_remove(&m->masks, mask->hash, mask);
        free(mask);
    }
}

/* ---- one megaflow ---- */

/* Pushes what came on top since the last time. */
static void push_stats(struct megaflows *m, struct megaflow *f, const struct dp_flow_stats *stats)
{
    uint64_t packets = stats->packets - f->stats.packets, bytes = stats->bytes - f->stats.bytes;

    f->stats = *stats;
    if (packets || bytes) {
        /* Effects may change tables, and that may ask for counters: not now, in the middle of a megaflow. */
        m->pushing++;
        xlate_effects_run(f->effects, f->n_common, packets, bytes, stats->tcp_flags, stats->used_ms);
        m->pushing--;
    }
}

static void forget(struct megaflows *m, struct megaflow *f)
{
    if (m->cursor == f) {
        m->cursor = f->next;
    }
    coverage_inc(megaflow_remove);
    hash_index_remove(&m->by_key, f->hash, f);
    DL_DELETE(m->list, f);
    put_mask(m, f->mask);
    xlate_effects_free(f->effects, f->n_effects);
    free(f->deps);
    free(f->actions);
    free(f);
}

void megaflow_remove(struct megaflows *m, struct megaflow *f)
{
    struct dp_flow_stats stats;

    if (!dp_flow_del(m->sw->dp, f->id, &stats)) {
        push_stats(m, f, &stats);
    }
    forget(m, f);
}

bool megaflow_pull_stats(struct megaflows *m, struct megaflow *f)
{
    struct dp_flow_stats stats;
    int error = dp_flow_get_stats(m->sw->dp, f->id, &stats);

    if (error == -ENOENT) {
        forget(m, f);
        return false;
    }
    if (!error) {
        push_stats(m, f, &stats);
    }
    return true;
}

static int put(struct megaflows *m, const struct megaflow *f, const void *actions, size_t len, int64_t used_ms)
{
    const struct dp_flow flow = {.id = f->id,
                                 .key = &f->key,
                                 .mask = &f->mask->key,
                                 .actions = actions,
                                 .actions_len = len,
                                 .stats.used_ms = used_ms};

    return dp_flow_put(m->sw->dp, &flow);
}

/* The detour over user space: meters, and DP_ACTION_SLOW. */
struct detour {
    struct dp_action actions[XLATE_SLOW_METERS + 2];
    size_t n;
};

static void detour_put(struct detour *d, enum dp_action_type type, uint32_t arg)
{
    d->actions[d->n++] = (struct dp_action){.type = (uint16_t)type, .len = sizeof(struct dp_action), .arg = arg};
}

/* What the datapath gets for OUT: its actions, or the detour. What limits packets to the controller is before it, so
 * that what is too much does not even come up. */
static void installed_actions(const struct xlate_out *out, struct detour *detour, const void **ret, size_t *ret_len)
{
    const struct meter *m = out->slow && out->bridge ? meter_find(out->bridge, OF_METER_SLOWPATH) : NULL;

    if (!out->slow) {
        *ret = out->actions;
        *ret_len = out->actions_len;
        return;
    }
    detour->n = 0;
    if (m) {
        detour_put(detour, DP_ACTION_METER, m->dp_id);
    }
    for (unsigned int i = 0; i < out->n_slow_meters; i++) {
        detour_put(detour, DP_ACTION_METER, out->slow_meters[i]);
    }
    detour_put(detour, DP_ACTION_SLOW, out->parted ? DP_SLOW_ACTION : DP_SLOW_CONTROLLER);
    *ret = detour->actions;
    *ret_len = detour->n * sizeof detour->actions[0];
}

static void *copy(const void *p, size_t size)
{
    return size ? xmemdup(p, size) : NULL;
}

/* The references that the effects hold move; the lists stay OUT's. */
static void take_effects(struct megaflow *f, struct xlate_out *out)
{
    xlate_effects_free(f->effects, f->n_effects);
    free(f->deps);
    f->n_effects = out->n_effects;
    f->n_common = out->n_common;
    f->n_deps = out->n_deps;
    f->effects = copy(out->effects, out->n_effects * sizeof *out->effects);
    f->deps = copy(out->deps, out->n_deps * sizeof *out->deps);
    out->n_effects = 0;
}

bool megaflow_mask_suffices(const struct flow_key *have, const struct flow_key *need)
{
    const uint64_t *h = (const uint64_t *)(const void *)have, *n = (const uint64_t *)(const void *)need;

    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        if (n[i] & ~h[i]) {
            return false;
        }
    }
    return true;
}

bool megaflow_has_port(const struct xlate_out *out)
{
    return out->bridge || out->drop != DROP_NO_PORT;
}

bool megaflow_does(const struct megaflow *f, const struct xlate_out *out)
{
    struct detour slow;
    const void *actions;
    size_t len;

    installed_actions(out, &slow, &actions, &len);
    return len == f->actions_len && !memcmp(actions, f->actions, len);
}

bool megaflow_update(struct megaflows *m, struct megaflow *f, struct xlate_out *out)
{
    struct detour slow;
    const void *actions;
    size_t len;

    if (!megaflow_mask_suffices(&f->mask->key, &out->mask) || !megaflow_has_port(out)) {
        megaflow_remove(m, f);
        return false;
    }
    installed_actions(out, &slow, &actions, &len);
    if (len != f->actions_len || memcmp(actions, f->actions, len)) {
        if (put(m, f, actions, len, f->stats.used_ms)) {
            megaflow_remove(m, f);
            return false;
        }
        free(f->actions);
        f->actions = xmemdup(actions, len);
        f->actions_len = len;
    }
    take_effects(f, out);
    return true;
}

/* ---- upcalls ---- */

void megaflow_install(struct megaflows *m, const struct flow_key *key, struct xlate_out *out, uint64_t generation,
                      enum megaflow_origin origin, int64_t used_ms, int64_t now)
{
    struct megaflow_mask *mask = get_mask(m, &out->mask);
    struct flow_key masked;
    struct detour slow;
    struct megaflow *f;
    const void *actions;
    uint32_t hash;
    size_t len;
    int error;

    flow_key_and(&masked, key, &out->mask);
    hash = hash_key(mask, &masked);
    f = find(m, &masked, mask, hash);
    if (f) {
        put_mask(m, mask); /* F has it as well */
        /* Another packet of the flow was on its way up as well, or the flow is stale. */
        if (megaflow_pull_stats(m, f) && megaflow_update(m, f, out)) {
            f->generation = generation;
        }
        return;
    }
    if (m->by_key.n >= m->max_flows) {
        put_mask(m, mask);
        log_limited(LOG_LEVEL_WARN, "%zu megaflows are the limit: new ones go packet by packet", m->max_flows);
        return;
    }
    if (origin == MEGAFLOW_ASKED && !admission_ask(&m->admission, hash, now)) {
        put_mask(m, mask);
        coverage_inc(megaflow_not_admitted);
        return;
    }
    installed_actions(out, &slow, &actions, &len);
    f = xcalloc(1, sizeof *f);
    f->key = masked;
    f->first = *key;
    f->first.tunnel.opts_id = masked.tunnel.opts_id; /* of others no reference is held */
    f->mask = mask;
    f->hash = hash;
    f->id = ++m->next_id;
    error = put(m, f, actions, len, used_ms);
    if (error) {
        log_limited(LOG_LEVEL_WARN, "the datapath refuses a megaflow: %s", strerror(-error));
        put_mask(m, mask);
        free(f);
        return;
    }
    f->actions = xmemdup(actions, len);
    f->actions_len = len;
    f->created_ms = now;
    f->generation = generation;
    take_effects(f, out);
    coverage_inc(megaflow_add);
    add(m, f);
}

void megaflow_upcall(void *aux, const struct dp_upcall *upcall)
{
    struct switch_ *sw = aux;
    uint64_t generation = sw->generation;
    int64_t now = time_mono_ms();
    struct xlate_out out;
    size_t counted;
    int error;

    if (sw->restore_wait) {
        sw->drops[DROP_RESTORE_WAIT]++;
        return;
    }
    coverage_add(upcall_miss, upcall->reason == DP_UPCALL_MISS);
    coverage_add(upcall_slow, upcall->reason == DP_UPCALL_SLOW);
    translate(&(struct xlate_in){.sw = sw,
                                 .key = upcall->key,
                                 .packet = upcall->packet,
                                 .effects = true,
                                 .metered = upcall->reason == DP_UPCALL_SLOW,
                                 .now = now},
              &out);
    xlate_packet_ins_send(&out);
    /* A packet that came up by DP_ACTION_SLOW was counted by its megaflow, as far as that knows its way. */
    counted = upcall->reason == DP_UPCALL_MISS ? 0 : out.n_common;
    xlate_effects_run(out.effects + counted, out.n_effects - counted, 1, upcall->packet->len,
                      (uint16_t)__builtin_bswap16(upcall->key->tcp_flags), now);
    if (upcall->reason == DP_UPCALL_MISS && megaflow_has_port(&out)) {
        megaflow_install(sw->megaflows, upcall->key, &out, generation, MEGAFLOW_ASKED, now, now);
    }
    if (out.actions_len) {
        error =
            dp_execute(sw->dp, upcall->packet, (const struct dp_action *)(const void *)out.actions, out.actions_len);
        if (error) {
            log_limited(LOG_LEVEL_DBG, "execute: %s", strerror(-error));
        }
    }
    if (upcall->reason == DP_UPCALL_MISS && !out.slow && out.drop == DROP_NONE) {
        megaflow_foresee(sw->megaflows, upcall->key, out.actions, out.actions_len, now);
    }
    xlate_out_done(&out);
}

void megaflow_sync_stats(struct switch_ *sw)
{
    struct megaflows *m = sw->megaflows;
    int64_t began = time_mono_ms();
    struct megaflow *f, *next;

    if (!m || m->pushing || m->by_key.n > SYNC_MAX_FLOWS) {
        return; /* the passes read them once a second, in slices */
    }
    DL_FOREACH_SAFE(m->list, f, next) {
        megaflow_pull_stats(m, f);
    }
    m->stats_ms = MAX(m->stats_ms, began);
}

static bool uses_removed_rule(const struct megaflow *f)
{
    for (size_t i = 0; i < f->n_effects; i++) {
        if (f->effects[i].type == XLATE_EFFECT_RULE && !f->effects[i].rule->in_table) {
            return true;
        }
    }
    return false;
}

void megaflow_sync_removed(struct switch_ *sw)
{
    struct megaflow *f, *next;

    if (!sw->megaflows || sw->megaflows->pushing) {
        return;
    }
    DL_FOREACH_SAFE(sw->megaflows->list, f, next) {
        if (uses_removed_rule(f)) {
            megaflow_pull_stats(sw->megaflows, f);
        }
    }
}

int64_t megaflow_stats_time(const struct switch_ *sw, int64_t now)
{
    return sw->megaflows && sw->megaflows->list ? sw->megaflows->stats_ms : now;
}

void megaflow_flush(struct switch_ *sw)
{
    struct megaflows *m = sw->megaflows;

    while (m && m->list) {
        megaflow_remove(m, m->list);
    }
    if (m) {
        m->neighbours = (struct neighbours){0}; /* what was foreseen is gone, too */
    }
}

static bool effect_is_of(const struct xlate_effect *e, const struct bridge *br)
{
    switch (e->type) {
    case XLATE_EFFECT_PORT_RX:
    case XLATE_EFFECT_PORT_TX:
    case XLATE_EFFECT_BOND:
        return e->bridge == br || e->port->bridge == br; /* a patch port's peer */
    default:
        return e->bridge == br;
    }
}

/* Every walk through a bridge begins with a lookup, whose effect names it; what it depends on comes after that. */
static bool is_of(const struct megaflow *f, const struct bridge *br)
{
    for (size_t i = 0; i < f->n_effects; i++) {
        if (effect_is_of(&f->effects[i], br)) {
            return true;
        }
    }
    return false;
}

void megaflow_flush_bridge(struct bridge *br)
{
    struct megaflows *m = br->sw->megaflows;
    struct megaflow *f, *next;

    if (!m) {
        return;
    }
    DL_FOREACH_SAFE(m->list, f, next) {
        if (is_of(f, br)) {
            megaflow_remove(m, f);
        }
    }
}

size_t megaflow_count(const struct switch_ *sw)
{
    return sw->megaflows->by_key.n;
}

uint64_t megaflow_n_revalidated(const struct switch_ *sw)
{
    return sw->megaflows->n_revalidated;
}

void megaflow_set_limits(struct switch_ *sw, size_t max_flows, int64_t idle_ms)
{
    sw->megaflows->max_flows = max_flows ? max_flows : sw->megaflows->max_flows;
    sw->megaflows->idle_ms = idle_ms ? idle_ms : sw->megaflows->idle_ms;
}

size_t megaflow_limit(const struct switch_ *sw)
{
    return sw->megaflows->max_flows;
}

int megaflow_for_each(struct switch_ *sw, int (*fn)(void *aux, const struct megaflow_info *info), void *aux)
{
    const struct megaflow *f;
    int error = 0;

    DL_FOREACH(sw->megaflows->list, f) {
        const struct megaflow_info info = {
            .id = f->id,
            .flow = {.id = f->id,
                     .key = &f->key,
                     .mask = &f->mask->key,
                     .actions = f->actions,
                     .actions_len = f->actions_len,
                     .stats = f->stats},
        };

        error = fn(aux, &info);
        if (error) {
            break;
        }
    }
    return error;
}

struct megaflows *megaflows_create(struct switch_ *sw)
{
    struct megaflows *m = xcalloc(1, sizeof *m);

    m->sw = sw;
    m->max_flows = MEGAFLOW_DEFAULT_LIMIT;
    m->idle_ms = MEGAFLOW_IDLE_MS;
    m->event = event_new(sw->base, -1, 0, megaflows_on_event, m);
    if (!m->event) {
        free(m);
        return NULL;
    }
    return m;
}

void megaflows_destroy(struct megaflows *m)
{
    if (!m) {
        return;
    }
    while (m->list) {
        megaflow_remove(m, m->list);
    }
    event_free(m->event);
    hash_index_done(&m->by_key);
    hash_index_done(&m->masks);
    free(m);
}
