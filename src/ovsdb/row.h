/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_ROW_H
#define WARREN_OVSDB_ROW_H
/*
 * Typed reading of a replica's row by column name. A column that is absent or of another type reads as empty: these
 * never fail, since the server checks types and a missing column is told once, at the monitor. Strings live as long as
 * the row keeps that value: copy what must outlive the callback.
 */
#include <jansson.h>

#include "base/uuid.h"

struct ovsdb_row;

const struct uuid *ovsdb_row_uuid(const struct ovsdb_row *row);
/* Grows with every change of the row, and no two rows ever have the same: whoever remembers it knows whether there is
 * something new to read. */
uint64_t ovsdb_row_serial(const struct ovsdb_row *row);
/* The column as OVSDB's JSON (RFC 7047 5.1), NULL if absent. A set of one element is that element. */
const json_t *ovsdb_row_json(const struct ovsdb_row *row, const char *column);
bool ovsdb_row_column_equal(const struct ovsdb_row *a, const struct ovsdb_row *b, const char *column);

/* Scalars, and sets of at most one: NULL or the default where empty. */
const char *ovsdb_row_string(const struct ovsdb_row *row, const char *column);
int64_t ovsdb_row_int(const struct ovsdb_row *row, const char *column, int64_t def);
bool ovsdb_row_bool(const struct ovsdb_row *row, const char *column, bool def);
double ovsdb_row_real(const struct ovsdb_row *row, const char *column, double def);
/* True and the value in *RET if there is exactly one. */
bool ovsdb_row_get_uuid(const struct ovsdb_row *row, const char *column, struct uuid *ret);

/* Number of elements of a set or pairs of a map; 1 for a scalar. */
size_t ovsdb_row_size(const struct ovsdb_row *row, const char *column);
/* Element I of a set. */
const char *ovsdb_row_set_string(const struct ovsdb_row *row, const char *column, size_t i);
int64_t ovsdb_row_set_int(const struct ovsdb_row *row, const char *column, size_t i);
bool ovsdb_row_set_uuid(const struct ovsdb_row *row, const char *column, size_t i, struct uuid *ret);
bool ovsdb_row_set_has_string(const struct ovsdb_row *row, const char *column, const char *value);

/* The value of KEY in a map from strings; NULL or the default where there is none. ovsdb_row_map_int() and _bool() are
 * for maps whose values are strings too, as in `options` and `other_config`: they parse the whole text (true/false,
 * decimal or 0x), and yield the default when it is not that. */
const char *ovsdb_row_map_string(const struct ovsdb_row *row, const char *column, const char *key);
int64_t ovsdb_row_map_int(const struct ovsdb_row *row, const char *column, const char *key, int64_t def);
bool ovsdb_row_map_bool(const struct ovsdb_row *row, const char *column, const char *key, bool def);
/* Pair I of a map from integers to rows; true if there is one. */
bool ovsdb_row_map_uuid(const struct ovsdb_row *row, const char *column, size_t i, int64_t *ret_key,
                        struct uuid *ret_uuid);
/* Pair I of a map from strings to strings; true if there is one. */
bool ovsdb_row_map_at(const struct ovsdb_row *row, const char *column, size_t i, const char **ret_key,
                      const char **ret_value);

#endif
