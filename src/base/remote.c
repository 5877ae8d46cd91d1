/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of remotes (base/stream.h): text to socket address. No sockets here. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/stream.h"

static const struct {
    const char *prefix;
    enum remote_kind kind;
    bool passive;
} methods[] = {
    {"unix:", REMOTE_UNIX, false}, {"tcp:", REMOTE_TCP, false}, {"ssl:", REMOTE_SSL, false},
    {"punix:", REMOTE_UNIX, true}, {"ptcp:", REMOTE_TCP, true}, {"pssl:", REMOTE_SSL, true},
};

static int parse_unix(const char *path, struct remote *r, const char **why)
{
    struct sockaddr_un *sun = (struct sockaddr_un *)&r->addr;
    size_t len = strlen(path);

    if (!len) {
        *why = "the path is missing";
        return -EINVAL;
    }
    if (len >= sizeof sun->sun_path) {
        *why = "the path is longer than the 107 bytes that a unix socket can have";
        return -EINVAL;
    }
    sun->sun_family = AF_UNIX;
    memcpy(sun->sun_path, path, len + 1);
    r->addr_len = sizeof *sun;
    return 0;
}

static int parse_port(const char *s, uint16_t lowest, uint16_t *ret)
{
    unsigned int v = 0;

    if (!*s) {
        return -EINVAL;
    }
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || (v = v * 10 + (unsigned int)(*s - '0')) > 65535) {
            return -EINVAL;
        }
    }
    if (v < lowest) {
        return -EINVAL;
    }
    *ret = (uint16_t)v;
    return 0;
}

static int set_ipv6(struct remote *r, char *text, uint16_t port)
{
    struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&r->addr;
    char *scope = strchr(text, '%');

    if (scope) {
        *scope++ = '\0';
        sin6->sin6_scope_id = if_nametoindex(scope);
        if (!sin6->sin6_scope_id) {
            return -EINVAL;
        }
    }
    if (inet_pton(AF_INET6, text, &sin6->sin6_addr) != 1) {
        return -EINVAL;
    }
    sin6->sin6_family = AF_INET6;
    sin6->sin6_port = htons(port);
    r->addr_len = sizeof *sin6;
    return 0;
}

static int set_ipv4(struct remote *r, const char *text, uint16_t port)
{
    struct sockaddr_in *sin = (struct sockaddr_in *)&r->addr;

    if (inet_pton(AF_INET, text, &sin->sin_addr) != 1) {
        return -EINVAL;
    }
    sin->sin_family = AF_INET;
    sin->sin_port = htons(port);
    r->addr_len = sizeof *sin;
    return 0;
}

/* HOST is "1.2.3.4" or "[::1]"; it is cut up. */
static int set_host(struct remote *r, char *host, uint16_t port, const char **why)
{
    size_t len = strlen(host);

    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        *why = "not an IPv6 address between the brackets";
        return set_ipv6(r, host + 1, port);
    }
    *why = strchr(host, ':') ? "an IPv6 address needs brackets: [ADDR]" : "not an IP address (names are not resolved)";
    return set_ipv4(r, host, port);
}

static int parse_active(char *text, uint16_t default_port, struct remote *r, const char **why)
{
    char *host_end = text[0] == '[' ? strchr(text, ']') : strchr(text, ':');
    uint16_t port = default_port;

    if (text[0] == '[' && !host_end) {
        *why = "']' is missing";
        return -EINVAL;
    }
    char *colon = !host_end ? NULL : *host_end == ']' ? host_end + 1 : host_end;
    if (colon && *colon) {
        if (*colon != ':') {
            *why = "a ':' and the port must follow ']'";
            return -EINVAL;
        }
        if (text[0] != '[' && strchr(colon + 1, ':')) {
            *why = "an IPv6 address needs brackets: [ADDR]";
            return -EINVAL;
        }
        if (parse_port(colon + 1, 1, &port)) {
            *why = "the port is not a number from 1 to 65535";
            return -EINVAL;
        }
        *colon = '\0';
    }
    if (!port) {
        *why = "the port is missing";
        return -EINVAL;
    }
    return set_host(r, text, port, why);
}

static int parse_passive(char *text, uint16_t default_port, struct remote *r, const char **why)
{
    char *colon = strchr(text, ':');
    uint16_t port = default_port;

    if (colon) {
        *colon = '\0';
    }
    if (*text ? parse_port(text, 0, &port) : !default_port) {
        *why = *text ? "the port is not a number from 0 to 65535" : "the port is missing";
        return -EINVAL;
    }
    if (colon && !colon[1]) {
        *why = "an address must follow the second ':'";
        return -EINVAL;
    }
    return colon ? set_host(r, colon + 1, port, why) : set_ipv4(r, "0.0.0.0", port);
}

int remote_parse(const char *s, uint16_t default_port, struct remote *ret, char **ret_error)
{
    struct remote r = {0};
    const char *why = "must begin with unix:, tcp:, ssl:, punix:, ptcp: or pssl:";
    int error = -EINVAL;

    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        size_t n = strlen(methods[i].prefix);

        if (strncmp(s, methods[i].prefix, n)) {
            continue;
        }
        r.kind = methods[i].kind;
        r.passive = methods[i].passive;
        _cleanup_free_ char *rest = xstrdup(s + n);
        error = r.kind == REMOTE_UNIX ? parse_unix(rest, &r, &why)
                : r.passive           ? parse_passive(rest, default_port, &r, &why)
                                      : parse_active(rest, default_port, &r, &why);
        break;
    }
    if (error) {
        if (ret_error) {
            *ret_error = xasprintf("remote \"%s\": %s", s, why);
        }
        return error;
    }
    *ret = r;
    return 0;
}

/* A socket that only bind()s, with the option that listeners use, is in the way of none, and finds those that listen.
 */
int remote_check_listener(const struct remote *remote)
{
    const struct sockaddr *addr = (const struct sockaddr *)&remote->addr;
    _cleanup_close_ int fd = socket(remote->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0) {
        return -errno;
    }
    if (remote->kind == REMOTE_UNIX) {
        return connect(fd, addr, remote->addr_len) ? -errno : 0;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) {
        return -errno;
    }
    if (!bind(fd, addr, remote->addr_len)) {
        return -ENOENT;
    }
    return errno == EADDRINUSE ? 0 : -errno;
}
