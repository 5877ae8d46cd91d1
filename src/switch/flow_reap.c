/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a large deletion leaves behind is taken apart in slices of the event loop: freeing 100,000 rules, and taking
 * their prefixes out of the tries, takes longer than taking them out of the tables, and nobody waits for it.
 */
#include "switch/flow_table_private.h"

#define SLICE_STEPS 256
#define SLICE_PREFIXES 256

struct flow_reaper {
    struct switch_ *sw;
    struct event *event;
    struct undo_log *logs; /* whose steps hold what is to be freed */
    size_t n_logs;
};

/* True: something is left. */
static bool reap_steps(struct flow_reaper *r, size_t n)
{
    while (r->n_logs && n) {
        struct undo_log *log = &r->logs[r->n_logs - 1];

        for (; log->n && n; n--) {
            undo_release(&log->steps[--log->n]);
        }
        if (!log->n) {
            free(log->steps);
            r->n_logs--;
        }
    }
    return r->n_logs;
}

static bool settle(struct switch_ *sw)
{
    bool more = false;

    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        for (unsigned int i = 0; i < N_TABLES; i++) {
            more |= br->tables[i].cls.n_leaving && classifier_settle(&br->tables[i].cls, SLICE_PREFIXES);
        }
    }
    return more;
}

static void schedule(struct flow_reaper *r)
{
    event_add(r->event, &(struct timeval){0});
}

static void on_event(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct flow_reaper *r = aux;
    bool more = reap_steps(r, SLICE_STEPS);

    if (settle(r->sw) || more) {
        schedule(r);
    }
}

static struct flow_reaper *reaper_get(struct switch_ *sw)
{
    struct flow_reaper *r = sw->reaper;

    if (!r) {
        r = sw->reaper = xcalloc(1, sizeof *r);
        r->sw = sw;
        r->event = event_new(sw->base, -1, 0, on_event, r);
        if (!r->event) {
            abort(); /* out of memory, as in xcalloc() */
        }
    }
    return r;
}

void flow_reap_later(struct switch_ *sw, struct undo_log *log)
{
    struct flow_reaper *r = reaper_get(sw);

    r->logs = xrealloc(r->logs, (r->n_logs + 1) * sizeof *r->logs);
    r->logs[r->n_logs++] = *log;
    *log = (struct undo_log){0};
    schedule(r);
}

void flow_reaper_destroy(struct flow_reaper *r)
{
    if (!r) {
        return;
    }
    reap_steps(r, SIZE_MAX);
    event_free(r->event);
    free(r->logs);
    free(r);
}
