/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: statistics, features, description and table_mod. */
#include "openflow/msg_multipart.h"

/* OpenFlow 1.0: every field of its match may be a wildcard. */
#define WILDCARDS_10 0x3fffffu
/* OFPTMPEF: the properties of table_mod and TABLE_DESC. */
#define PROP_EVICTION 2
#define PROP_VACANCY 3
#define PROP_EXPERIMENTER 0xffff
#define PROP_EVICTION_LEN 8
#define CONFIG_MASK_13 3u /* OFPTC_DEPRECATED_MASK */

static void put_name(struct writer *w, const char *name)
{
    char *p = writer_put(w, 32);

    if (p) {
        memset(p, 0, 32);
        memcpy(p, name, MIN(strlen(name), (size_t)31));
    }
}

void of_table_stats_encode(struct writer *w, uint8_t version, const struct of_table_stats *ts)
{
    writer_u8(w, ts->table);
    writer_zeros(w, 3);
    if (version == OF_VERSION_10) {
        put_name(w, ts->name);
        writer_u32(w, WILDCARDS_10);
        writer_u32(w, ts->max_entries);
    }
    writer_u32(w, ts->active);
    writer_u64(w, ts->lookup);
    writer_u64(w, ts->matched);
}

/* Property numbers of OpenFlow 1.3, enum ofp_table_feature_prop_type: the ones that must be there. */
enum {
    PROP_INSTRUCTIONS = 0,
    PROP_NEXT_TABLES = 2,
    PROP_WRITE_ACTIONS = 4,
    PROP_APPLY_ACTIONS = 6,
    PROP_MATCH = 8,
    PROP_WILDCARDS = 10,
    PROP_WRITE_SETFIELD = 12,
    PROP_APPLY_SETFIELD = 14
};

static void prop_ids(struct writer *w, uint16_t type, const uint16_t *ids, size_t n)
{
    size_t start = w->len;

    writer_u16(w, type);
    writer_u16(w, (uint16_t)(4 + 4 * n));
    for (size_t i = 0; i < n; i++) {
        writer_u16(w, ids[i]);
        writer_u16(w, 4);
    }
    writer_pad(w, start, 8);
}

static void prop_next_tables(struct writer *w, table_id_t table)
{
    size_t start = w->len;

    writer_u16(w, PROP_NEXT_TABLES);
    writer_u16(w, (uint16_t)(4 + TABLE_ID_MAX - table));
    for (unsigned int next = table + 1u; next <= TABLE_ID_MAX; next++) {
        writer_u8(w, (uint8_t)next);
    }
    writer_pad(w, start, 8);
}

static void prop_fields(struct writer *w, uint16_t type, bool (*want)(const struct field *f))
{
    size_t start = w->len;

    writer_u16(w, type);
    writer_u16(w, 0);
    for (int id = 0; id < FIELD_MAX; id++) {
        const struct field *f = field_get((enum field_id)id);

        if (f && f->oxm_header && want(f)) {
            writer_u32(w, f->oxm_header);
        }
    }
    writer_patch_u16(w, start + 2, (uint16_t)(w->len - start));
    writer_pad(w, start, 8);
}

static bool any_field(const struct field *f WR_UNUSED)
{
    return true;
}

static bool writable_field(const struct field *f)
{
    return f->writable;
}

void of_table_features_encode(struct writer *w, uint8_t version, const struct of_table_desc *td)
{
    /* goto_table (not from the last table), write_metadata, write, apply, clear, meter */
    static const uint16_t instructions[] = {2, 3, 4, 5, 6, 1};
    /* output, mpls ttls, push and pop, set_queue, group, nw ttls, set_field */
    static const uint16_t actions[] = {0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25};
    size_t start = w->len;

    writer_u16(w, 0);
    writer_u8(w, td->table);
    writer_zeros(w, 5);
    put_name(w, td->name);
    writer_u64(w, UINT64_MAX);
    writer_u64(w, UINT64_MAX);
    writer_u32(w, version >= OF_VERSION_14 ? OF_TABLE_EVICTION : 0); /* 1.4: capabilities */
    writer_u32(w, td->max_entries);
    prop_ids(w, PROP_INSTRUCTIONS, instructions, ARRAY_SIZE(instructions) - (td->table == TABLE_ID_MAX));
    prop_next_tables(w, td->table);
    prop_ids(w, PROP_WRITE_ACTIONS, actions, ARRAY_SIZE(actions));
    prop_ids(w, PROP_APPLY_ACTIONS, actions, ARRAY_SIZE(actions));
    prop_fields(w, PROP_MATCH, any_field);
    prop_fields(w, PROP_WILDCARDS, any_field);
    prop_fields(w, PROP_WRITE_SETFIELD, writable_field);
    prop_fields(w, PROP_APPLY_SETFIELD, writable_field);
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

void of_table_desc_encode(struct writer *w, const struct of_table_desc *td)
{
    size_t start = w->len;

    writer_u16(w, 0);
    writer_u8(w, td->table);
    writer_zeros(w, 1);
    writer_u32(w, td->eviction ? OF_TABLE_EVICTION : 0);
    writer_u16(w, PROP_EVICTION);
    writer_u16(w, PROP_EVICTION_LEN);
    writer_u32(w, td->eviction_flags);
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

static int table_mod_props(struct reader *body, struct of_table_mod *tm)
{
    while (body->left) {
        uint16_t type = reader_u16(body), len = reader_u16(body);
        struct reader prop = reader_sub(body, len < 4 ? SIZE_MAX : len - 4u);

        if (body->error) {
            return OFERR_PROPERTY_BAD_LEN;
        }
        reader_skip(body, MIN(body->left, ROUND_UP(len, 8u) - len));
        if (type == PROP_EXPERIMENTER) {
            return OFERR_PROPERTY_BAD_EXPERIMENTER;
        }
        if (type == PROP_VACANCY) {
            return OFERR_TABLE_MOD_BAD_CONFIG; /* there are no vacancy events */
        }
        if (type != PROP_EVICTION) {
            return OFERR_PROPERTY_BAD_TYPE;
        }
        if (prop.left != 4) {
            return OFERR_PROPERTY_BAD_LEN;
        }
        tm->has_eviction_flags = true;
        tm->eviction_flags = reader_u32(&prop);
        if (tm->eviction_flags & ~(OF_EVICTION_OTHER | OF_EVICTION_IMPORTANCE | OF_EVICTION_LIFETIME)) {
            return OFERR_PROPERTY_BAD_VALUE;
        }
    }
    return 0;
}

int of_table_mod_decode(struct reader *body, uint8_t version, struct of_table_mod *ret)
{
    struct of_table_mod tm = {.table = reader_u8(body)};
    uint32_t known = version >= OF_VERSION_14 ? OF_TABLE_EVICTION : CONFIG_MASK_13;
    int error;

    reader_skip(body, 3);
    tm.config = reader_u32(body);
    if (body->error || (version < OF_VERSION_14 && body->left)) {
        return OFERR_BAD_LEN;
    }
    if (tm.table > TABLE_ID_MAX && tm.table != TABLE_ID_ALL) {
        return OFERR_TABLE_MOD_BAD_TABLE;
    }
    if (tm.config & ~known) {
        return OFERR_TABLE_MOD_BAD_CONFIG;
    }
    error = table_mod_props(body, &tm);
    if (error) {
        return error;
    }
    *ret = tm;
    return 0;
}
