/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_FLOW_H
#define WARREN_OPENFLOW_FLOW_H
/*
 * What OpenFlow tables see of a packet: the datapath's flow key plus the pipeline's own state (OpenFlow port,
 * registers, metadata). The same struct is the mask of a match. Compared and masked as an array of u64.
 */
#include "base/util.h"
#include "packet/flow_key.h"

#define FLOW_N_REGS 16

struct flow {
    struct flow_key key; /* key.in_port is the datapath's port; matches never look at it, translate does */
    ofp_port_t in_port;  /* OpenFlow port of the bridge that the packet is in */
    uint32_t conj_id;
    __be64 metadata;
    uint32_t regs[FLOW_N_REGS]; /* host byte order */
};

#define FLOW_U64S (sizeof(struct flow) / 8)
_Static_assert(sizeof(struct flow) == 248, "flow layout: no hidden padding");

struct match {
    struct flow value; /* zero wherever the mask is zero */
    struct flow mask;
};

#endif
