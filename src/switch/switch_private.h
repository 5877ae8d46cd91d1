/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_SWITCH_PRIVATE_H
#define WARREN_SWITCH_SWITCH_PRIVATE_H
/* What the core's own files and its tests share. */
#include "switch/bridge.h"

/* As switch_create(), with the datapath class at hand (tests bring one of their own). */
int switch_create_class(struct event_base *base, const struct dp_class *class, struct switch_ **ret);
/* The system or internal port behind a datapath port, or NULL. */
struct port *switch_port_by_dp(const struct switch_ *sw, dp_port_t dp_port);

/* bridge_normal.c: takes over what NORMAL needs of a port's settings, bond included. */
void port_set_normal(struct port *port, const struct port_config *config);
/* The port or its number is about to go: it leaves its bond, and all that is learned there is forgotten. */
void port_forget(struct port *port);

#endif
