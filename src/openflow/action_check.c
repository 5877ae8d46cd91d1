/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said of a list of actions without a switch: does the match ensure what each action needs (OpenFlow 1.3,
 * 7.2.5: OFPBAC_MATCH_INCONSISTENT), may each stand where it does, do tables lead forwards? A flow goes along that
 * holds what is sure of the packet at each point.
 */
#include <netinet/in.h>

#include "openflow/action_codec.h"
#include "openflow/error.h"

struct check {
    table_id_t table;
    bool of10; /* an action that finds no header of its kind does nothing */
};

static int check_list(const struct check *c, const void *acts, size_t len, struct flow *flow);

bool output_port_ok(ofp_port_t port)
{
    uint32_t n = ofp_port_u32(port);

    return n < 0xff00 || (port >= OFPP_IN_PORT && port != OFPP_ANY);
}

bool output_trunc_port_ok(ofp_port_t port)
{
    return ofp_port_u32(port) < 0xff00 || port == OFPP_LOCAL || port == OFPP_IN_PORT;
}

int subfield_check(const struct subfield *sf, bool write, const struct flow *flow)
{
    if (!sf->field) {
        return OFERR_ACTION_BAD_SET_TYPE;
    }
    if (field_is_tun_metadata(sf->field) && !sf->field->n_bytes) {
        return OFERR_TLV_INVALID_FIELD;
    }
    if (!sf->n_bits || sf->ofs + sf->n_bits > sf->field->n_bits) {
        return OFERR_ACTION_BAD_SET_LEN;
    }
    if (write && !sf->field->writable) {
        return OFERR_ACTION_BAD_SET_ARGUMENT;
    }
    return flow && !field_prereq_ok(sf->field, flow) ? OFERR_ACTION_MATCH_INCONSISTENT : 0;
}

bool conjunctions_alone(const void *acts, size_t len)
{
    bool some = false, others = false;

    OFPACT_FOR_EACH(a, acts, len) {
        some |= a->type == OFPACT_CONJUNCTION;
        others |= a->type != OFPACT_CONJUNCTION && a->type != OFPACT_NOTE;
    }
    return !some || !others;
}

static bool has_vlan(const struct flow *flow)
{
    return flow->key.vlan[0].tci & htons(FLOW_VLAN_PRESENT);
}

/* An action that changes which protocols the packet has, or needs one. False: it may not have that. */
static bool follow_protocol(const struct ofpact *a, struct flow *flow)
{
    uint16_t v = ((const struct ofpact_u16 *)(const void *)a)->v;
    struct flow_key *k = &flow->key;
    bool ok = true;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_PUSH_VLAN:
        k->vlan[1] = k->vlan[0];
        k->vlan[0].tci = htons(FLOW_VLAN_PRESENT);
        break;
    case OFPACT_POP_VLAN:
    case OFPACT_STRIP_VLAN:
        ok = has_vlan(flow);
        k->vlan[0] = k->vlan[1];
        memset(&k->vlan[1], 0, sizeof k->vlan[1]);
        break;
    case OFPACT_SET_VLAN_VID:
    case OFPACT_SET_VLAN_PCP:
        k->vlan[0].tci |= htons(FLOW_VLAN_PRESENT);
        break;
    case OFPACT_PUSH_MPLS:
        k->eth_type = htons(v);
        k->ip_proto = 0; /* what is below the label is out of sight */
        break;
    case OFPACT_POP_MPLS:
        ok = field_prereq_ok(field_get(FIELD_MPLS_LABEL), flow);
        k->eth_type = htons(v);
        break;
    case OFPACT_SET_MPLS_LABEL:
    case OFPACT_SET_MPLS_TC:
    case OFPACT_SET_MPLS_TTL:
    case OFPACT_DEC_MPLS_TTL:
        ok = field_prereq_ok(field_get(FIELD_MPLS_LABEL), flow);
        break;
    case OFPACT_DEC_TTL:
    case OFPACT_DEC_TTL_IDS:
    case OFPACT_SET_NW_TTL:
        ok = field_prereq_ok(field_get(FIELD_IP_TTL), flow);
        break;
    case OFPACT_SET_L4_SRC:
    case OFPACT_SET_L4_DST:
        ok = field_prereq_ok(field_get(FIELD_TCP_SRC), flow) || field_prereq_ok(field_get(FIELD_UDP_SRC), flow) ||
             field_prereq_ok(field_get(FIELD_SCTP_SRC), flow);
        break;
    case OFPACT_FIN_TIMEOUT:
        ok = field_prereq_ok(field_get(FIELD_TCP_SRC), flow);
        break;
    default:
        break;
    }
    return ok;
}

static int check_set_field(const struct ofpact_set_field *sf, const struct flow *flow)
{
    if (!sf->field->writable) {
        return OFERR_ACTION_BAD_SET_ARGUMENT;
    }
    if (!sf->legacy && (!field_prereq_ok(sf->field, flow) || (sf->field->id == FIELD_VLAN_VID && !has_vlan(flow)))) {
        return OFERR_ACTION_MATCH_INCONSISTENT;
    }
    return 0;
}

/* Actions that read or write fields. */
static int check_fields(const struct ofpact *a, const struct flow *flow)
{
    const void *p = a;
    const struct ofpact_move *move = p;
    const struct ofpact_bundle *bundle = p;
    int error;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_FIELD:
        return check_set_field(p, flow);
    case OFPACT_LOAD:
        return subfield_check(&((const struct ofpact_load *)p)->dst, true, flow);
    case OFPACT_MOVE:
        error = subfield_check(&move->src, false, flow);
        return error ? error : subfield_check(&move->dst, true, flow);
    case OFPACT_OUTPUT_REG:
        return subfield_check(&((const struct ofpact_output_reg *)p)->src, false, flow);
    case OFPACT_STACK_PUSH:
        return subfield_check(&((const struct ofpact_stack *)p)->sf, false, flow);
    case OFPACT_STACK_POP:
        return subfield_check(&((const struct ofpact_stack *)p)->sf, true, flow);
    case OFPACT_MULTIPATH:
        return subfield_check(&((const struct ofpact_multipath *)p)->dst, true, flow);
    case OFPACT_BUNDLE:
        return bundle->dst.field ? subfield_check(&bundle->dst, true, flow) : 0;
    case OFPACT_CHECK_PKT_LARGER:
        return subfield_check(&((const struct ofpact_check_pkt_larger *)p)->dst, true, flow);
    default:
        return learn_check(p, flow);
    }
}

/* What an action set can hold (OpenFlow 1.5, 5.6): actions of a rank there, and Nicira's that are like one. */
static bool allowed_in_set(const struct ofpact *a)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_OUTPUT:
    case OFPACT_GROUP:
    case OFPACT_RESUBMIT:
    case OFPACT_METER:
    case OFPACT_SET_QUEUE:
    case OFPACT_SET_FIELD:
    case OFPACT_LOAD:
    case OFPACT_MOVE:
    case OFPACT_SET_TUNNEL:
    case OFPACT_SET_VLAN_VID:
    case OFPACT_SET_VLAN_PCP:
    case OFPACT_SET_L4_SRC:
    case OFPACT_SET_L4_DST:
    case OFPACT_SET_NW_TTL:
    case OFPACT_DEC_TTL:
    case OFPACT_SET_MPLS_LABEL:
    case OFPACT_SET_MPLS_TC:
    case OFPACT_SET_MPLS_TTL:
    case OFPACT_DEC_MPLS_TTL:
    case OFPACT_PUSH_VLAN:
    case OFPACT_POP_VLAN:
    case OFPACT_STRIP_VLAN:
    case OFPACT_PUSH_MPLS:
    case OFPACT_POP_MPLS:
        return true;
    default:
        return false;
    }
}

static int check_nest(const struct check *c, const struct ofpact *a, const struct flow *flow)
{
    /* The set runs in an order of its own, on a packet that later tables may have changed: who knows its protocol? */
    struct check in = {.table = c->table, .of10 = c->of10 || a->type == OFPACT_WRITE_ACTIONS};
    struct flow inner = *flow;

    OFPACT_FOR_EACH(n, OFPACT_NESTED(a), OFPACT_NESTED_LEN(a)) {
        if (n->type == OFPACT_CONJUNCTION || (a->type == OFPACT_WRITE_ACTIONS && !allowed_in_set(n))) {
            return OFERR_ACTION_BAD_TYPE;
        }
    }
    return check_list(&in, OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), &inner);
}

static int check_one(const struct check *c, const struct ofpact *a, struct flow *flow)
{
    uint16_t table = ((const struct ofpact_u16 *)(const void *)a)->v;
    bool tagged;
    int error;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_FIELD:
    case OFPACT_LOAD:
        error = check_fields(a, flow);
        if (!error && ofpact_loads_tag(a, &tagged)) {
            flow->key.vlan[0].tci = tagged ? htons(FLOW_VLAN_PRESENT) : 0;
        }
        return error;
    case OFPACT_MOVE:
    case OFPACT_OUTPUT_REG:
    case OFPACT_STACK_PUSH:
    case OFPACT_STACK_POP:
    case OFPACT_MULTIPATH:
    case OFPACT_BUNDLE:
    case OFPACT_CHECK_PKT_LARGER:
    case OFPACT_LEARN:
        return check_fields(a, flow);
    case OFPACT_GOTO_TABLE:
        return (c->table != TABLE_ID_ALL && table <= c->table) || table > TABLE_ID_MAX ? OFERR_INST_BAD_TABLE_ID : 0;
    case OFPACT_CLONE:
    case OFPACT_WRITE_ACTIONS:
        return check_nest(c, a, flow);
    default:
        return follow_protocol(a, flow) || c->of10 ? 0 : OFERR_ACTION_MATCH_INCONSISTENT;
    }
}

static int check_list(const struct check *c, const void *acts, size_t len, struct flow *flow)
{
    OFPACT_FOR_EACH(a, acts, len) {
        int error = check_one(c, a, flow);

        if (error) {
            return error;
        }
    }
    return 0;
}

static int check(const void *acts, size_t len, const struct match *match, table_id_t table, bool of10)
{
    struct check c = {.table = table, .of10 = of10};
    struct flow flow = match->value;

    return conjunctions_alone(acts, len) ? check_list(&c, acts, len, &flow) : OFERR_NXBAC_BAD_CONJUNCTION;
}

int ofpacts_check(const void *acts, size_t len, const struct match *match, table_id_t table)
{
    return check(acts, len, match, table, false);
}

int ofpacts_check_of10(const void *acts, size_t len, const struct match *match, table_id_t table)
{
    return check(acts, len, match, table, true);
}
