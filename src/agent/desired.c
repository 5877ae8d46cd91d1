/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/desired.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent/name_index.h"
#include "base/eth_addr.h"
#include "packet/tunnel.h"

enum {
    INT_LOCAL_SWITCHING = 0,
    INT_ARP_SPOOF = 24,
    INT_MAC_SPOOF = 25,
    INT_TRANSIENT = 60,
    TUN_PATCH_LV_TO_TUN = 2,
    TUN_LEARN_FROM_TUN = 10,
    TUN_UCAST_TO_TUN = 20,
    TUN_ARP_RESPONDER = 21,
    TUN_FLOOD_TO_TUN = 22,
};
static const int tun_to_lv[N_TUNNEL_TYPES] = {[TUNNEL_GRE] = 3, [TUNNEL_VXLAN] = 4, [TUNNEL_GENEVE] = 6};

#define FLOW(B, FMT, ...) strbuf_addf(B, "cookie=0x%" PRIx64 "," FMT "\n", (uint64_t)AGENT_COOKIE, ##__VA_ARGS__)

static bool is_ipv6(const char *ip)
{
    return strchr(ip, ':') != NULL;
}

/* The link-local address that a guest derives from its MAC (RFC 4291, appendix A). */
static int link_local(const char *mac, char ret[INET6_ADDRSTRLEN])
{
    struct eth_addr addr;
    const uint8_t *m = addr.a;

    if (eth_addr_parse(mac, &addr)) {
        return -EINVAL;
    }
    struct in6_addr a = {{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}}};
    return inet_ntop(AF_INET6, &a, ret, INET6_ADDRSTRLEN) ? 0 : -errno;
}

/* ---- br-int ---- */

/* P may say of itself, in ARP and neighbour advertisements, that it has IP (an address or a prefix). */
static void int_address(const struct state_port *p, const char *ip, struct strbuf *b)
{
    if (is_ipv6(ip)) {
        FLOW(b, "table=%d,priority=2,icmp6,in_port=%u,icmp_type=136,nd_target=%s,actions=goto_table:%d", INT_ARP_SPOOF,
             p->ofport, ip, INT_MAC_SPOOF);
    } else {
        FLOW(b, "table=%d,priority=2,arp,in_port=%u,arp_spa=%s,actions=goto_table:%d", INT_ARP_SPOOF, p->ofport, ip,
             INT_MAC_SPOOF);
    }
}

/* P may send from MAC, and have the link-local address that goes with it. */
static void int_mac(const struct state_port *p, const char *mac, struct strbuf *b)
{
    char ll[INET6_ADDRSTRLEN];

    if (!link_local(mac, ll)) {
        int_address(p, ll, b);
    }
    FLOW(b, "table=%d,priority=2,in_port=%u,dl_src=%s,actions=goto_table:%d", INT_MAC_SPOOF, p->ofport, mac,
         INT_TRANSIENT);
}

/* Is pair I's MAC (ADDRESS: its address) one that the port, or a pair before it, has? A flow is written once. */
static bool is_repeated(const struct state_port *p, size_t i, bool address)
{
    for (size_t j = 0; j < i; j++) {
        if (address ? !strcmp(p->pairs[j].ip, p->pairs[i].ip) : !strcasecmp(p->pairs[j].mac, p->pairs[i].mac)) {
            return true;
        }
    }
    for (size_t j = 0; address && j < p->n_ips; j++) {
        if (!strcmp(p->ips[j], p->pairs[i].ip)) {
            return true;
        }
    }
    return !address && !strcasecmp(p->mac, p->pairs[i].mac);
}

static void int_port_security(const struct state_port *p, struct strbuf *b)
{
    FLOW(b, "table=0,priority=10,arp,in_port=%u,actions=goto_table:%d", p->ofport, INT_ARP_SPOOF);
    FLOW(b, "table=0,priority=10,icmp6,in_port=%u,icmp_type=136,actions=goto_table:%d", p->ofport, INT_ARP_SPOOF);
    FLOW(b, "table=0,priority=9,in_port=%u,actions=goto_table:%d", p->ofport, INT_MAC_SPOOF);
    for (size_t i = 0; i < p->n_ips; i++) {
        int_address(p, p->ips[i], b);
    }
    int_mac(p, p->mac, b);
    for (size_t i = 0; i < p->n_pairs; i++) {
        if (!is_repeated(p, i, true)) {
            int_address(p, p->pairs[i].ip, b);
        }
        if (!is_repeated(p, i, false)) {
            int_mac(p, p->pairs[i].mac, b);
        }
    }
}

void desired_br_int(const struct state *s, struct strbuf *b)
{
    if (s->patch_tun == OFPORT_NONE) {
        return;
    }
    FLOW(b, "table=0,priority=65535,dl_vlan=%u,actions=drop", VLAN_DEAD);
    FLOW(b, "table=0,priority=0,actions=drop");
    FLOW(b, "table=%d,priority=0,actions=drop", INT_ARP_SPOOF);
    FLOW(b, "table=%d,priority=0,actions=drop", INT_MAC_SPOOF);
    FLOW(b, "table=%d,priority=3,actions=NORMAL", INT_TRANSIENT);
    for (size_t i = 0; i < s->n_plain; i++) {
        FLOW(b, "table=0,priority=1,in_port=%u,actions=goto_table:%d", s->plain[i], INT_TRANSIENT);
    }
    for (size_t i = 0; i < s->n_dead; i++) {
        FLOW(b, "table=0,priority=20,in_port=%u,actions=drop", s->dead[i]);
    }
    for (size_t i = 0; i < s->n_ports; i++) {
        const struct state_port *p = &s->ports[i];

        if (!p->local || p->ofport == OFPORT_NONE) {
            continue;
        }
        if (!p->admin_up || !p->tagged || !s->networks[p->network].vlan) {
            FLOW(b, "table=0,priority=20,in_port=%u,actions=drop", p->ofport);
        } else if (p->port_security) {
            int_port_security(p, b);
        } else {
            FLOW(b, "table=0,priority=9,in_port=%u,actions=goto_table:%d", p->ofport, INT_TRANSIENT);
        }
    }
}

/* ---- br-tun ---- */

static void tun_fixed(const struct state *s, struct strbuf *b)
{
    bool responder = s->options.l2_population && s->options.arp_responder;

    FLOW(b, "table=0,priority=1,in_port=%u,actions=goto_table:%d", s->patch_int, TUN_PATCH_LV_TO_TUN);
    FLOW(b, "table=0,priority=0,actions=drop");
    if (responder) {
        FLOW(b, "table=%d,priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff,actions=goto_table:%d", TUN_PATCH_LV_TO_TUN,
             TUN_ARP_RESPONDER);
    }
    FLOW(b, "table=%d,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=goto_table:%d", TUN_PATCH_LV_TO_TUN,
         TUN_UCAST_TO_TUN);
    FLOW(b, "table=%d,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=goto_table:%d", TUN_PATCH_LV_TO_TUN,
         TUN_FLOOD_TO_TUN);
    for (int t = 0; t < N_TUNNEL_TYPES; t++) {
        FLOW(b, "table=%d,priority=0,actions=drop", tun_to_lv[t]);
    }
    FLOW(b,
         "table=%d,priority=1,actions=learn(table=%d,hard_timeout=300,priority=1,cookie=0x%" PRIx64
         ",NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],"
         "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:%u",
         TUN_LEARN_FROM_TUN, TUN_UCAST_TO_TUN, (uint64_t)AGENT_COOKIE, s->patch_int);
    FLOW(b, "table=%d,priority=0,actions=goto_table:%d", TUN_UCAST_TO_TUN, TUN_FLOOD_TO_TUN);
    if (responder) {
        FLOW(b, "table=%d,priority=0,actions=goto_table:%d", TUN_ARP_RESPONDER, TUN_FLOOD_TO_TUN);
    }
    FLOW(b, "table=%d,priority=0,actions=drop", TUN_FLOOD_TO_TUN);
}

static void tun_arp_responder(const struct state_network *n, const struct state_port *p, struct strbuf *b)
{
    for (size_t i = 0; i < p->n_ips; i++) {
        if (is_ipv6(p->ips[i])) {
            continue;
        }
        FLOW(b,
             "table=%d,priority=1,arp,dl_vlan=%u,arp_tpa=%s,actions=set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_"
             "ARP_THA[],"
             "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:%s->arp_sha,set_field:%s->arp_spa,"
             "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:%s->eth_src,IN_PORT",
             TUN_ARP_RESPONDER, n->vlan, p->ips[i], p->mac, p->ips[i], p->mac);
    }
}

/* Which hosts have which networks: one bool for each network and endpoint, the caller's to free. Without l2-population
 * nobody knows, and all have all. */
static bool *flood_targets(const struct state *s)
{
    bool *targets = xcalloc(s->n_networks * s->n_endpoints, sizeof *targets);

    if (!s->options.l2_population) {
        memset(targets, true, s->n_networks * s->n_endpoints);
        return targets;
    }
    for (size_t i = 0; i < s->n_ports; i++) {
        const struct state_port *p = &s->ports[i];

        if (!p->local && p->endpoint != SIZE_MAX) {
            targets[p->network * s->n_endpoints + p->endpoint] = true;
        }
    }
    return targets;
}

/* TARGETS: whether each endpoint has the network. */
static void tun_network(const struct state *s, size_t index, const bool *targets, struct strbuf *b)
{
    const struct state_network *n = &s->networks[index];
    _cleanup_strbuf_ struct strbuf outputs = {0};

    FLOW(b, "table=%d,priority=1,tun_id=0x%x,actions=push_vlan:0x8100,set_field:%u->vlan_vid,goto_table:%d",
         tun_to_lv[n->type], n->vni, n->vlan | 0x1000u, TUN_LEARN_FROM_TUN);
    for (size_t e = 0; e < s->n_endpoints; e++) {
        if (s->endpoints[e].ofports[n->type] != OFPORT_NONE && targets[e]) {
            strbuf_addf(&outputs, ",output:%u", s->endpoints[e].ofports[n->type]);
        }
    }
    if (outputs.len) {
        FLOW(b, "table=%d,priority=1,dl_vlan=%u,actions=pop_vlan,set_field:0x%x->tun_id%s", TUN_FLOOD_TO_TUN, n->vlan,
             n->vni, strbuf_str(&outputs));
    }
}

void desired_br_tun(const struct state *s, struct strbuf *b)
{
    if (s->patch_int == OFPORT_NONE) {
        return;
    }
    _cleanup_free_ bool *targets = flood_targets(s);

    tun_fixed(s, b);
    for (size_t e = 0; e < s->n_endpoints; e++) {
        for (int t = 0; t < N_TUNNEL_TYPES; t++) {
            if (s->endpoints[e].ofports[t] != OFPORT_NONE) {
                FLOW(b, "table=0,priority=1,in_port=%u,actions=goto_table:%d", s->endpoints[e].ofports[t],
                     tun_to_lv[t]);
            }
        }
    }
    for (size_t i = 0; i < s->n_networks; i++) {
        if (s->networks[i].vlan) {
            tun_network(s, i, &targets[i * s->n_endpoints], b);
        }
    }
    for (size_t i = 0; s->options.l2_population && i < s->n_ports; i++) {
        const struct state_port *p = &s->ports[i];
        const struct state_network *n = &s->networks[p->network];

        if (p->local || p->endpoint == SIZE_MAX || !n->vlan) {
            continue;
        }
        uint32_t ofport = s->endpoints[p->endpoint].ofports[n->type];
        if (ofport != OFPORT_NONE) {
            FLOW(b, "table=%d,priority=2,dl_vlan=%u,dl_dst=%s,actions=pop_vlan,set_field:0x%x->tun_id,output:%u",
                 TUN_UCAST_TO_TUN, n->vlan, p->mac, n->vni, ofport);
        }
        if (s->options.arp_responder) {
            tun_arp_responder(n, p, b);
        }
    }
}

/* ---- tunnels ---- */

bool desired_tunnel(const struct state *s, size_t endpoint, enum tunnel_type type)
{
    const struct state_endpoint *e = &s->endpoints[endpoint];

    if (!e->types[type] || is_ipv6(e->ip) != is_ipv6(s->options.local_ip)) {
        return false;
    }
    for (size_t i = 0; i < s->n_networks; i++) {
        if (s->networks[i].type == type) {
            return true;
        }
    }
    for (int t = 0; t < (int)type; t++) {
        if (s->options.types[t]) {
            return false;
        }
    }
    return true;
}

static uint32_t tunnel_number(const char *ip)
{
    struct in_addr v4;
    uint32_t number = 2166136261u; /* FNV-1a of the text of an IPv6 address */

    if (inet_pton(AF_INET, ip, &v4) == 1) {
        return ntohl(v4.s_addr);
    }
    for (const char *p = ip; *p; p++) {
        number = (number ^ (uint8_t)*p) * 16777619u;
    }
    return number;
}

void desired_tunnel_ids(struct state *s)
{
    struct name_index *ids = NULL;

    for (size_t i = 0; i < s->n_endpoints; i++) {
        struct state_endpoint *e = &s->endpoints[i];
        uint32_t number = tunnel_number(e->ip);

        do {
            snprintf(e->id, sizeof e->id, "%08x", number++);
        } while (name_index_find(ids, e->id) != SIZE_MAX);
        name_index_add(&ids, e->id, i);
    }
    name_index_free(ids);
}

void desired_tunnel_name(enum tunnel_type type, const char *id, char ret[16])
{
    snprintf(ret, 16, "%s-%.8s", tunnel_type_name(type), id);
}
