/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest way between a VM's port and the underlay: two programs that redirect and do nothing else.
 *
 *   bench_redirects ns=NS port=DEVICE uplink=DEVICE
 *
 * They stay until the devices go.
 */
#include <bpf/libbpf.h>
#include <net/if.h>

#include "bench_redirect.skel.h"
#include "common.h"

static int index_of(const char *device)
{
    unsigned int ifindex = if_nametoindex(device);

    if (!ifindex) {
        err(1, "%s", device);
    }
    return (int)ifindex;
}

static void attach(int ifindex, const struct bpf_program *program)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(program));
    int error = bpf_tc_hook_create(&hook);

    if (!error) {
        error = bpf_tc_attach(&hook, &opts);
    }
    if (error) {
        errx(1, "%s: %s", bpf_program__name(program), strerror(-error));
    }
}

/* One object for each direction: where to is part of the program. */
static struct bench_redirect *load(int to_ifindex)
{
    struct bench_redirect *skel = bench_redirect__open();

    if (!skel) {
        err(1, "programs");
    }
    skel->rodata->to_ifindex = to_ifindex;
    if (bench_redirect__load(skel)) {
        err(1, "programs");
    }
    return skel;
}

int main(int argc, char **argv)
{
    int port, uplink;

    enter_netns(arg_text(argc, argv, "ns", NULL));
    port = index_of(arg_text(argc, argv, "port", NULL));
    uplink = index_of(arg_text(argc, argv, "uplink", NULL));
    attach(port, load(uplink)->progs.redirect_out);
    attach(uplink, load(port)->progs.redirect_in);
    return 0;
}
