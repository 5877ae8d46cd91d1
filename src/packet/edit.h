/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_EDIT_H
#define WARREN_PACKET_EDIT_H
/*
 * Header changes, in place, with every checksum they touch put right: incrementally, and in the form the field is in (a
 * partial checksum that is left to the device is adjusted as a partial one).
 *
 * All need the layer offsets of flow_key_extract() and keep them true, but for packet_pop_mpls(), behind which the
 * packet must be extracted anew before its L3 is edited. All return 0, or -EINVAL when the packet has no such header;
 * then nothing is changed. The fields of KEY are written where MASK has bits. Which fields belong to which function:
 * DP_SET_* in datapath/action.h.
 */
#include "packet/packet.h"

int packet_set_eth(struct packet *p, const struct flow_key *key, const struct flow_key *mask);
int packet_set_vlan(struct packet *p, const struct flow_key *key, const struct flow_key *mask);
int packet_set_mpls(struct packet *p, const struct flow_key *key, const struct flow_key *mask);
int packet_set_ipv4(struct packet *p, const struct flow_key *key, const struct flow_key *mask);
int packet_set_ipv6(struct packet *p, const struct flow_key *key, const struct flow_key *mask);
int packet_set_tp(struct packet *p, const struct flow_key *key, const struct flow_key *mask);
int packet_set_arp(struct packet *p, const struct flow_key *key, const struct flow_key *mask);
/* The link-layer address is written where the option is there. */
int packet_set_nd(struct packet *p, const struct flow_key *key, const struct flow_key *mask);

/* VLAN.tci's FLOW_VLAN_PRESENT bit (CFI) is not written. */
int packet_push_vlan(struct packet *p, struct flow_vlan vlan);
int packet_pop_vlan(struct packet *p);
/* Behind the VLAN tags; ETH_TYPE is the label's EtherType (push) or what is left below (pop). */
int packet_push_mpls(struct packet *p, __be32 lse, __be16 eth_type);
int packet_pop_mpls(struct packet *p, __be16 eth_type);

#endif
