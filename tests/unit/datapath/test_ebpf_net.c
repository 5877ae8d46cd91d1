/* SPDX-License-Identifier: Apache-2.0 */
/* What the fast path knows of its host: addresses beyond what its map holds, and when the kernel does not tell them;
 * the routes to remotes, of which it asks when something has changed, and remotes that nobody leads to any more;
 * numbers of ports that a process before had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>

#include "datapath/datapath.h"
#include "datapath/ebpf/ebpf_private.h"
#include "datapath/rtnl.h"
#include "datapath/userspace/tunnel_tx.h"
#include "netns.h"

#define LOCAL_ADDRS_MAX 4096 /* the map's */
#define PATIENCE_MS 20000

static struct event_base *base;
static struct datapath *dp;
static struct ebpf_datapath *eb;
static dp_port_t vxlan;
static int open_error = -EPERM;

/* --- what the linker puts in place of ours --- */

static bool deaf; /* nothing can be asked for as a whole */
static unsigned int n_asked;

int __real_rtnl_dump(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux);
int __wrap_rtnl_dump(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux);
struct ip_addr __real_tunnel_tx_source(struct tunnel_tx *tx, const struct ip_addr *dst, int64_t now_ms);
struct ip_addr __wrap_tunnel_tx_source(struct tunnel_tx *tx, const struct ip_addr *dst, int64_t now_ms);

int __wrap_rtnl_dump(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux)
{
    return deaf ? -ENOBUFS : __real_rtnl_dump(r, request, cb, aux);
}

struct ip_addr __wrap_tunnel_tx_source(struct tunnel_tx *tx, const struct ip_addr *dst, int64_t now_ms)
{
    n_asked++;
    return __real_tunnel_tx_source(tx, dst, now_ms);
}

/* --- the world --- */

static int setup(void **state WR_UNUSED)
{
    const struct dp_callbacks callbacks = {0};
    const struct dp_port_spec spec = {.kind = DP_PORT_VXLAN, .name = "vxlan", .udp_dst_port = 4789};

    if (!netns_enter()) {
        return 0;
    }
    RUN("ip link add und0 type veth peer name und1 && ip link set und0 up && ip link set und1 up && "
        "ip addr add 10.9.0.1/24 dev und0 && ip addr add fd00::1/64 dev und0 nodad");
    base = event_base_new();
    open_error = dp_open("ebpf", base, &callbacks, &dp);
    if (!open_error) {
        eb = eb_of(dp);
        assert_int_equal(dp_port_add(dp, &spec, &vxlan), 0);
    }
    return 0;
}

static int teardown(void **state WR_UNUSED)
{
    if (!open_error) {
        dp_close(dp);
    }
    if (base) {
        event_base_free(base);
    }
    return 0;
}

#define NEEDS_BPF                                                                                                      \
    if (open_error) {                                                                                                  \
        assert_true(netns_may_skip(open_error));                                                                       \
        print_message("BPF is not permitted here: skipped\n");                                                         \
        skip();                                                                                                        \
    }

static void run_for(int64_t ms)
{
    for (int64_t until = time_mono_ms() + ms; time_mono_ms() < until;) {
        struct timeval tv = {.tv_usec = 10000};

        event_base_loopexit(base, &tv);
        event_base_loop(base, 0);
    }
}

/* Until CONDITION holds, or nobody would believe any more that it will. */
#define AWAIT(condition)                                                                                               \
    do {                                                                                                               \
        for (int64_t since_ = time_mono_ms(); !(condition) && time_mono_ms() - since_ < PATIENCE_MS;) {                \
            run_for(10);                                                                                               \
        }                                                                                                              \
        assert_true(condition);                                                                                        \
    } while (0)

/* --- addresses --- */

static struct ip_addr v4(uint32_t addr)
{
    return ip_addr_from_v4(htobe32(addr));
}

static bool in_map(const struct ip_addr *addr)
{
    uint32_t one;

    return !bpf_map_lookup_elem(eb->maps.local_addrs_fd, addr, &one);
}

static unsigned int n_in_map(void)
{
    struct ip_addr at, next;
    unsigned int n = 0;

    for (bool more = !bpf_map_get_next_key(eb->maps.local_addrs_fd, NULL, &next); more; n++) {
        at = next;
        more = !bpf_map_get_next_key(eb->maps.local_addrs_fd, &at, &next);
    }
    return n;
}

#define MANY 0x0a640001u /* 10.100.0.1 and the next */

/* As many addresses on lo as the map has room for, and 200 more. */
static void change_addresses(const char *what, unsigned int first, unsigned int n)
{
    FILE *f = popen("ip -batch -", "w");

    assert_non_null(f);
    for (uint32_t a = MANY + first; a < MANY + first + n; a++) {
        fprintf(f, "addr %s 10.100.%u.%u/32 dev lo\n", what, a >> 8 & 0xff, a & 0xff);
    }
    assert_int_equal(pclose(f), 0);
}

/* Those for which there was no room get the first that there is. */
static void test_more_addresses_than_room(void **state WR_UNUSED)
{
    const unsigned int n = LOCAL_ADDRS_MAX + 200;
    struct ip_addr last = v4(MANY + n - 1);

    NEEDS_BPF;
    change_addresses("add", 0, n);
    AWAIT(ebpf_net_has_address(eb->net, &last, 128));
    assert_int_equal(n_in_map(), LOCAL_ADDRS_MAX);
    assert_false(in_map(&last));
    change_addresses("del", 0, 300);
    AWAIT(in_map(&last));
    for (uint32_t i = 300; i < n; i++) {
        struct ip_addr a = v4(MANY + i);

        assert_true(in_map(&a));
    }
    change_addresses("del", 300, n - 300);
    AWAIT(!in_map(&last));
}

/* More events than a socket keeps. */
static void lose_events(void)
{
    RUN("for i in $(seq 4000); do echo link set und1 mtu $((1300 + i %% 100)); done | ip -batch -");
}

/* What was known holds until the kernel tells again, which it is asked for, whether something happens or not. */
static void test_addresses_that_cannot_be_read(void **state WR_UNUSED)
{
    struct ip_addr stays = v4(0x0a090001), goes = v4(0x0a080001);
    int und0;

    NEEDS_BPF;
    und0 = (int)if_nametoindex("und0");
    RUN("ip addr add 10.8.0.1/24 dev und0");
    AWAIT(in_map(&goes) && ebpf_net_is_uplink(eb->net, und0));
    lose_events();
    RUN("ip addr del 10.8.0.1/24 dev und0");
    deaf = true;
    run_for(1500);
    assert_true(ebpf_net_is_uplink(eb->net, und0));
    assert_true(ebpf_net_has_address(eb->net, &stays, 128));
    assert_true(in_map(&stays));
    deaf = false;
    AWAIT(!in_map(&goes));
    assert_false(ebpf_net_has_address(eb->net, &goes, 128));
    assert_true(ebpf_net_has_address(eb->net, &stays, 128));
    assert_true(ebpf_net_is_uplink(eb->net, und0));
    RUN("ip addr del 10.9.0.1/24 dev und0 && ip addr del fd00::1/64 dev und0 && ip -6 addr flush dev und0");
    AWAIT(!ebpf_net_is_uplink(eb->net, und0)); /* nothing is counted twice */
    RUN("ip addr add 10.9.0.1/24 dev und0 && ip addr add fd00::1/64 dev und0 nodad");
    AWAIT(ebpf_net_is_uplink(eb->net, und0));
}

/* Rules that could not be read are read later. */
static void test_rules_that_cannot_be_read(void **state WR_UNUSED)
{
    uint32_t generation;

    NEEDS_BPF;
    deaf = true;
    RUN("ip rule add fwmark 5 table 99");
    run_for(100);
    deaf = false;
    generation = eb->maps.config->generation;
    AWAIT(eb->maps.config->rules_by_mark);
    assert_int_not_equal(eb->maps.config->generation, generation); /* what goes by next hops is asked anew */
    RUN("ip rule del fwmark 5 table 99");
    AWAIT(!eb->maps.config->rules_by_mark);
}

/* --- remotes --- */

/* The flow ID sends what it is for to DST; the source address is the route's. */
static void put_flow(dp_flow_id id, const struct ip_addr *dst)
{
    struct {
        struct dp_action_tunnel set;
        struct dp_action out;
    } actions = {.set = {.h = {DP_ACTION_SET_TUNNEL, sizeof(actions.set), 0},
                         .tunnel = {.dst = *dst, .id = htobe64(7), .flags = FLOW_TNL_KEY, .ttl = 64}},
                 .out = {DP_ACTION_OUTPUT, sizeof(actions.out), dp_port_u32(vxlan)}};
    struct flow_key key = {0}, mask = {0};
    struct dp_flow flow = {
        .id = id, .key = &key, .mask = &mask, .actions = &actions.set.h, .actions_len = sizeof(actions)};

    key.pkt_mark = (uint32_t)id;
    mask.pkt_mark = UINT32_MAX;
    assert_int_equal(dp_flow_put(dp, &flow), 0);
}

static void del_flows(dp_flow_id n)
{
    for (dp_flow_id id = 1; id <= n; id++) {
        assert_int_equal(dp_flow_del(dp, id, NULL), 0);
    }
}

static bool is_fast(dp_flow_id id)
{
    return !strcmp(dp_flow_runner(dp, id), "ebpf");
}

static struct ip_addr source_of(dp_flow_id id)
{
    struct ebpf_step step;

    return !ebpf_flows_step(eb->flows, id, 0, &step) && step.op == EBPF_OP_TUNNEL ? step.u.tunnel.src
                                                                                  : (struct ip_addr){0};
}

static bool has_source(dp_flow_id id, struct ip_addr src)
{
    struct ip_addr is = source_of(id);

    return !memcmp(&is, &src, sizeof(is));
}

/* The place of a remote is another's, when its last flow is gone. */
static void test_remotes_are_given_back(void **state WR_UNUSED)
{
    const dp_flow_id n = EBPF_NEXTHOPS_MAX;
    struct ip_addr late = v4(0x0a066401);

    NEEDS_BPF;
    RUN("ip route add 10.6.0.0/16 dev und0");
    for (dp_flow_id id = 1; id <= n; id++) {
        struct ip_addr dst = v4(0x0a060000u + (uint32_t)id);

        put_flow(id, &dst);
        assert_true(is_fast(id));
    }
    put_flow(n + 1, &late);
    assert_false(is_fast(n + 1)); /* that is the limit */
    del_flows(n);
    AWAIT(is_fast(n + 1));
    for (dp_flow_id id = 1; id < 1000; id++) {
        struct ip_addr dst = v4(0x0a067000u + (uint32_t)id);

        put_flow(id, &dst);
        assert_true(is_fast(id));
    }
    for (dp_flow_id id = 1; id < 1000; id++) { /* no two have one */
        struct ebpf_step a, b;

        assert_int_equal(ebpf_flows_step(eb->flows, id, 0, &a), 0);
        assert_int_equal(ebpf_flows_step(eb->flows, id == 1 ? n + 1 : id - 1, 0, &b), 0);
        assert_int_not_equal(a.u.tunnel.nexthop, b.u.tunnel.nexthop);
    }
    del_flows(999);
    assert_int_equal(dp_flow_del(dp, n + 1, NULL), 0);
    RUN("ip route del 10.6.0.0/16 dev und0");
}

/* Nothing is asked while nothing changes but neighbours, which say nothing of source addresses. */
static void test_sources_are_asked_after_changes(void **state WR_UNUSED)
{
    const dp_flow_id n = 50;
    struct ip_addr six = {.b = {0xfd, 0, [15] = 0x77}};
    struct ip_addr first6 = {.b = {0xfd, 0, [15] = 1}}, second6 = {.b = {0xfd, 0, [15] = 9}};

    NEEDS_BPF;
    RUN("ip addr add 10.9.0.9/24 dev und0 && ip route add 10.7.0.0/16 dev und0 src 10.9.0.1");
    for (dp_flow_id id = 1; id <= n; id++) {
        struct ip_addr dst = v4(0x0a070000u + (uint32_t)id);

        put_flow(id, &dst);
        assert_true(has_source(id, v4(0x0a090001)));
    }
    put_flow(n + 1, &six);
    run_for(2500);
    n_asked = 0;
    RUN("ip neigh replace 10.9.0.77 lladdr 02:00:00:00:00:77 dev und0");
    run_for(3500);
    assert_in_range(n_asked, 0, n);

    RUN("ip route replace 10.7.0.0/16 dev und0 src 10.9.0.9");
    AWAIT(has_source(1, v4(0x0a090009)) && has_source(n, v4(0x0a090009)));
    RUN("ip route add 10.70.0.0/16 dev und0 src 10.9.0.1 table 99 && ip route add 10.7.0.0/16 dev und0 src 10.9.0.1 "
        "table 99");
    run_for(1500);
    assert_true(has_source(1, v4(0x0a090009)));
    RUN("ip rule add to 10.7.0.0/16 table 99");
    AWAIT(has_source(1, v4(0x0a090001)));
    RUN("ip rule del to 10.7.0.0/16 table 99");
    AWAIT(has_source(1, v4(0x0a090009)));
    /* An address that goes takes its routes with it, of which the kernel says nothing (IPv4). */
    RUN("ip route add 10.7.0.0/16 dev und0 src 10.9.0.1 metric 9 && ip addr del 10.9.0.9/24 dev und0");
    AWAIT(has_source(1, v4(0x0a090001)));
    /* So does a link that goes down. */
    RUN("ip link add und2 type veth peer name und3 && ip link set und2 up && ip link set und3 up && "
        "ip addr add 10.10.0.1/24 dev und2 && ip route add 10.7.0.0/16 dev und2 src 10.10.0.1");
    AWAIT(has_source(1, v4(0x0a0a0001)));
    RUN("ip link set und2 down");
    AWAIT(has_source(1, v4(0x0a090001)));
    /* An address that others are preferred to is told as an address, and not as a route. */
    assert_true(has_source(n + 1, first6));
    RUN("ip addr add fd00::9/64 dev und0 nodad && ip addr change fd00::1/64 dev und0 preferred_lft 0");
    AWAIT(has_source(n + 1, second6));
    RUN("ip addr change fd00::1/64 dev und0 preferred_lft forever && ip addr del fd00::9/64 dev und0");
    AWAIT(has_source(n + 1, first6));
    del_flows(n + 1);
    RUN("ip link del und2");
}

static uint32_t route_mtu(dp_flow_id id)
{
    struct ebpf_nexthop nh = {0};
    struct ebpf_step step;

    assert_int_equal(ebpf_flows_step(eb->flows, id, 0, &step), 0);
    assert_int_equal(bpf_map_lookup_elem(eb->maps.nexthops_fd, &step.u.tunnel.nexthop, &nh), 0);
    return nh.route_mtu;
}

/* The MTU of a route, or that user space sends because of IPsec, holds at once for what the exact-match cache knows,
 * which does not look at next hops. */
static void test_route_mtu_ends_what_is_cached(void **state WR_UNUSED)
{
    struct ip_addr dst = v4(0x0a040001);
    uint32_t generation = 0;

    NEEDS_BPF;
    RUN("ip route add 10.4.0.0/16 dev und0 mtu 1400");
    run_for(100);
    put_flow(1, &dst);
    assert_int_equal(route_mtu(1), 1400);
    RUN("ip route change 10.4.0.0/16 dev und0 mtu 1300");
    for (int64_t since = time_mono_ms(); route_mtu(1) != 1300 && time_mono_ms() - since < PATIENCE_MS;) {
        generation = eb->maps.config->generation;
        event_base_loop(base, EVLOOP_ONCE);
    }
    assert_int_equal(route_mtu(1), 1300);
    assert_int_not_equal(eb->maps.config->generation, generation);
    del_flows(1);
    RUN("ip route del 10.4.0.0/16");
}

/* A flow that was made while there was no route becomes fast when there is one, however late that is. */
static void test_route_comes_later(void **state WR_UNUSED)
{
    struct ip_addr dst = v4(0x0a050001), other = v4(0x0a050002);

    NEEDS_BPF;
    put_flow(1, &dst);
    assert_false(is_fast(1));
    RUN("ip route add 10.5.0.0/16 dev und0");
    AWAIT(is_fast(1));
    RUN("ip route del 10.5.0.0/16");
    run_for(1500);
    put_flow(2, &other);
    assert_false(is_fast(2));
    run_for(6000); /* what has no step in the maps is not forgotten */
    RUN("ip route add 10.5.0.0/16 dev und0");
    AWAIT(is_fast(2));
    del_flows(2);
}

/* One that is made just when there is a route, before anybody has told us of it, does not leave the others behind. */
static void test_route_found_by_another_flow(void **state WR_UNUSED)
{
    struct ip_addr dst = v4(0x0a080001);

    NEEDS_BPF;
    put_flow(1, &dst);
    assert_false(is_fast(1));
    RUN("ip route add 10.8.0.0/16 dev und0");
    for (dp_flow_id id = 2; !is_fast(id - 1); id++) { /* what is known of routes is believed for a second */
        assert_in_range(id, 2, 200);
        usleep(20000);
        put_flow(id, &dst);
    }
    assert_false(is_fast(1));
    AWAIT(is_fast(1));
    for (dp_flow_id id = 1; id < 200; id++) {
        dp_flow_del(dp, id, NULL);
    }
    RUN("ip route del 10.8.0.0/16");
}

/* --- ports --- */

/* What a process before us called a port stays that port's, whose flows still forward, until it is added again. */
static void test_numbers_of_former_ports(void **state WR_UNUSED)
{
    const struct dp_port_spec gre = {.kind = DP_PORT_GRE, .name = "gre"};
    const struct dp_port_spec und1 = {.kind = DP_PORT_SYSTEM, .name = "und1"};
    uint32_t number = EBPF_PORTS_MAX - 1, und1_index = if_nametoindex("und1");
    dp_port_t port, other;

    NEEDS_BPF;
    eb->numbers = xcalloc(EBPF_PORTS_MAX, 1);
    eb->numbers[number] = eb->numbers[2] = 1; /* they are not there yet: one is und1 */
    assert_int_equal(bpf_map_update_elem(eb->maps.ifindexes_fd, &und1_index, &number, BPF_ANY), 0);
    eb->us->next_port = number; /* numbers go round */
    assert_int_equal(dp_port_add(dp, &gre, &other), 0);
    assert_int_equal(dp_port_u32(other), 3); /* 1 is the test's own */
    assert_int_equal(dp_port_add(dp, &und1, &port), 0);
    assert_int_equal(dp_port_u32(port), number);
    assert_int_equal(dp_port_del(dp, port), 0);
    assert_int_equal(dp_port_del(dp, other), 0);
    free(eb->numbers);
    eb->numbers = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_addresses_than_room),        cmocka_unit_test(test_addresses_that_cannot_be_read),
        cmocka_unit_test(test_rules_that_cannot_be_read),       cmocka_unit_test(test_remotes_are_given_back),
        cmocka_unit_test(test_sources_are_asked_after_changes), cmocka_unit_test(test_route_comes_later),
        cmocka_unit_test(test_route_found_by_another_flow),     cmocka_unit_test(test_route_mtu_ends_what_is_cached),
        cmocka_unit_test(test_numbers_of_former_ports),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
