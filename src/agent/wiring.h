/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_AGENT_WIRING_H
#define WARREN_AGENT_WIRING_H
/*
 * Since which pass each local port is wired: it has its OpenFlow port and its tag, and so the flows of that pass and
 * all since let it speak. When the flows of that pass are in the switch, so are the port's, however many passes came
 * since whose flows are not there yet. Pure.
 */
#include "agent/state.h"

struct wiring; /* an empty one is NULL */

/* PASS, larger than the one before, sees S. */
void wiring_pass(struct wiring **w, const struct state *s, uint64_t pass);
/* 0: port ID is not wired. Else *RET_AT (when not NULL) is its place in the state of the last pass. */
uint64_t wiring_since(struct wiring *w, const char *id, size_t *ret_at);
void wiring_free(struct wiring *w);

#endif
