/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/ofserver_private.h"

#include <stdio.h>
#include <utlist.h>

#include "base/log.h"

LOG_MODULE("ofserver");

#define SUPPORTED_VERSIONS                                                                                             \
    ((1u << OF_VERSION_10) | (1u << OF_VERSION_13) | (1u << OF_VERSION_14) | (1u << OF_VERSION_15))
#define MISS_SEND_LEN_DEFAULT 128

/* ---- connections ---- */

void ofconn_send(struct ofconn *c, struct writer *w)
{
    int error = of_conn_send(c->conn, w);

    if (error && error != -ENOTCONN) {
        log_limited(LOG_LEVEL_WARN, "%s: %s: a message could not be sent: %s", c->server->bridge->name,
                    of_conn_name(c->conn), strerror(-error));
    }
}

void ofconn_free(struct ofconn *c)
{
    DL_DELETE(c->server->conns, c);
    if (c->target && c->target->conn == c) {
        c->target->conn = NULL;
    }
    ofconn_bundles_free(c);
    ofconn_monitors_free(c);
    writer_done(&c->parts);
    of_conn_destroy(c->conn);
    free(c);
}

static void on_closed(struct of_conn *conn, int error, void *arg)
{
    struct ofconn *c = arg;
    struct target *t = c->target;

    if (error && error != -ECONNRESET && error != -EPIPE) {
        log_limited(LOG_LEVEL_INFO, "%s: %s: connection ended: %s", c->server->bridge->name, of_conn_name(conn),
                    strerror(-error));
    }
    bool controller = ofconn_is_controller(c);
    struct ofserver *server = c->server;
    ofconn_free(c);
    ofserver_update_misses(server);
    if (controller) {
        target_lost(t, error);
    }
}

static void on_message(struct of_conn *conn WR_UNUSED, const struct of_header *h, const uint8_t *msg, void *arg)
{
    struct ofconn *c = arg;

    if (ofconn_is_controller(c)) {
        reconnect_activity(&c->target->reconnect, time_mono_ms());
    }
    ofconn_handle(c, h, msg);
}

static void on_established(struct of_conn *conn WR_UNUSED, uint8_t version WR_UNUSED, void *arg)
{
    struct ofconn *c = arg;

    ofconn_async_defaults(c);
    ofserver_update_misses(c->server);
}

static void on_traffic(struct of_conn *conn WR_UNUSED, bool sent WR_UNUSED, const void *data, size_t len, void *arg)
{
    const struct ofconn *c = arg;

    if (c->server->snoopers && ofconn_is_controller(c)) {
        ofserver_snoop(c->server, c->target, data, len);
    }
}

uint32_t ofserver_versions(const struct ofserver *s)
{
    uint32_t wanted = s->bridge->of_versions;

    return wanted ? wanted & SUPPORTED_VERSIONS : SUPPORTED_VERSIONS;
}

struct ofconn *ofconn_new(struct ofserver *s, struct stream *stream, struct target *t)
{
    static const struct of_conn_callbacks cb = {
        .established = on_established, .message = on_message, .closed = on_closed, .tap = on_traffic};
    struct ofconn *c = xcalloc(1, sizeof *c);
    int64_t probe_ms = t ? t->probe_ms : 0;

    *c = (struct ofconn){.server = s, .target = t, .role = OF_ROLE_EQUAL};
    c->miss_send_len = ofconn_is_controller(c) ? MISS_SEND_LEN_DEFAULT : 0;
    int error = of_conn_new(s->base, stream, ofserver_versions(s), probe_ms, &cb, c, &c->conn);
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

/* ---- life ---- */

void ofserver_reconnect(struct ofserver *s)
{
    struct ofconn *c, *next;
    struct target *t;

    DL_FOREACH_SAFE(s->conns, c, next) {
        ofconn_free(c);
    }
    DL_FOREACH(s->targets, t) {
        target_restart(t);
    }
    ofserver_update_misses(s);
}

void ofserver_after_changes(struct ofserver *s)
{
    struct ofconn *c;

    ofserver_check_vacancy(s);
    DL_FOREACH(s->conns, c) {
        ofconn_monitors_run(c);
    }
}

static void on_flush(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    ofserver_after_changes(arg);
}

/* Once a second. */
static void on_tick(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct ofserver *s = arg;
    int64_t now = time_mono_ms();
    struct ofconn *c;

    DL_FOREACH(s->conns, c) {
        ofconn_bundles_expire(c, now);
    }
    ofserver_after_changes(s);
}

int ofserver_create(struct bridge *br, const char *rundir, struct ofserver **ret)
{
    struct ofserver *s = xcalloc(1, sizeof *s);
    _cleanup_free_ char *mgmt = xasprintf("punix:%s/%s.mgmt", rundir, br->name);
    _cleanup_free_ char *snoop = xasprintf("punix:%s/%s.snoop", rundir, br->name);

    *s = (struct ofserver){.bridge = br, .base = br->sw->base, .rundir = xstrdup(rundir)};
    int error = stream_listen_text(s->base, mgmt, 0, on_accept_mgmt, s, &s->mgmt);
    if (error) {
        goto err_free;
    }
    error = stream_listen_text(s->base, snoop, 0, ofserver_accept_snooper, s, &s->snoop);
    if (error) {
        goto err_mgmt;
    }
    s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
    s->flush = event_new(s->base, -1, 0, on_flush, s);
    if (!s->tick || !s->flush || event_add(s->tick, &(struct timeval){.tv_sec = 1})) {
        error = -ENOMEM;
        goto err_snoop;
    }
    br->server = s;
    ofserver_hook_bridge(s);
    *ret = s;
    return 0;

err_snoop:
    if (s->tick) {
        event_free(s->tick);
    }
    if (s->flush) {
        event_free(s->flush);
    }
    stream_listener_destroy(s->snoop);
err_mgmt:
    stream_listener_destroy(s->mgmt);
err_free:
    free(s->rundir);
    free(s);
    return error;
}

void ofserver_destroy(struct ofserver *s)
{
    struct ofconn *c, *next_conn;
    struct target *t, *next_target;

    if (!s) {
        return;
    }
    event_free(s->tick);
    event_free(s->flush);
    bridge_set_hooks(s->bridge, NULL);
    s->bridge->server = NULL;
    stream_listener_destroy(s->mgmt);
    stream_listener_destroy(s->snoop);
    ofserver_snoopers_free(s, NULL);
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
