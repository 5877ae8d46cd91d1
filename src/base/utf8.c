/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include "base/util.h"

size_t utf8_character(const char *s, size_t len)
{
    /* The least second byte that may follow some first ones, and the greatest: without overlong forms (E0, F0),
     * surrogates (ED) and numbers that are too high (F4). */
    const uint8_t *b = (const uint8_t *)s;
    uint8_t first = len ? b[0] : 0xff;
    uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t greatest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

    if (n > len || (n > 1 && (b[1] < least || b[1] > greatest))) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

bool utf8_is_clean(const char *text)
{
    size_t n = 1;

    for (size_t left = strlen(text); left && n; left -= n, text += n) {
        n = utf8_character(text, left);
    }
    return n;
}

void utf8_clean(char *text)
{
    size_t left = strlen(text);

    for (char *p = text; left;) {
        size_t n = utf8_character(p, left);

        if (!n) {
            *p = '?';
            n = 1;
        }
        p += n;
        left -= n;
    }
}
