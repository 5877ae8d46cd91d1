/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CONTROLLER_PORT_ADDRESSES_H
#define WARREN_CONTROLLER_PORT_ADDRESSES_H
/*
 * Which fixed IPs a port gets: those that the request names, one from a pool where it names only a subnet, one of each
 * IP version where it names nothing, and an address formed from the MAC in every subnet that works so (SLAAC). But
 * routers do not listen to what routers announce: their ports have in such subnets the address that the request names.
 */
#include "controller/api.h"

#define MAX_FIXED_IPS 64

struct port_address {
    const struct ovsdb_row *subnet;
    struct ip ip;
};

struct port_addresses {
    struct port_address list[MAX_FIXED_IPS];
    size_t n;
};

/* Is a port of this device_owner a router's? */
bool port_is_router(const char *device_owner);
/* … a DHCP server's, which is made for the network, and goes with it? */
bool port_is_dhcp(const char *device_owner);
/* ports.c: adds to TXN what deletes the port with all that belongs to it. */
void port_remove(struct ovsdb_txn *txn, const struct ovsdb_row *row);
/* Whose addresses are chosen: its present ones (if any) it may keep. */
struct port_asking {
    const char *network_id, *id, *device_owner;
    const struct eth_addr *mac;
};
/* FIXED_IPS is checked (port_fixed_ips_check()); NULL for what the network's subnets suggest. False after having
 * answered. */
bool port_addresses_choose(struct call *c, const struct port_asking *port, const json_t *fixed_ips,
                           struct port_addresses *ret);
/* The port's present addresses as fixed_ips that ask for the same again; of those that are formed from the MAC only the
 * subnet. */
json_t *port_addresses_present(struct call *c, const struct port_asking *port);
/* Adds to TXN what makes the port's Address rows those of WANTED. PORT is the row's reference, taken over. */
void port_addresses_write(struct call *c, struct ovsdb_txn *txn, const struct port_addresses *wanted,
                          const char *network_id, const char *port_id, json_t *port);

/* For attributes.h: a list of {"subnet_id", "ip_address"}, at least one of both in each. */
json_t *port_fixed_ips_check(const json_t *value, struct strbuf *why);
/* Likewise [{"ip_address", "mac_address"}], the MAC left out at will. */
json_t *port_pairs_check(const json_t *value, struct strbuf *why);

#endif
