/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_CRC32C_H
#define WARREN_PACKET_CRC32C_H
/*
 * What a change of four bytes does to a CRC32c (SCTP's checksum, RFC 9260, appendix A). Shared with BPF: only
 * <linux/types.h> is included.
 *
 * A CRC is linear: when bits of a message flip, the CRC flips by the CRC (begun with zero) of the bits that flipped,
 * with zeros behind them up to the message's end. N zero bytes multiply it by x^8n modulo the polynomial, for which a
 * few powers suffice; so nothing but the length is needed of the message. An error that was in the message stays one.
 */
#include <linux/types.h>

#define CRC32C_POLY 0x82f63b78u /* reflected: the highest bit is x^0 */

/* A × B modulo the polynomial. */
static inline __u32 crc32c_multiply(__u32 a, __u32 b)
{
    __u32 product = 0;

    for (int i = 0; i < 32; i++) {
        product ^= b & (0 - (a >> 31));
        a <<= 1;
        b = b >> 1 ^ (CRC32C_POLY & (0 - (b & 1)));
    }
    return product;
}

/* x^(8 × 2^k), up to messages of 128 KiB. */
#define CRC32C_POWERS 17
static const __u32 crc32c_powers[CRC32C_POWERS] = {
    0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a, 0xb82be955, 0xb8fdb1e7, 0x88e56f72,
    0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc, 0xfe7740e6,
};

/* What is to be XORed to the CRC (as SCTP's header holds it, little-endian) of a message when its last N bytes, of
 * which there are at least four, begin with FLIPPED (the bytes before XOR those after, as they lie in memory of a
 * little-endian machine). */
static inline __u32 crc32c_flipped(__u32 flipped, __u32 n)
{
    for (int k = 0; k < CRC32C_POWERS; k++) {
        if (n >> k & 1) {
            flipped = crc32c_multiply(crc32c_powers[k], flipped);
        }
    }
    return flipped;
}

#endif
