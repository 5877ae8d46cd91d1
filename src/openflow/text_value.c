/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/text_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define SEPARATORS ", \t\r\n"

int text_fail(char **ret_error, const char *fmt, ...)
{
    va_list args;

    if (ret_error && !*ret_error) {
        va_start(args, fmt);
        if (vasprintf(ret_error, fmt, args) < 0) {
            *ret_error = NULL;
        }
        va_end(args);
    }
    return -EINVAL;
}

/* Past a string in double quotes; NULL: it does not end. */
static char *skip_quoted(char *p)
{
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1]) {
            p++;
        }
    }
    return *p ? p + 1 : NULL;
}

/* The first of STOPS outside of parentheses and quotes; the end if none. NULL: unbalanced. */
static char *find_outside(char *p, const char *stops)
{
    unsigned int depth = 0;

    while (*p) {
        if (!depth && strchr(stops, *p)) {
            break;
        }
        if (*p == '"') {
            p = skip_quoted(p);
            if (!p) {
                return NULL;
            }
            continue;
        }
        if (*p == '(') {
            depth++;
        } else if (*p == ')') {
            if (!depth) {
                return NULL;
            }
            depth--;
        }
        p++;
    }
    return depth ? NULL : p;
}

int text_next(char **pos, char **key, char **value, char **ret_error)
{
    char *p = *pos + strspn(*pos, SEPARATORS), *end;
    char delim;

    if (!*p) {
        *pos = p;
        return 0;
    }
    *key = p;
    p = *p == '"' ? skip_quoted(p) : p + strcspn(p, ":=(" SEPARATORS);
    if (!p) {
        return text_fail(ret_error, "%s: missing closing quote", *key);
    }
    delim = *p;
    if (delim == '(') {
        end = find_outside(p + 1, ")");
        if (!end || !*end) {
            return text_fail(ret_error, "%s: missing closing parenthesis", *key);
        }
        if (end[1] == '-' && end[2] == '>') { /* "check(1500)->reg0[0]": all of that is the value */
            end = find_outside(end + 1, SEPARATORS);
        }
        *value = p + 1;
    } else if (delim == ':' || delim == '=') {
        end = find_outside(p + 1, SEPARATORS);
        if (!end) {
            return text_fail(ret_error, "%s: unbalanced parentheses or quotes", *key);
        }
        *value = p + 1;
    } else {
        end = p;
        *value = p;
    }
    if (*end) {
        *end++ = '\0';
    }
    *p = '\0';
    if (*value == p) {
        *value = p + strlen(p);
    }
    *pos = end;
    return 1;
}

int text_u64(const char *s, uint64_t max, uint64_t *ret)
{
    char *end;
    unsigned long long v;

    if (!isdigit((unsigned char)*s)) {
        return -EINVAL;
    }
    errno = 0;
    v = strtoull(s, &end, 0);
    if (errno || *end || v > max) {
        return -EINVAL;
    }
    *ret = v;
    return 0;
}

int text_number(const char *s, uint8_t *ret, size_t n)
{
    uint8_t b[16] = {0};
    uint64_t v;
    size_t digits;

    if (n <= 8 || text_u64(s, UINT64_MAX, &v) == 0) {
        if (text_u64(s, n < 8 ? ((uint64_t)1 << 8 * n) - 1 : UINT64_MAX, &v)) {
            return -EINVAL;
        }
        memset(ret, 0, n);
        for (size_t i = n; i-- && v; v >>= 8) {
            ret[i] = (uint8_t)v;
        }
        return 0;
    }
    if (s[0] != '0' || (s[1] != 'x' && s[1] != 'X')) {
        return -EINVAL;
    }
    s += 2;
    digits = strlen(s);
    if (!digits || digits > 2 * n || strspn(s, "0123456789abcdefABCDEF") != digits) {
        return -EINVAL;
    }
    for (size_t i = 0; i < digits; i++) {
        char c = s[digits - 1 - i];
        int d = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;

        b[n - 1 - i / 2] |= (uint8_t)(d << (i % 2 * 4));
    }
    memcpy(ret, b, n);
    return 0;
}

static const struct {
    const char *name;
    uint32_t port;
} reserved_ports[] = {
    {"IN_PORT", 0xfffffff8}, {"TABLE", 0xfffffff9},      {"NORMAL", 0xfffffffa}, {"FLOOD", 0xfffffffb},
    {"ALL", 0xfffffffc},     {"CONTROLLER", 0xfffffffd}, {"LOCAL", 0xfffffffe},  {"ANY", 0xffffffff},
    {"NONE", 0xffffffff},    {"UNSET", 0xfffffff7},
};

int port_parse(const char *s, const struct name_map *names, ofp_port_t *ret)
{
    _cleanup_free_ char *plain = NULL;
    uint64_t n;
    size_t len = strlen(s);

    if (!text_u64(s, UINT32_MAX, &n)) {
        if (n >= 0xff00 && n <= 0xffff) {
            n |= 0xffff0000;
        } else if (n > 0xffff && n < 0xffffff00) {
            return -EINVAL;
        }
        *ret = ofp_port((uint32_t)n);
        return 0;
    }
    for (size_t i = 0; *s != '"' && i < ARRAY_SIZE(reserved_ports); i++) {
        if (!strcasecmp(s, reserved_ports[i].name)) {
            *ret = ofp_port(reserved_ports[i].port);
            return 0;
        }
    }
    if (!names || !names->port_by_name || !len) {
        return -EINVAL;
    }
    if (*s == '"') {
        char *to;

        plain = xstrdup(s + 1);
        to = plain;
        for (const char *p = s + 1; *p && *p != '"'; p++) {
            p += *p == '\\' && p[1];
            *to++ = *p;
        }
        *to = '\0';
    }
    return names->port_by_name(names->aux, plain ? plain : s, ret) ? -EINVAL : 0;
}

void port_format(ofp_port_t port, const struct name_map *names, struct strbuf *b)
{
    const char *name = NULL;
    bool quote;

    for (size_t i = 0; i < ARRAY_SIZE(reserved_ports); i++) {
        if (ofp_port_u32(port) == reserved_ports[i].port) {
            strbuf_add(b, reserved_ports[i].name);
            return;
        }
    }
    if (names && names->port_name) {
        name = names->port_name(names->aux, port);
    }
    if (!name) {
        strbuf_addf(b, "%u", (unsigned int)ofp_port_u32(port));
        return;
    }
    quote = !isalpha((unsigned char)*name);
    for (const char *p = name; *p; p++) {
        quote |= !isalnum((unsigned char)*p);
    }
    if (!quote) {
        strbuf_add(b, name);
        return;
    }
    strbuf_add(b, "\"");
    for (const char *p = name; *p; p++) {
        strbuf_addf(b, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    }
    strbuf_add(b, "\"");
}

static const char *const tcp_flag_names[12] = {
    "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]",
};

void tcp_flags_format(uint16_t flags, uint16_t mask, struct strbuf *b)
{
    bool exact = mask == 0xfff, any = false;

    for (size_t i = 0; i < ARRAY_SIZE(tcp_flag_names); i++) {
        if (exact ? flags >> i & 1 : mask >> i & 1) {
            strbuf_addf(b, "%s%s", exact ? any ? "|" : "" : flags >> i & 1 ? "+" : "-", tcp_flag_names[i]);
            any = true;
        }
    }
    if (!any) {
        strbuf_add(b, "0");
    }
}

/* "syn|ack" (exact), "+syn-ack" or a number with a mask. N names. */
static int flags_parse(const char *s, const char *const *names, size_t n, uint16_t *ret, uint16_t *ret_mask)
{
    uint16_t value = 0, mask = 0;
    bool exact = *s != '+' && *s != '-';

    while (*s) {
        char sign = exact ? '+' : *s++;
        size_t len = strcspn(s, exact ? "|" : "+-"), i = 0;

        if (sign != '+' && sign != '-') {
            return -EINVAL;
        }
        while (i < n && (strlen(names[i]) != len || strncmp(s, names[i], len))) {
            i++;
        }
        if (i == n) {
            return -EINVAL;
        }
        mask = (uint16_t)(mask | 1u << i);
        value = (uint16_t)(value | (sign == '+') << i);
        s += len;
        s += exact && *s;
    }
    *ret = value;
    *ret_mask = exact ? (uint16_t)((1u << n) - 1) : mask;
    return 0;
}

static const struct {
    const char *name;
    uint8_t value, mask;
} frags[] = {
    {"no", 0, 3},
    {"yes", FLOW_FRAG_ANY, FLOW_FRAG_ANY},
    {"first", FLOW_FRAG_ANY, 3},
    {"later", FLOW_FRAG_ANY | FLOW_FRAG_LATER, 3},
    {"not_later", 0, FLOW_FRAG_LATER},
};

void frag_format(uint8_t frag, uint8_t mask, struct strbuf *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(frags); i++) {
        if (frags[i].mask == (mask & 3) && frags[i].value == (frag & mask & 3)) {
            strbuf_add(b, frags[i].name);
            return;
        }
    }
    strbuf_addf(b, (mask & 3) == 3 ? "%u" : "%u/%u", frag & mask & 3u, mask & 3u); /* no name says just this */
}

static int eth_parse(const char *s, uint8_t *ret)
{
    uint8_t a[6];

    for (size_t i = 0; i < 6; i++) {
        char *end;
        unsigned long v;

        if (!isxdigit((unsigned char)*s)) {
            return -EINVAL;
        }
        v = strtoul(s, &end, 16);
        if (v > 0xff || end - s > 2 || *end != (i < 5 ? ':' : '\0')) {
            return -EINVAL;
        }
        a[i] = (uint8_t)v;
        s = end + 1;
    }
    memcpy(ret, a, 6);
    return 0;
}

/* A mask of an address of N bytes: a prefix length or an address. */
static int addr_mask_parse(int family, const char *s, size_t n, uint8_t *ret)
{
    uint64_t bits;

    if (text_u64(s, 8 * n, &bits)) {
        return inet_pton(family, s, ret) == 1 ? 0 : -EINVAL;
    }
    memset(ret, 0, n);
    for (size_t i = 0; i < bits; i++) {
        ret[i / 8] = (uint8_t)(ret[i / 8] | 0x80u >> (i % 8));
    }
    return 0;
}

/* The length of the prefix; -1 if MASK is none. */
static int prefix_len(const uint8_t *mask, size_t n)
{
    size_t bits = 0;

    while (bits < 8 * n && mask[bits / 8] >> (7 - bits % 8) & 1) {
        bits++;
    }
    for (size_t i = bits; i < 8 * n; i++) {
        if (mask[i / 8] >> (7 - i % 8) & 1) {
            return -1;
        }
    }
    return (int)bits;
}

static void addr_format_masked(int family, const uint8_t *addr, const uint8_t *mask, size_t n, struct strbuf *b)
{
    char s[INET6_ADDRSTRLEN];
    int len = mask ? prefix_len(mask, n) : (int)(8 * n);

    strbuf_add(b, inet_ntop(family, addr, s, sizeof s));
    if (len < 0) {
        strbuf_addf(b, "/%s", inet_ntop(family, mask, s, sizeof s));
    } else if (len < (int)(8 * n)) {
        strbuf_addf(b, "/%d", len);
    }
}

void ipv4_format_masked(const uint8_t *addr, const uint8_t *mask, struct strbuf *b)
{
    addr_format_masked(AF_INET, addr, mask, 4, b);
}

void ipv6_format_masked(const uint8_t *addr, const uint8_t *mask, struct strbuf *b)
{
    addr_format_masked(AF_INET6, addr, mask, 16, b);
}

static void eth_format(const uint8_t *a, struct strbuf *b)
{
    strbuf_addf(b, "%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5]);
}

void eth_format_masked(const uint8_t *addr, const uint8_t *mask, struct strbuf *b)
{
    static const uint8_t ones[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    eth_format(addr, b);
    if (mask && memcmp(mask, ones, 6)) {
        strbuf_add(b, "/");
        eth_format(mask, b);
    }
}

static int port_value_parse(const struct field *f, const char *s, const struct name_map *names, union field_value *ret)
{
    ofp_port_t port;
    uint32_t n;

    if (port_parse(s, names, &port)) {
        return -EINVAL;
    }
    n = ofp_port_u32(port);
    for (size_t i = f->n_bytes; i--; n >>= 8) {
        ret->b[i] = (uint8_t)n;
    }
    return 0;
}

static int plain_value_parse(const struct field *f, const char *s, const struct name_map *names, union field_value *ret)
{
    memset(ret, 0, sizeof *ret);
    switch (f->format) {
    case FIELD_FORMAT_ETH:
        return eth_parse(s, ret->b);
    case FIELD_FORMAT_IPV4:
        return inet_pton(AF_INET, s, ret->b) == 1 ? 0 : -EINVAL;
    case FIELD_FORMAT_IPV6:
        return inet_pton(AF_INET6, s, ret->b) == 1 ? 0 : -EINVAL;
    case FIELD_FORMAT_PORT:
        return port_value_parse(f, s, names, ret);
    default:
        return text_number(s, ret->b, f->n_bytes);
    }
}

static int plain_mask_parse(const struct field *f, const char *s, union field_value *ret)
{
    memset(ret, 0, sizeof *ret);
    switch (f->format) {
    case FIELD_FORMAT_ETH:
        return eth_parse(s, ret->b);
    case FIELD_FORMAT_IPV4:
        return addr_mask_parse(AF_INET, s, 4, ret->b);
    case FIELD_FORMAT_IPV6:
        return addr_mask_parse(AF_INET6, s, 16, ret->b);
    default:
        return text_number(s, ret->b, f->n_bytes);
    }
}

/* The spellings in words, which say value and mask at once. */
static bool words_parse(const struct field *f, const char *s, union field_value *value, union field_value *mask)
{
    static const char *const tun_flag_names[] = {"oam"};
    uint16_t flags, flags_mask;

    if (isdigit((unsigned char)*s)) {
        return false;
    }
    if (f->format == FIELD_FORMAT_FRAG) {
        for (size_t i = 0; i < ARRAY_SIZE(frags); i++) {
            if (!strcmp(frags[i].name, s)) {
                *value = (union field_value){.b = {frags[i].value}};
                *mask = (union field_value){.b = {frags[i].mask}};
                return true;
            }
        }
        return false;
    }
    if (f->format == FIELD_FORMAT_TCP_FLAGS   ? flags_parse(s, tcp_flag_names, 12, &flags, &flags_mask)
        : f->format == FIELD_FORMAT_TUN_FLAGS ? flags_parse(s, tun_flag_names, 1, &flags, &flags_mask)
                                              : -EINVAL) {
        return false;
    }
    *value = (union field_value){.b = {(uint8_t)(flags >> 8), (uint8_t)flags}};
    *mask = (union field_value){.b = {(uint8_t)(flags_mask >> 8), (uint8_t)flags_mask}};
    return true;
}

int field_value_parse(const struct field *f, const char *s, const struct name_map *names, union field_value *ret_value,
                      union field_value *ret_mask, char **ret_error)
{
    union field_value value, mask = field_ones(f);
    _cleanup_free_ char *copy = xstrdup(s);
    char *slash = *s == '"' ? NULL : strchr(copy, '/');

    if (words_parse(f, s, &value, &mask)) {
        union field_value ones = field_ones(f);

        if (!ret_mask && memcmp(&mask, &ones, sizeof mask)) {
            return text_fail(ret_error, "%s: %s needs an exact value", s, f->name);
        }
        *ret_value = value;
        if (ret_mask) {
            *ret_mask = mask;
        }
        return 0;
    }
    if (slash) {
        *slash++ = '\0';
        if (!ret_mask || plain_mask_parse(f, slash, &mask)) {
            return text_fail(ret_error, "%s: invalid mask for %s", s, f->name);
        }
    }
    if (plain_value_parse(f, copy, names, &value) || !field_value_fits(f, &value)) {
        return f->format == FIELD_FORMAT_PORT ? text_fail(ret_error, "%s: unknown port", s)
                                              : text_fail(ret_error, "%s: invalid value for %s", s, f->name);
    }
    for (size_t i = 0; slash && i < f->n_bytes; i++) {
        value.b[i] &= mask.b[i];
    }
    *ret_value = value;
    if (ret_mask) {
        *ret_mask = mask;
    }
    return 0;
}

static void number_format(const struct field *f, const union field_value *v, bool hex, struct strbuf *b)
{
    union field_value right = {0};

    memcpy(right.b + 16 - f->n_bytes, v->b, f->n_bytes);
    if (hex || f->n_bytes > 8) {
        hex_format(&right, b);
    } else {
        strbuf_addf(b, "%llu", (unsigned long long)field_value_u64(&right));
    }
}

static void words_format(const struct field *f, const union field_value *v, const union field_value *mask,
                         struct strbuf *b)
{
    uint16_t flags = (uint16_t)(v->b[0] << 8 | v->b[1]), m = mask ? (uint16_t)(mask->b[0] << 8 | mask->b[1]) : 0xfff;

    if (f->format == FIELD_FORMAT_FRAG) {
        frag_format(v->b[0], mask ? mask->b[0] : 3, b);
    } else if (f->format == FIELD_FORMAT_TCP_FLAGS) {
        tcp_flags_format(flags, m & 0xfff, b);
    } else {
        strbuf_add(b, flags & 1 ? "oam" : "0");
    }
}

void field_value_format(const struct field *f, const union field_value *value, const union field_value *mask,
                        const struct name_map *names, struct strbuf *b)
{
    union field_value ones = field_ones(f);
    uint32_t port;

    if (mask && !memcmp(mask, &ones, sizeof ones)) {
        mask = NULL;
    }
    switch (f->format) {
    case FIELD_FORMAT_ETH:
        eth_format_masked(value->b, mask ? mask->b : NULL, b);
        return;
    case FIELD_FORMAT_IPV4:
        ipv4_format_masked(value->b, mask ? mask->b : NULL, b);
        return;
    case FIELD_FORMAT_IPV6:
        ipv6_format_masked(value->b, mask ? mask->b : NULL, b);
        return;
    case FIELD_FORMAT_PORT:
        port = 0;
        for (size_t i = 0; i < f->n_bytes; i++) {
            port = port << 8 | value->b[i];
        }
        port_format(ofp_port(f->n_bytes == 2 && port >= 0xff00 ? port | 0xffff0000 : port), names, b);
        return;
    case FIELD_FORMAT_FRAG:
    case FIELD_FORMAT_TCP_FLAGS:
    case FIELD_FORMAT_TUN_FLAGS:
        words_format(f, value, mask, b);
        return;
    case FIELD_FORMAT_DEC:
    case FIELD_FORMAT_HEX:
        number_format(f, value, f->format == FIELD_FORMAT_HEX, b);
        if (mask) {
            strbuf_add(b, "/");
            number_format(f, mask, true, b);
        }
        return;
    }
}

void hex_format(const union field_value *v, struct strbuf *b)
{
    size_t i = 0;

    while (i < 16 && !v->b[i]) {
        i++;
    }
    if (i == 16) {
        strbuf_add(b, "0");
        return;
    }
    strbuf_addf(b, "0x%x", v->b[i++]);
    for (; i < 16; i++) {
        strbuf_addf(b, "%02x", v->b[i]);
    }
}

int immediate_parse(const char *s, uint16_t n_bits, union field_value *ret, char **ret_error)
{
    union field_value v;

    if (text_number(s, v.b, sizeof v.b)) {
        return text_fail(ret_error, "%s: not an integer", s);
    }
    for (size_t i = n_bits; i < 128; i++) {
        if (v.b[15 - i / 8] >> (i % 8) & 1) {
            return text_fail(ret_error, "%s: does not fit into %u bits", s, n_bits);
        }
    }
    *ret = v;
    return 0;
}

/* Of a VLAN id the whole is the id, without the bit that says that there is a tag. */
static uint16_t whole_bits(const struct field *f)
{
    return f->id == FIELD_VLAN_VID ? 12 : f->n_bits;
}

int subfield_parse(const char *s, struct subfield *ret, char **ret_error)
{
    size_t len = strcspn(s, "[");
    const struct field *f = field_by_name(s, len);
    unsigned int first = 0, last = 0;
    int used = 0;

    if (!f || f->id == FIELD_DL_VLAN || f->id == FIELD_DL_VLAN_PCP) {
        return text_fail(ret_error, "%s: unknown field", s);
    }
    if (!s[len] || !strcmp(s + len, "[]")) {
        *ret = (struct subfield){f, 0, whole_bits(f)};
        return 0;
    }
    if (sscanf(s + len, "[%u..%u]%n", &first, &last, &used) != 2 || !used) {
        used = 0;
        if (sscanf(s + len, "[%u]%n", &first, &used) != 1 || !used) {
            return text_fail(ret_error, "%s: syntax error, expected [], [bit] or [first..last]", s);
        }
        last = first;
    }
    if (s[len + (size_t)used]) {
        return text_fail(ret_error, "%s: text after subfield", s);
    }
    if (first > last || last >= f->n_bits) {
        return text_fail(ret_error, "%s: bits %u..%u are not within the %u bits of %s", s, first, last, f->n_bits,
                         f->name);
    }
    *ret = (struct subfield){f, (uint16_t)first, (uint16_t)(last - first + 1)};
    return 0;
}

void subfield_format(const struct subfield *sf, struct strbuf *b)
{
    strbuf_add(b, sf->field->nxm_name ? sf->field->nxm_name : sf->field->oxm_name);
    if (!sf->ofs && sf->n_bits == whole_bits(sf->field)) {
        strbuf_add(b, "[]");
    } else if (sf->n_bits == 1) {
        strbuf_addf(b, "[%u]", sf->ofs);
    } else {
        strbuf_addf(b, "[%u..%u]", sf->ofs, sf->ofs + sf->n_bits - 1);
    }
}
