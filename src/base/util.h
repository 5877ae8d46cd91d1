/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_UTIL_H
#define WARREN_BASE_UTIL_H
/*
 * The few macros and inline helpers of plain C that every module uses: array sizes, rounding, casts to the
 * containing struct, and the cleanup attributes by which locals free themselves.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/types.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ROUND_UP(n, to) (((n) + (to)-1) / (to) * (to))
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define WR_UNUSED __attribute__((unused))
#define WR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define WR_MUST_CHECK __attribute__((warn_unused_result))
#define WR_PACKED __attribute__((packed))

/* _cleanup_(fn): calls fn(&variable) when the variable leaves its scope. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))
/* Makes the cleanup function FNp for a destructor fn(TYPE) that takes NULL. */
#define DEFINE_CLEANUP(type, fn)                                                                                       \
    static inline WR_UNUSED void fn##p(type *p)                                                                        \
    {                                                                                                                  \
        if (*p) {                                                                                                      \
            fn(*p);                                                                                                    \
        }                                                                                                              \
    }

static inline void freep(void *p)
{
    free(*(void **)p);
}
static inline void closep(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}
#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

/* Hands a pointer over to its new owner: yields it and leaves NULL behind, so that its cleanup does nothing. */
#define TAKE_PTR(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(p) take_p_ = (p);                                                                                   \
        (p) = NULL;                                                                                                    \
        take_p_;                                                                                                       \
    })
#define TAKE_FD(fd)                                                                                                    \
    ({                                                                                                                 \
        int take_fd_ = (fd);                                                                                           \
        (fd) = -1;                                                                                                     \
        take_fd_;                                                                                                      \
    })

/* Allocation that ends the program when memory is gone: a half-made switch is worse than a restarted one,
 * and the datapath outlives it. Sizes that users choose are bounded before they reach these. */
void *xmalloc(size_t size) __attribute__((malloc));
void *xcalloc(size_t n, size_t size) __attribute__((malloc));
void *xrealloc(void *p, size_t size);
void *xmemdup(const void *p, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) WR_PRINTF(1, 2);

/* Milliseconds of CLOCK_MONOTONIC, and of the wall clock since 1970. Only event loops ask; state machines take `now`.
 */
int64_t time_mono_ms(void);
uint64_t time_mono_ns(void); /* as bpf_ktime_get_ns() */
int64_t time_wall_ms(void);

/* Makes the directory PATH and its parents that are missing, as `mkdir -p` does. Negative errno if it cannot be had. */
int make_directories(const char *path) WR_MUST_CHECK;
/* The same for the directory that FILE is in. */
int make_parents(const char *file) WR_MUST_CHECK;

/* Whether the kernel that runs is Linux MAJOR.MINOR or newer. */
bool kernel_at_least(unsigned int major, unsigned int minor);

#endif
