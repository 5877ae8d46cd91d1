/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/ofserver_private.h"

#include <stdio.h>
#include <utlist.h>

#include "base/log.h"

LOG_MODULE("ofserver");

#define OPENFLOW_PORT 6653
#define SUPPORTED_VERSIONS (1u << OF_VERSION_13)
#define MISS_SEND_LEN_DEFAULT 128

static void target_run(struct target *t);

/* ---- connections ---- */

void ofconn_send(struct ofconn *c, struct writer *w)
{
    int error = of_conn_send(c->conn, w);

    if (error && error != -ENOTCONN) {
        log_limited(LOG_LEVEL_WARN, "%s: %s: a message could not be sent: %s", c->server->bridge->name,
                    of_conn_name(c->conn), strerror(-error));
    }
}

static void ofconn_free(struct ofconn *c)
{
    DL_DELETE(c->server->conns, c);
    if (c->target && c->target->conn == c) {
        c->target->conn = NULL;
    }
    ofconn_bundles_free(c);
    of_conn_destroy(c->conn);
    free(c);
}

static void target_failed(struct target *t, int error)
{
    if (error) {
        free(t->last_error);
        t->last_error = xstrdup(strerror(-error));
    }
    t->since_ms = time_mono_ms();
    reconnect_failed(&t->reconnect, t->since_ms);
    target_run(t);
}

static void on_closed(struct of_conn *conn, int error, void *arg)
{
    struct ofconn *c = arg;
    struct target *t = c->target;

    if (error && error != -ECONNRESET && error != -EPIPE) {
        log_limited(LOG_LEVEL_INFO, "%s: %s: connection ended: %s", c->server->bridge->name, of_conn_name(conn),
                    strerror(-error));
    }
    ofconn_free(c);
    if (t && !t->remote.passive) {
        target_failed(t, error);
    }
}

static void on_message(struct of_conn *conn WR_UNUSED, const struct of_header *h, const uint8_t *msg, void *arg)
{
    struct ofconn *c = arg;

    if (c->target && !c->target->remote.passive) {
        reconnect_activity(&c->target->reconnect, time_mono_ms());
    }
    ofconn_handle(c, h, msg);
}

static uint32_t versions_of(const struct bridge *br)
{
    return br->of_versions ? br->of_versions & SUPPORTED_VERSIONS : SUPPORTED_VERSIONS;
}

/* Takes STREAM over. NULL (logged) when the connection cannot be served. */
static struct ofconn *ofconn_new(struct ofserver *s, struct stream *stream, struct target *t)
{
    static const struct of_conn_callbacks cb = {.message = on_message, .closed = on_closed};
    struct ofconn *c = xcalloc(1, sizeof *c);
    int64_t probe_ms = t ? t->probe_ms : 0;

    *c = (struct ofconn){.server = s, .target = t, .role = OF_ROLE_EQUAL};
    c->miss_send_len = t && !t->remote.passive ? MISS_SEND_LEN_DEFAULT : 0;
    ofconn_async_defaults(c);
    int error = of_conn_new(s->base, stream, versions_of(s->bridge), probe_ms, &cb, c, &c->conn);
    if (error) {
        log_limited(LOG_LEVEL_WARN, "%s: an OpenFlow connection could not be served: %s", s->bridge->name,
                    strerror(-error));
        free(c);
        return NULL;
    }
    DL_APPEND(s->conns, c);
    return c;
}

static void on_accept_mgmt(struct stream *stream, void *arg)
{
    ofconn_new(arg, stream, NULL);
}

static void on_accept_target(struct stream *stream, void *arg)
{
    struct target *t = arg;

    ofconn_new(t->server, stream, t);
}

/* ---- controllers and listeners ---- */

static void on_stream_connected(struct stream *stream WR_UNUSED, void *arg)
{
    struct target *t = arg;

    t->since_ms = time_mono_ms();
    reconnect_connected(&t->reconnect, t->since_ms);
    t->conn = ofconn_new(t->server, TAKE_PTR(t->stream), t);
    if (!t->conn) {
        target_failed(t, -EIO);
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
    target_failed(t, error ? error : -ECONNRESET);
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
        free(t->last_error);
        t->last_error = xstrdup(strerror(-error));
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
            target_failed(t, -ETIMEDOUT);
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

static void target_free(struct target *t)
{
    target_drop_conns(t);
    stream_listener_destroy(t->listener);
    stream_destroy(t->stream);
    if (t->timer) {
        event_free(t->timer);
    }
    free(t->text);
    free(t->last_error);
    free(t);
}

static struct target *target_new(struct ofserver *s, const struct ofserver_target *wanted)
{
    struct target *t = xcalloc(1, sizeof *t);

    *t = (struct target){
        .server = s, .text = xstrdup(wanted->target), .probe_ms = wanted->probe_ms, .no_async = wanted->no_async};
    if (remote_parse(wanted->target, OPENFLOW_PORT, &t->remote, &t->last_error)) {
        t->bad = true;
        log_warn("%s: controller: %s", s->bridge->name, t->last_error);
    } else if (t->remote.passive) {
        int error = stream_listen(s->base, &t->remote, on_accept_target, t, &t->listener);

        if (error) {
            t->bad = true;
            t->last_error = xstrdup(strerror(-error));
            log_warn("%s: listening on %s: %s", s->bridge->name, t->text, t->last_error);
        }
    } else {
        reconnect_init(&t->reconnect, time_mono_ms(), 0);
        if (wanted->max_backoff_ms) {
            t->reconnect.max_backoff_ms = wanted->max_backoff_ms;
        }
        t->timer = event_new(s->base, -1, 0, on_target_timer, t);
        if (t->timer) {
            event_active(t->timer, EV_TIMEOUT, 0);
        }
    }
    return t;
}

void ofserver_set_targets(struct ofserver *s, const struct ofserver_target *targets, size_t n)
{
    struct target *t, *next, *fresh = NULL;

    for (size_t i = 0; i < n; i++) {
        struct target *found = NULL;

        DL_FOREACH(s->targets, t) {
            if (!strcmp(t->text, targets[i].target) && t->probe_ms == targets[i].probe_ms &&
                t->no_async == targets[i].no_async) {
                found = t;
            }
        }
        if (found) {
            found->keep = true;
        } else {
            t = target_new(s, &targets[i]);
            t->keep = true;
            DL_APPEND(fresh, t);
        }
    }
    DL_FOREACH_SAFE(s->targets, t, next) {
        if (!t->keep) {
            DL_DELETE(s->targets, t);
            target_free(t);
        }
    }
    DL_CONCAT(s->targets, fresh);
    DL_FOREACH(s->targets, t) {
        t->keep = false;
    }
}

int ofserver_get_status(const struct ofserver *s, const char *target, struct ofserver_status *ret)
{
    static const char *const roles[] = {"other", "other", "master", "slave"};
    static const char *const states[] = {
        [RECONNECT_BACKOFF] = "BACKOFF",
        [RECONNECT_CONNECTING] = "CONNECTING",
        [RECONNECT_ACTIVE] = "ACTIVE",
        [RECONNECT_PROBING] = "IDLE",
    };
    const struct target *t;

    DL_FOREACH(s->targets, t) {
        if (strcmp(t->text, target)) {
            continue;
        }
        const struct ofconn *c, *conn = NULL;
        DL_FOREACH(s->conns, c) {
            if (c->target == t) {
                conn = c;
            }
        }
        *ret = (struct ofserver_status){
            .is_connected = conn != NULL,
            .role = conn ? roles[conn->role] : NULL,
            .state = t->remote.passive || t->bad ? "IDLE" : states[t->reconnect.state],
            .last_error = t->last_error,
            .since_ms = t->since_ms,
        };
        return 0;
    }
    return -ENOENT;
}

void ofserver_reconnect(struct ofserver *s)
{
    struct ofconn *c, *next;

    DL_FOREACH_SAFE(s->conns, c, next) {
        struct target *t = c->target;

        ofconn_free(c);
        if (t && !t->remote.passive) {
            reconnect_init(&t->reconnect, time_mono_ms(), 0);
            event_active(t->timer, EV_TIMEOUT, 0);
        }
    }
}

bool ofserver_has_controller(const struct ofserver *s)
{
    const struct ofconn *c;

    DL_FOREACH(s->conns, c) {
        if (c->target && !c->target->remote.passive && ofconn_version(c)) {
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

int ofserver_create(struct bridge *br, const char *rundir, struct ofserver **ret)
{
    struct ofserver *s = xcalloc(1, sizeof *s);
    _cleanup_free_ char *mgmt = xasprintf("punix:%s/%s.mgmt", rundir, br->name);

    *s = (struct ofserver){.bridge = br, .base = br->sw->base, .rundir = xstrdup(rundir)};
    int error = stream_listen_text(s->base, mgmt, 0, on_accept_mgmt, s, &s->mgmt);
    if (error) {
        free(s->rundir);
        free(s);
        return error;
    }
    br->server = s;
    ofserver_hook_bridge(s);
    *ret = s;
    return 0;
}

void ofserver_destroy(struct ofserver *s)
{
    struct ofconn *c, *next_conn;
    struct target *t, *next_target;

    if (!s) {
        return;
    }
    bridge_set_hooks(s->bridge, NULL);
    s->bridge->server = NULL;
    stream_listener_destroy(s->mgmt);
    DL_FOREACH_SAFE(s->conns, c, next_conn) {
        ofconn_free(c);
    }
    DL_FOREACH_SAFE(s->targets, t, next_target) {
        DL_DELETE(s->targets, t);
        target_free(t);
    }
    free(s->rundir);
    free(s);
}
