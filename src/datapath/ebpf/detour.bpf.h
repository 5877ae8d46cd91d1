/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_DETOUR_BPF_H
#define WARREN_DATAPATH_EBPF_DETOUR_BPF_H
/*
 * How a super-packet out of a tunnel loses its mark.
 *
 * Problem: encapsulation marks a super-packet as tunnelled (gso_type), and bpf_skb_adjust_room() takes the header off
 * but not the mark (6.18). A device without that offload, as a tap, gets it in pieces: 46 packets for one; one with it
 * looks for a tunnel that is gone; UDP's is dropped by who cuts it; and it cannot go into another tunnel. Idea: the
 * kernel's own tunnels do take the mark off. So the packet gets a header of the simplest of these, an Ethernet frame in
 * IPv6, and goes through a namespace of ours where nothing but that tunnel's end is (detour.c, which has a picture),
 * within the same call, or the same batch of packets: they stay in order. What comes back goes on with its list.
 *
 * What must be known then waits in a map of this CPU, under the serial that is in a private Ethernet header. That has a
 * VLAN tag, because taking a tag off is the one helper that also says where the payload begins, which the kernel's
 * tunnel leaves open; the frame's own Ethernet header and tags wait with the rest. A process that adopts the detour
 * replaces the program at its end before those at its beginning, so another form of that header or of what waits is
 * another EBPF_LAYOUT.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/decap.bpf.h"
#include "datapath/ebpf/parse.bpf.h"
#include "datapath/ebpf/set.bpf.h"

#define IP_PROTO_ETHERNET 143

struct w_detour {
    __u8 local; /* an address that is nobody's */
    __u8 pad;
    __u32 serial;
    __u16 pad2;
    __u32 magic;
    __be16 vlan, tci, type;
} __attribute__((packed));

struct w_detour_packet {
    struct w_eth outer;
    struct w_ip6 ip;
    struct w_detour detour;
} __attribute__((packed));

_Static_assert(sizeof(struct w_detour) == ETH_HLEN + 4, "an Ethernet header with a tag");

#define DETOUR_ROOM (sizeof(struct w_detour_packet) - ETH_HLEN)
#define DETOUR_LEN_MAX (0xffff - 4) /* of a frame without tags: what the IPv6 header can tell */

/* There is a detour that the super-packet can take; it may be in its tunnel yet. */
INLINE bool can_detour(struct __sk_buff *skb, const struct scratch *s)
{
    return skb->len - s->base <= DETOUR_LEN_MAX && s->l3 == s->base + ETH_HLEN + s->tags * 4 &&
           s->tags + (s->base || !skb->vlan_present ? 0 : 1) <= 2 &&
           (s->key.eth_type == T_IPV4 || s->key.eth_type == T_IPV6) && detour_device();
}

/* Takes all tags off, for D. */
INLINE long detour_tags(struct __sk_buff *skb, struct scratch *s, struct detoured *d)
{
    d->n_tags = 0;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        if (!skb->vlan_present && !s->tags) {
            break;
        }
        if (tag_beside(skb, s)) {
            return -1;
        }
        d->tags[i] = tag_of(skb);
        d->n_tags = i + 1;
        if (pop_vlan(skb, s)) {
            return -1;
        }
    }
    return 0;
}

INLINE void detour_fill(struct __sk_buff *skb, const struct scratch *s, struct w_detour_packet *p)
{
    __builtin_memset(p, 0, sizeof(*p));
    p->outer.type = T_IPV6;
    p->ip.ver_tc_flow = bpf_htonl(6u << 28);
    p->ip.plen = bpf_htons(skb->len + 4);
    p->ip.next = IP_PROTO_ETHERNET;
    p->ip.hop_limit = 1;
    p->ip.src.be16[0] = p->ip.dst.be16[0] = bpf_htons(EBPF_DETOUR_NET);
    p->ip.src.be16[7] = bpf_htons(EBPF_DETOUR_FROM);
    p->ip.dst.be16[7] = bpf_htons(EBPF_DETOUR_TO);
    p->detour = (struct w_detour){
        .local = 2, .serial = s->serial, .magic = EBPF_DETOUR_MAGIC, .vlan = T_VLAN, .type = s->key.eth_type};
}

/* Takes the super-packet through the detour, behind which its list goes on at the step NEXT: a TC action; RUN_ON,
 * nothing done: it must go on as it is; RUN_UP: so must it, but cannot. */
static __attribute__((noinline)) int detour(struct __sk_buff *skb, struct scratch *s, __u32 next)
{
    struct w_detour_packet *p = (struct w_detour_packet *)(void *)s->chunk;
    __u32 device = detour_device(), index = (s->serial + 1) & (EBPF_DETOURED_MAX - 1);
    struct detoured *d = bpf_map_lookup_elem(&detoureds, &index);

    if (!skb->gso_size) {
        return RUN_ON; /* not any more: it was cut */
    }
    if (!d || !can_detour(skb, s)) {
        return s->gso_mark == MARK_STUCK ? RUN_UP : RUN_ON;
    }
    if (detour_tags(skb, s, d) || bpf_skb_load_bytes(skb, 0, &d->dst, ETH_HLEN)) {
        return drop(DROP_BAD_ACTION);
    }
    d->serial = ++s->serial;
    d->next = next;
    d->mark = skb->mark;
    d->priority = skb->priority;
    __builtin_memcpy(d->state, s, sizeof(d->state));
    detour_fill(skb, s, p);
    if (bpf_skb_adjust_room(skb, DETOUR_ROOM, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
        bpf_skb_store_bytes(skb, 0, p, sizeof(*p), 0) || (skb->protocol != T_IPV6 && tell_protocol(skb))) {
        return drop(DROP_BAD_ACTION);
    }
    return bpf_redirect_peer(device, 0);
}

/* A frame on its way out by the detour's device, which has come back, is made what it was, and the scratch, too, but
 * for the mark: RUN_ON, the list goes on at s->skip; or a TC action. */
GLOBAL int detour_end(struct __sk_buff *skb, struct scratch *s)
{
    struct detoured *d;
    struct w_detour *w;
    __u32 index;

    if (!s) {
        return TC_ACT_SHOT;
    }
    w = (struct w_detour *)(void *)s->chunk;
    if (bpf_skb_load_bytes(skb, 0, w, sizeof(*w)) || w->magic != EBPF_DETOUR_MAGIC) {
        return TC_ACT_UNSPEC; /* somebody else's, to nobody */
    }
    index = w->serial & (EBPF_DETOURED_MAX - 1);
    d = bpf_map_lookup_elem(&detoureds, &index);
    if (!d || d->serial != w->serial) {
        return drop(DROP_BAD_ACTION);
    }
    __builtin_memcpy(s, d->state, sizeof(d->state));
    skb->mark = d->mark;
    skb->priority = d->priority;
    s->gso_mark = MARK_NONE;
    s->shape = ~0u; /* of nothing, but see protocol_is_true() */
    s->skip = d->next;
    if (bpf_skb_vlan_pop(skb) || bpf_skb_store_bytes(skb, 0, &d->dst, ETH_HLEN, 0) ||
        (d->n_tags > 1 && push_vlan(skb, s, d->tags[1])) || (d->n_tags && push_vlan(skb, s, d->tags[0]))) {
        return drop(DROP_BAD_ACTION);
    }
    return RUN_ON;
}

#endif
