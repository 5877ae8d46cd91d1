/* SPDX-License-Identifier: Apache-2.0 */
/* /v2.0/agents: what the hypervisors' agents say of themselves. */
#include <time.h>

#include "controller/api.h"

#define DOWN_AFTER_MS 75000 /* as Neutron's agent_down_time */

static const struct attribute attributes[] = {
    {"id", ATTR_UUID, 0},
    {"agent_type", ATTR_STRING, 0},
    {"binary", ATTR_STRING, 0},
    {"topic", ATTR_STRING, 0},
    {"host", ATTR_STRING, 0},
    {"admin_state_up", ATTR_BOOL, ATTR_PUT},
    {"alive", ATTR_BOOL, 0},
    {"created_at", ATTR_STRING, 0},
    {"started_at", ATTR_STRING, 0},
    {"heartbeat_timestamp", ATTR_STRING, 0},
    {"description", ATTR_STRING, ATTR_PUT | ATTR_NULL_DEF, "\"\""},
    {"resources_synced", ATTR_BOOL, 0},
    {"availability_zone", ATTR_STRING, 0},
    {"configurations", ATTR_OBJECT, 0},
};

/* Agents' times have a blank where others have T, and no zone. */
static json_t *agent_time(int64_t seconds)
{
    time_t t = seconds;
    char text[40];
    struct tm tm;

    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime_r(&t, &tm));
    return json_string(text);
}

static json_t *show(const struct api *api, const struct ovsdb_row *row)
{
    static const char *const strings[] = {"id", "agent_type", "binary", "topic", "host"};
    const struct ovsdb_row *heartbeat = store_row(api->store, STORE_HEARTBEAT_AGENT, store_string(row, "id"));
    /* Its times are its own clock's: the heartbeat's is shown, and counts, by ours. */
    int64_t started = store_seconds(row, "started_at"), now = time_wall_ms(), age_ms = 0, heard = started;
    json_t *configurations = json_loads(store_string(row, "configurations"), 0, NULL);
    json_t *o = json_object();

    if (heartbeat) {
        age_ms = store_heartbeat_age(api->store, heartbeat);
        heard = (now - age_ms) / 1000;
        started += heard - store_seconds(heartbeat, "at");
    }
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        json_object_set_new(o, strings[i], json_string(store_string(row, strings[i])));
    }
    json_object_set_new(o, "admin_state_up", json_boolean(ovsdb_row_bool(row, "admin_state_up", true)));
    json_object_set_new(o, "alive", json_boolean(heartbeat && age_ms < DOWN_AFTER_MS));
    json_object_set_new(o, "created_at", agent_time(store_seconds(row, "created_at")));
    json_object_set_new(o, "started_at", agent_time(started));
    json_object_set_new(o, "heartbeat_timestamp", agent_time(heard));
    json_object_set_new(o, "description", show_optional(row, "description"));
    json_object_set_new(o, "resources_synced", json_null());
    json_object_set_new(o, "availability_zone", json_null());
    json_object_set_new(o, "configurations", configurations ? configurations : json_object());
    return o;
}

static void update(struct call *c, const struct ovsdb_row *row)
{
    static const char *const strings[] = {"description"}, *const bools[] = {"admin_state_up"};
    const json_t *item = json_array_get(c->items, 0);
    struct ovsdb_txn *txn = store_txn(c->api->store);
    json_t *values = ovsdb_txn_update(txn, "Agent", ovsdb_row_uuid(row));

    set_strings(values, item, strings, 1);
    set_bools(values, item, bools, 1);
    call_commit(c, txn);
}

/* For hosts that are gone: with the agent goes its end of the tunnels, so that the others stop sending there, and its
 * word about ports, which nobody else would take back. An agent that lives notices, and registers and reports again. */
static void remove_agent(struct call *c, const struct ovsdb_row *row)
{
    struct ovsdb_txn *txn = store_txn(c->api->store);
    const char *host = store_string(row, "host");

    ovsdb_txn_delete(txn, "Agent", ovsdb_row_uuid(row));
    ovsdb_txn_delete_where(txn, "Heartbeat", ovsdb_where("agent_id", "==", json_string(store_string(row, "id"))));
    ovsdb_txn_delete_where(txn, "Endpoint", ovsdb_where("host", "==", json_string(host)));
    ovsdb_txn_delete_where(txn, "Port_Status", ovsdb_where("host", "==", json_string(host)));
    call_commit(c, txn);
}

const struct resource resource_agents = {
    .collection = "agents",
    .singular = "agent",
    .label = "Agent",
    .by_id = STORE_AGENT_ID,
    .table = "Agent",
    .attributes = attributes,
    .n_attributes = ARRAY_SIZE(attributes),
    .show = show,
    .update = update,
    .remove = remove_agent,
};
