/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text that a walk leaves behind for ofproto/trace: bridges, tables with the rule that matched, each action as it
 * runs with what came of it, and at the end the flow, the mask and the datapath's actions. The shape is Open vSwitch's,
 * which people and their scripts read.
 */
#include <stdarg.h>
#include <stdio.h>

#include "datapath/format.h"
#include "openflow/text.h"
#include "packet/tunnel_opts.h"
#include "switch/translate_private.h"

#define INDENT 4
#define INDENT_MAX 80u

static void indent(struct xlate_ctx *x, unsigned int more)
{
    strbuf_addf(x->in->trace, "%*s", (int)(MIN(x->trace_depth * INDENT, INDENT_MAX) + more), "");
}

void xlate_trace(struct xlate_ctx *x, const char *fmt, ...)
{
    char line[256];
    va_list args;

    if (x->in->trace) {
        va_start(args, fmt);
        vsnprintf(line, sizeof line, fmt, args);
        va_end(args);
        indent(x, 1);
        strbuf_addf(x->in->trace, "-> %s\n", line);
    }
}

void xlate_trace_bridge(struct xlate_ctx *x)
{
    struct strbuf *b = x->in->trace;

    if (b) {
        strbuf_addf(b, "\nbridge(\"%s\")\n", x->s.br->name);
        for (size_t n = strlen(x->s.br->name) + strlen("bridge(\"\")"); n; n--) {
            strbuf_add(b, "-");
        }
        strbuf_add(b, "\n");
    }
}

void xlate_trace_rule(struct xlate_ctx *x, table_id_t table, const struct rule *rule)
{
    struct strbuf *b = x->in->trace;
    struct name_map names;
    size_t before;
    struct match m;

    if (!b) {
        return;
    }
    indent(x, 0);
    strbuf_addf(b, "%2u. ", table);
    if (!rule) {
        strbuf_add(b, "No match.\n");
        return;
    }
    rule_get_match(rule, &m);
    names = bridge_name_map(x->s.br);
    before = b->len;
    match_format(&m, &names, b);
    strbuf_addf(b, "%spriority %d", b->len > before ? ", " : "", rule->cls.priority);
    if (rule->cookie) {
        strbuf_addf(b, ", cookie %#llx", (unsigned long long)__builtin_bswap64(rule->cookie));
    }
    strbuf_add(b, "\n");
}

void xlate_trace_action(struct xlate_ctx *x, const struct ofpact *a)
{
    struct name_map names;

    if (x->in->trace) {
        names = bridge_name_map(x->s.br);
        indent(x, 0);
        ofpacts_format(a, a->len, &names, x->in->trace);
        strbuf_add(x->in->trace, "\n");
    }
}

/* As a flow of the bridge where the packet came in: its port has the bridge's number and name. */
static void format_key(const struct bridge *br, const struct flow *flow, const struct flow_key *mask, struct strbuf *b)
{
    struct name_map names = {0};
    struct match m = {.mask.key = *mask, .mask.in_port = ofp_port(UINT32_MAX)};

    if (br) {
        names = bridge_name_map((struct bridge *)br);
    }
    flow_key_and(&m.value.key, &flow->key, mask);
    m.value.in_port = flow->in_port;
    m.mask.metadata = flow->metadata ? UINT64_MAX : 0;
    m.value.metadata = flow->metadata;
    for (size_t i = 0; i < FLOW_N_REGS; i++) {
        m.value.regs[i] = flow->regs[i];
        m.mask.regs[i] = flow->regs[i] ? UINT32_MAX : 0;
    }
    m.value.tun_metadata = flow->tun_metadata;
    m.mask.tun_metadata.present = flow->tun_metadata.present;
    memset(m.mask.tun_metadata.opts, flow->tun_metadata.present ? 0xff : 0, sizeof m.mask.tun_metadata.opts);
    match_format(&m, &names, b);
}

void flow_format_all(const struct bridge *br, const struct flow *flow, struct strbuf *b)
{
    const struct flow_key *k = &flow->key;
    bool ipv4 = k->eth_type == htons(0x0800), ipv6 = k->eth_type == htons(0x86dd);
    bool arp = k->eth_type == htons(0x0806) || k->eth_type == htons(0x8035);
    bool l4 = (ipv4 || ipv6) && !(k->ip_frag & FLOW_FRAG_LATER);
    struct flow_key mask = {.eth_type = htons(0xffff), .vlan[0].tci = htons(0xffff)};

    mask.pkt_mark = k->pkt_mark ? UINT32_MAX : 0;
    memset(&mask.eth_dst, 0xff, sizeof mask.eth_dst);
    memset(&mask.eth_src, 0xff, sizeof mask.eth_src);
    if (k->tunnel.dst.u64[0] | k->tunnel.dst.u64[1] | k->tunnel.id) {
        memset(&mask.tunnel, 0xff, sizeof mask.tunnel);
        mask.tunnel.flags = k->tunnel.flags & FLOW_TNL_OAM;
    }
    if (ipv4 || ipv6 || arp) {
        memset(&mask.ip_src, 0xff, sizeof mask.ip_src);
        memset(&mask.ip_dst, 0xff, sizeof mask.ip_dst);
        mask.ip_proto = 0xff;
    }
    if (arp) {
        memset(&mask.arp_sha, 0xff, sizeof mask.arp_sha);
        memset(&mask.arp_tha, 0xff, sizeof mask.arp_tha);
    }
    if (ipv4 || ipv6) {
        mask.ip_tos = mask.ip_ttl = mask.ip_frag = 0xff;
        mask.ipv6_label = ipv6 ? htonl(0xfffff) : 0;
    }
    if (l4 && (k->ip_proto == 6 || k->ip_proto == 17 || k->ip_proto == 132 || k->ip_proto == (ipv4 ? 1 : 58))) {
        mask.tp_src = mask.tp_dst = htons(0xffff);
        mask.tcp_flags = k->ip_proto == 6 ? htons(0xfff) : 0;
    }
    if (ipv6 && l4 && k->ip_proto == 58 && (k->tp_src == htons(135) || k->tp_src == htons(136))) {
        memset(&mask.nd_target, 0xff, sizeof mask.nd_target);
        memset(k->tp_src == htons(135) ? &mask.arp_sha : &mask.arp_tha, 0xff, sizeof mask.arp_sha);
    }
    if (k->eth_type == htons(0x8847) || k->eth_type == htons(0x8848)) {
        mask.mpls_lse[0] = htonl(UINT32_MAX);
    }
    format_key(br, flow, &mask, b);
}

/* The flow as it came in. */
static struct flow start_of(const struct xlate_ctx *x)
{
    struct flow start = {.key = *x->in->key, .in_port = x->s.flow.in_port};
    size_t len;
    const uint8_t *opts = tunnel_opts_get(start.key.tunnel.opts_id, &len);

    start.actset_output = x->s.flow.actset_output;
    start.conj_id = x->s.flow.conj_id;
    if (opts) {
        tlv_map_read(&x->out->bridge->tlv_map, opts, len, &start.tun_metadata);
    }
    return start;
}

void xlate_trace_finish(struct xlate_ctx *x)
{
    struct strbuf *b = x->in->trace;
    const struct bridge *br = x->out->bridge;
    struct flow start;

    if (!b) {
        return;
    }
    start = br ? start_of(x) : x->s.flow;
    strbuf_add(b, "\n");
    if (x->out->drop) { /* before the last three lines, which scripts count from the end */
        strbuf_addf(b, "Drop reason: %s (%s)\n", drop_reason_name(x->out->drop), drop_reason_text(x->out->drop));
    }
    strbuf_add(b, "Final flow: ");
    if (!br || !memcmp(&start, &x->s.flow, sizeof start)) {
        strbuf_add(b, "unchanged");
    } else {
        flow_format_all(br, &x->s.flow, b);
    }
    strbuf_add(b, "\nMegaflow: recirc_id=0,eth");
    if (br) {
        if (x->out->mask.dp_hash) {
            strbuf_addf(b, ",dp_hash=%#x/%#x", start.key.dp_hash & x->out->mask.dp_hash, x->out->mask.dp_hash);
        }
        strbuf_add(b, ",");
        start.tun_metadata.present = 0;
        format_key(br, &start, &x->out->mask, b);
    } else {
        strbuf_add(b, ",");
        dp_key_format(x->in->key, &x->out->mask, b);
    }
    strbuf_add(b, "\nDatapath actions: ");
    if (x->out->slow && !x->out->actions_len) {
        strbuf_add(b, x->out->slow_action ? "drop" : "userspace(controller)");
    } else if (x->out->drop) {
        strbuf_add(b, "drop");
    } else {
        dp_actions_format((const void *)x->out->actions, x->out->actions_len, b);
    }
    strbuf_add(b, "\n");
    if (x->out->slow) {
        strbuf_add(b, "This flow is handled by the userspace slow path because it:\n"
                      "  - ");
        strbuf_add(b, x->out->slow_action ? "Uses action(s) not supported by datapath.\n"
                                          : "Sends \"packet-in\" messages to the OpenFlow controller.\n");
    }
}
