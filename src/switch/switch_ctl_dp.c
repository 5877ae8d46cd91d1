/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control commands on the datapath: dpctl, dpif, upcall, revalidator. Megaflows are told as megaflow.h knows them, with
 * counters that were read a moment before; a filter is a match of which a megaflow must not contradict a bit.
 */
#include <inttypes.h>
#include <stdio.h>

#include "datapath/format.h"
#include "openflow/text.h"
#include "packet/tunnel.h"
#include "switch/flow_table.h"
#include "switch/megaflow.h"
#include "switch/switch_ctl_private.h"
#include "switch/switch_private.h"
#include "switch/tunnel_port.h"

/* Where on the command line the datapath may be named: ours, or as Open vSwitch names its own. */
static bool is_datapath(const struct switch_ *sw, const char *arg)
{
    const char *at = strchr(arg, '@'), *name = at ? at + 1 : arg;
    return !strcmp(name, ctl_datapath_name(sw)) || !strcmp(name, "ovs-system") || !strcmp(name, "ovs-netdev");
}

static int no_datapath(const char *arg, struct strbuf *out)
{
    strbuf_addf(out, "opening datapath %s failed (No such device)", arg);
    return -ENODEV;
}

static int bad_option(const char *arg, struct strbuf *out)
{
    strbuf_addf(out, "Unrecognized option %s", arg);
    return -EINVAL;
}

/* "vxlan_sys_4789"; NULL when there is no such port. */
static const char *name_of_dp_port(void *aux, dp_port_t number)
{
    static char text[32];
    const struct switch_ *sw = aux;
    const struct port *port = switch_port_by_dp(sw, number);
    const struct tunnel_dp_port *tunnel = port ? NULL : tunnel_dp_port_find(sw, number);
    return port ? port->name : tunnel ? ctl_tunnel_dp_name(tunnel, text, sizeof text) : NULL;
}

/* --- flows --- */

struct dump {
    struct switch_ *sw;
    const struct bridge *br; /* only what came in by its ports; NULL: all */
    bool more, names;
    bool have_filter, have_id;
    struct match filter;
    dp_flow_id id;
    size_t n;
    struct strbuf *out;
};

#define UFID "00000000-0000-0000-%04x-%012" PRIx64

static void add_ufid(struct strbuf *out, dp_flow_id id)
{
    strbuf_addf(out, "ufid:" UFID, (unsigned int)(id >> 48), (uint64_t)(id & 0xffffffffffff));
}

static bool parse_ufid(const char *s, dp_flow_id *ret)
{
    unsigned int a, b, c, high;
    uint64_t low;
    int n = 0;
    if (sscanf(s, "ufid:%8x-%4x-%4x-%4x-%12" SCNx64 "%n", &a, &b, &c, &high, &low, &n) != 5 || s[n]) {
        return false;
    }
    *ret = a || b || c ? 0 : (dp_flow_id)high << 48 | low;
    return true;
}

/* Does no bit that both look at differ? */
static bool passes_filter(const struct dump *d, const struct dp_flow *f)
{
    const uint64_t *key = (const void *)f->key, *mask = (const void *)f->mask;
    const uint64_t *want = (const void *)&d->filter.value.key, *care = (const void *)&d->filter.mask.key;
    uint32_t in_port = ofp_port_u32(d->filter.value.in_port);
    if (ofp_port_u32(d->filter.mask.in_port) && in_port != dp_port_u32(f->key->in_port)) {
        return false;
    }
    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        if ((key[i] ^ want[i]) & mask[i] & care[i]) {
            return false;
        }
    }
    return true;
}

/* Tunnel ports of one kind share a datapath port: the address tells which of them a megaflow is of. */
static bool is_of_bridge(const struct dump *d, const struct dp_flow *f)
{
    const struct port *port = switch_port_by_dp(d->sw, f->key->in_port);
    if (!port) {
        const struct tunnel_dp_port *tunnel = tunnel_dp_port_find(d->sw, f->key->in_port);
        enum drop_reason reason;
        port = tunnel ? tunnel_port_receive(tunnel, f->key, &reason) : NULL;
    }
    return port && port->bridge == d->br;
}

static void add_flow(const struct dump *d, const struct dp_flow *f)
{
    const struct dp_port_names names = {.name = name_of_dp_port, .aux = d->sw};
    struct strbuf *out = d->out;
    const char *runner;

    if (d->more) {
        add_ufid(out, f->id);
        strbuf_add(out, ", ");
    }
    dp_key_format_names(f->key, f->mask, d->names ? &names : NULL, out);
    strbuf_addf(out, ", packets:%" PRIu64 ", bytes:%" PRIu64 ", used:", f->stats.packets, f->stats.bytes);
    if (f->stats.used_ms) {
        strbuf_addf(out, "%.3fs", (double)(time_mono_ms() - f->stats.used_ms) / 1000);
    } else {
        strbuf_add(out, "never");
    }
    if (f->stats.tcp_flags && f->key->ip_proto == 6) {
        static const char letters[] = "FSRP.UEC";
        strbuf_add(out, ", flags:");
        for (size_t i = 0; i < sizeof letters - 1; i++) {
            if (f->stats.tcp_flags >> i & 1) {
                strbuf_add_n(out, &letters[i], 1);
            }
        }
    }
    runner = dp_flow_runner(d->sw->dp, f->id);
    if (d->more || strcmp(runner, d->sw->dp->class->name)) { /* always when the fast path cannot run it */
        strbuf_addf(out, ", dp:%s", runner);
    }
    strbuf_add(out, ", actions:");
    dp_actions_format_names(f->actions, f->actions_len, d->names ? &names : NULL, out);
    strbuf_add(out, "\n");
}

static int visit_flow(void *aux, const struct megaflow_info *info)
{
    struct dump *d = aux;
    if ((!d->br || is_of_bridge(d, &info->flow)) && (!d->have_filter || passes_filter(d, &info->flow)) &&
        (!d->have_id || d->id == info->id)) {
        add_flow(d, &info->flow);
        d->n++;
    }
    return 0;
}

static int port_by_name(void *aux, const char *name, ofp_port_t *ret)
{
    const struct port *port = switch_port_by_name(aux, name);
    if (!port || port->dp_port == DP_PORT_NONE) {
        return -ENOENT;
    }
    *ret = ofp_port(dp_port_u32(port->dp_port));
    return 0;
}

static int parse_filter(struct dump *d, const char *text)
{
    const struct name_map names = {.port_by_name = port_by_name, .aux = d->sw};
    _cleanup_free_ char *why = NULL;
    if (match_parse(text, &names, &d->filter, &why)) {
        strbuf_addf(d->out, "Failed to parse filter (%s)", why ? why : text);
        return -EINVAL;
    }
    d->have_filter = true;
    return 0;
}

/* `type=`: where flows are; all of ours are in the datapath that forwards, none in a network card. *RET_NONE: none is
 * of that type. */
static int parse_type(const char *types, bool *ret_none, struct strbuf *out)
{
    static const char *const ours[] = {"all", "ovs", "non-offloaded"};
    static const char *const others[] = {"tc", "dpdk", "offloaded", "partially-offloaded"};
    _cleanup_free_ char *copy = xstrdup(types);
    char *save = NULL;
    bool any = false, none = true;
    for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
            known = known || !strcmp(t, ours[i]);
        }
        none = none && !known;
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
            known = known || !strcmp(t, others[i]);
        }
        if (!known) {
            strbuf_addf(out, "Failed to parse type (%s)", t);
            return -EINVAL;
        }
        any = true;
    }
    *ret_none = any && none;
    return 0;
}

static bool take_output_option(struct dump *d, const char *arg)
{
    if (!strcmp(arg, "-m") || !strcmp(arg, "--more")) {
        d->more = true;
    } else if (!strcmp(arg, "--names")) {
        d->names = true;
    } else if (!strcmp(arg, "--no-names")) {
        d->names = false;
    } else {
        return false;
    }
    return true;
}

static int dpctl_dump_flows(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct dump d = {.sw = aux, .out = out};
    bool none = false;
    for (size_t i = 0; i < n; i++) {
        int error = 0;
        if (take_output_option(&d, args[i])) {
            continue;
        } else if (args[i][0] == '-') {
            return bad_option(args[i], out);
        } else if (!strncmp(args[i], "filter=", 7)) {
            error = parse_filter(&d, args[i] + 7);
        } else if (!strncmp(args[i], "type=", 5)) {
            error = parse_type(args[i] + 5, &none, out);
        } else if (!is_datapath(d.sw, args[i])) {
            return no_datapath(args[i], out);
        }
        if (error) {
            return error;
        }
    }
    megaflow_sync_stats(d.sw);
    return none ? 0 : megaflow_for_each(d.sw, visit_flow, &d);
}

static int dpctl_get_flow(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct dump d = {.sw = aux, .out = out, .have_id = true};
    for (size_t i = 0; i + 1 < n; i++) {
        if (!take_output_option(&d, args[i]) && !is_datapath(d.sw, args[i])) {
            return args[i][0] == '-' ? bad_option(args[i], out) : no_datapath(args[i], out);
        }
    }
    if (!parse_ufid(args[n - 1], &d.id)) {
        strbuf_addf(out, "parsing flow ufid \"%s\"", args[n - 1]);
        return -EINVAL;
    }
    megaflow_sync_stats(d.sw);
    megaflow_for_each(d.sw, visit_flow, &d);
    if (!d.n) {
        strbuf_add(out, "getting flow (No such file or directory)");
        return -ENOENT;
    }
    return 0;
}

static int dpif_dump_flows(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct dump d = {.sw = aux, .out = out};
    for (size_t i = 0; i + 1 < n; i++) {
        if (!take_output_option(&d, args[i])) {
            return bad_option(args[i], out);
        }
    }
    d.br = ctl_find_bridge(aux, args[n - 1], out);
    if (!d.br) {
        return -ENOENT;
    }
    megaflow_sync_stats(aux);
    return megaflow_for_each(aux, visit_flow, &d);
}

static int dpctl_del_flows(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    if (n && !is_datapath(aux, args[0])) {
        return no_datapath(args[0], out);
    }
    megaflow_flush(aux);
    return 0;
}

/* --- datapaths and ports --- */

static int dump_dps(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    strbuf_addf(out, "%s\n", ctl_datapath_name(aux));
    return 0;
}

static void add_lookups(struct strbuf *out, const struct switch_ *sw)
{
    uint64_t hits, misses;
    dp_lookup_stats(sw->dp, &hits, &misses);
    strbuf_addf(out, "hit:%" PRIu64 " missed:%" PRIu64, hits, misses);
}

static int by_port_name(const struct port *a, const struct port *b)
{
    return strcmp(a->name, b->name);
}

static int dpif_show(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ *sw = aux;
    strbuf_addf(out, "%s: ", ctl_datapath_name(sw));
    add_lookups(out, sw);
    strbuf_add(out, "\n");
    for (struct bridge *br = sw->bridges; br; br = br->hh.next) {
        strbuf_addf(out, "  %s:\n", br->name);
        HASH_SRT(hh_name, br->ports_by_name, by_port_name);
        for (const struct port *p = br->ports_by_name; p; p = p->hh_name.next) {
            uint32_t number = p->ofp_port == OFPP_LOCAL ? 65534 : ofp_port_u32(p->ofp_port);
            strbuf_addf(out, "    %s %u/", p->name, number);
            strbuf_addf(out, p->dp_port == DP_PORT_NONE ? "none" : "%u", dp_port_u32(p->dp_port));
            strbuf_add(out, ": (");
            ctl_add_port_type(out, p);
            strbuf_add(out, p->userspace ? ", userspace)\n" : ")\n");
        }
    }
    return 0;
}

static void add_dp_port(struct strbuf *out, const struct switch_ *sw, dp_port_t number, const char *name,
                        const char *type, bool statistics)
{
    struct dp_port_stats s;
    strbuf_addf(out, "  port %u: %s%s\n", dp_port_u32(number), name, type);
    if (!statistics || dp_port_get_stats(sw->dp, number, &s)) {
        return;
    }
    strbuf_addf(out, "    RX packets:%" PRIu64 " errors:%" PRIu64 " dropped:%" PRIu64 " overruns:0 frame:0\n",
                s.rx_packets, s.rx_errors, s.rx_dropped);
    strbuf_addf(out, "    TX packets:%" PRIu64 " errors:%" PRIu64 " dropped:%" PRIu64 " aborted:0 carrier:0\n",
                s.tx_packets, s.tx_errors, s.tx_dropped);
    strbuf_addf(out, "    collisions:0\n    RX bytes:%" PRIu64 "  TX bytes:%" PRIu64 "\n", s.rx_bytes, s.tx_bytes);
}

static int dpctl_show(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct switch_ *sw = aux;
    bool statistics = false;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(args[i], "-s") || !strcmp(args[i], "--statistics")) {
            statistics = true;
        } else if (args[i][0] == '-') {
            return bad_option(args[i], out);
        } else if (!is_datapath(sw, args[i])) {
            return no_datapath(args[i], out);
        }
    }
    strbuf_addf(out, "%s:\n  lookups: ", ctl_datapath_name(sw));
    add_lookups(out, sw);
    strbuf_addf(out, " lost:0\n  flows: %zu\n", megaflow_count(sw));
    /* "userspace": a port that the fast path is kept from. */
    static const char *const types[2][2] = {{"", " (userspace)"}, {" (internal)", " (internal, userspace)"}};
    for (size_t i = 0; i < sw->n_by_dp_port; i++) {
        const struct port *p = sw->by_dp_port[i];
        if (p) {
            add_dp_port(out, sw, p->dp_port, p->name, types[p->kind == PORT_INTERNAL][p->userspace], statistics);
        }
    }
    for (const struct tunnel_dp_port *t = sw->tunnel_dp_ports; t; t = t->next) {
        char name[32], type[32];
        snprintf(type, sizeof type, " (%s)", tunnel_type_name(t->type));
        add_dp_port(out, sw, t->dp_port, ctl_tunnel_dp_name(t, name, sizeof name), type, statistics);
    }
    return 0;
}

/* What the datapath can do, in the words of Open vSwitch; facts of every class of ours. KEY: by which
 * dpif/set-dp-features knows it. */
static const struct {
    const char *text, *key, *value;
} features[] = {
    {"Masked set action", NULL, "Yes"},
    {"Tunnel push pop", "tnl_push_pop", "No"},
    {"Ufid", "ufid", "Yes"},
    {"Truncate action", "trunc", "Yes"},
    {"Clone action", "clone", "Yes"},
    {"Sample nesting", "sample_nesting", "0"},
    {"Conntrack eventmask", "ct_eventmask", "No"},
    {"Conntrack clear", "ct_clear", "No"},
    {"Max dp_hash algorithm", "max_hash_alg", "0"},
    {"Check pkt length action", "check_pkt_len", "No"},
    {"Conntrack timeout policy", "ct_timeout", "No"},
    {"Explicit Drop action", "explicit_drop_action", "Yes"},
    {"Optimized Balance TCP mode", "lb_output_action", "No"},
    {"Conntrack all-zero IP SNAT", "ct_zero_snat", "No"},
    {"MPLS Label add", "add_mpls", "No"},
    {"Max VLAN headers", NULL, "2"},
    {"Max MPLS depth", NULL, "2"},
    {"Recirc", "recirc", "No"},
    {"CT state", "ct_state", "No"},
    {"CT zone", "ct_zone", "No"},
    {"CT mark", "ct_mark", "No"},
    {"CT label", "ct_label", "No"},
    {"CT state NAT", "ct_state_nat", "No"},
    {"CT orig tuple", "ct_orig_tuple", "No"},
    {"CT orig tuple for IPv6", "ct_orig_tuple6", "No"},
    {"IPv6 ND Extension", "nd_ext", "No"},
};

static int show_dp_features(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    if (!ctl_find_bridge(aux, args[0], out)) {
        return -ENOENT;
    }
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        strbuf_addf(out, "%s: %s\n", features[i].text, features[i].value);
    }
    return 0;
}

/* The words of a command line are true, false or a number. */
static bool is_value(const char *value, const char *word)
{
    return !strcmp(value, !strcmp(word, "true") ? "Yes" : !strcmp(word, "false") ? "No" : word);
}

/* Features are facts: they can be "set" to what they are. */
static int set_dp_features(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    if (n < 2) {
        return show_dp_features(aux, n, args, out);
    }
    if (!ctl_find_bridge(aux, args[0], out)) {
        return -ENOENT;
    }
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        if (features[i].key && !strcmp(features[i].key, args[1])) {
            if (n > 2 && !is_value(features[i].value, args[2])) {
                strbuf_addf(out, "%s is %s: that cannot be changed", args[1], features[i].value);
                return -EOPNOTSUPP;
            }
            if (n == 2) {
                strbuf_addf(out, "%s\n", features[i].value);
            }
            return 0;
        }
    }
    strbuf_addf(out, "unknown feature \"%s\"", args[1]);
    return -EINVAL;
}

/* --- the slow path --- */

static int upcall_show(void *aux, size_t n_args WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    struct switch_ctl *ctl = aux;
    int64_t start = time_mono_ms();
    megaflow_sync_stats(ctl->sw);
    size_t n = megaflow_count(ctl->sw);
    strbuf_addf(out, "%s:\n  flows         : (current %zu) (avg %zu) (max %zu) (limit %zu)\n",
                ctl_datapath_name(ctl->sw), n, (size_t)(ctl->average_flows + 0.5), MAX(n, ctl->max_flows),
                megaflow_limit(ctl->sw));
    strbuf_addf(out, "  dump duration : %" PRId64 "ms\n  ufid enabled : true\n\n  1: (keys %zu)\n",
                time_mono_ms() - start, n);
    return 0;
}

static int set_flow_limit(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    char *end;
    unsigned long limit = strtoul(args[0], &end, 10);
    if (*end || end == args[0] || args[0][0] == '-' || limit > 100000000) {
        strbuf_addf(out, "\"%s\" is no number of flows", args[0]);
        return -EINVAL;
    }
    megaflow_set_limits(aux, MAX(1, limit), 0);
    strbuf_addf(out, "set flow_limit to %lu\n", limit);
    return 0;
}

static int megaflows_always(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED,
                            struct strbuf *out)
{
    strbuf_add(out, "not supported: this datapath caches megaflows always");
    return -EOPNOTSUPP;
}

static int megaflows_enabled(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED,
                             struct strbuf *out)
{
    strbuf_add(out, "megaflows enabled");
    return 0;
}

static int revalidator_wait(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED,
                            struct strbuf *out WR_UNUSED)
{
    megaflow_revalidate_all(aux);
    megaflow_sync_stats(aux);
    return 0;
}

static int revalidator_purge(void *aux, size_t n WR_UNUSED, const char *const *args WR_UNUSED,
                             struct strbuf *out WR_UNUSED)
{
    megaflow_flush(aux);
    return 0;
}

void switch_ctl_dp_register(struct switch_ctl *ctl)
{
    static const struct ctl_command commands[] = {
        {"dpctl/del-flows", "[dp]", 0, 1, dpctl_del_flows},
        {"dpctl/dump-dps", "", 0, 0, dump_dps},
        {"dpctl/dump-flows", "[-m] [--names] [dp] [filter=..] [type=..]", 0, 6, dpctl_dump_flows},
        {"dpctl/get-flow", "[-m] [--names] [dp] ufid", 1, 4, dpctl_get_flow},
        {"dpctl/show", "[-s] [dp...]", 0, 8, dpctl_show},
        {"dpif/dump-dps", "", 0, 0, dump_dps},
        {"dpif/dump-flows", "[-m] [--names | --no-names] bridge", 1, 4, dpif_dump_flows},
        {"dpif/set-dp-features", "bridge [feature [value]]", 1, 3, set_dp_features},
        {"dpif/show", "", 0, 0, dpif_show},
        {"dpif/show-dp-features", "bridge", 1, 1, show_dp_features},
        {"revalidator/purge", "", 0, 0, revalidator_purge},
        {"revalidator/sweep", "", 0, 0, revalidator_wait},
        {"revalidator/wait", "", 0, 0, revalidator_wait},
        {"upcall/disable-megaflows", "", 0, 0, megaflows_always},
        {"upcall/enable-megaflows", "", 0, 0, megaflows_enabled},
        {"upcall/set-flow-limit", "flow-limit-number", 1, 1, set_flow_limit},
    };
    ctl_register(ctl->unixctl, commands, ARRAY_SIZE(commands), ctl->sw);
    unixctl_register(ctl->unixctl, "upcall/show", "", 0, 0, upcall_show, ctl);
}
