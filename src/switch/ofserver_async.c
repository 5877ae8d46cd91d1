/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that nobody asked for at this moment: packet_in, flow_removed, port_status, to the connections whose masks
 * want them. */
#include <utlist.h>

#include "base/coverage.h"
#include "switch/ofserver_private.h"

COVERAGE(packet_in);

/* Bytes, unread or held until a bundle stands, above which a connection gets no more packet_ins: they are counted and
 * gone. */
#define PACKET_IN_BACKLOG (1u << 20)

void ofserver_update_misses(struct ofserver *s)
{
    const struct ofconn *c;
    bool on = false;

    DL_FOREACH(s->conns, c) {
        on |= ofconn_version(c) < OF_VERSION_13 && ofconn_wants(c, OF_ASYNC_PACKET_IN, PACKET_IN_NO_MATCH);
    }
    bridge_set_miss_to_controller(s->bridge, on);
}

/* Token bucket: full at the start. */
static bool take_token(struct ofconn *c, int64_t now)
{
    const struct target *t = c->target;

    if (!t || !t->rate_limit) {
        return true;
    }
    int64_t limit = t->burst_limit * 1000, fills_ms = limit / t->rate_limit + 1, idle_ms = now - c->tokens_ms;
    c->tokens = c->tokens_ms ? MIN(c->tokens + MIN(idle_ms, fills_ms) * t->rate_limit, limit) : limit;
    c->tokens_ms = now;
    if (c->tokens < 1000) {
        return false;
    }
    c->tokens -= 1000;
    return true;
}

/* The pipeline fields of a packet_in's match: those that are not zero (OpenFlow 1.3, 7.4.1). */
static void metadata_match(const struct flow *flow, struct match *ret)
{
    static const enum field_id candidates[] = {
        FIELD_IN_PORT_OXM,  FIELD_METADATA, FIELD_TUN_ID, FIELD_TUN_SRC, FIELD_TUN_DST, FIELD_TUN_IPV6_SRC,
        FIELD_TUN_IPV6_DST, FIELD_PKT_MARK, FIELD_REG0,   FIELD_REG1,    FIELD_REG2,    FIELD_REG3,
        FIELD_REG4,         FIELD_REG5,     FIELD_REG6,   FIELD_REG7,    FIELD_REG8,    FIELD_REG9,
        FIELD_REG10,        FIELD_REG11,    FIELD_REG12,  FIELD_REG13,   FIELD_REG14,   FIELD_REG15,
    };
    static const struct ip_addr no_ip;
    bool tunnel = memcmp(&flow->key.tunnel.dst, &no_ip, sizeof no_ip) != 0;
    bool tunnel_v4 = tunnel && flow->key.tunnel.dst.u64[0] == 0;

    match_init(ret);
    for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
        const struct field *f = field_get(candidates[i]);
        union field_value value = {0}, zero = {0};

        if ((f->id == FIELD_TUN_SRC || f->id == FIELD_TUN_DST) && !tunnel_v4) {
            continue;
        }
        if ((f->id == FIELD_TUN_IPV6_SRC || f->id == FIELD_TUN_IPV6_DST) && (!tunnel || tunnel_v4)) {
            continue;
        }
        field_read(f, flow, &value);
        if (f->id == FIELD_IN_PORT_OXM || memcmp(&value, &zero, f->n_bytes)) {
            match_set_field(ret, f, &value, NULL);
        }
    }
}

/* What REASON is called in VERSION. A table-miss flow's packets are NO_MATCH where there is such a thing (1.3). */
static uint8_t wire_reason(enum packet_in_reason reason, uint8_t version)
{
    switch (reason) {
    case PACKET_IN_IMPLICIT_MISS:
    case PACKET_IN_SAID_NO_MATCH:
        return PACKET_IN_NO_MATCH;
    case PACKET_IN_NO_MATCH:
        return version < OF_VERSION_13 ? PACKET_IN_ACTION : PACKET_IN_NO_MATCH;
    case PACKET_IN_ACTION_SET:
    case PACKET_IN_GROUP:
    case PACKET_IN_PACKET_OUT:
        return version > OF_VERSION_13 ? (uint8_t)reason : PACKET_IN_ACTION;
    default:
        return (uint8_t)reason;
    }
}

static bool wants_packet_in(const struct ofconn *c, const struct packet_in_info *info)
{
    return ofconn_wants(c, OF_ASYNC_PACKET_IN, wire_reason(info->reason, ofconn_version(c))) &&
           info->controller_id == c->controller_id &&
           (info->reason != PACKET_IN_IMPLICIT_MISS || ofconn_version(c) < OF_VERSION_13);
}

static void on_packet_in(void *aux, struct bridge *br WR_UNUSED, const struct packet_in_info *info)
{
    struct ofserver *s = aux;
    struct ofconn *c;
    struct of_packet_in pin = {
        .total_len = (uint32_t)info->packet->len,
        .table = info->table,
        .cookie = info->cookie,
        .userdata = info->userdata,
        .userdata_len = info->userdata_len,
        .data = info->packet->data,
        .data_len = info->packet->len, /* all of it, whatever max_len: nothing is ever buffered */
    };
    bool met = false, delivered = false;
    int64_t now = time_mono_ms();

    coverage_inc(packet_in);
    metadata_match(info->flow, &pin.match);
    DL_FOREACH(s->conns, c) {
        if (!wants_packet_in(c, info)) {
            continue;
        }
        met = true;
        if (of_conn_backlog(c->conn) > PACKET_IN_BACKLOG || !take_token(c, now)) {
            continue;
        }
        struct writer w = {0};

        pin.reason = wire_reason(info->reason, ofconn_version(c));
        of_packet_in_encode(&w, ofconn_version(c), c->packet_in_format, &pin);
        ofconn_send(c, &w);
        delivered = true;
    }
    if (!delivered) {
        s->bridge->sw->drops[met                                     ? DROP_CONTROLLER_RATE
                             : info->reason == PACKET_IN_INVALID_TTL ? DROP_TTL
                                                                     : DROP_CONTROLLER_NONE]++;
    }
}

static void on_flow_removed(void *aux, struct bridge *br WR_UNUSED, const struct rule *rule,
                            enum flow_removed_reason reason)
{
    struct ofserver *s = aux;
    struct ofconn *c;
    int64_t age = MAX(time_mono_ms() - rule->created_ms, 0);
    struct of_flow_removed fr = {
        .cookie = rule->cookie,
        .priority = (uint16_t)rule->cls.priority,
        .reason = (uint8_t)reason,
        .table = rule->table,
        .duration_sec = (uint32_t)(age / 1000),
        .duration_nsec = (uint32_t)(age % 1000 * 1000000),
        .idle_timeout = rule->idle_timeout,
        .hard_timeout = rule->hard_timeout,
        .packets = rule->packets,
        .bytes = rule->bytes,
    };

    rule_get_match(rule, &fr.match);
    DL_FOREACH(s->conns, c) {
        if (ofconn_wants(c, OF_ASYNC_FLOW_REMOVED, of_flow_removed_reason((uint8_t)reason, ofconn_version(c)))) {
            struct writer w = {0};

            of_flow_removed_encode(
                &w, &(struct of_flow_format){ofconn_version(c), c->nxm && ofconn_version(c) == OF_VERSION_10, false},
                &fr);
            ofconn_send(c, &w);
        }
    }
}

static void on_port_status(void *aux, struct bridge *br WR_UNUSED, const struct port *port,
                           enum port_status_reason reason)
{
    struct ofserver *s = aux;
    struct ofconn *c;
    struct of_port desc;

    ofserver_describe_port(port, &desc);
    DL_FOREACH(s->conns, c) {
        if (c == s->acting && ofconn_version(c) < OF_VERSION_15) {
            continue; /* it knows; 1.5 has it told all the same */
        }
        if (ofconn_wants(c, OF_ASYNC_PORT_STATUS, reason)) {
            struct writer w = {0};

            of_port_status_encode(&w, ofconn_version(c), (uint8_t)reason, &desc);
            ofconn_send(c, &w);
        }
    }
}

void ofserver_hook_bridge(struct ofserver *s)
{
    const struct bridge_hooks hooks = {
        .packet_in = on_packet_in,
        .flow_removed = on_flow_removed,
        .port_status = on_port_status,
        .aux = s,
    };

    bridge_set_hooks(s->bridge, &hooks);
}
