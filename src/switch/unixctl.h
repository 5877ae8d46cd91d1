/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_UNIXCTL_H
#define WARREN_SWITCH_UNIXCTL_H
/*
 * The control socket that ovs-appctl talks to: JSON-RPC 1.0 requests {id, method, params: [strings]} without framing,
 * answered with a result string or an error string.
 *
 * Commands are registered by whoever can answer them; this module brings only list-commands, version and the vlog
 * commands (vlog_ctl.h). Handlers answer at once (they run on the event loop). One request at a time per connection; a
 * connection whose input is no JSON-RPC gets an error text where the protocol allows one and is closed.
 */
#include <event2/event.h>

#include "base/strbuf.h"

#define UNIXCTL_ARGS_MAX 64

struct unixctl;

/* ARGS are the N parameters. Appends the answer to OUT: the result when it returns 0, the error's text when it returns
 * a negative errno. A result that ends without a newline gets one. */
typedef int unixctl_handler(void *aux, size_t n, const char *const *args, struct strbuf *out);

/* Listens at PATH (a stale socket there is replaced; mode 0700). */
int unixctl_create(struct event_base *base, const char *path, struct unixctl **ret_unixctl);
void unixctl_destroy(struct unixctl *u); /* removes the socket; NULL is fine */
DEFINE_CLEANUP(struct unixctl *, unixctl_destroy)

/* NAME and USAGE must live as long as U. A later registration of the same name replaces the earlier one. */
void unixctl_register(struct unixctl *u, const char *name, const char *usage, size_t min_args, size_t max_args,
                      unixctl_handler *handler, void *aux);

/* One request as text → one reply as text (for tests and for the socket); *RET_REPLY is the caller's to free. Returns
 * the bytes of INPUT that it used, 0 if the request is not complete yet, -EBADMSG if it is no JSON (no reply then). */
ssize_t unixctl_handle(struct unixctl *u, const char *input, size_t len, char **ret_reply);

#endif
