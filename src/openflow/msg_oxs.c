/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_oxs.h"

#include "openflow/error.h"

#define OXS_CLASS 0x8002u
#define OXS_HEADER_LEN 4u

static size_t field_len(unsigned int field)
{
    return field == OXS_FLOW_COUNT ? 4 : 8;
}

void oxs_set(struct oxs *o, enum oxs_field field, uint64_t value)
{
    o->values[field] = value;
    o->present |= 1u << field;
}

void oxs_set_time(struct oxs *o, enum oxs_field field, uint32_t sec, uint32_t nsec)
{
    oxs_set(o, field, (uint64_t)sec << 32 | nsec);
}

static void put_field(struct writer *w, const struct oxs *o, enum oxs_field field)
{
    if (!(o->present >> field & 1)) {
        return;
    }
    writer_u32(w, OXS_CLASS << 16 | (uint32_t)field << 9 | (uint32_t)field_len(field));
    if (field == OXS_FLOW_COUNT) {
        writer_u32(w, (uint32_t)o->values[field]);
    } else {
        writer_u64(w, o->values[field]);
    }
}

void oxs_encode(struct writer *w, const struct oxs *o)
{
    /* Open vSwitch's order, so that dumps of the two can be compared byte by byte. */
    static const enum oxs_field order[] = {OXS_DURATION, OXS_IDLE_TIME, OXS_PACKET_COUNT, OXS_BYTE_COUNT,
                                           OXS_FLOW_COUNT};
    size_t start = w->len;

    writer_zeros(w, 2);
    writer_u16(w, 0);
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        put_field(w, o, order[i]);
    }
    writer_patch_u16(w, start + 2, (uint16_t)(w->len - start));
    writer_pad(w, start, 8);
}

int oxs_decode(struct reader *r, struct oxs *ret)
{
    struct oxs o = {.present = 0};

    reader_skip(r, 2);
    uint16_t len = reader_u16(r);
    if (r->error || len < 4) {
        return OFERR_BAD_LEN;
    }
    struct reader tlvs = reader_sub(r, len - 4u);
    reader_skip(r, ROUND_UP(len, 8u) - len);
    while (tlvs.left && !r->error) {
        uint32_t header = reader_u32(&tlvs);
        struct reader value = reader_sub(&tlvs, header & 0xff);
        unsigned int field = header >> 9 & 0x7f;

        if (tlvs.error) {
            return OFERR_BAD_LEN;
        }
        if (header >> 16 == OXS_CLASS && field < OXS_N_FIELDS && value.left == field_len(field)) {
            oxs_set(&o, (enum oxs_field)field, value.left == 4 ? reader_u32(&value) : reader_u64(&value));
        }
    }
    if (r->error) {
        return OFERR_BAD_LEN;
    }
    *ret = o;
    return 0;
}
