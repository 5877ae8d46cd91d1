/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/attributes.h"

#include "base/uuid.h"
#include "controller/allocation.h"

#define MAX_LIST 1000
#define MAX_TAG 60

void attribute_show(const json_t *value, struct strbuf *out)
{
    _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    const char *s = json_is_string(value) ? json_string_value(value) : text ? text : "?";

    strbuf_addf(out, "'%.100s%s'", s, strlen(s) > 100 ? "…" : "");
}

int attribute_bool(const json_t *value, bool *ret)
{
    static const char *const yes[] = {"true", "t", "1", "yes"}, *const no[] = {"false", "f", "0", "no"};
    const char *s = json_string_value(value);

    if (json_is_boolean(value)) {
        *ret = json_is_true(value);
        return 0;
    }
    if (json_is_integer(value) && (json_integer_value(value) == 0 || json_integer_value(value) == 1)) {
        *ret = json_integer_value(value);
        return 0;
    }
    for (size_t i = 0; s && i < ARRAY_SIZE(yes); i++) {
        if (!strcasecmp(s, yes[i]) || !strcasecmp(s, no[i])) {
            *ret = !strcasecmp(s, yes[i]);
            return 0;
        }
    }
    return -EINVAL;
}

int attribute_int(const json_t *value, int64_t *ret)
{
    const char *s = json_string_value(value);
    char *end;

    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return 0;
    }
    if (!s || !((*s >= '0' && *s <= '9') || *s == '-')) {
        return -EINVAL;
    }
    errno = 0;
    long long n = strtoll(s, &end, 10);
    if (errno || *end || end == s) {
        return -EINVAL;
    }
    *ret = n;
    return 0;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);

    for (const char *c = choices; c; c = strchr(c, '|'), c = c ? c + 1 : NULL) {
        if (len && !memchr(value, '|', len) && !strncmp(c, value, len) && (c[len] == '|' || !c[len])) {
            return true;
        }
    }
    return false;
}

/* Limits are of characters, not of bytes. */
static size_t n_characters(const char *s)
{
    size_t n = 0;

    for (; *s; s++) {
        n += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return n;
}

static json_t *check_string(const struct attribute *a, const json_t *value, struct strbuf *why)
{
    const char *s = json_string_value(value);
    size_t max = a->max ? (size_t)a->max : 255;

    if (!s) {
        attribute_show(value, why);
        strbuf_add(why, " is not a valid string.");
        return NULL;
    }
    if (n_characters(s) > max) {
        attribute_show(value, why);
        strbuf_addf(why, " exceeds maximum length of %zu.", max);
        return NULL;
    }
    if (a->choices && !is_choice(a->choices, s)) {
        attribute_show(value, why);
        strbuf_addf(why, " is not in %s.", a->choices);
        return NULL;
    }
    return json_string(s);
}

static json_t *check_int(const struct attribute *a, const json_t *value, struct strbuf *why)
{
    int64_t n;

    if (attribute_int(value, &n)) {
        attribute_show(value, why);
        strbuf_add(why, " is not an integer.");
        return NULL;
    }
    if (n < a->min || n > a->max) {
        strbuf_addf(why, "%lld is not in the range %lld to %lld.", (long long)n, (long long)a->min, (long long)a->max);
        return NULL;
    }
    return json_integer(n);
}

static json_t *check_text(enum attribute_type type, const json_t *value, struct strbuf *why)
{
    static const struct eth_addr none;
    const char *s = json_string_value(value);
    struct uuid uuid;
    struct ip ip;
    struct prefix prefix;
    struct eth_addr mac;

    if (s && type == ATTR_UUID && !uuid_parse(s, &uuid)) {
        return json_string(UUID_STR(&uuid));
    }
    if (s && type == ATTR_IP && !ip_parse(s, &ip)) {
        return json_string(IP_STR(&ip));
    }
    if (s && type == ATTR_CIDR && !prefix_parse(s, &prefix)) {
        return json_string(PREFIX_STR(&prefix));
    }
    if (s && type == ATTR_MAC && !eth_addr_parse(s, &mac) && !eth_addr_is_group(&mac) &&
        memcmp(&mac, &none, sizeof mac) != 0) {
        return json_string(ETH_ADDR_STR(&mac));
    }
    attribute_show(value, why);
    strbuf_add(why, type == ATTR_UUID  ? " is not a valid UUID."
                    : type == ATTR_IP  ? " is not a valid IP address."
                    : type == ATTR_MAC ? " is not a valid MAC address of a host."
                                       : " is not in a CIDR format.");
    return NULL;
}

static json_t *check_value(const struct attribute *a, const json_t *value, struct strbuf *why)
{
    bool b;

    switch (a->type) {
    case ATTR_STRING:
        return check_string(a, value, why);
    case ATTR_INT:
        return check_int(a, value, why);
    case ATTR_BOOL:
        if (!attribute_bool(value, &b)) {
            return json_boolean(b);
        }
        attribute_show(value, why);
        strbuf_add(why, " is not a valid boolean value.");
        return NULL;
    case ATTR_OBJECT:
        if (json_is_object(value)) {
            return json_deep_copy(value);
        }
        attribute_show(value, why);
        strbuf_add(why, " is not a dictionary.");
        return NULL;
    case ATTR_CUSTOM:
        return a->check(value, why);
    case ATTR_UUID:
    case ATTR_MAC:
    case ATTR_IP:
    case ATTR_CIDR:
        return check_text(a->type, value, why);
    }
    return NULL;
}

const struct attribute *attributes_find(const struct attribute *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(table[i].name, name) || (table[i].alias && !strcmp(table[i].alias, name))) {
            return &table[i];
        }
    }
    return NULL;
}

/* Names that the table does not have, or not for this use. */
static int check_names(const struct attribute *table, size_t n, enum attribute_use use, json_t *body,
                       struct strbuf *why)
{
    const char *name;
    json_t *value;
    bool unknown = false;

    json_object_foreach(body, name, value) {
        if (!attributes_find(table, n, name)) {
            strbuf_addf(why, "%s'%.100s'", unknown ? ", " : "Unrecognized attribute(s) ", name);
            unknown = true;
        }
    }
    if (unknown) {
        return -EINVAL;
    }
    json_object_foreach(body, name, value) {
        const struct attribute *a = attributes_find(table, n, name);

        if (use == ATTRIBUTES_POST && !(a->flags & ATTR_POST)) {
            strbuf_addf(why, "Attribute '%s' not allowed in POST", name);
            return -EINVAL;
        }
        if (use == ATTRIBUTES_PUT && !(a->flags & ATTR_PUT)) {
            strbuf_addf(why, "Cannot update read-only attribute %s", name);
            return -EINVAL;
        }
    }
    return 0;
}

static int check_one(const struct attribute *a, enum attribute_use use, json_t *body, json_t *result,
                     struct strbuf *why)
{
    const json_t *value = json_object_get(body, a->name);

    if (!value && a->alias) {
        value = json_object_get(body, a->alias);
    }
    if (json_is_null(value) && (a->flags & ATTR_NULL)) {
        json_object_set_new(result, a->name, json_null());
        return 0;
    }
    if (!value || (json_is_null(value) && (a->flags & ATTR_NULL_DEF))) {
        if (!value && use == ATTRIBUTES_POST && (a->flags & ATTR_REQUIRED)) {
            strbuf_addf(why, "Failed to parse request. Required attribute '%s' not specified", a->name);
            return -EINVAL;
        }
        if (a->def && (value || use == ATTRIBUTES_POST)) {
            json_object_set_new(result, a->name, json_loads(a->def, JSON_DECODE_ANY, NULL));
        }
        return 0;
    }
    _cleanup_strbuf_ struct strbuf reason = {0};
    json_t *checked = check_value(a, value, &reason);
    if (!checked) {
        strbuf_addf(why, "Invalid input for %s. Reason: %s", a->name, strbuf_str(&reason));
        return -EINVAL;
    }
    json_object_set_new(result, a->name, checked);
    return 0;
}

json_t *attributes_check(const struct attribute *table, size_t n, enum attribute_use use, const json_t *body,
                         struct strbuf *why)
{
    json_t *in = (json_t *)body; /* jansson iterates over non-const objects only */

    if (!json_is_object(body)) {
        strbuf_add(why, "the resource is not an object");
        return NULL;
    }
    if (check_names(table, n, use, in, why)) {
        return NULL;
    }
    json_t *result = json_object();
    for (size_t i = 0; i < n; i++) {
        if (check_one(&table[i], use, in, result, why)) {
            json_decref(result);
            return NULL;
        }
    }
    return result;
}

/* ---- lists ---- */

static json_t *check_list(const json_t *value, struct strbuf *why,
                          json_t *(*one)(const json_t *item, struct strbuf *why))
{
    json_t *result, *seen, *item;
    size_t i;

    if (!json_is_array(value)) {
        attribute_show(value, why);
        strbuf_add(why, " is not a list.");
        return NULL;
    }
    if (json_array_size(value) > MAX_LIST) {
        strbuf_addf(why, "more than %d items.", MAX_LIST);
        return NULL;
    }
    result = json_array();
    seen = json_object();
    json_array_foreach(value, i, item) {
        json_t *checked = one(item, why);

        if (checked && json_object_get(seen, json_string_value(checked))) {
            strbuf_add(why, "Duplicate items in the list: ");
            attribute_show(item, why);
            json_decref(checked);
            checked = NULL;
        }
        if (!checked) {
            json_decref(seen);
            json_decref(result);
            return NULL;
        }
        json_object_set_new(seen, json_string_value(checked), json_true());
        json_array_append_new(result, checked);
    }
    json_decref(seen);
    return result;
}

static json_t *check_tag(const json_t *item, struct strbuf *why)
{
    const char *s = json_string_value(item);

    if (s && *s && n_characters(s) <= MAX_TAG) {
        return json_string(s);
    }
    attribute_show(item, why);
    strbuf_addf(why, " is not a string of 1 to %d characters.", MAX_TAG);
    return NULL;
}

static json_t *check_uuid(const json_t *item, struct strbuf *why)
{
    return check_text(ATTR_UUID, item, why);
}

static json_t *check_address(const json_t *item, struct strbuf *why)
{
    return check_text(ATTR_IP, item, why);
}

json_t *attribute_tags(const json_t *value, struct strbuf *why)
{
    return check_list(value, why, check_tag);
}

json_t *attribute_uuids(const json_t *value, struct strbuf *why)
{
    return check_list(value, why, check_uuid);
}

json_t *attribute_addresses(const json_t *value, struct strbuf *why)
{
    return check_list(value, why, check_address);
}
