/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "base/log.h"
#include "datapath/ebpf/refusal.h"
#include "ebpf.skel.h"

LOG_MODULE("ebpf_loader");

#define BPFFS "/sys/fs/bpf"
#define STRING_OF(X) #X
#define RING_PIN_OF(FORM) "ring_form" STRING_OF(FORM)
#define RING_PIN RING_PIN_OF(EBPF_RING_FORM) /* the ring once more, for other layouts */
/* 5000 misses a second from each port, 250 at once: the slow path does several times as many, and the last of a burst
 * has not waited long. Or ten times as many packets that are only run. */
#define UPCALL_RATE (5000 * EBPF_COST_MISS)
#define UPCALL_BURST (250 * EBPF_COST_MISS)

static struct ebpf_refusal refusal; /* of the load that is going on */

static int print(enum libbpf_print_level level, const char *fmt, va_list args)
{
    char *text;
    int n;

    if (level != LIBBPF_WARN) {
        return 0;
    }
    n = vasprintf(&text, fmt, args);
    if (n >= 0) {
        ebpf_refusal_note(&refusal, text);
        text[strcspn(text, "\n")] = '\0'; /* of a verifier's log the first line, which names the program */
        log_dbg("%s", text);
        free(text);
    }
    return n;
}

/* --- where pins are --- */

static bool is_bpffs(const char *path)
{
    struct statfs fs;

    return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static int ensure_bpffs(void)
{
    if (is_bpffs(BPFFS)) {
        return 0;
    }
    if (mount("bpf", BPFFS, "bpf", 0, "mode=0700")) {
        int error = -errno;

        log_err("%s is no BPF file system, and none can be mounted there: %s", BPFFS, strerror(errno));
        return error;
    }
    log_info("mounted a BPF file system at %s", BPFFS);
    return 0;
}

char *ebpf_pin_name(const char *rundir)
{
    char *name;

    while (*rundir == '/') {
        rundir++;
    }
    name = xstrdup(rundir);
    for (char *p = name; *p; p++) {
        if (*p == '/' || *p == '.') {
            *p = '_'; /* bpffs refuses dots */
        }
    }
    return name;
}

static char *pin_base(const char *rundir)
{
    _cleanup_free_ char *name = ebpf_pin_name(rundir);

    return xasprintf(BPFFS "/warren/%s", name);
}

static char *pin_dir_of(const char *base)
{
    return xasprintf("%s/layout%d", base, EBPF_LAYOUT);
}

static int make_dir(const char *path)
{
    return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* Calls FN (may be NULL) with the path of each entry of DIR but KEEP (may be NULL). How many there were; bpffs has no
 * files whose name begins with a dot. */
static size_t for_each_entry(const char *dir, const char *keep, void (*fn)(const char *path, void *aux), void *aux)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[4096];
    size_t n = 0;

    while (d && (e = readdir(d))) {
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.' || (keep && !strcmp(path, keep))) {
            continue;
        }
        n++;
        if (fn) {
            fn(path, aux);
        }
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static void remove_pin(const char *path, void *aux WR_UNUSED)
{
    unlink(path);
}

static void remove_layout(const char *dir, void *aux WR_UNUSED)
{
    for_each_entry(dir, NULL, remove_pin, NULL);
    rmdir(dir);
}

struct ids {
    uint32_t *ids;
    size_t n, max;
};

static uint32_t map_id(int fd)
{
    struct bpf_map_info info = {0};
    uint32_t len = sizeof(info);

    return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static void take_id(const char *path, void *ids_)
{
    _cleanup_close_ int fd = bpf_obj_get(path);
    struct ids *ids = ids_;
    uint32_t id = fd < 0 ? 0 : map_id(fd);

    if (id && ids->n < ids->max) {
        ids->ids[ids->n++] = id;
    }
}

static void take_ids(const char *dir, void *ids)
{
    for_each_entry(dir, NULL, take_id, ids);
}

size_t ebpf_other_maps(const char *rundir, uint32_t *ret_ids, size_t max)
{
    _cleanup_free_ char *base = pin_base(rundir), *dir = pin_dir_of(base);
    struct ids ids = {.ids = ret_ids, .max = max};

    for_each_entry(base, dir, take_ids, &ids);
    return ids.n;
}

struct rings {
    void (*fn)(void *aux, int ring_fd, int ifindexes_fd);
    void *aux;
};

static void take_ring(const char *dir, void *rings_)
{
    _cleanup_free_ char *ring_path = xasprintf("%s/" RING_PIN, dir), *ifindexes_path = xasprintf("%s/ifindexes", dir);
    _cleanup_close_ int ring = bpf_obj_get(ring_path), ifindexes = bpf_obj_get(ifindexes_path);
    struct rings *rings = rings_;
    struct bpf_map_info info = {0};
    uint32_t len = sizeof(info);

    if (ring >= 0 && ifindexes >= 0 && !bpf_obj_get_info_by_fd(ifindexes, &info, &len) &&
        info.type == BPF_MAP_TYPE_HASH && info.key_size == sizeof(uint32_t) && info.value_size == sizeof(uint32_t)) {
        rings->fn(rings->aux, ring, ifindexes);
    }
}

void ebpf_other_rings(const char *rundir, void (*fn)(void *aux, int ring_fd, int ifindexes_fd), void *aux)
{
    _cleanup_free_ char *base = pin_base(rundir), *dir = pin_dir_of(base);
    struct rings rings = {fn, aux};

    for_each_entry(base, dir, take_ring, &rings);
}

void ebpf_unpin_others(const char *rundir)
{
    _cleanup_free_ char *base = pin_base(rundir), *dir = pin_dir_of(base);

    for_each_entry(base, dir, remove_layout, NULL);
}

void ebpf_pinned_ports(const char *rundir, void (*fn)(const struct ebpf_port *port))
{
    _cleanup_free_ char *base = pin_base(rundir), *dir = pin_dir_of(base), *path = xasprintf("%s/ports", dir);
    _cleanup_close_ int fd = bpf_obj_get(path);
    struct bpf_map_info info = {0};
    struct ebpf_port port;
    uint32_t len = sizeof(info);

    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != sizeof(port)) {
        return;
    }
    for (uint32_t i = 1; i < EBPF_PORTS_MAX && !bpf_map_lookup_elem(fd, &i, &port); i++) {
        if (port.ifindex) {
            fn(&port);
        }
    }
}

static void count_pins(const char *dir, void *n)
{
    *(size_t *)n += for_each_entry(dir, NULL, NULL, NULL);
}

bool ebpf_has_pins(const char *rundir)
{
    _cleanup_free_ char *base = pin_base(rundir);
    size_t n = 0;

    for_each_entry(base, NULL, count_pins, &n);
    return n;
}

int ebpf_unpin(const char *rundir)
{
    _cleanup_free_ char *base = pin_base(rundir);

    if (is_bpffs(BPFFS)) {
        for_each_entry(base, NULL, remove_layout, NULL);
        rmdir(base);
        rmdir(BPFFS "/warren");
    }
    return 0;
}

/* --- loading --- */

/* -ESTALE, noted: some maps are pinned and some are not. What is in the ones speaks of the others, and a first start
 * that was killed meanwhile has nothing to lose. */
static int set_pins(struct ebpf_bpf *skel, const char *dir, bool *ret_adopted)
{
    size_t found = 0, missing = 0;
    struct bpf_map *map;
    char path[4096];

    bpf_object__for_each_map(map, skel->obj)
    {
        /* The kernel shows a devmap with a flag that nobody may ask for, so libbpf would not know it again. */
        if (bpf_map__is_internal(map) || bpf_map__type(map) == BPF_MAP_TYPE_DEVMAP) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", dir, bpf_map__name(map));
        *(access(path, F_OK) ? &missing : &found) += 1;
        int error = bpf_map__set_pin_path(map, path);
        if (error) {
            return error;
        }
    }
    *ret_adopted = !missing;
    refusal.pins_mismatch = found && missing;
    return refusal.pins_mismatch ? -ESTALE : 0;
}

static int open_skeleton(const char *dir, struct ebpf_bpf **ret_skel, bool *ret_adopted)
{
    DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_level = EBPF_LOG_LEVEL);
    struct ebpf_bpf *skel = ebpf_bpf__open_opts(&opts);
    int error;

    refusal = (struct ebpf_refusal){0};
    *ret_adopted = false;
    if (!skel) {
        return -errno;
    }
    error = dir ? set_pins(skel, dir, ret_adopted) : 0;
    error = error ? error : ebpf_bpf__load(skel);
    if (error) {
        ebpf_bpf__destroy(skel);
        return error;
    }
    *ret_skel = skel;
    return 0;
}

static void say_why(int error)
{
    _cleanup_free_ char *why = NULL;
    struct utsname u = {0};

    uname(&u);
    why = ebpf_refusal_text(&refusal, error, u.release);
    log_err("%s", why);
}

static void *map_memory(const struct bpf_map *map, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

    return p == MAP_FAILED ? NULL : p;
}

static size_t pages(size_t size)
{
    return (size + 4095) & ~(size_t)4095;
}

#define CONFIG_SIZE pages(sizeof(struct ebpf_config))
#define PORTS_SIZE pages(sizeof(struct ebpf_port) * EBPF_PORTS_MAX)
#define MASKS_SIZE pages(sizeof(struct ebpf_mask) * EBPF_MASKS_MAX)
#define SLOTS_SIZE pages(sizeof(struct ebpf_slot) * EBPF_SLOTS_MAX)
#define STEPS_SIZE pages(sizeof(struct ebpf_step) * EBPF_STEPS_POOL)

static int map_all(struct ebpf_maps *m)
{
    m->config = map_memory(m->skel->maps.config, CONFIG_SIZE);
    m->ports = map_memory(m->skel->maps.ports, PORTS_SIZE);
    m->masks = map_memory(m->skel->maps.masks, MASKS_SIZE);
    m->slots = map_memory(m->skel->maps.slots, SLOTS_SIZE);
    m->steps = map_memory(m->skel->maps.steps, STEPS_SIZE);
    m->ifindexes_fd = bpf_map__fd(m->skel->maps.ifindexes);
    m->local_addrs_fd = bpf_map__fd(m->skel->maps.local_addrs);
    m->port_stats_fd = bpf_map__fd(m->skel->maps.port_stats);
    m->flow_index_fd = bpf_map__fd(m->skel->maps.flow_index);
    m->nexthops_fd = bpf_map__fd(m->skel->maps.nexthops);
    m->meters_fd = bpf_map__fd(m->skel->maps.meters);
    m->drops_fd = bpf_map__fd(m->skel->maps.drops);
    m->lookups_fd = bpf_map__fd(m->skel->maps.lookups);
    m->opts_ids_fd = bpf_map__fd(m->skel->maps.opts_ids);
    m->links_fd = bpf_map__fd(m->skel->maps.links);
    m->detours_fd = bpf_map__fd(m->skel->maps.detours);
    m->ring_fd = bpf_map__fd(m->skel->maps.ring);
    m->scratches_fd = bpf_map__fd(m->skel->maps.scratches);
    m->port_prog_fd = bpf_program__fd(m->skel->progs.port_ingress);
    m->uplink_prog_fd = bpf_program__fd(m->skel->progs.uplink_ingress);
    m->meter_prog_fd = bpf_program__fd(m->skel->progs.meter_ask);
    m->drops_id = map_id(m->drops_fd);
    m->n_cpus = libbpf_num_possible_cpus();
    if (m->n_cpus <= 0) {
        return m->n_cpus ? m->n_cpus : -EIO; /* it reads a file */
    }
    return m->config && m->ports && m->masks && m->slots && m->steps && m->drops_id ? 0 : -ENOMEM;
}

static void init_config(struct ebpf_config *c)
{
    if (c->layout != EBPF_LAYOUT) {
        memset(c, 0, sizeof(*c));
        if (getrandom(&c->seed, sizeof(c->seed), 0) != (ssize_t)sizeof(c->seed)) {
            c->seed = (uint64_t)time_mono_ms() * 0x9e3779b97f4a7c15ull;
        }
    }
    c->decap_l3 = kernel_at_least(6, 3); /* BPF_F_ADJ_ROOM_DECAP_L3_* */
    c->upcall_rate = UPCALL_RATE;
    c->upcall_burst = UPCALL_BURST;
    c->layout = EBPF_LAYOUT;
}

/* Copies the map pinned at DIR/zero_takers into MAPS's: its form has nothing to do with the layout. Who sends nothing
 * back would not be known again, and super-packets to it would be cut in user space. */
static void take_zero_takers(const char *dir, void *maps)
{
    int to = bpf_map__fd(((struct ebpf_maps *)maps)->skel->maps.zero_takers);
    _cleanup_free_ char *path = xasprintf("%s/zero_takers", dir);
    _cleanup_close_ int from = bpf_obj_get(path);
    struct bpf_map_info info = {0};
    struct ip_addr addr, next;
    uint32_t len = sizeof(info), one = 1;

    if (from < 0 || bpf_obj_get_info_by_fd(from, &info, &len) || info.type != BPF_MAP_TYPE_LRU_HASH ||
        info.key_size != sizeof(addr) || info.value_size != sizeof(one)) {
        return;
    }
    /* Bounded: behind a key that went meanwhile the kernel begins anew. */
    for (int i = 0; i < EBPF_NEXTHOPS_MAX && !bpf_map_get_next_key(from, i ? &addr : NULL, &next); i++) {
        addr = next;
        bpf_map_update_elem(to, &addr, &one, BPF_ANY);
    }
}

/* Best effort: without it another layout loses the first packets of flows when it takes over. */
static void pin_ring(const struct ebpf_maps *m, const char *dir)
{
    _cleanup_free_ char *path = xasprintf("%s/" RING_PIN, dir);

    if (!m->adopted) {
        unlink(path); /* of a ring that is no more */
    }
    if (bpf_obj_pin(m->ring_fd, path) && errno != EEXIST) {
        log_info("%s: %s", path, strerror(errno));
    }
}

/* Says itself what could not be made. */
static int prepare_dirs(const char *base, const char *dir)
{
    int error = ensure_bpffs();

    if (error) {
        return error;
    }
    error = make_dir(BPFFS "/warren");
    error = error ? error : make_dir(base);
    error = error ? error : make_dir(dir);
    if (error) {
        log_err("%s: %s", dir, strerror(-error));
    }
    return error;
}

/* Those in which nothing was pinned. */
static void remove_empty_dirs(const char *base, const char *dir)
{
    if (dir && !rmdir(dir) && !rmdir(base)) {
        rmdir(BPFFS "/warren");
    }
}

int ebpf_load(const char *rundir, struct ebpf_maps *ret_maps)
{
    _cleanup_free_ char *base = rundir ? pin_base(rundir) : NULL;
    _cleanup_free_ char *dir = base ? pin_dir_of(base) : NULL;
    struct ebpf_maps m = {0};
    int error;

    libbpf_set_print(print);
    if (!kernel_at_least(6, 1)) {
        log_err("this kernel is too old for the BPF programs, which need Linux 6.1");
        return -EOPNOTSUPP;
    }
    if (dir) {
        error = prepare_dirs(base, dir);
        if (error) {
            return error;
        }
    }
    error = open_skeleton(dir, &m.skel, &m.adopted);
    if (error && refusal.pins_mismatch) {
        log_warn("%s: maps of another form, or not all, are pinned there: they are made anew", dir);
        remove_layout(dir, NULL);
        error = make_dir(dir);
        error = error ? error : open_skeleton(dir, &m.skel, &m.adopted);
    }
    if (error) {
        say_why(error);
        remove_empty_dirs(base, dir);
        return error;
    }
    error = map_all(&m);
    if (error) {
        log_err("the maps cannot be used: %s", strerror(-error));
        ebpf_unload(&m);
        return error;
    }
    init_config(m.config);
    if (dir) {
        pin_ring(&m, dir);
    }
    m.replaces = base && for_each_entry(base, dir, m.adopted ? NULL : take_zero_takers, &m);
    m.pin_dir = TAKE_PTR(dir);
    *ret_maps = m;
    return 0;
}

static void unmap(void *p, size_t size)
{
    if (p) {
        munmap(p, size);
    }
}

void ebpf_unload(struct ebpf_maps *m)
{
    unmap(m->config, CONFIG_SIZE);
    unmap(m->ports, PORTS_SIZE);
    unmap(m->masks, MASKS_SIZE);
    unmap(m->slots, SLOTS_SIZE);
    unmap(m->steps, STEPS_SIZE);
    ebpf_bpf__destroy(m->skel);
    free(m->pin_dir);
    *m = (struct ebpf_maps){0};
}
