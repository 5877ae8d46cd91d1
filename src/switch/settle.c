/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/settle.h"

#include "base/util.h"
#include "switch/flow_table.h"

struct tables {
    uint64_t newest; /* change, learned addresses aside */
    bool restored;   /* all bridges' are as the process before us left them */
    bool some, all;  /* bridges have flows: more than the one of a new bridge, or as they were left */
};

static struct tables look_at_tables(const struct switch_ *sw)
{
    struct tables t = {.newest = sw->full_generation, .restored = true, .all = true};
    struct bridge *br, *next;

    HASH_ITER(hh, sw->bridges, br, next) {
        bool has_flows = flow_table_count(br) > 1;

        for (size_t i = 0; i < N_TABLES; i++) {
            t.newest = MAX(t.newest, br->tables[i].changed);
        }
        t.some |= has_flows;
        t.all &= has_flows || br->restored_ms != 0;
        t.restored &= br->restored_ms != 0;
    }
    return t;
}

static enum dp_stage stage(const struct switch_ *sw, const struct tables *t, int64_t now)
{
    const struct settle *s = &sw->settle;
    int64_t quiet = now - s->changed_ms;

    if (sw->bridges && !sw->restore_wait && quiet >= SETTLE_QUIET_MS &&
        (t->some || t->restored || now - s->since_ms >= SETTLE_EMPTY_MS)) {
        return DP_COMPLETE;
    }
    if (!s->configured_ms) {
        return DP_STARTING;
    }
    if (now - s->configured_ms >= SETTLE_WAIT_MS) {
        return DP_TABLES;
    }
    return !sw->restore_wait && (t->restored || (t->all && quiet >= SETTLE_PAUSE_MS)) ? DP_TABLES : DP_PORTS;
}

void switch_settle(struct switch_ *sw, int64_t now)
{
    struct settle *s = &sw->settle;
    enum dp_stage at;
    struct tables t;

    if (s->done) {
        return;
    }
    t = look_at_tables(sw);
    if (!s->since_ms || sw->restore_wait) {
        s->since_ms = s->changed_ms = now;
    }
    if (t.newest != s->generation) {
        s->generation = t.newest;
        s->changed_ms = now;
    }
    at = stage(sw, &t, now);
    s->done = !dp_settle(sw->dp, at);
    if (!s->done && s->soon && at == DP_PORTS && !sw->restore_wait) {
        event_add(s->soon, &(struct timeval){.tv_usec = SETTLE_PAUSE_MS * 1000});
    }
}

static void on_soon(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *sw)
{
    switch_settle(sw, time_mono_ms());
}

void switch_configured(struct switch_ *sw)
{
    struct settle *s = &sw->settle;
    int64_t now = time_mono_ms();

    if (s->done) {
        return;
    }
    if (!s->soon) {
        s->soon = event_new(sw->base, -1, 0, on_soon, sw); /* without it: once a second */
    }
    s->configured_ms = s->configured_ms ? s->configured_ms : now;
    switch_settle(sw, now);
}

void switch_settle_failed(struct switch_ *sw, int error, bool flows)
{
    bool is_short = error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;

    if (is_short && (flows || (!sw->settle.done && dp_settle(sw->dp, DP_STARTING)))) {
        sw->settle.shortage = error;
    }
}

void switch_settle_done(struct switch_ *sw)
{
    if (sw->settle.soon) {
        event_free(sw->settle.soon);
    }
}
