/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_KERNEL_CTL_H
#define WARREN_SWITCH_KERNEL_CTL_H
/*
 * Control commands on what tunnels leave to the host's kernel: its routes (ovs/route) and its neighbours (tnl/neigh and
 * tnl/arp). Nothing is kept: each command asks the kernel by rtnetlink.
 */
struct unixctl;

void kernel_ctl_register(struct unixctl *u);

#endif
