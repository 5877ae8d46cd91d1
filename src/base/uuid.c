/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include <sys/random.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool dash_at(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

struct uuid uuid_random(void)
{
    struct uuid u;
    ssize_t n;

    do {
        n = getrandom(&u, sizeof u, 0); /* up to 256 bytes come whole once the pool is ready */
    } while (n < 0 && errno == EINTR);
    if (n != sizeof u) {
        abort();
    }
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    return u;
}

int uuid_parse(const char *s, struct uuid *ret)
{
    struct uuid u = {{0}};
    size_t nibble = 0;

    for (size_t i = 0; i < UUID_STR_LEN; i++) {
        if (dash_at(i)) {
            if (s[i] != '-') {
                return -EINVAL;
            }
            continue;
        }
        int v = hex_value(s[i]); /* also catches the end of a short string */
        if (v < 0) {
            return -EINVAL;
        }
        u.b[nibble / 2] |= (uint8_t)(v << (nibble % 2 ? 0 : 4));
        nibble++;
    }
    if (s[UUID_STR_LEN]) {
        return -EINVAL;
    }
    *ret = u;
    return 0;
}

const char *uuid_format(const struct uuid *u, char buf[UUID_STR_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t nibble = 0;

    for (size_t i = 0; i < UUID_STR_LEN; i++) {
        if (dash_at(i)) {
            buf[i] = '-';
            continue;
        }
        buf[i] = digits[(u->b[nibble / 2] >> (nibble % 2 ? 0 : 4)) & 15];
        nibble++;
    }
    buf[UUID_STR_LEN] = '\0';
    return buf;
}
