/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_CONFIGURATOR_H
#define WARREN_SWITCH_CONFIGURATOR_H
/*
 * Makes the switch what the Open_vSwitch database says, and the database say what the switch is.
 *
 * Works by state, not by events: any change of the database or of the kernel's links leads to one run, which compares
 * the rows with the bridges and ports that there are, changes what differs, and then states every output column
 * (row_writer.h sends the differences) in one transaction together with cur_cfg, for which ovs-vsctl waits. A port that
 * fails gets its `error` and ofport -1, and everything else goes on. Statistics and connection states follow every few
 * seconds.
 *
 * Only the holder of the lock `ovs_vswitchd` acts. With the database away nothing is changed: the switch goes on
 * forwarding, and link states still reach OpenFlow.
 *
 * Neighbours: iface_config.h and ofport_alloc.h decide, bridge.h does, links.h tells of devices, ofserver.h gets
 * controllers. Left out: QoS, sFlow/NetFlow/IPFIX, spanning tree, multicast snooping (each says so in
 * the log or in `error`).
 */
#include <stdbool.h>

#include "base/util.h"

struct event_base;
struct switch_;
struct configurator;

struct configurator_options {
    const char *db;              /* remotes */
    const char *rundir;          /* for the sockets of bridges */
    bool own_database;           /* the database server is our child: nobody else initialises its root row */
    void (*ready)(void *aux);    /* once, after the first run's transaction completed */
    void (*gives_up)(void *aux); /* what a process before us left is better left to the next one */
    void *aux;
};

/* Starts the session. On failure *RET_ERROR is a text, the caller's to free. */
int configurator_create(struct event_base *base, struct switch_ *sw, const struct configurator_options *options,
                        struct configurator **ret, char **ret_error);
/* Bridges stay (switch_destroy() removes them), their OpenFlow servers go. NULL is fine. */
void configurator_destroy(struct configurator *c);
DEFINE_CLEANUP(struct configurator *, configurator_destroy)

/* Control commands that need the database's side: qos, bridge/reconnect. U goes first. */
struct unixctl;
void configurator_ctl_register(struct configurator *c, struct unixctl *u);
/* The end of `exit --cleanup`: what the bridges made of the kernel's devices is undone, as if the database were empty.
 */
void configurator_cleanup(struct configurator *c);

/* The end of the process, otherwise: flows that no controller knows are left to the next one. */
void configurator_save_flows(struct configurator *c);

bool configurator_is_connected(const struct configurator *c);

#endif
