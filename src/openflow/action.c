/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/action.h"

#include <assert.h>
#include <netinet/in.h>

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

bool ofpact_loads_tag(const struct ofpact *a, bool *ret_tagged)
{
    const struct ofpact_set_field *set = (const struct ofpact_set_field *)(const void *)a;
    const struct ofpact_load *load = (const struct ofpact_load *)(const void *)a;
    union field_value value, mask, from;

    if (a->type == OFPACT_SET_FIELD) {
        value = set->value;
        mask = set->mask;
    } else if (a->type == OFPACT_LOAD) {
        from = field_value_from_u64(load->value);
        subfield_place(&load->dst, &from, &value, &mask);
    } else {
        return false;
    }
    if ((a->type == OFPACT_LOAD ? load->dst.field : set->field)->id != FIELD_VLAN_TCI ||
        !(mask.b[0] & FLOW_VLAN_PRESENT >> 8)) {
        return false;
    }
    *ret_tagged = value.b[0] & FLOW_VLAN_PRESENT >> 8;
    return true;
}

static void note_vlan(uint8_t *acts, size_t len, bool tagged, uint8_t ip_proto)
{
    for (size_t ofs = 0; ofs < len;) {
        struct ofpact *a = (struct ofpact *)(void *)(acts + ofs);

        ofs += a->len;
        switch ((enum ofpact_type)a->type) {
        case OFPACT_PUSH_VLAN:
            tagged = true;
            break;
        case OFPACT_POP_VLAN:
        case OFPACT_STRIP_VLAN:
            tagged = false;
            break;
        case OFPACT_SET_VLAN_VID:
        case OFPACT_SET_VLAN_PCP:
            ((struct ofpact_u16 *)(void *)a)->has_vlan = tagged;
            tagged = true;
            break;
        case OFPACT_SET_FIELD:
        case OFPACT_LOAD:
            ofpact_loads_tag(a, &tagged);
            break;
        case OFPACT_SET_L4_SRC:
        case OFPACT_SET_L4_DST:
            ((struct ofpact_u16 *)(void *)a)->ip_proto = ip_proto;
            break;
        case OFPACT_CLONE:
        case OFPACT_WRITE_ACTIONS:
            note_vlan((uint8_t *)a + sizeof(struct ofpact_nest), OFPACT_NESTED_LEN(a), tagged, ip_proto);
            break;
        default:
            break;
        }
    }
}

void ofpacts_note_vlan(struct ofpacts *acts, const struct match *match)
{
    const struct flow_key *k = &match->value.key;
    bool ip = k->eth_type == htons(0x0800) || k->eth_type == htons(0x86dd);

    note_vlan(acts->data, acts->len, k->vlan[0].tci & htons(FLOW_VLAN_PRESENT), ip ? k->ip_proto : 0);
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
        case OFPACT_ENQUEUE:
            if (((const struct ofpact_enqueue *)(const void *)a)->port == port) {
                return true;
            }
            break;
        case OFPACT_OUTPUT_TRUNC:
            if (((const struct ofpact_output_trunc *)(const void *)a)->port == port) {
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
