/* SPDX-License-Identifier: Apache-2.0 */
/* Multicast snooping: messages of each protocol and version, ageing, bounds, and where NORMAL sends what. */
#include <arpa/inet.h>
#include <stdio.h>

#include "env.h"
#include "switch/mcast_table.h"

static struct ip_addr v4(const char *text)
{
    return env_ip(text);
}

static struct ip_addr v6(const char *text)
{
    struct ip_addr a;

    assert_int_equal(inet_pton(AF_INET6, text, a.b), 1);
    return a;
}

/* ---- messages ---- */

struct message {
    uint8_t b[200];
    size_t len;
};

static struct message igmp(uint8_t type, const char *group)
{
    struct message m = {.b = {type}, .len = 8};

    assert_int_equal(inet_pton(AF_INET, group, m.b + 4), 1);
    return m;
}

static struct message mld(uint8_t type, const char *group)
{
    struct message m = {.b = {type}, .len = 24};

    assert_int_equal(inet_pton(AF_INET6, group, m.b + 8), 1);
    return m;
}

/* An IGMPv3 or MLDv2 report; record() appends to it. */
static struct message report(bool ipv6)
{
    return (struct message){.b = {ipv6 ? 143 : 0x22}, .len = 8};
}

static void record(struct message *m, bool ipv6, uint8_t type, const char *group, unsigned int sources)
{
    uint8_t *p = m->b + m->len;

    m->b[7]++;
    p[0] = type;
    p[3] = (uint8_t)sources;
    assert_int_equal(inet_pton(ipv6 ? AF_INET6 : AF_INET, group, p + 4), 1);
    m->len += 4 + (ipv6 ? 16 : 4) * (1 + sources);
}

static bool snoop(struct mcast_table *t, unsigned int port, const struct message *m, bool ipv6, int64_t now)
{
    return mcast_table_snoop(t, 5, ofp_port(port), m->b, m->len, ipv6, false, now);
}

static bool joined(const struct mcast_table *t, struct ip_addr group, unsigned int port)
{
    return mcast_group_has(mcast_table_lookup(t, 5, &group), ofp_port(port));
}

static void test_igmp(void **state WR_UNUSED)
{
    struct mcast_table *t = mcast_table_create();
    struct message m = igmp(0x16, "239.1.1.1"), v1 = igmp(0x12, "239.1.1.2"), leave = igmp(0x17, "239.1.1.1");
    struct message local = igmp(0x16, "224.0.0.251"), unicast = igmp(0x16, "10.0.0.1");

    assert_true(snoop(t, 1, &m, false, 0));
    assert_false(snoop(t, 1, &m, false, 1));
    assert_true(snoop(t, 2, &m, false, 2));
    assert_true(snoop(t, 2, &v1, false, 2));
    assert_true(joined(t, v4("239.1.1.1"), 1) && joined(t, v4("239.1.1.1"), 2) && joined(t, v4("239.1.1.2"), 2));
    assert_null(mcast_table_lookup(t, 6, &(struct ip_addr){0}));
    assert_true(snoop(t, 1, &leave, false, 3));
    assert_false(snoop(t, 1, &leave, false, 3));
    assert_true(!joined(t, v4("239.1.1.1"), 1) && joined(t, v4("239.1.1.1"), 2));
    assert_false(snoop(t, 1, &local, false, 3));
    assert_false(snoop(t, 1, &unicast, false, 3));
    assert_int_equal(t->n_groups, 2);
    mcast_table_destroy(t);
}

static void test_igmpv3(void **state WR_UNUSED)
{
    struct mcast_table *t = mcast_table_create();
    struct message m = report(false), out = report(false);

    record(&m, false, 4, "239.1.1.1", 0);  /* to exclude nobody: join */
    record(&m, false, 1, "239.1.1.2", 2);  /* include two sources: join */
    record(&m, false, 5, "239.1.1.3", 1);  /* allow another: join */
    record(&m, false, 6, "239.1.1.4", 1);  /* block: nothing */
    record(&m, false, 3, "239.1.1.5", 0);  /* to include nobody: leave */
    record(&m, false, 99, "239.1.1.6", 0); /* no such type */
    assert_true(snoop(t, 1, &m, false, 0));
    assert_int_equal(t->n_groups, 3);
    assert_true(joined(t, v4("239.1.1.1"), 1) && joined(t, v4("239.1.1.2"), 1) && joined(t, v4("239.1.1.3"), 1));
    record(&out, false, 3, "239.1.1.1", 0);
    record(&out, false, 1, "239.1.1.2", 0);
    record(&out, false, 6, "239.1.1.3", 1);
    assert_true(snoop(t, 1, &out, false, 1));
    assert_int_equal(t->n_groups, 1);
    mcast_table_destroy(t);
}

static void test_mld(void **state WR_UNUSED)
{
    struct mcast_table *t = mcast_table_create();
    struct message m = mld(131, "ff05::1:3"), end = mld(132, "ff05::1:3"), local = mld(131, "ff02::1:ff00:1"),
                   m2 = report(true);

    assert_true(snoop(t, 1, &m, true, 0));
    assert_true(joined(t, v6("ff05::1:3"), 1));
    assert_false(snoop(t, 1, &local, true, 0));
    assert_true(snoop(t, 1, &end, true, 0));
    assert_null(t->groups);
    record(&m2, true, 4, "ff08::1", 0);
    record(&m2, true, 2, "ff08::2", 3);
    assert_true(snoop(t, 2, &m2, true, 0));
    assert_true(joined(t, v6("ff08::1"), 2) && joined(t, v6("ff08::2"), 2));
    /* The other family's numbers mean nothing. */
    assert_int_equal(mcast_classify(m.b, m.len, false), MCAST_OTHER);
    assert_int_equal(mcast_classify((const uint8_t[24]){0x16}, 24, true), MCAST_OTHER);
    mcast_table_destroy(t);
}

static void test_queriers(void **state WR_UNUSED)
{
    struct mcast_table *t = mcast_table_create();
    struct message q = igmp(0x11, "0.0.0.0");

    assert_false(mcast_table_snoop(t, 5, ofp_port(3), q.b, q.len, false, true, 0));
    assert_null(mcast_table_queriers(t, 5));
    assert_true(snoop(t, 3, &q, false, 0));
    assert_false(snoop(t, 3, &q, false, 1000));
    assert_true(mcast_group_has(mcast_table_queriers(t, 5), ofp_port(3)));
    assert_null(mcast_table_queriers(t, 6));
    assert_int_equal(t->n_groups, 0);
    assert_false(mcast_table_expire(t, MCAST_QUERIER_AGE_MS + 999));
    assert_true(mcast_table_expire(t, MCAST_QUERIER_AGE_MS + 1000));
    assert_null(mcast_table_queriers(t, 5));
    mcast_table_destroy(t);
}

/* Whatever is cut off or wrong leads to nothing, and nowhere beyond the end. */
static void test_malformed(void **state WR_UNUSED)
{
    struct mcast_table *t = mcast_table_create();
    struct message m = report(false), m6 = report(true);

    record(&m, false, 4, "239.1.1.1", 2);
    record(&m6, true, 4, "ff08::1", 2);
    for (int v = 0; v < 2; v++) {
        struct message *full = v ? &m6 : &m;

        for (size_t len = 0; len < full->len; len++) {
            uint8_t *exact = xmemdup(full->b, len + !len);

            assert_false(mcast_table_snoop(t, 5, ofp_port(1), exact, len, v, false, 0));
            free(exact);
        }
        full->b[7] = 200; /* more records than there are: those that are there count */
        assert_true(snoop(t, 1, full, v, 0));
    }
    assert_int_equal(t->n_groups, 2);
    for (unsigned int type = 0; type < 256; type++) {
        uint8_t b[24] = {(uint8_t)type};

        mcast_table_snoop(t, 5, ofp_port(1), b, sizeof b, type & 1, false, 0);
    }
    assert_int_equal(t->n_groups, 2);
    mcast_table_destroy(t);
}

static void test_ageing_bound_and_flush(void **state WR_UNUSED)
{
    struct mcast_table *t = mcast_table_create();
    char group[20];

    mcast_table_set_limits(t, 10, 1000);
    for (int i = 0; i < 12; i++) {
        struct message m;

        snprintf(group, sizeof group, "239.1.1.%d", i);
        m = igmp(0x16, group);
        snoop(t, 1, &m, false, i * 100);
    }
    assert_int_equal(t->n_groups, 10);
    assert_true(!joined(t, v4("239.1.1.0"), 1) && !joined(t, v4("239.1.1.1"), 1) && joined(t, v4("239.1.1.2"), 1));
    assert_false(mcast_table_expire(t, 1199));
    assert_true(mcast_table_expire(t, 1200));
    assert_int_equal(t->n_groups, 9);
    struct message m = igmp(0x16, "239.1.1.11");
    snoop(t, 2, &m, false, 1900);
    assert_true(mcast_table_flush_port(t, ofp_port(1)));
    assert_int_equal(t->n_groups, 1);
    assert_true(mcast_table_set_limits(t, 0, 1000) == false);
    assert_true(mcast_table_flush(t));
    assert_false(mcast_table_flush(t));
    mcast_table_destroy(t);
}

/* ---- with NORMAL ---- */

/* Ports 1 to 5 of VLAN 0, snooping. */
static int setup(void **state)
{
    struct env *e = env_setup(state, 5);

    env_flow(e->br, "priority=0,actions=normal");
    bridge_set_mcast(e->br,
                     &(struct mcast_settings){
                         .enable = true, .age_ms = MCAST_DEFAULT_AGE_MS, .max = 100, .flood_unregistered = true});
    return 0;
}

static struct packet *ip_packet(const char *group, uint8_t proto, const struct message *m)
{
    struct packet *p = packet_new(NULL, 14 + 20 + m->len);
    uint8_t *b = p->data;
    uint8_t ip[20] = {0x45, 0, 0, (uint8_t)(20 + m->len), 0, 0, 0, 0, 1, proto, 0, 0, 10, 0, 0, 1};

    assert_int_equal(inet_pton(AF_INET, group, ip + 16), 1);
    memcpy(b, (const uint8_t[]){1, 0, 0x5e, ip[17] & 0x7f, ip[18], ip[19], 2, 0, 0, 0, 0, 1, 8, 0}, 14);
    memcpy(b + 14, ip, sizeof ip);
    memcpy(b + 34, m->b, m->len);
    return p;
}

static struct packet *ipv6_packet(const char *group, const struct message *m)
{
    struct packet *p = packet_new(NULL, 14 + 40 + 8 + m->len);
    uint8_t *b = p->data;
    uint8_t ip[48] = {0x60, 0, 0, 0, 0, (uint8_t)(8 + m->len), 0, 1, 0xfe, 0x80, [23] = 1, [40] = 58, 0, 5, 2};

    assert_int_equal(inet_pton(AF_INET6, group, ip + 24), 1);
    memcpy(b, (const uint8_t[]){0x33, 0x33, ip[36], ip[37], ip[38], ip[39], 2, 0, 0, 0, 0, 1, 0x86, 0xdd}, 14);
    memcpy(b + 14, ip, sizeof ip);
    memcpy(b + 62, m->b, m->len);
    return p;
}

static const char *igmp_in(struct env *e, unsigned int port, uint8_t type, const char *group)
{
    struct message m = igmp(type, group);
    const char *out = env_in(e, port, ip_packet(type == 0x11 ? "224.0.0.1" : group, 2, &m));

    megaflow_revalidate_all(e->sw);
    return out;
}

static const char *data_in(struct env *e, unsigned int port, const char *group)
{
    static const struct message m = {.b = {0x03, 0xe8, 0x07, 0xd0, 0, 8}, .len = 8};

    return env_in(e, port, ip_packet(group, 17, &m));
}

static void test_groups(void **state)
{
    struct env *e = *state;

    assert_string_equal(data_in(e, 1, "239.1.1.1"), "2,3,4,5");
    /* No querier yet: reports go nowhere. */
    assert_string_equal(igmp_in(e, 2, 0x16, "239.1.1.1"), "");
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "2");
    assert_string_equal(data_in(e, 2, "239.1.1.1"), "drop(mcast_nobody)");
    assert_string_equal(data_in(e, 1, "239.1.1.2"), "2,3,4,5");
    assert_string_equal(data_in(e, 1, "224.0.0.5"), "2,3,4,5");
    /* A querier at 5 gets reports and data, and its queries go everywhere. */
    assert_string_equal(igmp_in(e, 5, 0x11, "0.0.0.0"), "1,2,3,4");
    assert_string_equal(igmp_in(e, 3, 0x16, "239.1.1.1"), "5");
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "3,2,5");
    /* The second message of a kind takes the same way as the first. */
    assert_string_equal(igmp_in(e, 2, 0x17, "239.1.1.1"), "5");
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "3,5");
    assert_string_equal(igmp_in(e, 5, 0x16, "239.1.1.1"), "");
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "5,3");
    bridge_flush_mcast(e->br);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "2,3,4,5");
}

static void test_unregistered(void **state)
{
    struct env *e = *state;
    struct mcast_settings s = {.enable = true, .age_ms = MCAST_DEFAULT_AGE_MS, .max = 100};

    assert_string_equal(data_in(e, 1, "239.1.1.2"), "2,3,4,5");
    bridge_set_mcast(e->br, &s);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(data_in(e, 1, "239.1.1.2"), "drop(mcast_nobody)");
    igmp_in(e, 5, 0x11, "0.0.0.0");
    assert_string_equal(data_in(e, 1, "239.1.1.2"), "5");
    assert_string_equal(data_in(e, 1, "224.0.0.9"), "2,3,4,5");
    s.enable = false;
    bridge_set_mcast(e->br, &s);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(data_in(e, 1, "239.1.1.2"), "2,3,4,5");
    assert_string_equal(igmp_in(e, 5, 0x16, "239.1.1.2"), "1,2,3,4");
}

static void flooded(struct env *e, const char *name, unsigned int n, bool data, bool reports)
{
    const struct port_config c = {.name = name,
                                  .ofp_port = ofp_port(n),
                                  .kind = PORT_SYSTEM,
                                  .mcast_flood = data,
                                  .mcast_flood_reports = reports,
                                  .vlan = {.mode = VLAN_TRUNK, .all_trunks = true}};

    assert_int_equal(bridge_port_set(bridge_port_by_name(e->br, name), &c), 0);
    megaflow_revalidate_all(e->sw);
}

static void test_flooded_ports(void **state)
{
    struct env *e = *state;

    igmp_in(e, 2, 0x16, "239.1.1.1");
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "2");
    flooded(e, "p4", 4, true, false);
    flooded(e, "p5", 5, false, true);
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "2,4");
    assert_string_equal(igmp_in(e, 3, 0x16, "239.1.1.1"), "5");
    flooded(e, "p2", 2, true, true);
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "3,2,4"); /* a member once */
}

static void test_ipv6(void **state)
{
    struct env *e = *state;
    struct message m = mld(131, "ff05::1:3"), echo = {.b = {128}, .len = 8};

    assert_string_equal(env_in(e, 2, ipv6_packet("ff05::1:3", &m)), "");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, ipv6_packet("ff05::1:3", &echo)), "2");
    assert_string_equal(env_in(e, 1, ipv6_packet("ff05::1:4", &echo)), "2,3,4,5");
    assert_string_equal(env_in(e, 1, ipv6_packet("ff02::1", &echo)), "2,3,4,5");
}

static void test_ports_and_vlans(void **state)
{
    struct env *e = *state;

    igmp_in(e, 2, 0x16, "239.1.1.1");
    igmp_in(e, 3, 0x16, "239.1.1.1");
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "3,2");
    bridge_port_set_link(bridge_port_by_name(e->br, "p3"), (struct eth_addr){{0}}, false, true, 0, 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "2");
    bridge_port_del(bridge_port_by_name(e->br, "p2"));
    megaflow_revalidate_all(e->sw);
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "3,4,5");
    /* Ageing. */
    igmp_in(e, 4, 0x16, "239.1.1.1");
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "4");
    switch_tick(e->sw, time_mono_ms() + MCAST_DEFAULT_AGE_MS + 1000);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(data_in(e, 1, "239.1.1.1"), "3,4,5");
}

/* Megaflows of data look at the group, not at the host in it; of the rest, not at the group. */
static void test_masks(void **state)
{
    struct env *e = *state;

    data_in(e, 1, "239.1.1.1");
    data_in(e, 1, "239.1.1.2");
    assert_int_equal(fake_n_flows(e->sw), 2);
    env_in(e, 2, env_udp(9, 2, 0));
    env_in(e, 2, env_udp(9, 2, 0));
    assert_int_equal(fake_n_flows(e->sw), 3);
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
#define E(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
    const struct CMUnitTest tests[] = {
        T(test_igmp),     T(test_igmpv3),          T(test_mld),
        T(test_queriers), T(test_malformed),       T(test_ageing_bound_and_flush),
        E(test_groups),   E(test_unregistered),    E(test_flooded_ports),
        E(test_ipv6),     E(test_ports_and_vlans), E(test_masks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
