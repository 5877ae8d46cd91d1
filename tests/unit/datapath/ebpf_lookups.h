/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_EBPF_LOOKUPS_H
#define WARREN_TESTS_EBPF_LOOKUPS_H
/* What the fast path's programs count of their lookups. Behind cmocka's headers. */
#include <bpf/bpf.h>

#include "datapath/ebpf/loader.h"

/* Packets that went by the exact-match cache, on all CPUs. */
static inline uint64_t exact_hits(const struct ebpf_maps *of)
{
    _cleanup_free_ struct ebpf_lookup_stats *s = xcalloc((size_t)of->n_cpus, sizeof(*s));
    uint64_t n = 0;
    uint32_t zero = 0;

    assert_int_equal(bpf_map_lookup_elem(of->lookups_fd, &zero, s), 0);
    for (int i = 0; i < of->n_cpus; i++) {
        n += s[i].exact_hits;
    }
    return n;
}

#endif
