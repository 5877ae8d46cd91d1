/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_OVSDB_EVENT_LOOP_H
#define WARREN_TESTS_OVSDB_EVENT_LOOP_H
/* An event loop that a test turns until something holds, and a file for a server. Behind cmocka's headers; the test's
 * struct world has `base` and `tick`, by which the loop wakes up to look. */
#include <event2/event.h>
#include <stdio.h>

#include "base/util.h"

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static inline struct event *tick_new(struct event_base *base)
{
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);

    event_add(tick, &(struct timeval){.tv_usec = 10000});
    return tick;
}

static inline void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Runs the loop until CONDITION holds, SECONDS at most; MORE, a string, goes into the failure. */
#define RUN_FOR(w, seconds, condition, more)                                                                           \
    do {                                                                                                               \
        int64_t end_ = time_mono_ms() + (seconds)*1000;                                                                \
        while (!(condition) && time_mono_ms() < end_) {                                                                \
            event_base_loop((w)->base, EVLOOP_ONCE);                                                                   \
        }                                                                                                              \
        if (!(condition)) {                                                                                            \
            fail_msg("not within %d s: %s %s", (seconds), #condition, (more));                                         \
        }                                                                                                              \
    } while (0)

#endif
