/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions from text that have a grammar of their own: multipath and bundle with their arguments by position, and
 * controller with its keys.
 */
#include <ctype.h>
#include <stdlib.h>

#include "openflow/action_codec.h"
#include "openflow/text_value.h"

static const char *const hash_fields[] = {
    "eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src", "nw_dst", "symmetric_l3",
};
static const char *const multipath_algorithms[] = {"modulo_n", "hash_threshold", "hrw", "iter_hash"};
static const char *const bundle_algorithms[] = {"active_backup", "hrw"};
static const char *const reason_names[] = {"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"};

const char *hash_fields_name(uint16_t fields)
{
    return fields < ARRAY_SIZE(hash_fields) ? hash_fields[fields] : "?";
}

const char *multipath_algorithm_name(uint16_t algorithm)
{
    return algorithm < ARRAY_SIZE(multipath_algorithms) ? multipath_algorithms[algorithm] : "?";
}

const char *bundle_algorithm_name(uint16_t algorithm)
{
    return algorithm < ARRAY_SIZE(bundle_algorithms) ? bundle_algorithms[algorithm] : "?";
}

static int find_name(const char *const *names, size_t n, const char *s, uint16_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (s && !strcmp(names[i], s)) {
            *ret = (uint16_t)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* The next argument, in place, without blanks around it; NULL: there is none. */
static char *next_arg(char **text)
{
    char *arg = *text ? strsep(text, ",") : NULL;

    if (arg) {
        arg += strspn(arg, " \t");
        arg[strcspn(arg, " \t")] = '\0';
    }
    return arg;
}

static int hash_parse(char **text, const char *action, uint16_t *fields, uint16_t *basis, char **ret_error)
{
    char *name = next_arg(text), *number = next_arg(text);
    uint64_t n;

    if (find_name(hash_fields, ARRAY_SIZE(hash_fields), name, fields)) {
        return text_fail(ret_error, "%s: unknown fields %s", action, name ? name : "");
    }
    if (!number || text_u64(number, UINT16_MAX, &n)) {
        return text_fail(ret_error, "%s: invalid basis %s", action, number ? number : "");
    }
    *basis = (uint16_t)n;
    return 0;
}

int multipath_parse(char *text, struct ofpacts *acts, char **ret_error)
{
    struct ofpact_multipath m = {0}, *put;
    char *algorithm, *links, *arg, *dst;
    uint64_t n_links, n_arg;

    if (hash_parse(&text, "multipath", &m.fields, &m.basis, ret_error)) {
        return -EINVAL;
    }
    algorithm = next_arg(&text);
    links = next_arg(&text);
    arg = next_arg(&text);
    dst = next_arg(&text);
    if (!dst || text) {
        return text_fail(ret_error, "multipath: takes FIELDS,BASIS,ALGORITHM,N_LINKS,ARG,DST");
    }
    if (find_name(multipath_algorithms, ARRAY_SIZE(multipath_algorithms), algorithm, &m.algorithm)) {
        return text_fail(ret_error, "multipath: unknown algorithm %s", algorithm);
    }
    if (text_u64(links, 65536, &n_links) || !n_links || text_u64(arg, UINT32_MAX, &n_arg)) {
        return text_fail(ret_error, "multipath: invalid number of links %s or argument %s", links, arg);
    }
    if (subfield_parse(dst, &m.dst, ret_error)) {
        return -EINVAL;
    }
    m.max_link = (uint16_t)(n_links - 1);
    m.arg = (uint32_t)n_arg;
    if (!m.dst.field->writable || m.dst.n_bits > 64 || !multipath_ok(&m)) {
        return text_fail(ret_error, "multipath: %s does not hold a number of %llu links", dst,
                         (unsigned long long)n_links);
    }
    put = ofpact_put(acts, OFPACT_MULTIPATH, sizeof m);
    m.h = put->h;
    *put = m;
    return 0;
}

static const char *const member_words[] = {"members:", "slaves:", "members=", "slaves="};

/* The first of the members, if S begins their list. */
static char *members_begin(char *s)
{
    for (size_t i = 0; s && i < ARRAY_SIZE(member_words); i++) {
        if (!strncmp(s, member_words[i], strlen(member_words[i]))) {
            return s + strlen(member_words[i]);
        }
    }
    return NULL;
}

static int put_bundle(struct ofpact_bundle *b, char *first, char *text, const struct name_map *names,
                      struct ofpacts *acts, char **ret_error)
{
    _cleanup_free_ ofp_port_t *ports = NULL;
    struct ofpact_bundle *put;
    size_t n = 0;

    for (char *s = first; s && *s; s = next_arg(&text)) {
        ports = xrealloc(ports, (n + 1) * sizeof *ports);
        if (port_parse(s, names, &ports[n]) || !bundle_member_ok(ports[n])) {
            return text_fail(ret_error, "bundle: %s is no port for a bundle", s);
        }
        n++;
        if (sizeof *b + n * sizeof *ports > UINT16_MAX - 7) {
            return text_fail(ret_error, "bundle: too many members");
        }
    }
    put = ofpact_put(acts, OFPACT_BUNDLE, sizeof *b + n * sizeof *ports);
    b->h = put->h;
    b->n_members = (uint16_t)n;
    memcpy(put, b, sizeof *b);
    if (n) {
        memcpy(put->members, ports, n * sizeof *ports);
    }
    return 0;
}

int bundle_parse(char *text, bool load, const struct name_map *names, struct ofpacts *acts, char **ret_error)
{
    const char *name = load ? "bundle_load" : "bundle";
    struct ofpact_bundle b = {0};
    char *algorithm, *type, *dst = NULL, *first;

    if (hash_parse(&text, name, &b.fields, &b.basis, ret_error)) {
        return -EINVAL;
    }
    algorithm = next_arg(&text);
    type = next_arg(&text);
    dst = load ? next_arg(&text) : NULL;
    first = members_begin(next_arg(&text));
    if (!first) {
        return text_fail(ret_error, "%s: takes FIELDS,BASIS,ALGORITHM,ofport,%smembers:PORT,...", name,
                         load ? "DST," : "");
    }
    if (find_name(bundle_algorithms, ARRAY_SIZE(bundle_algorithms), algorithm, &b.algorithm)) {
        return text_fail(ret_error, "%s: unknown algorithm %s", name, algorithm);
    }
    if (strcmp(type, "ofport")) {
        return text_fail(ret_error, "%s: unknown kind of members %s", name, type);
    }
    if (dst && subfield_parse(dst, &b.dst, ret_error)) {
        return -EINVAL;
    }
    if (dst && (!b.dst.field->writable || b.dst.n_bits < 16 || b.dst.n_bits > 64)) {
        return text_fail(ret_error, "%s: %s does not hold a port number", name, dst);
    }
    return put_bundle(&b, first, text, names, acts, ret_error);
}

int hex_bytes_parse(const char *s, uint8_t **data, uint16_t *n, char **ret_error)
{
    size_t max = strlen(s) / 2 + 1, len = 0;

    free(*data);
    *data = xmalloc(max);
    for (; *s; s++) {
        if (*s == '.') {
            continue;
        }
        if (!isxdigit((unsigned char)s[0]) || !isxdigit((unsigned char)s[1]) || len >= 32768) {
            return text_fail(ret_error, "%s: not pairs of hex digits", s);
        }
        (*data)[len++] = (uint8_t)strtoul((char[]){s[0], s[1], 0}, NULL, 16);
        s++;
    }
    *n = (uint16_t)len;
    return 0;
}

static int parse_key(const char *key, const char *value, struct ofpact_controller *c, uint8_t **userdata,
                     char **ret_error)
{
    uint16_t reason;
    uint64_t n;
    int error;

    if (!strcmp(key, "reason")) {
        error = find_name(reason_names, ARRAY_SIZE(reason_names), value, &reason);
        c->reason = error ? 0 : (uint8_t)reason;
    } else if (!strcmp(key, "max_len")) {
        error = text_u64(value, UINT16_MAX, &n);
        c->max_len = error ? 0 : (uint16_t)n;
    } else if (!strcmp(key, "id")) {
        error = text_u64(value, UINT16_MAX, &n);
        c->controller_id = error ? 0 : (uint16_t)n;
    } else if (!strcmp(key, "meter_id")) {
        error = text_u64(value, UINT32_MAX, &n);
        c->meter_id = error ? 0 : (uint32_t)n;
    } else if (!strcmp(key, "userdata")) {
        error = hex_bytes_parse(value, userdata, &c->userdata_len, ret_error);
    } else if (!strcmp(key, "pause")) {
        return text_fail(ret_error, "controller: pause is not supported");
    } else {
        return text_fail(ret_error, "controller: unknown key %s", key);
    }
    return error ? text_fail(ret_error, "controller: invalid %s=%s", key, value) : 0;
}

int controller_parse(char *arg, struct ofpacts *acts, char **ret_error)
{
    struct ofpact_controller c = {.max_len = UINT16_MAX, .reason = 1}, *put;
    _cleanup_free_ uint8_t *userdata = NULL;
    char *key, *value;
    uint64_t n = UINT16_MAX;
    int more;

    if (!*arg || isdigit((unsigned char)*arg)) {
        if (*arg && text_u64(arg, UINT16_MAX, &n)) {
            return text_fail(ret_error, "controller:%s: not a number from 0 to 65535", arg);
        }
        put_output(acts, OFPP_CONTROLLER, (uint16_t)n);
        return 0;
    }
    while ((more = text_next(&arg, &key, &value, ret_error)) > 0) {
        int error = parse_key(key, value, &c, &userdata, ret_error);

        if (error) {
            return error;
        }
    }
    if (more < 0) {
        return more;
    }
    if (c.reason == 1 && !c.controller_id && !c.userdata_len && !c.meter_id) {
        put_output(acts, OFPP_CONTROLLER, c.max_len);
        return 0;
    }
    put = ofpact_put(acts, OFPACT_CONTROLLER, sizeof c + c.userdata_len);
    c.h = put->h;
    memcpy(put, &c, sizeof c);
    if (c.userdata_len) {
        memcpy(put->userdata, userdata, c.userdata_len);
    }
    return 0;
}
