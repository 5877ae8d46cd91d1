/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_CONFIGURATOR_PRIVATE_H
#define WARREN_SWITCH_CONFIGURATOR_PRIVATE_H
/* What the configurator's files share: configurator.c (session, runs, bridges), configurator_ports.c (interfaces →
 * ports), configurator_bond.c (Port rows), configurator_bridge.c (NORMAL's settings), configurator_mirror.c,
 * configurator_status.c (output columns). */
#include <event2/event.h>
#include <uthash.h>

#include "ovsdb/client.h"
#include "switch/bridge.h"
#include "switch/configurator.h"
#include "switch/iface_config.h"
#include "switch/links.h"
#include "switch/ofport_alloc.h"
#include "switch/unixctl.h"

/* 35 years: who asks for a longer time means never, and this one can be added to a clock, and multiplied. */
#define LONGEST_MS (INT64_C(1) << 40)
static inline int64_t config_duration(int64_t ms)
{
    return MAX(0, MIN(ms, LONGEST_MS));
}

struct iface_qos;
struct qos;

/* What is kept of one Interface row between runs. */
struct iface {
    char *name;
    struct cbridge *owner;
    uint16_t ofport; /* assigned; 0: none. The LOCAL port has none of these */
    bool is_local;
    bool gone;   /* the datapath said that the netdev vanished */
    int ifindex; /* of the netdev that the port was made from; 0: no port or no netdev */
    char *error; /* for the column; NULL: none */
    char *logged_error;
    struct link_details details; /* of the netdev, as of its last change */
    uint32_t details_resets;
    int details_ifindex;
    int egress_ifindex;         /* tunnels: where the route to the remote leaves; 0: unknown */
    char *unsupported;          /* what the rows ask for and we lack, as last logged */
    char *port_unsupported;     /* likewise, of the Port row; kept with its first interface */
    bool policed;               /* the datapath polices it */
    char *policing_error;       /* why it does not, though it should */
    struct iface_qos *qos;      /* configurator_qos.c's; NULL: the device's qdisc is not ours */
    char *qos_error;            /* for Port.status; NULL: none */
    uint16_t request, previous; /* ofport_request, and the number that the database knew; 0: none */

    /* What `config`, `usable` and `error` were read from: while these stand, nothing is read again. */
    uint64_t row_serial, port_serial, link_serial;
    uint64_t synced_serial; /* of the link that OpenFlow knows */
    bool changed;           /* in this run: something was read, or the port is another one */
    bool dirty;             /* the database may not say what is true of it */

    /* Rows live until the run after they were deleted: ports_collect() finds them again whenever a Port changed. */
    bool wanted, usable;
    const struct ovsdb_row *row, *port_row; /* NULL: a LOCAL port that no row asks for */
    size_t n_siblings;                      /* interfaces of its Port row */
    struct port_config config;              /* strings belong to the rows */
    UT_hash_handle hh;
};

struct cbridge {
    char *name;
    struct bridge *bridge; /* NULL while it could not be made */
    struct ofport_pool ofports;
    struct iface *ifaces; /* by name, hh */
    struct eth_addr mac;  /* of LOCAL */
    bool userspace;       /* its ports are kept from the fast path: datapath_type=netdev */
    char *unsupported;    /* what the row asks for and we lack, as last logged */
    struct ofserver *server;
    uint32_t served_versions; /* those that the connections were made with */
    uint64_t served_id;
    bool fail_mode_applied, controlled, fail_open;
    size_t n_primary;     /* controllers that we connect to */
    int64_t max_probe_ms; /* the longest of theirs */
    int64_t contact_ms;   /* when one was connected last */

    bool wanted;
    const struct ovsdb_row *row;
    uint64_t flow_tables_serial;        /* newest change of Flow_Table rows that was looked at */
    uint8_t configured_tables[256 / 8]; /* bit N: table N has a Flow_Table row */
    uint64_t row_serial, ports_serial;  /* of the row and of all Port rows when `ifaces` was collected */
    bool changed;                       /* in this run: its row, or something of a port */
    UT_hash_handle hh;
};

struct configurator {
    struct event_base *base;
    struct switch_ *sw;
    struct ovsdb_client *client;
    struct links *links;
    struct cbridge *bridges; /* by name, hh */
    struct event *run, *stats, *tick, *lock_grace;
    char *rundir;
    char *unsupported; /* what the root row asks for and we lack, as last logged */
    char *tls;         /* the SSL row in use, as one string */
    bool own_database;
    bool txn_pending, rerun; /* a run's transaction is under way; another run is due after it */
    bool standing_by;        /* another process holds the lock */
    bool ran;                /* at least one run was made */
    bool devices_leave;      /* internal ports were removed in this run */
    bool write_all;          /* the database did not take what was written: state everything again */
    struct qos *qos;
    uint64_t qos_serial;    /* newest change of QoS and Queue rows that was looked at */
    uint64_t routes_serial; /* links_routes_serial() when tunnels' egress was asked for */
    int64_t retry_ms;       /* wait before the next run after a refused transaction */
    int64_t stats_interval_ms, flow_limit, max_idle;
    bool system_statistics; /* other_config:enable-statistics */
    uint64_t root_serial;
    void (*ready)(void *aux);
    void (*gives_up)(void *aux);
    void *aux;
};

/* Soon, once for any number of calls. */
void configurator_schedule(struct configurator *c);

/* LIST (" a b") is what the WHAT called NAME asks for and we lack: says so in the log unless *TOLD is the same text. */
void tell_unsupported(const char *what, const char *name, const struct strbuf *list, char **told);

/* configurator_ports.c */
void iface_destroy(struct iface *iface);
/* Reads Bridge.ports into CB->ifaces: `wanted`, `usable`, `config`, `error`. */
void ports_collect(struct configurator *c, struct cbridge *cb);
/* Removes the ports of CB that are not wanted, not usable, or must be made anew. */
void ports_prune(struct configurator *c, struct cbridge *cb);
/* Assigns numbers, changes ports, and makes the missing ones. */
void ports_apply(struct configurator *c, struct cbridge *cb);
struct port *iface_port(const struct iface *iface);
/* Brings the OpenFlow ports up to date with the kernel's links. */
void ports_sync_links(struct configurator *c);
/* The address that LOCAL should have: other_config:hwaddr, the lowest of the other ports', or one made from the row's
 * UUID. */
struct eth_addr ports_choose_mac(const struct configurator *c, const struct cbridge *cb);

/* configurator_bond.c: Port rows */
/* Fills the VLAN settings, the bond and so on of CONFIG, whose strings are the row's. 0, or a negative errno after
 * saying why in MESSAGE. */
int port_row_read(struct iface *iface, struct port_config *config, struct strbuf *message);
/* Writes the Port row's columns, if IFACE is the first of its interfaces. */
void port_row_write(struct ovsdb_txn *txn, const struct iface *iface);
bool iface_is_first_of_port(const struct iface *iface);
/* Removes the bonds that no row wants, once their ports are gone; makes and changes the others, before their ports. */
void bonds_apply(struct cbridge *cb);
void bonds_prune(struct cbridge *cb);

/* configurator_bridge.c */
void bridge_normal_apply(struct cbridge *cb);

/* configurator_mirror.c */
void mirrors_apply(struct configurator *c, struct cbridge *cb);
void mirrors_write_stats(const struct configurator *c, const struct cbridge *cb, struct ovsdb_txn *txn);
/* Is PORT reserved for a mirror's output? */
bool mirrors_output_to(const struct configurator *c, const struct cbridge *cb, const struct ovsdb_row *port);
/* A set of VLANs as VLAN_TRUNKS_BYTES of bits, the caller's to free; NULL: empty. */
uint8_t *vlan_bits_read(const struct ovsdb_row *row, const char *column);
/* configurator_tables.c */
void flow_tables_apply(struct configurator *c, struct cbridge *cb);

/* configurator_qos.c */
/* Policing and queues of all ports that changed, or whose rows did. */
void qos_apply_all(struct configurator *c);
void iface_qos_destroy(struct iface_qos *q); /* NULL is fine; the device keeps what it has */
/* The port leaves the switch: its device gets its default qdisc back. */
void qos_forget(struct configurator *c, struct iface *iface);
int qos_queue_stats_of(struct configurator *c, const struct iface *iface, uint32_t queue_id,
                       struct port_queue_stats *ret);
void qos_ctl_register(struct configurator *c, struct unixctl *u);

/* configurator_status.c */
void status_write(struct configurator *c, struct ovsdb_txn *txn, const struct ovsdb_row *root);
void status_write_stats(struct configurator *c, struct ovsdb_txn *txn, const struct ovsdb_row *root);

/* configurator_server.c */
/* Fail mode, controllers and listeners of CB's OpenFlow server, which is started when there is none. */
void cbridge_apply_server(struct configurator *c, struct cbridge *cb);
void cbridge_stop_server(struct cbridge *cb);
/* REMOVE: what is saved of its flows goes; else it is brought up to date, for the next process. */
void cbridge_stop_saving(struct cbridge *cb, bool remove);
/* Once a second: fail open. True if Controller columns are due; ROWS_ARE_VALID: the rows of the last run may be looked
 * at. */
bool servers_tick(struct configurator *c, bool rows_are_valid);
/* Controller columns. */
void server_write_status(struct configurator *c, struct cbridge *cb, struct ovsdb_txn *txn);

#endif
