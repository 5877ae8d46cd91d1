/* SPDX-License-Identifier: Apache-2.0 */
#include "base/util.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

static void *check_memory(void *p)
{
    if (!p) {
        fputs("ERR base: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xmalloc(size_t size)
{
    return check_memory(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
    return check_memory(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
    return check_memory(realloc(p, size ? size : 1));
}

void *xmemdup(const void *p, size_t size)
{
    void *copy = xmalloc(size);

    if (size) {
        memcpy(copy, p, size);
    }
    return copy;
}

char *xstrdup(const char *s)
{
    return check_memory(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
    va_list args;
    char *s = NULL;

    va_start(args, fmt);
    int n = vasprintf(&s, fmt, args);
    va_end(args);
    return check_memory(n < 0 ? NULL : s);
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t time_mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

int64_t time_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

int64_t time_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

static int make_directory(const char *path)
{
    struct stat st;

    if (!mkdir(path, 0755)) {
        return 0;
    }
    if (errno != EEXIST) {
        return -errno;
    }
    return !stat(path, &st) && S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int make_parents(const char *file)
{
    _cleanup_free_ char *path = xstrdup(file);

    for (char *p = path; (p = strchr(p, '/')); p++) {
        if (p == path) {
            continue;
        }
        *p = '\0';
        int error = make_directory(path);
        if (error) {
            return error;
        }
        *p = '/';
    }
    return 0;
}

int make_directories(const char *path)
{
    int error = make_parents(path);

    return error ? error : make_directory(path);
}

bool kernel_at_least(unsigned int want_major, unsigned int want_minor)
{
    struct utsname u;
    unsigned int major = 0, minor = 0;

    return !uname(&u) && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
           (major > want_major || (major == want_major && minor >= want_minor));
}
