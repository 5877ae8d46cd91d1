/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder.h"

#include "datapath/userspace/userspace.h"

static recorder_fn record;

static enum drop_reason sent(struct us_port *port, struct packet *p, const struct flow_key *key WR_UNUSED,
                             const struct flow_tunnel *tunnel WR_UNUSED)
{
    record(dp_port_u32(port->number), p);
    return DROP_NONE;
}

int recorder_open(struct event_base *base, const struct dp_callbacks *callbacks, unsigned int n, recorder_fn fn,
                  struct datapath **ret_dp)
{
    static const struct us_port_ops ops = {.send = sent};
    int error = dp_userspace_class.open(base, callbacks, ret_dp);
    struct us_datapath *us;

    if (error) {
        return error;
    }
    record = fn;
    us = us_datapath_of(*ret_dp);
    us->ports = xcalloc(n + 1, sizeof(struct us_port *));
    us->ports_size = n + 1;
    for (unsigned int i = 1; i <= n; i++) {
        us->ports[i] = xcalloc(1, sizeof(struct us_port));
        *us->ports[i] = (struct us_port){.dp = us, .ops = &ops, .number = dp_port(i), .fd = -1};
    }
    return 0;
}

void recorder_close(struct datapath *dp)
{
    struct us_datapath *us = us_datapath_of(dp);

    for (size_t i = 1; i < us->ports_size; i++) { /* they have nothing that closing a port would close */
        free(us->ports[i]);
        us->ports[i] = NULL;
    }
    dp_userspace_class.close(dp);
}

void recorder_process(struct datapath *dp, struct packet *p, const struct flow_key *key)
{
    us_process(us_datapath_of(dp), p, key);
}
