/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg.h"

#include <endian.h>

#define HELLO_ELEMENT_VERSIONBITMAP 1
#define ERROR_TYPE_EXPERIMENTER 0xffff
#define ERROR_TYPE_NICIRA_10 0xb0c2 /* Nicira's vendor errors in 1.0 and 1.1 */
#define ERROR_DATA_MAX 1024
#define OFPMT_OXM 1

/* ---- header ---- */

/* OpenFlow 1.0's numbers, from 15 on where they differ. */
static const uint8_t types_10[] = {
    OFT_PORT_MOD,      OFT_MULTIPART_REQUEST,        OFT_MULTIPART_REPLY,        OFT_BARRIER_REQUEST,
    OFT_BARRIER_REPLY, OFT_QUEUE_GET_CONFIG_REQUEST, OFT_QUEUE_GET_CONFIG_REPLY,
};
#define FIRST_OTHER_10 15

static uint8_t type_from_wire(uint8_t version, uint8_t type)
{
    if (version > OF_VERSION_10) {
        return type;
    }
    if (type < FIRST_OTHER_10) {
        return type;
    }
    return type - FIRST_OTHER_10 < (int)ARRAY_SIZE(types_10) ? types_10[type - FIRST_OTHER_10] : OFT_UNKNOWN;
}

static uint8_t type_to_wire(uint8_t version, enum of_type type)
{
    for (uint8_t i = 0; version == OF_VERSION_10 && i < ARRAY_SIZE(types_10); i++) {
        if (types_10[i] == type) {
            return (uint8_t)(FIRST_OTHER_10 + i);
        }
    }
    return (uint8_t)type;
}

int of_header_decode(const void *data, size_t len, struct of_header *ret)
{
    struct reader r = reader_of(data, len);
    struct of_header h;

    h.version = reader_u8(&r);
    h.type = type_from_wire(h.version, reader_u8(&r));
    h.length = reader_u16(&r);
    h.xid = reader_u32(&r);
    if (r.error || h.length < OF_HEADER_LEN) {
        return -EBADMSG;
    }
    *ret = h;
    return 0;
}

size_t of_begin(struct writer *w, uint8_t version, enum of_type type, uint32_t xid)
{
    size_t start = w->len;

    writer_u8(w, version);
    writer_u8(w, type_to_wire(version, type));
    writer_u16(w, 0);
    writer_u32(w, xid);
    return start;
}

size_t of_begin_experimenter(struct writer *w, uint8_t version, uint32_t experimenter, uint32_t exp_type, uint32_t xid)
{
    size_t start = of_begin(w, version, OFT_EXPERIMENTER, xid);

    writer_u32(w, experimenter);
    writer_u32(w, exp_type);
    return start;
}

void of_end(struct writer *w, size_t start)
{
    size_t len = w->len - start;

    if (len > OF_MAX_LEN) {
        w->error = -EMSGSIZE;
        return;
    }
    writer_patch_u16(w, start + 2, (uint16_t)len);
}

void of_encode_empty(struct writer *w, uint8_t version, enum of_type type, uint32_t xid)
{
    of_end(w, of_begin(w, version, type, xid));
}

/* ---- hello, errors ---- */

void of_hello_encode(struct writer *w, uint32_t versions, uint32_t xid)
{
    uint8_t highest = 1;

    for (uint8_t v = 1; v < 32; v++) {
        if (versions >> v & 1) {
            highest = v;
        }
    }
    size_t start = of_begin(w, highest, OFT_HELLO, xid);
    writer_u16(w, HELLO_ELEMENT_VERSIONBITMAP);
    writer_u16(w, 8);
    writer_u32(w, versions);
    of_end(w, start);
}

uint32_t of_hello_decode(const struct of_header *h, const void *body, size_t len)
{
    struct reader r = reader_of(body, len);

    while (r.left >= 4 && !r.error) {
        uint16_t type = reader_u16(&r);
        uint16_t element_len = reader_u16(&r);

        if (element_len < 4) {
            break;
        }
        struct reader element = reader_sub(&r, element_len - 4u);
        reader_skip(&r, MIN(r.left, ROUND_UP(element_len, 8u) - element_len));
        if (type == HELLO_ELEMENT_VERSIONBITMAP && element.left >= 4) {
            return reader_u32(&element);
        }
    }
    return h->version >= 31 ? 0xfffffffeu : ((2u << h->version) - 1) & ~1u;
}

void of_error_encode(struct writer *w, uint8_t version, int error, const void *request, size_t request_len,
                     uint32_t xid)
{
    size_t start = of_begin(w, version, OFT_ERROR, xid);
    struct oferr_wire wire;

    if (!oferr_is(error)) {
        error = error == -ENOMEM || error == -ENOSPC ? OFERR_FLOW_MOD_TABLE_FULL : OFERR_EPERM;
    }
    wire = oferr_to_wire(error, version);
    if (!wire.experimenter) {
        writer_u16(w, wire.type);
        writer_u16(w, wire.code);
    } else if (version == OF_VERSION_10) {
        writer_u16(w, ERROR_TYPE_NICIRA_10);
        writer_u16(w, 0);
        writer_u32(w, wire.experimenter);
        writer_u16(w, wire.type);
        writer_u16(w, wire.code);
    } else {
        writer_u16(w, ERROR_TYPE_EXPERIMENTER);
        writer_u16(w, wire.code);
        writer_u32(w, wire.experimenter);
    }
    writer_bytes(w, request, MIN(request_len, ERROR_DATA_MAX));
    of_end(w, start);
}

void of_hello_failed_encode(struct writer *w, uint8_t version, const char *text, uint32_t xid)
{
    of_error_encode(w, version, OFERR_HELLO_INCOMPATIBLE, text, strlen(text), xid);
}

int of_error_decode(const void *body, size_t len, uint8_t version)
{
    struct reader r = reader_of(body, len);
    struct oferr_wire wire = {.type = reader_u16(&r)};

    wire.code = reader_u16(&r);
    if (version == OF_VERSION_10 && wire.type == ERROR_TYPE_NICIRA_10) {
        wire.experimenter = reader_u32(&r);
        wire.type = reader_u16(&r);
        wire.code = reader_u16(&r);
    } else if (version > OF_VERSION_10 && wire.type == ERROR_TYPE_EXPERIMENTER) {
        wire.experimenter = reader_u32(&r);
        wire.type = 0;
    }
    return r.error ? -EBADMSG : oferr_from_wire(&wire, version);
}

/* ---- match with its header ---- */

int of_match_decode(struct reader *r, struct match *ret)
{
    uint16_t type = reader_u16(r);
    uint16_t len = reader_u16(r);

    if (r->error || len < 4) {
        return OFERR_MATCH_BAD_LEN;
    }
    if (type != OFPMT_OXM) {
        return OFERR_MATCH_BAD_TYPE;
    }
    if (len - 4u > r->left) {
        return OFERR_MATCH_BAD_LEN;
    }
    struct reader tlvs = reader_sub(r, len - 4u);
    reader_skip(r, ROUND_UP(len, 8u) - len);
    if (r->error) {
        return OFERR_MATCH_BAD_LEN;
    }
    return match_decode(&tlvs, ret, NULL, NULL);
}

void of_match_encode(struct writer *w, uint8_t version, const struct match *match)
{
    size_t start = w->len;

    writer_u16(w, OFPMT_OXM);
    writer_u16(w, 0);
    match_encode(match, version, w);
    writer_patch_u16(w, start + 2, (uint16_t)(w->len - start));
    writer_pad(w, start, 8);
}
