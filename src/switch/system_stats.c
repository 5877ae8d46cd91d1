/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/system_stats.h"

#include <dirent.h>
#include <mntent.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "base/strbuf.h"

#define PROCESSES_MAX 32
#define OWN_PIDFILE "ovs-vswitchd.pid"

struct list {
    struct row_map_pair pairs[PROCESSES_MAX + 4];
    char *owned[2 * (PROCESSES_MAX + 4)];
    size_t n, n_owned;
};

/* KEY and VALUE (may be NULL: nothing to add) are taken over. */
static void add(struct list *l, char *key, char *value)
{
    l->owned[l->n_owned++] = key;
    l->owned[l->n_owned++] = value;
    if (value) {
        l->pairs[l->n++] = (struct row_map_pair){key, value};
    }
}

static char *load_average(void)
{
    double load[3];
    return getloadavg(load, 3) == 3 ? xasprintf("%.2f,%.2f,%.2f", load[0], load[1], load[2]) : NULL;
}

/* Kilobytes: total, used, of that what could be given back, swap, swap in use. */
static char *memory(void)
{
    unsigned long total = 0, unused = 0, buffers = 0, cached = 0, swap = 0, swap_free = 0;
    const struct {
        const char *format;
        unsigned long *value;
    } fields[] = {
        {"MemTotal: %lu", &total}, {"MemFree: %lu", &unused}, {"Buffers: %lu", &buffers},
        {"Cached: %lu", &cached},  {"SwapTotal: %lu", &swap}, {"SwapFree: %lu", &swap_free},
    };
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
            sscanf(line, fields[i].format, fields[i].value);
        }
    }
    if (f) {
        fclose(f);
    }
    return total ? xasprintf("%lu,%lu,%lu,%lu,%lu", total, total - unused, buffers + cached, swap, swap - swap_free)
                 : NULL;
}

/* "VSZ,RSS,CPU ms,crashes,age ms,age ms" of process PID (proc(5), stat: fields 14, 15, 22 to 24). */
static char *process(long pid)
{
    char path[64], text[1024];
    unsigned long long utime, stime, start, vsize;
    long long rss;
    struct sysinfo info;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f) {
        return NULL;
    }
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *after_name = strrchr(text, ')');
    if (!after_name ||
        sscanf(after_name,
               ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu %llu %lld", &utime,
               &stime, &start, &vsize, &rss) != 5 ||
        sysinfo(&info)) {
        return NULL;
    }
    unsigned long long tick_ms = 1000 / (unsigned long long)sysconf(_SC_CLK_TCK);
    long long age = (long long)info.uptime * 1000 - (long long)(start * tick_ms);
    return xasprintf("%llu,%llu,%llu,0,%lld,%lld", vsize / 1024,
                     (unsigned long long)rss * (unsigned long long)sysconf(_SC_PAGESIZE) / 1024,
                     (utime + stime) * tick_ms, MAX(age, 0), MAX(age, 0));
}

/* Our own pid file must not be opened: with the first descriptor that is closed, our lock on it is gone (fcntl(2)). */
static long read_pid(const char *rundir, const char *file)
{
    if (!strcmp(file, OWN_PIDFILE)) {
        return getpid();
    }
    _cleanup_free_ char *path = xasprintf("%s/%s", rundir, file);
    long pid = 0;
    FILE *f = fopen(path, "re");
    if (f) {
        pid = fscanf(f, "%ld", &pid) == 1 ? pid : 0;
        fclose(f);
    }
    return pid;
}

static void add_process(struct list *l, const char *rundir, const char *file)
{
    long pid = read_pid(rundir, file);
    if (pid > 0) {
        add(l, xasprintf("process_%.*s", (int)(strlen(file) - 4), file), process(pid));
    }
}

static int is_pidfile(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 4 && n < 64 && !strcmp(e->d_name + n - 4, ".pid");
}

static void add_processes(struct list *l, const char *rundir)
{
    struct dirent **files = NULL;
    int n = scandir(rundir, &files, is_pidfile, alphasort);
    for (int i = 0; i < n; i++) {
        if (i < PROCESSES_MAX) {
            add_process(l, rundir, files[i]->d_name);
        }
        free(files[i]);
    }
    free(files);
}

/* Only what is on a local block device: a network file system may not answer. */
static char *file_systems(void)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    FILE *f = setmntent("/proc/self/mounts", "re");
    struct mntent *m;
    while (f && (m = getmntent(f))) {
        struct statvfs s;
        if (strncmp(m->mnt_fsname, "/dev/", 5) != 0 || !hasmntopt(m, "rw") || statvfs(m->mnt_dir, &s) || !s.f_blocks) {
            continue;
        }
        strbuf_add(&b, b.len ? " " : "");
        for (const char *c = m->mnt_dir; *c; c++) {
            strbuf_add_n(&b, *c == ' ' || *c == ',' ? "_" : c, 1);
        }
        unsigned long long kb = s.f_frsize, used = s.f_blocks - s.f_bfree;
        strbuf_addf(&b, ",%llu,%llu", s.f_blocks * kb / 1024, used * kb / 1024);
    }
    if (f) {
        endmntent(f);
    }
    return b.len ? strbuf_take(&b) : NULL;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct row_map_pair *)a)->key, ((const struct row_map_pair *)b)->key);
}

void system_stats_write(struct row_writer *w, const char *rundir, bool enabled)
{
    struct list l = {.n = 0};
    if (enabled) {
        add(&l, xstrdup("cpu"), xasprintf("%ld", sysconf(_SC_NPROCESSORS_ONLN)));
        add(&l, xstrdup("file_systems"), file_systems());
        add(&l, xstrdup("load_average"), load_average());
        add(&l, xstrdup("memory"), memory());
        add_processes(&l, rundir);
        qsort(l.pairs, l.n, sizeof l.pairs[0], by_key);
    }
    row_write_map(w, "statistics", l.pairs, l.n);
    for (size_t i = 0; i < l.n_owned; i++) {
        free(l.owned[i]);
    }
}
