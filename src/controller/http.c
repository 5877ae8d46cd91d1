/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/http.h"

#include <event2/event.h>
#include <microhttpd.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/stream.h"
#include "controller/api.h"

LOG_MODULE("http");

#define MAX_BODY (1024 * 1024)
#define MAX_DISCARD (16 * 1024 * 1024) /* of a body that is too long, before the connection is cut */
#define MAX_CONNECTIONS 1000
#define IDLE_S 75
#define DEFAULT_PORT 9696
#define BACKLOG 511

struct http_server {
    struct MHD_Daemon *daemon;
    struct api *api;
    struct event *ready, *timer;
    bool closing;  /* the API is gone already */
    char *address; /* what a client without a Host header is told */
};

struct request {
    struct call call;
    struct http_server *server;
    struct MHD_Connection *connection;
    struct strbuf body;
    size_t discarded;
    bool started, suspended;
};

/* ---- running libmicrohttpd ---- */

static void run(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;

    MHD_run(s->daemon);
    if (MHD_get_timeout(s->daemon, &ms) == MHD_YES) {
        struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

        event_add(s->timer, &tv);
    } else {
        event_del(s->timer);
    }
}

static void on_event(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    run(arg);
}

/* ---- a request ---- */

static void on_answered(struct call *c, void *arg)
{
    struct request *r = arg;

    (void)c;
    if (r->suspended) {
        r->suspended = false;
        MHD_resume_connection(r->connection);
        /* Not run() here: we may be deep inside a database callback. */
        event_active(r->server->ready, EV_READ, 0);
    }
}

static enum MHD_Result add_parameter(void *arg, enum MHD_ValueKind kind WR_UNUSED, const char *key, const char *value)
{
    json_t *query = arg, *list = json_object_get(query, key), *text = json_string(value ? value : "");

    if (!text) {
        return MHD_YES; /* not UTF-8: it can match nothing, and the check below refuses the request */
    }
    if (!list) {
        list = json_array();
        if (json_object_set_new(query, key, list)) {
            json_decref(text);
            return MHD_YES;
        }
    }
    json_array_append_new(list, text);
    return MHD_YES;
}

static enum MHD_Result check_parameter(void *arg, enum MHD_ValueKind kind WR_UNUSED, const char *key, const char *value)
{
    json_t *k = json_string(key), *v = json_string(value ? value : "");
    bool *ok = arg;

    *ok = *ok && k && v;
    json_decref(k);
    json_decref(v);
    return MHD_YES;
}

/* Everything that may come up in JSON must be UTF-8. */
static bool is_text(struct request *r)
{
    json_t *path = json_string(r->call.path);
    bool ok = path;

    json_decref(path);
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, check_parameter, &ok);
    return ok;
}

/* A Host header goes into links that we send, so it must look like one. */
static bool is_host(const char *host)
{
    return host && *host && strlen(host) <= 255 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]") == strlen(host);
}

static void start(struct request *r)
{
    struct call *c = &r->call;
    const char *host = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);

    r->started = true;
    c->host = is_host(host) ? host : r->server->address;
    c->body = strbuf_str(&r->body);
    c->body_len = r->body.len;
    if (r->server->closing) {
        call_error(c, 503, "ServiceUnavailable", "The controller is going down.");
        return;
    }
    if (r->discarded) {
        call_error(c, 413, "HTTPRequestEntityTooLarge", "The request's body is longer than %d bytes.", MAX_BODY);
        return;
    }
    if (!is_text(r)) {
        call_error(c, 400, "HTTPBadRequest", "The request's path or query is not UTF-8.");
        return;
    }
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, add_parameter, c->query);
    api_handle(c);
}

static enum MHD_Result send_reply(struct request *r)
{
    struct call *c = &r->call;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(c->text_len, c->text, c->text ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_NO;

    if (response) {
        c->text = NULL; /* the response's now */
        if (c->content_type) {
            MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, c->content_type);
        }
        if (c->allow) {
            MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, c->allow);
        }
        log_dbg("%s %s: %d", c->method, c->path, c->status);
        result = MHD_queue_response(r->connection, (unsigned int)c->status, response);
        MHD_destroy_response(response);
    }
    return result;
}

static struct request *request_new(struct http_server *s, struct MHD_Connection *connection, const char *url,
                                   const char *method)
{
    struct request *r = xcalloc(1, sizeof *r);

    r->server = s;
    r->connection = connection;
    r->call.api = s->api;
    r->call.method = xstrdup(method);
    r->call.path = xstrdup(url);
    r->call.query = json_object();
    r->call.answered = on_answered;
    r->call.arg = r;
    return r;
}

static void request_free(struct request *r)
{
    call_done(&r->call);
    json_decref(r->call.query);
    free((char *)r->call.method);
    free((char *)r->call.path);
    strbuf_done(&r->body);
    free(r);
}

/* libmicrohttpd calls this with the header, then with each piece of the body, at its end, and again after a resume. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version WR_UNUSED, const char *data, size_t *size, void **state)
{
    struct request *r = *state;

    if (!r) {
        *state = request_new(arg, connection, url, method);
        return MHD_YES;
    }
    if (*size) {
        if (r->discarded || r->body.len + *size > MAX_BODY) {
            r->discarded += *size;
        } else {
            strbuf_add_n(&r->body, data, *size);
        }
        *size = 0;
        return r->discarded > MAX_DISCARD ? MHD_NO : MHD_YES;
    }
    if (!r->started) {
        start(r);
        if (!r->call.status) {
            r->suspended = true;
            MHD_suspend_connection(connection);
            return MHD_YES;
        }
    }
    return r->call.status ? send_reply(r) : MHD_YES;
}

static void on_completed(void *arg WR_UNUSED, struct MHD_Connection *connection WR_UNUSED, void **state,
                         enum MHD_RequestTerminationCode why WR_UNUSED)
{
    if (*state) {
        request_free(*state);
        *state = NULL;
    }
}

static void on_log(void *arg WR_UNUSED, const char *fmt, va_list args)
{
    char text[300];

    vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_dbg("libmicrohttpd: %s", text);
}

/* ---- the server ---- */

static int open_listener(const char *listen_on, char **ret_error)
{
    _cleanup_free_ char *text = xasprintf("tcp:%s", listen_on);
    _cleanup_close_ int fd = -1;
    struct remote remote;
    int error = remote_parse(text, DEFAULT_PORT, &remote, ret_error), on = 1;

    if (error) {
        return error;
    }
    fd = socket(remote.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, (struct sockaddr *)&remote.addr, remote.addr_len) || listen(fd, BACKLOG)) {
        error = -errno;
        *ret_error = xasprintf("cannot listen on %s: %s", listen_on, strerror(-error));
        return error;
    }
    return TAKE_FD(fd);
}

int http_server_create(struct event_base *base, struct api *api, const char *listen_on, struct http_server **ret,
                       char **ret_error)
{
    struct http_server *s = xcalloc(1, sizeof *s);
    int fd = open_listener(listen_on, ret_error), error = -ENOMEM;

    s->api = api;
    s->address = xstrdup(listen_on);
    if (fd < 0) {
        error = fd;
        goto err_free;
    }
    s->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, s,
                         MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned int)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned int)IDLE_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (!s->daemon) {
        *ret_error = xstrdup("libmicrohttpd does not start");
        close(fd);
        goto err_free;
    }
    s->ready = event_new(base, MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, EV_READ | EV_PERSIST,
                         on_event, s);
    s->timer = event_new(base, -1, 0, on_event, s);
    if (!s->ready || !s->timer || event_add(s->ready, NULL)) {
        *ret_error = xstrdup("out of memory");
        goto err_stop;
    }
    *ret = s;
    return 0;

err_stop:
    http_server_destroy(s);
    return error;
err_free:
    free(s->address);
    free(s);
    return error;
}

void http_server_destroy(struct http_server *s)
{
    if (!s) {
        return;
    }
    s->closing = true;
    MHD_run(s->daemon); /* resumed connections get their replies, and may be stopped only then */
    MHD_stop_daemon(s->daemon);
    if (s->ready) {
        event_free(s->ready);
    }
    if (s->timer) {
        event_free(s->timer);
    }
    free(s->address);
    free(s);
}
