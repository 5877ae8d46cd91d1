/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_CLIENT_H
#define WARREN_OVSDB_CLIENT_H
/*
 * An OVSDB client (RFC 7047 and ovsdb-server(7)): one session that reconnects by itself to one of several remotes, a
 * replica of the monitored tables, transactions and locks.
 *
 * The replica holds, for each monitored table, the rows that meet its condition, with every monitored column set
 * (defaults filled in). When the connection is lost it stays readable; after the reconnect the new contents replace it
 * by difference, so a client sees changes only where something changed. Changes of one transaction are all applied
 * before the first callback. The update that one's own transaction causes comes before the transaction's reply.
 *
 * Neighbours: base/stream.h below, ovsdb/row.h for reading rows, ovsdb/txn.h for writing. This knows no schema but the
 * one that the server tells; a monitored column that the server lacks is logged and reads as empty.
 * Callbacks come from the event loop only. They may start transactions and change conditions, but not destroy the
 * client.
 */
#include <jansson.h>

#include "base/uuid.h"
#include "ovsdb/row.h"
#include "ovsdb/txn.h"

#define OVSDB_PORT 6640 /* of a remote that names none (RFC 7047, 6) */

struct event_base;
struct ovsdb_client;

enum ovsdb_change { OVSDB_INSERT, OVSDB_MODIFY, OVSDB_DELETE };

/* Each may be NULL. */
struct ovsdb_client_callbacks {
    /* The session came up (the replica may still be old: see `updated`) or was lost. */
    void (*connected)(struct ovsdb_client *c, bool connected, void *arg);
    /* One row changed. ROW is the row as it is now; for OVSDB_DELETE its last contents, already out of the replica. OLD
     * is the row before the change for OVSDB_MODIFY, else NULL. Both live until the callback returns; a row in the
     * replica lives until its OVSDB_DELETE. */
    void (*change)(struct ovsdb_client *c, const char *table, enum ovsdb_change change, const struct ovsdb_row *row,
                   const struct ovsdb_row *old, void *arg);
    /* A batch was applied and all its `change` calls made; also once after each (re)connect when the contents are
     * complete, even if nothing differs, and when a new condition has taken effect. The place to act on the replica. */
    void (*updated)(struct ovsdb_client *c, void *arg);
    /* A lock asked for by ovsdb_client_lock() is ours, or is ours no longer. */
    void (*locked)(struct ovsdb_client *c, const char *name, bool locked, void *arg);
};

/* REMOTES: one or several by comma, tried in turn. DATABASE: "Open_vSwitch". On failure *RET_ERROR (when not NULL) says
 * which remote is malformed. Nothing connects before ovsdb_client_start(). */
int ovsdb_client_new(struct event_base *base, const char *remotes, const char *database,
                     const struct ovsdb_client_callbacks *cb, void *arg, struct ovsdb_client **ret, char **ret_error);
/* Pending transactions get their callback with OVSDB_TXN_DISCONNECTED. NULL is fine. */
void ovsdb_client_destroy(struct ovsdb_client *c);
DEFINE_CLEANUP(struct ovsdb_client *, ovsdb_client_destroy)

/* Before start: monitors TABLE. COLUMNS ends with NULL; COLUMNS == NULL means every column. */
void ovsdb_client_monitor(struct ovsdb_client *c, const char *table, const char *const *columns);
/* Limits TABLE to the rows that match; at any time. CONDITION is an array of clauses as in RFC 7047 5.1, any of which
 * is enough (e.g. [["name","==","x"],["name","==","y"]]); [false] for no row at all; NULL for every row. Taken over.
 * Servers without monitor_cond (before OVS 2.6) send every row. */
void ovsdb_client_set_condition(struct ovsdb_client *c, const char *table, json_t *condition);
/* Keeps asking for lock NAME (letters, digits, _), across reconnects; `locked` tells. ovsdb_client_unlock() gives it
 * back. */
void ovsdb_client_lock(struct ovsdb_client *c, const char *name);
void ovsdb_client_unlock(struct ovsdb_client *c, const char *name);
bool ovsdb_client_has_lock(const struct ovsdb_client *c, const char *name);
/* Idle time before an echo is sent, ms; 0 for never. Default 5000. */
void ovsdb_client_set_probe(struct ovsdb_client *c, int64_t probe_ms);
void ovsdb_client_start(struct ovsdb_client *c);

bool ovsdb_client_is_connected(const struct ovsdb_client *c);
/* Connected, the contents complete, and every condition in effect. */
bool ovsdb_client_is_synced(const struct ovsdb_client *c);
/* The remote in use or to be tried next. */
const char *ovsdb_client_remote(const struct ovsdb_client *c);
/* What went wrong last (for `show` commands), or "". */
const char *ovsdb_client_last_error(const struct ovsdb_client *c);

/* The replica. Rows belong to it. NULL where there is none. */
const struct ovsdb_row *ovsdb_client_row(const struct ovsdb_client *c, const char *table, const struct uuid *uuid);
const struct ovsdb_row *ovsdb_client_first(const struct ovsdb_client *c, const char *table);
const struct ovsdb_row *ovsdb_row_next(const struct ovsdb_row *row);
/* Rows of TABLE in no particular order; they must not change meanwhile (they only do in the event loop). */
#define OVSDB_FOR_EACH_ROW(row, client, table)                                                                         \
    for (const struct ovsdb_row *row = ovsdb_client_first(client, table); row; row = ovsdb_row_next(row))
/* Of the newest change to any row of TABLE, deletions too; 0: none yet. */
uint64_t ovsdb_client_serial(const struct ovsdb_client *c, const char *table);
size_t ovsdb_client_n_rows(const struct ovsdb_client *c, const char *table);
/* The first row of TABLE whose string COLUMN is VALUE. Looks at every row. */
const struct ovsdb_row *ovsdb_client_find(const struct ovsdb_client *c, const char *table, const char *column,
                                          const char *value);
/* The row of TABLE that element I of the uuid (set) COLUMN of ROW refers to. */
const struct ovsdb_row *ovsdb_client_ref(const struct ovsdb_client *c, const struct ovsdb_row *row, const char *column,
                                         size_t i, const char *table);

/* Likewise for pair I of a map from integers to rows of TABLE; *RET_KEY is set when it returns a row. */
const struct ovsdb_row *ovsdb_client_map_ref(const struct ovsdb_client *c, const struct ovsdb_row *row,
                                             const char *column, size_t i, const char *table, int64_t *ret_key);

/* Starts a transaction: ovsdb/txn.h. */
struct ovsdb_txn *ovsdb_client_txn(struct ovsdb_client *c);

#endif
