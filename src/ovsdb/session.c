/* SPDX-License-Identifier: Apache-2.0 */
#include "ovsdb/session.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>

#include "base/log.h"
#include "base/reconnect.h"
#include "base/stream.h"
#include "ovsdb/client.h"
#include "ovsdb/splitter.h"

LOG_MODULE("ovsdb");

#define DEFAULT_PROBE_MS 5000
#define MESSAGE_LIMIT ((size_t)256 << 20) /* a monitor's first reply is the whole database */

struct endpoint {
    char *text;
    struct remote remote;
};

struct session {
    struct event_base *base;
    const struct session_callbacks *cb;
    void *arg;
    struct endpoint *endpoints;
    size_t n_endpoints, at;
    struct reconnect reconnect;
    struct event *timer;
    struct stream *stream;
    struct splitter splitter;
    char last_error[256];
    bool warned; /* of the present outage: said once, not at every try */
};

static void run(struct session *s);

static void schedule(struct session *s)
{
    int64_t deadline = reconnect_deadline(&s->reconnect);

    if (deadline == RECONNECT_NEVER) {
        event_del(s->timer);
        return;
    }
    int64_t wait = MAX(deadline - time_mono_ms(), 0);
    event_add(s->timer, &(struct timeval){.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000});
}

static void drop(struct session *s, const char *why)
{
    bool was_connected = reconnect_is_connected(&s->reconnect);

    snprintf(s->last_error, sizeof s->last_error, "%s: %s", s->endpoints[s->at].text, why);
    if (was_connected || !s->warned) {
        log_warn("%s; trying again", s->last_error);
        s->warned = true;
    }
    if (s->stream) {
        stream_destroy(s->stream);
        s->stream = NULL;
    }
    splitter_done(&s->splitter);
    reconnect_failed(&s->reconnect, time_mono_ms());
    s->at = (s->at + 1) % s->n_endpoints;
    schedule(s);
    if (was_connected) {
        s->cb->lost(s->arg);
    }
}

static void on_connected(struct stream *stream WR_UNUSED, void *arg)
{
    struct session *s = arg;

    reconnect_connected(&s->reconnect, time_mono_ms());
    log_info("%s: connected", s->endpoints[s->at].text);
    s->warned = false;
    s->last_error[0] = '\0';
    schedule(s);
    s->cb->connected(s->arg);
}

static bool answer_echo(struct session *s, json_t *msg)
{
    const char *method = json_string_value(json_object_get(msg, "method"));
    json_t *id = json_object_get(msg, "id");

    if (!method) {
        return json_is_string(id) && !strcmp(json_string_value(id), "echo");
    }
    if (strcmp(method, "echo")) {
        return false;
    }
    json_t *params = json_object_get(msg, "params");
    session_send(s, json_pack("{s:O?, s:n, s:O?}", "result", params, "error", "id", id));
    return true;
}

static void on_readable(struct stream *stream, struct evbuffer *in, void *arg)
{
    struct session *s = arg;

    reconnect_activity(&s->reconnect, time_mono_ms());
    while (s->stream == stream && evbuffer_get_length(in)) {
        struct evbuffer_iovec v;
        json_t *msg = NULL;
        size_t used = 0;

        evbuffer_peek(in, -1, NULL, &v, 1);
        int r = splitter_feed(&s->splitter, v.iov_base, v.iov_len, &used, &msg);
        if (r < 0) {
            drop(s, r == -EMSGSIZE ? "the peer's message is too long" : "the peer sent what is not JSON");
            return;
        }
        evbuffer_drain(in, used);
        if (r == 1) {
            if (!answer_echo(s, msg)) {
                s->cb->message(msg, s->arg);
            }
            json_decref(msg);
        }
    }
    if (s->stream == stream) {
        schedule(s);
    }
}

static void on_closed(struct stream *stream WR_UNUSED, int error, void *arg)
{
    drop(arg, error ? strerror(-error) : "the peer closed the connection");
}

static const struct stream_callbacks stream_callbacks = {
    .connected = on_connected, .readable = on_readable, .closed = on_closed};

static void connect_now(struct session *s)
{
    reconnect_connecting(&s->reconnect, time_mono_ms());
    int error = stream_connect(s->base, &s->endpoints[s->at].remote, &stream_callbacks, s, &s->stream);
    if (error) {
        drop(s, error == -ENOKEY ? "needs --private-key, --certificate and --ca-cert" : strerror(-error));
        return;
    }
    schedule(s);
}

static void run(struct session *s)
{
    switch (reconnect_run(&s->reconnect, time_mono_ms())) {
    case RECONNECT_CONNECT:
        connect_now(s);
        return;
    case RECONNECT_PROBE:
        session_send(s, json_pack("{s:s, s:[], s:s}", "method", "echo", "params", "id", "echo"));
        break;
    case RECONNECT_DISCONNECT:
        drop(s, reconnect_is_connected(&s->reconnect) ? "the peer does not answer" : "no connection in time");
        return;
    case RECONNECT_NOTHING:
        break;
    }
    schedule(s);
}

static void on_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    run(arg);
}

static int parse_remotes(struct session *s, const char *remotes, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(remotes);
    char *save = NULL;

    for (char *text = strtok_r(copy, ", ", &save); text; text = strtok_r(NULL, ", ", &save)) {
        struct endpoint e = {0};
        int error = remote_parse(text, OVSDB_PORT, &e.remote, ret_error);
        if (!error && e.remote.passive) {
            error = -EINVAL;
            if (ret_error) {
                *ret_error = xasprintf("remote \"%s\": is for listening; a client needs unix:, tcp: or ssl:", text);
            }
        }
        if (error) {
            return error;
        }
        e.text = xstrdup(text);
        s->endpoints = xrealloc(s->endpoints, (s->n_endpoints + 1) * sizeof *s->endpoints);
        s->endpoints[s->n_endpoints++] = e;
    }
    if (!s->n_endpoints) {
        if (ret_error) {
            *ret_error = xstrdup("no database remote is given");
        }
        return -EINVAL;
    }
    return 0;
}

int session_new(struct event_base *base, const char *remotes, const struct session_callbacks *cb, void *arg,
                struct session **ret, char **ret_error)
{
    struct session *s = xcalloc(1, sizeof *s);

    s->base = base;
    s->cb = cb;
    s->arg = arg;
    splitter_init(&s->splitter, MESSAGE_LIMIT);
    reconnect_init(&s->reconnect, time_mono_ms(), DEFAULT_PROBE_MS);
    int error = parse_remotes(s, remotes, ret_error);
    if (!error) {
        s->timer = evtimer_new(base, on_timer, s);
        error = s->timer ? 0 : -ENOMEM;
    }
    if (error) {
        session_destroy(s);
        return error;
    }
    *ret = s;
    return 0;
}

void session_destroy(struct session *s)
{
    if (!s) {
        return;
    }
    stream_destroy(s->stream);
    if (s->timer) {
        event_free(s->timer);
    }
    splitter_done(&s->splitter);
    for (size_t i = 0; i < s->n_endpoints; i++) {
        free(s->endpoints[i].text);
    }
    free(s->endpoints);
    free(s);
}

void session_start(struct session *s)
{
    reconnect_force(&s->reconnect, time_mono_ms());
    schedule(s);
}

void session_set_probe(struct session *s, int64_t probe_ms)
{
    reconnect_set_probe(&s->reconnect, probe_ms);
    if (s->stream) {
        schedule(s);
    }
}

void session_send(struct session *s, json_t *msg)
{
    if (s->stream && stream_is_connected(s->stream)) {
        char *text = json_dumps(msg, JSON_COMPACT);
        if (text) {
            stream_write(s->stream, text, strlen(text));
        }
        free(text);
    }
    json_decref(msg);
}

void session_restart(struct session *s, const char *why)
{
    if (s->stream) {
        drop(s, why);
    }
}

bool session_is_connected(const struct session *s)
{
    return reconnect_is_connected(&s->reconnect);
}

const char *session_remote(const struct session *s)
{
    return s->endpoints[s->at].text;
}

const char *session_last_error(const struct session *s)
{
    return s->last_error;
}
