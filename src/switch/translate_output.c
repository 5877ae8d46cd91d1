/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output: emits what the datapath's packet still lacks to be the flow as it stands, then the output itself. Patch ports
 * are no datapath ports: the walk goes on in the other bridge and comes back with everything as it was.
 */
#include <arpa/inet.h>

#include "base/log.h"
#include "packet/edit.h"
#include "packet/tunnel_opts.h"
#include "switch/translate_private.h"

LOG_MODULE("translate");

void *xlate_put_action(struct xlate_out *out, enum dp_action_type type, size_t size)
{
    size_t need = out->actions_len + ROUND_UP(size, 8);
    struct dp_action *a;

    if (need > out->actions_allocated) {
        out->actions_allocated = MAX(need, out->actions_allocated * 2 + 256);
        out->actions = xrealloc(out->actions, out->actions_allocated);
    }
    a = (struct dp_action *)(void *)(out->actions + out->actions_len);
    memset(a, 0, ROUND_UP(size, 8));
    a->type = (uint16_t)type;
    a->len = (uint16_t)ROUND_UP(size, 8);
    out->actions_len = need;
    return a;
}

/* ---- commit ---- */

static unsigned int count_vlans(const struct flow_vlan *v)
{
    unsigned int n = 0;

    while (n < XLATE_N_VLANS && vlan_present(v[n])) {
        n++;
    }
    return n;
}

static bool same_vlan(struct flow_vlan a, struct flow_vlan b)
{
    return a.tpid == b.tpid && a.tci == b.tci;
}

static void commit_vlans(struct xlate_ctx *x)
{
    unsigned int nb = count_vlans(x->emitted.vlans), nf = count_vlans(x->s.vlans), same = 0;
    struct dp_action_set *set;

    while (same < nb && same < nf && same_vlan(x->emitted.vlans[nb - 1 - same], x->s.vlans[nf - 1 - same])) {
        same++;
    }
    if (nb == nf && same == nb) {
        return;
    }
    if (nb == nf && same == nb - 1 && x->emitted.vlans[0].tpid == x->s.vlans[0].tpid) {
        set = xlate_put_action(x->out, DP_ACTION_SET, sizeof *set);
        set->h.arg = DP_SET_VLAN;
        set->mask.vlan[0].tci = htons(0xefff);
        set->key.vlan[0].tci = x->s.vlans[0].tci & htons(0xefff);
    } else {
        for (unsigned int i = same; i < nb; i++) {
            xlate_put_action(x->out, DP_ACTION_POP_VLAN, sizeof(struct dp_action));
        }
        for (unsigned int i = nf - same; i-- > 0;) {
            struct dp_action_vlan *push = xlate_put_action(x->out, DP_ACTION_PUSH_VLAN, sizeof *push);

            push->vlan.tpid = x->s.vlans[i].tpid;
            push->vlan.tci = x->s.vlans[i].tci & htons((uint16_t)~FLOW_VLAN_PRESENT);
        }
    }
    memcpy(x->emitted.vlans, x->s.vlans, sizeof x->emitted.vlans);
}

static bool any(const void *p, size_t n)
{
    const uint8_t *b = p;

    while (n && !*b) {
        b++;
        n--;
    }
    return n;
}
#define ANY(f) any(&(f), sizeof(f))

/* Which headers a SET under MASK touches, given what the packet is. */
static uint32_t set_what(const struct flow_key *key, const struct flow_key *mask)
{
    uint32_t what = 0;

    if (ANY(mask->eth_dst) || ANY(mask->eth_src)) {
        what |= DP_SET_ETH;
    }
    if (mask->pkt_mark) {
        what |= DP_SET_MARK;
    }
    if (mask->mpls_lse[0]) {
        what |= DP_SET_MPLS;
    }
    if (key->eth_type == htons(0x0806) || key->eth_type == htons(0x8035)) {
        return mask->ip_proto || ANY(mask->ip_src) || ANY(mask->ip_dst) || ANY(mask->arp_sha) || ANY(mask->arp_tha)
                   ? what | DP_SET_ARP
                   : what;
    }
    if (ANY(mask->ip_src) || ANY(mask->ip_dst) || mask->ip_tos || mask->ip_ttl || mask->ipv6_label) {
        what |= key->eth_type == htons(0x86dd) ? DP_SET_IPV6 : DP_SET_IPV4;
    }
    if (mask->tp_src || mask->tp_dst) {
        what |= DP_SET_TP;
    }
    if (ANY(mask->nd_target) || ANY(mask->arp_sha) || ANY(mask->arp_tha)) {
        what |= DP_SET_ND;
    }
    return what;
}

/* A field that is written in part is written whole as far as its value is known: cheaper for a datapath, and easier to
 * read. */
static void widen_to_fields(const struct xlate_ctx *x, struct flow_key *mask)
{
#define F(name)                                                                                                        \
    {                                                                                                                  \
        offsetof(struct flow_key, name), sizeof(((struct flow_key *)0)->name)                                          \
    }
    static const struct {
        uint16_t ofs, len;
    } fields[] = {
        F(eth_dst), F(eth_src), F(ip_src),  F(ip_dst),  F(ip_proto),  F(ip_tos),   F(ip_ttl),      F(ipv6_label),
        F(tp_src),  F(tp_dst),  F(arp_sha), F(arp_tha), F(nd_target), F(pkt_mark), F(mpls_lse[0]),
    };
#undef F
    const uint8_t *w = (const uint8_t *)&x->s.written, *wc = (const uint8_t *)&x->wc.key;
    uint8_t *m = (uint8_t *)mask;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        size_t end = (size_t)fields[i].ofs + fields[i].len;

        if (any(m + fields[i].ofs, fields[i].len)) {
            for (size_t j = fields[i].ofs; j < end; j++) {
                m[j] |= w[j] | wc[j];
            }
        }
    }
}

/* The bits that SET must write: what differs, what was set on a packet whose own value nobody knows, and what must go
 * back to it. */
static bool set_bits(struct xlate_ctx *x, struct flow_key *ret_mask)
{
    const uint64_t *f = (const uint64_t *)(const void *)&x->s.flow.key,
                   *w = (const uint64_t *)(const void *)&x->s.written;
    uint64_t *b = (uint64_t *)(void *)&x->emitted.key, *bw = (uint64_t *)(void *)&x->emitted.written;
    uint64_t *wc = (uint64_t *)(void *)&x->wc.key, *m = (uint64_t *)(void *)ret_mask;
    struct flow_key settable;
    uint64_t *s = (uint64_t *)(void *)&settable, found = 0, changed = 0;

    memset(&settable, 0xff, sizeof settable);
    settable.in_port = dp_port(0);
    memset(&settable.tunnel, 0, sizeof settable.tunnel);
    settable.eth_type = 0;
    memset(settable.vlan, 0, sizeof settable.vlan);
    settable.mpls_lse[1] = 0;
    if (x->s.flow.key.eth_type != htons(0x8847) && x->s.flow.key.eth_type != htons(0x8848)) {
        settable.mpls_lse[0] = 0;
    }
    settable.ip_frag = 0;
    settable.tcp_flags = 0;
    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        changed |= ((f[i] ^ b[i]) | (w[i] ^ bw[i])) & s[i];
    }
    if (!changed) { /* as between the outputs of a flood */
        return false;
    }
    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        wc[i] |= bw[i] & ~w[i] & s[i];
        m[i] = ((f[i] ^ b[i]) | (w[i] & ~bw[i] & ~wc[i])) & s[i];
        b[i] = (b[i] & ~m[i]) | (f[i] & m[i]);
        bw[i] = ((bw[i] | m[i]) & w[i]) | (bw[i] & ~s[i]);
        found |= m[i];
    }
    if (found) {
        widen_to_fields(x, ret_mask);
    }
    return found;
}

void xlate_commit(struct xlate_ctx *x)
{
    struct flow_key mask;
    struct dp_action_set *set;
    uint32_t what;

    if (set_bits(x, &mask)) {
        what = set_what(&x->s.flow.key, &mask);
        if (what) {
            set = xlate_put_action(x->out, DP_ACTION_SET, sizeof *set);
            set->h.arg = what;
            set->mask = mask;
            flow_key_and(&set->key, &x->s.flow.key, &mask);
        }
    }
    commit_vlans(x);
    if (x->s.priority != x->emitted.priority) {
        ((struct dp_action *)xlate_put_action(x->out, DP_ACTION_SET_PRIORITY, sizeof(struct dp_action)))->arg =
            x->s.priority;
        x->emitted.priority = x->s.priority;
    }
}

static void put_output(struct xlate_ctx *x, const struct port *port)
{
    if (x->trunc) {
        ((struct dp_action *)xlate_put_action(x->out, DP_ACTION_TRUNC, sizeof(struct dp_action)))->arg = x->trunc;
    }
    ((struct dp_action *)xlate_put_action(x->out, DP_ACTION_OUTPUT, sizeof(struct dp_action)))->arg =
        dp_port_u32(port->dp_port);
}

/* ---- tunnels ---- */

static void look_tos(struct xlate_ctx *x, uint8_t bits)
{
    struct flow look = {.key.ip_tos = bits};

    xlate_look(x, &look);
}

/* The outer header for PORT, from its settings and the flow. */
static bool tunnel_header(struct xlate_ctx *x, const struct port *port, struct flow_tunnel *t,
                          enum drop_reason *ret_reason)
{
    const struct tunnel_config *c = &port->tunnel;
    const struct flow_key *key = &x->s.flow.key;
    bool ip = key->eth_type == htons(0x0800) || key->eth_type == htons(0x86dd);
    struct flow look = {0};
    uint8_t opts[TUNNEL_OPTS_MAX_LEN];

    *ret_reason = DROP_TUNNEL_NO_ROUTE;
    *t = (struct flow_tunnel){.ttl = c->ttl ? c->ttl : 64, .tos = c->tos};
    t->dst = c->remote == TUNNEL_FLOW ? key->tunnel.dst : c->remote_ip;
    if (c->local == TUNNEL_FIXED) {
        t->src = c->local_ip;
    } else if (c->local == TUNNEL_FLOW) {
        t->src = key->tunnel.src;
    }
    if (c->remote == TUNNEL_FLOW || c->local == TUNNEL_FLOW) {
        memset(&look.key.tunnel.dst, 0xff, sizeof look.key.tunnel.dst);
        memset(&look.key.tunnel.src, 0xff, sizeof look.key.tunnel.src);
    }
    if (c->out_key == TUNNEL_FLOW) {
        t->id = key->tunnel.id;
        memset(&look.key.tunnel.id, 0xff, sizeof look.key.tunnel.id);
    } else if (c->out_key == TUNNEL_FIXED) {
        t->id = __builtin_bswap64(c->out_key_value);
    }
    if (c->type == TUNNEL_GENEVE && port->bridge->tlv_map.n) {
        look.tun_metadata.present = UINT64_MAX;
        if (tunnel_opts_intern(opts, tlv_map_write(&port->bridge->tlv_map, &x->s.flow, opts), &t->opts_id)) {
            *ret_reason = DROP_TUNNEL_OPTIONS;
            return false;
        }
    }
    if (c->type == TUNNEL_GENEVE) {
        look.key.tunnel.flags = FLOW_TNL_OAM;
    }
    t->flags = (uint16_t)((c->out_key == TUNNEL_NONE && c->type == TUNNEL_GRE ? 0 : FLOW_TNL_KEY) |
                          (c->csum ? FLOW_TNL_CSUM : 0) | (c->df ? FLOW_TNL_DF : 0) |
                          (c->type == TUNNEL_GENEVE ? key->tunnel.flags & FLOW_TNL_OAM : 0));
    xlate_look(x, &look);
    if (ip) {
        /* ECN goes outside always (RFC 6040). */
        look_tos(x, c->tos_inherit ? 0xff : 0x03);
        t->tos = (uint8_t)(c->tos_inherit ? key->ip_tos : (c->tos & 0xfc) | (key->ip_tos & 0x03));
        if (c->ttl_inherit) {
            xlate_look(x, &(struct flow){.key.ip_ttl = 0xff});
            t->ttl = key->ip_ttl;
        }
    }
    return ANY(t->dst);
}

/* MARK (0: none) is for the packet that carries this one, which inherits ours: set just for the output. */
static void commit_with_mark(struct xlate_ctx *x, uint32_t mark)
{
    uint32_t saved = x->s.flow.key.pkt_mark, written = x->s.written.pkt_mark;

    if (mark) {
        x->s.flow.key.pkt_mark = mark;
        x->s.written.pkt_mark = UINT32_MAX;
    }
    xlate_commit(x);
    x->s.flow.key.pkt_mark = saved;
    x->s.written.pkt_mark = written;
}

static bool output_tunnel(struct xlate_ctx *x, struct port *port)
{
    struct dp_action_tunnel *set;
    struct flow_tunnel t;
    enum drop_reason reason;

    if (!tunnel_header(x, port, &t, &reason)) {
        xlate_note_drop(x, reason);
        return false;
    }
    commit_with_mark(x, port->tunnel.egress_pkt_mark);
    if (!x->emitted.tunnel_set || memcmp(&t, &x->emitted.tunnel, sizeof t)) {
        set = xlate_put_action(x->out, DP_ACTION_SET_TUNNEL, sizeof *set);
        set->tunnel = t;
        xlate_keep_options(x, t.opts_id);
        x->emitted.tunnel = t;
        x->emitted.tunnel_set = true;
    }
    put_output(x, port);
    xlate_effect_put(x, XLATE_EFFECT_PORT_TX)->port = port_ref(port);
    return true;
}

/* ---- patch ports ---- */

static bool output_patch(struct xlate_ctx *x, struct port *port)
{
    struct port *peer = bridge_port_patch_peer(port);
    struct xlate_state saved;
    struct xlate_copy copy;
    unsigned int trace_depth;
    uint32_t mirrored;
    bool stop;

    if (!peer) {
        xlate_note_drop(x, DROP_PATCH_NO_PEER);
        return false;
    }
    if (peer->config & (PORT_CONFIG_DOWN | PORT_CONFIG_NO_RECV)) {
        xlate_note_drop(x, DROP_PORT_DOWN);
        return false;
    }
    if (x->depth >= XLATE_MAX_DEPTH) {
        xlate_fail(x, DROP_RESUBMIT_DEPTH);
        return false;
    }
    xlate_effect_put(x, XLATE_EFFECT_PORT_TX)->port = port_ref(port);
    xlate_effect_put(x, XLATE_EFFECT_PORT_RX)->port = port_ref(peer);
    saved = x->s;
    xlate_copy_begin(x, &copy);
    trace_depth = x->trace_depth;
    x->trace_depth = 0;
    stop = x->stop;
    x->s.br = peer->bridge;
    x->s.in_port = peer;
    x->s.flow.in_port = peer->ofp_port;
    x->s.flow.metadata = 0;
    x->s.flow.conj_id = 0;
    memset(x->s.flow.regs, 0, sizeof x->s.flow.regs);
    memset(&x->s.flow.key.tunnel, 0, sizeof x->s.flow.key.tunnel);
    x->s.flow.tun_metadata = (struct flow_tun_metadata){0};
    x->s.flow.actset_output = OFPP_UNSET;
    memset(&x->s.written.tunnel, 0xff, sizeof x->s.written.tunnel);
    x->s.action_set = (struct ofpacts){0};
    x->s.stack = NULL;
    x->s.rule = NULL;
    x->s.rule_actions = NULL;
    x->stop = false;
    mirrored = x->mirrored;
    x->mirrored = 0;
    xlate_trace_bridge(x);
    x->depth++;
    if (xlate_mirror_enter(x, peer)) {
        xlate_pipeline(x);
    }
    x->depth--;
    x->mirrored = mirrored;
    ofpacts_done(&x->s.action_set);
    xlate_copy_end(x, &copy);
    x->s = saved;
    x->trace_depth = trace_depth;
    x->stop = stop;
    return true;
}

/* ---- ports ---- */

/* The DSCP of the queue of PORT that the packet was put in, for this output. */
static void set_queue_dscp(struct xlate_ctx *x, const struct port *port)
{
    const struct port_queue *queue =
        x->s.priority && port->n_queues ? bridge_port_queue(port, DP_PRIORITY_QUEUE(x->s.priority)) : NULL;
    struct flow_key *k = &x->s.flow.key;

    if (queue && queue->has_dscp && (k->eth_type == htons(0x0800) || k->eth_type == htons(0x86dd))) {
        k->ip_tos = (uint8_t)((k->ip_tos & 3) | queue->dscp << 2);
        x->s.written.ip_tos |= 0xfc;
    }
}

bool xlate_output_port(struct xlate_ctx *x, struct port *port, bool to_in_port)
{
    bool done;

    if (port->ofp_port == x->s.flow.in_port && !to_in_port) {
        xlate_note_drop(x, DROP_NORMAL_SELF);
        return false;
    }
    if (port->config & (PORT_CONFIG_DOWN | PORT_CONFIG_NO_FWD)) {
        xlate_note_drop(x, DROP_PORT_DOWN);
        return false;
    }
    uint8_t tos = x->s.flow.key.ip_tos, tos_written = x->s.written.ip_tos;
    set_queue_dscp(x, port);
    switch (port->kind) {
    case PORT_PATCH:
        xlate_reveal(x);
        done = output_patch(x, port);
        break;
    case PORT_TUNNEL:
        xlate_reveal(x);
        done = output_tunnel(x, port);
        break;
    default:
        xlate_commit(x);
        put_output(x, port);
        done = true;
    }
    x->s.flow.key.ip_tos = tos;
    x->s.written.ip_tos = tos_written;
    if (done && port->kind != PORT_PATCH) { /* what the other bridge does with it is counted there */
        x->n_outputs++;
        xlate_trace(x, "output to %s", port->name);
    }
    if (done) {
        xlate_mirror_output(x, port);
    }
    return done;
}

static void output_all(struct xlate_ctx *x, bool flood)
{
    for (struct port *p = x->s.br->ports_by_ofp; p; p = p->hh_ofp.next) {
        if (p->ofp_port != x->s.flow.in_port && !(flood && p->config & PORT_CONFIG_NO_FLOOD)) {
            xlate_output_port(x, p, false);
        }
    }
}

void xlate_output(struct xlate_ctx *x, ofp_port_t n)
{
    const struct ofpact_controller c = {.max_len = UINT16_MAX};
    struct port *port;

    switch (ofp_port_u32(n)) {
    case 0xfffffff8u: /* IN_PORT */
        port = bridge_port_by_ofp(x->s.br, x->s.flow.in_port);
        break;
    case 0xfffffff9u: /* TABLE */
        xlate_table(x, x->s.flow.in_port, 0);
        return;
    case 0xfffffffau:
        xlate_reveal(x);
        xlate_normal(x);
        return;
    case 0xfffffffbu:
    case 0xfffffffcu:
        output_all(x, n == OFPP_FLOOD);
        return;
    case 0xfffffffdu:
        xlate_controller(x, &c, xlate_output_reason(x));
        return;
    default:
        port = bridge_port_by_ofp(x->s.br, n);
    }
    if (!port) {
        xlate_note_drop(x, DROP_NO_PORT);
        return;
    }
    xlate_output_port(x, port, n == OFPP_IN_PORT);
}

/* The limit is that of the next output to come, so the port must be the datapath's: what is behind a patch port may
 * output any number of times, or not at all. */
void xlate_output_trunc(struct xlate_ctx *x, const struct ofpact_output_trunc *out)
{
    const struct port *port = bridge_port_by_ofp(x->s.br, out->port == OFPP_IN_PORT ? x->s.flow.in_port : out->port);
    uint32_t trunc = x->trunc;

    if (port && port->kind == PORT_PATCH) {
        xlate_trace(x, "a patch port takes no max_len");
        xlate_note_drop(x, DROP_BAD_ACTION);
        return;
    }
    x->trunc = trunc ? MIN(trunc, out->max_len) : out->max_len;
    xlate_output(x, out->port);
    x->trunc = trunc;
}

/* ---- the packet itself: for the controller, and for what no key tells ---- */

static int apply_set(struct packet *p, const struct dp_action_set *s)
{
    static const struct {
        uint32_t what;
        int (*fn)(struct packet *p, const struct flow_key *key, const struct flow_key *mask);
    } setters[] = {
        {DP_SET_ETH, packet_set_eth},   {DP_SET_VLAN, packet_set_vlan}, {DP_SET_IPV4, packet_set_ipv4},
        {DP_SET_IPV6, packet_set_ipv6}, {DP_SET_TP, packet_set_tp},     {DP_SET_ARP, packet_set_arp},
        {DP_SET_ND, packet_set_nd},     {DP_SET_MPLS, packet_set_mpls},
    };
    int error = 0;

    for (size_t i = 0; i < ARRAY_SIZE(setters) && !error; i++) {
        if (s->h.arg & setters[i].what) {
            error = setters[i].fn(p, &s->key, &s->mask);
        }
    }
    return error;
}

/* Does to P what the header changes among ACTIONS would. */
static int apply_edits(struct packet *p, const void *actions, size_t len)
{
    struct flow_key unused;
    int error = 0;

    DP_ACTION_FOR_EACH(a, actions, len) {
        switch (a->type) {
        case DP_ACTION_SET:
            error = apply_set(p, (const struct dp_action_set *)a);
            break;
        case DP_ACTION_PUSH_VLAN:
            error = packet_push_vlan(p, ((const struct dp_action_vlan *)a)->vlan);
            break;
        case DP_ACTION_POP_VLAN:
            error = packet_pop_vlan(p);
            break;
        case DP_ACTION_PUSH_MPLS:
            error = packet_push_mpls(p, ((const struct dp_action_mpls *)a)->lse,
                                     ((const struct dp_action_mpls *)a)->eth_type);
            break;
        case DP_ACTION_POP_MPLS:
            error = packet_pop_mpls(p, ((const struct dp_action_mpls *)a)->eth_type);
            flow_key_extract(p, &unused); /* what was behind the label has its place now */
            break;
        default:
            break;
        }
        if (error) {
            return error;
        }
    }
    return 0;
}

struct packet *xlate_present_packet(struct xlate_ctx *x)
{
    struct packet *p = x->in->packet ? packet_clone(x->in->packet) : NULL;
    struct flow_key unused;

    if (p) {
        flow_key_extract(p, &unused);
        if (apply_edits(p, x->out->actions, x->out->actions_len)) {
            x->in->sw->drops[DROP_BAD_ACTION]++;
            packet_free(p);
            return NULL;
        }
    }
    return p;
}

/* Of a super-packet, the length that its segments will have. */
static size_t wire_length(const struct packet *p)
{
    return p->offload.gso_type && p->offload.gso_size ? MIN(p->len, (size_t)p->offload.hdr_len + p->offload.gso_size)
                                                      : p->len;
}

/* Packets of one megaflow differ in length, so each comes up to be asked. */
void xlate_check_pkt_larger(struct xlate_ctx *x, const struct ofpact_check_pkt_larger *c)
{
    _cleanup_(packet_freep) struct packet *p = NULL;
    union field_value v;

    xlate_commit(x);
    xlate_slow_action(x);
    p = xlate_present_packet(x);
    v = field_value_from_u64(p && wire_length(p) > c->pkt_len);
    xlate_write_subfield(x, &c->dst, &v);
}
