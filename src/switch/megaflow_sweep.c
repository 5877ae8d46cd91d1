/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping megaflows equal to what the tables say: passes over all of them, in slices of the event loop, translate those
 * again that something changed for, and once a second read counters and remove what is idle. Samples prove that it
 * holds: packets that the datapath handled are translated again, and compared.
 */
#include "base/coverage.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "datapath/format.h"
#include "switch/megaflow_private.h"

LOG_MODULE("megaflow");
COVERAGE(megaflow_revalidate);
COVERAGE(megaflow_sample);
COVERAGE(megaflow_sample_mismatch);

#define SLICE_FLOWS 32        /* between looks at the clock */
#define SLICE_MS 2            /* of each turn of the event loop */
#define PASS_PAUSE_USEC 10000 /* between two passes, when changes keep coming */

/* ---- passes ---- */

static void schedule(struct megaflows *m, long usec)
{
    const struct timeval tv = {0, usec};

    event_add(m->event, &tv);
}

static void start_pass(struct megaflows *m, int64_t now, bool reads)
{
    m->pass_began_ms = now;
    m->cursor = m->list;
    m->pass_reads = reads;
    m->pass_generation = m->sw->generation;
}

/* Has anything changed since that the flow's translation looked at? */
static bool is_stale(const struct megaflows *m, const struct megaflow *f)
{
    if (m->sw->full_generation > f->generation) {
        return true;
    }
    for (size_t i = 0; i < f->n_deps; i++) {
        if (*f->deps[i] > f->generation) {
            return true;
        }
    }
    return false;
}

static int64_t idle_limit(const struct megaflows *m)
{
    bool kept = m->idle_ms == MEGAFLOW_IDLE_MS && megaflows_outlive_us(m) && m->by_key.n <= MEGAFLOW_FEW;

    return kept ? MEGAFLOW_KEPT_MS : m->idle_ms;
}

/* Counters first: they belong to the rules of the former translation. */
static void revalidate(struct megaflows *m, struct megaflow *f, int64_t now)
{
    struct xlate_out out;
    uint64_t generation = m->sw->generation;

    coverage_inc(megaflow_revalidate);
    m->n_revalidated++;
    translate(&(struct xlate_in){.sw = m->sw, .key = &f->first, .now = now}, &out);
    if (megaflow_update(m, f, &out)) {
        f->generation = generation;
    }
    xlate_out_done(&out);
}

/* Counters, idleness and, when something changed, translation of one flow. */
static void visit(struct megaflows *m, struct megaflow *f, int64_t now)
{
    bool stale = f->generation != m->sw->generation && is_stale(m, f);

    if (!stale) {
        f->generation = m->sw->generation;
    }
    if ((!stale && !m->pass_reads) || !megaflow_pull_stats(m, f)) {
        return;
    }
    if (now - MAX(f->created_ms, f->stats.used_ms) >= idle_limit(m)) {
        megaflow_remove(m, f);
    } else if (stale) {
        revalidate(m, f, now);
    }
}

/* Goes on with the pass until its end (true) or, unless UNBOUNDED, the end of the slice. */
static bool run_slice(struct megaflows *m, int64_t now, bool unbounded)
{
    int64_t until = time_mono_ms() + SLICE_MS;
    unsigned int n = 0;

    while (m->cursor) {
        struct megaflow *f = m->cursor;

        m->cursor = f->next;
        visit(m, f, now);
        if (++n % SLICE_FLOWS == 0 && !unbounded && time_mono_ms() >= until) {
            break;
        }
    }
    if (m->cursor) {
        return false;
    }
    if (m->pass_reads) {
        m->stats_ms = MAX(m->stats_ms, m->pass_began_ms);
    }
    return true;
}

static void go_on(struct megaflows *m, int64_t now)
{
    if (!run_slice(m, now, false)) {
        schedule(m, 0);
    } else if (m->pass_generation != m->sw->generation && m->list) {
        start_pass(m, now, false);
        schedule(m, PASS_PAUSE_USEC);
    }
}

void megaflows_on_event(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct megaflows *m = aux;

    int64_t now = time_mono_ms();

    if (m->sw->restore_wait) {
        return; /* what the datapath still does is right, what the tables say is not yet */
    }
    if (!m->cursor) {
        start_pass(m, now, false);
    }
    go_on(m, now);
}

void megaflows_changed(struct megaflows *m)
{
    if (m->list && !event_pending(m->event, EV_TIMEOUT, NULL)) {
        schedule(m, 0);
    }
}

void megaflow_catch_up(struct switch_ *sw)
{
    struct megaflows *m = sw->megaflows;

    if (m && event_pending(m->event, EV_TIMEOUT, NULL)) {
        event_del(m->event);
        megaflows_on_event(-1, EV_TIMEOUT, m);
    }
}

void megaflow_tick(struct switch_ *sw, int64_t now)
{
    struct megaflows *m = sw->megaflows;

    m->tick_ms = now;
    if (sw->restore_wait) {
        return;
    }
    if (!m->cursor || !m->pass_reads) {
        start_pass(m, now, true); /* it does also what the pass that it may cut short was for */
    }
    go_on(m, now);
}

void megaflow_revalidate_all(struct switch_ *sw)
{
    struct megaflows *m = sw->megaflows;

    /* A pass may itself change tables (learned flows that traffic brings back), but not for ever: three settle it. */
    for (int i = 0; i < 3; i++) {
        int64_t now = time_mono_ms();

        start_pass(m, now, true);
        run_slice(m, now, true);
        if (m->pass_generation == sw->generation) {
            break;
        }
    }
}

/* ---- samples ---- */

static void tell_mismatch(const struct dp_flow *flow, const struct xlate_out *out, bool faithful)
{
    _cleanup_strbuf_ struct strbuf b = {0};

    dp_key_format(flow->key, flow->mask, &b);
    strbuf_addf(&b, ": the datapath did ");
    dp_actions_format(flow->actions, flow->actions_len, &b);
    strbuf_addf(&b, "; right is ");
    dp_actions_format(out->actions, out->actions_len, &b);
    log_limited(LOG_LEVEL_ERR, "a megaflow is removed: %s%s", strbuf_str(&b), faithful ? "" : " (its maps differ)");
}

void megaflow_sample(void *aux, const struct flow_key *key, const struct dp_flow *flow, bool faithful)
{
    struct switch_ *sw = aux;
    struct megaflows *m = sw->megaflows;
    struct megaflow *f = megaflow_find(m, flow->key, flow->mask);
    struct xlate_out out;

    coverage_inc(megaflow_sample);
    /* A flow that a change has overtaken is about to be mended, and proves nothing. */
    if (!f || f->generation != sw->generation || sw->restore_wait) {
        return;
    }
    translate(&(struct xlate_in){.sw = sw, .key = key, .now = time_mono_ms()}, &out);
    if (faithful && !megaflow_does(f, &out)) {
        /* Or is an address too old by now, of which the next tick will tell? */
        xlate_out_done(&out);
        translate(&(struct xlate_in){.sw = sw, .key = key, .now = m->tick_ms}, &out);
    }
    if (!faithful || !megaflow_does(f, &out)) {
        coverage_inc(megaflow_sample_mismatch);
        tell_mismatch(flow, &out, faithful);
        megaflow_remove(m, f);
    }
    xlate_out_done(&out);
}
