/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/tc_filter.h"

#include <bpf/bpf.h>

#include "base/util.h"

/* Behind those of others (policing). Not the kernel's choice for who asks for none, 49152: two kinds of filter cannot
 * share a priority, and of one kind ours would take the other's place. Versions before had theirs there all the same;
 * what they left is taken over and removed. */
#define PRIORITY 53248
#define PRIORITY_ONCE 49152

static int attach_at(const struct tc_filter *f, uint32_t priority, uint32_t handle, int prog_fd)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = f->ifindex, .attach_point = f->point);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = handle, .priority = priority,
                        .flags = BPF_TC_F_REPLACE);
    int error = bpf_tc_hook_create(&hook);

    return error && error != -EEXIST ? error : bpf_tc_attach(&hook, &opts);
}

static int info_at(const struct tc_filter *f, uint32_t priority, struct bpf_prog_info *info)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = f->ifindex, .attach_point = f->point);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = f->handle, .priority = priority);
    uint32_t len = sizeof(*info);
    int error = bpf_tc_query(&hook, &opts);

    if (error) {
        return error;
    }
    _cleanup_close_ int fd = bpf_prog_get_fd_by_id(opts.prog_id);
    return fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, info, &len);
}

static bool is_at(const struct tc_filter *f, uint32_t priority)
{
    struct bpf_prog_info info = {0};

    if (info_at(f, priority, &info)) {
        return false;
    }
    for (const char *const *name = f->names; *name; name++) {
        if (!strcmp(info.name, *name)) {
            return true;
        }
    }
    return false;
}

static void detach_at(const struct tc_filter *f, uint32_t priority)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = f->ifindex, .attach_point = f->point);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = f->handle, .priority = priority);

    if (is_at(f, priority)) {
        bpf_tc_detach(&hook, &opts);
    }
}

/* Where it is, or would be. Where one of now is behind one of a version before, which came again, that one serves. */
static uint32_t priority_of(const struct tc_filter *f)
{
    return is_at(f, PRIORITY_ONCE) ? PRIORITY_ONCE : PRIORITY;
}

int tc_filter_attach(const struct tc_filter *f, int prog_fd)
{
    int error = attach_at(f, PRIORITY, f->handle, prog_fd);

    if (!error) {
        detach_at(f, PRIORITY_ONCE);
    }
    return error;
}

int tc_filter_attach_beside(const struct tc_filter *f, uint32_t handle, int prog_fd)
{
    return attach_at(f, priority_of(f), handle, prog_fd);
}

int tc_filter_info(const struct tc_filter *f, struct bpf_prog_info *info)
{
    return info_at(f, priority_of(f), info);
}

bool tc_filter_is(const struct tc_filter *f)
{
    return tc_filter_count(f);
}

unsigned int tc_filter_count(const struct tc_filter *f)
{
    return (unsigned int)is_at(f, PRIORITY) + is_at(f, PRIORITY_ONCE);
}

void tc_filter_detach(const struct tc_filter *f)
{
    detach_at(f, PRIORITY);
    detach_at(f, PRIORITY_ONCE);
}
