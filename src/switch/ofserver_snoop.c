/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RUNDIR/BRIDGE.snoop ("ovs-ofctl snoop"): whoever connects gets a copy of every message between the bridge and one of
 * its controllers, both ways. Which one is settled when it connects: the master, else one without such a role, else a
 * slave. What a listener-in says itself is ignored, and one that does not read misses messages.
 */
#include <event2/buffer.h>
#include <utlist.h>

#include "switch/ofserver_private.h"

#define BACKLOG_MAX (1u << 20)
#define EVERY_VERSION 0x7e

struct snooper {
    struct ofserver *server;
    struct target *target;
    struct stream *stream;
    struct snooper *prev, *next;
};

static void snooper_free(struct snooper *sn)
{
    DL_DELETE(sn->server->snoopers, sn);
    stream_destroy(sn->stream);
    free(sn);
}

static void on_readable(struct stream *stream WR_UNUSED, struct evbuffer *in, void *arg WR_UNUSED)
{
    evbuffer_drain(in, evbuffer_get_length(in));
}

static void on_closed(struct stream *stream WR_UNUSED, int error WR_UNUSED, void *arg)
{
    snooper_free(arg);
}

static int preference(const struct target *t)
{
    static const int by_role[] = {[OF_ROLE_EQUAL] = 2, [OF_ROLE_MASTER] = 3, [OF_ROLE_SLAVE] = 1};

    return t->conn ? by_role[t->conn->role] : 0;
}

static struct target *choose(const struct ofserver *s)
{
    struct target *t, *best = NULL;

    DL_FOREACH(s->targets, t) {
        if (!t->bad && !t->remote.passive && (!best || preference(t) > preference(best))) {
            best = t;
        }
    }
    return best;
}

void ofserver_accept_snooper(struct stream *stream, void *arg)
{
    static const struct stream_callbacks cb = {.readable = on_readable, .closed = on_closed};
    struct ofserver *s = arg;
    struct target *target = choose(s);
    struct writer hello = {0};

    if (!target) {
        stream_destroy(stream);
        return;
    }
    struct snooper *sn = xcalloc(1, sizeof *sn);
    *sn = (struct snooper){.server = s, .target = target, .stream = stream};
    DL_APPEND(s->snoopers, sn);
    stream_set_callbacks(stream, &cb, sn);
    of_hello_encode(&hello, EVERY_VERSION, 1); /* the copies are of whichever the controller speaks */
    stream_write(stream, hello.data, hello.len);
    writer_done(&hello);
}

void ofserver_snoop(struct ofserver *s, const struct target *target, const void *data, size_t len)
{
    struct snooper *sn;

    DL_FOREACH(s->snoopers, sn) {
        if (sn->target == target && stream_backlog(sn->stream) <= BACKLOG_MAX) {
            stream_write(sn->stream, data, len);
        }
    }
}

void ofserver_snoopers_free(struct ofserver *s, const struct target *target)
{
    struct snooper *sn, *next;

    DL_FOREACH_SAFE(s->snoopers, sn, next) {
        if (!target || sn->target == target) {
            snooper_free(sn);
        }
    }
}
