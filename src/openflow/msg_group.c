/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group_mod and group descriptions, which carry buckets: OpenFlow 1.3, 7.3.4.3 and 7.3.5.10; 1.5, 7.3.4.3 and 7.3.5.11.
 * The property by which a select group's method is told is Netronome's, as Open vSwitch documents it.
 */
#include "openflow/msg_group.h"

#include "openflow/action_codec.h"
#include "openflow/error.h"
#include "openflow/msg_prop.h"

#define BUCKET_13_LEN 16
#define BUCKET_15_LEN 8
#define PROP_WEIGHT 0
#define PROP_WATCH_PORT 1
#define PROP_WATCH_GROUP 2
#define PROP_EXPERIMENTER 0xffff
#define NTR_EXPERIMENTER 0x0000154du
#define NTR_EXPERIMENTER_OLD 0x00001540u /* Open vSwitch's first try at the number: it reads both */
#define NTR_SELECTION_METHOD 1
#define NTR_METHOD_LEN 16

void of_group_done(struct of_group *g)
{
    for (size_t i = 0; i < g->n_buckets; i++) {
        ofpacts_done(&g->buckets[i].acts);
    }
    free(g->buckets);
    free(g->fields);
    *g = (struct of_group){0};
}

void of_group_mod_done(struct of_group_mod *gm)
{
    of_group_done(&gm->group);
}

/* Is the body of the form that came with 1.5? */
static bool is_15(uint8_t version, bool nx)
{
    return nx || version >= OF_VERSION_15;
}

/* ---- buckets ---- */

static struct of_bucket *add_bucket(struct of_group *g)
{
    if (!(g->n_buckets & (g->n_buckets - 1))) { /* a power of 2, or none: full */
        g->buckets = xrealloc(g->buckets, MAX(g->n_buckets * 2, (size_t)1) * sizeof *g->buckets);
    }
    struct of_bucket *b = &g->buckets[g->n_buckets];
    *b = (struct of_bucket){.id = (uint32_t)g->n_buckets++, .watch_port = OFPP_ANY, .watch_group = OF_GROUP_ANY};
    return b;
}

static int check_watch(const struct of_bucket *b)
{
    uint32_t port = ofp_port_u32(b->watch_port);

    if (b->watch_port != OFPP_ANY && b->watch_port != OFPP_LOCAL && port >= ofp_port_u32(OFPP_MAX)) {
        return OFERR_GROUP_BAD_WATCH;
    }
    return b->watch_group != OF_GROUP_ANY && b->watch_group > OF_GROUP_MAX ? OFERR_GROUP_BAD_WATCH : 0;
}

static int decode_bucket_13(struct reader *r, uint8_t version, struct of_group *g)
{
    uint16_t len = reader_u16(r);

    if (r->error || len < BUCKET_13_LEN || len % 8) {
        return OFERR_GROUP_BAD_BUCKET;
    }
    struct reader e = reader_sub(r, len - 2u);
    if (e.error) {
        return OFERR_GROUP_BAD_BUCKET;
    }
    struct of_bucket *b = add_bucket(g);
    b->weight = reader_u16(&e);
    b->watch_port = ofp_port(reader_u32(&e));
    b->watch_group = reader_u32(&e);
    reader_skip(&e, 4);
    int error = check_watch(b);
    return error ? error : ofpacts_decode_actions(&e, version, &b->acts);
}

static int decode_bucket_prop(struct reader *r, struct of_bucket *b)
{
    struct of_prop p;
    int error = of_prop_next(r, &p);

    if (error) {
        return error;
    }
    if (p.type == PROP_EXPERIMENTER) {
        return OFERR_PROPERTY_BAD_EXPERIMENTER;
    }
    if (p.type > PROP_WATCH_GROUP) {
        return OFERR_PROPERTY_BAD_TYPE;
    }
    if (p.body.left != 4) {
        return OFERR_PROPERTY_BAD_LEN;
    }
    switch (p.type) {
    case PROP_WEIGHT:
        b->weight = reader_u16(&p.body);
        break;
    case PROP_WATCH_PORT:
        b->watch_port = ofp_port(reader_u32(&p.body));
        break;
    default:
        b->watch_group = reader_u32(&p.body);
    }
    return 0;
}

static int decode_bucket_15(struct reader *r, uint8_t version, struct of_group *g)
{
    uint16_t len = reader_u16(r);

    if (r->error || len < BUCKET_15_LEN || len % 8) {
        return OFERR_GROUP_BAD_BUCKET;
    }
    struct reader e = reader_sub(r, len - 2u);
    uint16_t actions_len = reader_u16(&e);
    uint32_t id = reader_u32(&e);
    struct reader actions = reader_sub(&e, actions_len);
    if (e.error || id > OF_BUCKET_MAX) {
        return OFERR_GROUP_BAD_BUCKET;
    }
    struct of_bucket *b = add_bucket(g);
    b->id = id;
    int error = ofpacts_decode_actions(&actions, version, &b->acts);
    while (!error && e.left) {
        error = decode_bucket_prop(&e, b);
    }
    return error ? error : check_watch(b);
}

static int by_id(const void *a_, const void *b_)
{
    uint32_t a = *(const uint32_t *)a_, b = *(const uint32_t *)b_;

    return (a > b) - (a < b);
}

static int check_unique(const struct of_group *g)
{
    _cleanup_free_ uint32_t *ids = xcalloc(MAX(g->n_buckets, (size_t)1), sizeof *ids);

    for (size_t i = 0; i < g->n_buckets; i++) {
        ids[i] = g->buckets[i].id;
    }
    qsort(ids, g->n_buckets, sizeof *ids, by_id);
    for (size_t i = 1; i < g->n_buckets; i++) {
        if (ids[i] == ids[i - 1]) {
            return OFERR_GROUP_BUCKET_EXISTS;
        }
    }
    return 0;
}

/* All of R. */
static int decode_buckets(struct reader *r, uint8_t version, bool nx, struct of_group *g)
{
    int error = 0;

    while (!error && r->left) {
        error = is_15(version, nx) ? decode_bucket_15(r, version, g) : decode_bucket_13(r, version, g);
    }
    error = error ? error : r->error ? OFERR_GROUP_BAD_BUCKET : 0;
    return error ? error : check_unique(g);
}

static void put_bucket_13(struct writer *w, uint8_t version, const struct of_bucket *b)
{
    size_t start = w->len;

    writer_u16(w, 0);
    writer_u16(w, b->weight);
    writer_u32(w, ofp_port_u32(b->watch_port));
    writer_u32(w, b->watch_group);
    writer_zeros(w, 4);
    ofpacts_encode_actions(b->acts.data, b->acts.len, version, w);
    if (w->len - start > UINT16_MAX) {
        w->error = w->error ? w->error : -EMSGSIZE;
    } else {
        writer_patch_u16(w, start, (uint16_t)(w->len - start));
    }
}

/* A select group's weights are always told. */
static void put_bucket_15(struct writer *w, uint8_t version, enum of_group_type type, const struct of_bucket *b)
{
    size_t start = w->len;

    writer_zeros(w, 4);
    writer_u32(w, b->id);
    ofpacts_encode_actions(b->acts.data, b->acts.len, version, w);
    size_t actions_len = w->len - start - BUCKET_15_LEN;
    if (type == OF_GROUP_TYPE_SELECT || b->weight) {
        of_prop_u32(w, PROP_WEIGHT, (uint32_t)b->weight << 16);
    }
    if (b->watch_port != OFPP_ANY) {
        of_prop_u32(w, PROP_WATCH_PORT, ofp_port_u32(b->watch_port));
    }
    if (b->watch_group != OF_GROUP_ANY) {
        of_prop_u32(w, PROP_WATCH_GROUP, b->watch_group);
    }
    if (w->len - start > UINT16_MAX) {
        w->error = w->error ? w->error : -EMSGSIZE;
    } else {
        writer_patch_u16(w, start, (uint16_t)(w->len - start));
        writer_patch_u16(w, start + 2, (uint16_t)actions_len);
    }
}

static void put_buckets(struct writer *w, uint8_t version, bool nx, const struct of_group *g)
{
    for (size_t i = 0; i < g->n_buckets; i++) {
        if (is_15(version, nx)) {
            put_bucket_15(w, version, g->type, &g->buckets[i]);
        } else {
            put_bucket_13(w, version, &g->buckets[i]);
        }
    }
}

/* ---- the selection method ---- */

/* Fields in the form of a match whose values are masks; any bit may be left out. */
static int decode_fields(struct reader *r, struct of_group *g)
{
    while (r->left) {
        struct reader peek = *r;
        uint32_t header = reader_u32(&peek);
        struct of_selection_field sf = {.field = field_header_read(r)};

        if (r->error) {
            return OFERR_PROPERTY_BAD_LEN;
        }
        if (!sf.field || !field_is_there(sf.field)) {
            return OFERR_MATCH_BAD_FIELD;
        }
        if (header & 0x100 || (header & 0xff) != sf.field->n_bytes) {
            return OFERR_MATCH_BAD_LEN;
        }
        reader_copy(r, sf.mask.b, sf.field->n_bytes);
        if (r->error) {
            return OFERR_PROPERTY_BAD_LEN;
        }
        const union field_value ones = field_ones(sf.field);
        for (size_t i = 0; i < sf.field->n_bytes; i++) {
            sf.mask.b[i] &= ones.b[i];
        }
        for (size_t i = 0; i < g->n_fields; i++) {
            if (g->fields[i].field == sf.field) {
                return OFERR_MATCH_DUP_FIELD;
            }
        }
        if (g->n_fields == OF_SELECTION_FIELDS_MAX) {
            return OFERR_PROPERTY_TOO_MANY;
        }
        g->fields = xrealloc(g->fields, (g->n_fields + 1) * sizeof *g->fields);
        g->fields[g->n_fields++] = sf;
    }
    return 0;
}

static int decode_selection(struct reader *r, struct of_group *g)
{
    char method[NTR_METHOD_LEN + 1] = {0};

    reader_skip(r, 4);
    reader_copy(r, method, NTR_METHOD_LEN);
    uint64_t param = reader_u64(r);
    if (r->error) {
        return OFERR_PROPERTY_BAD_LEN;
    }
    if (g->type != OF_GROUP_TYPE_SELECT) {
        return OFERR_PROPERTY_BAD_VALUE;
    }
    if (!strcmp(method, "hash")) {
        g->method = OF_SELECT_HASH;
    } else if (!strcmp(method, "dp_hash")) {
        g->method = OF_SELECT_DP_HASH;
    } else if (method[0] || r->left) {
        return OFERR_PROPERTY_BAD_VALUE;
    }
    if (r->left && g->method != OF_SELECT_HASH) {
        return OFERR_PROPERTY_BAD_VALUE;
    }
    g->method_param = param;
    return decode_fields(r, g);
}

static int decode_group_props(struct reader *r, struct of_group *g)
{
    bool selection = false;

    while (r->left) {
        struct of_prop p;
        int error = of_prop_next(r, &p);

        if (error) {
            return error;
        }
        if (p.type != PROP_EXPERIMENTER) {
            return OFERR_PROPERTY_BAD_TYPE;
        }
        uint32_t experimenter = reader_u32(&p.body), exp_type = reader_u32(&p.body);
        if (p.body.error) {
            return OFERR_PROPERTY_BAD_LEN;
        }
        if (experimenter != NTR_EXPERIMENTER && experimenter != NTR_EXPERIMENTER_OLD) {
            return OFERR_PROPERTY_BAD_EXPERIMENTER;
        }
        if (exp_type != NTR_SELECTION_METHOD) {
            return OFERR_PROPERTY_BAD_EXP_TYPE;
        }
        error = selection ? OFERR_PROPERTY_DUP_TYPE : decode_selection(&p.body, g);
        if (error) {
            return error;
        }
        selection = true;
    }
    return 0;
}

static void put_group_props(struct writer *w, uint8_t version, const struct of_group *g)
{
    static const char *const methods[] = {
        [OF_SELECT_DEFAULT] = "", [OF_SELECT_DP_HASH] = "dp_hash", [OF_SELECT_HASH] = "hash"};
    char method[NTR_METHOD_LEN] = {0};

    if (g->method == OF_SELECT_DEFAULT) {
        return;
    }
    size_t start = of_prop_begin(w, PROP_EXPERIMENTER);
    writer_u32(w, NTR_EXPERIMENTER);
    writer_u32(w, NTR_SELECTION_METHOD);
    writer_zeros(w, 4);
    memcpy(method, methods[g->method], strlen(methods[g->method]));
    writer_bytes(w, method, sizeof method);
    writer_u64(w, g->method_param);
    for (size_t i = 0; i < g->n_fields; i++) {
        const struct field *f = g->fields[i].field;

        writer_u32(w, field_header(f, version));
        writer_bytes(w, g->fields[i].mask.b, f->n_bytes);
    }
    of_prop_end(w, start);
}

/* ---- group_mod ---- */

static bool takes_buckets(enum of_group_command c)
{
    return c == OF_GROUP_ADD || c == OF_GROUP_MODIFY || c == OF_GROUP_ADD_OR_MODIFY;
}

static int check_command(uint16_t command, bool form_15)
{
    switch (command) {
    case OF_GROUP_ADD:
    case OF_GROUP_MODIFY:
    case OF_GROUP_DELETE:
    case OF_GROUP_ADD_OR_MODIFY:
        return 0;
    case OF_GROUP_INSERT_BUCKET:
    case OF_GROUP_REMOVE_BUCKET:
        return form_15 ? 0 : OFERR_GROUP_BAD_COMMAND;
    default:
        return OFERR_GROUP_BAD_COMMAND;
    }
}

/* What does not depend on the groups that there are. */
static int check_mod(const struct of_group_mod *gm, uint8_t type)
{
    const struct of_group *g = &gm->group;
    uint32_t bucket = gm->command_bucket;

    if (gm->command == OF_GROUP_DELETE) {
        return g->id > OF_GROUP_MAX && g->id != OF_GROUP_ALL ? OFERR_GROUP_INVALID : 0;
    }
    if (g->id > OF_GROUP_MAX) {
        return OFERR_GROUP_INVALID;
    }
    if (type > OF_GROUP_TYPE_FAILOVER) {
        return OFERR_GROUP_BAD_TYPE;
    }
    if (!takes_buckets(gm->command) && bucket > OF_BUCKET_MAX && bucket != OF_BUCKET_FIRST &&
        bucket != OF_BUCKET_LAST && !(bucket == OF_BUCKET_ALL && gm->command == OF_GROUP_REMOVE_BUCKET)) {
        return OFERR_GROUP_BAD_BUCKET;
    }
    return gm->command == OF_GROUP_REMOVE_BUCKET && g->n_buckets ? OFERR_GROUP_BAD_BUCKET : 0;
}

static int decode_mod_body(struct reader *body, uint8_t version, bool nx, struct of_group_mod *gm)
{
    struct reader buckets = *body;

    if (is_15(version, nx)) {
        uint16_t len = reader_u16(body);

        reader_skip(body, 2);
        gm->command_bucket = reader_u32(body);
        buckets = reader_sub(body, len);
        if (body->error) {
            return OFERR_BAD_LEN;
        }
    } else {
        reader_skip(body, body->left);
    }
    if (gm->command == OF_GROUP_DELETE) {
        return 0; /* what else it carries does not matter */
    }
    int error = decode_buckets(&buckets, version, nx, &gm->group);
    if (!error && takes_buckets(gm->command)) {
        error = decode_group_props(body, &gm->group);
    } else if (!error && body->left) {
        error = OFERR_PROPERTY_BAD_TYPE; /* a method comes with the whole group */
    }
    return error;
}

int of_group_mod_decode(struct reader *body, uint8_t version, bool nx, struct of_group_mod *ret)
{
    uint16_t command = reader_u16(body);
    uint8_t type = reader_u8(body);
    struct of_group_mod gm = {.command = (enum of_group_command)command, .command_bucket = OF_BUCKET_ALL};

    reader_skip(body, 1);
    gm.group.id = reader_u32(body);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    gm.group.type = (enum of_group_type)MIN(type, OF_GROUP_TYPE_FAILOVER);
    int error = check_command(command, is_15(version, nx));
    error = error ? error : decode_mod_body(body, version, nx, &gm);
    error = error ? error : check_mod(&gm, type);
    if (error) {
        of_group_mod_done(&gm);
        return error;
    }
    *ret = gm;
    return 0;
}

void of_group_mod_encode(struct writer *w, uint8_t version, bool nx, const struct of_group_mod *gm, uint32_t xid)
{
    size_t start = of_begin(w, version, nx ? OFT_EXPERIMENTER : OFT_GROUP_MOD, xid);

    if (nx) {
        writer_u32(w, OF_EXPERIMENTER_NX);
        writer_u32(w, 31); /* NXT_GROUP_MOD */
    }
    writer_u16(w, (uint16_t)gm->command);
    writer_u8(w, (uint8_t)gm->group.type);
    writer_zeros(w, 1);
    writer_u32(w, gm->group.id);
    size_t len_at = w->len;
    if (is_15(version, nx)) {
        writer_zeros(w, 4);
        writer_u32(w, gm->command_bucket);
    }
    size_t buckets = w->len;
    put_buckets(w, version, nx, &gm->group);
    if (is_15(version, nx)) {
        if (!w->error) {
            writer_patch_u16(w, len_at, (uint16_t)(w->len - buckets));
        }
        put_group_props(w, version, &gm->group);
    }
    of_end(w, start);
}

/* ---- descriptions ---- */

void of_group_desc_put(struct writer *w, uint8_t version, bool nx, const struct of_group *g)
{
    size_t start = w->len;

    writer_u16(w, 0);
    writer_u8(w, (uint8_t)g->type);
    writer_zeros(w, 1);
    writer_u32(w, g->id);
    if (is_15(version, nx)) {
        writer_zeros(w, 8);
    }
    size_t buckets = w->len;
    put_buckets(w, version, nx, g);
    size_t buckets_len = w->len - buckets;
    if (is_15(version, nx)) {
        put_group_props(w, version, g);
    }
    if (w->len - start > UINT16_MAX) {
        w->error = w->error ? w->error : -EMSGSIZE;
    }
    if (!w->error) {
        writer_patch_u16(w, start, (uint16_t)(w->len - start));
        if (is_15(version, nx)) {
            writer_patch_u16(w, start + 8, (uint16_t)buckets_len);
        }
    }
}

int of_group_desc_decode(struct reader *r, uint8_t version, bool nx, struct of_group *ret)
{
    uint16_t len = reader_u16(r);

    if (r->error || len < 8) {
        return OFERR_BAD_LEN;
    }
    struct reader e = reader_sub(r, len - 2u), buckets;
    uint8_t type = reader_u8(&e);
    reader_skip(&e, 1);
    struct of_group g = {.id = reader_u32(&e)};
    if (e.error) {
        return OFERR_BAD_LEN;
    }
    if (type > OF_GROUP_TYPE_FAILOVER) {
        return OFERR_GROUP_BAD_TYPE;
    }
    g.type = (enum of_group_type)type;
    buckets = e;
    if (is_15(version, nx)) {
        uint16_t buckets_len = reader_u16(&e);

        reader_skip(&e, 6);
        buckets = reader_sub(&e, buckets_len);
    }
    int error = e.error ? OFERR_BAD_LEN : decode_buckets(&buckets, version, nx, &g);
    if (!error && is_15(version, nx)) {
        error = decode_group_props(&e, &g);
    }
    if (error) {
        of_group_done(&g);
        return error;
    }
    *ret = g;
    return 0;
}
