/* SPDX-License-Identifier: Apache-2.0 */
#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/child.h"

struct world {
    struct event_base *base;
    int started, ended, status;
};

static void started(struct child *c, pid_t pid, void *arg)
{
    struct world *w = arg;

    assert_int_equal(child_pid(c), pid);
    if (++w->started == 2) {
        event_base_loopbreak(w->base);
    }
}

static void ended(struct child *c, int status, void *arg)
{
    struct world *w = arg;

    assert_int_equal(child_pid(c), 0);
    w->ended++;
    w->status = status;
}

static const struct child_callbacks callbacks = {.started = started, .ended = ended};

static void is_restarted_and_stopped(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "1000", NULL};
    struct world w = {.base = event_base_new()};
    struct child *c = NULL;

    assert_int_equal(child_start(w.base, "sleeper", argv, &callbacks, &w, &c), 0);
    assert_int_equal(w.started, 1);
    pid_t first = child_pid(c);
    kill(first, SIGKILL);
    event_base_loopexit(w.base, &(struct timeval){.tv_sec = 5});
    event_base_dispatch(w.base);
    assert_int_equal(w.ended, 1);
    assert_true(WIFSIGNALED(w.status));
    assert_int_equal(w.started, 2);
    pid_t second = child_pid(c);
    assert_int_not_equal(first, second);
    child_destroy(c);
    assert_int_equal(kill(second, 0), -1);
    event_base_free(w.base);
}

static void cannot_be_executed(void **state)
{
    (void)state;
    const char *const argv[] = {"/nonexistent/program", NULL};
    struct event_base *base = event_base_new();
    struct child *c = NULL;
    char *why = NULL;

    assert_int_equal(child_start(base, "nothing", argv, NULL, NULL, &c), -ENOENT);
    assert_null(c);
    assert_int_equal(child_run(argv, &why), -EIO);
    assert_non_null(strstr(why, "No such file"));
    free(why);
    event_base_free(base);
}

static void run_tells_what_went_wrong(void **state)
{
    (void)state;
    const char *const good[] = {"true", NULL}, *const bad[] = {"sh", "-c", "echo sorry >&2; exit 3", NULL};
    char *why = NULL;

    assert_int_equal(child_run(good, &why), 0);
    assert_null(why);
    assert_int_equal(child_run(bad, &why), -EIO);
    assert_string_equal(why, "sorry");
    free(why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_restarted_and_stopped), cmocka_unit_test(cannot_be_executed),
                                       cmocka_unit_test(run_tells_what_went_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
