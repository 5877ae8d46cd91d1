/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The learn action: a flow made from the packet at hand. It takes effect as MODIFY_STRICT that adds (an upsert), so
 * that traffic refreshes the learned flow's hard timeout; traffic of before it was last changed leaves it alone. With a
 * limit, a new flow is made only while its table holds fewer flows of its cookie; those that are there are refreshed
 * all the same.
 */
#include "switch/translate_private.h"

#include "base/log.h"

LOG_MODULE("learn");

static union field_value spec_value(const struct learn_spec *s, const struct flow *flow)
{
    union field_value v = {0};

    if (s->src_type == LEARN_SRC_FIELD) {
        subfield_read(&s->src, flow, &v);
    } else {
        v = s->imm;
    }
    return v;
}

/* Puts the low bits of VALUE at SF's place in *V and sets those bits in *MASK. */
static void place_bits(const struct subfield *sf, const union field_value *value, union field_value *v,
                       union field_value *mask)
{
    for (unsigned int i = 0; i < sf->n_bits; i++) {
        unsigned int to = sf->ofs + i, byte = sf->field->n_bytes - 1u - to / 8;
        uint8_t bit = (uint8_t)(1u << to % 8);

        if (byte >= sf->field->n_bytes) {
            return;
        }
        mask->b[byte] |= bit;
        v->b[byte] = (uint8_t)(value->b[15 - i / 8] >> i % 8 & 1 ? v->b[byte] | bit : v->b[byte] & ~bit);
    }
}

static void add_match(struct match *m, const struct learn_spec *s, const union field_value *value)
{
    union field_value v, mask;

    field_read(s->dst.field, &m->value, &v);
    field_read(s->dst.field, &m->mask, &mask);
    place_bits(&s->dst, value, &v, &mask);
    if (match_set_field(m, s->dst.field, &v, &mask)) {
        log_limited(LOG_LEVEL_WARN, "learn: %s cannot be matched under this mask", s->dst.field->name);
    }
}

static void add_load(struct ofpacts *acts, const struct learn_spec *s, const union field_value *value)
{
    if (s->dst.n_bits <= 64) {
        struct ofpact_load *load = ofpact_put(acts, OFPACT_LOAD, sizeof *load);

        load->dst = s->dst;
        load->value = field_value_u64(value);
    } else {
        struct ofpact_set_field *set = ofpact_put(acts, OFPACT_SET_FIELD, sizeof *set);

        set->field = s->dst.field;
        place_bits(&s->dst, value, &set->value, &set->mask);
    }
}

static void add_output(struct ofpacts *acts, const struct learn_spec *s, const union field_value *value)
{
    uint64_t n = field_value_u64(value);
    struct ofpact_output *out = ofpact_put(acts, OFPACT_OUTPUT, sizeof *out);

    if (s->n_bits <= 16 && n >= 0xff00) {
        n |= 0xffff0000;
    }
    out->port = ofp_port((uint32_t)n);
}

void learn_make(const struct ofpact_learn *learn, const struct flow *flow, struct flow_change *ret,
                struct ofpacts *acts)
{
    *ret = (struct flow_change){
        .command = FLOW_MOD_MODIFY_STRICT,
        .table = learn->table,
        .priority = learn->priority,
        .cookie = learn->cookie,
        .modify_cookie = true,
        .new_cookie = learn->cookie,
        .modify_adds = true,
        .idle_timeout = learn->idle_timeout,
        .hard_timeout = learn->hard_timeout,
        .flags = learn->flags & LEARN_F_SEND_FLOW_REM ? RULE_SEND_FLOW_REM : 0,
        .out_port = OFPP_ANY,
    };
    if (learn->fin_idle_timeout || learn->fin_hard_timeout) {
        struct ofpact_fin_timeout *fin = ofpact_put(acts, OFPACT_FIN_TIMEOUT, sizeof *fin);

        fin->idle = learn->fin_idle_timeout;
        fin->hard = learn->fin_hard_timeout;
    }
    for (unsigned int i = 0; i < learn->n_specs; i++) {
        const struct learn_spec *s = &learn->specs[i];
        union field_value v = spec_value(s, flow);

        switch ((enum learn_dst)s->dst_type) {
        case LEARN_DST_MATCH:
            add_match(&ret->match, s, &v);
            break;
        case LEARN_DST_LOAD:
            add_load(acts, s, &v);
            break;
        case LEARN_DST_OUTPUT:
            add_output(acts, s, &v);
            break;
        }
    }
    ret->actions = acts->data;
    ret->actions_len = acts->len;
}

static int count_one(void *aux, const struct rule *rule WR_UNUSED)
{
    ++*(uint32_t *)aux;
    return 0;
}

static struct rule *find_learned(const struct bridge *br, const struct flow_change *change)
{
    struct cls_rule *r = classifier_find_exact(&br->tables[change->table].cls, &change->match, change->priority);

    return r ? CONTAINER_OF(r, struct rule, cls) : NULL;
}

/* Is there room for another flow under LEARN's limit? */
static bool fits(struct bridge *br, const struct ofpact_learn *learn)
{
    const struct flow_filter filter = {.table = learn->table,
                                       .out_port = OFPP_ANY,
                                       .cookie = learn->cookie,
                                       .cookie_mask = UINT64_MAX,
                                       .hidden = true};
    uint32_t n = 0;

    if (!learn->limit) {
        return true;
    }
    flow_table_for_each(br, &filter, count_one, &n);
    return n < learn->limit;
}

enum learn_mode { LEARN_DRY, LEARN_NEW, LEARN_REFRESH };

static bool apply(struct bridge *br, const struct ofpact_learn *learn, const struct flow *flow, int64_t now,
                  enum learn_mode mode)
{
    struct flow_change change;
    struct ofpacts acts = {0};
    const struct rule *rule;
    bool there;
    int error = 0;

    learn_make(learn, flow, &change, &acts);
    rule = find_learned(br, &change);
    there = rule || fits(br, learn);
    change.keep_timeouts = mode == LEARN_REFRESH && rule && rule->shortened &&
                           ofpacts_equal(rule->actions->data, rule->actions->len, acts.data, acts.len);
    if (there && mode != LEARN_DRY && !(rule && now < rule->modified_ms)) {
        error = flow_table_apply(br, &change, now);
    }
    if (error) {
        log_limited(LOG_LEVEL_WARN, "%s: learned flow refused: %s", br->name, oferr_name(error));
    }
    ofpacts_done(&acts);
    return there && !error;
}

bool learn_apply(struct bridge *br, const struct ofpact_learn *learn, const struct flow *flow, int64_t now, bool dry)
{
    return apply(br, learn, flow, now, dry ? LEARN_DRY : LEARN_NEW);
}

void learn_refresh(struct bridge *br, const struct ofpact_learn *learn, const struct flow *flow, int64_t now)
{
    apply(br, learn, flow, now, LEARN_REFRESH);
}

void learn_again(struct bridge *br, const struct ofpact_learn *learn, const struct flow *flow, int64_t seen_ms,
                 int64_t now)
{
    bool over = learn->hard_timeout && now - seen_ms >= learn->hard_timeout * INT64_C(1000);
    struct flow_change change;
    struct ofpacts acts = {0};
    struct rule *rule;

    learn_make(learn, flow, &change, &acts);
    /* A bridge that has its flows from the process before us has those that were learned, too. One that it had deleted
     * comes back by what came since then. */
    if (!over && (seen_ms >= br->restored_ms || find_learned(br, &change))) {
        learn_apply(br, learn, flow, seen_ms, false);
        rule = find_learned(br, &change);
        if (rule) {
            rule_credit(rule, rule->n_resets, 0, 0, now);
        }
    }
    ofpacts_done(&acts);
}

static void put_effect(struct xlate_ctx *x, const struct ofpact_learn *learn)
{
    struct xlate_effect *e = xlate_effect_put(x, XLATE_EFFECT_LEARN);

    e->actions = rule_actions_ref(x->s.rule_actions);
    e->learn = learn;
    e->lesson = xmalloc(sizeof *e->lesson);
    *e->lesson = (struct xlate_lesson){.rule = rule_ref(x->s.rule), .flow = x->s.flow};
}

void xlate_learn(struct xlate_ctx *x, const struct ofpact_learn *learn)
{
    bool there = true;

    xlate_reveal(x);
    for (unsigned int i = 0; i < learn->n_specs; i++) {
        if (learn->specs[i].src_type == LEARN_SRC_FIELD) {
            xlate_look_subfield(x, &learn->specs[i].src);
        }
    }
    if (x->s.rule_actions) { /* else it is a packet-out's own list, which no later packet repeats */
        put_effect(x, learn);
    }
    /* At once, so that the rest of this walk finds the new flow. */
    if (x->in->effects || learn->limit) {
        there = learn_apply(x->s.br, learn, &x->s.flow, x->in->now, !x->in->effects);
    }
    if (learn->flags & LEARN_F_WRITE_RESULT) {
        union field_value v = field_value_from_u64(there);

        xlate_depend(x, &x->s.br->tables[learn->table].changed);
        xlate_write_subfield(x, &learn->result, &v);
    }
}
