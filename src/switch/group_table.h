/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_GROUP_TABLE_H
#define WARREN_SWITCH_GROUP_TABLE_H
/*
 * The groups of a bridge: changes as group_mod asks, alone or in a transaction with flows, liveness of buckets, and
 * counters.
 *
 * Flows and other groups name a group by its number, so a changed group is another `struct group` in the old one's
 * place; a transaction is undone by putting the old ones back. What outlives the change is shared between both and
 * counted by references: the group's own counters, and the buckets that stayed. Megaflows hold the group that they were
 * translated with, so their last counters go where they belong.
 *
 * Invariants: groups never form a loop; a bucket never names a group that is not there (a group in use by another is
 * not deleted); no flow names a group that is not there (they go with it).
 */
#include "openflow/msg_group.h"
#include "switch/flow_table.h"

struct group_counters {
    unsigned int refs;
    uint64_t packets, bytes;
    int64_t created_ms;
};

struct group_bucket {
    unsigned int refs;
    struct of_bucket config;
    uint64_t packets, bytes;
};

struct group {
    unsigned int refs;
    struct of_group config; /* without its buckets, which are: */
    struct group_bucket **buckets;
    size_t n_buckets;
    struct group_counters *counters;
    UT_hash_handle hh;
};

struct group_table {
    struct group *by_id;  /* uthash */
    uint64_t changed;     /* the generation of the last change that packets may notice */
    unsigned int n_watch; /* buckets that watch a port */
};

void group_table_init(struct bridge *br);
void group_table_done(struct bridge *br);
struct group *group_find(const struct bridge *br, uint32_t id);
struct group *group_ref(struct group *g);
void group_unref(struct group *g);
/* Flows and buckets that name the group. */
unsigned int group_ref_count(const struct bridge *br, uint32_t id);

/* Applies GM, whose group it takes apart (free it nevertheless). 0, OFERR_GROUP_*, or OFERR_ACTION_*; nothing has
 * changed on failure. */
int group_mod_apply(struct bridge *br, struct of_group_mod *gm, int64_t now);
/* The same as part of TXN; flow_txn_commit() and flow_txn_abort() care for the groups too. */
int flow_txn_apply_group(struct flow_txn *txn, struct of_group_mod *gm);
/* Every group goes, and the flows that name one: quietly, when the controller of a bridge changes. */
void group_table_flush(struct bridge *br);

/* Is the bucket one that a select or failover group may choose now? (OpenFlow 1.3, 5.6.1) */
bool group_bucket_is_live(const struct bridge *br, const struct group_bucket *b);
/* PORT went up or down, came or left. */
void group_table_port_changed(struct bridge *br);
/* Calls FN for each group (or the one of that ID), in the order of their numbers. */
void group_table_for_each(struct bridge *br, uint32_t id, void (*fn)(void *aux, const struct group *g), void *aux);

#endif
