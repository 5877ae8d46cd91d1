/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/tlv_map.h"

#include "base/cursor.h"
#include "openflow/error.h"
#include "openflow/field.h"
#include "packet/tunnel_opts.h"

#define OPT_CRITICAL 0x80 /* RFC 8926, 3.5 */
#define OPT_HEADER 4

const struct tlv_mapping *tlv_map_find(const struct tlv_map *map, uint16_t opt_class, uint8_t opt_type)
{
    for (size_t i = 0; i < map->n; i++) {
        if (map->entries[i].opt_class == opt_class && map->entries[i].opt_type == opt_type) {
            return &map->entries[i];
        }
    }
    return NULL;
}

static bool index_taken(const struct tlv_map *map, uint16_t index)
{
    for (size_t i = 0; i < map->n; i++) {
        if (map->entries[i].index == index) {
            return true;
        }
    }
    return false;
}

static int add_one(struct tlv_map *map, const struct tlv_mapping *m)
{
    int error;

    if (m->opt_len % 4 || m->opt_len > sizeof(union field_value)) {
        return OFERR_TLV_BAD_OPT_LEN;
    }
    if (m->index >= FIELD_N_TUN_METADATA) {
        return OFERR_TLV_BAD_FIELD_IDX;
    }
    if (index_taken(map, m->index)) {
        return OFERR_TLV_ALREADY_MAPPED;
    }
    if (tlv_map_find(map, m->opt_class, m->opt_type)) {
        return OFERR_TLV_DUP_ENTRY;
    }
    error = field_map_tun_metadata(m->index, m->opt_len);
    if (error) {
        return error == -EEXIST ? OFERR_TLV_BAD_OPT_LEN : OFERR_TLV_TABLE_FULL;
    }
    map->entries[map->n++] = *m;
    return 0;
}

int tlv_map_add(struct tlv_map *map, const struct tlv_mapping *mappings, size_t n)
{
    size_t before = map->n;

    for (size_t i = 0; i < n; i++) {
        int error = add_one(map, &mappings[i]);

        if (error) {
            while (map->n > before) {
                field_unmap_tun_metadata(map->entries[--map->n].index);
            }
            return error;
        }
    }
    return 0;
}

void tlv_map_del(struct tlv_map *map, const struct tlv_mapping *mappings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct tlv_mapping *m = (struct tlv_mapping *)tlv_map_find(map, mappings[i].opt_class, mappings[i].opt_type);

        if (m) {
            field_unmap_tun_metadata(m->index);
            *m = map->entries[--map->n];
        }
    }
}

void tlv_map_clear(struct tlv_map *map)
{
    while (map->n) {
        field_unmap_tun_metadata(map->entries[--map->n].index);
    }
}

/* An option of another length than the field's is not the one that was mapped. */
static void read_one(const struct tlv_mapping *m, const uint8_t *value, size_t len, struct flow *flow)
{
    union field_value v = {0};

    if (len == m->opt_len) {
        memcpy(v.b, value, len);
        field_write(field_get((enum field_id)(FIELD_TUN_METADATA0 + m->index)), flow, &v);
    }
}

bool tlv_map_read(const struct tlv_map *map, const uint8_t *opts, size_t len, struct flow_tun_metadata *ret)
{
    struct reader r = reader_of(opts, len);
    struct flow flow = {0};

    while (r.left) {
        uint16_t opt_class = reader_u16(&r);
        uint8_t type = reader_u8(&r);
        size_t n = (reader_u8(&r) & 0x1fu) * 4u;
        const uint8_t *value = reader_take(&r, n);
        const struct tlv_mapping *m = tlv_map_find(map, opt_class, type);

        if (r.error || (!m && type & OPT_CRITICAL)) {
            return false;
        }
        if (m) {
            read_one(m, value, n, &flow);
        }
    }
    *ret = flow.tun_metadata;
    return true;
}

size_t tlv_map_write(const struct tlv_map *map, const struct flow *flow, uint8_t *ret_opts)
{
    size_t len = 0;

    for (unsigned int i = 0; i < FIELD_N_TUN_METADATA; i++) {
        const struct tlv_mapping *m = NULL;
        union field_value v;

        for (size_t j = 0; flow->tun_metadata.present >> i & 1 && j < map->n && !m; j++) {
            m = map->entries[j].index == i ? &map->entries[j] : NULL;
        }
        if (!m || len + OPT_HEADER + m->opt_len > TUNNEL_OPTS_MAX_LEN) {
            continue;
        }
        field_read(field_get((enum field_id)(FIELD_TUN_METADATA0 + i)), flow, &v);
        ret_opts[len++] = (uint8_t)(m->opt_class >> 8);
        ret_opts[len++] = (uint8_t)m->opt_class;
        ret_opts[len++] = m->opt_type;
        ret_opts[len++] = m->opt_len / 4;
        memcpy(ret_opts + len, v.b, m->opt_len);
        len += m->opt_len;
    }
    return len;
}
