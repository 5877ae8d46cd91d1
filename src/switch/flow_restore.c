/* SPDX-License-Identifier: Apache-2.0 */
/* A bridge's saved flows (flow_save.h), put back. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "openflow/error.h"
#include "openflow/text.h"
#include "openflow/text_group.h"
#include "switch/flow_save.h"
#include "switch/flow_save_private.h"

LOG_MODULE("flow_restore");

struct restore {
    struct bridge *br;
    int64_t now, saved_ms; /* saved_ms: what ages count from */
    bool complete;
    off_t whole; /* up to where lines are whole */
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

static int add_flow(struct restore *r, char *text)
{
    return restore_flow(r, text, FLOW_MOD_ADD);
}

static int delete_flow(struct restore *r, char *text)
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
    error = group_restore(r->br, &gm, r->now);
    of_group_mod_done(&gm);
    return error ? refused(r, error) : 0;
}

static int add_group(struct restore *r, char *text)
{
    return change_group(r, text, OF_GROUP_ADD_OR_MODIFY);
}

static int insert_buckets(struct restore *r, char *text)
{
    return change_group(r, text, OF_GROUP_INSERT_BUCKET);
}

static int delete_group(struct restore *r, char *text)
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

static int add_meter(struct restore *r, char *text)
{
    return change_meter(r, text, false);
}

static int delete_meter(struct restore *r, char *text)
{
    return change_meter(r, text, true);
}

static int add_tlv(struct restore *r, char *text)
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

/* ---- counts and settings: what they are of, and words ---- */

static int bad_word(struct restore *r, const char *word)
{
    r->why = xasprintf("\"%s\" is not understood", word);
    return -EBADMSG;
}

/* %XX is a character. */
static int take_name(struct restore *r, const char *text, char **ret)
{
    _cleanup_free_ char *name = xcalloc(1, strlen(text) + 1);
    size_t n = 0;

    for (const char *p = text; *p; p++) {
        unsigned int c = (unsigned char)*p;

        if (c == '%') {
            if (strspn(p + 1, "0123456789ABCDEF") < 2 || sscanf(p + 1, "%2x", &c) != 1 || !c) {
                return bad_word(r, text);
            }
            p += 2;
        }
        name[n++] = (char)c;
    }
    if (!n) {
        return bad_word(r, text);
    }
    *ret = TAKE_PTR(name);
    return 0;
}

/* "12", up to MAX and with nothing behind it. */
static int take_number(struct restore *r, const char *text, uint64_t max, uint64_t *ret)
{
    char *end;

    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || v > max) {
        return bad_word(r, text);
    }
    *ret = v;
    return 0;
}

static int count_word(struct restore *r, char *word, struct count_history *h, uint64_t *parts)
{
    uint64_t age = 0;
    int error;

    if (!strncmp(word, "packets=", 8)) {
        return take_number(r, word + 8, UINT64_MAX, &h->packets);
    }
    if (!strncmp(word, "bytes=", 6)) {
        return take_number(r, word + 6, UINT64_MAX, &h->bytes);
    }
    if (!strncmp(word, "age=", 4)) {
        error = take_number(r, word + 4, (uint64_t)r->saved_ms, &age);
        h->created_ms = r->saved_ms - (int64_t)age;
        return error;
    }
    char *slash = strncmp(word, "part=", 5) != 0 ? NULL : strchr(word, '/');
    if (!slash) {
        return bad_word(r, word);
    }
    *slash = '\0';
    error = take_number(r, word + 5, UINT64_MAX, &parts[2 * h->n_parts]);
    error = error ? error : take_number(r, slash + 1, UINT64_MAX, &parts[2 * h->n_parts + 1]);
    h->n_parts++;
    return error;
}

static int restore_counts(struct restore *r, char *text,
                          int (*set)(struct bridge *br, uint32_t id, const struct count_history *history))
{
    _cleanup_free_ uint64_t *parts = xcalloc(strlen(text) + 1, sizeof *parts); /* each takes more than two letters */
    struct count_history h = {.created_ms = r->now, .parts = parts};
    char *rest, *word = strtok_r(text, " ", &rest);
    uint64_t id = 0;
    int error = take_number(r, word ? word : "", UINT32_MAX, &id);

    while (!error && (word = strtok_r(NULL, " ", &rest))) {
        error = count_word(r, word, &h, parts);
    }
    if (!error && set(r->br, (uint32_t)id, &h)) {
        r->why = xasprintf("counts of what is not there: %" PRIu64 " with %zu parts", id, h.n_parts);
        error = -EBADMSG;
    }
    return error;
}

static int set_group_counts(struct restore *r, char *text)
{
    return restore_counts(r, text, group_set_history);
}

static int set_meter_counts(struct restore *r, char *text)
{
    return restore_counts(r, text, meter_set_history);
}

static int set_frags(struct restore *r, char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(saved_frag_words); i++) {
        if (!strcmp(text, saved_frag_words[i].word)) {
            bridge_set_frag_mode(r->br, saved_frag_words[i].mode);
            return 0;
        }
    }
    return bad_word(r, text);
}

static int port_word(struct restore *r, const char *word, uint32_t *config)
{
    for (size_t i = 0; i < ARRAY_SIZE(saved_port_words); i++) {
        if (!strcmp(word, saved_port_words[i].word)) {
            *config |= saved_port_words[i].bit;
            return 0;
        }
    }
    return bad_word(r, word);
}

/* A port that is gone takes nothing. One that came under its name meanwhile takes what its kind has kept. */
static int set_port(struct restore *r, char *text)
{
    char *rest, *word = strtok_r(text, " ", &rest);
    _cleanup_free_ char *name = NULL;
    uint32_t config = 0;
    int error = take_name(r, word ? word : "", &name);

    while (!error && (word = strtok_r(NULL, " ", &rest))) {
        error = port_word(r, word, &config);
    }
    struct port *port = error ? NULL : bridge_port_by_name(r->br, name);
    if (port) {
        bridge_port_set_config(port, config, saved_port_config_mask(port));
    }
    return error;
}

static int table_word(struct restore *r, char *word, struct table_config *c, char **name)
{
    unsigned int down, up;
    int end = 0;

    if (!strcmp(word, "evict")) {
        c->evict = true;
    } else if (!strcmp(word, "low") && c->vacancy_events) {
        c->vacancy_low = true;
    } else if (!strncmp(word, "name=", 5) && !*name) {
        return take_name(r, word + 5, name);
    } else if (sscanf(word, "vacancy:%u,%u%n", &down, &up, &end) == 2 && !word[end] && down <= up && up <= 100) {
        c->vacancy_events = true;
        c->vacancy_down = (uint8_t)down;
        c->vacancy_up = (uint8_t)up;
    } else {
        return bad_word(r, word);
    }
    return 0;
}

static int set_table(struct restore *r, char *text)
{
    char *rest, *word = strtok_r(text, " ", &rest);
    _cleanup_free_ char *name = NULL;
    struct table_config config = {0};
    uint64_t table = 0;
    int error = take_number(r, word ? word : "", TABLE_ID_MAX, &table);

    while (!error && (word = strtok_r(NULL, " ", &rest))) {
        error = table_word(r, word, &config, &name);
    }
    if (!error) {
        config.name = name;
        flow_table_set_config(r->br, (table_id_t)table, &config);
    }
    return error;
}

static int set_now(struct restore *r, char *text)
{
    uint64_t v = 0;
    int error = take_number(r, text, (uint64_t)r->now, &v);

    r->saved_ms = (int64_t)v;
    return error;
}

static const struct {
    const char *begin;
    int (*fn)(struct restore *r, char *text); /* TEXT may be cut to pieces */
} commands[] = {
    {SAVED_FLOW_ADD, add_flow},
    {SAVED_FLOW_DELETE, delete_flow},
    {SAVED_NOW, set_now},
    {SAVED_GROUP_ADD, add_group},
    {SAVED_GROUP_INSERT, insert_buckets},
    {SAVED_GROUP_DELETE, delete_group},
    {SAVED_METER_ADD, add_meter},
    {SAVED_METER_DELETE, delete_meter},
    {SAVED_TLV_ADD, add_tlv},
    {SAVED_GROUP_COUNTS, set_group_counts},
    {SAVED_METER_COUNTS, set_meter_counts},
    {SAVED_FRAGS, set_frags},
    {SAVED_PORT, set_port},
    {SAVED_TABLE, set_table},
};

static int restore_line(struct restore *r, char *line)
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
    r->why = xstrdup("none of the lines that there are");
    return -EBADMSG;
}

/* ---- the file ---- */

static void empty(struct bridge *br)
{
    struct port *port, *tmp;

    flow_table_flush(br, true);
    group_table_flush(br);
    meter_table_flush(br);
    tlv_map_clear(&br->tlv_map);
    bridge_set_frag_mode(br, FRAG_NORMAL);
    HASH_ITER(hh_name, br->ports_by_name, port, tmp) {
        bridge_port_set_config(port, 0, saved_port_config_mask(port));
    }
    for (unsigned int table = 0; table < N_TABLES; table++) {
        flow_table_set_config(br, (table_id_t)table, &(struct table_config){0});
    }
    switch_changed(br->sw);
}

/* Lines 1 and 2 say what it is, and whose. */
static int check_head(struct restore *r, size_t number, const char *line, const char *identity)
{
    if (number == 1) {
        if (strcmp(line, SAVED_VERSION) != 0 && strcmp(line, SAVED_VERSION_1) != 0) {
            r->why = xstrdup("neither \"" SAVED_VERSION "\" nor \"" SAVED_VERSION_1 "\"");
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
        r->whole += len;
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
    if (!error && truncate(path, r.whole)) { /* or the next note would go on where that one ended */
        log_info("%s: %s", path, strerror(errno));
    }
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
