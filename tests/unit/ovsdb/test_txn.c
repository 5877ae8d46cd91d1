/* SPDX-License-Identifier: Apache-2.0 */
/* What the transaction builder builds, and what it makes of replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "ovsdb/txn_private.h"

#define U1 "00000000-0000-0000-0000-000000000001"

static const json_t *reply_to_give; /* what the server would say */
static char *sent;

static struct ovsdb_result last;
static char last_error[128];
static struct uuid last_inserted;

/* The client's end, which the library's own client.c is not linked for: names resolve here first. */
void client_submit(struct ovsdb_client *c, struct ovsdb_txn *t)
{
    (void)c;
    free(sent);
    sent = json_dumps(t->ops, JSON_COMPACT | JSON_SORT_KEYS);
    txn_end(t, reply_to_give);
}

static void done(const struct ovsdb_result *r, void *arg)
{
    (void)arg;
    last = *r;
    snprintf(last_error, sizeof last_error, "%s", r->error);
    ovsdb_result_inserted(r, "p", &last_inserted);
}

static void commit(struct ovsdb_txn *t, const char *reply)
{
    json_t *json = reply ? json_loads(reply, 0, NULL) : NULL;

    reply_to_give = json;
    ovsdb_txn_commit(t, done, NULL);
    json_decref(json);
}

static void operations(void **state)
{
    (void)state;
    struct ovsdb_txn *t = txn_new(NULL);
    struct uuid u = {{[15] = 1}};

    json_t *row = ovsdb_txn_insert(t, "Port", "p");
    ovsdb_set_string(row, "name", "vx");
    ovsdb_set_int(row, "tag", 3);
    ovsdb_set(row, "options", ovsdb_string_map((const char *const[]){"k", "v", NULL}));
    ovsdb_txn_mutate(t, "Bridge", &u, "ports", "insert", ovsdb_named_uuid("p"));
    ovsdb_txn_mutate(t, "Bridge", &u, "n", "+=", json_integer(1));
    ovsdb_set_string(ovsdb_txn_wait(t, "Port", ovsdb_where_uuid(&u), "=="), "name", "old");
    ovsdb_txn_wait_no_row(t, "Port", ovsdb_where("name", "==", json_string("vx")));
    ovsdb_txn_delete(t, "Port", &u);
    ovsdb_txn_comment(t, "made by %s", "a t\xc3\xa9st, cut: \xc3");
    assert_int_equal(ovsdb_txn_n_ops(t), 6);
    commit(t, "{\"id\":1,\"error\":null,\"result\":[{\"uuid\":[\"uuid\",\"" U1
              "\"]},{\"count\":1},{},{},{\"count\":1},{}]}");
    assert_string_equal(
        sent, "[{\"op\":\"insert\",\"row\":{\"name\":\"vx\",\"options\":[\"map\",[[\"k\",\"v\"]]],\"tag\":3},"
              "\"table\":\"Port\",\"uuid-name\":\"p\"},"
              "{\"mutations\":[[\"ports\",\"insert\",[\"named-uuid\",\"p\"]],[\"n\",\"+=\",1]],\"op\":\"mutate\","
              "\"table\":\"Bridge\",\"where\":[[\"_uuid\",\"==\",[\"uuid\",\"" U1 "\"]]]},"
              "{\"columns\":[\"name\"],\"op\":\"wait\",\"rows\":[{\"name\":\"old\"}],\"table\":\"Port\",\"timeout\":0,"
              "\"until\":\"==\",\"where\":[[\"_uuid\",\"==\",[\"uuid\",\"" U1 "\"]]]},"
              "{\"columns\":[],\"op\":\"wait\",\"rows\":[],\"table\":\"Port\",\"timeout\":0,\"until\":\"==\","
              "\"where\":[[\"name\",\"==\",\"vx\"]]},"
              "{\"op\":\"delete\",\"table\":\"Port\",\"where\":[[\"_uuid\",\"==\",[\"uuid\",\"" U1 "\"]]]},"
              "{\"comment\":\"made by a t\xc3\xa9st, cut: ?\",\"op\":\"comment\"}]");
    assert_int_equal(last.status, OVSDB_TXN_COMMITTED);
    assert_string_equal(last_error, "");
    assert_true(uuid_equal(&last_inserted, &u));
    free(sent);
    sent = NULL;
}

static void statuses(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum ovsdb_txn_status status;
        const char *error;
    } table[] = {
        {"{\"error\":null,\"result\":[{}]}", OVSDB_TXN_COMMITTED, ""},
        {"{\"error\":null,\"result\":[{\"error\":\"timed out\"},null]}", OVSDB_TXN_TRY_AGAIN, "timed out"},
        {"{\"error\":null,\"result\":[{\"error\":\"not owner\"}]}", OVSDB_TXN_TRY_AGAIN, "not owner"},
        {"{\"error\":null,\"result\":[{},{\"error\":\"constraint violation\",\"details\":\"d\"}]}", OVSDB_TXN_ERROR,
         "constraint violation: d"},
        {"{\"error\":\"canceled\",\"result\":null}", OVSDB_TXN_ERROR, "canceled"},
        {"{\"error\":{\"error\":\"syntax error\",\"details\":\"x\"},\"result\":null}", OVSDB_TXN_ERROR,
         "syntax error: x"},
        {NULL, OVSDB_TXN_DISCONNECTED, "not connected to the database"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct ovsdb_txn *t = txn_new(NULL);

        ovsdb_txn_comment(t, "x");
        commit(t, table[i].reply);
        assert_int_equal(last.status, table[i].status);
        assert_string_equal(last_error, table[i].error);
    }
    free(sent);
    sent = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(operations), cmocka_unit_test(statuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
