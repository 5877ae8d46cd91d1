/* SPDX-License-Identifier: Apache-2.0 */
/* The hash index against a plain array: random insertions, replacements and removals, under hashes that often collide
 * and that wrap around the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash_index.h"

#define N 300

struct object {
    uint32_t hash;
    bool in;
};

static uint32_t rng_state = 7;

static uint32_t rng(uint32_t n)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (rng_state >> 8) % n;
}

static bool found(const struct hash_index *x, const struct object *o)
{
    const struct object *p;
    unsigned int n = 0;

    HASH_INDEX_FOR_EACH_WITH(p, x, o->hash)
    {
        assert_int_equal(p->hash, o->hash);
        n += p == o;
    }
    assert_true(n <= 1);
    return n;
}

static void test_random(void **state WR_UNUSED)
{
    static struct object objects[N];
    struct hash_index x = {0};
    _cleanup_free_ void **list = NULL;
    size_t n = 0;

    for (unsigned int round = 0; round < 50000; round++) {
        struct object *o = &objects[rng(N)], *other = &objects[rng(N)];

        if (o->in && !other->in && rng(4) == 0) {
            other->hash = o->hash;
            hash_index_replace(&x, o->hash, o, other);
            other->in = true;
            o->in = false;
        } else if (o->in) {
            hash_index_remove(&x, o->hash, o);
            o->in = false;
            n--;
        } else {
            o->hash = rng(3) ? UINT32_MAX - rng(20) : rng(1000);
            hash_index_insert(&x, o->hash, o);
            o->in = true;
            n++;
        }
        assert_int_equal(x.n, n);
        for (unsigned int i = 0; i < 4; i++) {
            o = &objects[rng(N)];
            assert_int_equal(found(&x, o), o->in);
        }
    }
    list = hash_index_list(&x);
    for (size_t i = 0; i < n; i++) {
        assert_true(((struct object *)list[i])->in);
        hash_index_remove(&x, ((struct object *)list[i])->hash, list[i]);
    }
    assert_int_equal(x.n, 0);
    assert_null(hash_index_list(&x));
    hash_index_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
