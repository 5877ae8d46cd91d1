/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_SWITCH_ENV_H
#define WARREN_TESTS_SWITCH_ENV_H
/* A switch on the fake datapath, flows as text, and small packets: what the pipeline's tests share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_datapath.h"
#include "openflow/text.h"
#include "switch/flow_table.h"
#include "switch/megaflow.h"

struct env {
    struct event_base *base;
    struct switch_ *sw;
    struct bridge *br; /* "br0" */
};

void env_init(struct env *e);
void env_done(struct env *e);
/* For cmocka's setup: a new one is *STATE, with ports p1, p2, ... up to N_PORTS. */
struct env *env_setup(void **state, unsigned int n_ports);
int env_teardown(void **state);
/* Ports on datapath ports 1, 2, ... in the order of their making; trunk of all VLANs. */
struct port *env_port(struct bridge *br, const char *name, unsigned int ofp_port);
struct port *env_access(struct bridge *br, const char *name, unsigned int ofp_port, uint16_t tag);
struct port *env_patch(struct bridge *br, const char *name, unsigned int ofp_port, const char *peer);
struct port *env_vxlan(struct bridge *br, const char *name, unsigned int ofp_port, const char *remote);
struct ip_addr env_ip(const char *text);
void env_flow(struct bridge *br, const char *text);
int env_apply(struct bridge *br, const char *text, enum flow_mod_command command);
/* The change for TEXT; it points into *RET_SPEC, the caller's for flow_spec_done(). */
struct flow_change env_change(const char *text, enum flow_mod_command command, struct flow_spec *ret_spec);
void env_del(struct bridge *br, const char *text);
/* The rule whose match is in TEXT ("table=1,priority=5,..."), else NULL. */
const struct rule *env_rule(struct bridge *br, const char *text);

/* What OpenFlow put into BR, as text, the caller's to free: flows sorted, no ages; and what it counted. */
char *env_dump(struct bridge *br);

/* 02:00:00:00:00:DST ← 02:00:00:00:00:SRC (0xff: broadcast), VLAN (0: untagged), IPv4 10.0.0.SRC → 10.0.0.DST, UDP,
 * TTL 64. */
struct packet *env_udp(unsigned int dst, unsigned int src, unsigned int vlan);
/* ARP request of 10.0.0.SRC for 10.0.0.TARGET. */
struct packet *env_arp(unsigned int src, unsigned int target, unsigned int vlan);
/* The packet (freed here) comes in by datapath port IN; returns what was executed. */
const char *env_in(struct env *e, unsigned int in, struct packet *p);
const char *env_in_tunnel(struct env *e, unsigned int in, const char *src, const char *dst, uint32_t key,
                          struct packet *p);
/* The only megaflow's key and mask as text, the caller's to free. */
char *env_megaflow(struct env *e);

#endif
