/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/trace_ctl.h"

#include "base/util.h"
#include "openflow/text.h"
#include "packet/compose.h"
#include "switch/switch_private.h"
#include "switch/translate.h"

/* What is to be traced. */
struct trace {
    struct bridge *br;       /* NULL: a datapath flow, whose in_port tells the bridge */
    const struct bridge *of; /* the bridge that the flow's text speaks of */
    struct flow flow;
    struct packet *packet; /* owned; NULL: none */
    struct ofpacts actions;
    bool packet_out;
};

static void trace_done(struct trace *t)
{
    packet_free(t->packet);
    ofpacts_done(&t->actions);
}
#define _cleanup_trace_ _cleanup_(trace_done)

static int fail(struct strbuf *out, char *error)
{
    strbuf_add(out, error);
    free(error);
    return -EINVAL;
}

/* A flow of BR: its datapath port is that of its OpenFlow port. */
static int read_bridge_flow(struct trace *t, const char *text, struct strbuf *out)
{
    struct name_map names = bridge_name_map(t->br);
    char *error = NULL;
    struct match m;
    struct port *port;

    if (match_parse(text, &names, &m, &error)) {
        strbuf_add(out, "Bad openflow flow syntax: ");
        strbuf_addf(out, "%s: ", text);
        return fail(out, error);
    }
    t->flow = m.value;
    t->of = t->br;
    port = bridge_port_by_ofp(t->br, t->flow.in_port);
    t->flow.key.in_port = port ? port->dp_port : DP_PORT_NONE;
    if (t->flow.key.tunnel.id) {
        t->flow.key.tunnel.flags |= FLOW_TNL_KEY;
    }
    t->flow.key.dp_hash = flow_key_hash5(&t->flow.key);
    return 0;
}

static int read_dp_flow(struct switch_ *sw, struct trace *t, const char *text, struct strbuf *out)
{
    char *error = NULL;
    struct port *port;

    if (dp_flow_parse(text, &t->flow, &error)) {
        return fail(out, error);
    }
    port = switch_port_by_dp(sw, t->flow.key.in_port);
    if (port) {
        t->of = port->bridge;
        t->flow.in_port = port->ofp_port;
    }
    return 0;
}

/* "-generate", or bytes, whose fields replace those of the flow. */
static int read_packet(struct trace *t, const char *text, struct strbuf *out)
{
    struct flow_key key;

    if (!strcmp(text, "-generate") || !strcmp(text, "--generate")) {
        t->packet = packet_compose(&t->flow.key);
        return 0;
    }
    if (packet_parse(text, &t->packet)) {
        strbuf_add(out, "Trailing garbage in packet data");
        return -EINVAL;
    }
    t->packet->in_port = t->flow.key.in_port;
    t->packet->pkt_mark = t->flow.key.pkt_mark;
    t->packet->tunnel = t->flow.key.tunnel;
    flow_key_extract(t->packet, &key);
    t->flow.key = key;
    return 0;
}

/* [dp] odp_flow [packet] | bridge br_flow [packet] */
static int read_args(struct switch_ *sw, struct trace *t, size_t n, const char *const *args, struct strbuf *out)
{
    bool dp_first = n >= 2 && !strchr(args[0], '(') && strchr(args[1], '(');
    size_t used = 1;
    int error;

    t->br = n >= 2 ? bridge_find(sw, args[0]) : NULL;
    if (t->br) {
        error = read_bridge_flow(t, args[1], out);
        used = 2;
    } else if (n >= 2 && !strchr(args[0], '(') && !dp_first) {
        strbuf_addf(out, "%s: unknown bridge", args[0]);
        return -ENOENT;
    } else {
        error = read_dp_flow(sw, t, args[dp_first], out);
        used += dp_first;
    }
    if (error || used == n) {
        return error;
    }
    if (used + 1 < n) {
        strbuf_addf(out, "%s: too many arguments", args[n - 1]);
        return -EINVAL;
    }
    return read_packet(t, args[used], out);
}

static int run(struct switch_ *sw, struct trace *t, struct strbuf *out)
{
    struct xlate_in in = {
        .sw = sw,
        .key = &t->flow.key,
        .packet = t->packet,
        .effects = t->packet,
        .now = time_mono_ms(),
        .trace = out,
        .bridge = t->br,
        .flow = t->br ? &t->flow : NULL,
        .in_port = t->flow.in_port,
        .packet_out = t->packet_out,
        .actions = t->actions.data,
        .actions_len = t->actions.len,
    };
    struct xlate_out result;

    strbuf_add(out, "Flow: ");
    flow_format_all(t->of, &t->flow, out);
    strbuf_add(out, "\n");
    translate(&in, &result);
    if (t->packet) {
        xlate_effects_run(result.effects, result.n_effects, 0, 0, 0, in.now);
    }
    xlate_out_done(&result);
    return 0;
}

static int trace(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    _cleanup_trace_ struct trace t = {0};
    int error = read_args(aux, &t, n, args, out);

    return error ? error : run(aux, &t, out);
}

static int trace_packet_out(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    _cleanup_trace_ struct trace t = {.packet_out = true};
    struct name_map names;
    char *text_error = NULL;
    int error;

    error = read_args(aux, &t, n - 1, args, out);
    if (!error && !t.br) {
        strbuf_addf(out, "%s: unknown bridge", args[0]);
        error = -ENOENT;
    }
    if (error) {
        return error;
    }
    names = bridge_name_map(t.br);
    if (ofpacts_parse(args[n - 1], &names, &t.actions, &text_error)) {
        return fail(out, text_error);
    }
    return run(aux, &t, out);
}

void trace_ctl_register(struct unixctl *u, struct switch_ *sw)
{
    unixctl_register(u, "ofproto/trace", "{[dp_name] odp_flow | bridge br_flow} [-generate|packet]", 1, 3, trace, sw);
    unixctl_register(u, "ofproto/trace-packet-out", "bridge br_flow [-generate|packet] actions", 3, 4, trace_packet_out,
                     sw);
}
