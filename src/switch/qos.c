/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/qos.h"

#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "datapath/rtnl.h"

#define ROOT_HANDLE 0x10000u
#define PORT_CLASS 0x1fffeu
#define LEAST_RATE 12000 /* bit/s: one full frame a second */
#define TICK_NS 64       /* the kernel's unit of time in buffers (PSCHED_SHIFT) */

struct qos {
    struct rtnl rtnl;
    /* of the present dump */
    uint32_t wanted_class;
    bool found;
    struct qos_queue_stats stats;
    void (*fn)(void *aux, int ifindex);
    void *aux;
};

static uint32_t class_of(uint32_t queue_id)
{
    return ROOT_HANDLE | (queue_id + 1);
}

int qos_create(struct qos **ret)
{
    _cleanup_(qos_destroyp) struct qos *q = xcalloc(1, sizeof *q);
    int error = rtnl_open(&q->rtnl);
    if (!error) {
        *ret = TAKE_PTR(q);
    }
    return error;
}

void qos_destroy(struct qos *q)
{
    if (q) {
        rtnl_close(&q->rtnl);
        free(q);
    }
}

/* --- messages --- */

static struct nlmsghdr *begin(char *buf, uint16_t type, uint16_t flags, int ifindex, uint32_t handle, uint32_t parent)
{
    struct nlmsghdr *h = rtnl_request(buf, type, flags);
    struct tcmsg *tc = mnl_nlmsg_put_extra_header(h, sizeof *tc);
    tc->tcm_family = AF_UNSPEC;
    tc->tcm_ifindex = ifindex;
    tc->tcm_handle = handle;
    tc->tcm_parent = parent;
    return h;
}

int qos_clear(struct qos *q, int ifindex)
{
    char buf[RTNL_REQUEST_MAX];
    return rtnl_ask(&q->rtnl, begin(buf, RTM_DELQDISC, 0, ifindex, 0, TC_H_ROOT), NULL, NULL);
}

static int add_qdisc(struct qos *q, int ifindex)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = begin(buf, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, ROOT_HANDLE, TC_H_ROOT);
    struct tc_htb_glob glob = {.version = 3, .rate2quantum = 10, .defcls = 1};
    mnl_attr_put_strz(h, TCA_KIND, "htb");
    struct nlattr *options = mnl_attr_nest_start(h, TCA_OPTIONS);
    mnl_attr_put(h, TCA_HTB_INIT, sizeof glob, &glob);
    mnl_attr_nest_end(h, options);
    return rtnl_ask(&q->rtnl, h, NULL, NULL);
}

/* How long, in ticks, BITS take at RATE bit/s. */
static uint32_t ticks_of(uint64_t bits, uint64_t rate)
{
    double ticks = (double)bits * 1e9 / (double)rate / TICK_NS;
    return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)(ticks + 0.5);
}

static int put_class(struct qos *q, int ifindex, uint32_t handle, uint32_t parent, const struct qos_queue *e)
{
    char buf[RTNL_REQUEST_MAX];
    uint64_t rate = e->min_rate / 8, ceil = e->max_rate / 8; /* bytes/s */
    struct nlmsghdr *h = begin(buf, RTM_NEWTCLASS, NLM_F_CREATE, ifindex, handle, parent);
    struct tc_htb_opt opt = {
        .rate = {.linklayer = TC_LINKLAYER_ETHERNET, .rate = (uint32_t)MIN(rate, UINT32_MAX)},
        .ceil = {.linklayer = TC_LINKLAYER_ETHERNET, .rate = (uint32_t)MIN(ceil, UINT32_MAX)},
        .buffer = ticks_of(e->burst, e->min_rate),
        .cbuffer = ticks_of(e->burst, e->max_rate),
        .prio = e->priority,
    };
    mnl_attr_put_strz(h, TCA_KIND, "htb");
    struct nlattr *options = mnl_attr_nest_start(h, TCA_OPTIONS);
    mnl_attr_put(h, TCA_HTB_PARMS, sizeof opt, &opt);
    if (rate > UINT32_MAX) {
        mnl_attr_put(h, TCA_HTB_RATE64, sizeof rate, &rate);
    }
    if (ceil > UINT32_MAX) {
        mnl_attr_put(h, TCA_HTB_CEIL64, sizeof ceil, &ceil);
    }
    mnl_attr_nest_end(h, options);
    return rtnl_ask(&q->rtnl, h, NULL, NULL);
}

static int del_class(struct qos *q, int ifindex, uint32_t handle)
{
    char buf[RTNL_REQUEST_MAX];
    return rtnl_ask(&q->rtnl, begin(buf, RTM_DELTCLASS, 0, ifindex, handle, 0), NULL, NULL);
}

/* --- htb --- */

struct qos_queue qos_effective(const struct qos_config *config, const struct qos_queue *queue)
{
    struct qos_queue e = *queue;
    uint64_t port = MAX(config->max_rate, (uint64_t)LEAST_RATE);
    e.min_rate = MAX(MIN(e.min_rate, port), (uint64_t)LEAST_RATE);
    e.max_rate = MIN(e.max_rate ? e.max_rate : port, port);
    e.max_rate = MAX(e.max_rate, e.min_rate);
    /* A bucket must hold a frame, and a millisecond's worth: the kernel's timers are no finer. */
    e.burst = MAX(e.burst, ((uint64_t)config->mtu + 64) * 8);
    e.burst = MAX(e.burst, e.max_rate / 1000);
    return e;
}

static bool has_queue(const struct qos_config *config, uint32_t id)
{
    for (size_t i = 0; i < config->n_queues; i++) {
        if (config->queues[i].id == id) {
            return true;
        }
    }
    return false;
}

static int set_classes(struct qos *q, int ifindex, const struct qos_config *config, const struct qos_config *old)
{
    const struct qos_queue all = {.min_rate = config->max_rate, .max_rate = config->max_rate};
    struct qos_queue e = qos_effective(config, &all);
    int error = put_class(q, ifindex, PORT_CLASS, TC_H_ROOT, &e);
    for (size_t i = 0; !error && i < config->n_queues; i++) {
        e = qos_effective(config, &config->queues[i]);
        error = put_class(q, ifindex, class_of(e.id), PORT_CLASS, &e);
    }
    for (size_t i = 0; !error && old && i < old->n_queues; i++) {
        if (!has_queue(config, old->queues[i].id)) {
            error = del_class(q, ifindex, class_of(old->queues[i].id));
        }
    }
    return error;
}

int qos_set_htb(struct qos *q, int ifindex, const struct qos_config *config, const struct qos_config *old)
{
    /* When the qdisc that was ours is not there any more, or not as it was, everything is made anew. */
    int error = old ? set_classes(q, ifindex, config, old) : -ENOENT;
    if (!error) {
        return 0;
    }
    qos_clear(q, ifindex); /* fails where there is only the default one */
    error = add_qdisc(q, ifindex);
    error = error ? error : set_classes(q, ifindex, config, NULL);
    if (error) {
        qos_clear(q, ifindex);
    }
    return error;
}

/* --- what there is --- */

static int attr_cb(const struct nlattr *attr, void *data)
{
    const struct nlattr **tb = data;
    if (mnl_attr_get_type(attr) <= TCA_MAX) {
        tb[mnl_attr_get_type(attr)] = attr;
    }
    return MNL_CB_OK;
}

static int stats_cb(const struct nlattr *attr, void *data)
{
    struct qos_queue_stats *s = data;
    struct gnet_stats_basic basic = {0};
    struct gnet_stats_queue queue = {0};
    uint64_t packets;
    size_t len = mnl_attr_get_payload_len(attr);
    const void *value = mnl_attr_get_payload(attr);
    switch (mnl_attr_get_type(attr)) {
    case TCA_STATS_BASIC:
        memcpy(&basic, value, MIN(len, sizeof basic));
        s->tx_bytes = basic.bytes;
        s->tx_packets = MAX(s->tx_packets, (uint64_t)basic.packets);
        break;
    case TCA_STATS_PKT64:
        if (len >= sizeof packets) {
            memcpy(&packets, value, sizeof packets);
            s->tx_packets = packets;
        }
        break;
    case TCA_STATS_QUEUE:
        memcpy(&queue, value, MIN(len, sizeof queue));
        s->tx_drops = queue.drops;
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int class_cb(const struct nlmsghdr *h, void *data)
{
    const struct nlattr *tb[TCA_MAX + 1] = {0};
    const struct tcmsg *tc = mnl_nlmsg_get_payload(h);
    struct qos *q = data;
    if (h->nlmsg_type != RTM_NEWTCLASS || tc->tcm_handle != q->wanted_class) {
        return MNL_CB_OK;
    }
    mnl_attr_parse(h, sizeof *tc, attr_cb, tb);
    if (tb[TCA_STATS2]) {
        q->found = true;
        mnl_attr_parse_nested(tb[TCA_STATS2], stats_cb, &q->stats);
    }
    return MNL_CB_OK;
}

int qos_get_stats(struct qos *q, int ifindex, uint32_t queue_id, struct qos_queue_stats *ret)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = begin(buf, RTM_GETTCLASS, NLM_F_DUMP, ifindex, 0, 0);
    q->wanted_class = class_of(queue_id);
    q->found = false;
    q->stats = (struct qos_queue_stats){0};
    int error = rtnl_dump(&q->rtnl, h, class_cb, q);
    if (error || !q->found) {
        return error ? error : -ENOENT;
    }
    *ret = q->stats;
    return 0;
}

static int qdisc_cb(const struct nlmsghdr *h, void *data)
{
    const struct nlattr *tb[TCA_MAX + 1] = {0};
    const struct tcmsg *tc = mnl_nlmsg_get_payload(h);
    struct qos *q = data;
    if (h->nlmsg_type == RTM_NEWQDISC && tc->tcm_parent == TC_H_ROOT && tc->tcm_handle == ROOT_HANDLE) {
        mnl_attr_parse(h, sizeof *tc, attr_cb, tb);
        if (tb[TCA_KIND] && !strcmp(mnl_attr_get_str(tb[TCA_KIND]), "htb")) {
            q->fn(q->aux, tc->tcm_ifindex);
        }
    }
    return MNL_CB_OK;
}

int qos_for_each_htb(struct qos *q, void (*fn)(void *aux, int ifindex), void *aux)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = begin(buf, RTM_GETQDISC, NLM_F_DUMP, 0, 0, 0);
    q->fn = fn;
    q->aux = aux;
    return rtnl_dump(&q->rtnl, h, qdisc_cb, q);
}
