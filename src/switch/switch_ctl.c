/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/coverage.h"
#include "openflow/text.h"
#include "packet/drop.h"
#include "packet/tunnel.h"
#include "switch/flow_table.h"
#include "switch/iface_config.h"
#include "switch/megaflow.h"
#include "switch/switch_ctl_private.h"

const char *ctl_datapath_name(const struct switch_ *sw)
{
    return sw->dp->class->name;
}

struct bridge *ctl_find_bridge(struct switch_ *sw, const char *name, struct strbuf *out)
{
    struct bridge *br = bridge_find(sw, name);
    if (!br) {
        strbuf_add(out, "no such bridge");
    }
    return br;
}

/* --- ports --- */

static void add_text(struct strbuf *out, const char *fmt, ...) WR_PRINTF(2, 3);

/* One more item of a list that begins after ": ". */
static void add_text(struct strbuf *out, const char *fmt, ...)
{
    char text[128];
    bool first = out->len >= 2 && !strcmp(out->s + out->len - 2, ": ");
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    strbuf_addf(out, "%s%s", first ? "" : ", ", text);
}

static void add_tunnel_value(struct strbuf *out, const char *name, enum tunnel_value kind, uint32_t value)
{
    if (kind == TUNNEL_FLOW) {
        add_text(out, "%s=flow", name);
    } else if (kind == TUNNEL_FIXED) {
        add_text(out, "%s=%u", name, value);
    }
}

static const char *end_text(enum tunnel_value kind, const struct ip_addr *ip, struct strbuf *b)
{
    if (kind == TUNNEL_FIXED) {
        ip_addr_format(ip, b);
    }
    return kind == TUNNEL_FIXED ? b->s : kind == TUNNEL_FLOW ? "flow" : "::";
}

static void add_tunnel_end(struct strbuf *out, const char *name, enum tunnel_value kind, const struct ip_addr *ip)
{
    _cleanup_strbuf_ struct strbuf text = {0};
    if (kind != TUNNEL_NONE) {
        add_text(out, "%s=%s", name, end_text(kind, ip, &text));
    }
}

static bool one_key(const struct tunnel_config *t)
{
    return t->in_key == t->out_key && (t->in_key != TUNNEL_FIXED || t->in_key_value == t->out_key_value);
}

/* The options that differ from their defaults, sorted. */
static void add_tunnel_options(struct strbuf *out, const struct tunnel_config *t)
{
    if (t->csum) {
        add_text(out, "csum=true");
    }
    if (!t->df) {
        add_text(out, "df_default=false");
    }
    if (t->dst_port != tunnel_default_port(t->type)) {
        add_text(out, "dst_port=%u", t->dst_port);
    }
    if (t->egress_pkt_mark) {
        add_text(out, "egress_pkt_mark=%u", t->egress_pkt_mark);
    }
    if (one_key(t)) {
        add_tunnel_value(out, "key", t->in_key, t->in_key_value);
    } else {
        add_tunnel_value(out, "in_key", t->in_key, t->in_key_value);
    }
    add_tunnel_end(out, "local_ip", t->local, &t->local_ip);
    if (!one_key(t)) {
        add_tunnel_value(out, "out_key", t->out_key, t->out_key_value);
    }
    add_tunnel_end(out, "remote_ip", t->remote, &t->remote_ip);
    if (t->tos_inherit || t->tos) {
        add_text(out, t->tos_inherit ? "tos=inherit" : "tos=0x%x", t->tos);
    }
    if (t->ttl_inherit || t->ttl != 64) {
        add_text(out, t->ttl_inherit ? "ttl=inherit" : "ttl=%u", t->ttl);
    }
}

/* "vxlan: key=flow, remote_ip=10.0.0.2" */
void ctl_add_port_type(struct strbuf *out, const struct port *p)
{
    switch (p->kind) {
    case PORT_SYSTEM:
        strbuf_add(out, "system");
        break;
    case PORT_INTERNAL:
        strbuf_add(out, "internal");
        break;
    case PORT_PATCH:
        strbuf_addf(out, "patch: peer=%s", p->patch_peer);
        break;
    case PORT_TUNNEL:
        strbuf_addf(out, "%s: ", tunnel_type_name(p->tunnel.type));
        add_tunnel_options(out, &p->tunnel);
        break;
    }
}

static int ofproto_list(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        strbuf_addf(out, "%s\n", br->name);
    }
    return 0;
}

const char *ctl_tunnel_dp_name(const struct tunnel_dp_port *t, char *buf, size_t size)
{
    snprintf(buf, size, t->udp_port ? "%s_sys_%u" : "%s_sys", tunnel_type_name(t->type), t->udp_port);
    return buf;
}

static void add_tunnel_receiver(struct strbuf *out, const struct port *p)
{
    strbuf_addf(out, "  %s (bridge %s): ", p->name, p->bridge->name);
    add_tunnel_options(out, &p->tunnel);
    strbuf_add(out, "\n");
}

/* -v: also which ports share it. */
static int tnl_ports_show(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    const struct switch_ *sw = aux;
    if (n && strcmp(args[0], "-v") != 0) {
        strbuf_addf(out, "Unrecognized option %s", args[0]);
        return -EINVAL;
    }
    strbuf_add(out, "Listening ports:\n");
    for (const struct tunnel_dp_port *t = sw->tunnel_dp_ports; t; t = t->next) {
        char name[32];
        strbuf_addf(out, "%s (%u) ref_cnt=%zu\n", ctl_tunnel_dp_name(t, name, sizeof name), dp_port_u32(t->dp_port),
                    t->n_ports);
        for (size_t i = 0; n && i < t->n_ports; i++) {
            add_tunnel_receiver(out, t->ports[i]);
        }
    }
    return 0;
}

/* "port 4: vx (vxlan: ::->10.9.0.7, key=0x5, legacy_l2, dp port=4, ttl=64)" */
static void list_tunnel(struct strbuf *out, const struct port *p)
{
    const struct tunnel_config *t = &p->tunnel;
    _cleanup_strbuf_ struct strbuf local = {0}, remote = {0};
    strbuf_addf(out, "port %u: %s (%s: %s->%s", dp_port_u32(p->dp_port), p->name, tunnel_type_name(t->type),
                end_text(t->local, &t->local_ip, &local), end_text(t->remote, &t->remote_ip, &remote));
    for (int i = 0; i < (one_key(t) ? 1 : 2); i++) {
        enum tunnel_value kind = i ? t->out_key : t->in_key;
        const char *name = one_key(t) ? "key" : i ? "out_key" : "in_key";
        if (kind == TUNNEL_FLOW) {
            strbuf_addf(out, ", %s=flow", name);
        } else {
            strbuf_addf(out, kind ? ", %s=0x%x" : ", %s=0", name, i ? t->out_key_value : t->in_key_value);
        }
    }
    strbuf_addf(out, ", legacy_l2, dp port=%u", dp_port_u32(p->dp_port));
    if (t->tos_inherit || t->tos) {
        strbuf_addf(out, t->tos_inherit ? ", tos=inherit" : ", tos=0x%x", t->tos);
    }
    strbuf_addf(out, t->ttl_inherit ? ", ttl=inherit" : ", ttl=%u", t->ttl);
    strbuf_add(out, t->df ? "" : ", df=false");
    strbuf_add(out, t->csum ? ", csum=true)\n" : ")\n");
}

static int list_tunnels(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        for (const struct port *p = br->ports_by_name; p; p = p->hh_name.next) {
            if (p->kind == PORT_TUNNEL) {
                list_tunnel(out, p);
            }
        }
    }
    return 0;
}

/* --- rules, counters --- */

static int dump_rule(void *aux, const struct rule *rule)
{
    struct strbuf *out = aux;
    struct name_map names = bridge_name_map(rule->bridge);
    _cleanup_strbuf_ struct strbuf match = {0};
    struct match m;
    rule_get_match(rule, &m);
    names.port_name = NULL; /* numbers, as tools expect */
    match_format(&m, &names, &match);
    strbuf_addf(
        out, "table_id=%u, duration=%" PRId64 "s, n_packets=%" PRIu64 ", n_bytes=%" PRIu64 ", priority=%d%s%s,actions=",
        rule->table, (time_mono_ms() - rule->created_ms) / 1000, rule->packets, rule->bytes, (int)rule->cls.priority,
        match.len ? "," : "", strbuf_str(&match));
    ofpacts_format(rule->actions->data, rule->actions->len, &names, out);
    strbuf_add(out, "\n");
    return 0;
}

static int bridge_dump_flows(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct bridge *br = ctl_find_bridge(aux, args[n - 1], out);
    if (n > 1 && strcmp(args[0], "--offload-stats") != 0) {
        strbuf_addf(out, "Unrecognized option %s", args[0]);
        return -EINVAL;
    }
    struct flow_filter all = {.table = TABLE_ID_ALL, .out_port = OFPP_ANY, .hidden = true};
    if (!br) {
        return -ENOENT;
    }
    megaflow_sync_stats(aux);
    return flow_table_for_each(br, &all, dump_rule, out);
}

/* Counters that live elsewhere, as coverage counters. */
static struct coverage drop_counters[DROP_MAX], hit_counter = {.name = "datapath_hit"},
                                                miss_counter = {.name = "datapath_miss"};

static void register_counters(void)
{
    if (drop_counters[DROP_NONE + 1].name) {
        return;
    }
    coverage_register(&hit_counter);
    coverage_register(&miss_counter);
    for (int i = DROP_NONE + 1; i < DROP_MAX; i++) {
        drop_counters[i].name = xasprintf("drop_%s", drop_reason_name((enum drop_reason)i));
        coverage_register(&drop_counters[i]);
    }
}

static void read_counters(struct switch_ctl *ctl)
{
    uint64_t drops[DROP_MAX];
    switch_drops(ctl->sw, drops);
    dp_lookup_stats(ctl->sw->dp, &hit_counter.total, &miss_counter.total);
    for (int i = DROP_NONE + 1; i < DROP_MAX; i++) {
        drop_counters[i].total = drops[i];
    }
}

/* The text of a drop counter; NULL for others. */
static const char *text_of(const struct coverage *c)
{
    return c > drop_counters && c < drop_counters + DROP_MAX ? drop_reason_text((enum drop_reason)(c - drop_counters))
                                                             : NULL;
}

/* All of them, also those that never counted: whoever looks for a drop sees which there could be. */
static int coverage_show(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ctl *ctl = aux;
    size_t never = 0;
    megaflow_sync_stats(ctl->sw);
    read_counters(ctl);
    strbuf_add(out, "Event coverage, avg rate over last: 5 seconds, last minute, last hour:\n");
    for (const struct coverage *c = coverage_all(); c; c = c->next) {
        double tick, minute, hour;
        const char *text = text_of(c);
        coverage_rates(c, &tick, &minute, &hour);
        strbuf_addf(out, "%-28s %7.1f/sec %9.3f/sec %12.4f/sec   total: %" PRIu64, c->name, tick, minute, hour,
                    c->total);
        strbuf_addf(out, text ? "  (%s)\n" : "\n", text);
        never += !c->total;
    }
    strbuf_addf(out, "%zu events never hit\n", never);
    return 0;
}

static int coverage_read_counter(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct switch_ctl *ctl = aux;
    megaflow_sync_stats(ctl->sw);
    read_counters(ctl);
    const struct coverage *c = coverage_find(args[0]);
    if (!c) {
        strbuf_add(out, "No such counter");
        return -ENOENT;
    }
    strbuf_addf(out, "%" PRIu64 "\n", c->total);
    return 0;
}

static int memory_show(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    size_t ports = 0, macs = 0, rules = 0;
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        ports += HASH_CNT(hh_ofp, br->ports_by_ofp);
        macs += mac_table_count(&br->macs);
        for (int t = 0; t < N_TABLES; t++) {
            struct table_stats s;
            flow_table_get_stats(br, (table_id_t)t, &s);
            rules += s.active;
        }
    }
    strbuf_addf(out, "bridges:%u macs:%zu megaflows:%zu ports:%zu rules:%zu\n", HASH_COUNT(sw->bridges), macs,
                megaflow_count(sw), ports, rules);
    return 0;
}

/* --- the whole --- */

static void on_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct switch_ctl *ctl = aux;
    size_t flows = megaflow_count(ctl->sw);
    ctl->average_flows += ((double)flows - ctl->average_flows) / 60;
    ctl->max_flows = MAX(ctl->max_flows, flows);
    if (++ctl->ticks % (COVERAGE_TICK_MS / 1000) == 0) {
        read_counters(ctl);
        coverage_tick();
    }
}

void ctl_register(struct unixctl *u, const struct ctl_command *commands, size_t n, void *aux)
{
    for (size_t i = 0; i < n; i++) {
        unixctl_register(u, commands[i].name, commands[i].usage, commands[i].min, commands[i].max, commands[i].handler,
                         aux);
    }
}

int switch_ctl_create(struct event_base *base, struct unixctl *u, struct switch_ *sw, struct switch_ctl **ret)
{
    static const struct ctl_command commands[] = {
        {"bridge/dump-flows", "[--offload-stats] bridge", 1, 2, bridge_dump_flows},
        {"memory/show", "", 0, 0, memory_show},
        {"ofproto/list", "", 0, 0, ofproto_list},
        {"ofproto/list-tunnels", "", 0, 0, list_tunnels},
        {"tnl/ports/show", "[-v]", 0, 1, tnl_ports_show},
    };
    static const struct ctl_command own[] = {
        {"coverage/read-counter", "COUNTER", 1, 1, coverage_read_counter},
        {"coverage/show", "", 0, 0, coverage_show},
    };
    struct switch_ctl *ctl = xcalloc(1, sizeof *ctl);
    ctl->unixctl = u;
    ctl->sw = sw;
    ctl->timer = event_new(base, -1, EV_PERSIST, on_timer, ctl);
    if (!ctl->timer || event_add(ctl->timer, &(struct timeval){.tv_sec = 1})) {
        switch_ctl_destroy(ctl);
        return -ENOMEM;
    }
    register_counters();
    ctl_register(u, commands, ARRAY_SIZE(commands), sw);
    ctl_register(u, own, ARRAY_SIZE(own), ctl);
    switch_ctl_dp_register(ctl);
    switch_ctl_normal_register(ctl);
    *ret = ctl;
    return 0;
}

void switch_ctl_destroy(struct switch_ctl *ctl)
{
    if (!ctl) {
        return;
    }
    if (ctl->timer) {
        event_free(ctl->timer);
    }
    free(ctl);
}
