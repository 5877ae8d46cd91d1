/* SPDX-License-Identifier: Apache-2.0 */
/* The reconnect machine in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/reconnect.h"

static void first_try_is_at_once(void **state)
{
    (void)state;
    struct reconnect r;

    reconnect_init(&r, 100, 5000);
    assert_int_equal(reconnect_deadline(&r), 100);
    assert_int_equal(reconnect_run(&r, 100), RECONNECT_CONNECT);
}

static void backoff_doubles_to_eight_seconds(void **state)
{
    (void)state;
    static const int64_t waits[] = {1000, 2000, 4000, 8000, 8000, 8000};
    struct reconnect r;
    int64_t now = 0;

    reconnect_init(&r, now, 5000);
    for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
        assert_int_equal(reconnect_run(&r, now), RECONNECT_CONNECT);
        reconnect_connecting(&r, now);
        reconnect_failed(&r, now);
        assert_int_equal(reconnect_run(&r, now + waits[i] - 1), RECONNECT_NOTHING);
        assert_int_equal(reconnect_deadline(&r), now + waits[i]);
        now += waits[i];
    }
}

static void a_try_times_out(void **state)
{
    (void)state;
    struct reconnect r;

    reconnect_init(&r, 0, 0);
    reconnect_connecting(&r, 0);
    assert_int_equal(reconnect_run(&r, 999), RECONNECT_NOTHING);
    assert_int_equal(reconnect_run(&r, 1000), RECONNECT_DISCONNECT);
    reconnect_failed(&r, 1000);
    assert_int_equal(reconnect_deadline(&r), 2000);
}

static void probes_an_idle_peer_and_gives_it_up(void **state)
{
    (void)state;
    struct reconnect r;

    reconnect_init(&r, 0, 5000);
    reconnect_connecting(&r, 0);
    reconnect_connected(&r, 10);
    assert_int_equal(reconnect_run(&r, 5009), RECONNECT_NOTHING);
    assert_int_equal(reconnect_run(&r, 5010), RECONNECT_PROBE);
    assert_int_equal(reconnect_run(&r, 5011), RECONNECT_NOTHING);
    reconnect_activity(&r, 6000); /* the answer */
    assert_int_equal(reconnect_run(&r, 10999), RECONNECT_NOTHING);
    assert_int_equal(reconnect_run(&r, 11000), RECONNECT_PROBE);
    assert_int_equal(reconnect_run(&r, 15999), RECONNECT_NOTHING);
    assert_int_equal(reconnect_run(&r, 16000), RECONNECT_DISCONNECT);
    assert_true(reconnect_is_connected(&r));
    reconnect_failed(&r, 16000);
    assert_false(reconnect_is_connected(&r));
    assert_int_equal(reconnect_deadline(&r), 17000); /* it stood long: from the start again */
}

static void no_probes_when_zero(void **state)
{
    (void)state;
    struct reconnect r;

    reconnect_init(&r, 0, 0);
    reconnect_connected(&r, 0);
    assert_int_equal(reconnect_deadline(&r), RECONNECT_NEVER);
    assert_int_equal(reconnect_run(&r, INT64_MAX - 1), RECONNECT_NOTHING);
}

static void a_peer_that_hangs_up_at_once_is_not_hammered(void **state)
{
    (void)state;
    struct reconnect r;
    int64_t now = 0;

    reconnect_init(&r, 0, 0);
    for (int64_t wait = 1000; wait <= 8000; wait *= 2) {
        reconnect_connecting(&r, now);
        reconnect_connected(&r, now);
        reconnect_failed(&r, now + 1);
        assert_int_equal(reconnect_deadline(&r), now + 1 + wait);
        now += 1 + wait;
    }
    reconnect_force(&r, now);
    assert_int_equal(reconnect_run(&r, now), RECONNECT_CONNECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_try_is_at_once), cmocka_unit_test(backoff_doubles_to_eight_seconds),
        cmocka_unit_test(a_try_times_out),      cmocka_unit_test(probes_an_idle_peer_and_gives_it_up),
        cmocka_unit_test(no_probes_when_zero),  cmocka_unit_test(a_peer_that_hangs_up_at_once_is_not_hammered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
