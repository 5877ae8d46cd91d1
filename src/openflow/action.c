/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/action.h"

#include <assert.h>
#include <netinet/in.h>

#include "openflow/action_codec.h"
#include "openflow/error.h"

void ofpacts_done(struct ofpacts *a)
{
    free(a->data);
    memset(a, 0, sizeof *a);
}

void *ofpact_put(struct ofpacts *a, enum ofpact_type type, size_t size)
{
    struct ofpact *p;

    size = ROUND_UP(size, 8);
    assert(size <= UINT16_MAX);
    if (a->allocated - a->len < size) {
        a->allocated = MAX(a->allocated * 2, ROUND_UP(a->len + size, 128));
        a->data = xrealloc(a->data, a->allocated);
    }
    p = (struct ofpact *)(void *)(a->data + a->len);
    memset(p, 0, size);
    p->type = (uint16_t)type;
    p->len = (uint16_t)size;
    a->len += size;
    return p;
}

size_t ofpact_nest_open(struct ofpacts *a, enum ofpact_type type)
{
    size_t ofs = a->len;

    ofpact_put(a, type, sizeof(struct ofpact_nest));
    return ofs;
}

bool ofpact_nest_close(struct ofpacts *a, size_t ofs)
{
    size_t len = a->len - ofs;

    if (len > UINT16_MAX) {
        a->len = ofs;
        return false;
    }
    ((struct ofpact *)(void *)(a->data + ofs))->len = (uint16_t)len;
    return true;
}

static void note_vlan(uint8_t *acts, size_t len, bool tagged)
{
    for (size_t ofs = 0; ofs < len;) {
        struct ofpact *a = (struct ofpact *)(void *)(acts + ofs);

        ofs += a->len;
        switch ((enum ofpact_type)a->type) {
        case OFPACT_PUSH_VLAN:
            tagged = true;
            break;
        case OFPACT_POP_VLAN:
            tagged = false;
            break;
        case OFPACT_SET_VLAN_VID:
        case OFPACT_SET_VLAN_PCP:
            ((struct ofpact_u16 *)(void *)a)->has_vlan = tagged;
            tagged = true;
            break;
        case OFPACT_CLONE:
        case OFPACT_WRITE_ACTIONS:
            note_vlan((uint8_t *)a + sizeof(struct ofpact_nest), OFPACT_NESTED_LEN(a), tagged);
            break;
        default:
            break;
        }
    }
}

void ofpacts_note_vlan(struct ofpacts *acts, const struct match *match)
{
    note_vlan(acts->data, acts->len, match->value.key.vlan[0].tci & htons(FLOW_VLAN_PRESENT));
}

bool ofpacts_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    struct writer wa = {0}, wb = {0};
    bool equal;

    if (a_len == b_len && (!a_len || !memcmp(a, b, a_len))) {
        return true;
    }
    ofpacts_encode_instructions(a, a_len, 4, &wa);
    ofpacts_encode_instructions(b, b_len, 4, &wb);
    equal = wa.len == wb.len && (!wa.len || !memcmp(wa.data, wb.data, wa.len));
    writer_done(&wa);
    writer_done(&wb);
    return equal;
}

bool ofpacts_output_to(const void *acts, size_t len, ofp_port_t port)
{
    OFPACT_FOR_EACH(a, acts, len) {
        switch ((enum ofpact_type)a->type) {
        case OFPACT_OUTPUT:
            if (((const struct ofpact_output *)(const void *)a)->port == port) {
                return true;
            }
            break;
        case OFPACT_CONTROLLER:
            if (port == OFPP_CONTROLLER) {
                return true;
            }
            break;
        case OFPACT_CLONE:
        case OFPACT_WRITE_ACTIONS:
            if (ofpacts_output_to(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), port)) {
                return true;
            }
            break;
        default:
            break;
        }
    }
    return false;
}

bool ofpacts_use_group(const void *acts, size_t len, uint32_t group)
{
    OFPACT_FOR_EACH(a, acts, len) {
        switch ((enum ofpact_type)a->type) {
        case OFPACT_GROUP:
            if (((const struct ofpact_u32 *)(const void *)a)->v == group) {
                return true;
            }
            break;
        case OFPACT_CLONE:
        case OFPACT_WRITE_ACTIONS:
            if (ofpacts_use_group(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), group)) {
                return true;
            }
            break;
        default:
            break;
        }
    }
    return false;
}

bool output_port_ok(ofp_port_t port)
{
    uint32_t n = ofp_port_u32(port);

    return n < 0xff00 || (port >= OFPP_IN_PORT && port != OFPP_ANY);
}

int subfield_check(const struct subfield *sf, bool write, const struct flow *flow)
{
    if (!sf->field) {
        return OFERR_ACTION_BAD_SET_TYPE;
    }
    if (!sf->n_bits || sf->ofs + sf->n_bits > sf->field->n_bits) {
        return OFERR_ACTION_BAD_SET_LEN;
    }
    if (write && !sf->field->writable) {
        return OFERR_ACTION_BAD_SET_ARGUMENT;
    }
    return flow && !field_prereq_ok(sf->field, flow) ? OFERR_ACTION_MATCH_INCONSISTENT : 0;
}

static bool has_vlan(const struct flow *flow)
{
    return flow->key.vlan[0].tci & htons(FLOW_VLAN_PRESENT);
}

/* An action that changes which protocols the packet has, or needs one. FLOW follows the packet from the match on. */
static int check_protocol(const struct ofpact *a, struct flow *flow)
{
    uint16_t v = ((const struct ofpact_u16 *)(const void *)a)->v;
    struct flow_key *k = &flow->key;
    bool ip = k->eth_type == htons(0x0800) || k->eth_type == htons(0x86dd);
    bool ok = true;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_PUSH_VLAN:
        k->vlan[1] = k->vlan[0];
        k->vlan[0].tci = htons(FLOW_VLAN_PRESENT);
        break;
    case OFPACT_POP_VLAN:
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
        break;
    case OFPACT_POP_MPLS:
        ok = field_prereq_ok(field_get(FIELD_MPLS_LABEL), flow);
        k->eth_type = htons(v);
        break;
    case OFPACT_DEC_TTL:
        ok = ip;
        break;
    case OFPACT_FIN_TIMEOUT:
        ok = ip && k->ip_proto == IPPROTO_TCP;
        break;
    default:
        break;
    }
    return ok ? 0 : OFERR_ACTION_MATCH_INCONSISTENT;
}

static int check_set_field(const struct ofpact_set_field *sf, const struct flow *flow)
{
    if (!sf->field->writable) {
        return OFERR_ACTION_BAD_SET_ARGUMENT;
    }
    if (!field_prereq_ok(sf->field, flow) || (sf->field->id == FIELD_VLAN_VID && !has_vlan(flow))) {
        return OFERR_ACTION_MATCH_INCONSISTENT;
    }
    return 0;
}

static int check_list(const void *acts, size_t len, struct flow *flow, table_id_t table)
{
    OFPACT_FOR_EACH(a, acts, len) {
        const void *p = a;
        struct flow inner;
        int error = 0;

        switch ((enum ofpact_type)a->type) {
        case OFPACT_SET_FIELD:
            error = check_set_field(p, flow);
            break;
        case OFPACT_LOAD:
            error = subfield_check(&((const struct ofpact_load *)p)->dst, true, flow);
            break;
        case OFPACT_MOVE:
            error = subfield_check(&((const struct ofpact_move *)p)->src, false, flow);
            error = error ? error : subfield_check(&((const struct ofpact_move *)p)->dst, true, flow);
            break;
        case OFPACT_OUTPUT_REG:
            error = subfield_check(&((const struct ofpact_output_reg *)p)->src, false, flow);
            break;
        case OFPACT_LEARN:
            error = learn_check(p, flow);
            break;
        case OFPACT_GOTO_TABLE:
            if ((table != TABLE_ID_ALL && ((const struct ofpact_u16 *)p)->v <= table) ||
                ((const struct ofpact_u16 *)p)->v > TABLE_ID_MAX) {
                error = OFERR_INST_BAD_TABLE_ID;
            }
            break;
        case OFPACT_CLONE:
        case OFPACT_WRITE_ACTIONS:
            inner = *flow;
            error = check_list(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), &inner, table);
            break;
        default:
            error = check_protocol(a, flow);
        }
        if (error) {
            return error;
        }
    }
    return 0;
}

int ofpacts_check(const void *acts, size_t len, const struct match *match, table_id_t table)
{
    struct flow flow = match->value;

    return check_list(acts, len, &flow, table);
}
