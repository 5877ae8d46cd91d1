/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of the actions that pick one of several by a hash of the packet: multipath (a number into a field) and
 * bundle (a port to output to, or into a field).
 */
#include "openflow/action_codec.h"
#include "openflow/error.h"

#define MEMBER_TYPE 0x00000002u /* NXM_OF_IN_PORT: the one kind of member there is */

bool multipath_ok(const struct ofpact_multipath *m)
{
    return m->fields <= NX_HASH_SYMMETRIC_L3 && m->algorithm <= MULTIPATH_ITER_HASH &&
           (m->dst.n_bits >= 16 || m->max_link < 1u << m->dst.n_bits);
}

int multipath_decode(struct reader *r, struct ofpacts *acts)
{
    struct ofpact_multipath m = {0}, *put;
    uint16_t ofs_nbits;
    int error;

    m.fields = reader_u16(r);
    m.basis = reader_u16(r);
    reader_skip(r, 2);
    m.algorithm = reader_u16(r);
    m.max_link = reader_u16(r);
    m.arg = reader_u32(r);
    reader_skip(r, 2);
    ofs_nbits = reader_u16(r);
    m.dst = subfield_of_nbits(field_header_read(r), ofs_nbits);
    if (action_end_check(r)) {
        return OFERR_ACTION_BAD_LEN;
    }
    error = subfield_check(&m.dst, true, NULL);
    if (error || !multipath_ok(&m)) {
        return error ? error : OFERR_ACTION_BAD_ARGUMENT;
    }
    put = ofpact_put(acts, OFPACT_MULTIPATH, sizeof m);
    m.h = put->h;
    *put = m;
    return 0;
}

void multipath_encode(struct writer *w, const struct ofpact_multipath *m)
{
    size_t start = nx_begin(w, NXAST_MULTIPATH);

    writer_u16(w, m->fields);
    writer_u16(w, m->basis);
    writer_zeros(w, 2);
    writer_u16(w, m->algorithm);
    writer_u16(w, m->max_link);
    writer_u32(w, m->arg);
    writer_zeros(w, 2);
    writer_u16(w, subfield_to_nbits(&m->dst));
    field_header_write(w, m->dst.field, 1);
    action_end(w, start);
}

bool bundle_member_ok(ofp_port_t port)
{
    return output_port_ok(port) && port != OFPP_CONTROLLER && port != OFPP_TABLE;
}

static int bundle_check(const struct ofpact_bundle *b, uint32_t member_type, bool load)
{
    int error;

    if (b->fields > NX_HASH_SYMMETRIC_L3 || b->algorithm > BUNDLE_HRW || member_type != MEMBER_TYPE) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    if (!load) {
        return 0;
    }
    error = subfield_check(&b->dst, true, NULL);
    return !error && b->dst.n_bits < 16 ? OFERR_ACTION_BAD_ARGUMENT : error;
}

int bundle_decode(struct reader *r, bool load, struct ofpacts *acts)
{
    struct ofpact_bundle b = {0}, *put;
    struct reader members;
    uint32_t member_type;
    uint16_t ofs_nbits;
    int error;

    b.algorithm = reader_u16(r);
    b.fields = reader_u16(r);
    b.basis = reader_u16(r);
    member_type = reader_u32(r);
    b.n_members = reader_u16(r);
    ofs_nbits = reader_u16(r);
    if (load) {
        b.dst = subfield_of_nbits(field_header_read(r), ofs_nbits);
    } else if (reader_u32(r) || ofs_nbits) {
        return OFERR_ACTION_BAD_ARGUMENT;
    }
    reader_skip(r, 4);
    members = reader_sub(r, 2u * b.n_members);
    if (action_end_check(r) || sizeof b + b.n_members * sizeof b.members[0] > UINT16_MAX - 7) {
        return OFERR_ACTION_BAD_LEN;
    }
    error = bundle_check(&b, member_type, load);
    if (error) {
        return error;
    }
    put = ofpact_put(acts, OFPACT_BUNDLE, sizeof b + b.n_members * sizeof b.members[0]);
    b.h = put->h;
    memcpy(put, &b, sizeof b);
    for (size_t i = 0; i < b.n_members; i++) {
        put->members[i] = ofp_port_from_16(reader_u16(&members));
        if (!bundle_member_ok(put->members[i])) {
            return OFERR_ACTION_BAD_OUT_PORT;
        }
    }
    return 0;
}

void bundle_encode(struct writer *w, const struct ofpact_bundle *b)
{
    size_t start = nx_begin(w, b->dst.field ? NXAST_BUNDLE_LOAD : NXAST_BUNDLE);

    writer_u16(w, b->algorithm);
    writer_u16(w, b->fields);
    writer_u16(w, b->basis);
    writer_u32(w, MEMBER_TYPE);
    writer_u16(w, b->n_members);
    writer_u16(w, b->dst.field ? subfield_to_nbits(&b->dst) : 0);
    if (b->dst.field) {
        field_header_write(w, b->dst.field, 1);
    } else {
        writer_zeros(w, 4);
    }
    writer_zeros(w, 4);
    for (size_t i = 0; i < b->n_members; i++) {
        writer_u16(w, ofp_port_to_16(b->members[i]));
    }
    action_end(w, start);
}
