/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_AGENT_AGENT_H
#define WARREN_AGENT_AGENT_H
/*
 * The agent's parts tied together: overlay.c reads and reports to the overlay database, host.c reads and writes the
 * switch's database, bridge_flows.c keeps one bridge's flows; agent.c runs a pass over them whenever something changed.
 *
 * A pass takes the two replicas as they are, builds a `struct state`, writes what differs in the switch's database, and
 * hands the wanted flows to the bridges. It keeps nothing else, so a pass after a restart finds everything in place and
 * does nothing. Until the overlay has been read once, and while the host's database is away, there is no pass: the last
 * state stands.
 */
#include "agent/reconcile.h"
#include "agent/state.h"
#include "ovsdb/client.h"

struct event_base;
struct agent;
struct overlay;
struct host;
struct bridge_flows;

struct agent_config {
    const char *host, *local_ip, *overlay_db, *db, *rundir;
    bool l2_population, arp_responder;
    bool types[N_TUNNEL_TYPES];
    int64_t heartbeat_s, resync_s;
};

/* READY is called once, when the switch's database was read and its bridges are there. */
int agent_create(struct event_base *base, const struct agent_config *config, void (*ready)(void *arg), void *arg,
                 struct agent **ret, char **ret_error);
void agent_destroy(struct agent *a); /* NULL is fine. Flows and ports stay. */

/* Something changed: a pass will run soon, one for many changes. */
void agent_poke(struct agent *a);
/* A database refused what a pass wrote (its disk may be full): another pass will run, but not at once. */
void agent_retry(struct agent *a);

/* Port P is wired, just now: the switches learn where it is. A VM that has moved says so itself, but when it arrives,
 * and then its port is not bound here yet; until it speaks again what is sent to it would go to where it was. */
void agent_announce(struct agent *a, const struct state_port *p);

/* ---- overlay.c: the Warren database ---- */

int overlay_create(struct event_base *base, struct agent *a, const struct agent_config *config, struct overlay **ret,
                   char **ret_error);
void overlay_destroy(struct overlay *o);
/* Has it been read completely at least once, with everything about the networks that live here? */
bool overlay_known(const struct overlay *o);
/* Adds networks, ports (without ofports) and endpoints to S. */
void overlay_fill(struct overlay *o, struct state *s);
/* Pass PASS sees S. Reports which of its local ports are wired (VLAN set, flows in place): Port_Status. Writes only
 * differences. IN_PLACE: the flows of this pass are in the switch, 0 for none. */
void overlay_report(struct overlay *o, const struct state *s, uint64_t pass, uint64_t in_place);

/* ---- host.c: the Open_vSwitch database ---- */

#define BR_INT "br-int"
#define BR_TUN "br-tun"

int host_create(struct event_base *base, struct agent *a, const struct agent_config *config, struct host **ret,
                char **ret_error);
void host_destroy(struct host *h);
bool host_synced(const struct host *h);
/* What was written is not known to be there yet. When it is, there will be another pass. */
bool host_writing(const struct host *h);
/* Both bridges and their patch ports exist in the database. */
bool host_has_bridges(const struct host *h);
/* Adds what the switch's database says: ofports, dead ports, local VLANs (assigned where there are none). */
void host_fill(struct host *h, struct state *s);
/* Writes what differs: bridges, patch ports, tunnels, VLANs of ports. True when there was something to write: its
 * effects come as another change. */
bool host_apply(struct host *h, const struct state *s);
/* Only the bridges and patch ports: before the overlay is known. */
bool host_apply_bridges(struct host *h);

/* ---- bridge_flows.c: the flows of one bridge ---- */

int bridge_flows_create(struct event_base *base, struct agent *a, const struct agent_config *config, const char *bridge,
                        struct bridge_flows **ret, char **ret_error);
void bridge_flows_destroy(struct bridge_flows *b);
/* From now on these are the flows (text as of desired.h), and what the switch learns may be LEARNABLE, as of PASS; does
 * nothing if they are the same as before. */
void bridge_flows_want(struct bridge_flows *b, const char *text, const struct learnable *learnable, uint64_t pass);
/* Switches a frame that says that MAC is behind OFPORT. */
void bridge_flows_announce(struct bridge_flows *b, uint32_t ofport, const char *mac);
/* The flows of this pass are in the switch, as far as they are wanted still; 0: of none. */
uint64_t bridge_flows_in_place(const struct bridge_flows *b);

#endif
