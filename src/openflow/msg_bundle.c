/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_bundle.h"

#include "openflow/msg_prop.h"

/* 1.4's own messages, before that those of ONF's EXT-230: the same behind the header. */
static size_t bundle_begin(struct writer *w, uint8_t version, enum of_type type, uint32_t exp_type, uint32_t bundle_id,
                           uint32_t xid)
{
    size_t start = version >= OF_VERSION_14 ? of_begin(w, version, type, xid)
                                            : of_begin_experimenter(w, version, OF_EXPERIMENTER_ONF, exp_type, xid);

    writer_u32(w, bundle_id);
    return start;
}

void of_bundle_ctrl_encode(struct writer *w, uint8_t version, uint32_t bundle_id, enum of_bundle_ctrl_type type,
                           uint16_t flags, uint32_t xid)
{
    size_t start = bundle_begin(w, version, OFT_BUNDLE_CONTROL, OF_ONF_BUNDLE_CTRL, bundle_id, xid);

    writer_u16(w, (uint16_t)type);
    writer_u16(w, flags);
    of_end(w, start);
}

size_t of_bundle_add_begin(struct writer *w, uint8_t version, uint32_t bundle_id, uint16_t flags, uint32_t xid)
{
    size_t start = bundle_begin(w, version, OFT_BUNDLE_ADD, OF_ONF_BUNDLE_ADD, bundle_id, xid);

    writer_zeros(w, 2);
    writer_u16(w, flags);
    return start;
}

/* Only experimenters have properties here. */
static int no_props(struct reader *r)
{
    while (r->left) {
        struct of_prop p;
        int error = of_prop_next(r, &p);

        if (!error) {
            error = of_prop_unknown(&p);
        }
        if (error) {
            return error;
        }
    }
    return 0;
}

int of_bundle_ctrl_decode(struct reader *body, struct of_bundle_ctrl *ret)
{
    struct of_bundle_ctrl bc = {.id = reader_u32(body)};

    bc.type = (enum of_bundle_ctrl_type)reader_u16(body);
    bc.flags = reader_u16(body);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (bc.type > OF_BUNDLE_DISCARD_REPLY) {
        return OFERR_BUNDLE_BAD_TYPE;
    }
    int error = no_props(body);
    if (!error) {
        *ret = bc;
    }
    return error;
}

int of_bundle_add_decode(struct reader *body, uint8_t version, uint32_t xid, struct of_bundle_add *ret)
{
    struct of_bundle_add ba = {.id = reader_u32(body)};

    reader_skip(body, 2);
    ba.flags = reader_u16(body);
    if (body->error || of_header_decode(body->data, body->left, &ba.h) || ba.h.length > body->left) {
        return OFERR_BUNDLE_BAD_LEN;
    }
    if (ba.h.version != version) {
        return OFERR_BAD_VERSION;
    }
    if (ba.h.xid != xid) {
        return OFERR_BUNDLE_BAD_XID;
    }
    ba.message = reader_take(body, ba.h.length);
    reader_skip(body, MIN(body->left, ROUND_UP(ba.h.length, 8u) - ba.h.length));
    int error = no_props(body);
    if (!error) {
        *ret = ba;
    }
    return error;
}
