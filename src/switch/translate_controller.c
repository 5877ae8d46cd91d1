/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets for the controller. They are made while the walk is where the action stands, and told when it is over and
 * counts: a walk that hits a limit carries nothing out, and a bundle may yet be taken back.
 */
#include <utlist.h>

#include "switch/meter_table.h"
#include "switch/translate_private.h"

/* One that waits for the end of the walk. */
struct xlate_packet_in {
    struct xlate_packet_in *prev, *next;
    struct bridge *bridge;
    struct packet *packet;
    struct flow flow;
    uint8_t *userdata;
    uint32_t meter_id;
    size_t metered_len; /* what the meter counts: the packet as it came */
    struct packet_in_info info;
};

static void free_packet_in(struct xlate_packet_in *pin)
{
    packet_free(pin->packet);
    free(pin->userdata);
    free(pin);
}

void xlate_packet_ins_drop(struct xlate_out *out)
{
    struct xlate_packet_in *pin, *next;

    DL_FOREACH_SAFE(out->packet_ins, pin, next) {
        free_packet_in(pin);
    }
    out->packet_ins = NULL;
}

void xlate_packet_ins_send(struct xlate_out *out)
{
    struct xlate_packet_in *pin, *next, *list = out->packet_ins;

    out->packet_ins = NULL;
    DL_FOREACH_SAFE(list, pin, next) {
        const struct bridge_hooks *h = &pin->bridge->hooks;

        if (h->packet_in && meter_admits_packet_in(pin->bridge, pin->meter_id, pin->metered_len)) {
            h->packet_in(h->aux, pin->bridge, &pin->info);
        }
        free_packet_in(pin);
    }
}

static __be64 cookie(const struct xlate_ctx *x)
{
    if (x->s.rule) {
        return x->s.rule->cookie;
    }
    return x->why == PACKET_IN_ACTION_SET ? x->cookie : UINT64_MAX;
}

static void put_packet_in(struct xlate_ctx *x, const struct ofpact_controller *c, enum packet_in_reason reason)
{
    struct packet *p = xlate_present_packet(x);
    struct xlate_packet_in *pin;

    if (!p) {
        return;
    }
    pin = xcalloc(1, sizeof *pin);
    pin->bridge = x->s.br;
    pin->packet = p;
    pin->flow = x->s.flow;
    pin->userdata = c->userdata_len ? xmemdup(c->userdata, c->userdata_len) : NULL;
    pin->meter_id = c->meter_id;
    pin->metered_len = x->in->packet->len;
    pin->info = (struct packet_in_info){
        .packet = p,
        .flow = &pin->flow,
        .reason = reason,
        .table = x->s.table,
        .cookie = cookie(x),
        .max_len = c->max_len,
        .controller_id = c->controller_id,
        .userdata = pin->userdata,
        .userdata_len = c->userdata_len,
    };
    DL_APPEND(x->out->packet_ins, pin);
}

static bool in_table_miss(const struct xlate_ctx *x)
{
    return x->why == PACKET_IN_ACTION && x->s.rule && rule_is_table_miss(x->s.rule);
}

enum packet_in_reason xlate_output_reason(const struct xlate_ctx *x)
{
    return in_table_miss(x) ? PACKET_IN_NO_MATCH : x->why;
}

enum packet_in_reason xlate_said_reason(const struct xlate_ctx *x, const struct ofpact_controller *c)
{
    switch (c->reason) {
    case PACKET_IN_NO_MATCH:
        return PACKET_IN_SAID_NO_MATCH;
    case PACKET_IN_INVALID_TTL:
    case PACKET_IN_ACTION_SET:
    case PACKET_IN_GROUP:
    case PACKET_IN_PACKET_OUT:
        return (enum packet_in_reason)c->reason;
    default: /* ACTION, and numbers that nobody knows */
        return in_table_miss(x) ? PACKET_IN_NO_MATCH : PACKET_IN_ACTION;
    }
}

void xlate_controller(struct xlate_ctx *x, const struct ofpact_controller *c, enum packet_in_reason reason)
{
    if (!x->s.br->hooks.packet_in || (x->s.in_port && x->s.in_port->config & PORT_CONFIG_NO_PACKET_IN)) {
        xlate_note_drop(x, DROP_CONTROLLER_NONE);
        return;
    }
    /* The controller may look at everything, but each packet goes up anyway: the mask need not grow. */
    xlate_commit(x);
    x->out->slow = true;
    x->out->slow_action = x->asked = false;
    xlate_trace(x, "sending packet to the controller");
    if (x->in->effects && x->in->packet) {
        put_packet_in(x, c, reason);
    }
}
