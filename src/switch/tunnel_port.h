/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_TUNNEL_PORT_H
#define WARREN_SWITCH_TUNNEL_PORT_H
/*
 * Tunnel ports: many OpenFlow ports share one datapath port per (type, UDP port). This module keeps that sharing, and
 * finds the port that a received packet belongs to: by remote address, local address and key, the most specific port
 * wins (a fixed key before any key, then a fixed remote, then a fixed local). It also makes the outer header's
 * description for sending.
 */
#include "switch/bridge.h"

struct tunnel_dp_port {
    enum tunnel_type type;
    uint16_t udp_port;
    dp_port_t dp_port;
    struct port **ports;
    size_t n_ports;
    struct tunnel_entry *entries; /* by what they receive */
    struct tunnel_dp_port *next;
};

/* The configuration makes sense: 0 or -EINVAL. */
int tunnel_config_check(const struct tunnel_config *c);
/* Takes or makes the shared datapath port and begins to receive. -EEXIST: another port receives the very same packets;
 * or what dp_port_add() says. */
int tunnel_port_attach(struct switch_ *sw, struct port *port);
void tunnel_port_detach(struct switch_ *sw, struct port *port);
struct tunnel_dp_port *tunnel_dp_port_find(const struct switch_ *sw, dp_port_t dp_port);
/* The port that takes a packet of KEY, or NULL and why. Depends on tunnel.src, dst and id. */
struct port *tunnel_port_receive(const struct tunnel_dp_port *dp, const struct flow_key *key,
                                 enum drop_reason *ret_reason);
/* The UDP port of tunnels that name none; 0: the type has none. */
uint16_t tunnel_default_port(enum tunnel_type type);

/* What routers between the tunnel's ends had to say of congestion becomes that of the inner packet, whose KEY is as it
 * came (RFC 6040, 4.2); LOOKED gets the bits that were looked at. False: the packet's sender would not understand, and
 * must notice a loss. */
bool tunnel_receive_ecn(struct flow_key *key, struct flow_key *looked);

#endif
