/* SPDX-License-Identifier: Apache-2.0 */
/* A listener and a client in one loop: bytes both ways over unix, TCP and TLS, ends, refusals. */
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/stream.h"

struct world {
    struct event_base *base;
    struct stream *server, *client;
    char got[64];
    bool connected, closed;
    int error;
};

static void keep_first_error(struct world *w, int error)
{
    w->closed = true;
    w->error = error;
    event_base_loopbreak(w->base);
}

static void server_readable(struct stream *s, struct evbuffer *in, void *arg)
{
    char buf[64];
    int n = evbuffer_remove(in, buf, sizeof buf);

    (void)arg;
    assert_int_equal(stream_write(s, buf, (size_t)n), 0);
    stream_flush(s);
    stream_flush(s); /* with nothing left */
}

static void server_closed(struct stream *s, int error, void *arg)
{
    struct world *w = arg;

    (void)error;
    stream_destroy(s);
    w->server = NULL;
}

static const struct stream_callbacks server_callbacks = {.readable = server_readable, .closed = server_closed};

static void accepted(struct stream *s, void *arg)
{
    struct world *w = arg;

    assert_true(stream_is_connected(s));
    w->server = s;
    stream_set_callbacks(s, &server_callbacks, w);
}

static void client_connected(struct stream *s, void *arg)
{
    struct world *w = arg;

    w->connected = true;
    assert_int_equal(stream_write(s, "hello", 5), 0);
}

static void client_readable(struct stream *s, struct evbuffer *in, void *arg)
{
    struct world *w = arg;

    (void)s;
    evbuffer_remove(in, w->got, sizeof w->got - 1);
    event_base_loopbreak(w->base);
}

static void client_closed(struct stream *s, int error, void *arg)
{
    (void)s;
    keep_first_error(arg, error);
}

static const struct stream_callbacks client_callbacks = {
    .connected = client_connected, .readable = client_readable, .closed = client_closed};

static void run(struct world *w)
{
    event_base_loopexit(w->base, &(struct timeval){.tv_sec = 5});
    event_base_dispatch(w->base);
}

static void echo_over(const char *listen, const char *connect)
{
    struct world w = {.base = event_base_new()};
    struct stream_listener *l = NULL;
    char text[128];

    assert_int_equal(stream_listen_text(w.base, listen, 0, accepted, &w, &l), 0);
    snprintf(text, sizeof text, connect, stream_listener_port(l)); /* a text without %u ignores the port */
    assert_int_equal(stream_connect_text(w.base, text, 0, &client_callbacks, &w, &w.client), 0);
    assert_int_equal(stream_write(w.client, "x", 1), -ENOTCONN);
    assert_string_equal(stream_name(w.client), text);
    run(&w);
    assert_true(w.connected);
    assert_string_equal(w.got, "hello");
    stream_destroy(w.server);
    run(&w);
    assert_true(w.closed);
    assert_int_equal(w.error, 0);
    stream_destroy(w.client);
    stream_listener_destroy(l);
    event_base_free(w.base);
}

static void over_unix(void **state)
{
    (void)state;
    char passive[64], active[64];

    snprintf(passive, sizeof passive, "punix:/tmp/warren-test-stream-%d.sock", (int)getpid());
    snprintf(active, sizeof active, "unix:/tmp/warren-test-stream-%d.sock", (int)getpid());
    echo_over(passive, active);
    assert_int_equal(access(active + strlen("unix:"), F_OK), -1);
}

static void over_tcp(void **state)
{
    (void)state;
    echo_over("ptcp:0:127.0.0.1", "tcp:127.0.0.1:%u");
    echo_over("ptcp:0:[::1]", "tcp:[::1]:%u");
}

static void over_tls(void **state)
{
    (void)state;
    char dir[] = "/tmp/warren-test-tls-XXXXXX", key[64], cert[64];
    char *why = NULL;

    struct stream *s = NULL;
    struct event_base *base = event_base_new();
    assert_int_equal(stream_connect_text(base, "ssl:127.0.0.1:1", 0, &client_callbacks, NULL, &s), -ENOKEY);
    event_base_free(base);
    assert_non_null(mkdtemp(dir));
    snprintf(key, sizeof key, "%s/key.pem", dir);
    snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    const char *const argv[] = {"openssl", "req",     "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                                "-nodes",  "-keyout", key,     "-out",    cert, "-subj",    "/CN=test",
                                "-days",   "1",       NULL};
    if (child_run(argv, &why)) {
        print_message("no openssl program: %s\n", why);
        free(why);
        rmdir(dir);
        skip();
    }
    assert_int_equal(stream_set_tls(cert, cert, NULL, &why), -EINVAL); /* the certificate is no key */
    assert_non_null(strstr(why, cert));
    free(why);
    assert_int_equal(stream_set_tls(key, cert, cert, NULL), 0);
    echo_over("pssl:0:127.0.0.1", "ssl:127.0.0.1:%u");
    unlink(key);
    unlink(cert);
    rmdir(dir);
}

static void refused(void **state)
{
    (void)state;
    struct world w = {.base = event_base_new()};
    struct stream_listener *l = NULL;
    char text[64];

    assert_int_equal(stream_listen_text(w.base, "ptcp:0:127.0.0.1", 0, accepted, &w, &l), 0);
    snprintf(text, sizeof text, "tcp:127.0.0.1:%u", stream_listener_port(l));
    stream_listener_destroy(l);
    int error = stream_connect_text(w.base, text, 0, &client_callbacks, &w, &w.client);
    if (!error) {
        run(&w);
        assert_true(w.closed);
        error = w.error;
    }
    assert_int_equal(error, -ECONNREFUSED);
    stream_destroy(w.client);
    assert_int_equal(stream_connect_text(w.base, "unix:/nonexistent/sock", 0, &client_callbacks, &w, &w.client),
                     -ENOENT);
    event_base_free(w.base);
}

static void stale_socket_files(void **state)
{
    (void)state;
    char remote[64];
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct event_base *base = event_base_new();
    struct stream_listener *l = NULL, *second = NULL;

    snprintf(remote, sizeof remote, "punix:/tmp/warren-test-stale-%d.sock", (int)getpid());
    const char *path = remote + strlen("punix:");
    strcpy(sun.sun_path, path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    close(fd); /* the file stays */
    assert_int_equal(stream_listen_text(base, remote, 0, accepted, NULL, &l), 0);
    assert_int_equal(stream_listen_text(base, remote, 0, accepted, NULL, &second), -EADDRINUSE);
    stream_listener_destroy(l);
    assert_int_equal(access(path, F_OK), -1);
    close(open(path, O_CREAT | O_WRONLY, 0600)); /* a plain file is nobody's socket: keep it */
    assert_int_equal(stream_listen_text(base, remote, 0, accepted, NULL, &l), -EADDRINUSE);
    assert_int_equal(unlink(path), 0);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_unix), cmocka_unit_test(over_tcp),           cmocka_unit_test(over_tls),
        cmocka_unit_test(refused),   cmocka_unit_test(stale_socket_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
