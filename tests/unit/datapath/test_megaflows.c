/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The megaflow table against a model: a list that is searched from one end to the other. Where flows overlap any of
 * them may be found; but one that is found must be there and match, and nothing is found only where the model finds
 * nothing. A planted fault shows that the comparison would see one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/userspace/megaflows.h"

#define N_FLOWS 600

struct model {
    struct flow_key key, mask;
    dp_flow_id id;
    bool there;
};

static uint64_t seed = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 20) % n);
}

/* Small numbers, so that keys meet flows often. */
static struct flow_key random_key(void)
{
    struct flow_key k = {.in_port = dp_port(rnd(3)), .eth_type = (uint16_t)rnd(2), .ip_proto = (uint8_t)rnd(3)};

    k.tunnel.id = rnd(3);
    k.eth_dst.a[5] = (uint8_t)rnd(4);
    k.ip_src.be32[3] = rnd(8);
    k.ip_dst.be32[0] = rnd(3);
    k.tp_dst = (uint16_t)rnd(4);
    k.nd_target.b[15] = (uint8_t)rnd(2);
    return k;
}

static struct flow_key random_mask(void)
{
    struct flow_key m = {.in_port = dp_port(0xffffffff)};

    m.tunnel.id = rnd(2) ? ~0ull : 0;
    m.eth_dst.a[5] = rnd(2) ? 0xff : 0;
    m.ip_src.be32[3] = rnd(3) ? rnd(2) ? 0xffffffff : 6 : 0;
    m.ip_dst.be32[0] = rnd(2) ? 0xffffffff : 0;
    m.tp_dst = rnd(2) ? 0xffff : 0;
    m.nd_target.b[15] = rnd(4) ? 0 : 0xff;
    return m;
}

static bool matches(const struct model *m, const struct flow_key *key)
{
    struct flow_key masked;

    flow_key_and(&masked, key, &m->mask);
    return m->there && !memcmp(&masked, &m->key, sizeof(masked));
}

static const struct model *model_lookup(const struct model *models, const struct flow_key *key)
{
    for (size_t i = 0; i < N_FLOWS; i++) {
        if (matches(&models[i], key)) {
            return &models[i];
        }
    }
    return NULL;
}

/* What is found must be a flow that the model has and that matches; and nothing only when the model finds nothing. */
static unsigned int count_differences(struct megaflows *t, const struct model *models, unsigned int lookups)
{
    unsigned int differences = 0;

    for (unsigned int i = 0; i < lookups; i++) {
        struct flow_key key = random_key();
        const struct megaflow *f = megaflows_lookup(t, &key);
        const struct model *m = model_lookup(models, &key);

        if (!f != !m || (f && (f->id >= N_FLOWS || !matches(&models[f->id], &key)))) {
            differences++;
        }
    }
    return differences;
}

static int put(struct megaflows *t, const struct model *m)
{
    struct dp_action out = {.type = DP_ACTION_OUTPUT, .len = 8, .arg = 1};
    struct dp_flow flow = {.id = m->id, .key = &m->key, .mask = &m->mask, .actions = &out, .actions_len = 8};

    return megaflows_put(t, &flow);
}

static void test_model(void **state)
{
    static struct model models[N_FLOWS];
    struct megaflows t = {0};
    struct flow_key key;

    (void)state;
    for (unsigned int step = 0; step < 6000; step++) {
        struct model *m = &models[rnd(N_FLOWS)];

        if (m->there) {
            megaflows_remove(&t, megaflows_find(&t, m->id));
            m->there = false;
            assert_null(megaflows_find(&t, m->id));
        } else {
            key = random_key();
            m->mask = random_mask();
            flow_key_and(&m->key, &key, &m->mask);
            m->id = (dp_flow_id)(m - models);
            m->there = !put(&t, m); /* the same key and mask may be there under another id */
        }
        if (step % 10 == 0) {
            assert_int_equal(count_differences(&t, models, 20), 0);
        }
    }
    /* The planted fault: the model loses a flow that the table keeps. */
    for (size_t i = 0; i < N_FLOWS; i++) {
        models[i].there = i % 2 && models[i].there;
    }
    assert_true(count_differences(&t, models, 2000) > 0);
    megaflows_done(&t);
}

static void test_put(void **state)
{
    struct megaflows t = {0};
    struct model m = {.id = 1}, other;

    (void)state;
    m.key.ip_proto = 6;
    assert_int_equal(put(&t, &m), -EINVAL); /* bits outside the mask */
    m.mask.ip_proto = 0xff;
    assert_int_equal(put(&t, &m), 0);
    megaflows_find(&t, 1)->stats.packets = 5;
    assert_int_equal(put(&t, &m), 0);
    assert_int_equal(megaflows_find(&t, 1)->stats.packets, 5);
    other = m;
    other.id = 2;
    assert_int_equal(put(&t, &other), -EEXIST);
    other.id = 1;
    other.key.ip_proto = 7;
    assert_int_equal(put(&t, &other), -EINVAL);
    megaflows_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model), cmocka_unit_test(test_put)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
