/* SPDX-License-Identifier: Apache-2.0 */
/* Meters: OpenFlow 1.3, 7.3.4.5 (meter_mod) and 7.3.5.12 to 7.3.5.14. Later versions changed names only; 1.5's new
 * word of features is left out, as Open vSwitch's tools take no longer message. */
#include "openflow/msg_meter.h"

#include "openflow/error.h"

#define BAND_LEN 16
#define BAND_EXPERIMENTER 0xffff
#define KNOWN_FLAGS (OF_METER_KBPS | OF_METER_PKTPS | OF_METER_BURST | OF_METER_STATS)
#define STATS_LEN 40 /* of an entry without its bands */

void of_meter_done(struct of_meter *m)
{
    free(m->bands);
    *m = (struct of_meter){0};
}

void of_meter_mod_done(struct of_meter_mod *mm)
{
    of_meter_done(&mm->meter);
}

static int decode_band(struct reader *r, struct of_meter *m)
{
    uint16_t type = reader_u16(r), len = reader_u16(r);

    if (r->error || len < BAND_LEN || (len != BAND_LEN && type != BAND_EXPERIMENTER)) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 4u);
    struct of_meter_band b = {.type = (enum of_band_type)type, .rate = reader_u32(&e)};
    b.burst = reader_u32(&e);
    b.prec_level = reader_u8(&e);
    if (e.error) {
        return OFERR_BAD_LEN;
    }
    if (type != OF_BAND_DROP && type != OF_BAND_DSCP_REMARK) {
        return OFERR_METER_BAD_BAND;
    }
    if (type == OF_BAND_DROP) {
        b.prec_level = 0; /* padding there */
    }
    if (!b.rate) {
        return OFERR_METER_BAD_RATE;
    }
    m->bands = xrealloc(m->bands, (m->n_bands + 1) * sizeof *m->bands);
    m->bands[m->n_bands++] = b;
    return 0;
}

static int decode_bands(struct reader *r, struct of_meter *m)
{
    int error = 0;

    while (!error && r->left) {
        error = decode_band(r, m);
    }
    return error;
}

static int decode_flags(uint16_t flags, uint16_t *ret)
{
    if (flags & ~KNOWN_FLAGS || (flags & OF_METER_KBPS && flags & OF_METER_PKTPS)) {
        return OFERR_METER_BAD_FLAGS;
    }
    *ret = (uint16_t)(flags | (flags & OF_METER_PKTPS ? 0 : OF_METER_KBPS)); /* the default (1.3, 7.3.4.5) */
    return 0;
}

static bool meter_id_ok(uint32_t id)
{
    return (id && id <= OF_METER_MAX) || id == OF_METER_SLOWPATH || id == OF_METER_CONTROLLER;
}

int of_meter_mod_decode(struct reader *body, struct of_meter_mod *ret)
{
    uint16_t command = reader_u16(body), flags = reader_u16(body);
    struct of_meter_mod mm = {.command = (enum of_meter_command)command, .meter.id = reader_u32(body)};

    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (command > OF_METER_DELETE) {
        return OFERR_METER_BAD_COMMAND;
    }
    if (!meter_id_ok(mm.meter.id) && !(command == OF_METER_DELETE && mm.meter.id == OF_METER_ALL)) {
        return OFERR_METER_MOD_INVALID_METER;
    }
    if (command != OF_METER_DELETE) {
        int error = decode_flags(flags, &mm.meter.flags);

        error = error ? error : decode_bands(body, &mm.meter);
        if (error) {
            of_meter_mod_done(&mm);
            return error;
        }
    }
    *ret = mm;
    return 0;
}

static void put_bands(struct writer *w, const struct of_meter *m)
{
    for (size_t i = 0; i < m->n_bands; i++) {
        const struct of_meter_band *b = &m->bands[i];

        writer_u16(w, (uint16_t)b->type);
        writer_u16(w, BAND_LEN);
        writer_u32(w, b->rate);
        writer_u32(w, b->burst);
        writer_u8(w, b->prec_level);
        writer_zeros(w, 3);
    }
}

void of_meter_mod_encode(struct writer *w, uint8_t version, const struct of_meter_mod *mm, uint32_t xid)
{
    size_t start = of_begin(w, version, OFT_METER_MOD, xid);

    writer_u16(w, (uint16_t)mm->command);
    writer_u16(w, mm->meter.flags);
    writer_u32(w, mm->meter.id);
    put_bands(w, &mm->meter);
    of_end(w, start);
}

int of_meter_request_decode(struct reader *body, uint32_t *ret)
{
    uint32_t id = reader_u32(body);

    reader_skip(body, 4);
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    if (!meter_id_ok(id) && id != OF_METER_ALL) {
        return OFERR_METER_MOD_INVALID_METER;
    }
    *ret = id;
    return 0;
}

void of_meter_config_put(struct writer *w, const struct of_meter *m)
{
    size_t len = 8 + BAND_LEN * m->n_bands;

    if (len > UINT16_MAX) {
        w->error = w->error ? w->error : -EMSGSIZE;
        return;
    }
    writer_u16(w, (uint16_t)len);
    writer_u16(w, m->flags);
    writer_u32(w, m->id);
    put_bands(w, m);
}

int of_meter_config_decode(struct reader *r, struct of_meter *ret)
{
    uint16_t len = reader_u16(r);

    if (r->error || len < 8) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 2u);
    uint16_t flags = reader_u16(&e);
    struct of_meter m = {.id = reader_u32(&e)};
    int error = e.error ? OFERR_BAD_LEN : decode_flags(flags, &m.flags);
    error = error ? error : decode_bands(&e, &m);
    if (error) {
        of_meter_done(&m);
        return error;
    }
    *ret = m;
    return 0;
}

void of_meter_stats_put(struct writer *w, const struct of_meter_stats *ms)
{
    size_t len = STATS_LEN + 16 * ms->n_bands;

    if (len > UINT16_MAX) {
        w->error = w->error ? w->error : -EMSGSIZE;
        return;
    }
    writer_u32(w, ms->id);
    writer_u16(w, (uint16_t)len);
    writer_zeros(w, 6);
    writer_u32(w, ms->flow_count);
    writer_u64(w, ms->packets);
    writer_u64(w, ms->bytes);
    writer_u32(w, ms->duration_sec);
    writer_u32(w, ms->duration_nsec);
    for (size_t i = 0; i < 2 * ms->n_bands; i++) {
        writer_u64(w, ms->band_counts[i]);
    }
}

int of_meter_stats_decode(struct reader *r, struct of_meter_stats *ret)
{
    struct of_meter_stats ms = {.id = reader_u32(r)};
    uint16_t len = reader_u16(r);

    if (r->error || len < STATS_LEN || (len - STATS_LEN) % 16) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 6u);
    reader_skip(&e, 6);
    ms.flow_count = reader_u32(&e);
    ms.packets = reader_u64(&e);
    ms.bytes = reader_u64(&e);
    ms.duration_sec = reader_u32(&e);
    ms.duration_nsec = reader_u32(&e);
    if (e.error) {
        return OFERR_BAD_LEN;
    }
    ms.n_bands = (len - STATS_LEN) / 16u;
    if (ms.n_bands) {
        ms.decoded = xcalloc(2 * ms.n_bands, sizeof *ms.decoded);
    }
    for (size_t i = 0; i < 2 * ms.n_bands; i++) {
        ms.decoded[i] = reader_u64(&e);
    }
    ms.band_counts = ms.decoded;
    *ret = ms;
    return 0;
}

void of_meter_features_put(struct writer *w, const struct of_meter_features *mf)
{
    writer_u32(w, mf->max_meter);
    writer_u32(w, mf->band_types);
    writer_u32(w, mf->capabilities);
    writer_u8(w, mf->max_bands);
    writer_u8(w, mf->max_color);
    writer_zeros(w, 2);
}

int of_meter_features_decode(struct reader *r, struct of_meter_features *ret)
{
    struct of_meter_features mf = {.max_meter = reader_u32(r)};

    mf.band_types = reader_u32(r);
    mf.capabilities = reader_u32(r);
    mf.max_bands = reader_u8(r);
    mf.max_color = reader_u8(r);
    reader_skip(r, 2);
    if (r->error) {
        return OFERR_BAD_LEN;
    }
    *ret = mf;
    return 0;
}
