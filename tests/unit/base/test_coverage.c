/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/coverage.h"

COVERAGE(test_b);
COVERAGE(test_a);

static void test_counters(void **state WR_UNUSED)
{
    const struct coverage *a = coverage_find("test_a");
    double tick, minute, hour;
    assert_non_null(a);
    assert_ptr_equal(coverage_all(), a); /* sorted */
    assert_string_equal(a->next->name, "test_b");
    assert_null(coverage_find("test_c"));
    coverage_add(test_a, 10);
    coverage_inc(test_a);
    assert_int_equal(a->total, 11);
    coverage_rates(a, &tick, &minute, &hour);
    assert_true(tick == 0 && minute == 0 && hour == 0); /* no tick yet */
    coverage_add(test_a, 589);
    coverage_tick();
    coverage_rates(a, &tick, &minute, &hour);
    assert_true(tick == 120 && minute == 10 && hour == 600 / 3600.0);
    for (int i = 0; i < COVERAGE_TICKS - 1; i++) {
        coverage_tick();
    }
    coverage_rates(a, &tick, &minute, &hour);
    assert_true(tick == 0 && minute == 10 && hour == 600 / 3600.0);
    for (int i = 0; i < COVERAGE_TICKS * (COVERAGE_MINUTES - 1); i++) {
        coverage_rates(a, &tick, &minute, &hour);
        assert_true(hour == 600 / 3600.0);
        coverage_tick();
    }
    coverage_tick();
    coverage_rates(a, &tick, &minute, &hour);
    assert_true(tick == 0 && minute == 0 && hour == 0);
    assert_int_equal(a->total, 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
