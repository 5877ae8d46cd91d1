/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_TXN_H
#define WARREN_OVSDB_TXN_H
/*
 * Builds an OVSDB transaction (RFC 7047 5.2) operation by operation:
 *
 *   struct ovsdb_txn *t = ovsdb_client_txn(client);
 *   json_t *port = ovsdb_txn_insert(t, "Port", "p");                  // a row object to fill
 *   ovsdb_set_string(port, "name", "vx1");
 *   ovsdb_txn_mutate(t, "Bridge", &bridge, "ports", "insert", ovsdb_named_uuid("p"));
 *   ovsdb_txn_commit(t, done, arg);
 *
 * Functions that take a json_t value or clause take over its reference. `where` arguments are arrays of clauses that
 * must all match; ovsdb_where() and ovsdb_where_uuid() make them. Rows that are returned stay the transaction's. The
 * transaction is one atomic change: all of it or nothing.
 */
#include <jansson.h>

#include "base/uuid.h"

struct ovsdb_txn;
struct ovsdb_client;

enum ovsdb_txn_status {
    OVSDB_TXN_COMMITTED,
    OVSDB_TXN_ERROR,        /* refused: constraint violation, referential integrity, not owner … see error */
    OVSDB_TXN_TRY_AGAIN,    /* a wait did not come true, or the asserted lock is not ours: nothing was done */
    OVSDB_TXN_DISCONNECTED, /* no connection, or it was lost before the reply: may or may not have been done */
};

struct ovsdb_result {
    enum ovsdb_txn_status status;
    const char *error;     /* "constraint violation: Transaction causes …", "" when committed */
    const char *error_tag; /* RFC 7047's string alone: "constraint violation"; "" if there is none */
    const json_t *results; /* the reply's array, one object an operation, in order; NULL when disconnected */
    const struct ovsdb_txn *txn;
};

/* RESULT and all in it live until the callback returns. */
typedef void ovsdb_txn_done_fn(const struct ovsdb_result *result, void *arg);

/* NAME is how other operations of the same transaction refer to the new row: ovsdb_named_uuid(NAME); letters, digits,
 * _, or NULL. */
json_t *ovsdb_txn_insert(struct ovsdb_txn *t, const char *table, const char *name);
/* Only the columns set in the returned row are written. */
json_t *ovsdb_txn_update(struct ovsdb_txn *t, const char *table, const struct uuid *row);
json_t *ovsdb_txn_update_where(struct ovsdb_txn *t, const char *table, json_t *where);
/* MUTATOR: "+=", "-=", "insert", "delete", … On the same row several mutations join one operation. */
void ovsdb_txn_mutate(struct ovsdb_txn *t, const char *table, const struct uuid *row, const char *column,
                      const char *mutator, json_t *value);
void ovsdb_txn_mutate_where(struct ovsdb_txn *t, const char *table, json_t *where, const char *column,
                            const char *mutator, json_t *value);
void ovsdb_txn_delete(struct ovsdb_txn *t, const char *table, const struct uuid *row);
void ovsdb_txn_delete_where(struct ovsdb_txn *t, const char *table, json_t *where);
/* The columns set in the returned row must be equal (UNTIL "==") or not ("!=") to those of the rows that match, at
 * once; otherwise OVSDB_TXN_TRY_AGAIN. */
json_t *ovsdb_txn_wait(struct ovsdb_txn *t, const char *table, json_t *where, const char *until);
/* No row may match / a row must be there: waits of the two kinds that allocation needs. */
void ovsdb_txn_wait_no_row(struct ovsdb_txn *t, const char *table, json_t *where);
void ovsdb_txn_wait_row(struct ovsdb_txn *t, const char *table, const struct uuid *row);
/* COLUMNS is a JSON array of names, or NULL for all. The index of its result. */
size_t ovsdb_txn_select(struct ovsdb_txn *t, const char *table, json_t *where, json_t *columns);
/* Fails with OVSDB_TXN_TRY_AGAIN unless this session holds LOCK. */
void ovsdb_txn_assert(struct ovsdb_txn *t, const char *lock);
void ovsdb_txn_comment(struct ovsdb_txn *t, const char *fmt, ...) WR_PRINTF(2, 3);
/* An operation as JSON, taken over, for what has no function here. */
void ovsdb_txn_op(struct ovsdb_txn *t, json_t *op);
/* Operations so far: the index in `results` of the next one. */
size_t ovsdb_txn_n_ops(const struct ovsdb_txn *t);

/* Sends it and gives T up. DONE (may be NULL: then errors are logged) comes exactly once, always from the event loop;
 * without a connection with OVSDB_TXN_DISCONNECTED. An empty transaction commits. */
void ovsdb_txn_commit(struct ovsdb_txn *t, ovsdb_txn_done_fn *done, void *arg);
/* Drops a transaction that was not committed. */
void ovsdb_txn_destroy(struct ovsdb_txn *t);

/* In the done callback: the real UUID of the row inserted under NAME. */
bool ovsdb_result_inserted(const struct ovsdb_result *r, const char *name, struct uuid *ret);
/* Rows changed by operation OP ("count"), or 0. */
int64_t ovsdb_result_count(const struct ovsdb_result *r, size_t op);
/* The array of rows that the select at OP found, or NULL. */
const json_t *ovsdb_result_rows(const struct ovsdb_result *r, size_t op);

/* Values. NULL strings make an empty set. */
json_t *ovsdb_uuid(const struct uuid *u);
json_t *ovsdb_named_uuid(const char *name);
/* An empty set or map, to which ovsdb_set_add() and ovsdb_map_add() append. */
json_t *ovsdb_set_new(void);
void ovsdb_set_add(json_t *set, json_t *atom);
json_t *ovsdb_map_new(void);
void ovsdb_map_add(json_t *map, json_t *key, json_t *value);
void ovsdb_map_add_string(json_t *map, const char *key, const char *value);
/* A set or map of strings from an array that ends with NULL: {"a", "b", NULL}; {"key", "value", …, NULL}. */
json_t *ovsdb_strings(const char *const *strings);
json_t *ovsdb_string_map(const char *const *pairs);
/* Sets a column of a row under construction. */
void ovsdb_set(json_t *row, const char *column, json_t *value);
void ovsdb_set_string(json_t *row, const char *column, const char *value);
void ovsdb_set_int(json_t *row, const char *column, int64_t value);
void ovsdb_set_bool(json_t *row, const char *column, bool value);
void ovsdb_set_uuid(json_t *row, const char *column, const struct uuid *value);
void ovsdb_set_empty(json_t *row, const char *column);

/* [[COLUMN, FUNCTION, VALUE]]; ovsdb_where_and() appends one more clause. */
json_t *ovsdb_where(const char *column, const char *function, json_t *value);
json_t *ovsdb_where_and(json_t *where, const char *column, const char *function, json_t *value);
json_t *ovsdb_where_uuid(const struct uuid *u);

#endif
