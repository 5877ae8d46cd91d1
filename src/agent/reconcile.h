/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_AGENT_RECONCILE_H
#define WARREN_AGENT_RECONCILE_H
/*
 * The difference between the flows that should be and those that are, as flow_mods. Pure.
 *
 * Problem: an agent that starts, or meets a switch that started, must end with exactly its flows, without a moment in
 * which good ones are missing, and without touching what is right: flushing first is what loses dataplanes elsewhere.
 * Idea: a flow's identity is (table, priority, match). Wanted and not there, or there with other actions, timeouts or
 * cookie: ADD, which replaces in place. There with our cookie and not wanted: DELETE_STRICT. The rest is left alone,
 * and so are flows with foreign cookies. The list goes out as one bundle.
 *
 * Flows that the switch learned (table 20, priority 1, our cookie) are not ours to want; they stay as long as their
 * VLAN is here the network's that they send to, and the tunnel is there, and go with either: else the next network on
 * that VLAN would inherit them, and frames to a host that comes back with another address would go nowhere.
 *
 * Cost: one hash lookup a flow, both ways. Invariant: applying the result to the flows that are there makes the next
 * result empty.
 */
#include "agent/state.h"
#include "openflow/msg.h"
#include "openflow/text.h"

struct flow_set; /* flows by identity */

struct flow_set *flow_set_new(void);
void flow_set_free(struct flow_set *set); /* NULL is fine */
DEFINE_CLEANUP(struct flow_set *, flow_set_free)
/* One flow a line in ovs-ofctl's syntax. -EINVAL and *RET_ERROR on the first that does not parse: a bug, or names from
 * outside that should have been checked. */
int flow_set_add_text(struct flow_set *set, const char *text, char **ret_error);
/* Takes SPEC's actions over; one without has actions that nobody can read, and is like no other. A second flow of the
 * same identity replaces the first. */
void flow_set_add(struct flow_set *set, struct flow_spec *spec);
size_t flow_set_size(const struct flow_set *set);

#define LEARNABLE_PORTS 0xff00 /* OpenFlow ports are below */

/* What flows that the switch learned may say. */
struct learnable {
    uint32_t vnis[VLAN_MAX + 1];    /* tunnel ids by local VLAN, 0 where there is no network */
    uint8_t types[VLAN_MAX + 1];    /* enum tunnel_type of the networks, by local VLAN */
    uint8_t ports[LEARNABLE_PORTS]; /* 1 + enum tunnel_type of the tunnels, by OpenFlow port; 0 for none */
};

struct flow_mods {
    struct of_flow_mod *mods; /* their actions are borrowed from WANTED: send before that goes */
    size_t n, allocated;
};
void flow_mods_done(struct flow_mods *m);
/* Fills RET (empty before). */
void reconcile(const struct flow_set *wanted, const struct flow_set *present, const struct learnable *learnable,
               struct flow_mods *ret);

#endif
