/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending on AF_PACKET sockets.
 *
 * Problem: a system call a frame, and a wake-up of the receiver a frame, cost more than all else that a hit does. Idea:
 * while a port is being read, frames that leave are copied into a batch, which goes out with one sendmmsg() a port when
 * the frames of that read are done, or when it is full. Copies keep what was sent from what later actions of the same
 * packet do to it. Frames that are long (they pay for their call), or that carry a mark, go at once, after what waits.
 *
 * A frame that waits counts as sent; when the kernel refuses it afterwards, that is taken back and counted as a drop.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <sys/socket.h>

#include "datapath/userspace/userspace.h"

#define BATCH 64
#define COPY_MAX 2048

struct tx_batch {
    unsigned int n;
    struct tx_frame {
        struct us_port *port; /* NULL: gone out already */
        struct virtio_net_hdr vnet;
        uint32_t priority;
        uint16_t len;
    } frames[BATCH];
    uint8_t data[BATCH][COPY_MAX];
};

/* AF_PACKET sends with its socket's priority (per message only since Linux 6.14), so it follows the packets'. */
static void set_priority(struct us_port *port, uint32_t priority)
{
    if (port->priority != priority) {
        int value = (int)priority;

        if (!setsockopt(port->fd, SOL_SOCKET, SO_PRIORITY, &value, sizeof(value))) {
            port->priority = priority;
        }
    }
}

static void take_back(struct us_port *port, size_t len, enum drop_reason reason)
{
    port->stats.tx_packets--;
    port->stats.tx_bytes -= len;
    port->stats.tx_dropped++;
    us_drop(port->dp, reason);
}

/* N messages of PORT; a frame that is refused does not keep the next ones. */
static void send_all(struct us_port *port, struct mmsghdr *msgs, unsigned int n)
{
    unsigned int i = 0;

    while (i < n) {
        int sent = port->gone ? -1 : sendmmsg(port->fd, msgs + i, n - i, MSG_DONTWAIT);

        if (sent <= 0) {
            take_back(port, msgs[i].msg_hdr.msg_iov[1].iov_len, port->gone ? DROP_PORT_DOWN : us_tx_reason(errno));
            sent = 1;
        }
        i += (unsigned int)sent;
    }
}

/* The frames from FIRST on that go out by its port, up to one of another priority. */
static void send_port(struct tx_batch *b, unsigned int first)
{
    struct us_port *port = b->frames[first].port;
    struct mmsghdr msgs[BATCH];
    struct iovec iov[BATCH][2];
    unsigned int n = 0;

    for (unsigned int i = first; i < b->n; i++) {
        struct tx_frame *f = &b->frames[i];

        if (f->port != port) {
            continue;
        }
        if (f->priority != b->frames[first].priority) {
            break;
        }
        iov[n][0] = (struct iovec){&f->vnet, sizeof(f->vnet)};
        iov[n][1] = (struct iovec){b->data[i], f->len};
        msgs[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = iov[n], .msg_iovlen = 2}};
        f->port = NULL;
        n++;
    }
    set_priority(port, b->frames[first].priority);
    send_all(port, msgs, n);
}

void us_tx_flush(struct us_datapath *dp)
{
    struct tx_batch *b = dp->tx_batch;

    if (!b || !b->n) {
        return;
    }
    for (unsigned int i = 0; i < b->n; i++) {
        if (b->frames[i].port) {
            send_port(b, i);
        }
    }
    b->n = 0;
}

static enum drop_reason send_now(struct us_port *port, struct packet *p, struct virtio_net_hdr *vnet)
{
    struct iovec iov[2] = {{vnet, sizeof(*vnet)}, {p->data, p->len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    union {
        struct cmsghdr h;
        char buf[CMSG_SPACE(sizeof(uint32_t))];
    } control;

    set_priority(port, p->priority);
    if (p->pkt_mark) {
        memset(&control, 0, sizeof(control));
        control.h =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(uint32_t)), .cmsg_level = SOL_SOCKET, .cmsg_type = SO_MARK};
        memcpy(CMSG_DATA(&control.h), &p->pkt_mark, sizeof(uint32_t));
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
    }
    return sendmsg(port->fd, &msg, MSG_DONTWAIT) < 0 ? us_tx_reason(errno) : DROP_NONE;
}

enum drop_reason us_tx_send(struct us_port *port, struct packet *p, struct virtio_net_hdr *vnet)
{
    struct us_datapath *dp = port->dp;
    struct tx_batch *b = dp->tx_batch;
    struct tx_frame *f;

    if (!dp->receiving || p->len > COPY_MAX || p->pkt_mark) {
        us_tx_flush(dp);
        return send_now(port, p, vnet);
    }
    if (!b) {
        b = dp->tx_batch = xmalloc(sizeof(*b));
        b->n = 0;
    }
    if (b->n == BATCH) {
        us_tx_flush(dp);
    }
    memcpy(b->data[b->n], p->data, p->len);
    f = &b->frames[b->n++];
    *f = (struct tx_frame){.port = port, .vnet = *vnet, .priority = p->priority, .len = (uint16_t)p->len};
    return DROP_NONE;
}
