/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_SWITCH_CTL_H
#define WARREN_SWITCH_SWITCH_CTL_H
/*
 * What ovs-appctl can ask of a switch: learned addresses (fdb), datapath flows and ports (dpctl, dpif; in
 * switch_ctl_dp.c), bridges and tunnels (ofproto, tnl), counters of every kind of drop and of events (coverage) and
 * sizes (memory). Text in Open vSwitch's shape where tools and people read it. Only samples are kept: rates of counters
 * and how many megaflows there were.
 *
 * Commands that need the kernel's tables or the database's rows are kernel_ctl.h's and the configurator's.
 */
#include "switch/bridge.h"
#include "switch/unixctl.h"

struct switch_ctl;

/* Registers the commands at U. SW must outlive U, and U its last command. */
int switch_ctl_create(struct event_base *base, struct unixctl *u, struct switch_ *sw, struct switch_ctl **ret);
void switch_ctl_destroy(struct switch_ctl *ctl); /* after U; NULL is fine */

#endif
