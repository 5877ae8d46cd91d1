/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/ports.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/log.h"
#include "datapath/rtnl.h"
#include "datapath/tc_filter.h"
#include "datapath/userspace/host_guard.h"

LOG_MODULE("ebpf_ports");

#define MAPS_MAX 64 /* that a program of ours uses */
#define PEER_PREFIX "wrp"
#define PEER_DIGITS 8

/* --- attaching --- */

static int count_filter(const struct nlmsghdr *h, void *n)
{
    const struct tcmsg *tc = mnl_nlmsg_get_payload(h);

    *(unsigned int *)n += h->nlmsg_type == RTM_NEWTFILTER && tc->tcm_handle;
    return MNL_CB_OK;
}

/* Adds to *N how many filters, anybody's, are on this side of IFINDEX's clsact. */
static int count_filters(int ifindex, uint32_t side, unsigned int *n)
{
    char buf[RTNL_REQUEST_MAX];
    struct nlmsghdr *h = rtnl_request(buf, RTM_GETTFILTER, NLM_F_DUMP);
    struct tcmsg *tc = mnl_nlmsg_put_extra_header(h, sizeof(*tc));

    tc->tcm_ifindex = ifindex;
    tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, side);
    return rtnl_ask_once(h, count_filter, n);
}

/* A device's place is that of the programs or of the guard, and goes from one to the other. */
static const char *const program_names[] = {"port_ingress", "uplink_ingress", NULL};
static const char *const all_names[] = {"port_ingress", "uplink_ingress", HOST_GUARD, HOST_GUARD_INNER, NULL};

static struct tc_filter filter_of(int ifindex, enum bpf_tc_attach_point point, uint32_t handle,
                                  const char *const *names)
{
    return (struct tc_filter){ifindex, point, handle, names};
}

int ebpf_attach(int ifindex, int prog_fd)
{
    struct tc_filter f = filter_of(ifindex, BPF_TC_INGRESS, EBPF_TC_HANDLE, all_names);
    struct tc_filter front = filter_of(ifindex, BPF_TC_INGRESS, EBPF_TC_HANDLE_FRONT, all_names);
    int error = tc_filter_attach(&f, prog_fd);

    if (!error) {
        tc_filter_detach(&front);
    }
    return error;
}

/* Of the programs of one priority the kernel (cls_bpf) asks the newest first. If it did not, the other version's would
 * serve alone until it is replaced. */
int ebpf_attach_in_front(int ifindex, int prog_fd)
{
    struct tc_filter f = filter_of(ifindex, BPF_TC_INGRESS, EBPF_TC_HANDLE, program_names);

    return tc_filter_attach_beside(&f, EBPF_TC_HANDLE_FRONT, prog_fd);
}

int ebpf_attach_egress(int ifindex, int prog_fd)
{
    struct tc_filter f = filter_of(ifindex, BPF_TC_EGRESS, EBPF_TC_HANDLE, all_names);

    return tc_filter_attach(&f, prog_fd);
}

static struct tc_filter ours(int ifindex, uint32_t handle)
{
    return filter_of(ifindex, BPF_TC_INGRESS, handle, all_names);
}

/* No where the kernel does not tell. */
static bool has_only_ours(int ifindex)
{
    unsigned int all = 0, n_ours = 0;

    for (uint32_t handle = EBPF_TC_HANDLE; handle <= EBPF_TC_HANDLE_FRONT; handle++) {
        struct tc_filter f = ours(ifindex, handle);

        n_ours += tc_filter_count(&f);
    }
    return !count_filters(ifindex, TC_H_MIN_INGRESS, &all) && !count_filters(ifindex, TC_H_MIN_EGRESS, &all) &&
           all == n_ours;
}

/* In one step where nobody else is there: of a process that is killed between two, a clsact would be left that nothing
 * tells from somebody else's. */
void ebpf_detach(int ifindex)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

    if (has_only_ours(ifindex) && !bpf_tc_hook_destroy(&hook)) { /* of both sides: the qdisc itself */
        return;
    }
    for (uint32_t handle = EBPF_TC_HANDLE; handle <= EBPF_TC_HANDLE_FRONT; handle++) {
        struct tc_filter f = ours(ifindex, handle);

        tc_filter_detach(&f);
    }
}

bool ebpf_is_attached(int ifindex)
{
    struct tc_filter f = filter_of(ifindex, BPF_TC_INGRESS, EBPF_TC_HANDLE, program_names);

    return tc_filter_is(&f);
}

bool ebpf_attached_uses(int ifindex, bool egress, const uint32_t *ids, size_t n)
{
    uint32_t used[MAPS_MAX];
    struct bpf_prog_info info = {.nr_map_ids = MAPS_MAX, .map_ids = (uint64_t)(uintptr_t)used};

    struct tc_filter f = filter_of(ifindex, egress ? BPF_TC_EGRESS : BPF_TC_INGRESS, EBPF_TC_HANDLE, program_names);

    if (tc_filter_info(&f, &info)) {
        return false;
    }
    for (uint32_t i = 0; i < MIN(info.nr_map_ids, MAPS_MAX); i++) {
        for (size_t j = 0; j < n; j++) {
            if (used[i] == ids[j]) {
                return true;
            }
        }
    }
    return false;
}

bool ebpf_is_foreign(int ifindex, const struct ebpf_maps *maps)
{
    return ebpf_is_attached(ifindex) && !ebpf_attached_uses(ifindex, false, &maps->drops_id, 1);
}

/* --- netlink requests --- */

static struct nlmsghdr *link_request(void *buf, uint16_t type, uint16_t flags, int ifindex, struct ifinfomsg **ret_ifi)
{
    struct nlmsghdr *h = rtnl_request(buf, type, flags);

    *ret_ifi = mnl_nlmsg_put_extra_header(h, sizeof(**ret_ifi));
    (*ret_ifi)->ifi_index = ifindex;
    return h;
}

int ebpf_conf_set(const char *family, const char *device, const char *key, const char *value)
{
    char path[128];
    _cleanup_close_ int fd = -1;

    snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, device, key);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

bool ebpf_conf_is(const char *family, const char *device, const char *key, const char *value)
{
    char path[128], found[64];
    _cleanup_close_ int fd = -1;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, device, key);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, found, sizeof(found));
    return n == (ssize_t)strlen(value) + 1 && !memcmp(found, value, (size_t)n - 1); /* a line */
}

/* IPv6 on the other end would only speak to itself. */
void ebpf_no_ipv6(const char *name)
{
    int error = ebpf_conf_set("ipv6", name, "disable_ipv6", "1");

    if (error && error != -ENOENT) {
        log_dbg("%s: IPv6 stays on: %s", name, strerror(-error));
    }
}

int ebpf_veth_create(const char *name, uint32_t mtu, const struct eth_addr *mac, const char *peer, int peer_netns)
{
    static const struct eth_addr zero;
    char buf[RTNL_REQUEST_MAX];
    struct ifinfomsg *ifi;
    struct nlmsghdr *h = link_request(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, &ifi);
    struct nlattr *info, *data, *other;

    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    if (mtu) {
        mnl_attr_put_u32(h, IFLA_MTU, mtu);
    }
    if (memcmp(mac, &zero, sizeof(zero)) != 0) {
        mnl_attr_put(h, IFLA_ADDRESS, sizeof(*mac), mac);
    }
    info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
    data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    other = mnl_attr_nest_start(h, VETH_INFO_PEER);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, peer);
    mnl_attr_put_u32(h, IFLA_MTU, EBPF_PEER_MTU);
    if (peer_netns >= 0) {
        mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)peer_netns);
    }
    mnl_attr_nest_end(h, other);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    return rtnl_ask_once(h, NULL, NULL);
}

int ebpf_link_up(int ifindex)
{
    char buf[RTNL_REQUEST_MAX];
    struct ifinfomsg *ifi;
    struct nlmsghdr *h = link_request(buf, RTM_NEWLINK, 0, ifindex, &ifi);

    ifi->ifi_flags = ifi->ifi_change = IFF_UP;
    return rtnl_ask_once(h, NULL, NULL);
}

bool ebpf_promisc(int ifindex, bool on)
{
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {0};

    /* Unlike those of rtnetlink, these flags are as people set them: packet sockets do not show. */
    if (fd < 0 || !if_indextoname((unsigned int)ifindex, ifr.ifr_name) || ioctl(fd, SIOCGIFFLAGS, &ifr) ||
        !!(ifr.ifr_flags & IFF_PROMISC) == on) {
        return false;
    }
    ifr.ifr_flags = (short)(ifr.ifr_flags ^ IFF_PROMISC);
    return !ioctl(fd, SIOCSIFFLAGS, &ifr);
}

static int link_set_mac(int ifindex, const struct eth_addr *mac)
{
    char buf[RTNL_REQUEST_MAX];
    struct ifinfomsg *ifi;
    struct nlmsghdr *h = link_request(buf, RTM_NEWLINK, 0, ifindex, &ifi);

    mnl_attr_put(h, IFLA_ADDRESS, sizeof(*mac), mac);
    return rtnl_ask_once(h, NULL, NULL);
}

static void link_delete(int ifindex)
{
    char buf[RTNL_REQUEST_MAX];
    struct ifinfomsg *ifi;

    rtnl_ask_once(link_request(buf, RTM_DELLINK, 0, ifindex, &ifi), NULL, NULL);
}

void ebpf_leaving_add(struct ebpf_leaving *l, int ifindex)
{
    if (l->n == l->allocated) {
        l->allocated = MAX(16, l->allocated * 2);
        l->ifindexes = xrealloc(l->ifindexes, l->allocated * sizeof(*l->ifindexes));
    }
    l->ifindexes[l->n++] = ifindex;
}

/* What names many devices to the kernel is a group of them; one that nobody else has is drawn. */
static int delete_as_group(const struct ebpf_leaving *l)
{
    char buf[RTNL_REQUEST_MAX];
    struct ifinfomsg *ifi;
    struct nlmsghdr *h;
    struct rtnl rtnl;
    uint32_t group;
    int error;

    if (getrandom(&group, sizeof(group), 0) != sizeof(group)) {
        return -EIO;
    }
    error = rtnl_open(&rtnl);
    if (error) {
        return error;
    }
    group |= UINT32_C(1) << 31; /* people's are small */
    for (size_t i = 0; i < l->n && !error; i++) {
        h = link_request(buf, RTM_NEWLINK, 0, l->ifindexes[i], &ifi);
        mnl_attr_put_u32(h, IFLA_GROUP, group);
        error = rtnl_ask(&rtnl, h, NULL, NULL);
        error = error == -ENODEV ? 0 : error; /* somebody was faster */
    }
    if (!error) {
        h = link_request(buf, RTM_DELLINK, 0, 0, &ifi);
        mnl_attr_put_u32(h, IFLA_GROUP, group);
        error = rtnl_ask(&rtnl, h, NULL, NULL);
    }
    rtnl_close(&rtnl);
    return error;
}

void ebpf_leaving_remove(struct ebpf_leaving *l)
{
    int error = l->n > 1 ? delete_as_group(l) : -EOPNOTSUPP;

    for (size_t i = 0; i < l->n && error; i++) {
        link_delete(l->ifindexes[i]);
    }
    free(l->ifindexes);
    *l = (struct ebpf_leaving){0};
}

/* --- INTERNAL --- */

static uint32_t name_hash(const char *name)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    while (*name) {
        h = (h ^ (uint8_t)*name++) * 16777619u;
    }
    return h;
}

void ebpf_internal_peer(const char *name, char *ret_peer)
{
    snprintf(ret_peer, IFNAMSIZ, PEER_PREFIX "%0*x", PEER_DIGITS, name_hash(name));
}

bool ebpf_is_internal_peer(const char *name)
{
    const char *digits = name + strlen(PEER_PREFIX);

    return !strncmp(name, PEER_PREFIX, strlen(PEER_PREFIX)) && strlen(digits) == PEER_DIGITS &&
           strspn(digits, "0123456789abcdef") == PEER_DIGITS;
}

int ebpf_internal_create(const char *name, const struct eth_addr *mac, char *ret_peer, int *ret_peer_ifindex)
{
    static const struct eth_addr zero;
    char peer[IFNAMSIZ];
    int ifindex, error;

    if (strlen(name) >= IFNAMSIZ) {
        return -ENAMETOOLONG;
    }
    if (strchr(name, '%') || strchr(name, '/')) {
        return -EINVAL;
    }
    ebpf_internal_peer(name, peer);
    ifindex = (int)if_nametoindex(peer);
    if (!ifindex) {
        error = ebpf_veth_create(name, 0, mac, peer, -1);
        if (error) {
            return error;
        }
        ifindex = (int)if_nametoindex(peer);
    } else if (memcmp(mac, &zero, sizeof(zero)) != 0 && if_nametoindex(name)) {
        link_set_mac((int)if_nametoindex(name), mac);
    }
    ebpf_no_ipv6(peer);
    error = ifindex ? ebpf_link_up(ifindex) : -ENODEV;
    if (error) {
        return error;
    }
    strcpy(ret_peer, peer);
    *ret_peer_ifindex = ifindex;
    return 0;
}

void ebpf_link_remove(const char *name)
{
    int ifindex = (int)if_nametoindex(name);

    if (ifindex) {
        link_delete(ifindex);
    }
}

/* --- the device on whose behalf routes are looked up --- */

int ebpf_fib_device_create(int *ret_ifindex)
{
    static const struct eth_addr any;
    int error = 0;

    if (!if_nametoindex(EBPF_FIB_DEVICE)) {
        ebpf_link_remove(EBPF_FIB_DEVICE "p"); /* of one that was moved to another namespace */
        error = ebpf_veth_create(EBPF_FIB_DEVICE, 0, &any, EBPF_FIB_DEVICE "p", -1);
    }
    error = error ? error : ebpf_conf_set("ipv4", EBPF_FIB_DEVICE, "forwarding", "1");
    if (error) {
        return error;
    }
    if (ebpf_conf_set("ipv6", EBPF_FIB_DEVICE, "forwarding", "1")) {
        log_info("no IPv6 on this machine: tunnels over IPv4 only");
    }
    *ret_ifindex = (int)if_nametoindex(EBPF_FIB_DEVICE);
    return 0;
}
