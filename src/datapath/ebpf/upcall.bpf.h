/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_UPCALL_BPF_H
#define WARREN_DATAPATH_EBPF_UPCALL_BPF_H
/*
 * Packets on their way up: the whole frame with its metadata in a ring record.
 *
 * A record's size must be a constant, so there are a few. Each port has a budget (a token bucket) of packets that it
 * may send up, so that a scan on one port leaves the ring and the slow path to the others. Whether the L4 checksum is
 * one that the device would have to complete cannot be asked here; user space finds out by looking (upcall.c).
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

#define NSEC_PER_SEC 1000000000ull

/* COST tokens from the budget of PORT, at time NOW. Two CPUs may both fill it up at a time: that gives a port a few
 * packets too many, which does no harm. One that looked at the clock before the other did so fills up nothing: taken as
 * an age, the time that it is behind would be worth a whole burst, as often as two CPUs have packets to send up. */
INLINE bool budget_take(struct ebpf_config *c, __u32 number, __u32 cost, __u64 now)
{
    struct ebpf_port *port = bpf_map_lookup_elem(&ports, &number);
    __s64 passed;
    __u64 fill;

    if (!port || !c->upcall_rate) {
        return true;
    }
    passed = now - port->filled_ns;
    passed = passed > 0 ? passed : 0;
    if (passed > (__s64)NSEC_PER_SEC) {
        passed = NSEC_PER_SEC;
    }
    fill = (__u64)passed * c->upcall_rate / NSEC_PER_SEC;
    if (fill) {
        __u64 tokens = port->tokens + fill;

        port->filled_ns = now;
        port->tokens = tokens > c->upcall_burst ? c->upcall_burst : tokens;
    }
    if (port->tokens < cost) {
        return false;
    }
    port->tokens -= cost;
    return true;
}

INLINE void upcall_fill(struct __sk_buff *skb, const struct scratch *s, struct ebpf_upcall *u, __u32 kind, __u32 arg,
                        __u64 id, __u64 len, __u64 now)
{
    u->kind = kind;
    u->arg = arg;
    u->len = len;
    u->in_port = s->in_port;
    u->mark = skb->mark;
    u->priority = skb->priority;
    u->vlan = (struct flow_vlan){0};
    u->gso_size = skb->gso_size;
    u->id = id;
    u->slot = s->slot;
    u->pad = 0;
    u->key = s->key;
    u->ns = now;
    if (!s->base && skb->vlan_present) {
        u->vlan.tpid = (__be16)skb->vlan_proto;
        u->vlan.tci = bpf_htons(skb->vlan_tci);
    }
}

#define UPCALL_CLASS(SIZE)                                                                                             \
    if (len <= (SIZE)) {                                                                                               \
        u = bpf_ringbuf_reserve(&ring, sizeof(*u) + (SIZE), 0);                                                        \
        if (!u) {                                                                                                      \
            return no_room(kind);                                                                                      \
        }                                                                                                              \
        upcall_fill(skb, s, u, kind, arg, id, len, now);                                                               \
        if (bpf_skb_load_bytes(skb, s->base, u + 1, len)) {                                                            \
            bpf_ringbuf_discard(u, 0);                                                                                 \
            return no_room(kind);                                                                                      \
        }                                                                                                              \
        bpf_ringbuf_submit(u, 0);                                                                                      \
        return TC_ACT_SHOT;                                                                                            \
    }

INLINE bool is_translated(__u32 kind)
{
    return kind == EBPF_UPCALL_MISS || kind == EBPF_UPCALL_UNKNOWN || kind == EBPF_UPCALL_LEARN;
}

/* Of the ring, half is for packets that need a translation: super-packets that are only run cost a port's budget little
 * and the ring much, and a port with many of them would take the others' first packets their room. */
INLINE bool ring_is_full(__u32 kind)
{
    return !is_translated(kind) && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > EBPF_RING_SIZE / 2;
}

INLINE int no_room(__u32 kind)
{
    return ebpf_upcall_is_copy(kind) ? TC_ACT_SHOT : drop(DROP_UPCALL_QUEUE);
}

/* The packet goes up, if its port's budget allows; what is left of it here is to be dropped: returns TC_ACT_SHOT. */
GLOBAL int upcall(struct __sk_buff *skb, struct scratch *s, __u32 kind, __u32 arg, __u64 id)
{
    struct ebpf_config *c = config_get();
    struct ebpf_upcall *u;
    __u64 len, now;

    if (!s) {
        return TC_ACT_SHOT;
    }
    /* All of 64 bits, and not known to be less: before Linux 6.8 the verifier forgets a bound at a 32-bit move. */
    len = skb->len - s->base;
    barrier_var(len);
    now = bpf_ktime_get_ns();
    if (!c || ring_is_full(kind) ||
        !budget_take(c, s->in_port, is_translated(kind) ? EBPF_COST_MISS : EBPF_COST_RUN, now)) {
        return no_room(kind);
    }
    if (len < ETH_HLEN) {
        return drop(DROP_TRUNCATED);
    }
    barrier_var(len); /* or the compiler would compare another register, of which Linux 6.1 learns nothing */
    if (len > 66000) {
        return drop(DROP_TRUNCATED);
    }
    if (ebpf_upcall_is_copy(kind)) {
        arg = len;
        len = len < 256 ? len : 256;
    }
    UPCALL_CLASS(256);
    UPCALL_CLASS(1600);
    UPCALL_CLASS(9100);
    UPCALL_CLASS(66000);
    return TC_ACT_SHOT;
}

#endif
