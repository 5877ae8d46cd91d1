/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports on network devices: SYSTEM is an AF_PACKET socket on a netdev that somebody else made, INTERNAL a TAP device
 * that is made and removed with the port. Both speak virtio-net headers, so that super-packets and unfinished checksums
 * pass whole.
 *
 * Before Linux 6.2 that header knows no super-packets of UDP. They are sent in segments then; those that a SYSTEM
 * netdev receives the kernel throws away when they are read (DROP_RX_OFFLOAD). A TAP is never given any: its device
 * cuts them.
 *
 * A SYSTEM netdev is made promiscuous while it is a port, and its frames are kept from the host's own stack
 * (host_guard.h). A TAP lives by its file descriptor, so it goes on working when the device is moved to another network
 * namespace or renamed.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/log.h"
#include "base/slow_close.h"
#include "datapath/userspace/host_guard.h"
#include "datapath/userspace/userspace.h"
#include "packet/edit.h"
#include "packet/headers.h"
#include "packet/segment.h"

LOG_MODULE("netdev");

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define SOCKET_BUFFER (4 << 20)

/* The legacy header of 10 bytes, in the host's byte order. */
static void offload_from_vnet(struct packet_offload *o, const struct virtio_net_hdr *h)
{
    *o = (struct packet_offload){.gso_type = h->gso_type};
    if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        o->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        o->csum_start = h->csum_start;
        o->csum_offset = h->csum_offset;
    }
    if (h->gso_type) {
        o->hdr_len = h->hdr_len;
        o->gso_size = h->gso_size;
    }
}

static void offload_to_vnet(struct virtio_net_hdr *h, const struct packet_offload *o)
{
    *h = (struct virtio_net_hdr){
        .flags = o->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = o->gso_type,
        .hdr_len = o->hdr_len,
        .gso_size = o->gso_size,
        .csum_start = o->csum_start,
        .csum_offset = o->csum_offset,
    };
}

enum drop_reason us_tx_reason(int error)
{
    switch (error) {
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
    case EBADFD:
    case EIO: /* a TAP that is down */
        return DROP_PORT_DOWN;
    default:
        return DROP_PORT_TX;
    }
}

/* A checksum that virtio-net's header cannot tell (CRC32c) is completed here. */
static int prepare(struct packet *p)
{
    return p->offload.csum_offset == offsetof(struct sctp_hdr, csum) ? packet_complete_csum(p) : 0;
}

/* Of what is in a tunnel of its sender's own that header does not tell where the tunnel ends. */
static bool takes_super(const struct us_port *port, const struct packet *p)
{
    uint8_t type = p->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

    return type != VIRTIO_NET_HDR_GSO_UDP && (type != VIRTIO_NET_HDR_GSO_UDP_L4 || port->dp->udp_super) &&
           !packet_gso_is_tunnelled(p);
}

/* --- SYSTEM --- */

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int system_socket(const char *name, bool receives, int *ret_ifindex, int *ret_fd)
{
    _cleanup_close_ int fd = -1;
    struct ifreq ifr = {0};
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = 0};
    struct packet_mreq promisc = {.mr_type = PACKET_MR_PROMISC};
    int error;

    if (strlen(name) >= sizeof(ifr.ifr_name)) {
        return -ENODEV;
    }
    /* Protocol 0 until the socket is bound: else it would hear every device in between. */
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    strcpy(ifr.ifr_name, name);
    if (ioctl(fd, SIOCGIFINDEX, &ifr)) {
        return -errno;
    }
    ll.sll_ifindex = promisc.mr_ifindex = ifr.ifr_ifindex;
    if (ioctl(fd, SIOCGIFHWADDR, &ifr)) {
        return -errno;
    }
    if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER && ifr.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK) {
        return -EPROTONOSUPPORT;
    }
    error = set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    error = error ? error : set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
    error = error ? error : set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    if (error) {
        return error;
    }
    /* Best effort: without the privilege the buffers are the system's default. */
    set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER);
    set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
    ll.sll_protocol = receives ? htons(ETH_P_ALL) : 0;
    if (bind(fd, (struct sockaddr *)&ll, sizeof(ll)) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc))) {
        return -errno;
    }
    *ret_ifindex = ll.sll_ifindex;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int system_open(struct us_port *port, const struct dp_port_spec *spec)
{
    int error = system_socket(spec->name, port->receives, &port->ifindex, &port->fd);

    if (error || !port->receives) {
        return error;
    }
    error = us_port_watch(port, port->fd);
    if (error) {
        return error;
    }
    int guard = host_guard_add(port->ifindex, port->dp->fast_path ? HOST_GUARD_INNER : HOST_GUARD);
    if (guard) {
        log_info("%s: this host's own network stack also sees what comes in here: %s", spec->name, strerror(-guard));
    }
    return 0;
}

static void system_close(struct us_port *port)
{
    struct packet_mreq promisc = {.mr_ifindex = port->ifindex, .mr_type = PACKET_MR_PROMISC};

    if (port->fd < 0) {
        return;
    }
    if (port->receives && !port->dp->keep_guards) {
        host_guard_del(port->ifindex);
    }
    /* What concerns the device is undone at once, only the socket lives a little longer. */
    setsockopt(port->fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &promisc, sizeof(promisc));
    slow_close(TAKE_FD(port->fd));
}

/* The device goes with its descriptor, a little later: many that are removed in one turn go together. */
static void internal_close(struct us_port *port)
{
    slow_close(TAKE_FD(port->fd));
}

/* True when the device that the socket was bound to is no more in this namespace. */
static bool system_is_gone(const struct us_port *port)
{
    struct ifreq ifr = {.ifr_ifindex = port->ifindex};

    return ioctl(port->fd, SIOCGIFNAME, &ifr) && errno == ENODEV;
}

/* The kernel takes the outermost tag out of the frame; it is put back where it was. */
static void restore_vlan(struct packet *p, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        struct tpacket_auxdata aux;

        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) {
            continue;
        }
        memcpy(&aux, CMSG_DATA(c), sizeof(aux));
        if (aux.tp_status & TP_STATUS_VLAN_VALID) {
            uint16_t tpid = aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETH_TYPE_VLAN;
            __be16 tci = htons(aux.tp_vlan_tci);

            packet_push_vlan(p, (struct flow_vlan){.tpid = htons(tpid), .tci = tci});
            memcpy(p->data + 14, &tci, 2); /* with the CFI bit, which a push leaves out */
        }
    }
}

static int system_receive_failed(struct us_port *port, int error)
{
    if (error == EAGAIN || error == EINTR) {
        return -EAGAIN;
    }
    if (error == EINVAL) { /* offload state that this kernel cannot tell: that frame is lost, others follow */
        port->stats.rx_errors++;
        us_drop(port->dp, DROP_RX_OFFLOAD);
        return RX_BATCH;
    }
    if (system_is_gone(port)) {
        us_port_gone(port);
        return -ENODEV;
    }
    if (error != ENETDOWN) { /* when the device goes down: it may come up again */
        log_limited(LOG_LEVEL_WARN, "%s: receive: %s", port->name, strerror(error));
    }
    return -error;
}

static int system_receive(struct us_port *port, int fd)
{
    static struct virtio_net_hdr vnet[RX_BATCH];
    static union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    } control[RX_BATCH];
    struct mmsghdr msgs[RX_BATCH];
    struct iovec iov[RX_BATCH][2];
    int n;

    for (unsigned int i = 0; i < RX_BATCH; i++) {
        struct packet *p = us_rx_packet(port->dp, i);

        iov[i][0] = (struct iovec){&vnet[i], sizeof(vnet[i])};
        iov[i][1] = (struct iovec){p->data, RX_BUF_SIZE - PACKET_HEADROOM};
        msgs[i].msg_hdr = (struct msghdr){
            .msg_iov = iov[i],
            .msg_iovlen = 2,
            .msg_control = &control[i],
            .msg_controllen = sizeof(control[i].buf),
        };
    }
    n = recvmmsg(fd, msgs, RX_BATCH, MSG_DONTWAIT, NULL);
    if (n < 0) {
        return system_receive_failed(port, errno);
    }
    for (int i = 0; i < n && !port->deleted; i++) {
        struct packet *p = &port->dp->rx[i];

        if (msgs[i].msg_len < sizeof(vnet[i]) || msgs[i].msg_hdr.msg_flags & MSG_TRUNC) {
            port->stats.rx_errors++;
            us_drop(port->dp, DROP_TRUNCATED);
            continue;
        }
        p->len = msgs[i].msg_len - sizeof(vnet[i]);
        offload_from_vnet(&p->offload, &vnet[i]);
        restore_vlan(p, &msgs[i].msg_hdr);
        us_receive(port, p);
        packet_done(p);
    }
    return n;
}

static enum drop_reason system_send(struct us_port *port, struct packet *p, const struct flow_key *key WR_UNUSED,
                                    const struct flow_tunnel *tunnel WR_UNUSED)
{
    struct virtio_net_hdr vnet;

    if (prepare(p)) {
        return DROP_PORT_TX;
    }
    offload_to_vnet(&vnet, &p->offload);
    return us_tx_send(port, p, &vnet);
}

const struct us_port_ops us_system_ops = {
    .open = system_open,
    .close = system_close,
    .receive = system_receive,
    .send = system_send,
    .takes_super = takes_super,
};

/* --- INTERNAL --- */

static int set_mac(const char *name, const struct eth_addr *mac)
{
    static const struct eth_addr zero;
    _cleanup_close_ int fd = -1;
    struct ifreq ifr = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

    if (!memcmp(mac, &zero, sizeof(zero))) {
        return 0;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    strcpy(ifr.ifr_name, name);
    memcpy(ifr.ifr_hwaddr.sa_data, mac, sizeof(*mac));
    return ioctl(fd, SIOCSIFHWADDR, &ifr) ? -errno : 0;
}

/* -EEXIST when a device of this name is there already: one that we did not make is not ours to take. */
static int internal_open(struct us_port *port, const struct dp_port_spec *spec)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL};
    unsigned int offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    int error;

    if (strlen(spec->name) >= sizeof(ifr.ifr_name)) {
        return -ENAMETOOLONG;
    }
    if (strchr(spec->name, '%')) {
        return -EINVAL; /* the kernel would choose a name by it */
    }
    strcpy(ifr.ifr_name, spec->name);
    port->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (port->fd < 0) {
        return -errno;
    }
    if (ioctl(port->fd, TUNSETIFF, &ifr)) {
        if (errno != EBUSY) {
            return -errno;
        }
        slow_close_wait(); /* it may be one of ours on its way out */
        if (ioctl(port->fd, TUNSETIFF, &ifr)) {
            return errno == EBUSY ? -EEXIST : -errno;
        }
    }
    if (ioctl(port->fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) && ioctl(port->fd, TUNSETOFFLOAD, offload)) {
        return -errno;
    }
    error = set_mac(spec->name, &spec->mac);
    return error ? error : us_port_watch(port, port->fd);
}

static int internal_receive(struct us_port *port, int fd)
{
    int n = 0;

    for (; n < RX_BATCH && !port->deleted; n++) {
        struct packet *p = us_rx_packet(port->dp, 0);
        struct virtio_net_hdr vnet;
        struct iovec iov[2] = {{&vnet, sizeof(vnet)}, {p->data, RX_BUF_SIZE - PACKET_HEADROOM}};
        ssize_t len = readv(fd, iov, 2);

        if (len < 0) {
            if (errno == EBADFD || errno == ENODEV) {
                us_port_gone(port);
            } else if (errno != EAGAIN && errno != EINTR) {
                log_limited(LOG_LEVEL_WARN, "%s: receive: %s", port->name, strerror(errno));
            }
            return n ? n : -errno;
        }
        if ((size_t)len < sizeof(vnet)) {
            port->stats.rx_errors++;
            continue;
        }
        p->len = (size_t)len - sizeof(vnet);
        offload_from_vnet(&p->offload, &vnet);
        us_receive(port, p);
        packet_done(p);
    }
    return n;
}

static enum drop_reason internal_send(struct us_port *port, struct packet *p, const struct flow_key *key WR_UNUSED,
                                      const struct flow_tunnel *tunnel WR_UNUSED)
{
    struct virtio_net_hdr vnet;
    struct iovec iov[2] = {{&vnet, sizeof(vnet)}, {p->data, p->len}};

    if (prepare(p)) {
        return DROP_PORT_TX;
    }
    offload_to_vnet(&vnet, &p->offload);
    return writev(port->fd, iov, 2) < 0 ? us_tx_reason(errno) : DROP_NONE;
}

const struct us_port_ops us_internal_ops = {
    .open = internal_open,
    .close = internal_close,
    .receive = internal_receive,
    .send = internal_send,
    .takes_super = takes_super,
};
