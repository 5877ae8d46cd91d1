/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles (OpenFlow 1.4, 7.3.9; ONF extension 230 for 1.3): messages that are collected, checked as they come, and
 * applied as one at commit, or not at all. All bundles are atomic and ordered, whatever their flags ask.
 *
 * A bundle holds its messages as the bytes that came, one behind the other, and reads them again at commit: a flow
 * takes some 150 bytes for as long as the bundle is open, where its decoded form would take over a kilobyte. At commit
 * each flow_mod goes into a flow_txn, which can be taken back. A packet_out asks the tables at its place among them,
 * but its packets leave, and a port_mod that was found good is done, when nothing can fail any more.
 *
 * Bounded: a connection has few bundles and all of its bundles together so many bytes; one that is not touched for ten
 * seconds goes.
 */
#include <utlist.h>

#include "openflow/msg_bundle.h"
#include "openflow/msg_nx.h"
#include "switch/flow_save.h"
#include "switch/ofserver_private.h"

#define MAX_BUNDLES 8
#define MAX_BYTES (512u << 20) /* of all bundles of a connection */
#define IDLE_MS 10000
#define ERROR_DATA 64u /* of a request in an error about it */
#define KNOWN_FLAGS (OF_BUNDLE_ATOMIC | OF_BUNDLE_ORDERED)

static struct bundle *bundle_find(struct ofconn *c, uint32_t id)
{
    struct bundle *b;

    DL_FOREACH(c->bundles, b) {
        if (b->id == id) {
            return b;
        }
    }
    return NULL;
}

static void bundle_free(struct ofconn *c, struct bundle *b)
{
    DL_DELETE(c->bundles, b);
    writer_done(&b->messages);
    writer_done(&b->opened_by);
    free(b);
}

void ofconn_bundles_free(struct ofconn *c)
{
    struct bundle *b, *next;

    DL_FOREACH_SAFE(c->bundles, b, next) {
        bundle_free(c, b);
    }
}

void ofconn_bundles_expire(struct ofconn *c, int64_t now)
{
    int64_t idle_ms = c->server->bridge->sw->bundle_idle_ms ? c->server->bridge->sw->bundle_idle_ms : IDLE_MS;
    struct bundle *b, *next;

    DL_FOREACH_SAFE(c->bundles, b, next) {
        if (now - b->used_ms > idle_ms) {
            struct of_header h;

            if (!of_header_decode(b->opened_by.data, b->opened_by.len, &h)) {
                h.length = (uint16_t)b->opened_by.len;
                ofconn_send_error(c, OFERR_BUNDLE_TIMEOUT, &h, b->opened_by.data);
            }
            bundle_free(c, b);
        }
    }
}

/* By REQUEST, of which BODY is left. */
static int bundle_open(struct ofconn *c, uint32_t id, uint16_t flags, const struct of_header *request,
                       const struct reader *body, int64_t now)
{
    struct bundle *b, *old = bundle_find(c, id);
    unsigned int n = 0;

    if (old) {
        bundle_free(c, old);
        return OFERR_BUNDLE_BAD_ID; /* as Open vSwitch; BUNDLE_EXIST by the standard */
    }
    DL_COUNT(c->bundles, b, n);
    if (n >= MAX_BUNDLES) {
        return OFERR_BUNDLE_OUT_OF;
    }
    b = xcalloc(1, sizeof *b);
    *b = (struct bundle){.id = id, .flags = flags, .used_ms = now};
    writer_bytes(&b->opened_by, body->data - (request->length - body->left), MIN(request->length, ERROR_DATA));
    DL_APPEND(c->bundles, b);
    return 0;
}

/* ---- commit ---- */

struct commit {
    struct ofconn *c;
    struct flow_txn *txn;
    struct writer later; /* the messages that are done last, and those that are told of then */
    struct packet_out **packets;
    size_t n_packets;
};

/* Is it a group_mod in one of its two forms? Then BODY is at its beginning. */
static bool is_group_mod(const struct of_header *h, struct reader *body, bool *ret_nx)
{
    struct reader r = *body;

    *ret_nx = h->type == OFT_EXPERIMENTER;
    if (h->type == OFT_EXPERIMENTER && reader_u32(&r) == OF_EXPERIMENTER_NX && reader_u32(&r) == NXT_GROUP_MOD &&
        !r.error) {
        *body = r;
        return true;
    }
    return h->type == OFT_GROUP_MOD;
}

static int commit_flow_mod(struct commit *cm, const struct of_header *h, struct reader *body)
{
    struct flow_change change;
    struct of_flow_mod fm;
    int error = of_flow_mod_decode(body, &(struct of_flow_format){.version = h->version}, &fm);

    if (error) {
        return error;
    }
    flow_change_from_mod(&fm, h, &change);
    error = flow_txn_apply(cm->txn, &change);
    of_flow_mod_done(&fm);
    return error;
}

/* The packet gets what tables say at its place among the messages; it leaves when the bundle stands. */
static int commit_packet_out(struct commit *cm, const struct of_header *h, struct reader *body)
{
    struct packet_out *po;
    int error = ofconn_packet_out_begin(cm->c, h, body, &po);

    if (!error) {
        cm->packets = xrealloc(cm->packets, (cm->n_packets + 1) * sizeof *cm->packets);
        cm->packets[cm->n_packets++] = po;
    }
    return error;
}

static void commit_packets_end(struct commit *cm, bool send)
{
    for (size_t i = 0; i < cm->n_packets; i++) {
        bridge_packet_out_end(cm->packets[i], send);
    }
    free(cm->packets);
}

/* One message; what must wait is checked and put off. */
static int commit_one(struct commit *cm, const struct of_header *h, const uint8_t *msg)
{
    struct reader body = reader_of(msg + OF_HEADER_LEN, h->length - OF_HEADER_LEN);
    bool nx;
    int error;

    switch (h->type) {
    case OFT_FLOW_MOD:
        return commit_flow_mod(cm, h, &body);
    case OFT_GROUP_MOD:
    case OFT_EXPERIMENTER:
        error = is_group_mod(h, &body, &nx) ? ofconn_txn_group_mod(cm->txn, h, &body, nx) : OFERR_BUNDLE_UNSUP;
        break;
    case OFT_PORT_MOD:
        error = ofconn_port_mod(cm->c, h, &body, false);
        break;
    case OFT_PACKET_OUT:
        return commit_packet_out(cm, h, &body);
    default:
        return OFERR_BUNDLE_UNSUP;
    }
    if (!error) {
        writer_bytes(&cm->later, msg, h->length);
    }
    return error;
}

static void commit_later(struct ofconn *c, const struct writer *later)
{
    struct of_header h;

    for (size_t at = 0; at < later->len; at += h.length) {
        if (of_header_decode(later->data + at, later->len - at, &h)) {
            return;
        }
        struct reader body = reader_of(later->data + at + OF_HEADER_LEN, h.length - OF_HEADER_LEN);
        bool nx;
        if (h.type == OFT_PORT_MOD) {
            ofconn_port_mod(c, &h, &body, true);
        } else if (is_group_mod(&h, &body, &nx)) {
            ofconn_forward_group_mod(c, &h, body, nx);
        }
    }
}

/* All of the bundle or nothing; an error is also sent about the message that was refused. */
static int bundle_commit(struct ofconn *c, struct bundle *b, int64_t now)
{
    struct commit cm = {.c = c, .txn = flow_txn_begin(c->server->bridge, now)};
    struct of_header h;
    int error = 0;

    for (size_t at = 0; at < b->messages.len && !error; at += h.length) {
        const uint8_t *msg = b->messages.data + at;

        error = of_header_decode(msg, b->messages.len - at, &h);
        if (!error) {
            error = commit_one(&cm, &h, msg);
        }
        if (error) {
            ofconn_send_error(c, error, &h, msg);
        }
    }
    if (error) {
        flow_txn_abort(cm.txn);
    } else {
        flow_txn_commit(cm.txn);
        flow_saver_sync(c->server->bridge->saver);
        commit_later(c, &cm.later);
    }
    commit_packets_end(&cm, !error);
    writer_done(&cm.later);
    return error ? OFERR_BUNDLE_MSG_FAILED : 0;
}

/* ---- messages ---- */

static int bundle_control(struct ofconn *c, uint32_t id, uint16_t type, uint16_t flags, const struct of_header *h,
                          const struct reader *body)
{
    int64_t now = time_mono_ms();
    struct bundle *b;
    int error = 0;

    ofconn_bundles_expire(c, now);
    if (type == OF_BUNDLE_OPEN_REQUEST) {
        return bundle_open(c, id, flags, h, body, now);
    }
    if (type != OF_BUNDLE_CLOSE_REQUEST && type != OF_BUNDLE_COMMIT_REQUEST && type != OF_BUNDLE_DISCARD_REQUEST) {
        return OFERR_BUNDLE_BAD_TYPE;
    }
    b = bundle_find(c, id);
    if (!b) {
        return OFERR_BUNDLE_BAD_ID;
    }
    if (type == OF_BUNDLE_DISCARD_REQUEST) {
        bundle_free(c, b);
        return 0;
    }
    if (b->flags != flags || (type == OF_BUNDLE_CLOSE_REQUEST && b->closed)) {
        error = b->flags != flags ? OFERR_BUNDLE_BAD_FLAGS : OFERR_BUNDLE_CLOSED;
        bundle_free(c, b);
        return error;
    }
    b->used_ms = now;
    if (type == OF_BUNDLE_CLOSE_REQUEST) {
        b->closed = true;
        return 0;
    }
    error = bundle_commit(c, b, now);
    bundle_free(c, b);
    return error;
}

int ofconn_bundle_ctrl(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    const struct reader whole = *body;
    struct of_bundle_ctrl bc;

    if (c->role == OF_ROLE_SLAVE) {
        return OFERR_IS_SLAVE;
    }
    int error = of_bundle_ctrl_decode(body, &bc);
    if (!error && bc.flags & ~KNOWN_FLAGS) {
        error = OFERR_BUNDLE_BAD_FLAGS;
    }
    if (!error) {
        error = bundle_control(c, bc.id, bc.type, bc.flags, h, &whole);
    }
    if (error) {
        return error;
    }
    struct writer w = {0};
    of_bundle_ctrl_encode(&w, h->version, bc.id, (enum of_bundle_ctrl_type)(bc.type + 1), 0, h->xid);
    ofconn_send(c, &w);
    return 0;
}

/* Would it be understood at commit? */
static int check_message(const struct of_header *h, struct reader body)
{
    struct of_packet_out po;
    struct of_port_mod pm;
    struct of_flow_mod fm;
    bool nx;
    int error;

    switch (h->type) {
    case OFT_FLOW_MOD:
        error = of_flow_mod_decode(&body, &(struct of_flow_format){.version = h->version}, &fm);
        if (!error) {
            of_flow_mod_done(&fm);
        }
        return error;
    case OFT_GROUP_MOD:
    case OFT_EXPERIMENTER:
        return is_group_mod(h, &body, &nx) ? ofconn_txn_group_mod(NULL, h, &body, nx) : OFERR_BUNDLE_UNSUP;
    case OFT_PORT_MOD:
        return of_port_mod_decode(&body, h->version, &pm);
    case OFT_PACKET_OUT:
        error = of_packet_out_decode(&body, h->version, &po);
        if (!error) {
            ofpacts_done(&po.acts);
        }
        return error;
    default:
        return OFERR_BUNDLE_UNSUP;
    }
}

static int bundle_append(struct ofconn *c, struct bundle *b, const struct of_header *h, const uint8_t *msg)
{
    size_t held = h->length;
    const struct bundle *each;

    DL_FOREACH(c->bundles, each) {
        held += each->messages.len;
    }
    if (held > MAX_BYTES) {
        return OFERR_BUNDLE_TOO_MANY;
    }
    int error = check_message(h, reader_of(msg + OF_HEADER_LEN, h->length - OF_HEADER_LEN));
    if (!error) {
        writer_bytes(&b->messages, msg, h->length);
    }
    return error;
}

/* The bundle that an add belongs to; it may open it (1.4, 7.3.9.6). */
static int bundle_for_add(struct ofconn *c, uint32_t id, uint16_t flags, const struct of_header *h,
                          const struct reader *body, struct bundle **ret)
{
    int64_t now = time_mono_ms();
    struct bundle *b;

    ofconn_bundles_expire(c, now);
    b = bundle_find(c, id);
    if (!b) {
        int error = bundle_open(c, id, flags, h, body, now);

        if (error) {
            return error;
        }
        b = bundle_find(c, id);
    }
    if (b->closed || b->flags != flags) {
        int error = b->closed ? OFERR_BUNDLE_CLOSED : OFERR_BUNDLE_BAD_FLAGS;

        bundle_free(c, b);
        return error;
    }
    b->used_ms = now;
    *ret = b;
    return 0;
}

int ofconn_bundle_add(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    const struct reader whole = *body;
    struct of_bundle_add ba;
    struct bundle *b;

    if (c->role == OF_ROLE_SLAVE) {
        return OFERR_IS_SLAVE;
    }
    int error = of_bundle_add_decode(body, h->version, h->xid, &ba);
    if (!error) {
        error = ba.flags & ~KNOWN_FLAGS ? OFERR_BUNDLE_BAD_FLAGS : bundle_for_add(c, ba.id, ba.flags, h, &whole, &b);
    }
    return error ? error : bundle_append(c, b, &ba.h, ba.message);
}
