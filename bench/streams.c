/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP and UDP between network namespaces, as an application would use them, over several ways in turn.
 *
 *   bench_streams mode=stream|rr|crr|udp_rr pair=CLIENT_NS,SERVER_NS,ADDR... [streams=1] [turns=20] [turn_ms=100]
 *                 [settle_ms=30] [client_cpu=N] [server_cpu=N] [port=5001]
 *
 * stream: bytes one way as fast as they go; rr: one byte there and one back on one connection; crr: connect, one byte
 * each way, close; udp_rr: rr with datagrams. One pair works at a time: in each round every pair has one turn, in an
 * order drawn anew, so that a machine that drifts within seconds moves all of them alike. Each turn makes its
 * connections anew, so that none keeps the window that an unlucky moment left it; it is counted when `settle_ms` of it
 * are over, and the next begins when all that was sent has arrived. Prints one JSON object: for each pair its turns, in
 * Gbit/s for stream, in transactions a second else.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common.h"
#include "turns.h"

#define CHUNK (256 * 1024)
#define MAX_STREAMS 64

enum mode { STREAM, RR, CRR, UDP_RR };

struct pair {
    const char *client_ns, *server_ns;
    struct addrinfo *server;
    int listener;
    atomic_ullong count;  /* bytes or transactions */
    atomic_bool turn;     /* its own */
    unsigned int working; /* its clients that do not wait for their turn; under `lock` */
};

static enum mode mode;
static unsigned int client_cpu, server_cpu;
static struct pair pairs[TURNS_MAX_PAIRS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

struct connection {
    struct pair *pair;
    int fd;
};

static void add(struct pair *p, uint64_t n)
{
    atomic_fetch_add_explicit(&p->count, n, memory_order_relaxed);
}

/* TCP's paces nothing, whatever congestion control the kernel was built to begin with: under BBR a stream's rate is what
 * its model and the processor's timers make of the way. */
static int new_socket(int family)
{
    static const char cubic[] = "cubic";
    int fd = socket(family, mode == UDP_RR ? SOCK_DGRAM : SOCK_STREAM, 0);

    if (fd >= 0 && mode != UDP_RR && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cubic, sizeof cubic - 1)) {
        err(1, "congestion control %s", cubic);
    }
    return fd;
}

static void no_delay(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void start_thread(void *(*function)(void *), void *aux)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, function, aux)) {
        err(1, "thread");
    }
    pthread_detach(thread);
}

static void *serve_one(void *aux)
{
    struct connection *c = aux;
    char *buf = malloc(CHUNK);
    ssize_t n;

    no_delay(c->fd);
    while ((n = recv(c->fd, buf, mode == STREAM ? CHUNK : 1, 0)) > 0) {
        if (mode == STREAM) {
            add(c->pair, (uint64_t)n);
        } else if (send(c->fd, buf, (size_t)n, MSG_NOSIGNAL) != n) {
            break;
        }
    }
    close(c->fd);
    free(buf);
    free(c);
    return NULL;
}

/* One byte each way: no thread for that. The client closes first, so that TIME_WAIT is its own. */
static void serve_crr(int fd)
{
    char c;

    no_delay(fd);
    if (recv(fd, &c, 1, 0) == 1) {
        send(fd, &c, 1, MSG_NOSIGNAL);
    }
    recv(fd, &c, 1, 0);
    close(fd);
}

static void *serve(void *aux)
{
    struct pair *p = aux;

    run_on_cpu(server_cpu); /* as do the threads that it starts */
    for (;;) {
        int fd = accept(p->listener, NULL, NULL);
        struct connection *c;

        if (fd < 0) {
            err(1, "accept");
        }
        if (mode == CRR) {
            serve_crr(fd);
            continue;
        }
        c = malloc(sizeof *c);
        *c = (struct connection){p, fd};
        start_thread(serve_one, c);
    }
}

static void *serve_udp(void *aux)
{
    struct pair *p = aux;
    struct sockaddr_storage from;
    char c;

    run_on_cpu(server_cpu);
    for (;;) {
        socklen_t len = sizeof from;

        if (recvfrom(p->listener, &c, 1, 0, (struct sockaddr *)&from, &len) < 0) {
            err(1, "recvfrom");
        }
        sendto(p->listener, &c, 1, 0, (struct sockaddr *)&from, len);
    }
}

static int connect_server(const struct pair *p)
{
    int fd = new_socket(p->server->ai_family);
    struct timeval second = {.tv_sec = 1};

    if (fd < 0 || connect(fd, p->server->ai_addr, p->server->ai_addrlen)) {
        err(1, "%s: connect", p->client_ns);
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

static void wait_for_turn(struct pair *p)
{
    pthread_mutex_lock(&lock);
    p->working--;
    pthread_cond_broadcast(&changed);
    while (!atomic_load(&p->turn)) {
        pthread_cond_wait(&changed, &lock);
    }
    p->working++;
    pthread_mutex_unlock(&lock);
}

/* Until all that was sent has been acknowledged. */
static void wait_sent(int fd)
{
    int left;

    while (mode == STREAM && !ioctl(fd, SIOCOUTQ, &left) && left) {
        usleep(500);
    }
}

static void work(struct pair *p, int fd, char *buf)
{
    if (mode == STREAM) {
        if (send(fd, buf, CHUNK, MSG_NOSIGNAL) < 0) {
            err(1, "%s: send", p->client_ns);
        }
    } else if (mode == CRR) {
        fd = connect_server(p);
        if (!transact(fd)) {
            err(1, "%s: transaction", p->client_ns);
        }
        close(fd);
        add(p, 1);
    } else if (transact(fd)) {
        add(p, 1);
    } else if (mode == RR || (errno != EAGAIN && errno != EINTR)) {
        err(1, "%s: transaction", p->client_ns);
    }
}

static void *client(void *aux)
{
    struct pair *p = aux;
    char *buf = calloc(1, CHUNK);
    int fd;

    enter_netns(p->client_ns);
    run_on_cpu(client_cpu);
    for (;;) {
        wait_for_turn(p);
        fd = mode == CRR ? -1 : connect_server(p);
        while (atomic_load_explicit(&p->turn, memory_order_relaxed)) {
            work(p, fd, buf);
        }
        if (fd >= 0) {
            wait_sent(fd);
            close(fd);
        }
    }
    return NULL;
}

static void listen_at(struct pair *p, const char *address, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = mode == UDP_RR ? SOCK_DGRAM : SOCK_STREAM};
    int one = 1, error = getaddrinfo(address, port, &hints, &p->server);

    if (error) {
        errx(2, "%s: %s", address, gai_strerror(error));
    }
    enter_netns(p->server_ns);
    p->listener = new_socket(p->server->ai_family);
    setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (p->listener < 0 || bind(p->listener, p->server->ai_addr, p->server->ai_addrlen) ||
        (mode != UDP_RR && listen(p->listener, 128))) {
        err(1, "%s port %s", address, port);
    }
}

static void set_turn(unsigned int i, bool turn)
{
    struct pair *p = &pairs[i];

    pthread_mutex_lock(&lock);
    atomic_store(&p->turn, turn);
    pthread_cond_broadcast(&changed);
    while (!turn && p->working) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static double take_turn(unsigned int i, unsigned int settle_us, unsigned int turn_us)
{
    struct pair *p = &pairs[i];
    uint64_t first, got;
    double start, seconds;

    set_turn(i, true);
    usleep(settle_us);
    first = atomic_load(&p->count);
    start = now();
    usleep(turn_us);
    got = atomic_load(&p->count) - first;
    seconds = now() - start;
    set_turn(i, false);
    return mode == STREAM ? (double)got * 8 / 1e9 / seconds : (double)got / seconds;
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

static void start_pair(struct pair *p, char *text, uint64_t streams, const char *port)
{
    p->client_ns = next_word(&text);
    p->server_ns = next_word(&text);
    listen_at(p, next_word(&text), port);
    start_thread(mode == UDP_RR ? serve_udp : serve, p);
    p->working = (unsigned int)streams;
    for (uint64_t i = 0; i < streams; i++) {
        start_thread(client, p);
    }
    set_turn((unsigned int)(p - pairs), false); /* returns when all wait */
}

int main(int argc, char **argv)
{
    uint64_t streams = arg_number(argc, argv, "streams", 1);
    unsigned int n = 0;

    mode = parse_mode(arg_text(argc, argv, "mode", "stream"));
    client_cpu = (unsigned int)arg_number(argc, argv, "client_cpu", NO_CPU);
    server_cpu = (unsigned int)arg_number(argc, argv, "server_cpu", NO_CPU);
    if (!streams || streams > MAX_STREAMS) {
        errx(2, "streams must be 1 to %d", MAX_STREAMS);
    }
    for (char *text; (text = pair_text(argc, argv, n)); n++) {
        start_pair(&pairs[n], text, streams, arg_text(argc, argv, "port", "5001"));
    }
    take_turns(argc, argv, n, take_turn);
    fflush(stdout);
    _exit(0); /* sockets and threads go with the process */
}
