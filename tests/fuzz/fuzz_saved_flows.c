/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a bridge's saved flows. What is refused leaves the bridge as it was; what is taken survives being written
 * and read again: as a whole, and as the changes that made it.
 *
 * An input that begins with '#' is a whole file, any other what stands behind a head that is in order.
 */
#include "fuzz.h"

#include <fcntl.h>

#include "base/log.h"
#include "env.h"
#include "switch/flow_save.h"

#define IDENTITY "the fuzzed bridge"
#define NOTED_MAX 1000 /* of input, which then has no more changes than a saver notes */
#define HEAD "# warren-switchd flows 2\n# of " IDENTITY "\n# now 5\n# complete\n"

static char dir[] = "/tmp/fuzz_saved_flowsXXXXXX";
static char *path, *damaged;

static void remove_dir(void)
{
    unlink(path);
    unlink(damaged);
    rmdir(dir);
    free(path);
    free(damaged);
}

static void make_dir(void)
{
    if (!path) {
        FUZZ_CHECK(mkdtemp(dir));
        path = xasprintf("%s/br0.flows", dir);
        damaged = xasprintf("%s.damaged", path);
        FUZZ_CHECK(!atexit(remove_dir));
        log_set_level(NULL, LOG_LEVEL_OFF); /* what is refused is told */
    }
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    FUZZ_CHECK(fd >= 0);
    if (!size || data[0] != '#') {
        FUZZ_CHECK(write(fd, HEAD, strlen(HEAD)) == (ssize_t)strlen(HEAD));
    }
    FUZZ_CHECK(write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static void make(struct env *e)
{
    env_init(e);
    env_port(e->br, "p1", 1);
    env_patch(e->br, "p 2", 2, "nowhere");
}

/* What groups and meters counted, which changes do. */
static void cut_counts(char *text)
{
    char *counts;

    while ((counts = strstr(text, ", counted "))) {
        memmove(counts, counts + strcspn(counts, "\n"), strlen(counts + strcspn(counts, "\n")) + 1);
    }
}

/* What the file says, as text; NULL: it is refused, and has changed nothing. */
static char *restored(bool counts, int *ret_error)
{
    struct env e;
    size_t n = SIZE_MAX;

    make(&e);
    _cleanup_free_ char *before = env_dump(e.br);
    *ret_error = flow_restore(e.br, path, IDENTITY, time_mono_ms(), &n);
    _cleanup_free_ char *after = env_dump(e.br);
    if (*ret_error) {
        FUZZ_CHECK(n == SIZE_MAX && !strcmp(before, after));
        FUZZ_CHECK((*ret_error == -EBADMSG) == !access(damaged, F_OK) &&
                   !access(path, F_OK) == (*ret_error == -ESTALE));
        unlink(damaged);
    }
    env_done(&e);
    if (!counts) {
        cut_counts(after);
    }
    return *ret_error ? NULL : TAKE_PTR(after);
}

/* Restores the file and writes it, either at once, or by noting each change of a bridge that was empty. */
static void rewrite(bool noted)
{
    struct env e;
    size_t n;

    make(&e);
    if (!noted) {
        FUZZ_CHECK(!flow_restore(e.br, path, IDENTITY, time_mono_ms(), &n));
        flow_saver_create(e.br, path, IDENTITY, true);
        flow_saver_write(e.br->saver);
    } else {
        _cleanup_free_ char *notes = xasprintf("%s.notes", path);
        flow_saver_create(e.br, notes, IDENTITY, false);
        FUZZ_CHECK(!flow_restore(e.br, path, IDENTITY, time_mono_ms(), &n));
        flow_saver_sync(e.br->saver);
        FUZZ_CHECK(!rename(notes, path));
    }
    flow_saver_destroy(e.br->saver, false);
    env_done(&e);
}

/* Mapped options are the server's to tell the saver of. */
static bool is_all_noted(const uint8_t *data, size_t size)
{
    return size <= NOTED_MAX && !memmem(data, size, "tlv", 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int error;

    make_dir();
    write_file(data, size);
    for (unsigned int noted = 0; noted <= is_all_noted(data, size); noted++) {
        _cleanup_free_ char *before = restored(!noted, &error);

        FUZZ_CHECK(!error || error == -EBADMSG || error == -ESTALE);
        if (error) {
            break;
        }
        rewrite(noted);
        _cleanup_free_ char *after = restored(!noted, &error);
        FUZZ_CHECK(!error && !strcmp(before, after));
    }
    return 0;
}
