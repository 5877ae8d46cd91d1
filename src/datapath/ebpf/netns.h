/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_NETNS_H
#define WARREN_DATAPATH_EBPF_NETNS_H
/*
 * Network namespaces that outlive the process which made them.
 *
 * A network namespace lives while a process is in it, a descriptor of it is open or its file is mounted somewhere;
 * devices, BPF links and maps of sockets do not hold it. So it is mounted on a file in /run/netns, as those of
 * ip-netns(8) are, which shows it: `ip netns exec NAME ip link`. A mount ends with the mount namespace that it is in,
 * and a service may have one of its own (systemd's PrivateMounts, ProtectSystem, …): so it is made in the one of
 * process 1, if we may go there.
 */
#include "base/util.h"

/* Makes a namespace. NAME: it goes on without us, and one of that name that was there is let go; NULL: it lives as long
 * as its descriptor does. RET_HELD: 0, or why it will not outlive us (negative errno) though it was made. */
int ebpf_netns_make(const char *name, int *ret_fd, int *ret_held);
/* A descriptor of the namespace NAME, or a negative errno. */
int ebpf_netns_open(const char *name);
/* Nothing of that name is left. The namespace ends when nobody else holds it. */
void ebpf_netns_remove(const char *name);
/* Calls FN, which gets AUX, in the namespace FD; what it returned, or a negative errno. */
int ebpf_netns_run(int fd, int (*fn)(void *aux), void *aux);

#endif
