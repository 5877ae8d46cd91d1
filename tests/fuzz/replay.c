/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of the fuzz targets where there is no libFuzzer: runs the target on each file of the directories (or on the
 * files) given, on each beginning of it, and on a fixed sequence of small changes to it, so that an ordinary `meson
 * test` already sees input that is cut short or slightly wrong. Deterministic: what fails once fails always. Before
 * each run the input is noted; a crash writes it to FUZZ_CRASH_DIR (default: the working directory) as
 * crash-TARGET-FILE, ready to be added to the corpus.
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define INPUT_MAX (1u << 20)
#define RUNS_DEFAULT 500

/* Beginnings of each file that are run, spread evenly if there are more, and as many changes to it: `--runs=N` for slow
 * targets. */
static size_t runs = RUNS_DEFAULT;

static struct {
    char path[512];
    const uint8_t *data;
    size_t len;
} current;

static void on_crash(int sig)
{
    int fd = open(current.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const char text[] = "the input is in ";

    if (fd >= 0 && write(fd, current.data, current.len) == (ssize_t)current.len) {
        (void)!write(2, text, sizeof text - 1);
        (void)!write(2, current.path, strlen(current.path));
        (void)!write(2, "\n", 1);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

/* A block of exactly the input's size, so that a sanitizer sees a read of one byte too many. */
static void run(const uint8_t *data, size_t len)
{
    _cleanup_free_ uint8_t *copy = xmalloc(MAX(len, 1u));

    memcpy(copy, data, len);
    current.data = data;
    current.len = len;
    LLVMFuzzerTestOneInput(copy, len);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* One to four bytes become others: a flipped bit, an extreme, a neighbour, or another byte of the input. */
static void change(uint8_t *data, size_t len, uint32_t *rnd)
{
    for (uint32_t n = next_random(rnd) % 4 + 1; n; n--) {
        uint8_t *b = &data[next_random(rnd) % len];

        switch (next_random(rnd) % 5) {
        case 0:
            *b ^= (uint8_t)(1u << next_random(rnd) % 8);
            break;
        case 1:
            *b = next_random(rnd) % 2 ? 0xff : 0;
            break;
        case 2:
            *b = (uint8_t)(*b + 1);
            break;
        case 3:
            *b = (uint8_t)(*b - 1);
            break;
        default:
            *b = data[next_random(rnd) % len];
        }
    }
}

static void replay(const char *name, const uint8_t *data, size_t len)
{
    const char *dir = getenv("FUZZ_CRASH_DIR");
    _cleanup_free_ uint8_t *copy = xmalloc(MAX(len, 1u));
    uint32_t rnd = 2463534242u;

    snprintf(current.path, sizeof current.path, "%s/crash-%s-%s", dir ? dir : ".", program_invocation_short_name, name);
    run(data, len);
    for (size_t i = 0, n = MIN(len, runs); i < n; i++) {
        run(data, len * i / n);
    }
    for (size_t i = 0; len && i < runs; i++) {
        memcpy(copy, data, len);
        change(copy, len, &rnd);
        run(copy, len);
    }
}

static int replay_file(const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ uint8_t *data = xmalloc(INPUT_MAX);
    const char *slash = strrchr(path, '/');
    size_t len = 0;
    ssize_t n;

    if (fd < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -errno;
    }
    while (len < INPUT_MAX && (n = read(fd, data + len, INPUT_MAX - len)) > 0) {
        len += (size_t)n;
    }
    replay(slash ? slash + 1 : path, data, len);
    return 0;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int replay_path(const char *path, size_t *count)
{
    struct dirent **list = NULL;
    struct stat st;
    int error = 0;

    if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
        ++*count;
        return replay_file(path);
    }
    int n = scandir(path, &list, visible, alphasort);
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *file = xasprintf("%s/%s", path, list[i]->d_name);

        error = error ? error : replay_file(file);
        ++*count;
        free(list[i]);
    }
    free(list);
    return n < 0 ? -errno : error;
}

int main(int argc, char **argv)
{
    size_t count = 0;

    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "--runs=", 7)) {
            runs = (size_t)strtoul(argv[i] + 7, NULL, 10);
        } else if (replay_path(argv[i], &count)) {
            return 1;
        }
    }
    printf("%zu inputs\n", count);
    return count ? 0 : 1; /* an empty corpus tests nothing */
}
