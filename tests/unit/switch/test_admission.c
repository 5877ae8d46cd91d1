/* SPDX-License-Identifier: Apache-2.0 */
/* New flows are admitted at once, in a storm with their second packet; the storm ends, what was seen is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "switch/admission.h"

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct admission));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

/* N different flows from FIRST on at time NOW; how many of them were admitted. */
static unsigned int ask(struct admission *a, uint32_t first, unsigned int n, int64_t now)
{
    unsigned int admitted = 0;

    for (unsigned int i = 0; i < n; i++) {
        admitted += admission_ask(a, first + i, now);
    }
    return admitted;
}

static void test_storm(void **state)
{
    struct admission *a = *state;

    assert_int_equal(ask(a, 0, ADMISSION_STORM, 1000), ADMISSION_STORM);
    assert_int_equal(ask(a, 5000, 3000, 1010), 0); /* a storm begins: first packets */
    assert_int_equal(ask(a, 5000, 3000, 1020), 3000);
    /* The next window is stormy from its first miss on. */
    assert_int_equal(ask(a, 20000, 2000, 1110), 0);
    assert_int_equal(ask(a, 20000, 10, 1150), 10);
    /* A quiet window ends it. */
    assert_int_equal(ask(a, 30000, 10, 1220), 0);
    assert_int_equal(ask(a, 40000, 10, 1330), 10);
}

static void test_pause_ends_it(void **state)
{
    struct admission *a = *state;

    ask(a, 0, 3 * ADMISSION_STORM, 1000);
    assert_int_equal(ask(a, 10000, 5, 1000 + 2 * ADMISSION_WINDOW_MS), 5);
}

static void test_forgets(void **state)
{
    struct admission *a = *state;
    int64_t now = 10000;

    ask(a, 0, 2 * ADMISSION_STORM, now);
    assert_int_equal(ask(a, 50000, 5, now), 0);
    now += ADMISSION_MEMORY_MS; /* remembered in the bitmap before */
    ask(a, 60000, 2 * ADMISSION_STORM, now);
    assert_int_equal(ask(a, 50000, 3, now), 3);
    now += 2 * ADMISSION_MEMORY_MS;
    ask(a, 70000, 2 * ADMISSION_STORM, now);
    now += ADMISSION_MEMORY_MS;
    ask(a, 80000, 2 * ADMISSION_STORM, now);
    assert_int_equal(ask(a, 50003, 2, now), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgets, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
