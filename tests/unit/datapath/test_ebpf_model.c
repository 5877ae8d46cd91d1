/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random action lists on devices: what leaves by two ports and by the underlay must be what a naive twin makes of the
 * same packet and list. Packets come in by a port or out of a tunnel, with and without tags, checksums that are left to
 * the device, and as super-packets; lists have edits, tags, clones, cuts, and tunnels of all forms. What the programs
 * leave to user space is not looked at, but must be the smaller part.
 */
#include "ebpf_devices.h"

#include "datapath/ebpf/detour.h"
#include "datapath/format.h"

#define PORT_OUT2 (PORT_TUNNEL + 3)
#define N_PACKETS 20000
#define OUTPUTS_MAX 64
#define FRAME_MAX 4000

struct output {
    uint32_t port;
    struct flow_tunnel tunnel; /* what identifies it: addresses, id, tos, ttl */
    bool taken;                /* for one that was wanted */
    size_t len;
    uint8_t bytes[FRAME_MAX];
};

struct outputs {
    size_t n;
    struct output o[OUTPUTS_MAX];
};

struct list {
    size_t len;
    uint8_t b[4096] __attribute__((aligned(8)));
};

static struct devices ports;   /* in1, out1 */
static struct devices second;  /* out3 */
static struct devices outside; /* und1 */
static struct outputs want, have;
static bool sums_are_right; /* those of the packet in hand */
static bool planted;        /* a fault in the maps */
static struct ebpf_detour *detour;

/* --- the twin --- */

struct twin {
    struct packet *p;
    struct flow_tunnel tunnel;
    uint32_t trunc;
};

static void twin_output(const struct twin *t, uint32_t port)
{
    _cleanup_(packet_freep) struct packet *sent = packet_clone(t->p);
    struct output *o = &want.o[want.n++];

    assert_in_range(want.n, 1, OUTPUTS_MAX);
    assert_in_range(sent->len, 1, FRAME_MAX);
    assert_int_equal(packet_complete_csum(sent), 0);
    *o = (struct output){.port = port, .len = t->trunc && t->trunc < sent->len ? t->trunc : sent->len};
    if (port >= PORT_TUNNEL && port < PORT_OUT2) {
        o->tunnel = t->tunnel;
        o->tunnel.flags &= FLOW_TNL_KEY;
    }
    memcpy(o->bytes, sent->data, o->len);
}

static void twin_set(struct packet *p, const struct dp_action_set *set)
{
    set_in_user_space(p, set);
    if (set->h.arg & DP_SET_VLAN) {
        assert_int_equal(packet_set_vlan(p, &set->key, &set->mask), 0);
    }
}

static void twin_run(struct twin *t, const void *actions, size_t len)
{
    DP_ACTION_FOR_EACH(a, actions, len) {
        switch ((enum dp_action_type)a->type) {
        case DP_ACTION_OUTPUT:
            twin_output(t, a->arg);
            t->trunc = 0;
            break;
        case DP_ACTION_SET_TUNNEL:
            t->tunnel = ((const struct dp_action_tunnel *)(const void *)a)->tunnel;
            break;
        case DP_ACTION_PUSH_VLAN:
            assert_int_equal(packet_push_vlan(t->p, ((const struct dp_action_vlan *)(const void *)a)->vlan), 0);
            break;
        case DP_ACTION_POP_VLAN:
            assert_int_equal(packet_pop_vlan(t->p), 0);
            break;
        case DP_ACTION_SET:
            twin_set(t->p, (const struct dp_action_set *)(const void *)a);
            break;
        case DP_ACTION_TRUNC:
            t->trunc = a->arg;
            break;
        case DP_ACTION_CLONE: {
            _cleanup_(packet_freep) struct packet *copy = packet_clone(t->p);
            struct twin inner = {copy, t->tunnel, t->trunc};

            twin_run(&inner, a + 1, a->len - sizeof(*a));
            break;
        }
        default:
            fail();
        }
    }
}

/* --- random packets --- */

/* N_TAGS tags behind P's addresses. */
static void tag_packet(struct packet *p, unsigned int n_tags)
{
    for (; n_tags; n_tags--) {
        uint8_t *f = packet_push(p, 4);

        memmove(f, f + 4, 12);
        memcpy(f + 12, rnd(4) ? "\x81\x00" : "\x88\xa8", 2);
        f[14] = (uint8_t)(rnd(2) ? 0 : rnd(256));
        f[15] = (uint8_t)rnd(256);
    }
}

static struct packet *random_packet(struct virtio_net_hdr *h)
{
    struct builder b;
    struct packet *p;
    uint8_t proto = rnd(2) ? IP_PROTO_UDP : IP_PROTO_TCP;
    bool v6 = rnd(2), super = proto == IP_PROTO_TCP && !rnd(4);

    *h = (struct virtio_net_hdr){0};
    sums_are_right = rnd(3);
    if (!sums_are_right) {
        do {
            random_frame(&b);
        } while (b.n < 60);
        return packet_new(b.b, b.n);
    }
    p = unfinished(proto, v6, super ? 1500 + rnd(2000) : 74 + rnd(1000), h);
    if (super) {
        h->gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        h->gso_size = 700;
        h->hdr_len = (uint16_t)(h->csum_start + 20);
    } else if (rnd(2)) {
        assert_int_equal(packet_complete_csum(p), 0);
        h->flags = 0;
        h->csum_start = h->csum_offset = 0;
    }
    tag_packet(p, rnd(2) ? 0 : rnd(3));
    if (h->flags) {
        h->hdr_len = (uint16_t)(h->hdr_len ? h->hdr_len + p->offload.csum_start - h->csum_start : 0);
        h->csum_start = p->offload.csum_start;
    }
    return p;
}

/* --- random lists --- */

static void *list_add(struct list *l, enum dp_action_type type, size_t len, uint32_t arg)
{
    struct dp_action *a = (struct dp_action *)(void *)(l->b + l->len);

    assert_in_range(l->len + len, 1, sizeof(l->b));
    memset(a, 0, len);
    *a = (struct dp_action){(uint16_t)type, (uint16_t)len, arg};
    l->len += len;
    return a;
}

static void random_output(struct list *l)
{
    struct dp_action_tunnel *set;
    bool v6 = !rnd(3);

    if (rnd(2)) {
        list_add(l, DP_ACTION_OUTPUT, sizeof(struct dp_action), rnd(2) ? PORT_OUT : PORT_OUT2);
        return;
    }
    set = list_add(l, DP_ACTION_SET_TUNNEL, sizeof(*set), 0);
    set->tunnel = (struct flow_tunnel){.id = htobe64(1 + rnd(3)),
                                       .src = address(v6, 1),
                                       .dst = address(v6, 2),
                                       .flags = (uint16_t)(FLOW_TNL_KEY | (rnd(2) ? FLOW_TNL_DF : 0)),
                                       .tos = (uint8_t)(rnd(2) * 4),
                                       .ttl = 64};
    list_add(l, DP_ACTION_OUTPUT, sizeof(struct dp_action), PORT_TUNNEL + rnd(3));
}

static void random_set(struct list *l, const struct flow_key *key, unsigned int n_tags)
{
    struct dp_action_set *set = list_add(l, DP_ACTION_SET, sizeof(*set), DP_SET_ETH);
    uint8_t *bytes = (uint8_t *)&set->key;

    for (size_t i = 0; i < sizeof(set->key) + sizeof(set->mask); i++) {
        bytes[i] = (uint8_t)rnd(256);
    }
    if (key->eth_type == htobe16(ETH_TYPE_IPV4) && key->ip_ttl) {
        set->h.arg |= DP_SET_IPV4;
        set->mask.ip_src = (struct ip_addr){0};
    } else if (key->eth_type == htobe16(ETH_TYPE_IPV6) && key->ip_ttl) {
        set->h.arg |= DP_SET_IPV6;
        set->mask.ipv6_label &= htobe32(0xfffff);
    }
    if ((key->ip_proto == IP_PROTO_TCP || key->ip_proto == IP_PROTO_UDP) && key->tp_src && !key->ip_frag) {
        set->h.arg |= DP_SET_TP;
    }
    if (n_tags && rnd(2)) {
        set->h.arg |= DP_SET_VLAN;
    }
    flow_key_and(&set->key, &set->key, &set->mask);
}

static void random_actions(struct list *l, const struct flow_key *key, unsigned int n_tags, bool nested)
{
    for (uint32_t n = 1 + rnd(4); n; n--) {
        struct dp_action *clone;
        size_t at = l->len;

        switch (rnd(8)) {
        case 0:
            if (n_tags < 2) {
                struct dp_action_vlan *push = list_add(l, DP_ACTION_PUSH_VLAN, sizeof(*push), 0);

                push->vlan = (struct flow_vlan){htobe16(rnd(4) ? ETH_TYPE_VLAN : ETH_TYPE_SVLAN),
                                                htobe16((uint16_t)((rnd(65536) & 0xefff) | FLOW_VLAN_PRESENT))};
                n_tags++;
            }
            break;
        case 1:
            if (n_tags) {
                list_add(l, DP_ACTION_POP_VLAN, sizeof(struct dp_action), 0);
                n_tags--;
            }
            break;
        case 2:
            random_set(l, key, n_tags);
            break;
        case 3:
            if (!nested) {
                list_add(l, DP_ACTION_CLONE, sizeof(*clone), 0);
                random_actions(l, key, n_tags, true);
                clone = (struct dp_action *)(void *)(l->b + at);
                clone->len = (uint16_t)(l->len - at);
            }
            break;
        case 4:
            list_add(l, DP_ACTION_TRUNC, sizeof(struct dp_action), 14 + rnd(200));
            random_output(l);
            break;
        default:
            random_output(l);
            break;
        }
    }
    random_output(l);
}

/* --- what leaves --- */

/* The next frame of SOCKET, whole: its checksum completed, with the tag that the kernel tells apart. 0: none. */
static size_t read_frame(int socket, uint8_t *frame, size_t size, int patience)
{
    struct pollfd poll_for = {.fd = socket, .events = POLLIN};
    union {
        struct cmsghdr align;
        char b[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    } control;
    struct virtio_net_hdr h;
    struct iovec iov[] = {{&h, sizeof(h)}, {frame, size - 4}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)};
    const struct tpacket_auxdata *aux;
    ssize_t n;

    if (!poll(&poll_for, 1, patience)) {
        return 0;
    }
    n = recvmsg(socket, &msg, 0);
    assert_true(n > (ssize_t)sizeof(h));
    n -= (ssize_t)sizeof(h);
    finish_checksum(&h, frame, (size_t)n);
    assert_non_null(CMSG_FIRSTHDR(&msg));
    aux = (const struct tpacket_auxdata *)(const void *)CMSG_DATA(CMSG_FIRSTHDR(&msg));
    if (aux->tp_status & TP_STATUS_VLAN_VALID) {
        uint16_t tag[] = {htobe16(aux->tp_vlan_tpid), htobe16(aux->tp_vlan_tci)};

        memmove(frame + 16, frame + 12, (size_t)n - 12);
        memcpy(frame + 12, tag, sizeof(tag));
        n += 4;
    }
    return (size_t)n;
}

static void read_port(int socket, uint32_t port, size_t n)
{
    size_t i = 0;

    for (;; i++) {
        struct output *o = &have.o[have.n];

        *o = (struct output){.port = port};
        o->len = read_frame(socket, o->bytes, sizeof(o->bytes), i < n ? 200 : 0);
        if (!o->len) {
            return;
        }
        have.n++;
        assert_in_range(have.n, 1, OUTPUTS_MAX - 1);
    }
}

/* N tunnel packets, whose checksums are looked at, too. */
static void read_underlay(size_t n)
{
    static uint8_t frame[FRAME_MAX + 200];
    size_t len;

    for (size_t i = 0; (len = read_frame(outside.receive, frame, sizeof(frame), i < n ? 200 : 0));) {
        struct output *o = &have.o[have.n];
        bool v6 = frame[12] == 0x86;
        uint8_t proto = frame[v6 ? 20 : 23];
        size_t l4 = v6 ? 54 : 34, hdr_len;
        enum drop_reason why;
        uint8_t kind;

        if (frame[0] & 1 || (frame[12] != 8 && !v6) || (proto != IP_PROTO_UDP && proto != IP_PROTO_GRE)) {
            continue; /* the host's own */
        }
        kind = proto == IP_PROTO_GRE ? EBPF_GRE : frame[l4 + 2] == 4789 >> 8 ? EBPF_VXLAN : EBPF_GENEVE;
        *o = (struct output){.port = PORT_TUNNEL + kind};
        why = parse_outer(kind, frame, len, &o->tunnel, &hdr_len);
        if (why == DROP_TUNNEL_BAD_CHECKSUM && !sums_are_right) {
            o->len = SIZE_MAX; /* which was made of the inner one */
            have.n++;
            i++;
            continue;
        }
        assert_int_equal(why, DROP_NONE);
        o->tunnel.flags &= FLOW_TNL_KEY;
        o->len = len - 14 - hdr_len;
        assert_in_range(o->len, 1, FRAME_MAX);
        memcpy(o->bytes, frame + 14 + hdr_len, o->len);
        have.n++;
        assert_in_range(have.n, 1, OUTPUTS_MAX - 1);
        i++;
    }
}

static size_t n_wanted(uint32_t from, uint32_t to)
{
    size_t n = 0;

    for (size_t i = 0; i < want.n; i++) {
        n += want.o[i].port >= from && want.o[i].port < to;
    }
    return n;
}

static bool same_output(const struct output *a, const struct output *b)
{
    return a->port == b->port && a->len == b->len && !memcmp(&a->tunnel, &b->tunnel, sizeof(a->tunnel)) &&
           !memcmp(a->bytes, b->bytes, a->len);
}

/* Takes what is wanted as I out of what there is. SEEN: of the frame, not of the port alone (len SIZE_MAX). */
static bool take_output(size_t i, bool seen)
{
    for (size_t k = 0; k < have.n; k++) {
        struct output *o = &have.o[k];

        if (!o->taken && (seen ? same_output(&want.o[i], o) : o->len == SIZE_MAX && o->port == want.o[i].port)) {
            o->taken = true;
            return true;
        }
    }
    return false;
}

/* The same frames, whatever their order. */
static bool same_outputs(void)
{
    bool taken[OUTPUTS_MAX];

    for (size_t i = 0; i < want.n; i++) {
        taken[i] = take_output(i, true);
    }
    for (size_t i = 0; i < want.n; i++) {
        if (!taken[i] && !take_output(i, false)) {
            return false;
        }
    }
    return want.n == have.n;
}

static void tell_outputs(const char *who, const struct outputs *all)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct output *o = &all->o[i];
        _cleanup_strbuf_ struct strbuf b = {0};

        for (size_t k = 0; k < MIN(o->len, 64); k++) {
            strbuf_addf(&b, "%02x", o->bytes[k]);
        }
        print_message("  %s: port %u, %s, tunnel id %u, %zu bytes: %s\n", who, o->port,
                      ip_addr_is_v4mapped(&o->tunnel.dst) ? "IPv4" : "IPv6", (unsigned int)be64toh(o->tunnel.id),
                      o->len, strbuf_str(&b));
    }
}

static void tell(const struct list *l, const struct flow_key *key, const struct virtio_net_hdr *h)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    struct flow_key mask;

    memset(&mask, 0xff, sizeof(mask));
    dp_key_format(key, &mask, &b);
    strbuf_add(&b, "\n  actions: ");
    dp_actions_format(l->b, l->len, &b);
    print_message("eBPF differs: %s\n  checksum %s, segments of %u\n", strbuf_str(&b), h->flags ? "left" : "there",
                  h->gso_size);
    tell_outputs("want", &want);
    tell_outputs("have", &have);
}

/* --- the comparison --- */

/* P in a tunnel's packet that arrives at the uplink. */
static struct packet *wrapped(const struct packet *p, uint8_t kind, bool v6, struct flow_tunnel *ret_tunnel)
{
    struct flow_tunnel tunnel = {
        .id = htobe64(5), .src = address(v6, 2), .dst = address(v6, 1), .flags = FLOW_TNL_KEY, .ttl = 64};
    struct packet *outer = packet_clone(p);
    size_t hdr_len;
    uint8_t *eth;

    tunnel_push(outer, tunnel_types[kind], &tunnel, 40000, tunnel_udp_dst(kind), true);
    assert_int_equal(
        tunnel_parse(tunnel_types[kind], outer->data, outer->len, tunnel_udp_dst(kind), ret_tunnel, &hdr_len),
        DROP_NONE);
    eth = packet_push(outer, 14);
    memcpy(eth, (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, v6 ? 0x86 : 8, v6 ? 0xdd : 0}, 14);
    return outer;
}

/* Behind everybody's back tunnels get another id. */
static void spoil_tunnels(void)
{
    for (uint32_t i = 0; i < EBPF_SLOTS_MAX; i++) {
        for (size_t k = 0; maps.slots[i].live && k < EBPF_STEPS_INLINE; k++) {
            struct ebpf_step *step = &maps.slots[i].steps[k];

            if (step->op == EBPF_OP_TUNNEL) {
                step->u.tunnel.id ^= htobe64(8);
            }
        }
    }
}

/* Puts the flow, sends P, and reads what leaves. False: user space had to do some of it. */
static bool by_programs(const struct list *l, const struct flow_key *key, const struct devices *from,
                        const struct virtio_net_hdr *h, const struct packet *sent)
{
    struct flow_key mask, masked;

    memset(&mask, 0xff, sizeof(mask));
    flow_key_and(&masked, key, &mask);
    put_flow(SENDS, &masked, &mask, l->b, l->len, 0);
    if (planted) {
        spoil_tunnels();
    }
    last_upcall.kind = 0;
    have.n = 0;
    transmit(from, h, sent->data, sent->len);
    event_base_loop(base, EVLOOP_NONBLOCK);
    read_port(ports.receive, PORT_OUT, last_upcall.kind ? 0 : n_wanted(PORT_OUT, PORT_OUT + 1));
    read_port(second.receive, PORT_OUT2, last_upcall.kind ? 0 : n_wanted(PORT_OUT2, PORT_OUT2 + 1));
    read_underlay(last_upcall.kind ? 0 : n_wanted(PORT_TUNNEL, PORT_OUT2));
    forget(SENDS);
    if (last_upcall.kind) {
        assert_int_not_equal(last_upcall.kind, EBPF_UPCALL_MISS);
        return false;
    }
    return true;
}

/* Half of the packets find the detour's device, where there is one, and half do not. */
static void toss_detour(void)
{
    uint32_t zero = 0, ifindex = if_nametoindex(EBPF_DETOUR_PREFIX "0");

    if (ifindex && rnd(2)) {
        assert_int_equal(bpf_map_update_elem(maps.detours_fd, &zero, &ifindex, BPF_ANY), 0);
    } else {
        bpf_map_delete_elem(maps.detours_fd, &zero);
    }
}

enum verdict { LEFT_TO_USER_SPACE, SAME, DIFFERENT };

static enum verdict compare(void)
{
    static const struct virtio_net_hdr plain;
    struct virtio_net_hdr h;
    _cleanup_(packet_freep) struct packet *p = random_packet(&h), *outer = NULL, *edited = NULL;
    bool tunnelled = !h.flags && rnd(2), v6 = rnd(2);
    uint8_t kind = (uint8_t)rnd(3);
    struct list l = {0};
    struct flow_key key;

    p->in_port = dp_port(PORT_IN);
    if (tunnelled) {
        p->in_port = dp_port((uint32_t)PORT_TUNNEL + kind);
        outer = wrapped(p, kind, v6, &p->tunnel);
    }
    flow_key_extract(p, &key);
    toss_detour();
    random_actions(&l, &key, key.vlan[1].tci ? 2 : key.vlan[0].tci ? 1 : 0, false);
    edited = packet_clone(p);
    want.n = 0;
    twin_run(&(struct twin){.p = edited}, l.b, l.len);
    if (!by_programs(&l, &key, tunnelled ? &outside : &ports, tunnelled ? &plain : &h, tunnelled ? outer : p)) {
        return LEFT_TO_USER_SPACE;
    }
    if (same_outputs()) {
        return SAME;
    }
    if (!planted) {
        tell(&l, &key, &h);
    }
    return DIFFERENT;
}

static void all_up(void)
{
    int on = 1;

    if (ports.send) {
        return;
    }
    ports = devices_up();
    RUN("ip link add out2 type veth peer name out3 && "
        "for d in out2 out3; do sysctl -qw net.ipv6.conf.$d.disable_ipv6=1; ip link set $d mtu 40000 up; done");
    maps.ports[PORT_OUT2].ifindex = if_nametoindex("out2");
    second.receive = raw_socket("out3");
    uplink_up("und0", 1);
    if (ebpf_detour_open(&maps, NULL, &detour)) {
        print_message("no detour on this kernel\n");
    }
    outside.send = outside.receive = raw_socket("und1");
    for (size_t i = 0; i < 3; i++) {
        int socket = (int[]){ports.receive, second.receive, outside.receive}[i];

        assert_int_equal(setsockopt(socket, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
    }
}

static void test_agree(void **state WR_UNUSED)
{
    unsigned int n[3] = {0};

    NEEDS_BPF;
    all_up();
    for (unsigned int i = 0; i < N_PACKETS; i++) {
        n[compare()]++;
    }
    assert_int_equal(n[DIFFERENT], 0);
    assert_in_range(n[SAME], N_PACKETS / 2, N_PACKETS);
}

static void test_planted(void **state WR_UNUSED)
{
    unsigned int n[3] = {0};

    NEEDS_BPF;
    all_up();
    planted = true;
    for (unsigned int i = 0; i < 30; i++) {
        n[compare()]++;
    }
    planted = false;
    assert_in_range(n[DIFFERENT], 1, 30);
    ebpf_detour_close(detour, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agree),
        cmocka_unit_test(test_planted),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
