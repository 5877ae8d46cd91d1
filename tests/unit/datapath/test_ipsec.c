/* SPDX-License-Identifier: Apache-2.0 */
/* The host's IPsec policies, followed: also while the kernel does not tell them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>

#include "datapath/rtnl.h"
#include "datapath/userspace/ipsec.h"
#include "netns.h"

#define PATIENCE_MS 20000

static bool deaf; /* nothing can be asked for as a whole */
static struct event_base *base;
static unsigned int n_changed;

int __real_rtnl_dump(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux);
int __wrap_rtnl_dump(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux);

int __wrap_rtnl_dump(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux)
{
    return deaf ? -ENOBUFS : __real_rtnl_dump(r, request, cb, aux);
}

static void changed(void *aux WR_UNUSED)
{
    n_changed++;
}

static void run_for(int ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_base_loopexit(base, &tv);
    event_base_loop(base, 0);
}

static bool guards(const struct ipsec *ipsec, uint32_t dst)
{
    struct ip_addr a = ip_addr_from_v4(htobe32(dst));

    return ipsec_guards_out(ipsec, &a);
}

static void add_policy(const char *dst)
{
    RUN("ip xfrm policy add dst %s dir out tmpl proto esp mode transport", dst);
}

static bool has_ipsec(struct ipsec **ret_ipsec)
{
    int error = ipsec_new(base, changed, NULL, ret_ipsec);

    if (error) {
        print_message("no IPsec on this kernel: skipped\n");
    }
    return !error;
}

/* What was known is heeded until the kernel tells again, which it is asked for. */
static void test_policies_that_cannot_be_read(void **state WR_UNUSED)
{
    struct ipsec *ipsec;

    if (!has_ipsec(&ipsec)) {
        skip();
    }
    add_policy("10.1.0.1/32");
    run_for(50);
    assert_true(guards(ipsec, 0x0a010001));
    deaf = true;
    add_policy("10.1.0.2/32");
    run_for(50);
    assert_true(guards(ipsec, 0x0a010001));
    deaf = false;
    n_changed = 0;
    for (int64_t since = time_mono_ms(); !guards(ipsec, 0x0a010002) && time_mono_ms() - since < PATIENCE_MS;) {
        run_for(50);
    }
    assert_true(guards(ipsec, 0x0a010001) && guards(ipsec, 0x0a010002));
    assert_int_equal(n_changed, 1);
    run_for(1500);
    assert_int_equal(n_changed, 1);
    RUN("ip xfrm policy flush");
    run_for(50);
    assert_false(guards(ipsec, 0x0a010001) || guards(ipsec, 0x0a010002));
    ipsec_free(ipsec);
}

/* The first time, too. */
static void test_policies_that_cannot_be_read_at_first(void **state WR_UNUSED)
{
    struct ipsec *ipsec;

    RUN("ip xfrm policy flush");
    add_policy("10.1.0.1/32");
    deaf = true;
    if (!has_ipsec(&ipsec)) {
        skip();
    }
    deaf = false;
    for (int64_t since = time_mono_ms(); !guards(ipsec, 0x0a010001) && time_mono_ms() - since < PATIENCE_MS;) {
        run_for(50);
    }
    assert_true(guards(ipsec, 0x0a010001));
    ipsec_free(ipsec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies_that_cannot_be_read),
        cmocka_unit_test(test_policies_that_cannot_be_read_at_first),
    };
    int failed;

    if (!netns_enter()) {
        printf("needs the privilege to make a network namespace\n");
        return 77;
    }
    base = event_base_new();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    event_base_free(base);
    return failed;
}
