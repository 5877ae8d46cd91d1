/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of the switch's database: makes br-int and br-tun with their patch ports, a tunnel port for each
 * host, and gives the interfaces whose external_ids:iface-id names a port of this host their local VLAN. Reads OpenFlow
 * port numbers back.
 *
 * Port.other_config remembers which network a local VLAN belongs to (net_uuid, as Neutron's agent writes it), so VLANs
 * outlive the agent. All tunnel ports of br-tun are ours; nothing else in the database is touched.
 */
#include <event2/event.h>
#include <stdio.h>

#include "agent/agent.h"
#include "agent/desired.h"
#include "agent/name_index.h"
#include "base/log.h"
#include "packet/tunnel.h"

LOG_MODULE("host");

#define PATCH_TUN "patch-tun" /* in br-int */
#define PATCH_INT "patch-int" /* in br-tun */

struct host {
    struct agent *agent;
    const struct agent_config *config;
    struct ovsdb_client *client;
    bool busy; /* a transaction is under way: its effects are not in the replica yet */
};

/* ---- reading ---- */

static const struct ovsdb_row *interface_of(const struct host *h, const struct ovsdb_row *port)
{
    return ovsdb_client_ref(h->client, port, "interfaces", 0, "Interface");
}

static uint32_t ofport_of(const struct ovsdb_row *interface)
{
    int64_t n = interface ? ovsdb_row_int(interface, "ofport", 0) : 0;

    return n > 0 ? (uint32_t)n : OFPORT_NONE;
}

/* The Port row NAME of BRIDGE (a row, may be NULL). */
static const struct ovsdb_row *find_port(const struct host *h, const struct ovsdb_row *bridge, const char *name)
{
    for (size_t i = 0; bridge && i < ovsdb_row_size(bridge, "ports"); i++) {
        const struct ovsdb_row *port = ovsdb_client_ref(h->client, bridge, "ports", i, "Port");
        const char *port_name = port ? ovsdb_row_string(port, "name") : NULL;

        if (port_name && !strcmp(port_name, name)) {
            return port;
        }
    }
    return NULL;
}

/* BRIDGE's (may be NULL) ports by name, for those who look up many. */
static struct name_index *index_ports(const struct host *h, const struct ovsdb_row *bridge)
{
    struct name_index *index = NULL;

    for (size_t i = 0; bridge && i < ovsdb_row_size(bridge, "ports"); i++) {
        const struct ovsdb_row *port = ovsdb_client_ref(h->client, bridge, "ports", i, "Port");
        const char *name = port ? ovsdb_row_string(port, "name") : NULL;

        if (name) {
            name_index_add(&index, name, i);
        }
    }
    return index;
}

static const struct ovsdb_row *indexed_port(const struct host *h, const struct ovsdb_row *bridge,
                                            struct name_index *index, const char *name)
{
    size_t at = name_index_find(index, name);

    return at != SIZE_MAX ? ovsdb_client_ref(h->client, bridge, "ports", at, "Port") : NULL;
}

static const struct ovsdb_row *find_bridge(const struct host *h, const char *name)
{
    return ovsdb_client_find(h->client, "Bridge", "name", name);
}

static uint32_t patch_ofport(const struct host *h, const char *bridge, const char *name)
{
    const struct ovsdb_row *port = find_port(h, find_bridge(h, bridge), name);

    return port ? ofport_of(interface_of(h, port)) : OFPORT_NONE;
}

bool host_synced(const struct host *h)
{
    return ovsdb_client_is_synced(h->client);
}

bool host_writing(const struct host *h)
{
    return h->busy;
}

bool host_has_bridges(const struct host *h)
{
    return find_port(h, find_bridge(h, BR_INT), PATCH_TUN) && find_port(h, find_bridge(h, BR_TUN), PATCH_INT);
}

static struct name_index *index_local_ports(const struct state *s)
{
    struct name_index *index = NULL;

    for (size_t i = 0; i < s->n_ports; i++) {
        if (s->ports[i].local) {
            name_index_add(&index, s->ports[i].id, i);
        }
    }
    return index;
}

/* S's local port that an interface's iface-id names; NULL without an iface-id or a port. */
static struct state_port *local_port_of(const struct state *s, struct name_index *locals, const char *iface_id)
{
    size_t at = iface_id ? name_index_find(locals, iface_id) : SIZE_MAX;

    return at != SIZE_MAX ? &s->ports[at] : NULL;
}

/* How good a claim PORT has to be P's: to have been it before counts, and more to be there. Rows whose device is gone
 * stay behind when a hypervisor loses power; the VM comes back behind another one. */
static int claim_of(const struct state *s, const struct state_port *p, const struct ovsdb_row *port, uint32_t ofport)
{
    const char *net_uuid = ovsdb_row_map_string(port, "other_config", "net_uuid");

    return (ofport != OFPORT_NONE ? 2 : 0) + (net_uuid && !strcmp(net_uuid, s->networks[p->network].id) ? 1 : 0);
}

/* One interface for each local port: two with the same iface-id are a mistake or worse, and the second is connected to
 * nothing. */
static void claim_ports(struct host *h, struct state *s, const struct ovsdb_row *bridge, struct name_index *locals)
{
    for (size_t i = 0; i < ovsdb_row_size(bridge, "ports"); i++) {
        const struct ovsdb_row *port = ovsdb_client_ref(h->client, bridge, "ports", i, "Port");
        const struct ovsdb_row *interface = port ? interface_of(h, port) : NULL;
        const char *iface_id = interface ? ovsdb_row_map_string(interface, "external_ids", "iface-id") : NULL;
        struct state_port *p = local_port_of(s, locals, iface_id);

        if (p && (!p->claim || claim_of(s, p, port, ofport_of(interface)) > claim_of(s, p, p->claim, p->ofport))) {
            p->claim = port;
            p->ofport = ofport_of(interface);
        }
    }
}

static void fill_tagged(struct state *s)
{
    for (size_t i = 0; i < s->n_ports; i++) {
        struct state_port *p = &s->ports[i];

        p->tagged = p->claim && ovsdb_row_int(p->claim, "tag", 0) == s->networks[p->network].vlan &&
                    !ovsdb_row_size(p->claim, "vlan_mode");
    }
}

static void fill_br_int(struct host *h, struct state *s, const struct ovsdb_row *bridge)
{
    size_t n = ovsdb_row_size(bridge, "ports"), n_existing = 0;
    struct vlan_entry *existing = xcalloc(n + 1, sizeof *existing);
    struct name_index *locals = index_local_ports(s);

    claim_ports(h, s, bridge, locals);
    s->dead = xcalloc(n + 1, sizeof *s->dead);
    s->plain = xcalloc(n + 1, sizeof *s->plain);
    for (size_t i = 0; i < n; i++) {
        const struct ovsdb_row *port = ovsdb_client_ref(h->client, bridge, "ports", i, "Port");
        const struct ovsdb_row *interface = port ? interface_of(h, port) : NULL;
        const char *iface_id = interface ? ovsdb_row_map_string(interface, "external_ids", "iface-id") : NULL;
        const char *net_uuid = port ? ovsdb_row_map_string(port, "other_config", "net_uuid") : NULL;
        uint32_t ofport = ofport_of(interface);

        if (net_uuid) {
            existing[n_existing++] = (struct vlan_entry){net_uuid, (uint16_t)ovsdb_row_int(port, "tag", 0)};
        }
        if (ofport == OFPORT_NONE) {
            continue;
        }
        struct state_port *p = local_port_of(s, locals, iface_id);
        if (!iface_id) {
            s->plain[s->n_plain++] = ofport;
        } else if (!p || p->claim != port) {
            s->dead[s->n_dead++] = ofport;
        }
    }
    name_index_free(locals);
    if (state_assign_vlans(s, existing, n_existing)) {
        log_limited(LOG_LEVEL_ERR,
                    "no local VLAN left: more than %u networks on this host; the ports of some stay down", VLAN_MAX);
    }
    free(existing);
    fill_tagged(s);
}

void host_fill(struct host *h, struct state *s)
{
    const struct ovsdb_row *br_int = find_bridge(h, BR_INT), *br_tun = find_bridge(h, BR_TUN);
    char name[16];

    s->patch_tun = patch_ofport(h, BR_INT, PATCH_TUN);
    s->patch_int = patch_ofport(h, BR_TUN, PATCH_INT);
    if (br_int) {
        fill_br_int(h, s, br_int);
    }
    struct name_index *tunnels = index_ports(h, br_tun);
    for (size_t e = 0; e < s->n_endpoints; e++) {
        for (int t = 0; t < N_TUNNEL_TYPES; t++) {
            desired_tunnel_name((enum tunnel_type)t, s->endpoints[e].id, name);
            const struct ovsdb_row *port = indexed_port(h, br_tun, tunnels, name);
            s->endpoints[e].ofports[t] = port ? ofport_of(interface_of(h, port)) : OFPORT_NONE;
        }
    }
    name_index_free(tunnels);
}

/* ---- writing ---- */

static void on_written(const struct ovsdb_result *result, void *arg)
{
    struct host *h = arg;

    h->busy = false;
    if (result->status == OVSDB_TXN_ERROR) {
        log_limited(LOG_LEVEL_ERR, "the switch's database refused a change: %s", result->error);
        agent_retry(h->agent);
    } else {
        agent_poke(h->agent);
    }
}

/* Sends TXN, or drops it when there is nothing in it. */
static bool commit(struct host *h, struct ovsdb_txn *txn)
{
    if (!ovsdb_txn_n_ops(txn)) {
        ovsdb_txn_destroy(txn);
        return false;
    }
    ovsdb_txn_comment(txn, "warren-agent");
    h->busy = true;
    ovsdb_txn_commit(txn, on_written, h);
    return true;
}

/* A port with one interface. Returns the interface's values; the port's named uuid is p_NAME with - as _. */
static json_t *insert_port(struct ovsdb_txn *txn, const char *name, const char *type, char ret_uuid_name[40])
{
    char interface[40];

    snprintf(ret_uuid_name, 40, "p_%s", name);
    snprintf(interface, sizeof interface, "i_%s", name);
    for (char *p = ret_uuid_name; *p; p++) {
        *p = *p == '-' ? '_' : *p;
    }
    for (char *p = interface; *p; p++) {
        *p = *p == '-' ? '_' : *p;
    }
    json_t *values = ovsdb_txn_insert(txn, "Interface", interface);
    ovsdb_set_string(values, "name", name);
    ovsdb_set_string(values, "type", type);
    json_t *port = ovsdb_txn_insert(txn, "Port", ret_uuid_name);
    ovsdb_set_string(port, "name", name);
    ovsdb_set(port, "interfaces", ovsdb_named_uuid(interface));
    return values;
}

static void apply_bridge(struct host *h, struct ovsdb_txn *txn, const char *name, const char *patch, const char *peer)
{
    const struct ovsdb_row *root = ovsdb_client_first(h->client, "Open_vSwitch"), *bridge = find_bridge(h, name);
    char patch_port[40], local_port[40], bridge_name[40];
    json_t *values, *ports;

    if (bridge && (!ovsdb_row_string(bridge, "fail_mode") || strcmp(ovsdb_row_string(bridge, "fail_mode"), "secure"))) {
        log_info("bridge %s becomes secure: it switches nothing but what flows say", name);
        ovsdb_set_string(ovsdb_txn_update(txn, "Bridge", ovsdb_row_uuid(bridge)), "fail_mode", "secure");
    }
    if (!root || find_port(h, bridge, patch)) {
        return;
    }
    values = insert_port(txn, patch, "patch", patch_port);
    ovsdb_set(values, "options", ovsdb_string_map((const char *const[]){"peer", peer, NULL}));
    if (bridge) {
        ovsdb_txn_mutate(txn, "Bridge", ovsdb_row_uuid(bridge), "ports", "insert", ovsdb_named_uuid(patch_port));
        return;
    }
    log_info("creating bridge %s", name);
    insert_port(txn, name, "internal", local_port);
    snprintf(bridge_name, sizeof bridge_name, "b_%s", name + 3);
    values = ovsdb_txn_insert(txn, "Bridge", bridge_name);
    ports = ovsdb_set_new();
    ovsdb_set_add(ports, ovsdb_named_uuid(local_port));
    ovsdb_set_add(ports, ovsdb_named_uuid(patch_port));
    ovsdb_set_string(values, "name", name);
    ovsdb_set_string(values, "fail_mode", "secure");
    ovsdb_set(values, "ports", ports);
    ovsdb_txn_mutate(txn, "Open_vSwitch", ovsdb_row_uuid(root), "bridges", "insert", ovsdb_named_uuid(bridge_name));
}

static void apply_bridges(struct host *h, struct ovsdb_txn *txn)
{
    apply_bridge(h, txn, BR_INT, PATCH_TUN, PATCH_INT);
    apply_bridge(h, txn, BR_TUN, PATCH_INT, PATCH_TUN);
}

#define N_TUNNEL_OPTIONS 5

static void tunnel_options(const struct host *h, const struct state_endpoint *e,
                           const char *ret[2 * N_TUNNEL_OPTIONS + 1])
{
    const char *options[] = {"remote_ip",  e->ip,  "local_ip", h->config->local_ip, "in_key", "flow", "out_key", "flow",
                             "df_default", "true", NULL};

    memcpy(ret, options, sizeof options);
}

static void add_tunnel(struct host *h, struct ovsdb_txn *txn, const struct ovsdb_row *br_tun, enum tunnel_type type,
                       const char *name, const struct state_endpoint *e)
{
    const char *options[2 * N_TUNNEL_OPTIONS + 1];
    char port[40];
    json_t *values = insert_port(txn, name, tunnel_type_name(type), port);

    log_info("%s tunnel to host %s at %s", tunnel_type_name(type), e->host, e->ip);
    tunnel_options(h, e, options);
    ovsdb_set(values, "options", ovsdb_string_map(options));
    ovsdb_txn_mutate(txn, "Bridge", ovsdb_row_uuid(br_tun), "ports", "insert", ovsdb_named_uuid(port));
}

/* A tunnel that is there: our options are what they should be, others are left alone. */
static void mend_tunnel(struct host *h, struct ovsdb_txn *txn, const struct ovsdb_row *interface,
                        const struct state_endpoint *e)
{
    const char *options[2 * N_TUNNEL_OPTIONS + 1];
    json_t *keys = ovsdb_set_new(), *map = ovsdb_map_new();
    bool same = true;

    tunnel_options(h, e, options);
    for (size_t i = 0; i < N_TUNNEL_OPTIONS; i++) {
        const char *present = ovsdb_row_map_string(interface, "options", options[2 * i]);

        if (!present || strcmp(present, options[2 * i + 1])) {
            same = false;
            ovsdb_set_add(keys, json_string(options[2 * i]));
            ovsdb_map_add_string(map, options[2 * i], options[2 * i + 1]);
        }
    }
    if (same) {
        json_decref(keys);
        json_decref(map);
        return;
    }
    log_info("tunnel %s gets new options", ovsdb_row_string(interface, "name"));
    ovsdb_txn_mutate(txn, "Interface", ovsdb_row_uuid(interface), "options", "delete", keys);
    ovsdb_txn_mutate(txn, "Interface", ovsdb_row_uuid(interface), "options", "insert", map);
}

/* Removes tunnels that are not WANTED. */
static void remove_tunnels(struct host *h, struct ovsdb_txn *txn, const struct ovsdb_row *br_tun,
                           struct name_index *wanted)
{
    for (size_t i = 0; i < ovsdb_row_size(br_tun, "ports"); i++) {
        const struct ovsdb_row *port = ovsdb_client_ref(h->client, br_tun, "ports", i, "Port");
        const struct ovsdb_row *interface = port ? interface_of(h, port) : NULL;

        if (interface && tunnel_type_parse(ovsdb_row_string(interface, "type")) != N_TUNNEL_TYPES &&
            name_index_find(wanted, ovsdb_row_string(port, "name")) == SIZE_MAX) {
            log_info("removing tunnel %s", ovsdb_row_string(port, "name"));
            ovsdb_txn_mutate(txn, "Bridge", ovsdb_row_uuid(br_tun), "ports", "delete",
                             ovsdb_uuid(ovsdb_row_uuid(port)));
        }
    }
}

static void apply_tunnels(struct host *h, const struct state *s, struct ovsdb_txn *txn)
{
    const struct ovsdb_row *br_tun = find_bridge(h, BR_TUN);

    if (!br_tun) {
        return;
    }
    struct name_index *present = index_ports(h, br_tun), *wanted = NULL;
    char(*names)[16] = xcalloc(s->n_endpoints * N_TUNNEL_TYPES + 1, sizeof *names), (*name)[16] = names;
    for (size_t e = 0; e < s->n_endpoints; e++) {
        for (int t = 0; t < N_TUNNEL_TYPES; t++) {
            if (!desired_tunnel(s, e, (enum tunnel_type)t)) {
                continue;
            }
            desired_tunnel_name((enum tunnel_type)t, s->endpoints[e].id, *name);
            name_index_add(&wanted, *name, e);
            const struct ovsdb_row *port = indexed_port(h, br_tun, present, *name);
            const struct ovsdb_row *interface = port ? interface_of(h, port) : NULL;
            if (!port) {
                add_tunnel(h, txn, br_tun, (enum tunnel_type)t, *name, &s->endpoints[e]);
            } else if (interface) {
                mend_tunnel(h, txn, interface, &s->endpoints[e]);
            }
            name++;
        }
    }
    remove_tunnels(h, txn, br_tun, wanted);
    name_index_free(present);
    name_index_free(wanted);
    free(names);
}

/* Gives PORT's row the tag TAG and, for a network's port, the network's marks. */
static void apply_tag(struct ovsdb_txn *txn, const struct ovsdb_row *port, uint16_t tag, const struct state_network *n)
{
    static const char *const marks[] = {"net_uuid", "network_type", "segmentation_id", "tag"};
    char vni[16], vlan[16];
    const char *const values[] = {n ? n->id : NULL, n ? tunnel_type_name(n->type) : NULL, vni, vlan};
    bool same = ovsdb_row_int(port, "tag", 0) == tag && !ovsdb_row_size(port, "vlan_mode");
    json_t *keys = ovsdb_set_new(), *map = ovsdb_map_new();

    snprintf(vni, sizeof vni, "%u", n ? n->vni : 0);
    snprintf(vlan, sizeof vlan, "%u", tag);
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        const char *present = ovsdb_row_map_string(port, "other_config", marks[i]);

        same &= n ? present && !strcmp(present, values[i]) : !present;
        ovsdb_set_add(keys, json_string(marks[i]));
        if (n) {
            ovsdb_map_add_string(map, marks[i], values[i]);
        }
    }
    if (same) {
        json_decref(keys);
        json_decref(map);
        return;
    }
    json_t *row = ovsdb_txn_update(txn, "Port", ovsdb_row_uuid(port));
    ovsdb_set_int(row, "tag", tag);
    ovsdb_set_empty(row, "vlan_mode");
    ovsdb_set_empty(row, "trunks");
    ovsdb_txn_mutate(txn, "Port", ovsdb_row_uuid(port), "other_config", "delete", keys);
    if (n) {
        ovsdb_txn_mutate(txn, "Port", ovsdb_row_uuid(port), "other_config", "insert", map);
    } else {
        json_decref(map);
    }
}

static void apply_ports(struct host *h, const struct state *s, struct ovsdb_txn *txn)
{
    const struct ovsdb_row *br_int = find_bridge(h, BR_INT);
    struct name_index *locals = index_local_ports(s);

    for (size_t i = 0; br_int && i < ovsdb_row_size(br_int, "ports"); i++) {
        const struct ovsdb_row *port = ovsdb_client_ref(h->client, br_int, "ports", i, "Port");
        const struct ovsdb_row *interface = port ? interface_of(h, port) : NULL;
        const char *iface_id = interface ? ovsdb_row_map_string(interface, "external_ids", "iface-id") : NULL;

        if (!iface_id) {
            continue;
        }
        const struct state_port *p = local_port_of(s, locals, iface_id);
        const struct state_network *n = p ? &s->networks[p->network] : NULL;
        if (n && n->vlan && p->admin_up && p->claim == port) {
            apply_tag(txn, port, n->vlan, n);
        } else {
            apply_tag(txn, port, VLAN_DEAD, NULL);
        }
    }
    name_index_free(locals);
}

bool host_apply_bridges(struct host *h)
{
    struct ovsdb_txn *txn = ovsdb_client_txn(h->client);
    apply_bridges(h, txn);
    return commit(h, txn);
}

bool host_apply(struct host *h, const struct state *s)
{
    struct ovsdb_txn *txn = ovsdb_client_txn(h->client);
    apply_bridges(h, txn);
    apply_tunnels(h, s, txn);
    apply_ports(h, s, txn);
    return commit(h, txn);
}

/* ---- life ---- */

static void on_connected(struct ovsdb_client *c, bool connected, void *arg WR_UNUSED)
{
    if (connected) {
        log_info("connected to %s", ovsdb_client_remote(c));
    } else {
        log_info("connection to the switch's database lost: %s", ovsdb_client_last_error(c));
    }
}

static void on_updated(struct ovsdb_client *c WR_UNUSED, void *arg)
{
    struct host *h = arg;

    agent_poke(h->agent);
}

int host_create(struct event_base *base, struct agent *a, const struct agent_config *config, struct host **ret,
                char **ret_error)
{
    static const struct ovsdb_client_callbacks cb = {.connected = on_connected, .updated = on_updated};
    static const char *const root_columns[] = {"bridges", NULL};
    static const char *const bridge_columns[] = {"name", "ports", "fail_mode", NULL};
    static const char *const port_columns[] = {"name",   "interfaces",   "tag", "vlan_mode",
                                               "trunks", "other_config", NULL};
    static const char *const interface_columns[] = {"name", "type", "options", "external_ids", "ofport", NULL};
    struct host *h = xcalloc(1, sizeof *h);

    h->agent = a;
    h->config = config;
    int error = ovsdb_client_new(base, config->db, "Open_vSwitch", &cb, h, &h->client, ret_error);
    if (error) {
        free(h);
        return error;
    }
    ovsdb_client_monitor(h->client, "Open_vSwitch", root_columns);
    ovsdb_client_monitor(h->client, "Bridge", bridge_columns);
    ovsdb_client_monitor(h->client, "Port", port_columns);
    ovsdb_client_monitor(h->client, "Interface", interface_columns);
    ovsdb_client_start(h->client);
    *ret = h;
    return 0;
}

void host_destroy(struct host *h)
{
    if (h) {
        ovsdb_client_destroy(h->client);
        free(h);
    }
}
