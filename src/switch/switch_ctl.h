/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_SWITCH_CTL_H
#define WARREN_SWITCH_SWITCH_CTL_H
/*
 * What ovs-appctl can ask of a switch: learned addresses (fdb), datapath flows and ports (dpctl, dpif), bridges and
 * tunnels (ofproto), counters of every kind of drop (coverage) and sizes (memory). Text in Open vSwitch's shape where
 * tools and people read it. No state of its own.
 */
#include "switch/bridge.h"
#include "switch/unixctl.h"

/* SW must outlive U. */
void switch_ctl_register(struct unixctl *u, struct switch_ *sw);

#endif
