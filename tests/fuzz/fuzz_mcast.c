/* SPDX-License-Identifier: Apache-2.0 */
/* IGMP and MLD messages into a small snooping table, which must keep its promises: bounded, no empty group, no group
 * that is never tracked, everything gone in the end. Input: messages, each behind five bytes: flags (1 IPv6, 2 from
 * any, 4 flush the port), port, VLAN, seconds that pass, length. */
#include "base/cursor.h"
#include "fuzz.h"
#include "switch/mcast_table.h"

#define MAX_GROUPS 8

static void check(const struct mcast_table *t)
{
    size_t n = 0;

    for (const struct mcast_group *g = t->groups; g; g = g->hh.next) {
        const struct ip_addr none = {0};
        bool queriers = !memcmp(&g->key.group, &none, sizeof none);

        n += !queriers;
        FUZZ_CHECK(g->members);
        FUZZ_CHECK(queriers || !mcast_is_local(&g->key.group));
        FUZZ_CHECK(queriers ? mcast_table_queriers(t, g->key.vlan) == g
                            : mcast_table_lookup(t, g->key.vlan, &g->key.group) == g);
        for (const struct mcast_member *m = g->members; m; m = m->next) {
            FUZZ_CHECK(mcast_group_has(g, m->port));
        }
    }
    FUZZ_CHECK(n == t->n_groups && n <= MAX_GROUPS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mcast_table *t = mcast_table_create();
    struct reader r = reader_of(data, size);
    int64_t now = 0;

    mcast_table_set_limits(t, MAX_GROUPS, 60 * 1000);
    while (r.left && !r.error) {
        uint8_t flags = reader_u8(&r);
        ofp_port_t port = ofp_port(reader_u8(&r) % 8u + 1);
        uint16_t vlan = reader_u8(&r) % 3;
        uint8_t seconds = reader_u8(&r), len = reader_u8(&r);
        struct reader message = reader_sub(&r, MIN((size_t)len, r.left));
        /* In a block of its own, so that a sanitizer sees each byte too far. */
        uint8_t *exact = xmemdup(message.left ? message.data : (const uint8_t *)"", message.left + !message.left);

        now += seconds * 1000;
        if (flags & 4) {
            mcast_table_flush_port(t, port);
        }
        mcast_table_snoop(t, vlan, port, exact, message.left, flags & 1, flags & 2, now);
        free(exact);
        check(t);
        mcast_table_expire(t, now);
        check(t);
    }
    mcast_table_expire(t, now + 1000 * 1000);
    FUZZ_CHECK(!t->groups && !t->n_groups);
    mcast_table_destroy(t);
    return 0;
}
