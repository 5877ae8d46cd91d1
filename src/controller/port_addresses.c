/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/port_addresses.h"

#include <stdio.h>

#include "controller/subnet_plan.h"

#define MAX_POOLS 128
#define MAX_PAIRS 64

/* ---- checks of the request ---- */

static bool only_keys(json_t *object, const char *a, const char *b)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) {
        if (strcmp(key, a) != 0 && strcmp(key, b) != 0) {
            return false;
        }
    }
    return json_is_object(object) && json_object_size(object);
}

json_t *port_fixed_ips_check(const json_t *value, struct strbuf *why)
{
    json_t *list, *item;
    size_t i;

    if (!json_is_array(value) || json_array_size(value) > MAX_FIXED_IPS / 2) {
        strbuf_addf(why, "it must be a list of at most %d addresses.", MAX_FIXED_IPS / 2);
        return NULL;
    }
    list = json_array();
    json_array_foreach(value, i, item) {
        const json_t *subnet = json_object_get(item, "subnet_id"), *address = json_object_get(item, "ip_address");
        struct uuid id;
        struct ip ip;
        bool ok = only_keys(item, "subnet_id", "ip_address");

        ok = ok && (!subnet || (json_is_string(subnet) && !uuid_parse(json_string_value(subnet), &id)));
        ok = ok && (!address || (json_is_string(address) && !ip_parse(json_string_value(address), &ip)));
        if (!ok) {
            attribute_show(item, why);
            strbuf_add(why, " is not an object of a subnet_id (a UUID), an ip_address, or both.");
            json_decref(list);
            return NULL;
        }
        json_t *checked = json_object();
        if (subnet) {
            json_object_set_new(checked, "subnet_id", json_string(UUID_STR(&id)));
        }
        if (address) {
            json_object_set_new(checked, "ip_address", json_string(IP_STR(&ip)));
        }
        json_array_append_new(list, checked);
    }
    return list;
}

json_t *port_pairs_check(const json_t *value, struct strbuf *why)
{
    json_t *list, *item;
    size_t i;

    if (!json_is_array(value) || json_array_size(value) > MAX_PAIRS) {
        strbuf_addf(why, "it must be a list of at most %d pairs.", MAX_PAIRS);
        return NULL;
    }
    list = json_array();
    json_array_foreach(value, i, item) {
        const char *address = json_string_value(json_object_get(item, "ip_address"));
        const json_t *mac_text = json_object_get(item, "mac_address");
        struct prefix prefix;
        struct ip ip;
        struct eth_addr mac;
        bool is_ip = address && !ip_parse(address, &ip),
             is_prefix = address && !is_ip && !prefix_parse(address, &prefix);

        if (!only_keys(item, "ip_address", "mac_address") || !(is_ip || is_prefix) ||
            (mac_text && (!json_is_string(mac_text) || eth_addr_parse(json_string_value(mac_text), &mac)))) {
            attribute_show(item, why);
            strbuf_add(why, " is not an object of an ip_address (or CIDR) and perhaps a mac_address.");
            json_decref(list);
            return NULL;
        }
        json_t *pair = json_pack("{s:s}", "ip_address", is_ip ? IP_STR(&ip) : PREFIX_STR(&prefix));
        if (mac_text) {
            json_object_set_new(pair, "mac_address", json_string(ETH_ADDR_STR(&mac)));
        }
        json_array_append_new(list, pair);
    }
    return list;
}

/* ---- choosing ---- */

bool port_is_router(const char *device_owner)
{
    return !strncmp(device_owner, "network:router", 14);
}

bool port_is_dhcp(const char *device_owner)
{
    return !strcmp(device_owner, "network:dhcp");
}

struct chosen_for {
    struct call *call;
    const char *network_id, *port_id;
    const struct eth_addr *mac;
    bool router;
    struct port_addresses *out;
};

struct search {
    struct call *call;
    const char *subnet_id;
    int version;
};

static char *address_key(const char *subnet_id, const struct ip *ip)
{
    return xasprintf("%s/%s", subnet_id, IP_STR(ip));
}

static bool address_taken(void *arg, ip_number_t number)
{
    struct search *s = arg;
    struct ip ip = {s->version, number};
    _cleanup_free_ char *key = address_key(s->subnet_id, &ip);

    return store_row(s->call->api->store, STORE_ADDRESS_IP, key) || json_object_get(s->call->chosen, key);
}

/* The address is this port's already. */
static bool is_own(const struct chosen_for *f, const char *subnet_id, const struct ip *ip)
{
    _cleanup_free_ char *key = address_key(subnet_id, ip);
    const struct ovsdb_row *row = store_row(f->call->api->store, STORE_ADDRESS_IP, key);

    return row && !strcmp(store_string(row, "port_id"), f->port_id);
}

static bool is_auto(const struct ovsdb_row *subnet)
{
    return subnet_is_auto(store_string(subnet, "ipv6_address_mode"));
}

static bool subnet_prefix(const struct ovsdb_row *subnet, struct prefix *ret)
{
    return !prefix_parse(store_string(subnet, "cidr"), ret);
}

static bool has_subnet(const struct port_addresses *list, const struct ovsdb_row *subnet)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->list[i].subnet == subnet) {
            return true;
        }
    }
    return false;
}

/* Takes an address; false after having answered. */
static bool take(struct chosen_for *f, const struct ovsdb_row *subnet, const struct ip *ip)
{
    const char *subnet_id = store_string(subnet, "id");
    _cleanup_free_ char *key = address_key(subnet_id, ip);
    bool free_in_db = !store_row(f->call->api->store, STORE_ADDRESS_IP, key) || is_own(f, subnet_id, ip);

    if (!free_in_db || !call_choose(f->call, key)) {
        call_error(f->call, 409, "IpAddressAlreadyAllocated", "IP address %s already allocated in subnet %s",
                   IP_STR(ip), subnet_id);
        return false;
    }
    if (f->out->n == MAX_FIXED_IPS) {
        call_error(f->call, 400, "InvalidInput", "Invalid input for operation: more than %d fixed_ips.", MAX_FIXED_IPS);
        return false;
    }
    f->out->list[f->out->n++] = (struct port_address){subnet, *ip};
    return true;
}

/* One of the port's present addresses in SUBNET that was not taken by an earlier item. */
static bool find_present(struct chosen_for *f, const struct ovsdb_row *subnet, struct ip *ret)
{
    STORE_FOR_EACH(e, f->call->api->store, STORE_ADDRESS_PORT, f->port_id) {
        if (!strcmp(store_string(e->row, "subnet_id"), store_string(subnet, "id")) &&
            !ip_parse(store_string(e->row, "ip"), ret)) {
            _cleanup_free_ char *key = address_key(store_string(subnet, "id"), ret);

            if (!json_object_get(f->call->chosen, key)) {
                return true;
            }
        }
    }
    return false;
}

/* 0 with a free address of the subnet's pools, or -ENOSPC. */
static int choose_in(struct chosen_for *f, const struct ovsdb_row *subnet, struct ip *ret)
{
    struct search search = {f->call, store_string(subnet, "id"), (int)ovsdb_row_int(subnet, "ip_version", 4)};
    struct chooser chooser = {system_random, address_taken,
                              store_count(f->call->api->store, STORE_ADDRESS_SUBNET, search.subnet_id) +
                                  json_object_size(f->call->chosen),
                              &search};
    struct ip_range pools[MAX_POOLS];
    struct prefix prefix;
    size_t n = 0;

    if ((!is_auto(subnet) || f->router) && find_present(f, subnet, ret)) {
        return 0;
    }
    if (is_auto(subnet) && subnet_prefix(subnet, &prefix)) {
        *ret = prefix_eui64(&prefix, f->mac);
        return 0;
    }
    for (size_t i = 0; i < ovsdb_row_size(subnet, "allocation_pools") && n < MAX_POOLS; i++) {
        n += !ip_range_parse(ovsdb_row_set_string(subnet, "allocation_pools", i), &pools[n]);
    }
    return choose_ip(pools, n, &chooser, ret);
}

static void no_address(struct call *c, const char *network_id)
{
    call_error(c, 409, "IpAddressGenerationFailure", "No more IP addresses available on network %s.", network_id);
}

/* The subnet of the network that holds IP. */
static const struct ovsdb_row *subnet_of(struct chosen_for *f, const struct ip *ip)
{
    struct prefix prefix;

    STORE_FOR_EACH(e, f->call->api->store, STORE_SUBNET_NETWORK, f->network_id) {
        if (subnet_prefix(e->row, &prefix) && prefix_contains(&prefix, ip)) {
            return e->row;
        }
    }
    return NULL;
}

static bool check_explicit(struct chosen_for *f, const struct ovsdb_row *subnet, const struct ip *ip)
{
    struct prefix prefix;

    if (!subnet_prefix(subnet, &prefix) || !prefix_contains(&prefix, ip) || prefix_is_reserved(&prefix, ip)) {
        call_error(f->call, 400, "InvalidIpForSubnet", "IP address %s is not a valid IP for the specified subnet.",
                   IP_STR(ip));
        return false;
    }
    struct ip own = prefix_eui64(&prefix, f->mac);
    if (is_auto(subnet) && !f->router && !ip_equal(&own, ip)) {
        call_error(f->call, 400, "AllocationOnAutoAddressSubnet",
                   "IPv6 address %s cannot be directly assigned to a port on subnet %s as the subnet is configured for "
                   "automatic addresses",
                   IP_STR(ip), store_string(subnet, "id"));
        return false;
    }
    return true;
}

/* One item of fixed_ips. */
static bool choose_item(struct chosen_for *f, const json_t *item)
{
    const char *subnet_id = json_string_value(json_object_get(item, "subnet_id"));
    const char *address = json_string_value(json_object_get(item, "ip_address"));
    const struct ovsdb_row *subnet = subnet_id ? store_row(f->call->api->store, STORE_SUBNET_ID, subnet_id) : NULL;
    struct ip ip;

    if (subnet_id && !subnet) {
        call_not_found(f->call, "Subnet", subnet_id);
        return false;
    }
    if (subnet && strcmp(store_string(subnet, "network_id"), f->network_id) != 0) {
        call_error(f->call, 400, "InvalidInput",
                   "Invalid input for operation: Failed to create port on network %s, because fixed_ips included "
                   "invalid subnet %s.",
                   f->network_id, subnet_id);
        return false;
    }
    if (!address) {
        if (choose_in(f, subnet, &ip)) {
            no_address(f->call, f->network_id);
            return false;
        }
        return take(f, subnet, &ip);
    }
    ip_parse(address, &ip);
    subnet = subnet ? subnet : subnet_of(f, &ip);
    if (!subnet) {
        call_error(f->call, 400, "InvalidIpForNetwork",
                   "IP address %s is not a valid IP for any of the subnets on the specified network.", address);
        return false;
    }
    return check_explicit(f, subnet, &ip) && take(f, subnet, &ip);
}

/* One address of VERSION from whichever subnet has room; none if the network has no such subnet. */
static bool choose_version(struct chosen_for *f, int version)
{
    bool any = false;
    struct ip ip;

    STORE_FOR_EACH(e, f->call->api->store, STORE_SUBNET_NETWORK, f->network_id) {
        if (ovsdb_row_int(e->row, "ip_version", 4) != version || is_auto(e->row)) {
            continue;
        }
        any = true;
        if (!choose_in(f, e->row, &ip)) {
            return take(f, e->row, &ip);
        }
    }
    if (any) {
        no_address(f->call, f->network_id);
    }
    return !any;
}

/* An address in every SLAAC subnet that has none yet. */
static bool choose_auto(struct chosen_for *f)
{
    struct prefix prefix;

    if (f->router) {
        return true;
    }
    STORE_FOR_EACH(e, f->call->api->store, STORE_SUBNET_NETWORK, f->network_id) {
        if (is_auto(e->row) && !has_subnet(f->out, e->row) && subnet_prefix(e->row, &prefix)) {
            struct ip ip = prefix_eui64(&prefix, f->mac);

            if (!take(f, e->row, &ip)) {
                return false;
            }
        }
    }
    return true;
}

bool port_addresses_choose(struct call *c, const struct port_asking *port, const json_t *fixed_ips,
                           struct port_addresses *ret)
{
    struct chosen_for f = {c, port->network_id, port->id, port->mac, port_is_router(port->device_owner), ret};
    const json_t *item;
    size_t i;

    ret->n = 0;
    if (!fixed_ips) {
        return choose_version(&f, 4) && choose_version(&f, 6) && choose_auto(&f);
    }
    /* Addresses that are named first: a random one must not take them. */
    for (int named = 1; named >= 0; named--) {
        json_array_foreach(fixed_ips, i, item) {
            if (!json_object_get(item, "ip_address") == !named && !choose_item(&f, item)) {
                return false;
            }
        }
    }
    return !json_array_size(fixed_ips) || choose_auto(&f);
}

json_t *port_addresses_present(struct call *c, const struct port_asking *port)
{
    json_t *list = json_array();

    STORE_FOR_EACH(e, c->api->store, STORE_ADDRESS_PORT, port->id) {
        const struct ovsdb_row *subnet = store_row(c->api->store, STORE_SUBNET_ID, store_string(e->row, "subnet_id"));
        json_t *item = json_pack("{s:s}", "subnet_id", store_string(e->row, "subnet_id"));

        if (!subnet || !is_auto(subnet) || port_is_router(port->device_owner)) {
            json_object_set_new(item, "ip_address", json_string(store_string(e->row, "ip")));
        }
        json_array_append_new(list, item);
    }
    return list;
}

void port_addresses_write(struct call *c, struct ovsdb_txn *txn, const struct port_addresses *wanted,
                          const char *network_id, const char *port_id, json_t *port)
{
    bool present[MAX_FIXED_IPS] = {false};

    STORE_FOR_EACH(e, c->api->store, STORE_ADDRESS_PORT, port_id) {
        bool keep = false;

        for (size_t i = 0; i < wanted->n; i++) {
            if (!strcmp(store_string(e->row, "subnet_id"), store_string(wanted->list[i].subnet, "id")) &&
                !strcmp(store_string(e->row, "ip"), IP_STR(&wanted->list[i].ip))) {
                keep = present[i] = true;
            }
        }
        if (!keep) {
            ovsdb_txn_delete(txn, "Address", ovsdb_row_uuid(e->row));
        }
    }
    for (size_t i = 0; i < wanted->n; i++) {
        if (!present[i]) {
            json_t *values = ovsdb_txn_insert(txn, "Address", NULL);

            ovsdb_set_uuid(values, "subnet", ovsdb_row_uuid(wanted->list[i].subnet));
            ovsdb_set_string(values, "subnet_id", store_string(wanted->list[i].subnet, "id"));
            ovsdb_set(values, "port", json_incref(port));
            ovsdb_set_string(values, "port_id", port_id);
            ovsdb_set_string(values, "network_id", network_id);
            ovsdb_set_string(values, "ip", IP_STR(&wanted->list[i].ip));
        }
    }
    json_decref(port);
}
