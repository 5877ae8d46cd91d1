/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent says of itself in the overlay database, against a real ovsdb-server: its clock may be set meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../ovsdb/event_loop.h"
#include "../ovsdb/server_dir.h"
#include "agent/agent.h"

#define RUN_UNTIL(w, condition) RUN_FOR(w, 10, condition, "")
#define HOUR_MS INT64_C(3600000)

struct world {
    struct event_base *base;
    struct event *tick;
    struct server_dir at;
    struct ovsdb_embedded *server;
    struct ovsdb_client *client; /* reads what the agent wrote */
    struct overlay *overlay;
};

static int64_t stepped_ms;

int64_t __real_time_wall_ms(void);
int64_t __wrap_time_wall_ms(void);
int64_t __wrap_time_wall_ms(void)
{
    return __real_time_wall_ms() + stepped_ms;
}

/* In place of agent.c's. */
void agent_poke(struct agent *a WR_UNUSED) {}
void agent_retry(struct agent *a WR_UNUSED) {}
void agent_announce(struct agent *a WR_UNUSED, const struct state_port *p WR_UNUSED) {}

static const struct agent_config config_of_hv1 = {.host = "hv1", .local_ip = "192.0.2.1", .heartbeat_s = 1};

static int setup(void **state)
{
    static const struct ovsdb_client_callbacks callbacks;
    struct world *w = xcalloc(1, sizeof *w);
    const char *source = getenv("WARREN_SOURCE");
    _cleanup_free_ char *schema = xasprintf("%s/schema/warren.ovsschema", source ? source : ".");

    w->base = event_base_new();
    w->tick = tick_new(w->base);
    server_dir_make(&w->at);
    w->server = server_dir_start(&w->at, w->base, schema);
    assert_int_equal(ovsdb_client_new(w->base, w->at.remote, "Warren", &callbacks, w, &w->client, NULL), 0);
    ovsdb_client_monitor(w->client, "Agent", NULL);
    ovsdb_client_monitor(w->client, "Heartbeat", NULL);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    overlay_destroy(w->overlay);
    ovsdb_client_destroy(w->client);
    ovsdb_embedded_destroy(w->server);
    event_free(w->tick);
    event_base_free(w->base);
    server_dir_remove(&w->at);
    free(w);
    return 0;
}

static int64_t column(const struct world *w, const char *table, const char *name)
{
    const struct ovsdb_row *row = ovsdb_client_first(w->client, table);

    return row ? ovsdb_row_int(row, name, 0) : 0;
}

/* How long it has been running, by what it says. */
static int64_t age(const struct world *w)
{
    return column(w, "Heartbeat", "at") - column(w, "Agent", "started_at");
}

static bool is_stepped(const struct world *w)
{
    return llabs(column(w, "Heartbeat", "at") - time_wall_ms() / 1000) <= 10;
}

/* Controllers tell the time of its start from how long before its heartbeats that was. */
static void test_clock_is_set(void **state)
{
    static const int64_t steps[] = {HOUR_MS, -HOUR_MS, 0};
    struct world *w = *state;
    struct agent_config config = config_of_hv1;
    char *why = NULL;

    config.overlay_db = w->at.remote;
    assert_int_equal(overlay_create(w->base, NULL, &config, &w->overlay, &why), 0);
    ovsdb_client_start(w->client);
    RUN_UNTIL(w, column(w, "Heartbeat", "at") && column(w, "Agent", "started_at"));
    assert_in_range(age(w), 0, 10);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        stepped_ms = steps[i];
        RUN_UNTIL(w, is_stepped(w));
        assert_in_range(age(w), 0, 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_clock_is_set, setup, teardown)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
