/* SPDX-License-Identifier: Apache-2.0 */
/* Learning, ageing and the size bound of the MAC table, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "switch/mac_table.h"

static struct eth_addr mac(unsigned int n)
{
    return (struct eth_addr){{0x02, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}};
}

static void test_learn_and_move(void **state WR_UNUSED)
{
    struct mac_table t;

    mac_table_init(&t);
    assert_true(mac_table_learn(&t, 1, mac(1), ofp_port(1), 0));
    assert_false(mac_table_learn(&t, 1, mac(1), ofp_port(1), 1));
    assert_true(mac_table_learn(&t, 1, mac(1), ofp_port(2), 2));
    assert_int_equal(ofp_port_u32(mac_table_lookup(&t, 1, mac(1), 3)->port), 2);
    assert_null(mac_table_lookup(&t, 2, mac(1), 3));
    assert_false(mac_table_learn(&t, 1, (struct eth_addr){{1, 0, 0x5e, 0, 0, 1}}, ofp_port(1), 0));
    assert_int_equal(mac_table_count(&t), 1);
    mac_table_done(&t);
}

/* Packets of which we hear late, as by counters. */
static void test_older_changes_nothing(void **state WR_UNUSED)
{
    struct mac_table t;

    mac_table_init(&t);
    mac_table_learn(&t, 0, mac(1), ofp_port(1), 5000);
    assert_false(mac_table_learn(&t, 0, mac(1), ofp_port(2), 4999));
    assert_int_equal(ofp_port_u32(mac_table_lookup(&t, 0, mac(1), 5000)->port), 1);
    assert_int_equal(mac_table_lookup(&t, 0, mac(1), 5000)->used_ms, 5000);
    mac_table_lock(&t, 0, mac(1), 5000);
    mac_table_lock(&t, 0, mac(1), 1000);
    assert_true(mac_entry_is_locked(mac_table_lookup(&t, 0, mac(1), 5000), 5000 + MAC_TABLE_LOCK_MS - 1));
    assert_true(mac_table_learn(&t, 0, mac(1), ofp_port(2), 5000));
    mac_table_done(&t);
}

static void test_ageing(void **state WR_UNUSED)
{
    struct mac_table t;

    mac_table_init(&t);
    mac_table_learn(&t, 0, mac(1), ofp_port(1), 0);
    mac_table_learn(&t, 0, mac(2), ofp_port(1), 200 * 1000);
    mac_table_set_static(&t, 0, mac(3), ofp_port(3), 0);
    assert_false(mac_table_expire(&t, 299999));
    assert_non_null(mac_table_lookup(&t, 0, mac(1), 299999));
    assert_null(mac_table_lookup(&t, 0, mac(1), 300000));
    assert_true(mac_table_expire(&t, 300000));
    assert_int_equal(mac_table_count(&t), 2);
    mac_table_learn(&t, 0, mac(2), ofp_port(1), 450 * 1000);
    assert_false(mac_table_expire(&t, 500 * 1000));
    assert_true(mac_table_expire(&t, 750 * 1000));
    assert_non_null(mac_table_lookup(&t, 0, mac(3), 9000 * 1000));
    assert_false(mac_table_learn(&t, 0, mac(3), ofp_port(1), 9000 * 1000));
    assert_int_equal(ofp_port_u32(mac_table_lookup(&t, 0, mac(3), 0)->port), 3);
    mac_table_done(&t);
}

static void test_bound(void **state WR_UNUSED)
{
    struct mac_table t;

    mac_table_init(&t);
    mac_table_set_limits(&t, 100, 300000);
    for (unsigned int i = 0; i < 100; i++) {
        mac_table_learn(&t, 0, mac(i), ofp_port(1), i);
    }
    mac_table_learn(&t, 0, mac(0), ofp_port(1), 100); /* used again: 1 is now the oldest */
    mac_table_learn(&t, 0, mac(100), ofp_port(1), 101);
    assert_int_equal(mac_table_count(&t), 100);
    assert_non_null(mac_table_lookup(&t, 0, mac(0), 101));
    assert_null(mac_table_lookup(&t, 0, mac(1), 101));
    mac_table_learn(&t, 0, mac(101), ofp_port(2), 101);
    assert_true(mac_table_flush_port(&t, ofp_port(2)));
    assert_int_equal(mac_table_count(&t), 99);
    assert_true(mac_table_flush(&t));
    assert_int_equal(mac_table_count(&t), 0);
    mac_table_done(&t);
}

/* A host that makes addresses up pushes out its own port's entries, and nobody else's. */
static void test_fair_eviction(void **state WR_UNUSED)
{
    struct mac_table t;

    mac_table_init(&t);
    mac_table_set_limits(&t, 100, 300000);
    for (unsigned int i = 0; i < 30; i++) {
        mac_table_learn(&t, 0, mac(i), ofp_port(1), 0);
    }
    mac_table_set_static(&t, 0, mac(9999), ofp_port(3), 0);
    for (unsigned int i = 1000; i < 3000; i++) {
        mac_table_learn(&t, 0, mac(i), ofp_port(2), 1 + i);
    }
    assert_int_equal(mac_table_count(&t), 100);
    for (unsigned int i = 0; i < 30; i++) {
        assert_non_null(mac_table_lookup(&t, 0, mac(i), 5000));
    }
    assert_non_null(mac_table_lookup(&t, 0, mac(9999), 5000));
    assert_non_null(mac_table_lookup(&t, 0, mac(2999), 5000));
    assert_int_equal(t.n_evicted, 2000 - 69);
    assert_int_equal(t.n_learned, 2030);
    assert_int_equal(t.n_static, 1);
    /* Static ones go with their port only. */
    assert_false(mac_table_flush_port(&t, ofp_port(3)));
    assert_true(mac_table_forget_port(&t, ofp_port(3)));
    assert_int_equal(t.n_static, 0);
    mac_table_done(&t);
}

static void test_lock(void **state WR_UNUSED)
{
    struct mac_table t;

    mac_table_init(&t);
    mac_table_learn(&t, 0, mac(1), ofp_port(1), 1000);
    assert_false(mac_entry_is_locked(mac_table_lookup(&t, 0, mac(1), 1000), 1000));
    mac_table_lock(&t, 0, mac(1), 1000);
    assert_true(mac_entry_is_locked(mac_table_lookup(&t, 0, mac(1), 1000), 5999));
    assert_false(mac_table_expire(&t, 5999));
    assert_true(mac_table_expire(&t, 6000)); /* decisions change */
    assert_false(mac_table_expire(&t, 6001));
    assert_false(mac_entry_is_locked(mac_table_lookup(&t, 0, mac(1), 6000), 6000));
    mac_table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learn_and_move), cmocka_unit_test(test_older_changes_nothing),
        cmocka_unit_test(test_ageing),         cmocka_unit_test(test_bound),
        cmocka_unit_test(test_fair_eviction),  cmocka_unit_test(test_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
