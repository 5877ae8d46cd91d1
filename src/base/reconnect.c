/* SPDX-License-Identifier: Apache-2.0 */
#include "base/reconnect.h"

static void enter(struct reconnect *r, enum reconnect_state state, int64_t now)
{
    r->state = state;
    r->since = now;
}

void reconnect_init(struct reconnect *r, int64_t now, int64_t probe_ms)
{
    *r = (struct reconnect){.state = RECONNECT_BACKOFF,
                            .since = now,
                            .min_backoff_ms = RECONNECT_MIN_BACKOFF_MS,
                            .max_backoff_ms = RECONNECT_MAX_BACKOFF_MS,
                            .probe_ms = probe_ms};
}

void reconnect_set_probe(struct reconnect *r, int64_t probe_ms)
{
    r->probe_ms = probe_ms;
}

void reconnect_force(struct reconnect *r, int64_t now)
{
    r->backoff_ms = 0;
    enter(r, RECONNECT_BACKOFF, now);
}

void reconnect_connecting(struct reconnect *r, int64_t now)
{
    enter(r, RECONNECT_CONNECTING, now);
}

void reconnect_connected(struct reconnect *r, int64_t now)
{
    r->connected = now;
    r->activity = now;
    enter(r, RECONNECT_ACTIVE, now);
}

void reconnect_activity(struct reconnect *r, int64_t now)
{
    r->activity = now;
    if (r->state == RECONNECT_PROBING) {
        enter(r, RECONNECT_ACTIVE, now);
    }
}

bool reconnect_is_connected(const struct reconnect *r)
{
    return r->state == RECONNECT_ACTIVE || r->state == RECONNECT_PROBING;
}

void reconnect_failed(struct reconnect *r, int64_t now)
{
    /* A peer that accepts and hangs up at once must not be hammered: only a connection that lasted clears the slate. */
    if (reconnect_is_connected(r) && now - r->connected >= MAX(r->backoff_ms, r->min_backoff_ms)) {
        r->backoff_ms = 0;
    }
    r->backoff_ms = r->backoff_ms ? MIN(r->backoff_ms * 2, r->max_backoff_ms) : r->min_backoff_ms;
    enter(r, RECONNECT_BACKOFF, now);
}

int64_t reconnect_deadline(const struct reconnect *r)
{
    switch (r->state) {
    case RECONNECT_BACKOFF:
        return r->since + r->backoff_ms;
    case RECONNECT_CONNECTING:
        return r->since + MAX(r->min_backoff_ms, r->backoff_ms);
    case RECONNECT_ACTIVE:
        return r->probe_ms ? r->activity + r->probe_ms : RECONNECT_NEVER;
    case RECONNECT_PROBING:
        return r->probe_ms ? r->since + r->probe_ms : RECONNECT_NEVER;
    }
    return RECONNECT_NEVER;
}

enum reconnect_action reconnect_run(struct reconnect *r, int64_t now)
{
    if (now < reconnect_deadline(r)) {
        return RECONNECT_NOTHING;
    }
    switch (r->state) {
    case RECONNECT_BACKOFF:
        return RECONNECT_CONNECT;
    case RECONNECT_ACTIVE:
        enter(r, RECONNECT_PROBING, now);
        return RECONNECT_PROBE;
    case RECONNECT_CONNECTING:
    case RECONNECT_PROBING:
        return RECONNECT_DISCONNECT;
    }
    return RECONNECT_NOTHING;
}
