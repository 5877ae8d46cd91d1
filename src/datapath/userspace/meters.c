/* SPDX-License-Identifier: Apache-2.0 */
/* Meters of the userspace datapath: datapath/meter.h over an array by id, in the time of the packet loop. */
#include "datapath/userspace/userspace.h"

static struct us_datapath *us_of(struct datapath *dp)
{
    return CONTAINER_OF(dp, struct us_datapath, dp);
}

static struct dp_meter *find(const struct us_datapath *dp, uint32_t id)
{
    return id < dp->n_meters ? dp->meters[id] : NULL;
}

int us_meter_set(struct datapath *dp_, uint32_t id, const struct dp_meter_config *config)
{
    struct us_datapath *dp = us_of(dp_);

    if (id >= dp->n_meters) {
        size_t n = MAX((size_t)id + 1, dp->n_meters * 2);

        dp->meters = xrealloc(dp->meters, n * sizeof(dp->meters[0]));
        memset(dp->meters + dp->n_meters, 0, (n - dp->n_meters) * sizeof(dp->meters[0]));
        dp->n_meters = n;
    }
    if (!dp->meters[id]) {
        dp->meters[id] = xcalloc(1, sizeof(struct dp_meter));
    }
    dp_meter_configure(dp->meters[id], config, (uint64_t)time_mono_ms());
    return 0;
}

int us_meter_del(struct datapath *dp_, uint32_t id)
{
    struct us_datapath *dp = us_of(dp_);
    struct dp_meter *m = find(dp, id);

    if (!m) {
        return -ENOENT;
    }
    dp->meters[id] = NULL;
    free(m);
    return 0;
}

int us_meter_get_stats(struct datapath *dp, uint32_t id, struct dp_meter_stats *ret_stats)
{
    const struct dp_meter *m = find(us_of(dp), id);

    if (!m) {
        return -ENOENT;
    }
    *ret_stats = m->stats;
    return 0;
}

bool us_meter_admits(struct us_datapath *dp, uint32_t id, uint32_t len, uint32_t packets)
{
    struct dp_meter *m = find(dp, id);

    if (!m || (dp->meter_admits ? dp->meter_admits(dp->owner, id, len, packets)
                                : dp_meter_admit(m, len, packets, (uint64_t)dp->now_ms) == DP_METER_NONE)) {
        return true;
    }
    us_drop(dp, DROP_METER);
    return false;
}

int us_meter_ask(struct datapath *dp_, uint32_t id, uint32_t len, uint32_t packets)
{
    struct us_datapath *dp = us_of(dp_);

    if (!find(dp, id)) {
        return -ENOENT;
    }
    dp->now_ms = time_mono_ms();
    return us_meter_admits(dp, id, len, packets) ? 0 : -EBUSY;
}

void us_meters_done(struct us_datapath *dp)
{
    for (size_t i = 0; i < dp->n_meters; i++) {
        free(dp->meters[i]);
    }
    free(dp->meters);
}
