/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "switch/unixctl.h"

LOG_MODULE("test_other");

static int echo(void *aux WR_UNUSED, size_t n, const char *const *args, struct strbuf *out)
{
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(out, "%s\n", args[i]);
    }
    return n > 1 ? -EINVAL : 0;
}

/* A server of its own, in a directory of its own. */
struct server {
    char dir[sizeof "/tmp/unixctl-XXXXXX"], *path;
    struct event_base *base;
    struct unixctl *u;
};

static void server_open(struct server *s)
{
    *s = (struct server){.dir = "/tmp/unixctl-XXXXXX"};
    assert_non_null(mkdtemp(s->dir));
    s->path = xasprintf("%s/x.ctl", s->dir);
    s->base = event_base_new();
    assert_int_equal(unixctl_create(s->base, s->path, &s->u), 0);
}

static void server_close(struct server *s)
{
    unixctl_destroy(s->u);
    event_base_free(s->base);
    assert_int_equal(access(s->path, F_OK), -1);
    rmdir(s->dir);
    free(s->path);
}

static void assert_reply(struct unixctl *u, const char *request, const char *want)
{
    char *reply = NULL;
    assert_int_equal(unixctl_handle(u, request, strlen(request), &reply), strlen(request));
    assert_string_equal(reply, want);
    free(reply);
}

static void test_requests(void **state WR_UNUSED)
{
    struct server server;
    server_open(&server);
    struct unixctl *u = server.u;
    unixctl_register(u, "echo", "WORD...", 0, 2, echo, NULL);

    assert_reply(u, "{\"id\":0,\"method\":\"echo\",\"params\":[\"hi\"]}",
                 "{\"id\":0,\"result\":\"hi\\n\",\"error\":null}");
    assert_reply(u, "{\"id\":7,\"method\":\"echo\",\"params\":[]}", "{\"id\":7,\"result\":\"\",\"error\":null}");
    assert_reply(u, "{\"id\":0,\"method\":\"echo\",\"params\":[\"a\",\"b\"]}",
                 "{\"id\":0,\"result\":null,\"error\":\"a\\nb\\n\"}");
    char *reply = NULL;
    const char *bad[] = {
        "{\"id\":0,\"method\":\"nosuch\",\"params\":[]}",
        "{\"id\":0,\"method\":\"echo\",\"params\":[1]}",
        "{\"id\":0,\"method\":\"echo\",\"params\":[\"1\",\"2\",\"3\"]}",
        "{\"id\":0,\"method\":\"vlog/set\",\"params\":[\"bogus\"]}",
        "{\"id\":0,\"params\":[]}",
        "{}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_true(unixctl_handle(u, bad[i], strlen(bad[i]), &reply) > 0);
        assert_non_null(strstr(reply, "\"result\":null"));
        free(reply);
    }
    assert_reply(u, "{\"id\":0,\"method\":\"vlog/set\",\"params\":[\"unixctl:console:dbg\"]}",
                 "{\"id\":0,\"result\":\"\",\"error\":null}");
    /* Not complete yet; two in one go; no JSON. */
    assert_int_equal(unixctl_handle(u, "{\"id\":0,", 8, &reply), 0);
    const char *two = "{\"id\":1,\"method\":\"echo\",\"params\":[]}{\"id\":2}";
    assert_int_equal(unixctl_handle(u, two, strlen(two), &reply), (long)strlen(two) - 8);
    free(reply);
    assert_int_equal(unixctl_handle(u, "GET / HTTP", 10, &reply), -EBADMSG);
    server_close(&server);
}

static int say_raw(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    /* What the kernel takes for a device's name is any bytes: Latin-1, a lone continuation, a character that is cut. */
    strbuf_add(out, "wan\xe9 \x80 gr\xc3\xbc\xc3\x9f \xe2\x82");
    return 0;
}

/* Texts that are no UTF-8 cannot be JSON as they are. */
static void test_raw_bytes(void **state WR_UNUSED)
{
    struct server server;
    server_open(&server);
    struct unixctl *u = server.u;
    unixctl_register(u, "say-raw", "", 0, 0, say_raw, NULL);
    assert_reply(u, "{\"id\":0,\"method\":\"say-raw\",\"params\":[]}",
                 "{\"id\":0,\"result\":\"wan? ? gr\xc3\xbc\xc3\x9f ??\\n\",\"error\":null}");
    server_close(&server);
}

/* However a request is cut on its way, the beginning is not yet one, and no garbage either. */
static void test_trickle(void **state WR_UNUSED)
{
    static const char request[] = " {\"id\": -1.5e3, \"x\": [null, true, false], \"method\": \"\\u0065cho\", "
                                  "\"params\": [\"gr\xc3\xbc\xc3\x9f }\\\"\"]}";
    struct server server;
    server_open(&server);
    struct unixctl *u = server.u;
    char *reply = NULL;
    unixctl_register(u, "echo", "WORD...", 0, 2, echo, NULL);
    for (size_t n = 0; n < sizeof request - 1; n++) {
        ssize_t used = unixctl_handle(u, request, n, &reply);
        if (used) {
            fail_msg("after %zu bytes: %zd", n, used);
        }
    }
    assert_int_equal(unixctl_handle(u, request, sizeof request - 1, &reply), sizeof request - 1);
    assert_non_null(strstr(reply, "gr\xc3\xbc\xc3\x9f }\\\""));
    free(reply);
    server_close(&server);
}

static const struct log_module *module(const char *name)
{
    const struct log_module *m = log_modules();
    while (m && strcmp(m->name, name) != 0) {
        m = m->next;
    }
    assert_non_null(m);
    return m;
}

/* vlog/set ARGUMENT: 0 and no text, or an error whose text has CULPRIT in it. */
static void vlog(struct unixctl *u, const char *command, const char *argument, const char *culprit)
{
    _cleanup_free_ char *request = xasprintf("{\"id\":0,\"method\":\"vlog/%s\",\"params\":[%s%s%s]}", command,
                                             argument ? "\"" : "", argument ? argument : "", argument ? "\"" : "");
    char *reply = NULL;
    assert_int_equal(unixctl_handle(u, request, strlen(request), &reply), strlen(request));
    if (culprit ? !strstr(reply, culprit) || !strstr(reply, "\"result\":null")
                : strcmp(reply, "{\"id\":0,\"result\":\"\",\"error\":null}") != 0) {
        fail_msg("%s: %s", request, reply);
    }
    free(reply);
}

static void test_vlog(void **state WR_UNUSED)
{
    struct server server;
    server_open(&server);
    struct unixctl *u = server.u;
    const struct log_module *m = module("unixctl"), *other = module("test_other");
    static const struct {
        const char *spec;
        enum log_level level, other;
    } good[] = {
        {"info", LOG_LEVEL_INFO, LOG_LEVEL_INFO},
        {"unixctl", LOG_LEVEL_DBG, LOG_LEVEL_INFO},
        {"unixctl:console:err", LOG_LEVEL_ERR, LOG_LEVEL_INFO},
        {"WARN,UNIXCTL,Console", LOG_LEVEL_WARN, LOG_LEVEL_INFO},
        {"console unixctl off", LOG_LEVEL_OFF, LOG_LEVEL_INFO},
        {"unixctl:emer", LOG_LEVEL_EMER, LOG_LEVEL_INFO},
        {"ANY:ANY:dbg", LOG_LEVEL_DBG, LOG_LEVEL_DBG},
        {"ANY:console:info", LOG_LEVEL_INFO, LOG_LEVEL_INFO},
        {"ANY:file:off", LOG_LEVEL_INFO, LOG_LEVEL_INFO},
        {"console", LOG_LEVEL_DBG, LOG_LEVEL_DBG},
        {"info", LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        vlog(u, "set", good[i].spec, NULL);
        assert_int_equal(m->level, good[i].level);
        assert_int_equal(other->level, good[i].other);
    }
    vlog(u, "set", NULL, NULL);
    assert_int_equal(m->level, LOG_LEVEL_DBG);
    vlog(u, "set", "info", NULL);
    vlog(u, "set", "bogus", "no destination, level, or module \\\"bogus\\\"");
    vlog(u, "set", "unixctl:bogus:dbg", "bogus");
    vlog(u, "set", "unixctl:test_other", "multiple modules");
    vlog(u, "set", "info:dbg", "multiple log levels");
    vlog(u, "set", "console:file", "multiple destinations");
    vlog(u, "set", "ANY:syslog:dbg", "not supported");
    vlog(u, "set", "PATTERN:console:%m", "not supported");
    vlog(u, "set", "FACILITY:daemon", "not supported");
    assert_int_equal(m->level, LOG_LEVEL_INFO);
    vlog(u, "disable-rate-limit", "unixctl", NULL);
    assert_true(m->unlimited && !other->unlimited);
    vlog(u, "disable-rate-limit", NULL, NULL);
    assert_true(other->unlimited);
    vlog(u, "enable-rate-limit", "any", NULL);
    assert_false(m->unlimited || other->unlimited);
    vlog(u, "enable-rate-limit", "bogus", "unknown module");
    vlog(u, "reopen", NULL, NULL);
    vlog(u, "reopen", "x", "takes at most 0 arguments");
    server_close(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_requests), cmocka_unit_test(test_raw_bytes),
                                       cmocka_unit_test(test_trickle), cmocka_unit_test(test_vlog)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
