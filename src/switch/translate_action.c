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

bool xlate_can_use(struct xlate_ctx *x, const struct field *f)
{
    static const union field_value none;
    struct flow bits = {0};

    if (f->prereq != PREREQ_NONE && f->prereq != PREREQ_VLAN) {
        xlate_reveal(x);
    }
    field_unwildcard(f, &bits, &none);
    xlate_look(x, &bits);
    return field_prereq_ok(f, &x->s.flow);
}

static void write_field(struct xlate_ctx *x, const struct field *f, const union field_value *value,
                        const union field_value *mask)
{
    union field_value v;

    if (!xlate_can_use(x, f)) {
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

void xlate_write_subfield(struct xlate_ctx *x, const struct subfield *sf, const union field_value *value)
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

    if (!xlate_can_use(x, m->src.field) || !xlate_can_use(x, m->dst.field)) {
        return;
    }
    xlate_look_subfield(x, &m->src);
    subfield_read(&m->src, &x->s.flow, &v);
    xlate_write_subfield(x, &m->dst, &v);
}

static void set_u64_field(struct xlate_ctx *x, enum field_id id, uint64_t n)
{
    const struct field *f = field_get(id);
    union field_value v = field_value_from_u64(n);

    xlate_write_subfield(x, &(struct subfield){.field = f, .ofs = 0, .n_bits = f->n_bits}, &v);
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

static void tell_ttl(struct xlate_ctx *x, uint16_t controller_id)
{
    const struct ofpact_controller c = {.max_len = UINT16_MAX, .controller_id = controller_id};

    xlate_controller(x, &c, PACKET_IN_INVALID_TTL);
}

bool xlate_dec_ttl(struct xlate_ctx *x, const struct ofpact_cnt_ids *ids)
{
    const struct field *f = field_get(FIELD_IP_TTL);

    if (!xlate_can_use(x, f)) {
        return true;
    }
    xlate_look_field(x, f);
    if (x->s.flow.key.ip_ttl > 1) {
        set_u64_field(x, FIELD_IP_TTL, x->s.flow.key.ip_ttl - 1u);
        return true;
    }
    if (!ids) {
        tell_ttl(x, 0);
    }
    for (size_t i = 0; ids && i < ids->n; i++) {
        tell_ttl(x, ids->ids[i]);
    }
    xlate_note_drop(x, DROP_TTL);
    return false;
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

        xlate_write_subfield(x, &l->dst, &v);
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
    case OFPACT_PUSH_MPLS:
        xlate_push_mpls(x, htons(((const struct ofpact_u16 *)a)->v));
        return true;
    case OFPACT_POP_MPLS:
        xlate_pop_mpls(x, htons(((const struct ofpact_u16 *)a)->v));
        return true;
    case OFPACT_SET_MPLS_LABEL:
        set_u64_field(x, FIELD_MPLS_LABEL, ((const struct ofpact_u32 *)a)->v);
        return true;
    case OFPACT_SET_MPLS_TC:
        set_u64_field(x, FIELD_MPLS_TC, ((const struct ofpact_u16 *)a)->v);
        return true;
    case OFPACT_SET_MPLS_TTL:
        set_u64_field(x, FIELD_MPLS_TTL, ((const struct ofpact_u16 *)a)->v);
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

int xlate_supports(const void *actions, size_t len)
{
    int labels = 0;

    OFPACT_FOR_EACH(a, actions, len) {
        int error = 0;

        labels += (a->type == OFPACT_PUSH_MPLS) - (a->type == OFPACT_POP_MPLS);
        if (a->type == OFPACT_CLONE || a->type == OFPACT_WRITE_ACTIONS) {
            error = xlate_supports(OFPACT_NESTED(a), OFPACT_NESTED_LEN(a));
        }
        if (error || labels > XLATE_N_LABELS) {
            return error ? error : OFERR_ACTION_BAD_TAG;
        }
    }
    return 0;
}

/* ---- action set (OpenFlow 1.5, 5.6) ---- */

/* The order of execution. Of those that end the packet's way only the one of the highest rank is executed. */
enum set_rank {
    RANK_NONE,
    RANK_POP,
    RANK_PUSH_MPLS,
    RANK_PUSH_VLAN,
    RANK_DEC_TTL,
    RANK_SET, /* all of them, as they were written: so the last to a field wins */
    RANK_QOS,
    RANK_RESUBMIT,
    RANK_OUTPUT,
    RANK_GROUP,
};

static enum set_rank set_rank(const struct ofpact *a)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_POP_VLAN:
    case OFPACT_STRIP_VLAN:
    case OFPACT_POP_MPLS:
        return RANK_POP;
    case OFPACT_PUSH_MPLS:
        return RANK_PUSH_MPLS;
    case OFPACT_PUSH_VLAN:
        return RANK_PUSH_VLAN;
    case OFPACT_DEC_TTL:
    case OFPACT_DEC_MPLS_TTL:
        return RANK_DEC_TTL;
    case OFPACT_SET_FIELD:
    case OFPACT_LOAD:
    case OFPACT_MOVE:
    case OFPACT_SET_VLAN_VID:
    case OFPACT_SET_VLAN_PCP:
    case OFPACT_SET_TUNNEL:
    case OFPACT_SET_NW_TTL:
    case OFPACT_SET_L4_SRC:
    case OFPACT_SET_L4_DST:
    case OFPACT_SET_MPLS_LABEL:
    case OFPACT_SET_MPLS_TC:
    case OFPACT_SET_MPLS_TTL:
        return RANK_SET;
    case OFPACT_METER:
    case OFPACT_SET_QUEUE:
        return RANK_QOS;
    case OFPACT_RESUBMIT:
        return RANK_RESUBMIT;
    case OFPACT_OUTPUT:
        return RANK_OUTPUT;
    case OFPACT_GROUP:
        return RANK_GROUP;
    default:
        return RANK_NONE;
    }
}

static const struct ofpact *find_last(const struct ofpacts *set, enum ofpact_type type)
{
    const struct ofpact *last = NULL;

    OFPACT_FOR_EACH(a, set->data, set->len) {
        if (a->type == type) {
            last = a;
        }
    }
    return last;
}

/* What the set now outputs to, as the pipeline field that can be matched (ovs-fields(7)): a group hides it. */
static void note_set_output(struct xlate_ctx *x)
{
    const struct ofpacts *set = &x->s.action_set;
    const struct ofpact_output *out = (const struct ofpact_output *)find_last(set, OFPACT_OUTPUT);

    x->s.flow.actset_output = out && !find_last(set, OFPACT_GROUP) ? out->port : OFPP_UNSET;
}

static void append(struct ofpacts *list, const struct ofpact *a)
{
    memcpy(ofpact_put(list, (enum ofpact_type)a->type, a->len), a, a->len);
}

/* As far as sets hold such. */
static void add_to_set(struct ofpacts *set, const void *actions, size_t len)
{
    OFPACT_FOR_EACH(a, actions, len) {
        if (set_rank(a)) {
            append(set, a);
        }
    }
}

void xlate_write_actions(struct xlate_ctx *x, const void *actions, size_t len)
{
    add_to_set(&x->s.action_set, actions, len);
    note_set_output(x);
}

void xlate_clear_actions(struct xlate_ctx *x)
{
    ofpacts_done(&x->s.action_set);
    note_set_output(x);
}

/* Is A the one of its kind that counts, the last one written? */
static bool counts(const struct ofpacts *set, const struct ofpact *a)
{
    return set_rank(a) == RANK_SET || find_last(set, (enum ofpact_type)a->type) == a;
}

/* The set as a list: nothing, when it sends the packet nowhere. */
static void order_set(const struct ofpacts *set, struct ofpacts *list)
{
    enum set_rank final = RANK_NONE;

    OFPACT_FOR_EACH(a, set->data, set->len) {
        enum set_rank rank = set_rank(a);

        final = rank >= RANK_RESUBMIT ? MAX(final, rank) : final;
    }
    for (enum set_rank rank = RANK_POP; final && rank <= final; rank++) {
        if (rank >= RANK_RESUBMIT && rank != final) {
            continue;
        }
        OFPACT_FOR_EACH(a, set->data, set->len) {
            if (set_rank(a) == rank && counts(set, a)) {
                append(list, a);
            }
        }
    }
}

static void run_set(struct xlate_ctx *x, const struct ofpacts *set)
{
    enum packet_in_reason why = x->why;
    struct ofpacts list = {0};

    order_set(set, &list);
    x->why = why == PACKET_IN_ACTION ? PACKET_IN_ACTION_SET : why;
    x->stop = false;
    xlate_actions(x, list.data, list.len);
    x->why = why;
    ofpacts_done(&list);
}

void xlate_run_set(struct xlate_ctx *x)
{
    struct ofpacts set = x->s.action_set;

    x->s.action_set = (struct ofpacts){0};
    run_set(x, &set);
    ofpacts_done(&set);
}

void xlate_run_as_set(struct xlate_ctx *x, const void *actions, size_t len)
{
    struct ofpacts set = {0};

    add_to_set(&set, actions, len);
    run_set(x, &set);
    ofpacts_done(&set);
}
