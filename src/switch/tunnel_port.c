/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/tunnel_port.h"

#include <endian.h>
#include <stdio.h>

#include "packet/tunnel.h"

/* What a port receives. Wild parts are zero and told apart by `wild`. */
struct tunnel_sel {
    struct ip_addr remote, local;
    uint64_t key;
    uint64_t wild; /* WILD_* */
};

#define WILD_REMOTE 1u
#define WILD_LOCAL 2u
#define WILD_KEY 4u
#define LOCAL_FLOW 8u /* with WILD_LOCAL: local_ip=flow, a port of its own that comes after one without local_ip */

struct tunnel_entry {
    struct tunnel_sel sel;
    struct port *port;
    UT_hash_handle hh;
};

static const struct {
    enum dp_port_kind dp_kind;
    uint16_t udp_port;
    uint32_t key_max;
} types[] = {
    [TUNNEL_VXLAN] = {DP_PORT_VXLAN, 4789, 0xffffff},
    [TUNNEL_GRE] = {DP_PORT_GRE, 0, 0xffffffff},
    [TUNNEL_GENEVE] = {DP_PORT_GENEVE, 6081, 0xffffff},
};

uint16_t tunnel_default_port(enum tunnel_type type)
{
    return types[type].udp_port;
}

int tunnel_config_check(const struct tunnel_config *c)
{
    if ((unsigned int)c->type >= ARRAY_SIZE(types) || c->remote == TUNNEL_NONE ||
        (c->in_key == TUNNEL_FIXED && c->in_key_value > types[c->type].key_max) ||
        (c->out_key == TUNNEL_FIXED && c->out_key_value > types[c->type].key_max)) {
        return -EINVAL;
    }
    if (c->remote == TUNNEL_FIXED && c->local == TUNNEL_FIXED) {
        bool remote_v4 = !c->remote_ip.u64[0] && c->remote_ip.be32[2] == htobe32(0xffff);
        bool local_v4 = !c->local_ip.u64[0] && c->local_ip.be32[2] == htobe32(0xffff);

        return remote_v4 == local_v4 ? 0 : -EINVAL;
    }
    return 0;
}

static struct tunnel_sel sel_of(const struct tunnel_config *c)
{
    struct tunnel_sel sel = {0};

    if (c->remote == TUNNEL_FIXED) {
        sel.remote = c->remote_ip;
    } else {
        sel.wild |= WILD_REMOTE;
    }
    if (c->local == TUNNEL_FIXED) {
        sel.local = c->local_ip;
    } else {
        sel.wild |= WILD_LOCAL | (c->local == TUNNEL_FLOW ? LOCAL_FLOW : 0);
    }
    if (c->in_key == TUNNEL_FLOW) {
        sel.wild |= WILD_KEY;
    } else if (c->in_key == TUNNEL_FIXED) {
        sel.key = c->in_key_value;
    }
    return sel;
}

static struct tunnel_entry *find_entry(const struct tunnel_dp_port *dp, const struct tunnel_sel *sel)
{
    struct tunnel_entry *e;

    HASH_FIND(hh, dp->entries, sel, sizeof *sel, e);
    return e;
}

struct tunnel_dp_port *tunnel_dp_port_find(const struct switch_ *sw, dp_port_t dp_port)
{
    struct tunnel_dp_port *dp = sw->tunnel_dp_ports;

    while (dp && dp->dp_port != dp_port) {
        dp = dp->next;
    }
    return dp;
}

static int dp_get(struct switch_ *sw, const struct tunnel_config *c, struct tunnel_dp_port **ret)
{
    uint16_t udp_port = c->type == TUNNEL_GRE ? 0 : c->dst_port ? c->dst_port : types[c->type].udp_port;
    struct tunnel_dp_port *dp;
    char name[32];
    int error;

    for (dp = sw->tunnel_dp_ports; dp; dp = dp->next) {
        if (dp->type == c->type && dp->udp_port == udp_port) {
            *ret = dp;
            return 0;
        }
    }
    if (udp_port) {
        snprintf(name, sizeof name, "%s_sys_%u", tunnel_type_name(c->type), udp_port);
    } else {
        snprintf(name, sizeof name, "%s_sys", tunnel_type_name(c->type));
    }
    dp = xcalloc(1, sizeof *dp);
    dp->type = c->type;
    dp->udp_port = udp_port;
    error = dp_port_add(sw->dp,
                        &(struct dp_port_spec){.kind = types[c->type].dp_kind, .name = name, .udp_dst_port = udp_port},
                        &dp->dp_port);
    if (error) {
        free(dp);
        return error;
    }
    dp->next = sw->tunnel_dp_ports;
    sw->tunnel_dp_ports = dp;
    *ret = dp;
    return 0;
}

static void dp_put_if_unused(struct switch_ *sw, struct tunnel_dp_port *dp)
{
    struct tunnel_dp_port **p = &sw->tunnel_dp_ports;

    if (dp->n_ports) {
        return;
    }
    while (*p != dp) {
        p = &(*p)->next;
    }
    *p = dp->next;
    dp_port_del(sw->dp, dp->dp_port);
    free(dp->ports);
    free(dp);
}

int tunnel_port_attach(struct switch_ *sw, struct port *port)
{
    struct tunnel_dp_port *dp;
    struct tunnel_entry *e;
    struct tunnel_sel sel = sel_of(&port->tunnel);
    int error = dp_get(sw, &port->tunnel, &dp);

    if (error) {
        return error;
    }
    if (find_entry(dp, &sel)) {
        dp_put_if_unused(sw, dp);
        return -EEXIST;
    }
    e = xcalloc(1, sizeof *e);
    e->sel = sel;
    e->port = port;
    HASH_ADD(hh, dp->entries, sel, sizeof e->sel, e);
    dp->ports = xrealloc(dp->ports, (dp->n_ports + 1) * sizeof *dp->ports);
    dp->ports[dp->n_ports++] = port;
    port->dp_port = dp->dp_port;
    return 0;
}

void tunnel_port_detach(struct switch_ *sw, struct port *port)
{
    struct tunnel_dp_port *dp = tunnel_dp_port_find(sw, port->dp_port);
    struct tunnel_sel sel = sel_of(&port->tunnel);
    struct tunnel_entry *e;

    if (!dp) {
        return;
    }
    e = find_entry(dp, &sel);
    if (e && e->port == port) {
        HASH_DELETE(hh, dp->entries, e);
        free(e);
    }
    for (size_t i = 0; i < dp->n_ports; i++) {
        if (dp->ports[i] == port) {
            dp->ports[i] = dp->ports[--dp->n_ports];
            break;
        }
    }
    port->dp_port = DP_PORT_NONE;
    dp_put_if_unused(sw, dp);
}

static bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return a->u64[0] == b->u64[0] && a->u64[1] == b->u64[1];
}

/* Why nobody takes it: does some port know that remote (and local), and only the key is foreign? */
static enum drop_reason why_unknown(const struct tunnel_dp_port *dp, const struct flow_tunnel *t)
{
    for (size_t i = 0; i < dp->n_ports; i++) {
        const struct tunnel_config *c = &dp->ports[i]->tunnel;

        if ((c->remote == TUNNEL_FLOW || ip_equal(&c->remote_ip, &t->src)) &&
            (c->local != TUNNEL_FIXED || ip_equal(&c->local_ip, &t->dst))) {
            return DROP_TUNNEL_UNKNOWN_KEY;
        }
    }
    return DROP_TUNNEL_UNKNOWN_REMOTE;
}

struct port *tunnel_port_receive(const struct tunnel_dp_port *dp, const struct flow_key *key,
                                 enum drop_reason *ret_reason)
{
    static const uint8_t order[] = {
        0,
        WILD_LOCAL,
        WILD_LOCAL | LOCAL_FLOW,
        WILD_REMOTE,
        WILD_REMOTE | WILD_LOCAL,
        WILD_REMOTE | WILD_LOCAL | LOCAL_FLOW,
        WILD_KEY,
        WILD_KEY | WILD_LOCAL,
        WILD_KEY | WILD_LOCAL | LOCAL_FLOW,
        WILD_KEY | WILD_REMOTE,
        WILD_KEY | WILD_REMOTE | WILD_LOCAL,
        WILD_KEY | WILD_REMOTE | WILD_LOCAL | LOCAL_FLOW,
    };
    const struct flow_tunnel *t = &key->tunnel;

    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        struct tunnel_sel sel = {.wild = order[i]};
        const struct tunnel_entry *e;

        if (!(order[i] & WILD_REMOTE)) {
            sel.remote = t->src;
        }
        if (!(order[i] & WILD_LOCAL)) {
            sel.local = t->dst;
        }
        if (!(order[i] & WILD_KEY)) {
            sel.key = be64toh(t->id);
        }
        e = find_entry(dp, &sel);
        if (e) {
            return e->port;
        }
    }
    *ret_reason = why_unknown(dp, t);
    return NULL;
}

#define ECN_MASK 3u
enum { ECN_NOT_ECT, ECN_ECT1, ECN_ECT0, ECN_CE }; /* RFC 3168, 5 */

bool tunnel_receive_ecn(struct flow_key *key, struct flow_key *looked)
{
    uint8_t outer = key->tunnel.tos & ECN_MASK, inner = key->ip_tos & ECN_MASK;

    if (key->eth_type != htobe16(0x0800) && key->eth_type != htobe16(0x86dd)) {
        return true;
    }
    looked->tunnel.tos |= ECN_MASK;
    if (outer != ECN_CE && outer != ECN_ECT1) {
        return true;
    }
    looked->ip_tos |= ECN_MASK;
    if (outer == ECN_CE && inner == ECN_NOT_ECT) {
        return false;
    }
    if (outer == ECN_CE || inner == ECN_ECT0) {
        key->ip_tos = (uint8_t)((key->ip_tos & ~ECN_MASK) | outer);
    }
    return true;
}
