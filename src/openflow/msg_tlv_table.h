/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_TLV_TABLE_H
#define WARREN_OPENFLOW_MSG_TLV_TABLE_H
/*
 * Nicira's messages 24 to 26: which Geneve option is which tun_metadata field.
 */
#include "openflow/msg.h"

#define OF_NX_TLV_TABLE_MOD 24
#define OF_NX_TLV_TABLE_REQUEST 25
#define OF_NX_TLV_TABLE_REPLY 26

struct of_tlv_map {
    uint16_t option_class;
    uint8_t option_type, option_len; /* in bytes: a multiple of 4, up to 124 */
    uint16_t index;                  /* of tun_metadata */
};
enum of_tlv_command { OF_TLV_ADD, OF_TLV_DELETE, OF_TLV_CLEAR };
/* A TLV_TABLE_MOD's body, behind vendor and subtype: command, and the maps that R is left at. OFERR_TLV_BAD_COMMAND. */
int of_tlv_table_mod_decode(struct reader *body, enum of_tlv_command *ret);
/* The next map. OFERR_TLV_BAD_OPT_LEN, OFERR_TLV_BAD_FIELD_IDX. */
int of_tlv_map_decode(struct reader *r, struct of_tlv_map *ret);
void of_tlv_table_mod_encode(struct writer *w, uint8_t version, enum of_tlv_command command,
                             const struct of_tlv_map *maps, size_t n, uint32_t xid);
void of_tlv_table_reply_encode(struct writer *w, uint8_t version, uint32_t max_option_space, uint16_t max_fields,
                               const struct of_tlv_map *maps, size_t n, uint32_t xid);
/* The limits; the maps follow in BODY. */
int of_tlv_table_reply_decode(struct reader *body, uint32_t *ret_max_space, uint16_t *ret_max_fields);

#endif
