/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control commands on what NORMAL knows: learned and static addresses (fdb), multicast groups (mdb), bonds (bond) and
 * LACP, of which there is none.
 */
#include <inttypes.h>

#include "switch/bundle.h"
#include "switch/iface_config.h"
#include "switch/mcast_table.h"
#include "switch/switch_ctl_private.h"

static void add_port_number(struct strbuf *out, ofp_port_t port)
{
    if (port == OFPP_LOCAL) {
        strbuf_add(out, "LOCAL");
    } else {
        strbuf_addf(out, "%5u", ofp_port_u32(port));
    }
}

static int parse_number(const char *what, const char *s, unsigned long max, unsigned long *ret, struct strbuf *out)
{
    char *end;
    unsigned long n = strtoul(s, &end, 10);
    if (*s < '0' || *s > '9' || *end || n > max) {
        strbuf_addf(out, "bad %s \"%s\"", what, s);
        return -EINVAL;
    }
    *ret = n;
    return 0;
}

static int parse_mac(const char *s, struct eth_addr *ret, struct strbuf *out)
{
    if (eth_addr_parse(s, ret)) {
        strbuf_addf(out, "bad MAC address \"%s\"", s);
        return -EINVAL;
    }
    return 0;
}

/* --- fdb --- */

static int by_vlan_and_mac(const struct mac_entry *a, const struct mac_entry *b)
{
    int diff = (int)a->key.vlan - (int)b->key.vlan;
    return diff ? diff : memcmp(a->key.mac.a, b->key.mac.a, sizeof a->key.mac.a);
}

static void add_mac_entry(struct strbuf *out, const struct mac_entry *e, int64_t now)
{
    add_port_number(out, e->port);
    strbuf_addf(out, "  %4u  %s  ", e->key.vlan, ETH_ADDR_STR(&e->key.mac));
    if (e->is_static) {
        strbuf_add(out, "static\n");
    } else {
        strbuf_addf(out, "%3" PRId64 "\n", (now - e->used_ms) / 1000);
    }
}

/* The one that was heard of longest ago comes first, as in Open vSwitch. */
static int fdb_show(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct bridge *br = ctl_find_bridge(aux, args[0], out);
    if (!br) {
        return -ENOENT;
    }
    int64_t now = time_mono_ms();
    strbuf_add(out, " port  VLAN  MAC                Age\n");
    for (const struct mac_entry *e = br->macs.lru; e; e = e->next) {
        add_mac_entry(out, e, now);
    }
    HASH_SORT(br->macs.entries, by_vlan_and_mac);
    for (const struct mac_entry *e = br->macs.n_static ? br->macs.entries : NULL; e; e = e->hh.next) {
        if (e->is_static) {
            add_mac_entry(out, e, now);
        }
    }
    return 0;
}

static int fdb_flush(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct switch_ *sw = aux;
    struct bridge *only = n ? ctl_find_bridge(sw, args[0], out) : NULL;
    if (n && !only) {
        return -ENOENT;
    }
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        if (!only || br == only) {
            bridge_flush_macs(br);
        }
    }
    strbuf_add(out, "table successfully flushed");
    return 0;
}

static int fdb_add(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct bridge *br = ctl_find_bridge(aux, args[0], out);
    const struct port *port = br ? bridge_port_by_name(br, args[1]) : NULL;
    unsigned long vlan;
    struct eth_addr mac;
    if (!br) {
        return -ENOENT;
    }
    if (!port) {
        strbuf_addf(out, "no such port \"%s\"", args[1]);
        return -ENOENT;
    }
    if (parse_number("VLAN", args[2], 4095, &vlan, out) || parse_mac(args[3], &mac, out)) {
        return -EINVAL;
    }
    const struct mac_entry *old = mac_table_lookup(&br->macs, (uint16_t)vlan, mac, time_mono_ms());
    if (old && !(old->is_static && old->port == port->ofp_port)) {
        strbuf_addf(out, "Overriding already existing %s entry on %u\n", old->is_static ? "static" : "dynamic",
                    ofp_port_u32(old->port));
    }
    int error = bridge_add_static_mac(br, (uint16_t)vlan, mac, port->ofp_port);
    if (error) {
        strbuf_addf(out, "\"%s\" is no unicast address", args[3]);
    }
    return error;
}

static bool has_static(const struct bridge *br, uint16_t vlan, struct eth_addr mac)
{
    for (const struct mac_entry *e = br->macs.entries; e; e = e->hh.next) {
        if (e->is_static && e->key.vlan == vlan && !memcmp(e->key.mac.a, mac.a, sizeof mac.a)) {
            return true;
        }
    }
    return false;
}

static int fdb_del(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct bridge *br = ctl_find_bridge(aux, args[0], out);
    unsigned long vlan;
    struct eth_addr mac;
    if (!br) {
        return -ENOENT;
    }
    if (parse_number("VLAN", args[1], 4095, &vlan, out) || parse_mac(args[2], &mac, out)) {
        return -EINVAL;
    }
    if (!has_static(br, (uint16_t)vlan, mac)) {
        strbuf_add(out, "could not find static mac entry");
        return -ENOENT;
    }
    return bridge_del_mac(br, (uint16_t)vlan, mac);
}

static int fdb_stats_clear(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct switch_ *sw = aux;
    struct bridge *only = n ? ctl_find_bridge(sw, args[0], out) : NULL;
    if (n && !only) {
        return -ENOENT;
    }
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        if (!only || br == only) {
            br->macs.n_learned = br->macs.n_expired = br->macs.n_evicted = br->macs.n_moved = 0;
        }
    }
    strbuf_add(out, "statistics successfully cleared");
    return 0;
}

static int fdb_stats_show(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct bridge *br = ctl_find_bridge(aux, args[0], out);
    if (!br) {
        return -ENOENT;
    }
    const struct mac_table *t = &br->macs;
    strbuf_addf(out, "Statistics for bridge \"%s\":\n", br->name);
    strbuf_addf(out, "  Current/maximum MAC entries in the table: %zu/%zu\n", mac_table_count(t), t->max);
    strbuf_addf(out, "  Current static MAC entries in the table : %zu\n", t->n_static);
    strbuf_addf(out, "  Total number of learned MAC entries     : %" PRIu64 "\n", t->n_learned);
    strbuf_addf(out, "  Total number of expired MAC entries     : %" PRIu64 "\n", t->n_expired);
    strbuf_addf(out, "  Total number of evicted MAC entries     : %" PRIu64 "\n", t->n_evicted);
    strbuf_addf(out, "  Total number of port moved MAC entries  : %" PRIu64 "\n", t->n_moved);
    return 0;
}

/* --- mdb --- */

static struct bridge *find_snooping(void *aux, const char *name, struct strbuf *out)
{
    struct bridge *br = ctl_find_bridge(aux, name, out);
    if (br && !br->mcast) {
        strbuf_add(out, "multicast snooping is disabled");
        return NULL;
    }
    return br;
}

static void add_group(struct strbuf *out, const struct mcast_group *g, int64_t now)
{
    static const struct ip_addr none;
    _cleanup_strbuf_ struct strbuf name = {0};
    /* Widths as Open vSwitch has them: the address's does not count. */
    if (memcmp(&g->key.group, &none, sizeof none) != 0) {
        ip_addr_format(&g->key.group, &name);
        strbuf_add(&name, "         ");
    } else {
        strbuf_add(&name, "querier             ");
    }
    for (const struct mcast_member *m = g->members; m; m = m->next) {
        add_port_number(out, m->port);
        strbuf_addf(out, "  %4u  %s%3" PRId64 "\n", g->key.vlan, name.s, (now - m->used_ms) / 1000);
    }
}

/* Groups first, then who asks for them. */
static int mdb_show(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    static const struct ip_addr none;
    struct bridge *br = find_snooping(aux, args[0], out);
    int64_t now = time_mono_ms();
    if (!br) {
        return -ENOENT;
    }
    strbuf_add(out, " port  VLAN  GROUP                Age\n");
    for (int queriers = 0; queriers < 2; queriers++) {
        for (const struct mcast_group *g = br->mcast->groups; g; g = g->hh.next) {
            if ((memcmp(&g->key.group, &none, sizeof none) == 0) == (queriers == 1)) {
                add_group(out, g, now);
            }
        }
    }
    return 0;
}

static int mdb_flush(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct switch_ *sw = aux;
    struct bridge *only = n ? find_snooping(sw, args[0], out) : NULL;
    if (n && !only) {
        return -ENOENT;
    }
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        if ((!only || br == only) && br->mcast) {
            bridge_flush_mcast(br);
        }
    }
    strbuf_add(out, "table successfully flushed");
    return 0;
}

/* --- bonds --- */

static const char *mode_name(const struct bond *b)
{
    return b->settings.mode == BOND_ACTIVE_BACKUP ? "active-backup" : "balance-slb";
}

static struct bundle_bond *find_bond(struct switch_ *sw, const char *name, struct strbuf *out)
{
    struct bundle_bond *bb = switch_bond_find(sw, name);
    if (!bb) {
        strbuf_add(out, "no such bond");
    }
    return bb;
}

static int bond_list(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    const struct switch_ *sw = aux;
    strbuf_add(out, "bond\ttype\trecircID\tmembers\n");
    for (const struct bridge *br = sw->bridges; br; br = br->hh.next) {
        for (const struct bundle_bond *bb = br->bonds; bb; bb = bb->hh.next) {
            strbuf_addf(out, "%s\t%s\t0\t", bb->bond->name, mode_name(bb->bond));
            for (const struct bond_member *m = bb->bond->members; m; m = m->next) {
                strbuf_addf(out, "%s%s", m->name, m->next ? ", " : "\n");
            }
        }
    }
    return 0;
}

static void show_member(const struct bond *b, const struct bond_member *m, int64_t now, struct strbuf *out)
{
    strbuf_addf(out, "\nmember %s: %s\n", m->name, m->enabled ? "enabled" : "disabled");
    if (m == b->active) {
        strbuf_add(out, "  active member\n");
    }
    if (m->change_ms != INT64_MAX) {
        strbuf_addf(out, "  %s expires in %" PRId64 " ms\n", m->enabled ? "downdelay" : "updelay", m->change_ms - now);
    }
    strbuf_addf(out, "  may_enable: %s\n", m->link ? "true" : "false");
    for (unsigned int i = 0; b->settings.mode == BOND_BALANCE_SLB && i < BOND_BUCKETS; i++) {
        const struct bond_bucket *bucket = &b->buckets[i];
        if (bucket->member == m && bucket->tx_bytes) {
            strbuf_addf(out, "  hash %u: %" PRIu64 " kB load\n", i, bucket->tx_bytes / 1024);
        }
    }
}

static void show_bond(const struct bond *b, struct strbuf *out)
{
    int64_t now = time_mono_ms();
    strbuf_addf(out, "---- %s ----\nbond_mode: %s\nbond may use recirculation: no, Recirc-ID : -1\n", b->name,
                mode_name(b));
    strbuf_addf(out, "bond-hash-basis: %u\nlb_output action: disabled, bond-id: -1\nall members active: %s\n",
                b->settings.basis, b->settings.all_members_active ? "true" : "false");
    strbuf_addf(out, "updelay: %" PRId64 " ms\ndowndelay: %" PRId64 " ms\n", b->settings.updelay_ms,
                b->settings.downdelay_ms);
    if (b->settings.mode == BOND_BALANCE_SLB && b->rebalance_at_ms != INT64_MAX) {
        strbuf_addf(out, "next rebalance: %" PRId64 " ms\n", MAX(b->rebalance_at_ms - now, 0));
    }
    strbuf_add(out, "lacp_status: off\nlacp_fallback_ab: false\n");
    if (b->settings.mode == BOND_ACTIVE_BACKUP) {
        strbuf_addf(out, "active-backup primary: %s\n", *b->settings.primary ? b->settings.primary : "<none>");
    }
    if (b->active) {
        strbuf_addf(out, "active member mac: %s(%s)\n", ETH_ADDR_STR(&b->active->mac), b->active->name);
    } else {
        strbuf_add(out, "active member mac: 00:00:00:00:00:00(none)\n");
    }
    for (const struct bond_member *m = b->members; m; m = m->next) {
        show_member(b, m, now, out);
    }
    strbuf_add(out, "\n");
}

static int bond_show(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct switch_ *sw = aux;
    if (n) {
        const struct bundle_bond *bb = find_bond(sw, args[0], out);
        if (!bb) {
            return -ENOENT;
        }
        show_bond(bb->bond, out);
        return 0;
    }
    for (const struct bridge *br = sw->bridges; br; br = br->hh.next) {
        for (const struct bundle_bond *bb = br->bonds; bb; bb = bb->hh.next) {
            show_bond(bb->bond, out);
        }
    }
    return 0;
}

static int tell_member_error(int error, struct strbuf *out)
{
    strbuf_add(out, error == -ENOENT     ? "no such member"
                    : error == -ENETDOWN ? "cannot make disabled member active"
                                         : "not an SLB bond, or no such hash");
    return error;
}

static int bond_set_active_member(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct bundle_bond *bb = find_bond(aux, args[0], out);
    if (!bb) {
        return -ENOENT;
    }
    const struct bond_member *before = bb->bond->active;
    int error = bundle_set_active(bb, args[1]);
    if (error) {
        return tell_member_error(error, out);
    }
    strbuf_add(out, bb->bond->active != before ? "done" : "no change");
    return 0;
}

static int set_enabled(struct switch_ *sw, const char *const *args, bool enabled, struct strbuf *out)
{
    struct bundle_bond *bb = find_bond(sw, args[0], out);
    int error = bb ? bundle_set_enabled(bb, args[1], enabled) : -ENOENT;
    if (!bb) {
        return error;
    }
    if (error) {
        return tell_member_error(error, out);
    }
    strbuf_add(out, enabled ? "enabled" : "disabled");
    return 0;
}

static int bond_enable_member(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    return set_enabled(aux, args, true, out);
}

static int bond_disable_member(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    return set_enabled(aux, args, false, out);
}

/* The hash is a bucket's number, or an address whose bucket in VLAN 0 is meant. */
static int bond_migrate_hash(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct bundle_bond *bb = find_bond(aux, args[0], out);
    unsigned long bucket;
    struct eth_addr mac;
    if (!bb) {
        return -ENOENT;
    }
    if (!eth_addr_parse(args[1], &mac)) {
        bucket = bond_hash(bb->bond, mac, 0) % BOND_BUCKETS;
    } else if (parse_number("hash", args[1], BOND_BUCKETS - 1, &bucket, out)) {
        return -EINVAL;
    }
    int error = bundle_migrate(bb, (unsigned int)bucket, args[2]);
    if (error) {
        return tell_member_error(error, out);
    }
    strbuf_add(out, "migrated");
    return 0;
}

static int bond_hash_show(void *aux WR_UNUSED, size_t n, const char *const *args, struct strbuf *out)
{
    struct bond bond = {0};
    struct eth_addr mac;
    unsigned long vlan = 0, basis = 0;
    if (parse_mac(args[0], &mac, out) || (n > 1 && parse_number("vlan", args[1], 4095, &vlan, out)) ||
        (n > 2 && parse_number("basis", args[2], UINT32_MAX, &basis, out))) {
        return -EINVAL;
    }
    bond.settings.basis = (uint32_t)basis;
    strbuf_addf(out, "%u\n", bond_hash(&bond, mac, (uint16_t)vlan) % BOND_BUCKETS);
    return 0;
}

/* Port rows that ask for LACP say so in their status; there is nothing to show of it. */
static int lacp_show(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    if (n && !switch_bond_find(aux, args[0])) {
        strbuf_add(out, "no such lacp object");
        return -ENOENT;
    }
    return 0;
}

void switch_ctl_normal_register(struct switch_ctl *ctl)
{
    static const struct ctl_command commands[] = {
        {"bond/disable-member", "port member", 2, 2, bond_disable_member},
        {"bond/enable-member", "port member", 2, 2, bond_enable_member},
        {"bond/hash", "mac [vlan] [basis]", 1, 3, bond_hash_show},
        {"bond/list", "", 0, 0, bond_list},
        {"bond/migrate", "port hash member", 3, 3, bond_migrate_hash},
        {"bond/set-active-member", "port member", 2, 2, bond_set_active_member},
        {"bond/show", "[port]", 0, 1, bond_show},
        {"fdb/add", "bridge port vlan mac", 4, 4, fdb_add},
        {"fdb/del", "bridge vlan mac", 3, 3, fdb_del},
        {"fdb/flush", "[bridge]", 0, 1, fdb_flush},
        {"fdb/show", "bridge", 1, 1, fdb_show},
        {"fdb/stats-clear", "[bridge]", 0, 1, fdb_stats_clear},
        {"fdb/stats-show", "bridge", 1, 1, fdb_stats_show},
        {"lacp/show", "[port]", 0, 1, lacp_show},
        {"lacp/show-stats", "[port]", 0, 1, lacp_show},
        {"mdb/flush", "[bridge]", 0, 1, mdb_flush},
        {"mdb/show", "bridge", 1, 1, mdb_show},
    };
    ctl_register(ctl->unixctl, commands, ARRAY_SIZE(commands), ctl->sw);
}
