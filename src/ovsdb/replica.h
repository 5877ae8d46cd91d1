/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_REPLICA_H
#define WARREN_OVSDB_REPLICA_H
/*
 * Inside ovsdb only: the copies of the monitored tables, and how the three forms of update messages change them
 * (RFC 7047 4.1.6 `update`; ovsdb-server(7) `update2` and `update3`, whose rows are differences). No I/O.
 *
 * Differences need column types (a delta of a set toggles elements, a delta of a scalar replaces it), so the schema
 * that the server tells is kept here. Every value is held as the server writes it (a set of one as its element, sets
 * and maps sorted), so that json_equal() is equality of values, and rows that come again after a reconnect compare
 * equal.
 */
#include <jansson.h>
#include <uthash.h>

#include "base/uuid.h"
#include "ovsdb/client.h"

struct ovsdb_row {
    struct uuid uuid;
    struct replica_table *table;
    json_t *columns; /* object: column → value; values are never changed in place, so old rows can share them */
    uint64_t serial; /* ovsdb_row_serial() */
    UT_hash_handle hh;
};

struct replica_table {
    char *name;
    json_t *wanted;  /* array of column names, NULL: all */
    json_t *columns; /* object: monitored column → its default; NULL while the schema has no such table */
    json_t *kinds;   /* object: monitored column → "set" for several, "map", "scalar" for at most one */
    struct ovsdb_row *rows;
    uint64_t serial; /* of the newest change to any row */
    UT_hash_handle hh;
};

struct replica {
    struct replica_table *tables;
};

enum replica_form { REPLICA_UPDATE1, REPLICA_UPDATE2 };

/* Called after all changes of one replica_apply() are in place. */
typedef void replica_change_fn(const char *table, enum ovsdb_change change, const struct ovsdb_row *row,
                               const struct ovsdb_row *old, void *arg);

void replica_init(struct replica *r);
void replica_done(struct replica *r);
/* COLUMNS ends with NULL, or NULL for all. Adding a table again replaces the columns wanted. */
struct replica_table *replica_add_table(struct replica *r, const char *name, const char *const *columns);
struct replica_table *replica_table(const struct replica *r, const char *name);
/* Takes in the server's schema (get_schema's result): which of the wanted columns there are, and their types. Calls
 * MISSING for what is wanted and not there (COLUMN is NULL for a whole table). -EBADMSG if it is no schema. */
int replica_set_schema(struct replica *r, const json_t *schema,
                       void (*missing)(const char *table, const char *column, void *arg), void *arg);
/* Applies a <table-updates> object. REPLACE: it is all there is, rows not in it are gone. Tells each real change. On
 * -EBADMSG the good part was applied (and told): the caller must ask for everything anew. */
int replica_apply(struct replica *r, const json_t *updates, enum replica_form form, bool replace,
                  replica_change_fn *changed, void *arg);

#endif
