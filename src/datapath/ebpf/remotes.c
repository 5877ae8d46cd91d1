/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/remotes.h"

#include <bpf/bpf.h>
#include <uthash.h>

#include "base/log.h"
#include "datapath/userspace/ipsec.h"
#include "datapath/userspace/tunnel_tx.h"
#include "packet/tunnel.h"

LOG_MODULE("ebpf_remotes");

#define MTU_UNKNOWN UINT32_MAX
#define UNUSED_TICKS 3 /* flows come and go, and each new remote costs two questions to the kernel */

struct remote {
    struct ip_addr dst;
    struct ip_addr route_src; /* what flows that leave the source to the route were compiled with; zero: none did */
    struct ip_addr src;       /* of the flow that was compiled last; zero: left to the route */
    struct ip_addr former;    /* of a flow of a process before us; zero: it had none that leads there */
    bool by_route;            /* a flow leaves the source to the route */
    bool unrouted;            /* and was compiled when there was none */
    uint32_t place;           /* its next-hop cache entries: EBPF_NEXTHOP_WAYS from place * EBPF_NEXTHOP_WAYS on */
    uint32_t mtu;             /* of the route, 0: there is none; or MTU_UNKNOWN */
    unsigned int unused;      /* ticks for which nothing in the maps has led there */
    UT_hash_handle hh;
};

struct ebpf_remotes {
    struct ebpf_maps *maps;
    struct us_datapath *us;
    const struct ebpf_flows *flows;
    struct remote *all;
    struct remote *places[EBPF_NEXTHOPS_MAX];
    uint32_t next_place;  /* what was given back rests for as long as there are others */
    bool refused;         /* a flow found no place */
    bool forgot_unrouted; /* a remote went, some flow to which may wait for a route still */
};

struct ebpf_remotes *ebpf_remotes_new(struct ebpf_maps *maps, struct us_datapath *us, const struct ebpf_flows *flows)
{
    struct ebpf_remotes *rs = xcalloc(1, sizeof(*rs));

    rs->maps = maps;
    rs->us = us;
    rs->flows = flows;
    return rs;
}

static void remote_free(struct ebpf_remotes *rs, struct remote *r)
{
    rs->places[r->place] = NULL;
    HASH_DEL(rs->all, r);
    free(r);
}

void ebpf_remotes_free(struct ebpf_remotes *rs)
{
    struct remote *r, *next;

    if (rs) {
        HASH_ITER(hh, rs->all, r, next) {
            remote_free(rs, r);
        }
        free(rs);
    }
}

/* --- places --- */

static struct remote *remote_find(const struct ebpf_remotes *rs, const struct ip_addr *dst)
{
    struct remote *r;

    HASH_FIND(hh, rs->all, dst, sizeof(*dst), r);
    return r;
}

static struct remote *remote_add(struct ebpf_remotes *rs, const struct ip_addr *dst, uint32_t place)
{
    struct remote *r = xcalloc(1, sizeof(*r));

    r->dst = *dst;
    r->place = place;
    r->mtu = MTU_UNKNOWN;
    rs->places[place] = r;
    HASH_ADD(hh, rs->all, dst, sizeof(r->dst), r);
    return r;
}

/* NULL when there are too many. */
static struct remote *remote_get(struct ebpf_remotes *rs, const struct ip_addr *dst)
{
    struct remote *r = remote_find(rs, dst);

    for (uint32_t i = 0; i < EBPF_NEXTHOPS_MAX && !r; i++) {
        uint32_t place = (rs->next_place + i) % EBPF_NEXTHOPS_MAX;

        if (!rs->places[place]) {
            rs->next_place = place + 1;
            r = remote_add(rs, dst, place);
        }
    }
    if (!r) {
        rs->refused = true;
        log_limited(LOG_LEVEL_INFO, "%d remote ends of tunnels are the limit: flows to more go the slow way",
                    EBPF_NEXTHOPS_MAX);
    }
    return r;
}

void ebpf_remotes_adopt(void *remotes, const struct ebpf_step *step)
{
    struct ebpf_remotes *rs = remotes;
    uint32_t place = step->u.tunnel.nexthop / EBPF_NEXTHOP_WAYS;
    struct remote *r;

    if (ebpf_step_is_tunnel(step) && place < EBPF_NEXTHOPS_MAX && !rs->places[place] &&
        !remote_find(rs, &step->u.tunnel.dst)) {
        r = remote_add(rs, &step->u.tunnel.dst, place);
        r->src = r->former = step->u.tunnel.src;
    }
}

bool ebpf_remotes_tick(struct ebpf_remotes *rs)
{
    struct remote *r, *next;
    bool gave_back = false, again;

    HASH_ITER(hh, rs->all, r, next) {
        r->unused = ebpf_flows_leading_to(rs->flows, r->place * EBPF_NEXTHOP_WAYS) ? 0 : r->unused + 1;
        if (r->unused > UNUSED_TICKS) {
            rs->forgot_unrouted |= r->unrouted;
            gave_back = true;
            remote_free(rs, r);
        }
    }
    again = gave_back && rs->refused;
    rs->refused &= !again;
    return again;
}

/* --- what the kernel says of routes --- */

static void follow_mtu(struct ebpf_remotes *rs, struct remote *r)
{
    uint32_t mtu = ipsec_guards_out(rs->us->ipsec, &r->dst)
                       ? EBPF_ROUTE_UP
                       : tunnel_tx_mtu(rs->us->tunnel_tx, &r->dst, &r->src, 0, time_mono_ms());
    uint32_t first = r->place * EBPF_NEXTHOP_WAYS;

    if (mtu == r->mtu) {
        return;
    }
    r->mtu = mtu;
    for (uint32_t i = first; i < first + EBPF_NEXTHOP_WAYS; i++) {
        struct ebpf_nexthop nh;

        if (!bpf_map_lookup_elem(rs->maps->nexthops_fd, &i, &nh)) {
            nh.route_mtu = mtu;
            nh.expires_ns = 0;
            bpf_map_update_elem(rs->maps->nexthops_fd, &i, &nh, BPF_ANY);
        }
    }
    ebpf_maps_changed(rs->maps); /* the exact-match cache has answers of before */
}

/* Did it change? Where the route cannot be asked now (there is none, or no descriptor for it) what was known must not
 * be forgotten. */
static bool follow_source(struct ebpf_remotes *rs, struct remote *r)
{
    struct ip_addr src = tunnel_tx_source(rs->us->tunnel_tx, &r->dst, time_mono_ms());

    if (ip_addr_is_zero(&src)) {
        src = ip_addr_is_zero(&r->route_src) ? r->former : r->route_src;
    }
    if (!memcmp(&src, &r->route_src, sizeof(src))) {
        return false;
    }
    r->route_src = src;
    return true;
}

void ebpf_remotes_fill(struct ebpf_remotes *rs, const struct flow_tunnel *tunnel, struct ebpf_tunnel *t)
{
    struct remote *r = ip_addr_is_zero(&tunnel->dst) ? NULL : remote_get(rs, &tunnel->dst);

    if (!r) {
        return;
    }
    t->nexthop = r->place * EBPF_NEXTHOP_WAYS;
    t->src = r->src = tunnel->src;
    if (r->mtu == MTU_UNKNOWN) {
        follow_mtu(rs, r);
    }
    if (ip_addr_is_zero(&t->src)) {
        r->by_route = true;
        if (ip_addr_is_zero(&r->route_src)) {
            follow_source(rs, r);
        }
        r->unrouted |= ip_addr_is_zero(&r->route_src);
        t->src = r->route_src; /* the same for all flows, until ebpf_remotes_follow() changes them */
    }
}

bool ebpf_remotes_follow(struct ebpf_remotes *rs)
{
    bool changed = rs->forgot_unrouted;
    struct remote *r, *next;

    rs->forgot_unrouted = false;
    HASH_ITER(hh, rs->all, r, next) {
        changed |= r->by_route && follow_source(rs, r);
        if (r->unrouted && !ip_addr_is_zero(&r->route_src)) { /* a later flow may have found it */
            changed = true;
            r->unrouted = false;
        }
        follow_mtu(rs, r);
    }
    return changed;
}
