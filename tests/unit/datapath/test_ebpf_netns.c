/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces that outlive their process, also where that has a mount namespace of its own. Each step is a process: in a
 * pid namespace, so that process 1 is one of ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <linux/magic.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "datapath/ebpf/netns.h"
#include "netns.h"

#define CANNOT 77
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            print_message("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                              \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

static char name[64];

/* The exit status of a process that does FN. */
static int in_process(int (*fn)(void))
{
    pid_t pid = fork();
    int status;

    if (!pid) {
        _exit(fn());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Mounts of our own, which nobody else sees. */
static bool own_mounts(void)
{
    return !unshare(CLONE_NEWNS) && !mount("", "/", "none", MS_PRIVATE | MS_REC, NULL);
}

static bool is_mounted(void)
{
    struct statfs fs;
    char path[128];

    snprintf(path, sizeof(path), "/run/netns/%s", name);
    return !statfs(path, &fs) && (unsigned long)fs.f_type == NSFS_MAGIC;
}

static bool is_there(void)
{
    char path[128];

    snprintf(path, sizeof(path), "/run/netns/%s", name);
    return !access(path, F_OK);
}

static bool can_be_entered(void)
{
    _cleanup_close_ int fd = ebpf_netns_open(name);

    return fd >= 0;
}

static int make(void)
{
    int fd = -1, held = -1;
    int error = ebpf_netns_make(name, &fd, &held);

    if (error == -EPERM) {
        return CANNOT;
    }
    CHECK(!error && fd >= 0);
    CHECK(!held);
    CHECK(can_be_entered());
    return 0;
}

static int make_in_own_mounts(void)
{
    CHECK(own_mounts());
    CHECK(!make());
    CHECK(!is_mounted()); /* but in process 1's mount namespace */
    return 0;
}

static int remove_it(void)
{
    ebpf_netns_remove(name);
    CHECK(!can_be_entered());
    return 0;
}

static int remove_in_own_mounts(void)
{
    CHECK(own_mounts());
    CHECK(can_be_entered());
    return remove_it();
}

/* What process 1 sees of it. */
static int be_process_1(void)
{
    CHECK(own_mounts());
    CHECK(!mount("proc", "/proc", "proc", 0, NULL));
    CHECK(!in_process(make));
    CHECK(is_mounted());
    CHECK(!in_process(make)); /* another one in its place */
    CHECK(is_mounted());
    CHECK(!in_process(remove_in_own_mounts));
    CHECK(!is_there());
    CHECK(!in_process(make_in_own_mounts));
    CHECK(is_mounted());
    CHECK(can_be_entered());
    CHECK(!in_process(remove_in_own_mounts));
    CHECK(!is_there());
    return 0;
}

static int make_processes(void)
{
    return unshare(CLONE_NEWPID) ? CANNOT : in_process(be_process_1);
}

static void test_outlives(void **state WR_UNUSED)
{
    int status = in_process(make);

    if (status == CANNOT) {
        skip();
    }
    assert_int_equal(status, 0);
    assert_true(can_be_entered());
    assert_int_equal(in_process(remove_it), 0);
    assert_false(is_there());
}

static void test_own_mounts(void **state WR_UNUSED)
{
    int status = in_process(make_processes);

    if (status == CANNOT) {
        skip();
    }
    assert_int_equal(status, 0);
    assert_false(is_there());
}

/* --- */

static int add(void *n)
{
    *(unsigned int *)n += if_nametoindex("here") ? 1 : 0;
    return 5;
}

/* Without a name nothing is left of it; and whoever was in it is back. */
static void test_no_name(void **state WR_UNUSED)
{
    unsigned int n = 0;
    int fd = -1, held = 0;
    int error;

    if (!netns_enter()) {
        skip();
    }
    RUN("ip link add here type veth peer name there");
    error = ebpf_netns_make(NULL, &fd, &held);
    assert_int_equal(error, 0);
    assert_true(held < 0);
    assert_int_equal(ebpf_netns_run(fd, add, &n), 5);
    assert_int_equal(n, 0);
    assert_int_equal(add(&n), 5);
    assert_int_equal(n, 1);
    assert_int_equal(ebpf_netns_run(-1, add, &n), -EBADF);
    close(fd);
}

static int set_name(void **state WR_UNUSED)
{
    snprintf(name, sizeof(name), "test-netns-%d", (int)getpid());
    return 0;
}

static int clear(void **state WR_UNUSED)
{
    ebpf_netns_remove(name); /* after a failure */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outlives),
        cmocka_unit_test(test_own_mounts),
        cmocka_unit_test(test_no_name),
    };

    return cmocka_run_group_tests(tests, set_name, clear);
}
