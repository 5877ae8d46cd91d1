/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_STREAM_H
#define WARREN_BASE_STREAM_H
/*
 * Byte streams over unix sockets, TCP and TLS, named by OVSDB's remote syntax, on a libevent loop.
 * OpenFlow and OVSDB both run over these; nothing above this file touches a socket.
 *
 * Active:  unix:PATH   tcp:IP[:PORT]   ssl:IP[:PORT]        (IPv6 as [ADDR]; names are not resolved)
 * Passive: punix:PATH  ptcp:[PORT][:IP]  pssl:[PORT][:IP]
 *
 * This layer makes one connection. When to try again is decided by reconnect.h, what the bytes mean by the caller.
 * All callbacks come from the event loop, never from inside stream_connect(), stream_listen() or stream_write().
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "base/util.h"

struct event_base;
struct evbuffer;
struct stream;
struct stream_listener;

enum remote_kind { REMOTE_UNIX, REMOTE_TCP, REMOTE_SSL };

struct remote {
    enum remote_kind kind;
    bool passive;
    struct sockaddr_storage addr;
    socklen_t addr_len;
};

/* Parses S. DEFAULT_PORT serves where tcp/ssl name no port; 0 makes a missing port an error. On failure -EINVAL, and
 * *RET_ERROR (when not NULL) is a text for the user that the caller frees. */
int remote_parse(const char *s, uint16_t default_port, struct remote *ret, char **ret_error);

/* Does a process of this host listen at REMOTE, which is passive? 0: one does. -ENOENT: none does, although it could.
 * Else why none can: -EADDRNOTAVAIL where the host does not have the address. Nobody notices that it was asked. */
int remote_check_listener(const struct remote *remote);

/* This process's TLS identity: PEM files, each may be NULL. With CA_CERT, peers must present a certificate that it
 * signed; without, they are not checked. Until this is called, ssl: and pssl: remotes fail with -ENOKEY. A later
 * call serves later connections. On failure nothing changes and *RET_ERROR says which file. */
int stream_set_tls(const char *private_key, const char *certificate, const char *ca_cert, char **ret_error);

struct stream_callbacks {
    /* The connection is made (for accepted streams of pssl: the handshake is over). May be NULL. */
    void (*connected)(struct stream *s, void *arg);
    /* Bytes came in; take (drain) from IN what can be used, the rest stays for the next call. */
    void (*readable)(struct stream *s, struct evbuffer *in, void *arg);
    /* Everything written has gone to the kernel. For those who write more than they like to queue; may be NULL. */
    void (*drained)(struct stream *s, void *arg);
    /* The stream ended, or never came up. ERROR is 0 for a clean end by the peer, else negative errno. No callback
     * follows; the owner calls stream_destroy(), from here if it likes. */
    void (*closed)(struct stream *s, int error, void *arg);
};
/* Each callback may destroy its stream. */

/* Starts to connect. Negative errno if that cannot even begin (no such socket, no TLS identity…). */
int stream_connect(struct event_base *base, const struct remote *remote, const struct stream_callbacks *cb, void *arg,
                   struct stream **ret);
/* As above from the text, for callers that have no use for the struct; the active kinds only. */
int stream_connect_text(struct event_base *base, const char *remote, uint16_t default_port,
                        const struct stream_callbacks *cb, void *arg, struct stream **ret);
/* Changes the receiver of later callbacks: an acceptor hands the stream to its session by this. */
void stream_set_callbacks(struct stream *s, const struct stream_callbacks *cb, void *arg);
bool stream_is_connected(const struct stream *s);
/* Queues bytes. -ENOTCONN before `connected` and after `closed`. */
int stream_write(struct stream *s, const void *data, size_t len);
/* Gives the kernel what is queued, as far as it takes it, instead of waiting for the loop (which does it alone for
 * TLS).
 */
void stream_flush(struct stream *s);
/* What came in and was not taken yet: for a receiver that goes on later with what `readable` left. Good while S lives.
 */
struct evbuffer *stream_input(struct stream *s);
/* Bytes queued and not yet taken by the kernel. */
size_t stream_backlog(const struct stream *s);
/* Stops and resumes `readable`: back-pressure on a peer that asks faster than we answer. */
void stream_pause(struct stream *s, bool paused);
/* "unix:/x", "tcp:10.0.0.1:6633": the peer as text, for logs. "unix" for an accepted unix connection. */
const char *stream_name(const struct stream *s);
/* Closes; queued bytes that the kernel takes at once still go out, the rest is lost. No callback. NULL is fine. */
void stream_destroy(struct stream *s);
DEFINE_CLEANUP(struct stream *, stream_destroy)

/* A new connection, connected already. It is the callee's: stream_set_callbacks() it, or destroy it. */
typedef void stream_accept_fn(struct stream *s, void *arg);

/* Listens on a passive remote. A stale socket file in the way of punix: is removed, a live one is -EADDRINUSE; the
 * file is removed again by stream_listener_destroy(). */
int stream_listen(struct event_base *base, const struct remote *remote, stream_accept_fn *accepted, void *arg,
                  struct stream_listener **ret);
int stream_listen_text(struct event_base *base, const char *remote, uint16_t default_port, stream_accept_fn *accepted,
                       void *arg, struct stream_listener **ret);
/* The port that is listened on (useful after ptcp:0), 0 for unix. */
uint16_t stream_listener_port(const struct stream_listener *l);
void stream_listener_destroy(struct stream_listener *l);
DEFINE_CLEANUP(struct stream_listener *, stream_listener_destroy)

#endif
