/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_TUNNEL_H
#define WARREN_PACKET_TUNNEL_H
/*
 * Codecs of the three tunnels: VXLAN (RFC 7348), GRE with checksum and key (RFC 2784, RFC 2890) carrying Ethernet, and
 * Geneve (RFC 8926), behind an outer IPv4 or IPv6 header. No I/O, no routing: who sends fills in the outer source
 * address first.
 *
 * Geneve options go by their number (tunnel_opts.h); what they mean is the pipeline's business, also whether a critical
 * one (FLOW_TNL_CRIT) is understood. Left out: GRE sequence numbers are passed over and never sent.
 */
#include "packet/packet.h"

/* "vxlan", "gre", "geneve", as in Interface rows. */
const char *tunnel_type_name(enum tunnel_type type);
/* N_TUNNEL_TYPES: none of these (or NULL). */
enum tunnel_type tunnel_type_parse(const char *name);

#define TUNNEL_SPORT_MIN 32768
#define TUNNEL_SPORT_MAX 60999

static inline struct ip_addr ip_addr_from_v4(__be32 v4)
{
    struct ip_addr a = {.be16 = {[5] = (__be16)0xffff}};

    a.be32[3] = v4;
    return a;
}

/* The UDP source port (host order) for an inner flow's hash. */
static inline uint16_t tunnel_sport(uint32_t hash)
{
    return (uint16_t)(TUNNEL_SPORT_MIN + ((uint64_t)hash * (TUNNEL_SPORT_MAX - TUNNEL_SPORT_MIN + 1) >> 32));
}

/* What lies behind the outer IP (GRE) or UDP header (VXLAN, Geneve). Sets id and flags of TUNNEL, whose other fields
 * are the caller's, and *RET_HDR_LEN, the bytes before the inner frame. GRE's checksum covers all LEN bytes and is
 * checked. DROP_NONE, or why the packet is to be dropped; then outputs are untouched. */
enum drop_reason tunnel_parse_payload(enum tunnel_type kind, const void *data, size_t len, struct flow_tunnel *tunnel,
                                      size_t *ret_hdr_len);

/* The same from the outer IP header on, whose fields go to TUNNEL too; checks every checksum that is there. Fragments
 * and datagrams to another port than UDP_DST (host order) are DROP_TUNNEL_BAD_HEADER. */
enum drop_reason tunnel_parse(enum tunnel_type kind, const void *ip, size_t len, uint16_t udp_dst,
                              struct flow_tunnel *ret_tunnel, size_t *ret_hdr_len);

/* Bytes that tunnel_push() puts in front, with or without the outer IP header. */
size_t tunnel_hdr_len(enum tunnel_type kind, const struct flow_tunnel *tunnel, bool with_ip);

/* Pushes the outer headers in front of P, from the IP header on or, without WITH_IP, from the UDP or GRE header on; all
 * checksums complete (the UDP checksum of IPv6 too: it needs TUNNEL->src). P's own checksum must be complete when
 * FLOW_TNL_CSUM or IPv6 asks for an outer one. Ports are in host order. P's layer offsets and offload keep pointing at
 * the inner frame's. */
void tunnel_push(struct packet *p, enum tunnel_type kind, const struct flow_tunnel *tunnel, uint16_t udp_src,
                 uint16_t udp_dst, bool with_ip);

#endif
