/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_COVERAGE_H
#define WARREN_BASE_COVERAGE_H
/*
 * Counters of events for `coverage/show`: cheap enough for every place that is worth counting. A .c file says
 * COVERAGE(flow_mod); once at its top and coverage_inc(flow_mod); where it happens; the name is what users see, so it
 * must be unique in the program. coverage_tick() keeps the history from which rates are told. No locks: one thread.
 */
#include "base/util.h"

#define COVERAGE_TICK_MS 5000
#define COVERAGE_TICKS 12   /* of five seconds: a minute */
#define COVERAGE_MINUTES 60 /* an hour */

struct coverage {
    const char *name;
    uint64_t total;
    uint64_t seen;                                             /* total at the last tick */
    uint32_t ticks[COVERAGE_TICKS], minutes[COVERAGE_MINUTES]; /* rings of what came in each */
    struct coverage *next;
};

void coverage_register(struct coverage *c);
/* All counters, linked by `next`, sorted by name. */
struct coverage *coverage_all(void);
/* NULL: no counter of that name. */
struct coverage *coverage_find(const char *name);
/* To be called every COVERAGE_TICK_MS. */
void coverage_tick(void);
/* Events a second over the last five seconds, minute and hour. */
void coverage_rates(const struct coverage *c, double *ret_tick, double *ret_minute, double *ret_hour);

#define COVERAGE(id)                                                                                                   \
    static struct coverage coverage_##id##_ = {.name = #id};                                                           \
    static void __attribute__((constructor)) coverage_register_##id##_(void)                                           \
    {                                                                                                                  \
        coverage_register(&coverage_##id##_);                                                                          \
    }                                                                                                                  \
    static void __attribute__((constructor)) coverage_register_##id##_(void)

#define coverage_inc(id) (coverage_##id##_.total++)
#define coverage_add(id, n) (coverage_##id##_.total += (n))

#endif
