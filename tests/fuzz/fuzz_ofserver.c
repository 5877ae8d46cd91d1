/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of a bridge's OpenFlow server, over its management socket, and then packets through whatever flows it made.
 *
 * First byte even: the rest is the byte stream. Odd: it is a list of messages, each one byte of type, two of length
 * (cut to what is there) and the body; version (by the next two bits of the first byte), length and xid of the headers
 * are put in, so the connection must live through all of them, and an echo request at the end must be answered.
 */
#include "fuzz.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"
#include "env.h"
#include "openflow/msg.h"
#include "switch/ofserver.h"

#define XID 7
#define ECHO_XID 0x6563686f
#define TURNS_MAX 20000

struct client {
    int fd;
    bool closed, echoed;
    uint8_t version; /* 0: whatever the stream makes of it */
    uint8_t *in;
    size_t in_len, in_allocated;
};

static char dir[64];

static void remove_rundir(void)
{
    rmdir(dir);
}

static const char *rundir(void)
{

    if (!dir[0]) {
        snprintf(dir, sizeof dir, "/tmp/fuzz_ofserver.%d", (int)getpid());
        FUZZ_CHECK(!mkdir(dir, 0700) && !atexit(remove_rundir));
        log_set_level(NULL, LOG_LEVEL_ERR); /* connections come and go */
    }
    return dir;
}

static int open_client(const char *name)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    snprintf(sun.sun_path, sizeof sun.sun_path, "%s/%s.mgmt", rundir(), name);
    FUZZ_CHECK(fd >= 0 && !connect(fd, (const struct sockaddr *)&sun, sizeof sun));
    return fd;
}

/* All that the server says is well formed. */
static void take_messages(struct client *c)
{
    struct of_header h;
    size_t at = 0;

    while (c->in_len - at >= OF_HEADER_LEN) {
        FUZZ_CHECK(!of_header_decode(c->in + at, c->in_len - at, &h));
        FUZZ_CHECK(!c->version || h.version == c->version || h.type == OFT_HELLO);
        if (h.length > c->in_len - at) {
            break;
        }
        if (h.type == OFT_ERROR) {
            FUZZ_CHECK(h.length >= OF_HEADER_LEN + 4);
        }
        c->echoed |= h.type == OFT_ECHO_REPLY && h.xid == ECHO_XID;
        at += h.length;
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
}

static void receive(struct client *c)
{
    ssize_t n;

    do {
        if (c->in_allocated - c->in_len < 65536) {
            c->in_allocated += 262144;
            c->in = xrealloc(c->in, c->in_allocated);
        }
        n = recv(c->fd, c->in + c->in_len, c->in_allocated - c->in_len, 0);
        if (n > 0) {
            c->in_len += (size_t)n;
            take_messages(c);
        }
    } while (n > 0);
    c->closed |= n == 0 || (errno != EAGAIN && errno != EINTR);
}

/* Sends all of W, and listens until the echo is answered or, without one, nothing happens any more. */
static void talk(struct env *e, struct client *c, const struct writer *w, bool echo)
{
    size_t sent = 0;
    unsigned int turns = 0, quiet = 0;

    while (!c->closed && (echo ? !c->echoed : sent < w->len || quiet < 3)) {
        ssize_t n = sent < w->len ? send(c->fd, w->data + sent, w->len - sent, MSG_NOSIGNAL) : 0;
        size_t before = c->in_len;

        sent += n > 0 ? (size_t)n : 0;
        event_base_loop(e->base, EVLOOP_NONBLOCK);
        receive(c);
        quiet = n > 0 || c->in_len != before ? 0 : quiet + 1;
        FUZZ_CHECK(++turns < TURNS_MAX);
    }
    FUZZ_CHECK(!echo || c->echoed);
}

static void put_messages(struct writer *w, uint8_t version, struct reader r)
{
    while (r.left >= 3) {
        uint8_t type = reader_u8(&r);
        size_t len = MIN(reader_u16(&r), OF_MAX_LEN - OF_HEADER_LEN);
        size_t start = w->len;

        writer_u8(w, version);
        writer_u8(w, type);
        writer_u16(w, 0);
        writer_u32(w, XID);
        len = MIN(len, r.left);
        writer_bytes(w, reader_take(&r, len), len);
        of_end(w, start);
    }
    size_t start = of_begin(w, version, OFT_ECHO_REQUEST, ECHO_XID);
    of_end(w, start);
}

/* Packets of several kinds by both ports, the second time by the megaflows that the first made. */
static void send_packets(struct env *e)
{
    for (unsigned int i = 0; i < 2; i++) {
        for (unsigned int in = 2; in <= 3; in++) { /* datapath port 1 is the bridge's own */
            env_in(e, in, env_udp(2, 1, 0));
            env_in(e, in, env_udp(0xff, 1, 5));
            env_in(e, in, env_arp(1, 2, 0));
        }
        event_base_loop(e->base, EVLOOP_NONBLOCK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t versions[] = {OF_VERSION_13, OF_VERSION_10, OF_VERSION_14, OF_VERSION_15};
    struct client c = {0};
    struct ofserver *server;
    struct writer w = {0};
    struct env e;

    if (!size) {
        return 0;
    }
    env_init(&e);
    env_port(e.br, "p1", 1);
    env_access(e.br, "p2", 2, 5);
    FUZZ_CHECK(!ofserver_create(e.br, rundir(), &server));
    c.fd = open_client("br0");
    bool list = data[0] & 1;
    if (list) {
        c.version = versions[data[0] >> 1 & 3];
        of_hello_encode(&w, 1u << c.version, XID);
        put_messages(&w, c.version, reader_of(data + 1, size - 1));
    } else {
        writer_bytes(&w, data + 1, size - 1);
    }
    talk(&e, &c, &w, list);
    send_packets(&e);
    if (!c.closed) {
        receive(&c);
    }
    close(c.fd);
    event_base_loop(e.base, EVLOOP_NONBLOCK);
    ofserver_destroy(server);
    env_done(&e);
    writer_done(&w);
    free(c.in);
    return 0;
}
