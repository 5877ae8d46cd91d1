/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/meter_table.h"

#include "base/log.h"
#include "switch/flow_save.h"
#include "switch/flow_table_private.h"

LOG_MODULE("meter");

/* ---- the datapath's numbers ---- */

/* Numbers go round, so that a megaflow that still names a meter of the past does not soon find another one there. */
static int take_dp_id(struct switch_ *sw, uint32_t *ret)
{
    if (!sw->meter_ids) {
        sw->meter_ids = xcalloc(1, (DP_METER_ID_MAX + 1) / 8);
    }
    for (uint32_t tries = 0; tries < DP_METER_ID_MAX; tries++) {
        uint32_t id = sw->last_meter_id = sw->last_meter_id % DP_METER_ID_MAX + 1;

        if (!(sw->meter_ids[id / 8] >> id % 8 & 1)) {
            sw->meter_ids[id / 8] |= (uint8_t)(1u << id % 8);
            *ret = id;
            return 0;
        }
    }
    return -ENOSPC;
}

static void give_dp_id_back(struct switch_ *sw, uint32_t id)
{
    sw->meter_ids[id / 8] &= (uint8_t) ~(1u << id % 8);
}

/* ---- the table ---- */

void meter_table_init(struct bridge *br)
{
    br->meters = xcalloc(1, sizeof *br->meters);
}

struct meter *meter_find(const struct bridge *br, uint32_t id)
{
    struct meter *m;

    HASH_FIND(hh, br->meters->by_id, &id, sizeof id, m);
    return m;
}

unsigned int meter_flow_count(const struct bridge *br, uint32_t id)
{
    return action_refs_get(br, REF_FROM_FLOW, REF_METER, id);
}

static bool is_virtual(uint32_t id)
{
    return id > OF_METER_MAX;
}

/* Megaflows with detours over user space ask the slow path's meter without naming it among what they depend on. */
static void changed(struct bridge *br, uint32_t id)
{
    if (is_virtual(id)) {
        switch_changed(br->sw);
    } else {
        switch_counter_changed(br->sw, &br->meters->changed);
    }
}

static void config_for_datapath(const struct of_meter *m, struct dp_meter_config *ret)
{
    *ret = (struct dp_meter_config){.pktps = m->flags & OF_METER_PKTPS ? 1 : 0, .n_bands = (uint32_t)m->n_bands};
    for (size_t i = 0; i < m->n_bands; i++) {
        ret->bands[i].rate = m->bands[i].rate;
        ret->bands[i].burst = m->flags & OF_METER_BURST ? m->bands[i].burst : 0;
    }
}

static int check(const struct of_meter *m)
{
    if (m->n_bands > DP_METER_BANDS_MAX) {
        return OFERR_METER_OUT_OF_BANDS;
    }
    for (size_t i = 0; i < m->n_bands; i++) {
        if (m->bands[i].type != OF_BAND_DROP) {
            return OFERR_METER_BAD_BAND; /* nothing remarks */
        }
        if (!m->bands[i].rate) {
            return OFERR_METER_BAD_RATE;
        }
    }
    return 0;
}

static void take_config(struct meter *m, struct of_meter *config)
{
    of_meter_done(&m->config);
    m->config = *config;
    *config = (struct of_meter){0};
}

static int set_in_datapath(struct bridge *br, uint32_t dp_id, const struct of_meter *m)
{
    struct dp_meter_config config;
    int error;

    config_for_datapath(m, &config);
    error = dp_meter_set(br->sw->dp, dp_id, &config);
    if (error) {
        log_limited(LOG_LEVEL_WARN, "%s: the datapath refuses meter %u: %s", br->name, m->id, strerror(-error));
        return OFERR_METER_OUT_OF_METERS;
    }
    return 0;
}

static int add(struct bridge *br, struct of_meter *config, int64_t now)
{
    uint32_t dp_id;

    if (meter_find(br, config->id)) {
        return OFERR_METER_EXISTS;
    }
    if (take_dp_id(br->sw, &dp_id)) {
        return OFERR_METER_OUT_OF_METERS;
    }
    int error = set_in_datapath(br, dp_id, config);
    if (error) {
        give_dp_id_back(br->sw, dp_id);
        return error;
    }
    struct meter *m = xcalloc(1, sizeof *m);
    m->dp_id = dp_id;
    m->created_ms = now;
    take_config(m, config);
    HASH_ADD(hh, br->meters->by_id, config.id, sizeof m->config.id, m);
    flow_saver_note_meter(br->saver, m->config.id);
    changed(br, m->config.id);
    return 0;
}

static int modify(struct bridge *br, struct of_meter *config)
{
    struct meter *m = meter_find(br, config->id);

    if (!m) {
        return OFERR_METER_UNKNOWN;
    }
    int error = set_in_datapath(br, m->dp_id, config);
    if (!error) {
        take_config(m, config);
        memset(m->before.bands, 0, sizeof m->before.bands); /* as the datapath's: dp_meter_configure() */
        flow_saver_note_meter(br->saver, m->config.id);
    }
    return error;
}

static void meter_remove(struct bridge *br, struct meter *m)
{
    uint32_t id = m->config.id;

    HASH_DELETE(hh, br->meters->by_id, m);
    dp_meter_del(br->sw->dp, m->dp_id);
    give_dp_id_back(br->sw, m->dp_id);
    of_meter_done(&m->config);
    free(m);
    changed(br, id);
}

/* Meters that are not there are deleted without a word (OpenFlow 1.3, 6.6). */
static void delete_meters(struct bridge *br, uint32_t id, int64_t now)
{
    struct meter *m, *next;
    struct flow_txn *txn;

    if (id == OF_METER_ALL ? !br->meters->by_id : !meter_find(br, id)) {
        return;
    }
    txn = flow_txn_begin(br, now);
    flow_txn_delete_referring(txn, REF_METER, id == OF_METER_ALL ? REF_ANY : id, FLOW_REMOVED_METER);
    flow_txn_commit(txn);
    HASH_ITER(hh, br->meters->by_id, m, next) {
        if (id == OF_METER_ALL || m->config.id == id) {
            meter_remove(br, m);
        }
    }
    if (id == OF_METER_ALL) {
        flow_saver_note_all(br->saver);
    } else {
        flow_saver_note_meter(br->saver, id);
    }
}

int meter_mod_apply(struct bridge *br, struct of_meter_mod *mm, int64_t now)
{
    int error;

    switch (mm->command) {
    case OF_METER_ADD:
        error = check(&mm->meter);
        return error ? error : add(br, &mm->meter, now);
    case OF_METER_MODIFY:
        error = check(&mm->meter);
        return error ? error : modify(br, &mm->meter);
    case OF_METER_DELETE:
        delete_meters(br, mm->meter.id, now);
        return 0;
    default:
        return OFERR_METER_BAD_COMMAND;
    }
}

void meter_table_flush(struct bridge *br)
{
    struct meter *m, *next;

    if (!br->meters->by_id) {
        return;
    }
    HASH_ITER(hh, br->meters->by_id, m, next) {
        meter_remove(br, m);
    }
    flow_saver_note_all(br->saver);
}

void meter_table_done(struct bridge *br)
{
    meter_table_flush(br);
    free(br->meters);
}

static void add_count(struct dp_meter_count *sum, const struct dp_meter_count *more)
{
    sum->packets += more->packets;
    sum->bytes += more->bytes;
}

void meter_get_stats(const struct bridge *br, const struct meter *m, struct dp_meter_stats *ret)
{
    *ret = (struct dp_meter_stats){0};
    if (dp_meter_get_stats(br->sw->dp, m->dp_id, ret)) {
        *ret = (struct dp_meter_stats){0};
    }
    add_count(&ret->in, &m->before.in);
    for (size_t i = 0; i < ARRAY_SIZE(ret->bands); i++) {
        add_count(&ret->bands[i], &m->before.bands[i]);
    }
}

int meter_set_history(struct bridge *br, uint32_t id, const struct count_history *history)
{
    struct meter *m = meter_find(br, id);

    if (!m || m->config.n_bands != history->n_parts) {
        return m ? -EINVAL : -ENOENT;
    }
    m->created_ms = history->created_ms;
    m->before = (struct dp_meter_stats){.in = {history->packets, history->bytes}};
    for (size_t i = 0; i < history->n_parts; i++) {
        m->before.bands[i] = (struct dp_meter_count){history->parts[2 * i], history->parts[2 * i + 1]};
    }
    return 0;
}

bool meter_admits_packet_in(const struct bridge *br, uint32_t id, size_t len)
{
    const struct meter *m = meter_find(br, id ? id : OF_METER_CONTROLLER);

    return !m || dp_meter_ask(br->sw->dp, m->dp_id, (uint32_t)len, 1) != -EBUSY;
}

static int by_number(const struct meter *a, const struct meter *b)
{
    return (a->config.id > b->config.id) - (a->config.id < b->config.id);
}

void meter_table_for_each(struct bridge *br, uint32_t id, void (*fn)(void *aux, const struct meter *m), void *aux)
{
    const struct meter *m = id == OF_METER_ALL ? NULL : meter_find(br, id);

    if (m) {
        fn(aux, m);
    }
    if (id == OF_METER_ALL) {
        HASH_SRT(hh, br->meters->by_id, by_number);
        for (m = br->meters->by_id; m; m = m->hh.next) {
            fn(aux, m);
        }
    }
}
