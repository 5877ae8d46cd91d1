/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_COMPOSE_H
#define WARREN_PACKET_COMPOSE_H
/*
 * A frame from a flow key: what flow_key_extract() finds in it is the key again (but in_port, pkt_mark and tunnel,
 * which are metadata and are set as such). For ofproto/trace and tests.
 *
 * Left out: extension headers but the fragment header, more than two VLAN tags and two MPLS labels; an EtherType that
 * is none of ARP, IPv4, IPv6 and MPLS gets an empty payload.
 */
#include "packet/packet.h"

/* The packet is the caller's. Checksums are right, the payload is zeros, of no length but where a header needs it. */
struct packet *packet_compose(const struct flow_key *key);

#endif
