/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/stream.h"

static void good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum remote_kind kind;
        bool passive;
        const char *host; /* or path */
        uint16_t port;
    } table[] = {
        {"unix:/run/db.sock", REMOTE_UNIX, false, "/run/db.sock", 0},
        {"punix:db.sock", REMOTE_UNIX, true, "db.sock", 0},
        {"tcp:10.0.0.1:6633", REMOTE_TCP, false, "10.0.0.1", 6633},
        {"tcp:10.0.0.1", REMOTE_TCP, false, "10.0.0.1", 6640},
        {"tcp:[2001:db8::1]:1", REMOTE_TCP, false, "2001:db8::1", 1},
        {"tcp:[::1]", REMOTE_TCP, false, "::1", 6640},
        {"ssl:127.0.0.1:65535", REMOTE_SSL, false, "127.0.0.1", 65535},
        {"ptcp:6633", REMOTE_TCP, true, "0.0.0.0", 6633},
        {"ptcp:", REMOTE_TCP, true, "0.0.0.0", 6640},
        {"ptcp:0:127.0.0.1", REMOTE_TCP, true, "127.0.0.1", 0},
        {"ptcp:6640:[::1]", REMOTE_TCP, true, "::1", 6640},
        {"pssl:6640", REMOTE_SSL, true, "0.0.0.0", 6640},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct remote r;
        char text[108] = "";
        uint16_t port = 0;

        assert_int_equal(remote_parse(table[i].text, 6640, &r, NULL), 0);
        assert_int_equal(r.kind, table[i].kind);
        assert_int_equal(r.passive, table[i].passive);
        if (r.addr.ss_family == AF_UNIX) {
            strcpy(text, ((struct sockaddr_un *)&r.addr)->sun_path);
        } else if (r.addr.ss_family == AF_INET) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)&r.addr)->sin_addr, text, sizeof text);
            port = ntohs(((struct sockaddr_in *)&r.addr)->sin_port);
        } else {
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&r.addr)->sin6_addr, text, sizeof text);
            port = ntohs(((struct sockaddr_in6 *)&r.addr)->sin6_port);
        }
        assert_string_equal(text, table[i].host);
        assert_int_equal(port, table[i].port);
    }
}

static void bad(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } table[] = {
        {"", "must begin"},
        {"udp:1.2.3.4:5", "must begin"},
        {"unix:", "path is missing"},
        {"unix:/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "longer"},
        {"tcp:", "port is missing"},
        {"tcp:host:1", "not an IP address"},
        {"tcp:1.2.3.4", "port is missing"},
        {"tcp:1.2.3.4:0", "1 to 65535"},
        {"tcp:1.2.3.4:65536", "1 to 65535"},
        {"tcp:1.2.3.4:12x", "1 to 65535"},
        {"tcp:1.2.3.4:", "1 to 65535"},
        {"tcp:1.2.3:5", "not an IP address"},
        {"tcp:::1:5", "brackets"},
        {"tcp:[::1:5", "']' is missing"},
        {"tcp:[::1]5", "must follow"},
        {"tcp:[1.2.3.4]:5", "not an IPv6"},
        {"tcp:[]:5", "not an IPv6"},
        {"ptcp:", "port is missing"},
        {"ptcp:x", "0 to 65535"},
        {"ptcp:1:", "must follow"},
        {"ptcp:1:::1", "brackets"},
        {"pssl:1:nowhere", "not an IP address"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct remote r = {.addr_len = 77};
        char *why = NULL;

        assert_int_equal(remote_parse(table[i].text, 0, &r, &why), -EINVAL);
        assert_int_equal(r.addr_len, 77);
        assert_non_null(why);
        if (!strstr(why, table[i].why)) {
            fail_msg("%s: got \"%s\"", table[i].text, why);
        }
        assert_non_null(strstr(why, table[i].text));
        free(why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
