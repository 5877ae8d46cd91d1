/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CONTROLLER_API_H
#define WARREN_CONTROLLER_API_H
/*
 * The OpenStack Networking API v2.0: one `call` is one request on its way to its reply. http.c makes calls from HTTP
 * requests; api.c finds the resource and the operation; the resources (networks.c, subnets.c, ports.c, agents.c) check
 * what was asked and write one transaction; call.c commits it, tries again after a conflict with another writer, and
 * answers. Nothing here blocks.
 *
 * An operation is an *attempt*: it reads the replica, builds the transaction and commits it, and may be called again,
 * with the replica newer, when the database refused: because a random choice (VNI, MAC, address) was just taken, or a
 * row changed in between. Only what the client itself asked for ends in 409.
 */
#include <jansson.h>

#include "controller/allocation.h"
#include "controller/attributes.h"
#include "controller/store.h"

struct api_options {
    struct vni_ranges vni_ranges;
    unsigned int physnet_mtu;
    int overlay_ip_version; /* 4 or 6: what the tunnels' outer headers cost */
};

struct api {
    struct store *store;
    struct api_options options;
    struct {
        uint64_t replies[6]; /* by hundreds of the status */
        uint64_t retries;    /* transactions that were tried again */
    } stats;
};

struct call;

struct resource {
    const char *collection, *singular; /* "networks", "network" */
    const char *label;                 /* "Network": as messages call it, and the front of NetworkNotFound */
    enum store_index by_id;
    const char *table;
    const struct attribute *attributes;
    size_t n_attributes;
    bool tags;
    /* The row as the API shows it, a new reference. */
    json_t *(*show)(const struct api *api, const struct ovsdb_row *row);
    /* Attempts; NULL: not allowed. `create` is for all of call->items at once. */
    void (*create)(struct call *c);
    void (*update)(struct call *c, const struct ovsdb_row *row);
    void (*remove)(struct call *c, const struct ovsdb_row *row);
    /* The database refused with ERROR: answers and returns true if trying again is no use. May be NULL. */
    bool (*refused)(struct call *c, const char *error);
};

extern const struct resource resource_networks, resource_subnets, resource_ports, resource_agents;
extern const struct resource *const resources[4];

struct call {
    struct api *api;
    /* The request; http.c's. */
    const char *method, *path, *host;
    json_t *query; /* parameter → array of strings, in order */
    const char *body;
    size_t body_len;
    /* Once the reply is there. From within api_handle(), or later from the event loop. */
    void (*answered)(struct call *c, void *arg);
    void *arg;

    /* The reply. */
    int status; /* 0: not yet */
    const char *content_type, *allow;
    char *text; /* NULL for none; taken over by http.c or freed by call_done() */
    size_t text_len;

    /* Underway. */
    char *segments[5]; /* of the path, after /v2.0 */
    size_t n_segments;
    const struct resource *resource;
    void (*attempt)(struct call *c);
    json_t *items; /* checked objects of the request */
    bool bulk;
    json_t *chosen; /* what this attempt has given out already: keys of a set */
    int tries;
    int64_t now; /* wall clock, seconds */
};

/* Handles a call whose request part is filled in. */
void api_handle(struct call *c);
/* Frees what a call that was answered holds, not the call. */
void call_done(struct call *c);

/* ---- for the operations (call.c) ---- */

/* Answers. JSON is taken over, NULL for no body. */
void call_reply(struct call *c, int status, json_t *json);
void call_reply_text(struct call *c, int status, const char *content_type, const char *text);
/* Answers with a NeutronError. */
void call_error(struct call *c, int status, const char *type, const char *fmt, ...) WR_PRINTF(4, 5);
void call_not_found(struct call *c, const char *label, const char *id);
void call_not_allowed(struct call *c, const char *allow);
/* The body as {KEY: …}; NULL after having answered. */
json_t *call_body(struct call *c);
/* Starts ATTEMPT, and again after each conflict. */
void call_start(struct call *c, void (*attempt)(struct call *c));
/* Sends the attempt's transaction and gives it up. When it is in, call->resource shows the result. */
void call_commit(struct call *c, struct ovsdb_txn *txn);
/* Notes KEY as given out by this attempt; false if it was already. */
bool call_choose(struct call *c, const char *key);
/* A row's update, only if nobody changed it since the replica saw it; revision and updated_at are set. */
json_t *call_update_row(struct call *c, struct ovsdb_txn *txn, const char *table, const struct ovsdb_row *row);
/* The columns that all resources have: id, name, project_id, description, created_at, updated_at, revision. */
void call_set_common(struct call *c, json_t *values, const json_t *item, int64_t revision);

/* ---- query.c: GET of collections and rows ---- */

void query_list(struct call *c);
void query_show(struct call *c, const struct ovsdb_row *row);
/* OBJECT with only the fields that the query asks for, taken over. */
json_t *query_fields(const struct call *c, json_t *object);

/* ---- what is no resource ---- */

void tags_handle(struct call *c, const struct ovsdb_row *row);
void discovery_versions(struct call *c);
void discovery_resources(struct call *c);
void discovery_extensions(struct call *c);
void discovery_quotas(struct call *c);
void health_check(struct call *c);
void health_metrics(struct call *c);

/* ---- showing rows ---- */

/* Adds the columns that all resources show, from name to revision_number. */
void show_common(json_t *object, const struct ovsdb_row *row);
json_t *show_set(const struct ovsdb_row *row, const char *column);
/* A string column, null where empty. */
json_t *show_optional(const struct ovsdb_row *row, const char *column);
/* Copies between checked objects and rows under construction: strings and booleans of the same name, where ITEM has
 * them. */
void set_strings(json_t *values, const json_t *item, const char *const *names, size_t n);
void set_bools(json_t *values, const json_t *item, const char *const *names, size_t n);
/* A set column from a list of strings, where ITEM has it. */
void set_list(json_t *values, const char *column, const json_t *list);

#endif
