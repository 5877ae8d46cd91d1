/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "controller/liveness.h"

#define WALL 1700000000LL /* seconds, when the monotonic clock says 0 */

static const int a, b; /* rows */

struct world {
    struct liveness l;
    int64_t now; /* seconds */
};

static int64_t age(const struct world *w, const void *row, int64_t at, int64_t stored)
{
    return liveness_age(&w->l, row, at, stored, w->now * 1000, (WALL + w->now) * 1000) / 1000;
}

/* The offset that was measured, or -1: none was. */
static int64_t beat(struct world *w, const void *row, int64_t at)
{
    int64_t offset = -1;
    bool measured = liveness_beat(&w->l, row, at, w->now * 1000, (WALL + w->now) * 1000, &offset);

    assert_int_equal(measured, w->l.complete);
    return offset;
}

static void read_contents(struct world *w)
{
    liveness_complete(&w->l, w->now * 1000);
}

/* What counts is when the heartbeat came, not what the agent's clock said. */
static void clocks_that_are_off(void **state)
{
    (void)state;
    for (int64_t off = -7200; off <= 7200; off += 7200) {
        struct world w = {.now = 100};

        read_contents(&w);
        assert_int_equal(beat(&w, &a, WALL + 100 + off), -off);
        w.now += 50;
        assert_int_equal(age(&w, &a, WALL + 100 + off, 0), 50);
        assert_int_equal(beat(&w, &a, WALL + 150 + off), -off);
        assert_int_equal(age(&w, &a, WALL + 150 + off, 0), 0);
        w.now += 30;
        assert_int_equal(beat(&w, &a, WALL + 180), 0); /* the clock was set right */
        w.now += 80;
        assert_int_equal(age(&w, &a, WALL + 180, -off), 80);
        liveness_gone(&w.l, &a);
        liveness_done(&w.l);
    }
}

/* A controller that starts knows from the database how far clocks are off. */
static void a_start(void **state)
{
    struct world w = {.now = 1000};

    (void)state;
    for (int64_t off = -7200; off <= 7200; off += 3600) {
        int64_t at = WALL + 960 + off; /* 40 s ago */

        assert_int_equal(beat(&w, &a, at), -1);
        read_contents(&w);
        assert_int_equal(age(&w, &a, at, -off), 40);
        liveness_lost(&w.l);
    }
    /* Without the offset: one in the future is heard of again, or is as old as our view. */
    read_contents(&w);
    w.now += 90;
    assert_int_equal(age(&w, &a, WALL + 5000, 0), 90);
    assert_int_equal(beat(&w, &a, WALL + 5010), -3920);
    assert_int_equal(age(&w, &a, WALL + 5010, 0), 0);
    liveness_done(&w.l);
}

/* While the database is away nobody is heard of, and what changed meanwhile did not change when it is read. */
static void the_database_away(void **state)
{
    struct world w = {.now = 100};

    (void)state;
    read_contents(&w);
    beat(&w, &a, WALL + 700); /* 600 s ahead */
    beat(&w, &b, WALL + 100);
    liveness_lost(&w.l);
    w.now = 300;
    beat(&w, &a, WALL + 710); /* a's last word, at 110; b's was already there */
    read_contents(&w);
    assert_int_equal(age(&w, &a, WALL + 710, 0), 190);
    assert_int_equal(age(&w, &b, WALL + 100, 0), 200);
    /* Its clock was set an hour forward meanwhile: it is not alive for an hour because of that. */
    liveness_lost(&w.l);
    w.now = 400;
    beat(&w, &a, WALL + 4600);
    read_contents(&w);
    assert_int_equal(age(&w, &a, WALL + 4600, 0), 0);
    w.now = 480;
    assert_int_equal(age(&w, &a, WALL + 4600, 0), 80);
    liveness_done(&w.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_that_are_off),
        cmocka_unit_test(a_start),
        cmocka_unit_test(the_database_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
