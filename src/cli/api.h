/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_API_H
#define WARREN_CLI_API_H
/*
 * One conversation with a controller: Neutron v2.0 requests as JSON over HTTP (libcurl), any server that speaks it.
 * Paths are without the "/v2.0/". Blocking; each call is bounded by the CLI's --timeout and the size of a reply.
 */
#include <jansson.h>

#include "base/strbuf.h"

struct api;

/* -EINVAL with *RET_ERROR, the caller's to free, if ENDPOINT is no such thing as api_new() takes. */
int api_check_endpoint(const char *endpoint, char **ret_error);
/* ENDPOINT is "http://HOST:PORT", with or without a slash at the end. -EINVAL with *RET_ERROR if it is no such thing.
 */
int api_new(const char *endpoint, int64_t timeout_ms, struct api **ret, char **ret_error);
void api_destroy(struct api *api);
DEFINE_CLEANUP(struct api *, api_destroy)

/* METHOD is "GET", "POST", "PUT" or "DELETE"; BODY may be NULL, and stays the caller's. *RET is the reply, NULL if it
 * has no body (RET may be NULL). On failure *RET_ERROR, the caller's to free, is what the server said (NeutronError's
 * message) or why it could not be asked; -ENOENT is its 404, -EPROTO another refusal, -EIO that there was no reply. */
int api_call(struct api *api, const char *method, const char *path, const json_t *body, json_t **ret, char **ret_error);

/* Appends "?key=value" or "&key=value", escaped, to a path under construction. */
void api_query(struct strbuf *path, const char *key, const char *value);
/* Appends TEXT escaped as one segment of a path. */
void api_segment(struct strbuf *path, const char *text);

#endif
