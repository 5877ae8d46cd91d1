/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_EBPF_ENTER_H
#define WARREN_TESTS_EBPF_ENTER_H
/* Where tests run the fast path's programs: a network namespace of their own, on one processor (whose part of per-CPU
 * maps they read). NEEDS_BPF skips where BPF is not permitted. One test program includes this once. */
#include <bpf/bpf.h>

#include "base/util.h"
#include "datapath/ebpf/loader.h"
#include "netns.h"

static bool permitted;
static int load_error;

/* Loads the programs; there is no budget for what they send up. What it says is also in `permitted`. */
static bool ebpf_enter(struct ebpf_maps *ret_maps)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    load_error = netns_enter() ? ebpf_load(NULL, ret_maps) : -EPERM;
    permitted = !load_error;
    if (permitted) {
        assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
        ret_maps->config->upcall_rate = 0;
    }
    return permitted;
}

/* What the programs dropped for REASON so far. */
static WR_UNUSED uint64_t drops_of(const struct ebpf_maps *maps, uint32_t reason)
{
    _cleanup_free_ uint64_t *counts = xcalloc((size_t)maps->n_cpus, sizeof(*counts));
    uint64_t sum = 0;

    assert_int_equal(bpf_map_lookup_elem(maps->drops_fd, &reason, counts), 0);
    for (int i = 0; i < maps->n_cpus; i++) {
        sum += counts[i];
    }
    return sum;
}

#define NEEDS_BPF                                                                                                      \
    if (!permitted) {                                                                                                  \
        assert_true(netns_may_skip(load_error));                                                                       \
        print_message("BPF is not permitted here: skipped\n");                                                         \
        skip();                                                                                                        \
    }

#endif
