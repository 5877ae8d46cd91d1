/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_TRUNC_BPF_H
#define WARREN_DATAPATH_EBPF_TRUNC_BPF_H
/*
 * Frames that are cut for an output (OpenFlow's max_len, a mirror's snaplen).
 *
 * Problem: a cut frame's checksum must be what the whole frame's was, and a frame whose checksum is left to the device
 * has none yet; the device would sum up what is left of it. Idea: the device adds what it finds in the checksum field,
 * the seed, to what it sums up; so the sum of the bytes that are cut off is added to the seed.
 *
 * What is cut stays cut: only a list's last output may do so (EBPF_STEP_LAST). Everything else goes up, that one output
 * only: other truncated outputs, SCTP whose CRC is left to the device, checksums that are not where the seed tells,
 * super-packets that are cut to more than the kernel lets BPF write (16 KiB).
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/csum.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

/* A frame of so many bytes fits through every tunnel (IPv6's smallest MTU is 1280). A longer one may be handed up
 * behind the cut, with a seed that nobody there could tell from a checksum. */
#define CUT_FITS 1100

/* The checksum field that the device would complete; 0: none that we know. */
INLINE __u32 seed_ofs(const struct scratch *s)
{
    if (!s->l4 || s->key.ip_frag) {
        return 0;
    }
    return s->key.ip_proto == IP_PROTO_TCP ? s->l4 + 16 : s->key.ip_proto == IP_PROTO_UDP ? s->l4 + 6 : 0;
}

/* The sum of the pseudo-header of the packet's L4 header, which is what a seed is. */
INLINE __u64 pseudo_sum(struct __sk_buff *skb, struct scratch *s)
{
    if (s->key.eth_type == T_IPV4) {
        struct w_ip4 *ip = (struct w_ip4 *)(void *)s->chunk;
        __u32 len;

        if (bpf_skb_load_bytes(skb, s->l3, ip, sizeof(*ip))) {
            return 0;
        }
        len = ip->tot_len ? bpf_ntohs(ip->tot_len) - (s->l4 - s->l3) : skb->len - s->l4;
        return sum_words(&ip->src, 4) + bpf_htons(ip->proto) + bpf_htonl(len);
    } else {
        struct w_ip6 *ip = (struct w_ip6 *)(void *)s->chunk;
        __u32 end;

        if (bpf_skb_load_bytes(skb, s->l3, ip, sizeof(*ip))) {
            return 0;
        }
        end = ip->plen ? s->l3 + sizeof(*ip) + bpf_ntohs(ip->plen) : skb->len;
        return sum_words(&ip->src, 16) + bpf_htons(s->key.ip_proto) + bpf_htonl(end - s->l4);
    }
}

/* The sum of the bytes from FROM on, as a checksum that counts from s->l4 sees them; false: they cannot be read. */
INLINE bool tail_sum(struct __sk_buff *skb, struct scratch *s, __u32 from, __u64 *sum)
{
    struct sum_loop loop = {.skb = skb, .s = s, .ofs = from};

    bpf_loop(SUM_TAIL_MAX / CHUNK, sum_chunk, &loop, 0);
    if (loop.ofs < skb->len) {
        return false;
    }
    *sum = fold((__u32)loop.sum);
    if ((from - s->l4) & 1) {
        *sum = (*sum >> 8 | *sum << 8) & 0xffff;
    }
    return true;
}

/* Adds the bytes from LEN on to the seed. */
INLINE long seed_add_tail(struct __sk_buff *skb, struct scratch *s, __u32 ofs, __u32 len, __u16 *old)
{
    __u64 sum;
    __u16 seed;

    if (!ofs || len < ofs + 2 || bpf_skb_load_bytes(skb, ofs, old, 2) || fold(*old) != fold(pseudo_sum(skb, s)) ||
        !tail_sum(skb, s, len, &sum)) {
        return -1;
    }
    seed = fold(*old + sum);
    return bpf_skb_store_bytes(skb, ofs, &seed, 2, 0);
}

/* Cuts the frame to MAX bytes, unless it is no longer than that. SUMMED: somebody sums up the frame behind us, so
 * nothing may be left to the device. 0, or not: then the frame is as it was, and user space must do it. */
GLOBAL int cut(struct __sk_buff *skb, struct scratch *s, __u32 max, __u32 summed)
{
    __u32 len, ofs;
    __u16 seed = 0;
    int partial;

    if (!s) {
        return -1;
    }
    len = max - (skb->vlan_present ? 4 : 0);
    if (len >= skb->len) {
        return 0;
    }
    if (len < ETH_HLEN) {
        return -1; /* not even the tag is left, which is beside the frame */
    }
    partial = is_partial(skb);
    if (partial < 0 || (partial ? summed : skb->gso_size)) {
        return -1;
    }
    ofs = seed_ofs(s);
    if (partial && seed_add_tail(skb, s, ofs, len, &seed)) {
        return -1;
    }
    if (!bpf_skb_change_tail(skb, len, 0)) {
        return 0;
    }
    if (partial) {
        bpf_skb_store_bytes(skb, ofs, &seed, 2, 0);
    }
    return -1;
}

#endif
