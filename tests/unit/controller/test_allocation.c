/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "controller/allocation.h"

/* ---- addresses and prefixes ---- */

static void test_ip(void **state WR_UNUSED)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {
        {"10.0.0.1", "10.0.0.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"FD00:0:0::1", "fd00::1"},
        {"::", "::"},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"10.0.0.300", NULL},
        {"10.0.0", NULL},
        {"10.0.0.1 ", NULL},
        {"", NULL},
        {"fd00::1%eth0", NULL},
        {"010.0.0.1", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ip ip;
        int error = ip_parse(cases[i].in, &ip);

        assert_int_equal(error, cases[i].out ? 0 : -EINVAL);
        if (!error) {
            assert_string_equal(IP_STR(&ip), cases[i].out);
        }
    }
}

static void test_prefix(void **state WR_UNUSED)
{
    static const struct {
        const char *in, *out, *last;
    } cases[] = {
        {"10.0.0.0/24", "10.0.0.0/24", "10.0.0.255"},
        {"10.0.0.77/24", "10.0.0.0/24", "10.0.0.255"},
        {"10.0.0.5/32", "10.0.0.5/32", "10.0.0.5"},
        {"0.0.0.0/0", "0.0.0.0/0", "255.255.255.255"},
        {"fd00::5/64", "fd00::/64", "fd00::ffff:ffff:ffff:ffff"},
        {"::/0", "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"10.0.0.0/33", NULL, NULL},
        {"fd00::/129", NULL, NULL},
        {"10.0.0.0", NULL, NULL},
        {"10.0.0.0/", NULL, NULL},
        {"10.0.0.0/-1", NULL, NULL},
        {"10.0.0.0/2 4", NULL, NULL},
        {"/24", NULL, NULL},
        {"10.0.0.0/99999999999999999999", NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct prefix p;
        int error = prefix_parse(cases[i].in, &p);

        assert_int_equal(error, cases[i].out ? 0 : -EINVAL);
        if (!error) {
            struct ip last = prefix_last(&p);

            assert_string_equal(PREFIX_STR(&p), cases[i].out);
            assert_string_equal(IP_STR(&last), cases[i].last);
        }
    }
}

static struct prefix prefix(const char *s)
{
    struct prefix p;

    assert_int_equal(prefix_parse(s, &p), 0);
    return p;
}

static struct ip ip(const char *s)
{
    struct ip a;

    assert_int_equal(ip_parse(s, &a), 0);
    return a;
}

static void test_overlap(void **state WR_UNUSED)
{
    static const struct {
        const char *a, *b;
        bool overlap;
    } cases[] = {
        {"10.0.0.0/24", "10.0.0.0/24", true}, {"10.0.0.0/24", "10.0.1.0/24", false},
        {"10.0.0.0/16", "10.0.1.0/24", true}, {"10.0.0.0/24", "10.0.0.128/25", true},
        {"fd00::/64", "fd00::/48", true},     {"fd00::/64", "fd00:0:0:1::/64", false},
        {"0.0.0.0/0", "::/0", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct prefix a = prefix(cases[i].a), b = prefix(cases[i].b);

        assert_int_equal(prefix_overlaps(&a, &b), cases[i].overlap);
        assert_int_equal(prefix_overlaps(&b, &a), cases[i].overlap);
    }
}

static void test_pools(void **state WR_UNUSED)
{
    static const struct {
        const char *prefix, *gateway, *pools; /* gateway NULL: none */
    } cases[] = {
        {"10.0.0.0/24", "10.0.0.1", "10.0.0.2-10.0.0.254 "},
        {"10.0.0.0/24", "10.0.0.254", "10.0.0.1-10.0.0.253 "},
        {"10.0.0.0/24", "10.0.0.100", "10.0.0.1-10.0.0.99 10.0.0.101-10.0.0.254 "},
        {"10.0.0.0/24", "192.168.0.1", "10.0.0.1-10.0.0.254 "},
        {"10.0.0.0/24", NULL, "10.0.0.1-10.0.0.254 "},
        {"10.0.0.0/30", "10.0.0.1", "10.0.0.2-10.0.0.2 "},
        {"10.0.0.0/31", "10.0.0.1", "10.0.0.0-10.0.0.0 "},
        {"10.0.0.0/31", NULL, "10.0.0.0-10.0.0.1 "},
        {"10.0.0.7/32", NULL, "10.0.0.7-10.0.0.7 "},
        {"10.0.0.7/32", "10.0.0.7", ""},
        {"fd00::/64", "fd00::", "fd00::1-fd00::ffff:ffff:ffff:ffff "},
        {"fd00::/126", "fd00::2", "fd00::1-fd00::1 fd00::3-fd00::3 "},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct prefix p = prefix(cases[i].prefix);
        struct ip gateway = cases[i].gateway ? ip(cases[i].gateway) : (struct ip){0};
        struct ip_range pools[2];
        size_t n = default_pools(&p, cases[i].gateway ? &gateway : NULL, pools);
        char text[200] = "";

        for (size_t j = 0; j < n; j++) {
            strcat(text, IP_STR(&pools[j].first));
            strcat(text, "-");
            strcat(text, IP_STR(&pools[j].last));
            strcat(text, " ");
        }
        assert_string_equal(text, cases[i].pools);
    }
}

static void test_eui64(void **state WR_UNUSED)
{
    struct prefix p = prefix("fd20::/64");
    struct ip a = prefix_eui64(&p, &(struct eth_addr){{0xfa, 0x16, 0x3e, 0xa9, 0xed, 0xa7}});

    assert_string_equal(IP_STR(&a), "fd20::f816:3eff:fea9:eda7");
}

/* ---- choosing ---- */

/* Numbers taken in a small world, and dice that always fall the same way. */
struct world {
    ip_number_t taken[300];
    size_t n_taken;
    uint64_t dice, step;
};

static uint64_t roll(void *arg)
{
    struct world *w = arg;

    return w->dice += w->step;
}

static bool taken(void *arg, ip_number_t number)
{
    struct world *w = arg;

    for (size_t i = 0; i < w->n_taken; i++) {
        if (w->taken[i] == number) {
            return true;
        }
    }
    return false;
}

static void test_choose_until_full(void **state WR_UNUSED)
{
    struct ip_range pools[2] = {{ip("10.0.0.2"), ip("10.0.0.9")}, {ip("10.0.0.20"), ip("10.0.0.254")}};

    for (uint64_t step = 0; step < 3; step++) { /* dice that show one number for ever, and that count */
        struct world w = {.step = step};
        struct ip got;

        for (size_t i = 0; i < 8 + 235; i++) {
            struct chooser c = {roll, taken, w.n_taken, &w};

            assert_int_equal(choose_ip(pools, 2, &c, &got), 0);
            assert_false(taken(&w, got.n));
            assert_true((got.n >= pools[0].first.n && got.n <= pools[0].last.n) ||
                        (got.n >= pools[1].first.n && got.n <= pools[1].last.n));
            w.taken[w.n_taken++] = got.n;
        }
        struct chooser c = {roll, taken, w.n_taken, &w};
        assert_int_equal(choose_ip(pools, 2, &c, &got), -ENOSPC);
    }
}

static void test_choose_large(void **state WR_UNUSED)
{
    struct ip_range pool = {ip("fd00::1"), ip("fd00::ffff:ffff:ffff:ffff")};
    struct world w = {.n_taken = 0};
    struct chooser c = {system_random, taken, 0, &w};
    struct ip a, b;

    assert_int_equal(choose_ip(&pool, 1, &c, &a), 0);
    assert_int_equal(choose_ip(&pool, 1, &c, &b), 0);
    assert_false(ip_equal(&a, &b));
    assert_int_equal(choose_ip(&pool, 0, &c, &a), -ENOSPC);
}

static void test_vni(void **state WR_UNUSED)
{
    struct world w = {.step = 1};
    struct vni_ranges r;
    char *why = NULL;
    uint32_t vni;

    assert_int_equal(vni_ranges_parse("gre:10-11,vxlan:5-5,gre:20-20", &r, &why), 0);
    assert_int_equal(r.first_type, NETWORK_GRE);
    for (int i = 0; i < 3; i++) {
        struct chooser c = {roll, taken, w.n_taken, &w};

        assert_int_equal(choose_vni(&r, NETWORK_GRE, &c, &vni), 0);
        assert_true(vni == 10 || vni == 11 || vni == 20);
        w.taken[w.n_taken++] = vni;
    }
    struct chooser c = {roll, taken, w.n_taken, &w};
    assert_int_equal(choose_vni(&r, NETWORK_GRE, &c, &vni), -ENOSPC);
    assert_int_equal(choose_vni(&r, NETWORK_VXLAN, &c, &vni), 0);
    assert_int_equal(vni, 5);
    assert_int_equal(choose_vni(&r, NETWORK_GENEVE, &c, &vni), -ENOENT);
}

static void test_vni_ranges_refused(void **state WR_UNUSED)
{
    static const char *const bad[] = {"",
                                      "vxlan",
                                      "vxlan:1",
                                      "vlan:1-2",
                                      "vxlan:2-1",
                                      "vxlan:0-5",
                                      "vxlan:1-16777216",
                                      "gre:1-4294967296",
                                      "vxlan:1-5,vxlan:5-9",
                                      "vxlan:a-b",
                                      "vxlan:1-2-3"};
    struct vni_ranges r;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *why = NULL;

        assert_int_equal(vni_ranges_parse(bad[i], &r, &why), -EINVAL);
        assert_non_null(why);
        free(why);
    }
    char *why = NULL;
    assert_int_equal(vni_ranges_parse("gre:1-4294967295, geneve:1-16777215", &r, &why), 0);
}

static void test_overhead(void **state WR_UNUSED)
{
    assert_int_equal(network_type_overhead(NETWORK_VXLAN, 4), 50);
    assert_int_equal(network_type_overhead(NETWORK_GRE, 4), 42);
    assert_int_equal(network_type_overhead(NETWORK_GENEVE, 4), 50);
    assert_int_equal(network_type_overhead(NETWORK_VXLAN, 6), 70);
    assert_int_equal(network_type_overhead(NETWORK_GRE, 6), 62);
}

static void test_choose_mac(void **state WR_UNUSED)
{
    struct chooser c = {system_random, NULL, 0, NULL};
    struct eth_addr mac;

    choose_mac(&c, &mac);
    assert_memory_equal(mac.a, "\xfa\x16\x3e", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_eui64),
        cmocka_unit_test(test_choose_until_full),
        cmocka_unit_test(test_choose_large),
        cmocka_unit_test(test_vni),
        cmocka_unit_test(test_vni_ranges_refused),
        cmocka_unit_test(test_overhead),
        cmocka_unit_test(test_choose_mac),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
