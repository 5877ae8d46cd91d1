/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_EXACT_BPF_H
#define WARREN_DATAPATH_EBPF_EXACT_BPF_H
/*
 * The exact-match cache: connections whose packets need neither a key nor a list of steps.
 *
 * Problem: behind each system call a packet finds the processor's caches cold, and then it is not the work that costs
 * but how much code and data it touches. Idea: what most packets are is known beforehand: TCP or UDP in IPv4, without
 * tags, options and fragments, of a flow that does one thing, an output to one port or into one tunnel. The whole way
 * (parse(), lookup(), run()) leaves an entry that holds the bytes by which such a packet is known again and, for a
 * tunnel, the finished outer headers. The next packet of the connection is compared with these bytes where it lies
 * (exact_run.bpf.h). Whatever is not as an entry says, or as all entries demand, goes the whole way.
 *
 * Costs: 374 KiB a CPU. Where there are more connections than places, one that has none asks for one in vain, by a tag,
 * without touching the entry: it is another's until that expires or is closed.
 * Invariants: each byte of a packet's headers is compared, or checked anew, or is none that the flow's mask and its one
 * step look at. An entry names the flow by slot and id, so it ends with the flow; it is of one generation of the
 * config, and lives no longer than EBPF_NEXTHOP_NS, which is less than a dead slot's quarantine.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

/* Beside TC actions and what comes of a step. */
#define EXACT_NONE (-4) /* no entry is the packet's */
#define EXACT_BUSY (-5) /* nor will there be one for now */

#define EXACT_LINE 32                          /* entries that lie together; a power of 2 */
#define EXACT_HELD 1u                          /* of a tag: the place is kept from others */
#define EXACT_HEAD_MIN (2 * ETH_HLEN + 20 + 8) /* outer headers with the inner Ethernet header: GRE with a key */
#define EXACT_HEAD 88
#define EXACT_L3 ETH_HLEN
#define EXACT_L4 (ETH_HLEN + 20)

/* Of a tunnel's outer headers. */
#define EXACT_IPV6 1
#define EXACT_GRE 2
#define EXACT_SUM 4      /* OUT: small packets have a checksum in them; IN: this one had */
#define EXACT_NO_SUM 8   /* OUT: super-packets have none, though small ones have */
#define EXACT_FOLLOWS 16 /* OUT: has_risen() is to be asked */
#define EXACT_DF 32      /* OUT */
#define EXACT_VETH 64    /* to a port: EBPF_PORT_VETH */
#define EXACT_PEER 128   /* EBPF_PORT_PEER */

struct exact {
    __u64 id; /* of the flow */
    __u64 expires_ns;
    __u32 slot, generation;
    __u32 ifindex, mark; /* by which the packet came, and with which */
    __u64 eth0;          /* the frame's bytes: 0 to 7, */
    __u32 eth1;          /* 8 to 11, */
    __u32 ports;
    __u64 addrs;
    __u32 in_port, port;
    __u16 first; /* version, length and TOS */
    __u8 ttl, proto;
    __u8 flags;   /* EXACT_* */
    __u8 base;    /* of the frame; 0: by a port */
    bool tunnels; /* into a tunnel */
    __u8 pad;
    __u32 hash;
    __u32 to; /* ifindex where it goes out */
    union {
        struct { /* OUT: into a tunnel */
            __u32 mtu;
            __u16 ip_sum; /* as in struct ebpf_tunnel */
            __u8 head_len;
            __u8 pad2;
            __u32 sum; /* of all that the outer checksum covers, but for the UDP header's length once */
            __u8 head[EXACT_HEAD];
            __u32 pad3;
        };
        struct {                 /* to a port, */
            struct eth_addr mac; /* with EXACT_PEER: its other end's */
            __be16 udp_dst;      /* and IN: out of a tunnel */
            __u64 outer[4];
            __u64 tunnel_header;
            __u32 outer_first;
            __u8 outer_ttl;
        };
    };
};
_Static_assert(sizeof(struct exact) == 184, "no hidden padding");

/* In lines, because each value of such a map costs a pointer, which is one more thing that is not in the caches. */
struct exact_line {
    struct exact entries[EXACT_LINE];
};
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EBPF_EXACT_PLACES / EXACT_LINE);
    __type(key, __u32);
    __type(value, struct exact_line);
} exacts SEC(".maps");

/* Where a connection's entry would be. */
struct exact_place {
    struct ebpf_lookup_stats *stats;
    __u32 index;
    __u16 tag; /* the connection's, without EXACT_HELD; never zero */
};

/* False: there are no places. */
INLINE bool exact_place_of(__u64 addrs, __u32 ports, struct exact_place *ret)
{
    __u64 hash = addrs * 0x9ddfea08eb382d69ull;
    __u32 zero = 0;

    /* The upper half depends on every bit of the addresses, and then on every bit of the ports. */
    hash = (hash >> 32 ^ ports) * 0xc2b2ae3d27d4eb4full;
    ret->index = hash >> 33 & (EBPF_EXACT_PLACES - 1);
    ret->tag = hash >> 48 | 2 * EXACT_HELD;
    ret->tag &= ~EXACT_HELD;
    ret->stats = bpf_map_lookup_elem(&lookups, &zero);
    return ret->stats;
}

INLINE __u16 *exact_tag(const struct exact_place *p)
{
    return &p->stats->exact_tags[p->index & (EBPF_EXACT_PLACES - 1)];
}

/* The place is the connection's, or one's that cannot be told from it. */
INLINE bool exact_is_own(const struct exact_place *p)
{
    return (*exact_tag(p) & ~EXACT_HELD) == p->tag;
}

/* It is another's. One packet in 16 asks whether it is still in use. */
INLINE bool exact_is_busy(const struct exact_place *p)
{
    return *exact_tag(p) & EXACT_HELD && !exact_is_own(p) && bpf_get_prandom_u32() & 15;
}

INLINE struct exact *exact_at(const struct exact_place *p)
{
    __u32 number = p->index / EXACT_LINE;
    struct exact_line *line = bpf_map_lookup_elem(&exacts, &number);

    return line ? &line->entries[p->index & (EXACT_LINE - 1)] : NULL;
}

/* What an outer header says of TOS: all that of its first bytes matters. */
INLINE __u32 outer_first_of(bool ipv6, __u8 tos)
{
    return ipv6 ? bpf_htonl(0x60000000u | (__u32)tos << 20) : bpf_htons(0x4500u | tos);
}

/* The packet that is known by S may have an entry: the flow SLOT does nothing but STEP, and looks at nothing that an
 * entry does not compare. (What may come by the port depends on its policer.) */
INLINE bool exact_suits(const struct scratch *s, const struct ebpf_slot *slot, const struct ebpf_step *step)
{
    __u32 index = slot->mask, number = s->in_port;
    struct ebpf_mask *mask = bpf_map_lookup_elem(&masks, &index);
    struct ebpf_port *in = bpf_map_lookup_elem(&ports, &number);

    return slot->n_steps == 1 && step->flags & EBPF_STEP_LAST && !(slot->flags & ~EBPF_FLOW_ONE_OUTPUT) && mask &&
           !mask->mask.tcp_flags && in && !(in->flags & EBPF_PORT_POLICED) && s->key.eth_type == T_IPV4 &&
           !s->key.vlan[0].tpid && !s->tags && !s->key.ip_frag &&
           (s->key.ip_proto == IP_PROTO_TCP || s->key.ip_proto == IP_PROTO_UDP) && s->l3 == s->base + EXACT_L3 &&
           s->l4 == s->base + EXACT_L4;
}

/* An entry for the packet, with all but what its tunnel asks for, or NULL. */
INLINE struct exact *exact_begin(struct __sk_buff *skb, const struct scratch *s, const struct ebpf_slot *slot,
                                 const struct ebpf_step *step)
{
    const struct flow_key *key = &s->key;
    const __be32 addr_pair[2] = {key->ip_src.be32[3], key->ip_dst.be32[3]};
    const __be16 port_pair[2] = {key->tp_src, key->tp_dst};
    __u64 addrs, now = bpf_ktime_get_coarse_ns();
    struct exact_place place;
    struct exact *e;
    __u32 ports;

    if (!exact_suits(s, slot, step)) {
        return NULL;
    }
    __builtin_memcpy(&addrs, addr_pair, sizeof(addrs));
    __builtin_memcpy(&ports, port_pair, sizeof(ports));
    if (!exact_place_of(addrs, ports, &place)) {
        return NULL;
    }
    e = exact_at(&place);
    if (!e || (*exact_tag(&place) & EXACT_HELD && !exact_is_own(&place) && e->expires_ns >= now &&
               e->generation == s->generation)) {
        return NULL;
    }
    *exact_tag(&place) = place.tag | EXACT_HELD;
    e->id = slot->id;
    e->expires_ns = now + EBPF_NEXTHOP_NS;
    e->slot = s->slot;
    e->generation = s->generation;
    e->ifindex = skb->ifindex;
    e->mark = key->pkt_mark;
    __builtin_memcpy(&e->eth0, &key->eth_dst, sizeof(key->eth_dst));
    __builtin_memcpy((__u8 *)&e->eth0 + sizeof(key->eth_dst), &key->eth_src, 2);
    __builtin_memcpy(&e->eth1, (const __u8 *)&key->eth_src + 2, 4);
    e->ports = ports;
    e->addrs = addrs;
    e->in_port = s->in_port;
    e->port = step->port;
    e->first = outer_first_of(false, key->ip_tos);
    e->ttl = key->ip_ttl;
    e->proto = key->ip_proto;
    e->flags = 0;
    e->base = s->base;
    e->tunnels = false;
    e->hash = key->dp_hash;
    return e;
}

#endif
