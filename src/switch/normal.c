/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NORMAL: the bridge as a learning VLAN switch. The VLAN comes from the tag and the input port's settings; an unknown
 * or group destination floods the VLAN; a packet never goes back where it came from, and reserved multicast (IEEE
 * 802.1D, 7.12.6) is not forwarded unless the bridge says so.
 */
#include <arpa/inet.h>

#include "switch/translate_private.h"

#define TCI_VID(v) (ntohs((v).tci) & 0xfff)

/* The VLAN that a packet from PORT is in, or -1: not allowed there. */
static int input_vlan(const struct xlate_ctx *x, const struct port *port)
{
    const struct vlan_config *c = &port->vlan;
    uint16_t vid = vlan_present(x->s.vlans[0]) ? TCI_VID(x->s.vlans[0]) : 0;

    switch (c->mode) {
    case VLAN_ACCESS:
        return vid ? -1 : c->tag; /* a priority tag is no VLAN */
    case VLAN_NATIVE_TAGGED:
    case VLAN_NATIVE_UNTAGGED:
        if (!vid) {
            return c->tag;
        }
        break;
    case VLAN_DOT1Q_TUNNEL:
        return -1;
    case VLAN_TRUNK:
        break;
    }
    return vlan_config_carries(c, vid) ? vid : -1;
}

/* Sends to PORT with the tag that PORT wants for VLAN; the flow is unchanged afterwards. */
static void output_vlan(struct xlate_ctx *x, struct port *port, uint16_t vlan)
{
    const struct vlan_config *c = &port->vlan;
    struct xlate_state *s = &x->s;
    struct flow_vlan old_vlans[XLATE_N_VLANS], old_shown[2];
    bool tagged = vlan && c->mode != VLAN_ACCESS && !(c->mode == VLAN_NATIVE_UNTAGGED && vlan == c->tag);

    memcpy(old_vlans, s->vlans, sizeof old_vlans);
    memcpy(old_shown, s->flow.key.vlan, sizeof old_shown);
    if (tagged) {
        uint16_t pcp = vlan_present(s->vlans[0]) ? ntohs(s->vlans[0].tci) & 0xe000 : 0;

        xlate_set_tci(x, htons(pcp | vlan | FLOW_VLAN_PRESENT));
    } else if (vlan) {
        xlate_pop_vlan(x); /* also a priority tag */
    }
    xlate_output_port(x, port, false);
    memcpy(s->vlans, old_vlans, sizeof old_vlans);
    memcpy(s->flow.key.vlan, old_shown, sizeof old_shown);
}

static void flood(struct xlate_ctx *x, uint16_t vlan)
{
    for (struct port *p = x->s.br->ports_by_ofp; p; p = p->hh_ofp.next) {
        if (p->ofp_port != x->s.flow.in_port && !(p->config & PORT_CONFIG_NO_FLOOD) &&
            vlan_config_carries(&p->vlan, vlan)) {
            output_vlan(x, p, vlan);
        }
    }
}

static bool is_reserved(struct eth_addr mac)
{
    static const uint8_t prefix[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};

    return !memcmp(mac.a, prefix, sizeof prefix) && (mac.a[5] & 0xf0) == 0;
}

static void learn_mac(struct xlate_ctx *x, uint16_t vlan)
{
    struct eth_addr mac = x->s.flow.key.eth_src;
    struct xlate_effect *e;

    if (mac.a[0] & 1) {
        return;
    }
    if (x->in->effects && mac_table_learn(&x->s.br->macs, vlan, mac, x->s.flow.in_port, x->in->now)) {
        switch_changed(x->s.br->sw);
    }
    e = xlate_effect_put(x, XLATE_EFFECT_MAC);
    e->vlan = vlan;
    e->mac = mac;
    e->ofp_port = x->s.flow.in_port;
}

void xlate_normal(struct xlate_ctx *x)
{
    struct bridge *br = x->s.br;
    struct port *in = bridge_port_by_ofp(br, x->s.flow.in_port), *out;
    struct flow look = {0};
    const struct mac_entry *e;
    int vlan;

    memset(&look.key.eth_src, 0xff, sizeof look.key.eth_src);
    memset(&look.key.eth_dst, 0xff, sizeof look.key.eth_dst);
    xlate_look(x, &look);
    if (in) {
        vlan = input_vlan(x, in);
        if (vlan < 0) {
            xlate_note_drop(x, DROP_VLAN_INGRESS);
            return;
        }
    } else {
        /* A packet-out of the controller: the VLAN is what its tag says. */
        vlan = vlan_present(x->s.vlans[0]) ? TCI_VID(x->s.vlans[0]) : 0;
    }
    if (is_reserved(x->s.flow.key.eth_dst) && !br->forward_bpdu) {
        xlate_note_drop(x, DROP_RESERVED_DST);
        return;
    }
    if (in) {
        learn_mac(x, (uint16_t)vlan);
    }
    e = x->s.flow.key.eth_dst.a[0] & 1 ? NULL
                                       : mac_table_lookup(&br->macs, (uint16_t)vlan, x->s.flow.key.eth_dst, x->in->now);
    out = e ? bridge_port_by_ofp(br, e->port) : NULL;
    if (!out) {
        xlate_trace(x, "NORMAL: VLAN %d, flood", vlan);
        flood(x, (uint16_t)vlan);
    } else if (out->ofp_port == x->s.flow.in_port) {
        xlate_note_drop(x, DROP_NORMAL_SELF);
    } else {
        xlate_trace(x, "NORMAL: VLAN %d, to %s", vlan, out->name);
        output_vlan(x, out, (uint16_t)vlan);
    }
}
