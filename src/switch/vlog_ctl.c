/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/vlog_ctl.h"

#include <strings.h>

#include "base/log.h"
#include "switch/unixctl.h"

static int list(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    strbuf_add(out, "                 console    syslog    file\n                 -------    ------    ------\n");
    for (const struct log_module *m = log_modules(); m; m = m->next) {
        strbuf_addf(out, "%-16s  %4s       %4s       %4s\n", m->name, log_level_name(m->level), "OFF", "OFF");
    }
    return 0;
}

static int list_pattern(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    strbuf_add(out,
               "         prefix                            format\n         ------                            ------\n"
               "SYSLOG   none                              none\nCONSOLE  none                              %p %c: %m\n"
               "FILE     none                              none\n");
    return 0;
}

static bool is_module(const char *name)
{
    for (const struct log_module *m = log_modules(); m; m = m->next) {
        if (!strcasecmp(m->name, name)) {
            return true;
        }
    }
    return false;
}

/* One SPEC: at most one level, destination and module, in any order, between blanks, commas or colons. */
struct spec {
    const char *module;
    enum log_level level;
    bool has_level, console, elsewhere;
};

static int take_word(struct spec *s, const char *word, struct strbuf *out)
{
    enum log_level level = log_level_parse(word);
    const char *twice = NULL;
    if (level != LOG_LEVEL_INVALID) {
        twice = s->has_level ? "log level" : NULL;
        s->level = level;
        s->has_level = true;
    } else if (!strcasecmp(word, "console")) {
        twice = s->console || s->elsewhere ? "destination" : NULL;
        s->console = true;
    } else if (!strcasecmp(word, "syslog") || !strcasecmp(word, "file")) {
        twice = s->console || s->elsewhere ? "destination" : NULL;
        s->elsewhere = true;
    } else if (is_module(word)) {
        twice = s->module ? "module" : NULL;
        s->module = word;
    } else if (strcasecmp(word, "any") != 0) {
        strbuf_addf(out, "no destination, level, or module \"%s\"", word);
        return -ENOENT;
    }
    if (twice) {
        strbuf_addf(out, "cannot specify multiple %ss", twice);
        return -EINVAL;
    }
    return 0;
}

static int set_one(const char *text, struct strbuf *out)
{
    _cleanup_free_ char *copy = xstrdup(text);
    struct spec s = {.level = LOG_LEVEL_DBG};
    char *save = NULL;
    if (!strncasecmp(text, "pattern:", 8) || !strncasecmp(text, "facility:", 9)) {
        strbuf_addf(out, "%s: not supported: lines have one form, and go to the console only", text);
        return -EOPNOTSUPP;
    }
    for (char *word = strtok_r(copy, " :,", &save); word; word = strtok_r(NULL, " :,", &save)) {
        int error = take_word(&s, word, out);
        if (error) {
            return error;
        }
    }
    if (s.elsewhere && s.level != LOG_LEVEL_OFF) {
        strbuf_addf(out, "%s: not supported: the console is the only destination", text);
        return -EOPNOTSUPP;
    }
    return s.elsewhere ? 0 : log_set_level(s.module, s.level);
}

static int set(void *aux WR_UNUSED, size_t n, const char *const *args, struct strbuf *out)
{
    if (!n) {
        return log_set_level(NULL, LOG_LEVEL_DBG);
    }
    for (size_t i = 0; i < n; i++) {
        int error = set_one(args[i], out);
        if (error) {
            return error;
        }
    }
    return 0;
}

static int set_rate_limits(size_t n, const char *const *args, bool on, struct strbuf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(args[i], "any") != 0 && !is_module(args[i])) {
            strbuf_addf(out, "unknown module \"%s\"", args[i]);
            return -ENOENT;
        }
    }
    for (size_t i = 0; i < n; i++) {
        log_set_rate_limit(strcasecmp(args[i], "any") ? args[i] : NULL, on);
    }
    return n ? 0 : log_set_rate_limit(NULL, on);
}

static int enable_rate_limit(void *aux WR_UNUSED, size_t n, const char *const *args, struct strbuf *out)
{
    return set_rate_limits(n, args, true, out);
}

static int disable_rate_limit(void *aux WR_UNUSED, size_t n, const char *const *args, struct strbuf *out)
{
    return set_rate_limits(n, args, false, out);
}

/* There is no file of ours to close or reopen; logrotate asks all the same. */
static int nothing(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED,
                   struct strbuf *out WR_UNUSED)
{
    return 0;
}

void vlog_ctl_register(struct unixctl *u)
{
    unixctl_register(u, "vlog/close", "", 0, 0, nothing, NULL);
    unixctl_register(u, "vlog/disable-rate-limit", "[module]...", 0, UNIXCTL_ARGS_MAX, disable_rate_limit, NULL);
    unixctl_register(u, "vlog/enable-rate-limit", "[module]...", 0, UNIXCTL_ARGS_MAX, enable_rate_limit, NULL);
    unixctl_register(u, "vlog/list", "", 0, 0, list, NULL);
    unixctl_register(u, "vlog/list-pattern", "", 0, 0, list_pattern, NULL);
    unixctl_register(u, "vlog/reopen", "", 0, 0, nothing, NULL);
    unixctl_register(u, "vlog/set", "{spec | PATTERN:destination:pattern}", 0, UNIXCTL_ARGS_MAX, set, NULL);
}
