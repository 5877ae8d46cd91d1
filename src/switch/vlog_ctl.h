/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_VLOG_CTL_H
#define WARREN_SWITCH_VLOG_CTL_H
/*
 * The vlog commands of the control socket, as ovs-appctl(8) describes them: levels of modules at run time.
 *
 * There is one destination, the console (stderr, which whoever started us collects and rotates), and its lines have one
 * form. So `syslog` and `file` have the level OFF, and setting another one, or a pattern, is an error.
 */
struct unixctl;

void vlog_ctl_register(struct unixctl *u);

#endif
