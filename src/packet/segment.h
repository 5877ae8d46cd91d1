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

/* The super-packet P, whose layer offsets must be set, is in a tunnel that its sender has put it into (a VM's own):
 * what is to be cut is the packet inside, which begins where the checksum says, and all headers in front go on each
 * segment. */
bool packet_gso_is_tunnelled(const struct packet *p);
/* All headers of the super-packet P, whose layer offsets must be set. 0: it has none that can be cut. What the kernel
 * gives as hdr_len is a hint: how much of the packet lay in one piece. */
size_t packet_gso_hdr_len(const struct packet *p);

/* Makes P, whose checksum is left to the device and whose layer offsets are set, a super-packet of GSO_SIZE a segment;
 * its type is what the headers say, or one that nobody can cut. */
void packet_make_gso(struct packet *p, uint16_t gso_size);

/* Completes a partial checksum (no-op when there is none). -EINVAL: it lies outside the frame. */
int packet_complete_csum(struct packet *p);

/* Of one super-packet, whatever its sender says. 64 KiB at the smallest MSS that Linux takes are less. */
#define SEGMENTS_MAX 2048

struct segmenter {
    const struct packet *p;
    size_t l3, l4;  /* of the packet that is cut */
    size_t hdr_len; /* all headers, up to the L4 payload */
    size_t ofs;     /* of the next payload byte */
    uint32_t index;
    bool tcp;
};

/* Prepares to cut P, which must stay as it is until the last segment was taken; its layer offsets must be set.
 * -EINVAL when its headers do not fit its offload state, -E2BIG when there would be more than SEGMENTS_MAX. */
int segmenter_init(struct segmenter *s, const struct packet *p);
/* The next segment: SEG (made by packet_new() or packet_init(), reused from call to call) becomes a whole frame with
 * complete checksums and P's metadata. False when there is none left. */
bool segmenter_next(struct segmenter *s, struct packet *seg);

#endif
