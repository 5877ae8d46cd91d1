/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_METER_BPF_H
#define WARREN_DATAPATH_EBPF_METER_BPF_H
/*
 * Meters and policing: the token buckets of datapath/meter.h, under a lock each. The packets of the slow path draw from
 * the same: user space asks by running a program (meter_ask), since it cannot take the lock.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

/* Frames that the packet, of protocol PROTO at L4, will be on the wire. What VMs send says of how many it is made only
 * later. */
INLINE __u32 segments(struct __sk_buff *skb, __u8 proto, __u32 l4)
{
    __u32 size = skb->gso_size, headers;

    if (!size) {
        return 1;
    }
    if (skb->gso_segs) {
        return skb->gso_segs;
    }
    headers = l4 + super_l4_len(skb, proto, l4, sizeof(struct w_tcp));
    return headers < skb->len ? (skb->len - headers + size - 1) / size : 1;
}

/* The frame's length, with the tag that lies beside it or in a tunnel's header that is around it. */
INLINE __u32 frame_len(struct __sk_buff *skb, const struct scratch *s)
{
    return skb->len - s->encap + (skb->vlan_present || (s->encap && s->tag.tpid) ? 4 : 0);
}

/* 0: over the rate. A meter that is not there lets everything pass. */
GLOBAL int meter_take(__u32 id, __u32 len, __u32 packets)
{
    struct ebpf_meter *m = bpf_map_lookup_elem(&meters, &id);
    __u64 now_ms =
        bpf_ktime_get_ns() / 1000000; /* not the coarse clock: between two ticks small bursts would be full */
    int band;

    if (!m) {
        return 1;
    }
    bpf_spin_lock(&m->lock);
    band = dp_meter_admit(&m->meter, len, packets, now_ms);
    bpf_spin_unlock(&m->lock);
    return band < 0;
}

INLINE bool meter_admits(struct __sk_buff *skb, const struct scratch *s, __u32 id, __u32 len)
{
    return meter_take(id, len, segments(skb, s->key.ip_proto, s->encap + s->l4));
}

/* What PORT may receive. */
INLINE bool police_admits(__u32 port, __u32 len, __u32 packets)
{
    return meter_take(EBPF_METER_POLICE_BITS + port, len, packets) &&
           meter_take(EBPF_METER_POLICE_PACKETS + port, len, packets);
}

#endif
