/* SPDX-License-Identifier: Apache-2.0 */
#include "env.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "datapath/format.h"
#include "openflow/text_group.h"
#include "switch/flow_save_private.h"

void env_init(struct env *e)
{
    e->base = event_base_new();
    assert_int_equal(switch_create_class(e->base, &fake_dp_class, &e->sw), 0);
    assert_int_equal(bridge_create(e->sw, "br0", &e->br), 0);
}

void env_done(struct env *e)
{
    switch_destroy(e->sw);
    event_base_free(e->base);
}

static struct port *add(struct bridge *br, const struct port_config *c)
{
    struct port *port;

    assert_int_equal(bridge_port_add(br, c, &port), 0);
    return port;
}

struct port *env_port(struct bridge *br, const char *name, unsigned int n)
{
    return add(br, &(struct port_config){.name = name,
                                         .ofp_port = ofp_port(n),
                                         .kind = PORT_SYSTEM,
                                         .vlan = {.mode = VLAN_TRUNK, .all_trunks = true}});
}

struct port *env_access(struct bridge *br, const char *name, unsigned int n, uint16_t tag)
{
    return add(
        br, &(struct port_config){
                .name = name, .ofp_port = ofp_port(n), .kind = PORT_SYSTEM, .vlan = {.mode = VLAN_ACCESS, .tag = tag}});
}

struct port *env_patch(struct bridge *br, const char *name, unsigned int n, const char *peer)
{
    return add(br, &(struct port_config){.name = name,
                                         .ofp_port = ofp_port(n),
                                         .kind = PORT_PATCH,
                                         .patch_peer = peer,
                                         .vlan = {.mode = VLAN_TRUNK, .all_trunks = true}});
}

struct ip_addr env_ip(const char *text)
{
    struct ip_addr a = {.b = {[10] = 0xff, [11] = 0xff}};

    assert_int_equal(inet_pton(AF_INET, text, &a.be32[3]), 1);
    return a;
}

struct port *env_vxlan(struct bridge *br, const char *name, unsigned int n, const char *remote)
{
    return add(br, &(struct port_config){.name = name,
                                         .ofp_port = ofp_port(n),
                                         .kind = PORT_TUNNEL,
                                         .vlan = {.mode = VLAN_TRUNK, .all_trunks = true},
                                         .tunnel = {.type = TUNNEL_VXLAN,
                                                    .remote = TUNNEL_FIXED,
                                                    .remote_ip = env_ip(remote),
                                                    .in_key = TUNNEL_FLOW,
                                                    .out_key = TUNNEL_FLOW,
                                                    .df = true}});
}

struct env *env_setup(void **state, unsigned int n_ports)
{
    struct env *e = xcalloc(1, sizeof *e);

    env_init(e);
    for (unsigned int i = 1; i <= n_ports; i++) {
        _cleanup_free_ char *name = xasprintf("p%u", i);

        env_port(e->br, name, i);
    }
    *state = e;
    return e;
}

int env_teardown(void **state)
{
    env_done(*state);
    free(*state);
    return 0;
}

static struct flow_spec parse(const char *text)
{
    struct flow_spec spec = {0};
    char *error = NULL;

    if (flow_parse(text, NULL, &spec, &error)) {
        fail_msg("%s: %s", text, error);
    }
    return spec;
}

struct flow_change env_change(const char *text, enum flow_mod_command command, struct flow_spec *ret_spec)
{
    struct flow_spec s = parse(text);

    *ret_spec = s;
    return (struct flow_change){
        .command = command,
        .table = s.table == TABLE_ID_ALL && command == FLOW_MOD_ADD ? 0 : s.table,
        .match = s.match,
        .priority = s.priority,
        .cookie = s.cookie,
        .cookie_mask = s.cookie_mask,
        .idle_timeout = s.idle_timeout,
        .hard_timeout = s.hard_timeout,
        .flags = s.flags,
        .importance = s.importance,
        .out_port = s.out_port,
        .actions = s.acts.data,
        .actions_len = s.acts.len,
        .keep_timeouts = true,
    };
}

int env_apply(struct bridge *br, const char *text, enum flow_mod_command command)
{
    struct flow_spec s;
    struct flow_change c = env_change(text, command, &s);
    int error = flow_table_apply(br, &c, time_mono_ms());

    flow_spec_done(&s);
    return error;
}

void env_flow(struct bridge *br, const char *text)
{
    assert_int_equal(env_apply(br, text, FLOW_MOD_ADD), 0);
}

void env_del(struct bridge *br, const char *text)
{
    assert_int_equal(env_apply(br, text, FLOW_MOD_DELETE), 0);
}

struct search {
    const struct flow_spec *spec;
    const struct rule *found;
};

static int match_one(void *aux, const struct rule *rule)
{
    struct search *s = aux;
    struct match m;

    rule_get_match(rule, &m);
    if (rule->cls.priority == s->spec->priority && !memcmp(&m, &s->spec->match, sizeof m)) {
        s->found = rule;
    }
    return s->found != NULL;
}

const struct rule *env_rule(struct bridge *br, const char *text)
{
    struct flow_spec spec = parse(text);
    struct flow_filter filter = {.table = spec.table, .out_port = OFPP_ANY};
    struct search s = {.spec = &spec};

    flow_table_for_each(br, &filter, match_one, &s);
    flow_spec_done(&spec);
    return s.found;
}

static size_t put_eth(uint8_t *b, unsigned int dst, unsigned int src, unsigned int vlan, uint16_t type)
{
    size_t n = 12;

    if (dst == 0xff) {
        memset(b, 0xff, 6);
    } else {
        memcpy(b, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)dst}, 6);
    }
    memcpy(b + 6, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)src}, 6);
    if (vlan) {
        memcpy(b + n, (const uint8_t[]){0x81, 0, (uint8_t)(vlan >> 8), (uint8_t)vlan}, 4);
        n += 4;
    }
    b[n++] = (uint8_t)(type >> 8);
    b[n++] = (uint8_t)type;
    return n;
}

static uint16_t sum16(const uint8_t *b, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2) {
        sum += (uint32_t)b[i] << 8 | b[i + 1];
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

struct packet *env_udp(unsigned int dst, unsigned int src, unsigned int vlan)
{
    uint8_t b[100] = {0};
    size_t n = put_eth(b, dst, src, vlan, 0x0800);
    const uint8_t ip[] = {0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, (uint8_t)src, 10, 0, 0, (uint8_t)dst};
    const uint8_t udp[] = {0x03, 0xe8, 0x07, 0xd0, 0, 26, 0, 0};
    uint16_t sum;

    memcpy(b + n, ip, sizeof ip);
    sum = sum16(b + n, sizeof ip);
    b[n + 10] = (uint8_t)(sum >> 8);
    b[n + 11] = (uint8_t)sum;
    memcpy(b + n + sizeof ip, udp, sizeof udp);
    return packet_new(b, n + 46);
}

struct packet *env_arp(unsigned int src, unsigned int target, unsigned int vlan)
{
    uint8_t b[60] = {0};
    size_t n = put_eth(b, 0xff, src, vlan, 0x0806);
    const uint8_t arp[] = {0,  1,
                           8,  0,
                           6,  4,
                           0,  1,
                           2,  0,
                           0,  0,
                           0,  (uint8_t)src,
                           10, 0,
                           0,  (uint8_t)src,
                           0,  0,
                           0,  0,
                           0,  0,
                           10, 0,
                           0,  (uint8_t)target};

    memcpy(b + n, arp, sizeof arp);
    return packet_new(b, sizeof b);
}

const char *env_in(struct env *e, unsigned int in, struct packet *p)
{
    p->in_port = dp_port(in);
    fake_receive(e->sw, p);
    packet_free(p);
    return fake_take_executed(e->sw);
}

const char *env_in_tunnel(struct env *e, unsigned int in, const char *src, const char *dst, uint32_t key,
                          struct packet *p)
{
    p->tunnel.src = env_ip(src);
    p->tunnel.dst = env_ip(dst);
    p->tunnel.id = __builtin_bswap64(key);
    p->tunnel.flags = FLOW_TNL_KEY;
    p->tunnel.ttl = 64;
    return env_in(e, in, p);
}

static int format_one(void *aux, const struct megaflow_info *info)
{
    struct strbuf *b = aux;

    if (b->len) {
        strbuf_add(b, "\n");
    }
    dp_key_format(info->flow.key, info->flow.mask, b);
    return 0;
}

char *env_megaflow(struct env *e)
{
    struct strbuf b = {0};

    megaflow_for_each(e->sw, format_one, &b);
    return strbuf_take(&b);
}

/* ---- what a bridge has, as sorted lines ---- */

struct dump {
    const struct bridge *br;
    char **line;
    size_t n;
};

static void add_line(struct dump *l, struct strbuf *b)
{
    l->line = xrealloc(l->line, (l->n + 1) * sizeof *l->line);
    l->line[l->n++] = strbuf_take(b);
}

static int put_flow(void *aux, const struct rule *rule)
{
    struct flow_spec spec;
    struct flow_counts counts = {.packets = rule->packets, .bytes = rule->bytes};
    struct strbuf b = {0};

    rule_describe(rule, &spec);
    flow_format_counts(&spec, &counts, NULL, &b);
    add_line(aux, &b);
    return 0;
}

static void put_group(void *aux, const struct group *g)
{
    struct strbuf b = {0};
    struct of_group desc;

    group_describe(g, &desc);
    group_format(&desc, 0, &b);
    free(desc.buckets);
    strbuf_addf(&b, ", counted %" PRIu64 "/%" PRIu64 " of which", g->counters->packets, g->counters->bytes);
    for (size_t i = 0; i < g->n_buckets; i++) {
        strbuf_addf(&b, " %" PRIu64 "/%" PRIu64, g->buckets[i]->packets, g->buckets[i]->bytes);
    }
    add_line(aux, &b);
}

static void put_meter(void *aux, const struct meter *m)
{
    struct dump *d = aux;
    struct dp_meter_stats stats;
    struct strbuf b = {0};

    meter_format(&m->config, &b);
    meter_get_stats(d->br, m, &stats);
    strbuf_addf(&b, ", counted %" PRIu64 "/%" PRIu64 " of which", (uint64_t)stats.in.packets, (uint64_t)stats.in.bytes);
    for (size_t i = 0; i < m->config.n_bands; i++) {
        strbuf_addf(&b, " %" PRIu64 "/%" PRIu64, (uint64_t)stats.bands[i].packets, (uint64_t)stats.bands[i].bytes);
    }
    add_line(d, &b);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *env_dump(struct bridge *br)
{
    struct port *port, *tmp;
    const struct flow_filter all = {.table = TABLE_ID_ALL, .out_port = OFPP_ANY};
    struct dump l = {.br = br};
    struct strbuf b = {0};

    flow_table_for_each(br, &all, put_flow, &l);
    group_table_for_each(br, OF_GROUP_ALL, put_group, &l);
    meter_table_for_each(br, OF_METER_ALL, put_meter, &l);
    if (l.n) {
        qsort(l.line, l.n, sizeof *l.line, by_text);
    }
    for (size_t i = 0; i < l.n; i++) {
        strbuf_addf(&b, "%s\n", l.line[i]);
        free(l.line[i]);
    }
    free(l.line);
    for (size_t i = 0; i < br->tlv_map.n; i++) {
        const struct tlv_mapping *m = &br->tlv_map.entries[i];
        strbuf_addf(&b, "%u %u %u %u\n", m->opt_class, m->opt_type, m->opt_len, m->index);
    }
    HASH_ITER(hh_name, br->ports_by_name, port, tmp) {
        uint32_t config = saved_port_config(port);
        if (config) {
            strbuf_addf(&b, "%s %#x\n", port->name, config);
        }
    }
    for (unsigned int table = 0; table < N_TABLES; table++) {
        struct table_config c;
        flow_table_get_config(br, (table_id_t)table, &c);
        if (c.evict || c.vacancy_events || c.name) {
            strbuf_addf(&b, "table %u evict=%d vacancy=%d,%u-%u,%d %s\n", table, c.evict, c.vacancy_events,
                        c.vacancy_down, c.vacancy_up, c.vacancy_low, c.name ? c.name : "");
        }
    }
    strbuf_addf(&b, "frags %d\n", br->frag_mode);
    return strbuf_take(&b);
}
