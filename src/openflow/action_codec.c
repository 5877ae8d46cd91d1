/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of instructions and of the standard's actions (OpenFlow 1.3, 7.2.4 and 7.2.5).
 */
#include "openflow/action_codec.h"

#include <endian.h>
#include <netinet/in.h>

#include "openflow/error.h"

enum of13_action {
    OFPAT_OUTPUT = 0,
    OFPAT_SET_MPLS_TTL = 15,
    OFPAT_PUSH_VLAN = 17,
    OFPAT_POP_VLAN = 18,
    OFPAT_PUSH_MPLS = 19,
    OFPAT_POP_MPLS = 20,
    OFPAT_SET_QUEUE = 21,
    OFPAT_GROUP = 22,
    OFPAT_SET_NW_TTL = 23,
    OFPAT_DEC_NW_TTL = 24,
    OFPAT_SET_FIELD = 25,
    OFPAT_EXPERIMENTER = 0xffff,
};

enum of_instruction {
    OFPIT_GOTO_TABLE = 1,
    OFPIT_WRITE_METADATA,
    OFPIT_WRITE_ACTIONS,
    OFPIT_APPLY_ACTIONS,
    OFPIT_CLEAR_ACTIONS,
    OFPIT_METER,
    OFPIT_MAX,
    OFPIT_EXPERIMENTER = 0xffff,
};

void set_field_put(struct ofpacts *acts, const struct field *f, const union field_value *value)
{
    struct ofpact_set_field *sf = ofpact_put(acts, OFPACT_SET_FIELD, sizeof *sf);

    sf->field = f;
    sf->value = *value;
    sf->mask = field_ones(f);
}

const struct field *field_header_read(struct reader *r)
{
    uint32_t header = reader_u32(r);

    if (header >> 16 == 0xffff) {
        /* The one experimenter field: ONF's tcp_flags of 1.3. */
        bool tcp_flags = (header >> 9 & 127) == 42;

        return reader_u32(r) == ONF_EXPERIMENTER && tcp_flags ? field_get(FIELD_TCP_FLAGS) : NULL;
    }
    return r->error ? NULL : field_by_header(header);
}

int set_field_decode(struct reader *r, bool mask_allowed, struct ofpacts *acts)
{
    struct reader peek = *r;
    uint32_t header = reader_u32(&peek);
    const struct field *f = field_header_read(r);
    bool masked = header & 0x100;
    union field_value value = {0}, mask, ones;
    struct ofpact_set_field *sf;

    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (!f) {
        return OFERR_ACTION_BAD_SET_TYPE;
    }
    if ((header & 0xff) != (masked ? 2u : 1u) * f->n_bytes) {
        return OFERR_ACTION_BAD_SET_LEN;
    }
    mask = ones = field_ones(f);
    reader_copy(r, value.b, f->n_bytes);
    if (masked) {
        reader_copy(r, mask.b, f->n_bytes);
    }
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (!f->writable || !field_value_fits(f, &value) || (masked && !mask_allowed)) {
        return OFERR_ACTION_BAD_SET_ARGUMENT;
    }
    for (size_t i = 0; i < f->n_bytes; i++) {
        if (value.b[i] & ~mask.b[i] || mask.b[i] & ~ones.b[i]) {
            return OFERR_ACTION_BAD_SET_ARGUMENT;
        }
    }
    if (f->id == FIELD_VLAN_VID && !(value.b[0] & FLOW_VLAN_PRESENT >> 8)) {
        return OFERR_ACTION_BAD_SET_ARGUMENT; /* set_field cannot take a tag away (OpenFlow 1.5, 7.2.6.7) */
    }
    sf = ofpact_put(acts, OFPACT_SET_FIELD, sizeof *sf);
    sf->field = f;
    sf->value = value;
    sf->mask = mask;
    return 0;
}

static int decode_output(struct reader *r, struct ofpacts *acts)
{
    ofp_port_t port = ofp_port(reader_u32(r));
    uint16_t max_len = reader_u16(r);
    struct ofpact_output *out;

    reader_skip(r, 6);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    if (!output_port_ok(port)) {
        return OFERR_ACTION_BAD_OUT_PORT;
    }
    out = ofpact_put(acts, OFPACT_OUTPUT, sizeof *out);
    out->port = port;
    out->max_len = max_len;
    return 0;
}

/* An action of a 16-bit EtherType and two bytes of padding. */
static int decode_u16(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
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
    ((struct ofpact_u16 *)ofpact_put(acts, type, sizeof(struct ofpact_u16)))->v = v;
    return 0;
}

static int decode_set_ttl(struct reader *r, enum field_id id, struct ofpacts *acts)
{
    union field_value v = {.b = {reader_u8(r)}};

    reader_skip(r, 3);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    set_field_put(acts, field_get(id), &v);
    return 0;
}

static int decode_plain(struct reader *r, enum ofpact_type type, struct ofpacts *acts)
{
    reader_skip(r, 4);
    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    ofpact_put(acts, type, sizeof(struct ofpact));
    return 0;
}

static int decode_experimenter(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts)
{
    uint32_t experimenter = reader_u32(r);

    if (r->error) {
        return OFERR_ACTION_BAD_LEN;
    }
    switch (experimenter) {
    case NX_EXPERIMENTER:
        return nx_action_decode(r, version, depth, acts);
    case ONF_EXPERIMENTER:
        return onf_action_decode(r, acts);
    default:
        return OFERR_ACTION_BAD_EXPERIMENTER;
    }
}

static int decode_of13(struct reader *r, uint16_t type, uint8_t version, struct ofpacts *acts)
{
    switch ((enum of13_action)type) {
    case OFPAT_OUTPUT:
        return decode_output(r, acts);
    case OFPAT_SET_MPLS_TTL:
        return decode_set_ttl(r, FIELD_MPLS_TTL, acts);
    case OFPAT_SET_NW_TTL:
        return decode_set_ttl(r, FIELD_IP_TTL, acts);
    case OFPAT_PUSH_VLAN:
        return decode_u16(r, OFPACT_PUSH_VLAN, acts);
    case OFPAT_PUSH_MPLS:
        return decode_u16(r, OFPACT_PUSH_MPLS, acts);
    case OFPAT_POP_MPLS:
        return decode_u16(r, OFPACT_POP_MPLS, acts);
    case OFPAT_POP_VLAN:
        return decode_plain(r, OFPACT_POP_VLAN, acts);
    case OFPAT_DEC_NW_TTL:
        return decode_plain(r, OFPACT_DEC_TTL, acts);
    case OFPAT_GROUP:
        return OFERR_ACTION_BAD_OUT_GROUP; /* no group exists */
    case OFPAT_SET_QUEUE: {
        uint32_t queue = reader_u32(r);

        if (r->error) {
            return OFERR_ACTION_BAD_LEN;
        }
        ((struct ofpact_u32 *)ofpact_put(acts, OFPACT_SET_QUEUE, sizeof(struct ofpact_u32)))->v = queue;
        return 0;
    }
    case OFPAT_SET_FIELD:
        return set_field_decode(r, version >= 6, acts);
    default:
        return OFERR_ACTION_BAD_TYPE;
    }
}

/* What an action leaves of its bytes: only set_field, whose TLV is padded, and the experimenters' may. */
static int check_rest(const struct reader *body, uint16_t type)
{
    if (type == OFPAT_EXPERIMENTER) {
        return 0; /* its own decoder looked */
    }
    return body->left && (type != OFPAT_SET_FIELD || body->left >= 8) ? OFERR_ACTION_BAD_LEN : 0;
}

int actions_decode(struct reader *r, uint8_t version, unsigned int depth, struct ofpacts *acts)
{
    while (r->left) {
        uint16_t type = reader_u16(r), len = reader_u16(r);
        struct reader body;
        int error;

        if (r->error || len < 8 || len % 8) {
            return OFERR_ACTION_BAD_LEN;
        }
        body = reader_sub(r, len - 4u);
        if (body.error) {
            return OFERR_ACTION_BAD_LEN;
        }
        error = type == OFPAT_EXPERIMENTER ? decode_experimenter(&body, version, depth, acts)
                                           : decode_of13(&body, type, version, acts);
        error = error ? error : check_rest(&body, type);
        if (error) {
            return error;
        }
    }
    return r->error ? OFERR_ACTION_BAD_LEN : 0;
}

int ofpacts_decode_actions(struct reader *r, uint8_t version, struct ofpacts *acts)
{
    size_t start = acts->len;
    int error = actions_decode(r, version, 0, acts);

    if (error) {
        acts->len = start;
    }
    return error;
}

struct instructions {
    struct reader body[OFPIT_MAX];
    bool present[OFPIT_MAX];
};

static int split_instructions(struct reader *r, struct instructions *in)
{
    while (r->left) {
        uint16_t type = reader_u16(r), len = reader_u16(r);
        struct reader body;

        if (r->error || len < 8 || len % 8) {
            return OFERR_INST_BAD_LEN;
        }
        body = reader_sub(r, len - 4u);
        if (body.error) {
            return OFERR_INST_BAD_LEN;
        }
        if (type == OFPIT_EXPERIMENTER) {
            return OFERR_INST_BAD_EXPERIMENTER;
        }
        if (!type || type >= OFPIT_MAX) {
            return OFERR_INST_UNKNOWN;
        }
        if (in->present[type]) {
            return OFERR_INST_DUP;
        }
        in->present[type] = true;
        in->body[type] = body;
    }
    return r->error ? OFERR_INST_BAD_LEN : 0;
}

static int decode_meter(struct reader *r, struct ofpacts *acts)
{
    uint32_t id = reader_u32(r);

    if (r->error || r->left) {
        return OFERR_INST_BAD_LEN;
    }
    ((struct ofpact_u32 *)ofpact_put(acts, OFPACT_METER, sizeof(struct ofpact_u32)))->v = id;
    return 0;
}

static int decode_write_actions(struct reader *r, uint8_t version, struct ofpacts *acts)
{
    size_t nest = ofpact_nest_open(acts, OFPACT_WRITE_ACTIONS);
    int error;

    reader_skip(r, 4);
    error = actions_decode(r, version, 0, acts);
    return error ? error : ofpact_nest_close(acts, nest) ? 0 : OFERR_ACTION_TOO_MANY;
}

static int decode_metadata(struct reader *r, struct ofpacts *acts)
{
    struct ofpact_metadata *m;
    __be64 value, mask;

    reader_skip(r, 4);
    value = reader_be64(r);
    mask = reader_be64(r);
    if (r->error || r->left) {
        return OFERR_INST_BAD_LEN;
    }
    m = ofpact_put(acts, OFPACT_WRITE_METADATA, sizeof *m);
    m->value = value & mask;
    m->mask = mask;
    return 0;
}

static int decode_goto(struct reader *r, struct ofpacts *acts)
{
    uint8_t table = reader_u8(r);

    reader_skip(r, 3);
    if (r->error || r->left) {
        return OFERR_INST_BAD_LEN;
    }
    if (table > TABLE_ID_MAX) {
        return OFERR_INST_BAD_TABLE_ID;
    }
    ((struct ofpact_u16 *)ofpact_put(acts, OFPACT_GOTO_TABLE, sizeof(struct ofpact_u16)))->v = table;
    return 0;
}

static int decode_in_order(struct instructions *in, uint8_t version, struct ofpacts *acts)
{
    int error = 0;

    if (in->present[OFPIT_METER]) {
        error = decode_meter(&in->body[OFPIT_METER], acts);
    }
    if (!error && in->present[OFPIT_APPLY_ACTIONS]) {
        reader_skip(&in->body[OFPIT_APPLY_ACTIONS], 4);
        error = actions_decode(&in->body[OFPIT_APPLY_ACTIONS], version, 0, acts);
    }
    if (!error && in->present[OFPIT_CLEAR_ACTIONS]) {
        error = in->body[OFPIT_CLEAR_ACTIONS].left != 4 ? OFERR_INST_BAD_LEN : 0;
        ofpact_put(acts, OFPACT_CLEAR_ACTIONS, sizeof(struct ofpact));
    }
    if (!error && in->present[OFPIT_WRITE_ACTIONS]) {
        error = decode_write_actions(&in->body[OFPIT_WRITE_ACTIONS], version, acts);
    }
    if (!error && in->present[OFPIT_WRITE_METADATA]) {
        error = decode_metadata(&in->body[OFPIT_WRITE_METADATA], acts);
    }
    if (!error && in->present[OFPIT_GOTO_TABLE]) {
        error = decode_goto(&in->body[OFPIT_GOTO_TABLE], acts);
    }
    return error;
}

int ofpacts_decode_instructions(struct reader *r, uint8_t version, struct ofpacts *acts)
{
    struct instructions in = {0};
    size_t start = acts->len;
    int error = split_instructions(r, &in);

    error = error ? error : decode_in_order(&in, version, acts);
    if (error) {
        acts->len = start;
    }
    return error;
}

static size_t begin(struct writer *w, uint16_t type)
{
    size_t start = w->len;

    writer_u16(w, type);
    writer_u16(w, 0);
    return start;
}

void action_end(struct writer *w, size_t start)
{
    writer_pad(w, start, 8);
    if (w->len - start > UINT16_MAX) {
        w->error = w->error ? w->error : -EMSGSIZE;
    }
    writer_patch_u16(w, start + 2, (uint16_t)(w->len - start));
}

static void encode_u16(struct writer *w, enum of13_action type, uint16_t v)
{
    size_t start = begin(w, type);

    writer_u16(w, v);
    action_end(w, start);
}

static void encode_plain(struct writer *w, enum of13_action type)
{
    size_t start = begin(w, type);

    writer_zeros(w, 4);
    action_end(w, start);
}

static void encode_set_field(struct writer *w, const struct field *f, uint8_t version, const union field_value *value)
{
    size_t start = begin(w, OFPAT_SET_FIELD);

    writer_u32(w, field_header(f, version));
    writer_bytes(w, value->b, f->n_bytes);
    action_end(w, start);
}

static void encode_output(struct writer *w, const struct ofpact_output *out)
{
    size_t start = begin(w, OFPAT_OUTPUT);

    writer_u32(w, ofp_port_u32(out->port));
    writer_u16(w, out->max_len);
    writer_zeros(w, 6);
    action_end(w, start);
}

/* OpenFlow 1.0's action that also makes the tag. */
static void encode_set_vlan(struct writer *w, const struct ofpact_u16 *a, uint8_t version, bool tagged)
{
    union field_value v = {0};

    if (!tagged && !a->has_vlan) {
        encode_u16(w, OFPAT_PUSH_VLAN, 0x8100);
    }
    if (a->h.type == OFPACT_SET_VLAN_VID) {
        v.b[0] = (uint8_t)((a->v | FLOW_VLAN_PRESENT) >> 8);
        v.b[1] = (uint8_t)a->v;
        encode_set_field(w, field_get(FIELD_VLAN_VID), version, &v);
    } else {
        v.b[0] = (uint8_t)a->v;
        encode_set_field(w, field_get(FIELD_VLAN_PCP), version, &v);
    }
}

/* True: A was written. Everything else is an experimenter's, or an instruction. */
static bool encode_of13(const struct ofpact *a, uint8_t version, bool *tagged, struct writer *w)
{
    const void *p = a;
    const struct ofpact_u16 *u16 = p;
    const struct ofpact_set_field *sf = p;
    union field_value v, ones;
    size_t start;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_OUTPUT:
        encode_output(w, p);
        return true;
    case OFPACT_PUSH_VLAN:
        encode_u16(w, OFPAT_PUSH_VLAN, u16->v);
        *tagged = true;
        return true;
    case OFPACT_POP_VLAN:
        encode_plain(w, OFPAT_POP_VLAN);
        *tagged = false;
        return true;
    case OFPACT_PUSH_MPLS:
        encode_u16(w, OFPAT_PUSH_MPLS, u16->v);
        return true;
    case OFPACT_POP_MPLS:
        encode_u16(w, OFPAT_POP_MPLS, u16->v);
        return true;
    case OFPACT_DEC_TTL:
        encode_plain(w, OFPAT_DEC_NW_TTL);
        return true;
    case OFPACT_SET_VLAN_VID:
    case OFPACT_SET_VLAN_PCP:
        encode_set_vlan(w, u16, version, *tagged);
        *tagged = true;
        return true;
    case OFPACT_SET_QUEUE:
        start = begin(w, OFPAT_SET_QUEUE);
        writer_u32(w, ((const struct ofpact_u32 *)p)->v);
        action_end(w, start);
        return true;
    case OFPACT_SET_TUNNEL:
        v = field_value_from_u64(((const struct ofpact_u64 *)p)->v);
        memmove(v.b, v.b + 8, 8);
        encode_set_field(w, field_get(FIELD_TUN_ID), version, &v);
        return true;
    case OFPACT_SET_FIELD:
        ones = field_ones(sf->field);
        if (memcmp(&sf->mask, &ones, sizeof ones)) {
            return false; /* masked ones came with OpenFlow 1.5 */
        }
        encode_set_field(w, sf->field, version, &sf->value);
        return true;
    default:
        return false;
    }
}

static bool is_instruction(const struct ofpact *a)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_METER:
    case OFPACT_CLEAR_ACTIONS:
    case OFPACT_WRITE_ACTIONS:
    case OFPACT_WRITE_METADATA:
    case OFPACT_GOTO_TABLE:
        return true;
    default:
        return false;
    }
}

void ofpacts_encode_actions(const void *acts, size_t len, uint8_t version, struct writer *w)
{
    bool tagged = false;

    OFPACT_FOR_EACH(a, acts, len) {
        if (!is_instruction(a) && !encode_of13(a, version, &tagged, w)) {
            nx_action_encode(a, version, w);
        }
    }
}

static void encode_instruction(const struct ofpact *a, uint8_t version, struct writer *w)
{
    const struct ofpact_metadata *m = (const void *)a;
    size_t start;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_METER:
        start = begin(w, OFPIT_METER);
        writer_u32(w, ((const struct ofpact_u32 *)(const void *)a)->v);
        break;
    case OFPACT_CLEAR_ACTIONS:
        start = begin(w, OFPIT_CLEAR_ACTIONS);
        writer_zeros(w, 4);
        break;
    case OFPACT_WRITE_ACTIONS:
        start = begin(w, OFPIT_WRITE_ACTIONS);
        writer_zeros(w, 4);
        ofpacts_encode_actions(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), version, w);
        break;
    case OFPACT_WRITE_METADATA:
        start = begin(w, OFPIT_WRITE_METADATA);
        writer_zeros(w, 4);
        writer_be64(w, m->value);
        writer_be64(w, m->mask);
        break;
    case OFPACT_GOTO_TABLE:
        start = begin(w, OFPIT_GOTO_TABLE);
        writer_u8(w, (uint8_t)((const struct ofpact_u16 *)(const void *)a)->v);
        break;
    default:
        return;
    }
    action_end(w, start);
}

void ofpacts_encode_instructions(const void *acts, size_t len, uint8_t version, struct writer *w)
{
    size_t start = w->len;

    OFPACT_FOR_EACH(a, acts, len) {
        if (a->type == OFPACT_METER) {
            encode_instruction(a, version, w);
        }
    }
    start = begin(w, OFPIT_APPLY_ACTIONS);
    writer_zeros(w, 4);
    ofpacts_encode_actions(acts, len, version, w);
    if (w->len == start + 8) {
        w->len = start; /* an empty one would say nothing */
    } else {
        action_end(w, start);
    }
    OFPACT_FOR_EACH(a, acts, len) {
        if (a->type != OFPACT_METER) {
            encode_instruction(a, version, w);
        }
    }
}
