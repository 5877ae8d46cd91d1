/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of the learn action: a template of a flow, as a list of specs. Each spec takes N bits from a field of
 * the packet or from itself, and makes them a part of the new flow's match, or a load or an output among its actions.
 */
#include "openflow/action_codec.h"
#include "openflow/error.h"

#define SPEC_SRC_IMMEDIATE 0x2000
#define SPEC_N_BITS 0x3ff
#define MAX_SPECS ((UINT16_MAX - 7 - sizeof(struct ofpact_learn)) / sizeof(struct learn_spec))

static int decode_subfield(struct reader *r, uint16_t n_bits, struct subfield *sf)
{
    sf->field = field_header_read(r);
    sf->ofs = reader_u16(r);
    sf->n_bits = n_bits;
    return r->error ? OFERR_ACTION_BAD_LEN : 0;
}

static int decode_immediate(struct reader *r, uint16_t n_bits, union field_value *imm)
{
    size_t n = DIV_ROUND_UP(n_bits, 16u) * 2;

    if (n > sizeof imm->b) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    reader_copy(r, imm->b + sizeof imm->b - n, n);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    for (size_t i = n_bits; i < 8 * n; i++) {
        if (imm->b[15 - i / 8] >> (i % 8) & 1) {
            return OFERR_ACTION_BAD_ARGUMENT;
        }
    }
    return 0;
}

static int decode_spec(struct reader *r, uint16_t header, struct learn_spec *s)
{
    int error;

    s->n_bits = header & SPEC_N_BITS;
    s->src_type = header & SPEC_SRC_IMMEDIATE ? LEARN_SRC_IMMEDIATE : LEARN_SRC_FIELD;
    s->dst_type = header >> 11 & 3;
    if (header & 0xc400 || s->dst_type > LEARN_DST_OUTPUT || !s->n_bits ||
        (s->dst_type == LEARN_DST_OUTPUT && s->src_type == LEARN_SRC_IMMEDIATE)) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    if (s->src_type == LEARN_SRC_IMMEDIATE) {
        error = decode_immediate(r, s->n_bits, &s->imm);
    } else {
        error = decode_subfield(r, s->n_bits, &s->src);
        error = error ? error : subfield_check(&s->src, false, NULL);
    }
    if (error || s->dst_type == LEARN_DST_OUTPUT) {
        return error;
    }
    error = decode_subfield(r, s->n_bits, &s->dst);
    return error ? error : subfield_check(&s->dst, s->dst_type == LEARN_DST_LOAD, NULL);
}

static int decode_specs(struct reader *r, struct learn_spec **specs, size_t *n)
{
    size_t allocated = 0;

    while (r->left >= 2) {
        uint16_t header = reader_u16(r);
        int error;

        if (!header) {
            break;
        }
        if (*n == MAX_SPECS) {
            return OFERR_ACTION_TOO_MANY;
        }
        if (*n == allocated) {
            allocated = allocated ? 2 * allocated : 8;
            *specs = xrealloc(*specs, allocated * sizeof **specs);
        }
        memset(&(*specs)[*n], 0, sizeof **specs);
        error = decode_spec(r, header, &(*specs)[*n]);
        if (error) {
            return error;
        }
        ++*n;
    }
    while (r->left) {
        if (reader_u8(r)) {
            return OFERR_ACTION_BAD_ARGUMENT;
        }
    }
    return 0;
}

/* What learn2 has more: it says where a bit tells whether the flow is there, and how many flows there may be. */
static int decode_second(struct reader *r, struct ofpact_learn *l)
{
    l->limit = reader_u32(r);
    l->result = (struct subfield){.ofs = reader_u16(r), .n_bits = 1};
    reader_skip(r, 2);
    if (!(l->flags & LEARN_F_WRITE_RESULT)) {
        l->result = (struct subfield){0};
        return r->error ? OFERR_ACTION_BAD_LEN : 0;
    }
    l->result.field = field_header_read(r);
    return r->error ? OFERR_ACTION_BAD_LEN : subfield_check(&l->result, true, NULL);
}

int learn_decode(struct reader *r, bool second, struct ofpacts *acts)
{
    struct ofpact_learn l = {0}, *put;
    _cleanup_free_ struct learn_spec *specs = NULL;
    size_t n = 0;
    int error;

    l.idle_timeout = reader_u16(r);
    l.hard_timeout = reader_u16(r);
    l.priority = reader_u16(r);
    l.cookie = reader_be64(r);
    l.flags = reader_u16(r);
    l.table = reader_u8(r);
    reader_skip(r, 1);
    l.fin_idle_timeout = reader_u16(r);
    l.fin_hard_timeout = reader_u16(r);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (l.flags & ~(LEARN_F_SEND_FLOW_REM | LEARN_F_DELETE_LEARNED | (second ? LEARN_F_WRITE_RESULT : 0)) ||
        l.table > TABLE_ID_MAX) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    error = second ? decode_second(r, &l) : 0;
    error = error ? error : decode_specs(r, &specs, &n);
    if (error) {
        return error;
    }
    put = ofpact_put(acts, OFPACT_LEARN, sizeof l + n * sizeof *specs);
    l.h = put->h;
    l.n_specs = (uint16_t)n;
    memcpy(put, &l, sizeof l);
    if (n) {
        memcpy(put->specs, specs, n * sizeof *specs);
    }
    return 0;
}

static void encode_spec(const struct learn_spec *s, struct writer *w)
{
    size_t n = DIV_ROUND_UP(s->n_bits, 16u) * 2;

    writer_u16(
        w, (uint16_t)((s->src_type == LEARN_SRC_IMMEDIATE ? SPEC_SRC_IMMEDIATE : 0) | s->dst_type << 11 | s->n_bits));
    if (s->src_type == LEARN_SRC_IMMEDIATE) {
        writer_bytes(w, s->imm.b + sizeof s->imm.b - n, n);
    } else {
        field_header_write(w, s->src.field, 1);
        writer_u16(w, s->src.ofs);
    }
    if (s->dst_type != LEARN_DST_OUTPUT) {
        field_header_write(w, s->dst.field, 1);
        writer_u16(w, s->dst.ofs);
    }
}

void learn_encode(struct writer *w, const struct ofpact_learn *l)
{
    bool second = l->limit || l->flags & LEARN_F_WRITE_RESULT;
    size_t start = nx_begin(w, second ? NXAST_LEARN2 : NXAST_LEARN);

    writer_u16(w, l->idle_timeout);
    writer_u16(w, l->hard_timeout);
    writer_u16(w, l->priority);
    writer_be64(w, l->cookie);
    writer_u16(w, l->flags);
    writer_u8(w, l->table);
    writer_u8(w, 0);
    writer_u16(w, l->fin_idle_timeout);
    writer_u16(w, l->fin_hard_timeout);
    if (second) {
        writer_u32(w, l->limit);
        writer_u16(w, l->result.ofs);
        writer_zeros(w, 2);
    }
    if (l->flags & LEARN_F_WRITE_RESULT) {
        field_header_write(w, l->result.field, 1);
    }
    for (size_t i = 0; i < l->n_specs; i++) {
        encode_spec(&l->specs[i], w);
    }
    action_end(w, start);
}

int learn_check(const struct ofpact_learn *l, const struct flow *flow)
{
    struct flow learned = {0};
    int error = l->flags & LEARN_F_WRITE_RESULT ? subfield_check(&l->result, true, flow) : 0;

    for (size_t i = 0; !error && i < l->n_specs; i++) {
        const struct learn_spec *s = &l->specs[i];

        error = s->src_type == LEARN_SRC_FIELD ? subfield_check(&s->src, false, flow) : 0;

        if (!error && s->dst_type != LEARN_DST_OUTPUT) {
            error = subfield_check(&s->dst, s->dst_type == LEARN_DST_LOAD, &learned);
        }
        if (!error && s->dst_type == LEARN_DST_MATCH && s->src_type == LEARN_SRC_IMMEDIATE) {
            union field_value v, mask;

            subfield_place(&s->dst, &s->imm, &v, &mask);
            field_or_bits(s->dst.field, &learned, &v);
        }
    }
    return error;
}
