/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_COPY_BPF_H
#define WARREN_DATAPATH_EBPF_COPY_BPF_H
/*
 * A part of the list whose changes nobody behind it sees: a clone, such as the bucket of a group.
 *
 * Problem: BPF cannot keep a second packet; it can only send copies of the one in hand. Idea: what the part can change
 * is remembered before it and put back behind it: tags, the mark, and EBPF_SAVED bytes behind the Ethernet header, in
 * which all headers that it can touch lie (must_punt() sees to that; compile.c lets nothing else into such a part).
 * Putting bytes back keeps the checksum that a device may have made of the packet.
 *
 * A part that changes more (MPLS labels, ND's options) is done by the program at the detour's device, with a copy of
 * the packet. That takes longer, but nothing has to be put back.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/encap.bpf.h"
#include "datapath/ebpf/set.bpf.h"

#define TAGS_MAX 4 /* two that came with the packet, two that a list may push */

/* How many bytes behind the Ethernet header of a packet of LEN bytes are remembered, less one, in a form that shows the
 * verifier its bounds. LEN is more than the header. */
INLINE __u64 saved_less_one(__u64 len)
{
    len -= ETH_HLEN + 1;
    len = len < EBPF_SAVED - 1 ? len : EBPF_SAVED - 1;
    barrier_var(len);
    return len & (EBPF_SAVED - 1);
}

GLOBAL int save(struct __sk_buff *skb, struct scratch *s)
{
    struct saved *v;

    /* A tag beside the frame can be put back, one in it cannot. */
    if (!s || (s->encap && undo_encap(skb, s)) || (s->tags && tag_beside(skb, s))) {
        return -1;
    }
    v = &s->saved;
    v->len = skb->len;
    v->l3 = s->l3;
    v->l4 = s->l4;
    v->mpls = s->mpls;
    v->tags = s->tags;
    v->beside = skb->vlan_present ? 1 : 0;
    v->protocol = skb->protocol;
    v->vlan = tag_of(skb);
    v->mark = skb->mark;
    v->priority = skb->priority;
    if (bpf_skb_load_bytes(skb, 0, &v->dst, ETH_HLEN)) { /* and what comes behind it */
        return -1;
    }
    return skb->len > ETH_HLEN && bpf_skb_load_bytes(skb, ETH_HLEN, v->bytes, saved_less_one(skb->len) + 1);
}

/* The frame has the tags that it had, and the kernel knows of the same ones. */
INLINE bool tags_are_same(struct __sk_buff *skb, const struct scratch *s)
{
    const struct saved *v = &s->saved;

    return skb->protocol == v->protocol && (skb->vlan_present ? 1 : 0) == v->beside && s->tags == v->tags &&
           (!v->beside || (skb->vlan_tci == bpf_ntohs(v->vlan.tci) && skb->vlan_proto == v->vlan.tpid));
}

/* Takes all tags off and pushes those that there were: one is beside the frame, and another may be in it, where its
 * bytes are put right, but from which the kernel has skb->protocol. */
INLINE long restore_tags(struct __sk_buff *skb, struct scratch *s)
{
    const struct saved *v = &s->saved;
    struct flow_vlan inner = {.tpid = v->type};

    if (tags_are_same(skb, s)) {
        return 0;
    }
    for (int i = 0; i < TAGS_MAX; i++) {
        if ((skb->vlan_present || s->tags) && pop_vlan(skb, s)) {
            return -1;
        }
    }
    if (skb->vlan_present || s->tags || (v->tags && push_vlan(skb, s, inner))) {
        return -1;
    }
    return v->beside ? push_vlan(skb, s, v->vlan) : 0;
}

GLOBAL int restore(struct __sk_buff *skb, struct scratch *s)
{
    const struct saved *v;

    if (!s || (s->encap && undo_encap(skb, s)) || restore_tags(skb, s)) {
        return -1;
    }
    v = &s->saved;
    if (skb->len != v->len) {
        return -1;
    }
    s->l3 = v->l3;
    s->l4 = v->l4;
    s->mpls = v->mpls;
    skb->mark = v->mark;
    skb->priority = v->priority;
    if (bpf_skb_store_bytes(skb, 0, &v->dst, ETH_HLEN, 0)) {
        return -1;
    }
    return v->len > ETH_HLEN &&
           bpf_skb_store_bytes(skb, ETH_HLEN, v->bytes, saved_less_one(v->len) + 1, BPF_F_RECOMPUTE_CSUM);
}

/* Has a copy of the packet do the steps behind NUMBER, as send_aside(). */
GLOBAL int copy_aside(struct __sk_buff *skb, struct scratch *s, __u32 number)
{
    __u32 device = detour_device(), mark;

    if (!s || !device || (s->encap && undo_encap(skb, s))) {
        return -1;
    }
    __builtin_memcpy(s->kept, s, STATE_LEN);
    mark = s->gso_mark;
    s->aside = number + 1;
    bpf_clone_redirect(skb, device, 0);
    __builtin_memcpy(s, s->kept, STATE_LEN);
    s->gso_mark = mark;
    s->aside = 0;
    return 0;
}

#endif
