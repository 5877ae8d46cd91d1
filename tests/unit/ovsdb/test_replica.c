/* SPDX-License-Identifier: Apache-2.0 */
/* The three forms of updates on a replica without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "ovsdb/replica.h"

#define U1 "00000000-0000-0000-0000-000000000001"
#define U2 "00000000-0000-0000-0000-000000000002"
#define U3 "00000000-0000-0000-0000-000000000003"

static const char schema_text[] =
    "{\"name\":\"T\",\"tables\":{\"Port\":{\"columns\":{"
    "\"name\":{\"type\":\"string\"},"
    "\"tag\":{\"type\":{\"key\":\"integer\",\"min\":0,\"max\":1}},"
    "\"trunks\":{\"type\":{\"key\":{\"type\":\"integer\"},\"min\":0,\"max\":4096}},"
    "\"interfaces\":{\"type\":{\"key\":{\"type\":\"uuid\"},\"min\":0,\"max\":\"unlimited\"}},"
    "\"up\":{\"type\":\"boolean\"},"
    "\"options\":{\"type\":{\"key\":\"string\",\"value\":\"string\",\"min\":0,\"max\":\"unlimited\"}}}}}}";

struct world {
    struct replica replica;
    char log[512]; /* "I1 M2 D3": kind and last digit of the row */
    char old_name[64];
    char missing[128];
};

static void on_missing(const char *table, const char *column, void *arg)
{
    struct world *w = arg;

    snprintf(w->missing, sizeof w->missing, "%s.%s", table, column ? column : "*");
}

static void on_change(const char *table, enum ovsdb_change change, const struct ovsdb_row *row,
                      const struct ovsdb_row *old, void *arg)
{
    struct world *w = arg;
    size_t n = strlen(w->log);

    assert_string_equal(table, "Port");
    assert_int_equal(old != NULL, change == OVSDB_MODIFY);
    if (old) {
        snprintf(w->old_name, sizeof w->old_name, "%s", ovsdb_row_string(old, "name"));
    }
    snprintf(w->log + n, sizeof w->log - n, "%c%d ", "IMD"[change], ovsdb_row_uuid(row) -> b[15]);
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    json_t *schema = json_loads(schema_text, 0, NULL);

    replica_init(&w->replica);
    replica_add_table(&w->replica, "Port", NULL);
    assert_int_equal(replica_set_schema(&w->replica, schema, on_missing, w), 0);
    json_decref(schema);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    replica_done(&w->replica);
    free(w);
    return 0;
}

static int apply(struct world *w, const char *text, enum replica_form form, bool replace)
{
    json_t *updates = json_loads(text, 0, NULL);

    assert_non_null(updates);
    w->log[0] = '\0';
    int error = replica_apply(&w->replica, updates, form, replace, on_change, w);
    json_decref(updates);
    return error;
}

static const struct ovsdb_row *row(struct world *w, const char *uuid_text)
{
    struct replica_table *t = replica_table(&w->replica, "Port");
    struct ovsdb_row *r = NULL;
    struct uuid uuid;

    assert_int_equal(uuid_parse(uuid_text, &uuid), 0);
    HASH_FIND(hh, t->rows, &uuid, sizeof uuid, r);
    return r;
}

static void update1(void **state)
{
    struct world *w = *state;

    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"new\":{\"name\":\"a\",\"tag\":5}}}}", REPLICA_UPDATE1, true),
                     0);
    assert_string_equal(w->log, "I1 ");
    assert_int_equal(ovsdb_row_int(row(w, U1), "tag", -1), 5);
    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"old\":{\"name\":\"a\"},\"new\":{\"name\":\"b\",\"tag\":5}}}}",
                           REPLICA_UPDATE1, false),
                     0);
    assert_string_equal(w->log, "M1 ");
    assert_string_equal(w->old_name, "a");
    assert_string_equal(ovsdb_row_string(row(w, U1), "name"), "b");
    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"old\":{\"name\":\"b\"}}}}", REPLICA_UPDATE1, false), 0);
    assert_string_equal(w->log, "D1 ");
    assert_null(row(w, U1));
}

static void defaults_are_filled_in(void **state)
{
    struct world *w = *state;

    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"initial\":{}}}}", REPLICA_UPDATE2, true), 0);
    const struct ovsdb_row *r = row(w, U1);
    assert_string_equal(ovsdb_row_string(r, "name"), "");
    assert_int_equal(ovsdb_row_size(r, "tag"), 0);
    assert_int_equal(ovsdb_row_int(r, "tag", -1), -1);
    assert_false(ovsdb_row_bool(r, "up", true));
    assert_int_equal(ovsdb_row_size(r, "options"), 0);
    assert_null(ovsdb_row_string(r, "nonexistent"));
    assert_int_equal(ovsdb_row_size(r, "nonexistent"), 0);
}

static void update2_differences(void **state)
{
    struct world *w = *state;

    assert_int_equal(apply(w,
                           "{\"Port\":{\"" U1 "\":{\"insert\":{\"name\":\"a\",\"tag\":5,\"trunks\":[\"set\",[1,2]],"
                           "\"interfaces\":[\"uuid\",\"" U2 "\"],"
                           "\"options\":[\"map\",[[\"k\",\"v\"],[\"x\",\"1\"],[\"y\",\"2\"]]]}}}}",
                           REPLICA_UPDATE2, false),
                     0);
    assert_int_equal(apply(w,
                           "{\"Port\":{\"" U1 "\":{\"modify\":{\"tag\":[\"set\",[]],\"trunks\":[\"set\",[2,7]],"
                           "\"interfaces\":[\"set\",[[\"uuid\",\"" U2 "\"],[\"uuid\",\"" U3 "\"]]],"
                           "\"options\":[\"map\",[[\"k\",\"w\"],[\"x\",\"1\"],[\"z\",\"3\"]]]}}}}",
                           REPLICA_UPDATE2, false),
                     0);
    assert_string_equal(w->log, "M1 ");
    const struct ovsdb_row *r = row(w, U1);
    struct uuid uuid;
    assert_string_equal(ovsdb_row_string(r, "name"), "a");
    assert_int_equal(ovsdb_row_size(r, "tag"), 0);
    assert_int_equal(ovsdb_row_size(r, "trunks"), 2);
    assert_int_equal(ovsdb_row_set_int(r, "trunks", 0), 1);
    assert_int_equal(ovsdb_row_set_int(r, "trunks", 1), 7);
    assert_true(ovsdb_row_get_uuid(r, "interfaces", &uuid));
    assert_int_equal(uuid.b[15], 3);
    assert_int_equal(ovsdb_row_size(r, "options"), 3);
    assert_string_equal(ovsdb_row_map_string(r, "options", "k"), "w");
    assert_null(ovsdb_row_map_string(r, "options", "x"));
    assert_int_equal(ovsdb_row_map_int(r, "options", "z", 0), 3);
    assert_int_equal(ovsdb_row_map_int(r, "options", "k", -4), -4);
    /* A set of several can come down to one, which OVSDB writes as the element alone, and to none. */
    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"modify\":{\"trunks\":7}}}}", REPLICA_UPDATE2, false), 0);
    assert_int_equal(ovsdb_row_int(row(w, U1), "trunks", -1), 1);
    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"modify\":{\"trunks\":1,\"tag\":9}}}}", REPLICA_UPDATE2, false),
                     0);
    assert_int_equal(ovsdb_row_size(row(w, U1), "trunks"), 0);
    assert_int_equal(ovsdb_row_int(row(w, U1), "tag", -1), 9);
    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"delete\":null}}}", REPLICA_UPDATE2, false), 0);
    assert_string_equal(w->log, "D1 ");
}

static void new_contents_replace_by_difference(void **state)
{
    struct world *w = *state;

    assert_int_equal(apply(w,
                           "{\"Port\":{\"" U1 "\":{\"initial\":{\"name\":\"a\",\"trunks\":[\"set\",[3,1,2]]}},"
                           "\"" U2 "\":{\"initial\":{\"name\":\"b\"}},\"" U3 "\":{\"initial\":{\"name\":\"c\"}}}}",
                           REPLICA_UPDATE2, true),
                     0);
    const struct ovsdb_row *first = row(w, U1);
    assert_int_equal(apply(w,
                           "{\"Port\":{\"" U1 "\":{\"initial\":{\"name\":\"a\",\"trunks\":[\"set\",[2,3,1]]}},"
                           "\"" U2 "\":{\"initial\":{\"name\":\"B\"}}}}",
                           REPLICA_UPDATE2, true),
                     0);
    assert_string_equal(w->log, "D3 M2 ");
    assert_ptr_equal(first, row(w, U1));
    assert_int_equal(apply(w, "{}", REPLICA_UPDATE2, true), 0);
    assert_null(row(w, U1));
    assert_null(row(w, U2));
}

static void nonsense_is_refused(void **state)
{
    struct world *w = *state;
    static const char *const table[] = {
        "{\"Port\":{\"no-uuid\":{\"initial\":{}}}}",
        "{\"Port\":{\"" U1 "\":{}}}",
        "{\"Port\":{\"" U1 "\":7}}",
        "{\"Port\":{\"" U1 "\":{\"modify\":{\"name\":\"x\"}}}}", /* a row that we do not have */
        "[]",
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        assert_int_equal(apply(w, table[i], REPLICA_UPDATE2, false), -EBADMSG);
        assert_string_equal(w->log, "");
    }
    assert_int_equal(apply(w, "{\"Other\":{\"" U1 "\":{\"initial\":{}}}}", REPLICA_UPDATE2, false), 0);
    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"initial\":{\"nonexistent\":1}}}}", REPLICA_UPDATE2, false), 0);
    assert_int_equal(apply(w, "{\"Port\":{\"" U1 "\":{\"modify\":{\"options\":\"x\"}}}}", REPLICA_UPDATE2, false),
                     -EBADMSG);
}

static void what_the_schema_lacks_is_told(void **state)
{
    struct world *w = *state;
    json_t *schema = json_loads(schema_text, 0, NULL);

    replica_add_table(&w->replica, "Port", (const char *const[]){"name", "colour", NULL});
    assert_int_equal(replica_set_schema(&w->replica, schema, on_missing, w), 0);
    assert_string_equal(w->missing, "Port.colour");
    assert_int_equal(json_object_size(replica_table(&w->replica, "Port")->columns), 1);
    replica_add_table(&w->replica, "Nothing", NULL);
    assert_int_equal(replica_set_schema(&w->replica, schema, on_missing, w), 0);
    json_decref(schema);
    json_t *bad = json_pack("{s:i}", "tables", 3);
    assert_int_equal(replica_set_schema(&w->replica, bad, on_missing, w), -EBADMSG);
    json_decref(bad);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(update1),
        TEST(defaults_are_filled_in),
        TEST(update2_differences),
        TEST(new_contents_replace_by_difference),
        TEST(nonsense_is_refused),
        TEST(what_the_schema_lacks_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
