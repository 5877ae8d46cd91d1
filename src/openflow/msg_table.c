/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_table.h"

#include "openflow/msg_prop.h"

#define WILDCARDS_10 0x3fffffu /* OFPFW_ALL: any of 1.0's twelve fields may be wildcarded */
#define TABLE_FEATURES_LEN 64u
#define TABLE_DESC_LEN 8u
#define CLASS_EXPERIMENTER 0xffffu
#define ONF_ACTSET_OUTPUT 43u
/* enum ofp_table_config: the deprecated miss bits up to 1.3, then 1.4's. */
#define CONFIG_MISS_MASK 3u
#define CONFIG_EVICTION 4u
#define CONFIG_VACANCY 8u
#define PROP_EVICTION 2
#define PROP_VACANCY 3
#define KNOWN_EVICTION (OF_EVICT_OTHER | OF_EVICT_IMPORTANCE | OF_EVICT_LIFETIME)

/* enum ofp_table_feature_prop_type; the odd number behind each is the same for table misses. */
enum {
    PROP_INSTRUCTIONS = 0,
    PROP_NEXT_TABLES = 2,
    PROP_WRITE_ACTIONS = 4,
    PROP_APPLY_ACTIONS = 6,
    PROP_MATCH = 8,
    PROP_WILDCARDS = 10,
    PROP_WRITE_SETFIELD = 12,
    PROP_APPLY_SETFIELD = 14,
    PROP_WRITE_COPYFIELD = 18, /* 1.5 */
    PROP_APPLY_COPYFIELD = 20,
};

/* ---- counters ---- */

static void put_name(struct writer *w, const char *name)
{
    char *p = writer_put(w, OF_TABLE_NAME_LEN);

    if (p && name) {
        memcpy(p, name, MIN(strlen(name), OF_TABLE_NAME_LEN - 1u));
    }
}

static void read_name(struct reader *r, char *name)
{
    reader_copy(r, name, OF_TABLE_NAME_LEN);
    name[OF_TABLE_NAME_LEN - 1] = '\0';
}

void of_table_stats_put(struct writer *w, uint8_t version, const struct of_table_stats *ts)
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

int of_table_stats_decode(struct reader *r, uint8_t version, struct of_table_stats *ret)
{
    struct of_table_stats ts = {.table = reader_u8(r)};

    reader_skip(r, 3);
    if (version == OF_VERSION_10) {
        read_name(r, ts.name);
        reader_skip(r, 4);
        ts.max_entries = reader_u32(r);
    }
    ts.active = reader_u32(r);
    ts.lookup = reader_u64(r);
    ts.matched = reader_u64(r);
    if (r->error) {
        return OFERR_BAD_LEN;
    }
    *ret = ts;
    return 0;
}

/* ---- features: writing ---- */

static void put_ids(struct writer *w, uint16_t type, const uint16_t *ids, size_t n)
{
    size_t start = of_prop_begin(w, type);

    for (size_t i = 0; i < n; i++) {
        writer_u16(w, ids[i]);
        writer_u16(w, 4);
    }
    of_prop_end(w, start);
}

static void put_next_tables(struct writer *w, table_id_t table)
{
    size_t start = of_prop_begin(w, PROP_NEXT_TABLES);

    for (unsigned int next = table + 1u; next <= TABLE_ID_MAX; next++) {
        writer_u8(w, (uint8_t)next);
    }
    of_prop_end(w, start);
}

/* The header of F, with the mask bit if MASKED, and of an experimenter's field the number. */
static void put_field_id(struct writer *w, uint8_t version, const struct field *f, bool masked)
{
    uint32_t header = field_header(f, version);

    if (f->id == FIELD_ACTSET_OUTPUT && version < OF_VERSION_15) {
        writer_u32(w, CLASS_EXPERIMENTER << 16 | ONF_ACTSET_OUTPUT << 9 | 8);
        writer_u32(w, OF_EXPERIMENTER_ONF);
        return;
    }
    writer_u32(w, masked ? (header & 0xffffff00u) | 0x100u | 2u * f->n_bytes : header);
}

/* Fields by what can be done with them; those with no header in VERSION, or none of their own, left out. */
static void put_fields(struct writer *w, uint8_t version, uint16_t type)
{
    bool matches = type == PROP_MATCH || type == PROP_WILDCARDS;
    size_t start = of_prop_begin(w, type);

    for (int id = 0; id < FIELD_MAX; id++) {
        const struct field *f = field_get((enum field_id)id);

        if (!f || !f->n_bytes || id == FIELD_IN_PORT || !field_header(f, version) || (!matches && !f->writable)) {
            continue;
        }
        put_field_id(w, version, f, type == PROP_MATCH && f->maskable);
    }
    of_prop_end(w, start);
}

void of_table_features_put(struct writer *w, uint8_t version, table_id_t table, const char *name, uint32_t max_entries)
{
    /* write_metadata, write, apply, clear, goto_table (not from the last table), meter (an action in 1.5) */
    static const uint16_t instructions[] = {2, 3, 4, 5, 6, 1};
    static const uint16_t instructions_15[] = {2, 3, 4, 5, 1};
    /* output, set/dec_mpls_ttl, push/pop_vlan, push/pop_mpls, set_queue, group, set/dec_nw_ttl, set_field; 1.5:
     * copy_field, meter */
    static const uint16_t actions[] = {0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 29};
    bool v15 = version >= OF_VERSION_15, last = table == TABLE_ID_MAX;
    size_t n_actions = ARRAY_SIZE(actions) - (v15 ? 0 : 2), start = w->len;

    writer_u16(w, 0);
    writer_u8(w, table);
    writer_zeros(w, 5); /* in 1.5: the command, replace, and no features */
    put_name(w, name);
    writer_u64(w, UINT64_MAX);
    writer_u64(w, UINT64_MAX);
    writer_u32(w, version >= OF_VERSION_14 ? OF_TABLE_CAP_EVICTION | OF_TABLE_CAP_VACANCY_EVENTS : 0);
    writer_u32(w, max_entries);
    if (v15) {
        put_ids(w, PROP_INSTRUCTIONS, instructions_15, ARRAY_SIZE(instructions_15) - last);
    } else {
        put_ids(w, PROP_INSTRUCTIONS, instructions, ARRAY_SIZE(instructions) - last);
    }
    put_next_tables(w, table);
    put_ids(w, PROP_WRITE_ACTIONS, actions, n_actions);
    put_ids(w, PROP_APPLY_ACTIONS, actions, n_actions);
    put_fields(w, version, PROP_MATCH);
    put_fields(w, version, PROP_WILDCARDS);
    put_fields(w, version, PROP_WRITE_SETFIELD);
    put_fields(w, version, PROP_APPLY_SETFIELD);
    if (v15) {
        put_fields(w, version, PROP_WRITE_COPYFIELD);
        put_fields(w, version, PROP_APPLY_COPYFIELD);
    }
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

/* ---- features: reading ---- */

/* Type and length of each; experimenters' are longer and passed over. */
static int read_ids(struct reader *r, uint32_t *bits)
{
    while (r->left) {
        uint16_t type = reader_u16(r), len = reader_u16(r);

        if (r->error || len < 4 || len - 4u > r->left) {
            return OFERR_PROPERTY_BAD_LEN;
        }
        reader_skip(r, len - 4u);
        if (type < 32) {
            *bits |= 1u << type;
        }
    }
    return 0;
}

static int read_fields(struct reader *r, uint64_t *bits)
{
    while (r->left) {
        uint32_t header = reader_u32(r);

        if (header >> 16 == CLASS_EXPERIMENTER) {
            reader_skip(r, 4);
        } else {
            const struct field *f = field_by_header(header & 0x100 ? (header & ~0x1ffu) | (header & 0xff) / 2 : header);

            if (f) {
                bits[f->id / 64] |= UINT64_C(1) << f->id % 64;
            }
        }
    }
    return r->error ? OFERR_PROPERTY_BAD_LEN : 0;
}

static int read_features_prop(struct of_prop *p, struct of_table_features *tf)
{
    switch (p->type) {
    case PROP_INSTRUCTIONS:
        return read_ids(&p->body, &tf->instructions);
    case PROP_WRITE_ACTIONS:
        return read_ids(&p->body, &tf->write_actions);
    case PROP_APPLY_ACTIONS:
        return read_ids(&p->body, &tf->apply_actions);
    case PROP_MATCH:
        return read_fields(&p->body, tf->match);
    case PROP_NEXT_TABLES:
        while (p->body.left) {
            uint8_t next = reader_u8(&p->body);

            tf->next_tables[next / 64] |= UINT64_C(1) << next % 64;
        }
        return 0;
    default: {
        uint32_t ids = 0;
        uint64_t fields[ARRAY_SIZE(tf->match)] = {0};

        if (p->type >= OF_PROP_EXPERIMENTERS) {
            return 0;
        }
        if (p->type <= PROP_APPLY_ACTIONS + 1 && p->type != PROP_NEXT_TABLES + 1) {
            return read_ids(&p->body, &ids);
        }
        return p->type > PROP_MATCH && p->type <= PROP_APPLY_SETFIELD + 1 ? read_fields(&p->body, fields) : 0;
    }
    }
}

static int read_features_props(struct reader *r, struct of_table_features *tf)
{
    uint32_t seen = 0;

    while (r->left) {
        struct of_prop p;
        int error = of_prop_next(r, &p);

        if (!error && p.type < 32 && seen >> p.type & 1) {
            error = OFERR_PROPERTY_DUP_TYPE;
        }
        if (!error) {
            error = read_features_prop(&p, tf);
        }
        if (error) {
            return error;
        }
        seen |= p.type < 32 ? 1u << p.type : 0;
        tf->have_properties = true;
    }
    return 0;
}

int of_table_features_decode(struct reader *r, uint8_t version, struct of_table_features *ret)
{
    uint16_t len = reader_u16(r);

    if (r->error || len < TABLE_FEATURES_LEN) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 2u);
    struct of_table_features tf = {.table = reader_u8(&e)};
    uint8_t command = reader_u8(&e);
    reader_skip(&e, 4);
    read_name(&e, tf.name);
    tf.metadata_match = reader_u64(&e);
    tf.metadata_write = reader_u64(&e);
    tf.capabilities = reader_u32(&e);
    tf.max_entries = reader_u32(&e);
    if (e.error) {
        return OFERR_BAD_LEN;
    }
    if (version >= OF_VERSION_15 && command > OF_TF_DISABLE) {
        return OFERR_TABLE_FEATURES_BAD_COMMAND;
    }
    if (tf.table == TABLE_ID_ALL) {
        return OFERR_TABLE_FEATURES_BAD_TABLE;
    }
    tf.command = version >= OF_VERSION_15 ? (enum of_table_features_command)command : OF_TF_REPLACE;
    int error = read_features_props(&e, &tf);
    if (!error) {
        *ret = tf;
    }
    return error;
}

/* ---- configuration ---- */

static int read_config_prop(struct of_prop *p, bool strict, struct of_table_config *tc)
{
    if (p->type == PROP_EVICTION) {
        tc->eviction_flags = reader_u32(&p->body);
        return of_prop_end_ok(p);
    }
    if (p->type == PROP_VACANCY) {
        tc->vacancy_down = reader_u8(&p->body);
        tc->vacancy_up = reader_u8(&p->body);
        tc->vacancy_now = reader_u8(&p->body);
        reader_skip(&p->body, 1);
        int error = of_prop_end_ok(p);
        if (!error && (tc->vacancy_down > tc->vacancy_up || tc->vacancy_up > 100 || (strict && tc->vacancy_now))) {
            error = OFERR_PROPERTY_BAD_VALUE;
        }
        return error;
    }
    return strict ? of_prop_unknown(p) : 0;
}

static int read_config(struct reader *r, bool strict, struct of_table_config *tc)
{
    uint32_t config = reader_u32(r);
    bool have_vacancy = false;

    if (r->error) {
        return OFERR_BAD_LEN;
    }
    if (strict && config & ~(CONFIG_MISS_MASK | CONFIG_EVICTION | CONFIG_VACANCY)) {
        return OFERR_TABLE_MOD_BAD_CONFIG;
    }
    tc->eviction = config & CONFIG_EVICTION ? OF_ON : OF_OFF;
    tc->vacancy = config & CONFIG_VACANCY ? OF_ON : OF_OFF;
    tc->eviction_flags = UINT32_MAX;
    while (r->left) {
        struct of_prop p;
        int error = of_prop_next(r, &p);

        if (!error) {
            error = read_config_prop(&p, strict, tc);
        }
        if (error) {
            return error;
        }
        have_vacancy |= p.type == PROP_VACANCY;
    }
    /* Nobody could tell at which thresholds to speak (1.4, 7.3.4.3). */
    return strict && tc->vacancy == OF_ON && !have_vacancy ? OFERR_PROPERTY_BAD_VALUE : 0;
}

int of_table_mod_decode(struct reader *body, uint8_t version, struct of_table_config *ret)
{
    struct of_table_config tc = {.table = reader_u8(body), .eviction = OF_KEEP, .vacancy = OF_KEEP};
    int error = 0;

    reader_skip(body, 3);
    if (version >= OF_VERSION_14) {
        error = read_config(body, true, &tc);
        if (!error && tc.eviction_flags != UINT32_MAX && tc.eviction_flags & ~KNOWN_EVICTION) {
            error = OFERR_TABLE_MOD_BAD_CONFIG;
        }
    } else {
        tc.miss = reader_u32(body);
        tc.eviction_flags = UINT32_MAX;
        error = body->error || body->left     ? OFERR_BAD_LEN
                : tc.miss & ~CONFIG_MISS_MASK ? OFERR_TABLE_MOD_BAD_CONFIG
                                              : 0;
    }
    if (!error && tc.table > TABLE_ID_MAX && tc.table != TABLE_ID_ALL) {
        error = tc.table == TABLE_ID_INTERNAL ? OFERR_TABLE_MOD_EPERM : OFERR_TABLE_MOD_BAD_TABLE;
    }
    if (!error) {
        *ret = tc;
    }
    return error;
}

static uint32_t config_bits(const struct of_table_config *tc)
{
    return (tc->eviction == OF_ON ? CONFIG_EVICTION : 0) | (tc->vacancy == OF_ON ? CONFIG_VACANCY : 0);
}

/* NOW: how much is free; zero in a table_mod. */
static void put_vacancy(struct writer *w, const struct of_table_config *tc, uint8_t now)
{
    size_t prop = of_prop_begin(w, PROP_VACANCY);

    writer_u8(w, tc->vacancy_down);
    writer_u8(w, tc->vacancy_up);
    writer_u8(w, now);
    writer_u8(w, 0);
    of_prop_end(w, prop);
}

void of_table_mod_encode(struct writer *w, uint8_t version, const struct of_table_config *tc, uint32_t xid)
{
    size_t start = of_begin(w, version, OFT_TABLE_MOD, xid);

    writer_u8(w, tc->table);
    writer_zeros(w, 3);
    writer_u32(w, version < OF_VERSION_14 ? tc->miss : config_bits(tc));
    if (version >= OF_VERSION_14 && tc->eviction_flags != UINT32_MAX) {
        of_prop_u32(w, PROP_EVICTION, tc->eviction_flags);
    }
    if (version >= OF_VERSION_14 && tc->vacancy == OF_ON) {
        put_vacancy(w, tc, 0);
    }
    of_end(w, start);
}

void of_table_desc_put(struct writer *w, const struct of_table_config *tc)
{
    size_t start = w->len;

    writer_u16(w, 0);
    writer_u8(w, tc->table);
    writer_u8(w, 0);
    writer_u32(w, config_bits(tc));
    of_prop_u32(w, PROP_EVICTION, tc->eviction_flags == UINT32_MAX ? 0 : tc->eviction_flags);
    if (tc->vacancy == OF_ON) {
        put_vacancy(w, tc, tc->vacancy_now);
    }
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

int of_table_desc_decode(struct reader *r, struct of_table_config *ret)
{
    uint16_t len = reader_u16(r);

    if (r->error || len < TABLE_DESC_LEN) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 2u);
    struct of_table_config tc = {.table = reader_u8(&e)};
    reader_skip(&e, 1);
    int error = read_config(&e, false, &tc);
    if (!error) {
        *ret = tc;
    }
    return error;
}

void of_table_status_encode(struct writer *w, uint8_t version, enum of_table_reason reason,
                            const struct of_table_config *tc)
{
    size_t start = of_begin(w, version, OFT_TABLE_STATUS, 0);

    writer_u8(w, (uint8_t)reason);
    writer_zeros(w, 7);
    of_table_desc_put(w, tc);
    of_end(w, start);
}

int of_table_status_decode(struct reader *body, enum of_table_reason *ret_reason, struct of_table_config *ret)
{
    uint8_t reason = reader_u8(body);
    struct of_table_config tc;

    reader_skip(body, 7);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (reason != OF_TABLE_VACANCY_DOWN && reason != OF_TABLE_VACANCY_UP) {
        return OFERR_NXBRC_BAD_REASON;
    }
    int error = of_table_desc_decode(body, &tc);
    if (!error) {
        *ret_reason = (enum of_table_reason)reason;
        *ret = tc;
    }
    return error;
}
