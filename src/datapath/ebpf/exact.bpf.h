/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_EXACT_BPF_H
#define WARREN_DATAPATH_EBPF_EXACT_BPF_H
/*
 * The exact-match cache: pairs of hosts whose packets need neither a key nor a list of steps.
 *
 * Problem: behind each system call a packet finds the processor's caches cold, and then it is not the work that costs
 * but how much code and data it touches. Idea: what most packets are is known beforehand: TCP or UDP, without tags in
 * it, options and fragments, of a flow that outputs it once, to a port or into a tunnel, behind a few edits at most
 * whose outcome those bytes tell (EBPF_FLOW_EXACT: Ethernet addresses, a tag, TTL, TOS). The whole way (parse(),
 * lookup(), run()) leaves an entry that holds the bytes by which such a packet is known again and how it leaves: for a
 * tunnel, the finished outer headers. The next packet is compared with these bytes where it lies (exact_run.bpf.h).
 * Whatever is not as an entry says, or as all entries demand, goes the whole way.
 *
 * Most flows do not look at ports of L4. So there is one entry for all connections of two hosts (of a protocol, a TOS,
 * a way to the next hop), which what is new in them finds, too. Where flows do look at ports, that entry says at which,
 * and behind it there is one for each of their values, or for each connection.
 *
 * Costs: 512 KiB a CPU. Where there are more pairs (or connections) than places, one that has none asks in vain, at the
 * cost of a look at an entry that is another's until that expires or is closed.
 * Invariants: each byte of a packet's headers is compared, or checked anew, or is none that the flow's mask and its
 * steps look at. An entry names the flow by slot and id, so it ends with the flow; it is of one generation of the
 * config, and lives no longer than EBPF_NEXTHOP_NS, which is less than a dead slot's quarantine.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

/* Beside TC actions and what comes of a step. */
#define EXACT_NONE (-4) /* no entry is the packet's */
#define EXACT_BUSY (-5) /* nor will there be one for now */

#define EXACT_LINE 32                          /* entries that lie together; a power of 2 */
#define EXACT_HEAD_MIN (2 * ETH_HLEN + 20 + 8) /* outer headers with the inner Ethernet header: GRE with a key */
#define EXACT_HEAD 88
#define EXACT_L3 ETH_HLEN

/* What an entry says of a frame's second 8 bytes, behind the Ethernet header: version, length and TOS, here of IPv6:
 * version and traffic class; and of the third: fragments or none, TTL and protocol; next header and hop limit. */
#define EXACT_SECOND_IP6 bpf_cpu_to_be64(0xfffffffffffffff0ull)
#define EXACT_THIRD_IP4 bpf_cpu_to_be64(0x3fffffffull)
#define EXACT_THIRD_IP6 bpf_cpu_to_be64(0xffff0000ull)
/* Of an outer IP header's first 8: all of these but for IPv4's TTL and protocol, which are behind them. */
#define EXACT_OUTER_IP4 bpf_cpu_to_be64(0xffff000000003fffull)
#define EXACT_OUTER_IP6 bpf_cpu_to_be64(0xfff000000000ffffull)

/* Of a tunnel's outer headers. */
#define EXACT_IPV6 1
#define EXACT_GRE 2
#define EXACT_SUM 4      /* OUT: small packets have a checksum in them; IN: this one had */
#define EXACT_NO_SUM 8   /* OUT: super-packets have none, though small ones have */
#define EXACT_FOLLOWS 16 /* OUT: has_risen() is to be asked */
#define EXACT_DF 32      /* OUT */
#define EXACT_VETH 64    /* to a port: EBPF_PORT_VETH */
#define EXACT_PEER 128   /* EBPF_PORT_PEER */
/* Of both. */
#define EXACT_HELD 256 /* the place is kept from others */
#define EXACT_TUNNELS 512
#define EXACT_SET_ETH 1024 /* what of `leaves` is not as it came */
#define EXACT_SET_IP 2048
#define EXACT_SET_VLAN 4096
#define EXACT_POLICED 8192 /* the port that it came by */

/* What edits may change of a frame. */
struct exact_frame {
    __u16 macs[6]; /* both, as in the frame */
    __u32 vlan;    /* exact_vlan() */
    __u8 tos, ttl;
    __u8 pad[6];
};

struct exact {
    __u32 tag;               /* exact_place_by() */
    __u32 vlan;              /* the tag beside the frame, by exact_vlan() */
    __u64 head[3];           /* the frame's first 24 bytes, but for what is not said (EXACT_SECOND_*, _THIRD_*) */
    __u64 addrs;             /* IPv4: both; IPv6: the first half of the source, and: */
    __u32 ports, ports_mask; /* where there are others behind it: those that tell them apart */
    __be16 type;
    __u8 proto;
    __u8 l4;             /* where in the frame it begins */
    __u16 flags;         /* EXACT_* */
    __u8 base;           /* of the frame; 0: by a port */
    __u8 head_len;       /* OUT: of the outer headers with the inner Ethernet header */
    __u32 ifindex, mark; /* by which the packet came, and with which */
    __u32 slot, generation;
    __u64 id; /* of the flow; 0: none, and there are others behind it, by ports */
    __u64 expires_ns;
    __u32 in_port, port;
    __u32 to;  /* ifindex where it goes out */
    __u32 mtu; /* there, for tunnels */
    union {
        struct {          /* OUT: into a tunnel */
            __u64 room;   /* flags of bpf_skb_adjust_room() */
            __u16 ip_sum; /* as in struct ebpf_tunnel */
            __u16 pad2;
            __u32 sum; /* of all that the outer checksum covers, but for exact_sum_rest() */
            __u8 outer[EXACT_HEAD];
        };
        struct {                  /* to a port, */
            struct eth_addr mac;  /* with EXACT_PEER: its other end's */
            __be16 udp_dst;       /* and IN: out of a tunnel */
            __u64 outer_head;     /* the outer IP header's first 8 bytes (EXACT_OUTER_*) */
            __u16 outer_ttl;      /* IPv4: TTL and protocol */
            __u64 outer_addrs[4]; /* IPv4: the first one */
            __u64 tunnel_header;
        };
    };
    __u64 addrs6[3]; /* the rest of the source, and the destination */
    struct exact_frame leaves;
};
_Static_assert(sizeof(struct exact) == 256, "no hidden padding");

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

/* Where an entry is or would be. */
struct exact_place {
    struct exact *e;
    __u32 tag, pair;
};

/* False: there are no places. */
INLINE bool exact_place_by(__u64 hash, struct exact_place *ret)
{
    __u32 index = hash >> 33 & (EBPF_EXACT_PLACES - 1), number = index / EXACT_LINE;
    struct exact_line *line = bpf_map_lookup_elem(&exacts, &number);

    ret->tag = hash >> 32 ^ hash << 2;
    if (!line) {
        return false;
    }
    ret->e = &line->entries[index & (EXACT_LINE - 1)];
    return true;
}

/* That of a pair: HOSTS by flow_hash_hosts(), PATH by exact_path_in() or exact_path_out(). */
INLINE bool exact_pair_place(__u64 hosts, __u64 path, struct exact_place *ret)
{
    __u64 hash = hosts + path * 0x9ddfea08eb382d69ull;

    /* The upper half of a sum of products depends on every bit. */
    hash = (hash ^ hash >> 32) * 0xc2b2ae3d27d4eb4full;
    ret->pair = hash >> 32;
    return exact_place_by(hash, ret);
}

/* From a pair's to one behind it. */
INLINE bool exact_place_behind(__u32 ports, struct exact_place *place)
{
    return exact_place_by((__u64)(place->pair ^ (ports & place->e->ports_mask)) * 0x9e3779b97f4a7c15ull, place);
}

/* A tag as one number; 0: there is none. TCI in host order. (The bit that flow keys say presence by is DEI's in
 * packets, so one that has it is no entry's.) */
INLINE __u32 exact_vlan(__be16 tpid, __u16 tci)
{
    return tpid ? (__u32)tpid << 16 | (tci & ~FLOW_VLAN_PRESENT) : 0;
}

INLINE __u32 exact_key_vlan(const struct flow_key *key)
{
    return exact_vlan(key->vlan[0].tpid, bpf_ntohs(key->vlan[0].tci));
}

/* What else tells packets of two hosts apart: which network they are in, as the TUNNEL_HEADER says or the port's
 * ifindex and the tag; their TOS; of those that leave (HASH: of the connection) the way to the next hop; and
 * super-packets, whose outer checksum is another matter. */
INLINE __u64 exact_path_in(const struct __sk_buff *skb, __u64 tunnel_header, __u8 tos)
{
    return tunnel_header ^ tos ^ (skb->gso_size ? 1 << 8 : 0);
}

INLINE __u64 exact_path_out(const struct __sk_buff *skb, __u32 vlan, __u8 tos, __u32 hash)
{
    return ((__u64)vlan << 32 ^ (__u64)skb->ifindex << 13) | (skb->gso_size ? 1 << 12 : 0) | tos << 4 |
           (hash & (EBPF_NEXTHOP_WAYS - 1));
}
_Static_assert(EBPF_NEXTHOP_WAYS == 1 << 4, "fits");

/* The entry at the place is its, or one's that cannot be told from it. */
INLINE bool exact_is_own(const struct exact_place *p)
{
    return p->e->tag == p->tag;
}

/* Of what the outer checksum covers, what differs from packet to packet: of the outer header UDP the source port and
 * the length, which is covered twice and, once the other way, by an inner IPv4 packet's own checksum; and the FIRST
 * word of an inner IPv6 header. */
INLINE __u64 exact_sum_rest(const struct w_udp *udp, bool ipv6, __u32 first)
{
    return (__u64)udp->src + udp->len + (ipv6 ? (__u64)udp->len + (first & 0xffff) + (first >> 16) : 0);
}

/* The packet known by S may have an entry: its flow, of MASK, looks at nothing that an entry does not compare. */
INLINE bool exact_suits(const struct scratch *s, const struct flow_key *mask)
{
    bool ipv4 = s->key.eth_type == T_IPV4;

    return !mask->tcp_flags && (ipv4 || (s->key.eth_type == T_IPV6 && !mask->ipv6_label)) && !s->key.vlan[1].tpid &&
           !s->tags && !s->key.ip_frag && (s->key.ip_proto == IP_PROTO_TCP || s->key.ip_proto == IP_PROTO_UDP) &&
           s->l3 == s->base + EXACT_L3 && s->l4 == s->l3 + (ipv4 ? 20 : 40);
}

/* By its port not everything may come. */
INLINE bool exact_is_policed(const struct scratch *s)
{
    __u32 number = s->in_port;
    struct ebpf_port *port = bpf_map_lookup_elem(&ports, &number);

    return port && port->flags & EBPF_PORT_POLICED;
}

/* It was taken a short while ago, and nothing has changed since. */
INLINE bool exact_is_fresh(const struct exact *e, __u32 generation, __u64 now)
{
    return e->expires_ns >= now && e->generation == generation;
}

/* Takes the entry at the place, or not: it is another's. */
INLINE bool exact_take(const struct exact_place *p, __u32 generation, __u64 now)
{
    struct exact *e = p->e;

    if (e->flags & EXACT_HELD && !exact_is_own(p) && exact_is_fresh(e, generation, now)) {
        return false;
    }
    e->tag = p->tag;
    e->flags = EXACT_HELD;
    e->id = 0;
    e->expires_ns = now + EBPF_NEXTHOP_NS;
    e->generation = generation;
    return true;
}

/* Takes the entry at the pair's place for one that stands before others, which PORTS_MASK tells apart, beside what did
 * so until now. */
INLINE bool exact_take_front(const struct exact_place *p, __u32 ports_mask, __u32 generation, __u64 now)
{
    __u32 before = exact_is_own(p) && !p->e->id && exact_is_fresh(p->e, generation, now) ? p->e->ports_mask : 0;

    if (!exact_take(p, generation, now)) {
        return false;
    }
    p->e->ports_mask = before | ports_mask;
    return true;
}

/* Which ports a flow of MASK looks at: the whole of either, so that there are few forms. */
INLINE __u32 exact_ports_mask(const struct flow_key *mask)
{
    const __u16 pair[2] = {mask->tp_src || mask->dp_hash ? 0xffff : 0, mask->tp_dst || mask->dp_hash ? 0xffff : 0};
    __u32 both;

    __builtin_memcpy(&both, pair, sizeof(both));
    return both;
}

/* The bytes by which frames like KEY's are known again (EXACT_SECOND_*, _THIRD_*). */
INLINE void exact_write_head(struct exact *e, const struct flow_key *key)
{
    struct w_eth *eth = (struct w_eth *)(void *)e->head;
    __u8 *b = (__u8 *)e->head;
    bool ipv4 = key->eth_type == T_IPV4;

    e->head[1] = e->head[2] = 0;
    *eth = (struct w_eth){.dst = key->eth_dst, .src = key->eth_src, .type = key->eth_type};
    b[14] = ipv4 ? 0x45 : 0x60 | key->ip_tos >> 4;
    b[15] = ipv4 ? key->ip_tos : key->ip_tos << 4;
    if (ipv4) {
        b[22] = key->ip_ttl;
        b[23] = key->ip_proto;
    } else {
        b[20] = key->ip_proto;
        b[21] = key->ip_ttl;
    }
}

INLINE bool exact_macs_differ(const struct exact_frame *leaves, const struct flow_key *key)
{
    const __u16 *came = (const __u16 *)(const void *)&key->eth_dst;
    __u16 differ = 0;

#pragma unroll
    for (int i = 0; i < (int)sizeof(leaves->macs) / 2; i++) {
        differ |= leaves->macs[i] ^ came[i];
    }
    return differ;
}

/* An entry for the packet, which is on PATH and LEAVES so, with all but where to, or NULL. */
INLINE struct exact *exact_begin(struct __sk_buff *skb, const struct scratch *s, const struct ebpf_slot *slot,
                                 const struct exact_frame *leaves, __u64 path)
{
    const struct flow_key *key = &s->key;
    const __be32 addr_pair[2] = {key->ip_src.be32[3], key->ip_dst.be32[3]};
    const __be16 port_pair[2] = {key->tp_src, key->tp_dst};
    __u32 index = slot->mask, ports, ports_mask;
    struct ebpf_mask *mask = bpf_map_lookup_elem(&masks, &index);
    bool ipv4 = key->eth_type == T_IPV4, policed = exact_is_policed(s);
    __u64 now = bpf_ktime_get_coarse_ns();
    struct exact_place place;
    struct exact *e;

    if (!mask || (policed && s->base) || !exact_suits(s, &mask->mask) ||
        !exact_pair_place(flow_hash_hosts(key->ip_src.u64, key->ip_dst.u64, key->ip_proto), path, &place)) {
        return NULL;
    }
    __builtin_memcpy(&ports, port_pair, sizeof(ports));
    ports_mask = exact_ports_mask(&mask->mask);
    if ((ports_mask &&
         (!exact_take_front(&place, ports_mask, s->generation, now) || !exact_place_behind(ports, &place))) ||
        !exact_take(&place, s->generation, now)) {
        return NULL;
    }
    e = place.e;
    exact_write_head(e, key);
    e->id = slot->id;
    e->slot = s->slot;
    e->ifindex = skb->ifindex;
    e->mark = key->pkt_mark;
    e->vlan = exact_key_vlan(key);
    e->ports = ports;
    e->ports_mask = ports_mask;
    if (ipv4) {
        __builtin_memcpy(&e->addrs, addr_pair, sizeof(addr_pair));
    } else {
        e->addrs = key->ip_src.u64[0];
        e->addrs6[0] = key->ip_src.u64[1];
        e->addrs6[1] = key->ip_dst.u64[0];
        e->addrs6[2] = key->ip_dst.u64[1];
    }
    e->in_port = s->in_port;
    e->type = key->eth_type;
    e->proto = key->ip_proto;
    e->l4 = s->l4 - s->base;
    e->base = s->base;
    e->leaves = *leaves;
    e->flags |= (exact_macs_differ(leaves, key) ? EXACT_SET_ETH : 0) |
                (leaves->tos != key->ip_tos || leaves->ttl != key->ip_ttl ? EXACT_SET_IP : 0) |
                (leaves->vlan != e->vlan ? EXACT_SET_VLAN : 0) | (policed ? EXACT_POLICED : 0);
    return e;
}

#endif
