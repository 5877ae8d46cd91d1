/* SPDX-License-Identifier: Apache-2.0 */
/* warren network list|show|create|delete */
#include "cli/commands.h"
#include "cli/lookup.h"
#include "cli/resource.h"

static const struct column columns[] = {
    {"ID", "id", NULL},
    {"NAME", "name", NULL},
    {"TYPE", "provider:network_type", NULL},
    {"VNI", "provider:segmentation_id", NULL},
    {"MTU", "mtu", NULL},
    {"STATE", NULL, format_state},
    {"SUBNETS", "subnets", NULL},
};

const struct resource network_resource = {"network", "networks", "name", columns, ARRAY_SIZE(columns)};

int lookup_query_network(struct api *api, const struct args *args, struct strbuf *path)
{
    const char *text = args_get(args, "network");
    _cleanup_json_ json_t *object = text ? resource_find(api, &network_resource, text) : NULL;

    if (text && !object) {
        return EXIT_FAILURE;
    }
    if (object) {
        api_query(path, "network_id", resource_id(object));
    }
    return EXIT_SUCCESS;
}

static const struct arg_option list_options[] = {
    {"name", "NAME", "only the networks called so", false},
};

static int run_list(const struct cli *cli, const struct args *args)
{
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    _cleanup_strbuf_ struct strbuf path = {0};

    strbuf_add(&path, network_resource.plural);
    if (args_has(args, "name")) {
        api_query(&path, "name", args_get(args, "name"));
    }
    return api ? resource_list_path(cli, api, &network_resource, strbuf_str(&path)) : EXIT_FAILURE;
}

static int run_show(const struct cli *cli, const struct args *args)
{
    return resource_show(cli, &network_resource, args);
}

static const struct arg_option create_options[] = {
    {"type", "vxlan|gre|geneve", "what carries it; the controller has a default", false, "provider-network-type"},
    {"segment", "NUMBER", "its tunnel id; without it the controller picks a free one", false, "provider-segment vni"},
    {"mtu", "BYTES", "without it, what the tunnel leaves of the underlay's", false},
    {"description", "TEXT", "free text", false},
    {"shared", NULL, "for every project", false, "share"},
    ADMIN_STATE_OPTIONS,
};

static int run_create(const struct cli *cli, const struct args *args)
{
    _cleanup_free_ char *error = NULL;
    _cleanup_json_ json_t *attributes = json_object();
    const char *type = args_get(args, "type"), *description = args_get(args, "description");
    int64_t segment, mtu;
    int has_segment = args_int(args, "segment", 0, UINT32_MAX, &segment, &error);
    int has_mtu = has_segment == -EINVAL ? -EINVAL : args_int(args, "mtu", 0, INT32_MAX, &mtu, &error);

    if (has_mtu == -EINVAL) {
        return cli_usage_error("%s", error);
    }
    json_object_set_new(attributes, "name", json_string(args->words[0]));
    if (resource_set_admin_state(args, attributes)) {
        return EXIT_USAGE;
    }
    if (type) {
        json_object_set_new(attributes, "provider:network_type", json_string(type));
    }
    if (!has_segment) {
        json_object_set_new(attributes, "provider:segmentation_id", json_integer(segment));
    }
    if (!has_mtu) {
        json_object_set_new(attributes, "mtu", json_integer(mtu));
    }
    if (description) {
        json_object_set_new(attributes, "description", json_string(description));
    }
    if (args_has(args, "shared")) {
        json_object_set_new(attributes, "shared", json_true());
    }
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    return api ? resource_create(cli, api, &network_resource, TAKE_PTR(attributes)) : EXIT_FAILURE;
}

static int run_delete(const struct cli *cli, const struct args *args)
{
    return resource_delete(cli, &network_resource, args);
}

const struct command network_list = {"network list",           "",      "the virtual networks", 0, 0, list_options,
                                     ARRAY_SIZE(list_options), run_list};
const struct command network_show = {"network show", "NETWORK", "everything about one, by name or id", 1, 1, NULL, 0,
                                     run_show};
const struct command network_create = {"network create",           "NAME",    "make one", 1, 1, create_options,
                                       ARRAY_SIZE(create_options), run_create};
const struct command network_delete = {
    "network delete", "NETWORK…", "remove networks that have no ports", 1, SIZE_MAX, NULL, 0, run_delete};
