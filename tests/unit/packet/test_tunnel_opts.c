/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of options by number: same bytes, same number; references keep, the rest makes way, the newest last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "packet/tunnel_opts.h"

static int intern(uint32_t n, uint32_t *ret_id)
{
    uint8_t opts[8] = {1, 2, 3, 1, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

    return tunnel_opts_intern(opts, sizeof opts, ret_id);
}

/* Blocks of a process before us keep their numbers; the numbers between are used in the end. */
static void test_restore(void **state)
{
    uint32_t id;
    size_t len;

    (void)state;
    assert_int_equal(tunnel_opts_restore(5, "\1\2\3\1abcd", 8), 0);
    assert_memory_equal(tunnel_opts_get(5, &len), "\1\2\3\1abcd", 8);
    assert_int_equal(len, 8);
    assert_null(tunnel_opts_get(3, &len));
    assert_int_equal(tunnel_opts_restore(5, "\1\2\3\1abcd", 8), 0);
    assert_int_equal(tunnel_opts_restore(5, "\1\2\3\1abce", 8), -EEXIST);
    assert_int_equal(tunnel_opts_restore(2, "\1\2\3\1abcd", 8), -EEXIST);
    assert_int_equal(tunnel_opts_restore(2, "\1\2\x83\1abce", 8), 0);
    assert_int_equal(tunnel_opts_restore(0, "\1\2\3\0", 4), -EINVAL);
    assert_int_equal(tunnel_opts_restore(TUNNEL_OPTS_MAX + 1, "\1\2\3\0", 4), -EINVAL);
    assert_int_equal(tunnel_opts_restore(7, "", 0), -EINVAL);
    assert_int_equal(tunnel_opts_intern("\1\2\3\1abcd", 8, &id), 0);
    assert_int_equal(id, 5);
    assert_false(tunnel_opts_critical(tunnel_opts_get(5, &len), 8));
    assert_true(tunnel_opts_critical(tunnel_opts_get(2, &len), 8));
}

static void test_same_bytes_same_number(void **state)
{
    uint8_t big[TUNNEL_OPTS_MAX_LEN + 4] = {0};
    uint32_t a, b, c = 7;
    size_t len;

    (void)state;
    assert_int_equal(intern(1, &a), 0);
    assert_int_equal(intern(2, &b), 0);
    assert_int_not_equal(a, b);
    assert_int_equal(intern(1, &b), 0);
    assert_int_equal(a, b);
    assert_int_equal(tunnel_opts_get(a, &len)[7], 1);
    assert_int_equal(len, 8);
    assert_null(tunnel_opts_get(0, &len));
    assert_int_equal(len, 0);
    assert_null(tunnel_opts_get(UINT32_MAX, &len));
    assert_int_equal(tunnel_opts_intern(NULL, 0, &c), 0);
    assert_int_equal(c, 0);
    c = 7;
    assert_int_equal(tunnel_opts_intern(big, sizeof big, &c), -EINVAL);
    assert_int_equal(c, 7);
    assert_int_equal(tunnel_opts_intern(big, TUNNEL_OPTS_MAX_LEN, &c), 0);
}

static void test_references_keep(void **state)
{
    uint32_t kept, id;
    size_t len;
    unsigned int n = 1000000;

    (void)state;
    assert_int_equal(intern(n, &kept), 0);
    tunnel_opts_ref(kept);
    for (unsigned int i = 1; i <= 3 * TUNNEL_OPTS_MAX; i++) { /* many more than there is room for */
        assert_int_equal(intern(n + i, &id), 0);
        assert_int_not_equal(id, kept);
    }
    assert_int_equal(tunnel_opts_get(kept, &len)[7], n & 0xff);
    tunnel_opts_unref(kept);
    for (unsigned int i = 1; i <= TUNNEL_OPTS_MAX; i++) {
        assert_int_equal(intern(5000000 + i, &id), 0);
    }
    assert_int_equal(intern(n, &id), 0); /* was forgotten, and comes back under some number */
}

static void test_full(void **state)
{
    uint32_t *ids = xcalloc(TUNNEL_OPTS_MAX, sizeof *ids), n = 0, id;

    (void)state;
    while (n < TUNNEL_OPTS_MAX && !intern(9000000 + n, &ids[n])) {
        tunnel_opts_ref(ids[n++]);
    }
    /* The most recent ones without a reference stay, as packets in flight need them. */
    assert_int_equal(n, TUNNEL_OPTS_MAX - TUNNEL_OPTS_RECENT);
    assert_int_equal(intern(123, &id), -ENOSPC);
    while (n) {
        tunnel_opts_unref(ids[--n]);
    }
    assert_int_equal(intern(123, &id), 0);
    free(ids);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_same_bytes_same_number),
        cmocka_unit_test(test_references_keep),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
