/* SPDX-License-Identifier: Apache-2.0 */
#include "base/eth_addr.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static const struct form {
    unsigned int n_groups, min_digits, max_digits;
    const char *separators;
} forms[] = {{6, 1, 2, ":-"}, {3, 1, 4, ":-."}, {2, 5, 6, ":-"}, {1, 11, 12, ""}};

static bool parse_as(const struct form *f, const char *s, uint64_t *ret)
{
    const char separator = s[strspn(s, "0123456789abcdefABCDEF")];
    uint64_t value = 0;

    if (f->n_groups > 1 && (!separator || !strchr(f->separators, separator))) {
        return false;
    }
    for (unsigned int i = 0; i < f->n_groups; i++) {
        uint64_t group = 0;
        unsigned int n = 0;

        if (i && *s++ != separator) {
            return false;
        }
        for (; isxdigit((unsigned char)*s) && n <= f->max_digits; n++, s++) {
            group =
                group << 4 | (uint64_t)(isdigit((unsigned char)*s) ? *s - '0' : tolower((unsigned char)*s) - 'a' + 10);
        }
        if (n < f->min_digits || n > f->max_digits) {
            return false;
        }
        value = value << 4 * f->max_digits | group;
    }
    *ret = value;
    return !*s;
}

int eth_addr_parse(const char *s, struct eth_addr *ret)
{
    uint64_t value;

    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        if (parse_as(&forms[i], s, &value)) {
            for (unsigned int b = 0; b < 6; b++) {
                ret->a[b] = (uint8_t)(value >> 8 * (5 - b));
            }
            return 0;
        }
    }
    return -EINVAL;
}

const char *eth_addr_format(const struct eth_addr *a, char buf[ETH_ADDR_STR_LEN + 1])
{
    snprintf(buf, ETH_ADDR_STR_LEN + 1, "%02x:%02x:%02x:%02x:%02x:%02x", a->a[0], a->a[1], a->a[2], a->a[3], a->a[4],
             a->a[5]);
    return buf;
}
