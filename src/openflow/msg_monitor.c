/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_monitor.h"

#include "openflow/action_codec.h"
#include "openflow/msg_nx.h"

/* OpenFlow 1.4, enum ofp_flow_monitor_flags; INITIAL to INSTRUCTIONS are the same bits in all forms. */
#define FLAGS_COMMON 0x1fu
#define FLAG_14_NO_ABBREV (1u << 5)
#define FLAG_14_ONLY_OWN (1u << 6)
#define WHEN (OF_MONITOR_INITIAL | OF_MONITOR_ADD | OF_MONITOR_DELETE | OF_MONITOR_MODIFY)

/* ---- requests ---- */

static int decode_nx(struct reader *r, struct of_monitor_request *mr)
{
    mr->id = reader_u32(r);
    mr->flags = reader_u16(r);
    mr->out_port = ofp_port_from_16(reader_u16(r));
    uint16_t match_len = reader_u16(r);
    mr->table = reader_u8(r);
    reader_skip(r, 5);
    return r->error ? OFERR_BAD_LEN : nx_match_decode(r, match_len, &mr->match, NULL, NULL);
}

static int decode_onf(struct reader *r, struct of_monitor_request *mr)
{
    mr->id = reader_u32(r);
    mr->flags = reader_u16(r);
    reader_skip(r, 2); /* the match's length, which its own header tells */
    mr->out_port = ofp_port(reader_u32(r));
    mr->table = reader_u8(r);
    reader_skip(r, 3);
    return r->error ? OFERR_BAD_LEN : of_match_decode(r, &mr->match);
}

static int decode_14(struct reader *r, struct of_monitor_request *mr)
{
    mr->id = reader_u32(r);
    mr->out_port = ofp_port(reader_u32(r));
    mr->out_group = reader_u32(r);
    unsigned int flags = reader_u16(r);
    mr->table = reader_u8(r);
    uint8_t command = reader_u8(r);

    if (r->error) {
        return OFERR_BAD_LEN;
    }
    if (command > OF_MONITOR_CMD_DELETE) {
        return OFERR_MONITOR_BAD_COMMAND;
    }
    mr->command = (enum of_monitor_command)command;
    mr->flags = flags & FLAGS_COMMON;
    if (flags & (FLAG_14_NO_ABBREV | FLAG_14_ONLY_OWN)) {
        mr->flags |= OF_MONITOR_OWN;
    }
    if (flags & ~(FLAGS_COMMON | FLAG_14_NO_ABBREV | FLAG_14_ONLY_OWN)) {
        return OFERR_MONITOR_BAD_FLAGS;
    }
    return of_match_decode(r, &mr->match);
}

int of_monitor_request_decode(struct reader *r, enum of_monitor_form form, struct of_monitor_request *ret)
{
    struct of_monitor_request mr = {.command = OF_MONITOR_CMD_ADD, .out_group = OF_GROUP_ANY};
    int error = form == OF_MONITOR_NX    ? decode_nx(r, &mr)
                : form == OF_MONITOR_ONF ? decode_onf(r, &mr)
                                         : decode_14(r, &mr);

    if (error) {
        return error;
    }
    if (mr.command != OF_MONITOR_CMD_DELETE && (!(mr.flags & WHEN) || mr.flags & ~(FLAGS_COMMON | OF_MONITOR_OWN))) {
        return OFERR_MONITOR_BAD_FLAGS;
    }
    if (mr.table > TABLE_ID_MAX && mr.table != TABLE_ID_ALL) {
        return OFERR_MONITOR_BAD_TABLE_ID;
    }
    *ret = mr;
    return 0;
}

/* ---- updates ---- */

void of_monitor_reply_begin(struct of_mp *mp, struct writer *w, uint8_t version, enum of_monitor_form form,
                            uint32_t xid)
{
    static const struct of_mp_kind kinds[] = {
        [OF_MONITOR_NX] = {OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_FLOW_MONITOR},
        [OF_MONITOR_ONF] = {OFMP_EXPERIMENTER, OF_EXPERIMENTER_ONF, ONFST_FLOW_MONITOR},
        [OF_MONITOR_14] = {OFMP_FLOW_MONITOR, 0, 0},
    };

    of_mp_begin_kind(mp, w, version, &kinds[form], xid);
}

static uint16_t event_number(enum of_monitor_form form, enum of_update_event event)
{
    /* enum nx_flow_update_event */
    static const uint16_t nx[] = {[OF_UPDATE_INITIAL] = 0,
                                  [OF_UPDATE_ADDED] = 0,
                                  [OF_UPDATE_REMOVED] = 1,
                                  [OF_UPDATE_MODIFIED] = 2,
                                  [OF_UPDATE_ABBREV] = 3};

    return form == OF_MONITOR_14 ? (uint16_t)event : nx[event];
}

/* Nicira's layout, which the ONF's shares up to the match. */
static void encode_nx(struct writer *w, uint8_t version, bool onf, const struct of_flow_update *fu)
{
    writer_u16(w, fu->reason);
    writer_u16(w, fu->priority);
    writer_u16(w, fu->idle_timeout);
    writer_u16(w, fu->hard_timeout);
    size_t len_at = w->len;
    writer_u16(w, 0);
    writer_u8(w, fu->table);
    writer_zeros(w, 1);
    writer_be64(w, fu->cookie);
    if (!onf) {
        nx_match_encode(w, len_at, &fu->match, 0, 0);
        ofpacts_encode_actions(fu->acts, fu->acts_len, version, w);
        return;
    }
    size_t match = w->len;
    of_match_encode(w, version, &fu->match);
    if (!w->error) { /* the length without the padding, as the match's own header has it */
        struct reader header = reader_of(w->data + match + 2, 2);

        writer_patch_u16(w, len_at, reader_u16(&header));
    }
    ofpacts_encode_instructions(fu->acts, fu->acts_len, version, w);
}

static void encode_14(struct writer *w, uint8_t version, const struct of_flow_update *fu)
{
    writer_u8(w, fu->table);
    writer_u8(w, fu->reason);
    writer_u16(w, fu->idle_timeout);
    writer_u16(w, fu->hard_timeout);
    writer_u16(w, fu->priority);
    writer_zeros(w, 4);
    writer_be64(w, fu->cookie);
    of_match_encode(w, version, &fu->match);
    ofpacts_encode_instructions(fu->acts, fu->acts_len, version, w);
}

void of_flow_update_encode(struct writer *w, uint8_t version, enum of_monitor_form form,
                           const struct of_flow_update *fu)
{
    size_t start = w->len;

    writer_u16(w, 0);
    writer_u16(w, event_number(form, fu->event));
    if (fu->event >= OF_UPDATE_ABBREV) {
        writer_u32(w, fu->event == OF_UPDATE_ABBREV ? fu->xid : 0);
    } else if (form == OF_MONITOR_14) {
        encode_14(w, version, fu);
    } else {
        encode_nx(w, version, form == OF_MONITOR_ONF, fu);
    }
    writer_patch_u16(w, start, (uint16_t)(w->len - start));
}

void of_monitor_state_encode(struct writer *w, uint8_t version, enum of_monitor_form form, bool paused)
{
    const struct of_flow_update fu = {.event = paused ? OF_UPDATE_PAUSED : OF_UPDATE_RESUMED};
    bool onf = form == OF_MONITOR_ONF;
    struct of_mp mp;

    if (form != OF_MONITOR_14) {
        uint32_t type = onf ? (paused ? OF_ONF_MONITOR_PAUSED : OF_ONF_MONITOR_RESUMED)
                            : (paused ? NXT_FLOW_MONITOR_PAUSED : NXT_FLOW_MONITOR_RESUMED);

        of_end(w, of_begin_experimenter(w, version, onf ? OF_EXPERIMENTER_ONF : OF_EXPERIMENTER_NX, type, 0));
        return;
    }
    of_monitor_reply_begin(&mp, w, version, form, 0);
    of_mp_entry(&mp);
    of_flow_update_encode(w, version, form, &fu);
    of_mp_entry_done(&mp);
    of_mp_end(&mp);
}
