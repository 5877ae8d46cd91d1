/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stream.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/tls.h"

LOG_MODULE("stream");

#define HANDSHAKE_SECONDS 10
#define WRITE_MAX (256 << 10) /* bytes in one turn of the loop */

struct stream {
    struct event_base *base;
    enum remote_kind kind;
    char *name;
    const struct stream_callbacks *cb;
    void *arg;
    int fd;                   /* while `connecting` waits; then the bufferevent has it */
    struct event *connecting; /* the socket becomes writable: connect() has ended */
    struct bufferevent *bev;
    bool connected, closed;
    struct stream_listener *handshaking_for; /* accepted, TLS not yet up */
    struct stream *next_handshaking;
};

struct stream_listener {
    struct event_base *base;
    struct evconnlistener *listener;
    enum remote_kind kind;
    char *path; /* of a unix socket: removed at the end */
    stream_accept_fn *accepted;
    void *arg;
    struct stream *handshaking;
};

static char *peer_name(enum remote_kind kind, const struct sockaddr *sa)
{
    const char *prefix = kind == REMOTE_SSL ? "ssl" : "tcp";
    char text[INET6_ADDRSTRLEN];

    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *sin = (const struct sockaddr_in *)sa;
        inet_ntop(AF_INET, &sin->sin_addr, text, sizeof text);
        return xasprintf("%s:%s:%u", prefix, text, ntohs(sin->sin_port));
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;
        inet_ntop(AF_INET6, &sin6->sin6_addr, text, sizeof text);
        return xasprintf("%s:[%s]:%u", prefix, text, ntohs(sin6->sin6_port));
    }
    const struct sockaddr_un *sun = (const struct sockaddr_un *)sa;
    return sun->sun_path[0] ? xasprintf("unix:%s", sun->sun_path) : xstrdup("unix");
}

static struct stream *stream_new(struct event_base *base, enum remote_kind kind, char *name)
{
    struct stream *s = xcalloc(1, sizeof *s);

    s->base = base;
    s->kind = kind;
    s->name = name;
    s->fd = -1;
    signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an error of write(), not the end of us */
    return s;
}

static void report_closed(struct stream *s, int error)
{
    if (s->closed) {
        return;
    }
    s->closed = true;
    s->connected = false;
    if (s->bev) {
        bufferevent_disable(s->bev, EV_READ | EV_WRITE);
    }
    s->cb->closed(s, error, s->arg);
}

static void report_connected(struct stream *s)
{
    s->connected = true;
    bufferevent_set_timeouts(s->bev, NULL, NULL);
    bufferevent_enable(s->bev, EV_READ | EV_WRITE);
    if (s->cb->connected) {
        s->cb->connected(s, s->arg);
    }
}

static void on_readable(struct bufferevent *bev, void *arg)
{
    struct stream *s = arg;

    if (s->connected) {
        s->cb->readable(s, bufferevent_get_input(bev), s->arg);
    }
}

static void on_drained(struct bufferevent *bev WR_UNUSED, void *arg)
{
    struct stream *s = arg;

    if (s->connected && s->cb->drained) {
        s->cb->drained(s, s->arg);
    }
}

static int error_of(struct stream *s)
{
    int socket_error = errno;
    unsigned long ssl_error = s->kind == REMOTE_SSL ? bufferevent_get_openssl_error(s->bev) : 0;

    if (ssl_error) {
        const char *reason = ERR_reason_error_string(ssl_error);
        log_limited(LOG_LEVEL_WARN, "%s: TLS: %s", s->name, reason ? reason : "protocol error");
        return -EPROTO;
    }
    return socket_error ? -socket_error : -ECONNRESET;
}

static void on_event(struct bufferevent *bev WR_UNUSED, short what, void *arg)
{
    struct stream *s = arg;

    if (what & BEV_EVENT_CONNECTED) {
        report_connected(s);
    } else if (what & BEV_EVENT_EOF) {
        report_closed(s, s->connected ? 0 : -ECONNRESET);
    } else if (what & BEV_EVENT_TIMEOUT) {
        report_closed(s, -ETIMEDOUT);
    } else if (what & BEV_EVENT_ERROR) {
        report_closed(s, error_of(s));
    }
}

/* Puts the bufferevent on a connected socket, which it owns from then on. TLS goes on to its handshake. */
static int start_io(struct stream *s, int fd, enum bufferevent_ssl_state role)
{
    if (s->kind == REMOTE_SSL) {
        SSL *ssl = tls_session_new();
        if (!ssl) {
            return -ENOKEY;
        }
        s->bev =
            bufferevent_openssl_socket_new(s->base, fd, ssl, role, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
        if (s->bev) {
            bufferevent_openssl_set_allow_dirty_shutdown(s->bev, 1);
        } else {
            SSL_free(ssl);
        }
    } else {
        s->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    }
    if (!s->bev) {
        return -ENOMEM;
    }
    bufferevent_set_max_single_write(s->bev, WRITE_MAX);
    bufferevent_setcb(s->bev, on_readable, on_drained, on_event, s);
    if (s->kind == REMOTE_SSL) {
        bufferevent_set_timeouts(s->bev, &(struct timeval){.tv_sec = HANDSHAKE_SECONDS},
                                 &(struct timeval){.tv_sec = HANDSHAKE_SECONDS});
        bufferevent_enable(s->bev, EV_READ | EV_WRITE);
    }
    if (s->kind != REMOTE_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
    return 0;
}

static void on_connect_ended(evutil_socket_t fd, short what WR_UNUSED, void *arg)
{
    struct stream *s = arg;
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
        error = errno;
    }
    event_free(s->connecting);
    s->connecting = NULL;
    error = error ? -error : start_io(s, fd, BUFFEREVENT_SSL_CONNECTING);
    if (error) {
        report_closed(s, error);
        return;
    }
    s->fd = -1;
    if (s->kind != REMOTE_SSL) {
        report_connected(s);
    }
}

int stream_connect(struct event_base *base, const struct remote *remote, const struct stream_callbacks *cb, void *arg,
                   struct stream **ret)
{
    if (remote->passive) {
        return -EINVAL;
    }
    if (remote->kind == REMOTE_SSL) {
        SSL *ssl = tls_session_new();
        if (!ssl) {
            return -ENOKEY;
        }
        SSL_free(ssl);
    }
    _cleanup_close_ int fd = socket(remote->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (const struct sockaddr *)&remote->addr, remote->addr_len) < 0 && errno != EINPROGRESS) {
        return -errno;
    }
    struct stream *s = stream_new(base, remote->kind, peer_name(remote->kind, (const struct sockaddr *)&remote->addr));
    s->cb = cb;
    s->arg = arg;
    s->connecting = event_new(base, fd, EV_WRITE, on_connect_ended, s);
    if (!s->connecting || event_add(s->connecting, NULL) < 0) {
        stream_destroy(s);
        return -ENOMEM;
    }
    s->fd = TAKE_FD(fd);
    *ret = s;
    return 0;
}

int stream_connect_text(struct event_base *base, const char *text, uint16_t default_port,
                        const struct stream_callbacks *cb, void *arg, struct stream **ret)
{
    struct remote remote;
    int error = remote_parse(text, default_port, &remote, NULL);

    return error ? error : stream_connect(base, &remote, cb, arg, ret);
}

void stream_set_callbacks(struct stream *s, const struct stream_callbacks *cb, void *arg)
{
    s->cb = cb;
    s->arg = arg;
}

bool stream_is_connected(const struct stream *s)
{
    return s->connected;
}

int stream_write(struct stream *s, const void *data, size_t len)
{
    if (!s->connected) {
        return -ENOTCONN;
    }
    return bufferevent_write(s->bev, data, len) < 0 ? -ENOMEM : 0;
}

void stream_flush(struct stream *s)
{
    if (!s->connected || s->kind == REMOTE_SSL) {
        return;
    }
    struct evbuffer *out = bufferevent_get_output(s->bev);

    /* An error is met by the loop again, which tells of it. */
    evbuffer_unfreeze(out, 1);
    evbuffer_write(out, bufferevent_getfd(s->bev));
    evbuffer_freeze(out, 1);
}

struct evbuffer *stream_input(struct stream *s)
{
    return bufferevent_get_input(s->bev);
}

size_t stream_backlog(const struct stream *s)
{
    return s->bev ? evbuffer_get_length(bufferevent_get_output(s->bev)) : 0;
}

void stream_pause(struct stream *s, bool paused)
{
    if (!s->connected) {
        return;
    }
    if (paused) {
        bufferevent_disable(s->bev, EV_READ);
        return;
    }
    bufferevent_enable(s->bev, EV_READ);
    if (evbuffer_get_length(bufferevent_get_input(s->bev))) {
        bufferevent_trigger(s->bev, EV_READ, BEV_OPT_DEFER_CALLBACKS); /* what had come in before the pause */
    }
}

const char *stream_name(const struct stream *s)
{
    return s->name;
}

/* The loop writes later; a farewell that was queued just before the end must not be lost with the buffer. */
static void flush(struct stream *s)
{
    struct evbuffer *out = bufferevent_get_output(s->bev);

    if (!s->connected || !evbuffer_get_length(out)) {
        return;
    }
    evbuffer_unfreeze(out, 1);
    if (s->kind == REMOTE_SSL) {
        size_t len = evbuffer_get_length(out);
        SSL_write(bufferevent_openssl_get_ssl(s->bev), evbuffer_pullup(out, -1), (int)MIN(len, (size_t)INT32_MAX));
        ERR_clear_error();
    } else {
        evbuffer_write(out, bufferevent_getfd(s->bev));
    }
}

static void forget_handshake(struct stream *s)
{
    if (s->handshaking_for) {
        struct stream **p = &s->handshaking_for->handshaking;
        while (*p != s) {
            p = &(*p)->next_handshaking;
        }
        *p = s->next_handshaking;
        s->handshaking_for = NULL;
    }
}

void stream_destroy(struct stream *s)
{
    if (!s) {
        return;
    }
    forget_handshake(s);
    if (s->connecting) {
        event_free(s->connecting);
    }
    if (s->bev) {
        flush(s);
        if (s->kind == REMOTE_SSL && s->connected) {
            SSL_shutdown(bufferevent_openssl_get_ssl(s->bev)); /* close_notify: the peer knows that this was the end */
            ERR_clear_error();
        }
        bufferevent_setcb(s->bev, NULL, NULL, NULL, NULL);
        bufferevent_free(s->bev);
    }
    closep(&s->fd);
    free(s->name);
    free(s);
}

static void handshake_done(struct stream *s, void *arg)
{
    struct stream_listener *l = arg;

    forget_handshake(s);
    l->accepted(s, l->arg);
}

static void handshake_readable(struct stream *s WR_UNUSED, struct evbuffer *in WR_UNUSED, void *arg WR_UNUSED) {}

static void handshake_failed(struct stream *s, int error, void *arg WR_UNUSED)
{
    log_limited(LOG_LEVEL_WARN, "%s: no TLS session: %s", s->name, strerror(-error));
    stream_destroy(s);
}

static const struct stream_callbacks handshake_callbacks = {
    .connected = handshake_done, .readable = handshake_readable, .closed = handshake_failed};

static void on_accept(struct evconnlistener *lev WR_UNUSED, evutil_socket_t fd, struct sockaddr *sa, int len WR_UNUSED,
                      void *arg)
{
    struct stream_listener *l = arg;
    struct stream *s = stream_new(l->base, l->kind, l->kind == REMOTE_UNIX ? xstrdup("unix") : peer_name(l->kind, sa));
    int error = start_io(s, fd, BUFFEREVENT_SSL_ACCEPTING);

    s->cb = &handshake_callbacks;
    s->arg = l;
    if (error) {
        log_limited(LOG_LEVEL_WARN, "%s: cannot serve the connection: %s", s->name, strerror(-error));
        close(fd);
        stream_destroy(s);
        return;
    }
    s->handshaking_for = l;
    s->next_handshaking = l->handshaking;
    l->handshaking = s;
    if (l->kind != REMOTE_SSL) {
        report_connected(s);
    }
}

static void on_accept_error(struct evconnlistener *lev WR_UNUSED, void *arg WR_UNUSED)
{
    log_limited(LOG_LEVEL_WARN, "accept: %s", strerror(errno));
}

/* A socket file that nobody listens on is left from a process that died. */
static int remove_stale(const struct sockaddr_un *sun)
{
    struct stat st;

    if (lstat(sun->sun_path, &st) < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (!S_ISSOCK(st.st_mode)) {
        return -EADDRINUSE;
    }
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    if (!connect(fd, (const struct sockaddr *)sun, sizeof *sun) || errno != ECONNREFUSED) {
        return -EADDRINUSE;
    }
    return unlink(sun->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_listening(const struct remote *remote)
{
    _cleanup_close_ int fd = socket(remote->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -errno;
    }
    if (remote->kind == REMOTE_UNIX) {
        int error = remove_stale((const struct sockaddr_un *)&remote->addr);
        if (error) {
            return error;
        }
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    }
    if (bind(fd, (const struct sockaddr *)&remote->addr, remote->addr_len) < 0) {
        return -errno;
    }
    if (listen(fd, 64) < 0) {
        return -errno;
    }
    return TAKE_FD(fd);
}

int stream_listen(struct event_base *base, const struct remote *remote, stream_accept_fn *accepted, void *arg,
                  struct stream_listener **ret)
{
    if (!remote->passive) {
        return -EINVAL;
    }
    _cleanup_close_ int fd = open_listening(remote);
    if (fd < 0) {
        return fd;
    }
    struct stream_listener *l = xcalloc(1, sizeof *l);
    l->base = base;
    l->kind = remote->kind;
    l->accepted = accepted;
    l->arg = arg;
    /* The socket listens already: backlog 0 tells libevent so. */
    l->listener = evconnlistener_new(base, on_accept, l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!l->listener) {
        free(l);
        return -ENOMEM;
    }
    TAKE_FD(fd);
    evconnlistener_set_error_cb(l->listener, on_accept_error);
    if (remote->kind == REMOTE_UNIX) {
        l->path = xstrdup(((const struct sockaddr_un *)&remote->addr)->sun_path);
    }
    *ret = l;
    return 0;
}

int stream_listen_text(struct event_base *base, const char *text, uint16_t default_port, stream_accept_fn *accepted,
                       void *arg, struct stream_listener **ret)
{
    struct remote remote;
    int error = remote_parse(text, default_port, &remote, NULL);

    return error ? error : stream_listen(base, &remote, accepted, arg, ret);
}

uint16_t stream_listener_port(const struct stream_listener *l)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;

    if (getsockname(evconnlistener_get_fd(l->listener), (struct sockaddr *)&ss, &len) < 0) {
        return 0;
    }
    return ss.ss_family == AF_INET    ? ntohs(((struct sockaddr_in *)&ss)->sin_port)
           : ss.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&ss)->sin6_port)
                                      : 0;
}

void stream_listener_destroy(struct stream_listener *l)
{
    if (!l) {
        return;
    }
    while (l->handshaking) {
        stream_destroy(l->handshaking);
    }
    evconnlistener_free(l->listener);
    if (l->path) {
        unlink(l->path);
        free(l->path);
    }
    free(l);
}
