/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/userspace/host_guard.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>

#include "base/util.h"
#include "datapath/tc_filter.h"

#define GUARD_HANDLE 1

static int no_print(enum libbpf_print_level level WR_UNUSED, const char *fmt WR_UNUSED, va_list args WR_UNUSED)
{
    return 0; /* results are told by return values */
}

/* return TC_ACT_SHOT; */
static int load_drop_all(const char *name)
{
    static const struct bpf_insn insns[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_SHOT},
        {.code = BPF_JMP | BPF_EXIT},
    };

    return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "Dual BSD/GPL", insns, ARRAY_SIZE(insns), NULL);
}

static struct tc_filter filter_of(int ifindex, const char *const *names)
{
    return (struct tc_filter){ifindex, BPF_TC_INGRESS, GUARD_HANDLE, names};
}

static const char *const guards[] = {HOST_GUARD, HOST_GUARD_INNER, NULL};

int host_guard_add(int ifindex, const char *name)
{
    struct tc_filter f = filter_of(ifindex, guards);

    libbpf_set_print(no_print);
    _cleanup_close_ int fd = load_drop_all(name);
    return fd < 0 ? fd : tc_filter_attach(&f, fd);
}

bool host_guard_is(int ifindex, const char *name)
{
    const char *const names[] = {name, NULL};
    struct tc_filter f = filter_of(ifindex, names);

    libbpf_set_print(no_print);
    return tc_filter_is(&f);
}

void host_guard_del(int ifindex)
{
    struct tc_filter f = filter_of(ifindex, guards);

    tc_filter_detach(&f);
}
