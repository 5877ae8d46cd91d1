/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_MIRROR_H
#define WARREN_SWITCH_MIRROR_H
/*
 * Mirrors of a bridge (ovs-vswitchd.conf.db(5), Mirror table): copies of what comes in by some ports or goes out by
 * some, of some or all VLANs, to a port (SPAN) or into a VLAN (RSPAN).
 *
 * A packet becomes eligible when it enters the bridge and again with each output, as it is at that moment, and goes to
 * one destination once at most, whichever mirrors select it. Which mirrors select a port is kept as a bit mask in the
 * port, so a bridge without mirrors, and a port that none selects, cost nothing. A port that a mirror outputs to is
 * reserved: NORMAL neither floods nor forwards to it, and what arrives there is dropped. (An OpenFlow output to it by
 * its number is still obeyed.)
 *
 * Neighbours: normal.c has the VLAN rules of ports; translate_output.c asks at each output. Ports are named by their
 * Port row: a bond's name stands for all of its members. Left out: sampling by a filter.
 */
#include "switch/bridge.h"

#define MIRRORS_MAX 32

struct mirror_config {
    const char *name;
    bool select_all;
    const char *const *src_ports, *const *dst_ports; /* names of ports or bonds; unknown ones select nothing yet */
    size_t n_src_ports, n_dst_ports;
    const uint8_t *vlans;    /* VLAN_TRUNKS_BYTES of bits; NULL: all VLANs */
    const char *output_port; /* or NULL and */
    uint16_t output_vlan;    /* 1..4095 */
    uint16_t snaplen;        /* 0, and the largest there is: whole packets */
};

struct mirror {
    unsigned int refs; /* megaflows count packets here after the mirror is gone */
    char *name;
    bool select_all;
    char **src_ports, **dst_ports;
    size_t n_src_ports, n_dst_ports;
    uint8_t *vlans;
    char *output_port;
    uint16_t output_vlan, snaplen;
    uint64_t tx_packets, tx_bytes;
};

struct mirrors {
    struct mirror *mirror[MIRRORS_MAX]; /* bit I of the masks is mirror[I]; NULL: free */
    bool stale;                         /* ports came or went since the masks were made */
};

/* Makes the bridge's mirrors those of CONFIGS (copied); counters of mirrors that stay by name stay. -E2BIG: more than
 * MIRRORS_MAX, -EINVAL: one without or with two outputs, -EEXIST: two of one name; nothing is changed then. */
int bridge_set_mirrors(struct bridge *br, const struct mirror_config *configs, size_t n);
/* NULL: none of that name. Its counters are as of the last megaflow_sync_stats(). */
const struct mirror *bridge_mirror_find(const struct bridge *br, const char *name);
/* A port or bond came, went or changed its name: the masks are made again before the next use. */
void mirrors_ports_changed(struct bridge *br);
void mirrors_destroy(struct bridge *br);
struct mirror *mirror_ref(struct mirror *m);
void mirror_unref(struct mirror *m); /* NULL is fine */

/* For the translation: the masks in ports are true after this. */
void mirrors_resolve(struct bridge *br);

#endif
