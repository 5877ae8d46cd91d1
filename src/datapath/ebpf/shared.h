/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_SHARED_H
#define WARREN_DATAPATH_EBPF_SHARED_H
/*
 * What the BPF programs and user space share: the layout of every map, the encoding of compiled actions, and limits.
 * Includes only what both sides can.
 *
 * Any change here that old programs and new user space (or the other way round) would read differently raises
 * EBPF_LAYOUT: pinned maps of another layout are not adopted.
 *
 * Who writes what. User space: all of config, ports, ifindexes, masks, flow_index, steps, and slots but for their
 * counters. BPF: the counters, the budgets, the next-hop cache (but for routes' MTUs), the ring. Slots and steps are
 * given out by user space, and given out again only EBPF_QUARANTINE_MS after they were dead: no program that still runs
 * on the old contents can see the new.
 */
#include <linux/bpf.h>
#include <stddef.h>

#include "datapath/meter.h"
#include "packet/flow_key.h"

#define EBPF_LAYOUT 27

#define EBPF_MASKS_MAX 256     /* a power of 2 */
#define EBPF_SLOTS_MAX 65536   /* megaflows (and dead ones in quarantine); a power of 2 */
#define EBPF_STEPS_INLINE 4    /* in a slot; longer lists go on in the steps map */
#define EBPF_STEPS_MAX 1024    /* of one flow */
#define EBPF_STEPS_POOL 16384  /* a power of 2 */
#define EBPF_PORTS_MAX 8192    /* dp_port numbers are below; a power of 2 */
#define EBPF_TUNNELS_MAX 16    /* tunnel ports */
#define EBPF_HINTS 32768       /* per CPU, of connections; a power of 2 */
#define EBPF_HINT_LINE 16      /* of them lie together; a power of 2 */
#define EBPF_EXACT_PLACES 2048 /* per CPU, of the exact-match cache; a power of 2 */
#define EBPF_ROUGH_HINTS 1024  /* per CPU, of stations; a power of 2 */
#define EBPF_PORT_HINTS 256    /* per CPU; a power of 2 */
#define EBPF_SAVED 128         /* bytes behind the Ethernet header that are put back after a clone; a power of 2 */
#define EBPF_NEXTHOPS_MAX 4096
#define EBPF_NEXTHOP_WAYS 16 /* entries of one remote, chosen by the flow's hash, so that ECMP spreads */
#define EBPF_OPTS_MAX 4096   /* sets of Geneve options that are known when they come in */
#define EBPF_OPTS_LEN 252    /* of a set at most (RFC 8926, 3.4) */
#define EBPF_DROPS_MAX 64    /* enum drop_reason fits */
#define EBPF_RING_SIZE (8u << 20)
#define EBPF_QUARANTINE_MS 1000
#define EBPF_NEXTHOP_NS 100000000ull /* how long the answer of a route lookup is believed, at most */

/* The detour's tunnel (detour.h): addresses by their first and last 16 bits, zeros between. */
#define EBPF_DETOUR_NET 0xfd00
#define EBPF_DETOUR_FROM 1
#define EBPF_DETOUR_TO 2
#define EBPF_DETOUR_MAGIC 0x77726e64u /* in the private header */
#define EBPF_DETOURED_MAX 64          /* super-packets of a CPU on the detour at a time; a power of 2 */

/* --- compiled actions --- */

enum ebpf_op {
    EBPF_OP_NONE,
    EBPF_OP_OUTPUT, /* port: a netdev */
    EBPF_OP_TUNNEL, /* port: a tunnel; u.tunnel: encapsulate and send */
    EBPF_OP_DROP,   /* arg: enum drop_reason; ends the list */
    EBPF_OP_PUNT,   /* whole packet to user space, which runs the flow's actions; always the only step */
    EBPF_OP_SLOW,   /* arg: enum dp_slow_reason: whole packet to user space as an upcall; only meters stand before it */
    EBPF_OP_PUSH_VLAN,
    EBPF_OP_POP_VLAN,
    EBPF_OP_SET_VLAN,
    EBPF_OP_SET_ETH,
    EBPF_OP_SET_IPV4,
    EBPF_OP_SET_IPV6_SRC,
    EBPF_OP_SET_IPV6_DST,
    EBPF_OP_SET_IPV6, /* traffic class, hop limit, flow label */
    EBPF_OP_SET_TP,
    EBPF_OP_SET_ARP,
    EBPF_OP_SET_ND,
    EBPF_OP_SET_MARK,
    EBPF_OP_TRUNC,    /* OUTPUT or, with EBPF_STEP_TUNNEL, TUNNEL, of `trunc` bytes of the frame at most */
    EBPF_OP_METER,    /* arg: meter */
    EBPF_OP_PRIORITY, /* arg: skb->priority from here on */
    EBPF_OP_PUSH_MPLS,
    EBPF_OP_POP_MPLS,
    EBPF_OP_SET_MPLS,
    EBPF_OP_SAVE, /* a clone that is not the last action begins: RESTORE takes back all changes from here on */
    EBPF_OP_RESTORE,
    EBPF_OP_ASIDE, /* as SAVE, of a part that changes what cannot be taken back: a copy does the `arg` steps behind */
    EBPF_OP_ASIDE_END, /* the last of them */
    EBPF_OP_OPTS,      /* u.opts: the bytes from `arg` on of the Geneve options of the next output that has some */
    EBPF_OP_MAX,
};

/* OUTPUT, TUNNEL, TRUNC: nothing follows, so the packet itself goes and not a copy. */
#define EBPF_STEP_LAST 1
#define EBPF_STEP_TUNNEL 2 /* of TRUNC */

/* Every value `v` under mask `m`, in network byte order. */
struct ebpf_set_eth {
    struct eth_addr dst, src, m_dst, m_src;
};
struct ebpf_set_ipv4 {
    __be32 src, dst, m_src, m_dst;
    __u8 tos, ttl, m_tos, m_ttl;
};
struct ebpf_set_addr6 {
    struct ip_addr v, m;
};
struct ebpf_set_ipv6 {
    __be32 word, m_word; /* the first word of the header: version zero, traffic class, label */
    __u8 ttl, m_ttl, pad[2];
};
struct ebpf_set_tp {
    __be16 src, dst, m_src, m_dst; /* ICMP type and code: in the low byte */
};
struct ebpf_set_arp {
    __be32 spa, tpa, m_spa, m_tpa;
    struct eth_addr sha, tha, m_sha, m_tha;
    __u8 op, m_op, pad[2];
};
struct ebpf_set_nd {
    struct ip_addr target, m_target;
    struct eth_addr sll, tll, m_sll, m_tll;
};
struct ebpf_mpls {
    __be32 lse, mask;
    __be16 eth_type; /* PUSH: of the label; POP: of what is below */
    __u16 pad;
};
struct ebpf_set_u32 {
    __u32 v, m;
};
struct ebpf_tunnel {
    struct ip_addr src, dst; /* src is never zero: user space resolves it */
    __be64 id;
    __u32 nexthop; /* first of EBPF_NEXTHOP_WAYS entries */
    __be16 udp_dst;
    __u16 flags; /* FLOW_TNL_* */
    __u8 tos, ttl;
    __u8 kind; /* enum ebpf_tunnel_kind */
    __u8 ipv6;
    __u8 opts_len; /* Geneve options, which OPTS steps gave before */
    __u8 critical; /* one of them is */
    __u16 ip_sum;  /* of an IPv4 header's words in memory order, but for length, identification and checksum */
};

#define EBPF_OPTS_STEP 56 /* bytes of an OPTS step */
#define EBPF_OPTS_STEPS ((EBPF_OPTS_LEN + EBPF_OPTS_STEP - 1) / EBPF_OPTS_STEP)

enum ebpf_tunnel_kind { EBPF_VXLAN, EBPF_GRE, EBPF_GENEVE };

struct ebpf_step {
    __u8 op;    /* enum ebpf_op */
    __u8 flags; /* EBPF_STEP_* */
    union {
        __u16 trunc; /* outputs */
        __u16 skip;  /* all others: not the end of the list, but of a clone: so many steps on; 0: of the list */
    };
    union {
        __u32 arg;
        __u32 port;
    };
    union {
        struct flow_vlan vlan;   /* PUSH_VLAN; tci without FLOW_VLAN_PRESENT */
        struct ebpf_set_u32 u32; /* SET_MARK; SET_VLAN: the tci in host order */
        struct ebpf_set_eth eth;
        struct ebpf_set_ipv4 ipv4;
        struct ebpf_set_addr6 addr6;
        struct ebpf_set_ipv6 ipv6;
        struct ebpf_set_tp tp;
        struct ebpf_set_arp arp;
        struct ebpf_set_nd nd;
        struct ebpf_mpls mpls;
        struct ebpf_tunnel tunnel;
        __u8 opts[56];
        __u64 words[7];
    } u;
};

/* --- flows --- */

#define EBPF_FLOW_MPLS 1u       /* has MPLS steps */
#define EBPF_FLOW_SAVE 2u       /* has SAVE steps */
#define EBPF_FLOW_ASIDE 8u      /* has ASIDE steps */
#define EBPF_FLOW_ONE_OUTPUT 4u /* outputs the packet once, to a netdev, and as the last step */
#define EBPF_FLOW_EXACT 16u     /* the exact-match cache can do its steps (exact.bpf.h) */

/* A megaflow. `live` is written last when it is made and first when it goes. */
struct ebpf_slot {
    struct flow_key key; /* masked */
    __u32 mask;          /* index into masks */
    __u32 flags;         /* EBPF_FLOW_* */
    __u32 n_steps;
    __u32 more; /* where in the steps map the list goes on behind the inline steps */
    __u32 pad[2];
    /* From here on, a cache line, all that the exact-match cache touches. */
    __u64 id; /* dp_flow_id */
    __u64 packets, bytes;
    __u64 used_ns;   /* CLOCK_MONOTONIC; also of a packet that was not counted, for which it was made */
    __u64 tcp_flags; /* host order */
    __u32 live;
    __u32 pad2[5];
    struct ebpf_step steps[EBPF_STEPS_INLINE];
};

struct ebpf_mask {
    struct flow_key mask;
    __u32 live;
    __u32 pad;
};

/* --- ports --- */

#define EBPF_PORT_POLICED 2u /* meters EBPF_METER_POLICE_* + number say what it may receive */
#define EBPF_PORT_PEER 1u    /* a veth whose other end is in another network namespace: bpf_redirect_peer() works */
#define EBPF_PORT_LEARN 8u   /* another version's program is behind ours: what has no flow is left to it, and learned */
#define EBPF_PORT_VETH 4u    /* takes a super-packet as it is, whatever the kernel has marked it with */
#define EBPF_PORT_PROMISC 16u /* user space's: IFF_PROMISC of the device is ours to take back */

struct ebpf_port {
    __u32 ifindex;       /* 0: no such port, or a tunnel */
    __u32 flags;         /* EBPF_PORT_* */
    struct eth_addr mac; /* of the peer, with EBPF_PORT_PEER */
    __u16 mtu;
    /* What the port may still send up; BPF's. */
    __u32 tokens;
    __u32 pad;
    __u64 filled_ns;
    __u64 pad2[4];
};

/* --- devices that are no Ethernet devices --- */

#define EBPF_LINKS_MAX 4096
#define EBPF_LINK_OTHER 1u  /* that alone: only the kernel's neighbour output knows its header */
#define EBPF_LINK_BARE 2u   /* packets come in without a link header */
#define EBPF_LINK_DIRECT 4u /* and go out without, and without a neighbour */
#define EBPF_LINK_UP 8u     /* what goes out is user space's */

/* --- Geneve options that come in --- */

/* A set of options as on the wire, with zeros behind it, leads to its number (packet/tunnel_opts.h). */
struct ebpf_opts {
    __u32 len;
    __u8 data[EBPF_OPTS_LEN];
};
struct ebpf_opts_id {
    __u32 id;
    __u32 flags; /* FLOW_TNL_CRIT */
};

/* --- meters --- */

#define EBPF_METERS_MAX 16384
/* Keys of the meters map: DP_ACTION_METER's ids are below these. */
#define EBPF_METER_POLICE_BITS 0x10000u
#define EBPF_METER_POLICE_PACKETS 0x20000u

/* In cb[] of the program meter_ask, whose answer is whether the frame may pass. */
enum { EBPF_ASK_METER, EBPF_ASK_LEN, EBPF_ASK_PACKETS };

struct ebpf_meter {
    struct bpf_spin_lock lock; /* of all that follows */
    __u32 pad;
    struct dp_meter meter;
};

struct ebpf_port_stats { /* per CPU */
    __u64 rx_packets, rx_bytes, rx_dropped;
    __u64 tx_packets, tx_bytes, tx_dropped;
};

struct ebpf_tunnel_port {
    __u32 port; /* dp_port; 0: free */
    __be16 udp_dst;
    __u8 kind;
    __u8 pad;
};

/* BPF's cache of where to send. CPUs write it without a lock: three words of which each carries the same tag in its low
 * 16 bits, or they do not belong together and are not believed. */
struct ebpf_nexthop {
    __u64 dst, src;   /* Ethernet addresses of the outer frame as they are in memory; then the tag */
    __u64 via;        /* ifindex << 32 | MTU of the path << 16 | tag */
    __u64 expires_ns; /* 0: nothing is known */
    __u32 generation; /* the config's when it was written */
    __u32 route_mtu;  /* user space's: that of the route, 0: not known; or EBPF_ROUTE_UP */
};
#define EBPF_ROUTE_UP 1 /* user space sends: IPsec may be meant */

struct ebpf_config {
    __u32 layout;
    __u32 n_masks;                   /* masks at and beyond are dead */
    __u64 seed;                      /* of the flow hash */
    __u32 fib_ifindex;               /* a device of ours with forwarding on, on whose behalf routes are looked up */
    __u32 decap_l3;                  /* the kernel knows BPF_F_ADJ_ROOM_DECAP_L3_* */
    __u32 upcall_rate, upcall_burst; /* per port; tokens/s, tokens; rate 0: no limit */
    __u32 sample;                    /* one packet in so many goes up as a sample; 0: none */
    __u32 n_tunnels;
    __u32 generation;      /* raised when routes, neighbours, addresses, ports or tunnels changed: what nexthops know
                              is old, and the exact-match cache's entries, too */
    __u32 rules_by_mark;   /* the host chooses routes by marks, which next hops are not kept by */
    __u32 rules_by_origin; /* it has routes for what itself sends (iif lo), which the programs' lookups do not get */
    __u32 guarded_in;      /* IPsec may be wanted of tunnel packets that come in, which the host's stack sees to */
    __u64 bare;            /* bit ifindex % 64 of each device that is EBPF_LINK_BARE */
    struct ebpf_tunnel_port tunnels[EBPF_TUNNELS_MAX];
};

struct ebpf_lookup_stats { /* per CPU */
    __u64 hits, misses;
    __u64 hint_hits, exact_hits; /* of the hits */
    __u64 until_sample;          /* BPF's: so many packets on one goes up as a sample */
};

/* --- up to user space --- */

/* What a packet costs of its port's budget: one that needs a translation, as a scan's do, and one that user space only
 * has to run. */
#define EBPF_COST_MISS 10
#define EBPF_COST_RUN 1

enum ebpf_upcall_kind {
    EBPF_UPCALL_MISS = 1,
    EBPF_UPCALL_PUNT,    /* user space runs the flow's actions */
    EBPF_UPCALL_SLOW,    /* arg: enum dp_slow_reason */
    EBPF_UPCALL_UNKNOWN, /* the parser gave up: user space looks the packet up, too */
    EBPF_UPCALL_SAMPLE,  /* the headers of a packet of `arg` bytes on which the fast path runs the flow `id` */
    EBPF_UPCALL_OUTPUT,  /* arg: step of the flow `id` which user space is to do: a next hop whose neighbour is not
                            known, a frame that is too big for the path, or one that cannot be cut */
    EBPF_UPCALL_LEARN,   /* the headers of a packet of `arg` bytes, which has no flow and which another version's
                            program forwards (EBPF_PORT_LEARN) */
};

/* The packet itself goes another way: headers suffice, and nothing is lost if there is no room. */
static inline _Bool ebpf_upcall_is_copy(__u32 kind)
{
    return kind == EBPF_UPCALL_SAMPLE || kind == EBPF_UPCALL_LEARN;
}

/* What a later version, whatever its EBPF_LAYOUT, understands of this one's maps (former.h): the ring's records, whose
 * form has a number of its own, which every change to them or to enum ebpf_upcall_kind raises, and the map ifindexes.
 */
#define EBPF_RING_FORM 1

/* The key of a tunnel port among ifindexes: no device has such a number. */
static inline __u32 ebpf_tunnel_key(__u8 kind, __u16 udp_dst)
{
    return 1u << 31 | (__u32)kind << 16 | udp_dst;
}

/* A ring record: this, then the frame from its Ethernet header on (without the tag that is in vlan). */
struct ebpf_upcall {
    __u32 kind;
    __u32 arg;
    __u32 len; /* of the frame */
    __u32 in_port;
    __u32 mark, priority;  /* as steps have set them */
    struct flow_vlan vlan; /* as on the wire, with the CFI bit; no TPID: there is none */
    __u32 gso_size;        /* 0: no super-packet */
    __u32 slot;            /* OUTPUT: where the flow `id` was then */
    __u32 pad;
    __u64 id;            /* of the flow, where there is one */
    __u64 ns;            /* when it came, by bpf_ktime_get_ns() */
    struct flow_key key; /* its tunnel; OUTPUT: of the packet as it came, before any step */
};

_Static_assert(sizeof(struct ebpf_step) == 64, "ebpf_step layout");
_Static_assert(sizeof(struct ebpf_opts) == 256, "ebpf_opts layout");
_Static_assert(sizeof(struct ebpf_slot) == 512 && offsetof(struct ebpf_slot, id) == 192, "ebpf_slot layout");
_Static_assert(sizeof(struct ebpf_mask) == 176, "ebpf_mask layout");
_Static_assert(sizeof(struct ebpf_port) == 64, "ebpf_port layout");
_Static_assert(sizeof(struct ebpf_upcall) == 56 + 168, "ebpf_upcall layout");

/* The hash of KEY under MASK, whose index is part of it; the same function on both sides. Two chains, so that the
 * processor can run them side by side; every step is a bijection of its input, so that no two keys that differ in one
 * word collide. */
static inline __attribute__((always_inline)) __u64 ebpf_hash(const struct flow_key *key, const struct flow_key *mask,
                                                             __u64 seed, __u32 mask_index)
{
    const __u64 *k = (const __u64 *)(const void *)key, *m = (const __u64 *)(const void *)mask;
    __u64 a = seed, b = ~seed ^ mask_index;

#pragma GCC unroll 21
    for (int i = 0; i < (int)FLOW_KEY_U64S - 1; i += 2) {
        a = (a ^ (k[i] & m[i])) * 0x9ddfea08eb382d69ull;
        b = (b ^ (k[i + 1] & m[i + 1])) * 0xc2b2ae3d27d4eb4full;
        a ^= a >> 29;
        b ^= b >> 31;
    }
    a = (a ^ (k[FLOW_KEY_U64S - 1] & m[FLOW_KEY_U64S - 1])) * 0x9ddfea08eb382d69ull;
    a ^= a >> 32;
    a = (a ^ b) * 0xc2b2ae3d27d4eb4full;
    return a ^ a >> 32;
}

#endif
