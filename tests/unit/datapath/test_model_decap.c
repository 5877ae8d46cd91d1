/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnel packets that come in, right ones and with every field changed, one at a time: both datapaths must take the
 * same ones, with the same key and inner frame, and drop the others for the same reasons. Each change says what is to
 * come of it (by the tunnels' specifications, and the host's stack where the packet is not for a tunnel).
 */
#include "model_run.h"

#include "packet/tunnel_opts.h"

#define N_DECAP 2000 /* more by the environment: MODEL_PACKETS, with MODEL_SEED */

enum fate { TAKEN, MISSED /* with another key */, DROPPED, NOT_OURS };

/* One tunnel packet in the making: from its outer IP header on, then from its Ethernet header on, maybe in pieces. */
struct arrival {
    enum tunnel_type kind;
    bool v6;
    struct flow_tunnel tunnel; /* as the flow has it, and what is encapsulated with */
    struct flow_tunnel seen;   /* as the key is to have it */
    struct packet *inner, *p;
    enum fate fate;
    enum drop_reason why;
    struct packet *frames[2];
};

static struct ipv4_hdr *ip4(const struct arrival *a)
{
    return (struct ipv4_hdr *)(void *)a->p->data;
}

static struct ipv6_hdr *ip6(const struct arrival *a)
{
    return (struct ipv6_hdr *)(void *)a->p->data;
}

static size_t l4_ofs(const struct arrival *a)
{
    return a->v6 ? sizeof(struct ipv6_hdr) : sizeof(struct ipv4_hdr);
}

static uint8_t *l4(const struct arrival *a)
{
    return a->p->data + l4_ofs(a);
}

/* Behind UDP's header, or GRE's own. */
static uint8_t *hdr(const struct arrival *a)
{
    return l4(a) + (a->kind == TUNNEL_GRE ? 0 : sizeof(struct udp_hdr));
}

static void ip_sum(struct arrival *a)
{
    if (!a->v6) {
        ip4(a)->csum = 0;
        ip4(a)->csum = csum_finish(csum_bytes(0, ip4(a), (ip4(a)->ver_ihl & 15u) * 4u));
    }
}

/* UDP's checksum of LEN bytes, if there is one. */
static void udp_sum(struct arrival *a, size_t len)
{
    struct udp_hdr *udp = (struct udp_hdr *)(void *)l4(a);
    struct ip_addr src, dst;
    uint64_t sum;

    if (a->kind == TUNNEL_GRE || !udp->csum) {
        return;
    }
    if (a->v6) {
        src = ip6(a)->src;
        dst = ip6(a)->dst;
        sum = csum_pseudo6(&src, &dst, IP_PROTO_UDP, (uint32_t)len);
    } else {
        sum = csum_pseudo4(ip4(a)->src, ip4(a)->dst, IP_PROTO_UDP, (uint16_t)len);
    }
    udp->csum = 0;
    udp->csum = csum_finish(csum_bytes(sum, udp, len));
    udp->csum = udp->csum ? udp->csum : (__be16)0xffff;
}

/* GRE's, likewise. */
static void gre_sum(struct arrival *a)
{
    size_t len = a->p->len - l4_ofs(a);
    __be16 csum = 0;

    if (a->kind == TUNNEL_GRE && l4(a)[0] & 0x80) {
        memcpy(l4(a) + 4, &csum, 2);
        csum = csum_finish(csum_bytes(0, l4(a), len));
        memcpy(l4(a) + 4, &csum, 2);
    }
}

/* Lengths and checksums are right again. */
static void sum_up(struct arrival *a)
{
    size_t len = a->p->len - l4_ofs(a);

    if (a->v6) {
        ip6(a)->plen = htobe16((uint16_t)len);
    } else {
        ip4(a)->tot_len = htobe16((uint16_t)a->p->len);
    }
    ip_sum(a);
    if (a->kind != TUNNEL_GRE) {
        ((struct udp_hdr *)(void *)l4(a))->len = htobe16((uint16_t)len);
    }
    udp_sum(a, len);
    gre_sum(a);
}

static void insert(struct arrival *a, size_t at, const void *bytes, size_t len)
{
    uint8_t *data = packet_push(a->p, len);

    memmove(data, data + len, at);
    memcpy(data + at, bytes, len);
}

static void dropped(struct arrival *a, enum drop_reason why)
{
    a->fate = DROPPED;
    a->why = why;
}

/* --- changes: false where it does not apply --- */

static bool nothing(struct arrival *a WR_UNUSED)
{
    return true;
}

static bool other_id(struct arrival *a)
{
    if (a->kind == TUNNEL_GRE) {
        if (!(a->tunnel.flags & FLOW_TNL_KEY)) {
            return false;
        }
        l4(a)[(a->tunnel.flags & FLOW_TNL_CSUM ? 8 : 4) + 3] ^= 1;
    } else {
        hdr(a)[6] ^= 1;
    }
    a->seen.id ^= htobe64(1);
    sum_up(a);
    a->fate = MISSED;
    return true;
}

static bool other_source(struct arrival *a)
{
    a->seen.src = model_address(a->v6, 3);
    if (a->v6) {
        memcpy(&ip6(a)->src, &a->seen.src, 16);
    } else {
        ip4(a)->src = a->seen.src.be32[3];
    }
    sum_up(a);
    a->fate = MISSED;
    return true;
}

static bool to_another(struct arrival *a)
{
    struct ip_addr other = model_address(a->v6, 9);

    if (a->v6) {
        memcpy(&ip6(a)->dst, &other, 16);
    } else {
        ip4(a)->dst = other.be32[3];
    }
    sum_up(a);
    a->fate = NOT_OURS;
    return true;
}

static bool other_port(struct arrival *a)
{
    if (a->kind == TUNNEL_GRE) {
        return false;
    }
    l4(a)[2] ^= 0x40;
    sum_up(a);
    a->fate = NOT_OURS;
    return true;
}

static bool other_ip_fields(struct arrival *a)
{
    if (a->v6) {
        ip6(a)->ver_tc_flow = htobe32(0x60000000u | rnd(1u << 28));
        a->seen.tos = (uint8_t)(be32toh(ip6(a)->ver_tc_flow) >> 20);
        ip6(a)->hop_limit = a->seen.ttl = (uint8_t)(1 + rnd(255));
    } else {
        ip4(a)->tos = a->seen.tos = (uint8_t)rnd(256);
        ip4(a)->ttl = a->seen.ttl = (uint8_t)(1 + rnd(255));
        ip4(a)->id = htobe16((uint16_t)rnd(65536));
    }
    a->tunnel.tos = a->seen.tos;
    a->tunnel.ttl = a->seen.ttl;
    ip_sum(a);
    return true;
}

static bool vxlan_flags(struct arrival *a)
{
    if (a->kind != TUNNEL_VXLAN) {
        return false;
    }
    hdr(a)[0] = (uint8_t)(rnd(256) & ~0x08u);
    sum_up(a);
    dropped(a, DROP_TUNNEL_BAD_HEADER);
    return true;
}

static bool vxlan_reserved(struct arrival *a)
{
    if (a->kind != TUNNEL_VXLAN) {
        return false;
    }
    hdr(a)[0] = (uint8_t)(rnd(256) | 0x08);
    hdr(a)[1] = (uint8_t)rnd(256);
    hdr(a)[2] = (uint8_t)rnd(256);
    hdr(a)[3] = (uint8_t)rnd(256);
    hdr(a)[7] = (uint8_t)rnd(256);
    sum_up(a);
    return true;
}

static bool geneve_header(struct arrival *a)
{
    if (a->kind != TUNNEL_GENEVE) {
        return false;
    }
    switch (rnd(3)) {
    case 0:
        hdr(a)[0] |= (uint8_t)((1 + rnd(3)) << 6); /* version */
        break;
    case 1:
        hdr(a)[2] ^= 1; /* what is inside */
        break;
    default:
        hdr(a)[1] |= 0x40; /* a critical option, which is not there */
        break;
    }
    sum_up(a);
    dropped(a, DROP_TUNNEL_BAD_HEADER);
    return true;
}

static bool geneve_reserved(struct arrival *a)
{
    if (a->kind != TUNNEL_GENEVE) {
        return false;
    }
    hdr(a)[1] |= (uint8_t)(rnd(64) | (rnd(2) ? 0x80 : 0));
    hdr(a)[7] = (uint8_t)rnd(256);
    if (hdr(a)[1] & 0x80) {
        a->seen.flags |= FLOW_TNL_OAM;
        a->tunnel.flags |= FLOW_TNL_OAM;
    }
    sum_up(a);
    return true;
}

/* One option or two, from few sets, so that each comes the first time, and again. */
static bool geneve_options(struct arrival *a)
{
    uint8_t opts[] = {1, 2, (uint8_t)(3 + rnd(20)), 1, 5, 6, 7, 8, 1, 2, 4, 0};
    bool critical = !rnd(3);
    size_t len = rnd(2) ? 8 : 12;

    if (a->kind != TUNNEL_GENEVE) {
        return false;
    }
    opts[2] |= critical ? 0x80 : 0;
    insert(a, (size_t)(hdr(a) - a->p->data) + 8, opts, len);
    hdr(a)[0] = (uint8_t)(len / 4);
    hdr(a)[1] |= critical && rnd(2) ? 0x40 : 0;
    assert_int_equal(tunnel_opts_intern(opts, len, &a->seen.opts_id), 0);
    a->seen.flags |= critical ? FLOW_TNL_CRIT : 0;
    a->tunnel = a->seen;
    sum_up(a);
    return true;
}

static bool geneve_bad_options(struct arrival *a)
{
    uint8_t opts[] = {1, 2, 3, 1, 5, 6, 7, 8};

    if (a->kind != TUNNEL_GENEVE) {
        return false;
    }
    insert(a, (size_t)(hdr(a) - a->p->data) + 8, opts, sizeof(opts));
    if (rnd(2)) {
        hdr(a)[0] = 2;
        hdr(a)[8 + 3] = (uint8_t)(2 + rnd(30)); /* the option ends behind all of them */
        dropped(a, DROP_TUNNEL_BAD_HEADER);
    } else {
        hdr(a)[0] = 63;
        a->p->len = MIN(a->p->len, (size_t)(hdr(a) - a->p->data) + 8 + 200); /* which 252 bytes are not */
        dropped(a, DROP_TUNNEL_TRUNCATED);
    }
    sum_up(a);
    return true;
}

static bool gre_bad_header(struct arrival *a)
{
    if (a->kind != TUNNEL_GRE) {
        return false;
    }
    switch (rnd(3)) {
    case 0:
        l4(a)[1] |= (uint8_t)(1 + rnd(7)); /* version */
        break;
    case 1:
        l4(a)[0] |= (uint8_t)(rnd(2) ? 0x40 : 0x08); /* routing, strict source route, recursion control (RFC 1701) */
        l4(a)[0] |= 0x04;
        break;
    default:
        l4(a)[2] = 0x08;
        l4(a)[3] = 0;
        break;
    }
    sum_up(a);
    dropped(a, DROP_TUNNEL_BAD_HEADER);
    return true;
}

static bool gre_bad_sum(struct arrival *a)
{
    if (a->kind != TUNNEL_GRE || !(l4(a)[0] & 0x80)) {
        return false;
    }
    l4(a)[4] ^= 1;
    dropped(a, DROP_TUNNEL_BAD_CHECKSUM);
    return true;
}

static bool gre_sequence(struct arrival *a)
{
    size_t at = l4_ofs(a) + tunnel_hdr_len(a->kind, &a->tunnel, false);

    if (a->kind != TUNNEL_GRE) {
        return false;
    }
    insert(a, at, "\1\2\3\4", 4);
    l4(a)[0] |= 0x10;
    sum_up(a);
    return true;
}

/* RFC 2784, 2.3: bits 6 to 12 are to be ignored. */
static bool gre_reserved(struct arrival *a)
{
    if (a->kind != TUNNEL_GRE) {
        return false;
    }
    l4(a)[0] |= (uint8_t)rnd(4);
    l4(a)[1] |= (uint8_t)(rnd(32) << 3);
    sum_up(a);
    return true;
}

/* The packet ends in the tunnel's header, or in the inner Ethernet header. */
static bool ends_early(struct arrival *a)
{
    size_t from = a->kind == TUNNEL_GRE ? 0 : sizeof(struct udp_hdr);
    size_t whole = tunnel_hdr_len(a->kind, &a->tunnel, false) + sizeof(struct eth_hdr);

    if (a->kind == TUNNEL_GRE && a->tunnel.flags & FLOW_TNL_CSUM) {
        return false; /* which is wrong, or not there */
    }
    a->p->len = l4_ofs(a) + from + rnd((uint32_t)(whole - from));
    sum_up(a);
    dropped(a, DROP_TUNNEL_TRUNCATED);
    return true;
}

static bool ip_options(struct arrival *a)
{
    uint8_t nops[40];
    uint32_t words = 1 + rnd(10);

    if (a->v6) {
        return false;
    }
    memset(nops, 1, sizeof(nops));
    insert(a, sizeof(struct ipv4_hdr), nops, words * 4);
    ip4(a)->ver_ihl = (uint8_t)(0x45 + words);
    ip4(a)->tot_len = htobe16((uint16_t)(a->p->len));
    ip_sum(a);
    return true;
}

static bool ip_bad(struct arrival *a)
{
    if (a->v6) {
        ip6(a)->ver_tc_flow ^= htobe32(0x10000000u << rnd(3)); /* version */
        a->fate = NOT_OURS;
        return true;
    }
    switch (rnd(3)) {
    case 0:
        ip4(a)->csum ^= htobe16((uint16_t)(1u << rnd(16)));
        break;
    case 1:
        ip4(a)->ver_ihl ^= (uint8_t)(0x10 << rnd(4));
        ip_sum(a);
        break;
    default:
        ip4(a)->ver_ihl = (uint8_t)(0x40 + rnd(5));
        break;
    }
    a->fate = NOT_OURS;
    return true;
}

/* The IP header says that there is more than there is. */
static bool ip_too_long(struct arrival *a)
{
    uint16_t by = (uint16_t)(1 + rnd(100));

    if (a->v6) {
        ip6(a)->plen = htobe16((uint16_t)(be16toh(ip6(a)->plen) + by));
    } else {
        ip4(a)->tot_len = htobe16((uint16_t)(be16toh(ip4(a)->tot_len) + by));
        ip_sum(a);
    }
    a->fate = NOT_OURS;
    return true;
}

/* The link's padding behind the IP packet. */
static bool padded(struct arrival *a)
{
    uint8_t pad[60];
    size_t len = 1 + rnd(sizeof(pad)), had = a->p->len;
    struct packet *longer = packet_new(NULL, had + len);

    for (size_t i = 0; i < len; i++) {
        pad[i] = (uint8_t)rnd(256);
    }
    memcpy(longer->data, a->p->data, had);
    memcpy(longer->data + had, pad, len);
    packet_free(a->p);
    a->p = longer;
    return true;
}

/* UDP's length is less than IP's: the rest is not part of the datagram. */
static bool udp_shorter(struct arrival *a)
{
    size_t len = a->p->len - l4_ofs(a), by = 1 + rnd(20);

    if (a->kind == TUNNEL_GRE || a->inner->len < 24 + by) { /* who receives it drops what ends in a tag */
        return false;
    }
    ((struct udp_hdr *)(void *)l4(a))->len = htobe16((uint16_t)(len - by));
    udp_sum(a, len - by);
    a->inner->len -= by;
    return true;
}

static bool udp_longer(struct arrival *a)
{
    size_t len = a->p->len - l4_ofs(a);

    if (a->kind == TUNNEL_GRE) {
        return false;
    }
    ((struct udp_hdr *)(void *)l4(a))->len = htobe16((uint16_t)(len + 1 + rnd(100)));
    a->fate = NOT_OURS;
    return true;
}

/* RFC 6935: tunnels may do without. */
static bool udp_zero_sum(struct arrival *a)
{
    if (a->kind == TUNNEL_GRE) {
        return false;
    }
    ((struct udp_hdr *)(void *)l4(a))->csum = 0;
    return true;
}

static bool v6_extension(struct arrival *a)
{
    bool hop = rnd(2);
    uint8_t ext[] = {a->kind == TUNNEL_GRE ? IP_PROTO_GRE : IP_PROTO_UDP, 0, 1, 4, 0, 0, 0, 0}; /* PadN */

    if (!a->v6) {
        return false;
    }
    insert(a, sizeof(struct ipv6_hdr), ext, sizeof(ext));
    ip6(a)->next = hop ? IP_PROTO_HOPOPTS : IP_PROTO_DSTOPTS;
    ip6(a)->plen = htobe16((uint16_t)(a->p->len - sizeof(struct ipv6_hdr)));
    return true;
}

/* --- with an Ethernet header --- */

static struct packet *ethernet(const struct packet *p, bool v6)
{
    struct packet *frame = packet_clone(p);

    memcpy(packet_push(frame, 14), (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, v6 ? 0x86 : 8, v6 ? 0xdd : 0}, 14);
    return frame;
}

/* The N bytes from AT on of the outer packet's payload, as a fragment. */
static struct packet *fragment(const struct arrival *a, uint32_t id, size_t at, size_t n, bool more)
{
    struct packet *f = packet_new(NULL, l4_ofs(a) + (a->v6 ? 8 : 0) + n), *frame;
    struct arrival piece = {.v6 = a->v6, .p = f};

    memcpy(f->data, a->p->data, l4_ofs(a));
    memcpy(f->data + f->len - n, l4(a) + at, n);
    if (a->v6) {
        uint8_t *ext = f->data + sizeof(struct ipv6_hdr);
        __be32 be_id = htobe32(id);

        ext[0] = ip6(a)->next;
        ext[1] = 0;
        ext[2] = (uint8_t)(at >> 8);
        ext[3] = (uint8_t)(at | more);
        memcpy(ext + 4, &be_id, 4);
        ip6(&piece)->next = IP_PROTO_FRAGMENT;
        ip6(&piece)->plen = htobe16((uint16_t)(n + 8));
    } else {
        ip4(&piece)->tot_len = htobe16((uint16_t)f->len);
        ip4(&piece)->id = htobe16((uint16_t)id);
        ip4(&piece)->frag_off = htobe16((uint16_t)(at / 8 | (more ? IPV4_MF : 0)));
        ip_sum(&piece);
    }
    frame = ethernet(f, a->v6);
    packet_free(f);
    return frame;
}

static bool fragments(struct arrival *a)
{
    size_t len = a->p->len - l4_ofs(a), first = 8 + 8 * (size_t)rnd((uint32_t)(len / 8 - 1));
    static uint32_t id;

    if (first >= len) {
        return false;
    }
    id++;
    a->frames[0] = fragment(a, id, 0, first, true);
    a->frames[1] = fragment(a, id, first, len - first, false);
    return true;
}

/* To a VLAN of the uplink's device, or to somebody else's address. */
static bool other_ethernet(struct arrival *a)
{
    a->frames[0] = ethernet(a->p, a->v6);
    if (rnd(2)) {
        twin_insert(a->frames[0], 12, "\x81\0\0\7");
    } else {
        a->frames[0]->data[5] ^= 4;
    }
    a->fate = NOT_OURS;
    return true;
}

static const struct {
    const char *name;
    bool (*fn)(struct arrival *a);
} changes[] = {
#define CHANGE(X)                                                                                                      \
    {                                                                                                                  \
#X, X                                                                                                          \
    }
    CHANGE(nothing),        CHANGE(other_id),        CHANGE(other_source),   CHANGE(to_another),
    CHANGE(other_port),     CHANGE(other_ip_fields), CHANGE(vxlan_flags),    CHANGE(vxlan_reserved),
    CHANGE(geneve_header),  CHANGE(geneve_reserved), CHANGE(geneve_options), CHANGE(geneve_bad_options),
    CHANGE(gre_bad_header), CHANGE(gre_bad_sum),     CHANGE(gre_sequence),   CHANGE(gre_reserved),
    CHANGE(ends_early),     CHANGE(ip_options),      CHANGE(ip_bad),         CHANGE(ip_too_long),
    CHANGE(padded),         CHANGE(udp_shorter),     CHANGE(udp_longer),     CHANGE(udp_zero_sum),
    CHANGE(v6_extension),   CHANGE(fragments),       CHANGE(other_ethernet),
};

/* --- rounds --- */

static void arrival_done(struct arrival *a)
{
    packet_free(a->inner);
    packet_free(a->p);
    packet_free(a->frames[0]);
    packet_free(a->frames[1]);
}

static void arrival_begin(struct arrival *a)
{
    struct model_packet in;

    random_packet(&in, false);
    *a = (struct arrival){.kind = (enum tunnel_type)rnd(N_TUNNEL_TYPES), .v6 = rnd(2), .inner = in.p};
    a->tunnel = (struct flow_tunnel){.id = htobe64(5),
                                     .src = model_address(a->v6, 2),
                                     .dst = model_address(a->v6, 1),
                                     .flags = (uint16_t)(FLOW_TNL_KEY | (rnd(2) ? FLOW_TNL_CSUM : 0)),
                                     .tos = (uint8_t)(rnd(2) * 4),
                                     .ttl = 64};
    if (a->kind == TUNNEL_GRE && !rnd(4)) {
        a->tunnel.flags &= (uint16_t)~FLOW_TNL_KEY;
        a->tunnel.id = 0;
    }
    a->seen = a->tunnel;
    a->p = packet_clone(a->inner);
    tunnel_push(a->p, a->kind, &a->tunnel, (uint16_t)(40000 + rnd(1000)), model_udp_dst[a->kind], true);
}

/* A random packet with a change that is possible for it. */
static const char *random_arrival(struct arrival *a)
{
    for (;;) {
        size_t i = rnd(ARRAY_SIZE(changes));

        arrival_begin(a);
        if (changes[i].fn(a)) {
            a->frames[0] = a->frames[0] ? a->frames[0] : ethernet(a->p, a->v6);
            return changes[i].name;
        }
        arrival_done(a);
    }
}

static const struct dp_action to_out = {DP_ACTION_OUTPUT, sizeof(to_out), PORT_OUT};

static void arrival_key(const struct arrival *a, const struct flow_tunnel *tunnel, struct flow_key *key,
                        struct flow_key *mask)
{
    _cleanup_(packet_freep) struct packet *p = packet_clone(a->inner);

    p->in_port = dp_port(PORT_TUNNEL + a->kind);
    p->tunnel = *tunnel;
    flow_key_extract(p, key);
    memset(mask, 0xff, sizeof(*mask));
    mask->tunnel.flags &= (uint16_t) ~(FLOW_TNL_CSUM | FLOW_TNL_DF);
    flow_key_and(key, key, mask);
}

static bool key_is(const struct flow_key *have_key, const struct flow_key *key, const struct flow_key *mask)
{
    struct flow_key masked;

    flow_key_and(&masked, have_key, mask);
    return !memcmp(&masked, key, sizeof(masked));
}

/* What the twin says to A. */
static void twin_arrival(const struct arrival *a)
{
    struct twin t = {.p = a->inner};

    outputs_clear(&want);
    memset(want_drops, 0, sizeof(want_drops));
    if (a->fate == TAKEN) {
        twin_run(&t, &to_out, sizeof(to_out));
    } else if (a->fate == DROPPED) {
        want_drops[a->why]++;
    }
}

static bool arrives(struct world *w, const struct arrival *a)
{
    static const struct virtio_net_hdr plain;
    struct flow_key key, mask, seen;
    struct dp_flow flow = {
        .id = next_flow_id++, .key = &key, .mask = &mask, .actions = &to_out, .actions_len = sizeof(to_out)};
    unsigned int misses = a->fate == MISSED;
    int64_t since = time_mono_ms();
    unsigned int n = 0;
    bool same;

    arrival_key(a, &a->tunnel, &key, &mask);
    arrival_key(a, &a->seen, &seen, &mask);
    world_enter(w);
    assert_int_equal(dp_flow_put(w->dp, &flow), 0);
    drops_note(w);
    w->n_misses = 0;
    outputs_clear(&have);
    for (size_t i = 0; i < 2 && a->frames[i]; i++) {
        assert_true(world_transmit(w, true, &plain, a->frames[i]->data, a->frames[i]->len));
    }
    do {
        world_turn(w);
        world_read(w);
    } while ((have.n < want.n || w->n_misses < misses || !same_drops(w)) && world_wait(n++, since));
    world_turn(w);
    world_read(w);
    same = same_outputs(true, false) && same_drops(w) && w->n_misses == misses &&
           (!misses || key_is(&w->missed, &seen, &mask));
    assert_int_equal(dp_flow_del(w->dp, flow.id, NULL), 0);
    if (w->is_fast) {
        ebpf_flows_tick(eb_of(w->dp)->flows, INT64_MAX);
    }
    return same;
}

static void tell_arrival(struct world *w, const struct arrival *a, const char *change)
{
    static const char *const fates[] = {"taken", "missed", "dropped", "not ours"};

    print_message("%s differs: %s of %s over IPv%d: should be %s; %u misses\n  packet:", w->class, change,
                  tunnel_type_name(a->kind), a->v6 ? 6 : 4, fates[a->fate], w->n_misses);
    tell_bytes(a->frames[0]->data, a->frames[0]->len);
    print_message("\n");
    tell_drops(w);
    tell_outputs("want", &want);
    tell_outputs("have", &have);
}

static void test_arrivals(void **state WR_UNUSED)
{
    unsigned int n_packets = model_setting("MODEL_PACKETS", N_DECAP), n = 0, told = 0;

    NEEDS_BPF;
    seed = model_setting("MODEL_SEED", 1);
    for (unsigned int i = 0; i < n_packets; i++) {
        struct arrival a;
        const char *change = random_arrival(&a);

        twin_arrival(&a);
        for (size_t k = 0; k < WORLDS; k++) {
            if (arrives(&worlds[k], &a)) {
                n++;
            } else if (told++ < 8) {
                tell_arrival(&worlds[k], &a, change);
            }
        }
        arrival_done(&a);
    }
    print_message("agreed %u\n", n);
    assert_int_equal(n, n_packets * WORLDS);
}

/* A twin that expects something else of any kind is noticed. */
static void test_planted(void **state WR_UNUSED)
{
    unsigned int noticed[4] = {0};

    NEEDS_BPF;
    patience_ms = 10;
    for (unsigned int i = 0; i < 40; i++) {
        struct arrival a;

        random_arrival(&a);
        switch (a.fate) {
        case TAKEN:
            a.inner->data[a.inner->len - 1] ^= 1;
            break;
        case MISSED:
            a.seen.id ^= htobe64(4);
            break;
        case DROPPED:
            a.why = a.why == DROP_TUNNEL_TRUNCATED ? DROP_TUNNEL_BAD_HEADER : DROP_TUNNEL_TRUNCATED;
            break;
        case NOT_OURS:
            a.fate = DROPPED;
            a.why = DROP_TUNNEL_TRUNCATED;
            break;
        }
        twin_arrival(&a);
        noticed[a.fate] += !arrives(&worlds[i % WORLDS], &a);
        arrival_done(&a);
    }
    assert_true(noticed[TAKEN] && noticed[MISSED] && noticed[DROPPED]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrivals),
        cmocka_unit_test(test_planted),
    };

    return cmocka_run_group_tests(tests, worlds_setup, worlds_teardown);
}
