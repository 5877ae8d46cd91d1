/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/switch_state.h"

#include "cli/cli.h"
#include "cli/table.h"

/* How a column becomes JSON: a set of at most one as its value or null, a larger set as an array, a map as an object.
 */
enum shape { ONE, MANY, MAP };
struct member {
    const char *name;
    enum shape shape;
};

static const struct member bridge_members[] = {
    {"name", ONE}, {"datapath_id", ONE}, {"datapath_type", ONE}, {"fail_mode", ONE}, {"protocols", MANY},
};
static const struct member controller_members[] = {{"target", ONE}, {"is_connected", ONE}};
static const struct member port_members[] = {
    {"name", ONE},
    {"vlan_mode", ONE},
    {"tag", ONE},
    {"trunks", MANY},
};
static const struct member interface_members[] = {
    {"name", ONE},         {"type", ONE},       {"ofport", ONE},     {"options", MAP},
    {"external_ids", MAP}, {"mac_in_use", ONE}, {"mtu", ONE},        {"admin_state", ONE},
    {"link_state", ONE},   {"error", ONE},      {"statistics", MAP},
};

void switch_state_monitor(struct ovsdb_client *c)
{
    static const char *const bridge[] = {"name",      "datapath_id", "datapath_type", "fail_mode",
                                         "protocols", "controller",  "ports",         NULL};
    static const char *const controller[] = {"target", "is_connected", NULL};
    static const char *const port[] = {"name", "vlan_mode", "tag", "trunks", "interfaces", NULL};
    static const char *const interface[] = {"name",         "type",       "ofport",     "options",
                                            "external_ids", "mac_in_use", "mtu",        "admin_state",
                                            "link_state",   "error",      "statistics", NULL};

    ovsdb_client_monitor(c, "Bridge", bridge);
    ovsdb_client_monitor(c, "Controller", controller);
    ovsdb_client_monitor(c, "Port", port);
    ovsdb_client_monitor(c, "Interface", interface);
}

/* ---- database to JSON ---- */

/* The array in ["set", array] or ["map", array]; NULL if VALUE is a plain one. */
static json_t *elements(const json_t *value, const char *kind)
{
    const char *tag = json_string_value(json_array_get(value, 0));

    return tag && !strcmp(tag, kind) ? json_array_get(value, 1) : NULL;
}

static json_t *plain(const json_t *value, enum shape shape)
{
    json_t *set = elements(value, "set"), *pair;
    size_t i;

    if (shape == MAP) {
        json_t *object = json_object();

        json_array_foreach(elements(value, "map"), i, pair) {
            json_object_set(object, json_string_value(json_array_get(pair, 0)), json_array_get(pair, 1));
        }
        return object;
    }
    if (shape == ONE) {
        return set || !value ? json_null() : json_incref((json_t *)value);
    }
    return set ? json_incref(set) : json_pack("[O*]", value);
}

static json_t *object_of(const struct ovsdb_row *row, const struct member *members, size_t n)
{
    json_t *object = json_object();

    for (size_t i = 0; i < n; i++) {
        json_object_set_new(object, members[i].name, plain(ovsdb_row_json(row, members[i].name), members[i].shape));
    }
    return object;
}
#define OBJECT_OF(row, members) object_of(row, members, ARRAY_SIZE(members))

static int by_name(const void *a, const void *b)
{
    const char *x = json_string_value(json_object_get(*(json_t *const *)a, "name"));
    const char *y = json_string_value(json_object_get(*(json_t *const *)b, "name"));

    return strcmp(x ? x : "", y ? y : "");
}

/* An array of the same objects, sorted. Takes LIST over. */
static json_t *sorted(json_t *list)
{
    size_t n = json_array_size(list), i;
    _cleanup_free_ json_t **objects = xcalloc(n + 1, sizeof *objects);
    json_t *ret = json_array(), *object;

    json_array_foreach(list, i, object) {
        objects[i] = object;
    }
    qsort(objects, n, sizeof *objects, by_name);
    for (i = 0; i < n; i++) {
        json_array_append(ret, objects[i]);
    }
    json_decref(list);
    return ret;
}

static json_t *port_object(const struct ovsdb_client *c, const struct ovsdb_row *port)
{
    json_t *object = OBJECT_OF(port, port_members), *interfaces = json_array();
    const struct ovsdb_row *interface;

    for (size_t i = 0; i < ovsdb_row_size(port, "interfaces"); i++) {
        if ((interface = ovsdb_client_ref(c, port, "interfaces", i, "Interface"))) {
            json_array_append_new(interfaces, OBJECT_OF(interface, interface_members));
        }
    }
    json_object_set_new(object, "interfaces", sorted(interfaces));
    return object;
}

static json_t *bridge_object(const struct ovsdb_client *c, const struct ovsdb_row *bridge)
{
    json_t *object = OBJECT_OF(bridge, bridge_members), *controllers = json_array(), *ports = json_array();
    const struct ovsdb_row *row;

    for (size_t i = 0; i < ovsdb_row_size(bridge, "controller"); i++) {
        if ((row = ovsdb_client_ref(c, bridge, "controller", i, "Controller"))) {
            json_array_append_new(controllers, OBJECT_OF(row, controller_members));
        }
    }
    for (size_t i = 0; i < ovsdb_row_size(bridge, "ports"); i++) {
        if ((row = ovsdb_client_ref(c, bridge, "ports", i, "Port"))) {
            json_array_append_new(ports, port_object(c, row));
        }
    }
    json_object_set_new(object, "controllers", controllers);
    json_object_set_new(object, "ports", sorted(ports));
    return object;
}

json_t *switch_state(const struct ovsdb_client *c)
{
    json_t *bridges = json_array();

    OVSDB_FOR_EACH_ROW(row, c, "Bridge") {
        json_array_append_new(bridges, bridge_object(c, row));
    }
    return json_pack("{s:o}", "bridges", sorted(bridges));
}

/* ---- JSON to tables ---- */

static void add_json(struct table *t, const json_t *value)
{
    _cleanup_strbuf_ struct strbuf cell = {0};

    cell_json(value, &cell);
    table_add(t, strbuf_str(&cell));
}

static void add_members(struct table *t, const json_t *object, const char *const *keys)
{
    for (; *keys; keys++) {
        add_json(t, json_object_get(object, *keys));
    }
}

static void add_bridge(struct table *t, const json_t *bridge)
{
    _cleanup_strbuf_ struct strbuf controllers = {0};
    json_t *controller;
    size_t i;

    json_array_foreach(json_object_get(bridge, "controllers"), i, controller) {
        strbuf_addf(&controllers, "%s%s (%s)", i ? ", " : "", json_string_value(json_object_get(controller, "target")),
                    json_is_true(json_object_get(controller, "is_connected")) ? "connected" : "not connected");
    }
    add_members(t, bridge, (const char *const[]){"name", "datapath_id", "fail_mode", NULL});
    table_addf(t, "%zu", json_array_size(json_object_get(bridge, "ports")));
    table_add(t, strbuf_str(&controllers));
}

/* "5"; "trunk 1, 2"; "5 + 1, 2" for a native VLAN with trunks; "" for a trunk of all VLANs. */
static void add_vlan(struct table *t, const json_t *port)
{
    _cleanup_strbuf_ struct strbuf tag = {0}, trunks = {0};

    cell_json(json_object_get(port, "tag"), &tag);
    cell_json(json_object_get(port, "trunks"), &trunks);
    table_addf(t, "%s%s%s", strbuf_str(&tag), !trunks.len ? "" : tag.len ? " + " : "trunk ", strbuf_str(&trunks));
}

static void add_name(struct table *t, const json_t *port, const json_t *interface)
{
    const char *of_port = json_string_value(json_object_get(port, "name"));
    const char *name = json_string_value(json_object_get(interface, "name"));

    of_port = of_port ? of_port : "";
    name = name ? name : "";
    table_addf(t, strcmp(of_port, name) ? "%s/%s" : "%s", of_port, name);
}

static void add_port(struct table *t, const json_t *bridge, const json_t *port, const json_t *interface)
{
    const json_t *type = json_object_get(interface, "type"), *statistics = json_object_get(interface, "statistics");
    const char *text = json_string_value(type);

    add_json(t, json_object_get(bridge, "name"));
    add_name(t, port, interface);
    add_json(t, json_object_get(interface, "ofport"));
    table_add(t, text && *text ? text : "system");
    add_vlan(t, port);
    add_members(t, interface, (const char *const[]){"link_state", "mtu", NULL});
    add_members(t, statistics, (const char *const[]){"rx_packets", "tx_packets", NULL});
    add_json(t, json_object_get(json_object_get(interface, "external_ids"), "iface-id"));
    add_json(t, json_object_get(interface, "error"));
}

static void add_tunnel(struct table *t, const json_t *bridge, const json_t *port, const json_t *interface)
{
    const json_t *options = json_object_get(interface, "options");
    const json_t *key = json_object_get(options, "key");

    add_json(t, json_object_get(bridge, "name"));
    add_name(t, port, interface);
    add_members(t, interface, (const char *const[]){"ofport", "type", NULL});
    add_members(t, options, (const char *const[]){"local_ip", "remote_ip", NULL});
    add_json(t, key ? key : json_object_get(options, "out_key"));
    add_json(t, json_object_get(interface, "link_state"));
    add_members(t, json_object_get(interface, "statistics"), (const char *const[]){"rx_packets", "tx_packets", NULL});
    add_json(t, json_object_get(interface, "error"));
}

static void add_ports(struct table *ports, struct table *tunnels, const json_t *bridge)
{
    json_t *port, *interface;
    size_t p, i;

    json_array_foreach(json_object_get(bridge, "ports"), p, port) {
        json_array_foreach(json_object_get(port, "interfaces"), i, interface) {
            if (json_object_get(json_object_get(interface, "options"), "remote_ip")) {
                add_tunnel(tunnels, bridge, port, interface);
            } else {
                add_port(ports, bridge, port, interface);
            }
        }
    }
}

static void format_one(const char *title, struct table *t, struct strbuf *b)
{
    if (t->n_cells > t->n_columns) {
        strbuf_addf(b, "%s%s\n", b->len ? "\n" : "", title);
        table_format(t, b);
    }
}

void switch_state_format(const json_t *state, struct strbuf *b)
{
    static const char *const bridge_titles[] = {"BRIDGE", "DATAPATH ID", "FAIL MODE", "PORTS", "CONTROLLERS"};
    static const char *const port_titles[] = {"BRIDGE", "PORT", "OFPORT", "TYPE",     "VLAN", "LINK",
                                              "MTU",    "RX",   "TX",     "IFACE-ID", "ERROR"};
    static const char *const tunnel_titles[] = {"BRIDGE", "PORT", "OFPORT", "TYPE", "LOCAL", "REMOTE",
                                                "KEY",    "LINK", "RX",     "TX",   "ERROR"};
    _cleanup_table_ struct table bridges, ports, tunnels;
    json_t *bridge;
    size_t i;

    table_init(&bridges, ARRAY_SIZE(bridge_titles), bridge_titles);
    table_init(&ports, ARRAY_SIZE(port_titles), port_titles);
    table_init(&tunnels, ARRAY_SIZE(tunnel_titles), tunnel_titles);
    json_array_foreach(json_object_get(state, "bridges"), i, bridge) {
        add_bridge(&bridges, bridge);
        add_ports(&ports, &tunnels, bridge);
    }
    format_one("Bridges", &bridges, b);
    format_one("Ports", &ports, b);
    format_one("Tunnels", &tunnels, b);
}
