/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controllers and listeners of a bridge: the rows of the Controller table at work. An active one (tcp:, ssl:, unix:)
 * connects, and tries again by the rules of base/reconnect.h when that fails or ends; a passive one takes any number of
 * connections. Once the HELLO exchange is over a connection is ofserver.c's; its probes are openflow/conn.h's.
 */
#include "switch/ofserver_private.h"

#include <utlist.h>

#include "base/log.h"

LOG_MODULE("ofserver");

#define OPENFLOW_PORT 6653

static void target_run(struct target *t);

static void set_last_error(struct target *t, const char *text)
{
    free(t->last_error);
    t->last_error = xstrdup(text);
}

void target_lost(struct target *t, int error)
{
    if (error) {
        set_last_error(t, error == -EPROTO ? "Protocol error" : strerror(-error));
    }
    if (reconnect_is_connected(&t->reconnect)) {
        t->disconnected_ms = time_mono_ms();
    }
    reconnect_failed(&t->reconnect, time_mono_ms());
    target_run(t);
}

static void on_accept_target(struct stream *stream, void *arg)
{
    struct target *t = arg;

    ofconn_new(t->server, stream, t);
}

static void on_stream_connected(struct stream *stream WR_UNUSED, void *arg)
{
    struct target *t = arg;

    t->connected_ms = time_mono_ms();
    reconnect_connected(&t->reconnect, t->connected_ms);
    t->conn = ofconn_new(t->server, TAKE_PTR(t->stream), t);
    if (!t->conn) {
        target_lost(t, -EIO);
        return;
    }
    target_run(t);
}

static void on_stream_readable(struct stream *stream WR_UNUSED, struct evbuffer *in WR_UNUSED, void *arg WR_UNUSED)
{
    /* Nothing comes before `connected`; afterwards the of_conn reads. */
}

static void on_stream_closed(struct stream *stream WR_UNUSED, int error, void *arg)
{
    struct target *t = arg;

    stream_destroy(TAKE_PTR(t->stream));
    target_lost(t, error ? error : -ECONNRESET);
}

static void target_connect(struct target *t)
{
    static const struct stream_callbacks cb = {
        .connected = on_stream_connected,
        .readable = on_stream_readable,
        .closed = on_stream_closed,
    };
    int error = stream_connect(t->server->base, &t->remote, &cb, t, &t->stream);

    if (error) {
        set_last_error(t, strerror(-error));
        reconnect_failed(&t->reconnect, time_mono_ms());
    } else {
        reconnect_connecting(&t->reconnect, time_mono_ms());
    }
}

static void target_run(struct target *t)
{
    enum reconnect_action action;

    while ((action = reconnect_run(&t->reconnect, time_mono_ms())) != RECONNECT_NOTHING) {
        if (action == RECONNECT_CONNECT) {
            target_connect(t);
        } else if (action == RECONNECT_DISCONNECT) {
            stream_destroy(TAKE_PTR(t->stream));
            target_lost(t, -ETIMEDOUT);
            return;
        }
    }
    int64_t deadline = reconnect_deadline(&t->reconnect);
    event_del(t->timer);
    if (deadline != RECONNECT_NEVER) {
        int64_t wait = MAX(deadline - time_mono_ms(), 1);

        event_add(t->timer, &(struct timeval){.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000});
    }
}

static void on_target_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    target_run(arg);
}

static void target_drop_conns(struct target *t)
{
    struct ofconn *c, *next;

    DL_FOREACH_SAFE(t->server->conns, c, next) {
        if (c->target == t) {
            ofconn_free(c);
        }
    }
}

void target_free(struct target *t)
{
    target_drop_conns(t);
    ofserver_snoopers_free(t->server, t);
    stream_listener_destroy(t->listener);
    stream_destroy(t->stream);
    if (t->timer) {
        event_free(t->timer);
    }
    free(t->text);
    free(t->last_error);
    free(t);
}

/* What a row says beside its target; takes effect on connections that are there. */
static void target_set_options(struct target *t, const struct ofserver_target *o)
{
    struct ofconn *c;

    if (t->probe_ms != o->probe_ms) {
        t->probe_ms = o->probe_ms;
        DL_FOREACH(t->server->conns, c) {
            if (c->target == t) {
                of_conn_set_probe(c->conn, t->probe_ms);
            }
        }
    }
    t->no_async = o->no_async;
    t->rate_limit = MAX(0, MIN(o->rate_limit, UINT32_MAX));
    t->burst_limit = o->burst_limit > 0 ? MIN(o->burst_limit, UINT32_MAX) : MAX(t->rate_limit / 4, 1);
    t->reconnect.max_backoff_ms = MAX(o->max_backoff_ms ? o->max_backoff_ms : RECONNECT_MAX_BACKOFF_MS, 1000);
    t->reconnect.backoff_ms = MIN(t->reconnect.backoff_ms, t->reconnect.max_backoff_ms);
}

static struct target *target_new(struct ofserver *s, const struct ofserver_target *wanted)
{
    struct target *t = xcalloc(1, sizeof *t);

    *t = (struct target){.server = s, .text = xstrdup(wanted->target), .probe_ms = wanted->probe_ms};
    reconnect_init(&t->reconnect, time_mono_ms(), 0);
    if (remote_parse(wanted->target, OPENFLOW_PORT, &t->remote, &t->last_error)) {
        t->bad = true;
        log_warn("%s: controller: %s", s->bridge->name, t->last_error);
    } else if (t->remote.passive) {
        int error = stream_listen(s->base, &t->remote, on_accept_target, t, &t->listener);

        if (error) {
            t->bad = true;
            set_last_error(t, strerror(-error));
            log_warn("%s: listening on %s: %s", s->bridge->name, t->text, t->last_error);
        }
    } else {
        t->timer = event_new(s->base, -1, 0, on_target_timer, t);
        if (t->timer) {
            event_active(t->timer, EV_TIMEOUT, 0);
        }
    }
    return t;
}

static struct target *target_find(const struct ofserver *s, const char *text)
{
    struct target *t;

    DL_FOREACH(s->targets, t) {
        if (!strcmp(t->text, text)) {
            return t;
        }
    }
    return NULL;
}

void ofserver_set_targets(struct ofserver *s, const struct ofserver_target *targets, size_t n)
{
    struct target *t, *next;

    for (size_t i = 0; i < n; i++) {
        t = target_find(s, targets[i].target);
        /* A listener that could not be opened is tried again whenever the database changes. */
        if (t && t->bad && !t->keep) {
            DL_DELETE(s->targets, t);
            target_free(t);
            t = NULL;
        }
        if (!t) {
            t = target_new(s, &targets[i]);
            DL_APPEND(s->targets, t);
        }
        target_set_options(t, &targets[i]);
        t->keep = true;
    }
    DL_FOREACH_SAFE(s->targets, t, next) {
        if (!t->keep) {
            DL_DELETE(s->targets, t);
            target_free(t);
        } else {
            t->keep = false;
        }
    }
    ofserver_update_misses(s);
}

void target_restart(struct target *t)
{
    if (t->timer) {
        stream_destroy(TAKE_PTR(t->stream));
        reconnect_force(&t->reconnect, time_mono_ms());
        event_active(t->timer, EV_TIMEOUT, 0);
    }
}

static const char *state_name(const struct target *t, const struct ofconn *conn)
{
    static const char *const states[] = {
        [RECONNECT_BACKOFF] = "BACKOFF",
        [RECONNECT_CONNECTING] = "CONNECTING",
        [RECONNECT_ACTIVE] = "ACTIVE",
        [RECONNECT_PROBING] = "IDLE",
    };

    if (t->bad) {
        return "VOID";
    }
    if (t->remote.passive) {
        return conn ? "ACTIVE" : "IDLE";
    }
    if (reconnect_is_connected(&t->reconnect) && conn) {
        return !ofconn_version(conn) ? "CONNECTING" : of_conn_is_probing(conn->conn) ? "IDLE" : "ACTIVE";
    }
    return states[t->reconnect.state];
}

int ofserver_get_status(const struct ofserver *s, const char *target, struct ofserver_status *ret)
{
    static const char *const roles[] = {"other", "other", "master", "slave"};
    const struct target *t = target_find(s, target);
    const struct ofconn *c, *conn = NULL;

    if (!t) {
        return -ENOENT;
    }
    DL_FOREACH(s->conns, c) {
        if (c->target == t) {
            conn = c;
        }
    }
    bool connected = conn && ofconn_version(conn);
    *ret = (struct ofserver_status){
        .is_connected = connected,
        .role = connected ? roles[conn->role] : NULL,
        .state = state_name(t, conn),
        .last_error = t->last_error,
        .connected_ms = t->connected_ms,
        .disconnected_ms = t->disconnected_ms,
    };
    return 0;
}

bool ofserver_has_controller(const struct ofserver *s)
{
    const struct ofconn *c;

    DL_FOREACH(s->conns, c) {
        if (ofconn_is_controller(c) && ofconn_version(c)) {
            return true;
        }
    }
    return false;
}
