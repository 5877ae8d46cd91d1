/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_COMMANDS_H
#define WARREN_CLI_COMMANDS_H
/* Every command there is; main.c's table has them in the order of the help. */
#include "cli/cli.h"

extern const struct command network_list, network_show, network_create, network_delete;
extern const struct command subnet_list, subnet_show, subnet_create, subnet_delete;
extern const struct command port_list, port_show, port_create, port_delete;
extern const struct command agent_list, agent_show, agent_delete;
extern const struct command show, dump_flows;

#endif
