/* SPDX-License-Identifier: Apache-2.0 */
/* From the path and the method to the operation. */
#include "controller/api.h"

#include <stdio.h>

#define PREFIX "/v2.0"
#define MAX_BULK 1000

const struct resource *const resources[4] = {&resource_networks, &resource_subnets, &resource_ports, &resource_agents};

static void no_such_page(struct call *c)
{
    call_error(c, 404, "HTTPNotFound", "The resource could not be found.");
}

/* ---- operations on resources ---- */

static json_t *check_item(struct call *c, enum attribute_use use, const json_t *body)
{
    _cleanup_strbuf_ struct strbuf why = {0};
    json_t *item = attributes_check(c->resource->attributes, c->resource->n_attributes, use, body, &why);

    if (!item) {
        call_error(c, 400, "HTTPBadRequest", "%s", strbuf_str(&why));
    }
    return item;
}

/* Fills call->items from {"network": {…}} or {"networks": [{…}, …]}; false after having answered. */
static bool read_items(struct call *c, enum attribute_use use)
{
    json_t *body = call_body(c), *many, *one, *item;
    bool ok = false;
    size_t i;

    if (!body) {
        return false;
    }
    one = json_object_get(body, c->resource->singular);
    many = use == ATTRIBUTES_POST ? json_object_get(body, c->resource->collection) : NULL;
    c->bulk = json_is_array(many);
    if (!(json_is_object(one) || c->bulk) || json_object_size(body) != 1) {
        call_error(c, 400, "HTTPBadRequest", "Malformed request body: the object must hold '%s' and nothing else",
                   c->resource->singular);
    } else if (c->bulk && (!json_array_size(many) || json_array_size(many) > MAX_BULK)) {
        call_error(c, 400, "HTTPBadRequest", "Malformed request body: '%s' must hold 1 to %d items",
                   c->resource->collection, MAX_BULK);
    } else {
        json_t *list = c->bulk ? json_incref(many) : json_pack("[O]", one);

        ok = true;
        c->items = json_array();
        json_array_foreach(list, i, item) {
            json_t *checked = check_item(c, use, item);

            if (!checked) {
                ok = false;
                break;
            }
            if (use == ATTRIBUTES_POST) {
                struct uuid id = uuid_random();

                json_object_set_new(checked, "id", json_string(UUID_STR(&id)));
            }
            json_array_append_new(c->items, checked);
        }
        json_decref(list);
    }
    json_decref(body);
    return ok;
}

static void attempt_on_row(struct call *c)
{
    const struct ovsdb_row *row = store_row(c->api->store, c->resource->by_id, c->segments[1]);

    if (!row) {
        call_not_found(c, c->resource->label, c->segments[1]);
    } else if (c->n_segments > 2) {
        tags_handle(c, row);
    } else if (!strcmp(c->method, "GET")) {
        query_show(c, row);
    } else if (!strcmp(c->method, "PUT")) {
        c->resource->update(c, row);
    } else {
        c->resource->remove(c, row);
    }
}

static void handle_collection(struct call *c)
{
    if (!strcmp(c->method, "GET")) {
        call_start(c, query_list);
    } else if (!strcmp(c->method, "POST") && c->resource->create) {
        if (read_items(c, ATTRIBUTES_POST)) {
            call_start(c, c->resource->create);
        }
    } else {
        call_not_allowed(c, c->resource->create ? "GET, POST" : "GET");
    }
}

static void handle_row(struct call *c)
{
    if (!strcmp(c->method, "PUT")) {
        if (read_items(c, ATTRIBUTES_PUT)) {
            call_start(c, attempt_on_row);
        }
    } else if (!strcmp(c->method, "GET") || !strcmp(c->method, "DELETE")) {
        call_start(c, attempt_on_row);
    } else {
        call_not_allowed(c, "GET, PUT, DELETE");
    }
}

static void handle_tags(struct call *c)
{
    bool one = c->n_segments == 4;

    if (!strcmp(c->method, "PUT") && !one) {
        json_t *body = call_body(c);
        _cleanup_strbuf_ struct strbuf why = {0};

        if (!body) {
            return;
        }
        const json_t *given = json_object_get(body, "tags");
        json_t *tags = json_object_size(body) == 1 && given ? attribute_tags(given, &why) : NULL;
        json_decref(body);
        if (!tags) {
            call_error(c, 400, "HTTPBadRequest", "Invalid input for tags. Reason: %s",
                       why.len ? why.s : "'tags' is missing");
            return;
        }
        c->items = tags;
        call_start(c, attempt_on_row);
    } else if (!strcmp(c->method, "GET") || !strcmp(c->method, "PUT") || !strcmp(c->method, "DELETE")) {
        call_start(c, attempt_on_row);
    } else {
        call_not_allowed(c, "GET, PUT, DELETE");
    }
}

static void handle_resource(struct call *c)
{
    if (c->n_segments == 1) {
        handle_collection(c);
    } else if (c->n_segments == 2) {
        handle_row(c);
    } else if (c->resource->tags && !strcmp(c->segments[2], "tags") && c->n_segments <= 4) {
        handle_tags(c);
    } else {
        no_such_page(c);
    }
}

/* ---- the path ---- */

/* Cuts what follows /v2.0 at its slashes; false if there are too many. */
static bool split_path(struct call *c, const char *path)
{
    while (*path) {
        size_t len = strcspn(path, "/");

        if (len) {
            if (c->n_segments == ARRAY_SIZE(c->segments)) {
                return false;
            }
            c->segments[c->n_segments++] = strndup(path, len);
        }
        path += len + (path[len] == '/');
    }
    return true;
}

static void read_only(struct call *c, void (*page)(struct call *c))
{
    if (!strcmp(c->method, "GET")) {
        page(c);
    } else {
        call_not_allowed(c, "GET");
    }
}

static void handle_v2(struct call *c)
{
    if (!c->n_segments) {
        read_only(c, discovery_resources);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
        if (!strcmp(resources[i]->collection, c->segments[0])) {
            c->resource = resources[i];
            handle_resource(c);
            return;
        }
    }
    if (!strcmp(c->segments[0], "extensions") && c->n_segments <= 2) {
        read_only(c, discovery_extensions);
    } else if (!strcmp(c->segments[0], "quotas") &&
               (c->n_segments <= 2 || (c->n_segments == 3 && !strcmp(c->segments[2], "default")))) {
        read_only(c, discovery_quotas);
    } else {
        no_such_page(c);
    }
}

void api_handle(struct call *c)
{
    const char *path = c->path;
    size_t len = strlen(PREFIX);

    if (!strcmp(path, "/")) {
        read_only(c, discovery_versions);
    } else if (!strcmp(path, "/healthz")) {
        read_only(c, health_check);
    } else if (!strcmp(path, "/metrics")) {
        read_only(c, health_metrics);
    } else if (!strncmp(path, PREFIX, len) && (!path[len] || path[len] == '/') && split_path(c, path + len)) {
        handle_v2(c);
    } else {
        no_such_page(c);
    }
}
