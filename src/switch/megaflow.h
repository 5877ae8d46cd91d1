/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_MEGAFLOW_H
#define WARREN_SWITCH_MEGAFLOW_H
/*
 * Megaflows: the switch's side of the datapath's cache. Answers upcalls (translate, run, install), keeps what is
 * installed equal to what the tables say, pushes counters back to rules and ports, and removes what is idle.
 *
 * Problem: the cache must never say anything else than the tables for longer than a moment, and no counter may be lost
 * or counted twice, while table changes come by the hundred thousand. Idea: every change bumps switch_->generation and
 * notes it where the change was: in the flow table, in the bucket of the learned address, or in full_generation. A
 * translation names the counters that it depended on, so a sweep, in slices of bounded time on the event loop, finds
 * stale megaflows by a few comparisons each, and translates only those again. Same actions: kept. Other actions under a
 * mask that still suffices: changed in place. Else removed; its next packet makes a new one. Counters are deltas: what
 * the datapath reports minus what was pushed before; removal pushes the final delta.
 *
 * Costs: a sweep is some comparisons per megaflow and a translation per stale one; once a second it also reads each
 * megaflow's counters from the datapath. Invariant: a megaflow's effects list is that of the translation whose actions
 * are installed.
 */
#include "switch/bridge.h"

#define MEGAFLOW_IDLE_MS 10000
/* Where the datapath goes on without us, few flows (up to MEGAFLOW_FEW) are kept so long, unless max-idle says
 * otherwise: neighbours ask again every half minute, and nobody else would answer what was forgotten meanwhile. */
#define MEGAFLOW_KEPT_MS 90000
#define MEGAFLOW_FEW 10000
#define MEGAFLOW_DEFAULT_LIMIT 200000

struct megaflow_info {
    dp_flow_id id;
    struct dp_flow flow; /* key, mask, actions, and counters so far */
};

/* Megaflows for SW, whose `base` and `dp` are set. */
struct megaflows *megaflows_create(struct switch_ *sw);
void megaflows_destroy(struct megaflows *m);
/* The datapath's upcall callback; AUX is the switch. */
void megaflow_upcall(void *aux, const struct dp_upcall *upcall);
/* The datapath's learn callback: what the packets of a flow that a process before us left in it have taught. */
bool megaflow_learn(void *aux, const struct dp_flow *flow);
/* The datapath's adopt callback: such a flow becomes one of ours. */
void megaflow_adopt(void *aux, const struct dp_flow *flow);
/* The datapath's sample callback: translates KEY again, and if that is not what the flow did, removes it, loudly. */
void megaflow_sample(void *aux, const struct flow_key *key, const struct dp_flow *flow, bool faithful);
/* Some change: start a sweep soon. */
void megaflows_changed(struct megaflows *m);
/* The first slice of it now, if one is due: for who is about to say that the change has been made. */
void megaflow_catch_up(struct switch_ *sw);
/* Runs sweeps to the end now (tests, and `revalidator/wait`). */
void megaflow_revalidate_all(struct switch_ *sw);
/* Reads all counters from the datapath and pushes them on. With more than 20,000 megaflows, which would hold up the
 * loop, it leaves them as the last pass read them, a second ago. */
void megaflow_sync_stats(struct switch_ *sw);
/* Reads those of megaflows that lead to rules which are no longer in their tables: then such rules' counters are final.
 */
void megaflow_sync_removed(struct switch_ *sw);
/* Traffic before this time is counted: when the last complete reading of all counters began. NOW without megaflows. */
int64_t megaflow_stats_time(const struct switch_ *sw, int64_t now);
/* Pushes counters, removes idle megaflows; called from switch_tick(). */
void megaflow_tick(struct switch_ *sw, int64_t now);
/* Removes all, counters pushed. */
void megaflow_flush(struct switch_ *sw);
/* The same for those that lead through BR, and hold what is its own: needed before it goes. */
void megaflow_flush_bridge(struct bridge *br);
size_t megaflow_count(const struct switch_ *sw);
/* How many translations sweeps have made so far. */
uint64_t megaflow_n_revalidated(const struct switch_ *sw);
/* New limits (other_config flow-limit, max-idle); 0: as it is. */
void megaflow_set_limits(struct switch_ *sw, size_t max_flows, int64_t idle_ms);
size_t megaflow_limit(const struct switch_ *sw);
int megaflow_for_each(struct switch_ *sw, int (*fn)(void *aux, const struct megaflow_info *info), void *aux);

#endif
