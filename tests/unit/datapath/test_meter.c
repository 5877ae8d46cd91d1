/* SPDX-License-Identifier: Apache-2.0 */
/* Meters in virtual time: rates, bursts, several bands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "datapath/meter.h"

/* How many of N frames of LEN bytes, one each STEP_MS from FROM_MS on, pass. */
static unsigned int admitted(struct dp_meter *m, unsigned int n, uint32_t len, uint64_t from_ms, uint64_t step_ms)
{
    unsigned int passed = 0;

    for (unsigned int i = 0; i < n; i++) {
        passed += dp_meter_admit(m, len, 1, from_ms + i * step_ms) == DP_METER_NONE;
    }
    return passed;
}

static void test_packets(void **state WR_UNUSED)
{
    struct dp_meter m = {0};
    const struct dp_meter_config c = {.pktps = 1, .n_bands = 1, .bands = {{.rate = 100, .burst = 10}}};

    dp_meter_configure(&m, &c, 1000);
    assert_int_equal(admitted(&m, 50, 1500, 1000, 0), 10);  /* the burst at once */
    assert_int_equal(admitted(&m, 5, 60, 1010, 0), 1);      /* 10 ms later, one more */
    assert_int_equal(admitted(&m, 1000, 60, 1020, 1), 100); /* a second of 1000 packets/s */
    assert_int_equal(m.stats.in.packets, 1055);
    assert_int_equal(m.stats.bands[0].packets, 1055 - 111);
    assert_int_equal(m.stats.bands[0].bytes, 40 * 1500 + 4 * 60 + 900 * 60);
    /* A super-packet counts as what it stands for. */
    assert_int_equal(dp_meter_admit(&m, 6000, 4, 100000), DP_METER_NONE);
    assert_int_equal(admitted(&m, 10, 60, 100000, 0), 6);
}

static void test_bits(void **state WR_UNUSED)
{
    struct dp_meter m = {0};
    /* 800 kbit/s are 100 bytes a ms; no burst: what a second gives. */
    const struct dp_meter_config c = {.n_bands = 1, .bands = {{.rate = 800}}};

    dp_meter_configure(&m, &c, 0);
    assert_int_equal(m.config.bands[0].burst, 800);
    assert_int_equal(admitted(&m, 200, 1000, 0, 0), 100);
    assert_int_equal(admitted(&m, 1000, 1000, 0, 1), 99);
}

static void test_larger_than_the_burst(void **state WR_UNUSED)
{
    struct dp_meter m = {0};
    const struct dp_meter_config c = {.n_bands = 1, .bands = {{.rate = 8, .burst = 8}}}; /* 1000 bytes */

    dp_meter_configure(&m, &c, 0);
    assert_int_equal(dp_meter_admit(&m, 3000, 2, 0), DP_METER_NONE);
    assert_int_equal(dp_meter_admit(&m, 100, 1, 2000), 0); /* in debt for two seconds, */
    assert_int_equal(dp_meter_admit(&m, 100, 1, 2100), DP_METER_NONE);
}

/* Whenever they come: what they must wait for is not lost while they do not come. */
static void test_rate_of_larger_than_the_burst(void **state WR_UNUSED)
{
    struct dp_meter m = {0};
    const struct dp_meter_config c = {.n_bands = 1, .bands = {{.rate = 800, .burst = 8}}}; /* 1000 bytes */

    dp_meter_configure(&m, &c, 0);
    assert_in_range(admitted(&m, 1000, 2000, 0, 13), 640, 650); /* one in 20 ms for 13 s */
    /* A long silence gives the others the burst and no more. */
    assert_int_equal(admitted(&m, 100, 100, 1000000, 0), 10);
}

static void test_bands(void **state WR_UNUSED)
{
    struct dp_meter m = {0};
    const struct dp_meter_config c = {
        .pktps = 1, .n_bands = 2, .bands = {{.rate = 20, .burst = 20}, {.rate = 10, .burst = 10}}};

    dp_meter_configure(&m, &c, 0);
    assert_int_equal(admitted(&m, 30, 60, 0, 0), 10);
    assert_int_equal(m.stats.bands[1].packets, 10); /* over the lower rate only */
    assert_int_equal(m.stats.bands[0].packets, 10); /* over both: the higher one's */
}

static void test_long_ago(void **state WR_UNUSED)
{
    struct dp_meter m = {0};
    const struct dp_meter_config c = {.n_bands = 1, .bands = {{.rate = UINT32_MAX, .burst = UINT32_MAX}}};

    dp_meter_configure(&m, &c, 0);
    assert_int_equal(dp_meter_admit(&m, 65535, 45, UINT64_MAX / 2), DP_METER_NONE);
    assert_int_equal(dp_meter_admit(&m, 65535, 45, 5), DP_METER_NONE); /* and a clock that goes back */
    assert_int_equal(m.tokens[0], (int64_t)UINT32_MAX * 1000 - 2 * 65535 * 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_larger_than_the_burst),
        cmocka_unit_test(test_rate_of_larger_than_the_burst),
        cmocka_unit_test(test_bands),
        cmocka_unit_test(test_long_ago),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
