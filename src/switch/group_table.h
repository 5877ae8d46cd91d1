/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_GROUP_TABLE_H
#define WARREN_SWITCH_GROUP_TABLE_H
/*
 * The groups of a bridge: changes as group_mod asks, alone or in a transaction with flows, liveness of buckets, and
 * counters. translate_group.c runs them.
 *
 * Flows and other groups name a group by its number, so a changed group is another `struct group` in the old one's
 * place, and a transaction is undone by putting the old ones back. What outlives a change is shared by both and counted
 * by references: the group's own counters, and the buckets that stayed (OpenFlow 1.3, 6.7: a modified group's counters
 * go on, its new buckets' begin). Megaflows hold the group that they were translated with, so their last counters go
 * where they belong.
 *
 * Invariants: groups never form a loop; no flow names a group that is not there (they go with it). A bucket may name a
 * group that is still to come, since clients restore groups in any order; one that another group forwards to cannot be
 * deleted alone.
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
    uint64_t mark; /* of the search that last came by, and what it found */
    bool live;
    UT_hash_handle hh;
};

struct group_table {
    struct group *by_id; /* uthash */
    uint64_t changed;    /* the generation of the last change that packets may notice */
    uint64_t mark;       /* of the last search */
    size_t n_watching;   /* buckets that watch a port */
};

void group_table_init(struct bridge *br);
void group_table_done(struct bridge *br);
struct group *group_find(const struct bridge *br, uint32_t id);
struct group *group_ref(struct group *g);
void group_unref(struct group *g);
struct group_bucket *group_bucket_ref(struct group_bucket *b);
void group_bucket_unref(struct group_bucket *b);
/* Flows and buckets that name the group. */
unsigned int group_ref_count(const struct bridge *br, uint32_t id);
/* What a description tells. Everything is borrowed from G but the array of buckets, which is the caller's to free(). */
void group_describe(const struct group *g, struct of_group *ret);

/* Applies GM, whose buckets it takes (the caller frees the rest). 0, OFERR_GROUP_* or OFERR_ACTION_*; nothing has
 * changed on failure. */
int group_mod_apply(struct bridge *br, struct of_group_mod *gm, int64_t now);
/* The same of a GM that a process before us has taken: a bucket's meter may have gone since. */
int group_restore(struct bridge *br, struct of_group_mod *gm, int64_t now);
/* A group_mod as part of TXN, whose commit and abort care for the groups too. */
int flow_txn_apply_group(struct flow_txn *txn, struct of_group_mod *gm);
/* What the group counted before a restart. -ENOENT: there is none of that ID; -EINVAL: it has not so many buckets. */
int group_set_history(struct bridge *br, uint32_t id, const struct count_history *history);
/* Every group goes, no flow is looked at: for when all flows have gone. */
void group_table_flush(struct bridge *br);

/* May a select or failover group choose the bucket now? It may when it watches nothing, a port that is up, or a group
 * with such a bucket. */
bool group_bucket_is_live(const struct bridge *br, const struct group_bucket *b);
/* A port of BR went up or down. */
void group_table_port_changed(struct bridge *br);
/* Calls FN for each group (or the one of that ID), in the order of their numbers. */
void group_table_for_each(struct bridge *br, uint32_t id, void (*fn)(void *aux, const struct group *g), void *aux);

#endif
