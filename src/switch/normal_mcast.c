/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NORMAL with multicast snooping (RFC 4541; mcast_table.h). IP multicast goes to the ports that joined its group, to
 * those that queriers are behind and to those that are told to get everything. Reports go to the latter two only, so
 * that hosts do not suppress each other's. Link-local groups and queries are flooded.
 *
 * Whether a message is a report or a query, and what it says, stands in its payload, which no megaflow matches: these
 * messages go up one by one, and are learned from there, not from megaflow counters. Data packets depend on the table
 * like on any other, so a change of it is a switch_changed().
 */
#include <arpa/inet.h>

#include "base/cursor.h"
#include "switch/bundle.h"
#include "switch/mcast_table.h"
#include "switch/translate_private.h"

#define IP_PROTO_IGMP 2
#define IP_PROTO_ICMPV6 58

struct mcast_walk {
    struct xlate_ctx *x;
    const struct port *in_lead;
    const struct xlate_vlan *v;
    const struct mcast_group *group, *queriers;
};

static void send_to(const struct mcast_walk *w, struct port *port)
{
    if (port && port == bundle_lead(port) && xlate_normal_may(w->in_lead, port, w->v)) {
        xlate_output_vlan(w->x, port, w->v, false);
    }
}

/* To all that should get it, each once: the members, the queriers, and the ports that get everything of the kind. */
static void send_to_interested(const struct mcast_walk *w, bool reports)
{
    struct bridge *br = w->x->s.br;
    unsigned int before = w->x->n_outputs;

    for (const struct mcast_member *m = w->group ? w->group->members : NULL; m; m = m->next) {
        send_to(w, bridge_port_by_ofp(br, m->port));
    }
    for (const struct mcast_member *m = w->queriers ? w->queriers->members : NULL; m; m = m->next) {
        if (!mcast_group_has(w->group, m->port)) {
            send_to(w, bridge_port_by_ofp(br, m->port));
        }
    }
    for (struct port *p = br->ports_by_ofp; p; p = p->hh_ofp.next) {
        if ((reports ? p->mcast_flood_reports : p->mcast_flood) && !mcast_group_has(w->group, p->ofp_port) &&
            !mcast_group_has(w->queriers, p->ofp_port)) {
            send_to(w, p);
        }
    }
    if (w->x->n_outputs == before) {
        xlate_note_drop(w->x, DROP_MCAST_NOBODY);
    }
}

/* The message from its IGMP or ICMPv6 header on; false when it is not at hand (traces, revalidation) or cut. */
static bool message_of(struct xlate_ctx *x, bool ipv6, const uint8_t **ret, size_t *ret_len)
{
    struct packet *p = x->in->packet;
    struct flow_key key;
    struct reader r;
    size_t header, total;

    if (!p) {
        return false;
    }
    flow_key_extract(p, &key);
    if (ipv6) {
        *ret = p->data + p->l4_ofs;
        *ret_len = p->l4_ofs ? p->len - p->l4_ofs : 0;
        return *ret_len > 0;
    }
    if (!p->l3_ofs || key.ip_proto != IP_PROTO_IGMP || key.ip_frag) {
        return false;
    }
    /* An offset is there for L4 protocols with ports only; that the lengths agree was checked. */
    r = reader_of(p->data + p->l3_ofs, p->len - p->l3_ofs);
    header = (reader_u8(&r) & 0x0fu) * 4;
    reader_skip(&r, 1);
    total = reader_u16(&r);
    *ret = p->data + p->l3_ofs + header;
    *ret_len = total - header;
    return !r.error && total > header;
}

static void control(const struct mcast_walk *w, bool ipv6)
{
    struct xlate_ctx *x = w->x;
    const struct ip_addr *src = &x->s.flow.key.ip_src;
    enum mcast_kind kind = MCAST_OTHER;
    const uint8_t *data;
    size_t len;
    bool from_any = !src->be32[0] && !src->be32[1] && !src->be32[2] && !src->be32[3];

    xlate_part(x);
    x->out->slow_action |= !x->out->slow;
    x->out->slow = true;
    if (message_of(x, ipv6, &data, &len)) {
        kind = mcast_classify(data, len, ipv6);
        if (x->in->effects && w->in_lead &&
            mcast_table_snoop(x->s.br->mcast, w->v->vid, w->in_lead->ofp_port, data, len, ipv6, from_any, x->in->now)) {
            switch_changed(x->s.br->sw);
        }
    } else {
        xlate_trace(x, "%s: decided for each packet by its contents", ipv6 ? "MLD" : "IGMP");
    }
    if (kind == MCAST_REPORT) {
        xlate_trace(x, "NORMAL: VLAN %u, membership report, to queriers", w->v->vid);
        send_to_interested(&(struct mcast_walk){.x = x, .in_lead = w->in_lead, .v = w->v, .queriers = w->queriers},
                           true);
    } else {
        xlate_flood(x, w->in_lead, w->v);
    }
}

/* MLD: 130 to 132 (RFC 2710) and 143 (RFC 3810). */
static bool is_mld(struct xlate_ctx *x)
{
    uint16_t type;

    xlate_look(x, &(struct flow){.key.tp_src = 0xffff});
    type = ntohs(x->s.flow.key.tp_src);
    return (type >= 130 && type <= 132) || type == 143;
}

static void data(struct mcast_walk *w, bool ipv6)
{
    struct xlate_ctx *x = w->x;
    const struct bridge *br = x->s.br;
    struct ip_addr group = x->s.flow.key.ip_dst;
    struct flow look = {0};

    memset(&look.key.ip_dst, 0xff, sizeof look.key.ip_dst);
    if (!ipv6) {
        memset(&look.key.ip_dst, 0, 12);
        group.be32[2] = htonl(0xffff);
    }
    xlate_look(x, &look);
    if (mcast_is_local(&group)) {
        xlate_flood(x, w->in_lead, w->v);
        return;
    }
    w->group = mcast_table_lookup(br->mcast, w->v->vid, &group);
    if (!w->group && br->mcast_flood_unregistered) {
        xlate_trace(x, "nobody joined the group");
        xlate_flood(x, w->in_lead, w->v);
        return;
    }
    xlate_trace(x, "NORMAL: VLAN %u, multicast to members and queriers", w->v->vid);
    send_to_interested(w, false);
}

bool xlate_mcast(struct xlate_ctx *x, const struct port *in_lead, const struct xlate_vlan *v)
{
    static const struct eth_addr broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    const struct flow_key *key = &x->s.flow.key;
    bool ipv4 = key->eth_type == htons(0x0800), ipv6 = key->eth_type == htons(0x86dd);
    struct mcast_walk w = {.x = x, .in_lead = in_lead, .v = v};

    if (!x->s.br->mcast || !eth_addr_is_group(&key->eth_dst) || !memcmp(&key->eth_dst, &broadcast, sizeof broadcast) ||
        (!ipv4 && !ipv6)) {
        return false;
    }
    w.queriers = mcast_table_queriers(x->s.br->mcast, v->vid);
    xlate_look(x, &(struct flow){.key.ip_proto = 0xff});
    if (ipv4 ? key->ip_proto == IP_PROTO_IGMP : key->ip_proto == IP_PROTO_ICMPV6 && is_mld(x)) {
        control(&w, ipv6);
    } else {
        data(&w, ipv6);
    }
    return true;
}
