/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/pidfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

static int lock(int fd, int command, struct flock *l)
{
    *l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, command, l) ? -errno : 0;
}

static bool is_held(const char *path)
{
    struct flock l;
    _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd >= 0 && !lock(fd, F_GETLK, &l) && l.l_type != F_UNLCK;
}

/* Between a look at who holds the file and putting one's own in its place nobody else does the same. */
static int lock_directory(const char *path, int *ret_fd)
{
    _cleanup_free_ char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');
    if (slash) {
        slash[slash == dir] = '\0';
    }
    _cleanup_close_ int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX)) {
        return -errno;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Written under another name first: whoever opens PATH finds a number, and the lock on it. */
int pidfile_create(const char *path, struct pidfile *ret)
{
    _cleanup_close_ int dir_fd = -1;
    int error = lock_directory(path, &dir_fd);
    if (error) {
        return error;
    }
    if (is_held(path)) {
        return -EBUSY;
    }
    _cleanup_free_ char *temporary = xasprintf("%s.tmp", path); /* of a process that was killed, maybe: nobody else's */
    _cleanup_close_ int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct flock l;
    if (fd < 0) {
        return -errno;
    }
    error = lock(fd, F_SETLK, &l);
    if (!error && dprintf(fd, "%d\n", (int)getpid()) < 0) {
        error = -errno;
    }
    if (!error && rename(temporary, path)) {
        error = -errno;
    }
    if (error) {
        unlink(temporary);
        return error;
    }
    ret->path = xstrdup(path);
    ret->fd = TAKE_FD(fd);
    return 0;
}

void pidfile_remove(struct pidfile *p)
{
    if (p->path) {
        unlink(p->path);
        close(p->fd);
        free(p->path);
        p->path = NULL;
    }
}
