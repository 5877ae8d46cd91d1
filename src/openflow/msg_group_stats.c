/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about groups; their counters (OpenFlow 1.3, 7.3.5.9) and features (7.3.5.11). */
#include "openflow/error.h"
#include "openflow/msg_group.h"

#define STATS_LEN 40 /* of an entry without its buckets */

int of_group_request_decode(struct reader *body, uint8_t version, bool nx, enum of_multipart_type type, uint32_t *ret)
{
    uint32_t id = OF_GROUP_ALL;

    if (type == OFMP_GROUP || nx || version >= OF_VERSION_15) {
        id = reader_u32(body);
        reader_skip(body, 4);
    }
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    *ret = id;
    return 0;
}

void of_group_stats_put(struct writer *w, const struct of_group_stats *gs)
{
    size_t len = STATS_LEN + 16 * gs->n_buckets;

    if (len > UINT16_MAX) {
        w->error = w->error ? w->error : -EMSGSIZE;
        return;
    }
    writer_u16(w, (uint16_t)len);
    writer_zeros(w, 2);
    writer_u32(w, gs->id);
    writer_u32(w, gs->ref_count);
    writer_zeros(w, 4);
    writer_u64(w, gs->packets);
    writer_u64(w, gs->bytes);
    writer_u32(w, gs->duration_sec);
    writer_u32(w, gs->duration_nsec);
    for (size_t i = 0; i < 2 * gs->n_buckets; i++) {
        writer_u64(w, gs->bucket_counts[i]);
    }
}

int of_group_stats_decode(struct reader *r, struct of_group_stats *ret)
{
    uint16_t len = reader_u16(r);

    if (r->error || len < STATS_LEN || len % 8 || (len - STATS_LEN) % 16) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 2u);
    reader_skip(&e, 2);
    struct of_group_stats gs = {.id = reader_u32(&e), .n_buckets = (len - STATS_LEN) / 16u};
    gs.ref_count = reader_u32(&e);
    reader_skip(&e, 4);
    gs.packets = reader_u64(&e);
    gs.bytes = reader_u64(&e);
    gs.duration_sec = reader_u32(&e);
    gs.duration_nsec = reader_u32(&e);
    if (e.error) {
        return OFERR_BAD_LEN;
    }
    if (gs.n_buckets) {
        gs.decoded = xcalloc(2 * gs.n_buckets, sizeof *gs.decoded);
    }
    for (size_t i = 0; i < 2 * gs.n_buckets; i++) {
        gs.decoded[i] = reader_u64(&e);
    }
    gs.bucket_counts = gs.decoded;
    *ret = gs;
    return 0;
}

void of_group_features_put(struct writer *w, const struct of_group_features *gf)
{
    writer_u32(w, gf->types);
    writer_u32(w, gf->capabilities);
    for (size_t i = 0; i < ARRAY_SIZE(gf->max_groups); i++) {
        writer_u32(w, gf->max_groups[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(gf->actions); i++) {
        writer_u32(w, gf->actions[i]);
    }
}

int of_group_features_decode(struct reader *r, struct of_group_features *ret)
{
    struct of_group_features gf = {.types = reader_u32(r)};

    gf.capabilities = reader_u32(r);
    for (size_t i = 0; i < ARRAY_SIZE(gf.max_groups); i++) {
        gf.max_groups[i] = reader_u32(r);
    }
    for (size_t i = 0; i < ARRAY_SIZE(gf.actions); i++) {
        gf.actions[i] = reader_u32(r);
    }
    if (r->error) {
        return OFERR_BAD_LEN;
    }
    *ret = gf;
    return 0;
}
