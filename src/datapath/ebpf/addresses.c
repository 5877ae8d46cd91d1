/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/addresses.h"

#include <bpf/bpf.h>
#include <uthash.h>

#include "base/log.h"
#include "packet/tunnel.h"

LOG_MODULE("ebpf_addresses");

/* An address of a device. */
struct address {
    struct ebpf_address_id id;
    bool unseen; /* not told yet, of all that are being told */
    UT_hash_handle hh;
};

/* An address, wherever it is. */
struct local {
    struct ip_addr addr;
    unsigned int users; /* struct address */
    bool in_map;
    UT_hash_handle hh;
};

struct holder {
    int ifindex;
    unsigned int users;
    UT_hash_handle hh;
};

struct ebpf_addresses {
    struct ebpf_maps *maps;
    struct address *all;
    struct local *locals;
    struct holder *holders;
    unsigned int n_without_room;
    bool has_room; /* something went out of the map */
    bool told;
};

struct ebpf_addresses *ebpf_addresses_new(struct ebpf_maps *maps)
{
    struct ebpf_addresses *as = xcalloc(1, sizeof(*as));

    as->maps = maps;
    return as;
}

void ebpf_addresses_free(struct ebpf_addresses *as)
{
    struct address *a, *next_a;
    struct local *l, *next_l;
    struct holder *h, *next_h;

    if (!as) {
        return;
    }
    HASH_ITER(hh, as->all, a, next_a) {
        HASH_DEL(as->all, a);
        free(a);
    }
    HASH_ITER(hh, as->locals, l, next_l) {
        HASH_DEL(as->locals, l);
        free(l);
    }
    HASH_ITER(hh, as->holders, h, next_h) {
        HASH_DEL(as->holders, h);
        free(h);
    }
    free(as);
}

/* --- the map --- */

static bool map_add(struct ebpf_addresses *as, const struct ip_addr *addr)
{
    uint32_t one = 1;

    return !bpf_map_update_elem(as->maps->local_addrs_fd, addr, &one, BPF_ANY);
}

static void map_del(struct ebpf_addresses *as, const struct ip_addr *addr)
{
    bpf_map_delete_elem(as->maps->local_addrs_fd, addr);
    as->has_room = true;
    ebpf_maps_changed(as->maps);
}

static struct local *local_find(const struct ebpf_addresses *as, const struct ip_addr *addr)
{
    struct local *l;

    HASH_FIND(hh, as->locals, addr, sizeof(*addr), l);
    return l;
}

static void local_ref(struct ebpf_addresses *as, const struct ip_addr *addr)
{
    struct local *l = local_find(as, addr);

    if (!l) {
        l = xcalloc(1, sizeof(*l));
        l->addr = *addr;
        l->in_map = map_add(as, addr);
        as->n_without_room += !l->in_map;
        HASH_ADD(hh, as->locals, addr, sizeof(l->addr), l);
    }
    l->users++;
}

static void local_unref(struct ebpf_addresses *as, const struct ip_addr *addr)
{
    struct local *l = local_find(as, addr);

    if (--l->users) {
        return;
    }
    if (l->in_map) {
        map_del(as, addr);
    } else {
        as->n_without_room--;
    }
    HASH_DEL(as->locals, l);
    free(l);
}

void ebpf_addresses_settle(struct ebpf_addresses *as)
{
    struct local *l = as->has_room && as->n_without_room ? as->locals : NULL;
    bool full = false;

    for (; l && as->n_without_room && !full; l = l->hh.next) {
        if (!l->in_map) {
            l->in_map = map_add(as, &l->addr);
            as->n_without_room -= l->in_map;
            full = !l->in_map;
        }
    }
    as->has_room = false;
    if (as->n_without_room && !as->told) {
        as->told = true;
        log_warn("this host has %u addresses, %u more than the fast path has room for: tunnel packets to those come "
                 "by user space",
                 HASH_COUNT(as->locals), as->n_without_room);
    }
}

/* Addresses that went while nobody listened, to this process or one before: tunnel packets to them are not ours. */
static void forget_strangers(struct ebpf_addresses *as)
{
    struct ip_addr addr, next;
    bool more = !bpf_map_get_next_key(as->maps->local_addrs_fd, NULL, &next);

    while (more) {
        addr = next;
        more = !bpf_map_get_next_key(as->maps->local_addrs_fd, &addr, &next);
        if (!local_find(as, &addr)) {
            map_del(as, &addr);
        }
    }
}

/* --- devices --- */

static void holder_change(struct ebpf_addresses *as, int ifindex, int by)
{
    struct holder *h;

    HASH_FIND_INT(as->holders, &ifindex, h);
    if (!h) {
        h = xcalloc(1, sizeof(*h));
        h->ifindex = ifindex;
        HASH_ADD_INT(as->holders, ifindex, h);
    }
    h->users += (unsigned int)by;
    if (!h->users) {
        HASH_DEL(as->holders, h);
        free(h);
    }
}

bool ebpf_addresses_are_on(const struct ebpf_addresses *as, int ifindex)
{
    struct holder *h;

    HASH_FIND_INT(as->holders, &ifindex, h);
    return h;
}

/* --- what is told --- */

static struct address *address_find(const struct ebpf_addresses *as, const struct ebpf_address_id *id)
{
    struct address *a;

    HASH_FIND(hh, as->all, id, sizeof(*id), a);
    return a;
}

static void forget(struct ebpf_addresses *as, struct address *a)
{
    HASH_DEL(as->all, a);
    holder_change(as, a->id.ifindex, -1);
    local_unref(as, &a->id.addr);
    free(a);
}

void ebpf_addresses_add(struct ebpf_addresses *as, const struct ebpf_address_id *id)
{
    struct address *a = address_find(as, id);

    if (!a) {
        a = xcalloc(1, sizeof(*a));
        a->id = *id;
        HASH_ADD(hh, as->all, id, sizeof(a->id), a);
        holder_change(as, id->ifindex, 1);
        local_ref(as, &id->addr);
    }
    a->unseen = false;
}

void ebpf_addresses_del(struct ebpf_addresses *as, const struct ebpf_address_id *id)
{
    struct address *a = address_find(as, id);

    if (a) {
        forget(as, a);
    }
}

void ebpf_addresses_begin(struct ebpf_addresses *as)
{
    for (struct address *a = as->all; a; a = a->hh.next) {
        a->unseen = true;
    }
}

void ebpf_addresses_end(struct ebpf_addresses *as, bool whole)
{
    struct address *a, *next;

    if (!whole) {
        return;
    }
    HASH_ITER(hh, as->all, a, next) {
        if (a->unseen) {
            forget(as, a);
        }
    }
    forget_strangers(as);
}

bool ebpf_addresses_have(const struct ebpf_addresses *as, const struct ip_addr *addr, unsigned int bits)
{
    if (bits >= 128) {
        return local_find(as, addr);
    }
    for (const struct local *l = as->locals; l; l = l->hh.next) {
        if (ip_addr_has_prefix(&l->addr, addr, bits)) {
            return true;
        }
    }
    return false;
}
