/* SPDX-License-Identifier: Apache-2.0 */
/* Actions to text. */
#include <endian.h>

#include "openflow/action_codec.h"
#include "openflow/text_value.h"

static void format_controller(const struct ofpact_controller *c, struct strbuf *b)
{
    static const char *const reasons[] = {"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"};

    if (c->reason == 1 && !c->controller_id && !c->userdata_len) {
        strbuf_addf(b, "CONTROLLER:%u", c->max_len);
        return;
    }
    strbuf_add(b, "controller(");
    if (c->reason != 1) {
        if (c->reason < ARRAY_SIZE(reasons)) {
            strbuf_addf(b, "reason=%s,", reasons[c->reason]);
        } else {
            strbuf_addf(b, "reason=%u,", c->reason);
        }
    }
    if (c->max_len != UINT16_MAX) {
        strbuf_addf(b, "max_len=%u,", c->max_len);
    }
    if (c->controller_id) {
        strbuf_addf(b, "id=%u,", c->controller_id);
    }
    if (c->userdata_len) {
        strbuf_add(b, "userdata=");
        for (size_t i = 0; i < c->userdata_len; i++) {
            strbuf_addf(b, "%s%02x", i ? "." : "", c->userdata[i]);
        }
    }
    strbuf_chomp(b, ',');
    strbuf_add(b, ")");
}

static void format_output(const struct ofpact_output *out, const struct name_map *names, struct strbuf *b)
{
    if (out->port < OFPP_MAX) {
        strbuf_add(b, "output:");
    }
    port_format(out->port, names, b);
    if (out->port == OFPP_CONTROLLER) {
        strbuf_addf(b, ":%u", out->max_len);
    }
}

static void format_resubmit(const struct ofpact_resubmit *a, const struct name_map *names, struct strbuf *b)
{
    bool port = a->in_port != OFPP_IN_PORT;

    if (port && a->table == TABLE_ID_ALL) {
        strbuf_add(b, "resubmit:");
        port_format(a->in_port, names, b);
        return;
    }
    strbuf_add(b, "resubmit(");
    if (port) {
        port_format(a->in_port, names, b);
    }
    strbuf_add(b, ",");
    if (a->table != TABLE_ID_ALL) {
        strbuf_addf(b, "%u", a->table);
    }
    strbuf_add(b, ")");
}

static void format_note(const struct ofpact_note *note, struct strbuf *b)
{
    strbuf_add(b, "note:");
    for (size_t i = 0; i < note->n; i++) {
        strbuf_addf(b, "%s%02x", i ? "." : "", note->data[i]);
    }
}

static void format_fin_timeout(const struct ofpact_fin_timeout *fin, struct strbuf *b)
{
    strbuf_add(b, "fin_timeout(");
    if (fin->idle) {
        strbuf_addf(b, "idle_timeout=%u,", fin->idle);
    }
    if (fin->hard) {
        strbuf_addf(b, "hard_timeout=%u,", fin->hard);
    }
    strbuf_chomp(b, ',');
    strbuf_add(b, ")");
}

static void format_nest(const char *name, const struct ofpact *a, const struct name_map *names, struct strbuf *b)
{
    strbuf_addf(b, "%s(", name);
    if (OFPACT_NESTED_LEN(a)) {
        ofpacts_format(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a), names, b);
    }
    strbuf_add(b, ")");
}

static void format_metadata(const struct ofpact_metadata *m, struct strbuf *b)
{
    union field_value value = {0}, mask = {0};

    memcpy(value.b, &m->value, 8);
    memcpy(mask.b, &m->mask, 8);
    strbuf_add(b, "write_metadata:");
    field_value_format(field_get(FIELD_METADATA), &value, &mask, NULL, b);
}

/* Those that consist of a word and at most a number. */
static void format_simple(const struct ofpact *a, struct strbuf *b)
{
    const void *p = a;
    uint16_t u16 = ((const struct ofpact_u16 *)p)->v;
    uint32_t u32 = ((const struct ofpact_u32 *)p)->v;
    const struct ofpact_u64 *u64 = p;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_PUSH_VLAN:
        strbuf_addf(b, "push_vlan:0x%04x", u16);
        return;
    case OFPACT_POP_VLAN:
        strbuf_add(b, "pop_vlan");
        return;
    case OFPACT_SET_VLAN_VID:
        strbuf_addf(b, "mod_vlan_vid:%u", u16);
        return;
    case OFPACT_SET_VLAN_PCP:
        strbuf_addf(b, "mod_vlan_pcp:%u", u16);
        return;
    case OFPACT_PUSH_MPLS:
        strbuf_addf(b, "push_mpls:0x%04x", u16);
        return;
    case OFPACT_POP_MPLS:
        strbuf_addf(b, "pop_mpls:0x%04x", u16);
        return;
    case OFPACT_SET_TUNNEL:
        strbuf_addf(b, u64->wide ? "set_tunnel64:%#llx" : "set_tunnel:%#llx", (unsigned long long)u64->v);
        return;
    case OFPACT_SET_QUEUE:
        strbuf_addf(b, "set_queue:%u", u32);
        return;
    case OFPACT_POP_QUEUE:
        strbuf_add(b, "pop_queue");
        return;
    case OFPACT_DEC_TTL:
        strbuf_add(b, "dec_ttl");
        return;
    case OFPACT_EXIT:
        strbuf_add(b, "exit");
        return;
    case OFPACT_METER:
        strbuf_addf(b, "meter:%u", u32);
        return;
    case OFPACT_CLEAR_ACTIONS:
        strbuf_add(b, "clear_actions");
        return;
    case OFPACT_GOTO_TABLE:
        strbuf_addf(b, "goto_table:%u", u16);
        return;
    default:
        return;
    }
}

static void format_field_action(const struct ofpact *a, const struct name_map *names, struct strbuf *b)
{
    const void *p = a;
    const struct ofpact_set_field *sf = p;
    const struct ofpact_load *load = p;
    const struct ofpact_move *move = p;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_FIELD:
        strbuf_add(b, "set_field:");
        field_value_format(sf->field, &sf->value, &sf->mask, names, b);
        strbuf_addf(b, "->%s", sf->field->name);
        return;
    case OFPACT_LOAD:
        strbuf_addf(b, "load:%#llx->", (unsigned long long)load->value);
        subfield_format(&load->dst, b);
        return;
    case OFPACT_MOVE:
        strbuf_add(b, "move:");
        subfield_format(&move->src, b);
        strbuf_add(b, "->");
        subfield_format(&move->dst, b);
        return;
    default:
        strbuf_add(b, "output:");
        subfield_format(&((const struct ofpact_output_reg *)p)->src, b);
        return;
    }
}

static void format_one(const struct ofpact *a, const struct name_map *names, struct strbuf *b)
{
    const void *p = a;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_OUTPUT:
        format_output(p, names, b);
        return;
    case OFPACT_CONTROLLER:
        format_controller(p, b);
        return;
    case OFPACT_OUTPUT_REG:
    case OFPACT_SET_FIELD:
    case OFPACT_LOAD:
    case OFPACT_MOVE:
        format_field_action(a, names, b);
        return;
    case OFPACT_RESUBMIT:
        format_resubmit(p, names, b);
        return;
    case OFPACT_LEARN:
        learn_format(p, names, b);
        return;
    case OFPACT_NOTE:
        format_note(p, b);
        return;
    case OFPACT_CLONE:
        format_nest("clone", a, names, b);
        return;
    case OFPACT_WRITE_ACTIONS:
        format_nest("write_actions", a, names, b);
        return;
    case OFPACT_WRITE_METADATA:
        format_metadata(p, b);
        return;
    case OFPACT_FIN_TIMEOUT:
        format_fin_timeout(p, b);
        return;
    default:
        format_simple(a, b);
        return;
    }
}

void ofpacts_format(const void *acts, size_t len, const struct name_map *names, struct strbuf *b)
{
    if (!len) {
        strbuf_add(b, "drop");
        return;
    }
    OFPACT_FOR_EACH(a, acts, len) {
        format_one(a, names, b);
        if ((const uint8_t *)a + a->len < (const uint8_t *)acts + len) {
            strbuf_add(b, ",");
        }
    }
}
