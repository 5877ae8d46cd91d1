/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/liveness.h"

#include <uthash.h>

#include "base/util.h"

struct heard {
    const void *row;
    int64_t zero_ms; /* what our monotonic clock said when the agent's clock said 0 */
    UT_hash_handle hh;
};

static struct heard *find(const struct liveness *l, const void *row)
{
    struct heard *h;

    HASH_FIND_PTR(l->heard, &row, h);
    return h;
}

void liveness_done(struct liveness *l)
{
    struct heard *h, *next;

    HASH_ITER(hh, l->heard, h, next) {
        HASH_DEL(l->heard, h);
        free(h);
    }
}

void liveness_lost(struct liveness *l)
{
    l->complete = false;
}

void liveness_complete(struct liveness *l, int64_t mono)
{
    if (!l->complete) {
        l->complete = true;
        l->since_ms = mono;
    }
}

bool liveness_beat(struct liveness *l, const void *row, int64_t at, int64_t mono, int64_t wall, int64_t *ret)
{
    struct heard *h = find(l, row);
    int64_t zero = mono - at * 1000;

    if (!l->complete) {
        if (h) {
            h->zero_ms = MIN(h->zero_ms, zero); /* it was not in the future: the agent's clock was set */
        }
        return false;
    }
    if (!h) {
        h = xcalloc(1, sizeof *h);
        h->row = row;
        HASH_ADD_PTR(l->heard, row, h);
    }
    h->zero_ms = zero;
    *ret = wall / 1000 - at;
    return true;
}

void liveness_gone(struct liveness *l, const void *row)
{
    struct heard *h = find(l, row);

    if (h) {
        HASH_DEL(l->heard, h);
        free(h);
    }
}

int64_t liveness_age(const struct liveness *l, const void *row, int64_t at, int64_t stored, int64_t mono, int64_t wall)
{
    const struct heard *h = find(l, row);

    /* Nothing came since the contents are complete: whatever clocks say, so long it is. */
    return h ? mono - at * 1000 - h->zero_ms : MAX(wall - (at + stored) * 1000, mono - l->since_ms);
}
