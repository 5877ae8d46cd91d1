/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "switch/bundle.h"
#include "switch/configurator_private.h"
#include "switch/settle.h"

LOG_MODULE("ports");

#define MAX_OPTIONS 64

void iface_destroy(struct iface *iface)
{
    free(iface->name);
    free(iface->error);
    free(iface->logged_error);
    free(iface->unsupported);
    free(iface->port_unsupported);
    free(iface->policing_error);
    iface_qos_destroy(iface->qos);
    free(iface->qos_error);
    free(iface);
}

struct port *iface_port(const struct iface *iface)
{
    return iface->owner->bridge ? bridge_port_by_name(iface->owner->bridge, iface->name) : NULL;
}

static void set_error(struct iface *iface, const char *text)
{
    char *copy = text ? xstrdup(text) : NULL;
    iface->dirty = true;
    free(iface->error);
    iface->error = copy;
}

/* At the end of a run: logs what is new. */
static void log_error(struct iface *iface)
{
    const char *text = iface->error ? iface->error : "";
    if (strcmp(text, iface->logged_error ? iface->logged_error : "") != 0) {
        if (*text) {
            log_warn("bridge %s, interface %s: %s", iface->owner->name, iface->name, text);
        }
        free(iface->logged_error);
        iface->logged_error = xstrdup(text);
    }
}

static struct iface *iface_get(struct cbridge *cb, const char *name)
{
    struct iface *iface;
    HASH_FIND_STR(cb->ifaces, name, iface);
    if (!iface) {
        iface = xcalloc(1, sizeof *iface);
        iface->name = xstrdup(name);
        iface->owner = cb;
        iface->is_local = !strcmp(name, cb->name);
        HASH_ADD_KEYPTR(hh, cb->ifaces, iface->name, strlen(iface->name), iface);
    }
    return iface;
}

static int read_options(const struct ovsdb_row *row, struct iface_option *options, size_t *ret_n,
                        struct strbuf *message)
{
    size_t n = ovsdb_row_size(row, "options");
    if (n > MAX_OPTIONS) {
        strbuf_addf(message, "more than %d options", MAX_OPTIONS);
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (!ovsdb_row_map_at(row, "options", i, &options[i].key, &options[i].value)) {
            return -EINVAL;
        }
    }
    *ret_n = n;
    return 0;
}

static bool is_netdev(enum port_kind kind)
{
    return kind == PORT_SYSTEM;
}

static uint16_t read_ofport(const struct iface *iface, const char *column)
{
    int64_t n = ovsdb_row_int(iface->row, column, 0);
    return n > 0 && n <= OFPORT_MAX ? (uint16_t)n : 0;
}

static void tell_unsupported_of_iface(struct iface *iface)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    if (ovsdb_row_map_bool(iface->row, "lldp", "enable", false)) {
        strbuf_add(&b, " lldp");
    }
    if (ovsdb_row_map_bool(iface->row, "bfd", "enable", false)) {
        strbuf_add(&b, " bfd");
    }
    if (ovsdb_row_size(iface->row, "cfm_mpid") > 0) {
        strbuf_add(&b, " cfm");
    }
    tell_unsupported("interface", iface->name, &b, &iface->unsupported);
}

/* The row's wishes → iface->config; false with the error set if there can be no port. */
static bool iface_read(struct configurator *c, struct iface *iface)
{
    _cleanup_strbuf_ struct strbuf message = {0};
    struct iface_option options[MAX_OPTIONS];
    struct iface_row row = {
        .name = iface->name,
        .type = ovsdb_row_string(iface->row, "type"),
        .is_local = iface->is_local,
        .hwaddr = iface->is_local ? NULL : ovsdb_row_string(iface->row, "mac"),
        .options = options,
    };
    iface->config = (struct port_config){.name = iface->name};
    row.type = row.type ? row.type : "";
    int error = read_options(iface->row, options, &row.n_options, &message);
    error = error ? error : iface_config_parse(&row, &iface->config, &message);
    error = error ? error : port_row_read(iface, &iface->config, &message);
    if (!error && is_netdev(iface->config.kind) && !links_find(c->links, iface->name)) {
        strbuf_addf(&message, "could not open network device %s (No such device)", iface->name);
        error = -ENODEV;
    }
    set_error(iface, message.len ? message.s : NULL);
    iface->request = read_ofport(iface, "ofport_request");
    iface->previous = read_ofport(iface, "ofport");
    tell_unsupported_of_iface(iface);
    return !error;
}

static void collect_port(struct configurator *c, struct cbridge *cb, const struct ovsdb_row *port)
{
    size_t n = ovsdb_row_size(port, "interfaces");
    for (size_t i = 0; i < n; i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, port, "interfaces", i, "Interface");
        const char *name = row ? ovsdb_row_string(row, "name") : NULL;
        if (!name || !*name) {
            continue;
        }
        struct iface *iface = iface_get(cb, name);
        iface->wanted = true;
        iface->row = row;
        iface->port_row = port;
        iface->n_siblings = n;
    }
}

static int by_name(const struct iface *a, const struct iface *b)
{
    return strcmp(a->name, b->name);
}

/* Which interfaces the rows name. */
static void collect(struct configurator *c, struct cbridge *cb)
{
    for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        iface->wanted = false;
        iface->row = iface->port_row = NULL;
    }
    for (size_t i = 0; i < ovsdb_row_size(cb->row, "ports"); i++) {
        const struct ovsdb_row *port = ovsdb_client_ref(c->client, cb->row, "ports", i, "Port");
        if (port) {
            collect_port(c, cb, port);
        }
    }
    struct iface *local = iface_get(cb, cb->name);
    if (!local->wanted && ovsdb_row_size(cb->row, "controller") > 0) {
        /* Controllers may count on LOCAL even where the database has no row for it. */
        local->wanted = local->usable = local->dirty = true;
        local->config = (struct port_config){.name = local->name, .kind = PORT_INTERNAL, .vlan = {.all_trunks = true}};
        local->row_serial = local->port_serial = 0;
    }
    HASH_SORT(cb->ifaces, by_name);
}

/* Reads what is new: a row or a netdev that changed, and whatever failed the last time. */
static void refresh(struct configurator *c, struct iface *iface)
{
    const struct link *link = links_find(c->links, iface->name);
    uint64_t link_serial = link ? link->serial : 0, row_serial = ovsdb_row_serial(iface->row);
    uint64_t port_serial = ovsdb_row_serial(iface->port_row);
    if (iface->usable && !iface->gone && iface->row_serial == row_serial && iface->port_serial == port_serial &&
        iface->link_serial == link_serial) {
        return;
    }
    iface->usable = iface_read(c, iface);
    iface->row_serial = row_serial;
    iface->port_serial = port_serial;
    iface->link_serial = link_serial;
    iface->changed = iface->dirty = true;
    iface->owner->changed = true;
}

/* datapath_type names the side of the datapath that the bridge's ports are on. Where there is only one, all are on it.
 */
static void read_side(const struct configurator *c, struct cbridge *cb)
{
    const char *type = ovsdb_row_string(cb->row, "datapath_type");
    cb->userspace = dp_has_fast_path(c->sw->dp) && type && !strcmp(type, "netdev");
    for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        if (iface->config.userspace != cb->userspace) {
            iface->config.userspace = cb->userspace;
            iface->changed = cb->changed = true;
        }
    }
}

void ports_collect(struct configurator *c, struct cbridge *cb)
{
    uint64_t row_serial = ovsdb_row_serial(cb->row), ports_serial = ovsdb_client_serial(c->client, "Port");
    cb->changed = cb->row_serial != row_serial || cb->ports_serial != ports_serial;
    if (cb->changed) {
        collect(c, cb);
        cb->row_serial = row_serial;
        cb->ports_serial = ports_serial;
    }
    for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        iface->changed = false;
        if (iface->wanted && iface->row) {
            refresh(c, iface);
        } else if (iface->wanted && !iface_port(iface)) {
            iface->usable = iface->changed = cb->changed = true;
        }
    }
    read_side(c, cb);
}

/* A port that exists and cannot become what is wanted by bridge_port_set(). */
static bool must_be_remade(const struct configurator *c, const struct iface *iface, const struct port *port)
{
    if (port->kind != iface->config.kind || iface->gone) {
        return true;
    }
    const struct link *link = links_find(c->links, iface->name);
    return is_netdev(port->kind) && link && link->ifindex != iface->ifindex;
}

void ports_prune(struct configurator *c, struct cbridge *cb)
{
    struct iface *iface, *tmp;
    HASH_ITER(hh, cb->ifaces, iface, tmp) {
        struct port *port = iface_port(iface);
        if (port && (!iface->wanted || !iface->usable || must_be_remade(c, iface, port))) {
            log_info("bridge %s: port %s removed", cb->name, iface->name);
            c->devices_leave = c->devices_leave || port->kind == PORT_INTERNAL;
            bridge_port_del(port);
            iface->ifindex = 0;
            iface->changed = iface->dirty = cb->changed = true;
        }
        iface->gone = false;
        if (!iface->wanted) {
            qos_forget(c, iface);
            HASH_DEL(cb->ifaces, iface);
            iface_destroy(iface);
        }
    }
}

static void set_number(struct cbridge *cb, struct iface *iface, uint16_t ofport)
{
    struct port_config *config = &iface->config;
    if (iface->is_local) {
        iface->changed = iface->changed || memcmp(config->mac.a, cb->mac.a, sizeof cb->mac.a) != 0;
        config->ofp_port = OFPP_LOCAL;
        config->mac = cb->mac;
    } else {
        iface->dirty = iface->dirty || iface->ofport != ofport;
        iface->changed = iface->changed || iface->ofport != ofport;
        iface->ofport = ofport;
        config->ofp_port = ofp_port(ofport);
    }
}

static void assign_numbers(struct cbridge *cb)
{
    size_t n = 0;
    struct ofport_want *wants = xcalloc(HASH_COUNT(cb->ifaces) + 1, sizeof *wants);
    for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        if (iface->usable && !iface->is_local) {
            wants[n++] =
                (struct ofport_want){.request = iface->request, .current = iface->ofport, .previous = iface->previous};
        }
    }
    ofport_assign(&cb->ofports, wants, n, time_mono_ms());
    n = 0;
    for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        set_number(cb, iface, iface->usable && !iface->is_local ? wants[n++].ofport : 0);
        if (iface->usable && !iface->is_local && !iface->ofport) {
            set_error(iface, "all OpenFlow port numbers are taken");
            iface->usable = false;
        }
    }
    free(wants);
}

/* PORT's present configuration; the strings are the port's. */
static struct port_config config_of(const struct port *port)
{
    return (struct port_config){.name = port->name,
                                .ofp_port = port->ofp_port,
                                .kind = port->kind,
                                .userspace = port->userspace,
                                .vlan = port->vlan,
                                .patch_peer = port->patch_peer,
                                .bond = port->bond ? port->bond->bond->name : NULL,
                                .is_protected = port->is_protected,
                                .mcast_flood = port->mcast_flood,
                                .mcast_flood_reports = port->mcast_flood_reports,
                                .tunnel = port->tunnel};
}

static const struct port *find_conflict(const struct switch_ *sw, const struct iface *iface)
{
    for (const struct bridge *br = sw->bridges; br; br = br->hh.next) {
        for (const struct port *p = br->ports_by_name; p; p = p->hh_name.next) {
            if (p->kind == PORT_TUNNEL && strcmp(p->name, iface->name) != 0 &&
                tunnel_config_conflict(&p->tunnel, &iface->config.tunnel)) {
                return p;
            }
        }
    }
    return NULL;
}

static void set_port_error(const struct configurator *c, struct iface *iface, int error)
{
    const struct port *other = iface->config.kind == PORT_TUNNEL ? find_conflict(c->sw, iface) : NULL;
    _cleanup_free_ char *text =
        other ? xasprintf(
                    "could not add network device %s to ofproto: tunnel port %s of bridge %s has the same remote_ip, "
                    "local_ip, key and port",
                    iface->name, other->name, other->bridge->name)
        : error == -ENODEV
            ? xasprintf("could not open network device %s (%s)", iface->name, strerror(-error))
            : xasprintf("could not add network device %s to ofproto (%s)", iface->name, strerror(-error));
    set_error(iface, text);
}

/* The device of an INTERNAL port was made anew: it is up, and has the MTU, as the one before. */
static void keep_device(struct configurator *c, const struct iface *iface, const struct link *before)
{
    c->rerun |= links_refresh(c->links);
    const struct link *link = links_find(c->links, iface->name);
    int error = !link || link->mtu == before->mtu ? 0 : links_set_mtu(c->links, iface->name, before->mtu);
    error = !error && link && before->admin_up ? links_set_up(c->links, iface->name, true) : error;
    if (error) {
        log_warn("interface %s: its new device is not as the one before: %s", iface->name, strerror(-error));
    }
}

static int set_port(struct configurator *c, struct iface *iface, struct port *port)
{
    bool moves =
        iface->config.userspace != port->userspace && (port->kind == PORT_SYSTEM || port->kind == PORT_INTERNAL);
    const struct link *link = moves && port->kind == PORT_INTERNAL ? links_find(c->links, iface->name) : NULL;
    struct link before = link ? *link : (struct link){0};
    int error = bridge_port_set(port, &iface->config);
    if (moves && !error) {
        log_info("bridge %s: port %s %s", iface->owner->name, iface->name,
                 iface->config.userspace ? "is user space's now" : "is the fast path's now");
        iface->policed = false;
    }
    if (link && !error) {
        keep_device(c, iface, &before);
    }
    return error;
}

/* One pass of changes to the ports that exist; returns how many still wait for a number that another one holds. */
static size_t change_ports(struct configurator *c, struct cbridge *cb, bool *progress)
{
    size_t waiting = 0;
    for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        struct port *port = iface->usable && iface->changed ? iface_port(iface) : NULL;
        if (!port) {
            continue;
        }
        struct port_config now = config_of(port);
        now.mac = iface->config.mac;
        if (port_config_equal(&now, &iface->config)) {
            continue;
        }
        int error = set_port(c, iface, port);
        const struct port *holder = bridge_port_by_ofp(cb->bridge, iface->config.ofp_port);
        if (error == -EEXIST && holder && holder != port) {
            waiting++;
            continue;
        }
        iface->synced_serial = 0; /* a bond wants to hear of its new member's link */
        *progress = true;
        if (error) {
            set_port_error(c, iface, error);
            c->devices_leave = c->devices_leave || port->kind == PORT_INTERNAL;
            bridge_port_del(port);
            iface->usable = false;
        }
    }
    return waiting;
}

static void apply_mtu_request(const struct configurator *c, const struct iface *iface)
{
    const struct link *link = links_find(c->links, iface->name);
    int64_t mtu = iface->row ? ovsdb_row_int(iface->row, "mtu_request", 0) : 0;
    if (!mtu || !link || link->mtu == mtu || iface->config.kind == PORT_PATCH || iface->config.kind == PORT_TUNNEL) {
        return;
    }
    int error = mtu > UINT32_MAX ? -EINVAL : links_set_mtu(c->links, iface->name, (uint32_t)mtu);
    if (error) {
        log_limited(LOG_LEVEL_WARN, "interface %s: MTU %lld refused: %s", iface->name, (long long)mtu,
                    strerror(-error));
    }
}

/* The kernel's address of a netdev follows the configuration where that names one. */
static void apply_mac(const struct configurator *c, const struct iface *iface)
{
    static const struct eth_addr none;
    const struct link *link = links_find(c->links, iface->name);
    if ((iface->config.kind != PORT_INTERNAL && iface->config.kind != PORT_SYSTEM) || !link ||
        !memcmp(iface->config.mac.a, none.a, sizeof none.a) ||
        !memcmp(link->mac.a, iface->config.mac.a, sizeof none.a)) {
        return;
    }
    int error = links_set_mac(c->links, iface->name, iface->config.mac);
    if (error) {
        log_limited(LOG_LEVEL_WARN, "interface %s: address refused: %s", iface->name, strerror(-error));
    }
}

static void add_port(const struct configurator *c, struct cbridge *cb, struct iface *iface)
{
    struct port *port;
    int error = bridge_port_add(cb->bridge, &iface->config, &port);
    if (error) {
        switch_settle_failed(c->sw, error, false);
        set_port_error(c, iface, error);
        iface->usable = false; /* the number stays its own for the next attempt */
        return;
    }
    const struct link *link = links_find(c->links, iface->name);
    iface->ifindex = link ? link->ifindex : 0;
    iface->synced_serial = 0;
    iface->dirty = true;
    iface->policed = true; /* by a process before us, maybe: what the row says now is told in any case */
    log_info("bridge %s: port %s added, number %u", cb->name, iface->name, iface->is_local ? 65534 : iface->ofport);
}

static void move_numbers(struct configurator *c, struct cbridge *cb)
{
    bool progress = true;
    size_t waiting = 1;
    while (progress && waiting) {
        progress = false;
        waiting = change_ports(c, cb, &progress);
    }
    for (struct iface *iface = cb->ifaces; waiting && iface; iface = iface->hh.next) {
        /* Numbers that go round in a circle: whoever must move is made anew. */
        struct port *port = iface->usable ? iface_port(iface) : NULL;
        if (port && port->ofp_port != iface->config.ofp_port) {
            bridge_port_del(port);
        }
    }
}

void ports_apply(struct configurator *c, struct cbridge *cb)
{
    if (!cb->changed) {
        return;
    }
    assign_numbers(cb);
    move_numbers(c, cb);
    for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        if (!iface->changed) {
            continue;
        }
        if (iface->usable && !iface_port(iface)) {
            add_port(c, cb, iface);
        }
        if (iface->usable) {
            apply_mtu_request(c, iface);
            apply_mac(c, iface);
        }
        log_error(iface);
    }
}

/* OFPPF_* of OpenFlow 1.3, 7.2.1, for full duplex copper of that speed. */
static uint32_t features_of(const struct link_details *d)
{
    static const struct {
        int64_t mbps;
        uint32_t bit;
    } speeds[] = {{10, 1u << 1},    {100, 1u << 3},   {1000, 1u << 5},
                  {10000, 1u << 6}, {40000, 1u << 7}, {100000, 1u << 8}};
    uint32_t features = 0;
    for (size_t i = 0; i < ARRAY_SIZE(speeds); i++) {
        if (d->speed_mbps == speeds[i].mbps) {
            features = d->duplex == 0 && speeds[i].mbps <= 1000 ? speeds[i].bit >> 1 : speeds[i].bit;
        }
    }
    return features;
}

static void sync_link(struct configurator *c, struct iface *iface, struct port *port)
{
    const struct link *link = links_find(c->links, iface->name);
    if (port->kind == PORT_TUNNEL) {
        link = iface->egress_ifindex ? links_find_index(c->links, iface->egress_ifindex) : NULL;
        iface->dirty = iface->dirty || iface->synced_serial != (link ? link->serial : 0);
        iface->synced_serial = link ? link->serial : 0;
    }
    if (port->kind == PORT_PATCH || port->kind == PORT_TUNNEL) {
        return;
    }
    if (!link) {
        /* An internal port that was moved to another namespace: it works, we just cannot see its device. */
        return;
    }
    if (iface->synced_serial == link->serial) {
        return;
    }
    iface->synced_serial = link->serial;
    iface->dirty = true;
    if (iface->details_ifindex != link->ifindex || iface->details_resets != link->resets) {
        link_details_get(iface->name, &iface->details);
        iface->details_ifindex = link->ifindex;
        iface->details_resets = link->resets;
    }
    int64_t kbps = iface->details.speed_mbps * 1000;
    bridge_port_set_link(port, link->mac, !link->admin_up, !link->carrier, features_of(&iface->details),
                         kbps > UINT32_MAX ? UINT32_MAX : (uint32_t)kbps);
}

void ports_sync_links(struct configurator *c)
{
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
            struct port *port = iface_port(iface);
            if (port) {
                sync_link(c, iface, port);
            }
        }
    }
}

/* Addresses that name a device: not multicast, locally administered or zero. */
static bool mac_is_eligible(const struct eth_addr *mac)
{
    static const struct eth_addr none;
    return !(mac->a[0] & 3) && memcmp(mac->a, none.a, sizeof none.a) != 0;
}

struct eth_addr ports_choose_mac(const struct configurator *c, const struct cbridge *cb)
{
    struct eth_addr best = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    const char *hwaddr = ovsdb_row_map_string(cb->row, "other_config", "hwaddr");
    if (hwaddr) {
        if (!eth_addr_parse(hwaddr, &best) && !eth_addr_is_group(&best)) {
            return best;
        }
        log_limited(LOG_LEVEL_WARN, "bridge %s: other_config:hwaddr=%s is no unicast address: ignored", cb->name,
                    hwaddr);
        memset(best.a, 0xff, sizeof best.a);
    }
    for (const struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
        const struct link *link = iface->usable && !iface->is_local ? links_find(c->links, iface->name) : NULL;
        if (!iface_is_first_of_port(iface) || mirrors_output_to(c, cb, iface->port_row)) {
            continue;
        }
        struct eth_addr mac = link ? link->mac : (struct eth_addr){{0}};
        const char *override = iface->port_row ? ovsdb_row_string(iface->port_row, "mac") : NULL;
        if (override && !iface->is_local) {
            eth_addr_parse(override, &mac);
        }
        if (mac_is_eligible(&mac) && memcmp(mac.a, best.a, sizeof mac.a) < 0) {
            best = mac;
        }
    }
    if (best.a[0] == 0xff) {
        /* Made from the row's UUID as little-endian machines store it in 32-bit words, as Open vSwitch does: the same
         * after a restart and after a change from one to the other. */
        const uint8_t *u = ovsdb_row_uuid(cb->row)->b;
        best = (struct eth_addr){{(uint8_t)((u[3] & ~1u) | 2), u[2], u[1], u[0], u[7], u[6]}};
    }
    return best;
}
