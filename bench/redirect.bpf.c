/* SPDX-License-Identifier: Apache-2.0 */
/* Frames go on as they are: no parsing, no lookup, no header. What no fast path on the same devices can be faster than. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

const volatile int to_ifindex;

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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
