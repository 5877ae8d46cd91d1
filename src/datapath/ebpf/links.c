/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/links.h"

#include <bpf/bpf.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

/* In <linux/if_arp.h>, which clashes with <net/if_arp.h>. */
#ifndef ARPHRD_RAWIP
#define ARPHRD_RAWIP 519
#endif
#ifndef ARPHRD_IP6GRE
#define ARPHRD_IP6GRE 823
#endif
#ifndef ARPHRD_NONE
#define ARPHRD_NONE 0xfffe
#endif

uint32_t ebpf_link_kind(const struct ifinfomsg *ifi)
{
    switch (ifi->ifi_type) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK: /* what goes there comes to this host, by user space */
        return 0;
    case ARPHRD_NONE:
    case ARPHRD_RAWIP:
        /* With several other ends it is the neighbour that tells the device which is meant. */
        return EBPF_LINK_OTHER | EBPF_LINK_BARE | (ifi->ifi_flags & IFF_POINTOPOINT ? EBPF_LINK_DIRECT : 0);
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
    case ARPHRD_IP6GRE:
        /* The kernel's tunnels take TTL and TOS from where a packet in a tunnel notes its inner header to be (6.18),
         * and in the form of the outer one: out of an IPv4 header, read as an IPv6 one, comes a TTL of zero. User
         * space's packets have no such note. */
        return EBPF_LINK_OTHER | EBPF_LINK_BARE | EBPF_LINK_UP;
    case ARPHRD_PPP: /* kernels before 6.6 would give it an Ethernet header to send */
        return EBPF_LINK_OTHER | EBPF_LINK_BARE;
    default:
        return EBPF_LINK_OTHER;
    }
}

bool ebpf_link_queues(const struct nlattr *name)
{
    const char *text = name ? mnl_attr_get_str(name) : "noqueue";

    return strcmp(text, "noqueue") != 0 && strcmp(text, "noop") != 0; /* the latter: it was never up */
}

void ebpf_link_set(struct ebpf_maps *maps, int ifindex, uint32_t kind)
{
    if (kind) {
        if (kind & EBPF_LINK_BARE) {
            __atomic_or_fetch(&maps->config->bare, 1ull << (ifindex & 63), __ATOMIC_RELAXED);
        }
        bpf_map_update_elem(maps->links_fd, &ifindex, &kind, BPF_ANY);
    } else {
        bpf_map_delete_elem(maps->links_fd, &ifindex); /* the bit may be another's, too */
    }
}

void ebpf_links_forget(struct ebpf_maps *maps, bool (*is_known)(void *aux, int ifindex), void *aux)
{
    int ifindex, next;
    bool more = !bpf_map_get_next_key(maps->links_fd, NULL, &next);

    while (more) {
        ifindex = next;
        more = !bpf_map_get_next_key(maps->links_fd, &ifindex, &next);
        if (!is_known(aux, ifindex)) {
            ebpf_link_set(maps, ifindex, 0);
        }
    }
}
