/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_SPLITTER_H
#define WARREN_OVSDB_SPLITTER_H
/*
 * Cuts a byte stream into JSON objects. OVSDB's JSON-RPC has no framing: one object follows the other, with or without
 * white space between. This only counts braces outside strings, a byte at a time over whatever chunks arrive; what is
 * inside is jansson's to judge. A message beyond `limit` bytes is refused before memory is spent on it.
 */
#include <jansson.h>

#include "base/strbuf.h"

struct splitter {
    struct strbuf message; /* of the object so far */
    size_t limit;
    unsigned int depth;
    bool in_string, escaped;
};

/* LIMIT in bytes for one message. */
void splitter_init(struct splitter *s, size_t limit);
void splitter_done(struct splitter *s);
/* Eats bytes of DATA up to the end of the first object, their number in *RET_USED. Returns 1 and the object (the
 * caller's) in *RET_JSON, 0 when all bytes are used and more are needed, -EBADMSG for what is not a JSON object,
 * -EMSGSIZE beyond the limit. After an error the stream is lost. */
int splitter_feed(struct splitter *s, const char *data, size_t len, size_t *ret_used, json_t **ret_json);

#endif
