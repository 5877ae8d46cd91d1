/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_FLOW_KEY_H
#define WARREN_PACKET_FLOW_KEY_H
/*
 * The flow key: what a datapath knows of a packet, in one fixed struct that is masked and compared as an array of u64.
 * The same struct is the key's mask (all-ones bits are looked at). Shared with BPF: nothing but the kernel's headers is
 * included.
 *
 * Where protocols exclude each other, they share storage, and the field that tells them apart (eth_type, ip_proto) is
 * in the mask of everyone who looks: IPv4 and ARP addresses live in ip_src/ip_dst.be32[3] (the other words zero), ND
 * link addresses in arp_sha/arp_tha, ICMP type and code in tp_src/tp_dst (as 16-bit big-endian numbers), the ARP
 * opcode's low byte in ip_proto. Tunnel endpoints are always in IPv6 form (IPv4 mapped, ::ffff:a.b.c.d). Unset fields
 * are zero.
 *
 * dp_hash stands for all that tells connections apart: who spreads them looks at a few of its bits, and needs a
 * megaflow for each value of those, instead of one for each connection.
 */
#include <asm/byteorder.h>

#include "base/types.h"

#define FLOW_ETH_TYPE_NONE 0x05ff /* eth_type of an 802.3 frame that has none (OpenFlow 1.0, 5.2.3) */
#define FLOW_VLAN_PRESENT 0x1000  /* in vlan[].tci: there is a tag */

/* ip_frag: as NXM_NX_IP_FRAG. Of an IPv6 fragment that is not the first, ip_proto is IP_PROTO_FRAGMENT (ovs-fields(7)).
 */
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
    __u32 dp_hash; /* flow_key_hash5() of the rest */
    struct ip_addr nd_target;
};

#define FLOW_KEY_U64S (sizeof(struct flow_key) / 8)

_Static_assert(sizeof(struct flow_tunnel) == 48, "flow_tunnel layout");
_Static_assert(sizeof(struct flow_key) == 168, "flow_key layout: shared with BPF, no hidden padding");

/* A hash of what tells connections apart (addresses, protocol and ports; Ethernet addresses where it is not IP), the
 * same wherever it is computed: it chooses the source port of tunnel packets (RFC 7348, 4.2; RFC 8926, 3.3), and the
 * buckets of groups. All fragments of a packet and all messages of ICMP between two hosts have one hash. Sums of
 * products, which the processor computes side by side; the upper half of a sum depends on every bit. */

/* The part that all connections of two hosts have in common. */
static inline __u64 flow_hash_hosts(const __u64 src[2], const __u64 dst[2], __u8 proto)
{
    return src[0] * 0x9ddfea08eb382d69ull + src[1] * 0xc2b2ae3d27d4eb4full + dst[0] * 0x9e3779b97f4a7c15ull +
           dst[1] * 0xd6e8feb86659fd93ull + proto * 0xa0761d6478bd642full;
}

static inline __u64 flow_hash_ports(__be16 src, __be16 dst)
{
    return ((__u64)(WR_FORCE __u16)src << 16 | (WR_FORCE __u16)dst) * 0xe7037ed1a0b428dbull;
}

static inline __u32 flow_hash_finish(__u64 h)
{
    h ^= h >> 32;
    h *= 0x8ebc6af09c88c6e3ull;
    return h >> 32;
}

static inline __u32 flow_key_hash5(const struct flow_key *key)
{
    const __u64 *eth = (const __u64 *)(const void *)&key->eth_dst; /* both addresses and the type */
    __u64 h;

    if (key->eth_type == __cpu_to_be16(0x0800) || key->eth_type == __cpu_to_be16(0x86dd)) {
        h = flow_hash_hosts(key->ip_src.u64, key->ip_dst.u64, key->ip_frag ? 0 : key->ip_proto);
        if (!key->ip_frag && key->ip_proto != 1 && key->ip_proto != 58) { /* ICMP, ICMPv6 */
            h += flow_hash_ports(key->tp_src, key->tp_dst);
        }
    } else {
        h = eth[0] * 0x9ddfea08eb382d69ull + eth[1] * 0xc2b2ae3d27d4eb4full;
    }
    return flow_hash_finish(h);
}

#endif
