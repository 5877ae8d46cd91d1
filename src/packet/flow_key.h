/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_FLOW_KEY_H
#define WARREN_PACKET_FLOW_KEY_H
/*
 * The flow key: what a datapath knows of a packet, in one fixed struct that is masked and compared as an array of u64.
 * The same struct is the key's mask (all-ones bits are looked at). Shared with BPF: only <linux/types.h> is included.
 *
 * Where protocols exclude each other, they share storage, and the field that tells them apart (eth_type, ip_proto) is
 * in the mask of everyone who looks: IPv4 and ARP addresses live in ip_src/ip_dst.be32[3] (the other words zero), ND
 * link addresses in arp_sha/arp_tha, ICMP type and code in tp_src/tp_dst (as 16-bit big-endian numbers), the ARP
 * opcode's low byte in ip_proto. Tunnel endpoints are always in IPv6 form (IPv4 mapped, ::ffff:a.b.c.d). Unset fields
 * are zero.
 */
#include "base/types.h"

#define FLOW_ETH_TYPE_NONE 0x05ff /* eth_type of an 802.3 frame that has none (OpenFlow 1.0, 5.2.3) */
#define FLOW_VLAN_PRESENT 0x1000  /* in vlan[].tci: there is a tag */

/* ip_frag: as NXM_NX_IP_FRAG. */
#define FLOW_FRAG_ANY 1
#define FLOW_FRAG_LATER 2

/* tun_flags. KEY: the packet has a tunnel key (GRE may have none). CSUM, DF: outer checksum, don't fragment. OAM:
 * Geneve's. CRIT: received with a critical Geneve option, which the receiver must understand (RFC 8926, 3.5). */
#define FLOW_TNL_KEY 1
#define FLOW_TNL_CSUM 2
#define FLOW_TNL_DF 4
#define FLOW_TNL_OAM 8
#define FLOW_TNL_CRIT 16

struct flow_vlan {
    __be16 tpid;
    __be16 tci;
};

struct flow_tunnel {
    __be64 id;
    struct ip_addr src, dst; /* as in the outer header; both zero: no tunnel */
    __u16 flags;             /* FLOW_TNL_* */
    __u8 tos, ttl;           /* outer */
    __u32 opts_id;           /* Geneve options: the whole block under a number (datapath/tunnel_opts.h), 0: none */
};

struct flow_key {
    dp_port_t in_port;
    __u32 pkt_mark;
    struct flow_tunnel tunnel;
    struct eth_addr eth_dst, eth_src;
    __be16 eth_type; /* of the innermost Ethernet payload, behind the tags (and of MPLS: the label EtherType) */
    __u16 pad0;
    struct flow_vlan vlan[2]; /* outermost first */
    __be32 mpls_lse[2];       /* outermost first */
    struct ip_addr ip_src, ip_dst;
    __u8 ip_proto, ip_tos, ip_ttl, ip_frag;
    __be32 ipv6_label; /* low 20 bits */
    __be16 tp_src, tp_dst;
    __be16 tcp_flags; /* low 12 bits */
    __u16 pad1;
    struct eth_addr arp_sha, arp_tha;
    __u32 pad2;
    struct ip_addr nd_target;
};

#define FLOW_KEY_U64S (sizeof(struct flow_key) / 8)

_Static_assert(sizeof(struct flow_tunnel) == 48, "flow_tunnel layout");
_Static_assert(sizeof(struct flow_key) == 168, "flow_key layout: shared with BPF, no hidden padding");

#endif
