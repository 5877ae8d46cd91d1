/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/types.h"
#include "base/util.h"

static bool is_directory(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* In a directory of its own, where there is a file. */
static void directories(void **state)
{
    static const struct {
        const char *path, *there;
        int result;
        bool file; /* make_parents() */
    } cases[] = {
        {"a", "a", 0},           {"b/c/d", "b/c/d", 0},
        {"b/c/d", "b/c/d", 0}, /* again */
        {"e//f/", "e/f", 0},     {"", "a", -ENOENT},
        {"file", "a", -ENOTDIR}, {"file/g", "a", -ENOTDIR},
        {"/", "/", 0},           {"h/i", "h", 0, true},
        {"j", "h", 0, true},     {"", "h", 0, true},
        {"/k", "h", 0, true},    {"file/l/m", "h", -ENOTDIR, true},
    };
    char dir[] = "/tmp/warren-util-XXXXXX", here[4096], command[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(dir), 0);
    fclose(fopen("file", "w"));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(cases[i].file ? make_parents(cases[i].path) : make_directories(cases[i].path),
                         cases[i].result);
        assert_true(is_directory(cases[i].there));
    }
    assert_false(is_directory("h/i"));
    assert_false(is_directory("j"));
    assert_int_equal(chdir(here), 0);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void prefixes(void **state)
{
    static const struct {
        struct ip_addr addr, prefix;
        unsigned int bits;
        bool has;
    } cases[] = {
        {{{{1, 2}}}, {{{1, 3}}}, 0, true},
        {{{{1, 2}}}, {{{1, 3}}}, 8, true},
        {{{{1, 2}}}, {{{1, 3}}}, 15, true},
        {{{{1, 2}}}, {{{1, 3}}}, 16, false},
        {{{{1, 2}}}, {{{1, 2}}}, 128, true},
        {{{{[15] = 1}}}, {{{[15] = 0}}}, 127, true},
        {{{{[15] = 1}}}, {{{[15] = 0}}}, 128, false},
        {{{{0x80}}}, {{{0}}}, 1, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(ip_addr_has_prefix(&cases[i].addr, &cases[i].prefix, cases[i].bits), cases[i].has);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes),
        cmocka_unit_test(directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
