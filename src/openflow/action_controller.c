/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of controller(...), Nicira's output to a chosen controller: the fixed controller action, and the list
 * of properties of controller2 for what that has no room for. Pausing a packet's way for the controller to resume it is
 * recognised and refused.
 */
#include "openflow/action_codec.h"
#include "openflow/error.h"

enum controller2_prop {
    NXAC2PT_MAX_LEN,
    NXAC2PT_CONTROLLER_ID,
    NXAC2PT_REASON,
    NXAC2PT_USERDATA,
    NXAC2PT_PAUSE,
    NXAC2PT_METER_ID,
};

#define OFPR_ACTION 1

static int put_controller(struct ofpacts *acts, const struct ofpact_controller *c, const void *userdata)
{
    struct ofpact_controller *put;

    if (sizeof *c + c->userdata_len > UINT16_MAX - 7) {
        return OFERR_ACTION_BAD_LEN;
    }
    put = ofpact_put(acts, OFPACT_CONTROLLER, sizeof *c + c->userdata_len);
    put->max_len = c->max_len;
    put->controller_id = c->controller_id;
    put->reason = c->reason;
    put->meter_id = c->meter_id;
    put->userdata_len = c->userdata_len;
    if (c->userdata_len) {
        memcpy(put->userdata, userdata, c->userdata_len);
    }
    return 0;
}

int controller_decode(struct reader *r, struct ofpacts *acts)
{
    struct ofpact_controller c = {.max_len = reader_u16(r)};

    c.controller_id = reader_u16(r);
    c.reason = reader_u8(r);
    reader_skip(r, 1);
    return action_end_check(r) ? OFERR_ACTION_BAD_LEN : put_controller(acts, &c, NULL);
}

static int decode_prop(struct reader *body, enum controller2_prop type, struct ofpact_controller *c,
                       const void **userdata)
{
    switch (type) {
    case NXAC2PT_MAX_LEN:
        c->max_len = reader_u16(body);
        break;
    case NXAC2PT_CONTROLLER_ID:
        c->controller_id = reader_u16(body);
        break;
    case NXAC2PT_REASON:
        c->reason = reader_u8(body);
        break;
    case NXAC2PT_USERDATA:
        c->userdata_len = (uint16_t)body->left;
        *userdata = reader_take(body, body->left);
        break;
    case NXAC2PT_METER_ID:
        c->meter_id = reader_u32(body);
        break;
    case NXAC2PT_PAUSE:
    default:
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    return body->error ? OFERR_ACTION_BAD_LEN : 0;
}

int controller2_decode(struct reader *r, struct ofpacts *acts)
{
    struct ofpact_controller c = {.max_len = UINT16_MAX, .reason = OFPR_ACTION};
    const void *userdata = NULL;

    reader_skip(r, 6);
    while (r->left) {
        uint16_t type = reader_u16(r), len = reader_u16(r);
        struct reader body;
        int error;

        if (r->error || len < 4) {
            return OFERR_ACTION_BAD_LEN;
        }
        body = reader_sub(r, ROUND_UP(len, 8) - 4u);
        body.left = MIN(body.left, len - 4u);
        error = decode_prop(&body, (enum controller2_prop)type, &c, &userdata);
        if (error) {
            return error;
        }
    }
    return r->error ? OFERR_ACTION_BAD_LEN : put_controller(acts, &c, userdata);
}

/* A property of LEN bytes: VALUE, from the top. */
static void encode_prop(struct writer *w, enum controller2_prop type, uint16_t len, uint32_t value)
{
    writer_u16(w, (uint16_t)type);
    writer_u16(w, len);
    writer_u32(w, value);
}

void controller_encode(struct writer *w, const struct ofpact_controller *c)
{
    bool second = c->userdata_len || c->meter_id;
    size_t start = nx_begin(w, second ? NXAST_CONTROLLER2 : NXAST_CONTROLLER), prop;

    if (!second) {
        writer_u16(w, c->max_len);
        writer_u16(w, c->controller_id);
        writer_u8(w, c->reason);
        action_end(w, start);
        return;
    }
    writer_zeros(w, 6);
    if (c->max_len != UINT16_MAX) {
        encode_prop(w, NXAC2PT_MAX_LEN, 8, (uint32_t)c->max_len << 16);
    }
    if (c->controller_id) {
        encode_prop(w, NXAC2PT_CONTROLLER_ID, 8, (uint32_t)c->controller_id << 16);
    }
    if (c->reason != OFPR_ACTION) {
        encode_prop(w, NXAC2PT_REASON, 5, (uint32_t)c->reason << 24);
    }
    if (c->userdata_len) {
        prop = w->len;
        writer_u16(w, NXAC2PT_USERDATA);
        writer_u16(w, (uint16_t)(4 + c->userdata_len));
        writer_bytes(w, c->userdata, c->userdata_len);
        writer_pad(w, prop, 8);
    }
    if (c->meter_id) {
        encode_prop(w, NXAC2PT_METER_ID, 8, c->meter_id);
    }
    action_end(w, start);
}
