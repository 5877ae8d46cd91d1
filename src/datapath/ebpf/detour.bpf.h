/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_DETOUR_BPF_H
#define WARREN_DATAPATH_EBPF_DETOUR_BPF_H
/*
 * How a super-packet out of a tunnel loses its mark.
 *
 * Problem: encapsulation marks a super-packet as tunnelled (gso_type), and bpf_skb_adjust_room() takes the header off
 * but not the mark (6.18). A device without that offload, as a tap, gets it in pieces: 46 packets for one; one with it
 * looks for a tunnel that is gone; and UDP's is dropped by who cuts it. Idea: the kernel's own tunnels do take the mark
 * off. So the packet gets a header of the simplest of these, an Ethernet frame in IPv6, and goes through a namespace of
 * ours where nothing but that tunnel's end is (detour.c, which has a picture), within the same call: the order of
 * packets stays. What comes back goes to its port.
 *
 * What must be known then is in a private Ethernet header around the frame. That has a VLAN tag, because taking a tag
 * off is the one helper that also says where the payload begins, which the kernel's tunnel leaves open; the frame's own
 * tag waits there. A process that adopts the detour replaces the program at its end before those at its beginning, so
 * another form of that header is another EBPF_LAYOUT.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/decap.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

#define IP_PROTO_ETHERNET 143

struct w_detour {
    __u8 local; /* an address that is nobody's */
    __u8 tagged;
    __u32 port;
    __be16 tpid; /* of the frame's own tag, where `tagged` */
    __u32 magic;
    __be16 vlan, tci, type;
} __attribute__((packed));

struct w_detour_packet {
    struct w_eth outer;
    struct w_ip6 ip;
    struct w_detour detour;
    struct w_eth frame;
} __attribute__((packed));

_Static_assert(sizeof(struct w_detour) == ETH_HLEN + 4, "an Ethernet header with a tag");

#define DETOUR_ROOM (sizeof(struct w_detour_packet) - ETH_HLEN)
#define DETOUR_LEN_MAX (0xffff - sizeof(struct w_detour)) /* that the IPv6 header can tell */

/* 0: there is no detour now. */
INLINE __u32 detour_device(void)
{
    __u32 zero = 0, *ifindex = bpf_map_lookup_elem(&detours, &zero);

    return ifindex ? *ifindex : 0;
}

INLINE void detour_fill(struct __sk_buff *skb, struct w_detour_packet *p, __u32 port)
{
    p->outer.type = T_IPV6;
    p->ip.ver_tc_flow = bpf_htonl(6u << 28);
    p->ip.plen = bpf_htons(skb->len + sizeof(p->detour));
    p->ip.next = IP_PROTO_ETHERNET;
    p->ip.hop_limit = 1;
    p->ip.src.be16[0] = p->ip.dst.be16[0] = bpf_htons(EBPF_DETOUR_NET);
    p->ip.src.be16[7] = bpf_htons(EBPF_DETOUR_FROM);
    p->ip.dst.be16[7] = bpf_htons(EBPF_DETOUR_TO);
    p->detour =
        (struct w_detour){.local = 2, .port = port, .magic = EBPF_DETOUR_MAGIC, .vlan = T_VLAN, .type = p->frame.type};
    if (skb->vlan_present) {
        p->detour.tagged = 1;
        p->detour.tpid = (__be16)skb->vlan_proto;
        p->detour.tci = bpf_htons(skb->vlan_tci);
    }
}

/* Sends the frame the other way to PORT: a TC action; RUN_ON, nothing done: it must go as it is; RUN_UP: so must it,
 * but cannot. */
static __attribute__((noinline)) int detour_output(struct __sk_buff *skb, struct scratch *s, __u32 port)
{
    struct w_detour_packet *p = (struct w_detour_packet *)(void *)s->chunk;
    int no = s->gso_mark == MARK_STUCK ? RUN_UP : RUN_ON;
    __u32 device = detour_device();

    if (!skb->gso_size) {
        return RUN_ON; /* not any more: it was cut */
    }
    __builtin_memset(p, 0, sizeof(*p));
    if (!device || skb->len > DETOUR_LEN_MAX || bpf_skb_load_bytes(skb, 0, &p->frame, ETH_HLEN) ||
        (p->frame.type != T_IPV4 && p->frame.type != T_IPV6)) {
        return no;
    }
    detour_fill(skb, p, port);
    count_tx(port, skb->len + (skb->vlan_present ? 4 : 0));
    if ((skb->vlan_present && bpf_skb_vlan_pop(skb)) ||
        bpf_skb_adjust_room(skb, DETOUR_ROOM, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
        bpf_skb_store_bytes(skb, 0, p, sizeof(*p), 0) || (skb->protocol != T_IPV6 && tell_protocol(skb))) {
        return drop(DROP_BAD_ACTION);
    }
    return bpf_redirect_peer(device, 0);
}

/* A frame on its way out by the detour's device, which has come back, goes to its port. */
INLINE int detour_end(struct __sk_buff *skb, struct scratch *s)
{
    struct w_detour *d = (struct w_detour *)(void *)s->chunk;
    struct ebpf_port *port;
    __u32 number;

    if (bpf_skb_load_bytes(skb, 0, d, sizeof(*d) + ETH_HLEN) || d->magic != EBPF_DETOUR_MAGIC) {
        return TC_ACT_UNSPEC; /* somebody else's, to nobody */
    }
    number = d->port;
    port = bpf_map_lookup_elem(&ports, &number);
    if (!port || !port->ifindex) {
        count_tx_drop(number, DROP_NO_PORT);
        return TC_ACT_SHOT;
    }
    if (bpf_skb_vlan_pop(skb) || bpf_skb_adjust_room(skb, -ETH_HLEN, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
        bpf_skb_store_bytes(skb, 0, d + 1, ETH_HLEN, 0) ||
        (d->tagged && bpf_skb_vlan_push(skb, d->tpid, bpf_ntohs(d->tci)))) {
        return drop(DROP_BAD_ACTION);
    }
    return bpf_redirect(port->ifindex, 0);
}

#endif
