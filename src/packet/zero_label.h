/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_ZERO_LABEL_H
#define WARREN_PACKET_ZERO_LABEL_H
/*
 * What the IPv6 flow label of a tunnel packet says of its sender: that it takes UDP checksums of zero (RFC 6935), which
 * a super-packet's is, because BPF cannot leave it to the device. 12 of the label's 20 bits say so, the other 8 are the
 * flow's hash (RFC 6438). Everything of Warren sends it; the fast path reads it. Shared with BPF.
 */
#define ZERO_LABEL 0xb7c00u
#define ZERO_LABEL_MASK 0xfff00u

#define ZERO_LABEL_OF(hash) (ZERO_LABEL | ((hash) & ~ZERO_LABEL_MASK & 0xfffffu))

#endif
