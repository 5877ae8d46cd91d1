/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_HEADERS_H
#define WARREN_PACKET_HEADERS_H
/*
 * Protocol headers as they lie on the wire. All are packed, so that they may be laid over bytes at any address: read
 * and assign the members, but take no pointers to them. Names of fields are the RFCs'.
 */
#include "base/util.h"

#define ETH_TYPE_MIN 0x0600 /* smaller: an 802.3 length */
#define ETH_TYPE_IPV4 0x0800
#define ETH_TYPE_ARP 0x0806
#define ETH_TYPE_TEB 0x6558 /* Transparent Ethernet Bridging: a frame inside GRE or Geneve */
#define ETH_TYPE_RARP 0x8035
#define ETH_TYPE_VLAN 0x8100
#define ETH_TYPE_IPV6 0x86dd
#define ETH_TYPE_MPLS 0x8847
#define ETH_TYPE_MPLS_MCAST 0x8848
#define ETH_TYPE_SVLAN 0x88a8

#define IP_PROTO_HOPOPTS 0
#define IP_PROTO_ICMP 1
#define IP_PROTO_IPV4 4 /* an IPv4 packet in an IP packet */
#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17
#define IP_PROTO_IPV6 41
#define IP_PROTO_ROUTING 43
#define IP_PROTO_FRAGMENT 44
#define IP_PROTO_GRE 47
#define IP_PROTO_AH 51
#define IP_PROTO_ICMPV6 58
#define IP_PROTO_DSTOPTS 60
#define IP_PROTO_SCTP 132
#define IP_PROTO_MOBILITY 135

struct eth_hdr {
    struct eth_addr dst, src;
    __be16 type;
} WR_PACKED;

struct llc_snap_hdr {
    uint8_t dsap, ssap, cntl, oui[3];
    __be16 type;
} WR_PACKED;

struct vlan_hdr {
    __be16 tci;
    __be16 type; /* of what follows */
} WR_PACKED;

struct mpls_hdr {
    __be32 lse;
} WR_PACKED;
#define MPLS_BOS 0x100u

struct arp_hdr { /* Ethernet and IPv4 only */
    __be16 hrd, pro;
    uint8_t hln, pln;
    __be16 op;
    struct eth_addr sha;
    __be32 spa;
    struct eth_addr tha;
    __be32 tpa;
} WR_PACKED;

struct ipv4_hdr {
    uint8_t ver_ihl, tos;
    __be16 tot_len, id, frag_off;
    uint8_t ttl, proto;
    __be16 csum;
    __be32 src, dst;
} WR_PACKED;
#define IPV4_DF 0x4000
#define IPV4_MF 0x2000
#define IPV6_FRAG_MORE 1
#define IPV4_OFFSET 0x1fff

struct ipv6_hdr {
    __be32 ver_tc_flow;
    __be16 plen;
    uint8_t next, hop_limit;
    struct ip_addr src, dst;
} WR_PACKED;

struct ipv6_ext_hdr {
    uint8_t next, len; /* in 8 bytes beyond the first 8; AH: in 4 bytes beyond the first 8 */
} WR_PACKED;

struct ipv6_frag_hdr {
    uint8_t next, reserved;
    __be16 off; /* 13 bits of offset, 2 reserved, M (IPV6_FRAG_MORE) */
    __be32 id;
} WR_PACKED;

struct tcp_hdr {
    __be16 src, dst;
    __be32 seq, ack;
    __be16 off_flags;
    __be16 window, csum, urgent;
} WR_PACKED;
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

struct udp_hdr {
    __be16 src, dst, len, csum;
} WR_PACKED;

struct sctp_hdr {
    __be16 src, dst;
    __be32 vtag;
    __le32 csum;
} WR_PACKED;

struct icmp_hdr { /* of ICMPv6, too */
    uint8_t type, code;
    __be16 csum;
} WR_PACKED;
#define ND_SOLICIT 135
#define ND_ADVERT 136

struct nd_hdr {
    struct icmp_hdr icmp;
    __be32 flags;
    struct ip_addr target;
} WR_PACKED;

struct nd_opt {
    uint8_t type, len; /* in 8 bytes, with this header */
    struct eth_addr addr;
} WR_PACKED;
#define ND_OPT_SLL 1
#define ND_OPT_TLL 2

struct vxlan_hdr { /* RFC 7348, 5 */
    __be32 flags;
    __be32 vni; /* upper 24 bits */
} WR_PACKED;
#define VXLAN_I 0x08000000u

struct gre_hdr { /* RFC 2784, 2.1; checksum, key and sequence number follow as the flags say */
    __be16 flags, proto;
} WR_PACKED;
#define GRE_C 0x8000
#define GRE_K 0x2000
#define GRE_S 0x1000

struct geneve_hdr {     /* RFC 8926, 3.4 */
    uint8_t ver_optlen; /* options in 4 bytes: low 6 bits */
    uint8_t flags;
    __be16 proto;
    __be32 vni; /* upper 24 bits */
} WR_PACKED;
#define GENEVE_O 0x80
#define GENEVE_C 0x40
#define GENEVE_OPT_CRITICAL 0x80 /* in an option's type */

_Static_assert(sizeof(struct eth_hdr) == 14, "Ethernet");
_Static_assert(sizeof(struct llc_snap_hdr) == 8, "LLC/SNAP");
_Static_assert(sizeof(struct arp_hdr) == 28, "ARP");
_Static_assert(sizeof(struct ipv4_hdr) == 20, "IPv4");
_Static_assert(sizeof(struct ipv6_hdr) == 40, "IPv6");
_Static_assert(sizeof(struct ipv6_frag_hdr) == 8, "IPv6 fragment");
_Static_assert(sizeof(struct tcp_hdr) == 20, "TCP");
_Static_assert(sizeof(struct udp_hdr) == 8, "UDP");
_Static_assert(sizeof(struct sctp_hdr) == 12, "SCTP");
_Static_assert(sizeof(struct nd_hdr) == 24, "ND");
_Static_assert(sizeof(struct nd_opt) == 8, "ND option");
_Static_assert(sizeof(struct vxlan_hdr) == 8, "VXLAN");
_Static_assert(sizeof(struct gre_hdr) == 4, "GRE");
_Static_assert(sizeof(struct geneve_hdr) == 8, "Geneve");

#endif
