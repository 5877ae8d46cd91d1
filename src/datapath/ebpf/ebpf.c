/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/ebpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>

#include "base/log.h"
#include "datapath/ebpf/compile.h"
#include "datapath/ebpf/ebpf_private.h"
#include "datapath/userspace/host_guard.h"
#include "datapath/userspace/ipsec.h"
#include "datapath/userspace/tunnel_tx.h"

LOG_MODULE("dp_ebpf");

#define TICK_MS 1000
#define ROUTE_TICKS 60
#define UPCALL_OLD_MS 5000
#define ADOPT_SLICE 20 /* orphans between looks at the clock */
#define ADOPT_MS 2     /* at a time, so that packets are not kept waiting */
#define ADOPT_USEC 10000
#define ADOPT_IDLE_MS 100000 /* who was idle so long does not become a flow of ours */
#define LEARN_ROUNDS 3       /* at most; what is learned by what was learned is rare */

static char *rundir;

void dp_ebpf_set_rundir(const char *dir)
{
    free(rundir);
    rundir = dir ? xstrdup(dir) : NULL;
}

/* --- packets that come up --- */

static void upcall_slow(struct ebpf_datapath *dp, struct packet *p, const struct flow_key *key, uint32_t reason)
{
    struct dp_upcall upcall = {.reason = DP_UPCALL_SLOW, .slow_reason = reason, .packet = p, .key = key};

    if (dp->callbacks.upcall) {
        dp->callbacks.upcall(dp->callbacks.aux, &upcall);
    } else {
        us_drop(dp->us, DROP_UPCALL_QUEUE);
    }
}

/* One output of a flow that the fast path left to us. P is what it was made of the packet that U tells of. */
static void run_output(struct ebpf_datapath *dp, struct packet *p, const struct ebpf_upcall *u)
{
    struct ebpf_step step;
    struct {
        struct dp_action trunc; /* to 0 bytes: not at all */
        struct dp_action_tunnel set;
        struct dp_action out;
    } actions = {.trunc = {DP_ACTION_TRUNC, sizeof(actions.trunc), 0},
                 .set.h = {DP_ACTION_SET_TUNNEL, sizeof(actions.set), 0},
                 .out = {DP_ACTION_OUTPUT, sizeof(actions.out), 0}};

    if (ebpf_flows_output(dp->flows, u->id, u->slot, u->arg, &step)) {
        us_drop(dp->us, DROP_NO_PORT); /* the flow went meanwhile, or does something else now */
        return;
    }
    actions.trunc.arg = step.trunc;
    actions.out.arg = step.port;
    actions.set.tunnel = (struct flow_tunnel){.id = step.u.tunnel.id,
                                              .src = step.u.tunnel.src,
                                              .dst = step.u.tunnel.dst,
                                              .flags = step.u.tunnel.flags,
                                              .tos = step.u.tunnel.tos,
                                              .ttl = step.u.tunnel.ttl};
    if (ebpf_flows_options(dp->flows, u->id, u->slot, u->arg, &actions.set.tunnel.opts_id)) {
        us_drop(dp->us, DROP_TUNNEL_OPTIONS);
        return;
    }
    us_execute(dp->us, p, &u->key, &actions.trunc, sizeof(actions));
}

static void compile(struct ebpf_datapath *dp, const struct dp_flow *flow, struct ebpf_program *ret_program);

/* The fast path ran flow ID on a packet with KEY. Checked here: that the flow matches the packet as user space reads
 * it, and that the maps hold what the flow says. What the flow should say is the switch's to check. */
static void on_sample(struct ebpf_datapath *dp, const struct flow_key *key, dp_flow_id id)
{
    const struct megaflow *f = megaflows_find(&dp->us->flows, id);
    struct ebpf_program program;
    struct dp_flow flow;
    struct flow_key masked;
    bool same;

    if (!f || !dp->callbacks.sample) {
        return;
    }
    flow = (struct dp_flow){.id = id,
                            .key = &f->key,
                            .mask = &f->subtable->mask,
                            .actions = action_list_actions(f->actions),
                            .actions_len = f->actions->len};
    compile(dp, &flow, &program);
    if (!ebpf_flows_verify(dp->flows, id, flow.key, flow.mask, &program, &same)) {
        flow_key_and(&masked, key, flow.mask);
        dp->callbacks.sample(dp->callbacks.aux, key, &flow, same && !memcmp(&masked, flow.key, sizeof(masked)));
    }
    free(program.steps);
}

static void on_upcall(void *dp_, const struct ebpf_upcall *u, struct packet *p)
{
    struct ebpf_datapath *dp = dp_;
    struct flow_key key;

    if (u->ns < dp->born_ns && (u->kind == EBPF_UPCALL_OUTPUT || u->kind == EBPF_UPCALL_SAMPLE)) {
        dp->us->drops[DROP_NO_PORT] += u->kind == EBPF_UPCALL_OUTPUT; /* what the flow was called then is forgotten */
        return;
    }
    dp->us->now_ms = time_mono_ms();
    flow_key_extract(p, &key);
    switch ((enum ebpf_upcall_kind)u->kind) {
    case EBPF_UPCALL_SLOW:
        upcall_slow(dp, p, &key, u->arg);
        break;
    case EBPF_UPCALL_OUTPUT:
        run_output(dp, p, u);
        break;
    case EBPF_UPCALL_PUNT: {
        uint64_t hits = dp->us->hits;

        us_process(dp->us, p, &key);
        dp->us->hits = hits; /* the fast path counted it */
        break;
    }
    case EBPF_UPCALL_MISS:
    case EBPF_UPCALL_UNKNOWN:
        us_process(dp->us, p, &key);
        break;
    case EBPF_UPCALL_SAMPLE:
        on_sample(dp, &key, u->id);
        break;
    case EBPF_UPCALL_LEARN:
        ebpf_replace_learn(dp, &key);
        break;
    }
}

static void on_options(void *dp, uint32_t id)
{
    ebpf_opts_add(((struct ebpf_datapath *)dp)->opts, id);
}

/* --- flows --- */

static bool has_address(void *dp, const struct ip_addr *addr, unsigned int bits)
{
    return ebpf_net_has_address(((struct ebpf_datapath *)dp)->net, addr, bits);
}

/* Received packets of tunnels for which the host may want IPsec are left to its stack, which knows what it has done. */
static void follow_guards(struct ebpf_datapath *dp)
{
    bool guarded = ipsec_guards_in(dp->us->ipsec, has_address, dp);

    if (guarded != !!dp->maps.config->guarded_in) {
        log_info("tunnel packets are %s by user space, because of IPsec policies of the host",
                 guarded ? "received" : "no longer received");
        __atomic_store_n(&dp->maps.config->guarded_in, guarded, __ATOMIC_RELAXED);
    }
}

static int put_again(void *dp, const struct dp_flow *flow);

static void follow_routes(struct ebpf_datapath *dp)
{
    dp->changes_seen = ebpf_net_changes(dp->net);
    tunnel_tx_forget_routes(dp->us->tunnel_tx); /* or what was asked just before would be kept until next time */
    follow_guards(dp);
    if (ebpf_remotes_follow(dp->remotes)) {
        dp_userspace_class.flow_for_each(dp->inner, put_again, dp);
    }
}

/* Each remote costs two questions to the kernel: they are asked when something has changed, and now and then for what
 * the kernel tells nobody. */
static void tick_routes(struct ebpf_datapath *dp)
{
    if (dp->us->tunnel_tx && (ebpf_net_changes(dp->net) != dp->changes_seen || ++dp->ticks % ROUTE_TICKS == 0)) {
        follow_routes(dp);
    }
}

static void on_policies(void *dp_)
{
    struct ebpf_datapath *dp = dp_;

    ebpf_maps_changed(&dp->maps);
    if (dp->net && dp->us->tunnel_tx) { /* or while they are opened */
        follow_routes(dp);
    }
}

static bool compile_tunnel(void *dp_, uint32_t number, const struct flow_tunnel *tunnel, struct ebpf_tunnel *t)
{
    struct ebpf_datapath *dp = dp_;
    const struct us_port *port = us_port_find(dp->us, dp_port(number));

    if (!port || port->kind < DP_PORT_VXLAN) {
        return false;
    }
    t->kind = ebpf_tunnel_kind(port->kind);
    t->udp_dst = htobe16(port->udp_dst_port);
    t->ipv6 = !ip_addr_is_v4mapped(&tunnel->dst);
    ebpf_remotes_fill(dp->remotes, tunnel, t);
    return true;
}

static bool compile_userspace(void *dp, uint32_t number)
{
    return ebpf_port_is_userspace(dp, number);
}

static void compile(struct ebpf_datapath *dp, const struct dp_flow *flow, struct ebpf_program *ret_program)
{
    const struct ebpf_compile_ops ops = {.tunnel = compile_tunnel, .userspace = compile_userspace, .aux = dp};

    ebpf_compile(&ops, flow->key, flow->mask, flow->actions, flow->actions_len, ret_program);
}

static int fast_put(struct ebpf_datapath *dp, const struct dp_flow *flow)
{
    struct ebpf_program program;
    int error;

    if (ebpf_port_is_userspace(dp, dp_port_u32(flow->key->in_port))) {
        return 0; /* the fast path never sees its packets */
    }
    compile(dp, flow, &program);
    error = ebpf_flows_put(dp->flows, flow->id, flow->key, flow->mask, &program, flow->stats.used_ms, time_mono_ms());
    free(program.steps);
    dp->crowded |= error != 0;
    return error;
}

static int eb_flow_put(struct datapath *dp_, const struct dp_flow *flow)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    int error = dp_userspace_class.flow_put(dp->inner, flow);

    if (error || dp->leaving) {
        return error;
    }
    error = fast_put(dp, flow);
    if (error) {
        log_limited(LOG_LEVEL_INFO, "a flow goes the slow way: %s", strerror(-error));
    }
    return 0;
}

static int put_again(void *dp, const struct dp_flow *flow)
{
    fast_put(dp, flow);
    return 0;
}

/* Stops at the first for which there is no room. */
static int put_if_missing(void *dp_, const struct dp_flow *flow)
{
    struct ebpf_datapath *dp = dp_;

    return ebpf_flows_has(dp->flows, flow->id) ? 0 : fast_put(dp, flow);
}

/* What once found no room would go the slow way for as long as it is used, and be lost whenever no process runs. */
static void use_room(struct ebpf_datapath *dp)
{
    if (dp->crowded && ebpf_flows_have_room(dp->flows)) {
        dp->crowded = false;
        dp_userspace_class.flow_for_each(dp->inner, put_if_missing, dp);
    }
}

static void add_fast_stats(struct ebpf_datapath *dp, dp_flow_id id, struct dp_flow_stats *s)
{
    struct dp_flow_stats fast;

    if (!ebpf_flows_get_stats(dp->flows, id, &fast)) {
        s->packets += fast.packets;
        s->bytes += fast.bytes;
        s->used_ms = MAX(s->used_ms, fast.used_ms);
        s->tcp_flags |= fast.tcp_flags;
    }
}

static int eb_flow_get_stats(struct datapath *dp_, dp_flow_id id, struct dp_flow_stats *ret_stats)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    struct dp_flow_stats s;
    int error = dp_userspace_class.flow_get_stats(dp->inner, id, &s);

    if (error) {
        return error;
    }
    add_fast_stats(dp, id, &s);
    *ret_stats = s;
    return 0;
}

static bool eb_flow_is_fast(struct datapath *dp, dp_flow_id id)
{
    struct ebpf_step step = {.op = EBPF_OP_PUNT};

    for (uint32_t i = 0; !ebpf_flows_step(eb_of(dp)->flows, id, i, &step) && step.op == EBPF_OP_METER; i++) {
    }
    return step.op != EBPF_OP_PUNT && step.op != EBPF_OP_SLOW;
}

static int eb_flow_del(struct datapath *dp_, dp_flow_id id, struct dp_flow_stats *ret_stats)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    struct dp_flow_stats slow, fast = {0};
    int error = dp_userspace_class.flow_del(dp->inner, id, &slow);

    if (error) {
        return error;
    }
    if (dp->leaving) {
        ebpf_flows_get_stats(dp->flows, id, &fast);
    } else {
        ebpf_flows_del(dp->flows, id, &fast, time_mono_ms());
    }
    if (ret_stats) {
        *ret_stats = (struct dp_flow_stats){.packets = slow.packets + fast.packets,
                                            .bytes = slow.bytes + fast.bytes,
                                            .used_ms = MAX(slow.used_ms, fast.used_ms),
                                            .tcp_flags = slow.tcp_flags | fast.tcp_flags};
    }
    return 0;
}

struct each {
    struct ebpf_datapath *dp;
    int (*fn)(void *aux, const struct dp_flow *flow);
    void *aux;
};

static int each_flow(void *each_, const struct dp_flow *flow_)
{
    struct each *each = each_;
    struct dp_flow flow = *flow_;

    add_fast_stats(each->dp, flow.id, &flow.stats);
    return each->fn(each->aux, &flow);
}

static int eb_flow_for_each(struct datapath *dp_, int (*fn)(void *aux, const struct dp_flow *flow), void *aux)
{
    struct each each = {eb_of(dp_), fn, aux};

    return dp_userspace_class.flow_for_each(each.dp->inner, each_flow, &each);
}

static int eb_execute(struct datapath *dp, struct packet *packet, const struct dp_action *actions, size_t actions_len)
{
    return dp_userspace_class.execute(eb_of(dp)->inner, packet, actions, actions_len);
}

/* --- counters --- */

static const uint64_t *eb_drops(struct datapath *dp_)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    _cleanup_free_ uint64_t *n = xcalloc((size_t)dp->maps.n_cpus, sizeof(*n));
    const uint64_t *slow = dp_userspace_class.drops(dp->inner);

    for (uint32_t reason = 0; reason < DROP_MAX; reason++) {
        dp->drops[reason] = slow[reason];
        if (!bpf_map_lookup_elem(dp->maps.drops_fd, &reason, n)) {
            for (int i = 0; i < dp->maps.n_cpus; i++) {
                dp->drops[reason] += n[i];
            }
        }
    }
    return dp->drops;
}

static void eb_lookup_stats(struct datapath *dp_, uint64_t *ret_hits, uint64_t *ret_misses)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    _cleanup_free_ struct ebpf_lookup_stats *s = xcalloc((size_t)dp->maps.n_cpus, sizeof(*s));
    uint32_t zero = 0;

    /* Every miss of the fast path is looked up inside, too. */
    dp_userspace_class.lookup_stats(dp->inner, ret_hits, ret_misses);
    if (!bpf_map_lookup_elem(dp->maps.lookups_fd, &zero, s)) {
        for (int i = 0; i < dp->maps.n_cpus; i++) {
            *ret_hits += s[i].hits;
        }
    }
}

static void open_detour(struct ebpf_datapath *dp)
{
    int error = ebpf_detour_open(&dp->maps, rundir, &dp->detour);

    if (error) {
        log_info("super-packets out of tunnels are cut before taps, UDP's take the slow path: the detour (seg6local, "
                 "macvlan, a network namespace): %s",
                 strerror(-error));
    }
}

/* Its device is for anybody to see, and without its filter, or down, it swallows what is sent there. */
static void follow_detour(struct ebpf_datapath *dp)
{
    if (dp->detour && !ebpf_detour_is_whole(dp->detour)) {
        log_limited(LOG_LEVEL_WARN, "somebody changed the device of the detour for super-packets: it is made anew");
        ebpf_detour_close(dp->detour, false);
        dp->detour = NULL;
        open_detour(dp);
    }
}

static void on_tick(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *dp_)
{
    struct ebpf_datapath *dp = dp_;

    ebpf_flows_tick(dp->flows, time_mono_ms());
    use_room(dp);
    if (ebpf_remotes_tick(dp->remotes)) {
        dp_userspace_class.flow_for_each(dp->inner, put_again, dp);
    }
    tick_routes(dp);
    ebpf_net_tick(dp->net);
    follow_detour(dp);
}

/* --- taking over from a process before us --- */

/* One flow of a process before us: learned from or, when nothing more is to be learned, adopted. */
static void settle_orphan(struct ebpf_datapath *dp, const struct ebpf_orphan *o, int64_t now)
{
    const struct dp_callbacks *cb = &dp->callbacks;
    const struct dp_flow flow = {.key = &o->key, .mask = &o->mask, .stats.used_ms = o->used_ms};
    bool learns = dp->learn_rounds < LEARN_ROUNDS;

    if (learns) {
        dp->learned_any |= cb->learn && cb->learn(cb->aux, &flow);
    } else if ((!o->used_ms || now - o->used_ms < ADOPT_IDLE_MS) && cb->adopt) { /* never used: it may be quite new */
        cb->adopt(cb->aux, &flow);
    }
    ebpf_flows_next_orphan(dp->flows, o->at, !learns, now);
}

/* All orphans have had their turn. False: that was all. */
static bool next_round(struct ebpf_datapath *dp)
{
    if (dp->learn_rounds == LEARN_ROUNDS) {
        return false;
    }
    dp->learn_rounds = dp->learned_any ? dp->learn_rounds + 1 : LEARN_ROUNDS;
    dp->learned_any = false;
    ebpf_flows_first_orphan(dp->flows);
    return true;
}

/* False: none is left. */
static bool settle_some(struct ebpf_datapath *dp, int64_t now)
{
    struct ebpf_orphan o;

    for (int i = 0; i < ADOPT_SLICE; i++) {
        if (ebpf_flows_orphan(dp->flows, &o)) {
            settle_orphan(dp, &o, now);
        } else if (!next_round(dp)) {
            return false;
        }
    }
    return true;
}

static void on_adopt(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *dp_)
{
    struct ebpf_datapath *dp = dp_;
    const struct timeval soon = {0, ADOPT_USEC};
    int64_t now = time_mono_ms(), until = now + ADOPT_MS;

    for (; now < until; now = time_mono_ms()) {
        if (!settle_some(dp, now)) {
            dp->unsettled = dp->settling = false;
            log_info("all that a switch before left is settled");
            return;
        }
    }
    event_add(dp->adopt, &soon);
}

void ebpf_settle_ours(struct ebpf_datapath *dp)
{
    const struct timeval now = {0, 0};

    ebpf_ports_settle(dp);
    ebpf_flows_first_orphan(dp->flows);
    event_add(dp->adopt, &now);
}

static void hear(struct ebpf_datapath *dp, enum dp_stage stage)
{
    enum ebpf_hearing hearing = stage >= DP_TABLES  ? EBPF_HEAR_ALL
                                : stage >= DP_PORTS ? EBPF_HEAR_KNOWN
                                                    : EBPF_HEAR_NOTHING;

    if (dp->hearing != hearing) {
        dp->hearing = hearing;
        ebpf_formers_hear(dp->formers, hearing);
        ebpf_upcalls_hear(dp->upcalls, hearing);
    }
}

static bool eb_settle(struct datapath *dp_, enum dp_stage stage)
{
    struct ebpf_datapath *dp = eb_of(dp_);

    if (dp->unsettled) {
        hear(dp, stage);
    }
    if (stage == DP_COMPLETE && dp->unsettled && !dp->settling) {
        dp->settling = true;
        if (dp->maps.replaces) {
            ebpf_replace_begin(dp);
        } else {
            ebpf_settle_ours(dp);
        }
    }
    return dp->unsettled;
}

static void eb_set_sample(struct datapath *dp, uint32_t one_in)
{
    eb_of(dp)->maps.config->sample = one_in;
    dp_set_sample(eb_of(dp)->inner, one_in);
}

static void eb_leave(struct datapath *dp_)
{
    struct ebpf_datapath *dp = eb_of(dp_);

    dp->leaving = dp->us->keep_guards = dp->maps.pin_dir != NULL;
}

/* --- life --- */

static void free_event(struct event *event)
{
    if (event) {
        event_free(event);
    }
}

static void eb_close(struct datapath *dp_)
{
    struct ebpf_datapath *dp = eb_of(dp_);

    ebpf_ports_close(dp);
    if (dp->net && !dp->leaving) {
        ebpf_net_detach_uplinks(dp->net);
        ebpf_link_remove(EBPF_FIB_DEVICE);
    }
    ebpf_detour_close(dp->detour, dp->leaving);
    if (!dp->leaving) {
        ebpf_detour_remove(rundir, NULL);
    }
    ebpf_net_free(dp->net);
    ebpf_formers_close(dp->formers);
    ebpf_upcalls_free(dp->upcalls);
    free_event(dp->tick);
    free_event(dp->adopt);
    free_event(dp->learn);
    if (dp->inner) {
        dp_close(dp->inner);
    }
    ebpf_remotes_free(dp->remotes);
    ebpf_flows_free(dp->flows);
    ebpf_opts_free(dp->opts);
    if (dp->maps.pin_dir && !dp->leaving) {
        ebpf_unpin(rundir);
    }
    ebpf_unload(&dp->maps);
    free(dp->numbers);
    free(dp);
}

static int eb_open(struct event_base *base, const struct dp_callbacks *callbacks, struct datapath **ret_dp)
{
    const struct timeval tick = {TICK_MS / 1000, 0};
    struct ebpf_datapath *dp = xcalloc(1, sizeof(*dp));
    struct ebpf_listener listener;
    int error;

    dp->dp.class = &dp_ebpf_class;
    dp->callbacks = *callbacks;
    dp->rundir = rundir;
    error = ebpf_load(rundir, &dp->maps);
    if (error) {
        free(dp);
        return error;
    }
    dp->strangers = rundir && ebpf_ports_have_strangers(dp);
    dp->maps.replaces |= dp->strangers;
    dp->unsettled = dp->maps.adopted || dp->maps.replaces;
    dp->opts = ebpf_opts_new(&dp->maps);
    dp->flows = ebpf_flows_new(&dp->maps, dp->opts);
    dp->born_ns = time_mono_ns();
    error = dp_userspace_class.open(base, callbacks, &dp->inner);
    if (error) {
        goto fail;
    }
    dp->us = us_datapath_of(dp->inner);
    dp->remotes = ebpf_remotes_new(&dp->maps, dp->us, dp->flows);
    dp->us->ports_max = EBPF_PORTS_MAX;
    dp->us->fast_path = true;
    dp->us->number_is_taken = ebpf_port_is_to_come;
    dp->us->options_seen = on_options;
    dp->us->meter_admits = ebpf_meter_admits;
    dp->us->police_admits = ebpf_police_admits;
    dp->us->policies_changed = on_policies;
    dp->us->owner = dp;
    listener = (struct ebpf_listener){.fn = on_upcall, .aux = dp, .drops = dp->us->drops, .old_ms = UPCALL_OLD_MS};
    if (dp->maps.adopted) {
        ebpf_ports_adopt(dp);
        ebpf_flows_for_each_orphan_step(dp->flows, ebpf_remotes_adopt, dp->remotes);
    }
    open_detour(dp); /* before our programs are in use */
    error = ebpf_net_new(base, &dp->maps, ebpf_ports_gone, dp, &dp->net);
    error = error ? error : ebpf_upcalls_new(base, dp->maps.ring_fd, &listener, &dp->upcalls);
    if (error) {
        goto fail;
    }
    dp->hearing = EBPF_HEAR_ALL;
    if (dp->maps.replaces) {
        dp->formers = ebpf_formers_open(base, rundir, &dp->maps, &listener);
    }
    if (dp->unsettled) {
        hear(dp, DP_STARTING);
    }
    if (!dp->maps.replaces) {
        ebpf_detour_remove(rundir, dp->detour); /* no program uses another any more */
    }
    dp->adopt = event_new(base, -1, 0, on_adopt, dp);
    dp->learn = event_new(base, -1, 0, ebpf_replace_turn, dp);
    dp->tick = event_new(base, -1, EV_PERSIST, on_tick, dp);
    if (!dp->adopt || !dp->learn || !dp->tick || event_add(dp->tick, &tick)) {
        error = -ENOMEM;
        goto fail;
    }
    *ret_dp = &dp->dp;
    return 0;
fail:
    /* What a process before us left goes on, as if we had been killed: the next one finds what there is of ours. */
    dp->leaving = dp->unsettled;
    eb_close(&dp->dp);
    return error;
}

bool dp_ebpf_is_left(const char *dir)
{
    return ebpf_has_pins(dir);
}

int dp_ebpf_detach(const char *dir)
{
    struct if_nameindex *links = if_nameindex();

    libbpf_set_print(NULL); /* most devices have nothing of ours, not even a place for it */
    if (!links) {
        log_err("the list of devices: %s", strerror(errno));
        return -errno;
    }
    ebpf_pinned_ports(dir, ebpf_port_forget);
    for (size_t i = 0; links[i].if_index; i++) {
        /* One of a userspace datapath's (host_guard.h) stays. */
        if (ebpf_is_attached((int)links[i].if_index) || host_guard_is((int)links[i].if_index, HOST_GUARD_INNER)) {
            ebpf_detach((int)links[i].if_index);
        }
        if (ebpf_is_internal_peer(links[i].if_name) || !strcmp(links[i].if_name, EBPF_FIB_DEVICE)) {
            ebpf_link_remove(links[i].if_name);
        }
    }
    if_freenameindex(links);
    ebpf_detour_remove(dir, NULL);
    return ebpf_unpin(dir);
}

const struct dp_class dp_ebpf_class = {
    .name = "ebpf",
    .open = eb_open,
    .close = eb_close,
    .port_add = eb_port_add,
    .port_del = eb_port_del,
    .wait_removed = eb_wait_removed,
    .port_get_stats = eb_port_get_stats,
    .port_set_policing = eb_port_set_policing,
    .flow_put = eb_flow_put,
    .flow_del = eb_flow_del,
    .flow_get_stats = eb_flow_get_stats,
    .flow_is_fast = eb_flow_is_fast,
    .flow_for_each = eb_flow_for_each,
    .execute = eb_execute,
    .meter_set = eb_meter_set,
    .meter_del = eb_meter_del,
    .meter_get_stats = eb_meter_get_stats,
    .meter_ask = eb_meter_ask,
    .drops = eb_drops,
    .lookup_stats = eb_lookup_stats,
    .settle = eb_settle,
    .leave = eb_leave,
    .set_sample = eb_set_sample,
};
