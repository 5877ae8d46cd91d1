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

/* Behind those of others (policing). Not the kernel's choice for who asks for none, 49152: two kinds of filter cannot
 * share a priority, and of one kind ours would take the other's place. */
#define TC_FILTER_PRIORITY 53248
/* Where versions before had them all the same. What they left there is taken over and removed. */
#define TC_FILTER_PRIORITY_ONCE 49152

struct bpf_prog_info;

struct tc_filter {
    int ifindex;
    enum bpf_tc_attach_point point;
    uint32_t priority, handle;
};

/* Attaches the program, in place of the one that is there; makes the clsact qdisc. */
int tc_filter_attach(const struct tc_filter *f, int prog_fd);
/* What the kernel says of the program that is there (INFO may ask for ids of maps); -ENOENT and others: none. */
int tc_filter_info(const struct tc_filter *f, struct bpf_prog_info *info);
/* Is it called one of NAMES (the last is NULL)? */
bool tc_filter_is(const struct tc_filter *f, const char *const *names);
/* Takes away what is called so; the qdisc stays. Nothing to do when the device is gone. */
void tc_filter_detach(const struct tc_filter *f, const char *const *names);

#endif
