/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the first packet of a new flow takes through a switch, while another port may be scanned.
 *
 *   bench_first tx_ns=A tx_if=eth0 rx_ns=B rx_if=eth0 [probes=1000] [gap_us=2000] [scan_ns=C scan_if=eth0
 *               scan_rate=100000] [probe_cpu=N] [scan_cpu=N]
 *
 * Each probe is a frame with a UDP source port and an IPv4 destination that no frame before had, so it is a flow of its
 * own where rules tell these apart. The scan sends `scan_rate` frames a second of which the same is true, in bursts of
 * a millisecond. Prints one JSON object: percentiles in microseconds, how many probes did not come within a second, and
 * how many frames a second the scan really sent.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "frame.h"

#define PATIENCE_MS 1000
#define SPORTS 60000 /* and DIPS have no factor in common: their pairs come again after 60000 * 65537 frames */
#define DIPS 65537

static struct plan plan;
static int scan_tx;
static uint64_t scan_rate;
static unsigned int scan_cpu;
static atomic_ullong scanned;

static void *scan(void *aux)
{
    uint64_t sent = 0;
    double start = now();

    run_on_cpu(scan_cpu);
    for (;;) {
        uint64_t due = (uint64_t)((now() - start) * (double)scan_rate);

        while (sent < due) {
            unsigned int n = due - sent < BATCH ? (unsigned int)(due - sent) : BATCH;

            sent += put_frames(&plan, scan_tx, sent, n);
        }
        atomic_store(&scanned, sent);
        usleep(1000);
    }
    return aux;
}

/* Seconds until frame number I arrives, or a negative number. */
static double probe(int tx, int rx, uint64_t i)
{
    struct pollfd p = {rx, POLLIN, 0};
    uint8_t buf[FRAME_MAX];
    double start = now();

    put_frames(&plan, tx, i, 1);
    while (now() - start < PATIENCE_MS / 1e3) {
        ssize_t n = poll(&p, 1, PATIENCE_MS) > 0 ? recv(rx, buf, sizeof buf, MSG_DONTWAIT) : -1;

        if (n > 0 && frame_index(buf, (size_t)n) == (int64_t)(uint32_t)i) {
            return now() - start;
        }
    }
    return -1;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void start_scan(int argc, char **argv)
{
    pthread_t thread;

    scan_rate = arg_number(argc, argv, "scan_rate", 100000);
    scan_cpu = (unsigned int)arg_number(argc, argv, "scan_cpu", NO_CPU);
    scan_tx = open_packet(arg_text(argc, argv, "scan_ns", NULL), arg_text(argc, argv, "scan_if", NULL), false);
    if (pthread_create(&thread, NULL, scan, NULL)) {
        err(1, "thread");
    }
    usleep(300000); /* the switch has noticed */
}

int main(int argc, char **argv)
{
    uint64_t probes = arg_number(argc, argv, "probes", 1000), gap_us = arg_number(argc, argv, "gap_us", 2000), lost = 0;
    uint64_t n = 0, before;
    double *times = calloc(probes + 1, sizeof *times), start;
    int tx, rx;

    plan = parse_plan(argc, argv);
    plan.sports = SPORTS;
    plan.dips = DIPS;
    rx = open_packet(arg_text(argc, argv, "rx_ns", NULL), arg_text(argc, argv, "rx_if", NULL), true);
    tx = open_packet(arg_text(argc, argv, "tx_ns", NULL), arg_text(argc, argv, "tx_if", NULL), false);
    if (*arg_text(argc, argv, "scan_ns", "")) {
        start_scan(argc, argv);
    }
    run_on_cpu((unsigned int)arg_number(argc, argv, "probe_cpu", NO_CPU));
    before = atomic_load(&scanned);
    start = now();
    for (uint64_t i = 0; i < probes; i++) {
        /* Numbers that the scan is far from, and that runs one after the other do not share. */
        double took = probe(tx, rx, ((uint64_t)getpid() * 100003 + i) & 0xffffffff);

        if (took < 0) {
            lost++;
        } else {
            times[n++] = took * 1e6;
        }
        usleep((useconds_t)gap_us);
    }
    qsort(times, n, sizeof *times, compare);
    printf("{\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f, \"lost\": %llu, \"scanned\": %.0f}\n", times[n / 2],
           times[n * 99 / 100], n ? times[n - 1] : 0, (unsigned long long)lost,
           (double)(atomic_load(&scanned) - before) / (now() - start));
    fflush(stdout);
    _exit(0); /* with the scan */
}
