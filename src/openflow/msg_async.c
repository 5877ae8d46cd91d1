/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/msg_async.h"

#include "openflow/msg_prop.h"

/* Kinds that 1.3's masks and Nicira's 19 have. */
#define N_MASKS 3
/* Nicira's roles begin at EQUAL, which they call "other". */
#define NX_ROLE_MAX 2
#define GENERATION_UNKNOWN UINT64_MAX

/* ---- roles ---- */

int of_role_decode(struct reader *body, struct of_role_request *ret)
{
    uint32_t role = reader_u32(body);

    reader_skip(body, 4);
    uint64_t generation = reader_u64(body);
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    if (role > OF_ROLE_SLAVE) {
        return OFERR_ROLE_BAD_ROLE;
    }
    *ret = (struct of_role_request){
        .role = (enum of_role)role,
        .have_generation = role == OF_ROLE_MASTER || role == OF_ROLE_SLAVE,
        .generation = generation,
    };
    return 0;
}

void of_role_encode(struct writer *w, uint8_t version, enum of_type type, const struct of_role_request *rr,
                    uint32_t xid)
{
    size_t start = of_begin(w, version, type, xid);

    writer_u32(w, rr->role);
    writer_zeros(w, 4);
    writer_u64(w, rr->have_generation ? rr->generation : GENERATION_UNKNOWN);
    of_end(w, start);
}

int of_nx_role_decode(struct reader *body, struct of_role_request *ret)
{
    uint32_t role = reader_u32(body);

    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    if (role > NX_ROLE_MAX) {
        return OFERR_ROLE_BAD_ROLE;
    }
    *ret = (struct of_role_request){.role = (enum of_role)(role + OF_ROLE_EQUAL)};
    return 0;
}

void of_nx_role_encode(struct writer *w, uint8_t version, bool reply, enum of_role role, uint32_t xid)
{
    size_t start =
        of_begin_experimenter(w, version, OF_EXPERIMENTER_NX, reply ? OF_NX_ROLE_REPLY : OF_NX_ROLE_REQUEST, xid);

    writer_u32(w, role == OF_ROLE_NOCHANGE ? 0 : (uint32_t)role - OF_ROLE_EQUAL);
    of_end(w, start);
}

void of_role_status_encode(struct writer *w, uint8_t version, const struct of_role_request *rr,
                           enum of_role_reason reason)
{
    size_t start = version >= OF_VERSION_14
                       ? of_begin(w, version, OFT_ROLE_STATUS, 0)
                       : of_begin_experimenter(w, version, OF_EXPERIMENTER_ONF, OF_ONF_ROLE_STATUS, 0);

    writer_u32(w, rr->role);
    writer_u8(w, (uint8_t)reason);
    writer_zeros(w, 3);
    writer_u64(w, rr->have_generation ? rr->generation : GENERATION_UNKNOWN);
    of_end(w, start);
}

int of_role_status_decode(struct reader *body, struct of_role_request *ret, enum of_role_reason *ret_reason)
{
    uint32_t role = reader_u32(body);
    uint8_t reason = reader_u8(body);

    reader_skip(body, 3);
    uint64_t generation = reader_u64(body);
    if (body->error) {
        return OFERR_BAD_LEN;
    }
    if (role < OF_ROLE_EQUAL || role > OF_ROLE_SLAVE || reason > OF_ROLE_EXPERIMENTER) {
        return OFERR_ROLE_BAD_ROLE;
    }
    *ret = (struct of_role_request){
        .role = (enum of_role)role,
        .have_generation = generation != GENERATION_UNKNOWN,
        .generation = generation,
    };
    *ret_reason = (enum of_role_reason)reason;
    return 0;
}

/* ---- which messages come ---- */

uint32_t of_async_known(enum of_async_kind kind)
{
    static const uint32_t known[] = {
        [OF_ASYNC_PACKET_IN] = 0x3f,     /* NO_MATCH, ACTION, INVALID_TTL; 1.4: ACTION_SET, GROUP, PACKET_OUT */
        [OF_ASYNC_PORT_STATUS] = 0x7,    /* ADD, DELETE, MODIFY */
        [OF_ASYNC_FLOW_REMOVED] = 0x3f,  /* IDLE, HARD, DELETE, GROUP; 1.4: METER, EVICTION */
        [OF_ASYNC_ROLE_STATUS] = 0x7,    /* MASTER_REQUEST, CONFIG, EXPERIMENTER */
        [OF_ASYNC_TABLE_STATUS] = 0x18,  /* VACANCY_DOWN, VACANCY_UP */
        [OF_ASYNC_REQUESTFORWARD] = 0x3, /* GROUP_MOD, METER_MOD */
    };

    return known[kind];
}

static int decode_masks(struct reader *body, struct of_async *a)
{
    for (size_t kind = 0; kind < N_MASKS; kind++) {
        a->masks[0][kind] = reader_u32(body);
        a->masks[1][kind] = reader_u32(body);
    }
    return body->error || body->left ? OFERR_BAD_LEN : 0;
}

/* Property 2 K is kind K for slaves, 2 K + 1 for the others. */
static int decode_prop(struct reader *body, bool strict, struct of_async *a)
{
    struct of_prop p;
    int error = of_prop_next(body, &p);

    if (error) {
        return error;
    }
    if (p.type >= 2 * OF_N_ASYNC) {
        error = of_prop_unknown(&p);
        if (error == OFERR_PROPERTY_BAD_TYPE) {
            error = OFERR_ASYNC_UNSUPPORTED;
        }
        return strict ? error : 0;
    }
    enum of_async_kind kind = (enum of_async_kind)(p.type / 2);
    uint32_t mask = reader_u32(&p.body);
    error = of_prop_end_ok(&p);
    if (!error && strict && mask & ~of_async_known(kind)) {
        error = OFERR_ASYNC_INVALID;
    }
    if (!error) {
        a->masks[p.type % 2 ? 0 : 1][kind] = mask;
    }
    return error;
}

int of_async_decode(struct reader *body, bool masks, bool strict, struct of_async *async)
{
    struct of_async a = *async;
    int error = 0;

    if (masks) {
        error = decode_masks(body, &a);
    }
    while (!error && !masks && body->left) {
        error = decode_prop(body, strict, &a);
    }
    for (size_t kind = 0; kind < OF_N_ASYNC; kind++) {
        a.masks[0][kind] &= of_async_known((enum of_async_kind)kind);
        a.masks[1][kind] &= of_async_known((enum of_async_kind)kind);
    }
    if (!error) {
        *async = a;
    }
    return error;
}

/* 1.3 has fewer reasons than 1.4, and its readers may not know the newer bits: flow_removed's are there for who set
 * them. */
static const uint32_t known_13[OF_N_ASYNC] = {0x7, 0x7, 0x3f, 0, 0, 0};

static void put_masks(struct writer *w, const struct of_async *async)
{
    for (size_t kind = 0; kind < N_MASKS; kind++) {
        writer_u32(w, async->masks[0][kind] & known_13[kind]);
        writer_u32(w, async->masks[1][kind] & known_13[kind]);
    }
}

static void put_props(struct writer *w, uint8_t version, const struct of_async *async)
{
    for (uint16_t type = 0; type < 2 * OF_N_ASYNC; type++) {
        uint32_t known = version < OF_VERSION_14 ? known_13[type / 2] : UINT32_MAX;

        if (known) {
            of_prop_u32(w, type, async->masks[type % 2 ? 0 : 1][type / 2] & known);
        }
    }
}

void of_async_encode(struct writer *w, uint8_t version, enum of_type type, const struct of_async *async, uint32_t xid)
{
    size_t start = of_begin(w, version, type, xid);

    if (version < OF_VERSION_14) {
        put_masks(w, async);
    } else {
        put_props(w, version, async);
    }
    of_end(w, start);
}

void of_nx_async_encode(struct writer *w, uint8_t version, bool masks, const struct of_async *async, uint32_t xid)
{
    size_t start = of_begin_experimenter(w, version, OF_EXPERIMENTER_NX,
                                         masks ? OF_NX_SET_ASYNC_CONFIG : OF_NX_SET_ASYNC_CONFIG2, xid);

    if (masks) {
        put_masks(w, async);
    } else {
        put_props(w, version, async);
    }
    of_end(w, start);
}

/* ---- what other controllers asked ---- */

void of_requestforward_encode(struct writer *w, uint8_t version, const void *request, size_t len)
{
    size_t start = version >= OF_VERSION_14 ? of_begin(w, version, OFT_REQUESTFORWARD, 0)
                   : version == OF_VERSION_10
                       ? of_begin_experimenter(w, version, OF_EXPERIMENTER_NX, OF_NX_REQUESTFORWARD, 0)
                       : of_begin_experimenter(w, version, OF_EXPERIMENTER_ONF, OF_ONF_REQUESTFORWARD, 0);

    writer_bytes(w, request, len);
    of_end(w, start);
}

int of_requestforward_decode(struct reader *body, struct of_header *ret, const uint8_t **ret_request)
{
    struct of_header h;

    if (of_header_decode(body->data, body->left, &h) || h.length > body->left) {
        return OFERR_BAD_LEN;
    }
    if (h.type != OFT_GROUP_MOD && h.type != OFT_METER_MOD && h.type != OFT_EXPERIMENTER) {
        return OFERR_BAD_TYPE;
    }
    *ret_request = reader_take(body, h.length);
    *ret = h;
    return 0;
}
