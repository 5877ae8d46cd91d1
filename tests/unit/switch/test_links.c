/* SPDX-License-Identifier: Apache-2.0 */
/* The replica of the kernel's links in a network namespace of our own (skipped where we may not make one), and pid
 * files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>

#include "switch/links.h"
#include "switch/pidfile.h"

static int changes;

static void changed(void *aux WR_UNUSED)
{
    changes++;
}

static void sh(const char *command)
{
    assert_int_equal(system(command), 0);
}

/* Runs the loop until something changed, or a second passed. */
static void settle(struct event_base *base)
{
    struct timeval second = {.tv_sec = 1};
    int before = changes;
    event_base_loopexit(base, &second);
    for (int i = 0; i < 100 && changes == before; i++) {
        event_base_loop(base, EVLOOP_ONCE);
    }
}

static void test_links(void **state WR_UNUSED)
{
    if (unshare(CLONE_NEWNET) || system("ip link add l0 type veth peer name l1 2>/dev/null")) {
        skip();
    }
    struct event_base *base = event_base_new();
    struct links *l = NULL;
    assert_int_equal(links_create(base, changed, NULL, &l), 0);
    const struct link *l0 = links_find(l, "l0");
    assert_non_null(l0);
    assert_ptr_equal(links_find_index(l, l0->ifindex), l0);
    assert_true(!l0->admin_up && !l0->carrier && l0->mtu == 1500);
    assert_null(links_find(l, "l2"));

    assert_int_equal(links_set_up(l, "l0", true), 0);
    assert_int_equal(links_set_up(l, "l1", true), 0);
    assert_int_equal(links_set_mtu(l, "l0", 1400), 0);
    assert_int_equal(links_set_mac(l, "l0", (struct eth_addr){{2, 0, 0, 0, 0, 9}}), 0);
    assert_int_equal(links_set_mtu(l, "l2", 1400), -ENODEV);
    assert_true(links_set_mtu(l, "l0", 1) < 0);
    settle(base);
    assert_true(changes > 0);
    l0 = links_find(l, "l0");
    assert_true(l0->admin_up && l0->carrier && l0->mtu == 1400 && l0->mac.a[5] == 9);
    assert_true(l0->resets > 0);

    /* A change is seen at once where one asks for it; a new name is another link. */
    sh("ip link set l1 down && ip link set l1 name l2");
    assert_true(links_refresh(l));
    assert_false(links_refresh(l));
    assert_null(links_find(l, "l1"));
    assert_non_null(links_find(l, "l2"));
    for (int i = 0; i < 20 && links_find(l, "l0")->carrier; i++) {
        settle(base); /* the kernel tells the other end's loss of carrier a moment later */
    }
    assert_false(links_find(l, "l0")->carrier);

    struct ip_addr dst = {.b = {[10] = 0xff, [11] = 0xff, 10, 77, 0, 2}};
    int ifindex = 0;
    assert_true(links_route(l, &dst, &ifindex) < 0);
    sh("ip addr add 10.77.0.1/24 dev l0 && ip link set l2 up");
    assert_int_equal(links_route(l, &dst, &ifindex), 0);
    assert_int_equal(ifindex, links_find(l, "l0")->ifindex);

    struct link_details d;
    link_details_get("l0", &d);
    assert_string_equal(d.driver, "veth");
    sh("ip link del l0");
    links_refresh(l);
    assert_null(links_find(l, "l0"));
    assert_null(links_find(l, "l2"));
    links_destroy(l);
    event_base_free(base);
}

static void test_pidfile(void **state WR_UNUSED)
{
    char dir[] = "/tmp/pidfile-XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/x.pid", dir);
    FILE *stale = fopen(path, "w");
    assert_non_null(stale);
    fputs("1\n", stale);
    fclose(stale);

    struct pidfile p = {0};
    assert_int_equal(pidfile_create(path, &p), 0); /* nobody held it */
    FILE *f = fopen(path, "r");
    int pid = 0;
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    assert_int_equal(pid, getpid());
    pid_t child = fork();
    if (!child) {
        struct pidfile q = {0};
        _exit(pidfile_create(path, &q) == -EBUSY ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    pidfile_remove(&p);
    pidfile_remove(&p);
    fclose(f);
    assert_int_equal(access(path, F_OK), -1);
    rmdir(dir);
}

/* In a process of its own: takes the file at PATH as soon as GO ends, says in TRIED whether it has it, and holds it
 * until END ends. */
static void take_pidfile(const char *path, int go, int tried, int end)
{
    struct pidfile p = {0};
    char byte;
    (void)!read(go, &byte, 1);
    int error = pidfile_create(path, &p);
    byte = !error ? 'y' : error == -EBUSY ? 'n' : '?';
    (void)!write(tried, &byte, 1);
    (void)!read(end, &byte, 1);
    _exit(0);
}

/* Of some that start at once, one runs. */
static void test_pidfile_race(void **state WR_UNUSED)
{
    char dir[] = "/tmp/pidfile-XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/x.pid", dir);
    for (int round = 0; round < 50; round++) {
        int go[2], tried[2], end[2], won = 0;
        assert_true(!pipe(go) && !pipe(tried) && !pipe(end));
        for (int i = 0; i < 4; i++) {
            if (!fork()) {
                close(go[1]);
                close(end[1]);
                take_pidfile(path, go[0], tried[1], end[0]);
            }
        }
        close(go[0]);
        close(go[1]);
        for (int i = 0; i < 4; i++) {
            char byte = 0;
            assert_int_equal(read(tried[0], &byte, 1), 1);
            assert_int_not_equal(byte, '?');
            won += byte == 'y';
        }
        assert_int_equal(won, 1);
        close(end[0]);
        close(end[1]);
        close(tried[0]);
        close(tried[1]);
        for (int i = 0; i < 4; i++) {
            wait(NULL);
        }
    }
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pidfile), cmocka_unit_test(test_pidfile_race),
                                       cmocka_unit_test(test_links)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
