/* SPDX-License-Identifier: Apache-2.0 */
#include "ovsdb/embedded.h"

#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/child.h"
#include "base/log.h"
#include "base/stream.h"
#include "ovsdb/client.h"
#include "ovsdb/upgrade.h"

LOG_MODULE("ovsdb_embedded");

#define START_WAIT_MS 10000
#define LEAVE_WAIT_MS 1000
#define MAX_ARGS 16

struct ovsdb_embedded {
    struct child *server; /* NULL: somebody else's server is at the socket */
    struct remote remote;
    bool has_extra; /* the extra remote is one to listen on, not a column of a database */
    struct remote extra;
};

/* Does a server answer there? (RFC 7047, 4.1.11.) One of a process before us that was killed still listens when it is
 * about to end. */
static bool answers(const struct remote *remote)
{
    static const char echo[] = "{\"method\":\"echo\",\"params\":[],\"id\":0}";
    static const struct timeval patience = {.tv_sec = START_WAIT_MS / 1000};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char reply[64]; /* all of it: the server warns of a peer that leaves without having read */

    return fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) &&
           !connect(fd, (const struct sockaddr *)&remote->addr, remote->addr_len) &&
           send(fd, echo, sizeof echo - 1, MSG_NOSIGNAL) == sizeof echo - 1 && recv(fd, reply, sizeof reply, 0) > 0;
}

static int make_database(const struct ovsdb_embedded_options *o, char **ret_error)
{
    const char *const argv[] = {"ovsdb-tool", "create", o->db_file, o->schema_file, NULL};
    _cleanup_free_ char *why = NULL;

    if (!access(o->db_file, F_OK)) {
        ovsdb_upgrade(o->db_file, o->schema_file);
        return 0;
    }
    if (access(o->schema_file, R_OK)) {
        int error = -errno;
        *ret_error = xasprintf("schema %s: %s", o->schema_file, strerror(errno));
        return error;
    }
    int error = make_parents(o->db_file);
    if (error) {
        *ret_error = xasprintf("directory of %s: %s", o->db_file, strerror(-error));
        return error;
    }
    error = child_run(argv, &why);
    if (error) {
        *ret_error = xasprintf("cannot make the database %s: %s", o->db_file, why);
    } else {
        log_info("made the database %s from %s", o->db_file, o->schema_file);
    }
    return error;
}

/* The server ends at once when the database is damaged or locked by another: no use to wait for the socket then. */
static int wait_for_socket(const struct remote *remote, struct child *server, char **ret_error)
{
    pid_t pid = child_pid(server);

    for (int64_t end = time_mono_ms() + START_WAIT_MS; time_mono_ms() < end;) {
        char path[64], state = 0;

        if (answers(remote)) {
            return 0;
        }
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *f = fopen(path, "re");
        if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1 || state == 'Z') {
            if (f) {
                fclose(f);
            }
            *ret_error = xstrdup("ovsdb-server ended at once; its message is above");
            return -EIO;
        }
        fclose(f);
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
    }
    *ret_error = xstrdup("ovsdb-server does not answer within 10 s");
    return -ETIMEDOUT;
}

static int start_server(struct event_base *base, const struct ovsdb_embedded_options *o, struct child **ret)
{
    _cleanup_free_ char *remote = xasprintf("--remote=punix:%s", o->socket);
    _cleanup_free_ char *control = xasprintf("--unixctl=%s", o->control ? o->control : "none");
    _cleanup_free_ char *pidfile = o->pidfile ? xasprintf("--pidfile=%s", o->pidfile) : NULL;
    _cleanup_free_ char *key = o->private_key ? xasprintf("--private-key=%s", o->private_key) : NULL;
    _cleanup_free_ char *certificate = o->certificate ? xasprintf("--certificate=%s", o->certificate) : NULL;
    _cleanup_free_ char *ca_cert = o->ca_cert ? xasprintf("--ca-cert=%s", o->ca_cert) : NULL;
    _cleanup_free_ char *extra = o->extra_remote ? xasprintf("--remote=%s", o->extra_remote) : NULL;
    const char *argv[MAX_ARGS] = {"ovsdb-server",       "-vconsole:warn", "-vsyslog:off",
                                  "-vfatal_signal:err", remote,           control};
    size_t n = 6;

    const char *const optional[] = {pidfile, extra, key, certificate, ca_cert};
    for (size_t i = 0; i < ARRAY_SIZE(optional); i++) {
        if (optional[i]) {
            argv[n++] = optional[i];
        }
    }
    if (o->tls_from_ssl_table) {
        argv[n++] = "--private-key=db:Open_vSwitch,SSL,private_key";
        argv[n++] = "--certificate=db:Open_vSwitch,SSL,certificate";
        argv[n++] = "--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert";
    }
    argv[n++] = o->db_file;
    return child_start(base, "ovsdb-server", argv, NULL, NULL, ret);
}

/* A server of ours that was killed may still be about to leave its place. */
static int check_free(const struct remote *remote)
{
    for (int64_t end = time_mono_ms() + LEAVE_WAIT_MS; !remote_check_listener(remote);) {
        if (time_mono_ms() > end) {
            return -EADDRINUSE;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
    }
    return 0;
}

int ovsdb_embedded_begin(struct event_base *base, const struct ovsdb_embedded_options *o, struct ovsdb_embedded **ret,
                         char **ret_error)
{
    _cleanup_free_ char *text = xasprintf("unix:%s", o->socket);
    _cleanup_(ovsdb_embedded_destroyp) struct ovsdb_embedded *e = xcalloc(1, sizeof *e);
    _cleanup_free_ char *why = NULL;
    int error = remote_parse(text, 0, &e->remote, &why);

    if (!error && answers(&e->remote)) {
        log_info("%s: a server is there already, using it", text);
        *ret = TAKE_PTR(e);
        return 0;
    }
    e->has_extra = o->extra_remote && !remote_parse(o->extra_remote, OVSDB_PORT, &e->extra, NULL) && e->extra.passive;
    if (!error && e->has_extra && e->extra.kind != REMOTE_UNIX && (error = check_free(&e->extra))) {
        why = xasprintf("%s: %s", o->extra_remote, strerror(-error));
    }
    if (!error) {
        error = make_database(o, &why);
    }
    if (!error) {
        error = start_server(base, o, &e->server);
        if (error) {
            why = xasprintf("cannot run ovsdb-server: %s", strerror(-error));
        }
    }
    if (error) {
        if (ret_error) {
            *ret_error = TAKE_PTR(why);
        }
        return error;
    }
    *ret = TAKE_PTR(e);
    return 0;
}

int ovsdb_embedded_wait(struct ovsdb_embedded *e, char **ret_error)
{
    _cleanup_free_ char *why = NULL;
    int error = e->server ? wait_for_socket(&e->remote, e->server, &why) : 0;

    if (error && ret_error) {
        *ret_error = TAKE_PTR(why);
    }
    return error;
}

int ovsdb_embedded_listens(const struct ovsdb_embedded *e)
{
    return e->has_extra ? remote_check_listener(&e->extra) : 0;
}

int ovsdb_embedded_start(struct event_base *base, const struct ovsdb_embedded_options *o, struct ovsdb_embedded **ret,
                         char **ret_error)
{
    _cleanup_(ovsdb_embedded_destroyp) struct ovsdb_embedded *e = NULL;
    int error = ovsdb_embedded_begin(base, o, &e, ret_error);

    error = error ? error : ovsdb_embedded_wait(e, ret_error);
    if (!error) {
        *ret = TAKE_PTR(e);
    }
    return error;
}

void ovsdb_embedded_destroy(struct ovsdb_embedded *e)
{
    if (e) {
        child_destroy(e->server);
        free(e);
    }
}
