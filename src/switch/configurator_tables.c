/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge.flow_tables: names, limits and eviction of OpenFlow tables, from Flow_Table rows. `prefixes` only says where
 * prefix tracking pays, which the classifier finds out for itself in every table: any value of it is met.
 */
#include "base/log.h"
#include "openflow/text_value.h"
#include "switch/configurator_private.h"
#include "switch/flow_table.h"

LOG_MODULE("flow_tables");

#define GROUPS_MAX 16

/* Field specifications that are none are left out, as ovs-vswitchd.conf.db(5) says. */
static size_t read_groups(const struct cbridge *cb, const struct ovsdb_row *row, struct subfield *fields)
{
    size_t n = 0;
    for (size_t i = 0; i < ovsdb_row_size(row, "groups"); i++) {
        const char *text = ovsdb_row_set_string(row, "groups", i);
        _cleanup_free_ char *why = NULL;
        if (!text || n == GROUPS_MAX || subfield_parse(text, &fields[n], &why)) {
            log_limited(LOG_LEVEL_WARN, "bridge %s: eviction group \"%s\" is ignored: %s", cb->name, text ? text : "",
                        why ? why : "too many");
            continue;
        }
        n++;
    }
    return n;
}

static void apply_row(struct cbridge *cb, table_id_t table, const struct ovsdb_row *row)
{
    struct subfield fields[GROUPS_MAX];
    int64_t limit = ovsdb_row_int(row, "flow_limit", -1);
    const char *policy = ovsdb_row_string(row, "overflow_policy");
    size_t n = read_groups(cb, row, fields);
    if (!limit) {
        log_limited(LOG_LEVEL_WARN, "bridge %s, table %u: flow_limit 0 would allow no flow: taken for no limit",
                    cb->name, table);
    }
    flow_table_set_config_name(cb->bridge, table, ovsdb_row_string(row, "name"));
    flow_table_set_limit(cb->bridge, table, limit > 0 && limit < UINT32_MAX ? (uint32_t)limit : 0,
                         policy && !strcmp(policy, "evict"), fields, n);
}

void flow_tables_apply(struct configurator *c, struct cbridge *cb)
{
    uint64_t serial = ovsdb_client_serial(c->client, "Flow_Table");
    uint8_t now[sizeof cb->configured_tables] = {0};
    if (!cb->changed && cb->flow_tables_serial == serial) {
        return;
    }
    cb->flow_tables_serial = serial;
    for (size_t i = 0; i < ovsdb_row_size(cb->row, "flow_tables"); i++) {
        int64_t table = 0;
        const struct ovsdb_row *row = ovsdb_client_map_ref(c->client, cb->row, "flow_tables", i, "Flow_Table", &table);
        if (row && table >= 0 && table < N_TABLES) {
            apply_row(cb, (table_id_t)table, row);
            now[table / 8] |= (uint8_t)(1u << table % 8);
        } else if (row) {
            log_limited(LOG_LEVEL_WARN, "bridge %s: table %lld is not configurable", cb->name, (long long)table);
        }
    }
    for (unsigned int t = 0; t < N_TABLES; t++) {
        if (cb->configured_tables[t / 8] & ~now[t / 8] & (1u << t % 8)) {
            flow_table_set_config_name(cb->bridge, (table_id_t)t, NULL);
            flow_table_set_limit(cb->bridge, (table_id_t)t, 0, false, NULL, 0);
        }
    }
    memcpy(cb->configured_tables, now, sizeof now);
}
