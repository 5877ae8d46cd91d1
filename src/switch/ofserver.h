/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_OFSERVER_H
#define WARREN_SWITCH_OFSERVER_H
/*
 * The OpenFlow server of one bridge: any number of connections on RUNDIR/BRIDGE.mgmt, connections that it makes to
 * controllers and takes from listeners as the configurator says, all speaking the versions of bridge->of_versions.
 * Turns messages into calls of flow_table.h and bridge.h, and events of the bridge (it sets the bridge's hooks) into
 * packet_in, flow_removed and port_status for whoever asked for them.
 *
 * ofserver.c has the connections, ofserver_handle.c the requests, ofserver_multipart.c statistics, ofserver_bundle.c
 * bundles, ofserver_async.c the messages that nobody asked for. OpenFlow 1.3 for now; groups, meters and queues are
 * refused with the errors that the standard names.
 */
#include "switch/bridge.h"

struct ofserver;

/* Serves BR on RUNDIR/BR.mgmt at once. 0 or a negative errno of the socket. Destroy before the bridge. */
int ofserver_create(struct bridge *br, const char *rundir, struct ofserver **ret);
void ofserver_destroy(struct ofserver *s); /* NULL is fine */

/* A Controller row. */
struct ofserver_target {
    const char
        *target; /* "tcp:IP:PORT", "unix:PATH", "ssl:..." to connect to; "ptcp:PORT:IP", "punix:PATH" to listen on */
    int64_t probe_ms;       /* inactivity probe, 0: none */
    int64_t max_backoff_ms; /* 0: 8000 */
    int64_t rate_limit;     /* controller_rate_limit: packet_ins a second, 0: no limit */
    int64_t burst_limit;    /* controller_burst_limit; 0: a quarter of rate_limit */
    bool no_async;          /* enable_async_messages=false */
};

/* Makes the set of controllers and listeners that of TARGETS (copied): those that stay keep their connections. A
 * malformed target, or a listener that cannot be opened, gets its text in ofserver_status and does not stop the others.
 */
void ofserver_set_targets(struct ofserver *s, const struct ofserver_target *targets, size_t n);

struct ofserver_status {
    bool is_connected;
    const char *role;        /* "other", "master", "slave"; NULL: not connected */
    const char *state;       /* "VOID", "BACKOFF", "CONNECTING", "ACTIVE", "IDLE" (probed, or a listener by itself) */
    const char *last_error;  /* or NULL */
    int64_t connected_ms;    /* time_mono_ms() when it was connected last, 0: never */
    int64_t disconnected_ms; /* likewise, when that ended last */
};
/* Of the target with that text. -ENOENT. Strings live until the next call of this module. */
int ofserver_get_status(const struct ofserver *s, const char *target, struct ofserver_status *ret);
/* bridge->of_versions or datapath_id changed: every connection starts anew. */
void ofserver_reconnect(struct ofserver *s);
/* Is any controller (not a management or listener connection) connected? Decides about fail_mode. */
bool ofserver_has_controller(const struct ofserver *s);

#endif
