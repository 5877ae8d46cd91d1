/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The detour's life: it goes on without its process, the next one keeps it if it is right, and in the end nothing is
 * left. And what comes to its end by mistake. (Super-packets on the way there need tunnels: test_ebpf_tunnels.c,
 * tests/e2e/test_super_packets.py.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>

#include "datapath/ebpf/compile.h"
#include "datapath/ebpf/detour.h"
#include "ebpf_enter.h"
#include "packet/drop.h"
#include "packet/headers.h"
#include "packet/tunnel.h"

#define PORT_OUT 2
#define PRIVATE 18 /* bytes of the private header */

static struct ebpf_maps maps;

static char rundir[64];

static int setup(void **state WR_UNUSED)
{
    snprintf(rundir, sizeof(rundir), "/run/test-detour.%d", (int)getpid());
    ebpf_enter(&maps);
    return 0;
}

static int teardown(void **state WR_UNUSED)
{
    if (permitted) {
        ebpf_detour_remove(rundir, NULL); /* after a failure */
        ebpf_unload(&maps);
    }
    return 0;
}

/* What nobody sent there goes nowhere: a frame that is not ours stays as it is, one with a serial that nobody gave is
 * dropped. */
static void test_end(void **state WR_UNUSED)
{
    uint32_t zero = 0, one = 1; /* the device that frames of test runs are at */

    NEEDS_BPF;
    assert_int_equal(bpf_map_update_elem(maps.detours_fd, &zero, &one, BPF_ANY), 0);
    for (unsigned int foreign = 0; foreign < 2; foreign++) {
        const uint32_t serial = 77, magic = foreign ? 0 : EBPF_DETOUR_MAGIC;
        uint8_t in[PRIVATE + 60] = {2, [12] = 0x81, 0, 0, 0, ETH_TYPE_IPV4 >> 8, ETH_TYPE_IPV4 & 255}, out[256];
        DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = sizeof(in), .data_out = out,
                            .data_size_out = sizeof(out), .repeat = 1);
        uint64_t before = drops_of(&maps, DROP_BAD_ACTION);

        memcpy(in + 2, &serial, 4);
        memcpy(in + 8, &magic, 4);
        assert_int_equal(bpf_prog_test_run_opts(maps.uplink_prog_fd, &opts), 0);
        assert_int_equal(opts.retval, foreign ? (uint32_t)TC_ACT_UNSPEC : TC_ACT_SHOT);
        assert_int_equal(drops_of(&maps, DROP_BAD_ACTION) - before, !foreign);
        assert_int_equal(opts.data_size_out, sizeof(in));
        assert_memory_equal(out, in, sizeof(in));
    }
    bpf_map_delete_elem(maps.detours_fd, &zero);
}

/* --- by which flows a super-packet finds out at its port whether it must take the detour --- */

#define TUNNEL 3

static bool tunnel_or_not(void *aux WR_UNUSED, uint32_t port, const struct flow_tunnel *tunnel WR_UNUSED,
                          struct ebpf_tunnel *t)
{
    t->src = t->dst = ip_addr_from_v4(1);
    return port == TUNNEL;
}

static void test_one_output(void **state WR_UNUSED)
{
    static const struct ebpf_compile_ops ops = {.tunnel = tunnel_or_not};
    static const struct flow_key any;
    static const struct {
        struct dp_action actions[3];
        size_t n;
        bool one;
    } cases[] = {
        {{{DP_ACTION_OUTPUT, sizeof(struct dp_action), PORT_OUT}}, 1, true},
        {{{DP_ACTION_SET_PRIORITY, sizeof(struct dp_action), 1},
          {DP_ACTION_OUTPUT, sizeof(struct dp_action), PORT_OUT}},
         2,
         true},
        {{{DP_ACTION_OUTPUT, sizeof(struct dp_action), 1}, {DP_ACTION_OUTPUT, sizeof(struct dp_action), PORT_OUT}},
         2,
         false},
        {{{DP_ACTION_OUTPUT, sizeof(struct dp_action), 1},
          {DP_ACTION_SET_PRIORITY, sizeof(struct dp_action), 1},
          {DP_ACTION_OUTPUT, sizeof(struct dp_action), PORT_OUT}},
         3,
         false},
        {{{DP_ACTION_TRUNC, sizeof(struct dp_action), 100}, {DP_ACTION_OUTPUT, sizeof(struct dp_action), PORT_OUT}},
         2,
         false},
        {{{DP_ACTION_OUTPUT, sizeof(struct dp_action), TUNNEL}}, 1, false},
        {{{DP_ACTION_DROP, sizeof(struct dp_action), 1}}, 1, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ebpf_program program;

        ebpf_compile(&ops, &any, &any, cases[i].actions, cases[i].n * sizeof(struct dp_action), &program);
        print_message("case %zu\n", i);
        assert_int_equal(!!(program.flags & EBPF_FLOW_ONE_OUTPUT), cases[i].one);
        free(program.steps);
    }
}

/* --- its life --- */

#define FIRST EBPF_DETOUR_PREFIX "0"
#define SECOND EBPF_DETOUR_PREFIX "1"

/* NAME is the detour's device for MAPS_'s programs. */
static bool leads_to(const struct ebpf_maps *maps_, const char *name)
{
    uint32_t zero = 0, ifindex;

    return !bpf_map_lookup_elem(maps_->detours_fd, &zero, &ifindex) && ifindex && ifindex == if_nametoindex(name);
}

/* The path of the namespace of the detour NUMBER of our run directory. */
static const char *netns_path(unsigned int number)
{
    _cleanup_free_ char *pin = ebpf_pin_name(rundir);
    static char path[128];

    snprintf(path, sizeof(path), "/run/netns/" EBPF_DETOUR_PREFIX "%u-%s", number, pin);
    return path;
}

static bool is_held(unsigned int number)
{
    return !access(netns_path(number), F_OK);
}

static struct ebpf_detour *open_one(const char *dir)
{
    struct ebpf_detour *detour = NULL;
    int error = ebpf_detour_open(&maps, dir, &detour);

    if (error == -EOPNOTSUPP || error == -EPERM) {
        print_message("no detour on this kernel: %s: skipped\n", strerror(-error));
        skip();
    }
    assert_int_equal(error, 0);
    assert_true(if_nametoindex("lo")); /* this is the test's own namespace again */
    return detour;
}

static void test_life(void **state WR_UNUSED)
{
    struct ebpf_detour *detour;

    NEEDS_BPF;
    RUN("ip link add " FIRST " type veth peer name left-over"); /* somebody's before us */
    detour = open_one(NULL);
    assert_true(leads_to(&maps, SECOND));
    assert_true(if_nametoindex(FIRST)); /* it may be in use */
    ebpf_detour_remove(NULL, detour);
    assert_int_equal(if_nametoindex("left-over"), 0);
    assert_true(leads_to(&maps, SECOND));
    RUN("tc filter show dev " SECOND " egress | grep -q uplink_ingress");
    ebpf_detour_close(detour, false);
    assert_false(leads_to(&maps, SECOND));
    assert_int_equal(if_nametoindex(SECOND), 0);
    ebpf_detour_close(NULL, false);
}

/* The device goes, for whatever reason: the programs see it at once. */
static void test_gone(void **state WR_UNUSED)
{
    struct ebpf_detour *detour;
    uint32_t zero = 0, ifindex;

    NEEDS_BPF;
    detour = open_one(NULL);
    RUN("ip link del " FIRST);
    assert_int_equal(bpf_map_lookup_elem(maps.detours_fd, &zero, &ifindex), -ENOENT);
    ebpf_detour_close(detour, false);
}

/* The process ends and another one comes: the detour is the same, and where it was all the time. */
static void test_goes_on(void **state WR_UNUSED)
{
    struct ebpf_detour *detour;
    unsigned int ifindex;

    NEEDS_BPF;
    ebpf_detour_close(open_one(rundir), true);
    ifindex = if_nametoindex(FIRST);
    assert_true(leads_to(&maps, FIRST));
    assert_true(is_held(0));
    RUN("nsenter --net=%s ip -6 route | grep -q End.DX2", netns_path(0));
    for (int i = 0; i < 2; i++) {
        uint32_t zero = 0;

        bpf_map_delete_elem(maps.detours_fd, &zero); /* the next process has a map of its own */
        detour = open_one(rundir);
        assert_int_equal(if_nametoindex(FIRST), ifindex);
        assert_true(leads_to(&maps, FIRST));
        ebpf_detour_remove(rundir, detour);
        assert_int_equal(if_nametoindex(FIRST), ifindex);
        assert_true(is_held(0));
        ebpf_detour_close(detour, true);
    }
    ebpf_detour_remove(rundir, NULL);
    assert_int_equal(if_nametoindex(FIRST), 0);
    assert_false(is_held(0));
    RUN("! grep -q ' %s ' /proc/self/mountinfo", netns_path(0));
}

/* The kernel lets devices go some time after their namespace. */
#define UNTIL_GONE " && while ip link show " FIRST " >/dev/null 2>&1; do sleep 0.01; done"

/* What is not as it would be made is replaced: at first there are both. %s: the namespace. */
static const char *const wrongs[] = {
    "nsenter --net=%s ip -6 route del fd00::2",
    "nsenter --net=%s sh -c 'ip -6 route del fd00::2; ip -6 route add fd00::2 dev in encap seg6local action End.DX2 "
    "oif "
    "in'",
    "nsenter --net=%s sh -c 'ip -6 route del fd00::2; ip -6 route add fd00::2 dev in'",
    "nsenter --net=%s sh -c 'ip -6 route del fd00::2; ip -6 route add fd00::3 dev in encap seg6local action End.DX2 "
    "oif "
    "out'",
    "nsenter --net=%s ip link set in down",
    "nsenter --net=%s ip link set out down",
    "nsenter --net=%s ip link set in mtu 1500",
    "nsenter --net=%s sysctl -qw net.ipv6.conf.in.disable_ipv6=1",
    "nsenter --net=%s ip link set out type macvlan mode vepa",
    "nsenter --net=%s ip link del out",
    "nsenter --net=%s ip link del in",
    "ip link set " FIRST " down; : %s",
    "ip link set " FIRST " mtu 1500; : %s",
    "tc filter del dev " FIRST " egress; : %s",
    "ip link del " FIRST "; ip link add " FIRST " type veth peer name other; ip link set " FIRST " up; : %s",
    "umount %s" UNTIL_GONE,
    "umount %1$s && unshare -n mount --bind /proc/self/ns/net %1$s" UNTIL_GONE,
    "umount %1$s && rm %1$s" UNTIL_GONE,
};

static void test_wrong_is_replaced(void **state WR_UNUSED)
{
    NEEDS_BPF;
    for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
        struct ebpf_detour *detour;
        unsigned int number;
        char command[512];
        bool there;

        ebpf_detour_close(open_one(rundir), true);
        print_message("%s\n", wrongs[i]);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(command, sizeof(command), wrongs[i], netns_path(0));
#pragma GCC diagnostic pop
        assert_int_equal(system(command), 0);
        there = if_nametoindex(FIRST) != 0;
        detour = open_one(rundir);
        number = there ? 1 : 0;
        assert_true(leads_to(&maps, there ? SECOND : FIRST));
        assert_int_equal(!!if_nametoindex(FIRST), true);
        ebpf_detour_remove(rundir, detour);
        assert_true(leads_to(&maps, there ? SECOND : FIRST));
        assert_int_equal(!!if_nametoindex(FIRST), !there);
        assert_true(is_held(number));
        assert_false(is_held(!number));
        /* And the next process finds nothing wrong. */
        ebpf_detour_close(detour, true);
        detour = open_one(rundir);
        assert_true(leads_to(&maps, there ? SECOND : FIRST));
        assert_int_equal(!!if_nametoindex(FIRST), !there);
        ebpf_detour_close(detour, false);
        assert_false(is_held(number));
    }
}

/* One for other maps is left to the programs that use them. */
static void test_other_maps(void **state WR_UNUSED)
{
    struct ebpf_detour *ours, *theirs = NULL;
    struct ebpf_maps other;

    NEEDS_BPF;
    assert_int_equal(ebpf_load(NULL, &other), 0);
    if (ebpf_detour_open(&other, rundir, &theirs)) {
        ebpf_unload(&other);
        skip();
    }
    ebpf_detour_close(theirs, true);
    ours = open_one(rundir);
    assert_true(leads_to(&maps, SECOND));
    assert_true(leads_to(&other, FIRST));
    assert_true(is_held(0));
    ebpf_detour_remove(rundir, ours);
    assert_true(leads_to(&maps, SECOND));
    assert_false(leads_to(&other, FIRST));
    assert_false(is_held(0));
    ebpf_detour_close(ours, false);
    assert_false(is_held(1));
    ebpf_unload(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end),        cmocka_unit_test(test_one_output), cmocka_unit_test(test_life),
        cmocka_unit_test(test_gone),       cmocka_unit_test(test_goes_on),    cmocka_unit_test(test_wrong_is_replaced),
        cmocka_unit_test(test_other_maps),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
