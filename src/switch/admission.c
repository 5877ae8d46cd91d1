/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/admission.h"

#include <string.h>

static void move_on(struct admission *a, int64_t now)
{
    if (now - a->window_ms >= ADMISSION_WINDOW_MS) {
        a->storm = a->misses > ADMISSION_STORM && now - a->window_ms < 2 * ADMISSION_WINDOW_MS;
        a->misses = 0;
        a->window_ms = now;
    }
    if (now - a->turned_ms >= ADMISSION_MEMORY_MS) {
        a->current = !a->current;
        memset(a->seen[a->current], 0, sizeof a->seen[0]);
        a->turned_ms = now;
    }
}

bool admission_ask(struct admission *a, uint32_t hash, int64_t now)
{
    uint32_t bit = hash % ADMISSION_BITS;
    uint64_t mask = UINT64_C(1) << (bit % 64), *word;
    bool seen;

    move_on(a, now);
    word = &a->seen[a->current][bit / 64];
    if (++a->misses <= ADMISSION_STORM && !a->storm) {
        return true;
    }
    seen = (*word | a->seen[!a->current][bit / 64]) & mask;
    *word |= mask;
    return seen;
}
