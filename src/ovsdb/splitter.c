/* SPDX-License-Identifier: Apache-2.0 */
#include "ovsdb/splitter.h"

void splitter_init(struct splitter *s, size_t limit)
{
    *s = (struct splitter){.limit = limit};
}

void splitter_done(struct splitter *s)
{
    strbuf_done(&s->message);
    splitter_init(s, s->limit);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* True when C ends the object. */
static bool step(struct splitter *s, char c)
{
    if (s->in_string) {
        if (s->escaped) {
            s->escaped = false;
        } else if (c == '\\') {
            s->escaped = true;
        } else if (c == '"') {
            s->in_string = false;
        }
        return false;
    }
    switch (c) {
    case '"':
        s->in_string = true;
        return false;
    case '{':
    case '[':
        s->depth++;
        return false;
    case '}':
    case ']':
        return --s->depth == 0;
    default:
        return false;
    }
}

static int finish(struct splitter *s, json_t **ret)
{
    json_t *json = json_loadb(s->message.s, s->message.len, 0, NULL);

    if (s->message.allocated > 65536) {
        strbuf_done(&s->message); /* a big first dump must not be kept for good */
    } else {
        s->message.len = 0;
    }
    if (!json) {
        return -EBADMSG;
    }
    *ret = json;
    return 1;
}

int splitter_feed(struct splitter *s, const char *data, size_t len, size_t *ret_used, json_t **ret_json)
{
    size_t start = 0;

    if (!s->depth) {
        while (start < len && is_space(data[start])) {
            start++;
        }
        if (start < len && data[start] != '{') {
            return -EBADMSG;
        }
    }
    for (size_t i = start; i < len; i++) {
        bool end = step(s, data[i]);

        if (s->message.len + (i + 1 - start) > s->limit) {
            return -EMSGSIZE;
        }
        if (end) {
            json_t *json = NULL;
            strbuf_add_n(&s->message, data + start, i + 1 - start);
            int r = finish(s, &json);
            if (r == 1) {
                *ret_used = i + 1;
                *ret_json = json;
            }
            return r;
        }
    }
    strbuf_add_n(&s->message, data + start, len - start);
    *ret_used = len;
    return 0;
}
