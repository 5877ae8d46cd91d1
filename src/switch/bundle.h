/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_BUNDLE_H
#define WARREN_SWITCH_BUNDLE_H
/*
 * Bundles: what NORMAL takes for one port. That is a port, or a bond with all its members, which share VLAN settings.
 * Tables of learned things name a bond by the number of its leading member, the first that joined.
 *
 * This joins bond.h's decisions to the bridge: ports become members by port_config.bond, their links are passed on, a
 * timer runs the delays and the rebalancing, changes are followed by switch_changed(), and after a failover the
 * addresses that live behind the other ports are announced by the bond with RARP requests (RFC 903), so that the
 * switches upstream learn where they are now.
 *
 * A bond needs no help from the switches upstream, so they send floods by several of its links and send back what the
 * bond itself flooded. Rules for what comes in by a bond (bundle_admit()): multicast and broadcast only by the active
 * member; with active-backup everything only by the active member; with balance-slb nothing from a host that was
 * learned elsewhere, as that is a reflection, unless it is a gratuitous ARP, by which a host that did move behind the
 * bond says so. As a gratuitous ARP of a local host is reflected too, it locks the host's entry for 5 s: gratuitous
 * ARPs that come by a bond do not move a locked entry.
 */
#include "switch/bond.h"
#include "switch/bridge.h"

struct bundle_bond {
    struct bridge *bridge;
    struct bond *bond;
    struct event *timer;
    uint64_t n_announced; /* frames sent after failovers */
    UT_hash_handle hh;    /* by bond->name */
};

/* Makes or changes a bond of BR; ports then join it. -EEXIST: a port has that name. */
int bridge_bond_set(struct bridge *br, const char *name, const struct bond_settings *settings);
/* Its members become ports of their own. */
void bridge_bond_del(struct bridge *br, const char *name);
struct bundle_bond *bridge_bond_find(const struct bridge *br, const char *name);
/* In whichever bridge; for ovs-appctl. */
struct bundle_bond *switch_bond_find(const struct switch_ *sw, const char *name);
/* bond_set_active() and so on by hand, and what follows. */
int bundle_set_active(struct bundle_bond *bb, const char *member);
int bundle_set_enabled(struct bundle_bond *bb, const char *member, bool enabled);
int bundle_migrate(struct bundle_bond *bb, unsigned int bucket, const char *member);

/* For bridge.c: PORT is about to join the bond NAME (-ENOENT: there is none), leaves, has a new link. */
int bundle_join(struct port *port, const char *name);
void bundle_leave(struct port *port);
void bundle_link_changed(struct port *port);
void bundles_destroy(struct bridge *br);

/* The port that stands for PORT's bundle: itself, or its bond's leading member. */
struct port *bundle_lead(struct port *port);
const char *bundle_name(const struct port *port);
/* Can anything come or go by PORT's bundle? */
bool bundle_is_up(const struct port *port);
static inline bool bundle_is_slb(const struct port *port)
{
    return port->bond && port->bond->bond->settings.mode == BOND_BALANCE_SLB;
}
/* Does the bridge have any balance-slb bond? Only then gratuitous ARPs matter. */
bool bridge_has_slb(const struct bridge *br);

enum bundle_verdict { BUNDLE_ACCEPT, BUNDLE_DROP, BUNDLE_DROP_IF_MOVED };
/* May a packet to DST come in by PORT? */
enum bundle_verdict bundle_admit(const struct port *port, struct eth_addr dst);
/* Where a packet from SRC in VLAN leaves the bundle that LEAD stands for; NULL: no member is up. *RET_BUCKET is for
 * bond_count(), or -1. */
struct port *bundle_output(struct port *lead, struct eth_addr src, uint16_t vlan, int *ret_bucket);

#endif
