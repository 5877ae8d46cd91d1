/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "base/slow_close.h"
#include "base/util.h"

#define N 500

/* The write ends are given up; only when they are closed do the read ends end. */
static void test_all_are_closed(void **state WR_UNUSED)
{
    static int reads[N];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            int fds[2];
            assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
            reads[i] = fds[0];
            slow_close(fds[1]);
        }
        slow_close(-1);
        slow_close_wait();
        for (int i = 0; i < N; i++) {
            char byte;
            assert_int_equal(read(reads[i], &byte, 1), 0);
            close(reads[i]);
        }
    }
    slow_close_wait(); /* nothing to wait for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_are_closed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
