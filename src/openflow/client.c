/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/client.h"

#include <event2/event.h>
#include <stdio.h>
#include <utlist.h>

#include "base/reconnect.h"
#include "openflow/conn.h"

#define PROBE_MS 10000
#define BUNDLE_FLAGS (OF_BUNDLE_ATOMIC | OF_BUNDLE_ORDERED)

enum request_kind { REQUEST_FLOWS, REQUEST_PORTS, REQUEST_APPLY };

struct request {
    enum request_kind kind;
    struct writer out; /* what to send: all of it */
    uint32_t last_xid; /* the reply to this one ends the request */
    uint32_t first_xid;
    char *error; /* APPLY: the first error, kept until the last reply; or why it cannot be sent */
    of_client_flow_fn *flow;
    of_client_port_fn *port;
    of_client_done_fn *done;
    void *arg;
    struct request *prev, *next;
};

struct of_client {
    struct event_base *base;
    char *remote;
    struct of_client_callbacks cb;
    void *arg;
    struct reconnect reconnect;
    struct event *timer;
    struct stream *stream; /* while connecting */
    struct of_conn *conn;
    bool ready; /* FEATURES_REPLY came */
    uint32_t xid;
    uint64_t datapath_id;
    char *last_error;
    struct request *requests; /* the first one is under way */
    struct event *fail_event; /* ends requests that cannot be sent, from the loop */
    struct request *failed;
};

static void run(struct of_client *c);

/* ---- requests ---- */

static void request_free(struct request *r)
{
    writer_done(&r->out);
    free(r->error);
    free(r);
}

static void request_done(struct of_client *c, struct request *r, const char *error)
{
    DL_DELETE(c->requests, r);
    if (r->done) {
        r->done(r->arg, error ? error : r->error);
    }
    request_free(r);
}

static void request_send(struct of_client *c)
{
    struct request *r = c->requests;

    if (r && r->out.len && c->ready) {
        of_conn_send(c->conn, &r->out);
    }
}

static void request_add(struct of_client *c, struct request *r)
{
    if (r->out.error) {
        r->error = xstrdup("too long for a message");
    }
    if (!c->ready || r->out.error) {
        DL_APPEND(c->failed, r);
        event_active(c->fail_event, EV_TIMEOUT, 0);
        return;
    }
    DL_APPEND(c->requests, r);
    if (c->requests == r) {
        request_send(c);
    }
}

static void fail_requests(struct request **list, const char *error)
{
    struct request *gone = *list, *r, *next;

    *list = NULL;
    DL_FOREACH_SAFE(gone, r, next) {
        DL_DELETE(gone, r);
        if (r->done) {
            r->done(r->arg, r->error ? r->error : error);
        }
        request_free(r);
    }
}

static void on_fail_event(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct of_client *c = arg;

    fail_requests(&c->failed, "not connected");
}

void of_client_dump_flows(struct of_client *c, const struct of_flow_request *request, of_client_flow_fn *flow,
                          of_client_done_fn *done, void *arg)
{
    struct of_flow_request all = {.table = TABLE_ID_ALL, .out_port = OFPP_ANY, .out_group = OF_GROUP_ANY};
    struct request *r = xcalloc(1, sizeof *r);

    *r = (struct request){.kind = REQUEST_FLOWS, .flow = flow, .done = done, .arg = arg, .last_xid = ++c->xid};
    of_flow_request_encode(&r->out, OF_VERSION_13, request ? request : &all, r->last_xid);
    request_add(c, r);
}

void of_client_dump_ports(struct of_client *c, of_client_port_fn *port, of_client_done_fn *done, void *arg)
{
    struct request *r = xcalloc(1, sizeof *r);

    *r = (struct request){.kind = REQUEST_PORTS, .port = port, .done = done, .arg = arg, .last_xid = ++c->xid};
    of_mp_request_encode(&r->out, OF_VERSION_13, OFMP_PORT_DESC, NULL, 0, r->last_xid);
    request_add(c, r);
}

void of_client_apply(struct of_client *c, const struct of_flow_mod *fms, size_t n, of_client_done_fn *done, void *arg)
{
    struct request *r = xcalloc(1, sizeof *r);
    uint32_t bundle = ++c->xid;

    *r = (struct request){.kind = REQUEST_APPLY, .done = done, .arg = arg, .first_xid = bundle};
    of_bundle_ctrl_encode(&r->out, OF_VERSION_13, bundle, OF_BUNDLE_OPEN_REQUEST, BUNDLE_FLAGS, bundle);
    for (size_t i = 0; i < n; i++) {
        uint32_t xid = ++c->xid;
        size_t start = of_bundle_add_begin(&r->out, OF_VERSION_13, bundle, BUNDLE_FLAGS, xid);

        of_flow_mod_encode(&r->out, OF_VERSION_13, &fms[i], xid);
        of_end(&r->out, start);
    }
    r->last_xid = ++c->xid;
    of_bundle_ctrl_encode(&r->out, OF_VERSION_13, bundle, OF_BUNDLE_COMMIT_REQUEST, BUNDLE_FLAGS, r->last_xid);
    request_add(c, r);
}

void of_client_inject(struct of_client *c, ofp_port_t in_port, const void *frame, size_t len)
{
    struct of_packet_out po = {.buffer_id = OF_NO_BUFFER, .in_port = in_port, .data = frame, .data_len = len};
    struct writer out = {0};

    if (!c->ready) {
        return;
    }
    struct ofpact_output *output = ofpact_put(&po.acts, OFPACT_OUTPUT, sizeof *output);
    output->port = OFPP_NORMAL;
    of_packet_out_encode(&out, OF_VERSION_13, &po, ++c->xid);
    of_conn_send(c->conn, &out);
    writer_done(&out);
    ofpacts_done(&po.acts);
}

/* ---- replies ---- */

static void on_multipart(struct of_client *c, struct request *r, const uint8_t *msg, size_t len)
{
    struct reader body = reader_of(msg + OF_HEADER_LEN, len - OF_HEADER_LEN);

    reader_skip(&body, 2);
    uint16_t flags = reader_u16(&body);
    reader_skip(&body, 4);
    int error = body.error;
    while (!error && body.left) {
        if (r->kind == REQUEST_FLOWS) {
            struct of_flow_stats fs;

            error = of_flow_stats_decode(&body, OF_VERSION_13, &fs);
            if (!error) {
                r->flow(r->arg, &fs);
                ofpacts_done(&fs.decoded);
            }
        } else {
            struct of_port port;

            error = of_port_decode(&body, OF_VERSION_13, &port);
            if (!error) {
                r->port(r->arg, &port);
            }
        }
    }
    if (error) {
        _cleanup_free_ char *text = xasprintf("a reply that we cannot read (%s)", oferr_name(error));
        request_done(c, r, text);
    } else if (!(flags & OFMP_F_MORE)) {
        request_done(c, r, NULL);
    }
}

static void on_error(struct of_client *c, struct request *r, const struct of_header *h, const uint8_t *msg)
{
    const char *name = oferr_name(of_error_decode(msg + OF_HEADER_LEN, h->length - OF_HEADER_LEN, h->version));

    if (r->kind != REQUEST_APPLY) {
        request_done(c, r, name);
        return;
    }
    if (!r->error) {
        r->error = h->xid > r->first_xid && h->xid < r->last_xid
                       ? xasprintf("flow_mod %u of %u: %s", h->xid - r->first_xid, r->last_xid - r->first_xid - 1, name)
                       : xasprintf("bundle: %s", name);
    }
    if (h->xid == r->last_xid) {
        request_done(c, r, NULL);
    }
}

static void on_message(struct of_conn *conn WR_UNUSED, const struct of_header *h, const uint8_t *msg, void *arg)
{
    struct of_client *c = arg;
    struct request *r = c->requests;

    reconnect_activity(&c->reconnect, time_mono_ms());
    if (h->type == OFT_FEATURES_REPLY && !c->ready) {
        struct reader body = reader_of(msg + OF_HEADER_LEN, h->length - OF_HEADER_LEN);

        c->datapath_id = reader_u64(&body);
        c->ready = true;
        if (c->cb.connected) {
            c->cb.connected(c, true, c->arg);
        }
        return;
    }
    /* What belongs to no request of ours is unsolicited (port status and the like). */
    if (!r || h->xid > r->last_xid || h->xid < (r->kind == REQUEST_APPLY ? r->first_xid : r->last_xid)) {
        return;
    }
    if (h->type == OFT_ERROR) {
        on_error(c, r, h, msg);
    } else if (h->type == OFT_MULTIPART_REPLY && r->kind != REQUEST_APPLY) {
        on_multipart(c, r, msg, h->length);
    } else if (h->type == OFT_EXPERIMENTER && h->xid == r->last_xid) {
        request_done(c, r, NULL);
    }
    if (c->requests != r) {
        request_send(c);
    }
}

/* ---- connection ---- */

static void set_error(struct of_client *c, int error)
{
    free(c->last_error);
    c->last_error = xasprintf("%s: %s", c->remote,
                              error == -EPROTO ? "OpenFlow 1.3 is not spoken there (see the Bridge's protocols)"
                              : error          ? strerror(-error)
                                               : "connection closed by the switch");
}

static void lost(struct of_client *c, int error)
{
    bool was_ready = c->ready;

    set_error(c, error);
    stream_destroy(TAKE_PTR(c->stream));
    of_conn_destroy(TAKE_PTR(c->conn));
    c->ready = false;
    reconnect_failed(&c->reconnect, time_mono_ms());
    fail_requests(&c->requests, c->last_error);
    if (was_ready && c->cb.connected) {
        c->cb.connected(c, false, c->arg);
    }
    run(c);
}

static void on_conn_closed(struct of_conn *conn WR_UNUSED, int error, void *arg)
{
    lost(arg, error);
}

static void on_established(struct of_conn *conn, uint8_t version, void *arg)
{
    struct of_client *c = arg;
    struct writer w = {0};

    of_encode_empty(&w, version, OFT_FEATURES_REQUEST, ++c->xid);
    of_conn_send(conn, &w);
    writer_done(&w);
}

static void on_stream_connected(struct stream *s WR_UNUSED, void *arg)
{
    static const struct of_conn_callbacks conn_cb = {on_established, on_message, on_conn_closed};
    struct of_client *c = arg;

    reconnect_connected(&c->reconnect, time_mono_ms());
    int error = of_conn_new(c->base, TAKE_PTR(c->stream), 1u << OF_VERSION_13, PROBE_MS, &conn_cb, c, &c->conn);
    if (error) {
        lost(c, error);
        return;
    }
    run(c);
}

static void on_stream_closed(struct stream *s WR_UNUSED, int error, void *arg)
{
    lost(arg, error);
}

static void on_stream_readable(struct stream *s WR_UNUSED, struct evbuffer *in WR_UNUSED, void *arg WR_UNUSED)
{
    /* Before `connected` there is nothing; afterwards the of_conn reads. */
}

static void try_connect(struct of_client *c)
{
    static const struct stream_callbacks cb = {
        .connected = on_stream_connected,
        .readable = on_stream_readable,
        .closed = on_stream_closed,
    };
    int error = stream_connect_text(c->base, c->remote, 6653, &cb, c, &c->stream);

    if (error) {
        set_error(c, error);
        reconnect_failed(&c->reconnect, time_mono_ms());
    } else {
        reconnect_connecting(&c->reconnect, time_mono_ms());
    }
}

/* Does what the reconnect machine wants, and sleeps until it wants more. Probes are the of_conn's. */
static void run(struct of_client *c)
{
    enum reconnect_action action;

    while ((action = reconnect_run(&c->reconnect, time_mono_ms())) != RECONNECT_NOTHING) {
        if (action == RECONNECT_CONNECT) {
            try_connect(c);
        } else if (action == RECONNECT_DISCONNECT) {
            lost(c, -ETIMEDOUT);
            return;
        }
    }
    int64_t deadline = reconnect_deadline(&c->reconnect);
    event_del(c->timer);
    if (deadline != RECONNECT_NEVER) {
        int64_t wait = MAX(deadline - time_mono_ms(), 1);
        struct timeval tv = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};

        event_add(c->timer, &tv);
    }
}

static void on_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    run(arg);
}

int of_client_new(struct event_base *base, const char *remote, const struct of_client_callbacks *cb, void *arg,
                  struct of_client **ret, char **ret_error)
{
    struct remote parsed;
    int error = remote_parse(remote, 6653, &parsed, ret_error);

    if (error) {
        return error;
    }
    struct of_client *c = xcalloc(1, sizeof *c);
    *c = (struct of_client){.base = base, .remote = xstrdup(remote), .cb = *cb, .arg = arg};
    c->timer = event_new(base, -1, 0, on_timer, c);
    c->fail_event = event_new(base, -1, 0, on_fail_event, c);
    if (!c->timer || !c->fail_event) {
        of_client_destroy(c);
        return -ENOMEM;
    }
    reconnect_init(&c->reconnect, time_mono_ms(), 0);
    event_active(c->timer, EV_TIMEOUT, 0);
    *ret = c;
    return 0;
}

void of_client_destroy(struct of_client *c)
{
    struct request *r, *next;

    if (!c) {
        return;
    }
    DL_CONCAT(c->requests, c->failed);
    DL_FOREACH_SAFE(c->requests, r, next) {
        DL_DELETE(c->requests, r);
        request_free(r);
    }
    stream_destroy(c->stream);
    of_conn_destroy(c->conn);
    if (c->timer) {
        event_free(c->timer);
    }
    if (c->fail_event) {
        event_free(c->fail_event);
    }
    free(c->remote);
    free(c->last_error);
    free(c);
}

bool of_client_is_connected(const struct of_client *c)
{
    return c->ready;
}

uint64_t of_client_datapath_id(const struct of_client *c)
{
    return c->datapath_id;
}

const char *of_client_last_error(const struct of_client *c)
{
    return c->last_error ? c->last_error : "";
}
