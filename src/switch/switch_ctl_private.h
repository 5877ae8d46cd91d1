/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_SWITCH_CTL_PRIVATE_H
#define WARREN_SWITCH_SWITCH_CTL_PRIVATE_H
/* What the files of control commands share. */
#include "switch/bridge.h"
#include "switch/switch_ctl.h"
#include "switch/tunnel_port.h"
#include "switch/unixctl.h"

struct ctl_command {
    const char *name, *usage;
    size_t min, max;
    unixctl_handler *handler;
};

struct switch_ctl {
    struct unixctl *unixctl;
    struct switch_ *sw;
    struct event *timer; /* once a second: samples */
    unsigned int ticks;
    double average_flows; /* megaflows, a mean in which each second weighs less than the one after */
    size_t max_flows;     /* since the start */
    uint64_t last_drops[DROP_MAX];
};

/* COMMANDS must be static. */
void ctl_register(struct unixctl *u, const struct ctl_command *commands, size_t n, void *aux);
/* NULL after "no such bridge". */
struct bridge *ctl_find_bridge(struct switch_ *sw, const char *name, struct strbuf *out);
const char *ctl_datapath_name(const struct switch_ *sw);
/* "vxlan: remote_ip=10.0.0.2, key=flow" */
void ctl_add_port_type(struct strbuf *out, const struct port *p);
/* "vxlan_sys_4789" into BUF, which is returned. */
const char *ctl_tunnel_dp_name(const struct tunnel_dp_port *t, char *buf, size_t size);

void switch_ctl_dp_register(struct switch_ctl *ctl);
void switch_ctl_normal_register(struct switch_ctl *ctl);

#endif
