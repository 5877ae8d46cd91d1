/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_ETH_ADDR_H
#define WARREN_BASE_ETH_ADDR_H
/*
 * The text of MAC addresses, one for all programs: what an API takes, a database row says and an agent reads must be
 * the same address or none. Accepted is what Open vSwitch takes ("2:0:0:0:0:1") and what Neutron takes (netaddr's
 * forms):
 *
 *   six groups of 1 or 2 hexadecimal digits, parted by ':' or '-'
 *   three of 1 to 4, parted by ':', '-' or '.'
 *   two of 5 or 6, parted by ':' or '-'
 *   11 or 12 digits
 */
#include "base/types.h"

#define ETH_ADDR_STR_LEN 17

/* 0 or -EINVAL. */
int eth_addr_parse(const char *s, struct eth_addr *ret);
/* Returns BUF: "02:00:00:00:00:01". */
const char *eth_addr_format(const struct eth_addr *a, char buf[ETH_ADDR_STR_LEN + 1]);
#define ETH_ADDR_STR(a) eth_addr_format((a), (char[ETH_ADDR_STR_LEN + 1]){0})

#endif
