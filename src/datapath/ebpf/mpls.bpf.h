/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_MPLS_BPF_H
#define WARREN_DATAPATH_EBPF_MPLS_BPF_H
/*
 * MPLS labels: pushed behind the VLAN tags, popped, changed.
 *
 * Room for a label is made and taken as for a tunnel: the kernel believes that the frame carries IP (dress_as_ip()),
 * and makes room wherever it thinks that the Ethernet header ends; so the bytes around are saved before and written
 * after. What leaves is not marked as MPLS in skb->protocol, which nobody asks on the way out: whoever receives it
 * looks at the frame. That holds for packets of which nothing is left to the device; others go up whole (must_punt()).
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/encap.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

#define LABEL 4
#define L2_MAX (ETH_HLEN + 8 + 8) /* with two tags, and LLC/SNAP */
#define SPARE 8                   /* bytes behind the L2 header that are written again, too */
#define MPLS_SMALLEST 54 /* frame: behind two tags and two labels that are popped there is an IPv4 header at least */

INLINE bool is_mpls(__be16 type)
{
    return type == T_MPLS || type == T_MPLS_MCAST;
}

/* All tags are in the frame, and the kernel takes it for IP, of which bytes may be taken: it leaves IPv6 its 40. */
INLINE long mpls_begin(struct __sk_buff *skb, struct scratch *s)
{
    if (bpf_skb_load_bytes(skb, 12, &s->eth_type, 2)) {
        return -1;
    }
    if ((skb->vlan_present || !is_taken_for_ip(skb) ||
         (skb->protocol == T_IPV6 && skb->len < L2_MAX + 40 + 2 * LABEL)) &&
        dress_as_ip(skb, s)) {
        return -1;
    }
    s->shape = ~0u; /* skb->protocol is not to be believed */
    return 0;
}

/* Makes room for a label (BY LABEL) or takes it out (-LABEL) behind the L2 header of OFS bytes, which then says TYPE.
 */
INLINE long mpls_room(struct __sk_buff *skb, struct scratch *s, __u32 ofs, __s32 by, __be16 type)
{
    __u32 skip = by < 0 ? LABEL : 0, made = by < 0 ? 0 : LABEL;

    if (ofs < ETH_HLEN || ofs > L2_MAX) {
        return -1;
    }
    return bpf_skb_load_bytes(skb, 0, s->buf, ofs) || bpf_skb_load_bytes(skb, ofs + skip, s->chunk, SPARE) ||
           bpf_skb_adjust_room(skb, by, BPF_ADJ_ROOM_MAC, 0) ||
           bpf_skb_store_bytes(skb, 0, s->buf, ofs, BPF_F_RECOMPUTE_CSUM) ||
           bpf_skb_store_bytes(skb, ofs - 2, &type, 2, BPF_F_RECOMPUTE_CSUM) ||
           bpf_skb_store_bytes(skb, ofs + made, s->chunk, SPARE, BPF_F_RECOMPUTE_CSUM);
}

static __attribute__((noinline)) long push_mpls(struct __sk_buff *skb, struct scratch *s, const struct ebpf_mpls *m)
{
    __be32 lse = m->lse;
    __be16 type = m->eth_type;
    __u32 ofs;

    if (mpls_begin(skb, s)) {
        return -1;
    }
    ofs = ETH_HLEN + (s->tags < 2 ? s->tags : 2) * 4;
    if (mpls_room(skb, s, ofs, LABEL, type) || bpf_skb_store_bytes(skb, ofs, &lse, sizeof(lse), BPF_F_RECOMPUTE_CSUM)) {
        return -1;
    }
    s->mpls = ofs;
    s->l3 = s->l4 = 0; /* below a label nobody says what it is */
    return 0;
}

/* What is below is read anew, as far as edits need it; the key's port and tunnel stay, and so do the flow's hash and
 * with it its way through tunnels. */
static __attribute__((noinline)) long pop_mpls(struct __sk_buff *skb, struct scratch *s, const struct ebpf_mpls *m)
{
    __be16 type = m->eth_type;
    __u32 ofs;

    if ((s->encap && undo_encap(skb, s)) || !s->mpls || skb->len < s->mpls + LABEL || mpls_begin(skb, s)) {
        return -1;
    }
    ofs = s->mpls;
    if (mpls_room(skb, s, ofs, -LABEL, type)) {
        return -1;
    }
    key_clear_headers(s);
    if (parse(skb, s, 0) != PARSE_OK) {
        return -1;
    }
    s->mpls = is_mpls(type) ? ofs : 0;
    return 0;
}

INLINE long set_mpls(struct __sk_buff *skb, struct scratch *s, const struct ebpf_mpls *m)
{
    __be32 lse;

    if (!s->mpls || bpf_skb_load_bytes(skb, s->mpls, &lse, sizeof(lse))) {
        return -1;
    }
    lse = (lse & ~m->mask) | (m->lse & m->mask);
    return bpf_skb_store_bytes(skb, s->mpls, &lse, sizeof(lse), BPF_F_RECOMPUTE_CSUM);
}

#endif
