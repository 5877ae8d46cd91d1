/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_SESSION_H
#define WARREN_OVSDB_SESSION_H
/*
 * Inside ovsdb only: a JSON-RPC session that connects to one of several remotes, comes back after a loss, probes the
 * idle peer and answers the peer's probes. Messages are whole JSON objects; what they mean is client.c's.
 */
#include <jansson.h>

#include "base/util.h"

struct event_base;
struct session;

struct session_callbacks {
    void (*connected)(void *arg);
    void (*lost)(void *arg);                 /* only after `connected` */
    void (*message)(json_t *msg, void *arg); /* all but echo requests and echo replies; MSG is the session's */
};

int session_new(struct event_base *base, const char *remotes, const struct session_callbacks *cb, void *arg,
                struct session **ret, char **ret_error);
void session_destroy(struct session *s);
void session_start(struct session *s);
void session_set_probe(struct session *s, int64_t probe_ms);
/* Sends MSG, which is taken over; dropped when not connected. */
void session_send(struct session *s, json_t *msg);
/* Gives the connection up because of WHY and tries the next remote after the backoff. */
void session_restart(struct session *s, const char *why);
bool session_is_connected(const struct session *s);
const char *session_remote(const struct session *s);
const char *session_last_error(const struct session *s);

#endif
