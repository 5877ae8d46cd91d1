/* SPDX-License-Identifier: Apache-2.0 */
#include "packet/tunnel.h"

#include <endian.h>

#include "base/cursor.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/tunnel_opts.h"

static const char *const names[N_TUNNEL_TYPES] = {"vxlan", "gre", "geneve"};

const char *tunnel_type_name(enum tunnel_type type)
{
    return names[type];
}

enum tunnel_type tunnel_type_parse(const char *name)
{
    unsigned int t = 0;

    while (t < N_TUNNEL_TYPES && (!name || strcmp(name, names[t]) != 0)) {
        t++;
    }
    return (enum tunnel_type)t;
}

static enum drop_reason parse_vxlan(struct reader *r, struct flow_tunnel *t)
{
    const struct vxlan_hdr *h = reader_take(r, sizeof(*h));

    if (!h) {
        return DROP_TUNNEL_TRUNCATED;
    }
    if (!(h->flags & htobe32(VXLAN_I))) {
        return DROP_TUNNEL_BAD_HEADER; /* the other bits are to be ignored (RFC 7348, 5) */
    }
    t->id = htobe64(be32toh(h->vni) >> 8);
    t->flags = FLOW_TNL_KEY;
    return DROP_NONE;
}

/* Do the options fill exactly LEN bytes? *RET_CRITICAL: one of them must be understood. */
static bool check_options(const uint8_t *opts, size_t len, bool *ret_critical)
{
    struct reader r = reader_of(opts, len);

    *ret_critical = false;
    while (r.left) {
        uint8_t type, words;

        reader_skip(&r, 2); /* class */
        type = reader_u8(&r);
        words = reader_u8(&r) & 0x1f;
        reader_skip(&r, words * 4u);
        if (r.error) {
            return false;
        }
        *ret_critical |= type & GENEVE_OPT_CRITICAL;
    }
    return true;
}

static enum drop_reason parse_geneve(struct reader *r, struct flow_tunnel *t)
{
    const struct geneve_hdr *h = reader_take(r, sizeof(*h));
    const uint8_t *opts;
    size_t opts_len;
    bool critical;

    if (!h) {
        return DROP_TUNNEL_TRUNCATED;
    }
    if (h->ver_optlen >> 6 || h->proto != htobe16(ETH_TYPE_TEB)) {
        return DROP_TUNNEL_BAD_HEADER;
    }
    opts_len = (h->ver_optlen & 0x3fu) * 4u;
    opts = reader_take(r, opts_len);
    if (r->error) {
        return DROP_TUNNEL_TRUNCATED;
    }
    if (!check_options(opts, opts_len, &critical) || (h->flags & GENEVE_C && !critical)) {
        return DROP_TUNNEL_BAD_HEADER;
    }
    if (tunnel_opts_intern(opts, opts_len, &t->opts_id)) {
        return DROP_TUNNEL_OPTIONS;
    }
    t->id = htobe64(be32toh(h->vni) >> 8);
    t->flags = (uint16_t)(FLOW_TNL_KEY | (h->flags & GENEVE_O ? FLOW_TNL_OAM : 0) | (critical ? FLOW_TNL_CRIT : 0));
    return DROP_NONE;
}

static enum drop_reason parse_gre(struct reader *r, struct flow_tunnel *t)
{
    const uint8_t *start = r->data;
    size_t len = r->left;
    uint16_t flags = reader_u16(r), proto = reader_u16(r);

    if (r->error) {
        return DROP_TUNNEL_TRUNCATED;
    }
    /* Routing (RFC 1701) and versions other than 0 are not ours; bits 6 to 12 are to be ignored (RFC 2784, 2.3). */
    if (flags & 0x4c07 || proto != ETH_TYPE_TEB) {
        return DROP_TUNNEL_BAD_HEADER;
    }
    t->flags = 0;
    t->id = 0;
    if (flags & GRE_C) {
        reader_skip(r, 4);
        t->flags |= FLOW_TNL_CSUM;
    }
    if (flags & GRE_K) {
        t->id = htobe64(reader_u32(r));
        t->flags |= FLOW_TNL_KEY;
    }
    if (flags & GRE_S) {
        reader_skip(r, 4);
    }
    if (r->error) {
        return DROP_TUNNEL_TRUNCATED;
    }
    return flags & GRE_C && csum_finish(csum_bytes(0, start, len)) ? DROP_TUNNEL_BAD_CHECKSUM : DROP_NONE;
}

enum drop_reason tunnel_parse_payload(enum tunnel_type kind, const void *data, size_t len, struct flow_tunnel *tunnel,
                                      size_t *ret_hdr_len)
{
    struct reader r = reader_of(data, len);
    struct flow_tunnel t = *tunnel;
    enum drop_reason reason = kind == TUNNEL_VXLAN    ? parse_vxlan(&r, &t)
                              : kind == TUNNEL_GENEVE ? parse_geneve(&r, &t)
                                                      : parse_gre(&r, &t);

    if (reason) {
        return reason;
    }
    if (r.left < sizeof(struct eth_hdr)) {
        return DROP_TUNNEL_TRUNCATED;
    }
    *ret_hdr_len = len - r.left;
    *tunnel = t;
    return DROP_NONE;
}

/* Passes over the outer IPv4 header; R is then cut to its payload. */
static enum drop_reason parse_outer_v4(struct reader *r, struct flow_tunnel *t, uint8_t *ret_proto)
{
    const uint8_t *start = r->data;
    size_t left = r->left, ihl, tot_len;
    const struct ipv4_hdr *ip = reader_take(r, sizeof(*ip));

    if (!ip) {
        return DROP_TUNNEL_TRUNCATED;
    }
    ihl = (ip->ver_ihl & 15u) * 4u;
    tot_len = be16toh(ip->tot_len);
    if (ihl < sizeof(*ip) || tot_len < ihl || be16toh(ip->frag_off) & (IPV4_MF | IPV4_OFFSET)) {
        return DROP_TUNNEL_BAD_HEADER;
    }
    if (tot_len > left) {
        return DROP_TUNNEL_TRUNCATED;
    }
    if (csum_finish(csum_bytes(0, start, ihl))) {
        return DROP_TUNNEL_BAD_CHECKSUM;
    }
    *t = (struct flow_tunnel){
        .src = ip_addr_from_v4(ip->src), .dst = ip_addr_from_v4(ip->dst), .tos = ip->tos, .ttl = ip->ttl};
    *ret_proto = ip->proto;
    *r = reader_of(start + ihl, tot_len - ihl);
    return DROP_NONE;
}

static enum drop_reason parse_outer_v6(struct reader *r, struct flow_tunnel *t, uint8_t *ret_proto)
{
    const struct ipv6_hdr *ip = reader_take(r, sizeof(*ip));
    uint8_t proto;

    if (!ip || be16toh(ip->plen) > r->left) {
        return DROP_TUNNEL_TRUNCATED;
    }
    r->left = be16toh(ip->plen);
    *t = (struct flow_tunnel){
        .src = ip->src, .dst = ip->dst, .tos = (uint8_t)(be32toh(ip->ver_tc_flow) >> 20), .ttl = ip->hop_limit};
    /* Linux's ip6gre puts a tunnel encapsulation limit (RFC 2473, a destination option) in front. */
    for (proto = ip->next; proto == IP_PROTO_HOPOPTS || proto == IP_PROTO_DSTOPTS || proto == IP_PROTO_ROUTING;) {
        const struct ipv6_ext_hdr *ext = reader_take(r, sizeof(*ext));

        if (!ext) {
            return DROP_TUNNEL_TRUNCATED;
        }
        reader_skip(r, ext->len * 8u + 8u - sizeof(*ext));
        if (r->error) {
            return DROP_TUNNEL_TRUNCATED;
        }
        proto = ext->next;
    }
    *ret_proto = proto;
    return DROP_NONE;
}

static uint64_t pseudo(const struct flow_tunnel *t, size_t len)
{
    return ip_addr_is_v4mapped(&t->dst) ? csum_pseudo4(t->src.be32[3], t->dst.be32[3], IP_PROTO_UDP, (uint16_t)len)
                                        : csum_pseudo6(&t->src, &t->dst, IP_PROTO_UDP, (uint32_t)len);
}

/* Passes over the UDP header. A zero checksum is accepted over IPv6 too (RFC 6935 allows it to tunnels). */
static enum drop_reason parse_udp(struct reader *r, const struct flow_tunnel *t, uint16_t udp_dst, uint16_t *ret_flags)
{
    const uint8_t *start = r->data;
    size_t left = r->left, len;
    const struct udp_hdr *udp = reader_take(r, sizeof(*udp));

    if (!udp) {
        return DROP_TUNNEL_TRUNCATED;
    }
    len = be16toh(udp->len);
    if (len > left) {
        return DROP_TUNNEL_TRUNCATED;
    }
    if (len < sizeof(*udp) || udp->dst != htobe16(udp_dst)) {
        return DROP_TUNNEL_BAD_HEADER;
    }
    if (udp->csum && csum_finish(csum_bytes(pseudo(t, len), start, len))) {
        return DROP_TUNNEL_BAD_CHECKSUM;
    }
    *ret_flags = udp->csum ? FLOW_TNL_CSUM : 0;
    r->left = len - sizeof(*udp);
    return DROP_NONE;
}

enum drop_reason tunnel_parse(enum tunnel_type kind, const void *ip, size_t len, uint16_t udp_dst,
                              struct flow_tunnel *ret_tunnel, size_t *ret_hdr_len)
{
    struct reader r = reader_of(ip, len);
    struct flow_tunnel t = {0};
    uint16_t udp_flags = 0;
    uint8_t version, proto = 0;
    enum drop_reason reason;
    size_t hdr_len = 0;

    if (!len) {
        return DROP_TUNNEL_TRUNCATED;
    }
    version = *(const uint8_t *)ip >> 4;
    reason = version == 4   ? parse_outer_v4(&r, &t, &proto)
             : version == 6 ? parse_outer_v6(&r, &t, &proto)
                            : DROP_TUNNEL_BAD_HEADER;
    if (reason) {
        return reason;
    }
    if (proto != (kind == TUNNEL_GRE ? IP_PROTO_GRE : IP_PROTO_UDP)) {
        return DROP_TUNNEL_BAD_HEADER;
    }
    reason = kind == TUNNEL_GRE ? DROP_NONE : parse_udp(&r, &t, udp_dst, &udp_flags);
    reason = reason ? reason : tunnel_parse_payload(kind, r.data, r.left, &t, &hdr_len);
    if (reason) {
        return reason;
    }
    t.flags |= udp_flags;
    if (version == 4 && ((const struct ipv4_hdr *)ip)->frag_off & htobe16(IPV4_DF)) {
        t.flags |= FLOW_TNL_DF;
    }
    *ret_hdr_len = (size_t)(r.data - (const uint8_t *)ip) + hdr_len;
    *ret_tunnel = t;
    return DROP_NONE;
}

size_t tunnel_hdr_len(enum tunnel_type kind, const struct flow_tunnel *t, bool with_ip)
{
    size_t len = sizeof(struct udp_hdr) + sizeof(struct vxlan_hdr), opts_len; /* Geneve's header is as long */

    if (kind == TUNNEL_GENEVE) {
        tunnel_opts_get(t->opts_id, &opts_len);
        len += opts_len;
    }
    if (kind == TUNNEL_GRE) {
        len = sizeof(struct gre_hdr) + (t->flags & FLOW_TNL_CSUM ? 4 : 0) + (t->flags & FLOW_TNL_KEY ? 4 : 0);
    }
    if (with_ip) {
        len += ip_addr_is_v4mapped(&t->dst) ? sizeof(struct ipv4_hdr) : sizeof(struct ipv6_hdr);
    }
    return len;
}

static void build_gre(uint8_t *at, const struct flow_tunnel *t, size_t len)
{
    struct gre_hdr *gre = (struct gre_hdr *)(void *)at;
    uint8_t *option = at + sizeof(*gre);
    __be32 key = htobe32((uint32_t)be64toh(t->id));
    __be16 csum;

    gre->flags = htobe16((t->flags & FLOW_TNL_CSUM ? GRE_C : 0) | (t->flags & FLOW_TNL_KEY ? GRE_K : 0));
    gre->proto = htobe16(ETH_TYPE_TEB);
    if (t->flags & FLOW_TNL_CSUM) {
        memset(option, 0, 4);
        option += 4;
    }
    if (t->flags & FLOW_TNL_KEY) {
        memcpy(option, &key, 4);
    }
    if (t->flags & FLOW_TNL_CSUM) {
        csum = csum_finish(csum_bytes(0, at, len));
        memcpy(at + sizeof(*gre), &csum, 2);
    }
}

static void build_geneve(uint8_t *at, const struct flow_tunnel *t, __be32 vni)
{
    struct geneve_hdr h = {.flags = t->flags & FLOW_TNL_OAM ? GENEVE_O : 0, .proto = htobe16(ETH_TYPE_TEB), .vni = vni};
    size_t opts_len;
    const uint8_t *opts = tunnel_opts_get(t->opts_id, &opts_len);
    bool critical = false;

    if (opts && check_options(opts, opts_len, &critical) && critical) {
        h.flags |= GENEVE_C;
    }
    h.ver_optlen = (uint8_t)(opts_len / 4);
    memcpy(at, &h, sizeof(h));
    if (opts) {
        memcpy(at + sizeof(h), opts, opts_len);
    }
}

static void build_udp(uint8_t *at, enum tunnel_type kind, const struct flow_tunnel *t, uint16_t src, uint16_t dst,
                      size_t len)
{
    struct udp_hdr *udp = (struct udp_hdr *)(void *)at;
    __be32 vni = htobe32((uint32_t)be64toh(t->id) << 8);

    *udp = (struct udp_hdr){.src = htobe16(src), .dst = htobe16(dst), .len = htobe16((uint16_t)len)};
    if (kind == TUNNEL_VXLAN) {
        struct vxlan_hdr h = {.flags = htobe32(VXLAN_I), .vni = vni};

        memcpy(udp + 1, &h, sizeof(h));
    } else {
        build_geneve((uint8_t *)(udp + 1), t, vni);
    }
    if (t->flags & FLOW_TNL_CSUM || !ip_addr_is_v4mapped(&t->dst)) {
        __be16 csum = csum_finish(csum_bytes(pseudo(t, len), at, len));

        udp->csum = csum ? csum : (__be16)0xffff;
    }
}

static void build_ip(uint8_t *at, uint8_t proto, const struct flow_tunnel *t, size_t len)
{
    if (ip_addr_is_v4mapped(&t->dst)) {
        struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)at;

        *ip = (struct ipv4_hdr){
            .ver_ihl = 0x45,
            .tos = t->tos,
            .tot_len = htobe16((uint16_t)len),
            .frag_off = htobe16(t->flags & FLOW_TNL_DF ? IPV4_DF : 0),
            .ttl = t->ttl,
            .proto = proto,
            .src = t->src.be32[3],
            .dst = t->dst.be32[3],
        };
        ip->csum = csum_finish(csum_bytes(0, at, sizeof(*ip)));
    } else {
        struct ipv6_hdr *ip = (struct ipv6_hdr *)(void *)at;

        *ip = (struct ipv6_hdr){
            .ver_tc_flow = htobe32(6u << 28 | (uint32_t)t->tos << 20),
            .plen = htobe16((uint16_t)(len - sizeof(*ip))),
            .next = proto,
            .hop_limit = t->ttl,
            .src = t->src,
            .dst = t->dst,
        };
    }
}

void tunnel_push(struct packet *p, enum tunnel_type kind, const struct flow_tunnel *tunnel, uint16_t udp_src,
                 uint16_t udp_dst, bool with_ip)
{
    uint8_t *l4 = packet_push(p, tunnel_hdr_len(kind, tunnel, false));

    if (kind == TUNNEL_GRE) {
        build_gre(l4, tunnel, p->len);
    } else {
        build_udp(l4, kind, tunnel, udp_src, udp_dst, p->len);
    }
    if (with_ip) {
        size_t ip_len = ip_addr_is_v4mapped(&tunnel->dst) ? sizeof(struct ipv4_hdr) : sizeof(struct ipv6_hdr);
        uint8_t *ip = packet_push(p, ip_len);

        build_ip(ip, kind == TUNNEL_GRE ? IP_PROTO_GRE : IP_PROTO_UDP, tunnel, p->len);
    }
}
