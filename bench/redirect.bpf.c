/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no fast path on the same devices can be faster than: frames that go on as they are, and frames in a tunnel of
 * which everything is known beforehand. No parsing, no lookup, no counter, no check.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "redirect.h"

const volatile int to_ifindex;
/* What comes in front of a frame in place of its Ethernet header, but for lengths and the checksum, and what stands
 * there when it comes out. */
struct tunnel_head head;
unsigned int head_sum; /* of the IP header, as it is there */
struct tunnel_eth frame;

#define ROOM ((int)(sizeof(head) - sizeof(frame)))

SEC("tc")
int redirect_out(struct __sk_buff *skb)
{
    return (int)bpf_redirect((unsigned int)to_ifindex, 0);
}

SEC("tc")
int redirect_in(struct __sk_buff *skb)
{
    /* The far end of the veth never sees the frame's arrival, so nobody else says for whom it is. */
    bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
    return (int)bpf_redirect_peer((unsigned int)to_ifindex, 0);
}

/* ARP goes around the tunnel. */
static bool is_ipv4(const struct __sk_buff *skb)
{
    return skb->protocol == bpf_htons(0x0800);
}

SEC("tc")
int tunnel_out(struct __sk_buff *skb)
{
    __u32 ip_len = skb->len + ROOM - sizeof(frame), sum;
    struct tunnel_head h;

    if (!is_ipv4(skb)) {
        return redirect_out(skb);
    }
    __builtin_memcpy(&h, &head, sizeof(h));
    h.ip.tot_len = bpf_htons(ip_len);
    h.udp.len = bpf_htons(ip_len - sizeof(h.ip));
    sum = head_sum + h.ip.tot_len;
    sum = (sum & 0xffff) + (sum >> 16);
    h.ip.check = ~((sum & 0xffff) + (sum >> 16));
    if (bpf_skb_adjust_room(skb, ROOM, BPF_ADJ_ROOM_MAC,
                            BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
                                BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(frame))) ||
        bpf_skb_store_bytes(skb, 0, &h, sizeof(h), 0)) {
        return TC_ACT_SHOT;
    }
    return (int)bpf_redirect((unsigned int)to_ifindex, 0);
}

SEC("tc")
int tunnel_in(struct __sk_buff *skb)
{
    if (!is_ipv4(skb)) {
        return redirect_in(skb);
    }
    if (bpf_skb_adjust_room(skb, -ROOM, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
        bpf_skb_store_bytes(skb, 0, &frame, sizeof(frame), 0)) {
        return TC_ACT_SHOT;
    }
    return (int)bpf_redirect_peer((unsigned int)to_ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
