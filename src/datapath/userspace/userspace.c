/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/userspace/userspace.h"

#include <endian.h>
#include <utlist.h>

#include "base/log.h"
#include "base/slow_close.h"
#include "datapath/userspace/ipsec.h"
#include "datapath/userspace/tunnel_tx.h"
#include "packet/segment.h"

LOG_MODULE("dp_userspace");

#define PORTS_MAX 65536

struct us_port *us_port_find(struct us_datapath *dp, dp_port_t number)
{
    uint32_t n = dp_port_u32(number);
    struct us_port *port = n < dp->ports_size ? dp->ports[n] : NULL;

    return port && !port->deleted ? port : NULL;
}

static void port_free(struct us_port *port)
{
    us_tx_flush(port->dp); /* frames that leave by it */
    for (size_t i = 0; i < port->n_events; i++) {
        event_free(port->events[i]);
    }
    port->ops->close(port);
    free(port->name);
    free(port);
}

static void port_readable(evutil_socket_t fd, short what WR_UNUSED, void *port_)
{
    struct us_port *port = port_;
    struct us_datapath *dp = port->dp;
    int n = RX_BATCH;

    dp->receiving = port;
    dp->now_ms = time_mono_ms();
    for (int turn = 0; turn < RX_TURNS && n == RX_BATCH && !port->deleted && !port->gone; turn++) {
        n = port->ops->receive(port, fd);
        us_tx_flush(dp);
    }
    dp->receiving = NULL;
    if (port->deleted) {
        port_free(port);
    }
}

int us_port_watch(struct us_port *port, int fd)
{
    struct event *ev = event_new(port->dp->base, fd, EV_READ | EV_PERSIST, port_readable, port);

    if (!ev) {
        return -ENOMEM;
    }
    if (event_add(ev, NULL)) {
        event_free(ev);
        return -ENOMEM;
    }
    port->events[port->n_events++] = ev;
    return 0;
}

void us_port_gone(struct us_port *port)
{
    if (port->gone) {
        return;
    }
    port->gone = true;
    for (size_t i = 0; i < port->n_events; i++) {
        event_del(port->events[i]);
    }
    log_info("%s: the device is gone", port->name);
    if (port->dp->callbacks.port_gone) {
        port->dp->callbacks.port_gone(port->dp->callbacks.aux, port->number);
    }
}

struct packet *us_rx_packet(struct us_datapath *dp, unsigned int i)
{
    packet_init(&dp->rx[i], dp->rx_bufs + (size_t)i * RX_BUF_SIZE, RX_BUF_SIZE, PACKET_HEADROOM);
    return &dp->rx[i];
}

static void upcall_miss(struct us_datapath *dp, struct packet *p, const struct flow_key *key)
{
    struct dp_upcall upcall = {.reason = DP_UPCALL_MISS, .packet = p, .key = key};

    dp->misses++;
    if (dp->callbacks.upcall) {
        dp->callbacks.upcall(dp->callbacks.aux, &upcall);
    } else {
        us_drop(dp, DROP_UPCALL_QUEUE);
    }
}

uint32_t us_count_segments(const struct packet *p)
{
    const struct packet_offload *o = &p->offload;

    return o->gso_type && o->gso_size && p->len > o->hdr_len ? (uint32_t)DIV_ROUND_UP(p->len - o->hdr_len, o->gso_size)
                                                             : 1;
}

/* One hit in dp->sample, drawn: what is regular in the traffic must not be regular in the samples. */
static bool is_sample(struct us_datapath *dp)
{
    if (!dp->sample || !dp->callbacks.sample) {
        return false;
    }
    dp->random ^= dp->random << 13; /* xorshift32 */
    dp->random ^= dp->random >> 17;
    dp->random ^= dp->random << 5;
    return (uint64_t)dp->random * dp->sample >> 32 == 0;
}

/* Is F, which the lookup gave, right for KEY? The handler may delete it. */
static void sample(struct us_datapath *dp, const struct flow_key *key, const struct megaflow *f)
{
    struct flow_key masked;
    struct dp_flow flow = {.id = f->id,
                           .key = &f->key,
                           .mask = &f->subtable->mask,
                           .actions = action_list_actions(f->actions),
                           .actions_len = f->actions->len,
                           .stats = f->stats};

    flow_key_and(&masked, key, flow.mask);
    dp->callbacks.sample(dp->callbacks.aux, key, &flow, !memcmp(&masked, flow.key, sizeof(masked)));
}

void us_process(struct us_datapath *dp, struct packet *p, const struct flow_key *key)
{
    struct megaflow *f = megaflows_lookup(&dp->flows, key);
    struct action_list *actions;

    if (!f) {
        upcall_miss(dp, p, key);
        return;
    }
    dp->hits++;
    f->stats.packets++;
    f->stats.bytes += p->len;
    f->stats.used_ms = dp->now_ms;
    f->stats.tcp_flags |= be16toh(key->tcp_flags);
    actions = action_list_ref(f->actions);
    if (is_sample(dp)) {
        sample(dp, key, f);
    }
    us_execute(dp, p, key, action_list_actions(actions), actions->len);
    action_list_unref(actions);
}

static bool police(struct us_port *port, const struct packet *p)
{
    struct us_datapath *dp = port->dp;
    uint32_t packets = us_count_segments(p);

    return dp->police_admits && !port->receives
               ? dp->police_admits(dp->owner, dp_port_u32(port->number), (uint32_t)p->len, packets)
               : policer_admit(&port->policer, p->len, packets, dp->now_ms);
}

void us_receive(struct us_port *port, struct packet *p)
{
    struct us_datapath *dp = port->dp;
    struct flow_key key;
    size_t hdr_len;

    port->stats.rx_packets++;
    port->stats.rx_bytes += p->len;
    if (p->len < 14) {
        port->stats.rx_errors++;
        us_drop(dp, DROP_TRUNCATED);
        return;
    }
    p->in_port = port->number;
    flow_key_extract(p, &key);
    hdr_len = packet_is_gso(p) ? packet_gso_hdr_len(p) : 0;
    if (hdr_len) {
        p->offload.hdr_len = (uint16_t)hdr_len;
    }
    if (policer_is_on(&port->policer) && !police(port, p)) {
        port->stats.rx_dropped++;
        us_drop(dp, DROP_POLICING);
        return;
    }
    if (port->ops == &us_tunnel_ops) {
        us_tunnel_restore_offload(port, p, &key);
    }
    us_process(dp, p, &key);
}

/* --- the dp_class --- */

static struct us_datapath *us_of(struct datapath *dp)
{
    return CONTAINER_OF(dp, struct us_datapath, dp);
}

struct us_datapath *us_datapath_of(struct datapath *dp)
{
    return us_of(dp);
}

static int us_open(struct event_base *base, const struct dp_callbacks *callbacks, struct datapath **ret_dp)
{
    struct us_datapath *dp = xcalloc(1, sizeof(*dp));

    dp->dp.class = &dp_userspace_class;
    dp->base = base;
    dp->callbacks = *callbacks;
    dp->next_port = 1;
    dp->ports_max = PORTS_MAX;
    dp->random = 2463534242; /* any but 0 */
    dp->udp_super = kernel_at_least(6, 2);
    dp->rx_bufs = xmalloc((size_t)RX_BATCH * RX_BUF_SIZE);
    *ret_dp = &dp->dp;
    return 0;
}

static void us_close(struct datapath *dp_)
{
    struct us_datapath *dp = us_of(dp_);

    for (size_t i = 0; i < dp->ports_size; i++) {
        if (dp->ports[i]) {
            port_free(dp->ports[i]);
        }
    }
    free(dp->ports);
    megaflows_done(&dp->flows);
    us_meters_done(dp);
    tunnel_tx_free(dp->tunnel_tx);
    ipsec_free(dp->ipsec);
    free(dp->tx_batch);
    free(dp->rx_bufs);
    free(dp);
}

/* Numbers are not used again soon: a late packet or flow of a port that was deleted must not meet a new one. */
static int choose_number(struct us_datapath *dp, uint32_t *ret_n)
{
    for (uint32_t tries = 0; tries < dp->ports_max; tries++) {
        uint32_t n = dp->next_port;

        dp->next_port = n + 1 < dp->ports_max ? n + 1 : 1;
        if (n >= dp->ports_size) {
            size_t size = MAX(64, (size_t)n * 2);

            dp->ports = xrealloc(dp->ports, size * sizeof(dp->ports[0]));
            memset(dp->ports + dp->ports_size, 0, (size - dp->ports_size) * sizeof(dp->ports[0]));
            dp->ports_size = size;
        }
        if (!dp->ports[n] && !(dp->number_is_taken && dp->number_is_taken(dp->owner, n))) {
            *ret_n = n;
            return 0;
        }
    }
    return -ENOSPC;
}

static const struct us_port_ops *ops_of(enum dp_port_kind kind)
{
    switch (kind) {
    case DP_PORT_SYSTEM:
        return &us_system_ops;
    case DP_PORT_INTERNAL:
        return &us_internal_ops;
    case DP_PORT_VXLAN:
    case DP_PORT_GRE:
    case DP_PORT_GENEVE:
        return &us_tunnel_ops;
    }
    return NULL;
}

static bool conflicts(const struct us_port *port, const struct dp_port_spec *spec)
{
    bool tunnel = spec->kind >= DP_PORT_VXLAN;

    if (!port || port->gone) {
        return false;
    }
    return !strcmp(port->name, spec->name) ||
           (tunnel && port->kind == spec->kind && port->udp_dst_port == spec->udp_dst_port);
}

static int us_port_add(struct datapath *dp_, const struct dp_port_spec *spec, dp_port_t *ret_port)
{
    struct us_datapath *dp = us_of(dp_);
    const struct us_port_ops *ops = ops_of(spec->kind);
    struct us_port *port;
    uint32_t n;
    int error;

    if (!ops || !spec->name || !spec->name[0]) {
        return -EINVAL;
    }
    for (size_t i = 0; i < dp->ports_size; i++) {
        if (conflicts(dp->ports[i], spec)) {
            return -EEXIST;
        }
    }
    error = choose_number(dp, &n);
    if (error) {
        return error;
    }
    port = xcalloc(1, sizeof(*port));
    port->dp = dp;
    port->ops = ops;
    port->kind = spec->kind;
    port->name = xstrdup(spec->name);
    port->number = dp_port(n);
    port->receives = !dp->fast_path || spec->userspace;
    port->udp_dst_port = spec->kind == DP_PORT_GRE ? 0 : spec->udp_dst_port;
    port->fd = port->tunnel_fds[0] = port->tunnel_fds[1] = -1;
    error = ops->open(port, spec);
    if (error) {
        dp->next_port = n; /* nobody has met it */
        port_free(port);
        return error;
    }
    dp->ports[n] = port;
    *ret_port = port->number;
    return 0;
}

static int us_port_del(struct datapath *dp_, dp_port_t number)
{
    struct us_datapath *dp = us_of(dp_);
    struct us_port *port = us_port_find(dp, number);

    if (!port) {
        return -ENOENT;
    }
    dp->ports[dp_port_u32(number)] = NULL;
    if (port == dp->receiving) {
        port->deleted = true;
    } else {
        port_free(port);
    }
    return 0;
}

static void us_wait_removed(struct datapath *dp WR_UNUSED)
{
    slow_close_wait();
}

static int us_port_get_stats(struct datapath *dp, dp_port_t number, struct dp_port_stats *ret_stats)
{
    struct us_port *port = us_port_find(us_of(dp), number);

    if (!port) {
        return -ENOENT;
    }
    *ret_stats = port->stats;
    return 0;
}

static int us_port_set_policing(struct datapath *dp, dp_port_t number, const struct dp_policing *policing)
{
    struct us_port *port = us_port_find(us_of(dp), number);

    if (!port) {
        return -ENOENT;
    }
    policer_set(&port->policer, policing, time_mono_ms());
    return 0;
}

static int us_flow_put(struct datapath *dp, const struct dp_flow *flow)
{
    int error = us_actions_check(flow->actions, flow->actions_len);

    return error ? error : megaflows_put(&us_of(dp)->flows, flow);
}

static int us_flow_del(struct datapath *dp_, dp_flow_id id, struct dp_flow_stats *ret_stats)
{
    struct us_datapath *dp = us_of(dp_);
    struct megaflow *f = megaflows_find(&dp->flows, id);

    if (!f) {
        return -ENOENT;
    }
    if (ret_stats) {
        *ret_stats = f->stats;
    }
    megaflows_remove(&dp->flows, f);
    return 0;
}

static int us_flow_get_stats(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret_stats)
{
    struct megaflow *f = megaflows_find(&us_of(dp)->flows, id);

    if (!f) {
        return -ENOENT;
    }
    *ret_stats = f->stats;
    return 0;
}

static int us_flow_for_each(struct datapath *dp, int (*fn)(void *aux, const struct dp_flow *flow), void *aux)
{
    struct megaflow *f, *next;
    int result = 0;

    DL_FOREACH_SAFE(us_of(dp)->flows.list, f, next) {
        struct dp_flow flow = {
            .id = f->id,
            .key = &f->key,
            .mask = &f->subtable->mask,
            .actions = action_list_actions(f->actions),
            .actions_len = f->actions->len,
            .stats = f->stats,
        };

        result = fn(aux, &flow);
        if (result) {
            break;
        }
    }
    return result;
}

static int us_dp_execute(struct datapath *dp_, struct packet *packet, const struct dp_action *actions,
                         size_t actions_len)
{
    struct us_datapath *dp = us_of(dp_);
    struct flow_key key;
    int error = us_actions_check(actions, actions_len);

    if (error) {
        return error;
    }
    dp->now_ms = time_mono_ms();
    flow_key_extract(packet, &key);
    us_execute(dp, packet, &key, actions, actions_len);
    return 0;
}

static const uint64_t *us_drops(struct datapath *dp)
{
    return us_of(dp)->drops;
}

static void us_lookup_stats(struct datapath *dp, uint64_t *ret_hits, uint64_t *ret_misses)
{
    *ret_hits = us_of(dp)->hits;
    *ret_misses = us_of(dp)->misses;
}

static void us_set_sample(struct datapath *dp, uint32_t one_in)
{
    us_of(dp)->sample = one_in;
}

const struct dp_class dp_userspace_class = {
    .name = "userspace",
    .open = us_open,
    .close = us_close,
    .port_add = us_port_add,
    .port_del = us_port_del,
    .wait_removed = us_wait_removed,
    .port_get_stats = us_port_get_stats,
    .port_set_policing = us_port_set_policing,
    .flow_put = us_flow_put,
    .flow_del = us_flow_del,
    .flow_get_stats = us_flow_get_stats,
    .flow_for_each = us_flow_for_each,
    .execute = us_dp_execute,
    .meter_set = us_meter_set,
    .meter_del = us_meter_del,
    .meter_get_stats = us_meter_get_stats,
    .meter_ask = us_meter_ask,
    .drops = us_drops,
    .lookup_stats = us_lookup_stats,
    .set_sample = us_set_sample,
};
