/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Megaflows that no packet has asked us for: those that a process before us left in the datapath, and those for packets
 * that will come.
 */
#include "base/coverage.h"
#include "switch/megaflow_private.h"

COVERAGE(megaflow_foreseen);

void megaflow_adopt(void *aux, const struct flow_key *key)
{
    struct switch_ *sw = aux;
    uint64_t generation = sw->generation;
    int64_t now = time_mono_ms();
    struct xlate_out out;

    translate(&(struct xlate_in){.sw = sw, .key = key, .now = now}, &out);
    if (megaflow_has_port(&out)) {
        megaflow_install(sw->megaflows, key, &out, generation, now);
    }
    xlate_out_done(&out);
}

void megaflow_foresee(struct megaflows *m, const struct flow_key *key, int64_t now)
{
    struct flow_key keys[NEIGHBOUR_KEYS];
    unsigned int n = neighbour_keys(key, keys);

    if (!n || !megaflows_outlive_us(m) || m->by_key.n > MEGAFLOW_FEW / 2 || !neighbours_ask(&m->neighbours, key, now)) {
        return;
    }
    for (unsigned int i = 0; i < n; i++) {
        uint64_t generation = m->sw->generation;
        struct xlate_out out;

        if (megaflow_covers(m, &keys[i])) {
            continue;
        }
        translate(&(struct xlate_in){.sw = m->sw, .key = &keys[i], .now = now}, &out);
        if (!out.slow && out.drop == DROP_NONE) {
            coverage_inc(megaflow_foreseen);
            megaflow_install(m, &keys[i], &out, generation, now);
        }
        xlate_out_done(&out);
    }
}
