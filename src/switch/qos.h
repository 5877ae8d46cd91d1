/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_QOS_H
#define WARREN_SWITCH_QOS_H
/*
 * Egress queues by the kernel's traffic control: a linux-htb QoS row as an htb qdisc with one class a queue, in the
 * layout that Open vSwitch uses (tc-htb(8)): root qdisc 1: whose default is queue 0, class 1:fffe with the port's
 * rate, and below it 1:(queue + 1) for each queue. DP_QUEUE_PRIORITY() leads packets to them.
 *
 * By rtnetlink on a socket of its own. Decides nothing: configurator_qos.c reads the rows and says what should be.
 */
#include "base/util.h"

#define QOS_QUEUE_MAX 61439          /* ovs-vswitchd.conf.db(5), "Configuration for linux-htb QoS" */
#define QOS_DEFAULT_RATE 10000000000 /* bit/s, of ports whose link does not tell its own */

struct qos;

struct qos_queue {
    uint32_t id;
    uint32_t priority;           /* low ones first */
    uint64_t min_rate, max_rate; /* bit/s; 0: the least that there is, the port's */
    uint64_t burst;              /* bits; what is too little is raised */
    int64_t dscp;                /* of its packets, set by the pipeline; -1: theirs */
};

struct qos_config {
    uint64_t max_rate;        /* bit/s */
    uint32_t mtu;             /* of the device */
    struct qos_queue *queues; /* sorted by id; 0 is always among them */
    size_t n_queues;
};

struct qos_queue_stats {
    uint64_t tx_packets, tx_bytes, tx_drops;
};

int qos_create(struct qos **ret);
void qos_destroy(struct qos *q); /* NULL is fine */
DEFINE_CLEANUP(struct qos *, qos_destroy)

/* What a queue gets within the port: rates filled in and bounded, the burst in bits as it is set. */
struct qos_queue qos_effective(const struct qos_config *config, const struct qos_queue *queue);
/* Makes the device IFINDEX have CONFIG. OLD is what it had by us (its classes are changed in place), or NULL to begin
 * anew. 0 or the kernel's negative errno (-ENOENT: it has no htb). */
int qos_set_htb(struct qos *q, int ifindex, const struct qos_config *config, const struct qos_config *old);
/* Back to the device's default. */
int qos_clear(struct qos *q, int ifindex);
int qos_get_stats(struct qos *q, int ifindex, uint32_t queue_id, struct qos_queue_stats *ret);
/* Calls FN for each device whose root qdisc looks like one that qos_set_htb() made; it may hear of one twice. */
int qos_for_each_htb(struct qos *q, void (*fn)(void *aux, int ifindex), void *aux);

#endif
