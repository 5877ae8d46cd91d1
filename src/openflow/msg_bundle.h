/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_BUNDLE_H
#define WARREN_OPENFLOW_MSG_BUNDLE_H
/*
 * Bundles read: ONF extension 230 in OpenFlow 1.3 (experimenter messages 2300 and 2301), messages 33 and 34 from 1.4 on
 * (7.3.9). The bodies are alike. Writing them is in msg.h (of_bundle_ctrl_encode(), of_bundle_add_begin()).
 */
#include "openflow/msg.h"

struct of_bundle_ctrl {
    uint32_t id;
    enum of_bundle_ctrl_type type;
    uint16_t flags;
};
/* BODY behind the header, or behind vendor and type in 1.3. Properties of experimenters are refused. 0 or OFERR_*. */
int of_bundle_ctrl_decode(struct reader *body, struct of_bundle_ctrl *ret);

struct of_bundle_add {
    uint32_t id;
    uint16_t flags;
    struct of_header h;     /* the message inside */
    const uint8_t *message; /* all of it, in BODY's memory */
};
/* XID and VERSION: the outer message's, which the inner one must have too. */
int of_bundle_add_decode(struct reader *body, uint8_t version, uint32_t xid, struct of_bundle_add *ret);

#endif
