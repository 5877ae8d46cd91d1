/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of the class: each is one of the inner datapath and, beside it, what the fast path needs to receive by it: an
 * entry of its maps and a program on the device, or an entry among the tunnels. A port that is to be user space's has
 * none of that: the inner datapath receives for it. Ports that a process before us had keep their numbers, unless they
 * were the fast path's and are user space's now.
 */
#include <bpf/bpf.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/slow_close.h"
#include "datapath/ebpf/ebpf_private.h"
#include "datapath/userspace/host_guard.h"

LOG_MODULE("ebpf_port");

#define PORT_UNCLAIMED 1
#define PORT_LOST 2        /* it is gone, but flows with more outputs than that may name it */
#define OTHER_MAPS_MAX 256 /* those of some other layouts */

uint8_t ebpf_tunnel_kind(enum dp_port_kind kind)
{
    return kind == DP_PORT_VXLAN ? EBPF_VXLAN : kind == DP_PORT_GRE ? EBPF_GRE : EBPF_GENEVE;
}

/* The port has no device any more. */
static void no_device(struct ebpf_datapath *dp, uint32_t number)
{
    dp->maps.ports[number].ifindex = 0;
    ebpf_maps_changed(&dp->maps);
}

void ebpf_ports_gone(void *dp_, uint32_t number)
{
    struct ebpf_datapath *dp = dp_;
    struct us_port *port = us_port_find(dp->us, dp_port(number));

    no_device(dp, number);
    if (port) {
        us_port_gone(port);
    }
}

/* The number that the port had with a process before us, 0: none. */
static uint32_t former_number(const struct ebpf_datapath *dp, const struct dp_port_spec *spec, int ifindex)
{
    const struct ebpf_config *c = dp->maps.config;
    uint32_t number = 0;

    if (!dp->numbers) {
        return 0;
    }
    if (spec->kind >= DP_PORT_VXLAN) {
        for (uint32_t i = 0; i < c->n_tunnels && !number; i++) {
            if (c->tunnels[i].port && c->tunnels[i].kind == ebpf_tunnel_kind(spec->kind) &&
                (spec->kind == DP_PORT_GRE || c->tunnels[i].udp_dst == htobe16(spec->udp_dst_port))) {
                number = c->tunnels[i].port;
            }
        }
    } else if (bpf_map_lookup_elem(dp->maps.ifindexes_fd, &ifindex, &number)) {
        return 0;
    }
    return number < EBPF_PORTS_MAX && dp->numbers[number] == PORT_UNCLAIMED ? number : 0;
}

/* The inner port, under its former number if it had one (*RET_FORMER). */
static int inner_port_add(struct ebpf_datapath *dp, const struct dp_port_spec *spec, dp_port_t *ret_number,
                          bool *ret_former)
{
    uint32_t former = former_number(dp, spec, (int)if_nametoindex(spec->name)), next = dp->us->next_port;
    int error;

    if (former) {
        dp->numbers[former] = 0;
        dp->us->next_port = former;
    }
    error = dp_userspace_class.port_add(dp->inner, spec, ret_number);
    if (former) {
        dp->us->next_port = next;
        dp->numbers[former] = error ? PORT_UNCLAIMED : 0;
    }
    *ret_former = !error && former;
    return error;
}

bool ebpf_port_is_to_come(void *dp_, uint32_t number)
{
    struct ebpf_datapath *dp = dp_;

    return dp->numbers && dp->numbers[number];
}

static void stats_clear(struct ebpf_datapath *dp, uint32_t number)
{
    _cleanup_free_ struct ebpf_port_stats *zero = xcalloc((size_t)dp->maps.n_cpus, sizeof(*zero));

    bpf_map_update_elem(dp->maps.port_stats_fd, &number, zero, BPF_ANY);
}

/* Without a socket to hold it, PACKET_MR_PROMISC would end with the process, and forwarding must not. Whether it is
 * ours to take back is remembered, or known from a program of another version: somebody else may have set it before. */
static void set_promisc(struct ebpf_datapath *dp, const struct fast_port *port)
{
    bool other_version = dp->maps.replaces && ebpf_is_foreign(port->ifindex, &dp->maps);

    if (ebpf_promisc(port->ifindex, true) || other_version) {
        dp->maps.ports[port->number].flags |= EBPF_PORT_PROMISC;
    }
}

void ebpf_port_forget(const struct ebpf_port *p)
{
    /* A number may have come to mean another device. */
    if (p->flags & EBPF_PORT_PROMISC && ebpf_is_attached((int)p->ifindex)) {
        ebpf_promisc((int)p->ifindex, false);
    }
    ebpf_detach((int)p->ifindex);
}

static int attach(struct ebpf_datapath *dp, const struct fast_port *port)
{
    dp->maps.ports[port->number].flags &= ~EBPF_PORT_LEARN; /* before: nobody is behind our program then */
    return ebpf_attach(port->ifindex, dp->maps.port_prog_fd);
}

/* Lets the fast path receive for NUMBER. On failure a FORMER port's packets go on by the program that is there. */
static int netdev_start(struct ebpf_datapath *dp, struct fast_port *port, bool former)
{
    struct ebpf_port *p = &dp->maps.ports[port->number];
    int error;

    if (p->ifindex != (uint32_t)port->ifindex) {
        memset(p, 0, sizeof(*p));
        p->tokens = dp->maps.config->upcall_burst;
        p->ifindex = (uint32_t)port->ifindex;
    }
    error = bpf_map_update_elem(dp->maps.ifindexes_fd, &port->ifindex, &port->number, BPF_ANY);
    if (error) {
        return error;
    }
    /* Another version's program serves on until our tables are complete. */
    error = dp->maps.replaces && ebpf_is_foreign(port->ifindex, &dp->maps) ? 0 : attach(dp, port);
    if (error) {
        if (!former) {
            bpf_map_delete_elem(dp->maps.ifindexes_fd, &port->ifindex);
        }
        return error;
    }
    ebpf_net_port_add(dp->net, port->ifindex, port->number);
    return 0;
}

static void netdev_stop(struct ebpf_datapath *dp, struct fast_port *port)
{
    struct ebpf_port p = dp->maps.ports[port->number];

    for (uint32_t key = port->number + EBPF_METER_POLICE_BITS; key <= port->number + EBPF_METER_POLICE_PACKETS;
         key += EBPF_METER_POLICE_PACKETS - EBPF_METER_POLICE_BITS) {
        bpf_map_delete_elem(dp->maps.meters_fd, &key);
    }
    p.ifindex = (uint32_t)port->ifindex; /* also if the device is gone */
    no_device(dp, port->number);
    bpf_map_delete_elem(dp->maps.ifindexes_fd, &port->ifindex);
    ebpf_port_forget(&p);
    ebpf_net_port_del(dp->net, port->ifindex);
}

static int tunnel_start(struct ebpf_datapath *dp, const struct us_port *port)
{
    struct ebpf_config *c = dp->maps.config;
    struct ebpf_tunnel_port t = {
        .port = dp_port_u32(port->number),
        .udp_dst = htobe16(port->udp_dst_port),
        .kind = ebpf_tunnel_kind(port->kind),
    };
    uint32_t key;

    key = ebpf_tunnel_key(t.kind, port->udp_dst_port);
    bpf_map_update_elem(dp->maps.ifindexes_fd, &key, &t.port, BPF_ANY); /* best effort: who replaces us reads it */
    for (uint32_t i = 0; i < c->n_tunnels; i++) {
        if (c->tunnels[i].port == t.port) {
            return 0; /* adopted */
        }
    }
    for (uint32_t i = 0; i < EBPF_TUNNELS_MAX; i++) {
        if (i >= c->n_tunnels || !c->tunnels[i].port) {
            c->tunnels[i] = t;
            __atomic_store_n(&c->n_tunnels, MAX(c->n_tunnels, i + 1), __ATOMIC_RELEASE);
            return 0;
        }
    }
    log_info("%s: the fast path knows %d tunnel ports at most: this one's packets take the slow path", port->name,
             EBPF_TUNNELS_MAX);
    return 0;
}

static void tunnel_stop(struct ebpf_datapath *dp, uint32_t number)
{
    struct ebpf_config *c = dp->maps.config;

    for (uint32_t i = 0; i < c->n_tunnels; i++) {
        if (c->tunnels[i].port == number) {
            uint32_t key = ebpf_tunnel_key(c->tunnels[i].kind, be16toh(c->tunnels[i].udp_dst));

            bpf_map_delete_elem(dp->maps.ifindexes_fd, &key);
            c->tunnels[i].port = 0;
            ebpf_maps_changed(&dp->maps);
        }
    }
}

static void port_free(struct ebpf_datapath *dp, struct fast_port *port)
{
    HASH_DEL(dp->ports, port);
    if (dp->leaving) {
        free(port);
        return;
    }
    if (port->ifindex) {
        netdev_stop(dp, port);
    } else {
        tunnel_stop(dp, port->number);
    }
    if (port->peer[0]) {
        ebpf_leaving_add(&dp->removed, port->ifindex);
    }
    free(port);
}

static bool name_taken(const struct ebpf_datapath *dp, const char *name)
{
    for (size_t i = 0; i < dp->us->ports_size; i++) {
        if (dp->us->ports[i] && !dp->us->ports[i]->gone && !strcmp(dp->us->ports[i]->name, name)) {
            return true;
        }
    }
    return false;
}

/* --- ports of user space --- */

/* A port that is not configured any more. */
static void drop_unclaimed(struct ebpf_datapath *dp, uint32_t number)
{
    const struct ebpf_port p = dp->maps.ports[number];
    int ifindex = (int)p.ifindex;
    char name[IFNAMSIZ];

    no_device(dp, number);
    tunnel_stop(dp, number);
    if (!ifindex) {
        return;
    }
    bpf_map_delete_elem(dp->maps.ifindexes_fd, &ifindex);
    ebpf_port_forget(&p);
    ebpf_net_port_del(dp->net, ifindex); /* an uplink, maybe */
    if (if_indextoname((unsigned int)ifindex, name) && ebpf_is_internal_peer(name)) {
        ebpf_leaving_add(&dp->removed, ifindex);
    }
}

bool ebpf_port_is_userspace(const struct ebpf_datapath *dp, uint32_t number)
{
    struct fast_port *port;

    HASH_FIND(hh, dp->ports, &number, sizeof(number), port);
    return port && port->userspace;
}

/* What the fast path of a process before us left on the device of the port to be. */
static void take_from_fast_path(struct ebpf_datapath *dp, const struct dp_port_spec *spec)
{
    char name[IFNAMSIZ];
    uint32_t number;
    int ifindex;

    if (spec->kind == DP_PORT_INTERNAL) {
        ebpf_internal_peer(spec->name, name);
    } else {
        snprintf(name, sizeof(name), "%s", spec->name);
    }
    ifindex = (int)if_nametoindex(name);
    if (!ifindex) {
        return;
    }
    number = former_number(dp, spec, ifindex);
    if (number) {
        drop_unclaimed(dp, number);
        dp->numbers[number] = 0;
        /* They would lead nowhere until all is settled. */
        ebpf_flows_drop_orphans_of(dp->flows, number, false, time_mono_ms());
    }
    ebpf_leaving_remove(&dp->removed);
    if (spec->kind == DP_PORT_INTERNAL) {
        ebpf_link_remove(name);
    } else if (ebpf_is_attached(ifindex)) {
        ebpf_detach(ifindex);
    }
}

static int userspace_port_add(struct ebpf_datapath *dp, const struct dp_port_spec *spec, dp_port_t *ret_port)
{
    int ifindex = (int)if_nametoindex(spec->name), error;
    struct fast_port *port;
    dp_port_t number;

    if (name_taken(dp, spec->name)) {
        return -EEXIST;
    }
    if (spec->kind == DP_PORT_SYSTEM && ifindex) {
        ebpf_net_reserve(dp->net, ifindex, true); /* an uplink's program would be in the guard's place */
    }
    take_from_fast_path(dp, spec);
    error = dp_userspace_class.port_add(dp->inner, spec, &number);
    if (error) {
        if (spec->kind == DP_PORT_SYSTEM && ifindex) {
            ebpf_net_reserve(dp->net, ifindex, false);
        }
        return error;
    }
    port = xcalloc(1, sizeof(*port));
    port->number = dp_port_u32(number);
    port->ifindex = (int)if_nametoindex(spec->name);
    port->userspace = true;
    ebpf_net_reserve(dp->net, port->ifindex, true);
    stats_clear(dp, port->number);
    HASH_ADD(hh, dp->ports, number, sizeof(port->number), port);
    *ret_port = number;
    return 0;
}

static int userspace_port_del(struct ebpf_datapath *dp, struct fast_port *port)
{
    const struct us_port *us = us_port_find(dp->us, dp_port(port->number));
    bool system = us && us->kind == DP_PORT_SYSTEM;
    int error = dp_userspace_class.port_del(dp->inner, dp_port(port->number));

    if (!dp->leaving && system) {   /* a TAP is on its way out */
        ebpf_detach(port->ifindex); /* there is nothing of ours any more: the guard's clsact goes */
        ebpf_net_reserve(dp->net, port->ifindex, false);
    }
    HASH_DEL(dp->ports, port);
    free(port);
    return error;
}

/* --- the class's calls --- */

static bool internal_exists(const char *name)
{
    char peer[IFNAMSIZ];

    ebpf_internal_peer(name, peer);
    return if_nametoindex(peer);
}

/* A TAP of that name may be on its way out. */
static int internal_create(const struct ebpf_datapath *dp, const struct dp_port_spec *spec, struct fast_port *port)
{
    int error =
        name_taken(dp, spec->name) ? -EEXIST : ebpf_internal_create(spec->name, &spec->mac, port->peer, &port->ifindex);

    if (error == -EEXIST && !name_taken(dp, spec->name)) {
        slow_close_wait();
        error = ebpf_internal_create(spec->name, &spec->mac, port->peer, &port->ifindex);
    }
    return error;
}

int eb_port_add(struct datapath *dp_, const struct dp_port_spec *spec, dp_port_t *ret_port)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    struct dp_port_spec inner = *spec;
    struct fast_port *port;
    struct us_port *us;
    dp_port_t number;
    bool former = false, made = false;
    int error = 0;

    ebpf_leaving_remove(&dp->removed); /* their names may be wanted */
    if (spec->userspace && spec->kind < DP_PORT_VXLAN) {
        return userspace_port_add(dp, spec, ret_port);
    }
    port = xcalloc(1, sizeof(*port));
    if (spec->kind == DP_PORT_INTERNAL) {
        made = !internal_exists(spec->name);
        error = internal_create(dp, spec, port);
        inner.kind = DP_PORT_SYSTEM;
        inner.name = port->peer;
    }
    error = error ? error : inner_port_add(dp, &inner, &number, &former);
    if (error) {
        goto fail;
    }
    us = us_port_find(dp->us, number);
    port->number = dp_port_u32(number);
    if (!former) {
        stats_clear(dp, port->number);
    }
    if (spec->kind >= DP_PORT_VXLAN) {
        error = tunnel_start(dp, us);
    } else {
        port->ifindex = us->ifindex;
        error = netdev_start(dp, port, former);
    }
    if (error) {
        if (former) {
            dp->numbers[dp_port_u32(number)] = PORT_UNCLAIMED;
        }
        dp_userspace_class.port_del(dp->inner, number);
        goto fail;
    }
    if (spec->kind == DP_PORT_INTERNAL) {
        free(us->name);
        us->name = xstrdup(spec->name);
    } else if (spec->kind == DP_PORT_SYSTEM) {
        set_promisc(dp, port);
    }
    HASH_ADD(hh, dp->ports, number, sizeof(port->number), port);
    *ret_port = number;
    return 0;
fail:
    if (port->peer[0] && made) {
        ebpf_link_remove(port->peer);
    }
    free(port);
    return error;
}

int eb_port_del(struct datapath *dp_, dp_port_t number)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    struct fast_port *port;

    HASH_FIND(hh, dp->ports, &number, sizeof(number), port);
    if (!port) {
        return -ENOENT;
    }
    if (port->userspace) {
        return userspace_port_del(dp, port);
    }
    port_free(dp, port);
    return dp_userspace_class.port_del(dp->inner, number);
}

void eb_wait_removed(struct datapath *dp_)
{
    struct ebpf_datapath *dp = eb_of(dp_);

    ebpf_leaving_remove(&dp->removed);
    dp_wait_removed(dp->inner);
}

int eb_port_get_stats(struct datapath *dp_, dp_port_t number, struct dp_port_stats *ret_stats)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    _cleanup_free_ struct ebpf_port_stats *s = xcalloc((size_t)dp->maps.n_cpus, sizeof(*s));
    struct dp_port_stats sum;
    int error = dp_userspace_class.port_get_stats(dp->inner, number, &sum);

    if (error) {
        return error;
    }
    error = bpf_map_lookup_elem(dp->maps.port_stats_fd, &number, s);
    for (int i = 0; i < dp->maps.n_cpus && !error; i++) {
        sum.rx_packets += s[i].rx_packets;
        sum.rx_bytes += s[i].rx_bytes;
        sum.rx_dropped += s[i].rx_dropped;
        sum.tx_packets += s[i].tx_packets;
        sum.tx_bytes += s[i].tx_bytes;
        sum.tx_dropped += s[i].tx_dropped;
    }
    *ret_stats = sum;
    return 0;
}

/* --- taking over from a process before us --- */

/* The device of the port went while nobody looked. Flows that lead there alone would lead nowhere until all is settled,
 * although there may be another device of that name by now. */
static void port_lost(struct ebpf_datapath *dp, uint32_t number)
{
    bpf_map_delete_elem(dp->maps.ifindexes_fd, &dp->maps.ports[number].ifindex);
    no_device(dp, number);
    ebpf_flows_drop_orphans_of(dp->flows, number, true, time_mono_ms());
    dp->numbers[number] = PORT_LOST;
}

void ebpf_ports_adopt(struct ebpf_datapath *dp)
{
    const struct ebpf_config *c = dp->maps.config;
    char name[IFNAMSIZ];
    uint32_t last = 0;

    dp->numbers = xcalloc(EBPF_PORTS_MAX, 1);
    for (uint32_t i = 1; i < EBPF_PORTS_MAX; i++) {
        if (!dp->maps.ports[i].ifindex) {
            continue;
        }
        last = i;
        if (if_indextoname(dp->maps.ports[i].ifindex, name)) {
            dp->numbers[i] = PORT_UNCLAIMED;
        } else {
            port_lost(dp, i);
        }
    }
    for (uint32_t i = 0; i < c->n_tunnels; i++) {
        if (c->tunnels[i].port && c->tunnels[i].port < EBPF_PORTS_MAX) {
            dp->numbers[c->tunnels[i].port] = PORT_UNCLAIMED;
            last = MAX(last, c->tunnels[i].port);
        }
    }
    dp->us->next_port = last + 1 < EBPF_PORTS_MAX ? last + 1 : 1;
}

/* Maps of programs that a process before us may have attached, ours among them. How many; RET_IDS has room for
 * 1 + OTHER_MAPS_MAX. */
static size_t known_maps(const struct ebpf_datapath *dp, uint32_t *ret_ids)
{
    ret_ids[0] = dp->maps.drops_id;
    return 1 + (dp->rundir ? ebpf_other_maps(dp->rundir, &ret_ids[1], OTHER_MAPS_MAX) : 0);
}

bool ebpf_ports_have_strangers(const struct ebpf_datapath *dp)
{
    struct if_nameindex *links = if_nameindex();
    uint32_t ids[1 + OTHER_MAPS_MAX];
    size_t n = known_maps(dp, ids);
    bool found = false;

    for (size_t i = 0; links && links[i].if_index && !found; i++) {
        found = ebpf_is_attached((int)links[i].if_index) && !ebpf_attached_uses((int)links[i].if_index, false, ids, n);
    }
    if (links) {
        if_freenameindex(links);
    }
    return found;
}

/* What a process before us left on the device is nobody's now: a guard where user space has no port, a program of
 * another version, or over maps that we adopted, where we have neither a port nor an uplink (IDS: N of those maps). */
static bool is_left_over(struct ebpf_datapath *dp, int ifindex, const uint32_t *ids, size_t n)
{
    struct fast_port *port = dp->ports;

    while (port && port->ifindex != ifindex) {
        port = port->hh.next;
    }
    if (!(port && port->userspace) && host_guard_is(ifindex, HOST_GUARD_INNER)) {
        return true;
    }
    return !port && !ebpf_net_is_uplink(dp->net, ifindex) && ebpf_is_attached(ifindex) &&
           (dp->strangers || ebpf_attached_uses(ifindex, false, ids, n));
}

static void drop_left_over(struct ebpf_datapath *dp)
{
    struct if_nameindex *links = if_nameindex();
    uint32_t ids[1 + OTHER_MAPS_MAX];
    size_t n = known_maps(dp, ids);

    for (size_t i = 0; links && links[i].if_index; i++) {
        if (!is_left_over(dp, (int)links[i].if_index, ids, n)) {
            continue;
        }
        ebpf_detach((int)links[i].if_index);
        if (ebpf_is_internal_peer(links[i].if_name)) {
            ebpf_leaving_add(&dp->removed, (int)links[i].if_index);
        }
    }
    if (links) {
        if_freenameindex(links);
    }
}

void ebpf_ports_settle(struct ebpf_datapath *dp)
{
    for (uint32_t i = 1; dp->numbers && i < EBPF_PORTS_MAX; i++) {
        if (dp->numbers[i] == PORT_UNCLAIMED) {
            drop_unclaimed(dp, i);
        }
        dp->numbers[i] = 0;
    }
    drop_left_over(dp);
    ebpf_leaving_remove(&dp->removed);
}

/* Tunnels have no device of their own: it is the uplinks' programs that heed the flag. */
void ebpf_ports_put_in_front(struct ebpf_datapath *dp)
{
    struct fast_port *port, *next;

    HASH_ITER(hh, dp->ports, port, next) {
        struct ebpf_port *p = &dp->maps.ports[port->number];
        int error;

        if (port->userspace || (port->ifindex && !ebpf_is_foreign(port->ifindex, &dp->maps))) {
            continue;
        }
        p->flags |= EBPF_PORT_LEARN;
        error = port->ifindex ? ebpf_attach_in_front(port->ifindex, dp->maps.port_prog_fd) : 0;
        if (error) {
            p->flags &= ~EBPF_PORT_LEARN;
            log_info("port %" PRIu32 ": its program is replaced before its flows are known: %s", port->number,
                     strerror(-error));
        }
    }
}

void ebpf_ports_replace(struct ebpf_datapath *dp)
{
    struct fast_port *port, *next;
    int error;

    /* Ours that are in front have what has no flow sent up from here on. */
    for (uint32_t i = 0; i < EBPF_PORTS_MAX; i++) {
        dp->maps.ports[i].flags &= ~EBPF_PORT_LEARN;
    }
    HASH_ITER(hh, dp->ports, port, next) {
        error = port->ifindex && !port->userspace ? attach(dp, port) : 0;
        if (error) {
            log_err("port %" PRIu32 ": its program cannot be replaced: %s", port->number, strerror(-error));
        }
    }
    ebpf_net_replace(dp->net);
}

void ebpf_ports_close(struct ebpf_datapath *dp)
{
    struct fast_port *port, *next;

    HASH_ITER(hh, dp->ports, port, next) {
        if (port->userspace) {
            userspace_port_del(dp, port);
        } else {
            port_free(dp, port);
        }
    }
    ebpf_leaving_remove(&dp->removed);
}
