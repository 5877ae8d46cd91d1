/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_BRIDGE_H
#define WARREN_SWITCH_BRIDGE_H
/*
 * The switch's own state: one `struct switch_` with its datapath, its bridges, their ports and (flow_table.h) their
 * tables. The configurator makes and removes bridges and ports here; the OpenFlow server of each bridge reads them,
 * changes OpenFlow port configuration and flows, and is told of events through hooks; translate.h walks them;
 * megaflow.h keeps the datapath's cache true.
 *
 * Everything runs on one event loop. Whatever changes an answer of the pipeline calls switch_changed(), after which all
 * megaflows are translated again in bounded slices. This module knows neither OVSDB nor OpenFlow messages.
 */
#include <event2/event.h>
#include <uthash.h>

#include "datapath/datapath.h"
#include "openflow/action.h"
#include "openflow/error.h"
#include "switch/heap.h"
#include "switch/mac_table.h"
#include "switch/tlv_map.h"

struct bridge;
struct port;
struct rule;
struct rule_actions;
struct flow_table;
struct megaflows;
struct flow_reaper;
struct xlate_scratch;
struct bundle_bond;
struct mirrors;
struct mcast_table;
struct group_table;
struct meter_table;
struct action_ref;
struct flow_saver;

/* ---- ports ---- */

enum port_kind { PORT_SYSTEM, PORT_INTERNAL, PORT_PATCH, PORT_TUNNEL };
/* Of the Port row. ACCESS: `tag`. TRUNK: `trunks` (tag unused). NATIVE: both. DOT1Q_TUNNEL: `tag` is the service VLAN,
 * `cvlans` the customer VLANs that may come inside it. */
enum vlan_mode { VLAN_TRUNK, VLAN_ACCESS, VLAN_NATIVE_TAGGED, VLAN_NATIVE_UNTAGGED, VLAN_DOT1Q_TUNNEL };
/* What becomes of the tag of a frame in VLAN 0 that goes out: gone, kept when its priority is not zero, kept. */
enum priority_tags { PRIORITY_TAGS_NEVER, PRIORITY_TAGS_IF_NONZERO, PRIORITY_TAGS_ALWAYS };
/* in_key/out_key, and also remote_ip/local_ip: absent, one value, or taken from (matched in) the flow. */
enum tunnel_value { TUNNEL_NONE, TUNNEL_FIXED, TUNNEL_FLOW };

#define VLAN_TRUNKS_BYTES (4096 / 8)
#define VLAN_LIMIT_DEFAULT 1

struct vlan_config {
    enum vlan_mode mode;
    uint16_t tag;                      /* 0..4095 */
    bool all_trunks;                   /* `trunks` is empty in the database: every VLAN */
    uint8_t trunks[VLAN_TRUNKS_BYTES]; /* bit (vid % 8) of byte (vid / 8) */
    bool all_cvlans;                   /* DOT1Q_TUNNEL: `cvlans` is empty in the database */
    uint8_t cvlans[VLAN_TRUNKS_BYTES];
    uint16_t qinq_ethtype; /* DOT1Q_TUNNEL: TPID of the service tag elsewhere; 0: 0x88a8 */
    enum priority_tags priority_tags;
};

struct tunnel_config {
    enum tunnel_type type;
    enum tunnel_value remote, local;    /* local NONE: any address, the route's choice when sending */
    struct ip_addr remote_ip, local_ip; /* IPv4 mapped */
    enum tunnel_value in_key,
        out_key; /* NONE: VXLAN and Geneve send VNI 0 and take only 0; GRE sends and takes no key */
    uint32_t in_key_value, out_key_value;
    uint16_t dst_port; /* UDP; 0: the type's default */
    bool tos_inherit, ttl_inherit;
    uint8_t tos, ttl;         /* ttl 0: 64 */
    uint32_t egress_pkt_mark; /* of the packets that carry ours; 0: ours */
    bool df, csum;
};

/* What bridge_port_add() and bridge_port_set() take; copied. */
struct port_config {
    const char *name;
    ofp_port_t ofp_port; /* a free number, or OFPP_LOCAL for the bridge's own */
    enum port_kind kind;
    struct eth_addr mac; /* INTERNAL: wanted address, zero: any */
    bool userspace;      /* SYSTEM, INTERNAL: a fast path is to keep off it */
    struct vlan_config vlan;
    const char *patch_peer; /* PATCH: the peer's port name, in whichever bridge */
    struct tunnel_config tunnel;
    const char *bond;         /* a bond of the bridge (bundle.h) that it is a member of, or NULL */
    bool is_protected;        /* NORMAL passes nothing between two protected ports */
    bool mcast_flood;         /* snooping: gets all multicast but reports */
    bool mcast_flood_reports; /* snooping: gets all reports */
};

/* OpenFlow 1.3, 7.2.1, plus NO_FLOOD of OpenFlow 1.0 under its own number. */
#define PORT_CONFIG_DOWN (1u << 0)
#define PORT_CONFIG_NO_RECV (1u << 2)
#define PORT_CONFIG_NO_FLOOD (1u << 4)
#define PORT_CONFIG_NO_FWD (1u << 5)
#define PORT_CONFIG_NO_PACKET_IN (1u << 6)
#define PORT_STATE_LINK_DOWN (1u << 0)
#define PORT_STATE_BLOCKED (1u << 1)
#define PORT_STATE_LIVE (1u << 2)

/* An egress queue that a QoS row made for the port. */
struct port_queue {
    uint32_t id;                 /* OpenFlow's */
    uint64_t min_rate, max_rate; /* bit/s, 0: not given */
    int64_t created_ms;
    bool has_dscp; /* IP packets that go out by it get this DSCP */
    uint8_t dscp;
};

struct port_queue_stats {
    uint64_t tx_packets, tx_bytes, tx_errors;
};

struct port {
    struct bridge *bridge; /* NULL once deleted (megaflows may hold a reference a little longer) */
    unsigned int refs;
    char *name;
    ofp_port_t ofp_port;
    enum port_kind kind;
    dp_port_t dp_port; /* DP_PORT_NONE for patch ports; shared among the tunnel ports of one (type, UDP port) */
    struct eth_addr mac;
    bool userspace;                     /* as it is in the datapath */
    uint32_t config, state;             /* PORT_CONFIG_*, PORT_STATE_* */
    uint32_t curr_features, speed_kbps; /* OFPPF_* of 1.3, as the configurator found them */
    struct vlan_config vlan;
    char *patch_peer;
    struct tunnel_config tunnel;
    struct port_queue *queues; /* sorted by id; without any, every queue number leads to the one that is there */
    size_t n_queues;
    struct bundle_bond *bond; /* of which it is a member, or NULL */
    bool is_protected, mcast_flood, mcast_flood_reports;
    bool mirror_out;                   /* reserved for a mirror's output */
    uint32_t src_mirrors, dst_mirrors; /* bits of the bridge's mirrors that select it (mirror.h) */
    bool announced;                    /* port_status ADD was told */
    /* Patch and tunnel ports: counted here, from the megaflows that cross them; others: what their datapath ports that
     * are gone had counted. */
    struct dp_port_stats own_stats;
    int64_t created_ms;
    UT_hash_handle hh_ofp, hh_name;
};

/* ---- bridges ---- */

/* Numbers of OpenFlow 1.4; what a version lacks, it gets as ACTION. IMPLICIT_MISS: no flow matched, not even a
 * table-miss flow (whose packets are NO_MATCH); on the wire it is NO_MATCH too, and 1.0 controllers only are told, or
 * all when table_mod asked for it. SAID_NO_MATCH: a controller action says that reason, to all versions. */
enum packet_in_reason {
    PACKET_IN_NO_MATCH = 0,
    PACKET_IN_ACTION = 1,
    PACKET_IN_INVALID_TTL = 2,
    PACKET_IN_ACTION_SET = 3,
    PACKET_IN_GROUP = 4,
    PACKET_IN_PACKET_OUT = 5,
    PACKET_IN_IMPLICIT_MISS = 6,
    PACKET_IN_SAID_NO_MATCH = 7,
};
enum flow_removed_reason {
    FLOW_REMOVED_IDLE = 0,
    FLOW_REMOVED_HARD = 1,
    FLOW_REMOVED_DELETE = 2,
    FLOW_REMOVED_GROUP = 3,    /* the group it names was deleted (1.3) */
    FLOW_REMOVED_METER = 4,    /* 1.4 */
    FLOW_REMOVED_EVICTION = 5, /* 1.4 */
};
enum flow_event { FLOW_EVENT_ADDED, FLOW_EVENT_DELETED, FLOW_EVENT_MODIFIED };
enum port_status_reason { PORT_STATUS_ADD = 0, PORT_STATUS_DELETE = 1, PORT_STATUS_MODIFY = 2 };

struct packet_in_info {
    const struct packet *packet; /* as it was at the action */
    const struct flow *flow;     /* likewise: in_port, registers, tunnel, metadata */
    enum packet_in_reason reason;
    table_id_t table;
    __be64 cookie; /* all ones: none */
    uint16_t max_len, controller_id;
    const uint8_t *userdata;
    size_t userdata_len;
};

/* Events of a bridge, for its OpenFlow server. Each may be NULL. None may destroy the bridge or the port. */
struct bridge_hooks {
    void (*packet_in)(void *aux, struct bridge *br, const struct packet_in_info *info);
    /* The rule is already out of its table; its counters are final. Only for rules with RULE_SEND_FLOW_REM. */
    void (*flow_removed)(void *aux, struct bridge *br, const struct rule *rule, enum flow_removed_reason reason);
    void (*port_status)(void *aux, struct bridge *br, const struct port *port, enum port_status_reason reason);
    /* Any visible rule came, went (REASON) or changed, for flow monitors; OLD_ACTIONS: of one that changed, or
     * was replaced (which is told as ADDED), before. XID: of the flow_mod that asked for just that; NULL: it came of
     * something else (a timeout, a group's end, learning). NULL while nobody monitors. */
    void (*flow_event)(void *aux, struct bridge *br, const struct rule *rule, enum flow_event event,
                       enum flow_removed_reason reason, const struct rule_actions *old_actions, const uint32_t *xid);
    void *aux;
};

/* What matches see of IP fragments ("ovs-ofctl set-frags"): NORMAL: no transport ports in any fragment. NX_MATCH: those
 * of first fragments. Numbers of OpenFlow's switch configuration; 2, reassembly, is not offered. */
enum frag_mode { FRAG_NORMAL = 0, FRAG_DROP = 1, FRAG_NX_MATCH = 3 };

enum fail_mode { FAIL_STANDALONE, FAIL_SECURE };

struct bridge {
    struct switch_ *sw;
    char *name;
    uint64_t datapath_id;
    char *description, *serial_number; /* for OpenFlow's DESC; NULL: none */
    enum fail_mode fail_mode;
    enum frag_mode frag_mode;
    uint32_t of_versions;                      /* bit 1 << wire version; 0: all that there are */
    struct flow_txn *txn;                      /* the open one, to which flows that are learned meanwhile belong */
    bool miss_to_controller;                   /* table miss → packet-in (OpenFlow 1.0 controllers); else drop */
    bool forward_bpdu;                         /* NORMAL forwards reserved multicast too */
    struct port *ports_by_ofp, *ports_by_name; /* uthash, hh_ofp and hh_name */
    struct flow_table *tables;                 /* N_TABLES of them */
    size_t n_vacancy_tables;                   /* that tell of their vacancy */
    bool unannounced;                          /* some port is (see struct port) */
    struct heap rules_due;                     /* rules with a timeout */
    struct mac_table macs;
    uint64_t mac_changed[MAC_TAGS]; /* by mac_table_tag(): the generation of the last change */
    struct mcast_table *mcast;      /* multicast snooping; NULL: off */
    uint64_t links_changed;         /* the generation in which a port's link last went up or down */
    bool mcast_flood_unregistered;  /* groups that nobody joined are flooded */
    struct mirrors *mirrors;        /* NULL: none */
    struct bundle_bond *bonds;      /* uthash, by name */
    uint8_t *flood_vlans;           /* bitmap of VLANs in which nothing is learned; NULL: none */
    struct tlv_map tlv_map;         /* Geneve options as fields */
    struct group_table *groups;     /* group_table.h */
    struct meter_table *meters;     /* meter_table.h */
    struct action_ref *action_refs; /* action_refs.h */
    struct flow_saver *saver;       /* flow_save.h; NULL: flows are not saved */
    int64_t restored_ms;            /* when its flows came from the process before us; 0: they did not */
    struct bridge_hooks hooks;
    void *server; /* the OpenFlow server's own */
    UT_hash_handle hh;
};

/* Events for the configurator. Each may be NULL; they come from the event loop, never from inside a call. */
struct switch_hooks {
    void (*port_gone)(void *aux, struct port *port); /* its netdev vanished; the port still exists */
    /* A bond of BR has another active member or other enabled ones. */
    void (*bond_changed)(void *aux, struct bridge *br);
    /* PORT_CONFIG_DOWN was changed by OpenFlow: bring the netdev down or up. */
    void (*port_admin)(void *aux, struct port *port, bool up);
    /* Asked for from inside calls: what went through a queue of PORT. 0 or a negative errno. */
    int (*queue_stats)(void *aux, const struct port *port, uint32_t queue_id, struct port_queue_stats *ret);
    void *aux;
};

struct tunnel_dp_port; /* a datapath port shared by tunnel ports */

/* settle.h */
struct settle {
    bool done;
    struct event *soon;    /* to look again */
    int64_t configured_ms; /* 0: not yet */
    int64_t since_ms, changed_ms;
    uint64_t generation; /* of the last change of tables or ports */
    int shortage;        /* -EMFILE, ...: for want of what it means not all of what was left can be taken over */
};

struct switch_ {
    struct event_base *base;
    struct datapath *dp;
    uint8_t *meter_ids; /* bitmap of the datapath's meters in use; NULL: none ever was */
    uint32_t last_meter_id;
    struct bridge *bridges;   /* uthash by name, hh */
    struct flow_txn *txn;     /* the open one; its parts on other bridges are only those bridges' */
    uint64_t drops[DROP_MAX]; /* by reason: drops that the pipeline itself made (upcalls). switch_drops() adds the
                                 datapath's */
    struct tunnel_dp_port *tunnel_dp_ports;
    struct port **by_dp_port; /* system and internal ports by datapath port number */
    size_t n_by_dp_port;
    struct megaflows *megaflows;
    int64_t bundle_idle_ms;        /* OpenFlow bundles that are not touched for so long go; 0: the default */
    struct xlate_scratch *scratch; /* translate.c's own */
    struct flow_reaper *reaper;    /* NULL: nothing large was deleted yet */
    unsigned int vlan_limit;  /* tags that matches see, 1 or 2 (other_config:vlan-limit); further ones are payload */
    struct event *timer;      /* once a second: timeouts, ageing */
    bool closing;             /* switch_destroy(): ports leave the datapath with it, all at once */
    bool restore_wait;        /* other_config:flow-restore-wait: misses are dropped until the tables are complete */
    uint64_t generation;      /* counts changes that may alter translations */
    uint64_t full_generation; /* when the last one was that may alter any of them */
    struct settle settle;
    struct switch_hooks hooks;
};

/* Opens the datapath of class DP_CLASS. 0 or a negative errno; *RET is the caller's, for switch_destroy(). */
int switch_create(struct event_base *base, const char *dp_class, struct switch_ **ret);
void switch_destroy(struct switch_ *sw); /* bridges and ports go too */
void switch_set_hooks(struct switch_ *sw, const struct switch_hooks *hooks);
/* Something that translations depend on has changed: revalidate all megaflows soon. */
void switch_changed(struct switch_ *sw);
/* Tags that matches see: 1 or 2. */
void switch_set_vlan_limit(struct switch_ *sw, unsigned int n);
/* Only learned addresses have changed (mac_table_learn() or _expire() said so): revalidate what looked at them. */
void switch_macs_changed(struct bridge *br);
/* Only what depends on COUNTER (see xlate_out.deps) has. */
void switch_counter_changed(struct switch_ *sw, uint64_t *counter);
/* Only flows of TABLES (by number, true: changed) have. */
void switch_tables_changed(struct bridge *br, const bool *tables);
/* Drops by reason, the datapath's and the pipeline's added. RET has DROP_MAX entries. */
void switch_drops(const struct switch_ *sw, uint64_t *ret);
/* The once-a-second work at time NOW (time_mono_ms()): flow timeouts, MAC ageing. The switch's timer calls it; tests
 * call it. */
void switch_tick(struct switch_ *sw, int64_t now);

/* -EEXIST if there is one of that name. The bridge has no port yet. */
int bridge_create(struct switch_ *sw, const char *name, struct bridge **ret);
void bridge_destroy(struct bridge *br);
struct bridge *bridge_find(const struct switch_ *sw, const char *name);
void bridge_set_hooks(struct bridge *br, const struct bridge_hooks *hooks); /* NULL: none */
/* What the datapath says of itself (other_config dp-desc and dp-sn); NULL: nothing. */
void bridge_set_description(struct bridge *br, const char *description, const char *serial_number);
void bridge_set_miss_to_controller(struct bridge *br, bool on);
void bridge_set_frag_mode(struct bridge *br, enum frag_mode mode);
void bridge_set_mac_limits(struct bridge *br, size_t max, int64_t age_ms);
void bridge_flush_macs(struct bridge *br);
/* Static addresses (ovs-appctl fdb/add, fdb/del). -ENODEV: no such port; -EINVAL: no unicast address; -ENOENT: none. */
int bridge_add_static_mac(struct bridge *br, uint16_t vlan, struct eth_addr mac, ofp_port_t port);
int bridge_del_mac(struct bridge *br, uint16_t vlan, struct eth_addr mac);
/* Reserved multicast goes through NORMAL (other_config:forward-bpdu). */
void bridge_set_forward_bpdu(struct bridge *br, bool on);
/* VLANs in which NORMAL learns nothing: VLAN_TRUNKS_BYTES of bits, copied; NULL: none. */
void bridge_set_flood_vlans(struct bridge *br, const uint8_t *vlans);
/* Multicast snooping, off or with these limits. Turning it off forgets everything. */
struct mcast_settings {
    bool enable;
    int64_t age_ms;
    size_t max;
    bool flood_unregistered;
};
void bridge_set_mcast(struct bridge *br, const struct mcast_settings *settings);
void bridge_flush_mcast(struct bridge *br); /* ovs-appctl mdb/flush */

/* Adds a port: also to the datapath (but patch ports), -ENODEV etc. as dp_port_add(). -EEXIST: the name is taken in the
 * switch or the number in the bridge, or another tunnel port receives exactly the same packets. -EINVAL: the
 * configuration contradicts itself. */
int bridge_port_add(struct bridge *br, const struct port_config *config, struct port **ret);
/* New VLAN, peer or tunnel settings, OpenFlow number, or side of the datapath, for a port that stays. -EINVAL when kind
 * or name differ (delete and add then). On failure the old settings stay. */
int bridge_port_set(struct port *port, const struct port_config *config);
void bridge_port_del(struct port *port);
struct port *bridge_port_by_ofp(const struct bridge *br, ofp_port_t ofp_port);
struct port *bridge_port_by_name(const struct bridge *br, const char *name);
/* A port of any bridge. */
struct port *switch_port_by_name(const struct switch_ *sw, const char *name);
/* By OpenFlow (port_mod): the bits of MASK in `config`. Tells port_status and, for DOWN, port_admin. */
void bridge_port_set_config(struct port *port, uint32_t config, uint32_t mask);
/* By the configurator: what the netdev says now. Tells port_status when something changed. CONFIG_DOWN: the netdev is
 * administratively down. */
void bridge_port_set_link(struct port *port, struct eth_addr mac, bool config_down, bool link_down,
                          uint32_t curr_features, uint32_t speed_kbps);
/* The datapath's counters, or the port's own (patch and tunnel). */
int bridge_port_get_stats(const struct port *port, struct dp_port_stats *ret);
/* The N queues that PORT has from now on; copied. created_ms is kept for those that were there. */
void bridge_port_set_queues(struct port *port, const struct port_queue *queues, size_t n);
const struct port_queue *bridge_port_queue(const struct port *port, uint32_t queue_id);
/* -ENOENT: no such queue. */
int bridge_port_get_queue_stats(const struct port *port, uint32_t queue_id, struct port_queue_stats *ret);
/* Is the other half of this patch port there and naming this one back? Its port, else NULL. */
struct port *bridge_port_patch_peer(const struct port *port);
struct port *port_ref(struct port *port);
void port_unref(struct port *port);

/* Is the port in VLAN vid? (Of a DOT1Q_TUNNEL port that is the service VLAN.) */
static inline bool vlan_config_carries(const struct vlan_config *v, uint16_t vid)
{
    switch (v->mode) {
    case VLAN_ACCESS:
    case VLAN_DOT1Q_TUNNEL:
        return vid == v->tag;
    case VLAN_NATIVE_TAGGED:
    case VLAN_NATIVE_UNTAGGED:
        if (vid == v->tag) {
            return true;
        }
        if (!vid) {
            return false; /* without a tag it would be taken for the native VLAN's at the other end */
        }
        break;
    case VLAN_TRUNK:
        break;
    }
    return v->all_trunks || (v->trunks[vid / 8] >> (vid % 8) & 1);
}

static inline bool vlan_config_equal(const struct vlan_config *a, const struct vlan_config *b)
{
    return a->mode == b->mode && a->tag == b->tag && a->all_trunks == b->all_trunks &&
           !memcmp(a->trunks, b->trunks, sizeof a->trunks) && a->all_cvlans == b->all_cvlans &&
           !memcmp(a->cvlans, b->cvlans, sizeof a->cvlans) && a->qinq_ethtype == b->qinq_ethtype &&
           a->priority_tags == b->priority_tags;
}

/* Sends PACKET (the caller's) through ACTIONS as if it had come in by IN_PORT (may be OFPP_CONTROLLER, OFPP_LOCAL or
 * OFPP_ANY for none), with the PIPELINE's fields as that says (NULL: all zero). Output to OFPP_TABLE looks it up from
 * table 0. 0, an OFERR, or a negative errno of the datapath. */
int bridge_packet_out(struct bridge *br, const struct packet *packet, ofp_port_t in_port, const struct match *pipeline,
                      const void *actions, size_t actions_len);
/* The same in two halves, for bundles: what tables say of the packet at this moment, and sending it (and packet_ins
 * of it), or not. OFERR_FLOW_MOD_UNKNOWN: it hit a limit, as resubmits have one. The second frees PO. */
struct packet_out;
int bridge_packet_out_begin(struct bridge *br, const void *data, size_t len, ofp_port_t in_port,
                            const struct match *pipeline, const void *actions, size_t actions_len,
                            struct packet_out **ret);
int bridge_packet_out_end(struct packet_out *po, bool send);
/* Would it be refused with an OFERR_*? */
int bridge_check_packet_out(const struct bridge *br, ofp_port_t in_port, const struct match *pipeline,
                            const void *actions, size_t actions_len);

/* Names of BR's ports for text forms. */
struct name_map bridge_name_map(struct bridge *br);

#endif
