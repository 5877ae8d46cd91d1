/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/store.h"

#include <stdio.h>
#include <uthash.h>

#include "base/log.h"
#include "controller/liveness.h"

LOG_MODULE("store");

#define YEAR_0_S INT64_C(-62167219200)
#define YEAR_9999_S INT64_C(253402300799) /* its last second */

struct node {
    struct store_entry entry;    /* first: a store_entry of ours is its node */
    const struct ovsdb_row *row; /* key of by_row */
    struct node *prev;
    struct bucket *bucket;
    UT_hash_handle hh;
};

struct bucket {
    char *key;
    struct node *first;
    size_t n;
    UT_hash_handle hh;
};

struct index {
    struct bucket *buckets; /* by key */
    struct node *by_row;
};

struct store {
    struct ovsdb_client *client;
    struct index indexes[N_STORE_INDEXES];
    struct liveness liveness;
    void (*changed)(void *arg);
    void *arg;
    bool was_connected;
};

static const struct index_spec {
    const char *table, *columns[2];
} specs[N_STORE_INDEXES] = {
    [STORE_NETWORK_ID] = {"Network", {"id"}},
    [STORE_NETWORK_VNI] = {"Network", {"type", "vni"}},
    [STORE_SUBNET_ID] = {"Subnet", {"id"}},
    [STORE_SUBNET_NETWORK] = {"Subnet", {"network_id"}},
    [STORE_PORT_ID] = {"Port", {"id"}},
    [STORE_PORT_NETWORK] = {"Port", {"network_id"}},
    [STORE_PORT_MAC] = {"Port", {"network_id", "mac"}},
    [STORE_ADDRESS_PORT] = {"Address", {"port_id"}},
    [STORE_ADDRESS_SUBNET] = {"Address", {"subnet_id"}},
    [STORE_ADDRESS_IP] = {"Address", {"subnet_id", "ip"}},
    [STORE_AGENT_ID] = {"Agent", {"id"}},
    [STORE_HEARTBEAT_AGENT] = {"Heartbeat", {"agent_id"}},
    [STORE_STATUS_PORT] = {"Port_Status", {"port_id"}},
};

static const char *const tables[] = {"Network",  "Subnet", "Port",      "Address",
                                     "Endpoint", "Agent",  "Heartbeat", "Port_Status"};

/* ---- indexes ---- */

static char *column_text(const struct ovsdb_row *row, const char *column)
{
    const char *s = ovsdb_row_string(row, column);

    return s ? xstrdup(s) : xasprintf("%lld", (long long)ovsdb_row_int(row, column, 0));
}

static char *row_key(const struct index_spec *spec, const struct ovsdb_row *row)
{
    _cleanup_free_ char *a = column_text(row, spec->columns[0]);
    _cleanup_free_ char *b = spec->columns[1] ? column_text(row, spec->columns[1]) : NULL;

    return b ? xasprintf("%s/%s", a, b) : TAKE_PTR(a);
}

static void index_add(struct index *x, const struct ovsdb_row *row, char *key)
{
    struct bucket *b;
    struct node *n = xcalloc(1, sizeof *n);

    HASH_FIND_STR(x->buckets, key, b);
    if (!b) {
        b = xcalloc(1, sizeof *b);
        b->key = key;
        HASH_ADD_KEYPTR(hh, x->buckets, b->key, strlen(b->key), b);
    } else {
        free(key);
    }
    n->row = n->entry.row = row;
    n->bucket = b;
    n->entry.next = b->first ? &b->first->entry : NULL;
    if (b->first) {
        b->first->prev = n;
    }
    b->first = n;
    b->n++;
    HASH_ADD_PTR(x->by_row, row, n);
}

static void index_remove(struct index *x, const struct ovsdb_row *row)
{
    struct node *n;

    HASH_FIND_PTR(x->by_row, &row, n);
    if (!n) {
        return;
    }
    struct bucket *b = n->bucket;
    struct node *next = n->entry.next ? CONTAINER_OF(n->entry.next, struct node, entry) : NULL;
    if (n->prev) {
        n->prev->entry.next = n->entry.next;
    } else {
        b->first = next;
    }
    if (next) {
        next->prev = n->prev;
    }
    HASH_DEL(x->by_row, n);
    free(n);
    if (!--b->n) {
        HASH_DEL(x->buckets, b);
        free(b->key);
        free(b);
    }
}

static const struct bucket *find_bucket(const struct store *s, enum store_index i, const char *key)
{
    struct bucket *b;

    HASH_FIND_STR(s->indexes[i].buckets, key, b);
    return b;
}

size_t store_count(const struct store *s, enum store_index i, const char *key)
{
    const struct bucket *b = find_bucket(s, i, key);

    return b ? b->n : 0;
}

const struct store_entry *store_find(const struct store *s, enum store_index i, const char *key)
{
    const struct bucket *b = find_bucket(s, i, key);

    return b ? &b->first->entry : NULL;
}

const struct ovsdb_row *store_row(const struct store *s, enum store_index i, const char *key)
{
    const struct store_entry *e = store_find(s, i, key);

    return e ? e->row : NULL;
}

const char *store_string(const struct ovsdb_row *row, const char *column)
{
    const char *s = ovsdb_row_string(row, column);

    return s ? s : "";
}

int64_t store_seconds(const struct ovsdb_row *row, const char *column)
{
    return MIN(MAX(ovsdb_row_int(row, column, 0), YEAR_0_S), YEAR_9999_S);
}

/* ---- heartbeats ---- */

static void on_time_stored(const struct ovsdb_result *result, void *arg WR_UNUSED)
{
    if (result->status == OVSDB_TXN_ERROR) { /* without a connection the next heartbeat has it written */
        log_limited(LOG_LEVEL_WARN, "an agent's time, or clock offset, was refused: %s", result->error);
    }
}

/* An agent that is new says when by its own clock: what is kept is when it was first heard of. */
static void agent_changed(struct store *s, enum ovsdb_change change, const struct ovsdb_row *row)
{
    int64_t now = time_wall_ms() / 1000;

    if (change == OVSDB_INSERT && s->liveness.complete &&
        llabs(now - store_seconds(row, "created_at")) > LIVENESS_TOLERANCE_S) {
        struct ovsdb_txn *txn = ovsdb_client_txn(s->client);

        ovsdb_set_int(ovsdb_txn_update(txn, "Agent", ovsdb_row_uuid(row)), "created_at", now);
        ovsdb_txn_commit(txn, on_time_stored, NULL);
    }
}

static void heartbeat_changed(struct store *s, enum ovsdb_change change, const struct ovsdb_row *row,
                              const struct ovsdb_row *old)
{
    int64_t offset, at = store_seconds(row, "at");

    if (change == OVSDB_DELETE) {
        liveness_gone(&s->liveness, row);
        return;
    }
    if ((change == OVSDB_MODIFY && ovsdb_row_column_equal(row, old, "at")) ||
        !liveness_beat(&s->liveness, row, at, time_mono_ms(), time_wall_ms(), &offset)) {
        return;
    }
    /* A database of an older version has no such column. */
    if (ovsdb_row_size(row, "clock_offset") &&
        llabs(offset - store_seconds(row, "clock_offset")) > LIVENESS_TOLERANCE_S) {
        struct ovsdb_txn *txn = ovsdb_client_txn(s->client);

        log_info("the clock of agent %s is %lld s off", store_string(row, "agent_id"), (long long)-offset);
        ovsdb_set_int(ovsdb_txn_update(txn, "Heartbeat", ovsdb_row_uuid(row)), "clock_offset", offset);
        ovsdb_txn_commit(txn, on_time_stored, NULL);
    }
}

int64_t store_heartbeat_age(const struct store *s, const struct ovsdb_row *row)
{
    return liveness_age(&s->liveness, row, store_seconds(row, "at"), store_seconds(row, "clock_offset"), time_mono_ms(),
                        time_wall_ms());
}

/* ---- the session ---- */

static void on_change(struct ovsdb_client *c WR_UNUSED, const char *table, enum ovsdb_change change,
                      const struct ovsdb_row *row, const struct ovsdb_row *old, void *arg)
{
    struct store *s = arg;

    if (!strcmp(table, "Heartbeat")) {
        heartbeat_changed(s, change, row, old);
    } else if (!strcmp(table, "Agent")) {
        agent_changed(s, change, row);
    }
    for (int i = 0; i < N_STORE_INDEXES; i++) {
        const struct index_spec *spec = &specs[i];

        if (strcmp(spec->table, table) != 0) {
            continue;
        }
        if (change == OVSDB_MODIFY && ovsdb_row_column_equal(row, old, spec->columns[0]) &&
            (!spec->columns[1] || ovsdb_row_column_equal(row, old, spec->columns[1]))) {
            continue;
        }
        if (change != OVSDB_INSERT) {
            index_remove(&s->indexes[i], row);
        }
        if (change != OVSDB_DELETE) {
            index_add(&s->indexes[i], row, row_key(spec, row));
        }
    }
}

static void on_connected(struct ovsdb_client *c, bool connected, void *arg)
{
    struct store *s = arg;

    if (connected) {
        log_info("connected to %s", ovsdb_client_remote(c));
    } else if (s->was_connected) {
        log_info("connection to the database lost: %s", ovsdb_client_last_error(c));
    }
    s->was_connected = connected;
    liveness_lost(&s->liveness);
    s->changed(s->arg);
}

static void on_updated(struct ovsdb_client *c WR_UNUSED, void *arg)
{
    struct store *s = arg;

    liveness_complete(&s->liveness, time_mono_ms());
    s->changed(s->arg);
}

int store_create(struct event_base *base, const char *remotes, void (*changed)(void *arg), void *arg,
                 struct store **ret, char **ret_error)
{
    static const struct ovsdb_client_callbacks cb = {
        .connected = on_connected, .change = on_change, .updated = on_updated};
    struct store *s = xcalloc(1, sizeof *s);

    s->changed = changed;
    s->arg = arg;
    int error = ovsdb_client_new(base, remotes, "Warren", &cb, s, &s->client, ret_error);
    if (error) {
        free(s);
        return error;
    }
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        ovsdb_client_monitor(s->client, tables[i], NULL);
    }
    ovsdb_client_start(s->client);
    *ret = s;
    return 0;
}

static void index_free(struct index *x)
{
    struct node *n, *next_node;
    struct bucket *b, *next_bucket;

    HASH_ITER(hh, x->by_row, n, next_node) {
        HASH_DEL(x->by_row, n);
        free(n);
    }
    HASH_ITER(hh, x->buckets, b, next_bucket) {
        HASH_DEL(x->buckets, b);
        free(b->key);
        free(b);
    }
}

void store_destroy(struct store *s)
{
    if (!s) {
        return;
    }
    ovsdb_client_destroy(s->client);
    for (int i = 0; i < N_STORE_INDEXES; i++) {
        index_free(&s->indexes[i]);
    }
    liveness_done(&s->liveness);
    free(s);
}

bool store_is_ready(const struct store *s)
{
    return ovsdb_client_is_synced(s->client);
}

const char *store_why(const struct store *s)
{
    const char *error = ovsdb_client_last_error(s->client);

    return ovsdb_client_is_connected(s->client) ? "its contents are still being read"
           : *error                             ? error
                                                : "not connected yet";
}

const struct ovsdb_client *store_client(const struct store *s)
{
    return s->client;
}

struct ovsdb_txn *store_txn(struct store *s)
{
    return ovsdb_client_txn(s->client);
}
