/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/upcall.h"

#include <bpf/libbpf.h>
#include <endian.h>
#include <linux/virtio_net.h>
#include <utlist.h>

#include "base/log.h"
#include "datapath/userspace/userspace.h"
#include "packet/edit.h"
#include "packet/headers.h"
#include "packet/segment.h"

LOG_MODULE("ebpf_upcall");

#define TURN_MAX 256 /* records in a turn of the loop */
#define PACE_USEC 10000
#define PACE_FIRST 200 /* of those that waited go at once: the next switch's budget for a port is 250 (loader.c) */
#define PACE_LEAST 40  /* then in every PACE_USEC, for which it gives 50 */
#define PACE_TURNS 50  /* it takes no longer */

/* A record that waits for a translation. */
struct waiting {
    struct waiting *prev, *next;
    size_t size;
    struct ebpf_upcall record; /* its frame follows */
};

struct ebpf_upcalls {
    struct ring_buffer *ring;
    struct event *event, *pace;
    enum ebpf_hearing hearing;
    struct waiting *waiting;
    size_t n_waiting, waiting_bytes;
    size_t share, arrived; /* of those that wait, how many go in a turn of the pace; since the last one */
    struct ebpf_listener listener;
    unsigned int turn;
    uint64_t now_ns; /* of this turn */
    uint8_t buf[RX_BUF_SIZE + 1024];
};

static void restore_gso(struct packet *p, const struct flow_key *key, uint32_t gso_size)
{
    us_restore_csum(p, key, gso_size != 0);
    if (gso_size) {
        packet_make_gso(p, (uint16_t)gso_size);
    }
}

static void hand_on(struct ebpf_upcalls *u, const struct ebpf_upcall *record)
{
    struct flow_key key;
    struct packet p;

    packet_init(&p, u->buf, sizeof(u->buf), PACKET_HEADROOM);
    memcpy(p.data, record + 1, record->len);
    p.len = record->len;
    if (ebpf_upcall_is_copy(record->kind) && record->arg > p.len && record->arg < RX_BUF_SIZE - PACKET_HEADROOM) {
        memset(p.data + p.len, 0, record->arg - p.len); /* only headers are looked at */
        p.len = record->arg;
    }
    p.in_port = dp_port(record->in_port);
    p.pkt_mark = record->mark;
    p.priority = record->priority;
    p.tunnel = record->key.tunnel;
    if (record->vlan.tpid) {
        packet_push_vlan(&p, record->vlan);
        memcpy(p.data + 14, &record->vlan.tci, 2); /* with the CFI bit, which a push leaves out */
    }
    /* The parser believes lengths of super-packets beyond 64 KiB only when it knows that it is one. */
    p.offload.gso_type = record->gso_size ? VIRTIO_NET_HDR_GSO_TCPV4 : 0;
    flow_key_extract(&p, &key);
    p.offload = (struct packet_offload){0};
    restore_gso(&p, &key, record->gso_size);
    u->listener.fn(u->listener.aux, record, &p);
    packet_done(&p);
}

/* ---- those that wait ---- */

static bool is_translated(const struct ebpf_upcall *record)
{
    switch ((enum ebpf_upcall_kind)record->kind) {
    case EBPF_UPCALL_MISS:
    case EBPF_UPCALL_UNKNOWN:
    case EBPF_UPCALL_PUNT: /* by the flow of a process before us, if anything waits */
    case EBPF_UPCALL_SLOW:
        return true;
    case EBPF_UPCALL_SAMPLE:
    case EBPF_UPCALL_OUTPUT:
    case EBPF_UPCALL_LEARN:
        break;
    }
    return false;
}

static bool is_old(const struct ebpf_upcalls *u, const struct ebpf_upcall *record)
{
    return u->now_ns > record->ns && u->now_ns - record->ns > (uint64_t)u->listener.old_ms * 1000000;
}

static void waiting_free(struct ebpf_upcalls *u, struct waiting *w)
{
    DL_DELETE(u->waiting, w);
    u->n_waiting--;
    u->waiting_bytes -= w->size;
    free(w);
}

/* The oldest make room. */
static void let_wait(struct ebpf_upcalls *u, const struct ebpf_upcall *record)
{
    size_t size = sizeof(*record) + record->len;
    struct waiting *w = xmalloc(offsetof(struct waiting, record) + size);

    w->size = size;
    memcpy(&w->record, record, size);
    DL_APPEND(u->waiting, w);
    u->n_waiting++;
    u->arrived++;
    u->waiting_bytes += size;
    while (u->waiting && (is_old(u, &u->waiting->record) || u->waiting_bytes > EBPF_RING_SIZE)) {
        u->listener.drops[DROP_UPCALL_QUEUE]++;
        waiting_free(u, u->waiting);
    }
}

/* N of those that wait go. All at once would be more than the next switch takes from one port. */
static void let_go(struct ebpf_upcalls *u, size_t n)
{
    const struct timeval pause = {0, PACE_USEC};

    u->now_ns = time_mono_ns();
    while (u->waiting && n--) {
        if (is_old(u, &u->waiting->record)) {
            u->listener.drops[DROP_UPCALL_QUEUE]++;
        } else {
            hand_on(u, &u->waiting->record);
        }
        waiting_free(u, u->waiting);
    }
    u->arrived = 0;
    if (u->waiting) {
        event_add(u->pace, &pause);
    }
}

static void on_pace(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct ebpf_upcalls *u = aux;

    if (u->hearing == EBPF_HEAR_ALL) {
        let_go(u, u->share + u->arrived);
    }
}

/* ---- the ring ---- */

static int receive(void *ctx, void *data, size_t size)
{
    struct ebpf_upcalls *u = ctx;
    const struct ebpf_upcall *record = data;

    if (size < sizeof(*record) || record->len > size - sizeof(*record)) {
        log_limited(LOG_LEVEL_WARN, "a ring record of %zu bytes says that its frame has %u", size, record->len);
    } else if (is_old(u, record)) {
        u->listener.drops[DROP_UPCALL_QUEUE] += !ebpf_upcall_is_copy(record->kind);
    } else if ((u->hearing < EBPF_HEAR_ALL || u->waiting) && is_translated(record)) {
        let_wait(u, record);
    } else {
        hand_on(u, record);
    }
    return ++u->turn < TURN_MAX ? 0 : -EAGAIN;
}

static void readable(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct ebpf_upcalls *u = aux;

    u->turn = 0;
    u->now_ns = time_mono_ns();
    ring_buffer__consume(u->ring);
}

void ebpf_upcalls_hear(struct ebpf_upcalls *u, enum ebpf_hearing hearing)
{
    if (hearing == EBPF_HEAR_NOTHING) {
        event_del(u->event);
    } else if (u->hearing == EBPF_HEAR_NOTHING) {
        event_add(u->event, NULL);
        u->hearing = EBPF_HEAR_KNOWN;
        while (ebpf_upcalls_run(u)) { /* what is there is in memory: it will wait in a queue */
        }
    }
    u->hearing = hearing;
    if (hearing == EBPF_HEAR_ALL) {
        u->share = MAX((size_t)PACE_LEAST, u->n_waiting / PACE_TURNS);
        u->arrived = PACE_FIRST;
        event_active(u->pace, EV_TIMEOUT, 0);
    }
}

bool ebpf_upcalls_run(struct ebpf_upcalls *u)
{
    u->turn = 0;
    if (u->hearing) {
        readable(-1, EV_READ, u);
    }
    return u->turn >= TURN_MAX;
}

int ebpf_upcalls_new(struct event_base *base, int ring_fd, const struct ebpf_listener *listener,
                     struct ebpf_upcalls **ret_upcalls)
{
    struct ebpf_upcalls *u = xcalloc(1, sizeof(*u));
    int error;

    u->hearing = EBPF_HEAR_ALL;
    u->listener = *listener;
    u->ring = ring_buffer__new(ring_fd, receive, u, NULL);
    if (!u->ring) {
        error = -errno;
        log_err("the ring of upcalls: %s", strerror(-error));
        free(u);
        return error;
    }
    u->event = event_new(base, ring_buffer__epoll_fd(u->ring), EV_READ | EV_PERSIST, readable, u);
    u->pace = event_new(base, -1, 0, on_pace, u);
    if (!u->event || !u->pace || event_add(u->event, NULL)) {
        ebpf_upcalls_free(u);
        return -ENOMEM;
    }
    *ret_upcalls = u;
    return 0;
}

void ebpf_upcalls_free(struct ebpf_upcalls *u)
{
    if (u) {
        if (u->event) {
            event_free(u->event);
        }
        if (u->pace) {
            event_free(u->pace);
        }
        ring_buffer__free(u->ring);
        while (u->waiting) {
            waiting_free(u, u->waiting);
        }
        free(u);
    }
}
