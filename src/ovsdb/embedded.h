/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_EMBEDDED_H
#define WARREN_OVSDB_EMBEDDED_H
/*
 * The embedded default of a daemon that was given no database: makes the file by `ovsdb-tool create`, and its
 * directory, if it is missing and runs `ovsdb-server` on it as a child, restarted when it dies, ended with us.
 * A file of an older version of the schema is upgraded first (ovsdb/upgrade.h).
 * If a live ovsdb-server answers at the socket already, that one is used and none is started.
 *
 * ovsdb-server serves without a remote that it cannot listen on, and tries again for as long as it lives. What
 * somebody else listens on it would never get: that is an error. An address that is still to come is not.
 */
#include "base/util.h"

struct event_base;
struct ovsdb_embedded;

struct ovsdb_embedded_options {
    const char *db_file;     /* /…/conf.db */
    const char *schema_file; /* used when db_file is missing, or of an older version */
    const char *socket;      /* db.sock; the remote is unix:SOCKET */
    const char *control;     /* control socket for ovs-appctl, or NULL for none */
    const char *pidfile;     /* or NULL */
    bool tls_from_ssl_table; /* the server's keys for ssl: managers are those of the Open_vSwitch schema's SSL row */
    const char *private_key, *certificate, *ca_cert; /* else: PEM files with them for a pssl: extra_remote, or NULL */
    const char *extra_remote; /* "db:Open_vSwitch,Open_vSwitch,manager_options", a ptcp: …; or NULL */
};

/* Lets the server begin, which takes as long as a process and its file take. On failure *RET_ERROR says why, the
 * caller's to free. */
int ovsdb_embedded_begin(struct event_base *base, const struct ovsdb_embedded_options *o, struct ovsdb_embedded **ret,
                         char **ret_error);
/* Returns when the socket answers, so that a client may connect at once (blocks at most 10 s, -ETIMEDOUT). */
int ovsdb_embedded_wait(struct ovsdb_embedded *e, char **ret_error);
/* Is everything listened on that the options name? 0, or why not (remote_check_listener()). */
int ovsdb_embedded_listens(const struct ovsdb_embedded *e);
/* Begin and wait. */
int ovsdb_embedded_start(struct event_base *base, const struct ovsdb_embedded_options *o, struct ovsdb_embedded **ret,
                         char **ret_error);
/* Ends the server. NULL is fine. */
void ovsdb_embedded_destroy(struct ovsdb_embedded *e);
DEFINE_CLEANUP(struct ovsdb_embedded *, ovsdb_embedded_destroy)

#endif
