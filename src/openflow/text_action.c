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

static void put_output(struct ofpacts *acts, ofp_port_t port, uint16_t max_len)
{
    struct ofpact_output *out = ofpact_put(acts, OFPACT_OUTPUT, sizeof *out);

    out->port = port;
    out->max_len = max_len;
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

static int parse_output(struct parse *p, const struct verb *v, char *arg)
{
    struct ofpact_output_reg *reg;
    struct subfield src;
    ofp_port_t port;

    if (!*arg) {
        return text_fail(p->error, "%s: needs a port", v->name);
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

static int parse_userdata(struct parse *p, const char *s, uint8_t **data, uint16_t *n)
{
    size_t max = strlen(s) / 2 + 1, len = 0;

    free(*data);
    *data = xmalloc(max);
    for (; *s; s++) {
        if (*s == '.') {
            continue;
        }
        if (!isxdigit((unsigned char)s[0]) || !isxdigit((unsigned char)s[1]) || len >= 32768) {
            return text_fail(p->error, "%s: not pairs of hex digits", s);
        }
        (*data)[len++] = (uint8_t)strtoul((char[]){s[0], s[1], 0}, NULL, 16);
        s++;
    }
    *n = (uint16_t)len;
    return 0;
}

static const char *const reason_names[] = {"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"};

static int parse_reason(const char *s, uint8_t *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(reason_names); i++) {
        if (!strcmp(reason_names[i], s)) {
            *ret = (uint8_t)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_controller(struct parse *p, const struct verb *v, char *arg)
{
    struct ofpact_controller c = {.max_len = UINT16_MAX, .reason = 1}, *put;
    _cleanup_free_ uint8_t *userdata = NULL;
    char *key, *value;
    uint64_t n;
    int more;

    if (!*arg || isdigit((unsigned char)*arg)) {
        n = UINT16_MAX;
        if (*arg && number(p, v, arg, UINT16_MAX, &n)) {
            return -EINVAL;
        }
        put_output(p->acts, OFPP_CONTROLLER, (uint16_t)n);
        return 0;
    }
    while ((more = text_next(&arg, &key, &value, p->error)) > 0) {
        int error = 0;

        if (!strcmp(key, "reason")) {
            error = parse_reason(value, &c.reason);
        } else if (!strcmp(key, "max_len")) {
            error = text_u64(value, UINT16_MAX, &n);
            c.max_len = error ? 0 : (uint16_t)n;
        } else if (!strcmp(key, "id")) {
            error = text_u64(value, UINT16_MAX, &n);
            c.controller_id = error ? 0 : (uint16_t)n;
        } else if (!strcmp(key, "userdata")) {
            error = parse_userdata(p, value, &userdata, &c.userdata_len);
        } else {
            return text_fail(p->error, "%s: unknown key %s", v->name, key);
        }
        if (error) {
            return text_fail(p->error, "%s: invalid %s=%s", v->name, key, value);
        }
    }
    if (more < 0) {
        return more;
    }
    if (c.reason == 1 && !c.controller_id && !c.userdata_len) {
        put_output(p->acts, OFPP_CONTROLLER, c.max_len);
        return 0;
    }
    put = ofpact_put(p->acts, OFPACT_CONTROLLER, sizeof c + c.userdata_len);
    c.h = put->h;
    memcpy(put, &c, sizeof c);
    if (c.userdata_len) {
        memcpy(put->userdata, userdata, c.userdata_len);
    }
    return 0;
}

static int parse_enqueue(struct parse *p, const struct verb *v, char *arg)
{
    char *queue = strchr(arg, *arg == '"' ? ',' : ':');
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
    ((struct ofpact_u32 *)ofpact_put(p->acts, OFPACT_SET_QUEUE, sizeof(struct ofpact_u32)))->v = (uint32_t)n;
    put_output(p->acts, port, 0);
    ofpact_put(p->acts, OFPACT_POP_QUEUE, sizeof(struct ofpact));
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

static int parse_u16(struct parse *p, const struct verb *v, char *arg)
{
    enum ofpact_type type = (enum ofpact_type)v->n;
    uint64_t max = type == OFPACT_SET_VLAN_VID   ? 4095
                   : type == OFPACT_SET_VLAN_PCP ? 7
                   : type == OFPACT_GOTO_TABLE   ? TABLE_ID_MAX
                                                 : UINT16_MAX,
             n;

    if (number(p, v, arg, max, &n)) {
        return -EINVAL;
    }
    if ((type == OFPACT_PUSH_VLAN && n != 0x8100 && n != 0x88a8) ||
        (type == OFPACT_PUSH_MPLS && n != 0x8847 && n != 0x8848)) {
        return text_fail(p->error, "%s:%s: not the EtherType of such a tag", v->name, arg);
    }
    ((struct ofpact_u16 *)ofpact_put(p->acts, type, sizeof(struct ofpact_u16)))->v = (uint16_t)n;
    return 0;
}

static int parse_u32(struct parse *p, const struct verb *v, char *arg)
{
    uint64_t n;

    if (number(p, v, arg, UINT32_MAX, &n)) {
        return -EINVAL;
    }
    ((struct ofpact_u32 *)ofpact_put(p->acts, (enum ofpact_type)v->n, sizeof(struct ofpact_u32)))->v = (uint32_t)n;
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

    if (parse_userdata(p, arg, &data, &n)) {
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
    {"mod_nw_ttl", parse_mod, FIELD_IP_TTL},
    {"mod_tp_src", parse_mod, FIELD_TCP_SRC},
    {"mod_tp_dst", parse_mod, FIELD_TCP_DST},
    {"set_mpls_label", parse_mod, FIELD_MPLS_LABEL},
    {"set_mpls_tc", parse_mod, FIELD_MPLS_TC},
    {"set_mpls_ttl", parse_mod, FIELD_MPLS_TTL},
    {"set_field", parse_set_field, 0},
    {"load", parse_load, 0},
    {"move", parse_move, 0},
    {"set_tunnel", parse_set_tunnel, 0},
    {"set_tunnel64", parse_set_tunnel, 1},
    {"set_queue", parse_u32, OFPACT_SET_QUEUE},
    {"pop_queue", parse_plain, OFPACT_POP_QUEUE},
    {"dec_ttl", parse_plain, OFPACT_DEC_TTL},
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
    {"group", parse_unsupported, 0},
    {"ct", parse_unsupported, 0},
    {"ct_clear", parse_unsupported, 0},
    {"nat", parse_unsupported, 0},
    {"conjunction", parse_unsupported, 0},
    {"multipath", parse_unsupported, 0},
    {"bundle", parse_unsupported, 0},
    {"bundle_load", parse_unsupported, 0},
    {"push", parse_unsupported, 0},
    {"pop", parse_unsupported, 0},
    {"sample", parse_unsupported, 0},
    {"check_pkt_larger", parse_unsupported, 0},
    {"dec_mpls_ttl", parse_unsupported, 0},
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
    return more < 0 ? more : check_order(p, start);
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
