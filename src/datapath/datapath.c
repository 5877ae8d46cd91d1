/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/datapath.h"

#include "datapath/ebpf/ebpf.h"
#include "datapath/userspace/userspace.h"

const struct dp_class *dp_class_find(const char *name)
{
    static const struct dp_class *const classes[] = {&dp_userspace_class, &dp_ebpf_class};

    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        if (!strcmp(classes[i]->name, name)) {
            return classes[i];
        }
    }
    return NULL;
}

int dp_open(const char *class_name, struct event_base *base, const struct dp_callbacks *callbacks,
            struct datapath **ret_dp)
{
    const struct dp_class *class = dp_class_find(class_name);

    return class ? class->open(base, callbacks, ret_dp) : -EAFNOSUPPORT;
}

void dp_close(struct datapath *dp)
{
    if (dp) {
        dp->class->close(dp);
    }
}

int dp_port_add(struct datapath *dp, const struct dp_port_spec *spec, dp_port_t *ret_port)
{
    return dp->class->port_add(dp, spec, ret_port);
}

int dp_port_del(struct datapath *dp, dp_port_t port)
{
    return dp->class->port_del(dp, port);
}

void dp_wait_removed(struct datapath *dp)
{
    if (dp->class->wait_removed) {
        dp->class->wait_removed(dp);
    }
}

int dp_port_get_stats(struct datapath *dp, dp_port_t port, struct dp_port_stats *ret_stats)
{
    return dp->class->port_get_stats(dp, port, ret_stats);
}

int dp_port_set_policing(struct datapath *dp, dp_port_t port, const struct dp_policing *policing)
{
    return dp->class->port_set_policing ? dp->class->port_set_policing(dp, port, policing) : -EOPNOTSUPP;
}

int dp_flow_put(struct datapath *dp, const struct dp_flow *flow)
{
    return dp->class->flow_put(dp, flow);
}

int dp_flow_del(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret_stats)
{
    return dp->class->flow_del(dp, id, ret_stats);
}

bool dp_has_fast_path(const struct datapath *dp)
{
    return dp->class->flow_is_fast;
}

const char *dp_flow_runner(struct datapath *dp, dp_flow_id id)
{
    return !dp->class->flow_is_fast || dp->class->flow_is_fast(dp, id) ? dp->class->name : dp_userspace_class.name;
}

int dp_flow_get_stats(struct datapath *dp, dp_flow_id id, struct dp_flow_stats *ret_stats)
{
    return dp->class->flow_get_stats(dp, id, ret_stats);
}

int dp_flow_for_each(struct datapath *dp, int (*fn)(void *aux, const struct dp_flow *flow), void *aux)
{
    return dp->class->flow_for_each(dp, fn, aux);
}

int dp_execute(struct datapath *dp, struct packet *packet, const struct dp_action *actions, size_t actions_len)
{
    return dp->class->execute(dp, packet, actions, actions_len);
}

bool dp_has_meters(const struct datapath *dp)
{
    return dp->class->meter_set;
}

int dp_meter_set(struct datapath *dp, uint32_t id, const struct dp_meter_config *config)
{
    if (!id || id > DP_METER_ID_MAX || config->n_bands > DP_METER_BANDS_MAX) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < config->n_bands; i++) {
        if (!config->bands[i].rate || config->bands[i].rate > UINT32_MAX || config->bands[i].burst > UINT32_MAX) {
            return -EINVAL;
        }
    }
    return dp->class->meter_set ? dp->class->meter_set(dp, id, config) : -EOPNOTSUPP;
}

int dp_meter_del(struct datapath *dp, uint32_t id)
{
    return dp->class->meter_del ? dp->class->meter_del(dp, id) : -ENOENT;
}

int dp_meter_get_stats(struct datapath *dp, uint32_t id, struct dp_meter_stats *ret_stats)
{
    return dp->class->meter_get_stats ? dp->class->meter_get_stats(dp, id, ret_stats) : -ENOENT;
}

int dp_meter_ask(struct datapath *dp, uint32_t id, uint32_t len, uint32_t packets)
{
    return dp->class->meter_ask ? dp->class->meter_ask(dp, id, len, packets) : -ENOENT;
}

const uint64_t *dp_drops(struct datapath *dp)
{
    return dp->class->drops(dp);
}

void dp_lookup_stats(struct datapath *dp, uint64_t *ret_hits, uint64_t *ret_misses)
{
    dp->class->lookup_stats(dp, ret_hits, ret_misses);
}

bool dp_settle(struct datapath *dp, enum dp_stage stage)
{
    return dp->class->settle && dp->class->settle(dp, stage);
}

void dp_leave(struct datapath *dp)
{
    if (dp->class->leave) {
        dp->class->leave(dp);
    }
}

void dp_set_sample(struct datapath *dp, uint32_t one_in)
{
    if (dp->class->set_sample) {
        dp->class->set_sample(dp, one_in);
    }
}
