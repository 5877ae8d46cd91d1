/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_USERSPACE_HOST_GUARD_H
#define WARREN_DATAPATH_USERSPACE_HOST_GUARD_H
/*
 * Keeps the host's own network stack out of what comes in by a SYSTEM port.
 *
 * An AF_PACKET socket gets a copy of each frame; the original goes on into the host: a VM could speak with its
 * hypervisor's addresses past every flow. A port of a kernel switch gives its frames to nobody else, and so does ours:
 * a two-instruction BPF program at the device's clsact ingress, behind the packet socket, drops them. Where BPF is not
 * allowed the port works without it.
 */

#include <stdbool.h>

/* Names of the program: of a userspace datapath, and of one inside an eBPF datapath, which can be left behind. */
#define HOST_GUARD "warren_guard"
#define HOST_GUARD_INNER "warren_guard_in"

/* Guards the netdev IFINDEX by a program called NAME. 0 or a negative errno: the caller decides what that means. */
int host_guard_add(int ifindex, const char *name);
/* Is there a program called NAME where guards are? */
bool host_guard_is(int ifindex, const char *name);
/* Takes our program away again; the clsact qdisc stays, it may have other users. Nothing to do when the device is gone.
 */
void host_guard_del(int ifindex);

#endif
