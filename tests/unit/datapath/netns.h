/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_NETNS_H
#define WARREN_TESTS_NETNS_H
/*
 * The test's own network: the process moves to a new network namespace, which goes with it, so nothing of the machine
 * is touched. Without the privilege netns_enter() says false, and the test skips.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline bool netns_enter(void)
{
    return !unshare(CLONE_NEWNET) && !system("ip link set lo up");
}

/* May a test skip for ERROR of a datapath or of the programs' load? A refusal of the verifier is none of a permission.
 */
static inline bool netns_may_skip(int error)
{
    return error == -EPERM || error == -EOPNOTSUPP;
}

/* Runs a shell command, which must succeed. */
#define RUN(...)                                                                                                       \
    do {                                                                                                               \
        char run_cmd_[2048];                                                                                           \
        snprintf(run_cmd_, sizeof(run_cmd_), __VA_ARGS__);                                                             \
        assert_int_equal(system(run_cmd_), 0);                                                                         \
    } while (0)

#endif
