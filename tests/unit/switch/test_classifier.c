/* SPDX-License-Identifier: Apache-2.0 */
/* The classifier against a linear scan: random rules come and go, random packets are looked up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "switch/classifier.h"

#define N_RULES 400
#define N_ROUNDS 20000
#define N_CONJ_IDS 4

struct test_rule {
    struct cls_rule cls;
    struct match match;
    struct cls_conj conj[3];
    unsigned int n_conj;
    bool in;
};

static uint32_t rng_state = 12345;
static unsigned int n_resolved; /* answers of conjunctions that the model found */

static uint32_t rng(uint32_t n)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (rng_state >> 8) % n;
}

/* Addresses of few values that part at different bits: a nibble here and there. */
static uint32_t random_word(void)
{
    static const uint32_t words[] = {0x0a000001, 0x0a000002, 0x0a010001, 0xc0a80001, 0x80000000, 0, 0x0affffff};

    return htonl(words[rng(ARRAY_SIZE(words))]);
}

static void random_address(struct ip_addr *a, bool v6)
{
    *a = (struct ip_addr){0};
    for (unsigned int i = v6 ? 0 : 3; i < 4; i++) {
        a->be32[i] = random_word();
    }
}

static void prefix_mask(struct ip_addr *a, bool v6, unsigned int len)
{
    *a = (struct ip_addr){0};
    for (unsigned int i = 0; i < len; i++) {
        a->b[(v6 ? 0 : 12) + i / 8] |= (uint8_t)(0x80 >> i % 8);
    }
}

/* An address under a prefix, seldom under any other mask. */
static void random_address_match(struct ip_addr *value, struct ip_addr *mask, bool v6)
{
    random_address(value, v6);
    prefix_mask(mask, v6, 1 + rng(v6 ? 128 : 32));
    if (rng(6) == 0) {
        mask->b[v6 ? rng(16) : 12 + rng(4)] ^= (uint8_t)rng(256);
    }
    for (unsigned int i = 0; i < 16; i++) {
        value->b[i] &= mask->b[i];
    }
}

/* A port number with few bits set. (In two steps: the order of calls in one expression is the compiler's.) */
static uint16_t random_port(void)
{
    uint32_t port = rng(4);

    return (uint16_t)(port << rng(15));
}

static void random_port_match(__be16 *value, __be16 *mask)
{
    *mask = htons((uint16_t)(0xffff0000u >> (1 + rng(16))));
    if (rng(6) == 0) {
        *mask = htons(0x00ff); /* as ICMP types */
    }
    *value = htons(random_port()) & *mask;
}

/* Few masks and few values, so that rules often overlap. */
static void random_match(struct match *m)
{
    bool v6 = rng(2);

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
    if (rng(2)) {
        m->mask.key.eth_type = 0xffff;
        m->value.key.eth_type = v6 ? htons(0x86dd) : htons(0x0800);
    }
    if (rng(3) == 0) {
        random_address_match(&m->value.key.ip_dst, &m->mask.key.ip_dst, v6);
    }
    if (rng(3) == 0) {
        random_address_match(&m->value.key.ip_src, &m->mask.key.ip_src, v6);
    }
    if (rng(3) == 0) {
        m->mask.key.ip_proto = 0xff;
        m->value.key.ip_proto = (uint8_t)rng(3);
    }
    if (rng(3) == 0) {
        random_port_match(&m->value.key.tp_dst, &m->mask.key.tp_dst);
    }
    if (rng(4) == 0) {
        random_port_match(&m->value.key.tp_src, &m->mask.key.tp_src);
    }
}

static void match_any(struct match *m)
{
    memset(m, 0, sizeof *m);
}

static void random_flow(struct flow *f)
{
    bool v6 = rng(2);

    memset(f, 0, sizeof *f);
    f->in_port = ofp_port(rng(4));
    f->key.eth_dst.a[5] = (uint8_t)rng(4);
    f->regs[3] = rng(6);
    f->key.eth_type = v6 ? htons(0x86dd) : htons(0x0800);
    random_address(&f->key.ip_dst, v6);
    random_address(&f->key.ip_src, v6);
    f->key.ip_proto = (uint8_t)rng(3);
    f->key.tp_dst = htons(random_port());
    f->key.tp_src = htons(random_port());
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

/* The best plain rule, -1: none. SKIP: a rule that the scan is made blind to (the planted fault), or NULL. */
static int scan_plain(const struct test_rule *rules, const struct flow *f, const struct test_rule *skip)
{
    int best = -1;

    for (size_t i = 0; i < N_RULES; i++) {
        if (rules[i].in && &rules[i] != skip && !rules[i].n_conj && hits(&rules[i].match, f) &&
            (best < 0 || rules[i].cls.priority > rules[best].cls.priority)) {
            best = (int)i;
        }
    }
    return best;
}

/* Are all clauses of conjunction ID, as one of N_CLAUSES, hit at PRIORITY? */
static bool scan_conj(const struct test_rule *rules, const struct flow *f, int32_t priority, uint32_t id,
                      unsigned int n_clauses)
{
    unsigned int clauses = 0;

    for (size_t i = 0; i < N_RULES; i++) {
        for (unsigned int j = 0; rules[i].in && rules[i].cls.priority == priority && j < rules[i].n_conj; j++) {
            if (rules[i].conj[j].id == id && rules[i].conj[j].n_clauses == n_clauses && hits(&rules[i].match, f)) {
                clauses |= 1u << rules[i].conj[j].clause;
            }
        }
    }
    return clauses == (1u << n_clauses) - 1;
}

/* The answer as ovs-fields(7) tells it: from the top priority down, a plain rule, else a complete conjunction. Where
 * several are complete, that of the lowest id is first. */
static int scan_best(const struct test_rule *rules, const struct flow *f, const struct test_rule *skip)
{
    int plain = scan_plain(rules, f, skip), best;
    int32_t least = plain < 0 ? -1 : rules[plain].cls.priority;

    for (int32_t priority = 12; priority > least; priority--) {
        for (uint32_t id = 1; id <= N_CONJ_IDS; id++) {
            for (unsigned int n = 2; n <= 3; n++) {
                if (scan_conj(rules, f, priority, id, n)) {
                    struct flow with_id = *f;

                    with_id.conj_id = id;
                    best = scan_plain(rules, &with_id, skip);
                    if (best >= 0) {
                        n_resolved += rules[best].match.mask.conj_id != 0;
                        return best;
                    }
                }
            }
        }
    }
    return plain;
}

static void random_conj(struct test_rule *r)
{
    r->n_conj = 1 + rng(3);
    for (unsigned int i = 0; i < r->n_conj; i++) {
        r->conj[i].id = 1 + rng(N_CONJ_IDS);
        r->conj[i].n_clauses = rng(8) ? 2 : 3;
        r->conj[i].clause = (uint8_t)rng(r->conj[i].n_clauses);
    }
}

/* CONJ: clauses and conj_id rules too. */
static void toggle(struct classifier *cls, struct test_rule *r, bool conj)
{
    if (r->in) {
        classifier_remove(cls, &r->cls);
        cls_rule_done(&r->cls);
        r->in = false;
        return;
    }
    random_match(&r->match);
    r->n_conj = 0;
    if (conj && rng(2)) {
        random_conj(r);
    } else if (conj && rng(2)) {
        if (rng(2)) {
            match_any(&r->match);
        }
        r->match.mask.conj_id = UINT32_MAX;
        r->match.value.conj_id = 1 + rng(N_CONJ_IDS);
    }
    cls_rule_init(&r->cls, &r->match, (int32_t)rng(12));
    cls_rule_set_conj(NULL, &r->cls, r->conj, r->n_conj);
    if (classifier_find_exact(cls, &r->match, r->cls.priority)) {
        cls_rule_done(&r->cls);
        return;
    }
    classifier_insert(cls, &r->cls);
    assert_ptr_equal(classifier_find_exact(cls, &r->match, r->cls.priority), &r->cls);
    r->in = true;
    if (conj && rng(8) == 0) { /* a modify may make it a clause, or a plain rule */
        if (r->n_conj) {
            r->n_conj = 0;
        } else {
            random_conj(r);
        }
        cls_rule_set_conj(cls, &r->cls, r->conj, r->n_conj);
    }
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

/* How many of TRIES packets that agree with F under MASK find something else than FOUND? */
static unsigned int mask_faults(const struct classifier *cls, const struct flow *f, const struct flow *mask,
                                const struct cls_rule *found, unsigned int tries)
{
    const uint64_t *w = (const uint64_t *)(const void *)f, *m = (const uint64_t *)(const void *)mask;
    unsigned int faults = 0;

    while (tries--) {
        struct flow other;
        uint64_t *o = (uint64_t *)(void *)&other;
        const struct cls_rule *r;

        random_flow(&other);
        for (size_t i = 0; i < FLOW_U64S; i++) {
            o[i] = (o[i] & ~m[i]) | (w[i] & m[i]);
        }
        r = classifier_lookup(cls, &other, NULL);
        faults += (found ? found->priority : -1) != (r ? r->priority : -1);
    }
    return faults;
}

static int remove_one(void *aux, struct cls_rule *r)
{
    classifier_remove(aux, r);
    cls_rule_done(r);
    return 0;
}

static void empty(struct classifier *cls)
{
    classifier_for_each(cls, NULL, remove_one, cls);
    assert_int_equal(cls->n_rules, 0);
    assert_int_equal(cls->n_conj, 0);
    assert_int_equal(classifier_n_masks(cls), 0);
    for (size_t i = 0; i < CLS_N_TRIES; i++) {
        assert_null(cls->tries[i].root);
    }
    classifier_done(cls);
}

static void run_random(bool conj)
{
    static struct test_rule rules[N_RULES];
    struct classifier cls = {0};

    memset(rules, 0, sizeof rules);
    for (unsigned int round = 0; round < N_ROUNDS; round++) {
        struct flow f, mask = {0};
        struct cls_rule *r;
        int best;

        toggle(&cls, &rules[rng(N_RULES)], conj);
        if (rng(4) == 0) {
            classifier_settle(&cls, rng(20));
        }
        random_flow(&f);
        r = classifier_lookup(&cls, &f, &mask);
        best = scan_best(rules, &f, NULL);
        assert_int_equal(r ? r->priority : -1, best < 0 ? -1 : rules[best].cls.priority);
        assert_int_equal(mask_faults(&cls, &f, &mask, r, 3), 0);
        if (!conj && r) {
            assert_true(hits(&CONTAINER_OF(r, struct test_rule, cls)->match, &f));
        }
        if (round % 50 == 0) {
            check_iteration(&cls, rules);
        }
    }
    empty(&cls);
}

static void test_random(void **state WR_UNUSED)
{
    run_random(false);
}

static void test_random_conj(void **state WR_UNUSED)
{
    n_resolved = 0;
    run_random(true);
    assert_true(n_resolved > N_ROUNDS / 20);
}

/* Would the comparison notice a classifier that loses a rule? Hide one rule from the scan and see that they differ.
 * Would it notice a mask that lacks a word that was looked at? */
static void test_planted_fault(void **state WR_UNUSED)
{
    static struct test_rule rules[N_RULES];
    struct classifier cls = {0};
    unsigned int differ = 0, faults = 0;

    for (size_t i = 0; i < N_RULES; i++) {
        toggle(&cls, &rules[i], true);
    }
    for (unsigned int i = 0; i < 2000; i++) {
        struct flow f, mask = {0};
        struct cls_rule *r;
        int best;

        random_flow(&f);
        r = classifier_lookup(&cls, &f, &mask);
        best = scan_best(rules, &f, r ? CONTAINER_OF(r, struct test_rule, cls) : NULL);
        differ += r && (best < 0 || rules[best].cls.priority != r->priority);
        mask.in_port = ofp_port(0);
        faults += mask_faults(&cls, &f, &mask, r, 3);
    }
    assert_true(differ > 0);
    assert_true(faults > 0);
    empty(&cls);
}

/* ---- how narrow ---- */

static struct test_rule *put(struct classifier *cls, struct test_rule *r, int32_t priority)
{
    cls_rule_init(&r->cls, &r->match, priority);
    classifier_insert(cls, &r->cls);
    return r;
}

/* The longest common prefix decides, not the longest prefix. */
static void test_trie_mask(void **state WR_UNUSED)
{
    struct test_rule rules[3] = {0};
    struct classifier cls = {0};
    struct flow f = {0}, mask = {0};

    prefix_mask(&rules[0].match.mask.key.ip_dst, false, 24);
    rules[0].match.value.key.ip_dst.be32[3] = htonl(0x0a010200);
    prefix_mask(&rules[1].match.mask.key.ip_dst, false, 32);
    rules[1].match.value.key.ip_dst.be32[3] = htonl(0x0a020304);
    rules[2].match.mask.key.tp_dst = 0xffff;
    rules[2].match.value.key.tp_dst = htons(80);
    put(&cls, &rules[0], 10);
    put(&cls, &rules[1], 11);
    put(&cls, &rules[2], 9);
    f.key.ip_dst.be32[3] = htonl(0xc0a80001);
    f.key.tp_dst = htons(0x8001);
    assert_null(classifier_lookup(&cls, &f, &mask));
    assert_int_equal(mask.key.ip_dst.be32[3], htonl(0x80000000));
    assert_int_equal(mask.key.tp_dst, htons(0x8000));
    memset(&mask, 0, sizeof mask);
    f.key.ip_dst.be32[3] = htonl(0x0a020399);
    assert_null(classifier_lookup(&cls, &f, &mask));
    assert_int_equal(mask.key.ip_dst.be32[3], htonl(0xffffff00 | 0x80));
    memset(&mask, 0, sizeof mask);
    f.key.ip_dst.be32[3] = htonl(0x0a010299);
    assert_ptr_equal(classifier_lookup(&cls, &f, &mask), &rules[0].cls);
    assert_int_equal(mask.key.ip_dst.be32[3], htonl(0xffffff00));
    assert_int_equal(mask.key.tp_dst, 0);
    /* A removed rule's prefix goes, too. */
    classifier_remove(&cls, &rules[1].cls);
    cls_rule_done(&rules[1].cls);
    assert_false(classifier_settle(&cls, 1));
    memset(&mask, 0, sizeof mask);
    f.key.ip_dst.be32[3] = htonl(0x0a020399);
    assert_null(classifier_lookup(&cls, &f, &mask));
    assert_int_equal(mask.key.ip_dst.be32[3], htonl(0xfffe0000));
    empty(&cls);
}

/* Rules about ICMPv6 make nobody else look at L4. */
static void test_stage_mask(void **state WR_UNUSED)
{
    struct test_rule rules[2] = {0};
    struct classifier cls = {0};
    struct flow f = {0}, mask = {0};

    for (unsigned int i = 0; i < 2; i++) {
        rules[i].match.mask.key.eth_type = 0xffff;
        rules[i].match.value.key.eth_type = htons(0x86dd);
        rules[i].match.mask.key.ip_proto = 0xff;
        rules[i].match.value.key.ip_proto = 58;
        rules[i].match.mask.key.tp_src = htons(0xff);
        rules[i].match.value.key.tp_src = htons((uint16_t)(135 + i));
        put(&cls, &rules[i], 10);
    }
    f.key.eth_type = htons(0x0800);
    f.key.ip_proto = 6;
    f.key.tp_src = htons(135);
    assert_null(classifier_lookup(&cls, &f, &mask));
    assert_int_equal(mask.key.eth_type, 0xffff);
    assert_int_equal(mask.key.ip_proto, 0);
    assert_int_equal(mask.key.tp_src, 0);
    f.key.eth_type = htons(0x86dd);
    assert_null(classifier_lookup(&cls, &f, &mask));
    assert_int_equal(mask.key.ip_proto, 0xff);
    assert_int_equal(mask.key.tp_src, 0);
    f.key.ip_proto = 58;
    assert_ptr_equal(classifier_lookup(&cls, &f, &mask), &rules[0].cls);
    assert_int_equal(mask.key.tp_src, htons(0xff));
    empty(&cls);
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
        cmocka_unit_test(test_random),     cmocka_unit_test(test_random_conj),   cmocka_unit_test(test_trie_mask),
        cmocka_unit_test(test_stage_mask), cmocka_unit_test(test_planted_fault), cmocka_unit_test(test_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
