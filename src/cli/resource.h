/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_RESOURCE_H
#define WARREN_CLI_RESOURCE_H
/*
 * What networks, subnets, ports and agents have in common: the lookup by name or id, list, show, create and delete.
 * Each kind describes itself by a `struct resource`. Functions return the exit status and have said what went wrong,
 * unless told otherwise.
 */
#include "cli/api.h"
#include "cli/cli.h"

struct column {
    const char *title;
    const char *key;                                        /* of the API's object */
    void (*format)(const json_t *object, struct strbuf *b); /* instead of the key's value as it is; may be NULL */
};

struct resource {
    const char *singular, *plural; /* as the API has them: "network", "networks" */
    const char *name_key;          /* what users may say instead of the id: "name" */
    const struct column *columns;  /* of the list */
    size_t n_columns;
};

/* The controller that CLI names, or NULL: said. */
struct api *resource_api(const struct cli *cli);
/* The object whose id or name TEXT is; an id goes first. NULL if there is none, or several of that name: said. A new
 * reference. */
json_t *resource_find(struct api *api, const struct resource *r, const char *text);
/* Its id. The string lives as long as OBJECT; "" if there is none. */
const char *resource_id(const json_t *object);

/* PATH is the plural and the query. */
int resource_list_path(const struct cli *cli, struct api *api, const struct resource *r, const char *path);
int resource_show(const struct cli *cli, const struct resource *r, const struct args *args);
/* ATTRIBUTES: the new object's; taken over. Prints what the server made of it. */
int resource_create(const struct cli *cli, struct api *api, const struct resource *r, json_t *attributes);
/* Deletes every word of ARGS; a failure does not keep it from the others. */
int resource_delete(const struct cli *cli, const struct resource *r, const struct args *args);

/* The pair of flags that every `create` has, and what they make of ATTRIBUTES. EXIT_USAGE, said, when both are given.
 */
#define ADMIN_STATE_OPTIONS                                                                                            \
    {"enable", NULL, "administratively up (the default)", false},                                                      \
    {                                                                                                                  \
        "disable", NULL, "administratively down", false                                                                \
    }
int resource_set_admin_state(const struct args *args, json_t *attributes);

/* For `format`: "up" or "down" from admin_state_up. */
void format_state(const json_t *object, struct strbuf *b);

#endif
