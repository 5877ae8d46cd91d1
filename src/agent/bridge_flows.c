/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the flows of one bridge: reads what is there, applies the difference as one bundle, and does it again when the
 * wanted flows change, when the switch comes back, and every so often, so that flows that somebody removed by hand come
 * back too.
 *
 *   IDLE ──want or (re)connect──► READING ──► APPLYING ──► IDLE        a failure goes back to READING after a pause
 */
#include <event2/event.h>
#include <stdio.h>

#include "agent/agent.h"
#include "base/eth_addr.h"
#include "base/log.h"
#include "openflow/client.h"

LOG_MODULE("flows");

#define RETRY_MS 2000

enum phase { PHASE_IDLE, PHASE_READING, PHASE_APPLYING };

struct bridge_flows {
    struct agent *agent;
    char *bridge;
    struct of_client *client;
    struct event *timer;
    enum phase phase;
    int64_t resync_ms; /* between looks at what is in place */
    struct flow_set *wanted, *present;
    char *text; /* of `wanted` */
    struct learnable learnable;
    uint64_t pass;               /* that wants `wanted` */
    uint64_t compared, in_place; /* passes whose flows were compared with `present`, and are in the switch */
    bool again;                  /* wanted changed since it was last compared */
};

static void start(struct bridge_flows *b);

static void wait_ms(struct bridge_flows *b, int64_t ms)
{
    event_add(b->timer, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void finish(struct bridge_flows *b, const char *error)
{
    b->phase = PHASE_IDLE;
    flow_set_free(TAKE_PTR(b->present));
    if (error && of_client_is_connected(b->client)) {
        log_limited(LOG_LEVEL_ERR, "%s: flows could not be programmed, trying again: %s", b->bridge, error);
    }
    if (!error && b->in_place != b->compared) {
        b->in_place = b->compared;
        agent_poke(b->agent);
    }
    if (b->again) {
        b->again = false;
        start(b);
        return;
    }
    wait_ms(b, error ? RETRY_MS : b->resync_ms);
}

static void on_applied(void *arg, const char *error)
{
    finish(arg, error);
}

static void on_flow(void *arg, struct of_flow_stats *fs)
{
    struct bridge_flows *b = arg;
    struct flow_spec spec = {
        .match = fs->match,
        .table = fs->table,
        .priority = fs->priority,
        .idle_timeout = fs->idle_timeout,
        .hard_timeout = fs->hard_timeout,
        .cookie = fs->cookie,
        .has_actions = !fs->actions_error,
        .acts = fs->decoded,
    };

    if (fs->match_error) { /* somebody else's: ours say nothing that we cannot read */
        log_limited(LOG_LEVEL_WARN, "%s: a flow in table %u matches what this agent does not know (%s)", b->bridge,
                    fs->table, oferr_name(fs->match_error));
        return;
    }
    fs->decoded = (struct ofpacts){0};
    flow_set_add(b->present, &spec);
}

static void on_read(void *arg, const char *error)
{
    struct bridge_flows *b = arg;
    struct flow_mods mods = {0};

    if (error) {
        finish(b, error);
        return;
    }
    /* What is wanted may have changed meanwhile, and be compared as it is now: who began again with each change would,
     * while they do not end, get nowhere. */
    b->again = false;
    b->compared = b->pass;
    reconcile(b->wanted, b->present, &b->learnable, &mods);
    if (!mods.n) {
        finish(b, NULL);
        return;
    }
    log_dbg("%s: %zu changes for %zu flows", b->bridge, mods.n, flow_set_size(b->wanted));
    b->phase = PHASE_APPLYING;
    of_client_apply(b->client, mods.mods, mods.n, on_applied, b);
    flow_mods_done(&mods);
}

static void start(struct bridge_flows *b)
{
    if (!b->wanted || !of_client_is_connected(b->client)) {
        return;
    }
    if (b->phase != PHASE_IDLE) {
        b->again = true;
        return;
    }
    event_del(b->timer);
    b->phase = PHASE_READING;
    b->present = flow_set_new();
    of_client_dump_flows(b->client, NULL, on_flow, on_read, b);
}

static void on_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    start(arg);
}

static void on_connected(struct of_client *client WR_UNUSED, bool connected, void *arg)
{
    struct bridge_flows *b = arg;

    b->in_place = b->compared = 0;
    if (connected) {
        log_info("%s: connected to the switch", b->bridge);
        start(b);
    } else {
        log_info("%s: connection to the switch lost: %s", b->bridge, of_client_last_error(b->client));
    }
}

/* The pass before PASS wanted the same. */
static void same_again(struct bridge_flows *b, uint64_t pass)
{
    b->in_place = b->in_place == b->pass ? pass : b->in_place;
    b->compared = b->compared == b->pass ? pass : b->compared;
    b->pass = pass;
}

void bridge_flows_want(struct bridge_flows *b, const char *text, const struct learnable *learnable, uint64_t pass)
{
    char *error = NULL;

    if (b->text && !strcmp(b->text, text) && !memcmp(&b->learnable, learnable, sizeof b->learnable)) {
        same_again(b, pass);
        return;
    }
    if (!*text) {
        return;
    }
    struct flow_set *wanted = flow_set_new();
    if (flow_set_add_text(wanted, text, &error)) {
        log_err("%s: %s; keeping the flows as they are", b->bridge, error);
        free(error);
        flow_set_free(wanted);
        return;
    }
    flow_set_free(b->wanted);
    free(b->text);
    b->wanted = wanted;
    b->text = xstrdup(text);
    b->learnable = *learnable;
    b->pass = pass;
    start(b);
}

#define FRAME_LEN 60
#define RARP_HEADER 0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3 /* type; Ethernet, IPv4, their lengths, request (RFC 903) */

/* A reverse ARP request: nobody answers it, and every switch on its way learns from it. */
void bridge_flows_announce(struct bridge_flows *b, uint32_t ofport, const char *mac)
{
    static const uint8_t header[] = {RARP_HEADER};
    uint8_t frame[FRAME_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t *src = frame + 6, *sha = src + 6 + sizeof header, *tha = sha + 6 + 4;

    struct eth_addr addr;

    if (!eth_addr_parse(mac, &addr)) {
        memcpy(src, addr.a, 6);
        memcpy(src + 6, header, sizeof header);
        memcpy(sha, src, 6);
        memcpy(tha, src, 6);
        of_client_inject(b->client, ofp_port(ofport), frame, sizeof frame);
    }
}

uint64_t bridge_flows_in_place(const struct bridge_flows *b)
{
    return b->in_place;
}

int bridge_flows_create(struct event_base *base, struct agent *a, const struct agent_config *config, const char *bridge,
                        struct bridge_flows **ret, char **ret_error)
{
    static const struct of_client_callbacks cb = {.connected = on_connected};
    _cleanup_free_ char *remote = xasprintf("unix:%s/%s.mgmt", config->rundir, bridge);
    struct bridge_flows *b = xcalloc(1, sizeof *b);
    int error;

    b->agent = a;
    b->bridge = xstrdup(bridge);
    b->resync_ms = config->resync_s * 1000;
    b->timer = event_new(base, -1, 0, on_timer, b);
    error = b->timer ? of_client_new(base, remote, &cb, b, &b->client, ret_error) : -ENOMEM;
    if (error) {
        bridge_flows_destroy(b);
        return error;
    }
    *ret = b;
    return 0;
}

void bridge_flows_destroy(struct bridge_flows *b)
{
    if (!b) {
        return;
    }
    of_client_destroy(b->client);
    if (b->timer) {
        event_free(b->timer);
    }
    flow_set_free(b->wanted);
    flow_set_free(b->present);
    free(b->text);
    free(b->bridge);
    free(b);
}
