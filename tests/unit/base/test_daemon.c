/* SPDX-License-Identifier: Apache-2.0 */
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/daemon.h"

static const struct daemon_option options[] = {
    {"rundir", DAEMON_STRING, "/run/x", "directory"},
    {"host", DAEMON_STRING, NULL, "name", .required = true},
    {"limit", DAEMON_INT, "10", "a number", .min = 1, .max = 100},
    {"l2-population", DAEMON_BOOL, "yes", "on or off"},
    {"datapath", DAEMON_CHOICE, "userspace", "which", .choices = "ebpf|userspace"},
};

/* Runs daemon_init() on ARGS (split at spaces), with stdout and stderr in OUT. */
static int init(struct daemon *d, const char *args, char *out, size_t size)
{
    static char copy[1024];
    char *argv[32] = {"prog"}, *save = NULL;
    int argc = 1;
    FILE *f = tmpfile();
    int old_out = dup(1), old_err = dup(2);

    snprintf(copy, sizeof copy, "%s", args);
    for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
        argv[argc++] = s;
    }
    fflush(stdout);
    dup2(fileno(f), 1);
    dup2(fileno(f), 2);
    int status = daemon_init(d, "prog", "a program", options, ARRAY_SIZE(options), argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    rewind(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    fclose(f);
    return status;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void values(void **state)
{
    (void)state;
    struct daemon d;
    char out[4096];

    assert_int_equal(init(&d, "--host h1 --limit=0x20 --l2-population no", out, sizeof out), DAEMON_GO);
    assert_string_equal(daemon_string(&d, "rundir"), "/run/x");
    assert_string_equal(daemon_string(&d, "host"), "h1");
    assert_int_equal(daemon_int(&d, "limit"), 32);
    assert_false(daemon_bool(&d, "l2-population"));
    assert_string_equal(daemon_string(&d, "datapath"), "userspace");
    assert_true(daemon_is_given(&d, "host"));
    assert_false(daemon_is_given(&d, "rundir"));
    daemon_done(&d);
}

static void a_bool_needs_no_value(void **state)
{
    (void)state;
    struct daemon d;
    char out[4096];

    assert_int_equal(init(&d, "--l2-population --host h", out, sizeof out), DAEMON_GO);
    assert_true(daemon_bool(&d, "l2-population"));
    assert_string_equal(daemon_string(&d, "host"), "h");
    daemon_done(&d);
}

static void flags_win_over_the_file(void **state)
{
    (void)state;
    char path[] = "/tmp/warren-test-ini-XXXXXX", args[256], out[4096];
    struct daemon d;

    close(mkstemp(path));
    write_file(path, "# comment\n[any]\nhost = from-file\nlimit = 7\nl2-population = off\n");
    snprintf(args, sizeof args, "--limit 8 --config %s --datapath ebpf", path);
    assert_int_equal(init(&d, args, out, sizeof out), DAEMON_GO);
    assert_string_equal(daemon_string(&d, "host"), "from-file");
    assert_int_equal(daemon_int(&d, "limit"), 8);
    assert_false(daemon_bool(&d, "l2-population"));
    daemon_done(&d);
    unlink(path);
}

static void bad_input(void **state)
{
    (void)state;
    static const struct {
        const char *args, *says;
    } table[] = {
        {"--host h --nope 1", "\"nope\""},
        {"--host h --nope=1", "\"nope\""},
        {"--host h extra", "\"extra\""},
        {"--host", "needs a value"},
        {"--limit 5", "--host is required"},
        {"--host h --limit 0", "limit is \"0\", must be a number from 1 to 100"},
        {"--host h --limit 101", "from 1 to 100"},
        {"--host h --limit 5x", "must be a whole number"},
        {"--host h --l2-population=maybe", "must be yes or no"},
        {"--host h --datapath e", "must be one of ebpf|userspace"},
        {"--host h --log-level loud", "\"loud\""},
        {"--host h --log-level nomodule:dbg", "\"nomodule\""},
        {"--host h --private-key /x", "need each other"},
        {"--host h --ca-cert /nonexistent.pem", "/nonexistent.pem"},
        {"--host h --config /nonexistent.ini", "/nonexistent.ini"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct daemon d;
        char out[4096];

        assert_int_equal(init(&d, table[i].args, out, sizeof out), 1);
        if (!strstr(out, table[i].says)) {
            fail_msg("%s: got \"%s\"", table[i].args, out);
        }
    }
}

static void bad_file(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } table[] = {
        {"host = h\nunknown-key = 1\n", "unknown-key"},
        {"host = h\nlimit = many\n", "many"},
        {"host = h\nwhat is this\n", "line 2"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char path[] = "/tmp/warren-test-ini-XXXXXX", args[256], out[4096];
        struct daemon d;

        close(mkstemp(path));
        write_file(path, table[i].text);
        snprintf(args, sizeof args, "--config %s", path);
        assert_int_equal(init(&d, args, out, sizeof out), 1);
        assert_non_null(strstr(out, table[i].says));
        assert_non_null(strstr(out, path));
        unlink(path);
    }
}

static void help_and_version(void **state)
{
    (void)state;
    struct daemon d;
    char out[8192];

    assert_int_equal(init(&d, "--help", out, sizeof out), 0);
    assert_non_null(strstr(out, "--l2-population yes|no"));
    assert_non_null(strstr(out, "(default: /run/x)"));
    assert_non_null(strstr(out, "(required)"));
    assert_int_equal(init(&d, "--version", out, sizeof out), 0);
    assert_string_equal(out, "prog " WARREN_VERSION "\n");
}

static void sigterm_ends_the_loop_with_status_0(void **state)
{
    (void)state;
    struct daemon d;
    char out[4096];

    assert_int_equal(init(&d, "--host h", out, sizeof out), DAEMON_GO);
    raise(SIGTERM);
    assert_int_equal(daemon_run(&d), 0);
    daemon_done(&d);
}

/* More ports than the 1024 files that most processes begin with. */
static void as_many_files_as_may_be_had(void **state)
{
    struct rlimit before, limit, after;
    struct daemon d;
    char out[256];

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(init(&d, "--host h", out, sizeof out), DAEMON_GO);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(after.rlim_cur, before.rlim_max);
    daemon_done(&d);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(a_bool_needs_no_value),
        cmocka_unit_test(flags_win_over_the_file),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(bad_file),
        cmocka_unit_test(help_and_version),
        cmocka_unit_test(sigterm_ends_the_loop_with_status_0),
        cmocka_unit_test(as_many_files_as_may_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
