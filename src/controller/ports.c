/* SPDX-License-Identifier: Apache-2.0 */
/* /v2.0/ports */
#include <stdio.h>

#include "controller/port_addresses.h"

static const struct attribute attributes[] = {
    {"id", ATTR_UUID, 0},
    {"name", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"\""},
    {"project_id", ATTR_STRING, ATTR_POST, "\"default\"", .alias = "tenant_id"},
    {"description", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"\""},
    {"network_id", ATTR_UUID, ATTR_POST | ATTR_REQUIRED},
    {"admin_state_up", ATTR_BOOL, ATTR_POST | ATTR_PUT, "true"},
    {"mac_address", ATTR_MAC, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF},
    {"fixed_ips", ATTR_CUSTOM, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF, NULL, .check = port_fixed_ips_check},
    {"device_id", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"\""},
    {"device_owner", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"\""},
    {"port_security_enabled", ATTR_BOOL, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF},
    {"security_groups", ATTR_CUSTOM, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF, "[]", .check = attribute_uuids},
    {"allowed_address_pairs", ATTR_CUSTOM, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF, "[]", .check = port_pairs_check},
    {"binding:host_id", ATTR_STRING, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF, "\"\""},
    {"binding:vnic_type", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"normal\"", .choices = "normal"},
    {"binding:profile", ATTR_OBJECT, ATTR_POST | ATTR_PUT | ATTR_NULL_DEF, "{}"},
    {"binding:vif_type", ATTR_STRING, 0},
    {"binding:vif_details", ATTR_OBJECT, 0},
    {"status", ATTR_STRING, 0},
    {"extra_dhcp_opts", ATTR_OBJECT, 0},
    {"tags", ATTR_STRING, 0},
    {"created_at", ATTR_STRING, 0},
    {"updated_at", ATTR_STRING, 0},
    {"revision_number", ATTR_INT, 0},
};

/* ---- showing ---- */

/* Wired, by the word of the agent of the host that the port is bound to now. */
static bool is_up(const struct api *api, const struct ovsdb_row *row)
{
    const char *host = store_string(row, "host");

    STORE_FOR_EACH(e, api->store, STORE_STATUS_PORT, store_string(row, "id")) {
        if (*host && !strcmp(store_string(e->row, "host"), host)) {
            return ovsdb_row_bool(e->row, "up", false);
        }
    }
    return false;
}

static int compare_ips(const void *a, const void *b)
{
    const struct ovsdb_row *x = *(const struct ovsdb_row *const *)a, *y = *(const struct ovsdb_row *const *)b;
    int difference = strcmp(store_string(x, "subnet_id"), store_string(y, "subnet_id"));

    return difference ? difference : strcmp(store_string(x, "ip"), store_string(y, "ip"));
}

static json_t *show_fixed_ips(const struct api *api, const char *port_id)
{
    const struct ovsdb_row *rows[MAX_FIXED_IPS];
    json_t *list = json_array();
    size_t n = 0;

    STORE_FOR_EACH(e, api->store, STORE_ADDRESS_PORT, port_id) {
        if (n < ARRAY_SIZE(rows)) {
            rows[n++] = e->row;
        }
    }
    qsort(rows, n, sizeof rows[0], compare_ips);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s}", "subnet_id", store_string(rows[i], "subnet_id"),
                                              "ip_address", store_string(rows[i], "ip")));
    }
    return list;
}

static json_t *show_pairs(const struct ovsdb_row *row)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ovsdb_row_size(row, "allowed_address_pairs"); i++) {
        const char *text = ovsdb_row_set_string(row, "allowed_address_pairs", i), *comma = strchr(text, ',');

        if (comma) {
            json_array_append_new(
                list, json_pack("{s:s, s:s%}", "ip_address", comma + 1, "mac_address", text, (size_t)(comma - text)));
        }
    }
    return list;
}

static json_t *show_vif_details(bool bound, bool up)
{
    if (!bound) {
        return json_object();
    }
    json_t *o = json_pack("{s:s, s:b, s:b, s:s, s:s}", "connectivity", "l2", "port_filter", 0, "ovs_hybrid_plug", 0,
                          "datapath_type", "system", "bridge_name", "br-int");
    if (up) {
        json_object_set_new(o, "bound_drivers", json_pack("{s:s}", "0", "openvswitch"));
    }
    return o;
}

static json_t *show(const struct api *api, const struct ovsdb_row *row)
{
    const char *id = store_string(row, "id");
    json_t *o = json_pack("{s:s}", "id", id), *profile = json_loads(store_string(row, "binding_profile"), 0, NULL);
    bool bound = *store_string(row, "host"), up = is_up(api, row);

    show_common(o, row);
    json_object_set_new(o, "network_id", json_string(store_string(row, "network_id")));
    json_object_set_new(o, "mac_address", json_string(store_string(row, "mac")));
    json_object_set_new(o, "admin_state_up", json_boolean(ovsdb_row_bool(row, "admin_state_up", false)));
    json_object_set_new(o, "status", json_string(up ? "ACTIVE" : "DOWN"));
    json_object_set_new(o, "device_id", json_string(store_string(row, "device_id")));
    json_object_set_new(o, "device_owner", json_string(store_string(row, "device_owner")));
    json_object_set_new(o, "fixed_ips", show_fixed_ips(api, id));
    json_object_set_new(o, "port_security_enabled", json_boolean(ovsdb_row_bool(row, "port_security_enabled", false)));
    json_object_set_new(o, "security_groups", show_set(row, "security_groups"));
    json_object_set_new(o, "allowed_address_pairs", show_pairs(row));
    json_object_set_new(o, "extra_dhcp_opts", json_array());
    json_object_set_new(o, "binding:vnic_type", json_string(store_string(row, "vnic_type")));
    json_object_set_new(o, "binding:profile", profile ? profile : json_object());
    json_object_set_new(o, "binding:host_id", json_string(store_string(row, "host")));
    json_object_set_new(o, "binding:vif_type", json_string(bound ? "ovs" : "unbound"));
    json_object_set_new(o, "binding:vif_details", show_vif_details(bound, up));
    return o;
}

/* ---- values ---- */

static void mac_in_use(struct call *c, const char *network_id, const char *mac)
{
    call_error(c, 409, "MacAddressInUse", "Unable to complete operation for network %s. The mac address %s is in use.",
               network_id, mac);
}

/* The MAC that ITEM names, or a random one; false after having answered. PORT_ID: whose it may be already. */
static bool port_mac(struct call *c, const char *network_id, const char *port_id, const json_t *item,
                     struct eth_addr *ret)
{
    const char *wanted = json_string_value(json_object_get(item, "mac_address"));
    struct chooser chooser = {system_random, NULL, 0, NULL};

    for (int tries = 0; tries < 100; tries++) {
        char text[ETH_ADDR_STR_LEN + 1];

        if (wanted) {
            eth_addr_parse(wanted, ret);
        } else {
            choose_mac(&chooser, ret);
        }
        _cleanup_free_ char *key = xasprintf("%s/%s", network_id, eth_addr_format(ret, text));
        const struct ovsdb_row *other = store_row(c->api->store, STORE_PORT_MAC, key);
        if ((!other || !strcmp(store_string(other, "id"), port_id)) && call_choose(c, key)) {
            return true;
        }
        if (wanted) {
            break;
        }
    }
    if (wanted) {
        mac_in_use(c, network_id, wanted);
    } else {
        call_error(c, 503, "MacAddressGenerationFailure", "Unable to generate unique mac on network %s.", network_id);
    }
    return false;
}

/* Security groups come with a later version: none can be named yet. False after having answered. */
static bool check_security_groups(struct call *c, const json_t *item)
{
    const json_t *first = json_array_get(json_object_get(item, "security_groups"), 0);

    if (first) {
        call_error(c, 404, "SecurityGroupNotFound", "Security group %s does not exist", json_string_value(first));
    }
    return !first;
}

static void set_pairs(json_t *values, const json_t *pairs, const char *port_mac_text)
{
    json_t *set = ovsdb_set_new(), *pair;
    size_t i;

    json_array_foreach(pairs, i, pair) {
        const char *mac = json_string_value(json_object_get(pair, "mac_address"));

        ovsdb_set_add(set, json_sprintf("%s,%s", mac ? mac : port_mac_text,
                                        json_string_value(json_object_get(pair, "ip_address"))));
    }
    ovsdb_set(values, "allowed_address_pairs", set);
}

/* No pair twice, and one without a MAC has the port's, MAC. False after having answered. */
static bool check_pairs(struct call *c, const json_t *item, const struct eth_addr *mac)
{
    const json_t *pairs = json_object_get(item, "allowed_address_pairs"), *pair;
    json_t *seen = json_object();
    char own[ETH_ADDR_STR_LEN + 1];
    size_t i;

    json_array_foreach(pairs, i, pair) {
        const char *named = json_string_value(json_object_get(pair, "mac_address"));
        const char *with = named ? named : eth_addr_format(mac, own);
        const char *ip = json_string_value(json_object_get(pair, "ip_address"));
        _cleanup_free_ char *key = xasprintf("%s,%s", with, ip);

        if (json_object_get(seen, key)) {
            call_error(c, 400, "DuplicateAddressPairInRequest",
                       "Request contains duplicate address pair: mac_address %s ip_address %s.", with, ip);
            json_decref(seen);
            return false;
        }
        json_object_set_new(seen, key, json_true());
    }
    json_decref(seen);
    return true;
}

/* What creation and change have in common. MAC: the port's from now on. */
static void set_values(json_t *values, const json_t *item, const char *mac)
{
    static const char *const strings[] = {"device_id", "device_owner"};
    static const char *const bools[] = {"admin_state_up", "port_security_enabled"};
    const char *host = json_string_value(json_object_get(item, "binding:host_id"));
    const char *vnic_type = json_string_value(json_object_get(item, "binding:vnic_type"));
    const json_t *profile = json_object_get(item, "binding:profile"),
                 *pairs = json_object_get(item, "allowed_address_pairs");

    set_strings(values, item, strings, ARRAY_SIZE(strings));
    set_bools(values, item, bools, ARRAY_SIZE(bools));
    set_list(values, "security_groups", json_object_get(item, "security_groups"));
    if (host) {
        ovsdb_set_string(values, "host", host);
    }
    if (vnic_type) {
        ovsdb_set_string(values, "vnic_type", vnic_type);
    }
    if (profile) {
        _cleanup_free_ char *text = json_dumps(profile, JSON_COMPACT);

        ovsdb_set_string(values, "binding_profile", text);
    }
    if (pairs) {
        set_pairs(values, pairs, mac);
    }
}

/* ---- operations ---- */

/* Addresses were chosen in the subnets that the replica shows: if there is a new one, which gives the network a new
 * revision, the attempt is made again. A subnet's creation looks after the ports in the same way. */
static void wait_for_subnets(struct call *c, struct ovsdb_txn *txn, const struct ovsdb_row *network)
{
    _cleanup_free_ char *key = xasprintf("subnets of %s", store_string(network, "id"));

    if (call_choose(c, key)) {
        ovsdb_set_int(ovsdb_txn_wait(txn, "Network", ovsdb_where_uuid(ovsdb_row_uuid(network)), "=="), "revision",
                      ovsdb_row_int(network, "revision", 0));
    }
}

static bool create_one(struct call *c, struct ovsdb_txn *txn, size_t i)
{
    const json_t *item = json_array_get(c->items, i);
    const char *id = json_string_value(json_object_get(item, "id"));
    const char *network_id = json_string_value(json_object_get(item, "network_id"));
    const struct ovsdb_row *network = store_row(c->api->store, STORE_NETWORK_ID, network_id);
    struct port_addresses addresses;
    char name[32], mac_text[ETH_ADDR_STR_LEN + 1];
    struct eth_addr mac;

    if (!network) {
        call_not_found(c, "Network", network_id);
        return false;
    }
    struct port_asking asking = {network_id, id, json_string_value(json_object_get(item, "device_owner")), &mac};
    if (!check_security_groups(c, item) || !port_mac(c, network_id, id, item, &mac) || !check_pairs(c, item, &mac) ||
        !port_addresses_choose(c, &asking, json_object_get(item, "fixed_ips"), &addresses)) {
        return false;
    }
    wait_for_subnets(c, txn, network);
    snprintf(name, sizeof name, "port%zu", i);
    eth_addr_format(&mac, mac_text);
    json_t *values = ovsdb_txn_insert(txn, "Port", name);
    call_set_common(c, values, item, 1);
    set_values(values, item, mac_text);
    if (!json_object_get(item, "port_security_enabled")) {
        ovsdb_set_bool(values, "port_security_enabled", ovsdb_row_bool(network, "port_security_enabled", true));
    }
    ovsdb_set_uuid(values, "network", ovsdb_row_uuid(network));
    ovsdb_set_string(values, "network_id", network_id);
    ovsdb_set_string(values, "mac", mac_text);
    port_addresses_write(c, txn, &addresses, network_id, id, ovsdb_named_uuid(name));
    return true;
}

static bool names_address(const json_t *item)
{
    const json_t *fixed;
    size_t i;

    json_array_foreach(json_object_get(item, "fixed_ips"), i, fixed) {
        if (json_object_get(fixed, "ip_address")) {
            return true;
        }
    }
    return false;
}

static void create(struct call *c)
{
    struct ovsdb_txn *txn = store_txn(c->api->store);

    /* Ports of a bulk that name addresses first, so that no other one is given them. */
    for (int named = 1; named >= 0; named--) {
        for (size_t i = 0; i < json_array_size(c->items); i++) {
            if (names_address(json_array_get(c->items, i)) == named && !create_one(c, txn, i)) {
                ovsdb_txn_destroy(txn);
                return;
            }
        }
    }
    call_commit(c, txn);
}

/* The port's MAC after the change; false after having answered. */
static bool mac_after(struct call *c, const struct ovsdb_row *row, const json_t *item, struct eth_addr *ret)
{
    if (json_object_get(item, "mac_address")) {
        return port_mac(c, store_string(row, "network_id"), store_string(row, "id"), item, ret);
    }
    if (eth_addr_parse(store_string(row, "mac"), ret)) {
        call_error(c, 500, "DatabaseError", "The port's MAC in the database is damaged");
        return false;
    }
    return true;
}

/* What an agent of the host that the port comes to says of it already is of the last time that it was there. */
static void forget_status(const struct ovsdb_row *row, const json_t *item, struct ovsdb_txn *txn)
{
    const char *host = json_string_value(json_object_get(item, "binding:host_id"));

    if (host && strcmp(host, store_string(row, "host")) != 0) {
        json_t *where = ovsdb_where("port_id", "==", json_string(store_string(row, "id")));

        ovsdb_txn_delete_where(txn, "Port_Status", ovsdb_where_and(where, "host", "==", json_string(host)));
    }
}

static void update(struct call *c, const struct ovsdb_row *row)
{
    static const char *const names[] = {"name", "description"};
    const json_t *item = json_array_get(c->items, 0);
    const char *id = store_string(row, "id"), *network_id = store_string(row, "network_id");
    const char *owner = json_string_value(json_object_get(item, "device_owner"));
    json_t *fixed_ips = json_incref(json_object_get(item, "fixed_ips"));
    struct port_addresses addresses;
    char mac_text[ETH_ADDR_STR_LEN + 1];
    struct eth_addr mac;

    if (!check_security_groups(c, item) || !mac_after(c, row, item, &mac) || !check_pairs(c, item, &mac)) {
        json_decref(fixed_ips);
        return;
    }
    struct port_asking asking = {network_id, id, owner ? owner : store_string(row, "device_owner"), &mac};
    if (!fixed_ips && json_object_get(item, "mac_address")) {
        fixed_ips = port_addresses_present(c, &asking); /* those that are formed from the MAC follow it */
    }
    if (fixed_ips && !port_addresses_choose(c, &asking, fixed_ips, &addresses)) {
        json_decref(fixed_ips);
        return;
    }
    struct ovsdb_txn *txn = store_txn(c->api->store);
    json_t *values = call_update_row(c, txn, "Port", row);
    set_strings(values, item, names, ARRAY_SIZE(names));
    set_values(values, item, eth_addr_format(&mac, mac_text));
    ovsdb_set_string(values, "mac", mac_text);
    forget_status(row, item, txn);
    if (fixed_ips) {
        const struct ovsdb_row *network = store_row(c->api->store, STORE_NETWORK_ID, network_id);

        if (network) {
            wait_for_subnets(c, txn, network);
        }
        port_addresses_write(c, txn, &addresses, network_id, id, ovsdb_uuid(ovsdb_row_uuid(row)));
    }
    json_decref(fixed_ips);
    call_commit(c, txn);
}

/* The agent's word about the port goes with it: its host may be gone for good. */
void port_remove(struct ovsdb_txn *txn, const struct ovsdb_row *row)
{
    const char *id = store_string(row, "id");

    ovsdb_txn_delete_where(txn, "Address", ovsdb_where("port_id", "==", json_string(id)));
    ovsdb_txn_delete_where(txn, "Port_Status", ovsdb_where("port_id", "==", json_string(id)));
    ovsdb_txn_delete(txn, "Port", ovsdb_row_uuid(row));
}

static void remove_port(struct call *c, const struct ovsdb_row *row)
{
    struct ovsdb_txn *txn = store_txn(c->api->store);

    port_remove(txn, row);
    call_commit(c, txn);
}

/* Does the database's ERROR name the value TEXT? It quotes MACs and addresses, and 10.0.0.2 is not in "10.0.0.20". */
static bool names_value(const char *error, const char *text)
{
    _cleanup_free_ char *quoted = text ? xasprintf("\"%s\"", text) : NULL;

    return text && strstr(error, quoted);
}

/* A MAC or address that the client named was taken by another controller in the moment before. */
static bool refused(struct call *c, const char *error)
{
    const json_t *item, *fixed;
    size_t i, j;

    json_array_foreach(c->items, i, item) {
        const char *mac = json_string_value(json_object_get(item, "mac_address"));

        if (strstr(error, "\"mac\"") && names_value(error, mac)) {
            const char *network_id = json_string_value(json_object_get(item, "network_id"));

            mac_in_use(c, network_id ? network_id : "of the port", mac);
            return true;
        }
        json_array_foreach(json_object_get(item, "fixed_ips"), j, fixed) {
            const char *ip = json_string_value(json_object_get(fixed, "ip_address"));

            if (strstr(error, "\"ip\"") && names_value(error, ip)) {
                call_error(c, 409, "IpAddressAlreadyAllocated", "IP address %s already allocated", ip);
                return true;
            }
        }
    }
    return false;
}

const struct resource resource_ports = {
    .collection = "ports",
    .singular = "port",
    .label = "Port",
    .by_id = STORE_PORT_ID,
    .table = "Port",
    .attributes = attributes,
    .n_attributes = ARRAY_SIZE(attributes),
    .tags = true,
    .show = show,
    .create = create,
    .update = update,
    .remove = remove_port,
    .refused = refused,
};
