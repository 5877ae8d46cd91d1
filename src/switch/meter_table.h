/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_METER_TABLE_H
#define WARREN_SWITCH_METER_TABLE_H
/*
 * The meters of a bridge: changes as meter_mod asks, and their counters. The metering itself is the datapath's; here is
 * which datapath meter stands for which of the bridge.
 *
 * Two meters are virtual (OpenFlow 1.3, 5.7): OF_METER_CONTROLLER limits what goes to the controllers, and
 * OF_METER_SLOWPATH what the datapath hands to user space packet by packet.
 */
#include "openflow/msg_meter.h"
#include "switch/bridge.h"

struct count_history; /* flow_table.h */

struct meter {
    struct of_meter config;
    uint32_t dp_id;
    int64_t created_ms;
    struct dp_meter_stats before; /* what was counted before a restart; the datapath counts from zero */
    UT_hash_handle hh;
};

struct meter_table {
    struct meter *by_id; /* uthash */
    uint64_t changed;    /* the generation of the last change that packets may notice */
};

void meter_table_init(struct bridge *br);
void meter_table_done(struct bridge *br);
struct meter *meter_find(const struct bridge *br, uint32_t id);
/* Applies MM, whose bands it takes (free it nevertheless). 0 or OFERR_METER_*; nothing has changed on failure. A
 * meter that is deleted takes the flows that name it along. */
int meter_mod_apply(struct bridge *br, struct of_meter_mod *mm, int64_t now);
void meter_table_flush(struct bridge *br);
/* Flows that name the meter. */
unsigned int meter_flow_count(const struct bridge *br, uint32_t id);
/* What it counted before a restart. -ENOENT: there is none of that ID; -EINVAL: it has not so many bands. */
int meter_set_history(struct bridge *br, uint32_t id, const struct count_history *history);
/* The datapath's counters (zeros when it has none) and what was before. */
void meter_get_stats(const struct bridge *br, const struct meter *m, struct dp_meter_stats *ret);
/* May a packet of LEN bytes to the controllers go by the meter ID (0: OF_METER_CONTROLLER), if there is such a one?
 * Counts the drop. */
bool meter_admits_packet_in(const struct bridge *br, uint32_t id, size_t len);
/* Calls FN for each meter (or the one of that ID), in the order of their numbers. */
void meter_table_for_each(struct bridge *br, uint32_t id, void (*fn)(void *aux, const struct meter *m), void *aux);

#endif
