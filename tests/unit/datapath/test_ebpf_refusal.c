/* SPDX-License-Identifier: Apache-2.0 */
/* What libbpf said of loads that the kernel refused, as it was recorded, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <bpf/bpf.h>

#include "datapath/ebpf/loader.h"
#include "datapath/ebpf/refusal.h"
#include "netns.h"

#define LOG(PROGRAM, TEXT) "libbpf: prog '" PROGRAM "': -- BEGIN PROG LOAD LOG --\n" TEXT "-- END PROG LOAD LOG --\n"
#define STATISTICS(N)                                                                                                  \
    "verification time 595056 usec\nstack depth 8\nprocessed " N " insns (limit 1000000) max_states_per_insn 4 "       \
    "total_states 14288 peak_states 14288 mark_read 0\n"
#define FAILED(PROGRAM, N)                                                                                             \
    "libbpf: prog '" PROGRAM "': failed to load: " N "\n", "libbpf: failed to load object 'ebpf_bpf'\n",               \
        "libbpf: failed to load BPF skeleton 'ebpf_bpf': " N "\n"

static const struct {
    const char *name;
    int error;
    const char *warnings[8];
    bool pins_mismatch;
    const char *text;
} cases[] = {
    {"too many instructions",
     -E2BIG,
     {"libbpf: prog 'port_ingress': BPF program load failed: Argument list too long\n",
      LOG("port_ingress", "BPF program is too large. Processed 1000001 insn\n" STATISTICS("1000001")),
      FAILED("port_ingress", "-7")},
     false,
     "the verifier of Linux 6.1.0 refuses the BPF program port_ingress: BPF program is too large. Processed 1000001 "
     "insn "
     "(Argument list too long)"},
    {"a wrong access",
     -EACCES,
     {"libbpf: prog 'uplink_ingress': BPF program load failed: Permission denied\n",
      LOG("uplink_ingress",
          "Validating decap() func#3...\nR0 invalid mem access 'map_value_or_null'\n" STATISTICS("5")),
      FAILED("uplink_ingress", "-13")},
     false,
     "the verifier of Linux 6.1.0 refuses the BPF program uplink_ingress: R0 invalid mem access 'map_value_or_null' "
     "(Permission denied)"},
    {"an unknown helper, and the log's last line unfinished",
     -EINVAL,
     {"libbpf: prog 'meter_ask': BPF program load failed: Invalid argument\n",
      "libbpf: prog 'meter_ask': -- BEGIN PROG LOAD LOG --\ninvalid func unknown#999", FAILED("meter_ask", "-22")},
     false,
     "the verifier of Linux 6.1.0 refuses the BPF program meter_ask: invalid func unknown#999 (Invalid argument)"},
    {"a log of statistics only",
     -ENOSPC,
     {"libbpf: prog 'meter_ask': BPF program load failed: No space left on device\n", LOG("meter_ask", STATISTICS("9")),
      FAILED("meter_ask", "-28")},
     false,
     "BPF programs cannot be loaded on Linux 6.1.0: No space left on device; libbpf: prog 'meter_ask': BPF program "
     "load "
     "failed: No space left on device"},
    {"no privilege at all",
     -EPERM,
     {"libbpf: Failed to bump RLIMIT_MEMLOCK (err = -1), you might need to do it explicitly!\n",
      "libbpf: Error in bpf_object__probe_loading():Operation not permitted(1). Couldn't load trivial BPF program. "
      "Make "
      "sure your kernel supports BPF (CONFIG_BPF_SYSCALL=y) and/or that RLIMIT_MEMLOCK is set to big enough value.\n",
      "libbpf: failed to load object 'ebpf_bpf'\n"},
     false,
     "BPF programs cannot be loaded on Linux 6.1.0: CAP_BPF and CAP_NET_ADMIN (or root) are needed; libbpf: Error in "
     "bpf_object__probe_loading():Operation not permitted(1). Couldn't load trivial BPF program. Make sure your kernel "
     "supports BPF (CONFIG_BPF_SYSCALL=y) and/or that RLIMIT_MEMLOCK is set to big enough value."},
    {"no CAP_NET_ADMIN",
     -EPERM,
     {"libbpf: prog 'meter_ask': BPF program load failed: Operation not permitted\n",
      "libbpf: permission error while running as root; try raising 'ulimit -l'? current value: 8.0 MiB\n",
      FAILED("meter_ask", "-1")},
     false,
     "BPF programs cannot be loaded on Linux 6.1.0: CAP_BPF and CAP_NET_ADMIN (or root) are needed; libbpf: prog "
     "'meter_ask': BPF program load failed: Operation not permitted"},
    {"no verifier's word for EACCES",
     -EACCES,
     {"libbpf: Error in bpf_object__probe_loading():Permission denied(13). Couldn't load trivial BPF program.\n"},
     false,
     "BPF programs cannot be loaded on Linux 6.1.0: access is denied, as a security module does or the modes of "
     "/sys/fs/bpf; libbpf: Error in bpf_object__probe_loading():Permission denied(13). Couldn't load trivial BPF "
     "program."},
    {"E2BIG for a map",
     -E2BIG,
     {"libbpf: Error in bpf_create_map_xattr(slots):Argument list too long(-7). Retrying without BTF.\n",
      "libbpf: map 'slots': failed to create: Argument list too long(-7)\n",
      "libbpf: failed to load object 'ebpf_bpf'\n"},
     false,
     "BPF programs cannot be loaded on Linux 6.1.0: the kernel does not know all that is asked of it, or something is "
     "over its limits; libbpf: map 'slots': failed to create: Argument list too long(-7)"},
    {"no memory",
     -ENOMEM,
     {"libbpf: Error loading .BTF into kernel: -22. BTF is optional, ignoring.\n",
      "libbpf: map 'm': failed to create: Cannot allocate memory(-12)\n", "libbpf: failed to load object 'ebpf_bpf'\n"},
     false,
     "BPF programs cannot be loaded on Linux 6.1.0: Cannot allocate memory; libbpf: map 'm': failed to create: Cannot "
     "allocate memory(-12)"},
    {"pins of another form",
     -EINVAL,
     {"libbpf: couldn't reuse pinned map at '/sys/fs/bpf/warren/run_warren/layout9/ports': parameter mismatch\n",
      "libbpf: map 'ports': error reusing pinned map\n",
      "libbpf: map 'ports': failed to create: Invalid argument(-22)\n"},
     true,
     "BPF programs cannot be loaded on Linux 6.1.0: Invalid argument; libbpf: couldn't reuse pinned map at "
     "'/sys/fs/bpf/warren/run_warren/layout9/ports': parameter mismatch"},
    {"no BPF",
     -ENOSYS,
     {NULL},
     false,
     "BPF programs cannot be loaded on Linux 6.1.0: the kernel has no BPF (CONFIG_BPF_SYSCALL)"},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ebpf_refusal r = {0};
        _cleanup_free_ char *text = NULL;

        print_message("%s\n", cases[i].name);
        for (size_t w = 0; w < ARRAY_SIZE(cases[i].warnings) && cases[i].warnings[w]; w++) {
            ebpf_refusal_note(&r, cases[i].warnings[w]);
        }
        text = ebpf_refusal_text(&r, cases[i].error, "6.1.0");
        assert_string_equal(text, cases[i].text);
        assert_int_equal(r.pins_mismatch, cases[i].pins_mismatch);
    }
}

/* What is longer than there is room for is cut. */
static void test_long(void **state)
{
    struct ebpf_refusal r = {0};
    char warning[2000];
    int n = snprintf(warning, sizeof(warning), "libbpf: prog '%0200d': -- BEGIN PROG LOAD LOG --\n", 7);

    (void)state;
    snprintf(warning + n, sizeof(warning) - (size_t)n, "%01000d\n", 8);
    ebpf_refusal_note(&r, warning);
    assert_int_equal(strlen(r.program), sizeof(r.program) - 1);
    assert_int_equal(strlen(r.verifier), sizeof(r.verifier) - 1);
    assert_int_equal(r.complaint[0], 0);
}

/* A map of another form under one of our names, as the kernel and libbpf really say it: it is replaced. */
static void test_pins_replaced(void **state)
{
    _cleanup_free_ char *name = xasprintf("warren-test-refusal-%d", (int)getpid());
    _cleanup_free_ char *dir = xasprintf("/sys/fs/bpf/warren/run_%s/layout%d", name, EBPF_LAYOUT);
    _cleanup_free_ char *pin = xasprintf("%s/ports", dir), *rundir = xasprintf("/run/%s", name);
    _cleanup_close_ int other = bpf_map_create(BPF_MAP_TYPE_ARRAY, "other", 4, 8, 1, NULL);
    struct ebpf_maps maps;

    (void)state;
    if (other < 0 || system("mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf")) {
        print_message("BPF is not permitted here: skipped\n");
        skip();
    }
    RUN("mkdir -p %s", dir);
    assert_int_equal(bpf_obj_pin(other, pin), 0);
    assert_int_equal(ebpf_load(rundir, &maps), 0);
    assert_false(maps.adopted);
    assert_ptr_not_equal(maps.ports, NULL);
    ebpf_unload(&maps);
    assert_int_equal(access(pin, F_OK), 0);
    assert_int_equal(ebpf_unpin(rundir), 0);
    assert_int_equal(access(pin, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_pins_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
