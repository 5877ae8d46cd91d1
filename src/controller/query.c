/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET with a query: ?name=…&fields=…&sort_key=…&sort_dir=…&limit=…&marker=…&page_reverse=…. A filter that is given
 * more than once means any of its values; different filters must all match, and so must different members of a list's
 * objects (fixed_ips=subnet_id=…&fixed_ips=ip_address=…). A filter or field that the resource does not have: filters
 * are refused, as Neutron does; fields are passed over, since clients ask for fields of extensions that are not there.
 * A page is what comes behind its marker, or before it (page_reverse), in the same order; links lead to its neighbours.
 */
#include "controller/api.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/strbuf.h"

static bool is_control(const char *name)
{
    static const char *const names[] = {"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(names[i], name)) {
            return true;
        }
    }
    return false;
}

/* ---- filters ---- */

static bool is_tag_filter(const char *name)
{
    return !strcmp(name, "tags") || !strcmp(name, "tags-any") || !strcmp(name, "not-tags") ||
           !strcmp(name, "not-tags-any");
}

/* Answers and returns false if the query asks for what cannot be. */
static bool check_query(struct call *c)
{
    const char *name;
    json_t *values, *value;
    size_t i;

    json_object_foreach(c->query, name, values) {
        const struct attribute *a = attributes_find(c->resource->attributes, c->resource->n_attributes, name);

        if (is_control(name) || (c->resource->tags && is_tag_filter(name))) {
            continue;
        }
        if (!a) {
            call_error(c, 400, "HTTPBadRequest", "['%.100s'] is invalid attribute for filtering", name);
            return false;
        }
        json_array_foreach(values, i, value) {
            int64_t n;
            bool b;

            if ((a->type == ATTR_BOOL && attribute_bool(value, &b)) ||
                (a->type == ATTR_INT && *json_string_value(value) && attribute_int(value, &n))) {
                call_error(c, 400, "HTTPBadRequest", "Invalid input for %s. Reason: '%.100s' is not a valid %s.", name,
                           json_string_value(value), a->type == ATTR_BOOL ? "boolean value" : "integer");
                return false;
            }
        }
    }
    return true;
}

/* "ip_address=10.0.0.5" against {"subnet_id": …, "ip_address": …} */
static bool member_matches(const json_t *object, const char *text)
{
    const char *equals = strchr(text, '=');

    if (!equals) {
        return false;
    }
    _cleanup_free_ char *key = strndup(text, (size_t)(equals - text));
    const char *value = json_string_value(json_object_get(object, key));
    struct ip a, b;
    return value &&
           (!strcmp(value, equals + 1) || (!ip_parse(value, &a) && !ip_parse(equals + 1, &b) && ip_equal(&a, &b)));
}

static bool value_matches(const json_t *value, const json_t *wanted)
{
    const char *text = json_string_value(wanted);
    const json_t *item;
    int64_t n;
    bool b;
    size_t i;

    switch (json_typeof(value)) {
    case JSON_STRING:
        return !strcmp(json_string_value(value), text);
    case JSON_INTEGER:
        return !attribute_int(wanted, &n) && n == json_integer_value(value);
    case JSON_TRUE:
    case JSON_FALSE:
        return !attribute_bool(wanted, &b) && b == json_is_true(value);
    case JSON_NULL:
        return !*text;
    case JSON_ARRAY:
        json_array_foreach(value, i, item) {
            if (value_matches(item, wanted)) {
                return true;
            }
        }
        return false;
    default:
        return false;
    }
}

/* "subnet_id=S", "ip_address=A", "ip_address=B": S, and one of A and B. Each key that is named must match. */
static bool members_match(const json_t *object, const json_t *wanted)
{
    const json_t *one, *other;
    size_t i, j;

    json_array_foreach(wanted, i, one) {
        const char *text = json_string_value(one);
        size_t key = strcspn(text, "=") + 1;
        bool any = false;

        json_array_foreach(wanted, j, other) {
            any |= !strncmp(json_string_value(other), text, key) && member_matches(object, json_string_value(other));
        }
        if (!any) {
            return false;
        }
    }
    return true;
}

/* Does VALUE, or one of the objects in it, match all of WANTED together? */
static bool object_matches(const json_t *value, const json_t *wanted)
{
    const json_t *item;
    size_t i;

    json_array_foreach(value, i, item) {
        if (members_match(item, wanted)) {
            return true;
        }
    }
    return json_is_object(value) && members_match(value, wanted);
}

static bool has_tag(const json_t *tags, const char *name, size_t len)
{
    const json_t *item;
    size_t i;

    json_array_foreach(tags, i, item) {
        if (json_string_length(item) == len && !memcmp(json_string_value(item), name, len)) {
            return true;
        }
    }
    return false;
}

/* "a,b": do all of them (ANY: does one of them) stand in TAGS? */
static bool tags_match(const json_t *tags, const char *list, bool any)
{
    for (;;) {
        size_t len = strcspn(list, ",");
        bool has = has_tag(tags, list, len);

        if (has == any) {
            return any;
        }
        if (!list[len]) {
            return !any;
        }
        list += len + 1;
    }
}

static bool filter_matches(const json_t *object, const char *name, const json_t *values)
{
    const json_t *shown = json_object_get(object, name), *value;
    size_t i;

    if (json_is_object(shown) || json_is_object(json_array_get(shown, 0))) {
        return object_matches(shown, values);
    }
    json_array_foreach(values, i, value) {
        if (is_tag_filter(name)) {
            bool any = strstr(name, "-any"), inverted = !strncmp(name, "not-", 4);

            if (tags_match(json_object_get(object, "tags"), json_string_value(value), any) != inverted) {
                return true;
            }
        } else if (value_matches(shown, value)) {
            return true;
        }
    }
    return false;
}

static bool matches(const struct call *c, const json_t *object)
{
    const char *name;
    json_t *values;

    json_object_foreach(c->query, name, values) {
        if (!is_control(name) && !filter_matches(object, name, values)) {
            return false;
        }
    }
    return true;
}

/* False if ROW's object cannot match, by texts that are shown as they are. To make the objects of all rows takes far
 * longer, and who asks for one server's ports asks often. */
static bool may_match(const struct call *c, const struct ovsdb_row *row)
{
    static const char *const plain[][2] = {{"id", "id"},
                                           {"name", "name"},
                                           {"project_id", "project_id"},
                                           {"host", "host"},
                                           {"tenant_id", "project_id"},
                                           {"network_id", "network_id"},
                                           {"mac_address", "mac"},
                                           {"device_id", "device_id"},
                                           {"device_owner", "device_owner"},
                                           {"binding:host_id", "host"}};
    const json_t *value;
    size_t i, j;

    for (i = 0; i < ARRAY_SIZE(plain); i++) {
        const json_t *values = json_object_get(c->query, plain[i][0]);
        const char *text = values ? json_string_value(ovsdb_row_json(row, plain[i][1])) : NULL;
        bool any = !text;

        json_array_foreach(values, j, value) {
            any = any || !strcmp(text, json_string_value(value));
        }
        if (!any) {
            return false;
        }
    }
    return true;
}

/* ---- fields ---- */

json_t *query_fields(const struct call *c, json_t *object)
{
    const json_t *fields = json_object_get(c->query, "fields"), *field;
    size_t i;

    if (!fields) {
        return object;
    }
    json_t *cut = json_object();
    json_array_foreach(fields, i, field) {
        json_t *value = json_object_get(object, json_string_value(field));

        if (value) {
            json_object_set(cut, json_string_value(field), value);
        }
    }
    json_decref(object);
    return cut;
}

void query_show(struct call *c, const struct ovsdb_row *row)
{
    call_reply(c, 200, json_pack("{s:o}", c->resource->singular, query_fields(c, c->resource->show(c->api, row))));
}

/* ---- order and pages ---- */

#define MAX_SORT_KEYS 5
struct order {
    const char *key[MAX_SORT_KEYS];
    bool descending[MAX_SORT_KEYS];
    size_t n;
};

/* Nulls come first: they must have a place, or there is no order. */
static int compare_values(const json_t *a, const json_t *b)
{
    if (json_is_null(a) || json_is_null(b)) {
        return json_is_null(b) - json_is_null(a);
    }
    if (json_is_string(a) && json_is_string(b)) {
        return strcmp(json_string_value(a), json_string_value(b));
    }
    if (json_is_integer(a) && json_is_integer(b)) {
        return json_integer_value(a) < json_integer_value(b) ? -1 : json_integer_value(a) > json_integer_value(b);
    }
    return json_is_true(a) - json_is_true(b);
}

static int compare(const void *a, const void *b, void *arg)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    const struct order *order = arg;

    for (size_t i = 0; i < order->n; i++) {
        int difference = compare_values(json_object_get(x, order->key[i]), json_object_get(y, order->key[i]));

        if (difference) {
            return order->descending[i] ? -difference : difference;
        }
    }
    return 0;
}

static bool read_order(struct call *c, struct order *order)
{
    const json_t *keys = json_object_get(c->query, "sort_key"), *dirs = json_object_get(c->query, "sort_dir");

    if (json_array_size(keys) >= MAX_SORT_KEYS || json_array_size(dirs) > json_array_size(keys)) {
        call_error(c, 400, "HTTPBadRequest", "The number of sort_keys and sort_dirs must be same, and at most %d",
                   MAX_SORT_KEYS - 1);
        return false;
    }
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i)), *dir = json_string_value(json_array_get(dirs, i));

        if (!attributes_find(c->resource->attributes, c->resource->n_attributes, key)) {
            call_error(c, 400, "HTTPBadRequest", "['%.100s'] is invalid attribute for sort keys", key);
            return false;
        }
        if (dir && strcmp(dir, "asc") != 0 && strcmp(dir, "desc") != 0) {
            call_error(c, 400, "HTTPBadRequest",
                       "'%.100s' is invalid value for sort_dirs, valid value is 'asc' and 'desc'", dir);
            return false;
        }
        order->key[order->n] = key;
        order->descending[order->n++] = dir && !strcmp(dir, "desc");
    }
    order->key[order->n++] = "id";
    return true;
}

struct page {
    int64_t limit; /* 0: no pages */
    bool reverse;
    size_t first, end; /* of the sorted items */
};

static const char *parameter(const struct call *c, const char *name)
{
    return json_string_value(json_array_get(json_object_get(c->query, name), 0));
}

static bool read_page(struct call *c, struct page *page)
{
    const json_t *limit = json_array_get(json_object_get(c->query, "limit"), 0);
    const char *reverse = parameter(c, "page_reverse");

    page->reverse = reverse && !strcasecmp(reverse, "true");
    if (limit && (attribute_int(limit, &page->limit) || page->limit < 0)) {
        call_error(c, 400, "HTTPBadRequest", "Limit must be an integer 0 or greater and not '%.100s'",
                   json_string_value(limit));
        return false;
    }
    return true;
}

static const char *id_of(const json_t *item)
{
    return json_string_value(json_object_get(item, "id"));
}

/* The object behind which (or before which) the page is: NULL for none, as without a limit, where Neutron has no pages,
 * whatever the marker. False after having answered. */
static bool read_marker(struct call *c, const struct page *page, json_t **ret)
{
    const char *id = page->limit ? parameter(c, "marker") : NULL;
    const struct ovsdb_row *row = id ? store_row(c->api->store, c->resource->by_id, id) : NULL;

    if (id && !row) {
        call_not_found(c, c->resource->label, id);
        return false;
    }
    *ret = row ? c->resource->show(c->api, row) : NULL;
    return true;
}

/* At most LIMIT of the N items of SORTED: those after MARKER, or those before it. By its place in the order: it need
 * not be one of them, since it may have changed from page to page, and match the filters no more. */
static void cut_page(struct page *page, struct order *order, const json_t *marker, json_t **sorted, size_t n)
{
    size_t most = page->limit ? (size_t)page->limit : n, at = 0;

    while (marker && at < n && compare(&sorted[at], &marker, order) < (page->reverse ? 0 : 1)) {
        at++;
    }
    if (page->reverse) {
        page->end = marker ? at : n;
        page->first = page->end - MIN(most, page->end);
    } else {
        page->first = at;
        page->end = page->first + MIN(most, n - page->first);
    }
}

static void add_encoded(struct strbuf *out, const char *text)
{
    for (; *text; text++) {
        if (isalnum((unsigned char)*text) || strchr("-._~", *text)) {
            strbuf_add_n(out, text, 1);
        } else {
            strbuf_addf(out, "%%%02X", (unsigned char)*text);
        }
    }
}

/* This request once more, with MARKER (NULL: none). */
static json_t *page_link(const struct call *c, const char *rel, const char *marker, bool reverse)
{
    _cleanup_strbuf_ struct strbuf href = {0};
    const char *name, *separator = "";
    json_t *values, *value;
    size_t i;

    strbuf_addf(&href, "http://%s/v2.0/%s?", c->host, c->resource->collection);
    json_object_foreach(c->query, name, values) {
        if (!strcmp(name, "marker") || !strcmp(name, "page_reverse")) {
            continue;
        }
        json_array_foreach(values, i, value) {
            strbuf_add(&href, separator);
            add_encoded(&href, name);
            strbuf_add(&href, "=");
            add_encoded(&href, json_string_value(value));
            separator = "&";
        }
    }
    if (marker) {
        strbuf_addf(&href, "&marker=%s", marker);
    }
    strbuf_add(&href, reverse ? "&page_reverse=True" : "");
    return json_pack("{s:s, s:s}", "rel", rel, "href", strbuf_str(&href));
}

/* To the pages behind this one and before it. As in Neutron, a full page has both, since more may come any time; one
 * that is not full is at the end, in its direction. */
static json_t *page_links(const struct call *c, const struct page *page, json_t **sorted)
{
    bool full = page->end - page->first == (size_t)page->limit, any = page->end > page->first;
    json_t *links = json_array();

    if (full || page->reverse) {
        json_array_append_new(links, page_link(c, "next", any ? id_of(sorted[page->end - 1]) : NULL, false));
    }
    if (full || !page->reverse) {
        json_array_append_new(links, page_link(c, "previous", any ? id_of(sorted[page->first]) : NULL, true));
    }
    return links;
}

static void reply_page(struct call *c, const struct page *page, json_t **sorted)
{
    json_t *items = json_array(), *reply = json_pack("{s:o}", c->resource->collection, items);

    for (size_t i = page->first; i < page->end; i++) {
        json_array_append_new(items, query_fields(c, json_incref(sorted[i])));
    }
    if (page->limit) {
        _cleanup_free_ char *name = xasprintf("%s_links", c->resource->collection);

        json_object_set_new(reply, name, page_links(c, page, sorted));
    }
    call_reply(c, 200, reply);
}

void query_list(struct call *c)
{
    const struct resource *r = c->resource;
    struct order order = {.n = 0};
    struct page page = {0};
    json_t *marker;

    if (!check_query(c) || !read_order(c, &order) || !read_page(c, &page) || !read_marker(c, &page, &marker)) {
        return;
    }
    json_t **list = xcalloc(ovsdb_client_n_rows(store_client(c->api->store), r->table) + 1, sizeof *list);
    size_t n = 0;
    OVSDB_FOR_EACH_ROW(row, store_client(c->api->store), r->table) {
        json_t *object = may_match(c, row) ? r->show(c->api, row) : NULL;

        if (object && matches(c, object)) {
            list[n++] = object;
        } else {
            json_decref(object);
        }
    }
    qsort_r(list, n, sizeof *list, compare, &order);
    cut_page(&page, &order, marker, list, n);
    reply_page(c, &page, list);
    json_decref(marker);
    for (size_t i = 0; i < n; i++) {
        json_decref(list[i]);
    }
    free(list);
}
