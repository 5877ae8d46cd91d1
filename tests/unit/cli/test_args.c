/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cli/args.h"

static const struct arg_option first[] = {{"json", NULL, "", false}, {"endpoint", "URL", "", false}};
static const struct arg_option second[] = {{"dns", "ADDRESS", "", true}, {"mtu", "N", "", false, "maximum size"}};
static const struct arg_table tables[] = {{first, ARRAY_SIZE(first)}, {second, ARRAY_SIZE(second)}};

/* Splits LINE at blanks and parses it. */
static int parse(char *line, struct args *args, bool until_word, int *pos, char **ret_error)
{
    static char *argv[32];
    char *save = NULL;
    int argc = 0;

    for (char *word = strtok_r(line, " ", &save); word && argc < 32; word = strtok_r(NULL, " ", &save)) {
        argv[argc++] = word;
    }
    *pos = 0;
    return args_parse(args, tables, ARRAY_SIZE(tables), argc, argv, pos, until_word, ret_error);
}

static void words_and_options(void **state WR_UNUSED)
{
    _cleanup_args_ struct args args = {0};
    _cleanup_free_ char *error = NULL;
    char line[] = "net --dns 1.1.1.1 --json --dns=2.2.2.2 - --mtu 9 -- --odd -x";
    int64_t n = -1;
    int pos;

    assert_int_equal(parse(line, &args, false, &pos, &error), 0);
    assert_int_equal(args.n_words, 4);
    assert_string_equal(args.words[0], "net");
    assert_string_equal(args.words[1], "-");
    assert_string_equal(args.words[2], "--odd");
    assert_string_equal(args.words[3], "-x");
    assert_true(args_has(&args, "json"));
    assert_false(args_has(&args, "endpoint"));
    assert_string_equal(args_at(&args, "dns", 0), "1.1.1.1");
    assert_string_equal(args_at(&args, "dns", 1), "2.2.2.2");
    assert_null(args_at(&args, "dns", 2));
    assert_int_equal(args_int(&args, "mtu", 0, 10, &n, &error), 0);
    assert_int_equal(n, 9);
    assert_int_equal(args_int(&args, "endpoint", 0, 10, &n, &error), -ENOENT);
}

static void other_names(void **state WR_UNUSED)
{
    static const char *const good[] = {"--mtu 3", "--maximum 3", "--size=3"};
    static const char *const bad[] = {"--max 3", "--sizes 3", "-- 3", "--maximum 3 --mtu 3", "--=3"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        _cleanup_args_ struct args args = {0};
        _cleanup_free_ char *error = NULL, *line = xstrdup(good[i]);
        int pos;

        assert_int_equal(parse(line, &args, false, &pos, &error), 0);
        assert_string_equal(args_get(&args, "mtu"), "3");
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_args_ struct args args = {0};
        _cleanup_free_ char *error = NULL, *line = xstrdup(bad[i]);
        int pos, status = parse(line, &args, false, &pos, &error);

        assert_true(status == -EINVAL || !args.n_values);
    }
}

static void stops_at_the_first_word(void **state WR_UNUSED)
{
    _cleanup_args_ struct args args = {0};
    _cleanup_free_ char *error = NULL;
    char line[] = "--endpoint u network --json";
    int pos;

    assert_int_equal(parse(line, &args, true, &pos, &error), 0);
    assert_int_equal(pos, 2);
    assert_int_equal(args.n_words, 0);
    assert_string_equal(args_get(&args, "endpoint"), "u");
    assert_false(args_has(&args, "json"));
}

static void refused(void **state WR_UNUSED)
{
    static const struct {
        const char *line, *error;
    } cases[] = {
        {"--nope", "unknown option --nope"},         {"--js", "unknown option --js"},
        {"--nope=3", "unknown option --nope"},       {"-j", "unknown option -j"},
        {"--json=yes", "--json takes no value"},     {"--endpoint", "--endpoint needs a value: --endpoint URL"},
        {"--mtu 1 --mtu 2", "--mtu is given twice"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_args_ struct args args = {0};
        _cleanup_free_ char *error = NULL, *line = xstrdup(cases[i].line);
        int pos;

        assert_int_equal(parse(line, &args, false, &pos, &error), -EINVAL);
        assert_string_equal(error, cases[i].error);
    }
}

static void no_numbers(void **state WR_UNUSED)
{
    static const char *const bad[] = {"", "x", "1x", "+1", "0x10", "11", "-1", "99999999999999999999", "-", "1.0"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_args_ struct args args = {0};
        _cleanup_free_ char *error = NULL, *line = xasprintf("--mtu=%s", bad[i]);
        int64_t n = 77;
        int pos;

        assert_int_equal(parse(line, &args, false, &pos, &error), 0);
        assert_int_equal(args_int(&args, "mtu", 0, 10, &n, &error), -EINVAL);
        assert_non_null(strstr(error, "not a number from 0 to 10"));
        assert_int_equal(n, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_options), cmocka_unit_test(other_names), cmocka_unit_test(stops_at_the_first_word),
        cmocka_unit_test(refused),           cmocka_unit_test(no_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
