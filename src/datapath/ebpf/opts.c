/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/opts.h"

#include <bpf/bpf.h>

#include "base/log.h"
#include "packet/tunnel_opts.h"

LOG_MODULE("ebpf_opts");

struct ebpf_opts_table {
    struct ebpf_maps *maps;
    uint32_t ids[EBPF_OPTS_MAX]; /* a ring, oldest first from `first` on */
    uint32_t first, n;
    bool known[TUNNEL_OPTS_MAX + 1];
};

static bool fill_key(uint32_t id, struct ebpf_opts *key)
{
    size_t len;
    const uint8_t *opts = tunnel_opts_get(id, &len);

    *key = (struct ebpf_opts){.len = (uint32_t)len};
    if (!opts) {
        return false;
    }
    memcpy(key->data, opts, len);
    return true;
}

/* ID is in the map. */
static void remember(struct ebpf_opts_table *o, uint32_t id)
{
    o->ids[(o->first + o->n++) % EBPF_OPTS_MAX] = id;
    o->known[id] = true;
    tunnel_opts_ref(id);
}

static void forget_oldest(struct ebpf_opts_table *o)
{
    uint32_t id = o->ids[o->first];
    struct ebpf_opts key;

    if (fill_key(id, &key)) {
        bpf_map_delete_elem(o->maps->opts_ids_fd, &key);
    }
    o->first = (o->first + 1) % EBPF_OPTS_MAX;
    o->n--;
    o->known[id] = false;
    tunnel_opts_unref(id);
}

void ebpf_opts_add(struct ebpf_opts_table *o, uint32_t id)
{
    struct ebpf_opts_id value = {.id = id};
    struct ebpf_opts key;
    int error;

    if (ebpf_opts_has(o, id) || !fill_key(id, &key)) {
        return;
    }
    if (o->n == EBPF_OPTS_MAX) {
        forget_oldest(o);
    }
    value.flags = tunnel_opts_critical(key.data, key.len) ? FLOW_TNL_CRIT : 0;
    error = bpf_map_update_elem(o->maps->opts_ids_fd, &key, &value, BPF_ANY);
    if (error) {
        log_limited(LOG_LEVEL_INFO, "Geneve options go the slow way: %s", strerror(-error));
        return;
    }
    remember(o, id);
}

bool ebpf_opts_has(const struct ebpf_opts_table *o, uint32_t id)
{
    return id <= TUNNEL_OPTS_MAX && o->known[id];
}

static void restore(struct ebpf_opts_table *o)
{
    int fd = o->maps->opts_ids_fd;
    struct ebpf_opts key, next;
    struct ebpf_opts_id value;
    bool more = !bpf_map_get_next_key(fd, NULL, &next);

    while (more) {
        key = next;
        more = !bpf_map_get_next_key(fd, &key, &next);
        if (!bpf_map_lookup_elem(fd, &key, &value) && !tunnel_opts_restore(value.id, key.data, key.len)) {
            remember(o, value.id);
        } else {
            bpf_map_delete_elem(fd, &key);
        }
    }
}

struct ebpf_opts_table *ebpf_opts_new(struct ebpf_maps *maps)
{
    struct ebpf_opts_table *o = xcalloc(1, sizeof(*o));

    o->maps = maps;
    restore(o);
    return o;
}

void ebpf_opts_free(struct ebpf_opts_table *o)
{
    for (uint32_t i = 0; o && i < o->n; i++) {
        tunnel_opts_unref(o->ids[(o->first + i) % EBPF_OPTS_MAX]);
    }
    free(o);
}
