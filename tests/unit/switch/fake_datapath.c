/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_datapath.h"

#include "base/strbuf.h"
#include "datapath/format.h"

#define MAX_FLOWS 256
#define MAX_PORTS 64
#define MAX_METERS 16

struct fake_flow {
    dp_flow_id id; /* 0: free */
    struct flow_key key, mask;
    uint8_t actions[4096];
    size_t len;
    struct dp_flow_stats stats;
};

struct fake_dp {
    struct datapath dp;
    struct dp_callbacks cb;
    struct fake_flow flows[MAX_FLOWS];
    bool ports[MAX_PORTS], meters[MAX_METERS];
    struct dp_meter_stats metered[MAX_METERS];
    uint64_t drops[DROP_MAX];
    struct strbuf executed, taken;
    int64_t now;
};

static struct fake_dp *fake_of(struct datapath *dp)
{
    return CONTAINER_OF(dp, struct fake_dp, dp);
}

static int fake_open(struct event_base *base WR_UNUSED, const struct dp_callbacks *callbacks, struct datapath **ret_dp)
{
    struct fake_dp *f = xcalloc(1, sizeof *f);

    f->dp.class = &fake_dp_class;
    f->cb = *callbacks;
    f->now = time_mono_ms();
    *ret_dp = &f->dp;
    return 0;
}

static void fake_close(struct datapath *dp)
{
    struct fake_dp *f = fake_of(dp);

    strbuf_done(&f->executed);
    strbuf_done(&f->taken);
    free(f);
}

static int fake_port_add(struct datapath *dp, const struct dp_port_spec *spec, dp_port_t *ret_port)
{
    struct fake_dp *f = fake_of(dp);

    if (!strcmp(spec->name, "missing")) {
        return -ENODEV;
    }
    for (unsigned int i = 1; i < MAX_PORTS; i++) {
        if (!f->ports[i]) {
            f->ports[i] = true;
            *ret_port = dp_port(i);
            return 0;
        }
    }
    return -ENOSPC;
}

static int fake_port_del(struct datapath *dp, dp_port_t port)
{
    fake_of(dp)->ports[dp_port_u32(port)] = false;
    return 0;
}

static int fake_port_get_stats(struct datapath *dp WR_UNUSED, dp_port_t port WR_UNUSED, struct dp_port_stats *ret)
{
    *ret = (struct dp_port_stats){0};
    return 0;
}

static struct fake_flow *find(struct fake_dp *f, dp_flow_id id)
{
    for (size_t i = 0; i < MAX_FLOWS; i++) {
        if (f->flows[i].id == id) {
            return &f->flows[i];
        }
    }
    return NULL;
}

static int fake_flow_put(struct datapath *dp, const struct dp_flow *flow)
{
    struct fake_dp *f = fake_of(dp);
    struct fake_flow *x = find(f, flow->id);

    if (!x) {
        x = find(f, 0);
        if (!x) {
            return -ENOSPC;
        }
        *x = (struct fake_flow){.id = flow->id, .key = *flow->key, .mask = *flow->mask};
    }
    memcpy(x->actions, flow->actions, flow->actions_len);
    x->len = flow->actions_len;
    return 0;
}

static int fake_flow_get_stats(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret)
{
    struct fake_flow *x = find(fake_of(dp), id);

    if (!x) {
        return -ENOENT;
    }
    *ret = x->stats;
    return 0;
}

static int fake_flow_del(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret)
{
    struct fake_flow *x = find(fake_of(dp), id);

    if (!x) {
        return -ENOENT;
    }
    if (ret) {
        *ret = x->stats;
    }
    x->id = 0;
    return 0;
}

static int fake_for_each(struct datapath *dp WR_UNUSED, int (*fn)(void *aux, const struct dp_flow *flow) WR_UNUSED,
                         void *aux WR_UNUSED)
{
    return -EOPNOTSUPP;
}

static int fake_execute(struct datapath *dp, struct packet *packet WR_UNUSED, const struct dp_action *actions,
                        size_t len)
{
    struct fake_dp *f = fake_of(dp);

    if (f->executed.len) {
        strbuf_add(&f->executed, "; ");
    }
    dp_actions_format(actions, len, &f->executed);
    if (actions->type == DP_ACTION_DROP) {
        f->drops[actions->arg]++;
    }
    return 0;
}

/* All that asks a meter exceeds its first band, and passes nevertheless. */
static int fake_meter_set(struct datapath *dp, uint32_t id, const struct dp_meter_config *config WR_UNUSED)
{
    if (id >= MAX_METERS) {
        return -ENOSPC;
    }
    fake_of(dp)->meters[id] = true;
    memset(fake_of(dp)->metered[id].bands, 0, sizeof fake_of(dp)->metered[id].bands); /* dp_meter_configure() */
    return 0;
}

static int fake_meter_del(struct datapath *dp, uint32_t id)
{
    fake_of(dp)->meters[id] = false;
    fake_of(dp)->metered[id] = (struct dp_meter_stats){0};
    return 0;
}

static int fake_meter_get_stats(struct datapath *dp, uint32_t id, struct dp_meter_stats *ret)
{
    *ret = fake_of(dp)->metered[id];
    return 0;
}

static int fake_meter_ask(struct datapath *dp, uint32_t id, uint32_t len, uint32_t packets)
{
    if (id >= MAX_METERS || !fake_of(dp)->meters[id]) {
        return -ENOENT;
    }
    struct dp_meter_stats *m = &fake_of(dp)->metered[id];
    struct dp_meter_count *counts[] = {&m->in, &m->bands[0]};
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        counts[i]->packets += packets;
        counts[i]->bytes += len;
    }
    return 0;
}

static const uint64_t *fake_drops(struct datapath *dp)
{
    return fake_of(dp)->drops;
}

static void fake_lookup_stats(struct datapath *dp WR_UNUSED, uint64_t *hits, uint64_t *misses)
{
    *hits = *misses = 0;
}

const struct dp_class fake_dp_class = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .port_add = fake_port_add,
    .port_del = fake_port_del,
    .port_get_stats = fake_port_get_stats,
    .flow_put = fake_flow_put,
    .flow_del = fake_flow_del,
    .flow_get_stats = fake_flow_get_stats,
    .flow_for_each = fake_for_each,
    .execute = fake_execute,
    .meter_set = fake_meter_set,
    .meter_del = fake_meter_del,
    .meter_get_stats = fake_meter_get_stats,
    .meter_ask = fake_meter_ask,
    .drops = fake_drops,
    .lookup_stats = fake_lookup_stats,
};

static struct fake_flow *lookup(struct fake_dp *f, const struct flow_key *key)
{
    for (size_t i = 0; i < MAX_FLOWS; i++) {
        struct flow_key masked;

        flow_key_and(&masked, key, &f->flows[i].mask);
        if (f->flows[i].id && !memcmp(&masked, &f->flows[i].key, sizeof masked)) {
            return &f->flows[i];
        }
    }
    return NULL;
}

void fake_receive(struct switch_ *sw, struct packet *p)
{
    struct fake_dp *f = fake_of(sw->dp);
    struct dp_upcall up = {.reason = DP_UPCALL_MISS, .packet = p};
    const struct dp_action *first;
    struct fake_flow *x;
    struct flow_key key;

    flow_key_extract(p, &key);
    up.key = &key;
    x = lookup(f, &key);
    if (x) {
        x->stats.packets++;
        x->stats.bytes += p->len;
        x->stats.used_ms = f->now;
        x->stats.tcp_flags |= (uint16_t)__builtin_bswap16(key.tcp_flags);
        first = (const struct dp_action *)(const void *)x->actions;
        size_t before = x->len - sizeof *first; /* DP_ACTION_SLOW is the last one, behind meters */
        const struct dp_action *last = (const struct dp_action *)(const void *)(x->actions + before);
        if (last->type != DP_ACTION_SLOW) {
            fake_execute(sw->dp, p, first, x->len);
            return;
        }
        if (before) {
            fake_execute(sw->dp, p, first, before);
        }
        up.reason = DP_UPCALL_SLOW;
        up.slow_reason = last->arg;
    }
    f->cb.upcall(f->cb.aux, &up);
}

const char *fake_take_executed(struct switch_ *sw)
{
    struct fake_dp *f = fake_of(sw->dp);

    strbuf_done(&f->taken);
    f->taken = f->executed;
    f->executed = (struct strbuf){0};
    return strbuf_str(&f->taken);
}

size_t fake_n_flows(struct switch_ *sw)
{
    struct fake_dp *f = fake_of(sw->dp);
    size_t n = 0;

    for (size_t i = 0; i < MAX_FLOWS; i++) {
        n += f->flows[i].id != 0;
    }
    return n;
}

void fake_set_now(struct switch_ *sw, int64_t now)
{
    fake_of(sw->dp)->now = now;
}

unsigned int fake_port_count(struct switch_ *sw)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < MAX_PORTS; i++) {
        n += fake_of(sw->dp)->ports[i];
    }
    return n;
}
