/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_LOCAL_H
#define WARREN_CLI_LOCAL_H
/*
 * Waiting for the switch of this machine. The OVSDB and OpenFlow clients are made for daemons: they try again for ever
 * and call back only about what changes. A command wants one answer, the first failure, or an end in time.
 */
#include "cli/cli.h"

struct event_base;

struct local_wait {
    bool (*done)(void *arg);
    const char *(*last_error)(void *arg); /* "" while there is none */
    void *arg;
};

/* Runs BASE until it is done: 0; there is an error: -ENOTCONN; TIMEOUT_MS passed: -ETIMEDOUT. */
int local_wait(struct event_base *base, const struct local_wait *wait, int64_t timeout_ms);

#endif
