/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_MODEL_LIST_H
#define WARREN_TESTS_MODEL_LIST_H
/* Random action lists for model tests: what the switch would say to a packet, which is known, so that edits are those
 * of headers that it has when its turn comes. Needs model_twin.h. */
#include "model_twin.h"

#include "model_packet.h"
#include "packet/tunnel_opts.h"

struct list {
    size_t len;
    bool mpls; /* has labels pushed, popped or set */
    uint8_t b[8192] __attribute__((aligned(8)));
};

static void *list_add(struct list *l, enum dp_action_type type, size_t len, uint32_t arg)
{
    struct dp_action *a = (struct dp_action *)(void *)(l->b + l->len);

    assert_in_range(l->len + len, 1, sizeof(l->b));
    memset(a, 0, len);
    *a = (struct dp_action){(uint16_t)type, (uint16_t)len, arg};
    l->len += len;
    return a;
}

static struct dp_action *list_add_u32(struct list *l, enum dp_action_type type, uint32_t arg)
{
    return list_add(l, type, sizeof(struct dp_action), arg);
}

/* Of few sets, so that each is used again. */
static uint32_t random_options(void)
{
    uint8_t opts[] = {1, 2, (uint8_t)(3 + rnd(9)), 1, 5, 6, 7, (uint8_t)rnd(4), 1, 2, 4, 0};
    uint32_t id;

    opts[2] |= rnd(2) ? 0x80 : 0; /* critical */
    assert_int_equal(tunnel_opts_intern(opts, rnd(2) ? 8 : 12, &id), 0);
    return id;
}

static void random_output(struct list *l)
{
    uint32_t kind = rnd(N_TUNNEL_TYPES);
    struct dp_action_tunnel *set;
    bool v6 = !rnd(3);

    if (rnd(2)) {
        list_add_u32(l, DP_ACTION_OUTPUT, rnd(20) ? (rnd(2) ? PORT_OUT : PORT_OUT2) : PORT_NONE);
        return;
    }
    if (rnd(10)) { /* else the one before, or nobody says where to */
        set = list_add(l, DP_ACTION_SET_TUNNEL, sizeof(*set), 0);
        set->tunnel =
            (struct flow_tunnel){.id = htobe64(1 + rnd(3)),
                                 .dst = model_address(v6, 2),
                                 .flags = (uint16_t)((rnd(8) ? FLOW_TNL_KEY : 0) | (rnd(2) ? FLOW_TNL_DF : 0) |
                                                     (rnd(4) ? 0 : FLOW_TNL_CSUM) | (rnd(8) ? 0 : FLOW_TNL_OAM)),
                                 .tos = (uint8_t)(rnd(2) * 4),
                                 .ttl = (uint8_t)(rnd(8) ? 1 + rnd(255) : 0)};
        if (rnd(10)) { /* else the route's choice */
            set->tunnel.src = model_address(v6, 1);
        }
        if (kind == TUNNEL_GENEVE && !rnd(3)) {
            set->tunnel.opts_id = random_options();
        }
    }
    list_add_u32(l, DP_ACTION_OUTPUT, PORT_TUNNEL + kind);
}

/* A SET of some of those fields that P has. */
static void random_set(struct list *l, struct packet *p)
{
    struct dp_action_set one, *set = list_add(l, DP_ACTION_SET, sizeof(*set), 0);
    uint8_t *bytes = (uint8_t *)&set->key;
    struct flow_key key;

    for (size_t i = 0; i < sizeof(set->key) + sizeof(set->mask); i++) {
        bytes[i] = (uint8_t)rnd(256);
    }
    flow_key_extract(p, &key);
    if (key.eth_type == htobe16(ETH_TYPE_IPV4)) {
        set->mask.ip_src = (struct ip_addr){.be32 = {[3] = set->mask.ip_src.be32[3]}};
    }
    set->mask.ip_proto = rnd(2) ? 0xff : 0; /* ARP's opcode: all of it */
    set->mask.ipv6_label &= htobe32(0xfffff);
    set->mask.mpls_lse[0] &= htobe32(~MPLS_BOS);
    flow_key_and(&set->key, &set->key, &set->mask);
    for (uint32_t what = DP_SET_ETH; what <= DP_SET_VLAN; what <<= 1) {
        _cleanup_(packet_freep) struct packet *copy = packet_clone(p);

        one = *set;
        one.h.arg = set->h.arg | what; /* one may change what another is for */
        if (rnd(3) && (what != DP_SET_MARK || !rnd(4)) && twin_edit(copy, &one.h)) {
            set->h.arg |= what;
        }
    }
    if (!set->h.arg) {
        set->h.arg = DP_SET_ETH;
    }
    l->mpls |= set->h.arg & DP_SET_MPLS;
    assert_true(twin_edit(p, &set->h));
}

static void random_vlan(struct list *l, struct packet *p)
{
    struct dp_action_vlan *push;

    if (twin_l2(p) == 14 || (twin_l2(p) == 18 && rnd(2))) {
        push = list_add(l, DP_ACTION_PUSH_VLAN, sizeof(*push), 0);
        push->vlan = (struct flow_vlan){htobe16(rnd(4) ? ETH_TYPE_VLAN : ETH_TYPE_SVLAN),
                                        htobe16((uint16_t)((rnd(65536) & 0xefff) | FLOW_VLAN_PRESENT))};
        assert_true(twin_edit(p, &push->h));
    } else {
        assert_true(twin_edit(p, list_add_u32(l, DP_ACTION_POP_VLAN, 0)));
    }
}

/* What is below P's outermost label. */
static uint16_t below(const struct packet *p)
{
    const uint8_t *lse = p->data + p->l2_5_ofs;

    if (!(lse[2] & 1)) {
        return rnd(4) ? ETH_TYPE_MPLS : ETH_TYPE_MPLS_MCAST;
    }
    return p->len < p->l2_5_ofs + 5u ? 0x1234
           : lse[4] >> 4 == 6        ? ETH_TYPE_IPV6
           : lse[4] >> 4 == 4        ? ETH_TYPE_IPV4
                                     : 0x1234;
}

static void random_mpls(struct list *l, struct packet *p)
{
    struct dp_action_mpls *a;

    l->mpls = true;
    if (!p->l2_5_ofs || p->len < p->l2_5_ofs + 4u || rnd(2)) {
        a = list_add(l, DP_ACTION_PUSH_MPLS, sizeof(*a), 0);
        a->lse = htobe32((rnd(1u << 31) & ~MPLS_BOS) | (p->l2_5_ofs ? 0 : MPLS_BOS));
        a->eth_type = htobe16(rnd(4) ? ETH_TYPE_MPLS : ETH_TYPE_MPLS_MCAST);
        if (packet_is_gso(p)) {
            p->offload = (struct packet_offload){0}; /* of which the twin makes frames */
        }
    } else {
        a = list_add(l, DP_ACTION_POP_MPLS, sizeof(*a), 0);
        a->eth_type = htobe16(below(p));
    }
    assert_true(twin_edit(p, &a->h));
}

/* An action for which P lacks the header: it ends the list, or the clone that it is in. None if P has all that are
 * tried. */
static void random_misfit(struct list *l, const struct packet *p)
{
    static const uint32_t what[] = {DP_SET_IPV4, DP_SET_IPV6, DP_SET_TP,  DP_SET_ARP,
                                    DP_SET_ND,   DP_SET_MPLS, DP_SET_VLAN};
    _cleanup_(packet_freep) struct packet *copy = packet_clone(p);
    uint32_t which = rnd(ARRAY_SIZE(what) + 2);
    size_t at = l->len;
    bool mpls = l->mpls;
    struct dp_action *a;

    if (which >= ARRAY_SIZE(what)) {
        a = which == ARRAY_SIZE(what) ? list_add_u32(l, DP_ACTION_POP_VLAN, 0)
                                      : list_add(l, DP_ACTION_POP_MPLS, sizeof(struct dp_action_mpls), 0);
        l->mpls |= a->type == DP_ACTION_POP_MPLS;
    } else {
        struct dp_action_set *set = list_add(l, DP_ACTION_SET, sizeof(*set), what[which]);

        a = &set->h;
        set->mask.ip_ttl = set->key.ip_ttl = 0x55;
        set->mask.tp_src = set->key.tp_src = htobe16(0x5555);
        set->mask.ip_dst.be32[3] = set->key.ip_dst.be32[3] = htobe32(0x55555555);
        set->mask.arp_sha.a[5] = set->key.arp_sha.a[5] = 0x55;
        set->mask.nd_target.b[15] = set->key.nd_target.b[15] = 0x55;
        set->mask.mpls_lse[0] = set->key.mpls_lse[0] = htobe32(0x55000);
        set->mask.vlan[0].tci = set->key.vlan[0].tci = htobe16(0x555);
        l->mpls |= what[which] == DP_SET_MPLS;
    }
    if (twin_edit(copy, a)) {
        l->len = at;
        l->mpls = mpls;
    }
}

static void random_actions(struct list *l, struct packet *p, bool nested);

static void random_clone(struct list *l, const struct packet *p)
{
    _cleanup_(packet_freep) struct packet *copy = packet_clone(p);
    struct dp_action *clone;
    size_t at = l->len;

    list_add(l, DP_ACTION_CLONE, sizeof(*clone), 0);
    random_actions(l, copy, true);
    clone = (struct dp_action *)(void *)(l->b + at);
    clone->len = (uint16_t)(l->len - at);
}

static void random_action(struct list *l, struct packet *p, bool nested)
{
    switch (rnd(16)) {
    case 0:
    case 1:
        random_vlan(l, p);
        break;
    case 2:
    case 3:
    case 4:
        random_set(l, p);
        break;
    case 12:
        if (!rnd(nested ? 2 : 20)) {
            random_misfit(l, p);
        }
        break;
    case 5:
    case 6:
        if (!nested || !rnd(4)) {
            random_clone(l, p);
        }
        break;
    case 7:
    case 8:
        list_add_u32(l, DP_ACTION_TRUNC, 24 + rnd(rnd(4) ? 200 : 3000)); /* receivers drop what ends in a tag */
        random_output(l);
        break;
    case 9:
        if (!rnd(3)) {
            random_mpls(l, p);
        }
        break;
    case 10:
        list_add_u32(l, DP_ACTION_METER, 1 + rnd(N_METERS));
        break;
    case 11:
        if (!rnd(10)) {
            list_add_u32(l, DP_ACTION_SLOW, 1);
        } else if (!rnd(3)) {
            list_add_u32(l, DP_ACTION_SET_PRIORITY, rnd(2) ? DP_QUEUE_PRIORITY(rnd(8)) : 0);
        }
        break;
    default:
        random_output(l);
        break;
    }
}

static WR_UNUSED void random_actions(struct list *l, struct packet *p, bool nested)
{
    for (uint32_t n = 1 + rnd(4); n; n--) {
        random_action(l, p, nested);
    }
    if (rnd(8)) {
        random_output(l);
    } else {
        list_add_u32(l, DP_ACTION_DROP, 1 + rnd(DROP_MAX - 1));
    }
}

/* Of as little as a few frames, and so slow that nothing comes back while a test waits. */
static WR_UNUSED void random_meters(struct dp_meter_config *configs)
{
    for (uint32_t i = 0; i < N_METERS; i++) {
        uint32_t burst = 1 + rnd(8);
        bool packets = rnd(2);

        configs[i] = (struct dp_meter_config){.pktps = packets, .n_bands = 1, .bands = {{.rate = 1, .burst = burst}}};
        twin_meters[i] = (struct twin_meter){
            .packets = packets, .burst = packets ? burst : burst * 1000, .tokens = packets ? burst : burst * 1000};
    }
}

#endif
