/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/detour.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>
#include <linux/if_link.h>
#include <linux/lwtunnel.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/seg6_local.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "datapath/ebpf/netns.h"
#include "datapath/ebpf/ports.h"
#include "datapath/rtnl.h"

LOG_MODULE("ebpf_detour");

#define IN "in"
#define OUT "out"
#define DETOURS_MAX 10 /* ours and those that it replaces; their numbers have one digit */

struct ebpf_detour {
    const struct ebpf_maps *maps;
    char *rundir;        /* NULL: it goes with us */
    unsigned int number; /* in the names of its device and its namespace */
    int netns;           /* file descriptor */
};

static void device_name(unsigned int number, char *ret_name)
{
    snprintf(ret_name, IFNAMSIZ, EBPF_DETOUR_PREFIX "%u", number);
}

/* NULL without a run directory. */
static char *netns_name(const char *rundir, unsigned int number)
{
    _cleanup_free_ char *pin = rundir ? ebpf_pin_name(rundir) : NULL;

    return pin ? xasprintf(EBPF_DETOUR_PREFIX "%u-%s", number, pin) : NULL;
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
static int configure_in(void *aux WR_UNUSED)
{
    int error;

    ebpf_no_ipv6(OUT);
    error = ebpf_conf_set("ipv6", IN, "addr_gen_mode", "1");
    error = error ? error : ebpf_conf_set("ipv6", IN, "disable_ipv6", "0");
    return error ? error : ebpf_link_up((int)if_nametoindex(IN));
}

static int configure_out(void *aux WR_UNUSED)
{
    int error = ebpf_link_up((int)if_nametoindex(OUT));

    return error ? error : add_route();
}

/* Our programs send there, and one of them takes what comes back, which it does from this device alone. */
static int use(struct ebpf_detour *d, int ifindex)
{
    uint32_t zero = 0, device = (uint32_t)ifindex;
    int error = bpf_map_update_elem(d->maps->detours_fd, &zero, &device, BPF_ANY);

    return error ? error : ebpf_attach_egress(ifindex, d->maps->uplink_prog_fd);
}

/* --- making one --- */

static int build(struct ebpf_detour *d)
{
    static const struct eth_addr any;
    char device[IFNAMSIZ];
    int error, ifindex;

    device_name(d->number, device);
    error = ebpf_veth_create(device, EBPF_PEER_MTU, &any, IN, d->netns);
    ifindex = (int)if_nametoindex(device);
    error = error ? error : create_macvlan(d->netns, ifindex);
    if (error) {
        return error;
    }
    ebpf_no_ipv6(device);
    /* In this order each sends at once. A device that comes up before what it leads to drops what it is given until the
     * kernel has looked at links again, which takes up to a second. */
    error = ebpf_netns_run(d->netns, configure_in, NULL);
    error = error ? error : ebpf_link_up(ifindex);
    error = error ? error : ebpf_netns_run(d->netns, configure_out, NULL);
    return error ? error : use(d, ifindex);
}

static int make(struct ebpf_detour *d)
{
    _cleanup_free_ char *name = NULL;
    char device[IFNAMSIZ];
    int held, error;

    for (d->number = 0; d->number < DETOURS_MAX; d->number++) {
        device_name(d->number, device);
        if (!if_nametoindex(device)) {
            break;
        }
    }
    if (d->number == DETOURS_MAX) {
        return -EEXIST;
    }
    name = netns_name(d->rundir, d->number);
    error = ebpf_netns_make(name, &d->netns, &held);
    if (error) {
        return error;
    }
    if (name && held) {
        log_info("super-packets out of tunnels take the detour only while this process runs: its namespace, %s, cannot "
                 "be mounted: %s",
                 name, strerror(-held));
    }
    return build(d);
}

/* --- is one right? Whatever is made above is looked at here --- */

struct link {
    int ifindex;
    bool up;
    uint32_t mtu;
    char kind[16];
    int other;       /* a veth's other end, a macvlan's lower device */
    int other_netns; /* its namespace's id, -1: the same */
    uint32_t macvlan_mode;
};

static void read_kind(const struct nlattr *info, struct link *l)
{
    const struct nlattr *attr, *data;

    mnl_attr_for_each_nested(attr, info)
    {
        if (mnl_attr_get_type(attr) == IFLA_INFO_KIND) {
            snprintf(l->kind, sizeof(l->kind), "%s", mnl_attr_get_str(attr));
        } else if (mnl_attr_get_type(attr) == IFLA_INFO_DATA && !strcmp(l->kind, "macvlan")) {
            mnl_attr_for_each_nested(data, attr)
            {
                if (mnl_attr_get_type(data) == IFLA_MACVLAN_MODE) {
                    l->macvlan_mode = mnl_attr_get_u32(data);
                }
            }
        }
    }
}

static int read_link(const struct nlmsghdr *h, void *link)
{
    const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
    const struct nlattr *attr;
    struct link *l = link;

    *l = (struct link){.ifindex = ifi->ifi_index, .up = ifi->ifi_flags & IFF_UP, .other_netns = -1};
    mnl_attr_for_each(attr, h, sizeof(*ifi))
    {
        switch (mnl_attr_get_type(attr)) {
        case IFLA_MTU:
            l->mtu = mnl_attr_get_u32(attr);
            break;
        case IFLA_LINK:
            l->other = (int)mnl_attr_get_u32(attr);
            break;
        case IFLA_LINK_NETNSID:
            l->other_netns = (int)mnl_attr_get_u32(attr);
            break;
        case IFLA_LINKINFO:
            read_kind(attr, l);
            break;
        default:
            break;
        }
    }
    return MNL_CB_OK;
}

/* A device of ours is called NAME, up, and of this KIND and IPv6 setting. */
static bool link_is(const char *name, const char *kind, const char *disable_ipv6, struct link *ret_link)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETLINK, 0);
    struct link l = {0};

    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    if (rtnl_ask_once(h, read_link, &l) || !l.up || l.mtu != EBPF_PEER_MTU || strcmp(l.kind, kind) != 0 ||
        !ebpf_conf_is("ipv6", name, "disable_ipv6", disable_ipv6)) {
        return false;
    }
    *ret_link = l;
    return true;
}

static int read_netns_id(const struct nlmsghdr *h, void *id)
{
    const struct nlattr *attr;

    mnl_attr_for_each(attr, h, sizeof(struct rtgenmsg))
    {
        if (mnl_attr_get_type(attr) == NETNSA_NSID) {
            *(int *)id = (int)mnl_attr_get_u32(attr);
        }
    }
    return MNL_CB_OK;
}

/* The id by which our namespace knows the namespace FD; -1: it does not. */
static int netns_id(int fd)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETNSID, 0);
    int id = -1;

    mnl_nlmsg_put_extra_header(h, sizeof(struct rtgenmsg));
    mnl_attr_put_u32(h, NETNSA_FD, (uint32_t)fd);
    return rtnl_ask_once(h, read_netns_id, &id) ? -1 : id;
}

struct route {
    uint32_t in, out; /* ifindexes */
    bool found;
};

static bool is_end_dx2(const struct nlattr *encap, uint32_t out)
{
    uint32_t action = 0, oif = 0;
    const struct nlattr *attr;

    mnl_attr_for_each_nested(attr, encap)
    {
        if (mnl_attr_get_type(attr) == SEG6_LOCAL_ACTION) {
            action = mnl_attr_get_u32(attr);
        } else if (mnl_attr_get_type(attr) == SEG6_LOCAL_OIF) {
            oif = mnl_attr_get_u32(attr);
        }
    }
    return action == SEG6_LOCAL_ACTION_END_DX2 && oif == out;
}

static int read_route(const struct nlmsghdr *h, void *route_)
{
    const uint16_t to[8] = {htobe16(EBPF_DETOUR_NET), [7] = htobe16(EBPF_DETOUR_TO)};
    const struct rtmsg *r = mnl_nlmsg_get_payload(h);
    bool dst = false, in = false, out = false;
    struct route *route = route_;
    const struct nlattr *attr;

    mnl_attr_for_each(attr, h, sizeof(*r))
    {
        switch (mnl_attr_get_type(attr)) {
        case RTA_DST:
            dst = mnl_attr_get_payload_len(attr) == sizeof(to) && !memcmp(mnl_attr_get_payload(attr), to, sizeof(to));
            break;
        case RTA_OIF:
            in = mnl_attr_get_u32(attr) == route->in;
            break;
        case RTA_ENCAP:
            out = is_end_dx2(attr, route->out);
            break;
        default:
            break;
        }
    }
    if (r->rtm_dst_len == 128 && r->rtm_type == RTN_UNICAST && r->rtm_table == RT_TABLE_MAIN && dst) {
        route->found = in && out;
    }
    return MNL_CB_OK;
}

static bool has_route(int in, int out)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETROUTE, NLM_F_DUMP);
    struct rtmsg *r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
    struct route route = {.in = (uint32_t)in, .out = (uint32_t)out};

    r->rtm_family = AF_INET6;
    return !rtnl_ask_once(h, read_route, &route) && route.found;
}

/* In its namespace. */
static int is_right_inside(void *ifindex_)
{
    const int ifindex = *(int *)ifindex_;
    struct link in, out;

    return link_is(IN, "veth", "0", &in) && in.other == ifindex && link_is(OUT, "macvlan", "1", &out) &&
           out.other == ifindex && out.macvlan_mode == MACVLAN_MODE_PRIVATE && has_route(in.ifindex, out.ifindex);
}

/* Takes over what the process before us made, if it is as we would make it and was for our maps: another version's
 * serves its programs, for whom the ports may have other numbers. */
static bool adopt(struct ebpf_detour *d, unsigned int number)
{
    _cleanup_free_ char *name = netns_name(d->rundir, number);
    _cleanup_close_ int netns = name ? ebpf_netns_open(name) : -1;
    char device[IFNAMSIZ];
    struct link l;

    device_name(number, device);
    if (netns < 0 || !link_is(device, "veth", "1", &l) || l.other_netns < 0 || l.other_netns != netns_id(netns) ||
        ebpf_netns_run(netns, is_right_inside, &l.ifindex) != 1 ||
        !ebpf_attached_uses(l.ifindex, true, &d->maps->drops_id, 1) || use(d, l.ifindex)) {
        return false;
    }
    d->number = number;
    d->netns = TAKE_FD(netns);
    return true;
}

/* --- life --- */

static int open_one(struct ebpf_detour *d)
{
    for (unsigned int i = 0; i < DETOURS_MAX; i++) {
        if (adopt(d, i)) {
            return 0;
        }
    }
    return make(d);
}

int ebpf_detour_open(const struct ebpf_maps *maps, const char *rundir, struct ebpf_detour **ret_detour)
{
    struct ebpf_detour *d = xcalloc(1, sizeof(*d));
    int error;

    d->maps = maps;
    d->rundir = rundir ? xstrdup(rundir) : NULL;
    d->number = DETOURS_MAX;
    d->netns = -1;
    error = open_one(d);
    if (error) {
        ebpf_detour_close(d, false);
        return error;
    }
    *ret_detour = d;
    return 0;
}

bool ebpf_detour_is_whole(const struct ebpf_detour *d)
{
    char device[IFNAMSIZ];
    struct link l;

    device_name(d->number, device);
    return link_is(device, "veth", "1", &l) && ebpf_attached_uses(l.ifindex, true, &d->maps->drops_id, 1);
}

static void remove_one(const char *rundir, unsigned int number)
{
    _cleanup_free_ char *name = netns_name(rundir, number);
    char device[IFNAMSIZ];

    device_name(number, device);
    ebpf_link_remove(device);
    if (name) {
        ebpf_netns_remove(name);
    }
}

void ebpf_detour_remove(const char *rundir, const struct ebpf_detour *but)
{
    for (unsigned int i = 0; i < DETOURS_MAX; i++) {
        if (!but || i != but->number) {
            remove_one(rundir, i);
        }
    }
}

void ebpf_detour_close(struct ebpf_detour *d, bool keep)
{
    uint32_t zero = 0;

    if (!d) {
        return;
    }
    if (!keep) {
        bpf_map_delete_elem(d->maps->detours_fd, &zero);
        if (d->number < DETOURS_MAX) {
            remove_one(d->rundir, d->number);
        }
    }
    if (d->netns >= 0) {
        close(d->netns);
    }
    free(d->rundir);
    free(d);
}
