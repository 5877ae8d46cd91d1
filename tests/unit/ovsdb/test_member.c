/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a cluster that are behind what was seen elsewhere: what they say of themselves, and real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/child.h"
#include "event_loop.h"
#include "ovsdb/client.h"
#include "ovsdb/member.h"

#define RUN_UNTIL(w, condition) RUN_FOR(w, 20, condition, "")

#define CLUSTER_1 "00000000-0000-0000-0000-000000000001"
#define CLUSTER_2 "00000000-0000-0000-0000-000000000002"

static bool lags(struct member *m, const char *model, const char *cluster, int index, int64_t now)
{
    _cleanup_free_ char *text =
        xasprintf("[{\"rows\":[{\"model\":\"%s\",\"cid\":[\"uuid\",\"%s\"],\"index\":%d}]}]", model, cluster, index);
    json_t *result = json_loads(text, 0, NULL);
    bool yes = member_lags(m, result, now);

    assert_non_null(result);
    json_decref(result);
    return yes;
}

static void what_they_say(void **state)
{
    struct member m = {0};
    json_t *nothing =
        json_loads("[{\"rows\":[{\"model\":\"standalone\",\"cid\":[\"set\",[]],\"index\":[\"set\",[]]}]}]", 0, NULL);

    (void)state;
    assert_false(member_lags(&m, NULL, 0)); /* an old server: an error instead of a result */
    assert_false(m.in_cluster);
    assert_false(lags(&m, "clustered", CLUSTER_1, 10, 0));
    assert_true(m.in_cluster);
    assert_false(lags(&m, "clustered", CLUSTER_1, 10, 0));
    assert_false(lags(&m, "clustered", CLUSTER_1, 12, 0));
    assert_true(lags(&m, "clustered", CLUSTER_1, 11, 0));
    assert_false(member_lags(&m, nothing, 0));
    assert_false(m.in_cluster);
    assert_true(lags(&m, "clustered", CLUSTER_1, 11, 0));
    assert_false(lags(&m, "clustered", CLUSTER_2, 1, 0)); /* made anew */
    assert_false(lags(&m, "clustered", CLUSTER_2, 2, 0));
    assert_true(lags(&m, "clustered", CLUSTER_2, 1, 0));
    json_decref(nothing);
}

/* Put back from a backup, it has no member that is where we have seen it. */
static void put_back(void **state)
{
    struct member m = {0};

    (void)state;
    assert_false(lags(&m, "clustered", CLUSTER_1, 10, 1000));
    assert_true(lags(&m, "clustered", CLUSTER_1, 5, 5000));
    assert_true(lags(&m, "clustered", CLUSTER_1, 6, 64000));
    assert_false(lags(&m, "clustered", CLUSTER_1, 10, 64500));
    assert_true(lags(&m, "clustered", CLUSTER_1, 6, 70000));
    assert_true(lags(&m, "clustered", CLUSTER_1, 6, 129999));
    assert_false(lags(&m, "clustered", CLUSTER_1, 6, 130000));
    assert_false(lags(&m, "clustered", CLUSTER_1, 7, 130001));
}

/* ---- real members ---- */

struct world {
    struct event_base *base;
    struct event *tick;
    char dir[64], remotes[256];
    struct child *servers[2];
    struct ovsdb_client *client;
    bool done;
};

static void shell(const struct world *w, const char *command)
{
    _cleanup_free_ char *text = xasprintf("cd %s; %s", w->dir, command), *why = NULL;
    const char *const argv[] = {"sh", "-ec", text, NULL};

    if (child_run(argv, &why)) {
        fail_msg("%s: %s", command, why);
    }
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);

    w->base = event_base_new();
    w->tick = tick_new(w->base);
    strcpy(w->dir, "/tmp/warren-test-member-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->remotes, sizeof w->remotes, "unix:%s/0.sock,unix:%s/1.sock", w->dir, w->dir);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    ovsdb_client_destroy(w->client);
    child_destroy(w->servers[0]);
    child_destroy(w->servers[1]);
    event_free(w->tick);
    event_base_free(w->base);
    shell(w, "rm -rf \"$PWD\"");
    free(w);
    return 0;
}

static void start_server(struct world *w, int i)
{
    _cleanup_free_ char *remote = xasprintf("--remote=punix:%s/%d.sock", w->dir, i);
    _cleanup_free_ char *file = xasprintf("%s/%d.db", w->dir, i);
    const char *const argv[] = {"ovsdb-server", "-vconsole:off", "-vsyslog:off", "--unixctl=none", remote, file, NULL};

    assert_int_equal(child_start(w->base, "ovsdb-server", argv, NULL, NULL, &w->servers[i]), 0);
    _cleanup_free_ char *command =
        xasprintf("ovsdb-client --timeout=20 wait unix:$PWD/%d.sock D connected", i); /* elected, by itself */
    shell(w, command);
}

static void stop_server(struct world *w, int i)
{
    child_destroy(w->servers[i]);
    w->servers[i] = NULL;
}

static void on_done(const struct ovsdb_result *r, void *arg)
{
    struct world *w = arg;

    assert_string_equal(r->error, "");
    w->done = true;
}

static void add_row(struct world *w)
{
    struct ovsdb_txn *t = ovsdb_client_txn(w->client);

    w->done = false;
    ovsdb_txn_insert(t, "T", NULL);
    ovsdb_txn_commit(t, on_done, w);
    RUN_UNTIL(w, w->done);
}

static size_t n_rows(const struct world *w)
{
    return ovsdb_client_n_rows(w->client, "T");
}

/* The second is the first as it was some transactions ago: each a cluster of one, so that it has a majority. */
static void a_member_that_lags(void **state)
{
    static const struct ovsdb_client_callbacks nothing = {0};
    struct world *w = *state;

    shell(w, "echo '{\"name\":\"D\",\"tables\":{\"T\":{\"isRoot\":true,\"columns\":{\"n\":{\"type\":\"integer\"}}}}}' "
             ">schema");
    /* The address is of 127.0.0.0/8, and one's own: nothing else listens there. */
    shell(w, "ovsdb-tool create-cluster 0.db schema tcp:127.77.66.55:16644");
    start_server(w, 0);
    assert_int_equal(ovsdb_client_new(w->base, w->remotes, "D", &nothing, NULL, &w->client, NULL), 0);
    ovsdb_client_monitor(w->client, "T", NULL);
    ovsdb_client_start(w->client);
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    add_row(w);
    shell(w, "cp 0.db 1.db");
    for (int i = 0; i < 20; i++) {
        add_row(w);
    }
    stop_server(w, 0);
    start_server(w, 1);
    RUN_UNTIL(w, strstr(ovsdb_client_last_error(w->client), "lags") || n_rows(w) != 21);
    assert_int_equal(n_rows(w), 21);
    assert_false(ovsdb_client_is_synced(w->client));
    stop_server(w, 1);
    start_server(w, 0);
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    assert_int_equal(n_rows(w), 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_they_say),
        cmocka_unit_test(put_back),
        cmocka_unit_test_setup_teardown(a_member_that_lags, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
