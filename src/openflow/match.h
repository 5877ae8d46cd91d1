/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MATCH_H
#define WARREN_OPENFLOW_MATCH_H
/*
 * Matches: build them field by field, to and from the wire (OXM TLVs of OpenFlow 1.2+, NXM TLVs of the Nicira
 * extension, read in any mix), to and from ovs-ofctl text.
 */
#include "base/cursor.h"
#include "openflow/field.h"

static inline void match_init(struct match *m)
{
    memset(m, 0, sizeof *m);
}
/* Replaces what M said of the field. MASK NULL: exact; zero: any. Prerequisites are the caller's (field_prereq_ok on
 * M's value). -EINVAL when the field takes no such mask, or value bits lie outside the mask. */
int match_set_field(struct match *m, const struct field *f, const union field_value *value,
                    const union field_value *mask);
bool match_equal(const struct match *a, const struct match *b);
/* Would every packet of B also match A? (non-strict selection: A is the request, B the flow) */
bool match_covers(const struct match *a, const struct match *b);
/* Could one packet match both? */
bool match_overlaps(const struct match *a, const struct match *b);
bool match_hits(const struct match *m, const struct flow *flow);

/* N bytes of OXM/NXM TLVs → M. COOKIE and COOKIE_MASK (may be NULL: then the pseudo-field is an error) take
 * NXM_NX_COOKIE. An OpenFlow error code (see error.h) as a negative number on failure. */
int match_decode(struct reader *r, struct match *m, __be64 *cookie, __be64 *cookie_mask);
/* Appends TLVs as OpenFlow of wire version VERSION has them: 4 and newer OXM headers wherever a field has one there, 1
 * NXM's. No padding. */
void match_encode(const struct match *m, uint8_t version, struct writer *w);
/* Which of the IPv4 and the IPv6 field tells M's outer source (or destination) address. */
enum field_id match_tunnel_field(const struct match *m, bool src);

/* ovs-ofctl's syntax. Names of ports come through a callback so that this library knows no bridge. */
struct name_map {
    int (*port_by_name)(void *aux, const char *name, ofp_port_t *ret); /* -ENOENT */
    const char *(*port_name)(void *aux, ofp_port_t port);              /* NULL: none, print the number */
    void *aux;
};
struct strbuf;
/* "in_port=1,ip,nw_dst=10.0.0.0/8" appended to B in ovs-ofctl's own order and spelling; `priority=N` is the caller's.
 */
void match_format(const struct match *m, const struct name_map *names, struct strbuf *b);

#endif
