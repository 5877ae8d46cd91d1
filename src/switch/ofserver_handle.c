/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of an OpenFlow connection, one function a message type. Each returns 0 (a reply, if the type has one, is
 * sent) or the OFERR_* that is sent back; the connection lives either way.
 */
#include <endian.h>
#include <utlist.h>

#include "base/log.h"
#include "switch/flow_save.h"
#include "switch/ofserver_private.h"

LOG_MODULE("openflow");

/* FLOW_STATS, TABLE_STATS, PORT_STATS, GROUP_STATS, QUEUE_STATS; 1.0: without groups, with ARP_MATCH_IP. */
#define CAPABILITIES 0x4fu
#define CAPABILITIES_10 0xc7u
#define CAPABILITY_BUNDLES (1u << 9)
#define ACTIONS_10 0xfffu /* all that 1.0 has */
#define PORT_10_LEN 48u
/* OpenFlow 1.0's spanning tree bits of a port: there is none. */
#define PORT_CONFIG_STP_10 ((1u << 1) | (1u << 3))
/* Switch configuration: what happens to fragments, and OpenFlow 1.1's and 1.2's wish for packets with a bad TTL. */
#define CONFIG_FRAG_MASK 3u
#define CONFIG_INVALID_TTL 4u
#define FRAG_REASSEMBLE 2u

void ofconn_send_error(struct ofconn *c, int error, const struct of_header *h, const uint8_t *msg)
{
    struct writer w = {0};

    log_dbg("%s: %s: message type %u refused: %s", c->server->bridge->name, of_conn_name(c->conn), h->type,
            oferr_name(error));
    of_error_encode(&w, ofconn_version(c), error, msg, h->length, h->xid);
    ofconn_send(c, &w);
}

/* The ports too in 1.0: as many as a message holds (OpenFlow 1.0, 5.3.1). */
static void put_ports_10(struct ofconn *c, struct writer *w, size_t start)
{
    struct bridge *br = c->server->bridge;

    for (const struct port *p = ofserver_first_port(br); p && w->len - start + PORT_10_LEN <= OF_MAX_LEN;
         p = p->hh_ofp.next) {
        struct of_port desc;

        ofserver_describe_port(p, &desc);
        of_port_encode(w, OF_VERSION_10, &desc);
    }
}

static int handle_features(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct writer w = {0};

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    size_t start = of_begin(&w, h->version, OFT_FEATURES_REPLY, h->xid);
    writer_u64(&w, c->server->bridge->datapath_id);
    writer_u32(&w, 0); /* packets are never buffered */
    writer_u8(&w, N_TABLES);
    writer_u8(&w, 0); /* main connection */
    writer_zeros(&w, 2);
    writer_u32(&w, h->version == OF_VERSION_10 ? CAPABILITIES_10
                                               : CAPABILITIES | (h->version >= OF_VERSION_14 ? CAPABILITY_BUNDLES : 0));
    writer_u32(&w, h->version == OF_VERSION_10 ? ACTIONS_10 : 0);
    if (h->version == OF_VERSION_10) {
        put_ports_10(c, &w, start);
    }
    of_end(&w, start);
    ofconn_send(c, &w);
    return 0;
}

static int handle_get_config(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct writer w = {0};

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    size_t start = of_begin(&w, h->version, OFT_GET_CONFIG_REPLY, h->xid);

    uint16_t flags = (uint16_t)c->server->bridge->frag_mode;
    if (h->version < OF_VERSION_13 && c->async.masks[0][OF_ASYNC_PACKET_IN] >> PACKET_IN_INVALID_TTL & 1) {
        flags |= CONFIG_INVALID_TTL;
    }
    writer_u16(&w, flags);
    writer_u16(&w, c->miss_send_len);
    of_end(&w, start);
    ofconn_send(c, &w);
    return 0;
}

static int handle_set_config(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    uint16_t flags = reader_u16(body);
    uint16_t miss_send_len = reader_u16(body);

    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    unsigned int frags = flags & CONFIG_FRAG_MASK;
    unsigned int known = CONFIG_FRAG_MASK | (h->version < OF_VERSION_13 ? CONFIG_INVALID_TTL : 0);
    if (flags & ~known) {
        return OFERR_CONFIG_BAD_FLAGS;
    }
    /* Reassembly is not to be had: as with Open vSwitch, the mode stays and GET_CONFIG tells. */
    if (c->role != OF_ROLE_SLAVE && frags != FRAG_REASSEMBLE) {
        bridge_set_frag_mode(c->server->bridge, (enum frag_mode)frags);
    }
    c->miss_send_len = miss_send_len;
    if (h->version < OF_VERSION_13) {
        uint32_t bit = 1u << PACKET_IN_INVALID_TTL, *mask = &c->async.masks[0][OF_ASYNC_PACKET_IN];
        *mask = flags & CONFIG_INVALID_TTL ? *mask | bit : *mask & ~bit;
    }
    ofserver_update_misses(c->server);
    return 0;
}

int ofconn_packet_out_begin(struct ofconn *c, const struct of_header *h, struct reader *body, struct packet_out **ret)
{
    struct of_packet_out po;
    int error = of_packet_out_decode(body, h->version, &po);

    if (error) {
        return error;
    }
    const struct match *pipeline = h->version >= OF_VERSION_15 ? &po.match : NULL;
    error = bridge_packet_out_begin(c->server->bridge, po.data, po.data_len, po.in_port, pipeline, po.acts.data,
                                    po.acts.len, ret);
    ofpacts_done(&po.acts);
    return error;
}

static int handle_packet_out(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct packet_out *po;
    int error = ofconn_packet_out_begin(c, h, body, &po);

    return error ? error : bridge_packet_out_end(po, true);
}

void flow_change_from_mod(const struct of_flow_mod *fm, const struct of_header *h, struct flow_change *ret)
{
    static const enum flow_mod_command commands[] = {
        [OF_FLOW_ADD] = FLOW_MOD_ADD,
        [OF_FLOW_MODIFY] = FLOW_MOD_MODIFY,
        [OF_FLOW_MODIFY_STRICT] = FLOW_MOD_MODIFY_STRICT,
        [OF_FLOW_DELETE] = FLOW_MOD_DELETE,
        [OF_FLOW_DELETE_STRICT] = FLOW_MOD_DELETE_STRICT,
    };
    bool deletes = fm->command == OF_FLOW_DELETE || fm->command == OF_FLOW_DELETE_STRICT;
    bool adds = fm->command == OF_FLOW_ADD;
    bool v10 = h->version == OF_VERSION_10;

    *ret = (struct flow_change){
        .command = commands[fm->command],
        .table = fm->table,
        .match = fm->match,
        .priority = fm->priority,
        .cookie = fm->cookie,
        .cookie_mask = adds ? 0 : fm->cookie_mask,
        .modify_cookie = fm->modify_cookie,
        .new_cookie = fm->new_cookie,
        .modify_adds = v10,
        .idle_timeout = fm->idle_timeout,
        .hard_timeout = fm->hard_timeout,
        .importance = fm->importance,
        .flags = fm->flags | (v10 && adds ? RULE_RESET_COUNTS : 0), /* an ADD begins anew before 1.2 */
        .out_port = deletes ? fm->out_port : OFPP_ANY,              /* ADD often carries 0: it must not count */
        .by_group = deletes && fm->out_group != OF_GROUP_ANY,
        .out_group = fm->out_group,
        .keep_timeouts = true,
        .actions = fm->acts.data,
        .actions_len = fm->acts.len,
        .asked = true,
        .xid = h->xid,
    };
}

static int flow_mod(struct ofconn *c, const struct of_header *h, const struct of_flow_format *format,
                    struct reader *body)
{
    struct of_flow_mod fm;
    struct flow_change change;
    int error = of_flow_mod_decode(body, format, &fm);

    if (error) {
        return error;
    }
    flow_change_from_mod(&fm, h, &change);
    error = flow_table_apply(c->server->bridge, &change, time_mono_ms());
    of_flow_mod_done(&fm);
    return error;
}

/* Tables came to 1.0 by Nicira's extension, and so did the error. */
int ofconn_flow_mod(struct ofconn *c, const struct of_header *h, const struct of_flow_format *format,
                    struct reader *body)
{
    int error = flow_mod(c, h, format, body);

    return error == OFERR_FLOW_MOD_BAD_TABLE_ID && format->version == OF_VERSION_10 ? OFERR_NXFMFC_BAD_TABLE_ID : error;
}

static int handle_flow_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return ofconn_flow_mod(c, h, &(struct of_flow_format){h->version, false, c->table_id}, body);
}

int ofconn_port_mod(struct ofconn *c, const struct of_header *h, struct reader *body, bool apply)
{
    struct of_port_mod pm;
    int error = of_port_mod_decode(body, h->version, &pm);

    if (error) {
        return error;
    }
    struct port *port = bridge_port_by_ofp(c->server->bridge, pm.port_no);
    if (!port) {
        return OFERR_PORT_MOD_BAD_PORT;
    }
    if (memcmp(pm.hw_addr.a, port->mac.a, sizeof pm.hw_addr.a)) {
        return OFERR_PORT_MOD_BAD_HW_ADDR;
    }
    if (h->version == OF_VERSION_10) {
        pm.mask &= ~PORT_CONFIG_STP_10;
    }
    const uint32_t known =
        PORT_CONFIG_DOWN | PORT_CONFIG_NO_RECV | PORT_CONFIG_NO_FWD | PORT_CONFIG_NO_PACKET_IN | PORT_CONFIG_NO_FLOOD;
    if (pm.mask & ~known) {
        return OFERR_PORT_MOD_BAD_CONFIG;
    }
    if (apply) {
        bridge_port_set_config(port, pm.config, pm.mask);
    }
    return 0;
}

static int handle_port_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return ofconn_port_mod(c, h, body, true);
}

static int handle_barrier(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct writer w = {0};

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    flow_saver_sync(c->server->bridge->saver);
    of_encode_empty(&w, h->version, OFT_BARRIER_REPLY, h->xid);
    ofconn_send(c, &w);
    return 0;
}

/* ---- dispatch ---- */

/* By version-neutral number, which of_header_decode() gives only to types that the version has. `changes`: a slave
 * controller may not send it. */
static const struct {
    ofconn_handler *fn;
    bool changes;
    uint8_t since, until; /* versions; until 0: the newest */
} handlers[] = {
    [OFT_EXPERIMENTER] = {ofconn_experimenter, false, 0, 0},
    [OFT_FEATURES_REQUEST] = {handle_features, false, 0, 0},
    [OFT_GET_CONFIG_REQUEST] = {handle_get_config, false, 0, 0},
    [OFT_SET_CONFIG] = {handle_set_config, false, 0, 0},
    [OFT_PACKET_OUT] = {handle_packet_out, true, 0, 0},
    [OFT_FLOW_MOD] = {handle_flow_mod, true, 0, 0},
    [OFT_PORT_MOD] = {handle_port_mod, true, 0, 0},
    [OFT_GROUP_MOD] = {ofconn_group_mod, true, OF_VERSION_13, 0},
    [OFT_METER_MOD] = {ofconn_meter_mod, true, OF_VERSION_13, 0},
    [OFT_TABLE_MOD] = {ofconn_table_mod, true, 0, 0},
    [OFT_MULTIPART_REQUEST] = {ofconn_handle_multipart, false, 0, 0},
    [OFT_BARRIER_REQUEST] = {handle_barrier, false, 0, 0},
    [OFT_QUEUE_GET_CONFIG_REQUEST] = {ofconn_queue_get_config, false, 0, OF_VERSION_13},
    [OFT_ROLE_REQUEST] = {ofconn_role, false, OF_VERSION_13, 0},
    [OFT_GET_ASYNC_REQUEST] = {ofconn_get_async, false, OF_VERSION_13, 0},
    [OFT_SET_ASYNC] = {ofconn_set_async, false, OF_VERSION_13, 0},
    [OFT_BUNDLE_CONTROL] = {ofconn_bundle_ctrl, false, OF_VERSION_14, 0},
    [OFT_BUNDLE_ADD] = {ofconn_bundle_add, false, OF_VERSION_14, 0},
};

static bool is_served(const struct of_header *h)
{
    return h->type < ARRAY_SIZE(handlers) && handlers[h->type].fn && h->version >= handlers[h->type].since &&
           (!handlers[h->type].until || h->version <= handlers[h->type].until);
}

void ofconn_handle(struct ofconn *c, const struct of_header *h, const uint8_t *msg)
{
    struct reader body = reader_of(msg + OF_HEADER_LEN, h->length - OF_HEADER_LEN);
    struct ofserver *s = c->server;
    int error = OFERR_BAD_TYPE;

    if (h->type == OFT_ERROR) {
        return; /* nothing that we send asks for an answer */
    }
    s->acting = c;
    if (is_served(h)) {
        error =
            handlers[h->type].changes && c->role == OF_ROLE_SLAVE ? OFERR_IS_SLAVE : handlers[h->type].fn(c, h, &body);
    }
    s->acting = NULL;
    if (error) {
        ofconn_send_error(c, error, h, msg);
    }
    ofserver_after_changes(s);
}
