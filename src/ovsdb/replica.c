/* SPDX-License-Identifier: Apache-2.0 */
#include "ovsdb/replica.h"

struct change {
    enum ovsdb_change kind;
    struct ovsdb_row *row;
    json_t *old; /* columns before a modify */
};

/* The changes of one message, told when all are made. */
struct batch {
    struct change *list;
    size_t n, allocated;
};

void replica_init(struct replica *r)
{
    *r = (struct replica){0};
}

static void row_free(struct ovsdb_row *row)
{
    json_decref(row->columns);
    free(row);
}

static void table_free(struct replica_table *t)
{
    struct ovsdb_row *row, *next;

    HASH_ITER(hh, t->rows, row, next) {
        HASH_DEL(t->rows, row);
        row_free(row);
    }
    json_decref(t->wanted);
    json_decref(t->columns);
    json_decref(t->kinds);
    free(t->name);
    free(t);
}

void replica_done(struct replica *r)
{
    struct replica_table *t, *next;

    HASH_ITER(hh, r->tables, t, next) {
        HASH_DEL(r->tables, t);
        table_free(t);
    }
}

struct replica_table *replica_table(const struct replica *r, const char *name)
{
    struct replica_table *t = NULL;

    HASH_FIND_STR(r->tables, name, t);
    return t;
}

struct replica_table *replica_add_table(struct replica *r, const char *name, const char *const *columns)
{
    struct replica_table *t = replica_table(r, name);

    if (!t) {
        t = xcalloc(1, sizeof *t);
        t->name = xstrdup(name);
        HASH_ADD_KEYPTR(hh, r->tables, t->name, strlen(t->name), t);
    }
    json_decref(t->wanted);
    t->wanted = columns ? json_array() : NULL;
    for (size_t i = 0; columns && columns[i]; i++) {
        json_array_append_new(t->wanted, json_string(columns[i]));
    }
    return t;
}

/* ---- schema ---- */

static const char *base_type(const json_t *type)
{
    const json_t *name = json_is_object(type) ? json_object_get(type, "type") : type;

    return json_string_value(name);
}

static json_t *default_atom(const char *type)
{
    return !strcmp(type, "integer")   ? json_integer(0)
           : !strcmp(type, "real")    ? json_real(0.0)
           : !strcmp(type, "boolean") ? json_false()
           : !strcmp(type, "uuid")    ? json_pack("[ss]", "uuid", "00000000-0000-0000-0000-000000000000")
                                      : json_string("");
}

static int learn_column(struct replica_table *t, const char *name, const json_t *column)
{
    const json_t *type = json_object_get(column, "type");
    const json_t *key = json_is_object(type) ? json_object_get(type, "key") : type;
    const json_t *min = json_object_get(type, "min"), *max = json_object_get(type, "max");
    bool is_map = json_object_get(type, "value");
    bool many = is_map || json_is_string(max) || json_integer_value(max) > 1;
    const char *atom = base_type(key);

    if (!atom) {
        return -EBADMSG;
    }
    json_object_set_new(t->kinds, name, json_string(is_map ? "map" : many ? "set" : "scalar"));
    json_object_set_new(t->columns, name,
                        is_map                                             ? json_pack("[s[]]", "map")
                        : json_is_integer(min) && !json_integer_value(min) ? json_pack("[s[]]", "set")
                                                                           : default_atom(atom));
    return 0;
}

static int learn_table(struct replica_table *t, const json_t *columns,
                       void (*missing)(const char *table, const char *column, void *arg), void *arg)
{
    const char *name;
    json_t *column, *wanted;
    size_t i;
    int error = 0;

    if (!t->wanted) {
        json_object_foreach((json_t *)columns, name, column) {
            error = learn_column(t, name, column);
            if (error) {
                return error;
            }
        }
        return 0;
    }
    json_array_foreach(t->wanted, i, wanted) {
        name = json_string_value(wanted);
        column = json_object_get(columns, name);
        if (!column) {
            missing(t->name, name, arg);
        } else if ((error = learn_column(t, name, column))) {
            return error;
        }
    }
    return 0;
}

int replica_set_schema(struct replica *r, const json_t *schema,
                       void (*missing)(const char *table, const char *column, void *arg), void *arg)
{
    const json_t *tables = json_object_get(schema, "tables");
    struct replica_table *t, *next;

    if (!json_is_object(tables)) {
        return -EBADMSG;
    }
    HASH_ITER(hh, r->tables, t, next) {
        const json_t *columns = json_object_get(json_object_get(tables, t->name), "columns");

        json_decref(t->columns);
        json_decref(t->kinds);
        t->columns = t->kinds = NULL;
        if (!columns) {
            missing(t->name, NULL, arg);
            continue;
        }
        t->columns = json_object();
        t->kinds = json_object();
        int error = learn_table(t, columns, missing, arg);
        if (error) {
            return error;
        }
    }
    return 0;
}

/* ---- values ---- */

static bool is_collection(const json_t *v, const char *tag)
{
    const char *s = json_string_value(json_array_get(v, 0));

    return json_array_size(v) == 2 && s && !strcmp(s, tag) && json_is_array(json_array_get(v, 1));
}

static int compare_atoms(const json_t *a, const json_t *b)
{
    if (json_is_array(a) && json_is_array(b)) { /* ["uuid", TEXT], or a map's pair */
        size_t n = json_array_size(a), m = json_array_size(b);
        int order = n < m ? -1 : n > m;
        for (size_t i = 0; !order && i < n; i++) {
            order = compare_atoms(json_array_get(a, i), json_array_get(b, i));
        }
        return order;
    }
    if (json_is_string(a) && json_is_string(b)) {
        return strcmp(json_string_value(a), json_string_value(b));
    }
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return x < y ? -1 : x > y;
    }
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return x < y ? -1 : x > y;
    }
    return (int)json_typeof(a) - (int)json_typeof(b);
}

static int compare_elements(const void *a, const void *b)
{
    return compare_atoms(*(json_t *const *)a, *(json_t *const *)b);
}

/* A new array with the elements of LIST in order. */
static json_t *sorted(const json_t *list)
{
    size_t n = json_array_size(list);
    _cleanup_free_ json_t **v = xcalloc(n, sizeof *v);
    json_t *result = json_array();

    for (size_t i = 0; i < n; i++) {
        v[i] = json_array_get(list, i);
    }
    qsort(v, n, sizeof *v, compare_elements);
    for (size_t i = 0; i < n; i++) {
        json_array_append(result, v[i]);
    }
    return result;
}

/* V in the one form in which equal values are equal JSON; a new reference. */
static json_t *canonical(json_t *v)
{
    if (is_collection(v, "set")) {
        json_t *list = json_array_get(v, 1);
        return json_array_size(list) == 1 ? json_incref(json_array_get(list, 0))
                                          : json_pack("[so]", "set", sorted(list));
    }
    return is_collection(v, "map") ? json_pack("[so]", "map", sorted(json_array_get(v, 1))) : json_incref(v);
}

/* The elements of a set as a new array, also where the set is written as its only element. */
static json_t *set_elements(json_t *v)
{
    return is_collection(v, "set") ? json_copy(json_array_get(v, 1)) : json_pack("[O]", v);
}

static size_t index_of(const json_t *list, const json_t *element)
{
    size_t i = 0;

    while (i < json_array_size(list) && !json_equal(json_array_get(list, i), element)) {
        i++;
    }
    return i;
}

/* Elements in one of both: a set's delta lists what came and what went. */
static json_t *toggle_set(json_t *old, json_t *delta)
{
    json_t *result = set_elements(old), *toggles = set_elements(delta), *e;
    size_t i;

    json_array_foreach(toggles, i, e) {
        size_t at = index_of(result, e);
        if (at < json_array_size(result)) {
            json_array_remove(result, at);
        } else {
            json_array_append(result, e);
        }
    }
    json_decref(toggles);
    json_t *set = json_pack("[so]", "set", result);
    json_t *v = canonical(set);
    json_decref(set);
    return v;
}

/* A pair that is there already goes, another value for a known key replaces, a new key comes. NULL: not a map. */
static json_t *patch_map(json_t *old, json_t *delta)
{
    if (!is_collection(old, "map") || !is_collection(delta, "map")) {
        return NULL;
    }
    json_t *result = json_copy(json_array_get(old, 1)), *pair;
    size_t i;

    json_array_foreach(json_array_get(delta, 1), i, pair) {
        size_t at = 0;
        while (at < json_array_size(result) &&
               !json_equal(json_array_get(json_array_get(result, at), 0), json_array_get(pair, 0))) {
            at++;
        }
        if (at == json_array_size(result)) {
            json_array_append(result, pair);
        } else if (json_equal(json_array_get(result, at), pair)) {
            json_array_remove(result, at);
        } else {
            json_array_set(result, at, pair);
        }
    }
    json_t *map = json_pack("[so]", "map", sorted(result));
    json_decref(result);
    return map;
}

/* ---- rows ---- */

static struct ovsdb_row *find_row(const struct replica_table *t, const struct uuid *uuid)
{
    struct ovsdb_row *row = NULL;

    HASH_FIND(hh, t->rows, uuid, sizeof *uuid, row);
    return row;
}

static uint64_t newest_serial;

static void note(struct batch *b, enum ovsdb_change kind, struct ovsdb_row *row, json_t *old)
{
    if (b->n == b->allocated) {
        b->allocated = MAX(2 * b->allocated, (size_t)16);
        b->list = xrealloc(b->list, b->allocated * sizeof *b->list);
    }
    b->list[b->n++] = (struct change){kind, row, old};
    row->serial = row->table->serial = ++newest_serial;
}

static void remove_row(struct batch *b, struct ovsdb_row *row)
{
    HASH_DEL(row->table->rows, row);
    note(b, OVSDB_DELETE, row, NULL);
}

/* Sets the row's contents; COLUMNS is taken over. */
static void put_row(struct batch *b, struct replica_table *t, const struct uuid *uuid, json_t *columns)
{
    struct ovsdb_row *row = find_row(t, uuid);

    if (!row) {
        row = xcalloc(1, sizeof *row);
        row->uuid = *uuid;
        row->table = t;
        row->columns = columns;
        HASH_ADD(hh, t->rows, uuid, sizeof row->uuid, row);
        note(b, OVSDB_INSERT, row, NULL);
    } else if (json_equal(row->columns, columns)) {
        json_decref(columns);
    } else {
        note(b, OVSDB_MODIFY, row, row->columns);
        row->columns = columns;
    }
}

/* A whole row: what the message leaves out has its default. */
static json_t *whole_row(const struct replica_table *t, const json_t *values)
{
    json_t *columns = json_copy(t->columns), *v;
    const char *name;

    json_object_foreach((json_t *)values, name, v) {
        if (json_object_get(columns, name)) {
            json_object_set_new(columns, name, canonical(v));
        }
    }
    return columns;
}

static int patch_row(struct batch *b, struct replica_table *t, const struct uuid *uuid, const json_t *deltas)
{
    const struct ovsdb_row *row = find_row(t, uuid);
    const char *name;
    json_t *delta;

    if (!row) {
        return -EBADMSG;
    }
    json_t *columns = json_copy(row->columns);
    json_object_foreach((json_t *)deltas, name, delta) {
        const char *kind = json_string_value(json_object_get(t->kinds, name));
        json_t *old = json_object_get(columns, name);

        if (!kind || !old) {
            continue;
        }
        json_t *v = !strcmp(kind, "map")   ? patch_map(old, delta)
                    : !strcmp(kind, "set") ? toggle_set(old, delta)
                                           : canonical(delta);
        if (!v) {
            json_decref(columns);
            return -EBADMSG;
        }
        json_object_set_new(columns, name, v);
    }
    put_row(b, t, uuid, columns);
    return 0;
}

static int apply_row(struct batch *b, struct replica_table *t, const struct uuid *uuid, json_t *update,
                     enum replica_form form)
{
    struct ovsdb_row *row = find_row(t, uuid);
    json_t *whole = form == REPLICA_UPDATE1              ? json_object_get(update, "new")
                    : json_object_get(update, "initial") ? json_object_get(update, "initial")
                                                         : json_object_get(update, "insert");
    json_t *deltas = form == REPLICA_UPDATE2 ? json_object_get(update, "modify") : NULL;
    bool gone = form == REPLICA_UPDATE1 ? !json_is_object(whole) && json_object_get(update, "old")
                                        : json_object_get(update, "delete") != NULL;

    if (json_is_object(whole)) {
        put_row(b, t, uuid, whole_row(t, whole));
        return 0;
    }
    if (json_is_object(deltas)) {
        return patch_row(b, t, uuid, deltas);
    }
    if (gone) {
        if (row) {
            remove_row(b, row);
        }
        return 0;
    }
    return -EBADMSG;
}

static int apply_table(struct batch *b, struct replica_table *t, json_t *updates, enum replica_form form)
{
    const char *key;
    json_t *update;

    json_object_foreach(updates, key, update) {
        struct uuid uuid;
        int error = uuid_parse(key, &uuid);

        error = error ? -EBADMSG : apply_row(b, t, &uuid, update, form);
        if (error) {
            return error;
        }
    }
    return 0;
}

static void remove_absent(struct batch *b, struct replica *r, const json_t *updates)
{
    struct replica_table *t, *next_table;
    struct ovsdb_row *row, *next;

    HASH_ITER(hh, r->tables, t, next_table) {
        const json_t *present = json_object_get(updates, t->name);

        HASH_ITER(hh, t->rows, row, next) {
            if (!json_object_get(present, UUID_STR(&row->uuid))) {
                remove_row(b, row);
            }
        }
    }
}

static void tell(struct batch *b, replica_change_fn *changed, void *arg)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct change *c = &b->list[i];
        struct ovsdb_row old = *c->row;

        old.columns = c->old;
        changed(c->row->table->name, c->kind, c->row, c->kind == OVSDB_MODIFY ? &old : NULL, arg);
    }
    for (size_t i = 0; i < b->n; i++) {
        json_decref(b->list[i].old);
        if (b->list[i].kind == OVSDB_DELETE) {
            row_free(b->list[i].row);
        }
    }
    free(b->list);
}

int replica_apply(struct replica *r, const json_t *updates, enum replica_form form, bool replace,
                  replica_change_fn *changed, void *arg)
{
    struct batch b = {0};
    const char *name;
    json_t *table_updates;
    int error = 0;

    if (!json_is_object(updates)) {
        return -EBADMSG;
    }
    if (replace) {
        remove_absent(&b, r, updates);
    }
    json_object_foreach((json_t *)updates, name, table_updates) {
        struct replica_table *t = replica_table(r, name);

        if (t && t->columns) {
            error = apply_table(&b, t, table_updates, form);
        }
        if (error) {
            break;
        }
    }
    tell(&b, changed, arg);
    return error;
}
