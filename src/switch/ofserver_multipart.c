/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart requests: what the switch, its tables, flows and ports tell of themselves. */
#include <stdio.h>

#include "switch/megaflow.h"
#include "openflow/msg_table.h"
#include "switch/ofserver_private.h"

#define MAX_FLOWS_UNLIMITED 1000000u

/* A reply under way, handed to callbacks. */
struct reply {
    struct ofconn *c;
    struct writer w;
    struct of_mp mp;
    int64_t now;
    uint64_t packets, bytes; /* AGGREGATE */
    uint32_t flows;
};

static void reply_begin(struct reply *r, struct ofconn *c, const struct of_header *h, enum of_multipart_type type)
{
    *r = (struct reply){.c = c, .now = time_mono_ms()};
    of_mp_begin(&r->mp, &r->w, h->version, type, h->xid);
}

static void reply_end(struct reply *r)
{
    of_mp_end(&r->mp);
    ofconn_send(r->c, &r->w);
}

static void duration(int64_t since_ms, int64_t now, uint32_t *sec, uint32_t *nsec)
{
    int64_t ms = MAX(now - since_ms, 0);

    *sec = (uint32_t)(ms / 1000);
    *nsec = (uint32_t)(ms % 1000 * 1000000);
}

static int mp_desc(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    /* The first two are what clients of Open vSwitch look for. */
    static const struct of_desc desc = {"Nicira, Inc.", "Open vSwitch", "Warren " WARREN_VERSION, "None", "None"};
    struct reply r;

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    reply_begin(&r, c, h, OFMP_DESC);
    of_desc_encode(&r.w, &desc);
    reply_end(&r);
    return 0;
}

/* ---- flows ---- */

static int put_flow(void *aux, const struct rule *rule)
{
    struct reply *r = aux;
    struct of_flow_stats fs = {
        .table = rule->table,
        .priority = (uint16_t)rule->cls.priority,
        .idle_timeout = rule->idle_timeout,
        .hard_timeout = rule->hard_timeout,
        .flags = rule->flags,
        .cookie = rule->cookie,
        .packets = rule->packets,
        .bytes = rule->bytes,
        .acts = rule->actions->data,
        .acts_len = rule->actions->len,
    };

    duration(rule->created_ms, r->now, &fs.duration_sec, &fs.duration_nsec);
    rule_get_match(rule, &fs.match);
    of_mp_entry(&r->mp);
    of_flow_stats_encode(&r->w, &(struct of_flow_format){.version = r->mp.version}, &fs);
    of_mp_entry_done(&r->mp);
    return 0;
}

static int count_flow(void *aux, const struct rule *rule)
{
    struct reply *r = aux;

    r->packets += rule->packets;
    r->bytes += rule->bytes;
    r->flows++;
    return 0;
}

static int flow_filter_decode(struct reader *body, uint8_t version, struct flow_filter *ret)
{
    struct of_flow_request fr;
    int error = of_flow_request_decode(body, &(struct of_flow_format){.version = version}, &fr);

    if (error) {
        return error;
    }
    *ret = (struct flow_filter){
        .table = fr.table,
        .out_port = fr.out_port,
        .match = fr.match,
        .cookie = fr.cookie,
        .cookie_mask = fr.cookie_mask,
    };
    return 0;
}

/* FLOW and AGGREGATE ask alike: FN sees each selected rule with fresh counters. */
static int over_flows(struct ofconn *c, const struct of_header *h, struct reader *body, enum of_multipart_type type,
                      int (*fn)(void *aux, const struct rule *rule))
{
    struct flow_filter filter;
    struct reply r;
    int error = flow_filter_decode(body, h->version, &filter);

    if (error) {
        return error;
    }
    megaflow_sync_stats(c->server->bridge->sw);
    reply_begin(&r, c, h, type);
    flow_table_for_each(c->server->bridge, &filter, fn, &r);
    if (type == OFMP_AGGREGATE) {
        of_aggregate_encode(&r.w, h->version, r.packets, r.bytes, r.flows);
    }
    reply_end(&r);
    return 0;
}

/* ---- tables ---- */

static uint32_t table_limit(const struct ofconn *c, unsigned int table)
{
    uint32_t limit = c->server->bridge->tables[table].max_flows;

    return limit ? limit : MAX_FLOWS_UNLIMITED;
}

static int mp_table(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct reply r;

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    megaflow_sync_stats(c->server->bridge->sw);
    reply_begin(&r, c, h, OFMP_TABLE);
    for (unsigned int table = 0; table < N_TABLES; table++) {
        const char *name = flow_table_name(c->server->bridge, (table_id_t)table);
        struct table_stats stats;
        struct of_table_stats ts = {.table = (table_id_t)table, .max_entries = table_limit(c, table)};

        snprintf(ts.name, sizeof ts.name, "%s", name ? name : "");
        flow_table_get_stats(c->server->bridge, (table_id_t)table, &stats);
        ts.active = stats.active;
        ts.lookup = stats.lookup;
        ts.matched = stats.matched;
        of_mp_entry(&r.mp);
        of_table_stats_put(&r.w, h->version, &ts);
        of_mp_entry_done(&r.mp);
    }
    reply_end(&r);
    return 0;
}

static int mp_table_features(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct reply r;

    if (body->left) {
        return OFERR_TABLE_FEATURES_EPERM; /* tables cannot be redefined */
    }
    reply_begin(&r, c, h, OFMP_TABLE_FEATURES);
    for (unsigned int table = 0; table < N_TABLES; table++) {
        const char *name = flow_table_name(c->server->bridge, (table_id_t)table);

        of_mp_entry(&r.mp);
        of_table_features_put(&r.w, h->version, (table_id_t)table, name, table_limit(c, table));
        of_mp_entry_done(&r.mp);
    }
    reply_end(&r);
    return 0;
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

static void put_port_desc(struct reply *r, const struct port *port)
{
    struct of_port desc;

    ofserver_describe_port(port, &desc);
    of_mp_entry(&r->mp);
    of_port_encode(&r->w, r->mp.version, &desc);
    of_mp_entry_done(&r->mp);
}

static void put_port_stats(struct reply *r, const struct port *port)
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
    duration(port->created_ms, r->now, &ps.duration_sec, &ps.duration_nsec);
    of_mp_entry(&r->mp);
    of_port_stats_encode(&r->w, r->mp.version, &ps);
    of_mp_entry_done(&r->mp);
}

static int by_number(struct port *a, struct port *b)
{
    uint32_t x = ofp_port_u32(a->ofp_port), y = ofp_port_u32(b->ofp_port);

    return (x > y) - (x < y);
}

static void each_port(struct reply *r, struct bridge *br, void (*put)(struct reply *r, const struct port *port))
{
    HASH_SRT(hh_ofp, br->ports_by_ofp, by_number);
    for (struct port *p = br->ports_by_ofp; p; p = p->hh_ofp.next) {
        put(r, p);
    }
}

static int mp_port_stats(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    ofp_port_t wanted = ofp_port(reader_u32(body));
    struct reply r;

    reader_skip(body, 4);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    struct port *port = wanted == OFPP_ANY ? NULL : bridge_port_by_ofp(c->server->bridge, wanted);
    if (wanted != OFPP_ANY && !port) {
        return OFERR_BAD_PORT;
    }
    megaflow_sync_stats(c->server->bridge->sw);
    reply_begin(&r, c, h, OFMP_PORT_STATS);
    if (port) {
        put_port_stats(&r, port);
    } else {
        each_port(&r, c->server->bridge, put_port_stats);
    }
    reply_end(&r);
    return 0;
}

static int mp_port_desc(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct reply r;

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    reply_begin(&r, c, h, OFMP_PORT_DESC);
    each_port(&r, c->server->bridge, put_port_desc);
    reply_end(&r);
    return 0;
}

/* There are no queues: all of none for any port that is there. */
static int mp_queue(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    ofp_port_t wanted = ofp_port(reader_u32(body));
    uint32_t queue = reader_u32(body);
    struct reply r;

    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (wanted != OFPP_ANY && !bridge_port_by_ofp(c->server->bridge, wanted)) {
        return OFERR_QUEUE_BAD_PORT;
    }
    if (queue != OF_QUEUE_ALL) {
        return OFERR_QUEUE_BAD_QUEUE;
    }
    reply_begin(&r, c, h, OFMP_QUEUE);
    reply_end(&r);
    return 0;
}

static int mp_flow(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return over_flows(c, h, body, OFMP_FLOW, put_flow);
}

static int mp_aggregate(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return over_flows(c, h, body, OFMP_AGGREGATE, count_flow);
}

static ofconn_handler *const multipart_handlers[] = {
    [OFMP_DESC] = mp_desc,
    [OFMP_FLOW] = mp_flow,
    [OFMP_AGGREGATE] = mp_aggregate,
    [OFMP_TABLE] = mp_table,
    [OFMP_PORT_STATS] = mp_port_stats,
    [OFMP_QUEUE] = mp_queue,
    [OFMP_TABLE_FEATURES] = mp_table_features,
    [OFMP_PORT_DESC] = mp_port_desc,
};

int ofconn_handle_multipart(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    uint16_t type = reader_u16(body);
    uint16_t flags = reader_u16(body);

    reader_skip(body, 4);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (flags & OFMP_F_MORE) {
        return OFERR_MULTIPART_OVERFLOW; /* none of the requests that we serve needs two messages */
    }
    return type < ARRAY_SIZE(multipart_handlers) && multipart_handlers[type] ? multipart_handlers[type](c, h, body)
                                                                             : OFERR_BAD_MULTIPART;
}
