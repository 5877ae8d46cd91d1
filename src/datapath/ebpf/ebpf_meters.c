/* SPDX-License-Identifier: Apache-2.0 */
/* Meters and policing of the class. What there is is set up in the inner datapath and in the fast path's map; buckets
 * and counters are only the map's, and packets of the slow path draw from them by a program that user space runs. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <inttypes.h>

#include "base/log.h"
#include "datapath/ebpf/ebpf_private.h"

LOG_MODULE("ebpf_meters");

#define POLICING_KBITS 8000 /* bursts where none is asked for: ovs-vswitchd.conf.db(5) */
#define POLICING_KPKTS 16

/* Sets up, or with CONFIG NULL removes, the meter KEY of the fast path. GOES_ON: it has counted for this process. */
static int fast_meter_set(struct ebpf_datapath *dp, uint32_t key, const struct dp_meter_config *config, bool goes_on)
{
    struct ebpf_meter m = {0};

    if (!config) {
        bpf_map_delete_elem(dp->maps.meters_fd, &key);
        return 0;
    }
    if (goes_on) {
        bpf_map_lookup_elem_flags(dp->maps.meters_fd, &key, &m, BPF_F_LOCK);
    }
    dp_meter_configure(&m.meter, config, (uint64_t)time_mono_ms());
    return bpf_map_update_elem(dp->maps.meters_fd, &key, &m, BPF_F_LOCK);
}

int eb_meter_set(struct datapath *dp_, uint32_t id, const struct dp_meter_config *config)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    struct dp_meter_stats stats;
    /* What another process counted the switch has from there, or it was another meter's. */
    bool goes_on = !us_meter_get_stats(dp->inner, id, &stats);
    int error = us_meter_set(dp->inner, id, config);

    return error ? error : fast_meter_set(dp, id, config, goes_on);
}

int eb_meter_del(struct datapath *dp_, uint32_t id)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    int error = us_meter_del(dp->inner, id);

    if (!error && !dp->leaving) {
        fast_meter_set(dp, id, NULL, false);
    }
    return error;
}

bool ebpf_meter_admits(void *dp_, uint32_t id, uint32_t len, uint32_t packets)
{
    static const uint8_t frame[64];
    struct ebpf_datapath *dp = dp_;
    struct __sk_buff ask = {.cb = {[EBPF_ASK_METER] = id, [EBPF_ASK_LEN] = len, [EBPF_ASK_PACKETS] = packets}};
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &ask,
                        .ctx_size_in = sizeof(ask), .repeat = 1);
    int error = bpf_prog_test_run_opts(dp->maps.meter_prog_fd, &opts);

    if (error) {
        log_limited(LOG_LEVEL_WARN, "meter %#" PRIx32 " cannot be asked: %s", id, strerror(-error));
        return true;
    }
    return opts.retval != 0;
}

bool ebpf_police_admits(void *dp, uint32_t port, uint32_t len, uint32_t packets)
{
    return ebpf_meter_admits(dp, EBPF_METER_POLICE_BITS + port, len, packets) &&
           ebpf_meter_admits(dp, EBPF_METER_POLICE_PACKETS + port, len, packets);
}

int eb_meter_get_stats(struct datapath *dp_, uint32_t id, struct dp_meter_stats *ret_stats)
{
    struct ebpf_datapath *dp = eb_of(dp_);
    struct ebpf_meter m;
    int error = bpf_map_lookup_elem_flags(dp->maps.meters_fd, &id, &m, BPF_F_LOCK);

    if (error) {
        return error;
    }
    *ret_stats = m.meter.stats;
    return 0;
}

int eb_meter_ask(struct datapath *dp, uint32_t id, uint32_t len, uint32_t packets)
{
    return us_meter_ask(eb_of(dp)->inner, id, len, packets);
}

/* One that is there already stays as it is: whenever anything of an interface changes it is asked for again, and each
 * time its bucket would be full. */
static int fast_police_set(struct ebpf_datapath *dp, uint32_t key, const struct dp_meter_config *config)
{
    struct ebpf_meter m;

    if (config && !bpf_map_lookup_elem_flags(dp->maps.meters_fd, &key, &m, BPF_F_LOCK) &&
        !memcmp(&m.meter.config, config, sizeof(*config))) {
        return 0;
    }
    return fast_meter_set(dp, key, config, true);
}

/* Policing: a meter of one band for bits and one for packets. Tunnel ports receive by sockets, too, and there it is the
 * inner datapath that asks. */
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
    uint32_t *flags, before;
    bool policed;

    if (error || ebpf_port_is_userspace(dp, n)) {
        return error;
    }
    error = fast_police_set(dp, EBPF_METER_POLICE_BITS + n, p->rate_kbps ? &bits : NULL);
    error = error ? error : fast_police_set(dp, EBPF_METER_POLICE_PACKETS + n, p->rate_kpps ? &packets : NULL);
    if (error) {
        return error;
    }
    policed = p->rate_kbps || p->rate_kpps;
    flags = &dp->maps.ports[n].flags;
    before = policed ? __atomic_fetch_or(flags, EBPF_PORT_POLICED, __ATOMIC_RELEASE)
                     : __atomic_fetch_and(flags, ~EBPF_PORT_POLICED, __ATOMIC_RELEASE);
    if (policed != !!(before & EBPF_PORT_POLICED)) { /* rates are read with each packet, this is remembered */
        ebpf_maps_changed(&dp->maps);
    }
    return 0;
}
