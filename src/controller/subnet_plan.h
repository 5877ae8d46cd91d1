/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CONTROLLER_SUBNET_PLAN_H
#define WARREN_CONTROLLER_SUBNET_PLAN_H
/*
 * What a subnet may be: that CIDR, IP version, gateway, allocation pools and IPv6 modes go together, and what is filled
 * in where the request says nothing. Pure: it knows neither the database nor HTTP, but for the status that Neutron
 * gives each error.
 */
#include <jansson.h>

#include "base/strbuf.h"
#include "controller/allocation.h"

#define MIN_IPV6_MTU 1280 /* RFC 8200, 5: what the links of an IPv6 subnet must carry */

struct subnet_plan {
    struct prefix prefix;
    bool has_gateway;
    struct ip gateway;
    struct ip_range *pools;
    size_t n_pools;
};

struct subnet_error {
    int status;
    const char *type;
    char text[400];
};

/* ITEM is a checked object (attributes.h) of a creation. -EINVAL with *RET_ERROR filled in. */
int subnet_plan_new(const json_t *item, struct subnet_plan *ret, struct subnet_error *ret_error);
/* The subnet BEFORE, as the API shows it, changed by the checked object ITEM. */
int subnet_plan_change(const json_t *before, const json_t *item, struct subnet_plan *ret,
                       struct subnet_error *ret_error);
void subnet_plan_done(struct subnet_plan *p);

/* Do ports in a subnet of this ipv6_address_mode ("" for none) form their addresses themselves, from their MAC? */
bool subnet_is_auto(const char *address_mode);

/* Checks for attributes.h. Pools: [{"start", "end"}] becomes ["START-END"]; routes: [{"destination", "nexthop"}]
 * becomes an object. */
json_t *subnet_pools_check(const json_t *value, struct strbuf *why);
json_t *subnet_routes_check(const json_t *value, struct strbuf *why);

#endif
