/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles (ONF extension 230): flow_mods that are collected, checked as they come, and applied as one at commit, or not
 * at all. Bounded: a connection has few bundles and a bundle so many messages; one that was not touched for a while is
 * dropped when the next control message of the connection comes.
 */
#include <utlist.h>

#include "switch/ofserver_private.h"

#define MAX_BUNDLES 8
#define MAX_MESSAGES 1000000 /* of all bundles of a connection */
#define IDLE_MS 10000
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
    for (size_t i = 0; i < b->n; i++) {
        of_flow_mod_done(&b->mods[i]);
    }
    free(b->mods);
    free(b->xids);
    free(b);
}

void ofconn_bundles_free(struct ofconn *c)
{
    struct bundle *b, *next;

    DL_FOREACH_SAFE(c->bundles, b, next) {
        bundle_free(c, b);
    }
}

static void drop_idle(struct ofconn *c, int64_t now)
{
    struct bundle *b, *next;

    DL_FOREACH_SAFE(c->bundles, b, next) {
        if (now - b->used_ms > IDLE_MS) {
            bundle_free(c, b);
        }
    }
}

static int bundle_open(struct ofconn *c, uint32_t id, uint16_t flags, int64_t now)
{
    struct bundle *b, *old = bundle_find(c, id);
    unsigned int n = 0;

    if (old) {
        bundle_free(c, old);
        return OFERR_BUNDLE_BAD_ID;
    }
    DL_COUNT(c->bundles, b, n);
    if (n >= MAX_BUNDLES) {
        return OFERR_BUNDLE_OUT_OF;
    }
    b = xcalloc(1, sizeof *b);
    *b = (struct bundle){.id = id, .flags = flags, .used_ms = now};
    DL_APPEND(c->bundles, b);
    return 0;
}

/* All of the bundle or nothing; an error is also sent about the message that was refused. */
static int bundle_commit(struct ofconn *c, struct bundle *b, int64_t now)
{
    struct flow_change *changes = xcalloc(b->n, sizeof *changes);
    size_t bad = 0;

    for (size_t i = 0; i < b->n; i++) {
        flow_change_from_mod(&b->mods[i], &changes[i]);
    }
    int error = flow_table_apply_all(c->server->bridge, changes, b->n, now, &bad);
    if (error && bad < b->n) {
        struct writer request = {0};
        struct of_header h = {.version = ofconn_version(c), .type = OFT_FLOW_MOD, .xid = b->xids[bad]};

        of_flow_mod_encode(&request, h.version, &b->mods[bad], h.xid);
        h.length = (uint16_t)request.len;
        ofconn_send_error(c, error, &h, request.data);
        writer_done(&request);
        error = OFERR_BUNDLE_MSG_FAILED;
    }
    free(changes);
    return error;
}

static int bundle_control(struct ofconn *c, uint32_t id, uint16_t type, uint16_t flags)
{
    int64_t now = time_mono_ms();
    struct bundle *b;
    int error = 0;

    drop_idle(c, now);
    if (type == OF_BUNDLE_OPEN_REQUEST) {
        return bundle_open(c, id, flags, now);
    }
    b = bundle_find(c, id);
    if (!b) {
        return OFERR_BUNDLE_BAD_ID;
    }
    if (b->flags != flags && type != OF_BUNDLE_DISCARD_REQUEST) {
        bundle_free(c, b);
        return OFERR_BUNDLE_BAD_FLAGS;
    }
    b->used_ms = now;
    switch (type) {
    case OF_BUNDLE_CLOSE_REQUEST:
        if (b->closed) {
            bundle_free(c, b);
            return OFERR_BUNDLE_CLOSED;
        }
        b->closed = true;
        return 0;
    case OF_BUNDLE_COMMIT_REQUEST:
        error = c->role == OF_ROLE_SLAVE ? OFERR_IS_SLAVE : bundle_commit(c, b, now);
        bundle_free(c, b);
        return error;
    case OF_BUNDLE_DISCARD_REQUEST:
        bundle_free(c, b);
        return 0;
    default:
        return OFERR_BUNDLE_BAD_TYPE;
    }
}

int ofconn_bundle_ctrl(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    uint32_t id = reader_u32(body);
    uint16_t type = reader_u16(body);
    uint16_t flags = reader_u16(body);

    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (flags & ~KNOWN_FLAGS) {
        return OFERR_BUNDLE_BAD_FLAGS;
    }
    int error = bundle_control(c, id, type, flags);
    if (error) {
        return error;
    }
    struct writer w = {0};
    of_bundle_ctrl_encode(&w, h->version, id, (enum of_bundle_ctrl_type)(type + 1), flags, h->xid);
    ofconn_send(c, &w);
    return 0;
}

static int bundle_append(struct ofconn *c, struct bundle *b, struct reader *inner, const struct of_header *h)
{
    struct of_flow_mod fm;

    size_t held = 0;
    const struct bundle *each;

    DL_FOREACH(c->bundles, each) {
        held += each->n;
    }
    if (held >= MAX_MESSAGES) {
        return OFERR_BUNDLE_TOO_MANY;
    }
    int error = of_flow_mod_decode(inner, h->version, &fm);
    if (error) {
        return error;
    }
    if (b->n == b->allocated) {
        b->allocated = MAX(b->allocated * 2, 16u);
        b->mods = xrealloc(b->mods, b->allocated * sizeof *b->mods);
        b->xids = xrealloc(b->xids, b->allocated * sizeof *b->xids);
    }
    b->xids[b->n] = h->xid;
    b->mods[b->n++] = fm;
    return 0;
}

int ofconn_bundle_add(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    uint32_t id = reader_u32(body);
    struct of_header inner;

    reader_skip(body, 2);
    uint16_t flags = reader_u16(body);
    if (body->error || of_header_decode(body->data, body->left, &inner) || inner.length > body->left) {
        return OFERR_BUNDLE_BAD_LEN;
    }
    if (inner.version != h->version) {
        return OFERR_BAD_VERSION;
    }
    if (inner.xid != h->xid) {
        return OFERR_BUNDLE_BAD_XID;
    }
    if (inner.type != OFT_FLOW_MOD) {
        return OFERR_BUNDLE_UNSUP;
    }
    struct bundle *b = bundle_find(c, id);
    if (!b) { /* an add may open the bundle (1.4, 7.3.9.6) */
        int error = bundle_open(c, id, flags, time_mono_ms());

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
    b->used_ms = time_mono_ms();
    reader_skip(body, OF_HEADER_LEN);
    struct reader message = reader_sub(body, inner.length - OF_HEADER_LEN);
    return bundle_append(c, b, &message, &inner);
}
