/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_DECAP_BPF_H
#define WARREN_DATAPATH_EBPF_DECAP_BPF_H
/*
 * Tunnel packets on their way in: telling them from the host's own traffic, reading the outer headers, taking them off.
 *
 * outer_parse() only looks; a packet that is not (certainly) a tunnel packet of ours goes on into the host's stack,
 * which also reassembles fragments and hands what arrives for a tunnel's UDP port (or GRE) to the userspace datapath's
 * sockets. So everything rare needs no code here: outer fragments, IP options, GRE checksums, Geneve options that were
 * not seen before, lengths that are not the frame's, wrong IPv4 checksums, several packets that the kernel has merged.
 *
 * An outer UDP checksum is not verified: the inner packet has checksums of its own. The kernel tells BPF when a device
 * has verified it (bpf_csum_level()) or summed the packet up (bpf_csum_update()); where neither holds, somebody would
 * have to read the whole payload here, which is what costs.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/parse.bpf.h"

struct w_vxlan {
    __be32 flags, vni;
};
struct w_gre {
    __be16 flags, proto;
    __be32 key;
};
struct w_geneve {
    __u8 ver_optlen, flags;
    __be16 proto;
    __be32 vni;
};

#define OUTER_NONE 0 /* not ours: to the host's stack */
#define OUTER_DROP 1 /* counted */
#define OUTER_OK 2

/* The index of the tunnel port that takes KIND (GRE) or UDP packets to UDP_DST, or -1. */
INLINE int tunnel_find(struct ebpf_config *c, bool gre, __be16 udp_dst)
{
#pragma unroll /* the verifier (6.1) gives up on it as a loop */
    for (int i = 0; i < EBPF_TUNNELS_MAX; i++) {
        struct ebpf_tunnel_port *t = &c->tunnels[i];

        if (i >= c->n_tunnels) {
            break;
        }
        if (t->port && (gre ? t->kind == EBPF_GRE : t->kind != EBPF_GRE && t->udp_dst == udp_dst)) {
            return i;
        }
    }
    return -1;
}

INLINE int bad(struct scratch *s, __u32 port, __u32 reason)
{
    struct ebpf_port_stats *stats = bpf_map_lookup_elem(&port_stats, &port);

    if (stats) {
        stats->rx_dropped++;
    }
    count_drop(reason);
    return OUTER_DROP;
}

INLINE int outer_gre(struct __sk_buff *skb, struct scratch *s, __u32 ofs, __u32 port, __u32 *base)
{
    struct w_gre *gre = at(skb, ofs, 4);
    __u32 flags;

    if (!gre) {
        return bad(s, port, DROP_TUNNEL_TRUNCATED);
    }
    flags = bpf_ntohs(gre->flags);
    if (flags & ~0x2000u) {
        return OUTER_NONE; /* checksum, sequence number or rubbish: the slow path knows */
    }
    if (gre->proto != bpf_htons(0x6558)) {
        return OUTER_NONE;
    }
    *base = ofs + 4;
    if (flags & 0x2000) {
        gre = at(skb, ofs, sizeof(*gre));
        if (!gre) {
            return bad(s, port, DROP_TUNNEL_TRUNCATED);
        }
        s->key.tunnel.id = bpf_cpu_to_be64(bpf_ntohl(gre->key));
        s->key.tunnel.flags |= FLOW_TNL_KEY;
        *base += 4;
    }
    return OUTER_OK;
}

/* The options of the Geneve packet whose OPTS_LEN bytes of them begin at OFS. False: they were never seen. */
GLOBAL int outer_opts(struct __sk_buff *skb, __u32 ofs, __u32 opts_len)
{
    struct scratch *s = scratch_get(); /* no argument: before Linux 6.2 keys must be in a map or on the stack */
    struct ebpf_opts *key;
    struct ebpf_opts_id *found;

    if (!s) {
        return 0;
    }
    key = (struct ebpf_opts *)(void *)s->chunk;
    __builtin_memset(key, 0, sizeof(*key));
    key->len = opts_len;
    if (bpf_skb_load_bytes(skb, ofs, key->data, opts_bounded(opts_len))) {
        return 0;
    }
    found = bpf_map_lookup_elem(&opts_ids, key);
    if (!found) {
        return 0;
    }
    s->key.tunnel.opts_id = found->id;
    s->key.tunnel.flags |= found->flags;
    return 1;
}

INLINE int outer_udp(struct __sk_buff *skb, struct scratch *s, __u32 ofs, const struct ebpf_tunnel_port *t, __u32 *base)
{
    struct w_vxlan *vxlan = at(skb, ofs + 8, sizeof(*vxlan));
    struct w_geneve *geneve = (struct w_geneve *)(void *)vxlan;
    __u32 opts_len = 0;

    if (!vxlan) {
        return bad(s, t->port, DROP_TUNNEL_TRUNCATED);
    }
    if (t->kind == EBPF_VXLAN) {
        if (!(vxlan->flags & bpf_htonl(0x08000000))) {
            return bad(s, t->port, DROP_TUNNEL_BAD_HEADER);
        }
        s->key.tunnel.id = bpf_cpu_to_be64(bpf_ntohl(vxlan->vni) >> 8);
    } else {
        __u8 ver_optlen = geneve->ver_optlen, flags = geneve->flags;

        if (geneve->proto != bpf_htons(0x6558) || ver_optlen > 63) {
            return OUTER_NONE;
        }
        if (flags & 0x80) {
            s->key.tunnel.flags |= FLOW_TNL_OAM;
        }
        s->key.tunnel.id = bpf_cpu_to_be64(bpf_ntohl(geneve->vni) >> 8);
        opts_len = ver_optlen * 4;
        if (opts_len && !outer_opts(skb, ofs + 16, opts_len)) {
            return OUTER_NONE;
        }
        if (flags & 0x40 && !(s->key.tunnel.flags & FLOW_TNL_CRIT)) {
            return OUTER_NONE;
        }
    }
    s->key.tunnel.flags |= FLOW_TNL_KEY;
    *base = ofs + 16 + opts_len;
    return OUTER_OK;
}

/* This host has the address. The answer yes is kept until something changes. */
INLINE bool is_local(struct scratch *s, const struct ebpf_config *c, const struct ip_addr *addr)
{
    struct ip_addr a = *addr;             /* on the stack, as keys must be before Linux 6.2 */
    __u32 generation = c->generation + 1; /* of what is asked next, or older */

    barrier_var(generation);
    if (s->local_generation == generation && s->local.u64[0] == a.u64[0] && s->local.u64[1] == a.u64[1]) {
        return true;
    }
    if (!bpf_map_lookup_elem(&local_addrs, &a)) {
        return false;
    }
    s->local = a;
    s->local_generation = generation;
    return true;
}

/* The sum of an IPv4 header without options is right. */
INLINE bool ip4_sum_is_right(const struct w_ip4 *ip)
{
    const __u32 *w = (const __u32 *)(const void *)ip;
    __u64 sum = (__u64)w[0] + w[1] + w[2] + w[3] + w[4];

    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ((sum + (sum >> 16)) & 0xffff) == 0xffff;
}

/* What a header says of the bytes from OFS on is what there is: no padding, nothing missing. Those of super-packets are
 * made by the kernel, and may be zero. */
INLINE bool length_is_right(struct __sk_buff *skb, __u32 ofs, __be16 len)
{
    return skb->gso_size || bpf_ntohs(len) == skb->len - ofs;
}

/* The super-packet whose inner frame begins at BASE is that of one frame: its IP packet ends where it does. Else it is
 * several tunnel packets of one flow, which the kernel takes for mere UDP and has merged (rx-udp-gro-forwarding,
 * rx-gro-list; only those with a checksum): sockets get them apart. */
GLOBAL int is_one_frame(struct __sk_buff *skb, __u32 base)
{
    __u32 l3 = base + ETH_HLEN;
    __be16 type = 0, len = 0;

    for (int i = 0; i < 3; i++) {
        if (bpf_skb_load_bytes(skb, l3 - 2, &type, sizeof(type))) {
            return 0;
        }
        if (!is_vlan(type)) {
            break;
        }
        l3 += 4;
    }
    if ((type != T_IPV4 && type != T_IPV6) ||
        bpf_skb_load_bytes(skb, l3 + (type == T_IPV4 ? 2 : 4), &len, sizeof(len))) {
        return 0;
    }
    return !len || l3 + (type == T_IPV4 ? 0 : 40) + bpf_ntohs(len) == skb->len;
}

INLINE bool may_be_tunnel(__u8 proto)
{
    return proto == IP_PROTO_UDP || proto == IP_PROTO_GRE;
}

/* Packets of this device come without a link header. */
INLINE bool is_bare(const struct ebpf_config *c, __u32 ifindex)
{
    return c->bare >> (ifindex & 63) & 1 && link_of(ifindex) & EBPF_LINK_BARE;
}

/* RESULT of a tunnel packet that came without a link header; if it is ours it gets one, as all that follows expects. */
INLINE int dress_as_frame(struct __sk_buff *skb, struct scratch *s, int result)
{
    if (result == OUTER_OK && bpf_skb_change_head(skb, ETH_HLEN, 0)) {
        return bad(s, s->in_port, DROP_TUNNEL_BAD_HEADER);
    }
    s->base += ETH_HLEN;
    return result;
}

/* Reads a tunnel packet's outer headers into s->key, which is zero but for its tunnel then, s->in_port and s->base,
 * where the inner frame begins. After another answer than OUTER_OK the key is rubbish. Most that is not ours is told by
 * its protocol, before anything else is looked at. */
GLOBAL int outer_parse(struct __sk_buff *skb, struct scratch *s)
{
    struct ebpf_config *c = config_get();
    __be16 udp_dst = 0, udp_csum = 0;
    struct flow_tunnel *t;
    __u32 l3, ofs;
    __u8 proto;
    int i, result;

    if (!s || !c) {
        return OUTER_NONE;
    }
    t = &s->key.tunnel;
    if (skb->vlan_present || skb->pkt_type != PT_HOST) {
        return OUTER_NONE;
    }
    s->bare = is_bare(c, skb->ifindex);
    l3 = s->bare ? 0 : ETH_HLEN;
    if (skb->protocol == T_IPV4) {
        struct w_ip4 *ip;

        ofs = l3 + sizeof(*ip);
        make_linear(skb, ofs + 8);
        ip = at(skb, l3, sizeof(*ip));
        if (!ip || !may_be_tunnel(ip->proto) || ip->ver_ihl != 0x45 || ip->frag_off & bpf_htons(0x3fff) ||
            !length_is_right(skb, l3, ip->tot_len) || !ip4_sum_is_right(ip)) {
            return OUTER_NONE;
        }
        proto = ip->proto;
        __builtin_memset(&s->key, 0, sizeof(s->key));
        t->src.be16[5] = t->dst.be16[5] = 0xffff;
        t->src.be32[3] = ip->src;
        t->dst.be32[3] = ip->dst;
        t->tos = ip->tos;
        t->ttl = ip->ttl;
        s->outer_l3 = 0x0800;
    } else if (skb->protocol == T_IPV6) {
        struct w_ip6 *ip;

        ofs = l3 + sizeof(*ip);
        make_linear(skb, ofs + 8);
        ip = at(skb, l3, sizeof(*ip));
        if (!ip || !may_be_tunnel(ip->next) || bpf_ntohl(ip->ver_tc_flow) >> 28 != 6 ||
            !length_is_right(skb, ofs, ip->plen)) {
            return OUTER_NONE;
        }
        proto = ip->next;
        __builtin_memset(&s->key, 0, sizeof(s->key));
        t->src = ip->src;
        t->dst = ip->dst;
        t->tos = bpf_ntohl(ip->ver_tc_flow) >> 20;
        t->ttl = ip->hop_limit;
        s->outer_l3 = 0x86dd;
        s->outer_label = bpf_ntohl(ip->ver_tc_flow) & 0xfffff;
    } else {
        return OUTER_NONE;
    }
    if (proto == IP_PROTO_UDP) {
        struct w_udp *udp = at(skb, ofs, sizeof(*udp));

        if (!udp || !length_is_right(skb, ofs, udp->len)) {
            return OUTER_NONE;
        }
        udp_dst = udp->dst;
        udp_csum = udp->csum;
    }
    i = tunnel_find(c, proto == IP_PROTO_GRE, udp_dst);
    if (i < 0 || i >= EBPF_TUNNELS_MAX || c->guarded_in || !is_local(s, c, &t->dst)) {
        return OUTER_NONE;
    }
    s->tunnel = i;
    s->in_port = c->tunnels[i].port;
    if (udp_csum) {
        t->flags |= FLOW_TNL_CSUM;
    }
    make_linear(skb, ofs + 16);
    result = proto == IP_PROTO_GRE ? outer_gre(skb, s, ofs, s->in_port, &s->base)
                                   : outer_udp(skb, s, ofs, &c->tunnels[i], &s->base);
    if (result == OUTER_OK && skb->gso_size && udp_csum && !is_one_frame(skb, s->base)) {
        return OUTER_NONE;
    }
    return s->bare ? dress_as_frame(skb, s, result) : result;
}

/* Takes the BASE bytes before the inner frame off, whose header is ETH. The outer Ethernet header stays, and the inner
 * one is written over it; that is what bpf_skb_adjust_room() can do. INNER: EtherType (host order) of the inner packet
 * if it is IP in the other version's, 0: it is not. skb->protocol may be wrong afterwards. */
INLINE long take_off(struct __sk_buff *skb, const struct ebpf_config *c, const struct w_eth *eth, __u32 base,
                     __u32 inner)
{
    __u32 l3_len = skb->len - base - ETH_HLEN;
    __u64 flags = 0;

    if (inner && c->decap_l3 && l3_len >= (inner == 0x0800 ? 20 : 40)) {
        flags = inner == 0x0800 ? ADJ_ROOM_DECAP_L3_IPV4 : ADJ_ROOM_DECAP_L3_IPV6;
    }
    return shrink(skb, base, l3_len, flags) || bpf_skb_store_bytes(skb, 0, eth, sizeof(*eth), 0) ? -1 : 0;
}

/* Leaves the inner frame. 0 or not. */
GLOBAL int decap(struct __sk_buff *skb, struct scratch *s)
{
    struct ebpf_config *c = config_get();
    __u32 base, inner;
    struct w_eth eth;

    if (!c || !s) {
        return -1;
    }
    base = s->base;
    inner = bpf_ntohs(s->key.eth_type);
    eth = (struct w_eth){.dst = s->dst, .src = s->src, .type = s->eth_type};
    if (!s->tags && inner != s->outer_l3 && (inner == 0x0800 || inner == 0x86dd)) {
        s->outer_l3 = inner;
    } else {
        inner = 0;
    }
    if (take_off(skb, c, &eth, base, inner)) {
        return -1;
    }
    /* A super-packet would be cut as what skb->protocol says. Who takes a tag out of the frame is told by that. */
    if (!s->tags && bpf_ntohs(skb->protocol) != s->outer_l3 && tell_protocol(skb)) {
        return -1;
    }
    s->base = 0;
    s->l3 = s->l3 ? s->l3 - base : 0;
    s->l4 = s->l4 ? s->l4 - base : 0;
    s->mpls = s->mpls ? s->mpls - base : 0;
    return 0;
}

#endif
