/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/local.h"

#include <event2/event.h>

#define LOOK_EVERY_US 10000 /* the clients tell of a failed first try by no callback */

static void on_tick(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg WR_UNUSED) {}

int local_wait(struct event_base *base, const struct local_wait *wait, int64_t timeout_ms)
{
    int64_t deadline = time_mono_ms() + timeout_ms;
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    int status = -ETIMEDOUT;

    if (!tick || event_add(tick, &(struct timeval){.tv_usec = LOOK_EVERY_US})) {
        status = -ENOMEM;
        goto out;
    }
    while (time_mono_ms() < deadline) {
        if (wait->done(wait->arg)) {
            status = 0;
            break;
        }
        if (*wait->last_error(wait->arg)) {
            status = -ENOTCONN;
            break;
        }
        event_base_loop(base, EVLOOP_ONCE);
    }
out:
    if (tick) {
        event_free(tick);
    }
    return status;
}
