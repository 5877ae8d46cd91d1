/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a real ovsdb-server in a directory of its own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "event_loop.h"
#include "ovsdb/client.h"
#include "server_dir.h"

#define RUN_UNTIL(w, condition) RUN_FOR(w, 10, condition, (w)->log)

static const char schema_text[] =
    "{\"name\":\"Test\",\"version\":\"1.0.0\",\"tables\":{"
    "\"Thing\":{\"isRoot\":true,\"indexes\":[[\"name\"]],\"columns\":{"
    "\"name\":{\"type\":\"string\"},"
    "\"number\":{\"type\":{\"key\":{\"type\":\"integer\",\"minInteger\":0,\"maxInteger\":100},\"min\":0,\"max\":1}},"
    "\"tags\":{\"type\":{\"key\":\"string\",\"min\":0,\"max\":\"unlimited\"}},"
    "\"options\":{\"type\":{\"key\":\"string\",\"value\":\"string\",\"min\":0,\"max\":\"unlimited\"}},"
    "\"parts\":{\"type\":{\"key\":{\"type\":\"uuid\",\"refTable\":\"Part\"},\"min\":0,\"max\":\"unlimited\"}}}},"
    "\"Part\":{\"columns\":{\"label\":{\"type\":\"string\"}}}}}";

struct world {
    struct event_base *base;
    struct event *tick;
    struct server_dir at;
    struct ovsdb_embedded *server;
    struct ovsdb_client *client;
    /* what the callbacks saw */
    char log[512]; /* "Ia Mb Dc": kind and name */
    int updates;
    bool done;
    enum ovsdb_txn_status status;
    char error[256];
    char log_at_done[512];
    struct uuid inserted;
    int64_t count;
    size_t n_selected;
    size_t select_op;
};

static void on_change(struct ovsdb_client *c, const char *table, enum ovsdb_change change, const struct ovsdb_row *row,
                      const struct ovsdb_row *old, void *arg)
{
    struct world *w = arg;
    size_t n = strlen(w->log);

    (void)c;
    assert_int_equal(old != NULL, change == OVSDB_MODIFY);
    if (!strcmp(table, "Thing")) {
        snprintf(w->log + n, sizeof w->log - n, "%c%s ", "IMD"[change], ovsdb_row_string(row, "name"));
    }
}

static void on_updated(struct ovsdb_client *c, void *arg)
{
    struct world *w = arg;

    (void)c;
    w->updates++;
}

static const struct ovsdb_client_callbacks callbacks = {.change = on_change, .updated = on_updated};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);

    w->base = event_base_new();
    w->tick = tick_new(w->base);
    server_dir_make(&w->at);
    write_file(w->at.schema, schema_text);
    w->server = server_dir_start(&w->at, w->base, w->at.schema);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    ovsdb_client_destroy(w->client);
    ovsdb_embedded_destroy(w->server);
    event_free(w->tick);
    event_base_free(w->base);
    server_dir_remove(&w->at);
    free(w);
    return 0;
}

static struct ovsdb_client *connect_client(struct world *w, const char *remotes)
{
    struct ovsdb_client *c = NULL;

    assert_int_equal(ovsdb_client_new(w->base, remotes, "Test", &callbacks, w, &c, NULL), 0);
    ovsdb_client_monitor(c, "Thing", NULL);
    ovsdb_client_monitor(c, "Part", (const char *const[]){"label", NULL});
    return c;
}

static void start(struct world *w)
{
    w->client = connect_client(w, w->at.remote);
    ovsdb_client_start(w->client);
    assert_false(ovsdb_client_is_synced(w->client));
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
}

static void on_done(const struct ovsdb_result *r, void *arg)
{
    struct world *w = arg;

    assert_false(w->done);
    w->done = true;
    w->status = r->status;
    snprintf(w->error, sizeof w->error, "%s", r->error);
    strcpy(w->log_at_done, w->log);
    ovsdb_result_inserted(r, "row", &w->inserted);
    w->count = ovsdb_result_count(r, 0);
    w->n_selected = json_array_size(ovsdb_result_rows(r, w->select_op));
}

static enum ovsdb_txn_status commit(struct world *w, struct ovsdb_txn *t)
{
    w->done = false;
    w->log[0] = '\0';
    ovsdb_txn_commit(t, on_done, w);
    assert_false(w->done);
    RUN_UNTIL(w, w->done);
    return w->status;
}

static struct uuid insert(struct world *w, const char *name)
{
    struct ovsdb_txn *t = ovsdb_client_txn(w->client);

    ovsdb_set_string(ovsdb_txn_insert(t, "Thing", "row"), "name", name);
    assert_int_equal(commit(w, t), OVSDB_TXN_COMMITTED);
    return w->inserted;
}

static void insert_modify_delete(void **state)
{
    struct world *w = *state;

    start(w);
    struct ovsdb_txn *t = ovsdb_client_txn(w->client);
    json_t *row = ovsdb_txn_insert(t, "Thing", "row");
    ovsdb_set_string(row, "name", "a");
    ovsdb_set(row, "tags", ovsdb_strings((const char *const[]){"y", "x", NULL}));
    ovsdb_set(row, "options", ovsdb_string_map((const char *const[]){"k", "v", NULL}));
    ovsdb_set(row, "parts", ovsdb_named_uuid("part"));
    ovsdb_set_string(ovsdb_txn_insert(t, "Part", "part"), "label", "wheel");
    assert_int_equal(commit(w, t), OVSDB_TXN_COMMITTED);
    assert_string_equal(w->log_at_done, "Ia "); /* the update comes before the reply */
    struct uuid a = w->inserted;
    const struct ovsdb_row *r = ovsdb_client_row(w->client, "Thing", &a);
    assert_non_null(r);
    assert_ptr_equal(r, ovsdb_client_find(w->client, "Thing", "name", "a"));
    assert_true(ovsdb_row_set_has_string(r, "tags", "x"));
    assert_false(ovsdb_row_set_has_string(r, "tags", "z"));
    const struct ovsdb_row *part = ovsdb_client_ref(w->client, r, "parts", 0, "Part");
    assert_non_null(part);
    assert_string_equal(ovsdb_row_string(part, "label"), "wheel");

    t = ovsdb_client_txn(w->client);
    row = ovsdb_txn_update(t, "Thing", &a);
    ovsdb_set_int(row, "number", 7);
    ovsdb_txn_mutate(t, "Thing", &a, "tags", "delete", json_string("x"));
    ovsdb_txn_mutate(t, "Thing", &a, "options", "insert", ovsdb_string_map((const char *const[]){"n", "0x10", NULL}));
    assert_int_equal(commit(w, t), OVSDB_TXN_COMMITTED);
    assert_int_equal(w->count, 1);
    assert_string_equal(w->log_at_done, "Ma ");
    assert_int_equal(ovsdb_row_int(r, "number", -1), 7);
    assert_string_equal(ovsdb_row_string(r, "tags"), "y");
    assert_int_equal(ovsdb_row_map_int(r, "options", "n", 0), 16);
    assert_string_equal(ovsdb_row_map_string(r, "options", "k"), "v");

    t = ovsdb_client_txn(w->client);
    ovsdb_txn_delete(t, "Thing", &a);
    w->select_op = ovsdb_txn_select(t, "Thing", json_array(), NULL);
    assert_int_equal(commit(w, t), OVSDB_TXN_COMMITTED);
    assert_string_equal(w->log_at_done, "Da ");
    assert_int_equal(w->n_selected, 0);
    assert_int_equal(ovsdb_client_n_rows(w->client, "Thing"), 0);
    assert_int_equal(ovsdb_client_n_rows(w->client, "Part"), 0);                   /* collected by the server */
    assert_int_equal(commit(w, ovsdb_client_txn(w->client)), OVSDB_TXN_COMMITTED); /* empty */
}

static void waits_and_errors_change_nothing(void **state)
{
    struct world *w = *state;

    start(w);
    struct uuid a = insert(w, "a");
    struct ovsdb_txn *t = ovsdb_client_txn(w->client);
    ovsdb_set_string(ovsdb_txn_insert(t, "Thing", NULL), "name", "a"); /* the index forbids a second */
    assert_int_equal(commit(w, t), OVSDB_TXN_ERROR);
    assert_non_null(strstr(w->error, "constraint violation"));

    t = ovsdb_client_txn(w->client);
    ovsdb_set_string(ovsdb_txn_insert(t, "Thing", NULL), "name", "b");
    ovsdb_set_int(ovsdb_txn_update(t, "Thing", &a), "number", 101);
    assert_int_equal(commit(w, t), OVSDB_TXN_ERROR);
    assert_int_equal(ovsdb_client_n_rows(w->client, "Thing"), 1);

    t = ovsdb_client_txn(w->client);
    ovsdb_set_string(ovsdb_txn_wait(t, "Thing", ovsdb_where_uuid(&a), "=="), "name", "other");
    ovsdb_set_int(ovsdb_txn_update(t, "Thing", &a), "number", 1);
    assert_int_equal(commit(w, t), OVSDB_TXN_TRY_AGAIN);
    t = ovsdb_client_txn(w->client);
    ovsdb_txn_wait_no_row(t, "Thing", ovsdb_where("name", "==", json_string("a")));
    assert_int_equal(commit(w, t), OVSDB_TXN_TRY_AGAIN);

    t = ovsdb_client_txn(w->client);
    ovsdb_txn_wait_row(t, "Thing", &a);
    ovsdb_txn_wait_no_row(t, "Thing", ovsdb_where("name", "==", json_string("zz")));
    ovsdb_set_string(ovsdb_txn_wait(t, "Thing", ovsdb_where_uuid(&a), "=="), "name", "a");
    ovsdb_set_int(ovsdb_txn_update(t, "Thing", &a), "number", 2);
    assert_int_equal(commit(w, t), OVSDB_TXN_COMMITTED);
    assert_int_equal(ovsdb_row_int(ovsdb_client_row(w->client, "Thing", &a), "number", -1), 2);

    t = ovsdb_client_txn(w->client);
    ovsdb_txn_assert(t, "not_mine");
    assert_int_equal(commit(w, t), OVSDB_TXN_TRY_AGAIN);
    t = ovsdb_client_txn(w->client);
    ovsdb_txn_op(t, json_pack("{s:s}", "op", "nonsense"));
    assert_int_equal(commit(w, t), OVSDB_TXN_ERROR);
}

static void conditions(void **state)
{
    struct world *w = *state;
    json_t *one = json_pack("[[sss]]", "name", "==", "a"),
           *two = json_pack("[[sss][sss]]", "name", "==", "a", "name", "==", "b");

    w->client = connect_client(w, w->at.remote);
    ovsdb_client_set_condition(w->client, "Thing", json_pack("[b]", 0));
    ovsdb_client_start(w->client);
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    insert(w, "a");
    insert(w, "b");
    insert(w, "c");
    assert_string_equal(w->log, "");
    ovsdb_client_set_condition(w->client, "Thing", one);
    assert_false(ovsdb_client_is_synced(w->client));
    ovsdb_client_set_condition(w->client, "Thing", two); /* while the first is on its way */
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    assert_string_equal(w->log, "Ia Ib ");
    ovsdb_client_set_condition(w->client, "Thing", NULL);
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    assert_string_equal(w->log, "Ia Ib Ic ");
    ovsdb_client_set_condition(w->client, "Thing", json_pack("[[sss]]", "name", "==", "c"));
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    assert_int_equal(ovsdb_client_n_rows(w->client, "Thing"), 1);
}

static pid_t server_pid(const struct world *w)
{
    FILE *f = fopen(w->at.pidfile, "r");
    int pid = 0;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    assert_true(pid > 1);
    return pid;
}

static void the_replica_comes_back_by_difference(void **state)
{
    struct world *w = *state;
    const char *const transact[] = {
        "ovsdb-tool", "transact", w->at.db,
        "[\"Test\",{\"op\":\"delete\",\"table\":\"Thing\",\"where\":[[\"name\",\"==\",\"gone\"]]},"
        "{\"op\":\"update\",\"table\":\"Thing\",\"where\":[[\"name\",\"==\",\"changed\"]],\"row\":{\"number\":9}},"
        "{\"op\":\"insert\",\"table\":\"Thing\",\"row\":{\"name\":\"new\"}}]",
        NULL};
    char *why = NULL;

    start(w);
    insert(w, "same");
    insert(w, "changed");
    insert(w, "gone");
    const struct ovsdb_row *same = ovsdb_client_find(w->client, "Thing", "name", "same");
    kill(server_pid(w), SIGKILL);
    RUN_UNTIL(w, !ovsdb_client_is_connected(w->client));
    assert_int_equal(ovsdb_client_n_rows(w->client, "Thing"), 3); /* still readable */
    assert_true(*ovsdb_client_last_error(w->client) != '\0');
    struct ovsdb_txn *t = ovsdb_client_txn(w->client);
    ovsdb_txn_comment(t, "nobody hears this");
    assert_int_equal(commit(w, t), OVSDB_TXN_DISCONNECTED);
    if (child_run(transact, &why)) { /* the server is started again 1 s later */
        fail_msg("%s", why);
    }
    w->log[0] = '\0';
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    assert_int_equal(strlen(w->log), strlen("Dgone Mchanged Inew ")); /* in any order */
    assert_non_null(strstr(w->log, "Dgone "));
    assert_non_null(strstr(w->log, "Mchanged "));
    assert_non_null(strstr(w->log, "Inew "));
    assert_ptr_equal(same, ovsdb_client_find(w->client, "Thing", "name", "same"));
}

static void a_cut_connection_is_resumed(void **state)
{
    struct world *w = *state;
    const char *const cut[] = {"ovs-appctl", "-t", w->at.control, "ovsdb-server/reconnect", NULL};
    char *why = NULL;

    start(w);
    insert(w, "a");
    int updates = w->updates;
    w->log[0] = '\0';
    if (child_run(cut, &why)) {
        fail_msg("%s", why);
    }
    RUN_UNTIL(w, !ovsdb_client_is_connected(w->client));
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    assert_string_equal(w->log, "");
    assert_true(w->updates > updates);
    insert(w, "b");
    assert_string_equal(w->log, "Ib ");
}

static void the_next_remote_is_tried(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *remotes = xasprintf("unix:%s/nobody,%s", w->at.dir, w->at.remote);
    struct ovsdb_client *c = NULL;
    char *why = NULL;

    w->client = connect_client(w, remotes);
    ovsdb_client_start(w->client);
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
    assert_string_equal(ovsdb_client_remote(w->client), w->at.remote);
    assert_int_equal(ovsdb_client_new(w->base, "tcp:1.2.3.4,nonsense", "Test", &callbacks, w, &c, &why), -EINVAL);
    assert_non_null(strstr(why, "nonsense"));
    free(why);
    assert_int_equal(ovsdb_client_new(w->base, "ptcp:1", "Test", &callbacks, w, &c, NULL), -EINVAL);
    assert_int_equal(ovsdb_client_new(w->base, "", "Test", &callbacks, w, &c, NULL), -EINVAL);
}

static void a_lock_goes_from_one_to_the_next(void **state)
{
    struct world *w = *state;
    struct ovsdb_client *second = connect_client(w, w->at.remote);

    start(w);
    ovsdb_client_lock(w->client, "leader");
    RUN_UNTIL(w, ovsdb_client_has_lock(w->client, "leader"));
    ovsdb_client_lock(second, "leader"); /* before its start: asked for at the connect */
    ovsdb_client_start(second);
    RUN_UNTIL(w, ovsdb_client_is_synced(second));
    assert_false(ovsdb_client_has_lock(second, "leader"));
    struct ovsdb_txn *t = ovsdb_client_txn(w->client);
    ovsdb_txn_assert(t, "leader");
    assert_int_equal(commit(w, t), OVSDB_TXN_COMMITTED);
    t = ovsdb_client_txn(second);
    ovsdb_txn_assert(t, "leader");
    assert_int_equal(commit(w, t), OVSDB_TXN_TRY_AGAIN);
    ovsdb_client_unlock(w->client, "leader");
    RUN_UNTIL(w, ovsdb_client_has_lock(second, "leader"));
    ovsdb_client_lock(w->client, "leader");
    ovsdb_client_destroy(second); /* a holder that dies hands it on, too */
    RUN_UNTIL(w, ovsdb_client_has_lock(w->client, "leader"));
}

static void destroy_ends_what_is_pending(void **state)
{
    struct world *w = *state;

    start(w);
    struct ovsdb_txn *t = ovsdb_client_txn(w->client);
    ovsdb_txn_comment(t, "x");
    ovsdb_txn_commit(t, on_done, w);
    ovsdb_client_destroy(TAKE_PTR(w->client));
    assert_true(w->done);
    assert_int_equal(w->status, OVSDB_TXN_DISCONNECTED);
}

static void embedded_says_what_is_wrong(void **state)
{
    struct world *w = *state;
    struct ovsdb_embedded_options o = {
        .db_file = "/dev/null/x.db", .schema_file = w->at.schema, .socket = "/nonexistent/s"};
    struct ovsdb_embedded *e = NULL;
    char *why = NULL;

    assert_true(ovsdb_embedded_start(w->base, &o, &e, &why) < 0);
    assert_non_null(strstr(why, "/dev/null/x.db"));
    free(why);
    o.schema_file = "/nonexistent/schema";
    assert_int_equal(ovsdb_embedded_start(w->base, &o, &e, &why), -ENOENT);
    assert_non_null(strstr(why, "/nonexistent/schema"));
    free(why);
    o = (struct ovsdb_embedded_options){
        .db_file = w->at.schema, .schema_file = w->at.schema, .socket = "/nonexistent/s"};
    assert_int_equal(ovsdb_embedded_start(w->base, &o, &e, &why), -EIO);
    free(why);
    o = (struct ovsdb_embedded_options){.db_file = w->at.db, .schema_file = w->at.schema, .socket = w->at.socket};
    assert_int_equal(ovsdb_embedded_start(w->base, &o, &e, NULL), 0); /* the one that runs already */
    ovsdb_embedded_destroy(e);
    start(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(insert_modify_delete),
        TEST(waits_and_errors_change_nothing),
        TEST(conditions),
        TEST(the_replica_comes_back_by_difference),
        TEST(a_cut_connection_is_resumed),
        TEST(the_next_remote_is_tried),
        TEST(a_lock_goes_from_one_to_the_next),
        TEST(destroy_ends_what_is_pending),
        TEST(embedded_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
