/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_ADMISSION_H
#define WARREN_SWITCH_ADMISSION_H
/*
 * Which new flows are worth a megaflow.
 *
 * Problem: a scan brings flows of one packet each. A megaflow for each costs more than its translation, pushes useful
 * ones out at the limit, and is never hit. Idea: while misses come faster than ADMISSION_STORM in a window, a flow is
 * admitted with its second packet; its first is forwarded all the same. Which flows were seen is remembered by hash in
 * two bitmaps that take turns. Costs: a flow in a storm is translated twice; a false "seen" admits one at once.
 * Outside of storms every flow is admitted at once.
 */
#include <stdbool.h>
#include <stdint.h>

#define ADMISSION_WINDOW_MS 100
#define ADMISSION_STORM 1000     /* misses in a window */
#define ADMISSION_MEMORY_MS 2000 /* a flow is remembered for one to two of these */
#define ADMISSION_BITS (1u << 18)

struct admission {
    int64_t window_ms, turned_ms;
    uint32_t misses; /* in this window */
    bool storm;      /* the last window was one */
    unsigned int current;
    uint64_t seen[2][ADMISSION_BITS / 64];
};

/* A miss of the flow with HASH at time NOW (time_mono_ms()): is it to get a megaflow? */
bool admission_ask(struct admission *a, uint32_t hash, int64_t now);

#endif
