/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/kernel_ctl.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "datapath/rtnl.h"
#include "switch/iface_config.h"
#include "switch/unixctl.h"

struct dump {
    struct strbuf *out;
    bool any;
};

struct attrs {
    const struct nlattr *tb[64];
};

static int attr_cb(const struct nlattr *attr, void *data)
{
    struct attrs *a = data;
    if (mnl_attr_get_type(attr) < ARRAY_SIZE(a->tb)) {
        a->tb[mnl_attr_get_type(attr)] = attr;
    }
    return MNL_CB_OK;
}

static const char *address(int family, const struct nlattr *attr, char *buf, size_t size)
{
    size_t want = family == AF_INET ? 4 : 16;
    return attr && mnl_attr_get_payload_len(attr) == want
               ? inet_ntop(family, mnl_attr_get_payload(attr), buf, (socklen_t)size)
               : NULL;
}

static const char *device(const struct nlattr *attr, char *buf)
{
    return attr && if_indextoname(mnl_attr_get_u32(attr), buf) ? buf : NULL;
}

/* --- routes --- */

static int route_cb(const struct nlmsghdr *h, void *data)
{
    const struct rtmsg *rt = mnl_nlmsg_get_payload(h);
    struct dump *d = data;
    struct attrs a = {0};
    char text[INET6_ADDRSTRLEN], dev[IFNAMSIZ];
    if (h->nlmsg_type != RTM_NEWROUTE || (rt->rtm_type != RTN_UNICAST && rt->rtm_type != RTN_LOCAL) ||
        rt->rtm_flags & RTM_F_CLONED) {
        return MNL_CB_OK;
    }
    mnl_attr_parse(h, sizeof *rt, attr_cb, &a);
    const char *dst = address(rt->rtm_family, a.tb[RTA_DST], text, sizeof text);
    strbuf_addf(d->out, "Cached: %s/%u", dst ? dst : rt->rtm_family == AF_INET ? "0.0.0.0" : "::", rt->rtm_dst_len);
    const char *name = device(a.tb[RTA_OIF], dev);
    if (name) {
        strbuf_addf(d->out, " dev %s", name);
    }
    const char *via = address(rt->rtm_family, a.tb[RTA_GATEWAY], text, sizeof text);
    if (via) {
        strbuf_addf(d->out, " GW %s", via);
    }
    const char *src = address(rt->rtm_family, a.tb[RTA_PREFSRC], text, sizeof text);
    if (src) {
        strbuf_addf(d->out, " SRC %s", src);
    }
    if (rt->rtm_type == RTN_LOCAL) {
        strbuf_add(d->out, " local");
    }
    strbuf_add(d->out, "\n");
    return MNL_CB_OK;
}

static int dump(struct dump *d, uint16_t type, unsigned char family, mnl_cb_t cb)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, type, NLM_F_DUMP);
    if (type == RTM_GETROUTE) {
        ((struct rtmsg *)mnl_nlmsg_put_extra_header(h, sizeof(struct rtmsg)))->rtm_family = family;
    } else {
        ((struct ndmsg *)mnl_nlmsg_put_extra_header(h, sizeof(struct ndmsg)))->ndm_family = family;
    }
    return rtnl_ask_once(h, cb, d);
}

static int tell(int error, struct strbuf *out)
{
    if (error) {
        strbuf_addf(out, "rtnetlink: %s", strerror(-error));
    }
    return error;
}

static int route_show(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    _cleanup_strbuf_ struct strbuf text = {0};
    struct dump d = {.out = &text};
    strbuf_add(&text, "Route Table:\n");
    int error = dump(&d, RTM_GETROUTE, AF_INET, route_cb);
    error = error ? error : dump(&d, RTM_GETROUTE, AF_INET6, route_cb);
    if (!error) {
        strbuf_add(out, text.s);
    }
    return tell(error, out);
}

static int lookup_cb(const struct nlmsghdr *h, void *data)
{
    const struct rtmsg *rt = mnl_nlmsg_get_payload(h);
    struct dump *d = data;
    struct attrs a = {0};
    char text[INET6_ADDRSTRLEN], dev[IFNAMSIZ];
    if (h->nlmsg_type != RTM_NEWROUTE) {
        return MNL_CB_OK;
    }
    mnl_attr_parse(h, sizeof *rt, attr_cb, &a);
    const char *src = address(rt->rtm_family, a.tb[RTA_PREFSRC], text, sizeof text);
    strbuf_addf(d->out, "src %s\n", src ? src : "::");
    const char *via = address(rt->rtm_family, a.tb[RTA_GATEWAY], text, sizeof text);
    strbuf_addf(d->out, "gateway %s\n", via ? via : rt->rtm_family == AF_INET ? "0.0.0.0" : "::");
    const char *name = device(a.tb[RTA_OIF], dev);
    strbuf_addf(d->out, "dev %s\n", name ? name : "?");
    d->any = true;
    return MNL_CB_OK;
}

static int route_lookup(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args, struct strbuf *out)
{
    char buf[RTNL_REQUEST_MAX];
    struct ip_addr ip;
    struct dump d = {.out = out};
    if (ip_addr_parse(args[0], &ip)) {
        strbuf_add(out, "Invalid 'ip' parameter");
        return -EINVAL;
    }
    bool v4 = ip_addr_is_v4mapped(&ip);
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETROUTE, 0);
    struct rtmsg *rt = mnl_nlmsg_put_extra_header(h, sizeof *rt);
    rt->rtm_family = v4 ? AF_INET : AF_INET6;
    rt->rtm_dst_len = v4 ? 32 : 128;
    mnl_attr_put(h, RTA_DST, v4 ? 4 : 16, v4 ? (const void *)&ip.be32[3] : ip.b);
    if (rtnl_ask_once(h, lookup_cb, &d) || !d.any) {
        strbuf_add(out, "Not found");
        return -ENOENT;
    }
    return 0;
}

/* --- neighbours --- */

static int neigh_cb(const struct nlmsghdr *h, void *data)
{
    const struct ndmsg *nd = mnl_nlmsg_get_payload(h);
    struct dump *d = data;
    struct attrs a = {0};
    char text[INET6_ADDRSTRLEN], dev[IFNAMSIZ];
    if (h->nlmsg_type != RTM_NEWNEIGH || (nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6) ||
        nd->ndm_state & (NUD_NOARP | NUD_INCOMPLETE | NUD_FAILED)) {
        return MNL_CB_OK;
    }
    mnl_attr_parse(h, sizeof *nd, attr_cb, &a);
    const char *ip = address(nd->ndm_family, a.tb[NDA_DST], text, sizeof text);
    const struct nlattr *mac = a.tb[NDA_LLADDR];
    if (!ip || !mac || mnl_attr_get_payload_len(mac) != 6) {
        return MNL_CB_OK;
    }
    const uint8_t *m = mnl_attr_get_payload(mac);
    strbuf_addf(d->out, "%-45s %02x:%02x:%02x:%02x:%02x:%02x   %s\n", ip, m[0], m[1], m[2], m[3], m[4], m[5],
                if_indextoname((unsigned int)nd->ndm_ifindex, dev) ? dev : "?");
    return MNL_CB_OK;
}

static int neigh_show(void *aux WR_UNUSED, size_t n WR_UNUSED, const char *const *args WR_UNUSED, struct strbuf *out)
{
    _cleanup_strbuf_ struct strbuf text = {0};
    struct dump d = {.out = &text};
    strbuf_add(&text, "IP                                            MAC                 Bridge\n"
                      "==========================================================================\n");
    int error = dump(&d, RTM_GETNEIGH, AF_UNSPEC, neigh_cb);
    if (!error) {
        strbuf_add(out, text.s);
    }
    return tell(error, out);
}

void kernel_ctl_register(struct unixctl *u)
{
    unixctl_register(u, "ovs/route/lookup", "ip_addr", 1, 1, route_lookup, NULL);
    unixctl_register(u, "ovs/route/show", "", 0, 0, route_show, NULL);
    unixctl_register(u, "tnl/arp/show", "", 0, 0, neigh_show, NULL);
    unixctl_register(u, "tnl/neigh/show", "", 0, 0, neigh_show, NULL);
}
