/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/text_group.h"

#include "openflow/text_value.h"

#define BUCKET ",bucket="
#define ACTIONS "actions="

static const char *const type_names[] = {[OF_GROUP_TYPE_ALL] = "all",
                                         [OF_GROUP_TYPE_SELECT] = "select",
                                         [OF_GROUP_TYPE_INDIRECT] = "indirect",
                                         [OF_GROUP_TYPE_FAILOVER] = "ff"};
static const char *const method_names[] = {[OF_SELECT_DP_HASH] = "dp_hash", [OF_SELECT_HASH] = "hash"};

/* The place of NAME among N NAMES, of which some may be NULL. -ENOENT. */
static int find_name(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (names[i] && !strcmp(names[i], name)) {
            return (int)i;
        }
    }
    return -ENOENT;
}

/* ---- groups, written ---- */

/* Masks in hex: a value's own form is none for every mask. */
static void format_fields(const struct of_group *g, struct strbuf *b)
{
    strbuf_add(b, ",fields(");
    for (size_t i = 0; i < g->n_fields; i++) {
        const struct of_selection_field *sf = &g->fields[i];
        const union field_value ones = field_ones(sf->field);

        strbuf_addf(b, "%s%s", i ? "," : "", sf->field->name);
        if (memcmp(ones.b, sf->mask.b, sf->field->n_bytes) != 0) {
            strbuf_add(b, "=0x");
            for (size_t k = 0; k < sf->field->n_bytes; k++) {
                strbuf_addf(b, "%02x", sf->mask.b[k]);
            }
        }
    }
    strbuf_add(b, ")");
}

void bucket_format(const struct of_bucket *bucket, struct strbuf *b)
{
    strbuf_addf(b, BUCKET "bucket_id:%u,", bucket->id);
    if (bucket->weight) {
        strbuf_addf(b, "weight:%u,", bucket->weight);
    }
    if (bucket->watch_port != OFPP_ANY) {
        strbuf_add(b, "watch_port:");
        port_format(bucket->watch_port, NULL, b);
        strbuf_add(b, ",");
    }
    if (bucket->watch_group != OF_GROUP_ANY) {
        strbuf_addf(b, "watch_group:%u,", bucket->watch_group);
    }
    strbuf_add(b, ACTIONS);
    ofpacts_format(bucket->acts.data, bucket->acts.len, NULL, b);
}

void group_format(const struct of_group *g, size_t n_later, struct strbuf *b)
{
    strbuf_addf(b, "group_id=%u,type=%s", g->id, type_names[g->type]);
    if (g->method != OF_SELECT_DEFAULT) {
        strbuf_addf(b, ",selection_method=%s", method_names[g->method]);
    }
    if (g->method_param) {
        strbuf_addf(b, ",selection_method_param=%llu", (unsigned long long)g->method_param);
    }
    if (g->n_fields) {
        format_fields(g, b);
    }
    for (size_t i = 0; i + n_later < g->n_buckets; i++) {
        bucket_format(&g->buckets[i], b);
    }
}

/* ---- groups, read ---- */

static int parse_u32(const char *key, const char *value, uint32_t max, uint32_t *ret, char **ret_error)
{
    uint64_t n;

    if (text_u64(value, max, &n)) {
        return text_fail(ret_error, "%s=%s: not a number from 0 to %u", key, value, max);
    }
    *ret = (uint32_t)n;
    return 0;
}

static int parse_field(struct of_group *g, const char *name, const char *mask, char **ret_error)
{
    struct of_selection_field sf = {.field = field_by_name(name, strlen(name))};

    if (!sf.field) {
        return text_fail(ret_error, "%s: no such field", name);
    }
    const union field_value ones = field_ones(sf.field);
    sf.mask = ones;
    if (*mask && text_number(mask, sf.mask.b, sf.field->n_bytes)) {
        return text_fail(ret_error, "%s=%s: not a mask of %u bytes", name, mask, sf.field->n_bytes);
    }
    for (size_t i = 0; i < sf.field->n_bytes; i++) {
        if (sf.mask.b[i] & ~ones.b[i] & 0xff) {
            return text_fail(ret_error, "%s=%s: wider than the field", name, mask);
        }
    }
    for (size_t i = 0; i < g->n_fields; i++) {
        if (g->fields[i].field == sf.field) {
            return text_fail(ret_error, "%s: twice", name);
        }
    }
    if (g->n_fields == OF_SELECTION_FIELDS_MAX) {
        return text_fail(ret_error, "%s: too many fields", name);
    }
    g->fields = xrealloc(g->fields, (g->n_fields + 1) * sizeof *g->fields);
    g->fields[g->n_fields++] = sf;
    return 0;
}

static int parse_fields(struct of_group *g, char *list, char **ret_error)
{
    char *name, *mask;
    int more, error = 0;

    while (!error && (more = text_next(&list, &name, &mask, ret_error)) != 0) {
        error = more < 0 ? more : parse_field(g, name, mask, ret_error);
    }
    return error;
}

static int parse_command_bucket(const char *value, uint32_t *ret, char **ret_error)
{
    if (!strcmp(value, "first") || !strcmp(value, "last") || !strcmp(value, "all")) {
        *ret = *value == 'f' ? OF_BUCKET_FIRST : *value == 'l' ? OF_BUCKET_LAST : OF_BUCKET_ALL;
        return 0;
    }
    return parse_u32("command_bucket_id", value, OF_BUCKET_MAX, ret, ret_error);
}

static int parse_group_key(struct of_group *g, const char *key, char *value, uint32_t *ret_bucket, char **ret_error)
{
    int n;

    if (!strcmp(key, "group_id")) {
        return parse_u32(key, value, OF_GROUP_MAX, &g->id, ret_error);
    }
    if (!strcmp(key, "type")) {
        n = find_name(type_names, ARRAY_SIZE(type_names), value);
        g->type = n < 0 ? g->type : (enum of_group_type)n;
        return n < 0 ? text_fail(ret_error, "type=%s: no such type", value) : 0;
    }
    if (!strcmp(key, "selection_method")) {
        n = find_name(method_names, ARRAY_SIZE(method_names), value);
        g->method = n < 0 ? g->method : (enum of_selection_method)n;
        return n < 0 ? text_fail(ret_error, "selection_method=%s: no such method", value) : 0;
    }
    if (!strcmp(key, "selection_method_param")) {
        return text_u64(value, UINT64_MAX, &g->method_param) ? text_fail(ret_error, "%s=%s: not a number", key, value)
                                                             : 0;
    }
    if (!strcmp(key, "fields")) {
        return parse_fields(g, value, ret_error);
    }
    if (!strcmp(key, "command_bucket_id") && ret_bucket) {
        return parse_command_bucket(value, ret_bucket, ret_error);
    }
    return text_fail(ret_error, "unknown keyword %s", key);
}

static int parse_bucket_key(struct of_bucket *bucket, const char *key, const char *value, char **ret_error)
{
    uint32_t weight = 0;
    int error;

    if (!strcmp(key, "bucket_id")) {
        return parse_u32(key, value, OF_BUCKET_MAX, &bucket->id, ret_error);
    }
    if (!strcmp(key, "weight")) {
        error = parse_u32(key, value, UINT16_MAX, &weight, ret_error);
        bucket->weight = error ? bucket->weight : (uint16_t)weight;
        return error;
    }
    if (!strcmp(key, "watch_port")) {
        return port_parse(value, NULL, &bucket->watch_port) ? text_fail(ret_error, "watch_port:%s: no port", value) : 0;
    }
    if (!strcmp(key, "watch_group")) {
        return parse_u32(key, value, OF_GROUP_MAX, &bucket->watch_group, ret_error);
    }
    return text_fail(ret_error, "unknown keyword %s", key);
}

/* The actions end the bucket. */
static int parse_bucket(struct of_group *g, char *text, char **ret_error)
{
    g->buckets = xrealloc(g->buckets, (g->n_buckets + 1) * sizeof *g->buckets);
    struct of_bucket *bucket = &g->buckets[g->n_buckets];
    *bucket = (struct of_bucket){.id = (uint32_t)g->n_buckets++, .watch_port = OFPP_ANY, .watch_group = OF_GROUP_ANY};
    char *actions = strstr(text, ACTIONS), *key, *value;
    int more, error = 0;

    if (!actions) {
        return text_fail(ret_error, "a bucket without actions=");
    }
    *actions = '\0';
    while (!error && (more = text_next(&text, &key, &value, ret_error)) != 0) {
        error = more < 0 ? more : parse_bucket_key(bucket, key, value, ret_error);
    }
    return error ? error : actions_parse(actions + strlen(ACTIONS), NULL, NULL, &bucket->acts, ret_error);
}

static int check_unique(const struct of_group *g, char **ret_error)
{
    for (size_t i = 0; i < g->n_buckets; i++) {
        for (size_t k = 0; k < i; k++) {
            if (g->buckets[i].id == g->buckets[k].id) {
                return text_fail(ret_error, "bucket_id:%u: twice", g->buckets[i].id);
            }
        }
    }
    return 0;
}

int group_parse(const char *text, uint32_t *ret_bucket, struct of_group *ret, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(text);
    struct of_group g = {.id = OF_GROUP_ANY};
    char *bucket = strstr(copy, BUCKET), *pos = copy, *key, *value;
    uint32_t command_bucket = ret_bucket ? *ret_bucket : 0;
    int more, error = 0;

    *ret_error = NULL;
    if (bucket) {
        *bucket = '\0';
        bucket += strlen(BUCKET);
    }
    while (!error && (more = text_next(&pos, &key, &value, ret_error)) != 0) {
        error = more < 0 ? more : parse_group_key(&g, key, value, ret_bucket ? &command_bucket : NULL, ret_error);
    }
    if (!error && g.id == OF_GROUP_ANY) {
        error = text_fail(ret_error, "no group_id");
    }
    while (!error && bucket) {
        char *next = strstr(bucket, BUCKET);

        if (next) {
            *next = '\0';
            next += strlen(BUCKET);
        }
        error = parse_bucket(&g, bucket, ret_error);
        bucket = next;
    }
    error = error ? error : check_unique(&g, ret_error);
    if (error) {
        of_group_done(&g);
        return error;
    }
    *ret = g;
    if (ret_bucket) {
        *ret_bucket = command_bucket;
    }
    return 0;
}

/* ---- meters ---- */

static const struct {
    const char *name;
    uint16_t flag;
} meter_flags[] = {
    {"kbps", OF_METER_KBPS}, {"pktps", OF_METER_PKTPS}, {"burst", OF_METER_BURST}, {"stats", OF_METER_STATS}};
static const char *const band_names[] = {[OF_BAND_DROP] = "drop", [OF_BAND_DSCP_REMARK] = "dscp_remark"};
static const struct {
    const char *name;
    uint32_t id;
} virtual_meters[] = {{"slowpath", OF_METER_SLOWPATH}, {"controller", OF_METER_CONTROLLER}};

void meter_format(const struct of_meter *m, struct strbuf *b)
{
    const char *name = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(virtual_meters); i++) {
        name = m->id == virtual_meters[i].id ? virtual_meters[i].name : name;
    }
    if (name) {
        strbuf_addf(b, "meter=%s", name);
    } else {
        strbuf_addf(b, "meter=%u", m->id);
    }
    for (size_t i = 0; i < ARRAY_SIZE(meter_flags); i++) {
        if (m->flags & meter_flags[i].flag) {
            strbuf_addf(b, " %s", meter_flags[i].name);
        }
    }
    strbuf_add(b, " bands=");
    for (size_t i = 0; i < m->n_bands; i++) {
        const struct of_meter_band *band = &m->bands[i];

        strbuf_addf(b, " type=%s rate=%u", band_names[band->type], band->rate);
        if (m->flags & OF_METER_BURST) {
            strbuf_addf(b, " burst_size=%u", band->burst);
        }
        if (band->type == OF_BAND_DSCP_REMARK) {
            strbuf_addf(b, " prec_level=%u", band->prec_level);
        }
    }
}

static int parse_meter_id(const char *value, uint32_t *ret, char **ret_error)
{
    for (size_t i = 0; i < ARRAY_SIZE(virtual_meters); i++) {
        if (!strcmp(virtual_meters[i].name, value)) {
            *ret = virtual_meters[i].id;
            return 0;
        }
    }
    int error = parse_u32("meter", value, OF_METER_MAX, ret, ret_error);
    return error || *ret ? error : text_fail(ret_error, "meter=0: meters begin with 1");
}

static int parse_band_key(struct of_meter *m, const char *key, const char *value, char **ret_error)
{
    struct of_meter_band *band = m->n_bands ? &m->bands[m->n_bands - 1] : NULL;
    uint32_t prec = 0;
    int n;

    if (!strcmp(key, "type")) {
        n = find_name(band_names, ARRAY_SIZE(band_names), value);
        if (n < 0) {
            return text_fail(ret_error, "type=%s: no such band", value);
        }
        m->bands = xrealloc(m->bands, (m->n_bands + 1) * sizeof *m->bands);
        m->bands[m->n_bands++] = (struct of_meter_band){.type = (enum of_band_type)n};
        return 0;
    }
    if (band && !strcmp(key, "rate")) {
        return parse_u32(key, value, UINT32_MAX, &band->rate, ret_error);
    }
    if (band && !strcmp(key, "burst_size")) {
        return parse_u32(key, value, UINT32_MAX, &band->burst, ret_error);
    }
    if (band && !strcmp(key, "prec_level")) {
        n = parse_u32(key, value, UINT8_MAX, &prec, ret_error);
        band->prec_level = n ? band->prec_level : (uint8_t)prec;
        return n;
    }
    return text_fail(ret_error, "unknown keyword %s", key);
}

static int parse_meter_key(struct of_meter *m, bool *bands, const char *key, const char *value, char **ret_error)
{
    if (!*bands && !strcmp(key, "meter")) {
        return parse_meter_id(value, &m->id, ret_error);
    }
    for (size_t i = 0; !*bands && i < ARRAY_SIZE(meter_flags); i++) {
        if (!strcmp(meter_flags[i].name, key) && !*value) {
            m->flags |= meter_flags[i].flag;
            return 0;
        }
    }
    if (!*bands && !strcmp(key, "bands")) {
        *bands = true;
        return *value ? text_fail(ret_error, "bands=%s: a blank is missing", value) : 0;
    }
    return parse_band_key(m, key, value, ret_error);
}

static int check_meter(const struct of_meter *m, char **ret_error)
{
    if (!m->id) {
        return text_fail(ret_error, "no meter=");
    }
    if (m->flags & OF_METER_KBPS && m->flags & OF_METER_PKTPS) {
        return text_fail(ret_error, "kbps and pktps exclude each other");
    }
    for (size_t i = 0; i < m->n_bands; i++) {
        if (!m->bands[i].rate) {
            return text_fail(ret_error, "a band without a rate");
        }
    }
    return 0;
}

int meter_parse(const char *text, struct of_meter *ret, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(text);
    struct of_meter m = {0};
    char *pos = copy, *key, *value;
    bool bands = false;
    int more, error = 0;

    *ret_error = NULL;
    while (!error && (more = text_next(&pos, &key, &value, ret_error)) != 0) {
        error = more < 0 ? more : parse_meter_key(&m, &bands, key, value, ret_error);
    }
    error = error ? error : check_meter(&m, ret_error);
    if (error) {
        of_meter_done(&m);
        return error;
    }
    m.flags |= m.flags & OF_METER_PKTPS ? 0 : OF_METER_KBPS; /* the default (1.3, 7.3.4.5) */
    *ret = m;
    return 0;
}
