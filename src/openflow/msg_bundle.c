/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg.h"

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
