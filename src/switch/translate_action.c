/* SPDX-License-Identifier: Apache-2.0 */
/* Actions that change the flow as it stands: fields, VLAN tags, TTL; and the action set. Nothing is emitted here. */
#include <arpa/inet.h>
#include <assert.h>

#include "switch/translate_private.h"

#define TCI_PRESENT htons(FLOW_VLAN_PRESENT)

/* ---- VLAN tags ---- */

static void show_vlans(struct xlate_ctx *x)
{
    x->s.flow.key.vlan[0] = x->s.vlans[0];
    x->s.flow.key.vlan[1] = x->s.vlans[1];
}

/* The second tag moves into sight or out of it, so it counts as looked at. */
static void look_inner_vlan(struct xlate_ctx *x)
{
    struct flow bits = {0};

    memset(&bits.key.vlan[1], 0xff, sizeof bits.key.vlan[1]);
    xlate_look(x, &bits);
}

void xlate_push_vlan(struct xlate_ctx *x, struct flow_vlan tag)
{
    look_inner_vlan(x);
    memmove(&x->s.vlans[1], &x->s.vlans[0], (XLATE_N_VLANS - 1) * sizeof x->s.vlans[0]);
    tag.tci |= TCI_PRESENT;
    x->s.vlans[0] = tag;
    show_vlans(x);
}

void xlate_pop_vlan(struct xlate_ctx *x)
{
    if (vlan_present(x->s.vlans[0])) {
        look_inner_vlan(x);
        memmove(&x->s.vlans[0], &x->s.vlans[1], (XLATE_N_VLANS - 1) * sizeof x->s.vlans[0]);
        memset(&x->s.vlans[XLATE_N_VLANS - 1], 0, sizeof x->s.vlans[0]);
        show_vlans(x);
    }
}

/* All 16 bits: zero takes the tag away, the present bit makes one where there is none. */
void xlate_set_tci(struct xlate_ctx *x, __be16 tci)
{
    if (tci & TCI_PRESENT) {
        if (!vlan_present(x->s.vlans[0])) {
            xlate_push_vlan(x, (struct flow_vlan){.tpid = htons(0x8100), .tci = tci});
        } else {
            x->s.vlans[0].tci = tci;
            show_vlans(x);
        }
    } else {
        xlate_pop_vlan(x);
    }
}

static bool is_vlan_field(const struct field *f)
{
    return f->id >= FIELD_VLAN_TCI && f->id <= FIELD_DL_VLAN_PCP;
}

/* VLAN fields are written on a copy that shows the outer tag only; what became of it is then done to the stack. */
static void write_vlan_field(struct xlate_ctx *x, const struct field *f, const union field_value *v)
{
    struct flow copy = x->s.flow;

    memset(&copy.key.vlan[1], 0, sizeof copy.key.vlan[1]);
    field_write(f, &copy, v);
    xlate_set_tci(x, copy.key.vlan[0].tci);
}

/* ---- fields ---- */

static void mark_written(struct xlate_ctx *x, const struct field *f, const union field_value *mask)
{
    const uint64_t *b;
    struct flow bits = {0};
    uint64_t *w = (uint64_t *)(void *)&x->s.written;

    switch (f->id) {
    case FIELD_TUN_SRC:
        memset(&bits.key.tunnel.src, 0xff, sizeof bits.key.tunnel.src);
        break;
    case FIELD_TUN_DST:
        memset(&bits.key.tunnel.dst, 0xff, sizeof bits.key.tunnel.dst);
        break;
    default:
        field_put_bits(f, &bits, mask);
    }
    b = (const uint64_t *)(const void *)&bits.key;
    for (size_t i = 0; i < FLOW_KEY_U64S; i++) {
        w[i] |= b[i];
    }
}

/* Does the packet have the field? That question looks at the prerequisites. */
static bool can_write(struct xlate_ctx *x, const struct field *f)
{
    static const union field_value none;
    struct flow bits = {0};

    field_unwildcard(f, &bits, &none);
    xlate_look(x, &bits);
    return field_prereq_ok(f, &x->s.flow);
}

static void write_field(struct xlate_ctx *x, const struct field *f, const union field_value *value,
                        const union field_value *mask)
{
    union field_value v;

    if (!can_write(x, f)) {
        return;
    }
    field_read(f, &x->s.flow, &v);
    for (size_t i = 0; i < f->n_bytes; i++) {
        v.b[i] = (uint8_t)((v.b[i] & ~mask->b[i]) | (value->b[i] & mask->b[i]));
    }
    if (is_vlan_field(f)) {
        write_vlan_field(x, f, &v);
    } else {
        field_write(f, &x->s.flow, &v);
        mark_written(x, f, mask);
    }
}

/* The low bits of VALUE (right-aligned in 16 bytes) at SF's place in its field. */
static void write_subfield(struct xlate_ctx *x, const struct subfield *sf, const union field_value *value)
{
    union field_value v = {0}, mask = {0};

    for (unsigned int i = 0; i < sf->n_bits; i++) {
        unsigned int from = i, to = sf->ofs + i, byte = sf->field->n_bytes - 1u - to / 8;

        if (byte >= sf->field->n_bytes) {
            break;
        }
        mask.b[byte] |= (uint8_t)(1u << to % 8);
        if (value->b[15 - from / 8] >> from % 8 & 1) {
            v.b[byte] |= (uint8_t)(1u << to % 8);
        }
    }
    write_field(x, sf->field, &v, &mask);
}

static void do_move(struct xlate_ctx *x, const struct ofpact_move *m)
{
    union field_value v;

    if (!can_write(x, m->src.field) || !can_write(x, m->dst.field)) {
        return;
    }
    xlate_look_subfield(x, &m->src);
    subfield_read(&m->src, &x->s.flow, &v);
    write_subfield(x, &m->dst, &v);
}

static void set_u64_field(struct xlate_ctx *x, enum field_id id, uint64_t n)
{
    const struct field *f = field_get(id);
    union field_value v = field_value_from_u64(n);

    write_subfield(x, &(struct subfield){.field = f, .ofs = 0, .n_bits = f->n_bits}, &v);
}

/* The port of whichever protocol the packet has. */
static void set_l4_port(struct xlate_ctx *x, const struct ofpact_u16 *a)
{
    bool src = a->h.type == OFPACT_SET_L4_SRC;

    set_u64_field(x, src ? FIELD_TCP_SRC : FIELD_TCP_DST, a->v);
    set_u64_field(x, src ? FIELD_UDP_SRC : FIELD_UDP_DST, a->v);
    set_u64_field(x, src ? FIELD_SCTP_SRC : FIELD_SCTP_DST, a->v);
}

static void set_vlan_bits(struct xlate_ctx *x, uint16_t bits, uint16_t mask)
{
    uint16_t tci = vlan_present(x->s.vlans[0]) ? ntohs(x->s.vlans[0].tci) : 0;

    xlate_set_tci(x, htons((uint16_t)((tci & ~mask) | (bits & mask) | FLOW_VLAN_PRESENT)));
}

bool xlate_dec_ttl(struct xlate_ctx *x)
{
    const struct field *f = field_get(FIELD_IP_TTL);
    const struct ofpact_controller c = {.max_len = UINT16_MAX};

    if (!can_write(x, f)) {
        return true;
    }
    xlate_look_field(x, f);
    if (x->s.flow.key.ip_ttl <= 1) {
        xlate_controller(x, &c, PACKET_IN_INVALID_TTL);
        xlate_note_drop(x, DROP_TTL);
        return false;
    }
    set_u64_field(x, FIELD_IP_TTL, x->s.flow.key.ip_ttl - 1u);
    return true;
}

static void push_vlan(struct xlate_ctx *x, uint16_t tpid)
{
    /* The new tag begins with the values of the one that was outermost (OpenFlow 1.3, 5.9.1). */
    __be16 tci = vlan_present(x->s.vlans[0]) ? x->s.vlans[0].tci : 0;

    xlate_push_vlan(x, (struct flow_vlan){.tpid = htons(tpid), .tci = tci});
}

bool xlate_field_action(struct xlate_ctx *x, const struct ofpact *a)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_SET_FIELD: {
        const struct ofpact_set_field *s = (const struct ofpact_set_field *)a;

        write_field(x, s->field, &s->value, &s->mask);
        return true;
    }
    case OFPACT_LOAD: {
        const struct ofpact_load *l = (const struct ofpact_load *)a;
        union field_value v = field_value_from_u64(l->value);

        write_subfield(x, &l->dst, &v);
        return true;
    }
    case OFPACT_MOVE:
        do_move(x, (const struct ofpact_move *)a);
        return true;
    case OFPACT_PUSH_VLAN:
        push_vlan(x, ((const struct ofpact_u16 *)a)->v);
        return true;
    case OFPACT_POP_VLAN:
    case OFPACT_STRIP_VLAN:
        xlate_pop_vlan(x);
        return true;
    case OFPACT_SET_VLAN_VID:
        set_vlan_bits(x, ((const struct ofpact_u16 *)a)->v, 0x0fff);
        return true;
    case OFPACT_SET_VLAN_PCP:
        set_vlan_bits(x, (uint16_t)(((const struct ofpact_u16 *)a)->v << 13), 0xe000);
        return true;
    case OFPACT_SET_TUNNEL:
        set_u64_field(x, FIELD_TUN_ID, ((const struct ofpact_u64 *)a)->v);
        return true;
    case OFPACT_SET_NW_TTL:
        set_u64_field(x, FIELD_IP_TTL, ((const struct ofpact_u16 *)a)->v);
        return true;
    case OFPACT_SET_L4_SRC:
    case OFPACT_SET_L4_DST:
        set_l4_port(x, (const struct ofpact_u16 *)a);
        return true;
    default:
        return false;
    }
}

static bool is_mpls_field(const struct field *f)
{
    return f->id >= FIELD_MPLS_LABEL && f->id <= FIELD_MPLS_TTL;
}

static int supports(const struct ofpact *a)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_PUSH_MPLS:
    case OFPACT_POP_MPLS:
    case OFPACT_SET_MPLS_LABEL:
    case OFPACT_SET_MPLS_TC:
    case OFPACT_SET_MPLS_TTL:
    case OFPACT_DEC_MPLS_TTL:
    case OFPACT_STACK_PUSH:
    case OFPACT_STACK_POP:
    case OFPACT_MULTIPATH:
    case OFPACT_BUNDLE:
    case OFPACT_CHECK_PKT_LARGER:
    case OFPACT_OUTPUT_TRUNC:
    case OFPACT_DEC_TTL_IDS:
        return OFERR_ACTION_BAD_TYPE;
    case OFPACT_SET_FIELD:
        return is_mpls_field(((const struct ofpact_set_field *)a)->field) ? OFERR_ACTION_BAD_SET_TYPE : 0;
    case OFPACT_LOAD:
        return is_mpls_field(((const struct ofpact_load *)a)->dst.field) ? OFERR_ACTION_BAD_SET_TYPE : 0;
    case OFPACT_MOVE:
        return is_mpls_field(((const struct ofpact_move *)a)->dst.field) ? OFERR_ACTION_BAD_SET_TYPE : 0;
    case OFPACT_CLONE:
    case OFPACT_WRITE_ACTIONS:
        return xlate_supports(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a));
    default:
        return 0;
    }
}

int xlate_supports(const void *actions, size_t len)
{
    OFPACT_FOR_EACH(a, actions, len) {
        int error = supports(a);

        if (error) {
            return error;
        }
    }
    return 0;
}

/* ---- action set (OpenFlow 1.3, 5.10) ---- */

/* The order of execution; what shares a rank and is not a set_field replaces its like. */
static int set_rank(const struct ofpact *a)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_POP_VLAN:
    case OFPACT_POP_MPLS:
        return 1;
    case OFPACT_PUSH_MPLS:
        return 2;
    case OFPACT_PUSH_VLAN:
        return 3;
    case OFPACT_DEC_TTL:
        return 4;
    case OFPACT_SET_FIELD:
    case OFPACT_LOAD:
    case OFPACT_MOVE:
    case OFPACT_SET_VLAN_VID:
    case OFPACT_SET_VLAN_PCP:
    case OFPACT_SET_TUNNEL:
        return 5;
    case OFPACT_SET_QUEUE:
        return 6;
    case OFPACT_OUTPUT:
    case OFPACT_CONTROLLER:
    case OFPACT_OUTPUT_REG:
        return 8;
    case OFPACT_RESUBMIT:
        return 9;
    default:
        return 0;
    }
}

void xlate_add_to_set(struct ofpacts *set, const void *actions, size_t len)
{
    OFPACT_FOR_EACH(a, actions, len) {
        if (set_rank(a)) {
            memcpy(ofpact_put(set, (enum ofpact_type)a->type, a->len), a, a->len);
        }
    }
}

/* The last one written of a kind counts; field settings all run, so that the last one to a field wins. */
static void run_rank(struct xlate_ctx *x, const struct ofpacts *set, int rank)
{
    const struct ofpact *last = NULL;

    OFPACT_FOR_EACH(a, set->data, set->len) {
        if (set_rank(a) == rank) {
            if (rank == 5) {
                xlate_actions(x, a, a->len);
            }
            last = a;
        }
    }
    if (last && rank != 5) {
        xlate_actions(x, last, last->len);
    }
}

void xlate_run_set(struct xlate_ctx *x)
{
    struct ofpacts set = x->s.action_set;
    enum packet_in_reason why = x->why;

    x->s.action_set = (struct ofpacts){0};
    x->why = PACKET_IN_ACTION_SET;
    x->stop = x->stop && x->reason == DROP_RESUBMIT_DEPTH;
    for (int rank = 1; rank <= 9 && set.len; rank++) {
        run_rank(x, &set, rank);
    }
    x->why = why;
    ofpacts_done(&set);
}
