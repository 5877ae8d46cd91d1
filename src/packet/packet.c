/* SPDX-License-Identifier: Apache-2.0 */
#include "packet/packet.h"

static void move_offsets(struct packet *p, ptrdiff_t by)
{
    struct packet_offload *o = &p->offload;

    if (p->l2_5_ofs) {
        p->l2_5_ofs = (uint16_t)(p->l2_5_ofs + by);
    }
    if (p->l3_ofs) {
        p->l3_ofs = (uint16_t)(p->l3_ofs + by);
    }
    if (p->l4_ofs) {
        p->l4_ofs = (uint16_t)(p->l4_ofs + by);
    }
    if (o->csum_start) {
        o->csum_start = (uint16_t)(o->csum_start + by);
    }
    if (o->hdr_len) {
        o->hdr_len = (uint16_t)(o->hdr_len + by);
    }
}

struct packet *packet_new(const void *data, size_t len)
{
    struct packet *p = xcalloc(1, sizeof(*p));

    p->in_port = DP_PORT_NONE;
    packet_resize(p, PACKET_HEADROOM, len);
    if (data && len) {
        memcpy(p->data, data, len);
    }
    return p;
}

struct packet *packet_clone(const struct packet *p)
{
    struct packet *copy = packet_new(p->data, p->len);

    copy->in_port = p->in_port;
    copy->pkt_mark = p->pkt_mark;
    copy->priority = p->priority;
    copy->tunnel = p->tunnel;
    copy->offload = p->offload;
    copy->l2_5_ofs = p->l2_5_ofs;
    copy->l3_ofs = p->l3_ofs;
    copy->l4_ofs = p->l4_ofs;
    return copy;
}

void packet_init(struct packet *p, void *buf, size_t size, size_t headroom)
{
    *p = (struct packet){.base = buf, .allocated = size, .data = (uint8_t *)buf + headroom, .in_port = DP_PORT_NONE};
}

void packet_done(struct packet *p)
{
    if (p->owned) {
        free(p->base);
    }
    p->base = p->data = NULL;
    p->allocated = p->len = 0;
    p->owned = false;
}

void packet_free(struct packet *p)
{
    if (p) {
        packet_done(p);
        free(p);
    }
}

void packet_resize(struct packet *p, size_t headroom, size_t len)
{
    if (headroom + len > p->allocated || !p->base) {
        packet_done(p);
        p->allocated = headroom + len;
        p->base = xmalloc(p->allocated ? p->allocated : 1);
        p->owned = true;
    }
    p->data = p->base + headroom;
    p->len = len;
}

void *packet_push(struct packet *p, size_t n)
{
    if ((size_t)(p->data - p->base) < n) {
        size_t allocated = PACKET_HEADROOM + n + p->len;
        uint8_t *base = xmalloc(allocated);

        if (p->len) {
            memcpy(base + PACKET_HEADROOM + n, p->data, p->len);
        }
        if (p->owned) {
            free(p->base);
        }
        p->base = base;
        p->allocated = allocated;
        p->data = base + PACKET_HEADROOM + n;
        p->owned = true;
    }
    p->data -= n;
    p->len += n;
    move_offsets(p, (ptrdiff_t)n);
    return p->data;
}

void packet_pull(struct packet *p, size_t n)
{
    n = MIN(n, p->len);
    p->data += n;
    p->len -= n;
    move_offsets(p, -(ptrdiff_t)n);
}
