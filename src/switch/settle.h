/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_SETTLE_H
#define WARREN_SWITCH_SETTLE_H
/*
 * When the tables are complete after a start.
 *
 * A datapath that outlived the switch before us goes on forwarding by that one's flows. They may be measured by our
 * tables only when those are what they should be: controllers need seconds to come back and program them again. So:
 * not while flow-restore-wait asks to wait; then once the tables have been left alone for QUIET_MS and have flows, or
 * are all as that one left them (flow_save.h); or after EMPTY_MS if nobody gives us any.
 *
 * First packets of new flows cannot wait so long. They wait until the ports are there, and all bridges have flows,
 * either as they were left, or some that have been left alone for PAUSE_MS; for WAIT_MS at most. Who comes later while
 * flow-restore-wait asks to wait is dropped with that reason.
 */
#include "switch/bridge.h"

#define SETTLE_QUIET_MS 3000
#define SETTLE_EMPTY_MS 30000
#define SETTLE_PAUSE_MS 100
#define SETTLE_WAIT_MS 3000

/* Once a second, until the datapath says that nothing is left to settle. */
void switch_settle(struct switch_ *sw, int64_t now);
/* After each run of the configuration: all bridges and ports that can be there are. */
void switch_configured(struct switch_ *sw);
/* ERROR kept a port, or the flows that a bridge was left (FLOWS), from being there. If the machine is merely short of
 * something, and there is anything to be taken over, that is better left as it is: `settle.shortage`. */
void switch_settle_failed(struct switch_ *sw, int error, bool flows);
void switch_settle_done(struct switch_ *sw); /* with the switch */

#endif
