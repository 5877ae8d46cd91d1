/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_CHECKSUM_H
#define WARREN_PACKET_CHECKSUM_H
/*
 * The Internet checksum (RFC 1071), its incremental update (RFC 1624, equation 3) and SCTP's CRC32c (RFC 9260, appendix
 * A).
 *
 * A sum is gathered in a uint64_t of 16-bit words as they lie in memory, so no byte order is involved anywhere: fold
 * it, and the result may be stored as it is. Only the last piece that is added may have an odd length.
 */
#include "base/util.h"

uint64_t csum_bytes(uint64_t sum, const void *data, size_t len);
/* The 16-bit sum, not complemented: what a partial checksum field holds. */
static inline __be16 csum_fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & 0xffffffffu);
    sum = (sum >> 32) + (sum & 0xffffffffu);
    sum = (sum >> 16) + (sum & 0xffffu);
    sum = (sum >> 16) + (sum & 0xffffu);
    return (WR_FORCE __be16)(uint16_t)sum;
}
/* The complement: what a header's checksum field holds. */
static inline __be16 csum_finish(uint64_t sum)
{
    return (WR_FORCE __be16)(uint16_t) ~(WR_FORCE uint16_t)csum_fold(sum);
}
static inline uint64_t csum_be16(uint64_t sum, __be16 v)
{
    return sum + (WR_FORCE uint16_t)v;
}
static inline uint64_t csum_be32(uint64_t sum, __be32 v)
{
    return sum + (WR_FORCE uint32_t)v;
}
/* The pseudo-headers of TCP and UDP: LEN is the length of the L4 header and payload in host order. */
uint64_t csum_pseudo4(__be32 src, __be32 dst, uint8_t proto, uint16_t len);
uint64_t csum_pseudo6(const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint32_t len);

/* The checksum field CSUM after N bytes (even) of what it covers changed from OLD to NEW. PARTIAL: the field holds a
 * sum that the device will complete, so it is not complemented. */
__be16 csum_update(__be16 csum, const void *old, const void *new, size_t n, bool partial);

/* CRC32c in the byte order in which SCTP's header holds it. */
__le32 csum_crc32c(const void *data, size_t len);

#endif
