/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <event2/event.h>

#include "agent/desired.h"
#include "base/log.h"

LOG_MODULE("agent");

#define PASS_DELAY_US 5000 /* what comes within it is one pass */
#define RETRY_S 2

struct agent {
    struct agent_config config;
    struct overlay *overlay;
    struct host *host;
    struct bridge_flows *br_int, *br_tun;
    struct event *pass, *retry;
    bool poked, is_ready;
    uint64_t passes; /* that came as far as the flows */
    void (*ready)(void *arg);
    void *arg;
};

static void fill_learnable(const struct state *s, struct learnable *learnable)
{
    for (size_t i = 0; i < s->n_networks; i++) {
        learnable->vnis[s->networks[i].vlan] = s->networks[i].vni;
        learnable->types[s->networks[i].vlan] = (uint8_t)s->networks[i].type;
    }
    learnable->vnis[0] = 0; /* of networks that have no VLAN */
    for (size_t e = 0; e < s->n_endpoints; e++) {
        for (int t = 0; t < N_TUNNEL_TYPES; t++) {
            uint32_t port = s->endpoints[e].ofports[t];

            if (port != OFPORT_NONE && port < LEARNABLE_PORTS) {
                learnable->ports[port] = (uint8_t)(1 + t);
            }
        }
    }
}

static void want_flows(struct agent *a, const struct state *s)
{
    _cleanup_strbuf_ struct strbuf br_int = {0}, br_tun = {0};
    _cleanup_free_ struct learnable *learnable = xcalloc(1, sizeof *learnable);

    fill_learnable(s, learnable);
    desired_br_int(s, &br_int);
    desired_br_tun(s, &br_tun);
    a->passes++;
    bridge_flows_want(a->br_int, strbuf_str(&br_int), learnable, a->passes);
    bridge_flows_want(a->br_tun, strbuf_str(&br_tun), learnable, a->passes);
}

static void pass(struct agent *a)
{
    struct state s = {.options = {
                          .host = a->config.host,
                          .local_ip = a->config.local_ip,
                          .l2_population = a->config.l2_population,
                          .arp_responder = a->config.arp_responder,
                      }};

    /* A VLAN that is on its way into the switch's database looks free, and would be another network's in the flows. */
    if (!host_synced(a->host) || host_writing(a->host)) {
        return;
    }
    if (!a->is_ready && host_has_bridges(a->host)) {
        a->is_ready = true;
        a->ready(a->arg);
    }
    if (!overlay_known(a->overlay)) {
        host_apply_bridges(a->host);
        return;
    }
    memcpy(s.options.types, a->config.types, sizeof s.options.types);
    overlay_fill(a->overlay, &s);
    host_fill(a->host, &s);
    bool writing = host_apply(a->host, &s);
    want_flows(a, &s);
    uint64_t in_place = MIN(bridge_flows_in_place(a->br_int), bridge_flows_in_place(a->br_tun));
    overlay_report(a->overlay, &s, a->passes, writing ? 0 : in_place);
    state_done(&s);
}

static void on_pass(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    struct agent *a = arg;

    a->poked = false;
    pass(a);
}

void agent_poke(struct agent *a)
{
    if (!a->poked) {
        a->poked = true;
        event_add(a->pass, &(struct timeval){.tv_usec = PASS_DELAY_US});
    }
}

static void on_retry(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    agent_poke(arg);
}

void agent_retry(struct agent *a)
{
    if (!event_pending(a->retry, EV_TIMEOUT, NULL)) {
        event_add(a->retry, &(struct timeval){.tv_sec = RETRY_S});
    }
}

void agent_announce(struct agent *a, const struct state_port *p)
{
    bridge_flows_announce(a->br_int, p->ofport, p->mac);
}

int agent_create(struct event_base *base, const struct agent_config *config, void (*ready)(void *arg), void *arg,
                 struct agent **ret, char **ret_error)
{
    struct agent *a = xcalloc(1, sizeof *a);
    int error = -ENOMEM;

    *a = (struct agent){.config = *config, .ready = ready, .arg = arg};
    a->pass = event_new(base, -1, 0, on_pass, a);
    a->retry = event_new(base, -1, 0, on_retry, a);
    if (!a->pass || !a->retry) {
        goto err;
    }
    error = host_create(base, a, &a->config, &a->host, ret_error);
    if (error) {
        goto err;
    }
    error = overlay_create(base, a, &a->config, &a->overlay, ret_error);
    if (error) {
        goto err;
    }
    error = bridge_flows_create(base, a, &a->config, BR_INT, &a->br_int, ret_error);
    if (error) {
        goto err;
    }
    error = bridge_flows_create(base, a, &a->config, BR_TUN, &a->br_tun, ret_error);
    if (error) {
        goto err;
    }
    *ret = a;
    return 0;
err:
    agent_destroy(a);
    return error;
}

void agent_destroy(struct agent *a)
{
    if (!a) {
        return;
    }
    bridge_flows_destroy(a->br_tun);
    bridge_flows_destroy(a->br_int);
    overlay_destroy(a->overlay);
    host_destroy(a->host);
    if (a->pass) {
        event_free(a->pass);
    }
    if (a->retry) {
        event_free(a->retry);
    }
    free(a);
}
