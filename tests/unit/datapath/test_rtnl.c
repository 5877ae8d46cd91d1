/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to rtnetlink in a namespace of the test's own: dumps over several datagrams, single answers, the kernel's
 * errors, and an answer that nobody listened to up to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datapath/rtnl.h"
#include "netns.h"

#define N_LINKS 40 /* pairs; their dump needs several datagrams */

struct heard {
    unsigned int n, links;
    int last; /* ifindex */
    unsigned int stop_at;
    int stop_with; /* what the callback returns then */
};

static bool permitted;

static int setup(void **state)
{
    static struct rtnl r;

    permitted = netns_enter();
    *state = &r;
    if (permitted) {
        RUN("for i in $(seq %d); do echo link add a$i type veth peer name b$i; done | ip -batch -", N_LINKS);
        assert_int_equal(rtnl_open(&r), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    rtnl_close(*state);
    rtnl_close(*state); /* a closed one is fine */
    return 0;
}

#define NEEDS_NETNS                                                                                                    \
    if (!permitted) {                                                                                                  \
        print_message("no network namespace of our own: skipped\n");                                                   \
        skip();                                                                                                        \
    }

static int hear(const struct nlmsghdr *h, void *aux)
{
    const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
    struct heard *heard = aux;

    heard->n++;
    heard->links += h->nlmsg_type == RTM_NEWLINK;
    heard->last = ifi->ifi_index;
    if (heard->n == heard->stop_at) {
        errno = EXDEV;
        return heard->stop_with;
    }
    return MNL_CB_OK;
}

static int ask_links(struct rtnl *r, int ifindex, struct heard *heard)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETLINK, ifindex ? 0 : NLM_F_DUMP);
    struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

    ifi->ifi_index = ifindex;
    return r ? rtnl_ask(r, h, hear, heard) : rtnl_ask_once(h, hear, heard);
}

static int set_up(struct rtnl *r, int ifindex, bool up)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_NEWLINK, 0);
    struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

    ifi->ifi_index = ifindex;
    ifi->ifi_change = IFF_UP;
    ifi->ifi_flags = up ? IFF_UP : 0;
    return rtnl_ask(r, h, NULL, NULL);
}

static void test_answers(void **state)
{
    struct rtnl *r = *state;
    int one, peer;

    NEEDS_NETNS;
    one = (int)if_nametoindex("a7");
    peer = (int)if_nametoindex("b7");
    for (unsigned int i = 0; i < 3; i++) {
        struct heard all = {0}, single = {0}, once = {0};

        assert_int_equal(ask_links(r, 0, &all), 0);
        assert_int_equal(all.links, 2 * N_LINKS + 1); /* lo */
        assert_int_equal(all.n, all.links);
        assert_int_equal(ask_links(r, one, &single), 0);
        assert_int_equal(single.n, 1);
        assert_int_equal(single.last, one);
        assert_int_equal(ask_links(NULL, peer, &once), 0);
        assert_int_equal(once.n, 1);
        assert_int_equal(once.last, peer);
    }
}

static void test_changes_and_errors(void **state)
{
    struct rtnl *r = *state;
    struct heard none = {0};
    int one;

    NEEDS_NETNS;
    one = (int)if_nametoindex("a1");
    RUN("! ip -o link show a1 | grep -q '[<,]UP'");
    assert_int_equal(set_up(r, one, true), 0);
    RUN("ip -o link show a1 | grep -q '[<,]UP'");
    assert_int_equal(set_up(r, 99999, true), -ENODEV);
    assert_int_equal(ask_links(r, 99999, &none), -ENODEV);
    assert_int_equal(ask_links(NULL, 99999, &none), -ENODEV);
    assert_int_equal(none.n, 0);
    assert_int_equal(set_up(r, one, false), 0);
    RUN("! ip -o link show a1 | grep -q '[<,]UP'");
}

/* The rest of what was left is nobody's answer, and in nobody's way. */
static void test_left_early(void **state)
{
    static const struct {
        int with, error;
    } ways[] = {{MNL_CB_STOP, 0}, {MNL_CB_ERROR, -EXDEV}};
    struct rtnl *r = *state;

    NEEDS_NETNS;
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct heard some = {.stop_at = 2, .stop_with = ways[i].with}, single = {0}, all = {0};
        int one = (int)if_nametoindex("b9");

        assert_int_equal(ask_links(r, 0, &some), ways[i].error);
        assert_int_equal(some.n, 2);
        assert_int_equal(ask_links(r, 0, &all), 0);
        assert_int_equal(all.links, 2 * N_LINKS + 1);
        all = (struct heard){0};
        assert_int_equal(ask_links(r, one, &single), 0);
        assert_int_equal(single.n, 1);
        assert_int_equal(single.last, one);
        single = (struct heard){.stop_at = 1, .stop_with = ways[i].with}; /* the kernel's word is still to come */
        assert_int_equal(ask_links(r, one, &single), ways[i].error);
        assert_int_equal(set_up(r, one, true), 0);
        assert_int_equal(set_up(r, 99999, true), -ENODEV);
        assert_int_equal(ask_links(r, 0, &all), 0);
        assert_int_equal(all.links, 2 * N_LINKS + 1);
    }
}

/* Links come and go. */
static void test_interrupted(void **state)
{
    struct rtnl *r = *state;
    pid_t child;

    NEEDS_NETNS;
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails */
        execlp("sh", "sh", "-c", "while ip link add x type veth peer name y && ip link del x; do sleep .02; done",
               NULL);
        _exit(1);
    }
    for (unsigned int i = 0; i < 1000; i++) {
        char buf[RTNL_REQUEST_MAX];
        struct nlmsghdr *h = rtnl_request(buf, RTM_GETLINK, NLM_F_DUMP);
        struct heard all = {0};

        mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
        assert_int_equal(rtnl_dump(r, h, hear, &all), 0);
        assert_true(all.links >= 2 * N_LINKS + 1);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_changes_and_errors),
                                       cmocka_unit_test(test_left_early), cmocka_unit_test(test_interrupted)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
