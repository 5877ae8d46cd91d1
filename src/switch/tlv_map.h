/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_TLV_MAP_H
#define WARREN_SWITCH_TLV_MAP_H
/*
 * A bridge's mapping of Geneve options to the fields tun_metadata0 to 63, as a controller sets it with
 * NXT_TLV_TABLE_MOD (ovs-fields(7), "Tunnel Metadata"), and the two ways between a block of options and those fields.
 *
 * Limits: an option has at most 16 bytes; all fields together have FLOW_TUN_METADATA_LEN; a field that several bridges
 * map has the same length in all of them, since a field's place is the same for the whole switch (field.h).
 */
#include "openflow/flow.h"

struct tlv_mapping {
    uint16_t opt_class;
    uint8_t opt_type, opt_len; /* bytes */
    uint16_t index;            /* of tun_metadata */
};

#define TLV_MAP_MAX 64
struct tlv_map {
    struct tlv_mapping entries[TLV_MAP_MAX];
    size_t n;
};

/* All N, or none with OFERR_TLV_*. */
int tlv_map_add(struct tlv_map *map, const struct tlv_mapping *mappings, size_t n);
/* Removes the mappings of these options (class and type); what is not mapped is passed over. */
void tlv_map_del(struct tlv_map *map, const struct tlv_mapping *mappings, size_t n);
void tlv_map_clear(struct tlv_map *map);
const struct tlv_mapping *tlv_map_find(const struct tlv_map *map, uint16_t opt_class, uint8_t opt_type);

/* Fills the fields from a well-formed block of options. False: an option that must be understood is not mapped. */
bool tlv_map_read(const struct tlv_map *map, const uint8_t *opts, size_t len, struct flow_tun_metadata *ret);
/* The fields that are there as options; at most TUNNEL_OPTS_MAX_LEN bytes. Returns how many. */
size_t tlv_map_write(const struct tlv_map *map, const struct flow *flow, uint8_t *ret_opts);

#endif
