/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_multipart.h"

#define MP_HEADER_LEN 16

static size_t mp_header(struct writer *w, uint8_t version, enum of_type msg_type, enum of_multipart_type type,
                        uint32_t xid)
{
    size_t start = of_begin(w, version, msg_type, xid);

    writer_u16(w, (uint16_t)type);
    writer_u16(w, 0); /* flags */
    writer_zeros(w, 4);
    return start;
}

void of_mp_begin(struct of_mp *mp, struct writer *w, uint8_t version, enum of_multipart_type type, uint32_t xid)
{
    *mp = (struct of_mp){.w = w, .version = version, .type = type, .xid = xid};
    mp->start = mp_header(w, version, OFT_MULTIPART_REPLY, type, xid);
    mp->entry = w->len;
}

void of_mp_entry(struct of_mp *mp)
{
    mp->entry = mp->w->len;
}

void of_mp_entry_done(struct of_mp *mp)
{
    struct writer *w = mp->w;

    if (w->error || w->len - mp->start <= OF_MAX_LEN || mp->entry == mp->start + MP_HEADER_LEN) {
        return;
    }
    /* The entry moves behind a header of its own. */
    size_t entry_len = w->len - mp->entry;
    uint8_t *entry = xmemdup(w->data + mp->entry, entry_len);

    w->len = mp->entry;
    writer_patch_u16(w, mp->start + 10, OFMP_F_MORE);
    of_end(w, mp->start);
    mp->start = mp_header(w, mp->version, OFT_MULTIPART_REPLY, mp->type, mp->xid);
    mp->entry = w->len;
    writer_bytes(w, entry, entry_len);
    free(entry);
}

void of_mp_end(struct of_mp *mp)
{
    of_end(mp->w, mp->start);
}

void of_mp_request_encode(struct writer *w, uint8_t version, enum of_multipart_type type, const void *body,
                          size_t body_len, uint32_t xid)
{
    size_t start = mp_header(w, version, OFT_MULTIPART_REQUEST, type, xid);

    writer_bytes(w, body, body_len);
    of_end(w, start);
}

/* ---- flows ---- */

int of_flow_request_decode(struct reader *body, struct of_flow_request *ret)
{
    struct of_flow_request fr = {.table = reader_u8(body)};

    reader_skip(body, 3);
    fr.out_port = ofp_port(reader_u32(body));
    fr.out_group = reader_u32(body);
    reader_skip(body, 4);
    fr.cookie = reader_be64(body);
    fr.cookie_mask = reader_be64(body);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    int error = of_match_decode(body, false, &fr.match);
    if (error) {
        return error;
    }
    if (fr.table > TABLE_ID_MAX && fr.table != TABLE_ID_ALL) {
        return OFERR_BAD_TABLE_ID;
    }
    *ret = fr;
    return 0;
}

void of_flow_request_encode(struct writer *w, uint8_t version, const struct of_flow_request *fr, uint32_t xid)
{
    size_t start = mp_header(w, version, OFT_MULTIPART_REQUEST, OFMP_FLOW, xid);

    writer_u8(w, fr->table);
    writer_zeros(w, 3);
    writer_u32(w, ofp_port_u32(fr->out_port));
    writer_u32(w, fr->out_group);
    writer_zeros(w, 4);
    writer_be64(w, fr->cookie);
    writer_be64(w, fr->cookie_mask);
    of_match_encode(w, &fr->match);
    of_end(w, start);
}

void of_flow_stats_encode(struct writer *w, uint8_t version, const struct of_flow_stats *fs)
{
    size_t start = w->len;

    writer_u16(w, 0);
    writer_u8(w, fs->table);
    writer_zeros(w, 1);
    writer_u32(w, fs->duration_sec);
    writer_u32(w, fs->duration_nsec);
    writer_u16(w, fs->priority);
    writer_u16(w, fs->idle_timeout);
    writer_u16(w, fs->hard_timeout);
    writer_u16(w, fs->flags);
    writer_zeros(w, 4);
    writer_be64(w, fs->cookie);
    writer_u64(w, fs->packets);
    writer_u64(w, fs->bytes);
    of_match_encode(w, &fs->match);
    ofpacts_encode_instructions(fs->acts, fs->acts_len, version, w);
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

int of_flow_stats_decode(struct reader *r, uint8_t version, struct of_flow_stats *ret)
{
    uint16_t len = reader_u16(r);

    if (r->error || len < 2) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 2u);
    struct of_flow_stats fs = {.table = reader_u8(&e)};

    reader_skip(&e, 1);
    fs.duration_sec = reader_u32(&e);
    fs.duration_nsec = reader_u32(&e);
    fs.priority = reader_u16(&e);
    fs.idle_timeout = reader_u16(&e);
    fs.hard_timeout = reader_u16(&e);
    fs.flags = reader_u16(&e);
    reader_skip(&e, 4);
    fs.cookie = reader_be64(&e);
    fs.packets = reader_u64(&e);
    fs.bytes = reader_u64(&e);
    if (e.error) {
        return OFERR_BAD_LEN;
    }
    int error = of_match_decode(&e, false, &fs.match);
    if (!error) {
        error = ofpacts_decode_instructions(&e, version, &fs.decoded);
    }
    if (error) {
        ofpacts_done(&fs.decoded);
        return error;
    }
    *ret = fs;
    return 0;
}

void of_aggregate_encode(struct writer *w, uint64_t packets, uint64_t bytes, uint32_t flows)
{
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

void of_table_stats_encode(struct writer *w, table_id_t table, uint32_t active, uint64_t lookup, uint64_t matched)
{
    writer_u8(w, table);
    writer_zeros(w, 3);
    writer_u32(w, active);
    writer_u64(w, lookup);
    writer_u64(w, matched);
}

/* Property numbers of OpenFlow 1.3, enum ofp_table_feature_prop_type: the ones that must be there. */
enum {
    PROP_INSTRUCTIONS = 0,
    PROP_NEXT_TABLES = 2,
    PROP_WRITE_ACTIONS = 4,
    PROP_APPLY_ACTIONS = 6,
    PROP_MATCH = 8,
    PROP_WILDCARDS = 10,
    PROP_WRITE_SETFIELD = 12,
    PROP_APPLY_SETFIELD = 14
};

static void prop_ids(struct writer *w, uint16_t type, const uint16_t *ids, size_t n)
{
    size_t start = w->len;

    writer_u16(w, type);
    writer_u16(w, (uint16_t)(4 + 4 * n));
    for (size_t i = 0; i < n; i++) {
        writer_u16(w, ids[i]);
        writer_u16(w, 4);
    }
    writer_pad(w, start, 8);
}

static void prop_next_tables(struct writer *w, table_id_t table)
{
    size_t start = w->len;

    writer_u16(w, PROP_NEXT_TABLES);
    writer_u16(w, (uint16_t)(4 + TABLE_ID_MAX - table));
    for (unsigned int next = table + 1u; next <= TABLE_ID_MAX; next++) {
        writer_u8(w, (uint8_t)next);
    }
    writer_pad(w, start, 8);
}

static void prop_fields(struct writer *w, uint16_t type, bool (*want)(const struct field *f))
{
    size_t start = w->len;

    writer_u16(w, type);
    writer_u16(w, 0);
    for (int id = 0; id < FIELD_MAX; id++) {
        const struct field *f = field_get((enum field_id)id);

        if (f && f->oxm_header && want(f)) {
            writer_u32(w, f->oxm_header);
        }
    }
    writer_patch_u16(w, start + 2, (uint16_t)(w->len - start));
    writer_pad(w, start, 8);
}

static bool any_field(const struct field *f WR_UNUSED)
{
    return true;
}

static bool writable_field(const struct field *f)
{
    return f->writable;
}

void of_table_features_encode(struct writer *w, table_id_t table, uint32_t max_entries)
{
    /* goto_table (not from the last table), write_metadata, write, apply, clear */
    static const uint16_t instructions[] = {2, 3, 4, 5, 1};
    /* output, push_vlan, pop_vlan, push_mpls, pop_mpls, dec_nw_ttl, set_field */
    static const uint16_t actions[] = {0, 17, 18, 19, 20, 24, 25};
    size_t start = w->len;

    writer_u16(w, 0);
    writer_u8(w, table);
    writer_zeros(w, 5);
    writer_zeros(w, 32); /* the name: tables have none */
    writer_u64(w, UINT64_MAX);
    writer_u64(w, UINT64_MAX);
    writer_u32(w, 0);
    writer_u32(w, max_entries);
    prop_ids(w, PROP_INSTRUCTIONS, instructions, ARRAY_SIZE(instructions) - (table == TABLE_ID_MAX));
    prop_next_tables(w, table);
    prop_ids(w, PROP_WRITE_ACTIONS, actions, ARRAY_SIZE(actions));
    prop_ids(w, PROP_APPLY_ACTIONS, actions, ARRAY_SIZE(actions));
    prop_fields(w, PROP_MATCH, any_field);
    prop_fields(w, PROP_WILDCARDS, any_field);
    prop_fields(w, PROP_WRITE_SETFIELD, writable_field);
    prop_fields(w, PROP_APPLY_SETFIELD, writable_field);
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

void of_port_stats_encode(struct writer *w, const struct of_port_stats *ps)
{
    const uint64_t counters[] = {ps->rx_packets,   ps->tx_packets,  ps->rx_bytes,   ps->tx_bytes,
                                 ps->rx_dropped,   ps->tx_dropped,  ps->rx_errors,  ps->tx_errors,
                                 ps->rx_frame_err, ps->rx_over_err, ps->rx_crc_err, ps->collisions};

    writer_u32(w, ofp_port_u32(ps->port_no));
    writer_zeros(w, 4);
    for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
        writer_u64(w, counters[i]);
    }
    writer_u32(w, ps->duration_sec);
    writer_u32(w, ps->duration_nsec);
}
