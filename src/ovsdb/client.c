/* SPDX-License-Identifier: Apache-2.0 */
#include "ovsdb/client.h"

#include <event2/event.h>
#include <stdio.h>

#include "base/log.h"
#include "ovsdb/member.h"
#include "ovsdb/replica.h"
#include "ovsdb/session.h"
#include "ovsdb/txn_private.h"

LOG_MODULE("ovsdb_client");

/*
 * A connection's course: get_schema → monitor (the newest form that the server knows) → updates. Locks are asked for
 * beside it. Before it the server is asked about itself: a member that is cut off from its cluster, or lags behind it,
 * is left for the next remote (member.h). Conditions that change wait until the monitor stands and no other change is
 * on its way, so at most one monitor_cond_change is in flight; until its reply the last transaction id must not be used
 * to resume, since the server would resume with rows that we were not told under the old condition.
 */

enum request_kind { REQ_SERVER, REQ_INDEX, REQ_SCHEMA, REQ_MONITOR, REQ_COND_CHANGE, REQ_LOCK, REQ_UNLOCK, REQ_TXN };

enum monitor_method { MONITOR_COND_SINCE, MONITOR_COND, MONITOR_PLAIN, N_METHODS };

static const char *const method_names[] = {"monitor_cond_since", "monitor_cond", "monitor"};

struct request {
    int64_t id;
    enum request_kind kind;
    struct ovsdb_txn *txn;
    char *lock;
    UT_hash_handle hh;
};

struct condition {
    char *table;
    json_t *where; /* NULL: every row */
    bool dirty;    /* the server does not have it yet */
    UT_hash_handle hh;
};

struct lock {
    char *name;
    bool owned;
    UT_hash_handle hh;
};

struct ovsdb_client {
    struct event_base *base;
    char *database;
    const struct ovsdb_client_callbacks *cb;
    void *arg;
    struct session *session;
    struct replica replica;
    struct condition *conditions;
    struct lock *locks;
    struct request *requests;
    int64_t next_id;
    enum monitor_method method;
    struct member member;
    bool asking_index;  /* the server is being asked how far it is, */
    bool index_old;     /* … and told something new since */
    bool monitoring;    /* this connection's monitor has replied */
    bool cond_changing; /* a monitor_cond_change is in flight */
    bool resumable;     /* last_txn_id tells all that the replica holds */
    char last_txn_id[UUID_STR_LEN + 1];
    json_t *schema;
    struct ovsdb_txn *ending; /* to be ended from the loop */
    struct event *end_soon;
};

#define SERVER_MONITOR "warren_server" /* of the server's own database; the other monitor is "warren" */
#define NO_TXN_ID "00000000-0000-0000-0000-000000000000"

static int64_t send_request(struct ovsdb_client *c, enum request_kind kind, const char *method, json_t *params,
                            struct ovsdb_txn *txn, const char *lock)
{
    struct request *r = xcalloc(1, sizeof *r);

    r->id = ++c->next_id;
    r->kind = kind;
    r->txn = txn;
    r->lock = lock ? xstrdup(lock) : NULL;
    HASH_ADD(hh, c->requests, id, sizeof r->id, r);
    session_send(c->session, json_pack("{s:s, s:o, s:I}", "method", method, "params", params, "id", (json_int_t)r->id));
    return r->id;
}

static void request_free(struct ovsdb_client *c, struct request *r)
{
    HASH_DEL(c->requests, r);
    free(r->lock);
    free(r);
}

/* ---- replica ---- */

static void on_change(const char *table, enum ovsdb_change change, const struct ovsdb_row *row,
                      const struct ovsdb_row *old, void *arg)
{
    struct ovsdb_client *c = arg;

    if (c->cb->change) {
        c->cb->change(c, table, change, row, old, c->arg);
    }
}

static void tell_updated(struct ovsdb_client *c)
{
    if (c->cb->updated) {
        c->cb->updated(c, c->arg);
    }
}

static int apply(struct ovsdb_client *c, const json_t *updates, enum replica_form form, bool replace)
{
    int error = replica_apply(&c->replica, updates, form, replace, on_change, c);

    if (error) {
        c->resumable = false;
        session_restart(c->session, "the server sent an update that makes no sense");
    }
    return error;
}

static void set_last_txn_id(struct ovsdb_client *c, const json_t *id)
{
    const char *s = json_string_value(id);
    struct uuid unused;

    snprintf(c->last_txn_id, sizeof c->last_txn_id, "%s", s && !uuid_parse(s, &unused) ? s : NO_TXN_ID);
}

/* ---- monitor ---- */

static struct condition *find_condition(const struct ovsdb_client *c, const char *table)
{
    struct condition *cond = NULL;

    HASH_FIND_STR(c->conditions, table, cond);
    return cond;
}

static json_t *where_of(const struct condition *cond)
{
    return cond && cond->where ? json_incref(cond->where) : json_pack("[b]", 1);
}

static json_t *monitor_requests(struct ovsdb_client *c)
{
    json_t *requests = json_object(), *unused;
    struct replica_table *t, *next;
    const char *column;

    HASH_ITER(hh, c->replica.tables, t, next) {
        struct condition *cond = find_condition(c, t->name);
        json_t *columns = json_array();

        if (!t->columns) {
            json_decref(columns);
            continue;
        }
        json_object_foreach(t->columns, column, unused) {
            json_array_append_new(columns, json_string(column));
        }
        json_t *request = json_pack("{s:o}", "columns", columns);
        if (c->method != MONITOR_PLAIN) {
            json_object_set_new(request, "where", where_of(cond));
        }
        if (cond) {
            cond->dirty = false;
        }
        json_object_set_new(requests, t->name, json_pack("[o]", request));
    }
    return requests;
}

static void send_monitor(struct ovsdb_client *c)
{
    json_t *params = json_pack("[s, s, o]", c->database, "warren", monitor_requests(c));

    if (c->method == MONITOR_COND_SINCE) {
        json_array_append_new(params, json_string(c->resumable ? c->last_txn_id : NO_TXN_ID));
    }
    send_request(c, REQ_MONITOR, method_names[c->method], params, NULL, NULL);
}

/* Sends the conditions that changed, if the monitor is ready for that. */
static void send_conditions(struct ovsdb_client *c)
{
    struct condition *cond, *next;
    json_t *changes = json_object();

    if (!c->monitoring || c->cond_changing) {
        json_decref(changes);
        return;
    }
    HASH_ITER(hh, c->conditions, cond, next) {
        if (cond->dirty) {
            const struct replica_table *t = replica_table(&c->replica, cond->table);

            cond->dirty = false;
            if (t && t->columns && c->method != MONITOR_PLAIN) {
                json_object_set_new(changes, cond->table, json_pack("[{s:o}]", "where", where_of(cond)));
            }
        }
    }
    if (!json_object_size(changes)) {
        json_decref(changes);
        c->resumable = true;
        return;
    }
    c->cond_changing = true;
    c->resumable = false;
    send_request(c, REQ_COND_CHANGE, "monitor_cond_change", json_pack("[s, s, o]", "warren", "warren", changes), NULL,
                 NULL);
}

static void on_missing(const char *table, const char *column, void *arg)
{
    struct ovsdb_client *c = arg;

    if (column) {
        log_warn("%s: database %s has no column %s in table %s", session_remote(c->session), c->database, column,
                 table);
    } else {
        log_warn("%s: database %s has no table %s", session_remote(c->session), c->database, table);
    }
}

static void on_schema(struct ovsdb_client *c, json_t *schema, const char *error)
{
    if (error) {
        _cleanup_free_ char *why = xasprintf("no schema of database %s: %s", c->database, error);
        session_restart(c->session, why);
        return;
    }
    if (!c->schema || !json_equal(c->schema, schema)) {
        if (replica_set_schema(&c->replica, schema, on_missing, c)) {
            session_restart(c->session, "the server sent a malformed schema");
            return;
        }
        json_decref(c->schema);
        c->schema = json_incref(schema);
        c->resumable = false;
    }
    send_monitor(c);
}

static void on_monitor(struct ovsdb_client *c, json_t *result, const char *error)
{
    bool replace = true;
    const json_t *updates = result;

    if (error && !strcmp(error, "unknown method") && c->method + 1 < N_METHODS) {
        c->method++;
        c->resumable = false;
        send_monitor(c);
        return;
    }
    if (error) {
        _cleanup_free_ char *why = xasprintf("%s was refused: %s", method_names[c->method], error);
        session_restart(c->session, why);
        return;
    }
    if (c->method == MONITOR_COND_SINCE) {
        replace = !json_is_true(json_array_get(result, 0));
        set_last_txn_id(c, json_array_get(result, 1));
        updates = json_array_get(result, 2);
    } else {
        set_last_txn_id(c, NULL); /* a newer server's id says nothing of what this one tells */
    }
    /* Set before the callbacks, so that a condition set there goes out; send_conditions() decides on `resumable`. */
    c->monitoring = true;
    c->resumable = true;
    if (apply(c, updates, c->method == MONITOR_PLAIN ? REPLICA_UPDATE1 : REPLICA_UPDATE2, replace)) {
        return;
    }
    send_conditions(c);
    tell_updated(c);
}

static void on_cond_change(struct ovsdb_client *c, const char *error)
{
    c->cond_changing = false;
    if (error) {
        _cleanup_free_ char *why = xasprintf("a new condition was refused: %s", error);
        session_restart(c->session, why);
        return;
    }
    send_conditions(c);
    tell_updated(c);
}

/* How far the server is: after it told something, since nobody else may tell us less from then on. */
static void ask_index(struct ovsdb_client *c)
{
    c->index_old = c->asking_index;
    if (!c->asking_index) {
        c->asking_index = true;
        send_request(c, REQ_INDEX, "transact", member_ask_index(c->database), NULL, NULL);
    }
}

static void on_index(struct ovsdb_client *c, const json_t *result)
{
    c->asking_index = false;
    if (member_lags(&c->member, result, time_mono_ms())) {
        session_restart(c->session, "the server lags behind its cluster");
    } else if (c->index_old) {
        ask_index(c);
    }
}

static void on_update(struct ovsdb_client *c, const json_t *params, enum replica_form form, bool has_txn_id)
{
    if (!c->monitoring) {
        return;
    }
    if (has_txn_id) {
        set_last_txn_id(c, json_array_get(params, 1));
    }
    if (!apply(c, json_array_get(params, has_txn_id ? 2 : 1), form, false)) {
        if (c->member.in_cluster) {
            ask_index(c);
        }
        tell_updated(c);
    }
}

/* ---- locks ---- */

static struct lock *find_lock(const struct ovsdb_client *c, const char *name)
{
    struct lock *l = NULL;

    HASH_FIND_STR(c->locks, name, l);
    return l;
}

static void set_owned(struct ovsdb_client *c, const char *name, bool owned)
{
    struct lock *l = name ? find_lock(c, name) : NULL;

    if (l && l->owned != owned) {
        l->owned = owned;
        if (c->cb->locked) {
            c->cb->locked(c, l->name, owned, c->arg);
        }
    }
}

void ovsdb_client_lock(struct ovsdb_client *c, const char *name)
{
    if (find_lock(c, name)) {
        return;
    }
    struct lock *l = xcalloc(1, sizeof *l);
    l->name = xstrdup(name);
    HASH_ADD_KEYPTR(hh, c->locks, l->name, strlen(l->name), l);
    if (session_is_connected(c->session)) {
        send_request(c, REQ_LOCK, "lock", json_pack("[s]", name), NULL, name);
    }
}

static void lock_free(struct ovsdb_client *c, struct lock *l)
{
    HASH_DEL(c->locks, l);
    free(l->name);
    free(l);
}

void ovsdb_client_unlock(struct ovsdb_client *c, const char *name)
{
    struct lock *l = find_lock(c, name);

    if (l) {
        if (session_is_connected(c->session)) {
            send_request(c, REQ_UNLOCK, "unlock", json_pack("[s]", name), NULL, NULL);
        }
        lock_free(c, l);
    }
}

bool ovsdb_client_has_lock(const struct ovsdb_client *c, const char *name)
{
    const struct lock *l = find_lock(c, name);

    return l && l->owned;
}

/* ---- session ---- */

static void on_server(struct ovsdb_client *c, const json_t *tables)
{
    if (member_is_cut_off(tables, c->database)) {
        session_restart(c->session, "the server is cut off from its cluster");
    }
}

static void on_connected(void *arg)
{
    struct ovsdb_client *c = arg;
    struct lock *l, *next;

    c->method = MONITOR_COND_SINCE;
    send_request(c, REQ_SERVER, "monitor", member_monitor(SERVER_MONITOR), NULL, NULL);
    ask_index(c);
    send_request(c, REQ_SCHEMA, "get_schema", json_pack("[s]", c->database), NULL, NULL);
    HASH_ITER(hh, c->locks, l, next) {
        send_request(c, REQ_LOCK, "lock", json_pack("[s]", l->name), NULL, l->name);
    }
    if (c->cb->connected) {
        c->cb->connected(c, true, c->arg);
    }
}

static void on_lost(void *arg)
{
    struct ovsdb_client *c = arg;
    struct request *r, *next;
    struct lock *l, *next_lock;
    struct condition *cond, *next_cond;

    c->monitoring = false;
    c->cond_changing = false;
    c->asking_index = c->index_old = false;
    HASH_ITER(hh, c->conditions, cond, next_cond) {
        c->resumable = c->resumable && !cond->dirty;
    }
    HASH_ITER(hh, c->requests, r, next) {
        struct ovsdb_txn *txn = r->txn;
        request_free(c, r);
        if (txn) { /* ended from the loop: a callback that starts new requests must not meet this loop */
            txn->next = c->ending;
            c->ending = txn;
            event_active(c->end_soon, EV_TIMEOUT, 0);
        }
    }
    HASH_ITER(hh, c->locks, l, next_lock) {
        set_owned(c, l->name, false);
    }
    if (c->cb->connected) {
        c->cb->connected(c, false, c->arg);
    }
}

/* NULL, or what the reply complains of. */
static const char *error_text(const json_t *msg)
{
    const json_t *error = json_object_get(msg, "error");

    if (!error || json_is_null(error)) {
        return NULL;
    }
    const char *tag =
        json_is_string(error) ? json_string_value(error) : json_string_value(json_object_get(error, "error"));
    const char *details = json_string_value(json_object_get(error, "details"));
    return tag && !strcmp(tag, "unknown method") ? tag : details ? details : tag ? tag : "an error without a text";
}

static void on_reply(struct ovsdb_client *c, json_t *msg)
{
    int64_t id = json_integer_value(json_object_get(msg, "id"));
    json_t *result = json_object_get(msg, "result");
    const char *error = error_text(msg);
    struct request *r = NULL;

    HASH_FIND(hh, c->requests, &id, sizeof id, r);
    if (!r) {
        log_limited(LOG_LEVEL_WARN, "%s: a reply to no request", session_remote(c->session));
        return;
    }
    struct request done = *r;
    done.lock = TAKE_PTR(r->lock);
    request_free(c, r);
    switch (done.kind) {
    case REQ_SERVER:
        on_server(c, result);
        break;
    case REQ_INDEX:
        on_index(c, result);
        break;
    case REQ_SCHEMA:
        on_schema(c, result, error);
        break;
    case REQ_MONITOR:
        on_monitor(c, result, error);
        break;
    case REQ_COND_CHANGE:
        on_cond_change(c, error);
        break;
    case REQ_LOCK:
        if (error) {
            log_warn("lock %s: %s", done.lock, error);
        } else if (json_is_true(json_object_get(result, "locked"))) {
            set_owned(c, done.lock, true);
        }
        break;
    case REQ_UNLOCK:
        break;
    case REQ_TXN:
        txn_end(done.txn, msg);
        break;
    }
    free(done.lock);
}

static bool is_about_server(const json_t *params)
{
    const char *monitor = json_string_value(json_array_get(params, 0));

    return monitor && !strcmp(monitor, SERVER_MONITOR);
}

static void on_message(json_t *msg, void *arg)
{
    struct ovsdb_client *c = arg;
    const char *method = json_string_value(json_object_get(msg, "method"));
    const json_t *params = json_object_get(msg, "params");

    if (!method) {
        on_reply(c, msg);
    } else if (!strcmp(method, "update3")) {
        on_update(c, params, REPLICA_UPDATE2, true);
    } else if (!strcmp(method, "update2")) {
        on_update(c, params, REPLICA_UPDATE2, false);
    } else if (!strcmp(method, "update") && is_about_server(params)) {
        on_server(c, json_array_get(params, 1));
    } else if (!strcmp(method, "update")) {
        on_update(c, params, REPLICA_UPDATE1, false);
    } else if (!strcmp(method, "locked") || !strcmp(method, "stolen")) {
        set_owned(c, json_string_value(json_array_get(params, 0)), !strcmp(method, "locked"));
    } else {
        log_limited(LOG_LEVEL_WARN, "%s: unknown request \"%s\"", session_remote(c->session), method);
        json_t *id = json_object_get(msg, "id");
        if (id && !json_is_null(id)) {
            session_send(c->session, json_pack("{s:n, s:s, s:O}", "result", "error", "unknown method", "id", id));
        }
    }
}

static const struct session_callbacks session_callbacks = {
    .connected = on_connected, .lost = on_lost, .message = on_message};

/* ---- transactions ---- */

static void on_end_soon(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct ovsdb_client *c = arg;
    struct ovsdb_txn *t = TAKE_PTR(c->ending);

    while (t) {
        struct ovsdb_txn *next = t->next;
        json_t *nothing = ovsdb_txn_n_ops(t) ? NULL : json_pack("{s:[], s:n}", "result", "error");

        txn_end(t, nothing);
        json_decref(nothing);
        t = next;
    }
}

void client_submit(struct ovsdb_client *c, struct ovsdb_txn *t)
{
    if (!ovsdb_txn_n_ops(t) || !session_is_connected(c->session)) {
        t->next = c->ending;
        c->ending = t;
        event_active(c->end_soon, EV_TIMEOUT, 0);
        return;
    }
    json_t *params = json_pack("[s]", c->database);
    json_array_extend(params, t->ops);
    send_request(c, REQ_TXN, "transact", params, t, NULL);
}

struct ovsdb_txn *ovsdb_client_txn(struct ovsdb_client *c)
{
    return txn_new(c);
}

/* ---- the rest of the interface ---- */

int ovsdb_client_new(struct event_base *base, const char *remotes, const char *database,
                     const struct ovsdb_client_callbacks *cb, void *arg, struct ovsdb_client **ret, char **ret_error)
{
    struct ovsdb_client *c = xcalloc(1, sizeof *c);

    c->base = base;
    c->cb = cb;
    c->arg = arg;
    c->database = xstrdup(database);
    replica_init(&c->replica);
    set_last_txn_id(c, NULL);
    int error = session_new(base, remotes, &session_callbacks, c, &c->session, ret_error);
    if (!error) {
        c->end_soon = evtimer_new(base, on_end_soon, c);
        error = c->end_soon ? 0 : -ENOMEM;
    }
    if (error) {
        ovsdb_client_destroy(c);
        return error;
    }
    *ret = c;
    return 0;
}

void ovsdb_client_destroy(struct ovsdb_client *c)
{
    struct request *r, *next;
    struct condition *cond, *next_cond;
    struct lock *l, *next_lock;

    if (!c) {
        return;
    }
    /* The session last: callbacks of the transactions may still ask how it is. */
    HASH_ITER(hh, c->requests, r, next) {
        if (r->txn) {
            txn_end(r->txn, NULL);
        }
        request_free(c, r);
    }
    if (c->end_soon) {
        on_end_soon(-1, 0, c);
        event_free(c->end_soon);
    }
    session_destroy(c->session);
    HASH_ITER(hh, c->conditions, cond, next_cond) {
        HASH_DEL(c->conditions, cond);
        json_decref(cond->where);
        free(cond->table);
        free(cond);
    }
    HASH_ITER(hh, c->locks, l, next_lock) {
        lock_free(c, l);
    }
    replica_done(&c->replica);
    json_decref(c->schema);
    free(c->database);
    free(c);
}

void ovsdb_client_monitor(struct ovsdb_client *c, const char *table, const char *const *columns)
{
    replica_add_table(&c->replica, table, columns);
}

void ovsdb_client_set_condition(struct ovsdb_client *c, const char *table, json_t *condition)
{
    struct condition *cond = find_condition(c, table);

    if (!cond) {
        cond = xcalloc(1, sizeof *cond);
        cond->table = xstrdup(table);
        HASH_ADD_KEYPTR(hh, c->conditions, cond->table, strlen(cond->table), cond);
    } else if (cond->where == condition || (cond->where && condition && json_equal(cond->where, condition))) {
        json_decref(condition);
        return;
    }
    json_decref(cond->where);
    cond->where = condition;
    cond->dirty = true;
    c->resumable = false;
    send_conditions(c);
}

void ovsdb_client_set_probe(struct ovsdb_client *c, int64_t probe_ms)
{
    session_set_probe(c->session, probe_ms);
}

void ovsdb_client_start(struct ovsdb_client *c)
{
    session_start(c->session);
}

bool ovsdb_client_is_connected(const struct ovsdb_client *c)
{
    return session_is_connected(c->session);
}

bool ovsdb_client_is_synced(const struct ovsdb_client *c)
{
    const struct condition *cond;

    if (!c->monitoring || c->cond_changing) {
        return false;
    }
    for (cond = c->conditions; cond; cond = cond->hh.next) {
        if (cond->dirty) {
            return false;
        }
    }
    return true;
}

const char *ovsdb_client_remote(const struct ovsdb_client *c)
{
    return session_remote(c->session);
}

const char *ovsdb_client_last_error(const struct ovsdb_client *c)
{
    return session_last_error(c->session);
}

const struct ovsdb_row *ovsdb_client_row(const struct ovsdb_client *c, const char *table, const struct uuid *uuid)
{
    const struct replica_table *t = replica_table(&c->replica, table);
    struct ovsdb_row *row = NULL;

    if (t) {
        HASH_FIND(hh, t->rows, uuid, sizeof *uuid, row);
    }
    return row;
}

const struct ovsdb_row *ovsdb_client_first(const struct ovsdb_client *c, const char *table)
{
    const struct replica_table *t = replica_table(&c->replica, table);

    return t ? t->rows : NULL;
}

const struct ovsdb_row *ovsdb_row_next(const struct ovsdb_row *row)
{
    return row->hh.next;
}

uint64_t ovsdb_client_serial(const struct ovsdb_client *c, const char *table)
{
    const struct replica_table *t = replica_table(&c->replica, table);

    return t ? t->serial : 0;
}

size_t ovsdb_client_n_rows(const struct ovsdb_client *c, const char *table)
{
    const struct replica_table *t = replica_table(&c->replica, table);

    return t ? HASH_COUNT(t->rows) : 0;
}

const struct ovsdb_row *ovsdb_client_find(const struct ovsdb_client *c, const char *table, const char *column,
                                          const char *value)
{
    OVSDB_FOR_EACH_ROW(row, c, table) {
        const char *s = ovsdb_row_string(row, column);
        if (s && !strcmp(s, value)) {
            return row;
        }
    }
    return NULL;
}

const struct ovsdb_row *ovsdb_client_ref(const struct ovsdb_client *c, const struct ovsdb_row *row, const char *column,
                                         size_t i, const char *table)
{
    struct uuid uuid;

    return ovsdb_row_set_uuid(row, column, i, &uuid) ? ovsdb_client_row(c, table, &uuid) : NULL;
}

const struct ovsdb_row *ovsdb_client_map_ref(const struct ovsdb_client *c, const struct ovsdb_row *row,
                                             const char *column, size_t i, const char *table, int64_t *ret_key)
{
    struct uuid uuid;
    int64_t key;
    const struct ovsdb_row *found =
        ovsdb_row_map_uuid(row, column, i, &key, &uuid) ? ovsdb_client_row(c, table, &uuid) : NULL;

    if (found) {
        *ret_key = key;
    }
    return found;
}
