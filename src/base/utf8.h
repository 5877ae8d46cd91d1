/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_UTF8_H
#define WARREN_BASE_UTF8_H
/*
 * Texts on their way into JSON, which holds UTF-8 only: names that the kernel takes as whatever bytes they are, and
 * messages that were cut within a character. Neighbour: jansson, which refuses a text for one such byte.
 */
#include <stdbool.h>
#include <stddef.h>

/* How long the character is that the LEN bytes at S begin with; 0 when they begin with none (RFC 3629: overlong forms,
 * surrogates and what is beyond U+10FFFF are none). */
size_t utf8_character(const char *s, size_t len);

/* All bytes belong to characters. */
bool utf8_is_clean(const char *text);

/* Puts a question mark in the place of each byte that belongs to no character. */
void utf8_clean(char *text);

#endif
