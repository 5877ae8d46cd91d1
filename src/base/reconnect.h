/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_RECONNECT_H
#define WARREN_BASE_RECONNECT_H
/*
 * When to connect, when to probe, when to give up a connection: a state machine with no clock and no I/O of its own.
 * The owner tells it what happened (`now` in ms of the monotonic clock), asks reconnect_run() what to do, and sleeps
 * until reconnect_deadline().
 *
 * The first try is at once. After a failure, or the end of a connection that stood shorter than the backoff, it waits
 * 1 s, then 2, 4, 8, 8, …; a connection that stood longer starts the sequence anew. A try that has not succeeded
 * within the larger of 1 s and the present backoff counts as failed. On an idle connection it asks for a probe after
 * `probe_ms`, and gives the connection up when as much time again brings nothing.
 */
#include "base/util.h"

#define RECONNECT_MIN_BACKOFF_MS 1000
#define RECONNECT_MAX_BACKOFF_MS 8000
#define RECONNECT_NEVER INT64_MAX

enum reconnect_state { RECONNECT_BACKOFF, RECONNECT_CONNECTING, RECONNECT_ACTIVE, RECONNECT_PROBING };

enum reconnect_action {
    RECONNECT_NOTHING,
    RECONNECT_CONNECT,    /* start a connection, then say reconnect_connecting() or reconnect_failed() */
    RECONNECT_PROBE,      /* send an echo request; the machine has noted it */
    RECONNECT_DISCONNECT, /* close the connection or the try, then say reconnect_failed() */
};

struct reconnect {
    enum reconnect_state state;
    int64_t since;      /* when `state` was entered */
    int64_t connected;  /* when the present connection was made */
    int64_t activity;   /* last input on it */
    int64_t backoff_ms; /* the wait before the next try */
    int64_t min_backoff_ms, max_backoff_ms;
    int64_t probe_ms; /* 0: no probes */
};

void reconnect_init(struct reconnect *r, int64_t now, int64_t probe_ms);
void reconnect_set_probe(struct reconnect *r, int64_t probe_ms);
/* Restarts the waiting sequence: the next try is due at once. For new remotes. */
void reconnect_force(struct reconnect *r, int64_t now);
void reconnect_connecting(struct reconnect *r, int64_t now);
void reconnect_connected(struct reconnect *r, int64_t now);
/* The peer was heard. */
void reconnect_activity(struct reconnect *r, int64_t now);
/* The try failed, or the connection ended. */
void reconnect_failed(struct reconnect *r, int64_t now);
enum reconnect_action reconnect_run(struct reconnect *r, int64_t now);
/* When reconnect_run() will next have something to say; RECONNECT_NEVER if only an event can change that. */
int64_t reconnect_deadline(const struct reconnect *r);
bool reconnect_is_connected(const struct reconnect *r);

#endif
