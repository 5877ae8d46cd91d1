/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of bridges and ports that only NORMAL heeds, and what must be forgotten when they change. */
#include "switch/bundle.h"
#include "switch/mcast_table.h"
#include "switch/mirror.h"
#include "switch/switch_private.h"

/* ---- ports ---- */

static bool same_bond(const struct port *port, const char *name)
{
    return !strcmp(port->bond ? port->bond->bond->name : "", name ? name : "");
}

static void forget_learned(struct port *port)
{
    mac_table_flush_port(&port->bridge->macs, port->ofp_port);
    if (port->bridge->mcast) {
        mcast_table_flush_port(port->bridge->mcast, port->ofp_port);
    }
}

void port_set_normal(struct port *port, const struct port_config *config)
{
    if (!same_bond(port, config->bond)) {
        bundle_leave(port);
        if (config->bond) {
            bundle_join(port, config->bond); /* it is there: that was checked */
        }
    }
    if (!vlan_config_equal(&port->vlan, &config->vlan)) {
        port->vlan = config->vlan;
        forget_learned(port);
    }
    port->is_protected = config->is_protected;
    port->mcast_flood = config->mcast_flood;
    port->mcast_flood_reports = config->mcast_flood_reports;
    mirrors_ports_changed(port->bridge);
}

/* A host behind a port that goes will turn up elsewhere, maybe in another bridge, whose own idea of where it is led
 * over this one: it is looked for anew in all of them. */
static void forget_elsewhere(const struct port *port)
{
    const struct bridge *br = port->bridge;
    const struct mac_port *learned;

    HASH_FIND(hh, br->macs.ports, &port->ofp_port, sizeof port->ofp_port, learned);
    for (const struct mac_entry *e = learned ? learned->lru : NULL; e; e = e->port_next) {
        for (struct bridge *other = br->sw->bridges; other; other = other->hh.next) {
            if (other != br) {
                mac_table_unlearn(&other->macs, e->key.vlan, e->key.mac);
            }
        }
    }
}

void port_forget(struct port *port)
{
    struct bridge *br = port->bridge;

    forget_elsewhere(port);
    bundle_leave(port);
    mac_table_forget_port(&br->macs, port->ofp_port);
    if (br->mcast) {
        mcast_table_flush_port(br->mcast, port->ofp_port);
    }
    mirrors_ports_changed(br);
}

/* ---- bridges ---- */

int bridge_add_static_mac(struct bridge *br, uint16_t vlan, struct eth_addr mac, ofp_port_t port)
{
    struct port *p = bridge_port_by_ofp(br, port);

    if (!p) {
        return -ENODEV;
    }
    if (eth_addr_is_group(&mac) || vlan > 4095) {
        return -EINVAL;
    }
    mac_table_set_static(&br->macs, vlan, mac, bundle_lead(p)->ofp_port, time_mono_ms());
    switch_changed(br->sw);
    return 0;
}

int bridge_del_mac(struct bridge *br, uint16_t vlan, struct eth_addr mac)
{
    if (!mac_table_del(&br->macs, vlan, mac)) {
        return -ENOENT;
    }
    switch_changed(br->sw);
    return 0;
}

void bridge_set_forward_bpdu(struct bridge *br, bool on)
{
    if (br->forward_bpdu != on) {
        br->forward_bpdu = on;
        switch_changed(br->sw);
    }
}

/* What was learned in such a VLAN before serves no more. */
static void forget_vlans(struct bridge *br)
{
    struct mac_entry *e, *next;

    HASH_ITER(hh, br->macs.entries, e, next) {
        if (!e->is_static && br->flood_vlans[e->key.vlan / 8] >> (e->key.vlan % 8) & 1) {
            mac_table_del(&br->macs, e->key.vlan, e->key.mac);
        }
    }
}

void bridge_set_flood_vlans(struct bridge *br, const uint8_t *vlans)
{
    if (!br->flood_vlans == !vlans && (!vlans || !memcmp(br->flood_vlans, vlans, VLAN_TRUNKS_BYTES))) {
        return;
    }
    free(br->flood_vlans);
    br->flood_vlans = vlans ? xmemdup(vlans, VLAN_TRUNKS_BYTES) : NULL;
    if (br->flood_vlans) {
        forget_vlans(br);
    }
    switch_changed(br->sw);
}

void bridge_set_mcast(struct bridge *br, const struct mcast_settings *settings)
{
    bool changed =
        settings->enable != (br->mcast != NULL) || settings->flood_unregistered != br->mcast_flood_unregistered;

    if (!settings->enable) {
        mcast_table_destroy(TAKE_PTR(br->mcast));
    } else {
        if (!br->mcast) {
            br->mcast = mcast_table_create();
        }
        changed |= mcast_table_set_limits(br->mcast, settings->max, settings->age_ms);
    }
    br->mcast_flood_unregistered = settings->flood_unregistered;
    if (changed) {
        switch_changed(br->sw);
    }
}

void bridge_flush_mcast(struct bridge *br)
{
    if (br->mcast && mcast_table_flush(br->mcast)) {
        switch_changed(br->sw);
    }
}

void switch_set_vlan_limit(struct switch_ *sw, unsigned int n)
{
    if (sw->vlan_limit != n) {
        sw->vlan_limit = n;
        switch_changed(sw);
    }
}
