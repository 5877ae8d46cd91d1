/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_FAKE_DATAPATH_H
#define WARREN_TESTS_FAKE_DATAPATH_H
/*
 * A datapath in memory: ports are numbers, flows are a list that fake_receive() looks packets up in, and what is
 * executed is kept as text. Counters of megaflows are exact, so tests can compare them with what the rules got.
 */
#include "datapath/datapath.h"
#include "switch/switch_private.h"

extern const struct dp_class fake_dp_class;

/* A packet comes in: matched against the flows (counted, executed), or given to the switch as a miss. */
void fake_receive(struct switch_ *sw, struct packet *p);
/* What was executed since the last call: the action lists' texts, joined with "; ". */
const char *fake_take_executed(struct switch_ *sw);
size_t fake_n_flows(struct switch_ *sw);
/* The clock of the flows' "used". */
void fake_set_now(struct switch_ *sw, int64_t now);
/* The datapath's number of a port. */
unsigned int fake_port_count(struct switch_ *sw);

#endif
