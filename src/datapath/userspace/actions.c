/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor: runs an action list on one packet, in place. Only CLONE, and an upcall that is not the list's last
 * action, work on a copy; outputs change nothing but the room in front of the frame.
 */
#include <endian.h>

#include "datapath/userspace/userspace.h"
#include "packet/edit.h"
#include "packet/headers.h"
#include "packet/segment.h"

static int check(const struct dp_action *actions, size_t len, unsigned int depth)
{
    const char *at = (const char *)actions, *end = at + len;

    if (depth > CLONE_DEPTH_MAX) {
        return -EINVAL;
    }
    while (at < end) {
        const struct dp_action *a = (const struct dp_action *)(const void *)at;
        size_t want = sizeof(*a);

        if ((size_t)(end - at) < sizeof(*a) || a->len < sizeof(*a) || a->len % 8 || a->len > end - at) {
            return -EINVAL;
        }
        switch ((enum dp_action_type)a->type) {
        case DP_ACTION_SET:
            want = sizeof(struct dp_action_set);
            break;
        case DP_ACTION_SET_TUNNEL:
            want = sizeof(struct dp_action_tunnel);
            break;
        case DP_ACTION_PUSH_VLAN:
            want = sizeof(struct dp_action_vlan);
            break;
        case DP_ACTION_PUSH_MPLS:
        case DP_ACTION_POP_MPLS:
            want = sizeof(struct dp_action_mpls);
            break;
        case DP_ACTION_CLONE: {
            int error = check(a + 1, a->len - sizeof(*a), depth + 1);

            if (error) {
                return error;
            }
            want = a->len;
            break;
        }
        case DP_ACTION_DROP:
            if (a->arg >= DROP_MAX) {
                return -EINVAL;
            }
            break;
        case DP_ACTION_OUTPUT:
        case DP_ACTION_POP_VLAN:
        case DP_ACTION_TRUNC:
        case DP_ACTION_SLOW:
        case DP_ACTION_SET_PRIORITY:
        case DP_ACTION_METER:
            break;
        default:
            return -EINVAL;
        }
        if (a->len < want) {
            return -EINVAL;
        }
        at += a->len;
    }
    return 0;
}

int us_actions_check(const struct dp_action *actions, size_t len)
{
    return check(actions, len, 0);
}

/* What the list has set for the outputs to come. */
struct execution {
    struct us_datapath *dp;
    const struct flow_key *key;
    const struct flow_tunnel *tunnel;
    uint32_t trunc; /* 0: none */
};

static void count_sent(struct us_port *port, size_t len, enum drop_reason reason)
{
    if (reason) {
        port->stats.tx_dropped++;
        us_drop(port->dp, reason);
    } else {
        port->stats.tx_packets++;
        port->stats.tx_bytes += len;
    }
}

static void send_to(const struct execution *x, struct us_port *port, struct packet *p)
{
    size_t len = p->len;

    count_sent(port, len, port->gone ? DROP_PORT_DOWN : port->ops->send(port, p, x->key, x->tunnel));
}

/* The super-packet P by a port that takes none of its kind. */
static void send_segments(const struct execution *x, struct us_port *port, const struct packet *p)
{
    struct packet *seg = packet_new(NULL, 0);
    struct segmenter s;

    if (segmenter_init(&s, p)) {
        count_sent(port, p->len, DROP_SEGMENT);
    } else {
        while (segmenter_next(&s, seg)) {
            send_to(x, port, seg);
        }
    }
    packet_free(seg);
}

static void send_packet(struct execution *x, struct packet *p, uint32_t port_number)
{
    struct us_port *port = us_port_find(x->dp, dp_port(port_number));

    if (!port) {
        us_drop(x->dp, DROP_NO_PORT);
    } else if (packet_is_gso(p) && port->ops->takes_super && !port->ops->takes_super(port, p)) {
        send_segments(x, port, p);
    } else {
        send_to(x, port, p);
    }
}

/* A cut frame's checksum must be what the whole frame's was, and nobody can segment what is not there. That it does not
 * fit somewhere is nothing to tell the sender of the whole one, so it came in by no port. */
static void output_truncated(struct execution *x, struct packet *p, uint32_t port_number)
{
    struct packet *cut = packet_clone(p);
    struct flow_key key = *x->key;
    struct execution of_cut = *x;

    packet_complete_csum(cut);
    cut->offload = (struct packet_offload){0};
    cut->len = x->trunc;
    key.in_port = DP_PORT_NONE;
    of_cut.key = &key;
    send_packet(&of_cut, cut, port_number);
    packet_free(cut);
}

static void output(struct execution *x, struct packet *p, uint32_t port_number)
{
    uint32_t trunc = x->trunc;

    if (trunc && trunc < p->len) {
        output_truncated(x, p, port_number);
    } else {
        send_packet(x, p, port_number);
    }
    x->trunc = 0;
}

static int set_fields(struct packet *p, const struct dp_action_set *set)
{
    static int (*const setters[])(struct packet *, const struct flow_key *, const struct flow_key *) = {
        /* by the bits of DP_SET_*; no entry for MARK */
        packet_set_eth, packet_set_ipv4, packet_set_ipv6, packet_set_tp, packet_set_arp, packet_set_nd,
        NULL,           packet_set_mpls, packet_set_vlan,
    };
    int error = 0;

    for (size_t i = 0; i < ARRAY_SIZE(setters) && !error; i++) {
        if (set->h.arg & 1u << i && setters[i]) {
            error = setters[i](p, &set->key, &set->mask);
        }
    }
    if (set->h.arg & DP_SET_MARK) {
        p->pkt_mark = (p->pkt_mark & ~set->mask.pkt_mark) | (set->key.pkt_mark & set->mask.pkt_mark);
    }
    return error;
}

static void upcall_slow(struct execution *x, struct packet *p, uint32_t slow_reason)
{
    struct us_datapath *dp = x->dp;
    struct dp_upcall upcall = {.reason = DP_UPCALL_SLOW, .slow_reason = slow_reason, .packet = p, .key = x->key};

    if (!dp->callbacks.upcall || dp->depth >= EXECUTE_DEPTH_MAX) {
        us_drop(dp, DROP_UPCALL_QUEUE);
        return;
    }
    dp->depth++;
    dp->callbacks.upcall(dp->callbacks.aux, &upcall);
    dp->depth--;
}

static void run(struct execution *x, struct packet *p, const struct dp_action *actions, size_t len);

/* CLONE and SLOW: on P itself when nothing comes after. What a clone sets for its outputs ends with it. */
static void run_on_copy(const struct execution *x, struct packet *p, const struct dp_action *a, bool last)
{
    struct packet *copy = last ? p : packet_clone(p);
    struct execution inner = *x;

    if (a->type == DP_ACTION_SLOW) {
        upcall_slow(&inner, copy, a->arg);
    } else {
        run(&inner, copy, a + 1, a->len - sizeof(*a));
    }
    if (copy != p) {
        packet_free(copy);
    }
}

/* The actions from A on, on each frame that a device would have made of the super-packet P. */
static void run_on_segments(const struct execution *x, const struct packet *p, const struct dp_action *a, size_t len)
{
    struct packet *seg = packet_new(NULL, 0);
    struct segmenter s;

    if (segmenter_init(&s, p)) {
        us_drop(x->dp, DROP_SEGMENT);
        packet_free(seg);
        return;
    }
    while (segmenter_next(&s, seg)) {
        struct execution inner = *x;
        struct flow_key scratch;

        flow_key_extract(seg, &scratch);
        run(&inner, seg, a, len);
    }
    packet_free(seg);
}

static int edit(struct packet *p, const struct dp_action *a)
{
    const struct dp_action_mpls *mpls = (const struct dp_action_mpls *)(const void *)a;
    struct flow_key scratch;
    int error = 0;

    switch ((enum dp_action_type)a->type) {
    case DP_ACTION_PUSH_VLAN:
        return packet_push_vlan(p, ((const struct dp_action_vlan *)(const void *)a)->vlan);
    case DP_ACTION_POP_VLAN:
        return packet_pop_vlan(p);
    case DP_ACTION_SET:
        return set_fields(p, (const struct dp_action_set *)(const void *)a);
    case DP_ACTION_PUSH_MPLS:
        error = packet_complete_csum(p);
        return error ? error : packet_push_mpls(p, mpls->lse, mpls->eth_type);
    case DP_ACTION_POP_MPLS:
        error = packet_pop_mpls(p, mpls->eth_type);
        if (!error) {
            flow_key_extract(p, &scratch);
        }
        return error;
    default:
        return -EINVAL;
    }
}

static void run(struct execution *x, struct packet *p, const struct dp_action *actions, size_t len)
{
    DP_ACTION_FOR_EACH(a, actions, len) {
        bool last = (const char *)a + a->len >= (const char *)actions + len;

        switch ((enum dp_action_type)a->type) {
        case DP_ACTION_OUTPUT:
            output(x, p, a->arg);
            break;
        case DP_ACTION_SET_TUNNEL:
            x->tunnel = &((const struct dp_action_tunnel *)(const void *)a)->tunnel;
            break;
        case DP_ACTION_TRUNC:
            x->trunc = a->arg;
            break;
        case DP_ACTION_SET_PRIORITY:
            p->priority = a->arg;
            break;
        case DP_ACTION_SLOW:
        case DP_ACTION_CLONE:
            run_on_copy(x, p, a, last);
            break;
        case DP_ACTION_METER:
            if (!us_meter_admits(x->dp, a->arg, (uint32_t)p->len, us_count_segments(p))) {
                return;
            }
            break;
        case DP_ACTION_DROP:
            us_drop(x->dp, (enum drop_reason)a->arg);
            return;
        case DP_ACTION_PUSH_MPLS:
            if (packet_is_gso(p)) { /* no device completes or cuts what is below a label */
                run_on_segments(x, p, a, len - (size_t)((const char *)a - (const char *)actions));
                return;
            }
            /* fall through */
        default:
            if (edit(p, a)) {
                us_drop(x->dp, DROP_BAD_ACTION);
                return;
            }
            break;
        }
    }
}

void us_execute(struct us_datapath *dp, struct packet *p, const struct flow_key *key, const struct dp_action *actions,
                size_t len)
{
    struct execution x = {.dp = dp, .key = key};

    run(&x, p, actions, len);
}
