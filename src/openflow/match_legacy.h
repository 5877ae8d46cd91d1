/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MATCH_LEGACY_H
#define WARREN_OPENFLOW_MATCH_LEGACY_H
/*
 * OpenFlow 1.0's match: 40 bytes with a word of wildcards (OpenFlow 1.0.1, 5.2.3). Fields that do not apply to the
 * protocol that the match names are ignored, as Open vSwitch does; what the twelve fields cannot say is left out when
 * encoding.
 */
#include "openflow/match.h"

#define OF10_MATCH_LEN 40

/* OFERR_BAD_LEN if R is short. *RET_EXACT: no wildcard at all (1.0 then ignores the priority, 5.3.3). */
int match_decode_10(struct reader *r, struct match *ret, bool *ret_exact);
void match_encode_10(const struct match *m, struct writer *w);

#endif
