/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/pidfile.h"

#include <fcntl.h>
#include <stdio.h>
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

/* Written under another name first: whoever opens PATH finds a number, and the lock on it. */
int pidfile_create(const char *path, struct pidfile *ret)
{
    if (is_held(path)) {
        return -EBUSY;
    }
    _cleanup_free_ char *temporary = xasprintf("%s.tmp%d", path, (int)getpid());
    _cleanup_close_ int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct flock l;
    if (fd < 0) {
        return -errno;
    }
    int error = lock(fd, F_SETLK, &l);
    if (!error && dprintf(fd, "%d\n", (int)getpid()) < 0) {
        error = -EIO;
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
