/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/wiring.h"

#include <uthash.h>

struct wiring {
    char *id;
    uint32_t ofport;
    uint64_t since, seen; /* passes */
    size_t at;            /* in the state of the last one */
    UT_hash_handle hh;
};

static bool is_wired(const struct state *s, const struct state_port *p)
{
    return p->local && p->ofport != OFPORT_NONE && p->tagged && p->admin_up && s->networks[p->network].vlan;
}

static void see(struct wiring **w, const struct state *s, size_t at, uint64_t pass)
{
    const struct state_port *p = &s->ports[at];
    struct wiring *e;

    HASH_FIND_STR(*w, p->id, e);
    if (!e) {
        e = xcalloc(1, sizeof *e);
        e->id = xstrdup(p->id);
        HASH_ADD_KEYPTR(hh, *w, e->id, strlen(e->id), e);
    }
    if (e->ofport != p->ofport) {
        e->ofport = p->ofport;
        e->since = pass;
    }
    e->at = at;
    e->seen = pass;
}

static void drop(struct wiring **w, struct wiring *e)
{
    HASH_DEL(*w, e);
    free(e->id);
    free(e);
}

void wiring_pass(struct wiring **w, const struct state *s, uint64_t pass)
{
    struct wiring *e, *next;

    for (size_t i = 0; i < s->n_ports; i++) {
        if (is_wired(s, &s->ports[i])) {
            see(w, s, i, pass);
        }
    }
    HASH_ITER(hh, *w, e, next) {
        if (e->seen != pass) {
            drop(w, e);
        }
    }
}

uint64_t wiring_since(struct wiring *w, const char *id, size_t *ret_at)
{
    struct wiring *e;

    HASH_FIND_STR(w, id, e);
    if (e && ret_at) {
        *ret_at = e->at;
    }
    return e ? e->since : 0;
}

void wiring_free(struct wiring *w)
{
    struct wiring *e, *next;

    HASH_ITER(hh, w, e, next) {
        drop(&w, e);
    }
}
