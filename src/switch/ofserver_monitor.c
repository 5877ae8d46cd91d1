/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow monitors: a connection asks to be told of changes of flows that its monitors select. Changes are gathered as the
 * tables make them and go out before the reply to the message that made them, or at the end of the loop's turn.
 *
 * A peer that reads too slowly is paused: from then on only deletions of flows that it knows are told. What came or
 * changed meanwhile is kept as a set of rules (by reference), and told as it is then when the peer has caught up. So
 * the memory that a slow peer costs is bounded by the flows that there are.
 */
#include <uthash.h>
#include <utlist.h>

#include "switch/ofserver_private.h"

#define PAUSE_BACKLOG (128u << 10) /* unread bytes */
#define MAX_MONITORS 1024          /* of a connection */

struct monitor {
    uint32_t id;
    enum of_monitor_form form;
    unsigned int flags; /* OF_MONITOR_* */
    table_id_t table;
    ofp_port_t out_port;
    uint32_t out_group;
    struct match match;
    struct monitor *prev, *next;
};

/* A flow that came or changed while the peer was paused. */
struct missed {
    struct rule *rule; /* a reference, and the key */
    bool added;        /* told as such: it is new, or took the place of one */
    bool known;        /* there was one before the pause, whose end is told */
    UT_hash_handle hh;
};

/* What there is of a connection that has monitors. */
struct ofmonitors {
    struct ofconn *conn;
    struct monitor *list;
    enum of_monitor_form form; /* of the last request: updates of all monitors go in one form */
    bool paused;
    struct missed *missed;
    struct writer w; /* updates not yet sent */
    struct of_mp mp;
    bool begun, abbreviated; /* an update is in `w`; own changes are told by an xid */
};

/* ---- selection ---- */

static bool outputs(const struct rule_actions *a, ofp_port_t port, uint32_t group)
{
    return (port == OFPP_ANY || ofpacts_output_to(a->data, a->len, port)) &&
           (group == OF_GROUP_ANY || ofpacts_use_group(a->data, a->len, group));
}

/* WANTED: flags of which one must be set. OLD: actions before the change, or NULL. */
static bool selects(const struct monitor *m, unsigned int wanted, const struct rule *rule, const struct match *match,
                    const struct rule_actions *old)
{
    return m->flags & wanted && (m->table == TABLE_ID_ALL || m->table == rule->table) &&
           (outputs(rule->actions, m->out_port, m->out_group) || (old && outputs(old, m->out_port, m->out_group))) &&
           match_covers(&m->match, match);
}

/* The flags of all monitors that select the change together; 0: none does. */
static unsigned int selected_by(const struct ofmonitors *ms, unsigned int wanted, const struct rule *rule,
                                const struct match *match, const struct rule_actions *old)
{
    const struct monitor *m;
    unsigned int flags = 0;

    DL_FOREACH(ms->list, m) {
        if (selects(m, wanted, rule, match, old)) {
            flags |= m->flags;
        }
    }
    return flags;
}

/* ---- updates ---- */

static void put_update(struct ofmonitors *ms, const struct of_flow_update *fu)
{
    uint8_t version = ofconn_version(ms->conn);

    if (!ms->begun) {
        of_monitor_reply_begin(&ms->mp, &ms->w, version, ms->form, 0);
        ms->begun = true;
    }
    of_mp_entry(&ms->mp);
    of_flow_update_encode(&ms->w, version, ms->form, fu);
    of_mp_entry_done(&ms->mp);
}

static void put_full(struct ofmonitors *ms, enum of_update_event event, const struct rule *rule,
                     const struct match *match, unsigned int flags, enum flow_removed_reason reason)
{
    struct of_flow_update fu = {
        .event = event,
        .reason = event == OF_UPDATE_REMOVED ? (uint8_t)reason : 0,
        .table = rule->table,
        .priority = (uint16_t)rule->cls.priority,
        .idle_timeout = rule->idle_timeout,
        .hard_timeout = rule->hard_timeout,
        .cookie = rule->cookie,
        .match = *match,
        .acts = flags & OF_MONITOR_ACTIONS ? rule->actions->data : NULL,
        .acts_len = flags & OF_MONITOR_ACTIONS ? rule->actions->len : 0,
    };

    put_update(ms, &fu);
}

/* ---- pause ---- */

static void missed_drop(struct ofmonitors *ms, struct missed *m)
{
    HASH_DEL(ms->missed, m);
    rule_unref(m->rule);
    free(m);
}

static void missed_free(struct ofmonitors *ms)
{
    struct missed *m, *next;

    HASH_ITER(hh, ms->missed, m, next) {
        missed_drop(ms, m);
    }
}

/* A change while paused, of a flow that WAS_THERE (an ADD may replace one). True: it is told all the same (a flow that
 * the peer knows goes). */
static bool miss(struct ofmonitors *ms, const struct rule *rule, enum flow_event event, bool was_there)
{
    struct missed *m;
    bool known;

    HASH_FIND_PTR(ms->missed, &rule, m);
    if (event == FLOW_EVENT_DELETED) {
        known = !m || m->known;
        if (m) {
            missed_drop(ms, m);
        }
        return known;
    }
    if (!m) {
        m = xcalloc(1, sizeof *m);
        m->rule = rule_ref((struct rule *)rule);
        m->known = was_there;
        HASH_ADD_PTR(ms->missed, rule, m);
    }
    m->added |= event == FLOW_EVENT_ADDED;
    return false;
}

static void send_state(struct ofmonitors *ms, bool paused)
{
    struct writer w = {0};

    of_monitor_state_encode(&w, ofconn_version(ms->conn), ms->form, paused);
    ofconn_send(ms->conn, &w);
}

static void flush(struct ofmonitors *ms)
{
    if (ms->begun) {
        of_mp_end(&ms->mp);
        ms->begun = ms->abbreviated = false;
        ofconn_send(ms->conn, &ms->w);
    }
}

static void resume(struct ofmonitors *ms)
{
    struct missed *m, *next;

    HASH_ITER(hh, ms->missed, m, next) {
        unsigned int wanted = OF_MONITOR_MODIFY | (m->added ? OF_MONITOR_ADD : 0); /* it may have changed as well */
        struct match match;

        rule_get_match(m->rule, &match);
        unsigned int flags = selected_by(ms, wanted, m->rule, &match, NULL);
        if (flags) {
            put_full(ms, m->added ? OF_UPDATE_ADDED : OF_UPDATE_MODIFIED, m->rule, &match, flags, 0);
        }
        missed_drop(ms, m);
    }
    flush(ms);
    send_state(ms, false);
    ms->paused = false;
}

void ofconn_monitors_run(struct ofconn *c)
{
    struct ofmonitors *ms = c->monitors;

    if (!ms) {
        return;
    }
    flush(ms);
    if (!ms->paused && of_conn_backlog(c->conn) > PAUSE_BACKLOG) {
        ms->paused = true;
        send_state(ms, true);
    } else if (ms->paused && !of_conn_backlog(c->conn)) {
        resume(ms);
    }
}

/* ---- the tables' events ---- */

static void on_change(struct ofmonitors *ms, const struct rule *rule, const struct match *match, enum flow_event event,
                      enum flow_removed_reason reason, const struct rule_actions *old, const uint32_t *xid)
{
    static const struct {
        unsigned int wanted;
        enum of_update_event event;
    } kinds[] = {
        [FLOW_EVENT_ADDED] = {OF_MONITOR_ADD, OF_UPDATE_ADDED},
        [FLOW_EVENT_DELETED] = {OF_MONITOR_DELETE, OF_UPDATE_REMOVED},
        [FLOW_EVENT_MODIFIED] = {OF_MONITOR_MODIFY, OF_UPDATE_MODIFIED},
    };
    const struct ofserver *s = ms->conn->server;
    unsigned int flags = selected_by(ms, kinds[event].wanted, rule, match, old);

    if (ms->paused && !miss(ms, rule, event, old != NULL)) {
        return;
    }
    if (!flags) {
        return;
    }
    /* What a flow_mod says its sender knows; but not which flows go with a group, or what a packet_out teaches. */
    if (flags & OF_MONITOR_OWN || ms->conn != s->acting || !xid || ms->paused) {
        put_full(ms, kinds[event].event, rule, match, flags, reason);
    } else if (!ms->abbreviated) {
        ms->abbreviated = true; /* of a bundle the first, as Open vSwitch */
        put_update(ms, &(struct of_flow_update){.event = OF_UPDATE_ABBREV, .xid = *xid});
    }
}

static void on_flow_event(void *aux, struct bridge *br WR_UNUSED, const struct rule *rule, enum flow_event event,
                          enum flow_removed_reason reason, const struct rule_actions *old_actions, const uint32_t *xid)
{
    struct ofserver *s = aux;
    struct ofconn *c;
    struct match match;

    rule_get_match(rule, &match);
    DL_FOREACH(s->conns, c) {
        if (c->monitors) {
            on_change(c->monitors, rule, &match, event, reason, old_actions, xid);
        }
    }
    event_active(s->flush, EV_TIMEOUT, 0);
}

/* The tables tell of changes only while somebody listens. */
static void update_hook(struct ofserver *s)
{
    const struct ofconn *c;
    bool any = false;

    DL_FOREACH(s->conns, c) {
        any |= c->monitors != NULL;
    }
    s->bridge->hooks.flow_event = any ? on_flow_event : NULL;
}

void ofconn_monitors_free(struct ofconn *c)
{
    struct ofmonitors *ms = TAKE_PTR(c->monitors);
    struct monitor *m, *next;

    if (!ms) {
        return;
    }
    DL_FOREACH_SAFE(ms->list, m, next) {
        free(m);
    }
    missed_free(ms);
    writer_done(&ms->w);
    free(ms);
    update_hook(c->server);
}

/* ---- requests ---- */

static struct monitor *find(const struct ofmonitors *ms, uint32_t id)
{
    struct monitor *m;

    DL_FOREACH(ms->list, m) {
        if (m->id == id) {
            return m;
        }
    }
    return NULL;
}

/* The connection's monitors, which are made when there are none. */
static struct ofmonitors *get(struct ofconn *c)
{
    if (!c->monitors) {
        c->monitors = xcalloc(1, sizeof *c->monitors);
        c->monitors->conn = c;
        update_hook(c->server);
    }
    return c->monitors;
}

static int cancel(struct ofconn *c, uint32_t id)
{
    struct monitor *m = c->monitors ? find(c->monitors, id) : NULL;

    if (!m) {
        return OFERR_MONITOR_UNKNOWN_ID;
    }
    DL_DELETE(c->monitors->list, m);
    free(m);
    if (!c->monitors->list) {
        flush(c->monitors);
        ofconn_monitors_free(c);
    }
    return 0;
}

static struct monitor *add(struct ofmonitors *ms, const struct of_monitor_request *r, enum of_monitor_form form)
{
    struct monitor *m = xcalloc(1, sizeof *m);

    *m = (struct monitor){
        .id = r->id,
        .form = form,
        .flags = r->flags,
        .table = r->table,
        .out_port = r->out_port,
        .out_group = r->out_group,
        .match = r->match,
    };
    ms->form = form;
    DL_APPEND(ms->list, m);
    return m;
}

struct initial {
    struct of_mp *mp;
    struct writer *w;
    const struct monitor *m;
    uint8_t version;
};

static int put_initial(void *aux, const struct rule *rule)
{
    const struct initial *in = aux;
    struct of_flow_update fu = {
        .event = OF_UPDATE_INITIAL,
        .table = rule->table,
        .priority = (uint16_t)rule->cls.priority,
        .idle_timeout = rule->idle_timeout,
        .hard_timeout = rule->hard_timeout,
        .cookie = rule->cookie,
        .acts = in->m->flags & OF_MONITOR_ACTIONS ? rule->actions->data : NULL,
        .acts_len = in->m->flags & OF_MONITOR_ACTIONS ? rule->actions->len : 0,
    };

    rule_get_match(rule, &fu.match);
    of_mp_entry(in->mp);
    of_flow_update_encode(in->w, in->version, in->m->form, &fu);
    of_mp_entry_done(in->mp);
    return 0;
}

static void put_flows_that_are(struct ofconn *c, const struct monitor *m, struct of_mp *mp, struct writer *w)
{
    struct initial in = {.mp = mp, .w = w, .m = m, .version = ofconn_version(c)};
    struct flow_filter filter = {.table = m->table,
                                 .out_port = m->out_port,
                                 .by_group = m->out_group != OF_GROUP_ANY,
                                 .out_group = m->out_group,
                                 .match = m->match};

    if (m->flags & OF_MONITOR_INITIAL) {
        flow_table_for_each(c->server->bridge, &filter, put_initial, &in);
    }
}

static int check(const struct ofconn *c, const struct of_monitor_request *r)
{
    const struct monitor *m;
    unsigned int n = 0;

    if (c->monitors) {
        if (find(c->monitors, r->id)) {
            return OFERR_MONITOR_EXISTS;
        }
        DL_COUNT(c->monitors->list, m, n);
    }
    return n < MAX_MONITORS ? 0 : OFERR_EPERM;
}

/* Refused ones leave those that the same message made before; these go again. */
static void take_back(struct ofconn *c, const uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cancel(c, ids[i]);
    }
}

int ofconn_mp_monitor(struct ofconn *c, const struct of_header *h, const struct of_mp_kind *kind, struct reader *body)
{
    enum of_monitor_form form = kind->type != OFMP_EXPERIMENTER            ? OF_MONITOR_14
                                : kind->experimenter == OF_EXPERIMENTER_NX ? OF_MONITOR_NX
                                                                           : OF_MONITOR_ONF;
    struct writer w = {0};
    struct of_mp mp;
    uint32_t made[64];
    size_t n = 0;
    int error = 0;

    of_monitor_reply_begin(&mp, &w, h->version, form, h->xid);
    while (body->left && !error) {
        struct of_monitor_request r;

        error = of_monitor_request_decode(body, form, &r);
        if (!error && r.command != OF_MONITOR_CMD_ADD) {
            error = cancel(c, r.id);
            if (error || r.command == OF_MONITOR_CMD_DELETE) {
                continue;
            }
        }
        if (!error) {
            error = n < ARRAY_SIZE(made) ? check(c, &r) : OFERR_MULTIPART_OVERFLOW;
        }
        if (!error) {
            made[n++] = r.id;
            put_flows_that_are(c, add(get(c), &r, form), &mp, &w);
        }
    }
    if (error) {
        writer_done(&w);
        take_back(c, made, n);
        return error;
    }
    of_mp_end(&mp);
    ofconn_send(c, &w);
    return 0;
}

int ofconn_monitor_cancel(struct ofconn *c, const struct of_header *h WR_UNUSED, struct reader *body)
{
    uint32_t id = reader_u32(body);

    return body->error ? OFERR_BAD_LEN : cancel(c, id);
}
