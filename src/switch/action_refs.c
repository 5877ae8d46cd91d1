/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/action_refs.h"

#include "switch/group_table.h"
#include "switch/meter_table.h"

struct ref_key {
    uint32_t from, kind, id;
};

struct action_ref {
    struct ref_key key;
    unsigned int n;
    UT_hash_handle hh;
};

/* The kind and number that A names itself; false: none. */
static bool names(const struct ofpact *a, enum ref_kind *ret_kind, uint32_t *ret_id)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_GROUP:
        *ret_kind = REF_GROUP;
        break;
    case OFPACT_METER:
        *ret_kind = REF_METER;
        break;
    default:
        return false;
    }
    *ret_id = ((const struct ofpact_u32 *)(const void *)a)->v;
    return true;
}

static bool is_nest(const struct ofpact *a)
{
    return a->type == OFPACT_CLONE || a->type == OFPACT_WRITE_ACTIONS;
}

/* FN for each group or meter that the list names, until it returns non-zero, which is then returned. */
static int for_each(const void *actions, size_t len, int (*fn)(void *aux, enum ref_kind kind, uint32_t id), void *aux)
{
    OFPACT_FOR_EACH(a, actions, len) {
        enum ref_kind kind;
        uint32_t id;
        int result = 0;

        if (is_nest(a)) {
            result = for_each(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), fn, aux);
        } else if (names(a, &kind, &id)) {
            result = fn(aux, kind, id);
        }
        if (result) {
            return result;
        }
    }
    return 0;
}

static int any(void *aux WR_UNUSED, enum ref_kind kind WR_UNUSED, uint32_t id WR_UNUSED)
{
    return 1;
}

bool actions_have_refs(const void *actions, size_t len)
{
    return for_each(actions, len, any, NULL);
}

static int is_that(void *aux, enum ref_kind kind, uint32_t id)
{
    const struct ref_key *k = aux;

    return k->kind == kind && (k->id == REF_ANY || k->id == id);
}

bool actions_refer_to(const void *actions, size_t len, enum ref_kind kind, uint32_t id)
{
    struct ref_key k = {.kind = kind, .id = id};

    return for_each(actions, len, is_that, &k);
}

static int check_meter(void *aux, enum ref_kind kind, uint32_t id)
{
    bool there = kind != REF_METER || (id <= OF_METER_MAX && meter_find(aux, id));

    return there ? 0 : OFERR_METER_MOD_INVALID_METER;
}

static int check_one(void *aux, enum ref_kind kind, uint32_t id)
{
    return kind == REF_GROUP && !group_find(aux, id) ? OFERR_ACTION_BAD_OUT_GROUP : check_meter(aux, kind, id);
}

int actions_check_refs(const struct bridge *br, const void *actions, size_t len)
{
    return for_each(actions, len, check_one, (void *)br);
}

int actions_check_meters(const struct bridge *br, const void *actions, size_t len)
{
    return for_each(actions, len, check_meter, (void *)br);
}

struct counting {
    struct bridge *br;
    enum ref_from from;
    int delta;
};

static struct action_ref *find(const struct bridge *br, const struct ref_key *key)
{
    struct action_ref *r;

    HASH_FIND(hh, br->action_refs, key, sizeof *key, r);
    return r;
}

static int count_one(void *aux, enum ref_kind kind, uint32_t id)
{
    const struct counting *c = aux;
    const struct ref_key key = {.from = c->from, .kind = kind, .id = id};
    struct action_ref *r = find(c->br, &key);

    if (!r) {
        r = xcalloc(1, sizeof *r);
        r->key = key;
        HASH_ADD(hh, c->br->action_refs, key, sizeof r->key, r);
    }
    r->n += (unsigned int)c->delta;
    if (!r->n) {
        HASH_DELETE(hh, c->br->action_refs, r);
        free(r);
    }
    return 0;
}

void action_refs_count(struct bridge *br, enum ref_from from, const void *actions, size_t len, int delta)
{
    struct counting c = {br, from, delta};

    for_each(actions, len, count_one, &c);
}

unsigned int action_refs_get(const struct bridge *br, enum ref_from from, enum ref_kind kind, uint32_t id)
{
    const struct action_ref *r = find(br, &(struct ref_key){.from = from, .kind = kind, .id = id});

    return r ? r->n : 0;
}

void action_refs_done(struct bridge *br)
{
    struct action_ref *r, *next;

    HASH_ITER(hh, br->action_refs, r, next) {
        HASH_DELETE(hh, br->action_refs, r);
        free(r);
    }
}
