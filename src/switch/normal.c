/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NORMAL: the bridge as a learning VLAN switch, as ovs-vswitchd.conf.db(5) describes Bridge and Port. The VLAN comes
 * from the tag and the input port's settings; what egresses shows it as the output port's settings say; an unknown or
 * group destination floods the VLAN; a packet never goes back where it came from, and reserved addresses are not
 * forwarded unless the bridge says so. A bond counts as one port (bundle.h). Groups with snooping: normal_mcast.c.
 */
#include <arpa/inet.h>

#include "switch/bundle.h"
#include "switch/mirror.h"
#include "switch/translate_private.h"

#define TCI_VID(v) (ntohs((v).tci) & 0xfff)
#define TCI_PCP(v) (ntohs((v).tci) & 0xe000)
#define ETH_TYPE_ARP 0x0806

/* ---- VLANs ---- */

static bool has_bit(const uint8_t *bits, uint16_t n)
{
    return bits[n / 8] >> (n % 8) & 1;
}

/* Is a packet of VID 0 or a tag VID allowed in by a port of these settings? */
static bool input_ok(const struct vlan_config *c, uint16_t vid)
{
    switch (c->mode) {
    case VLAN_ACCESS:
        return !vid; /* a priority tag is no VLAN */
    case VLAN_DOT1Q_TUNNEL:
        return c->all_cvlans || has_bit(c->cvlans, vid);
    case VLAN_NATIVE_TAGGED:
    case VLAN_NATIVE_UNTAGGED:
        return !vid || vlan_config_carries(c, vid);
    case VLAN_TRUNK:
        break;
    }
    return vlan_config_carries(c, vid);
}

/* The second tag counts only where there is a first. */
static void look_inner(struct xlate_ctx *x)
{
    if (vlan_present(x->s.vlans[0])) {
        xlate_look(x, &(struct flow){.key.vlan[1] = {0xffff, 0xffff}});
    }
}

bool xlate_input_vlan(struct xlate_ctx *x, const struct vlan_config *c, struct xlate_vlan *ret)
{
    const struct flow_vlan *tags = x->s.vlans;
    bool tagged = vlan_present(tags[0]);
    uint16_t vid = tagged ? TCI_VID(tags[0]) : 0;
    struct xlate_vlan v = {.vid = vid, .pcp = tagged ? TCI_PCP(tags[0]) : 0, .tagged = tagged, .tpid = 0x8100};
    size_t inner = tagged;

    if (c && !input_ok(c, vid)) {
        return false;
    }
    if (c && c->mode == VLAN_DOT1Q_TUNNEL) {
        v = (struct xlate_vlan){.vid = c->tag, .tpid = c->qinq_ethtype ? c->qinq_ethtype : 0x88a8};
        inner = 0;
    } else if (c && !vid && c->mode != VLAN_TRUNK) {
        v.vid = c->tag;
    }
    if (inner) {
        look_inner(x);
    }
    v.cvid = vlan_present(tags[inner]) ? TCI_VID(tags[inner]) : 0;
    *ret = v;
    return true;
}

bool xlate_vlan_goes_out(const struct port *port, const struct xlate_vlan *v)
{
    const struct vlan_config *c = &port->vlan;

    if (c->mode == VLAN_ACCESS && v->cvid) {
        return false; /* would come out as another VLAN's frame */
    }
    if (c->mode == VLAN_DOT1Q_TUNNEL && !c->all_cvlans && !has_bit(c->cvlans, v->cvid)) {
        return false;
    }
    return vlan_config_carries(c, v->vid);
}

/* Makes the tags what a port of settings C shows of VLAN V. */
static void show_vlan(struct xlate_ctx *x, const struct vlan_config *c, const struct xlate_vlan *v)
{
    bool hidden =
        c->mode == VLAN_ACCESS || c->mode == VLAN_DOT1Q_TUNNEL || (c->mode == VLAN_NATIVE_UNTAGGED && v->vid == c->tag);
    uint16_t vid = hidden ? 0 : v->vid;
    bool tag = vid != 0;

    if (!vid && c->mode != VLAN_DOT1Q_TUNNEL && !v->cvid) {
        tag = (c->priority_tags != PRIORITY_TAGS_NEVER && v->pcp) ||
              (c->priority_tags == PRIORITY_TAGS_ALWAYS && v->tagged);
    }
    if (tag && v->tagged) {
        xlate_set_tci(x, htons(v->pcp | vid | FLOW_VLAN_PRESENT));
    } else if (tag) {
        xlate_push_vlan(x, (struct flow_vlan){.tpid = htons(v->tpid), .tci = htons(v->pcp | vid)});
    } else if (v->tagged) {
        xlate_pop_vlan(x);
    }
}

bool xlate_output_vlan(struct xlate_ctx *x, struct port *lead, const struct xlate_vlan *v, bool to_in_port)
{
    struct xlate_state *s = &x->s;
    struct flow_vlan old_vlans[XLATE_N_VLANS], old_shown[2];
    int bucket;
    struct port *port = bundle_output(lead, s->flow.key.eth_src, v->vid, &bucket);
    bool sent;

    if (!port) {
        xlate_note_drop(x, DROP_BOND_NO_MEMBER);
        return false;
    }
    if (lead->bond) {
        xlate_trace(x, "bond %s: by member %s", bundle_name(lead), port->name);
    }
    memcpy(old_vlans, s->vlans, sizeof old_vlans);
    memcpy(old_shown, s->flow.key.vlan, sizeof old_shown);
    show_vlan(x, &lead->vlan, v);
    sent = xlate_output_port(x, port, to_in_port);
    memcpy(s->vlans, old_vlans, sizeof old_vlans);
    memcpy(s->flow.key.vlan, old_shown, sizeof old_shown);
    if (sent && bucket >= 0) {
        struct xlate_effect *e = xlate_effect_put(x, XLATE_EFFECT_BOND);

        e->port = port_ref(port);
        e->bucket = (uint16_t)bucket;
    }
    return sent;
}

/* ---- flooding ---- */

/* Ports of which one says no flood: the whole bond is left out. */
static bool floods(const struct port *lead)
{
    if (!lead->bond) {
        return !(lead->config & PORT_CONFIG_NO_FLOOD);
    }
    for (const struct port *p = lead->bridge->ports_by_ofp; p; p = p->hh_ofp.next) {
        if (p->bond == lead->bond && p->config & PORT_CONFIG_NO_FLOOD) {
            return false;
        }
    }
    return true;
}

bool xlate_normal_may(const struct port *in_lead, const struct port *lead, const struct xlate_vlan *v)
{
    return lead != in_lead && !lead->mirror_out && !(in_lead && in_lead->is_protected && lead->is_protected) &&
           xlate_vlan_goes_out(lead, v);
}

void xlate_flood(struct xlate_ctx *x, const struct port *in_lead, const struct xlate_vlan *v)
{
    xlate_trace(x, "NORMAL: VLAN %u, flood", v->vid);
    for (struct port *p = x->s.br->ports_by_ofp; p; p = p->hh_ofp.next) {
        if ((!p->bond || p == bundle_lead(p)) && xlate_normal_may(in_lead, p, v) && floods(p)) {
            xlate_output_vlan(x, p, v, false);
        }
    }
}

/* ---- learning ---- */

bool xlate_is_reserved(struct eth_addr mac)
{
    static const struct {
        uint8_t addr[6];
        uint8_t last_mask;
    } reserved[] = {
        {{0x01, 0x80, 0xc2, 0x00, 0x00, 0x00}, 0xf0}, /* 802.1D, 7.12.6: STP, pause, LLDP ... */
        {{0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xc0}, 0xf0}, /* CDP, VTP, DTP, PAgP, PVST+, CFM */
        {{0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xcd}, 0xff}, /* STP uplink fast */
        {{0x01, 0x00, 0x0c, 0x00, 0x00, 0x00}, 0xff}, /* inter switch link */
        {{0x00, 0xe0, 0x2b, 0x00, 0x00, 0x00}, 0xff}, /* EDP */
        {{0x00, 0xe0, 0x2b, 0x00, 0x00, 0x04}, 0xff}, /* EAPS */
        {{0x00, 0xe0, 0x2b, 0x00, 0x00, 0x06}, 0xff},
    };

    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (!memcmp(mac.a, reserved[i].addr, 5) && (mac.a[5] & reserved[i].last_mask) == reserved[i].addr[5]) {
            return true;
        }
    }
    return false;
}

/* By which a host tells where it is: a broadcast ARP reply, or a request for the sender's own address (RFC 5227). */
static bool is_gratuitous_arp(struct xlate_ctx *x)
{
    static const struct eth_addr broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    const struct flow_key *key = &x->s.flow.key;
    struct flow look = {.key.ip_proto = 0xff};

    if (key->eth_type != htons(ETH_TYPE_ARP) || memcmp(&key->eth_dst, &broadcast, sizeof broadcast) != 0) {
        return false;
    }
    if (key->ip_proto == 1) {
        look.key.ip_src.be32[3] = look.key.ip_dst.be32[3] = UINT32_MAX;
    }
    xlate_look(x, &look);
    return key->ip_proto == 2 || (key->ip_proto == 1 && key->ip_src.be32[3] == key->ip_dst.be32[3]);
}

static bool learns(const struct bridge *br, uint16_t vlan)
{
    return !br->flood_vlans || !has_bit(br->flood_vlans, vlan);
}

bool xlate_learn_mac(struct bridge *br, const struct xlate_effect *e, int64_t now)
{
    const struct port *lead = bridge_port_by_ofp(br, e->ofp_port);
    bool changed;

    /* A megaflow may be from before the VLAN was taken out of learning, or its port out of the VLAN, down or away. What
     * was forgotten then stays so: packets would be led there, whoever is there now. */
    if (!learns(br, e->vlan) || !lead || !vlan_config_carries(&lead->vlan, e->vlan) || !bundle_is_up(lead)) {
        return false;
    }
    changed = mac_table_learn(&br->macs, e->vlan, e->mac, e->ofp_port, now);
    if (e->lock_mac) {
        mac_table_lock(&br->macs, e->vlan, e->mac, now);
    }
    return changed;
}

static void learn(struct xlate_ctx *x, const struct port *in_lead, uint16_t vlan, bool garp)
{
    struct xlate_effect *e;

    if (eth_addr_is_group(&x->s.flow.key.eth_src) || !learns(x->s.br, vlan)) {
        return;
    }
    e = xlate_effect_put(x, XLATE_EFFECT_MAC);
    e->vlan = vlan;
    e->mac = x->s.flow.key.eth_src;
    e->ofp_port = in_lead->ofp_port;
    e->lock_mac = garp && !in_lead->bond;
    if (x->in->effects && xlate_learn_mac(x->s.br, e, x->in->now)) {
        switch_macs_changed(x->s.br);
    }
}

/* ---- the whole ---- */

static const struct mac_entry *look_up_mac(struct xlate_ctx *x, uint16_t vlan, struct eth_addr mac)
{
    xlate_depend(x, &x->s.br->mac_changed[mac_table_tag(vlan, mac)]);
    return mac_table_lookup(&x->s.br->macs, vlan, mac, x->in->now);
}

/* A reflection of what a host elsewhere sent? See bundle.h. */
static bool is_reflected(struct xlate_ctx *x, const struct port *in_lead, uint16_t vlan, bool garp)
{
    const struct mac_entry *e = look_up_mac(x, vlan, x->s.flow.key.eth_src);

    return e && e->port != in_lead->ofp_port && (!garp || mac_entry_is_locked(e, x->in->now));
}

/* May it come in by IN at all? Notes the drop if not. */
static bool admit(struct xlate_ctx *x, const struct port *in, const struct port *in_lead, const struct xlate_vlan *v,
                  bool garp)
{
    switch (bundle_admit(in, x->s.flow.key.eth_dst)) {
    case BUNDLE_ACCEPT:
        return true;
    case BUNDLE_DROP:
        xlate_note_drop(x, DROP_BOND_INACTIVE);
        return false;
    case BUNDLE_DROP_IF_MOVED:
        if (is_reflected(x, in_lead, v->vid, garp)) {
            xlate_note_drop(x, DROP_BOND_MOVED);
            return false;
        }
        break;
    }
    return true;
}

static void forward(struct xlate_ctx *x, const struct port *in_lead, const struct xlate_vlan *v)
{
    struct bridge *br = x->s.br;
    struct eth_addr dst = x->s.flow.key.eth_dst;
    const struct mac_entry *e = NULL;
    struct port *out;

    if (!eth_addr_is_group(&dst) && learns(br, v->vid)) {
        e = look_up_mac(x, v->vid, dst);
    }
    out = e ? bridge_port_by_ofp(br, e->port) : NULL;
    if (!out) {
        xlate_flood(x, in_lead, v);
    } else if (out == in_lead) {
        xlate_note_drop(x, DROP_NORMAL_SELF);
    } else if (in_lead && in_lead->is_protected && out->is_protected) {
        xlate_note_drop(x, DROP_PROTECTED);
    } else {
        xlate_trace(x, "NORMAL: VLAN %u, to %s", v->vid, bundle_name(out));
        xlate_output_vlan(x, out, v, false);
    }
}

void xlate_normal(struct xlate_ctx *x)
{
    struct bridge *br = x->s.br;
    /* None: a packet-out of the controller, whose VLAN is what its tag says. */
    struct port *in = bridge_port_by_ofp(br, x->s.flow.in_port), *in_lead = in ? bundle_lead(in) : NULL;
    struct flow look = {0};
    struct xlate_vlan v;
    bool garp;

    memset(&look.key.eth_src, 0xff, sizeof look.key.eth_src);
    memset(&look.key.eth_dst, 0xff, sizeof look.key.eth_dst);
    xlate_look(x, &look);
    mirrors_resolve(br);
    if (in && in->mirror_out) {
        xlate_note_drop(x, DROP_MIRROR);
        return;
    }
    if (!xlate_input_vlan(x, in ? &in->vlan : NULL, &v)) {
        xlate_note_drop(x, DROP_VLAN_INGRESS);
        return;
    }
    if (xlate_is_reserved(x->s.flow.key.eth_dst) && !br->forward_bpdu) {
        xlate_note_drop(x, DROP_RESERVED_DST);
        return;
    }
    garp = in && bridge_has_slb(br) && is_gratuitous_arp(x);
    if (in && !admit(x, in, in_lead, &v, garp)) {
        return;
    }
    if (in) {
        learn(x, in_lead, v.vid, garp);
    }
    if (!xlate_mcast(x, in_lead, &v)) {
        forward(x, in_lead, &v);
    }
}
