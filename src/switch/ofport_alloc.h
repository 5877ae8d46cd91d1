/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_OFPORT_ALLOC_H
#define WARREN_SWITCH_OFPORT_ALLOC_H
/*
 * Which OpenFlow port number an interface gets (pure: the clock comes in).
 *
 * Flows name ports by number, so numbers must stay: over a restart of the daemon (Interface.ofport of the database is
 * the memory), over every other port's coming and going, and a number that was freed less than an hour ago is not given
 * to somebody else while others are left. Order of claims: ofport_request (a present holder that asked for it first,
 * then whoever asked; a squatter that did not ask is moved), the number held now, the number of the database, the next
 * of a rotating counter 1..32767. The bridge's LOCAL port takes no part.
 */
#include "base/util.h"

#define OFPORT_MAX 65279
#define OFPORT_AUTO_MAX 32767
#define OFPORT_REUSE_MS (3600 * 1000)

struct ofport_want {
    /* in; 0 where there is none */
    uint16_t request, current, previous;
    /* out: 1..OFPORT_MAX, or 0 when all numbers are taken */
    uint16_t ofport;
};

struct ofport_slot;
/* One per bridge. Zero-initialised is empty. */
struct ofport_pool {
    struct ofport_slot *slots;
    uint16_t last;
};

void ofport_pool_done(struct ofport_pool *pool);
/* Assigns all N ports of the bridge at once; numbers in use before and not now count as freed at NOW_MS. */
void ofport_assign(struct ofport_pool *pool, struct ofport_want *wants, size_t n, int64_t now_ms);

#endif
