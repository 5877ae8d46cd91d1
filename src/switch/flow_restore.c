/* SPDX-License-Identifier: Apache-2.0 */
/* A bridge's saved flows (flow_save.h), put back. */
#include <stdio.h>

#include "base/log.h"
#include "openflow/error.h"
#include "openflow/text.h"
#include "openflow/text_group.h"
#include "switch/flow_save.h"
#include "switch/flow_save_private.h"
#include "switch/flow_table.h"
#include "switch/group_table.h"
#include "switch/meter_table.h"

LOG_MODULE("flow_restore");

struct restore {
    struct bridge *br;
    int64_t now, saved_ms; /* saved_ms: what ages count from */
    bool complete;
    char *why;
};

static int refused(struct restore *r, int error)
{
    const char *name = oferr_name(error);

    r->why = xstrdup(name ? name : "refused");
    return -EBADMSG;
}

/* ---- lines ---- */

static int restore_flow(struct restore *r, const char *text, enum flow_mod_command command)
{
    _cleanup_flow_spec_ struct flow_spec spec = {0};
    struct flow_counts counts = {0};

    if (flow_parse_counts(text, &spec, &counts, &r->why)) {
        return -EBADMSG;
    }
    struct rule_history history = {
        .created_ms = r->saved_ms - counts.duration_sec * INT64_C(1000) - counts.duration_nsec / 1000000,
        .packets = counts.packets,
        .bytes = counts.bytes,
    };
    history.modified_ms = counts.hard_age ? r->saved_ms - counts.hard_age * INT64_C(1000) : history.created_ms;
    const struct flow_change change = {
        .command = command,
        .table = spec.table,
        .match = spec.match,
        .priority = spec.priority,
        .cookie = spec.cookie,
        .idle_timeout = spec.idle_timeout,
        .hard_timeout = spec.hard_timeout,
        .flags = spec.flags,
        .importance = spec.importance,
        .out_port = OFPP_ANY,
        .actions = spec.acts.data,
        .actions_len = spec.acts.len,
        .history = &history,
    };
    int error = flow_table_apply(r->br, &change, r->now);

    return error ? refused(r, error) : 0;
}

static int add_flow(struct restore *r, const char *text)
{
    return restore_flow(r, text, FLOW_MOD_ADD);
}

static int delete_flow(struct restore *r, const char *text)
{
    return restore_flow(r, text, FLOW_MOD_DELETE_STRICT);
}

static int change_group(struct restore *r, const char *text, enum of_group_command command)
{
    struct of_group_mod gm = {.command = command, .command_bucket = OF_BUCKET_ALL};
    int error;

    if (group_parse(text, &gm.command_bucket, &gm.group, &r->why)) {
        return -EBADMSG;
    }
    error = group_mod_apply(r->br, &gm, r->now);
    of_group_mod_done(&gm);
    return error ? refused(r, error) : 0;
}

static int add_group(struct restore *r, const char *text)
{
    return change_group(r, text, OF_GROUP_ADD_OR_MODIFY);
}

static int insert_buckets(struct restore *r, const char *text)
{
    return change_group(r, text, OF_GROUP_INSERT_BUCKET);
}

static int delete_group(struct restore *r, const char *text)
{
    return change_group(r, text, OF_GROUP_DELETE);
}

static int change_meter(struct restore *r, const char *text, bool delete)
{
    struct of_meter_mod mm = {.command = OF_METER_DELETE};
    int error;

    if (meter_parse(text, &mm.meter, &r->why)) {
        return -EBADMSG;
    }
    if (!delete) {
        mm.command = meter_find(r->br, mm.meter.id) ? OF_METER_MODIFY : OF_METER_ADD;
    }
    error = meter_mod_apply(r->br, &mm, r->now);
    of_meter_mod_done(&mm);
    return error ? refused(r, error) : 0;
}

static int add_meter(struct restore *r, const char *text)
{
    return change_meter(r, text, false);
}

static int delete_meter(struct restore *r, const char *text)
{
    return change_meter(r, text, true);
}

static int add_tlv(struct restore *r, const char *text)
{
    unsigned int class, type, len, index;
    int end = 0, error;

    if (sscanf(text, SAVED_TLV_FORMAT "%n", &class, &type, &len, &index, &end) != 4 || text[end] ||
        class > UINT16_MAX || type > UINT8_MAX || len > UINT8_MAX || index > UINT16_MAX) {
        r->why = xstrdup("not a mapped option");
        return -EBADMSG;
    }
    const struct tlv_mapping m = {(uint16_t) class, (uint8_t)type, (uint8_t)len, (uint16_t)index};
    error = tlv_map_add(&r->br->tlv_map, &m, 1);
    return error ? refused(r, error) : 0;
}

static int set_now(struct restore *r, const char *text)
{
    char *end;

    errno = 0;
    r->saved_ms = strtoll(text, &end, 10);
    if (errno || *end || end == text || r->saved_ms < 0) {
        r->why = xstrdup("not a time");
        return -EBADMSG;
    }
    return 0;
}

static const struct {
    const char *begin;
    int (*fn)(struct restore *r, const char *text);
} commands[] = {
    {SAVED_FLOW_ADD, add_flow},   {SAVED_FLOW_DELETE, delete_flow},     {SAVED_NOW, set_now},
    {SAVED_GROUP_ADD, add_group}, {SAVED_GROUP_INSERT, insert_buckets}, {SAVED_GROUP_DELETE, delete_group},
    {SAVED_METER_ADD, add_meter}, {SAVED_METER_DELETE, delete_meter},   {SAVED_TLV_ADD, add_tlv},
};

static int restore_line(struct restore *r, const char *line)
{
    if (!strcmp(line, SAVED_COMPLETE)) {
        r->complete = true;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!strncmp(line, commands[i].begin, strlen(commands[i].begin))) {
            return commands[i].fn(r, line + strlen(commands[i].begin));
        }
    }
    r->why = xstrdup("neither flow nor group nor meter nor tlv");
    return -EBADMSG;
}

/* ---- the file ---- */

static void empty(struct bridge *br)
{
    flow_table_flush(br, true);
    group_table_flush(br);
    meter_table_flush(br);
    tlv_map_clear(&br->tlv_map);
    switch_changed(br->sw);
}

/* Lines 1 and 2 say what it is, and whose. */
static int check_head(struct restore *r, size_t number, const char *line, const char *identity)
{
    if (number == 1) {
        if (strcmp(line, SAVED_VERSION) != 0) {
            r->why = xstrdup("not of this version (" SAVED_VERSION ")");
            return -EBADMSG;
        }
        return 0;
    }
    if (strncmp(line, SAVED_IDENTITY, strlen(SAVED_IDENTITY)) != 0) {
        r->why = xstrdup("it does not say whose it is");
        return -EBADMSG;
    }
    return strcmp(line + strlen(SAVED_IDENTITY), identity) ? -ESTALE : 0;
}

static int read_lines(struct restore *r, FILE *f, const char *identity, size_t *ret_number)
{
    _cleanup_free_ char *line = NULL;
    size_t allocated = 0, number = 0;
    ssize_t len;
    int error = 0;

    while (!error && (len = getline(&line, &allocated, f)) >= 0) {
        number++;
        if (line[len - 1] != '\n') {
            if (r->complete) {
                break; /* killed in the middle of a note, before anybody heard that it took effect */
            }
            r->why = xstrdup("cut off");
            error = -EBADMSG;
            break;
        }
        line[len - 1] = '\0';
        if (strlen(line) != (size_t)len - 1) {
            r->why = xstrdup("not text");
            error = -EBADMSG;
        } else {
            error = number <= 2 ? check_head(r, number, line, identity) : restore_line(r, line);
        }
    }
    if (!error && ferror(f)) {
        error = -EIO;
    }
    if (!error && !r->complete) {
        r->why = xstrdup("it ends too early");
        error = -EBADMSG;
        number++;
    }
    *ret_number = number;
    return error;
}

int flow_restore(struct bridge *br, const char *path, const char *identity, int64_t now, size_t *ret_n_flows)
{
    struct restore r = {.br = br, .now = now, .saved_ms = now};
    _cleanup_free_ char *damaged = xasprintf("%s.damaged", path);
    size_t number = 0;
    FILE *f = fopen(path, "re");
    int error;

    if (!f) {
        error = -errno;
        if (error != -ENOENT) {
            log_warn("%s cannot be read: %s: %s starts without the flows that it had", path, strerror(-error),
                     br->name);
        }
        return error;
    }
    error = read_lines(&r, f, identity, &number);
    fclose(f);
    if (error && error != -ESTALE) {
        log_warn("%s, line %zu: %s: %s starts without the flows that it had (the file is now %s)", path, number,
                 r.why ? r.why : strerror(-error), br->name, damaged);
        rename(path, damaged);
        empty(br);
    }
    free(r.why);
    if (!error) {
        *ret_n_flows = flow_table_count(br);
    }
    return error;
}
