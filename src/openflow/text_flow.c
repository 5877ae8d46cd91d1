/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <endian.h>

#include "openflow/error.h"
#include "openflow/msg.h"
#include "openflow/msg_multipart.h"
#include "openflow/text_value.h"

static const struct {
    const char *name;
    uint16_t flag;
} flags[] = {
    {"send_flow_rem", FLOW_F_SEND_FLOW_REM},   {"check_overlap", FLOW_F_CHECK_OVERLAP},
    {"reset_counts", FLOW_F_RESET_COUNTS},     {"no_packet_counts", FLOW_F_NO_PACKET_COUNTS},
    {"no_byte_counts", FLOW_F_NO_BYTE_COUNTS},
};

void flow_spec_done(struct flow_spec *spec)
{
    ofpacts_done(&spec->acts);
    memset(spec, 0, sizeof *spec);
}

static int parse_cookie(struct flow_spec *s, const char *value, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(value);
    char *slash = strchr(copy, '/');
    uint64_t n, mask = 0;

    if (slash) {
        *slash++ = '\0';
        if (!strcmp(slash, "-1")) {
            mask = UINT64_MAX;
        } else if (text_u64(slash, UINT64_MAX, &mask)) {
            return text_fail(ret_error, "cookie=%s: invalid mask", value);
        }
    }
    if (text_u64(copy, UINT64_MAX, &n)) {
        return text_fail(ret_error, "cookie=%s: not a number", value);
    }
    s->cookie = htobe64(slash ? n & mask : n);
    s->cookie_mask = htobe64(mask);
    return 0;
}

/* "5.25s" */
static int parse_duration(const char *value, struct flow_counts *counts)
{
    static const uint32_t units[] = {100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    char *end;
    unsigned long long sec = strtoull(value, &end, 10);
    uint32_t nsec = 0;

    if (!isdigit((unsigned char)*value) || sec > UINT32_MAX) {
        return -EINVAL;
    }
    if (*end == '.') {
        end++;
        for (size_t i = 0; i < ARRAY_SIZE(units) && isdigit((unsigned char)*end); i++) {
            nsec += (uint32_t)(*end++ - '0') * units[i];
        }
    }
    if (strcmp(end, "s") != 0) {
        return -EINVAL;
    }
    counts->duration_sec = (uint32_t)sec;
    counts->duration_nsec = nsec;
    return 0;
}

/* Statistics: passed over without COUNTS, as dumped flows may be read back. -ENOENT: KEY is none of them. */
static int parse_statistic(const char *key, const char *value, struct flow_counts *counts, char **ret_error)
{
    static const char *const names[] = {"duration", "n_packets", "n_bytes", "idle_age", "hard_age"};
    uint64_t n = 0;
    size_t i = 0;

    while (i < ARRAY_SIZE(names) && strcmp(names[i], key) != 0) {
        i++;
    }
    if (i == ARRAY_SIZE(names)) {
        return -ENOENT;
    }
    if (counts && (i ? text_u64(value, i < 3 ? UINT64_MAX : UINT32_MAX, &n) : parse_duration(value, counts))) {
        return text_fail(ret_error, "%s=%s: not a number", key, value);
    }
    if (counts && i == 1) {
        counts->packets = n;
    } else if (counts && i == 2) {
        counts->bytes = n;
    } else if (counts && i == 4) {
        counts->hard_age = (uint32_t)n;
    }
    return 0;
}

/* The keys that are no match. -ENOENT: KEY is none of them. */
static int parse_setting(struct flow_spec *s, const char *key, const char *value, const struct name_map *names,
                         char **ret_error)
{
    const struct {
        const char *name;
        uint16_t *field;
    } numbers[] = {
        {"priority", &s->priority},
        {"idle_timeout", &s->idle_timeout},
        {"hard_timeout", &s->hard_timeout},
        {"importance", &s->importance},
    };
    uint64_t n;

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (!strcmp(flags[i].name, key) && !*value) {
            s->flags |= flags[i].flag;
            return 0;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (!strcmp(numbers[i].name, key)) {
            if (text_u64(value, UINT16_MAX, &n)) {
                return text_fail(ret_error, "%s=%s: not a number from 0 to 65535", key, value);
            }
            *numbers[i].field = (uint16_t)n;
            return 0;
        }
    }
    if (!strcmp(key, "table")) {
        if (text_u64(value, TABLE_ID_ALL, &n)) {
            return text_fail(ret_error, "table=%s: not a number from 0 to 255", value);
        }
        s->table = (table_id_t)n;
        return 0;
    }
    if (!strcmp(key, "out_port")) {
        return port_parse(value, names, &s->out_port) ? text_fail(ret_error, "out_port=%s: unknown port", value) : 0;
    }
    if (!strcmp(key, "out_group")) {
        if (text_u64(value, UINT32_MAX, &n)) {
            return text_fail(ret_error, "out_group=%s: not a number", value);
        }
        s->out_group = (uint32_t)n;
        return 0;
    }
    return !strcmp(key, "cookie") ? parse_cookie(s, value, ret_error) : -ENOENT;
}

#define KEYS_MAX 256

struct keys {
    struct {
        char *key, *value;
        unsigned int rank;
    } of[KEYS_MAX];
    size_t n;
};

/* Cuts TEXT into what names the match, with its rank. All else is taken into S and COUNTS at once. */
static int parse_settings(struct flow_spec *s, char *text, const struct name_map *names, struct flow_counts *counts,
                          struct keys *ret, char **ret_error)
{
    char *key, *value;
    int more;

    while ((more = text_next(&text, &key, &value, ret_error)) > 0) {
        int error = parse_setting(s, key, value, names, ret_error);

        error = error == -ENOENT ? parse_statistic(key, value, counts, ret_error) : error;
        if (error == -ENOENT && ret->n == KEYS_MAX) {
            error = text_fail(ret_error, "%s: too many keywords", key);
        }
        if (error && error != -ENOENT) {
            return error;
        }
        if (error) {
            ret->of[ret->n].key = key;
            ret->of[ret->n].value = value;
            ret->of[ret->n++].rank = match_key_rank(key);
        }
    }
    return more;
}

static int parse_keys(struct flow_spec *s, char *text, const struct name_map *names, struct flow_counts *counts,
                      char **ret_error)
{
    struct keys k;
    int error;

    k.n = 0;
    error = parse_settings(s, text, names, counts, &k, ret_error);
    for (unsigned int rank = 0; !error && rank < MATCH_RANKS; rank++) {
        for (size_t i = 0; !error && i < k.n; i++) {
            if (k.of[i].rank == rank) {
                error = match_parse_key(&s->match, k.of[i].key, k.of[i].value, names, ret_error);
                error = error == -ENOENT ? text_fail(ret_error, "unknown keyword %s", k.of[i].key) : error;
            }
        }
    }
    return error;
}

/* Cuts TEXT at "actions=" (also "action="), outside of nothing: no match has such a word. */
static char *cut_actions(char *text)
{
    for (char *p = text; (p = strstr(p, "action")); p++) {
        char *end = p + strlen("action");

        if (p > text && !strchr(", \t\r\n", p[-1])) {
            continue;
        }
        end += *end == 's';
        if (*end == '=') {
            *p = '\0';
            return end + 1;
        }
    }
    return NULL;
}

/* Prerequisites of the actions; which one it was is found by checking ever longer lists. */
static int check_actions(const struct flow_spec *s, bool of10, char **ret_error)
{
    int (*check)(const void *acts, size_t len, const struct match *match, table_id_t table) =
        of10 ? ofpacts_check_of10 : ofpacts_check;
    _cleanup_strbuf_ struct strbuf b = {0};
    int error = check(s->acts.data, s->acts.len, &s->match, s->table);

    if (!error) {
        return 0;
    }
    OFPACT_FOR_EACH(a, s->acts.data, s->acts.len) {
        size_t upto = (size_t)((const uint8_t *)a - s->acts.data) + a->len;

        if (check(s->acts.data, upto, &s->match, s->table)) {
            ofpacts_format(a, a->len, NULL, &b);
            break;
        }
    }
    return text_fail(ret_error, "%s: %s (%s)", strbuf_str(&b),
                     error == OFERR_ACTION_MATCH_INCONSISTENT ? "the match lacks what this action needs"
                     : error == OFERR_INST_BAD_TABLE_ID       ? "goto_table only leads to later tables"
                                                              : "not possible here",
                     oferr_name(error));
}

/* COUNTS: NULL, or the flow is a switch's. */
static int parse(const char *text, const struct name_map *names, struct flow_counts *counts, struct flow_spec *ret_spec,
                 char **ret_error)
{
    struct flow_spec s = {
        .table = TABLE_ID_ALL, .priority = FLOW_DEFAULT_PRIORITY, .out_port = OFPP_ANY, .out_group = OF_GROUP_ANY};
    _cleanup_free_ char *copy = xstrdup(text);
    char *actions = cut_actions(copy);
    int error;

    if (ret_error) {
        *ret_error = NULL;
    }
    error = parse_keys(&s, copy, names, counts, ret_error);
    if (!error && actions) {
        s.has_actions = true;
        error = actions_parse(actions, names, &s.match, &s.acts, ret_error);
        ofpacts_note_vlan(&s.acts, &s.match);
    }
    error = error ? error : check_actions(&s, counts != NULL, ret_error);
    if (error) {
        flow_spec_done(&s);
        return error;
    }
    *ret_spec = s;
    return 0;
}

int flow_parse(const char *text, const struct name_map *names, struct flow_spec *ret_spec, char **ret_error)
{
    return parse(text, names, NULL, ret_spec, ret_error);
}

int flow_parse_counts(const char *text, struct flow_spec *ret_spec, struct flow_counts *ret_counts, char **ret_error)
{
    struct flow_counts counts = {0};
    int error = parse(text, NULL, &counts, ret_spec, ret_error);

    if (!error) {
        *ret_counts = counts;
    }
    return error;
}

/* -EINVAL if KEY is something of a flow that none are selected by. */
static int check_selects(const char *key, const char *value, char **ret_error)
{
    static const char *const selecting[] = {"table", "cookie", "out_port", "out_group"};
    struct flow_spec scratch = {0};

    if (!strcmp(key, "cookie") && !strchr(value, '/')) {
        return text_fail(ret_error, "cookie=%s: selects flows with a mask only: cookie=%s/-1", value, value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(selecting); i++) {
        if (!strcmp(selecting[i], key)) {
            return 0;
        }
    }
    if (!strncmp(key, "action", strlen("action")) || parse_setting(&scratch, key, value, NULL, NULL) != -ENOENT ||
        parse_statistic(key, value, NULL, NULL) != -ENOENT) {
        return text_fail(ret_error,
                         "%s: flows are selected by table, cookie, out_port, out_group and match fields only", key);
    }
    return 0;
}

int flow_request_parse(const char *text, const struct name_map *names, struct of_flow_request *ret, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(text);
    _cleanup_flow_spec_ struct flow_spec s = {0};
    char *at = copy, *key, *value;
    int more;

    if (ret_error) {
        *ret_error = NULL;
    }
    while ((more = text_next(&at, &key, &value, ret_error)) > 0) {
        if (check_selects(key, value, ret_error)) {
            return -EINVAL;
        }
    }
    if (more || flow_parse(text, names, &s, ret_error)) {
        return -EINVAL;
    }
    *ret = (struct of_flow_request){.table = s.table,
                                    .out_port = s.out_port,
                                    .out_group = s.out_group,
                                    .cookie = s.cookie,
                                    .cookie_mask = s.cookie_mask,
                                    .match = s.match};
    return 0;
}

const char *flow_flag_name(uint16_t flag)
{
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (flags[i].flag == flag) {
            return flags[i].name;
        }
    }
    return NULL;
}

/* "duration=5.25s, " */
static void format_duration(const struct flow_counts *counts, struct strbuf *b)
{
    strbuf_addf(b, "duration=%u", counts->duration_sec);
    if (counts->duration_nsec) {
        strbuf_addf(b, ".%09u", counts->duration_nsec);
        while (b->s[b->len - 1] == '0') {
            strbuf_chomp(b, '0');
        }
    }
    strbuf_add(b, "s, ");
}

void flow_format(const struct flow_spec *s, const struct name_map *names, struct strbuf *b)
{
    flow_format_counts(s, NULL, names, b);
}

void flow_format_counts(const struct flow_spec *s, const struct flow_counts *counts, const struct name_map *names,
                        struct strbuf *b)
{
    size_t start;

    strbuf_addf(b, "cookie=0x%llx", (unsigned long long)be64toh(s->cookie));
    if (s->cookie_mask) {
        strbuf_addf(b, "/0x%llx", (unsigned long long)be64toh(s->cookie_mask));
    }
    strbuf_add(b, ", ");
    if (counts) {
        format_duration(counts, b);
    }
    if (counts || (s->table && s->table != TABLE_ID_ALL)) {
        strbuf_addf(b, "table=%u, ", s->table);
    }
    if (counts) {
        strbuf_addf(b, "n_packets=%llu, n_bytes=%llu, ", (unsigned long long)counts->packets,
                    (unsigned long long)counts->bytes);
    }
    if (s->idle_timeout) {
        strbuf_addf(b, "idle_timeout=%u, ", s->idle_timeout);
    }
    if (s->hard_timeout) {
        strbuf_addf(b, "hard_timeout=%u, ", s->hard_timeout);
    }
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (s->flags & flags[i].flag) {
            strbuf_addf(b, "%s ", flags[i].name);
        }
    }
    if (s->importance) {
        strbuf_addf(b, "importance=%u, ", s->importance);
    }
    if (counts && counts->hard_age) {
        strbuf_addf(b, "hard_age=%u, ", counts->hard_age);
    }
    if (s->priority != FLOW_DEFAULT_PRIORITY) {
        strbuf_addf(b, "priority=%u,", s->priority);
    }
    start = b->len;
    match_format(&s->match, names, b);
    if (b->len == start) {
        strbuf_chomp(b, ',');
    }
    strbuf_addf(b, "%sactions=", b->len && b->s[b->len - 1] == ' ' ? "" : " ");
    ofpacts_format(s->acts.data, s->acts.len, names, b);
}
