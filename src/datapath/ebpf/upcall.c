/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/upcall.h"

#include <bpf/libbpf.h>
#include <endian.h>
#include <linux/virtio_net.h>

#include "base/log.h"
#include "datapath/userspace/userspace.h"
#include "packet/edit.h"
#include "packet/headers.h"
#include "packet/segment.h"

LOG_MODULE("ebpf_upcall");

#define TURN_MAX 256 /* records in a turn of the loop */
#define GSO_UDP_L4 5 /* VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2's header */

struct ebpf_upcalls {
    struct ring_buffer *ring;
    struct event *event;
    ebpf_upcall_fn *fn;
    void *aux;
    unsigned int turn;
    uint8_t buf[RX_BUF_SIZE + 1024];
};

static void restore_gso(struct packet *p, const struct flow_key *key, uint32_t gso_size)
{
    if (!us_restore_csum(p, key, gso_size != 0) || !gso_size) {
        return;
    }
    p->offload.gso_type = key->ip_proto != IP_PROTO_TCP             ? GSO_UDP_L4
                          : key->eth_type == htobe16(ETH_TYPE_IPV4) ? VIRTIO_NET_HDR_GSO_TCPV4
                                                                    : VIRTIO_NET_HDR_GSO_TCPV6;
    p->offload.gso_size = (uint16_t)gso_size;
    p->offload.hdr_len = (uint16_t)packet_gso_hdr_len(p);
}

static int receive(void *ctx, void *data, size_t size)
{
    struct ebpf_upcalls *u = ctx;
    const struct ebpf_upcall *record = data;
    struct flow_key key;
    struct packet p;

    if (size < sizeof(*record) || record->len > size - sizeof(*record)) {
        log_limited(LOG_LEVEL_WARN, "a ring record of %zu bytes says that its frame has %u", size, record->len);
        return 0;
    }
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
    p.flow_hash = record->hash;
    p.edited = record->kind == EBPF_UPCALL_OUTPUT;
    if (record->vlan.tpid) {
        packet_push_vlan(&p, record->vlan);
        memcpy(p.data + 14, &record->vlan.tci, 2); /* with the CFI bit, which a push leaves out */
    }
    /* The parser believes lengths of super-packets beyond 64 KiB only when it knows that it is one. */
    p.offload.gso_type = record->gso_size ? VIRTIO_NET_HDR_GSO_TCPV4 : 0;
    flow_key_extract(&p, &key);
    p.offload = (struct packet_offload){0};
    restore_gso(&p, &key, record->gso_size);
    u->fn(u->aux, record, &p);
    packet_done(&p);
    return ++u->turn < TURN_MAX ? 0 : -EAGAIN;
}

static void readable(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct ebpf_upcalls *u = aux;

    u->turn = 0;
    ring_buffer__consume(u->ring);
}

void ebpf_upcalls_run(struct ebpf_upcalls *u)
{
    readable(-1, EV_READ, u);
}

int ebpf_upcalls_new(struct event_base *base, struct ebpf_maps *maps, ebpf_upcall_fn *fn, void *aux,
                     struct ebpf_upcalls **ret_upcalls)
{
    struct ebpf_upcalls *u = xcalloc(1, sizeof(*u));
    int error;

    u->fn = fn;
    u->aux = aux;
    u->ring = ring_buffer__new(maps->ring_fd, receive, u, NULL);
    if (!u->ring) {
        error = -errno;
        log_err("the ring of upcalls: %s", strerror(-error));
        free(u);
        return error;
    }
    u->event = event_new(base, ring_buffer__epoll_fd(u->ring), EV_READ | EV_PERSIST, readable, u);
    if (!u->event || event_add(u->event, NULL)) {
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
        ring_buffer__free(u->ring);
        free(u);
    }
}
