/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_FORMAT_H
#define WARREN_DATAPATH_FORMAT_H
/* Megaflows as text, in the style of `ovs-appctl dpctl/dump-flows`. For people and tests; nothing parses it back. */
#include "base/strbuf.h"
#include "datapath/datapath.h"

/* Appends KEY where MASK has bits: "recirc_id(0),in_port(2),eth(dst=…),eth_type(0x0800),ipv4(…)". Partial masks as
 * value/mask. */
void dp_key_format(const struct flow_key *key, const struct flow_key *mask, struct strbuf *b);
/* Names of ports: NULL from `name` for what has none. */
struct dp_port_names {
    const char *(*name)(void *aux, dp_port_t port);
    void *aux;
};
/* The same with names where there are any ("in_port(tap1)"). NAMES may be NULL. */
void dp_key_format_names(const struct flow_key *key, const struct flow_key *mask, const struct dp_port_names *names,
                         struct strbuf *b);
void dp_actions_format_names(const void *actions, size_t len, const struct dp_port_names *names, struct strbuf *b);
/* Appends ACTIONS: "set(tunnel(tun_id=0x5,dst=10.0.0.2,ttl=64,flags(df|key))),3"; "drop" for none. */
void dp_actions_format(const void *actions, size_t len, struct strbuf *b);

#endif
