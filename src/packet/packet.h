/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_PACKET_H
#define WARREN_PACKET_PACKET_H
/*
 * A frame in memory with what the kernel told us about it: offload state (virtio-net header semantics), the port it
 * came in by and the tunnel it came through. Headroom lets headers be pushed in place. No I/O here.
 */
#include "base/util.h"
#include "packet/drop.h"
#include "packet/flow_key.h"

#define PACKET_HEADROOM 192 /* room for the largest encapsulation: IPv6 + UDP + Geneve with options */

/* Offload state, as in struct virtio_net_hdr; offsets count from the frame's first byte. */
struct packet_offload {
    uint8_t flags;    /* VIRTIO_NET_HDR_F_* */
    uint8_t gso_type; /* VIRTIO_NET_HDR_GSO_* */
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

struct packet {
    uint8_t *base; /* the buffer, owned when `owned` */
    size_t allocated;
    uint8_t *data; /* the frame's first byte */
    size_t len;
    bool owned;
    dp_port_t in_port;
    uint32_t pkt_mark;
    uint32_t priority;         /* the kernel's skb->priority when it is sent: a tc class, 0 for none */
    struct flow_tunnel tunnel; /* all zero: did not come through a tunnel */
    struct packet_offload offload;
    /* Set by flow_key_extract(): offsets from `data`, 0 where the packet has no such header. */
    uint16_t l2_5_ofs, l3_ofs, l4_ofs;
};

/* A packet with room for LEN bytes behind PACKET_HEADROOM, of length LEN, its bytes copied from DATA unless NULL. */
struct packet *packet_new(const void *data, size_t len);
struct packet *packet_clone(const struct packet *p);
void packet_free(struct packet *p);
DEFINE_CLEANUP(struct packet *, packet_free)
/* For packets that are reused: P, whatever it held before, becomes a packet over BUF of SIZE bytes, which stays the
 * caller's; its data begins at HEADROOM and is empty. Should it outgrow BUF, packet_done() frees what it then owns (but
 * not P). */
void packet_init(struct packet *p, void *buf, size_t size, size_t headroom);
void packet_done(struct packet *p);
/* Makes the length LEN behind HEADROOM, keeping no contents; grows the buffer when it must. */
void packet_resize(struct packet *p, size_t headroom, size_t len);
/* N more bytes in front (contents undefined) or N fewer; adjusts the offload offsets and forgets none. Grows the buffer
 * when it must. */
void *packet_push(struct packet *p, size_t n);
void packet_pull(struct packet *p, size_t n);

/* Fills KEY from the frame and its metadata. Never fails: what is malformed or cut short leaves the fields from there
 * on zero (as Open vSwitch does: a bad IPv4 header leaves the L3 fields zero but keeps eth_type). Sets P's layer
 * offsets. */
void flow_key_extract(struct packet *p, struct flow_key *key);

static inline void flow_key_and(struct flow_key *dst, const struct flow_key *key, const struct flow_key *mask)
{
    const uint64_t *k = (const uint64_t *)(const void *)key, *m = (const uint64_t *)(const void *)mask;
    uint64_t *d = (uint64_t *)(void *)dst;

    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        d[i] = k[i] & m[i];
    }
}

const char *drop_reason_name(enum drop_reason r);
const char *drop_reason_text(enum drop_reason r);

#endif
