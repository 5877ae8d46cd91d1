/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of fields and the access to their storage. A field's place says how its value lies in struct flow: most are
 * bytes at an offset; the rest are bit groups of a word (VLAN, MPLS, TOS), numbers in host order (registers), or values
 * with a meaning of their own (16-bit ports, IPv4 in mapped form). field_get_bits() and put_bits() are the only two
 * functions that know places.
 *
 * The tun_metadata fields exist only while Geneve options are mapped to them (tlv_map.h in the switch): then they have
 * a length and a place, the same in every bridge.
 */
#include "openflow/field.h"

#include <endian.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>

enum place {
    AT_BYTES,   /* n_bytes big-endian bytes */
    AT_HOST32,  /* uint32_t; fields of 8 and 16 bytes are 2 or 4 of them, most significant first */
    AT_PORT16,  /* ofp_port_t shown as OpenFlow 1.0's 16 bits */
    AT_TUN_OAM, /* tun_flags: bit 0 is FLOW_TNL_OAM */
    AT_MAPPED,  /* IPv4 in an address in IPv6 form */
    AT_ARP_OP,  /* low byte only is stored */
    AT_TCI_ALL,
    AT_TCI_VID13,
    AT_TCI_VID12,
    AT_TCI_PCP,
    AT_LSE_LABEL,
    AT_LSE_TC,
    AT_LSE_BOS,
    AT_LSE_TTL,
    AT_TOS_HIGH,
    AT_TOS_DSCP,
    AT_TOS_ECN,
    AT_TUN_METADATA, /* bytes, and a bit of tun_metadata.present */
};

#define K(member) offsetof(struct flow, key.member)
#define V4(member) (offsetof(struct flow, key.member) + 12)
#define R(n) (offsetof(struct flow, regs) + 4 * (n))
#define H(class, n, len) ((uint32_t)(class) << 16 | (n) << 9 | (len))
#define NO NULL, 0
#define OF(text, n, len) "NXM_OF_" text, H(0x0000, n, len)
#define NX(text, n, len) "NXM_NX_" text, H(0x0001, n, len)
#define OX(text, n, len) "OXM_OF_" text, H(0x8000, n, len)

/* id, name, other name, bytes, bits, maskable, writable, prerequisite, NXM, OXM, format, place, offset */
#define F(ID, name_, extra, bytes, bits, m, w, pre, nxm, oxm, fmt, pl, ofs)                                            \
    F_(FIELD_##ID, name_, extra, bytes, bits, m, w, PREREQ_##pre, nxm, oxm, FIELD_FORMAT_##fmt, AT_##pl, ofs)
#define F_(ID, name_, extra, bytes, bits, m, w, pre, nn, nh, on, oh, fmt, pl, ofs)                                     \
    [ID] = {.id = ID,                                                                                                  \
            .name = name_,                                                                                             \
            .extra_name = extra,                                                                                       \
            .n_bytes = bytes,                                                                                          \
            .n_bits = bits,                                                                                            \
            .maskable = m,                                                                                             \
            .writable = w,                                                                                             \
            .prereq = pre,                                                                                             \
            .nxm_name = nn,                                                                                            \
            .nxm_header = nh,                                                                                          \
            .oxm_name = on,                                                                                            \
            .oxm_header = oh,                                                                                          \
            .format = fmt,                                                                                             \
            .place = pl,                                                                                               \
            .offset = ofs},
#define REG(n) F(REG##n, "reg" #n, NULL, 4, 32, 1, 1, NONE, NX("REG" #n, n, 4), NO, HEX, HOST32, R(n))
#define XREG(n)                                                                                                        \
    F_(FIELD_XREG##n, "xreg" #n, NULL, 8, 64, 1, 1, PREREQ_NONE, NULL, 0, "OXM_OF_PKT_REG" #n, H(0x8001, n, 8),        \
       FIELD_FORMAT_HEX, AT_HOST32, R(2 * (n)))
#define XXREG(n)                                                                                                       \
    F(XXREG##n, "xxreg" #n, NULL, 16, 128, 1, 1, NONE, NX("XXREG" #n, 111 + (n), 16), NO, HEX, HOST32, R(4 * (n)))

/* A field a line. */
/* clang-format off */
static struct field fields[FIELD_MAX] = {
    F(IN_PORT, "in_port", NULL, 2, 16, 0, 1, NONE,
      OF("IN_PORT", 0, 2), NO, PORT, PORT16, offsetof(struct flow, in_port))
    F(IN_PORT_OXM, "in_port_oxm", NULL, 4, 32, 0, 1, NONE,
      NO, OX("IN_PORT", 0, 4), PORT, HOST32, offsetof(struct flow, in_port))
    F(METADATA, "metadata", NULL, 8, 64, 1, 1, NONE,
      NO, OX("METADATA", 2, 8), HEX, BYTES, offsetof(struct flow, metadata))
    F(ETH_DST, "eth_dst", "dl_dst", 6, 48, 1, 1, NONE,
      OF("ETH_DST", 1, 6), OX("ETH_DST", 3, 6), ETH, BYTES, K(eth_dst))
    F(ETH_SRC, "eth_src", "dl_src", 6, 48, 1, 1, NONE,
      OF("ETH_SRC", 2, 6), OX("ETH_SRC", 4, 6), ETH, BYTES, K(eth_src))
    F(ETH_TYPE, "eth_type", "dl_type", 2, 16, 0, 0, NONE,
      OF("ETH_TYPE", 3, 2), OX("ETH_TYPE", 5, 2), HEX, BYTES, K(eth_type))
    F(VLAN_TCI, "vlan_tci", NULL, 2, 16, 1, 1, NONE, OF("VLAN_TCI", 4, 2), NO, HEX, TCI_ALL, K(vlan[0].tci))
    F(VLAN_VID, "vlan_vid", NULL, 2, 13, 1, 1, NONE, NO, OX("VLAN_VID", 6, 2), DEC, TCI_VID13, K(vlan[0].tci))
    F(VLAN_PCP, "vlan_pcp", NULL, 1, 3, 0, 1, VLAN, NO, OX("VLAN_PCP", 7, 1), DEC, TCI_PCP, K(vlan[0].tci))
    F(DL_VLAN, "dl_vlan", NULL, 2, 12, 0, 1, NONE, NO, NO, DEC, TCI_VID12, K(vlan[0].tci))
    F(DL_VLAN_PCP, "dl_vlan_pcp", NULL, 1, 3, 0, 1, NONE, NO, NO, DEC, TCI_PCP, K(vlan[0].tci))
    F(MPLS_LABEL, "mpls_label", NULL, 4, 20, 0, 1, MPLS, NO, OX("MPLS_LABEL", 34, 4), DEC, LSE_LABEL, K(mpls_lse[0]))
    F(MPLS_TC, "mpls_tc", NULL, 1, 3, 0, 1, MPLS, NO, OX("MPLS_TC", 35, 1), DEC, LSE_TC, K(mpls_lse[0]))
    F(MPLS_BOS, "mpls_bos", NULL, 1, 1, 0, 0, MPLS, NO, OX("MPLS_BOS", 36, 1), DEC, LSE_BOS, K(mpls_lse[0]))
    F(MPLS_TTL, "mpls_ttl", NULL, 1, 8, 0, 1, MPLS, NX("MPLS_TTL", 30, 1), NO, DEC, LSE_TTL, K(mpls_lse[0]))
    F(IPV4_SRC, "ip_src", "nw_src", 4, 32, 1, 1, IPV4,
      OF("IP_SRC", 7, 4), OX("IPV4_SRC", 11, 4), IPV4, BYTES, V4(ip_src))
    F(IPV4_DST, "ip_dst", "nw_dst", 4, 32, 1, 1, IPV4,
      OF("IP_DST", 8, 4), OX("IPV4_DST", 12, 4), IPV4, BYTES, V4(ip_dst))
    F(IPV6_SRC, "ipv6_src", NULL, 16, 128, 1, 1, IPV6,
      NX("IPV6_SRC", 19, 16), OX("IPV6_SRC", 26, 16), IPV6, BYTES, K(ip_src))
    F(IPV6_DST, "ipv6_dst", NULL, 16, 128, 1, 1, IPV6,
      NX("IPV6_DST", 20, 16), OX("IPV6_DST", 27, 16), IPV6, BYTES, K(ip_dst))
    F(IPV6_LABEL, "ipv6_label", NULL, 4, 20, 1, 1, IPV6,
      NX("IPV6_LABEL", 27, 4), OX("IPV6_FLABEL", 28, 4), HEX, BYTES, K(ipv6_label))
    F(IP_PROTO, "nw_proto", "ip_proto", 1, 8, 0, 0, IP_ANY,
      OF("IP_PROTO", 6, 1), OX("IP_PROTO", 10, 1), DEC, BYTES, K(ip_proto))
    F(IP_TOS, "nw_tos", NULL, 1, 8, 0, 1, IP_ANY, OF("IP_TOS", 5, 1), NO, DEC, TOS_HIGH, K(ip_tos))
    F(IP_DSCP, "ip_dscp", NULL, 1, 6, 0, 1, IP_ANY, NO, OX("IP_DSCP", 8, 1), DEC, TOS_DSCP, K(ip_tos))
    F(IP_ECN, "nw_ecn", "ip_ecn", 1, 2, 0, 1, IP_ANY,
      NX("IP_ECN", 28, 1), OX("IP_ECN", 9, 1), DEC, TOS_ECN, K(ip_tos))
    F(IP_TTL, "nw_ttl", NULL, 1, 8, 0, 1, IP_ANY, NX("IP_TTL", 29, 1), NO, DEC, BYTES, K(ip_ttl))
    F(IP_FRAG, "ip_frag", "nw_frag", 1, 2, 1, 0, IP_ANY, NX("IP_FRAG", 26, 1), NO, FRAG, BYTES, K(ip_frag))
    F(TCP_SRC, "tcp_src", "tp_src", 2, 16, 1, 1, TCP,
      OF("TCP_SRC", 9, 2), OX("TCP_SRC", 13, 2), DEC, BYTES, K(tp_src))
    F(TCP_DST, "tcp_dst", "tp_dst", 2, 16, 1, 1, TCP,
      OF("TCP_DST", 10, 2), OX("TCP_DST", 14, 2), DEC, BYTES, K(tp_dst))
    F(TCP_FLAGS, "tcp_flags", NULL, 2, 12, 1, 0, TCP,
      NX("TCP_FLAGS", 34, 2), OX("TCP_FLAGS", 42, 2), TCP_FLAGS, BYTES, K(tcp_flags))
    F(UDP_SRC, "udp_src", NULL, 2, 16, 1, 1, UDP, OF("UDP_SRC", 11, 2), OX("UDP_SRC", 15, 2), DEC, BYTES, K(tp_src))
    F(UDP_DST, "udp_dst", NULL, 2, 16, 1, 1, UDP, OF("UDP_DST", 12, 2), OX("UDP_DST", 16, 2), DEC, BYTES, K(tp_dst))
    F(SCTP_SRC, "sctp_src", NULL, 2, 16, 1, 1, SCTP, NO, OX("SCTP_SRC", 17, 2), DEC, BYTES, K(tp_src))
    F(SCTP_DST, "sctp_dst", NULL, 2, 16, 1, 1, SCTP, NO, OX("SCTP_DST", 18, 2), DEC, BYTES, K(tp_dst))
    F(ICMPV4_TYPE, "icmp_type", "icmpv4_type", 1, 8, 0, 1, ICMPV4,
      OF("ICMP_TYPE", 13, 1), OX("ICMPV4_TYPE", 19, 1), DEC, BYTES, K(tp_src) + 1)
    F(ICMPV4_CODE, "icmp_code", "icmpv4_code", 1, 8, 0, 1, ICMPV4,
      OF("ICMP_CODE", 14, 1), OX("ICMPV4_CODE", 20, 1), DEC, BYTES, K(tp_dst) + 1)
    F(ICMPV6_TYPE, "icmpv6_type", NULL, 1, 8, 0, 1, ICMPV6,
      NX("ICMPV6_TYPE", 21, 1), OX("ICMPV6_TYPE", 29, 1), DEC, BYTES, K(tp_src) + 1)
    F(ICMPV6_CODE, "icmpv6_code", NULL, 1, 8, 0, 1, ICMPV6,
      NX("ICMPV6_CODE", 22, 1), OX("ICMPV6_CODE", 30, 1), DEC, BYTES, K(tp_dst) + 1)
    F(ARP_OP, "arp_op", NULL, 2, 16, 0, 1, ARP, OF("ARP_OP", 15, 2), OX("ARP_OP", 21, 2), DEC, ARP_OP, K(ip_proto))
    F(ARP_SPA, "arp_spa", NULL, 4, 32, 1, 1, ARP, OF("ARP_SPA", 16, 4), OX("ARP_SPA", 22, 4), IPV4, BYTES, V4(ip_src))
    F(ARP_TPA, "arp_tpa", NULL, 4, 32, 1, 1, ARP, OF("ARP_TPA", 17, 4), OX("ARP_TPA", 23, 4), IPV4, BYTES, V4(ip_dst))
    F(ARP_SHA, "arp_sha", NULL, 6, 48, 1, 1, ARP, NX("ARP_SHA", 17, 6), OX("ARP_SHA", 24, 6), ETH, BYTES, K(arp_sha))
    F(ARP_THA, "arp_tha", NULL, 6, 48, 1, 1, ARP, NX("ARP_THA", 18, 6), OX("ARP_THA", 25, 6), ETH, BYTES, K(arp_tha))
    F(ND_TARGET, "nd_target", NULL, 16, 128, 1, 1, ND,
      NX("ND_TARGET", 23, 16), OX("IPV6_ND_TARGET", 31, 16), IPV6, BYTES, K(nd_target))
    F(ND_SLL, "nd_sll", NULL, 6, 48, 1, 1, ND_SOLICIT,
      NX("ND_SLL", 24, 6), OX("IPV6_ND_SLL", 32, 6), ETH, BYTES, K(arp_sha))
    F(ND_TLL, "nd_tll", NULL, 6, 48, 1, 1, ND_ADVERT,
      NX("ND_TLL", 25, 6), OX("IPV6_ND_TLL", 33, 6), ETH, BYTES, K(arp_tha))
    F(TUN_ID, "tun_id", "tunnel_id", 8, 64, 1, 1, NONE,
      NX("TUN_ID", 16, 8), OX("TUNNEL_ID", 38, 8), HEX, BYTES, K(tunnel.id))
    F(TUN_SRC, "tun_src", NULL, 4, 32, 1, 1, NONE, NX("TUN_IPV4_SRC", 31, 4), NO, IPV4, MAPPED, K(tunnel.src))
    F(TUN_DST, "tun_dst", NULL, 4, 32, 1, 1, NONE, NX("TUN_IPV4_DST", 32, 4), NO, IPV4, MAPPED, K(tunnel.dst))
    F(TUN_IPV6_SRC, "tun_ipv6_src", NULL, 16, 128, 1, 1, NONE,
      NX("TUN_IPV6_SRC", 109, 16), NO, IPV6, BYTES, K(tunnel.src))
    F(TUN_IPV6_DST, "tun_ipv6_dst", NULL, 16, 128, 1, 1, NONE,
      NX("TUN_IPV6_DST", 110, 16), NO, IPV6, BYTES, K(tunnel.dst))
    F(TUN_FLAGS, "tun_flags", NULL, 2, 1, 1, 1, NONE,
      NX("TUN_FLAGS", 104, 2), NO, TUN_FLAGS, TUN_OAM, K(tunnel.flags))
    REG(0) REG(1) REG(2) REG(3) REG(4) REG(5) REG(6) REG(7)
    REG(8) REG(9) REG(10) REG(11) REG(12) REG(13) REG(14) REG(15)
    XREG(0) XREG(1) XREG(2) XREG(3) XREG(4) XREG(5) XREG(6) XREG(7)
    XXREG(0) XXREG(1) XXREG(2) XXREG(3)
    F(PKT_MARK, "pkt_mark", NULL, 4, 32, 1, 1, NONE, NX("PKT_MARK", 33, 4), NO, HEX, HOST32, K(pkt_mark))
    F(CONJ_ID, "conj_id", NULL, 4, 32, 0, 0, NONE,
      NX("CONJ_ID", 37, 4), NO, DEC, HOST32, offsetof(struct flow, conj_id))
    F(ACTSET_OUTPUT, "actset_output", NULL, 4, 32, 0, 0, NONE, NO, OX("ACTSET_OUTPUT", 43, 4), PORT, HOST32,
      offsetof(struct flow, actset_output))
};
/* clang-format on */

const struct field *field_get(enum field_id id)
{
    return id >= 0 && id < FIELD_MAX ? &fields[id] : NULL;
}

static bool name_is(const char *name, const char *s, size_t len)
{
    return name && strlen(name) == len && !strncasecmp(name, s, len);
}

/* The fields for Geneve options, which are there while somebody maps them. */
static struct {
    char name[16], nxm_name[24];
    unsigned int users;
} tun_metadata[FIELD_N_TUN_METADATA];

bool field_is_there(const struct field *f)
{
    return f->place != AT_TUN_METADATA || tun_metadata[f->id - FIELD_TUN_METADATA0].users;
}

const struct field *field_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < FIELD_MAX; i++) {
        const struct field *f = &fields[i];

        if (!field_is_there(f)) {
            continue;
        }
        if (name_is(f->name, name, len) || name_is(f->extra_name, name, len) || name_is(f->nxm_name, name, len) ||
            name_is(f->oxm_name, name, len)) {
            return f;
        }
    }
    return NULL;
}

/* ---- fields for Geneve options ---- */

static void init_tun_metadata(void)
{
    for (unsigned int i = 0; i < FIELD_N_TUN_METADATA; i++) {
        snprintf(tun_metadata[i].name, sizeof tun_metadata[i].name, "tun_metadata%u", i);
        snprintf(tun_metadata[i].nxm_name, sizeof tun_metadata[i].nxm_name, "NXM_NX_TUN_METADATA%u", i);
        fields[FIELD_TUN_METADATA0 + i] = (struct field){
            .id = (enum field_id)(FIELD_TUN_METADATA0 + i),
            .name = tun_metadata[i].name,
            .nxm_name = tun_metadata[i].nxm_name,
            .nxm_header = H(0x0001, 40 + i, 0),
            .maskable = true,
            .writable = true,
            .prereq = PREREQ_NONE,
            .format = FIELD_FORMAT_HEX,
            .place = AT_TUN_METADATA,
        };
    }
}

/* The first free place for LEN bytes; -ENOSPC. Places are multiples of 4, as options are. */
static int find_place(uint8_t len)
{
    unsigned int start = 0;

    while (start + len <= FLOW_TUN_METADATA_LEN) {
        unsigned int next = start;

        for (unsigned int i = 0; i < FIELD_N_TUN_METADATA; i++) {
            const struct field *f = &fields[FIELD_TUN_METADATA0 + i];
            unsigned int at = f->offset - offsetof(struct flow, tun_metadata.opts);

            if (f->n_bytes && at < start + len && start < at + f->n_bytes) {
                next = MAX(next, at + f->n_bytes);
            }
        }
        if (next == start) {
            return (int)start;
        }
        start = next;
    }
    return -ENOSPC;
}

int field_map_tun_metadata(unsigned int i, uint8_t len)
{
    struct field *f = &fields[FIELD_TUN_METADATA0 + i];
    int place;

    if (!field_is_there(f)) {
        place = find_place(len);
        if (place < 0) {
            return place;
        }
        f->offset = (uint16_t)(offsetof(struct flow, tun_metadata.opts) + (unsigned int)place);
        f->n_bytes = len;
        f->n_bits = (uint8_t)(8 * len);
        f->nxm_header |= len;
    } else if (f->n_bytes != len) {
        return -EEXIST;
    }
    tun_metadata[i].users++;
    return 0;
}

void field_unmap_tun_metadata(unsigned int i)
{
    struct field *f = &fields[FIELD_TUN_METADATA0 + i];

    if (--tun_metadata[i].users == 0) {
        f->n_bytes = f->n_bits = 0;
        f->nxm_header &= ~0xffu;
    }
}

bool field_is_tun_metadata(const struct field *f)
{
    return f->place == AT_TUN_METADATA;
}

static uint64_t present_bit(const struct field *f)
{
    return UINT64_C(1) << (f->id - FIELD_TUN_METADATA0);
}

bool field_is_matched(const struct field *f, const struct flow *mask)
{
    union field_value bits;

    if (f->place == AT_TUN_METADATA) {
        return mask->tun_metadata.present & present_bit(f);
    }
    if (f->place == AT_BYTES || f->place == AT_HOST32) { /* most of them: need no conversion */
        const uint8_t *at = (const uint8_t *)mask + f->offset;
        uint8_t any = 0;

        for (size_t i = 0; i < f->n_bytes; i++) {
            any |= at[i];
        }
        return any;
    }
    field_get_bits(f, mask, &bits);
    for (size_t i = 0; i < f->n_bytes; i++) {
        if (bits.b[i]) {
            return true;
        }
    }
    return false;
}

/* ---- headers ---- */

/* Class and field number → id + 1. Field numbers have 7 bits. */
static uint8_t by_header[4][128];

static int class_slot(uint32_t header)
{
    switch (header >> 16) {
    case 0x0000:
        return 0;
    case 0x0001:
        return 1;
    case 0x8000:
        return 2;
    case 0x8001:
        return 3;
    default:
        return -1;
    }
}

static void __attribute__((constructor)) index_headers(void)
{
    init_tun_metadata();
    for (size_t i = 0; i < FIELD_MAX; i++) {
        const struct field *f = &fields[i];

        if (f->nxm_name) {
            by_header[class_slot(f->nxm_header)][f->nxm_header >> 9 & 127] = (uint8_t)(i + 1);
        }
        if (f->oxm_name) {
            by_header[class_slot(f->oxm_header)][f->oxm_header >> 9 & 127] = (uint8_t)(i + 1);
        }
    }
}

const struct field *field_by_header(uint32_t header)
{
    int slot = class_slot(header);
    uint8_t n = slot >= 0 ? by_header[slot][header >> 9 & 127] : 0;
    const struct field *f = n ? &fields[n - 1] : NULL;

    /* The cookie pseudo-field shares its number with mpls_ttl and differs in length. */
    if (f && f->id == FIELD_MPLS_TTL && (header & 0xff) != 1) {
        return NULL;
    }
    return f;
}

bool field_header_is_unmapped(uint32_t header)
{
    uint32_t first = fields[FIELD_TUN_METADATA0].nxm_header >> 9, number = header >> 9;

    return number >= first && number < first + FIELD_N_TUN_METADATA && !field_by_header(header);
}

uint32_t field_header(const struct field *f, uint8_t version)
{
    if (f->id == FIELD_TCP_FLAGS && version < 6) {
        return f->nxm_header; /* the OXM number of 1.3 is an experimenter's */
    }
    return (f->oxm_name && version >= 3) || !f->nxm_name ? f->oxm_header : f->nxm_header;
}

/* Bit groups of a big-endian word: how far the field's lowest bit is up, and its mask there. */
struct group {
    uint8_t word; /* bytes */
    uint8_t shift;
    uint32_t mask;
};

static struct group group_of(const struct field *f)
{
    switch ((enum place)f->place) {
    case AT_TCI_ALL:
        return (struct group){2, 0, 0xffff};
    case AT_TCI_VID13:
        return (struct group){2, 0, 0x1fff};
    case AT_TCI_VID12:
        return (struct group){2, 0, 0x0fff};
    case AT_TCI_PCP:
        return (struct group){2, 13, 0xe000};
    case AT_LSE_LABEL:
        return (struct group){4, 12, 0xfffff000};
    case AT_LSE_TC:
        return (struct group){4, 9, 0xe00};
    case AT_LSE_BOS:
        return (struct group){4, 8, 0x100};
    case AT_LSE_TTL:
        return (struct group){4, 0, 0xff};
    case AT_TOS_HIGH:
        return (struct group){1, 0, 0xfc};
    case AT_TOS_DSCP:
        return (struct group){1, 2, 0xfc};
    case AT_TOS_ECN:
        return (struct group){1, 0, 3};
    default:
        return (struct group){0};
    }
}

static uint64_t be_get(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static void be_put(uint8_t *p, size_t n, uint64_t v)
{
    while (n--) {
        p[n] = (uint8_t)v;
        v >>= 8;
    }
}

void field_get_bits(const struct field *f, const struct flow *flow, union field_value *ret)
{
    const uint8_t *at = (const uint8_t *)flow + f->offset;
    struct group g;
    uint32_t host;

    memset(ret, 0, sizeof *ret);
    switch ((enum place)f->place) {
    case AT_BYTES:
    case AT_TUN_METADATA:
        memcpy(ret->b, at, f->n_bytes);
        return;
    case AT_MAPPED:
        memcpy(ret->b, at + 12, 4);
        return;
    case AT_HOST32:
        for (size_t i = 0; i < f->n_bytes; i += 4) {
            memcpy(&host, at + i, 4);
            be_put(ret->b + i, 4, host);
        }
        return;
    case AT_PORT16: /* 0xffffff00.. become 0xff00..; a port that 16 bits cannot name becomes ANY */
        memcpy(&host, at, 4);
        be_put(ret->b, 2, host >= 0xffffff00 ? host & 0xffff : host < 0xff00 ? host : 0xffff);
        return;
    case AT_TUN_OAM:
        ret->b[1] = flow->key.tunnel.flags & FLOW_TNL_OAM ? 1 : 0;
        return;
    case AT_ARP_OP:
        ret->b[1] = *at;
        return;
    default:
        g = group_of(f);
        be_put(ret->b, f->n_bytes, (be_get(at, g.word) & g.mask) >> g.shift);
    }
}

/* ORs or replaces: CLEAR are the bits to clear first. */
static void put_bits(const struct field *f, struct flow *flow, const union field_value *bits, bool clear)
{
    uint8_t *at = (uint8_t *)flow + f->offset;
    struct group g;
    uint32_t host;
    size_t start = f->place == AT_MAPPED ? 12 : 0;

    switch ((enum place)f->place) {
    case AT_TUN_METADATA:
        flow->tun_metadata.present |= present_bit(f);
        /* fall through */
    case AT_BYTES:
    case AT_MAPPED:
        for (size_t i = 0; i < f->n_bytes; i++) {
            at[start + i] = (uint8_t)((clear ? 0 : at[start + i]) | bits->b[i]);
        }
        return;
    case AT_HOST32:
        for (size_t i = 0; i < f->n_bytes; i += 4) {
            memcpy(&host, at + i, 4);
            host = (clear ? 0 : host) | (uint32_t)be_get(bits->b + i, 4);
            memcpy(at + i, &host, 4);
        }
        return;
    case AT_PORT16:
        host = (uint32_t)be_get(bits->b, 2);
        flow->in_port = ofp_port(host >= 0xff00 ? host | 0xffff0000 : host);
        return;
    case AT_TUN_OAM:
        flow->key.tunnel.flags = (uint16_t)((clear ? flow->key.tunnel.flags & ~FLOW_TNL_OAM : flow->key.tunnel.flags) |
                                            (bits->b[1] & 1 ? FLOW_TNL_OAM : 0));
        return;
    case AT_ARP_OP:
        *at = (uint8_t)((clear ? 0 : *at) | bits->b[1]);
        return;
    default:
        g = group_of(f);
        be_put(at, g.word,
               (be_get(at, g.word) & (clear ? ~(uint64_t)g.mask : ~(uint64_t)0)) |
                   ((be_get(bits->b, f->n_bytes) << g.shift) & g.mask));
    }
}

void field_or_bits(const struct field *f, struct flow *flow, const union field_value *bits)
{
    put_bits(f, flow, bits, false);
}

void field_put_bits(const struct field *f, struct flow *flow, const union field_value *bits)
{
    put_bits(f, flow, bits, true);
}

union field_value field_ones(const struct field *f)
{
    union field_value v = {0};
    uint16_t bits = f->n_bits;

    if (f->place == AT_TOS_HIGH) {
        v.b[0] = 0xfc;
        return v;
    }
    for (size_t i = f->n_bytes; i-- && bits;) {
        uint16_t n = MIN(bits, 8);

        v.b[i] = (uint8_t)((1u << n) - 1);
        bits = (uint16_t)(bits - n);
    }
    return v;
}

bool field_value_fits(const struct field *f, const union field_value *value)
{
    union field_value ones = field_ones(f);

    for (size_t i = 0; i < f->n_bytes; i++) {
        if (value->b[i] & ~ones.b[i] & 0xff) {
            return false;
        }
    }
    if (f->format == FIELD_FORMAT_PORT && f->n_bytes == 4) {
        uint32_t port =
            (uint32_t)value->b[0] << 24 | (uint32_t)value->b[1] << 16 | (uint32_t)value->b[2] << 8 | value->b[3];

        return port < 0xff00 || port >= ofp_port_u32(OFPP_MAX);
    }
    return f->place != AT_ARP_OP || !value->b[0];
}

static bool is_ip(const struct flow *flow)
{
    return flow->key.eth_type == htons(0x0800) || flow->key.eth_type == htons(0x86dd);
}

static bool is_l4(const struct flow *flow, uint8_t proto)
{
    return is_ip(flow) && flow->key.ip_proto == proto && !(flow->key.ip_frag & FLOW_FRAG_LATER);
}

static bool is_nd(const struct flow *flow, uint8_t type)
{
    return flow->key.eth_type == htons(0x86dd) && is_l4(flow, IPPROTO_ICMPV6) && flow->key.tp_src == htons(type) &&
           !flow->key.tp_dst;
}

bool field_prereq_ok(const struct field *f, const struct flow *flow)
{
    const struct flow_key *k = &flow->key;

    switch (f->prereq) {
    case PREREQ_NONE:
        return true;
    case PREREQ_VLAN:
        return k->vlan[0].tci & htons(FLOW_VLAN_PRESENT);
    case PREREQ_MPLS:
        return k->eth_type == htons(0x8847) || k->eth_type == htons(0x8848);
    case PREREQ_ARP:
        return k->eth_type == htons(0x0806) || k->eth_type == htons(0x8035);
    case PREREQ_IPV4:
        return k->eth_type == htons(0x0800);
    case PREREQ_IPV6:
        return k->eth_type == htons(0x86dd);
    case PREREQ_IP_ANY:
        return is_ip(flow);
    case PREREQ_TCP:
        return is_l4(flow, IPPROTO_TCP);
    case PREREQ_UDP:
        return is_l4(flow, IPPROTO_UDP);
    case PREREQ_SCTP:
        return is_l4(flow, IPPROTO_SCTP);
    case PREREQ_ICMPV4:
        return k->eth_type == htons(0x0800) && is_l4(flow, IPPROTO_ICMP);
    case PREREQ_ICMPV6:
        return k->eth_type == htons(0x86dd) && is_l4(flow, IPPROTO_ICMPV6);
    case PREREQ_ND:
        return is_nd(flow, ND_NEIGHBOR_SOLICIT) || is_nd(flow, ND_NEIGHBOR_ADVERT);
    case PREREQ_ND_SOLICIT:
        return is_nd(flow, ND_NEIGHBOR_SOLICIT);
    case PREREQ_ND_ADVERT:
        return is_nd(flow, ND_NEIGHBOR_ADVERT);
    }
    return false;
}

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

void field_read(const struct field *f, const struct flow *flow, union field_value *ret)
{
    if (f->place == AT_MAPPED && memcmp((const uint8_t *)flow + f->offset, mapped_prefix, 12)) {
        memset(ret, 0, sizeof *ret); /* an IPv6 tunnel, or none, has no IPv4 address */
        return;
    }
    field_get_bits(f, flow, ret);
}

/* After a VLAN field was written: a tag that came gets its EtherType, one that went lets the inner tag move up. */
static void settle_vlan(struct flow_key *k, bool was_present)
{
    if (k->vlan[0].tci & htons(FLOW_VLAN_PRESENT)) {
        if (!k->vlan[0].tpid) {
            k->vlan[0].tpid = htons(0x8100);
        }
    } else if (was_present && !k->vlan[0].tci) {
        k->vlan[0] = k->vlan[1];
        memset(&k->vlan[1], 0, sizeof k->vlan[1]);
    } else {
        k->vlan[0].tpid = 0; /* bits loaded one after the other, the present bit is still to come */
    }
}

void field_write(const struct field *f, struct flow *flow, const union field_value *value)
{
    struct flow_key *k = &flow->key;
    bool was_present = k->vlan[0].tci & htons(FLOW_VLAN_PRESENT);
    uint8_t *at = (uint8_t *)flow + f->offset;

    switch ((enum place)f->place) {
    case AT_MAPPED: /* 0.0.0.0: no tunnel */
        memset(at, 0, 16);
        if (be_get(value->b, 4)) {
            memcpy(at, mapped_prefix, 12);
            memcpy(at + 12, value->b, 4);
        }
        return;
    case AT_TCI_ALL:
    case AT_TCI_VID13:
    case AT_TCI_VID12:
    case AT_TCI_PCP:
        if (f->id == FIELD_VLAN_VID && !be_get(value->b, 2)) {
            k->vlan[0].tci = 0; /* "no tag": its priority goes along */
        }
        put_bits(f, flow, value, true);
        if (f->place == AT_TCI_VID12 || f->place == AT_TCI_PCP) {
            k->vlan[0].tci |= htons(FLOW_VLAN_PRESENT);
        }
        settle_vlan(k, was_present);
        return;
    default:
        put_bits(f, flow, value, true);
        return;
    }
}

void field_remove(const struct field *f, struct flow *flow)
{
    memset((uint8_t *)flow + f->offset, 0, f->n_bytes);
    flow->tun_metadata.present &= ~present_bit(f);
}

void field_write_masked(const struct field *f, struct flow *flow, const union field_value *value,
                        const union field_value *mask)
{
    union field_value v;

    field_read(f, flow, &v);
    for (size_t i = 0; i < f->n_bytes; i++) {
        v.b[i] = (uint8_t)((v.b[i] & ~mask->b[i]) | (value->b[i] & mask->b[i]));
    }
    field_write(f, flow, &v);
}

void field_unwildcard(const struct field *f, struct flow *mask, const union field_value *bits)
{
    union field_value ones = field_ones(f);
    struct flow_key *k = &mask->key;

    put_bits(f, mask, bits ? bits : &ones, false);
    if (f->place == AT_MAPPED) {
        memset((uint8_t *)mask + f->offset, 0xff, 12);
    } else if (f->place == AT_PORT16) {
        mask->in_port = ofp_port(0xffffffff);
    }
    switch (f->prereq) {
    case PREREQ_NONE:
        return;
    case PREREQ_VLAN:
        k->vlan[0].tci |= htons(FLOW_VLAN_PRESENT);
        return;
    case PREREQ_ND:
    case PREREQ_ND_SOLICIT:
    case PREREQ_ND_ADVERT:
        k->tp_src = k->tp_dst = htons(0xffff);
        /* fall through */
    case PREREQ_TCP:
    case PREREQ_UDP:
    case PREREQ_SCTP:
    case PREREQ_ICMPV4:
    case PREREQ_ICMPV6:
        k->ip_proto = 0xff;
        k->ip_frag |= FLOW_FRAG_LATER;
        /* fall through */
    default:
        k->eth_type = htons(0xffff);
    }
}

uint64_t field_value_u64(const union field_value *v)
{
    return be_get(v->b + 8, 8);
}

union field_value field_value_from_u64(uint64_t n)
{
    union field_value v = {0};

    be_put(v.b + 8, 8, n);
    return v;
}

/* Bit I (0: lowest) of an N-byte big-endian number. */
static bool bit_get(const uint8_t *b, size_t n, size_t i)
{
    return b[n - 1 - i / 8] >> (i % 8) & 1;
}

static void bit_set(uint8_t *b, size_t n, size_t i)
{
    b[n - 1 - i / 8] = (uint8_t)(b[n - 1 - i / 8] | 1u << (i % 8));
}

void subfield_read(const struct subfield *sf, const struct flow *flow, union field_value *ret)
{
    union field_value v;

    field_read(sf->field, flow, &v);
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < sf->n_bits; i++) {
        if (bit_get(v.b, sf->field->n_bytes, sf->ofs + i)) {
            bit_set(ret->b, 16, i);
        }
    }
}

void subfield_place(const struct subfield *sf, const union field_value *from, union field_value *ret_value,
                    union field_value *ret_mask)
{
    memset(ret_value, 0, sizeof *ret_value);
    memset(ret_mask, 0, sizeof *ret_mask);
    for (size_t i = 0; i < sf->n_bits; i++) {
        bit_set(ret_mask->b, sf->field->n_bytes, sf->ofs + i);
        if (bit_get(from->b, 16, i)) {
            bit_set(ret_value->b, sf->field->n_bytes, sf->ofs + i);
        }
    }
}

void subfield_write(const struct subfield *sf, struct flow *flow, const union field_value *value)
{
    union field_value v, m;

    subfield_place(sf, value, &v, &m);
    field_write_masked(sf->field, flow, &v, &m);
}

void subfield_unwildcard(const struct subfield *sf, struct flow *mask)
{
    union field_value zero = {0}, v, m;

    subfield_place(sf, &zero, &v, &m);
    field_unwildcard(sf->field, mask, &m);
}
