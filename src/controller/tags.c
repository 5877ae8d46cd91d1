/* SPDX-License-Identifier: Apache-2.0 */
/* /v2.0/COLLECTION/ID/tags and …/tags/TAG, the same for every resource that has tags. */
#include "controller/api.h"

static void replace(struct call *c, const struct ovsdb_row *row, const json_t *tags)
{
    struct ovsdb_txn *txn = store_txn(c->api->store);

    set_list(call_update_row(c, txn, c->resource->table, row), "tags", tags);
    call_commit(c, txn);
}

static void handle_one(struct call *c, const struct ovsdb_row *row, const char *tag)
{
    bool has = ovsdb_row_set_has_string(row, "tags", tag);
    json_t *tags = show_set(row, "tags"), *item;
    size_t i;

    if (!strcmp(c->method, "PUT") && has) {
        call_reply(c, 201, NULL);
    } else if (!strcmp(c->method, "PUT")) {
        _cleanup_strbuf_ struct strbuf why = {0};
        json_array_append_new(tags, json_string(tag));
        json_t *checked = attribute_tags(tags, &why);

        if (checked) {
            replace(c, row, checked);
            json_decref(checked);
        } else {
            call_error(c, 400, "HTTPBadRequest", "Invalid input for tag. Reason: %s", strbuf_str(&why));
        }
    } else if (!has) {
        call_error(c, 404, "TagNotFound", "Tag %.100s could not be found.", tag);
    } else if (!strcmp(c->method, "GET")) {
        call_reply(c, 204, NULL);
    } else {
        json_array_foreach(tags, i, item) {
            if (!strcmp(json_string_value(item), tag)) {
                json_array_remove(tags, i);
                break;
            }
        }
        replace(c, row, tags);
    }
    json_decref(tags);
}

void tags_handle(struct call *c, const struct ovsdb_row *row)
{
    if (c->n_segments == 4) {
        handle_one(c, row, c->segments[3]);
    } else if (!strcmp(c->method, "GET")) {
        call_reply(c, 200, json_pack("{s:o}", "tags", show_set(row, "tags")));
    } else {
        json_t *none = json_array();

        replace(c, row, !strcmp(c->method, "PUT") ? c->items : none);
        json_decref(none);
    }
}
