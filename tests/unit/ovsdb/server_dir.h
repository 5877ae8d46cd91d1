/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_OVSDB_SERVER_DIR_H
#define WARREN_TESTS_OVSDB_SERVER_DIR_H
/* A directory with all that an ovsdb-server of a test needs. Behind cmocka's headers. */
#include <stdio.h>
#include <stdlib.h>

#include "base/child.h"
#include "ovsdb/embedded.h"

struct server_dir {
    char dir[64], db[96], schema[96], socket[96], control[96], pidfile[96], remote[128];
};

static inline void server_dir_make(struct server_dir *d)
{
    strcpy(d->dir, "/tmp/warren-test-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->db, sizeof d->db, "%s/test.db", d->dir);
    snprintf(d->schema, sizeof d->schema, "%s/test.ovsschema", d->dir);
    snprintf(d->socket, sizeof d->socket, "%s/db.sock", d->dir);
    snprintf(d->control, sizeof d->control, "%s/ctl", d->dir);
    snprintf(d->pidfile, sizeof d->pidfile, "%s/pid", d->dir);
    snprintf(d->remote, sizeof d->remote, "unix:%s", d->socket);
}

/* A server in it for the database of that SCHEMA, a file. */
static inline struct ovsdb_embedded *server_dir_start(const struct server_dir *d, struct event_base *base,
                                                      const char *schema)
{
    const struct ovsdb_embedded_options o = {
        .db_file = d->db, .schema_file = schema, .socket = d->socket, .control = d->control, .pidfile = d->pidfile};
    struct ovsdb_embedded *server = NULL;
    char *why = NULL;

    if (ovsdb_embedded_start(base, &o, &server, &why)) {
        fail_msg("%s", why);
    }
    return server;
}

static inline void server_dir_remove(const struct server_dir *d)
{
    const char *const argv[] = {"rm", "-rf", d->dir, NULL};

    child_run(argv, NULL);
}

#endif
