/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_AGENT_STATE_H
#define WARREN_AGENT_STATE_H
/*
 * What the agent knows at one moment, put together from its two replicas (the overlay database and the switch's own):
 * the input of desired.h. Plain values, no I/O; tests fill it by hand. Strings are borrowed from the replicas and live
 * until those change.
 */
#include <netinet/in.h>

#include "base/util.h"

#define OFPORT_NONE 0u  /* no OpenFlow port (yet) */
#define VLAN_DEAD 4095u /* of ports that nobody knows: connected to nothing */
#define VLAN_MAX 4094u

struct state_options {
    const char *host;
    const char *local_ip;
    bool l2_population, arp_responder;
    bool types[N_TUNNEL_TYPES]; /* that this host takes */
};

/* A network that lives here: a port of it is bound to this host. */
struct state_network {
    const char *id;
    enum tunnel_type type;
    uint32_t vni;
    uint16_t vlan; /* local, 0: none yet */
};

/* What a port may speak as besides itself. */
struct state_pair {
    char mac[18];
    const char *ip; /* an address or a prefix */
};

/* A port of a network that lives here, on any host. */
struct state_port {
    const char *id;
    size_t network; /* index */
    const char *mac;
    const char **ips;
    size_t n_ips;
    struct state_pair *pairs; /* local: of allowed_address_pairs */
    size_t n_pairs;
    bool local;
    bool admin_up, port_security;
    bool tagged;       /* local: its row has the network's VLAN; without a tag it is a trunk of all networks' */
    uint32_t ofport;   /* local: in br-int */
    const void *claim; /* local: the Port row that has it (host.c); others with the same iface-id are dead */
    size_t endpoint;   /* remote: index, or SIZE_MAX when its host has none */
};

/* Another host's end of the tunnels. */
struct state_endpoint {
    const char *host, *ip;
    char id[9];                       /* in the names of the tunnels to it: desired_tunnel_ids() */
    bool types[N_TUNNEL_TYPES];       /* that both ends take */
    uint32_t ofports[N_TUNNEL_TYPES]; /* in br-tun */
};

struct state {
    struct state_options options;
    struct state_network *networks;
    size_t n_networks;
    struct state_port *ports;
    size_t n_ports;
    struct state_endpoint *endpoints;
    size_t n_endpoints;
    uint32_t patch_tun; /* ofport in br-int of the patch to br-tun */
    uint32_t patch_int; /* ofport in br-tun of the patch to br-int */
    uint32_t *dead;     /* ofports in br-int of interfaces with an iface-id that no port of this host has */
    size_t n_dead;
    uint32_t *plain; /* ofports in br-int of interfaces with no iface-id: the operator's own, not ours to guard */
    size_t n_plain;
};

void state_done(struct state *s);

/* What rows say becomes text of flows: only these may. */
bool state_is_mac(const char *text); /* unicast, with colons */
bool state_is_ip(const char *text);
/* "MAC,ADDRESS" or "MAC,ADDRESS/LENGTH", as Port rows have it; -EINVAL if it is neither. Borrows from TEXT. */
int state_pair_parse(const char *text, struct state_pair *ret);

/* Local VLANs. EXISTING: what Port rows say now, first come first kept; a network that is in it twice, or a VLAN that
 * two networks have, loses the later entry. Gives every network of S a VLAN: its existing one or the lowest free. Free
 * is one that no row says: a port of a network that has just gone is in it until its row is written, and would hear the
 * next network.
 * -ENOSPC when a network gets none (its vlan stays 0); the others have theirs. */
struct vlan_entry {
    const char *network_id;
    uint16_t vlan;
};
int state_assign_vlans(struct state *s, const struct vlan_entry *existing, size_t n_existing);

#endif
