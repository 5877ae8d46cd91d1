/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "base/util.h"

static void characters(void **state)
{
    static const struct {
        const char *text;
        size_t len, n;
    } table[] = {
        {"", 0, 0},
        {"ab", 2, 1},
        {"\0", 1, 1},
        {"\x7f", 1, 1},
        {"\x80", 1, 0},
        {"\xc1\xbf", 2, 0}, /* overlong */
        {"\xc2\x80", 2, 2},
        {"\xc2\x80", 1, 0}, /* cut */
        {"\xdf\xbf", 2, 2},
        {"\xdf\xc0", 2, 0},
        {"\xe0\x9f\xbf", 3, 0}, /* overlong */
        {"\xe0\xa0\x80", 3, 3},
        {"\xe6\xb0\xb4", 3, 3},
        {"\xe6\xb0\xb4", 2, 0},
        {"\xe6\xb0\x34", 3, 0},
        {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0}, /* a surrogate */
        {"\xef\xbf\xbf", 3, 3},
        {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
        {"\xf0\x9f\x90\x87", 4, 4},
        {"\xf0\x9f\x90\x87", 3, 0},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf4\x90\x80\x80", 4, 0}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xff", 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (utf8_character(table[i].text, table[i].len) != table[i].n) {
            fail_msg("row %zu: %zu", i, utf8_character(table[i].text, table[i].len));
        }
    }
}

static void assert_clean(const char *text, const char *wanted)
{
    _cleanup_free_ char *copy = xstrdup(text);

    assert_int_equal(utf8_is_clean(text), !strcmp(text, wanted));
    utf8_clean(copy);
    assert_string_equal(copy, wanted);
    assert_true(utf8_is_clean(copy));
}

static void clean(void **state)
{
    (void)state;
    assert_clean("", "");
    assert_clean("plain", "plain");
    assert_clean("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    assert_clean("wan\xe9 x", "wan? x");            /* Latin-1 */
    assert_clean("\x80 \xc3\xbc", "? \xc3\xbc");    /* a lone continuation */
    assert_clean("\xe2\x82", "??");                 /* the end is cut off */
    assert_clean("\xe2\x82\xc3\xbc", "??\xc3\xbc"); /* … and the next is whole */
    assert_clean("\xed\xa0\x80\xf0\x9f\x90\x87", "???\xf0\x9f\x90\x87");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(characters), cmocka_unit_test(clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
