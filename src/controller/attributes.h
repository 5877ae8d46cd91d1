/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CONTROLLER_ATTRIBUTES_H
#define WARREN_CONTROLLER_ATTRIBUTES_H
/*
 * What an API resource's attributes may be, as tables, and the one function that turns a request's object into a
 * checked one: only known attributes, of the right type (numbers and booleans may come as strings, as clients send
 * them), within bounds. Pure.
 */
#include <jansson.h>

#include "base/strbuf.h"

enum attribute_type {
    ATTR_STRING,
    ATTR_BOOL,
    ATTR_INT,
    ATTR_UUID,
    ATTR_MAC,
    ATTR_IP,
    ATTR_CIDR,
    ATTR_OBJECT,
    ATTR_CUSTOM
};

#define ATTR_POST 1u      /* may be given at creation */
#define ATTR_PUT 2u       /* may be changed */
#define ATTR_REQUIRED 4u  /* must be given at creation */
#define ATTR_NULL 8u      /* null is a value of its own, kept in the result */
#define ATTR_NULL_DEF 16u /* null means the default */

struct attribute {
    const char *name;
    enum attribute_type type;
    unsigned int flags;  /* 0: only shown */
    const char *def;     /* default at creation as JSON text, or NULL: left out */
    int64_t min, max;    /* ATTR_INT: range. ATTR_STRING: max is the longest, in characters (0: 255) */
    const char *choices; /* ATTR_STRING, ATTR_INT: "a|b" */
    /* ATTR_CUSTOM: the checked value (a new reference), or NULL with the reason in WHY. */
    json_t *(*check)(const json_t *value, struct strbuf *why);
    const char *alias; /* another name of the same attribute (tenant_id) */
};

enum attribute_use { ATTRIBUTES_POST, ATTRIBUTES_PUT };

/* The checked form of BODY, a new object; at creation with defaults filled in. On failure NULL, and WHY says what is
 * wrong. */
json_t *attributes_check(const struct attribute *table, size_t n, enum attribute_use use, const json_t *body,
                         struct strbuf *why);
/* The attribute shown as NAME, or NULL. */
const struct attribute *attributes_find(const struct attribute *table, size_t n, const char *name);

/* true, "true", "True", 1, "1", … as Neutron takes them; -EINVAL for anything else. */
int attribute_bool(const json_t *value, bool *ret);
/* A JSON integer or a string of one. */
int attribute_int(const json_t *value, int64_t *ret);
/* VALUE as text for an error message, cut to a bearable length. */
void attribute_show(const json_t *value, struct strbuf *out);
/* Checks for ATTR_CUSTOM: a list of different strings of the length of a tag; of UUIDs; of IP addresses. */
json_t *attribute_tags(const json_t *value, struct strbuf *why);
json_t *attribute_uuids(const json_t *value, struct strbuf *why);
json_t *attribute_addresses(const json_t *value, struct strbuf *why);

#endif
