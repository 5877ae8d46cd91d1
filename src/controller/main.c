/* SPDX-License-Identifier: Apache-2.0 */
/* warren-controller: options, the database, the API until SIGTERM. */
#include <event2/event.h>
#include <stdio.h>

#include "base/daemon.h"
#include "base/log.h"
#include "base/stream.h"
#include "controller/api.h"
#include "controller/http.h"
#include "ovsdb/client.h"
#include "ovsdb/embedded.h"

LOG_MODULE("controller");

#define DEFAULT_RUNDIR "/run/warren"
#define LISTEN_LOOK_MS 500
#define DEFAULT_DB_FILE "/var/lib/warren/warren.db"

static const struct daemon_option options[] = {
    {"overlay-db", DAEMON_STRING, NULL,
     "the Warren database: one remote, or several by comma (default: run one here, at unix:RUNDIR/overlay.sock)",
     .argument = "REMOTE"},
    {"rundir", DAEMON_STRING, DEFAULT_RUNDIR, "where the socket of the database that is run here is",
     .argument = "DIR"},
    {"db-file", DAEMON_STRING, NULL,
     "file of the database that is run here (default " DEFAULT_DB_FILE "; with another rundir, RUNDIR/warren.db)",
     .argument = "FILE"},
    {"overlay-listen", DAEMON_STRING, NULL, "further remote of the database that is run here, as ptcp:6650:192.0.2.1",
     .argument = "REMOTE"},
    {"schemadir", DAEMON_STRING, WARREN_SCHEMADIR, "where warren.ovsschema is", .argument = "DIR"},
    {"listen", DAEMON_STRING, "127.0.0.1:9696", "address of the API", .argument = "ADDRESS:PORT"},
    {"vni-ranges", DAEMON_STRING, "vxlan:1-16777215,gre:1-16777215,geneve:1-16777215",
     "identifiers that networks are given; the first type is that of networks that name none",
     .argument = "TYPE:FIRST-LAST,…"},
    {"global-physnet-mtu", DAEMON_INT, "1500", "MTU of the underlay, from which networks get theirs", .min = 576,
     .max = 65535},
    {"overlay-ip-version", DAEMON_CHOICE, "4", "IP version of the tunnels, for networks' MTU", .choices = "4|6"},
};

struct controller {
    struct daemon daemon;
    struct api api;
    struct ovsdb_embedded *database;
    struct event *listen_timer; /* looks for what is not listened on yet */
    struct http_server *http;
    bool ready;
};

/* ovsdb-server itself takes what it cannot listen on, says so in its log at most, and serves without it. */
static int check_overlay_listen(const struct daemon *d)
{
    const char *text = daemon_string(d, "overlay-listen");
    _cleanup_free_ char *why = NULL;
    struct remote remote;

    if (!text) {
        return 0;
    }
    if (remote_parse(text, OVSDB_PORT, &remote, &why)) {
        log_err("--overlay-listen: %s", why);
        return -EINVAL;
    }
    if (!remote.passive) {
        log_err("--overlay-listen: %s does not listen; ptcp:, pssl: and punix: do", text);
        return -EINVAL;
    }
    if (remote.kind == REMOTE_SSL && !(daemon_string(d, "private-key") && daemon_string(d, "ca-cert"))) {
        log_err("--overlay-listen: pssl: needs --private-key, --certificate and --ca-cert");
        return -EINVAL;
    }
    return 0;
}

static int start_database(struct controller *c, char **ret_remote)
{
    struct daemon *d = &c->daemon;
    const char *rundir = daemon_string(d, "rundir"), *file = daemon_string(d, "db-file");
    _cleanup_free_ char *other_file = xasprintf("%s/warren.db", rundir);
    _cleanup_free_ char *schema = xasprintf("%s/warren.ovsschema", daemon_string(d, "schemadir"));
    _cleanup_free_ char *socket = xasprintf("%s/overlay.sock", rundir),
                        *control = xasprintf("%s/overlay-db.ctl", rundir);
    _cleanup_free_ char *pidfile = xasprintf("%s/overlay-db.pid", rundir), *why = NULL;

    if (!file) {
        file = strcmp(rundir, DEFAULT_RUNDIR) ? other_file : DEFAULT_DB_FILE;
    }
    struct ovsdb_embedded_options o = {
        .db_file = file,
        .schema_file = schema,
        .socket = socket,
        .control = control,
        .pidfile = pidfile,
        .private_key = daemon_string(d, "private-key"),
        .certificate = daemon_string(d, "certificate"),
        .ca_cert = daemon_string(d, "ca-cert"),
        .extra_remote = daemon_string(d, "overlay-listen"),
    };
    int error = make_directories(rundir);

    if (error) {
        log_err("rundir %s: %s", rundir, strerror(-error));
        return error;
    }
    error = ovsdb_embedded_start(d->base, &o, &c->database, &why);
    if (error) {
        log_err("database: %s", why ? why : strerror(-error));
        return error;
    }
    *ret_remote = xasprintf("unix:%s", socket);
    return 0;
}

static void on_changed(void *arg);

static void on_listen_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *arg)
{
    on_changed(arg);
}

/* Do agents reach the database? An address that comes later, as at boot, is waited for: ovsdb-server does so, too. */
static bool is_listening(struct controller *c)
{
    int error = c->database ? ovsdb_embedded_listens(c->database) : 0;

    if (!error) {
        if (c->listen_timer) {
            event_free(TAKE_PTR(c->listen_timer));
        }
        return true;
    }
    if (!c->listen_timer) {
        log_warn("--overlay-listen: nothing listens at %s yet: %s", daemon_string(&c->daemon, "overlay-listen"),
                 strerror(-error));
        c->listen_timer = event_new(c->daemon.base, -1, 0, on_listen_timer, c);
    }
    if (c->listen_timer) {
        event_add(c->listen_timer, &(struct timeval){.tv_usec = LISTEN_LOOK_MS * 1000});
    }
    return false;
}

static void on_changed(void *arg)
{
    struct controller *c = arg;

    if (!c->ready && c->api.store && store_is_ready(c->api.store) && is_listening(c)) {
        c->ready = true;
        log_info("the API is at http://%s", daemon_string(&c->daemon, "listen"));
        daemon_ready(&c->daemon);
    }
}

static int start(struct controller *c)
{
    struct daemon *d = &c->daemon;
    _cleanup_free_ char *remote = NULL, *why = NULL;
    const char *given = daemon_string(d, "overlay-db");

    c->api.options.physnet_mtu = (unsigned int)daemon_int(d, "global-physnet-mtu");
    c->api.options.overlay_ip_version = *daemon_string(d, "overlay-ip-version") - '0';
    int error = vni_ranges_parse(daemon_string(d, "vni-ranges"), &c->api.options.vni_ranges, &why);
    if (error) {
        log_err("--vni-ranges: %s", why);
        return error;
    }
    if (given && (daemon_string(d, "db-file") || daemon_string(d, "overlay-listen"))) {
        log_err("--db-file and --overlay-listen are for the database that is run here, but --overlay-db names another");
        return -EINVAL;
    }
    error = check_overlay_listen(d);
    if (error) {
        return error;
    }
    error = http_server_create(d->base, &c->api, daemon_string(d, "listen"), &c->http, &why);
    if (error) {
        log_err("--listen: %s", why ? why : strerror(-error));
        return error;
    }
    error = given ? 0 : start_database(c, &remote);
    if (error) {
        return error;
    }
    error = store_create(d->base, given ? given : remote, on_changed, c, &c->api.store, &why);
    if (error) {
        log_err("--overlay-db: %s", why ? why : strerror(-error));
    }
    return error;
}

int main(int argc, char **argv)
{
    struct controller c = {0};
    int status = daemon_init(&c.daemon, "warren-controller", "the API: networks, subnets and ports of a cloud", options,
                             ARRAY_SIZE(options), argc, argv);

    if (status != DAEMON_GO) {
        return status;
    }
    status = start(&c) ? 1 : daemon_run(&c.daemon);
    if (c.listen_timer) {
        event_free(c.listen_timer);
    }
    store_destroy(c.api.store); /* first: it answers the calls under way */
    http_server_destroy(c.http);
    ovsdb_embedded_destroy(c.database);
    daemon_done(&c.daemon);
    return status;
}
