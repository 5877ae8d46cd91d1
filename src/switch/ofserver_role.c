/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles of connections, and which asynchronous messages they are sent.
 *
 * At most one connection of a bridge is the master: making one the master makes the one before a slave. A slave may
 * only read. Elections carry a generation id, and one that is older than the newest seen, by circular comparison, is
 * stale (OpenFlow 1.3, 6.3.5); Nicira's role request, which is older than that, carries none.
 */
#include <utlist.h>

#include "switch/ofserver_private.h"

#define ALL_PORT_STATUS 0x7u
#define USUAL_PACKET_IN                                                                                                \
    ((1u << PACKET_IN_NO_MATCH) | (1u << PACKET_IN_ACTION) | (1u << PACKET_IN_ACTION_SET) | (1u << PACKET_IN_GROUP) |  \
     (1u << PACKET_IN_PACKET_OUT))

/* ---- roles ---- */

/* Also to a connection that asked for no messages at all, unless by its masks. */
static bool wants_role_status(const struct ofconn *c, enum of_role_reason reason)
{
    return ofconn_version(c) >= OF_VERSION_13 &&
           (!c->async_set || ofconn_wants(c, OF_ASYNC_ROLE_STATUS, (unsigned int)reason));
}

static struct of_role_request role_of(const struct ofconn *c)
{
    return (struct of_role_request){
        .role = c->role, .have_generation = c->server->have_generation, .generation = c->server->generation};
}

static void tell_role(struct ofconn *c, enum of_role_reason reason)
{
    const struct of_role_request rr = role_of(c);
    struct writer w = {0};

    if (wants_role_status(c, reason)) {
        of_role_status_encode(&w, ofconn_version(c), &rr, reason);
        ofconn_send(c, &w);
    }
}

static void set_role(struct ofconn *c, enum of_role role)
{
    struct ofconn *other;

    if (role == OF_ROLE_NOCHANGE) {
        return;
    }
    DL_FOREACH(c->server->conns, other) {
        if (role == OF_ROLE_MASTER && other != c && other->role == OF_ROLE_MASTER) {
            other->role = OF_ROLE_SLAVE;
            tell_role(other, OF_ROLE_MASTER_REQUEST);
        }
    }
    c->role = role;
    ofserver_update_misses(c->server);
}

int ofconn_role(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct ofserver *s = c->server;
    struct of_role_request rr;
    struct writer w = {0};
    int error = of_role_decode(body, &rr);

    if (error) {
        return error;
    }
    if (rr.role == OF_ROLE_MASTER || rr.role == OF_ROLE_SLAVE) {
        if (s->have_generation && (int64_t)(rr.generation - s->generation) < 0) {
            return OFERR_ROLE_STALE;
        }
        s->have_generation = true;
        s->generation = rr.generation;
    }
    set_role(c, rr.role);
    rr = role_of(c);
    of_role_encode(&w, h->version, OFT_ROLE_REPLY, &rr, h->xid);
    ofconn_send(c, &w);
    return 0;
}

int ofconn_nx_role(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct of_role_request rr;
    struct writer w = {0};
    int error = of_nx_role_decode(body, &rr);

    if (error) {
        return error;
    }
    set_role(c, rr.role);
    of_nx_role_encode(&w, h->version, true, c->role, h->xid);
    ofconn_send(c, &w);
    return 0;
}

/* ---- asynchronous messages ---- */

void ofconn_async_defaults(struct ofconn *c)
{
    uint32_t(*masks)[OF_N_ASYNC] = c->async.masks;

    memset(&c->async, 0, sizeof c->async);
    masks[0][OF_ASYNC_PACKET_IN] = USUAL_PACKET_IN;
    masks[0][OF_ASYNC_PORT_STATUS] = masks[1][OF_ASYNC_PORT_STATUS] = ALL_PORT_STATUS;
    masks[0][OF_ASYNC_FLOW_REMOVED] = of_async_known(OF_ASYNC_FLOW_REMOVED);
    if (ofconn_version(c) < OF_VERSION_14) {
        masks[0][OF_ASYNC_FLOW_REMOVED] &= ~((1u << FLOW_REMOVED_METER) | (1u << FLOW_REMOVED_EVICTION));
    }
    masks[0][OF_ASYNC_ROLE_STATUS] = masks[1][OF_ASYNC_ROLE_STATUS] = of_async_known(OF_ASYNC_ROLE_STATUS);
    masks[0][OF_ASYNC_TABLE_STATUS] = of_async_known(OF_ASYNC_TABLE_STATUS);
}

bool ofconn_wants(const struct ofconn *c, enum of_async_kind kind, unsigned int reason)
{
    bool enabled = c->async_set || (ofconn_is_controller(c) ? !c->target->no_async : c->miss_send_len != 0);

    return enabled && ofconn_version(c) && c->async.masks[c->role == OF_ROLE_SLAVE][kind] >> reason & 1;
}

/* In versions without the reasons that ACTION became in 1.4, its bit stands for them. */
static void widen(const struct ofconn *c, struct of_async *async)
{
    const uint32_t finer = (1u << PACKET_IN_ACTION_SET) | (1u << PACKET_IN_GROUP) | (1u << PACKET_IN_PACKET_OUT);

    for (size_t i = 0; i < 2 && ofconn_version(c) < OF_VERSION_14; i++) {
        uint32_t *m = &async->masks[i][OF_ASYNC_PACKET_IN];

        *m = *m >> PACKET_IN_ACTION & 1 ? *m | finer : *m & ~finer;
    }
}

static int set_async(struct ofconn *c, struct reader *body, bool masks, bool strict)
{
    struct of_async async = c->async;
    int error = of_async_decode(body, masks, strict, &async);

    if (error) {
        return error;
    }
    widen(c, &async);
    c->async = async;
    c->async_set = true;
    ofserver_update_misses(c->server);
    return 0;
}

int ofconn_set_async(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return set_async(c, body, h->version < OF_VERSION_14, true);
}

int ofconn_nx_set_async(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    return set_async(c, body, true, false);
}

int ofconn_nx_set_async2(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    return set_async(c, body, false, false);
}

int ofconn_get_async(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct of_async async = c->async;
    struct writer w = {0};

    if (body->left && h->version < OF_VERSION_14) {
        return OFERR_BAD_LEN;
    }
    if (h->version < OF_VERSION_14) {
        const uint32_t older = (1u << PACKET_IN_NO_MATCH) | (1u << PACKET_IN_ACTION) | (1u << PACKET_IN_INVALID_TTL);

        async.masks[0][OF_ASYNC_PACKET_IN] &= older;
        async.masks[1][OF_ASYNC_PACKET_IN] &= older;
    }
    of_async_encode(&w, h->version, OFT_GET_ASYNC_REPLY, &async, h->xid);
    ofconn_send(c, &w);
    return 0;
}
