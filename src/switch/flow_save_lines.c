/* SPDX-License-Identifier: Apache-2.0 */
/* A bridge's saved flows (flow_save.h), line by line. */
#include <ctype.h>
#include <inttypes.h>

#include "openflow/text.h"
#include "openflow/text_group.h"
#include "switch/flow_save_private.h"

/* ---- flows ---- */

void saved_put_flow(const struct rule *rule, int64_t now_ms, struct strbuf *b)
{
    int64_t age = MAX(0, now_ms - rule->created_ms);
    struct flow_spec spec;
    struct flow_counts counts = {
        .duration_sec = (uint32_t)(age / 1000),
        .duration_nsec = (uint32_t)(age % 1000 * 1000000),
        .packets = rule->packets,
        .bytes = rule->bytes,
        .hard_age = rule->modified_ms == rule->created_ms ? 0 : (uint32_t)MAX(1, (now_ms - rule->modified_ms) / 1000),
    };

    rule_describe(rule, &spec);
    strbuf_add(b, SAVED_FLOW_ADD);
    flow_format_counts(&spec, &counts, NULL, b);
    strbuf_add(b, "\n");
}

void saved_put_flow_deletion(const struct rule *rule, struct strbuf *b)
{
    struct match match;

    rule_get_match(rule, &match);
    strbuf_addf(b, SAVED_FLOW_DELETE "table=%u,priority=%d,", rule->table, rule->cls.priority);
    match_format(&match, NULL, b);
    strbuf_chomp(b, ',');
    strbuf_add(b, "\n");
}

/* ---- groups, meters, mapped options ---- */

static void put_counts(const char *begin, uint32_t id, int64_t age_ms, uint64_t packets, uint64_t bytes,
                       struct strbuf *b)
{
    strbuf_addf(b, "%s%" PRIu32 " age=%" PRId64 " packets=%" PRIu64 " bytes=%" PRIu64, begin, id, MAX(0, age_ms),
                packets, bytes);
}

static void put_part(uint64_t packets, uint64_t bytes, struct strbuf *b)
{
    strbuf_addf(b, " part=%" PRIu64 "/%" PRIu64, packets, bytes);
}

/* Buckets that a failover group got one by one need not watch anything (group_table.c): from the first such on, they
 * are told one by one. */
static size_t told_later(const struct of_group *g)
{
    for (size_t i = 0; g->type == OF_GROUP_TYPE_FAILOVER && i < g->n_buckets; i++) {
        if (g->buckets[i].watch_port == OFPP_ANY && g->buckets[i].watch_group == OF_GROUP_ANY) {
            return g->n_buckets - i;
        }
    }
    return 0;
}

void saved_put_group(const struct group *group, int64_t now_ms, struct strbuf *b)
{
    struct of_group g;
    size_t later;

    group_describe(group, &g);
    later = told_later(&g);
    strbuf_add(b, SAVED_GROUP_ADD);
    group_format(&g, later, b);
    strbuf_add(b, "\n");
    for (size_t i = g.n_buckets - later; i < g.n_buckets; i++) {
        strbuf_addf(b, SAVED_GROUP_INSERT "group_id=%u,command_bucket_id=last", g.id);
        bucket_format(&g.buckets[i], b);
        strbuf_add(b, "\n");
    }
    free(g.buckets);

    const struct group_counters *c = group->counters;
    put_counts(SAVED_GROUP_COUNTS, group->config.id, now_ms - c->created_ms, c->packets, c->bytes, b);
    for (size_t i = 0; i < group->n_buckets; i++) {
        put_part(group->buckets[i]->packets, group->buckets[i]->bytes, b);
    }
    strbuf_add(b, "\n");
}

void saved_put_group_deletion(uint32_t id, struct strbuf *b)
{
    strbuf_addf(b, SAVED_GROUP_DELETE "group_id=%u\n", id);
}

void saved_put_meter(const struct bridge *br, const struct meter *m, int64_t now_ms, struct strbuf *b)
{
    struct dp_meter_stats stats;

    strbuf_add(b, SAVED_METER_ADD);
    meter_format(&m->config, b);
    strbuf_add(b, "\n");
    meter_get_stats(br, m, &stats);
    put_counts(SAVED_METER_COUNTS, m->config.id, now_ms - m->created_ms, stats.in.packets, stats.in.bytes, b);
    for (size_t i = 0; i < m->config.n_bands; i++) {
        put_part(stats.bands[i].packets, stats.bands[i].bytes, b);
    }
    strbuf_add(b, "\n");
}

void saved_put_meter_deletion(uint32_t id, struct strbuf *b)
{
    const struct of_meter gone = {.id = id};

    strbuf_add(b, SAVED_METER_DELETE);
    meter_format(&gone, b);
    strbuf_add(b, "\n");
}

void saved_put_tlv_map(const struct tlv_map *map, struct strbuf *b)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct tlv_mapping *m = &map->entries[i];

        strbuf_addf(b, SAVED_TLV_ADD SAVED_TLV_FORMAT "\n", m->opt_class, m->opt_type, m->opt_len, m->index);
    }
}

/* ---- settings ---- */

static void put_name(const char *name, struct strbuf *b)
{
    for (; *name; name++) {
        strbuf_addf(b, isgraph((unsigned char)*name) && *name != '%' ? "%c" : "%%%02X", (unsigned char)*name);
    }
}

void saved_put_frags(const struct bridge *br, struct strbuf *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(saved_frag_words); i++) {
        if (saved_frag_words[i].mode == br->frag_mode) {
            strbuf_addf(b, SAVED_FRAGS "%s\n", saved_frag_words[i].word);
        }
    }
}

void saved_put_port(const char *name, uint32_t config, struct strbuf *b)
{
    strbuf_add(b, SAVED_PORT);
    put_name(name, b);
    for (size_t i = 0; i < ARRAY_SIZE(saved_port_words); i++) {
        if (config & saved_port_words[i].bit) {
            strbuf_addf(b, " %s", saved_port_words[i].word);
        }
    }
    strbuf_add(b, "\n");
}

void saved_put_table(const struct bridge *br, table_id_t table, struct strbuf *b)
{
    struct table_config c;

    flow_table_get_config(br, table, &c);
    strbuf_addf(b, SAVED_TABLE "%u%s", table, c.evict ? " evict" : "");
    if (c.vacancy_events) {
        strbuf_addf(b, " vacancy:%u,%u%s", c.vacancy_down, c.vacancy_up, c.vacancy_low ? " low" : "");
    }
    if (c.name) {
        strbuf_add(b, " name=");
        put_name(c.name, b);
    }
    strbuf_add(b, "\n");
}
