/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What limits a port's traffic: ingress policing of the Interface row in the datapath, and the egress queues of the
 * Port's QoS row (linux-htb) in the kernel's traffic control. `linux-noop` leaves the device's qdisc to others; the
 * other types are told as errors in Port.status:qos_error. Only what changed is looked at, and only what differs is
 * told to the kernel.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "switch/configurator_private.h"
#include "switch/qos.h"

LOG_MODULE("qos");

enum qos_type { QOS_NONE, QOS_NOOP, QOS_HTB };

/* What an interface's device has by us. */
struct iface_qos {
    enum qos_type type;
    int ifindex;
    struct qos_config config;
};

static const char *const qos_types[] = {"linux-htb", "linux-noop"};

/* --- policing --- */

static uint32_t read_rate(const struct iface *iface, const char *column)
{
    int64_t n = ovsdb_row_int(iface->row, column, 0);
    return n <= 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static int set_policing(struct configurator *c, const struct port *port, const struct dp_policing *policing)
{
    if (port->kind == PORT_PATCH || port->kind == PORT_TUNNEL) {
        return -EOPNOTSUPP;
    }
    return dp_port_set_policing(c->sw->dp, port->dp_port, policing);
}

static void apply_policing(struct configurator *c, struct iface *iface, const struct port *port)
{
    struct dp_policing policing = {
        .rate_kbps = read_rate(iface, "ingress_policing_rate"),
        .rate_kpps = read_rate(iface, "ingress_policing_kpkts_rate"),
    };
    /* Bursts have no effect without their rate. */
    policing.burst_kbits = policing.rate_kbps ? read_rate(iface, "ingress_policing_burst") : 0;
    policing.burst_kpkts = policing.rate_kpps ? read_rate(iface, "ingress_policing_kpkts_burst") : 0;
    bool on = policing.rate_kbps || policing.rate_kpps;
    if (!on && !iface->policed) {
        return;
    }
    int error = set_policing(c, port, &policing);
    if (error && on) {
        log_limited(LOG_LEVEL_WARN, "interface %s: ingress policing is without effect: %s", iface->name,
                    strerror(-error));
    }
    iface->policed = on && !error;
    free(iface->policing_error);
    iface->policing_error = on && error ? xasprintf("ingress policing: %s", strerror(-error)) : NULL;
}

/* --- QoS rows --- */

static uint64_t read_number(const struct ovsdb_row *row, const char *key)
{
    int64_t n = ovsdb_row_map_int(row, "other_config", key, 0);
    return n > 0 ? (uint64_t)n : 0;
}

static int by_id(const void *a_, const void *b_)
{
    const struct qos_queue *a = a_, *b = b_;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void read_queues(struct configurator *c, const struct ovsdb_row *row, struct qos_config *config)
{
    size_t n = ovsdb_row_size(row, "queues");
    bool have_default = false;
    config->queues = xcalloc(n + 1, sizeof *config->queues);
    for (size_t i = 0; i < n; i++) {
        int64_t id = 0;
        const struct ovsdb_row *queue = ovsdb_client_map_ref(c->client, row, "queues", i, "Queue", &id);
        if (!queue || id < 0 || id > QOS_QUEUE_MAX) {
            log_limited(LOG_LEVEL_WARN, "queue %lld is ignored: linux-htb has queues 0 to %d", (long long)id,
                        QOS_QUEUE_MAX);
            continue;
        }
        have_default = have_default || !id;
        config->queues[config->n_queues++] = (struct qos_queue){
            .id = (uint32_t)id,
            .min_rate = read_number(queue, "min-rate"),
            .max_rate = read_number(queue, "max-rate"),
            .burst = read_number(queue, "burst"),
            .dscp = ovsdb_row_int(queue, "dscp", -1),
            .priority = (uint32_t)MIN(read_number(queue, "priority"), UINT32_MAX),
        };
    }
    if (!have_default) {
        config->queues[config->n_queues++] = (struct qos_queue){.id = 0, .dscp = -1};
    }
    qsort(config->queues, config->n_queues, sizeof *config->queues, by_id);
}

static bool config_equal(const struct qos_config *a, const struct qos_config *b)
{
    return a->max_rate == b->max_rate && a->mtu == b->mtu && a->n_queues == b->n_queues &&
           !memcmp(a->queues, b->queues, a->n_queues * sizeof *a->queues);
}

void iface_qos_destroy(struct iface_qos *q)
{
    if (q) {
        free(q->config.queues);
        free(q);
    }
}

/* Gives the device back its default qdisc, if it is still the one that we changed. */
static void clear(struct configurator *c, struct iface *iface)
{
    struct iface_qos *q = iface->qos;
    if (q && q->type == QOS_HTB && links_find_index(c->links, q->ifindex)) {
        qos_clear(c->qos, q->ifindex);
    }
    iface_qos_destroy(q);
    iface->qos = NULL;
}

static void set_port_queues(struct port *port, const struct iface_qos *q)
{
    size_t n = q && q->type == QOS_HTB ? q->config.n_queues : 0;
    struct port_queue *queues = xcalloc(n + 1, sizeof *queues);
    for (size_t i = 0; i < n; i++) {
        struct qos_queue e = qos_effective(&q->config, &q->config.queues[i]);
        queues[i] = (struct port_queue){.id = e.id,
                                        .min_rate = e.min_rate,
                                        .max_rate = e.max_rate,
                                        .has_dscp = e.dscp >= 0,
                                        .dscp = (uint8_t)(e.dscp & 0x3f)};
    }
    bridge_port_set_queues(port, queues, n);
    free(queues);
}

static void set_qos_error(struct iface *iface, char *text)
{
    if (text && (!iface->qos_error || strcmp(iface->qos_error, text) != 0)) {
        log_warn("port %s: %s", iface->name, text);
    }
    iface->dirty = iface->dirty || text || iface->qos_error;
    free(iface->qos_error);
    iface->qos_error = text;
}

/* The device gets what the rows say, unless it has that already. */
static void apply_htb(struct configurator *c, struct iface *iface, struct port *port, const struct ovsdb_row *row,
                      const struct link *link)
{
    struct iface_qos *new = xcalloc(1, sizeof *new), *old = iface->qos;
    uint64_t rate = read_number(row, "max-rate");
    *new = (struct iface_qos){.type = QOS_HTB, .ifindex = link->ifindex, .config = {.mtu = link->mtu}};
    new->config.max_rate = rate                            ? rate
                           : iface->details.speed_mbps > 0 ? (uint64_t)iface->details.speed_mbps * 1000000
                                                           : QOS_DEFAULT_RATE;
    read_queues(c, row, &new->config);
    bool ours = old && old->type == QOS_HTB && old->ifindex == new->ifindex;
    if (ours && config_equal(&old->config, &new->config) && port->n_queues) {
        iface_qos_destroy(new);
        return;
    }
    int error = qos_set_htb(c->qos, link->ifindex, &new->config, ours ? &old->config : NULL);
    iface_qos_destroy(old);
    iface->qos = new;
    if (error) {
        iface_qos_destroy(new);
        iface->qos = NULL;
        set_qos_error(iface,
                      xasprintf("QoS linux-htb cannot be set up: %s",
                                error == -ENOENT ? "this kernel has no htb (CONFIG_NET_SCH_HTB)" : strerror(-error)));
    } else {
        set_qos_error(iface, NULL);
    }
    set_port_queues(port, iface->qos);
}

static void apply_qos(struct configurator *c, struct iface *iface, struct port *port)
{
    const struct ovsdb_row *row = ovsdb_client_ref(c->client, iface->port_row, "qos", 0, "QoS");
    const char *type = row ? ovsdb_row_string(row, "type") : "";
    const struct link *link = links_find(c->links, iface->name);
    if (row && !strcmp(type, "linux-htb") && (port->kind == PORT_SYSTEM || port->kind == PORT_INTERNAL) && link) {
        apply_htb(c, iface, port, row, link);
        return;
    }
    clear(c, iface);
    if (port->n_queues) {
        bridge_port_set_queues(port, NULL, 0);
    }
    if (!row || !*type || !strcmp(type, "linux-noop")) {
        set_qos_error(iface, NULL);
    } else if (strcmp(type, "linux-htb") != 0) {
        set_qos_error(iface, xasprintf("QoS type \"%s\" is not supported", type));
    } else {
        set_qos_error(iface, xstrdup("QoS linux-htb needs a network device of this host"));
    }
}

/* --- the run --- */

struct leftovers {
    int *ifindex;
    size_t n;
};

static void note_leftover(void *aux, int ifindex)
{
    struct leftovers *l = aux;
    l->ifindex = xrealloc(l->ifindex, (l->n + 1) * sizeof *l->ifindex);
    l->ifindex[l->n++] = ifindex;
}

/* What a former process set up, for ports whose QoS went while nobody looked. */
static void clear_leftovers(struct configurator *c)
{
    struct leftovers l = {0};
    qos_for_each_htb(c->qos, note_leftover, &l);
    for (size_t i = 0; i < l.n; i++) {
        const struct link *link = links_find_index(c->links, l.ifindex[i]);
        const struct port *port = link ? switch_port_by_name(c->sw, link->name) : NULL;
        struct iface *iface = NULL;
        struct cbridge *cb = NULL;
        if (port) {
            HASH_FIND_STR(c->bridges, port->bridge->name, cb);
        }
        if (cb) {
            HASH_FIND_STR(cb->ifaces, port->name, iface);
        }
        if (iface && iface->port_row && !ovsdb_row_size(iface->port_row, "qos")) {
            log_info("port %s: the htb qdisc of a former QoS row removed", port->name);
            qos_clear(c->qos, l.ifindex[i]);
        }
    }
    free(l.ifindex);
}

void qos_apply_all(struct configurator *c)
{
    uint64_t serial = MAX(ovsdb_client_serial(c->client, "QoS"), ovsdb_client_serial(c->client, "Queue"));
    bool rows_changed = serial != c->qos_serial;
    c->qos_serial = serial;
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        for (struct iface *iface = cb->ifaces; iface; iface = iface->hh.next) {
            if (!iface->row || (!iface->changed && !rows_changed)) {
                continue;
            }
            struct port *port = iface->usable ? iface_port(iface) : NULL;
            if (!port) {
                clear(c, iface);
                iface->policed = false;
                continue;
            }
            if (iface->changed) {
                apply_policing(c, iface, port);
            }
            if (iface->qos || iface->qos_error || port->n_queues || ovsdb_row_size(iface->port_row, "qos") > 0) {
                apply_qos(c, iface, port);
            }
        }
    }
    if (!c->ran) {
        clear_leftovers(c);
    }
}

void qos_forget(struct configurator *c, struct iface *iface)
{
    clear(c, iface);
}

int qos_queue_stats_of(struct configurator *c, const struct iface *iface, uint32_t queue_id,
                       struct port_queue_stats *ret)
{
    struct qos_queue_stats s;
    if (!iface->qos || iface->qos->type != QOS_HTB) {
        return -ENOENT;
    }
    int error = qos_get_stats(c->qos, iface->qos->ifindex, queue_id, &s);
    if (!error) {
        *ret = (struct port_queue_stats){.tx_packets = s.tx_packets, .tx_bytes = s.tx_bytes, .tx_errors = s.tx_drops};
    }
    return error;
}

/* --- ovs-appctl --- */

static void show_queue(struct configurator *c, const struct iface *iface, const struct qos_queue *queue,
                       struct strbuf *out)
{
    struct qos_queue e = qos_effective(&iface->qos->config, queue);
    struct port_queue_stats s = {0};
    int error = qos_queue_stats_of(c, iface, e.id, &s);
    if (e.id) {
        strbuf_addf(out, "\nQueue %u:\n", e.id);
    } else {
        strbuf_add(out, "\nDefault:\n");
    }
    strbuf_addf(out, "  burst: %" PRIu64 "\n  min-rate: %" PRIu64 "\n  max-rate: %" PRIu64 "\n", e.burst, e.min_rate,
                e.max_rate);
    if (e.priority) {
        strbuf_addf(out, "  priority: %u\n", e.priority);
    }
    if (error) {
        strbuf_addf(out, "  Error reading statistics: %s\n", strerror(-error));
    } else {
        strbuf_addf(out, "  tx_packets: %" PRIu64 "\n  tx_bytes: %" PRIu64 "\n  tx_errors: %" PRIu64 "\n", s.tx_packets,
                    s.tx_bytes, s.tx_errors);
    }
}

static struct iface *find_iface(struct configurator *c, const char *name)
{
    struct iface *iface = NULL;
    for (struct cbridge *cb = c->bridges; cb && !iface; cb = cb->hh.next) {
        HASH_FIND_STR(cb->ifaces, name, iface);
    }
    return iface;
}

static int qos_show(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    struct configurator *c = aux;
    const struct iface *iface = find_iface(c, args[0]);
    if (!iface) {
        strbuf_add(out, "no such interface");
        return -ENOENT;
    }
    if (!iface->qos) {
        strbuf_addf(out, "QoS not configured on %s\n", iface->name);
        return 0;
    }
    strbuf_addf(out, "QoS: %s linux-htb\nmax-rate: %" PRIu64 "\n", iface->name, iface->qos->config.max_rate);
    for (size_t i = 0; i < iface->qos->config.n_queues; i++) {
        show_queue(c, iface, &iface->qos->config.queues[i], out);
    }
    return 0;
}

static int qos_show_types(void *aux, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    if (!find_iface(aux, args[0])) {
        strbuf_add(out, "no such interface");
        return -ENOENT;
    }
    for (size_t i = 0; i < ARRAY_SIZE(qos_types); i++) {
        strbuf_addf(out, "QoS type: %s\n", qos_types[i]);
    }
    return 0;
}

void qos_ctl_register(struct configurator *c, struct unixctl *u)
{
    unixctl_register(u, "qos/show", "interface", 1, 1, qos_show, c);
    unixctl_register(u, "qos/show-types", "interface", 1, 1, qos_show_types, c);
}
