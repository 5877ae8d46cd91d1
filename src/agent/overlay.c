/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of the overlay database. It monitors the ports of this host, everything about the networks that
 * those are in, and all endpoints; and writes its own rows: Agent, Heartbeat, Endpoint, Port_Status. Which networks
 * live here is itself read from the replica, so the conditions follow it: ports by host first, then by network.
 */
#include <event2/event.h>
#include <stdio.h>
#include <time.h>

#include "agent/agent.h"
#include "agent/desired.h"
#include "agent/name_index.h"
#include "agent/wiring.h"
#include "base/log.h"
#include "packet/tunnel.h"

LOG_MODULE("overlay");

#define AGENT_TYPE "Open vSwitch agent"
#define AGENT_BINARY "warren-agent"
#define CLOCK_STEP_S 1 /* by more, a clock was set: it counts whole seconds */

struct overlay {
    struct agent *agent;
    const struct agent_config *config;
    struct ovsdb_client *client;
    struct event *heartbeat;
    char *networks; /* ids of the networks in the present conditions, joined */
    bool known;
    int64_t started_ms;     /* since the machine's start, sleep included */
    int64_t started;        /* by the wall clock, seconds, as the Agent row says; 0: not known */
    bool registered;        /* our Agent and Endpoint rows are as they should be, this session */
    bool busy;              /* a transaction about our own rows is under way */
    bool heartbeat_missing; /* our Heartbeat row is, as far as we know: it is inserted */
    size_t beat_op;         /* its operation on that row */
    bool reporting;         /* one about port status: what it writes is not in the replica yet */
    struct wiring *wiring;
    char agent_id[UUID_STR_LEN + 1];
};

static const char *text_of(const struct ovsdb_row *row, const char *column)
{
    const char *s = ovsdb_row_string(row, column);

    return s ? s : "";
}

static bool is_here(const struct overlay *o, const struct ovsdb_row *port)
{
    return !strcmp(text_of(port, "host"), o->config->host);
}

/* ---- conditions ---- */

static void network_conditions(struct overlay *o)
{
    json_t *ids = json_object();

    OVSDB_FOR_EACH_ROW(row, o->client, "Port") {
        const char *id = ovsdb_row_string(row, "network_id");

        if (id && is_here(o, row)) {
            json_object_set_new(ids, id, json_true());
        }
    }
    char *text = json_dumps(ids, JSON_SORT_KEYS);
    if (o->networks && !strcmp(o->networks, text)) {
        free(text);
        json_decref(ids);
        return;
    }
    free(o->networks);
    o->networks = text;

    json_t *ports = ovsdb_where("host", "==", json_string(o->config->host));
    json_t *networks = json_array(), *addresses = json_array(), *unused;
    const char *id;
    json_object_foreach(ids, id, unused) {
        json_array_append_new(ports, json_pack("[sss]", "network_id", "==", id));
        json_array_append_new(networks, json_pack("[sss]", "id", "==", id));
        json_array_append_new(addresses, json_pack("[sss]", "network_id", "==", id));
    }
    if (!json_array_size(networks)) {
        json_array_append_new(networks, json_false());
        json_array_append_new(addresses, json_false());
    }
    json_decref(ids);
    ovsdb_client_set_condition(o->client, "Port", ports);
    ovsdb_client_set_condition(o->client, "Network", networks);
    ovsdb_client_set_condition(o->client, "Address", addresses);
}

/* ---- our own rows ---- */

static char *configurations(const struct overlay *o)
{
    json_t *types = json_array();

    for (int t = 0; t < N_TUNNEL_TYPES; t++) {
        if (o->config->types[t]) {
            json_array_append_new(types, json_string(tunnel_type_name(t)));
        }
    }
    json_t *c =
        json_pack("{s:s, s:o, s:b, s:b, s:s, s:s, s:{}}", "tunneling_ip", o->config->local_ip, "tunnel_types", types,
                  "l2_population", o->config->l2_population, "arp_responder_enabled", o->config->arp_responder,
                  "datapath_type", "system", "integration_bridge", BR_INT, "bridge_mappings");
    char *text = json_dumps(c, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(c);
    return text;
}

static int64_t since_boot_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* When we started, by the wall clock as it is set now: controllers compare it with heartbeats, which are by that, too.
 */
static int64_t started_at(const struct overlay *o)
{
    return (time_wall_ms() - (since_boot_ms() - o->started_ms)) / 1000;
}

static void write_agent(struct overlay *o, struct ovsdb_txn *txn)
{
    const struct ovsdb_row *row = ovsdb_client_first(o->client, "Agent");
    _cleanup_free_ char *conf = configurations(o);
    json_t *values;

    if (row) {
        snprintf(o->agent_id, sizeof o->agent_id, "%s", ovsdb_row_string(row, "id"));
        values = ovsdb_txn_update(txn, "Agent", ovsdb_row_uuid(row));
    } else {
        struct uuid id = uuid_random();

        snprintf(o->agent_id, sizeof o->agent_id, "%s", UUID_STR(&id));
        values = ovsdb_txn_insert(txn, "Agent", NULL);
        ovsdb_set_string(values, "id", o->agent_id);
        ovsdb_set_string(values, "host", o->config->host);
        ovsdb_set_string(values, "agent_type", AGENT_TYPE);
        ovsdb_set_string(values, "topic", "N/A");
        ovsdb_set_bool(values, "admin_state_up", true);
        ovsdb_set_int(values, "created_at", started_at(o));
        o->heartbeat_missing = true;
    }
    o->started = started_at(o);
    ovsdb_set_string(values, "binary", AGENT_BINARY);
    ovsdb_set_string(values, "configurations", conf);
    ovsdb_set_int(values, "started_at", o->started);
}

static void write_endpoint(struct overlay *o, struct ovsdb_txn *txn)
{
    const struct ovsdb_row *row = ovsdb_client_find(o->client, "Endpoint", "host", o->config->host);
    json_t *values =
        row ? ovsdb_txn_update(txn, "Endpoint", ovsdb_row_uuid(row)) : ovsdb_txn_insert(txn, "Endpoint", NULL);
    json_t *types = ovsdb_set_new();

    for (int t = 0; t < N_TUNNEL_TYPES; t++) {
        if (o->config->types[t]) {
            ovsdb_set_add(types, json_string(tunnel_type_name(t)));
        }
    }
    ovsdb_set_string(values, "host", o->config->host);
    ovsdb_set_string(values, "ip", o->config->local_ip);
    ovsdb_set(values, "tunnel_types", types);
}

/* Not read back: other agents' heartbeats are none of our business, and monitoring them would be one row a host, for
 * ever changing. So whether ours is there yet is known by how many the update found. It is not replaced: controllers
 * keep beside it what they know of our clock. */
static void write_first_heartbeat(struct overlay *o, struct ovsdb_txn *txn)
{
    json_t *values;

    o->beat_op = ovsdb_txn_n_ops(txn);
    if (o->heartbeat_missing) {
        values = ovsdb_txn_insert(txn, "Heartbeat", NULL);
        ovsdb_set_string(values, "agent_id", o->agent_id);
    } else {
        values = ovsdb_txn_update_where(txn, "Heartbeat", ovsdb_where("agent_id", "==", json_string(o->agent_id)));
    }
    ovsdb_set_int(values, "at", time_wall_ms() / 1000);
}

static void do_register(struct overlay *o);

static void on_registered(const struct ovsdb_result *result, void *arg)
{
    struct overlay *o = arg;
    bool missing = !o->heartbeat_missing && !ovsdb_result_count(result, o->beat_op);

    o->busy = o->heartbeat_missing = false;
    if (result->status == OVSDB_TXN_COMMITTED && missing) {
        o->heartbeat_missing = true;
        do_register(o);
    } else if (result->status == OVSDB_TXN_COMMITTED) {
        o->registered = true;
        log_info("registered as host %s, agent %s", o->config->host, o->agent_id);
        agent_poke(o->agent);
    } else if (result->status == OVSDB_TXN_ERROR) {
        log_limited(LOG_LEVEL_ERR,
                    "registering host %s with tunnel address %s was refused (is either in use by another host?): %s",
                    o->config->host, o->config->local_ip, result->error);
    }
}

static void do_register(struct overlay *o)
{
    if (o->registered || o->busy || !ovsdb_client_is_synced(o->client)) {
        return;
    }
    struct ovsdb_txn *txn = ovsdb_client_txn(o->client);
    write_agent(o, txn);
    write_endpoint(o, txn);
    write_first_heartbeat(o, txn);
    o->busy = true;
    ovsdb_txn_commit(txn, on_registered, o);
}

static void on_beat(const struct ovsdb_result *result, void *arg)
{
    struct overlay *o = arg;

    if (result->status == OVSDB_TXN_ERROR) {
        log_limited(LOG_LEVEL_ERR, "the heartbeat was refused: %s", result->error);
        o->started = 0;
    } else if (result->status == OVSDB_TXN_COMMITTED && !ovsdb_result_count(result, 0)) {
        o->registered = false; /* somebody removed our rows */
        do_register(o);
    }
}

static void on_heartbeat(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct overlay *o = arg;

    if (!o->registered) {
        do_register(o);
    } else if (ovsdb_client_is_synced(o->client)) {
        struct ovsdb_txn *txn = ovsdb_client_txn(o->client);

        json_t *values =
            ovsdb_txn_update_where(txn, "Heartbeat", ovsdb_where("agent_id", "==", json_string(o->agent_id)));
        ovsdb_set_int(values, "at", time_wall_ms() / 1000);
        if (llabs(started_at(o) - o->started) > CLOCK_STEP_S) {
            o->started = started_at(o);
            values = ovsdb_txn_update_where(txn, "Agent", ovsdb_where("id", "==", json_string(o->agent_id)));
            ovsdb_set_int(values, "started_at", o->started);
        }
        ovsdb_txn_commit(txn, on_beat, o);
    }
}

/* ---- events ---- */

static void on_connected(struct ovsdb_client *c, bool connected, void *arg)
{
    struct overlay *o = arg;

    if (connected) {
        log_info("connected to %s", ovsdb_client_remote(c));
    } else {
        log_info("connection to the overlay database lost, keeping the last state: %s", ovsdb_client_last_error(c));
        o->registered = false;
    }
}

static void on_updated(struct ovsdb_client *c, void *arg)
{
    struct overlay *o = arg;

    network_conditions(o);
    do_register(o);
    if (ovsdb_client_is_synced(c)) {
        o->known = true;
    }
    agent_poke(o->agent);
}

int overlay_create(struct event_base *base, struct agent *a, const struct agent_config *config, struct overlay **ret,
                   char **ret_error)
{
    static const struct ovsdb_client_callbacks cb = {.connected = on_connected, .updated = on_updated};
    static const char *const tables[] = {"Network", "Port", "Address", "Endpoint", "Agent", "Port_Status"};
    struct overlay *o = xcalloc(1, sizeof *o);
    int error;

    o->agent = a;
    o->config = config;
    o->started_ms = since_boot_ms();
    o->heartbeat = event_new(base, -1, EV_PERSIST, on_heartbeat, o);
    error =
        o->heartbeat ? ovsdb_client_new(base, config->overlay_db, "Warren", &cb, o, &o->client, ret_error) : -ENOMEM;
    if (error) {
        overlay_destroy(o);
        return error;
    }
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        ovsdb_client_monitor(o->client, tables[i], NULL);
    }
    ovsdb_client_set_condition(o->client, "Port", ovsdb_where("host", "==", json_string(config->host)));
    ovsdb_client_set_condition(o->client, "Network", json_pack("[b]", 0));
    ovsdb_client_set_condition(o->client, "Address", json_pack("[b]", 0));
    ovsdb_client_set_condition(o->client, "Agent", ovsdb_where("host", "==", json_string(config->host)));
    ovsdb_client_set_condition(o->client, "Port_Status", ovsdb_where("host", "==", json_string(config->host)));
    event_add(o->heartbeat, &(struct timeval){.tv_sec = config->heartbeat_s});
    ovsdb_client_start(o->client);
    *ret = o;
    return 0;
}

void overlay_destroy(struct overlay *o)
{
    if (!o) {
        return;
    }
    ovsdb_client_destroy(o->client);
    if (o->heartbeat) {
        event_free(o->heartbeat);
    }
    wiring_free(o->wiring);
    free(o->networks);
    free(o);
}

bool overlay_known(const struct overlay *o)
{
    return o->known;
}

/* ---- what it says, as state ---- */

static int by_host(const void *a, const void *b)
{
    const struct state_endpoint *x = a, *y = b;

    return strcmp(x->host, y->host);
}

/* Sorted by host: the order of outputs in flood flows and the names of tunnels must be the same after a restart. */
static struct name_index *fill_endpoints(struct overlay *o, struct state *s)
{
    struct name_index *hosts = NULL;

    s->endpoints = xcalloc(ovsdb_client_n_rows(o->client, "Endpoint"), sizeof *s->endpoints);
    OVSDB_FOR_EACH_ROW(row, o->client, "Endpoint") {
        const char *host = text_of(row, "host");
        struct state_endpoint *e = &s->endpoints[s->n_endpoints];

        if (!strcmp(host, o->config->host)) {
            continue;
        }
        if (!state_is_ip(text_of(row, "ip")) || !strcmp(text_of(row, "ip"), o->config->local_ip)) {
            log_limited(LOG_LEVEL_WARN, "host %s has no tunnels: its endpoint address %s is none, or our own", host,
                        text_of(row, "ip"));
            continue;
        }
        e->host = host;
        e->ip = text_of(row, "ip");
        for (int t = 0; t < N_TUNNEL_TYPES; t++) {
            e->types[t] = o->config->types[t] && ovsdb_row_set_has_string(row, "tunnel_types", tunnel_type_name(t));
        }
        s->n_endpoints++;
    }
    qsort(s->endpoints, s->n_endpoints, sizeof *s->endpoints, by_host);
    desired_tunnel_ids(s);
    for (size_t i = 0; i < s->n_endpoints; i++) {
        name_index_add(&hosts, s->endpoints[i].host, i);
    }
    return hosts;
}

static struct name_index *fill_networks(struct overlay *o, struct state *s)
{
    struct name_index *networks = NULL;

    s->networks = xcalloc(ovsdb_client_n_rows(o->client, "Network"), sizeof *s->networks);
    OVSDB_FOR_EACH_ROW(row, o->client, "Network") {
        enum tunnel_type type = tunnel_type_parse(ovsdb_row_string(row, "type"));

        if (type == N_TUNNEL_TYPES || !o->config->types[type]) {
            log_limited(LOG_LEVEL_WARN, "network %s is of type %s, which this host does not do: its ports stay down",
                        text_of(row, "id"), text_of(row, "type"));
            continue;
        }
        s->networks[s->n_networks] = (struct state_network){
            .id = text_of(row, "id"), .type = type, .vni = (uint32_t)ovsdb_row_int(row, "vni", 0)};
        name_index_add(&networks, text_of(row, "id"), s->n_networks++);
    }
    return networks;
}

static void fill_pairs(const struct ovsdb_row *row, struct state_port *p)
{
    size_t n = ovsdb_row_size(row, "allowed_address_pairs");

    p->pairs = n ? xcalloc(n, sizeof *p->pairs) : NULL;
    for (size_t i = 0; i < n; i++) {
        const char *text = ovsdb_row_set_string(row, "allowed_address_pairs", i);

        if (state_pair_parse(text, &p->pairs[p->n_pairs])) {
            log_limited(LOG_LEVEL_WARN, "port %s: its allowed address pair %s is none", p->id, text);
        } else {
            p->n_pairs++;
        }
    }
}

static struct name_index *fill_ports(struct overlay *o, struct state *s, struct name_index *networks,
                                     struct name_index *hosts)
{
    struct name_index *ports = NULL;

    s->ports = xcalloc(ovsdb_client_n_rows(o->client, "Port"), sizeof *s->ports);
    OVSDB_FOR_EACH_ROW(row, o->client, "Port") {
        size_t network = name_index_find(networks, text_of(row, "network_id"));

        if (network == SIZE_MAX) {
            continue; /* conditions are still on their way */
        }
        if (!state_is_mac(text_of(row, "mac"))) {
            log_limited(LOG_LEVEL_WARN, "port %s stays down: its MAC %s is none", text_of(row, "id"),
                        text_of(row, "mac"));
            continue;
        }
        s->ports[s->n_ports] = (struct state_port){
            .id = text_of(row, "id"),
            .network = network,
            .mac = text_of(row, "mac"),
            .local = is_here(o, row),
            .admin_up = ovsdb_row_bool(row, "admin_state_up", true),
            .port_security = ovsdb_row_bool(row, "port_security_enabled", true),
            .endpoint = name_index_find(hosts, text_of(row, "host")),
        };
        if (s->ports[s->n_ports].local) {
            fill_pairs(row, &s->ports[s->n_ports]);
        }
        name_index_add(&ports, text_of(row, "id"), s->n_ports++);
    }
    return ports;
}

void overlay_fill(struct overlay *o, struct state *s)
{
    struct name_index *hosts = fill_endpoints(o, s);
    struct name_index *networks = fill_networks(o, s);
    struct name_index *ports = fill_ports(o, s, networks, hosts);

    OVSDB_FOR_EACH_ROW(row, o->client, "Address") {
        size_t index = name_index_find(ports, text_of(row, "port_id"));

        if (index != SIZE_MAX && !state_is_ip(text_of(row, "ip"))) {
            log_limited(LOG_LEVEL_WARN, "port %s: its address %s is none", text_of(row, "port_id"), text_of(row, "ip"));
        } else if (index != SIZE_MAX) {
            struct state_port *p = &s->ports[index];

            p->ips = xrealloc(p->ips, (p->n_ips + 1) * sizeof *p->ips);
            p->ips[p->n_ips++] = text_of(row, "ip");
        }
    }
    name_index_free(hosts);
    name_index_free(networks);
    name_index_free(ports);
}

/* ---- reports ---- */

static void on_reported(const struct ovsdb_result *result, void *arg)
{
    struct overlay *o = arg;

    o->reporting = false;
    if (result->status == OVSDB_TXN_ERROR) {
        log_limited(LOG_LEVEL_ERR, "reporting port status was refused: %s", result->error);
        agent_retry(o->agent);
    } else {
        agent_poke(o->agent);
    }
}

void overlay_report(struct overlay *o, const struct state *s, uint64_t pass, uint64_t in_place)
{
    struct name_index *told = NULL, *ports = NULL;
    size_t at = 0;

    wiring_pass(&o->wiring, s, pass);
    if (!o->registered || o->reporting || !ovsdb_client_is_synced(o->client)) {
        return;
    }
    struct ovsdb_txn *txn = ovsdb_client_txn(o->client);
    OVSDB_FOR_EACH_ROW(row, o->client, "Port") {
        name_index_add(&ports, text_of(row, "id"), 0);
    }
    OVSDB_FOR_EACH_ROW(row, o->client, "Port_Status") {
        const char *id = text_of(row, "port_id");
        uint64_t since = wiring_since(o->wiring, id, &at);

        name_index_add(&told, id, 0);
        if (name_index_find(ports, id) == SIZE_MAX) {
            ovsdb_txn_delete(txn, "Port_Status", ovsdb_row_uuid(row));
        } else if (ovsdb_row_bool(row, "up", false) ? !since : since && since <= in_place) {
            ovsdb_set_bool(ovsdb_txn_update(txn, "Port_Status", ovsdb_row_uuid(row)), "up", since);
            if (since) {
                agent_announce(o->agent, &s->ports[at]);
            }
        }
    }
    for (size_t i = 0; i < s->n_ports; i++) {
        uint64_t since = s->ports[i].local ? wiring_since(o->wiring, s->ports[i].id, NULL) : 0;

        if (since && since <= in_place && name_index_find(told, s->ports[i].id) == SIZE_MAX) {
            json_t *values = ovsdb_txn_insert(txn, "Port_Status", NULL);

            ovsdb_set_string(values, "port_id", s->ports[i].id);
            ovsdb_set_string(values, "host", o->config->host);
            ovsdb_set_bool(values, "up", true);
            agent_announce(o->agent, &s->ports[i]);
        }
    }
    name_index_free(told);
    name_index_free(ports);
    if (ovsdb_txn_n_ops(txn)) {
        o->reporting = true;
        ovsdb_txn_commit(txn, on_reported, o);
    } else {
        ovsdb_txn_destroy(txn);
    }
}
