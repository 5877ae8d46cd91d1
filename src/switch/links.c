/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/links.h"

#include <event2/event.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "datapath/rtnl.h"

LOG_MODULE("links");

#define EVENT_BUFFER (8 << 20)
#define EVENTS_PER_TURN 4096

struct links {
    struct link *by_index, *by_name;
    struct mnl_socket *events;
    struct rtnl rtnl;
    struct event *readable;
    bool dirty;
    bool lost; /* events did not fit: all links are to be read anew when those that did are handled */
    uint64_t newest_serial, routes_serial;
    int route_oif; /* what the present route request found */
    void (*changed)(void *aux);
    void *aux;
};

static void forget(struct links *l, struct link *link)
{
    HASH_DEL(l->by_index, link);
    HASH_DELETE(hh_name, l->by_name, link);
    free(link);
    l->dirty = true;
}

const struct link *links_find(const struct links *l, const char *name)
{
    struct link *link;
    HASH_FIND(hh_name, l->by_name, name, strlen(name), link);
    return link;
}

const struct link *links_find_index(const struct links *l, int ifindex)
{
    struct link *link;
    HASH_FIND_INT(l->by_index, &ifindex, link);
    return link;
}

static int attr_cb(const struct nlattr *attr, void *data)
{
    const struct nlattr **tb = data;
    if (mnl_attr_type_valid(attr, IFLA_MAX) >= 0) {
        tb[mnl_attr_get_type(attr)] = attr;
    }
    return MNL_CB_OK;
}

/* What a RTM_NEWLINK says. False if it is of another family (a bridge's view of its port) or has no name. */
static bool read_link(const struct nlmsghdr *h, struct link *ret)
{
    const struct nlattr *tb[IFLA_MAX + 1] = {0};
    const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
    mnl_attr_parse(h, sizeof *ifi, attr_cb, tb);
    if (ifi->ifi_family != AF_UNSPEC || !tb[IFLA_IFNAME]) {
        return false;
    }
    ret->ifindex = ifi->ifi_index;
    strncpy(ret->name, mnl_attr_get_str(tb[IFLA_IFNAME]), sizeof ret->name - 1);
    ret->admin_up = ifi->ifi_flags & IFF_UP;
    ret->carrier = ifi->ifi_flags & IFF_LOWER_UP;
    if (tb[IFLA_MTU]) {
        ret->mtu = mnl_attr_get_u32(tb[IFLA_MTU]);
    }
    if (tb[IFLA_ADDRESS] && mnl_attr_get_payload_len(tb[IFLA_ADDRESS]) == sizeof ret->mac.a) {
        memcpy(ret->mac.a, mnl_attr_get_payload(tb[IFLA_ADDRESS]), sizeof ret->mac.a);
    }
    return true;
}

static void learn(struct links *l, const struct link *fresh)
{
    struct link *link = (struct link *)(uintptr_t)links_find_index(l, fresh->ifindex);
    if (link) {
        link->stale = false;
    }
    struct link *namesake = (struct link *)(uintptr_t)links_find(l, fresh->name);
    if (namesake && namesake != link) {
        forget(l, namesake); /* went without a word that we heard */
    }
    if (link && !strcmp(link->name, fresh->name)) {
        if (link->admin_up == fresh->admin_up && link->carrier == fresh->carrier && link->mtu == fresh->mtu &&
            !memcmp(link->mac.a, fresh->mac.a, sizeof link->mac.a)) {
            return;
        }
        link->resets += link->carrier != fresh->carrier;
    } else {
        if (link) {
            forget(l, link);
        }
        link = xcalloc(1, sizeof *link);
        link->ifindex = fresh->ifindex;
        memcpy(link->name, fresh->name, sizeof link->name);
        HASH_ADD_INT(l->by_index, ifindex, link);
        HASH_ADD_KEYPTR(hh_name, l->by_name, link->name, strlen(link->name), link);
    }
    link->admin_up = fresh->admin_up;
    link->carrier = fresh->carrier;
    link->mtu = fresh->mtu;
    link->mac = fresh->mac;
    link->serial = ++l->newest_serial;
    l->dirty = true;
}

uint64_t links_routes_serial(const struct links *l)
{
    return l->routes_serial;
}

static int message_cb(const struct nlmsghdr *h, void *data)
{
    struct links *l = data;
    struct link fresh = {0};
    if (h->nlmsg_type == RTM_NEWLINK && read_link(h, &fresh)) {
        learn(l, &fresh);
    } else if (h->nlmsg_type == RTM_DELLINK) {
        const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
        struct link *link = (struct link *)(uintptr_t)links_find_index(l, ifi->ifi_index);
        if (ifi->ifi_family == AF_UNSPEC && link) {
            forget(l, link);
        }
    } else if (h->nlmsg_type != RTM_NEWLINK) {
        l->routes_serial++;
    }
    return MNL_CB_OK;
}

/* All links anew: whoever is not among them is gone. */
static int reload(struct links *l)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETLINK, NLM_F_DUMP);
    struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof *ifi);
    ifi->ifi_family = AF_UNSPEC;
    struct link *link, *tmp;
    for (link = l->by_index; link; link = link->hh.next) {
        link->stale = true;
    }
    int error = rtnl_dump(&l->rtnl, h, message_cb, l);
    HASH_ITER(hh, l->by_index, link, tmp) {
        if (link->stale && !error) {
            forget(l, link);
        } else {
            link->stale = false;
        }
    }
    return error;
}

bool links_refresh(struct links *l)
{
    char buf[32768];
    ssize_t n = 1;
    for (int i = 0; i < EVENTS_PER_TURN && n > 0; i++) {
        n = mnl_socket_recvfrom(l->events, buf, sizeof buf);
        if (n < 0 && errno == ENOBUFS) {
            l->lost = true;
            l->routes_serial++;
            n = 1;
        } else if (n > 0) {
            mnl_cb_run(buf, (size_t)n, 0, 0, message_cb, l);
        }
    }
    /* Only now: what still lies in the socket when the loss is told is older than what is read. */
    if (n <= 0 && l->lost) {
        log_info("too many link events at once: reading all links anew");
        l->lost = reload(l) != 0;
    }
    bool dirty = l->dirty;
    l->dirty = false;
    return dirty;
}

static void on_readable(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    struct links *l = aux;
    if (links_refresh(l)) {
        l->changed(l->aux);
    }
}

int links_create(struct event_base *base, void (*changed)(void *aux), void *aux, struct links **ret)
{
    static const int groups[] = {RTNLGRP_LINK,        RTNLGRP_IPV4_ROUTE,  RTNLGRP_IPV6_ROUTE,
                                 RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_RULE};
    _cleanup_(links_destroyp) struct links *l = xcalloc(1, sizeof *l);
    l->changed = changed;
    l->aux = aux;
    int error = rtnl_listen(NETLINK_ROUTE, groups, ARRAY_SIZE(groups), &l->events);
    if (error) {
        return error;
    }
    /* Room for the events of thousands of links at once; without the privilege, an overrun is read up on. */
    int size = EVENT_BUFFER;
    setsockopt(mnl_socket_get_fd(l->events), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    error = rtnl_open(&l->rtnl);
    error = error ? error : reload(l);
    if (error) {
        return error;
    }
    l->dirty = false;
    l->readable = event_new(base, mnl_socket_get_fd(l->events), EV_READ | EV_PERSIST, on_readable, l);
    if (!l->readable || event_add(l->readable, NULL)) {
        return -ENOMEM;
    }
    *ret = TAKE_PTR(l);
    return 0;
}

void links_destroy(struct links *l)
{
    if (!l) {
        return;
    }
    if (l->readable) {
        event_free(l->readable);
    }
    if (l->events) {
        mnl_socket_close(l->events);
    }
    rtnl_close(&l->rtnl);
    struct link *link, *tmp;
    HASH_ITER(hh, l->by_index, link, tmp) {
        forget(l, link);
    }
    free(l);
}

static struct nlmsghdr *change_of(const struct links *l, const char *name, char *buf, struct ifinfomsg **ret_ifi)
{
    const struct link *link = links_find(l, name);
    /* The event of a device that was made a moment ago may still be in the queue. */
    unsigned int ifindex = link ? (unsigned int)link->ifindex : if_nametoindex(name);
    if (!ifindex) {
        return NULL;
    }
    struct nlmsghdr *h = rtnl_request(buf, RTM_NEWLINK, 0);
    struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof *ifi);
    ifi->ifi_family = AF_UNSPEC;
    ifi->ifi_index = (int)ifindex;
    *ret_ifi = ifi;
    return h;
}

int links_set_mtu(struct links *l, const char *name, uint32_t mtu)
{
    char buf[RTNL_REQUEST_MAX];
    struct ifinfomsg *ifi;
    struct nlmsghdr *h = change_of(l, name, buf, &ifi);
    if (!h) {
        return -ENODEV;
    }
    mnl_attr_put_u32(h, IFLA_MTU, mtu);
    return rtnl_ask(&l->rtnl, h, NULL, NULL);
}

int links_set_mac(struct links *l, const char *name, struct eth_addr mac)
{
    char buf[RTNL_REQUEST_MAX];
    struct ifinfomsg *ifi;
    struct nlmsghdr *h = change_of(l, name, buf, &ifi);
    if (!h) {
        return -ENODEV;
    }
    mnl_attr_put(h, IFLA_ADDRESS, sizeof mac.a, mac.a);
    return rtnl_ask(&l->rtnl, h, NULL, NULL);
}

int links_set_up(struct links *l, const char *name, bool up)
{
    char buf[RTNL_REQUEST_MAX];
    struct ifinfomsg *ifi;
    struct nlmsghdr *h = change_of(l, name, buf, &ifi);
    if (!h) {
        return -ENODEV;
    }
    ifi->ifi_change = IFF_UP;
    ifi->ifi_flags = up ? IFF_UP : 0;
    return rtnl_ask(&l->rtnl, h, NULL, NULL);
}

static void take_stats(struct link *link, const struct rtnl_link_stats64 *s)
{
    link->stats = (struct link_stats){
        .rx_errors = s->rx_errors,
        .tx_errors = s->tx_errors,
        .rx_dropped = s->rx_dropped,
        .tx_dropped = s->tx_dropped,
        .multicast = s->multicast,
        .collisions = s->collisions,
        .rx_over_errors = s->rx_over_errors,
        .rx_crc_errors = s->rx_crc_errors,
        .rx_frame_errors = s->rx_frame_errors,
        .rx_missed_errors = s->rx_missed_errors,
    };
}

static int stats_attr_cb(const struct nlattr *attr, void *data)
{
    struct rtnl_link_stats64 s = {0};
    if (mnl_attr_get_type(attr) == IFLA_STATS_LINK_64) {
        memcpy(&s, mnl_attr_get_payload(attr), MIN(sizeof s, mnl_attr_get_payload_len(attr)));
        take_stats(data, &s);
    }
    return MNL_CB_OK;
}

static int stats_cb(const struct nlmsghdr *h, void *data)
{
    const struct if_stats_msg *msg = mnl_nlmsg_get_payload(h);
    struct link *link = (struct link *)(uintptr_t)links_find_index(data, (int)msg->ifindex);
    if (link) {
        mnl_attr_parse(h, sizeof *msg, stats_attr_cb, link);
    }
    return MNL_CB_OK;
}

int links_read_stats(struct links *l)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETSTATS, NLM_F_DUMP);
    struct if_stats_msg *msg = mnl_nlmsg_put_extra_header(h, sizeof *msg);
    msg->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
    return rtnl_ask(&l->rtnl, h, stats_cb, l);
}

static int route_attr_cb(const struct nlattr *attr, void *data)
{
    struct links *l = data;
    if (mnl_attr_get_type(attr) == RTA_OIF) {
        l->route_oif = (int)mnl_attr_get_u32(attr);
    }
    return MNL_CB_OK;
}

static int route_cb(const struct nlmsghdr *h, void *data)
{
    if (h->nlmsg_type == RTM_NEWROUTE) {
        mnl_attr_parse(h, sizeof(struct rtmsg), route_attr_cb, data);
    }
    return MNL_CB_OK;
}

int links_route(struct links *l, const struct ip_addr *dst, int *ret_ifindex)
{
    char buf[RTNL_REQUEST_MAX];
    bool v4 = ip_addr_is_v4mapped(dst);
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETROUTE, 0);
    struct rtmsg *rt = mnl_nlmsg_put_extra_header(h, sizeof *rt);
    rt->rtm_family = v4 ? AF_INET : AF_INET6;
    rt->rtm_dst_len = v4 ? 32 : 128;
    mnl_attr_put(h, RTA_DST, v4 ? 4 : 16, v4 ? (const void *)&dst->be32[3] : dst->b);
    l->route_oif = 0;
    int error = rtnl_ask(&l->rtnl, h, route_cb, l);
    if (error) {
        return error;
    }
    if (!l->route_oif) {
        return -ENETUNREACH;
    }
    *ret_ifindex = l->route_oif;
    return 0;
}

static int ethtool(int fd, const char *name, void *command)
{
    struct ifreq ifr = {0};
    strncpy(ifr.ifr_name, name, sizeof ifr.ifr_name - 1);
    ifr.ifr_data = command;
    return ioctl(fd, SIOCETHTOOL, &ifr) ? -errno : 0;
}

void link_details_get(const char *name, struct link_details *ret)
{
    *ret = (struct link_details){.duplex = -1};
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ethtool_cmd settings = {.cmd = ETHTOOL_GSET};
    if (fd < 0 || strlen(name) >= IFNAMSIZ) {
        return;
    }
    if (!ethtool(fd, name, &info)) {
        memcpy(ret->driver, info.driver, sizeof ret->driver - 1);
        memcpy(ret->version, info.version, sizeof ret->version - 1);
        memcpy(ret->firmware, info.fw_version, sizeof ret->firmware - 1);
    }
    if (!ethtool(fd, name, &settings)) {
        uint32_t speed = ethtool_cmd_speed(&settings);
        ret->speed_mbps = speed == (uint32_t)SPEED_UNKNOWN ? 0 : speed;
        ret->duplex = settings.duplex == DUPLEX_FULL ? 1 : settings.duplex == DUPLEX_HALF ? 0 : -1;
    }
}
