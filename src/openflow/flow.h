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

/* Geneve options that are mapped to fields: the datapath's key only has an id for the whole block of options. */
#define FLOW_TUN_METADATA_LEN 128
struct flow_tun_metadata {
    uint64_t present;                    /* bit N: tun_metadataN is there */
    uint8_t opts[FLOW_TUN_METADATA_LEN]; /* where in it, field.c says */
};

struct flow {
    struct flow_key key; /* key.in_port is the datapath's port; matches never look at it, translate does */
    ofp_port_t in_port;  /* OpenFlow port of the bridge that the packet is in */
    uint32_t conj_id;
    __be64 metadata;
    uint32_t regs[FLOW_N_REGS]; /* host byte order */
    ofp_port_t actset_output;   /* where the action set outputs, OFPP_UNSET: nowhere */
    uint32_t pad;
    struct flow_tun_metadata tun_metadata;
};

#define FLOW_U64S (sizeof(struct flow) / 8)
_Static_assert(sizeof(struct flow) == 392, "flow layout: no hidden padding");

struct match {
    struct flow value; /* zero wherever the mask is zero */
    struct flow mask;
};

#endif
