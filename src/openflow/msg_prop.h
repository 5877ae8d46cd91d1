/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_PROP_H
#define WARREN_OPENFLOW_MSG_PROP_H
/*
 * Property lists, OpenFlow 1.4's way to let messages grow (7.2.1): 16-bit type, 16-bit length with the 4 bytes of the
 * header, and padding to 8 bytes that the length does not count. For the files of the message codecs.
 */
#include "openflow/error.h"
#include "openflow/msg.h"

/* From here on: an experimenter's, with its number and type in front of the rest. */
#define OF_PROP_EXPERIMENTERS 0xfffe

struct of_prop {
    uint16_t type;
    struct reader body; /* behind the header */
};
/* Takes the next property off R. 0 or OFERR_PROPERTY_BAD_LEN. */
int of_prop_next(struct reader *r, struct of_prop *ret);
/* What to answer to a property that the message does not know. */
int of_prop_unknown(const struct of_prop *p);
/* Nothing may be left of P. 0 or OFERR_PROPERTY_BAD_LEN. */
int of_prop_end_ok(const struct of_prop *p);

size_t of_prop_begin(struct writer *w, uint16_t type);
void of_prop_end(struct writer *w, size_t start);
void of_prop_u32(struct writer *w, uint16_t type, uint32_t v);

/* Ports on the wire: 16 bits in OpenFlow 1.0, 32 from then on. Numbers that neither can be (above OFPP_MAX of 1.0 but
 * not reserved) are OFERR_BAD_PORT. */
int of_port_no_read(struct reader *r, uint8_t version, ofp_port_t *ret);
void of_port_no_write(struct writer *w, uint8_t version, ofp_port_t port);

#endif
