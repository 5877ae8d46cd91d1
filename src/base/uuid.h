/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_UUID_H
#define WARREN_BASE_UUID_H
/* UUIDs (RFC 4122) as 16 bytes in the order of their text form: a plain hash key, comparable with memcmp(). */
#include "base/util.h"

#define UUID_STR_LEN 36

struct uuid {
    uint8_t b[16];
};

/* A random (version 4) UUID. */
struct uuid uuid_random(void);
/* Takes exactly the 36 characters 8-4-4-4-12, upper or lower case, and nothing after them; -EINVAL otherwise. */
int uuid_parse(const char *s, struct uuid *ret);
/* Lower case; returns BUF. */
const char *uuid_format(const struct uuid *u, char buf[UUID_STR_LEN + 1]);
/* The text in a buffer that lives until the end of the enclosing block. */
#define UUID_STR(u) uuid_format((u), (char[UUID_STR_LEN + 1]){0})

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return !memcmp(a, b, sizeof *a);
}
static inline bool uuid_is_zero(const struct uuid *u)
{
    return uuid_equal(u, &(struct uuid){{0}});
}

#endif
