/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart requests: what the switch, its tables, flows and ports tell of themselves. */
#include <stdio.h>

#include "openflow/msg_nx.h"
#include "switch/megaflow.h"
#include "switch/ofserver_private.h"

#define PARTS_MAX (4u << 20) /* bytes of a request in parts */

void of_reply_begin(struct of_reply *r, struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind)
{
    *r = (struct of_reply){.c = c, .now = time_mono_ms()};
    of_mp_begin_kind(&r->mp, &r->w, h->version, kind, h->xid);
}

void of_reply_end(struct of_reply *r)
{
    of_mp_end(&r->mp);
    ofconn_send(r->c, &r->w);
}

void ofserver_duration(int64_t since_ms, int64_t now, uint32_t *sec, uint32_t *nsec)
{
    int64_t ms = MAX(now - since_ms, 0);

    *sec = (uint32_t)(ms / 1000);
    *nsec = (uint32_t)(ms % 1000 * 1000000);
}

static int mp_desc(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    /* The first two are what clients of Open vSwitch look for. */
    const struct bridge *br = c->server->bridge;
    const struct of_desc desc = {"Nicira, Inc.", "Open vSwitch", "Warren " WARREN_VERSION,
                                 br->serial_number ? br->serial_number : "None",
                                 br->description ? br->description : "None"};
    struct of_reply r;

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    of_reply_begin(&r, c, h, kind);
    of_desc_encode(&r.w, &desc);
    of_reply_end(&r);
    return 0;
}

/* ---- flows ---- */

static uint32_t age_s(int64_t since_ms, int64_t now)
{
    return (uint32_t)(MAX(now - since_ms, 0) / 1000);
}

/* The client reads while the rest is still being put together. */
static void send_done(struct of_reply *r)
{
    struct writer done;

    of_mp_take_done(&r->mp, &done);
    ofconn_send(r->c, &done);
    of_conn_flush(r->c->conn);
}

static int put_flow(void *aux, const struct rule *rule)
{
    struct of_reply *r = aux;
    struct of_flow_stats fs = {
        .table = rule->table,
        .priority = (uint16_t)rule->cls.priority,
        .idle_timeout = rule->idle_timeout,
        .hard_timeout = rule->hard_timeout,
        .flags = rule->flags,
        .importance = rule->importance,
        .idle_age = age_s(rule->used_ms, r->now),
        .hard_age = age_s(rule->modified_ms, r->now),
        .cookie = rule->cookie,
        .packets = rule->flags & RULE_NO_PKT_COUNTS ? UINT64_MAX : rule->packets,
        .bytes = rule->flags & RULE_NO_BYT_COUNTS ? UINT64_MAX : rule->bytes,
        .acts = rule->actions->data,
        .acts_len = rule->actions->len,
    };

    ofserver_duration(rule->created_ms, r->now, &fs.duration_sec, &fs.duration_nsec);
    rule_get_match(rule, &fs.match);
    of_mp_entry(&r->mp);
    if (r->mp.kind.type == OFMP_FLOW_STATS) {
        of_flow_stats_brief_encode(&r->w, r->format.version, &fs);
    } else {
        of_flow_stats_encode(&r->w, &r->format, &fs);
    }
    of_mp_entry_done(&r->mp);
    if (r->mp.start) {
        send_done(r);
    }
    return 0;
}

/* What is not counted adds nothing. */
static int count_flow(void *aux, const struct rule *rule)
{
    struct of_reply *r = aux;

    r->packets += rule->packets;
    r->bytes += rule->bytes;
    r->flows++;
    return 0;
}

/* FLOW and AGGREGATE ask alike: FN sees each selected rule with fresh counters. */
static int over_flows(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body,
                      bool aggregate)
{
    const struct of_flow_format format = {h->version, kind->type == OFMP_EXPERIMENTER, false};
    struct of_flow_request fr;
    struct of_reply r;
    int error = of_flow_request_decode(body, &format, &fr);

    if (error) {
        return error;
    }
    const struct flow_filter filter = {
        .table = fr.table,
        .out_port = fr.out_port,
        .by_group = fr.out_group != OF_GROUP_ANY,
        .out_group = fr.out_group,
        .match = fr.match,
        .cookie = fr.cookie,
        .cookie_mask = fr.cookie_mask,
    };
    megaflow_sync_stats(c->server->bridge->sw);
    of_reply_begin(&r, c, h, kind);
    r.format = format;
    flow_table_for_each(c->server->bridge, &filter, aggregate ? count_flow : put_flow, &r);
    if (aggregate) {
        of_aggregate_encode(&r.w, format.nx ? OF_VERSION_10 : h->version, r.packets, r.bytes, r.flows);
    }
    of_reply_end(&r);
    return 0;
}

static int mp_flow(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    return over_flows(c, h, kind, body, false);
}

static int mp_aggregate(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    return over_flows(c, h, kind, body, true);
}

/* ---- ports ---- */

void ofserver_describe_port(const struct port *port, struct of_port *ret)
{
    *ret = (struct of_port){
        .port_no = port->ofp_port,
        .hw_addr = port->mac,
        .config = port->config,
        .state = port->state,
        .curr = port->curr_features,
        .curr_speed_kbps = port->speed_kbps,
        .max_speed_kbps = port->speed_kbps,
    };
    snprintf(ret->name, sizeof ret->name, "%s", port->name);
}

static void put_port_desc(struct of_reply *r, const struct port *port)
{
    struct of_port desc;

    ofserver_describe_port(port, &desc);
    of_mp_entry(&r->mp);
    of_port_encode(&r->w, r->mp.version, &desc);
    of_mp_entry_done(&r->mp);
}

static void put_port_stats(struct of_reply *r, const struct port *port)
{
    struct dp_port_stats s = {0};
    struct of_port_stats ps;

    bridge_port_get_stats(port, &s);
    ps = (struct of_port_stats){
        .port_no = port->ofp_port,
        .rx_packets = s.rx_packets,
        .tx_packets = s.tx_packets,
        .rx_bytes = s.rx_bytes,
        .tx_bytes = s.tx_bytes,
        .rx_dropped = s.rx_dropped,
        .tx_dropped = s.tx_dropped,
        .rx_errors = s.rx_errors,
        .tx_errors = s.tx_errors,
    };
    ofserver_duration(port->created_ms, r->now, &ps.duration_sec, &ps.duration_nsec);
    of_mp_entry(&r->mp);
    of_port_stats_encode(&r->w, r->mp.version, &ps);
    of_mp_entry_done(&r->mp);
}

static int by_number(struct port *a, struct port *b)
{
    uint32_t x = ofp_port_u32(a->ofp_port), y = ofp_port_u32(b->ofp_port);

    return (x > y) - (x < y);
}

const struct port *ofserver_first_port(struct bridge *br)
{
    HASH_SRT(hh_ofp, br->ports_by_ofp, by_number);
    return br->ports_by_ofp;
}

static void each_port(struct of_reply *r, struct bridge *br, void (*put)(struct of_reply *r, const struct port *port))
{
    for (const struct port *p = ofserver_first_port(br); p; p = p->hh_ofp.next) {
        put(r, p);
    }
}

/* Of the port that the request names, or of all. One that is not there has nothing to tell, as with Open vSwitch. */
static int over_ports(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body,
                      void (*put)(struct of_reply *r, const struct port *port))
{
    struct bridge *br = c->server->bridge;
    ofp_port_t wanted;
    struct of_reply r;
    int error = of_port_request_decode(body, h->version, &wanted);

    if (error) {
        return error;
    }
    const struct port *port = wanted == OFPP_ANY ? NULL : bridge_port_by_ofp(br, wanted);
    of_reply_begin(&r, c, h, kind);
    if (port) {
        put(&r, port);
    } else if (wanted == OFPP_ANY) {
        each_port(&r, br, put);
    }
    of_reply_end(&r);
    return 0;
}

static int mp_port_stats(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                         struct reader *body)
{
    megaflow_sync_stats(c->server->bridge->sw);
    return over_ports(c, h, kind, body, put_port_stats);
}

static int mp_port_desc(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    struct of_reply r;

    if (h->version >= OF_VERSION_15) {
        return over_ports(c, h, kind, body, put_port_desc);
    }
    if (body->left) {
        return OFERR_BAD_LEN;
    }
    of_reply_begin(&r, c, h, kind);
    each_port(&r, c->server->bridge, put_port_desc);
    of_reply_end(&r);
    return 0;
}

/* ---- dispatch ---- */

/* Versions: UNTIL 0 is the newest. PORT_DESC is Open vSwitch's way to more ports than 1.0's features can hold. */
static const struct {
    struct of_mp_kind kind;
    ofconn_mp_handler *fn;
    uint8_t since, until;
} multipart_handlers[] = {
    {{OFMP_DESC, 0, 0}, mp_desc, 0, 0},
    {{OFMP_FLOW, 0, 0}, mp_flow, 0, 0},
    {{OFMP_AGGREGATE, 0, 0}, mp_aggregate, 0, 0},
    {{OFMP_TABLE, 0, 0}, ofconn_mp_table, 0, 0},
    {{OFMP_PORT_STATS, 0, 0}, mp_port_stats, 0, 0},
    {{OFMP_QUEUE, 0, 0}, ofconn_mp_queue, 0, 0},
    {{OFMP_GROUP, 0, 0}, ofconn_mp_group, OF_VERSION_13, 0},
    {{OFMP_GROUP_DESC, 0, 0}, ofconn_mp_group_desc, OF_VERSION_13, 0},
    {{OFMP_GROUP_FEATURES, 0, 0}, ofconn_mp_group_features, OF_VERSION_13, 0},
    {{OFMP_METER, 0, 0}, ofconn_mp_meter, OF_VERSION_13, 0},
    {{OFMP_METER_CONFIG, 0, 0}, ofconn_mp_meter_config, OF_VERSION_13, 0},
    {{OFMP_METER_FEATURES, 0, 0}, ofconn_mp_meter_features, OF_VERSION_13, 0},
    {{OFMP_TABLE_FEATURES, 0, 0}, ofconn_mp_table_features, OF_VERSION_13, 0},
    {{OFMP_PORT_DESC, 0, 0}, mp_port_desc, 0, 0},
    {{OFMP_TABLE_DESC, 0, 0}, ofconn_mp_table_desc, OF_VERSION_14, 0},
    {{OFMP_QUEUE_DESC, 0, 0}, ofconn_mp_queue_desc, OF_VERSION_14, 0},
    {{OFMP_FLOW_MONITOR, 0, 0}, ofconn_mp_monitor, OF_VERSION_14, 0},
    {{OFMP_FLOW_STATS, 0, 0}, mp_flow, OF_VERSION_15, 0},
    {{OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_FLOW}, mp_flow, 0, 0},
    {{OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_AGGREGATE}, mp_aggregate, 0, 0},
    {{OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_GROUP}, ofconn_mp_group, 0, 0},
    {{OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_GROUP_DESC}, ofconn_mp_group_desc, 0, 0},
    {{OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_GROUP_FEATURES}, ofconn_mp_group_features, 0, 0},
    {{OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_FLOW_MONITOR}, ofconn_mp_monitor, 0, 0},
    {{OFMP_EXPERIMENTER, OF_EXPERIMENTER_ONF, ONFST_FLOW_MONITOR}, ofconn_mp_monitor, OF_VERSION_13, 0},
};

static int dispatch(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    for (size_t i = 0; i < ARRAY_SIZE(multipart_handlers); i++) {
        const struct of_mp_kind *k = &multipart_handlers[i].kind;

        if (k->type == kind->type && k->experimenter == kind->experimenter && k->subtype == kind->subtype &&
            h->version >= multipart_handlers[i].since &&
            (!multipart_handlers[i].until || h->version <= multipart_handlers[i].until)) {
            return multipart_handlers[i].fn(c, h, kind, body);
        }
    }
    return kind->type != OFMP_EXPERIMENTER ? OFERR_BAD_MULTIPART
           : kind->experimenter == OF_EXPERIMENTER_NX || kind->experimenter == OF_EXPERIMENTER_ONF
               ? OFERR_BAD_EXP_TYPE
               : OFERR_BAD_EXPERIMENTER;
}

/* A request in several parts is put together first. All have the same xid and kind. */
static int gather(struct ofconn *c, const struct of_header *h, const struct of_mp_header *mp, struct reader *body)
{
    struct of_mp_kind *kind = &c->parts_kind;

    if (c->parts.len && (c->parts_xid != h->xid || memcmp(kind, &mp->kind, sizeof *kind) != 0)) {
        writer_done(&c->parts);
        return OFERR_MULTIPART_OVERFLOW;
    }
    c->parts.limit = PARTS_MAX;
    c->parts_xid = h->xid;
    c->parts_kind = mp->kind;
    writer_bytes(&c->parts, body->data, body->left);
    if (c->parts.error) {
        writer_done(&c->parts);
        c->parts.error = 0;
        return OFERR_MULTIPART_OVERFLOW;
    }
    return 0;
}

int ofconn_handle_multipart(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct of_mp_header mp;
    int error = of_mp_header_decode(body, h->version, &mp);

    if (error) {
        return error;
    }
    if (!(mp.flags & OFMP_F_MORE) && !c->parts.len) {
        return dispatch(c, h, &mp.kind, body);
    }
    error = gather(c, h, &mp, body);
    if (error || mp.flags & OFMP_F_MORE) {
        return error;
    }
    struct reader whole = reader_of(c->parts.data, c->parts.len);
    error = dispatch(c, h, &mp.kind, &whole);
    writer_done(&c->parts);
    return error;
}
