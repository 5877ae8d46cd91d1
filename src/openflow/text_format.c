/* SPDX-License-Identifier: Apache-2.0 */
/* Actions to text. */
#include <endian.h>

#include "openflow/action_codec.h"
#include "openflow/text_value.h"

static void format_controller(const struct ofpact_controller *c, struct strbuf *b)
{
    static const char *const reasons[] = {"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"};

    if (c->reason == 1 && !c->controller_id && !c->userdata_len && !c->meter_id) {
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
        strbuf_add(b, ",");
    }
    if (c->meter_id) {
        strbuf_addf(b, "meter_id=%u,", c->meter_id);
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

static void format_enqueue(const struct ofpact_enqueue *e, const struct name_map *names, struct strbuf *b)
{
    strbuf_add(b, "enqueue:");
    port_format(e->port, names, b);
    strbuf_addf(b, ":%u", e->queue);
}

static void format_output_trunc(const struct ofpact_output_trunc *out, const struct name_map *names, struct strbuf *b)
{
    strbuf_add(b, "output(port=");
    port_format(out->port, names, b);
    strbuf_addf(b, ",max_len=%u)", out->max_len);
}

static void format_cnt_ids(const struct ofpact_cnt_ids *a, struct strbuf *b)
{
    strbuf_add(b, "dec_ttl(");
    for (size_t i = 0; i < a->n; i++) {
        strbuf_addf(b, "%s%u", i ? "," : "", a->ids[i]);
    }
    strbuf_add(b, ")");
}

static void format_multipath(const struct ofpact_multipath *m, struct strbuf *b)
{
    strbuf_addf(b, "multipath(%s,%u,%s,%u,%u,", hash_fields_name(m->fields), m->basis,
                multipath_algorithm_name(m->algorithm), m->max_link + 1u, m->arg);
    subfield_format(&m->dst, b);
    strbuf_add(b, ")");
}

static void format_bundle(const struct ofpact_bundle *a, const struct name_map *names, struct strbuf *b)
{
    strbuf_addf(b, "%s(%s,%u,%s,ofport,", a->dst.field ? "bundle_load" : "bundle", hash_fields_name(a->fields),
                a->basis, bundle_algorithm_name(a->algorithm));
    if (a->dst.field) {
        subfield_format(&a->dst, b);
        strbuf_add(b, ",");
    }
    strbuf_add(b, "members:");
    for (size_t i = 0; i < a->n_members; i++) {
        strbuf_add(b, i ? "," : "");
        port_format(a->members[i], names, b);
    }
    strbuf_add(b, ")");
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

static void format_more_simple(const struct ofpact *a, struct strbuf *b)
{
    const void *p = a;
    uint32_t u32 = ((const struct ofpact_u32 *)p)->v;
    const struct ofpact_u64 *u64 = p;
    const struct ofpact_conjunction *c = p;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_TUNNEL:
        strbuf_addf(b, "set_tunnel%s:%#llx", u64->wide || u64->v > UINT32_MAX ? "64" : "", (unsigned long long)u64->v);
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
    case OFPACT_DEC_MPLS_TTL:
        strbuf_add(b, "dec_mpls_ttl");
        return;
    case OFPACT_EXIT:
        strbuf_add(b, "exit");
        return;
    case OFPACT_METER:
        strbuf_addf(b, "meter:%u", u32);
        return;
    case OFPACT_GROUP:
        strbuf_addf(b, "group:%u", u32);
        return;
    case OFPACT_CLEAR_ACTIONS:
        strbuf_add(b, "clear_actions");
        return;
    case OFPACT_GOTO_TABLE:
        strbuf_addf(b, "goto_table:%u", ((const struct ofpact_u16 *)p)->v);
        return;
    case OFPACT_CONJUNCTION:
        strbuf_addf(b, "conjunction(%u,%u/%u)", c->id, c->clause + 1u, c->n_clauses);
        return;
    default:
        return;
    }
}

/* Those that consist of a word and at most a number. */
static void format_simple(const struct ofpact *a, struct strbuf *b)
{
    const void *p = a;
    uint16_t u16 = ((const struct ofpact_u16 *)p)->v;
    uint32_t u32 = ((const struct ofpact_u32 *)p)->v;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_PUSH_VLAN:
        strbuf_addf(b, "push_vlan:0x%04x", u16);
        return;
    case OFPACT_POP_VLAN:
        strbuf_add(b, "pop_vlan");
        return;
    case OFPACT_STRIP_VLAN:
        strbuf_add(b, "strip_vlan");
        return;
    case OFPACT_SET_L4_SRC:
        strbuf_addf(b, "mod_tp_src:%u", u16);
        return;
    case OFPACT_SET_L4_DST:
        strbuf_addf(b, "mod_tp_dst:%u", u16);
        return;
    case OFPACT_SET_NW_TTL:
        strbuf_addf(b, "mod_nw_ttl:%u", u16);
        return;
    case OFPACT_SET_MPLS_LABEL:
        strbuf_addf(b, "set_mpls_label(%u)", u32);
        return;
    case OFPACT_SET_MPLS_TC:
        strbuf_addf(b, "set_mpls_tc(%u)", u16);
        return;
    case OFPACT_SET_MPLS_TTL:
        strbuf_addf(b, "set_mpls_ttl(%u)", u16);
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
    default:
        format_more_simple(a, b);
        return;
    }
}

/* Under the name that it had when it came. */
static void format_set_field(const struct ofpact_set_field *sf, const struct name_map *names, struct strbuf *b)
{
    const char *legacy = !sf->legacy                       ? NULL
                         : sf->field->id == FIELD_ETH_SRC  ? "mod_dl_src"
                         : sf->field->id == FIELD_ETH_DST  ? "mod_dl_dst"
                         : sf->field->id == FIELD_IPV4_SRC ? "mod_nw_src"
                         : sf->field->id == FIELD_IPV4_DST ? "mod_nw_dst"
                                                           : NULL;

    if (sf->legacy && sf->field->id == FIELD_IP_DSCP) {
        strbuf_addf(b, "mod_nw_tos:%u", sf->value.b[0] << 2);
        return;
    }
    strbuf_addf(b, "%s:", legacy ? legacy : "set_field");
    field_value_format(sf->field, &sf->value, &sf->mask, names, b);
    if (!legacy) {
        strbuf_addf(b, "->%s", sf->field->name);
    }
}

static void format_field_action(const struct ofpact *a, const struct name_map *names, struct strbuf *b)
{
    const void *p = a;
    const struct ofpact_load *load = p;
    const struct ofpact_move *move = p;
    const struct ofpact_check_pkt_larger *check = p;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_FIELD:
        format_set_field(p, names, b);
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
    case OFPACT_STACK_PUSH:
    case OFPACT_STACK_POP:
        strbuf_add(b, a->type == OFPACT_STACK_PUSH ? "push:" : "pop:");
        subfield_format(&((const struct ofpact_stack *)p)->sf, b);
        return;
    case OFPACT_DELETE_FIELD:
        strbuf_addf(b, "delete_field:%s", ((const struct ofpact_field *)p)->field->name);
        return;
    case OFPACT_CHECK_PKT_LARGER:
        strbuf_addf(b, "check_pkt_larger(%u)->", check->pkt_len);
        subfield_format(&check->dst, b);
        return;
    default:
        strbuf_add(b, "output:");
        subfield_format(&((const struct ofpact_output_reg *)p)->src, b);
        return;
    }
}

static void format_wide(const struct ofpact *a, const struct name_map *names, struct strbuf *b)
{
    const void *p = a;

    switch ((enum ofpact_type)a->type) {
    case OFPACT_ENQUEUE:
        format_enqueue(p, names, b);
        return;
    case OFPACT_OUTPUT_TRUNC:
        format_output_trunc(p, names, b);
        return;
    case OFPACT_DEC_TTL_IDS:
        format_cnt_ids(p, b);
        return;
    case OFPACT_MULTIPATH:
        format_multipath(p, b);
        return;
    case OFPACT_BUNDLE:
        format_bundle(p, names, b);
        return;
    default:
        format_simple(a, b);
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
    case OFPACT_STACK_PUSH:
    case OFPACT_STACK_POP:
    case OFPACT_DELETE_FIELD:
    case OFPACT_CHECK_PKT_LARGER:
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
        format_wide(a, names, b);
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
