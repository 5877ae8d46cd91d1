/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "switch/configurator_private.h"
#include "switch/row_writer.h"

static const char *format_mac(const struct eth_addr *mac, char buf[18])
{
    snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac->a[0], mac->a[1], mac->a[2], mac->a[3], mac->a[4],
             mac->a[5]);
    return buf;
}

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

static void write_status_map(const struct configurator *c, struct row_writer *w, const struct iface *iface,
                             const struct port *port)
{
    if (port && port->kind == PORT_TUNNEL) {
        const struct link *egress = iface->egress_ifindex ? links_find_index(c->links, iface->egress_ifindex) : NULL;
        row_write_map(w, "status",
                      (struct row_map_pair[]){
                          {"tunnel_egress_iface", egress ? egress->name : NULL},
                          {"tunnel_egress_iface_carrier", !egress           ? NULL
                                                          : egress->carrier ? "up"
                                                                            : "down"},
                      },
                      2);
    } else if (port && port->kind == PORT_INTERNAL) {
        row_write_map(w, "status", (struct row_map_pair[]){{"driver_name", "openvswitch"}}, 1);
    } else if (port && port->kind == PORT_SYSTEM) {
        row_write_map(w, "status",
                      (struct row_map_pair[]){
                          {"driver_name", or_null(iface->details.driver)},
                          {"driver_version", or_null(iface->details.version)},
                          {"firmware_version", or_null(iface->details.firmware)},
                      },
                      3);
    } else {
        row_write_map(w, "status", NULL, 0);
    }
}

static void write_link(const struct configurator *c, struct row_writer *w, const struct iface *iface,
                       const struct port *port)
{
    static const struct eth_addr none;
    char mac[18];
    bool netdev = port && (port->kind == PORT_SYSTEM || port->kind == PORT_INTERNAL);
    const struct link *link = netdev ? links_find(c->links, iface->name) : NULL;
    bool virtual = port && !netdev; /* patch and tunnel ports have no device: always up */
    struct eth_addr addr = link ? link->mac : port ? port->mac : none;
    bool have_mac = memcmp(addr.a, none.a, sizeof none.a) != 0;
    int64_t bps = link ? iface->details.speed_mbps * 1000000 : 0;
    int duplex = link ? iface->details.duplex : -1;
    row_write_opt_string(w, "mac_in_use", have_mac ? format_mac(&addr, mac) : NULL);
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
}

static void write_bridge(struct ovsdb_txn *txn, const struct cbridge *cb)
{
    struct row_writer w = row_writer_of(txn, "Bridge", cb->row);
    char dpid[17];
    snprintf(dpid, sizeof dpid, "%016" PRIx64, cb->bridge ? cb->bridge->datapath_id : 0);
    row_write_opt_string(&w, "datapath_id", cb->bridge ? dpid : NULL);
    row_write_string(&w, "datapath_version", cb->bridge ? "warren " WARREN_VERSION : "");
    row_write_map(&w, "status", (struct row_map_pair[]){{"unsupported", cb->unsupported ? cb->unsupported + 1 : NULL}},
                  1);
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
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        write_bridge(txn, cb);
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

static void write_iface_stats(struct ovsdb_txn *txn, const struct iface *iface)
{
    const struct port *port = iface_port(iface);
    struct row_writer w = row_writer_of(txn, "Interface", iface->row);
    struct dp_port_stats s;
    if (!port || bridge_port_get_stats(port, &s)) {
        row_write_int_map(&w, "statistics", NULL, 0);
        return;
    }
    row_write_int_map(&w, "statistics",
                      (struct row_map_int_pair[]){
                          {"rx_bytes", (int64_t)s.rx_bytes},
                          {"rx_dropped", (int64_t)s.rx_dropped},
                          {"rx_errors", (int64_t)s.rx_errors},
                          {"rx_packets", (int64_t)s.rx_packets},
                          {"tx_bytes", (int64_t)s.tx_bytes},
                          {"tx_dropped", (int64_t)s.tx_dropped},
                          {"tx_errors", (int64_t)s.tx_errors},
                          {"tx_packets", (int64_t)s.tx_packets},
                      },
                      8);
}

void status_write_stats(struct configurator *c, struct ovsdb_txn *txn)
{
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        mirrors_write_stats(c, cb, txn);
        for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
            if (iface->row) {
                write_iface_stats(txn, iface);
            }
        }
    }
}
