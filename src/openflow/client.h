/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_CLIENT_H
#define WARREN_OPENFLOW_CLIENT_H
/*
 * An OpenFlow 1.3 client of one bridge, as the agent and the CLI need it: connects to a switch's management socket (or
 * any remote), reconnects by itself, reads flows and ports, and applies lists of flow_mods as one atomic bundle (ONF
 * extension 230), on warren-switchd and ovs-vswitchd alike.
 *
 * Requests run one after another in the order in which they were made; each has a callback that comes exactly once,
 * from the event loop: with NULL for success, else with a text. A lost connection ends all of them. A request made
 * while not connected ends with "not connected", one with a flow that no message holds with "too long for a message".
 * Callbacks may make requests and must not destroy the client.
 */
#include "openflow/msg_multipart.h"

struct event_base;
struct of_client;

struct of_client_callbacks {
    /* Ready for requests, or connected no longer. May be NULL. */
    void (*connected)(struct of_client *c, bool connected, void *arg);
};

typedef void of_client_done_fn(void *arg, const char *error);
/* One flow. FS->decoded is the actions; the callee may take them (and then zero the struct). */
typedef void of_client_flow_fn(void *arg, struct of_flow_stats *fs);
typedef void of_client_port_fn(void *arg, const struct of_port *port);

/* REMOTE: "unix:/run/openvswitch/br-tun.mgmt", "tcp:...". -EINVAL when malformed (*RET_ERROR says how). */
int of_client_new(struct event_base *base, const char *remote, const struct of_client_callbacks *cb, void *arg,
                  struct of_client **ret, char **ret_error);
/* Callbacks of requests that are under way do not come any more. NULL is fine. */
void of_client_destroy(struct of_client *c);
DEFINE_CLEANUP(struct of_client *, of_client_destroy)
bool of_client_is_connected(const struct of_client *c);
uint64_t of_client_datapath_id(const struct of_client *c);
/* What went wrong last with the connection, or "". */
const char *of_client_last_error(const struct of_client *c);

/* All flows of all tables (REQUEST NULL), or those selected. */
void of_client_dump_flows(struct of_client *c, const struct of_flow_request *request, of_client_flow_fn *flow,
                          of_client_done_fn *done, void *arg);
void of_client_dump_ports(struct of_client *c, of_client_port_fn *port, of_client_done_fn *done, void *arg);
/* N flow_mods, all or none, in order. DONE's text names the first that was refused. N may be 0. The flow_mods are read
 * before this returns. */
void of_client_apply(struct of_client *c, const struct of_flow_mod *fms, size_t n, of_client_done_fn *done, void *arg);
/* Sends FRAME as if it had come in by IN_PORT of a switch without flows (NORMAL). There is no reply; lost without a
 * connection. */
void of_client_inject(struct of_client *c, ofp_port_t in_port, const void *frame, size_t len);

#endif
