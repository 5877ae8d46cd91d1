/* SPDX-License-Identifier: Apache-2.0 */
/* Queues: those that QoS rows of the database made for ports. A port without has none to tell of. */
#include "openflow/msg_multipart.h"
#include "switch/ofserver_private.h"

#define CONFIG_13_MAX 48u /* bytes of a queue's configuration up to 1.3, with both rates */

/* FN sees each queue of PORT, or of every port, that has the id QUEUE, or any. Returns how many. */
static unsigned int each_queue(struct bridge *br, const struct port *port, uint32_t queue, struct of_reply *r,
                               void (*fn)(struct of_reply *r, const struct port *port, const struct port_queue *q))
{
    const struct port *p = port ? port : ofserver_first_port(br);
    unsigned int n = 0;

    while (p) {
        for (size_t i = 0; i < p->n_queues; i++) {
            if (queue == OF_QUEUE_ALL || p->queues[i].id == queue) {
                n++;
                if (fn) {
                    fn(r, p, &p->queues[i]);
                }
            }
        }
        p = port ? NULL : p->hh_ofp.next;
    }
    return n;
}

static void put_stats(struct of_reply *r, const struct port *port, const struct port_queue *q)
{
    struct of_queue_stats qs = {.port_no = port->ofp_port, .queue_id = q->id};
    struct port_queue_stats s;

    if (bridge_port_get_queue_stats(port, q->id, &s)) {
        qs.tx_bytes = qs.tx_packets = qs.tx_errors = UINT64_MAX;
    } else {
        qs.tx_bytes = s.tx_bytes;
        qs.tx_packets = s.tx_packets;
        qs.tx_errors = s.tx_errors;
    }
    ofserver_duration(q->created_ms, r->now, &qs.duration_sec, &qs.duration_nsec);
    of_mp_entry(&r->mp);
    of_queue_stats_encode(&r->w, r->mp.version, &qs);
    of_mp_entry_done(&r->mp);
}

/* In thousandths of the port's speed, when that is known. */
static uint16_t rate(const struct port *port, uint64_t bps)
{
    uint64_t speed = port->speed_kbps * 1000ull;

    return bps && speed ? (uint16_t)MIN(bps * 1000 / speed, 1000) : OF_QUEUE_RATE_NONE;
}

static void put_config(struct of_reply *r, const struct port *port, const struct port_queue *q)
{
    const struct of_queue_config qc = {.port_no = port->ofp_port,
                                       .queue_id = q->id,
                                       .min_rate = rate(port, q->min_rate),
                                       .max_rate = rate(port, q->max_rate)};
    bool multipart = r->mp.w != NULL;

    if (!multipart && r->w.len + CONFIG_13_MAX > OF_MAX_LEN) {
        return;
    }
    if (multipart) {
        of_mp_entry(&r->mp);
    }
    of_queue_config_encode(&r->w, multipart ? r->mp.version : r->version, &qc);
    if (multipart) {
        of_mp_entry_done(&r->mp);
    }
}

static int over_queues(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body,
                       void (*fn)(struct of_reply *r, const struct port *port, const struct port_queue *q))
{
    struct bridge *br = c->server->bridge;
    ofp_port_t wanted;
    uint32_t queue;
    struct of_reply r;
    int error = of_queue_request_decode(body, h->version, &wanted, &queue);

    if (error) {
        return error;
    }
    /* 1.0 asks for all ports by OFPP_ALL. */
    bool all = wanted == OFPP_ANY || (h->version == OF_VERSION_10 && wanted == OFPP_ALL);
    const struct port *port = all ? NULL : bridge_port_by_ofp(br, wanted);
    if (!all && !port) {
        return OFERR_QUEUE_BAD_PORT;
    }
    if (queue != OF_QUEUE_ALL && !each_queue(br, port, queue, NULL, NULL)) {
        return OFERR_QUEUE_BAD_QUEUE;
    }
    of_reply_begin(&r, c, h, kind);
    each_queue(br, port, queue, &r, fn);
    of_reply_end(&r);
    return 0;
}

int ofconn_mp_queue(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    return over_queues(c, h, kind, body, put_stats);
}

int ofconn_mp_queue_desc(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                         struct reader *body)
{
    return over_queues(c, h, kind, body, put_config);
}

/* Up to 1.3, where the reply is one message: with as many queues as it holds. */
int ofconn_queue_get_config(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    bool v10 = h->version == OF_VERSION_10;
    uint32_t n = v10 ? reader_u16(body) : reader_u32(body);
    struct of_reply r = {.c = c, .version = h->version};

    reader_skip(body, v10 ? 2 : 4);
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    ofp_port_t wanted = ofp_port(v10 && n >= 0xff00 ? n | 0xffff0000 : n);
    const struct port *port = bridge_port_by_ofp(c->server->bridge, wanted);
    if (!port && (v10 || wanted != OFPP_ANY)) {
        return OFERR_QUEUE_BAD_PORT;
    }
    size_t start = of_begin(&r.w, h->version, OFT_QUEUE_GET_CONFIG_REPLY, h->xid);
    if (v10) {
        writer_u16(&r.w, (uint16_t)n);
        writer_zeros(&r.w, 6);
    } else {
        writer_u32(&r.w, n);
        writer_zeros(&r.w, 4);
    }
    each_queue(c->server->bridge, port, OF_QUEUE_ALL, &r, put_config);
    of_end(&r.w, start);
    ofconn_send(c, &r.w);
    return 0;
}
