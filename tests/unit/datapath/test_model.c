/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random packets through random action lists in both datapaths, on devices: what leaves, what goes up and which drops
 * are counted must be what the naive twin says, so all three agree. Packets come in by a port or out of a tunnel.
 */
#include "model_run.h"

#include "ebpf_lookups.h"

#define N_PACKETS 3000 /* more by the environment: MODEL_PACKETS, with MODEL_SEED */
static void random_round(struct round *r)
{
    bool tunnelled = !rnd(3);

    random_packet(&r->in, !tunnelled);
    r->in.p->in_port = dp_port(PORT_IN);
    r->outer = tunnelled ? wrapped(r->in.p, (enum tunnel_type)rnd(N_TUNNEL_TYPES), rnd(2)) : NULL;
    flow_key_extract(r->in.p, &r->key);
    memset(&r->mask, 0xff, sizeof(r->mask));
    r->mask.tunnel.flags &= (uint16_t)~FLOW_TNL_CSUM; /* a socket does not tell */
    flow_key_and(&r->key, &r->key, &r->mask);
    r->list.len = 0;
    r->list.mpls = false;
    r->again = 0;
    random_meters(r->meters);
    {
        _cleanup_(packet_freep) struct packet *probe = packet_clone(r->in.p);

        random_actions(&r->list, probe, false);
    }
}

static void test_agree(void **state WR_UNUSED)
{
    static struct round r;
    unsigned int n_packets = model_setting("MODEL_PACKETS", N_PACKETS), n[3] = {0}, n_fast = 0, told = 0;

    NEEDS_BPF;
    seed = model_setting("MODEL_SEED", 1);
    for (unsigned int i = 0; i < n_packets; i++) {
        random_round(&r);
        twin_round(&r);
        for (size_t k = 0; k < WORLDS && !twin_unsure; k++) {
            bool fast = false;
            enum verdict v = run_in(&worlds[k], &r, &r.list, &fast);

            n[v]++;
            n_fast += !k && fast;
            if (v == DIFFERENT && told++ < 5) {
                tell(&worlds[k], &r);
            }
        }
        round_done(&r);
    }
    print_message("agreed %u, refused %u, by the programs alone %u\n", n[SAME], n[REFUSED], n_fast);
    assert_int_equal(n[DIFFERENT], 0);
    assert_in_range(n[SAME], n_packets, 2 * n_packets);
    assert_in_range(n_fast, n_packets / 2, n_packets);
    for (size_t k = 0; k < WORLDS; k++) {
        assert_in_range(worlds[k].n_samples, n_packets / 20, n_packets);
    }
}

/* An edit that the exact-match cache can do, of some that P has the header for. */
static void random_exact_edit(struct list *l, struct packet *p)
{
    struct dp_action_set *set;
    struct flow_key key;

    if (!rnd(3)) {
        random_vlan(l, p);
        return;
    }
    flow_key_extract(p, &key);
    set = list_add(l, DP_ACTION_SET, sizeof(*set), 0);
    set->h.arg = rnd(2) ? DP_SET_ETH : 0;
    set->h.arg |= rnd(2) ? 0 : key.eth_type == htobe16(ETH_TYPE_IPV4) ? DP_SET_IPV4 : DP_SET_IPV6;
    set->h.arg |= key.vlan[0].tpid && rnd(2) ? DP_SET_VLAN : 0;
    random_bytes((uint8_t *)&set->key, sizeof(set->key));
    random_bytes((uint8_t *)&set->mask, sizeof(set->mask));
    set->mask.ip_src = set->mask.ip_dst = (struct ip_addr){0};
    set->mask.ipv6_label = 0;
    flow_key_and(&set->key, &set->key, &set->mask);
    assert_true(twin_edit(p, &set->h));
}

/* One that the exact-match cache is for, three times, through a flow with one output, behind so many EDITS. False: it
 * is another one. */
static bool random_repeated_round(struct round *r, uint32_t edits)
{
    random_round(r);
    if ((r->key.eth_type != htobe16(ETH_TYPE_IPV4) && r->key.eth_type != htobe16(ETH_TYPE_IPV6)) ||
        (r->key.ip_proto != IP_PROTO_TCP && r->key.ip_proto != IP_PROTO_UDP)) {
        return false;
    }
    r->mask.tcp_flags = 0;
    r->mask.ipv6_label = 0;
    flow_key_and(&r->key, &r->key, &r->mask);
    r->list.len = 0;
    r->list.mpls = false;
    {
        _cleanup_(packet_freep) struct packet *probe = packet_clone(r->in.p);

        while (edits--) {
            random_exact_edit(&r->list, probe);
            if (!rnd(10)) {
                random_misfit(&r->list, probe);
            }
        }
    }
    random_output(&r->list);
    r->again = 2;
    return true;
}

/* How many packets went by the exact-match cache. */
static unsigned int agree_again(uint32_t edits, unsigned int n_packets)
{
    unsigned int told = 0, different = 0;
    static struct round r;
    uint64_t before = exact_hits(&eb_of(worlds[0].dp)->maps);

    for (unsigned int i = 0; i < n_packets;) {
        if (random_repeated_round(&r, edits)) {
            i++;
            twin_round(&r);
            for (size_t k = 0; k < WORLDS && !twin_unsure; k++) {
                bool fast, differs = run_in(&worlds[k], &r, &r.list, &fast) == DIFFERENT;

                different += differs;
                if (differs && told++ < 5) {
                    tell(&worlds[k], &r);
                }
            }
        }
        round_done(&r);
    }
    assert_int_equal(different, 0);
    return (unsigned int)(exact_hits(&eb_of(worlds[0].dp)->maps) - before);
}

static void test_agree_again(void **state WR_UNUSED)
{
    unsigned int n_packets = model_setting("MODEL_PACKETS", N_PACKETS) / 3;

    NEEDS_BPF;
    seed = model_setting("MODEL_SEED", 1);
    for (uint32_t edits = 0; edits < 3; edits++) {
        unsigned int exact = agree_again(edits, n_packets);

        print_message("%u edits: by the exact-match cache %u\n", edits, exact);
        assert_in_range(exact, n_packets / 50,
                        3 * n_packets); /* few on a busy machine, where entries expire meanwhile */
    }
}

/* --- faults --- */

/* Makes a fault of the first action of TYPE there is. False: there is none. */
static bool spoil(void *actions, size_t len, enum dp_action_type type)
{
    DP_ACTION_FOR_EACH(at, actions, len) {
        struct dp_action *a = (struct dp_action *)(void *)((char *)actions + ((const char *)at - (char *)actions));

        if (a->type == DP_ACTION_CLONE && spoil(a + 1, a->len - sizeof(*a), type)) {
            return true;
        }
        if (a->type != type) {
            continue;
        }
        switch (type) {
        case DP_ACTION_OUTPUT:
            a->arg ^= a->arg < PORT_TUNNEL ? 1 : 0; /* 2 and 3 */
            return a->arg < PORT_TUNNEL;
        case DP_ACTION_SET_TUNNEL:
            ((struct dp_action_tunnel *)(void *)a)->tunnel.id ^= htobe64(8);
            return true;
        case DP_ACTION_TRUNC:
            a->arg++;
            return true;
        case DP_ACTION_PUSH_MPLS:
            ((struct dp_action_mpls *)(void *)a)->lse ^= htobe32(1u << 12);
            return true;
        case DP_ACTION_SET:
            ((struct dp_action_set *)(void *)a)->key.eth_dst.a[5] ^= 1;
            ((struct dp_action_set *)(void *)a)->mask.eth_dst.a[5] |= 1;
            return a->arg & DP_SET_ETH;
        case DP_ACTION_DROP:
            a->arg = a->arg == 1 ? 2 : 1;
            return true;
        case DP_ACTION_METER:
            a->arg = N_METERS + 1; /* which is not there, and lets everything pass */
            return true;
        default:
            return false;
        }
    }
    return false;
}

/* Each kind of fault in one world's list is noticed by somebody's packet. */
static void test_planted(void **state WR_UNUSED)
{
    static const enum dp_action_type types[] = {DP_ACTION_OUTPUT,    DP_ACTION_SET_TUNNEL, DP_ACTION_TRUNC,
                                                DP_ACTION_PUSH_MPLS, DP_ACTION_SET,        DP_ACTION_DROP,
                                                DP_ACTION_METER};
    static struct round r;
    static struct list spoilt;
    bool fast;

    NEEDS_BPF;
    patience_ms = 50;
    for (size_t i = 0; i < ARRAY_SIZE(types) * WORLDS; i++) {
        unsigned int tries = 0;
        bool noticed = false;

        while (!noticed && tries++ < 1000) {
            random_round(&r);
            twin_round(&r);
            spoilt = r.list;
            if (types[i / WORLDS] == DP_ACTION_METER && !want_drops[DROP_METER]) {
                tries--; /* who lets everything pass would not be noticed */
            } else if (!twin_unsure && spoil(spoilt.b, spoilt.len, types[i / WORLDS])) {
                noticed = run_in(&worlds[i % WORLDS], &r, &spoilt, &fast) == DIFFERENT;
            }
            round_done(&r);
        }
        if (!noticed) {
            print_message("nobody notices %s's fault of kind %d\n", worlds[i % WORLDS].class, (int)types[i / WORLDS]);
        }
        assert_true(noticed);
    }
}

/* So is a packet that is not the twin's: another checksum left, another segment size. */
static void test_planted_in_packets(void **state WR_UNUSED)
{
    static struct round r;
    bool fast;

    NEEDS_BPF;
    patience_ms = 50;
    for (unsigned int i = 0; i < 2 * WORLDS; i++) {
        unsigned int tries = 0;
        bool noticed = false;

        while (!noticed && tries++ < 1000) {
            random_round(&r);
            twin_round(&r);
            if (!twin_unsure && (i / WORLDS ? r.in.h.gso_size : r.in.h.flags)) {
                r.in.h.gso_size ^= i / WORLDS ? 1 : 0;
                r.in.h.csum_start += i / WORLDS ? 0 : 1;
                noticed = run_in(&worlds[i % WORLDS], &r, &r.list, &fast) == DIFFERENT;
            }
            round_done(&r);
        }
        assert_true(noticed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agree),
        cmocka_unit_test(test_agree_again),
        cmocka_unit_test(test_planted),
        cmocka_unit_test(test_planted_in_packets),
    };

    return cmocka_run_group_tests(tests, worlds_setup, worlds_teardown);
}
