/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define LIMIT_WINDOW_MS 1000
#define LIMIT_BURST 5

static struct log_module *modules;

static const char *const level_names[] = {"OFF", "EMER", "ERR", "WARN", "INFO", "DBG"}; /* from LOG_LEVEL_OFF on */
static const int journal_priority[] = {3, 4, 6, 7};

void log_module_register(struct log_module *m)
{
    m->next = modules;
    modules = m;
}

struct log_module *log_modules(void)
{
    return modules;
}

enum log_level log_level_parse(const char *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (!strcasecmp(s, level_names[i])) {
            return (enum log_level)((int)i + LOG_LEVEL_OFF);
        }
    }
    return LOG_LEVEL_INVALID;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level - LOG_LEVEL_OFF];
}

int log_set_level(const char *name, enum log_level level)
{
    bool found = false;

    for (struct log_module *m = modules; m; m = m->next) {
        if (!name || !strcasecmp(m->name, name)) {
            m->level = level;
            found = true;
        }
    }
    return found || !name ? 0 : -ENOENT;
}

int log_set_rate_limit(const char *name, bool on)
{
    bool found = false;

    for (struct log_module *m = modules; m; m = m->next) {
        if (!name || !strcasecmp(m->name, name)) {
            m->unlimited = !on;
            found = true;
        }
    }
    return found || !name ? 0 : -ENOENT;
}

static void write_line(const struct log_module *m, enum log_level level, unsigned int dropped, const char *fmt,
                       va_list args)
{
    char line[2048];
    size_t n = 0;

    if (getenv("JOURNAL_STREAM")) {
        n += (size_t)snprintf(line, sizeof line, "<%d>", journal_priority[level]);
    }
    n += (size_t)snprintf(line + n, sizeof line - n, "%s %s: ", log_level_name(level), m->name);
    n += (size_t)vsnprintf(line + n, sizeof line - n, fmt, args);
    if (n < sizeof line && dropped) {
        n += (size_t)snprintf(line + n, sizeof line - n, " (%u more like this dropped)", dropped);
    }
    n = MIN(n, sizeof line - 2);
    for (size_t i = 0; i < n; i++) { /* texts from outside must not make lines of their own */
        if ((unsigned char)line[i] < ' ') {
            line[i] = ' ';
        }
    }
    line[n++] = '\n';
    fwrite(line, 1, n, stderr);
}

void log_write(const struct log_module *m, enum log_level level, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    write_line(m, level, 0, fmt, args);
    va_end(args);
}

void log_write_limited(const struct log_module *m, enum log_level level, struct log_limit *limit, const char *fmt, ...)
{
    int64_t now = time_mono_ms();
    unsigned int dropped = 0;
    va_list args;

    if (now - limit->window_start_ms >= LIMIT_WINDOW_MS) {
        dropped = limit->dropped;
        *limit = (struct log_limit){.window_start_ms = now};
    }
    if (++limit->count > LIMIT_BURST && !m->unlimited) {
        limit->dropped++;
        return;
    }
    va_start(args, fmt);
    write_line(m, level, dropped, fmt, args);
    va_end(args);
}
