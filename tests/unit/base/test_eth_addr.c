/* SPDX-License-Identifier: Apache-2.0 */
/* Every form of a MAC address that Open vSwitch and Neutron take, and what looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/eth_addr.h"
#include "base/util.h"

static void test_forms(void **state WR_UNUSED)
{
    static const char *const good[][2] = {
        {"fa:16:3e:00:11:22", "fa:16:3e:00:11:22"},
        {"FA:16:3E:00:11:22", "fa:16:3e:00:11:22"},
        {"fa-16-3e-00-11-22", "fa:16:3e:00:11:22"},
        {"fa:16:3e:0:1:2", "fa:16:3e:00:01:02"},
        {"0-0-0-0-0-1", "00:00:00:00:00:01"},
        {"fa16.3e00.1122", "fa:16:3e:00:11:22"},
        {"fa16:3e00:1122", "fa:16:3e:00:11:22"},
        {"fa16-3e00-1122", "fa:16:3e:00:11:22"},
        {"1.2.3", "00:01:00:02:00:03"},
        {"fa163e:001122", "fa:16:3e:00:11:22"},
        {"fa163e-001122", "fa:16:3e:00:11:22"},
        {"a163e:01122", "0a:16:3e:00:11:22"},
        {"fa163e001122", "fa:16:3e:00:11:22"},
        {"a163e001122", "0a:16:3e:00:11:22"},
    };
    struct eth_addr a;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(eth_addr_parse(good[i][0], &a), 0);
        assert_string_equal(ETH_ADDR_STR(&a), good[i][1]);
    }
}

static void test_others(void **state WR_UNUSED)
{
    static const char *const bad[] = {
        "",
        ":",
        "fa:16:3e:00:11",
        "fa:16:3e:00:11:",
        "fa:16:3e:00:11:2g",
        "fa:16:3e:00:11:022",
        "fa:16:3e:00:11:22:33",
        "fa:16:3e:00:11:22 ",
        " fa:16:3e:00:11:22",
        "fa:16:3e:00:11.22",
        "fa.16.3e.00.11.22",
        "fa:16:3e::11:22",
        "0xfa:16:3e:00:11:22",
        "+fa:16:3e:00:11:2",
        "fa16:3e00-1122",
        "fa163e.001122",
        "fa163e0:01122",
        "163e:1122",
        "163e001122",
        "fa163e0011220",
        "fa:16:3e:00:11:22\n",
    };
    struct eth_addr a = {{1, 2, 3, 4, 5, 6}};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(eth_addr_parse(bad[i], &a), -EINVAL);
        assert_string_equal(ETH_ADDR_STR(&a), "01:02:03:04:05:06");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_others)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
