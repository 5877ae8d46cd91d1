/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_STRBUF_H
#define WARREN_BASE_STRBUF_H
/* A string that grows. Zero-initialised is empty; strbuf_str() is never NULL. */
#include "base/util.h"

struct strbuf {
    char *s;
    size_t len, allocated;
};

void strbuf_done(struct strbuf *b);
#define _cleanup_strbuf_ _cleanup_(strbuf_done)
void strbuf_add(struct strbuf *b, const char *s);
void strbuf_add_n(struct strbuf *b, const char *s, size_t n);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) WR_PRINTF(2, 3);
/* Drops a trailing CH if there is one. */
void strbuf_chomp(struct strbuf *b, char ch);
const char *strbuf_str(const struct strbuf *b);
/* The string, the caller's to free; B is empty again. */
char *strbuf_take(struct strbuf *b);

#endif
