/* SPDX-License-Identifier: Apache-2.0 */
#include "packet/tunnel_opts.h"

#include <errno.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "base/util.h"
#include "packet/headers.h"

struct block {
    uint32_t id, refs;
    struct block *prev, *next; /* `idle`, while there is no reference */
    UT_hash_handle hh;         /* by len and data */
    uint8_t len;               /* 0: the number was passed over by tunnel_opts_restore(), and is free */
    uint8_t data[TUNNEL_OPTS_MAX_LEN];
};

static struct block *by_id[TUNNEL_OPTS_MAX]; /* [id - 1] */
static uint32_t n_blocks, n_idle;
static struct block *by_data;
static struct block *idle; /* oldest first */

static void make_idle(struct block *b)
{
    DL_APPEND(idle, b);
    n_idle++;
}

static void leave_idle(struct block *b)
{
    DL_DELETE(idle, b);
    n_idle--;
}

/* A block that nobody needs, ready for new contents; NULL: none. */
static struct block *reuse(void)
{
    struct block *b = idle;

    if (n_idle <= TUNNEL_OPTS_RECENT && !(b && !b->len)) {
        return NULL;
    }
    leave_idle(b);
    if (b->len) {
        HASH_DEL(by_data, b);
    }
    return b;
}

static struct block *append_block(void)
{
    struct block *b = xcalloc(1, sizeof(*b));

    by_id[n_blocks++] = b;
    b->id = n_blocks;
    return b;
}

static struct block *new_block(void)
{
    if (n_blocks == TUNNEL_OPTS_MAX) {
        return reuse();
    }
    return append_block();
}

static void fill(struct block *b, const struct block *key)
{
    b->len = key->len;
    memcpy(b->data, key->data, key->len);
    HASH_ADD(hh, by_data, len, 1 + (size_t)key->len, b);
}

int tunnel_opts_intern(const void *opts, size_t len, uint32_t *ret_id)
{
    struct block key = {.len = (uint8_t)len}, *b;

    if (!len) {
        *ret_id = 0;
        return 0;
    }
    if (len > TUNNEL_OPTS_MAX_LEN) {
        return -EINVAL;
    }
    memcpy(key.data, opts, len);
    HASH_FIND(hh, by_data, &key.len, 1 + len, b);
    if (b) {
        if (!b->refs) { /* the newest again */
            leave_idle(b);
            make_idle(b);
        }
        *ret_id = b->id;
        return 0;
    }
    b = new_block();
    if (!b) {
        return -ENOSPC;
    }
    fill(b, &key);
    make_idle(b);
    *ret_id = b->id;
    return 0;
}

int tunnel_opts_restore(uint32_t id, const void *opts, size_t len)
{
    struct block key = {.len = (uint8_t)len}, *b;

    if (!id || id > TUNNEL_OPTS_MAX || !len || len > TUNNEL_OPTS_MAX_LEN) {
        return -EINVAL;
    }
    memcpy(key.data, opts, len);
    HASH_FIND(hh, by_data, &key.len, 1 + len, b);
    if (b) {
        return b->id == id ? 0 : -EEXIST;
    }
    while (n_blocks < id) {
        b = append_block();
        DL_PREPEND(idle, b); /* the first to be used */
        n_idle++;
    }
    if (by_id[id - 1]->len) {
        return -EEXIST;
    }
    leave_idle(by_id[id - 1]);
    fill(by_id[id - 1], &key);
    make_idle(by_id[id - 1]);
    return 0;
}

bool tunnel_opts_critical(const uint8_t *opts, size_t len)
{
    bool critical = false;

    for (size_t at = 0; at + 4 <= len; at += 4u + (opts[at + 3] & 0x1fu) * 4u) {
        critical |= opts[at + 2] & GENEVE_OPT_CRITICAL;
    }
    return critical;
}

const uint8_t *tunnel_opts_get(uint32_t id, size_t *ret_len)
{
    if (!id || id > n_blocks || !by_id[id - 1]->len) {
        *ret_len = 0;
        return NULL;
    }
    *ret_len = by_id[id - 1]->len;
    return by_id[id - 1]->data;
}

void tunnel_opts_ref(uint32_t id)
{
    if (id && by_id[id - 1]->refs++ == 0) {
        leave_idle(by_id[id - 1]);
    }
}

void tunnel_opts_unref(uint32_t id)
{
    if (id && --by_id[id - 1]->refs == 0) {
        make_idle(by_id[id - 1]);
    }
}
