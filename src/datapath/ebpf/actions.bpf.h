/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_ACTIONS_BPF_H
#define WARREN_DATAPATH_EBPF_ACTIONS_BPF_H
/*
 * The executor of compiled actions (compile.c makes them from datapath actions). A list is straight: no nesting (see
 * copy.bpf.h) and no branch but forward; the last output takes the packet itself, the others copies. What was punted is
 * the whole of its list.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/copy.bpf.h"
#include "datapath/ebpf/decap.bpf.h"
#include "datapath/ebpf/detour.bpf.h"
#include "datapath/ebpf/encap.bpf.h"
#include "datapath/ebpf/exact_keep.bpf.h"
#include "datapath/ebpf/lookup.bpf.h"
#include "datapath/ebpf/meter.bpf.h"
#include "datapath/ebpf/mpls.bpf.h"
#include "datapath/ebpf/set.bpf.h"
#include "datapath/ebpf/trunc.bpf.h"
#include "datapath/ebpf/upcall.bpf.h"

/* The packet's class by its destination address, which whoever receives it without a device's help needs: a veth's
 * other end, reached by bpf_redirect_peer(), takes what the packet says. False: it is for somebody else than MAC, and
 * the slower way by the device must find that out. */
INLINE bool set_pkt_type(struct __sk_buff *skb, const struct eth_addr *mac)
{
    struct w_eth *eth = at(skb, 0, sizeof(*eth));
    __u32 type;

    if (!eth) {
        return false;
    }
    const __u16 *w = (const __u16 *)(const void *)&eth->dst, *m = (const __u16 *)(const void *)mac;

    if (eth_addr_is_group(&eth->dst)) {
        type = (w[0] & w[1] & w[2]) == 0xffff ? PT_BROADCAST : PT_MULTICAST;
    } else if (!((w[0] ^ m[0]) | (w[1] ^ m[1]) | (w[2] ^ m[2]))) {
        type = PT_HOST;
    } else {
        return false;
    }
    return skb->pkt_type == type || !bpf_skb_change_type(skb, type);
}

/* skb->protocol is what the frame says. (Not asked behind the detour, where bpf_redirect_peer() does not work.) */
INLINE bool protocol_is_true(const struct scratch *s)
{
    return !s->shape && (!s->outer_l3 || (!s->tags && s->outer_l3 == bpf_ntohs(s->key.eth_type)));
}

/* Into a port's device, or (STRAIGHT) to the other end of its veth, whose address is MAC. */
INLINE int hand_over(struct __sk_buff *skb, __u32 ifindex, bool straight, const struct eth_addr *mac)
{
    return straight && set_pkt_type(skb, mac) ? bpf_redirect_peer(ifindex, 0) : bpf_redirect(ifindex, 0);
}

/* STEP is the list's step NUMBER. */
INLINE int port_output(struct __sk_buff *skb, struct scratch *s, const struct ebpf_step *step, __u32 number, bool last)
{
    __u32 out = step->port;
    struct ebpf_port *port = bpf_map_lookup_elem(&ports, &out);

    if (!port || !port->ifindex) {
        count_tx_drop(out, DROP_NO_PORT);
        return TC_ACT_SHOT;
    }
    if (s->gso_mark && last && (s->gso_mark == MARK_STUCK || !(port->flags & EBPF_PORT_VETH))) {
        int action = detour(skb, s, number);

        if (action != RUN_ON) {
            return action;
        }
    } else if (s->gso_mark == MARK_STUCK) {
        return RUN_UP;
    }
    count_tx(out, skb->len + (skb->vlan_present ? 4 : 0));
    if (!last) {
        return bpf_clone_redirect(skb, port->ifindex, 0);
    }
    return hand_over(skb, port->ifindex, port->flags & EBPF_PORT_PEER && protocol_is_true(s), &port->mac);
}

static __attribute__((noinline)) long edit(struct __sk_buff *skb, struct scratch *s, const struct ebpf_step *step)
{
    if (s->encap && undo_encap(skb, s)) {
        return -1;
    }
    switch (step->op) {
    case EBPF_OP_PUSH_VLAN:
        return push_vlan(skb, s, step->u.vlan);
    case EBPF_OP_POP_VLAN:
        return pop_vlan(skb, s);
    case EBPF_OP_SET_VLAN:
        return set_vlan(skb, s, &step->u.u32);
    case EBPF_OP_SET_ETH:
        return set_eth(skb, &step->u.eth);
    case EBPF_OP_SET_IPV4:
        return set_ipv4(skb, s, &step->u.ipv4);
    case EBPF_OP_SET_IPV6_SRC:
        return set_ipv6_addr(skb, s, 8, &step->u.addr6);
    case EBPF_OP_SET_IPV6_DST:
        return set_ipv6_addr(skb, s, 24, &step->u.addr6);
    case EBPF_OP_SET_IPV6:
        return set_ipv6(skb, s, &step->u.ipv6);
    case EBPF_OP_SET_TP:
        return set_tp(skb, s, &step->u.tp);
    case EBPF_OP_SET_ARP:
        return set_arp(skb, s, &step->u.arp);
    case EBPF_OP_SET_ND:
        return set_nd(skb, s, &step->u.nd);
    case EBPF_OP_PUSH_MPLS:
        return push_mpls(skb, s, &step->u.mpls);
    case EBPF_OP_SET_MPLS:
        return set_mpls(skb, s, &step->u.mpls);
    case EBPF_OP_SET_MARK:
        skb->mark = (skb->mark & ~step->u.u32.m) | (step->u.u32.v & step->u.u32.m);
        return 0;
    default:
        return -1;
    }
}

/* Behind the cut, STEP's tunnel may have the frame summed up, or handed up: it is too long, or in a tunnel of the VM's
 * own. */
INLINE bool must_be_summed(const struct __sk_buff *skb, const struct scratch *s, const struct ebpf_step *step)
{
    return has_outer_csum(&step->u.tunnel) || step->trunc > CUT_FITS ||
           (skb->gso_size && s->key.ip_proto != IP_PROTO_TCP);
}

/* RUN_UP, or a TC action that ends the program with the last step. */
static __attribute__((noinline)) int trunc_output(struct __sk_buff *skb, struct scratch *s,
                                                  const struct ebpf_step *step, __u32 number)
{
    bool last = step->flags & EBPF_STEP_LAST, tunnel = step->flags & EBPF_STEP_TUNNEL;

    if (s->encap && undo_encap(skb, s)) {
        return drop(DROP_BAD_ACTION);
    }
    if (skb->len + (skb->vlan_present ? 4 : 0) > step->trunc &&
        (!last || cut(skb, s, step->trunc, tunnel && must_be_summed(skb, s, step)))) {
        return RUN_UP;
    }
    return tunnel ? tunnel_output(skb, s, step, number, last) : port_output(skb, s, step, number, last);
}

/* The list ends with STEP, the NUMBER-th, for REASON, or the clone that it is in. */
INLINE int end(struct scratch *s, const struct ebpf_step *step, __u32 number, __u32 reason)
{
    count_drop(reason);
    s->skip = number + step->skip;
    return step->skip ? RUN_ON : TC_ACT_SHOT;
}

/* One step, the NUMBER-th of the flow ID. A TC action, or RUN_ON. */
GLOBAL int run_step(struct __sk_buff *skb, struct scratch *s, const struct ebpf_step *step, __u32 number, __u64 id)
{
    bool last;
    int action;

    if (!s || !step) {
        return TC_ACT_SHOT;
    }
    last = step->flags & EBPF_STEP_LAST;
    switch (step->op) {
    case EBPF_OP_TUNNEL:
        action = tunnel_output(skb, s, step, number, last);
        break;
    case EBPF_OP_OUTPUT:
        if (s->encap && undo_encap(skb, s)) {
            return drop(DROP_BAD_ACTION);
        }
        action = port_output(skb, s, step, number, last);
        break;
    case EBPF_OP_TRUNC:
        action = trunc_output(skb, s, step, number);
        break;
    case EBPF_OP_DROP:
        return end(s, step, number, step->arg);
    case EBPF_OP_SLOW:
        return upcall(skb, s, EBPF_UPCALL_SLOW, step->arg, id);
    case EBPF_OP_METER:
        return meter_admits(skb, s, step->arg, frame_len(skb, s)) ? RUN_ON : end(s, step, number, DROP_METER);
    case EBPF_OP_SAVE:
        return save(skb, s) ? drop(DROP_BAD_ACTION) : RUN_ON;
    case EBPF_OP_RESTORE:
        return restore(skb, s) ? drop(DROP_BAD_ACTION) : RUN_ON;
    case EBPF_OP_ASIDE:
        if (copy_aside(skb, s, number)) {
            return drop(DROP_BAD_ACTION);
        }
        s->skip = number + step->arg + 1;
        return RUN_ON;
    case EBPF_OP_ASIDE_END:
        return TC_ACT_SHOT; /* the copy */
    case EBPF_OP_OPTS:
        if (step->arg > sizeof(s->opts) - EBPF_OPTS_STEP) {
            return drop(DROP_BAD_ACTION);
        }
        __builtin_memcpy(s->opts + (step->arg & ~7u), step->u.opts, EBPF_OPTS_STEP);
        return RUN_ON;
    case EBPF_OP_PRIORITY:
        skb->priority = step->arg;
        return RUN_ON;
    case EBPF_OP_POP_MPLS: /* not in edit(): it calls parse(), and both need much of the stack */
        return pop_mpls(skb, s, &step->u.mpls) ? end(s, step, number, DROP_BAD_ACTION) : RUN_ON;
    default:
        return edit(skb, s, step) ? end(s, step, number, DROP_BAD_ACTION) : RUN_ON;
    }
    if (action == RUN_UP) {
        action = upcall(skb, s, EBPF_UPCALL_OUTPUT, number, id);
    }
    return last ? action : RUN_ON;
}

struct run {
    struct __sk_buff *skb;
    struct scratch *s;
    struct ebpf_slot *slot;
    int action;
};

INLINE struct ebpf_step *step_of(struct ebpf_slot *slot, __u32 i)
{
    __u32 index = slot->more + i - EBPF_STEPS_INLINE;

    return i < EBPF_STEPS_INLINE ? &slot->steps[i] : bpf_map_lookup_elem(&steps, &index);
}

static long run_next(__u32 i, void *run_)
{
    struct run *run = run_;
    struct ebpf_step *step;

    if (i < run->s->skip) {
        return 0;
    }
    step = step_of(run->slot, i);
    if (!step) {
        return 1;
    }
    run->action = run_step(run->skb, run->s, step, i, run->slot->id);
    return run->action != RUN_ON;
}

/* What mark the packet has when its tunnel's headers are off. */
INLINE __u32 mark_of(struct __sk_buff *skb, const struct scratch *s)
{
    __u8 outer = 0;

    if (!s->base || !skb->gso_size) {
        return MARK_NONE;
    }
    bpf_skb_load_bytes(skb, ETH_HLEN + (s->outer_l3 == 0x0800 ? 9 : 6), &outer, 1);
    return mark_by(s, outer == IP_PROTO_UDP);
}

/* It cannot be taken out of its tunnel: user space hands it on as a new packet. That holds for super-packets that can
 * neither lose their mark nor keep it, and for what is too small for shrink(). */
INLINE bool is_stuck(struct __sk_buff *skb, const struct scratch *s)
{
    if (s->base && skb->len < s->base + ETH_HLEN + L3_MIN) {
        return true;
    }
    return s->gso_mark == MARK_STUCK && !can_detour(skb, s);
}

/* A flow with FLAGS (EBPF_FLOW_*) cannot do this packet: MPLS and something that is left to the device, or a frame from
 * which the kernel may take no bytes; headers farther back than what a clone can put back, or no detour for one that
 * puts nothing back; or tags that nobody has counted. */
static __attribute__((noinline)) bool must_punt(struct __sk_buff *skb, struct scratch *s, __u32 flags)
{
    return is_vlan(s->key.eth_type) || (flags & EBPF_FLOW_ASIDE && !detour_device()) ||
           (flags & EBPF_FLOW_SAVE && s->l4 > s->base + ETH_HLEN + EBPF_SAVED - L4_EDITED) ||
           (flags & EBPF_FLOW_MPLS && (s->len < MPLS_SMALLEST || skb->gso_size || is_partial(skb)));
}

/* The inner frame is all that is left, its outermost tag beside it, as a device would have handed it over. */
static __attribute__((noinline)) long unwrap(struct __sk_buff *skb, struct scratch *s)
{
    if (decap(skb, s)) {
        return -1;
    }
    if (s->tags) {
        s->outer_l3 = bpf_ntohs(s->key.eth_type);
        return tag_beside(skb, s);
    }
    return 0;
}

/* Runs the slot's steps on the packet; s->base is where its frame begins until here. */
INLINE int run(struct __sk_buff *skb, struct scratch *s, struct ebpf_slot *slot)
{
    struct run run = {.skb = skb, .s = s, .slot = slot, .action = RUN_ON};
    struct ebpf_step *first = &slot->steps[0];
    bool keep = slot->flags & EBPF_FLOW_EXACT && !s->exact_busy;

    s->gso_mark = mark_of(skb, s);
    if (first->op == EBPF_OP_PUNT ||
        (slot->flags & ~(EBPF_FLOW_ONE_OUTPUT | EBPF_FLOW_EXACT) && must_punt(skb, s, slot->flags)) ||
        is_stuck(skb, s)) {
        return upcall(skb, s, EBPF_UPCALL_PUNT, 0, slot->id);
    }
    slot_count(s, slot);
    if (first->op == EBPF_OP_SLOW) {
        return upcall(skb, s, EBPF_UPCALL_SLOW, first->arg, slot->id);
    }
    if (first->op == EBPF_OP_DROP) {
        return drop(first->arg);
    }
    if (keep && slot->flags & EBPF_FLOW_ONE_OUTPUT) {
        exact_keep_output(skb, s, slot);
    }
    if (s->base && unwrap(skb, s)) {
        return drop(DROP_TUNNEL_BAD_HEADER);
    }
    /* A single output finds out by itself whether its port minds the mark. */
    if (s->gso_mark && !(slot->flags & EBPF_FLOW_ONE_OUTPUT)) {
        int action = detour(skb, s, 0);

        if (action != RUN_ON) {
            return action == RUN_UP ? upcall(skb, s, EBPF_UPCALL_PUNT, 0, slot->id) : action;
        }
    }
    if (slot->n_steps == 1) {
        run.action = run_step(skb, s, first, 0, slot->id);
    } else {
        s->skip = 0;
        bpf_loop(slot->n_steps, run_next, &run, 0);
    }
    if (keep && run.action == TC_ACT_REDIRECT && !(slot->flags & EBPF_FLOW_ONE_OUTPUT)) {
        exact_keep_tunnel(skb, s, slot);
    }
    return run.action == RUN_ON ? TC_ACT_SHOT : run.action;
}

/* --- at the detour's device --- */

/* The step for which the copy in hand was made, by send_aside(); RUN_ON: those behind it are to be run, by
 * copy_aside().
 */
GLOBAL int run_aside(struct __sk_buff *skb, struct scratch *s)
{
    struct ebpf_slot *slot;
    struct ebpf_step *step;
    __u32 number, n;
    int action;

    if (!s) {
        return TC_ACT_SHOT;
    }
    number = s->aside - 1;
    n = s->slot;
    s->aside = 0;
    slot = bpf_map_lookup_elem(&slots, &n);
    step = slot ? step_of(slot, number) : NULL;
    if (!slot || !step) {
        return drop(DROP_BAD_ACTION);
    }
    if (step->op == EBPF_OP_ASIDE) {
        s->shape = ~0u; /* as behind the detour */
        s->skip = number + 1;
        return RUN_ON;
    }
    action = tunnel_output(skb, s, step, number, true);
    return action == RUN_UP ? upcall(skb, s, EBPF_UPCALL_OUTPUT, number, slot->id) : action;
}

/* The packet's list goes on at s->skip. (Part of the program itself: for Linux 6.1 there is not stack enough for one
 * more function in front of a step.) */
INLINE int run_rest(struct __sk_buff *skb, struct scratch *s)
{
    struct run run = {.skb = skb, .s = s, .action = RUN_ON};
    __u32 n = s->slot;

    run.slot = bpf_map_lookup_elem(&slots, &n);
    if (!run.slot) {
        return drop(DROP_BAD_ACTION);
    }
    bpf_loop(run.slot->n_steps, run_next, &run, 0);
    return run.action == RUN_ON ? TC_ACT_SHOT : run.action;
}

#endif
