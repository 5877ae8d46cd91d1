/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP and UDP between two network namespaces, as an application would use them.
 *
 *   bench_streams mode=stream|rr|crr|udp_rr client_ns=A server_ns=B server=ADDR [port=5001] [seconds=2] [streams=1]
 *
 * stream: bytes one way as fast as they go; rr: one byte there and one back on one connection; crr: connect, one byte
 * each way, close; udp_rr: rr with datagrams. Prints one JSON object: Gbit/s for stream, transactions a second else.
 * Client and server are threads of one process; a warm-up of a quarter of the time is not counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "common.h"

#define CHUNK (256 * 1024)
#define MAX_STREAMS 64

enum mode { STREAM, RR, CRR, UDP_RR };

static enum mode mode;
static const char *client_ns, *server_ns;
static struct addrinfo *server;
static int listener;
static atomic_bool counting, stop;
static atomic_ullong count; /* bytes or transactions */

static void add(uint64_t n)
{
    if (atomic_load_explicit(&counting, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&count, n, memory_order_relaxed);
    }
}

static void no_delay(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void *serve_one(void *aux)
{
    int fd = (int)(intptr_t)aux;
    char *buf = malloc(CHUNK);
    ssize_t n;

    no_delay(fd);
    while ((n = recv(fd, buf, mode == STREAM ? CHUNK : 1, 0)) > 0) {
        if (mode == STREAM) {
            add((uint64_t)n);
        } else if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n) {
            break;
        }
    }
    close(fd);
    free(buf);
    return NULL;
}

static void *serve(void *aux)
{
    pthread_t thread;

    (void)aux;
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            return NULL; /* closed: the end */
        }
        if (mode == CRR) { /* one byte each way: no thread for that */
            char c;

            no_delay(fd);
            if (recv(fd, &c, 1, 0) == 1) {
                send(fd, &c, 1, MSG_NOSIGNAL);
            }
            recv(fd, &c, 1, 0); /* the client closes first, so that TIME_WAIT is its own */
            close(fd);
        } else if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd)) {
            err(1, "thread");
        } else {
            pthread_detach(thread);
        }
    }
}

static void *serve_udp(void *aux)
{
    struct sockaddr_storage from;
    char c;

    (void)aux;
    for (;;) {
        socklen_t len = sizeof from;

        if (recvfrom(listener, &c, 1, 0, (struct sockaddr *)&from, &len) < 0) {
            return NULL;
        }
        sendto(listener, &c, 1, 0, (struct sockaddr *)&from, len);
    }
}

static int connect_server(void)
{
    int fd = socket(server->ai_family, mode == UDP_RR ? SOCK_DGRAM : SOCK_STREAM, 0);
    struct timeval second = {.tv_sec = 1};

    if (fd < 0 || connect(fd, server->ai_addr, server->ai_addrlen)) {
        err(1, "connect");
    }
    if (mode == UDP_RR) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second); /* a lost datagram ends no run */
    } else {
        no_delay(fd);
    }
    return fd;
}

static bool transact(int fd)
{
    char c = 'x';

    return send(fd, &c, 1, MSG_NOSIGNAL) == 1 && recv(fd, &c, 1, 0) == 1;
}

static void *client(void *aux)
{
    char *buf = calloc(1, CHUNK);
    int fd;

    enter_netns(client_ns);
    fd = mode == CRR ? -1 : connect_server();
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        if (mode == STREAM) {
            if (send(fd, buf, CHUNK, MSG_NOSIGNAL) < 0) {
                err(1, "send");
            }
        } else if (mode == CRR) {
            fd = connect_server();
            if (!transact(fd)) {
                err(1, "transaction");
            }
            close(fd);
            fd = -1;
            add(1);
        } else if (transact(fd)) {
            add(1);
        } else if (mode == RR || (errno != EAGAIN && errno != EINTR)) {
            err(1, "transaction");
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    free(buf);
    return aux;
}

static void listen_at(const char *address, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = mode == UDP_RR ? SOCK_DGRAM : SOCK_STREAM};
    int one = 1, error = getaddrinfo(address, port, &hints, &server);

    if (error) {
        errx(2, "%s: %s", address, gai_strerror(error));
    }
    enter_netns(server_ns);
    listener = socket(server->ai_family, server->ai_socktype, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (listener < 0 || bind(listener, server->ai_addr, server->ai_addrlen) ||
        (mode != UDP_RR && listen(listener, 128))) {
        err(1, "%s port %s", address, port);
    }
}

static enum mode parse_mode(const char *text)
{
    static const char *const names[] = {"stream", "rr", "crr", "udp_rr"};

    for (enum mode m = STREAM; m <= UDP_RR; m++) {
        if (!strcmp(text, names[m])) {
            return m;
        }
    }
    errx(2, "mode=%s is none of stream, rr, crr, udp_rr", text);
}

int main(int argc, char **argv)
{
    double seconds = (double)arg_number(argc, argv, "seconds", 2), start;
    uint64_t streams = arg_number(argc, argv, "streams", 1), got;
    pthread_t clients[MAX_STREAMS], thread;

    mode = parse_mode(arg_text(argc, argv, "mode", "stream"));
    client_ns = arg_text(argc, argv, "client_ns", NULL);
    server_ns = arg_text(argc, argv, "server_ns", NULL);
    if (!streams || streams > MAX_STREAMS) {
        errx(2, "streams must be 1 to %d", MAX_STREAMS);
    }
    listen_at(arg_text(argc, argv, "server", NULL), arg_text(argc, argv, "port", "5001"));
    pthread_create(&thread, NULL, mode == UDP_RR ? serve_udp : serve, NULL);
    for (uint64_t i = 0; i < streams; i++) {
        pthread_create(&clients[i], NULL, client, NULL);
    }
    usleep((useconds_t)(seconds * 250e3));
    start = now();
    atomic_store(&counting, true);
    usleep((useconds_t)(seconds * 1e6));
    atomic_store(&counting, false);
    got = atomic_load(&count);
    printf("{\"rate\": %.3f}\n",
           mode == STREAM ? (double)got * 8 / 1e9 / (now() - start) : (double)got / (now() - start));
    fflush(stdout);
    _exit(0); /* sockets and threads go with the process */
}
