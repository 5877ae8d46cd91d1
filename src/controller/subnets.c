/* SPDX-License-Identifier: Apache-2.0 */
/* /v2.0/subnets. The checks of what a subnet may be are pure and stand in subnet_plan.c; here they meet the database.
 */
#include <stdio.h>

#include "controller/port_addresses.h"
#include "controller/subnet_plan.h"

static json_t *only_null(const json_t *value, struct strbuf *why)
{
    attribute_show(value, why);
    strbuf_add(why, ": there are no subnet pools.");
    return NULL;
}

#define IPV6_MODES "slaac|dhcpv6-stateful|dhcpv6-stateless"

static const struct attribute attributes[] = {
    {"id", ATTR_UUID, 0},
    {"name", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"\""},
    {"project_id", ATTR_STRING, ATTR_POST, "\"default\"", .alias = "tenant_id"},
    {"description", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"\""},
    {"network_id", ATTR_UUID, ATTR_POST | ATTR_REQUIRED},
    {"cidr", ATTR_CIDR, ATTR_POST | ATTR_REQUIRED},
    {"ip_version", ATTR_INT, ATTR_POST | ATTR_REQUIRED, NULL, .min = 4, .max = 6},
    {"gateway_ip", ATTR_IP, ATTR_POST | ATTR_PUT | ATTR_NULL},
    {"enable_dhcp", ATTR_BOOL, ATTR_POST | ATTR_PUT, "true"},
    {"ipv6_ra_mode", ATTR_STRING, ATTR_POST | ATTR_NULL_DEF, NULL, .choices = IPV6_MODES},
    {"ipv6_address_mode", ATTR_STRING, ATTR_POST | ATTR_NULL_DEF, NULL, .choices = IPV6_MODES},
    {"allocation_pools", ATTR_CUSTOM, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF, NULL, .check = subnet_pools_check},
    {"dns_nameservers", ATTR_CUSTOM, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF, "[]", .check = attribute_addresses},
    {"host_routes", ATTR_CUSTOM, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF, "{}", .check = subnet_routes_check},
    {"subnetpool_id", ATTR_CUSTOM, ATTR_POST | ATTR_NULL_DEF, NULL, .check = only_null},
    {"service_types", ATTR_STRING, 0},
    {"tags", ATTR_STRING, 0},
    {"created_at", ATTR_STRING, 0},
    {"updated_at", ATTR_STRING, 0},
    {"revision_number", ATTR_INT, 0},
};

/* ---- showing ---- */

static json_t *show_pools(const struct ovsdb_row *row)
{
    json_t *list = json_array();
    struct ip_range r;

    for (size_t i = 0; i < ovsdb_row_size(row, "allocation_pools"); i++) {
        if (!ip_range_parse(ovsdb_row_set_string(row, "allocation_pools", i), &r)) {
            json_array_append_new(list, json_pack("{s:s, s:s}", "start", IP_STR(&r.first), "end", IP_STR(&r.last)));
        }
    }
    return list;
}

static json_t *show_routes(const struct ovsdb_row *row)
{
    const char *destination, *next_hop;
    json_t *list = json_array();

    for (size_t i = 0; ovsdb_row_map_at(row, "host_routes", i, &destination, &next_hop); i++) {
        json_array_append_new(list, json_pack("{s:s, s:s}", "destination", destination, "nexthop", next_hop));
    }
    return list;
}

static json_t *show_servers(const struct ovsdb_row *row)
{
    _cleanup_free_ char *copy = xstrdup(store_string(row, "dns_nameservers"));
    json_t *list = json_array();
    char *save = NULL;

    for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        json_array_append_new(list, json_string(word));
    }
    return list;
}

static json_t *show(const struct api *api WR_UNUSED, const struct ovsdb_row *row)
{
    json_t *o = json_pack("{s:s}", "id", store_string(row, "id"));

    show_common(o, row);
    json_object_set_new(o, "network_id", json_string(store_string(row, "network_id")));
    json_object_set_new(o, "ip_version", json_integer(ovsdb_row_int(row, "ip_version", 4)));
    json_object_set_new(o, "subnetpool_id", json_null());
    json_object_set_new(o, "enable_dhcp", json_boolean(ovsdb_row_bool(row, "enable_dhcp", false)));
    json_object_set_new(o, "ipv6_ra_mode", show_optional(row, "ipv6_ra_mode"));
    json_object_set_new(o, "ipv6_address_mode", show_optional(row, "ipv6_address_mode"));
    json_object_set_new(o, "gateway_ip", show_optional(row, "gateway_ip"));
    json_object_set_new(o, "cidr", json_string(store_string(row, "cidr")));
    json_object_set_new(o, "allocation_pools", show_pools(row));
    json_object_set_new(o, "host_routes", show_routes(row));
    json_object_set_new(o, "dns_nameservers", show_servers(row));
    json_object_set_new(o, "service_types", json_array());
    return o;
}

/* ---- writing ---- */

static void set_servers(json_t *values, const json_t *list)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) {
        strbuf_addf(&b, "%s%s", i ? "," : "", json_string_value(item));
    }
    ovsdb_set_string(values, "dns_nameservers", strbuf_str(&b));
}

/* What creation and change have in common. */
static void set_values(json_t *values, json_t *item, const struct subnet_plan *plan)
{
    static const char *const bools[] = {"enable_dhcp"};
    json_t *pools = ovsdb_set_new(), *routes = json_object_get(item, "host_routes"), *next_hop;
    const char *destination;

    set_bools(values, item, bools, 1);
    for (size_t i = 0; i < plan->n_pools; i++) {
        ovsdb_set_add(pools, json_sprintf("%s-%s", IP_STR(&plan->pools[i].first), IP_STR(&plan->pools[i].last)));
    }
    ovsdb_set(values, "allocation_pools", pools);
    if (plan->has_gateway) {
        ovsdb_set_string(values, "gateway_ip", IP_STR(&plan->gateway));
    } else {
        ovsdb_set_empty(values, "gateway_ip");
    }
    if (json_object_get(item, "dns_nameservers")) {
        set_servers(values, json_object_get(item, "dns_nameservers"));
    }
    if (routes) {
        json_t *map = ovsdb_map_new();

        json_object_foreach(routes, destination, next_hop) {
            ovsdb_map_add_string(map, destination, json_string_value(next_hop));
        }
        ovsdb_set(values, "host_routes", map);
    }
}

/* CIDRs in one network must not overlap. Those of earlier items of the same request count, too. */
static bool overlaps(struct call *c, const char *network_id, const struct prefix *p, size_t n_items)
{
    struct prefix other;

    STORE_FOR_EACH(e, c->api->store, STORE_SUBNET_NETWORK, network_id) {
        if (!prefix_parse(store_string(e->row, "cidr"), &other) && prefix_overlaps(p, &other)) {
            return true;
        }
    }
    for (size_t i = 0; i < n_items; i++) {
        const json_t *item = json_array_get(c->items, i);

        if (!strcmp(json_string_value(json_object_get(item, "network_id")), network_id) &&
            !prefix_parse(json_string_value(json_object_get(item, "cidr")), &other) && prefix_overlaps(p, &other)) {
            return true;
        }
    }
    return false;
}

/* The network's ports are those that the replica shows, or the attempt is made again: a port that another controller
 * makes at this moment knows nothing of the new subnet. */
static void wait_for_ports(struct call *c, struct ovsdb_txn *txn, const char *network_id)
{
    static const char *const columns[] = {"id", "mac", "device_owner"};
    _cleanup_free_ char *key = xasprintf("ports of %s", network_id);
    json_t *rows = json_array();

    if (!call_choose(c, key)) {
        json_decref(rows);
        return;
    }
    STORE_FOR_EACH(e, c->api->store, STORE_PORT_NETWORK, network_id) {
        json_t *row = json_object();

        for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
            ovsdb_set_string(row, columns[i], store_string(e->row, columns[i]));
        }
        json_array_append_new(rows, row);
    }
    ovsdb_txn_op(txn, json_pack("{s:s, s:i, s:s, s:[[s, s, s]], s:[s, s, s], s:s, s:o}", "op", "wait", "timeout", 0,
                                "table", "Port", "where", "network_id", "==", network_id, "columns", columns[0],
                                columns[1], columns[2], "until", "==", "rows", rows));
}

/* The ports that are there already form an address in a new SLAAC subnet by themselves: it is theirs. */
static void give_auto_addresses(struct call *c, struct ovsdb_txn *txn, const json_t *item, const struct prefix *p,
                                const char *subnet_name)
{
    const char *network_id = json_string_value(json_object_get(item, "network_id"));
    struct eth_addr mac;

    STORE_FOR_EACH(e, c->api->store, STORE_PORT_NETWORK, network_id) {
        if (eth_addr_parse(store_string(e->row, "mac"), &mac) || port_is_router(store_string(e->row, "device_owner"))) {
            continue; /* a router's port has the prefix from its operator, not by listening to routers */
        }
        struct ip ip = prefix_eui64(p, &mac);
        json_t *values = ovsdb_txn_insert(txn, "Address", NULL);
        ovsdb_set(values, "subnet", ovsdb_named_uuid(subnet_name));
        ovsdb_set_string(values, "subnet_id", json_string_value(json_object_get(item, "id")));
        ovsdb_set_uuid(values, "port", ovsdb_row_uuid(e->row));
        ovsdb_set_string(values, "port_id", store_string(e->row, "id"));
        ovsdb_set_string(values, "network_id", network_id);
        ovsdb_set_string(values, "ip", IP_STR(&ip));
    }
}

/* Item I with its network; false after having answered. */
static bool create_one(struct call *c, struct ovsdb_txn *txn, size_t i)
{
    static const char *const strings[] = {"network_id", "cidr", "ipv6_ra_mode", "ipv6_address_mode"};
    json_t *item = json_array_get(c->items, i);
    const char *network_id = json_string_value(json_object_get(item, "network_id"));
    const struct ovsdb_row *network = store_row(c->api->store, STORE_NETWORK_ID, network_id);
    _cleanup_(subnet_plan_done) struct subnet_plan plan = {0};
    struct subnet_error error = {0};

    if (!network) {
        call_not_found(c, "Network", network_id);
        return false;
    }
    if (subnet_plan_new(item, &plan, &error)) {
        call_error(c, error.status, error.type, "%s", error.text);
        return false;
    }
    if (plan.prefix.first.version == 6 && ovsdb_row_int(network, "mtu", 0) < MIN_IPV6_MTU) {
        call_error(c, 400, "InvalidInput",
                   "Invalid input for operation: IPv6 needs an mtu of %d or more and the network's is %lld.",
                   MIN_IPV6_MTU, (long long)ovsdb_row_int(network, "mtu", 0));
        return false;
    }
    if (overlaps(c, network_id, &plan.prefix, i)) {
        call_error(
            c, 400, "InvalidInput",
            "Invalid input for operation: Requested subnet with cidr: %s for network: %s overlaps with another subnet.",
            PREFIX_STR(&plan.prefix), network_id);
        return false;
    }
    /* The network's new revision makes one of two overlapping subnets that are made at once try again, and then fail.
     */
    if (call_choose(c, network_id)) {
        call_update_row(c, txn, "Network", network);
    }
    char name[32];
    snprintf(name, sizeof name, "subnet%zu", i);
    json_t *values = ovsdb_txn_insert(txn, "Subnet", name);
    call_set_common(c, values, item, 0);
    set_strings(values, item, strings, ARRAY_SIZE(strings));
    ovsdb_set_uuid(values, "network", ovsdb_row_uuid(network));
    ovsdb_set_int(values, "ip_version", plan.prefix.first.version);
    set_values(values, item, &plan);
    const char *mode = json_string_value(json_object_get(item, "ipv6_address_mode"));
    if (mode && subnet_is_auto(mode)) {
        wait_for_ports(c, txn, network_id);
        give_auto_addresses(c, txn, item, &plan.prefix, name);
    }
    return true;
}

static void create(struct call *c)
{
    struct ovsdb_txn *txn = store_txn(c->api->store);

    for (size_t i = 0; i < json_array_size(c->items); i++) {
        if (!create_one(c, txn, i)) {
            ovsdb_txn_destroy(txn);
            return;
        }
    }
    call_commit(c, txn);
}

static void update(struct call *c, const struct ovsdb_row *row)
{
    static const char *const names[] = {"name", "description"};
    json_t *item = json_array_get(c->items, 0), *before = show(c->api, row);
    _cleanup_(subnet_plan_done) struct subnet_plan plan = {0};
    struct subnet_error error = {0};
    int failed = subnet_plan_change(before, item, &plan, &error);

    json_decref(before);
    if (failed) {
        call_error(c, error.status, error.type, "%s", error.text);
        return;
    }
    struct ovsdb_txn *txn = store_txn(c->api->store);
    json_t *values = call_update_row(c, txn, "Subnet", row);
    set_strings(values, item, names, ARRAY_SIZE(names));
    set_values(values, item, &plan);
    call_commit(c, txn);
}

/* Has a port an address in the subnet that it did not form by itself (SLAAC)? A DHCP server does not count. */
static bool has_given_address(struct call *c, const struct ovsdb_row *subnet)
{
    bool forms = subnet_is_auto(store_string(subnet, "ipv6_address_mode"));

    STORE_FOR_EACH(e, c->api->store, STORE_ADDRESS_SUBNET, store_string(subnet, "id")) {
        const struct ovsdb_row *port = store_row(c->api->store, STORE_PORT_ID, store_string(e->row, "port_id"));
        const char *owner = port ? store_string(port, "device_owner") : "";

        if (forms ? port_is_router(owner) : !port_is_dhcp(owner)) {
            return true;
        }
    }
    return false;
}

/* Addresses that ports formed themselves, and DHCP servers', go with the subnet; others keep it. Only those that were
 * looked at are deleted: one that another controller gives out at this moment refers to the subnet, which makes the
 * database refuse.
 */
static void remove_subnet(struct call *c, const struct ovsdb_row *row)
{
    const char *id = store_string(row, "id");
    const struct ovsdb_row *network = store_row(c->api->store, STORE_NETWORK_ID, store_string(row, "network_id"));

    if (has_given_address(c, row)) {
        call_error(
            c, 409, "SubnetInUse",
            "Unable to complete operation on subnet %s: One or more ports have an IP allocation from this subnet.", id);
        return;
    }
    struct ovsdb_txn *txn = store_txn(c->api->store);
    if (network) {
        call_update_row(c, txn, "Network", network);
    }
    STORE_FOR_EACH(e, c->api->store, STORE_ADDRESS_SUBNET, id) {
        ovsdb_txn_delete(txn, "Address", ovsdb_row_uuid(e->row));
    }
    ovsdb_txn_delete(txn, "Subnet", ovsdb_row_uuid(row));
    call_commit(c, txn);
}

const struct resource resource_subnets = {
    .collection = "subnets",
    .singular = "subnet",
    .label = "Subnet",
    .by_id = STORE_SUBNET_ID,
    .table = "Subnet",
    .attributes = attributes,
    .n_attributes = ARRAY_SIZE(attributes),
    .tags = true,
    .show = show,
    .create = create,
    .update = update,
    .remove = remove_subnet,
};
