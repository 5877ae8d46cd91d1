/* SPDX-License-Identifier: Apache-2.0 */
/*
 * warren-switchd: the virtual switch of one hypervisor. Puts the parts together: options, the embedded database, the
 * datapath and its bridges (bridge.h), the configurator, the control socket; and takes them apart in the opposite
 * order.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fnmatch.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/daemon.h"
#include "base/log.h"
#include "base/slow_close.h"
#include "datapath/ebpf/ebpf.h"
#include "ovsdb/embedded.h"
#include "switch/bridge.h"
#include "switch/configurator.h"
#include "switch/kernel_ctl.h"
#include "switch/pidfile.h"
#include "switch/switch_ctl.h"
#include "switch/trace_ctl.h"
#include "switch/unixctl.h"

LOG_MODULE("switchd");

#define DEFAULT_RUNDIR "/run/openvswitch"
#define DEFAULT_DB_FILE "/var/lib/warren/conf.db"

static const struct daemon_option options[] = {
    {"rundir", DAEMON_STRING, DEFAULT_RUNDIR, "directory of sockets and pid files", .argument = "DIR"},
    {"db", DAEMON_STRING, NULL, "the Open_vSwitch database; without it, ovsdb-server is run at unix:RUNDIR/db.sock",
     .argument = "REMOTE[,REMOTE…]"},
    {"db-file", DAEMON_STRING, NULL,
     "file of the database that is run (default " DEFAULT_DB_FILE "; with another rundir, RUNDIR/conf.db)",
     .argument = "FILE"},
    {"schemadir", DAEMON_STRING, WARREN_SCHEMADIR, "directory of open_vswitch.ovsschema", .argument = "DIR"},
    {"datapath", DAEMON_CHOICE, "auto", "what moves the packets; auto: ebpf where the kernel allows it, else userspace",
     .choices = "auto|ebpf|userspace"},
    {"detach-datapath", DAEMON_BOOL, NULL,
     "remove what the eBPF datapath of this rundir left in the kernel, and end: nothing is forwarded any more"},
};

struct switchd {
    struct daemon daemon;
    struct pidfile pidfile;
    struct ovsdb_embedded *database;
    struct switch_ *sw;
    struct unixctl *unixctl;
    struct switch_ctl *switch_ctl;
    struct configurator *configurator;
    char *db;
    bool cleanup;
};

static int start_database(struct switchd *s, const char *rundir)
{
    struct daemon *d = &s->daemon;
    const char *file = daemon_string(d, "db-file");
    _cleanup_free_ char *other_file = xasprintf("%s/conf.db", rundir);
    _cleanup_free_ char *schema = xasprintf("%s/open_vswitch.ovsschema", daemon_string(d, "schemadir"));
    _cleanup_free_ char *socket = xasprintf("%s/db.sock", rundir);
    _cleanup_free_ char *control = xasprintf("%s/ovsdb-server.ctl", rundir);
    _cleanup_free_ char *pidfile = xasprintf("%s/ovsdb-server.pid", rundir);
    _cleanup_free_ char *why = NULL;
    if (!file) {
        file = strcmp(rundir, DEFAULT_RUNDIR) ? other_file : DEFAULT_DB_FILE;
    }
    struct ovsdb_embedded_options o = {
        .db_file = file,
        .schema_file = schema,
        .socket = socket,
        .control = control,
        .pidfile = pidfile,
        .tls_from_ssl_table = true,
        .extra_remote = "db:Open_vSwitch,Open_vSwitch,manager_options",
    };
    int error = ovsdb_embedded_begin(d->base, &o, &s->database, &why);
    if (error) {
        log_err("database: %s", why ? why : strerror(-error));
        return error;
    }
    s->db = xasprintf("unix:%s", socket);
    return 0;
}

static int wait_for_database(struct switchd *s)
{
    _cleanup_free_ char *why = NULL;
    int error = s->database ? ovsdb_embedded_wait(s->database, &why) : 0;

    if (error) {
        log_err("database: %s", why ? why : strerror(-error));
    }
    return error;
}

static void on_exit_timer(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *aux)
{
    daemon_exit(aux, 0);
}

/* `exit [--cleanup]`: the answer must be out first. With --cleanup the kernel's devices also lose the queues that they
 * got by us, and the eBPF datapath, which otherwise goes on forwarding, is taken away. */
static int ctl_exit(void *aux, size_t n, const char *const *args, struct strbuf *out)
{
    struct switchd *s = aux;
    if (n && strcmp(args[0], "--cleanup") != 0) {
        strbuf_addf(out, "unknown option %s", args[0]);
        return -EINVAL;
    }
    s->cleanup = n > 0;
    return event_base_once(s->daemon.base, -1, EV_TIMEOUT, on_exit_timer, &s->daemon,
                           &(struct timeval){.tv_usec = 20000})
               ? -ENOMEM
               : 0;
}

/* Control sockets of processes that were killed: we have the pid file, so theirs are nobody's. */
static void remove_old_sockets(const char *rundir)
{
    DIR *d = opendir(rundir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!fnmatch("ovs-vswitchd.*.ctl", e->d_name, 0)) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    if (d) {
        closedir(d);
    }
}

static int start_control(struct switchd *s, const char *rundir)
{
    remove_old_sockets(rundir);
    _cleanup_free_ char *path = xasprintf("%s/ovs-vswitchd.%d.ctl", rundir, (int)getpid());
    int error = unixctl_create(s->daemon.base, path, &s->unixctl);
    if (error) {
        log_err("control socket %s: %s", path, strerror(-error));
        return error;
    }
    unixctl_register(s->unixctl, "exit", "[--cleanup]", 0, 1, ctl_exit, s);
    error = switch_ctl_create(s->daemon.base, s->unixctl, s->sw, &s->switch_ctl);
    if (error) {
        return error;
    }
    kernel_ctl_register(s->unixctl);
    trace_ctl_register(s->unixctl, s->sw);
    return 0;
}

/* What the eBPF datapath left would go on with flows that nobody knows, beside the userspace datapath: an operator who
 * asks for that one gets it alone. Of itself it does not take the other's place, which loses nothing. */
static int start_switch(struct switchd *s)
{
    const char *class = daemon_string(&s->daemon, "datapath"), *rundir = daemon_string(&s->daemon, "rundir");
    bool choose = !strcmp(class, "auto"), left = dp_ebpf_is_left(rundir);
    int error = 0;

    dp_ebpf_set_rundir(rundir);
    if (left && !strcmp(class, "userspace")) {
        log_info("the userspace datapath takes the place of the eBPF datapath that a switch before left");
        error = dp_ebpf_detach(rundir);
    }
    error = error ? error : switch_create(s->daemon.base, choose ? "ebpf" : class, &s->sw);
    if (error && choose && left) {
        log_err("datapath ebpf: %s: what a switch before left goes on forwarding, and is not replaced by the userspace "
                "datapath, unless with --datapath userspace",
                strerror(-error));
        return error;
    }
    if (error && choose) {
        log_warn("no eBPF datapath (the reason is above): the userspace datapath serves, which is slower");
        class = "userspace";
        error = switch_create(s->daemon.base, class, &s->sw);
    }
    if (error) {
        log_err("datapath %s: %s", class, strerror(-error));
    }
    return error;
}

static void on_configured(void *aux)
{
    daemon_ready(aux);
}

static void on_giving_up(void *aux)
{
    daemon_exit(aux, 1);
}

static int start(struct switchd *s)
{
    const char *rundir = daemon_string(&s->daemon, "rundir");
    _cleanup_free_ char *pidfile = xasprintf("%s/ovs-vswitchd.pid", rundir);
    _cleanup_free_ char *why = NULL;
    int error = make_directories(rundir);
    if (error) {
        log_err("rundir %s: %s", rundir, strerror(-error));
        return error;
    }
    error = pidfile_create(pidfile, &s->pidfile);
    if (error) {
        log_err("pid file %s: %s", pidfile, error == -EBUSY ? "another switch runs in this rundir" : strerror(-error));
        return error;
    }
    const char *db = daemon_string(&s->daemon, "db");
    if (db) {
        s->db = xstrdup(db);
    } else {
        error = start_database(s, rundir);
    }
    error = error ? error : start_switch(s);
    error = error ? error : wait_for_database(s); /* it began while programs were loaded */
    error = error ? error : start_control(s, rundir);
    if (error) {
        return error;
    }
    struct configurator_options o = {.db = s->db,
                                     .rundir = rundir,
                                     .own_database = !db,
                                     .ready = on_configured,
                                     .gives_up = on_giving_up,
                                     .aux = &s->daemon};
    error = configurator_create(s->daemon.base, s->sw, &o, &s->configurator, &why);
    if (error) {
        log_err("%s", why ? why : strerror(-error));
    } else {
        configurator_ctl_register(s->configurator, s->unixctl);
    }
    return error;
}

/* --detach-datapath */
static int detach(struct switchd *s)
{
    const char *rundir = daemon_string(&s->daemon, "rundir");
    _cleanup_free_ char *path = xasprintf("%s/ovs-vswitchd.pid", rundir);
    struct stat st;
    int error;

    if (!stat(rundir, &st)) {
        error = pidfile_create(path, &s->pidfile);
        if (error) {
            log_err("pid file %s: %s", path, error == -EBUSY ? "a switch runs in this rundir" : strerror(-error));
            return error;
        }
    }
    error = dp_ebpf_detach(rundir);
    pidfile_remove(&s->pidfile);
    return error;
}

static void stop(struct switchd *s)
{
    if (s->cleanup && s->configurator) {
        configurator_cleanup(s->configurator);
    }
    if (s->configurator) {
        configurator_save_flows(s->configurator);
    }
    if (s->sw && !s->cleanup) {
        dp_leave(s->sw->dp);
    }
    unixctl_destroy(s->unixctl);
    configurator_destroy(s->configurator);
    switch_ctl_destroy(s->switch_ctl);
    switch_destroy(s->sw);
    slow_close_wait();
    ovsdb_embedded_destroy(s->database);
    pidfile_remove(&s->pidfile);
    free(s->db);
}

int main(int argc, char **argv)
{
    struct switchd s = {0};
    int status = daemon_init(&s.daemon, "warren-switchd", "the virtual switch of a hypervisor", options,
                             ARRAY_SIZE(options), argc, argv);
    if (status != DAEMON_GO) {
        return status;
    }
    if (daemon_bool(&s.daemon, "detach-datapath")) {
        status = detach(&s) ? 1 : 0;
        daemon_done(&s.daemon);
        return status;
    }
    status = start(&s) ? 1 : daemon_run(&s.daemon);
    stop(&s);
    daemon_done(&s.daemon);
    return status;
}
