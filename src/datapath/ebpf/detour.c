/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/detour.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/lwtunnel.h>
#include <linux/rtnetlink.h>
#include <linux/seg6_local.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "datapath/ebpf/ports.h"
#include "datapath/rtnl.h"

LOG_MODULE("ebpf_detour");

#define IN "in"
#define OUT "out"

struct ebpf_detour {
    const struct ebpf_maps *maps;
    int netns; /* file descriptor */
};

/* --- namespaces --- */

static int own_netns(void)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* Calls FN in the namespace NETNS, a file descriptor, or -1: a new one, which RET_NETNS (may be NULL) gets. */
static int in_netns(int netns, int (*fn)(void), int *ret_netns)
{
    _cleanup_close_ int home = own_netns();
    int error = 0, fd;

    if (home < 0) {
        return home;
    }
    if (netns < 0 ? unshare(CLONE_NEWNET) : setns(netns, CLONE_NEWNET)) {
        return -errno;
    }
    fd = ret_netns ? own_netns() : -1;
    error = fn ? fn() : 0;
    if (setns(home, CLONE_NEWNET)) {
        log_err("the network namespace cannot be entered again: %s", strerror(errno));
        abort(); /* nothing that this process does elsewhere would be right */
    }
    if (ret_netns && fd < 0) {
        return fd;
    }
    if (ret_netns) {
        *ret_netns = fd;
    }
    return error;
}

/* --- its devices --- */

static int create_macvlan(int netns, int lower)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    struct nlattr *info, *data;

    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, OUT);
    mnl_attr_put_u32(h, IFLA_MTU, EBPF_PEER_MTU);
    info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "macvlan");
    data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    mnl_attr_put_u32(h, IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    mnl_attr_put_u32(h, IFLA_LINK, (uint32_t)lower);
    mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)netns);
    return rtnl_ask_once(h, NULL, NULL);
}

/* --- in its namespace --- */

static int add_route(void)
{
    const uint16_t to[8] = {htobe16(EBPF_DETOUR_NET), [7] = htobe16(EBPF_DETOUR_TO)};
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    struct nlattr *encap;
    struct rtmsg *r;

    r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
    *r = (struct rtmsg){.rtm_family = AF_INET6,
                        .rtm_dst_len = 128,
                        .rtm_table = RT_TABLE_MAIN,
                        .rtm_protocol = RTPROT_STATIC,
                        .rtm_scope = RT_SCOPE_UNIVERSE,
                        .rtm_type = RTN_UNICAST};
    mnl_attr_put(h, RTA_DST, sizeof(to), to);
    mnl_attr_put_u32(h, RTA_OIF, if_nametoindex(IN));
    mnl_attr_put_u16(h, RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_SEG6_LOCAL);
    encap = mnl_attr_nest_start(h, RTA_ENCAP);
    mnl_attr_put_u32(h, SEG6_LOCAL_ACTION, SEG6_LOCAL_ACTION_END_DX2);
    mnl_attr_put_u32(h, SEG6_LOCAL_OIF, if_nametoindex(OUT));
    mnl_attr_nest_end(h, encap);
    return rtnl_ask_once(h, NULL, NULL);
}

/* No addresses, so that nobody there speaks; but IPv6 must be on where packets come in. */
static int configure(void)
{
    int error;

    ebpf_no_ipv6(OUT);
    error = ebpf_conf_set("ipv6", IN, "addr_gen_mode", "1");
    error = error ? error : ebpf_conf_set("ipv6", IN, "disable_ipv6", "0");
    error = error ? error : ebpf_link_up((int)if_nametoindex(IN));
    error = error ? error : ebpf_link_up((int)if_nametoindex(OUT));
    return error ? error : add_route();
}

/* --- */

static int attach(int ifindex, int prog_fd)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = EBPF_TC_HANDLE, .priority = EBPF_TC_PRIORITY);
    int error = bpf_tc_hook_create(&hook);

    return error ? error : bpf_tc_attach(&hook, &opts);
}

static int build(struct ebpf_detour *d)
{
    static const struct eth_addr any;
    int error = ebpf_veth_create(EBPF_DETOUR_DEVICE, EBPF_PEER_MTU, &any, IN, d->netns);
    int ifindex = (int)if_nametoindex(EBPF_DETOUR_DEVICE);
    uint32_t zero = 0;

    error = error ? error : create_macvlan(d->netns, ifindex);
    if (error) {
        return error;
    }
    ebpf_no_ipv6(EBPF_DETOUR_DEVICE);
    error = ebpf_link_up(ifindex);
    error = error ? error : in_netns(d->netns, configure, NULL);
    error = error ? error : attach(ifindex, d->maps->detour_prog_fd);
    return error ? error : bpf_map_update_elem(d->maps->detours_fd, &zero, &ifindex, BPF_ANY);
}

int ebpf_detour_open(const struct ebpf_maps *maps, struct ebpf_detour **ret_detour)
{
    struct ebpf_detour *d = xcalloc(1, sizeof(*d));
    int error;

    d->maps = maps;
    d->netns = -1;
    ebpf_link_remove(EBPF_DETOUR_DEVICE);
    error = in_netns(-1, NULL, &d->netns);
    error = error ? error : build(d);
    if (error) {
        ebpf_detour_close(d);
        return error;
    }
    *ret_detour = d;
    return 0;
}

void ebpf_detour_close(struct ebpf_detour *d)
{
    uint32_t zero = 0;

    if (d) {
        bpf_map_delete_elem(d->maps->detours_fd, &zero);
        ebpf_link_remove(EBPF_DETOUR_DEVICE);
        if (d->netns >= 0) {
            close(d->netns);
        }
        free(d);
    }
}
