/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_LOADER_H
#define WARREN_DATAPATH_EBPF_LOADER_H
/*
 * Programs and maps: loading, pinning, adopting.
 *
 * Everything that must outlive the process is pinned in one directory of a bpffs, /sys/fs/bpf/warren/<name>, whose name
 * is the run directory's (slashes become dots), so that several switches on a machine do not meet. Maps are pinned by
 * name; programs live by their attachments. A later process finds the maps, adopts them when their layout is the same
 * (EBPF_LAYOUT and all sizes), and replaces the programs by its own over the same maps. Maps of another layout are left
 * alone until the new ones serve; so are those whose pins somebody took away, which their programs hold.
 *
 * Left out: attaching (ports.h), what the maps hold (flows.h, ports.h).
 */
#include "base/util.h"
#include "datapath/ebpf/shared.h"

struct ebpf_bpf;

/* The maps, for everybody in this directory: mapped memory where BPF_F_MMAPABLE, else file descriptors. */
struct ebpf_maps {
    struct ebpf_bpf *skel;
    char *pin_dir;     /* NULL: nothing is pinned */
    bool adopted;      /* the maps were there */
    bool replaces;     /* other maps were there: their programs serve until ours are attached */
    uint32_t drops_id; /* of a map that each program uses: tells programs over these maps from others */
    struct ebpf_config *config;
    struct ebpf_port *ports; /* EBPF_PORTS_MAX */
    struct ebpf_mask *masks; /* EBPF_MASKS_MAX */
    struct ebpf_slot *slots; /* EBPF_SLOTS_MAX */
    struct ebpf_step *steps; /* EBPF_STEPS_POOL */
    int ifindexes_fd, local_addrs_fd, port_stats_fd, flow_index_fd, nexthops_fd, meters_fd, drops_fd, lookups_fd,
        ring_fd, scratches_fd, opts_ids_fd, detours_fd, links_fd;
    int port_prog_fd, uplink_prog_fd, meter_prog_fd;
    int n_cpus; /* possible ones: how many values a per-CPU map hands out */
};

/* Routes, neighbours, addresses, ports or tunnels have changed, in the maps as well: what the programs remember of them
 * is old. */
static inline void ebpf_maps_changed(const struct ebpf_maps *maps)
{
    __atomic_add_fetch(&maps->config->generation, 1, __ATOMIC_SEQ_CST);
}

/* Loads, adopting what is pinned for RUNDIR (NULL: pins nothing, for tests). -EPERM, -ENOSYS …: BPF is not to be had,
 * which is logged with what is missing. */
int ebpf_load(const char *rundir, struct ebpf_maps *ret_maps);
/* What stands for RUNDIR in the names of what outlives a process: what cannot be in them becomes '_'. */
char *ebpf_pin_name(const char *rundir);
/* What is pinned stays. */
void ebpf_unload(struct ebpf_maps *maps);
/* The ids of maps that another layout left pinned for RUNDIR: how many of them there are, no more than MAX. */
size_t ebpf_other_maps(const char *rundir, uint32_t *ret_ids, size_t max);
/* What another layout left pinned for RUNDIR that we can read: its ring, if the records' form is ours (EBPF_RING_FORM),
 * and its map ifindexes, which FN may use until it returns. */
void ebpf_other_rings(const char *rundir, void (*fn)(void *aux, int ring_fd, int ifindexes_fd), void *aux);
/* Removes what another layout left pinned for RUNDIR. */
void ebpf_unpin_others(const char *rundir);
/* Calls FN with each netdev's port in the maps that are pinned for RUNDIR, if their layout is ours. */
void ebpf_pinned_ports(const char *rundir, void (*fn)(const struct ebpf_port *port));
/* Is something pinned for RUNDIR, of any layout? */
bool ebpf_has_pins(const char *rundir);
/* Removes the pins of RUNDIR. */
int ebpf_unpin(const char *rundir);

#endif
