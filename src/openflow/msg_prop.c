/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_prop.h"

#include "openflow/action_codec.h"

#define PROP_HEADER_LEN 4u
#define PORT_MAX_10 0xff00u

int of_prop_next(struct reader *r, struct of_prop *ret)
{
    uint16_t type = reader_u16(r), len = reader_u16(r);

    if (r->error || len < PROP_HEADER_LEN || ROUND_UP(len, 8u) - PROP_HEADER_LEN > r->left) {
        return OFERR_PROPERTY_BAD_LEN;
    }
    ret->type = type;
    ret->body = reader_sub(r, len - PROP_HEADER_LEN);
    reader_skip(r, ROUND_UP(len, 8u) - len);
    return 0;
}

int of_prop_unknown(const struct of_prop *p)
{
    struct reader body = p->body;

    if (p->type < OF_PROP_EXPERIMENTERS) {
        return OFERR_PROPERTY_BAD_TYPE;
    }
    uint32_t experimenter = reader_u32(&body);
    reader_u32(&body);
    if (body.error) {
        return OFERR_PROPERTY_BAD_LEN;
    }
    return experimenter == OF_EXPERIMENTER_ONF || experimenter == OF_EXPERIMENTER_NX ? OFERR_PROPERTY_BAD_EXP_TYPE
                                                                                     : OFERR_PROPERTY_BAD_EXPERIMENTER;
}

int of_prop_end_ok(const struct of_prop *p)
{
    return p->body.error || p->body.left ? OFERR_PROPERTY_BAD_LEN : 0;
}

size_t of_prop_begin(struct writer *w, uint16_t type)
{
    size_t start = w->len;

    writer_u16(w, type);
    writer_u16(w, 0);
    return start;
}

void of_prop_end(struct writer *w, size_t start)
{
    writer_patch_u16(w, start + 2, (uint16_t)(w->len - start));
    writer_pad(w, start, 8);
}

void of_prop_u32(struct writer *w, uint16_t type, uint32_t v)
{
    size_t start = of_prop_begin(w, type);

    writer_u32(w, v);
    of_prop_end(w, start);
}

int of_port_no_read(struct reader *r, uint8_t version, ofp_port_t *ret)
{
    if (version == OF_VERSION_10) {
        ofp_port_t port = ofp_port_from_16(reader_u16(r));

        *ret = port;
        return r->error ? OFERR_BAD_LEN : 0;
    }
    uint32_t port = reader_u32(r);

    if (r->error) {
        return OFERR_BAD_LEN;
    }
    if (port >= PORT_MAX_10 && port < ofp_port_u32(OFPP_MAX)) {
        return OFERR_BAD_PORT;
    }
    *ret = ofp_port(port);
    return 0;
}

void of_port_no_write(struct writer *w, uint8_t version, ofp_port_t port)
{
    if (version == OF_VERSION_10) {
        writer_u16(w, ofp_port_to_16(port));
    } else {
        writer_u32(w, ofp_port_u32(port));
    }
}
