/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"

#include <event2/event.h>
#include <fcntl.h>
#include <ini.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "base/stream.h"

LOG_MODULE("daemon");

/* In every daemon, behind its own table. */
static const struct daemon_option common_options[] = {
    {"log-level", DAEMON_STRING, NULL, "err, warn, info or dbg, or MODULE:LEVEL; several by comma",
     .argument = "LEVEL"},
    {"private-key", DAEMON_STRING, NULL, "PEM file with the private key for ssl: and pssl: remotes",
     .argument = "FILE"},
    {"certificate", DAEMON_STRING, NULL, "PEM file with the certificate of that key", .argument = "FILE"},
    {"ca-cert", DAEMON_STRING, NULL, "PEM file with the CA that peers' certificates must be signed by",
     .argument = "FILE"},
};
#define N_COMMON ARRAY_SIZE(common_options)

enum source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_FLAG };

struct value {
    const struct daemon_option *option;
    char *text; /* checked; NULL: no value */
    enum source source;
};

struct daemon_private {
    const char *summary;
    struct value *values;
    size_t n_values;
    struct event *sigterm, *sigint;
    int status;
    bool ready;
};

static struct value *find(const struct daemon_private *p, const char *key)
{
    for (size_t i = 0; i < p->n_values; i++) {
        if (!strcmp(p->values[i].option->key, key)) {
            return &p->values[i];
        }
    }
    return NULL;
}

static int parse_int(const char *s, int64_t *ret)
{
    char *end;

    errno = 0;
    long long v = strtoll(s, &end, 0);
    if (errno || end == s || *end) {
        return -EINVAL;
    }
    *ret = v;
    return 0;
}

static int parse_bool(const char *s, bool *ret)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!strcasecmp(s, yes[i]) || !strcasecmp(s, no[i])) {
            *ret = !strcasecmp(s, yes[i]);
            return 0;
        }
    }
    return -EINVAL;
}

static bool is_choice(const char *choices, const char *s)
{
    size_t n = strlen(s);

    for (const char *p = choices; p; p = strchr(p, '|'), p = p ? p + 1 : NULL) {
        if (strcspn(p, "|") == n && !strncmp(p, s, n)) {
            return true;
        }
    }
    return false;
}

/* NULL if TEXT is good for OPTION, else what it should be (the caller's). */
static char *check(const struct daemon_option *o, const char *text)
{
    int64_t i;
    bool b;

    switch (o->type) {
    case DAEMON_STRING:
        return NULL;
    case DAEMON_INT:
        if (parse_int(text, &i)) {
            return xstrdup("a whole number");
        }
        if ((o->min || o->max) && (i < o->min || i > o->max)) {
            return xasprintf("a number from %lld to %lld", (long long)o->min, (long long)o->max);
        }
        return NULL;
    case DAEMON_BOOL:
        return parse_bool(text, &b) ? xstrdup("yes or no") : NULL;
    case DAEMON_CHOICE:
        return is_choice(o->choices, text) ? NULL : xasprintf("one of %s", o->choices);
    }
    return xstrdup("of a known type");
}

/* WHERE: "command line" or the file and line, for the message. */
static int set(struct daemon *d, const char *where, const char *key, const char *text, enum source source)
{
    struct value *v = find(d->private, key);

    if (!v) {
        fprintf(stderr, "%s: %s: unknown option \"%s\" (see --help)\n", d->name, where, key);
        return -EINVAL;
    }
    _cleanup_free_ char *wanted = check(v->option, text);
    if (wanted) {
        fprintf(stderr, "%s: %s: %s is \"%s\", must be %s\n", d->name, where, key, text, wanted);
        return -EINVAL;
    }
    if (v->source <= source) {
        free(v->text);
        v->text = xstrdup(text);
        v->source = source;
    }
    return 0;
}

static const char *type_word(const struct daemon_option *o)
{
    return o->argument              ? o->argument
           : o->choices             ? o->choices
           : o->type == DAEMON_INT  ? "N"
           : o->type == DAEMON_BOOL ? "yes|no"
                                    : "TEXT";
}

static void print_help(const struct daemon *d)
{
    const struct daemon_private *p = d->private;

    printf("%s: %s\n\nusage: %s [OPTION]...\n\n", d->name, p->summary, d->name);
    for (size_t i = 0; i < p->n_values; i++) {
        const struct daemon_option *o = p->values[i].option;

        printf("  --%s %s\n        %s", o->key, type_word(o), o->help);
        if (o->def) {
            printf(" (default: %s)", o->def);
        } else if (o->required) {
            printf(" (required)");
        }
        printf("\n");
    }
    printf("  --config FILE\n        INI file with the same keys (KEY = VALUE); flags win over it\n"
           "  --help\n  --version\n");
}

struct ini_context {
    struct daemon *d;
    const char *file;
    int error;
};

static int on_ini(void *arg, const char *section WR_UNUSED, const char *key, const char *text)
{
    struct ini_context *c = arg;

    if (!text) {
        fprintf(stderr, "%s: %s: %s has no value\n", c->d->name, c->file, key);
        c->error = -EINVAL;
    } else if (set(c->d, c->file, key, text, SOURCE_FILE)) {
        c->error = -EINVAL;
    }
    return !c->error;
}

static int read_ini(struct daemon *d, const char *file)
{
    struct ini_context c = {.d = d, .file = file};
    int line = ini_parse(file, on_ini, &c);

    if (line < 0) {
        fprintf(stderr, "%s: %s: cannot read the file: %s\n", d->name, file, strerror(errno));
        return -EINVAL;
    }
    if (line > 0 && !c.error) {
        fprintf(stderr, "%s: %s: line %d is neither KEY = VALUE nor [SECTION] nor a comment\n", d->name, file, line);
        return -EINVAL;
    }
    return c.error;
}

/* One flag at argv[*I], which moves on over its value. DAEMON_GO, or the status to exit with. */
static int parse_flag(struct daemon *d, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];

    if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
        print_help(d);
        return 0;
    }
    if (!strcmp(arg, "--version") || !strcmp(arg, "-V")) {
        printf("%s %s\n", d->name, WARREN_VERSION);
        return 0;
    }
    if (strncmp(arg, "--", 2) || !arg[2]) {
        fprintf(stderr, "%s: unexpected argument \"%s\" (see --help)\n", d->name, arg);
        return 1;
    }
    _cleanup_free_ char *key = xstrdup(arg + 2);
    char *equal = strchr(key, '=');
    const char *text = NULL;
    if (equal) {
        *equal = '\0';
        text = equal + 1;
    }
    bool is_config = !strcmp(key, "config");
    const struct value *v = is_config ? NULL : find(d->private, key);
    bool has_next = *i + 1 < argc;
    if (!text && v && v->option->type == DAEMON_BOOL) {
        bool unused;
        text = has_next && !parse_bool(argv[*i + 1], &unused) ? argv[++*i] : "yes";
    } else if (!text && (is_config || v)) {
        if (!has_next) {
            fprintf(stderr, "%s: --%s needs a value\n", d->name, key);
            return 1;
        }
        text = argv[++*i];
    }
    int error = is_config ? read_ini(d, text) : set(d, "command line", key, text ? text : "", SOURCE_FLAG);
    return error ? 1 : DAEMON_GO;
}

static int apply_log_levels(struct daemon *d, const char *list)
{
    _cleanup_free_ char *copy = xstrdup(list);
    char *save = NULL;

    for (char *item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
        char *colon = strchr(item, ':');
        const char *module = colon ? item : NULL;
        if (colon) {
            *colon = '\0';
        }
        enum log_level level = log_level_parse(colon ? colon + 1 : item);
        if (level == LOG_LEVEL_INVALID) {
            fprintf(stderr, "%s: log-level: \"%s\" is not err, warn, info or dbg\n", d->name, colon ? colon + 1 : item);
            return -EINVAL;
        }
        if (log_set_level(module, level)) {
            fprintf(stderr, "%s: log-level: there is no module \"%s\"\n", d->name, module);
            return -EINVAL;
        }
    }
    return 0;
}

static int apply_common(struct daemon *d)
{
    const char *levels = daemon_string(d, "log-level"), *key = daemon_string(d, "private-key"),
               *cert = daemon_string(d, "certificate"), *ca = daemon_string(d, "ca-cert");
    _cleanup_free_ char *why = NULL;

    if (levels && apply_log_levels(d, levels)) {
        return -EINVAL;
    }
    if (!key != !cert) {
        fprintf(stderr, "%s: private-key and certificate need each other\n", d->name);
        return -EINVAL;
    }
    if ((key || ca) && stream_set_tls(key, cert, ca, &why)) {
        fprintf(stderr, "%s: %s\n", d->name, why ? why : "cannot set up TLS");
        return -EINVAL;
    }
    return 0;
}

static int parse(struct daemon *d, int argc, char **argv)
{
    struct daemon_private *p = d->private;
    int status = DAEMON_GO;

    for (int i = 1; i < argc && status == DAEMON_GO; i++) {
        status = parse_flag(d, argc, argv, &i);
    }
    for (size_t i = 0; i < p->n_values && status == DAEMON_GO; i++) {
        const struct value *v = &p->values[i];
        if (v->option->required && !v->text) {
            fprintf(stderr, "%s: --%s is required (see --help)\n", d->name, v->option->key);
            status = 1;
        }
    }
    return status != DAEMON_GO ? status : apply_common(d) ? 1 : DAEMON_GO;
}

static void on_signal(evutil_socket_t sig, short what WR_UNUSED, void *arg)
{
    struct daemon *d = arg;

    log_info("signal %d: leaving", (int)sig);
    daemon_exit(d, 0);
}

static int add_signal(struct daemon *d, int sig, struct event **ret)
{
    *ret = evsignal_new(d->base, sig, on_signal, d);
    return *ret && !event_add(*ret, NULL) ? 0 : -ENOMEM;
}

/* As many files as may be had: sockets of ports, connections and bridges are many more than the 1024 that a shell or
 * systemd begins with for the sake of programs that use select(). */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= limit.rlim_max) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit)) {
        log_warn("cannot have more than the present number of open files: %s", strerror(errno));
    }
}

int daemon_init(struct daemon *d, const char *name, const char *summary, const struct daemon_option *options,
                size_t n_options, int argc, char **argv)
{
    struct daemon_private *p = xcalloc(1, sizeof *p);

    *d = (struct daemon){.name = name, .private = p};
    p->summary = summary;
    p->n_values = n_options + N_COMMON;
    p->values = xcalloc(p->n_values, sizeof *p->values);
    for (size_t i = 0; i < p->n_values; i++) {
        p->values[i].option = i < n_options ? &options[i] : &common_options[i - n_options];
        if (p->values[i].option->def) {
            p->values[i].text = xstrdup(p->values[i].option->def);
        }
    }
    int status = parse(d, argc, argv);
    if (status != DAEMON_GO) {
        daemon_done(d);
        return status;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    d->base = event_base_new();
    if (!d->base || add_signal(d, SIGTERM, &p->sigterm) || add_signal(d, SIGINT, &p->sigint)) {
        log_err("cannot make the event loop");
        daemon_done(d);
        return 1;
    }
    return DAEMON_GO;
}

static const struct value *get(const struct daemon *d, const char *key, enum daemon_option_type type)
{
    const struct value *v = find(d->private, key);

    if (!v || (v->option->type != type && !(type == DAEMON_STRING && v->option->type == DAEMON_CHOICE))) {
        log_err("bug: there is no option \"%s\" of this type", key);
        abort();
    }
    return v;
}

const char *daemon_string(const struct daemon *d, const char *key)
{
    return get(d, key, DAEMON_STRING)->text;
}

int64_t daemon_int(const struct daemon *d, const char *key)
{
    const struct value *v = get(d, key, DAEMON_INT);
    int64_t i = 0;

    if (v->text) {
        parse_int(v->text, &i);
    }
    return i;
}

bool daemon_bool(const struct daemon *d, const char *key)
{
    const struct value *v = get(d, key, DAEMON_BOOL);
    bool b = false;

    if (v->text) {
        parse_bool(v->text, &b);
    }
    return b;
}

bool daemon_is_given(const struct daemon *d, const char *key)
{
    const struct value *v = find(d->private, key);

    return v && v->source != SOURCE_DEFAULT;
}

/* systemd's protocol: a datagram to the socket that it names; '@' in front stands for the abstract namespace. */
static void notify_systemd(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sun = {.sun_family = AF_UNIX};

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof sun.sun_path) {
        return;
    }
    memcpy(sun.sun_path, path, strlen(path));
    if (path[0] == '@') {
        sun.sun_path[0] = '\0';
    }
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&sun, len) < 0) {
        log_warn("cannot notify systemd at %s: %s", path, strerror(errno));
    }
}

void daemon_ready(struct daemon *d)
{
    if (!d->private->ready) {
        d->private->ready = true;
        puts("ready");
        fflush(stdout);
        notify_systemd("READY=1");
    }
}

int daemon_run(struct daemon *d)
{
    if (event_base_dispatch(d->base) < 0) {
        log_err("the event loop failed");
        return 1;
    }
    if (d->private->ready) {
        notify_systemd("STOPPING=1");
    }
    return d->private->status;
}

void daemon_exit(struct daemon *d, int status)
{
    d->private->status = status;
    event_base_loopbreak(d->base);
}

void daemon_done(struct daemon *d)
{
    struct daemon_private *p = d->private;

    if (!p) {
        return;
    }
    if (p->sigterm) {
        event_free(p->sigterm);
    }
    if (p->sigint) {
        event_free(p->sigint);
    }
    if (d->base) {
        event_base_free(d->base);
    }
    for (size_t i = 0; i < p->n_values; i++) {
        free(p->values[i].text);
    }
    free(p->values);
    free(p);
    d->private = NULL;
    d->base = NULL;
}
