/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/resource.h"

#include <stdio.h>

#include "base/uuid.h"
#include "cli/table.h"

struct api *resource_api(const struct cli *cli)
{
    _cleanup_free_ char *error = NULL;
    struct api *api = NULL;

    if (api_new(cli->endpoint, cli->timeout_ms, &api, &error)) {
        cli_fail("%s", error);
        return NULL;
    }
    return api;
}

const char *resource_id(const json_t *object)
{
    const char *id = json_string_value(json_object_get(object, "id"));

    return id ? id : "";
}

/* The member KEY of a reply, which must be of TYPE; NULL and said if it is not. Borrowed. */
static json_t *member(const json_t *reply, const char *key, json_type type)
{
    json_t *value = json_object_get(reply, key);

    if (!value || json_typeof(value) != type) {
        cli_fail("the controller's reply has no \"%s\"", key);
        return NULL;
    }
    return value;
}

static json_t *find_by_name(struct api *api, const struct resource *r, const char *text)
{
    _cleanup_strbuf_ struct strbuf path = {0};
    _cleanup_free_ char *error = NULL;
    _cleanup_json_ json_t *reply = NULL;

    strbuf_add(&path, r->plural);
    api_query(&path, r->name_key, text);
    if (api_call(api, "GET", strbuf_str(&path), NULL, &reply, &error)) {
        cli_fail("%s", error);
        return NULL;
    }
    json_t *found = member(reply, r->plural, JSON_ARRAY);
    if (!found) {
        return NULL;
    }
    if (json_array_size(found) != 1) {
        cli_fail(json_array_size(found) ? "several %ss are called %s: say which by its id" : "no %s is called %s",
                 r->singular, text);
        return NULL;
    }
    return json_incref(json_array_get(found, 0));
}

json_t *resource_find(struct api *api, const struct resource *r, const char *text)
{
    _cleanup_strbuf_ struct strbuf path = {0};
    _cleanup_free_ char *error = NULL;
    _cleanup_json_ json_t *reply = NULL;
    struct uuid uuid;

    if (uuid_parse(text, &uuid)) {
        return find_by_name(api, r, text);
    }
    strbuf_addf(&path, "%s/%s", r->plural, text);
    int status = api_call(api, "GET", strbuf_str(&path), NULL, &reply, &error);
    if (status == -ENOENT) {
        return find_by_name(api, r, text);
    }
    if (status) {
        cli_fail("%s", error);
        return NULL;
    }
    return json_incref(member(reply, r->singular, JSON_OBJECT));
}

int resource_list_path(const struct cli *cli, struct api *api, const struct resource *r, const char *path)
{
    _cleanup_table_ struct table t = {0};
    _cleanup_strbuf_ struct strbuf out = {0};
    _cleanup_free_ char *error = NULL;
    _cleanup_free_ const char **titles = xcalloc(r->n_columns, sizeof *titles);
    _cleanup_json_ json_t *reply = NULL;
    json_t *list, *object;
    size_t i;

    if (api_call(api, "GET", path, NULL, &reply, &error)) {
        return cli_fail("%s", error);
    }
    if (!(list = member(reply, r->plural, JSON_ARRAY))) {
        return EXIT_FAILURE;
    }
    if (cli->json) {
        cli_print_json(list);
        return EXIT_SUCCESS;
    }
    for (size_t c = 0; c < r->n_columns; c++) {
        titles[c] = r->columns[c].title;
    }
    table_init(&t, r->n_columns, titles);
    json_array_foreach(list, i, object) {
        for (size_t c = 0; c < r->n_columns; c++) {
            _cleanup_strbuf_ struct strbuf cell = {0};

            if (r->columns[c].format) {
                r->columns[c].format(object, &cell);
            } else {
                cell_json(json_object_get(object, r->columns[c].key), &cell);
            }
            table_add(&t, strbuf_str(&cell));
        }
    }
    table_format(&t, &out);
    fputs(strbuf_str(&out), stdout);
    return EXIT_SUCCESS;
}

static int print_object(const struct cli *cli, const json_t *object)
{
    _cleanup_table_ struct table t = {0};
    _cleanup_strbuf_ struct strbuf out = {0};
    const char *key;
    json_t *value;

    if (cli->json) {
        cli_print_json(object);
        return EXIT_SUCCESS;
    }
    table_init(&t, 2, NULL);
    json_object_foreach((json_t *)object, key, value) {
        _cleanup_strbuf_ struct strbuf cell = {0};

        cell_json(value, &cell);
        table_add(&t, key);
        table_add(&t, strbuf_str(&cell));
    }
    table_format(&t, &out);
    fputs(strbuf_str(&out), stdout);
    return EXIT_SUCCESS;
}

int resource_show(const struct cli *cli, const struct resource *r, const struct args *args)
{
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    _cleanup_json_ json_t *object = api ? resource_find(api, r, args->words[0]) : NULL;

    return object ? print_object(cli, object) : EXIT_FAILURE;
}

int resource_create(const struct cli *cli, struct api *api, const struct resource *r, json_t *attributes)
{
    _cleanup_json_ json_t *body = json_pack("{s:o}", r->singular, attributes), *reply = NULL;
    _cleanup_free_ char *error = NULL;

    if (!body) {
        return cli_fail("an argument is not valid UTF-8");
    }
    if (api_call(api, "POST", r->plural, body, &reply, &error)) {
        return cli_fail("%s", error);
    }
    json_t *object = member(reply, r->singular, JSON_OBJECT);
    return object ? print_object(cli, object) : EXIT_FAILURE;
}

static int delete_one(struct api *api, const struct resource *r, const char *text, json_t *deleted)
{
    _cleanup_json_ json_t *object = resource_find(api, r, text);
    _cleanup_strbuf_ struct strbuf path = {0};
    _cleanup_free_ char *error = NULL;

    if (!object) {
        return EXIT_FAILURE;
    }
    strbuf_addf(&path, "%s/", r->plural);
    api_segment(&path, resource_id(object));
    if (api_call(api, "DELETE", strbuf_str(&path), NULL, NULL, &error)) {
        return cli_fail("%s", error);
    }
    json_array_append_new(deleted, json_string(resource_id(object)));
    return EXIT_SUCCESS;
}

int resource_delete(const struct cli *cli, const struct resource *r, const struct args *args)
{
    _cleanup_(api_destroyp) struct api *api = resource_api(cli);
    _cleanup_json_ json_t *deleted = json_array(), *result = NULL;
    int status = api ? EXIT_SUCCESS : EXIT_FAILURE;

    for (size_t i = 0; api && i < args->n_words; i++) {
        status |= delete_one(api, r, args->words[i], deleted);
    }
    if (cli->json) {
        result = json_pack("{s:O}", "deleted", deleted);
        cli_print_json(result);
    }
    return status;
}

int resource_set_admin_state(const struct args *args, json_t *attributes)
{
    if (args_has(args, "enable") && args_has(args, "disable")) {
        return cli_usage_error("--enable and --disable contradict each other");
    }
    json_object_set_new(attributes, "admin_state_up", json_boolean(!args_has(args, "disable")));
    return EXIT_SUCCESS;
}

void format_state(const json_t *object, struct strbuf *b)
{
    strbuf_add(b, json_is_true(json_object_get(object, "admin_state_up")) ? "up" : "down");
}
