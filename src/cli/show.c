/* SPDX-License-Identifier: Apache-2.0 */
/* warren show: the local switch, as its database tells it. */
#include <event2/event.h>
#include <stdio.h>

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

static int run_show(const struct cli *cli, const struct args *args WR_UNUSED)
{
    _cleanup_(event_base_freep) struct event_base *base = event_base_new();
    _cleanup_(ovsdb_client_destroyp) struct ovsdb_client *c = NULL;
    _cleanup_free_ char *remote = xasprintf("unix:%s/db.sock", cli->rundir), *error = NULL;
    _cleanup_strbuf_ struct strbuf out = {0};
    static const struct ovsdb_client_callbacks no_callbacks;

    if (!base || ovsdb_client_new(base, remote, "Open_vSwitch", &no_callbacks, NULL, &c, &error)) {
        return cli_fail("%s", error ? error : "no event loop");
    }
    switch_state_monitor(c);
    ovsdb_client_start(c);
    int status = local_wait(base, &(struct local_wait){is_done, last_error, c}, cli->timeout_ms);
    if (status) {
        return cli_fail("no reply from the switch's database: %s (is it running there? --rundir names another directory)",
                        status == -ENOTCONN ? last_error(c) : strerror(-status));
    }
    _cleanup_json_ json_t *state = switch_state(c);
    if (cli->json) {
        cli_print_json(state);
    } else {
        switch_state_format(state, &out);
        fputs(out.len ? strbuf_str(&out) : "no bridges\n", stdout);
    }
    return EXIT_SUCCESS;
}

const struct command show = {"show", "", "bridges, ports and tunnels of this machine's switch", 0, 0, NULL, 0, run_show};
