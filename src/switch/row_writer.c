/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/row_writer.h"

/* Takes VALUE, in the server's own form: sets of one are that one, maps are sorted. */
static void write_json(struct row_writer *w, const char *column, json_t *value)
{
    const json_t *old = ovsdb_row_json(w->row, column);
    if (old && json_equal(old, value)) {
        json_decref(value);
        return;
    }
    if (!w->update) {
        w->update = ovsdb_txn_update(w->txn, w->table, ovsdb_row_uuid(w->row));
    }
    ovsdb_set(w->update, column, value);
}

static json_t *empty_set(void)
{
    return json_pack("[s, []]", "set");
}

void row_write_int(struct row_writer *w, const char *column, int64_t value)
{
    write_json(w, column, json_integer(value));
}

void row_write_bool(struct row_writer *w, const char *column, bool value)
{
    write_json(w, column, json_boolean(value));
}

void row_write_string(struct row_writer *w, const char *column, const char *value)
{
    write_json(w, column, json_string(value));
}

void row_write_opt_string(struct row_writer *w, const char *column, const char *value)
{
    write_json(w, column, value ? json_string(value) : empty_set());
}

void row_write_opt_int(struct row_writer *w, const char *column, bool have, int64_t value)
{
    write_json(w, column, have ? json_integer(value) : empty_set());
}

void row_write_strings(struct row_writer *w, const char *column, const char *const *values)
{
    json_t *set = json_array();
    for (size_t i = 0; values[i]; i++) {
        json_array_append_new(set, json_string(values[i]));
    }
    if (json_array_size(set) == 1) {
        write_json(w, column, json_string(values[0]));
        json_decref(set);
    } else {
        write_json(w, column, json_pack("[s, o]", "set", set));
    }
}

void row_write_map(struct row_writer *w, const char *column, const struct row_map_pair *pairs, size_t n)
{
    json_t *map = json_array();
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].value) {
            json_array_append_new(map, json_pack("[s, s]", pairs[i].key, pairs[i].value));
        }
    }
    write_json(w, column, json_pack("[s, o]", "map", map));
}

void row_write_int_map(struct row_writer *w, const char *column, const struct row_map_int_pair *pairs, size_t n)
{
    json_t *map = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(map, json_pack("[s, I]", pairs[i].key, (json_int_t)pairs[i].value));
    }
    write_json(w, column, json_pack("[s, o]", "map", map));
}
