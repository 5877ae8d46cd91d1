/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_MODEL_RUN_H
#define WARREN_TESTS_MODEL_RUN_H
/* A round of a model test: one packet and one action list, run by each of the worlds, and compared with the twin. One
 * test program includes this once. */
#include "model_twin.h"

#include <bpf/bpf.h>

#include "datapath/ebpf/detour.h"
#include "datapath/format.h"
#include "model_list.h"

#define WORLDS 2

static struct world worlds[WORLDS] = {{.class = "ebpf"}, {.class = "userspace"}};
static int open_error = -EPERM;

struct round {
    struct model_packet in;
    struct packet *outer; /* which carries it; NULL: it comes by a port */
    struct virtio_net_hdr outer_h;
    unsigned int merged; /* it is so many packets to the flow; 0: one */
    struct flow_key key, mask;
    struct list list;
    struct dp_meter_config meters[N_METERS];
    unsigned int again; /* how often it comes once more */
};

/* P in a tunnel's packet that arrives at the uplink of every world; it is P's metadata, too. */
static WR_UNUSED struct packet *wrapped(struct packet *p, enum tunnel_type kind, bool v6)
{
    struct flow_tunnel tunnel = {
        .id = htobe64(5), .src = model_address(v6, 2), .dst = model_address(v6, 1), .flags = FLOW_TNL_KEY, .ttl = 64};
    struct packet *outer = packet_clone(p);
    size_t hdr_len;
    uint8_t *eth;

    tunnel_push(outer, kind, &tunnel, 40000, model_udp_dst[kind], true);
    assert_int_equal(tunnel_parse(kind, outer->data, outer->len, model_udp_dst[kind], &p->tunnel, &hdr_len), DROP_NONE);
    eth = packet_push(outer, 14);
    memcpy(eth, (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, v6 ? 0x86 : 8, v6 ? 0xdd : 0}, 14);
    p->in_port = dp_port(PORT_TUNNEL + kind);
    return outer;
}

static WR_UNUSED void round_done(struct round *r)
{
    packet_free(r->in.p);
    packet_free(r->outer);
}

static WR_UNUSED void twin_round(struct round *r)
{
    _cleanup_(packet_freep) struct packet *p = packet_clone(r->in.p);
    struct twin t = {.p = p, .hash = flow_key_hash5(&r->key)};

    outputs_clear(&want);
    memset(want_drops, 0, sizeof(want_drops));
    twin_unsure = false;
    twin_run(&t, r->list.b, r->list.len);
}

static bool has_action(const void *actions, size_t len, enum dp_action_type type)
{
    DP_ACTION_FOR_EACH(a, actions, len) {
        if (a->type == type || (a->type == DP_ACTION_CLONE && has_action(a + 1, a->len - sizeof(*a), type))) {
            return true;
        }
    }
    return false;
}

static WR_UNUSED unsigned int model_setting(const char *name, unsigned int otherwise)
{
    const char *s = getenv(name);

    return s ? (unsigned int)strtoul(s, NULL, 0) : otherwise;
}

/* Until all that is wanted is there, or nothing more comes. *RET_FAST: the programs alone did it. */
static bool await(struct world *w, const struct round *r, bool *ret_fast)
{
    int64_t since = time_mono_ms();
    unsigned int n = 0;
    bool lax = !r->in.sums_are_right, same;

    world_read(w);
    *ret_fast = have.n == want.n && want.n;
    do {
        world_turn(w);
        world_read(w);
    } while ((have.n < want.n || !same_drops(w)) && world_wait(n++, since));
    world_turn(w);
    world_read(w);
    same = same_outputs(lax, r->list.mpls) && same_drops(w);
    for (size_t i = 0; i < have.n; i++) {
        have.o[i].taken = false;
    }
    return same && !w->n_misses && !w->n_unfaithful;
}

/* Half of the fast path's packets find the detour's device, where there is one, and half do not. */
static void toss_detour(const struct world *w)
{
    uint32_t zero = 0, ifindex = if_nametoindex(EBPF_DETOUR_PREFIX "0");
    int fd = eb_of(w->dp)->maps.detours_fd;

    if (ifindex && rnd(2)) {
        assert_int_equal(bpf_map_update_elem(fd, &zero, &ifindex, BPF_ANY), 0);
    } else {
        bpf_map_delete_elem(fd, &zero);
    }
}

/* Through tunnels: of the frames in them. */
static uint64_t sent_by_ports(struct world *w)
{
    struct dp_port_stats stats;
    uint64_t sum = 0;

    for (uint32_t port = PORT_OUT; port < PORT_TUNNEL + N_TUNNEL_TYPES; port++) {
        assert_int_equal(dp_port_get_stats(w->dp, dp_port(port), &stats), 0);
        sum += stats.tx_bytes;
    }
    return sum;
}

/* What W has counted of R, N_SENT times, and for all ports since BEFORE, is what there was. (What a port counts of
 * super-packets is not the frames that the twin makes of them.) */
static bool counted(struct world *w, const struct round *r, const struct dp_flow_stats *flow, uint64_t n_sent,
                    uint64_t before)
{
    uint64_t packets = n_sent * MAX(r->merged, 1u), bytes = packets * r->in.p->len, out = 0,
             have_out = sent_by_ports(w) - before;

    for (size_t i = 0; i < want.n; i++) {
        out += want.o[i].port < PORT_TUNNEL + N_TUNNEL_TYPES ? n_sent * want.o[i].p->len : 0;
    }
    if (flow->packets == packets && flow->bytes == bytes && (have_out == out || packet_is_gso(r->in.p))) {
        return true;
    }
    print_message("%s counts %llu packets (of %llu), %llu bytes (of %llu), %llu bytes sent (of %llu)\n", w->class,
                  (unsigned long long)flow->packets, (unsigned long long)packets, (unsigned long long)flow->bytes,
                  (unsigned long long)bytes, (unsigned long long)have_out, (unsigned long long)out);
    return false;
}

enum verdict { REFUSED, SAME, DIFFERENT };

/* R through W by LIST. REFUSED: the kernel takes no such packet from a socket. */
static WR_UNUSED enum verdict run_in(struct world *w, const struct round *r, const struct list *list, bool *ret_fast)
{
    const struct packet *p = r->outer ? r->outer : r->in.p;
    struct dp_flow flow = {.id = next_flow_id++,
                           .key = &r->key,
                           .mask = &r->mask,
                           .actions = (const struct dp_action *)(const void *)list->b,
                           .actions_len = list->len};
    enum verdict verdict = REFUSED;
    struct dp_flow_stats stats;
    uint64_t n_sent = 0, before;

    world_enter(w);
    assert_int_equal(dp_flow_put(w->dp, &flow), 0);
    if (has_action(list->b, list->len, DP_ACTION_METER)) {
        for (uint32_t i = 0; i < N_METERS; i++) {
            assert_int_equal(dp_meter_set(w->dp, i + 1, &r->meters[i]), 0);
        }
    }
    if (w->is_fast) {
        toss_detour(w);
    }
    before = sent_by_ports(w);
    for (unsigned int i = 0; i <= r->again && verdict != DIFFERENT; i++) {
        drops_note(w);
        w->n_misses = w->n_slow = w->n_unfaithful = 0;
        outputs_clear(&have);
        if (!world_transmit(w, r->outer, r->outer ? &r->outer_h : &r->in.h, p->data, p->len)) {
            break;
        }
        n_sent++;
        verdict = await(w, r, ret_fast) ? SAME : DIFFERENT;
    }
    assert_int_equal(dp_flow_del(w->dp, flow.id, &stats), 0);
    if (verdict == SAME && !counted(w, r, &stats, n_sent, before)) {
        verdict = DIFFERENT;
    }
    if (w->is_fast) {
        ebpf_flows_tick(eb_of(w->dp)->flows, INT64_MAX); /* there are so many of them that no slot may wait, */
        ebpf_maps_changed(&eb_of(w->dp)->maps);          /* so that nothing may remember one */
    }
    return verdict;
}

static WR_UNUSED void tell(struct world *w, const struct round *r)
{
    _cleanup_strbuf_ struct strbuf b = {0};

    dp_key_format(&r->key, &r->mask, &b);
    strbuf_add(&b, "\n  actions: ");
    dp_actions_format((const struct dp_action *)(const void *)r->list.b, r->list.len, &b);
    print_message("%s differs: %s\n  %zu bytes%s, checksum %s, segments of %u; %u misses, %u unfaithful\n", w->class,
                  strbuf_str(&b), r->in.p->len, r->outer ? " in a tunnel" : "",
                  r->in.h.flags          ? "left"
                  : r->in.sums_are_right ? "right"
                                         : "wrong",
                  r->in.h.gso_size, w->n_misses, w->n_unfaithful);
    print_message("  packet:");
    tell_bytes(r->in.p->data, r->in.p->len);
    print_message("\n");
    tell_drops(w);
    tell_outputs("want", &want);
    tell_outputs("have", &have);
}

static int worlds_setup(void **state WR_UNUSED)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    open_error = netns_enter() ? 0 : -EPERM;
    for (size_t i = 0; i < WORLDS && !open_error; i++) {
        open_error = world_new(&worlds[i], worlds[i].class);
        if (!open_error) {
            dp_set_sample(worlds[i].dp, 8);
        }
    }
    return 0;
}

static int worlds_teardown(void **state WR_UNUSED)
{
    outputs_clear(&want);
    outputs_clear(&have);
    for (size_t i = 0; i < WORLDS; i++) {
        world_free(&worlds[i]);
    }
    return 0;
}

#define NEEDS_BPF                                                                                                      \
    if (open_error) {                                                                                                  \
        assert_true(netns_may_skip(open_error));                                                                       \
        print_message("BPF is not permitted here: skipped\n");                                                         \
        skip();                                                                                                        \
    }

#endif
