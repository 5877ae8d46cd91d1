/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_IFACE_CONFIG_H
#define WARREN_SWITCH_IFACE_CONFIG_H
/*
 * What an Interface row and its Port row ask for, checked (pure: no database, no kernel).
 *
 * iface_config_parse() turns name, type and options into a `struct port_config` (bridge.h), or into the text that goes
 * to the row's `error` column. Two severities: an error (unknown type, missing, malformed or contradictory option)
 * means that there is no port; a warning (an option that this type does not know) leaves the port working, and still
 * says in `error` what was not heeded. Options that exist in Open vSwitch but that we cannot honour are errors unless
 * they ask for what happens anyway.
 */
#include "base/eth_addr.h"
#include "base/strbuf.h"
#include "switch/bridge.h"

struct iface_option {
    const char *key, *value;
};

/* An Interface row, as far as the configuration goes. */
struct iface_row {
    const char *name, *type;
    bool is_local;      /* named like its bridge: the LOCAL port, whose type is `internal` whatever the row says */
    const char *hwaddr; /* Interface.mac, or NULL */
    const struct iface_option *options;
    size_t n_options;
};

/* Fills name, kind, mac, patch_peer and tunnel of RET_CONFIG, whose strings are those of ROW. 0 or -EINVAL (nothing
 * filled then); either way MESSAGE, for the `error` column, is appended to when there is something to say. */
int iface_config_parse(const struct iface_row *row, struct port_config *ret_config, struct strbuf *message);

/* A Port row's VLAN columns. */
struct vlan_row {
    const char *mode; /* NULL: none */
    int64_t tag;      /* -1: none */
    const int64_t *trunks;
    size_t n_trunks;
    const int64_t *cvlans;
    size_t n_cvlans;
    const char *qinq_ethtype, *priority_tags; /* of other_config; NULL: not there */
};
/* As above, for RET_VLAN. */
int vlan_config_parse(const struct vlan_row *row, struct vlan_config *ret_vlan, struct strbuf *message);

bool port_config_equal(const struct port_config *a, const struct port_config *b);
/* Would an arriving packet fit both? Two such tunnels cannot live in one switch. */
bool tunnel_config_conflict(const struct tunnel_config *a, const struct tunnel_config *b);

/* The types that iface_config_parse() knows, ending with NULL: Open_vSwitch.iface_types. */
extern const char *const iface_types[];

/* "10.0.0.1" or "fc00::1" → the mapped form. -EINVAL. */
int ip_addr_parse(const char *s, struct ip_addr *ret);
/* Appends the text of a mapped or IPv6 address. */
void ip_addr_format(const struct ip_addr *ip, struct strbuf *b);

#endif
