/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/switch_ctl.h"

#include <inttypes.h>

#include "datapath/format.h"
#include "openflow/text.h"
#include "packet/drop.h"
#include "switch/flow_table.h"
#include "switch/iface_config.h"
#include "switch/megaflow.h"

#define IS_OPTION(arg) ((arg)[0] == '-')

static const char *datapath_name(const struct switch_ *sw)
{
    return sw->dp->class->name;
}

/* The bridge ARGS[0] names; NULL after saying so. */
static struct bridge *find_bridge(struct switch_ *sw, const char *name, struct strbuf *out)
{
    struct bridge *br = bridge_find(sw, name);
    if (!br) {
        strbuf_add(out, "no such bridge");
    }
    return br;
}

/* --- fdb --- */

static int by_vlan_and_mac(const struct mac_entry *a, const struct mac_entry *b)
{
    int diff = (int)a->key.vlan - (int)b->key.vlan;
    return diff ? diff : memcmp(a->key.mac.a, b->key.mac.a, sizeof a->key.mac.a);
}

static int fdb_show(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct bridge *br = find_bridge(aux, args[0], out);
    if (!br) {
        return -ENOENT;
    }
    int64_t now = time_mono_ms();
    strbuf_add(out, " port  VLAN  MAC                Age\n");
    HASH_SORT(br->macs.entries, by_vlan_and_mac);
    for (const struct mac_entry *e = br->macs.entries; e; e = e->hh.next) {
        const uint8_t *m = e->key.mac.a;
        if (e->port == OFPP_LOCAL) {
            strbuf_add(out, "LOCAL");
        } else {
            strbuf_addf(out, "%5u", ofp_port_u32(e->port));
        }
        strbuf_addf(out, "  %4u  %02x:%02x:%02x:%02x:%02x:%02x  ", e->key.vlan, m[0], m[1], m[2], m[3], m[4], m[5]);
        if (e->is_static) {
            strbuf_add(out, "static\n");
        } else {
            strbuf_addf(out, "%3" PRId64 "\n", (now - e->used_ms) / 1000);
        }
    }
    return 0;
}

static int fdb_flush(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct switch_ *sw = aux;
    if (n) {
        struct bridge *br = find_bridge(sw, args[0], out);
        if (!br) {
            return -ENOENT;
        }
        bridge_flush_macs(br);
    } else {
        for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
            bridge_flush_macs(br);
        }
    }
    strbuf_add(out, "table successfully flushed");
    return 0;
}

static int fdb_stats_show(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct bridge *br = find_bridge(aux, args[0], out);
    if (!br) {
        return -ENOENT;
    }
    const struct mac_table *t = &br->macs;
    strbuf_addf(out, "Statistics for bridge \"%s\":\n", br->name);
    strbuf_addf(out, "  Current/maximum MAC entries in the table: %zu/%zu\n", mac_table_count(t), t->max);
    strbuf_addf(out, "  Total number of learned MAC entries     : %" PRIu64 "\n", t->n_learned);
    strbuf_addf(out, "  Total number of expired MAC entries     : %" PRIu64 "\n", t->n_expired);
    strbuf_addf(out, "  Total number of evicted MAC entries     : %" PRIu64 "\n", t->n_evicted);
    strbuf_addf(out, "  Total number of port moved MAC entries  : %" PRIu64 "\n", t->n_moved);
    return 0;
}

/* --- datapath flows --- */

static int dump_flow(void *aux, const struct megaflow_info *info)
{
    struct strbuf *out = aux;
    const struct dp_flow *f = &info->flow;
    dp_key_format(f->key, f->mask, out);
    strbuf_addf(out, ", packets:%" PRIu64 ", bytes:%" PRIu64 ", used:", f->stats.packets, f->stats.bytes);
    if (f->stats.used_ms) {
        strbuf_addf(out, "%.3fs", (double)(time_mono_ms() - f->stats.used_ms) / 1000);
    } else {
        strbuf_add(out, "never");
    }
    strbuf_add(out, ", actions:");
    dp_actions_format(f->actions, f->actions_len, out);
    strbuf_add(out, "\n");
    return 0;
}

struct bridge_dump {
    const struct bridge *br;
    struct strbuf *out;
};

/* Flows of packets that came in by a port of the bridge; tunnel ports of one kind share a datapath port. */
static int dump_bridge_flow(void *aux, const struct megaflow_info *info)
{
    const struct bridge_dump *d = aux;
    for (const struct port *p = d->br->ports_by_name; p; p = p->hh_name.next) {
        if (p->dp_port != DP_PORT_NONE && p->dp_port == info->flow.key->in_port) {
            return dump_flow(d->out, info);
        }
    }
    return 0;
}

static int dpif_dump_flows(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct bridge_dump d = {.br = find_bridge(aux, args[n - 1], out), .out = out};
    if (!d.br) {
        return -ENOENT;
    }
    megaflow_sync_stats(aux);
    return megaflow_for_each(aux, dump_bridge_flow, &d);
}

/* One datapath carries all bridges, so there is nothing to choose: -m and --names are taken, a wrong name is an error.
 */
static int dpctl_dump_flows(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct switch_ *sw = aux;
    for (size_t i = 0; i < n; i++) {
        bool option = !strcmp(args[i], "-m") || !strcmp(args[i], "--more") || !strcmp(args[i], "--names") ||
                      !strcmp(args[i], "--no-names");
        const char *at = strchr(args[i], '@');
        if (!option && strcmp(at ? at + 1 : args[i], datapath_name(sw)) != 0) {
            strbuf_addf(out, "%s: no such %s", args[i], IS_OPTION(args[i]) ? "option" : "datapath");
            return -ENOENT;
        }
    }
    megaflow_sync_stats(sw);
    return megaflow_for_each(sw, dump_flow, out);
}

static int dpctl_del_flows(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED,
                           struct strbuf *out WR_UNUSED)
{
    megaflow_flush(aux);
    return 0;
}

static int dump_dps(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    strbuf_addf(out, "%s\n", datapath_name(aux));
    return 0;
}

/* --- ports --- */

static const char *tunnel_type_name(enum tunnel_type type)
{
    return type == TUNNEL_VXLAN ? "vxlan" : type == TUNNEL_GRE ? "gre" : "geneve";
}

static void add_tunnel_value(struct strbuf *out, const char *name, enum tunnel_value kind, uint32_t value)
{
    if (kind == TUNNEL_FLOW) {
        strbuf_addf(out, ", %s=flow", name);
    } else if (kind == TUNNEL_FIXED) {
        strbuf_addf(out, ", %s=%u", name, value);
    }
}

static void add_tunnel_end(struct strbuf *out, const char *name, enum tunnel_value kind, const struct ip_addr *ip)
{
    if (kind == TUNNEL_NONE) {
        return;
    }
    strbuf_addf(out, ", %s=", name);
    if (kind == TUNNEL_FLOW) {
        strbuf_add(out, "flow");
    } else {
        ip_addr_format(ip, out);
    }
}

/* "vxlan: remote_ip=10.0.0.2, in_key=flow" */
static void add_port_type(struct strbuf *out, const struct port *p)
{
    const struct tunnel_config *t = &p->tunnel;
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
        strbuf_addf(out, "%s: ttl=%u", tunnel_type_name(t->type), t->ttl);
        add_tunnel_end(out, "remote_ip", t->remote, &t->remote_ip);
        add_tunnel_end(out, "local_ip", t->local, &t->local_ip);
        add_tunnel_value(out, "in_key", t->in_key, t->in_key_value);
        add_tunnel_value(out, "out_key", t->out_key, t->out_key_value);
        if (t->dst_port) {
            strbuf_addf(out, ", dst_port=%u", t->dst_port);
        }
        break;
    }
}

static void add_port_numbers(struct strbuf *out, const struct port *p)
{
    uint32_t number = p->ofp_port == OFPP_LOCAL ? 65534 : ofp_port_u32(p->ofp_port);
    if (p->dp_port == DP_PORT_NONE) {
        strbuf_addf(out, "%u/none", number);
    } else {
        strbuf_addf(out, "%u/%u", number, dp_port_u32(p->dp_port));
    }
}

static int by_port_name(const struct port *a, const struct port *b)
{
    return strcmp(a->name, b->name);
}

static void add_lookups(struct strbuf *out, const struct switch_ *sw)
{
    uint64_t hits, misses;
    dp_lookup_stats(sw->dp, &hits, &misses);
    strbuf_addf(out, "hit:%" PRIu64 " missed:%" PRIu64, hits, misses);
}

static int dpif_show(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    strbuf_addf(out, "%s: ", datapath_name(sw));
    add_lookups(out, sw);
    strbuf_add(out, "\n");
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        strbuf_addf(out, "  %s:\n", br->name);
        HASH_SRT(hh_name, br->ports_by_name, by_port_name);
        for (const struct port *p = br->ports_by_name; p; p = p->hh_name.next) {
            strbuf_addf(out, "    %s ", p->name);
            add_port_numbers(out, p);
            strbuf_add(out, ": (");
            add_port_type(out, p);
            strbuf_add(out, ")\n");
        }
    }
    return 0;
}

static int dpctl_show(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    strbuf_addf(out, "%s:\n  lookups: ", datapath_name(sw));
    add_lookups(out, sw);
    strbuf_addf(out, "\n  flows: %zu\n", megaflow_count(sw));
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        for (const struct port *p = br->ports_by_name; p; p = p->hh_name.next) {
            struct dp_port_stats s;
            if (p->dp_port == DP_PORT_NONE || bridge_port_get_stats(p, &s)) {
                continue;
            }
            strbuf_addf(out, "  port %u: %s (", dp_port_u32(p->dp_port), p->name);
            add_port_type(out, p);
            strbuf_addf(out, ")\n    RX packets:%" PRIu64 " errors:%" PRIu64 " dropped:%" PRIu64 " bytes:%" PRIu64 "\n",
                        s.rx_packets, s.rx_errors, s.rx_dropped, s.rx_bytes);
            strbuf_addf(out, "    TX packets:%" PRIu64 " errors:%" PRIu64 " dropped:%" PRIu64 " bytes:%" PRIu64 "\n",
                        s.tx_packets, s.tx_errors, s.tx_dropped, s.tx_bytes);
        }
    }
    return 0;
}

static int ofproto_list(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        strbuf_addf(out, "%s\n", br->name);
    }
    return 0;
}

static int list_tunnels(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        for (const struct port *p = br->ports_by_name; p; p = p->hh_name.next) {
            if (p->kind == PORT_TUNNEL) {
                strbuf_addf(out, "port %u: %s (", dp_port_u32(p->dp_port), p->name);
                add_port_type(out, p);
                strbuf_add(out, ")\n");
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
    struct bridge *br = find_bridge(aux, args[n - 1], out);
    struct flow_filter all = {.table = TABLE_ID_ALL, .out_port = OFPP_ANY, .hidden = true};
    if (!br) {
        return -ENOENT;
    }
    megaflow_sync_stats(aux);
    return flow_table_for_each(br, &all, dump_rule, out);
}

static int coverage_show(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    uint64_t drops[DROP_MAX], hits, misses;
    megaflow_sync_stats(sw);
    switch_drops(sw, drops);
    dp_lookup_stats(sw->dp, &hits, &misses);
    strbuf_add(out, "Event coverage, totals since the start:\n");
    strbuf_addf(out, "%-32s total: %" PRIu64 "\n", "datapath_hit", hits);
    strbuf_addf(out, "%-32s total: %" PRIu64 "\n", "datapath_miss", misses);
    for (int i = DROP_NONE + 1; i < DROP_MAX; i++) {
        _cleanup_free_ char *name = xasprintf("drop_%s", drop_reason_name((enum drop_reason)i));
        strbuf_addf(out, "%-32s total: %-10" PRIu64 " %s\n", name, drops[i], drop_reason_text((enum drop_reason)i));
    }
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

static int revalidator_wait(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED,
                            struct strbuf *out WR_UNUSED)
{
    megaflow_revalidate_all(aux);
    megaflow_sync_stats(aux);
    return 0;
}

void switch_ctl_register(struct unixctl *u, struct switch_ *sw)
{
    static const struct {
        const char *name, *usage;
        size_t min, max;
        unixctl_handler *handler;
    } commands[] = {
        {"bridge/dump-flows", "bridge", 1, 2, bridge_dump_flows},
        {"coverage/show", "", 0, 0, coverage_show},
        {"dpctl/del-flows", "[dp]", 0, 1, dpctl_del_flows},
        {"dpctl/dump-dps", "", 0, 0, dump_dps},
        {"dpctl/dump-flows", "[-m] [--names | --no-names] [dp]", 0, 3, dpctl_dump_flows},
        {"dpctl/show", "[-s] [dp]", 0, 2, dpctl_show},
        {"dpif/dump-dps", "", 0, 0, dump_dps},
        {"dpif/dump-flows", "[-m] [--names | --no-names] bridge", 1, 3, dpif_dump_flows},
        {"dpif/show", "", 0, 0, dpif_show},
        {"fdb/flush", "[bridge]", 0, 1, fdb_flush},
        {"fdb/show", "bridge", 1, 1, fdb_show},
        {"fdb/stats-show", "bridge", 1, 1, fdb_stats_show},
        {"memory/show", "", 0, 0, memory_show},
        {"ofproto/list", "", 0, 0, ofproto_list},
        {"ofproto/list-tunnels", "", 0, 0, list_tunnels},
        {"revalidator/wait", "", 0, 0, revalidator_wait},
    };
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        unixctl_register(u, commands[i].name, commands[i].usage, commands[i].min, commands[i].max, commands[i].handler,
                         sw);
    }
}
