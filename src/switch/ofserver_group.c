/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about groups and meters, and telling other controllers of the changes (OpenFlow 1.4, 7.4.8). */
#include <utlist.h>

#include "openflow/msg_nx.h"
#include "switch/group_table.h"
#include "switch/megaflow.h"
#include "switch/meter_table.h"
#include "switch/ofserver_private.h"

/* Bits by action number, of what a bucket may hold: everything that the version has. */
#define ACTIONS_10 0xfffu /* output to enqueue */
#define ACTIONS_13                                                                                                     \
    0x3ff8001u /* output, set/dec_mpls_ttl, push/pop_vlan and mpls, set_queue, group, nw_ttl, set_field */
#define ACTIONS_15 0x33ff8001u /* and copy_field, meter */

/* Reasons of a requestforward. */
enum { FORWARD_GROUP_MOD = 0, FORWARD_METER_MOD = 1 };

/* ---- requestforward ---- */

/* 1.5's commands go to older versions in Nicira's form. */
static void encode_group_mod(struct writer *w, uint8_t version, const struct of_group_mod *gm, uint32_t xid)
{
    bool buckets = gm->command == OF_GROUP_INSERT_BUCKET || gm->command == OF_GROUP_REMOVE_BUCKET;

    of_group_mod_encode(w, version, version == OF_VERSION_10 || (buckets && version < OF_VERSION_15), gm, xid);
}

/* The request whose body began at BODY, once more for a connection of VERSION. */
static int translate_group_mod(const struct of_header *h, struct reader body, bool nx, uint8_t version,
                               struct writer *w)
{
    struct of_group_mod gm;
    int error = of_group_mod_decode(&body, h->version, nx, &gm);

    if (!error) {
        encode_group_mod(w, version, &gm, h->xid);
        of_group_mod_done(&gm);
    }
    return error;
}

static int translate_meter_mod(const struct of_header *h, struct reader body, uint8_t version, struct writer *w)
{
    struct of_meter_mod mm;
    int error = of_meter_mod_decode(&body, &mm);

    if (!error) {
        of_meter_mod_encode(w, version, &mm, h->xid);
        of_meter_mod_done(&mm);
    }
    return error;
}

static void forward(const struct ofconn *c, const struct of_header *h, struct reader body, unsigned int reason, bool nx)
{
    struct ofconn *other;

    DL_FOREACH(c->server->conns, other) {
        uint8_t version = ofconn_version(other);
        struct writer request = {0}, w = {0};
        int error;

        if (other == c || !ofconn_wants(other, OF_ASYNC_REQUESTFORWARD, reason) ||
            (reason == FORWARD_METER_MOD && version < OF_VERSION_13)) {
            continue;
        }
        error = reason == FORWARD_GROUP_MOD ? translate_group_mod(h, body, nx, version, &request)
                                            : translate_meter_mod(h, body, version, &request);
        if (!error && !request.error) {
            of_requestforward_encode(&w, version, request.data, request.len);
            ofconn_send(other, &w);
        }
        writer_done(&request);
    }
}

void ofconn_forward_group_mod(struct ofconn *c, const struct of_header *h, struct reader body, bool nx)
{
    forward(c, h, body, FORWARD_GROUP_MOD, nx);
}

/* ---- changes ---- */

static int group_mod(struct ofconn *c, const struct of_header *h, struct reader *body, bool nx)
{
    struct reader begin = *body;
    struct of_group_mod gm;
    int error = of_group_mod_decode(body, h->version, nx, &gm);

    if (error) {
        return error;
    }
    error = group_mod_apply(c->server->bridge, &gm, time_mono_ms());
    of_group_mod_done(&gm);
    if (!error) {
        ofconn_forward_group_mod(c, h, begin, nx);
    }
    return error;
}

int ofconn_group_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return group_mod(c, h, body, false);
}

int ofconn_nx_group_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    return group_mod(c, h, body, true);
}

int ofconn_txn_group_mod(struct flow_txn *txn, const struct of_header *h, struct reader *body, bool nx)
{
    struct of_group_mod gm;
    int error = of_group_mod_decode(body, h->version, nx, &gm);

    if (!error) {
        error = txn ? flow_txn_apply_group(txn, &gm) : 0;
        of_group_mod_done(&gm);
    }
    return error;
}

int ofconn_meter_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct reader begin = *body;
    struct of_meter_mod mm;
    int error = of_meter_mod_decode(body, &mm);

    if (error) {
        return error;
    }
    error = meter_mod_apply(c->server->bridge, &mm, time_mono_ms());
    of_meter_mod_done(&mm);
    if (!error) {
        forward(c, h, begin, FORWARD_METER_MOD, false);
    }
    return error;
}

/* ---- what there is of groups ---- */

static bool is_nx(const struct of_mp_kind *kind)
{
    return kind->type == OFMP_EXPERIMENTER;
}

static void put_group_stats(void *aux, const struct group *g)
{
    struct of_reply *r = aux;
    _cleanup_free_ uint64_t *counts = xcalloc(2 * g->n_buckets + 1, sizeof *counts);
    struct of_group_stats gs = {
        .id = g->config.id,
        .ref_count = group_ref_count(r->c->server->bridge, g->config.id),
        .packets = g->counters->packets,
        .bytes = g->counters->bytes,
        .bucket_counts = counts,
        .n_buckets = g->n_buckets,
    };

    for (size_t i = 0; i < g->n_buckets; i++) {
        counts[2 * i] = g->buckets[i]->packets;
        counts[2 * i + 1] = g->buckets[i]->bytes;
    }
    ofserver_duration(g->counters->created_ms, r->now, &gs.duration_sec, &gs.duration_nsec);
    of_mp_entry(&r->mp);
    of_group_stats_put(&r->w, &gs);
    of_mp_entry_done(&r->mp);
}

static void put_group_desc(void *aux, const struct group *g)
{
    struct of_reply *r = aux;
    struct of_group desc;

    group_describe(g, &desc);
    of_mp_entry(&r->mp);
    of_group_desc_put(&r->w, r->mp.version, is_nx(&r->mp.kind), &desc);
    of_mp_entry_done(&r->mp);
    free(desc.buckets);
}

static int over_groups(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body,
                       enum of_multipart_type type, void (*put)(void *aux, const struct group *g))
{
    struct of_reply r;
    uint32_t id;
    int error = of_group_request_decode(body, h->version, is_nx(kind), type, &id);

    if (error) {
        return error;
    }
    of_reply_begin(&r, c, h, kind);
    group_table_for_each(c->server->bridge, id, put, &r);
    of_reply_end(&r);
    return 0;
}

int ofconn_mp_group(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    megaflow_sync_stats(c->server->bridge->sw);
    return over_groups(c, h, kind, body, OFMP_GROUP, put_group_stats);
}

int ofconn_mp_group_desc(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                         struct reader *body)
{
    return over_groups(c, h, kind, body, OFMP_GROUP_DESC, put_group_desc);
}

int ofconn_mp_group_features(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                             struct reader *body)
{
    struct of_group_features gf = {
        .types = 1u << OF_GROUP_TYPE_ALL | 1u << OF_GROUP_TYPE_SELECT | 1u << OF_GROUP_TYPE_INDIRECT |
                 1u << OF_GROUP_TYPE_FAILOVER,
        .capabilities = OF_GROUP_CAP_SELECT_WEIGHT | OF_GROUP_CAP_SELECT_LIVENESS | OF_GROUP_CAP_CHAINING |
                        OF_GROUP_CAP_CHAINING_CHECKS,
    };
    struct of_reply r;

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    for (size_t i = 0; i < ARRAY_SIZE(gf.max_groups); i++) {
        gf.max_groups[i] = OF_GROUP_MAX;
        gf.actions[i] = h->version == OF_VERSION_10 ? ACTIONS_10 : h->version < OF_VERSION_15 ? ACTIONS_13 : ACTIONS_15;
    }
    of_reply_begin(&r, c, h, kind);
    of_mp_entry(&r.mp);
    of_group_features_put(&r.w, &gf);
    of_mp_entry_done(&r.mp);
    of_reply_end(&r);
    return 0;
}

/* ---- what there is of meters ---- */

static void put_meter_stats(void *aux, const struct meter *m)
{
    struct of_reply *r = aux;
    struct bridge *br = r->c->server->bridge;
    struct dp_meter_stats s;
    uint64_t counts[2 * DP_METER_BANDS_MAX];
    struct of_meter_stats ms = {
        .id = m->config.id,
        .flow_count = meter_flow_count(br, m->config.id),
        .band_counts = counts,
        .n_bands = m->config.n_bands,
    };

    meter_get_stats(br, m, &s);
    ms.packets = s.in.packets;
    ms.bytes = s.in.bytes;
    for (size_t i = 0; i < m->config.n_bands; i++) {
        counts[2 * i] = s.bands[i].packets;
        counts[2 * i + 1] = s.bands[i].bytes;
    }
    ofserver_duration(m->created_ms, r->now, &ms.duration_sec, &ms.duration_nsec);
    of_mp_entry(&r->mp);
    of_meter_stats_put(&r->w, &ms);
    of_mp_entry_done(&r->mp);
}

static void put_meter_config(void *aux, const struct meter *m)
{
    struct of_reply *r = aux;

    of_mp_entry(&r->mp);
    of_meter_config_put(&r->w, &m->config);
    of_mp_entry_done(&r->mp);
}

static int over_meters(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body,
                       void (*put)(void *aux, const struct meter *m))
{
    struct of_reply r;
    uint32_t id;
    int error = of_meter_request_decode(body, &id);

    if (error) {
        return error;
    }
    if (id != OF_METER_ALL && !meter_find(c->server->bridge, id)) {
        return OFERR_METER_UNKNOWN;
    }
    of_reply_begin(&r, c, h, kind);
    meter_table_for_each(c->server->bridge, id, put, &r);
    of_reply_end(&r);
    return 0;
}

int ofconn_mp_meter(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    return over_meters(c, h, kind, body, put_meter_stats);
}

int ofconn_mp_meter_config(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                           struct reader *body)
{
    return over_meters(c, h, kind, body, put_meter_config);
}

int ofconn_mp_meter_features(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                             struct reader *body)
{
    const struct of_meter_features mf = {
        .max_meter = DP_METER_ID_MAX,
        .band_types = 1u << OF_BAND_DROP,
        .capabilities = OF_METER_KBPS | OF_METER_PKTPS | OF_METER_BURST | OF_METER_STATS,
        .max_bands = DP_METER_BANDS_MAX,
    };
    const struct of_meter_features none = {0};
    struct of_reply r;

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    of_reply_begin(&r, c, h, kind);
    of_mp_entry(&r.mp);
    of_meter_features_put(&r.w, dp_has_meters(c->server->bridge->sw->dp) ? &mf : &none);
    of_mp_entry_done(&r.mp);
    of_reply_end(&r);
    return 0;
}
