/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port rows: what they say of VLANs, bonds and the rest of NORMAL, and the columns that are written back. A Port with
 * several interfaces is a bond; each interface's port joins it by port_config.bond. LACP is not spoken: a bond that
 * needs it has no ports, and says so in its interfaces' `error`, unless other_config:lacp-fallback-ab lets it be an
 * active-backup bond. What else is asked for and lacking stands in Port.status:unsupported and in the log.
 */
#include <stdio.h>

#include "base/log.h"
#include "switch/bundle.h"
#include "switch/configurator_private.h"
#include "switch/row_writer.h"

LOG_MODULE("ports");

/* As Open vSwitch takes them: any case. */
static bool map_flag(const struct ovsdb_row *row, const char *key)
{
    const char *s = ovsdb_row_map_string(row, "other_config", key);
    return s && !strcasecmp(s, "true");
}

/* --- VLANs --- */

static int64_t *read_ints(const struct ovsdb_row *row, const char *column, size_t *ret_n)
{
    size_t n = ovsdb_row_size(row, column);
    int64_t *values = xcalloc(n + 1, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        values[i] = ovsdb_row_set_int(row, column, i);
    }
    *ret_n = n;
    return values;
}

static int read_vlan(const struct ovsdb_row *port, struct vlan_config *ret, struct strbuf *message)
{
    struct vlan_row row = {
        .mode = ovsdb_row_string(port, "vlan_mode"),
        .tag = ovsdb_row_int(port, "tag", -1),
        .qinq_ethtype = ovsdb_row_map_string(port, "other_config", "qinq-ethtype"),
        .priority_tags = ovsdb_row_map_string(port, "other_config", "priority-tags"),
    };
    _cleanup_free_ int64_t *trunks = read_ints(port, "trunks", &row.n_trunks);
    _cleanup_free_ int64_t *cvlans = read_ints(port, "cvlans", &row.n_cvlans);
    row.trunks = trunks;
    row.cvlans = cvlans;
    return vlan_config_parse(&row, ret, message);
}

/* --- bonds --- */

static bool wants_lacp(const struct ovsdb_row *port)
{
    const char *lacp = ovsdb_row_string(port, "lacp");
    return lacp && strcmp(lacp, "off") != 0;
}

/* Is it a bond that can be? Else why not. */
static int check_bond(const struct ovsdb_row *port, const struct port_config *config, bool is_local,
                      struct strbuf *message)
{
    const char *mode = ovsdb_row_string(port, "bond_mode");
    bool tcp = mode && !strcmp(mode, "balance-tcp");
    if ((tcp || wants_lacp(port)) && !map_flag(port, "lacp-fallback-ab")) {
        strbuf_addf(message,
                    "%s is not supported: LACP is not spoken (other_config:lacp-fallback-ab=true would make "
                    "it an active-backup bond)",
                    tcp ? "bond_mode balance-tcp" : "lacp");
        return -EOPNOTSUPP;
    }
    if (mode && !tcp && strcmp(mode, "active-backup") != 0 && strcmp(mode, "balance-slb") != 0) {
        strbuf_addf(message, "bond_mode %s is not supported", mode);
        return -EINVAL;
    }
    if (is_local || config->kind == PORT_PATCH || config->kind == PORT_TUNNEL) {
        strbuf_add(message, "only network devices can be members of a bond");
        return -EINVAL;
    }
    return 0;
}

static void read_bond(const struct ovsdb_row *port, struct bond_settings *ret)
{
    const char *mode = ovsdb_row_string(port, "bond_mode"), *primary;
    memset(ret, 0, sizeof *ret);
    ret->mode = mode && !strcmp(mode, "balance-slb") && !wants_lacp(port) ? BOND_BALANCE_SLB : BOND_ACTIVE_BACKUP;
    ret->updelay_ms = config_duration(ovsdb_row_int(port, "bond_updelay", 0));
    ret->downdelay_ms = config_duration(ovsdb_row_int(port, "bond_downdelay", 0));
    ret->rebalance_ms =
        config_duration(ovsdb_row_map_int(port, "other_config", "bond-rebalance-interval", BOND_DEFAULT_REBALANCE_MS));
    ret->basis = (uint32_t)ovsdb_row_map_int(port, "other_config", "bond-hash-basis", 0);
    ret->all_members_active =
        map_flag(port, "all-members-active") || map_flag(port, "all-slaves-active"); /* the latter until 3.1 */
    primary = ovsdb_row_map_string(port, "other_config", "bond-primary");
    snprintf(ret->primary, sizeof ret->primary, "%s", primary ? primary : "");
}

/* --- whole rows --- */

static void tell_unsupported_of_port(struct iface *iface)
{
    const struct ovsdb_row *port = iface->port_row;
    const char *detect = ovsdb_row_map_string(port, "other_config", "bond-detect-mode");
    const char *mode = ovsdb_row_string(port, "bond_mode");
    _cleanup_strbuf_ struct strbuf b = {0};
    if (wants_lacp(port)) {
        strbuf_add(&b, " lacp");
    }
    if (iface->n_siblings > 1) {
        if (mode && !strcmp(mode, "balance-tcp")) {
            strbuf_add(&b, " balance-tcp");
        }
        if (detect && !strcmp(detect, "miimon")) {
            strbuf_add(&b, " bond-detect-mode=miimon");
        }
        if (ovsdb_row_bool(port, "bond_fake_iface", false)) {
            strbuf_add(&b, " bond_fake_iface");
        }
    }
    /* Siblings share the row: the text is kept with the first of them. */
    if (iface_is_first_of_port(iface)) {
        tell_unsupported("port", ovsdb_row_string(port, "name"), &b, &iface->port_unsupported);
    }
}

int port_row_read(struct iface *iface, struct port_config *config, struct strbuf *message)
{
    const struct ovsdb_row *port = iface->port_row;
    int error = read_vlan(port, &config->vlan, message);
    config->is_protected = ovsdb_row_bool(port, "protected", false);
    config->mcast_flood = map_flag(port, "mcast-snooping-flood");
    config->mcast_flood_reports = map_flag(port, "mcast-snooping-flood-reports");
    tell_unsupported_of_port(iface);
    if (iface->n_siblings > 1) {
        config->bond = ovsdb_row_string(port, "name");
        error = error ? error : check_bond(port, config, iface->is_local, message);
    }
    return error;
}

bool iface_is_first_of_port(const struct iface *iface)
{
    if (iface->n_siblings < 2) {
        return true;
    }
    for (const struct iface *i = iface->owner->ifaces; i != iface; i = i->hh.next) {
        if (i->port_row == iface->port_row) {
            return false;
        }
    }
    return true;
}

/* --- a bridge's bonds --- */

/* A bond goes on by the member that was active when the switch stopped. */
static void prefer_last_active(const struct ovsdb_row *port, struct bundle_bond *bb)
{
    const char *s = ovsdb_row_string(port, "bond_active_slave");
    struct eth_addr mac;
    if (s && !eth_addr_parse(s, &mac)) {
        bond_prefer(bb->bond, mac);
    }
}

void bonds_apply(struct cbridge *cb)
{
    for (struct iface *iface = cb->changed ? cb->ifaces : NULL; iface; iface = iface->hh.next) {
        struct bond_settings settings;
        if (!iface->usable || !iface->config.bond || !iface_is_first_of_port(iface)) {
            continue;
        }
        read_bond(iface->port_row, &settings);
        bool is_new = !bridge_bond_find(cb->bridge, iface->config.bond);
        int error = bridge_bond_set(cb->bridge, iface->config.bond, &settings);
        if (!error && is_new) {
            prefer_last_active(iface->port_row, bridge_bond_find(cb->bridge, iface->config.bond));
        }
        if (error) {
            log_limited(LOG_LEVEL_ERR, "bond %s cannot be made: %s", iface->config.bond, strerror(-error));
        }
    }
}

static bool is_wanted(const struct cbridge *cb, const char *bond)
{
    for (const struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        if (iface->usable && iface->config.bond && !strcmp(iface->config.bond, bond)) {
            return true;
        }
    }
    return false;
}

void bonds_prune(struct cbridge *cb)
{
    struct bundle_bond *bb, *next;
    HASH_ITER(hh, cb->bridge->bonds, bb, next) {
        if (!is_wanted(cb, bb->bond->name)) {
            bridge_bond_del(cb->bridge, bb->bond->name);
        }
    }
}

/* --- columns --- */

static void write_active(struct row_writer *w, const struct bundle_bond *bb)
{
    const struct bond_member *m = bb ? bb->bond->active : NULL;
    row_write_opt_string(w, "bond_active_slave", m ? ETH_ADDR_STR(&m->mac) : NULL);
}

void port_row_write(struct ovsdb_txn *txn, const struct iface *iface)
{
    if (!iface->port_row || !iface_is_first_of_port(iface)) {
        return;
    }
    struct row_writer w = row_writer_of(txn, "Port", iface->port_row);
    const char *text = iface->port_unsupported ? iface->port_unsupported + 1 : NULL; /* without its leading blank */
    const char *bond = iface->n_siblings > 1 ? ovsdb_row_string(iface->port_row, "name") : NULL;
    row_write_map(&w, "status", (struct row_map_pair[]){{"qos_error", iface->qos_error}, {"unsupported", text}}, 2);
    write_active(&w, bond && iface->owner->bridge ? bridge_bond_find(iface->owner->bridge, bond) : NULL);
}
