/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_LOG_H
#define WARREN_BASE_LOG_H
/*
 * Logging to stderr as `LEVEL module: text`, one line a call, with journald's <N> priorities in front when
 * systemd started us (JOURNAL_STREAM is set). Each .c file that logs says LOG_MODULE("name") once at its top.
 * An error is logged once, by whoever can say what it means; libraries return it instead.
 * log_limited() drops repeats beyond a few a second from one place and says how many it dropped.
 */
#include <stdbool.h>

#include "base/util.h"

/* OFF and EMER are only thresholds: nothing is logged as either, so both silence a module. */
enum log_level {
    LOG_LEVEL_OFF = -2,
    LOG_LEVEL_EMER = -1,
    LOG_LEVEL_ERR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DBG,
    LOG_LEVEL_INVALID = -EINVAL
};

struct log_module {
    const char *name;
    enum log_level level;
    bool unlimited;
    struct log_module *next; /* every module that was declared, for vlog/list */
};

struct log_limit {
    int64_t window_start_ms;
    unsigned int count, dropped;
};

void log_module_register(struct log_module *m);
/* All modules, linked by `next`. */
struct log_module *log_modules(void);
/* "off", "emer", "err", "warn", "info", "dbg" in either case, or LOG_LEVEL_INVALID. */
enum log_level log_level_parse(const char *s);
const char *log_level_name(enum log_level level);
/* Sets the level of the module NAME (in either case), or of every module when NAME is NULL. -ENOENT if there is no such
 * module. */
int log_set_level(const char *name, enum log_level level);

/* From now on log_limited() drops nothing of the module NAME (NULL: any) when OFF, or as usual. -ENOENT as above. */
int log_set_rate_limit(const char *name, bool on);

void log_write(const struct log_module *m, enum log_level level, const char *fmt, ...) WR_PRINTF(3, 4);
void log_write_limited(const struct log_module *m, enum log_level level, struct log_limit *limit, const char *fmt, ...)
    WR_PRINTF(4, 5);

#define LOG_MODULE(text)                                                                                               \
    static struct log_module log_this_module = {text, LOG_LEVEL_INFO, false, NULL};                                    \
    static void __attribute__((constructor)) log_register_this_module(void)                                            \
    {                                                                                                                  \
        log_module_register(&log_this_module);                                                                         \
    }                                                                                                                  \
    static void __attribute__((constructor)) log_register_this_module(void)

#define log_at(severity, ...)                                                                                          \
    ((severity) <= log_this_module.level ? log_write(&log_this_module, severity, __VA_ARGS__) : (void)0)
#define log_err(...) log_at(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_dbg(...) log_at(LOG_LEVEL_DBG, __VA_ARGS__)
#define log_limited(severity, ...)                                                                                     \
    do {                                                                                                               \
        static struct log_limit log_limit_;                                                                            \
        if ((severity) <= log_this_module.level) {                                                                     \
            log_write_limited(&log_this_module, severity, &log_limit_, __VA_ARGS__);                                   \
        }                                                                                                              \
    } while (0)

#endif
