/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_FIELD_H
#define WARREN_OPENFLOW_FIELD_H
/*
 * The match fields: one table with each field's name(s), wire headers (NXM and OXM), width, place in struct flow,
 * prerequisites, and what may be done with it. Everything that handles fields (match and action codecs, text syntax,
 * translate's move/load/learn) goes through this table; nobody else knows where a field lives.
 *
 * Values travel as `union field_value`: big-endian, right-aligned in the field's n_bytes, from the union's first byte.
 */
#include "openflow/flow.h"

#define FIELD_N_TUN_METADATA 64

enum field_id {
    FIELD_IN_PORT,     /* NXM 16-bit */
    FIELD_IN_PORT_OXM, /* OXM 32-bit; the same storage */
    FIELD_METADATA,
    FIELD_ETH_DST,
    FIELD_ETH_SRC,
    FIELD_ETH_TYPE,
    FIELD_VLAN_TCI,
    FIELD_VLAN_VID,
    FIELD_VLAN_PCP, /* VLAN_VID: 13 bits with FLOW_VLAN_PRESENT */
    FIELD_DL_VLAN,
    FIELD_DL_VLAN_PCP, /* the OpenFlow 1.0 forms, text and 1.0 only */
    FIELD_MPLS_LABEL,
    FIELD_MPLS_TC,
    FIELD_MPLS_BOS,
    FIELD_MPLS_TTL,
    FIELD_IPV4_SRC,
    FIELD_IPV4_DST,
    FIELD_IPV6_SRC,
    FIELD_IPV6_DST,
    FIELD_IPV6_LABEL,
    FIELD_IP_PROTO,
    FIELD_IP_TOS,
    FIELD_IP_DSCP,
    FIELD_IP_ECN,
    FIELD_IP_TTL,
    FIELD_IP_FRAG,
    FIELD_TCP_SRC,
    FIELD_TCP_DST,
    FIELD_TCP_FLAGS,
    FIELD_UDP_SRC,
    FIELD_UDP_DST,
    FIELD_SCTP_SRC,
    FIELD_SCTP_DST,
    FIELD_ICMPV4_TYPE,
    FIELD_ICMPV4_CODE,
    FIELD_ICMPV6_TYPE,
    FIELD_ICMPV6_CODE,
    FIELD_ARP_OP,
    FIELD_ARP_SPA,
    FIELD_ARP_TPA,
    FIELD_ARP_SHA,
    FIELD_ARP_THA,
    FIELD_ND_TARGET,
    FIELD_ND_SLL,
    FIELD_ND_TLL,
    FIELD_TUN_ID,
    FIELD_TUN_SRC,
    FIELD_TUN_DST,
    FIELD_TUN_IPV6_SRC,
    FIELD_TUN_IPV6_DST,
    FIELD_TUN_FLAGS,
    FIELD_REG0,
    FIELD_REG1,
    FIELD_REG2,
    FIELD_REG3,
    FIELD_REG4,
    FIELD_REG5,
    FIELD_REG6,
    FIELD_REG7,
    FIELD_REG8,
    FIELD_REG9,
    FIELD_REG10,
    FIELD_REG11,
    FIELD_REG12,
    FIELD_REG13,
    FIELD_REG14,
    FIELD_REG15,
    FIELD_XREG0,
    FIELD_XREG1,
    FIELD_XREG2,
    FIELD_XREG3,
    FIELD_XREG4,
    FIELD_XREG5,
    FIELD_XREG6,
    FIELD_XREG7,
    FIELD_XXREG0,
    FIELD_XXREG1,
    FIELD_XXREG2,
    FIELD_XXREG3,
    FIELD_PKT_MARK,
    FIELD_CONJ_ID,
    FIELD_ACTSET_OUTPUT,
    FIELD_TUN_METADATA0, /* and 63 more */
    FIELD_MAX = FIELD_TUN_METADATA0 + FIELD_N_TUN_METADATA,
    FIELD_INVALID = -EINVAL,
};

union field_value {
    uint8_t b[16];
    uint64_t u64[2]; /* compare and mask only */
};

/* What must be matched for the field to exist. */
enum field_prereq {
    PREREQ_NONE,
    PREREQ_VLAN,
    PREREQ_MPLS,
    PREREQ_ARP,
    PREREQ_IPV4,
    PREREQ_IPV6,
    PREREQ_IP_ANY,
    PREREQ_TCP,
    PREREQ_UDP,
    PREREQ_SCTP,
    PREREQ_ICMPV4,
    PREREQ_ICMPV6,
    PREREQ_ND,
    PREREQ_ND_SOLICIT,
    PREREQ_ND_ADVERT,
};

/* How a value is written in text. */
enum field_format {
    FIELD_FORMAT_DEC,
    FIELD_FORMAT_HEX,
    FIELD_FORMAT_ETH,
    FIELD_FORMAT_IPV4,
    FIELD_FORMAT_IPV6,
    FIELD_FORMAT_PORT,
    FIELD_FORMAT_FRAG,
    FIELD_FORMAT_TCP_FLAGS,
    FIELD_FORMAT_TUN_FLAGS,
};

struct field {
    enum field_id id;
    const char *name, *extra_name;   /* as in ovs-fields(7): "eth_src", "dl_src" */
    const char *nxm_name, *oxm_name; /* "NXM_OF_ETH_SRC", "OXM_OF_ETH_SRC"; NULL: not in that family */
    uint8_t n_bytes;
    uint8_t n_bits;
    bool maskable, writable;
    enum field_prereq prereq;
    uint32_t nxm_header, oxm_header; /* without the mask bit; meaningful only with the name of that family */
    enum field_format format;
    uint8_t place;   /* private to field.c: the kind of storage, */
    uint16_t offset; /* and where in struct flow */
};

const struct field *field_get(enum field_id id);
/* Any of the four names. NULL: unknown. */
const struct field *field_by_name(const char *name, size_t len);
/* HEADER as on the wire, host order, mask bit ignored. NULL: unknown. A tun_metadata field that is not mapped is found:
 * field_is_there() tells. */
const struct field *field_by_header(uint32_t header);
bool field_is_there(const struct field *f);
/* The header that actions of wire version VERSION carry: OXM from OpenFlow 1.2 on where the field has one, else NXM. */
uint32_t field_header(const struct field *f, uint8_t version);

/* Geneve options as fields (ovs-fields(7), "Tunnel Metadata"). Gives tun_metadataI a length of LEN bytes (0, for
 * options that are there or not, 4, 8, 12 or 16) and a place in struct flow, until as many unmaps. -ENOSPC: no room;
 * -EEXIST: it is mapped with another length. A field without a mapping is not found by name. */
int field_map_tun_metadata(unsigned int i, uint8_t len);
void field_unmap_tun_metadata(unsigned int i);
/* Is HEADER that of a tun_metadata field, and nothing is mapped to it? */
bool field_header_is_unmapped(uint32_t header);
bool field_is_tun_metadata(const struct field *f);
/* Does MASK look at the field? (Of tun_metadata the presence alone counts, too.) */
bool field_is_matched(const struct field *f, const struct flow *mask);

/* Plain bits, for matches: gets the field's bits out of FLOW, ORs them in, or replaces them, with none of
 * field_write()'s side effects. FLOW may be a mask. An IPv4 tunnel address takes only its 32 bits: match_set_field()
 * cares for the upper ones. */
void field_get_bits(const struct field *f, const struct flow *flow, union field_value *ret);
void field_or_bits(const struct field *f, struct flow *flow, const union field_value *bits);
void field_put_bits(const struct field *f, struct flow *flow, const union field_value *bits);
/* Zero in every bit beyond n_bits, and for a 32-bit port no number that 16 bits cannot tell from a reserved port? */
bool field_value_fits(const struct field *f, const union field_value *value);
/* All n_bits ones. */
union field_value field_ones(const struct field *f);

/* Does FLOW (a packet's real values) have this field? */
bool field_prereq_ok(const struct field *f, const struct flow *flow);
/* Reads the field, and writes it (bits beyond n_bits must be zero). Writing VLAN fields also keeps the present bit as
 * the field's definition says; writing all-zero vlan_tci removes the tag. */
void field_read(const struct field *f, const struct flow *flow, union field_value *ret);
void field_write(const struct field *f, struct flow *flow, const union field_value *value);
/* Writes only the bits of MASK. */
void field_write_masked(const struct field *f, struct flow *flow, const union field_value *value,
                        const union field_value *mask);
/* Of tun_metadata: it is not there any more. */
void field_remove(const struct field *f, struct flow *flow);
/* Marks the bits of BITS (NULL: the whole field) as looked at in a mask; takes the prerequisites along. */
void field_unwildcard(const struct field *f, struct flow *mask, const union field_value *bits);

/* N_BITS bits from bit OFS (0: lowest) of a field or value. */
struct subfield {
    const struct field *field;
    uint16_t ofs, n_bits;
};
/* Right-aligned in all of RET (16 bytes, big-endian), and back from the low bits of VALUE. */
void subfield_read(const struct subfield *sf, const struct flow *flow, union field_value *ret);
void subfield_write(const struct subfield *sf, struct flow *flow, const union field_value *value);
void subfield_unwildcard(const struct subfield *sf, struct flow *mask);
/* VALUE's low bits moved to where SF lies in its field, with the mask that goes with them. */
void subfield_place(const struct subfield *sf, const union field_value *value, union field_value *ret_value,
                    union field_value *ret_mask);
/* The low 64 bits of a right-aligned 16-byte value, as a number, and back. */
uint64_t field_value_u64(const union field_value *v);
union field_value field_value_from_u64(uint64_t n);

#endif
