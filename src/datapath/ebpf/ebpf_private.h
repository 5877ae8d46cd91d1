/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_EBPF_PRIVATE_H
#define WARREN_DATAPATH_EBPF_EBPF_PRIVATE_H
/* What the files of the class share: ebpf.c has flows, upcalls and the life of a datapath, ebpf_ports.c ports,
 * ebpf_meters.c meters and policing, replace.c the taking over from another version. */
#include <net/if.h>
#include <uthash.h>

#include "datapath/ebpf/detour.h"
#include "datapath/ebpf/ebpf.h"
#include "datapath/ebpf/flows.h"
#include "datapath/ebpf/former.h"
#include "datapath/ebpf/opts.h"
#include "datapath/ebpf/ports.h"
#include "datapath/ebpf/remotes.h"
#include "datapath/ebpf/upcall.h"
#include "datapath/userspace/userspace.h"

/* A port of the fast path beside the inner datapath's of the same number. */
struct fast_port {
    uint32_t number;
    int ifindex;         /* netdevs */
    bool userspace;      /* the inner datapath receives for it, and the fast path knows nothing of it */
    char peer[IFNAMSIZ]; /* INTERNAL: our end, whose device `ifindex` is */
    UT_hash_handle hh;
};

struct ebpf_datapath {
    struct datapath dp;
    struct dp_callbacks callbacks;
    struct datapath *inner; /* of class userspace */
    struct us_datapath *us;
    struct ebpf_maps maps;
    const char *rundir; /* NULL: nothing outlives us */
    struct ebpf_flows *flows;
    struct ebpf_opts_table *opts;
    struct ebpf_net *net;
    struct ebpf_detour *detour; /* NULL: not to be had */
    struct ebpf_upcalls *upcalls;
    struct ebpf_formers *formers; /* NULL: there is no other version */
    enum ebpf_hearing hearing;
    uint64_t born_ns; /* what came before has other numbers of flows */
    struct event *tick;
    struct event *adopt;               /* a slice of orphans */
    unsigned int learn_rounds;         /* through them, so far */
    bool learned_any;                  /* in this round */
    struct event *learn;               /* replace.c's turns */
    unsigned int learn_turns, learned; /* so far; packets in this turn */
    bool learning;
    uint8_t *numbers;         /* by number: a former process's ports; NULL when nothing was adopted */
    bool unsettled, settling; /* orphans may be left; they are being handed over */
    bool strangers;           /* programs serve whose maps are pinned nowhere */
    bool leaving;             /* the kernel goes on without us */
    bool crowded;             /* some flows found no room in the maps: they go the slow way */
    struct fast_port *ports;
    struct ebpf_leaving removed; /* devices of INTERNAL ports */
    struct ebpf_remotes *remotes;
    uint32_t changes_seen; /* ebpf_net_changes() when routes were asked for */
    unsigned int ticks;
    uint64_t drops[DROP_MAX];
};

static inline struct ebpf_datapath *eb_of(struct datapath *dp)
{
    return CONTAINER_OF(dp, struct ebpf_datapath, dp);
}

/* ebpf.c: what a process before us left in maps that we adopted becomes ours, or goes. */
void ebpf_settle_ours(struct ebpf_datapath *dp);

/* ebpf_ports.c: of the class, and: */
int eb_port_add(struct datapath *dp, const struct dp_port_spec *spec, dp_port_t *ret_port);
int eb_port_del(struct datapath *dp, dp_port_t number);
void eb_wait_removed(struct datapath *dp);
int eb_port_get_stats(struct datapath *dp, dp_port_t number, struct dp_port_stats *ret_stats);
/* Takes from the device of P, which is no port any more, what it had as one. */
void ebpf_port_forget(const struct ebpf_port *p);
uint8_t ebpf_tunnel_kind(enum dp_port_kind kind);
/* The device of the port NUMBER went away. */
void ebpf_ports_gone(void *dp, uint32_t number);
/* The numbers of ports in adopted maps are theirs until they are added again, or are not by the time of settling. */
void ebpf_ports_adopt(struct ebpf_datapath *dp);
/* The number is such a one. */
bool ebpf_port_is_to_come(void *dp, uint32_t number);
void ebpf_ports_settle(struct ebpf_datapath *dp);
/* Are there programs whose maps are neither ours nor pinned for another layout? */
bool ebpf_ports_have_strangers(const struct ebpf_datapath *dp);
/* Our programs in front of another version's, and then in place of them and of those on what are no ports now. */
void ebpf_ports_put_in_front(struct ebpf_datapath *dp);
void ebpf_ports_replace(struct ebpf_datapath *dp);
void ebpf_ports_close(struct ebpf_datapath *dp);
bool ebpf_port_is_userspace(const struct ebpf_datapath *dp, uint32_t number);

/* replace.c: takes the place of another version's programs, in turns of the event loop, then has ours settled. */
void ebpf_replace_begin(struct ebpf_datapath *dp);
void ebpf_replace_turn(evutil_socket_t fd, short what, void *dp);
/* A packet with KEY is forwarded by a program of the other version. */
void ebpf_replace_learn(struct ebpf_datapath *dp, const struct flow_key *key);

/* ebpf_meters.c: of the class; each keeps the inner datapath's meter and the fast path's alike. */
int eb_meter_set(struct datapath *dp, uint32_t id, const struct dp_meter_config *config);
int eb_meter_del(struct datapath *dp, uint32_t id);
int eb_meter_get_stats(struct datapath *dp, uint32_t id, struct dp_meter_stats *ret_stats);
int eb_meter_ask(struct datapath *dp, uint32_t id, uint32_t len, uint32_t packets);
/* What the inner datapath asks: its packets draw from the fast path's buckets. */
bool ebpf_meter_admits(void *dp, uint32_t id, uint32_t len, uint32_t packets);
bool ebpf_police_admits(void *dp, uint32_t port, uint32_t len, uint32_t packets);
int eb_port_set_policing(struct datapath *dp, dp_port_t number, const struct dp_policing *policing);

#endif
