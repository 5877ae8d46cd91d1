/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_ROW_WRITER_H
#define WARREN_SWITCH_ROW_WRITER_H
/*
 * Writes a row by difference: a column goes into the transaction only when the replica says something else. So the
 * configurator states after each run everything that should stand in the database; unchanged state costs no
 * transaction, our own update does not start another one, and ephemeral columns come back by themselves after
 * ovsdb-server restarted.
 */
#include "ovsdb/client.h"

struct row_writer {
    struct ovsdb_txn *txn;
    const char *table;
    const struct ovsdb_row *row;
    json_t *update; /* the operation's row, once something differs */
};

static inline struct row_writer row_writer_of(struct ovsdb_txn *txn, const char *table, const struct ovsdb_row *row)
{
    return (struct row_writer){.txn = txn, .table = table, .row = row, .update = NULL};
}

void row_write_int(struct row_writer *w, const char *column, int64_t value);
void row_write_bool(struct row_writer *w, const char *column, bool value);
/* Optional columns (sets of at most one): NULL, or HAVE false, is the empty set. */
void row_write_opt_string(struct row_writer *w, const char *column, const char *value);
void row_write_opt_int(struct row_writer *w, const char *column, bool have, int64_t value);
/* A column that is a plain string. */
void row_write_string(struct row_writer *w, const char *column, const char *value);
/* A set of strings, sorted; ends with NULL. */
void row_write_strings(struct row_writer *w, const char *column, const char *const *values);
/* A map from strings, whose pairs must come sorted by key. VALUE of NULL leaves a pair out. */
struct row_map_pair {
    const char *key, *value;
};
void row_write_map(struct row_writer *w, const char *column, const struct row_map_pair *pairs, size_t n);
struct row_map_int_pair {
    const char *key;
    int64_t value;
};
void row_write_int_map(struct row_writer *w, const char *column, const struct row_map_int_pair *pairs, size_t n);

#endif
