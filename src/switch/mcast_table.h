/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_MCAST_TABLE_H
#define WARREN_SWITCH_MCAST_TABLE_H
/*
 * What multicast snooping (RFC 4541) knows of one bridge: for each VLAN and group the ports that want it, and the ports
 * that queriers, and so multicast routers, are behind. IPv4 groups are in mapped form.
 *
 * Reports of IGMPv1-3 (RFC 1112, 2236, 3376) and MLDv1-2 (RFC 2710, 3810) come in as bytes; sources are not kept apart:
 * whoever wants a group from some sources gets the group. A leave takes the port out at once, as every port is taken to
 * lead to one host or to a switch that reports for its hosts. Link-local groups (224.0.0.x, ff02::/16 and narrower) are
 * never tracked: they are flooded always. Memberships and queriers age from the last report or query; a full table
 * makes room by its oldest group.
 *
 * Pure: time is an argument (time_mono_ms()). Ports are numbers; a bond's is that of its leading member.
 */
#include <uthash.h>

#include "base/util.h"

#define MCAST_DEFAULT_AGE_MS (300 * 1000)
#define MCAST_DEFAULT_SIZE 2048
#define MCAST_QUERIER_AGE_MS (255 * 1000) /* RFC 3376, 8.5: Other Querier Present Interval */

struct mcast_key {
    struct ip_addr group; /* all zero: queriers */
    uint16_t vlan;
    uint16_t pad[3]; /* hashed as bytes: nothing in it may be left to chance */
};
_Static_assert(sizeof(struct mcast_key) == 24, "mcast_key has hidden padding");

struct mcast_member {
    ofp_port_t port;
    int64_t used_ms;
    struct mcast_member *next;
};

/* A group in a VLAN with its members, or the VLAN's queriers. */
struct mcast_group {
    struct mcast_key key;
    struct mcast_member *members; /* the one that reported last comes first */
    struct mcast_group *prev, *next;
    UT_hash_handle hh;
};

struct mcast_table {
    struct mcast_group *groups; /* uthash; queriers too */
    struct mcast_group *lru;    /* the groups, oldest first */
    size_t n_groups, max;
    int64_t age_ms;
};

enum mcast_kind {
    MCAST_OTHER,  /* none of these, or malformed: flooded like unknown multicast */
    MCAST_REPORT, /* joins and leaves: for routers only */
    MCAST_QUERY,  /* for everybody */
};

struct mcast_table *mcast_table_create(void);
void mcast_table_destroy(struct mcast_table *t); /* NULL is fine */
/* True when lookups may change. */
bool mcast_table_set_limits(struct mcast_table *t, size_t max, int64_t age_ms);

/* What kind of message is it? DATA: from the IGMP header or (IPV6) the ICMPv6 header to the packet's end. */
enum mcast_kind mcast_classify(const uint8_t *data, size_t len, bool ipv6);
/* Takes in a message that came by PORT; FROM_ANY: its source address was all zero (such queries make no router port).
 * True when a lookup's answer changed. */
bool mcast_table_snoop(struct mcast_table *t, uint16_t vlan, ofp_port_t port, const uint8_t *data, size_t len,
                       bool ipv6, bool from_any, int64_t now);
/* The group's members; NULL: nobody joined. */
const struct mcast_group *mcast_table_lookup(const struct mcast_table *t, uint16_t vlan, const struct ip_addr *group);
/* The queriers of VLAN, or NULL. */
const struct mcast_group *mcast_table_queriers(const struct mcast_table *t, uint16_t vlan);
bool mcast_group_has(const struct mcast_group *g, ofp_port_t port); /* G may be NULL */
/* Is it never tracked? */
bool mcast_is_local(const struct ip_addr *group);

/* True when something went. */
bool mcast_table_expire(struct mcast_table *t, int64_t now);
bool mcast_table_flush(struct mcast_table *t);
bool mcast_table_flush_port(struct mcast_table *t, ofp_port_t port);

#endif
