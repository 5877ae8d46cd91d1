/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CONTROLLER_STORE_H
#define WARREN_CONTROLLER_STORE_H
/*
 * The controller's view of the Warren database: a replica of all its tables and indexes into it. There is no state of
 * the controller's own, so that several may run side by side; what an API reply shows is read from the replica, what a
 * request changes is one transaction.
 */
#include "ovsdb/client.h"

struct event_base;
struct store;

/* The columns that rows are looked up by. */
enum store_index {
    STORE_NETWORK_ID,
    STORE_NETWORK_VNI, /* key: store_vni_key() */
    STORE_SUBNET_ID,
    STORE_SUBNET_NETWORK,
    STORE_PORT_ID,
    STORE_PORT_NETWORK,
    STORE_PORT_MAC, /* key: NETWORK_ID/MAC */
    STORE_ADDRESS_PORT,
    STORE_ADDRESS_SUBNET,
    STORE_ADDRESS_IP, /* key: SUBNET_ID/IP */
    STORE_AGENT_ID,
    STORE_HEARTBEAT_AGENT,
    STORE_STATUS_PORT,
    N_STORE_INDEXES,
};

/* A row found by an index; `next` has the same key. */
struct store_entry {
    const struct ovsdb_row *row;
    const struct store_entry *next;
};

/* CHANGED is called whenever the connection or the contents changed. On failure *RET_ERROR says why; the caller frees
 * it. */
int store_create(struct event_base *base, const char *remotes, void (*changed)(void *arg), void *arg,
                 struct store **ret, char **ret_error);
/* Transactions under way end with OVSDB_TXN_DISCONNECTED. NULL is fine. */
void store_destroy(struct store *s);

/* Connected, and the replica is complete. */
bool store_is_ready(const struct store *s);
/* Why it is not, for people. */
const char *store_why(const struct store *s);
const struct ovsdb_client *store_client(const struct store *s);
struct ovsdb_txn *store_txn(struct store *s);

/* The rows with KEY: how many, the list (NULL if none), the first's row (NULL if none). */
size_t store_count(const struct store *s, enum store_index i, const char *key);
const struct store_entry *store_find(const struct store *s, enum store_index i, const char *key);
const struct ovsdb_row *store_row(const struct store *s, enum store_index i, const char *key);
#define STORE_FOR_EACH(entry, store, index, key)                                                                       \
    for (const struct store_entry *entry = store_find(store, index, key); entry; entry = entry->next)

/* Milliseconds since Heartbeat ROW came, whatever the clock of the agent's host says. */
int64_t store_heartbeat_age(const struct store *s, const struct ovsdb_row *row);

/* A string column, "" where empty. */
const char *store_string(const struct ovsdb_row *row, const char *column);
/* A column of seconds. The database takes any number, and agents' clocks are theirs: what no calendar has is its first
 * or last second, so that it can be counted with. */
int64_t store_seconds(const struct ovsdb_row *row, const char *column);

#endif
