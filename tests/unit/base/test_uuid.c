/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/uuid.h"

static void parse_and_format(void **state)
{
    (void)state;
    struct uuid u;

    assert_int_equal(uuid_parse("01234567-89AB-cdef-0123-456789abcdef", &u), 0);
    assert_int_equal(u.b[0], 0x01);
    assert_int_equal(u.b[15], 0xef);
    assert_string_equal(UUID_STR(&u), "01234567-89ab-cdef-0123-456789abcdef");
    assert_false(uuid_is_zero(&u));
}

static void bad(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "0",
        "01234567-89ab-cdef-0123-456789abcde",
        "01234567-89ab-cdef-0123-456789abcdef0",
        "0123456789ab-cdef-0123-456789abcdef0",
        "01234567-89ab-cdef-0123-456789abcdeg",
        " 1234567-89ab-cdef-0123-456789abcdef",
    };
    struct uuid u = {{7}};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        assert_int_equal(uuid_parse(table[i], &u), -EINVAL);
        assert_int_equal(u.b[0], 7);
    }
}

static void random_is_version_4(void **state)
{
    (void)state;
    struct uuid a = uuid_random(), b = uuid_random(), back;

    assert_int_equal(a.b[6] >> 4, 4);
    assert_int_equal(a.b[8] >> 6, 2);
    assert_false(uuid_equal(&a, &b));
    assert_int_equal(uuid_parse(UUID_STR(&a), &back), 0);
    assert_true(uuid_equal(&a, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parse_and_format), cmocka_unit_test(bad),
                                       cmocka_unit_test(random_is_version_4)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
