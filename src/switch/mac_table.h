/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_MAC_TABLE_H
#define WARREN_SWITCH_MAC_TABLE_H
/*
 * What NORMAL learned: (VLAN, MAC) → OpenFlow port of one bridge. Entries age from their last use. Pure: time comes in
 * as an argument (time_mono_ms()).
 *
 * When the table is full, the least recently used entry of the port that holds the most makes room: a host that makes
 * addresses up by the thousand only pushes out its own. Finding that port costs a look at each port that has entries;
 * everything else is a hash lookup and list moves.
 *
 * An entry can be locked for a while against gratuitous ARPs that come back by a bond (bundle.h says why).
 */
#include <uthash.h>

#include "base/util.h"

#define MAC_TABLE_DEFAULT_AGE_MS (300 * 1000)
#define MAC_TABLE_DEFAULT_SIZE 8192

struct mac_key {
    struct eth_addr mac;
    uint16_t vlan;
};

#define MAC_TABLE_LOCK_MS 5000
#define MAC_TAGS 256

struct mac_port;

struct mac_entry {
    struct mac_key key;
    ofp_port_t port;
    int64_t used_ms;
    int64_t locked_until_ms;
    bool is_static;                          /* never ages, never moves by learning */
    struct mac_port *owner;                  /* NULL: static */
    struct mac_entry *prev, *next;           /* LRU, oldest first */
    struct mac_entry *port_prev, *port_next; /* LRU of the port */
    UT_hash_handle hh;
};

/* The learned entries of one port. */
struct mac_port {
    ofp_port_t port;
    size_t n;
    struct mac_entry *lru;
    UT_hash_handle hh;
};

struct mac_table {
    struct mac_entry *entries, *lru;
    struct mac_port *ports;
    size_t max, n_static;
    int64_t age_ms;
    int64_t last_lock_ms;          /* when the last lock ends; 0: none */
    uint64_t dirty[MAC_TAGS / 64]; /* tags of which some address changed */
    uint64_t n_learned, n_expired, n_evicted, n_moved;
};

/* Addresses are told apart by this for what depends on them, 0..MAC_TAGS - 1. */
unsigned int mac_table_tag(uint16_t vlan, struct eth_addr mac);
/* Was TAG dirty? It no longer is. */
static inline bool mac_table_take_dirty(struct mac_table *t, unsigned int tag)
{
    uint64_t bit = UINT64_C(1) << tag % 64;
    bool was = t->dirty[tag / 64] & bit;

    t->dirty[tag / 64] &= ~bit;
    return was;
}
void mac_table_init(struct mac_table *t);
void mac_table_done(struct mac_table *t);
/* New limits; what is too much is evicted. Returns true when lookups may change. */
bool mac_table_set_limits(struct mac_table *t, size_t max, int64_t age_ms);
/* Learns or refreshes from a packet of the time NOW, which may be a while ago: what came later stays. True when a
 * lookup's answer changed (new entry, other port). Multicast addresses are ignored. */
bool mac_table_learn(struct mac_table *t, uint16_t vlan, struct eth_addr mac, ofp_port_t port, int64_t now);
/* Adds or changes a static entry. */
void mac_table_set_static(struct mac_table *t, uint16_t vlan, struct eth_addr mac, ofp_port_t port, int64_t now);
bool mac_table_del(struct mac_table *t, uint16_t vlan, struct eth_addr mac);
/* Likewise, but not a static one. */
bool mac_table_unlearn(struct mac_table *t, uint16_t vlan, struct eth_addr mac);
/* NULL: unknown or too old. Does not refresh. */
const struct mac_entry *mac_table_lookup(const struct mac_table *t, uint16_t vlan, struct eth_addr mac, int64_t now);
/* Locks the entry, if there is one, for MAC_TABLE_LOCK_MS. */
void mac_table_lock(struct mac_table *t, uint16_t vlan, struct eth_addr mac, int64_t now);
static inline bool mac_entry_is_locked(const struct mac_entry *e, int64_t now)
{
    return now < e->locked_until_ms;
}
/* Removes what is too old; true when something was, or a lock ended: decisions may be others now. */
bool mac_table_expire(struct mac_table *t, int64_t now);
/* All learned entries, or those of one port; static ones stay. True when something went. */
bool mac_table_flush(struct mac_table *t);
bool mac_table_flush_port(struct mac_table *t, ofp_port_t port);
/* The port is no more: static entries go too. */
bool mac_table_forget_port(struct mac_table *t, ofp_port_t port);
static inline size_t mac_table_count(const struct mac_table *t)
{
    return HASH_COUNT(t->entries);
}

#endif
