/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/subnet_plan.h"

#include <stdarg.h>
#include <stdio.h>

#include "controller/attributes.h"

#define MAX_ROUTES 100
#define MAX_POOLS 100

static int WR_PRINTF(4, 5) fail(struct subnet_error *e, int status, const char *type, const char *fmt, ...)
{
    va_list args;

    e->status = status;
    e->type = type;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, args);
    va_end(args);
    return -EINVAL;
}

static int bad_input(struct subnet_error *e, const char *text)
{
    return fail(e, 400, "InvalidInput", "Invalid input for operation: %s", text);
}

bool subnet_is_auto(const char *address_mode)
{
    return !strcmp(address_mode, "slaac") || !strcmp(address_mode, "dhcpv6-stateless");
}

/* ---- lists ---- */

json_t *subnet_pools_check(const json_t *value, struct strbuf *why)
{
    json_t *list, *pool;
    size_t i;

    if (!json_is_array(value) || json_array_size(value) > MAX_POOLS) {
        strbuf_addf(why, "it must be a list of at most %d pools.", MAX_POOLS);
        return NULL;
    }
    list = json_array();
    json_array_foreach(value, i, pool) {
        const char *start = json_string_value(json_object_get(pool, "start")),
                   *end = json_string_value(json_object_get(pool, "end"));
        struct ip_range r;

        if (!start || !end || json_object_size(pool) != 2 || ip_parse(start, &r.first) || ip_parse(end, &r.last) ||
            r.first.version != r.last.version || r.first.n > r.last.n) {
            attribute_show(pool, why);
            strbuf_add(why, " is not a pool with a start and an end that follows it.");
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, json_sprintf("%s-%s", IP_STR(&r.first), IP_STR(&r.last)));
    }
    return list;
}

json_t *subnet_routes_check(const json_t *value, struct strbuf *why)
{
    json_t *routes, *route;
    size_t i;

    if (!json_is_array(value) || json_array_size(value) > MAX_ROUTES) {
        strbuf_addf(why, "it must be a list of at most %d routes.", MAX_ROUTES);
        return NULL;
    }
    routes = json_object();
    json_array_foreach(value, i, route) {
        const char *to = json_string_value(json_object_get(route, "destination"));
        const char *via = json_string_value(json_object_get(route, "nexthop"));
        struct prefix prefix;
        struct ip ip;

        if (!to || !via || json_object_size(route) != 2 || prefix_parse(to, &prefix) || ip_parse(via, &ip) ||
            ip.version != prefix.first.version || json_object_get(routes, PREFIX_STR(&prefix))) {
            attribute_show(route, why);
            strbuf_add(why, " is not a route with a destination of its own and a nexthop of the same IP version.");
            json_decref(routes);
            return NULL;
        }
        json_object_set_new(routes, PREFIX_STR(&prefix), json_string(IP_STR(&ip)));
    }
    return routes;
}

/* ---- checks ---- */

static int check_modes(const json_t *item, const struct prefix *p, struct subnet_error *e)
{
    const char *ra = json_string_value(json_object_get(item, "ipv6_ra_mode"));
    const char *address = json_string_value(json_object_get(item, "ipv6_address_mode"));

    if (!ra && !address) {
        return 0;
    }
    if (p->first.version == 4) {
        return bad_input(e, "ipv6_ra_mode and ipv6_address_mode must not be set when ip_version is 4");
    }
    if (!json_is_true(json_object_get(item, "enable_dhcp"))) {
        return bad_input(e, "ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False");
    }
    if (ra && address && strcmp(ra, address) != 0) {
        return fail(e, 400, "InvalidInput",
                    "Invalid input for operation: ipv6_ra_mode set to '%s' with ipv6_address_mode set to '%s' is not "
                    "valid. If both "
                    "attributes are set, they must be the same value",
                    ra, address);
    }
    if (p->len != 64 && ((ra && subnet_is_auto(ra)) || (address && subnet_is_auto(address)))) {
        return fail(e, 400, "InvalidInput",
                    "Invalid input for operation: Invalid CIDR %s for IPv6 address mode. Addresses that are formed "
                    "from MACs (EUI-64) "
                    "require the prefix to be /64.",
                    PREFIX_STR(p));
    }
    return 0;
}

static int check_gateway(const struct subnet_plan *plan, struct subnet_error *e)
{
    const struct ip *g = &plan->gateway;

    if (!plan->has_gateway) {
        return 0;
    }
    if (g->version != plan->prefix.first.version) {
        return fail(e, 400, "InvalidInput",
                    "Invalid input for operation: gateway_ip '%s' does not match the ip_version '%d'", IP_STR(g),
                    plan->prefix.first.version);
    }
    /* The first address of an IPv6 subnet is the routers' anycast address, a good gateway. */
    if (g->version == 4 && prefix_is_reserved(&plan->prefix, g)) {
        return bad_input(e, "Gateway is not valid on subnet: gateway_ip is its network or broadcast address.");
    }
    for (size_t i = 0; i < plan->n_pools; i++) {
        if (g->n >= plan->pools[i].first.n && g->n <= plan->pools[i].last.n) {
            return fail(e, 409, "GatewayConflictWithAllocationPools",
                        "Gateway ip %s conflicts with allocation pool %s-%s.", IP_STR(g), IP_STR(&plan->pools[i].first),
                        IP_STR(&plan->pools[i].last));
        }
    }
    return 0;
}

static int check_pools(const struct subnet_plan *plan, struct subnet_error *e)
{
    for (size_t i = 0; i < plan->n_pools; i++) {
        const struct ip_range *r = &plan->pools[i];

        if (!prefix_contains(&plan->prefix, &r->first) || !prefix_contains(&plan->prefix, &r->last) ||
            prefix_is_reserved(&plan->prefix, &r->first) || prefix_is_reserved(&plan->prefix, &r->last)) {
            return fail(e, 400, "OutOfBoundsAllocationPool",
                        "The allocation pool %s-%s spans beyond the subnet cidr %s.", IP_STR(&r->first),
                        IP_STR(&r->last), PREFIX_STR(&plan->prefix));
        }
        for (size_t j = 0; j < i; j++) {
            if (r->first.n <= plan->pools[j].last.n && r->last.n >= plan->pools[j].first.n) {
                return fail(e, 409, "OverlappingAllocationPools",
                            "Found overlapping allocation pools: %s-%s %s-%s for subnet %s.",
                            IP_STR(&plan->pools[j].first), IP_STR(&plan->pools[j].last), IP_STR(&r->first),
                            IP_STR(&r->last), PREFIX_STR(&plan->prefix));
            }
        }
    }
    return 0;
}

/* ["START-END"], checked already. */
static void take_pools(struct subnet_plan *plan, const json_t *pools)
{
    const json_t *pool;
    size_t i;

    plan->pools = xcalloc(json_array_size(pools) + 2, sizeof *plan->pools);
    json_array_foreach(pools, i, pool) {
        if (!ip_range_parse(json_string_value(pool), &plan->pools[plan->n_pools])) {
            plan->n_pools++;
        }
    }
}

static int check_all(struct subnet_plan *plan, struct subnet_plan *ret, struct subnet_error *e)
{
    int error = check_pools(plan, e);

    error = error ? error : check_gateway(plan, e);
    if (error) {
        subnet_plan_done(plan);
        return error;
    }
    *ret = *plan;
    return 0;
}

int subnet_plan_new(const json_t *item, struct subnet_plan *ret, struct subnet_error *ret_error)
{
    const char *cidr = json_string_value(json_object_get(item, "cidr"));
    const json_t *gateway = json_object_get(item, "gateway_ip"), *pools = json_object_get(item, "allocation_pools");
    int64_t version = json_integer_value(json_object_get(item, "ip_version"));
    struct subnet_plan plan = {0};

    if (prefix_parse(cidr, &plan.prefix)) {
        return fail(ret_error, 400, "InvalidInput", "Invalid input for operation: %s is not in a CIDR format.", cidr);
    }
    if (version != plan.prefix.first.version) {
        return fail(ret_error, 400, "InvalidInput",
                    "Invalid input for operation: cidr '%s' does not match the ip_version '%lld'", cidr,
                    (long long)version);
    }
    if (!plan.prefix.len) {
        return bad_input(ret_error, "0 is not permitted as the prefix length of a cidr.");
    }
    if (check_modes(item, &plan.prefix, ret_error)) {
        return -EINVAL;
    }
    if (!gateway) {
        plan.gateway = (struct ip){plan.prefix.first.version, plan.prefix.first.n + (version == 4)};
        plan.has_gateway = prefix_contains(&plan.prefix, &plan.gateway);
    } else if (json_is_string(gateway)) {
        plan.has_gateway = !ip_parse(json_string_value(gateway), &plan.gateway);
    }
    take_pools(&plan, pools);
    if (!pools) {
        plan.n_pools = default_pools(&plan.prefix, plan.has_gateway ? &plan.gateway : NULL, plan.pools);
    }
    return check_all(&plan, ret, ret_error);
}

int subnet_plan_change(const json_t *before, const json_t *item, struct subnet_plan *ret,
                       struct subnet_error *ret_error)
{
    const json_t *gateway = json_object_get(item, "gateway_ip"), *pools = json_object_get(item, "allocation_pools");
    struct subnet_plan plan = {0};

    if (prefix_parse(json_string_value(json_object_get(before, "cidr")), &plan.prefix)) {
        return bad_input(ret_error, "the subnet's cidr in the database is damaged");
    }
    gateway = gateway ? gateway : json_object_get(before, "gateway_ip");
    plan.has_gateway = json_is_string(gateway) && !ip_parse(json_string_value(gateway), &plan.gateway);
    if (pools) {
        take_pools(&plan, pools);
    } else {
        _cleanup_strbuf_ struct strbuf why = {0};
        json_t *old = subnet_pools_check(json_object_get(before, "allocation_pools"), &why);

        take_pools(&plan, old);
        json_decref(old);
    }
    return check_all(&plan, ret, ret_error);
}

void subnet_plan_done(struct subnet_plan *p)
{
    free(p->pools);
    *p = (struct subnet_plan){0};
}
