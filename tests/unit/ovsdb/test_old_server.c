/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a server played by this test: one that knows RFC 7047 only, probes, one that talks nonsense, and
 * a cluster of servers of two ages. */
#include <event2/buffer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "base/stream.h"
#include "event_loop.h"
#include "ovsdb/client.h"
#include "ovsdb/splitter.h"

#define RUN_UNTIL(w, condition) RUN_FOR(w, 10, condition, "")

#define U1 "00000000-0000-0000-0000-000000000001"
#define NO_ID "00000000-0000-0000-0000-000000000000"
#define ID_7 "00000000-0000-0000-0000-000000000007"

struct world {
    struct event_base *base;
    struct event *tick;
    struct stream_listener *listener;
    struct stream *peer;
    struct splitter splitter;
    struct ovsdb_client *client;
    struct strbuf methods; /* what the client asked for */
    char since[64];        /* the transaction id of the last monitor_cond_since */
    bool modern;           /* the server knows monitor_cond_since */
    bool cut_off;          /* … and no other member of its cluster */
    bool echo_answered;
    int connections;
};

static void say(struct world *w, const char *text)
{
    assert_int_equal(stream_write(w->peer, text, strlen(text)), 0);
}

static void reply(struct world *w, const json_t *request, const char *result, const char *error)
{
    _cleanup_free_ char *text = xasprintf("{\"id\":%lld,\"result\":%s,\"error\":%s}",
                                          json_integer_value(json_object_get(request, "id")), result, error);

    say(w, text);
}

/* Old servers have no such database. */
static void serve_about_itself(struct world *w, const json_t *request)
{
    _cleanup_free_ char *rows =
        xasprintf("{\"Database\":{\"" U1 "\":{\"new\":{\"name\":\"other\",\"connected\":false}},\"" ID_7
                  "\":{\"new\":{\"name\":\"D\",\"connected\":%s}}}}",
                  w->cut_off ? "false" : "true");

    reply(w, request, w->modern ? rows : "null", w->modern ? "null" : "{\"error\":\"unknown database\"}");
}

static void serve(struct world *w, const json_t *request)
{
    const char *method = json_string_value(json_object_get(request, "method"));

    if (!method) {
        const char *id = json_string_value(json_object_get(request, "id"));
        w->echo_answered = id && !strcmp(id, "probe") && json_is_array(json_object_get(request, "result"));
        return;
    }
    const char *database = json_string_value(json_array_get(json_object_get(request, "params"), 0));
    if (database && !strcmp(database, "_Server")) {
        serve_about_itself(w, request);
        return;
    }
    strbuf_addf(&w->methods, "%s ", method);
    if (!strcmp(method, "monitor_cond_since")) {
        const char *since = json_string_value(json_array_get(json_object_get(request, "params"), 3));
        snprintf(w->since, sizeof w->since, "%s", since);
    }
    if (!strcmp(method, "get_schema")) {
        reply(w, request, "{\"name\":\"D\",\"tables\":{\"T\":{\"columns\":{\"name\":{\"type\":\"string\"}}}}}", "null");
    } else if (!strcmp(method, "monitor")) {
        reply(w, request, "{\"T\":{\"" U1 "\":{\"new\":{\"name\":\"a\"}}}}", "null");
    } else if (w->modern && !strcmp(method, "monitor_cond_since")) {
        reply(w, request, "[false,\"" ID_7 "\",{\"T\":{\"" U1 "\":{\"initial\":{\"name\":\"a\"}}}}]", "null");
    } else {
        reply(w, request, "null", "\"unknown method\"");
    }
}

static void on_readable(struct stream *s, struct evbuffer *in, void *arg)
{
    struct world *w = arg;

    (void)s;
    while (evbuffer_get_length(in)) {
        struct evbuffer_iovec v;
        json_t *msg = NULL;
        size_t used = 0;

        evbuffer_peek(in, -1, NULL, &v, 1);
        int r = splitter_feed(&w->splitter, v.iov_base, v.iov_len, &used, &msg);
        assert_true(r >= 0);
        evbuffer_drain(in, used);
        if (r == 1) {
            serve(w, msg);
            json_decref(msg);
        }
    }
}

static void on_closed(struct stream *s, int error, void *arg)
{
    struct world *w = arg;

    (void)error;
    stream_destroy(s);
    w->peer = NULL;
}

static const struct stream_callbacks peer_callbacks = {.readable = on_readable, .closed = on_closed};

static void on_accept(struct stream *s, void *arg)
{
    struct world *w = arg;

    w->connections++;
    w->peer = s;
    splitter_done(&w->splitter);
    stream_set_callbacks(s, &peer_callbacks, w);
}

static void world_start(struct world *w, const char *const *columns)
{
    static const struct ovsdb_client_callbacks nothing = {0};
    char remote[64];

    w->base = event_base_new();
    w->tick = tick_new(w->base);
    splitter_init(&w->splitter, 100000);
    assert_int_equal(stream_listen_text(w->base, "ptcp:0:127.0.0.1", 0, on_accept, w, &w->listener), 0);
    snprintf(remote, sizeof remote, "tcp:127.0.0.1:%u", stream_listener_port(w->listener));
    assert_int_equal(ovsdb_client_new(w->base, remote, "D", &nothing, NULL, &w->client, NULL), 0);
    ovsdb_client_monitor(w->client, "T", columns);
    ovsdb_client_start(w->client);
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
}

static void world_stop(struct world *w)
{
    ovsdb_client_destroy(w->client);
    stream_destroy(w->peer);
    stream_listener_destroy(w->listener);
    event_free(w->tick);
    event_base_free(w->base);
    splitter_done(&w->splitter);
    strbuf_done(&w->methods);
}

static void an_old_server(void **state)
{
    struct world w = {0};
    struct uuid u1 = {{[15] = 1}};

    (void)state;
    world_start(&w, (const char *const[]){"name", "column_of_the_future", NULL});
    assert_string_equal(strbuf_str(&w.methods), "get_schema monitor_cond_since monitor_cond monitor ");
    const struct ovsdb_row *row = ovsdb_client_row(w.client, "T", &u1);
    assert_string_equal(ovsdb_row_string(row, "name"), "a");
    assert_null(ovsdb_row_string(row, "column_of_the_future"));

    say(&w, "{\"id\":null,\"method\":\"update\",\"params\":[\"warren\",{\"T\":{\"" U1
            "\":{\"old\":{\"name\":\"a\"},\"new\":{\"name\":\"b\"}}}}]}{\"id\":\"probe\",\"method\":\"echo\","
            "\"params\":[]}");
    RUN_UNTIL(&w, w.echo_answered);
    assert_string_equal(ovsdb_row_string(row, "name"), "b");

    say(&w, "{\"id\":null,\"method\":\"update\",\"params\":[\"warren\",{\"T\":{\"not-a-uuid\":{\"new\":{}}}}]}");
    RUN_UNTIL(&w, !ovsdb_client_is_connected(w.client));
    assert_non_null(strstr(ovsdb_client_last_error(w.client), "no sense"));
    RUN_UNTIL(&w, ovsdb_client_is_synced(w.client)); /* 1 s later */
    assert_int_equal(w.connections, 2);
    assert_string_equal(ovsdb_row_string(row, "name"), "a");
    say(&w, "garbage");
    RUN_UNTIL(&w, !ovsdb_client_is_connected(w.client));
    assert_int_equal(ovsdb_client_n_rows(w.client, "T"), 1);
    world_stop(&w);
}

/* The peer goes; the client comes back to a server that is MODERN or not. */
static void change_server(struct world *w, bool modern)
{
    w->modern = modern;
    say(w, "garbage");
    RUN_UNTIL(w, !ovsdb_client_is_connected(w->client));
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
}

/* What an old server told has no transaction id: the one that a modern server told before is of other contents. */
static void a_cluster_of_two_ages(void **state)
{
    struct world w = {.modern = true};

    (void)state;
    world_start(&w, (const char *const[]){"name", NULL});
    assert_string_equal(w.since, NO_ID);
    change_server(&w, true);
    assert_string_equal(w.since, ID_7);
    change_server(&w, false);
    assert_string_equal(w.since, ID_7);
    change_server(&w, true);
    assert_string_equal(w.since, NO_ID);
    world_stop(&w);
}

/* A member that is cut off shows what it last knew, and nothing of it is taken. */
static void a_member_cut_off(void **state)
{
    struct world w = {.modern = true};

    (void)state;
    world_start(&w, (const char *const[]){"name", NULL});
    w.cut_off = true;
    strbuf_done(&w.methods);
    say(&w, "{\"id\":null,\"method\":\"update\",\"params\":[\"warren_server\",{\"Database\":{\"" ID_7
            "\":{\"old\":{\"connected\":true},\"new\":{\"name\":\"D\",\"connected\":false}}}}]}");
    RUN_UNTIL(&w, !ovsdb_client_is_connected(w.client));
    assert_non_null(strstr(ovsdb_client_last_error(w.client), "cut off"));
    RUN_UNTIL(&w, w.connections == 3);
    assert_null(strstr(strbuf_str(&w.methods), "monitor"));
    w.cut_off = false;
    RUN_UNTIL(&w, ovsdb_client_is_synced(w.client));
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_old_server), cmocka_unit_test(a_cluster_of_two_ages),
                                       cmocka_unit_test(a_member_cut_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
