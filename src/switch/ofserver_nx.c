/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nicira's and the ONF's messages: the forms that a connection of OpenFlow 1.0 chooses for its flows and packet_ins,
 * and what of later versions they carry into earlier ones. What nothing stands behind here (connection tracking, paused
 * packets) is refused with the error for an unknown subtype.
 */
#include "openflow/msg_monitor.h"
#include "openflow/msg_nx.h"
#include "switch/flow_save.h"
#include "switch/ofserver_private.h"

#define FLOW_FORMAT_OPENFLOW10 0
#define FLOW_FORMAT_NXM 2

static int set_flow_format(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    uint32_t format = reader_u32(body);

    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    if (format != FLOW_FORMAT_OPENFLOW10 && format != FLOW_FORMAT_NXM) {
        return OFERR_EPERM;
    }
    c->nxm = format == FLOW_FORMAT_NXM;
    return 0;
}

static int set_table_id(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    uint8_t on = reader_u8(body);

    reader_skip(body, 7);
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    c->table_id = on != 0;
    return 0;
}

static int nx_flow_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return ofconn_flow_mod(c, h, &(struct of_flow_format){h->version, true, c->table_id}, body);
}

static int set_packet_in_format(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    uint32_t format = reader_u32(body);

    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    if (format > OF_PACKET_IN_NXT2) {
        return OFERR_EPERM;
    }
    c->packet_in_format = (enum of_packet_in_format)format;
    return 0;
}

/* Ages are always told in NXST_FLOW: there is nothing to turn on. */
static int flow_age(struct ofconn *c WR_UNUSED, const struct of_header *h WR_UNUSED, struct reader *body)
{
    return body->left ? OFERR_BAD_LEN : 0;
}

static int set_controller_id(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    reader_skip(body, 6);
    uint16_t id = reader_u16(body);
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    c->controller_id = id;
    return 0;
}

static const struct {
    uint32_t subtype;
    ofconn_handler *fn;
    bool changes; /* a slave may not send it */
} nx_handlers[] = {
    {NXT_ROLE_REQUEST, ofconn_nx_role, false},
    {NXT_SET_FLOW_FORMAT, set_flow_format, false},
    {NXT_FLOW_MOD, nx_flow_mod, true},
    {NXT_GROUP_MOD, ofconn_nx_group_mod, true},
    {NXT_FLOW_MOD_TABLE_ID, set_table_id, false},
    {NXT_SET_PACKET_IN_FORMAT, set_packet_in_format, false},
    {NXT_FLOW_AGE, flow_age, false},
    {NXT_SET_ASYNC_CONFIG, ofconn_nx_set_async, false},
    {NXT_SET_CONTROLLER_ID, set_controller_id, false},
    {NXT_FLOW_MONITOR_CANCEL, ofconn_monitor_cancel, false},
    {NXT_SET_ASYNC_CONFIG2, ofconn_nx_set_async2, false},
    {NXT_TLV_TABLE_MOD, ofconn_tlv_table_mod, true},
    {NXT_TLV_TABLE_REQUEST, ofconn_tlv_table_request, false},
};

static const struct {
    uint32_t type;
    ofconn_handler *fn;
} onf_handlers[] = {
    {OF_ONF_BUNDLE_CTRL, ofconn_bundle_ctrl},
    {OF_ONF_BUNDLE_ADD, ofconn_bundle_add},
    {ONFST_FLOW_MONITOR, ofconn_monitor_cancel},
};

int ofconn_experimenter(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    uint32_t experimenter = reader_u32(body);
    uint32_t type = reader_u32(body);

    if (body->error) {
        return OFERR_BAD_LEN;
    }
    for (size_t i = 0; experimenter == OF_EXPERIMENTER_NX && i < ARRAY_SIZE(nx_handlers); i++) {
        if (nx_handlers[i].subtype == type) {
            return nx_handlers[i].changes && c->role == OF_ROLE_SLAVE ? OFERR_IS_SLAVE : nx_handlers[i].fn(c, h, body);
        }
    }
    for (size_t i = 0; experimenter == OF_EXPERIMENTER_ONF && i < ARRAY_SIZE(onf_handlers); i++) {
        if (onf_handlers[i].type == type && h->version >= OF_VERSION_13) {
            return onf_handlers[i].fn(c, h, body);
        }
    }
    return experimenter == OF_EXPERIMENTER_NX || experimenter == OF_EXPERIMENTER_ONF ? OFERR_BAD_EXP_TYPE
                                                                                     : OFERR_BAD_EXPERIMENTER;
}

/* ---- Geneve options ---- */

int ofconn_tlv_table_mod(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    struct tlv_map *map = &c->server->bridge->tlv_map;
    struct tlv_mapping mappings[TLV_MAP_MAX];
    _cleanup_free_ struct nx_tlv_map *maps = NULL;
    enum nx_tlv_command command;
    size_t n;
    int error = nx_tlv_mod_decode(body, &command, &maps, &n);

    if (error) {
        return error;
    }
    if (n > TLV_MAP_MAX) {
        return OFERR_TLV_TABLE_FULL;
    }
    for (size_t i = 0; i < n; i++) {
        mappings[i] = (struct tlv_mapping){maps[i].opt_class, maps[i].opt_type, maps[i].opt_len, maps[i].index};
    }
    switch (command) {
    case NX_TLV_ADD:
        error = tlv_map_add(map, mappings, n);
        break;
    case NX_TLV_DELETE:
        tlv_map_del(map, mappings, n);
        break;
    case NX_TLV_CLEAR:
        tlv_map_clear(map);
        break;
    }
    if (!error) {
        flow_saver_note_all(c->server->bridge->saver);
        switch_changed(c->server->bridge->sw);
    }
    return error;
}

int ofconn_tlv_table_request(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    const struct tlv_map *map = &c->server->bridge->tlv_map;
    struct nx_tlv_map maps[TLV_MAP_MAX];
    struct writer w = {0};

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    for (size_t i = 0; i < map->n; i++) {
        const struct tlv_mapping *m = &map->entries[i];

        maps[i] = (struct nx_tlv_map){m->opt_class, m->opt_type, m->opt_len, m->index};
    }
    nx_tlv_reply_encode(&w, h->version, FLOW_TUN_METADATA_LEN, TLV_MAP_MAX, maps, map->n, h->xid);
    ofconn_send(c, &w);
    return 0;
}
