/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ovsdb/splitter.h"

/* Feeds TEXT in chunks of CHUNK bytes; the objects that came out, compact, joined by '|', or the error. */
static int split(const char *text, size_t chunk, size_t limit, char *out)
{
    struct splitter s;
    size_t len = strlen(text), at = 0;
    int r = 0;

    splitter_init(&s, limit);
    *out = '\0';
    while (at < len && r >= 0) {
        json_t *json = NULL;
        size_t used = 0;

        r = splitter_feed(&s, text + at, MIN(chunk, len - at), &used, &json);
        at += used;
        if (r == 1) {
            char *dump = json_dumps(json, JSON_COMPACT);
            strcat(out, dump);
            strcat(out, "|");
            free(dump);
            json_decref(json);
        }
    }
    splitter_done(&s);
    return MIN(r, 0);
}

static void objects_at_any_chunk_size(void **state)
{
    (void)state;
    static const char text[] = " {\"a\":[1,{\"b\":2}]}{\"c\":\"}{\\\"]\\\\\"}\n\t{}";
    char out[256];

    for (size_t chunk = 1; chunk <= sizeof text; chunk++) {
        assert_int_equal(split(text, chunk, 1000, out), 0);
        assert_string_equal(out, "{\"a\":[1,{\"b\":2}]}|{\"c\":\"}{\\\"]\\\\\"}|{}|");
    }
}

static void what_is_no_object(void **state)
{
    (void)state;
    static const char *const table[] = {"x", "[1]", "\"s\"", "{]", "{\"a\":}", "{\"a\":1}}", "{}1", "{a:1}", "\x01{}"};
    char out[256];

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        assert_int_equal(split(table[i], 1, 1000, out), -EBADMSG);
        assert_int_equal(split(table[i], 100, 1000, out), -EBADMSG);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    _cleanup_strbuf_ struct strbuf b = {0};
    char out[256];

    strbuf_add(&b, "{\"a\":");
    for (int i = 0; i < 100000; i++) {
        strbuf_add(&b, "[");
    }
    for (int i = 0; i < 100000; i++) {
        strbuf_add(&b, "]");
    }
    strbuf_add(&b, "}");
    assert_int_equal(split(b.s, 4096, 1000000, out), -EBADMSG);
}

static void the_limit_is_exact(void **state)
{
    (void)state;
    char out[256];

    assert_int_equal(split("{\"a\":1} {\"b\":2}", 3, 7, out), 0);
    assert_string_equal(out, "{\"a\":1}|{\"b\":2}|");
    assert_int_equal(split("{\"a\":12}", 3, 7, out), -EMSGSIZE);
    assert_int_equal(split("{\"a\":12}", 100, 7, out), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(objects_at_any_chunk_size), cmocka_unit_test(what_is_no_object),
                                       cmocka_unit_test(deep_nesting_is_refused), cmocka_unit_test(the_limit_is_exact)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
