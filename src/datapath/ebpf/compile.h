/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_COMPILE_H
#define WARREN_DATAPATH_EBPF_COMPILE_H
/*
 * Datapath actions to steps for the fast path. A list that the fast path cannot do wholly becomes one PUNT step: user
 * space runs such packets, and nothing is half done. Outputs that follow each other are put in order, local ones first
 * and tunnels by their form, because that way a frame is encapsulated only once. No I/O.
 */
#include "datapath/datapath.h"
#include "datapath/ebpf/shared.h"

struct ebpf_compile_ops {
    /* Fills kind, udp_dst, ipv6, nexthop and, where it is zero, src of a tunnel out by PORT. False: PORT is no tunnel;
     * negative errors do not happen: a source that is not known yet is left zero, and the list is punted. */
    bool (*tunnel)(void *aux, uint32_t port, const struct flow_tunnel *tunnel, struct ebpf_tunnel *ret_tunnel);
    /* Whether PORT is user space's, so that lists with it are punted. NULL: none is. */
    bool (*userspace)(void *aux, uint32_t port);
    void *aux;
};

struct ebpf_program {
    struct ebpf_step *steps;
    size_t n;
    uint32_t flags; /* EBPF_FLOW_* */
};

static inline bool ebpf_step_is_output(const struct ebpf_step *step)
{
    return step->op == EBPF_OP_OUTPUT || step->op == EBPF_OP_TUNNEL || step->op == EBPF_OP_TRUNC;
}

/* STEP is an output by a tunnel. */
static inline bool ebpf_step_is_tunnel(const struct ebpf_step *step)
{
    return step->op == EBPF_OP_TUNNEL || (step->op == EBPF_OP_TRUNC && step->flags & EBPF_STEP_TUNNEL);
}

/* Never fails. KEY and MASK are the flow's: they tell the protocol. PROGRAM->steps is the caller's to free(). */
void ebpf_compile(const struct ebpf_compile_ops *ops, const struct flow_key *key, const struct flow_key *mask,
                  const struct dp_action *actions, size_t len, struct ebpf_program *ret_program);

#endif
