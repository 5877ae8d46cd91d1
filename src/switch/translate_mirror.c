/* SPDX-License-Identifier: Apache-2.0 */
/* Mirrors during a walk (mirror.h): copies as a packet enters a bridge, and as it is output. */
#include "switch/bundle.h"
#include "switch/mirror.h"
#include "switch/translate_private.h"

static bool same_destination(const struct mirror *a, const struct mirror *b)
{
    return a->output_vlan == b->output_vlan &&
           !strcmp(a->output_port ? a->output_port : "", b->output_port ? b->output_port : "");
}

/* Has a copy of this packet gone where M sends? */
static bool was_sent(const struct xlate_ctx *x, const struct mirror *m)
{
    for (unsigned int i = 0; i < MIRRORS_MAX; i++) {
        if (x->mirrored >> i & 1 && same_destination(x->s.br->mirrors->mirror[i], m)) {
            return true;
        }
    }
    return false;
}

static struct port *output_lead(struct bridge *br, const char *name)
{
    struct bundle_bond *bb = bridge_bond_find(br, name);
    struct port *port =
        bb && bb->bond->members ? bridge_port_by_ofp(br, bb->bond->members->port) : bridge_port_by_name(br, name);

    return port ? bundle_lead(port) : NULL;
}

static bool send_to_vlan(struct xlate_ctx *x, const struct mirror *m, const struct xlate_vlan *v)
{
    struct xlate_vlan out = *v;
    bool sent = false;

    if (v->vid == m->output_vlan || xlate_is_reserved(x->s.flow.key.eth_dst)) {
        return false;
    }
    out.vid = m->output_vlan;
    for (struct port *p = x->s.br->ports_by_ofp; p; p = p->hh_ofp.next) {
        if ((!p->bond || p == bundle_lead(p)) && !p->mirror_out && xlate_vlan_goes_out(p, &out)) {
            sent |= xlate_output_vlan(x, p, &out, true);
        }
    }
    return sent;
}

static bool send_copy(struct xlate_ctx *x, const struct mirror *m, const struct xlate_vlan *v)
{
    struct port *lead;

    if (m->output_vlan) {
        xlate_look(x, &(struct flow){.key.eth_dst = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}});
        return send_to_vlan(x, m, v);
    }
    lead = output_lead(x->s.br, m->output_port);
    return lead && xlate_output_vlan(x, lead, v, true);
}

static bool selects(const struct mirror *m, uint16_t vid)
{
    return !m->vlans || m->vlans[vid / 8] >> (vid % 8) & 1;
}

/* Those of the mirrors in MASK that want a packet in VLAN vid. */
static uint32_t selecting(const struct mirrors *all, uint32_t mask, uint16_t vid)
{
    uint32_t selected = 0;

    for (unsigned int i = 0; i < MIRRORS_MAX; i++) {
        if (mask >> i & 1 && selects(all->mirror[i], vid)) {
            selected |= 1u << i;
        }
    }
    return selected;
}

/* Of the mirrors in SELECTED, those whose destination has had no copy, one for each destination. */
static uint32_t sending(const struct xlate_ctx *x, uint32_t selected)
{
    struct mirror *const *mirror = x->s.br->mirrors->mirror;
    uint32_t send = 0;

    for (unsigned int i = 0; i < MIRRORS_MAX; i++) {
        bool first = selected >> i & 1 && !was_sent(x, mirror[i]);

        for (unsigned int j = 0; j < i && first; j++) {
            first = !(send >> j & 1 && same_destination(mirror[i], mirror[j]));
        }
        send |= (uint32_t)first << i;
    }
    return send;
}

/* Copies of a packet that passes by PORT, whose mirrors of the kind are MASK. A copy is an output, and may be selected
 * by yet another mirror; those that took this one are done with it by then. */
static void mirror_packet(struct xlate_ctx *x, const struct port *port, uint32_t mask)
{
    const struct mirrors *all = x->s.br->mirrors;
    uint32_t old_trunc = x->trunc, send;
    struct xlate_vlan v;

    mask &= ~x->mirrored;
    if (!mask || !xlate_input_vlan(x, &port->vlan, &v)) {
        return;
    }
    mask = selecting(all, mask, v.vid);
    send = sending(x, mask);
    x->mirrored |= mask;
    for (unsigned int i = 0; i < MIRRORS_MAX; i++) {
        struct mirror *m = send >> i & 1 ? all->mirror[i] : NULL;

        if (m) {
            xlate_trace(x, "mirror %s", m->name);
            x->trunc = m->snaplen && (!old_trunc || m->snaplen < old_trunc) ? m->snaplen : old_trunc;
            if (send_copy(x, m, &v)) {
                xlate_effect_put(x, XLATE_EFFECT_MIRROR)->mirror = mirror_ref(m);
            }
            x->trunc = old_trunc;
        }
    }
}

bool xlate_mirror_enter(struct xlate_ctx *x, const struct port *port)
{
    if (!x->s.br->mirrors) {
        return true;
    }
    mirrors_resolve(x->s.br);
    if (port->mirror_out) {
        xlate_note_drop(x, DROP_MIRROR);
        return false;
    }
    if (port->src_mirrors) {
        mirror_packet(x, port, port->src_mirrors);
    }
    return true;
}

void xlate_mirror_output(struct xlate_ctx *x, const struct port *port)
{
    if (!x->s.br->mirrors) {
        return;
    }
    mirrors_resolve(x->s.br);
    if (port->dst_mirrors && !port->mirror_out) {
        mirror_packet(x, port, port->dst_mirrors);
    }
}
