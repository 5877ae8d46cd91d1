/* SPDX-License-Identifier: Apache-2.0 */
/* Meters and policing of the class: what is set up in the inner datapath is set up in the fast path's map as well. */
#include <bpf/bpf.h>

#include "datapath/ebpf/ebpf_private.h"

#define POLICING_KBITS 8000 /* bursts where none is asked for: ovs-vswitchd.conf.db(5) */
#define POLICING_KPKTS 16

/* Sets up, or with CONFIG NULL removes, the meter KEY of the fast path. */
static int fast_meter_set(struct ebpf_datapath *dp, uint32_t key, const struct dp_meter_config *config)
{
    struct ebpf_meter m = {0};

    if (!config) {
        bpf_map_delete_elem(dp->maps.meters_fd, &key);
        return 0;
    }
    bpf_map_lookup_elem_flags(dp->maps.meters_fd, &key, &m, BPF_F_LOCK); /* what was counted goes on */
    dp_meter_configure(&m.meter, config, (uint64_t)time_mono_ms());
    return bpf_map_update_elem(dp->maps.meters_fd, &key, &m, BPF_F_LOCK);
}

int eb_meter_set(struct datapath *dp_, uint32_t id, const struct dp_meter_config *config)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    int error = us_meter_set(dp->inner, id, config);

    return error ? error : fast_meter_set(dp, id, config);
}

int eb_meter_del(struct datapath *dp_, uint32_t id)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    int error = us_meter_del(dp->inner, id);

    if (!error && !dp->leaving) {
        fast_meter_set(dp, id, NULL);
    }
    return error;
}

static void count_add(struct dp_meter_count *to, const struct dp_meter_count *count)
{
    to->packets += count->packets;
    to->bytes += count->bytes;
}

int eb_meter_get_stats(struct datapath *dp_, uint32_t id, struct dp_meter_stats *ret_stats)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    struct ebpf_meter m;
    struct dp_meter_stats sum;
    int error = us_meter_get_stats(dp->inner, id, &sum);

    if (error) {
        return error;
    }
    if (!bpf_map_lookup_elem_flags(dp->maps.meters_fd, &id, &m, BPF_F_LOCK)) {
        count_add(&sum.in, &m.meter.stats.in);
        for (size_t i = 0; i < DP_METER_BANDS_MAX; i++) {
            count_add(&sum.bands[i], &m.meter.stats.bands[i]);
        }
    }
    *ret_stats = sum;
    return 0;
}

int eb_meter_ask(struct datapath *dp, uint32_t id, uint32_t len, uint32_t packets)
{
    return us_meter_ask(eb_of(dp)->inner, id, len, packets);
}

/* Policing: a meter of one band for bits and one for packets. Tunnel ports receive by sockets, too, and there it is the
 * inner datapath that polices. */
int eb_port_set_policing(struct datapath *dp_, dp_port_t number, const struct dp_policing *p)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    uint32_t n = dp_port_u32(number);
    struct dp_meter_config bits = {.n_bands = 1,
                                   .bands = {{p->rate_kbps, p->burst_kbits ? p->burst_kbits : POLICING_KBITS}}};
    struct dp_meter_config packets = {
        .pktps = 1,
        .n_bands = 1,
        .bands = {{p->rate_kpps * 1000ull, (p->burst_kpkts ? p->burst_kpkts : POLICING_KPKTS) * 1000ull}}};
    int error = dp_userspace_class.port_set_policing(dp->inner, number, p);

    error = error ? error : fast_meter_set(dp, EBPF_METER_POLICE_BITS + n, p->rate_kbps ? &bits : NULL);
    error = error ? error : fast_meter_set(dp, EBPF_METER_POLICE_PACKETS + n, p->rate_kpps ? &packets : NULL);
    if (error) {
        return error;
    }
    if (p->rate_kbps || p->rate_kpps) {
        __atomic_fetch_or(&dp->maps.ports[n].flags, EBPF_PORT_POLICED, __ATOMIC_RELEASE);
    } else {
        __atomic_fetch_and(&dp->maps.ports[n].flags, ~EBPF_PORT_POLICED, __ATOMIC_RELEASE);
    }
    return 0;
}
