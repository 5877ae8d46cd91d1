/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/action_codec.h"
#include "openflow/msg_nx.h"
#include "openflow/msg_prop.h"
#include "packet/packet.h"

/* Properties of NXT_PACKET_IN2. */
enum nx_packet_in_prop {
    NXPINT_PACKET = 0,
    NXPINT_FULL_LEN = 1,
    NXPINT_TABLE_ID = 3,
    NXPINT_COOKIE = 4,
    NXPINT_REASON = 5,
    NXPINT_METADATA = 6,
    NXPINT_USERDATA = 7,
};

static void put_data(struct writer *w, size_t start, const struct of_packet_in *pin)
{
    writer_bytes(w, pin->data, MIN(pin->data_len, OF_MAX_LEN - (w->len - start)));
}

static void packet_in_10(struct writer *w, const struct of_packet_in *pin)
{
    writer_u32(w, OF_NO_BUFFER);
    writer_u16(w, (uint16_t)MIN(pin->total_len, 0xffffu));
    writer_u16(w, ofp_port_to_16(pin->match.value.in_port));
    writer_u8(w, pin->reason);
    writer_zeros(w, 1);
}

static void packet_in_13(struct writer *w, uint8_t version, const struct of_packet_in *pin)
{
    writer_u32(w, OF_NO_BUFFER);
    writer_u16(w, (uint16_t)MIN(pin->total_len, 0xffffu));
    writer_u8(w, pin->reason);
    writer_u8(w, pin->table);
    writer_be64(w, pin->cookie);
    of_match_encode(w, version, &pin->match);
    writer_zeros(w, 2);
}

static void packet_in_nx(struct writer *w, const struct of_packet_in *pin)
{
    writer_u32(w, OF_NO_BUFFER);
    writer_u16(w, (uint16_t)MIN(pin->total_len, 0xffffu));
    writer_u8(w, pin->reason);
    writer_u8(w, pin->table);
    writer_be64(w, pin->cookie);
    size_t len_at = w->len;
    writer_u16(w, 0);
    writer_zeros(w, 6);
    nx_match_encode(w, len_at, &pin->match, 0, 0);
    writer_zeros(w, 2);
}

static void prop_u8(struct writer *w, enum nx_packet_in_prop type, uint8_t v)
{
    size_t start = of_prop_begin(w, (uint16_t)type);

    writer_u8(w, v);
    of_prop_end(w, start);
}

/* What stands around the packet: other properties, of bounded size but for metadata and userdata. */
static void packet_in_nx2(struct writer *w, uint8_t version, const struct of_packet_in *pin)
{
    size_t around = 64 + pin->userdata_len + 2048, prop = of_prop_begin(w, NXPINT_PACKET);
    size_t len = around < OF_MAX_LEN ? MIN(pin->data_len, OF_MAX_LEN - around) : 0;

    writer_bytes(w, pin->data, len);
    of_prop_end(w, prop);
    if (len < pin->total_len) {
        prop = of_prop_begin(w, NXPINT_FULL_LEN);
        writer_u32(w, pin->total_len);
        of_prop_end(w, prop);
    }
    prop_u8(w, NXPINT_TABLE_ID, pin->table);
    if (pin->cookie != UINT64_MAX) {
        prop = of_prop_begin(w, NXPINT_COOKIE);
        writer_zeros(w, 4);
        writer_be64(w, pin->cookie);
        of_prop_end(w, prop);
    }
    prop_u8(w, NXPINT_REASON, pin->reason);
    prop = of_prop_begin(w, NXPINT_METADATA);
    match_encode(&pin->match, version, w);
    of_prop_end(w, prop);
    if (pin->userdata_len) {
        prop = of_prop_begin(w, NXPINT_USERDATA);
        writer_bytes(w, pin->userdata, pin->userdata_len);
        of_prop_end(w, prop);
    }
}

void of_packet_in_encode(struct writer *w, uint8_t version, enum of_packet_in_format format,
                         const struct of_packet_in *pin)
{
    size_t start;

    switch (format) {
    case OF_PACKET_IN_NXT:
        start = of_begin_experimenter(w, version, OF_EXPERIMENTER_NX, NXT_PACKET_IN, 0);
        packet_in_nx(w, pin);
        put_data(w, start, pin);
        break;
    case OF_PACKET_IN_NXT2:
        start = of_begin_experimenter(w, version, OF_EXPERIMENTER_NX, NXT_PACKET_IN2, 0);
        packet_in_nx2(w, version, pin);
        break;
    case OF_PACKET_IN_STANDARD:
    default:
        start = of_begin(w, version, OFT_PACKET_IN, 0);
        if (version == OF_VERSION_10) {
            packet_in_10(w, pin);
        } else {
            packet_in_13(w, version, pin);
        }
        put_data(w, start, pin);
    }
    of_end(w, start);
}

static bool in_port_ok(ofp_port_t port)
{
    return ofp_port_u32(port) < ofp_port_u32(OFPP_MAX) || port == OFPP_CONTROLLER || port == OFPP_LOCAL ||
           port == OFPP_ANY;
}

/* Where the packet is said to come from and how long the actions are, by version. */
static int read_origin(struct reader *body, uint8_t version, struct of_packet_out *po, uint16_t *ret_actions_len)
{
    struct match *match = &po->match;
    int error;

    match_init(match);
    if (version == OF_VERSION_10) {
        po->in_port = ofp_port_from_16(reader_u16(body));
        *ret_actions_len = reader_u16(body);
        return 0;
    }
    if (version < OF_VERSION_15) {
        po->in_port = ofp_port(reader_u32(body));
        *ret_actions_len = reader_u16(body);
        reader_skip(body, 6);
        return 0;
    }
    *ret_actions_len = reader_u16(body);
    reader_skip(body, 2);
    error = body->error ? OFERR_BAD_LEN : of_match_decode(body, match);
    if (error) {
        return error;
    }
    po->in_port = ofp_port_u32(match->mask.in_port) ? match->value.in_port : OFPP_ANY;
    return 0;
}

/* Does the packet have what the actions need? As a flow's match must say of its packets. */
static int check_actions(const struct of_packet_out *po, uint8_t version)
{
    struct packet *packet = packet_new(po->data, po->data_len);
    struct match match = po->match;

    flow_key_extract(packet, &match.value.key);
    packet_free(packet);
    return version == OF_VERSION_10 ? ofpacts_check_of10(po->acts.data, po->acts.len, &match, 0)
                                    : ofpacts_check(po->acts.data, po->acts.len, &match, 0);
}

int of_packet_out_decode(struct reader *body, uint8_t version, struct of_packet_out *ret)
{
    struct of_packet_out po = {.buffer_id = reader_u32(body)};
    uint16_t actions_len = 0;
    int error = read_origin(body, version, &po, &actions_len);
    struct reader actions = reader_sub(body, actions_len);

    if (error || body->error) {
        return error ? error : OFERR_BAD_LEN;
    }
    if (po.buffer_id != OF_NO_BUFFER) {
        return OFERR_BUFFER_UNKNOWN;
    }
    if (!in_port_ok(po.in_port)) {
        return OFERR_BAD_PORT;
    }
    po.data_len = body->left;
    po.data = reader_take(body, body->left);
    error = ofpacts_decode_actions(&actions, version, &po.acts);
    error = error ? error : check_actions(&po, version);
    if (error) {
        ofpacts_done(&po.acts);
        return error;
    }
    *ret = po;
    return 0;
}

void of_packet_out_encode(struct writer *w, uint8_t version, const struct of_packet_out *po, uint32_t xid)
{
    size_t start = of_begin(w, version, OFT_PACKET_OUT, xid);

    writer_u32(w, po->buffer_id);
    writer_u32(w, ofp_port_u32(po->in_port));
    size_t actions_len = w->len;
    writer_u16(w, 0);
    writer_zeros(w, 6);
    size_t actions = w->len;
    ofpacts_encode_actions(po->acts.data, po->acts.len, version, w);
    writer_patch_u16(w, actions_len, (uint16_t)(w->len - actions));
    writer_bytes(w, po->data, po->data_len);
    of_end(w, start);
}
