/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/neighbour.h"

#include <arpa/inet.h>
#include <string.h>

#include "packet/headers.h"
#include "switch/cls_mask.h"

#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ND_TTL 255 /* RFC 4861, 7.1 */
#define ND_FIRST 133
#define ND_LAST 137

/* The two stations and the family they talk in; what is the same in all of their packets. */
static struct flow_key pair_of(const struct flow_key *key)
{
    struct flow_key pair = {.in_port = key->in_port,
                            .pkt_mark = key->pkt_mark,
                            .tunnel = key->tunnel,
                            .eth_dst = key->eth_dst,
                            .eth_src = key->eth_src,
                            .eth_type = key->eth_type};

    memcpy(pair.vlan, key->vlan, sizeof pair.vlan);
    return pair;
}

static unsigned int arp_keys(const struct flow_key *key, struct flow_key ret[static NEIGHBOUR_KEYS])
{
    struct flow_key arp = pair_of(key);

    arp.eth_type = htons(ETH_TYPE_ARP);
    arp.ip_src = key->ip_src;
    arp.ip_dst = key->ip_dst;
    arp.arp_sha = key->eth_src;
    arp.ip_proto = ARP_REPLY;
    arp.arp_tha = key->eth_dst;
    ret[0] = arp;
    arp.ip_proto = ARP_REQUEST;
    memset(&arp.arp_tha, 0, sizeof arp.arp_tha);
    ret[1] = arp;
    memset(&arp.eth_dst, 0xff, sizeof arp.eth_dst);
    ret[2] = arp;
    return 3;
}

static unsigned int nd_keys(const struct flow_key *key, struct flow_key ret[static NEIGHBOUR_KEYS])
{
    struct flow_key nd = pair_of(key);
    const __u8 *dst = (const __u8 *)&key->ip_dst;

    nd.ip_src = key->ip_src;
    nd.ip_dst = key->ip_dst;
    nd.ip_proto = IP_PROTO_ICMPV6;
    nd.ip_ttl = ND_TTL;
    nd.tp_src = htons(ND_ADVERT);
    nd.nd_target = key->ip_src;
    ret[0] = nd; /* to one alone: without its link address (RFC 4861, 7.2.4) */
    nd.tp_src = htons(ND_SOLICIT);
    nd.nd_target = key->ip_dst;
    nd.arp_sha = key->eth_src;
    ret[1] = nd;
    /* The solicited-node address (RFC 4291, 2.7.1) and its Ethernet address (RFC 2464, 7). */
    nd.eth_dst = (struct eth_addr){{0x33, 0x33, 0xff, dst[13], dst[14], dst[15]}};
    nd.ip_dst = (struct ip_addr){.be32 = {htonl(0xff020000), 0, htonl(1), 0}};
    nd.ip_dst.be32[3] = htonl(0xff000000) | (key->ip_dst.be32[3] & htonl(0x00ffffff));
    ret[2] = nd;
    return 3;
}

static bool is_nd(const struct flow_key *key)
{
    return key->ip_proto == IP_PROTO_ICMPV6 && !key->ip_frag && ntohs(key->tp_src) >= ND_FIRST &&
           ntohs(key->tp_src) <= ND_LAST;
}

unsigned int neighbour_keys(const struct flow_key *key, struct flow_key ret[static NEIGHBOUR_KEYS])
{
    unsigned int n = 0;

    if (eth_addr_is_group(&key->eth_src) || eth_addr_is_group(&key->eth_dst)) {
        return 0;
    }
    switch (ntohs(key->eth_type)) {
    case ETH_TYPE_IPV4:
        n = arp_keys(key, ret);
        break;
    case ETH_TYPE_IPV6:
        n = is_nd(key) ? 0 : nd_keys(key, ret);
        break;
    default:
        break;
    }
    for (unsigned int i = 0; i < n; i++) {
        ret[i].dp_hash = flow_key_hash5(&ret[i]);
    }
    return n;
}

/* What ACTIONS make of the packet *AT, and where it leaves. False: another packet than one that only changed its tags,
 * or not just one. */
static bool follow(const void *actions, size_t len, struct flow_key *at)
{
    bool out = false;

    DP_ACTION_FOR_EACH(a, actions, len) {
        switch ((enum dp_action_type)a->type) {
        case DP_ACTION_OUTPUT:
            if (out) {
                return false;
            }
            at->in_port = dp_port(a->arg);
            out = true;
            break;
        case DP_ACTION_SET_TUNNEL:
            at->tunnel = ((const struct dp_action_tunnel *)(const void *)a)->tunnel;
            break;
        case DP_ACTION_PUSH_VLAN:
            at->vlan[1] = at->vlan[0];
            at->vlan[0] = ((const struct dp_action_vlan *)(const void *)a)->vlan;
            at->vlan[0].tci |= htons(FLOW_VLAN_PRESENT);
            break;
        case DP_ACTION_POP_VLAN:
            at->vlan[0] = at->vlan[1];
            at->vlan[1] = (struct flow_vlan){0};
            break;
        case DP_ACTION_SET: {
            const struct dp_action_set *s = (const struct dp_action_set *)(const void *)a;

            if (a->arg & ~DP_SET_VLAN) {
                return false;
            }
            at->vlan[0].tci = (at->vlan[0].tci & ~s->mask.vlan[0].tci) | (s->key.vlan[0].tci & s->mask.vlan[0].tci);
            break;
        }
        case DP_ACTION_METER:
        case DP_ACTION_SET_PRIORITY:
            break;
        default:
            return false;
        }
    }
    return out;
}

bool neighbour_answer(const struct flow_key *key, const void *actions, size_t actions_len, struct flow_key *ret)
{
    struct flow_key keys[NEIGHBOUR_KEYS], at = *key;
    struct flow_tunnel t;

    at.tunnel = (struct flow_tunnel){0};
    at.pkt_mark = 0;
    if (!follow(actions, actions_len, &at)) {
        return false;
    }
    t = at.tunnel;
    if (memcmp(&t, &(struct flow_tunnel){0}, sizeof t) != 0) {
        if (ip_addr_is_zero(&t.src)) {
            return false;
        }
        at.tunnel = (struct flow_tunnel){.id = t.id, .src = t.dst, .dst = t.src, .flags = t.flags & FLOW_TNL_KEY};
    }
    at.eth_src = key->eth_dst;
    at.eth_dst = key->eth_src;
    at.ip_src = key->ip_dst;
    at.ip_dst = key->ip_src;
    if (!neighbour_keys(&at, keys)) {
        return false;
    }
    *ret = keys[0];
    return true;
}

bool neighbours_ask(struct neighbours *n, const struct flow_key *key, int64_t now)
{
    const struct flow_key stations = pair_of(key);
    uint32_t pair = cls_hash_key(&stations), at = pair % NEIGHBOUR_SEEN;

    if (n->seen[at].pair == pair && n->seen[at].seen_ms && now - n->seen[at].seen_ms < NEIGHBOUR_AGAIN_MS) {
        return false;
    }
    if (now - n->window_ms >= NEIGHBOUR_WINDOW_MS) {
        n->window_ms = now;
        n->n_window = 0;
    }
    if (n->n_window >= NEIGHBOUR_PAIRS) {
        return false;
    }
    n->n_window++;
    n->seen[at].pair = pair;
    n->seen[at].seen_ms = now;
    return true;
}
