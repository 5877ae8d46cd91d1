/* SPDX-License-Identifier: Apache-2.0 */
/* warren show: the local switch, as its database tells it. */
#include <event2/event.h>
#include <stdio.h>

#include "base/stream.h"
#include "cli/commands.h"
#include "cli/local.h"
#include "cli/switch_state.h"

DEFINE_CLEANUP(struct event_base *, event_base_free)

static bool is_done(void *arg)
{
    return ovsdb_client_is_synced(arg);
}

static const char *last_error(void *arg)
{
    return ovsdb_client_last_error(arg);
}

static const struct arg_option options[] = {
    {"db", "REMOTE", "the switch's database (default unix:RUNDIR/db.sock)", false},
    {"private-key", "FILE", "PEM file with the private key for an ssl: remote", false},
    {"certificate", "FILE", "PEM file with the certificate that goes with it", false},
    {"ca-cert", "FILE", "PEM file with the CA that the database's certificate must be signed by", false},
};

/* This process's part in TLS, as the options say. The exit status; said. */
static int set_tls(const struct args *args)
{
    const char *key = args_get(args, "private-key"), *certificate = args_get(args, "certificate"),
               *ca = args_get(args, "ca-cert");
    _cleanup_free_ char *error = NULL;

    if (!key != !certificate) {
        return cli_usage_error("--private-key and --certificate need each other");
    }
    if ((key || ca) && stream_set_tls(key, certificate, ca, &error)) {
        return cli_fail("%s", error ? error : "TLS cannot be set up");
    }
    return EXIT_SUCCESS;
}

static int run_show(const struct cli *cli, const struct args *args)
{
    _cleanup_(event_base_freep) struct event_base *base = event_base_new();
    _cleanup_(ovsdb_client_destroyp) struct ovsdb_client *c = NULL;
    _cleanup_free_ char *error = NULL, *remote = args_has(args, "db") ? xstrdup(args_get(args, "db"))
                                                                      : xasprintf("unix:%s/db.sock", cli->rundir);
    _cleanup_strbuf_ struct strbuf out = {0};
    static const struct ovsdb_client_callbacks no_callbacks;
    int status = set_tls(args);

    if (status) {
        return status;
    }
    status = base ? ovsdb_client_new(base, remote, "Open_vSwitch", &no_callbacks, NULL, &c, &error) : -ENOMEM;
    if (status) {
        return cli_no_client(status, error);
    }
    switch_state_monitor(c);
    ovsdb_client_start(c);
    status = local_wait(base, &(struct local_wait){is_done, last_error, c}, cli->timeout_ms);
    if (status) {
        return cli_fail("no reply from the switch's database: %s (is it running there? --rundir or --db names another)",
                        status == -ENOTCONN ? last_error(c) : strerror(-status));
    }
    _cleanup_json_ json_t *state = switch_state(c);
    ovsdb_client_destroy(TAKE_PTR(c));
    cli_begin_output();
    if (cli->json) {
        cli_print_json(state);
    } else {
        switch_state_format(state, &out);
        fputs(out.len ? strbuf_str(&out) : "no bridges\n", stdout);
    }
    return EXIT_SUCCESS;
}

const struct command show = {
    "show", "", "bridges, ports and tunnels of this machine's switch", 0, 0, options, ARRAY_SIZE(options), run_show};
