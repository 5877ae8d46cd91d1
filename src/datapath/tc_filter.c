/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/tc_filter.h"

#include <bpf/bpf.h>

#include "base/util.h"

#define HOOK_OF(f)                                                                                                     \
    {                                                                                                                  \
        .sz = sizeof(struct bpf_tc_hook), .ifindex = (f)->ifindex, .attach_point = (f)->point                          \
    }
#define OPTS_OF(f)                                                                                                     \
    {                                                                                                                  \
        .sz = sizeof(struct bpf_tc_opts), .handle = (f)->handle, .priority = (f)->priority                             \
    }

int tc_filter_attach(const struct tc_filter *f, int prog_fd)
{
    struct bpf_tc_hook hook = HOOK_OF(f);
    struct bpf_tc_opts opts = OPTS_OF(f);
    int error = bpf_tc_hook_create(&hook);

    if (error && error != -EEXIST) {
        return error;
    }
    opts.prog_fd = prog_fd;
    opts.flags = BPF_TC_F_REPLACE;
    return bpf_tc_attach(&hook, &opts);
}

int tc_filter_info(const struct tc_filter *f, struct bpf_prog_info *info)
{
    struct bpf_tc_hook hook = HOOK_OF(f);
    struct bpf_tc_opts opts = OPTS_OF(f);
    uint32_t len = sizeof(*info);
    int error = bpf_tc_query(&hook, &opts);

    if (error) {
        return error;
    }
    _cleanup_close_ int fd = bpf_prog_get_fd_by_id(opts.prog_id);
    return fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, info, &len);
}

bool tc_filter_is(const struct tc_filter *f, const char *const *names)
{
    struct bpf_prog_info info = {0};

    if (tc_filter_info(f, &info)) {
        return false;
    }
    for (; *names; names++) {
        if (!strcmp(info.name, *names)) {
            return true;
        }
    }
    return false;
}

void tc_filter_detach(const struct tc_filter *f, const char *const *names)
{
    struct bpf_tc_hook hook = HOOK_OF(f);
    struct bpf_tc_opts opts = OPTS_OF(f);

    if (tc_filter_is(f, names)) {
        bpf_tc_detach(&hook, &opts);
    }
}
