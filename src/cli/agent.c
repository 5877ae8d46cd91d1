/* SPDX-License-Identifier: Apache-2.0 */
/* warren agent list|show|delete. There is no create: an agent registers itself when it starts on its host. */
#include "cli/commands.h"
#include "cli/resource.h"
#include "cli/table.h"

static void format_tunnel_address(const json_t *object, struct strbuf *b)
{
    cell_json(json_object_get(json_object_get(object, "configurations"), "tunneling_ip"), b);
}

static void format_tunnel_types(const json_t *object, struct strbuf *b)
{
    cell_json(json_object_get(json_object_get(object, "configurations"), "tunnel_types"), b);
}

static void format_alive(const json_t *object, struct strbuf *b)
{
    strbuf_add(b, json_is_true(json_object_get(object, "alive")) ? "yes" : "no");
}

static const struct column columns[] = {
    {"ID", "id", NULL},
    {"HOST", "host", NULL},
    {"TYPE", "agent_type", NULL},
    {"ALIVE", NULL, format_alive},
    {"STATE", NULL, format_state},
    {"TUNNEL ADDRESS", NULL, format_tunnel_address},
    {"TUNNEL TYPES", NULL, format_tunnel_types},
    {"HEARTBEAT", "heartbeat_timestamp", NULL},
};

static const struct resource agent = {"agent", "agents", "host", columns, ARRAY_SIZE(columns)};

static const struct arg_option list_options[] = {
    {"host", "HOST", "only those of this hypervisor", false},
};

static int run_list(const struct cli *cli, const struct args *args)
{
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    _cleanup_strbuf_ struct strbuf path = {0};

    strbuf_add(&path, agent.plural);
    if (args_has(args, "host")) {
        api_query(&path, "host", args_get(args, "host"));
    }
    return api ? resource_list_path(cli, api, &agent, strbuf_str(&path)) : EXIT_FAILURE;
}

static int run_show(const struct cli *cli, const struct args *args)
{
    return resource_show(cli, &agent, args);
}

static int run_delete(const struct cli *cli, const struct args *args)
{
    return resource_delete(cli, &agent, args);
}

const struct command agent_list = {"agent list",
                                   "",
                                   "the agents of hypervisors, which register themselves",
                                   0,
                                   0,
                                   list_options,
                                   ARRAY_SIZE(list_options),
                                   run_list};
const struct command agent_show = {"agent show", "HOST|ID", "everything about one", 1, 1, NULL, 0, run_show};
const struct command agent_delete = {
    "agent delete", "HOST|ID…", "forget agents; one that runs comes back", 1, SIZE_MAX, NULL, 0, run_delete};
