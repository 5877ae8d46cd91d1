/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_ACTION_H
#define WARREN_DATAPATH_ACTION_H
/*
 * Datapath actions: the short list that the pipeline's answer is boiled down to. A list is a run of `struct dp_action`
 * headers, each followed by its body and padded to 8 bytes; `len` counts header, body and padding.
 * Shared with BPF: only <linux/types.h> is included.
 */
#include "packet/flow_key.h"

enum dp_action_type {
    DP_ACTION_OUTPUT = 1, /* dp_action_port: to a datapath port; a tunnel port uses what SET_TUNNEL set last */
    DP_ACTION_SET_TUNNEL, /* flow_tunnel: where and how the next tunnel outputs encapsulate; src all zero: the route's
                             choice */
    DP_ACTION_PUSH_VLAN,  /* flow_vlan (tci without FLOW_VLAN_PRESENT) */
    DP_ACTION_POP_VLAN,   /* no body */
    DP_ACTION_SET,        /* dp_action_set: masked change of header fields that the packet has */
    DP_ACTION_PUSH_MPLS,  /* dp_action_mpls */
    DP_ACTION_POP_MPLS,   /* dp_action_mpls: eth_type is what remains */
    DP_ACTION_TRUNC,      /* dp_action_u32: bytes that the next output sends at most */
    DP_ACTION_SLOW,  /* dp_action_u32 (enum dp_slow_reason): the whole packet goes up, and user space does the rest */
    DP_ACTION_METER, /* dp_action_u32: meter id */
    DP_ACTION_CLONE, /* nested actions, run on a copy */
    DP_ACTION_DROP,  /* dp_action_u32 (enum drop_reason): counted; ends the list */
    DP_ACTION_SET_PRIORITY, /* dp_action_u32: skb->priority of the outputs to come (DP_QUEUE_PRIORITY), 0: none */
};

/* Why a flow's packets go up one by one. */
enum dp_slow_reason { DP_SLOW_CONTROLLER = 1, DP_SLOW_ACTION };

struct dp_action {
    __u16 type;
    __u16 len;
    __u32 arg; /* the u32 or the port of actions that have no other body; else 0 */
};

/* The priority by which tc's class 1:(queue + 1) takes a packet: OpenFlow queue QUEUE of whichever port it leaves by
 * (QoS rows make these classes). Queues from 0xfffe have no class. */
#define DP_QUEUE_PRIORITY(queue) ((__u32)0x10000 | ((__u32)(queue) + 1))
#define DP_QUEUE_MAX 0xfffd
#define DP_PRIORITY_QUEUE(priority) ((__u32)(priority) % 0x10000 - 1) /* the queue of such a priority */

/* DP_ACTION_SET: the fields of `key` whose bits are set in `mask` are written to the packet. Which headers are touched
 * is told by `what`, so that a datapath need not scan the mask. Only in-packet fields (and pkt_mark) may be set here.
 */
#define DP_SET_ETH 1u  /* eth_dst, eth_src */
#define DP_SET_IPV4 2u /* ip_src, ip_dst, ip_tos, ip_ttl */
#define DP_SET_IPV6 4u /* ip_src, ip_dst, ip_tos, ip_ttl, ipv6_label */
#define DP_SET_TP 8u   /* tp_src, tp_dst of TCP, UDP, SCTP, or ICMP type and code */
#define DP_SET_ARP 16u /* ip_proto (opcode), ip_src, ip_dst, arp_sha, arp_tha */
#define DP_SET_ND 32u  /* nd_target, arp_sha (sll), arp_tha (tll) */
#define DP_SET_MARK 64u
#define DP_SET_MPLS 128u /* mpls_lse[0] */
#define DP_SET_VLAN 256u /* vlan[0].tci of a tag that is there */

struct dp_action_set {
    struct dp_action h; /* arg: DP_SET_* */
    struct flow_key key, mask;
};

struct dp_action_tunnel {
    struct dp_action h;
    struct flow_tunnel tunnel;
};

struct dp_action_vlan {
    struct dp_action h;
    struct flow_vlan vlan;
    __u32 pad;
};

struct dp_action_mpls {
    struct dp_action h;
    __be32 lse;
    __be16 eth_type;
    __u16 pad;
};

_Static_assert(sizeof(struct dp_action) == 8, "dp_action layout");
_Static_assert(sizeof(struct dp_action_set) % 8 == 0, "dp_action_set layout");
_Static_assert(sizeof(struct dp_action_tunnel) == 56, "dp_action_tunnel layout");
_Static_assert(sizeof(struct dp_action_vlan) == 16, "dp_action_vlan layout");
_Static_assert(sizeof(struct dp_action_mpls) == 16, "dp_action_mpls layout");

#define DP_ACTION_FOR_EACH(A, ACTIONS, LEN)                                                                            \
    for (const struct dp_action *A = (const struct dp_action *)(const void *)(ACTIONS);                                \
         (const char *)A < (const char *)(ACTIONS) + (LEN);                                                            \
         A = (const struct dp_action *)(const void *)((const char *)A + A->len))

#endif
