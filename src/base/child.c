/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/reconnect.h"
#include "base/strbuf.h"

LOG_MODULE("child");

#define TERM_WAIT_MS 2000

struct child {
    struct event_base *base;
    char *name;
    char **argv;
    const struct child_callbacks *cb;
    void *arg;
    pid_t pid;
    int pidfd;
    struct event *ended; /* pidfd is readable */
    struct event *timer; /* next start */
    struct reconnect backoff;
};

/* In the new process, between fork and exec: only calls that are safe there. Does not return. */
static void become(char *const argv[], int stdout_fd, int stderr_fd, int status_fd, pid_t parent)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < 32; sig++) {
        signal(sig, SIG_DFL);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1); /* the parent died before prctl() */
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(stdout_fd, STDOUT_FILENO);
    dup2(stderr_fd, STDERR_FILENO);
    execvp(argv[0], argv);
    int error = errno;
    if (write(status_fd, &error, sizeof error) < 0) {
        _exit(126);
    }
    _exit(127);
}

/* Starts ARGV; its pid, or negative errno if it could not be executed. */
static pid_t spawn(char *const argv[], int stdout_fd, int stderr_fd)
{
    int status_pipe[2];

    if (pipe2(status_pipe, O_CLOEXEC) < 0) {
        return -errno;
    }
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, stdout_fd, stderr_fd, status_pipe[1], parent);
    }
    int error = pid < 0 ? errno : 0;
    close(status_pipe[1]);
    if (!error) {
        ssize_t n;
        do {
            n = read(status_pipe[0], &error, sizeof error); /* ends with nothing when exec closes the pipe */
        } while (n < 0 && errno == EINTR);
        if (n != sizeof error) {
            error = 0;
        } else {
            waitpid(pid, NULL, 0);
        }
    }
    close(status_pipe[0]);
    return error ? -error : pid;
}

static void stop_watching(struct child *c)
{
    if (c->ended) {
        event_free(c->ended);
        c->ended = NULL;
    }
    closep(&c->pidfd);
    c->pidfd = -1;
    c->pid = 0;
}

static void schedule(struct child *c, int64_t now)
{
    int64_t wait = MAX(reconnect_deadline(&c->backoff) - now, 0);

    event_add(c->timer, &(struct timeval){.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000});
}

static void on_ended(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct child *c = arg;
    int status;

    if (waitpid(c->pid, &status, WNOHANG) != c->pid) {
        return;
    }
    if (WIFSIGNALED(status)) {
        log_warn("%s (pid %d) was ended by signal %d; starting it again", c->name, (int)c->pid, WTERMSIG(status));
    } else {
        log_warn("%s (pid %d) ended with status %d; starting it again", c->name, (int)c->pid, WEXITSTATUS(status));
    }
    stop_watching(c);
    int64_t now = time_mono_ms();
    reconnect_failed(&c->backoff, now);
    schedule(c, now);
    if (c->cb && c->cb->ended) {
        c->cb->ended(c, status, c->arg);
    }
}

static int start(struct child *c)
{
    pid_t pid = spawn(c->argv, STDERR_FILENO, STDERR_FILENO);

    if (pid < 0) {
        return (int)pid;
    }
    c->pid = pid;
    c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (c->pidfd >= 0) {
        fcntl(c->pidfd, F_SETFD, FD_CLOEXEC);
        c->ended = event_new(c->base, c->pidfd, EV_READ | EV_PERSIST, on_ended, c);
    }
    if (!c->ended || event_add(c->ended, NULL) < 0) {
        int error = c->pidfd < 0 ? -errno : -ENOMEM;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        stop_watching(c);
        return error;
    }
    reconnect_connected(&c->backoff, time_mono_ms());
    log_info("%s started (pid %d)", c->name, (int)pid);
    if (c->cb && c->cb->started) {
        c->cb->started(c, pid, c->arg);
    }
    return 0;
}

static void on_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct child *c = arg;
    int error = start(c);

    if (error) {
        int64_t now = time_mono_ms();
        log_warn("%s: cannot start %s: %s", c->name, c->argv[0], strerror(-error));
        reconnect_failed(&c->backoff, now);
        schedule(c, now);
    }
}

int child_start(struct event_base *base, const char *name, const char *const argv[], const struct child_callbacks *cb,
                void *arg, struct child **ret)
{
    struct child *c = xcalloc(1, sizeof *c);
    size_t n = 0;

    while (argv[n]) {
        n++;
    }
    c->argv = xcalloc(n + 1, sizeof *c->argv);
    for (size_t i = 0; i < n; i++) {
        c->argv[i] = xstrdup(argv[i]);
    }
    c->base = base;
    c->name = xstrdup(name);
    c->cb = cb;
    c->arg = arg;
    c->pidfd = -1;
    reconnect_init(&c->backoff, time_mono_ms(), 0);
    c->timer = evtimer_new(base, on_timer, c);
    int error = c->timer ? start(c) : -ENOMEM;
    if (error) {
        child_destroy(c);
        return error;
    }
    *ret = c;
    return 0;
}

pid_t child_pid(const struct child *c)
{
    return c->pid;
}

static void terminate(struct child *c)
{
    struct pollfd ended = {.fd = c->pidfd, .events = POLLIN};
    int n;

    kill(c->pid, SIGTERM);
    do {
        n = poll(&ended, 1, TERM_WAIT_MS);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        log_warn("%s (pid %d) ignores SIGTERM; killing it", c->name, (int)c->pid);
        kill(c->pid, SIGKILL);
    }
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

void child_destroy(struct child *c)
{
    if (!c) {
        return;
    }
    if (c->pid) {
        terminate(c);
        stop_watching(c);
    }
    if (c->timer) {
        event_free(c->timer);
    }
    for (size_t i = 0; c->argv[i]; i++) {
        free(c->argv[i]);
    }
    free(c->argv);
    free(c->name);
    free(c);
}

int child_run(const char *const argv[], char **ret_error)
{
    _cleanup_strbuf_ struct strbuf text = {0};
    int output[2], status = 0;
    char buf[1024];
    ssize_t n;

    if (pipe2(output, O_CLOEXEC) < 0) {
        return -errno;
    }
    pid_t pid = spawn((char *const *)argv, output[1], output[1]);
    close(output[1]);
    if (pid > 0) {
        while ((n = read(output[0], buf, sizeof buf)) > 0 || (n < 0 && errno == EINTR)) {
            if (n > 0 && text.len < 65536) {
                strbuf_add_n(&text, buf, (size_t)n);
            }
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    } else {
        strbuf_addf(&text, "%s: %s", argv[0], strerror(-(int)pid));
    }
    close(output[0]);
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    strbuf_chomp(&text, '\n');
    if (ret_error) {
        *ret_error = strbuf_take(&text);
    }
    return -EIO;
}
