/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_PIDFILE_H
#define WARREN_SWITCH_PIDFILE_H
/* A pid file as ovs-appctl believes it: locked (fcntl) by the process whose number it holds, for as long as that lives.
 */
#include "base/util.h"

struct pidfile {
    char *path;
    int fd;
};

/* -EBUSY: a living process holds PATH. */
int pidfile_create(const char *path, struct pidfile *ret);
/* Removes the file. Fine on a zeroed struct. */
void pidfile_remove(struct pidfile *p);

#endif
