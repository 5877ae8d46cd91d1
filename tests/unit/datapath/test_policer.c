/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/userspace/policer.h"

/* How many of N frames of LEN bytes, one every GAP_MS from *NOW on, pass. */
static unsigned int passed(struct policer *p, unsigned int n, size_t len, int64_t gap_ms, int64_t *now)
{
    unsigned int ok = 0;
    for (unsigned int i = 0; i < n; i++, *now += gap_ms) {
        ok += policer_admit(p, len, 1, *now);
    }
    return ok;
}

static void test_bits(void **state WR_UNUSED)
{
    struct policer p = {0};
    int64_t now = 1000;
    assert_false(policer_is_on(&p));
    policer_set(&p, &(struct dp_policing){.rate_kbps = 1000, .burst_kbits = 80}, now);
    assert_true(policer_is_on(&p));
    /* 80 kbit are ten frames of 1000 bytes; then 1000 bit/ms are one frame in 8 ms. */
    assert_int_equal(passed(&p, 50, 1000, 0, &now), 10);
    assert_int_equal(passed(&p, 100, 1000, 8, &now), 99);
    assert_int_equal(passed(&p, 200, 1000, 4, &now), 100);
    /* A long silence fills the bucket to its burst and not beyond. */
    now += 1000000000;
    assert_int_equal(passed(&p, 50, 1000, 0, &now), 10);
    /* The clock going back gives nothing. */
    now -= 5000;
    assert_int_equal(passed(&p, 5, 1000, 0, &now), 0);
}

static void test_frames_larger_than_the_burst(void **state WR_UNUSED)
{
    struct policer p = {0};
    int64_t now = 1000;
    policer_set(&p, &(struct dp_policing){.rate_kbps = 1000, .burst_kbits = 8}, now);
    assert_true(policer_admit(&p, 64000, 44, now)); /* the bucket was full */
    assert_false(policer_admit(&p, 60, 1, now + 500));
    assert_true(policer_admit(&p, 60, 1, now + 513)); /* 512000 bits of debt, less the burst, are paid */
}

/* Whenever they come: what they must wait for is not lost while they do not come. */
static void test_rate_of_frames_larger_than_the_burst(void **state WR_UNUSED)
{
    struct policer p = {0};
    int64_t now = 1000;
    policer_set(&p, &(struct dp_policing){.rate_kbps = 800, .burst_kbits = 8}, now);
    assert_in_range(passed(&p, 1000, 2000, 13, &now), 640, 650); /* one in 20 ms for 13 s */
    /* A long silence gives the others the burst and no more. */
    now += 1000000;
    assert_int_equal(passed(&p, 100, 100, 0, &now), 10);
}

static void test_packets_and_defaults(void **state WR_UNUSED)
{
    struct policer p = {0};
    int64_t now = 1000;
    policer_set(&p, &(struct dp_policing){.rate_kpps = 1}, now);
    assert_int_equal(passed(&p, 20000, 60, 0, &now), 16000);
    assert_int_equal(passed(&p, 1000, 60, 1, &now), 999);
    policer_set(&p, &(struct dp_policing){.rate_kbps = 1}, now);
    assert_int_equal(passed(&p, 2000, 1000, 0, &now), 1000); /* 8000 kbit */
    /* Setting the same again does not refill. */
    policer_set(&p, &(struct dp_policing){.rate_kbps = 1}, now);
    assert_int_equal(passed(&p, 2000, 1000, 0, &now), 0);
    policer_set(&p, &(struct dp_policing){.rate_kbps = UINT32_MAX, .rate_kpps = UINT32_MAX}, now);
    now += INT64_MAX / 4;
    assert_int_equal(passed(&p, 10, 1500, 1, &now), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_frames_larger_than_the_burst),
        cmocka_unit_test(test_rate_of_frames_larger_than_the_burst),
        cmocka_unit_test(test_packets_and_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
