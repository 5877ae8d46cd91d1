/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a call: body, attempts and transactions, reply. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/utf8.h"
#include "controller/api.h"

LOG_MODULE("api");

#define MAX_TRIES 40

/* ---- replies ---- */

static void finish(struct call *c, int status)
{
    c->status = status;
    c->api->stats.replies[MIN(status / 100, 5)]++;
    c->answered(c, c->arg);
}

void call_reply(struct call *c, int status, json_t *json)
{
    if (json) {
        c->text = json_dumps(json, 0);
        c->text_len = strlen(c->text);
        c->content_type = "application/json";
        json_decref(json);
    }
    finish(c, status);
}

void call_reply_text(struct call *c, int status, const char *content_type, const char *text)
{
    c->text = xstrdup(text);
    c->text_len = strlen(text);
    c->content_type = content_type;
    finish(c, status);
}

void call_error(struct call *c, int status, const char *type, const char *fmt, ...)
{
    char *message;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&message, fmt, args) < 0) {
        abort();
    }
    va_end(args);
    utf8_clean(message); /* it may quote what was asked, cut within a character */
    call_reply(c, status,
               json_pack("{s:{s:s, s:s, s:s}}", "NeutronError", "type", type, "message", message, "detail", ""));
    free(message);
}

void call_not_found(struct call *c, const char *label, const char *id)
{
    _cleanup_free_ char *type = xasprintf("%sNotFound", label);

    call_error(c, 404, type, "%s %.200s could not be found.", label, id);
}

void call_not_allowed(struct call *c, const char *allow)
{
    c->allow = allow;
    call_error(c, 405, "HTTPMethodNotAllowed", "The method %.20s is not allowed for this resource; %s are.", c->method,
               allow);
}

void call_done(struct call *c)
{
    for (size_t i = 0; i < c->n_segments; i++) {
        free(c->segments[i]);
    }
    json_decref(c->items);
    json_decref(c->chosen);
    free(c->text);
}

json_t *call_body(struct call *c)
{
    json_error_t error;
    json_t *body;

    if (!c->body_len) {
        call_error(c, 400, "MalformedRequestBody", "Malformed request body: there is none");
        return NULL;
    }
    body = json_loadb(c->body, c->body_len, JSON_REJECT_DUPLICATES, &error);
    if (!body) {
        call_error(c, 400, "MalformedRequestBody", "Malformed request body: line %d, column %d: %s", error.line,
                   error.column, error.text);
    } else if (!json_is_object(body)) {
        call_error(c, 400, "MalformedRequestBody", "Malformed request body: not an object");
        json_decref(body);
        return NULL;
    }
    return body;
}

/* ---- transactions ---- */

static void try(struct call *c)
{
    if (!store_is_ready(c->api->store)) {
        call_error(c, 503, "ServiceUnavailable", "The database is away: %s", store_why(c->api->store));
        return;
    }
    json_decref(c->chosen);
    c->chosen = json_object();
    c->now = time_wall_ms() / 1000;
    c->attempt(c);
}

void call_start(struct call *c, void (*attempt)(struct call *c))
{
    c->attempt = attempt;
    try(c);
}

static void reply_created(struct call *c)
{
    const struct resource *r = c->resource;
    json_t *made = json_array(), *item;
    size_t i;

    json_array_foreach(c->items, i, item) {
        const struct ovsdb_row *row =
            store_row(c->api->store, r->by_id, json_string_value(json_object_get(item, "id")));

        /* It may have been deleted again by another client by now. */
        if (row) {
            json_array_append_new(made, r->show(c->api, row));
        }
    }
    if (c->bulk) {
        call_reply(c, 201, json_pack("{s:o}", r->collection, made));
    } else if (json_array_size(made)) {
        call_reply(c, 201, json_pack("{s:O}", r->singular, json_array_get(made, 0)));
        json_decref(made);
    } else {
        json_decref(made);
        call_error(c, 409, "Conflict", "The %s was deleted at once by another client", r->singular);
    }
}

static void reply_committed(struct call *c)
{
    const struct resource *r = c->resource;

    if (c->n_segments == 4) {
        call_reply(c, strcmp(c->method, "PUT") ? 204 : 201, NULL); /* one tag */
    } else if (!strcmp(c->method, "DELETE")) {
        call_reply(c, 204, NULL);
    } else if (!strcmp(c->method, "POST")) {
        reply_created(c);
    } else {
        const struct ovsdb_row *row = store_row(c->api->store, r->by_id, c->segments[1]);

        if (!row) {
            call_not_found(c, r->label, c->segments[1]);
        } else if (c->n_segments == 3) {
            call_reply(c, 200, json_pack("{s:o}", "tags", show_set(row, "tags")));
        } else {
            call_reply(c, 200, json_pack("{s:o}", r->singular, r->show(c->api, row)));
        }
    }
}

static void on_done(const struct ovsdb_result *result, void *arg)
{
    struct call *c = arg;
    bool conflict = !strcmp(result->error_tag, "constraint violation") ||
                    !strcmp(result->error_tag, "referential integrity violation");

    if (result->status == OVSDB_TXN_COMMITTED) {
        reply_committed(c);
    } else if (result->status == OVSDB_TXN_DISCONNECTED) {
        call_error(c, 503, "ServiceUnavailable", "The connection to the database was lost before it had answered: %s",
                   store_why(c->api->store));
    } else if (result->status == OVSDB_TXN_ERROR && !conflict) {
        log_limited(LOG_LEVEL_ERR, "%s %s: the database refused: %s", c->method, c->path, result->error);
        call_error(c, 500, "DatabaseError", "The database refused: %s", result->error);
    } else if (c->resource->refused && c->resource->refused(c, result->error)) {
        /* answered */
    } else if (++c->tries >= MAX_TRIES) {
        call_error(c, 409, "Conflict",
                   "Others changed the same things %d times meanwhile; the last time the database said: %s", MAX_TRIES,
                   result->error);
    } else {
        log_dbg("%s %s: again after: %s", c->method, c->path, result->error);
        c->api->stats.retries++;
        try(c);
    }
}

void call_commit(struct call *c, struct ovsdb_txn *txn)
{
    ovsdb_txn_comment(txn, "warren-controller: %s %s", c->method, c->path);
    ovsdb_txn_commit(txn, on_done, c);
}

bool call_choose(struct call *c, const char *key)
{
    if (json_object_get(c->chosen, key)) {
        return false;
    }
    json_object_set_new(c->chosen, key, json_true());
    return true;
}

json_t *call_update_row(struct call *c, struct ovsdb_txn *txn, const char *table, const struct ovsdb_row *row)
{
    int64_t revision = ovsdb_row_int(row, "revision", 0);

    ovsdb_set_int(ovsdb_txn_wait(txn, table, ovsdb_where_uuid(ovsdb_row_uuid(row)), "=="), "revision", revision);
    json_t *values = ovsdb_txn_update(txn, table, ovsdb_row_uuid(row));
    ovsdb_set_int(values, "revision", revision + 1);
    ovsdb_set_int(values, "updated_at", c->now);
    return values;
}

/* ---- rows and objects ---- */

void call_set_common(struct call *c, json_t *values, const json_t *item, int64_t revision)
{
    static const char *const names[] = {"id", "name", "project_id", "description"};

    set_strings(values, item, names, ARRAY_SIZE(names));
    ovsdb_set_int(values, "created_at", c->now);
    ovsdb_set_int(values, "updated_at", c->now);
    ovsdb_set_int(values, "revision", revision);
}

void set_strings(json_t *values, const json_t *item, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_object_get(item, names[i]));

        if (s) {
            ovsdb_set_string(values, names[i], s);
        }
    }
}

void set_bools(json_t *values, const json_t *item, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *b = json_object_get(item, names[i]);

        if (b) {
            ovsdb_set_bool(values, names[i], json_is_true(b));
        }
    }
}

void set_list(json_t *values, const char *column, const json_t *list)
{
    json_t *set, *item;
    size_t i;

    if (!list) {
        return;
    }
    set = ovsdb_set_new();
    json_array_foreach(list, i, item) {
        ovsdb_set_add(set, json_incref(item));
    }
    ovsdb_set(values, column, set);
}

static json_t *show_time(const struct ovsdb_row *row, const char *column)
{
    time_t t = store_seconds(row, column);
    char text[40];
    struct tm tm;

    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    return json_string(text);
}

void show_common(json_t *object, const struct ovsdb_row *row)
{
    json_object_set_new(object, "name", json_string(store_string(row, "name")));
    json_object_set_new(object, "tenant_id", json_string(store_string(row, "project_id")));
    json_object_set_new(object, "project_id", json_string(store_string(row, "project_id")));
    json_object_set_new(object, "description", json_string(store_string(row, "description")));
    json_object_set_new(object, "tags", show_set(row, "tags"));
    json_object_set_new(object, "created_at", show_time(row, "created_at"));
    json_object_set_new(object, "updated_at", show_time(row, "updated_at"));
    json_object_set_new(object, "revision_number", json_integer(ovsdb_row_int(row, "revision", 0)));
}

json_t *show_set(const struct ovsdb_row *row, const char *column)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ovsdb_row_size(row, column); i++) {
        json_array_append_new(list, json_string(ovsdb_row_set_string(row, column, i)));
    }
    return list;
}

json_t *show_optional(const struct ovsdb_row *row, const char *column)
{
    const char *s = ovsdb_row_string(row, column);

    return s && *s ? json_string(s) : json_null();
}
