/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_COMMON_BPF_H
#define WARREN_DATAPATH_EBPF_COMMON_BPF_H
/*
 * The ground that every BPF header here stands on: kernel helpers, maps, the per-CPU scratch that replaces a stack,
 * counters. The maps' layouts are shared.h's.
 *
 * A packet is taken through by one `struct scratch`: programs run to the end on their CPU and do not nest but where one
 * has another do a step for it (send_aside()), so one per CPU suffices.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "datapath/ebpf/shared.h"
#include "packet/drop.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define INLINE static inline __attribute__((always_inline))
/* A function that the verifier looks at once, whoever calls it: what keeps its work bounded. Pointers may be NULL there
 * as far as it knows. */
#define GLOBAL __attribute__((noinline))

/* Not in all headers that we may be built with (Linux 6.3). */
#define ADJ_ROOM_DECAP_L3_IPV4 (1ull << 7)
#define ADJ_ROOM_DECAP_L3_IPV6 (1ull << 8)

/* What comes of a step, beside TC actions. */
#define RUN_ON (-2) /* the list goes on */
#define RUN_UP (-3) /* user space must run it; said by return, because the stack (512 bytes) is spent down there */

#define ETH_HLEN 14
#define PT_HOST 0
#define PT_BROADCAST 1
#define PT_MULTICAST 2
#define PT_OTHERHOST 3

/* Of a super-packet: the kernel has marked it as tunnelled, and it came out of its tunnel (detour.bpf.h), or a copy
 * went into one. */
#define MARK_NONE 0
#define MARK_TUNNELLED 1
#define MARK_STUCK 2 /* nobody could cut it, not even for a veth's other end */

/* Where a tunnel packet goes. */
struct hop {
    __u32 ifindex;            /* 0: there is no route */
    __u32 mtu;                /* of the path, 0: not known */
    struct eth_addr dst, src; /* zero: the neighbour is not known yet */
    bool fresh;               /* just looked up */
    bool up;                  /* there is one, of a kind that user space takes */
};

/* The packet as it was at SAVE. */
struct saved {
    __u32 len, l3, l4, mpls;
    __u32 tags, beside; /* tags in the frame; one kept apart by the kernel, which `vlan` is */
    struct flow_vlan vlan;
    __u32 mark, priority;
    __u32 protocol; /* skb->protocol */
    struct eth_addr dst, src;
    __be16 type;
    __u8 bytes[EBPF_SAVED]; /* behind the Ethernet header */
};

/* What is known of the packet in hand. Offsets count from skb->data, which begins with the frame, or with the outer
 * frame until decap() was called. What stands before `dst` goes with it through the detour (struct detoured). */
#define STATE_LEN (sizeof(struct flow_key) + 14 * sizeof(__u32))
struct scratch {
    struct flow_key key;
    __u32 base;        /* of the frame that `key` is of: 0, or behind the outer headers */
    __u32 l3, l4;      /* 0: there is none */
    __u32 tags;        /* VLAN tags in the payload */
    __u32 len;         /* of the frame, with the tag that the kernel keeps apart */
    __u32 encap;       /* bytes that make_room() put in front and undo_encap() must take away */
    __u32 shape;       /* what they are, with `encap` */
    __u32 again;       /* the kernel was not told what they are, which it had been before */
    __u32 outer_l3;    /* EtherType (host order) of what the tunnel packet was, 0: none */
    __u32 outer_label; /* IPv6's */
    __u32 in_port;
    __u32 bare;               /* the tunnel packet came without a link header, and got one */
    __u32 mpls;               /* where the outermost label is; 0: there is none */
    __u32 slot;               /* that lookup() found */
    struct eth_addr dst, src; /* of the frame, while its header is moved */
    __be16 eth_type;
    __u16 gso_mark;        /* MARK_* */
    struct flow_vlan tag;  /* that lay beside the frame and is in it while it is encapsulated; no TPID: none */
    struct flow_vlan tag2; /* behind it, of a super-packet */
    __u8 frame_tags[8];    /* those that are in the frame, while it is encapsulated */
    __u32 n_frame_tags;
    struct bpf_fib_lookup fib;
    struct hop hop;
    struct saved saved;
    __u32 tunnel;     /* by which it came: an index of the config's */
    __u32 generation; /* the config's when it came */
    __u32 sum_mode;   /* of its outer headers (csum.bpf.h) */
    bool exact_busy;  /* there is no place for it in the exact-match cache */
    __u32 skip;       /* steps before this one are left out */
    __u32 aside;      /* the step, + 1, for which a copy of the packet is on its way (send_aside(), copy_aside()) */
    __u32 serial;     /* of the last packet that went by the detour */
    __u8 buf[128];
    __u8 chunk[256];
    __u8 kept[STATE_LEN] __attribute__((aligned(8))); /* of this, while a copy goes its own way */
    __u8 opts[EBPF_OPTS_STEPS * EBPF_OPTS_STEP];      /* that OPTS steps gave */
    __u32 rough_hints[EBPF_ROUGH_HINTS];              /* slot + 1 */
    __u32 port_hints[EBPF_PORT_HINTS];                /* by ifindex */
    struct ip_addr local;                             /* the address of this host that was asked for last, */
    __u32 local_generation;                           /* and the config's generation then, + 1 */
};
_Static_assert(offsetof(struct saved, type) == offsetof(struct saved, dst) + 2 * sizeof(struct eth_addr),
               "an Ethernet header is read into them at once");
_Static_assert(offsetof(struct scratch, eth_type) == offsetof(struct scratch, dst) + 2 * sizeof(struct eth_addr),
               "an Ethernet header is read into them at once");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} scratches SEC(".maps");

/* Slot + 1. Beside the scratch, which may have 32 KiB at most. */
struct hint_line {
    __u32 hints[EBPF_HINT_LINE];
};
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EBPF_HINTS / EBPF_HINT_LINE);
    __type(key, __u32);
    __type(value, struct hint_line);
} hints SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct ebpf_config);
} config SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, EBPF_PORTS_MAX);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct ebpf_port);
} ports SEC(".maps");

/* ifindex, or ebpf_tunnel_key(), → dp_port */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, EBPF_PORTS_MAX + EBPF_TUNNELS_MAX);
    __type(key, __u32);
    __type(value, __u32);
} ifindexes SEC(".maps");

/* This host's addresses, IPv4 in mapped form: tunnel packets to others are not ours. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct ip_addr);
    __type(value, __u32);
} local_addrs SEC(".maps");

/* ifindex → EBPF_LINK_*; no Ethernet device is here */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, EBPF_LINKS_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, __u32);
} links SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EBPF_PORTS_MAX);
    __type(key, __u32);
    __type(value, struct ebpf_port_stats);
} port_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, EBPF_MASKS_MAX);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct ebpf_mask);
} masks SEC(".maps");

/* ebpf_hash() → slot */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, EBPF_SLOTS_MAX);
    __type(key, __u64);
    __type(value, __u32);
} flow_index SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, EBPF_SLOTS_MAX);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct ebpf_slot);
} slots SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, EBPF_STEPS_POOL);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct ebpf_step);
} steps SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, EBPF_NEXTHOPS_MAX *EBPF_NEXTHOP_WAYS);
    __type(key, __u32);
    __type(value, struct ebpf_nexthop);
} nexthops SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, EBPF_METERS_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct ebpf_meter);
} meters SEC(".maps");

/* Geneve options → their number; user space's. A set that is not here comes by the host's stack, once. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, EBPF_OPTS_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ebpf_opts);
    __type(value, struct ebpf_opts_id);
} opts_ids SEC(".maps");

/* A packet that is on the detour: what must be known at its end. */
struct detoured {
    __u32 serial;
    __u32 next; /* step at which its list goes on */
    __u32 mark, priority;
    struct eth_addr dst, src;
    __be16 type;
    __u16 n_tags;
    struct flow_vlan tags[2]; /* the outermost first */
    __u8 state[STATE_LEN] __attribute__((aligned(8)));
};
_Static_assert(offsetof(struct detoured, type) == offsetof(struct detoured, dst) + 2 * sizeof(struct eth_addr),
               "an Ethernet header is read into them at once");
_Static_assert(STATE_LEN == offsetof(struct scratch, dst) && STATE_LEN % 8 == 0, "all of it, by words");

/* By serial. The kernel hands packets on in batches, so there can be several. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EBPF_DETOURED_MAX);
    __type(key, __u32);
    __type(value, struct detoured);
} detoureds SEC(".maps");

/* The device of the detour (detour.bpf.h), which takes itself out when it goes away. */
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} detours SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EBPF_DROPS_MAX);
    __type(key, __u32);
    __type(value, __u64);
} drops SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct ebpf_lookup_stats);
} lookups SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, EBPF_RING_SIZE);
} ring SEC(".maps");

/* The length of Geneve options (4 to 252, by fours) in a form that shows the verifier its bounds. */
INLINE __u32 opts_bounded(__u32 len)
{
    len = (len - 4) & 0xfc;
    barrier_var(len);
    return len + 4;
}

/* 0: there is no detour now. */
INLINE __u32 detour_device(void)
{
    __u32 zero = 0, *ifindex = bpf_map_lookup_elem(&detours, &zero);

    return ifindex ? *ifindex : 0;
}

INLINE struct scratch *scratch_get(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&scratches, &zero);
}

/* Zeroes what parse() fills in. The hash is lookup()'s, and stays that of the packet as it came. */
INLINE void key_clear_headers(struct scratch *s)
{
    const __u32 first = offsetof(struct flow_key, eth_dst);

    __builtin_memset((char *)&s->key + first, 0, offsetof(struct flow_key, dp_hash) - first);
    __builtin_memset(&s->key.nd_target, 0, sizeof(s->key.nd_target));
}

INLINE struct ebpf_config *config_get(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&config, &zero);
}

INLINE struct ebpf_lookup_stats *lookup_stats(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&lookups, &zero);
}

INLINE void count_drop(__u32 reason)
{
    __u64 *n = bpf_map_lookup_elem(&drops, &reason);

    if (n) {
        ++*n;
    }
}

/* Always TC_ACT_SHOT, so that it may end a program. */
INLINE int drop(__u32 reason)
{
    count_drop(reason);
    return TC_ACT_SHOT;
}

INLINE void count_tx(__u32 port, __u32 len)
{
    struct ebpf_port_stats *s = bpf_map_lookup_elem(&port_stats, &port);

    if (s) {
        s->tx_packets++;
        s->tx_bytes += len;
    }
}

INLINE void count_tx_drop(__u32 port, __u32 reason)
{
    struct ebpf_port_stats *s = bpf_map_lookup_elem(&port_stats, &port);

    if (s) {
        s->tx_dropped++;
    }
    count_drop(reason);
}

INLINE void count_rx_drop(__u32 port)
{
    struct ebpf_port_stats *s = bpf_map_lookup_elem(&port_stats, &port);

    if (s) {
        s->rx_dropped++;
    }
}

INLINE void count_rx(__u32 port, __u32 len)
{
    struct ebpf_port_stats *s = bpf_map_lookup_elem(&port_stats, &port);

    if (s) {
        s->rx_packets++;
        s->rx_bytes += len;
    }
}

#endif
