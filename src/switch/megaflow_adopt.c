/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Megaflows that no packet has asked us for: those that a process before us left in the datapath, and those for packets
 * that will come.
 *
 * Problem: what the process before us had learned from packets (addresses of NORMAL, flows of learn actions) is lost
 * with it, and its megaflows came of that: translated by tables that know nothing, unicast would be flooded until its
 * receiver sends again. Idea: a megaflow that was used says the same as its last packet did. So at first all of them
 * teach, by the effects that their translations have, as of the time of that packet, and only then they are translated
 * to be installed: then they come out as they were. A learned flow may lead a packet to where it teaches more, so the
 * datapath asks again while anything is learned. What came later, by packets of our own time, is not touched by what
 * was before (mac_table.h, learn.c).
 *
 * Of a flow that was only foreseen no packet says anything. Limits: who sent nothing for longer than megaflows are kept
 * is not known any more. What decides by contents that no megaflow matches, as the members of multicast groups, teaches
 * nothing.
 */
#include "base/coverage.h"
#include "switch/megaflow_private.h"

COVERAGE(megaflow_foreseen);

/* Translates FLOW and learns from it. False, and nothing of that: the tables now look at what it does not tell. */
static bool translate_left(struct switch_ *sw, const struct dp_flow *flow, int64_t now, struct xlate_out *ret)
{
    translate(&(struct xlate_in){.sw = sw, .key = flow->key, .now = now}, ret);
    if (!megaflow_has_port(ret) || !megaflow_mask_suffices(flow->mask, &ret->mask)) {
        xlate_out_done(ret);
        return false;
    }
    if (flow->stats.used_ms) {
        xlate_effects_learn(ret->effects, ret->n_common, flow->stats.used_ms, now);
    }
    return true;
}

bool megaflow_learn(void *aux, const struct dp_flow *flow)
{
    struct switch_ *sw = aux;
    uint64_t generation = sw->generation;
    struct xlate_out out;

    if (flow->stats.used_ms && translate_left(sw, flow, time_mono_ms(), &out)) {
        xlate_out_done(&out);
    }
    return sw->generation != generation;
}

void megaflow_adopt(void *aux, const struct dp_flow *flow)
{
    struct switch_ *sw = aux;
    uint64_t generation = sw->generation;
    int64_t now = time_mono_ms();
    struct xlate_out out;

    if (translate_left(sw, flow, now, &out)) {
        megaflow_install(sw->megaflows, flow->key, &out, generation, MEGAFLOW_LEFT, flow->stats.used_ms, now);
        /* Of a packet that a program of another version forwards, not of a flow: what its stations will ask each other
         * is not learned with it. */
        if (!ip_addr_is_zero(&flow->mask->ip_src) && !ip_addr_is_zero(&flow->mask->ip_dst)) {
            megaflow_foresee(sw->megaflows, flow->key, out.actions, out.actions_len, now);
        }
        xlate_out_done(&out);
    }
}

void megaflow_foresee(struct megaflows *m, const struct flow_key *key, const void *actions, size_t actions_len,
                      int64_t now)
{
    struct flow_key keys[NEIGHBOUR_KEYS + 1];
    unsigned int n = neighbour_keys(key, keys);

    if (!n || !megaflows_outlive_us(m) || m->by_key.n > MEGAFLOW_FEW / 2 || !neighbours_ask(&m->neighbours, key, now)) {
        return;
    }
    n += neighbour_answer(key, actions, actions_len, &keys[n]);
    for (unsigned int i = 0; i < n; i++) {
        uint64_t generation = m->sw->generation;
        struct xlate_out out;

        if (megaflow_covers(m, &keys[i])) {
            continue;
        }
        translate(&(struct xlate_in){.sw = m->sw, .key = &keys[i], .now = now}, &out);
        if (!out.slow && out.drop == DROP_NONE) {
            coverage_inc(megaflow_foreseen);
            megaflow_install(m, &keys[i], &out, generation, MEGAFLOW_FORESEEN, 0, now);
        }
        xlate_out_done(&out);
    }
}
