/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nicira's and ONF's experimenter actions: the same bytes in every OpenFlow version. Inside them ports have 16 bits.
 */
#include "openflow/action_codec.h"

#include <endian.h>
#include <netinet/in.h>

#include "openflow/error.h"

enum controller2_prop { NXAC2PT_MAX_LEN, NXAC2PT_CONTROLLER_ID, NXAC2PT_REASON, NXAC2PT_USERDATA };

#define OFPR_ACTION 1

static int done(const struct reader *r)
{
    return r->error || r->left >= 8 ? OFERR_ACTION_BAD_LEN : 0;
}

static int decode_resubmit(struct reader *r, bool has_table, struct ofpacts *acts)
{
    uint16_t port = reader_u16(r);
    table_id_t table = has_table ? reader_u8(r) : TABLE_ID_ALL;
    struct ofpact_resubmit *a;

    reader_skip(r, has_table ? 3 : 4);
    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    a = ofpact_put(acts, OFPACT_RESUBMIT, sizeof *a);
    a->in_port = ofp_port_from_16(port);
    a->table = table;
    return 0;
}

static int decode_set_tunnel(struct reader *r, bool wide, struct ofpacts *acts)
{
    struct ofpact_u64 *a;
    uint64_t id;

    reader_skip(r, wide ? 6 : 2);
    id = wide ? reader_u64(r) : reader_u32(r);
    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    a = ofpact_put(acts, OFPACT_SET_TUNNEL, sizeof *a);
    a->wide = wide;
    a->v = id;
    return 0;
}

static int decode_plain(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
{
    reader_skip(r, 6);
    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    ofpact_put(acts, type, sizeof(struct ofpact));
    return 0;
}

static int put_move(struct ofpacts *acts, uint16_t n_bits, uint16_t src_ofs, uint16_t dst_ofs, struct reader *r)
{
    const struct field *src = field_header_read(r), *dst = field_header_read(r);
    struct subfield s = {src, src_ofs, n_bits}, d = {dst, dst_ofs, n_bits};
    struct ofpact_move *m;
    int error;

    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    error = subfield_check(&s, false, NULL);
    error = error ? error : subfield_check(&d, true, NULL);
    if (error) {
        return error;
    }
    m = ofpact_put(acts, OFPACT_MOVE, sizeof *m);
    m->src = s;
    m->dst = d;
    return 0;
}

static int decode_move(struct reader *r, struct ofpacts *acts)
{
    uint16_t n_bits = reader_u16(r), src_ofs = reader_u16(r), dst_ofs = reader_u16(r);

    return put_move(acts, n_bits, src_ofs, dst_ofs, r);
}

static int decode_load(struct reader *r, struct ofpacts *acts)
{
    uint16_t ofs_nbits = reader_u16(r);
    struct subfield dst = {
        .field = field_header_read(r), .ofs = ofs_nbits >> 6, .n_bits = (uint16_t)((ofs_nbits & 63) + 1)};
    uint64_t value = reader_u64(r);
    struct ofpact_load *load;
    int error;

    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    error = subfield_check(&dst, true, NULL);
    if (error) {
        return error;
    }
    if (dst.n_bits < 64 && value >> dst.n_bits) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    load = ofpact_put(acts, OFPACT_LOAD, sizeof *load);
    load->dst = dst;
    load->value = value;
    return 0;
}

static int decode_output_reg(struct reader *r, bool second, struct ofpacts *acts)
{
    uint16_t ofs_nbits = reader_u16(r), max_len = second ? reader_u16(r) : 0;
    struct subfield src = {
        .field = field_header_read(r), .ofs = ofs_nbits >> 6, .n_bits = (uint16_t)((ofs_nbits & 63) + 1)};
    struct ofpact_output_reg *out;
    int error;

    if (!second) {
        max_len = reader_u16(r);
        reader_skip(r, 6);
    } else {
        reader_skip(r, r->left); /* padded to a fixed size */
    }
    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    error = subfield_check(&src, false, NULL);
    if (error) {
        return error;
    }
    out = ofpact_put(acts, OFPACT_OUTPUT_REG, sizeof *out);
    out->max_len = max_len;
    out->src = src;
    return 0;
}

static int decode_note(struct reader *r, struct ofpacts *acts)
{
    size_t n = r->left;
    struct ofpact_note *note;

    if (sizeof *note + n > UINT16_MAX - 7) {
        return OFERR_ACTION_BAD_LEN;
    }
    note = ofpact_put(acts, OFPACT_NOTE, sizeof *note + n);
    note->n = (uint16_t)n;
    reader_copy(r, note->data, n);
    return 0;
}

static int decode_fin_timeout(struct reader *r, struct ofpacts *acts)
{
    uint16_t idle = reader_u16(r), hard = reader_u16(r);
    struct ofpact_fin_timeout *fin;

    reader_skip(r, 2);
    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    fin = ofpact_put(acts, OFPACT_FIN_TIMEOUT, sizeof *fin);
    fin->idle = idle;
    fin->hard = hard;
    return 0;
}

static int decode_controller(struct reader *r, struct ofpacts *acts)
{
    uint16_t max_len = reader_u16(r), id = reader_u16(r);
    uint8_t reason = reader_u8(r);
    struct ofpact_controller *c;

    reader_skip(r, 1);
    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    c = ofpact_put(acts, OFPACT_CONTROLLER, sizeof *c);
    c->max_len = max_len;
    c->controller_id = id;
    c->reason = reason;
    return 0;
}

static int decode_controller2(struct reader *r, struct ofpacts *acts)
{
    struct ofpact_controller c = {.max_len = UINT16_MAX, .reason = OFPR_ACTION}, *put;
    const void *userdata = NULL;

    reader_skip(r, 6);
    while (r->left) {
        uint16_t type = reader_u16(r), len = reader_u16(r);
        struct reader body;

        if (r->error || len < 4) {
            return OFERR_ACTION_BAD_LEN;
        }
        body = reader_sub(r, ROUND_UP(len, 8) - 4u);
        body.left = MIN(body.left, len - 4u);
        switch ((enum controller2_prop)type) {
        case NXAC2PT_MAX_LEN:
            c.max_len = reader_u16(&body);
            break;
        case NXAC2PT_CONTROLLER_ID:
            c.controller_id = reader_u16(&body);
            break;
        case NXAC2PT_REASON:
            c.reason = reader_u8(&body);
            break;
        case NXAC2PT_USERDATA:
            c.userdata_len = (uint16_t)body.left;
            userdata = reader_take(&body, body.left);
            break;
        default:
            return OFERR_ACTION_BAD_ARGUMENT;
        }
        if (body.error) {
            return OFERR_ACTION_BAD_LEN;
        }
    }
    if (r->error || sizeof c + c.userdata_len > UINT16_MAX - 7) {
        return OFERR_ACTION_BAD_LEN;
    }
    put = ofpact_put(acts, OFPACT_CONTROLLER, sizeof c + c.userdata_len);
    put->max_len = c.max_len;
    put->controller_id = c.controller_id;
    put->reason = c.reason;
    put->userdata_len = c.userdata_len;
    if (c.userdata_len) {
        memcpy(put->userdata, userdata, c.userdata_len);
    }
    return 0;
}

static int decode_set_queue(struct reader *r, struct ofpacts *acts)
{
    uint32_t queue;

    reader_skip(r, 2);
    queue = reader_u32(r);
    if (done(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    ((struct ofpact_u32 *)ofpact_put(acts, OFPACT_SET_QUEUE, sizeof(struct ofpact_u32)))->v = queue;
    return 0;
}

static int decode_clone(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts)
{
    size_t nest;
    int error;

    if (depth >= MAX_NESTING) {
        return OFERR_ACTION_TOO_MANY;
    }
    reader_skip(r, 6);
    nest = ofpact_nest_open(acts, OFPACT_CLONE);
    error = actions_decode(r, version, depth + 1, acts);
    return error ? error : ofpact_nest_close(acts, nest) ? 0 : OFERR_ACTION_TOO_MANY;
}

int nx_action_decode(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts)
{
    uint16_t subtype = reader_u16(r);
    int error;

    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    switch ((enum nx_subtype)subtype) {
    case NXAST_RESUBMIT:
        return decode_resubmit(r, false, acts);
    case NXAST_RESUBMIT_TABLE:
        return decode_resubmit(r, true, acts);
    case NXAST_SET_TUNNEL:
        return decode_set_tunnel(r, false, acts);
    case NXAST_SET_TUNNEL64:
        return decode_set_tunnel(r, true, acts);
    case NXAST_SET_QUEUE:
        return decode_set_queue(r, acts);
    case NXAST_POP_QUEUE:
        return decode_plain(r, OFPACT_POP_QUEUE, acts);
    case NXAST_EXIT:
        return decode_plain(r, OFPACT_EXIT, acts);
    case NXAST_DEC_TTL:
        return decode_plain(r, OFPACT_DEC_TTL, acts);
    case NXAST_REG_MOVE:
        return decode_move(r, acts);
    case NXAST_REG_LOAD:
        return decode_load(r, acts);
    case NXAST_REG_LOAD2:
        error = set_field_decode(r, true, acts);
        return error ? error : done(r);
    case NXAST_NOTE:
        return decode_note(r, acts);
    case NXAST_OUTPUT_REG:
        return decode_output_reg(r, false, acts);
    case NXAST_OUTPUT_REG2:
        return decode_output_reg(r, true, acts);
    case NXAST_LEARN:
        return learn_decode(r, acts);
    case NXAST_FIN_TIMEOUT:
        return decode_fin_timeout(r, acts);
    case NXAST_CONTROLLER:
        return decode_controller(r, acts);
    case NXAST_CONTROLLER2:
        return decode_controller2(r, acts);
    case NXAST_CLONE:
        return decode_clone(r, version, depth, acts);
    default:
        return OFERR_ACTION_BAD_EXP_TYPE;
    }
}

int onf_action_decode(struct reader *r, struct ofpacts *acts)
{
    uint16_t type = reader_u16(r), n_bits, src_ofs, dst_ofs;

    reader_skip(r, 2);
    n_bits = reader_u16(r);
    src_ofs = reader_u16(r);
    dst_ofs = reader_u16(r);
    reader_skip(r, 2);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    return type == 3200 ? put_move(acts, n_bits, src_ofs, dst_ofs, r) : OFERR_ACTION_BAD_EXP_TYPE; /* copy_field */
}

size_t nx_begin(struct writer *w, enum nx_subtype subtype)
{
    size_t start = w->len;

    writer_u16(w, 0xffff);
    writer_u16(w, 0);
    writer_u32(w, NX_EXPERIMENTER);
    writer_u16(w, (uint16_t)subtype);
    return start;
}

static void encode_load(struct writer *w, const struct subfield *dst, uint64_t value, uint8_t version)
{
    size_t start = nx_begin(w, NXAST_REG_LOAD);

    writer_u16(w, (uint16_t)(dst->ofs << 6 | (dst->n_bits - 1)));
    writer_u32(w, field_header(dst->field, version));
    writer_u64(w, value);
    action_end(w, start);
}

static bool value_bit(const struct field *f, const union field_value *v, size_t i)
{
    return v->b[f->n_bytes - 1u - i / 8] >> (i % 8) & 1;
}

/* A masked set_field: one reg_load for each run of ones in the mask, lowest first. */
static void encode_masked_set_field(struct writer *w, const struct ofpact_set_field *sf, uint8_t version)
{
    const struct field *f = sf->field;
    size_t n = f->n_bytes * 8u;

    for (size_t i = 0; i < n;) {
        struct subfield dst = {.field = f, .ofs = (uint16_t)i};
        uint64_t value = 0;

        if (!value_bit(f, &sf->mask, i)) {
            i++;
            continue;
        }
        for (; i < n && dst.n_bits < 64 && value_bit(f, &sf->mask, i); i++, dst.n_bits++) {
            value |= (uint64_t)value_bit(f, &sf->value, i) << dst.n_bits;
        }
        encode_load(w, &dst, value, version);
    }
}

static void encode_controller(struct writer *w, const struct ofpact_controller *c)
{
    size_t start, prop;

    if (!c->userdata_len) {
        start = nx_begin(w, NXAST_CONTROLLER);
        writer_u16(w, c->max_len);
        writer_u16(w, c->controller_id);
        writer_u8(w, c->reason);
        action_end(w, start);
        return;
    }
    start = nx_begin(w, NXAST_CONTROLLER2);
    writer_zeros(w, 6);
    if (c->max_len != UINT16_MAX) {
        writer_u16(w, NXAC2PT_MAX_LEN);
        writer_u16(w, 6);
        writer_u16(w, c->max_len);
        writer_zeros(w, 2);
    }
    if (c->controller_id) {
        writer_u16(w, NXAC2PT_CONTROLLER_ID);
        writer_u16(w, 6);
        writer_u16(w, c->controller_id);
        writer_zeros(w, 2);
    }
    if (c->reason != OFPR_ACTION) {
        writer_u16(w, NXAC2PT_REASON);
        writer_u16(w, 5);
        writer_u8(w, c->reason);
        writer_zeros(w, 3);
    }
    prop = w->len;
    writer_u16(w, NXAC2PT_USERDATA);
    writer_u16(w, (uint16_t)(4 + c->userdata_len));
    writer_bytes(w, c->userdata, c->userdata_len);
    writer_pad(w, prop, 8);
    action_end(w, start);
}

static void encode_resubmit(struct writer *w, const struct ofpact_resubmit *a)
{
    size_t start = nx_begin(w, a->table == TABLE_ID_ALL ? NXAST_RESUBMIT : NXAST_RESUBMIT_TABLE);

    writer_u16(w, ofp_port_to_16(a->in_port));
    if (a->table != TABLE_ID_ALL) {
        writer_u8(w, a->table);
    }
    action_end(w, start);
}

static void encode_move(struct writer *w, const struct ofpact_move *m, uint8_t version)
{
    size_t start = nx_begin(w, NXAST_REG_MOVE);

    writer_u16(w, m->src.n_bits);
    writer_u16(w, m->src.ofs);
    writer_u16(w, m->dst.ofs);
    writer_u32(w, field_header(m->src.field, version));
    writer_u32(w, field_header(m->dst.field, version));
    action_end(w, start);
}

static void encode_output_reg(struct writer *w, const struct ofpact_output_reg *out, uint8_t version)
{
    size_t start = nx_begin(w, NXAST_OUTPUT_REG);

    writer_u16(w, (uint16_t)(out->src.ofs << 6 | (out->src.n_bits - 1)));
    writer_u32(w, field_header(out->src.field, version));
    writer_u16(w, out->max_len);
    writer_zeros(w, 6);
    action_end(w, start);
}

static void encode_nx_plain(struct writer *w, enum nx_subtype subtype)
{
    size_t start = nx_begin(w, subtype);

    writer_zeros(w, 6);
    action_end(w, start);
}

void nx_action_encode(const struct ofpact *a, uint8_t version, struct writer *w)
{
    const void *p = a;
    const struct ofpact_note *note = p;
    const struct ofpact_fin_timeout *fin = p;
    size_t start;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_FIELD:
        encode_masked_set_field(w, p, version);
        break;
    case OFPACT_LOAD:
        encode_load(w, &((const struct ofpact_load *)p)->dst, ((const struct ofpact_load *)p)->value, version);
        break;
    case OFPACT_MOVE:
        encode_move(w, p, version);
        break;
    case OFPACT_OUTPUT_REG:
        encode_output_reg(w, p, version);
        break;
    case OFPACT_CONTROLLER:
        encode_controller(w, p);
        break;
    case OFPACT_RESUBMIT:
        encode_resubmit(w, p);
        break;
    case OFPACT_LEARN:
        learn_encode(p, version, w);
        break;
    case OFPACT_POP_QUEUE:
        encode_nx_plain(w, NXAST_POP_QUEUE);
        break;
    case OFPACT_EXIT:
        encode_nx_plain(w, NXAST_EXIT);
        break;
    case OFPACT_NOTE:
        start = nx_begin(w, NXAST_NOTE);
        writer_bytes(w, note->data, note->n);
        action_end(w, start);
        break;
    case OFPACT_FIN_TIMEOUT:
        start = nx_begin(w, NXAST_FIN_TIMEOUT);
        writer_u16(w, fin->idle);
        writer_u16(w, fin->hard);
        writer_zeros(w, 2);
        action_end(w, start);
        break;
    case OFPACT_CLONE:
        start = nx_begin(w, NXAST_CLONE);
        writer_zeros(w, 6);
        ofpacts_encode_actions(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), version, w);
        action_end(w, start);
        break;
    default:
        break;
    }
}
