/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/format.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "base/cursor.h"
#include "packet/drop.h"
#include "packet/tunnel_opts.h"

/* Fields of one group, "name(a=1,b=2/0xf)": opened by the first field that is in the mask, closed by group_end(). */
struct group {
    struct strbuf *b;
    const char *name;
    bool open;
};

static void comma(struct strbuf *b)
{
    if (b->len && b->s[b->len - 1] != '(' && b->s[b->len - 1] != ' ' && b->s[b->len - 1] != ',') {
        strbuf_add(b, ",");
    }
}

static void field(struct group *g, const char *name)
{
    comma(g->b);
    if (!g->open) {
        strbuf_addf(g->b, "%s(", g->name);
        g->open = true;
    }
    strbuf_addf(g->b, "%s=", name);
}

static void group_end(struct group *g)
{
    if (g->open) {
        strbuf_add(g->b, ")");
    }
}

static bool is_zero(const void *p, size_t n)
{
    const uint8_t *b = p;
    while (n && !*b) {
        b++;
        n--;
    }
    return !n;
}

static bool is_ones(const void *p, size_t n)
{
    const uint8_t *b = p;
    while (n && *b == 0xff) {
        b++;
        n--;
    }
    return !n;
}

static void add_mac(struct strbuf *b, const struct eth_addr *m)
{
    strbuf_addf(b, "%02x:%02x:%02x:%02x:%02x:%02x", m->a[0], m->a[1], m->a[2], m->a[3], m->a[4], m->a[5]);
}

static void mac_field(struct group *g, const char *name, const struct eth_addr *value, const struct eth_addr *mask)
{
    if (is_zero(mask, sizeof *mask)) {
        return;
    }
    field(g, name);
    add_mac(g->b, value);
    if (!is_ones(mask, sizeof *mask)) {
        strbuf_add(g->b, "/");
        add_mac(g->b, mask);
    }
}

static void add_ip(struct strbuf *b, const struct ip_addr *ip, bool v4)
{
    char text[INET6_ADDRSTRLEN];
    strbuf_add(b, inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? (const void *)&ip->be32[3] : ip->b, text, sizeof text));
}

static void ip_field(struct group *g, const char *name, const struct ip_addr *value, const struct ip_addr *mask,
                     bool v4)
{
    const uint8_t *m = v4 ? mask->b + 12 : mask->b;
    size_t n = v4 ? 4 : 16;
    if (is_zero(m, n)) {
        return;
    }
    field(g, name);
    add_ip(g->b, value, v4);
    if (!is_ones(m, n)) {
        strbuf_add(g->b, "/");
        add_ip(g->b, mask, v4);
    }
}

/* FULL: the field's all-ones. */
static void number(struct group *g, const char *name, uint64_t value, uint64_t mask, uint64_t full, bool hex)
{
    if (!(mask & full)) {
        return;
    }
    field(g, name);
    strbuf_addf(g->b, hex || (mask & full) != full ? "%#" PRIx64 : "%" PRIu64, value & full);
    if ((mask & full) != full) {
        strbuf_addf(g->b, "/%#" PRIx64, mask & full);
    }
}

static void format_tunnel_flags(struct group *g, uint16_t flags)
{
    static const char *const names[] = {"key", "csum", "df", "oam", "crit"};
    field(g, "flags");
    g->b->len--; /* "flags(" has no '=' */
    strbuf_add(g->b, "(");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (flags & 1u << i) {
            strbuf_addf(g->b, "%s%s", g->b->s[g->b->len - 1] == '(' ? "" : "|", names[i]);
        }
    }
    strbuf_add(g->b, ")");
}

static bool tunnel_is_v4(const struct flow_tunnel *t)
{
    return ip_addr_is_v4mapped(ip_addr_is_zero(&t->dst) ? &t->src : &t->dst);
}

static void format_options(struct group *g, uint32_t opts_id)
{
    size_t len;
    const uint8_t *opts = tunnel_opts_get(opts_id, &len);
    struct reader r = reader_of(opts, len);

    field(g, "geneve");
    g->b->len--; /* "geneve(" has no '=' */
    strbuf_add(g->b, "(");
    while (r.left && !r.error) {
        unsigned int class = reader_u16(&r), type = reader_u8(&r), n = (reader_u8(&r) & 0x1fu) * 4;
        const uint8_t *value = reader_take(&r, n);

        strbuf_addf(g->b, "{class=%#x,type=%#x,len=%u", class, type, n);
        for (unsigned int i = 0; value && i < n; i++) {
            strbuf_addf(g->b, i ? "%02x" : ",0x%02x", value[i]);
        }
        strbuf_add(g->b, "}");
    }
    strbuf_add(g->b, ")");
}

static void format_tunnel(const struct flow_tunnel *t, const struct flow_tunnel *mask, struct strbuf *b)
{
    struct group g = {b, "tunnel", false};
    bool v4 = tunnel_is_v4(t);
    number(&g, "tun_id", be64toh(t->id), be64toh(mask->id), UINT64_MAX, true);
    ip_field(&g, "src", &t->src, &mask->src, v4);
    ip_field(&g, "dst", &t->dst, &mask->dst, v4);
    number(&g, "tos", t->tos, mask->tos, 0xff, true);
    number(&g, "ttl", t->ttl, mask->ttl, 0xff, false);
    if (mask->opts_id && t->opts_id) {
        format_options(&g, t->opts_id);
    }
    if (mask->flags) {
        format_tunnel_flags(&g, t->flags & mask->flags);
    }
    group_end(&g);
}

static void format_vlan(const struct flow_vlan *v, const struct flow_vlan *mask, struct strbuf *b)
{
    struct group g = {b, "vlan", false};
    uint16_t tci = ntohs(v->tci), m = ntohs(mask->tci);
    comma(b);
    strbuf_addf(b, "eth_type(0x%04x)", ntohs(v->tpid));
    number(&g, "vid", tci & 0xfff, m & 0xfff, 0xfff, false);
    number(&g, "pcp", tci >> 13, m >> 13, 7, false);
    group_end(&g);
}

static void format_l4(const struct flow_key *k, const struct flow_key *m, struct strbuf *b)
{
    uint16_t type = ntohs(k->eth_type);
    bool icmp = type == ETH_P_IP ? k->ip_proto == IPPROTO_ICMP : k->ip_proto == IPPROTO_ICMPV6;
    const char *name = icmp                          ? type == ETH_P_IP ? "icmp" : "icmpv6"
                       : k->ip_proto == IPPROTO_TCP  ? "tcp"
                       : k->ip_proto == IPPROTO_UDP  ? "udp"
                       : k->ip_proto == IPPROTO_SCTP ? "sctp"
                                                     : NULL;
    if (!name || !m->ip_proto || k->ip_frag & FLOW_FRAG_LATER) {
        return;
    }
    struct group g = {b, name, false};
    uint16_t full = icmp ? 0xff : 0xffff;
    number(&g, icmp ? "type" : "src", ntohs(k->tp_src), ntohs(m->tp_src), full, false);
    number(&g, icmp ? "code" : "dst", ntohs(k->tp_dst), ntohs(m->tp_dst), full, false);
    group_end(&g);
    struct group flags = {b, "tcp_flags", false};
    if (k->ip_proto == IPPROTO_TCP) {
        number(&flags, "flags", ntohs(k->tcp_flags), ntohs(m->tcp_flags), 0xfff, true);
        group_end(&flags);
    }
    struct group nd = {b, "nd", false};
    if (icmp && type == ETH_P_IPV6 && (k->tp_src == htons(135) || k->tp_src == htons(136))) { /* ND */
        ip_field(&nd, "target", &k->nd_target, &m->nd_target, false);
        if (k->tp_src == htons(135)) {
            mac_field(&nd, "sll", &k->arp_sha, &m->arp_sha);
        } else {
            mac_field(&nd, "tll", &k->arp_tha, &m->arp_tha);
        }
        group_end(&nd);
    }
}

static void format_ip(const struct flow_key *k, const struct flow_key *m, struct strbuf *b)
{
    bool v4 = ntohs(k->eth_type) == ETH_P_IP;
    struct group g = {b, v4 ? "ipv4" : "ipv6", false};
    ip_field(&g, "src", &k->ip_src, &m->ip_src, v4);
    ip_field(&g, "dst", &k->ip_dst, &m->ip_dst, v4);
    if (!v4) {
        number(&g, "label", ntohl(k->ipv6_label), ntohl(m->ipv6_label), 0xfffff, true);
    }
    number(&g, "proto", k->ip_proto, m->ip_proto, 0xff, false);
    number(&g, v4 ? "tos" : "tclass", k->ip_tos, m->ip_tos, 0xff, true);
    number(&g, v4 ? "ttl" : "hlimit", k->ip_ttl, m->ip_ttl, 0xff, false);
    if (m->ip_frag) {
        field(&g, "frag");
        strbuf_add(b, k->ip_frag & FLOW_FRAG_LATER ? "later" : k->ip_frag ? "first" : "no");
    }
    group_end(&g);
    format_l4(k, m, b);
}

static void format_arp(const struct flow_key *k, const struct flow_key *m, struct strbuf *b)
{
    struct group g = {b, "arp", false};
    ip_field(&g, "sip", &k->ip_src, &m->ip_src, true);
    ip_field(&g, "tip", &k->ip_dst, &m->ip_dst, true);
    number(&g, "op", k->ip_proto, m->ip_proto, 0xff, false);
    mac_field(&g, "sha", &k->arp_sha, &m->arp_sha);
    mac_field(&g, "tha", &k->arp_tha, &m->arp_tha);
    group_end(&g);
}

static void format_mpls(const struct flow_key *k, const struct flow_key *m, struct strbuf *b)
{
    struct group g = {b, "mpls", false};
    uint32_t lse = ntohl(k->mpls_lse[0]), mask = ntohl(m->mpls_lse[0]);
    number(&g, "label", lse >> 12, mask >> 12, 0xfffff, false);
    number(&g, "tc", lse >> 9 & 7, mask >> 9 & 7, 7, false);
    number(&g, "bos", lse >> 8 & 1, mask >> 8 & 1, 1, false);
    number(&g, "ttl", lse & 0xff, mask & 0xff, 0xff, false);
    group_end(&g);
}

/* Everything from the EtherType inwards. */
static void format_payload(const struct flow_key *k, const struct flow_key *m, struct strbuf *b)
{
    if (!m->eth_type) {
        return;
    }
    uint16_t type = ntohs(k->eth_type);
    comma(b);
    strbuf_addf(b, "eth_type(0x%04x)", type);
    switch (type) {
    case ETH_P_IP:
    case ETH_P_IPV6:
        format_ip(k, m, b);
        break;
    case ETH_P_ARP:
    case ETH_P_RARP:
        format_arp(k, m, b);
        break;
    case ETH_P_MPLS_UC:
    case ETH_P_MPLS_MC:
        format_mpls(k, m, b);
        break;
    default:
        break;
    }
}

static const char *port_name(const struct dp_port_names *names, uint32_t port)
{
    return names ? names->name(names->aux, dp_port(port)) : NULL;
}

void dp_key_format_names(const struct flow_key *k, const struct flow_key *m, const struct dp_port_names *names,
                         struct strbuf *b)
{
    const char *in_port = port_name(names, dp_port_u32(k->in_port));
    struct group eth = {b, "eth", false};
    unsigned int tags = 0;
    strbuf_add(b, "recirc_id(0)");
    if (m->dp_hash) {
        strbuf_addf(b, ",dp_hash(%#x/%#x)", k->dp_hash & m->dp_hash, m->dp_hash);
    }
    format_tunnel(&k->tunnel, &m->tunnel, b);
    if (m->pkt_mark) {
        strbuf_addf(b, ",skb_mark(%#x/%#x)", k->pkt_mark, m->pkt_mark);
    }
    if (dp_port_u32(m->in_port) && in_port) {
        strbuf_addf(b, ",in_port(%s)", in_port);
    } else if (dp_port_u32(m->in_port)) {
        strbuf_addf(b, ",in_port(%u)", dp_port_u32(k->in_port));
    }
    mac_field(&eth, "src", &k->eth_src, &m->eth_src);
    mac_field(&eth, "dst", &k->eth_dst, &m->eth_dst);
    group_end(&eth);
    for (size_t i = 0; i < ARRAY_SIZE(k->vlan); i++) {
        if ((k->vlan[i].tci & m->vlan[i].tci) & htons(FLOW_VLAN_PRESENT)) {
            format_vlan(&k->vlan[i], &m->vlan[i], b);
            strbuf_add(b, ",encap(");
            tags++;
        } else if (m->vlan[i].tci & htons(FLOW_VLAN_PRESENT)) {
            strbuf_add(b, ",vlan(none)");
            break;
        }
    }
    format_payload(k, m, b);
    while (tags--) {
        strbuf_add(b, ")");
    }
}

void dp_key_format(const struct flow_key *k, const struct flow_key *m, struct strbuf *b)
{
    dp_key_format_names(k, m, NULL, b);
}

static void format_set(const struct dp_action_set *set, struct strbuf *b)
{
    const struct flow_key *k = &set->key, *m = &set->mask;
    struct group eth = {b, "eth", false}, ip = {b, set->h.arg & DP_SET_IPV4 ? "ipv4" : "ipv6", false};
    struct group tp = {b, "tp", false}, vlan = {b, "vlan", false}, nd = {b, "nd", false};
    strbuf_add(b, "set(");
    mac_field(&eth, "src", &k->eth_src, &m->eth_src);
    mac_field(&eth, "dst", &k->eth_dst, &m->eth_dst);
    group_end(&eth);
    if (set->h.arg & DP_SET_VLAN) {
        number(&vlan, "vid", ntohs(k->vlan[0].tci) & 0xfff, ntohs(m->vlan[0].tci) & 0xfff, 0xfff, false);
        number(&vlan, "pcp", ntohs(k->vlan[0].tci) >> 13, ntohs(m->vlan[0].tci) >> 13, 7, false);
        group_end(&vlan);
    }
    if (set->h.arg & (DP_SET_IPV4 | DP_SET_IPV6)) {
        bool v4 = set->h.arg & DP_SET_IPV4;
        ip_field(&ip, "src", &k->ip_src, &m->ip_src, v4);
        ip_field(&ip, "dst", &k->ip_dst, &m->ip_dst, v4);
        number(&ip, "label", ntohl(k->ipv6_label), v4 ? 0 : ntohl(m->ipv6_label), 0xfffff, true);
        number(&ip, v4 ? "tos" : "tclass", k->ip_tos, m->ip_tos, 0xff, true);
        number(&ip, v4 ? "ttl" : "hlimit", k->ip_ttl, m->ip_ttl, 0xff, false);
        group_end(&ip);
    }
    if (set->h.arg & DP_SET_ARP) {
        format_arp(k, m, b);
    }
    if (set->h.arg & DP_SET_TP) {
        number(&tp, "src", ntohs(k->tp_src), ntohs(m->tp_src), 0xffff, false);
        number(&tp, "dst", ntohs(k->tp_dst), ntohs(m->tp_dst), 0xffff, false);
        group_end(&tp);
    }
    if (set->h.arg & DP_SET_ND) {
        ip_field(&nd, "target", &k->nd_target, &m->nd_target, false);
        mac_field(&nd, "sll", &k->arp_sha, &m->arp_sha);
        mac_field(&nd, "tll", &k->arp_tha, &m->arp_tha);
        group_end(&nd);
    }
    if (set->h.arg & DP_SET_MARK) {
        comma(b);
        strbuf_addf(b, "skb_mark(%#x/%#x)", k->pkt_mark, m->pkt_mark);
    }
    if (set->h.arg & DP_SET_MPLS) {
        format_mpls(k, m, b);
    }
    strbuf_add(b, ")");
}

static void format_set_tunnel(const struct flow_tunnel *t, struct strbuf *b)
{
    struct flow_tunnel mask;
    memset(&mask, 0xff, sizeof mask);
    if (is_zero(&t->src, sizeof t->src)) {
        memset(&mask.src, 0, sizeof mask.src);
    }
    mask.tos = t->tos ? 0xff : 0;
    mask.id = t->flags & FLOW_TNL_KEY ? mask.id : 0;
    strbuf_add(b, "set(");
    format_tunnel(t, &mask, b);
    strbuf_add(b, ")");
}

static void format_output(uint32_t port, const struct dp_port_names *names, struct strbuf *b)
{
    const char *name = port_name(names, port);
    if (name) {
        strbuf_add(b, name);
    } else {
        strbuf_addf(b, "%u", port);
    }
}

static void format_push_mpls(uint32_t lse, uint16_t eth_type, struct strbuf *b)
{
    strbuf_addf(b, "push_mpls(label=%u,tc=%u,ttl=%u,bos=%u,eth_type=0x%04x)", lse >> 12, lse >> 9 & 7, lse & 0xff,
                lse >> 8 & 1, eth_type);
}

static void format_action(const struct dp_action *a, const struct dp_port_names *names, struct strbuf *b)
{
    const struct dp_action_vlan *vlan = (const struct dp_action_vlan *)(const void *)a;
    const struct dp_action_mpls *mpls = (const struct dp_action_mpls *)(const void *)a;
    switch ((enum dp_action_type)a->type) {
    case DP_ACTION_OUTPUT:
        format_output(a->arg, names, b);
        break;
    case DP_ACTION_SET_TUNNEL:
        format_set_tunnel(&((const struct dp_action_tunnel *)(const void *)a)->tunnel, b);
        break;
    case DP_ACTION_PUSH_VLAN:
        strbuf_add(b, "push_vlan(");
        if (vlan->vlan.tpid != htons(ETH_P_8021Q)) {
            strbuf_addf(b, "tpid=0x%04x,", ntohs(vlan->vlan.tpid));
        }
        strbuf_addf(b, "vid=%u,pcp=%u)", ntohs(vlan->vlan.tci) & 0xfff, ntohs(vlan->vlan.tci) >> 13);
        break;
    case DP_ACTION_POP_VLAN:
        strbuf_add(b, "pop_vlan");
        break;
    case DP_ACTION_SET:
        format_set((const struct dp_action_set *)(const void *)a, b);
        break;
    case DP_ACTION_PUSH_MPLS:
        format_push_mpls(ntohl(mpls->lse), ntohs(mpls->eth_type), b);
        break;
    case DP_ACTION_POP_MPLS:
        strbuf_addf(b, "pop_mpls(eth_type=0x%04x)", ntohs(mpls->eth_type));
        break;
    case DP_ACTION_TRUNC:
        strbuf_addf(b, "trunc(%u)", a->arg);
        break;
    case DP_ACTION_SLOW:
        strbuf_addf(b, "userspace(slow_path(%s))", a->arg == DP_SLOW_CONTROLLER ? "controller" : "action");
        break;
    case DP_ACTION_METER:
        strbuf_addf(b, "meter(%u)", a->arg);
        break;
    case DP_ACTION_CLONE:
        strbuf_add(b, "clone(");
        dp_actions_format_names(a + 1, a->len - sizeof *a, names, b);
        strbuf_add(b, ")");
        break;
    case DP_ACTION_SET_PRIORITY:
        strbuf_addf(b, "set(skb_priority(0x%x))", a->arg);
        break;
    case DP_ACTION_DROP:
        strbuf_addf(b, "drop(%s)", a->arg < DROP_MAX ? drop_reason_name((enum drop_reason)a->arg) : "unknown");
        break;
    }
}

void dp_actions_format_names(const void *actions, size_t len, const struct dp_port_names *names, struct strbuf *b)
{
    if (!len) {
        strbuf_add(b, "drop");
    }
    DP_ACTION_FOR_EACH(a, actions, len) {
        if ((const void *)a != actions) {
            strbuf_add(b, ",");
        }
        format_action(a, names, b);
    }
}

void dp_actions_format(const void *actions, size_t len, struct strbuf *b)
{
    dp_actions_format_names(actions, len, NULL, b);
}
