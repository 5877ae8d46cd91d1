/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_USERSPACE_IPSEC_H
#define WARREN_DATAPATH_USERSPACE_IPSEC_H
/*
 * The host's IPsec policies (ip-xfrm(8)) as tunnels must know them, followed live. Packets of tunnels that one may be
 * meant for are left to the host's stack, which carries it out: sent and received by sockets (the fast path: ebpf.c).
 * But the raw sockets that send have no ports for a policy to see, over IPv4 no protocol either. What a policy asks
 * for by those is not sent at all (tunnel_port.c).
 *
 * Answers err on the side of a policy: which of several is first, marks, and addresses of this host that packets are
 * sent from are not looked at.
 */
#include <event2/event.h>

#include "packet/tunnel.h"

struct ipsec;
typedef void ipsec_changed_fn(void *aux);

/* CHANGED is called after each change of policies, and when they are known that could not be read before.
 * -EPROTONOSUPPORT: the kernel has no IPsec. */
int ipsec_new(struct event_base *base, ipsec_changed_fn *changed, void *aux, struct ipsec **ret_ipsec);
void ipsec_free(struct ipsec *ipsec);

/* All take NULL: there are no policies. */

/* One may be meant for tunnel packets to DST. */
bool ipsec_guards_out(const struct ipsec *ipsec, const struct ip_addr *dst);
/* One is meant for packets of that kind to DST, and would not see that those of raw sockets are some. */
bool ipsec_is_blind(const struct ipsec *ipsec, enum tunnel_type kind, uint16_t udp_dst, const struct ip_addr *dst);
/* One may be meant for tunnel packets that come in for an address of this host, of which HAS says whether there is one
 * with these first BITS (of 128, IPv4 in mapped form). */
bool ipsec_guards_in(const struct ipsec *ipsec, bool (*has)(void *aux, const struct ip_addr *addr, unsigned int bits),
                     void *aux);

#endif
