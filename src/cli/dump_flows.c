/* SPDX-License-Identifier: Apache-2.0 */
/* warren dump-flows BRIDGE [FLOW]: the flows of a bridge, read by OpenFlow, sorted by table and priority. */
#include <endian.h>
#include <event2/event.h>
#include <stdio.h>
#include <uthash.h>

#include "cli/commands.h"
#include "cli/local.h"
#include "openflow/client.h"
#include "openflow/text.h"

DEFINE_CLEANUP(struct event_base *, event_base_free)

struct port_name {
    uint32_t number;
    struct of_port port;
    UT_hash_handle hh;
};

struct dump {
    struct of_client *client;
    const char *filter; /* NULL: every flow */
    struct port_name *ports;
    struct name_map names;
    struct of_flow_stats *flows;
    size_t n_flows, allocated;
    bool done;
    char *error;
};

static void dump_done(struct dump *d)
{
    struct port_name *p, *next;

    of_client_destroy(d->client);
    HASH_ITER(hh, d->ports, p, next) {
        HASH_DEL(d->ports, p);
        free(p);
    }
    for (size_t i = 0; i < d->n_flows; i++) {
        ofpacts_done(&d->flows[i].decoded);
    }
    free(d->flows);
    free(d->error);
}

static int port_by_name(void *aux, const char *name, ofp_port_t *ret)
{
    struct dump *d = aux;

    for (struct port_name *p = d->ports; p; p = p->hh.next) {
        if (!strcmp(p->port.name, name)) {
            *ret = p->port.port_no;
            return 0;
        }
    }
    return -ENOENT;
}

static const char *port_name(void *aux, ofp_port_t port)
{
    struct dump *d = aux;
    struct port_name *p;
    uint32_t number = ofp_port_u32(port);

    HASH_FIND(hh, d->ports, &number, sizeof number, p);
    return p ? p->port.name : NULL;
}

static void on_port(void *arg, const struct of_port *port)
{
    struct dump *d = arg;
    struct port_name *p = xcalloc(1, sizeof *p), *old;

    *p = (struct port_name){.number = ofp_port_u32(port->port_no), .port = *port};
    HASH_REPLACE(hh, d->ports, number, sizeof p->number, p, old);
    free(old);
}

static void on_flow(void *arg, struct of_flow_stats *fs)
{
    struct dump *d = arg;

    if (d->n_flows == d->allocated) {
        d->allocated = d->allocated ? 2 * d->allocated : 256;
        d->flows = xrealloc(d->flows, d->allocated * sizeof *d->flows);
    }
    d->flows[d->n_flows++] = *fs;
    fs->decoded = (struct ofpacts){0};
}

static void on_flows(void *arg, const char *error)
{
    struct dump *d = arg;

    d->done = true;
    d->error = error ? xstrdup(error) : NULL;
}

static void on_ports(void *arg, const char *error)
{
    struct dump *d = arg;
    struct of_flow_request request;
    _cleanup_free_ char *why = NULL;

    if (error || (d->filter && flow_request_parse(d->filter, &d->names, &request, &why))) {
        on_flows(d, error ? error : why);
        return;
    }
    of_client_dump_flows(d->client, d->filter ? &request : NULL, on_flow, on_flows, d);
}

static void on_connected(struct of_client *c, bool connected, void *arg)
{
    if (connected) {
        of_client_dump_ports(c, on_port, on_ports, arg);
    }
}

static bool is_done(void *arg)
{
    return ((struct dump *)arg)->done;
}

static const char *last_error(void *arg)
{
    return of_client_last_error(((struct dump *)arg)->client);
}

static int by_place(const void *a, const void *b)
{
    const struct of_flow_stats *x = a, *y = b;

    return x->table != y->table ? (x->table > y->table) - (x->table < y->table)
                                : (x->priority < y->priority) - (x->priority > y->priority);
}

static struct flow_spec spec_of(const struct of_flow_stats *fs)
{
    return (struct flow_spec){.match = fs->match,
                              .table = fs->table,
                              .priority = fs->priority,
                              .idle_timeout = fs->idle_timeout,
                              .hard_timeout = fs->hard_timeout,
                              .flags = fs->flags,
                              .importance = fs->importance,
                              .cookie = fs->cookie,
                              .out_port = OFPP_ANY,
                              .has_actions = true,
                              .acts = fs->decoded};
}

static bool is_unreadable(const struct of_flow_stats *fs)
{
    return fs->match_error || fs->actions_error;
}

static json_t *flow_json(const struct of_flow_stats *fs, bool stats, const struct name_map *names)
{
    _cleanup_strbuf_ struct strbuf match = {0}, actions = {0}, cookie = {0};
    json_t *flags = json_array(), *object;

    for (uint32_t bit = 1; bit <= UINT16_MAX; bit <<= 1) {
        if (fs->flags & bit && flow_flag_name((uint16_t)bit)) {
            json_array_append_new(flags, json_string(flow_flag_name((uint16_t)bit)));
        }
    }
    if (!fs->match_error) {
        match_format(&fs->match, names, &match);
    }
    if (!fs->actions_error) {
        ofpacts_format(fs->decoded.data, fs->decoded.len, names, &actions);
    }
    strbuf_addf(&cookie, "0x%llx", (unsigned long long)be64toh(fs->cookie)); /* JSON numbers lose bits */
    object = json_pack("{s:i, s:i, s:s}", "table", fs->table, "priority", fs->priority, "cookie", strbuf_str(&cookie));
    if (stats) {
        json_object_set_new(object, "duration", json_real(fs->duration_sec + fs->duration_nsec / 1e9));
        json_object_set_new(object, "packets", json_integer((json_int_t)fs->packets));
        json_object_set_new(object, "bytes", json_integer((json_int_t)fs->bytes));
    }
    json_object_set_new(object, "idle_timeout", json_integer(fs->idle_timeout));
    json_object_set_new(object, "hard_timeout", json_integer(fs->hard_timeout));
    json_object_set_new(object, "flags", flags);
    json_object_set_new(object, "match", fs->match_error ? json_null() : json_string(strbuf_str(&match)));
    json_object_set_new(object, "actions", fs->actions_error ? json_null() : json_string(strbuf_str(&actions)));
    if (is_unreadable(fs)) {
        json_object_set_new(object, "error",
                            json_string(oferr_name(fs->match_error ? fs->match_error : fs->actions_error)));
    }
    return object;
}

static void cut_end(struct strbuf *b, const char *end)
{
    b->len -= strlen(end);
    b->s[b->len] = '\0';
}

/* The line of a flow; what cannot be read of it is said where it would stand. */
static void format_flow(const struct of_flow_stats *fs, bool stats, const struct name_map *names, struct strbuf *b)
{
    struct flow_counts counts = {fs->duration_sec, fs->duration_nsec, fs->packets, fs->bytes, 0};
    struct flow_spec spec = spec_of(fs);

    if (is_unreadable(fs)) {
        spec.acts = (struct ofpacts){0};
    }
    flow_format_counts(&spec, stats ? &counts : NULL, names, b);
    if (is_unreadable(fs)) { /* written without actions, so "actions=drop" is the end */
        cut_end(b, "drop");
        if (fs->match_error) {
            cut_end(b, "actions=");
            strbuf_addf(b, "match=unreadable(%s) actions=", oferr_name(fs->match_error));
        }
        if (fs->actions_error) {
            strbuf_addf(b, "unreadable(%s)", oferr_name(fs->actions_error));
        } else {
            ofpacts_format(fs->decoded.data, fs->decoded.len, names, b);
        }
    }
}

/* Returns how many flows cannot be read whole. */
static size_t print(const struct cli *cli, const struct args *args, struct dump *d)
{
    const struct name_map *names = args_has(args, "names") ? &d->names : NULL;
    bool stats = !args_has(args, "no-stats");
    _cleanup_json_ json_t *list = json_array();
    size_t n_unreadable = 0;

    if (d->n_flows) { /* not NULL, which qsort() must not be given even for none */
        qsort(d->flows, d->n_flows, sizeof *d->flows, by_place);
    }
    for (size_t i = 0; i < d->n_flows; i++) {
        const struct of_flow_stats *fs = &d->flows[i];
        _cleanup_strbuf_ struct strbuf line = {0};

        n_unreadable += is_unreadable(fs);
        if (cli->json) {
            json_array_append_new(list, flow_json(fs, stats, names));
            continue;
        }
        format_flow(fs, stats, names, &line);
        printf(" %s\n", strbuf_str(&line));
    }
    if (cli->json) {
        cli_print_json(list);
    }
    return n_unreadable;
}

static const struct arg_option options[] = {
    {"names", NULL, "ports by name", false},
    {"no-stats", NULL, "without ages and counters", false},
};

/* Before the switch is asked which ports there are, any name may be one. */
static int no_port_yet(void *aux WR_UNUSED, const char *name WR_UNUSED, ofp_port_t *ret)
{
    *ret = ofp_port(1);
    return 0;
}

static int run_dump_flows(const struct cli *cli, const struct args *args)
{
    static const struct of_client_callbacks callbacks = {on_connected};
    static const struct name_map any_port = {.port_by_name = no_port_yet};
    struct of_flow_request ignored;
    _cleanup_(event_base_freep) struct event_base *base = event_base_new();
    _cleanup_(dump_done) struct dump d = {.filter = args->n_words > 1 ? args->words[1] : NULL};
    _cleanup_free_ char *remote = xasprintf("unix:%s/%s.mgmt", cli->rundir, args->words[0]), *error = NULL;

    if (strchr(args->words[0], '/')) {
        return cli_usage_error("%s: a bridge's name has no slash", args->words[0]);
    }
    d.names = (struct name_map){port_by_name, port_name, &d};
    if (d.filter && flow_request_parse(d.filter, &any_port, &ignored, &error)) {
        return cli_usage_error("%s", error);
    }
    int status = base ? of_client_new(base, remote, &callbacks, &d, &d.client, &error) : -ENOMEM;
    if (status) {
        return cli_no_client(status, error);
    }
    status = local_wait(base, &(struct local_wait){is_done, last_error, &d}, cli->timeout_ms);
    if (status) {
        return cli_fail("no reply from bridge %s: %s (`warren show` lists the bridges)", args->words[0],
                        status == -ENOTCONN ? last_error(&d) : strerror(-status));
    }
    if (d.error) {
        return cli_fail("%s: %s", args->words[0], d.error);
    }
    of_client_destroy(TAKE_PTR(d.client));
    cli_begin_output();
    size_t n_unreadable = print(cli, args, &d);
    if (n_unreadable) {
        return cli_fail("%s: %zu of %zu flows cannot be read whole", args->words[0], n_unreadable, d.n_flows);
    }
    return EXIT_SUCCESS;
}

const struct command dump_flows = {"dump-flows",
                                   "BRIDGE [FLOW]",
                                   "a bridge's flows, or those that FLOW selects (table=20,dl_vlan=1)",
                                   1,
                                   2,
                                   options,
                                   ARRAY_SIZE(options),
                                   run_dump_flows};
