/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_AGENT_DESIRED_H
#define WARREN_AGENT_DESIRED_H
/*
 * State → the complete flow sets of br-int and br-tun, in Neutron's table layout, because operators know it. Pure and
 * deterministic: the same state gives the same text.
 *
 * br-int   0 by port, and nothing for a port that no flow names: spoof guards (with allowed address pairs), dead ports
 * → 24 ARP/ND, 25 MAC → 60 NORMAL br-tun   0 by in_port → 2 from local (unicast → 20, else → 22; ARP requests → 21 with
 * the responder) | 3 GRE, 4 VXLAN, 6 Geneve: tunnel id → local VLAN → 10 10 learns the sender into 20 and sends to
 * br-int; 20 unicast to its host; 21 ARP responder; 22 flood: to the hosts that have the network (l2-population) or to
 * all
 *
 * A port whose tag is not written yet sends nothing: it would be a trunk of all networks' VLANs.
 *
 * The ARP responder needs l2-population, which tells the addresses. IPv6 neighbour solicitations are flooded: a
 * responder cannot be written in flows that ovs-vswitchd takes too.
 */
#include "agent/state.h"
#include "base/strbuf.h"

/* Our flows' mark. It is the same after a restart, so that nothing needs to be sent when nothing changed. */
#define AGENT_COOKIE 0x57415252454e0001ULL

/* Append one flow a line, in ovs-ofctl's syntax. Nothing without the patch port's number. */
void desired_br_int(const struct state *s, struct strbuf *flows);
void desired_br_tun(const struct state *s, struct strbuf *flows);

/* Should there be a tunnel of TYPE to ENDPOINT? One of each type that both ends take and a network here uses, and one
 * of this host's first type in any case, so that the mesh is there (and is seen to work) before the first VM comes. */
bool desired_tunnel(const struct state *s, size_t endpoint, enum tunnel_type type);
/* Sets the ids of S's endpoints: the IPv4 address in hex, as in Neutron's names, or a hash of the IPv6 address; of two
 * that would have the same, the later one has another. */
void desired_tunnel_ids(struct state *s);
/* The port's name: TYPE-ID. 15 characters at most. */
void desired_tunnel_name(enum tunnel_type type, const char *id, char ret[16]);

#endif
