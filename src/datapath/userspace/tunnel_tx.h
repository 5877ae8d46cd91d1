/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_USERSPACE_TUNNEL_TX_H
#define WARREN_DATAPATH_USERSPACE_TUNNEL_TX_H
/*
 * The sending half of tunnels: raw sockets, so that the kernel routes and resolves the next hop while the outer headers
 * are ours.
 *
 * IPv4 goes out with its header (IP_HDRINCL). That way the kernel never fragments, so what may be fragmented (no DF)
 * and is too big is fragmented here. IPv6 goes out behind a header that the kernel makes from ancillary data, as raw
 * UDP or GRE. A source address that is not given is the route's; what the kernel says of a route is kept for
 * ROUTE_AGE_MS.
 */
#include "packet/tunnel.h"

#define TUNNEL_TX_BATCH 32
#define ROUTE_AGE_MS 1000

struct tunnel_tx;

/* Sockets are opened when they are first needed. */
struct tunnel_tx *tunnel_tx_new(void);
void tunnel_tx_free(struct tunnel_tx *tx);
/* Sends P as one or, when it is a super-packet, as many tunnel packets. P's headroom is used, its frame at most
 * completed. DROP_NONE or why P, or its first segment that failed, was not sent. */
enum drop_reason tunnel_tx_send(struct tunnel_tx *tx, enum tunnel_type kind, uint16_t udp_dst, uint32_t hash,
                                struct packet *p, const struct flow_tunnel *tunnel, int64_t now_ms);
/* Routes have changed: none is believed for the rest of its ROUTE_AGE_MS. */
void tunnel_tx_forget_routes(struct tunnel_tx *tx);
/* The source address of the route to DST, zero when there is none. */
struct ip_addr tunnel_tx_source(struct tunnel_tx *tx, const struct ip_addr *dst, int64_t now_ms);
/* The MTU of the route that packets with MARK take from SRC (zero: any) to DST; 0 when there is none. */
unsigned int tunnel_tx_mtu(struct tunnel_tx *tx, const struct ip_addr *dst, const struct ip_addr *src, uint32_t mark,
                           int64_t now_ms);

#endif
