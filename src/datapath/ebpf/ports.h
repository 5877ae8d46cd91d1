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

#define EBPF_TC_HANDLE 1
#define EBPF_TC_HANDLE_FRONT 2      /* ebpf_attach_in_front() */
#define EBPF_PEER_MTU 65535         /* our ends of veths limit nothing: the other ends' MTUs do */
#define EBPF_FIB_DEVICE "wr-routes" /* and its other end, with a p */

int ebpf_link_up(int ifindex);
void ebpf_no_ipv6(const char *name);
/* Sets /proc/sys/net/FAMILY/conf/DEVICE/KEY, or compares it. */
int ebpf_conf_set(const char *family, const char *device, const char *key, const char *value);
bool ebpf_conf_is(const char *family, const char *device, const char *key, const char *value);
/* A veth NAME with the MTU (0: the kernel's) and the address MAC (zero: the kernel's choice), and its other end PEER,
 * which has EBPF_PEER_MTU, in the namespace PEER_NETNS (a file descriptor, -1: this one). */
int ebpf_veth_create(const char *name, uint32_t mtu, const struct eth_addr *mac, const char *peer, int peer_netns);

/* Attaches PROG_FD to IFINDEX's clsact ingress, in place of what is there by our priority and handle, and of what was
 * put in front of that. */
int ebpf_attach(int ifindex, int prog_fd);
/* The same, but what is there stays, and gets the packets for which PROG_FD says TC_ACT_UNSPEC. */
int ebpf_attach_in_front(int ifindex, int prog_fd);
/* The same for its clsact egress. */
int ebpf_attach_egress(int ifindex, int prog_fd);
/* Undoes that, and takes a guard away (host_guard.h); the clsact goes, too, when nobody has a filter there any more. */
void ebpf_detach(int ifindex);
/* There is some program of the fast path on IFINDEX. */
bool ebpf_is_attached(int ifindex);
/* It, or with EGRESS that on the other side, uses one of the N maps IDS. */
bool ebpf_attached_uses(int ifindex, bool egress, const uint32_t *ids, size_t n);
/* There is one, of another version: it does not use MAPS. */
bool ebpf_is_foreign(int ifindex, const struct ebpf_maps *maps);

/* Sets IFF_PROMISC or takes it back. Did that change anything? */
bool ebpf_promisc(int ifindex, bool on);

/* The veth pair of an INTERNAL port: NAME is the host's end, the other one's name is written to RET_PEER (IFNAMSIZ
 * bytes). -EEXIST: there is a device NAME that is not ours. An existing pair of ours is adopted. */
int ebpf_internal_create(const char *name, const struct eth_addr *mac, char *ret_peer, int *ret_peer_ifindex);
/* What the other end of the INTERNAL port NAME is called: RET_PEER has IFNAMSIZ bytes. */
void ebpf_internal_peer(const char *name, char *ret_peer);
/* Is a device of this name our end of an INTERNAL port? */
bool ebpf_is_internal_peer(const char *name);
/* Removes a device (and so its other end), if there is one. */
void ebpf_link_remove(const char *name);

/* Devices that are to go. The kernel waits for grace periods with each request, tens of milliseconds, however many
 * devices it names. */
struct ebpf_leaving {
    int *ifindexes;
    size_t n, allocated;
};

void ebpf_leaving_add(struct ebpf_leaving *l, int ifindex);
/* Removes them, and forgets them. */
void ebpf_leaving_remove(struct ebpf_leaving *l);

/* Routes are looked up by bpf_fib_lookup() as if a packet came in by this device, because the kernel answers only where
 * forwarding is on, and the host's own devices are not ours to change. One for each network namespace. */
int ebpf_fib_device_create(int *ret_ifindex);

struct ebpf_net;

typedef void ebpf_gone_fn(void *aux, uint32_t number);

/* Follows devices and addresses: keeps local_addrs, uplinks, peers' addresses and config->fib_ifindex. GONE is called
 * when a port's device goes away. */
int ebpf_net_new(struct event_base *base, struct ebpf_maps *maps, ebpf_gone_fn *gone, void *aux,
                 struct ebpf_net **ret_net);
void ebpf_net_free(struct ebpf_net *net); /* uplinks stay attached */
/* Once a second: tries again what failed. */
void ebpf_net_tick(struct ebpf_net *net);
bool ebpf_net_is_uplink(struct ebpf_net *net, int ifindex);
/* This host has an address with these first BITS (of 128). */
bool ebpf_net_has_address(struct ebpf_net *net, const struct ip_addr *addr, unsigned int bits);
/* Is another number when devices, addresses, routes or rules have changed, so that the kernel may say something else of
 * the route to somewhere. Of some changes it sends no event of a route, but one of what they come from, which counts
 * here: IPv4's routes that go with an address, or with a device that goes down; IPv6's addresses that others are
 * preferred to from now on. Of some it sends (6.1 to 6.18) none that could be told from what happens all the time: the
 * path's MTU that a router told, and its expiry; a gateway of IPv4 that is dead or alive again, where routes of one
 * metric are chosen by that; sysctls that choose source addresses (use_tempaddr). So who follows routes must look now
 * and then as well. */
uint32_t ebpf_net_changes(const struct ebpf_net *net);
void ebpf_net_detach_uplinks(struct ebpf_net *net);
/* While maps->replaces, uplinks' programs of another version are not replaced. */
void ebpf_net_put_in_front(struct ebpf_net *net); /* of them are ours now */
void ebpf_net_replace(struct ebpf_net *net);      /* as `replaces` has been taken back */
/* IFINDEX became, or ceased to be, the port NUMBER's device: it is no uplink then, and the port's flags are kept. */
void ebpf_net_port_add(struct ebpf_net *net, int ifindex, uint32_t number);
void ebpf_net_port_del(struct ebpf_net *net, int ifindex);
/* IFINDEX became, or ceased to be, the device of a port that is user space's: it is no uplink then. */
void ebpf_net_reserve(struct ebpf_net *net, int ifindex, bool reserved);

#endif
