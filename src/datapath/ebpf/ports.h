/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_PORTS_H
#define WARREN_DATAPATH_EBPF_PORTS_H
/*
 * Netdevs of the fast path: attaching programs to local ports and uplinks, veth pairs for INTERNAL ports, and what must
 * be known of this host's network to do so (addresses, which veth has its other end elsewhere and with which address).
 *
 * An uplink is any Ethernet device with an address of this host that is no port. Devices, addresses and their changes
 * come from rtnetlink.
 */
#include <event2/event.h>

#include "datapath/ebpf/loader.h"

#define EBPF_TC_PRIORITY 49152 /* behind what others attach (policing); host_guard.c's */
#define EBPF_TC_HANDLE 1

/* Attaches PROG_FD to IFINDEX's clsact ingress, in place of what is there by our priority and handle. */
int ebpf_attach(int ifindex, int prog_fd);
void ebpf_detach(int ifindex);

/* The veth pair of an INTERNAL port: NAME is the host's end, the other one's name is written to RET_PEER (IFNAMSIZ
 * bytes). -EEXIST: there is a device NAME that is not ours. An existing pair of ours is adopted. */
int ebpf_internal_create(const char *name, const struct eth_addr *mac, char *ret_peer, int *ret_peer_ifindex);
void ebpf_internal_remove(const char *peer);

struct ebpf_net;

/* Follows devices and addresses: keeps local_addrs, uplinks, peers' addresses and config->fib_ifindex. */
int ebpf_net_new(struct event_base *base, struct ebpf_maps *maps, struct ebpf_net **ret_net);
void ebpf_net_free(struct ebpf_net *net); /* uplinks stay attached */
/* IFINDEX became, or ceased to be, the port NUMBER's device: it is no uplink then, and the port's flags are kept. */
void ebpf_net_port_add(struct ebpf_net *net, int ifindex, uint32_t number);
void ebpf_net_port_del(struct ebpf_net *net, int ifindex);

#endif
