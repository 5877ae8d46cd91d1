/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions that pick by a hash of the packet (ovs-actions(7)): multipath writes the number of a link into a field,
 * bundle outputs to one of its live members, or writes its port number. The megaflow then depends on what was hashed,
 * and on nothing else of the packet.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "switch/translate_private.h"

/* The finalizer of MurmurHash3. */
static uint32_t mix(uint32_t v)
{
    v = (v ^ v >> 16) * 0x85ebca6bu;
    v = (v ^ v >> 13) * 0xc2b2ae35u;
    return v ^ v >> 16;
}

static uint32_t hash_bytes(const void *p, size_t n, uint32_t hash)
{
    const uint8_t *b = p;

    for (; n >= 4; n -= 4, b += 4) {
        uint32_t word;

        memcpy(&word, b, sizeof word);
        hash = mix(hash * 31 + word);
    }
    while (n--) {
        hash = mix(hash * 31 + *b++);
    }
    return hash;
}

/* The same whichever of A and B is which. */
static uint32_t hash_pair(const void *a, const void *b, size_t n, uint32_t hash)
{
    uint8_t either[16];

    for (size_t i = 0; i < n; i++) {
        either[i] = ((const uint8_t *)a)[i] ^ ((const uint8_t *)b)[i];
    }
    return hash_bytes(either, n, hash);
}

static bool is_ip(const struct flow_key *k)
{
    return k->eth_type == htons(0x0800) || k->eth_type == htons(0x86dd);
}

static uint32_t hash_l3(struct xlate_ctx *x, uint32_t hash)
{
    const struct flow_key *k = &x->s.flow.key;
    struct flow look = {0};

    if (!is_ip(k)) {
        return hash;
    }
    memset(&look.key.ip_src, 0xff, sizeof look.key.ip_src);
    memset(&look.key.ip_dst, 0xff, sizeof look.key.ip_dst);
    xlate_look(x, &look);
    return hash_pair(&k->ip_src, &k->ip_dst, sizeof k->ip_src, hash);
}

/* Protocol and ports. UDP's are left out where fragments and fat tunnels must not be told apart. */
static uint32_t hash_l4(struct xlate_ctx *x, bool udp, uint32_t hash)
{
    const struct flow_key *k = &x->s.flow.key;
    struct flow look = {.key.ip_proto = 0xff};

    if (!is_ip(k)) {
        return hash;
    }
    xlate_look(x, &look);
    hash = hash_bytes(&k->ip_proto, 1, hash);
    if (!k->ip_frag &&
        (k->ip_proto == IPPROTO_TCP || k->ip_proto == IPPROTO_SCTP || (udp && k->ip_proto == IPPROTO_UDP))) {
        look.key.tp_src = look.key.tp_dst = 0xffff;
        xlate_look(x, &look);
        hash = hash_pair(&k->tp_src, &k->tp_dst, sizeof k->tp_src, hash);
    }
    return hash;
}

static uint32_t hash_l2(struct xlate_ctx *x, uint32_t hash)
{
    const struct flow_key *k = &x->s.flow.key;
    struct flow look = {0};

    memset(&look.key.eth_src, 0xff, sizeof look.key.eth_src);
    memset(&look.key.eth_dst, 0xff, sizeof look.key.eth_dst);
    xlate_look(x, &look);
    for (size_t i = 0; i < XLATE_N_VLANS && vlan_present(x->s.vlans[i]); i++) {
        __be16 vid = x->s.vlans[i].tci & htons(0x0fff);

        hash = hash_bytes(&vid, sizeof vid, hash);
    }
    memset(look.key.vlan, 0xff, sizeof look.key.vlan);
    xlate_look(x, &look);
    hash = hash_bytes(&k->eth_type, sizeof k->eth_type, hash);
    return hash_pair(&k->eth_src, &k->eth_dst, sizeof k->eth_src, hash);
}

static uint32_t hash_packet(struct xlate_ctx *x, enum nx_hash_fields fields, uint16_t basis)
{
    const struct flow_key *k = &x->s.flow.key;
    bool src = fields == NX_HASH_NW_SRC;
    struct flow look = {0};

    xlate_reveal(x);
    switch (fields) {
    case NX_HASH_ETH_SRC:
        memset(&look.key.eth_src, 0xff, sizeof look.key.eth_src);
        xlate_look(x, &look);
        return hash_bytes(&k->eth_src, sizeof k->eth_src, basis);
    case NX_HASH_SYMMETRIC_L4:
        return hash_l4(x, false, hash_l3(x, hash_l2(x, basis)));
    case NX_HASH_SYMMETRIC_L3L4:
        return hash_l4(x, false, hash_l3(x, basis));
    case NX_HASH_SYMMETRIC_L3L4_UDP:
        return hash_l4(x, true, hash_l3(x, basis));
    case NX_HASH_SYMMETRIC_L3:
        return hash_l3(x, basis);
    case NX_HASH_NW_SRC:
    case NX_HASH_NW_DST:
        if (!is_ip(k)) {
            return basis;
        }
        memset(src ? &look.key.ip_src : &look.key.ip_dst, 0xff, sizeof look.key.ip_src);
        xlate_look(x, &look);
        return hash_bytes(src ? &k->ip_src : &k->ip_dst, sizeof k->ip_src, basis);
    }
    return basis;
}

/* ---- multipath ---- */

/* Highest random weight: when the number of links changes, only the flows of the links that went move. */
static uint32_t pick_hrw(uint32_t hash, uint32_t n)
{
    uint32_t best = 0, best_weight = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t weight = mix(hash ^ mix(i + 1));

        if (!i || weight > best_weight) {
            best = i;
            best_weight = weight;
        }
    }
    return best;
}

/* New hashes until one is of a link there is, among a power of two of them. */
static uint32_t pick_iter_hash(uint32_t hash, uint32_t n, uint32_t arg)
{
    uint32_t mask = n > 1 ? UINT32_MAX >> __builtin_clz(n - 1) : 0, i = 0, link;

    do {
        link = mix(hash ^ mix(arg + i)) & mask;
    } while (link >= n && ++i < 64);
    return link < n ? link : hash % n;
}

static uint32_t pick_link(const struct ofpact_multipath *m, uint32_t hash)
{
    uint32_t n = m->max_link + 1u;

    switch ((enum multipath_algorithm)m->algorithm) {
    case MULTIPATH_MODULO_N:
        return hash % n;
    case MULTIPATH_HASH_THRESHOLD:
        return (uint32_t)((uint64_t)hash * n >> 32);
    case MULTIPATH_HRW:
        return pick_hrw(hash, n);
    case MULTIPATH_ITER_HASH:
        return pick_iter_hash(hash, n, m->arg);
    }
    return 0;
}

void xlate_multipath(struct xlate_ctx *x, const struct ofpact_multipath *m)
{
    union field_value v;

    if (!xlate_can_use(x, m->dst.field)) {
        return;
    }
    v = field_value_from_u64(pick_link(m, hash_packet(x, (enum nx_hash_fields)m->fields, m->basis)));
    xlate_write_subfield(x, &m->dst, &v);
}

/* ---- bundle ---- */

/* A port of the bridge that is up, or one that there always is. */
static bool is_live(const struct xlate_ctx *x, ofp_port_t n)
{
    const struct port *port = bridge_port_by_ofp(x->s.br, n);

    return port ? !(port->config & PORT_CONFIG_DOWN) && !(port->state & PORT_STATE_LINK_DOWN)
                : n != OFPP_LOCAL && ofp_port_u32(n) >= 0xffffff00;
}

static ofp_port_t pick_member(struct xlate_ctx *x, const struct ofpact_bundle *b)
{
    uint32_t hash = 0, best_weight = 0;
    ofp_port_t best = OFPP_ANY;

    xlate_depend(x, &x->s.br->links_changed);
    if (b->algorithm == BUNDLE_HRW) {
        hash = hash_packet(x, (enum nx_hash_fields)b->fields, b->basis);
    }
    for (uint32_t i = 0; i < b->n_members; i++) {
        uint32_t weight = mix(hash ^ mix(i + 1));

        if (!is_live(x, b->members[i]) || (best != OFPP_ANY && weight <= best_weight)) {
            continue;
        }
        best = b->members[i];
        best_weight = weight;
        if (b->algorithm == BUNDLE_ACTIVE_BACKUP) {
            break;
        }
    }
    return best;
}

void xlate_bundle(struct xlate_ctx *x, const struct ofpact_bundle *b)
{
    ofp_port_t port = pick_member(x, b);
    union field_value v;

    if (!b->dst.field) {
        if (port == OFPP_ANY) {
            xlate_trace(x, "no member is up");
            xlate_note_drop(x, DROP_BUNDLE);
        } else {
            xlate_output(x, port);
        }
        return;
    }
    v = field_value_from_u64(ofp_port_u32(port) & 0xffff); /* as OpenFlow 1.0 numbers ports */
    xlate_write_subfield(x, &b->dst, &v);
}
