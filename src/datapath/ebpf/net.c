/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This host's network as the fast path needs it, followed by rtnetlink: a list of devices and the addresses, and
 * after each batch of changes settle() makes the maps and attachments what follows from them. Of routes and neighbours
 * it only says that they changed: the programs ask the kernel themselves, and keep the answer no longer.
 */
#include <bpf/bpf.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/netconf.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>
#include <uthash.h>

#include "base/log.h"
#include "datapath/ebpf/addresses.h"
#include "datapath/ebpf/detour.h"
#include "datapath/ebpf/links.h"
#include "datapath/ebpf/ports.h"
#include "datapath/rtnl.h"
#include "packet/tunnel.h"

LOG_MODULE("ebpf_net");

struct device {
    int ifindex;
    char name[IFNAMSIZ];
    bool ethernet, up, veth;
    bool bridged;      /* its packets are its master's */
    bool queues;       /* what it sends waits in a queueing discipline, which nobody may pass by */
    uint32_t kind;     /* EBPF_LINK_* */
    int peer;          /* a veth's other end, 0: none */
    int peer_netns;    /* its namespace's id here, -1: this one */
    uint32_t port;     /* number, 0: none */
    bool reserved;     /* a port that the fast path keeps off: no uplink */
    bool attached;     /* as an uplink */
    bool peer_stale;   /* how its port reaches the other end, and that one's address, are to be found out */
    bool filter_stale; /* a filter was removed, ours maybe */
    bool unseen;       /* in the list that is being read */
    UT_hash_handle hh;
};

struct ebpf_net {
    struct ebpf_maps *maps;
    ebpf_gone_fn *gone;
    void *aux;
    struct mnl_socket *events, *routes;
    struct rtnl rtnl;
    struct event *event, *routes_event;
    struct device *devices;
    struct ebpf_addresses *addresses;
    uint32_t changes; /* ebpf_net_changes() */
    bool lost;        /* events were lost: all is to be read anew */
    bool fib_stale;   /* somebody removed the device for which routes are looked up, or changed it, maybe */
    bool rules_stale; /* routing rules have changed, and could not be read */
};

/* --- devices --- */

static struct device *device_find(struct ebpf_net *net, int ifindex)
{
    struct device *d;

    HASH_FIND_INT(net->devices, &ifindex, d);
    return d;
}

static struct device *device_get(struct ebpf_net *net, int ifindex)
{
    struct device *d = device_find(net, ifindex);

    if (!d) {
        d = xcalloc(1, sizeof(*d));
        d->ifindex = ifindex;
        d->peer_netns = -1;
        HASH_ADD_INT(net->devices, ifindex, d);
    }
    return d;
}

static int attr_cb(const struct nlattr *attr, void *tb_)
{
    const struct nlattr **tb = tb_;

    if (mnl_attr_type_valid(attr, IFLA_MAX) >= 0) {
        tb[mnl_attr_get_type(attr)] = attr;
    }
    return MNL_CB_OK;
}

static bool is_kind(const struct nlattr *info, uint16_t type, const char *kind)
{
    const struct nlattr *attr;

    if (info) {
        mnl_attr_for_each_nested(attr, info)
        {
            if (mnl_attr_get_type(attr) == type) {
                return !strcmp(mnl_attr_get_str(attr), kind);
            }
        }
    }
    return false;
}

static void device_gone(struct ebpf_net *net, struct device *d)
{
    uint32_t port = d->port;

    HASH_DEL(net->devices, d);
    net->fib_stale |= (uint32_t)d->ifindex == net->maps->config->fib_ifindex;
    if (d->kind) {
        ebpf_link_set(net->maps, d->ifindex, 0);
    }
    free(d);
    if (port) {
        net->gone(net->aux, port);
    }
}

static void read_link(struct ebpf_net *net, const struct nlmsghdr *h)
{
    const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
    const struct nlattr *tb[IFLA_MAX + 1] = {0};
    uint32_t kind = ebpf_link_kind(ifi);
    struct device *d;

    mnl_attr_parse(h, sizeof(*ifi), attr_cb, tb);
    if (ifi->ifi_family != AF_UNSPEC || !tb[IFLA_IFNAME]) {
        return;
    }
    if (h->nlmsg_type == RTM_DELLINK) {
        d = device_find(net, ifi->ifi_index);
        if (d) {
            device_gone(net, d);
        }
        return;
    }
    d = device_get(net, ifi->ifi_index);
    d->unseen = false;
    strncpy(d->name, mnl_attr_get_str(tb[IFLA_IFNAME]), sizeof(d->name) - 1);
    d->ethernet = ifi->ifi_type == ARPHRD_ETHER;
    if (d->kind != kind) {
        d->kind = kind;
        ebpf_link_set(net->maps, d->ifindex, kind);
    }
    d->up = ifi->ifi_flags & IFF_UP;
    d->veth = is_kind(tb[IFLA_LINKINFO], IFLA_INFO_KIND, "veth");
    d->bridged = tb[IFLA_MASTER] && !is_kind(tb[IFLA_LINKINFO], IFLA_INFO_SLAVE_KIND, "vrf");
    d->peer = tb[IFLA_LINK] ? (int)mnl_attr_get_u32(tb[IFLA_LINK]) : 0;
    d->peer_netns = tb[IFLA_LINK_NETNSID] ? (int)mnl_attr_get_u32(tb[IFLA_LINK_NETNSID]) : -1;
    d->queues = ebpf_link_queues(tb[IFLA_QDISC]);
    d->peer_stale = true;
}

/* --- addresses --- */

/* False: it is no IP address. */
static bool read_ip(const struct nlattr *attr, uint8_t family, struct ip_addr *ret_addr)
{
    if (family == AF_INET && mnl_attr_get_payload_len(attr) == 4) {
        *ret_addr = ip_addr_from_v4(0);
        memcpy(&ret_addr->be32[3], mnl_attr_get_payload(attr), 4);
        return true;
    }
    if (family == AF_INET6 && mnl_attr_get_payload_len(attr) == 16) {
        memcpy(ret_addr, mnl_attr_get_payload(attr), 16);
        return true;
    }
    return false;
}

static void read_addr(struct ebpf_net *net, const struct nlmsghdr *h)
{
    const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
    const struct nlattr *tb[IFLA_MAX + 1] = {0}, *attr;
    struct ebpf_address_id id = {.ifindex = (int)ifa->ifa_index};

    mnl_attr_parse(h, sizeof(*ifa), attr_cb, tb);
    attr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
    if (!attr || !read_ip(attr, ifa->ifa_family, &id.addr)) {
        return;
    }
    if (ifa->ifa_family == AF_INET) {
        id.prefix_len = ifa->ifa_prefixlen;
        if (tb[IFA_ADDRESS]) {
            read_ip(tb[IFA_ADDRESS], AF_INET, &id.other_end);
        }
    }
    if (h->nlmsg_type == RTM_NEWADDR) {
        ebpf_addresses_add(net->addresses, &id);
    } else {
        ebpf_addresses_del(net->addresses, &id);
    }
}

/* --- filters --- */

static void read_tc(struct ebpf_net *net, const struct nlmsghdr *h)
{
    const struct tcmsg *tc = mnl_nlmsg_get_payload(h);
    struct device *d = device_find(net, tc->tcm_ifindex);

    if (d && h->nlmsg_type != RTM_NEWQDISC) {
        d->filter_stale = true;
    }
    if (d && tc->tcm_parent == TC_H_ROOT && h->nlmsg_type != RTM_DELTFILTER) {
        d->queues = h->nlmsg_type == RTM_NEWQDISC && ebpf_link_queues(mnl_nlmsg_get_payload_offset(h, sizeof(*tc)));
        d->peer_stale = true;
    }
}

/* Without our program a port would be dead, its packets the host's own, and an uplink's tunnels slow. */
static void settle_filter(struct ebpf_net *net, struct device *d)
{
    bool stale = d->filter_stale && (d->port || d->attached);
    int error;

    d->filter_stale = false;
    if (!stale || ebpf_is_attached(d->ifindex)) {
        return;
    }
    if (d->port) {
        net->maps->ports[d->port].flags &= ~EBPF_PORT_LEARN; /* another version's program is gone, too */
    }
    error = ebpf_attach(d->ifindex, d->port ? net->maps->port_prog_fd : net->maps->uplink_prog_fd);
    if (!error) {
        log_warn("%s: somebody removed our filter: it is there again", d->name);
    } else if (error != -ENODEV) {
        log_err("%s: somebody removed our filter, and it cannot be attached again: %s", d->name, strerror(-error));
    }
}

/* --- the device for which routes are looked up --- */

/* Who turns the whole host's forwarding off turns it off there, too. */
static void read_netconf(struct ebpf_net *net, const struct nlmsghdr *h)
{
    const struct nlattr *tb[IFLA_MAX + 1] = {0}, *forwarding, *ifindex;

    mnl_attr_parse(h, sizeof(struct netconfmsg), attr_cb, tb);
    forwarding = tb[NETCONFA_FORWARDING];
    ifindex = tb[NETCONFA_IFINDEX];
    if (forwarding && ifindex && !mnl_attr_get_u32(forwarding)) {
        net->fib_stale |= mnl_attr_get_u32(ifindex) == net->maps->config->fib_ifindex;
    }
}

/* Without it, or where it does not forward, the programs' lookups find no route. */
static void settle_fib(struct ebpf_net *net)
{
    int fib = 0, error = net->fib_stale ? ebpf_fib_device_create(&fib) : 0;

    if (!net->fib_stale) {
        return;
    }
    if (error) { /* the next tick brings another try */
        log_limited(LOG_LEVEL_ERR, "the device %s, for which routes are looked up: %s", EBPF_FIB_DEVICE,
                    strerror(-error));
        return;
    }
    net->fib_stale = false;
    if (net->maps->config->fib_ifindex != (uint32_t)fib) {
        log_warn("somebody removed the device %s: it is there again", EBPF_FIB_DEVICE);
        __atomic_store_n(&net->maps->config->fib_ifindex, (uint32_t)fib, __ATOMIC_RELAXED);
    }
    ebpf_maps_changed(net->maps);
}

/* --- requests --- */

static int read_message(const struct nlmsghdr *h, void *net_)
{
    struct ebpf_net *net = net_;

    net->changes += h->nlmsg_type != RTM_DELQDISC && h->nlmsg_type != RTM_DELTFILTER;
    switch (h->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        read_link(net, h);
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        read_addr(net, h);
        break;
    case RTM_NEWQDISC:
    case RTM_DELQDISC:
    case RTM_DELTFILTER:
        read_tc(net, h);
        break;
    case RTM_NEWNETCONF:
        read_netconf(net, h);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int dump(struct ebpf_net *net, uint16_t type)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, type, NLM_F_DUMP);

    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg)); /* no shorter than an ifaddrmsg */
    return rtnl_dump(&net->rtnl, h, read_message, net);
}

struct peer_answer {
    struct eth_addr mac;
    bool found;
};

static int read_peer(const struct nlmsghdr *h, void *answer_)
{
    const struct nlattr *tb[IFLA_MAX + 1] = {0};
    struct peer_answer *answer = answer_;

    mnl_attr_parse(h, sizeof(struct ifinfomsg), attr_cb, tb);
    if (tb[IFLA_ADDRESS] && mnl_attr_get_payload_len(tb[IFLA_ADDRESS]) == sizeof(answer->mac)) {
        memcpy(&answer->mac, mnl_attr_get_payload(tb[IFLA_ADDRESS]), sizeof(answer->mac));
        answer->found = true;
    }
    return MNL_CB_OK;
}

/* The address of the other end of D, which is in another namespace. */
static bool ask_peer(struct ebpf_net *net, const struct device *d, struct eth_addr *ret_mac)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETLINK, 0);
    struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
    struct peer_answer answer = {0};

    ifi->ifi_index = d->peer;
    mnl_attr_put_u32(h, IFLA_TARGET_NETNSID, (uint32_t)d->peer_netns);
    if (rtnl_ask(&net->rtnl, h, read_peer, &answer) || !answer.found) {
        return false;
    }
    *ret_mac = answer.mac;
    return true;
}

/* --- what follows --- */

static void settle_port(struct ebpf_net *net, struct device *d)
{
    struct ebpf_port *port = &net->maps->ports[d->port];
    struct eth_addr mac;

    if (!d->peer_stale) {
        return;
    }
    d->peer_stale = false;
    port->flags &= ~EBPF_PORT_PEER;
    port->flags = d->veth ? port->flags | EBPF_PORT_VETH : port->flags & ~EBPF_PORT_VETH;
    if (d->peer && d->peer_netns >= 0 && !d->queues && ask_peer(net, d, &mac)) {
        port->mac = mac;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        port->flags |= EBPF_PORT_PEER;
    }
    ebpf_maps_changed(net->maps);
}

static bool is_ours(const struct device *d)
{
    return ebpf_is_internal_peer(d->name) || !strcmp(d->name, EBPF_FIB_DEVICE) ||
           !strcmp(d->name, EBPF_FIB_DEVICE "p") || !strncmp(d->name, EBPF_DETOUR_PREFIX, strlen(EBPF_DETOUR_PREFIX));
}

/* A port of the process before us, which goes on forwarding by its program until it is added again, or dropped. */
static bool is_unclaimed_port(const struct ebpf_net *net, const struct device *d)
{
    uint32_t number;

    return !bpf_map_lookup_elem(net->maps->ifindexes_fd, &d->ifindex, &number);
}

/* Unless it is_unclaimed_port(). */
static bool is_uplink(const struct ebpf_net *net, const struct device *d)
{
    return (d->ethernet || d->kind & EBPF_LINK_BARE) && d->up && !d->bridged && !d->reserved && !is_ours(d) &&
           ebpf_addresses_are_on(net->addresses, d->ifindex);
}

static void settle_uplink(struct ebpf_net *net, struct device *d)
{
    bool want = is_uplink(net, d);
    int error;

    if (want == d->attached || is_unclaimed_port(net, d) ||
        (net->maps->replaces && ebpf_is_foreign(d->ifindex, net->maps))) {
        return;
    }
    if (want) {
        error = ebpf_attach(d->ifindex, net->maps->uplink_prog_fd);
        if (error) {
            log_limited(LOG_LEVEL_WARN, "%s: tunnels that come in here take the slow path: %s", d->name,
                        strerror(-error));
            return;
        }
    } else {
        ebpf_detach(d->ifindex);
    }
    d->attached = want;
}

static void settle(struct ebpf_net *net)
{
    struct device *d, *next;

    settle_fib(net);
    ebpf_addresses_settle(net->addresses);
    HASH_ITER(hh, net->devices, d, next) {
        settle_filter(net, d);
        if (d->port) {
            settle_port(net, d);
        } else {
            settle_uplink(net, d);
        }
    }
}

/* Another namespace's device changed: it may be some port's other end. */
static void peer_changed(struct ebpf_net *net, const struct nlmsghdr *h, int netns)
{
    const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
    struct device *d, *next;

    HASH_ITER(hh, net->devices, d, next) {
        if (d->port && d->peer == ifi->ifi_index && d->peer_netns == netns) {
            d->peer_stale = true;
        }
    }
}

static int netns_of(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == SOL_NETLINK && c->cmsg_type == NETLINK_LISTEN_ALL_NSID) {
            int id;

            memcpy(&id, CMSG_DATA(c), sizeof(id));
            return id;
        }
    }
    return -1;
}

static void read_events(struct ebpf_net *net)
{
    char buf[32768], control[64];
    struct iovec iov = {buf, sizeof(buf)};
    ssize_t n;

    for (;;) {
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
        int netns;

        n = recvmsg(mnl_socket_get_fd(net->events), &msg, MSG_DONTWAIT);
        if (n < 0) {
            net->lost |= errno == ENOBUFS;
            if (errno == ENOBUFS || errno == EINTR) {
                continue;
            }
            return;
        }
        netns = netns_of(&msg);
        if (netns < 0) {
            mnl_cb_run(buf, (size_t)n, 0, 0, read_message, net);
        } else if (mnl_nlmsg_ok((struct nlmsghdr *)(void *)buf, (int)n)) {
            struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf;

            if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK) {
                peer_changed(net, h, netns);
            }
        }
    }
}

static bool is_link(void *net, int ifindex)
{
    const struct device *d = device_find(net, ifindex);

    return d && d->kind;
}

/* Where the kernel does not tell all, what was known holds. */
static int read_all(struct ebpf_net *net)
{
    struct device *d, *next;
    int error;

    ebpf_addresses_begin(net->addresses);
    HASH_ITER(hh, net->devices, d, next) {
        d->unseen = d->filter_stale = true; /* what else happened was not heard either */
    }
    error = dump(net, RTM_GETLINK);
    HASH_ITER(hh, net->devices, d, next) {
        if (!error && d->unseen) {
            device_gone(net, d);
        }
    }
    error = error ? error : dump(net, RTM_GETADDR);
    ebpf_addresses_end(net->addresses, !error);
    if (!error) {
        ebpf_links_forget(net->maps, is_link, net);
    }
    return error;
}

struct rules {
    bool by_mark, by_origin;
};

static int read_rule(const struct nlmsghdr *h, void *rules_)
{
    struct rules *rules = rules_;
    const struct nlattr *attr;

    mnl_attr_for_each(attr, h, sizeof(struct fib_rule_hdr))
    {
        uint16_t type = mnl_attr_get_type(attr);

        rules->by_mark |= type == FRA_FWMARK || type == FRA_FWMASK;
        rules->by_origin |= type == FRA_IIFNAME && !strcmp(mnl_attr_get_str(attr), "lo");
    }
    return MNL_CB_OK;
}

/* Whether there are routing rules that look at marks, or at whether packets are of this host, for which the programs'
 * lookups do not take theirs. Not known: as before, until the next try. */
static void read_rules(struct ebpf_net *net)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETRULE, NLM_F_DUMP);
    struct rules rules = {0};

    mnl_nlmsg_put_extra_header(h, sizeof(struct fib_rule_hdr));
    net->rules_stale = rtnl_dump(&net->rtnl, h, read_rule, &rules) != 0;
    if (!net->rules_stale) {
        if (rules.by_origin && !net->maps->config->rules_by_origin) {
            log_info("routing rules for what this host sends (iif lo): its tunnel packets are sent by user space");
        }
        __atomic_store_n(&net->maps->config->rules_by_mark, rules.by_mark, __ATOMIC_RELAXED);
        __atomic_store_n(&net->maps->config->rules_by_origin, rules.by_origin, __ATOMIC_RELAXED);
        ebpf_maps_changed(net->maps);
    }
}

static void catch_up(struct ebpf_net *net)
{
    int error;

    if (net->lost) {
        error = read_all(net);
        if (error) {
            log_limited(LOG_LEVEL_WARN, "the devices and addresses of this host cannot be read now: %s",
                        strerror(-error));
        }
        net->lost = error != 0;
        net->fib_stale = true;
    }
    settle(net);
}

static void readable(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *net)
{
    read_events(net);
    catch_up(net);
}

void ebpf_net_tick(struct ebpf_net *net)
{
    if (net->lost || net->fib_stale) {
        catch_up(net);
    }
    if (net->rules_stale) {
        read_rules(net);
    }
}

struct news {
    bool rules, routes;
};

/* Neighbours, who come and go all the time, decide on next hops alone, but for IPv6's routers, of which the kernel
 * takes those that can be reached. */
static int note_news(const struct nlmsghdr *h, void *news_)
{
    const struct ndmsg *nd = mnl_nlmsg_get_payload(h);
    struct news *news = news_;
    bool neighbour = h->nlmsg_type == RTM_NEWNEIGH || h->nlmsg_type == RTM_DELNEIGH;

    news->rules |= h->nlmsg_type == RTM_NEWRULE || h->nlmsg_type == RTM_DELRULE;
    news->routes |= !neighbour || nd->ndm_flags & NTF_ROUTER;
    return MNL_CB_OK;
}

/* What changed does not matter, but for whether it was a rule, or can be no route. */
static void routes_readable(evutil_socket_t fd, short what WR_UNUSED, void *net_)
{
    struct ebpf_net *net = net_;
    struct news news = {0};
    char buf[32768];
    ssize_t n;

    while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0 || errno == ENOBUFS || errno == EINTR) {
        if (n >= 0) {
            mnl_cb_run(buf, (size_t)n, 0, 0, note_news, &news);
        } else if (errno == ENOBUFS) { /* all may be lost */
            news.rules = news.routes = true;
        }
    }
    if (news.rules) {
        read_rules(net);
    }
    net->changes += news.routes;
    ebpf_maps_changed(net->maps);
}

uint32_t ebpf_net_changes(const struct ebpf_net *net)
{
    return net->changes;
}

/* --- */

static int open_sockets(struct ebpf_net *net)
{
    static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,  RTNLGRP_IPV6_IFADDR,
                                 RTNLGRP_TC,   RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF};
    static const int route_groups[] = {RTNLGRP_LINK,      RTNLGRP_NEIGH,     RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                                       RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP};
    int one = 1, size = 1 << 20, error;

    error = rtnl_listen(NETLINK_ROUTE, groups, ARRAY_SIZE(groups), &net->events);
    error = error ? error : rtnl_listen(NETLINK_ROUTE, route_groups, ARRAY_SIZE(route_groups), &net->routes);
    if (error) {
        return error;
    }
    setsockopt(mnl_socket_get_fd(net->events), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)); /* best effort */
    if (mnl_socket_setsockopt(net->events, NETLINK_LISTEN_ALL_NSID, &one, sizeof(one))) {
        log_info("other namespaces cannot be heard: a VM's changed address makes its packets take a slower way");
    }
    return rtnl_open(&net->rtnl);
}

static int listen_to(struct event_base *base, struct mnl_socket *socket, event_callback_fn fn, struct ebpf_net *net,
                     struct event **ret_event)
{
    *ret_event = event_new(base, mnl_socket_get_fd(socket), EV_READ | EV_PERSIST, fn, net);
    return *ret_event && !event_add(*ret_event, NULL) ? 0 : -ENOMEM;
}

int ebpf_net_new(struct event_base *base, struct ebpf_maps *maps, ebpf_gone_fn *gone, void *aux,
                 struct ebpf_net **ret_net)
{
    struct ebpf_net *net = xcalloc(1, sizeof(*net));
    int fib = 0, error;

    net->maps = maps;
    net->gone = gone;
    net->aux = aux;
    net->addresses = ebpf_addresses_new(maps);
    error = ebpf_fib_device_create(&fib);
    if (error) {
        log_err("the device %s, for which routes are looked up: %s", EBPF_FIB_DEVICE, strerror(-error));
        goto fail;
    }
    maps->config->fib_ifindex = (uint32_t)fib;
    error = open_sockets(net);
    error = error ? error : read_all(net);
    if (error) {
        log_err("rtnetlink: %s", strerror(-error));
        goto fail;
    }
    error = listen_to(base, net->events, readable, net, &net->event);
    error = error ? error : listen_to(base, net->routes, routes_readable, net, &net->routes_event);
    if (error) {
        goto fail;
    }
    read_rules(net);
    ebpf_maps_changed(net->maps); /* while nobody listened */
    settle(net);
    *ret_net = net;
    return 0;
fail:
    ebpf_net_free(net);
    return error;
}

void ebpf_net_free(struct ebpf_net *net)
{
    struct device *d, *next;

    if (!net) {
        return;
    }
    if (net->event) {
        event_free(net->event);
    }
    if (net->routes_event) {
        event_free(net->routes_event);
    }
    if (net->events) {
        mnl_socket_close(net->events);
    }
    if (net->routes) {
        mnl_socket_close(net->routes);
    }
    rtnl_close(&net->rtnl);
    HASH_ITER(hh, net->devices, d, next) {
        HASH_DEL(net->devices, d);
        free(d);
    }
    ebpf_addresses_free(net->addresses);
    free(net);
}

void ebpf_net_port_add(struct ebpf_net *net, int ifindex, uint32_t number)
{
    struct device *d = device_get(net, ifindex);

    d->port = number;
    d->attached = false; /* the port's program took the uplink's place */
    d->peer_stale = true;
    if (!d->name[0]) {
        read_events(net); /* it is so new that we have not heard of it */
    }
    settle_port(net, d);
}

void ebpf_net_port_del(struct ebpf_net *net, int ifindex)
{
    struct device *d = device_find(net, ifindex);

    if (d) {
        d->port = 0;
        settle_uplink(net, d);
    }
}

void ebpf_net_reserve(struct ebpf_net *net, int ifindex, bool reserved)
{
    struct device *d = reserved ? device_get(net, ifindex) : device_find(net, ifindex);

    if (d) {
        d->reserved = reserved;
        settle_uplink(net, d);
    }
}

void ebpf_net_put_in_front(struct ebpf_net *net)
{
    struct device *d, *next;
    int error;

    HASH_ITER(hh, net->devices, d, next) {
        error = !d->port && is_uplink(net, d) && !is_unclaimed_port(net, d) && ebpf_is_foreign(d->ifindex, net->maps)
                    ? ebpf_attach_in_front(d->ifindex, net->maps->uplink_prog_fd)
                    : 0;
        if (error) {
            log_info("%s: its program is replaced before its flows are known: %s", d->name, strerror(-error));
        }
    }
}

void ebpf_net_replace(struct ebpf_net *net)
{
    settle(net);
}

bool ebpf_net_has_address(struct ebpf_net *net, const struct ip_addr *addr, unsigned int bits)
{
    return ebpf_addresses_have(net->addresses, addr, bits);
}

bool ebpf_net_is_uplink(struct ebpf_net *net, int ifindex)
{
    struct device *d = device_find(net, ifindex);

    return d && d->attached;
}

void ebpf_net_detach_uplinks(struct ebpf_net *net)
{
    struct device *d, *next;

    HASH_ITER(hh, net->devices, d, next) {
        if (d->attached || (net->maps->replaces && !d->port && ebpf_is_foreign(d->ifindex, net->maps))) {
            ebpf_detach(d->ifindex);
            d->attached = false;
        }
    }
}
