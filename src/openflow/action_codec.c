/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of lists of actions, and of instructions (OpenFlow 1.3, 7.2.4). OpenFlow 1.0 has no instructions: there
 * a list of actions is all, with write_metadata as Nicira's action and goto_table as a resubmit.
 */
#include "openflow/action_codec.h"

#include "openflow/error.h"

#define ACTION_EXPERIMENTER 0xffff

enum of_instruction {
    OFPIT_GOTO_TABLE = 1,
    OFPIT_WRITE_METADATA,
    OFPIT_WRITE_ACTIONS,
    OFPIT_APPLY_ACTIONS,
    OFPIT_CLEAR_ACTIONS,
    OFPIT_METER,        /* not from OpenFlow 1.5 on */
    OFPIT_STAT_TRIGGER, /* 1.5, optional */
    OFPIT_MAX = OFPIT_STAT_TRIGGER,
    OFPIT_EXPERIMENTER = 0xffff,
};

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
        return onf_action_decode(r, version, acts);
    default:
        return OFERR_ACTION_BAD_EXPERIMENTER;
    }
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
        if (type == ACTION_EXPERIMENTER) {
            error = decode_experimenter(&body, version, depth, acts);
        } else if (version == 1) {
            error = of10_action_decode(&body, type, acts);
        } else {
            error = std_action_decode(&body, type, version, acts);
        }
        if (error) {
            return error;
        }
    }
    return r->error ? OFERR_ACTION_BAD_LEN : 0;
}

/* OpenFlow 1.0's write_metadata is an instruction of the others, that stands once and behind the actions. */
static int metadata_last(const void *acts, size_t len)
{
    bool seen = false;

    OFPACT_FOR_EACH(a, acts, len) {
        if (seen) {
            return OFERR_ACTION_UNSUPPORTED_ORDER;
        }
        seen = a->type == OFPACT_WRITE_METADATA;
    }
    return 0;
}

int ofpacts_decode_actions(struct reader *r, uint8_t version, struct ofpacts *acts)
{
    size_t start = acts->len;
    int error = actions_decode(r, version, 0, acts);

    error = error ? error : metadata_last(acts->data + start, acts->len - start);
    if (error) {
        acts->len = start;
    }
    return error;
}

struct instructions {
    struct reader body[OFPIT_MAX];
    bool present[OFPIT_MAX];
};

static int split_instructions(struct reader *r, uint8_t version, struct instructions *in)
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
        if (type == OFPIT_STAT_TRIGGER && version >= 6) {
            return OFERR_INST_UNSUPPORTED;
        }
        if (!type || type >= OFPIT_MAX || (type == OFPIT_METER && version >= 6)) {
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
    put_u32(acts, OFPACT_METER, id);
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
    put_u16(acts, OFPACT_GOTO_TABLE, table);
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
    int error;

    if (version == 1) {
        return ofpacts_decode_actions(r, version, acts);
    }
    error = split_instructions(r, version, &in);
    error = error ? error : decode_in_order(&in, version, acts);
    if (error) {
        acts->len = start;
    }
    return error;
}

size_t action_begin(struct writer *w, uint16_t type)
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

/* What stands beside apply_actions in version VERSION. */
static bool is_instruction(const struct ofpact *a, uint8_t version)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_METER:
        return version < 6;
    case OFPACT_CLEAR_ACTIONS:
    case OFPACT_WRITE_ACTIONS:
    case OFPACT_WRITE_METADATA:
    case OFPACT_GOTO_TABLE:
        return version > 1;
    default:
        return false;
    }
}

void ofpacts_encode_actions(const void *acts, size_t len, uint8_t version, struct writer *w)
{
    bool tagged = false;

    OFPACT_FOR_EACH(a, acts, len) {
        if (!is_instruction(a, version) &&
            !(version == 1 ? of10_action_encode(a, w) : std_action_encode(a, version, &tagged, w))) {
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
        start = action_begin(w, OFPIT_METER);
        writer_u32(w, ((const struct ofpact_u32 *)(const void *)a)->v);
        break;
    case OFPACT_CLEAR_ACTIONS:
        start = action_begin(w, OFPIT_CLEAR_ACTIONS);
        writer_zeros(w, 4);
        break;
    case OFPACT_WRITE_ACTIONS:
        start = action_begin(w, OFPIT_WRITE_ACTIONS);
        writer_zeros(w, 4);
        ofpacts_encode_actions(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), version, w);
        break;
    case OFPACT_WRITE_METADATA:
        start = action_begin(w, OFPIT_WRITE_METADATA);
        writer_zeros(w, 4);
        writer_be64(w, m->value);
        writer_be64(w, m->mask);
        break;
    case OFPACT_GOTO_TABLE:
        start = action_begin(w, OFPIT_GOTO_TABLE);
        writer_u8(w, (uint8_t)((const struct ofpact_u16 *)(const void *)a)->v);
        break;
    default:
        return;
    }
    action_end(w, start);
}

void ofpacts_encode_instructions(const void *acts, size_t len, uint8_t version, struct writer *w)
{
    size_t start;

    if (version == 1) {
        ofpacts_encode_actions(acts, len, version, w);
        return;
    }
    OFPACT_FOR_EACH(a, acts, len) {
        if (a->type == OFPACT_METER && version < 6) {
            encode_instruction(a, version, w);
            break; /* there can be but one */
        }
    }
    start = action_begin(w, OFPIT_APPLY_ACTIONS);
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
