/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reconcile.h"

#include <endian.h>
#include <uthash.h>

#include "agent/desired.h"

#define LEARN_TABLE 20
#define LEARN_PRIORITY 1

struct identity {
    struct match match;
    uint16_t priority;
    uint8_t table;
    uint8_t pad[5];
};

struct set_flow {
    struct identity id;
    struct flow_spec spec;
    UT_hash_handle hh;
};

struct flow_set {
    struct set_flow *flows;
};

struct flow_set *flow_set_new(void)
{
    return xcalloc(1, sizeof(struct flow_set));
}

static void flow_free(struct flow_set *set, struct set_flow *f)
{
    HASH_DEL(set->flows, f);
    flow_spec_done(&f->spec);
    free(f);
}

void flow_set_free(struct flow_set *set)
{
    struct set_flow *f, *next;

    if (!set) {
        return;
    }
    HASH_ITER(hh, set->flows, f, next) {
        flow_free(set, f);
    }
    free(set);
}

size_t flow_set_size(const struct flow_set *set)
{
    return HASH_COUNT(set->flows);
}

void flow_set_add(struct flow_set *set, struct flow_spec *spec)
{
    struct set_flow *f = xcalloc(1, sizeof *f), *old;

    f->id.match = spec->match;
    f->id.priority = spec->priority;
    f->id.table = spec->table == TABLE_ID_ALL ? 0 : spec->table;
    f->spec = *spec;
    f->spec.table = f->id.table;
    *spec = (struct flow_spec){0};
    HASH_FIND(hh, set->flows, &f->id, sizeof f->id, old);
    if (old) {
        flow_free(set, old);
    }
    HASH_ADD(hh, set->flows, id, sizeof f->id, f);
}

int flow_set_add_text(struct flow_set *set, const char *text, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(text);
    char *save = NULL;

    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct flow_spec spec;
        char *why = NULL;
        int error = flow_parse(line, NULL, &spec, &why);

        if (error) {
            if (ret_error) {
                *ret_error = xasprintf("%s: %s", line, why ? why : "does not parse");
            }
            free(why);
            return error;
        }
        flow_set_add(set, &spec);
    }
    return 0;
}

void flow_mods_done(struct flow_mods *m)
{
    free(m->mods);
    *m = (struct flow_mods){0};
}

static struct of_flow_mod *append(struct flow_mods *m, enum of_flow_command command, const struct set_flow *f)
{
    if (m->n == m->allocated) {
        m->allocated = MAX(m->allocated * 2, 32u);
        m->mods = xrealloc(m->mods, m->allocated * sizeof *m->mods);
    }
    struct of_flow_mod *fm = &m->mods[m->n++];
    *fm = (struct of_flow_mod){
        .command = command,
        .table = f->spec.table,
        .priority = f->spec.priority,
        .buffer_id = OF_NO_BUFFER,
        .out_port = OFPP_ANY,
        .out_group = OF_GROUP_ANY,
        .match = f->spec.match,
    };
    return fm;
}

static bool same(const struct set_flow *wanted, const struct set_flow *present)
{
    return wanted->spec.cookie == present->spec.cookie && wanted->spec.idle_timeout == present->spec.idle_timeout &&
           wanted->spec.hard_timeout == present->spec.hard_timeout && present->spec.has_actions &&
           ofpacts_equal(wanted->spec.acts.data, wanted->spec.acts.len, present->spec.acts.data,
                         present->spec.acts.len);
}

static bool is_learned(const struct set_flow *f)
{
    return f->spec.table == LEARN_TABLE && f->spec.priority == LEARN_PRIORITY;
}

static uint16_t vlan_of(const struct set_flow *f)
{
    return be16toh((WR_FORCE uint16_t)f->spec.match.value.key.vlan[0].tci) & 0xfff;
}

/* The tunnel id that the flow sends with, 0 if none. */
static uint64_t tunnel_id_of(const struct set_flow *f)
{
    uint64_t id = 0;

    OFPACT_FOR_EACH(a, f->spec.acts.data, f->spec.acts.len) {
        const struct ofpact_load *load = (const void *)a;
        const struct ofpact_set_field *set = (const void *)a;

        if (a->type == OFPACT_LOAD && load->dst.field->id == FIELD_TUN_ID) {
            id = load->value;
        } else if (a->type == OFPACT_SET_FIELD && set->field->id == FIELD_TUN_ID) {
            memcpy(&id, set->value.b, sizeof id);
            id = be64toh(id);
        } else if (a->type == OFPACT_SET_TUNNEL) {
            id = ((const struct ofpact_u64 *)(const void *)a)->v;
        }
    }
    return id;
}

/* The number of the port that the flow outputs to, OFPORT_NONE if none. */
static uint32_t port_of(const struct set_flow *f)
{
    uint32_t port = OFPORT_NONE;

    OFPACT_FOR_EACH(a, f->spec.acts.data, f->spec.acts.len) {
        if (a->type == OFPACT_OUTPUT) {
            port = ofp_port_u32(((const struct ofpact_output *)(const void *)a)->port);
        }
    }
    return port;
}

/* F was learned: would it be learned like this now? */
static bool may_stay(const struct set_flow *f, const struct learnable *l)
{
    uint16_t vlan = vlan_of(f);
    uint32_t port = port_of(f);

    return vlan <= VLAN_MAX && l->vnis[vlan] && l->vnis[vlan] == tunnel_id_of(f) && port < LEARNABLE_PORTS &&
           l->ports[port] == 1 + l->types[vlan];
}

void reconcile(const struct flow_set *wanted, const struct flow_set *present, const struct learnable *learnable,
               struct flow_mods *ret)
{
    struct set_flow *f, *other, *next;

    HASH_ITER(hh, wanted->flows, f, next) {
        HASH_FIND(hh, present->flows, &f->id, sizeof f->id, other);
        if (!other || !same(f, other)) {
            struct of_flow_mod *fm = append(ret, OF_FLOW_ADD, f);

            fm->cookie = f->spec.cookie;
            fm->idle_timeout = f->spec.idle_timeout;
            fm->hard_timeout = f->spec.hard_timeout;
            fm->acts = f->spec.acts;
        }
    }
    HASH_ITER(hh, present->flows, f, next) {
        HASH_FIND(hh, wanted->flows, &f->id, sizeof f->id, other);
        if (other || f->spec.cookie != (WR_FORCE __be64)htobe64(AGENT_COOKIE)) {
            continue;
        }
        if (!is_learned(f) || !may_stay(f, learnable)) {
            append(ret, OF_FLOW_DELETE_STRICT, f);
        }
    }
}
