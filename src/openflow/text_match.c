/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <netinet/in.h>

#include "openflow/text_value.h"

#define ETH_IP 0x0800
#define ETH_ARP 0x0806
#define ETH_RARP 0x8035
#define ETH_IPV6 0x86dd
#define ETH_MPLS 0x8847
#define ETH_MPLSM 0x8848

/* Short for an EtherType and an IP protocol (0: any). The first of each pair is the one that is printed. */
static const struct {
    const char *name;
    uint16_t eth_type;
    uint8_t ip_proto;
} protocols[] = {
    {"ip", ETH_IP, 0},
    {"icmp", ETH_IP, IPPROTO_ICMP},
    {"tcp", ETH_IP, IPPROTO_TCP},
    {"udp", ETH_IP, IPPROTO_UDP},
    {"sctp", ETH_IP, IPPROTO_SCTP},
    {"ipv6", ETH_IPV6, 0},
    {"icmp6", ETH_IPV6, IPPROTO_ICMPV6},
    {"tcp6", ETH_IPV6, IPPROTO_TCP},
    {"udp6", ETH_IPV6, IPPROTO_UDP},
    {"sctp6", ETH_IPV6, IPPROTO_SCTP},
    {"arp", ETH_ARP, 0},
    {"rarp", ETH_RARP, 0},
    {"mpls", ETH_MPLS, 0},
    {"mplsm", ETH_MPLSM, 0},
    {"ipv4", ETH_IP, 0},
    {"ip4", ETH_IP, 0},
    {"ip6", ETH_IPV6, 0},
    {"icmp4", ETH_IP, IPPROTO_ICMP},
    {"tcp4", ETH_IP, IPPROTO_TCP},
    {"udp4", ETH_IP, IPPROTO_UDP},
    {"sctp4", ETH_IP, IPPROTO_SCTP},
};

static void set_eth_type(struct match *m, uint16_t type)
{
    m->value.key.eth_type = htons(type);
    m->mask.key.eth_type = 0xffff;
}

/* Says M already that the packet is of another protocol? IP_PROTO 0: that of the Ethernet type is the question. */
static bool contradicts(const struct match *m, __be16 eth_type, uint8_t ip_proto)
{
    const struct flow_key *v = &m->value.key, *k = &m->mask.key;

    return (k->eth_type && v->eth_type != eth_type) || (ip_proto && k->ip_proto && v->ip_proto != ip_proto);
}

/* 1: KEY is a protocol's name, and was taken; 0: it is not. */
static int parse_protocol(struct match *m, const char *key, char **ret_error)
{
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        if (strcmp(protocols[i].name, key)) {
            continue;
        }
        if (contradicts(m, htons(protocols[i].eth_type), protocols[i].ip_proto)) {
            return text_fail(ret_error, "%s: the match already asks for another protocol", key);
        }
        set_eth_type(m, protocols[i].eth_type);
        if (protocols[i].ip_proto) {
            m->value.key.ip_proto = protocols[i].ip_proto;
            m->mask.key.ip_proto = 0xff;
        }
        return 1;
    }
    return 0;
}

/* The same for fields that tell the protocol. */
static bool field_contradicts(const struct match *m, const struct field *f, const union field_value *v)
{
    __be16 eth_type;

    memcpy(&eth_type, v->b, sizeof eth_type);
    return f->id == FIELD_ETH_TYPE   ? contradicts(m, eth_type, 0)
           : f->id == FIELD_IP_PROTO ? contradicts(m, m->value.key.eth_type, v->b[0])
                                     : false;
}

unsigned int match_key_rank(const char *key)
{
    const struct field *f = field_by_name(key, strlen(key));

    if (!f) {
        return 0; /* a protocol */
    }
    switch (f->id) {
    case FIELD_ETH_TYPE:
        return 0;
    case FIELD_IP_PROTO:
        return 1;
    case FIELD_ICMPV4_TYPE:
    case FIELD_ICMPV4_CODE:
    case FIELD_ICMPV6_TYPE:
    case FIELD_ICMPV6_CODE:
    case FIELD_IP_FRAG:
    case FIELD_VLAN_TCI:
    case FIELD_VLAN_VID:
    case FIELD_DL_VLAN:
        return 2;
    default:
        return 3;
    }
}

/* Names of the IPv4 and TCP fields serve for the other protocols that use the same storage. */
static const struct field *field_for_protocol(const struct field *f, const struct match *m)
{
    uint16_t type = ntohs(m->value.key.eth_type);
    uint8_t proto = m->value.key.ip_proto;
    bool arp = type == ETH_ARP || type == ETH_RARP;

    switch (f->id) {
    case FIELD_IPV4_SRC:
        return arp ? field_get(FIELD_ARP_SPA) : f;
    case FIELD_IPV4_DST:
        return arp ? field_get(FIELD_ARP_TPA) : f;
    case FIELD_IP_PROTO:
        return arp ? field_get(FIELD_ARP_OP) : f;
    case FIELD_TCP_SRC:
        return proto == IPPROTO_UDP ? field_get(FIELD_UDP_SRC) : proto == IPPROTO_SCTP ? field_get(FIELD_SCTP_SRC) : f;
    case FIELD_TCP_DST:
        return proto == IPPROTO_UDP ? field_get(FIELD_UDP_DST) : proto == IPPROTO_SCTP ? field_get(FIELD_SCTP_DST) : f;
    case FIELD_ICMPV4_TYPE:
        return type == ETH_IPV6 ? field_get(FIELD_ICMPV6_TYPE) : f;
    case FIELD_ICMPV4_CODE:
        return type == ETH_IPV6 ? field_get(FIELD_ICMPV6_CODE) : f;
    default:
        return f;
    }
}

/* "none" of OpenFlow 1.0. */
static bool parse_dl_vlan_none(struct match *m, const struct field *f, const char *value)
{
    uint64_t n;

    if (f->id != FIELD_DL_VLAN || text_u64(value, UINT16_MAX, &n) || n != UINT16_MAX) {
        return false;
    }
    m->value.key.vlan[0].tci = 0;
    m->mask.key.vlan[0].tci = htons(0x1fff);
    return true;
}

int match_parse_key(struct match *m, const char *key, const char *value, const struct name_map *names, char **ret_error)
{
    const struct field *f = field_by_name(key, strlen(key));
    union field_value v, mask;
    int error;

    error = *value ? 0 : parse_protocol(m, key, ret_error);
    if (error) {
        return MIN(error, 0);
    }
    if (!f) {
        return -ENOENT;
    }
    if (!*value && field_is_tun_metadata(f)) { /* is it there? */
        return match_set_field(m, f, &(union field_value){0}, &(union field_value){0});
    }
    if (!*value) {
        return text_fail(ret_error, "field %s missing value", key);
    }
    if (parse_dl_vlan_none(m, f, value)) {
        return 0;
    }
    f = field_for_protocol(f, m);
    if (f->id == FIELD_IN_PORT) {
        f = field_get(FIELD_IN_PORT_OXM); /* all 32 bits */
    }
    error = field_value_parse(f, value, names, &v, &mask, ret_error);
    if (error) {
        return error;
    }
    if (!field_prereq_ok(f, &m->value)) {
        return text_fail(ret_error, "%s=%s: the match lacks what %s needs (such as the protocol it belongs to)", key,
                         value, f->name);
    }
    if (field_contradicts(m, f, &v)) {
        return text_fail(ret_error, "%s=%s: the match already asks for another protocol", key, value);
    }
    if (f->id == FIELD_VLAN_TCI && mask.b[0] & FLOW_VLAN_PRESENT >> 8 && !v.b[0] && !v.b[1]) {
        mask.b[0] &= 0x1f; /* untagged: has no priority to match; OpenFlow 1.3 could not say it */
    }
    if (match_set_field(m, f, &v, &mask)) {
        return text_fail(ret_error, "%s=%s: this mask is not possible", key, value);
    }
    return 0;
}

int match_parse(const char *text, const struct name_map *names, struct match *ret_match, char **ret_error)
{
    struct match m;

    match_init(&m);
    for (unsigned int rank = 0; rank < MATCH_RANKS; rank++) {
        _cleanup_free_ char *copy = xstrdup(text);
        char *pos = copy, *key, *value;
        int n;

        while ((n = text_next(&pos, &key, &value, ret_error)) > 0) {
            int error = match_key_rank(key) == rank ? match_parse_key(&m, key, value, names, ret_error) : 0;

            if (error) {
                return error == -ENOENT ? text_fail(ret_error, "unknown keyword %s", key) : error;
            }
        }
        if (n < 0) {
            return n;
        }
    }
    *ret_match = m;
    return 0;
}

/* A field whose text is "name=value,": nothing if the match does not look at it. */
static void format_field(const struct match *m, const char *name, enum field_id id, const struct name_map *names,
                         struct strbuf *b)
{
    const struct field *f = field_get(id);
    union field_value v, mask, zero = {0};

    if (!field_is_matched(f, &m->mask)) {
        return;
    }
    field_get_bits(f, &m->mask, &mask);
    field_get_bits(f, &m->value, &v);
    if (field_is_tun_metadata(f) && !memcmp(&mask, &zero, sizeof zero)) {
        strbuf_addf(b, "%s,", f->name);
        return;
    }
    strbuf_addf(b, "%s=", name ? name : f->name);
    if (f->format == FIELD_FORMAT_DEC && f->n_bytes == 2 && f->maskable) {
        union field_value ones = field_ones(f);

        if (memcmp(&mask, &ones, sizeof ones)) { /* ports are printed in hex when masked */
            strbuf_addf(b, "0x%x/0x%x,", v.b[0] << 8 | v.b[1], mask.b[0] << 8 | mask.b[1]);
            return;
        }
    }
    field_value_format(f, &v, id == FIELD_ARP_OP ? NULL : &mask, names, b);
    strbuf_add(b, ",");
}

/* Returns whether eth_type (and, in *SKIP_PROTO, nw_proto) is said by the keyword. */
static bool format_protocol(const struct match *m, bool *skip_proto, struct strbuf *b)
{
    uint16_t type = ntohs(m->value.key.eth_type);
    uint8_t proto = m->mask.key.ip_proto ? m->value.key.ip_proto : 0;
    bool ip = type == ETH_IP || type == ETH_IPV6;
    const char *any = NULL;

    *skip_proto = false;
    if (!m->mask.key.eth_type) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        if (protocols[i].eth_type != type) {
            continue;
        }
        if (!protocols[i].ip_proto && !any) {
            any = protocols[i].name;
        } else if (ip && protocols[i].ip_proto && protocols[i].ip_proto == proto) {
            strbuf_addf(b, "%s,", protocols[i].name);
            *skip_proto = true;
            return true;
        }
    }
    if (any) {
        strbuf_addf(b, "%s,", any);
    }
    return any;
}

static void format_vlan(const struct match *m, struct strbuf *b)
{
    uint16_t tci = ntohs(m->value.key.vlan[0].tci), mask = ntohs(m->mask.key.vlan[0].tci);
    uint16_t vid = mask & 0xfff, pcp = mask & 0xe000;

    if (!mask) {
        return;
    }
    if (mask & tci & FLOW_VLAN_PRESENT && (!vid || vid == 0xfff) && (!pcp || pcp == 0xe000) && (vid || pcp)) {
        if (vid) {
            strbuf_addf(b, "dl_vlan=%u,", tci & 0xfff);
        }
        if (pcp) {
            strbuf_addf(b, "dl_vlan_pcp=%u,", tci >> 13);
        }
    } else if (mask == 0xffff) {
        strbuf_addf(b, "vlan_tci=0x%04x,", tci);
    } else {
        strbuf_addf(b, "vlan_tci=0x%04x/0x%04x,", tci, mask);
    }
}

static void format_l3(const struct match *m, bool skip_type, bool skip_proto, struct strbuf *b)
{
    uint16_t type = ntohs(m->value.key.eth_type);
    bool arp = type == ETH_ARP || type == ETH_RARP;

    if (!skip_type && m->mask.key.eth_type) {
        strbuf_addf(b, "dl_type=0x%04x,", type);
    }
    if (type == ETH_IPV6) {
        format_field(m, NULL, FIELD_IPV6_SRC, NULL, b);
        format_field(m, NULL, FIELD_IPV6_DST, NULL, b);
        if (m->mask.key.ipv6_label) {
            uint32_t mask = be32toh(m->mask.key.ipv6_label);

            strbuf_addf(b, "ipv6_label=0x%05x", be32toh(m->value.key.ipv6_label));
            strbuf_addf(b, mask == 0xfffff ? "," : "/0x%05x,", mask);
        }
    } else {
        format_field(m, arp ? "arp_spa" : "nw_src", FIELD_IPV4_SRC, NULL, b);
        format_field(m, arp ? "arp_tpa" : "nw_dst", FIELD_IPV4_DST, NULL, b);
    }
    if (!skip_proto) {
        format_field(m, arp ? "arp_op" : "nw_proto", FIELD_IP_PROTO, NULL, b);
    }
    if (arp) {
        format_field(m, NULL, FIELD_ARP_SHA, NULL, b);
        format_field(m, NULL, FIELD_ARP_THA, NULL, b);
    }
    format_field(m, NULL, FIELD_IP_TOS, NULL, b);
    format_field(m, NULL, FIELD_IP_ECN, NULL, b);
    format_field(m, NULL, FIELD_IP_TTL, NULL, b);
    format_field(m, NULL, FIELD_MPLS_LABEL, NULL, b);
    format_field(m, NULL, FIELD_MPLS_TC, NULL, b);
    format_field(m, NULL, FIELD_MPLS_TTL, NULL, b);
    format_field(m, NULL, FIELD_MPLS_BOS, NULL, b);
    format_field(m, "nw_frag", FIELD_IP_FRAG, NULL, b);
}

static void format_l4(const struct match *m, struct strbuf *b)
{
    uint16_t type = ntohs(m->value.key.eth_type);
    uint8_t proto = m->value.key.ip_proto;

    if ((type == ETH_IP && proto == IPPROTO_ICMP) || (type == ETH_IPV6 && proto == IPPROTO_ICMPV6)) {
        format_field(m, "icmp_type", FIELD_ICMPV4_TYPE, NULL, b);
        format_field(m, "icmp_code", FIELD_ICMPV4_CODE, NULL, b);
        if (type == ETH_IPV6) {
            format_field(m, NULL, FIELD_ND_TARGET, NULL, b);
            format_field(m, NULL, FIELD_ND_SLL, NULL, b);
            format_field(m, NULL, FIELD_ND_TLL, NULL, b);
        }
        return;
    }
    format_field(m, "tp_src", FIELD_TCP_SRC, NULL, b);
    format_field(m, "tp_dst", FIELD_TCP_DST, NULL, b);
    format_field(m, NULL, FIELD_TCP_FLAGS, NULL, b);
}

void match_format(const struct match *m, const struct name_map *names, struct strbuf *b)
{
    bool skip_type, skip_proto;

    format_field(m, NULL, FIELD_PKT_MARK, names, b);
    format_field(m, NULL, FIELD_CONJ_ID, names, b);
    skip_type = format_protocol(m, &skip_proto, b);
    for (enum field_id id = FIELD_REG0; id <= FIELD_REG15; id++) {
        format_field(m, NULL, id, names, b);
    }
    format_field(m, NULL, FIELD_TUN_ID, names, b);
    format_field(m, NULL, match_tunnel_field(m, true), names, b);
    format_field(m, NULL, match_tunnel_field(m, false), names, b);
    if (m->mask.key.tunnel.flags & FLOW_TNL_OAM) {
        strbuf_addf(b, "tun_flags=%coam,", m->value.key.tunnel.flags & FLOW_TNL_OAM ? '+' : '-');
    }
    for (enum field_id id = FIELD_TUN_METADATA0; m->mask.tun_metadata.present && id < FIELD_MAX; id++) {
        format_field(m, NULL, id, names, b);
    }
    format_field(m, NULL, FIELD_METADATA, names, b);
    format_field(m, "in_port", FIELD_IN_PORT_OXM, names, b);
    format_vlan(m, b);
    format_field(m, "dl_src", FIELD_ETH_SRC, names, b);
    format_field(m, "dl_dst", FIELD_ETH_DST, names, b);
    format_l3(m, skip_type, skip_proto, b);
    format_l4(m, b);
    format_field(m, NULL, FIELD_ACTSET_OUTPUT, names, b);
    strbuf_chomp(b, ',');
}
