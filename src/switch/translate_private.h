/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_TRANSLATE_PRIVATE_H
#define WARREN_SWITCH_TRANSLATE_PRIVATE_H
/*
 * What the parts of the translation share: the state of a walk. translate.c walks tables, translate_action.c changes
 * fields, translate_output.c commits header changes and outputs, translate_controller.c sends to controllers, normal.c
 * and normal_mcast.c are the learning bridge, translate_mirror.c makes mirrors' copies, translate_group.c runs groups
 * and meters, translate_mpls.c, translate_stack.c and translate_pick.c are actions' jobs, learn.c makes learned flows.
 */
#include "switch/translate.h"

#define XLATE_N_LABELS 3 /* MPLS labels likewise; more are refused */
#define XLATE_N_VLANS 4  /* tags that the walk keeps track of; the key shows the outer two */

/* What a patch port, a clone and the like give back when they return. */
struct xlate_state {
    struct bridge *br;
    struct port *in_port;                  /* NULL: none, as for packet-outs of the controller */
    struct flow flow;                      /* as the tables see the packet now */
    struct flow_vlan vlans[XLATE_N_VLANS]; /* all tags; [0] and [1] are flow.key.vlan's again */
    struct flow_key written;               /* bits of flow.key that no longer are the packet's own */
    uint32_t priority;                     /* of the queue that outputs go to, as DP_QUEUE_PRIORITY(); 0: none */
    table_id_t table;
    struct rule *rule;                 /* whose actions run, or NULL */
    struct rule_actions *rule_actions; /* which own them: for learn */
    struct ofpacts action_set;
    struct xlate_element *stack; /* its top (translate_stack.c) */
    __be32 third_label;          /* of a label stack, whose outer two the key shows; 0: not known or not there */
    bool hidden;                 /* a label was popped, and nobody has looked at what is behind it yet */
};

/* The packet as the emitted actions left it. */
struct xlate_emitted {
    struct flow_key key, written; /* `written`: bits of the key that no longer are the packet's own */
    struct flow_vlan vlans[XLATE_N_VLANS];
    struct flow_tunnel tunnel; /* once TUNNEL_SET */
    uint32_t priority;
    bool tunnel_set;
};

/* A copy of the packet that some actions run on; see translate_group.c. Once it is OPEN: where its action is, and what
 * the datapath's packet was before it. */
struct xlate_copy {
    struct xlate_copy *outer;
    bool open;
    size_t at;
    struct xlate_emitted before;
};

struct xlate_ctx {
    const struct xlate_in *in;
    struct xlate_out *out;
    struct xlate_state s;
    struct xlate_emitted emitted;
    struct flow wc;            /* bits of the packet that were looked at (its key part) */
    __be64 cookie;             /* of the last flow, for packets that the action set sends to the controller */
    enum packet_in_reason why; /* of packets that actions send to the controller; set by who runs them */
    unsigned int depth, resubmits, nested, n_outputs;
    uint32_t mirrored;              /* mirrors of the present bridge that are done with the packet */
    uint32_t trunc;                 /* bytes that outputs send at most; 0: all */
    unsigned int trace_depth;       /* indentation */
    bool stop;                      /* exit: no further actions of this walk */
    bool failed;                    /* the walk is over, and the packet is dropped whatever was output */
    bool asked;                     /* packets come up for their contents only, and may end here */
    bool end_list;                  /* no further actions of the list at hand */
    bool metered;                   /* some DP_ACTION_METER is there, which counts even what is then dropped */
    struct xlate_copy *copy;        /* the innermost one, NULL: the packet itself */
    struct xlate_element *elements; /* that were ever on the stack */
    unsigned int n_pushes;
    enum drop_reason reason;
};

void xlate_note_drop(struct xlate_ctx *x, enum drop_reason reason);
/* A limit was hit: nothing of the walk counts. */
void xlate_fail(struct xlate_ctx *x, enum drop_reason reason);
/* translate_trace.c: the text of ofproto/trace. Nothing happens unless the caller of translate() asked for it. A detail
 * of the action at hand: */
void xlate_trace(struct xlate_ctx *x, const char *fmt, ...) WR_PRINTF(2, 3);
void xlate_trace_bridge(struct xlate_ctx *x); /* the walk enters x->s.br */
/* RULE (NULL: none) was found in TABLE. */
void xlate_trace_rule(struct xlate_ctx *x, table_id_t table, const struct rule *rule);
void xlate_trace_action(struct xlate_ctx *x, const struct ofpact *a);
void xlate_trace_finish(struct xlate_ctx *x); /* the flow as it left, the megaflow, the datapath's actions */
/* Each packet must come up, for what no key tells. */
void xlate_slow_action(struct xlate_ctx *x);
/* From here on the packet's contents decide. */
void xlate_part(struct xlate_ctx *x);
struct xlate_effect *xlate_effect_put(struct xlate_ctx *x, enum xlate_effect_type type);
/* Keeps the block of Geneve options OPTS_ID (0: none) as long as the translation. */
void xlate_keep_options(struct xlate_ctx *x, uint32_t opts_id);
/* The answer depends on what COUNTER (a generation) counts changes of. */
void xlate_depend(struct xlate_ctx *x, const uint64_t *counter);
/* Marks bits as looked at, but those that are no longer the packet's. */
void xlate_look(struct xlate_ctx *x, const struct flow *bits);
void xlate_look_field(struct xlate_ctx *x, const struct field *f);
void xlate_look_subfield(struct xlate_ctx *x, const struct subfield *sf);
/* Runs a list in the present state. */
void xlate_actions(struct xlate_ctx *x, const void *actions, size_t len);
/* Looks up and runs TABLE, with IN_PORT standing for in_port in the lookup. */
void xlate_table(struct xlate_ctx *x, ofp_port_t in_port, table_id_t table);
/* The packet enters x->s.br from table 0; runs the action set at the end. */
void xlate_pipeline(struct xlate_ctx *x);

/* translate_action.c: OFPACT_SET_FIELD and the like; false when the action is not one of them. */
bool xlate_field_action(struct xlate_ctx *x, const struct ofpact *a);
void xlate_push_vlan(struct xlate_ctx *x, struct flow_vlan tag);
void xlate_pop_vlan(struct xlate_ctx *x);
void xlate_set_tci(struct xlate_ctx *x, __be16 tci);
/* Does the packet have the field, so that it can be read or written? That question looks at the prerequisites. */
bool xlate_can_use(struct xlate_ctx *x, const struct field *f);
/* The low bits of VALUE (right-aligned in 16 bytes) at SF's place in its field; nothing if the packet has none. */
void xlate_write_subfield(struct xlate_ctx *x, const struct subfield *sf, const union field_value *value);
/* True: go on. False: the TTL ran out, which the controllers IDS (NULL: that of id 0) are told. */
bool xlate_dec_ttl(struct xlate_ctx *x, const struct ofpact_cnt_ids *ids);
/* The packet's action set is added to, emptied, and run, which empties it. */
void xlate_write_actions(struct xlate_ctx *x, const void *actions, size_t len);
void xlate_clear_actions(struct xlate_ctx *x);
void xlate_run_set(struct xlate_ctx *x);
/* As if ACTIONS were all that had been written to a set: a bucket's. */
void xlate_run_as_set(struct xlate_ctx *x, const void *actions, size_t len);

/* translate_group.c */
void xlate_group(struct xlate_ctx *x, uint32_t id);
void xlate_meter(struct xlate_ctx *x, uint32_t id);
/* Around actions that run on a copy of the packet. */
void xlate_copy_begin(struct xlate_ctx *x, struct xlate_copy *c);
void xlate_copy_end(struct xlate_ctx *x, struct xlate_copy *c);
/* The copy at hand, if it is one, becomes one in the datapath: for what cannot be taken back behind it. */
void xlate_copy_open(struct xlate_ctx *x);
/* translate_mpls.c */
void xlate_push_mpls(struct xlate_ctx *x, __be16 eth_type);
void xlate_pop_mpls(struct xlate_ctx *x, __be16 eth_type);
bool xlate_dec_mpls_ttl(struct xlate_ctx *x); /* as xlate_dec_ttl() */
/* To be called by whoever asks about the packet's inside, from the EtherType on. */
void xlate_reveal(struct xlate_ctx *x);

/* translate_stack.c */
void xlate_stack_push(struct xlate_ctx *x, const struct subfield *sf);
void xlate_stack_pop(struct xlate_ctx *x, const struct subfield *sf);
void xlate_stack_done(struct xlate_ctx *x);
/* translate_pick.c */
void xlate_multipath(struct xlate_ctx *x, const struct ofpact_multipath *m);
void xlate_bundle(struct xlate_ctx *x, const struct ofpact_bundle *b);

/* translate_output.c */
void xlate_commit(struct xlate_ctx *x);
/* To a port number, reserved ones included. */
void xlate_output(struct xlate_ctx *x, ofp_port_t port);
/* To PORT of the present bridge. True when it left. */
bool xlate_output_port(struct xlate_ctx *x, struct port *port, bool to_in_port);
/* The packet as the walk has made it, with its layer offsets, the caller's. NULL: there is none, or the actions do not
 * fit it. */
struct packet *xlate_present_packet(struct xlate_ctx *x);
void xlate_output_trunc(struct xlate_ctx *x, const struct ofpact_output_trunc *out);
void xlate_check_pkt_larger(struct xlate_ctx *x, const struct ofpact_check_pkt_larger *c);
void *xlate_put_action(struct xlate_out *out, enum dp_action_type type, size_t size);
/* translate_controller.c */
/* Why "output:CONTROLLER" sends a packet up: by where in the walk it stands. */
enum packet_in_reason xlate_output_reason(const struct xlate_ctx *x);
/* And why C does: it says so itself; ACTION of a table-miss flow is NO_MATCH. */
enum packet_in_reason xlate_said_reason(const struct xlate_ctx *x, const struct ofpact_controller *c);
void xlate_controller(struct xlate_ctx *x, const struct ofpact_controller *c, enum packet_in_reason reason);
/* Nobody hears of them. */
void xlate_packet_ins_drop(struct xlate_out *out);

/* normal.c */
void xlate_normal(struct xlate_ctx *x);
/* The VLAN that a packet is in, and what of its tags says so. */
struct xlate_vlan {
    uint16_t vid;
    uint16_t pcp;  /* of the tag, in its place in a TCI */
    uint16_t tpid; /* for a tag that must be pushed */
    uint16_t cvid; /* of the tag inside; 0: none */
    bool tagged;   /* the packet's outer tag is this VLAN's (or a priority tag), and no part of what is inside it */
};
/* The VLAN of the packet as it stands, as coming in by a port of settings C (NULL: no port). False: not allowed. */
bool xlate_input_vlan(struct xlate_ctx *x, const struct vlan_config *c, struct xlate_vlan *ret);
/* Does PORT carry V? */
bool xlate_vlan_goes_out(const struct port *port, const struct xlate_vlan *v);
/* Sends to the bundle of LEAD, tagged as it wants VLAN V; the flow is unchanged afterwards. True when it left. */
bool xlate_output_vlan(struct xlate_ctx *x, struct port *lead, const struct xlate_vlan *v, bool to_in_port);
/* May NORMAL send V from the bundle of IN_LEAD (NULL: none) to that of LEAD? */
bool xlate_normal_may(const struct port *in_lead, const struct port *lead, const struct xlate_vlan *v);
void xlate_flood(struct xlate_ctx *x, const struct port *in_lead, const struct xlate_vlan *v);
/* Addresses of other_config:forward-bpdu. */
bool xlate_is_reserved(struct eth_addr mac);
/* Carries out an XLATE_EFFECT_MAC; true when lookups changed. */
bool xlate_learn_mac(struct bridge *br, const struct xlate_effect *e, int64_t now);
/* normal_mcast.c: true when it dealt with the packet. */
bool xlate_mcast(struct xlate_ctx *x, const struct port *in_lead, const struct xlate_vlan *v);
/* translate_mirror.c. The packet comes into the bridge by PORT; false, the drop noted: it goes no further. */
bool xlate_mirror_enter(struct xlate_ctx *x, const struct port *port);
/* The packet was just output to PORT, as it stands. */
void xlate_mirror_output(struct xlate_ctx *x, const struct port *port);
/* learn.c: the change that LEARN asks for on FLOW. ACTS gets the new flow's actions and is the caller's. */
void learn_make(const struct ofpact_learn *learn, const struct flow *flow, struct flow_change *ret,
                struct ofpacts *acts);
/* Carries it out for a packet of the time NOW; DRY: not really. Is the flow there then? */
bool learn_apply(struct bridge *br, const struct ofpact_learn *learn, const struct flow *flow, int64_t now, bool dry);
/* The same for further packets, of the same megaflow: timeouts that fin_timeout has shortened since stay so, for the
 * last packets of a connection come after its FIN. */
void learn_refresh(struct bridge *br, const struct ofpact_learn *learn, const struct flow *flow, int64_t now);
/* Carries it out, at NOW, as it was when a packet came at SEEN_MS and before. Who used the flow since then is not
 * known, so it is idle from now on. */
void learn_again(struct bridge *br, const struct ofpact_learn *learn, const struct flow *flow, int64_t seen_ms,
                 int64_t now);
void xlate_learn(struct xlate_ctx *x, const struct ofpact_learn *learn);

static inline bool vlan_present(struct flow_vlan v)
{
    return v.tci & __builtin_bswap16(FLOW_VLAN_PRESENT);
}

#endif
