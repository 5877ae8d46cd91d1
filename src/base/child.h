/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_CHILD_H
#define WARREN_BASE_CHILD_H
/*
 * A child process that should always run: started, watched, started again with backoff (reconnect.h's 1 s → 8 s) when
 * it ends, and terminated with its owner. The kernel ends it (PDEATHSIG) should we die without a word.
 * It gets /dev/null as stdin and shares our stderr; stdout goes to stderr, since ours speaks to whoever waits for
 * `ready`.
 */
#include <sys/types.h>

#include "base/util.h"

struct event_base;
struct child;

struct child_callbacks {
    void (*started)(struct child *c, pid_t pid, void *arg);     /* may be NULL */
    void (*ended)(struct child *c, int wait_status, void *arg); /* waitpid()'s status; may be NULL. It is restarted. */
};

/* ARGV (copied) ends with NULL; ARGV[0] is looked up in PATH. NAME is for logs. The first start is from here: negative
 * errno if the program cannot be executed. */
int child_start(struct event_base *base, const char *name, const char *const argv[], const struct child_callbacks *cb,
                void *arg, struct child **ret);
/* 0 while it waits for its next start. */
pid_t child_pid(const struct child *c);
/* SIGTERM, and SIGKILL if it is still there after 2 s; waits for it. NULL is fine. */
void child_destroy(struct child *c);
DEFINE_CLEANUP(struct child *, child_destroy)

/* Runs a program to its end with stdin from /dev/null and returns 0, or -EIO if it failed, with its stderr in
 * *RET_ERROR (the caller's). Blocks: for short tools at start-up. */
int child_run(const char *const argv[], char **ret_error);

#endif
