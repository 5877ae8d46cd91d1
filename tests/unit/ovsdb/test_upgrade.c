/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded server's file gets the schema of the program that starts it, and never less than whole. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "event_loop.h"
#include "ovsdb/client.h"
#include "server_dir.h"

#define RUN_UNTIL(w, condition) RUN_FOR(w, 10, condition, "")

struct world {
    struct event_base *base;
    struct event *tick;
    struct server_dir at;
    char backup[128], next[128];
    struct ovsdb_embedded *server;
    struct ovsdb_client *client;
    bool done;
};

/* The schema's text: MAX is the largest number that a row may have. */
static void write_schema(const struct world *w, const char *version, int max, const char *more)
{
    _cleanup_free_ char *text =
        xasprintf("{\"name\":\"Test\",\"version\":\"%s\",\"tables\":{\"Thing\":{\"isRoot\":true,\"columns\":{"
                  "\"number\":{\"type\":{\"key\":{\"type\":\"integer\",\"maxInteger\":%d}}}%s}}}}",
                  version, max, more);

    write_file(w->at.schema, text);
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);

    w->base = event_base_new();
    w->tick = tick_new(w->base);
    server_dir_make(&w->at);
    snprintf(w->backup, sizeof w->backup, "%s.backup-1.9.0", w->at.db);
    snprintf(w->next, sizeof w->next, "%s.next", w->at.db);
    *state = w;
    return 0;
}

static void stop(struct world *w)
{
    ovsdb_client_destroy(w->client);
    ovsdb_embedded_destroy(w->server);
    w->client = NULL;
    w->server = NULL;
}

static int teardown(void **state)
{
    struct world *w = *state;

    stop(w);
    event_free(w->tick);
    event_base_free(w->base);
    server_dir_remove(&w->at);
    free(w);
    return 0;
}

/* Starts the server, and a client that reads all. */
static void start(struct world *w)
{
    static const struct ovsdb_client_callbacks nothing = {0};
    struct ovsdb_embedded_options o = {.db_file = w->at.db, .schema_file = w->at.schema, .socket = w->at.socket};
    char *why = NULL;

    if (ovsdb_embedded_start(w->base, &o, &w->server, &why)) {
        fail_msg("%s", why);
    }
    assert_int_equal(ovsdb_client_new(w->base, w->at.remote, "Test", &nothing, NULL, &w->client, NULL), 0);
    ovsdb_client_monitor(w->client, "Thing", NULL);
    ovsdb_client_start(w->client);
    RUN_UNTIL(w, ovsdb_client_is_synced(w->client));
}

static void on_done(const struct ovsdb_result *r, void *arg)
{
    struct world *w = arg;

    assert_string_equal(r->error, "");
    w->done = true;
}

/* A database of version 1.9.0 with one row; 1.10.0 is newer, and so the file says next time. */
static void make_old(struct world *w)
{
    write_schema(w, "1.9.0", 100, "");
    start(w);
    struct ovsdb_txn *t = ovsdb_client_txn(w->client);
    ovsdb_set_int(ovsdb_txn_insert(t, "Thing", NULL), "number", 50);
    ovsdb_txn_commit(t, on_done, w);
    RUN_UNTIL(w, w->done);
    stop(w);
}

static bool has_column(const struct world *w, const char *column)
{
    const struct ovsdb_row *row = ovsdb_client_first(w->client, "Thing");

    assert_non_null(row);
    assert_int_equal(ovsdb_row_int(row, "number", 0), 50);
    return ovsdb_row_string(row, column);
}

static void assert_clean(const struct world *w)
{
    _cleanup_free_ char *lock = xasprintf("%s/.test.db.next.~lock~", w->at.dir);

    assert_int_not_equal(access(w->next, F_OK), 0);
    assert_int_not_equal(access(lock, F_OK), 0);
}

/* The schema's version that a file has. */
static void assert_version(const char *file, const char *version)
{
    _cleanup_free_ char *command = xasprintf("test \"$(ovsdb-tool db-version %s)\" = %s", file, version);
    const char *const argv[] = {"sh", "-c", command, NULL};

    if (child_run(argv, NULL)) {
        fail_msg("%s is not of version %s", file, version);
    }
}

static void a_newer_schema(void **state)
{
    struct world *w = *state;
    struct stat before, after;

    make_old(w);
    assert_int_equal(chmod(w->at.db, 0604), 0);
    write_schema(w, "1.10.0", 100, ",\"text\":{\"type\":\"string\"}");
    write_file(w->next, "of one that was killed");
    write_file(w->backup, "of an upgrade before, after which somebody went back");
    start(w);
    assert_true(has_column(w, "text"));
    assert_clean(w);
    assert_int_equal(stat(w->at.db, &after), 0);
    assert_int_equal(after.st_mode & 0777, 0604);
    stop(w);
    assert_version(w->at.db, "1.10.0");
    assert_version(w->backup, "1.9.0");

    /* Once is enough. */
    assert_int_equal(unlink(w->backup), 0);
    assert_int_equal(stat(w->at.db, &before), 0);
    start(w);
    assert_true(has_column(w, "text"));
    assert_int_equal(stat(w->at.db, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_not_equal(access(w->backup, F_OK), 0);
}

/* A program that is older than the file leaves it. */
static void an_older_schema(void **state)
{
    struct world *w = *state;

    make_old(w);
    write_schema(w, "1.10.0", 100, ",\"text\":{\"type\":\"string\"}");
    start(w);
    stop(w);
    write_schema(w, "1.9.0", 100, "");
    start(w);
    assert_true(has_column(w, "text"));
    stop(w);
    assert_version(w->at.db, "1.10.0");
}

/* A row that the new schema refuses: the file stays as it was, and is served. */
static void one_that_cannot_be_converted(void **state)
{
    struct world *w = *state;

    make_old(w);
    write_schema(w, "2.0.0", 10, ",\"text\":{\"type\":\"string\"}");
    start(w);
    assert_false(has_column(w, "text"));
    assert_clean(w);
    stop(w);
    assert_version(w->at.db, "1.9.0");
    assert_int_not_equal(access(w->backup, F_OK), 0);
}

/* The name may be a link to where the file is; it stays one. */
static void a_link(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *real = xasprintf("%s/real.db", w->at.dir), *backup = xasprintf("%s.backup-1.9.0", real);
    struct stat st;

    make_old(w);
    assert_int_equal(rename(w->at.db, real), 0);
    assert_int_equal(symlink("real.db", w->at.db), 0);
    write_schema(w, "1.10.0", 100, ",\"text\":{\"type\":\"string\"}");
    start(w);
    assert_true(has_column(w, "text"));
    stop(w);
    assert_int_equal(lstat(w->at.db, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_version(real, "1.10.0");
    assert_version(backup, "1.9.0");
}

/* Whoever has the file open must not lose it: the lock is respected, and the start fails as it does without. */
static void a_file_in_use(void **state)
{
    struct world *w = *state;
    char *why = NULL;

    make_old(w);
    start(w);
    write_schema(w, "1.10.0", 100, ",\"text\":{\"type\":\"string\"}");
    _cleanup_free_ char *socket = xasprintf("%s/other.sock", w->at.dir);
    struct ovsdb_embedded_options o = {.db_file = w->at.db, .schema_file = w->at.schema, .socket = socket};
    struct ovsdb_embedded *second = NULL;
    assert_true(ovsdb_embedded_start(w->base, &o, &second, &why) < 0);
    free(why);
    assert_version(w->at.db, "1.9.0");
    assert_int_not_equal(access(w->backup, F_OK), 0);
    assert_clean(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_newer_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_converted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_in_use, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
