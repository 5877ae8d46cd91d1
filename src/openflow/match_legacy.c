/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/match_legacy.h"

#include <endian.h>
#include <netinet/in.h>

#include "openflow/action_codec.h"
#include "openflow/error.h"

/* Wildcards (OpenFlow 1.0.1, enum ofp_flow_wildcards). */
#define FW_IN_PORT (1u << 0)
#define FW_DL_VLAN (1u << 1)
#define FW_DL_SRC (1u << 2)
#define FW_DL_DST (1u << 3)
#define FW_DL_TYPE (1u << 4)
#define FW_NW_PROTO (1u << 5)
#define FW_TP_SRC (1u << 6)
#define FW_TP_DST (1u << 7)
#define FW_NW_SRC_SHIFT 8
#define FW_NW_DST_SHIFT 14
#define FW_NW_BITS 63u
#define FW_DL_VLAN_PCP (1u << 20)
#define FW_NW_TOS (1u << 21)
#define FW_ALL ((1u << 22) - 1)
/* All, addresses with 32 of their 32 bits rather than more. */
#define FW_ALL_32 (FW_ALL & ~(31u << FW_NW_SRC_SHIFT | 31u << FW_NW_DST_SHIFT))
#define VLAN_NONE 0xffff

struct match_10 {
    uint32_t wildcards;
    uint16_t in_port;
    struct eth_addr dl_src, dl_dst;
    uint16_t dl_vlan;
    uint8_t dl_vlan_pcp;
    uint16_t dl_type;
    uint8_t nw_tos, nw_proto;
    uint32_t nw_src, nw_dst;
    uint16_t tp_src, tp_dst;
};

static void read_match(struct reader *r, struct match_10 *m)
{
    m->wildcards = reader_u32(r);
    m->in_port = reader_u16(r);
    reader_copy(r, m->dl_src.a, sizeof m->dl_src.a);
    reader_copy(r, m->dl_dst.a, sizeof m->dl_dst.a);
    m->dl_vlan = reader_u16(r);
    m->dl_vlan_pcp = reader_u8(r);
    reader_skip(r, 1);
    m->dl_type = reader_u16(r);
    m->nw_tos = reader_u8(r);
    m->nw_proto = reader_u8(r);
    reader_skip(r, 2);
    m->nw_src = reader_u32(r);
    m->nw_dst = reader_u32(r);
    m->tp_src = reader_u16(r);
    m->tp_dst = reader_u16(r);
}

static void set_u64(struct match *m, enum field_id id, uint64_t n, uint64_t mask)
{
    const struct field *f = field_get(id);
    union field_value v = {0}, k = {0}, nv = field_value_from_u64(n & mask), nk = field_value_from_u64(mask);

    memcpy(v.b, nv.b + 16 - f->n_bytes, f->n_bytes);
    memcpy(k.b, nk.b + 16 - f->n_bytes, f->n_bytes);
    match_set_field(m, f, &v, &k);
}

static void set_vlan(const struct match_10 *in, struct match *m)
{
    bool vid = !(in->wildcards & FW_DL_VLAN), pcp = !(in->wildcards & FW_DL_VLAN_PCP);
    uint16_t tci = FLOW_VLAN_PRESENT, mask = FLOW_VLAN_PRESENT;

    if (vid && in->dl_vlan == VLAN_NONE) { /* has no tag, whatever its priority is said to be */
        set_u64(m, FIELD_VLAN_TCI, 0, 0xffff);
        return;
    }
    if (!vid && !pcp) {
        return;
    }
    if (vid) {
        tci = (uint16_t)(tci | (in->dl_vlan & 0xfff));
        mask |= 0xfff;
    }
    if (pcp) {
        tci = (uint16_t)(tci | in->dl_vlan_pcp << 13);
        mask |= 0xe000;
    }
    set_u64(m, FIELD_VLAN_TCI, tci, mask);
}

static void set_l4(const struct match_10 *in, struct match *m)
{
    static const struct {
        uint8_t proto;
        enum field_id src, dst;
    } l4[] = {
        {IPPROTO_TCP, FIELD_TCP_SRC, FIELD_TCP_DST},
        {IPPROTO_UDP, FIELD_UDP_SRC, FIELD_UDP_DST},
        {IPPROTO_SCTP, FIELD_SCTP_SRC, FIELD_SCTP_DST},
        {IPPROTO_ICMP, FIELD_ICMPV4_TYPE, FIELD_ICMPV4_CODE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(l4); i++) {
        uint64_t mask = l4[i].proto == IPPROTO_ICMP ? 0xff : 0xffff;

        if (l4[i].proto != in->nw_proto) {
            continue;
        }
        if (!(in->wildcards & FW_TP_SRC)) {
            set_u64(m, l4[i].src, in->tp_src, mask);
        }
        if (!(in->wildcards & FW_TP_DST)) {
            set_u64(m, l4[i].dst, in->tp_dst, mask);
        }
    }
}

static void set_l3(const struct match_10 *in, struct match *m)
{
    bool ip = in->dl_type == 0x0800, arp = in->dl_type == 0x0806 || in->dl_type == 0x8035;
    uint32_t src = in->wildcards >> FW_NW_SRC_SHIFT & FW_NW_BITS, dst = in->wildcards >> FW_NW_DST_SHIFT & FW_NW_BITS;

    if ((in->wildcards & FW_DL_TYPE) || (!ip && !arp)) {
        return;
    }
    if (src < 32) {
        set_u64(m, arp ? FIELD_ARP_SPA : FIELD_IPV4_SRC, in->nw_src, UINT32_MAX << src);
    }
    if (dst < 32) {
        set_u64(m, arp ? FIELD_ARP_TPA : FIELD_IPV4_DST, in->nw_dst, UINT32_MAX << dst);
    }
    if (!(in->wildcards & FW_NW_TOS) && ip) {
        set_u64(m, FIELD_IP_DSCP, in->nw_tos >> 2, 0x3f);
    }
    if (!(in->wildcards & FW_NW_PROTO)) {
        set_u64(m, arp ? FIELD_ARP_OP : FIELD_IP_PROTO, in->nw_proto, arp ? 0xffff : 0xff);
        if (ip) {
            set_l4(in, m);
        }
    }
}

int match_decode_10(struct reader *r, struct match *ret, bool *ret_exact)
{
    struct match_10 in;
    struct match m = {0};

    read_match(r, &in);
    if (r->error) {
        return OFERR_BAD_LEN;
    }
    in.wildcards &= FW_ALL;
    if (!(in.wildcards & FW_IN_PORT)) {
        m.value.in_port = ofp_port_from_16(in.in_port);
        m.mask.in_port = ofp_port(UINT32_MAX);
    }
    if (!(in.wildcards & FW_DL_SRC)) {
        m.value.key.eth_src = in.dl_src;
        memset(&m.mask.key.eth_src, 0xff, sizeof m.mask.key.eth_src);
    }
    if (!(in.wildcards & FW_DL_DST)) {
        m.value.key.eth_dst = in.dl_dst;
        memset(&m.mask.key.eth_dst, 0xff, sizeof m.mask.key.eth_dst);
    }
    if (!(in.wildcards & FW_DL_TYPE)) {
        set_u64(&m, FIELD_ETH_TYPE, in.dl_type, 0xffff);
    }
    set_vlan(&in, &m);
    set_l3(&in, &m);
    *ret = m;
    *ret_exact = !in.wildcards;
    return 0;
}

/* How many low bits of an address are wildcards. What a mask that is no prefix leaves out above them cannot be said. */
static uint32_t wild_bits(__be32 mask)
{
    return mask ? (uint32_t)__builtin_ctz(be32toh(mask)) : 32;
}

static void vlan_to_10(const struct match *m, struct match_10 *out)
{
    uint16_t tci = be16toh(m->value.key.vlan[0].tci), mask = be16toh(m->mask.key.vlan[0].tci);

    if (mask & FLOW_VLAN_PRESENT && !(tci & FLOW_VLAN_PRESENT)) {
        out->dl_vlan = VLAN_NONE;
        out->wildcards &= ~(FW_DL_VLAN | FW_DL_VLAN_PCP);
        return;
    }
    if (mask & 0xfff) {
        out->dl_vlan = tci & 0xfff;
        out->wildcards &= ~FW_DL_VLAN;
    }
    if (mask & 0xe000) {
        out->dl_vlan_pcp = (uint8_t)(tci >> 13);
        out->wildcards &= ~FW_DL_VLAN_PCP;
    }
}

static bool is_ipv4_or_arp(uint16_t dl_type)
{
    return dl_type == 0x0800 || dl_type == 0x0806 || dl_type == 0x8035;
}

static void l3_to_10(const struct match *m, struct match_10 *out)
{
    const struct flow_key *v = &m->value.key, *k = &m->mask.key;

    if (!k->eth_type) {
        return;
    }
    out->dl_type = be16toh(v->eth_type);
    out->wildcards &= ~FW_DL_TYPE;
    if (is_ipv4_or_arp(out->dl_type)) {
        out->nw_src = be32toh(v->ip_src.be32[3]);
        out->nw_dst = be32toh(v->ip_dst.be32[3]);
        out->wildcards &= ~(FW_NW_BITS << FW_NW_SRC_SHIFT | FW_NW_BITS << FW_NW_DST_SHIFT);
        out->wildcards |= wild_bits(k->ip_src.be32[3]) << FW_NW_SRC_SHIFT | wild_bits(k->ip_dst.be32[3])
                                                                                << FW_NW_DST_SHIFT;
    }
    if ((k->ip_tos & 0xfc) == 0xfc) {
        out->nw_tos = v->ip_tos & 0xfc;
        out->wildcards &= ~FW_NW_TOS;
    }
    if (k->ip_proto == 0xff) {
        out->nw_proto = v->ip_proto;
        out->wildcards &= ~FW_NW_PROTO;
    }
    if (k->tp_src) {
        out->tp_src = be16toh(v->tp_src);
        out->wildcards &= ~FW_TP_SRC;
    }
    if (k->tp_dst) {
        out->tp_dst = be16toh(v->tp_dst);
        out->wildcards &= ~FW_TP_DST;
    }
}

static bool is_zero_addr(const struct eth_addr *a)
{
    static const struct eth_addr zero;

    return !memcmp(a, &zero, sizeof zero);
}

/* A field that is matched in part goes out as if it were matched whole, which is what Open vSwitch tells, too. */
void match_encode_10(const struct match *m, struct writer *w)
{
    struct match_10 out = {.wildcards = FW_ALL_32};

    if (ofp_port_u32(m->mask.in_port)) {
        out.in_port = ofp_port_to_16(m->value.in_port);
        out.wildcards &= ~FW_IN_PORT;
    }
    if (!is_zero_addr(&m->mask.key.eth_src)) {
        out.dl_src = m->value.key.eth_src;
        out.wildcards &= ~FW_DL_SRC;
    }
    if (!is_zero_addr(&m->mask.key.eth_dst)) {
        out.dl_dst = m->value.key.eth_dst;
        out.wildcards &= ~FW_DL_DST;
    }
    vlan_to_10(m, &out);
    l3_to_10(m, &out);
    writer_u32(w, out.wildcards);
    writer_u16(w, out.in_port);
    writer_bytes(w, out.dl_src.a, sizeof out.dl_src.a);
    writer_bytes(w, out.dl_dst.a, sizeof out.dl_dst.a);
    writer_u16(w, out.dl_vlan);
    writer_u8(w, out.dl_vlan_pcp);
    writer_zeros(w, 1);
    writer_u16(w, out.dl_type);
    writer_u8(w, out.nw_tos);
    writer_u8(w, out.nw_proto);
    writer_zeros(w, 2);
    writer_u32(w, out.nw_src);
    writer_u32(w, out.nw_dst);
    writer_u16(w, out.tp_src);
    writer_u16(w, out.tp_dst);
}
