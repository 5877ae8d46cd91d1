/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_LOOKUP_H
#define WARREN_CLI_LOOKUP_H
/* What one kind of resource needs to know of another: networks and subnets by name. */
#include "cli/resource.h"

extern const struct resource network_resource, subnet_resource;

/* Appends "network_id=ID" for --network NETWORK, if it was given. The exit status; said. */
int lookup_query_network(struct api *api, const struct args *args, struct strbuf *path);

#endif
