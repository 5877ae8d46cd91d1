/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_SYSTEM_STATS_H
#define WARREN_SWITCH_SYSTEM_STATS_H
/*
 * Open_vSwitch.statistics: what ovs-vswitchd.conf.db(5) says of the host as a whole: processors, load, memory, the
 * daemons whose pid files are in the run directory, and local file systems. What cannot be read is left out.
 */
#include "switch/row_writer.h"

/* Writes the column; empty unless ENABLED. */
void system_stats_write(struct row_writer *w, const char *rundir, bool enabled);

#endif
