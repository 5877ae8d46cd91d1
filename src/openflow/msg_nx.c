/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_nx.h"

#define COOKIE_HEADER (1u << 16 | 30u << 9 | 8u)
#define COOKIE_HEADER_MASKED (1u << 16 | 30u << 9 | 1u << 8 | 16u)
#define TLV_MAP_LEN 8

int nx_match_decode(struct reader *r, size_t len, struct match *ret, __be64 *ret_cookie, __be64 *ret_cookie_mask)
{
    struct reader tlvs = reader_sub(r, len);

    reader_skip(r, ROUND_UP(len, (size_t)8) - len);
    return r->error ? OFERR_BAD_LEN : match_decode(&tlvs, ret, ret_cookie, ret_cookie_mask);
}

void nx_match_encode(struct writer *w, size_t len_at, const struct match *match, __be64 cookie, __be64 cookie_mask)
{
    size_t start = w->len;

    match_encode(match, OF_VERSION_10, w);
    if (cookie_mask) {
        bool exact = cookie_mask == UINT64_MAX;

        writer_u32(w, exact ? COOKIE_HEADER : COOKIE_HEADER_MASKED);
        writer_be64(w, cookie);
        if (!exact) {
            writer_be64(w, cookie_mask);
        }
    }
    writer_patch_u16(w, len_at, (uint16_t)(w->len - start));
    writer_pad(w, start, 8);
}

/* ---- geneve options ---- */

int nx_tlv_mod_decode(struct reader *body, enum nx_tlv_command *ret_command, struct nx_tlv_map **ret_maps,
                      size_t *ret_n)
{
    uint16_t command = reader_u16(body);

    reader_skip(body, 6);
    if (body->error || body->left % TLV_MAP_LEN) {
        return OFERR_BAD_LEN;
    }
    if (command > NX_TLV_CLEAR) {
        return OFERR_TLV_BAD_COMMAND;
    }
    size_t n = body->left / TLV_MAP_LEN;
    struct nx_tlv_map *maps = xcalloc(n + 1, sizeof *maps);
    for (size_t i = 0; i < n; i++) {
        maps[i].opt_class = reader_u16(body);
        maps[i].opt_type = reader_u8(body);
        maps[i].opt_len = reader_u8(body);
        maps[i].index = reader_u16(body);
        reader_skip(body, 2);
    }
    *ret_command = (enum nx_tlv_command)command;
    *ret_maps = maps;
    *ret_n = n;
    return 0;
}

void nx_tlv_reply_encode(struct writer *w, uint8_t version, uint32_t max_space, uint16_t max_fields,
                         const struct nx_tlv_map *maps, size_t n, uint32_t xid)
{
    size_t start = of_begin_experimenter(w, version, OF_EXPERIMENTER_NX, NXT_TLV_TABLE_REPLY, xid);

    writer_u32(w, max_space);
    writer_u16(w, max_fields);
    writer_zeros(w, 10);
    for (size_t i = 0; i < n; i++) {
        writer_u16(w, maps[i].opt_class);
        writer_u8(w, maps[i].opt_type);
        writer_u8(w, maps[i].opt_len);
        writer_u16(w, maps[i].index);
        writer_zeros(w, 2);
    }
    of_end(w, start);
}
