/* SPDX-License-Identifier: Apache-2.0 */
#include "ovsdb/row.h"

#include "ovsdb/replica.h"

static bool has_tag(const json_t *v, const char *tag)
{
    const char *s = json_string_value(json_array_get(v, 0));

    return json_array_size(v) == 2 && s && !strcmp(s, tag);
}

/* What a set, map or atom holds: the array of elements or pairs; NULL for an atom. */
static const json_t *elements(const json_t *v)
{
    return has_tag(v, "set") || has_tag(v, "map") ? json_array_get(v, 1) : NULL;
}

static size_t size_of(const json_t *v)
{
    const json_t *list = elements(v);

    return list ? json_array_size(list) : v ? 1 : 0;
}

static const json_t *element(const json_t *v, size_t i)
{
    const json_t *list = elements(v);

    return list ? json_array_get(list, i) : i == 0 ? v : NULL;
}

/* The one element of COLUMN, NULL if there are none or many. */
static const json_t *only(const struct ovsdb_row *row, const char *column)
{
    const json_t *v = ovsdb_row_json(row, column);

    return size_of(v) == 1 ? element(v, 0) : NULL;
}

static bool atom_uuid(const json_t *atom, struct uuid *ret)
{
    return has_tag(atom, "uuid") && json_is_string(json_array_get(atom, 1)) &&
           !uuid_parse(json_string_value(json_array_get(atom, 1)), ret);
}

const struct uuid *ovsdb_row_uuid(const struct ovsdb_row *row)
{
    return &row->uuid;
}

uint64_t ovsdb_row_serial(const struct ovsdb_row *row)
{
    return row->serial;
}

const json_t *ovsdb_row_json(const struct ovsdb_row *row, const char *column)
{
    return json_object_get(row->columns, column);
}

bool ovsdb_row_column_equal(const struct ovsdb_row *a, const struct ovsdb_row *b, const char *column)
{
    const json_t *x = ovsdb_row_json(a, column), *y = ovsdb_row_json(b, column);

    return x == y || json_equal(x, y);
}

const char *ovsdb_row_string(const struct ovsdb_row *row, const char *column)
{
    return json_string_value(only(row, column));
}

int64_t ovsdb_row_int(const struct ovsdb_row *row, const char *column, int64_t def)
{
    const json_t *v = only(row, column);

    return json_is_integer(v) ? json_integer_value(v) : def;
}

bool ovsdb_row_bool(const struct ovsdb_row *row, const char *column, bool def)
{
    const json_t *v = only(row, column);

    return json_is_boolean(v) ? json_is_true(v) : def;
}

double ovsdb_row_real(const struct ovsdb_row *row, const char *column, double def)
{
    const json_t *v = only(row, column);

    return json_is_number(v) ? json_number_value(v) : def;
}

bool ovsdb_row_get_uuid(const struct ovsdb_row *row, const char *column, struct uuid *ret)
{
    return atom_uuid(only(row, column), ret);
}

size_t ovsdb_row_size(const struct ovsdb_row *row, const char *column)
{
    return size_of(ovsdb_row_json(row, column));
}

const char *ovsdb_row_set_string(const struct ovsdb_row *row, const char *column, size_t i)
{
    return json_string_value(element(ovsdb_row_json(row, column), i));
}

int64_t ovsdb_row_set_int(const struct ovsdb_row *row, const char *column, size_t i)
{
    return json_integer_value(element(ovsdb_row_json(row, column), i));
}

bool ovsdb_row_set_uuid(const struct ovsdb_row *row, const char *column, size_t i, struct uuid *ret)
{
    return atom_uuid(element(ovsdb_row_json(row, column), i), ret);
}

bool ovsdb_row_set_has_string(const struct ovsdb_row *row, const char *column, const char *value)
{
    for (size_t i = 0; i < ovsdb_row_size(row, column); i++) {
        const char *s = ovsdb_row_set_string(row, column, i);
        if (s && !strcmp(s, value)) {
            return true;
        }
    }
    return false;
}

const char *ovsdb_row_map_string(const struct ovsdb_row *row, const char *column, const char *key)
{
    const char *k, *v;

    for (size_t i = 0; ovsdb_row_map_at(row, column, i, &k, &v); i++) {
        if (!strcmp(k, key)) {
            return v;
        }
    }
    return NULL;
}

int64_t ovsdb_row_map_int(const struct ovsdb_row *row, const char *column, const char *key, int64_t def)
{
    const char *s = ovsdb_row_map_string(row, column, key);
    char *end;

    if (!s || !*s) {
        return def;
    }
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    errno = 0;
    long long v = strtoll(s, &end, hex ? 16 : 10);
    return errno || *end ? def : v;
}

bool ovsdb_row_map_bool(const struct ovsdb_row *row, const char *column, const char *key, bool def)
{
    const char *s = ovsdb_row_map_string(row, column, key);

    return !s ? def : !strcmp(s, "true") ? true : !strcmp(s, "false") ? false : def;
}

bool ovsdb_row_map_at(const struct ovsdb_row *row, const char *column, size_t i, const char **ret_key,
                      const char **ret_value)
{
    const json_t *v = ovsdb_row_json(row, column);

    if (!has_tag(v, "map")) {
        return false;
    }
    const json_t *pair = json_array_get(json_array_get(v, 1), i);
    const char *key = json_string_value(json_array_get(pair, 0)), *value = json_string_value(json_array_get(pair, 1));
    if (!key || !value) {
        return false;
    }
    *ret_key = key;
    *ret_value = value;
    return true;
}

bool ovsdb_row_map_uuid(const struct ovsdb_row *row, const char *column, size_t i, int64_t *ret_key,
                        struct uuid *ret_uuid)
{
    const json_t *v = ovsdb_row_json(row, column);
    const json_t *pair = has_tag(v, "map") ? json_array_get(json_array_get(v, 1), i) : NULL;

    if (!json_is_integer(json_array_get(pair, 0)) || !atom_uuid(json_array_get(pair, 1), ret_uuid)) {
        return false;
    }
    *ret_key = json_integer_value(json_array_get(pair, 0));
    return true;
}
