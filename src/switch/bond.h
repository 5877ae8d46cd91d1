/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_BOND_H
#define WARREN_SWITCH_BOND_H
/*
 * A bond's decisions: which members are enabled, which is active, and by which one a flow leaves. Pure: links and time
 * (time_mono_ms()) come in as arguments, what follows is returned; bundle.h joins it to ports, packets and timers.
 *
 * Problem: links flap, switches upstream know nothing of the bond, and load moves. Idea: a member is enabled once its
 * link was up for the up delay, and disabled once it was down for the down delay; while no member is enabled, the first
 * link that comes up is taken at once. ACTIVE_BACKUP sends and receives by the active member alone. BALANCE_SLB hashes
 * (source MAC, VLAN) to one of 256 buckets, each of which is at a member; every rebalance interval buckets move from
 * the member that sent most to the one that sent least, until the gap is small. A host's frames
 * so leave by one member at a time, and the upstream switch sees its address at one port.
 *
 * BALANCE_TCP needs LACP, which there is not: it is not a mode here.
 *
 * Invariants: the active member is enabled, or there is none; a bucket's member is enabled whenever bond_member_for()
 * returned it; a bucket stays where it is until its member is disabled or a rebalancing moves it.
 */
#include "base/util.h"

#define BOND_BUCKETS 256
#define BOND_DEFAULT_REBALANCE_MS 10000

enum bond_mode { BOND_ACTIVE_BACKUP, BOND_BALANCE_SLB };

struct bond_settings {
    enum bond_mode mode;
    int64_t updelay_ms, downdelay_ms;
    int64_t rebalance_ms; /* 0: never */
    uint32_t basis;
    bool all_members_active; /* multicast is taken in from every member of a BALANCE_SLB bond */
    char primary[64];        /* ACTIVE_BACKUP: the member to prefer, or "" */
};

struct bond_member {
    char *name;
    ofp_port_t port;
    struct eth_addr mac;
    bool link, enabled;
    int64_t change_ms; /* when `enabled` is to become `link`; INT64_MAX: it is */
    uint64_t tx_bytes; /* in the present rebalance interval, of the buckets at it; valid within bond_rebalance() */
    struct bond_member *prev, *next;
};

struct bond_bucket {
    struct bond_member *member; /* NULL: not chosen yet */
    uint64_t tx_bytes;          /* decays by half with each rebalancing */
};

struct bond {
    char *name;
    struct bond_settings settings;
    struct bond_member *members; /* utlist, in the order of their joining */
    struct bond_member *active;  /* NULL: none is enabled */
    struct bond_bucket buckets[BOND_BUCKETS];
    int64_t rebalance_at_ms; /* INT64_MAX: not */
    bool primary_is_new;     /* the primary has yet to be made active */
    struct eth_addr prefer;  /* the member to make active when it is enabled; all zero: none (bond_prefer()) */
};

/* What the caller has to do then; ORed. */
#define BOND_CHANGED 1u  /* other answers than before: translate again */
#define BOND_ANNOUNCE 2u /* addresses moved to another member: tell the switches upstream */

struct bond *bond_create(const char *name, const struct bond_settings *settings, int64_t now);
void bond_destroy(struct bond *b); /* NULL is fine */
/* The member with this address was active before a restart: it is made active once it is enabled, unless something else
 * is decided before. */
void bond_prefer(struct bond *b, struct eth_addr mac);
/* Each returns BOND_* flags. */
unsigned int bond_set(struct bond *b, const struct bond_settings *settings, int64_t now);
unsigned int bond_add(struct bond *b, const char *name, ofp_port_t port, struct eth_addr mac, bool link, int64_t now);
unsigned int bond_del(struct bond *b, ofp_port_t port, int64_t now);
/* MAC and LINK of a member, as the kernel says. */
unsigned int bond_set_link(struct bond *b, ofp_port_t port, struct eth_addr mac, bool link, int64_t now);
/* By hand (bond/set-active-member). -ENOENT: no such member; -ENETDOWN: it is not enabled. */
int bond_set_active(struct bond *b, const char *name, unsigned int *ret_flags);
/* By hand (bond/enable-member, bond/disable-member), until the link changes. -ENOENT. */
int bond_set_enabled(struct bond *b, const char *name, bool enabled, unsigned int *ret_flags);
/* By hand (bond/migrate): moves a bucket. -ENOENT: no such member; -EINVAL: no balancing, or no such bucket; -ENETDOWN.
 */
int bond_migrate(struct bond *b, unsigned int bucket, const char *name, unsigned int *ret_flags);
/* What is due at NOW: delays that ran out, rebalancing. */
unsigned int bond_run(struct bond *b, int64_t now);
/* When bond_run() has something to do next; INT64_MAX: nothing. */
int64_t bond_next_ms(const struct bond *b);

struct bond_member *bond_member_find(const struct bond *b, ofp_port_t port);
struct bond_member *bond_member_by_name(const struct bond *b, const char *name);
unsigned int bond_hash(const struct bond *b, struct eth_addr src, uint16_t vlan);
/* The member that a frame from SRC in VLAN leaves by; NULL: none is enabled. *RET_BUCKET is what to count its bytes
 * under (bond_count()), or -1. */
struct bond_member *bond_member_for(struct bond *b, struct eth_addr src, uint16_t vlan, int *ret_bucket);
void bond_count(struct bond *b, int bucket, uint64_t bytes);

#endif
