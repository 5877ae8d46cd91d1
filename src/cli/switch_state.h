/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_SWITCH_STATE_H
#define WARREN_CLI_SWITCH_STATE_H
/*
 * What the Open_vSwitch database says of a switch as one plain JSON value, and that value as tables. Both are pure, so
 * that `show
 * --json` and `show` cannot tell different stories.
 */
#include "base/strbuf.h"
#include "ovsdb/client.h"

/* Monitors what switch_state() reads. Before ovsdb_client_start(). */
void switch_state_monitor(struct ovsdb_client *c);
/* {"bridges": [{"name", "datapath_id", "fail_mode", "controllers": […], "ports": [{"name", "tag", …, "interfaces":
 * […]}]}]} sorted by name; columns keep OVSDB's names, empty optional ones are null. A new reference. */
json_t *switch_state(const struct ovsdb_client *c);
/* Tables of bridges, of ports, of tunnels; a table that would be empty is left out. */
void switch_state_format(const json_t *state, struct strbuf *b);

#endif
