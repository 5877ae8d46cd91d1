/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/utf8.h"
#include "ovsdb/txn_private.h"

LOG_MODULE("ovsdb_txn");

struct ovsdb_txn *txn_new(struct ovsdb_client *c)
{
    struct ovsdb_txn *t = xcalloc(1, sizeof *t);

    t->client = c;
    t->ops = json_array();
    t->names = json_object();
    return t;
}

void ovsdb_txn_destroy(struct ovsdb_txn *t)
{
    if (t) {
        json_decref(t->ops);
        json_decref(t->names);
        free(t);
    }
}

void ovsdb_txn_op(struct ovsdb_txn *t, json_t *op)
{
    json_array_append_new(t->ops, op);
}

size_t ovsdb_txn_n_ops(const struct ovsdb_txn *t)
{
    return json_array_size(t->ops);
}

json_t *ovsdb_txn_insert(struct ovsdb_txn *t, const char *table, const char *name)
{
    json_t *row = json_object();
    json_t *op = json_pack("{s:s, s:s, s:o}", "op", "insert", "table", table, "row", row);

    if (name) {
        json_object_set_new(op, "uuid-name", json_string(name));
        json_object_set_new(t->names, name, json_integer((json_int_t)ovsdb_txn_n_ops(t)));
    }
    ovsdb_txn_op(t, op);
    return row;
}

json_t *ovsdb_txn_update(struct ovsdb_txn *t, const char *table, const struct uuid *row)
{
    return ovsdb_txn_update_where(t, table, ovsdb_where_uuid(row));
}

json_t *ovsdb_txn_update_where(struct ovsdb_txn *t, const char *table, json_t *where)
{
    json_t *row = json_object();

    ovsdb_txn_op(t, json_pack("{s:s, s:s, s:o, s:o}", "op", "update", "table", table, "where", where, "row", row));
    return row;
}

void ovsdb_txn_mutate(struct ovsdb_txn *t, const char *table, const struct uuid *row, const char *column,
                      const char *mutator, json_t *value)
{
    ovsdb_txn_mutate_where(t, table, ovsdb_where_uuid(row), column, mutator, value);
}

void ovsdb_txn_mutate_where(struct ovsdb_txn *t, const char *table, json_t *where, const char *column,
                            const char *mutator, json_t *value)
{
    json_t *mutation = json_pack("[s, s, o]", column, mutator, value);
    json_t *last = ovsdb_txn_n_ops(t) ? json_array_get(t->ops, ovsdb_txn_n_ops(t) - 1) : NULL;
    json_t *mutations = json_object_get(last, "mutations");

    if (mutations && !strcmp(json_string_value(json_object_get(last, "table")), table) &&
        json_equal(json_object_get(last, "where"), where)) {
        json_array_append_new(mutations, mutation);
        json_decref(where);
        return;
    }
    ovsdb_txn_op(
        t, json_pack("{s:s, s:s, s:o, s:[o]}", "op", "mutate", "table", table, "where", where, "mutations", mutation));
}

void ovsdb_txn_delete(struct ovsdb_txn *t, const char *table, const struct uuid *row)
{
    ovsdb_txn_delete_where(t, table, ovsdb_where_uuid(row));
}

void ovsdb_txn_delete_where(struct ovsdb_txn *t, const char *table, json_t *where)
{
    ovsdb_txn_op(t, json_pack("{s:s, s:s, s:o}", "op", "delete", "table", table, "where", where));
}

/* Timeout 0: a wait that is not true now fails at once, so that nothing hangs on the server. */
static void add_wait(struct ovsdb_txn *t, const char *table, json_t *where, const char *until, json_t *rows)
{
    ovsdb_txn_op(t, json_pack("{s:s, s:i, s:s, s:o, s:[], s:s, s:o}", "op", "wait", "timeout", 0, "table", table,
                              "where", where, "columns", "until", until, "rows", rows));
}

json_t *ovsdb_txn_wait(struct ovsdb_txn *t, const char *table, json_t *where, const char *until)
{
    json_t *row = json_object();

    add_wait(t, table, where, until, json_pack("[o]", row)); /* `columns` follow from the row at the commit */
    return row;
}

void ovsdb_txn_wait_no_row(struct ovsdb_txn *t, const char *table, json_t *where)
{
    add_wait(t, table, where, "==", json_array());
}

void ovsdb_txn_wait_row(struct ovsdb_txn *t, const char *table, const struct uuid *row)
{
    add_wait(t, table, ovsdb_where_uuid(row), "==", json_pack("[{}]"));
}

size_t ovsdb_txn_select(struct ovsdb_txn *t, const char *table, json_t *where, json_t *columns)
{
    json_t *op = json_pack("{s:s, s:s, s:o}", "op", "select", "table", table, "where", where);

    if (columns) {
        json_object_set_new(op, "columns", columns);
    }
    ovsdb_txn_op(t, op);
    return ovsdb_txn_n_ops(t) - 1;
}

void ovsdb_txn_assert(struct ovsdb_txn *t, const char *lock)
{
    ovsdb_txn_op(t, json_pack("{s:s, s:s}", "op", "assert", "lock", lock));
}

void ovsdb_txn_comment(struct ovsdb_txn *t, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    utf8_clean(text); /* it may have been cut within a character */
    ovsdb_txn_op(t, json_pack("{s:s, s:s}", "op", "comment", "comment", text));
}

static void complete_waits(struct ovsdb_txn *t)
{
    json_t *op, *unused;
    const char *name;
    size_t i;

    json_array_foreach(t->ops, i, op) {
        if (strcmp(json_string_value(json_object_get(op, "op")), "wait")) {
            continue;
        }
        json_t *columns = json_object_get(op, "columns"), *row = json_array_get(json_object_get(op, "rows"), 0);
        if (json_array_size(columns)) {
            continue; /* given by ovsdb_txn_op() */
        }
        json_object_foreach(row, name, unused) {
            json_array_append_new(columns, json_string(name));
        }
    }
}

void ovsdb_txn_commit(struct ovsdb_txn *t, ovsdb_txn_done_fn *done, void *arg)
{
    t->done = done;
    t->arg = arg;
    complete_waits(t);
    client_submit(t->client, t);
}

/* The first error among REPLY's results; *RET_TAG and the text (the caller's), or NULL. */
static char *find_error(const json_t *reply, const char **ret_tag)
{
    const json_t *failed = json_object_get(reply, "error"), *results = json_object_get(reply, "result"), *r;
    size_t i;

    if (failed && !json_is_null(failed)) {
        *ret_tag =
            json_is_string(failed) ? json_string_value(failed) : json_string_value(json_object_get(failed, "error"));
        const char *details = json_string_value(json_object_get(failed, "details"));
        *ret_tag = *ret_tag ? *ret_tag : "error";
        return details ? xasprintf("%s: %s", *ret_tag, details) : xstrdup(*ret_tag);
    }
    json_array_foreach(results, i, r) {
        const char *tag = json_string_value(json_object_get(r, "error"));
        if (tag) {
            const char *details = json_string_value(json_object_get(r, "details"));
            *ret_tag = tag;
            return details ? xasprintf("%s: %s", tag, details) : xstrdup(tag);
        }
    }
    return NULL;
}

void txn_end(struct ovsdb_txn *t, const json_t *reply)
{
    struct ovsdb_result r = {.error = "", .error_tag = "", .txn = t};
    const char *tag = "";
    _cleanup_free_ char *text = reply ? find_error(reply, &tag) : NULL;

    if (!reply) {
        r.status = OVSDB_TXN_DISCONNECTED;
        r.error = "not connected to the database";
    } else {
        r.results = json_object_get(reply, "result");
        r.status = !text                                                    ? OVSDB_TXN_COMMITTED
                   : !strcmp(tag, "timed out") || !strcmp(tag, "not owner") ? OVSDB_TXN_TRY_AGAIN
                                                                            : OVSDB_TXN_ERROR;
        r.error = text ? text : "";
        r.error_tag = tag;
    }
    if (t->done) {
        t->done(&r, t->arg);
    } else if (r.status != OVSDB_TXN_COMMITTED) {
        log_warn("a transaction failed: %s", r.error);
    }
    ovsdb_txn_destroy(t);
}

bool ovsdb_result_inserted(const struct ovsdb_result *r, const char *name, struct uuid *ret)
{
    const json_t *index = json_object_get(r->txn->names, name);

    if (r->status != OVSDB_TXN_COMMITTED || !index) {
        return false;
    }
    const json_t *result = json_array_get(r->results, (size_t)json_integer_value(index));
    const char *text = json_string_value(json_array_get(json_object_get(result, "uuid"), 1));
    return text && !uuid_parse(text, ret);
}

int64_t ovsdb_result_count(const struct ovsdb_result *r, size_t op)
{
    return json_integer_value(json_object_get(json_array_get(r->results, op), "count"));
}

const json_t *ovsdb_result_rows(const struct ovsdb_result *r, size_t op)
{
    return json_object_get(json_array_get(r->results, op), "rows");
}

json_t *ovsdb_uuid(const struct uuid *u)
{
    return json_pack("[s, s]", "uuid", UUID_STR(u));
}

json_t *ovsdb_named_uuid(const char *name)
{
    return json_pack("[s, s]", "named-uuid", name);
}

json_t *ovsdb_set_new(void)
{
    return json_pack("[s, []]", "set");
}

void ovsdb_set_add(json_t *set, json_t *atom)
{
    json_array_append_new(json_array_get(set, 1), atom);
}

json_t *ovsdb_map_new(void)
{
    return json_pack("[s, []]", "map");
}

void ovsdb_map_add(json_t *map, json_t *key, json_t *value)
{
    json_array_append_new(json_array_get(map, 1), json_pack("[o, o]", key, value));
}

void ovsdb_map_add_string(json_t *map, const char *key, const char *value)
{
    ovsdb_map_add(map, json_string(key), json_string(value));
}

json_t *ovsdb_strings(const char *const *strings)
{
    json_t *set = ovsdb_set_new();

    for (; *strings; strings++) {
        ovsdb_set_add(set, json_string(*strings));
    }
    return set;
}

json_t *ovsdb_string_map(const char *const *pairs)
{
    json_t *map = ovsdb_map_new();

    for (; *pairs; pairs += 2) {
        ovsdb_map_add_string(map, pairs[0], pairs[1]);
    }
    return map;
}

void ovsdb_set(json_t *row, const char *column, json_t *value)
{
    json_object_set_new(row, column, value);
}

void ovsdb_set_string(json_t *row, const char *column, const char *value)
{
    ovsdb_set(row, column, value ? json_string(value) : ovsdb_set_new());
}

void ovsdb_set_int(json_t *row, const char *column, int64_t value)
{
    ovsdb_set(row, column, json_integer(value));
}

void ovsdb_set_bool(json_t *row, const char *column, bool value)
{
    ovsdb_set(row, column, json_boolean(value));
}

void ovsdb_set_uuid(json_t *row, const char *column, const struct uuid *value)
{
    ovsdb_set(row, column, ovsdb_uuid(value));
}

void ovsdb_set_empty(json_t *row, const char *column)
{
    ovsdb_set(row, column, ovsdb_set_new());
}

json_t *ovsdb_where(const char *column, const char *function, json_t *value)
{
    return ovsdb_where_and(json_array(), column, function, value);
}

json_t *ovsdb_where_and(json_t *where, const char *column, const char *function, json_t *value)
{
    json_array_append_new(where, json_pack("[s, s, o]", column, function, value));
    return where;
}

json_t *ovsdb_where_uuid(const struct uuid *u)
{
    return ovsdb_where("_uuid", "==", ovsdb_uuid(u));
}
