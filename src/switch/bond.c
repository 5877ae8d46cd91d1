/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/bond.h"

#include <utlist.h>

#include "base/log.h"

LOG_MODULE("bond");

#define MIN_REBALANCE_MS 1000
/* Differences that are not worth a host's move to another port of the upstream switch. */
#define SMALL_GAP_BYTES 100000
#define SMALL_GAP_PART 32 /* of the busier member's load */

static const struct eth_addr no_mac;

static int64_t rebalance_interval(const struct bond *b)
{
    int64_t ms = b->settings.rebalance_ms;

    return b->settings.mode == BOND_BALANCE_SLB && ms > 0 ? MAX(ms, (int64_t)MIN_REBALANCE_MS) : 0;
}

static void plan_rebalance(struct bond *b, int64_t now)
{
    int64_t ms = rebalance_interval(b);

    b->rebalance_at_ms = ms ? now + ms : INT64_MAX;
}

struct bond *bond_create(const char *name, const struct bond_settings *settings, int64_t now)
{
    struct bond *b = xcalloc(1, sizeof *b);

    b->name = xstrdup(name);
    b->settings = *settings;
    b->primary_is_new = true;
    plan_rebalance(b, now);
    return b;
}

void bond_prefer(struct bond *b, struct eth_addr mac)
{
    b->prefer = mac;
}

static void member_free(struct bond *b, struct bond_member *m)
{
    DL_DELETE(b->members, m);
    free(m->name);
    free(m);
}

void bond_destroy(struct bond *b)
{
    if (b) {
        while (b->members) {
            member_free(b, b->members);
        }
        free(b->name);
        free(b);
    }
}

/* ---- members ---- */

struct bond_member *bond_member_find(const struct bond *b, ofp_port_t port)
{
    struct bond_member *m;

    DL_FOREACH(b->members, m) {
        if (m->port == port) {
            return m;
        }
    }
    return NULL;
}

struct bond_member *bond_member_by_name(const struct bond *b, const char *name)
{
    struct bond_member *m;

    DL_FOREACH(b->members, m) {
        if (!strcmp(m->name, name)) {
            return m;
        }
    }
    return NULL;
}

static struct bond_member *first_enabled(const struct bond *b)
{
    struct bond_member *m;

    DL_FOREACH(b->members, m) {
        if (m->enabled) {
            return m;
        }
    }
    return NULL;
}

static void forget_buckets(struct bond *b, const struct bond_member *m)
{
    for (size_t i = 0; i < BOND_BUCKETS; i++) {
        if (b->buckets[i].member == m) {
            b->buckets[i].member = NULL;
        }
    }
}

static unsigned int enable(struct bond *b, struct bond_member *m, bool enabled)
{
    m->change_ms = INT64_MAX;
    if (m->enabled == enabled) {
        return 0;
    }
    m->enabled = enabled;
    log_info("bond %s: member %s %s", b->name, m->name, enabled ? "enabled" : "disabled");
    if (!enabled) {
        forget_buckets(b, m);
        return BOND_CHANGED | (b->settings.mode == BOND_BALANCE_SLB ? BOND_ANNOUNCE : 0);
    }
    if (!strcmp(m->name, b->settings.primary)) {
        b->primary_is_new = true;
    }
    return BOND_CHANGED;
}

static unsigned int make_active(struct bond *b, struct bond_member *m)
{
    if (b->active == m) {
        return 0;
    }
    if (b->active) {
        b->prefer = no_mac; /* from here on decisions are ours */
    }
    b->active = m;
    if (m) {
        log_info("bond %s: active member is now %s", b->name, m->name);
    } else {
        log_warn("bond %s: no member is up", b->name);
    }
    return BOND_CHANGED | (m ? BOND_ANNOUNCE : 0);
}

static struct bond_member *preferred(const struct bond *b)
{
    struct bond_member *m;

    if (!memcmp(&b->prefer, &no_mac, sizeof no_mac)) {
        return NULL;
    }
    DL_FOREACH(b->members, m) {
        if (m->enabled && !memcmp(&m->mac, &b->prefer, sizeof m->mac)) {
            return m;
        }
    }
    return NULL;
}

/* Everything that follows from what is enabled. */
static unsigned int settle(struct bond *b)
{
    struct bond_member *m, *primary = NULL;
    unsigned int flags = 0;

    if (!first_enabled(b)) {
        DL_FOREACH(b->members, m) {
            if (m->link) {
                flags |= enable(b, m, true); /* no up delay when there is nothing to wait with */
            }
        }
    }
    if (b->primary_is_new && b->settings.mode == BOND_ACTIVE_BACKUP && *b->settings.primary) {
        primary = bond_member_by_name(b, b->settings.primary);
    }
    if (primary && primary->enabled) {
        b->primary_is_new = false;
        return flags | make_active(b, primary);
    }
    m = preferred(b);
    if (m) {
        flags |= make_active(b, m);
        b->prefer = no_mac;
        return flags;
    }
    return b->active && b->active->enabled ? flags : flags | make_active(b, first_enabled(b));
}

unsigned int bond_add(struct bond *b, const char *name, ofp_port_t port, struct eth_addr mac, bool link, int64_t now)
{
    struct bond_member *m = xcalloc(1, sizeof *m);

    m->name = xstrdup(name);
    m->port = port;
    m->mac = mac;
    m->link = link;
    m->change_ms = link ? now + b->settings.updelay_ms : INT64_MAX;
    DL_APPEND(b->members, m);
    return bond_run(b, now) | BOND_CHANGED;
}

unsigned int bond_del(struct bond *b, ofp_port_t port, int64_t now)
{
    struct bond_member *m = bond_member_find(b, port);

    if (!m) {
        return 0;
    }
    forget_buckets(b, m);
    if (b->active == m) {
        b->active = NULL;
    }
    member_free(b, m);
    return bond_run(b, now) | BOND_CHANGED;
}

unsigned int bond_set_link(struct bond *b, ofp_port_t port, struct eth_addr mac, bool link, int64_t now)
{
    struct bond_member *m = bond_member_find(b, port);

    if (!m) {
        return 0;
    }
    m->mac = mac;
    if (m->link != link) {
        m->link = link;
        if (m->enabled == link) {
            m->change_ms = INT64_MAX; /* it came back before the delay was over */
        } else {
            m->change_ms = now + (link ? b->settings.updelay_ms : b->settings.downdelay_ms);
        }
    }
    return bond_run(b, now);
}

unsigned int bond_set(struct bond *b, const struct bond_settings *settings, int64_t now)
{
    struct bond_settings old = b->settings;

    b->settings = *settings;
    if (strcmp(old.primary, settings->primary) != 0) {
        b->primary_is_new = true;
    }
    if (old.mode != settings->mode || old.rebalance_ms != settings->rebalance_ms) {
        plan_rebalance(b, now);
    }
    if (old.basis != settings->basis) {
        memset(b->buckets, 0, sizeof b->buckets);
    }
    return bond_run(b, now) | (memcmp(&old, settings, sizeof old) ? BOND_CHANGED : 0);
}

/* ---- by hand ---- */

int bond_set_active(struct bond *b, const char *name, unsigned int *ret_flags)
{
    struct bond_member *m = bond_member_by_name(b, name);

    if (!m) {
        return -ENOENT;
    }
    if (!m->enabled) {
        return -ENETDOWN;
    }
    *ret_flags = make_active(b, m);
    return 0;
}

int bond_set_enabled(struct bond *b, const char *name, bool enabled, unsigned int *ret_flags)
{
    struct bond_member *m = bond_member_by_name(b, name);

    if (!m) {
        return -ENOENT;
    }
    *ret_flags = enable(b, m, enabled);
    if (!b->active || !b->active->enabled) {
        *ret_flags |= make_active(b, first_enabled(b)); /* not settle(): that might undo it */
    }
    return 0;
}

int bond_migrate(struct bond *b, unsigned int bucket, const char *name, unsigned int *ret_flags)
{
    struct bond_member *m = bond_member_by_name(b, name);

    if (b->settings.mode != BOND_BALANCE_SLB || bucket >= BOND_BUCKETS) {
        return -EINVAL;
    }
    if (!m) {
        return -ENOENT;
    }
    if (!m->enabled) {
        return -ENETDOWN;
    }
    b->buckets[bucket].member = m;
    *ret_flags = BOND_CHANGED;
    return 0;
}

/* ---- balancing ---- */

unsigned int bond_hash(const struct bond *b, struct eth_addr src, uint16_t vlan)
{
    /* FNV-1a over address, VLAN and basis: the low byte is well mixed. */
    uint32_t h = 2166136261u;
    uint8_t bytes[12];

    memcpy(bytes, src.a, 6);
    memcpy(bytes + 6, &vlan, 2);
    memcpy(bytes + 8, &b->settings.basis, 4);
    for (size_t i = 0; i < sizeof bytes; i++) {
        h = (h ^ bytes[i]) * 16777619u;
    }
    return (h ^ h >> 8 ^ h >> 16 ^ h >> 24) % BOND_BUCKETS;
}

static struct bond_member *nth_enabled(const struct bond *b, unsigned int bucket)
{
    struct bond_member *m;
    unsigned int n = 0;

    DL_FOREACH(b->members, m) {
        n += m->enabled;
    }
    n = n ? bucket % n : 0;
    DL_FOREACH(b->members, m) {
        if (m->enabled && n-- == 0) {
            return m;
        }
    }
    return NULL;
}

struct bond_member *bond_member_for(struct bond *b, struct eth_addr src, uint16_t vlan, int *ret_bucket)
{
    struct bond_bucket *bucket;
    unsigned int i;

    if (b->settings.mode == BOND_ACTIVE_BACKUP) {
        *ret_bucket = -1;
        return b->active;
    }
    i = bond_hash(b, src, vlan);
    bucket = &b->buckets[i];
    if (!bucket->member || !bucket->member->enabled) {
        bucket->member = nth_enabled(b, i);
    }
    *ret_bucket = (int)i;
    return bucket->member;
}

void bond_count(struct bond *b, int bucket, uint64_t bytes)
{
    if (bucket >= 0 && bucket < BOND_BUCKETS) {
        b->buckets[bucket].tx_bytes += bytes;
    }
}

/* The bucket at FROM whose move to a member with GAP fewer bytes narrows the gap most; by at least a tenth where it
 * would turn the gap around, lest a busy host goes to and fro. */
static struct bond_bucket *best_bucket(struct bond *b, const struct bond_member *from, uint64_t gap)
{
    struct bond_bucket *best = NULL;
    uint64_t best_gap = gap;

    for (size_t i = 0; i < BOND_BUCKETS; i++) {
        uint64_t twice = b->buckets[i].tx_bytes * 2, left = twice > gap ? twice - gap : gap - twice;

        if (b->buckets[i].member == from && left < best_gap && (twice <= gap || left <= gap - gap / 10)) {
            best_gap = left;
            best = &b->buckets[i];
        }
    }
    return best;
}

static void extremes(const struct bond *b, struct bond_member **ret_most, struct bond_member **ret_least)
{
    struct bond_member *m;

    *ret_most = *ret_least = NULL;
    DL_FOREACH(b->members, m) {
        if (m->enabled) {
            if (!*ret_most || m->tx_bytes > (*ret_most)->tx_bytes) {
                *ret_most = m;
            }
            if (!*ret_least || m->tx_bytes < (*ret_least)->tx_bytes) {
                *ret_least = m;
            }
        }
    }
}

static unsigned int rebalance(struct bond *b)
{
    struct bond_member *m, *from, *to;
    unsigned int moved = 0;

    DL_FOREACH(b->members, m) {
        m->tx_bytes = 0;
    }
    for (size_t i = 0; i < BOND_BUCKETS; i++) {
        if (b->buckets[i].member) {
            b->buckets[i].member->tx_bytes += b->buckets[i].tx_bytes;
        }
    }
    while (moved < BOND_BUCKETS) {
        struct bond_bucket *bucket;
        uint64_t gap;

        extremes(b, &from, &to);
        gap = from ? from->tx_bytes - to->tx_bytes : 0;
        if (gap < SMALL_GAP_BYTES || gap < from->tx_bytes / SMALL_GAP_PART) {
            break;
        }
        bucket = best_bucket(b, from, gap);
        if (!bucket) {
            break;
        }
        bucket->member = to;
        from->tx_bytes -= bucket->tx_bytes;
        to->tx_bytes += bucket->tx_bytes;
        moved++;
    }
    for (size_t i = 0; i < BOND_BUCKETS; i++) {
        b->buckets[i].tx_bytes /= 2;
    }
    if (moved) {
        log_info("bond %s: %u of %u buckets moved to balance the load", b->name, moved, BOND_BUCKETS);
    }
    return moved ? BOND_CHANGED : 0;
}

/* ---- time ---- */

unsigned int bond_run(struct bond *b, int64_t now)
{
    struct bond_member *m;
    unsigned int flags = 0;

    DL_FOREACH(b->members, m) {
        if (m->change_ms <= now) {
            flags |= enable(b, m, m->link);
        }
    }
    flags |= settle(b);
    if (b->rebalance_at_ms <= now) {
        plan_rebalance(b, now);
        flags |= rebalance(b);
    }
    return flags;
}

int64_t bond_next_ms(const struct bond *b)
{
    const struct bond_member *m;
    int64_t next = b->rebalance_at_ms;

    DL_FOREACH(b->members, m) {
        next = MIN(next, m->change_ms);
    }
    return next;
}
