/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_ACTION_CODEC_H
#define WARREN_OPENFLOW_ACTION_CODEC_H
/*
 * Shared by the files of the action codec only: action_codec.c (instructions and the standard's actions, one function
 * pair a version), action_nx.c (the Nicira and ONF experimenter actions, the same in every version), action_learn.c
 * (learn). Another wire version adds its standard actions beside those of 1.3 and takes the rest as it is.
 */
#include "openflow/action.h"

#define NX_EXPERIMENTER 0x00002320u
#define ONF_EXPERIMENTER 0x4f4e4600u
#define MAX_NESTING 16 /* of clone() in itself; bounds recursion on input from outside */

enum nx_subtype {
    NXAST_RESUBMIT = 1,
    NXAST_SET_TUNNEL = 2,
    NXAST_SET_QUEUE = 4,
    NXAST_POP_QUEUE = 5,
    NXAST_REG_MOVE = 6,
    NXAST_REG_LOAD = 7,
    NXAST_NOTE = 8,
    NXAST_SET_TUNNEL64 = 9,
    NXAST_RESUBMIT_TABLE = 14,
    NXAST_OUTPUT_REG = 15,
    NXAST_LEARN = 16,
    NXAST_EXIT = 17,
    NXAST_DEC_TTL = 18,
    NXAST_FIN_TIMEOUT = 19,
    NXAST_CONTROLLER = 20,
    NXAST_OUTPUT_REG2 = 32,
    NXAST_REG_LOAD2 = 33,
    NXAST_CONTROLLER2 = 37,
    NXAST_CLONE = 42,
};

/* 16-bit port numbers of OpenFlow 1.0 and the Nicira actions. */
static inline ofp_port_t ofp_port_from_16(uint16_t p)
{
    return ofp_port(p >= 0xff00 ? 0xffff0000u | p : p);
}
static inline uint16_t ofp_port_to_16(ofp_port_t p)
{
    uint32_t n = ofp_port_u32(p);

    return (uint16_t)(n >= 0xffffff00u || n < 0xff00 ? n : 0xffff);
}

/* A list of actions to the end of R. */
int actions_decode(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts);
/* R: the body behind the experimenter's number, BODY_LEN of the action checked. */
int nx_action_decode(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts);
int onf_action_decode(struct reader *r, struct ofpacts *acts);
/* Writes A as an experimenter's action. */
void nx_action_encode(const struct ofpact *a, uint8_t version, struct writer *w);
int learn_decode(struct reader *r, struct ofpacts *acts);
void learn_encode(const struct ofpact_learn *learn, uint8_t version, struct writer *w);
/* The prerequisites of the learned flow, and of what is read from FLOW. */
int learn_check(const struct ofpact_learn *learn, const struct flow *flow);

/* A field's header, of 8 bytes when an experimenter's; NULL: unknown. */
const struct field *field_header_read(struct reader *r);
/* Is SF within its field, for reading or (WRITE) for writing? 0 or OFERR(). The latter looks at FLOW for prerequisites,
 * if given. */
int subfield_check(const struct subfield *sf, bool write, const struct flow *flow);
/* set_field's OXM TLV. */
int set_field_decode(struct reader *r, bool mask_allowed, struct ofpacts *acts);
void set_field_put(struct ofpacts *acts, const struct field *f, const union field_value *value);
/* Can one output there? */
bool output_port_ok(ofp_port_t port);
size_t nx_begin(struct writer *w, enum nx_subtype subtype);
void action_end(struct writer *w, size_t start);

#endif
