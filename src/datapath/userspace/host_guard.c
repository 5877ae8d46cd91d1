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

static struct tc_filter filter_at(int ifindex, uint32_t priority)
{
    return (struct tc_filter){ifindex, BPF_TC_INGRESS, priority, GUARD_HANDLE};
}

static void detach_at(int ifindex, uint32_t priority)
{
    static const char *const names[] = {HOST_GUARD, HOST_GUARD_INNER, NULL};
    struct tc_filter f = filter_at(ifindex, priority);

    tc_filter_detach(&f, names);
}

int host_guard_add(int ifindex, const char *name)
{
    struct tc_filter f = filter_at(ifindex, TC_FILTER_PRIORITY);

    libbpf_set_print(no_print);
    _cleanup_close_ int fd = load_drop_all(name);
    if (fd < 0) {
        return fd;
    }
    int error = tc_filter_attach(&f, fd);
    if (!error) {
        detach_at(ifindex, TC_FILTER_PRIORITY_ONCE);
    }
    return error;
}

bool host_guard_is(int ifindex, const char *name)
{
    const char *const names[] = {name, NULL};
    struct tc_filter f = filter_at(ifindex, TC_FILTER_PRIORITY);
    struct tc_filter once = filter_at(ifindex, TC_FILTER_PRIORITY_ONCE);

    libbpf_set_print(no_print);
    return tc_filter_is(&f, names) || tc_filter_is(&once, names);
}

void host_guard_del(int ifindex)
{
    detach_at(ifindex, TC_FILTER_PRIORITY);
    detach_at(ifindex, TC_FILTER_PRIORITY_ONCE);
}
