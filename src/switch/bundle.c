/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/bundle.h"

#include <arpa/inet.h>
#include <utlist.h>

#include "base/log.h"
#include "switch/mcast_table.h"
#include "switch/mirror.h"

LOG_MODULE("bundle");

struct port *bundle_lead(struct port *port)
{
    const struct bond_member *first = port->bond ? port->bond->bond->members : NULL;
    struct port *lead = first ? bridge_port_by_ofp(port->bridge, first->port) : NULL;

    return lead ? lead : port;
}

const char *bundle_name(const struct port *port)
{
    return port->bond ? port->bond->bond->name : port->name;
}

/* ---- announcements ---- */

/* A RARP request of MAC for its own address: what bridges between here and there learn MAC from. */
static struct packet *compose_rarp(struct eth_addr mac, uint16_t vlan)
{
    static const uint8_t rarp[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
    uint8_t b[64] = {0};
    size_t n = 12;

    memset(b, 0xff, 6);
    memcpy(b + 6, mac.a, 6);
    if (vlan) {
        memcpy(b + n, (const uint8_t[]){0x81, 0, (uint8_t)(vlan >> 8), (uint8_t)vlan}, 4);
        n += 4;
    }
    memcpy(b + n, rarp, sizeof rarp);
    n += sizeof rarp;
    memcpy(b + n, mac.a, 6);      /* sender */
    memcpy(b + n + 10, mac.a, 6); /* target */
    return packet_new(b, vlan ? 64 : 60);
}

static void announce_one(struct bundle_bond *bb, const struct port *lead, const struct mac_entry *e)
{
    const struct vlan_config *v = &lead->vlan;
    bool untagged = v->mode == VLAN_ACCESS || v->mode == VLAN_DOT1Q_TUNNEL ||
                    (v->mode == VLAN_NATIVE_UNTAGGED && e->key.vlan == v->tag);
    int bucket;
    const struct bond_member *m = bond_member_for(bb->bond, e->key.mac, e->key.vlan, &bucket);
    const struct port *port = m ? bridge_port_by_ofp(bb->bridge, m->port) : NULL;
    struct dp_action out = {.type = DP_ACTION_OUTPUT, .len = sizeof out};
    struct packet *p;

    if (!port || port->dp_port == DP_PORT_NONE) {
        return;
    }
    out.arg = dp_port_u32(port->dp_port);
    p = compose_rarp(e->key.mac, untagged ? 0 : e->key.vlan);
    p->in_port = DP_PORT_NONE;
    if (!dp_execute(bb->bridge->sw->dp, p, &out, sizeof out)) {
        bb->n_announced++;
    }
    packet_free(p);
}

/* Tells the world behind the bond of all that is learned elsewhere. */
static void announce(struct bundle_bond *bb)
{
    const struct bond_member *first = bb->bond->members;
    const struct port *lead = first ? bridge_port_by_ofp(bb->bridge, first->port) : NULL;

    if (!lead) {
        return;
    }
    for (const struct mac_entry *e = bb->bridge->macs.entries; e; e = e->hh.next) {
        if (e->port != lead->ofp_port && vlan_config_carries(&lead->vlan, e->key.vlan)) {
            announce_one(bb, lead, e);
        }
    }
}

/* ---- what decisions entail ---- */

static void plan(struct bundle_bond *bb)
{
    int64_t next = bond_next_ms(bb->bond), wait;
    struct timeval tv;

    if (next == INT64_MAX) {
        event_del(bb->timer);
        return;
    }
    wait = MAX(next - time_mono_ms(), (int64_t)0) + 1;
    tv = (struct timeval){wait / 1000, wait % 1000 * 1000};
    event_add(bb->timer, &tv);
}

static void follow_up(struct bundle_bond *bb, unsigned int flags)
{
    if (flags & BOND_CHANGED) {
        const struct switch_hooks *h = &bb->bridge->sw->hooks;

        switch_changed(bb->bridge->sw);
        if (h->bond_changed) {
            h->bond_changed(h->aux, bb->bridge);
        }
    }
    if (flags & BOND_ANNOUNCE) {
        announce(bb);
    }
    plan(bb);
}

static void on_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct bundle_bond *bb = aux;

    follow_up(bb, bond_run(bb->bond, time_mono_ms()));
}

static bool is_up(const struct port *port)
{
    return !(port->state & PORT_STATE_LINK_DOWN) && !(port->config & PORT_CONFIG_DOWN);
}

bool bundle_is_up(const struct port *port)
{
    return port->bond ? port->bond->bond->active != NULL : is_up(port);
}

static void forget_learned(struct port *port)
{
    struct bridge *br = port->bridge;
    bool changed = mac_table_flush_port(&br->macs, port->ofp_port);

    if (br->mcast) {
        changed |= mcast_table_flush_port(br->mcast, port->ofp_port);
    }
    if (changed) {
        switch_changed(br->sw);
    }
}

int bundle_join(struct port *port, const char *name)
{
    struct bundle_bond *bb = bridge_bond_find(port->bridge, name);

    if (!bb) {
        return -ENOENT;
    }
    forget_learned(port);
    port->bond = bb;
    mirrors_ports_changed(port->bridge);
    /* Its link is not known yet: the configurator tells it right away. */
    follow_up(bb, bond_add(bb->bond, port->name, port->ofp_port, port->mac, false, time_mono_ms()));
    return 0;
}

void bundle_leave(struct port *port)
{
    struct bundle_bond *bb = port->bond;

    if (bb) {
        forget_learned(port);
        port->bond = NULL;
        mirrors_ports_changed(port->bridge);
        follow_up(bb, bond_del(bb->bond, port->ofp_port, time_mono_ms()));
    }
}

void bundle_link_changed(struct port *port)
{
    struct bundle_bond *bb = port->bond;

    if (bb) {
        follow_up(bb, bond_set_link(bb->bond, port->ofp_port, port->mac, is_up(port), time_mono_ms()));
    }
    if (!bundle_is_up(port)) {
        forget_learned(bundle_lead(port));
    }
}

/* ---- bonds of a bridge ---- */

struct bundle_bond *bridge_bond_find(const struct bridge *br, const char *name)
{
    struct bundle_bond *bb;

    HASH_FIND(hh, br->bonds, name, strlen(name), bb);
    return bb;
}

struct bundle_bond *switch_bond_find(const struct switch_ *sw, const char *name)
{
    struct bundle_bond *bb = NULL;

    for (const struct bridge *br = sw->bridges; br && !bb; br = br->hh.next) {
        bb = bridge_bond_find(br, name);
    }
    return bb;
}

bool bridge_has_slb(const struct bridge *br)
{
    for (const struct bundle_bond *bb = br->bonds; bb; bb = bb->hh.next) {
        if (bb->bond->settings.mode == BOND_BALANCE_SLB) {
            return true;
        }
    }
    return false;
}

int bridge_bond_set(struct bridge *br, const char *name, const struct bond_settings *settings)
{
    struct bundle_bond *bb = bridge_bond_find(br, name);

    if (bb) {
        follow_up(bb, bond_set(bb->bond, settings, time_mono_ms()));
        return 0;
    }
    if (switch_port_by_name(br->sw, name) || switch_bond_find(br->sw, name)) {
        return -EEXIST;
    }
    bb = xcalloc(1, sizeof *bb);
    bb->bridge = br;
    bb->timer = event_new(br->sw->base, -1, 0, on_timer, bb);
    if (!bb->timer) {
        free(bb);
        return -ENOMEM;
    }
    bb->bond = bond_create(name, settings, time_mono_ms());
    HASH_ADD_KEYPTR(hh, br->bonds, bb->bond->name, strlen(bb->bond->name), bb);
    plan(bb);
    return 0;
}

static void bundle_destroy(struct bundle_bond *bb)
{
    struct bridge *br = bb->bridge;

    for (struct port *p = br->ports_by_ofp; p; p = p->hh_ofp.next) {
        if (p->bond == bb) {
            forget_learned(p);
            p->bond = NULL;
        }
    }
    HASH_DELETE(hh, br->bonds, bb);
    event_free(bb->timer);
    bond_destroy(bb->bond);
    free(bb);
    mirrors_ports_changed(br);
    switch_changed(br->sw);
}

void bridge_bond_del(struct bridge *br, const char *name)
{
    struct bundle_bond *bb = bridge_bond_find(br, name);

    if (bb) {
        bundle_destroy(bb);
    }
}

void bundles_destroy(struct bridge *br)
{
    while (br->bonds) {
        bundle_destroy(br->bonds);
    }
}

/* ---- by hand ---- */

int bundle_set_active(struct bundle_bond *bb, const char *member)
{
    unsigned int flags = 0;
    int error = bond_set_active(bb->bond, member, &flags);

    follow_up(bb, flags);
    return error;
}

int bundle_set_enabled(struct bundle_bond *bb, const char *member, bool enabled)
{
    unsigned int flags = 0;
    int error = bond_set_enabled(bb->bond, member, enabled, &flags);

    follow_up(bb, flags);
    return error;
}

int bundle_migrate(struct bundle_bond *bb, unsigned int bucket, const char *member)
{
    unsigned int flags = 0;
    int error = bond_migrate(bb->bond, bucket, member, &flags);

    follow_up(bb, flags);
    return error;
}

/* ---- for NORMAL ---- */

enum bundle_verdict bundle_admit(const struct port *port, struct eth_addr dst)
{
    const struct bond *b = port->bond ? port->bond->bond : NULL;
    bool active;

    if (!b) {
        return BUNDLE_ACCEPT;
    }
    active = b->active && b->active->port == port->ofp_port;
    if (b->settings.mode == BOND_ACTIVE_BACKUP) {
        return active ? BUNDLE_ACCEPT : BUNDLE_DROP;
    }
    if (eth_addr_is_group(&dst) && !active && !b->settings.all_members_active) {
        return BUNDLE_DROP;
    }
    return BUNDLE_DROP_IF_MOVED;
}

struct port *bundle_output(struct port *lead, struct eth_addr src, uint16_t vlan, int *ret_bucket)
{
    const struct bond_member *m;

    *ret_bucket = -1;
    if (!lead->bond) {
        return lead;
    }
    m = bond_member_for(lead->bond->bond, src, vlan, ret_bucket);
    return m ? bridge_port_by_ofp(lead->bridge, m->port) : NULL;
}
