/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables as a whole: counters, features, names, and what table_mod sets: eviction and vacancy events from OpenFlow 1.4
 * on. What tables can do is the same for all and cannot be changed, so that of features only names are taken.
 */
#include <stdio.h>
#include <utlist.h>

#include "openflow/msg_table.h"
#include "switch/megaflow.h"
#include "switch/ofserver_private.h"

#define EVICTS_BY (OF_EVICT_OTHER | OF_EVICT_IMPORTANCE | OF_EVICT_LIFETIME)

/* ---- reading ---- */

int ofconn_mp_table(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    struct of_reply r;

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    megaflow_sync_stats(c->server->bridge->sw);
    of_reply_begin(&r, c, h, kind);
    for (unsigned int table = 0; table < N_TABLES; table++) {
        struct of_table_stats ts = {.table = (table_id_t)table,
                                    .max_entries = flow_table_capacity(&c->server->bridge->tables[table])};
        struct table_stats stats;

        flow_table_get_stats(c->server->bridge, ts.table, &stats);
        snprintf(ts.name, sizeof ts.name, "%s", flow_table_name(c->server->bridge, ts.table));
        ts.active = stats.active;
        ts.lookup = stats.lookup;
        ts.matched = stats.matched;
        of_mp_entry(&r.mp);
        of_table_stats_put(&r.w, h->version, &ts);
        of_mp_entry_done(&r.mp);
    }
    of_reply_end(&r);
    return 0;
}

static struct of_table_config config_of(const struct bridge *br, table_id_t table)
{
    const struct flow_table *t = &br->tables[table];

    return (struct of_table_config){
        .table = table,
        .eviction = t->eviction & TABLE_EVICT_OPENFLOW ? OF_ON : OF_OFF,
        .eviction_flags = EVICTS_BY,
        .vacancy = t->vacancy_events ? OF_ON : OF_OFF,
        .vacancy_down = t->vacancy_down,
        .vacancy_up = t->vacancy_up,
        .vacancy_now = flow_table_vacancy(t),
    };
}

int ofconn_mp_table_desc(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                         struct reader *body)
{
    struct of_reply r;

    if (body->left) {
        return OFERR_BAD_LEN;
    }
    of_reply_begin(&r, c, h, kind);
    for (unsigned int table = 0; table < N_TABLES; table++) {
        const struct of_table_config tc = config_of(c->server->bridge, (table_id_t)table);

        of_mp_entry(&r.mp);
        of_table_desc_put(&r.w, &tc);
        of_mp_entry_done(&r.mp);
    }
    of_reply_end(&r);
    return 0;
}

/* ---- features ---- */

static int check_features(const struct ofconn *c, const struct of_table_features *tf, uint8_t version)
{
    if (tf->table > TABLE_ID_MAX) {
        return OFERR_TABLE_FEATURES_BAD_TABLE;
    }
    if (version >= OF_VERSION_15 && tf->command != OF_TF_MODIFY) {
        return OFERR_TABLE_FEATURES_EPERM; /* tables neither come nor go */
    }
    const struct flow_table *t = &c->server->bridge->tables[tf->table];
    if (t->config_name && strcmp(t->config_name, tf->name) != 0) {
        return OFERR_TABLE_FEATURES_EPERM; /* the database has named it */
    }
    return tf->max_entries == flow_table_capacity(t) ? 0 : OFERR_TABLE_FEATURES_EPERM;
}

static void set_name(struct bridge *br, table_id_t table, const char *name)
{
    struct table_config c;

    flow_table_get_config(br, table, &c);
    c.name = name;
    flow_table_set_config(br, table, &c);
}

/* First all of it is checked, then the names are taken. */
static int take_features(struct ofconn *c, uint8_t version, struct reader body)
{
    for (unsigned int apply = 0; apply < 2; apply++) {
        struct reader r = body;

        while (r.left) {
            struct of_table_features tf;
            int error = of_table_features_decode(&r, version, &tf);

            if (!error) {
                error = check_features(c, &tf, version);
            }
            if (error) {
                return error;
            }
            if (apply) {
                set_name(c->server->bridge, tf.table, tf.name);
            }
        }
    }
    return 0;
}

int ofconn_mp_table_features(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                             struct reader *body)
{
    struct bridge *br = c->server->bridge;
    struct of_reply r;

    if (body->left) {
        int error = c->role == OF_ROLE_SLAVE ? OFERR_IS_SLAVE : take_features(c, h->version, *body);

        if (error) {
            return error;
        }
    }
    of_reply_begin(&r, c, h, kind);
    for (unsigned int table = 0; table < N_TABLES; table++) {
        of_mp_entry(&r.mp);
        of_table_features_put(&r.w, h->version, (table_id_t)table, flow_table_name(br, (table_id_t)table),
                              flow_table_capacity(&br->tables[table]));
        of_mp_entry_done(&r.mp);
    }
    of_reply_end(&r);
    return 0;
}

/* ---- table_mod ---- */

static void configure(struct bridge *br, table_id_t table, const struct of_table_config *tc)
{
    struct table_config c;

    flow_table_get_config(br, table, &c);
    if (tc->eviction != OF_KEEP) {
        c.evict = tc->eviction == OF_ON;
    }
    if (tc->vacancy != OF_KEEP) {
        bool begins = tc->vacancy == OF_ON && !c.vacancy_events;
        c.vacancy_events = tc->vacancy == OF_ON;
        c.vacancy_down = c.vacancy_events ? tc->vacancy_down : 0;
        c.vacancy_up = c.vacancy_events ? tc->vacancy_up : 0;
        /* Which of the two is awaited first (OpenFlow 1.4). New thresholds leave it. */
        c.vacancy_low =
            begins ? flow_table_vacancy(&br->tables[table]) < c.vacancy_up : c.vacancy_events && c.vacancy_low;
    }
    flow_table_set_config(br, table, &c);
}

int ofconn_table_mod(struct ofconn *c, const struct of_header *h, struct reader *body)
{
    struct of_table_config tc;
    int error = of_table_mod_decode(body, h->version, &tc);

    if (error) {
        return error;
    }
    if (tc.table > TABLE_ID_MAX && tc.table != TABLE_ID_ALL) {
        return OFERR_TABLE_MOD_BAD_TABLE;
    }
    unsigned int first = tc.table == TABLE_ID_ALL ? 0 : tc.table;
    unsigned int last = tc.table == TABLE_ID_ALL ? TABLE_ID_MAX : tc.table;
    /* OpenFlow 1.3's deprecated bits are ignored: its misses are what table-miss flows say. */
    for (unsigned int table = first; table <= last; table++) {
        configure(c->server->bridge, (table_id_t)table, &tc);
    }
    return 0;
}

static void tell_status(struct ofserver *s, table_id_t table, enum of_table_reason reason)
{
    const struct of_table_config tc = config_of(s->bridge, table);
    struct ofconn *c;

    DL_FOREACH(s->conns, c) {
        struct writer w = {0};

        if (ofconn_version(c) >= OF_VERSION_14 && ofconn_wants(c, OF_ASYNC_TABLE_STATUS, reason)) {
            of_table_status_encode(&w, ofconn_version(c), reason, &tc);
            ofconn_send(c, &w);
        }
    }
}

static void tell_vacancy(struct ofserver *s, table_id_t table, bool low)
{
    struct table_config c;

    flow_table_get_config(s->bridge, table, &c);
    c.vacancy_low = low;
    flow_table_set_config(s->bridge, table, &c);
    tell_status(s, table, low ? OF_TABLE_VACANCY_DOWN : OF_TABLE_VACANCY_UP);
}

/* Each threshold tells once, until the other one was passed (OpenFlow 1.4, 7.4.5). */
void ofserver_check_vacancy(struct ofserver *s)
{
    for (unsigned int table = 0; s->bridge->n_vacancy_tables && table < N_TABLES; table++) {
        const struct flow_table *t = &s->bridge->tables[table];
        uint8_t vacancy = flow_table_vacancy(t);

        if (t->vacancy_events && (t->vacancy_low ? vacancy > t->vacancy_up : vacancy < t->vacancy_down)) {
            tell_vacancy(s, (table_id_t)table, !t->vacancy_low);
        }
    }
}
