/* SPDX-License-Identifier: Apache-2.0 */
/* warren port list|show|create|delete */
#include "cli/commands.h"
#include "cli/lookup.h"
#include "cli/resource.h"

static void format_addresses(const json_t *object, struct strbuf *b)
{
    json_t *fixed_ip;
    size_t i;

    json_array_foreach(json_object_get(object, "fixed_ips"), i, fixed_ip) {
        const char *address = json_string_value(json_object_get(fixed_ip, "ip_address"));

        strbuf_addf(b, "%s%s", i ? ", " : "", address ? address : "");
    }
}

static const struct column columns[] = {
    {"ID", "id", NULL},
    {"NAME", "name", NULL},
    {"MAC", "mac_address", NULL},
    {"ADDRESSES", NULL, format_addresses},
    {"HOST", "binding:host_id", NULL},
    {"STATUS", "status", NULL},
    {"NETWORK", "network_id", NULL},
};

static const struct resource port = {"port", "ports", "name", columns, ARRAY_SIZE(columns)};

static const struct arg_option list_options[] = {
    {"name", "NAME", "only the ports called so", false},
    {"network", "NETWORK", "only those of this network", false},
    {"host", "HOST", "only those bound to this hypervisor", false},
};

static int run_list(const struct cli *cli, const struct args *args)
{
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    _cleanup_strbuf_ struct strbuf path = {0};

    strbuf_add(&path, port.plural);
    if (args_has(args, "name")) {
        api_query(&path, "name", args_get(args, "name"));
    }
    if (args_has(args, "host")) {
        api_query(&path, "binding:host_id", args_get(args, "host"));
    }
    if (!api || lookup_query_network(api, args, &path)) {
        return EXIT_FAILURE;
    }
    return resource_list_path(cli, api, &port, strbuf_str(&path));
}

static int run_show(const struct cli *cli, const struct args *args)
{
    return resource_show(cli, &port, args);
}

static const struct arg_option create_options[] = {
    {"network", "NETWORK", "the network that it is in (needed)", false},
    {"host", "HOST", "the hypervisor that it will be plugged into", false},
    {"mac", "ADDRESS", "without it the controller picks one", false, "mac-address"},
    {"fixed-ip", "ADDRESS|subnet=SUBNET[,ip-address=ADDRESS]", "an address; without it, one of each IP version", true},
    {"no-fixed-ip", NULL, "no address at all", false},
    {"device", "ID", "whose port it is, such as a VM's id", false, "device-id"},
    {"device-owner", "OWNER", "what kind of device, such as compute:nova", false},
    {"description", "TEXT", "free text", false},
    ADMIN_STATE_OPTIONS,
};

/* One --fixed-ip as the API's object. A new reference; NULL: said, with the exit status in *RET_STATUS. */
static json_t *make_fixed_ip(struct api *api, const char *text, int *ret_status)
{
    _cleanup_json_ json_t *object = json_object();
    _cleanup_free_ char *copy = xstrdup(text);
    char *save = NULL;

    if (!strchr(text, '=')) {
        json_object_set_new(object, "ip_address", json_string(text));
        return TAKE_PTR(object);
    }
    for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        if (!strncmp(part, "subnet=", 7)) {
            _cleanup_json_ json_t *subnet = resource_find(api, &subnet_resource, part + 7);

            if (!subnet) {
                *ret_status = EXIT_FAILURE;
                return NULL;
            }
            json_object_set_new(object, "subnet_id", json_string(resource_id(subnet)));
        } else if (!strncmp(part, "ip=", 3) || !strncmp(part, "ip-address=", 11)) {
            json_object_set_new(object, "ip_address", json_string(strchr(part, '=') + 1));
        } else {
            *ret_status = cli_usage_error("--fixed-ip %s: not ADDRESS or subnet=SUBNET[,ip-address=ADDRESS]", text);
            return NULL;
        }
    }
    return TAKE_PTR(object);
}

/* Adds fixed_ips as the options want it; nothing if they do not. The exit status. */
static int add_fixed_ips(struct api *api, const struct args *args, json_t *attributes)
{
    const char *text;
    int status = EXIT_SUCCESS;

    if (!args_has(args, "fixed-ip") && !args_has(args, "no-fixed-ip")) {
        return EXIT_SUCCESS;
    }
    json_t *fixed_ips = json_array();
    json_object_set_new(attributes, "fixed_ips", fixed_ips);
    for (size_t i = 0; (text = args_at(args, "fixed-ip", i)); i++) {
        json_t *fixed_ip = make_fixed_ip(api, text, &status);

        if (!fixed_ip) {
            return status;
        }
        json_array_append_new(fixed_ips, fixed_ip);
    }
    return EXIT_SUCCESS;
}

static int run_create(const struct cli *cli, const struct args *args)
{
    static const struct {
        const char *option, *attribute;
    } texts[] = {
        {"host", "binding:host_id"},      {"mac", "mac_address"},         {"device", "device_id"},
        {"device-owner", "device_owner"}, {"description", "description"},
    };

    if (!args_has(args, "network")) {
        return cli_usage_error("port create needs --network");
    }
    if (args_has(args, "fixed-ip") && args_has(args, "no-fixed-ip")) {
        return cli_usage_error("--fixed-ip and --no-fixed-ip contradict each other");
    }
    _cleanup_json_ json_t *attributes = json_object();
    if (resource_set_admin_state(args, attributes)) {
        return EXIT_USAGE;
    }
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    _cleanup_json_ json_t *network = api ? resource_find(api, &network_resource, args_get(args, "network")) : NULL;
    if (!network) {
        return EXIT_FAILURE;
    }
    json_object_set_new(attributes, "name", json_string(args->words[0]));
    json_object_set_new(attributes, "network_id", json_string(resource_id(network)));
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (args_has(args, texts[i].option)) {
            json_object_set_new(attributes, texts[i].attribute, json_string(args_get(args, texts[i].option)));
        }
    }
    int status = add_fixed_ips(api, args, attributes);
    return status ? status : resource_create(cli, api, &port, TAKE_PTR(attributes));
}

static int run_delete(const struct cli *cli, const struct args *args)
{
    return resource_delete(cli, &port, args);
}

const struct command port_list = {"port list", "",           "the ports of networks",  0,
                                  0,           list_options, ARRAY_SIZE(list_options), run_list};
const struct command port_show = {"port show", "PORT", "everything about one, by name or id", 1, 1, NULL, 0, run_show};
const struct command port_create = {"port create",  "NAME --network NETWORK",   "make one", 1, 1,
                                    create_options, ARRAY_SIZE(create_options), run_create};
const struct command port_delete = {"port delete", "PORT…", "remove ports", 1, SIZE_MAX, NULL, 0, run_delete};
