/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_USERSPACE_USERSPACE_H
#define WARREN_DATAPATH_USERSPACE_USERSPACE_H
/*
 * The userspace datapath: frames come from sockets, are looked up among the megaflows and leave by sockets, all on the
 * owner's event loop. Files: userspace.c (the dp_class, ports by number, the way of a packet), megaflows.c (the table),
 * actions.c (the executor), meters.c, netdev.c (AF_PACKET and TAP ports), tunnel_port.c (tunnel ports), tunnel_tx.c
 * (sending tunnel packets), tx_batch.c (sending by AF_PACKET), policer.c (ingress
 * policing).
 *
 * Bounds: a port takes at most RX_TURNS batches of RX_BATCH frames in a turn of the loop; sends never block, and what
 * the kernel does not take at once is dropped with a reason. On a hit nothing is allocated: received frames lie in
 * buffers that the datapath keeps, with room in front for every header that may be pushed.
 */
#include "datapath/datapath.h"
#include "datapath/userspace/megaflows.h"
#include "datapath/userspace/policer.h"
#include "packet/tunnel.h"

#define RX_BATCH 32
#define RX_TURNS 4
#define RX_BUF_SIZE (PACKET_HEADROOM + 65536 + 64)
#define EXECUTE_DEPTH_MAX 8 /* actions → upcall → actions … */
#define CLONE_DEPTH_MAX 8   /* CLONE inside CLONE */

struct us_port;
struct us_datapath;
struct ipsec;
struct tunnel_tx;
struct tx_batch;
struct virtio_net_hdr;

struct us_port_ops {
    /* Takes what SPEC says; FDs that are to be read go to us_port_watch(). */
    int (*open)(struct us_port *port, const struct dp_port_spec *spec);
    void (*close)(struct us_port *port);
    /* Reads a batch from FD and hands each frame to us_receive(). The number of frames that were read (of RX_BATCH), or
     * a negative errno; -EAGAIN when there are none. */
    int (*receive)(struct us_port *port, int fd);
    /* Sends P, whose bytes may be completed but not otherwise changed. TUNNEL (may be NULL): what SET_TUNNEL said.
     * DROP_NONE or why it could not be sent, which the caller counts. */
    enum drop_reason (*send)(struct us_port *port, struct packet *p, const struct flow_key *key,
                             const struct flow_tunnel *tunnel);
    /* Whether send() takes the super-packet P whole; NULL: every one. Else it is sent in segments. */
    bool (*takes_super)(const struct us_port *port, const struct packet *p);
};

struct us_port {
    struct us_datapath *dp;
    const struct us_port_ops *ops;
    dp_port_t number;
    enum dp_port_kind kind;
    char *name;
    struct dp_port_stats stats;
    struct event *events[4];
    size_t n_events;
    bool receives; /* SYSTEM, INTERNAL: by us, and no fast path does */
    bool gone;     /* port_gone was called */
    bool deleted;  /* by dp_port_del() while it receives: freed when that is done */
    struct policer policer;
    struct policer told; /* us_too_big() */
    uint32_t priority;   /* SO_PRIORITY of `fd` as it is set now */
    int fd;              /* netdevs: the AF_PACKET socket or TAP */
    int ifindex;         /* SYSTEM */
    uint16_t udp_dst_port;
    int tunnel_fds[2]; /* what is received from: IPv4, IPv6 */
};

struct us_datapath {
    struct datapath dp;
    struct event_base *base;
    struct dp_callbacks callbacks;
    struct megaflows flows;
    struct us_port **ports; /* by number */
    size_t ports_size;
    uint32_t next_port;
    uint32_t ports_max; /* numbers are below */
    bool fast_path; /* the kernel receives for SYSTEM ports: theirs only send, unless one is told to be user space's */
    bool keep_guards; /* the host's stack is kept from the ports also when they are closed: another process will come */
    bool udp_super;   /* virtio-net headers of sockets and TAPs know UDP's super-packets: since Linux 6.2 */
    /* What the owner of an inner datapath is asked and told; may be NULL. */
    void *owner;
    bool (*number_is_taken)(void *owner, uint32_t n);    /* by a port that is to come */
    void (*policies_changed)(void *owner);               /* the host's for IPsec */
    void (*options_seen)(void *owner, uint32_t opts_id); /* a packet with these Geneve options came by a socket */
    /* Keeps the buckets of meters, and of policers of ports that the fast path receives for, too, in place of us: may
     * the frame pass? */
    bool (*meter_admits)(void *owner, uint32_t id, uint32_t len, uint32_t packets);
    bool (*police_admits)(void *owner, uint32_t port, uint32_t len, uint32_t packets);
    struct us_port *receiving;
    unsigned int depth;
    uint64_t drops[DROP_MAX];
    uint64_t hits, misses;
    uint32_t sample, random;  /* one hit in `sample` goes to callbacks.sample; state of the draw */
    int64_t now_ms;           /* read once a turn of the loop and an execute */
    struct dp_meter **meters; /* by id */
    size_t n_meters;
    struct packet rx[RX_BATCH];
    uint8_t *rx_bufs; /* RX_BATCH of RX_BUF_SIZE */
    struct tunnel_tx *tunnel_tx;
    struct ipsec *ipsec;       /* NULL: the kernel has none, or there are no tunnels */
    struct tx_batch *tx_batch; /* NULL until a frame waits */
};

/* The us_datapath inside of what dp_userspace_class.open() gave. */
struct us_datapath *us_datapath_of(struct datapath *dp);

extern const struct dp_class dp_userspace_class;
extern const struct us_port_ops us_system_ops, us_internal_ops, us_tunnel_ops;

struct us_port *us_port_find(struct us_datapath *dp, dp_port_t number);
/* Calls the port's receive when FD is readable. */
int us_port_watch(struct us_port *port, int fd);
/* Reports the port as gone, once, and stops reading it. */
void us_port_gone(struct us_port *port);
/* The I-th buffer for received frames as an empty packet with headroom and metadata cleared. */
struct packet *us_rx_packet(struct us_datapath *dp, unsigned int i);
/* A frame came in by PORT: counts it, looks it up, runs the actions or the upcall. */
void us_receive(struct us_port *port, struct packet *p);
/* The same for a packet that somebody else received, counted and extracted: KEY is its key. */
void us_process(struct us_datapath *dp, struct packet *p, const struct flow_key *key);

static inline void us_drop(struct us_datapath *dp, enum drop_reason reason)
{
    dp->drops[reason]++;
}

/* tx_batch.c: sends P by the AF_PACKET port, or keeps a copy until us_tx_flush(), which must follow every read. */
enum drop_reason us_tx_send(struct us_port *port, struct packet *p, struct virtio_net_hdr *vnet);
void us_tx_flush(struct us_datapath *dp);
/* netdev.c: why a send failed with ERROR. */
enum drop_reason us_tx_reason(int error);

/* tunnel_port.c: finds out what offload state the inner frame P has, which came in by the tunnel port PORT. */
void us_tunnel_restore_offload(struct us_port *port, struct packet *p, const struct flow_key *key);
/* Finds out whether P's L4 checksum is one that the device would complete (CERTAIN: it is, if it has any), and says so
 * in its offload state, which was empty. Below MPLS labels, too, and inside a tunnel of its sender's own. */
bool us_restore_csum(struct packet *p, const struct flow_key *key, bool certain);

/* How many packets the wire would have seen of P. */
uint32_t us_count_segments(const struct packet *p);

/* meters.c: the calls of dp_class, and: */
int us_meter_set(struct datapath *dp, uint32_t id, const struct dp_meter_config *config);
int us_meter_del(struct datapath *dp, uint32_t id);
int us_meter_get_stats(struct datapath *dp, uint32_t id, struct dp_meter_stats *ret_stats);
int us_meter_ask(struct datapath *dp, uint32_t id, uint32_t len, uint32_t packets);
/* May the frame pass? A meter that is not there lets it. Counts the drop. */
bool us_meter_admits(struct us_datapath *dp, uint32_t id, uint32_t len, uint32_t packets);
void us_meters_done(struct us_datapath *dp);

#define IPV6_MTU_MIN 1280u /* RFC 8200, 5 */

/* too_big.c: P, which came in with KEY, did not fit into a tunnel that takes IP packets of at most MTU bytes. Its
 * sender is told so, if the packet is one that may be answered. */
void us_too_big(struct us_datapath *dp, const struct packet *p, const struct flow_key *key, unsigned int mtu);

/* actions.c */
/* 0 or -EINVAL: malformed. */
int us_actions_check(const struct dp_action *actions, size_t len);
/* Runs checked actions on P, which must have its layer offsets. */
void us_execute(struct us_datapath *dp, struct packet *p, const struct flow_key *key, const struct dp_action *actions,
                size_t len);

#endif
