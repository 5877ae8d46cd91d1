/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an OVSDB server sends: lines of JSON, each applied to the same replica. The first character of a line says how:
 * '1' an `update`, '2' an `update2`, 'r' and 'R' the same as the whole contents, 's' a schema. Then every row is read
 * in every way there is.
 */
#include "fuzz.h"
#include "ovsdb/replica.h"
#include "ovsdb/row.h"

static const char schema_text[] =
    "{\"tables\":{\"T\":{\"columns\":{\"name\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"},"
    "\"opt\":{\"type\":{\"key\":\"string\",\"min\":0,\"max\":1}},\"ref\":{\"type\":{\"key\":\"uuid\"}},"
    "\"set\":{\"type\":{\"key\":\"uuid\",\"min\":0,\"max\":\"unlimited\"}},"
    "\"map\":{\"type\":{\"key\":\"string\",\"value\":\"string\",\"min\":0,\"max\":\"unlimited\"}}}}}}";

static void read_row(const struct ovsdb_row *row)
{
    static const char *const columns[] = {"name", "n", "opt", "ref", "set", "map", "none"};
    const char *key, *value;
    struct uuid uuid;

    for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
        const char *column = columns[c];
        size_t n = ovsdb_row_size(row, column);

        ovsdb_row_string(row, column);
        ovsdb_row_int(row, column, 0);
        ovsdb_row_bool(row, column, false);
        ovsdb_row_real(row, column, 0);
        ovsdb_row_get_uuid(row, column, &uuid);
        ovsdb_row_set_has_string(row, column, "x");
        ovsdb_row_map_string(row, column, "k");
        ovsdb_row_map_int(row, column, "k", 0);
        ovsdb_row_map_bool(row, column, "k", false);
        for (size_t i = 0; i <= n && i < 8; i++) {
            ovsdb_row_set_string(row, column, i);
            ovsdb_row_set_int(row, column, i);
            ovsdb_row_set_uuid(row, column, i, &uuid);
            ovsdb_row_map_at(row, column, i, &key, &value);
        }
    }
}

static void changed(const char *table, enum ovsdb_change change, const struct ovsdb_row *row,
                    const struct ovsdb_row *old, void *arg WR_UNUSED)
{
    FUZZ_CHECK(!strcmp(table, "T") && (change == OVSDB_MODIFY) == (old != NULL));
    read_row(row);
    if (old) {
        read_row(old);
    }
}

static void missing(const char *table WR_UNUSED, const char *column WR_UNUSED, void *arg WR_UNUSED) {}

static void apply(struct replica *r, const char *line, size_t len)
{
    json_t *json = len > 1 ? json_loadb(line + 1, len - 1, 0, NULL) : NULL;

    if (json && line[0] == 's') {
        replica_set_schema(r, json, missing, NULL);
    } else if (json) {
        replica_apply(r, json, line[0] == '2' || line[0] == 'R' ? REPLICA_UPDATE2 : REPLICA_UPDATE1,
                      line[0] == 'r' || line[0] == 'R', changed, NULL);
    }
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *schema = json_loads(schema_text, 0, NULL);
    const char *p = (const char *)data, *end = p + size;
    struct replica r;
    struct ovsdb_row *row, *next;

    replica_init(&r);
    struct replica_table *t = replica_add_table(&r, "T", NULL);
    FUZZ_CHECK(!replica_set_schema(&r, schema, missing, NULL));
    json_decref(schema);
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));

        apply(&r, p, (size_t)((nl ? nl : end) - p));
        p = nl ? nl + 1 : end;
    }
    HASH_ITER(hh, t->rows, row, next) {
        read_row(row);
    }
    replica_done(&r);
    return 0;
}
