/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cli/api.h"
#include "cli/table.h"

static void aligned(void **state WR_UNUSED)
{
    static const char *const titles[] = {"ID", "NAME", "X"};
    _cleanup_table_ struct table t;
    _cleanup_strbuf_ struct strbuf b = {0};

    table_init(&t, 3, titles);
    table_add(&t, "1");
    table_add(&t, "größer"); /* eight bytes, six columns */
    table_add(&t, "a");
    table_add(&t, "long one");
    table_add(&t, NULL);
    table_addf(&t, "%d", 5);
    table_add(&t, "unfinished");
    table_format(&t, &b);
    assert_string_equal(strbuf_str(&b), "ID          NAME    X\n"
                                        "1           größer  a\n"
                                        "long one            5\n"
                                        "unfinished\n");
}

/* Two columns each, none for what is put onto the letter before; and bytes that are no text count like letters. */
static void wide_and_combining(void **state WR_UNUSED)
{
    static const char *const titles[] = {"NAME", "X"};
    _cleanup_table_ struct table t;
    _cleanup_strbuf_ struct strbuf b = {0};

    table_init(&t, 2, titles);
    table_add(&t, "网络");
    table_add(&t, "1");
    table_add(&t, "e\xcc\x81tat");
    table_add(&t, "2");
    table_add(&t, "\xff\xc3");
    table_add(&t, "3");
    table_format(&t, &b);
    assert_string_equal(strbuf_str(&b), "NAME  X\n"
                                        "网络  1\n"
                                        "e\xcc\x81tat  2\n"
                                        "\xff\xc3    3\n");
}

static void nothing_drives_the_terminal(void **state WR_UNUSED)
{
    _cleanup_table_ struct table t;
    _cleanup_strbuf_ struct strbuf b = {0};

    table_init(&t, 1, NULL);
    table_add(&t, "a\x1b[2J\nb\x7f");
    table_add(&t, "c\xc2\x9b"
                  "2Jd\xc2\xa0\xc3\x9b"); /* U+009B begins a sequence as ESC [ does; U+00A0 and U+00DB are text */
    table_format(&t, &b);
    assert_string_equal(strbuf_str(&b), "a\\x1b[2J\\x0ab\\x7f\n"
                                        "c\\x9b"
                                        "2Jd\xc2\xa0\xc3\x9b\n");
}

static void cells(void **state WR_UNUSED)
{
    static const char *const cases[][2] = {
        {"\"text\"", "text"},
        {"null", ""},
        {"true", "true"},
        {"false", "false"},
        {"1450", "1450"},
        {"-5", "-5"},
        {"1.5", "1.5"},
        {"[]", ""},
        {"{}", ""},
        {"[\"a\", \"b\"]", "a, b"},
        {"{\"k\": \"v\", \"n\": 2}", "k=v n=2"},
        {"[{\"start\": \"x\", \"end\": \"y\"}, {\"start\": \"z\"}]", "start=x end=y; start=z"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *value = json_loads(cases[i][0], JSON_DECODE_ANY, NULL);
        _cleanup_strbuf_ struct strbuf b = {0};

        assert_non_null(value);
        cell_json(value, &b);
        assert_string_equal(strbuf_str(&b), cases[i][1]);
        json_decref(value);
    }
}

static void paths_are_escaped(void **state WR_UNUSED)
{
    _cleanup_strbuf_ struct strbuf path = {0};

    strbuf_add(&path, "networks/");
    api_segment(&path, "a/b?");
    api_query(&path, "name", "x&y=\xc3\xa9 z");
    api_query(&path, "host", "hv-1.~_");
    assert_string_equal(strbuf_str(&path), "networks/a%2Fb%3F?name=x%26y%3D%C3%A9%20z&host=hv-1.~_");
}

static void endpoints(void **state WR_UNUSED)
{
    static const char *const bad[] = {"",           "127.0.0.1:9696", "ftp://x",
                                      "http://x?y", "http://a b",     "file:///etc/passwd"};
    struct api *api = NULL;
    char *error = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(api_new(bad[i], 1000, &api, &error), -EINVAL);
        assert_null(api);
        free(TAKE_PTR(error));
    }
    assert_int_equal(api_new("http://127.0.0.1:9696/", 1000, &api, &error), 0);
    api_destroy(api);
    api_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned), cmocka_unit_test(wide_and_combining), cmocka_unit_test(nothing_drives_the_terminal),
        cmocka_unit_test(cells),   cmocka_unit_test(paths_are_escaped),  cmocka_unit_test(endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
