/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/iface_config.h"

#include <arpa/inet.h>
#include <stdio.h>

#define VXLAN_UDP_PORT 4789
#define GENEVE_UDP_PORT 6081

const char *const iface_types[] = {"geneve", "gre", "internal", "ip6gre", "patch", "system", "tap", "vxlan", NULL};

int ip_addr_parse(const char *s, struct ip_addr *ret)
{
    struct ip_addr ip = {0};
    struct in_addr v4;
    if (inet_pton(AF_INET, s, &v4) == 1) {
        ip.be16[5] = 0xffff;
        ip.be32[3] = v4.s_addr;
    } else if (inet_pton(AF_INET6, s, ip.b) != 1 || ip_addr_is_v4mapped(&ip)) {
        return -EINVAL;
    }
    *ret = ip;
    return 0;
}

static bool ip_addr_is_usable(const struct ip_addr *ip)
{
    if (ip_addr_is_v4mapped(ip)) {
        return ip->b[12] > 0 && ip->b[12] < 224;
    }
    return !ip_addr_is_zero(ip) && ip->b[0] != 0xff;
}

void ip_addr_format(const struct ip_addr *ip, struct strbuf *b)
{
    char text[INET6_ADDRSTRLEN];
    bool v4 = ip_addr_is_v4mapped(ip);
    strbuf_add(b, inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? (const void *)&ip->be32[3] : ip->b, text, sizeof text));
}

static bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return !memcmp(a->b, b->b, sizeof a->b);
}

static bool tunnel_config_equal(const struct tunnel_config *a, const struct tunnel_config *b)
{
    return a->type == b->type && a->remote == b->remote && a->local == b->local &&
           ip_addr_equal(&a->remote_ip, &b->remote_ip) && ip_addr_equal(&a->local_ip, &b->local_ip) &&
           a->in_key == b->in_key && a->out_key == b->out_key && a->in_key_value == b->in_key_value &&
           a->out_key_value == b->out_key_value && a->dst_port == b->dst_port && a->tos_inherit == b->tos_inherit &&
           a->ttl_inherit == b->ttl_inherit && a->tos == b->tos && a->ttl == b->ttl && a->df == b->df &&
           a->csum == b->csum && a->egress_pkt_mark == b->egress_pkt_mark;
}

bool port_config_equal(const struct port_config *a, const struct port_config *b)
{
    return !strcmp(a->name, b->name) && a->ofp_port == b->ofp_port && a->kind == b->kind &&
           !memcmp(a->mac.a, b->mac.a, sizeof a->mac.a) && vlan_config_equal(&a->vlan, &b->vlan) &&
           (a->kind != PORT_TUNNEL || tunnel_config_equal(&a->tunnel, &b->tunnel)) &&
           ((a->kind != PORT_SYSTEM && a->kind != PORT_INTERNAL) || a->userspace == b->userspace) &&
           (a->kind != PORT_PATCH || !strcmp(a->patch_peer, b->patch_peer)) &&
           !strcmp(a->bond ? a->bond : "", b->bond ? b->bond : "") && a->is_protected == b->is_protected &&
           a->mcast_flood == b->mcast_flood && a->mcast_flood_reports == b->mcast_flood_reports;
}

bool tunnel_config_conflict(const struct tunnel_config *a, const struct tunnel_config *b)
{
    return a->type == b->type && a->dst_port == b->dst_port && a->remote == b->remote && a->local == b->local &&
           ip_addr_equal(&a->remote_ip, &b->remote_ip) && ip_addr_equal(&a->local_ip, &b->local_ip) &&
           a->in_key == b->in_key && a->in_key_value == b->in_key_value;
}

/* --- Tunnel options, one parser each. They return 0, or -EINVAL after saying why. --- */

struct tunnel_parse {
    struct tunnel_config *config;
    const char *type, *key, *value;
    struct strbuf *message;
    bool have_in_key, have_out_key;
};

static int WR_PRINTF(2, 3) bad(struct tunnel_parse *p, const char *fmt, ...)
{
    char text[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    strbuf_addf(p->message, "%s%s=%s: %s", p->message->len ? "; " : "", p->key, p->value, text);
    return -EINVAL;
}

/* The whole of S as a decimal or 0x number up to MAX. */
static bool parse_number(const char *s, uint64_t max, uint64_t *ret)
{
    char *end;
    if (*s < '0' || *s > '9') {
        return false;
    }
    errno = 0;
    unsigned long long n = strtoull(s, &end, s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10);
    if (*end || errno || n > max) {
        return false;
    }
    *ret = n;
    return true;
}

static int parse_bool(struct tunnel_parse *p, bool *ret)
{
    bool on = !strcmp(p->value, "true");
    if (!on && strcmp(p->value, "false") != 0) {
        return bad(p, "must be true or false");
    }
    *ret = on;
    return 0;
}

static int parse_end(struct tunnel_parse *p, struct ip_addr *ret, enum tunnel_value *ret_kind)
{
    struct ip_addr ip;
    if (!strcmp(p->value, "flow")) {
        *ret_kind = TUNNEL_FLOW;
        return 0;
    }
    if (ip_addr_parse(p->value, &ip)) {
        return bad(p, "not an IPv4 or IPv6 address (nor \"flow\")");
    }
    if (!ip_addr_is_usable(&ip)) {
        return bad(p, "not a unicast address");
    }
    *ret = ip;
    *ret_kind = TUNNEL_FIXED;
    return 0;
}

static int parse_remote_ip(struct tunnel_parse *p)
{
    return parse_end(p, &p->config->remote_ip, &p->config->remote);
}

static int parse_local_ip(struct tunnel_parse *p)
{
    return parse_end(p, &p->config->local_ip, &p->config->local);
}

static int parse_key_value(struct tunnel_parse *p, enum tunnel_value *ret_kind, uint32_t *ret_key)
{
    bool gre = p->config->type == TUNNEL_GRE;
    uint64_t n = 0;
    bool flow = !strcmp(p->value, "flow");
    if (!flow && !parse_number(p->value, gre ? UINT32_MAX : 0xffffff, &n)) {
        return bad(p, "%s keys are \"flow\" or a number of at most %d bits", p->type, gre ? 32 : 24);
    }
    *ret_kind = flow ? TUNNEL_FLOW : TUNNEL_FIXED;
    *ret_key = (uint32_t)n;
    return 0;
}

static int parse_in_key(struct tunnel_parse *p)
{
    p->have_in_key = true;
    return parse_key_value(p, &p->config->in_key, &p->config->in_key_value);
}

static int parse_out_key(struct tunnel_parse *p)
{
    p->have_out_key = true;
    return parse_key_value(p, &p->config->out_key, &p->config->out_key_value);
}

/* `key` is both, wherever in_key or out_key does not say otherwise. */
static int parse_key(struct tunnel_parse *p)
{
    enum tunnel_value kind = TUNNEL_NONE;
    uint32_t key = 0;
    int error = parse_key_value(p, &kind, &key);
    if (error) {
        return error;
    }
    if (!p->have_in_key) {
        p->config->in_key = kind;
        p->config->in_key_value = key;
    }
    if (!p->have_out_key) {
        p->config->out_key = kind;
        p->config->out_key_value = key;
    }
    return 0;
}

static int parse_dst_port(struct tunnel_parse *p)
{
    uint64_t n;
    if (!parse_number(p->value, 65535, &n) || !n) {
        return bad(p, "not a UDP port (1 to 65535)");
    }
    p->config->dst_port = (uint16_t)n;
    return 0;
}

static int parse_tos(struct tunnel_parse *p)
{
    uint64_t n;
    p->config->tos_inherit = !strcmp(p->value, "inherit");
    if (p->config->tos_inherit) {
        return 0;
    }
    if (!parse_number(p->value, 255, &n) || (n & 3)) {
        return bad(p, "must be \"inherit\" or a number up to 252 whose low two bits (ECN) are zero");
    }
    p->config->tos = (uint8_t)n;
    return 0;
}

static int parse_ttl(struct tunnel_parse *p)
{
    uint64_t n;
    p->config->ttl_inherit = !strcmp(p->value, "inherit");
    if (p->config->ttl_inherit) {
        return 0;
    }
    if (!parse_number(p->value, 255, &n) || !n) {
        return bad(p, "must be \"inherit\" or 1 to 255");
    }
    p->config->ttl = (uint8_t)n;
    return 0;
}

static int parse_df_default(struct tunnel_parse *p)
{
    return parse_bool(p, &p->config->df);
}

static int parse_csum(struct tunnel_parse *p)
{
    return parse_bool(p, &p->config->csum);
}

static int parse_egress_pkt_mark(struct tunnel_parse *p)
{
    uint64_t n;
    if (!parse_number(p->value, UINT32_MAX, &n)) {
        return bad(p, "not a number of at most 32 bits");
    }
    p->config->egress_pkt_mark = (uint32_t)n;
    return 0;
}

static int parse_packet_type(struct tunnel_parse *p)
{
    return strcmp(p->value, "legacy_l2") ? bad(p, "only legacy_l2 is supported") : 0;
}

static int parse_unsupported(struct tunnel_parse *p)
{
    return bad(p, "not supported");
}

/* In the order of their parsing: `key` after the two that override it. */
static const struct tunnel_option {
    const char *key;
    bool udp_only;
    int (*parse)(struct tunnel_parse *p);
} tunnel_options[] = {
    {"remote_ip", false, parse_remote_ip},
    {"local_ip", false, parse_local_ip},
    {"in_key", false, parse_in_key},
    {"out_key", false, parse_out_key},
    {"key", false, parse_key},
    {"dst_port", true, parse_dst_port},
    {"tos", false, parse_tos},
    {"ttl", false, parse_ttl},
    {"df_default", false, parse_df_default},
    {"csum", false, parse_csum},
    {"egress_pkt_mark", false, parse_egress_pkt_mark},
    {"packet_type", false, parse_packet_type},
    {"exts", true, parse_unsupported},
    {"seq", false, parse_unsupported},
};

static const char *option_get(const struct iface_row *row, const char *key)
{
    for (size_t i = 0; i < row->n_options; i++) {
        if (!strcmp(row->options[i].key, key)) {
            return row->options[i].value;
        }
    }
    return NULL;
}

static bool tunnel_option_known(const struct tunnel_config *config, const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(tunnel_options); i++) {
        if (!strcmp(tunnel_options[i].key, key)) {
            return !tunnel_options[i].udp_only || config->type != TUNNEL_GRE;
        }
    }
    return false;
}

static void warn_unknown(const char *type, const char *key, struct strbuf *message)
{
    strbuf_addf(message, "%sunknown %s option \"%s\" is ignored", message->len ? "; " : "", type, key);
}

static int check_ends(const struct tunnel_parse *p)
{
    const struct tunnel_config *c = p->config;
    bool both_fixed = c->remote == TUNNEL_FIXED && c->local == TUNNEL_FIXED;
    const char *why = NULL;
    if (c->remote == TUNNEL_NONE) {
        why = "needs the option remote_ip";
    } else if (c->local == TUNNEL_FLOW && c->remote != TUNNEL_FLOW) {
        why = "local_ip=flow needs remote_ip=flow";
    } else if (both_fixed && ip_addr_is_v4mapped(&c->local_ip) != ip_addr_is_v4mapped(&c->remote_ip)) {
        why = "local_ip and remote_ip are of different families";
    } else if (both_fixed && ip_addr_equal(&c->local_ip, &c->remote_ip)) {
        why = "local_ip and remote_ip are the same";
    } else if (!strcmp(p->type, "ip6gre") && c->remote == TUNNEL_FIXED && ip_addr_is_v4mapped(&c->remote_ip)) {
        why = "remote_ip must be an IPv6 address";
    }
    if (!why) {
        return 0;
    }
    strbuf_addf(p->message, "%s%s tunnel: %s", p->message->len ? "; " : "", p->type, why);
    return -EINVAL;
}

static int parse_tunnel(const struct iface_row *row, enum tunnel_type type, struct tunnel_config *ret,
                        struct strbuf *message)
{
    struct tunnel_config config = {.type = type, .ttl = 64, .df = true};
    struct tunnel_parse p = {.config = &config, .type = row->type, .message = message};
    int error = 0;
    config.dst_port = type == TUNNEL_VXLAN ? VXLAN_UDP_PORT : type == TUNNEL_GENEVE ? GENEVE_UDP_PORT : 0;
    for (size_t i = 0; i < ARRAY_SIZE(tunnel_options); i++) {
        p.key = tunnel_options[i].key;
        p.value = option_get(row, p.key);
        if (p.value && tunnel_option_known(&config, p.key) && tunnel_options[i].parse(&p)) {
            error = -EINVAL;
        }
    }
    if (!error) {
        error = check_ends(&p);
    }
    for (size_t i = 0; i < row->n_options; i++) {
        if (!tunnel_option_known(&config, row->options[i].key)) {
            warn_unknown(row->type, row->options[i].key, message);
        }
    }
    if (!error) {
        *ret = config;
    }
    return error;
}

static int parse_patch(const struct iface_row *row, const char **ret_peer, struct strbuf *message)
{
    const char *peer = option_get(row, "peer");
    if (!peer || !*peer) {
        strbuf_add(message, "patch port needs the option peer");
    } else if (row->n_options > 1) {
        strbuf_add(message, "patch port takes no option but peer:");
        for (size_t i = 0; i < row->n_options; i++) {
            if (strcmp(row->options[i].key, "peer") != 0) {
                strbuf_addf(message, " %s", row->options[i].key);
            }
        }
    } else if (!strcmp(peer, row->name)) {
        strbuf_add(message, "patch port cannot be its own peer");
    } else {
        *ret_peer = peer;
        return 0;
    }
    return -EINVAL;
}

static const struct {
    const char *name;
    enum port_kind kind;
    enum tunnel_type tunnel;
} types[] = {
    {"", PORT_SYSTEM, 0},
    {"system", PORT_SYSTEM, 0},
    {"internal", PORT_INTERNAL, 0},
    {"tap", PORT_INTERNAL, 0}, /* what our internal ports are */
    {"patch", PORT_PATCH, 0},
    {"vxlan", PORT_TUNNEL, TUNNEL_VXLAN},
    {"gre", PORT_TUNNEL, TUNNEL_GRE},
    {"ip6gre", PORT_TUNNEL, TUNNEL_GRE},
    {"geneve", PORT_TUNNEL, TUNNEL_GENEVE},
};

int iface_config_parse(const struct iface_row *row, struct port_config *ret_config, struct strbuf *message)
{
    const char *type = row->is_local ? "internal" : row->type;
    struct port_config config = *ret_config;
    size_t i = 0;
    while (i < ARRAY_SIZE(types) && strcmp(types[i].name, type) != 0) {
        i++;
    }
    if (i == ARRAY_SIZE(types)) {
        strbuf_addf(message, "unknown interface type \"%s\"", type);
        return -EINVAL;
    }
    int error = 0;
    config.name = row->name;
    config.kind = types[i].kind;
    if (config.kind == PORT_TUNNEL) {
        error = parse_tunnel(row, types[i].tunnel, &config.tunnel, message);
    } else if (config.kind == PORT_PATCH) {
        error = parse_patch(row, &config.patch_peer, message);
    } else {
        for (size_t o = 0; o < row->n_options; o++) {
            warn_unknown(config.kind == PORT_SYSTEM ? "system" : "internal", row->options[o].key, message);
        }
    }
    if (row->hwaddr && *row->hwaddr && (eth_addr_parse(row->hwaddr, &config.mac) || eth_addr_is_group(&config.mac))) {
        strbuf_addf(message, "%smac \"%s\" is no unicast Ethernet address", message->len ? "; " : "", row->hwaddr);
        error = -EINVAL;
    }
    if (!error) {
        *ret_config = config;
    }
    return error;
}

/* VLAN numbers of WHAT as bits; *RET_ALL: there are none. */
static int parse_vlans(const int64_t *vlans, size_t n, const char *what, uint8_t *bits, bool *ret_all,
                       struct strbuf *message)
{
    for (size_t i = 0; i < n; i++) {
        if (vlans[i] < 0 || vlans[i] > 4095) {
            strbuf_addf(message, "%s %lld is no VLAN (0 to 4095)", what, (long long)vlans[i]);
            return -EINVAL;
        }
        bits[vlans[i] / 8] |= (uint8_t)(1u << vlans[i] % 8);
    }
    *ret_all = n == 0;
    return 0;
}

static int parse_mode(const struct vlan_row *row, struct vlan_config *config, struct strbuf *message)
{
    static const char *const modes[] = {"trunk", "access", "native-tagged", "native-untagged", "dot1q-tunnel"};
    size_t i = 0;
    config->mode = row->tag >= 0 ? VLAN_ACCESS : VLAN_TRUNK;
    if (!row->mode) {
        return 0;
    }
    while (i < ARRAY_SIZE(modes) && strcmp(modes[i], row->mode) != 0) {
        i++;
    }
    if (i == ARRAY_SIZE(modes)) {
        strbuf_addf(message, "vlan_mode %s is not supported", row->mode);
        return -EINVAL;
    }
    config->mode = (enum vlan_mode)i;
    return 0;
}

/* Of other_config: a wrong word is told, and the default stays. */
static void parse_tag_options(const struct vlan_row *row, struct vlan_config *config, struct strbuf *message)
{
    const char *q = row->qinq_ethtype, *p = row->priority_tags;
    if (q && config->mode == VLAN_DOT1Q_TUNNEL) {
        if (!strcmp(q, "802.1q")) {
            config->qinq_ethtype = 0x8100;
        } else if (strcmp(q, "802.1ad") != 0) {
            strbuf_addf(message, "qinq-ethtype %s is neither 802.1ad nor 802.1q: 802.1ad is taken", q);
        }
    }
    if (!p || !strcmp(p, "never") || !strcmp(p, "false")) {
        return;
    }
    if (!strcmp(p, "if-nonzero") || !strcmp(p, "true")) { /* the second of each: until Open vSwitch 2.10 */
        config->priority_tags = PRIORITY_TAGS_IF_NONZERO;
    } else if (!strcmp(p, "always")) {
        config->priority_tags = PRIORITY_TAGS_ALWAYS;
    } else {
        strbuf_addf(message, "priority-tags %s is not known: never is taken", p);
    }
}

int vlan_config_parse(const struct vlan_row *row, struct vlan_config *ret_vlan, struct strbuf *message)
{
    struct vlan_config config = {0};
    int error;
    if (row->tag < -1 || row->tag > 4095) {
        strbuf_addf(message, "tag %lld is no VLAN (0 to 4095)", (long long)row->tag);
        return -EINVAL;
    }
    error = parse_mode(row, &config, message);
    if (error) {
        return error;
    }
    config.tag = row->tag >= 0 && config.mode != VLAN_TRUNK ? (uint16_t)row->tag : 0;
    error = parse_vlans(row->trunks, row->n_trunks, "trunk", config.trunks, &config.all_trunks, message);
    if (!error && config.mode == VLAN_DOT1Q_TUNNEL) {
        error = parse_vlans(row->cvlans, row->n_cvlans, "cvlan", config.cvlans, &config.all_cvlans, message);
    }
    if (error) {
        return error;
    }
    parse_tag_options(row, &config, message);
    *ret_vlan = config;
    return 0;
}
