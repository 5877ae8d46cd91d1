/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <endian.h>

const void *reader_take(struct reader *r, size_t n)
{
    const uint8_t *p = r->data;

    if (r->error || n > r->left) {
        reader_fail(r, -EBADMSG);
        return NULL;
    }
    r->data += n;
    r->left -= n;
    return p;
}

void reader_skip(struct reader *r, size_t n)
{
    reader_take(r, n);
}

void reader_copy(struct reader *r, void *dst, size_t n)
{
    const void *p = reader_take(r, n);

    if (p && n) {
        memcpy(dst, p, n);
    } else {
        memset(dst, 0, n);
    }
}

struct reader reader_sub(struct reader *r, size_t n)
{
    const void *p = reader_take(r, n);
    struct reader sub = reader_of(p, p ? n : 0);

    sub.error = r->error;
    return sub;
}

uint8_t reader_u8(struct reader *r)
{
    uint8_t v;

    reader_copy(r, &v, sizeof v);
    return v;
}

__be16 reader_be16(struct reader *r)
{
    __be16 v;

    reader_copy(r, &v, sizeof v);
    return v;
}

__be32 reader_be32(struct reader *r)
{
    __be32 v;

    reader_copy(r, &v, sizeof v);
    return v;
}

__be64 reader_be64(struct reader *r)
{
    __be64 v;

    reader_copy(r, &v, sizeof v);
    return v;
}

uint16_t reader_u16(struct reader *r)
{
    return be16toh((WR_FORCE uint16_t)reader_be16(r));
}

uint32_t reader_u32(struct reader *r)
{
    return be32toh((WR_FORCE uint32_t)reader_be32(r));
}

uint64_t reader_u64(struct reader *r)
{
    return be64toh((WR_FORCE uint64_t)reader_be64(r));
}

void reader_fail(struct reader *r, int error)
{
    if (!r->error) {
        r->error = error;
    }
    r->left = 0;
}

void writer_done(struct writer *w)
{
    free(w->data);
    *w = (struct writer){.limit = w->limit};
}

uint8_t *writer_take(struct writer *w, size_t *len)
{
    uint8_t *data = w->data;

    *len = w->len;
    *w = (struct writer){.limit = w->limit};
    return data;
}

/* Room for N more bytes, with whatever is in it. */
static inline void *reserve(struct writer *w, size_t n)
{
    if (w->error) {
        return NULL;
    }
    if (w->limit && n > w->limit - w->len) {
        w->error = -EMSGSIZE;
        return NULL;
    }
    if (!w->data || w->len + n > w->allocated) { /* also for no bytes: NULL would be an error */
        w->allocated = MAX(w->allocated * 2, w->len + n + 64);
        w->data = xrealloc(w->data, w->allocated);
    }
    void *p = w->data + w->len;
    w->len += n;
    return p;
}

/* Inlined where N is known, so that a number costs one store. */
static inline void put_bytes(struct writer *w, const void *src, size_t n)
{
    void *p = reserve(w, n);

    if (p && n) {
        memcpy(p, src, n);
    }
}

void *writer_put(struct writer *w, size_t n)
{
    void *p = reserve(w, n);

    return p ? memset(p, 0, n) : NULL;
}

void writer_bytes(struct writer *w, const void *src, size_t n)
{
    put_bytes(w, src, n);
}

void writer_zeros(struct writer *w, size_t n)
{
    writer_put(w, n);
}

void writer_u8(struct writer *w, uint8_t v)
{
    put_bytes(w, &v, sizeof v);
}

void writer_u16(struct writer *w, uint16_t v)
{
    v = htobe16(v);
    put_bytes(w, &v, sizeof v);
}

void writer_u32(struct writer *w, uint32_t v)
{
    v = htobe32(v);
    put_bytes(w, &v, sizeof v);
}

void writer_u64(struct writer *w, uint64_t v)
{
    v = htobe64(v);
    put_bytes(w, &v, sizeof v);
}

void writer_be16(struct writer *w, __be16 v)
{
    put_bytes(w, &v, sizeof v);
}

void writer_be32(struct writer *w, __be32 v)
{
    put_bytes(w, &v, sizeof v);
}

void writer_be64(struct writer *w, __be64 v)
{
    put_bytes(w, &v, sizeof v);
}

void writer_pad(struct writer *w, size_t start, size_t align)
{
    writer_zeros(w, ROUND_UP(w->len - start, align) - (w->len - start));
}

void writer_patch_u16(struct writer *w, size_t offset, uint16_t v)
{
    v = htobe16(v);
    if (!w->error) {
        memcpy(w->data + offset, &v, sizeof v);
    }
}

void writer_patch_u32(struct writer *w, size_t offset, uint32_t v)
{
    v = htobe32(v);
    if (!w->error) {
        memcpy(w->data + offset, &v, sizeof v);
    }
}
