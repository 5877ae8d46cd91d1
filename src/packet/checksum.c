/* SPDX-License-Identifier: Apache-2.0 */
#include "packet/checksum.h"

#include <endian.h>

uint64_t csum_bytes(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t words = 0;
    uint32_t w32;
    uint16_t w16 = 0;

    for (; len >= 4; len -= 4, p += 4) {
        memcpy(&w32, p, 4);
        words += w32;
    }
    if (len >= 2) {
        memcpy(&w16, p, 2);
        words += w16;
        p += 2;
        len -= 2;
    }
    if (len) {
        w16 = 0;
        memcpy(&w16, p, 1);
        words += w16;
    }
    return sum + words;
}

uint64_t csum_pseudo4(__be32 src, __be32 dst, uint8_t proto, uint16_t len)
{
    return csum_be32(csum_be32((uint64_t)htobe16(proto) + htobe16(len), src), dst);
}

uint64_t csum_pseudo6(const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint32_t len)
{
    uint64_t sum = (uint64_t)htobe16(proto) + htobe32(len);

    return csum_bytes(csum_bytes(sum, src, sizeof(*src)), dst, sizeof(*dst));
}

__be16 csum_update(__be16 csum, const void *old, const void *new, size_t n, bool partial)
{
    uint64_t sum = (uint16_t)(partial ? csum : ~csum);

    sum += (uint16_t)~csum_fold(csum_bytes(0, old, n));
    sum = csum_bytes(sum, new, n);
    return partial ? csum_fold(sum) : csum_finish(sum);
}

/* Slicing is not worth its tables: SCTP ports are rewritten rarely. The 1 KiB table is filled on first use. */
__le32 csum_crc32c(const void *data, size_t len)
{
    static uint32_t table[256];
    const uint8_t *p = data;
    uint32_t crc = 0xffffffffu;

    if (!table[1]) {
        for (uint32_t i = 256; i-- > 0;) {
            uint32_t c = i;

            for (int bit = 0; bit < 8; bit++) {
                c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
            }
            table[i] = c;
        }
    }
    while (len--) {
        crc = table[(crc ^ *p++) & 0xff] ^ crc >> 8;
    }
    return htole32(~crc);
}
