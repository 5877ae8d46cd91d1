/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/conn.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>

#define MESSAGES_PER_TURN 200
#define BACKLOG_PAUSE (4u << 20)

struct of_conn {
    struct event_base *base;
    struct stream *stream;
    uint32_t versions;
    uint8_t version; /* 0: no HELLO yet */
    uint32_t xid;
    struct of_conn_callbacks cb;
    void *arg;
    struct event *more;  /* goes on with messages that a turn left */
    struct event *timer; /* probes */
    int64_t probe_ms, heard;
    bool probing, paused;
    bool destroyed; /* while `busy`: destroyed by a callback */
    unsigned int busy;
};

static void free_conn(struct of_conn *c)
{
    if (c->more) {
        event_free(c->more);
    }
    if (c->timer) {
        event_free(c->timer);
    }
    stream_destroy(c->stream);
    free(c);
}

static void close_with(struct of_conn *c, int error)
{
    if (!c->destroyed) {
        c->cb.closed(c, error, c->arg);
    }
}

/* ---- one message ---- */

static uint8_t highest_version(uint32_t versions)
{
    uint8_t highest = 0;

    for (uint8_t v = 1; v < 32; v++) {
        if (versions >> v & 1) {
            highest = v;
        }
    }
    return highest;
}

static void handle_hello(struct of_conn *c, const struct of_header *h, const uint8_t *msg)
{
    if (c->version) {
        return; /* OpenFlow 1.3, 6.3.1: only the first counts */
    }
    uint32_t theirs = of_hello_decode(h, msg + OF_HEADER_LEN, h->length - OF_HEADER_LEN);
    uint8_t version = highest_version(theirs & c->versions);

    if (!version) {
        struct writer w = {0};
        char text[128];

        snprintf(text, sizeof text, "no common version: we offer 0x%x, you offer 0x%x (bit 1 << wire version)",
                 c->versions, theirs);
        of_hello_failed_encode(&w, MIN(highest_version(c->versions), h->version), text, h->xid);
        of_conn_send(c, &w);
        writer_done(&w);
        close_with(c, -EPROTO);
        return;
    }
    c->version = version;
    if (c->cb.established) {
        c->cb.established(c, version, c->arg);
    }
}

static void handle_message(struct of_conn *c, const struct of_header *h, const uint8_t *msg)
{
    c->heard = time_mono_ms();
    c->probing = false;
    if (c->cb.tap) {
        c->cb.tap(c, false, msg, h->length, c->arg);
    }
    if (h->type == OFT_HELLO) {
        handle_hello(c, h, msg);
        return;
    }
    if (!c->version) {
        close_with(c, h->type == OFT_ERROR ? -EPROTO : -EBADMSG);
        return;
    }
    struct writer w = {0};
    if (h->version != c->version) {
        of_error_encode(&w, c->version, OFERR_BAD_VERSION, msg, h->length, h->xid);
    } else if (h->type == OFT_ECHO_REQUEST) {
        size_t start = of_begin(&w, c->version, OFT_ECHO_REPLY, h->xid);
        writer_bytes(&w, msg + OF_HEADER_LEN, h->length - OF_HEADER_LEN);
        of_end(&w, start);
    } else if (h->type != OFT_ECHO_REPLY) {
        c->cb.message(c, h, msg, c->arg);
        return;
    }
    of_conn_send(c, &w);
    writer_done(&w);
}

static void handle_input(struct of_conn *c, struct evbuffer *in)
{
    unsigned int n = 0;

    c->busy++;
    while (!c->destroyed && !c->paused) {
        struct of_header h;
        uint8_t head[OF_HEADER_LEN];

        if (evbuffer_copyout(in, head, sizeof head) < (ev_ssize_t)sizeof head) {
            break;
        }
        if (of_header_decode(head, sizeof head, &h)) {
            close_with(c, -EPROTO);
            break;
        }
        if (evbuffer_get_length(in) < h.length) {
            break;
        }
        if (++n > MESSAGES_PER_TURN) {
            event_active(c->more, EV_TIMEOUT, 0);
            break;
        }
        const uint8_t *linear = evbuffer_pullup(in, h.length);
        uint8_t *msg = xmemdup(linear, h.length);
        evbuffer_drain(in, h.length);
        handle_message(c, &h, msg);
        free(msg);
        if (!c->destroyed && stream_backlog(c->stream) > BACKLOG_PAUSE) {
            c->paused = true;
            stream_pause(c->stream, true);
        }
    }
    if (!--c->busy && c->destroyed) {
        free_conn(c);
    }
}

/* ---- events ---- */

static void on_readable(struct stream *s WR_UNUSED, struct evbuffer *in, void *arg)
{
    handle_input(arg, in);
}

static void on_more(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct of_conn *c = arg;

    if (c->stream) {
        handle_input(c, stream_input(c->stream));
    }
}

static void on_drained(struct stream *s, void *arg)
{
    struct of_conn *c = arg;

    if (c->paused) {
        c->paused = false;
        stream_pause(s, false);
        event_active(c->more, EV_TIMEOUT, 0);
    }
}

static void on_closed(struct stream *s WR_UNUSED, int error, void *arg)
{
    struct of_conn *c = arg;
    struct evbuffer *in = stream_input(c->stream);
    size_t left;

    c->busy++;
    /* What the peer said before it closed still counts. */
    do {
        left = evbuffer_get_length(in);
        handle_input(c, in);
    } while (!c->destroyed && evbuffer_get_length(in) < left);
    close_with(c, error);
    if (!--c->busy && c->destroyed) {
        free_conn(c);
    }
}

static void on_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct of_conn *c = arg;
    int64_t idle = time_mono_ms() - c->heard;

    if ((c->probing || !c->version) && idle >= 2 * c->probe_ms) {
        c->busy++;
        close_with(c, -ETIMEDOUT);
        if (!--c->busy && c->destroyed) {
            free_conn(c);
        }
        return;
    }
    if (!c->probing && c->version && idle >= c->probe_ms) {
        struct writer w = {0};

        of_encode_empty(&w, c->version, OFT_ECHO_REQUEST, of_conn_next_xid(c));
        of_conn_send(c, &w);
        writer_done(&w);
        c->probing = true;
    }
}

static const struct stream_callbacks stream_cb = {
    .readable = on_readable,
    .drained = on_drained,
    .closed = on_closed,
};

void of_conn_set_probe(struct of_conn *c, int64_t probe_ms)
{
    c->probe_ms = probe_ms;
    c->probing &= probe_ms != 0;
    event_del(c->timer);
    if (probe_ms) {
        event_add(c->timer,
                  &(struct timeval){.tv_sec = probe_ms / 2000, .tv_usec = MAX(probe_ms * 500 % 1000000, 1000)});
    }
}

bool of_conn_is_probing(const struct of_conn *c)
{
    return c->probing;
}

int of_conn_new(struct event_base *base, struct stream *stream, uint32_t versions, int64_t probe_ms,
                const struct of_conn_callbacks *cb, void *arg, struct of_conn **ret)
{
    struct of_conn *c = xcalloc(1, sizeof *c);
    int error = -ENOMEM;

    *c = (struct of_conn){.base = base,
                          .stream = stream,
                          .versions = versions,
                          .cb = *cb,
                          .arg = arg,
                          .probe_ms = probe_ms,
                          .heard = time_mono_ms(),
                          .xid = 1};
    c->more = event_new(base, -1, 0, on_more, c);
    c->timer = event_new(base, -1, EV_PERSIST, on_timer, c);
    if (!c->more || !c->timer) {
        goto err;
    }
    of_conn_set_probe(c, probe_ms);
    stream_set_callbacks(stream, &stream_cb, c);
    struct writer w = {0};
    of_hello_encode(&w, versions, of_conn_next_xid(c));
    error = of_conn_send(c, &w);
    writer_done(&w);
    if (error) {
        goto err;
    }
    *ret = c;
    return 0;
err:
    free_conn(c);
    return error;
}

void of_conn_destroy(struct of_conn *c)
{
    if (!c || c->destroyed) {
        return;
    }
    if (c->busy) {
        c->destroyed = true;
        return;
    }
    free_conn(c);
}

uint8_t of_conn_version(const struct of_conn *c)
{
    return c->version;
}

uint32_t of_conn_next_xid(struct of_conn *c)
{
    return c->xid++;
}

int of_conn_send(struct of_conn *c, struct writer *w)
{
    int error = w->error;

    if (!error && w->len) {
        error = stream_write(c->stream, w->data, w->len);
        if (!error && c->cb.tap) {
            c->cb.tap(c, true, w->data, w->len, c->arg);
        }
    }
    writer_done(w);
    w->error = 0;
    return error;
}

void of_conn_flush(struct of_conn *c)
{
    stream_flush(c->stream);
}

size_t of_conn_backlog(const struct of_conn *c)
{
    return stream_backlog(c->stream);
}

const char *of_conn_name(const struct of_conn *c)
{
    return stream_name(c->stream);
}
