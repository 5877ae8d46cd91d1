/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/userspace/host_guard.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>

#include "base/util.h"

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

int host_guard_add(int ifindex, const char *name)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);

    libbpf_set_print(no_print);
    _cleanup_close_ int fd = load_drop_all(name);
    if (fd < 0) {
        return fd;
    }
    int error = bpf_tc_hook_create(&hook);
    if (error && error != -EEXIST) {
        return error;
    }
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd, .handle = GUARD_HANDLE, .priority = HOST_GUARD_PRIORITY,
                        .flags = BPF_TC_F_REPLACE);
    return bpf_tc_attach(&hook, &opts);
}

bool host_guard_is(int ifindex, const char *name)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = GUARD_HANDLE, .priority = HOST_GUARD_PRIORITY);
    struct bpf_prog_info info = {0};
    uint32_t len = sizeof(info);

    libbpf_set_print(no_print);
    if (bpf_tc_query(&hook, &opts)) {
        return false;
    }
    _cleanup_close_ int fd = bpf_prog_get_fd_by_id(opts.prog_id);
    return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, name);
}

void host_guard_del(int ifindex)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = GUARD_HANDLE, .priority = HOST_GUARD_PRIORITY);

    bpf_tc_detach(&hook, &opts);
}
