/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of the standard's actions (OpenFlow 1.3, 7.2.5; 1.5, 7.2.6), and of fields in actions. OpenFlow 1.4 has
 * those of 1.3; 1.5 adds copy_field, meter and masks in set_field.
 */
#include <endian.h>
#include <netinet/in.h>

#include "openflow/action_codec.h"
#include "openflow/error.h"

enum of13_action {
    OFPAT_OUTPUT = 0,
    OFPAT_SET_MPLS_TTL = 15,
    OFPAT_DEC_MPLS_TTL = 16,
    OFPAT_PUSH_VLAN = 17,
    OFPAT_POP_VLAN = 18,
    OFPAT_PUSH_MPLS = 19,
    OFPAT_POP_MPLS = 20,
    OFPAT_SET_QUEUE = 21,
    OFPAT_GROUP = 22,
    OFPAT_SET_NW_TTL = 23,
    OFPAT_DEC_NW_TTL = 24,
    OFPAT_SET_FIELD = 25,
    OFPAT_COPY_FIELD = 28, /* these two from 1.5 on */
    OFPAT_METER = 29,
};

/* The fields that are ONF's experimenter's before OpenFlow 1.5, under the number that they have in 1.5. */
#define ONF_HEADER_LEN 4

const struct field *field_header_read(struct reader *r)
{
    uint32_t header = reader_u32(r);

    if (header >> 16 == 0xffff) {
        unsigned int number = header >> 9 & 127;

        if (reader_u32(r) != ONF_EXPERIMENTER || r->error) {
            return NULL;
        }
        return number == 42 ? field_get(FIELD_TCP_FLAGS) : number == 43 ? field_get(FIELD_ACTSET_OUTPUT) : NULL;
    }
    return r->error ? NULL : field_by_header(header);
}

bool field_header_is_long(const struct field *f, uint8_t version)
{
    return f->id == FIELD_ACTSET_OUTPUT && version < 6;
}

void field_header_write(struct writer *w, const struct field *f, uint8_t version)
{
    if (field_header_is_long(f, version)) {
        writer_u32(w, 0xffff0000u | (field_header(f, 6) & 0xfe00) | (f->n_bytes + ONF_HEADER_LEN));
        writer_u32(w, ONF_EXPERIMENTER);
    } else {
        writer_u32(w, field_header(f, version));
    }
}

void field_tlv_write(struct writer *w, const struct field *f, uint8_t version, const union field_value *value,
                     const union field_value *mask)
{
    bool masked = false;
    uint32_t header = field_header(f, version);

    for (size_t i = 0; i < f->n_bytes; i++) {
        masked |= mask->b[i] != 0xff;
    }
    if (masked) {
        header = (header & 0xfffffe00) | 0x100 | 2u * f->n_bytes;
    }
    writer_u32(w, header);
    writer_bytes(w, value->b, f->n_bytes);
    if (masked) {
        writer_bytes(w, mask->b, f->n_bytes);
    }
}

struct subfield subfield_of_nbits(const struct field *f, uint16_t ofs_nbits)
{
    return (struct subfield){.field = f, .ofs = ofs_nbits >> 6, .n_bits = (uint16_t)((ofs_nbits & 63) + 1)};
}

uint16_t subfield_to_nbits(const struct subfield *sf)
{
    return (uint16_t)(sf->ofs << 6 | (sf->n_bits - 1));
}

void put_plain(struct ofpacts *acts, enum ofpact_type type)
{
    ofpact_put(acts, type, sizeof(struct ofpact));
}

void put_u16(struct ofpacts *acts, enum ofpact_type type, uint16_t v)
{
    ((struct ofpact_u16 *)ofpact_put(acts, type, sizeof(struct ofpact_u16)))->v = v;
}

void put_u32(struct ofpacts *acts, enum ofpact_type type, uint32_t v)
{
    ((struct ofpact_u32 *)ofpact_put(acts, type, sizeof(struct ofpact_u32)))->v = v;
}

void put_output(struct ofpacts *acts, ofp_port_t port, uint16_t max_len)
{
    struct ofpact_output *out = ofpact_put(acts, OFPACT_OUTPUT, sizeof *out);

    out->port = port;
    out->max_len = max_len;
}

struct ofpact_set_field *set_field_put(struct ofpacts *acts, const struct field *f, const union field_value *value)
{
    struct ofpact_set_field *sf = ofpact_put(acts, OFPACT_SET_FIELD, sizeof *sf);

    sf->field = f;
    sf->value = *value;
    sf->mask = field_ones(f);
    return sf;
}

/* ---- decoding ---- */

static int set_field_check(const struct field *f, const union field_value *value, const union field_value *mask)
{
    union field_value ones = field_ones(f);

    if (!f->writable || !field_value_fits(f, value)) {
        return OFERR_ACTION_BAD_SET_ARGUMENT;
    }
    for (size_t i = 0; i < f->n_bytes; i++) {
        if (value->b[i] & ~mask->b[i] || mask->b[i] & ~ones.b[i]) {
            return OFERR_ACTION_BAD_SET_ARGUMENT;
        }
    }
    /* set_field cannot take a tag away (OpenFlow 1.5, 7.2.6.7). */
    return f->id == FIELD_VLAN_VID && mask->b[0] & FLOW_VLAN_PRESENT >> 8 && !(value->b[0] & FLOW_VLAN_PRESENT >> 8)
               ? OFERR_ACTION_BAD_SET_ARGUMENT
               : 0;
}

/* N bytes of a field's value. Who writes a tun_metadata field may not know how long the option is: shorter ones are
 * right-aligned, and longer ones have zeros in front. */
static int read_value(struct reader *r, const struct field *f, size_t n, union field_value *ret)
{
    size_t extra = n > f->n_bytes ? n - f->n_bytes : 0;

    for (; extra; extra--) {
        if (reader_u8(r)) {
            return OFERR_ACTION_BAD_SET_LEN;
        }
    }
    n = MIN(n, f->n_bytes);
    reader_copy(r, ret->b + f->n_bytes - n, n);
    return r->error ? OFERR_ACTION_BAD_LEN : 0;
}

static int check_length(const struct field *f, size_t n)
{
    return field_is_tun_metadata(f) || n == f->n_bytes ? 0 : OFERR_ACTION_BAD_SET_LEN;
}

int set_field_decode(struct reader *r, bool mask_allowed, struct ofpacts *acts)
{
    struct reader peek = *r;
    uint32_t header = reader_u32(&peek);
    const struct field *f = field_header_read(r);
    bool masked = header & 0x100;
    size_t n = (header & 0xff) / (masked ? 2 : 1);
    union field_value value = {0}, mask = {0};
    struct ofpact_set_field *sf;
    int error;

    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (!f || !field_is_there(f)) {
        return f || field_header_is_unmapped(header) ? OFERR_TLV_INVALID_FIELD : OFERR_ACTION_BAD_SET_TYPE;
    }
    if (header >> 16 == 0xffff) {
        return OFERR_ACTION_BAD_SET_ARGUMENT; /* those that there are cannot be set */
    }
    error = masked && header & 1 ? OFERR_ACTION_BAD_SET_LEN : check_length(f, n);
    error = error ? error : read_value(r, f, n, &value);
    if (!error && masked) {
        error = read_value(r, f, n, &mask);
    }
    if (error || action_end_check(r)) {
        return error ? error : OFERR_ACTION_BAD_LEN;
    }
    mask = masked ? mask : field_ones(f);
    error = masked && !mask_allowed ? OFERR_ACTION_BAD_SET_MASK : set_field_check(f, &value, &mask);
    if (error) {
        return error;
    }
    sf = set_field_put(acts, f, &value);
    sf->mask = mask;
    return 0;
}

int move_decode(struct reader *r, bool padded, bool onf, struct ofpacts *acts)
{
    struct ofpact_move m = {.onf = onf}, *put;
    int error;

    m.src.n_bits = m.dst.n_bits = reader_u16(r);
    m.src.ofs = reader_u16(r);
    m.dst.ofs = reader_u16(r);
    reader_skip(r, padded ? 2 : 0);
    m.src.field = field_header_read(r);
    m.dst.field = field_header_read(r);
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    error = subfield_check(&m.src, false, NULL);
    error = error ? error : subfield_check(&m.dst, true, NULL);
    if (error) {
        return error;
    }
    put = ofpact_put(acts, OFPACT_MOVE, sizeof m);
    m.h = put->h;
    *put = m;
    return 0;
}

static int decode_output(struct reader *r, struct ofpacts *acts)
{
    ofp_port_t port = ofp_port(reader_u32(r));
    uint16_t max_len = reader_u16(r);

    reader_skip(r, 6);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (!output_port_ok(port)) {
        return OFERR_ACTION_BAD_OUT_PORT;
    }
    put_output(acts, port, max_len);
    return 0;
}

/* An action of a 16-bit EtherType and two bytes of padding. */
static int decode_ethertype(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
{
    uint16_t v = reader_u16(r);

    reader_skip(r, 2);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if ((type == OFPACT_PUSH_VLAN && v != 0x8100 && v != 0x88a8) ||
        (type == OFPACT_PUSH_MPLS && v != 0x8847 && v != 0x8848)) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    put_u16(acts, type, v);
    return 0;
}

static int decode_ttl(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
{
    uint8_t ttl = reader_u8(r);

    reader_skip(r, 3);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    put_u16(acts, type, ttl);
    return 0;
}

static int decode_u32(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
{
    uint32_t v = reader_u32(r);

    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    put_u32(acts, type, v);
    return 0;
}

static int decode_plain(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
{
    reader_skip(r, 4);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    put_plain(acts, type);
    return 0;
}

static int decode_fixed(struct reader *r, enum of13_action type, uint8_t version, struct ofpacts *acts)
{
    switch (type) {
    case OFPAT_OUTPUT:
        return decode_output(r, acts);
    case OFPAT_SET_MPLS_TTL:
        return decode_ttl(r, OFPACT_SET_MPLS_TTL, acts);
    case OFPAT_DEC_MPLS_TTL:
        return decode_plain(r, OFPACT_DEC_MPLS_TTL, acts);
    case OFPAT_SET_NW_TTL:
        return decode_ttl(r, OFPACT_SET_NW_TTL, acts);
    case OFPAT_PUSH_VLAN:
        return decode_ethertype(r, OFPACT_PUSH_VLAN, acts);
    case OFPAT_PUSH_MPLS:
        return decode_ethertype(r, OFPACT_PUSH_MPLS, acts);
    case OFPAT_POP_MPLS:
        return decode_ethertype(r, OFPACT_POP_MPLS, acts);
    case OFPAT_POP_VLAN:
        return decode_plain(r, OFPACT_POP_VLAN, acts);
    case OFPAT_DEC_NW_TTL:
        return decode_plain(r, OFPACT_DEC_TTL, acts);
    case OFPAT_GROUP:
        return decode_u32(r, OFPACT_GROUP, acts);
    case OFPAT_SET_QUEUE:
        return decode_u32(r, OFPACT_SET_QUEUE, acts);
    case OFPAT_METER:
        return version >= 6 ? decode_u32(r, OFPACT_METER, acts) : OFERR_ACTION_BAD_TYPE;
    default:
        return OFERR_ACTION_BAD_TYPE;
    }
}

int std_action_decode(struct reader *r, uint16_t type, uint8_t version, struct ofpacts *acts)
{
    int error;

    if (type == OFPAT_SET_FIELD) {
        return set_field_decode(r, version >= 6, acts);
    }
    if (type == OFPAT_COPY_FIELD && version >= 6) {
        return move_decode(r, true, true, acts);
    }
    error = decode_fixed(r, (enum of13_action)type, version, acts);
    return !error && r->left ? OFERR_ACTION_BAD_LEN : error;
}

/* ---- encoding ---- */

static void encode_u16(struct writer *w, enum of13_action type, uint16_t v)
{
    size_t start = action_begin(w, (uint16_t)type);

    writer_u16(w, v);
    action_end(w, start);
}

static void encode_u32(struct writer *w, enum of13_action type, uint32_t v)
{
    size_t start = action_begin(w, (uint16_t)type);

    writer_u32(w, v);
    action_end(w, start);
}

static void encode_set_field(struct writer *w, const struct field *f, uint8_t version, const union field_value *value,
                             const union field_value *mask)
{
    size_t start = action_begin(w, OFPAT_SET_FIELD);
    union field_value ones;

    memset(&ones, 0xff, sizeof ones);
    field_tlv_write(w, f, version, value, mask ? mask : &ones);
    action_end(w, start);
}

static void encode_output(struct writer *w, ofp_port_t port, uint16_t max_len)
{
    size_t start = action_begin(w, OFPAT_OUTPUT);

    writer_u32(w, ofp_port_u32(port));
    writer_u16(w, max_len);
    writer_zeros(w, 6);
    action_end(w, start);
}

/* A number, right-aligned in all of the field. */
static void encode_set_number(struct writer *w, enum field_id id, uint8_t version, uint64_t n)
{
    const struct field *f = field_get(id);
    union field_value v = field_value_from_u64(n);

    memmove(v.b, v.b + sizeof v.b - f->n_bytes, f->n_bytes);
    encode_set_field(w, f, version, &v, NULL);
}

/* OpenFlow 1.0's action that also makes the tag. */
static void encode_set_vlan(struct writer *w, const struct ofpact_u16 *a, uint8_t version, bool tagged)
{
    if (!tagged && !a->has_vlan) {
        encode_u16(w, OFPAT_PUSH_VLAN, 0x8100);
    }
    if (a->h.type == OFPACT_SET_VLAN_VID) {
        encode_set_number(w, FIELD_VLAN_VID, version, a->v | FLOW_VLAN_PRESENT);
    } else {
        encode_set_number(w, FIELD_VLAN_PCP, version, a->v);
    }
}

/* OpenFlow 1.0's ports of any protocol: that of the match, else TCP's, whose prerequisite then fails where it must. */
static void encode_set_l4(struct writer *w, const struct ofpact_u16 *a, uint8_t version)
{
    bool src = a->h.type == OFPACT_SET_L4_SRC;

    encode_set_number(w,
                      a->ip_proto == IPPROTO_UDP    ? (src ? FIELD_UDP_SRC : FIELD_UDP_DST)
                      : a->ip_proto == IPPROTO_SCTP ? (src ? FIELD_SCTP_SRC : FIELD_SCTP_DST)
                                                    : (src ? FIELD_TCP_SRC : FIELD_TCP_DST),
                      version, a->v);
}

/* SET_FIELD, LOAD: before OpenFlow 1.5 only a whole field can be set. */
static bool encode_write(struct writer *w, const struct ofpact *a, uint8_t version)
{
    const struct ofpact_set_field *sf = (const void *)a;
    const struct ofpact_load *load = (const void *)a;
    union field_value number, v, ones, mask;

    if (a->type == OFPACT_LOAD) {
        if (version < 6) {
            return false;
        }
        number = field_value_from_u64(load->value);
        subfield_place(&load->dst, &number, &v, &mask);
        encode_set_field(w, load->dst.field, version, &v, &mask);
        return true;
    }
    ones = field_ones(sf->field);
    if (!memcmp(&sf->mask, &ones, sizeof ones)) {
        encode_set_field(w, sf->field, version, &sf->value, NULL);
        return true;
    }
    if (version >= 6) {
        encode_set_field(w, sf->field, version, &sf->value, &sf->mask);
        return true;
    }
    return false;
}

static void encode_copy_field(struct writer *w, const struct ofpact_move *m, uint8_t version)
{
    size_t start = action_begin(w, OFPAT_COPY_FIELD);

    writer_u16(w, m->src.n_bits);
    writer_u16(w, m->src.ofs);
    writer_u16(w, m->dst.ofs);
    writer_zeros(w, 2);
    field_header_write(w, m->src.field, version);
    field_header_write(w, m->dst.field, version);
    action_end(w, start);
}

/* Those that are a number of 16 or 32 bits, or nothing. */
static bool encode_number(const struct ofpact *a, struct writer *w)
{
    uint16_t u16 = ((const struct ofpact_u16 *)(const void *)a)->v;
    uint32_t u32 = ((const struct ofpact_u32 *)(const void *)a)->v;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_PUSH_VLAN:
        encode_u16(w, OFPAT_PUSH_VLAN, u16);
        return true;
    case OFPACT_POP_VLAN:
    case OFPACT_STRIP_VLAN:
        encode_u32(w, OFPAT_POP_VLAN, 0);
        return true;
    case OFPACT_PUSH_MPLS:
        encode_u16(w, OFPAT_PUSH_MPLS, u16);
        return true;
    case OFPACT_POP_MPLS:
        encode_u16(w, OFPAT_POP_MPLS, u16);
        return true;
    case OFPACT_SET_NW_TTL:
        encode_u16(w, OFPAT_SET_NW_TTL, (uint16_t)(u16 << 8));
        return true;
    case OFPACT_DEC_TTL:
        encode_u32(w, OFPAT_DEC_NW_TTL, 0);
        return true;
    case OFPACT_SET_MPLS_TTL:
        encode_u16(w, OFPAT_SET_MPLS_TTL, (uint16_t)(u16 << 8));
        return true;
    case OFPACT_DEC_MPLS_TTL:
        encode_u32(w, OFPAT_DEC_MPLS_TTL, 0);
        return true;
    case OFPACT_SET_QUEUE:
        encode_u32(w, OFPAT_SET_QUEUE, u32);
        return true;
    case OFPACT_GROUP:
        encode_u32(w, OFPAT_GROUP, u32);
        return true;
    default:
        return false;
    }
}

bool std_action_encode(const struct ofpact *a, uint8_t version, bool *tagged, struct writer *w)
{
    const void *p = a;
    const struct ofpact_output *out = p;
    const struct ofpact_enqueue *enqueue = p;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_OUTPUT:
        encode_output(w, out->port, out->max_len);
        return true;
    case OFPACT_ENQUEUE:
        encode_u32(w, OFPAT_SET_QUEUE, enqueue->queue);
        encode_output(w, enqueue->port, UINT16_MAX);
        nx_action_encode(&(const struct ofpact_u32){.h.type = OFPACT_POP_QUEUE}.h, version, w);
        return true;
    case OFPACT_SET_VLAN_VID:
    case OFPACT_SET_VLAN_PCP:
        encode_set_vlan(w, p, version, *tagged);
        *tagged = true;
        return true;
    case OFPACT_SET_L4_SRC:
    case OFPACT_SET_L4_DST:
        encode_set_l4(w, p, version);
        return true;
    case OFPACT_SET_TUNNEL:
        encode_set_number(w, FIELD_TUN_ID, version, ((const struct ofpact_u64 *)p)->v);
        return true;
    case OFPACT_SET_MPLS_LABEL:
        encode_set_number(w, FIELD_MPLS_LABEL, version, ((const struct ofpact_u32 *)p)->v);
        return true;
    case OFPACT_SET_MPLS_TC:
        encode_set_number(w, FIELD_MPLS_TC, version, ((const struct ofpact_u16 *)p)->v);
        return true;
    case OFPACT_SET_FIELD:
    case OFPACT_LOAD:
        return encode_write(w, a, version);
    case OFPACT_MOVE:
        if (version >= 6) {
            encode_copy_field(w, p, version);
        }
        return version >= 6;
    case OFPACT_METER:
        if (version >= 6) {
            encode_u32(w, OFPAT_METER, ((const struct ofpact_u32 *)p)->v);
        }
        return true; /* older ones have an instruction */
    default:
        *tagged =
            a->type == OFPACT_PUSH_VLAN || (*tagged && a->type != OFPACT_POP_VLAN && a->type != OFPACT_STRIP_VLAN);
        return encode_number(a, w);
    }
}
