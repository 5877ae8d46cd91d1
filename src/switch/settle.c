/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/settle.h"

#include "base/util.h"
#include "switch/flow_table.h"

/* When the last change was, learned addresses aside, and whether somebody has programmed them: there are flows besides
 * the one that a new bridge has, or that one is all that there was in any before, too. */
static uint64_t look_at_tables(const struct switch_ *sw, bool *ret_programmed)
{
    uint64_t newest = sw->full_generation;
    struct bridge *br, *next;
    bool programmed = false, restored = true;

    HASH_ITER(hh, sw->bridges, br, next) {
        for (size_t i = 0; i < N_TABLES; i++) {
            newest = MAX(newest, br->tables[i].changed);
        }
        programmed |= flow_table_count(br) > 1;
        restored &= br->restored_ms != 0;
    }
    *ret_programmed = programmed || restored;
    return newest;
}

void switch_settle(struct switch_ *sw, int64_t now)
{
    struct settle *s = &sw->settle;
    bool programmed, complete;
    uint64_t generation;

    if (s->done) {
        return;
    }
    generation = look_at_tables(sw, &programmed);
    if (!s->since_ms || sw->restore_wait) {
        s->since_ms = s->changed_ms = now;
    }
    if (generation != s->generation) {
        s->generation = generation;
        s->changed_ms = now;
    }
    complete = sw->bridges && !sw->restore_wait && now - s->changed_ms >= SETTLE_QUIET_MS &&
               (programmed || now - s->since_ms >= SETTLE_EMPTY_MS);
    s->done = !dp_settle(sw->dp, complete);
}
