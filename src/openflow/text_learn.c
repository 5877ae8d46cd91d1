/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>

#include "openflow/action_codec.h"
#include "openflow/text_value.h"

static int set_source(struct learn_spec *s, const char *text, char **ret_error)
{
    s->src_type = LEARN_SRC_FIELD;
    return subfield_parse(text, &s->src, ret_error);
}

/* "eth_type=0x800", "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]", "reg0[0..3]=5", "NXM_OF_VLAN_TCI[0..11]". */
static int parse_match_spec(struct learn_spec *s, const char *key, const char *value, const struct name_map *names,
                            char **ret_error)
{
    union field_value v;

    s->dst_type = LEARN_DST_MATCH;
    if (subfield_parse(key, &s->dst, ret_error)) {
        return -EINVAL;
    }
    s->n_bits = s->dst.n_bits;
    if (!*value) {
        s->src_type = LEARN_SRC_FIELD;
        s->src = s->dst;
        return 0;
    }
    if (field_by_name(value, strcspn(value, "["))) {
        return set_source(s, value, ret_error);
    }
    s->src_type = LEARN_SRC_IMMEDIATE;
    if (strchr(key, '[')) {
        return immediate_parse(value, s->n_bits, &s->imm, ret_error);
    }
    s->n_bits = s->dst.n_bits = s->dst.field->n_bits;
    if (field_value_parse(s->dst.field, value, names, &v, NULL, ret_error)) {
        return -EINVAL;
    }
    memcpy(s->imm.b + 16 - s->dst.field->n_bytes, v.b, s->dst.field->n_bytes);
    return 0;
}

static int parse_load_spec(struct learn_spec *s, char *value, char **ret_error)
{
    char *arrow = strstr(value, "->");

    if (!arrow) {
        return text_fail(ret_error, "load:%s: missing \"->\"", value);
    }
    *arrow = '\0';
    s->dst_type = LEARN_DST_LOAD;
    if (subfield_parse(arrow + 2, &s->dst, ret_error)) {
        return -EINVAL;
    }
    s->n_bits = s->dst.n_bits;
    if (!s->dst.field->writable) {
        return text_fail(ret_error, "%s: field is read-only", arrow + 2);
    }
    if (field_by_name(value, strcspn(value, "["))) {
        return set_source(s, value, ret_error);
    }
    s->src_type = LEARN_SRC_IMMEDIATE;
    return immediate_parse(value, s->n_bits, &s->imm, ret_error);
}

static int parse_spec(struct learn_spec *s, const char *key, char *value, const struct name_map *names,
                      char **ret_error)
{
    int error;

    if (!strcmp(key, "load")) {
        error = parse_load_spec(s, value, ret_error);
    } else if (!strcmp(key, "output")) {
        s->dst_type = LEARN_DST_OUTPUT;
        error = set_source(s, value, ret_error);
        s->n_bits = s->src.n_bits;
    } else {
        error = parse_match_spec(s, key, value, names, ret_error);
    }
    if (!error && s->src_type == LEARN_SRC_FIELD && s->src.n_bits != s->n_bits) {
        return text_fail(ret_error, "%s%s%s: bit widths of source (%u) and destination (%u) differ", key,
                         *value ? "=" : "", value, s->src.n_bits, s->n_bits);
    }
    return error;
}

static int parse_result(struct ofpact_learn *l, const char *value, char **ret_error)
{
    if (subfield_parse(value, &l->result, ret_error)) {
        return -EINVAL;
    }
    if (l->result.n_bits != 1 || !l->result.field->writable) {
        return text_fail(ret_error, "learn: result_dst=%s is not one bit that can be written", value);
    }
    l->flags |= LEARN_F_WRITE_RESULT;
    return 1;
}

/* The keys that stand before the specs. 0: KEY was none of them. */
static int parse_setting(struct ofpact_learn *l, const char *key, const char *value, char **ret_error)
{
    const struct {
        const char *name;
        uint16_t *field;
        uint64_t max;
    } numbers[] = {
        {"idle_timeout", &l->idle_timeout, UINT16_MAX},
        {"hard_timeout", &l->hard_timeout, UINT16_MAX},
        {"priority", &l->priority, UINT16_MAX},
        {"fin_idle_timeout", &l->fin_idle_timeout, UINT16_MAX},
        {"fin_hard_timeout", &l->fin_hard_timeout, UINT16_MAX},
    };
    uint64_t n;

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (!strcmp(numbers[i].name, key)) {
            if (text_u64(value, numbers[i].max, &n)) {
                return text_fail(ret_error, "learn: invalid %s=%s", key, value);
            }
            *numbers[i].field = (uint16_t)n;
            return 1;
        }
    }
    if (!strcmp(key, "table") || !strcmp(key, "cookie")) {
        bool table = *key == 't';

        if (text_u64(value, table ? TABLE_ID_MAX : UINT64_MAX, &n)) {
            return text_fail(ret_error, "learn: invalid %s=%s", key, value);
        }
        if (table) {
            l->table = (table_id_t)n;
        } else {
            l->cookie = htobe64(n);
        }
        return 1;
    }
    if (!strcmp(key, "send_flow_rem")) {
        l->flags |= LEARN_F_SEND_FLOW_REM;
        return 1;
    }
    if (!strcmp(key, "delete_learned")) {
        l->flags |= LEARN_F_DELETE_LEARNED;
        return 1;
    }
    if (!strcmp(key, "limit")) {
        if (text_u64(value, UINT32_MAX, &n)) {
            return text_fail(ret_error, "learn: invalid %s=%s", key, value);
        }
        l->limit = (uint32_t)n;
        return 1;
    }
    return !strcmp(key, "result_dst") ? parse_result(l, value, ret_error) : 0;
}

int learn_parse(char *text, const struct name_map *names, struct ofpacts *acts, char **ret_error)
{
    struct ofpact_learn l = {.priority = FLOW_DEFAULT_PRIORITY, .table = 1}, *put;
    _cleanup_free_ struct learn_spec *specs = NULL;
    size_t n = 0, size;
    char *key, *value;
    int more, r;

    while ((more = text_next(&text, &key, &value, ret_error)) > 0) {
        r = parse_setting(&l, key, value, ret_error);
        if (r < 0) {
            return r;
        }
        if (r) {
            continue;
        }
        specs = xrealloc(specs, (n + 1) * sizeof *specs);
        memset(&specs[n], 0, sizeof *specs);
        r = parse_spec(&specs[n++], key, value, names, ret_error);
        if (r) {
            return r;
        }
    }
    size = sizeof l + n * sizeof *specs;
    if (more < 0 || size > UINT16_MAX - 7) {
        return more < 0 ? more : text_fail(ret_error, "learn: too many specifications");
    }
    put = ofpact_put(acts, OFPACT_LEARN, size);
    l.h = put->h;
    l.n_specs = (uint16_t)n;
    memcpy(put, &l, sizeof l);
    if (n) {
        memcpy(put->specs, specs, n * sizeof *specs);
    }
    return 0;
}

static void spec_format(const struct learn_spec *s, const struct name_map *names, struct strbuf *b)
{
    if (s->dst_type == LEARN_DST_OUTPUT) {
        strbuf_add(b, "output:");
        subfield_format(&s->src, b);
        return;
    }
    if (s->dst_type == LEARN_DST_LOAD) {
        strbuf_add(b, "load:");
        if (s->src_type == LEARN_SRC_FIELD) {
            subfield_format(&s->src, b);
        } else {
            hex_format(&s->imm, b);
        }
        strbuf_add(b, "->");
        subfield_format(&s->dst, b);
        return;
    }
    if (s->src_type == LEARN_SRC_FIELD) {
        subfield_format(&s->dst, b);
        if (s->src.field != s->dst.field || s->src.ofs != s->dst.ofs) {
            strbuf_add(b, "=");
            subfield_format(&s->src, b);
        }
    } else if (!s->dst.ofs && s->dst.n_bits == s->dst.field->n_bits) {
        union field_value v = {0};

        memcpy(v.b, s->imm.b + 16 - s->dst.field->n_bytes, s->dst.field->n_bytes);
        strbuf_addf(b, "%s=", s->dst.field->name);
        field_value_format(s->dst.field, &v, NULL, names, b);
    } else {
        subfield_format(&s->dst, b);
        strbuf_add(b, "=");
        hex_format(&s->imm, b);
    }
}

static void setting_format(const char *name, uint16_t v, uint16_t unless, struct strbuf *b)
{
    if (v != unless) {
        strbuf_addf(b, ",%s=%u", name, v);
    }
}

void learn_format(const struct ofpact_learn *l, const struct name_map *names, struct strbuf *b)
{
    strbuf_addf(b, "learn(table=%u", l->table);
    setting_format("idle_timeout", l->idle_timeout, 0, b);
    setting_format("hard_timeout", l->hard_timeout, 0, b);
    setting_format("fin_idle_timeout", l->fin_idle_timeout, 0, b);
    setting_format("fin_hard_timeout", l->fin_hard_timeout, 0, b);
    setting_format("priority", l->priority, FLOW_DEFAULT_PRIORITY, b);
    if (l->flags & LEARN_F_SEND_FLOW_REM) {
        strbuf_add(b, ",send_flow_rem");
    }
    if (l->flags & LEARN_F_DELETE_LEARNED) {
        strbuf_add(b, ",delete_learned");
    }
    if (l->cookie) {
        strbuf_addf(b, ",cookie=0x%llx", (unsigned long long)be64toh(l->cookie));
    }
    if (l->limit) {
        strbuf_addf(b, ",limit=%u", l->limit);
    }
    if (l->flags & LEARN_F_WRITE_RESULT) {
        strbuf_add(b, ",result_dst=");
        subfield_format(&l->result, b);
    }
    for (size_t i = 0; i < l->n_specs; i++) {
        strbuf_add(b, ",");
        spec_format(&l->specs[i], names, b);
    }
    strbuf_add(b, ")");
}
