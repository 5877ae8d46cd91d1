/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/former.h"

#include <bpf/bpf.h>
#include <uthash.h>
#include <utlist.h>

#include "base/log.h"

LOG_MODULE("ebpf_former");

/* A port there. */
struct number {
    uint32_t number;
    uint32_t key; /* in ifindexes, theirs and ours */
    UT_hash_handle hh;
};

struct former {
    struct former *next;
    struct ebpf_formers *all;
    struct ebpf_upcalls *upcalls;
    struct number *numbers;
};

struct ebpf_formers {
    struct event_base *base;
    const struct ebpf_maps *maps;
    struct former *list;
    struct ebpf_listener listener;
};

static void former_free(struct former *f)
{
    struct number *n, *next;

    ebpf_upcalls_free(f->upcalls);
    HASH_ITER(hh, f->numbers, n, next) {
        HASH_DEL(f->numbers, n);
        free(n);
    }
    free(f);
}

/* Our number of what is port NUMBER there. */
static bool our_number(const struct former *f, uint32_t number, uint32_t *ret_number)
{
    struct number *n;

    HASH_FIND(hh, f->numbers, &number, sizeof(number), n);
    return n && !bpf_map_lookup_elem(f->all->maps->ifindexes_fd, &n->key, ret_number);
}

static void on_upcall(void *former, const struct ebpf_upcall *u, struct packet *p)
{
    struct former *f = former;
    struct ebpf_upcall ours = *u;

    if (ebpf_upcall_is_copy(u->kind)) {
        return; /* of a version that was replacing another one itself, or a sample of a flow that we do not know */
    }
    if (u->kind == EBPF_UPCALL_OUTPUT || !our_number(f, u->in_port, &ours.in_port)) {
        f->all->listener.drops[DROP_NO_PORT]++;
        return;
    }
    if (u->key.tunnel.opts_id) {
        f->all->listener.drops[DROP_TUNNEL_OPTIONS]++;
        return;
    }
    ours.kind = EBPF_UPCALL_MISS;
    p->in_port = dp_port(ours.in_port);
    f->all->listener.fn(f->all->listener.aux, &ours, p);
}

static void read_numbers(struct former *f, int ifindexes_fd)
{
    uint32_t key, next, number;

    /* Bounded: nobody changes it, but who knows. */
    for (int i = 0; i < 2 * EBPF_PORTS_MAX && !bpf_map_get_next_key(ifindexes_fd, i ? &key : NULL, &next); i++) {
        struct number *n, *there;

        key = next;
        if (bpf_map_lookup_elem(ifindexes_fd, &key, &number)) {
            continue;
        }
        HASH_FIND(hh, f->numbers, &number, sizeof(number), there);
        if (!there) {
            n = xcalloc(1, sizeof(*n));
            n->number = number;
            n->key = key;
            HASH_ADD(hh, f->numbers, number, sizeof(n->number), n);
        }
    }
}

static void add(void *formers, int ring_fd, int ifindexes_fd)
{
    struct ebpf_formers *all = formers;
    struct former *f = xcalloc(1, sizeof(*f));
    struct ebpf_listener listener = all->listener;

    f->all = all;
    listener.fn = on_upcall;
    listener.aux = f;
    if (ebpf_upcalls_new(all->base, ring_fd, &listener, &f->upcalls)) {
        former_free(f);
        return;
    }
    ebpf_upcalls_hear(f->upcalls, EBPF_HEAR_NOTHING);
    read_numbers(f, ifindexes_fd);
    LL_PREPEND(all->list, f);
}

struct ebpf_formers *ebpf_formers_open(struct event_base *base, const char *rundir, const struct ebpf_maps *maps,
                                       const struct ebpf_listener *listener)
{
    struct ebpf_formers *all = xcalloc(1, sizeof(*all));

    all->base = base;
    all->maps = maps;
    all->listener = *listener;
    ebpf_other_rings(rundir, add, all);
    if (!all->list) {
        log_info("the programs of another version send up what this one does not understand: until they are replaced, "
                 "first packets of new flows are lost");
    }
    return all;
}

void ebpf_formers_hear(struct ebpf_formers *all, enum ebpf_hearing hearing)
{
    for (struct former *f = all ? all->list : NULL; f; f = f->next) {
        ebpf_upcalls_hear(f->upcalls, hearing);
    }
}

bool ebpf_formers_run(struct ebpf_formers *all)
{
    bool more = false;

    for (struct former *f = all ? all->list : NULL; f; f = f->next) {
        more |= ebpf_upcalls_run(f->upcalls);
    }
    return more;
}

void ebpf_formers_close(struct ebpf_formers *all)
{
    struct former *f, *next;

    if (all) {
        LL_FOREACH_SAFE(all->list, f, next) {
            former_free(f);
        }
        free(all);
    }
}
