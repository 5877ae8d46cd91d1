/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BENCH_COMMON_H
#define WARREN_BENCH_COMMON_H
/* What the load generators share: KEY=VALUE arguments, network namespaces by name, the clock, and giving up. */
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline const char *arg_text(int argc, char **argv, const char *key, const char *otherwise)
{
    size_t n = strlen(key);

    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], key, n) && argv[i][n] == '=') {
            return argv[i] + n + 1;
        }
    }
    if (!otherwise) {
        errx(2, "%s=... is needed", key);
    }
    return otherwise;
}

static inline uint64_t arg_number(int argc, char **argv, const char *key, uint64_t otherwise)
{
    const char *text = arg_text(argc, argv, key, "");
    char *end;
    uint64_t n;

    if (!*text) {
        return otherwise;
    }
    n = strtoull(text, &end, 0);
    if (*end) {
        errx(2, "%s=%s is not a number", key, text);
    }
    return n;
}

/* The calling thread goes there: what it opens next belongs to NAME. */
static inline void enter_netns(const char *name)
{
    char path[256];
    int fd;

    snprintf(path, sizeof path, "/run/netns/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET)) {
        err(1, "%s", path);
    }
    close(fd);
}

static inline void parse_mac(const char *text, uint8_t *mac)
{
    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6) {
        errx(2, "%s is not an Ethernet address", text);
    }
}

#define NO_CPU (~0u)

/* The calling thread stays on CPU; NO_CPU: wherever the scheduler likes. */
static inline void run_on_cpu(unsigned int cpu)
{
    cpu_set_t set;

    if (cpu == NO_CPU) {
        return;
    }
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        err(1, "processor %u", cpu);
    }
}

static inline double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
