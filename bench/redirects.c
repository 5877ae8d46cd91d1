/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest way between a VM's port and the underlay: two programs that redirect and do nothing else, or put frames
 * into VXLAN and out again as if they knew all about them.
 *
 *   bench_redirects ns=NS port=DEVICE uplink=DEVICE
 *                   [local=MAC,IP remote=MAC,IP near=MAC far=MAC]
 *
 * With LOCAL and REMOTE, the tunnel's ends, IPv4 goes through it; NEAR and FAR are the Ethernet addresses of the VM here
 * and of the one there. They stay until the devices go.
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>

#include "frame.h"
#include "redirect.h"

#include "bench_redirect.skel.h"

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

/* TEXT: "MAC,IP" */
static void parse_end(const char *text, __u8 *mac, __u8 *ip)
{
    const char *comma = strchr(text, ',');

    parse_mac(text, mac);
    if (!comma || inet_pton(AF_INET, comma + 1, ip) != 1) {
        errx(2, "%s is not an Ethernet address and an IPv4 address", text);
    }
}

struct ways {
    struct tunnel_head head;
    struct tunnel_eth frame;
};

static struct ways tunnel(int argc, char **argv)
{
    struct ways w = {
        .head = {.outer.type = htons(ETHERTYPE_IP),
                 .ip = {.ver_ihl = 0x45, .frag = htons(0x4000), .ttl = 64, .proto = IPPROTO_UDP},
                 .udp = {.src = htons(50000), .dst = htons(4789)},
                 .vxlan = {htons(0x0800), 0, 0, htons(42 << 8)},
                 .inner.type = htons(ETHERTYPE_IP)},
        .frame.type = htons(ETHERTYPE_IP),
    };

    parse_end(arg_text(argc, argv, "local", NULL), w.head.outer.src, w.head.ip.src);
    parse_end(arg_text(argc, argv, "remote", NULL), w.head.outer.dst, w.head.ip.dst);
    parse_mac(arg_text(argc, argv, "near", NULL), w.head.inner.src);
    parse_mac(arg_text(argc, argv, "far", NULL), w.head.inner.dst);
    memcpy(w.frame.src, w.head.inner.dst, sizeof w.frame.src);
    memcpy(w.frame.dst, w.head.inner.src, sizeof w.frame.dst);
    return w;
}

/* One object for each direction: where to is part of the program. */
static struct bench_redirect *load(int to_ifindex, const struct ways *w)
{
    struct bench_redirect *skel = bench_redirect__open();

    if (!skel) {
        err(1, "programs");
    }
    skel->rodata->to_ifindex = to_ifindex;
    skel->bss->head = w->head;
    skel->bss->head_sum = (__u16)~checksum(&w->head.ip, sizeof w->head.ip);
    skel->bss->frame = w->frame;
    if (bench_redirect__load(skel)) {
        err(1, "programs");
    }
    return skel;
}

int main(int argc, char **argv)
{
    bool in_tunnel = *arg_text(argc, argv, "local", "");
    struct ways w = in_tunnel ? tunnel(argc, argv) : (struct ways){};
    struct bench_redirect *out, *in;
    int port, uplink;

    enter_netns(arg_text(argc, argv, "ns", NULL));
    port = index_of(arg_text(argc, argv, "port", NULL));
    uplink = index_of(arg_text(argc, argv, "uplink", NULL));
    out = load(uplink, &w);
    in = load(port, &w);
    attach(port, in_tunnel ? out->progs.tunnel_out : out->progs.redirect_out);
    attach(uplink, in_tunnel ? in->progs.tunnel_in : in->progs.redirect_in);
    return 0;
}
