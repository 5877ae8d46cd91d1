/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_SEGMENT_H
#define WARREN_PACKET_SEGMENT_H
/*
 * What a network device does for the kernel, in software: cutting a TCP or UDP super-packet (TSO, USO) into frames of
 * the wire's size, and completing checksums that were left to the device. Needed where packets leave through a socket
 * that cannot offload. Left out: UFO (IP fragments), which no current kernel hands out.
 */
#include "packet/packet.h"

static inline bool packet_is_gso(const struct packet *p)
{
    return p->offload.gso_type != 0;
}

/* All headers of the super-packet P, whose layer offsets must be set. 0: it has none that can be cut. What the kernel
 * gives as hdr_len is a hint: how much of the packet lay in one piece. */
size_t packet_gso_hdr_len(const struct packet *p);

/* Completes a partial checksum (no-op when there is none). -EINVAL: it lies outside the frame. */
int packet_complete_csum(struct packet *p);

struct segmenter {
    const struct packet *p;
    size_t hdr_len; /* all headers, up to the L4 payload */
    size_t ofs;     /* of the next payload byte */
    uint32_t index;
    bool tcp, ipv6;
};

/* Prepares to cut P, which must stay as it is until the last segment was taken; its layer offsets must be set.
 * -EINVAL when its headers do not fit its offload state. */
int segmenter_init(struct segmenter *s, const struct packet *p);
/* The next segment: SEG (made by packet_new() or packet_init(), reused from call to call) becomes a whole frame with
 * complete checksums and P's metadata. False when there is none left. */
bool segmenter_next(struct segmenter *s, struct packet *seg);

#endif
