/* SPDX-License-Identifier: Apache-2.0 */
#include "ovsdb/member.h"

#include <stdio.h>

#include "base/log.h"

LOG_MODULE("ovsdb_member");

#define PATIENCE_MS 60000

json_t *member_monitor(const char *monitor_id)
{
    return json_pack("[s, s, {s:[{s:[s, s]}]}]", "_Server", monitor_id, "Database", "columns", "name", "connected");
}

json_t *member_ask_index(const char *database)
{
    return json_pack("[s, {s:s, s:s, s:[[s, s, s]], s:[s, s, s]}]", "_Server", "op", "select", "table", "Database",
                     "where", "name", "==", database, "columns", "model", "cid", "index");
}

bool member_is_cut_off(const json_t *tables, const char *database)
{
    json_t *databases = json_object_get(tables, "Database"), *update;
    const char *uuid;

    json_object_foreach(databases, uuid, update) {
        const json_t *row = json_object_get(update, "new");
        const char *name = json_string_value(json_object_get(row, "name"));

        if (name && !strcmp(name, database)) {
            return json_is_false(json_object_get(row, "connected"));
        }
    }
    return false;
}

bool member_lags(struct member *m, const json_t *result, int64_t now)
{
    const json_t *row = json_array_get(json_object_get(json_array_get(result, 0), "rows"), 0);
    const json_t *cid = json_object_get(row, "cid"), *index = json_object_get(row, "index");
    const char *model = json_string_value(json_object_get(row, "model"));
    const char *cluster = json_string_value(json_array_get(cid, 1)); /* ["uuid", …], or an empty set */

    m->in_cluster = model && !strcmp(model, "clustered") && cluster && json_is_integer(index);
    if (!m->in_cluster) {
        return false;
    }
    if (!strcmp(m->cluster, cluster) && json_integer_value(index) < m->index) {
        m->lags_since = m->lags_since ? m->lags_since : now;
        if (now - m->lags_since < PATIENCE_MS) {
            return true;
        }
        log_warn("the cluster went back from %lld to %lld: its older contents are taken", (long long)m->index,
                 (long long)json_integer_value(index));
    }
    snprintf(m->cluster, sizeof m->cluster, "%s", cluster);
    m->index = json_integer_value(index);
    m->lags_since = 0;
    return false;
}
