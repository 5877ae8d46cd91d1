/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnel ports: what receives. VXLAN and Geneve hear on UDP sockets, one a family, whose ancillary data tell the outer
 * header's destination, TOS and TTL; GRE on raw sockets. The kernel has reassembled fragments and checked UDP's
 * checksum by then. Sending: tunnel_tx.h.
 *
 * A sender on this machine, behind a veth, leaves the inner checksum to a device that is never passed, and cuts no
 * super-packet: a socket gets them so, and is not told. They are recognised by what the checksum field holds, and get
 * their offload state back; the segment size, which only the sender knew, is what the underlay's MTU allows.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "base/log.h"
#include "datapath/userspace/ipsec.h"
#include "datapath/userspace/tunnel_tx.h"
#include "datapath/userspace/userspace.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/segment.h"

LOG_MODULE("tunnel");

#ifndef UDP_NO_CHECK6_RX
#define UDP_NO_CHECK6_RX 102
#endif
#define SOCKET_BUFFER (4 << 20)
#define CARRIED_MAX 320 /* bytes of headers between two IP headers: UDP, Geneve with options, Ethernet with tags */

static enum tunnel_type tunnel_kind_of(const struct us_port *port)
{
    return port->kind == DP_PORT_VXLAN ? TUNNEL_VXLAN : port->kind == DP_PORT_GENEVE ? TUNNEL_GENEVE : TUNNEL_GRE;
}

static int set_options(int fd, bool v6, bool udp)
{
    static const int v4_options[] = {IP_PKTINFO, IP_RECVTOS, IP_RECVTTL};
    static const int v6_options[] = {IPV6_V6ONLY, IPV6_RECVPKTINFO, IPV6_RECVTCLASS, IPV6_RECVHOPLIMIT};
    const int *options = v6 ? v6_options : v4_options;
    size_t n = v6 ? ARRAY_SIZE(v6_options) : ARRAY_SIZE(v4_options);
    int one = 1, size = SOCKET_BUFFER;

    for (size_t i = 0; i < n; i++) {
        if (options[i] == IPV6_V6ONLY && v6 && !udp) {
            continue;
        }
        if (setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, options[i], &one, sizeof(one))) {
            return -errno;
        }
    }
    if (v6 && udp && setsockopt(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX, &one, sizeof(one))) {
        return -errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)); /* best effort */
    return 0;
}

static int tunnel_socket(const struct us_port *port, bool v6, int *ret_fd)
{
    bool udp = port->kind != DP_PORT_GRE;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port->udp_dst_port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port->udp_dst_port)};
    _cleanup_close_ int fd =
        socket(v6 ? AF_INET6 : AF_INET, (udp ? SOCK_DGRAM : SOCK_RAW) | SOCK_NONBLOCK | SOCK_CLOEXEC,
               udp ? IPPROTO_UDP : IPPROTO_GRE);
    int error;

    if (fd < 0) {
        return -errno;
    }
    error = set_options(fd, v6, udp);
    if (error) {
        return error;
    }
    if (udp && bind(fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, v6 ? sizeof(in6) : sizeof(in))) {
        return -errno;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static void policies_changed(void *dp_)
{
    struct us_datapath *dp = dp_;

    if (dp->policies_changed) {
        dp->policies_changed(dp->owner);
    }
}

static void follow_policies(struct us_datapath *dp)
{
    int error = ipsec_new(dp->base, policies_changed, dp, &dp->ipsec);

    if (!error) {
        policies_changed(dp);
    } else if (error != -EPROTONOSUPPORT) {
        log_warn("tunnels do not heed IPsec policies: %s", strerror(-error));
    }
}

static int tunnel_open(struct us_port *port, const struct dp_port_spec *spec)
{
    int error;

    if (spec->kind != DP_PORT_GRE && !spec->udp_dst_port) {
        return -EINVAL;
    }
    if (!port->dp->tunnel_tx) {
        port->dp->tunnel_tx = tunnel_tx_new();
        follow_policies(port->dp);
    }
    for (int v6 = 0; v6 < 2; v6++) {
        error = tunnel_socket(port, v6, &port->tunnel_fds[v6]);
        if (error == -EAFNOSUPPORT && v6) {
            log_info("%s: no IPv6 on this machine: tunnels over IPv4 only", port->name);
            return 0;
        }
        error = error ? error : us_port_watch(port, port->tunnel_fds[v6]);
        if (error) {
            return error;
        }
    }
    return 0;
}

static void tunnel_close(struct us_port *port)
{
    closep(&port->tunnel_fds[0]);
    closep(&port->tunnel_fds[1]);
}

/* The outer header's fields from the ancillary data. */
static void outer_from_cmsgs(struct msghdr *msg, struct flow_tunnel *t)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        int value = 0;

        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            t->dst = ip_addr_from_v4(info.ipi_addr.s_addr);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            memcpy(&t->dst, CMSG_DATA(c), sizeof(t->dst)); /* in6_pktinfo begins with the address */
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            t->tos = *CMSG_DATA(c); /* one byte */
        } else {
            memcpy(&value, CMSG_DATA(c), MIN(sizeof(value), c->cmsg_len - CMSG_LEN(0)));
            if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
                t->ttl = (uint8_t)value;
            } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
                t->tos = (uint8_t)value;
            }
        }
    }
}

/* The L4 checksum of the inner packet holds no more than the pseudo-header's sum (SCTP: nothing). That a whole checksum
 * happens to look so is one in 65536: then it is verified. */
static bool is_unfinished(const struct packet *p, const struct flow_key *key, size_t csum_ofs, size_t l4_len)
{
    const uint8_t *l4 = p->data + p->l4_ofs;
    bool v4 = key->eth_type == htobe16(ETH_TYPE_IPV4);
    uint64_t pseudo;
    __be16 field;

    if (key->ip_proto == IP_PROTO_SCTP) {
        return !((const struct sctp_hdr *)(const void *)l4)->csum;
    }
    memcpy(&field, l4 + csum_ofs, 2);
    pseudo = v4 ? csum_pseudo4(key->ip_src.be32[3], key->ip_dst.be32[3], key->ip_proto, (uint16_t)l4_len)
                : csum_pseudo6(&key->ip_src, &key->ip_dst, key->ip_proto, (uint32_t)l4_len);
    return field == csum_fold(pseudo) && csum_finish(csum_bytes(pseudo, l4, l4_len));
}

/* The largest TCP payload that the sender's packets towards us can have had, by the route back. */
static uint16_t mss_of(struct us_port *port, const struct packet *p, size_t hdr_len)
{
    unsigned int mtu = tunnel_tx_mtu(port->dp->tunnel_tx, &p->tunnel.src, &p->tunnel.dst, 0, port->dp->now_ms);
    size_t overhead = tunnel_hdr_len(tunnel_kind_of(port), &p->tunnel, true) + hdr_len;

    mtu = mtu ? mtu : 1500;
    return mtu > overhead + 536 ? (uint16_t)MIN(mtu - overhead, 65535u) : 536;
}

/* Where the labels end behind which P's IP packet begins; 0: there is none. */
static size_t below_labels(const struct packet *p)
{
    size_t ofs = p->l2_5_ofs;

    while (ofs + sizeof(struct mpls_hdr) <= p->len) {
        const uint8_t *lse = p->data + ofs;

        ofs += sizeof(struct mpls_hdr);
        if (lse[2] & 1) { /* bottom of stack */
            return ofs < p->len ? ofs : 0;
        }
    }
    return 0;
}

/* UDP's zero, which is not left to a device. */
static bool has_no_sum(const struct packet *p, const struct flow_key *key)
{
    return key->ip_proto == IP_PROTO_UDP && !((const struct udp_hdr *)(const void *)(p->data + p->l4_ofs))->csum;
}

/* The checksum of P itself; see us_restore_csum(). */
static bool restore_own_csum(struct packet *p, const struct flow_key *key, bool certain)
{
    size_t csum_ofs, end;

    if (!p->l4_ofs || key->ip_frag) {
        return false;
    }
    if (key->eth_type == htobe16(ETH_TYPE_IPV4)) {
        end = p->l3_ofs + (size_t)be16toh(((const struct ipv4_hdr *)(const void *)(p->data + p->l3_ofs))->tot_len);
    } else {
        end = p->l3_ofs + sizeof(struct ipv6_hdr) +
              be16toh(((const struct ipv6_hdr *)(const void *)(p->data + p->l3_ofs))->plen);
    }
    csum_ofs = key->ip_proto == IP_PROTO_TCP    ? offsetof(struct tcp_hdr, csum)
               : key->ip_proto == IP_PROTO_UDP  ? offsetof(struct udp_hdr, csum)
               : key->ip_proto == IP_PROTO_SCTP ? offsetof(struct sctp_hdr, csum)
                                                : 0;
    if (!csum_ofs || (certain ? has_no_sum(p, key) : !is_unfinished(p, key, csum_ofs, end - p->l4_ofs))) {
        return false;
    }
    p->offload = (struct packet_offload){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = p->l4_ofs, .csum_offset = (uint16_t)csum_ofs};
    return true;
}

/* The checksum of the IP packet that is at OFS of P: as if it were a frame of its own, whose type is written over what
 * is before for the while. */
static bool restore_csum_at(struct packet *p, size_t ofs)
{
    size_t l2 = ofs - sizeof(struct eth_hdr);
    struct packet inner = *p;
    struct flow_key key;
    __be16 type, kept;
    bool restored;

    if (p->data[ofs] >> 4 != 4 && p->data[ofs] >> 4 != 6) {
        return false;
    }
    type = htobe16(p->data[ofs] >> 4 == 4 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6);
    memcpy(&kept, p->data + ofs - 2, 2);
    memcpy(p->data + ofs - 2, &type, 2);
    packet_pull(&inner, l2);
    flow_key_extract(&inner, &key);
    restored = restore_own_csum(&inner, &key, false);
    memcpy(p->data + ofs - 2, &kept, 2);
    if (restored) {
        p->offload = inner.offload;
        p->offload.csum_start = (uint16_t)(p->offload.csum_start + l2);
    }
    return restored;
}

/* The LEFT bytes at AT, of which there are enough for an IPv4 header, are an IP packet of TCP or UDP, and nothing else.
 */
static bool is_whole_ip(const uint8_t *at, size_t left)
{
    const struct ipv4_hdr *ip = (const struct ipv4_hdr *)(const void *)at;
    const struct ipv6_hdr *ip6 = (const struct ipv6_hdr *)(const void *)at;

    if (*at >> 4 == 6) {
        return left >= sizeof(*ip6) && be16toh(ip6->plen) == left - sizeof(*ip6) &&
               (ip6->next == IP_PROTO_TCP || ip6->next == IP_PROTO_UDP);
    }
    return *at >> 4 == 4 && be16toh(ip->tot_len) == left && (ip->proto == IP_PROTO_TCP || ip->proto == IP_PROTO_UDP);
}

/* P's own checksum, UDP's or GRE's, is there and covers all of P as it is. Of a tunnel whose cargo's checksum is left
 * to a device it would be right only when that is done. */
static bool is_right_as_it_is(const struct packet *p, const struct flow_key *key)
{
    bool v4 = key->eth_type == htobe16(ETH_TYPE_IPV4), udp = key->ip_proto == IP_PROTO_UDP;
    size_t l4 = udp  ? p->l4_ofs
                : v4 ? p->l3_ofs + (p->data[p->l3_ofs] & 15u) * 4u
                     : p->l3_ofs + sizeof(struct ipv6_hdr);
    size_t len = p->len - l4;
    uint64_t pseudo = 0;

    if (udp) {
        pseudo = v4 ? csum_pseudo4(key->ip_src.be32[3], key->ip_dst.be32[3], IP_PROTO_UDP, (uint16_t)len)
                    : csum_pseudo6(&key->ip_src, &key->ip_dst, IP_PROTO_UDP, (uint32_t)len);
    }
    return l4 && l4 < p->len &&
           (udp ? !has_no_sum(p, key) : key->ip_proto == IP_PROTO_GRE && p->data[l4] & GRE_C >> 8) &&
           !csum_finish(csum_bytes(pseudo, p->data + l4, len));
}

/* The checksum of the packet that P carries in a tunnel of its sender's own (a VM's): the IP packet that ends where P
 * does, behind headers of whichever kind of tunnel. */
static bool restore_carried_csum(struct packet *p, const struct flow_key *key)
{
    size_t at = p->l3_ofs + sizeof(struct ipv4_hdr);

    if (!p->l3_ofs || key->ip_frag ||
        (key->ip_proto != IP_PROTO_UDP && key->ip_proto != IP_PROTO_GRE && key->ip_proto != IP_PROTO_IPV4 &&
         key->ip_proto != IP_PROTO_IPV6)) {
        return false;
    }
    for (size_t end = at + CARRIED_MAX; at <= end && at + sizeof(struct ipv4_hdr) <= p->len; at += 2) {
        if (is_whole_ip(p->data + at, p->len - at) && restore_csum_at(p, at)) {
            if (is_right_as_it_is(p, key)) { /* cargo of another kind: a packet as somebody captured it */
                p->offload = (struct packet_offload){0};
                return false;
            }
            return true;
        }
    }
    return false;
}

bool us_restore_csum(struct packet *p, const struct flow_key *key, bool certain)
{
    size_t below = p->l2_5_ofs ? below_labels(p) : 0;

    if (p->l2_5_ofs) {
        return below && restore_csum_at(p, below);
    }
    if (certain) { /* who finds nothing inside has a super-packet of UDP's own */
        return restore_carried_csum(p, key) || restore_own_csum(p, key, true);
    }
    return restore_own_csum(p, key, false) || restore_carried_csum(p, key);
}

void us_tunnel_restore_offload(struct us_port *port, struct packet *p, const struct flow_key *key)
{
    size_t hdr_len;

    if (!us_restore_csum(p, key, false) || p->l2_5_ofs || key->ip_proto != IP_PROTO_TCP) {
        return;
    }
    hdr_len =
        p->l4_ofs + (be16toh(((const struct tcp_hdr *)(const void *)(p->data + p->l4_ofs))->off_flags) >> 12) * 4u;
    if (hdr_len < p->len && p->len - hdr_len > mss_of(port, p, hdr_len)) {
        p->offload.gso_type =
            key->eth_type == htobe16(ETH_TYPE_IPV4) ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
        p->offload.gso_size = mss_of(port, p, hdr_len);
        p->offload.hdr_len = (uint16_t)hdr_len;
    }
}

/* Takes what is before the inner frame off P, and hands it on. */
static void receive_one(struct us_port *port, struct packet *p, bool v6)
{
    enum tunnel_type kind = tunnel_kind_of(port);
    struct flow_tunnel t = p->tunnel;
    enum drop_reason reason;
    size_t hdr_len;

    if (kind == TUNNEL_GRE && !v6) {
        reason = tunnel_parse(kind, p->data, p->len, 0, &t, &hdr_len);
    } else {
        reason = tunnel_parse_payload(kind, p->data, p->len, &t, &hdr_len);
    }
    if (reason) {
        port->stats.rx_errors++;
        us_drop(port->dp, reason);
        return;
    }
    packet_pull(p, hdr_len);
    p->tunnel = t;
    if (t.opts_id && port->dp->options_seen) {
        port->dp->options_seen(port->dp->owner, t.opts_id);
    }
    us_receive(port, p);
}

static int tunnel_receive(struct us_port *port, int fd)
{
    static union {
        struct cmsghdr align;
        char buf[256];
    } control[RX_BATCH];
    static struct sockaddr_in6 from[RX_BATCH];
    struct mmsghdr msgs[RX_BATCH];
    struct iovec iov[RX_BATCH];
    bool v6 = fd == port->tunnel_fds[1];
    int n;

    for (unsigned int i = 0; i < RX_BATCH; i++) {
        struct packet *p = us_rx_packet(port->dp, i);

        iov[i] = (struct iovec){p->data, RX_BUF_SIZE - PACKET_HEADROOM};
        msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i],
            .msg_namelen = sizeof(from[i]),
            .msg_iov = &iov[i],
            .msg_iovlen = 1,
            .msg_control = &control[i],
            .msg_controllen = sizeof(control[i]),
        };
    }
    n = recvmmsg(fd, msgs, RX_BATCH, MSG_DONTWAIT, NULL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            log_limited(LOG_LEVEL_WARN, "%s: receive: %s", port->name, strerror(errno));
        }
        return -errno;
    }
    for (int i = 0; i < n && !port->deleted; i++) {
        struct packet *p = &port->dp->rx[i];

        p->len = msgs[i].msg_len;
        if (v6) {
            memcpy(&p->tunnel.src, &from[i].sin6_addr, sizeof(p->tunnel.src));
        } else {
            p->tunnel.src = ip_addr_from_v4(((struct sockaddr_in *)(void *)&from[i])->sin_addr.s_addr);
        }
        outer_from_cmsgs(&msgs[i].msg_hdr, &p->tunnel);
        receive_one(port, p, v6);
        packet_done(p);
    }
    return n;
}

static enum drop_reason send_one(struct us_port *port, struct packet *p, const struct flow_key *key,
                                 const struct flow_tunnel *tunnel)
{
    if (ipsec_is_blind(port->dp->ipsec, tunnel_kind_of(port), port->udp_dst_port, &tunnel->dst)) {
        log_limited(LOG_LEVEL_ERR,
                    "an IPsec policy for tunnels of %s selects by more than addresses, which it would not be "
                    "heeded by: nothing is sent in the clear",
                    port->name);
        return DROP_TUNNEL_IPSEC;
    }
    return tunnel_tx_send(port->dp->tunnel_tx, tunnel_kind_of(port), port->udp_dst_port, key->dp_hash, p, tunnel,
                          port->dp->now_ms);
}

/* The length of the IP packet that P is, or of the largest one that it will be cut into. */
static size_t ip_len(const struct packet *p)
{
    return (packet_is_gso(p) ? packet_gso_hdr_len(p) + p->offload.gso_size : p->len) - p->l3_ofs;
}

/* P does not fit into a tunnel that takes IP packets of MTU bytes, and its sender can do nothing about it: IPv4 without
 * DF; IPv6 of a size that every link takes (RFC 8200, 5). */
static bool may_be_fragmented(const struct packet *p, const struct flow_key *key, unsigned int mtu)
{
    if (!p->l3_ofs) {
        return false;
    }
    if (key->eth_type == htobe16(ETH_TYPE_IPV6)) {
        return mtu < IPV6_MTU_MIN && ip_len(p) <= IPV6_MTU_MIN;
    }
    return key->eth_type == htobe16(ETH_TYPE_IPV4) &&
           !(((const struct ipv4_hdr *)(const void *)(p->data + p->l3_ofs))->frag_off & htobe16(IPV4_DF));
}

/* How large an IP packet may be that TUNNEL takes as P's frame. */
static unsigned int room_in(struct us_port *port, const struct packet *p, const struct flow_tunnel *tunnel)
{
    unsigned int overhead = (unsigned int)(tunnel_hdr_len(tunnel_kind_of(port), tunnel, true) + p->l3_ofs);
    unsigned int mtu = tunnel_tx_mtu(port->dp->tunnel_tx, &tunnel->dst, &tunnel->src, p->pkt_mark, port->dp->now_ms);

    return mtu > overhead ? mtu - overhead : 0;
}

/* The outer packets are cut although they should not be. */
static enum drop_reason send_fragments(struct us_port *port, struct packet *p, const struct flow_key *key,
                                       const struct flow_tunnel *tunnel)
{
    struct flow_tunnel fragments = *tunnel;

    fragments.flags &= (uint16_t)~FLOW_TNL_DF;
    return send_one(port, p, key, &fragments);
}

static enum drop_reason tunnel_send(struct us_port *port, struct packet *p, const struct flow_key *key,
                                    const struct flow_tunnel *tunnel)
{
    enum drop_reason reason;
    unsigned int room;

    if (!tunnel || ip_addr_is_zero(&tunnel->dst)) {
        return DROP_BAD_ACTION; /* nobody said where to */
    }
    if (packet_is_gso(p)) { /* one of its segments may fit, and must not go twice */
        room = room_in(port, p, tunnel);
        if (ip_len(p) > room && may_be_fragmented(p, key, room)) {
            return send_fragments(port, p, key, tunnel);
        }
    }
    reason = send_one(port, p, key, tunnel);
    if (reason == DROP_TUNNEL_TOO_BIG) {
        room = room_in(port, p, tunnel);
        if (may_be_fragmented(p, key, room)) {
            return send_fragments(port, p, key, tunnel);
        }
        us_too_big(port->dp, p, key, room);
    }
    return reason;
}

const struct us_port_ops us_tunnel_ops = {
    .open = tunnel_open,
    .close = tunnel_close,
    .receive = tunnel_receive,
    .send = tunnel_send,
};
