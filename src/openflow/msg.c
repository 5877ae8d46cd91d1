/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg.h"

#include <endian.h>

#define HELLO_ELEMENT_VERSIONBITMAP 1
#define ERROR_TYPE_EXPERIMENTER 0xffff
#define ERROR_DATA_MAX 1024
/* ONF extension 230's error numbers (its experimenter type is 2300 + the code of 1.4's bundle errors). */
#define ONF_BUNDLE_ERROR_BASE 2300
#define BUNDLE_ERROR_TYPE 17
#define OFPMT_OXM 1
#define FLOW_MOD_FLAGS 0x1f
/* Decoded actions up to here surely fit a statistics entry: on the wire they are at most three times as long. */
#define ACTIONS_SURELY_FIT 16384
/* What statistics put around a flow's instructions: headers of message, multipart and entry, and any match. */
#define FLOW_STATS_AROUND (OF_HEADER_LEN + 8 + 48 + 2048)

int of_header_decode(const void *data, size_t len, struct of_header *ret)
{
    struct reader r = reader_of(data, len);
    struct of_header h;

    h.version = reader_u8(&r);
    h.type = reader_u8(&r);
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
    writer_u8(w, (uint8_t)type);
    writer_u16(w, 0);
    writer_u32(w, xid);
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

    if (!oferr_is(error)) {
        error = error == -ENOMEM || error == -ENOSPC ? OFERR_FLOW_MOD_TABLE_FULL : OFERR_EPERM;
    }
    if (oferr_type(error) == BUNDLE_ERROR_TYPE && version < 5) {
        writer_u16(w, ERROR_TYPE_EXPERIMENTER);
        writer_u16(w, (uint16_t)(ONF_BUNDLE_ERROR_BASE + oferr_code(error)));
        writer_u32(w, OF_EXPERIMENTER_ONF);
    } else {
        writer_u16(w, oferr_type(error));
        writer_u16(w, oferr_code(error));
    }
    writer_bytes(w, request, MIN(request_len, ERROR_DATA_MAX));
    of_end(w, start);
}

void of_hello_failed_encode(struct writer *w, uint8_t version, const char *text, uint32_t xid)
{
    of_error_encode(w, version, OFERR_HELLO_INCOMPATIBLE, text, strlen(text), xid);
}

int of_error_decode(const void *body, size_t len)
{
    struct reader r = reader_of(body, len);
    uint16_t type = reader_u16(&r);
    uint16_t code = reader_u16(&r);

    if (r.error) {
        return -EBADMSG;
    }
    if (type == ERROR_TYPE_EXPERIMENTER && reader_u32(&r) == OF_EXPERIMENTER_ONF && code >= ONF_BUNDLE_ERROR_BASE &&
        code <= ONF_BUNDLE_ERROR_BASE + 0xfff) {
        return OFERR(BUNDLE_ERROR_TYPE, code - ONF_BUNDLE_ERROR_BASE);
    }
    return OFERR(type & 0xfff, code & 0xfff);
}

/* ---- match with its header ---- */

int of_match_decode(struct reader *r, bool strict, struct match *ret)
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
    return match_decode(&tlvs, strict, ret, NULL, NULL);
}

void of_match_encode(struct writer *w, const struct match *match)
{
    size_t start = w->len;

    writer_u16(w, OFPMT_OXM);
    writer_u16(w, 0);
    match_encode(match, true, w);
    writer_patch_u16(w, start + 2, (uint16_t)(w->len - start));
    writer_pad(w, start, 8);
}

/* ---- flow_mod, flow_removed ---- */

static bool takes_actions(enum of_flow_command command)
{
    return command == OF_FLOW_ADD || command == OF_FLOW_MODIFY || command == OF_FLOW_MODIFY_STRICT;
}

static int flow_mod_check(const struct of_flow_mod *fm)
{
    bool deletes = !takes_actions(fm->command);

    if (fm->command > OF_FLOW_DELETE_STRICT) {
        return OFERR_FLOW_MOD_BAD_COMMAND;
    }
    if (fm->table > TABLE_ID_MAX && !(fm->table == TABLE_ID_ALL && deletes)) {
        return OFERR_FLOW_MOD_BAD_TABLE_ID;
    }
    if (fm->flags & ~FLOW_MOD_FLAGS) {
        return OFERR_FLOW_MOD_BAD_FLAGS;
    }
    if (fm->buffer_id != OF_NO_BUFFER && !deletes) {
        return OFERR_BUFFER_UNKNOWN;
    }
    return 0;
}

/* A flow that no statistics reply could hold would make dumps impossible as long as it is there. */
static int check_fits_stats(const struct ofpacts *acts, uint8_t version)
{
    struct writer w = {.limit = OF_MAX_LEN - FLOW_STATS_AROUND};

    if (acts->len <= ACTIONS_SURELY_FIT) {
        return 0;
    }
    ofpacts_encode_instructions(acts->data, acts->len, version, &w);
    int error = w.error ? OFERR_ACTION_TOO_MANY : 0;
    writer_done(&w);
    return error;
}

int of_flow_mod_decode(struct reader *body, uint8_t version, struct of_flow_mod *ret)
{
    struct of_flow_mod fm = {.cookie = reader_be64(body)};

    fm.cookie_mask = reader_be64(body);
    fm.table = reader_u8(body);
    fm.command = (enum of_flow_command)reader_u8(body);
    fm.idle_timeout = reader_u16(body);
    fm.hard_timeout = reader_u16(body);
    fm.priority = reader_u16(body);
    fm.buffer_id = reader_u32(body);
    fm.out_port = ofp_port(reader_u32(body));
    fm.out_group = reader_u32(body);
    fm.flags = reader_u16(body);
    reader_skip(body, 2);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    int error = of_match_decode(body, true, &fm.match);
    if (!error) {
        error = flow_mod_check(&fm);
    }
    if (!error && takes_actions(fm.command)) {
        error = ofpacts_decode_instructions(body, version, &fm.acts);
        if (!error) {
            error = ofpacts_check(fm.acts.data, fm.acts.len, &fm.match, fm.table);
        }
        error = error ? error : check_fits_stats(&fm.acts, version);
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
    writer_zeros(w, 2);
    of_match_encode(w, &fm->match);
    if (takes_actions(fm->command)) {
        ofpacts_encode_instructions(fm->acts.data, fm->acts.len, version, w);
    }
    of_end(w, start);
}

void of_flow_mod_done(struct of_flow_mod *fm)
{
    ofpacts_done(&fm->acts);
}

void of_flow_removed_encode(struct writer *w, uint8_t version, const struct of_flow_removed *fr)
{
    size_t start = of_begin(w, version, OFT_FLOW_REMOVED, 0);

    writer_be64(w, fr->cookie);
    writer_u16(w, fr->priority);
    writer_u8(w, fr->reason);
    writer_u8(w, fr->table);
    writer_u32(w, fr->duration_sec);
    writer_u32(w, fr->duration_nsec);
    writer_u16(w, fr->idle_timeout);
    writer_u16(w, fr->hard_timeout);
    writer_u64(w, fr->packets);
    writer_u64(w, fr->bytes);
    of_match_encode(w, &fr->match);
    of_end(w, start);
}

/* ---- packets ---- */

void of_packet_in_encode(struct writer *w, uint8_t version, const struct of_packet_in *pin)
{
    size_t start = of_begin(w, version, OFT_PACKET_IN, 0);

    writer_u32(w, OF_NO_BUFFER);
    writer_u16(w, (uint16_t)MIN(pin->total_len, 0xffffu));
    writer_u8(w, pin->reason);
    writer_u8(w, pin->table);
    writer_be64(w, pin->cookie);
    of_match_encode(w, &pin->match);
    writer_zeros(w, 2);
    writer_bytes(w, pin->data, MIN(pin->data_len, OF_MAX_LEN - (w->len - start)));
    of_end(w, start);
}

int of_packet_out_decode(struct reader *body, uint8_t version, struct of_packet_out *ret)
{
    struct of_packet_out po = {.buffer_id = reader_u32(body)};

    po.in_port = ofp_port(reader_u32(body));
    uint16_t actions_len = reader_u16(body);
    reader_skip(body, 6);
    struct reader actions = reader_sub(body, actions_len);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (po.buffer_id != OF_NO_BUFFER) {
        return OFERR_BUFFER_UNKNOWN;
    }
    uint32_t in_port = ofp_port_u32(po.in_port);
    if (in_port >= ofp_port_u32(OFPP_MAX) && po.in_port != OFPP_CONTROLLER && po.in_port != OFPP_LOCAL &&
        po.in_port != OFPP_ANY) {
        return OFERR_BAD_PORT;
    }
    int error = ofpacts_decode_actions(&actions, version, &po.acts);
    if (error) {
        ofpacts_done(&po.acts);
        return error;
    }
    po.data_len = body->left;
    po.data = reader_take(body, body->left);
    *ret = po;
    return 0;
}

/* ---- ports ---- */

void of_port_encode(struct writer *w, uint8_t version WR_UNUSED, const struct of_port *port)
{
    writer_u32(w, ofp_port_u32(port->port_no));
    writer_zeros(w, 4);
    writer_bytes(w, port->hw_addr.a, sizeof port->hw_addr.a);
    writer_zeros(w, 2);
    writer_bytes(w, port->name, sizeof port->name);
    const uint32_t words[] = {port->config,          port->state,         port->curr,
                              port->advertised,      port->supported,     port->peer,
                              port->curr_speed_kbps, port->max_speed_kbps};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        writer_u32(w, words[i]);
    }
}

int of_port_decode(struct reader *r, uint8_t version WR_UNUSED, struct of_port *ret)
{
    struct of_port port = {.port_no = ofp_port(reader_u32(r))};

    reader_skip(r, 4);
    reader_copy(r, port.hw_addr.a, sizeof port.hw_addr.a);
    reader_skip(r, 2);
    reader_copy(r, port.name, sizeof port.name);
    port.name[sizeof port.name - 1] = '\0';
    uint32_t *const words[] = {&port.config,          &port.state,         &port.curr,
                               &port.advertised,      &port.supported,     &port.peer,
                               &port.curr_speed_kbps, &port.max_speed_kbps};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        *words[i] = reader_u32(r);
    }
    if (r->error) {
        return OFERR_BAD_LEN;
    }
    *ret = port;
    return 0;
}

void of_port_status_encode(struct writer *w, uint8_t version, uint8_t reason, const struct of_port *port)
{
    size_t start = of_begin(w, version, OFT_PORT_STATUS, 0);

    writer_u8(w, reason);
    writer_zeros(w, 7);
    of_port_encode(w, version, port);
    of_end(w, start);
}

int of_port_mod_decode(struct reader *body, uint8_t version WR_UNUSED, struct of_port_mod *ret)
{
    struct of_port_mod pm = {.port_no = ofp_port(reader_u32(body))};

    reader_skip(body, 4);
    reader_copy(body, pm.hw_addr.a, sizeof pm.hw_addr.a);
    reader_skip(body, 2);
    pm.config = reader_u32(body);
    pm.mask = reader_u32(body);
    pm.advertise = reader_u32(body);
    reader_skip(body, 4);
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    *ret = pm;
    return 0;
}

/* ---- bundles ---- */

static size_t bundle_begin(struct writer *w, uint8_t version, uint32_t exp_type, uint32_t bundle_id, uint32_t xid)
{
    size_t start = of_begin(w, version, OFT_EXPERIMENTER, xid);

    writer_u32(w, OF_EXPERIMENTER_ONF);
    writer_u32(w, exp_type);
    writer_u32(w, bundle_id);
    return start;
}

void of_bundle_ctrl_encode(struct writer *w, uint8_t version, uint32_t bundle_id, enum of_bundle_ctrl_type type,
                           uint16_t flags, uint32_t xid)
{
    size_t start = bundle_begin(w, version, OF_ONF_BUNDLE_CTRL, bundle_id, xid);

    writer_u16(w, (uint16_t)type);
    writer_u16(w, flags);
    of_end(w, start);
}

size_t of_bundle_add_begin(struct writer *w, uint8_t version, uint32_t bundle_id, uint16_t flags, uint32_t xid)
{
    size_t start = bundle_begin(w, version, OF_ONF_BUNDLE_ADD, bundle_id, xid);

    writer_zeros(w, 2);
    writer_u16(w, flags);
    return start;
}
