/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends small frames into one interface and counts what comes out of another, both in network namespaces.
 *
 *   bench_frames tx_ns=A tx_if=eth0 rx_ns=B rx_if=eth0 count=N window=W [FRAMES]
 *   bench_frames pair=TX_NS,TX_IF,RX_NS,RX_IF,SMAC,DMAC... [turns=20] [turn_ms=100] [settle_ms=30] [tx_cpu=N]
 * [rx_cpu=N] [FRAMES]
 *
 * FRAMES: [size=60] [vlan=0] [smac=02:..] [smacs=1] [dmac=02:..] [dmacs=1] [sports=1] [dips=1], see frame.h.
 *
 * With `window` there are never more than W frames on the way (a switch that needs time for each new flow loses none).
 * Pairs send as fast as the kernel takes frames, in turn as bench_streams' do; what counts is what arrives within the
 * turn. Prints one JSON object.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "frame.h"
#include "turns.h"

#define LOST_AFTER 0.25 /* seconds without a frame: what is on the way will not come */
#define EMPTY_US 20000  /* of a pair whose turn is over */

struct pair {
    int tx, rx;
    uint8_t smac[6], dmac[6];
    uint64_t sent;
};

static struct plan plan;
static struct pair pairs[TURNS_MAX_PAIRS];
static unsigned int rx_cpu;
static atomic_int receiving; /* the socket */
static atomic_ullong received;

/* Returns how many of our frames came. Waits at most WAIT_MS for the first. */
static unsigned int take(int rx, int wait_ms)
{
    static uint8_t buf[BATCH][FRAME_MAX];
    struct mmsghdr msgs[BATCH] = {0};
    struct iovec iov[BATCH];
    struct pollfd p = {rx, POLLIN, 0};
    unsigned int ours = 0;
    int n;

    if (wait_ms && poll(&p, 1, wait_ms) <= 0) {
        return 0;
    }
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){buf[i], FRAME_MAX};
        msgs[i].msg_hdr.msg_iov = &iov[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
    n = recvmmsg(rx, msgs, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        ours += frame_index(buf[i], msgs[i].msg_len) >= 0;
    }
    return ours;
}

static void run_window(int tx, int rx, uint64_t count, uint64_t window)
{
    uint64_t sent = 0, got = 0, lost = 0;
    double start = now(), last = start;

    while (got + lost < count) {
        uint64_t room = window - (sent - got - lost), left = count - sent;
        unsigned int n = (unsigned int)(room < left ? room : left);

        if (n) {
            sent += put_frames(&plan, tx, sent, n < BATCH ? n : BATCH);
        }
        n = take(rx, room && left ? 0 : 20);
        got += n;
        if (n) {
            last = now();
        } else if (now() - last > LOST_AFTER && sent - got - lost) {
            lost = sent - got;
            last = now();
        }
    }
    printf("{\"sent\": %llu, \"received\": %llu, \"seconds\": %.6f, \"rate\": %.1f}\n", (unsigned long long)sent,
           (unsigned long long)got, last - start, (double)got / (last - start));
}

static void *count_received(void *aux)
{
    run_on_cpu(rx_cpu);
    for (;;) {
        atomic_fetch_add(&received, take(atomic_load(&receiving), 5));
    }
    return aux;
}

static void send_for(struct pair *p, unsigned int us)
{
    double end = now() + us / 1e6;

    while (now() < end) {
        p->sent += put_frames(&plan, p->tx, p->sent, BATCH);
    }
}

static double take_turn(unsigned int i, unsigned int settle_us, unsigned int turn_us)
{
    struct pair *p = &pairs[i];
    uint64_t first, got, before;
    double start, seconds;

    memcpy(plan.smac, p->smac, 6);
    memcpy(plan.dmac, p->dmac, 6);
    atomic_store(&receiving, p->rx);
    send_for(p, settle_us);
    first = atomic_load(&received);
    start = now();
    send_for(p, turn_us);
    got = atomic_load(&received) - first;
    seconds = now() - start;
    do { /* what is still on the way must not disturb the next */
        before = atomic_load(&received);
        usleep(EMPTY_US);
    } while (atomic_load(&received) != before);
    return (double)got / seconds;
}

static void open_pair(struct pair *p, char *text)
{
    const char *tx_ns = next_word(&text), *tx_if = next_word(&text), *rx_ns = next_word(&text),
               *rx_if = next_word(&text);

    parse_mac(next_word(&text), p->smac);
    parse_mac(next_word(&text), p->dmac);
    p->rx = open_packet(rx_ns, rx_if, true);
    p->tx = open_packet(tx_ns, tx_if, false);
}

static void run_turns(int argc, char **argv)
{
    pthread_t thread;
    unsigned int n = 0;

    for (char *text; (text = pair_text(argc, argv, n)); n++) {
        open_pair(&pairs[n], text);
    }
    atomic_store(&receiving, pairs[0].rx);
    rx_cpu = (unsigned int)arg_number(argc, argv, "rx_cpu", NO_CPU);
    if (pthread_create(&thread, NULL, count_received, NULL)) {
        err(1, "thread");
    }
    run_on_cpu((unsigned int)arg_number(argc, argv, "tx_cpu", NO_CPU));
    take_turns(argc, argv, n, take_turn);
    fflush(stdout);
    _exit(0); /* with the thread */
}

int main(int argc, char **argv)
{
    uint64_t window = arg_number(argc, argv, "window", 0);
    int tx, rx;

    plan = parse_plan(argc, argv);
    if (!window) {
        run_turns(argc, argv);
    }
    rx = open_packet(arg_text(argc, argv, "rx_ns", NULL), arg_text(argc, argv, "rx_if", NULL), true);
    tx = open_packet(arg_text(argc, argv, "tx_ns", NULL), arg_text(argc, argv, "tx_if", NULL), false);
    run_window(tx, rx, arg_number(argc, argv, "count", 10000), window);
    return 0;
}
