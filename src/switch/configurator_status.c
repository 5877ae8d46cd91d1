/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "switch/configurator_private.h"
#include "switch/row_writer.h"
#include "switch/system_stats.h"

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

/* "bfd cfm; ingress policing: …": what has no effect on this interface. NULL: nothing. The caller's to free. */
static char *unsupported_of(const struct iface *iface)
{
    const char *columns = iface->unsupported ? iface->unsupported + 1 : "";
    const char *policing = iface->policing_error ? iface->policing_error : "";
    return *columns || *policing ? xasprintf("%s%s%s", columns, *columns && *policing ? "; " : "", policing) : NULL;
}

static void write_status_map(const struct configurator *c, struct row_writer *w, const struct iface *iface,
                             const struct port *port)
{
    _cleanup_free_ char *unsupported = unsupported_of(iface);
    struct row_map_pair pairs[4] = {0};
    size_t n = 0;
    if (port && port->kind == PORT_TUNNEL) {
        const struct link *egress = iface->egress_ifindex ? links_find_index(c->links, iface->egress_ifindex) : NULL;
        pairs[n++] = (struct row_map_pair){"tunnel_egress_iface", egress ? egress->name : NULL};
        pairs[n++] = (struct row_map_pair){"tunnel_egress_iface_carrier", !egress           ? NULL
                                                                          : egress->carrier ? "up"
                                                                                            : "down"};
    } else if (port && port->kind == PORT_INTERNAL) {
        pairs[n++] = (struct row_map_pair){"driver_name", "openvswitch"};
    } else if (port && port->kind == PORT_SYSTEM) {
        pairs[n++] = (struct row_map_pair){"driver_name", or_null(iface->details.driver)};
        pairs[n++] = (struct row_map_pair){"driver_version", or_null(iface->details.version)};
        pairs[n++] = (struct row_map_pair){"firmware_version", *iface->details.driver ? iface->details.firmware : NULL};
    }
    pairs[n++] = (struct row_map_pair){"unsupported", unsupported};
    row_write_map(w, "status", pairs, n);
}

static void write_bfd(struct row_writer *w, const struct iface *iface)
{
    bool asked = ovsdb_row_map_bool(iface->row, "bfd", "enable", false);
    row_write_map(w, "bfd_status",
                  (struct row_map_pair[]){
                      {"diagnostic", "BFD is not supported by this switch"},
                      {"state", "admin_down"},
                  },
                  asked ? 2 : 0);
}

static void write_link(const struct configurator *c, struct row_writer *w, const struct iface *iface,
                       const struct port *port)
{
    static const struct eth_addr none;
    bool netdev = port && (port->kind == PORT_SYSTEM || port->kind == PORT_INTERNAL);
    const struct link *link = netdev ? links_find(c->links, iface->name) : NULL;
    bool virtual = port && !netdev; /* patch and tunnel ports have no device: always up */
    struct eth_addr addr = link ? link->mac : port ? port->mac : none;
    bool have_mac = memcmp(addr.a, none.a, sizeof none.a) != 0;
    int64_t bps = link ? iface->details.speed_mbps * 1000000 : 0;
    int duplex = link ? iface->details.duplex : -1;
    row_write_opt_string(w, "mac_in_use", have_mac ? ETH_ADDR_STR(&addr) : NULL);
    row_write_opt_string(w, "admin_state", virtual || (link && link->admin_up) ? "up" : link ? "down" : NULL);
    row_write_opt_string(w, "link_state", virtual || (link && link->carrier) ? "up" : link ? "down" : NULL);
    row_write_opt_int(w, "link_resets", port, link ? link->resets : 0);
    row_write_opt_int(w, "mtu", link, link ? link->mtu : 0);
    row_write_opt_int(w, "ifindex", port, link ? link->ifindex : 0);
    row_write_opt_int(w, "link_speed", bps > 0, bps);
    row_write_opt_string(w, "duplex", duplex == 1 ? "full" : duplex == 0 ? "half" : NULL);
}

static void write_iface(const struct configurator *c, struct ovsdb_txn *txn, const struct iface *iface)
{
    const struct port *port = iface->usable ? iface_port(iface) : NULL;
    struct row_writer w = row_writer_of(txn, "Interface", iface->row);
    int64_t ofport = !port ? -1 : iface->is_local ? 65534 : iface->ofport;
    row_write_opt_int(&w, "ofport", true, ofport);
    row_write_opt_string(&w, "error", iface->error);
    write_link(c, &w, iface, port);
    write_status_map(c, &w, iface, port);
    write_bfd(&w, iface);
}

static void write_bridge(const struct configurator *c, struct ovsdb_txn *txn, const struct cbridge *cb)
{
    struct row_writer w = row_writer_of(txn, "Bridge", cb->row);
    const char *runner = cb->userspace ? "userspace" : c->sw->dp->class->name;
    char dpid[17], version[64];
    snprintf(version, sizeof version, "warren " WARREN_VERSION " (%s)", runner);
    snprintf(dpid, sizeof dpid, "%016" PRIx64, cb->bridge ? cb->bridge->datapath_id : 0);
    row_write_opt_string(&w, "datapath_id", cb->bridge ? dpid : NULL);
    row_write_string(&w, "datapath_version", cb->bridge ? version : "");
    row_write_map(&w, "status", (struct row_map_pair[]){{"unsupported", cb->unsupported ? cb->unsupported + 1 : NULL}},
                  1);
}

/* ID and VERSION_ID of os-release(5), quotes taken off. */
static void write_system_version(struct row_writer *w)
{
    char line[256], id[64] = "", version[64] = "";
    FILE *f = fopen("/etc/os-release", "re");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "ID=%*[\"]%63[^\"\n]", id);
        sscanf(line, "ID=%63[^\"\n]", id);
        sscanf(line, "VERSION_ID=%*[\"]%63[^\"\n]", version);
        sscanf(line, "VERSION_ID=%63[^\"\n]", version);
    }
    if (f) {
        fclose(f);
    }
    row_write_opt_string(w, "system_type", *id ? id : "unknown");
    row_write_opt_string(w, "system_version", *version ? version : "unknown");
}

void status_write(struct configurator *c, struct ovsdb_txn *txn, const struct ovsdb_row *root)
{
    static const char *const datapath_types[] = {"netdev", "system", NULL};
    struct row_writer w = row_writer_of(txn, "Open_vSwitch", root);
    row_write_strings(&w, "datapath_types", datapath_types);
    row_write_strings(&w, "iface_types", iface_types);
    /* ovs-ctl writes these where it started the database; where it did not, nobody else does. */
    if (c->own_database || !ovsdb_row_string(root, "ovs_version")) {
        row_write_opt_string(&w, "ovs_version", WARREN_VERSION);
    }
    if (!ovsdb_row_string(root, "db_version")) {
        row_write_opt_string(&w, "db_version", "8.3.1");
    }
    if (!ovsdb_row_string(root, "system_type")) {
        write_system_version(&w);
    }
    row_write_bool(&w, "dpdk_initialized", false);
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        write_bridge(c, txn, cb);
        server_write_status(c, cb, txn);
        for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
            if (iface->row && (iface->dirty || c->write_all)) {
                write_iface(c, txn, iface);
                port_row_write(txn, iface);
                iface->dirty = false;
            }
        }
    }
    c->write_all = false;
    row_write_int(&w, "cur_cfg", ovsdb_row_int(root, "next_cfg", 0));
}

/* Ports without a device have no errors to count. */
static void write_virtual_stats(struct row_writer *w, const struct dp_port_stats *s)
{
    row_write_int_map(w, "statistics",
                      (struct row_map_int_pair[]){
                          {"rx_bytes", (int64_t)s->rx_bytes},
                          {"rx_packets", (int64_t)s->rx_packets},
                          {"tx_bytes", (int64_t)s->tx_bytes},
                          {"tx_packets", (int64_t)s->tx_packets},
                      },
                      4);
}

static void write_netdev_stats(struct row_writer *w, const struct dp_port_stats *s, const struct link_stats *k)
{
    row_write_int_map(w, "statistics",
                      (struct row_map_int_pair[]){
                          {"collisions", (int64_t)k->collisions},
                          {"rx_bytes", (int64_t)s->rx_bytes},
                          {"rx_crc_err", (int64_t)k->rx_crc_errors},
                          {"rx_dropped", (int64_t)(s->rx_dropped + k->rx_dropped)},
                          {"rx_errors", (int64_t)(s->rx_errors + k->rx_errors)},
                          {"rx_frame_err", (int64_t)k->rx_frame_errors},
                          {"rx_missed_errors", (int64_t)k->rx_missed_errors},
                          {"rx_multicast_packets", (int64_t)k->multicast},
                          {"rx_over_err", (int64_t)k->rx_over_errors},
                          {"rx_packets", (int64_t)s->rx_packets},
                          {"tx_bytes", (int64_t)s->tx_bytes},
                          {"tx_dropped", (int64_t)(s->tx_dropped + k->tx_dropped)},
                          {"tx_errors", (int64_t)(s->tx_errors + k->tx_errors)},
                          {"tx_packets", (int64_t)s->tx_packets},
                      },
                      14);
}

static void write_iface_stats(const struct configurator *c, struct ovsdb_txn *txn, const struct iface *iface)
{
    static const struct link_stats none;
    const struct port *port = iface_port(iface);
    struct row_writer w = row_writer_of(txn, "Interface", iface->row);
    struct dp_port_stats s;
    if (!port || bridge_port_get_stats(port, &s)) {
        row_write_int_map(&w, "statistics", NULL, 0);
    } else if (port->kind == PORT_PATCH || port->kind == PORT_TUNNEL) {
        write_virtual_stats(&w, &s);
    } else {
        /* The kernel sees an internal port from the host's side: what it sends, we receive. */
        const struct link *link = port->kind == PORT_SYSTEM ? links_find(c->links, iface->name) : NULL;
        write_netdev_stats(&w, &s, link ? &link->stats : &none);
    }
}

void status_write_stats(struct configurator *c, struct ovsdb_txn *txn, const struct ovsdb_row *root)
{
    links_read_stats(c->links);
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        mirrors_write_stats(c, cb, txn);
        for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
            if (iface->row) {
                write_iface_stats(c, txn, iface);
            }
        }
    }
    struct row_writer w = row_writer_of(txn, "Open_vSwitch", root);
    system_stats_write(&w, c->rundir, c->system_statistics);
}
