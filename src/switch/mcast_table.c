/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/mcast_table.h"

#include <utlist.h>

#include "base/cursor.h"

/* RFC 2236, 2; RFC 3376, 4; RFC 2710, 3; RFC 3810, 5. */
enum {
    IGMP_QUERY = 0x11,
    IGMP_V1_REPORT = 0x12,
    IGMP_V2_REPORT = 0x16,
    IGMP_LEAVE = 0x17,
    IGMP_V3_REPORT = 0x22,
    MLD_QUERY = 130,
    MLD_V1_REPORT = 131,
    MLD_DONE = 132,
    MLD_V2_REPORT = 143,
};

/* Group record types of IGMPv3 and MLDv2 alike (RFC 3376, 4.2.12). */
enum { MODE_IS_INCLUDE = 1, MODE_IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE, ALLOW_NEW, BLOCK_OLD };

static struct mcast_key key_of(uint16_t vlan, const struct ip_addr *group)
{
    return (struct mcast_key){.group = *group, .vlan = vlan};
}

static struct mcast_group *find(const struct mcast_table *t, uint16_t vlan, const struct ip_addr *group)
{
    struct mcast_key key = key_of(vlan, group);
    struct mcast_group *g;

    HASH_FIND(hh, t->groups, &key, sizeof key, g);
    return g;
}

static const struct ip_addr queriers;

static bool is_queriers(const struct mcast_group *g)
{
    return !memcmp(&g->key.group, &queriers, sizeof queriers);
}

static void remove_group(struct mcast_table *t, struct mcast_group *g)
{
    struct mcast_member *m, *next;

    LL_FOREACH_SAFE(g->members, m, next) {
        free(m);
    }
    HASH_DELETE(hh, t->groups, g);
    if (!is_queriers(g)) {
        DL_DELETE(t->lru, g);
        t->n_groups--;
    }
    free(g);
}

static bool evict_to(struct mcast_table *t, size_t n)
{
    bool changed = t->n_groups > n;

    while (t->n_groups > n) {
        remove_group(t, t->lru);
    }
    return changed;
}

struct mcast_table *mcast_table_create(void)
{
    struct mcast_table *t = xcalloc(1, sizeof *t);

    t->max = MCAST_DEFAULT_SIZE;
    t->age_ms = MCAST_DEFAULT_AGE_MS;
    return t;
}

void mcast_table_destroy(struct mcast_table *t)
{
    if (t) {
        mcast_table_flush(t);
        free(t);
    }
}

bool mcast_table_set_limits(struct mcast_table *t, size_t max, int64_t age_ms)
{
    t->max = MAX(max, (size_t)1);
    t->age_ms = age_ms; /* what became too old goes with the next mcast_table_expire() */
    return evict_to(t, t->max);
}

/* ---- membership ---- */

static struct mcast_group *group_get(struct mcast_table *t, uint16_t vlan, const struct ip_addr *group)
{
    struct mcast_group *g = find(t, vlan, group);

    if (!g) {
        bool tracked = memcmp(group, &queriers, sizeof queriers) != 0;

        if (tracked) {
            evict_to(t, t->max - 1);
        }
        g = xcalloc(1, sizeof *g);
        g->key = key_of(vlan, group);
        HASH_ADD(hh, t->groups, key, sizeof g->key, g);
        if (tracked) {
            DL_APPEND(t->lru, g);
            t->n_groups++;
        }
    } else if (!is_queriers(g)) {
        DL_DELETE(t->lru, g);
        DL_APPEND(t->lru, g);
    }
    return g;
}

static struct mcast_member *member_find(const struct mcast_group *g, ofp_port_t port)
{
    struct mcast_member *m;

    LL_FOREACH(g->members, m) {
        if (m->port == port) {
            return m;
        }
    }
    return NULL;
}

static bool join(struct mcast_table *t, uint16_t vlan, const struct ip_addr *group, ofp_port_t port, int64_t now)
{
    struct mcast_group *g;
    struct mcast_member *m;
    bool changed;

    if (mcast_is_local(group)) {
        return false;
    }
    g = group_get(t, vlan, group);
    m = member_find(g, port);
    changed = !m;
    if (m) {
        LL_DELETE(g->members, m);
    } else {
        m = xcalloc(1, sizeof *m);
        m->port = port;
    }
    LL_PREPEND(g->members, m);
    m->used_ms = now;
    return changed;
}

static bool remove_member(struct mcast_table *t, struct mcast_group *g, struct mcast_member *m)
{
    LL_DELETE(g->members, m);
    free(m);
    if (!g->members) {
        remove_group(t, g);
        return true;
    }
    return false;
}

static bool leave(struct mcast_table *t, uint16_t vlan, const struct ip_addr *group, ofp_port_t port)
{
    struct mcast_group *g = find(t, vlan, group);
    struct mcast_member *m = g ? member_find(g, port) : NULL;

    if (m) {
        remove_member(t, g, m);
    }
    return m != NULL;
}

/* ---- messages ---- */

enum mcast_kind mcast_classify(const uint8_t *data, size_t len, bool ipv6)
{
    if (len < (ipv6 ? 24 : 8)) {
        return len >= 8 && ipv6 && data[0] == MLD_V2_REPORT ? MCAST_REPORT : MCAST_OTHER;
    }
    switch (data[0]) {
    case IGMP_V1_REPORT:
    case IGMP_V2_REPORT:
    case IGMP_LEAVE:
    case IGMP_V3_REPORT:
        return ipv6 ? MCAST_OTHER : MCAST_REPORT;
    case MLD_V1_REPORT:
    case MLD_DONE:
    case MLD_V2_REPORT:
        return ipv6 ? MCAST_REPORT : MCAST_OTHER;
    case IGMP_QUERY:
        return ipv6 ? MCAST_OTHER : MCAST_QUERY;
    case MLD_QUERY:
        return ipv6 ? MCAST_QUERY : MCAST_OTHER;
    default:
        return MCAST_OTHER;
    }
}

static struct ip_addr read_address(struct reader *r, bool ipv6)
{
    struct ip_addr a = {.b = {[10] = 0xff, [11] = 0xff}};

    reader_copy(r, ipv6 ? a.b : a.b + 12, ipv6 ? 16 : 4);
    return a;
}

/* Is it a multicast address at all? */
static bool is_group(const struct ip_addr *a, bool ipv6)
{
    return ipv6 ? a->b[0] == 0xff : (a->b[12] & 0xf0) == 0xe0;
}

struct report {
    struct mcast_table *t;
    uint16_t vlan;
    ofp_port_t port;
    bool ipv6;
    int64_t now;
};

static bool snoop_records(const struct report *p, struct reader *r)
{
    bool changed = false;
    uint16_t n;

    reader_skip(r, 6); /* type, reserved or flags, checksum, reserved */
    n = reader_u16(r);
    while (n-- && !r->error) {
        uint8_t type = reader_u8(r), aux_words = reader_u8(r);
        uint16_t sources = reader_u16(r);
        struct ip_addr group = read_address(r, p->ipv6);

        reader_skip(r, (size_t)sources * (p->ipv6 ? 16 : 4) + (size_t)aux_words * 4);
        if (r->error || !is_group(&group, p->ipv6)) {
            continue;
        }
        if ((type == MODE_IS_INCLUDE || type == TO_INCLUDE) && !sources) {
            changed |= leave(p->t, p->vlan, &group, p->port);
        } else if (type >= MODE_IS_INCLUDE && type < BLOCK_OLD) {
            changed |= join(p->t, p->vlan, &group, p->port, p->now);
        }
    }
    return changed;
}

static bool snoop_one(const struct report *p, struct reader *r, bool leaves)
{
    struct ip_addr group;

    reader_skip(r, p->ipv6 ? 8 : 4);
    group = read_address(r, p->ipv6);
    if (r->error || !is_group(&group, p->ipv6)) {
        return false;
    }
    return leaves ? leave(p->t, p->vlan, &group, p->port) : join(p->t, p->vlan, &group, p->port, p->now);
}

/* The table of queriers is a group that no packet can be sent to. */
static bool snoop_query(const struct report *p)
{
    struct mcast_group *g = group_get(p->t, p->vlan, &queriers);
    struct mcast_member *m = member_find(g, p->port);
    bool changed = !m;

    if (!m) {
        m = xcalloc(1, sizeof *m);
        m->port = p->port;
        LL_PREPEND(g->members, m);
    }
    m->used_ms = p->now;
    return changed;
}

bool mcast_table_snoop(struct mcast_table *t, uint16_t vlan, ofp_port_t port, const uint8_t *data, size_t len,
                       bool ipv6, bool from_any, int64_t now)
{
    const struct report p = {.t = t, .vlan = vlan, .port = port, .ipv6 = ipv6, .now = now};
    struct reader r = reader_of(data, len);

    switch (mcast_classify(data, len, ipv6)) {
    case MCAST_QUERY:
        return !from_any && snoop_query(&p);
    case MCAST_REPORT:
        if (data[0] == (ipv6 ? MLD_V2_REPORT : IGMP_V3_REPORT)) {
            return snoop_records(&p, &r);
        }
        return snoop_one(&p, &r, data[0] == (ipv6 ? MLD_DONE : IGMP_LEAVE));
    case MCAST_OTHER:
        break;
    }
    return false;
}

/* ---- lookups ---- */

const struct mcast_group *mcast_table_lookup(const struct mcast_table *t, uint16_t vlan, const struct ip_addr *group)
{
    return find(t, vlan, group);
}

const struct mcast_group *mcast_table_queriers(const struct mcast_table *t, uint16_t vlan)
{
    return find(t, vlan, &queriers);
}

bool mcast_group_has(const struct mcast_group *g, ofp_port_t port)
{
    return g && member_find(g, port);
}

bool mcast_is_local(const struct ip_addr *group)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (!memcmp(group->b, mapped, sizeof mapped)) {
        return group->b[12] == 224 && !group->b[13] && !group->b[14];
    }
    /* RFC 3810, 6: never report the all-nodes address or scopes 0 and 1; RFC 4541, 3: link scope is flooded. */
    return group->b[0] == 0xff && (group->b[1] & 0x0f) <= 2;
}

/* ---- ageing ---- */

bool mcast_table_expire(struct mcast_table *t, int64_t now)
{
    struct mcast_group *g, *next_group;
    bool changed = false;

    HASH_ITER(hh, t->groups, g, next_group) {
        int64_t age = is_queriers(g) ? MCAST_QUERIER_AGE_MS : t->age_ms;
        struct mcast_member *m, *next;

        LL_FOREACH_SAFE(g->members, m, next) {
            if (now - m->used_ms >= age) {
                changed = true;
                if (remove_member(t, g, m)) {
                    break;
                }
            }
        }
    }
    return changed;
}

bool mcast_table_flush(struct mcast_table *t)
{
    struct mcast_group *g, *next;
    bool changed = t->groups != NULL;

    HASH_ITER(hh, t->groups, g, next) {
        remove_group(t, g);
    }
    return changed;
}

bool mcast_table_flush_port(struct mcast_table *t, ofp_port_t port)
{
    struct mcast_group *g, *next;
    bool changed = false;

    HASH_ITER(hh, t->groups, g, next) {
        struct mcast_member *m = member_find(g, port);

        if (m) {
            remove_member(t, g, m);
            changed = true;
        }
    }
    return changed;
}
