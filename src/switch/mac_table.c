/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/mac_table.h"

#include <utlist.h>

static struct mac_key key_of(uint16_t vlan, struct eth_addr mac)
{
    return (struct mac_key){.mac = mac, .vlan = vlan};
}

static struct mac_entry *find(const struct mac_table *t, uint16_t vlan, struct eth_addr mac)
{
    struct mac_key key = key_of(vlan, mac);
    struct mac_entry *e;

    HASH_FIND(hh, t->entries, &key, sizeof key, e);
    return e;
}

unsigned int mac_table_tag(uint16_t vlan, struct eth_addr mac)
{
    uint32_t h = vlan;

    for (unsigned int i = 0; i < sizeof mac.a; i++) {
        h = (h ^ mac.a[i]) * 0x01000193;
    }
    return (h ^ h >> 16) % MAC_TAGS;
}

static void mark_dirty(struct mac_table *t, const struct mac_entry *e)
{
    unsigned int tag = mac_table_tag(e->key.vlan, e->key.mac);

    t->dirty[tag / 64] |= UINT64_C(1) << tag % 64;
}

static bool too_old(const struct mac_table *t, const struct mac_entry *e, int64_t now)
{
    return !e->is_static && now - e->used_ms >= t->age_ms;
}

static struct mac_port *port_get(struct mac_table *t, ofp_port_t port)
{
    struct mac_port *p;

    HASH_FIND(hh, t->ports, &port, sizeof port, p);
    if (!p) {
        p = xcalloc(1, sizeof *p);
        p->port = port;
        HASH_ADD(hh, t->ports, port, sizeof p->port, p);
    }
    return p;
}

static void port_put(struct mac_table *t, struct mac_port *p)
{
    if (!p->n) {
        HASH_DELETE(hh, t->ports, p);
        free(p);
    }
}

/* Into, and out of, the two LRU lists that a learned entry is in. */
static void link_entry(struct mac_table *t, struct mac_entry *e)
{
    e->owner = port_get(t, e->port);
    e->owner->n++;
    DL_APPEND(t->lru, e);
    DL_APPEND2(e->owner->lru, e, port_prev, port_next);
}

static void unlink_entry(struct mac_table *t, struct mac_entry *e)
{
    DL_DELETE(t->lru, e);
    DL_DELETE2(e->owner->lru, e, port_prev, port_next);
    e->owner->n--;
    port_put(t, e->owner);
    e->owner = NULL;
}

static void remove_entry(struct mac_table *t, struct mac_entry *e)
{
    mark_dirty(t, e);
    HASH_DELETE(hh, t->entries, e);
    if (e->is_static) {
        t->n_static--;
    } else {
        unlink_entry(t, e);
    }
    free(e);
}

void mac_table_init(struct mac_table *t)
{
    *t = (struct mac_table){.max = MAC_TABLE_DEFAULT_SIZE, .age_ms = MAC_TABLE_DEFAULT_AGE_MS};
}

void mac_table_done(struct mac_table *t)
{
    struct mac_entry *e, *next;

    HASH_ITER(hh, t->entries, e, next) {
        remove_entry(t, e);
    }
}

static struct mac_port *fullest_port(const struct mac_table *t)
{
    struct mac_port *most = t->ports;

    for (struct mac_port *p = t->ports; p; p = p->hh.next) {
        if (p->n > most->n) {
            most = p;
        }
    }
    return most;
}

/* Makes room until at most N entries are left, or only static ones. */
static bool evict_to(struct mac_table *t, size_t n)
{
    bool changed = false;

    while (mac_table_count(t) > n && t->lru) {
        remove_entry(t, fullest_port(t)->lru);
        t->n_evicted++;
        changed = true;
    }
    return changed;
}

bool mac_table_set_limits(struct mac_table *t, size_t max, int64_t age_ms)
{
    bool changed = age_ms < t->age_ms;

    t->max = MAX(max, (size_t)10);
    t->age_ms = age_ms;
    return evict_to(t, t->max) || changed;
}

static struct mac_entry *add_entry(struct mac_table *t, uint16_t vlan, struct eth_addr mac, ofp_port_t port,
                                   bool is_static)
{
    struct mac_entry *e = xcalloc(1, sizeof *e);

    e->key = key_of(vlan, mac);
    e->port = port;
    e->is_static = is_static;
    HASH_ADD(hh, t->entries, key, sizeof e->key, e);
    if (is_static) {
        t->n_static++;
    } else {
        link_entry(t, e);
    }
    return e;
}

bool mac_table_learn(struct mac_table *t, uint16_t vlan, struct eth_addr mac, ofp_port_t port, int64_t now)
{
    struct mac_entry *e;
    bool changed;

    if (eth_addr_is_group(&mac)) {
        return false;
    }
    e = find(t, vlan, mac);
    if (e && (e->is_static || now < e->used_ms)) {
        return false;
    }
    if (!e) {
        if (mac_table_count(t) >= t->max && t->max) {
            evict_to(t, t->max - 1);
        }
        if (mac_table_count(t) >= t->max) {
            return false;
        }
        e = add_entry(t, vlan, mac, port, false);
        t->n_learned++;
        changed = true;
    } else {
        changed = e->port != port || too_old(t, e, now);
        t->n_moved += e->port != port;
        unlink_entry(t, e);
        e->port = port;
        link_entry(t, e);
    }
    e->used_ms = now;
    if (changed) {
        mark_dirty(t, e);
    }
    return changed;
}

void mac_table_set_static(struct mac_table *t, uint16_t vlan, struct eth_addr mac, ofp_port_t port, int64_t now)
{
    struct mac_entry *e = find(t, vlan, mac);

    if (e && !e->is_static) {
        remove_entry(t, e);
        e = NULL;
    }
    if (!e) {
        e = add_entry(t, vlan, mac, port, true);
    }
    e->port = port;
    e->used_ms = now;
}

void mac_table_lock(struct mac_table *t, uint16_t vlan, struct eth_addr mac, int64_t now)
{
    struct mac_entry *e = find(t, vlan, mac);

    if (e) {
        e->locked_until_ms = MAX(e->locked_until_ms, now + MAC_TABLE_LOCK_MS);
        t->last_lock_ms = MAX(t->last_lock_ms, e->locked_until_ms);
    }
}

bool mac_table_del(struct mac_table *t, uint16_t vlan, struct eth_addr mac)
{
    struct mac_entry *e = find(t, vlan, mac);

    if (!e) {
        return false;
    }
    remove_entry(t, e);
    return true;
}

bool mac_table_unlearn(struct mac_table *t, uint16_t vlan, struct eth_addr mac)
{
    struct mac_entry *e = find(t, vlan, mac);

    if (!e || e->is_static) {
        return false;
    }
    remove_entry(t, e);
    return true;
}

const struct mac_entry *mac_table_lookup(const struct mac_table *t, uint16_t vlan, struct eth_addr mac, int64_t now)
{
    const struct mac_entry *e = find(t, vlan, mac);

    return e && !too_old(t, e, now) ? e : NULL;
}

bool mac_table_expire(struct mac_table *t, int64_t now)
{
    bool changed = t->last_lock_ms && now >= t->last_lock_ms;

    if (changed) {
        t->last_lock_ms = 0;
        memset(t->dirty, 0xff, sizeof t->dirty); /* whichever were locked */
    }
    while (t->lru && too_old(t, t->lru, now)) {
        remove_entry(t, t->lru);
        t->n_expired++;
        changed = true;
    }
    return changed;
}

bool mac_table_flush(struct mac_table *t)
{
    bool changed = t->lru != NULL;

    while (t->lru) {
        remove_entry(t, t->lru);
    }
    return changed;
}

bool mac_table_flush_port(struct mac_table *t, ofp_port_t port)
{
    struct mac_port *p;
    size_t n;

    HASH_FIND(hh, t->ports, &port, sizeof port, p);
    if (!p) {
        return false;
    }
    for (n = p->n; n; n--) {
        remove_entry(t, p->lru); /* the last one takes P with it */
    }
    return true;
}

bool mac_table_forget_port(struct mac_table *t, ofp_port_t port)
{
    bool changed = mac_table_flush_port(t, port);
    struct mac_entry *e, *next;

    if (t->n_static) {
        HASH_ITER(hh, t->entries, e, next) {
            if (e->port == port) {
                remove_entry(t, e);
                changed = true;
            }
        }
    }
    return changed;
}
