/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_OPENFLOW_HEX_H
#define WARREN_TESTS_OPENFLOW_HEX_H
/* Bytes from and to hex text, for the tables of vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"

/* Blanks are skipped. Returns the number of bytes. */
static inline size_t from_hex(const char *s, uint8_t *dst, size_t size)
{
    size_t n = 0;
    unsigned int b;

    while (*s) {
        if (*s == ' ') {
            s++;
            continue;
        }
        assert_true(n < size);
        assert_int_equal(sscanf(s, "%2x", &b), 1);
        dst[n++] = (uint8_t)b;
        s += 2;
    }
    return n;
}

static inline char *to_hex(const uint8_t *p, size_t n)
{
    char *s = xmalloc(2 * n + 1);

    s[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        snprintf(s + 2 * i, 3, "%02x", p[i]);
    }
    return s;
}

#endif
