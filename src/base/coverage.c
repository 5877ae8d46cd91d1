/* SPDX-License-Identifier: Apache-2.0 */
#include "base/coverage.h"

static struct coverage *counters;
static size_t n_ticks;

void coverage_register(struct coverage *c)
{
    struct coverage **at = &counters;

    while (*at && strcmp((*at)->name, c->name) < 0) {
        at = &(*at)->next;
    }
    c->next = *at;
    *at = c;
}

struct coverage *coverage_all(void)
{
    return counters;
}

struct coverage *coverage_find(const char *name)
{
    struct coverage *c = counters;

    while (c && strcmp(c->name, name) != 0) {
        c = c->next;
    }
    return c;
}

/* The minute in progress is summed in its slot of the ring from the start, so the hour is never a minute behind. */
void coverage_tick(void)
{
    size_t tick = n_ticks % COVERAGE_TICKS, minute = n_ticks / COVERAGE_TICKS % COVERAGE_MINUTES;

    for (struct coverage *c = counters; c; c = c->next) {
        uint32_t n = (uint32_t)MIN(c->total - c->seen, UINT32_MAX);

        c->seen = c->total;
        c->ticks[tick] = n;
        c->minutes[minute] = tick ? c->minutes[minute] + n : n;
    }
    n_ticks++;
}

static uint64_t sum(const uint32_t *ring, size_t n)
{
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++) {
        total += ring[i];
    }
    return total;
}

void coverage_rates(const struct coverage *c, double *ret_tick, double *ret_minute, double *ret_hour)
{
    size_t last = (n_ticks + COVERAGE_TICKS - 1) % COVERAGE_TICKS;

    *ret_tick = c->ticks[last] / (COVERAGE_TICK_MS / 1000.0);
    *ret_minute = (double)sum(c->ticks, COVERAGE_TICKS) / 60;
    *ret_hour = (double)sum(c->minutes, COVERAGE_MINUTES) / 3600;
}
