/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions from text. One table maps each word to its parser; a word that is no action is taken as the name of an output
 * port.
 */
#include <ctype.h>
#include <netinet/in.h>
#include <strings.h>

#include "openflow/action_codec.h"
#include "openflow/error.h"
#include "openflow/text_value.h"

struct parse {
    const struct name_map *names;
    const struct match *match; /* may be NULL */
    struct ofpacts *acts;
    char **error;
    unsigned int depth;
};

struct verb {
    const char *name;
    int (*parse)(struct parse *p, const struct verb *v, char *arg);
    int n; /* the parser's own: an ofpact_type, a field_id or a port */
};

static int parse_list(struct parse *p, char *text);

static int no_argument(struct parse *p, const struct verb *v, const char *arg)
{
    return *arg ? text_fail(p->error, "%s: takes no argument, but has %s", v->name, arg) : 0;
}

static int number(struct parse *p, const struct verb *v, const char *arg, uint64_t max, uint64_t *ret)
{
    return text_u64(arg, max, ret)
               ? text_fail(p->error, "%s:%s: not a number from 0 to %llu", v->name, arg, (unsigned long long)max)
               : 0;
}

static int parse_plain(struct parse *p, const struct verb *v, char *arg)
{
    if (no_argument(p, v, arg)) {
        return -EINVAL;
    }
    ofpact_put(p->acts, (enum ofpact_type)v->n, sizeof(struct ofpact));
    return 0;
}

static int parse_port_word(struct parse *p, const struct verb *v, char *arg)
{
    if (no_argument(p, v, arg)) {
        return -EINVAL;
    }
    put_output(p->acts, ofp_port((uint32_t)v->n), 0);
    return 0;
}

/* "port=1,max_len=100" */
static int parse_output_trunc(struct parse *p, const struct verb *v, char *arg)
{
    struct ofpact_output_trunc *out;
    ofp_port_t port = OFPP_ANY;
    uint64_t max_len = 0;
    char *key, *value;
    int more;

    while ((more = text_next(&arg, &key, &value, p->error)) > 0) {
        bool is_port = !strcmp(key, "port");

        if (!is_port && strcmp(key, "max_len")) {
            return text_fail(p->error, "%s: unknown key %s", v->name, key);
        }
        if (is_port ? port_parse(value, p->names, &port) : text_u64(value, UINT32_MAX, &max_len)) {
            return text_fail(p->error, "%s: invalid %s=%s", v->name, key, value);
        }
    }
    if (more < 0) {
        return more;
    }
    if (!output_trunc_port_ok(port) || max_len < OUTPUT_TRUNC_MIN) {
        return text_fail(p->error, "%s: needs a port that takes max_len, and one of at least %d", v->name,
                         OUTPUT_TRUNC_MIN);
    }
    out = ofpact_put(p->acts, OFPACT_OUTPUT_TRUNC, sizeof *out);
    out->port = port;
    out->max_len = (uint32_t)max_len;
    return 0;
}

static int parse_output(struct parse *p, const struct verb *v, char *arg)
{
    struct ofpact_output_reg *reg;
    struct subfield src;
    ofp_port_t port;

    if (!*arg) {
        return text_fail(p->error, "%s: needs a port", v->name);
    }
    if (!strncmp(arg, "port=", 5) || strstr(arg, "max_len=")) {
        return parse_output_trunc(p, v, arg);
    }
    if (!port_parse(arg, p->names, &port)) {
        if (!output_port_ok(port)) {
            return text_fail(p->error, "%s: not a port to output to", arg);
        }
        put_output(p->acts, port, port == OFPP_CONTROLLER ? UINT16_MAX : 0);
        return 0;
    }
    if (*arg == '"' || !field_by_name(arg, strcspn(arg, "["))) {
        return text_fail(p->error, "%s: output to unknown port", arg);
    }
    if (subfield_parse(arg, &src, p->error)) {
        return -EINVAL;
    }
    if (src.n_bits > 64) {
        return text_fail(p->error, "%s: a port number has no %u bits", arg, src.n_bits);
    }
    reg = ofpact_put(p->acts, OFPACT_OUTPUT_REG, sizeof *reg);
    reg->src = src;
    reg->max_len = UINT16_MAX;
    return 0;
}

static int parse_controller(struct parse *p, const struct verb *v WR_UNUSED, char *arg)
{
    return controller_parse(arg, p->acts, p->error);
}

static int parse_multipath(struct parse *p, const struct verb *v WR_UNUSED, char *arg)
{
    return multipath_parse(arg, p->acts, p->error);
}

static int parse_bundle(struct parse *p, const struct verb *v, char *arg)
{
    return bundle_parse(arg, v->n, p->names, p->acts, p->error);
}

static int parse_enqueue(struct parse *p, const struct verb *v, char *arg)
{
    char *queue = strchr(arg, *arg == '"' ? ',' : ':');
    struct ofpact_enqueue *e;
    ofp_port_t port;
    uint64_t n;

    queue = queue ? queue : strchr(arg, ',');
    if (!queue) {
        return text_fail(p->error, "%s: expected PORT:QUEUE", v->name);
    }
    *queue++ = '\0';
    if (port_parse(arg, p->names, &port) || text_u64(queue, UINT32_MAX, &n)) {
        return text_fail(p->error, "%s:%s:%s: unknown port or invalid queue", v->name, arg, queue);
    }
    e = ofpact_put(p->acts, OFPACT_ENQUEUE, sizeof *e);
    e->port = port;
    e->queue = (uint32_t)n;
    return 0;
}

/* mod_dl_src and its like: a value for a fixed field. */
static int parse_mod(struct parse *p, const struct verb *v, char *arg)
{
    const struct field *f = field_get((enum field_id)v->n);
    uint8_t proto = p->match ? p->match->value.key.ip_proto : 0;
    union field_value value;

    if (f->id == FIELD_TCP_SRC || f->id == FIELD_TCP_DST) {
        bool src = f->id == FIELD_TCP_SRC;

        if (proto == IPPROTO_UDP) {
            f = field_get(src ? FIELD_UDP_SRC : FIELD_UDP_DST);
        } else if (proto == IPPROTO_SCTP) {
            f = field_get(src ? FIELD_SCTP_SRC : FIELD_SCTP_DST);
        }
    }
    if (field_value_parse(f, arg, p->names, &value, NULL, p->error)) {
        return -EINVAL;
    }
    if (f->id == FIELD_IP_TOS) {
        f = field_get(FIELD_IP_DSCP);
        value.b[0] >>= 2;
    } else if (f->id == FIELD_DL_VLAN) { /* set_vlan_vid: needs a tag */
        f = field_get(FIELD_VLAN_VID);
        value.b[0] |= FLOW_VLAN_PRESENT >> 8;
    }
    set_field_put(p->acts, f, &value);
    return 0;
}

static uint64_t max_u16(enum ofpact_type type)
{
    switch (type) {
    case OFPACT_SET_VLAN_VID:
        return 4095;
    case OFPACT_SET_VLAN_PCP:
    case OFPACT_SET_MPLS_TC:
        return 7;
    case OFPACT_SET_NW_TTL:
    case OFPACT_SET_MPLS_TTL:
        return UINT8_MAX;
    case OFPACT_GOTO_TABLE:
        return TABLE_ID_MAX;
    default:
        return UINT16_MAX;
    }
}

static int parse_u16(struct parse *p, const struct verb *v, char *arg)
{
    enum ofpact_type type = (enum ofpact_type)v->n;
    uint64_t max = max_u16(type), n;

    if (number(p, v, arg, max, &n)) {
        return -EINVAL;
    }
    if ((type == OFPACT_PUSH_VLAN && n != 0x8100 && n != 0x88a8) ||
        (type == OFPACT_PUSH_MPLS && n != 0x8847 && n != 0x8848)) {
        return text_fail(p->error, "%s:%s: not the EtherType of such a tag", v->name, arg);
    }
    put_u16(p->acts, type, (uint16_t)n);
    return 0;
}

static int parse_u32(struct parse *p, const struct verb *v, char *arg)
{
    uint64_t n;

    if (number(p, v, arg, v->n == OFPACT_SET_MPLS_LABEL ? 0xfffff : UINT32_MAX, &n)) {
        return -EINVAL;
    }
    put_u32(p->acts, (enum ofpact_type)v->n, (uint32_t)n);
    return 0;
}

static int parse_set_tunnel(struct parse *p, const struct verb *v, char *arg)
{
    struct ofpact_u64 *a;
    uint64_t n;

    if (number(p, v, arg, UINT64_MAX, &n)) {
        return -EINVAL;
    }
    a = ofpact_put(p->acts, OFPACT_SET_TUNNEL, sizeof *a);
    a->wide = v->n || n > UINT32_MAX;
    a->v = n;
    return 0;
}

/* Cuts ARG at "->"; the part behind, or NULL. */
static char *cut_arrow(struct parse *p, const struct verb *v, char *arg)
{
    char *arrow = strstr(arg, "->");

    if (!arrow) {
        text_fail(p->error, "%s:%s: missing \"->\"", v->name, arg);
        return NULL;
    }
    *arrow = '\0';
    return arrow + 2;
}

static int parse_set_field(struct parse *p, const struct verb *v, char *arg)
{
    char *name = cut_arrow(p, v, arg);
    const struct field *f;
    struct ofpact_set_field *sf;
    union field_value value, mask;

    if (!name) {
        return -EINVAL;
    }
    f = field_by_name(name, strlen(name));
    if (!f || f->id == FIELD_DL_VLAN || f->id == FIELD_DL_VLAN_PCP) {
        return text_fail(p->error, "%s: unknown field", name);
    }
    if (!f->writable) {
        return text_fail(p->error, "%s: field is read-only", name);
    }
    if (field_value_parse(f, arg, p->names, &value, &mask, p->error)) {
        return -EINVAL;
    }
    if (f->id == FIELD_VLAN_VID && !(value.b[0] & FLOW_VLAN_PRESENT >> 8)) {
        value.b[0] |= FLOW_VLAN_PRESENT >> 8; /* set_field cannot take a tag away */
        mask.b[0] |= FLOW_VLAN_PRESENT >> 8;
    }
    sf = ofpact_put(p->acts, OFPACT_SET_FIELD, sizeof *sf);
    sf->field = f;
    sf->value = value;
    sf->mask = mask;
    return 0;
}

static int parse_load(struct parse *p, const struct verb *v, char *arg)
{
    char *name = cut_arrow(p, v, arg);
    struct ofpact_load *load;
    struct subfield dst;
    uint64_t n;

    if (!name || subfield_parse(name, &dst, p->error)) {
        return -EINVAL;
    }
    if (!dst.field->writable) {
        return text_fail(p->error, "%s: field is read-only", name);
    }
    if (dst.n_bits > 64) {
        return text_fail(p->error, "%s: load takes at most 64 bits", name);
    }
    if (text_u64(arg, dst.n_bits < 64 ? ((uint64_t)1 << dst.n_bits) - 1 : UINT64_MAX, &n)) {
        return text_fail(p->error, "%s: not a number of %u bits for %s", arg, dst.n_bits, name);
    }
    load = ofpact_put(p->acts, OFPACT_LOAD, sizeof *load);
    load->dst = dst;
    load->value = n;
    return 0;
}

static int parse_move(struct parse *p, const struct verb *v, char *arg)
{
    char *name = cut_arrow(p, v, arg);
    struct subfield src, dst;
    struct ofpact_move *m;

    if (!name || subfield_parse(arg, &src, p->error) || subfield_parse(name, &dst, p->error)) {
        return -EINVAL;
    }
    if (src.n_bits != dst.n_bits) {
        return text_fail(p->error, "move:%s->%s: source has %u bits, destination %u", arg, name, src.n_bits,
                         dst.n_bits);
    }
    if (!dst.field->writable) {
        return text_fail(p->error, "%s: field is read-only", name);
    }
    m = ofpact_put(p->acts, OFPACT_MOVE, sizeof *m);
    m->src = src;
    m->dst = dst;
    return 0;
}

static int parse_resubmit(struct parse *p, const struct verb *v, char *arg)
{
    char *comma = strrchr(arg, ',');
    ofp_port_t port = OFPP_IN_PORT;
    uint64_t table = TABLE_ID_ALL;
    struct ofpact_resubmit *a;

    if (comma) {
        *comma++ = '\0';
        if (*comma && text_u64(comma, TABLE_ID_ALL, &table)) {
            return text_fail(p->error, "%s: not a table", comma);
        }
    }
    if (*arg && port_parse(arg, p->names, &port)) {
        return text_fail(p->error, "%s: resubmit to unknown port", arg);
    }
    if (!*arg && table == TABLE_ID_ALL) {
        return text_fail(p->error, "%s: needs a port, a table or both", v->name);
    }
    a = ofpact_put(p->acts, OFPACT_RESUBMIT, sizeof *a);
    a->in_port = port;
    a->table = (table_id_t)table;
    return 0;
}

/* "dec_ttl", "dec_ttl(1,2)" */
static int parse_dec_ttl(struct parse *p, const struct verb *v, char *arg)
{
    struct ofpact_cnt_ids *a;
    size_t start = p->acts->len, n = 0;
    uint16_t ids[64];
    char *key, *value;
    int more;

    if (!*arg) {
        put_plain(p->acts, OFPACT_DEC_TTL);
        return 0;
    }
    while ((more = text_next(&arg, &key, &value, p->error)) > 0) {
        uint64_t id;

        if (n == ARRAY_SIZE(ids) || *value || text_u64(key, UINT16_MAX, &id)) {
            return text_fail(p->error, "%s: %s is no controller id, or one too many", v->name, key);
        }
        ids[n++] = (uint16_t)id;
    }
    if (more < 0 || !n) {
        return more < 0 ? more : text_fail(p->error, "%s: needs controller ids in the parentheses", v->name);
    }
    p->acts->len = start;
    a = ofpact_put(p->acts, OFPACT_DEC_TTL_IDS, sizeof *a + n * sizeof ids[0]);
    a->n = (uint16_t)n;
    memcpy(a->ids, ids, n * sizeof ids[0]);
    return 0;
}

static int parse_stack(struct parse *p, const struct verb *v, char *arg)
{
    struct subfield sf;

    if (subfield_parse(arg, &sf, p->error)) {
        return -EINVAL;
    }
    if (v->n == OFPACT_STACK_POP && !sf.field->writable) {
        return text_fail(p->error, "%s: field is read-only", arg);
    }
    ((struct ofpact_stack *)ofpact_put(p->acts, (enum ofpact_type)v->n, sizeof(struct ofpact_stack)))->sf = sf;
    return 0;
}

/* "1,2/3": clause 2 of 3 of conjunction 1. */
static int parse_conjunction(struct parse *p, const struct verb *v, char *arg)
{
    char *clause = strchr(arg, ','), *of = clause ? strchr(clause, '/') : NULL;
    struct ofpact_conjunction *c;
    uint64_t id, k, n;

    if (!of) {
        return text_fail(p->error, "%s(%s): expected ID,K/N", v->name, arg);
    }
    *clause++ = *of++ = '\0';
    clause += strspn(clause, " ");
    if (text_u64(arg, UINT32_MAX, &id) || text_u64(clause, 64, &k) || text_u64(of, 64, &n) || n < 2 || !k || k > n) {
        return text_fail(p->error, "%s(%s,%s/%s): needs an id, and a clause from 1 to 2 ... 64", v->name, arg, clause,
                         of);
    }
    c = ofpact_put(p->acts, OFPACT_CONJUNCTION, sizeof *c);
    c->id = (uint32_t)id;
    c->clause = (uint8_t)(k - 1);
    c->n_clauses = (uint8_t)n;
    return 0;
}

/* "1500)->reg0[0]" */
static int parse_delete_field(struct parse *p, const struct verb *v, char *arg)
{
    const struct field *f = field_by_name(arg, strlen(arg));
    struct ofpact_field *d;

    if (!f || !field_is_tun_metadata(f)) {
        return text_fail(p->error, "%s:%s: not a tun_metadata field with an option", v->name, arg);
    }
    d = ofpact_put(p->acts, OFPACT_DELETE_FIELD, sizeof *d);
    d->field = f;
    return 0;
}

static int parse_check_pkt_larger(struct parse *p, const struct verb *v, char *arg)
{
    char *close = strstr(arg, ")->");
    struct ofpact_check_pkt_larger *c;
    struct subfield dst;
    uint64_t n;

    if (!close) {
        return text_fail(p->error, "%s: expected (LENGTH)->DST", v->name);
    }
    *close = '\0';
    if (number(p, v, arg, UINT16_MAX, &n) || subfield_parse(close + 3, &dst, p->error)) {
        return -EINVAL;
    }
    if (!dst.field->writable || dst.n_bits != 1) {
        return text_fail(p->error, "%s: %s is not one bit that can be written", v->name, close + 3);
    }
    c = ofpact_put(p->acts, OFPACT_CHECK_PKT_LARGER, sizeof *c);
    c->pkt_len = (uint16_t)n;
    c->dst = dst;
    return 0;
}

static int parse_learn(struct parse *p, const struct verb *v WR_UNUSED, char *arg)
{
    return learn_parse(arg, p->names, p->acts, p->error);
}

static int parse_note(struct parse *p, const struct verb *v WR_UNUSED, char *arg)
{
    _cleanup_free_ uint8_t *data = NULL;
    uint16_t n = 0;
    struct ofpact_note *note;
    size_t padded;

    if (hex_bytes_parse(arg, &data, &n, p->error)) {
        return -EINVAL;
    }
    padded = ROUND_UP(n + 10u, 8) - 10; /* as it comes back from the wire */
    note = ofpact_put(p->acts, OFPACT_NOTE, sizeof *note + padded);
    note->n = (uint16_t)padded;
    if (n) {
        memcpy(note->data, data, n);
    }
    return 0;
}

static int parse_fin_timeout(struct parse *p, const struct verb *v, char *arg)
{
    struct ofpact_fin_timeout *fin;
    uint16_t idle = 0, hard = 0;
    char *key, *value;
    int more;

    while ((more = text_next(&arg, &key, &value, p->error)) > 0) {
        bool is_idle = !strcmp(key, "idle_timeout");
        uint64_t n;

        if (!is_idle && strcmp(key, "hard_timeout")) {
            return text_fail(p->error, "%s: unknown key %s", v->name, key);
        }
        if (text_u64(value, UINT16_MAX, &n)) {
            return text_fail(p->error, "%s: invalid %s=%s", v->name, key, value);
        }
        *(is_idle ? &idle : &hard) = (uint16_t)n;
    }
    if (more < 0) {
        return more;
    }
    fin = ofpact_put(p->acts, OFPACT_FIN_TIMEOUT, sizeof *fin);
    fin->idle = idle;
    fin->hard = hard;
    return 0;
}

static int parse_nest(struct parse *p, const struct verb *v, char *arg)
{
    size_t ofs = ofpact_nest_open(p->acts, (enum ofpact_type)v->n);
    int error;

    if (p->depth >= MAX_NESTING) {
        return text_fail(p->error, "%s: nested too deep", v->name);
    }
    p->depth++;
    error = parse_list(p, arg);
    p->depth--;
    if (!error && !ofpact_nest_close(p->acts, ofs)) {
        return text_fail(p->error, "%s: too many actions", v->name);
    }
    return error;
}

static int parse_write_metadata(struct parse *p, const struct verb *v WR_UNUSED, char *arg)
{
    union field_value value, mask;
    struct ofpact_metadata *m;

    if (field_value_parse(field_get(FIELD_METADATA), arg, NULL, &value, &mask, p->error)) {
        return -EINVAL;
    }
    m = ofpact_put(p->acts, OFPACT_WRITE_METADATA, sizeof *m);
    memcpy(&m->value, value.b, 8);
    memcpy(&m->mask, mask.b, 8);
    return 0;
}

static int parse_drop(struct parse *p, const struct verb *v, char *arg)
{
    return no_argument(p, v, arg);
}

static int parse_unsupported(struct parse *p, const struct verb *v, char *arg WR_UNUSED)
{
    return text_fail(p->error, "%s: this action is not supported", v->name);
}

static const struct verb verbs[] = {
    {"output", parse_output, 0},
    {"controller", parse_controller, 0},
    {"enqueue", parse_enqueue, 0},
    {"drop", parse_drop, 0},
    {"normal", parse_port_word, (int)0xfffffffa},
    {"flood", parse_port_word, (int)0xfffffffb},
    {"all", parse_port_word, (int)0xfffffffc},
    {"local", parse_port_word, (int)0xfffffffe},
    {"in_port", parse_port_word, (int)0xfffffff8},
    {"table", parse_port_word, (int)0xfffffff9},
    {"strip_vlan", parse_plain, OFPACT_POP_VLAN},
    {"pop_vlan", parse_plain, OFPACT_POP_VLAN},
    {"push_vlan", parse_u16, OFPACT_PUSH_VLAN},
    {"push_mpls", parse_u16, OFPACT_PUSH_MPLS},
    {"pop_mpls", parse_u16, OFPACT_POP_MPLS},
    {"mod_vlan_vid", parse_u16, OFPACT_SET_VLAN_VID},
    {"mod_vlan_pcp", parse_u16, OFPACT_SET_VLAN_PCP},
    {"set_vlan_vid", parse_mod, FIELD_DL_VLAN},
    {"set_vlan_pcp", parse_mod, FIELD_VLAN_PCP},
    {"mod_dl_src", parse_mod, FIELD_ETH_SRC},
    {"mod_dl_dst", parse_mod, FIELD_ETH_DST},
    {"mod_nw_src", parse_mod, FIELD_IPV4_SRC},
    {"mod_nw_dst", parse_mod, FIELD_IPV4_DST},
    {"mod_nw_tos", parse_mod, FIELD_IP_TOS},
    {"mod_nw_ecn", parse_mod, FIELD_IP_ECN},
    {"mod_nw_ttl", parse_u16, OFPACT_SET_NW_TTL},
    {"mod_tp_src", parse_mod, FIELD_TCP_SRC},
    {"mod_tp_dst", parse_mod, FIELD_TCP_DST},
    {"set_mpls_label", parse_u32, OFPACT_SET_MPLS_LABEL},
    {"set_mpls_tc", parse_u16, OFPACT_SET_MPLS_TC},
    {"set_mpls_ttl", parse_u16, OFPACT_SET_MPLS_TTL},
    {"set_field", parse_set_field, 0},
    {"load", parse_load, 0},
    {"move", parse_move, 0},
    {"set_tunnel", parse_set_tunnel, 0},
    {"set_tunnel64", parse_set_tunnel, 1},
    {"set_queue", parse_u32, OFPACT_SET_QUEUE},
    {"pop_queue", parse_plain, OFPACT_POP_QUEUE},
    {"dec_ttl", parse_dec_ttl, 0},
    {"resubmit", parse_resubmit, 0},
    {"learn", parse_learn, 0},
    {"note", parse_note, 0},
    {"exit", parse_plain, OFPACT_EXIT},
    {"clone", parse_nest, OFPACT_CLONE},
    {"fin_timeout", parse_fin_timeout, 0},
    {"meter", parse_u32, OFPACT_METER},
    {"clear_actions", parse_plain, OFPACT_CLEAR_ACTIONS},
    {"write_actions", parse_nest, OFPACT_WRITE_ACTIONS},
    {"write_metadata", parse_write_metadata, 0},
    {"goto_table", parse_u16, OFPACT_GOTO_TABLE},
    {"group", parse_u32, OFPACT_GROUP},
    {"ct", parse_unsupported, 0},
    {"ct_clear", parse_unsupported, 0},
    {"nat", parse_unsupported, 0},
    {"conjunction", parse_conjunction, 0},
    {"multipath", parse_multipath, 0},
    {"bundle", parse_bundle, 0},
    {"bundle_load", parse_bundle, 1},
    {"push", parse_stack, OFPACT_STACK_PUSH},
    {"pop", parse_stack, OFPACT_STACK_POP},
    {"sample", parse_unsupported, 0},
    {"check_pkt_larger", parse_check_pkt_larger, 0},
    {"delete_field", parse_delete_field, 0},
    {"dec_mpls_ttl", parse_plain, OFPACT_DEC_MPLS_TTL},
    {"encap", parse_unsupported, 0},
    {"decap", parse_unsupported, 0},
    {"dec_nsh_ttl", parse_unsupported, 0},
    {"delete_field", parse_unsupported, 0},
};

static int parse_one(struct parse *p, char *key, char *arg)
{
    static const struct verb output = {"output", parse_output, 0};

    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (!strcasecmp(verbs[i].name, key)) {
            return verbs[i].parse(p, &verbs[i], arg);
        }
    }
    if (!*arg) {
        ofp_port_t port;

        if (!port_parse(key, p->names, &port)) {
            return parse_output(p, &output, key);
        }
    }
    return text_fail(p->error, "unknown action %s", key);
}

/* Instructions have an order; actions are all of one rank. */
static int rank(const struct ofpact *a)
{
    switch ((enum ofpact_type)a->type) {
    case OFPACT_METER:
        return 0;
    case OFPACT_CLEAR_ACTIONS:
        return 2;
    case OFPACT_WRITE_ACTIONS:
        return 3;
    case OFPACT_WRITE_METADATA:
        return 4;
    case OFPACT_GOTO_TABLE:
        return 5;
    default:
        return 1;
    }
}

static int check_order(struct parse *p, size_t start)
{
    int last = -1;

    OFPACT_FOR_EACH(a, p->acts->data + start, p->acts->len - start) {
        int r = rank(a);

        if (p->depth && r != 1) {
            return text_fail(p->error, "instructions are not allowed inside of actions");
        }
        if (r < last || (r == last && r != 1)) {
            return text_fail(p->error, "instructions must come once each, in the order meter, actions, clear_actions, "
                                       "write_actions, write_metadata, goto_table");
        }
        last = r;
    }
    return 0;
}

static int parse_list(struct parse *p, char *text)
{
    size_t start = p->acts->len;
    unsigned int n = 0;
    bool drop = false;
    char *key, *value;
    int more;

    while ((more = text_next(&text, &key, &value, p->error)) > 0) {
        int error = parse_one(p, key, value);

        if (error) {
            return error;
        }
        drop |= !strcasecmp(key, "drop");
        n++;
    }
    if (drop && n > 1) {
        return text_fail(p->error, "drop must be the only action");
    }
    if (more < 0) {
        return more;
    }
    if (!conjunctions_alone(p->acts->data + start, p->acts->len - start)) {
        return text_fail(p->error, "conjunction stands alone, but for others and notes");
    }
    return check_order(p, start);
}

int actions_parse(const char *text, const struct name_map *names, const struct match *match, struct ofpacts *acts,
                  char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(text);
    struct parse p = {.names = names, .match = match, .acts = acts, .error = ret_error};
    size_t start = acts->len;
    struct writer w = {.limit = UINT16_MAX - 512};
    int error;

    if (ret_error) {
        *ret_error = NULL;
    }
    error = parse_list(&p, copy);
    if (!error) { /* a message's length has 16 bits, and the match needs some of it, too */
        ofpacts_encode_instructions(acts->data + start, acts->len - start, 4, &w);
        error = w.error ? text_fail(ret_error, "too many actions for one OpenFlow message") : 0;
    }
    writer_done(&w);
    if (error) {
        acts->len = start;
    }
    return error;
}

int ofpacts_parse(const char *text, const struct name_map *names, struct ofpacts *acts, char **ret_error)
{
    return actions_parse(text, names, NULL, acts, ret_error);
}
