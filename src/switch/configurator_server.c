/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenFlow side of a bridge's row: controllers and listeners, and what fail_mode means for the flows.
 *
 * Without controllers, `standalone` is one NORMAL flow of priority 0 and `secure` is nothing; going from one to the
 * other, or from no controller to some and back, flushes the tables. With controllers, `standalone` lets them lose
 * contact for three probe intervals; then a hidden NORMAL rule above all others takes over until one is back (fail
 * open).
 *
 * Of a bridge without controllers nobody would tell the flows again after a restart: they are saved (flow_save.h), and
 * put back before anything is forwarded by the new tables.
 */
#include <stdio.h>

#include "base/log.h"
#include "switch/configurator_private.h"
#include "switch/flow_save.h"
#include "switch/flow_table.h"
#include "switch/group_table.h"
#include "switch/meter_table.h"
#include "switch/ofserver.h"
#include "switch/row_writer.h"
#include "switch/settle.h"

LOG_MODULE("fail_mode");

#define FAIL_OPEN_PRIORITY 0xf0f0f0
#define DEFAULT_PROBE_MS 5000
#define DEFAULT_BACKOFF_MS 8000

static bool is_primary(const struct ovsdb_row *row, const char *target)
{
    const char *type = ovsdb_row_string(row, "type");
    if (type) {
        return !strcmp(type, "primary");
    }
    return target[0] != 'p';
}

/* Bridges listen on sockets of their own names only: a row is no way to write elsewhere in the file system. */
static bool target_is_allowed(const struct configurator *c, const struct cbridge *cb, const char *target)
{
    if (strncmp(target, "punix:", 6) != 0) {
        return true;
    }
    _cleanup_free_ char *prefix = xasprintf("%s/%s.", c->rundir, cb->name);
    return !strncmp(target + 6, prefix, strlen(prefix)) && !strchr(target + 6 + strlen(prefix), '/');
}

static size_t read_targets(struct configurator *c, struct cbridge *cb, struct ofserver_target *targets)
{
    size_t n = 0;
    cb->n_primary = 0;
    cb->max_probe_ms = 0;
    for (size_t i = 0; i < ovsdb_row_size(cb->row, "controller"); i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, cb->row, "controller", i, "Controller");
        const char *target = row ? ovsdb_row_string(row, "target") : NULL;
        if (!target) {
            continue;
        }
        if (!target_is_allowed(c, cb, target)) {
            log_limited(LOG_LEVEL_WARN, "bridge %s: controller %s refused: only punix:%s/%s.* is allowed", cb->name,
                        target, c->rundir, cb->name);
            continue;
        }
        int64_t probe = config_duration(ovsdb_row_int(row, "inactivity_probe", DEFAULT_PROBE_MS));
        targets[n++] = (struct ofserver_target){
            .target = target,
            .probe_ms = probe,
            .max_backoff_ms = MIN(ovsdb_row_int(row, "max_backoff", DEFAULT_BACKOFF_MS), LONGEST_MS),
            .rate_limit = ovsdb_row_int(row, "controller_rate_limit", 0),
            .burst_limit = ovsdb_row_int(row, "controller_burst_limit", 0),
            .no_async = !ovsdb_row_bool(row, "enable_async_messages", true),
        };
        if (is_primary(row, target)) {
            cb->n_primary++;
            cb->max_probe_ms = MAX(cb->max_probe_ms, probe);
        }
    }
    return n;
}

static void add_normal(struct cbridge *cb, int32_t priority)
{
    struct ofpacts acts = {0};
    struct ofpact_output *out = ofpact_put(&acts, OFPACT_OUTPUT, sizeof *out);
    out->port = OFPP_NORMAL;
    struct flow_change change = {.command = FLOW_MOD_ADD,
                                 .priority = priority,
                                 .out_port = OFPP_ANY,
                                 .actions = acts.data,
                                 .actions_len = acts.len};
    int error = flow_table_apply(cb->bridge, &change, time_mono_ms());
    if (error) {
        log_err("bridge %s: the NORMAL flow cannot be added: %d", cb->name, error);
    }
    ofpacts_done(&acts);
}

static void remove_normal(struct cbridge *cb, int32_t priority)
{
    struct flow_change change = {.command = FLOW_MOD_DELETE_STRICT, .priority = priority, .out_port = OFPP_ANY};
    flow_table_apply(cb->bridge, &change, time_mono_ms());
}

/* Of all that OpenFlow put there. */
static void flush(struct bridge *br)
{
    flow_table_flush(br, true);
    group_table_flush(br);
    meter_table_flush(br);
}

/* ---- saved flows ---- */

void cbridge_stop_saving(struct cbridge *cb, bool remove)
{
    struct flow_saver *saver = cb->bridge ? cb->bridge->saver : NULL; /* NULL: a controller will tell its flows */

    if (!remove) {
        flow_saver_write(saver);
    }
    flow_saver_destroy(saver, remove);
}

/* The flows that the process before us left, if the bridge is the same one and wants the same as then. */
static bool restore(struct cbridge *cb, const char *path, const char *identity)
{
    int64_t now = time_mono_ms();
    size_t n = 0;
    int error;

    if (cb->bridge->sw->restore_wait) {
        return false; /* somebody else will put them back */
    }
    error = flow_restore(cb->bridge, path, identity, now, &n);
    if (!error) {
        log_info("bridge %s: %zu flows are back, in %lld ms", cb->name, n, (long long)(time_mono_ms() - now));
    } else if (error != -ENOENT) {
        switch_settle_failed(cb->bridge->sw, error, true);
    }
    if (error == -ESTALE) {
        log_info("bridge %s: %s is another bridge's, or of another boot or fail_mode: removed", cb->name, path);
    }
    return !error;
}

static char *saved_path(const struct configurator *c, const struct cbridge *cb)
{
    return xasprintf("%s/%s.flows", c->rundir, cb->name);
}

/* The bridge got a controller while nobody looked. */
static void remove_saved(const struct configurator *c, const struct cbridge *cb)
{
    _cleanup_free_ char *path = saved_path(c, cb);

    if (unlink(path) && errno != ENOENT) {
        log_warn("%s cannot be removed: %s", path, strerror(errno));
    }
}

/* FRESH: the bridge was just made. True: it has its flows again. */
static bool start_saving(const struct configurator *c, struct cbridge *cb, bool fresh)
{
    _cleanup_free_ char *path = saved_path(c, cb);
    _cleanup_free_ char *boot = flow_save_boot_id();
    _cleanup_free_ char *identity = xasprintf("bridge %s boot %s %s", UUID_STR(ovsdb_row_uuid(cb->row)), boot,
                                              cb->bridge->fail_mode == FAIL_SECURE ? "secure" : "standalone");
    bool restored = fresh && restore(cb, path, identity);

    if (!cb->bridge->sw->settle.shortage) { /* else the file is the next process's */
        flow_saver_create(cb->bridge, path, identity, restored);
    }
    return restored;
}

/* ---- fail_mode ---- */

static void apply_fail_mode(const struct configurator *c, struct cbridge *cb)
{
    const char *mode = ovsdb_row_string(cb->row, "fail_mode");
    enum fail_mode wanted = mode && !strcmp(mode, "secure") ? FAIL_SECURE : FAIL_STANDALONE;
    bool controlled = cb->n_primary > 0;
    bool fresh = !cb->fail_mode_applied;
    bool changed = controlled != cb->controlled || (!controlled && wanted != cb->bridge->fail_mode);
    cb->bridge->fail_mode = wanted;
    cb->controlled = controlled;
    cb->fail_mode_applied = true;
    if (!fresh && !changed) {
        return;
    }
    if (!fresh) {
        log_info("bridge %s: now %s %s controller: flows flushed", cb->name,
                 wanted == FAIL_SECURE ? "secure" : "standalone", controlled ? "with" : "without");
        cbridge_stop_saving(cb, true);
        flush(cb->bridge);
    }
    cb->fail_open = false;
    cb->contact_ms = time_mono_ms();
    cb->bridge->restored_ms = 0;
    if (controlled) {
        remove_saved(c, cb);
        return;
    }
    if (start_saving(c, cb, fresh)) {
        cb->bridge->restored_ms = time_mono_ms();
    } else if (wanted == FAIL_STANDALONE) {
        add_normal(cb, 0);
    }
}

void cbridge_apply_server(struct configurator *c, struct cbridge *cb)
{
    struct ofserver_target *targets = xcalloc(ovsdb_row_size(cb->row, "controller") + 1, sizeof *targets);
    size_t n = read_targets(c, cb, targets);
    apply_fail_mode(c, cb);
    if (!cb->server) {
        int error = ofserver_create(cb->bridge, c->rundir, &cb->server);
        if (error) {
            log_limited(LOG_LEVEL_ERR, "bridge %s: no OpenFlow server at %s/%s.mgmt: %s", cb->name, c->rundir, cb->name,
                        strerror(-error));
        }
        cb->served_versions = cb->bridge->of_versions;
        cb->served_id = cb->bridge->datapath_id;
    } else if (cb->served_versions != cb->bridge->of_versions || cb->served_id != cb->bridge->datapath_id) {
        ofserver_reconnect(cb->server);
        cb->served_versions = cb->bridge->of_versions;
        cb->served_id = cb->bridge->datapath_id;
    }
    if (cb->server) {
        ofserver_set_targets(cb->server, targets, c->sw->restore_wait ? 0 : n);
    }
    free(targets);
}

void cbridge_stop_server(struct cbridge *cb)
{
    ofserver_destroy(cb->server);
    cb->server = NULL;
}

static void check_fail_open(struct cbridge *cb, int64_t now)
{
    if (!cb->bridge || !cb->server || !cb->controlled || cb->bridge->sw->restore_wait ||
        cb->bridge->fail_mode != FAIL_STANDALONE) {
        return;
    }
    if (ofserver_has_controller(cb->server)) {
        cb->contact_ms = now;
        if (cb->fail_open) {
            log_info("bridge %s: a controller is back", cb->name);
            cb->fail_open = false;
            remove_normal(cb, FAIL_OPEN_PRIORITY);
        }
    } else if (!cb->fail_open && now - cb->contact_ms >= 3 * cb->max_probe_ms) {
        log_warn("bridge %s: no controller for %lld s: switching by itself", cb->name,
                 (long long)(now - cb->contact_ms) / 1000);
        cb->fail_open = true;
        flush(cb->bridge);
        add_normal(cb, FAIL_OPEN_PRIORITY);
    }
}

/* Does the database still say what the connections are? */
static bool status_is_stale(const struct configurator *c, const struct cbridge *cb)
{
    for (size_t i = 0; cb->server && cb->row && i < ovsdb_row_size(cb->row, "controller"); i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, cb->row, "controller", i, "Controller");
        const char *target = row ? ovsdb_row_string(row, "target") : NULL;
        struct ofserver_status status;
        if (target && !ofserver_get_status(cb->server, target, &status) &&
            status.is_connected != ovsdb_row_bool(row, "is_connected", false)) {
            return true;
        }
    }
    return false;
}

bool servers_tick(struct configurator *c, bool rows_are_valid)
{
    bool stale = false;
    for (struct cbridge *cb = c->bridges; cb; cb = cb->hh.next) {
        check_fail_open(cb, time_mono_ms());
        stale = stale || (rows_are_valid && status_is_stale(c, cb));
    }
    return stale;
}

static void write_controller(struct ovsdb_txn *txn, const struct ovsdb_row *row, const struct ofserver_status *s)
{
    char connect[24], disconnect[24];
    int64_t now = time_mono_ms();
    struct row_writer w = row_writer_of(txn, "Controller", row);
    snprintf(connect, sizeof connect, "%lld", (long long)(now - s->connected_ms) / 1000);
    snprintf(disconnect, sizeof disconnect, "%lld", (long long)(now - s->disconnected_ms) / 1000);
    row_write_bool(&w, "is_connected", s->is_connected);
    row_write_opt_string(&w, "role", s->is_connected ? s->role : NULL);
    row_write_map(&w, "status",
                  (struct row_map_pair[]){
                      {"last_error", s->last_error},
                      {"sec_since_connect", s->connected_ms ? connect : NULL},
                      {"sec_since_disconnect", s->disconnected_ms ? disconnect : NULL},
                      {"state", s->state},
                  },
                  4);
}

void server_write_status(struct configurator *c, struct cbridge *cb, struct ovsdb_txn *txn)
{
    for (size_t i = 0; cb->server && i < ovsdb_row_size(cb->row, "controller"); i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, cb->row, "controller", i, "Controller");
        const char *target = row ? ovsdb_row_string(row, "target") : NULL;
        struct ofserver_status status;
        if (target && !ofserver_get_status(cb->server, target, &status)) {
            write_controller(txn, row, &status);
        }
    }
}
