/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/flow_save.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/coverage.h"
#include "base/log.h"
#include "switch/flow_save_private.h"
#include "switch/flow_table_private.h"
#include "switch/megaflow.h"

LOG_MODULE("flow_save");

#define NOTES_BURST 4096 /* changes noted at once, */
#define NOTES_PER_S 1000 /* and lastingly */
#define SLICE_FLOWS 256
#define SLICE_PAUSE_MS 1
#define SMALL_FLOWS 1000 /* up to here all is written in one go, */
#define REWRITE_NOTES 64 /* and counts as so many notes more than there are flows */
#define CALM_MS 1000     /* after changes that were not noted, the file is begun anew once they cease for so long, */
#define LATEST_MS 5000   /* or at last */
#define RETRY_MS 5000    /* after it could not be written */
#define RESERVE 65536    /* room that a file has ahead, for when its file system is full */
#define STAMP_MS 1000

COVERAGE(flow_save_rewrite);
COVERAGE(flow_save_overrun);

struct out {
    int fd; /* -1: none */
    struct strbuf b;
};

struct flow_saver {
    struct bridge *br;
    char *path, *next_path, *identity;
    struct event *flush, *work;
    struct out cur;          /* the file, appended to */
    struct out next;         /* the one that will replace it, as far as it got */
    struct rule **rules;     /* by reference: those that NEXT still has to be told, */
    size_t n_rules, at;      /* from AT on */
    size_t n_noted;          /* lines in CUR since it was complete */
    off_t reserved;          /* up to where CUR has room */
    bool overrun;            /* changes were not noted, nor is NEXT begun since: CUR lacks additions, or is not there */
    bool lacks;              /* CUR does, whatever NEXT will have */
    int64_t overrun_ms;      /* since when */
    int64_t notes, notes_ms; /* what is left of the ration, and as of when */
    int64_t stamp_ms;        /* what ages in the files count from */
    bool failed;             /* was logged */
};

char *flow_save_boot_id(void)
{
    char id[64] = "";
    _cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof id - 1);

    id[n > 0 ? n : 0] = '\0';
    id[strcspn(id, "\n")] = '\0';
    return xstrdup(id);
}

static void set_timer(struct event *ev, int64_t ms)
{
    event_add(ev, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

/* ---- the files ---- */

static void out_close(struct out *o)
{
    if (o->fd >= 0) {
        close(o->fd);
    }
    o->fd = -1;
    strbuf_done(&o->b);
    o->b = (struct strbuf){0};
}

static int out_flush(struct out *o)
{
    for (size_t done = 0; o->fd >= 0 && done < o->b.len;) {
        ssize_t n = write(o->fd, o->b.s + done, o->b.len - done);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    o->b.len = 0;
    return 0;
}

static void forget_rules(struct flow_saver *s)
{
    for (size_t i = s->at; i < s->n_rules; i++) {
        rule_unref(s->rules[i]);
    }
    free(s->rules);
    s->rules = NULL;
    s->n_rules = s->at = 0;
}

static void drop_next(struct flow_saver *s)
{
    if (s->next.fd >= 0) {
        unlink(s->next_path);
    }
    out_close(&s->next);
    forget_rules(s);
}

/* What it says is not so any more. */
static void drop_current(struct flow_saver *s)
{
    out_close(&s->cur);
    if (unlink(s->path) && errno != ENOENT) {
        log_limited(LOG_LEVEL_WARN, "%s cannot be removed: %s", s->path, strerror(errno));
    }
}

static void say_failure(struct flow_saver *s, int error, const char *effect)
{
    if (!s->failed) {
        log_warn("%s cannot be written: %s: %s of %s", s->path, strerror(-error), effect, s->br->name);
        s->failed = true;
    }
}

/* There is no file any more; NEXT may take the room that it had. */
static void fail(struct flow_saver *s, int error, int64_t retry_ms)
{
    say_failure(s, error, "a restart would lose the flows");
    drop_next(s);
    drop_current(s);
    s->overrun = true;
    s->overrun_ms = time_mono_ms();
    s->notes = 0;
    set_timer(s->work, retry_ms);
}

/* NEXT could not be written. What has every change is good for as long as changes can be appended. */
static void fail_next(struct flow_saver *s, int error)
{
    if (s->cur.fd < 0 || s->lacks) {
        fail(s, error, RETRY_MS);
        return;
    }
    say_failure(s, error, "it grows with each change");
    drop_next(s);
    set_timer(s->work, RETRY_MS);
}

/* Best effort: not every file system can. */
static void reserve(struct flow_saver *s)
{
    off_t end = s->cur.fd < 0 ? -1 : lseek(s->cur.fd, 0, SEEK_END);

    if (end >= 0 && s->reserved - end < RESERVE / 2 && !fallocate(s->cur.fd, FALLOC_FL_KEEP_SIZE, end, RESERVE)) {
        s->reserved = end + RESERVE;
    }
}

void flow_saver_sync(struct flow_saver *s)
{
    int error;

    if (!s) {
        return;
    }
    error = out_flush(&s->cur);
    if (error) {
        fail(s, error, 0);
        return;
    }
    reserve(s);
    error = out_flush(&s->next);
    if (error) {
        fail_next(s, error);
    }
}

static void on_flush(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    flow_saver_sync(aux);
}

/* ---- the whole ---- */

static int collect_rule(void *aux, struct cls_rule *cr)
{
    struct flow_saver *s = aux;
    struct rule *rule = CONTAINER_OF(cr, struct rule, cls);

    if (!rule_hidden(rule)) {
        s->rules[s->n_rules++] = rule_ref(rule);
    }
    return 0;
}

static void stamp(struct flow_saver *s, int64_t now)
{
    s->stamp_ms = now;
    for (int i = 0; i < 2; i++) {
        struct out *o = i ? &s->next : &s->cur;

        if (o->fd >= 0) {
            strbuf_addf(&o->b, SAVED_NOW "%lld\n", (long long)now);
        }
    }
}

static void put_group(void *aux, const struct group *group)
{
    struct flow_saver *s = aux;

    saved_put_group(group, s->stamp_ms, &s->next.b);
}

static void put_meter(void *aux, const struct meter *m)
{
    struct flow_saver *s = aux;

    saved_put_meter(s->br, m, s->stamp_ms, &s->next.b);
}

/* What is not as in a new bridge. */
static void put_settings(struct bridge *br, struct strbuf *b)
{
    struct port *port, *tmp;

    if (br->frag_mode != FRAG_NORMAL) {
        saved_put_frags(br, b);
    }
    HASH_ITER(hh_name, br->ports_by_name, port, tmp) {
        if (saved_port_config(port)) {
            saved_put_port(port->name, saved_port_config(port), b);
        }
    }
    for (unsigned int table = 0; table < N_TABLES; table++) {
        struct table_config c;

        flow_table_get_config(br, (table_id_t)table, &c);
        if (c.evict || c.vacancy_events || c.name) {
            saved_put_table(br, (table_id_t)table, b);
        }
    }
}

static int begin(struct flow_saver *s, int64_t now)
{
    s->next.fd = open(s->next_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (s->next.fd < 0) {
        return -errno;
    }
    coverage_add(flow_save_rewrite, 1);
    strbuf_addf(&s->next.b, SAVED_VERSION "\n" SAVED_IDENTITY "%s\n", s->identity);
    stamp(s, now);
    put_settings(s->br, &s->next.b); /* before the flows: full tables evict */
    saved_put_tlv_map(&s->br->tlv_map, &s->next.b);
    meter_table_for_each(s->br, OF_METER_ALL, put_meter, s);
    group_table_for_each(s->br, OF_GROUP_ALL, put_group, s);
    s->rules = xcalloc(flow_table_count(s->br) + 1, sizeof(struct rule *));
    for (unsigned int i = 0; i < N_TABLES; i++) {
        classifier_for_each(&s->br->tables[i].cls, NULL, collect_rule, s);
    }
    s->overrun = false;
    return 0;
}

/* NEXT takes the file's place. */
static int finish(struct flow_saver *s)
{
    strbuf_add(&s->next.b, SAVED_COMPLETE "\n");
    int error = out_flush(&s->next);

    if (!error && rename(s->next_path, s->path)) {
        error = -errno;
    }
    if (error) {
        return error;
    }
    out_close(&s->cur);
    s->cur = s->next;
    s->next = (struct out){.fd = -1};
    s->reserved = 0;
    reserve(s);
    forget_rules(s);
    s->n_noted = 0;
    s->lacks = false;
    if (s->failed) {
        log_info("%s is written again", s->path);
        s->failed = false;
    }
    return 0;
}

static int add_slice(struct flow_saver *s)
{
    for (size_t i = 0; i < SLICE_FLOWS && s->at < s->n_rules; i++) {
        struct rule *rule = s->rules[s->at++];

        if (rule->in_table) {
            saved_put_flow(rule, s->stamp_ms, &s->next.b);
        }
        rule_unref(rule);
    }
    return out_flush(&s->next);
}

/* One slice further with NEXT, which is begun first if there is none; WHOLE: up to its end. */
static void advance(struct flow_saver *s, bool whole, int64_t now)
{
    int error = s->next.fd < 0 ? begin(s, now) : 0;

    do {
        error = error ? error : add_slice(s);
    } while (whole && !error && s->at < s->n_rules);
    if (!error && s->at == s->n_rules) {
        error = finish(s);
    }
    if (error) {
        fail_next(s, error);
    } else if (s->next.fd >= 0) {
        set_timer(s->work, SLICE_PAUSE_MS);
    } else {
        event_del(s->work);
    }
}

static void on_work(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    advance(aux, false, time_mono_ms());
}

static void write_now(struct flow_saver *s, int64_t now)
{
    drop_next(s);
    advance(s, true, now);
}

void flow_saver_write(struct flow_saver *s)
{
    if (s) {
        megaflow_sync_stats(s->br->sw);
        write_now(s, time_mono_ms());
    }
}

/* ---- notes ---- */

/* Too much to note. REMOVAL: the file would bring something back. */
static void lose(struct flow_saver *s, bool removal, int64_t now)
{
    size_t n = flow_table_count(s->br);
    int64_t cost = (int64_t)n + REWRITE_NOTES;

    s->lacks = true;
    if (!s->overrun) {
        s->overrun = true;
        s->overrun_ms = now;
        coverage_add(flow_save_overrun, 1);
    }
    drop_next(s);
    if (n <= SMALL_FLOWS && s->notes >= cost) {
        s->notes -= cost;
        write_now(s, now);
        return;
    }
    if (removal && s->cur.fd >= 0) {
        drop_current(s);
    }
    set_timer(s->work, MIN(CALM_MS, MAX(0, s->overrun_ms + LATEST_MS - now)));
}

static void refill(struct flow_saver *s, int64_t now)
{
    int64_t more = (now - s->notes_ms) * NOTES_PER_S / 1000;

    s->notes = MIN(NOTES_BURST, s->notes + more);
    s->notes_ms = now;
}

/* May N changes be noted? They are stamped. */
static bool may_note(struct flow_saver *s, size_t n, bool removal)
{
    int64_t now = time_mono_ms();

    refill(s, now);
    if (s->overrun || n > (size_t)s->notes) {
        lose(s, removal, now);
        return false;
    }
    s->notes -= (int64_t)n;
    if (now - s->stamp_ms >= STAMP_MS) {
        stamp(s, now);
    }
    return true;
}

static void note(struct flow_saver *s, const struct strbuf *lines, size_t n)
{
    if (!lines->len) {
        return;
    }
    if (s->cur.fd >= 0) {
        strbuf_add_n(&s->cur.b, lines->s, lines->len);
    }
    if (s->next.fd >= 0) {
        strbuf_add_n(&s->next.b, lines->s, lines->len);
    }
    s->n_noted += n;
    if (!event_pending(s->flush, EV_TIMEOUT, NULL)) {
        set_timer(s->flush, 0);
    }
    if (s->next.fd < 0 && s->n_noted > MAX(flow_table_count(s->br), (size_t)SMALL_FLOWS) &&
        !event_pending(s->work, EV_TIMEOUT, NULL)) {
        set_timer(s->work, 0);
    }
}

void flow_saver_note_flows(struct flow_saver *s, const struct undo_log *log)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    bool removal = false;

    for (size_t i = 0; s && i < log->n && !removal; i++) {
        removal = log->steps[i].type != UNDO_ADDED;
    }
    if (!s || !log->n || !may_note(s, log->n, removal)) {
        return;
    }
    for (size_t i = 0; i < log->n; i++) {
        const struct undo *u = &log->steps[i];

        if (rule_hidden(u->rule)) {
            continue;
        }
        if (u->rule->in_table) {
            saved_put_flow(u->rule, s->stamp_ms, &b);
        } else if (u->type == UNDO_REMOVED) {
            saved_put_flow_deletion(u->rule, &b);
        }
    }
    note(s, &b, log->n);
}

void flow_saver_note_rule(struct flow_saver *s, const struct rule *rule)
{
    _cleanup_strbuf_ struct strbuf b = {0};

    if (s && rule->in_table && !rule_hidden(rule) && may_note(s, 1, false)) {
        saved_put_flow(rule, s->stamp_ms, &b);
        note(s, &b, 1);
    }
}

/* Several that change at once may be in each other's way one by one. */
void flow_saver_note_groups(struct flow_saver *s, const struct group_log *log)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    const struct group *group;

    if (!s || !log->n) {
        return;
    }
    if (log->n > 1) {
        flow_saver_note_all(s);
        return;
    }
    if (!may_note(s, 1, true)) {
        return;
    }
    group = group_find(s->br, log->steps[0].id);
    if (group) {
        saved_put_group(group, s->stamp_ms, &b);
    } else {
        saved_put_group_deletion(log->steps[0].id, &b);
    }
    note(s, &b, 1);
}

void flow_saver_note_meter(struct flow_saver *s, uint32_t id)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    const struct meter *m = s ? meter_find(s->br, id) : NULL;

    if (!s || !may_note(s, 1, true)) {
        return;
    }
    if (m) {
        saved_put_meter(s->br, m, s->stamp_ms, &b);
    } else {
        saved_put_meter_deletion(id, &b);
    }
    note(s, &b, 1);
}

void flow_saver_note_frags(struct flow_saver *s)
{
    _cleanup_strbuf_ struct strbuf b = {0};

    if (s && may_note(s, 1, true)) {
        saved_put_frags(s->br, &b);
        note(s, &b, 1);
    }
}

void flow_saver_note_port(struct flow_saver *s, const struct port *port, bool gone)
{
    _cleanup_strbuf_ struct strbuf b = {0};

    if (s && (!gone || saved_port_config(port)) && may_note(s, 1, true)) {
        saved_put_port(port->name, gone ? 0 : saved_port_config(port), &b);
        note(s, &b, 1);
    }
}

void flow_saver_note_table(struct flow_saver *s, table_id_t table)
{
    _cleanup_strbuf_ struct strbuf b = {0};

    if (s && may_note(s, 1, true)) {
        saved_put_table(s->br, table, &b);
        note(s, &b, 1);
    }
}

void flow_saver_note_all(struct flow_saver *s)
{
    if (s) {
        int64_t now = time_mono_ms();

        refill(s, now);
        lose(s, true, now);
    }
}

/* ---- life ---- */

void flow_saver_create(struct bridge *br, const char *path, const char *identity, bool restored)
{
    struct flow_saver *s = xcalloc(1, sizeof *s);

    s->br = br;
    s->path = xstrdup(path);
    s->next_path = xasprintf("%s.new", path);
    s->identity = xstrdup(identity);
    s->cur.fd = s->next.fd = -1;
    s->notes = NOTES_BURST;
    s->notes_ms = time_mono_ms();
    s->flush = evtimer_new(br->sw->base, on_flush, s);
    s->work = evtimer_new(br->sw->base, on_work, s);
    if (restored) {
        s->cur.fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    }
    if (s->cur.fd >= 0) {
        set_timer(s->work, 0);
    } else {
        drop_current(s);
        lose(s, true, s->notes_ms);
    }
    br->saver = s;
}

void flow_saver_destroy(struct flow_saver *s, bool remove)
{
    if (!s) {
        return;
    }
    flow_saver_sync(s);
    drop_next(s);
    if (remove) {
        drop_current(s);
    }
    out_close(&s->cur);
    s->br->saver = NULL;
    event_free(s->flush);
    event_free(s->work);
    free(s->path);
    free(s->next_path);
    free(s->identity);
    free(s);
}
