/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/userspace/tunnel_tx.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/log.h"
#include "packet/headers.h"
#include "packet/segment.h"
#include "packet/zero_label.h"

/* In <linux/in.h>, which clashes with <netinet/in.h>. */
#ifndef IP_MTU
#define IP_MTU 14
#endif
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO 11
#endif

LOG_MODULE("tunnel_tx");

#define N_ROUTES 256 /* a power of 2 */
#define SOCKET_BUFFER (4 << 20)
#define DEFAULT_TTL 64
#define N_EARS 3

/* What the host's routing rules choose a route by. */
struct way {
    struct ip_addr dst, src; /* src: zero if the route is to say it */
    uint32_t mark;
};

struct route {
    struct way way;
    struct ip_addr src;
    unsigned int mtu;
    int64_t expires_ms; /* 0: empty */
};

struct tunnel_tx {
    int raw4, udp6, gre6;   /* -1: not open yet */
    int ears[N_EARS];       /* -1: not open */
    uint32_t priorities[3]; /* SO_PRIORITY of each as it is set now */
    uint16_t next_id;       /* of fragmented IPv4 packets */
    bool no_label;          /* the host gives flow labels to those who ask for them, and to nobody else */
    struct route routes[N_ROUTES];
    struct packet segments[TUNNEL_TX_BATCH];
};

/* One destination in the form that sendmsg() wants. */
struct target {
    int fd;
    bool v4;
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } addr;
    socklen_t addr_len;
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) + 5 * CMSG_SPACE(sizeof(int))];
    } control;
    size_t control_len, unlabelled_len; /* the flow label, if any, is the last */
};

/* A raw socket that receives nothing: its filter refuses every packet that the kernel would copy to it. */
static int raw_socket(int family, int protocol, int *fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog filter = {.len = 1, .filter = &nothing};
    int size = SOCKET_BUFFER, s;

    if (*fd >= 0) {
        return 0;
    }
    s = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (s < 0) {
        return -errno;
    }
    if (setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter))) {
        int error = -errno;

        close(s);
        return error;
    }
    setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    *fd = s;
    return 0;
}

/* Routers on the way may have a smaller MTU, and say so in ICMP errors about our tunnel packets. The kernel notes that
 * for its routes, the fast path's too, if there is a raw socket of the packet's protocol; over IPv6 only if that is to
 * hear of errors, and then the next message would fail, so it is none that sends. GRE's over IPv4 is the one that
 * receives. That nobody empties the queues of errors does no harm. */
static void open_ears(struct tunnel_tx *tx)
{
    static const int what[N_EARS][2] = {{AF_INET, IPPROTO_UDP}, {AF_INET6, IPPROTO_UDP}, {AF_INET6, IPPROTO_GRE}};
    int one = 1, size = 1;

    for (size_t i = 0; i < N_EARS; i++) {
        int error = raw_socket(what[i][0], what[i][1], &tx->ears[i]);

        if (error && error != -EAFNOSUPPORT) {
            log_info("path MTUs that routers tell are not heard: %s", strerror(-error));
        } else if (!error && what[i][0] == AF_INET6) {
            setsockopt(tx->ears[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
            setsockopt(tx->ears[i], IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one));
        }
    }
}

struct tunnel_tx *tunnel_tx_new(void)
{
    struct tunnel_tx *tx = xcalloc(1, sizeof(*tx));

    tx->raw4 = tx->udp6 = tx->gre6 = -1;
    tx->next_id = (uint16_t)time_mono_ms();
    for (size_t i = 0; i < N_EARS; i++) {
        tx->ears[i] = -1;
    }
    open_ears(tx);
    return tx;
}

void tunnel_tx_free(struct tunnel_tx *tx)
{
    if (tx) {
        closep(&tx->raw4);
        closep(&tx->udp6);
        closep(&tx->gre6);
        for (size_t i = 0; i < N_EARS; i++) {
            closep(&tx->ears[i]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(tx->segments); i++) {
            packet_done(&tx->segments[i]);
        }
        free(tx);
    }
}

static void sockaddr_of(struct target *t, const struct ip_addr *dst, bool v4, uint16_t port)
{
    if (v4) {
        t->addr.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {dst->be32[3]}};
        t->addr_len = sizeof(t->addr.in);
    } else {
        t->addr.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&t->addr.in6.sin6_addr, dst, sizeof(*dst));
        t->addr_len = sizeof(t->addr.in6);
    }
}

/* Asks the kernel's routes by connecting a UDP socket, which sends nothing. */
static int route_resolve(const struct way *way, struct route *ret_route)
{
    bool v4 = ip_addr_is_v4mapped(&way->dst);
    _cleanup_close_ int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct route r = {.way = *way};
    struct target t;
    socklen_t len = sizeof(r.mtu);

    if (fd >= 0 && way->mark) {
        setsockopt(fd, SOL_SOCKET, SO_MARK, &way->mark, sizeof(way->mark));
    }
    if (fd >= 0 && !ip_addr_is_zero(&way->src)) {
        sockaddr_of(&t, &way->src, v4, 0);
        if (bind(fd, (struct sockaddr *)&t.addr, t.addr_len)) {
            return -errno;
        }
    }
    sockaddr_of(&t, &way->dst, v4, 9);
    if (fd < 0 || connect(fd, (struct sockaddr *)&t.addr, t.addr_len) ||
        getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &r.mtu, &len) ||
        getsockname(fd, (struct sockaddr *)&t.addr, &t.addr_len)) {
        return -errno;
    }
    if (v4) {
        r.src = ip_addr_from_v4(t.addr.in.sin_addr.s_addr);
    } else {
        memcpy(&r.src, &t.addr.in6.sin6_addr, sizeof(r.src));
    }
    *ret_route = r;
    return 0;
}

static bool way_is(const struct way *a, const struct way *b)
{
    return !memcmp(&a->dst, &b->dst, sizeof(a->dst)) && !memcmp(&a->src, &b->src, sizeof(a->src)) && a->mark == b->mark;
}

/* Where WAY's route is kept, or another's. */
static struct route *route_of(struct tunnel_tx *tx, const struct way *way)
{
    const struct ip_addr *dst = &way->dst;
    uint32_t h = (dst->be32[0] ^ dst->be32[1] ^ dst->be32[2] ^ dst->be32[3] ^ way->mark) * 0x9e3779b1u;

    return &tx->routes[h >> 16 & (N_ROUTES - 1)];
}

static int route_get(struct tunnel_tx *tx, const struct way *way, int64_t now_ms, const struct route **ret_route)
{
    struct route *r = route_of(tx, way);
    int error;

    if (r->expires_ms <= now_ms || !way_is(&r->way, way)) {
        r->expires_ms = 0;
        error = route_resolve(way, r);
        if (error) {
            return error;
        }
        r->expires_ms = now_ms + ROUTE_AGE_MS;
    }
    *ret_route = r;
    return 0;
}

void tunnel_tx_forget_routes(struct tunnel_tx *tx)
{
    for (size_t i = 0; i < N_ROUTES; i++) {
        tx->routes[i].expires_ms = 0;
    }
}

unsigned int tunnel_tx_mtu(struct tunnel_tx *tx, const struct ip_addr *dst, const struct ip_addr *src, uint32_t mark,
                           int64_t now_ms)
{
    const struct route *route;

    return route_get(tx, &(struct way){*dst, *src, mark}, now_ms, &route) ? 0 : route->mtu;
}

struct ip_addr tunnel_tx_source(struct tunnel_tx *tx, const struct ip_addr *dst, int64_t now_ms)
{
    const struct route *route;

    return route_get(tx, &(struct way){.dst = *dst}, now_ms, &route) ? (struct ip_addr){0} : route->src;
}

static enum drop_reason reason_of(int error)
{
    switch (error) {
    case EMSGSIZE:
        return DROP_TUNNEL_TOO_BIG;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL: /* no source address towards there */
        return DROP_TUNNEL_NO_ROUTE;
    default:
        return DROP_TUNNEL_TX;
    }
}

static void add_cmsg(struct target *t, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)(t->control.buf + t->control_len);

    memset(c, 0, CMSG_SPACE(len));
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    t->control_len += CMSG_SPACE(len);
}

static void add_int(struct target *t, int level, int type, int value)
{
    add_cmsg(t, level, type, &value, sizeof(value));
}

/* Raw sockets send with their own priority (per message only since Linux 6.14), so it follows the packets'. */
static void set_priority(struct tunnel_tx *tx, const int *fd, uint32_t priority)
{
    uint32_t *now = &tx->priorities[fd == &tx->raw4 ? 0 : fd == &tx->udp6 ? 1 : 2];
    int value = (int)priority;

    if (*now != priority && !setsockopt(*fd, SOL_SOCKET, SO_PRIORITY, &value, sizeof(value))) {
        *now = priority;
    }
}

static int target_init(struct tunnel_tx *tx, enum tunnel_type kind, const struct flow_tunnel *tunnel, uint32_t hash,
                       const struct packet *p, struct target *t)
{
    int *fd = &tx->raw4, error;

    t->v4 = ip_addr_is_v4mapped(&tunnel->dst);
    t->control_len = 0;
    if (t->v4) {
        error = raw_socket(AF_INET, IPPROTO_RAW, fd);
    } else {
        fd = kind == TUNNEL_GRE ? &tx->gre6 : &tx->udp6;
        error = raw_socket(AF_INET6, kind == TUNNEL_GRE ? IPPROTO_GRE : IPPROTO_UDP, fd);
    }
    if (error) {
        return error;
    }
    t->fd = *fd;
    sockaddr_of(t, &tunnel->dst, t->v4, 0);
    if (t->v4) {
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = tunnel->src.be32[3]};

        add_cmsg(t, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)); /* for routing rules: it is in the header anyway */
    } else {
        struct in6_pktinfo info = {0};

        memcpy(&info.ipi6_addr, &tunnel->src, sizeof(info.ipi6_addr));
        add_cmsg(t, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
        add_int(t, IPPROTO_IPV6, IPV6_HOPLIMIT, tunnel->ttl);
        add_int(t, IPPROTO_IPV6, IPV6_TCLASS, tunnel->tos);
        add_int(t, IPPROTO_IPV6, IPV6_DONTFRAG, !!(tunnel->flags & FLOW_TNL_DF));
    }
    if (p->pkt_mark) {
        add_int(t, SOL_SOCKET, SO_MARK, (int)p->pkt_mark);
    }
    t->unlabelled_len = t->control_len;
    if (!t->v4 && !tx->no_label) {
        add_int(t, IPPROTO_IPV6, IPV6_FLOWINFO, (int)htobe32(ZERO_LABEL_OF(hash)));
    }
    set_priority(tx, fd, p->priority);
    return 0;
}

static struct msghdr message(struct target *t, struct iovec *iov)
{
    return (struct msghdr){
        .msg_name = &t->addr,
        .msg_namelen = t->addr_len,
        .msg_iov = iov,
        .msg_iovlen = 1,
        .msg_control = t->control_len ? &t->control : NULL,
        .msg_controllen = t->control_len,
    };
}

/* Sends an IPv4 packet in fragments that fit MTU (RFC 791, 3.2). */
static enum drop_reason send_fragments(struct tunnel_tx *tx, struct target *t, const struct packet *p, unsigned int mtu)
{
    uint8_t buf[2048];
    const struct ipv4_hdr *whole = (const struct ipv4_hdr *)(const void *)p->data;
    size_t left = p->len - sizeof(*whole), at = 0, room;

    mtu = MIN(mtu, (unsigned int)sizeof(buf));
    if (mtu < 68) {
        return DROP_TUNNEL_TOO_BIG;
    }
    room = (mtu - sizeof(*whole)) & ~(size_t)7;
    if (!++tx->next_id) {
        tx->next_id = 1; /* zero: the kernel would choose another for each fragment */
    }
    while (left) {
        size_t n = MIN(left, room);
        struct ipv4_hdr *ip = (struct ipv4_hdr *)(void *)buf;
        struct iovec iov = {buf, sizeof(*ip) + n};
        struct msghdr msg = message(t, &iov);

        *ip = *whole;
        ip->id = htobe16(tx->next_id);
        ip->frag_off = htobe16((uint16_t)(at / 8 | (n < left ? IPV4_MF : 0)));
        memcpy(buf + sizeof(*ip), p->data + sizeof(*ip) + at, n);
        if (sendmsg(t->fd, &msg, MSG_DONTWAIT) < 0) { /* the kernel fills in length and checksum */
            return reason_of(errno);
        }
        at += n;
        left -= n;
    }
    return DROP_NONE;
}

/* P was refused with its flow label, or for something else: a source address that is not there, for one. */
static enum drop_reason send_unlabelled(struct tunnel_tx *tx, struct target *t, const struct packet *p)
{
    struct iovec iov = {p->data, p->len};
    struct msghdr msg = message(t, &iov);

    msg.msg_controllen = t->unlabelled_len;
    if (sendmsg(t->fd, &msg, MSG_DONTWAIT) < 0) {
        return reason_of(errno);
    }
    if (!tx->no_label) {
        log_info("no flow labels for tunnels over IPv6: something on this host holds some for itself alone");
        tx->no_label = true; /* those that come next do not try */
    }
    return DROP_NONE;
}

static enum drop_reason send_failed(struct tunnel_tx *tx, struct target *t, const struct flow_tunnel *tunnel,
                                    const struct packet *p, int64_t now_ms)
{
    const struct way way = {tunnel->dst, tunnel->src, p->pkt_mark};
    const struct route *route;
    int error = errno;

    if (error == EMSGSIZE) {
        route_of(tx, &way)->expires_ms = 0; /* the kernel has heard more of its MTU since */
    }
    if (error == EMSGSIZE && t->v4 && !(tunnel->flags & FLOW_TNL_DF) && !route_get(tx, &way, now_ms, &route)) {
        return send_fragments(tx, t, p, route->mtu);
    }
    return error == EINVAL && t->unlabelled_len < t->control_len ? send_unlabelled(tx, t, p) : reason_of(error);
}

/* Sends encapsulated packets; all of them are tried, and the first failure told. */
static enum drop_reason send_batch(struct tunnel_tx *tx, struct target *t, const struct flow_tunnel *tunnel,
                                   struct packet *const *packets, unsigned int n, int64_t now_ms)
{
    struct mmsghdr msgs[TUNNEL_TX_BATCH];
    struct iovec iov[TUNNEL_TX_BATCH];
    enum drop_reason first = DROP_NONE;
    unsigned int i;

    for (i = 0; i < n; i++) {
        iov[i] = (struct iovec){packets[i]->data, packets[i]->len};
        msgs[i] = (struct mmsghdr){.msg_hdr = message(t, &iov[i])};
    }
    for (i = 0; i < n;) {
        int sent = sendmmsg(t->fd, msgs + i, n - i, MSG_DONTWAIT);

        if (sent > 0) {
            i += (unsigned int)sent;
        } else {
            enum drop_reason reason = send_failed(tx, t, tunnel, packets[i], now_ms);

            first = first ? first : reason;
            i++;
        }
    }
    return first;
}

struct encap {
    enum tunnel_type kind;
    uint16_t udp_src, udp_dst;
};

static void push(const struct encap *e, const struct target *t, const struct flow_tunnel *tunnel, struct packet *p)
{
    tunnel_push(p, e->kind, tunnel, e->udp_src, e->udp_dst, t->v4);
}

static enum drop_reason send_super(struct tunnel_tx *tx, struct target *t, const struct encap *e,
                                   const struct packet *p, const struct flow_tunnel *tunnel, int64_t now_ms)
{
    struct packet *batch[TUNNEL_TX_BATCH];
    struct segmenter s;
    enum drop_reason first = DROP_NONE, reason;
    unsigned int n;

    if (segmenter_init(&s, p)) {
        return DROP_SEGMENT;
    }
    do {
        for (n = 0; n < TUNNEL_TX_BATCH && segmenter_next(&s, &tx->segments[n]); n++) {
            batch[n] = &tx->segments[n];
            push(e, t, tunnel, batch[n]);
        }
        reason = n ? send_batch(tx, t, tunnel, batch, n, now_ms) : DROP_NONE;
        first = first ? first : reason;
    } while (n == TUNNEL_TX_BATCH);
    return first;
}

/* P is too big for a socket that would not say so: raw sockets of GRE over IPv6 cut packets also if told not to. */
static bool is_too_big(struct tunnel_tx *tx, const struct target *t, enum tunnel_type kind, const struct packet *p,
                       const struct flow_tunnel *tunnel, int64_t now_ms)
{
    size_t len = packet_is_gso(p) ? packet_gso_hdr_len(p) + p->offload.gso_size : p->len;
    const struct route *route;

    return !t->v4 && kind == TUNNEL_GRE && tunnel->flags & FLOW_TNL_DF &&
           !route_get(tx, &(struct way){tunnel->dst, tunnel->src, p->pkt_mark}, now_ms, &route) &&
           tunnel_hdr_len(kind, tunnel, true) + len > route->mtu;
}

enum drop_reason tunnel_tx_send(struct tunnel_tx *tx, enum tunnel_type kind, uint16_t udp_dst, uint32_t hash,
                                struct packet *p, const struct flow_tunnel *tunnel_, int64_t now_ms)
{
    struct encap e = {.kind = kind, .udp_src = tunnel_sport(hash), .udp_dst = udp_dst};
    struct flow_tunnel tunnel = *tunnel_;
    const struct route *route;
    struct target t;
    enum drop_reason reason;
    size_t hdr_len;
    int error;

    tunnel.ttl = tunnel.ttl ? tunnel.ttl : DEFAULT_TTL;
    if (ip_addr_is_zero(&tunnel.src)) {
        error = route_get(tx, &(struct way){.dst = tunnel.dst, .mark = p->pkt_mark}, now_ms, &route);
        if (error) {
            return reason_of(-error);
        }
        tunnel.src = route->src;
    }
    error = target_init(tx, kind, &tunnel, hash, p, &t);
    if (error) {
        return reason_of(-error);
    }
    if (is_too_big(tx, &t, kind, p, &tunnel, now_ms)) {
        return DROP_TUNNEL_TOO_BIG;
    }
    if (packet_is_gso(p)) {
        return send_super(tx, &t, &e, p, &tunnel, now_ms);
    }
    if (packet_complete_csum(p)) {
        return DROP_SEGMENT;
    }
    hdr_len = tunnel_hdr_len(kind, &tunnel, t.v4);
    if (p->len + hdr_len > 65535) {
        return DROP_TUNNEL_TOO_BIG;
    }
    push(&e, &t, &tunnel, p);
    reason = send_batch(tx, &t, &tunnel, &p, 1, now_ms);
    packet_pull(p, hdr_len);
    return reason;
}
