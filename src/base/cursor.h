/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_CURSOR_H
#define WARREN_BASE_CURSOR_H
/*
 * The one way to parse and to build wire formats.
 *
 * A `struct reader` walks over bytes that it does not own. Its error is sticky: after the first read past the
 * end each further read is a no-op that yields zeros, so a parser reads straight down and checks `error` once.
 * A `struct writer` appends to a growing buffer that it owns (writer_done frees it, writer_take hands it over);
 * its error is sticky too (-EMSGSIZE beyond `limit`).
 */
#include "base/util.h"

struct reader {
    const uint8_t *data; /* next byte */
    size_t left;
    int error; /* 0, or -EBADMSG once a read went past the end */
};

static inline struct reader reader_of(const void *data, size_t len)
{
    return (struct reader){.data = data, .left = len, .error = 0};
}

/* A pointer to the next N bytes, which are passed over; NULL and the error if there are fewer. */
const void *reader_take(struct reader *r, size_t n);
void reader_skip(struct reader *r, size_t n);
/* Copies N bytes to DST, or zeros on error. */
void reader_copy(struct reader *r, void *dst, size_t n);
/* A reader over the next N bytes, which are passed over in R. If there are fewer, both have the error. */
struct reader reader_sub(struct reader *r, size_t n);
uint8_t reader_u8(struct reader *r);
/* Big-endian on the wire, host order as the result. */
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* As on the wire. */
__be16 reader_be16(struct reader *r);
__be32 reader_be32(struct reader *r);
__be64 reader_be64(struct reader *r);
/* Marks the input as bad: for values that are out of range. Keeps an earlier error. */
void reader_fail(struct reader *r, int error);

struct writer {
    uint8_t *data;
    size_t len, allocated;
    size_t limit; /* 0: none */
    int error;
};

void writer_done(struct writer *w);
/* The bytes, which the caller then owns (free()), their number in *LEN; W is empty again. */
uint8_t *writer_take(struct writer *w, size_t *len);
/* Room for N more bytes, zeroed; NULL on error. The pointer is good until the next call. */
void *writer_put(struct writer *w, size_t n);
void writer_bytes(struct writer *w, const void *p, size_t n);
void writer_zeros(struct writer *w, size_t n);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_be16(struct writer *w, __be16 v);
void writer_be32(struct writer *w, __be32 v);
void writer_be64(struct writer *w, __be64 v);
/* Zeros up to the next multiple of ALIGN, counted from offset START. */
void writer_pad(struct writer *w, size_t start, size_t align);
/* Overwrites what was written at OFFSET earlier. */
void writer_patch_u16(struct writer *w, size_t offset, uint16_t v);
void writer_patch_u32(struct writer *w, size_t offset, uint32_t v);

#endif
