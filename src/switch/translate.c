/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/translate.h"

#include <arpa/inet.h>

#include "packet/tunnel_opts.h"
#include "switch/bundle.h"
#include "switch/group_table.h"
#include "switch/megaflow.h"
#include "switch/mirror.h"
#include "switch/switch_private.h"
#include "switch/translate_private.h"
#include "switch/tunnel_port.h"

/* ---- bookkeeping ---- */

void xlate_note_drop(struct xlate_ctx *x, enum drop_reason reason)
{
    x->reason = x->failed ? x->reason : reason;
    xlate_trace(x, "drop (%s): %s", drop_reason_name(reason), drop_reason_text(reason));
}

void xlate_fail(struct xlate_ctx *x, enum drop_reason reason)
{
    xlate_note_drop(x, reason);
    x->failed = true;
}

void xlate_part(struct xlate_ctx *x)
{
    if (!x->out->parted) {
        x->out->parted = true;
        x->out->n_common = x->out->n_effects;
    }
}

void xlate_slow_action(struct xlate_ctx *x)
{
    xlate_part(x);
    if (!x->out->slow) {
        x->out->slow = x->out->slow_action = x->asked = true;
    }
}

struct xlate_effect *xlate_effect_put(struct xlate_ctx *x, enum xlate_effect_type type)
{
    struct xlate_out *out = x->out;
    struct xlate_effect *e;

    if (out->n_effects == out->effects_allocated) {
        out->effects_allocated = MAX(out->effects_allocated * 2, (size_t)16);
        out->effects = xrealloc(out->effects, out->effects_allocated * sizeof *out->effects);
    }
    e = &out->effects[out->n_effects++];
    *e = (struct xlate_effect){.type = type, .bridge = x->s.br};
    return e;
}

void xlate_keep_options(struct xlate_ctx *x, uint32_t opts_id)
{
    if (opts_id) {
        tunnel_opts_ref(opts_id);
        xlate_effect_put(x, XLATE_EFFECT_OPTIONS)->opts_id = opts_id;
    }
}

void xlate_depend(struct xlate_ctx *x, const uint64_t *counter)
{
    struct xlate_out *out = x->out;

    for (size_t i = 0; i < out->n_deps; i++) {
        if (out->deps[i] == counter) {
            return;
        }
    }
    if (out->n_deps == out->deps_allocated) {
        out->deps_allocated = MAX(out->deps_allocated * 2, (size_t)16);
        out->deps = xrealloc(out->deps, out->deps_allocated * sizeof *out->deps);
    }
    out->deps[out->n_deps++] = counter;
}

/* Two words at a time: this is run for every table that a packet passes. */
typedef uint64_t two_words __attribute__((vector_size(16), aligned(8), may_alias));

void xlate_look(struct xlate_ctx *x, const struct flow *bits)
{
    const uint64_t *b = (const uint64_t *)(const void *)&bits->key, *w = (const uint64_t *)(const void *)&x->s.written;
    uint64_t *wc = (uint64_t *)(void *)&x->wc.key;
    size_t i;

    for (i = 0; i + 2 <= FLOW_KEY_U64S; i += 2) {
        *(two_words *)&wc[i] |= *(const two_words *)&b[i] & ~*(const two_words *)&w[i];
    }
    for (; i < FLOW_KEY_U64S; i++) {
        wc[i] |= b[i] & ~w[i];
    }
    if (bits->tun_metadata.present) {
        x->wc.key.tunnel.opts_id |= ~x->s.written.tunnel.opts_id;
    }
}

void xlate_look_field(struct xlate_ctx *x, const struct field *f)
{
    struct flow bits = {0};

    field_unwildcard(f, &bits, NULL);
    xlate_look(x, &bits);
}

void xlate_look_subfield(struct xlate_ctx *x, const struct subfield *sf)
{
    struct flow bits = {0};

    subfield_unwildcard(sf, &bits);
    xlate_look(x, &bits);
}

/* ---- tables ---- */

static void table_miss(struct xlate_ctx *x, table_id_t table)
{
    const struct ofpact_controller c = {.max_len = UINT16_MAX};
    enum table_miss miss = x->s.br->tables[table].miss;
    struct rule *rule = x->s.rule;

    xlate_effect_put(x, XLATE_EFFECT_MISS)->table = table;
    if (miss == TABLE_MISS_CONTINUE && table < TABLE_ID_MAX) {
        xlate_table(x, x->s.flow.in_port, table + 1);
    } else if (miss == TABLE_MISS_CONTROLLER || (miss == TABLE_MISS_DEFAULT && x->s.br->miss_to_controller)) {
        x->s.rule = NULL;
        xlate_controller(x, &c, PACKET_IN_IMPLICIT_MISS);
        x->s.rule = rule;
    } else {
        xlate_note_drop(x, DROP_TABLE_MISS);
    }
}

/* With IN_PORT standing for in_port. Only FRAG_NX_MATCH shows the ports of a first fragment. */
static struct rule *lookup(struct xlate_ctx *x, ofp_port_t in_port, table_id_t table, struct flow *looked)
{
    struct flow_key *key = &x->s.flow.key;
    ofp_port_t old_port = x->s.flow.in_port;
    __be16 src = key->tp_src, dst = key->tp_dst;
    struct rule *rule;

    x->s.flow.in_port = in_port;
    if (key->ip_frag && x->s.br->frag_mode == FRAG_NORMAL) {
        key->tp_src = key->tp_dst = 0;
    }
    rule = flow_table_lookup(x->s.br, table, &x->s.flow, looked);
    x->s.flow.in_port = old_port;
    key->tp_src = src;
    key->tp_dst = dst;
    return rule;
}

void xlate_table(struct xlate_ctx *x, ofp_port_t in_port, table_id_t table)
{
    table_id_t old_table = x->s.table;
    struct rule *rule, *old_rule = x->s.rule;
    struct rule_actions *old_actions = x->s.rule_actions;
    /* Going on to a later table nests, but not for long: a way through all tables, as goto_table has it or resubmit,
     * has no other limit than the number of lookups. */
    bool deeper = table <= old_table;
    struct flow looked = {0};

    if (x->depth >= XLATE_MAX_DEPTH || x->resubmits >= XLATE_MAX_RESUBMITS) {
        xlate_fail(x, DROP_RESUBMIT_DEPTH);
        return;
    }
    xlate_reveal(x);
    if (x->s.flow.key.ip_frag && x->s.br->frag_mode == FRAG_DROP) {
        xlate_note_drop(x, DROP_FRAGMENT);
        return;
    }
    x->resubmits++;
    if (table >= N_TABLES) { /* which resubmit may name */
        xlate_trace_rule(x, table, NULL);
        xlate_note_drop(x, DROP_TABLE_MISS);
        return;
    }
    xlate_depend(x, &x->s.br->tables[table].changed);
    rule = lookup(x, in_port, table, &looked);
    xlate_look(x, &looked);
    x->s.table = table;
    xlate_trace_rule(x, table, rule);
    x->trace_depth++;
    if (!rule) {
        table_miss(x, table);
    } else {
        struct xlate_effect *e = xlate_effect_put(x, XLATE_EFFECT_RULE);

        e->rule = rule_ref(rule);
        e->n_resets = rule->n_resets;
        x->cookie = rule->cookie;
        e->table = table;
        /* The effect holds rule and actions while they run: a learn of this very walk may replace them. */
        e->actions = rule_actions_ref(rule->actions);
        x->s.rule = rule;
        x->s.rule_actions = rule->actions;
        if (!rule->actions->len && !x->n_outputs) {
            xlate_note_drop(x, DROP_ACTION);
        }
        x->depth += deeper;
        xlate_actions(x, rule->actions->data, rule->actions->len);
        x->depth -= deeper;
        x->s.rule = old_rule;
        x->s.rule_actions = old_actions;
    }
    x->trace_depth--;
    x->s.table = old_table;
}

void xlate_pipeline(struct xlate_ctx *x)
{
    xlate_table(x, x->s.flow.in_port, 0);
    xlate_run_set(x);
}

/* goto_table: the rest of the same packet's way. */
static void goto_table(struct xlate_ctx *x, table_id_t table)
{
    unsigned int trace_depth = x->trace_depth;

    x->trace_depth = trace_depth ? trace_depth - 1 : 0;
    xlate_table(x, x->s.flow.in_port, table);
    x->trace_depth = trace_depth;
}

static void resubmit(struct xlate_ctx *x, const struct ofpact_resubmit *r)
{
    xlate_table(x, r->in_port == OFPP_IN_PORT ? x->s.flow.in_port : r->in_port,
                r->table == 255 ? x->s.table : r->table);
}

static void output_controller(struct xlate_ctx *x, uint16_t max_len)
{
    const struct ofpact_controller c = {.max_len = max_len};

    xlate_controller(x, &c, xlate_output_reason(x));
}

static void output(struct xlate_ctx *x, const struct ofpact_output *o)
{
    if (o->port == OFPP_CONTROLLER) {
        output_controller(x, o->max_len);
    } else {
        xlate_output(x, o->port);
    }
}

static void output_reg(struct xlate_ctx *x, const struct ofpact_output_reg *o)
{
    union field_value v;
    uint64_t n;

    xlate_look_subfield(x, &o->src);
    subfield_read(&o->src, &x->s.flow, &v);
    n = field_value_u64(&v);
    if (n >= 0xff00 && n <= 0xffff) {
        n |= 0xffff0000; /* reserved ports in OpenFlow 1.0's 16 bits */
    }
    if (n == ofp_port_u32(OFPP_CONTROLLER)) {
        output_controller(x, o->max_len);
    } else if (n <= UINT32_MAX) {
        xlate_output(x, ofp_port((uint32_t)n));
    }
}

static void clone(struct xlate_ctx *x, const struct ofpact *a)
{
    struct xlate_state saved = x->s;
    struct xlate_copy copy;
    bool stop;

    xlate_copy_begin(x, &copy);
    x->s.action_set = (struct ofpacts){0};
    xlate_write_actions(x, saved.action_set.data, saved.action_set.len);
    xlate_actions(x, OFPACT_NESTED(a), OFPACT_NESTED_LEN(a));
    stop = x->stop; /* exit ends more than the clone (ovs-actions(7)) */
    xlate_run_set(x);
    ofpacts_done(&x->s.action_set);
    xlate_copy_end(x, &copy);
    x->s = saved;
    x->stop = stop;
}

static void write_metadata(struct xlate_ctx *x, const struct ofpact_metadata *m)
{
    x->s.flow.metadata = (x->s.flow.metadata & ~m->mask) | (m->value & m->mask);
}

/* Which queues there are, the port that it leaves by knows: the kernel takes another for its default. */
static void set_queue(struct xlate_ctx *x, uint32_t queue)
{
    x->s.priority = queue <= DP_QUEUE_MAX ? DP_QUEUE_PRIORITY(queue) : 0;
}

static void enqueue(struct xlate_ctx *x, const struct ofpact_enqueue *a)
{
    uint32_t saved = x->s.priority;

    set_queue(x, a->queue);
    xlate_output(x, a->port);
    x->s.priority = saved;
}

static void fin_timeout(struct xlate_ctx *x, const struct ofpact_fin_timeout *f)
{
    struct xlate_effect *e;

    if (x->s.rule) {
        e = xlate_effect_put(x, XLATE_EFFECT_FIN_TIMEOUT);
        e->rule = rule_ref(x->s.rule);
        e->fin_idle = f->idle;
        e->fin_hard = f->hard;
        xlate_look_field(x, field_get(FIELD_IP_PROTO));
    }
}

static void one_action(struct xlate_ctx *x, const struct ofpact *a)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_OUTPUT:
        output(x, (const struct ofpact_output *)a);
        return;
    case OFPACT_OUTPUT_TRUNC:
        xlate_output_trunc(x, (const struct ofpact_output_trunc *)a);
        return;
    case OFPACT_OUTPUT_REG:
        output_reg(x, (const struct ofpact_output_reg *)a);
        return;
    case OFPACT_CONTROLLER:
        xlate_controller(x, (const struct ofpact_controller *)a,
                         xlate_said_reason(x, (const struct ofpact_controller *)a));
        return;
    case OFPACT_DEC_TTL:
        x->end_list = !xlate_dec_ttl(x, NULL);
        return;
    case OFPACT_DEC_TTL_IDS:
        x->end_list = !xlate_dec_ttl(x, (const struct ofpact_cnt_ids *)a);
        return;
    case OFPACT_DEC_MPLS_TTL:
        x->end_list = !xlate_dec_mpls_ttl(x);
        return;
    case OFPACT_STACK_PUSH:
        xlate_stack_push(x, &((const struct ofpact_stack *)a)->sf);
        return;
    case OFPACT_STACK_POP:
        xlate_stack_pop(x, &((const struct ofpact_stack *)a)->sf);
        return;
    case OFPACT_MULTIPATH:
        xlate_multipath(x, (const struct ofpact_multipath *)a);
        return;
    case OFPACT_BUNDLE:
        xlate_bundle(x, (const struct ofpact_bundle *)a);
        return;
    case OFPACT_DELETE_FIELD:
        field_remove(((const struct ofpact_field *)a)->field, &x->s.flow);
        return;
    case OFPACT_CHECK_PKT_LARGER:
        xlate_check_pkt_larger(x, (const struct ofpact_check_pkt_larger *)a);
        return;
    case OFPACT_RESUBMIT:
        resubmit(x, (const struct ofpact_resubmit *)a);
        return;
    case OFPACT_LEARN:
        xlate_learn(x, (const struct ofpact_learn *)a);
        return;
    case OFPACT_EXIT:
        x->stop = true;
        return;
    case OFPACT_CLONE:
        clone(x, a);
        return;
    case OFPACT_CLEAR_ACTIONS:
        xlate_clear_actions(x);
        return;
    case OFPACT_WRITE_ACTIONS:
        xlate_write_actions(x, OFPACT_NESTED(a), OFPACT_NESTED_LEN(a));
        return;
    case OFPACT_WRITE_METADATA:
        write_metadata(x, (const struct ofpact_metadata *)a);
        return;
    case OFPACT_GOTO_TABLE:
        goto_table(x, (table_id_t)((const struct ofpact_u16 *)a)->v);
        return;
    case OFPACT_FIN_TIMEOUT:
        fin_timeout(x, (const struct ofpact_fin_timeout *)a);
        return;
    case OFPACT_NOTE:
    case OFPACT_CONJUNCTION: /* the classifier's, which never leads here but for a list without a match */
        return;
    case OFPACT_SET_QUEUE:
        set_queue(x, ((const struct ofpact_u32 *)a)->v);
        return;
    case OFPACT_POP_QUEUE:
        x->s.priority = 0;
        return;
    case OFPACT_GROUP:
        xlate_group(x, ((const struct ofpact_u32 *)a)->v);
        return;
    case OFPACT_METER:
        xlate_meter(x, ((const struct ofpact_u32 *)a)->v);
        return;
    case OFPACT_ENQUEUE:
        enqueue(x, (const struct ofpact_enqueue *)a);
        return;
    default:
        if (!xlate_field_action(x, a)) {
            x->stop = true;
            xlate_note_drop(x, DROP_BAD_ACTION);
        }
    }
}

void xlate_actions(struct xlate_ctx *x, const void *actions, size_t len)
{
    if (x->nested >= XLATE_MAX_NESTED) {
        xlate_fail(x, DROP_RESUBMIT_DEPTH);
        return;
    }
    x->nested++;
    OFPACT_FOR_EACH(a, actions, len) {
        if (x->stop || x->failed) {
            break;
        }
        xlate_trace_action(x, a);
        one_action(x, a);
        if (x->end_list) {
            x->end_list = false;
            break;
        }
    }
    x->nested--;
}

/* ---- start ---- */

static void look_always(struct xlate_ctx *x)
{
    struct flow_key *wc = &x->wc.key;
    const struct flow_key *key = x->in->key;

    wc->in_port = dp_port(UINT32_MAX);
    wc->eth_type = htons(0xffff);
    wc->vlan[0] = (struct flow_vlan){htons(0xffff), htons(0xffff)};
    if (key->eth_type == htons(0x0800) || key->eth_type == htons(0x86dd)) {
        wc->ip_frag = 0xff; /* whether there is an L4 header */
    }
}

/* Where did it come in? NULL and the reason when nowhere. */
static struct port *find_in_port(struct xlate_ctx *x, enum drop_reason *ret_reason)
{
    const struct flow_key *key = x->in->key;
    struct port *port = switch_port_by_dp(x->in->sw, key->in_port);
    const struct tunnel_dp_port *dp;

    *ret_reason = DROP_NO_PORT;
    if (port) {
        return port;
    }
    dp = tunnel_dp_port_find(x->in->sw, key->in_port);
    if (!dp) {
        return NULL;
    }
    memset(&x->wc.key.tunnel.id, 0xff, sizeof x->wc.key.tunnel.id);
    memset(&x->wc.key.tunnel.src, 0xff, sizeof x->wc.key.tunnel.src);
    memset(&x->wc.key.tunnel.dst, 0xff, sizeof x->wc.key.tunnel.dst);
    x->wc.key.tunnel.flags |= FLOW_TNL_CRIT;
    return tunnel_port_receive(dp, key, ret_reason);
}

/* Tags beyond the limit are payload (other_config:vlan-limit): the EtherType is the hidden tag's, and what is behind it
 * out of sight. */
static void limit_vlans(struct xlate_ctx *x)
{
    struct flow_key *key = &x->s.flow.key;
    const size_t from = offsetof(struct flow_key, vlan[1]), rest = sizeof *key - from;

    if (x->in->sw->vlan_limit > 1 || !vlan_present(key->vlan[0])) {
        return;
    }
    x->wc.key.vlan[1] = (struct flow_vlan){.tpid = 0xffff, .tci = htons(FLOW_VLAN_PRESENT)};
    if (vlan_present(key->vlan[1])) {
        key->eth_type = key->vlan[1].tpid;
        memset((uint8_t *)key + from, 0, rest);
        memset((uint8_t *)&x->s.written + from, 0xff, rest);
        x->emitted.written = x->s.written;
    }
}

static void start_state(struct xlate_ctx *x)
{
    const struct xlate_in *in = x->in;

    if (in->flow) {
        x->s.flow = *in->flow;
    }
    x->s.flow.key = *in->key;
    x->s.flow.actset_output = OFPP_UNSET;
    limit_vlans(x);
    for (size_t i = 0; i < 2; i++) {
        struct flow_vlan *tag = &x->s.flow.key.vlan[i];

        if (vlan_present(*tag) && !tag->tpid) {
            tag->tpid = htons(0x8100); /* a flow to trace need not say it */
        }
    }
    x->emitted.key = x->s.flow.key;
    x->s.vlans[0] = x->emitted.key.vlan[0];
    x->s.vlans[1] = x->emitted.key.vlan[1];
    memcpy(x->emitted.vlans, x->s.vlans, sizeof x->emitted.vlans);
    if (!tunnel_dp_port_find(in->sw, in->key->in_port)) {
        memset(&x->s.written.tunnel, 0xff, sizeof x->s.written.tunnel); /* zero for every packet of this port */
    }
}

/* The Geneve options that PORT's bridge knows become fields. False: it ought to know one that it does not. */
static bool read_options(struct xlate_ctx *x, const struct port *port)
{
    const struct flow_tunnel *t = &x->in->key->tunnel;
    size_t len;
    const uint8_t *opts = tunnel_opts_get(t->opts_id, &len);

    if (t->flags & FLOW_TNL_CRIT) {
        x->wc.key.tunnel.opts_id = UINT32_MAX;
    }
    return !opts || tlv_map_read(&port->bridge->tlv_map, opts, len, &x->s.flow.tun_metadata);
}

static void enter(struct xlate_ctx *x, struct port *port)
{
    x->s.br = x->out->bridge = port->bridge;
    x->s.in_port = port;
    x->s.flow.in_port = port->ofp_port;
    xlate_trace_bridge(x);
    if (port->kind == PORT_TUNNEL) {
        xlate_effect_put(x, XLATE_EFFECT_PORT_RX)->port = port_ref(port);
    }
    if (port->config & (PORT_CONFIG_DOWN | PORT_CONFIG_NO_RECV)) {
        xlate_note_drop(x, DROP_PORT_DOWN);
        return;
    }
    if (port->kind == PORT_TUNNEL && !read_options(x, port)) {
        xlate_note_drop(x, DROP_TUNNEL_OPTIONS);
        return;
    }
    if (port->kind == PORT_TUNNEL && !tunnel_receive_ecn(&x->s.flow.key, &x->wc.key)) {
        xlate_note_drop(x, DROP_TUNNEL_ECN);
        return;
    }
    if (xlate_mirror_enter(x, port)) {
        xlate_pipeline(x);
    }
}

static void start_at_bridge(struct xlate_ctx *x)
{
    const struct xlate_in *in = x->in;

    x->s.br = x->out->bridge = in->bridge;
    x->s.in_port = bridge_port_by_ofp(in->bridge, in->in_port);
    x->s.flow.in_port = in->in_port;
    xlate_trace_bridge(x);
    if (in->packet_out) {
        xlate_actions(x, in->actions, in->actions_len);
        xlate_run_set(x);
    } else if (!x->s.in_port || xlate_mirror_enter(x, x->s.in_port)) {
        xlate_pipeline(x);
    }
}

static void finish(struct xlate_ctx *x)
{
    struct xlate_out *out = x->out;

    out->mask = x->wc.key;
    xlate_keep_options(x, x->in->key->tunnel.opts_id & out->mask.tunnel.opts_id);
    if (!out->parted) {
        out->n_common = out->n_effects;
    }
    if (x->failed) { /* half of what the flows say is not what they say; others may fare better */
        x->n_outputs = 0;
        x->metered = false;
        xlate_packet_ins_drop(out);
        out->failed = true;
        out->slow = out->slow_action = x->asked = out->parted;
    }
    if (!x->n_outputs && (!out->slow || x->asked)) {
        out->drop = x->reason ? x->reason : DROP_ACTION;
        out->actions_len = x->metered ? out->actions_len : 0;
        ((struct dp_action *)xlate_put_action(out, DP_ACTION_DROP, sizeof(struct dp_action)))->arg = out->drop;
    } else if (!x->n_outputs && !x->metered) {
        out->actions_len = 0; /* only the controller gets it */
    }
    xlate_trace_finish(x);
    ofpacts_done(&x->s.action_set);
    xlate_stack_done(x);
}

/* Lists of the last translation, for the next one: they grow by doubling, which would cost more than the walk. A nested
 * translation finds none and makes its own. */
struct xlate_scratch {
    uint8_t *actions;
    struct xlate_effect *effects;
    const uint64_t **deps;
    size_t actions_allocated, effects_allocated, deps_allocated;
};

#define SCRATCH_MAX_EFFECTS 1024 /* longer lists are not kept */

static void take_scratch(struct switch_ *sw, struct xlate_out *out)
{
    struct xlate_scratch *s = sw->scratch;

    *out = (struct xlate_out){.sw = sw};
    if (s) {
        out->actions = TAKE_PTR(s->actions);
        out->effects = TAKE_PTR(s->effects);
        out->deps = TAKE_PTR(s->deps);
        out->actions_allocated = out->actions ? s->actions_allocated : 0;
        out->effects_allocated = out->effects ? s->effects_allocated : 0;
        out->deps_allocated = out->deps ? s->deps_allocated : 0;
    }
}

static void give_scratch(struct switch_ *sw, struct xlate_out *out)
{
    struct xlate_scratch *s = sw->scratch;

    if (!s) {
        s = sw->scratch = xcalloc(1, sizeof *s);
    }
    if (!s->actions && !s->effects && !s->deps && out->effects_allocated <= SCRATCH_MAX_EFFECTS) {
        *s = (struct xlate_scratch){.actions = TAKE_PTR(out->actions),
                                    .effects = TAKE_PTR(out->effects),
                                    .deps = TAKE_PTR(out->deps),
                                    .actions_allocated = out->actions_allocated,
                                    .effects_allocated = out->effects_allocated,
                                    .deps_allocated = out->deps_allocated};
    }
}

void xlate_scratch_destroy(struct switch_ *sw)
{
    if (sw->scratch) {
        free(sw->scratch->actions);
        free(sw->scratch->effects);
        free(sw->scratch->deps);
        free(sw->scratch);
        sw->scratch = NULL;
    }
}

void translate(const struct xlate_in *in, struct xlate_out *ret)
{
    struct xlate_ctx x = {
        .in = in, .out = ret, .cookie = UINT64_MAX, .why = in->packet_out ? PACKET_IN_PACKET_OUT : PACKET_IN_ACTION};
    enum drop_reason reason;
    struct port *port;

    take_scratch(in->sw, ret);
    look_always(&x);
    start_state(&x);
    if (in->bridge) {
        start_at_bridge(&x);
    } else {
        port = find_in_port(&x, &reason);
        if (port) {
            enter(&x, port);
        } else {
            x.reason = reason;
        }
    }
    finish(&x);
}

static void effect_release(struct xlate_effect *e)
{
    rule_actions_unref(e->actions);
    switch (e->type) {
    case XLATE_EFFECT_RULE:
    case XLATE_EFFECT_FIN_TIMEOUT:
        rule_unref(e->rule);
        break;
    case XLATE_EFFECT_PORT_RX:
    case XLATE_EFFECT_PORT_TX:
    case XLATE_EFFECT_BOND:
        port_unref(e->port);
        break;
    case XLATE_EFFECT_LEARN:
        rule_unref(e->lesson->rule);
        free(e->lesson);
        break;
    case XLATE_EFFECT_MIRROR:
        mirror_unref(e->mirror);
        break;
    case XLATE_EFFECT_GROUP:
        group_unref(e->group);
        break;
    case XLATE_EFFECT_BUCKET:
        group_bucket_unref(e->group_bucket);
        break;
    case XLATE_EFFECT_OPTIONS:
        tunnel_opts_unref(e->opts_id);
        break;
    case XLATE_EFFECT_MISS:
    case XLATE_EFFECT_MAC:
        break;
    }
}

static void effects_clear(struct xlate_effect *effects, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        effect_release(&effects[i]);
    }
}

void xlate_out_done(struct xlate_out *out)
{
    effects_clear(out->effects, out->n_effects);
    xlate_packet_ins_drop(out);
    if (out->sw) {
        give_scratch(out->sw, out);
    }
    free(out->actions);
    free(out->effects);
    free(out->deps);
    *out = (struct xlate_out){0};
}

/* ---- effects ---- */

void xlate_effects_free(struct xlate_effect *effects, size_t n)
{
    effects_clear(effects, n);
    free(effects);
}

static void run_fin_timeout(const struct xlate_effect *e, uint16_t tcp_flags)
{
    struct rule *rule = e->rule;

    if (!(tcp_flags & 5) || !rule->in_table) { /* FIN, RST */
        return;
    }
    rule_shorten_timeouts(rule, e->fin_idle, e->fin_hard);
}

static void run_effect(const struct xlate_effect *e, uint64_t packets, uint64_t bytes, uint16_t tcp_flags,
                       int64_t used_ms)
{
    switch (e->type) {
    case XLATE_EFFECT_RULE:
        rule_credit(e->rule, e->n_resets, packets, bytes, used_ms);
        e->bridge->tables[e->table].n_lookup += packets;
        e->bridge->tables[e->table].n_matched += packets;
        break;
    case XLATE_EFFECT_MISS:
        e->bridge->tables[e->table].n_lookup += packets;
        break;
    case XLATE_EFFECT_PORT_RX:
        e->port->own_stats.rx_packets += packets;
        e->port->own_stats.rx_bytes += bytes;
        break;
    case XLATE_EFFECT_PORT_TX:
        e->port->own_stats.tx_packets += packets;
        e->port->own_stats.tx_bytes += bytes;
        break;
    case XLATE_EFFECT_LEARN:
        /* What somebody deleted together with the action that taught it is not to come back. */
        if (e->lesson->rule->in_table && e->lesson->rule->actions == e->actions) {
            learn_refresh(e->bridge, e->learn, &e->lesson->flow, used_ms);
        }
        break;
    case XLATE_EFFECT_MAC:
        if (xlate_learn_mac(e->bridge, e, used_ms)) {
            switch_macs_changed(e->bridge);
        }
        break;
    case XLATE_EFFECT_BOND:
        if (e->port->bond) {
            bond_count(e->port->bond->bond, e->bucket, bytes);
        }
        break;
    case XLATE_EFFECT_MIRROR:
        e->mirror->tx_packets += packets;
        e->mirror->tx_bytes += e->mirror->snaplen ? MIN(bytes, packets * e->mirror->snaplen) : bytes;
        break;
    case XLATE_EFFECT_GROUP:
        e->group->counters->packets += packets;
        e->group->counters->bytes += bytes;
        break;
    case XLATE_EFFECT_BUCKET:
        e->group_bucket->packets += packets;
        e->group_bucket->bytes += bytes;
        break;
    case XLATE_EFFECT_FIN_TIMEOUT:
        run_fin_timeout(e, tcp_flags);
        break;
    case XLATE_EFFECT_OPTIONS:
        break;
    }
}

void xlate_effects_run(const struct xlate_effect *effects, size_t n, uint64_t packets, uint64_t bytes,
                       uint16_t tcp_flags, int64_t used_ms)
{
    for (size_t i = 0; i < n; i++) {
        run_effect(&effects[i], packets, bytes, tcp_flags, used_ms);
    }
}

void xlate_effects_learn(const struct xlate_effect *effects, size_t n, int64_t seen_ms, int64_t now)
{
    for (size_t i = 0; i < n; i++) {
        const struct xlate_effect *e = &effects[i];

        if (e->type == XLATE_EFFECT_LEARN) {
            learn_again(e->bridge, e->learn, &e->lesson->flow, seen_ms, now);
        } else if (e->type == XLATE_EFFECT_RULE ||
                   (e->type == XLATE_EFFECT_MAC && now - seen_ms < e->bridge->macs.age_ms)) {
            run_effect(e, 0, 0, 0, seen_ms);
        }
    }
}
