/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_ACTION_CODEC_H
#define WARREN_OPENFLOW_ACTION_CODEC_H
/*
 * Shared by the files of the action codec only: action_codec.c (lists and instructions), action_std.c (the actions of
 * OpenFlow 1.3 to 1.5), action_of10.c (those of 1.0), action_nx.c (Nicira's and ONF's experimenter actions),
 * action_controller.c, action_pick.c (multipath, bundle) and action_learn.c (three of Nicira's that are a job of their
 * own), action_check.c.
 *
 * Each action is written in the standard's form of the version, if that has one, else in Nicira's, which all versions
 * take. What a version cannot say at all (instructions in 1.0, push_vlan in 1.0, a second meter before 1.5) is left
 * out: dumps by an older version tell what it knows.
 */
#include "openflow/action.h"

#define NX_EXPERIMENTER 0x00002320u
#define ONF_EXPERIMENTER 0x4f4e4600u
#define MAX_NESTING 16      /* of clone() in itself; bounds recursion on input from outside */
#define OUTPUT_TRUNC_MIN 14 /* an Ethernet header */

enum nx_subtype {
    NXAST_RESUBMIT = 1,
    NXAST_SET_TUNNEL = 2,
    NXAST_SET_QUEUE = 4,
    NXAST_POP_QUEUE = 5,
    NXAST_REG_MOVE = 6,
    NXAST_REG_LOAD = 7,
    NXAST_NOTE = 8,
    NXAST_SET_TUNNEL64 = 9,
    NXAST_MULTIPATH = 10,
    NXAST_BUNDLE = 12,
    NXAST_BUNDLE_LOAD = 13,
    NXAST_RESUBMIT_TABLE = 14,
    NXAST_OUTPUT_REG = 15,
    NXAST_LEARN = 16,
    NXAST_EXIT = 17,
    NXAST_DEC_TTL = 18,
    NXAST_FIN_TIMEOUT = 19,
    NXAST_CONTROLLER = 20,
    NXAST_DEC_TTL_CNT_IDS = 21,
    NXAST_WRITE_METADATA = 22, /* OpenFlow 1.0 only: later ones have an instruction */
    NXAST_PUSH_MPLS = 23,
    NXAST_POP_MPLS = 24,
    NXAST_SET_MPLS_TTL = 25,
    NXAST_DEC_MPLS_TTL = 26,
    NXAST_STACK_PUSH = 27,
    NXAST_STACK_POP = 28,
    NXAST_SET_MPLS_LABEL = 30,
    NXAST_SET_MPLS_TC = 31,
    NXAST_OUTPUT_REG2 = 32,
    NXAST_REG_LOAD2 = 33,
    NXAST_CONJUNCTION = 34,
    NXAST_CONTROLLER2 = 37,
    NXAST_OUTPUT_TRUNC = 39,
    NXAST_GROUP = 40,
    NXAST_CLONE = 42,
    NXAST_LEARN2 = 45,
    NXAST_CHECK_PKT_LARGER = 49,
    NXAST_DELETE_FIELD = 50,
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

/* Decoders: R is the body behind type and length (and an experimenter's number and subtype), VERSION the wire's. */

/* A list of actions to the end of R. */
int actions_decode(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts);
int std_action_decode(struct reader *r, uint16_t type, uint8_t version, struct ofpacts *acts);
int of10_action_decode(struct reader *r, uint16_t type, struct ofpacts *acts);
int nx_action_decode(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts);
int onf_action_decode(struct reader *r, uint8_t version, struct ofpacts *acts);
int controller_decode(struct reader *r, struct ofpacts *acts);
int controller2_decode(struct reader *r, struct ofpacts *acts);
int multipath_decode(struct reader *r, struct ofpacts *acts);
int bundle_decode(struct reader *r, bool load, struct ofpacts *acts);
/* SECOND: NXAST_LEARN2. */
int learn_decode(struct reader *r, bool second, struct ofpacts *acts);
/* set_field's TLV, then nothing but its padding. */
int set_field_decode(struct reader *r, bool mask_allowed, struct ofpacts *acts);
/* n_bits, src_ofs, dst_ofs, two bytes if PADDED, and two headers. */
int move_decode(struct reader *r, bool padded, bool onf, struct ofpacts *acts);
/* -OFERR_ACTION_BAD_LEN's like unless R is at its end but for less than 8 bytes. */
int action_end_check(const struct reader *r);

/* Encoders. True: A was written. *TAGGED: whether the packet surely has a VLAN tag here. */
bool std_action_encode(const struct ofpact *a, uint8_t version, bool *tagged, struct writer *w);
bool of10_action_encode(const struct ofpact *a, struct writer *w);
/* Writes A as an experimenter's action. */
void nx_action_encode(const struct ofpact *a, uint8_t version, struct writer *w);
void controller_encode(struct writer *w, const struct ofpact_controller *c);
void multipath_encode(struct writer *w, const struct ofpact_multipath *m);
void bundle_encode(struct writer *w, const struct ofpact_bundle *b);
void learn_encode(struct writer *w, const struct ofpact_learn *learn);

/* A field's header, of 8 bytes when an experimenter's; NULL: unknown. */
const struct field *field_header_read(struct reader *r);
/* VERSION 1 gives the NXM header where there is one, as Nicira's actions have it in every version. */
void field_header_write(struct writer *w, const struct field *f, uint8_t version);
/* Does it take 8 bytes? */
bool field_header_is_long(const struct field *f, uint8_t version);
/* VALUE under MASK as a TLV, without the mask when that is all ones. */
void field_tlv_write(struct writer *w, const struct field *f, uint8_t version, const union field_value *value,
                     const union field_value *mask);
/* offset and length of a subfield in the 16 bits of many of Nicira's actions. */
struct subfield subfield_of_nbits(const struct field *f, uint16_t ofs_nbits);
uint16_t subfield_to_nbits(const struct subfield *sf);
/* Is SF within its field, for reading or (WRITE) for writing? 0 or OFERR(). The latter looks at FLOW for prerequisites,
 * if given. */
int subfield_check(const struct subfield *sf, bool write, const struct flow *flow);

void put_plain(struct ofpacts *acts, enum ofpact_type type);
void put_u16(struct ofpacts *acts, enum ofpact_type type, uint16_t v);
void put_u32(struct ofpacts *acts, enum ofpact_type type, uint32_t v);
void put_output(struct ofpacts *acts, ofp_port_t port, uint16_t max_len);
/* The field whole; the pointer is good until the next put. */
struct ofpact_set_field *set_field_put(struct ofpacts *acts, const struct field *f, const union field_value *value);

/* Can one output there? And with a length limit? As a bundle's member? */
bool output_port_ok(ofp_port_t port);
bool output_trunc_port_ok(ofp_port_t port);
bool bundle_member_ok(ofp_port_t port);
/* The values that multipath and bundle may have. */
bool multipath_ok(const struct ofpact_multipath *m);
/* Conjunctions stand alone, but for others and notes (ovs-actions(7)). */
bool conjunctions_alone(const void *acts, size_t len);
/* The prerequisites of the learned flow, and of what is read from FLOW. */
int learn_check(const struct ofpact_learn *learn, const struct flow *flow);

size_t action_begin(struct writer *w, uint16_t type);
size_t nx_begin(struct writer *w, enum nx_subtype subtype);
void action_end(struct writer *w, size_t start);

#endif
