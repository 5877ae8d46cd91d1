/* SPDX-License-Identifier: Apache-2.0 */
/* /v2.0/networks */
#include <stdio.h>

#include "controller/port_addresses.h"
#include "controller/subnet_plan.h"

#define MIN_MTU 68 /* RFC 791 */

static json_t *no_physical_network(const json_t *value, struct strbuf *why)
{
    attribute_show(value, why);
    strbuf_add(why, ": tunnel networks have no physical network.");
    return NULL;
}

static const struct attribute attributes[] = {
    {"id", ATTR_UUID, 0},
    {"name", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"\""},
    {"project_id", ATTR_STRING, ATTR_POST, "\"default\"", .alias = "tenant_id"},
    {"description", ATTR_STRING, ATTR_POST | ATTR_PUT, "\"\""},
    {"admin_state_up", ATTR_BOOL, ATTR_POST | ATTR_PUT, "true"},
    {"shared", ATTR_BOOL, ATTR_POST | ATTR_PUT, "false"},
    {"router:external", ATTR_BOOL, ATTR_POST | ATTR_PUT, "false"},
    {"port_security_enabled", ATTR_BOOL, ATTR_POST | ATTR_PUT, "true"},
    {"mtu", ATTR_INT, ATTR_POST | ATTR_PUT, "0", .max = 65535},
    {"provider:network_type", ATTR_STRING, ATTR_POST | ATTR_NULL_DEF, NULL, .choices = "vxlan|gre|geneve"},
    {"provider:physical_network", ATTR_CUSTOM, ATTR_POST | ATTR_NULL_DEF, NULL, .check = no_physical_network},
    {"provider:segmentation_id", ATTR_INT, ATTR_POST | ATTR_NULL_DEF, NULL, .min = 1, .max = UINT32_MAX},
    {"status", ATTR_STRING, 0},
    {"subnets", ATTR_STRING, 0},
    {"ipv4_address_scope", ATTR_STRING, 0},
    {"ipv6_address_scope", ATTR_STRING, 0},
    {"availability_zone_hints", ATTR_STRING, 0},
    {"availability_zones", ATTR_STRING, 0},
    {"tags", ATTR_STRING, 0},
    {"created_at", ATTR_STRING, 0},
    {"updated_at", ATTR_STRING, 0},
    {"revision_number", ATTR_INT, 0},
};

static json_t *show(const struct api *api, const struct ovsdb_row *row)
{
    const char *id = store_string(row, "id");
    json_t *o = json_pack("{s:s}", "id", id), *subnets = json_array();

    show_common(o, row);
    STORE_FOR_EACH(e, api->store, STORE_SUBNET_NETWORK, id) {
        json_array_append_new(subnets, json_string(store_string(e->row, "id")));
    }
    json_object_set_new(o, "admin_state_up", json_boolean(ovsdb_row_bool(row, "admin_state_up", false)));
    json_object_set_new(o, "mtu", json_integer(ovsdb_row_int(row, "mtu", 0)));
    json_object_set_new(o, "status", json_string("ACTIVE"));
    json_object_set_new(o, "subnets", subnets);
    json_object_set_new(o, "shared", json_boolean(ovsdb_row_bool(row, "shared", false)));
    json_object_set_new(o, "router:external", json_boolean(ovsdb_row_bool(row, "router_external", false)));
    json_object_set_new(o, "port_security_enabled", json_boolean(ovsdb_row_bool(row, "port_security_enabled", false)));
    json_object_set_new(o, "provider:network_type", json_string(store_string(row, "type")));
    json_object_set_new(o, "provider:physical_network", json_null());
    json_object_set_new(o, "provider:segmentation_id", json_integer(ovsdb_row_int(row, "vni", 0)));
    json_object_set_new(o, "availability_zone_hints", json_array());
    json_object_set_new(o, "availability_zones", json_array());
    json_object_set_new(o, "ipv4_address_scope", json_null());
    json_object_set_new(o, "ipv6_address_scope", json_null());
    return o;
}

/* ---- values ---- */

static enum network_type type_of(const struct call *c, const json_t *item)
{
    const char *s = json_string_value(json_object_get(item, "provider:network_type"));

    return s ? network_type_parse(s) : c->api->options.vni_ranges.first_type;
}

/* The MTU to write for the WANTED one (0: the largest that fits); false after having answered. */
static bool network_mtu(struct call *c, enum network_type t, int64_t wanted, int64_t *ret)
{
    int64_t max = (int64_t)c->api->options.physnet_mtu - network_type_overhead(t, c->api->options.overlay_ip_version);

    if (wanted > max) {
        call_error(c, 400, "InvalidInput", "Invalid input for operation: Requested MTU is too big, maximum is %lld.",
                   (long long)max);
        return false;
    }
    if (wanted && wanted < MIN_MTU) {
        call_error(c, 400, "InvalidInput",
                   "Invalid input for operation: Requested mtu %lld is less than the minimum %d.", (long long)wanted,
                   MIN_MTU);
        return false;
    }
    *ret = wanted ? wanted : max;
    return true;
}

struct vni_search {
    struct call *call;
    const char *type;
};

static char *vni_key(const char *type, uint32_t vni)
{
    return xasprintf("%s/%u", type, vni);
}

static bool vni_taken(void *arg, ip_number_t number)
{
    struct vni_search *s = arg;
    _cleanup_free_ char *key = vni_key(s->type, (uint32_t)number);

    return store_row(s->call->api->store, STORE_NETWORK_VNI, key) || json_object_get(s->call->chosen, key);
}

static void vni_in_use(struct call *c, enum network_type t, uint32_t vni)
{
    call_error(c, 409, "TunnelIdInUse", "Unable to create the network. The tunnel ID %u of type %s is in use.", vni,
               network_type_names[t]);
}

/* The VNI that ITEM names, or a free one; false after having answered. */
static bool network_vni(struct call *c, const json_t *item, enum network_type t, uint32_t *ret)
{
    const json_t *wanted = json_object_get(item, "provider:segmentation_id");
    struct vni_search search = {c, network_type_names[t]};
    struct chooser chooser = {system_random, vni_taken,
                              ovsdb_client_n_rows(store_client(c->api->store), "Network") + json_array_size(c->items),
                              &search};
    int error = 0;

    if (!wanted) {
        error = choose_vni(&c->api->options.vni_ranges, t, &chooser, ret);
    } else if (json_integer_value(wanted) > network_type_max_vni(t)) {
        call_error(c, 400, "InvalidInput",
                   "Invalid input for operation: provider:segmentation_id %lld is out of range (1 through %u) for %s.",
                   (long long)json_integer_value(wanted), network_type_max_vni(t), network_type_names[t]);
        return false;
    } else {
        *ret = (uint32_t)json_integer_value(wanted);
        if (vni_taken(&search, *ret)) {
            vni_in_use(c, t, *ret);
            return false;
        }
    }
    if (error == -ENOENT) {
        call_error(c, 400, "InvalidInput",
                   "Invalid input for operation: no VNI range is configured for provider:network_type %s.",
                   network_type_names[t]);
    } else if (error) {
        call_error(c, 503, "NoNetworkAvailable",
                   "Unable to create the network. No %s tenant network is available for allocation.",
                   network_type_names[t]);
    }
    return !error;
}

/* ---- operations ---- */

static const char *const bools[] = {"admin_state_up", "shared", "port_security_enabled"};

static void set_external(json_t *values, const json_t *item)
{
    const json_t *external = json_object_get(item, "router:external");

    if (external) {
        ovsdb_set_bool(values, "router_external", json_is_true(external));
    }
}

static void create(struct call *c)
{
    struct ovsdb_txn *txn = store_txn(c->api->store);
    json_t *item;
    size_t i;

    json_array_foreach(c->items, i, item) {
        enum network_type t = type_of(c, item);
        int64_t mtu;
        uint32_t vni;

        if (!network_mtu(c, t, json_integer_value(json_object_get(item, "mtu")), &mtu) ||
            !network_vni(c, item, t, &vni)) {
            ovsdb_txn_destroy(txn);
            return;
        }
        _cleanup_free_ char *key = vni_key(network_type_names[t], vni);
        call_choose(c, key);
        json_t *values = ovsdb_txn_insert(txn, "Network", NULL);
        call_set_common(c, values, item, 1);
        set_bools(values, item, bools, ARRAY_SIZE(bools));
        set_external(values, item);
        ovsdb_set_string(values, "type", network_type_names[t]);
        ovsdb_set_int(values, "vni", vni);
        ovsdb_set_int(values, "mtu", mtu);
    }
    call_commit(c, txn);
}

static bool has_ipv6(struct call *c, const char *id)
{
    STORE_FOR_EACH(e, c->api->store, STORE_SUBNET_NETWORK, id) {
        if (ovsdb_row_int(e->row, "ip_version", 4) == 6) {
            return true;
        }
    }
    return false;
}

static void update(struct call *c, const struct ovsdb_row *row)
{
    static const char *const names[] = {"name", "description"};
    const json_t *item = json_array_get(c->items, 0), *mtu = json_object_get(item, "mtu");
    int64_t n = 0;

    if (mtu && !network_mtu(c, network_type_parse(store_string(row, "type")), json_integer_value(mtu), &n)) {
        return;
    }
    if (mtu && n < MIN_IPV6_MTU && has_ipv6(c, store_string(row, "id"))) {
        call_error(c, 400, "InvalidInput",
                   "Invalid input for operation: mtu %lld is less than the %d that the network's IPv6 subnet needs.",
                   (long long)n, MIN_IPV6_MTU);
        return;
    }
    struct ovsdb_txn *txn = store_txn(c->api->store);
    json_t *values = call_update_row(c, txn, "Network", row);
    set_strings(values, item, names, ARRAY_SIZE(names));
    set_bools(values, item, bools, ARRAY_SIZE(bools));
    set_external(values, item);
    if (mtu) {
        ovsdb_set_int(values, "mtu", n);
    }
    call_commit(c, txn);
}

/* True after having answered that ports keep the network. */
static bool in_use(struct call *c, const char *id)
{
    _cleanup_strbuf_ struct strbuf ports = {0};
    size_t n = 0;

    STORE_FOR_EACH(e, c->api->store, STORE_PORT_NETWORK, id) {
        if (!port_is_dhcp(store_string(e->row, "device_owner")) && n++ < 10) {
            strbuf_addf(&ports, "%s%s", n > 1 ? ", " : "", store_string(e->row, "id"));
        }
    }
    if (n) {
        call_error(c, 409, "NetworkInUse",
                   "Unable to complete operation on network %s. There are one or more ports still in use on the "
                   "network, id for these ports is: %s%s.",
                   id, strbuf_str(&ports), n > 10 ? ", …" : "");
    }
    return n;
}

/* Subnets go with their network, and so do DHCP servers' ports, as in Neutron; others keep it. */
static void remove_network(struct call *c, const struct ovsdb_row *row)
{
    const char *id = store_string(row, "id");

    if (in_use(c, id)) {
        return;
    }
    struct ovsdb_txn *txn = store_txn(c->api->store);
    STORE_FOR_EACH(e, c->api->store, STORE_PORT_NETWORK, id) {
        port_remove(txn, e->row);
    }
    ovsdb_txn_delete_where(txn, "Subnet", ovsdb_where("network_id", "==", json_string(id)));
    ovsdb_txn_delete(txn, "Network", ovsdb_row_uuid(row));
    call_commit(c, txn);
}

/* A VNI that the client named was taken by another controller in the moment before. */
static bool refused(struct call *c, const char *error)
{
    const json_t *item;
    size_t i;

    if (strcmp(c->method, "POST") != 0 || !strstr(error, "\"vni\"")) {
        return false;
    }
    json_array_foreach(c->items, i, item) {
        const json_t *wanted = json_object_get(item, "provider:segmentation_id");
        enum network_type t = type_of(c, item);
        _cleanup_free_ char *text =
            xasprintf("(%s and %lld)", network_type_names[t], (long long)json_integer_value(wanted));
        _cleanup_free_ char *quoted =
            xasprintf("(\"%s\" and %lld)", network_type_names[t], (long long)json_integer_value(wanted));

        if (wanted && (strstr(error, text) || strstr(error, quoted))) {
            vni_in_use(c, t, (uint32_t)json_integer_value(wanted));
            return true;
        }
    }
    return false;
}

const struct resource resource_networks = {
    .collection = "networks",
    .singular = "network",
    .label = "Network",
    .by_id = STORE_NETWORK_ID,
    .table = "Network",
    .attributes = attributes,
    .n_attributes = ARRAY_SIZE(attributes),
    .tags = true,
    .show = show,
    .create = create,
    .update = update,
    .remove = remove_network,
    .refused = refused,
};
