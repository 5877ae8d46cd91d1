/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_TXN_PRIVATE_H
#define WARREN_OVSDB_TXN_PRIVATE_H
/* Inside ovsdb only: what client.c does with a transaction that txn.c built. */
#include "ovsdb/txn.h"

struct ovsdb_txn {
    struct ovsdb_client *client;
    json_t *ops;   /* without the database's name */
    json_t *names; /* object: uuid-name → index of its insert */
    ovsdb_txn_done_fn *done;
    void *arg;
    struct ovsdb_txn *next; /* among those that end without the server's reply */
};

struct ovsdb_txn *txn_new(struct ovsdb_client *c);
/* Tells the end of T from REPLY (a JSON-RPC response; NULL: disconnected) and frees it. */
void txn_end(struct ovsdb_txn *t, const json_t *reply);
/* In client.c: sends T, or has it end soon. */
void client_submit(struct ovsdb_client *c, struct ovsdb_txn *t);

#endif
