/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_TRANSLATE_H
#define WARREN_SWITCH_TRANSLATE_H
/*
 * Translation: walks a packet's key through the OpenFlow tables of its bridge (resubmit, goto, patch ports, NORMAL,
 * learn) and boils the walk down to datapath actions and the mask of all key bits that the answer depends on.
 *
 * Problem: the answer serves every later packet that agrees with this one under the mask, so whatever the walk looked
 * at must be in the mask, and no more, or the cache is useless. Idea: the walk keeps the flow as it stands now, the
 * flow as the datapath has it now (`emitted`: what the actions so far made of it), and for each bit whether it still
 * comes from the packet. Bits that a flow set to a constant are not the packet's any more, so matching them adds
 * nothing to the mask. Header changes are emitted only right before an output, as the difference between those two; a
 * bit that must go back to the packet's own value is then looked at.
 *
 * Side effects of a walk (counters, learned MACs and flows, patch and tunnel port counters) are recorded as a list of
 * effects that megaflow.c replays with the counters of each later packet; only packet-ins need the packet itself, and
 * turn the megaflow into DP_ACTION_SLOW. A walk for revalidation passes no packet and runs no effect. One that hits a
 * limit ends in a drop, whatever it had output or sent to controllers; what it counted and learned stays. Where
 * contents decide that no key tells, the way parts: the effects before are common, those behind are the packet's own.
 *
 * Invariants: the mask covers in_port, eth_type and the outer VLAN tag always; the list is never empty (a drop says
 * why); a rule, port or action list named in the effects is held by a reference.
 */
#include "base/strbuf.h"
#include "switch/flow_table.h"

#define XLATE_MAX_DEPTH 64
#define XLATE_MAX_RESUBMITS 4096
#define XLATE_MAX_NESTED 2048 /* lists of actions within each other, whatever for: what the stack has room for */
#define XLATE_SLOW_METERS 4

enum xlate_effect_type {
    XLATE_EFFECT_RULE,        /* a lookup that found RULE */
    XLATE_EFFECT_MISS,        /* a lookup in TABLE that found none */
    XLATE_EFFECT_PORT_RX,     /* came in by a patch or tunnel port */
    XLATE_EFFECT_PORT_TX,     /* went out by one */
    XLATE_EFFECT_LEARN,       /* a learn action */
    XLATE_EFFECT_MAC,         /* NORMAL learns an address */
    XLATE_EFFECT_BOND,        /* left by PORT, a member of a bond, under BUCKET */
    XLATE_EFFECT_MIRROR,      /* a copy went out by MIRROR */
    XLATE_EFFECT_FIN_TIMEOUT, /* fin_timeout of RULE */
    XLATE_EFFECT_GROUP,       /* went through GROUP */
    XLATE_EFFECT_BUCKET,      /* went through GROUP_BUCKET */
    XLATE_EFFECT_OPTIONS,     /* nothing but a reference to Geneve options that the mask or an action names */
};

struct group;
struct group_bucket;
struct xlate_packet_in;

/* Of a learn action: whose it is, and what it saw. */
struct xlate_lesson {
    struct rule *rule; /* a reference */
    struct flow flow;
};

/* Megaflows keep lists of these, so they are small: what types do not share lies in the same place. */
struct xlate_effect {
    enum xlate_effect_type type;
    table_id_t table; /* RULE, MISS */
    bool lock_mac;    /* MAC: a gratuitous ARP that may come back by a bond */
    uint16_t vlan;    /* MAC */
    struct bridge *bridge;
    union {
        struct rule *rule;                 /* RULE, FIN_TIMEOUT: a reference */
        struct port *port;                 /* PORT_RX, PORT_TX, BOND: a reference */
        struct mirror *mirror;             /* MIRROR: a reference */
        struct group *group;               /* GROUP: a reference */
        struct group_bucket *group_bucket; /* BUCKET: a reference */
        struct xlate_lesson *lesson;       /* LEARN: owned */
        ofp_port_t ofp_port;               /* MAC */
    };
    struct rule_actions *actions; /* RULE, LEARN: a reference; it keeps `learn` alive */
    union {
        const struct ofpact_learn *learn; /* LEARN */
        struct eth_addr mac;              /* MAC */
        uint16_t bucket;                  /* BOND */
        struct {
            uint16_t fin_idle, fin_hard; /* FIN_TIMEOUT */
        };
        uint32_t opts_id;  /* OPTIONS: a reference */
        uint32_t n_resets; /* RULE: its own, then */
    };
};

struct xlate_in {
    struct switch_ *sw;
    const struct flow_key *key; /* of the packet, or of the megaflow (masked) */
    struct packet *packet;      /* for packet-ins; NULL: none are sent */
    bool effects; /* learn flows now and make packet-ins (these and the effects are the caller's to run) */
    bool metered; /* it has been through the meters that stand before the first packet-in */
    int64_t now;
    struct strbuf *trace; /* NULL, or gets the walk in words, as ofproto/trace shows it */
    /* packet_out and trace: start here instead of where the key came in. */
    struct bridge *bridge;
    ofp_port_t in_port;
    const struct flow *flow; /* registers, metadata and tunnel metadata to begin with; NULL: zero */
    bool packet_out;         /* run ACTIONS, of which there may be none, instead of table 0 */
    const void *actions;
    size_t actions_len;
};

struct xlate_out {
    uint8_t *actions; /* dp_actions, owned */
    size_t actions_len, actions_allocated;
    struct flow_key mask;
    bool slow;                               /* uses the controller: the megaflow is DP_ACTION_SLOW */
    bool slow_action;                        /* slow because the packet's contents decide, not for a packet-in */
    bool parted;                             /* contents were asked (then it is slow): the way is this packet's alone */
    size_t n_common;                         /* effects up to there, which all packets under the mask have */
    uint32_t slow_meters[XLATE_SLOW_METERS]; /* the datapath's meters that stand before the first packet-in */
    unsigned int n_slow_meters;
    enum drop_reason drop;              /* not NONE: ACTIONS is this drop */
    bool failed;                        /* DROP is of a limit that was hit: nothing of the packet's way counts */
    struct xlate_packet_in *packet_ins; /* to send when the walk is carried out; owned */
    struct bridge *bridge;              /* where the packet came in; NULL: nowhere (unknown port) */
    struct xlate_effect *effects;
    size_t n_effects, effects_allocated;
    /* What the answer depends on, beyond what makes a switch_changed(): when one of these counters goes beyond the
     * generation that the walk began in, it may be another. They live as long as their bridge. */
    const uint64_t **deps;
    size_t n_deps, deps_allocated;
    struct switch_ *sw; /* whose scratch lists these are */
};

/* Can translate() carry these actions out? 0, or the OFERR for the first that it cannot: more MPLS labels than it keeps
 * track of. Tables, groups and packet-outs refuse them with it. */
int xlate_supports(const void *actions, size_t len);
/* Never fails: what cannot be carried out is a drop with its reason. */
void translate(const struct xlate_in *in, struct xlate_out *ret);
void xlate_out_done(struct xlate_out *out);
/* To the controllers with what the walk sends them. Once; xlate_out_done() takes back what was not sent. */
void xlate_packet_ins_send(struct xlate_out *out);
/* Frees the lists that translations of SW use again and again. */
void xlate_scratch_destroy(struct switch_ *sw);
/* Replays effects for traffic of PACKETS, BYTES and OR of TCP_FLAGS last seen at USED_MS. */
void xlate_effects_run(const struct xlate_effect *effects, size_t n, uint64_t packets, uint64_t bytes,
                       uint16_t tcp_flags, int64_t used_ms);
/* What traffic has taught that was seen at SEEN_MS and before, by a process before us: addresses and learned flows that
 * are not too old at NOW. Nothing is counted. */
void xlate_effects_learn(const struct xlate_effect *effects, size_t n, int64_t seen_ms, int64_t now);
/* FLOW, a packet of BR (NULL: of a bridge that nobody knows), with every field that it has, in ovs-ofctl's syntax. */
void flow_format_all(const struct bridge *br, const struct flow *flow, struct strbuf *b);
void xlate_effects_free(struct xlate_effect *effects, size_t n);

#endif
