/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of an OpenFlow connection, one function a message type. Each returns 0 (a reply, if the type has one, is
 * sent) or the OFERR_* that is sent back; the connection lives either way.
 */
#include <endian.h>
#include <utlist.h>

#include "base/log.h"
#include "openflow/msg_table.h"
#include "switch/ofserver_private.h"

LOG_MODULE("openflow");

/* OpenFlow 1.3 capabilities: FLOW_STATS, TABLE_STATS, PORT_STATS. Groups and queues are not there. */
#define CAPABILITIES 0x7
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
    writer_u32(&w, CAPABILITIES);
    writer_u32(&w, 0);
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
    if (h->version < OF_VERSION_13 && c->async[0][ASYNC_PACKET_IN] >> PACKET_IN_INVALID_TTL & 1) {
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
    if (flags & ~known || frags == FRAG_REASSEMBLE) {
        return OFERR_CONFIG_BAD_FLAGS;
    }
    if (c->role != OF_ROLE_SLAVE) {
        bridge_set_frag_mode(c->server->bridge, (enum frag_mode)frags);
    }
    bool asked = c->miss_send_len != 0;
    c->miss_send_len = miss_send_len;
    if (!ofconn_is_controller(c) && !c->async_set && asked != (miss_send_len != 0)) {
        ofconn_async_defaults(c);
    }
    if (h->version < OF_VERSION_13) {
        uint32_t bit = 1u << PACKET_IN_INVALID_TTL, *mask = &c->async[0][ASYNC_PACKET_IN];
        *mask = flags & CONFIG_INVALID_TTL ? *mask | bit : *mask & ~bit;
    }
    ofserver_update_misses(c->server);
    return 0;
}

int ofconn_packet_out(struct ofconn *c, const struct of_header *h, struct reader *body, bool apply)
{
    struct of_packet_out po;
    int error = of_packet_out_decode(body, h->version, &po);

    if (error) {
        return error;
    }
    if (apply) {
        struct packet *packet = packet_new(po.data, po.data_len);

        error = bridge_packet_out(c->server->bridge, packet, po.in_port, po.acts.data, po.acts.len);
        packet_free(packet);
    }
    ofpacts_done(&po.acts);
    return error;
}

static int handle_packet_out(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return ofconn_packet_out(c, h, body, true);
}

void flow_change_from_mod(const struct of_flow_mod *fm, struct flow_change *ret)
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

    *ret = (struct flow_change){
        .command = commands[fm->command],
        .table = fm->table,
        .match = fm->match,
        .priority = fm->priority,
        .cookie = fm->cookie,
        .cookie_mask = adds ? 0 : fm->cookie_mask,
        .idle_timeout = fm->idle_timeout,
        .hard_timeout = fm->hard_timeout,
        .flags = fm->flags,
        .out_port = deletes ? fm->out_port : OFPP_ANY, /* ADD often carries 0: it must not count */
        .keep_timeouts = true,
        .actions = fm->acts.data,
        .actions_len = fm->acts.len,
    };
}

static int handle_flow_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct of_flow_mod fm;
    struct flow_change change;
    int error = of_flow_mod_decode(body, &(struct of_flow_format){.version = h->version}, &fm);

    if (error) {
        return error;
    }
    flow_change_from_mod(&fm, &change);
    error = flow_table_apply(c->server->bridge, &change, time_mono_ms());
    of_flow_mod_done(&fm);
    return error;
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

/* 1.3 gives table_mod no bit that means anything; 1.4 has eviction. */
static int handle_table_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct bridge *br = c->server->bridge;
    struct of_table_config tc;
    int error = of_table_mod_decode(body, h->version, &tc);

    if (error || tc.eviction == OF_KEEP) {
        return error;
    }
    if (tc.vacancy == OF_ON) {
        return OFERR_TABLE_MOD_BAD_CONFIG;
    }
    for (unsigned int table = 0; table < N_TABLES; table++) {
        if (tc.table == table || tc.table == TABLE_ID_ALL) {
            flow_table_set_openflow_eviction(br, (table_id_t)table, tc.eviction == OF_ON);
        }
    }
    return 0;
}

static int handle_barrier(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct writer w = {0};

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    of_encode_empty(&w, h->version, OFT_BARRIER_REPLY, h->xid);
    ofconn_send(c, &w);
    return 0;
}

/* Every port has no queue. */
static int handle_queue_get_config(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    ofp_port_t port = ofp_port(reader_u32(body));
    struct writer w = {0};

    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (port != OFPP_ANY && !bridge_port_by_ofp(c->server->bridge, port)) {
        return OFERR_QUEUE_BAD_PORT;
    }
    size_t start = of_begin(&w, h->version, OFT_QUEUE_GET_CONFIG_REPLY, h->xid);
    writer_u32(&w, ofp_port_u32(port));
    writer_zeros(&w, 4);
    of_end(&w, start);
    ofconn_send(c, &w);
    return 0;
}

/* ---- roles and asynchronous messages ---- */

static int handle_role(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct ofserver *s = c->server;
    uint32_t role = reader_u32(body);

    reader_skip(body, 4);
    uint64_t generation = reader_u64(body);
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    if (role > OF_ROLE_SLAVE) {
        return OFERR_ROLE_BAD_ROLE;
    }
    if (role == OF_ROLE_MASTER || role == OF_ROLE_SLAVE) {
        if (s->have_generation && (int64_t)(generation - s->generation) < 0) {
            return OFERR_ROLE_STALE;
        }
        s->have_generation = true;
        s->generation = generation;
    }
    if (role == OF_ROLE_MASTER) {
        struct ofconn *other;

        DL_FOREACH(s->conns, other) {
            if (other->role == OF_ROLE_MASTER) {
                other->role = OF_ROLE_SLAVE;
            }
        }
    }
    if (role != OF_ROLE_NOCHANGE) {
        c->role = (enum of_role)role;
    }
    struct writer w = {0};
    size_t start = of_begin(&w, h->version, OFT_ROLE_REPLY, h->xid);
    writer_u32(&w, c->role);
    writer_zeros(&w, 4);
    writer_u64(&w, s->have_generation ? s->generation : UINT64_MAX);
    of_end(&w, start);
    ofconn_send(c, &w);
    return 0;
}

static int handle_get_async(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct writer w = {0};

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    size_t start = of_begin(&w, h->version, OFT_GET_ASYNC_REPLY, h->xid);

    for (size_t kind = 0; kind < N_ASYNC; kind++) {
        writer_u32(&w, c->async[0][kind]);
        writer_u32(&w, c->async[1][kind]);
    }
    of_end(&w, start);
    ofconn_send(c, &w);
    return 0;
}

static int handle_set_async(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    uint32_t masks[2][N_ASYNC];

    for (size_t kind = 0; kind < N_ASYNC; kind++) {
        masks[0][kind] = reader_u32(body);
        masks[1][kind] = reader_u32(body);
    }
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    memcpy(c->async, masks, sizeof masks);
    c->async_set = true;
    ofserver_update_misses(c->server);
    return 0;
}

/* ---- experimenters ---- */

static int handle_experimenter(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    uint32_t experimenter = reader_u32(body);
    uint32_t type = reader_u32(body);

    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (experimenter == OF_EXPERIMENTER_ONF) {
        return type == OF_ONF_BUNDLE_CTRL  ? ofconn_bundle_ctrl(c, h, body)
               : type == OF_ONF_BUNDLE_ADD ? ofconn_bundle_add(c, h, body)
                                           : OFERR_BAD_EXP_TYPE;
    }
    return experimenter == OF_EXPERIMENTER_NX ? OFERR_BAD_EXP_TYPE : OFERR_BAD_EXPERIMENTER;
}

/* ---- dispatch ---- */

/* `changes`: a slave controller may not send it. */
static const struct {
    ofconn_handler *fn;
    bool changes;
} handlers[] = {
    [OFT_EXPERIMENTER] = {handle_experimenter, false},
    [OFT_FEATURES_REQUEST] = {handle_features, false},
    [OFT_GET_CONFIG_REQUEST] = {handle_get_config, false},
    [OFT_SET_CONFIG] = {handle_set_config, false},
    [OFT_PACKET_OUT] = {handle_packet_out, true},
    [OFT_FLOW_MOD] = {handle_flow_mod, true},
    [OFT_PORT_MOD] = {handle_port_mod, true},
    [OFT_TABLE_MOD] = {handle_table_mod, true},
    [OFT_MULTIPART_REQUEST] = {ofconn_handle_multipart, false},
    [OFT_BARRIER_REQUEST] = {handle_barrier, false},
    [OFT_QUEUE_GET_CONFIG_REQUEST] = {handle_queue_get_config, false},
    [OFT_ROLE_REQUEST] = {handle_role, false},
    [OFT_GET_ASYNC_REQUEST] = {handle_get_async, false},
    [OFT_SET_ASYNC] = {handle_set_async, false},
};

void ofconn_handle(struct ofconn *c, const struct of_header *h, const uint8_t *msg)
{
    struct reader body = reader_of(msg + OF_HEADER_LEN, h->length - OF_HEADER_LEN);
    int error = OFERR_BAD_TYPE;

    if (h->type == OFT_ERROR) {
        return; /* nothing that we send asks for an answer */
    }
    if (h->type < ARRAY_SIZE(handlers) && handlers[h->type].fn) {
        error =
            handlers[h->type].changes && c->role == OF_ROLE_SLAVE ? OFERR_IS_SLAVE : handlers[h->type].fn(c, h, &body);
    }
    if (error) {
        ofconn_send_error(c, error, h, msg);
    }
}
