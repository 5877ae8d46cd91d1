/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/unixctl.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uthash.h>
#include <utlist.h>

#include "base/log.h"
#include "base/utf8.h"
#include "ovsdb/splitter.h"
#include "switch/vlog_ctl.h"

LOG_MODULE("unixctl");

#define REQUEST_MAX (1u << 20)

struct command {
    const char *name, *usage;
    size_t min_args, max_args;
    unixctl_handler *handler;
    void *aux;
    UT_hash_handle hh;
};

struct connection {
    struct unixctl *owner;
    struct bufferevent *bev;
    struct connection *prev, *next;
};

struct unixctl {
    char *path;
    struct evconnlistener *listener;
    struct command *commands;
    struct connection *connections;
};

void unixctl_register(struct unixctl *u, const char *name, const char *usage, size_t min_args, size_t max_args,
                      unixctl_handler *handler, void *aux)
{
    struct command *c;
    HASH_FIND_STR(u->commands, name, c);
    if (!c) {
        c = xcalloc(1, sizeof *c);
        c->name = name;
        HASH_ADD_KEYPTR(hh, u->commands, c->name, strlen(c->name), c);
    }
    c->usage = usage;
    c->min_args = min_args;
    c->max_args = max_args;
    c->handler = handler;
    c->aux = aux;
}

static int by_name(const struct command *a, const struct command *b)
{
    return strcmp(a->name, b->name);
}

static int list_commands(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct unixctl *u = aux;
    HASH_SORT(u->commands, by_name);
    strbuf_add(out, "The available commands are:\n");
    for (const struct command *c = u->commands; c; c = c->hh.next) {
        strbuf_addf(out, c->usage[0] ? "  %-23s %s\n" : "  %s\n", c->name, c->usage);
    }
    return 0;
}

/* The first line ends with a version that ovs-ctl compares: 2.5.90 and later have the `exit` command with --cleanup. */
static int version(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    strbuf_add(out, "warren-switchd " WARREN_VERSION " (interface of Open vSwitch) 3.1.0\n");
    return 0;
}

static int run_command(struct unixctl *u, const char *method, json_t *params, struct strbuf *out)
{
    const char *args[UNIXCTL_ARGS_MAX];
    size_t n = json_array_size(params);
    struct command *c;
    HASH_FIND_STR(u->commands, method, c);
    if (!c) {
        strbuf_addf(out, "\"%s\" is not a valid command (use \"list-commands\" to see a list of valid commands)",
                    method);
        return -ENOENT;
    }
    if (n < c->min_args || n > c->max_args || n > UNIXCTL_ARGS_MAX) {
        strbuf_addf(out, "\"%s\" command %s %zu arguments", method,
                    n < c->min_args ? "requires at least" : "takes at most",
                    n < c->min_args ? c->min_args : c->max_args);
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        args[i] = json_string_value(json_array_get(params, i));
        if (!args[i]) {
            strbuf_addf(out, "\"%s\" command has non-string argument", method);
            return -EINVAL;
        }
    }
    return c->handler(c->aux, n, args, out);
}

/* What INPUT begins with: 1 and the request, 0 when it is not all there yet, -EBADMSG. A parser's word on the beginning
 * of a text would not do: where it is cut inside a name or a character, that is an error to it. */
static int take_request(const char *input, size_t len, size_t *ret_used, json_t **ret)
{
    struct splitter splitter;
    splitter_init(&splitter, REQUEST_MAX);
    int r = splitter_feed(&splitter, input, len, ret_used, ret);
    splitter_done(&splitter);
    return r < 0 ? -EBADMSG : r;
}

ssize_t unixctl_handle(struct unixctl *u, const char *input, size_t len, char **ret_reply)
{
    json_t *request = NULL;
    size_t used = 0;
    int r = take_request(input, len, &used, &request);
    if (r <= 0) {
        return r;
    }
    _cleanup_strbuf_ struct strbuf out = {0};
    const char *method = json_string_value(json_object_get(request, "method"));
    json_t *params = json_object_get(request, "params");
    int status = -EINVAL;
    if (method && json_is_array(params)) {
        status = run_command(u, method, params, &out);
    } else {
        strbuf_add(&out, "a request needs a \"method\" and an array \"params\"");
    }
    if (out.len && out.s[out.len - 1] != '\n') {
        strbuf_add(&out, "\n");
    }
    /* Names of devices come from the kernel as whatever bytes they are. */
    _cleanup_free_ char *clean = strbuf_take(&out);
    utf8_clean(clean);
    json_t *text = json_string(clean);
    json_t *id = json_object_get(request, "id");
    json_t *reply = json_pack("{s:O?, s:o, s:o}", "id", id, "result", status ? json_null() : text, "error",
                              status ? text : json_null());
    *ret_reply = json_dumps(reply, JSON_COMPACT);
    json_decref(reply);
    json_decref(request);
    return (ssize_t)used;
}

static void connection_destroy(struct connection *c)
{
    DL_DELETE(c->owner->connections, c);
    bufferevent_free(c->bev);
    free(c);
}

static void on_read(struct bufferevent *bev, void *aux)
{
    struct connection *c = aux;
    struct evbuffer *in = bufferevent_get_input(bev);
    for (;;) {
        size_t len = evbuffer_get_length(in);
        if (!len) {
            return;
        }
        _cleanup_free_ char *reply = NULL;
        ssize_t used = unixctl_handle(c->owner, (const char *)evbuffer_pullup(in, -1), len, &reply);
        if (used < 0) {
            log_limited(LOG_LEVEL_WARN, "a client sent what is no JSON-RPC request: closed");
            connection_destroy(c);
            return;
        }
        if (!used) {
            return;
        }
        evbuffer_drain(in, (size_t)used);
        bufferevent_write(bev, reply, strlen(reply));
    }
}

static void on_event(struct bufferevent *bev WR_UNUSED, short what WR_UNUSED, void *aux)
{
    connection_destroy(aux);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa WR_UNUSED, int len WR_UNUSED,
                      void *aux)
{
    struct unixctl *u = aux;
    struct bufferevent *bev = bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        close(fd);
        return;
    }
    struct connection *c = xcalloc(1, sizeof *c);
    c->owner = u;
    c->bev = bev;
    DL_APPEND(u->connections, c);
    bufferevent_setcb(bev, on_read, NULL, on_event, c);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

int unixctl_create(struct event_base *base, const char *path, struct unixctl **ret_unixctl)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sun.sun_path) {
        return -ENAMETOOLONG;
    }
    strcpy(sun.sun_path, path);
    struct unixctl *u = xcalloc(1, sizeof *u);
    u->path = xstrdup(path);
    unlink(path);
    mode_t old = umask(0077);
    u->listener = evconnlistener_new_bind(base, on_accept, u, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
                                          (struct sockaddr *)&sun, sizeof sun);
    int error = u->listener ? 0 : -errno;
    umask(old);
    if (error) {
        free(u->path);
        free(u);
        return error;
    }
    unixctl_register(u, "list-commands", "", 0, 0, list_commands, u);
    unixctl_register(u, "version", "", 0, 0, version, NULL);
    vlog_ctl_register(u);
    *ret_unixctl = u;
    return 0;
}

void unixctl_destroy(struct unixctl *u)
{
    if (!u) {
        return;
    }
    struct connection *conn, *conn_tmp;
    DL_FOREACH_SAFE(u->connections, conn, conn_tmp) {
        connection_destroy(conn);
    }
    struct command *c, *tmp;
    HASH_ITER(hh, u->commands, c, tmp) {
        HASH_DEL(u->commands, c);
        free(c);
    }
    evconnlistener_free(u->listener);
    unlink(u->path);
    free(u->path);
    free(u);
}
