/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_multipart.h"

#include "openflow/action_codec.h"
#include "openflow/match_legacy.h"
#include "openflow/msg_nx.h"
#include "openflow/msg_oxs.h"

static size_t mp_header(struct writer *w, uint8_t version, enum of_type msg_type, const struct of_mp_kind *kind,
                        uint32_t xid)
{
    size_t start = of_begin(w, version, msg_type, xid);

    writer_u16(w, kind->type);
    writer_u16(w, 0); /* flags */
    if (version > OF_VERSION_10) {
        writer_zeros(w, 4);
    }
    if (kind->type == OFMP_EXPERIMENTER) {
        writer_u32(w, kind->experimenter);
        writer_u32(w, kind->subtype);
        if (version == OF_VERSION_10) {
            writer_zeros(w, 4);
        }
    }
    return start;
}

int of_mp_header_decode(struct reader *body, uint8_t version, struct of_mp_header *ret)
{
    struct of_mp_header h = {.kind.type = reader_u16(body)};

    h.flags = reader_u16(body);
    reader_skip(body, version > OF_VERSION_10 ? 4 : 0);
    if (h.kind.type == OFMP_EXPERIMENTER) {
        h.kind.experimenter = reader_u32(body);
        h.kind.subtype = reader_u32(body);
        reader_skip(body, version == OF_VERSION_10 ? 4 : 0);
    }
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    *ret = h;
    return 0;
}

void of_mp_begin_kind(struct of_mp *mp, struct writer *w, uint8_t version, const struct of_mp_kind *kind, uint32_t xid)
{
    *mp = (struct of_mp){.w = w, .version = version, .kind = *kind, .xid = xid};
    mp->start = mp_header(w, version, OFT_MULTIPART_REPLY, kind, xid);
    mp->body = w->len - mp->start;
    mp->entry = w->len;
}

void of_mp_begin(struct of_mp *mp, struct writer *w, uint8_t version, enum of_multipart_type type, uint32_t xid)
{
    of_mp_begin_kind(mp, w, version, &(struct of_mp_kind){.type = (uint16_t)type}, xid);
}

void of_mp_entry(struct of_mp *mp)
{
    mp->entry = mp->w->len;
}

void of_mp_entry_done(struct of_mp *mp)
{
    struct writer *w = mp->w;

    if (w->error || w->len - mp->start <= OF_MAX_LEN || mp->entry == mp->start + mp->body) {
        return;
    }
    /* The entry moves behind a header of its own. */
    size_t entry_len = w->len - mp->entry;
    uint8_t *entry = xmemdup(w->data + mp->entry, entry_len);

    w->len = mp->entry;
    writer_patch_u16(w, mp->start + 10, OFMP_F_MORE);
    of_end(w, mp->start);
    mp->start = mp_header(w, mp->version, OFT_MULTIPART_REPLY, &mp->kind, mp->xid);
    mp->entry = w->len;
    writer_bytes(w, entry, entry_len);
    free(entry);
}

void of_mp_take_done(struct of_mp *mp, struct writer *ret_done)
{
    struct writer *w = mp->w, rest = {.limit = w->limit, .error = w->error};
    size_t n = mp->start;

    writer_bytes(&rest, w->data + n, w->len - n);
    w->len = n;
    *ret_done = *w;
    *w = rest;
    mp->start = 0;
    mp->entry -= n;
}

void of_mp_end(struct of_mp *mp)
{
    of_end(mp->w, mp->start);
}

void of_mp_request_encode(struct writer *w, uint8_t version, enum of_multipart_type type, const void *body,
                          size_t body_len, uint32_t xid)
{
    size_t start = mp_header(w, version, OFT_MULTIPART_REQUEST, &(struct of_mp_kind){.type = (uint16_t)type}, xid);

    writer_bytes(w, body, body_len);
    of_end(w, start);
}

/* ---- flows ---- */

static int request_10(struct reader *body, struct of_flow_request *fr)
{
    bool exact;
    int error = match_decode_10(body, &fr->match, &exact);

    fr->table = reader_u8(body);
    reader_skip(body, 1);
    fr->out_port = ofp_port_from_16(reader_u16(body));
    return error || body->error || body->left ? OFERR_BAD_LEN : 0;
}

static int request_nx(struct reader *body, struct of_flow_request *fr)
{
    fr->out_port = ofp_port_from_16(reader_u16(body));
    uint16_t match_len = reader_u16(body);
    fr->table = reader_u8(body);
    reader_skip(body, 3);
    return body->error ? OFERR_BAD_LEN : nx_match_decode(body, match_len, &fr->match, &fr->cookie, &fr->cookie_mask);
}

static int request_13(struct reader *body, struct of_flow_request *fr)
{
    fr->table = reader_u8(body);
    reader_skip(body, 3);
    fr->out_port = ofp_port(reader_u32(body));
    fr->out_group = reader_u32(body);
    reader_skip(body, 4);
    fr->cookie = reader_be64(body);
    fr->cookie_mask = reader_be64(body);
    return body->error ? OFERR_BAD_LEN : of_match_decode(body, &fr->match);
}

int of_flow_request_decode(struct reader *body, const struct of_flow_format *format, struct of_flow_request *ret)
{
    struct of_flow_request fr = {.out_group = OF_GROUP_ANY};
    int error = format->nx                         ? request_nx(body, &fr)
                : format->version == OF_VERSION_10 ? request_10(body, &fr)
                                                   : request_13(body, &fr);

    if (error) {
        return error;
    }
    *ret = fr;
    return 0;
}

void of_flow_request_encode(struct writer *w, uint8_t version, const struct of_flow_request *fr, uint32_t xid)
{
    size_t start = mp_header(w, version, OFT_MULTIPART_REQUEST, &(struct of_mp_kind){.type = OFMP_FLOW}, xid);

    writer_u8(w, fr->table);
    writer_zeros(w, 3);
    writer_u32(w, ofp_port_u32(fr->out_port));
    writer_u32(w, fr->out_group);
    writer_zeros(w, 4);
    writer_be64(w, fr->cookie);
    writer_be64(w, fr->cookie_mask);
    of_match_encode(w, version, &fr->match);
    of_end(w, start);
}

static void stats_10(struct writer *w, const struct of_flow_stats *fs)
{
    match_encode_10(&fs->match, w);
    writer_u32(w, fs->duration_sec);
    writer_u32(w, fs->duration_nsec);
    writer_u16(w, fs->priority);
    writer_u16(w, fs->idle_timeout);
    writer_u16(w, fs->hard_timeout);
    writer_zeros(w, 6);
    writer_be64(w, fs->cookie);
    writer_u64(w, fs->packets);
    writer_u64(w, fs->bytes);
}

/* Ages travel as one more than they are; 0 would be "unknown". */
static uint16_t age_nx(uint32_t age)
{
    return (uint16_t)(MIN(age, 0xfffeu) + 1);
}

static void stats_nx(struct writer *w, const struct of_flow_stats *fs)
{
    writer_u32(w, fs->duration_sec);
    writer_u32(w, fs->duration_nsec);
    writer_u16(w, fs->priority);
    writer_u16(w, fs->idle_timeout);
    writer_u16(w, fs->hard_timeout);
    size_t len_at = w->len;
    writer_u16(w, 0);
    writer_u16(w, age_nx(fs->idle_age));
    writer_u16(w, age_nx(fs->hard_age));
    writer_be64(w, fs->cookie);
    writer_u64(w, fs->packets);
    writer_u64(w, fs->bytes);
    nx_match_encode(w, len_at, &fs->match, 0, 0);
}

static void stats_13(struct writer *w, uint8_t version, const struct of_flow_stats *fs)
{
    writer_u32(w, fs->duration_sec);
    writer_u32(w, fs->duration_nsec);
    writer_u16(w, fs->priority);
    writer_u16(w, fs->idle_timeout);
    writer_u16(w, fs->hard_timeout);
    writer_u16(w, fs->flags);
    writer_u16(w, version < OF_VERSION_14 ? 0 : fs->importance);
    writer_zeros(w, 2);
    writer_be64(w, fs->cookie);
    writer_u64(w, fs->packets);
    writer_u64(w, fs->bytes);
    of_match_encode(w, version, &fs->match);
}

static void put_oxs(struct writer *w, const struct of_flow_stats *fs)
{
    struct oxs stats = {.present = 0};

    oxs_set_time(&stats, OXS_DURATION, fs->duration_sec, fs->duration_nsec);
    oxs_set_time(&stats, OXS_IDLE_TIME, fs->idle_age, 0);
    if (fs->packets != UINT64_MAX) {
        oxs_set(&stats, OXS_PACKET_COUNT, fs->packets);
    }
    if (fs->bytes != UINT64_MAX) {
        oxs_set(&stats, OXS_BYTE_COUNT, fs->bytes);
    }
    oxs_encode(w, &stats);
}

/* OpenFlow 1.5 calls it a flow's description (7.3.5.2). */
static void stats_15(struct writer *w, uint8_t version, const struct of_flow_stats *fs)
{
    writer_u16(w, fs->priority);
    writer_u16(w, fs->idle_timeout);
    writer_u16(w, fs->hard_timeout);
    writer_u16(w, fs->flags);
    writer_u16(w, fs->importance);
    writer_be64(w, fs->cookie);
    of_match_encode(w, version, &fs->match);
    put_oxs(w, fs);
}

void of_flow_stats_encode(struct writer *w, const struct of_flow_format *format, const struct of_flow_stats *fs)
{
    size_t start = w->len;
    bool plain = format->nx || format->version == OF_VERSION_10;

    writer_zeros(w, !plain && format->version >= OF_VERSION_15 ? 4 : 2);
    writer_u8(w, fs->table);
    writer_zeros(w, 1);
    if (format->nx) {
        stats_nx(w, fs);
    } else if (plain) {
        stats_10(w, fs);
    } else if (format->version >= OF_VERSION_15) {
        stats_15(w, format->version, fs);
    } else {
        stats_13(w, format->version, fs);
    }
    if (plain) {
        ofpacts_encode_actions(fs->acts, fs->acts_len, format->version, w);
    } else {
        ofpacts_encode_instructions(fs->acts, fs->acts_len, format->version, w);
    }
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

void of_flow_stats_brief_encode(struct writer *w, uint8_t version, const struct of_flow_stats *fs)
{
    size_t start = w->len;

    writer_zeros(w, 4);
    writer_u8(w, fs->table);
    writer_u8(w, 0); /* OFPFSR_STATS_REQUEST */
    writer_u16(w, fs->priority);
    of_match_encode(w, version, &fs->match);
    put_oxs(w, fs);
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

static int read_stats_13(struct reader *e, struct of_flow_stats *fs)
{
    fs->table = reader_u8(e);
    reader_skip(e, 1);
    fs->duration_sec = reader_u32(e);
    fs->duration_nsec = reader_u32(e);
    fs->priority = reader_u16(e);
    fs->idle_timeout = reader_u16(e);
    fs->hard_timeout = reader_u16(e);
    fs->flags = reader_u16(e);
    fs->importance = reader_u16(e); /* up to 1.3: padding */
    reader_skip(e, 2);
    fs->cookie = reader_be64(e);
    fs->packets = reader_u64(e);
    fs->bytes = reader_u64(e);
    fs->match_error = e->error ? 0 : of_match_decode(e, &fs->match);
    return e->error ? OFERR_BAD_LEN : 0;
}

static int read_stats_15(struct reader *e, struct of_flow_stats *fs)
{
    struct oxs stats;

    reader_skip(e, 2);
    fs->table = reader_u8(e);
    reader_skip(e, 1);
    fs->priority = reader_u16(e);
    fs->idle_timeout = reader_u16(e);
    fs->hard_timeout = reader_u16(e);
    fs->flags = reader_u16(e);
    fs->importance = reader_u16(e);
    fs->cookie = reader_be64(e);
    fs->match_error = e->error ? 0 : of_match_decode(e, &fs->match);
    int error = e->error ? OFERR_BAD_LEN : oxs_decode(e, &stats);
    if (!error) {
        fs->duration_sec = (uint32_t)(stats.values[OXS_DURATION] >> 32);
        fs->duration_nsec = (uint32_t)stats.values[OXS_DURATION];
        fs->idle_age = (uint32_t)(stats.values[OXS_IDLE_TIME] >> 32);
        fs->packets = stats.present >> OXS_PACKET_COUNT & 1 ? stats.values[OXS_PACKET_COUNT] : UINT64_MAX;
        fs->bytes = stats.present >> OXS_BYTE_COUNT & 1 ? stats.values[OXS_BYTE_COUNT] : UINT64_MAX;
    }
    return error;
}

int of_flow_stats_decode(struct reader *r, uint8_t version, struct of_flow_stats *ret)
{
    struct of_flow_stats fs = {.table = 0};
    uint16_t len = reader_u16(r);

    if (r->error || len < 2) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 2u);
    int error = version >= OF_VERSION_15 ? read_stats_15(&e, &fs) : read_stats_13(&e, &fs);
    if (error) {
        return error;
    }
    bool found = fs.match_error != OFERR_MATCH_BAD_TYPE && fs.match_error != OFERR_MATCH_BAD_LEN; /* where they begin */
    fs.actions_error = found ? ofpacts_decode_instructions(&e, version, &fs.decoded) : fs.match_error;
    *ret = fs;
    return 0;
}

void of_aggregate_encode(struct writer *w, uint8_t version, uint64_t packets, uint64_t bytes, uint32_t flows)
{
    struct oxs stats = {.present = 0};

    if (version >= OF_VERSION_15) {
        oxs_set(&stats, OXS_PACKET_COUNT, packets);
        oxs_set(&stats, OXS_BYTE_COUNT, bytes);
        oxs_set(&stats, OXS_FLOW_COUNT, flows);
        oxs_encode(w, &stats);
        return;
    }
    writer_u64(w, packets);
    writer_u64(w, bytes);
    writer_u32(w, flows);
    writer_zeros(w, 4);
}

/* ---- the switch and its tables ---- */

static void put_string(struct writer *w, const char *s, size_t size)
{
    char *p = writer_put(w, size);

    if (p) {
        memcpy(p, s, MIN(strlen(s), size - 1));
    }
}

void of_desc_encode(struct writer *w, const struct of_desc *desc)
{
    put_string(w, desc->manufacturer, 256);
    put_string(w, desc->hardware, 256);
    put_string(w, desc->software, 256);
    put_string(w, desc->serial, 32);
    put_string(w, desc->datapath, 256);
}
