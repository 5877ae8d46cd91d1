/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a datapath flow: each member of its groups is a field of OpenFlow under another name, so the text is turned
 * into a match, and the match's parser does the rest.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "openflow/text_value.h"
#include "packet/tunnel_opts.h"
#include "switch/trace_ctl.h"

static const struct {
    const char *group, *member, *field;
} members[] = {
    {"tunnel", "tun_id", "tun_id"},    {"eth", "src", "eth_src"},         {"eth", "dst", "eth_dst"},
    {"vlan", "vid", "dl_vlan"},        {"vlan", "pcp", "dl_vlan_pcp"},    {"mpls", "label", "mpls_label"},
    {"mpls", "tc", "mpls_tc"},         {"mpls", "bos", "mpls_bos"},       {"mpls", "ttl", "mpls_ttl"},
    {"ipv4", "src", "nw_src"},         {"ipv4", "dst", "nw_dst"},         {"ipv4", "proto", "nw_proto"},
    {"ipv4", "ttl", "nw_ttl"},         {"ipv4", "frag", "nw_frag"},       {"ipv6", "src", "ipv6_src"},
    {"ipv6", "dst", "ipv6_dst"},       {"ipv6", "label", "ipv6_label"},   {"ipv6", "proto", "nw_proto"},
    {"ipv6", "hlimit", "nw_ttl"},      {"ipv6", "frag", "nw_frag"},       {"arp", "sip", "arp_spa"},
    {"arp", "tip", "arp_tpa"},         {"arp", "op", "arp_op"},           {"arp", "sha", "arp_sha"},
    {"arp", "tha", "arp_tha"},         {"tcp", "src", "tcp_src"},         {"tcp", "dst", "tcp_dst"},
    {"udp", "src", "udp_src"},         {"udp", "dst", "udp_dst"},         {"sctp", "src", "sctp_src"},
    {"sctp", "dst", "sctp_dst"},       {"icmp", "type", "icmp_type"},     {"icmp", "code", "icmp_code"},
    {"icmpv6", "type", "icmpv6_type"}, {"icmpv6", "code", "icmpv6_code"}, {"nd", "target", "nd_target"},
    {"nd", "sll", "nd_sll"},           {"nd", "tll", "nd_tll"},
};

/* What other datapaths print and this one has not: fine when zero. */
static const char *const absent[] = {"recirc_id", "skb_priority", "ct_state",   "ct_zone",
                                     "ct_mark",   "ct_label",     "packet_type"};

struct dp_text {
    struct strbuf match; /* as ovs-ofctl writes it */
    dp_port_t in_port;
    uint32_t dp_hash;
    bool has_dp_hash;
    uint8_t tun_ttl, tun_tos;
    uint16_t tun_flags;
    uint32_t opts_id;
    const char *eth_type; /* the innermost */
    struct flow_vlan vlans[2];
    size_t n_vlans;
};

static unsigned int hex_digit(char c)
{
    return (unsigned int)(isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10);
}

static bool is_any(const char *s, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(s, names[i])) {
            return true;
        }
    }
    return false;
}

/* "0x1f" and whatever ends it, right-aligned in LEN bytes. */
static bool read_hex(const char *text, uint8_t *ret, size_t len)
{
    size_t digits;

    memset(ret, 0, len);
    if (strncmp(text, "0x", 2)) {
        return false;
    }
    text += 2;
    digits = strspn(text, "0123456789abcdefABCDEF");
    for (size_t i = 0; i < digits && digits <= 2 * len; i++) {
        size_t nibble = digits - 1 - i;

        ret[len - 1 - nibble / 2] |= (uint8_t)(hex_digit(text[i]) << (nibble % 2 * 4));
    }
    return digits && digits <= 2 * len;
}

/* "{class=0x102,type=0x80,len=4,0x1}{…}" → a block of options. */
static bool read_geneve(struct dp_text *t, const char *text)
{
    uint8_t opts[TUNNEL_OPTS_MAX_LEN];
    size_t n = 0;

    while (*text) {
        unsigned int class, type, len;
        int used = 0;

        if (sscanf(text, "{class=%i,type=%i,len=%u%n", (int *)&class, (int *)&type, &len, &used) < 3 ||
            class > 0xffff || type > 0xff || len > 124 || len % 4 || n + 4 + len > sizeof opts) {
            return false;
        }
        text += used;
        opts[n++] = (uint8_t)(class >> 8);
        opts[n++] = (uint8_t) class;
        opts[n++] = (uint8_t)type;
        opts[n++] = (uint8_t)(len / 4);
        if (*text == ',') {
            if (!read_hex(text + 1, opts + n, len)) {
                return false;
            }
            text += strcspn(text, "}");
        } else {
            memset(opts + n, 0, len);
        }
        n += len;
        if (*text++ != '}') {
            return false;
        }
    }
    return !tunnel_opts_intern(opts, n, &t->opts_id);
}

/* Tunnel members that are no OpenFlow fields. 1: it was one. */
static int tunnel_member(struct dp_text *t, const char *member, const char *value)
{
    static const struct {
        const char *name;
        uint16_t flag;
    } flags[] = {{"key", FLOW_TNL_KEY}, {"csum", FLOW_TNL_CSUM}, {"df", FLOW_TNL_DF}, {"oam", FLOW_TNL_OAM}};
    uint64_t n;

    if (!strcmp(member, "src") || !strcmp(member, "dst")) {
        strbuf_addf(&t->match, "tun_%s%s=%s,", strchr(value, ':') ? "ipv6_" : "", member, value);
        return 1;
    }
    if (!strcmp(member, "flags")) {
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
            t->tun_flags |= strstr(value, flags[i].name) ? flags[i].flag : 0;
        }
        return 1;
    }
    if (!strcmp(member, "geneve")) {
        return read_geneve(t, value);
    }
    if ((strcmp(member, "ttl") && strcmp(member, "tos")) || text_u64(value, 255, &n)) {
        return 0;
    }
    *(strcmp(member, "ttl") ? &t->tun_tos : &t->tun_ttl) = (uint8_t)n;
    return 1;
}

static int one_member(struct dp_text *t, const char *group, const char *member, char *value, char **ret_error)
{
    uint64_t n;

    if (!strcmp(group, "tunnel") && tunnel_member(t, member, value)) {
        return 0;
    }
    if ((!strcmp(group, "ipv4") && !strcmp(member, "tos")) || (!strcmp(group, "ipv6") && !strcmp(member, "tclass"))) {
        value[strcspn(value, "/")] = '\0';
        if (text_u64(value, 255, &n)) {
            return text_fail(ret_error, "%s(%s=%s): not a byte", group, member, value);
        }
        strbuf_addf(&t->match, "nw_tos=%u,nw_ecn=%u,", (unsigned int)n & 0xfc, (unsigned int)n & 3); /* two fields */
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (!strcmp(members[i].group, group) && !strcmp(members[i].member, member)) {
            strbuf_addf(&t->match, "%s=%s,", members[i].field, value);
            return 0;
        }
    }
    return text_fail(ret_error, "%s(%s): unknown field", group, member);
}

static int read_groups(struct dp_text *t, char *text, char **ret_error);

/* "vid=5,pcp=3" of a tag whose EtherType came before. */
static int read_vlan(struct dp_text *t, char *value, char **ret_error)
{
    uint64_t vid = 0, pcp = 0, tpid = 0;
    char *member, *v;
    int more;

    while ((more = text_next(&value, &member, &v, ret_error)) > 0) {
        bool is_vid = !strcmp(member, "vid");

        v[strcspn(v, "/")] = '\0';
        if ((!is_vid && strcmp(member, "pcp") && strcmp(member, "cfi")) ||
            text_u64(v, is_vid ? 4095 : 7,
                     is_vid                   ? &vid
                     : !strcmp(member, "pcp") ? &pcp
                                              : &(uint64_t){0})) {
            return text_fail(ret_error, "vlan(%s=%s): not a tag's", member, v);
        }
    }
    if (more < 0) {
        return more;
    }
    if (t->n_vlans == ARRAY_SIZE(t->vlans)) {
        return text_fail(ret_error, "vlan: more than two tags");
    }
    if (t->eth_type && text_u64(t->eth_type, UINT16_MAX, &tpid)) {
        return text_fail(ret_error, "eth_type(%s): not an EtherType", t->eth_type);
    }
    t->vlans[t->n_vlans++] = (struct flow_vlan){htons(tpid ? (uint16_t)tpid : 0x8100),
                                                htons((uint16_t)(pcp << 13 | FLOW_VLAN_PRESENT | vid))};
    t->eth_type = NULL; /* that of the payload comes within encap() */
    return 0;
}

/* The mask that a megaflow has says nothing of a packet. */
static int read_dp_hash(struct dp_text *t, char *value, char **ret_error)
{
    uint64_t n;

    value[strcspn(value, "/")] = '\0';
    if (text_u64(value, UINT32_MAX, &n)) {
        return text_fail(ret_error, "dp_hash(%s): not a number of 32 bits", value);
    }
    t->dp_hash = (uint32_t)n;
    t->has_dp_hash = true;
    return 0;
}

static int read_group(struct dp_text *t, const char *group, char *value, char **ret_error)
{
    char *member, *v;
    uint64_t n;
    int more, error = 0;

    if (!strcmp(group, "encap")) {
        return read_groups(t, value, ret_error);
    }
    if (!strcmp(group, "in_port")) {
        if (text_u64(value, UINT32_MAX, &n)) {
            return text_fail(ret_error, "in_port(%s): not a datapath port's number", value);
        }
        t->in_port = dp_port((uint32_t)n);
        return 0;
    }
    if (!strcmp(group, "eth_type")) {
        t->eth_type = value;
        return 0;
    }
    if (!strcmp(group, "dp_hash")) {
        return read_dp_hash(t, value, ret_error);
    }
    if (!strcmp(group, "skb_mark")) {
        strbuf_addf(&t->match, "pkt_mark=%s,", value);
        return 0;
    }
    if (!strcmp(group, "tcp_flags")) {
        char *is = strrchr(value, '=');

        strbuf_addf(&t->match, "tcp_flags=%s,", is ? is + 1 : value);
        return 0;
    }
    if (!strcmp(group, "vlan")) {
        return strcmp(value, "none") ? read_vlan(t, value, ret_error) : 0;
    }
    if (is_any(group, absent, ARRAY_SIZE(absent))) {
        return strtoull(value, NULL, 0) ? text_fail(ret_error, "%s(%s): not supported", group, value) : 0;
    }
    while (!error && (more = text_next(&value, &member, &v, ret_error))) {
        error = more < 0 ? more : one_member(t, group, member, v, ret_error);
    }
    return error;
}

static int read_groups(struct dp_text *t, char *text, char **ret_error)
{
    char *group, *value;
    int more, error = 0;

    while (!error && (more = text_next(&text, &group, &value, ret_error))) {
        error = more < 0 ? more : read_group(t, group, value, ret_error);
    }
    return error;
}

int dp_flow_parse(const char *text, struct flow *ret_flow, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(text);
    struct dp_text t = {.in_port = DP_PORT_NONE};
    struct match m;
    int error = read_groups(&t, copy, ret_error);

    if (!error && t.eth_type) {
        strbuf_addf(&t.match, "eth_type=%s,", t.eth_type);
    }
    error = error ? error : match_parse(strbuf_str(&t.match), NULL, &m, ret_error);
    strbuf_done(&t.match);
    if (error) {
        return error;
    }
    m.value.key.in_port = t.in_port;
    memcpy(m.value.key.vlan, t.vlans, sizeof m.value.key.vlan);
    m.value.key.tunnel.ttl = t.tun_ttl;
    m.value.key.tunnel.tos = t.tun_tos;
    m.value.key.tunnel.flags |= t.tun_flags;
    m.value.key.tunnel.opts_id = t.opts_id;
    m.value.key.dp_hash = t.has_dp_hash ? t.dp_hash : flow_key_hash5(&m.value.key);
    *ret_flow = m.value;
    return 0;
}

int packet_parse(const char *hex, struct packet **ret_packet)
{
    _cleanup_free_ uint8_t *bytes = xcalloc(1, strlen(hex) / 2 + 1);
    size_t n = 0;

    for (; *hex; hex++) {
        if (isspace((unsigned char)*hex)) {
            continue;
        }
        if (!isxdigit((unsigned char)*hex)) {
            return -EINVAL;
        }
        bytes[n / 2] = (uint8_t)(bytes[n / 2] << 4 | hex_digit(*hex));
        n++;
    }
    if (!n || n % 2) {
        return -EINVAL;
    }
    *ret_packet = packet_new(bytes, n / 2);
    return 0;
}
