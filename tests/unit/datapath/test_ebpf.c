/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fast path's programs under BPF test-run: the same keys as flow_key_extract(), the same changed packets as
 * packet/edit.c, tunnel packets that packet/tunnel.c reads and writes. Skips where BPF is not permitted.
 */
#include "ebpf_harness.h"

#include "../packet/frames.h"

static void read_scratch_key(struct flow_key *key)
{
    struct bpf_map_info info = {0};
    uint32_t len = sizeof(info), zero = 0;
    _cleanup_free_ uint8_t *values = NULL;

    assert_int_equal(bpf_obj_get_info_by_fd(maps.scratches_fd, &info, &len), 0);
    values = xcalloc((size_t)maps.n_cpus, ROUND_UP(info.value_size, 8));
    assert_int_equal(bpf_map_lookup_elem(maps.scratches_fd, &zero, values), 0);
    memcpy(key, values, sizeof(*key)); /* CPU 0's */
}

/* --- tests --- */

static void test_keys(void **state WR_UNUSED)
{
    unsigned int unknown = 0;

    NEEDS_BPF;
    for (unsigned int i = 0; i < 20000; i++) {
        struct flow_key want, have;
        struct builder f;
        uint8_t out[1024];
        size_t out_len = sizeof(out);
        struct packet *p;

        random_frame(&f);
        if (kernel_refuses(&f)) {
            continue;
        }
        last_upcall.kind = 0;
        assert_int_equal(run_prog(maps.port_prog_fd, f.b, f.n, out, &out_len), TC_ACT_SHOT);
        event_base_loop(base, EVLOOP_NONBLOCK);
        assert_int_equal(last_upcall.len, f.n);
        if (last_upcall.kind == EBPF_UPCALL_UNKNOWN) {
            unknown++;
            continue;
        }
        assert_int_equal(last_upcall.kind, EBPF_UPCALL_MISS);
        p = packet_new(f.b, f.n);
        p->in_port = dp_port(PORT_IN);
        flow_key_extract(p, &want);
        packet_free(p);
        read_scratch_key(&have);
        assert_memory_equal(&have, &want, sizeof(want));
    }
    assert_in_range(unknown, 1, 1500); /* few */
}

struct set_and_output {
    struct dp_action_set set;
    struct dp_action out;
};

/* A whole neighbour solicitation or advertisement, but for its options. */
static bool is_nd(const struct packet *p)
{
    const uint8_t *l4 = p->data + p->l4_ofs;

    return p->l4_ofs && (l4[0] == ND_SOLICIT || l4[0] == ND_ADVERT) &&
           p->l3_ofs + 40u + be16toh(((const struct ipv6_hdr *)(const void *)(p->data + p->l3_ofs))->plen) >=
               p->l4_ofs + sizeof(struct nd_hdr);
}

/* Sets every field that the packet has, under random masks. False: none that the fast path does. */
static bool random_set(const struct flow_key *key, bool is_nd, struct set_and_output *a)
{
    uint8_t *bytes = (uint8_t *)a;

    for (size_t i = 0; i < sizeof(*a); i++) {
        bytes[i] = (uint8_t)rnd(256);
    }
    if (rnd(2)) {
        memset(&a->set.mask, 0xff, sizeof(a->set.mask));
    }
    a->set.h = (struct dp_action){DP_ACTION_SET, sizeof(a->set), 0};
    a->out = (struct dp_action){DP_ACTION_OUTPUT, sizeof(a->out), PORT_OUT};
    a->set.mask.ip_src = key->eth_type == htobe16(ETH_TYPE_IPV6) ? a->set.mask.ip_src : (struct ip_addr){0};
    a->set.h.arg = DP_SET_ETH;
    switch (be16toh(key->eth_type)) {
    case ETH_TYPE_IPV4:
        a->set.h.arg |= DP_SET_IPV4;
        break;
    case ETH_TYPE_IPV6:
        a->set.h.arg |= DP_SET_IPV6;
        a->set.mask.ipv6_label &= htobe32(0xfffff);
        break;
    case ETH_TYPE_ARP:
        a->set.h.arg |= DP_SET_ARP;
        a->set.mask.ip_proto = rnd(2) ? 0xff : 0;
        break;
    default:
        break;
    }
    if (key->ip_proto == IP_PROTO_TCP || key->ip_proto == IP_PROTO_UDP || key->ip_proto == IP_PROTO_SCTP) {
        a->set.h.arg |= DP_SET_TP;
    }
    if (key->eth_type == htobe16(ETH_TYPE_IPV6) && key->ip_proto == IP_PROTO_ICMPV6 && is_nd) {
        a->set.h.arg |= DP_SET_ND;
    }
    flow_key_and(&a->set.key, &a->set.key, &a->set.mask);
    return true;
}

static void test_set_fields(void **state WR_UNUSED)
{
    unsigned int n = 0;

    NEEDS_BPF;
    for (unsigned int tries = 0; tries < 20000; tries++) {
        struct flow_key key, mask, masked;
        struct set_and_output a;
        struct builder f;
        uint8_t out[1024];
        size_t out_len = sizeof(out);
        struct packet *p;
        int action;

        random_frame(&f);
        p = packet_new(f.b, f.n);
        p->in_port = dp_port(PORT_IN);
        flow_key_extract(p, &key);
        if (!p->l3_ofs || (!p->l4_ofs && key.ip_proto && !key.ip_frag) || key.vlan[0].tci ||
            !random_set(&key, is_nd(p), &a) || (a.set.h.arg & DP_SET_TP && !p->l4_ofs)) {
            packet_free(p);
            continue;
        }
        memset(&mask, 0xff, sizeof(mask));
        flow_key_and(&masked, &key, &mask);
        put_flow(7, &masked, &mask, &a, sizeof(a), 0);
        last_upcall.kind = 0;
        assert_true(keeps_sum(maps.port_prog_fd, f.b, f.n));
        event_base_loop(base, EVLOOP_NONBLOCK);
        last_upcall.kind = 0;
        action = run_prog(maps.port_prog_fd, f.b, f.n, out, &out_len);
        event_base_loop(base, EVLOOP_NONBLOCK);
        ebpf_flows_del(flows, 7, NULL, 0);
        ebpf_flows_tick(flows, INT64_MAX);
        if (last_upcall.kind != EBPF_UPCALL_UNKNOWN && last_upcall.kind != EBPF_UPCALL_PUNT) {
            assert_int_equal(action, TC_ACT_REDIRECT);
            set_in_user_space(p, &a.set);
            assert_int_equal(out_len, p->len);
            assert_memory_equal(out, p->data, p->len);
            n++;
        }
        packet_free(p);
    }
    assert_in_range(n, 4000, 20000);
}

/* --- lookup --- */

#define N_MASKS 100

static void test_masks(void **state WR_UNUSED)
{
    uint8_t frame[64], out[256];
    struct dp_flow_stats stats;

    NEEDS_BPF;
    for (uint32_t i = 0; i < N_MASKS; i++) {
        struct dp_action drop = {DP_ACTION_DROP, sizeof(drop), 1 + i % 20};
        struct flow_key mask = {.in_port = DP_PORT_NONE, .ip_proto = 0xff}, key;

        /* Mask i looks at bits i of a 128-bit field that all packets of flow i have set, and no others. */
        mask.ip_dst.be32[3] = htobe32(0xff000000u | (i & 1 ? 0xff : 0));
        mask.tp_src = htobe16((uint16_t)(0xff00 | i));
        mask.tp_dst = htobe16(0xffff);
        memset(&key, 0, sizeof(key));
        key.in_port = dp_port(PORT_IN);
        key.ip_proto = IP_PROTO_UDP;
        key.ip_dst.be32[3] = htobe32(0x0a000000);
        key.tp_src = htobe16((uint16_t)(0x5500 | i));
        key.tp_dst = htobe16((uint16_t)(1000 + i));
        flow_key_and(&key, &key, &mask);
        put_flow(100 + i, &key, &mask, &drop, sizeof(drop), EBPF_OP_DROP);
    }
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < N_MASKS; i++) {
            size_t len = udp_frame(frame, 0x0b000001, 0x0a010200, (uint16_t)(0x5500 | i), (uint16_t)(1000 + i)),
                   out_len = sizeof(out);

            run_prog(maps.port_prog_fd, frame, len, out, &out_len);
            assert_int_equal(ebpf_flows_get_stats(flows, 100 + i, &stats), 0);
            assert_int_equal(stats.packets, round + 1);
            assert_int_equal(stats.bytes, (round + 1) * len);
        }
    }
    for (uint32_t i = 0; i < N_MASKS; i++) {
        size_t len = udp_frame(frame, 0x0b000001, 0x0a010200, (uint16_t)(0x5500 | i), (uint16_t)(1000 + i)),
               out_len = sizeof(out);

        assert_int_equal(ebpf_flows_del(flows, 100 + i, &stats, 0), 0);
        assert_int_equal(stats.packets, 2);
        last_upcall.kind = 0;
        run_prog(maps.port_prog_fd, frame, len, out, &out_len);
        event_base_loop(base, EVLOOP_NONBLOCK);
        assert_int_equal(last_upcall.kind, EBPF_UPCALL_MISS);
    }
    ebpf_flows_tick(flows, INT64_MAX);
    assert_int_equal(maps.config->n_masks, 0);
}

/* A flow that changes what it does keeps its counters, late ones too. */
static void test_change(void **state WR_UNUSED)
{
    struct dp_action drop = {DP_ACTION_DROP, sizeof(drop), DROP_ACTION}, out = {DP_ACTION_OUTPUT, sizeof(out), 2};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct dp_flow_stats stats;
    uint8_t frame[64], data[256];
    size_t len = udp_frame(frame, 1, 2, 3, 4), n = sizeof(data);

    NEEDS_BPF;
    put_flow(9, &key, &mask, &drop, sizeof(drop), EBPF_OP_DROP);
    assert_int_equal(run_prog(maps.port_prog_fd, frame, len, data, &n), TC_ACT_SHOT);
    put_flow(9, &key, &mask, &out, sizeof(out), EBPF_OP_OUTPUT);
    n = sizeof(data);
    assert_int_equal(run_prog(maps.port_prog_fd, frame, len, data, &n), TC_ACT_REDIRECT);
    assert_memory_equal(data, frame, len);
    ebpf_flows_tick(flows, INT64_MAX);
    assert_int_equal(ebpf_flows_del(flows, 9, &stats, 0), 0);
    assert_int_equal(stats.packets, 2);
    assert_int_equal(stats.bytes, 2 * len);
    ebpf_flows_tick(flows, INT64_MAX);
}

/* A flow that there is no room for any more goes on by user space with what it counted here. */
static void test_change_without_room(void **state WR_UNUSED)
{
    struct dp_action drop = {DP_ACTION_DROP, sizeof(drop), DROP_ACTION}, *outs = xcalloc(EBPF_STEPS_MAX, sizeof(*outs));
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)}, other;
    struct ebpf_program program;
    struct dp_flow_stats stats;
    uint8_t frame[64], data[256];
    size_t len = udp_frame(frame, 1, 2, 3, 4), n = sizeof(data), fill = EBPF_STEPS_POOL / (EBPF_STEPS_MAX - 4);
    uint8_t action = TC_ACT_SHOT;

    NEEDS_BPF;
    for (size_t i = 0; i < EBPF_STEPS_MAX; i++) {
        outs[i] = (struct dp_action){DP_ACTION_OUTPUT, sizeof(outs[i]), PORT_OUT};
    }
    put_flow(9, &key, &mask, &drop, sizeof(drop), EBPF_OP_DROP);
    assert_int_equal(run_prog(maps.port_prog_fd, frame, len, data, &n), action);
    for (size_t i = 0; i < fill; i++) {
        other = (struct flow_key){.in_port = dp_port((uint32_t)(100 + i))};
        put_flow(1000 + i, &other, &mask, outs, EBPF_STEPS_MAX * sizeof(*outs), EBPF_OP_OUTPUT);
    }
    ebpf_compile(&ops, &key, &mask, outs, EBPF_STEPS_MAX * sizeof(*outs), &program);
    assert_int_equal(ebpf_flows_put(flows, 9, &key, &mask, &program, 0, 0), -ENOSPC);
    for (unsigned int i = 0; i < 2; i++) {
        assert_false(ebpf_flows_has(flows, 9));
        assert_int_equal(ebpf_flows_get_stats(flows, 9, &stats), 0);
        assert_int_equal(stats.packets, 1);
        assert_int_equal(stats.bytes, len);
        last_upcall.kind = 0;
        n = sizeof(data);
        run_prog(maps.port_prog_fd, frame, len, data, &n);
        event_base_loop(base, EVLOOP_NONBLOCK);
        assert_int_equal(last_upcall.kind, EBPF_UPCALL_MISS);
        assert_int_equal(ebpf_flows_put(flows, 9, &key, &mask, &program, 0, 0), -ENOSPC);
        ebpf_flows_tick(flows, INT64_MAX);
    }
    free(program.steps);
    /* And comes back with it. */
    put_flow(9, &key, &mask, &drop, sizeof(drop), EBPF_OP_DROP);
    assert_true(ebpf_flows_has(flows, 9));
    n = sizeof(data);
    assert_int_equal(run_prog(maps.port_prog_fd, frame, len, data, &n), action);
    assert_int_equal(ebpf_flows_del(flows, 9, &stats, 0), 0);
    assert_int_equal(stats.packets, 2);
    assert_int_equal(stats.bytes, 2 * len);
    for (size_t i = 0; i < fill; i++) {
        assert_int_equal(ebpf_flows_del(flows, 1000 + i, NULL, 0), 0);
    }
    ebpf_flows_tick(flows, INT64_MAX);
    assert_int_equal(maps.config->n_masks, 0);
    free(outs);
}

/* The port to which user space would send what had come to that step, 0: to none. */
static uint32_t output_of(dp_flow_id id, uint32_t slot, uint32_t step)
{
    struct ebpf_step s;

    return ebpf_flows_output(flows, id, slot, step, &s) ? 0 : s.port;
}

/* To ports before and behind a tag. */
static void put_outputs(dp_flow_id id, size_t n_before, size_t n_behind, const uint32_t *numbers)
{
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct dp_action_vlan push = {.h = {DP_ACTION_PUSH_VLAN, sizeof(push), 0}, .vlan = {htobe16(0x8100), htobe16(7)}};
    uint8_t list[256], *at = list;

    for (size_t i = 0; i < n_before + n_behind; i++) {
        struct dp_action out = {DP_ACTION_OUTPUT, sizeof(out), numbers[i]};

        if (i == n_before) {
            at = (uint8_t *)memcpy(at, &push, sizeof(push)) + sizeof(push);
        }
        at = (uint8_t *)memcpy(at, &out, sizeof(out)) + sizeof(out);
    }
    put_flow(id, &key, &mask, list, (size_t)(at - list), EBPF_OP_OUTPUT);
}

/* A packet that comes up for one output of a flow, which meanwhile has got another list, goes only where that would
 * have sent it, too, and as what it is. */
static void test_output_of_changed_flow(void **state WR_UNUSED)
{
    uint32_t slot;

    NEEDS_BPF;
    put_outputs(9, 1, 2, (const uint32_t[]){2, 13, 14}); /* 2, tag, 13, 14 */
    slot = slot_of(9);
    assert_int_equal(output_of(9, slot, 0), 2);
    assert_int_equal(output_of(9, slot, 1), 0);
    assert_int_equal(output_of(9, slot, 2), 13);
    assert_int_equal(output_of(9, slot, 3), 14);
    put_outputs(9, 2, 2, (const uint32_t[]){15, 2, 16, 13});
    assert_int_not_equal(slot_of(9), slot);
    assert_int_equal(output_of(9, slot, 0), 2);
    assert_int_equal(output_of(9, slot, 2), 13); /* the last one now */
    assert_int_equal(output_of(9, slot, 3), 0);
    put_outputs(9, 2, 1, (const uint32_t[]){13, 14, 2}); /* the tag is elsewhere */
    assert_int_equal(output_of(9, slot, 0), 0);
    assert_int_equal(output_of(9, slot, 2), 0);
    assert_int_equal(output_of(9, slot, 3), 0);
    put_outputs(9, 1, 2, (const uint32_t[]){2, 13, 14});
    assert_int_equal(output_of(9, slot, 3), 14);
    ebpf_flows_tick(flows, INT64_MAX); /* the slot may be another's now */
    assert_int_equal(output_of(9, slot, 0), 0);
    slot = slot_of(9);
    assert_int_equal(ebpf_flows_del(flows, 9, NULL, 0), 0);
    assert_int_equal(output_of(9, slot, 0), 0);
    ebpf_flows_tick(flows, INT64_MAX);
}

/* So does one that comes up from a flow of a process before us, which is taken over before it is heard. */
static void test_output_of_orphan(void **state WR_UNUSED)
{
    dp_flow_id orphan;
    uint32_t slot;

    NEEDS_BPF;
    put_outputs(9, 1, 2, (const uint32_t[]){2, 13, 14});
    slot = slot_of(9);
    ebpf_flows_free(flows);
    maps.adopted = true;
    flows = ebpf_flows_new(&maps, NULL);
    maps.adopted = false;
    orphan = maps.slots[slot].id;
    assert_int_equal(output_of(orphan, slot, 3), 14);
    assert_int_equal(output_of(9, slot, 3), 0);
    put_outputs(10, 1, 2, (const uint32_t[]){2, 13, 14});
    assert_int_equal(slot_of(10), slot);
    assert_int_equal(output_of(orphan, slot, 3), 14);
    put_outputs(10, 1, 1, (const uint32_t[]){2, 13});
    assert_int_equal(output_of(orphan, slot, 2), 13);
    assert_int_equal(output_of(orphan, slot, 3), 0);
    ebpf_flows_del(flows, 10, NULL, 0);
    assert_int_equal(output_of(orphan, slot, 2), 0);
    ebpf_flows_tick(flows, INT64_MAX);
}

/* What comes up says which slot it met. */
static void test_output_slot(void **state WR_UNUSED)
{
    struct {
        struct dp_action trunc, first;
        struct dp_action_vlan push;
        struct dp_action last;
    } a = {{DP_ACTION_TRUNC, sizeof(a.trunc), 20},
           {DP_ACTION_OUTPUT, sizeof(a.first), PORT_OUT},
           {.h = {DP_ACTION_PUSH_VLAN, sizeof(a.push), 0}, .vlan = {htobe16(0x8100), htobe16(7)}},
           {DP_ACTION_OUTPUT, sizeof(a.last), PORT_OUT}};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    uint8_t frame[64], data[256];
    size_t len = udp_frame(frame, 1, 2, 3, 4), n = sizeof(data);

    NEEDS_BPF;
    put_flow(9, &key, &mask, &a, sizeof(a), EBPF_OP_TRUNC);
    last_upcall.kind = 0;
    run_prog(maps.port_prog_fd, frame, len, data, &n);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(last_upcall.kind, EBPF_UPCALL_OUTPUT);
    assert_int_equal(last_upcall.id, 9);
    assert_int_equal(last_upcall.slot, slot_of(9));
    forget(9);
}

static bool is_port_out(void *aux WR_UNUSED, uint32_t port)
{
    return port == PORT_OUT;
}

static uint8_t orphan_at(uint32_t *ret_at)
{
    struct ebpf_orphan o;

    if (!ebpf_flows_orphan(flows, &o)) {
        return 0;
    }
    *ret_at = o.at;
    return o.key.eth_dst.a[5];
}

/* What a process before us left comes in the order of its use; that was for a packet that it did not count, too. */
static void test_orphans(void **state WR_UNUSED)
{
    static const int64_t used_ms[] = {3000, 1000, 0, 2000};
    const struct dp_action out = {DP_ACTION_OUTPUT, sizeof(out), PORT_OUT};
    struct flow_key mask = {.eth_dst = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}}, key = {.eth_dst = {{2}}};
    struct ebpf_program program, drop = {0};
    struct dp_flow_stats stats;
    uint32_t at = 0;

    NEEDS_BPF;
    ebpf_compile(&ops, &key, &mask, &out, sizeof(out), &program);
    for (uint8_t i = 0; i < ARRAY_SIZE(used_ms); i++) {
        key.eth_dst.a[5] = i + 1;
        assert_int_equal(ebpf_flows_put(flows, 100 + i, &key, &mask, &program, used_ms[i], 9000), 0);
        assert_int_equal(ebpf_flows_get_stats(flows, 100 + i, &stats), 0);
        assert_int_equal(stats.used_ms, 0); /* by a packet that was counted */
    }
    key.eth_dst.a[5] = 2; /* what a flow does is changed: that is no use */
    assert_int_equal(ebpf_flows_put(flows, 101, &key, &mask, &drop, 0, 9000), 0);
    ebpf_flows_free(flows);
    maps.adopted = true;
    flows = ebpf_flows_new(&maps, NULL);
    maps.adopted = false;
    assert_int_equal(orphan_at(&at), 0);
    ebpf_flows_first_orphan(flows);
    for (const char *order = "\3\2\4\1"; *order; order++) {
        assert_int_equal(orphan_at(&at), *order);
        ebpf_flows_next_orphan(flows, at, false, 0);
    }
    assert_int_equal(orphan_at(&at), 0);
    ebpf_flows_first_orphan(flows);
    assert_int_equal(orphan_at(&at), 3);
    ebpf_flows_next_orphan(flows, at, true, 0);
    assert_int_equal(orphan_at(&at), 2);
    key.eth_dst.a[5] = 2; /* is taken over */
    assert_int_equal(ebpf_flows_put(flows, 1, &key, &mask, &program, 9000, 9000), 0);
    ebpf_flows_next_orphan(flows, at, true, 0);
    ebpf_flows_first_orphan(flows);
    assert_int_equal(orphan_at(&at), 4);
    ebpf_flows_next_orphan(flows, at, true, 0);
    assert_int_equal(orphan_at(&at), 1);
    ebpf_flows_next_orphan(flows, at, true, 0);
    assert_int_equal(orphan_at(&at), 0);
    assert_int_equal(ebpf_flows_get_stats(flows, 1, &stats), 0);
    forget(1);
    free(program.steps);
}

/* A list with a port of user space is user space's as a whole, wherever in it the port stands. */
static void test_userspace_port(void **state WR_UNUSED)
{
    const struct ebpf_compile_ops some = {.tunnel = no_tunnel, .userspace = is_port_out};
    struct {
        struct dp_action trunc, first, clone, in_clone, last;
    } a = {{DP_ACTION_TRUNC, sizeof(a.trunc), 100},
           {DP_ACTION_OUTPUT, sizeof(a.first), PORT_IN},
           {DP_ACTION_CLONE, sizeof(a.clone) + sizeof(a.in_clone), 0},
           {DP_ACTION_OUTPUT, sizeof(a.in_clone), PORT_IN},
           {DP_ACTION_OUTPUT, sizeof(a.last), PORT_IN}};
    struct dp_action *const outputs[] = {&a.first, &a.in_clone, &a.last};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct ebpf_program program;

    ebpf_compile(&some, &key, &mask, &a.trunc, sizeof(a), &program);
    assert_int_not_equal(program.steps[0].op, EBPF_OP_PUNT);
    free(program.steps);
    for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
        outputs[i]->arg = PORT_OUT;
        ebpf_compile(&some, &key, &mask, &a.trunc, sizeof(a), &program);
        assert_int_equal(program.n, 1);
        assert_int_equal(program.steps[0].op, EBPF_OP_PUNT);
        free(program.steps);
        outputs[i]->arg = PORT_IN;
    }
}

/* What is sampled is compared with the maps: a planted fault is found. */
static void test_verify(void **state WR_UNUSED)
{
    struct dp_action out = {DP_ACTION_OUTPUT, sizeof(out), PORT_OUT};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct ebpf_program program;
    uint8_t frame[64], data[256];
    size_t len = udp_frame(frame, 1, 2, 3, 4), n = sizeof(data);
    bool same = false;

    NEEDS_BPF;
    ebpf_compile(&ops, &key, &mask, &out, sizeof(out), &program);
    put_flow(11, &key, &mask, &out, sizeof(out), EBPF_OP_OUTPUT);
    assert_int_equal(ebpf_flows_verify(flows, 12, &key, &mask, &program, &same), -ENOENT);
    assert_int_equal(ebpf_flows_verify(flows, 11, &key, &mask, &program, &same), 0);
    assert_true(same);
    maps.config->sample = 1;
    last_upcall.kind = 0;
    assert_int_equal(run_prog(maps.port_prog_fd, frame, len, data, &n), TC_ACT_REDIRECT);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(last_upcall.kind, EBPF_UPCALL_SAMPLE);
    assert_int_equal(last_upcall.id, 11);
    assert_int_equal(last_upcall.arg, len);
    maps.config->sample = 0;
    for (uint32_t i = 0; i < EBPF_SLOTS_MAX; i++) {
        if (maps.slots[i].live && maps.slots[i].id == 11) {
            maps.slots[i].steps[0].port = PORT_IN;
        }
    }
    assert_int_equal(ebpf_flows_verify(flows, 11, &key, &mask, &program, &same), 0);
    assert_false(same);
    free(program.steps);
    ebpf_flows_del(flows, 11, NULL, 0);
    ebpf_flows_tick(flows, INT64_MAX);
}

/* A port's misses beyond its budget are dropped and counted; another port's are not touched. */
static void test_budget(void **state WR_UNUSED)
{
    uint8_t frame[64], data[256];
    size_t len = udp_frame(frame, 1, 2, 3, 4), n;
    unsigned int came = 0;
    uint64_t before;

    NEEDS_BPF;
    maps.config->upcall_rate = EBPF_COST_MISS; /* one a second */
    maps.config->upcall_burst = 5 * EBPF_COST_MISS;
    maps.ports[PORT_IN].tokens = maps.config->upcall_burst;
    before = drops_of(&maps, DROP_UPCALL_QUEUE);
    for (unsigned int i = 0; i < 20; i++) {
        last_upcall.kind = 0;
        n = sizeof(data);
        run_prog(maps.port_prog_fd, frame, len, data, &n);
        event_base_loop(base, EVLOOP_NONBLOCK);
        came += last_upcall.kind == EBPF_UPCALL_MISS;
    }
    assert_in_range(came, 5, 7);
    assert_int_equal(drops_of(&maps, DROP_UPCALL_QUEUE) - before, 20 - came);
    /* Another CPU has filled it up just after this one looked at the clock: that gives nothing. */
    maps.ports[PORT_IN].filled_ns = time_mono_ns() + 1000000000;
    maps.ports[PORT_IN].tokens = 0;
    last_upcall.kind = 0;
    n = sizeof(data);
    run_prog(maps.port_prog_fd, frame, len, data, &n);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(last_upcall.kind, 0);
    maps.ports[PORT_IN].filled_ns = 0;
    maps.config->upcall_rate = 0;
}

/* Packets that user space only has to run leave room in the ring to those that need a translation. */
static void test_ring_is_shared(void **state WR_UNUSED)
{
    struct {
        struct dp_action trunc, out;
    } a = {{DP_ACTION_TRUNC, sizeof(a.trunc), 0x20000}, {DP_ACTION_OUTPUT, sizeof(a.out), PORT_OUT}};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    uint8_t frame[2000] = {0}, data[2048];
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .data_out = data,
                        .data_size_out = sizeof(data), .repeat = 2 * EBPF_RING_SIZE / 9100);
    size_t len = sizeof(data);
    uint64_t before;

    NEEDS_BPF;
    udp_frame(frame, 1, 2, 3, 4);
    put_flow(9, &key, &mask, &a, sizeof(a), EBPF_OP_PUNT);
    before = drops_of(&maps, DROP_UPCALL_QUEUE);
    assert_int_equal(bpf_prog_test_run_opts(maps.port_prog_fd, &opts), 0);
    assert_true(drops_of(&maps, DROP_UPCALL_QUEUE) > before); /* more than there is room for */
    forget(9);
    before = drops_of(&maps, DROP_UPCALL_QUEUE);
    run_prog(maps.port_prog_fd, frame, sizeof(frame), data, &len);
    assert_int_equal(drops_of(&maps, DROP_UPCALL_QUEUE), before);
    do {
        last_upcall.kind = 0;
        event_base_loop(base, EVLOOP_NONBLOCK);
    } while (last_upcall.kind == EBPF_UPCALL_PUNT);
    assert_int_equal(last_upcall.kind, EBPF_UPCALL_MISS);
}

/* With another version's program behind: what has no flow is left to that as it came, and a copy of its headers goes up
 * if the budget allows. */
static void test_learn(void **state WR_UNUSED)
{
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};
    struct dp_action out = {DP_ACTION_OUTPUT, sizeof(out), PORT_OUT};
    uint8_t frame[300] = {0}, data[512];
    size_t n = sizeof(data);
    uint64_t before;

    NEEDS_BPF;
    udp_frame(frame, 1, 2, 3, 4);
    maps.ports[PORT_IN].flags |= EBPF_PORT_LEARN;
    last_upcall.kind = 0;
    assert_int_equal(run_prog(maps.port_prog_fd, frame, sizeof(frame), data, &n), TC_ACT_UNSPEC);
    assert_int_equal(n, sizeof(frame));
    assert_memory_equal(data, frame, sizeof(frame));
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(last_upcall.kind, EBPF_UPCALL_LEARN);
    assert_int_equal(last_upcall.len, 256);
    assert_int_equal(last_upcall.arg, sizeof(frame));
    assert_int_equal(last_upcall_len, sizeof(frame));
    assert_memory_equal(last_upcall_frame, frame, 256);
    maps.config->upcall_rate = 1;
    maps.ports[PORT_IN].tokens = 0;
    last_upcall.kind = 0;
    before = drops_of(&maps, DROP_UPCALL_QUEUE);
    assert_int_equal(run_prog(maps.port_prog_fd, frame, sizeof(frame), data, &n), TC_ACT_UNSPEC);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(last_upcall.kind, 0);
    assert_int_equal(drops_of(&maps, DROP_UPCALL_QUEUE), before);
    maps.config->upcall_rate = 0;
    put_flow(13, &key, &mask, &out, sizeof(out), EBPF_OP_OUTPUT);
    assert_int_equal(run_prog(maps.port_prog_fd, frame, sizeof(frame), data, &n), TC_ACT_REDIRECT);
    forget(13);
    maps.ports[PORT_IN].flags &= ~EBPF_PORT_LEARN;
    assert_int_equal(run_prog(maps.port_prog_fd, frame, sizeof(frame), data, &n), TC_ACT_SHOT);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(last_upcall.kind, EBPF_UPCALL_MISS);
}

/* --- tunnels --- */

static void test_encapsulation(void **state WR_UNUSED)
{
    uint8_t udp[64], arp[42] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(PORT_IN)};

    NEEDS_BPF;
    underlay_up();
    udp_frame(udp, 1, 2, 3, 4);
    for (unsigned int i = 0; i < 12; i++) {
        uint8_t kind = (uint8_t)(i % 3);
        bool v6 = i / 3 % 2, is_arp = i / 6;
        const uint8_t *frame = is_arp ? arp : udp;
        size_t len = is_arp ? sizeof(arp) : 60, out_len = 512, hdr_len;
        struct {
            struct dp_action_tunnel set;
            struct dp_action out;
        } a = {.set.h = {DP_ACTION_SET_TUNNEL, sizeof(a.set), 0},
               .set.tunnel = {.id = htobe64(0x123456),
                              .src = address(v6, 1),
                              .dst = address(v6, 2),
                              .flags = FLOW_TNL_KEY | FLOW_TNL_DF,
                              .tos = 0x20,
                              .ttl = 33},
               .out = {DP_ACTION_OUTPUT, sizeof(a.out), PORT_TUNNEL + kind}};
        struct flow_tunnel got;
        uint8_t out[512];

        put_flow(5, &key, &mask, &a, sizeof(a), EBPF_OP_TUNNEL);
        assert_int_equal(run_prog(maps.port_prog_fd, frame, len, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(parse_outer(kind, out, out_len, &got, &hdr_len), DROP_NONE); /* checks checksums, too */
        assert_int_equal(be64toh(got.id), 0x123456);
        assert_memory_equal(&got.src, &a.set.tunnel.src, sizeof(got.src));
        assert_memory_equal(&got.dst, &a.set.tunnel.dst, sizeof(got.dst));
        assert_int_equal(got.tos, 0x20);
        assert_int_equal(got.ttl, 33);
        assert_int_equal(out_len, 14 + hdr_len + len);
        assert_memory_equal(out + 14 + hdr_len, frame, len);
        forget(5);
    }
}

static void test_decapsulation(void **state WR_UNUSED)
{
    struct dp_action a = {DP_ACTION_OUTPUT, sizeof(a), PORT_OUT};
    uint8_t inner[64], out[512];
    uint32_t one = 1;

    NEEDS_BPF;
    udp_frame(inner, 1, 2, 3, 4);
    for (uint8_t i = 0; i < 3; i++) {
        maps.config->tunnels[i] =
            (struct ebpf_tunnel_port){.port = PORT_TUNNEL + i, .kind = i, .udp_dst = htobe16(tunnel_udp_dst(i))};
    }
    maps.config->n_tunnels = 3;
    for (unsigned int i = 0; i < 6; i++) {
        uint8_t kind = (uint8_t)(i % 3);
        bool v6 = i / 3;
        struct flow_tunnel t = {
            .id = htobe64(0xabcdef), .src = address(v6, 2), .dst = address(v6, 1), .flags = FLOW_TNL_KEY, .ttl = 60};
        struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port((uint32_t)PORT_TUNNEL + kind)};
        struct packet *p = packet_new(inner, 60);
        size_t out_len = sizeof(out);
        struct eth_hdr *eth;

        memset(&mask.tunnel.id, 0xff, 8);
        memset(&mask.tunnel.src, 0xff, 16);
        key.tunnel.id = t.id;
        key.tunnel.src = t.src;
        put_flow(6, &key, &mask, &a, sizeof(a), EBPF_OP_OUTPUT);
        tunnel_push(p, tunnel_types[kind], &t, 40000, tunnel_udp_dst(kind), true);
        eth = packet_push(p, sizeof(*eth));
        *eth = (struct eth_hdr){.src = {{2}}, .type = htobe16(v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4)};
        /* Not ours until the address is this host's. */
        assert_int_equal(run_prog(maps.uplink_prog_fd, p->data, p->len, out, &out_len), TC_ACT_UNSPEC);
        assert_int_equal(bpf_map_update_elem(maps.local_addrs_fd, &t.dst, &one, BPF_ANY), 0);
        out_len = sizeof(out);
        assert_int_equal(run_prog(maps.uplink_prog_fd, p->data, p->len, out, &out_len), TC_ACT_REDIRECT);
        assert_int_equal(out_len, 60);
        assert_memory_equal(out, inner, 60);
        bpf_map_delete_elem(maps.local_addrs_fd, &t.dst);
        maps.config->generation++;
        packet_free(p);
        forget(6);
    }
}

/* An inner packet in a tunnel of KIND over IPv6 or IPv4; MSS: it is a super-packet. The upcall that it becomes. */
static uint32_t run_tunnelled(const struct packet *inner, enum tunnel_type kind, bool outer6, uint16_t mss)
{
    struct flow_tunnel t = {
        .id = htobe64(9), .src = address(outer6, 2), .dst = address(outer6, 1), .flags = FLOW_TNL_KEY, .ttl = 60};
    struct packet *p = packet_clone(inner);
    struct __sk_buff ctx = {.gso_size = mss};
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
    struct eth_hdr *eth;

    tunnel_push(p, kind, &t, 40000, kind == TUNNEL_VXLAN ? 4789 : 6081, true);
    eth = packet_push(p, sizeof(*eth));
    *eth = (struct eth_hdr){.src = {{2}}, .type = htobe16(outer6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4)};
    opts.data_in = p->data;
    opts.data_size_in = (uint32_t)p->len;
    last_upcall.kind = 0;
    assert_int_equal(bpf_prog_test_run_opts(maps.uplink_prog_fd, &opts), 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
    packet_free(p);
    return last_upcall.kind;
}

/* UDP's super-packets, which nobody could cut behind a UDP tunnel, go up. (The flow is one for the slow path, where the
 * others go up before any header is touched: a test's super-packet is no true one, from which the kernel would take
 * some. True ones: test_ebpf_tunnels.) */
static void test_stuck_super(void **state WR_UNUSED)
{
    struct dp_action a = {DP_ACTION_SLOW, sizeof(a), DP_SLOW_ACTION};
    struct flow_key mask = {0}, key = {0};
    struct ip_addr here[2] = {address(false, 1), address(true, 1)};
    uint32_t one = 1;

    NEEDS_BPF;
    for (uint8_t i = 0; i < 3; i++) {
        maps.config->tunnels[i] =
            (struct ebpf_tunnel_port){.port = PORT_TUNNEL + i, .kind = i, .udp_dst = htobe16(tunnel_udp_dst(i))};
    }
    maps.config->n_tunnels = 3;
    assert_int_equal(bpf_map_update_elem(maps.local_addrs_fd, &here[0], &one, BPF_ANY), 0);
    assert_int_equal(bpf_map_update_elem(maps.local_addrs_fd, &here[1], &one, BPF_ANY), 0);
    put_flow(6, &key, &mask, &a, sizeof(a), EBPF_OP_SLOW);
    for (unsigned int i = 0; i < 24; i++) {
        enum tunnel_type kind = tunnel_types[i % 3];
        bool udp = i / 3 & 1, inner6 = i / 6 & 1, outer6 = i / 12 & 1;
        struct packet *p = frame_l4(inner6, udp ? IP_PROTO_UDP : IP_PROTO_TCP, 2500, true);

        assert_int_equal(run_tunnelled(p, kind, outer6, 1000),
                         udp && kind != TUNNEL_GRE ? EBPF_UPCALL_PUNT : EBPF_UPCALL_SLOW);
        assert_int_equal(run_tunnelled(p, kind, outer6, 0), EBPF_UPCALL_SLOW);
        packet_free(p);
    }
    maps.config->n_tunnels = 0;
    bpf_map_delete_elem(maps.local_addrs_fd, &here[0]);
    bpf_map_delete_elem(maps.local_addrs_fd, &here[1]);
    maps.config->generation++;
    ebpf_flows_del(flows, 6, NULL, 0);
    ebpf_flows_tick(flows, INT64_MAX);
}

/* --- what waits --- */

static unsigned int n_heard, order_broken;
static uint16_t last_port;

static void on_heard(void *aux, const struct ebpf_upcall *u, struct packet *p)
{
    uint16_t port = (uint16_t)(p->data[34] << 8 | p->data[35]); /* UDP's source */

    assert_int_equal(u->kind, *(enum ebpf_upcall_kind *)aux);
    order_broken += n_heard && port != last_port + 1;
    last_port = port;
    n_heard++;
}

static void send_up(uint16_t first, unsigned int n)
{
    uint8_t frame[64], out[512];

    for (unsigned int i = 0; i < n; i++) {
        size_t out_len = sizeof(out);

        udp_frame(frame, 1, 2, (uint16_t)(first + i), 7);
        assert_int_equal(run_prog(maps.port_prog_fd, frame, 60, out, &out_len), TC_ACT_SHOT);
    }
}

static void hear(unsigned int n)
{
    for (int turns = 0; n_heard < n && turns < 1000; turns++) {
        event_base_loop(base, EVLOOP_ONCE);
    }
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(n_heard, n);
}

/* A listener in place of the harness's. */
static struct ebpf_upcalls *listen_in(enum ebpf_upcall_kind *kind, uint64_t *drops, int64_t old_ms)
{
    const struct ebpf_listener listener = {.fn = on_heard, .aux = kind, .drops = drops, .old_ms = old_ms};
    struct ebpf_upcalls *u;

    ebpf_upcalls_hear(upcalls, EBPF_HEAR_NOTHING);
    n_heard = order_broken = 0;
    assert_int_equal(ebpf_upcalls_new(base, maps.ring_fd, &listener, &u), 0);
    return u;
}

static void listen_out(struct ebpf_upcalls *u)
{
    ebpf_upcalls_free(u);
    ebpf_upcalls_hear(upcalls, EBPF_HEAR_ALL);
}

/* Packets that came before anybody heard come later, in their order, not all at once; what needs no translation does
 * not wait for one. */
static void test_waiting(void **state WR_UNUSED)
{
    enum ebpf_upcall_kind kind = EBPF_UPCALL_LEARN;
    uint64_t drops[DROP_MAX] = {0};
    size_t out_len = 512;
    struct ebpf_upcalls *u;
    uint8_t frame[64], out[512];

    NEEDS_BPF;
    u = listen_in(&kind, drops, 60000);
    ebpf_upcalls_hear(u, EBPF_HEAR_NOTHING);
    send_up(1000, 300);
    hear(0);
    ebpf_upcalls_hear(u, EBPF_HEAR_KNOWN);
    send_up(1300, 300);
    hear(0);
    maps.ports[PORT_IN].flags |= EBPF_PORT_LEARN;
    udp_frame(frame, 1, 2, 999, 7);
    assert_int_equal(run_prog(maps.port_prog_fd, frame, 60, out, &out_len), TC_ACT_UNSPEC);
    maps.ports[PORT_IN].flags &= ~EBPF_PORT_LEARN;
    hear(1);
    n_heard = 0;
    kind = EBPF_UPCALL_MISS;
    ebpf_upcalls_hear(u, EBPF_HEAR_ALL);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_in_range(n_heard, 1, 500); /* in a turn of the loop, or two on a slow machine */
    send_up(1600, 300);               /* behind them */
    hear(900);
    assert_int_equal(order_broken, 0);
    assert_int_equal(drops[DROP_UPCALL_QUEUE], 0);
    listen_out(u);
}

static void test_waited_too_long(void **state WR_UNUSED)
{
    enum ebpf_upcall_kind kind = EBPF_UPCALL_MISS;
    uint64_t drops[DROP_MAX] = {0};
    struct ebpf_upcalls *u;

    NEEDS_BPF;
    u = listen_in(&kind, drops, 0);
    ebpf_upcalls_hear(u, EBPF_HEAR_NOTHING);
    send_up(1000, 20);
    ebpf_upcalls_hear(u, EBPF_HEAR_ALL);
    hear(0);
    assert_int_equal(drops[DROP_UPCALL_QUEUE], 20);
    listen_out(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_set_fields),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_learn),
        cmocka_unit_test(test_encapsulation),
        cmocka_unit_test(test_decapsulation),
        cmocka_unit_test(test_stuck_super),
        cmocka_unit_test(test_userspace_port),
        cmocka_unit_test(test_orphans),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_waited_too_long),
        cmocka_unit_test(test_change_without_room),
        cmocka_unit_test(test_ring_is_shared),
        cmocka_unit_test(test_output_of_changed_flow),
        cmocka_unit_test(test_output_of_orphan),
        cmocka_unit_test(test_output_slot),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
