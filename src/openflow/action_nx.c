/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nicira's and ONF's experimenter actions: the same bytes in every OpenFlow version. Inside them ports have 16 bits,
 * and fields have the NXM header if there is one.
 */
#include "openflow/action_codec.h"

#include <endian.h>
#include <netinet/in.h>

#include "openflow/error.h"

#define ONF_COPY_FIELD 3200
#define NX_VERSION 1 /* that of field headers inside of these actions */

int action_end_check(const struct reader *r)
{
    return r->error || r->left >= 8 ? OFERR_ACTION_BAD_LEN : 0;
}

static int decode_resubmit(struct reader *r, bool has_table, struct ofpacts *acts)
{
    uint16_t port = reader_u16(r);
    table_id_t table = has_table ? reader_u8(r) : TABLE_ID_ALL;
    struct ofpact_resubmit *a;

    reader_skip(r, has_table ? 3 : 4);
    if (action_end_check(r)) {
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
    if (action_end_check(r)) {
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
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    ofpact_put(acts, type, sizeof(struct ofpact));
    return 0;
}

static int decode_load(struct reader *r, struct ofpacts *acts)
{
    uint16_t ofs_nbits = reader_u16(r);
    struct subfield dst = subfield_of_nbits(field_header_read(r), ofs_nbits);
    uint64_t value = reader_u64(r);
    struct ofpact_load *load;
    int error;

    if (action_end_check(r)) {
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
    struct subfield src = subfield_of_nbits(field_header_read(r), ofs_nbits);
    struct ofpact_output_reg *out;
    int error;

    if (!second) {
        max_len = reader_u16(r);
        reader_skip(r, 6);
    } else {
        reader_skip(r, r->left); /* padded to a fixed size */
    }
    if (action_end_check(r)) {
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

static int decode_delete_field(struct reader *r, struct ofpacts *acts)
{
    const struct field *f = field_header_read(r);
    struct ofpact_field *d;

    reader_skip(r, MIN(r->left, (size_t)8)); /* 24 bytes with a header of 4 or of 8 */
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (!f || !field_is_tun_metadata(f)) {
        return f ? OFERR_ACTION_BAD_SET_ARGUMENT : OFERR_TLV_INVALID_FIELD;
    }
    d = ofpact_put(acts, OFPACT_DELETE_FIELD, sizeof *d);
    d->field = f;
    return 0;
}

static int decode_fin_timeout(struct reader *r, struct ofpacts *acts)
{
    uint16_t idle = reader_u16(r), hard = reader_u16(r);
    struct ofpact_fin_timeout *fin;

    reader_skip(r, 2);
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    fin = ofpact_put(acts, OFPACT_FIN_TIMEOUT, sizeof *fin);
    fin->idle = idle;
    fin->hard = hard;
    return 0;
}

/* PAD bytes, then a number. */
static int decode_u32(struct reader *r, enum ofpact_type type, size_t pad, struct ofpacts *acts)
{
    uint32_t v;

    reader_skip(r, pad);
    v = reader_u32(r);
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (type == OFPACT_SET_MPLS_LABEL && v > 0xfffff) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    put_u32(acts, type, v);
    return 0;
}

/* A number of 8 bits, or an EtherType of 16, then padding. */
static int decode_u16(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
{
    bool wide = type == OFPACT_PUSH_MPLS || type == OFPACT_POP_MPLS;
    uint16_t v = wide ? reader_u16(r) : reader_u8(r);

    reader_skip(r, wide ? 4 : 5);
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    if ((type == OFPACT_PUSH_MPLS && v != 0x8847 && v != 0x8848) || (type == OFPACT_SET_MPLS_TC && v > 7)) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    put_u16(acts, type, v);
    return 0;
}

static int decode_dec_ttl_ids(struct reader *r, struct ofpacts *acts)
{
    uint16_t n = reader_u16(r);
    struct ofpact_cnt_ids *a;
    struct reader ids;

    reader_skip(r, 4);
    ids = reader_sub(r, 2u * n);
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (!n) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    a = ofpact_put(acts, OFPACT_DEC_TTL_IDS, sizeof *a + 2u * n);
    a->n = n;
    for (size_t i = 0; i < n; i++) {
        a->ids[i] = reader_u16(&ids);
    }
    return 0;
}

static int decode_stack(struct reader *r, bool push, struct ofpacts *acts)
{
    struct subfield sf = {.ofs = reader_u16(r)};
    int error;

    sf.field = field_header_read(r);
    sf.n_bits = reader_u16(r);
    reader_skip(r, r->left); /* padded to a fixed size */
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    error = subfield_check(&sf, !push, NULL);
    if (error) {
        return error;
    }
    ((struct ofpact_stack *)ofpact_put(acts, push ? OFPACT_STACK_PUSH : OFPACT_STACK_POP, sizeof(struct ofpact_stack)))
        ->sf = sf;
    return 0;
}

static int decode_conjunction(struct reader *r, struct ofpacts *acts)
{
    uint8_t clause = reader_u8(r), n = reader_u8(r);
    uint32_t id = reader_u32(r);
    struct ofpact_conjunction *c;

    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (n < 2 || n > 64 || clause >= n) {
        return OFERR_NXBAC_BAD_CONJUNCTION;
    }
    c = ofpact_put(acts, OFPACT_CONJUNCTION, sizeof *c);
    c->clause = clause;
    c->n_clauses = n;
    c->id = id;
    return 0;
}

static int decode_output_trunc(struct reader *r, struct ofpacts *acts)
{
    ofp_port_t port = ofp_port_from_16(reader_u16(r));
    uint32_t max_len = reader_u32(r);
    struct ofpact_output_trunc *out;

    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (max_len < OUTPUT_TRUNC_MIN) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    if (!output_trunc_port_ok(port)) {
        return OFERR_ACTION_BAD_OUT_PORT;
    }
    out = ofpact_put(acts, OFPACT_OUTPUT_TRUNC, sizeof *out);
    out->port = port;
    out->max_len = max_len;
    return 0;
}

static int decode_check_pkt_larger(struct reader *r, struct ofpacts *acts)
{
    uint16_t len = reader_u16(r), ofs = reader_u16(r);
    struct subfield dst = {.field = field_header_read(r), .ofs = ofs, .n_bits = 1};
    struct ofpact_check_pkt_larger *c;
    int error;

    reader_skip(r, r->left);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    error = subfield_check(&dst, true, NULL);
    if (error) {
        return error;
    }
    c = ofpact_put(acts, OFPACT_CHECK_PKT_LARGER, sizeof *c);
    c->pkt_len = len;
    c->dst = dst;
    return 0;
}

static int decode_write_metadata(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts)
{
    struct ofpact_metadata *m;
    __be64 value, mask;

    if (version > 1) {
        return OFERR_ACTION_BAD_EXP_TYPE;
    }
    reader_skip(r, 6);
    value = reader_be64(r);
    mask = reader_be64(r);
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (depth) {
        return OFERR_ACTION_UNSUPPORTED_ORDER;
    }
    m = ofpact_put(acts, OFPACT_WRITE_METADATA, sizeof *m);
    m->value = value & mask;
    m->mask = mask;
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

/* Those of a number or nothing. */
static int decode_simple(struct reader *r, enum nx_subtype subtype, struct ofpacts *acts)
{
    switch (subtype) {
    case NXAST_SET_QUEUE:
        return decode_u32(r, OFPACT_SET_QUEUE, 2, acts);
    case NXAST_POP_QUEUE:
        return decode_plain(r, OFPACT_POP_QUEUE, acts);
    case NXAST_EXIT:
        return decode_plain(r, OFPACT_EXIT, acts);
    case NXAST_DEC_TTL:
        return decode_plain(r, OFPACT_DEC_TTL, acts);
    case NXAST_DEC_MPLS_TTL:
        return decode_plain(r, OFPACT_DEC_MPLS_TTL, acts);
    case NXAST_PUSH_MPLS:
        return decode_u16(r, OFPACT_PUSH_MPLS, acts);
    case NXAST_POP_MPLS:
        return decode_u16(r, OFPACT_POP_MPLS, acts);
    case NXAST_SET_MPLS_TTL:
        return decode_u16(r, OFPACT_SET_MPLS_TTL, acts);
    case NXAST_SET_MPLS_TC:
        return decode_u16(r, OFPACT_SET_MPLS_TC, acts);
    case NXAST_SET_MPLS_LABEL:
        return decode_u32(r, OFPACT_SET_MPLS_LABEL, 2, acts);
    case NXAST_GROUP:
        return decode_u32(r, OFPACT_GROUP, 2, acts);
    default: /* conntrack, NAT, sampling, encap, ... */
        return OFERR_ACTION_BAD_EXP_TYPE;
    }
}

static int decode_more(struct reader *r, enum nx_subtype subtype, uint8_t version, unsigned int depth,
                       struct ofpacts *acts)
{
    switch (subtype) {
    case NXAST_DEC_TTL_CNT_IDS:
        return decode_dec_ttl_ids(r, acts);
    case NXAST_STACK_PUSH:
    case NXAST_STACK_POP:
        return decode_stack(r, subtype == NXAST_STACK_PUSH, acts);
    case NXAST_MULTIPATH:
        return multipath_decode(r, acts);
    case NXAST_BUNDLE:
    case NXAST_BUNDLE_LOAD:
        return bundle_decode(r, subtype == NXAST_BUNDLE_LOAD, acts);
    case NXAST_CONJUNCTION:
        return decode_conjunction(r, acts);
    case NXAST_OUTPUT_TRUNC:
        return decode_output_trunc(r, acts);
    case NXAST_DELETE_FIELD:
        return decode_delete_field(r, acts);
    case NXAST_CHECK_PKT_LARGER:
        return decode_check_pkt_larger(r, acts);
    case NXAST_WRITE_METADATA:
        return decode_write_metadata(r, version, depth, acts);
    case NXAST_CLONE:
        return decode_clone(r, version, depth, acts);
    default:
        return decode_simple(r, subtype, acts);
    }
}

int nx_action_decode(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts)
{
    enum nx_subtype subtype = (enum nx_subtype)reader_u16(r);

    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    switch (subtype) {
    case NXAST_RESUBMIT:
        return decode_resubmit(r, false, acts);
    case NXAST_RESUBMIT_TABLE:
        return decode_resubmit(r, true, acts);
    case NXAST_SET_TUNNEL:
        return decode_set_tunnel(r, false, acts);
    case NXAST_SET_TUNNEL64:
        return decode_set_tunnel(r, true, acts);
    case NXAST_REG_MOVE:
        return move_decode(r, false, false, acts);
    case NXAST_REG_LOAD:
        return decode_load(r, acts);
    case NXAST_REG_LOAD2:
        return set_field_decode(r, true, acts);
    case NXAST_NOTE:
        return decode_note(r, acts);
    case NXAST_OUTPUT_REG:
        return decode_output_reg(r, false, acts);
    case NXAST_OUTPUT_REG2:
        return decode_output_reg(r, true, acts);
    case NXAST_LEARN:
        return learn_decode(r, false, acts);
    case NXAST_LEARN2:
        return learn_decode(r, true, acts);
    case NXAST_FIN_TIMEOUT:
        return decode_fin_timeout(r, acts);
    case NXAST_CONTROLLER:
        return controller_decode(r, acts);
    case NXAST_CONTROLLER2:
        return controller2_decode(r, acts);
    default:
        return decode_more(r, subtype, version, depth, acts);
    }
}

int onf_action_decode(struct reader *r, uint8_t version, struct ofpacts *acts)
{
    uint16_t type = reader_u16(r);

    reader_skip(r, 2);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    return type == ONF_COPY_FIELD ? move_decode(r, true, version == 4, acts) : OFERR_ACTION_BAD_EXP_TYPE;
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

static void encode_load(struct writer *w, const struct subfield *dst, uint64_t value)
{
    size_t start = nx_begin(w, NXAST_REG_LOAD);

    writer_u16(w, subfield_to_nbits(dst));
    field_header_write(w, dst->field, NX_VERSION);
    writer_u64(w, value);
    action_end(w, start);
}

static bool value_bit(const struct field *f, const union field_value *v, size_t i)
{
    return v->b[f->n_bytes - 1u - i / 8] >> (i % 8) & 1;
}

/* Where the standard's set_field does not do: one reg_load for each run of ones in the mask, lowest first. A field of
 * changing length has no reg_load. */
static void encode_set_field(struct writer *w, const struct ofpact_set_field *sf)
{
    const struct field *f = sf->field;
    size_t n = f->n_bytes * 8u;

    if (field_is_tun_metadata(f)) {
        size_t start = nx_begin(w, NXAST_REG_LOAD2);

        field_tlv_write(w, f, NX_VERSION, &sf->value, &sf->mask);
        action_end(w, start);
        return;
    }
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
        encode_load(w, &dst, value);
    }
}

static void encode_resubmit(struct writer *w, ofp_port_t in_port, table_id_t table)
{
    size_t start = nx_begin(w, NXAST_RESUBMIT_TABLE);

    writer_u16(w, ofp_port_to_16(in_port));
    writer_u8(w, table);
    action_end(w, start);
}

static void encode_move(struct writer *w, const struct ofpact_move *m, uint8_t version)
{
    size_t start;

    if (m->onf && version == 4) {
        start = action_begin(w, 0xffff);
        writer_u32(w, ONF_EXPERIMENTER);
        writer_u16(w, ONF_COPY_FIELD);
        writer_zeros(w, 2);
    } else {
        start = nx_begin(w, NXAST_REG_MOVE);
        version = NX_VERSION;
    }
    writer_u16(w, m->src.n_bits);
    writer_u16(w, m->src.ofs);
    writer_u16(w, m->dst.ofs);
    writer_zeros(w, version == NX_VERSION ? 0 : 2);
    field_header_write(w, m->src.field, version);
    field_header_write(w, m->dst.field, version);
    action_end(w, start);
}

static void encode_output_reg(struct writer *w, const struct ofpact_output_reg *out)
{
    bool second = field_header_is_long(out->src.field, NX_VERSION);
    size_t start = nx_begin(w, second ? NXAST_OUTPUT_REG2 : NXAST_OUTPUT_REG);

    writer_u16(w, subfield_to_nbits(&out->src));
    if (second) {
        writer_u16(w, out->max_len);
    }
    field_header_write(w, out->src.field, NX_VERSION);
    if (!second) {
        writer_u16(w, out->max_len);
        writer_zeros(w, 6);
    }
    writer_pad(w, start, 24);
    action_end(w, start);
}

static void encode_plain(struct writer *w, enum nx_subtype subtype)
{
    size_t start = nx_begin(w, subtype);

    writer_zeros(w, 6);
    action_end(w, start);
}

static void encode_u16(struct writer *w, enum nx_subtype subtype, uint16_t v)
{
    size_t start = nx_begin(w, subtype);

    writer_u16(w, v);
    action_end(w, start);
}

static void encode_u32(struct writer *w, enum nx_subtype subtype, uint32_t v)
{
    size_t start = nx_begin(w, subtype);

    writer_zeros(w, 2);
    writer_u32(w, v);
    action_end(w, start);
}

static void encode_set_tunnel(struct writer *w, const struct ofpact_u64 *a)
{
    size_t start;

    if (a->v <= UINT32_MAX && !a->wide) {
        encode_u32(w, NXAST_SET_TUNNEL, (uint32_t)a->v);
        return;
    }
    start = nx_begin(w, NXAST_SET_TUNNEL64);
    writer_zeros(w, 6);
    writer_u64(w, a->v);
    action_end(w, start);
}

static void encode_dec_ttl_ids(struct writer *w, const struct ofpact_cnt_ids *a)
{
    size_t start = nx_begin(w, NXAST_DEC_TTL_CNT_IDS);

    writer_u16(w, a->n);
    writer_zeros(w, 4);
    for (size_t i = 0; i < a->n; i++) {
        writer_u16(w, a->ids[i]);
    }
    action_end(w, start);
}

static void encode_stack(struct writer *w, const struct ofpact_stack *s, enum nx_subtype subtype)
{
    size_t start = nx_begin(w, subtype);

    writer_u16(w, s->sf.ofs);
    field_header_write(w, s->sf.field, NX_VERSION);
    writer_u16(w, s->sf.n_bits);
    writer_pad(w, start, 24);
    action_end(w, start);
}

static void encode_conjunction(struct writer *w, const struct ofpact_conjunction *c)
{
    size_t start = nx_begin(w, NXAST_CONJUNCTION);

    writer_u8(w, c->clause);
    writer_u8(w, c->n_clauses);
    writer_u32(w, c->id);
    action_end(w, start);
}

static void encode_output_trunc(struct writer *w, const struct ofpact_output_trunc *out)
{
    size_t start = nx_begin(w, NXAST_OUTPUT_TRUNC);

    writer_u16(w, ofp_port_to_16(out->port));
    writer_u32(w, out->max_len);
    action_end(w, start);
}

static void encode_delete_field(struct writer *w, const struct ofpact_field *d)
{
    size_t start = nx_begin(w, NXAST_DELETE_FIELD);

    field_header_write(w, d->field, NX_VERSION);
    writer_pad(w, start, 24);
    action_end(w, start);
}

static void encode_check_pkt_larger(struct writer *w, const struct ofpact_check_pkt_larger *c)
{
    size_t start = nx_begin(w, NXAST_CHECK_PKT_LARGER);

    writer_u16(w, c->pkt_len);
    writer_u16(w, c->dst.ofs);
    field_header_write(w, c->dst.field, NX_VERSION);
    writer_pad(w, start, 24);
    action_end(w, start);
}

static void encode_metadata(struct writer *w, const struct ofpact_metadata *m)
{
    size_t start = nx_begin(w, NXAST_WRITE_METADATA);

    writer_zeros(w, 6);
    writer_be64(w, m->value);
    writer_be64(w, m->mask);
    action_end(w, start);
}

static void encode_note(struct writer *w, const struct ofpact_note *note)
{
    size_t start = nx_begin(w, NXAST_NOTE);

    writer_bytes(w, note->data, note->n);
    action_end(w, start);
}

static void encode_fin_timeout(struct writer *w, const struct ofpact_fin_timeout *fin)
{
    size_t start = nx_begin(w, NXAST_FIN_TIMEOUT);

    writer_u16(w, fin->idle);
    writer_u16(w, fin->hard);
    writer_zeros(w, 2);
    action_end(w, start);
}

static void encode_clone(struct writer *w, const struct ofpact *a, uint8_t version)
{
    size_t start = nx_begin(w, NXAST_CLONE);

    writer_zeros(w, 6);
    ofpacts_encode_actions(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), version, w);
    action_end(w, start);
}

/* Those of a number or nothing: most have a standard form, too, which OpenFlow 1.0 lacks. */
static void encode_simple(const struct ofpact *a, struct writer *w)
{
    uint16_t u16 = ((const struct ofpact_u16 *)(const void *)a)->v;
    uint32_t u32 = ((const struct ofpact_u32 *)(const void *)a)->v;
    struct subfield ttl = {.field = field_get(FIELD_IP_TTL), .n_bits = 8};

    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_QUEUE:
        encode_u32(w, NXAST_SET_QUEUE, u32);
        break;
    case OFPACT_POP_QUEUE:
        encode_plain(w, NXAST_POP_QUEUE);
        break;
    case OFPACT_EXIT:
        encode_plain(w, NXAST_EXIT);
        break;
    case OFPACT_DEC_TTL:
        encode_plain(w, NXAST_DEC_TTL);
        break;
    case OFPACT_SET_NW_TTL:
        encode_load(w, &ttl, u16);
        break;
    case OFPACT_PUSH_MPLS:
        encode_u16(w, NXAST_PUSH_MPLS, u16);
        break;
    case OFPACT_POP_MPLS:
        encode_u16(w, NXAST_POP_MPLS, u16);
        break;
    case OFPACT_SET_MPLS_LABEL:
        encode_u32(w, NXAST_SET_MPLS_LABEL, u32);
        break;
    case OFPACT_SET_MPLS_TC:
        encode_u16(w, NXAST_SET_MPLS_TC, (uint16_t)(u16 << 8));
        break;
    case OFPACT_SET_MPLS_TTL:
        encode_u16(w, NXAST_SET_MPLS_TTL, (uint16_t)(u16 << 8));
        break;
    case OFPACT_DEC_MPLS_TTL:
        encode_plain(w, NXAST_DEC_MPLS_TTL);
        break;
    case OFPACT_GROUP:
        encode_u32(w, NXAST_GROUP, u32);
        break;
    default:
        break;
    }
}

static void encode_more(const struct ofpact *a, uint8_t version, struct writer *w)
{
    const void *p = a;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_DEC_TTL_IDS:
        encode_dec_ttl_ids(w, p);
        break;
    case OFPACT_STACK_PUSH:
        encode_stack(w, p, NXAST_STACK_PUSH);
        break;
    case OFPACT_STACK_POP:
        encode_stack(w, p, NXAST_STACK_POP);
        break;
    case OFPACT_MULTIPATH:
        multipath_encode(w, p);
        break;
    case OFPACT_BUNDLE:
        bundle_encode(w, p);
        break;
    case OFPACT_CONJUNCTION:
        encode_conjunction(w, p);
        break;
    case OFPACT_OUTPUT_TRUNC:
        encode_output_trunc(w, p);
        break;
    case OFPACT_DELETE_FIELD:
        encode_delete_field(w, p);
        break;
    case OFPACT_CHECK_PKT_LARGER:
        encode_check_pkt_larger(w, p);
        break;
    case OFPACT_CLONE:
        encode_clone(w, a, version);
        break;
    case OFPACT_WRITE_METADATA: /* these two in OpenFlow 1.0 only */
        encode_metadata(w, p);
        break;
    case OFPACT_GOTO_TABLE:
        encode_resubmit(w, OFPP_IN_PORT, (table_id_t)((const struct ofpact_u16 *)p)->v);
        break;
    default:
        encode_simple(a, w);
        break;
    }
}

void nx_action_encode(const struct ofpact *a, uint8_t version, struct writer *w)
{
    const void *p = a;
    const struct ofpact_load *load = p;
    const struct ofpact_resubmit *resubmit = p;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_FIELD:
        encode_set_field(w, p);
        break;
    case OFPACT_LOAD:
        encode_load(w, &load->dst, load->value);
        break;
    case OFPACT_MOVE:
        encode_move(w, p, version);
        break;
    case OFPACT_SET_TUNNEL:
        encode_set_tunnel(w, p);
        break;
    case OFPACT_OUTPUT_REG:
        encode_output_reg(w, p);
        break;
    case OFPACT_CONTROLLER:
        controller_encode(w, p);
        break;
    case OFPACT_RESUBMIT:
        encode_resubmit(w, resubmit->in_port, resubmit->table);
        break;
    case OFPACT_LEARN:
        learn_encode(w, p);
        break;
    case OFPACT_NOTE:
        encode_note(w, p);
        break;
    case OFPACT_FIN_TIMEOUT:
        encode_fin_timeout(w, p);
        break;
    default:
        encode_more(a, version, w);
        break;
    }
}
