/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of OpenFlow 1.0's actions (1.0, 5.2.4). They know no field but the few of that time: other settings
 * travel as Nicira's reg_load. Setting a VLAN makes the tag, so there is no push_vlan, and ports are set without a word
 * about the protocol.
 */
#include <netinet/in.h>

#include "openflow/action_codec.h"
#include "openflow/error.h"

enum of10_action {
    OFPAT10_OUTPUT,
    OFPAT10_SET_VLAN_VID,
    OFPAT10_SET_VLAN_PCP,
    OFPAT10_STRIP_VLAN,
    OFPAT10_SET_DL_SRC,
    OFPAT10_SET_DL_DST,
    OFPAT10_SET_NW_SRC,
    OFPAT10_SET_NW_DST,
    OFPAT10_SET_NW_TOS,
    OFPAT10_SET_TP_SRC,
    OFPAT10_SET_TP_DST,
    OFPAT10_ENQUEUE,
};

static void put_legacy(struct ofpacts *acts, enum field_id id, const union field_value *v)
{
    set_field_put(acts, field_get(id), v)->legacy = true;
}

static int decode_output(struct reader *r, struct ofpacts *acts)
{
    ofp_port_t port = ofp_port_from_16(reader_u16(r));
    uint16_t max_len = reader_u16(r);

    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (!output_port_ok(port)) {
        return OFERR_ACTION_BAD_OUT_PORT;
    }
    put_output(acts, port, max_len);
    return 0;
}

static int decode_enqueue(struct reader *r, struct ofpacts *acts)
{
    ofp_port_t port = ofp_port_from_16(reader_u16(r));
    struct ofpact_enqueue *e;
    uint32_t queue;

    reader_skip(r, 6);
    queue = reader_u32(r);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (ofp_port_u32(port) >= 0xff00 && port != OFPP_IN_PORT && port != OFPP_LOCAL) {
        return OFERR_ACTION_BAD_OUT_PORT;
    }
    e = ofpact_put(acts, OFPACT_ENQUEUE, sizeof *e);
    e->port = port;
    e->queue = queue;
    return 0;
}

/* A 16-bit number and two bytes of padding. */
static int decode_vid(struct reader *r, struct ofpacts *acts)
{
    uint16_t vid = reader_u16(r);

    reader_skip(r, 2);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (vid > 0xfff) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    put_u16(acts, OFPACT_SET_VLAN_VID, vid);
    return 0;
}

static int decode_u8(struct reader *r, enum of10_action type, struct ofpacts *acts)
{
    uint8_t v = reader_u8(r);
    union field_value dscp = {.b = {v >> 2}};

    reader_skip(r, 3);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (type == OFPAT10_SET_VLAN_PCP ? v > 7 : v & 3) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    if (type == OFPAT10_SET_VLAN_PCP) {
        put_u16(acts, OFPACT_SET_VLAN_PCP, v);
    } else {
        put_legacy(acts, FIELD_IP_DSCP, &dscp);
    }
    return 0;
}

static int decode_bytes(struct reader *r, enum field_id id, size_t pad, struct ofpacts *acts)
{
    union field_value v = {0};

    reader_copy(r, v.b, field_get(id)->n_bytes);
    reader_skip(r, pad);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    put_legacy(acts, id, &v);
    return 0;
}

static int decode_tp(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
{
    uint16_t port = reader_u16(r);

    reader_skip(r, 2);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    put_u16(acts, type, port);
    return 0;
}

static int decode_one(struct reader *r, enum of10_action type, struct ofpacts *acts)
{
    switch (type) {
    case OFPAT10_OUTPUT:
        return decode_output(r, acts);
    case OFPAT10_SET_VLAN_VID:
        return decode_vid(r, acts);
    case OFPAT10_SET_VLAN_PCP:
    case OFPAT10_SET_NW_TOS:
        return decode_u8(r, type, acts);
    case OFPAT10_STRIP_VLAN:
        reader_skip(r, 4);
        put_plain(acts, OFPACT_STRIP_VLAN);
        return r->error ? OFERR_ACTION_BAD_LEN : 0;
    case OFPAT10_SET_DL_SRC:
        return decode_bytes(r, FIELD_ETH_SRC, 6, acts);
    case OFPAT10_SET_DL_DST:
        return decode_bytes(r, FIELD_ETH_DST, 6, acts);
    case OFPAT10_SET_NW_SRC:
        return decode_bytes(r, FIELD_IPV4_SRC, 0, acts);
    case OFPAT10_SET_NW_DST:
        return decode_bytes(r, FIELD_IPV4_DST, 0, acts);
    case OFPAT10_SET_TP_SRC:
        return decode_tp(r, OFPACT_SET_L4_SRC, acts);
    case OFPAT10_SET_TP_DST:
        return decode_tp(r, OFPACT_SET_L4_DST, acts);
    case OFPAT10_ENQUEUE:
        return decode_enqueue(r, acts);
    default:
        return OFERR_ACTION_BAD_TYPE;
    }
}

int of10_action_decode(struct reader *r, uint16_t type, struct ofpacts *acts)
{
    int error = decode_one(r, (enum of10_action)type, acts);

    return !error && r->left ? OFERR_ACTION_BAD_LEN : error;
}

/* ---- encoding ---- */

static void encode_u16(struct writer *w, enum of10_action type, uint16_t v)
{
    size_t start = action_begin(w, (uint16_t)type);

    writer_u16(w, v);
    action_end(w, start);
}

static void encode_u8(struct writer *w, enum of10_action type, unsigned int v)
{
    encode_u16(w, type, (uint16_t)(v << 8));
}

static void encode_bytes(struct writer *w, enum of10_action type, const union field_value *v, size_t n)
{
    size_t start = action_begin(w, (uint16_t)type);

    writer_bytes(w, v->b, n);
    action_end(w, start);
}

static void encode_output(struct writer *w, const struct ofpact_output *out)
{
    size_t start = action_begin(w, OFPAT10_OUTPUT);

    writer_u16(w, ofp_port_to_16(out->port));
    writer_u16(w, out->max_len);
    action_end(w, start);
}

static void encode_enqueue(struct writer *w, const struct ofpact_enqueue *e)
{
    size_t start = action_begin(w, OFPAT10_ENQUEUE);

    writer_u16(w, ofp_port_to_16(e->port));
    writer_zeros(w, 6);
    writer_u32(w, e->queue);
    action_end(w, start);
}

/* All of vlan_tci: with the present bit, number and priority of a tag that is made if need be; without it, none. */
static void encode_tci(struct writer *w, const union field_value *v)
{
    uint16_t tci = (uint16_t)(v->b[0] << 8 | v->b[1]);

    if (tci & FLOW_VLAN_PRESENT) {
        encode_u16(w, OFPAT10_SET_VLAN_VID, tci & 0xfff);
        encode_u8(w, OFPAT10_SET_VLAN_PCP, tci >> 13);
    } else {
        encode_u16(w, OFPAT10_STRIP_VLAN, 0);
    }
}

/* False: OpenFlow 1.0 has no action for that. */
static bool encode_set_field(struct writer *w, const struct ofpact_set_field *sf)
{
    union field_value ones = field_ones(sf->field);
    const union field_value *v = &sf->value;
    uint16_t u16 = (uint16_t)(v->b[0] << 8 | v->b[1]);

    if (memcmp(&sf->mask, &ones, sizeof ones)) {
        return false;
    }
    switch (sf->field->id) {
    case FIELD_VLAN_TCI:
        encode_tci(w, v);
        return true;
    case FIELD_VLAN_VID:
    case FIELD_DL_VLAN:
        encode_u16(w, OFPAT10_SET_VLAN_VID, u16 & 0xfff);
        return true;
    case FIELD_VLAN_PCP:
    case FIELD_DL_VLAN_PCP:
        encode_u8(w, OFPAT10_SET_VLAN_PCP, v->b[0]);
        return true;
    case FIELD_ETH_SRC:
        encode_bytes(w, OFPAT10_SET_DL_SRC, v, 6);
        return true;
    case FIELD_ETH_DST:
        encode_bytes(w, OFPAT10_SET_DL_DST, v, 6);
        return true;
    case FIELD_IPV4_SRC:
        encode_bytes(w, OFPAT10_SET_NW_SRC, v, 4);
        return true;
    case FIELD_IPV4_DST:
        encode_bytes(w, OFPAT10_SET_NW_DST, v, 4);
        return true;
    case FIELD_IP_TOS:
        encode_u8(w, OFPAT10_SET_NW_TOS, v->b[0]);
        return true;
    case FIELD_IP_DSCP:
        encode_u8(w, OFPAT10_SET_NW_TOS, (unsigned int)v->b[0] << 2);
        return true;
    case FIELD_TCP_SRC:
    case FIELD_UDP_SRC:
        encode_u16(w, OFPAT10_SET_TP_SRC, u16);
        return true;
    case FIELD_TCP_DST:
    case FIELD_UDP_DST:
        encode_u16(w, OFPAT10_SET_TP_DST, u16);
        return true;
    default:
        return false;
    }
}

bool of10_action_encode(const struct ofpact *a, struct writer *w)
{
    const void *p = a;
    uint16_t u16 = ((const struct ofpact_u16 *)p)->v;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_OUTPUT:
        encode_output(w, p);
        return true;
    case OFPACT_ENQUEUE:
        encode_enqueue(w, p);
        return true;
    case OFPACT_SET_VLAN_VID:
        encode_u16(w, OFPAT10_SET_VLAN_VID, u16);
        return true;
    case OFPACT_SET_VLAN_PCP:
        encode_u8(w, OFPAT10_SET_VLAN_PCP, u16);
        return true;
    case OFPACT_POP_VLAN:
    case OFPACT_STRIP_VLAN:
        encode_u16(w, OFPAT10_STRIP_VLAN, 0);
        return true;
    case OFPACT_SET_L4_SRC:
        encode_u16(w, OFPAT10_SET_TP_SRC, u16);
        return true;
    case OFPACT_SET_L4_DST:
        encode_u16(w, OFPAT10_SET_TP_DST, u16);
        return true;
    case OFPACT_SET_FIELD:
        return encode_set_field(w, p);
    case OFPACT_PUSH_VLAN:
    case OFPACT_METER:
    case OFPACT_CLEAR_ACTIONS:
    case OFPACT_WRITE_ACTIONS:
        return true; /* it has nothing like that, not even from Nicira */
    default:
        return false;
    }
}
