/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_DATAPATH_H
#define WARREN_DATAPATH_DATAPATH_H
/*
 * The one interface to a datapath: ports, megaflows (masked keys with actions and counters) and packets going up and
 * down.
 *
 * One datapath carries all bridges of a switch; it knows no bridge, no OpenFlow and no patch port. A packet is looked
 * up among the megaflows; on a hit the actions run, on a miss it goes to the upcall handler, which usually answers with
 * dp_flow_put() and dp_execute(). Everything runs on the caller's event loop: no locks, and callbacks come only from
 * the loop.
 *
 * Life cycle: dp_open() → ports and flows → dp_close(). Megaflows never overlap with different actions by the switch's
 * doing (they all come from one pipeline), so a lookup may stop at the first hit.
 *
 * Tunnels: one port per (kind, UDP port) receives from all remotes and sends to any (DP_ACTION_SET_TUNNEL). Which
 * remotes are known is the pipeline's business: a packet of an unknown one is a miss that is answered by a drop
 * megaflow.
 */
#include <event2/event.h>

#include "datapath/action.h"
#include "datapath/meter.h"
#include "packet/packet.h"

struct datapath;

enum dp_port_kind { DP_PORT_SYSTEM, DP_PORT_INTERNAL, DP_PORT_VXLAN, DP_PORT_GRE, DP_PORT_GENEVE };

struct dp_port_spec {
    enum dp_port_kind kind;
    const char *name;      /* the netdev of SYSTEM and INTERNAL ports; for tunnels a label such as "vxlan_sys_4789" */
    uint16_t udp_dst_port; /* VXLAN, Geneve */
    struct eth_addr mac;   /* INTERNAL: the device's address, all zero for the kernel's choice */
    bool userspace;        /* SYSTEM, INTERNAL: a fast path keeps off the port, sockets receive and send for it */
};

struct dp_port_stats {
    uint64_t rx_packets, rx_bytes, rx_dropped, rx_errors;
    uint64_t tx_packets, tx_bytes, tx_dropped, tx_errors;
};

/* What a port may receive; 0: unlimited. Bursts of 0 stand for the defaults (8000 kbit, 16000 packets). */
struct dp_policing {
    uint32_t rate_kbps, burst_kbits;
    uint32_t rate_kpps, burst_kpkts; /* thousands of packets */
};

struct dp_flow_stats {
    uint64_t packets, bytes;
    int64_t used_ms;    /* time_mono_ms() of the last packet, 0: never */
    uint16_t tcp_flags; /* all that were seen, ORed */
};

/* A megaflow's name: chosen by the switch, unique while the flow lives. */
typedef uint64_t dp_flow_id;

struct dp_flow {
    dp_flow_id id;
    const struct flow_key *key; /* already masked */
    const struct flow_key *mask;
    const struct dp_action *actions;
    size_t actions_len; /* 0: drop without a count */
    struct dp_flow_stats stats;
};

enum dp_upcall_reason { DP_UPCALL_MISS, DP_UPCALL_SLOW };

struct dp_upcall {
    enum dp_upcall_reason reason;
    uint32_t slow_reason;  /* enum dp_slow_reason with DP_UPCALL_SLOW */
    struct packet *packet; /* the handler may change it; the datapath frees it afterwards */
    const struct flow_key *key;
};

/* How far a process has come that starts where another was. */
enum dp_stage {
    DP_STARTING, /* packets that come up wait */
    DP_PORTS,    /* all ports are there: only packets that must be translated wait */
    DP_TABLES,   /* there are flows to translate packets by */
    DP_COMPLETE, /* the tables are what they should be */
};

/* What a datapath tells its owner. */
struct dp_callbacks {
    void (*upcall)(void *aux, const struct dp_upcall *upcall);
    /* The port's netdev went away or failed: the port still exists until dp_port_del(). */
    void (*port_gone)(void *aux, dp_port_t port);
    /* After dp_settle(): FLOW (key, mask and used_ms; no actions, no counters) of a process before us still forwards.
     * First the handler is to learn from each what its packets have taught, if it was ever used; true: that was
     * something new, and may be what others teach something by. The oldest come first. May be NULL. */
    bool (*learn)(void *aux, const struct dp_flow *flow);
    /* Then the handler translates each one's key and puts what comes of it; what is not put again with this key and
     * mask is removed. May be NULL. */
    void (*adopt)(void *aux, const struct dp_flow *flow);
    /* A packet with KEY was handled by FLOW, one in so many (dp_set_sample()): does that hold? FAITHFUL: the datapath
     * did what FLOW says, as far as it can tell. May be NULL; the handler may delete the flow. */
    void (*sample)(void *aux, const struct flow_key *key, const struct dp_flow *flow, bool faithful);
    void *aux;
};

struct dp_class {
    const char *name;
    int (*open)(struct event_base *base, const struct dp_callbacks *callbacks, struct datapath **ret_dp);
    void (*close)(struct datapath *dp);
    int (*port_add)(struct datapath *dp, const struct dp_port_spec *spec, dp_port_t *ret_port);
    int (*port_del)(struct datapath *dp, dp_port_t port);
    void (*wait_removed)(struct datapath *dp); /* may be NULL */
    int (*port_get_stats)(struct datapath *dp, dp_port_t port, struct dp_port_stats *ret_stats);
    int (*port_set_policing)(struct datapath *dp, dp_port_t port, const struct dp_policing *policing); /* may be NULL */
    int (*flow_put)(struct datapath *dp, const struct dp_flow *flow);
    int (*flow_del)(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret_stats);
    int (*flow_get_stats)(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret_stats);
    bool (*flow_is_fast)(struct datapath *dp, dp_flow_id id); /* NULL: there is no fast path */
    int (*flow_for_each)(struct datapath *dp, int (*fn)(void *aux, const struct dp_flow *flow), void *aux);
    int (*execute)(struct datapath *dp, struct packet *packet, const struct dp_action *actions, size_t actions_len);
    /* All four or none. */
    int (*meter_set)(struct datapath *dp, uint32_t id, const struct dp_meter_config *config);
    int (*meter_del)(struct datapath *dp, uint32_t id);
    int (*meter_get_stats)(struct datapath *dp, uint32_t id, struct dp_meter_stats *ret_stats);
    int (*meter_ask)(struct datapath *dp, uint32_t id, uint32_t len, uint32_t packets);
    const uint64_t *(*drops)(struct datapath *dp);
    void (*lookup_stats)(struct datapath *dp, uint64_t *ret_hits, uint64_t *ret_misses);
    bool (*settle)(struct datapath *dp, enum dp_stage stage); /* may be NULL */
    void (*leave)(struct datapath *dp);                       /* may be NULL */
    void (*set_sample)(struct datapath *dp, uint32_t one_in); /* may be NULL */
};

/* Every implementation begins its own struct with this. */
struct datapath {
    const struct dp_class *class;
};

/* The classes there are, by name: "userspace" (and "ebpf"). NULL for another name. */
const struct dp_class *dp_class_find(const char *name);

/* 0 or a negative errno; *RET_DP is the caller's to close. CALLBACKS is copied. */
int dp_open(const char *class_name, struct event_base *base, const struct dp_callbacks *callbacks,
            struct datapath **ret_dp);
void dp_close(struct datapath *dp); /* NULL is fine; ports and flows go with it, INTERNAL netdevs too */

/* -ENODEV: no such netdev (SYSTEM); -EEXIST: already a port; -EADDRINUSE: the UDP port is taken. */
int dp_port_add(struct datapath *dp, const struct dp_port_spec *spec, dp_port_t *ret_port);
/* An INTERNAL port's device goes later, together with others': dp_wait_removed(). */
int dp_port_del(struct datapath *dp, dp_port_t port);
/* Until the devices of INTERNAL ports that were deleted are gone. */
void dp_wait_removed(struct datapath *dp);
int dp_port_get_stats(struct datapath *dp, dp_port_t port, struct dp_port_stats *ret_stats);
/* What PORT may receive from now on: frames beyond it are dropped (DROP_POLICING) and counted in rx_dropped.
 * -EOPNOTSUPP: this datapath or this kind of port cannot. */
int dp_port_set_policing(struct datapath *dp, dp_port_t port, const struct dp_policing *policing);

/* Adds the megaflow FLOW->id, or changes its actions when it is there (its key and mask must then be the same; counters
 * stay). FLOW->stats.used_ms: when there was a packet for it, which it did not count itself; 0: none yet. -EEXIST:
 * another id has the same key and mask; -EINVAL: malformed; -EOPNOTSUPP: an action that this datapath cannot do. */
int dp_flow_put(struct datapath *dp, const struct dp_flow *flow);
/* -ENOENT if there is none. RET_STATS (may be NULL) gets the final counters. */
int dp_flow_del(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret_stats);
int dp_flow_get_stats(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret_stats);
/* Whether there is a fast path, which a port can be kept from (struct dp_port_spec). */
bool dp_has_fast_path(const struct datapath *dp);
/* Who runs the megaflow: the name of the class, but "userspace" for one that its fast path cannot run. */
const char *dp_flow_runner(struct datapath *dp, dp_flow_id id);
/* Calls FN for each megaflow until it returns non-zero, which is then returned. FN must not add or delete. */
int dp_flow_for_each(struct datapath *dp, int (*fn)(void *aux, const struct dp_flow *flow), void *aux);

/* Runs ACTIONS on PACKET, which the caller keeps (its contents may change). */
int dp_execute(struct datapath *dp, struct packet *packet, const struct dp_action *actions, size_t actions_len);

/* Meters, which DP_ACTION_METER names by id, 1 to DP_METER_ID_MAX, chosen by the switch. Makes the meter or gives it a
 * new CONFIG (see dp_meter_configure()). -EINVAL: a band of no rate, too many bands, no such id; -EOPNOTSUPP: this
 * datapath has no meters. A flow may name a meter that is not there: it lets everything pass. */
#define DP_METER_ID_MAX 65535
bool dp_has_meters(const struct datapath *dp);
int dp_meter_set(struct datapath *dp, uint32_t id, const struct dp_meter_config *config);
/* -ENOENT if there is none. */
int dp_meter_del(struct datapath *dp, uint32_t id);
int dp_meter_get_stats(struct datapath *dp, uint32_t id, struct dp_meter_stats *ret_stats);
/* Asks the meter about a frame that is not (any more) in the datapath. 0: it passes; -EBUSY: over the rate, counted as
 * the band's and as DROP_METER; -ENOENT. */
int dp_meter_ask(struct datapath *dp, uint32_t id, uint32_t len, uint32_t packets);

/* Counters of DROP_MAX entries, by enum drop_reason: those that happened inside the datapath. */
const uint64_t *dp_drops(struct datapath *dp);
void dp_lookup_stats(struct datapath *dp, uint64_t *ret_hits, uint64_t *ret_misses);

/* A datapath may outlive the process (eBPF): a new process finds ports and flows forwarding as they were. Ports that
 * are added again keep their numbers. Packets that came up meanwhile wait, for seconds, until STAGE says that they can
 * be answered. Whether something of the kind is there still; with DP_COMPLETE what nobody took over is handed to
 * callbacks->learn and ->adopt and removed, little by little. */
bool dp_settle(struct datapath *dp, enum dp_stage stage);
/* Of the packets that megaflows handle, one in ONE_IN goes to callbacks->sample as well; 0: none. */
void dp_set_sample(struct datapath *dp, uint32_t one_in);
/* From now on nothing that is deleted or closed stops forwarding: the process ends and another will take over. */
void dp_leave(struct datapath *dp);

#endif
