/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/userspace/ipsec.h"

#include <linux/xfrm.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/log.h"
#include "datapath/rtnl.h"

LOG_MODULE("ipsec");

#define AGAIN_S 1

struct policy {
    bool out;
    uint16_t family; /* AF_UNSPEC: any */
    struct ip_addr dst;
    unsigned int dst_bits; /* of 128 */
    uint8_t proto;         /* 0: any */
    bool sport;            /* it selects by one */
    __be16 dport, dport_mask;
};

struct policies {
    struct policy *all;
    size_t n, size;
};

struct ipsec {
    struct rtnl rtnl;
    struct mnl_socket *events;
    struct event *event, *again;
    struct policies policies;
    ipsec_changed_fn *changed;
    void *aux;
};

/* --- reading --- */

/* Lets everything pass as it is: that is what we do, too. */
static bool is_pass(const struct nlmsghdr *h, const struct xfrm_userpolicy_info *info)
{
    const struct nlattr *attr;

    if (info->action != XFRM_POLICY_ALLOW) {
        return false;
    }
    mnl_attr_for_each(attr, h, sizeof(*info))
    {
        if (mnl_attr_get_type(attr) == XFRMA_TMPL && mnl_attr_get_payload_len(attr) > 0) {
            return false;
        }
    }
    return true;
}

/* It is for packets of an xfrm interface alone. */
static bool is_of_interface(const struct nlmsghdr *h)
{
    const struct nlattr *attr;

    mnl_attr_for_each(attr, h, sizeof(struct xfrm_userpolicy_info))
    {
        if (mnl_attr_get_type(attr) == XFRMA_IF_ID && mnl_attr_get_u32(attr)) {
            return true;
        }
    }
    return false;
}

static int read_policy(const struct nlmsghdr *h, void *policies_)
{
    const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(h);
    const struct xfrm_selector *sel = &info->sel;
    struct policies *policies = policies_;
    struct policy p = {.out = info->dir == XFRM_POLICY_OUT, .family = sel->family};

    if (h->nlmsg_type != XFRM_MSG_NEWPOLICY || mnl_nlmsg_get_payload_len(h) < sizeof(*info) ||
        (info->dir != XFRM_POLICY_OUT && info->dir != XFRM_POLICY_IN) || is_pass(h, info) || is_of_interface(h) ||
        (sel->proto && sel->proto != IPPROTO_UDP && sel->proto != IPPROTO_GRE)) {
        return MNL_CB_OK;
    }
    if (sel->family == AF_INET) {
        p.dst = ip_addr_from_v4(sel->daddr.a4);
        p.dst_bits = 96u + sel->prefixlen_d;
    } else {
        memcpy(&p.dst, &sel->daddr, sizeof(p.dst));
        p.dst_bits = sel->prefixlen_d;
    }
    p.proto = sel->proto;
    p.sport = sel->sport_mask;
    p.dport = sel->dport;
    p.dport_mask = sel->dport_mask;
    if (policies->n == policies->size) {
        policies->size = MAX((size_t)16, policies->size * 2);
        policies->all = xrealloc(policies->all, policies->size * sizeof(*policies->all));
    }
    policies->all[policies->n++] = p;
    return MNL_CB_OK;
}

/* Where the kernel does not tell all, what was known is heeded, and it is asked again. */
static int read_all(struct ipsec *ipsec)
{
    const struct timeval later = {AGAIN_S, 0};
    struct policies policies = {0}; /* one that is told twice does no harm */
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, XFRM_MSG_GETPOLICY, NLM_F_DUMP);
    int error;

    mnl_nlmsg_put_extra_header(h, sizeof(struct xfrm_userpolicy_id));
    error = rtnl_dump(&ipsec->rtnl, h, read_policy, &policies);
    if (error) {
        log_limited(LOG_LEVEL_WARN, "the host's IPsec policies cannot be read: %s", strerror(-error));
        free(policies.all);
        event_add(ipsec->again, &later);
        return error;
    }
    event_del(ipsec->again);
    free(ipsec->policies.all);
    ipsec->policies = policies;
    return 0;
}

static void read_again(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *ipsec_)
{
    struct ipsec *ipsec = ipsec_;

    if (!read_all(ipsec)) {
        ipsec->changed(ipsec->aux);
    }
}

static void readable(evutil_socket_t fd, short what, void *ipsec)
{
    char buf[4096];

    while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR) {
    }
    read_again(fd, what, ipsec);
}

int ipsec_new(struct event_base *base, ipsec_changed_fn *changed, void *aux, struct ipsec **ret_ipsec)
{
    static const int groups[] = {XFRMNLGRP_POLICY};
    struct ipsec *ipsec = xcalloc(1, sizeof(*ipsec));
    int error;

    ipsec->changed = changed;
    ipsec->aux = aux;
    error = rtnl_open_bus(&ipsec->rtnl, NETLINK_XFRM);
    error = error ? error : rtnl_listen(NETLINK_XFRM, groups, ARRAY_SIZE(groups), &ipsec->events);
    if (error) {
        goto fail;
    }
    ipsec->event = event_new(base, mnl_socket_get_fd(ipsec->events), EV_READ | EV_PERSIST, readable, ipsec);
    ipsec->again = event_new(base, -1, 0, read_again, ipsec);
    if (!ipsec->event || !ipsec->again || event_add(ipsec->event, NULL)) {
        error = -ENOMEM;
        goto fail;
    }
    read_all(ipsec); /* or soon */
    *ret_ipsec = ipsec;
    return 0;
fail:
    ipsec_free(ipsec);
    return error;
}

void ipsec_free(struct ipsec *ipsec)
{
    if (!ipsec) {
        return;
    }
    if (ipsec->event) {
        event_free(ipsec->event);
    }
    if (ipsec->again) {
        event_free(ipsec->again);
    }
    if (ipsec->events) {
        mnl_socket_close(ipsec->events);
    }
    rtnl_close(&ipsec->rtnl);
    free(ipsec->policies.all);
    free(ipsec);
}

/* --- asking --- */

static bool is_for(const struct policy *p, const struct ip_addr *dst)
{
    return p->out && (!p->family || (p->family == AF_INET) == ip_addr_is_v4mapped(dst)) &&
           ip_addr_has_prefix(dst, &p->dst, p->dst_bits);
}

bool ipsec_guards_out(const struct ipsec *ipsec, const struct ip_addr *dst)
{
    for (size_t i = 0; ipsec && i < ipsec->policies.n; i++) {
        if (is_for(&ipsec->policies.all[i], dst)) {
            return true;
        }
    }
    return false;
}

bool ipsec_is_blind(const struct ipsec *ipsec, enum tunnel_type kind, uint16_t udp_dst, const struct ip_addr *dst)
{
    uint8_t proto = kind == TUNNEL_GRE ? IPPROTO_GRE : IPPROTO_UDP;

    for (size_t i = 0; ipsec && i < ipsec->policies.n; i++) {
        const struct policy *p = &ipsec->policies.all[i];

        if (is_for(p, dst) && (!p->proto || p->proto == proto) &&
            (proto == IPPROTO_GRE || !((htons(udp_dst) ^ p->dport) & p->dport_mask)) &&
            ((p->proto && ip_addr_is_v4mapped(dst)) || p->sport || p->dport_mask)) {
            return true;
        }
    }
    return false;
}

bool ipsec_guards_in(const struct ipsec *ipsec, bool (*has)(void *aux, const struct ip_addr *addr, unsigned int bits),
                     void *aux)
{
    for (size_t i = 0; ipsec && i < ipsec->policies.n; i++) {
        if (!ipsec->policies.all[i].out && has(aux, &ipsec->policies.all[i].dst, ipsec->policies.all[i].dst_bits)) {
            return true;
        }
    }
    return false;
}
