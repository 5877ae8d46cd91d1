/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/match.h"

#include <endian.h>
#include <netinet/in.h>

#include "openflow/error.h"

#define HEADER_COOKIE (1u << 16 | 30u << 9 | 8u)
#define CLASS_EXPERIMENTER 0xffffu
#define ONF_EXPERIMENTER 0x4f4e4600u
#define ONF_TCP_FLAGS 42
#define ONF_ACTSET_OUTPUT 43

static bool is_zero(const void *p, size_t n)
{
    const uint8_t *b = p;

    while (n--) {
        if (*b++) {
            return false;
        }
    }
    return true;
}

static struct ip_addr *tunnel_addr(const struct field *f, struct flow *flow)
{
    return f->id == FIELD_TUN_SRC ? &flow->key.tunnel.src : f->id == FIELD_TUN_DST ? &flow->key.tunnel.dst : NULL;
}

/* An IPv4 tunnel address matches its mapped form whole; exactly 0.0.0.0 is "not through a tunnel", all zero. */
static void set_upper_96(struct match *m, const struct field *f, const union field_value *value,
                         const union field_value *mask)
{
    struct ip_addr *v = tunnel_addr(f, &m->value), *k = tunnel_addr(f, &m->mask);

    if (!v) {
        return;
    }
    memset(v->b, 0, 12);
    memset(k->b, is_zero(mask->b, 4) ? 0 : 0xff, 12);
    if (!is_zero(mask->b, 4) && !(is_zero(value->b, 4) && !memcmp(mask->b, field_ones(f).b, 4))) {
        v->b[10] = v->b[11] = 0xff;
    }
}

int match_set_field(struct match *m, const struct field *f, const union field_value *value,
                    const union field_value *mask)
{
    union field_value ones = field_ones(f), v = {0}, k = mask ? *mask : ones;

    memset(k.b + f->n_bytes, 0, sizeof k.b - f->n_bytes);
    if (!field_value_fits(f, value)) {
        return -EINVAL;
    }
    for (size_t i = 0; i < f->n_bytes; i++) {
        k.b[i] &= ones.b[i];
        v.b[i] = value->b[i] & k.b[i];
        if (v.b[i] != value->b[i]) {
            return -EINVAL;
        }
    }
    if (!f->maskable && !is_zero(k.b, sizeof k.b) && memcmp(k.b, ones.b, sizeof k.b)) {
        return -EINVAL;
    }
    field_put_bits(f, &m->value, &v);
    field_put_bits(f, &m->mask, &k);
    set_upper_96(m, f, &v, &k);
    if (f->id == FIELD_DL_VLAN || f->id == FIELD_DL_VLAN_PCP) {
        m->value.key.vlan[0].tci |= htons(FLOW_VLAN_PRESENT);
        m->mask.key.vlan[0].tci |= htons(FLOW_VLAN_PRESENT);
    } else if (f->id == FIELD_IN_PORT && !is_zero(k.b, sizeof k.b)) {
        m->mask.in_port = ofp_port(0xffffffff);
    }
    return 0;
}

static const uint64_t *words(const struct flow *f)
{
    return (const uint64_t *)(const void *)f;
}

bool match_equal(const struct match *a, const struct match *b)
{
    return !memcmp(a, b, sizeof *a);
}

bool match_covers(const struct match *a, const struct match *b)
{
    const uint64_t *am = words(&a->mask), *bm = words(&b->mask), *av = words(&a->value), *bv = words(&b->value);

    for (size_t i = 0; i < FLOW_U64S; i++) {
        if ((am[i] & bm[i]) != am[i] || ((av[i] ^ bv[i]) & am[i])) {
            return false;
        }
    }
    return true;
}

bool match_overlaps(const struct match *a, const struct match *b)
{
    const uint64_t *am = words(&a->mask), *bm = words(&b->mask), *av = words(&a->value), *bv = words(&b->value);

    for (size_t i = 0; i < FLOW_U64S; i++) {
        if ((av[i] ^ bv[i]) & am[i] & bm[i]) {
            return false;
        }
    }
    return true;
}

bool match_hits(const struct match *m, const struct flow *flow)
{
    const uint64_t *k = words(&m->mask), *v = words(&m->value), *f = words(flow);

    for (size_t i = 0; i < FLOW_U64S; i++) {
        if ((f[i] ^ v[i]) & k[i]) {
            return false;
        }
    }
    return true;
}

/* One TLV of the wire. */
struct tlv {
    uint32_t header; /* without the mask bit and with the length of the value alone */
    bool masked;
    const uint8_t *value, *mask;
    size_t n; /* of the value */
};

static int read_tlv(struct reader *r, struct tlv *t)
{
    uint32_t header = reader_u32(r);
    size_t len = header & 0xff;
    struct reader body = reader_sub(r, len);
    uint32_t experimenter = 0;

    if (body.error) {
        return OFERR_MATCH_BAD_LEN;
    }
    if (header >> 16 == CLASS_EXPERIMENTER) {
        experimenter = reader_u32(&body);
        if (body.error) {
            return OFERR_MATCH_BAD_LEN;
        }
    }
    t->masked = header & 0x100;
    if (t->masked && body.left % 2) {
        return OFERR_MATCH_BAD_LEN;
    }
    t->n = t->masked ? body.left / 2 : body.left;
    t->value = reader_take(&body, t->n);
    t->mask = t->masked ? reader_take(&body, t->n) : NULL;
    t->header = (header & 0xfffffe00) | (uint32_t)t->n;
    if (experimenter == ONF_EXPERIMENTER && (header >> 9 & 127) == ONF_TCP_FLAGS) {
        t->header = field_get(FIELD_TCP_FLAGS)->nxm_header;
    } else if (experimenter == ONF_EXPERIMENTER && (header >> 9 & 127) == ONF_ACTSET_OUTPUT) {
        t->header = field_get(FIELD_ACTSET_OUTPUT)->oxm_header;
    }
    return 0;
}

static int take_cookie(const struct tlv *t, __be64 *cookie, __be64 *cookie_mask)
{
    if (!cookie || !cookie_mask) {
        return OFERR_MATCH_BAD_FIELD;
    }
    if (*cookie_mask) {
        return OFERR_MATCH_DUP_FIELD;
    }
    memcpy(cookie, t->value, 8);
    if (t->mask) {
        memcpy(cookie_mask, t->mask, 8);
    } else {
        memset(cookie_mask, 0xff, 8);
    }
    return *cookie & ~*cookie_mask ? OFERR_MATCH_BAD_WILDCARDS : 0;
}

static bool already_matched(const struct match *m, const struct field *f)
{
    struct flow mask = m->mask;
    struct ip_addr *addr = tunnel_addr(f, &mask);

    return addr ? !is_zero(addr, sizeof *addr) : field_is_matched(f, &m->mask);
}

/* Who writes a tun_metadata field may not know how long the option is: shorter values are right-aligned. */
static bool widen(struct tlv *t, const struct field *f, uint8_t *value, uint8_t *mask)
{
    size_t before = f->n_bytes - t->n;

    if (field_is_tun_metadata(f) && !f->n_bytes && is_zero(t->value, t->n) && (!t->mask || is_zero(t->mask, t->n))) {
        t->n = 0; /* an option without contents: only whether it is there counts */
        return true;
    }
    if (!field_is_tun_metadata(f) || t->n > f->n_bytes) {
        return false;
    }
    memset(value, 0, before);
    memcpy(value + before, t->value, t->n);
    t->value = value;
    if (t->mask) {
        memset(mask, 0, before);
        memcpy(mask + before, t->mask, t->n);
        t->mask = mask;
    }
    t->n = f->n_bytes;
    return true;
}

static int decode_tlv(struct tlv *t, struct match *m, __be64 *cookie, __be64 *cookie_mask)
{
    const struct field *f;
    union field_value value = {0}, mask, ones;
    uint8_t wide_value[sizeof value], wide_mask[sizeof value];

    if (t->header == HEADER_COOKIE) {
        return take_cookie(t, cookie, cookie_mask);
    }
    f = field_by_header(t->header);
    if (!f) {
        return field_header_is_unmapped(t->header) ? OFERR_TLV_INVALID_FIELD : OFERR_MATCH_BAD_FIELD;
    }
    if (!field_is_there(f)) {
        return OFERR_TLV_INVALID_FIELD;
    }
    if (t->n != f->n_bytes && !widen(t, f, wide_value, wide_mask)) {
        return OFERR_MATCH_BAD_LEN;
    }
    mask = ones = field_ones(f);
    memcpy(value.b, t->value, t->n);
    if (t->mask) {
        union field_value all = {0};

        memcpy(mask.b, t->mask, t->n);
        memset(all.b, 0xff, t->n);
        if (!memcmp(mask.b, all.b, t->n)) {
            mask = ones; /* a mask of ones beyond the field's bits is exact, too */
        }
        for (size_t i = 0; i < t->n; i++) {
            if (value.b[i] & ~mask.b[i]) {
                return OFERR_MATCH_BAD_WILDCARDS;
            }
            if (mask.b[i] & ~ones.b[i]) {
                return OFERR_MATCH_BAD_MASK;
            }
        }
        if (!f->maskable && memcmp(&mask, &ones, sizeof mask) && !is_zero(&mask, sizeof mask)) {
            return OFERR_MATCH_BAD_MASK;
        }
    }
    if (!field_value_fits(f, &value)) {
        return OFERR_MATCH_BAD_VALUE;
    }
    if (!field_prereq_ok(f, &m->value)) {
        return OFERR_MATCH_BAD_PREREQ;
    }
    if (already_matched(m, f)) {
        return OFERR_MATCH_DUP_FIELD;
    }
    return match_set_field(m, f, &value, &mask) ? OFERR_MATCH_BAD_VALUE : 0;
}

int match_decode(struct reader *r, struct match *ret_match, __be64 *ret_cookie, __be64 *ret_cookie_mask)
{
    struct match m = {0};
    __be64 cookie = 0, cookie_mask = 0;
    bool take = ret_cookie && ret_cookie_mask;

    while (r->left) {
        struct tlv t;
        int error = read_tlv(r, &t);

        if (!error) {
            error = decode_tlv(&t, &m, take ? &cookie : NULL, take ? &cookie_mask : NULL);
        }
        if (error) {
            return error;
        }
    }
    *ret_match = m;
    if (take && cookie_mask) {
        *ret_cookie = cookie;
        *ret_cookie_mask = cookie_mask;
    }
    return 0;
}

static void put_tlv(struct writer *w, uint32_t header, const union field_value *value, const union field_value *mask,
                    size_t n)
{
    if (mask) {
        header = (header & 0xffffff00) | 0x100 | (uint32_t)(2 * n);
    }
    writer_u32(w, header);
    writer_bytes(w, value->b, n);
    if (mask) {
        writer_bytes(w, mask->b, n);
    }
}

/* Before OpenFlow 1.5 these are ONF's extensions EXT-109 and EXT-233, and their TLVs name the experimenter. */
static bool put_onf_field(struct writer *w, const struct field *f, uint8_t version, const union field_value *value,
                          const union field_value *mask)
{
    uint32_t number = f->id == FIELD_TCP_FLAGS ? ONF_TCP_FLAGS : f->id == FIELD_ACTSET_OUTPUT ? ONF_ACTSET_OUTPUT : 0;
    bool in_form = f->id == FIELD_ACTSET_OUTPUT ? version < 6 : version >= 4 && version < 6;

    if (!number || !in_form) {
        return false;
    }
    writer_u32(w, CLASS_EXPERIMENTER << 16 | number << 9 | (mask ? 0x100u : 0) | (4u + f->n_bytes * (mask ? 2u : 1u)));
    writer_u32(w, ONF_EXPERIMENTER);
    writer_bytes(w, value->b, f->n_bytes);
    if (mask) {
        writer_bytes(w, mask->b, f->n_bytes);
    }
    return true;
}

/* Which fields MASK matches, of all but tun_metadata. Flows that are told one after the other mostly have the mask of
 * the one before: what is known of it is kept. */
static const bool *matched_fields(const struct flow *mask)
{
    static _Thread_local struct flow known; /* nothing is matched: as MATCHED says */
    static _Thread_local bool matched[FIELD_TUN_METADATA0];

    if (memcmp(mask, &known, sizeof known)) {
        for (enum field_id id = 0; id < FIELD_TUN_METADATA0; id++) {
            matched[id] = field_is_matched(field_get(id), mask);
        }
        known = *mask;
    }
    return matched;
}

static void put_matched(struct writer *w, const struct match *m, enum field_id id, uint8_t version)
{
    const struct field *f = field_get(id);
    union field_value value, mask, ones;

    if (!field_prereq_ok(f, &m->value)) {
        return;
    }
    ones = field_ones(f);
    field_get_bits(f, &m->mask, &mask);
    field_get_bits(f, &m->value, &value);
    if (id == FIELD_ARP_OP) { /* only the low byte is stored, both are matched */
        mask = ones;
    }
    /* tun_flags has 16 bits on the wire, of which one is known. */
    bool masked = memcmp(&mask, &ones, sizeof mask) || id == FIELD_TUN_FLAGS || !f->n_bytes;
    const union field_value *put_mask = masked ? &mask : NULL;
    if (!put_onf_field(w, f, version, &value, put_mask)) {
        put_tlv(w, field_header(f, version), &value, put_mask, f->n_bytes);
    }
}

static inline void put_field(struct writer *w, const struct match *m, const bool *matched, enum field_id id,
                             uint8_t version)
{
    if (id < FIELD_TUN_METADATA0 ? matched[id] : field_is_matched(field_get(id), &m->mask)) {
        put_matched(w, m, id, version);
    }
}

static void put_vlan(struct writer *w, const struct match *m, const bool *matched, uint8_t version)
{
    bool oxm = version >= 4;
    uint16_t tci = ntohs(m->value.key.vlan[0].tci), mask = ntohs(m->mask.key.vlan[0].tci), pcp = mask & 0xe000;
    bool untagged = (mask & FLOW_VLAN_PRESENT) && !tci;

    /* OXM has no vlan_tci. vlan_vid and vlan_pcp say the same unless the priority is matched in part, or matched
     * although the present bit is not. Untagged packets have priority 0: nothing is lost with it. */
    if (oxm && (!pcp || untagged || (pcp == 0xe000 && (mask & tci & FLOW_VLAN_PRESENT)))) {
        put_field(w, m, matched, FIELD_VLAN_VID, version);
        if (!untagged) {
            put_field(w, m, matched, FIELD_VLAN_PCP, version);
        }
    } else {
        put_field(w, m, matched, FIELD_VLAN_TCI, version);
    }
}

/* Is it an address that was, or can be, matched by the IPv4 field? */
static bool is_ipv4_tunnel(const struct ip_addr *value, const struct ip_addr *mask)
{
    for (size_t i = 0; i < 12; i++) {
        if (mask->b[i] != 0xff) {
            return false;
        }
    }
    if (is_zero(value, sizeof *value)) {
        return mask->be32[3] == (__be32)0xffffffff;
    }
    return mask->be32[3] && is_zero(value->b, 10) && value->b[10] == 0xff && value->b[11] == 0xff;
}

enum field_id match_tunnel_field(const struct match *m, bool src)
{
    const struct flow_tunnel *v = &m->value.key.tunnel, *k = &m->mask.key.tunnel;

    if (src) {
        return is_ipv4_tunnel(&v->src, &k->src) ? FIELD_TUN_SRC : FIELD_TUN_IPV6_SRC;
    }
    return is_ipv4_tunnel(&v->dst, &k->dst) ? FIELD_TUN_DST : FIELD_TUN_IPV6_DST;
}

/* From OpenFlow 1.5 on, which has registers of 64 bits, they travel in pairs. */
static void put_registers(struct writer *w, const struct match *m, const bool *matched, uint8_t version)
{
    enum field_id first = version >= 6 ? FIELD_XREG0 : FIELD_REG0, last = version >= 6 ? FIELD_XREG7 : FIELD_REG15;

    for (enum field_id id = first; id <= last; id++) {
        put_field(w, m, matched, id, version);
    }
}

void match_encode(const struct match *m, uint8_t version, struct writer *w)
{
    const bool *matched = matched_fields(&m->mask);
    bool oxm = version >= 4;
    static const enum field_id before_vlan[] = {FIELD_CONJ_ID, FIELD_MAX, FIELD_ETH_SRC, FIELD_ETH_DST, FIELD_ETH_TYPE};
    static const enum field_id after_vlan[] = {
        FIELD_MPLS_TC,     FIELD_MPLS_BOS,  FIELD_MPLS_TTL, FIELD_MPLS_LABEL,  FIELD_IPV4_SRC,    FIELD_IPV4_DST,
        FIELD_IPV6_SRC,    FIELD_IPV6_DST,  FIELD_IP_FRAG,  FIELD_IP_TOS,      FIELD_IP_ECN,      FIELD_IP_TTL,
        FIELD_IPV6_LABEL,  FIELD_IP_PROTO,  FIELD_TCP_SRC,  FIELD_TCP_DST,     FIELD_TCP_FLAGS,   FIELD_UDP_SRC,
        FIELD_UDP_DST,     FIELD_SCTP_SRC,  FIELD_SCTP_DST, FIELD_ICMPV4_TYPE, FIELD_ICMPV4_CODE, FIELD_ICMPV6_TYPE,
        FIELD_ICMPV6_CODE, FIELD_ND_TARGET, FIELD_ND_SLL,   FIELD_ND_TLL,      FIELD_ARP_OP,      FIELD_ARP_SPA,
        FIELD_ARP_TPA,     FIELD_ARP_SHA,   FIELD_ARP_THA,  FIELD_TUN_ID,
    };

    for (size_t i = 0; i < ARRAY_SIZE(before_vlan); i++) {
        put_field(w, m, matched, before_vlan[i] == FIELD_MAX ? oxm ? FIELD_IN_PORT_OXM : FIELD_IN_PORT : before_vlan[i],
                  version);
    }
    put_vlan(w, m, matched, version);
    for (size_t i = 0; i < ARRAY_SIZE(after_vlan); i++) {
        put_field(w, m, matched, after_vlan[i] == FIELD_IP_TOS && oxm ? FIELD_IP_DSCP : after_vlan[i], version);
    }
    put_field(w, m, matched, match_tunnel_field(m, true), version);
    put_field(w, m, matched, match_tunnel_field(m, false), version);
    put_field(w, m, matched, FIELD_TUN_FLAGS, version);
    for (enum field_id id = FIELD_TUN_METADATA0; m->mask.tun_metadata.present && id < FIELD_MAX; id++) {
        put_field(w, m, matched, id, version);
    }
    put_registers(w, m, matched, version);
    put_field(w, m, matched, FIELD_PKT_MARK, version);
    put_field(w, m, matched, FIELD_METADATA, version);
    put_field(w, m, matched, FIELD_ACTSET_OUTPUT, version);
}
