/* SPDX-License-Identifier: Apache-2.0 */
/* warren subnet list|show|create|delete */
#include "cli/commands.h"
#include "cli/lookup.h"
#include "cli/resource.h"

static void format_pools(const json_t *object, struct strbuf *b)
{
    json_t *pool;
    size_t i;

    json_array_foreach(json_object_get(object, "allocation_pools"), i, pool) {
        const char *start = json_string_value(json_object_get(pool, "start"));
        const char *end = json_string_value(json_object_get(pool, "end"));

        strbuf_addf(b, "%s%s-%s", i ? ", " : "", start ? start : "", end ? end : "");
    }
}

static const struct column columns[] = {
    {"ID", "id", NULL},
    {"NAME", "name", NULL},
    {"CIDR", "cidr", NULL},
    {"GATEWAY", "gateway_ip", NULL},
    {"POOLS", NULL, format_pools},
    {"DHCP", "enable_dhcp", NULL},
    {"NETWORK", "network_id", NULL},
};

const struct resource subnet_resource = {"subnet", "subnets", "name", columns, ARRAY_SIZE(columns)};

static const struct arg_option list_options[] = {
    {"name", "NAME", "only the subnets called so", false},
    {"network", "NETWORK", "only those of this network", false},
};

static int run_list(const struct cli *cli, const struct args *args)
{
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    _cleanup_strbuf_ struct strbuf path = {0};

    strbuf_add(&path, subnet_resource.plural);
    if (args_has(args, "name")) {
        api_query(&path, "name", args_get(args, "name"));
    }
    if (!api || lookup_query_network(api, args, &path)) {
        return EXIT_FAILURE;
    }
    return resource_list_path(cli, api, &subnet_resource, strbuf_str(&path));
}

static int run_show(const struct cli *cli, const struct args *args)
{
    return resource_show(cli, &subnet_resource, args);
}

static const struct arg_option create_options[] = {
    {"network", "NETWORK", "the network that it is in (needed)", false},
    {"cidr", "ADDRESS/LENGTH", "its addresses, IPv4 or IPv6 (needed)", false, "subnet-range"},
    {"gateway", "ADDRESS|none", "without it, the first address", false},
    {"allocation-pool", "FIRST,LAST", "give ports only these addresses; start=FIRST,end=LAST is the same", true,
     "pool"},
    {"dns", "ADDRESS", "a name server", true, "dns-nameserver"},
    {"dhcp", NULL, "DHCP (the default)", false},
    {"no-dhcp", NULL, "no DHCP", false},
    {"description", "TEXT", "free text", false},
};

/* "FIRST,LAST", "FIRST-LAST", or the openstack client's "start=FIRST,end=LAST" → {"start", "end"}. A new reference, or
 * NULL. */
static json_t *make_pool(const char *text)
{
    const char *first = strncmp(text, "start=", 6) ? text : text + 6;
    size_t len = strcspn(first, ",-");
    const char *last = first[len] ? first + len + 1 : "";

    last += first != text && !strncmp(last, "end=", 4) ? 4 : 0;
    return len && *last && !strpbrk(last, ",-=") ? json_pack("{s:s%, s:s}", "start", first, len, "end", last) : NULL;
}

/* --allocation-pool… → [{"start", "end"}]. A new reference, or NULL: said. */
static json_t *make_pools(const struct args *args)
{
    _cleanup_json_ json_t *pools = json_array();
    const char *text;

    for (size_t i = 0; (text = args_at(args, "allocation-pool", i)); i++) {
        json_t *pool = make_pool(text);

        if (!pool) {
            cli_usage_error("--allocation-pool %s: not FIRST,LAST", text);
            return NULL;
        }
        json_array_append_new(pools, pool);
    }
    return TAKE_PTR(pools);
}

static int run_create(const struct cli *cli, const struct args *args)
{
    const char *cidr = args_get(args, "cidr"), *gateway = args_get(args, "gateway"), *text;

    if (!args_has(args, "network") || !cidr) {
        return cli_usage_error("subnet create needs --%s", cidr ? "network" : "cidr");
    }
    if (args_has(args, "dhcp") && args_has(args, "no-dhcp")) {
        return cli_usage_error("--dhcp and --no-dhcp contradict each other");
    }
    _cleanup_json_ json_t *pools = make_pools(args);
    if (!pools) {
        return EXIT_USAGE;
    }
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    _cleanup_json_ json_t *network = api ? resource_find(api, &network_resource, args_get(args, "network")) : NULL;
    if (!network) {
        return EXIT_FAILURE;
    }
    json_t *attributes =
        json_pack("{s:s, s:s, s:s, s:i, s:b}", "name", args->words[0], "network_id", resource_id(network), "cidr", cidr,
                  "ip_version", strchr(cidr, ':') ? 6 : 4, "enable_dhcp", !args_has(args, "no-dhcp"));
    if (gateway) {
        json_object_set_new(attributes, "gateway_ip", strcmp(gateway, "none") ? json_string(gateway) : json_null());
    }
    if (json_array_size(pools)) {
        json_object_set(attributes, "allocation_pools", pools);
    }
    if (args_has(args, "dns")) {
        json_t *servers = json_array();

        for (size_t i = 0; (text = args_at(args, "dns", i)); i++) {
            json_array_append_new(servers, json_string(text));
        }
        json_object_set_new(attributes, "dns_nameservers", servers);
    }
    if (args_has(args, "description")) {
        json_object_set_new(attributes, "description", json_string(args_get(args, "description")));
    }
    return resource_create(cli, api, &subnet_resource, attributes);
}

static int run_delete(const struct cli *cli, const struct args *args)
{
    return resource_delete(cli, &subnet_resource, args);
}

const struct command subnet_list = {
    "subnet list", "", "the address ranges of networks", 0, 0, list_options, ARRAY_SIZE(list_options), run_list};
const struct command subnet_show = {"subnet show", "SUBNET", "everything about one, by name or id", 1, 1, NULL, 0,
                                    run_show};
const struct command subnet_create = {"subnet create",
                                      "NAME --network NETWORK --cidr ADDRESS/LENGTH",
                                      "make one",
                                      1,
                                      1,
                                      create_options,
                                      ARRAY_SIZE(create_options),
                                      run_create};
const struct command subnet_delete = {
    "subnet delete", "SUBNET…", "remove subnets that no port has an address of", 1, SIZE_MAX, NULL, 0, run_delete};
