/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/bridge.h"

#include "base/coverage.h"
#include "base/log.h"
#include "switch/action_refs.h"
#include "switch/bundle.h"
#include "switch/flow_save.h"
#include "switch/flow_table.h"
#include "switch/group_table.h"
#include "switch/mcast_table.h"
#include "switch/megaflow.h"
#include "switch/meter_table.h"
#include "switch/mirror.h"
#include "switch/settle.h"
#include "switch/switch_private.h"
#include "switch/translate.h"
#include "switch/tunnel_port.h"

LOG_MODULE("bridge");
COVERAGE(packet_out);

static void port_tell(struct port *port, enum port_status_reason reason);

/* ---- the switch ---- */

static void on_port_gone(void *aux, dp_port_t dp_port)
{
    struct switch_ *sw = aux;
    struct port *port = switch_port_by_dp(sw, dp_port);

    if (port && sw->hooks.port_gone) {
        sw->hooks.port_gone(sw->hooks.aux, port);
    }
}

static void on_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    switch_tick(aux, time_mono_ms());
}

int switch_create_class(struct event_base *base, const struct dp_class *class, struct switch_ **ret)
{
    static const struct timeval second = {1, 0};
    struct switch_ *sw = xcalloc(1, sizeof *sw);
    const struct dp_callbacks callbacks = {.upcall = megaflow_upcall,
                                           .port_gone = on_port_gone,
                                           .learn = megaflow_learn,
                                           .adopt = megaflow_adopt,
                                           .sample = megaflow_sample,
                                           .aux = sw};
    int error;

    sw->base = base;
    sw->generation = 1;
    sw->vlan_limit = VLAN_LIMIT_DEFAULT;
    error = class->open(base, &callbacks, &sw->dp);
    if (error) {
        goto err_free;
    }
    sw->megaflows = megaflows_create(sw);
    sw->timer = event_new(base, -1, EV_PERSIST, on_timer, sw);
    if (!sw->timer || event_add(sw->timer, &second)) {
        error = -ENOMEM;
        goto err_timer;
    }
    *ret = sw;
    return 0;

err_timer:
    if (sw->timer) {
        event_free(sw->timer);
    }
    megaflows_destroy(sw->megaflows);
    sw->megaflows = NULL;
    class->close(sw->dp);
err_free:
    free(sw);
    return error;
}

int switch_create(struct event_base *base, const char *dp_class, struct switch_ **ret)
{
    const struct dp_class *class = dp_class_find(dp_class);

    return class ? switch_create_class(base, class, ret) : -EINVAL;
}

void switch_destroy(struct switch_ *sw)
{
    struct bridge *br, *next;

    if (!sw) {
        return;
    }
    megaflow_flush(sw);
    sw->closing = true;
    HASH_ITER(hh, sw->bridges, br, next) {
        bridge_destroy(br);
    }
    event_free(sw->timer);
    switch_settle_done(sw);
    megaflows_destroy(sw->megaflows);
    sw->dp->class->close(sw->dp);
    flow_reaper_destroy(sw->reaper);
    xlate_scratch_destroy(sw);
    free(sw->by_dp_port);
    free(sw->meter_ids);
    free(sw);
}

void switch_set_hooks(struct switch_ *sw, const struct switch_hooks *hooks)
{
    sw->hooks = hooks ? *hooks : (struct switch_hooks){0};
}

static void changed(struct switch_ *sw)
{
    if (sw->megaflows) {
        megaflows_changed(sw->megaflows);
    }
}

void switch_changed(struct switch_ *sw)
{
    sw->full_generation = ++sw->generation;
    changed(sw);
}

void switch_macs_changed(struct bridge *br)
{
    uint64_t generation = ++br->sw->generation;

    for (unsigned int i = 0; i < MAC_TAGS; i++) {
        if (mac_table_take_dirty(&br->macs, i)) {
            br->mac_changed[i] = generation;
        }
    }
    changed(br->sw);
}

void switch_counter_changed(struct switch_ *sw, uint64_t *counter)
{
    *counter = ++sw->generation;
    changed(sw);
}

void switch_tables_changed(struct bridge *br, const bool *tables)
{
    uint64_t generation = ++br->sw->generation;

    for (unsigned int i = 0; i < N_TABLES; i++) {
        if (tables[i]) {
            br->tables[i].changed = generation;
        }
    }
    changed(br->sw);
}

void switch_drops(const struct switch_ *sw, uint64_t *ret)
{
    const uint64_t *dp = dp_drops(sw->dp);

    for (size_t i = 0; i < DROP_MAX; i++) {
        ret[i] = sw->drops[i] + (dp ? dp[i] : 0);
    }
}

static void announce_ports(struct bridge *br)
{
    for (struct port *p = br->ports_by_ofp; br->unannounced && p; p = p->hh_ofp.next) {
        if (!p->announced) {
            port_tell(p, PORT_STATUS_ADD);
        }
    }
    br->unannounced = false;
}

void switch_tick(struct switch_ *sw, int64_t now)
{
    struct bridge *br, *next;

    megaflow_tick(sw, now);
    switch_settle(sw, now);
    HASH_ITER(hh, sw->bridges, br, next) {
        flow_table_expire(br, now);
        announce_ports(br);
        if (mac_table_expire(&br->macs, now)) {
            switch_macs_changed(br);
        }
        if (br->mcast && mcast_table_expire(br->mcast, now)) {
            switch_changed(sw);
        }
    }
}

struct port *switch_port_by_dp(const struct switch_ *sw, dp_port_t dp_port)
{
    uint32_t n = dp_port_u32(dp_port);

    return n < sw->n_by_dp_port ? sw->by_dp_port[n] : NULL;
}

static void set_by_dp_port(struct switch_ *sw, dp_port_t dp_port, struct port *port)
{
    size_t n = dp_port_u32(dp_port);

    if (n >= sw->n_by_dp_port) {
        size_t new_n = MAX(n + 1, sw->n_by_dp_port * 2);

        sw->by_dp_port = xrealloc(sw->by_dp_port, new_n * sizeof *sw->by_dp_port);
        memset(&sw->by_dp_port[sw->n_by_dp_port], 0, (new_n - sw->n_by_dp_port) * sizeof *sw->by_dp_port);
        sw->n_by_dp_port = new_n;
    }
    sw->by_dp_port[n] = port;
}

/* ---- bridges ---- */

int bridge_create(struct switch_ *sw, const char *name, struct bridge **ret)
{
    struct bridge *br;

    if (bridge_find(sw, name)) {
        return -EEXIST;
    }
    br = xcalloc(1, sizeof *br);
    br->sw = sw;
    br->name = xstrdup(name);
    mac_table_init(&br->macs);
    flow_tables_init(br);
    group_table_init(br);
    meter_table_init(br);
    HASH_ADD_KEYPTR(hh, sw->bridges, br->name, strlen(br->name), br);
    *ret = br;
    return 0;
}

void bridge_destroy(struct bridge *br)
{
    struct port *port, *next;

    if (!br) {
        return;
    }
    /* Megaflows hold rules that point to their bridge. Those of others stay: their packets are not to come up. */
    megaflow_flush_bridge(br);
    br->hooks = (struct bridge_hooks){0};
    HASH_ITER(hh_ofp, br->ports_by_ofp, port, next) {
        bridge_port_del(port);
    }
    flow_tables_done(br);
    group_table_done(br);
    meter_table_done(br);
    action_refs_done(br);
    bundles_destroy(br);
    mirrors_destroy(br);
    mcast_table_destroy(br->mcast);
    free(br->flood_vlans);
    mac_table_done(&br->macs);
    tlv_map_clear(&br->tlv_map);
    HASH_DELETE(hh, br->sw->bridges, br);
    switch_changed(br->sw);
    free(br->description);
    free(br->serial_number);
    free(br->name);
    free(br);
}

struct bridge *bridge_find(const struct switch_ *sw, const char *name)
{
    struct bridge *br;

    HASH_FIND_STR(sw->bridges, name, br);
    return br;
}

void bridge_set_hooks(struct bridge *br, const struct bridge_hooks *hooks)
{
    br->hooks = hooks ? *hooks : (struct bridge_hooks){0};
    switch_changed(br->sw); /* whether packets for the controller go up depends on it */
}

static void set_string(char **s, const char *value)
{
    char *copy = value ? xstrdup(value) : NULL;

    free(*s);
    *s = copy;
}

void bridge_set_description(struct bridge *br, const char *description, const char *serial_number)
{
    set_string(&br->description, description);
    set_string(&br->serial_number, serial_number);
}

void bridge_set_miss_to_controller(struct bridge *br, bool on)
{
    if (br->miss_to_controller != on) {
        br->miss_to_controller = on;
        switch_changed(br->sw);
    }
}

void bridge_set_frag_mode(struct bridge *br, enum frag_mode mode)
{
    if (br->frag_mode != mode) {
        br->frag_mode = mode;
        flow_saver_note_frags(br->saver);
        switch_changed(br->sw);
    }
}

void bridge_set_mac_limits(struct bridge *br, size_t max, int64_t age_ms)
{
    if (mac_table_set_limits(&br->macs, max, age_ms)) {
        switch_changed(br->sw);
    }
}

void bridge_flush_macs(struct bridge *br)
{
    if (mac_table_flush(&br->macs)) {
        switch_changed(br->sw);
    }
}

/* ---- ports ---- */

struct port *port_ref(struct port *port)
{
    port->refs++;
    return port;
}

void port_unref(struct port *port)
{
    if (port && --port->refs == 0) {
        free(port->name);
        free(port->patch_peer);
        free(port->queues);
        free(port);
    }
}

/* A port is announced when its link is known, so that its address is, or a second later. */
static void port_tell(struct port *port, enum port_status_reason reason)
{
    const struct bridge_hooks *h = &port->bridge->hooks;

    if (!port->announced && reason == PORT_STATUS_DELETE) {
        return;
    }
    if (!port->announced) {
        port->announced = true;
        reason = PORT_STATUS_ADD;
    }
    if (h->port_status) {
        h->port_status(h->aux, port->bridge, port, reason);
    }
}

static int port_config_check(const struct bridge *br, const struct port_config *c)
{
    if (c->bond && !bridge_bond_find(br, c->bond)) {
        return -ENOENT;
    }
    if (c->bond && (c->kind == PORT_PATCH || c->kind == PORT_TUNNEL || c->ofp_port == OFPP_LOCAL)) {
        return -EINVAL;
    }
    if (!c->name || !*c->name || c->vlan.tag > 4095 ||
        (c->ofp_port != OFPP_LOCAL &&
         (ofp_port_u32(c->ofp_port) == 0 || ofp_port_u32(c->ofp_port) >= ofp_port_u32(OFPP_MAX)))) {
        return -EINVAL;
    }
    switch (c->kind) {
    case PORT_PATCH:
        return c->patch_peer && *c->patch_peer && strcmp(c->patch_peer, c->name) ? 0 : -EINVAL;
    case PORT_TUNNEL:
        return tunnel_config_check(&c->tunnel);
    case PORT_SYSTEM:
    case PORT_INTERNAL:
        return 0;
    default:
        return -EINVAL;
    }
}

static bool is_device(enum port_kind kind)
{
    return kind == PORT_SYSTEM || kind == PORT_INTERNAL;
}

static int port_attach(struct port *port)
{
    struct switch_ *sw = port->bridge->sw;
    int error;

    port->dp_port = DP_PORT_NONE;
    switch (port->kind) {
    case PORT_PATCH:
        return 0;
    case PORT_TUNNEL:
        return tunnel_port_attach(sw, port);
    case PORT_SYSTEM:
    case PORT_INTERNAL:
        error =
            dp_port_add(sw->dp,
                        &(struct dp_port_spec){.kind = port->kind == PORT_INTERNAL ? DP_PORT_INTERNAL : DP_PORT_SYSTEM,
                                               .name = port->name,
                                               .mac = port->mac,
                                               .userspace = port->userspace},
                        &port->dp_port);
        if (!error) {
            set_by_dp_port(sw, port->dp_port, port);
        }
        return error;
    }
    return -EINVAL;
}

static void port_detach(struct port *port)
{
    struct switch_ *sw = port->bridge->sw;

    if (port->kind == PORT_TUNNEL) {
        tunnel_port_detach(sw, port);
    } else if (port->dp_port != DP_PORT_NONE) {
        set_by_dp_port(sw, port->dp_port, NULL);
        if (!sw->closing) {
            dp_port_del(sw->dp, port->dp_port);
        }
    }
    port->dp_port = DP_PORT_NONE;
}

int bridge_port_add(struct bridge *br, const struct port_config *config, struct port **ret)
{
    int error = port_config_check(br, config);
    struct port *port;

    if (error) {
        return error;
    }
    if (bridge_port_by_ofp(br, config->ofp_port) || switch_port_by_name(br->sw, config->name)) {
        return -EEXIST;
    }
    port = xcalloc(1, sizeof *port);
    port->bridge = br;
    port->refs = 1;
    port->name = xstrdup(config->name);
    port->ofp_port = config->ofp_port;
    port->kind = config->kind;
    port->mac = config->mac;
    port->userspace = config->userspace && is_device(config->kind);
    port->vlan = config->vlan;
    port->patch_peer = config->kind == PORT_PATCH ? xstrdup(config->patch_peer) : NULL;
    port->tunnel = config->tunnel;
    port->state = PORT_STATE_LIVE;
    port->created_ms = time_mono_ms();
    error = port_attach(port);
    if (error) {
        port_unref(port);
        return error;
    }
    HASH_ADD(hh_ofp, br->ports_by_ofp, ofp_port, sizeof port->ofp_port, port);
    HASH_ADD_KEYPTR(hh_name, br->ports_by_name, port->name, strlen(port->name), port);
    port_set_normal(port, config);
    switch_changed(br->sw);
    if (port->kind == PORT_PATCH || port->kind == PORT_TUNNEL) {
        port_tell(port, PORT_STATUS_ADD);
    } else {
        br->unannounced = true;
    }
    if (ret) {
        *ret = port;
    }
    return 0;
}

static int set_tunnel(struct port *port, const struct tunnel_config *tunnel)
{
    struct switch_ *sw = port->bridge->sw;
    struct tunnel_config old = port->tunnel;
    int error;

    if (!memcmp(&old, tunnel, sizeof old)) {
        return 0;
    }
    tunnel_port_detach(sw, port);
    port->tunnel = *tunnel;
    error = tunnel_port_attach(sw, port);
    if (error) {
        port->tunnel = old;
        if (tunnel_port_attach(sw, port)) {
            log_err("%s: cannot go back to the former tunnel settings", port->name);
        }
    }
    return error;
}

static void add_stats(struct dp_port_stats *sum, const struct dp_port_stats *s)
{
    sum->rx_packets += s->rx_packets;
    sum->rx_bytes += s->rx_bytes;
    sum->rx_dropped += s->rx_dropped;
    sum->rx_errors += s->rx_errors;
    sum->tx_packets += s->tx_packets;
    sum->tx_bytes += s->tx_bytes;
    sum->tx_dropped += s->tx_dropped;
    sum->tx_errors += s->tx_errors;
}

/* The port goes over to the other side of the datapath; its counters go on. */
static int set_userspace(struct port *port, bool userspace)
{
    struct dp_port_stats before = {0};
    int error;

    dp_port_get_stats(port->bridge->sw->dp, port->dp_port, &before);
    port_detach(port);
    port->userspace = userspace;
    error = port_attach(port);
    if (error) {
        port->userspace = !userspace;
        if (port_attach(port)) {
            log_err("%s: cannot go back to the former side of the datapath", port->name);
        }
    }
    add_stats(&port->own_stats, &before);
    return error;
}

static void set_ofp_port(struct port *port, ofp_port_t ofp_port)
{
    struct bridge *br = port->bridge;

    port_tell(port, PORT_STATUS_DELETE);
    port_forget(port);
    HASH_DELETE(hh_ofp, br->ports_by_ofp, port);
    port->ofp_port = ofp_port;
    HASH_ADD(hh_ofp, br->ports_by_ofp, ofp_port, sizeof port->ofp_port, port);
    port_tell(port, PORT_STATUS_ADD);
}

int bridge_port_set(struct port *port, const struct port_config *config)
{
    int error = port_config_check(port->bridge, config);

    if (error) {
        return error;
    }
    if (config->kind != port->kind || strcmp(config->name, port->name)) {
        return -EINVAL;
    }
    if (config->ofp_port != port->ofp_port && bridge_port_by_ofp(port->bridge, config->ofp_port)) {
        return -EEXIST;
    }
    if (port->kind == PORT_TUNNEL) {
        error = set_tunnel(port, &config->tunnel);
        if (error) {
            return error;
        }
    }
    if (is_device(port->kind) && port->userspace != config->userspace) {
        error = set_userspace(port, config->userspace);
        if (error) {
            return error;
        }
    }
    if (port->kind == PORT_PATCH && strcmp(port->patch_peer, config->patch_peer)) {
        free(port->patch_peer);
        port->patch_peer = xstrdup(config->patch_peer);
    }
    if (config->ofp_port != port->ofp_port) {
        set_ofp_port(port, config->ofp_port);
    }
    port_set_normal(port, config);
    switch_changed(port->bridge->sw);
    return 0;
}

void bridge_port_del(struct port *port)
{
    struct bridge *br = port->bridge;

    port_tell(port, PORT_STATUS_DELETE);
    flow_saver_note_port(br->saver, port, true);
    port_forget(port);
    HASH_DELETE(hh_ofp, br->ports_by_ofp, port);
    HASH_DELETE(hh_name, br->ports_by_name, port);
    port_detach(port);
    port->bridge = NULL;
    switch_changed(br->sw);
    port_unref(port);
}

struct port *bridge_port_by_ofp(const struct bridge *br, ofp_port_t ofp_port)
{
    struct port *port;

    HASH_FIND(hh_ofp, br->ports_by_ofp, &ofp_port, sizeof ofp_port, port);
    return port;
}

struct port *bridge_port_by_name(const struct bridge *br, const char *name)
{
    struct port *port;

    HASH_FIND(hh_name, br->ports_by_name, name, strlen(name), port);
    return port;
}

struct port *switch_port_by_name(const struct switch_ *sw, const char *name)
{
    struct port *port = NULL;

    for (struct bridge *br = sw->bridges; br && !port; br = br->hh.next) {
        port = bridge_port_by_name(br, name);
    }
    return port;
}

void bridge_port_set_config(struct port *port, uint32_t config, uint32_t mask)
{
    uint32_t new = (port->config & ~mask) | (config & mask), diff = new ^ port->config;
    const struct switch_hooks *h = &port->bridge->sw->hooks;

    if (!diff) {
        return;
    }
    port->config = new;
    flow_saver_note_port(port->bridge->saver, port, false);
    bundle_link_changed(port);
    switch_changed(port->bridge->sw);
    port_tell(port, PORT_STATUS_MODIFY);
    if (diff & PORT_CONFIG_DOWN && h->port_admin) {
        h->port_admin(h->aux, port, !(new &PORT_CONFIG_DOWN));
    }
}

void bridge_port_set_link(struct port *port, struct eth_addr mac, bool config_down, bool link_down,
                          uint32_t curr_features, uint32_t speed_kbps)
{
    uint32_t config = (port->config & ~PORT_CONFIG_DOWN) | (config_down ? PORT_CONFIG_DOWN : 0);
    uint32_t state = (port->state & ~(PORT_STATE_LINK_DOWN | PORT_STATE_LIVE)) |
                     (link_down ? PORT_STATE_LINK_DOWN : PORT_STATE_LIVE);

    if (config == port->config && state == port->state && !memcmp(&mac, &port->mac, sizeof mac) &&
        curr_features == port->curr_features && speed_kbps == port->speed_kbps) {
        if (port->bond) {
            bundle_link_changed(port); /* a bond takes a new member for down until it is told */
        }
        if (!port->announced) {
            port_tell(port, PORT_STATUS_ADD);
        }
        return;
    }
    bool changed_config = config != port->config, changed_state = state != port->state;
    port->config = config;
    port->state = state;
    port->mac = mac;
    port->curr_features = curr_features;
    port->speed_kbps = speed_kbps;
    if (changed_config) {
        switch_changed(port->bridge->sw);
    } else if (changed_state) {
        switch_counter_changed(port->bridge->sw, &port->bridge->links_changed);
        group_table_port_changed(port->bridge);
    }
    bundle_link_changed(port);
    port_tell(port, PORT_STATUS_MODIFY);
}

int bridge_port_get_stats(const struct port *port, struct dp_port_stats *ret)
{
    if (port->kind == PORT_PATCH || port->kind == PORT_TUNNEL) {
        *ret = port->own_stats;
        return 0;
    }
    struct dp_port_stats s;
    int error = dp_port_get_stats(port->bridge->sw->dp, port->dp_port, &s);
    if (error) {
        return error;
    }
    add_stats(&s, &port->own_stats);
    *ret = s;
    return 0;
}

const struct port_queue *bridge_port_queue(const struct port *port, uint32_t queue_id)
{
    for (size_t i = 0; i < port->n_queues; i++) {
        if (port->queues[i].id == queue_id) {
            return &port->queues[i];
        }
    }
    return NULL;
}

void bridge_port_set_queues(struct port *port, const struct port_queue *queues, size_t n)
{
    struct port_queue *copy = n ? xmemdup(queues, n * sizeof *queues) : NULL;

    for (size_t i = 0; i < n; i++) {
        const struct port_queue *old = bridge_port_queue(port, copy[i].id);

        copy[i].created_ms = old ? old->created_ms : time_mono_ms();
    }
    free(port->queues);
    port->queues = copy;
    port->n_queues = n;
    switch_changed(port->bridge->sw); /* outputs may set another DSCP now */
}

int bridge_port_get_queue_stats(const struct port *port, uint32_t queue_id, struct port_queue_stats *ret)
{
    const struct switch_hooks *h = &port->bridge->sw->hooks;

    return bridge_port_queue(port, queue_id) && h->queue_stats ? h->queue_stats(h->aux, port, queue_id, ret) : -ENOENT;
}

struct port *bridge_port_patch_peer(const struct port *port)
{
    struct port *peer;

    if (port->kind != PORT_PATCH || !port->bridge) {
        return NULL;
    }
    peer = switch_port_by_name(port->bridge->sw, port->patch_peer);
    return peer && peer->kind == PORT_PATCH && !strcmp(peer->patch_peer, port->name) ? peer : NULL;
}

/* ---- packet-out ---- */

static bool packet_out_port_ok(const struct bridge *br, ofp_port_t in_port)
{
    return in_port == OFPP_CONTROLLER || in_port == OFPP_ANY || in_port == OFPP_LOCAL ||
           bridge_port_by_ofp(br, in_port) || ofp_port_u32(in_port) < ofp_port_u32(OFPP_MAX);
}

/* Does MATCH name nothing but what a packet does not carry in itself? */
static bool is_pipeline_only(const struct match *match)
{
    static const struct flow none;
    struct flow mask = match->mask;

    mask.in_port = none.in_port;
    mask.metadata = 0;
    memset(mask.regs, 0, sizeof mask.regs);
    mask.tun_metadata = none.tun_metadata;
    mask.key.tunnel = none.key.tunnel;
    mask.key.pkt_mark = 0;
    return !memcmp(&mask, &none, sizeof mask);
}

int bridge_check_packet_out(const struct bridge *br, ofp_port_t in_port, const struct match *pipeline,
                            const void *actions, size_t actions_len)
{
    int error = packet_out_port_ok(br, in_port) ? xlate_supports(actions, actions_len) : OFERR_BAD_PORT;

    if (!error && pipeline && !is_pipeline_only(pipeline)) {
        error = OFERR_PIPELINE_FIELDS_ONLY;
    }
    return error ? error : actions_check_refs(br, actions, actions_len);
}

struct packet_out {
    struct bridge *br;
    struct packet *packet;
    void *actions; /* effects may point into them */
    uint16_t tcp_flags;
    struct xlate_out out;
};

int bridge_packet_out_begin(struct bridge *br, const void *data, size_t len, ofp_port_t in_port,
                            const struct match *pipeline, const void *actions, size_t actions_len,
                            struct packet_out **ret)
{
    const struct port *port = bridge_port_by_ofp(br, in_port);
    struct flow_key key;
    int error = bridge_check_packet_out(br, in_port, pipeline, actions, actions_len);

    coverage_inc(packet_out);
    if (error) {
        return error;
    }
    struct packet_out *po = xcalloc(1, sizeof *po);
    po->br = br;
    po->packet = packet_new(data, len);
    po->actions = actions_len ? xmemdup(actions, actions_len) : NULL;
    po->packet->in_port = port ? port->dp_port : DP_PORT_NONE;
    flow_key_extract(po->packet, &key);
    po->tcp_flags = (uint16_t)__builtin_bswap16(key.tcp_flags);
    if (pipeline) {
        key.tunnel = pipeline->value.key.tunnel;
        key.pkt_mark = pipeline->value.key.pkt_mark;
    }
    translate(&(struct xlate_in){.sw = br->sw,
                                 .key = &key,
                                 .packet = po->packet,
                                 .effects = true,
                                 .now = time_mono_ms(),
                                 .bridge = br,
                                 .in_port = in_port,
                                 .flow = pipeline ? &pipeline->value : NULL,
                                 .packet_out = true,
                                 .actions = po->actions,
                                 .actions_len = actions_len},
              &po->out);
    if (po->out.failed) { /* its sender hears what others' packets are only counted for */
        br->sw->drops[po->out.drop]++;
        bridge_packet_out_end(po, false);
        return OFERR_FLOW_MOD_UNKNOWN;
    }
    *ret = po;
    return 0;
}

int bridge_packet_out_end(struct packet_out *po, bool send)
{
    const struct xlate_out *out = &po->out;
    int error = 0;

    if (send) {
        xlate_packet_ins_send(&po->out);
        xlate_effects_run(out->effects, out->n_effects, 1, po->packet->len, po->tcp_flags, time_mono_ms());
        if (out->actions_len) {
            error = dp_execute(po->br->sw->dp, po->packet, (const struct dp_action *)(const void *)out->actions,
                               out->actions_len);
        }
    }
    xlate_out_done(&po->out);
    packet_free(po->packet);
    free(po->actions);
    free(po);
    return error;
}

int bridge_packet_out(struct bridge *br, const struct packet *packet, ofp_port_t in_port, const struct match *pipeline,
                      const void *actions, size_t actions_len)
{
    struct packet_out *po;
    int error = bridge_packet_out_begin(br, packet->data, packet->len, in_port, pipeline, actions, actions_len, &po);

    return error ? error : bridge_packet_out_end(po, true);
}

/* ---- names ---- */

static int name_to_port(void *aux, const char *name, ofp_port_t *ret)
{
    const struct port *port = bridge_port_by_name(aux, name);

    if (!port) {
        return -ENOENT;
    }
    *ret = port->ofp_port;
    return 0;
}

static const char *port_to_name(void *aux, ofp_port_t n)
{
    const struct port *port = bridge_port_by_ofp(aux, n);

    return port ? port->name : NULL;
}

struct name_map bridge_name_map(struct bridge *br)
{
    return (struct name_map){.port_by_name = name_to_port, .port_name = port_to_name, .aux = br};
}
