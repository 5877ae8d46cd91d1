/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

LOG_MODULE("ebpf_netns");

#define DIRECTORY "/run/netns"
#define INIT_MOUNTS "/proc/1/ns/mnt"
#define INIT_ROOT "/proc/1/root"

static const char *const roots[] = {"", INIT_ROOT}; /* where a mount of ours may be */

static int own_netns(void)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static void go_home(int home)
{
    if (setns(home, CLONE_NEWNET)) {
        log_err("the network namespace cannot be entered again: %s", strerror(errno));
        abort(); /* nothing that this process does elsewhere would be right */
    }
}

int ebpf_netns_run(int fd, int (*fn)(void *aux), void *aux)
{
    _cleanup_close_ int home = own_netns();
    int error;

    if (home < 0) {
        return home;
    }
    if (setns(fd, CLONE_NEWNET)) {
        return -errno;
    }
    error = fn(aux);
    go_home(home);
    return error;
}

/* --- holding --- */

/* The directory as ip-netns(8) makes it: a mount of its own that hands on to other mount namespaces what is mounted and
 * unmounted in it. Done later over our mounts, it would hide them. */
static int prepare_directory(void)
{
    if (mkdir(DIRECTORY, 0755) && errno != EEXIST) {
        return -errno;
    }
    if (!mount("", DIRECTORY, "none", MS_SHARED | MS_REC, NULL)) {
        return 0;
    }
    if (errno != EINVAL || mount(DIRECTORY, DIRECTORY, "none", MS_BIND | MS_REC, NULL) ||
        mount("", DIRECTORY, "none", MS_SHARED | MS_REC, NULL)) {
        return -errno;
    }
    return 0;
}

static int bind_here(const char *path, const char *source)
{
    _cleanup_close_ int lock = -1, file = -1;
    int error;

    if (mkdir(DIRECTORY, 0755) && errno != EEXIST) {
        return -errno;
    }
    lock = open(DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || flock(lock, LOCK_EX)) { /* of ip-netns(8), too */
        return -errno;
    }
    error = prepare_directory();
    if (error) {
        return error;
    }
    file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
    if (file < 0) {
        return -errno;
    }
    if (mount(source, path, "none", MS_BIND, NULL)) {
        error = -errno;
        unlink(path);
    }
    return error;
}

/* Process 1's mount namespace, or -1: it is ours, or not for us. */
static int init_mounts(void)
{
    int fd = open(INIT_MOUNTS, O_RDONLY | O_CLOEXEC);
    struct stat own, init;

    if (fd >= 0 && !stat("/proc/self/ns/mnt", &own) && !fstat(fd, &init) && own.st_ino == init.st_ino) {
        close(fd);
        return -1;
    }
    return fd;
}

/* In a child, because threads that share their working directory cannot change mount namespaces. */
static int bind_there(int mounts, const char *path, const char *source)
{
    pid_t pid = fork();
    int status;

    if (pid < 0) {
        return -errno;
    }
    if (!pid) {
        _exit(setns(mounts, CLONE_NEWNS) ? errno : -bind_here(path, source));
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int hold(const char *name, int fd)
{
    _cleanup_free_ char *path = xasprintf(DIRECTORY "/%s", name);
    _cleanup_close_ int mounts = init_mounts();
    char source[64];
    int error;

    snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    if (mounts >= 0) {
        error = bind_there(mounts, path, source);
        if (!error) {
            return 0;
        }
        log_info("the namespace %s lives as long as our mount namespace: mounting it in that of process 1: %s", name,
                 strerror(-error));
    }
    return bind_here(path, source);
}

/* --- */

int ebpf_netns_make(const char *name, int *ret_fd, int *ret_held)
{
    _cleanup_close_ int home = own_netns();
    int fd;

    if (home < 0) {
        return home;
    }
    if (unshare(CLONE_NEWNET)) {
        return -errno;
    }
    fd = own_netns();
    go_home(home);
    if (fd < 0) {
        return fd;
    }
    *ret_held = -ENOENT;
    if (name) {
        ebpf_netns_remove(name);
        *ret_held = hold(name, fd);
    }
    *ret_fd = fd;
    return 0;
}

int ebpf_netns_open(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        _cleanup_free_ char *path = xasprintf("%s" DIRECTORY "/%s", roots[i], name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd >= 0 && ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET) {
            return fd;
        }
        if (fd >= 0) {
            close(fd); /* a file on which nothing is mounted here */
        }
    }
    return -ENOENT;
}

void ebpf_netns_remove(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        _cleanup_free_ char *path = xasprintf("%s" DIRECTORY "/%s", roots[i], name);

        umount2(path, MNT_DETACH);
        unlink(path); /* which ends the mounts on it in other mount namespaces */
    }
}
