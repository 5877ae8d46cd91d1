/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_TRACE_CTL_H
#define WARREN_SWITCH_TRACE_CTL_H
/*
 * ofproto/trace and ofproto/trace-packet-out (ovs-vswitchd(8)): which way would this packet take, table by table, and
 * why. The packet is told as a flow of a bridge, as a datapath flow as dpctl/dump-flows prints it, or in hex; with a
 * packet (also a generated one) what a real packet would leave behind, learned addresses and flows and packet-ins, is
 * left behind. Nothing is sent.
 *
 * trace_text.c reads the packet's description, translate_trace.c writes the walk.
 */
#include "switch/bridge.h"
#include "switch/unixctl.h"

/* SW must outlive U. */
void trace_ctl_register(struct unixctl *u, struct switch_ *sw);

/* "in_port(2),eth(src=…),eth_type(0x0800),ipv4(…)" → a flow whose key.in_port is the datapath's port. Masks are passed
 * over. -EINVAL, and *RET_ERROR names the culprit, the caller's to free. */
int dp_flow_parse(const char *text, struct flow *ret_flow, char **ret_error);
/* A packet in hex, blanks allowed. -EINVAL. */
int packet_parse(const char *hex, struct packet **ret_packet);

#endif
