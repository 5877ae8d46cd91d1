/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_TC_FILTER_H
#define WARREN_DATAPATH_TC_FILTER_H
/*
 * A BPF program as a filter at a device's clsact: where ours are, and whether what is there is ours. The fast path's
 * programs and the guard of userspace ports (userspace/host_guard.h) are attached this way, never both at one place.
 */
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

struct bpf_prog_info;

/* Its priority is ours, or that of versions before where one is left: tc_filter.c. */
struct tc_filter {
    int ifindex;
    enum bpf_tc_attach_point point;
    uint32_t handle;
    const char *const *names; /* what programs of ours are called that may be there; the last is NULL */
};

/* Attaches the program, in place of one of ours that is there; makes the clsact qdisc. */
int tc_filter_attach(const struct tc_filter *f, int prog_fd);
/* The same under another HANDLE, beside F, where F is. */
int tc_filter_attach_beside(const struct tc_filter *f, uint32_t handle, int prog_fd);
/* What the kernel says of the program that is there (INFO may ask for ids of maps); -ENOENT and others: none.
 */
int tc_filter_info(const struct tc_filter *f, struct bpf_prog_info *info);
/* Is there one? */
bool tc_filter_is(const struct tc_filter *f);
/* How many: two where one of a version before is left as well. */
unsigned int tc_filter_count(const struct tc_filter *f);
/* Takes it away; the qdisc stays. Nothing to do when the device is gone. */
void tc_filter_detach(const struct tc_filter *f);

#endif
