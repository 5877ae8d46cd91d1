/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/group_table.h"

#include "switch/flow_save.h"
#include "switch/flow_table_private.h"
#include "switch/translate.h"

#define WATCH_DEPTH_MAX 64
#define DESC_AROUND                                                                                                    \
    128 /* headers of message, multipart, Nicira's extension and group, and no property that is long                   \
         */

/* ---- groups and what they share ---- */

void group_table_init(struct bridge *br)
{
    br->groups = xcalloc(1, sizeof *br->groups);
}

struct group *group_find(const struct bridge *br, uint32_t id)
{
    struct group *g;

    HASH_FIND(hh, br->groups->by_id, &id, sizeof id, g);
    return g;
}

struct group_bucket *group_bucket_ref(struct group_bucket *b)
{
    b->refs++;
    return b;
}

void group_bucket_unref(struct group_bucket *b)
{
    if (b && --b->refs == 0) {
        ofpacts_done(&b->config.acts);
        free(b);
    }
}

struct group *group_ref(struct group *g)
{
    g->refs++;
    return g;
}

void group_unref(struct group *g)
{
    if (!g || --g->refs) {
        return;
    }
    for (size_t i = 0; i < g->n_buckets; i++) {
        group_bucket_unref(g->buckets[i]);
    }
    free(g->buckets);
    if (--g->counters->refs == 0) {
        free(g->counters);
    }
    of_group_done(&g->config);
    free(g);
}
DEFINE_CLEANUP(struct group *, group_unref)

unsigned int group_ref_count(const struct bridge *br, uint32_t id)
{
    return action_refs_get(br, REF_FROM_FLOW, REF_GROUP, id) + action_refs_get(br, REF_FROM_BUCKET, REF_GROUP, id);
}

void group_describe(const struct group *g, struct of_group *ret)
{
    *ret = g->config;
    ret->n_buckets = g->n_buckets;
    ret->buckets = xcalloc(MAX(g->n_buckets, (size_t)1), sizeof *ret->buckets);
    for (size_t i = 0; i < g->n_buckets; i++) {
        ret->buckets[i] = g->buckets[i]->config;
    }
}

/* A group of what C says but buckets, with room for N of them. Counters: OLD's go on. */
static struct group *group_new(const struct of_group *c, size_t n, const struct group *old, int64_t now)
{
    struct group *g = xcalloc(1, sizeof *g);

    g->refs = 1;
    g->config = (struct of_group){
        .id = c->id, .type = c->type, .method = c->method, .method_param = c->method_param, .n_fields = c->n_fields};
    g->config.fields = c->n_fields ? xmemdup(c->fields, c->n_fields * sizeof *c->fields) : NULL;
    g->buckets = xcalloc(MAX(n, (size_t)1), sizeof(struct group_bucket *));
    g->counters = old ? old->counters : xcalloc(1, sizeof *g->counters);
    g->counters->created_ms = old ? old->counters->created_ms : now;
    g->counters->refs++;
    return g;
}

/* Takes C's buckets over. */
static void add_new_buckets(struct group *g, struct of_group *c)
{
    for (size_t i = 0; i < c->n_buckets; i++) {
        struct group_bucket *b = xcalloc(1, sizeof *b);

        b->refs = 1;
        b->config = c->buckets[i];
        c->buckets[i].acts = (struct ofpacts){0};
        g->buckets[g->n_buckets++] = b;
    }
    c->n_buckets = 0;
}

static void add_old_buckets(struct group *g, const struct group *old, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        g->buckets[g->n_buckets++] = group_bucket_ref(old->buckets[i]);
    }
}

/* ---- the table ---- */

static void count_in(struct bridge *br, const struct group *g, int delta)
{
    for (size_t i = 0; i < g->n_buckets; i++) {
        const struct of_bucket *b = &g->buckets[i]->config;

        action_refs_count(br, REF_FROM_BUCKET, b->acts.data, b->acts.len, delta);
        br->groups->n_watching += b->watch_port != OFPP_ANY ? (size_t)delta : 0;
    }
}

/* Puts G (NULL: nothing) in the place of ID. The table has a reference of its own. */
static void place(struct bridge *br, uint32_t id, struct group *g)
{
    struct group *old = group_find(br, id);

    if (old) {
        count_in(br, old, -1);
        HASH_DELETE(hh, br->groups->by_id, old);
        group_unref(old);
    }
    if (g) {
        group_ref(g);
        HASH_ADD(hh, br->groups->by_id, config.id, sizeof g->config.id, g);
        count_in(br, g, 1);
    }
}

static void change(struct flow_txn *txn, uint32_t id, struct group *g)
{
    struct group_log *log = &txn->groups;
    struct group *before = group_find(txn->br, id);

    if (log->n == log->allocated) {
        log->allocated = MAX(log->allocated * 2, (size_t)4);
        log->steps = xrealloc(log->steps, log->allocated * sizeof *log->steps);
    }
    log->steps[log->n++] = (struct group_undo){id, before ? group_ref(before) : NULL, g ? group_ref(g) : NULL};
    place(txn->br, id, g);
}

void group_log_rollback(struct bridge *br, struct group_log *log)
{
    for (size_t i = log->n; i-- > 0;) {
        place(br, log->steps[i].id, log->steps[i].before);
    }
}

void group_log_commit(struct bridge *br, struct group_log *log)
{
    if (log->n) {
        flow_saver_note_groups(br->saver, log);
        switch_counter_changed(br->sw, &br->groups->changed);
    }
}

void group_log_done(struct group_log *log)
{
    for (size_t i = 0; i < log->n; i++) {
        group_unref(log->steps[i].before);
        group_unref(log->steps[i].after);
    }
    free(log->steps);
}

int group_set_history(struct bridge *br, uint32_t id, const struct count_history *history)
{
    struct group *g = group_find(br, id);

    if (!g || g->n_buckets != history->n_parts) {
        return g ? -EINVAL : -ENOENT;
    }
    g->counters->created_ms = history->created_ms;
    g->counters->packets = history->packets;
    g->counters->bytes = history->bytes;
    for (size_t i = 0; i < g->n_buckets; i++) {
        g->buckets[i]->packets = history->parts[2 * i];
        g->buckets[i]->bytes = history->parts[2 * i + 1];
    }
    return 0;
}

void group_table_flush(struct bridge *br)
{
    struct group *g, *next;

    if (!br->groups->by_id) {
        return;
    }
    HASH_ITER(hh, br->groups->by_id, g, next) {
        place(br, g->config.id, NULL);
    }
    flow_saver_note_all(br->saver);
    switch_counter_changed(br->sw, &br->groups->changed);
}

void group_table_done(struct bridge *br)
{
    group_table_flush(br);
    free(br->groups);
}

void group_table_port_changed(struct bridge *br)
{
    if (br->groups->n_watching) {
        switch_counter_changed(br->sw, &br->groups->changed);
    }
}

static int by_number(const struct group *a, const struct group *b)
{
    return (a->config.id > b->config.id) - (a->config.id < b->config.id);
}

void group_table_for_each(struct bridge *br, uint32_t id, void (*fn)(void *aux, const struct group *g), void *aux)
{
    const struct group *g = id == OF_GROUP_ALL ? NULL : group_find(br, id);

    if (g) {
        fn(aux, g);
    }
    if (id == OF_GROUP_ALL) {
        HASH_SRT(hh, br->groups->by_id, by_number);
        for (g = br->groups->by_id; g; g = g->hh.next) {
            fn(aux, g);
        }
    }
}

/* ---- liveness ---- */

static bool port_is_live(const struct bridge *br, ofp_port_t n)
{
    const struct port *p = bridge_port_by_ofp(br, n);

    return p && !(p->config & PORT_CONFIG_DOWN) && !(p->state & (PORT_STATE_LINK_DOWN | PORT_STATE_BLOCKED));
}

static bool bucket_is_live(const struct bridge *br, const struct group_bucket *b, unsigned int depth);

/* Each group is looked at once in a search, also when groups watch each other in a circle. */
static bool group_is_live(const struct bridge *br, struct group *g, unsigned int depth)
{
    if (g->mark == br->groups->mark) {
        return g->live;
    }
    g->mark = br->groups->mark;
    g->live = false;
    for (size_t i = 0; i < g->n_buckets && !g->live && depth < WATCH_DEPTH_MAX; i++) {
        g->live = bucket_is_live(br, g->buckets[i], depth + 1);
    }
    return g->live;
}

static bool bucket_is_live(const struct bridge *br, const struct group_bucket *b, unsigned int depth)
{
    const struct of_bucket *c = &b->config;
    struct group *watched;

    if (c->watch_port == OFPP_ANY && c->watch_group == OF_GROUP_ANY) {
        return true;
    }
    if (c->watch_port != OFPP_ANY && port_is_live(br, c->watch_port)) {
        return true;
    }
    watched = c->watch_group != OF_GROUP_ANY ? group_find(br, c->watch_group) : NULL;
    return watched && group_is_live(br, watched, depth);
}

bool group_bucket_is_live(const struct bridge *br, const struct group_bucket *b)
{
    br->groups->mark++;
    return bucket_is_live(br, b, 0);
}

/* ---- checks ---- */

/* WHOLE: the group came as a whole. A bucket that is put into a failover group later may watch nothing, as with Open
 * vSwitch: then it is always live. */
static int check_bucket(const struct flow_txn *txn, const struct group *g, const struct of_bucket *b, bool whole)
{
    bool watches = b->watch_port != OFPP_ANY || b->watch_group != OF_GROUP_ANY;
    int error;

    if (b->weight && g->config.type != OF_GROUP_TYPE_SELECT) {
        return OFERR_GROUP_INVALID;
    }
    if (watches && (g->config.type == OF_GROUP_TYPE_ALL || g->config.type == OF_GROUP_TYPE_INDIRECT)) {
        return OFERR_GROUP_WATCH_UNSUPPORTED;
    }
    if (!watches && whole && g->config.type == OF_GROUP_TYPE_FAILOVER) {
        return OFERR_GROUP_INVALID;
    }
    error = xlate_supports(b->acts.data, b->acts.len);
    return error || txn->restores ? error : actions_check_meters(txn->br, b->acts.data, b->acts.len);
}

struct todo {
    struct bridge *br;
    struct group **groups;
    size_t n, allocated;
    uint32_t wanted; /* the number that must not be come upon */
    bool found;
};

/* Puts the groups that the list forwards to on T, but those that were there already. */
static void follow(struct todo *t, const void *actions, size_t len)
{
    OFPACT_FOR_EACH(a, actions, len) {
        struct group *g;
        uint32_t id;

        if (a->type == OFPACT_CLONE || a->type == OFPACT_WRITE_ACTIONS) {
            follow(t, OFPACT_NESTED(a), OFPACT_NESTED_LEN(a));
        }
        if (a->type != OFPACT_GROUP) {
            continue;
        }
        id = ((const struct ofpact_u32 *)(const void *)a)->v;
        t->found |= id == t->wanted;
        g = group_find(t->br, id);
        if (!g || g->mark == t->br->groups->mark) {
            continue;
        }
        g->mark = t->br->groups->mark;
        if (t->n == t->allocated) {
            t->allocated = MAX(t->allocated * 2, (size_t)16);
            t->groups = xrealloc(t->groups, t->allocated * sizeof(struct group *));
        }
        t->groups[t->n++] = g;
    }
}

static void follow_buckets(struct todo *t, const struct group *g)
{
    for (size_t i = 0; i < g->n_buckets; i++) {
        follow(t, g->buckets[i]->config.acts.data, g->buckets[i]->config.acts.len);
    }
}

/* Would a packet in G come back to G's number? */
static bool loops(struct bridge *br, const struct group *g)
{
    struct todo t = {.br = br, .wanted = g->config.id};

    br->groups->mark++;
    follow_buckets(&t, g);
    for (size_t i = 0; i < t.n && !t.found; i++) {
        follow_buckets(&t, t.groups[i]);
    }
    free(t.groups);
    return t.found;
}

/* A group that no description could hold would make dumps impossible as long as it is there. */
static int check_fits(const struct group *g)
{
    static const struct {
        uint8_t version;
        bool nx;
    } forms[] = {{OF_VERSION_10, true}, {OF_VERSION_13, true}, {OF_VERSION_13, false}, {OF_VERSION_15, false}};
    struct of_group desc;
    size_t size = 0;
    int error = 0;

    for (size_t i = 0; i < g->n_buckets; i++) {
        size += 32 + g->buckets[i]->config.acts.len;
    }
    if (size <= OFPACTS_SURELY_FIT) {
        return 0;
    }
    group_describe(g, &desc);
    for (size_t i = 0; i < ARRAY_SIZE(forms) && !error; i++) {
        struct writer w = {.limit = OF_MAX_LEN - DESC_AROUND};

        of_group_desc_put(&w, forms[i].version, forms[i].nx, &desc);
        error = w.error ? OFERR_GROUP_OUT_OF_BUCKETS : 0;
        writer_done(&w);
    }
    free(desc.buckets);
    return error;
}

static int check(const struct flow_txn *txn, const struct group *g, bool whole)
{
    int error = check_fits(g);

    if (g->config.type == OF_GROUP_TYPE_INDIRECT && g->n_buckets != 1) {
        return OFERR_GROUP_INVALID;
    }
    for (size_t i = 0; i < g->n_buckets && !error; i++) {
        /* One that an older group shares was checked when it came; its meter may have gone since. */
        error = g->buckets[i]->refs > 1 ? 0 : check_bucket(txn, g, &g->buckets[i]->config, whole);
    }
    return error ? error : loops(txn->br, g) ? OFERR_GROUP_LOOP : 0;
}

/* ---- commands ---- */

static int apply_whole(struct flow_txn *txn, struct of_group_mod *gm)
{
    struct of_group *c = &gm->group;
    struct group *old = group_find(txn->br, c->id);

    if (old && gm->command == OF_GROUP_ADD) {
        return OFERR_GROUP_EXISTS;
    }
    if (!old && gm->command == OF_GROUP_MODIFY) {
        return OFERR_GROUP_UNKNOWN;
    }
    _cleanup_(group_unrefp) struct group *g = group_new(c, c->n_buckets, old, txn->now);
    add_new_buckets(g, c);
    int error = check(txn, g, true);
    if (!error) {
        change(txn, c->id, g);
    }
    return error;
}

/* The place of bucket ID; FIRST and LAST are as in a list of at least one. -ENOENT: none. */
static int find_bucket(const struct group *g, uint32_t id)
{
    if (id == OF_BUCKET_FIRST || id == OF_BUCKET_LAST) {
        return !g->n_buckets ? -ENOENT : id == OF_BUCKET_FIRST ? 0 : (int)g->n_buckets - 1;
    }
    for (size_t i = 0; i < g->n_buckets; i++) {
        if (g->buckets[i]->config.id == id) {
            return (int)i;
        }
    }
    return -ENOENT;
}

static int apply_insert(struct flow_txn *txn, struct of_group_mod *gm)
{
    struct of_group *c = &gm->group;
    struct group *old = group_find(txn->br, c->id);
    size_t at = 0;

    if (!old) {
        return OFERR_GROUP_UNKNOWN;
    }
    if (gm->command_bucket == OF_BUCKET_LAST) {
        at = old->n_buckets;
    } else if (gm->command_bucket != OF_BUCKET_FIRST) {
        int found = find_bucket(old, gm->command_bucket);

        if (found < 0) {
            return OFERR_GROUP_UNKNOWN_BUCKET;
        }
        at = (size_t)found + 1; /* behind it */
    }
    for (size_t i = 0; i < c->n_buckets; i++) {
        if (find_bucket(old, c->buckets[i].id) >= 0) {
            return OFERR_GROUP_BUCKET_EXISTS;
        }
    }
    _cleanup_(group_unrefp) struct group *g = group_new(&old->config, old->n_buckets + c->n_buckets, old, txn->now);
    add_old_buckets(g, old, 0, at);
    add_new_buckets(g, c);
    add_old_buckets(g, old, at, old->n_buckets);
    int error = check(txn, g, false);
    if (!error) {
        change(txn, c->id, g);
    }
    return error;
}

static int apply_remove(struct flow_txn *txn, const struct of_group_mod *gm)
{
    struct group *old = group_find(txn->br, gm->group.id);

    if (!old) {
        return OFERR_GROUP_UNKNOWN;
    }
    _cleanup_(group_unrefp) struct group *g = group_new(&old->config, old->n_buckets, old, txn->now);
    if (gm->command_bucket != OF_BUCKET_ALL) {
        int at = find_bucket(old, gm->command_bucket);
        bool by_place = gm->command_bucket == OF_BUCKET_FIRST || gm->command_bucket == OF_BUCKET_LAST;

        if (at < 0 && by_place) {
            return 0; /* no bucket, nothing to remove */
        }
        if (at < 0) {
            return OFERR_GROUP_UNKNOWN_BUCKET;
        }
        add_old_buckets(g, old, 0, (size_t)at);
        add_old_buckets(g, old, (size_t)at + 1, old->n_buckets);
    }
    int error = check(txn, g, false);
    if (!error) {
        change(txn, gm->group.id, g);
    }
    return error;
}

/* Groups that are not there are deleted without a word. */
static int apply_delete(struct flow_txn *txn, uint32_t id)
{
    struct bridge *br = txn->br;
    struct group *g, *next;

    if (id != OF_GROUP_ALL) {
        if (!group_find(br, id)) {
            return 0;
        }
        if (action_refs_get(br, REF_FROM_BUCKET, REF_GROUP, id)) {
            return OFERR_GROUP_CHAINED_GROUP;
        }
        flow_txn_delete_referring(txn, REF_GROUP, id, FLOW_REMOVED_GROUP);
        change(txn, id, NULL);
        return 0;
    }
    if (br->groups->by_id) {
        flow_txn_delete_referring(txn, REF_GROUP, REF_ANY, FLOW_REMOVED_GROUP);
    }
    HASH_ITER(hh, br->groups->by_id, g, next) {
        change(txn, g->config.id, NULL);
    }
    return 0;
}

int flow_txn_apply_group(struct flow_txn *txn, struct of_group_mod *gm)
{
    switch (gm->command) {
    case OF_GROUP_ADD:
    case OF_GROUP_MODIFY:
    case OF_GROUP_ADD_OR_MODIFY:
        return apply_whole(txn, gm);
    case OF_GROUP_INSERT_BUCKET:
        return apply_insert(txn, gm);
    case OF_GROUP_REMOVE_BUCKET:
        return apply_remove(txn, gm);
    case OF_GROUP_DELETE:
        return apply_delete(txn, gm->group.id);
    default:
        return OFERR_GROUP_BAD_COMMAND;
    }
}

static int apply(struct bridge *br, struct of_group_mod *gm, int64_t now, bool restores)
{
    struct flow_txn *txn = flow_txn_begin(br, now);

    txn->restores = restores;
    int error = flow_txn_apply_group(txn, gm);

    if (error) {
        flow_txn_abort(txn);
    } else {
        flow_txn_commit(txn);
    }
    return error;
}

int group_mod_apply(struct bridge *br, struct of_group_mod *gm, int64_t now)
{
    return apply(br, gm, now, false);
}

int group_restore(struct bridge *br, struct of_group_mod *gm, int64_t now)
{
    return apply(br, gm, now, true);
}
