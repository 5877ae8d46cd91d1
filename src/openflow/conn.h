/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_CONN_H
#define WARREN_OPENFLOW_CONN_H
/*
 * One OpenFlow connection over a stream, either side: cuts messages out of the bytes, exchanges HELLO and settles the
 * version, answers echo requests, and probes an idle peer. What the messages mean is the owner's business.
 *
 * Bounded: a turn of the event loop handles a limited number of messages, and a peer that does not read its replies is
 * not read from until it does. Callbacks come from the event loop only, and may destroy the connection.
 */
#include "base/stream.h"
#include "openflow/msg.h"

struct event_base;
struct of_conn;

struct of_conn_callbacks {
    /* The version is settled. May be NULL. */
    void (*established)(struct of_conn *c, uint8_t version, void *arg);
    /* A message that is none of HELLO and ECHO. MSG is all of it, header included. */
    void (*message)(struct of_conn *c, const struct of_header *h, const uint8_t *msg, void *arg);
    /* The connection ended: ERROR is 0 for a clean end by the peer, -EPROTO when there is no common version or the peer
     * does not speak OpenFlow, -ETIMEDOUT when it did not answer a probe, or did not say HELLO for as long. The owner
     * calls of_conn_destroy(). */
    void (*closed)(struct of_conn *c, int error, void *arg);
    /* Every message as it passes, SENT or received, DATA being one or more whole ones: for listeners-in. May be NULL;
     * must not destroy the connection. */
    void (*tap)(struct of_conn *c, bool sent, const void *data, size_t len, void *arg);
};

/* Takes STREAM over (also on failure); it must be connected. VERSIONS: those offered, bit 1 << wire version. PROBE_MS:
 * idle time before an echo request, as long again until the connection counts as dead; 0 for never. */
int of_conn_new(struct event_base *base, struct stream *stream, uint32_t versions, int64_t probe_ms,
                const struct of_conn_callbacks *cb, void *arg, struct of_conn **ret);
void of_conn_destroy(struct of_conn *c); /* NULL is fine; no callback */
DEFINE_CLEANUP(struct of_conn *, of_conn_destroy)
/* Another probe interval from now on. */
void of_conn_set_probe(struct of_conn *c, int64_t probe_ms);
/* An echo request is under way to a peer that was silent for the probe interval. */
bool of_conn_is_probing(const struct of_conn *c);
uint8_t of_conn_version(const struct of_conn *c); /* 0 before `established` */
uint32_t of_conn_next_xid(struct of_conn *c);
/* Sends the messages in W, which is empty afterwards. 0, or -EMSGSIZE/-ENOTCONN when nothing was sent. */
int of_conn_send(struct of_conn *c, struct writer *w);
/* Lets the kernel take what was sent, as far as it does: for the sender of much who does not return to the loop soon.
 */
void of_conn_flush(struct of_conn *c);
/* Bytes that the peer has not read yet: senders of unsolicited messages drop theirs above a limit. */
size_t of_conn_backlog(const struct of_conn *c);
const char *of_conn_name(const struct of_conn *c);

#endif
