/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "switch/unixctl.h"

static int echo(void *aux WR_UNUSED, size_t n, const char *const *args, struct strbuf *out)
{
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(out, "%s\n", args[i]);
    }
    return n > 1 ? -EINVAL : 0;
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
    char dir[] = "/tmp/unixctl-XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/x.ctl", dir);
    struct event_base *base = event_base_new();
    struct unixctl *u = NULL;
    assert_int_equal(unixctl_create(base, path, &u), 0);
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
    unixctl_destroy(u);
    event_base_free(base);
    assert_int_equal(access(path, F_OK), -1);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_requests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
