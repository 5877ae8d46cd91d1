/* SPDX-License-Identifier: Apache-2.0 */
/* The classifier against a linear scan: random rules come and go, random packets are looked up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "switch/classifier.h"

#define N_RULES 400
#define N_ROUNDS 20000

struct test_rule {
    struct cls_rule cls;
    struct match match;
    bool in;
};

static uint32_t rng_state = 12345;

static uint32_t rng(uint32_t n)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (rng_state >> 8) % n;
}

/* Few masks and few values, so that rules often overlap. */
static void random_match(struct match *m)
{
    memset(m, 0, sizeof *m);
    if (rng(2)) {
        m->mask.in_port = ofp_port(0xffffffff);
        m->value.in_port = ofp_port(rng(4));
    }
    if (rng(2)) {
        m->mask.key.eth_dst.a[5] = 0xff;
        m->value.key.eth_dst.a[5] = (uint8_t)rng(4);
    }
    if (rng(3) == 0) {
        m->mask.regs[3] = rng(2) ? 0xff : 0x3;
        m->value.regs[3] = rng(6) & m->mask.regs[3];
    }
    if (rng(3) == 0) {
        m->mask.key.tp_dst = 0xffff;
        m->value.key.tp_dst = (uint16_t)rng(3);
    }
}

static void random_flow(struct flow *f)
{
    memset(f, 0, sizeof *f);
    f->in_port = ofp_port(rng(4));
    f->key.eth_dst.a[5] = (uint8_t)rng(4);
    f->regs[3] = rng(6);
    f->key.tp_dst = (uint16_t)rng(3);
}

static bool hits(const struct match *m, const struct flow *f)
{
    const uint64_t *v = (const uint64_t *)(const void *)&m->value, *k = (const uint64_t *)(const void *)&m->mask;
    const uint64_t *w = (const uint64_t *)(const void *)f;

    for (size_t i = 0; i < FLOW_U64S; i++) {
        if ((w[i] ^ v[i]) & k[i]) {
            return false;
        }
    }
    return true;
}

/* SKIP: a rule that the scan is made blind to (the planted fault), or NULL. */
static int linear_best(const struct test_rule *rules, const struct flow *f, const struct test_rule *skip)
{
    int best = -1;

    for (size_t i = 0; i < N_RULES; i++) {
        if (rules[i].in && &rules[i] != skip && rules[i].cls.priority > best && hits(&rules[i].match, f)) {
            best = rules[i].cls.priority;
        }
    }
    return best;
}

static void toggle(struct classifier *cls, struct test_rule *r)
{
    if (r->in) {
        classifier_remove(cls, &r->cls);
        cls_rule_done(&r->cls);
        r->in = false;
        return;
    }
    random_match(&r->match);
    cls_rule_init(&r->cls, &r->match, (int32_t)rng(12));
    if (classifier_find_exact(cls, &r->match, r->cls.priority)) {
        cls_rule_done(&r->cls);
        return;
    }
    classifier_insert(cls, &r->cls);
    assert_ptr_equal(classifier_find_exact(cls, &r->match, r->cls.priority), &r->cls);
    r->in = true;
}

static int count_one(void *aux, struct cls_rule *r WR_UNUSED)
{
    ++*(size_t *)aux;
    return 0;
}

static void check_iteration(struct classifier *cls, const struct test_rule *rules)
{
    struct match m, got;
    size_t n = 0, expect = 0;

    random_match(&m);
    classifier_for_each(cls, &m, count_one, &n);
    for (size_t i = 0; i < N_RULES; i++) {
        if (rules[i].in) {
            const uint64_t *mm = (const uint64_t *)(const void *)&m.mask,
                           *rm = (const uint64_t *)(const void *)&rules[i].match.mask;
            bool refines = true;

            for (size_t j = 0; j < FLOW_U64S; j++) {
                refines &= !(mm[j] & ~rm[j]);
            }
            expect += refines && hits(&m, &rules[i].match.value);
            cls_rule_match(&rules[i].cls, &got);
            assert_memory_equal(&got, &rules[i].match, sizeof got);
        }
    }
    assert_int_equal(n, expect);
}

/* Every packet that agrees with F under the mask must find the same. */
static void check_mask(const struct classifier *cls, const struct flow *f, const struct flow *mask,
                       const struct cls_rule *found)
{
    struct flow other;
    uint64_t *o = (uint64_t *)(void *)&other;
    const uint64_t *w = (const uint64_t *)(const void *)f, *m = (const uint64_t *)(const void *)mask;

    random_flow(&other);
    for (size_t i = 0; i < FLOW_U64S; i++) {
        o[i] = (o[i] & ~m[i]) | (w[i] & m[i]);
    }
    assert_int_equal(found ? found->priority : -1, ({
                         const struct cls_rule *r = classifier_lookup(cls, &other, NULL);
                         r ? r->priority : -1;
                     }));
}

static int remove_one(void *aux, struct cls_rule *r)
{
    classifier_remove(aux, r);
    cls_rule_done(r);
    return 0;
}

static void test_random(void **state WR_UNUSED)
{
    static struct test_rule rules[N_RULES];
    struct classifier cls = {0};

    for (unsigned int round = 0; round < N_ROUNDS; round++) {
        struct flow f, mask = {0};
        struct cls_rule *r;

        toggle(&cls, &rules[rng(N_RULES)]);
        random_flow(&f);
        r = classifier_lookup(&cls, &f, &mask);
        assert_int_equal(r ? r->priority : -1, linear_best(rules, &f, NULL));
        if (r) {
            assert_true(hits(&CONTAINER_OF(r, struct test_rule, cls)->match, &f));
        }
        check_mask(&cls, &f, &mask, r);
        if (round % 50 == 0) {
            check_iteration(&cls, rules);
        }
    }
    classifier_for_each(&cls, NULL, remove_one, &cls);
    assert_int_equal(cls.n_rules, 0);
    assert_int_equal(classifier_n_masks(&cls), 0);
    classifier_done(&cls);
}

/* Would the comparison notice a classifier that loses a rule? Hide one rule from the scan and see that they differ. */
static void test_planted_fault(void **state WR_UNUSED)
{
    static struct test_rule rules[N_RULES];
    struct classifier cls = {0};
    unsigned int differ = 0;

    for (size_t i = 0; i < N_RULES; i++) {
        toggle(&cls, &rules[i]);
    }
    for (unsigned int i = 0; i < 2000; i++) {
        struct flow f;
        struct cls_rule *r;

        random_flow(&f);
        r = classifier_lookup(&cls, &f, NULL);
        if (r) {
            differ += linear_best(rules, &f, CONTAINER_OF(r, struct test_rule, cls)) != r->priority;
        }
    }
    assert_true(differ > 0);
    classifier_for_each(&cls, NULL, remove_one, &cls);
    classifier_done(&cls);
}

static void test_overlap(void **state WR_UNUSED)
{
    struct classifier cls = {0};
    struct match a = {0}, b = {0}, c = {0};
    struct cls_rule r;

    a.mask.in_port = ofp_port(0xffffffff);
    a.value.in_port = ofp_port(1);
    b.mask.key.eth_dst.a[0] = b.value.key.eth_dst.a[0] = 0xff;
    c.mask.in_port = ofp_port(0xffffffff);
    c.value.in_port = ofp_port(2);
    cls_rule_init(&r, &a, 5);
    classifier_insert(&cls, &r);
    assert_true(classifier_overlaps(&cls, &b, 5));
    assert_false(classifier_overlaps(&cls, &b, 6));
    assert_false(classifier_overlaps(&cls, &c, 5));
    assert_false(classifier_overlaps(&cls, &a, 5));
    classifier_remove(&cls, &r);
    cls_rule_done(&r);
    classifier_done(&cls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_planted_fault),
        cmocka_unit_test(test_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
