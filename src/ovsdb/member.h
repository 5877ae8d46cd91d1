/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_MEMBER_H
#define WARREN_OVSDB_MEMBER_H
/*
 * Inside ovsdb only: is the server that we are connected to one to work with? A member of a cluster (ovsdb(7)) that is
 * cut off from the others shows what it last knew and carries out nothing; one that lags shows less than we have seen
 * elsewhere. What it says of itself is in its database _Server (ovsdb-server(7)), which servers before OVS 2.9 do not
 * have: of those nothing is known, as of those without a cluster.
 *
 * How far a member is, is asked for, and not monitored: its index grows with each transaction, and whoever monitors it
 * is told of each, also of what is none of his business.
 */
#include <jansson.h>

#include "base/util.h"
#include "base/uuid.h"

struct member {
    bool in_cluster;                /* the last server that said how far it is was one of a cluster: */
    char cluster[UUID_STR_LEN + 1]; /* … this */
    int64_t index;                  /* of the newest that we may have seen of it */
    int64_t lags_since;             /* no member that does not lag was found since; 0: there is no lag */
};

/* The parameters of the "monitor" and of the "transact" that ask. */
json_t *member_monitor(const char *monitor_id);
json_t *member_ask_index(const char *database);

/* TABLES: a monitor's reply or update. Is it cut off? */
bool member_is_cut_off(const json_t *tables, const char *database);
/* RESULT: the reply to member_ask_index(). True if the server lags behind what was seen before; else what it says is
 * kept as seen. If for a minute there is no other, the cluster was put back to an older state: that is taken then. */
bool member_lags(struct member *m, const json_t *result, int64_t now);

#endif
