/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_OFSERVER_PRIVATE_H
#define WARREN_SWITCH_OFSERVER_PRIVATE_H
/* What the files of the OpenFlow server share among themselves; see ofserver.h. */
#include "base/reconnect.h"
#include "openflow/conn.h"
#include "openflow/msg_async.h"
#include "openflow/msg_monitor.h"
#include "openflow/msg_multipart.h"
#include "switch/flow_table.h"
#include "switch/ofserver.h"

struct ofconn;

enum async_kind { ASYNC_PACKET_IN, ASYNC_PORT_STATUS, ASYNC_FLOW_REMOVED, N_ASYNC };

/* A Controller row at work: an active one with the connection that it makes, or a listener. */
struct target {
    struct ofserver *server;
    struct remote remote;
    char *text;
    bool bad;  /* malformed: only `last_error` counts */
    bool keep; /* while the set is being replaced */
    bool no_async;
    int64_t probe_ms;
    int64_t rate_limit, burst_limit; /* packet_ins a second and at once; rate 0: no limit */
    struct stream_listener *listener;
    struct reconnect reconnect;
    struct event *timer;
    struct stream *stream; /* while connecting */
    struct ofconn *conn;
    char *last_error;
    int64_t connected_ms, disconnected_ms; /* last time, 0: never */
    struct target *prev, *next;
};

struct ofserver {
    struct bridge *bridge;
    struct event_base *base;
    char *rundir;
    struct stream_listener *mgmt, *snoop;
    struct snooper *snoopers;
    struct event *tick, *flush; /* flush: what changes of this turn ask to be told */
    struct ofconn *acting;      /* whose message is being carried out */
    struct ofconn *conns;
    struct target *targets;
    bool have_generation;
    uint64_t generation; /* of the newest master election */
};

struct bundle {
    uint32_t id;
    uint16_t flags;
    bool closed;
    struct writer messages;  /* whole, one behind the other */
    struct writer opened_by; /* the beginning of the request that opened it, for the error when it times out */
    int64_t used_ms;
    struct bundle *prev, *next;
};

struct ofconn {
    struct ofserver *server;
    struct of_conn *conn;
    struct target *target; /* the controller that it was made to, or the listener; NULL: management socket */
    enum of_role role;
    uint16_t miss_send_len;
    uint16_t controller_id; /* only packets for this one (NX set_controller_id) */
    struct of_async async;
    bool async_set;     /* by the peer, rather than the defaults */
    bool nxm, table_id; /* 1.0: flows go out in Nicira's form; flow_mod's command has a table */
    enum of_packet_in_format packet_in_format;
    struct writer parts; /* of a multipart request that came so far */
    struct of_mp_kind parts_kind;
    uint32_t parts_xid;
    struct bundle *bundles;
    struct ofmonitors *monitors; /* NULL: none */
    int64_t tokens_ms, tokens;   /* of the rate limit: thousandths of packets, as of when */
    struct ofconn *prev, *next;
};

/* ofserver.c */
static inline uint8_t ofconn_version(const struct ofconn *c)
{
    return of_conn_version(c->conn);
}
/* Made by the switch, to a controller that the database names; not by a peer that connected. */
static inline bool ofconn_is_controller(const struct ofconn *c)
{
    return c->target && !c->target->remote.passive;
}
void ofconn_send(struct ofconn *c, struct writer *w);
/* Takes STREAM over. NULL (logged) when the connection cannot be served. */
struct ofconn *ofconn_new(struct ofserver *s, struct stream *stream, struct target *t);
void ofconn_free(struct ofconn *c);
/* Those that the bridge may speak, bit 1 << wire version. */
uint32_t ofserver_versions(const struct ofserver *s);

/* ofserver_target.c */
/* The connection to a controller ended, or did not come up. */
void target_lost(struct target *t, int error);
/* Connects at once, whatever it waited for. */
void target_restart(struct target *t);
void target_free(struct target *t);

/* ofserver_snoop.c */
void ofserver_accept_snooper(struct stream *stream, void *ofserver);
/* DATA passed between the bridge and TARGET. */
void ofserver_snoop(struct ofserver *s, const struct target *target, const void *data, size_t len);
/* Of TARGET only, unless that is NULL. */
void ofserver_snoopers_free(struct ofserver *s, const struct target *target);

/* A request's handler: 0, when its reply (if the type has one) was sent, or the OFERR_* to reply with. BODY begins
 * behind the header (of multipart and experimenter messages: behind theirs). Dispatch is by the tables `handlers` in
 * ofserver_handle.c, `nx_handlers` and `onf_handlers` in ofserver_nx.c, and `multipart_handlers` in
 * ofserver_multipart.c. */
typedef int ofconn_handler(struct ofconn *c, const struct of_header *h, struct reader *body);
typedef int ofconn_mp_handler(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind,
                              struct reader *body);

/* ofserver_handle.c */
void ofconn_handle(struct ofconn *c, const struct of_header *h, const uint8_t *msg);
void ofconn_send_error(struct ofconn *c, int error, const struct of_header *h, const uint8_t *msg);
/* Decoded flow_mod of H's version and xid → what tables take. Borrows FM's actions. */
void flow_change_from_mod(const struct of_flow_mod *fm, const struct of_header *h, struct flow_change *ret);
int ofconn_flow_mod(struct ofconn *c, const struct of_header *h, const struct of_flow_format *format,
                    struct reader *body);
/* These only check, unless APPLY. */
int ofconn_port_mod(struct ofconn *c, const struct of_header *h, struct reader *body, bool apply);
int ofconn_packet_out_begin(struct ofconn *c, const struct of_header *h, struct reader *body, struct packet_out **ret);

/* ofserver_multipart.c */
/* A reply under way, handed to callbacks. */
struct of_reply {
    struct ofconn *c;
    struct writer w;
    struct of_mp mp;
    uint8_t version;              /* of a reply that is no multipart */
    struct of_flow_format format; /* of flows */
    int64_t now;
    uint64_t packets, bytes; /* AGGREGATE */
    uint32_t flows;
};
void of_reply_begin(struct of_reply *r, struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind);
void of_reply_end(struct of_reply *r);
ofconn_handler ofconn_handle_multipart;
void ofserver_describe_port(const struct port *port, struct of_port *ret);
/* By number; the others follow by hh_ofp.next. */
const struct port *ofserver_first_port(struct bridge *br);
void ofserver_duration(int64_t since_ms, int64_t now, uint32_t *sec, uint32_t *nsec);

/* ofserver_table.c */
ofconn_handler ofconn_table_mod;
ofconn_mp_handler ofconn_mp_table, ofconn_mp_table_features, ofconn_mp_table_desc;
/* Tells table_status where a threshold was passed. */
void ofserver_check_vacancy(struct ofserver *s);

/* ofserver_queue.c */
ofconn_handler ofconn_queue_get_config;
ofconn_mp_handler ofconn_mp_queue, ofconn_mp_queue_desc;

/* ofserver_nx.c */
ofconn_handler ofconn_experimenter, ofconn_tlv_table_mod, ofconn_tlv_table_request;

/* ofserver_monitor.c */
ofconn_handler ofconn_monitor_cancel;
ofconn_mp_handler ofconn_mp_monitor;
void ofconn_monitors_free(struct ofconn *c);
/* Sends what was gathered; pauses or resumes. */
void ofconn_monitors_run(struct ofconn *c);

/* ofserver.c */
/* Whatever changes of tables ask to be told, now. */
void ofserver_after_changes(struct ofserver *s);

/* ofserver_bundle.c */
ofconn_handler ofconn_bundle_ctrl, ofconn_bundle_add;
void ofconn_bundles_free(struct ofconn *c);
/* Those that were not touched for too long. */
void ofconn_bundles_expire(struct ofconn *c, int64_t now);

/* ofserver_group.c */
ofconn_handler ofconn_group_mod, ofconn_nx_group_mod, ofconn_meter_mod;
ofconn_mp_handler ofconn_mp_group, ofconn_mp_group_desc, ofconn_mp_group_features, ofconn_mp_meter,
    ofconn_mp_meter_config, ofconn_mp_meter_features;
/* A group_mod (NX: Nicira's) in a bundle: as part of TXN, or only looked at when that is NULL. */
int ofconn_txn_group_mod(struct flow_txn *txn, const struct of_header *h, struct reader *body, bool nx);
/* Tells the other controllers of it, once it is done. BODY is at its beginning. */
void ofconn_forward_group_mod(struct ofconn *c, const struct of_header *h, struct reader body, bool nx);

/* ofserver_role.c */
ofconn_handler ofconn_role, ofconn_nx_role, ofconn_get_async, ofconn_set_async, ofconn_nx_set_async,
    ofconn_nx_set_async2;
void ofconn_async_defaults(struct ofconn *c);
/* Is it to be told messages of KIND with REASON (as on the wire of its version)? Who connected to us is told nothing
 * before it set masks or a miss_send_len. */
bool ofconn_wants(const struct ofconn *c, enum of_async_kind kind, unsigned int reason);

/* ofserver_async.c */
void ofserver_hook_bridge(struct ofserver *s);
/* Whether table misses go to controllers depends on who is connected, and on what they want. */
void ofserver_update_misses(struct ofserver *s);

#endif
