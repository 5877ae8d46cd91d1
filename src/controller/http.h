/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CONTROLLER_HTTP_H
#define WARREN_CONTROLLER_HTTP_H
/*
 * HTTP/1.1 in front of api.h, by libmicrohttpd on our event loop: no threads. A request whose answer needs the database
 * is suspended and goes on when its call is answered. This knows no resource; it bounds what a client may send.
 */
#include "base/util.h"

struct api;
struct event_base;
struct http_server;

/* LISTEN: ADDRESS:PORT, IPv6 in brackets. On failure *RET_ERROR says why; the caller frees it. */
int http_server_create(struct event_base *base, struct api *api, const char *listen, struct http_server **ret,
                       char **ret_error);
/* All calls must have been answered (store_destroy() sees to it). NULL is fine. */
void http_server_destroy(struct http_server *s);

#endif
