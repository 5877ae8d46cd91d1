/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/configurator.h"

#include <stdio.h>

#include "base/log.h"
#include "base/stream.h"
#include "switch/configurator_private.h"
#include "switch/megaflow.h"
#include "switch/ofserver.h"
#include "switch/qos.h"
#include "switch/settle.h"

LOG_MODULE("configurator");

#define FAST_PATH_SAMPLE 10000 /* one packet in so many of the fast path is checked */
#define LOCK "ovs_vswitchd"
#define LOCK_GRACE_MS 5000 /* how long after a reconnect the lock may be missing before we take it for another's */
#define STATS_INTERVAL_MS 5000
#define RETRY_MS 1000

static const char *const root_columns[] = {
    "bridges",      "next_cfg", "cur_cfg",     "datapath_types", "iface_types",      "ovs_version", "db_version",
    "other_config", "ssl",      "system_type", "system_version", "dpdk_initialized", "statistics",  NULL};
static const char *const bridge_columns[] = {
    "name",        "datapath_id", "datapath_version", "ports",       "controller",
    "fail_mode",   "protocols",   "other_config",     "mirrors",     "netflow",
    "sflow",       "ipfix",       "stp_enable",       "rstp_enable", "mcast_snooping_enable",
    "flow_tables", "auto_attach", "flood_vlans",      "status",      "datapath_type",
    NULL};
static const char *const port_columns[] = {"name",
                                           "interfaces",
                                           "tag",
                                           "trunks",
                                           "cvlans",
                                           "vlan_mode",
                                           "mac",
                                           "qos",
                                           "protected",
                                           "other_config",
                                           "bond_mode",
                                           "bond_updelay",
                                           "bond_downdelay",
                                           "lacp",
                                           "bond_fake_iface",
                                           "status",
                                           "bond_active_slave",
                                           NULL};
static const char *const mirror_columns[] = {"name",        "select_all",  "select_src_port", "select_dst_port",
                                             "select_vlan", "output_port", "output_vlan",     "snaplen",
                                             "statistics",  NULL};
static const char *const interface_columns[] = {"name",
                                                "type",
                                                "options",
                                                "ofport",
                                                "ofport_request",
                                                "mac",
                                                "mac_in_use",
                                                "mtu",
                                                "mtu_request",
                                                "error",
                                                "ifindex",
                                                "admin_state",
                                                "link_state",
                                                "link_resets",
                                                "link_speed",
                                                "duplex",
                                                "status",
                                                "statistics",
                                                "ingress_policing_rate",
                                                "ingress_policing_burst",
                                                "ingress_policing_kpkts_rate",
                                                "ingress_policing_kpkts_burst",
                                                "lldp",
                                                "bfd",
                                                "bfd_status",
                                                "cfm_mpid",
                                                NULL};
static const char *const flow_table_columns[] = {"name", "flow_limit", "overflow_policy", "groups", NULL};
static const char *const qos_columns[] = {"type", "queues", "other_config", NULL};
static const char *const queue_columns[] = {"dscp", "other_config", NULL};
static const char *const ssl_columns[] = {"private_key", "certificate", "ca_cert", "bootstrap_ca_cert", NULL};
static const char *const controller_columns[] = {"target",
                                                 "connection_mode",
                                                 "max_backoff",
                                                 "inactivity_probe",
                                                 "enable_async_messages",
                                                 "controller_rate_limit",
                                                 "controller_burst_limit",
                                                 "controller_queue_size",
                                                 "type",
                                                 "local_ip",
                                                 "local_netmask",
                                                 "local_gateway",
                                                 "other_config",
                                                 "is_connected",
                                                 "role",
                                                 "status",
                                                 NULL};

static void set_timer(struct event *ev, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(ev, &tv);
}

void configurator_schedule(struct configurator *c)
{
    if (c->txn_pending) {
        c->rerun = true;
    } else if (!event_pending(c->run, EV_TIMEOUT, NULL)) {
        set_timer(c->run, 0);
    }
}

bool configurator_is_connected(const struct configurator *c)
{
    return ovsdb_client_is_connected(c->client);
}

/* --- bridges --- */

static void cbridge_destroy(struct configurator *c, struct cbridge *cb)
{
    HASH_DEL(c->bridges, cb);
    struct iface *iface, *tmp;
    HASH_ITER(hh, cb->ifaces, iface, tmp) {
        HASH_DEL(cb->ifaces, iface);
        iface_destroy(iface);
    }
    ofport_pool_done(&cb->ofports);
    free(cb->unsupported);
    free(cb->name);
    free(cb);
}

static struct cbridge *cbridge_get(struct configurator *c, const char *name)
{
    struct cbridge *cb;
    HASH_FIND_STR(c->bridges, name, cb);
    if (!cb) {
        cb = xcalloc(1, sizeof *cb);
        cb->name = xstrdup(name);
        HASH_ADD_KEYPTR(hh, c->bridges, cb->name, strlen(cb->name), cb);
    }
    return cb;
}

static int by_name(const struct cbridge *a, const struct cbridge *b)
{
    return strcmp(a->name, b->name);
}

static void collect_bridges(struct configurator *c, const struct ovsdb_row *root)
{
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        cb->wanted = false;
        cb->row = NULL;
    }
    for (size_t i = 0; i < ovsdb_row_size(root, "bridges"); i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, root, "bridges", i, "Bridge");
        const char *name = row ? ovsdb_row_string(row, "name") : NULL;
        if (!name || !*name) {
            continue;
        }
        if (strpbrk(name, "/\\")) {
            log_limited(LOG_LEVEL_WARN, "bridge \"%s\" is ignored: a name with a slash", name);
            continue;
        }
        struct cbridge *cb = cbridge_get(c, name);
        cb->wanted = true;
        cb->row = row;
        ports_collect(c, cb);
    }
    HASH_SORT(c->bridges, by_name);
}

static void remove_bridge(struct configurator *c, struct cbridge *cb)
{
    log_info("bridge %s removed", cb->name);
    c->devices_leave = true;
    cbridge_stop_server(cb);
    cbridge_stop_saving(cb, true);
    bridge_destroy(cb->bridge);
    cbridge_destroy(c, cb);
}

static void prune_bridges(struct configurator *c)
{
    struct cbridge *cb, *tmp;
    HASH_ITER(hh, c->bridges, cb, tmp) {
        if (!cb->wanted) {
            remove_bridge(c, cb);
        } else if (cb->bridge) {
            ports_prune(c, cb);
            bonds_prune(cb);
        }
    }
}

void tell_unsupported(const char *what, const char *name, const struct strbuf *list, char **told)
{
    if (strcmp(strbuf_str(list), *told ? *told : "") != 0) {
        if (list->len) {
            log_warn("%s %s: not supported and without effect:%s", what, name, list->s);
        }
        free(*told);
        *told = list->len ? xstrdup(list->s) : NULL;
    }
}

/* What the row asks for and this switch lacks: once in the log, until it changes. */
static void add_unsupported_of_controllers(const struct configurator *c, const struct cbridge *cb, struct strbuf *b)
{
    static const char *const columns[] = {"controller_queue_size", "local_ip", "local_netmask", "local_gateway"};
    for (size_t i = 0; i < ovsdb_row_size(cb->row, "controller"); i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, cb->row, "controller", i, "Controller");
        for (size_t k = 0; row && k < ARRAY_SIZE(columns); k++) {
            if (ovsdb_row_size(row, columns[k]) > 0) {
                strbuf_addf(b, " %s", columns[k]);
            }
        }
        if (row && ovsdb_row_map_string(row, "other_config", "dscp")) {
            strbuf_add(b, " other_config:dscp");
        }
    }
}

static void add_datapath_type(const struct cbridge *cb, struct strbuf *b)
{
    const char *type = ovsdb_row_string(cb->row, "datapath_type");

    if (type && *type && strcmp(type, "system") != 0 && strcmp(type, "netdev") != 0) {
        strbuf_addf(b, " datapath_type=%s", type);
    }
}

static void tell_unsupported_of_bridge(const struct configurator *c, struct cbridge *cb)
{
    static const char *const sets[] = {"netflow", "sflow", "ipfix", "auto_attach"};
    static const char *const flags[] = {"stp_enable", "rstp_enable"};
    _cleanup_strbuf_ struct strbuf b = {0};
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        if (ovsdb_row_size(cb->row, sets[i]) > 0) {
            strbuf_addf(&b, " %s", sets[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (ovsdb_row_bool(cb->row, flags[i], false)) {
            strbuf_addf(&b, " %s", flags[i]);
        }
    }
    add_datapath_type(cb, &b);
    add_unsupported_of_controllers(c, cb, &b);
    tell_unsupported("bridge", cb->name, &b, &cb->unsupported);
}

static uint64_t choose_datapath_id(const struct cbridge *cb)
{
    const char *s = ovsdb_row_map_string(cb->row, "other_config", "datapath-id");
    if (s) {
        bool prefixed = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
        const char *digits = prefixed ? s + 2 : s;
        size_t n = strspn(digits, "0123456789abcdefABCDEF");
        uint64_t id = n <= 16 ? strtoull(digits, NULL, 16) : 0;
        if (!digits[n] && (prefixed ? n >= 1 && n <= 16 : n == 16) && id) {
            return id;
        }
        log_limited(LOG_LEVEL_WARN, "bridge %s: other_config:datapath-id=%s is ignored: neither 16 hex digits nor 0x…",
                    cb->name, s);
    }
    uint64_t id = 0;
    for (int i = 0; i < 6; i++) {
        id = id << 8 | cb->mac.a[i];
    }
    return id;
}

static uint32_t read_versions(const struct ovsdb_row *row)
{
    static const char *const names[] = {"OpenFlow10", "OpenFlow11", "OpenFlow12",
                                        "OpenFlow13", "OpenFlow14", "OpenFlow15"};
    uint32_t versions = 0;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (ovsdb_row_set_has_string(row, "protocols", names[i])) {
            versions |= 1u << (i + 1);
        }
    }
    return versions;
}

static void apply_bridge(struct configurator *c, struct cbridge *cb)
{
    if (!cb->bridge) {
        int error = bridge_create(c->sw, cb->name, &cb->bridge);
        if (error) {
            log_limited(LOG_LEVEL_ERR, "bridge %s cannot be made: %s", cb->name, strerror(-error));
            return;
        }
        log_info("bridge %s made", cb->name);
    }
    if (cb->changed) {
        cb->mac = ports_choose_mac(c, cb);
    }
    bonds_apply(cb);
    flow_tables_apply(c, cb);
    ports_apply(c, cb);
    tell_unsupported_of_bridge(c, cb);
    bridge_normal_apply(cb);
    bridge_set_description(cb->bridge, ovsdb_row_map_string(cb->row, "other_config", "dp-desc"),
                           ovsdb_row_map_string(cb->row, "other_config", "dp-sn"));
    mirrors_apply(c, cb);
    cb->bridge->datapath_id = choose_datapath_id(cb);
    cb->bridge->of_versions = read_versions(cb->row);
    cbridge_apply_server(c, cb);
}

/* --- runs --- */

static void txn_done(const struct ovsdb_result *result, void *aux)
{
    struct configurator *c = aux;
    c->txn_pending = false;
    if (result->status == OVSDB_TXN_COMMITTED) {
        if (c->ready && c->ran) {
            c->ready(c->aux);
            c->ready = NULL;
        }
    } else if (result->status == OVSDB_TXN_DISCONNECTED) {
        c->write_all = true;
    } else {
        c->write_all = true;
        log_limited(LOG_LEVEL_WARN, "the database refused our state: %s; next attempt in %d ms", result->error,
                    RETRY_MS);
        c->rerun = false;
        set_timer(c->run, RETRY_MS);
        return;
    }
    if (c->rerun) {
        c->rerun = false;
        configurator_schedule(c);
    }
}

static bool may_act(const struct configurator *c)
{
    return ovsdb_client_is_synced(c->client) && ovsdb_client_has_lock(c->client, LOCK);
}

static void commit(struct configurator *c, struct ovsdb_txn *txn)
{
    c->txn_pending = true;
    ovsdb_txn_commit(txn, txn_done, c);
}

/* ovs-vsctl init, for a database that nobody else looks after. */
static void init_root(struct configurator *c)
{
    struct ovsdb_txn *txn = ovsdb_client_txn(c->client);
    ovsdb_txn_wait_no_row(txn, "Open_vSwitch", json_array());
    ovsdb_txn_insert(txn, "Open_vSwitch", NULL);
    commit(c, txn);
}

/* flow-restore-wait: until it is cleared, packets that the datapath does not know are dropped, nothing is evicted, and
 * controllers are not connected; flows come through the management sockets. Cleared once, it waits for the next start.
 */
static void read_restore_wait(struct configurator *c, const struct ovsdb_row *root)
{
    bool wait = ovsdb_row_map_bool(root, "other_config", "flow-restore-wait", false);
    if (!c->ran && wait && !c->sw->restore_wait) {
        log_info("flow-restore-wait: no forwarding of new packets and no controllers until it is cleared");
        c->sw->restore_wait = true;
    } else if (c->sw->restore_wait && !wait) {
        log_info("flow-restore-wait is over");
        c->sw->restore_wait = false;
        for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
            cb->contact_ms = time_mono_ms();
        }
        switch_changed(c->sw);
    }
}

/* Settings of threads, of DPDK and of network cards' offload: there is one thread, no DPDK, and no such offload. */
static void tell_unsupported_of_root(struct configurator *c, const struct ovsdb_row *root)
{
    static const char *const prefixes[] = {
        "dpdk-",
        "pmd-",
        "vhost-",
        "hw-offload",
        "tc-policy",
        "n-handler-threads",
        "n-revalidator-threads",
        "n-offload-threads",
        "max-revalidator",
        "min-revalidate-pps",
        "emc-insert-inv-prob",
        "smc-enable",
        "userspace-tso-enable",
        "offload-rebalance",
        "tx-flush-interval",
        "shared-mempool-config",
        "per-port-memory",
    };
    _cleanup_strbuf_ struct strbuf b = {0};
    for (size_t i = 0; i < ovsdb_row_size(root, "other_config"); i++) {
        const char *key, *value;
        if (!ovsdb_row_map_at(root, "other_config", i, &key, &value) || !strcmp(value, "false")) {
            continue;
        }
        for (size_t k = 0; k < ARRAY_SIZE(prefixes); k++) {
            if (!strncmp(key, prefixes[k], strlen(prefixes[k]))) {
                strbuf_addf(&b, " other_config:%s", key);
            }
        }
    }
    tell_unsupported("table", "Open_vSwitch", &b, &c->unsupported);
}

static void read_root_config(struct configurator *c, const struct ovsdb_row *root)
{
    uint64_t serial = ovsdb_row_serial(root);
    if (c->root_serial == serial) {
        return;
    }
    int64_t vlan_limit = ovsdb_row_map_int(root, "other_config", "vlan-limit", VLAN_LIMIT_DEFAULT);
    switch_set_vlan_limit(c->sw, vlan_limit == 1 ? 1 : 2); /* 0: as many as we see, which is two */
    int64_t limit = ovsdb_row_map_int(root, "other_config", "flow-limit", MEGAFLOW_DEFAULT_LIMIT);
    int64_t idle = MIN(ovsdb_row_map_int(root, "other_config", "max-idle", MEGAFLOW_IDLE_MS), LONGEST_MS);
    int64_t bundle_s = MAX(0, ovsdb_row_map_int(root, "other_config", "bundle-idle-timeout", 0));
    c->sw->bundle_idle_ms = MIN(bundle_s, LONGEST_MS / 1000) * 1000;
    int64_t sample = ovsdb_row_map_int(root, "other_config", "fast-path-sample", FAST_PATH_SAMPLE);
    dp_set_sample(c->sw->dp, (uint32_t)MAX(0, MIN(sample, UINT32_MAX)));
    int64_t interval = ovsdb_row_map_int(root, "other_config", "stats-update-interval", STATS_INTERVAL_MS);
    if (limit != c->flow_limit || idle != c->max_idle) { /* upcall/set-flow-limit holds until then */
        megaflow_set_limits(c->sw, (size_t)MAX(1, limit), MAX(100, idle));
        c->flow_limit = limit;
        c->max_idle = idle;
    }
    c->stats_interval_ms = MAX(STATS_INTERVAL_MS, MIN(interval, 3600 * 1000));
    c->system_statistics = ovsdb_row_map_bool(root, "other_config", "enable-statistics", false);
    read_restore_wait(c, root);
    tell_unsupported_of_root(c, root);
    c->root_serial = serial;
}

/* The SSL row is the identity for ssl: controllers; without one, that of the command line stays. */
static void read_tls(struct configurator *c, const struct ovsdb_row *root)
{
    const struct ovsdb_row *row = ovsdb_client_ref(c->client, root, "ssl", 0, "SSL");
    if (!row) {
        return;
    }
    const char *key = ovsdb_row_string(row, "private_key"), *cert = ovsdb_row_string(row, "certificate");
    const char *ca = ovsdb_row_string(row, "ca_cert");
    _cleanup_free_ char *identity = xasprintf("%s %s %s", key ? key : "", cert ? cert : "", ca ? ca : "");
    _cleanup_free_ char *why = NULL;
    if (c->tls && !strcmp(c->tls, identity)) {
        return;
    }
    if (ovsdb_row_bool(row, "bootstrap_ca_cert", false)) {
        log_warn("SSL: bootstrap_ca_cert is not supported: the CA certificate must be there");
    }
    if (stream_set_tls(key, cert, ca, &why)) {
        log_err("SSL: %s", why);
    }
    free(c->tls);
    c->tls = TAKE_PTR(identity);
}

static void find_egress_of(struct configurator *c, struct iface *iface, const struct port *port)
{
    int ifindex = 0;
    links_route(c->links, &port->tunnel.remote_ip, &ifindex);
    iface->dirty = iface->dirty || ifindex != iface->egress_ifindex;
    iface->egress_ifindex = ifindex;
}

/* Where tunnels leave: asked for anew for those that changed, and for all when ALL and some route changed. */
static void find_egress(struct configurator *c, bool all)
{
    all = all && c->routes_serial != links_routes_serial(c->links);
    if (all) {
        c->routes_serial = links_routes_serial(c->links);
    }
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
            if (!all && !iface->changed) {
                continue;
            }
            const struct port *port = iface_port(iface);
            if (port && port->kind == PORT_TUNNEL && port->tunnel.remote == TUNNEL_FIXED) {
                find_egress_of(c, iface, port);
            }
        }
    }
}

static void run(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct configurator *c = aux;
    if (!may_act(c)) {
        ports_sync_links(c);
        return;
    }
    const struct ovsdb_row *root = ovsdb_client_first(c->client, "Open_vSwitch");
    if (!root) {
        init_root(c);
        return;
    }
    read_root_config(c, root);
    read_tls(c, root);
    collect_bridges(c, root);
    prune_bridges(c);
    if (c->devices_leave) {
        /* Whoever removed a port may count on its device being gone when cur_cfg says so. */
        dp_wait_removed(c->sw->dp);
        c->devices_leave = false;
    }
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        apply_bridge(c, cb);
    }
    /* What was just made and changed should be in the answer already; what else turned up gets a run of its own. */
    c->rerun |= links_refresh(c->links);
    ports_sync_links(c);
    find_egress(c, !c->ran);
    qos_apply_all(c);
    if (!c->ran) {
        c->ran = true;
        set_timer(c->stats, c->stats_interval_ms);
    }
    if (c->sw->settle.shortage) {
        log_err("not all can be taken over: %s: what a switch before left goes on forwarding",
                strerror(-c->sw->settle.shortage));
        c->gives_up(c->aux);
        return;
    }
    switch_configured(c->sw);
    /* Nor does what is cached forward as before, as far as one slice gets. */
    megaflow_catch_up(c->sw);
    struct ovsdb_txn *txn = ovsdb_client_txn(c->client);
    status_write(c, txn, root);
    commit(c, txn);
}

static void write_stats(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct configurator *c = aux;
    set_timer(c->stats, c->stats_interval_ms);
    /* Rows are those of the last run: if another one is due, the next turn writes. */
    if (!may_act(c) || c->txn_pending || event_pending(c->run, EV_TIMEOUT, NULL)) {
        return;
    }
    megaflow_sync_stats(c->sw);
    find_egress(c, true);
    struct ovsdb_txn *txn = ovsdb_client_txn(c->client);
    const struct ovsdb_row *root = ovsdb_client_first(c->client, "Open_vSwitch");
    if (root) {
        status_write(c, txn, root);
        status_write_stats(c, txn, root);
    }
    commit(c, txn);
}

static void tick(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct configurator *c = aux;
    set_timer(c->tick, 1000);
    bool valid = may_act(c) && !c->txn_pending && !event_pending(c->run, EV_TIMEOUT, NULL);
    if (servers_tick(c, valid)) {
        configurator_schedule(c);
    }
}

/* --- events --- */

static void on_connected(struct ovsdb_client *client, bool connected, void *aux)
{
    struct configurator *c = aux;
    if (connected) {
        log_info("connected to the database %s", ovsdb_client_remote(client));
        set_timer(c->lock_grace, LOCK_GRACE_MS);
    } else {
        log_warn("lost the database: forwarding goes on, nothing is configured");
        event_del(c->lock_grace);
    }
}

static void on_updated(struct ovsdb_client *client WR_UNUSED, void *aux)
{
    configurator_schedule(aux);
}

static void on_locked(struct ovsdb_client *client WR_UNUSED, const char *name, bool locked, void *aux)
{
    struct configurator *c = aux;
    if (locked) {
        log_info("holding the database lock %s", name);
        c->standing_by = false;
        event_del(c->lock_grace);
        configurator_schedule(c);
    } else if (ovsdb_client_is_connected(c->client)) {
        set_timer(c->lock_grace, LOCK_GRACE_MS);
    }
}

/* Somebody else is this host's switch: two would fight over the ports. */
static void on_lock_grace(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct configurator *c = aux;
    if (!ovsdb_client_is_connected(c->client) || ovsdb_client_has_lock(c->client, LOCK)) {
        return;
    }
    if (!c->standing_by) {
        log_warn("another process holds the database lock " LOCK ": standing by");
        c->standing_by = true;
    }
    struct cbridge *cb, *tmp;
    HASH_ITER(hh, c->bridges, cb, tmp) {
        remove_bridge(c, cb);
    }
}

static void on_links_changed(void *aux)
{
    configurator_schedule(aux);
}

static void on_port_gone(void *aux, struct port *port)
{
    struct configurator *c = aux;
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        struct iface *iface;
        HASH_FIND_STR(cb->ifaces, port->name, iface);
        if (iface && cb->bridge == port->bridge) {
            iface->gone = true;
        }
    }
    configurator_schedule(c);
}

static void on_bond_changed(void *aux, struct bridge *br)
{
    struct configurator *c = aux;
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        for (struct iface *iface = cb->bridge == br ? cb->ifaces : NULL; iface; iface = iface->hh.next) {
            iface->dirty |= iface->n_siblings > 1;
        }
    }
    configurator_schedule(c);
}

static void on_port_admin(void *aux, struct port *port, bool up)
{
    struct configurator *c = aux;
    if (port->kind == PORT_SYSTEM || port->kind == PORT_INTERNAL) {
        int error = links_set_up(c->links, port->name, up);
        if (error) {
            log_warn("port %s cannot be set %s: %s", port->name, up ? "up" : "down", strerror(-error));
        }
    }
}

static int on_queue_stats(void *aux, const struct port *port, uint32_t queue_id, struct port_queue_stats *ret)
{
    struct configurator *c = aux;
    struct cbridge *cb;
    struct iface *iface = NULL;
    HASH_FIND_STR(c->bridges, port->bridge->name, cb);
    if (cb) {
        HASH_FIND_STR(cb->ifaces, port->name, iface);
    }
    return iface ? qos_queue_stats_of(c, iface, queue_id, ret) : -ENOENT;
}

int configurator_create(struct event_base *base, struct switch_ *sw, const struct configurator_options *options,
                        struct configurator **ret, char **ret_error)
{
    static const struct ovsdb_client_callbacks callbacks = {
        .connected = on_connected, .updated = on_updated, .locked = on_locked};
    _cleanup_(configurator_destroyp) struct configurator *c = xcalloc(1, sizeof *c);
    c->base = base;
    c->sw = sw;
    c->rundir = xstrdup(options->rundir);
    c->own_database = options->own_database;
    c->ready = options->ready;
    c->gives_up = options->gives_up;
    c->aux = options->aux;
    c->stats_interval_ms = STATS_INTERVAL_MS;
    c->run = evtimer_new(base, run, c);
    c->stats = evtimer_new(base, write_stats, c);
    c->lock_grace = evtimer_new(base, on_lock_grace, c);
    c->tick = evtimer_new(base, tick, c);
    set_timer(c->tick, 1000);
    int error = links_create(base, on_links_changed, c, &c->links);
    if (error) {
        *ret_error = xasprintf("rtnetlink: %s", strerror(-error));
        return error;
    }
    error = qos_create(&c->qos);
    if (error) {
        *ret_error = xasprintf("rtnetlink: %s", strerror(-error));
        return error;
    }
    error = ovsdb_client_new(base, options->db, "Open_vSwitch", &callbacks, c, &c->client, ret_error);
    if (error) {
        return error;
    }
    ovsdb_client_monitor(c->client, "Open_vSwitch", root_columns);
    ovsdb_client_monitor(c->client, "Bridge", bridge_columns);
    ovsdb_client_monitor(c->client, "Port", port_columns);
    ovsdb_client_monitor(c->client, "Mirror", mirror_columns);
    ovsdb_client_monitor(c->client, "Interface", interface_columns);
    ovsdb_client_monitor(c->client, "Controller", controller_columns);
    ovsdb_client_monitor(c->client, "SSL", ssl_columns);
    ovsdb_client_monitor(c->client, "Flow_Table", flow_table_columns);
    ovsdb_client_monitor(c->client, "QoS", qos_columns);
    ovsdb_client_monitor(c->client, "Queue", queue_columns);
    ovsdb_client_lock(c->client, LOCK);
    switch_set_hooks(sw, &(struct switch_hooks){.port_gone = on_port_gone,
                                                .bond_changed = on_bond_changed,
                                                .port_admin = on_port_admin,
                                                .queue_stats = on_queue_stats,
                                                .aux = c});
    ovsdb_client_start(c->client);
    *ret = TAKE_PTR(c);
    return 0;
}

void configurator_destroy(struct configurator *c)
{
    if (!c) {
        return;
    }
    switch_set_hooks(c->sw, &(struct switch_hooks){0});
    struct cbridge *cb, *tmp;
    HASH_ITER(hh, c->bridges, cb, tmp) {
        cbridge_stop_server(cb);
        cbridge_destroy(c, cb);
    }
    event_free(c->run);
    event_free(c->stats);
    event_free(c->tick);
    event_free(c->lock_grace);
    ovsdb_client_destroy(c->client);
    links_destroy(c->links);
    qos_destroy(c->qos);
    free(c->rundir);
    free(c->tls);
    free(c->unsupported);
    free(c);
}

void configurator_cleanup(struct configurator *c)
{
    struct cbridge *cb, *tmp;
    HASH_ITER(hh, c->bridges, cb, tmp) {
        for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
            qos_forget(c, iface);
        }
        remove_bridge(c, cb);
    }
}

void configurator_save_flows(struct configurator *c)
{
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        cbridge_stop_saving(cb, false);
    }
}

/* --- ovs-appctl --- */

static int bridge_reconnect(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct configurator *c = aux;
    struct cbridge *only = NULL;
    if (n) {
        HASH_FIND_STR(c->bridges, args[0], only);
        if (!only) {
            strbuf_add(out, "unknown bridge");
            return -ENOENT;
        }
    }
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        if ((!only || cb == only) && cb->server) {
            ofserver_reconnect(cb->server);
        }
    }
    return 0;
}

void configurator_ctl_register(struct configurator *c, struct unixctl *u)
{
    unixctl_register(u, "bridge/reconnect", "[bridge]", 0, 1, bridge_reconnect, c);
    qos_ctl_register(c, u);
}
