/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>
#include <stdlib.h>

#include "openflow/client.h"
#include "openflow/conn.h"

/* A switch that says who it is and answers every request for ports with none, and the client that talks to it. */
struct fixture {
    struct event_base *base;
    char dir[32];
    char *remote;
    struct stream_listener *listener;
    struct of_conn *conn;
    struct of_client *client;
    size_t n_done, n_failed;
    char *error; /* the last one */
};

static void on_message(struct of_conn *conn, const struct of_header *h, const uint8_t *msg WR_UNUSED,
                       void *arg WR_UNUSED)
{
    struct writer w = {0};
    struct of_mp mp;

    if (h->type == OFT_FEATURES_REQUEST) {
        size_t start = of_begin(&w, h->version, OFT_FEATURES_REPLY, h->xid);

        writer_zeros(&w, 24);
        of_end(&w, start);
    } else if (h->type == OFT_MULTIPART_REQUEST) {
        of_mp_begin(&mp, &w, h->version, OFMP_PORT_DESC, h->xid);
        of_mp_end(&mp);
    }
    assert_int_equal(of_conn_send(conn, &w), 0);
}

static void on_closed(struct of_conn *conn WR_UNUSED, int error WR_UNUSED, void *arg WR_UNUSED) {}

static void on_accept(struct stream *stream, void *arg)
{
    static const struct of_conn_callbacks cb = {.message = on_message, .closed = on_closed};
    struct fixture *f = arg;

    assert_int_equal(of_conn_new(f->base, stream, 1u << OF_VERSION_13, 0, &cb, f, &f->conn), 0);
}

static void on_connected(struct of_client *c WR_UNUSED, bool connected, void *arg)
{
    struct fixture *f = arg;

    if (connected) {
        event_base_loopbreak(f->base);
    }
}

static void on_done(void *arg, const char *error)
{
    struct fixture *f = arg;

    f->n_done++;
    if (error) {
        f->n_failed++;
        free(f->error);
        f->error = xstrdup(error);
    }
    event_base_loopbreak(f->base);
}

static void on_port(void *arg WR_UNUSED, const struct of_port *port WR_UNUSED)
{
    fail_msg("no port was told of");
}

static void run(struct fixture *f)
{
    event_base_loopexit(f->base, &(struct timeval){.tv_sec = 5});
    event_base_dispatch(f->base);
}

static void up(struct fixture *f)
{
    static const struct of_client_callbacks cb = {.connected = on_connected};

    *f = (struct fixture){.base = event_base_new(), .dir = "/tmp/client-XXXXXX"};
    assert_non_null(mkdtemp(f->dir));
    f->remote = xasprintf("unix:%s/br.mgmt", f->dir);
    _cleanup_free_ char *passive = xasprintf("p%s", f->remote);
    assert_int_equal(stream_listen_text(f->base, passive, 0, on_accept, f, &f->listener), 0);
    assert_int_equal(of_client_new(f->base, f->remote, &cb, f, &f->client, NULL), 0);
    run(f);
    assert_true(of_client_is_connected(f->client));
}

static void down(struct fixture *f)
{
    of_client_destroy(f->client);
    of_conn_destroy(f->conn);
    stream_listener_destroy(f->listener);
    event_base_free(f->base);
    rmdir(f->dir);
    free(f->remote);
    free(f->error);
}

/* A flow that no message holds (to flood to so many hypervisors) fails its request, and no other. */
static void test_too_long(void **state WR_UNUSED)
{
    struct of_flow_mod fm = {
        .command = OF_FLOW_ADD, .buffer_id = OF_NO_BUFFER, .out_port = OFPP_ANY, .out_group = OF_GROUP_ANY};
    struct fixture f;

    match_init(&fm.match);
    for (uint32_t i = 1; i <= 4100; i++) {
        ((struct ofpact_output *)ofpact_put(&fm.acts, OFPACT_OUTPUT, sizeof(struct ofpact_output)))->port = ofp_port(i);
    }
    up(&f);
    of_client_apply(f.client, &fm, 1, on_done, &f);
    assert_int_equal(f.n_done, 0); /* from the event loop, not from inside */
    run(&f);
    assert_int_equal(f.n_failed, 1);
    assert_non_null(strstr(f.error, "too long"));
    of_client_dump_ports(f.client, on_port, on_done, &f);
    run(&f);
    assert_int_equal(f.n_done, 2);
    assert_int_equal(f.n_failed, 1);
    of_flow_mod_done(&fm);
    down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_too_long)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
