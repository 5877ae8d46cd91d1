/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of the fast path. Two are at clsact ingress: port_ingress on every local port (and on our end of an
 * INTERNAL port's veth pair), uplink_ingress on every device that has addresses of this host. They parse, look up and
 * run; a miss goes up to user space whole. uplink_ingress is at egress of the detour's device, too, where it goes on
 * with what either began: with packets that come back, and with copies of super-packets for tunnels. (A program of its
 * own for that would be two thirds more for the verifier.)
 *
 * What comes in by a port never goes on into this host's own stack. What comes in by an uplink does, unless it is a
 * tunnel packet that belongs to a tunnel port.
 */
#include "datapath/ebpf/actions.bpf.h"
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/decap.bpf.h"
#include "datapath/ebpf/exact_run.bpf.h"
#include "datapath/ebpf/lookup.bpf.h"
#include "datapath/ebpf/meter.bpf.h"
#include "datapath/ebpf/parse.bpf.h"
#include "datapath/ebpf/upcall.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The port that receives from IFINDEX, its number in *NUMBER, or NULL. What is remembered of the last time is believed
 * if the port says the same. */
INLINE struct ebpf_port *port_of(struct scratch *s, __u32 ifindex, __u32 *number)
{
    __u32 *hint = &s->port_hints[ifindex & (EBPF_PORT_HINTS - 1)], *found;
    struct ebpf_port *port;

    *number = *hint;
    port = bpf_map_lookup_elem(&ports, number);
    if (port && port->ifindex == ifindex) {
        return port;
    }
    found = bpf_map_lookup_elem(&ifindexes, &ifindex);
    if (!found) {
        return NULL;
    }
    *hint = *number = *found;
    return bpf_map_lookup_elem(&ports, number);
}

/* The packet goes the whole way. What is learned of it from here on, and remembered, is of this generation or a later
 * one. EXACT: EXACT_*. */
INLINE void begin(struct scratch *s, const struct ebpf_config *c, int exact)
{
    s->exact_busy = exact == EXACT_BUSY;
    s->generation = c->generation;
    barrier();
}

/* One packet in SHARE, on an average: a number up to twice that is thrown when one is. (To throw for each packet costs
 * a tenth of what a packet costs.) */
INLINE bool is_sample(__u32 share)
{
    struct ebpf_lookup_stats *stats = lookup_stats();
    __u64 most = share < 1u << 31 ? 2 * share - 1 : ~0u, until;

    if (!share || !stats) {
        return false;
    }
    until = stats->until_sample;
    if (!until || until > most) {
        until = 1 + (bpf_get_prandom_u32() * most >> 32);
    }
    stats->until_sample = until - 1;
    return until == 1;
}

/* The frame at BASE of a packet that PORT received; its port's number and its tunnel are in the scratch. SAMPLE: user
 * space is to be told of it if it has a flow. */
INLINE int receive(struct __sk_buff *skb, struct scratch *s, struct ebpf_config *c, const struct ebpf_port *port,
                   __u32 base, bool sample)
{
    struct ebpf_slot *slot;
    int result;

    s->key.in_port = s->in_port;
    s->key.pkt_mark = skb->mark;
    s->shape = 0;
    result = parse(skb, s, base);
    if (result == PARSE_UNKNOWN && !is_linear(skb, base + PARSE_PULL)) {
        bpf_skb_pull_data(skb, base + PARSE_PULL < skb->len ? base + PARSE_PULL : skb->len);
        key_clear_headers(s);
        result = parse(skb, s, base);
    }
    count_rx(s->in_port, s->len);
    if (port && port->flags & EBPF_PORT_POLICED &&
        !police_admits(s->in_port, s->len, segments(skb, s->key.ip_proto, s->l4))) {
        count_rx_drop(s->in_port);
        return drop(DROP_POLICING);
    }
    if (result == PARSE_SHORT) {
        return drop(base ? DROP_TUNNEL_TRUNCATED : DROP_TRUNCATED);
    }
    if (result == PARSE_UNKNOWN) {
        return upcall(skb, s, EBPF_UPCALL_UNKNOWN, 0, 0);
    }
    slot = lookup(s, c);
    if (slot && sample) {
        upcall(skb, s, EBPF_UPCALL_SAMPLE, 0, slot->id);
    }
    if (slot) {
        return run(skb, s, slot);
    }
    if (port && port->flags & EBPF_PORT_LEARN && !(base && s->bare)) { /* those have changed */
        upcall(skb, s, EBPF_UPCALL_LEARN, 0, 0);
        return TC_ACT_UNSPEC;
    }
    return upcall(skb, s, EBPF_UPCALL_MISS, 0, 0);
}

SEC("tc")
int port_ingress(struct __sk_buff *skb)
{
    struct ebpf_config *c = config_get();
    struct ebpf_port *port;
    struct scratch *s;
    __u32 number;
    bool sample;
    int action;

    if (!c) {
        return TC_ACT_SHOT;
    }
    sample = is_sample(c->sample);
    action = sample ? EXACT_NONE : exact_port(skb);
    if (action > EXACT_NONE) {
        return action;
    }
    s = scratch_get();
    if (!s) {
        return TC_ACT_SHOT;
    }
    begin(s, c, action);
    port = port_of(s, skb->ifindex, &number);
    if (!port) {
        return TC_ACT_SHOT;
    }
    __builtin_memset(&s->key, 0, sizeof(s->key));
    s->in_port = number;
    s->outer_l3 = 0;
    return receive(skb, s, c, port, 0, sample);
}

SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
    struct ebpf_config *c = config_get();
    struct scratch *s;
    bool sample;
    int action;

    if (!c) {
        return TC_ACT_UNSPEC;
    }
    sample = is_sample(c->sample);
    action = sample ? EXACT_NONE : exact_uplink(skb);
    if (action > EXACT_NONE) {
        return action;
    }
    s = scratch_get();
    if (!s) {
        return TC_ACT_UNSPEC;
    }
    if (s->aside) {
        action = run_aside(skb, s);
    } else {
        begin(s, c, action);
        switch (outer_parse(skb, s)) {
        case OUTER_OK:
            return receive(skb, s, c, bpf_map_lookup_elem(&ports, &s->in_port), s->base, sample);
        case OUTER_DROP:
            return TC_ACT_SHOT;
        default:
            if (skb->ifindex != detour_device()) {
                return TC_ACT_UNSPEC;
            }
            action = detour_end(skb, s);
        }
    }
    return action == RUN_ON ? run_rest(skb, s) : action;
}

/* User space asks a meter about a frame of the slow path. */
SEC("tc")
int meter_ask(struct __sk_buff *skb)
{
    return meter_take(skb->cb[EBPF_ASK_METER], skb->cb[EBPF_ASK_LEN], skb->cb[EBPF_ASK_PACKETS]);
}
