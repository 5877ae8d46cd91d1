/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>

#include "openflow/action_codec.h"
#include "openflow/match_legacy.h"
#include "openflow/msg_nx.h"
#include "openflow/msg_oxs.h"

#define FLOW_MOD_FLAGS 0x1f
/* OpenFlow 1.0.1, enum ofp_flow_mod_flags. */
#define FLOW_MOD_FLAGS_10 3
#define FLOW_MOD_EMERG_10 4
/* What statistics put around a flow's instructions: headers of message, multipart and entry, and any match. */
#define FLOW_STATS_AROUND (OF_HEADER_LEN + 8 + 48 + 2048)

static bool takes_actions(enum of_flow_command command)
{
    return command == OF_FLOW_ADD || command == OF_FLOW_MODIFY || command == OF_FLOW_MODIFY_STRICT;
}

static bool is_modify(enum of_flow_command command)
{
    return command == OF_FLOW_MODIFY || command == OF_FLOW_MODIFY_STRICT;
}

/* 1.0 without Nicira's extension has no table: its MODIFY and DELETE mean all of them, and ADD with 255 leaves it to
 * us. */
static bool table_ok(const struct of_flow_mod *fm, uint8_t version)
{
    bool all = version == OF_VERSION_10 || !takes_actions(fm->command);

    return fm->table <= TABLE_ID_MAX || (fm->table == TABLE_ID_ALL && all);
}

static int flow_mod_check(const struct of_flow_mod *fm, uint8_t version)
{
    if (fm->command > OF_FLOW_DELETE_STRICT) {
        return OFERR_FLOW_MOD_BAD_COMMAND;
    }
    if (fm->table == TABLE_ID_INTERNAL && fm->command != OF_FLOW_DELETE_STRICT) {
        return OFERR_EPERM;
    }
    if (fm->table != TABLE_ID_INTERNAL && !table_ok(fm, version)) {
        return OFERR_FLOW_MOD_BAD_TABLE_ID;
    }
    if (fm->flags & ~FLOW_MOD_FLAGS) {
        return OFERR_FLOW_MOD_BAD_FLAGS;
    }
    if (fm->buffer_id != OF_NO_BUFFER && takes_actions(fm->command)) {
        return OFERR_BUFFER_UNKNOWN;
    }
    return 0;
}

/* A flow that no statistics reply could hold would make dumps impossible as long as it is there. That goes for every
 * version: an action of one may take several of another. */
static int check_fits_stats(const struct ofpacts *acts)
{
    static const uint8_t versions[] = {OF_VERSION_10, OF_VERSION_13, OF_VERSION_15}; /* 1.4 has the actions of 1.3 */
    int error = 0;

    for (size_t i = 0; acts->len > OFPACTS_SURELY_FIT && i < ARRAY_SIZE(versions) && !error; i++) {
        struct writer w = {.limit = OF_MAX_LEN - FLOW_STATS_AROUND};

        ofpacts_encode_instructions(acts->data, acts->len, versions[i], &w);
        error = w.error ? OFERR_ACTION_TOO_MANY : 0;
        writer_done(&w);
    }
    return error;
}

static int decode_13(struct reader *body, uint8_t version, struct of_flow_mod *fm)
{
    fm->cookie = reader_be64(body);
    fm->cookie_mask = reader_be64(body);
    fm->table = reader_u8(body);
    fm->command = (enum of_flow_command)reader_u8(body);
    fm->idle_timeout = reader_u16(body);
    fm->hard_timeout = reader_u16(body);
    fm->priority = reader_u16(body);
    fm->buffer_id = reader_u32(body);
    fm->out_port = ofp_port(reader_u32(body));
    fm->out_group = reader_u32(body);
    fm->flags = reader_u16(body);
    fm->importance = reader_u16(body);
    if (version < OF_VERSION_14) {
        fm->importance = 0; /* padding */
    }
    return body->error ? OFERR_BAD_LEN : of_match_decode(body, &fm->match);
}

/* What 1.0's and Nicira's messages have alike: from the command, beside which Nicira's extension puts the table, to the
 * flags. */
static void read_common_10(struct reader *body, const struct of_flow_format *format, struct of_flow_mod *fm)
{
    uint16_t command = reader_u16(body);

    fm->command = (enum of_flow_command)(format->table_id ? command & 0xff : command);
    fm->table = format->table_id ? (table_id_t)(command >> 8) : fm->command == OF_FLOW_ADD ? 0 : TABLE_ID_ALL;
    fm->idle_timeout = reader_u16(body);
    fm->hard_timeout = reader_u16(body);
    fm->priority = reader_u16(body);
    fm->buffer_id = reader_u32(body);
    fm->out_port = ofp_port_from_16(reader_u16(body));
    fm->out_group = OF_GROUP_ANY;
    fm->flags = reader_u16(body);
}

/* What a cookie means in 1.0 and Nicira's messages, where flows are selected by the match alone. */
static void settle_cookie(struct of_flow_mod *fm, __be64 cookie)
{
    fm->new_cookie = cookie;
    fm->modify_cookie = is_modify(fm->command) && cookie != UINT64_MAX;
    if (fm->command == OF_FLOW_ADD || (is_modify(fm->command) && !fm->cookie_mask)) {
        fm->cookie = cookie; /* of a flow that is added */
    }
}

static int decode_10(struct reader *body, const struct of_flow_format *format, struct of_flow_mod *fm)
{
    bool exact = false;
    int error = match_decode_10(body, &fm->match, &exact);
    __be64 cookie = reader_be64(body);

    read_common_10(body, format, fm);
    if (error || body->error) {
        return OFERR_BAD_LEN;
    }
    if (fm->flags & FLOW_MOD_EMERG_10) {
        return OFERR_FLOW_MOD_TABLE_FULL; /* there is no emergency table: it is always full */
    }
    if (exact) {
        fm->priority = UINT16_MAX;
    }
    settle_cookie(fm, cookie);
    return fm->flags & ~FLOW_MOD_FLAGS_10 ? OFERR_FLOW_MOD_BAD_FLAGS : 0;
}

static int decode_nx(struct reader *body, const struct of_flow_format *format, struct of_flow_mod *fm)
{
    __be64 cookie = reader_be64(body);

    read_common_10(body, format, fm);
    uint16_t match_len = reader_u16(body);
    reader_skip(body, 6);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    int error = nx_match_decode(body, match_len, &fm->match, &fm->cookie, &fm->cookie_mask);
    if (error) {
        return error;
    }
    if (fm->command == OF_FLOW_ADD && fm->cookie_mask) {
        return OFERR_NXBRC_NXM_INVALID; /* a new flow has one cookie, it is not looked for by another */
    }
    if (fm->flags & FLOW_MOD_EMERG_10) {
        return OFERR_FLOW_MOD_TABLE_FULL;
    }
    settle_cookie(fm, cookie);
    return fm->flags & ~FLOW_MOD_FLAGS_10 ? OFERR_FLOW_MOD_BAD_FLAGS : 0;
}

static int decode_actions(struct reader *body, const struct of_flow_format *format, struct of_flow_mod *fm)
{
    bool plain = format->nx || format->version == OF_VERSION_10;
    int error = plain ? ofpacts_decode_actions(body, format->version, &fm->acts)
                      : ofpacts_decode_instructions(body, format->version, &fm->acts);

    if (!error) {
        table_id_t table = fm->table == TABLE_ID_ALL ? 0 : fm->table;

        error = plain ? ofpacts_check_of10(fm->acts.data, fm->acts.len, &fm->match, table)
                      : ofpacts_check(fm->acts.data, fm->acts.len, &fm->match, table);
        ofpacts_note_vlan(&fm->acts, &fm->match);
    }
    return error ? error : check_fits_stats(&fm->acts);
}

int of_flow_mod_decode(struct reader *body, const struct of_flow_format *format, struct of_flow_mod *ret)
{
    struct of_flow_mod fm = {.cookie = 0};
    int error = format->nx                         ? decode_nx(body, format, &fm)
                : format->version == OF_VERSION_10 ? decode_10(body, format, &fm)
                                                   : decode_13(body, format->version, &fm);

    if (!error) {
        error = flow_mod_check(&fm, format->version);
    }
    if (!error && takes_actions(fm.command)) {
        error = decode_actions(body, format, &fm);
    }
    if (error) {
        of_flow_mod_done(&fm);
        return error;
    }
    *ret = fm;
    return 0;
}

void of_flow_mod_encode(struct writer *w, uint8_t version, const struct of_flow_mod *fm, uint32_t xid)
{
    size_t start = of_begin(w, version, OFT_FLOW_MOD, xid);

    writer_be64(w, fm->cookie);
    writer_be64(w, fm->cookie_mask);
    writer_u8(w, fm->table);
    writer_u8(w, (uint8_t)fm->command);
    writer_u16(w, fm->idle_timeout);
    writer_u16(w, fm->hard_timeout);
    writer_u16(w, fm->priority);
    writer_u32(w, fm->buffer_id);
    writer_u32(w, ofp_port_u32(fm->out_port));
    writer_u32(w, fm->out_group);
    writer_u16(w, fm->flags);
    writer_u16(w, version < OF_VERSION_14 ? 0 : fm->importance);
    of_match_encode(w, version, &fm->match);
    if (takes_actions(fm->command)) {
        ofpacts_encode_instructions(fm->acts.data, fm->acts.len, version, w);
    }
    of_end(w, start);
}

void of_flow_mod_done(struct of_flow_mod *fm)
{
    ofpacts_done(&fm->acts);
}

/* ---- flow_removed ---- */

uint8_t of_flow_removed_reason(uint8_t reason, uint8_t version)
{
    uint8_t last = version >= OF_VERSION_14  ? OF_REMOVED_METER
                   : version > OF_VERSION_10 ? OF_REMOVED_GROUP
                                             : OF_REMOVED_DELETE;

    return reason <= last || reason == OF_REMOVED_EVICTION ? reason : OF_REMOVED_DELETE;
}

static void removed_10(struct writer *w, const struct of_flow_removed *fr)
{
    match_encode_10(&fr->match, w);
    writer_be64(w, fr->cookie);
    writer_u16(w, fr->priority);
    writer_u8(w, of_flow_removed_reason(fr->reason, OF_VERSION_10));
    writer_zeros(w, 1);
    writer_u32(w, fr->duration_sec);
    writer_u32(w, fr->duration_nsec);
    writer_u16(w, fr->idle_timeout);
    writer_zeros(w, 2);
    writer_u64(w, fr->packets);
    writer_u64(w, fr->bytes);
}

static void removed_nx(struct writer *w, const struct of_flow_removed *fr)
{
    writer_be64(w, fr->cookie);
    writer_u16(w, fr->priority);
    writer_u8(w, of_flow_removed_reason(fr->reason, OF_VERSION_10));
    writer_u8(w, (uint8_t)(fr->table + 1));
    writer_u32(w, fr->duration_sec);
    writer_u32(w, fr->duration_nsec);
    writer_u16(w, fr->idle_timeout);
    size_t len_at = w->len;
    writer_u16(w, 0);
    writer_u64(w, fr->packets);
    writer_u64(w, fr->bytes);
    nx_match_encode(w, len_at, &fr->match, 0, 0);
}

static void removed_13(struct writer *w, uint8_t version, const struct of_flow_removed *fr)
{
    writer_be64(w, fr->cookie);
    writer_u16(w, fr->priority);
    writer_u8(w, of_flow_removed_reason(fr->reason, version));
    writer_u8(w, fr->table);
    writer_u32(w, fr->duration_sec);
    writer_u32(w, fr->duration_nsec);
    writer_u16(w, fr->idle_timeout);
    writer_u16(w, fr->hard_timeout);
    writer_u64(w, fr->packets);
    writer_u64(w, fr->bytes);
    of_match_encode(w, version, &fr->match);
}

static void removed_15(struct writer *w, uint8_t version, const struct of_flow_removed *fr)
{
    struct oxs stats = {.present = 0};

    writer_u8(w, fr->table);
    writer_u8(w, of_flow_removed_reason(fr->reason, version));
    writer_u16(w, fr->priority);
    writer_u16(w, fr->idle_timeout);
    writer_u16(w, fr->hard_timeout);
    writer_be64(w, fr->cookie);
    of_match_encode(w, version, &fr->match);
    oxs_set_time(&stats, OXS_DURATION, fr->duration_sec, fr->duration_nsec);
    oxs_set(&stats, OXS_PACKET_COUNT, fr->packets);
    oxs_set(&stats, OXS_BYTE_COUNT, fr->bytes);
    oxs_encode(w, &stats);
}

void of_flow_removed_encode(struct writer *w, const struct of_flow_format *format, const struct of_flow_removed *fr)
{
    size_t start = format->nx ? of_begin_experimenter(w, format->version, OF_EXPERIMENTER_NX, NXT_FLOW_REMOVED, 0)
                              : of_begin(w, format->version, OFT_FLOW_REMOVED, 0);

    if (format->nx) {
        removed_nx(w, fr);
    } else if (format->version == OF_VERSION_10) {
        removed_10(w, fr);
    } else if (format->version >= OF_VERSION_15) {
        removed_15(w, format->version, fr);
    } else {
        removed_13(w, format->version, fr);
    }
    of_end(w, start);
}
